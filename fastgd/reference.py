"""Oracle: the textbook's functions in plain numpy.

The compiled functions give the same bits on float64 and float32 arrays, because they sum and shuffle in numpy's order.
With X, weights, a penalty, a preconditioner or momentum, and for `cross_entropy` and `log_cosh`, which need exp, they
agree to about 1e-12. float32 data are computed in float32, as in numpy if alpha is a Python float; all other real types
become float64. Exceptions: numpy before 2.3 sums more than 8192 points in another order, and a Huber loss whose every
residual is so small that its square underflows (1e-154, in float32 1e-19) may differ in its last bit.
"""
import numpy as np


def _over_points(factor=1):
    """Turn f(prediction, target) into the mean over points, f(theta, dataset); with X the prediction is X[i] @ theta.

    A gradient in theta is `factor` times the mean of slope * X[i]. With weights a mean is sum(w * term) / sum(w).
    """
    def decorate(function):
        is_gradient = function.__name__.startswith("grad_")

        def mean(theta, dataset, *parameters, X=None, fit_intercept=False, sample_weight=None, **named):
            if X is not None:
                X = with_intercept(X) if fit_intercept else X
            terms = function(theta if X is None else X @ theta, dataset, *parameters, **named)
            if sample_weight is not None:
                terms = terms * (sample_weight / np.mean(sample_weight))
            if X is None:
                return factor * np.mean(terms)
            return factor * (X.T @ terms) / len(terms) if is_gradient else np.mean(terms)

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


def _smooth(r, above, below, epsilon, h):
    """above * max(r - epsilon, 0) + below * max(-r - epsilon, 0), its breakpoints convolved with a uniform density."""
    h = max(h, 2.0 ** -126)    # the smallest whose inverse is finite in float32

    def excess(distance):
        inside = np.maximum(h - distance, 0)
        return inside * (inside * (1 / h)) / 2

    a = np.abs(r)
    beyond = np.maximum(a - epsilon, 0)
    nonsmooth = np.where(r > 0, above * beyond, below * beyond)
    return nonsmooth + (above + below) / 4 * (excess(np.abs(a - epsilon)) + excess(a + epsilon))


def _grad_smooth(r, above, below, epsilon, h):
    h = max(h, 2.0 ** -126)
    w = (np.clip(r - epsilon, -h, h) + np.clip(r + epsilon, -h, h)) / h
    return (below * (2 - w) - above * (2 + w)) / 4


@_over_points()
def abs_loss(theta, dataset, smoothing=0):
    if smoothing > 0:
        return _smooth(dataset - theta, 1, 1, 0, smoothing)
    return np.abs(dataset - theta)


@_over_points()
def grad_abs_loss(theta, dataset, smoothing=0):
    if smoothing > 0:
        return _grad_smooth(dataset - theta, 1, 1, 0, smoothing)
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
        return _smooth(r, q, 1 - q, 0, smoothing)
    return np.where(r > 0, q * r, (q - 1) * r)


@_over_points()
def grad_pinball_loss(theta, dataset, q=0.5, smoothing=0):
    r = dataset - theta
    if smoothing > 0:
        return _grad_smooth(r, q, 1 - q, 0, smoothing)
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
        return _smooth(dataset - theta, 1, 1, epsilon, smoothing)
    return np.maximum(np.abs(dataset - theta) - epsilon, 0)


@_over_points()
def grad_epsilon_insensitive(theta, dataset, epsilon=0.1, smoothing=0):
    r = dataset - theta
    if smoothing > 0:
        return _grad_smooth(r, 1, 1, epsilon, smoothing)
    return np.where(np.abs(r) <= epsilon, 0, -np.sign(r))


def simple_minimize(loss_fn, dataset, thetas):
    return thetas[np.argmin([loss_fn(theta, dataset) for theta in thetas])]


def minimize(loss_fn, grad_loss_fn, dataset, alpha=0.2, progress=True, *, X=None, fit_intercept=False, theta0=0.0,
             tol=1e-3, max_iter=100_000, stop="step", l1=0, l2=0, sample_weight=None, precondition=None, momentum=None,
             curvature=None):
    model = _Model(loss_fn, grad_loss_fn, dataset, X, fit_intercept, l1, l2, sample_weight)
    preconditioner = _preconditioner_of(model, precondition, curvature)
    if alpha == "adaptive":
        return _adaptive(model, preconditioner, model.start(theta0), tol, max_iter)
    theta = ahead = model.start(theta0)
    has_moved = False    # a warm-up may begin with rates of 0
    momentum = None if momentum is None else _Momentum(preconditioner)
    for t in range(max_iter):
        if progress:
            print(f"theta: {_format(theta)} | loss: {model.loss(theta):.2f}")
        rate = alpha(t) if callable(alpha) else alpha
        has_moved = has_moved or rate != 0
        gradient = model.gradient(ahead)
        new = preconditioner.step(ahead, rate, gradient)
        change = max(preconditioner.size(new - ahead), preconditioner.size(new - theta))
        if stop == "loss":
            change = abs(model.loss(new) - model.loss(theta))
        if has_moved and change < tol:
            return new
        ahead, theta = new if momentum is None else momentum.beyond(theta, ahead, new, gradient, rate), new
    return theta


def _adaptive(model, preconditioner, theta, tol, max_iter):
    """Step sizes s.s / s.d, or s.d / d.d, from the last step s and the change d of the gradient (Barzilai, Borwein)."""
    before, steepnesses, losses = None, [], []
    rate, longest, overshot_length, overshot_steepness = 1.0, np.inf, 0.0, 0.0
    for t in range(max_iter):
        gradient = model.gradient(theta)
        subgradient = preconditioner.with_subgradient(theta, gradient)
        steepness = subgradient @ preconditioner.direction(subgradient)
        loss = model.loss(theta) if model.l1 else 0.0
        is_higher = bool(losses) and loss > (1 + 1e-12) * max(losses[-10:]) and rate > (preconditioner.first_rate or 0)
        if before is not None and (is_higher or not steepness <= 1e4 * max(steepnesses[-10:])):
            rate = max(rate / 10, preconditioner.first_rate or 0) if is_higher else rate / 10
            theta, gradient = before    # where it was less steep, and with l1 lower
        else:
            if before is None:
                rate = preconditioner.first_rate or 1e-3 * (1 + np.max(np.abs(theta))) / np.max(np.abs(gradient))
            else:
                step, change, length = theta - before[0], gradient - before[1], preconditioner.length(theta - before[0])
                cosine = step @ subgradient / (length * np.sqrt(steepness))
                if cosine > 0.5 and (0.5 < steepness / steepnesses[-1] < 2 or length >= overshot_length * (1 - 1e-9)):
                    longest, overshot_steepness = length / 2, min(steepness, steepnesses[-1])
                elif steepness < overshot_steepness / 10:
                    longest = np.inf
                elif cosine > 0.5:
                    longest = min(longest, length)
                overshot_length = length if cosine > 0.5 else overshot_length
                along, of_change = step @ change, change @ preconditioner.direction(change)
                is_linear = along <= 1e-13 * abs(step @ before[1]) or of_change <= 0
                rate = 10 * rate if is_linear else _spectral_rate(length ** 2 / along, along / of_change)
                most = min(longest, 100 * length)
                next_length = preconditioner.length(preconditioner.step(theta, rate, gradient) - theta)
                if next_length >= most * (1 - 1e-9):
                    rate, longest = rate * most / next_length, longest * 1.5
            steepnesses.append(steepness)
            losses.append(loss)
        before, theta = (theta, gradient), preconditioner.step(theta, rate, gradient)
        size = preconditioner.size(theta - before[0])
        if size == 0 or (size < tol and (preconditioner.first_rate or t > 1)):
            break
    return theta


def _spectral_rate(longer, shorter):
    return shorter if shorter < longer / 2 else longer


class _Momentum:
    """Nesterov's momentum: the next gradient is taken beyond theta, unless the last step opposed the last move.

    With q the rate times the largest curvature measured from step to step, plain steps are stable for q < 2, and steps
    with a part b of the last move for b < (2 - q) / (2 q - 2).
    """

    def __init__(self, preconditioner):
        self.preconditioner, self.count, self.curvature, self.steepest, self.last = preconditioner, 1, 0.0, 0.0, None

    def beyond(self, theta, ahead, new, gradient, rate):
        steepness = abs(np.dot(gradient, new - ahead))
        if self.last is not None and steepness > 1e-13 * self.steepest:
            way, change = ahead - self.last[0], gradient - self.last[1]
            self.curvature = max(self.curvature, np.dot(change, way) / (self.preconditioner.inner(way, way) or np.inf))
        self.last = ahead, gradient
        self.steepest = max(self.steepest, steepness)
        if self.preconditioner.inner(new - ahead, new - theta) < 0:
            self.count = 1
            return new
        q, count = rate * self.curvature, self.count
        self.count = (1 + np.sqrt(1 + 4 * count ** 2)) / 2
        part = (count - 1) / self.count
        return new + (min(part, max(0, (2 - q) / (4 * q - 4))) if q > 1 else part) * (new - theta)


class _Model:
    """Mean loss with the penalty l1 * sum(abs(w)) + l2 / 2 * sum(w ** 2), w being theta without the intercept."""

    def __init__(self, loss_fn, grad_loss_fn, dataset, X, fit_intercept, l1, l2, sample_weight):
        self.loss_fn, self.grad_loss_fn, self.l1, self.l2 = loss_fn, grad_loss_fn, l1, l2
        self.y, self.X, self.weights = dataset, X, None
        self.intercept = int(fit_intercept)
        if X is not None:
            self.X = with_intercept(X) if fit_intercept else np.asarray(X)
        if sample_weight is not None:
            kept = np.asarray(sample_weight) > 0
            self.y, self.weights = np.asarray(dataset)[kept], np.asarray(sample_weight)[kept]
            self.weights = self.weights / np.mean(self.weights)
            self.X = None if X is None else self.X[kept]

    def start(self, theta0):
        return theta0 if self.X is None else np.zeros(self.X.shape[1]) + theta0

    def without_intercept(self, theta):
        """Theta with 0 in place of the intercept."""
        return theta if not self.intercept else np.append(0.0, theta[1:])

    def loss(self, theta):
        mean = self._mean(self.loss_fn, theta, None)
        if not (self.l1 or self.l2):
            return mean
        w = self.without_intercept(theta)
        return mean + self.l1 * np.sum(np.abs(w)) + self.l2 / 2 * np.sum(w ** 2)

    def gradient(self, theta, rows=None):
        """Gradient of the loss and of l2, on some rows; l1 enters by the proximal step."""
        mean = self._mean(self.grad_loss_fn, theta, rows)
        return mean + self.l2 * self.without_intercept(theta) if self.l2 else mean

    def _mean(self, function, theta, rows):
        def some(values):
            return values if rows is None else values[rows]

        named = {} if self.X is None else {"X": some(self.X)}
        if self.weights is None:
            return function(theta, some(self.y), **named)
        weights = some(self.weights)
        return np.mean(weights) * function(theta, some(self.y), sample_weight=weights, **named)


class _Preconditioner:
    """Preconditioner `unit` times the identity: a step at a learning rate of 1 is unit * gradient."""

    first_rate = None    # first adaptive step size, if the preconditioner has one

    def __init__(self, model, unit=1):
        self.model, self.unit = model, unit

    def step(self, theta, rate, gradient):
        return self.proximal(theta - rate * self.direction(gradient), rate)

    def length(self, step):
        return np.sqrt(self.inner(step, step))

    def direction(self, gradient):
        return self.unit * gradient

    def proximal(self, theta, rate):
        """Proximal step of l1 after a step of this rate."""
        return _proximal(theta, rate * self.unit * self.model.l1, self.model.intercept) if self.model.l1 else theta

    def with_subgradient(self, theta, gradient):
        """Gradient with the subgradient of l1 that makes the sum least."""
        jump = self.model.l1 * self.model.without_intercept(np.ones(len(theta)))
        return np.where(theta == 0, _soft_threshold(gradient, jump), gradient + jump * np.sign(theta))

    def size(self, step):
        return np.max(np.abs(step)) if isinstance(step, np.ndarray) else abs(step)

    def inner(self, step, move):
        return np.dot(step, move)


class _ColumnPreconditioner(_Preconditioner):
    """Preconditioner P of the parameters v of the columns (x - shift) / size: theta = T @ v.

    A step at a learning rate of 1 is P times the gradient in v.
    """

    def __init__(self, model, T, P):
        super().__init__(model)
        self.first_rate = 1.0
        self.T, self.to_scaled, self.P = T, np.linalg.inv(T), P

    def direction(self, gradient):
        return self.T @ (self.P @ (self.T.T @ gradient))

    def proximal(self, theta, rate):
        if not self.model.l1:
            return theta
        # abs(theta[j]) is T[j, j] * abs(v[j]); P is a number times the identity.
        threshold = rate * self.P[0, 0] * self.model.l1 * np.diag(self.T)
        return self.T @ _proximal(self.to_scaled @ theta, threshold, self.model.intercept)

    def with_subgradient(self, theta, gradient):
        slope, ones = self.T.T @ gradient, np.ones(len(theta))
        jump = self.model.l1 * np.diag(self.T) * self.model.without_intercept(ones)
        subgradient = np.where(theta == 0, _soft_threshold(slope, jump), slope + jump * np.sign(theta))
        return self.to_scaled.T @ subgradient

    def size(self, step):
        return super().size(self.to_scaled @ step)

    def inner(self, step, move):
        return (self.to_scaled @ step) @ np.linalg.pinv(self.P, hermitian=True) @ (self.to_scaled @ move)


def _proximal(theta, threshold, intercept):
    new = _soft_threshold(theta, threshold)
    return np.append(theta[0], new[1:]) if intercept else new


def _soft_threshold(values, threshold):
    return np.sign(values) * np.maximum(np.abs(values) - threshold, 0)


def _preconditioner_of(model, precondition, curvature, of_rows=False):
    """Preconditioner for a loss of this largest curvature; `of_rows` for steps on a single row."""
    c = 1 if curvature is None else curvature
    if precondition is None:
        return _Preconditioner(model)
    if model.X is None:
        return _Preconditioner(model, 1 / (c + model.l2))
    first, X = model.intercept, model.X.astype(float)
    weights = np.ones(len(X)) if model.weights is None else model.weights
    shift = weights @ X / len(X) if first else np.zeros(X.shape[1])
    shift[:first] = 0
    size = np.sqrt(weights @ (X - shift) ** 2 / len(X))
    is_constant = size <= 1e-15 * np.abs(shift)
    Z = np.where(is_constant, 0, X - shift)
    size[is_constant] = 1
    Z /= size
    G = (Z.T * weights) @ Z / len(X)
    if precondition == "gram":
        curved = c * G + model.l2 * np.diag(model.without_intercept(size ** -2))
        P = np.linalg.pinv(curved, 1e-14 * len(G), hermitian=True)
    else:
        largest = np.max(weights * np.sum(Z ** 2, axis=1)) if of_rows else np.linalg.eigvalsh(G)[-1]
        P = np.eye(len(G)) / (c * (largest or 1))
        size = np.sqrt(size ** 2 + model.without_intercept(P[0, 0] * model.l2 * np.ones(len(G))))
    T = np.diag(1 / size)
    T[:first] -= shift / size
    return _ColumnPreconditioner(model, T, P)


def _format(theta):
    return f"{theta:.2f}" if np.ndim(theta) == 0 else "[" + " ".join(f"{value:.2f}" for value in theta) + "]"


def minimize_sgd(loss_fn, grad_loss_fn, dataset, alpha=0.2, *, X=None, fit_intercept=False, rng=None, theta0=0.0,
                 tol=1e-3, max_epochs=1000, l1=0, l2=0, sample_weight=None, precondition=None, curvature=None):
    model = _Model(loss_fn, grad_loss_fn, np.asarray(dataset), X, fit_intercept, l1, l2, sample_weight)
    return _stochastic(model, 1 if X is not None else None, alpha, rng, theta0, tol, max_epochs, precondition,
                              curvature)


def minimize_mini_batch(loss_fn, grad_loss_fn, dataset, minibatch_size, alpha=0.2, *, X=None, fit_intercept=False,
                        rng=None, theta0=0.0, tol=1e-3, max_epochs=1000, l1=0, l2=0, sample_weight=None,
                        precondition=None, curvature=None):
    model = _Model(loss_fn, grad_loss_fn, np.asarray(dataset), X, fit_intercept, l1, l2, sample_weight)
    return _stochastic(model, minibatch_size, alpha, rng, theta0, tol, max_epochs, precondition, curvature)


def _stochastic(model, size, alpha, rng, theta0, tol, max_epochs, precondition, curvature):
    """Make a step for each point (`size` None) or slice of the points, which are shuffled before each epoch."""
    rng = np.random if rng is None else rng if hasattr(rng, "shuffle") else np.random.default_rng(rng)
    preconditioner = _preconditioner_of(model, precondition, curvature, of_rows=True)
    order = np.arange(len(model.y))
    theta, t, has_moved = model.start(theta0), 0, False
    for _ in range(max_epochs):
        rng.shuffle(order)
        for batch in order if size is None else [order[i:i + size] for i in range(0, len(order), size)]:
            rate = alpha(t) if callable(alpha) else alpha
            has_moved = has_moved or rate != 0
            new = preconditioner.step(theta, rate, model.gradient(theta, batch))
            if has_moved and preconditioner.size(new - theta) < tol:
                return new
            theta, t = new, t + 1
    return theta
