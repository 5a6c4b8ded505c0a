"""sample_weight: no weight is no row, equal weights are none, whole ones are repeated rows; the means of the oracle."""
import numpy as np
import pytest
from helpers import DTYPES, LOSSES, oracle, own, quiet, raw_rows, same_as_the_oracle, targets_for

from fastgd import huber_loss, minimize, minimize_mini_batch, minimize_sgd, mse

WITH_X = [False, True]


def problem(name, with_x, dtype=float):
    """Targets, integer weights with zeros among them, and what makes a linear model of them."""
    X, y, weights = raw_rows(name, dtype=dtype)
    X = ((X - X.mean(axis=0)) / X.std(axis=0)).astype(dtype)
    if with_x:
        return y, weights, {"X": X, "fit_intercept": True}
    return targets_for(name, np.random.default_rng(0), len(y), dtype), weights, {}


def of_rows(model, kept):
    return {name: value[kept] if name == "X" else value for name, value in model.items()}


def descents(name, y, model, **options):
    """The thetas of every kind of descent, after some updates."""
    loss = LOSSES[name]
    alpha = 1e-5 if name == "quartic_loss" else 0.05
    batch = [minimize(loss, None, y, alpha, False, tol=0, max_iter=20, **ways, **model, **options) for ways in (
        {}, {"momentum": "nesterov"}, {"precondition": "scale"}, {"precondition": "gram"})]
    named = {"rng": 0, "tol": 0, "max_epochs": 2, **model, **options}
    return [*batch, minimize_sgd(loss, None, y, alpha, **named), minimize_mini_batch(loss, None, y, 7, alpha, **named)]


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("with_x", WITH_X)
def test_means_of_the_oracle(name, with_x):
    for dtype in DTYPES:
        y, weights, model = problem(name, with_x, dtype)
        theta = [15.0, 1, -2, 3] if with_x else 15.0
        for function, kind in ((LOSSES[name], ""), (LOSSES[name].gradient, "grad_")):
            expected = oracle(name, kind)(np.array(theta), y, sample_weight=weights, **model)
            rel = 1e-12 if dtype is float else 1e-4
            assert function(theta, y, sample_weight=weights, **model) == pytest.approx(expected, rel=rel)


@quiet
@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("with_x", WITH_X)
def test_descents_of_the_oracle(name, with_x):
    y, weights, model = problem(name, with_x)
    for scale in (1.0, 1e-200, 1e200):
        options = {"tol": 0, "sample_weight": weights * scale, **model}
        for k in (1, 20):
            same_as_the_oracle("minimize", name, y, 0.01, False, max_iter=k, **options)
    if LOSSES[name].is_convex:
        same_as_the_oracle("minimize_sgd", name, y, 0.01, rng=0, max_epochs=3, **options)
        same_as_the_oracle("minimize_mini_batch", name, y, 7, 0.01, rng=0, max_epochs=3, **options)


@quiet
@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("with_x", WITH_X)
def test_no_weight_is_no_row(name, with_x):
    y, weights, model = problem(name, with_x)
    kept = weights > 0
    some = of_rows(model, kept)
    for theta, other in zip(descents(name, y, model, sample_weight=weights),
                            descents(name, y[kept], some, sample_weight=weights[kept]), strict=True):
        assert np.array_equal(theta, other)
    for theta, other in zip(descents(name, y, model, sample_weight=kept * 3),
                            descents(name, y[kept], some), strict=True):
        assert np.array_equal(theta, other)


@quiet
@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("with_x", WITH_X)
def test_equal_weights_are_none(name, with_x):
    for dtype in DTYPES:
        y, _, model = problem(name, with_x, dtype)
        theta = [15.0, 1, -2, 3] if with_x else 15.0
        for weight in (1, 0.1):
            weights = np.full(len(y), weight)
            weighted, plain = descents(name, y, model, sample_weight=weights), descents(name, y, model)
            for ours, other in zip(weighted, plain, strict=True):
                assert np.array_equal(ours, other)
            for function in (LOSSES[name], LOSSES[name].gradient):
                assert np.array_equal(function(theta, y, sample_weight=weights, **model), function(theta, y, **model))


@quiet
@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("with_x", WITH_X)
def test_a_whole_weight_is_a_repeated_row(name, with_x):
    y, weights, model = problem(name, with_x)
    rows = np.repeat(np.arange(len(y)), weights.astype(int))
    repeated = of_rows(model, rows)
    theta = [15.0, 1, -2, 3] if with_x else 15.0
    for function in (LOSSES[name], LOSSES[name].gradient):
        assert function(theta, y, sample_weight=weights, **model) == pytest.approx(
            function(theta, y[rows], **repeated), rel=1e-12, abs=1e-14)
    for ours, other in zip(descents(name, y, model, sample_weight=weights)[:4],
                           descents(name, y[rows], repeated)[:4], strict=True):
        assert ours == pytest.approx(other, rel=1e-11, abs=1e-13)


@pytest.mark.parametrize("with_x", WITH_X)
def test_result_has_the_weighted_loss_and_slope(with_x):
    y, weights, model = problem("huber_loss", with_x)
    run = minimize(huber_loss, None, y, "auto", False, sample_weight=weights, full_output=True, **model)
    assert run.fun == huber_loss(run.x, y, sample_weight=weights, **model)
    assert np.array_equal(run.jac, huber_loss.gradient(run.x, y, sample_weight=weights, **model))


@pytest.mark.parametrize("with_x", WITH_X)
def test_curve_has_the_bits_of_a_call(with_x):
    y, weights, model = problem("mse", with_x)
    thetas = np.random.default_rng(1).normal(size=(5, 4) if with_x else 5)
    curve = mse.curve(thetas, y, sample_weight=weights, **model)
    assert curve.tolist() == [mse(theta, y, sample_weight=weights, **model) for theta in thetas]


@pytest.mark.parametrize(("weights", "error", "match"), [
    ([1.0, -1.0, 1.0], ValueError, r"sample_weight.*-1 at position 1"),
    ([1.0, np.nan, 1.0], ValueError, r"sample_weight.*dataset, X.*weight of 0"),
    (np.ma.masked_equal([1.0, 2.0, 1.0], 2.0), TypeError, r"masked.*dataset, X and sample_weight"),
    ([1.0, np.inf, 1.0], ValueError, r"sample_weight"),
    ([0.0, 0.0, 0.0], ValueError, r"sample_weight.*above 0.*3 zeros"),
    ([1.0, 2.0], ValueError, r"\[3, 2\].*sample_weight"),
    ([[1.0, 2.0, 3.0]], ValueError, r"sample_weight"),
    (2.0, (TypeError, ValueError), r"sample_weight"),
    (["a", "b", "c"], (TypeError, ValueError), r"sample_weight"),
])
def test_weights_that_are_none(weights, error, match):
    y = [1.0, 2.0, 4.0]
    for model in ({}, {"X": [[1.0], [2.0], [3.0]]}):
        for call in (lambda **named: mse([0.0] if "X" in named else 0.0, y, **named),
                     lambda **named: minimize(mse, None, y, progress=False, **named),
                     lambda **named: minimize_sgd(mse, None, y, rng=0, **named),
                     lambda **named: minimize_mini_batch(mse, None, y, 2, rng=0, **named)):
            with pytest.raises(error, match=match):
                call(sample_weight=weights, **model)


def test_functions_in_python_have_none():
    y, weights, model = problem("mse", True)
    loss, gradient = own(oracle("mse", "")), own(oracle("mse"))
    for functions in ((loss, gradient), (None, gradient), (loss, None), (loss, mse.gradient), (mse, gradient)):
        with pytest.raises(TypeError, match=r"sample_weight.*fastgd's own"):
            minimize(*functions, y, progress=False, sample_weight=weights, **model)
