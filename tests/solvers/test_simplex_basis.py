"""Few rows of a loss with kinks end at the exact minimum."""
import numpy as np
import pytest
from helpers import rows

from fastgd import AbsoluteError, Blocks, EpsilonInsensitive, Pinball, minimize
from fastgd._objective.objective import objective_of
from fastgd._solvers import simplex_basis as vertex
from fastgd._solvers.simplex_basis import minimum_at_vertex

KINKED = [AbsoluteError(), Pinball(0.9), Pinball(0.3), EpsilonInsensitive(0.4)]


def least(loss, X, y, weights=None):
    """The least loss, by linear programming."""
    optimize = pytest.importorskip("scipy.optimize")
    n, q = X.shape
    weights = np.ones(n) if weights is None else weights
    offsets = [offset for offset, _ in loss.kinks]
    # Of each row, above and below the residuals that cost nothing, what it is beyond them.
    above, below = -loss.gradient(0.0, [max(offsets) + 1]), loss.gradient(0.0, [min(offsets) - 1])
    cost = np.r_[np.zeros(q), weights * above, weights * below] / weights.sum()
    A = np.block([[-X, -np.eye(n), np.zeros((n, n))], [X, np.zeros((n, n)), -np.eye(n)]])
    b = np.r_[max(offsets) - y, y - min(offsets)]
    return optimize.linprog(cost, A, b, bounds=[(None, None)] * q + [(0, None)] * (2 * n)).fun


@pytest.mark.parametrize("loss", KINKED, ids=repr)
@pytest.mark.parametrize("n", [5, 60, 400])
def test_is_the_least_of_linear_programming_from_any_start(loss, n):
    X, y = rows(n)
    minimum = least(loss, X, y)
    for theta in (np.zeros(3), np.array([5.0, -3, 100])):
        found, _ = minimum_at_vertex(objective_of(loss, None, y, X), theta)
        assert loss(found, y, X=X) == pytest.approx(minimum, rel=1e-10, abs=1e-14)


@pytest.mark.parametrize("loss", KINKED, ids=repr)
def test_of_rows_with_weights_and_an_intercept(loss):
    X, y = rows(80)
    weights = np.random.default_rng(1).integers(0, 4, 80)
    found, _ = minimum_at_vertex(objective_of(loss, None, y, X, True, sample_weight=weights), np.zeros(4))
    minimum = least(loss, np.c_[np.ones(80), X], y, weights)
    assert loss(found, y, X=X, fit_intercept=True, sample_weight=weights) == pytest.approx(minimum, rel=1e-10)


def test_of_many_rows_on_kinks():
    X = np.repeat(np.arange(4.0), 25)[:, None]
    y = np.tile(np.arange(5.0), 20)
    found, _ = minimum_at_vertex(objective_of(Pinball(0.3), None, y, X, True), np.array([1.0, 0.1]))
    assert Pinball(0.3)(found, y, X=X, fit_intercept=True) == pytest.approx(least(
        Pinball(0.3), np.c_[np.ones(100), X], y))


@pytest.mark.parametrize("mean", [1e3, 2e4, 1e6, 1e9])
def test_no_matter_how_large_the_means_of_columns_are(mean):
    X, y = rows(60)
    minimum = least(AbsoluteError(), np.c_[np.ones(60), X], y)
    found, gap = minimum_at_vertex(objective_of(AbsoluteError(), None, y, X + mean, True), np.zeros(4))
    assert AbsoluteError()(found, y, X=X + mean, fit_intercept=True) == pytest.approx(minimum, abs=1e-14 * mean)
    assert gap < 1e-11 + 1e-17 * mean


def test_targets_far_away_do_not_move_it():
    X, y = rows(200)
    weights = np.ones(200)
    y[7], weights[7] = 1e3, 1e-7
    expected, _ = minimum_at_vertex(objective_of(Pinball(0.5), None, y, X, sample_weight=weights), np.zeros(3))
    y[7] = 1e10    # on the same side
    found, gap = minimum_at_vertex(objective_of(Pinball(0.5), None, y, X, sample_weight=weights), np.zeros(3))
    assert np.allclose(found, expected, rtol=1e-9)
    assert gap < 1e-9


def test_there_is_none_where_columns_determine_each_other_or_rows_are_many(monkeypatch):
    X, y = rows(50)
    assert minimum_at_vertex(objective_of(AbsoluteError(), None, y, np.c_[X, X[:, 0]]), np.zeros(4)) is None
    monkeypatch.setattr(vertex, "MAX_NUMBERS", 100)
    assert minimum_at_vertex(objective_of(AbsoluteError(), None, y, X), np.zeros(3)) is None


@pytest.mark.parametrize("loss", KINKED, ids=repr)
def test_a_descent_ends_there(loss):
    X, y = rows(300)
    theta = minimize(loss, None, y, "adaptive", False, X=X, fit_intercept=True, precondition="gram")
    assert loss(theta, y, X=X, fit_intercept=True) == pytest.approx(least(loss, np.c_[np.ones(300), X], y), rel=1e-10)


def test_blocks_have_the_bits_of_one_array():
    X, y = rows(300)
    weights = np.random.default_rng(1).random(300)
    blocks = Blocks(lambda: [(X[k:k + 70], y[k:k + 70], weights[k:k + 70]) for k in range(0, 300, 70)])
    options = {"fit_intercept": True, "precondition": "gram"}
    expected = minimize(Pinball(0.3), None, y, "adaptive", False, X=X, sample_weight=weights, **options)
    assert np.array_equal(minimize(Pinball(0.3), None, blocks, "adaptive", False, **options), expected)
