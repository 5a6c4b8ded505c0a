"""The oracle: the textbook's functions in plain numpy.

The compiled functions give the same bits on float64 and float32 arrays, because their sums run in numpy's own order and
their shuffles are its own; `cross_entropy` and `log_cosh`, which need exp, and all with X, the same to about 1e-12.
float32 data is computed in float32, as numpy does it if alpha is a Python float; all other real types become float64.
Exceptions: numpy before 2.3 sums more than 8192 points in another order, and a Huber loss whose every residual is so
small that its square underflows (1e-154, in float32 1e-19) may differ in its last bit. With weights, a penalty, a
preconditioner or momentum they agree to about 1e-12.
"""
import numpy as np


def _over_points(factor=1):
    """Make f(prediction, target) the mean over points, f(theta, dataset); with X row i is predicted by X[i] @ theta.

    A gradient in theta is `factor` times the mean of slope * X[i]. With weights a mean is sum(w * term) / sum(w).
    """
    def decorate(function):
        is_slope = function.__name__.startswith("grad_")

        def mean(theta, dataset, *parameters, X=None, fit_intercept=False, sample_weight=None, **named):
            if X is not None:
                X = with_intercept(X) if fit_intercept else X
            terms = function(theta if X is None else X @ theta, dataset, *parameters, **named)
            if sample_weight is not None:
                terms = terms * (sample_weight / np.mean(sample_weight))
            if X is None:
                return factor * np.mean(terms)
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
             tol=1e-3, max_iter=100_000, stop="step", l1=0, l2=0, sample_weight=None, precondition=None, momentum=None,
             curvature=None):
    model = _Model(loss_fn, grad_loss_fn, dataset, X, fit_intercept, l1, l2, sample_weight)
    units = _units_of(model, precondition, curvature)
    if alpha == "adaptive":
        return _adaptive(model, units, model.start(theta0), tol, max_iter)
    theta = ahead = model.start(theta0)
    moves = False    # a warm-up may begin with rates of 0
    momentum = None if momentum is None else _Momentum(units)
    for t in range(max_iter):
        if progress:
            print(f"theta: {_rounded(theta)} | loss: {model.loss(theta):.2f}")
        rate = alpha(t) if callable(alpha) else alpha
        moves = moves or rate != 0
        gradient = model.gradient(ahead)
        new = units.moved(ahead, rate, gradient)
        change = max(units.size(new - ahead), units.size(new - theta))
        if stop == "loss":
            change = abs(model.loss(new) - model.loss(theta))
        if moves and change < tol:
            return new
        ahead, theta = new if momentum is None else momentum.beyond(theta, ahead, new, gradient, rate), new
    return theta


def _adaptive(model, units, theta, tol, max_iter):
    """Steps as long as the last step s and the change d of the gradient over it ask for: s.s / s.d, or s.d / d.d."""
    before, steepnesses, losses = None, [], []
    rate, longest, across, steep = 1.0, np.inf, 0.0, 0.0
    for t in range(max_iter):
        gradient = model.gradient(theta)
        whole = units.with_kinks(theta, gradient)
        steepness = whole @ units.direction(whole)
        loss = model.loss(theta) if model.l1 else 0.0
        is_higher = bool(losses) and loss > (1 + 1e-12) * max(losses[-10:]) and rate > (units.first_rate or 0)
        if before is not None and (is_higher or not steepness <= 1e4 * max(steepnesses[-10:])):
            rate = max(rate / 10, units.first_rate or 0) if is_higher else rate / 10
            theta, gradient = before    # where it was less steep, and with l1 lower
        else:
            if before is None:
                rate = units.first_rate or 1e-3 * (1 + np.max(np.abs(theta))) / np.max(np.abs(gradient))
            else:
                step, change, length = theta - before[0], gradient - before[1], units.length(theta - before[0])
                against = step @ whole / (length * np.sqrt(steepness))
                if against > 0.5 and (0.5 < steepness / steepnesses[-1] < 2 or length >= across * (1 - 1e-9)):
                    longest, steep = length / 2, min(steepness, steepnesses[-1])
                elif steepness < steep / 10:
                    longest = np.inf
                elif against > 0.5:
                    longest = min(longest, length)
                across = length if against > 0.5 else across
                along, of_change = step @ change, change @ units.direction(change)
                is_straight = along <= 1e-13 * abs(step @ before[1]) or of_change <= 0
                rate = 10 * rate if is_straight else _secant(length ** 2 / along, along / of_change)
                most = min(longest, 100 * length)
                next_length = units.length(units.moved(theta, rate, gradient) - theta)
                if next_length >= most * (1 - 1e-9):
                    rate, longest = rate * most / next_length, longest * 1.5
            steepnesses.append(steepness)
            losses.append(loss)
        before, theta = (theta, gradient), units.moved(theta, rate, gradient)
        size = units.size(theta - before[0])
        if size == 0 or (size < tol and (units.first_rate or t > 1)):
            break
    return theta


def _secant(longer, shorter):
    return shorter if shorter < longer / 2 else longer


class _Momentum:
    """Nesterov's: the place for the next gradient is beyond theta, unless the last step went against the last move.

    With q the rate times the largest curvature that was met from step to step, plain steps are stable for q < 2, and
    with a part b of the last move for b < (2 - q) / (2 q - 2).
    """

    def __init__(self, units):
        self.units, self.count, self.curvature, self.steepest, self.last = units, 1, 0.0, 0.0, None

    def beyond(self, theta, ahead, new, gradient, rate):
        steepness = abs(np.dot(gradient, new - ahead))
        if self.last is not None and steepness > 1e-13 * self.steepest:
            way, change = ahead - self.last[0], gradient - self.last[1]
            self.curvature = max(self.curvature, np.dot(change, way) / (self.units.inner(way, way) or np.inf))
        self.last = ahead, gradient
        self.steepest = max(self.steepest, steepness)
        if self.units.inner(new - ahead, new - theta) < 0:
            self.count = 1
            return new
        q, count = rate * self.curvature, self.count
        self.count = (1 + np.sqrt(1 + 4 * count ** 2)) / 2
        part = (count - 1) / self.count
        return new + (min(part, max(0, (2 - q) / (4 * q - 4))) if q > 1 else part) * (new - theta)


class _Model:
    """A mean loss with the penalty l1 * sum(abs(w)) + l2 / 2 * sum(w ** 2), w being theta without the intercept."""

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

    def penalised(self, theta):
        """Theta with 0 in place of the intercept."""
        return theta if not self.intercept else np.append(0.0, theta[1:])

    def loss(self, theta):
        mean = self._mean(self.loss_fn, theta, None)
        if not (self.l1 or self.l2):
            return mean
        w = self.penalised(theta)
        return mean + self.l1 * np.sum(np.abs(w)) + self.l2 / 2 * np.sum(w ** 2)

    def gradient(self, theta, rows=None):
        """That of the loss and of l2, on some rows; l1 is for the proximal step."""
        mean = self._mean(self.grad_loss_fn, theta, rows)
        return mean + self.l2 * self.penalised(theta) if self.l2 else mean

    def _mean(self, function, theta, rows):
        def some(values):
            return values if rows is None else values[rows]

        named = {} if self.X is None else {"X": some(self.X)}
        if self.weights is None:
            return function(theta, some(self.y), **named)
        weights = some(self.weights)
        return np.mean(weights) * function(theta, some(self.y), sample_weight=weights, **named)


class _Units:
    """The units in which a step is made and measured: those of theta, with `unit` for a learning rate of 1."""

    first_rate = None    # of adaptive steps

    def __init__(self, model, unit=1):
        self.model, self.unit = model, unit

    def moved(self, theta, rate, gradient):
        return self.proximal(theta - rate * self.direction(gradient), rate)

    def length(self, step):
        return np.sqrt(self.inner(step, step))

    def direction(self, gradient):
        return self.unit * gradient

    def proximal(self, theta, rate):
        """The weights moved towards 0 by what l1 asks of a step."""
        return _shrunk(theta, rate * self.unit * self.model.l1, self.model.intercept) if self.model.l1 else theta

    def with_kinks(self, theta, gradient):
        """The gradient with that of l1, where a weight is 0 the least."""
        kink = self.model.l1 * self.model.penalised(np.ones(len(theta)))
        return np.where(theta == 0, _towards_0(gradient, kink), gradient + kink * np.sign(theta))

    def size(self, step):
        return np.max(np.abs(step)) if isinstance(step, np.ndarray) else abs(step)

    def inner(self, step, move):
        return np.dot(step, move)


class _ScaledUnits(_Units):
    """Those of v, the parameters for the columns (x - shift) / size: theta = T @ v.

    P times a gradient in v is a step at a learning rate of 1.
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
        by = rate * self.P[0, 0] * self.model.l1 * np.diag(self.T)
        return self.T @ _shrunk(self.to_scaled @ theta, by, self.model.intercept)

    def with_kinks(self, theta, gradient):
        slope, kink = self.T.T @ gradient, self.model.l1 * np.diag(self.T) * self.model.penalised(np.ones(len(theta)))
        whole = np.where(theta == 0, _towards_0(slope, kink), slope + kink * np.sign(theta))
        return self.to_scaled.T @ whole

    def size(self, step):
        return super().size(self.to_scaled @ step)

    def inner(self, step, move):
        return (self.to_scaled @ step) @ np.linalg.pinv(self.P, hermitian=True) @ (self.to_scaled @ move)


def _shrunk(theta, by, intercept):
    shrunk = _towards_0(theta, by)
    return np.append(theta[0], shrunk[1:]) if intercept else shrunk


def _towards_0(values, by):
    return np.sign(values) * np.maximum(np.abs(values) - by, 0)


def _units_of(model, precondition, curvature, of_rows=False):
    """The units of a descent on a loss of this largest curvature; `of_rows` for a step that sees a single row."""
    c = 1 if curvature is None else curvature
    if precondition is None:
        return _Units(model)
    if model.X is None:
        return _Units(model, 1 / (c + model.l2))
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
        P = np.linalg.pinv(c * G + model.l2 * np.diag(model.penalised(size ** -2)), 1e-14 * len(G), hermitian=True)
    else:
        largest = np.max(weights * np.sum(Z ** 2, axis=1)) if of_rows else np.linalg.eigvalsh(G)[-1]
        P = np.eye(len(G)) / (c * (largest or 1))
        size = np.sqrt(size ** 2 + model.penalised(P[0, 0] * model.l2 * np.ones(len(G))))
    T = np.diag(1 / size)
    T[:first] -= shift / size
    return _ScaledUnits(model, T, P)


def _rounded(theta):
    return f"{theta:.2f}" if np.ndim(theta) == 0 else "[" + " ".join(f"{value:.2f}" for value in theta) + "]"


def minimize_sgd(loss_fn, grad_loss_fn, dataset, alpha=0.2, *, X=None, fit_intercept=False, rng=None, theta0=0.0,
                 tol=1e-3, max_epochs=1000, l1=0, l2=0, sample_weight=None, precondition=None, curvature=None):
    model = _Model(loss_fn, grad_loss_fn, np.asarray(dataset), X, fit_intercept, l1, l2, sample_weight)
    return _descend_on_pieces(model, 1 if X is not None else None, alpha, rng, theta0, tol, max_epochs, precondition,
                              curvature)


def minimize_mini_batch(loss_fn, grad_loss_fn, dataset, minibatch_size, alpha=0.2, *, X=None, fit_intercept=False,
                        rng=None, theta0=0.0, tol=1e-3, max_epochs=1000, l1=0, l2=0, sample_weight=None,
                        precondition=None, curvature=None):
    model = _Model(loss_fn, grad_loss_fn, np.asarray(dataset), X, fit_intercept, l1, l2, sample_weight)
    return _descend_on_pieces(model, minibatch_size, alpha, rng, theta0, tol, max_epochs, precondition, curvature)


def _descend_on_pieces(model, size, alpha, rng, theta0, tol, max_epochs, precondition, curvature):
    """A step for each point (`size` None) or slice of the points, which are shuffled before each pass."""
    rng = np.random if rng is None else rng if hasattr(rng, "shuffle") else np.random.default_rng(rng)
    units = _units_of(model, precondition, curvature, of_rows=True)
    order = np.arange(len(model.y))
    theta, t, moves = model.start(theta0), 0, False
    for _ in range(max_epochs):
        rng.shuffle(order)
        for piece in order if size is None else [order[i:i + size] for i in range(0, len(order), size)]:
            rate = alpha(t) if callable(alpha) else alpha
            moves = moves or rate != 0
            new = units.moved(theta, rate, model.gradient(theta, piece))
            if moves and units.size(new - theta) < tol:
                return new
            theta, t = new, t + 1
    return theta
