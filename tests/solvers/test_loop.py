"""What a run shows, records and calls, an update or an epoch at a time; and Ctrl-C."""
import ctypes.util
import inspect
import time

import numpy as np
import pandas as pd
import pytest
from helpers import course, course_sgd, descend, is_free, quiet, rows, sgd

import fastgd
from fastgd import (
    ConvergenceWarning,
    DescentResult,
    DivergenceError,
    minimize,
    minimize_mini_batch,
    minimize_sgd,
    reference,
)
from fastgd._data import ConstantModelData, LinearModelData
from fastgd._solvers.base import Scheduled, Steps
from fastgd._solvers.epoch_stopping import EpochRule
from fastgd._solvers.loop import CYCLE_EVALUATIONS, LONGEST_CHUNK, _Pace, run_loop
from fastgd.schedules import as_rates


class TestHistory:
    @quiet
    def test_has_a_row_an_update(self, five_points):
        result = minimize(fastgd.mse, fastgd.grad_mse, five_points, progress=False, history=True, full_output=True)
        assert result.success
        history = result.history
        assert list(history.columns) == ["update", "alpha", "theta"]
        assert history["update"].tolist() == list(range(1, 19))
        assert (history["alpha"] == 0.2).all()
        assert history["theta"].tolist() == [
            descend(fastgd.mse, five_points, max_iter=k, tol=0) for k in range(1, 19)]
        assert "DataFrame of 18 updates" in repr(result)
        assert isinstance(descend(fastgd.mse, five_points, history=True), DescentResult)

    @quiet
    def test_goes_on_over_many_chunks(self):
        result = descend(fastgd.mse, np.zeros(3), 1e-4, theta0=1.0, max_iter=10_000, tol=0, history=True)
        assert result.history["update"].tolist() == list(range(1, 10_001))
        assert result.history["theta"].iloc[-1] == result.x
        assert result.history["theta"].is_monotonic_decreasing

    @quiet
    def test_changes_nothing_on_rows_and_neither_do_a_bar_and_averages(self):
        X, y = rows(3000, 30)
        for options in ({}, {"average": True}, {"history": True}, {"progress": "bar"}):
            if options.get("progress"):
                pytest.importorskip("tqdm")
            result = minimize_sgd(fastgd.huber_loss, None, y, 0.01, X=X, rng=0, max_epochs=2, tol=0,
                                  full_output=True, **options)
            if not options:
                expected = result.x
            if "average" not in options:
                assert np.array_equal(result.x, expected)
        everything = minimize_sgd(fastgd.huber_loss, None, y, 0.01, X=X, rng=0, max_epochs=2, tol=0,
                                  history=True)
        mean = minimize_sgd(fastgd.huber_loss, None, y, 0.01, X=X, rng=0, max_epochs=2, tol=0, average=True)
        assert mean == pytest.approx(everything.history.iloc[3000:, 2:].to_numpy().mean(axis=0))


    @quiet
    def test_has_the_rates_of_a_schedule(self, five_points):
        schedule = fastgd.schedules.inverse_scaling(1e-3, 0.5)
        for options in ({}, {"callback": lambda result: None}):
            history = descend(fastgd.mse, five_points, schedule, history=True, tol=0, max_iter=5000, **options).history
            assert np.array_equal(history["alpha"], schedule(np.arange(5000)))

    @quiet
    def test_of_an_epoch_longer_than_a_chunk(self, capsys):
        y = np.random.default_rng(0).normal(15, 3, 30_000)
        seen = []
        result = sgd("mse", y, None, 1e-3, rng=0, tol=0, max_epochs=2, history=True, progress=True,
                     callback=lambda result: seen.append(result.nit))
        assert len(result.history) == result.nit == 60_000
        assert seen == [30_000, 60_000]
        assert len(capsys.readouterr().out.splitlines()) == 2


class TestCallbackOfBatchDescent:
    @pytest.mark.parametrize(("loss", "gradient"), [
        (fastgd.mse, fastgd.grad_mse), (reference.mse, reference.grad_mse), (reference.mse, fastgd.grad_mse)])
    def test_sees_every_update(self, loss, gradient, five_points):
        seen = []
        theta = minimize(loss, gradient, five_points, progress=False, callback=seen.append)
        assert [r.nit for r in seen] == list(range(1, 19))
        assert seen[-1].x == theta
        assert all(r.fun == reference.mse(r.x, five_points) for r in seen)

    def test_takes_its_result_by_keyword_as_in_scipy(self, five_points):
        seen = []
        minimize(fastgd.mse, fastgd.grad_mse, five_points, progress=False,
                 callback=lambda *, intermediate_result: seen.append(intermediate_result.x))
        assert len(seen) == 18

    def test_may_be_a_builtin_without_a_signature(self, five_points):
        assert minimize(fastgd.mse, None, five_points, progress=False, callback=bool) == 14.658511131035242

    def test_never_sees_a_theta_that_is_not_finite(self, five_points):
        seen = []
        with pytest.raises(fastgd.DivergenceError):
            minimize(fastgd.mse, None, five_points, 3.0, False, callback=lambda result: seen.append(result.x))
        assert len(seen) > 10
        assert np.isfinite(seen).all()

    @pytest.mark.parametrize("gradient", [fastgd.grad_mse, reference.grad_mse])
    def test_may_stop_the_run(self, gradient, five_points):
        def stop(result):
            if result.nit == 5:
                raise StopIteration

        result = minimize(fastgd.mse, gradient, five_points, progress=False, callback=stop, history=True)
        assert (result.nit, result.status, result.success) == (5, 99, False)
        assert result.x == course("mse", five_points, max_iter=5)
        assert len(result.history) == 5

    def test_that_stops_at_an_update_that_converges_has_stopped_it(self, five_points):
        def stop(result):
            if result.nit == 18:
                raise StopIteration

        result = descend(fastgd.mse, five_points, full_output=True)
        assert (result.nit, result.status) == (18, 0)
        result = descend(fastgd.mse, five_points, full_output=True, callback=stop)
        assert (result.nit, result.status) == (18, 99)

    @quiet
    def test_comes_in_turn_with_the_lines(self, five_points, capsys):
        minimize(fastgd.mse, fastgd.grad_mse, five_points, callback=lambda r: print(f"after {r.nit}"), tol=2.5)
        assert capsys.readouterr().out.splitlines() == [
            "theta: 0.00 | loss: 218.76", "after 1", "theta: 5.86 | loss: 81.21", "after 2",
            "theta: 9.38 | loss: 31.70", "after 3"]

    def test_raises_its_own_errors(self, five_points):
        def fail(result):
            raise ZeroDivisionError("mine")

        with pytest.raises(ZeroDivisionError, match="mine"):
            minimize(fastgd.mse, fastgd.grad_mse, five_points, progress=False, callback=fail)
        assert descend(fastgd.mse, five_points) == 14.658511131035242

    @quiet
    def test_may_set_the_rate_and_the_data(self, five_points):
        state = {"alpha": 0.4}
        result = descend(fastgd.mse, five_points, lambda t: state["alpha"], history=True, max_iter=4, tol=0,
                         callback=lambda r: state.update(alpha=state["alpha"] / 2))
        assert result.history["alpha"].tolist() == [0.4, 0.2, 0.1, 0.05]
        y = five_points.copy()
        assert descend(fastgd.mse, y, callback=lambda r: y.fill(0.0)) == pytest.approx(0, abs=0.01)


class TestCallbackOfStochasticDescent:
    @quiet
    @pytest.mark.parametrize("size", [None, 10])
    @pytest.mark.parametrize("source", [fastgd, reference])
    def test_is_called_once_an_epoch(self, source, size, pcttip):
        seen = []
        theta = sgd("mse", pcttip, size, 0.01, rng=0, tol=0, max_epochs=4, callback=seen.append, source=source)
        period = 244 if size is None else 25
        assert [result.nit for result in seen] == [period, 2 * period, 3 * period, 4 * period]
        assert seen[-1].x == theta
        assert seen[0].fun == reference.mse(seen[0].x, pcttip)

    def test_sees_the_average_and_may_stop(self, pcttip):
        seen = []

        def callback(intermediate_result):
            seen.append(intermediate_result.x)
            if len(seen) == 2:
                raise StopIteration

        result = sgd("mse", pcttip, None, 0.1, rng=0, tol=0, average=True, callback=callback, full_output=True)
        assert (result.status, result.nit, result.x) == (99, 488, seen[-1])

    @quiet
    def test_changes_nothing_and_neither_does_history(self, pcttip):
        plain = sgd("mse", pcttip, None, 0.01, rng=0, full_output=True)
        watched = sgd("mse", pcttip, None, 0.01, rng=0, full_output=True, callback=lambda r: None, history=True)
        assert (plain.x, plain.nit) == (watched.x, watched.nit)


class TestCallbackOnRows:
    @quiet
    def test_gets_arrays_of_its_own(self):
        X, y = rows()
        seen = []
        minimize(fastgd.mse, None, y, 0.1, False, X=X, max_iter=5, callback=lambda r: seen.append(r.x))
        history = minimize(fastgd.mse, None, y, 0.1, False, X=X, max_iter=5, history=True).history
        assert np.array_equal(np.array(seen), history[["x0", "x1", "x2"]].to_numpy())
        seen.clear()

        def stop(result):
            seen.append(result)
            if len(seen) == 2:
                raise StopIteration

        result = minimize_sgd(fastgd.mse, None, y, 0.01, X=X, tol=0, rng=0, callback=stop, full_output=True)
        assert (result.status, result.nit) == (99, 400)
        assert seen[1].fun == fastgd.mse(seen[1].x, y, X=X)

    @quiet
    def test_leaves_the_history_whole(self):
        X, y = rows()
        result = minimize_sgd(fastgd.mse, None, y, 0.01, X=X, rng=0, max_epochs=2, tol=0, history=True,
                              callback=lambda result: None)
        alone = minimize_sgd(fastgd.mse, None, y, 0.01, X=X, rng=0, max_epochs=2, tol=0, history=True)
        assert result.history.equals(alone.history)

    def test_is_told_of_the_columns_and_the_intercept(self):
        X, y = rows()
        seen = []
        minimize(fastgd.mse, None, y, 0.1, False, X=pd.DataFrame(X, columns=["a", "b", "c"]), fit_intercept=True,
                 callback=seen.append)
        assert {(result.feature_names, result.fit_intercept) for result in seen} == {(("a", "b", "c"), True)}

    @quiet
    def test_can_predict_and_change_nothing(self):
        X, y = rows()

        def callback(result):
            assert result.predict(X).shape == (200,)
            result.x[:] = np.nan

        for options in ({}, {"average": True}):
            theta = minimize_sgd(fastgd.mse, None, y, 0.01, X=X, fit_intercept=True, rng=0, callback=callback,
                                 max_epochs=2, tol=0, **options)
            assert np.isfinite(theta).all()
        assert np.isfinite(minimize(fastgd.mse, None, y, 0.1, False, X=X, fit_intercept=True, callback=callback,
                                    max_iter=3)).all()


    def test_hides_no_divergence_by_changing_what_it_gets(self):
        X, y = rows()

        def zero(result):
            result.x.fill(0.0)

        for options in ({"X": X}, {"X": X, "stop": "loss"}):
            with pytest.raises(DivergenceError, match="loss grew from") as caught:
                minimize(fastgd.mse, None, y, 5.0, False, max_iter=30, callback=zero, **options)
            with pytest.raises(DivergenceError) as alone:
                minimize(fastgd.mse, None, y, 5.0, False, max_iter=30, **options)
            assert str(caught.value) == str(alone.value)
            assert caught.value.result == alone.value.result


class TestProgress:
    @quiet
    def test_lines_come_in_turn_with_what_a_gradient_prints(self, five_points, capsys):
        def gradient(theta, y):
            print("asked")
            return reference.grad_mse(theta, y)

        minimize(fastgd.mse, gradient, five_points, tol=2.5)
        assert [line[:5] for line in capsys.readouterr().out.splitlines()][:6] == ["theta", "asked"] * 3

    def test_lines_over_many_chunks(self, capsys):
        quiet_options = {"theta0": 1.0, "tol": 0, "max_iter": 300}
        with pytest.warns(ConvergenceWarning):
            minimize(fastgd.mse, fastgd.grad_mse, np.zeros(3), 1e-3, **quiet_options)
        ours = capsys.readouterr().out
        reference.minimize(reference.mse, reference.grad_mse, np.zeros(3), 1e-3, **quiet_options)
        assert ours == capsys.readouterr().out

    @quiet
    def test_a_line_an_epoch(self, pcttip, capsys):
        sgd("mse", pcttip, None, 0.01, rng=0, tol=0, max_epochs=3, progress=True)
        lines = capsys.readouterr().out.splitlines()
        assert lines[0] == f"theta: 0.00 | loss: {reference.mse(0, pcttip):.2f}"
        assert len(lines) == 3
        sgd("mse", pcttip, None, 0.01, rng=0, tol=0, max_epochs=3, progress=True, source=reference)
        assert capsys.readouterr().out.splitlines() == lines
        sgd("mse", pcttip, None, 0.01, rng=0)
        assert capsys.readouterr().out == ""

    def test_a_bar_needs_tqdm(self, five_points, monkeypatch):
        monkeypatch.setitem(__import__("sys").modules, "tqdm.auto", None)
        with pytest.raises(ImportError, match="tqdm"):
            minimize(fastgd.mse, fastgd.grad_mse, five_points, progress="bar")


class TestCtrlC:
    @pytest.mark.parametrize("gradient", [fastgd.grad_mse, reference.grad_mse])
    def test_in_batch_descent(self, gradient, interrupted):
        y = np.random.default_rng(0).normal(0, 1, 100_000)
        expected = minimize(None, gradient, y, 1e-6, progress=False, tol=1e-7)

        with interrupted():
            minimize(None, gradient, y, 1e-9, progress=False, tol=1e-300, max_iter=10**9)
        assert minimize(None, gradient, y, 1e-6, progress=False, tol=1e-7) == expected

    @quiet
    @pytest.mark.parametrize("size", [None, 10])
    @pytest.mark.parametrize("source", [fastgd, reference])
    def test_in_stochastic_descent(self, source, size, interrupted):
        y = np.random.default_rng(0).normal(0, 1, 100_000)
        rng = np.random.default_rng(0)

        with interrupted():
            sgd("mse", y, size, 1e-9, rng=rng, tol=0, max_epochs=10**6, source=source)
        assert is_free(rng)
        y = y[:300]
        assert sgd("mse", y, size, rng=1) == course_sgd("mse", y, size, rng=1)

    @pytest.mark.parametrize("size", [None, 50])
    @pytest.mark.parametrize("n", [2000, 500_000])
    def test_on_rows(self, n, size, interrupted):
        X, y = rows(n, 10)
        rng = np.random.default_rng(0)
        options = {"X": X, "tol": 0, "alpha": 1e-9}
        with interrupted():
            if size is None:
                minimize(fastgd.huber_loss, None, y, progress=False, max_iter=10**8, **options)
            minimize_mini_batch(fastgd.huber_loss, None, y, size or 2, rng=rng, max_epochs=10**8, **options)
        assert is_free(rng)

    def test_in_threads(self, interrupted, many_points):
        with interrupted():
            fastgd.minimize(fastgd.log_cosh, None, many_points, 1e-9, False, tol=0, n_threads=2)
        assert fastgd.mse(0.3, many_points, n_threads=2) == fastgd.mse(0.3, many_points)


class TestTheLoop:
    """On solvers that only count."""

    class Counting(Scheduled):
        theta = previous = 0.0
        is_deterministic = records_all = False
        evaluations = at_once = 2**20    # so many that chunks are measured
        capacity = 1000

        def __init__(self, seconds, alpha=0.2):
            super().__init__(as_rates(alpha), 0, True)
            self.seconds, self.chunks, self.rules = seconds, [], []

        def advance(self, most):
            rates = self.next_rates(min(most, self.capacity))
            self.chunks.append(rates.tolist())
            self.rules.append(self.stops)
            self._done += len(rates)
            time.sleep(self.seconds * len(rates))
            return Steps(np.zeros(len(rates)), rates, False)

        def sizes(self):
            return [len(chunk) for chunk in self.chunks]

    def test_a_chunk_of_quick_updates_grows(self):
        solver = self.Counting(0)
        run_loop(solver, 500)
        assert sum(solver.sizes()) == 500
        assert max(solver.sizes()) >= 8

    def test_a_chunk_of_slow_updates_is_one(self):
        solver = self.Counting(2 * LONGEST_CHUNK)
        run_loop(solver, 4)
        assert solver.sizes() == [1, 1, 1, 1]

    def test_updates_that_become_slow_make_short_chunks(self):
        solver = self.Counting(0)
        run_loop(solver, 100)
        longest = max(solver.sizes())
        solver.seconds, solver.chunks = LONGEST_CHUNK, []
        pace = _Pace(solver)
        pace._updates = longest
        pace.advance(longest)
        pace.advance(longest)
        assert solver.sizes() == [longest, longest // 2]

    def test_rates_of_0_that_lead_are_apart_and_end_nothing(self):
        solver = self.Counting(0, lambda t: 0.0 if t < 3 else 0.5)
        solver.evaluations = 0
        run_loop(solver, 8)
        assert solver.chunks[0] == [0, 0, 0]
        assert [all(chunk) for chunk in solver.chunks[1:]] == [True] * (len(solver.chunks) - 1)
        assert solver.rules == [False] + [True] * (len(solver.chunks) - 1)

    class Repeating:
        """The numbers 1, 2, ... up to `tail`, and then `period` of them again and again."""

        theta = previous = 0.0
        is_deterministic = stops_when_short = has_moved = True
        at_once, capacity = 2**20, 1000

        def __init__(self, tail, period, evaluations):
            self.tail, self.period, self.evaluations, self.made = tail, period, evaluations, 0

        def advance(self, most):
            assert self.records_all
            updates = self.made + 1 + np.arange(min(most, self.capacity))
            beyond = np.maximum(updates - self.tail, 0) % self.period
            thetas = (np.minimum(updates, self.tail) + beyond).astype(float)
            self.made += len(updates)
            self.theta = thetas.item(-1)
            return Steps(thetas, np.full(len(updates), 0.2), False)

    @pytest.mark.parametrize("tail", [1, 63, 64, 70, 130, 1500])
    @pytest.mark.parametrize("period", [1, 2, 64, 65, 700])
    def test_a_cycle_is_found_at_one_place_however_many_updates_are_made_at_once(self, tail, period):
        found = set()
        for evaluations in (0, 4, 40, 400, 4096):
            solver = self.Repeating(tail, period, evaluations)
            outcome = run_loop(solver, 100_000)
            found.add((outcome.updates, outcome.theta, outcome.previous, outcome.status))
            in_vain = CYCLE_EVALUATIONS // evaluations if evaluations else 0
            assert solver.made <= max(2 * outcome.updates, outcome.updates + in_vain, 128)
            assert outcome.period == period
        assert len(found) == 1


class TestAWarmUp:
    """Updates whose rate is 0 move nothing, which does not end a run that has not begun."""

    @pytest.mark.parametrize("gradient", [fastgd.grad_mse, reference.grad_mse])
    def test_is_gone_through(self, gradient, five_points):
        def alpha(t):
            return min(0.2, 0.05 * t)

        result = minimize(fastgd.mse, gradient, five_points, alpha, progress=False, history=True)
        assert result.success
        assert result.x == reference.minimize(None, reference.grad_mse, five_points, alpha, progress=False)
        assert result.x == pytest.approx(np.mean(five_points), abs=0.01)
        assert result.history["alpha"].tolist()[:3] == [0.0, 0.05, 0.1]

    @quiet
    @pytest.mark.parametrize("stop", ["step", "epoch", "loss"])
    def test_longer_than_an_epoch(self, stop, five_points):
        result = minimize_sgd(fastgd.mse, fastgd.grad_mse, five_points, lambda t: 0.0 if t < 12 else 0.1 / (t - 11),
                              rng=0, stop=stop, tol=1e-3, full_output=True)
        assert result.nit > 12
        if stop == "step":
            assert result.x == course_sgd("mse", five_points, None, lambda t: 0.0 if t < 12 else 0.1 / (t - 11), rng=0)

    def test_by_the_loss(self, five_points):
        result = minimize(fastgd.mse, None, five_points, lambda t: 0.2 * (t > 1), progress=False, stop="loss",
                          full_output=True)
        assert result.success
        assert result.x == pytest.approx(np.mean(five_points), abs=0.1)

    @quiet
    def test_that_never_ends_ends_at_the_limit(self, five_points):
        result = minimize(fastgd.mse, None, five_points, lambda t: 0.0, progress=False, max_iter=50, full_output=True)
        assert (result.nit, result.status) == (50, 1)


def test_epochs_have_the_number_that_they_compare_with_tol():
    for averages, moved in ((False, 0.0), (True, 0.4)):
        epochs = EpochRule(2, 0.0, 0.5, averages)
        assert epochs.update(2, 2, np.array([0.8, 0.0]), 0.0)
        assert epochs.moved == moved


@quiet    # as the loss at the answer is infinite
def test_a_mean_of_thetas_near_the_largest_float_is_finite():
    y = np.array([1.6e308, 1.7e308, 1.65e308])
    epochs = EpochRule(6, 0.0, None, averages=True)
    for part in (y, y):    # in two chunks
        epochs.update(3 if part is y and epochs.average is None else 6, 3, part, 1.65e308)
    assert epochs.average == pytest.approx(1.65e308, rel=1e-15)
    theta = minimize_sgd(fastgd.mse, fastgd.grad_mse, y, 1e-3, rng=0, theta0=1.65e308, stop="epoch", average=True,
                         max_epochs=3, tol=1e306)
    assert theta == pytest.approx(1.65e308, rel=0.01)


def test_ctrl_c_in_c_functions_that_are_slow(interrupted):
    """Of which nothing is known, so that a chunk begins with few of them."""
    library = ctypes.CDLL(ctypes.util.find_library("m"))
    library.fmod.restype, library.fmod.argtypes = ctypes.c_double, [ctypes.c_double] * 2
    slow = fastgd.losses.compiled(library.fmod, library.fmod)    # a microsecond a point, where the two are far apart
    points = np.full(1_000_000, 1e-300)
    for call in (lambda: minimize(slow, None, points, 1e-6, False, tol=0, theta0=1e300),
                 lambda: minimize_mini_batch(slow, None, points, 80, 1e-6, tol=0, theta0=1e300, rng=0)):
        began = time.perf_counter()
        with interrupted():
            call()
        assert time.perf_counter() - began < 5    # it was 23 s once


#: Descents beyond the plain one: what is on a runner of its own.
BEYOND = {
    "momentum": (fastgd.huber_loss, {"momentum": "nesterov"}),
    "scale": (fastgd.huber_loss, {"precondition": "scale"}),
    "gram and momentum": (fastgd.huber_loss, {"precondition": "gram", "momentum": "nesterov"}),
    "adaptive": (fastgd.huber_loss, {"alpha": "adaptive"}),
    "adaptive in gram": (fastgd.huber_loss, {"alpha": "adaptive", "precondition": "gram"}),
    "kinks in scale": (fastgd.pinball_loss, {"precondition": "scale"}),
    "kinks in gram": (fastgd.abs_loss, {"precondition": "gram", "momentum": "nesterov"}),
}


class TestWhatLooksOnBeyondPlainDescent:
    @staticmethod
    def run(name, **options):
        loss, how = BEYOND[name]
        X, y = rows(300, 2)
        return minimize(loss, None, y + X @ [2, -1], X=3 + X * [1, 5], fit_intercept=True, tol=1e-4, full_output=True,
                        **{"alpha": "auto", "progress": False, **how, **options})

    @pytest.mark.parametrize("name", BEYOND)
    def test_sees_each_update_once_in_the_units_of_theta(self, name, capsys):
        plain = self.run(name)
        assert plain.success
        seen = []
        result = self.run(name, history=True, progress=True,
                          callback=lambda r: seen.append((r.nit, r.x.tolist(), r.fun)))
        assert np.array_equal(result.x, plain.x)
        assert (result.nit, result.fun, result.message) == (plain.nit, plain.fun, plain.message)
        history = result.history
        assert list(history.columns) == ["update", "alpha", "intercept", "x0", "x1"]
        assert history["update"].tolist() == list(range(1, result.nit + 1))
        assert (history["alpha"] > 0).all()
        thetas = history.to_numpy(float)[:, 2:]
        assert np.array_equal(thetas[-1], result.x)
        X, y = rows(300, 2)
        losses = [BEYOND[name][0](theta, y + X @ [2, -1], X=3 + X * [1, 5], fit_intercept=True) for theta in thetas]
        assert seen == [(k + 1, theta.tolist(), loss) for k, (theta, loss) in enumerate(
            zip(thetas, losses, strict=True))]
        lines = capsys.readouterr().out.splitlines()
        assert len(lines) == result.nit
        assert [line.split("loss: ")[1] for line in lines[1:]] == [f"{loss:.2f}" for loss in losses[:-1]]

    @quiet
    @pytest.mark.parametrize("name", BEYOND)
    def test_may_stop_it(self, name):
        def stop(result):
            if result.nit == 3:
                raise StopIteration

        result = self.run(name, callback=stop, history=True)
        assert (result.nit, result.status, len(result.history)) == (3, 99, 3)

    @quiet
    @pytest.mark.parametrize("name", BEYOND)
    def test_and_ctrl_c_ends_it(self, name, interrupted):
        loss, how = BEYOND[name]
        X, y = rows(200_000, 10)
        with interrupted():
            for _ in range(1000):
                minimize(loss, None, y, **{"alpha": "auto", **how}, progress=False, X=X, tol=0, max_iter=10**6)


@quiet
@pytest.mark.parametrize("threads", [1, 2])
def test_ctrl_c_in_a_gram_descent_of_many_numbers_is_answered_soon(threads, interrupted):
    X, y = rows(1_000_000, 10)
    began = time.perf_counter()
    with interrupted():
        for _ in range(1000):
            minimize(fastgd.huber_loss, None, y, "auto", False, X=X, fit_intercept=True, precondition="gram", tol=0,
                     momentum="nesterov", max_iter=10**6, n_threads=threads)
    assert time.perf_counter() - began < 2    # 0.1 s until the signal, and as much after it, on a machine at rest


@pytest.fixture
def passes(monkeypatch):
    """A list that gets a word for each pass over all of the data: what it was asked for."""
    asked = []
    for source in (ConstantModelData, LinearModelData):
        for method in ("mean", "means", "value_and_gradient"):
            function = getattr(source, method)

            def counted(self, *args, function=function, method=method, **kwargs):
                if self.n > 50_000 and not (method == "means" and inspect.stack()[1].function == "mean"):
                    asked.append(method)
                return function(self, *args, **kwargs)
            monkeypatch.setattr(source, method, counted)
    return asked


@quiet
@pytest.mark.thread_unsafe(reason="counts what all threads ask for")
@pytest.mark.parametrize("watching", [{"stop": "loss"}, {"callback": lambda result: None}])
class TestPassesOfARunThatIsLookedAt:
    """One an update, which gives the loss after it and the next slope."""

    def test_on_rows(self, watching, passes):
        X, y = rows(60_000, 20)
        runs = [minimize(fastgd.huber_loss, None, y, alpha=0.05, X=X, tol=0, max_iter=updates, progress=False,
                         full_output=True, **watching) for updates in (5, 15)]
        assert [run.nit for run in runs] == [5, 15]
        assert passes.count("value_and_gradient") <= 5 + 15 + 2
        assert passes.count("mean") + passes.count("means") <= 2

    def test_on_points(self, watching, passes):
        y = np.random.default_rng(0).standard_t(2, 60_000)
        run = minimize(fastgd.huber_loss, None, y, alpha=0.05, tol=0, max_iter=15, progress=False, full_output=True,
                       **watching)
        plain = minimize(fastgd.huber_loss, None, y, alpha=0.05, tol=0, max_iter=15, progress=False, full_output=True)
        assert run.x == plain.x
        assert passes.count("value_and_gradient") <= 15 + 3
