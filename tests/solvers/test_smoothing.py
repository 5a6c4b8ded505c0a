"""Losses of rows with kinks, descended on smoothed: near what linear programming finds, within the stated bound."""
from types import SimpleNamespace

import numpy as np
import pytest
from helpers import quiet, stated_bound

from fastgd import (
    ConvergenceWarning,
    DivergenceError,
    EpsilonInsensitive,
    Pinball,
    abs_loss,
    minimize,
    penalties,
)
from fastgd._objective.objective import objective_of
from fastgd._solvers import simplex_basis as vertex
from fastgd._solvers.order_statistic import OrderStatistic

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


@pytest.mark.parametrize("n", [60, 2000])
def test_data_that_fit_have_no_loss(n, monkeypatch):
    monkeypatch.setattr(vertex, "MAX_NUMBERS", 1000)
    X, _ = rows(n)
    y = 3 + X @ [1, 0.2, -0.001]
    for way in WAYS:
        result = fit(abs_loss, X, y, way)
        assert result.success
        assert result.fun <= stated_bound(result) * 1.005 < 1e-11 * abs_loss(0.0, y)


@pytest.mark.parametrize("theta0", [0.0, 1e6])
@pytest.mark.parametrize("offset", [0.0, 1e3, 1e6, 1e9])
def test_how_far_the_targets_or_the_start_are_does_not_count(offset, theta0, monkeypatch):
    monkeypatch.setattr(vertex, "MAX_NUMBERS", 0)
    rng = np.random.default_rng(0)
    X = rng.normal(size=(3000, 3))
    y = X @ [1, 2, 3] + rng.standard_t(3, 3000)
    minimum = fit(Pinball(0.9), X, y, "adaptive", stop="loss", tol=1e-7).fun
    for options, enough in (({}, 1e-4 * minimum), ({"stop": "loss", "tol": 1e-6}, 1e-6 + 1e-14 * offset)):
        result = fit(Pinball(0.9), X, offset + y, "adaptive", theta0=theta0, **options)
        assert result.success
        assert stated_bound(result) <= enough + 1e-14 * offset
        assert result.fun - minimum <= stated_bound(result) * 1.005


@quiet
@pytest.mark.parametrize("seed", [1, 2, 4, 6])
def test_the_bound_holds_where_a_few_rows_are_very_long(seed):
    rng = np.random.default_rng(seed)
    X = np.exp(3 * rng.normal(size=(500, 3)))
    y = X @ [1.0, 2, 3] + rng.normal(size=500)
    minimum = least(abs_loss, X, y)
    for options in ({"max_iter": 500}, {"stop": "loss", "tol": 0.1 * minimum, "max_iter": 1000}):
        for way in WAYS:
            result = fit(abs_loss, X, y, way, None, **options)
            assert result.fun - minimum <= stated_bound(result) * 1.005 + 1e-6 * minimum    # as the solver has it
            assert not result.success or result.fun <= 1.1 * minimum


@pytest.mark.parametrize("seed", [28, 29, 30])
def test_at_the_limit_of_updates_the_bound_is_that_of_the_answer(seed):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(60, 2)) * [1, 30]
    y = 1000 + X @ [1, 1.0] + rng.normal(size=60)
    minimum = least(abs_loss, X, y)
    for way in WAYS:
        with pytest.warns(ConvergenceWarning, match="50 updates"):
            result = fit(abs_loss, X, y, way, None, max_iter=50)
        assert result.fun - minimum <= stated_bound(result) * 1.005


def test_what_the_limit_of_updates_leaves_may_be_enough():
    X, y = rows(300)
    result = fit(abs_loss, X, y, "plain", "scale", penalty=penalties.L1(0.01), max_iter=2000)
    assert result.success
    short = fit(abs_loss, X, y, "plain", "scale", penalty=penalties.L1(0.01), max_iter=result.nit - 1)
    assert short.success == (stated_bound(short) < 1e-3 * short.fun)


@quiet
@pytest.mark.parametrize("shape", [(5, 6), (20, 30), (30, 60)])
@pytest.mark.parametrize("l2", [0.0, 1e-9])
def test_a_penalty_of_l1_where_columns_outnumber_rows(shape, l2):
    for seed in range(4):
        rng = np.random.default_rng(seed)
        X = rng.normal(size=shape)
        y = X[:, :3] @ [1, 2, -1] + rng.standard_t(3, shape[0])
        minimum = least(abs_loss, X, y, 0.01)
        result = fit(abs_loss, X, y, "adaptive", "scale", penalty=penalties.ElasticNet(0.01, l2), max_iter=1500)
        assert result.fun - minimum <= stated_bound(result) * 1.005 + 1e-6 * minimum
        assert not result.success or result.fun <= 1.001 * minimum


@pytest.mark.parametrize("way", ["nesterov", "adaptive"])
def test_a_start_that_is_as_good_is_returned(way, monkeypatch):
    """Most targets are 0, and theta 0 is the minimum; smoothed versions have theirs beside it."""
    monkeypatch.setattr(vertex, "MAX_NUMBERS", 0)
    rng = np.random.default_rng(0)
    X = rng.normal(size=(3000, 3))
    y = np.where(rng.random(3000) < 0.7, 0, rng.poisson(3, 3000)).astype(float)
    result = fit(abs_loss, X, y, way)
    assert result.success
    assert result.fun == y.mean()
    y = X @ [1, 2, 3] + rng.standard_t(3, 3000)
    first = fit(Pinball(0.9), X, y, way, stop="loss", tol=1e-6)
    again = fit(Pinball(0.9), X, y, way, theta0=first.x)
    assert again.success
    assert again.fun <= first.fun


def test_a_tol_that_is_not_met_is_no_success(monkeypatch):
    monkeypatch.setattr(vertex, "MAX_NUMBERS", 0)
    rng = np.random.default_rng(0)
    X = rng.normal(size=(100, 2))
    y = X @ [1, 2] + rng.standard_t(3, 100)
    with pytest.warns(ConvergenceWarning, match="rounding.*tol"):
        result = fit(abs_loss, X, y, "adaptive", stop="loss", tol=0)
    assert not result.success
    assert stated_bound(result) < 1e-8


def test_a_slope_of_one_point_of_many_is_no_rounding():
    statistic = OrderStatistic(objective_of(Pinball(0.9), None, np.arange(10, dtype=np.float32)))
    assert statistic.is_flat(1e-8)
    statistic._points = SimpleNamespace(n=8_000_000, dtype=np.dtype(np.float32))
    assert not statistic.is_flat(1 / 8e6)


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
        with pytest.warns(ConvergenceWarning, match="10 updates"):
            minimize(abs_loss, None, y, X=X, theta0=theta0, max_iter=10, **WAYS[way])
    with pytest.raises(DivergenceError, match="finite theta"):
        minimize(abs_loss, None, y, X=X, theta0=1e308, max_iter=10, **WAYS[way])
