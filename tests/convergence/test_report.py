"""How a run ended: converged, too soon, too late, in a cycle, or not at all; and the numbers that its message names."""
import functools
import importlib.util
import re

import numpy as np
import pytest
from helpers import TIPS, course, descend, descend_in_python, quiet, rows, sgd
from newton import least

import fastgd
from fastgd import (
    ConvergenceWarning,
    DivergenceError,
    minimize,
    minimize_mini_batch,
    minimize_sgd,
    reference,
    schedules,
)
from fastgd._convergence.certificate import find_better_point
from fastgd._objective.objective import objective_of
from fastgd.losses import REGISTRY


class TestBatchDescentOnPoints:
    @quiet
    def test_the_limit_of_updates_is_named(self, five_points):
        with pytest.warns(ConvergenceWarning, match="3 updates") as caught:
            theta = minimize(fastgd.mse, fastgd.grad_mse, five_points, progress=False, max_iter=3)
        assert theta == course("mse", five_points, max_iter=3)
        assert caught[0].filename == __file__
        result = descend(fastgd.mse, five_points, max_iter=3, full_output=True)
        assert (result.nit, result.success, result.status) == (3, False, 1)

    @quiet
    @pytest.mark.parametrize("run", [descend, lambda loss, y, *a, **k: descend_in_python(loss.__name__, y, *a, **{
        key: value for key, value in k.items() if key != "full_output"})])
    def test_a_cycle_ends_the_run(self, run):
        y = np.array([1.0, 2.0, 4.0])
        result = run(fastgd.abs_loss, y, 0.7, full_output=True)
        assert (result.status, result.success) == (2, False)
        assert result.nit < 200
        again = course("abs_loss", y, 0.7, theta0=result.x, max_iter=100)
        cycle = [result.x]
        while (theta := course("abs_loss", y, 0.7, theta0=cycle[-1], max_iter=1)) != result.x:
            cycle.append(float(theta))
        assert again in cycle

    def test_the_thetas_of_a_cycle_are_named(self):
        for callback in (None, lambda result: None):
            with pytest.warns(ConvergenceWarning, match=r"repeats (-0.1 and 0.1|0.1 and -0.1)"):
                minimize(fastgd.abs_loss, fastgd.grad_abs_loss, [0.0], progress=False, theta0=0.1, callback=callback)
        with pytest.warns(ConvergenceWarning, match="3 values"):
            minimize(None, lambda theta, y: [1.0, 1.0, -2.0][int(-theta) % 3], [0.0], 1.0, False)
        with pytest.warns(ConvergenceWarning, match="mse is 1"):
            minimize(fastgd.mse, fastgd.grad_mse, [3.0], 1.0, progress=False)

    @pytest.mark.parametrize(("loss", "alpha", "words"), [
        (fastgd.mse, 1.5, "mse is 1"),
        (fastgd.quartic_loss, 2.5, "smaller learning rate")])
    def test_divergence_names_the_rate_and_the_last_theta(self, loss, alpha, words, pcttip):
        with pytest.raises(DivergenceError, match=words) as caught:
            minimize(loss, loss.gradient, pcttip * 10, alpha, progress=False)
        error = caught.value
        assert isinstance(error, ArithmeticError)
        result = error.result
        assert np.isfinite(result.x)
        assert (result.success, result.status) == (False, 3)
        assert f"alpha={alpha}" in str(error)
        assert f"update {result.nit}" in str(error)
        assert f"{result.x:.6g}" in str(error)
        with np.errstate(all="ignore"):
            assert result.x == course(loss.__name__, pcttip * 10, alpha, max_iter=result.nit - 1)

    def test_divergence_in_python_names_the_last_theta(self, five_points):
        with np.errstate(all="ignore"), pytest.raises(DivergenceError, match=r"theta (nan|-?inf)"):
            minimize(reference.mse, reference.grad_mse, five_points, 3, progress=False)
        with pytest.raises(DivergenceError, match=r"update 1: .*gradient.*nan.*theta 0"):
            minimize(None, lambda theta, dataset: np.nan, five_points, progress=False)

    def test_a_loss_without_a_minimum_is_named(self):
        with pytest.warns(ConvergenceWarning, match="targets is 2.5.*no minimum"):
            minimize(fastgd.cross_entropy, fastgd.grad_cross_entropy, [2, 3], progress=False, max_iter=1000)


    def test_a_rate_that_is_stable_is_not_to_blame(self):
        words = r"mse.*not finite.*theta 0\b.*1.7e\+308.*1e\+308"
        with pytest.raises(DivergenceError, match=words):
            minimize(fastgd.mse, None, [1.7e308, 1.7e308], 0.9, False)
        with pytest.raises(DivergenceError, match=r"smaller learning rate.*mse is 1"):
            minimize(fastgd.mse, None, [1.0, 3.0], 1.5, False)

    def test_the_rule_that_was_not_met_is_named(self, five_points):
        with pytest.warns(ConvergenceWarning, match="stop='loss'.*1e-09.*max_iter"):
            descend(fastgd.mse, five_points, max_iter=3, stop="loss", tol=1e-9)
        with pytest.warns(ConvergenceWarning, match="^((?!stop=).)*1e-09.*max_iter"):
            descend(fastgd.mse, five_points, max_iter=3, tol=1e-9)

    def test_labels_of_minus_1_and_1_are_told_what_to_pass(self):
        with pytest.warns(ConvergenceWarning, match=r"converged.*labels -1 and 1.*\(dataset \+ 1\) / 2"):
            minimize(fastgd.cross_entropy, None, [1, 1, -1], 1.0, False)

    def test_a_tol_of_0_is_met_where_theta_stands_still(self):
        result = descend(fastgd.mse, [1.0, 3.0], 0.5, tol=0, full_output=True)
        assert (result.success, result.nit) == (True, 65)
        assert "theta by 0," in result.message
        result = sgd("mse", [3.0], None, 0.5, rng=0, tol=1e-3, stop="epoch", full_output=True)
        assert (result.success, result.nit, result.x) == (True, 2, 3)
        assert "theta by 0," in result.message


class TestStochasticDescentOnPoints:
    def test_a_lucky_point_is_named(self, pcttip):
        np.random.seed(0)
        words = r"theta 17\.5755.* 0\.598 .*0\.001"
        with pytest.warns(ConvergenceWarning, match=words) as caught:
            minimize_sgd(fastgd.mse, fastgd.grad_mse, pcttip)
        assert caught[0].filename == __file__
        with pytest.warns(ConvergenceWarning, match="theta 1[0-9]") as caught:
            minimize_mini_batch(fastgd.mse, fastgd.grad_mse, pcttip, 10, rng=0)
        assert caught[0].filename == __file__

    def test_what_is_said_fits_the_rule(self, five_points):
        with pytest.warns(ConvergenceWarning, match=r"epochs.*theta.* tol is 0\.1"):
            minimize_sgd(fastgd.mse, fastgd.grad_mse, five_points, 0.4, rng=6, stop="epoch", tol=0.1)
        with pytest.warns(ConvergenceWarning, match="theta .*max_epochs.*stop='epoch'"):
            minimize_sgd(fastgd.mse, None, five_points, rng=0, tol=0, max_epochs=3)
        with pytest.warns(ConvergenceWarning, match="theta 14.*max_epochs.*smaller") as caught:
            theta = minimize_sgd(fastgd.mse, fastgd.grad_mse, five_points, rng=0, stop="epoch", average=True, tol=1e-9,
                                 max_epochs=3)
        assert f"{theta:.6g}" in str(caught[0].message)

    def test_divergence_in_the_same_update_as_in_python(self, pcttip):
        words = "^minimize_sgd diverged.*mse is 1"
        with pytest.raises(DivergenceError, match=words) as caught:
            minimize_sgd(fastgd.mse, fastgd.grad_mse, pcttip, 1.5, rng=0)
        assert np.isfinite(caught.value.result.x)
        with np.errstate(all="ignore"), pytest.raises(DivergenceError) as in_python:
            minimize_sgd(reference.mse, reference.grad_mse, pcttip, 1.5, rng=0)
        assert in_python.value.result.nit == caught.value.result.nit
        assert in_python.value.result.x == caught.value.result.x

    @pytest.mark.parametrize("size", [None, 3])
    def test_a_start_beyond_float32_diverges_at_once(self, size, five_points):
        y = five_points.astype(np.float32)
        with np.errstate(over="ignore"), pytest.raises(DivergenceError, match=r"update 1 .*alpha"):
            sgd("huber_loss", y, size, 0.01, rng=0, theta0=3.8e86)
        with np.errstate(over="ignore"), pytest.raises(DivergenceError, match=r"update 1 .*alpha"):
            fastgd.minimize(fastgd.huber_loss, None, y, 0.01, False, theta0=3.8e86)


X_OF_3, Y_OF_X = rows(60, 3)
RUNS = {
    "batch": lambda **o: minimize(fastgd.mse, None, [1.0, 2.0, 6.0], 0.1, False, **o),
    "batch in float32": lambda **o: minimize(fastgd.mse, None, np.float32([1, 2, 6]), 0.1, False, **o),
    "in Python": lambda **o: minimize(reference.mse, reference.grad_mse, np.array([1.0, 2.0, 6.0]), 0.1, False, **o),
    "SGD": lambda max_iter, **o: minimize_sgd(
        fastgd.mse, None, np.arange(float(max_iter)), 0.01, rng=0, max_epochs=1, **o),
    "mini-batch": lambda max_iter, **o: minimize_mini_batch(
        fastgd.mse, None, np.arange(2.0 * max_iter + 1)[1:], 2, 0.01, rng=0, max_epochs=1, **o),
    "rows": lambda **o: minimize(fastgd.huber_loss, None, Y_OF_X, 0.1, False, X=X_OF_3 * [1, 2, 3], **o),
    "rows and intercept": lambda **o: minimize(
        fastgd.huber_loss, None, Y_OF_X, 0.1, False, X=X_OF_3 * [1, 2, 3], fit_intercept=True, **o),
    "squares of rows": lambda **o: minimize(fastgd.mse, None, Y_OF_X, 0.01, False, X=X_OF_3 * [1, 2, 3], **o),
    "SGD on rows": lambda max_iter, **o: minimize_sgd(
        fastgd.mse, None, Y_OF_X[:max_iter], 0.01, X=X_OF_3[:max_iter] * [1, 2, 9], fit_intercept=True, rng=0,
        max_epochs=1, **o),
    "mini-batch on rows": lambda max_iter, **o: minimize_mini_batch(
        fastgd.mse, None, Y_OF_X[:2 * max_iter], 2, 0.01, X=X_OF_3[:2 * max_iter] * [1, 2, 9], fit_intercept=True,
        rng=0, max_epochs=1, **o),
}


class TestTheLastStep:
    @quiet
    @pytest.mark.parametrize("watched", [False, True])
    @pytest.mark.parametrize("updates", [2, 3, 20])
    @pytest.mark.parametrize("name", RUNS)
    def test_is_named_where_a_run_ends_at_its_limit(self, name, updates, watched):
        options = {"callback": lambda result: None} if watched else {}
        result = RUNS[name](max_iter=updates, tol=0, history=True, theta0=0.5, **options)
        assert result.nit == updates
        thetas = result.history.iloc[:, 2:].to_numpy()
        assert f"moved theta by {np.abs(thetas[-1] - thetas[-2]).max():.3g}" in result.message

    @quiet
    @pytest.mark.parametrize("name", [name for name in RUNS if "SGD" not in name and "mini" not in name])
    def test_is_named_where_a_run_converges(self, name):
        start = np.float64(0.5)
        for tol in (1e-4, 100):
            result = RUNS[name](max_iter=10_000, tol=tol, history=True, theta0=start)
            assert result.success or tol == 100
            thetas = [np.full(result.history.shape[1] - 2, start), *result.history.iloc[:, 2:].to_numpy()]
            step = np.abs(thetas[-1] - thetas[-2]).max()
            assert f"update {result.nit} moved theta by {step:.3g}" in result.message or tol == 100

    @quiet
    def test_of_a_single_update_starts_where_the_run_did(self):
        for name, run in RUNS.items():
            if "SGD" not in name and "mini" not in name:
                result = run(max_iter=1, tol=0, history=True, theta0=0.5)
                step = np.abs(result.history.iloc[0, 2:].to_numpy(float) - 0.5).max()
                assert f"moved theta by {step:.3g}" in result.message, name

    @pytest.mark.parametrize("intercept", [False, True])
    @pytest.mark.parametrize("call", [
        functools.partial(minimize, progress=False), functools.partial(minimize_sgd, rng=0)])
    def test_that_leads_one_component_beyond_the_floats_is_divergence(self, intercept, call):
        X = np.array([[1.0, 1.0]])[:, int(intercept):]
        with pytest.raises(DivergenceError, match=r"update 1 .*alpha=1.5.*\[inf -") as caught:
            call(fastgd.Huber(1e308), None, [0.0], alpha=1.5, X=X, fit_intercept=intercept, theta0=[1.2e308, -1.7e308])
        assert caught.value.result.x.tolist() == [1.2e308, -1.7e308]


class TestDivergenceOnRows:
    def test_a_run_that_met_its_rule_uphill_says_from_where_to_where(self):
        X, y = rows(100, 2)
        words = r"\d+ updates .* 0\.\d+ to \d"
        with pytest.warns(ConvergenceWarning, match=words):
            minimize(fastgd.abs_loss, None, y, schedules.exponential_decay(10.0, 1e-3), False, X=X)
        with pytest.warns(ConvergenceWarning, match=words + r".*stable for huber_loss.*'x1' \(\d+\)"):
            minimize(fastgd.huber_loss, None, y, schedules.exponential_decay(10.0, 1e-3), False, X=X * [1, 100])

    def test_columns_of_one_scale_and_no_rate_are_not_named(self):
        X, y = rows(100, 2)
        with pytest.raises(DivergenceError, match="stable for mse") as caught:
            minimize(fastgd.mse, None, y, 5.0, False, X=X)
        assert "unscaled" not in str(caught.value)
        with pytest.raises(DivergenceError) as caught:
            minimize(fastgd.mse, None, y, 0.1, False, X=X * 1e200)
        assert "stable for" not in str(caught.value)

    def test_numbers_whose_squares_overflow_may_converge(self):
        X, _ = rows(20, 2)
        assert minimize(fastgd.huber_loss, None, np.zeros(20), 0.1, False, X=X * 1e200).tolist() == [0, 0]

    def test_of_many_components_eight_are_named(self):
        X = np.eye(12)
        with pytest.warns(ConvergenceWarning, match=r"\[(\S+ ){8}\.\.\. and 4 more\]"):
            minimize(fastgd.mse, None, np.ones(12), 0.1, False, X=X, max_iter=2)

    @quiet
    def test_names_a_rate_that_is_stable_and_the_columns(self):
        X, y = TIPS[["total_bill", "size"]], TIPS["tip"]
        for call, source in (
                (functools.partial(minimize, progress=False), "largest eigenvalue"),
                (functools.partial(minimize_sgd, rng=0), "longest row"),
                (functools.partial(minimize_mini_batch, minibatch_size=10, rng=0), "longest row")):
            with pytest.raises(DivergenceError,
                               match=rf"update \d+ .*alpha=0.2 .*{source}.*'total_bill' \(21.7\)") as e:
                call(fastgd.mse, fastgd.grad_mse, dataset=y, alpha=0.2, X=X, fit_intercept=True)
            assert np.isfinite(e.value.result.x).all()
            rate = float(re.search(r"alpha=(\S+) is stable", str(e.value))[1])
            loss = call(fastgd.mse, None, dataset=y, alpha=rate, X=X, fit_intercept=True, full_output=True).fun
            assert loss < fastgd.mse([0, 0, 0], y, X=X, fit_intercept=True)

    def test_a_slow_one_is_seen_in_the_loss(self):
        X, y = rows(100, 2)
        limit = 2 / (2 * np.linalg.eigvalsh(X.T @ X / 100)[-1])
        with pytest.warns(ConvergenceWarning, match=r"\d to \d.*stable for mse"):
            minimize(fastgd.mse, None, y, limit * 1.01, False, X=X, max_iter=200)
        with pytest.raises(DivergenceError, match=r"diverged.*update 1000 .*\d to \d") as caught:
            minimize(fastgd.mse, None, y, limit * 1.01, False, X=X, max_iter=1000)
        assert caught.value.result.status == 3
        theta = minimize(fastgd.mse, None, y, limit * 0.99, False, X=X, tol=1e-12)
        assert theta == pytest.approx(np.linalg.lstsq(X, y, rcond=None)[0], abs=1e-6)

    def test_bounded_slopes_diverge_with_a_word(self):
        X, y = rows(100, 2)
        for name in ("huber_loss", "abs_loss"):
            with pytest.warns(ConvergenceWarning, match=r"\d to \d.*unscaled.*'x1'"):
                minimize(REGISTRY[name], None, y, 0.2, False, X=X * [1, 100], max_iter=501)

    @pytest.mark.parametrize("ends", ["converged", "stopped"])
    def test_large_coefficients_are_never_silent(self, ends):
        X, y = rows()

        def callback(result):
            if ends == "stopped" and result.nit == 3:
                raise StopIteration

        with pytest.raises(DivergenceError) if ends == "converged" else pytest.warns(
                ConvergenceWarning, match=r"callback .* 0\.\d+ to \d"):
            minimize(fastgd.abs_loss, None, y, schedules.exponential_decay(1e13, 1e-3), False, X=X, callback=callback)

    @quiet
    @pytest.mark.parametrize("call", [functools.partial(minimize, progress=False), minimize_sgd])
    def test_huge_numbers_give_finite_thetas(self, call):
        X, y = rows(30, 2)
        for data, targets in ((X * 1e200, y), (X, y * 1e200), (X * 1e-200, y), (X * 1e307, y)):
            for name in REGISTRY:
                try:
                    theta = call(REGISTRY[name], None, targets, X=data, fit_intercept=True,
                                 **({"rng": 0} if call is minimize_sgd else {"max_iter": 300}))
                except DivergenceError as error:
                    theta = error.result.x
                assert np.isfinite(theta).all()

    @pytest.mark.parametrize("name", ["log_cosh", "huber_loss", "mse"])
    def test_a_theta_too_large_to_move_has_not_converged(self, name):
        X, y = rows(50, 2)
        with pytest.raises(DivergenceError):
            minimize(REGISTRY[name], None, y, 1.0, False, X=X * 1e7, theta0=1.7e308)

    def test_its_history_is_finite(self):
        X, y = rows()
        for options in ({"X": X}, {}):
            with pytest.raises(DivergenceError) as caught:
                minimize(fastgd.mse, None, y, 5.0, False, history=True, **options)
            result = caught.value.result
            assert np.isfinite(result.history.to_numpy(float)).all()
            assert len(result.history) == result.nit - 1
            assert np.array_equal(result.history.iloc[-1, 2:].to_numpy(float), np.atleast_1d(result.x))


class TestAnOptimumThatWasNotReached:
    def test_a_rule_that_was_met_too_soon(self):
        y, X = TIPS["tip"], TIPS[["total_bill"]]
        for loss, words in ((fastgd.mse, "1.036019"), (fastgd.huber_loss, "0.3969")):
            with pytest.warns(ConvergenceWarning, match=f"not reached.*{words}"):
                minimize(loss, None, y, 0.0005, False, X=X, fit_intercept=True)
        result = minimize(fastgd.mse, None, y, "auto", False, X=X, fit_intercept=True, tol=1e-8, stop="loss",
                          full_output=True, max_iter=10**6)
        assert result.success
        assert result.fun == pytest.approx(1.036019, abs=1e-4)

    def test_a_fit_as_good_as_the_rule_asks_for_is_one(self):
        """The loss is a millionth of that at the start, and theta, the prediction or the loss within 10 tol."""
        X = np.random.default_rng(0).normal(size=(200, 2)) * [1, 1e4]
        start, x = np.zeros(3), np.array([1e3, 1.0, 0.0])
        for weights in ([0, 0], [1, 1e-4]):    # one weight of x is off, in units of the prediction by 1
            objective = objective_of(fastgd.mse, None, 1e3 + X @ weights, X, True)
            assert find_better_point(objective, x, start, 0.12) is None
            assert find_better_point(objective, x, start, 0.08) is not None
            loss = objective.value(x)
            assert find_better_point(objective, x, start, loss * 1.1, by_loss=True) is None
            assert find_better_point(objective, x, start, loss / 1.1, by_loss=True) is not None
        # A loss that is no small part of it tells even where tol is as large as the data.
        assert find_better_point(objective, np.array([990.0, 0, 0]), np.array([980.0, 0, 0]), 1e9) is not None

    @pytest.mark.parametrize("loss", [fastgd.huber_loss, fastgd.log_cosh])
    def test_a_dummy_that_few_rows_carry(self, loss):
        rng = np.random.default_rng(0)
        X = rng.normal(size=(50_000, 2))
        X[:, 0] = 0
        X[rng.choice(50_000, 10, replace=False), 0] = 1
        y = X @ [1e4, 1.0] + rng.normal(size=50_000) * 0.3
        near = np.array([0.0, 0.0, 1.0])
        shortfall = find_better_point(objective_of(loss, None, y, X, True), near, np.zeros(3), 1e-3)
        assert shortfall.value == pytest.approx(loss([0, 1e4, 1], y, X=X, fit_intercept=True), rel=1e-3)

    def test_a_start_that_is_far_hides_no_loss(self):
        """Rounding is measured by what is left, and not by what the loss was at the start."""
        z = np.random.default_rng(0).normal(size=1000)
        X = np.random.default_rng(1).normal(size=(1000, 2))
        for y, theta0 in ((1e6 + z, 0.0), (z, 1e6)):
            for options in ({}, {"X": X, "fit_intercept": True}):
                with pytest.warns(ConvergenceWarning, match=r"not reached.* (0\.9|1\.0)\d"):
                    minimize(fastgd.mse, None, y, 2e-4, False, theta0=theta0, tol=1e-2, **options)

    @pytest.mark.parametrize("penalty", [None, fastgd.penalties.L1(0.1), fastgd.penalties.L2(0.1)])
    @pytest.mark.parametrize("size", [1e3, 1e9])
    def test_probabilities_of_0_and_1_at_the_start(self, size, penalty):
        rng = np.random.default_rng(0)
        X = rng.normal(size=(200, 2))
        y = (rng.random(200) < 0.5) * 1.0
        rate = schedules.exponential_decay(0.5, 0.9)
        lowest = least(fastgd.cross_entropy, y, X, True, penalty=penalty).value
        x = np.full(3, size)
        shortfall = find_better_point(objective_of(fastgd.cross_entropy, None, y, X, True, penalty=penalty), x, x, 1e-3)
        assert shortfall.value == pytest.approx(lowest, rel=1e-3)
        for options in ({"X": X * [1, size], "alpha": "auto", "theta0": 1.0}, {"X": X, "alpha": rate, "theta0": size},
                        {"alpha": rate, "theta0": size}):
            with pytest.warns(ConvergenceWarning, match="not reached"):
                minimize(fastgd.cross_entropy, None, y, progress=False, fit_intercept="X" in options, penalty=penalty,
                         **options)

    @pytest.mark.parametrize("loss", [fastgd.Huber(0.01), fastgd.log_cosh])
    def test_residuals_so_large_that_the_loss_is_straight(self, loss):
        for seed in (3, 5, 7, 8):
            rng = np.random.default_rng(seed)
            X = rng.normal(size=(20, 3))
            y = 1e4 * (X.sum(axis=1) + rng.standard_cauchy(20))
            start = np.zeros(4)
            shortfall = find_better_point(objective_of(loss, None, y, X, True), start, start, 1e-3)
            assert shortfall.value == pytest.approx(least(loss, y, X, True).value, rel=1e-3)

    @pytest.mark.parametrize(("n", "p", "seed"), [(5, 6, 43), (20, 30, 40)])
    def test_more_columns_than_rows_and_a_penalty_that_chooses(self, n, p, seed):
        rng = np.random.default_rng(seed)
        X = rng.normal(size=(n, p))
        y = X[:, :3] @ [1, 2, -1] + rng.standard_t(3, n)
        penalty = fastgd.penalties.L1(0.002)
        with pytest.warns(ConvergenceWarning, match="not reached"):
            result = minimize(fastgd.mse, None, y, "auto", False, X=X, fit_intercept=True, precondition="scale",
                              momentum="nesterov", penalty=penalty, full_output=True)
        assert result.fun > 1.01 * least(fastgd.mse, y, X, True, penalty=penalty).value

    def test_a_gradient_in_python_and_no_loss(self):
        """Its slopes tell; where it is near nothing is said."""
        y = np.random.default_rng(1).normal(1000, 1, 300)
        X = np.random.default_rng(2).normal(size=(300, 2))

        def slope(theta, y):
            return 2 * np.mean(theta - y)

        def slope_of_rows(theta, X, y):
            return 2 * X.T @ (X @ theta - y) / len(y)

        words = "not reached.*theta.*slope.*theta"
        for gradient, options in ((slope, {}), (slope_of_rows, {"X": X, "fit_intercept": True})):
            with pytest.warns(ConvergenceWarning, match=words):
                minimize(None, gradient, y, 1e-7, False, **options)
            assert minimize(None, gradient, y, 0.1, False, full_output=True, **options).success

    def test_the_least_is_said_only_where_nothing_is_left(self):
        """A constant and a time determine each other but for what they differ by, along which the loss falls most."""
        rng = np.random.default_rng(0)
        t = 1.6e9 + np.arange(60.0)
        X = np.column_stack([np.full(60, 5.0), rng.normal(size=(60, 5)), t])
        y = 0.3 * (t - t.mean()) + rng.normal(size=60)
        Z = np.column_stack([np.ones(60), X[:, 1:6], t - t.mean()])
        least = np.mean((Z @ np.linalg.lstsq(Z, y)[0] - y)**2)
        with pytest.warns(ConvergenceWarning, match=f"not reached.* {least:.6g}"):
            minimize(fastgd.mse, None, y, "auto", False, X=X)

    @pytest.mark.parametrize("loss", [fastgd.mse, fastgd.huber_loss, fastgd.log_cosh])
    @pytest.mark.parametrize("offset", [100, 1e4])
    def test_an_offset_hides_no_bad_fit(self, loss, offset):
        X = offset + np.random.default_rng(7).normal(size=(200, 2))
        y = X @ [1.0, -2.0] + 5
        for data, targets in ((X, y), (X * 100, y * 100)):
            with pytest.warns(ConvergenceWarning, match="not reached"):
                minimize(loss, None, targets, "auto", False, X=data, fit_intercept=True)

    def test_a_step_is_short_where_the_slope_is_bounded(self):
        words = "not reached"
        for alpha in (5e-4, 1e-5):
            with pytest.warns(ConvergenceWarning, match=words):
                minimize(fastgd.huber_loss, None, TIPS["tip"] + 1e4, alpha, False, X=TIPS[["total_bill"]],
                         fit_intercept=True)

    def test_stochastic_descent_far_from_the_optimum(self):
        X, y = TIPS[["total_bill"]] * 100, TIPS["tip"]
        for stop in ("step", "epoch", "loss"):
            for call in (minimize_sgd, functools.partial(minimize_mini_batch, minibatch_size=32)):
                with pytest.warns(ConvergenceWarning, match="not reached"):
                    call(fastgd.mse, None, dataset=y, alpha="auto", X=X, fit_intercept=True, rng=0, stop=stop)

    def test_unscaled_columns_among_many(self):
        X = np.random.default_rng(0).normal(size=(500, 150)) * np.r_[1e4, np.ones(149)]
        y = 10 * X[:, 5] + X[:, 0] / 1e4
        with pytest.warns(ConvergenceWarning, match="not reached"):
            minimize(fastgd.mse, None, y, "auto", False, X=X)

    def test_a_loss_that_swings_has_not_converged(self):
        with pytest.warns(ConvergenceWarning, match="not reached"):
            minimize(fastgd.abs_loss, None, [0.0, 0.0], 2.0, False, X=[[1.0], [-1.0]], stop="loss", theta0=1.0)
        with pytest.warns(ConvergenceWarning, match=r" 0, .*theta 0\b"):
            minimize(fastgd.mse, None, [0.0], 1.0, False, stop="loss", theta0=1.0)

    @pytest.mark.parametrize("steepness", [3, 8])
    def test_saturated_probabilities(self, steepness):
        rng = np.random.default_rng(0)
        X = rng.normal(size=(500, 2))
        y = (rng.random(500) < 1 / (1 + np.exp(-steepness * (X @ [2, -1])))) * 1.0
        for options in ({"alpha": "auto", "stop": "loss"}, {"alpha": 0.2}):
            with pytest.warns(ConvergenceWarning, match="not reached"):
                minimize(fastgd.cross_entropy, None, y, progress=False, X=X, **options)
        theta = minimize(fastgd.cross_entropy, None, y, 4, progress=False, X=X, tol=1e-5)
        assert np.abs(fastgd.grad_cross_entropy(theta, y, X=X)).max() < 1e-5

    def test_a_rule_that_was_met_on_the_way_up(self):
        X = rows(100, 2)[0]
        with pytest.warns(ConvergenceWarning, match="^minimize "):
            result = minimize(fastgd.pinball_loss, None, X @ [1, -2.0] * 1e-3, 5.0, False, X=X, stop="loss", tol=1e9,
                              full_output=True)
        assert (result.success, result.status, result.nit) == (False, 4, 1)


class TestNoReasonForAlarm:
    def test_noiseless_data_converge_in_silence(self):
        X = rows(50, 2)[0]
        theta = minimize(fastgd.mse, None, X @ [1.0, 2.0], 0.3, False, X=X, tol=1e-9)
        assert theta == pytest.approx([1, 2], abs=1e-7)

    def test_a_swing_about_an_exact_fit_is_no_divergence(self):
        X = rows()[0]
        with pytest.warns(ConvergenceWarning):
            minimize(fastgd.abs_loss, None, X @ [1.0, 2, 3], 0.2, False, X=X, theta0=[1, 2, 3 + 1e-9], max_iter=500)


def test_targets_that_are_no_probabilities_are_named():
    X = rows()[0]
    with pytest.warns(ConvergenceWarning, match="targets.* -1 to 1.*between 0 and 1"):
        minimize(fastgd.cross_entropy, None, np.sign(X[:, 0]), 0.5, False, X=X, max_iter=300)


class TestARateThatFellTo0:
    @pytest.mark.parametrize("seed", range(8))
    def test_near_the_optimum_is_no_reason_for_alarm(self, seed, pcttip):
        result = minimize_sgd(fastgd.mse, fastgd.grad_mse, pcttip, schedules.cosine(0.05, 2000), rng=seed, tol=1e-12,
                              full_output=True)
        assert result.nit == 2001
        assert result.fun < 1.01 * fastgd.mse(pcttip.mean(), pcttip)
        assert result.success

    @pytest.mark.parametrize("gradient", [fastgd.grad_mse, reference.grad_mse])
    def test_far_from_it_is(self, gradient, pcttip):
        with pytest.warns(ConvergenceWarning, match="learning rate.* 0 .*update 3[0-9]"):
            result = minimize(fastgd.mse, gradient, pcttip, schedules.cosine(0.01, 30), progress=False, tol=1e-9,
                              full_output=True)
        assert (result.success, result.status) == (False, 4)

    @pytest.mark.parametrize("gradient", [fastgd.grad_mse, reference.grad_mse])
    def test_far_from_it_after_a_warm_up_too(self, gradient, five_points):
        def alpha(t):
            return 0.01 if 100 <= t < 105 else 0.0

        with pytest.warns(ConvergenceWarning, match="learning rate.* 0 .*update 106"):
            result = minimize(None, gradient, five_points, alpha, progress=False, full_output=True)
        assert (result.success, result.status) == (False, 4)
        with pytest.warns(ConvergenceWarning, match="learning rate.* 0 "):
            many = fastgd.minimize_multistart(fastgd.mse, gradient, five_points, [0.0, 1.0, 2.0], alpha)
        assert not many.success

    def test_at_the_optimum_in_python(self, five_points):
        result = minimize(None, reference.grad_mse, five_points, schedules.cosine(0.4, 100), progress=False, tol=1e-9,
                          full_output=True)
        assert result.success


def test_labels_of_a_loss_of_probabilities_are_named():
    X = rows()[0]
    labels = np.where(np.arange(200) % 4, 1.0, -1.0)    # whose mean is between 0 and 1, so that there is a minimum
    words = r"converged.*labels -1 and 1.*between 0 and 1.*\(dataset \+ 1\) / 2"
    for options in ({}, {"X": X, "fit_intercept": True}):
        with pytest.warns(ConvergenceWarning, match=words):
            minimize(fastgd.cross_entropy, None, labels, "auto", False, tol=1e-4, **options)
        minimize(fastgd.cross_entropy, None, (labels + 1) / 2, "auto", False, tol=1e-4, **options)


def test_a_warning_is_of_the_line_that_called(five_points, tmp_path):
    (tmp_path / "wrapper.py").write_text(
        "import functools, fastgd\n"
        "def call(y):\n"
        "    return functools.partial(fastgd.minimize, fastgd.mse, None, progress=False)(y, max_iter=1)\n")
    spec = importlib.util.spec_from_file_location("wrapper_of_fastgd", tmp_path / "wrapper.py")
    wrapper = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(wrapper)
    for call in (lambda: wrapper.call(five_points), lambda: wrapper.call(five_points.tolist())):
        with pytest.warns(ConvergenceWarning, match="1 updates") as caught:
            call()
        assert (caught[0].filename, caught[0].lineno) == (str(tmp_path / "wrapper.py"), 3)


def advised(message):
    """The options that a message advises."""
    return set(re.findall(r"max_iter|learning rate|smaller tol|without momentum|alpha='\w+'|precondition='\w+'|"
                          r"momentum='\w+'", message))


class TestUnitsAndAdvice:
    """What is said is in the units of the rule, and what is advised can be done and is not done already."""

    def rows(self):
        rng = np.random.default_rng(0)
        X = rng.normal(size=(300, 2)) * [1.0, 1e-4]
        return X, X @ [1, 1e4] + rng.normal(size=300)

    def said(self, loss=fastgd.mse, alpha="auto", verb=minimize, **options):
        X, y = self.rows()
        with pytest.warns(ConvergenceWarning) as caught:
            result = verb(loss, None, y, alpha, X=X, full_output=True, **options)
        assert str(caught[0].message) == result.message
        return result

    def test_steps_are_those_that_the_rule_compared(self):
        X, _ = self.rows()
        sizes = np.sqrt((X**2).mean(axis=0))
        for alpha, options in ((1e-4, {}), (0.01, {"max_iter": 5}), (0.01, {"max_iter": 5, "momentum": "nesterov"})):
            result = self.said(alpha=alpha, precondition="scale", progress=False, history=True, **options)
            thetas = np.vstack([np.zeros(2), result.history[["x0", "x1"]].to_numpy()])
            step = np.abs((thetas[-1] - thetas[-2]) * sizes).max()
            assert f"{step:.3g} in units" in result.message

    @quiet
    def test_steps_of_mini_batches_too(self):
        X, y = self.rows()
        sizes, successes = np.sqrt((X**2).mean(axis=0)), 0
        for seed in range(10):
            result = minimize_mini_batch(fastgd.mse, None, y, 100, 0.1, X=X, rng=seed, tol=0.02, precondition="scale",
                                         theta0=[1.0255, 10292.9], average=True, history=True)
            if result.success:
                thetas = np.vstack([[1.0255, 10292.9], result.history[["x0", "x1"]].to_numpy()])
                step = (np.abs(thetas[-1] - thetas[-2]) * sizes).max()
                assert f"theta by {step:.3g}, in units" in result.message
                successes += 1
        assert successes >= 2

    def test_an_epoch_moved_theta_by_less_than_tol(self):
        result = self.said(alpha=1e-7, verb=minimize_sgd, rng=0, stop="epoch")
        moved, tol = re.search(r"epoch .*?theta, (\S+), .*?tol=([^ ,]+)", result.message).groups()
        assert float(moved) < float(tol)

    @pytest.mark.parametrize("precondition", ["scale", "gram"])
    @pytest.mark.parametrize("momentum", [None, "nesterov"])
    def test_the_stable_rate_in_a_metric(self, precondition, momentum):
        X, y = self.rows()
        for model in ({"X": X}, {}):
            with pytest.raises(DivergenceError, match=rf"precondition='{precondition}'.*mse is 2\b.*"
                                                      r"alpha='auto' is 1\.$"):
                minimize(fastgd.mse, None, y, 2.5, False, precondition=precondition, momentum=momentum, **model)

    def test_more_updates(self):
        L1 = fastgd.penalties.L1(0.1)
        for alpha, options, advice in (
                (1e-3, {}, {"max_iter", "learning rate", "precondition='gram'", "momentum='nesterov'"}),
                (1e-3, {"penalty": L1}, {"max_iter", "learning rate", "precondition='scale'", "momentum='nesterov'"}),
                (1e-3, {"precondition": "gram"}, {"max_iter", "learning rate", "momentum='nesterov'"}),
                (1e-3, {"precondition": "gram", "momentum": "nesterov"}, {"max_iter", "learning rate"}),
                ("adaptive", {"precondition": "gram"}, {"max_iter"}),
                ("adaptive", {}, {"max_iter", "precondition='gram'"})):
            message = self.said(fastgd.huber_loss, alpha, max_iter=1, tol=1e-9, progress=False, **options).message
            assert advised(message) == advice

    def test_the_way_to_arrive(self):
        for options, advice in (
                ({}, {"alpha='adaptive'", "precondition='gram'"}),
                ({"precondition": "gram"}, {"alpha='adaptive'"}),
                ({"precondition": "gram", "momentum": "nesterov"}, {"alpha='adaptive'", "without momentum"})):
            message = self.said(alpha=1e-6, progress=False, **options).message
            assert advised(message) == advice | {"smaller tol", "learning rate"}
        message = self.said(alpha=1e-6, verb=minimize_sgd, precondition="scale", rng=0, stop="epoch").message
        assert "precondition='scale'" not in message


def test_a_diverging_penalty_warns_of_nothing():
    X = np.random.default_rng(0).normal(size=(20, 1))
    with pytest.raises(DivergenceError):    # warnings of numpy would be errors here
        minimize(fastgd.abs_loss, None, X[:, 0], 0.83, False, penalty=fastgd.penalties.L2(24.0), theta0=1.2e7)


def unit_log(theta, y):
    return float(np.mean(np.log(theta - y))) if theta > y.max() else np.nan


class TestTheCauseIsNamed:
    """A run that no learning rate could save says what was wrong, and where."""

    Y = np.array([1.0, 2.0, 4.0])

    @staticmethod
    def slope(theta, y):
        return np.mean(1 / (theta - y))

    @pytest.mark.parametrize("verb", [
        lambda *args: minimize(*args, 0.2, False, theta0=4.5, full_output=True),
        lambda *args: minimize_sgd(*args, 0.05, theta0=4.5, rng=0, stop="epoch", full_output=True, tol=0.1),
        lambda *args: fastgd.minimize_multistart(*args, [4.5], 0.2)], ids=["minimize", "sgd", "multistart"])
    def test_a_theta_that_left_the_domain_of_the_loss(self, verb):
        with pytest.warns(ConvergenceWarning, match="loss.*nan.*theta 4"):
            result = verb(unit_log, self.slope, self.Y)
        assert not result.success

    def test_a_loss_that_is_infinite_from_the_start(self):
        with pytest.warns(ConvergenceWarning, match="loss.*inf.*theta 0.*start"):
            result = minimize(lambda t, d: np.inf, lambda t, d: 2 * t, [1.0], 0.2, False, full_output=True)
        assert not result.success

    @pytest.mark.parametrize("alpha", [1e-9, "adaptive", 0.5])
    def test_a_gradient_that_is_nan(self, alpha):
        with pytest.raises(DivergenceError, match=r"gradient.*nan.*theta 0"):
            minimize(lambda t, d: t * t, lambda t, d: np.nan, [1.0, 2.0], alpha, False)

    def test_a_gradient_that_becomes_nan(self):
        def gradient(theta, y):
            return -1.0 if theta < 1 else np.nan

        with pytest.raises(DivergenceError, match=r"gradient.*nan.*theta 1\.\d"):
            minimize(None, gradient, [1.0], 0.3, False)
        with pytest.raises(DivergenceError, match=r"gradient.*\[nan nan\]"):
            minimize(None, lambda theta, X, y: theta * np.nan, [1.0], 0.3, False, X=[[1.0, 2.0]])

    def test_a_loss_that_falls_without_end(self):
        for alpha in ("adaptive", 0.5):
            with pytest.raises(DivergenceError, match=r" -1 at theta 1\b"):
                minimize(lambda t, d: -t * t, lambda t, d: -2 * t, [1.0], alpha, False, theta0=1.0)

    @pytest.mark.parametrize("alpha", [0.2, "adaptive"])
    def test_the_loss_that_was_given_beside_a_gradient_of_ours(self, alpha):
        X = np.column_stack([np.ones(3), self.Y])
        for options in ({}, {"X": X, "precondition": "gram"}):
            with pytest.warns(ConvergenceWarning, match="loss.*nan.*theta.*start"):
                result = minimize(lambda theta, *data: np.nan, fastgd.grad_mse, self.Y, alpha, False, full_output=True,
                                  **options)
            assert not result.success
        with pytest.warns(ConvergenceWarning, match=r"loss.*nan.*theta 2\."):
            runs = fastgd.minimize_multistart(lambda t, d: t if t < 2 else np.nan, fastgd.grad_mse, self.Y, [0.0, 1.0])
        assert not any(run.success for run in runs.runs)

    @pytest.mark.parametrize("alpha", [0.2, "adaptive"])
    def test_a_gradient_of_the_wrong_sign(self, alpha):
        X = np.column_stack([np.ones(3), self.Y])
        for loss, gradient, options in (
                (lambda t, d: np.mean((d - t) ** 2), lambda t, d: 2 * np.mean(d - t), {}),
                (lambda t, X, y: np.mean((y - X @ t) ** 2), lambda t, X, y: 2 * X.T @ (y - X @ t) / 3, {"X": X})):
            with pytest.raises(DivergenceError, match="check_gradient"):
                minimize(loss, gradient, self.Y, alpha, False, **options)

    def test_a_rate_that_is_too_large_is_no_wrong_sign(self):
        for loss, gradient, options in (
                (lambda t, d: np.mean((d - t) ** 2), lambda t, d: -2 * np.mean(d - t), {}),
                (lambda t, d: np.mean((d - t) ** 2), None, {}),
                (fastgd.mse, None, {})):
            with pytest.raises(DivergenceError, match="smaller learning rate"):
                minimize(loss, gradient, self.Y, 1.5, False, **options)

    def test_steps_of_its_own_length_are_not_the_learning_rate_of_the_user(self):
        cases = ((None, lambda t, d: -2 * t, {}), (lambda t, d: -t, lambda t, d: -1.0, {}),
                 (lambda t, d: -t * t, None, {}),
                 (lambda t, d: np.mean((d - t) ** 2), lambda t, d: 2 * np.mean(d - t), {}))
        for loss, gradient, options in cases:
            with pytest.raises(DivergenceError) as caught:
                minimize(loss, gradient, self.Y, "adaptive", False, theta0=1.0, **options)
            assert "learning rate" not in str(caught.value)
        with pytest.warns(ConvergenceWarning, match=" -2 at theta"):
            minimize(lambda t, X, y: -np.sum(t * t), lambda t, X, y: -2 * t, self.Y, "adaptive", False,
                     X=np.column_stack([np.ones(3), self.Y]), theta0=1.0)

    @pytest.mark.parametrize("alpha", [0.2, "adaptive"])
    def test_a_loss_without_a_gradient_that_is_no_number(self, alpha):
        with pytest.raises(DivergenceError, match=r"loss.*nan.*theta 1\b"):
            minimize(lambda t, d: np.nan, None, self.Y, alpha, False, theta0=1.0)
        with pytest.raises(DivergenceError, match=r"loss.*inf.*theta 0\b.*4e\+200"):
            minimize(lambda t, d: np.mean((d - t) ** 2), None, self.Y * 1e200, alpha, False)

    def test_exponents_of_python_that_overflow_in_a_gradient_of_rows(self):
        import math

        with pytest.raises(DivergenceError, match=r"gradient.*\[nan nan\]"):
            minimize(None, lambda t, X, y: [2 * t[0] * math.exp(t[0] ** 2), 0.0], self.Y, 0.2, False,
                     X=np.column_stack([np.ones(3), self.Y]), theta0=3.0)

    @quiet
    def test_targets_that_overflow_before_the_rule_is_met(self):
        y, X = self.Y * 1e200, np.column_stack([np.ones(3), self.Y])
        for result in (minimize_sgd(fastgd.mse, None, y, 0.2, rng=0, max_epochs=3, full_output=True),
                       minimize_sgd(fastgd.mse, None, y, "auto", X=X, precondition="scale", rng=0, full_output=True),
                       minimize(fastgd.mse, None, y, 0.1, False, max_iter=3, full_output=True)):
            assert re.search(r"4e\+200 .*1e\+200", result.message)
            assert "rate" not in result.message
            assert not result.success

    @pytest.mark.parametrize(("coarse", "rounding"), [(lambda v: round(v, 2), "0.01"), (np.float32, "5e-07")])
    def test_what_rounding_leaves_of_a_loss_is_said(self, coarse, rounding):
        y = 1000 + np.random.default_rng(0).normal(0, 3, 50)
        result = minimize(lambda t, d: coarse(float(np.mean((d - t) ** 2))), None, y, "adaptive", False,
                          full_output=True)
        assert re.search(rf"Rounding .* {re.escape(rounding)},", result.message)
        exact = minimize(lambda t, d: np.mean((d - t) ** 2), None, y, "adaptive", False, full_output=True)
        assert "Rounding" not in exact.message

    @pytest.mark.parametrize("name", ["mse", "quartic_loss"])
    def test_targets_that_overflow(self, name):
        y = np.array([1.0, 2.0, 4.0]) * 1e200
        for options in ({}, {"X": np.array([[1.0], [2.0], [3.0]]), "precondition": "gram"}):
            with pytest.raises((DivergenceError, ConvergenceWarning), match=r"4e\+200 overflow.*1e\+200"):
                minimize(REGISTRY[name], None, y, 1e-3, False, **options)

    @pytest.mark.parametrize(("loss", "gradient"), [
        (lambda t, d: (t - 3) ** 2, lambda t, d: 2 * (t - 3)),
        (lambda t, d: (t - 3) ** 4, lambda t, d: 4 * (t - 3) ** 3),
        (lambda t, d: float(t) ** 2, lambda t, d: 2 * float(t) ** 3)])
    def test_numbers_of_python_diverge_as_those_of_numpy(self, loss, gradient):
        for verb in (lambda: minimize(loss, gradient, [0.0, 1.0, 2.0], 1.5, False, theta0=10.0),
                     lambda: minimize_sgd(loss, gradient, [0.0, 1.0, 2.0], 1.5, rng=0, theta0=10.0),
                     lambda: minimize_mini_batch(loss, gradient, [0.0, 1.0, 2.0], 2, 1.5, rng=0, theta0=10.0),
                     lambda: fastgd.minimize_multistart(loss, gradient, [0.0, 1.0, 2.0], [10.0, 11.0], 1.5)):
            with pytest.raises(DivergenceError):
                verb()

    def test_a_start_that_overflows_is_lost_alone(self):
        with pytest.warns(ConvergenceWarning, match="from 100 .*diverged"):
            found = fastgd.minimize_multistart(lambda t, d: t**4 / 4 - t**2 / 2, lambda t, d: t**3 - t, [0.0],
                                               [0.5, -0.5, 100], 0.3)
        assert found.minima == pytest.approx([-1, 1], abs=0.01) or found.minima == pytest.approx([1, -1], abs=0.01)
        assert found.labels[2] == -1

    @pytest.mark.parametrize("role", ["loss_fn", "grad_loss_fn"])
    def test_a_stop_iteration_is_no_word_to_end(self, role):
        def stops(theta, y):
            return next(iter([]))

        functions = {"loss_fn": lambda t, y: t * t, "grad_loss_fn": lambda t, y: 2 * t, role: stops}
        for verb in (lambda **named: minimize(dataset=[1.0], alpha=0.1, **named),
                     lambda **named: minimize_sgd(dataset=[1.0], rng=0, progress=True, **named)):
            with pytest.raises(RuntimeError, match=f"{role}.*StopIteration"):
                verb(**functions)

    @quiet
    def test_a_rate_of_0_is_not_mended_by_more_updates(self):
        for verb, options in ((minimize_sgd, {"rng": 0, "max_epochs": 5}),
                              (minimize, {"max_iter": 5, "progress": False})):
            message = verb(fastgd.mse, None, [1.0, 2.0], lambda t: 0.0, full_output=True, **options).message
            assert "Raise" not in message

    def test_the_gradient_of_another_loss(self):
        for verb, options in ((minimize, {"progress": False}), (minimize_sgd, {"rng": 0}),
                              (fastgd.minimize_multistart, {"starts": [0.0]})):
            with pytest.warns(ConvergenceWarning, match="grad_mse.*loss_fn=huber_loss"):
                verb(fastgd.huber_loss, fastgd.grad_mse, [1.0, 1.0], **options)
        minimize(fastgd.huber_loss, fastgd.Huber(2.0).gradient, [1.0, 1.0], progress=False)
        minimize(fastgd.pinball_loss, fastgd.Pinball(0.5, smoothing=0.1).gradient, [1.0, 1.0], 0.1, progress=False)
