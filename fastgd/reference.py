"""The oracle: the textbook's functions in plain numpy.

The compiled functions give the same bits on float64 and float32 arrays, because their sums run in numpy's own order and
their shuffles are its own; `cross_entropy` and `log_cosh`, which need exp, and all with X, the same to about 1e-12.
float32 data is computed in float32, as numpy does it if alpha is a Python float; all other real types become float64.
Exceptions: numpy before 2.3 sums more than 8192 points in another order, and a Huber loss whose every residual is so
small that its square underflows (1e-154, in float32 1e-19) may differ in its last bit.
"""
import numpy as np


def _over_points(factor=1):
    """Make f(prediction, target) the mean over points, f(theta, dataset); with X row i is predicted by X[i] @ theta.

    A gradient in theta is `factor` times the mean of slope * X[i].
    """
    def decorate(function):
        is_slope = function.__name__.startswith("grad_")

        def mean(theta, dataset, *parameters, X=None, fit_intercept=False, **named):
            if X is None:
                return factor * np.mean(function(theta, dataset, *parameters, **named))
            X = with_intercept(X) if fit_intercept else X
            terms = function(X @ theta, dataset, *parameters, **named)
            return factor * (X.T @ terms) / len(terms) if is_slope else np.mean(terms)

        mean.__name__ = mean.__qualname__ = function.__name__
        return mean

    return decorate


def with_intercept(X):
    return np.column_stack([np.ones(len(X)), X])


@_over_points()
def mse(theta, dataset):
    return (dataset - theta) ** 2


@_over_points(factor=-2)
def grad_mse(theta, dataset):
    return dataset - theta


def _smoothed(r, above, below, epsilon, h):
    """above * max(r - epsilon, 0) + below * max(-r - epsilon, 0), its kinks convolved with a uniform density."""
    h = max(h, 2.0 ** -126)    # the smallest whose inverse is finite in float32

    def excess(distance):
        inside = np.maximum(h - distance, 0)
        return inside * (inside * (1 / h)) / 2

    a = np.abs(r)
    beyond = np.maximum(a - epsilon, 0)
    sharp = np.where(r > 0, above * beyond, below * beyond)
    return sharp + (above + below) / 4 * (excess(np.abs(a - epsilon)) + excess(a + epsilon))


def _grad_smoothed(r, above, below, epsilon, h):
    h = max(h, 2.0 ** -126)
    w = (np.clip(r - epsilon, -h, h) + np.clip(r + epsilon, -h, h)) / h
    return (below * (2 - w) - above * (2 + w)) / 4


@_over_points()
def abs_loss(theta, dataset, smoothing=0):
    if smoothing > 0:
        return _smoothed(dataset - theta, 1, 1, 0, smoothing)
    return np.abs(dataset - theta)


@_over_points()
def grad_abs_loss(theta, dataset, smoothing=0):
    if smoothing > 0:
        return _grad_smoothed(dataset - theta, 1, 1, 0, smoothing)
    return -np.sign(dataset - theta)


@_over_points()
def huber_loss(theta, dataset, delta=1):
    a = np.abs(dataset - theta)
    return np.where(a <= delta, a ** 2 / 2, delta * (a - delta / 2))


@_over_points()
def grad_huber_loss(theta, dataset, delta=1):
    r = dataset - theta
    return np.where(np.abs(r) <= delta, -r, -delta * np.sign(r))


@_over_points()
def quartic_loss(theta, dataset):
    r = dataset - theta
    return 1 / 5000 * (r + 12) * (r + 23) * (r - 14) * (r - 15) + 7


@_over_points()
def grad_quartic_loss(theta, dataset):
    r = dataset - theta
    return -1 / 2500 * (2 * (r * r * r) + 9 * r ** 2 - 529 * r - 327)


@_over_points()
def cross_entropy(theta, dataset):
    return np.logaddexp(0, theta) - dataset * theta


@_over_points()
def grad_cross_entropy(theta, dataset):
    return np.exp(-np.logaddexp(0, -theta)) - dataset


@_over_points()
def pinball_loss(theta, dataset, q=0.5, smoothing=0):
    r = dataset - theta
    if smoothing > 0:
        return _smoothed(r, q, 1 - q, 0, smoothing)
    return np.where(r > 0, q * r, (q - 1) * r)


@_over_points()
def grad_pinball_loss(theta, dataset, q=0.5, smoothing=0):
    r = dataset - theta
    if smoothing > 0:
        return _grad_smoothed(r, q, 1 - q, 0, smoothing)
    return np.where(r > 0, -q * np.sign(r), (q - 1) * np.sign(r))


@_over_points()
def log_cosh(theta, dataset):
    r = dataset - theta
    near = np.log1p(2 * np.sinh(np.clip(r, -1, 1) / 2) ** 2)
    return np.where(np.abs(r) < 1, near, np.logaddexp(r, -r) - np.log(2))


@_over_points()
def grad_log_cosh(theta, dataset):
    return -np.tanh(dataset - theta)


@_over_points()
def epsilon_insensitive(theta, dataset, epsilon=0.1, smoothing=0):
    if smoothing > 0:
        return _smoothed(dataset - theta, 1, 1, epsilon, smoothing)
    return np.maximum(np.abs(dataset - theta) - epsilon, 0)


@_over_points()
def grad_epsilon_insensitive(theta, dataset, epsilon=0.1, smoothing=0):
    r = dataset - theta
    if smoothing > 0:
        return _grad_smoothed(r, 1, 1, epsilon, smoothing)
    return np.where(np.abs(r) <= epsilon, 0, -np.sign(r))


def simple_minimize(loss_fn, dataset, thetas):
    return thetas[np.argmin([loss_fn(theta, dataset) for theta in thetas])]


def minimize(loss_fn, grad_loss_fn, dataset, alpha=0.2, progress=True, *, X=None, fit_intercept=False, theta0=0.0,
             tol=1e-3, max_iter=100_000, stop="step"):
    theta, X = _start(theta0, X, fit_intercept)
    moves = False    # a warm-up may begin with rates of 0
    for t in range(max_iter):
        if progress:
            print(f"theta: {_rounded(theta)} | loss: {_at(loss_fn, theta, dataset, X):.2f}")
        rate = alpha(t) if callable(alpha) else alpha
        moves = moves or rate != 0
        new = theta - rate * _at(grad_loss_fn, theta, dataset, X)
        change = new - theta
        if stop == "loss":
            change = _at(loss_fn, new, dataset, X) - _at(loss_fn, theta, dataset, X)
        if moves and _size(change) < tol:
            return new
        theta = new
    return theta


def _size(change):
    return np.max(np.abs(change)) if isinstance(change, np.ndarray) else abs(change)


def _start(theta0, X, fit_intercept):
    if X is None:
        return theta0, None
    X = with_intercept(X) if fit_intercept else np.asarray(X)
    return np.zeros(X.shape[1]) + theta0, X


def _at(function, theta, dataset, X):
    return function(theta, dataset) if X is None else function(theta, dataset, X=X)


def _rounded(theta):
    return f"{theta:.2f}" if np.ndim(theta) == 0 else "[" + " ".join(f"{value:.2f}" for value in theta) + "]"


def minimize_sgd(loss_fn, grad_loss_fn, dataset, alpha=0.2, *, X=None, fit_intercept=False, rng=None, theta0=0.0,
                 tol=1e-3, max_epochs=1000):
    if X is not None:
        return minimize_mini_batch(loss_fn, grad_loss_fn, dataset, 1, alpha, X=X, fit_intercept=fit_intercept, rng=rng,
                                   theta0=theta0, tol=tol, max_epochs=max_epochs)
    return _descend_on_pieces(
        grad_loss_fn, np.array(dataset), lambda data: data, alpha, rng, theta0, tol, max_epochs)


def minimize_mini_batch(loss_fn, grad_loss_fn, dataset, minibatch_size, alpha=0.2, *, X=None, fit_intercept=False,
                        rng=None, theta0=0.0, tol=1e-3, max_epochs=1000):
    def slices(data):
        return [data[i:i + minibatch_size] for i in range(0, len(data), minibatch_size)]

    if X is None:
        return _descend_on_pieces(grad_loss_fn, np.array(dataset), slices, alpha, rng, theta0, tol, max_epochs)
    theta, X = _start(theta0, X, fit_intercept)
    y = np.asarray(dataset)
    return _descend_on_pieces(lambda theta, rows: grad_loss_fn(theta, y[rows], X=X[rows]), np.arange(len(y)), slices,
                              alpha, rng, theta, tol, max_epochs)


def _descend_on_pieces(gradient, data, pieces_of, alpha, rng, theta0, tol, max_epochs):
    rng = np.random if rng is None else rng if hasattr(rng, "shuffle") else np.random.default_rng(rng)
    theta, t, moves = theta0, 0, False
    for _ in range(max_epochs):
        rng.shuffle(data)
        for piece in pieces_of(data):
            rate = alpha(t) if callable(alpha) else alpha
            moves = moves or rate != 0
            new = theta - rate * gradient(theta, piece)
            if moves and _size(new - theta) < tol:
                return new
            theta, t = new, t + 1
    return theta
