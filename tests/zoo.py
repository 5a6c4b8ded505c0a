"""Problems as data really come, by name, with targets for every loss."""
from typing import NamedTuple

import numpy as np
from helpers import TIPS


class Animal(NamedTuple):
    X: np.ndarray
    y: np.ndarray         # real targets
    labels: np.ndarray    # targets of 0 and 1
    fit_intercept: bool = True
    is_separable: bool = False    # whether a plane separates the labels, so that the cross-entropy has no minimum

    def targets(self, loss):
        return self.labels if loss.link == "logit" else self.y


def _animal(rng, X, noise=None, steepness=1.5, **more):
    """A linear signal of about 1 and normal noise, or that given; labels whose log-odds are the signal, times this."""
    z = X.astype(float) - X.mean(0)
    z = z / np.where(z.std(0) > 0, z.std(0), 1)
    signal = z @ (rng.uniform(0.5, 1.5, X.shape[1]) * rng.choice([-1, 1], X.shape[1])) / np.sqrt(X.shape[1])
    labels = (rng.random(len(X)) < 1 / (1 + np.exp(-steepness * signal))).astype(float)
    return Animal(X, 3 + signal + (rng.normal(size=len(X)) if noise is None else noise), labels, **more)


def _scales(rng):
    return _animal(rng, rng.normal(size=(1000, 10)) * 10 ** np.linspace(-3, 6, 10))


def _far_means(rng):
    return _animal(rng, (rng.normal(size=(800, 4)) + 1000) * [1e-2, 1, 10, 1e4])


def _correlated(rng):
    shared = rng.normal(size=(1000, 1))
    return _animal(rng, np.sqrt(0.999) * shared + np.sqrt(0.001) * rng.normal(size=(1000, 5)))


def _duplicates(rng):
    X = rng.normal(size=(500, 3))
    return _animal(rng, np.column_stack([X, X[:, 0], 7 * X[:, 1] + 3]))


def _one_hot(rng):
    return _animal(rng, np.column_stack([np.eye(5)[rng.integers(5, size=600)], rng.normal(40, 12, 600)]))


def _powers(rng):
    x = rng.uniform(0, 2, 500)
    return _animal(rng, x[:, None] ** np.arange(1, 12))


def _heavy_tails(rng):
    return _animal(rng, rng.standard_t(2.5, size=(1000, 4)), 5 * rng.standard_t(2.5, 1000), 0.5)


def _log_normal(rng):
    return _animal(rng, rng.lognormal(0, 1.5, size=(1000, 4)), rng.lognormal(0, 2, 1000), 0.5)


def _saturated(rng):
    """Log-odds of 30 and more, but some labels on the other side."""
    animal = _animal(rng, rng.normal(size=(1000, 3)) * [1, 10, 100], steepness=30)
    labels = animal.labels.copy()
    labels[:10] = 1 - labels[:10]
    return animal._replace(labels=labels)


def _separable(rng):
    X = rng.normal(50, 10, size=(300, 3))
    animal = _animal(rng, X)
    return animal._replace(labels=(X @ [1.0, -2, 3] > 100).astype(float), is_separable=True)


def _more_columns_than_rows(rng):
    return _animal(rng, rng.normal(size=(30, 50)), is_separable=True)


def _one_row(rng):
    return Animal(np.array([[3.0, -200.0]]), np.array([5.0]), np.array([1.0]), is_separable=True)


def _float32(rng):
    animal = _animal(rng, (rng.normal(3, 1, size=(2000, 5)) * 10 ** np.linspace(-2, 4, 5)).astype(np.float32))
    return animal._replace(y=animal.y.astype(np.float32), labels=animal.labels.astype(np.float32))


def _rare_dummy(rng):
    X = np.column_stack([rng.permutation(3000) < 20, rng.normal(size=3000), rng.normal(1e3, 10, 3000)]).astype(float)
    return _animal(rng, X, 30 * X[:, 0] + rng.normal(size=3000))


def _periodic(rng):
    hour = np.arange(24 * 100)
    sun = 1000 * np.maximum(0, np.sin(np.pi * (hour % 24 - 6) / 12))
    return _animal(rng, np.column_stack([sun, np.cos(hour * np.pi / 12), hour.astype(float)]))


def _large_targets(rng):
    """Prices: to losses of bounded slope they are far away, and theta is large."""
    x = rng.normal(1500, 400, 500)
    animal = _animal(rng, x[:, None], fit_intercept=False)
    return animal._replace(y=20000 * x + rng.normal(0, 2e6, 500))


def _tips(rng):
    X = TIPS[["total_bill", "size"]].to_numpy(float)
    return Animal(X, TIPS["tip"].to_numpy(), (TIPS["tip"] > 3).to_numpy(float))


#: In alphabetical order by the names of their makers.
ZOO = {make.__name__[1:]: make(np.random.default_rng(seed)) for seed, make in enumerate((
    _correlated, _duplicates, _far_means, _float32, _heavy_tails, _large_targets, _log_normal, _more_columns_than_rows,
    _one_hot, _one_row, _periodic, _powers, _rare_dummy, _saturated, _scales, _separable, _tips))}
