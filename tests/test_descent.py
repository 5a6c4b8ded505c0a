"""Batch descent and the grid search on points: the course's answers, and the oracle's bits."""
import functools

import numpy as np
import pytest
from helpers import EXACT, GRID, LOSSES, course, descend, descend_in_python, in_threads, quiet
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

import fastgd
from fastgd import Huber, minimize, reference, simple_minimize
from fastgd.losses import REGISTRY

COURSE_LINES = [
    "0.00/218.76", "5.86/81.21", "9.38/31.70", "11.49/13.87", "12.76/7.45", "13.52/5.14", "13.98/4.31", "14.25/4.01",
    "14.41/3.90", "14.51/3.86", "14.57/3.85", "14.61/3.85", "14.63/3.84", "14.64/3.84", "14.65/3.84", "14.65/3.84",
    "14.66/3.84", "14.66/3.84"]
COURSE_OUTPUT = "".join("theta: {} | loss: {}\n".format(*line.split("/")) for line in COURSE_LINES)


class TestKnownAnswers:
    def test_the_course_grid(self, pcttip):
        y = [12, 13, 15, 16, 17]
        assert simple_minimize(fastgd.mse, y, GRID) == 14.59999999999999
        assert simple_minimize(fastgd.huber_loss, y, GRID) == 14.99999999999999
        assert simple_minimize(fastgd.huber_loss, pcttip, GRID) == 15.499999999999988

    def test_mse_prints_the_course_lines(self, five_points, capsys):
        assert minimize(fastgd.mse, fastgd.grad_mse, five_points) == 14.658511131035242
        assert capsys.readouterr().out == COURSE_OUTPUT

    def test_python_functions_print_the_course_lines(self, five_points, capsys):
        assert minimize(reference.mse, reference.grad_mse, five_points) == 14.658511131035242
        assert capsys.readouterr().out == COURSE_OUTPUT

    def test_huber_on_the_tips(self, pcttip):
        result = minimize(fastgd.huber_loss, fastgd.grad_huber_loss, pcttip, progress=False, full_output=True)
        assert (result.x, result.nit) == (15.506849531471964, 189)
        assert float(result) == result.x
        assert result.success
        assert result.status == 0
        assert result.fun == reference.huber_loss(result.x, pcttip)
        assert result.jac == reference.grad_huber_loss(result.x, pcttip)

    def test_a_small_tol_finds_the_true_minimisers(self, pcttip):
        assert descend(fastgd.huber_loss, pcttip, tol=1e-12) == pytest.approx(15.530634, abs=1e-6)
        assert descend(fastgd.mse, pcttip, tol=1e-12) == pytest.approx(16.080258, abs=1e-6)

    @quiet
    @pytest.mark.parametrize(("theta", "new"), [(12, 13.596), (13.6, 14.236), (14.24, 14.492), (14.49, 14.592)])
    def test_single_steps_of_mse(self, theta, new, five_points):
        assert descend(fastgd.mse, five_points, 0.3, theta0=theta, max_iter=1) == pytest.approx(new, abs=5e-4)

    @quiet
    @pytest.mark.parametrize(("theta", "new"), [
        (-21, -9.944999999999999), (-9.9, -12.641412), (-12.6, -14.162808), (-14.2, -14.497463999999999)])
    def test_single_steps_of_quartic(self, theta, new):
        assert descend(fastgd.quartic_loss, [0], 2.5, theta0=theta, max_iter=1) == new

    @pytest.mark.parametrize(("start", "end", "loss"), [
        (-21, -14.508046083512886, 6.950300), (30, 18.395414689923562, 0.628237)])
    def test_both_minima_of_quartic(self, start, end, loss):
        result = descend(fastgd.quartic_loss, [0], 0.5, theta0=start, tol=0, full_output=True)
        assert result.success
        assert result.x == pytest.approx(end, rel=1e-15)
        assert result.fun == pytest.approx(loss, abs=1e-6)


class TestSameAsTheReference:
    @quiet
    @pytest.mark.parametrize("dtype", [np.float64, np.float32])
    @pytest.mark.parametrize("alpha", [0.05, 0.2, 0.7])
    @pytest.mark.parametrize("name", EXACT)
    def test_bits_of_every_loss(self, name, alpha, dtype):
        rng = np.random.default_rng(0)
        alpha = alpha / 100 if name == "quartic_loss" else alpha
        for n in (1, 5, 100, 3000):
            y = rng.normal(15, 3, n).astype(dtype)
            result = descend(LOSSES[name], y, alpha, max_iter=500, full_output=True)
            expected = course(name, y, alpha, max_iter=result.nit)
            assert result.x == float(expected)
            in_python = descend_in_python(name, y, alpha, max_iter=500)
            assert (in_python.x, in_python.nit, in_python.status) == (result.x, result.nit, result.status)

    @quiet
    @settings(max_examples=150)
    @given(data=st.data(), name=st.sampled_from(["mse", "abs_loss", "huber_loss"]))
    def test_bits_of_any_data(self, data, name):
        dtype = data.draw(st.sampled_from([np.float64, np.float32]))
        width = 32 if dtype is np.float32 else 64
        y = data.draw(npst.arrays(dtype, st.integers(1, 40), elements=st.floats(-1e6, 1e6, width=width)))
        alpha = data.draw(st.floats(1e-3, 0.9))
        theta0 = data.draw(st.floats(-100, 100, width=width))
        result = descend(REGISTRY[name], y, alpha, theta0=theta0, max_iter=60, full_output=True)
        assert result.x == float(course(name, y, alpha, theta0=theta0, max_iter=result.nit))

    def test_cross_entropy_within_rounding(self):
        y = np.random.default_rng(1).random(1000)
        assert descend(fastgd.cross_entropy, y) == pytest.approx(course("cross_entropy", y), rel=1e-12)

    @pytest.mark.parametrize("delta", [0.5, 2])
    def test_a_delta_given_by_partial_or_class(self, delta, pcttip):
        expected = reference.minimize(None, functools.partial(reference.grad_huber_loss, delta=delta), pcttip,
                                      progress=False)
        partial = functools.partial(fastgd.grad_huber_loss, delta=delta)
        assert minimize(None, partial, pcttip, progress=False) == expected
        assert minimize(None, Huber(delta).gradient, pcttip, progress=False) == expected

    def test_standing_still_is_convergence_even_without_a_tolerance(self):
        result = minimize(fastgd.mse, fastgd.grad_mse, [3.0], 0.5, progress=False, tol=0, full_output=True)
        assert result.success
        assert result.x == 3.0


class TestSimpleMinimize:
    def test_is_the_reference(self):
        rng = np.random.default_rng(3)
        for name, loss in REGISTRY.items():
            y = rng.random(500)
            thetas = rng.normal(0, 1, 200)
            found = simple_minimize(loss, y, thetas)
            assert found == simple_minimize(loss, y, thetas, n_threads=3)
            assert type(found) is float
            assert found == simple_minimize(getattr(reference, name), y, thetas)
            if name in EXACT:
                assert found == reference.simple_minimize(getattr(reference, name), y, thetas)

    def test_takes_the_first_of_equals(self):
        assert simple_minimize(fastgd.abs_loss, [-1.0, 1.0], [-3, 0.5, 0.0, -0.5]) == 0.5

    def test_a_grid_where_nothing_is_finite(self):
        with pytest.raises(ArithmeticError, match="2 thetas"):
            simple_minimize(fastgd.mse, [1e300], [0.0, 1.0])
        assert simple_minimize(fastgd.quartic_loss, [0.0], [1e300, 1.0]) == 1.0


def test_8_threads_share_a_loss(pcttip):
    assert in_threads(8, lambda k: [descend(fastgd.huber_loss, pcttip) for _ in range(50)]) == [
        [15.506849531471964] * 50] * 8


class TestTheRuleOfOneStep:
    @pytest.mark.parametrize("start", [3.8e86, -1e40])
    def test_a_start_beyond_float32_stays_as_it_was_given(self, start):
        y = np.array([12.1, 14.9], np.float32)
        for call in (functools.partial(minimize, progress=False), functools.partial(fastgd.minimize_sgd, rng=0)):
            with np.errstate(over="ignore"), pytest.raises(fastgd.DivergenceError) as caught:
                call(fastgd.huber_loss, None, y, theta0=start)
            assert caught.value.result.x == start

    @quiet
    @pytest.mark.parametrize("source", [fastgd, reference])
    def test_a_step_of_just_tol_ends_no_run(self, source):
        for X in (None, [[1.0]]):
            result = minimize(None, source.grad_abs_loss, [100.0], 0.25, False, tol=0.25, max_iter=5, full_output=True,
                              X=X)
            assert (result.nit, result.status) == (5, 1)
        result = minimize(None, fastgd.grad_abs_loss, [100.0], 0.25, False, tol=0.25, max_iter=5, full_output=True,
                          X=[[0.0]], fit_intercept=True)
        assert (result.nit, result.status) == (5, 1)
        for X in ([[0.0]], [[1.0]]):
            result = fastgd.minimize_sgd(None, source.grad_abs_loss, [100.0], 0.25, tol=0.25, max_epochs=5, rng=0, X=X,
                                         fit_intercept=X == [[0.0]], full_output=True)
            assert (result.nit, result.status) == (5, 1)

    @quiet
    def test_tol_is_compared_in_the_type_of_the_data(self):
        y = np.array([100.0], np.float32)
        result = descend(fastgd.abs_loss, y, 0.7, tol=0.7, max_iter=1, full_output=True)
        assert float(np.float32(0.7)) < 0.7    # which is what the first step moves theta by
        assert (result.nit, result.status) == (1, 1)
        assert result.x == float(course("abs_loss", y, 0.7, tol=0.7, max_iter=1))
