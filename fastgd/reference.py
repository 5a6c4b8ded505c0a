"""The oracle: the textbook's functions in plain numpy.

The compiled functions give the same bits on float64 and float32 arrays (`cross_entropy` and
`log_cosh`, which need exp: the same to about 1e-12).
"""
import numpy as np


def mse(theta, dataset):
    return np.mean((dataset - theta) ** 2)


def grad_mse(theta, dataset):
    return -2 * np.mean(dataset - theta)


def abs_loss(theta, dataset):
    return np.mean(np.abs(dataset - theta))


def grad_abs_loss(theta, dataset):
    return np.mean(-np.sign(dataset - theta))


def huber_loss(theta, dataset, delta=1):
    a = np.abs(dataset - theta)
    return np.mean(np.where(a <= delta, a ** 2 / 2, delta * (a - delta / 2)))


def grad_huber_loss(theta, dataset, delta=1):
    r = dataset - theta
    return np.mean(np.where(np.abs(r) <= delta, -r, -delta * np.sign(r)))


def quartic_loss(theta, dataset):
    r = dataset - theta
    return np.mean((r + 12) * (r + 23) * (r - 14) * (r - 15) / 5000 + 7)


def grad_quartic_loss(theta, dataset):
    r = dataset - theta
    return np.mean(-1 / 2500 * (2 * (r * r * r) + 9 * r ** 2 - 529 * r - 327))


def cross_entropy(theta, dataset):
    return np.mean(np.logaddexp(0, theta) - dataset * theta)


def grad_cross_entropy(theta, dataset):
    return np.mean(np.exp(-np.logaddexp(0, -theta)) - dataset)


def pinball_loss(theta, dataset, q=0.5):
    r = dataset - theta
    return np.mean(np.where(r > 0, q * r, (q - 1) * r))


def grad_pinball_loss(theta, dataset, q=0.5):
    r = dataset - theta
    return np.mean(np.where(r > 0, -q * np.sign(r), (q - 1) * np.sign(r)))


def log_cosh(theta, dataset):
    r = dataset - theta
    near = np.log1p(2 * np.sinh(np.clip(r, -1, 1) / 2) ** 2)
    return np.mean(np.where(np.abs(r) < 1, near, np.logaddexp(r, -r) - np.log(2)))


def grad_log_cosh(theta, dataset):
    return np.mean(-np.tanh(dataset - theta))


def epsilon_insensitive(theta, dataset, epsilon=0.1):
    return np.mean(np.maximum(np.abs(dataset - theta) - epsilon, 0))


def grad_epsilon_insensitive(theta, dataset, epsilon=0.1):
    r = dataset - theta
    return np.mean(np.where(np.abs(r) <= epsilon, 0, -np.sign(r)))


def simple_minimize(loss_fn, dataset, thetas):
    return thetas[np.argmin([loss_fn(theta, dataset) for theta in thetas])]


def minimize(loss_fn, grad_loss_fn, dataset, alpha=0.2, progress=True, *, theta0=0.0, tol=1e-3, max_iter=100_000):
    theta = theta0
    for t in range(max_iter):
        if progress:
            print(f"theta: {theta:.2f} | loss: {loss_fn(theta, dataset):.2f}")
        rate = alpha(t) if callable(alpha) else alpha
        new = theta - rate * grad_loss_fn(theta, dataset)
        if abs(new - theta) < tol:
            return new
        theta = new
    return theta


def minimize_sgd(loss_fn, grad_loss_fn, dataset, alpha=0.2, *, rng=None, theta0=0.0, tol=1e-3, max_epochs=1000):
    return _descend_on_pieces(
        grad_loss_fn, dataset, lambda data: data, alpha, rng, theta0, tol, max_epochs)


def minimize_mini_batch(loss_fn, grad_loss_fn, dataset, minibatch_size, alpha=0.2, *, rng=None, theta0=0.0, tol=1e-3,
                        max_epochs=1000):
    def slices(data):
        return [data[i:i + minibatch_size] for i in range(0, len(data), minibatch_size)]

    return _descend_on_pieces(grad_loss_fn, dataset, slices, alpha, rng, theta0, tol, max_epochs)


def _descend_on_pieces(grad_loss_fn, dataset, pieces_of, alpha, rng, theta0, tol, max_epochs):
    rng = np.random if rng is None else rng if hasattr(rng, "shuffle") else np.random.default_rng(rng)
    data, theta, t = np.array(dataset), theta0, 0
    for _ in range(max_epochs):
        rng.shuffle(data)
        for piece in pieces_of(data):
            rate = alpha(t) if callable(alpha) else alpha
            new = theta - rate * grad_loss_fn(theta, piece)
            if abs(new - theta) < tol:
                return new
            theta, t = new, t + 1
    return theta
