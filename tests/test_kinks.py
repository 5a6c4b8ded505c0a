"""Losses of rows with kinks, descended on smoothed: near what linear programming finds, within the stated bound."""
import re

import numpy as np
import pytest

from fastgd import (
    ConvergenceWarning,
    DivergenceError,
    EpsilonInsensitive,
    Pinball,
    abs_loss,
    minimize,
    penalties,
)

#: Each loss with its slopes above and below its kinks, and how far these are from 0.
KINKED = {abs_loss: (1, 1, 0), Pinball(0.1): (0.1, 0.9, 0), Pinball(0.5): (0.5, 0.5, 0), Pinball(0.9): (0.9, 0.1, 0),
          EpsilonInsensitive(0.5): (1, 1, 0.5)}
WAYS = {"nesterov": {"alpha": "auto", "momentum": "nesterov"}, "adaptive": {"alpha": "adaptive"},
        "plain": {"alpha": "auto"}}


def rows(n, seed=0):
    """Raw columns, and targets of a spread that grows with the first one."""
    rng = np.random.default_rng(seed)
    X = rng.normal([0, 50, 1e4], [1, 10, 3e3], (n, 3))
    return X, X @ [1, 0.2, -0.001] + rng.standard_t(3, n) * (1 + X[:, 0] ** 2)


def least(loss, X, y, l1=0.0):
    """The least mean loss of a model with an intercept, and a penalty of l1, by linear programming.

    The variables are the intercept and the weights, the residuals' excesses above and below, and abs(weight).
    """
    (n, p), (above, below, epsilon) = X.shape, KINKED[loss]
    A, excess, sizes = np.column_stack([np.ones(n), X]), np.eye(n), np.eye(p)
    weights = np.eye(p, p + 1, 1)
    none, nothing = np.zeros((n, n)), np.zeros((n, p))
    conditions = np.block([[-A, -excess, none, nothing], [A, none, -excess, nothing],
                           [weights, nothing.T, nothing.T, -sizes], [-weights, nothing.T, nothing.T, -sizes]])
    costs = np.repeat([0, above / n, below / n, l1], [p + 1, n, n, p])
    linprog = pytest.importorskip("scipy.optimize").linprog
    found = linprog(costs, conditions, np.concatenate([epsilon - y, y + epsilon, np.zeros(2 * p)]), method="highs",
                    bounds=[(None, None)] * (p + 1) + [(0, None)] * (2 * n + p))
    assert found.status == 0
    return found.fun


def fit(loss, X, y, way, precondition="gram", **options):
    return minimize(loss, None, y, progress=False, X=X, fit_intercept=True, precondition=precondition, full_output=True,
                    **WAYS[way], **options)


def stated_bound(result):
    return float(re.search(r"at most (\S+) above its least", result.message).group(1))


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("loss", KINKED, ids=repr)
@pytest.mark.parametrize("n", [60, 400])
def test_is_near_the_answer_of_linear_programming(n, loss, way):
    X, y = rows(n)
    minimum, result = least(loss, X, y), fit(loss, X, y, way)
    assert result.success
    assert result.fun == loss(result.x, y, X=X, fit_intercept=True)
    assert minimum <= result.fun * (1 + 1e-12) <= 1.001 * minimum
    assert result.fun - minimum <= stated_bound(result) * 1.005    # of which three digits are shown


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("loss", KINKED, ids=repr)
def test_ends_by_the_loss_where_the_bound_is_below_tol(loss, way):
    X, y = rows(60)
    minimum = least(loss, X, y)
    for tol in (1e-2 * minimum, 1e-4 * minimum):
        result = fit(loss, X, y, way, stop="loss", tol=tol)
        assert result.success
        assert result.fun - minimum <= stated_bound(result) * 1.005 <= tol * 1.005


@pytest.mark.parametrize("loss", KINKED, ids=repr)
def test_a_weight_is_a_repeated_row(loss):
    X, y = rows(60)
    weights = np.random.default_rng(1).integers(0, 4, 60)
    minimum = least(loss, X.repeat(weights, axis=0), y.repeat(weights))
    result = fit(loss, X, y, "adaptive", sample_weight=weights)
    assert minimum <= result.fun * (1 + 1e-12) <= 1.001 * minimum


def test_data_that_fit_have_no_loss():
    X, _ = rows(60)
    y = 3 + X @ [1, 0.2, -0.001]
    result = fit(abs_loss, X, y, "adaptive")
    assert result.fun < 1e-6 * abs_loss(0.0, y)


@pytest.mark.parametrize("way", ["nesterov", "adaptive"])
@pytest.mark.parametrize("loss", KINKED, ids=repr)
def test_a_penalty_of_l1(loss, way):
    X, y = rows(60)
    X = (X - X.mean(axis=0)) / X.std(axis=0)
    minimum = least(loss, X, y, 0.05)
    result = fit(loss, X, y, way, "scale", penalty=penalties.L1(0.05))
    assert minimum <= result.fun * (1 + 1e-12) <= 1.001 * minimum


@pytest.mark.parametrize("way", WAYS)
def test_a_start_of_enormous_loss_is_said_in_words(way):
    X, y = rows(50)
    for theta0 in (1e170, 1e300):
        with pytest.warns(ConvergenceWarning, match="did not converge"):
            minimize(abs_loss, None, y, X=X, theta0=theta0, max_iter=10, **WAYS[way])
    with pytest.raises(DivergenceError, match="the last finite theta"):
        minimize(abs_loss, None, y, X=X, theta0=1e308, max_iter=10, **WAYS[way])
