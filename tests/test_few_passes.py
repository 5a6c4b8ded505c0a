"""Few passes: the updates of the loop, from counts and sums; the same bits wherever the points are cut."""
import pickle
import re

import numpy as np
import pytest
from helpers import LOSSES, SMOOTHED, quiet

from fastgd import Huber, Pinball, abs_loss, huber_loss, log_cosh, minimize, mse, penalties, schedules
from fastgd._kernels import buckets as kernels
from fastgd._limits import FEW_TO_GATHER
from fastgd._objective import objective_of
from fastgd._run import descend, few
from fastgd._settings import batch_settings
from fastgd._source import Points
from fastgd._source import summary as summary_module
from fastgd._source.buckets import counted
from fastgd._source.layout import layout_of
from fastgd._source.summary import Summary
from fastgd._verdict import judge

PIECEWISE = {name: loss for name, loss in LOSSES.items() if loss.breaks is not None}
N = 3 * FEW_TO_GATHER    # more than are gathered at once

DATA = {
    "normal": lambda rng, n: rng.normal(15, 3, n),
    "cauchy": lambda rng, n: rng.standard_cauchy(n),
    "lognormal": lambda rng, n: rng.lognormal(0, 2, n),
    "ties": lambda rng, n: rng.integers(0, 7, n) / 2,
    "integers": lambda rng, n: rng.integers(-1000, 1000, n),
    "sorted": lambda rng, n: np.sort(rng.normal(0, 1, n)),
    "float32": lambda rng, n: rng.normal(15, 3, n).astype(np.float32),
    "far from 0": lambda rng, n: 1e9 + rng.normal(0, 1, n),
    "constant": lambda rng, n: np.full(n, 0.1),
    "one outlier": lambda rng, n: np.append(rng.normal(0, 1, n - 1), 1e12) if n > 1 else np.array([1e12]),
    "zeros": lambda rng, n: np.where(rng.random(n) < 0.5, -0.0, 0.0),
}


def run(loss, y, *args, few_passes=True, **options):
    return minimize(loss, None, y, *args, progress=False, full_output=True, few_passes=few_passes, **options)


def loop(loss, y, *args, **options):
    return run(loss, np.asarray(y, np.float64), *args, few_passes=False, **options)


def summary_of(loss, y):
    """A Summary of which all is gathered."""
    summary = Summary(Points(None, y), [loss])
    summary.gather_all()
    return summary


class Cut(Points):
    """Points that are cut at random places, and counted pass by pass."""

    def __init__(self, y, seed=0):
        super().__init__(None, y)
        self.rng, self.passes = np.random.default_rng(seed), 0

    def each(self, function, threads=None, size=None):
        self.passes += 1
        cuts = np.sort(self.rng.integers(0, self.n + 1, 6))
        function = pickle.loads(pickle.dumps(function))    # as it comes to another process
        return [function(self, slice(int(start), int(stop)))
                for start, stop in zip([0, *cuts], [*cuts, self.n], strict=True) if stop > start]


def objective_on(loss, source):
    objective = objective_of(loss, None, source.targets[:1])
    return objective.on(source)


def settings_of(alpha=0.2, tol=1e-3, limit=2000, stop="step"):
    return batch_settings("minimize", alpha, tol, limit, stop, False, None, False, False, None, None, True)


@quiet
@pytest.mark.parametrize("kind", DATA)
@pytest.mark.parametrize("name", PIECEWISE)
@pytest.mark.parametrize("n", [1, 2, 500, N])
def test_the_updates_of_the_loop(name, kind, n):
    rng = np.random.default_rng(n)
    y = DATA[kind](rng, n)
    start = float(np.median(y)) + rng.normal(0, 5)
    size = max(np.abs(y).max(), abs(start))
    options = {"theta0": start, "tol": max(1e-6, 1e-13 * size), "max_iter": 400}
    found, expected = run(PIECEWISE[name], y, **options), loop(PIECEWISE[name], y, **options)
    assert abs(found.x - expected.x) <= 1e-14 * size
    assert (found.nit, found.status) == (expected.nit, expected.status)


@quiet
@pytest.mark.parametrize("options", [
    {"alpha": schedules.inverse_scaling(0.5, 0.75)}, {"alpha": lambda t: 1 / (2 + t)}, {"alpha": 0.05, "theta0": 1e4},
    {"theta0": -40.0}, {"alpha": 3.0, "tol": 0.0}, {"stop": "loss"}, {"momentum": "nesterov"}, {"tol": 1e-12},
], ids=str)
@pytest.mark.parametrize("loss", [huber_loss, Pinball(0.3), Pinball(0.3, smoothing=0.75), Huber(0.05)], ids=str)
def test_any_rates_starts_and_rules(loss, options):
    y = np.random.default_rng(3).normal(15, 3, N)
    options = {"max_iter": 3000, **options}
    found, expected = run(loss, y, **options), loop(loss, y, **options)
    assert abs(found.x - expected.x) <= 1e-14 * max(np.abs(y).max(), abs(options.get("theta0", 0)))
    if options.get("stop") != "loss":    # which compares losses that differ by rounding with tol
        assert found.nit == expected.nit


@pytest.mark.parametrize("loss", [mse, huber_loss, Pinball(0.3, smoothing=0.75)], ids=str)
def test_auto(loss):
    y = np.random.default_rng(3).normal(15, 3, N)
    assert run(loss, y, "auto").nit == loop(loss, y, "auto").nit


@quiet
def test_progress_callback_and_history_are_those_of_the_loop(capsys):
    y = np.random.default_rng(5).normal(15, 3, N)
    seen, said, histories = ([], []), [], []
    for few_passes, thetas in zip((True, False), seen, strict=True):
        result = minimize(huber_loss, None, y, few_passes=few_passes, history=True,
                          callback=lambda result, thetas=thetas: thetas.append((result.x, result.fun)))
        said.append([float(number) for number in re.findall(r"[-+.\de]*\d[-+.\de]*", capsys.readouterr().out)])
        histories.append(result.history["theta"].to_numpy())
    assert np.allclose(*seen, rtol=1e-13, atol=0)
    assert np.allclose(*histories, rtol=1e-13, atol=0)
    assert np.allclose(*said, rtol=1e-8, atol=1e-9)


@pytest.mark.parametrize("kind", DATA)
@pytest.mark.parametrize("name", PIECEWISE)
def test_loss_and_slope_are_those_of_the_kernels(name, kind):
    rng = np.random.default_rng(7)
    loss, y = PIECEWISE[name], np.asarray(DATA[kind](rng, 3000), np.float64)
    summary, size = summary_of(loss, y), np.abs(y).max()
    # On points and on what is a break away from them too, where the side tells.
    offsets = np.array([0, *loss.breaks])
    for theta in [*(rng.choice(y, 8) - rng.choice(offsets, 8)), *rng.normal(np.median(y), 3, 8), 0.0, 1e3 * size]:
        value, slope = summary.value_and_slope(loss, float(theta))
        assert abs(slope - loss.gradient(theta, y)) <= 1e-13 * max(1, size if loss is mse else 0, abs(slope))
        assert value == pytest.approx(loss(theta, y), rel=1e-13, abs=1e-13 * min(size, size**2))


def in_few_passes(loss, source, **settings):
    """The Summary that a descent is made on, or the source itself where that is the loop's."""
    return few.in_few_passes(objective_on(loss, source), settings_of(**settings), 0.0).source


@quiet
@pytest.mark.parametrize("kind", ["normal", "cauchy", "ties", "float32", "one outlier"])
@pytest.mark.parametrize("loss", [mse, huber_loss, Pinball(0.3), *SMOOTHED[2:3]], ids=str)
def test_the_same_bits_wherever_the_points_are_cut(loss, kind):
    y = DATA[kind](np.random.default_rng(11), N) * np.float32(1)
    end = run(loss, y, tol=1e-9, max_iter=2000).x
    assert run(loss, y, tol=1e-9, max_iter=2000, n_threads=2).x == end
    whole = in_few_passes(loss, Points(None, y), tol=1e-9)
    for seed in range(3):
        pieces = in_few_passes(loss, Cut(y, seed), tol=1e-9)
        for theta in (end, 0.0, 1.0, float(y[5])):
            assert pieces.value_and_slope(loss, theta) == whole.value_and_slope(loss, theta)


@pytest.mark.parametrize("loss", [mse, huber_loss, abs_loss, Pinball(0.3, smoothing=0.75)], ids=str)
def test_what_was_gathered_when_changes_no_bit(loss):
    y = np.random.default_rng(11).normal(15, 3, N)
    asked, all_of_it = Summary(Points(None, y), [loss]), summary_of(loss, y)
    for theta in np.random.default_rng(1).uniform(0, 30, 20).tolist():
        assert asked.value_and_slope(loss, theta) == all_of_it.value_and_slope(loss, theta)


@pytest.mark.parametrize(("name", "passes"), [(name, 3 if loss.breaks else 2) for name, loss in PIECEWISE.items()])
def test_the_passes_do_not_grow_with_the_updates(name, passes):
    loss, y = PIECEWISE[name], np.random.default_rng(2).normal(15, 3, 20 * FEW_TO_GATHER)
    source = Cut(y)
    objective = few.in_few_passes(objective_on(loss, source), settings_of(tol=1e-9, limit=5000), 0.0)
    before = source.passes
    outcome, _ = descend(objective, settings_of(tol=1e-9, limit=5000), 0.0)
    judge(objective, outcome, 1e-9)
    assert outcome.updates > 40
    assert before == passes
    assert source.passes <= passes + 1    # a break may pass by a bucket that the plan did not see


@quiet
def test_cells_of_too_many_points_are_split(monkeypatch):
    monkeypatch.setattr(summary_module, "MOST_TO_GATHER", 3000)
    y = np.random.default_rng(2).normal(15, 3, 20 * FEW_TO_GATHER)
    source = Cut(y)
    summary = in_few_passes(huber_loss, source, tol=1e-9)
    assert isinstance(summary, Summary)
    assert 4 <= source.passes <= 6
    whole = in_few_passes(huber_loss, Points(None, y), tol=1e-9)
    for theta in (15.0, 14.9, 3.25):
        assert summary.value_and_slope(huber_loss, theta) == whole.value_and_slope(huber_loss, theta)


@quiet
def test_the_loop_goes_over_points_that_are_too_many_to_gather(monkeypatch):
    monkeypatch.setattr(summary_module, "MOST_TO_GATHER", 10)
    y = np.random.default_rng(2).normal(15, 3, N)
    points = Points(None, y)
    assert in_few_passes(huber_loss, points) is points
    assert run(huber_loss, y).x == loop(huber_loss, y).x


@quiet
def test_ties_are_kept_once():
    y = np.random.default_rng(2).integers(0, 5, 20 * FEW_TO_GATHER) / 4
    summary = in_few_passes(abs_loss, Points(None, y))
    assert summary._n_gathered <= 5
    assert run(abs_loss, y, max_iter=300).x == loop(abs_loss, y, max_iter=300).x


@quiet
def test_points_whose_differences_overflow_go_by_the_loop():
    y = np.array([-1.5e308, 1.0, 1.5e308])
    assert run(abs_loss, y, max_iter=300, tol=0.3).x == loop(abs_loss, y, max_iter=300, tol=0.3).x


@quiet
def test_a_loss_that_is_shown_need_not_be_that_of_the_gradient():
    y = np.random.default_rng(2).normal(15, 3, N)
    found, expected = (minimize(Pinball(0.3), huber_loss.gradient, y, progress=False, full_output=True, few_passes=each)
                       for each in (True, False))
    assert found.nit == expected.nit
    assert found.fun == pytest.approx(expected.fun, rel=1e-13)


X = np.ones((5, 1))


@pytest.mark.parametrize(("loss", "options", "said"), [
    (huber_loss, {"X": X}, "rows X"),
    (huber_loss, {"sample_weight": [1, 2, 3, 4, 5.0]}, "weights"),
    (huber_loss, {"penalty": penalties.L2(0.1)}, "penalty"),
    (huber_loss, {"alpha": "adaptive"}, "adaptive"),
    (log_cosh, {}, "mse, abs_loss, huber_loss, pinball_loss, epsilon_insensitive"),
    (lambda theta, y: np.mean((y - theta) ** 2), {}, "a function in Python"),
])
def test_what_is_refused(loss, options, said):
    with pytest.raises(ValueError, match="few_passes=True") as caught:
        minimize(loss, None, np.arange(5.0), few_passes=True, progress=False, **options)
    assert said in str(caught.value)


def test_few_passes_is_a_flag():
    with pytest.raises(TypeError, match="few_passes"):
        minimize(huber_loss, None, [1.0, 2.0], few_passes="yes")


@pytest.mark.parametrize(("loss", "options", "passes"), [
    (huber_loss, {}, 3), (mse, {}, 2), (log_cosh, {}, None), (huber_loss, {"sample_weight": [1, 2, 3.0]}, None)])
def test_how_many_passes_it_would_make(loss, options, passes):
    objective = objective_of(loss, None, [1.0, 2.0, 4.0], **options)
    assert few.passes_instead(objective, settings_of()) == passes


def test_kernels_refuse_points_that_are_in_no_bucket():
    layout = layout_of(0.0, 1.0, (0.0, 1.0), 10)
    for bad in (np.nan, 5.0, -5.0, np.inf):
        with pytest.raises(ValueError, match="changed"):
            counted(layout, True, Points(None, np.array([0.5, bad])), slice(0, 2))
    totals = np.zeros((layout.n_buckets - 1, 5), np.int64)
    with pytest.raises(ValueError, match="too short"):
        kernels.count(np.ones(3), layout.table, True, totals)
