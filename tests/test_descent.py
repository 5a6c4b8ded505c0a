import functools
import threading
import tracemalloc
import warnings

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

import fastgd
from fastgd import ConvergenceWarning, DescentResult, DivergenceError, Huber, minimize, reference, simple_minimize
from fastgd.losses import REGISTRY

EXACT = [name for name in REGISTRY if name not in ("cross_entropy", "log_cosh")]
GRID = np.arange(12, 18, 0.1)
COURSE_LINES = [
    "0.00/218.76", "5.86/81.21", "9.38/31.70", "11.49/13.87", "12.76/7.45", "13.52/5.14", "13.98/4.31", "14.25/4.01",
    "14.41/3.90", "14.51/3.86", "14.57/3.85", "14.61/3.85", "14.63/3.84", "14.64/3.84", "14.65/3.84", "14.65/3.84",
    "14.66/3.84", "14.66/3.84"]
COURSE_OUTPUT = "".join("theta: {} | loss: {}\n".format(*line.split("/")) for line in COURSE_LINES)


def quiet(loss, y, *args, **options):
    """Our descent, without a word, on a loss and its own gradient."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return minimize(loss, loss.gradient, y, *args, progress=False, **options)


def course(name, y, *args, **options):
    return reference.minimize(None, getattr(reference, f"grad_{name}"), y, *args, progress=False, **options)


class TestKnownAnswers:
    def test_grid(self, pcttip):
        y = [12, 13, 15, 16, 17]
        assert simple_minimize(fastgd.mse, y, GRID) == 14.59999999999999
        assert simple_minimize(fastgd.huber_loss, y, GRID) == 14.99999999999999
        assert simple_minimize(fastgd.huber_loss, pcttip, GRID) == 15.499999999999988

    def test_mse_prints_the_course_lines(self, five_points, capsys):
        assert minimize(fastgd.mse, fastgd.grad_mse, five_points) == 14.658511131035242
        assert capsys.readouterr().out == COURSE_OUTPUT

    def test_so_does_python(self, five_points, capsys):
        assert minimize(reference.mse, reference.grad_mse, five_points) == 14.658511131035242
        assert capsys.readouterr().out == COURSE_OUTPUT

    def test_huber(self, pcttip):
        result = minimize(fastgd.huber_loss, fastgd.grad_huber_loss, pcttip, progress=False, full_output=True)
        assert (result.x, result.nit) == (15.506849531471964, 189)
        assert float(result) == result.x
        assert result.success
        assert result.status == 0
        assert result.fun == reference.huber_loss(result.x, pcttip)
        assert result.jac == reference.grad_huber_loss(result.x, pcttip)

    def test_true_minimisers(self, pcttip):
        assert quiet(fastgd.huber_loss, pcttip, tol=1e-12) == pytest.approx(15.530634, abs=1e-6)
        assert quiet(fastgd.mse, pcttip, tol=1e-12) == pytest.approx(16.080258, abs=1e-6)

    @pytest.mark.parametrize(("theta", "new"), [(12, 13.596), (13.6, 14.236), (14.24, 14.492), (14.49, 14.592)])
    def test_single_steps_of_mse(self, theta, new, five_points):
        assert quiet(fastgd.mse, five_points, 0.3, theta0=theta, max_iter=1) == pytest.approx(new, abs=5e-4)

    @pytest.mark.parametrize(("theta", "new"), [
        (-21, -9.944999999999999), (-9.9, -12.641412), (-12.6, -14.162808), (-14.2, -14.497463999999999)])
    def test_single_steps_of_quartic(self, theta, new):
        assert quiet(fastgd.quartic_loss, [0], 2.5, theta0=theta, max_iter=1) == new

    @pytest.mark.parametrize(("start", "end", "loss"), [
        (-21, -14.508046083512886, 6.950300), (30, 18.395414689923562, 0.628237)])
    def test_minima_of_quartic(self, start, end, loss):
        result = quiet(fastgd.quartic_loss, [0], 0.5, theta0=start, tol=0, full_output=True)
        assert result.success
        assert result.x == pytest.approx(end, rel=1e-15)
        assert result.fun == pytest.approx(loss, abs=1e-6)


class TestSameAsTheReference:
    @pytest.mark.parametrize("dtype", [np.float64, np.float32])
    @pytest.mark.parametrize("alpha", [0.05, 0.2, 0.7])
    @pytest.mark.parametrize("name", EXACT)
    def test_bits(self, name, alpha, dtype):
        rng = np.random.default_rng(0)
        alpha = alpha / 100 if name == "quartic_loss" else alpha
        for n in (1, 5, 100, 3000):
            y = rng.normal(15, 3, n).astype(dtype)
            result = quiet(REGISTRY[name], y, alpha, max_iter=500, full_output=True)
            expected = course(name, y, alpha, max_iter=result.nit)
            assert result.x == float(expected)
            in_python = minimize_in_python(name, y, alpha, max_iter=500)
            assert (in_python.x, in_python.nit, in_python.status) == (result.x, result.nit, result.status)

    @settings(max_examples=150)
    @given(data=st.data(), name=st.sampled_from(["mse", "abs_loss", "huber_loss"]))
    def test_bits_of_any_data(self, data, name):
        dtype = data.draw(st.sampled_from([np.float64, np.float32]))
        width = 32 if dtype is np.float32 else 64
        y = data.draw(npst.arrays(dtype, st.integers(1, 40), elements=st.floats(-1e6, 1e6, width=width)))
        alpha = data.draw(st.floats(1e-3, 0.9))
        theta0 = data.draw(st.floats(-100, 100, width=width))
        result = quiet(REGISTRY[name], y, alpha, theta0=theta0, max_iter=60, full_output=True)
        assert result.x == float(course(name, y, alpha, theta0=theta0, max_iter=result.nit))

    def test_cross_entropy(self):
        y = np.random.default_rng(1).random(1000)
        assert quiet(fastgd.cross_entropy, y) == pytest.approx(course("cross_entropy", y), rel=1e-12)

    def test_above_one_slice(self):
        y = np.random.default_rng(2).normal(15, 3, 2**22 + 77)
        for name in ("mse", "huber_loss"):
            result = quiet(REGISTRY[name], y, 0.3, max_iter=3, full_output=True)
            assert result.x == pytest.approx(course(name, y, 0.3, max_iter=3), rel=1e-14)
            y32 = y.astype(np.float32)
            assert quiet(REGISTRY[name], y32, 0.3, max_iter=2) == pytest.approx(result.x, abs=10)

    def test_simple_minimize(self):
        rng = np.random.default_rng(3)
        for name, loss in REGISTRY.items():
            y = rng.random(500)
            thetas = rng.normal(0, 1, 200)
            found = simple_minimize(loss, y, thetas)
            assert type(found) is float
            assert found == simple_minimize(getattr(reference, name), y, thetas)
            if name in EXACT:
                assert found == reference.simple_minimize(getattr(reference, name), y, thetas)

    def test_simple_minimize_takes_the_first_of_equals(self):
        assert simple_minimize(fastgd.abs_loss, [-1.0, 1.0], [-3, 0.5, 0.0, -0.5]) == 0.5

    @pytest.mark.parametrize("delta", [0.5, 2])
    def test_parameters(self, delta, pcttip):
        expected = reference.minimize(None, functools.partial(reference.grad_huber_loss, delta=delta), pcttip,
                                      progress=False)
        partial = functools.partial(fastgd.grad_huber_loss, delta=delta)
        assert minimize(None, partial, pcttip, progress=False) == expected
        assert minimize(None, Huber(delta).gradient, pcttip, progress=False) == expected


def minimize_in_python(name, y, *args, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return minimize(getattr(reference, name), getattr(reference, f"grad_{name}"), y, *args, progress=False,
                        full_output=True, **options)


class TestPythonCallables:
    def test_are_called_as_the_course_calls_them(self, five_points):
        calls = []

        def loss(theta, dataset):
            calls.append(("loss", float(theta), dataset))
            return reference.mse(theta, dataset)

        def grad(theta, dataset):
            calls.append(("grad", float(theta), dataset))
            return reference.grad_mse(theta, dataset)

        series = pd.Series(five_points)
        minimize(loss, grad, series, max_iter=2, tol=100)
        assert calls == [("loss", 0.0, series), ("grad", 0.0, series)] or [c[:2] for c in calls] == [
            ("loss", 0.0), ("grad", 0.0)]
        assert all(dataset is series for *_, dataset in calls)
        calls.clear()
        minimize(loss, grad, five_points, progress=False)
        assert {kind for kind, *_ in calls} == {"grad"}
        calls.clear()
        minimize(loss, grad, [12.1, 12.8, 14.9, 16.3, 17.2])
        assert [kind for kind, *_ in calls] == ["loss", "grad"] * 18

    def test_the_loss_shown_is_the_one_given(self, five_points, capsys):
        minimize(fastgd.abs_loss, fastgd.grad_mse, five_points, tol=100)
        assert capsys.readouterr().out == "theta: 0.00 | loss: 14.66\n"
        minimize(lambda theta, dataset: 42, fastgd.grad_mse, five_points, tol=100)
        assert capsys.readouterr().out == "theta: 0.00 | loss: 42.00\n"
        result = minimize(lambda theta, dataset: 42, fastgd.grad_mse, five_points, progress=False, full_output=True)
        assert result.fun == 42

    def test_an_error_of_theirs_is_theirs(self, five_points):
        def grad(theta, dataset):
            raise ZeroDivisionError("mine")

        with pytest.raises(ZeroDivisionError, match="mine"):
            minimize(None, grad, five_points, progress=False)

    @pytest.mark.parametrize("value", [np.ones(5), None])
    def test_a_loss_that_is_no_number_is_named(self, value, five_points):
        for options in ({}, {"progress": False, "full_output": True}):
            with pytest.raises(TypeError, match="loss_fn must return one number"):
                minimize(lambda theta, dataset: value, fastgd.grad_mse, five_points, **options)

    @pytest.mark.parametrize("slope", [np.ones(5), [1.0], np.ones(1), None])
    def test_a_forgotten_mean_is_named(self, slope, five_points):
        with pytest.raises(TypeError, match="grad_loss_fn must return one number"):
            minimize(None, lambda theta, dataset: slope, five_points, progress=False)

    def test_no_loss_is_needed_to_show_nothing(self, five_points):
        assert minimize(None, fastgd.grad_mse, five_points, progress=False) == 14.658511131035242
        assert np.isnan(minimize(None, fastgd.grad_mse, five_points, progress=False, full_output=True).fun)
        with pytest.raises(TypeError, match="'loss_fn' parameter must be callable"):
            minimize(None, fastgd.grad_mse, five_points)


class TestEnds:
    def test_limit(self, five_points):
        with pytest.warns(ConvergenceWarning, match="did not converge in 3 updates") as caught:
            theta = minimize(fastgd.mse, fastgd.grad_mse, five_points, progress=False, max_iter=3)
        assert theta == course("mse", five_points, max_iter=3)
        assert caught[0].filename == __file__
        result = quiet(fastgd.mse, five_points, max_iter=3, full_output=True)
        assert (result.nit, result.success, result.status) == (3, False, 1)

    @pytest.mark.parametrize("run", [quiet, lambda loss, y, *a, **k: minimize_in_python(loss.__name__, y, *a, **{
        key: value for key, value in k.items() if key != "full_output"})])
    def test_cycle(self, run):
        y = np.array([1.0, 2.0, 4.0])
        result = run(fastgd.abs_loss, y, 0.7, full_output=True)
        assert (result.status, result.success) == (2, False)
        assert result.nit < 200
        again = course("abs_loss", y, 0.7, theta0=result.x, max_iter=100)
        cycle = [result.x]
        while (theta := course("abs_loss", y, 0.7, theta0=cycle[-1], max_iter=1)) != result.x:
            cycle.append(float(theta))
        assert again in cycle

    def test_cycle_is_named(self):
        for callback in (None, lambda result: None):
            with pytest.warns(ConvergenceWarning, match=r"repeats (-0.1 and 0.1|0.1 and -0.1) for ever"):
                minimize(fastgd.abs_loss, fastgd.grad_abs_loss, [0.0], progress=False, theta0=0.1, callback=callback)
        with pytest.warns(ConvergenceWarning, match="a round of 3 values"):
            minimize(None, lambda theta, y: [1.0, 1.0, -2.0][int(-theta) % 3], [0.0], 1.0, False)
        with pytest.warns(ConvergenceWarning, match="largest stable alpha for mse is 1"):
            minimize(fastgd.mse, fastgd.grad_mse, [3.0], 1.0, progress=False)

    def test_standing_still_is_convergence_even_without_a_tolerance(self):
        result = minimize(fastgd.mse, fastgd.grad_mse, [3.0], 0.5, progress=False, tol=0, full_output=True)
        assert result.success
        assert result.x == 3.0

    @pytest.mark.parametrize(("loss", "alpha", "words"), [
        (fastgd.mse, 1.5, "largest stable alpha for mse is 1"),
        (fastgd.quartic_loss, 2.5, "Use a smaller learning rate")])
    def test_divergence(self, loss, alpha, words, pcttip):
        with pytest.raises(DivergenceError, match=words) as caught:
            minimize(loss, loss.gradient, pcttip * 10, alpha, progress=False)
        error = caught.value
        assert isinstance(error, ArithmeticError)
        result = error.result
        assert np.isfinite(result.x)
        assert (result.success, result.status) == (False, 3)
        assert f"update {result.nit} with alpha={alpha}" in str(error)
        assert f"{result.x:.6g}" in str(error)
        with np.errstate(all="ignore"):
            assert result.x == course(loss.__name__, pcttip * 10, alpha, max_iter=result.nit - 1)

    def test_divergence_in_python(self, five_points):
        with np.errstate(all="ignore"), pytest.raises(DivergenceError, match=r"made theta (nan|-?inf)"):
            minimize(reference.mse, reference.grad_mse, five_points, 3, progress=False)
        with pytest.raises(DivergenceError, match=r"update 1 .* made theta nan; the last finite theta is 0"):
            minimize(None, lambda theta, dataset: np.nan, five_points, progress=False)

    def test_a_loss_without_a_minimum_is_named(self):
        with pytest.warns(ConvergenceWarning, match="mean of the targets is 2.5; .* has no minimum"):
            minimize(fastgd.cross_entropy, fastgd.grad_cross_entropy, [2, 3], progress=False, max_iter=1000)

    def test_huber_names_its_stable_rate(self):
        with pytest.raises(DivergenceError, match="largest stable alpha for huber_loss is 2"):
            minimize(fastgd.huber_loss, Huber(1e300).gradient, [1.0], 1e10, progress=False)

    @pytest.mark.parametrize("gradient", [fastgd.grad_mse, reference.grad_mse])
    def test_ctrl_c(self, gradient, interrupted):
        y = np.random.default_rng(0).normal(0, 1, 100_000)
        expected = minimize(None, gradient, y, 1e-6, progress=False, tol=1e-7)

        with interrupted():
            minimize(None, gradient, y, 1e-9, progress=False, tol=1e-300, max_iter=10**9)
        assert minimize(None, gradient, y, 1e-6, progress=False, tol=1e-7) == expected


class TestObservers:
    def test_history(self, five_points):
        result = minimize(fastgd.mse, fastgd.grad_mse, five_points, progress=False, history=True, full_output=True)
        history = result.history
        assert list(history.columns) == ["update", "alpha", "theta"]
        assert history["update"].tolist() == list(range(1, 19))
        assert (history["alpha"] == 0.2).all()
        assert history["theta"].tolist() == [
            quiet(fastgd.mse, five_points, max_iter=k, tol=0) for k in range(1, 19)]
        assert "DataFrame of 18 updates" in repr(result)
        assert isinstance(quiet(fastgd.mse, five_points, history=True), DescentResult)

    def test_history_over_many_chunks(self):
        result = quiet(fastgd.mse, np.zeros(3), 1e-4, theta0=1.0, max_iter=10_000, tol=0, history=True)
        assert result.history["update"].tolist() == list(range(1, 10_001))
        assert result.history["theta"].iloc[-1] == result.x
        assert result.history["theta"].is_monotonic_decreasing

    @pytest.mark.parametrize(("loss", "gradient"), [
        (fastgd.mse, fastgd.grad_mse), (reference.mse, reference.grad_mse), (reference.mse, fastgd.grad_mse)])
    def test_callback(self, loss, gradient, five_points):
        seen = []
        theta = minimize(loss, gradient, five_points, progress=False, callback=seen.append)
        assert [r.nit for r in seen] == list(range(1, 19))
        assert seen[-1].x == theta
        assert all(r.fun == reference.mse(r.x, five_points) for r in seen)

    def test_callback_by_keyword_as_in_scipy(self, five_points):
        seen = []
        minimize(fastgd.mse, fastgd.grad_mse, five_points, progress=False,
                 callback=lambda *, intermediate_result: seen.append(intermediate_result.x))
        assert len(seen) == 18

    @pytest.mark.parametrize("gradient", [fastgd.grad_mse, reference.grad_mse])
    def test_callback_stops(self, gradient, five_points):
        def stop(result):
            if result.nit == 5:
                raise StopIteration

        result = minimize(fastgd.mse, gradient, five_points, progress=False, callback=stop, history=True)
        assert (result.nit, result.status, result.success) == (5, 99, False)
        assert result.x == course("mse", five_points, max_iter=5)
        assert len(result.history) == 5

    def test_callback_and_lines_come_in_turn(self, five_points, capsys):
        minimize(fastgd.mse, fastgd.grad_mse, five_points, callback=lambda r: print(f"after {r.nit}"), tol=2.5)
        assert capsys.readouterr().out.splitlines() == [
            "theta: 0.00 | loss: 218.76", "after 1", "theta: 5.86 | loss: 81.21", "after 2",
            "theta: 9.38 | loss: 31.70", "after 3"]

    def test_an_error_in_the_callback_is_raised(self, five_points):
        def fail(result):
            raise ZeroDivisionError("mine")

        with pytest.raises(ZeroDivisionError, match="mine"):
            minimize(fastgd.mse, fastgd.grad_mse, five_points, progress=False, callback=fail)
        assert quiet(fastgd.mse, five_points) == 14.658511131035242

    def test_callback_may_set_the_rate_and_the_data(self, five_points):
        state = {"alpha": 0.4}
        result = quiet(fastgd.mse, five_points, lambda t: state["alpha"], history=True, max_iter=4, tol=0,
                       callback=lambda r: state.update(alpha=state["alpha"] / 2))
        assert result.history["alpha"].tolist() == [0.4, 0.2, 0.1, 0.05]
        y = five_points.copy()
        assert quiet(fastgd.mse, y, callback=lambda r: y.fill(0.0)) == pytest.approx(0, abs=0.01)

    def test_bar(self, five_points, capsys):
        assert minimize(fastgd.mse, fastgd.grad_mse, five_points, progress="bar") == 14.658511131035242
        captured = capsys.readouterr()
        assert captured.out == ""
        assert "theta: 14.65" in captured.err

    def test_bar_without_tqdm(self, five_points, monkeypatch):
        monkeypatch.setitem(__import__("sys").modules, "tqdm.auto", None)
        with pytest.raises(ImportError, match="tqdm"):
            minimize(fastgd.mse, fastgd.grad_mse, five_points, progress="bar")

    def test_lines_over_many_chunks(self, capsys):
        quiet_options = {"theta0": 1.0, "tol": 0, "max_iter": 300}
        with pytest.warns(ConvergenceWarning):
            minimize(fastgd.mse, fastgd.grad_mse, np.zeros(3), 1e-3, **quiet_options)
        ours = capsys.readouterr().out
        reference.minimize(reference.mse, reference.grad_mse, np.zeros(3), 1e-3, **quiet_options)
        assert ours == capsys.readouterr().out


class TestArguments:
    @pytest.mark.parametrize(("name", "value", "error"), [
        ("alpha", 0, ValueError), ("alpha", -0.1, ValueError), ("alpha", np.nan, ValueError),
        ("alpha", np.inf, ValueError), ("alpha", "0.2", TypeError), ("alpha", None, TypeError),
        ("alpha", True, TypeError),
        ("tol", -1e-3, ValueError), ("tol", np.nan, ValueError), ("tol", "x", TypeError),
        ("theta0", np.inf, ValueError), ("theta0", np.nan, ValueError), ("theta0", [1.0, 2.0], TypeError),
        ("max_iter", 0, ValueError), ("max_iter", 1.5, TypeError), ("max_iter", None, TypeError),
        ("progress", "bars", ValueError), ("progress", None, ValueError), ("callback", 3, TypeError),
        ("loss_fn", "mse", TypeError), ("grad_loss_fn", fastgd.mse, TypeError),
    ])
    def test_refused_by_name(self, name, value, error, five_points):
        arguments = {"loss_fn": fastgd.mse, "grad_loss_fn": fastgd.grad_mse, "dataset": five_points, name: value}
        with pytest.raises(error, match=f"'{name}' parameter"):
            minimize(**arguments)

    def test_a_class_in_place_of_a_loss_is_told_so(self, five_points):
        with pytest.raises(TypeError, match=r"Huber is a class; pass a loss, Huber\(\)"):
            minimize(fastgd.mse, Huber, five_points)

    def test_a_loss_in_place_of_its_gradient_is_told_so(self, five_points):
        with pytest.raises(TypeError, match="pass grad_mse"):
            minimize(fastgd.mse, fastgd.mse, five_points)

    @pytest.mark.parametrize("thetas", [[], [np.nan], [[1.0]], "abc", None])
    def test_thetas(self, thetas):
        with pytest.raises((TypeError, ValueError), match="thetas"):
            simple_minimize(fastgd.mse, [1.0], thetas)
        with pytest.raises((TypeError, ValueError), match="thetas"):
            fastgd.mse.curve(thetas, [1.0])

    def test_a_grid_where_nothing_is_finite(self):
        with pytest.raises(ArithmeticError, match="at every one of the 2 thetas"):
            simple_minimize(fastgd.mse, [1e300], [0.0, 1.0])
        assert simple_minimize(fastgd.quartic_loss, [0.0], [1e300, 1.0]) == 1.0

    def test_the_data_stays_as_it_is(self, five_points):
        before = five_points.copy()
        five_points.flags.writeable = False
        minimize(fastgd.mse, fastgd.grad_mse, five_points, progress=False)
        simple_minimize(fastgd.mse, five_points, GRID)
        assert np.array_equal(five_points, before)


def test_memory_beyond_the_data():
    y = np.random.default_rng(0).normal(15, 3, 10**6)
    tracemalloc.start()
    try:
        quiet(fastgd.huber_loss, y, max_iter=5, full_output=True)
        simple_minimize(fastgd.huber_loss, y, GRID)
        fastgd.mse.curve(np.arange(2000.0), y[:1000])
        assert tracemalloc.get_traced_memory()[1] < 1_000_000
    finally:
        tracemalloc.stop()


def test_threads_share_a_loss(pcttip):
    answers = []

    def work():
        answers.extend(quiet(fastgd.huber_loss, pcttip) for _ in range(50))

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == [15.506849531471964] * 400
