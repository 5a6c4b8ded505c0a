import dataclasses
import re

import numpy as np
import pytest
from helpers import quiet

import fastgd
from fastgd import ConvergenceWarning, DivergenceError, minimize, minimize_multistart, reference
from fastgd.losses import REGISTRY


def quietly(function, *args, **options):
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return function(*args, **options)


@pytest.mark.parametrize("source", [fastgd, reference])
def test_quartic(source):
    starts = [-21, 5, -3, 30, 0.5]
    result = minimize_multistart(source.quartic_loss, source.grad_quartic_loss, np.array([0.0]), starts, tol=1e-9)
    assert result.minima == pytest.approx([18.395414689923562, -14.508046083512886], abs=1e-6)
    assert result.losses == pytest.approx([0.628237, 6.950300], abs=1e-6)
    assert result.labels.tolist() == [1, 0, 1, 0, 1]
    assert float(result) == result.x == result.minima[0]
    assert result.success
    assert re.search(r"theta 18\.3954.* loss 0\.628237.* 2 of", repr(result))
    assert "theta -14.508, loss 6.9503, from -21, -3, 0.5" in repr(result)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("name", REGISTRY)
def test_each_run_is_the_single_run(name, dtype):
    rng = np.random.default_rng(0)
    y = (rng.random(5000) if name == "cross_entropy" else rng.normal(15, 3, 5000)).astype(dtype)
    loss, starts = REGISTRY[name], [-3.0, 0.0, 4.5, 16.0, 40.0]
    result = quietly(minimize_multistart, loss, loss.gradient, y, starts, 0.05, max_iter=700)
    for start, run in zip(starts, result.runs, strict=True):
        alone = quietly(minimize, loss, loss.gradient, y, 0.05, False, theta0=start, max_iter=700, full_output=True)
        assert (run.x, run.nit, run.status, run.fun, run.jac) == (
            alone.x, alone.nit, alone.status, alone.fun, alone.jac)
        assert run.message == alone.message.replace("minimize", "the descent", 1)


def test_schedules(pcttip):
    rate = fastgd.schedules.inverse_scaling(2.0, 0.5)
    result = minimize_multistart(fastgd.huber_loss, None, pcttip, [0, 30], rate)
    assert [run.x for run in result.runs] == [
        minimize(fastgd.huber_loss, None, pcttip, rate, False, theta0=start) for start in (0, 30)]


@pytest.mark.parametrize("starts", [np.linspace(-30, 30, 601), [-21, 0.62, 30], [-21, 0.612631, 30]])
def test_a_start_on_the_maximum_joins_no_minima(starts):
    with pytest.warns(ConvergenceWarning, match="18.632"):
        result = minimize_multistart(fastgd.quartic_loss, None, [0.0], starts)
    assert result.minima == pytest.approx([18.395, -14.508], abs=0.05)
    on_top = [abs(run.x - 0.6126) < 0.1 for run in result.runs]
    assert any(on_top)
    assert [run.status == 4 for run in result.runs] == on_top == (result.labels == -1).tolist()


@pytest.mark.parametrize("scale", [1e-14, 1.0, 1e14])
def test_a_double_well_of_any_depth(scale):
    def loss(theta, y):
        return scale * (theta**2 - 1) ** 2

    def gradient(theta, y):
        return scale * 4 * theta * (theta**2 - 1)

    for starts in ([-2, 2], [-2, 0, 2]):
        result = minimize_multistart(loss, gradient, [0.0], starts, 0.05 / scale, tol=1e-9)
        assert sorted(result.minima) == pytest.approx([-1, 1], abs=1e-6)


def test_a_loss_that_is_nan_is_no_success():
    with pytest.warns(ConvergenceWarning, match="from -2 .*nan"):
        result = minimize_multistart(lambda theta, y: np.nan, fastgd.grad_mse, [0.0], [-2, 2])
    assert not result.success
    assert not any(run.success for run in result.runs)


def test_a_rate_that_falls_to_zero_is_no_convergence(five_points):
    with pytest.warns(ConvergenceWarning, match="learning rate.* 0"):
        result = minimize_multistart(fastgd.mse, None, five_points, [0, 40], fastgd.schedules.cosine(0.01, 5))
    assert [run.status for run in result.runs] == [4, 4]
    assert result.labels.tolist() == [-1, -1]


def test_flat_minima_are_one():
    result = minimize_multistart(fastgd.abs_loss, None, [-1.0, 1.0], [-3, -0.5, 0.2, 7], alpha=0.01)
    assert len(result.minima) == 1
    assert result.fun == 1


def test_ends_on_two_sides_are_one_minimum(pcttip):
    result = minimize_multistart(fastgd.huber_loss, None, pcttip, np.linspace(0, 40, 30), alpha=0.05)
    assert len(result.minima) == 1


def test_starts_that_fail_are_named():
    with pytest.warns(ConvergenceWarning, match="from 1000 .*diverged") as caught:
        result = minimize_multistart(fastgd.quartic_loss, None, [0.0], [10, 1000], alpha=1.0)
    assert caught[0].filename == __file__
    assert result.labels.tolist() == [0, -1]
    assert not result.success
    assert result.x == pytest.approx(18.395, abs=0.01)
    with pytest.warns(ConvergenceWarning, match="repeats.*1 further.* 1"):
        minimize_multistart(fastgd.abs_loss, None, [0.0], [0.05, 0.1], alpha=0.2)
    with pytest.raises(DivergenceError, match="every start"):
        minimize_multistart(fastgd.mse, None, [0.0], [1, 2], alpha=1.5)


def test_a_start_that_repeats_for_ever_is_told_what_minimize_says():
    result = quietly(minimize_multistart, fastgd.abs_loss, None, [0.0], [0.1, 0.0, 30.1], alpha=0.2)
    for start, run in zip((0.1, 0.0, 30.1), result.runs, strict=True):
        alone = quietly(minimize, fastgd.abs_loss, None, [0.0], 0.2, False, theta0=start, full_output=True)
        assert (run.x, run.nit, run.status) == (alone.x, alone.nit, alone.status)
        assert run.message == alone.message.replace("minimize", "the descent", 1)


def test_a_warm_up_from_zero(pcttip):
    def rate(t):
        return min(0.2, 0.02 * t)

    result = minimize_multistart(fastgd.huber_loss, None, pcttip, [0.0, 30.0], rate)
    assert [run.x for run in result.runs] == [
        minimize(fastgd.huber_loss, None, pcttip, rate, False, theta0=start) for start in (0.0, 30.0)]


@pytest.mark.parametrize("option", [{"tol": -1}, {"tol": "x"}, {"max_iter": 0}, {"max_iter": 1.5}])
def test_bad_options_are_refused_by_name(option):
    with pytest.raises((TypeError, ValueError), match=f"'{next(iter(option))}' parameter"):
        minimize_multistart(fastgd.mse, None, [1.0], [0.0], **option)


def test_where_nothing_converged_the_best_is_one_with_a_loss():
    def loss(theta, y):
        return theta**2 if theta < 5 else np.nan

    for starts in ([100.0, 1.0], [1.0, 100.0]):
        result = quietly(minimize_multistart, loss, fastgd.grad_mse, [0.0], starts, 0.01, max_iter=1)
        assert result.x == pytest.approx(0.98)
        assert result.labels.tolist() == [-1, -1]


@pytest.mark.parametrize("starts", [[], [np.nan], [[1.0]], "a", None])
def test_bad_starts(starts):
    with pytest.raises((TypeError, ValueError), match="starts"):
        minimize_multistart(fastgd.mse, None, [1.0], starts)


class TestAuto:
    @pytest.mark.parametrize("name", [name for name, loss in REGISTRY.items() if loss.max_stable_alpha is not None])
    def test_each_run_is_that_of_minimize(self, name, pcttip):
        loss, y = REGISTRY[name], pcttip / 50 if name == "cross_entropy" else pcttip
        starts = [-2.0, 0.5, 3.0]
        result = minimize_multistart(loss, None, y, starts, alpha="auto")
        assert [run.x for run in result.runs] == [
            minimize(loss, None, y, "auto", False, theta0=start) for start in starts]
        assert len(result.minima) == 1

    def test_a_loss_of_no_bounded_curvature(self):
        for loss in (fastgd.quartic_loss, reference.mse):
            with pytest.raises(ValueError, match=r"alpha='auto'.*bounded curvature "
                                                 r"\(mse, huber_loss, cross_entropy, log_cosh\)"):
                minimize_multistart(loss, None, [0.0], [1.0], alpha="auto")

    def test_another_word(self):
        with pytest.raises(TypeError, match=r"'alpha'.*'auto'.*'fast'"):
            minimize_multistart(fastgd.mse, None, [0.0], [1.0], alpha="fast")


class TestThreads:
    @quiet
    @pytest.mark.parametrize("alpha", [0.05, lambda t: 0.1 / (1 + t), "auto"])
    @pytest.mark.parametrize("name", ["log_cosh", "huber_loss"])
    def test_share_the_starts_with_the_same_bits(self, name, alpha):
        y = np.random.default_rng(0).normal(0, 0.5, 5000)
        starts = np.linspace(-2, 2, 11)
        expected = minimize_multistart(REGISTRY[name], None, y, starts, alpha, tol=1e-6, max_iter=60)
        for n_threads in (1, 2, 3, 7):
            result = minimize_multistart(REGISTRY[name], None, y, starts, alpha, tol=1e-6, max_iter=60,
                                         n_threads=n_threads)
            assert result == expected
            assert result.runs == expected.runs

    @quiet
    def test_share_the_points_where_these_are_many_and_the_starts_few(self, many_points):
        y = np.tile(many_points, 2)
        expected = minimize_multistart(fastgd.huber_loss, None, y, [0.0, 2.0], max_iter=3)
        for n_threads in (2, 3, 7):
            result = minimize_multistart(fastgd.huber_loss, None, y, [0.0, 2.0], max_iter=3,
                                         n_threads=n_threads)
            assert result.runs == expected.runs


def test_results_are_equal_by_their_contents():
    arguments = fastgd.quartic_loss, None, [0.0]
    result, again = (minimize_multistart(*arguments, [-21, 5, 30]) for _ in range(2))
    other = minimize_multistart(*arguments, [-21, 6, 30])
    assert result == again
    assert result != other
    assert result != minimize_multistart(*arguments, [-21, 30])
    assert result != 3
    assert result != result.x
    assert dataclasses.replace(result, runs=[]) == result
    for field, value in (("minima", result.minima + 1), ("labels", -result.labels), ("success", False)):
        assert dataclasses.replace(result, **{field: value}) != result, field
    with pytest.raises(TypeError, match="unhashable"):
        hash(result)


@quiet
def test_results_without_a_loss_that_is_finite_equal_themselves():
    result, again = (minimize_multistart(lambda theta, y: np.nan, fastgd.grad_mse, [0.0], [-2, 2]) for _ in range(2))
    assert np.isnan(result.fun)
    assert result == result
    assert result == again
