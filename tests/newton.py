"""The least loss of a linear model by Newton's method in plain numpy, which shares nothing with the package.

It works in coordinates in which the design is orthonormal (with a penalty: of columns of deviation 1), and comes to
kinks and to losses that are straight far from their minimum by versions of them that are rounded off ever less.
"""
import functools
from typing import NamedTuple

import numpy as np

#: The widths over which kinks are rounded off fall by this factor, from the spread of the residuals to this part of it.
NARROWER, NARROWEST = 0.2, 1e-10


class Least(NamedTuple):
    value: float
    fitted: np.ndarray    # the predictions there
    theta: np.ndarray     # of all that predict the same, one


def least(loss, y, X=None, fit_intercept=False, sample_weight=None, penalty=None):
    """Where the mean loss is least."""
    y, X, fit_intercept = _double(y, X, fit_intercept)
    weights = _normalised(sample_weight, len(y))
    design, back = _coordinates(X, fit_intercept, np.full(len(y), 1 / len(y)), penalty)
    size = float(np.ptp(y)) or float(np.max(np.abs(y))) or 1.0
    b = np.zeros(design.shape[1])
    if loss.link == "identity":
        root = np.sqrt(weights)
        b = np.linalg.lstsq(design * root[:, None], y * root)[0]
    width = size

    def objective(b, width):
        values, slopes, curvatures = pointwise(loss, y, design @ b, width)
        value, gradient = weights @ values, design.T @ (weights * slopes)
        hessian = (design.T * (weights * curvatures)) @ design
        if penalty is not None:
            w = back[int(fit_intercept):] @ b
            # A weight moves the predictions by as much as its column is large.
            more = _penalised(penalty, w, width / _sizes(X, fit_intercept))
            own = back[int(fit_intercept):]
            value, gradient, hessian = (value + more[0], gradient + own.T @ more[1],
                                        hessian + own.T @ (more[2][:, None] * own))
        return value, gradient, hessian

    best = b
    while True:
        b = _newton(functools.partial(objective, width=width), b)
        if objective(b, 0.0)[0] < objective(best, 0.0)[0]:
            best = b
        if width < NARROWEST * size or not _is_rounded(loss, penalty):
            break
        width *= NARROWER
    theta = back @ best
    return Least(float(objective(best, 0.0)[0]), design @ best, theta)


def mean_loss(loss, theta, y, X=None, fit_intercept=False, sample_weight=None, penalty=None):
    """The mean loss at theta, in double whatever the data are."""
    y, X, fit_intercept = _double(y, X, fit_intercept)
    theta = np.atleast_1d(np.asarray(theta, float))
    fitted = theta[0] + X @ theta[1:] if fit_intercept else X @ theta
    value = _normalised(sample_weight, len(y)) @ pointwise(loss, y, fitted, 0.0)[0]
    if penalty is not None:
        value += _penalised(penalty, theta[int(fit_intercept):], np.zeros(X.shape[1]))[0]
    return float(value)


def pointwise(loss, y, fitted, width):
    """The loss of each point, its slope and its curvature in the prediction; rounded off over `width` at least."""
    name, facts, r = loss.__name__, loss.parameters, y - fitted
    if name == "mse":
        return r**2, -2 * r, np.full(len(r), 2.0)
    if name == "cross_entropy":
        p = np.exp(-np.logaddexp(0, -fitted))
        return np.logaddexp(0, fitted) - y * fitted, p - y, p * np.exp(-np.logaddexp(0, fitted))
    if name == "log_cosh":
        c = max(width, 1.0)
        t = np.abs(r / c)
        tanh = np.tanh(t)
        near = np.log1p(2 * np.sinh(np.minimum(t, 1) / 2) ** 2)
        value = np.where(t < 1, near, t + np.log1p(np.exp(-2 * t)) - np.log(2))
        return c * value, -np.sign(r) * tanh, (1 - tanh) * (1 + tanh) / c
    if name == "huber_loss":
        delta = facts["delta"]
        value, slope, curvature = _rounded(r, max(width, delta))
        return delta * value - delta**2 / 2, -delta * slope, delta * curvature
    if name == "abs_loss":
        value, slope, curvature = _rounded(r, width)
        return value, -slope, curvature
    if name == "pinball_loss":
        value, slope, curvature = _rounded(r, width)
        return (facts["q"] - 0.5) * r + value / 2, 0.5 - facts["q"] - slope / 2, curvature / 2
    if name == "epsilon_insensitive":
        epsilon = facts["epsilon"]
        if width == 0:
            return np.maximum(np.abs(r) - epsilon, 0), -np.sign(r) * (np.abs(r) > epsilon), np.zeros(len(r))
        low, high = _rounded(r - epsilon, width), _rounded(r + epsilon, width)
        return ((low[0] + high[0]) / 2 - epsilon, -(low[1] + high[1]) / 2, (low[2] + high[2]) / 2)
    raise NotImplementedError(name)


def _rounded(t, width):
    """The absolute value, its slope and curvature, the kink convolved with a uniform density."""
    if width == 0:
        return np.abs(t), np.sign(t), np.zeros(len(t))
    inside = np.abs(t) <= width
    return (np.where(inside, t * t / (2 * width) + width / 2, np.abs(t)), np.clip(t / width, -1, 1),
            np.where(inside, 1 / width, 0.0))


def _is_rounded(loss, penalty):
    return loss.__name__ not in ("mse", "cross_entropy") or (penalty is not None and penalty.l1 > 0)


def _double(y, X, fit_intercept):
    y = np.asarray(y, float)
    return (y, np.ones((len(y), 1)), False) if X is None else (y, np.asarray(X, float), fit_intercept)


def _normalised(weights, n):
    weights = np.ones(n) if weights is None else np.asarray(weights, float)
    return weights / weights.sum()


def _sizes(X, fit_intercept):
    sizes = X.std(0) if fit_intercept else np.sqrt(np.mean(X**2, 0))
    return np.where(sizes > 1e-14 * np.max(np.abs(X), 0), sizes, 1.0)


def _penalised(penalty, w, widths):
    absolute = [_rounded(w[j:j + 1], widths[j]) for j in range(len(w))]
    values, slopes, curvatures = (np.array([part[k][0] for part in absolute]) for k in range(3))
    return (penalty.l2 / 2 * w @ w + penalty.l1 * values.sum(), penalty.l2 * w + penalty.l1 * slopes,
            penalty.l2 + penalty.l1 * curvatures)


def _coordinates(X, fit_intercept, weights, penalty):
    """A design whose columns span those of X, and the matrix from its coefficients to theta."""
    sizes = _sizes(X, fit_intercept)
    means = X.mean(0) if fit_intercept else np.zeros(X.shape[1])
    design = (X - means) / sizes
    back = np.diag(1 / sizes)
    if fit_intercept:
        design = np.column_stack([np.ones(len(X)), design])
        back = np.block([[np.ones((1, 1)), -(means / sizes)[None, :]], [np.zeros((len(sizes), 1)), back]])
    if penalty is not None:
        return design, back
    left, values, right = np.linalg.svd(design, full_matrices=False)
    kept = values > 1e-13 * values[0] if values[0] > 0 else np.zeros(len(values), bool)
    root = np.sqrt(len(X))
    return left[:, kept] * root, back @ (right[kept].T / values[kept] * root)


def _newton(objective, b, most=300):
    """Newton's steps, damped by as much as it takes for the loss to fall (Levenberg and Marquardt)."""
    value, gradient, hessian = objective(b)
    damping, unmoved = 1e-3, 0
    for _ in range(most):
        eigenvalues, vectors = np.linalg.eigh(hessian)
        if not np.isfinite(eigenvalues).all() or not gradient.any() or value == 0:
            break
        along = vectors.T @ gradient
        # Where the loss is straight the curvature is 0: what would bring it to 0 along the gradient stands for it.
        damped = np.maximum(eigenvalues, 0) + damping * max(eigenvalues[-1], gradient @ gradient / abs(value))
        step = -vectors @ (along / damped)
        new = objective(b + step)
        if new[0] < value + 1e-4 * gradient @ step:
            unmoved = unmoved + 1 if value - new[0] <= 1e-14 * abs(value) else 0
            b, (value, gradient, hessian), damping = b + step, new, damping / 10
            if unmoved == 3:
                break
        elif -gradient @ step <= 1e-15 * abs(value):
            break
        else:
            damping = max(damping * 10, 1e-12)
    return b
