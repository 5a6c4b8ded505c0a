"""The scale of residuals, and the Huber loss with a delta in units of it."""
import functools

import numpy as np
import pytest
from helpers import rows

from fastgd import Blocks, huber_loss
from fastgd._data import as_data
from fastgd._objective.objective import objective_of
from fastgd._options import batch_options
from fastgd._solvers import run_batch
from fastgd._solvers.concomitant_scale import residual_mad
from fastgd.losses import Huber


def median_size(X, y, theta):
    return np.median(np.abs(y - X @ theta)) / 0.6744897501960817


def fit(X, y, **options):
    options_ = batch_options("fit", "adaptive", 1e-10, 500, "step", False, None, False, True, "gram", None)
    objective = objective_of(Huber(1.345), None, y, X, **options)
    outcome, _ = run_batch(objective, options_._replace(has_concomitant_scale=True), 0.0)
    return outcome, outcome.scale


@pytest.mark.parametrize("n", [1, 2, 7, 8, 9001, 30_000])
def test_the_spread_is_that_of_the_median(n):
    X, y = rows(n)
    theta = np.array([0.5, -1, 2])
    expected = median_size(X, y, theta)
    assert residual_mad(as_data(y, X, False), theta) == pytest.approx(expected, rel=1e-13)
    blocks = Blocks(lambda: [(X[k:k + 900], y[k:k + 900]) for k in range(0, n, 900)])
    assert residual_mad(as_data(blocks, None, False), theta) == residual_mad(as_data(y, X, False), theta)


@pytest.mark.parametrize("n", [40, 12_000])
def test_a_weight_is_a_repeated_row(n):
    X, y = rows(n)
    weights = np.random.default_rng(1).integers(0, 4, n)
    theta = np.array([0.5, -1, 2])
    repeated = median_size(X.repeat(weights, axis=0), y.repeat(weights), theta)
    assert residual_mad(as_data(y, X, False, sample_weight=weights), theta) == pytest.approx(repeated, rel=1e-13)


def test_a_sample_that_is_not_like_the_rest_does_no_harm():
    """The places that it draws are known, so that a bracket can be made that the median is not in."""
    X, y = rows(20_000, 1)
    drawn = np.zeros(20_000, dtype=bool)
    drawn[np.random.default_rng(0).integers(0, 20_000, 4096)] = True
    y = np.where(drawn, 1e6, y)
    theta = np.zeros(1)
    assert residual_mad(as_data(y, X, False), theta) == pytest.approx(median_size(X, y, theta), rel=1e-13)


@pytest.mark.parametrize("n", [20, 500])
def test_theta_and_scale_stand_still(n):
    """The slopes of the loss with the scale of the residuals are 0, and the loss has that scale."""
    for seed in range(5):
        X, y = rows(n, seed=seed)
        y = y + (np.arange(n) % 7 == 0) * 30
        outcome, scale = fit(X, y, fit_intercept=True)
        assert outcome.status == 0
        A = np.c_[np.ones(n), X]
        assert scale == pytest.approx(median_size(A, y, outcome.theta), rel=1e-8)
        slope = huber_loss.gradient(outcome.theta, y, X=X, fit_intercept=True, delta=1.345 * scale)
        assert np.abs(slope).max() < 1e-9 * scale


def test_the_units_of_the_targets_are_the_units_of_the_answer():
    X, y = rows(300)
    outcome, scale = fit(X, y)
    for unit in (1000, 1e-9):
        other, other_scale = fit(X, unit * y)
        assert np.allclose(other.theta, unit * outcome.theta, rtol=1e-8, atol=0)
        assert other_scale == pytest.approx(unit * scale)


def test_rows_of_which_most_fit_exactly_end_the_run():
    X, _ = rows(100)
    y = X @ [1.0, 2.0, -3.0]
    y[::4] += 5
    outcome, scale = fit(X, y)
    assert outcome.status == 0
    assert np.allclose(outcome.theta, [1, 2, -3], atol=1e-6)
    assert 0 < scale < 1e-6
    assert functools.reduce(max, np.abs(outcome.theta)) < 10
