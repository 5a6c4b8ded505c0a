"""minimize_sgd and minimize_mini_batch."""
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
from fastgd import ConvergenceWarning, DivergenceError, minimize_mini_batch, minimize_sgd, reference
from fastgd.losses import REGISTRY
from fastgd.schedules import inverse_scaling

BIT_GENERATORS = [np.random.MT19937, np.random.PCG64, np.random.PCG64DXSM, np.random.Philox, np.random.SFC64]
KNOWN = [    # loss, batch size, alpha, theta, updates
    ("mse", None, 0.2, 17.575458117855696, 1698),
    ("mse", None, 0.01, 15.191567261569594, 194),
    ("huber_loss", None, 0.2, 13.974970795390783, 85),
    ("huber_loss", None, 0.01, 5.88129850379346, 593),
    ("mse", 10, 0.2, 14.936901937941343, 2834),
    ("mse", 10, 0.01, 15.260015557549147, 147),
    ("huber_loss", 10, 0.2, 14.346669962194229, 92),
    ("huber_loss", 10, 0.01, 10.549830936625643, 1132),
    ("abs_loss", 10, 0.2, 11.119999999999996, 61),
]


def descend(name, y, size=None, *args, source=fastgd, **options):
    """Run on a loss and its gradient from `source`, SGD if size is None, without a word."""
    loss, gradient = getattr(source, name), getattr(source, f"grad_{name}")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        if size is None:
            return minimize_sgd(loss, gradient, y, *args, **options)
        return minimize_mini_batch(loss, gradient, y, size, *args, **options)


def course(name, y, size=None, *args, **options):
    gradient = getattr(reference, f"grad_{name}")
    if size is None:
        return reference.minimize_sgd(None, gradient, y, *args, **options)
    return reference.minimize_mini_batch(None, gradient, y, size, *args, **options)


def same_state(a, b):
    a, b = a.state, b.state
    return str(a) == str(b) and all(np.array_equal(a["state"][key], b["state"][key]) for key in a["state"])


@pytest.mark.parametrize(("name", "size", "alpha", "theta", "updates"), KNOWN)
def test_known_answers(name, size, alpha, theta, updates, pcttip):
    for source in (fastgd, reference):
        np.random.seed(0)
        result = descend(name, pcttip, size, alpha, source=source, full_output=True)
        assert (result.x, result.nit) == (theta, updates)
        assert (result.success, result.status) == (False, 4)
    np.random.seed(0)
    assert course(name, pcttip, size, alpha) == theta


def test_the_course_would_never_end_here(pcttip):
    np.random.seed(0)
    with pytest.warns(ConvergenceWarning, match="did not converge in 244000 updates"):
        minimize_sgd(fastgd.abs_loss, fastgd.grad_abs_loss, pcttip, 0.2)


class TestSameAsTheReference:
    @pytest.mark.parametrize("dtype", [np.float64, np.float32])
    @pytest.mark.parametrize("kind", BIT_GENERATORS)
    @pytest.mark.parametrize("size", [None, 1, 7, 10, 150])
    def test_bits_and_state(self, size, kind, dtype):
        y = np.random.default_rng(0).normal(15, 3, 153).astype(dtype)
        for name, alpha in (("mse", 0.1), ("abs_loss", 0.07), ("huber_loss", 0.3), ("quartic_loss", 1e-3)):
            ours, numpys = np.random.Generator(kind(1)), np.random.Generator(kind(1))
            theta = descend(name, y, size, alpha, rng=ours, max_epochs=3, tol=1e-9)
            assert theta == float(course(name, y, size, alpha, rng=numpys, max_epochs=3, tol=1e-9))
            assert same_state(ours.bit_generator, numpys.bit_generator)

    @settings(max_examples=100)
    @given(data=st.data(), name=st.sampled_from(["mse", "abs_loss", "huber_loss"]), seed=st.integers(0, 2**32))
    def test_any_data(self, data, name, seed):
        dtype = data.draw(st.sampled_from([np.float64, np.float32]))
        y = data.draw(npst.arrays(dtype, st.integers(1, 60), elements=st.floats(
            -1e6, 1e6, width=32 if dtype is np.float32 else 64)))
        size = data.draw(st.one_of(st.none(), st.integers(1, len(y) - 1))) if len(y) > 1 else None
        tol = data.draw(st.sampled_from([0.0, 1e-3, 1.0]))
        alpha = data.draw(st.floats(1e-3, 0.9))
        a, b = np.random.default_rng(seed), np.random.default_rng(seed)
        theta = descend(name, y, size, alpha, rng=a, max_epochs=4, tol=tol)
        assert theta == float(course(name, y, size, alpha, rng=b, max_epochs=4, tol=tol))
        assert same_state(a.bit_generator, b.bit_generator)

    @pytest.mark.parametrize("size", [None, 30])
    def test_long_runs(self, size):
        y = np.random.default_rng(0).normal(15, 3, 30_000)
        for alpha in (0.01, inverse_scaling(0.5, 0.75), lambda t: 0.3 / (1 + t) ** 0.5):
            a, b = np.random.default_rng(1), np.random.default_rng(1)
            assert descend("huber_loss", y, size, alpha, rng=a, tol=0, max_epochs=2) == course(
                "huber_loss", y, size, alpha, rng=b, tol=0, max_epochs=2)
            assert same_state(a.bit_generator, b.bit_generator)

    def test_a_shuffle_longer_than_one_call(self):
        y = np.random.default_rng(0).normal(15, 3, 2_500_000)
        a, b = np.random.default_rng(1), np.random.default_rng(1)
        theta = descend("mse", y, 1_000_000, 0.1, rng=a, max_epochs=2, tol=0)
        assert theta == course("mse", y, 1_000_000, 0.1, rng=b, max_epochs=2, tol=0)
        assert same_state(a.bit_generator, b.bit_generator)

    def test_a_batch_longer_than_one_slice(self):
        y = np.random.default_rng(0).normal(15, 3, 2**22 + 100)
        theta = descend("mse", y, 2**22 + 10, 0.1, rng=1, max_epochs=1)
        assert theta == pytest.approx(course("mse", y, 2**22 + 10, 0.1, rng=1, max_epochs=1), rel=1e-14)

    def test_cross_entropy(self):
        y = np.random.default_rng(0).random(500)
        assert descend("cross_entropy", y, None, 0.1, rng=1) == pytest.approx(
            course("cross_entropy", y, None, 0.1, rng=1), rel=1e-12)

    def test_one_point(self):
        result = descend("mse", [3.0], None, 0.5, rng=0, full_output=True)
        assert (result.x, result.success) == (3.0, True)


class TestRng:
    def test_kinds(self, pcttip):
        expected = descend("huber_loss", pcttip, rng=7)
        for rng in (np.int64(7), np.random.SeedSequence(7), np.random.PCG64(7), np.random.default_rng(7),
                    np.random.RandomState(np.random.PCG64(7))):
            assert descend("huber_loss", pcttip, rng=rng) == expected
        np.random.seed(3)
        by_global = descend("huber_loss", pcttip)
        assert descend("huber_loss", pcttip, rng=np.random.RandomState(3)) == by_global
        np.random.seed(3)
        assert descend("huber_loss", pcttip, rng=np.random) == by_global

    @pytest.mark.parametrize("rng", ["0", 1.5, True, [1], object(), -1])
    def test_other_kinds_are_refused(self, rng, pcttip):
        with pytest.raises((TypeError, ValueError), match="'rng' parameter"):
            minimize_sgd(None, fastgd.grad_mse, pcttip, rng=rng)

    def test_nothing_is_drawn_before_the_checks(self, pcttip):
        rng = np.random.default_rng(0)
        for bad in ({"alpha": -1}, {"tol": -1}, {"stop": "never"}, {"max_epochs": 0}, {"dataset": [np.nan]},
                    {"in_place": True, "dataset": [1.0]}, {"callback": 3}, {"progress": "x"}):
            with pytest.raises((TypeError, ValueError)):
                minimize_sgd(**{"loss_fn": fastgd.mse, "grad_loss_fn": fastgd.grad_mse, "dataset": pcttip, "rng": rng,
                                **bad})
        assert same_state(rng.bit_generator, np.random.PCG64(0))

    def test_the_lock_is_not_held_while_python_runs(self, pcttip):
        rng = np.random.default_rng(0)

        def others_can_draw():
            free = []

            def draw():
                free.append(rng.bit_generator.lock.acquire(timeout=10))
                rng.bit_generator.lock.release()

            thread = threading.Thread(target=draw)
            thread.start()
            thread.join()
            return free[0]

        assert descend("mse", pcttip, rng=rng, tol=0, max_epochs=2, callback=lambda r: others_can_draw() or 1 / 0)

        def gradient(theta, y):
            assert others_can_draw()
            return reference.grad_mse(theta, y)

        with pytest.warns(ConvergenceWarning):
            minimize_sgd(None, gradient, pcttip[:5], rng=rng, max_epochs=1, tol=0)

    @pytest.mark.filterwarnings("ignore::fastgd.ConvergenceWarning")
    def test_threads_on_one_generator(self, pcttip):
        rng, answers = np.random.default_rng(0), []

        def work():
            answers.extend(minimize_mini_batch(
                None, fastgd.grad_huber_loss, pcttip, 10, 0.5, rng=rng, tol=0, max_epochs=20) for _ in range(20))

        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(answers) == 80
        assert all(10 < theta < 20 for theta in answers)
        assert 0 <= rng.random() < 1


class TestTheCallersArray:
    @pytest.mark.parametrize("make", [np.array, pd.Series, lambda y: np.repeat(y, 2)[::2], list, np.float32])
    def test_stays_as_it_is(self, make, pcttip):
        y = make(pcttip)
        before = np.array(y)
        descend("mse", y, rng=0)
        descend("mse", y, 10, rng=0, source=reference)
        assert np.array_equal(before, np.array(y))

    @pytest.mark.parametrize("dtype", [np.float64, np.float32])
    @pytest.mark.parametrize("source", [fastgd, reference])
    def test_in_place(self, source, dtype, pcttip):
        y = pcttip.astype(dtype)
        expected = y.copy()
        theta = descend("mse", y, rng=0, in_place=True, source=source)
        np.random.default_rng(0).shuffle(expected)
        assert theta == descend("mse", pcttip.astype(dtype), rng=0)
        assert np.array_equal(np.sort(y), np.sort(expected))
        assert not np.array_equal(y, pcttip.astype(dtype))

    def test_in_place_shuffles_as_numpy_does(self, pcttip):
        y, expected = pcttip.copy(), pcttip.copy()
        descend("mse", y, rng=5, in_place=True, max_epochs=1, tol=0)
        np.random.default_rng(5).shuffle(expected)
        assert np.array_equal(y, expected)

    @pytest.mark.parametrize("make", [
        list, pd.Series, lambda y: y.astype(int), lambda y: np.repeat(y, 2)[::2],
        lambda y: y.astype(y.dtype.newbyteorder()),
        lambda y: np.lib.stride_tricks.as_strided(y, writeable=False)])
    def test_in_place_needs_an_array_that_can_be_shuffled(self, make, pcttip):
        with pytest.raises(ValueError, match="in_place=True needs a writable contiguous float"):
            minimize_sgd(None, fastgd.grad_mse, make(pcttip), in_place=True)

    def test_memory(self):
        y = np.random.default_rng(0).normal(15, 3, 10**6)
        tracemalloc.start()
        try:
            descend("mse", y, rng=0, tol=0, max_epochs=1)
            assert tracemalloc.get_traced_memory()[1] < y.nbytes + 1_000_000
            tracemalloc.reset_peak()
            descend("mse", y, 1000, inverse_scaling(0.1), rng=0, tol=0, max_epochs=1, in_place=True)
            assert tracemalloc.get_traced_memory()[1] < 1_000_000
        finally:
            tracemalloc.stop()


class TestTheTruthAboutTheAnswer:
    def test_a_lucky_point_is_named(self, pcttip):
        np.random.seed(0)
        words = r"lie near theta 17.5755: .* still move it by 0.598 .* tol is 0.001"
        with pytest.warns(ConvergenceWarning, match=words) as caught:
            minimize_sgd(fastgd.mse, fastgd.grad_mse, pcttip)
        assert caught[0].filename == __file__
        with pytest.warns(ConvergenceWarning, match="lie near theta") as caught:
            minimize_mini_batch(fastgd.mse, fastgd.grad_mse, pcttip, 10, rng=0)
        assert caught[0].filename == __file__

    def test_what_is_said_fits_the_rule(self, five_points):
        with pytest.warns(ConvergenceWarning, match="two epochs happened to end near each other, at theta"):
            minimize_sgd(fastgd.mse, fastgd.grad_mse, five_points, 0.4, rng=6, stop="epoch", tol=0.1)
        with pytest.warns(ConvergenceWarning, match="It returns theta 14.*Raise max_epochs") as caught:
            theta = minimize_sgd(fastgd.mse, fastgd.grad_mse, five_points, rng=0, stop="epoch", average=True, tol=1e-9,
                                 max_epochs=3)
        assert f"{theta:.6g}" in str(caught[0].message)

    @pytest.mark.parametrize(("name", "alpha", "minimiser", "within"), [
        ("mse", inverse_scaling(0.5, 1.0), 16.080258, 0.01),
        ("mse", lambda t: 0.5 / (1 + t), 16.080258, 0.01),
        ("huber_loss", inverse_scaling(2, 0.75), 15.530634, 0.02),
        ("huber_loss", lambda t: 2 / (1 + t) ** 0.75, 15.530634, 0.02),
    ])
    def test_averaging_with_a_decreasing_rate_is_good(self, name, alpha, minimiser, within, pcttip):
        loss = getattr(fastgd, name)
        for seed in range(20):
            for rng in (seed, np.random.RandomState(seed)):
                result = minimize_sgd(loss, loss.gradient, pcttip, alpha, rng=rng, stop="epoch", average=True, tol=1e-4,
                                      full_output=True)
                assert result.success
                assert abs(result.x - minimiser) < within
                assert result.nit < 250 * len(pcttip)

    def test_average_is_the_mean_of_the_last_epoch(self, pcttip):
        options = {"rng": 0, "tol": 0, "max_epochs": 3, "history": True}
        result = descend("huber_loss", pcttip, None, 0.1, average=True, **options)
        thetas = result.history["theta"].to_numpy()
        assert result.x == thetas[-244:].mean()
        assert len(thetas) == result.nit == 3 * 244
        assert descend("huber_loss", pcttip, None, 0.1, **options).x == thetas[-1]
        batches = descend("huber_loss", pcttip, 10, 0.1, average=True, **options)
        assert batches.x == batches.history["theta"].to_numpy()[-25:].mean()

    def test_average_over_a_long_epoch(self):
        y = np.random.default_rng(0).normal(15, 3, 30_001)
        result = descend("mse", y, None, 0.01, rng=0, average=True, tol=0, max_epochs=2, history=True)
        assert result.x == pytest.approx(result.history["theta"].to_numpy()[-30_001:].mean(), rel=1e-12)

    def test_epoch_rule(self, pcttip):
        result = descend("mse", pcttip, None, lambda t: 0.5 / (1 + t) ** 0.9, rng=1, stop="epoch", history=True)
        ends = result.history["theta"].to_numpy()[243::244]
        assert result.nit == 244 * len(ends)
        assert abs(ends[-1] - ends[-2]) < 1e-3
        assert (np.abs(np.diff(ends[:-1])) >= 1e-3).all()
        assert abs(ends[0]) >= 1e-3

    def test_divergence(self, pcttip):
        words = r"minimize_sgd diverged.*largest stable alpha for mse is 1"
        with pytest.raises(DivergenceError, match=words) as caught:
            minimize_sgd(fastgd.mse, fastgd.grad_mse, pcttip, 1.5, rng=0)
        assert np.isfinite(caught.value.result.x)
        with np.errstate(all="ignore"), pytest.raises(DivergenceError) as in_python:
            minimize_sgd(reference.mse, reference.grad_mse, pcttip, 1.5, rng=0)
        assert in_python.value.result.nit == caught.value.result.nit
        assert in_python.value.result.x == caught.value.result.x


class TestObservers:
    def test_a_line_an_epoch(self, pcttip, capsys):
        descend("mse", pcttip, None, 0.01, rng=0, tol=0, max_epochs=3, progress=True)
        lines = capsys.readouterr().out.splitlines()
        assert lines[0] == f"theta: 0.00 | loss: {reference.mse(0, pcttip):.2f}"
        assert len(lines) == 3
        descend("mse", pcttip, None, 0.01, rng=0, tol=0, max_epochs=3, progress=True, source=reference)
        assert capsys.readouterr().out.splitlines() == lines
        descend("mse", pcttip, None, 0.01, rng=0)
        assert capsys.readouterr().out == ""

    @pytest.mark.parametrize("size", [None, 10])
    @pytest.mark.parametrize("source", [fastgd, reference])
    def test_a_callback_an_epoch(self, source, size, pcttip):
        seen = []
        theta = descend("mse", pcttip, size, 0.01, rng=0, tol=0, max_epochs=4, callback=seen.append, source=source)
        period = 244 if size is None else 25
        assert [result.nit for result in seen] == [period, 2 * period, 3 * period, 4 * period]
        assert seen[-1].x == theta
        assert seen[0].fun == reference.mse(seen[0].x, pcttip)

    def test_a_callback_sees_the_average_and_may_stop(self, pcttip):
        seen = []

        def callback(intermediate_result):
            seen.append(intermediate_result.x)
            if len(seen) == 2:
                raise StopIteration

        result = descend("mse", pcttip, None, 0.1, rng=0, tol=0, average=True, callback=callback, full_output=True)
        assert (result.status, result.nit, result.x) == (99, 488, seen[-1])

    def test_bar(self, pcttip, capsys):
        descend("mse", pcttip, None, 0.01, rng=0, tol=0, max_epochs=3, progress="bar")
        assert "theta" in capsys.readouterr().err

    def test_observers_change_nothing(self, pcttip):
        plain = descend("mse", pcttip, None, 0.01, rng=0, full_output=True)
        watched = descend("mse", pcttip, None, 0.01, rng=0, full_output=True, callback=lambda r: None, history=True)
        assert (plain.x, plain.nit) == (watched.x, watched.nit)


class TestPythonCallables:
    def test_are_called_as_the_course_calls_them(self, pcttip):
        seen = []

        def gradient(theta, points):
            seen.append(points)
            return reference.grad_mse(theta, points)

        with pytest.warns(ConvergenceWarning):
            minimize_sgd(None, gradient, pcttip, rng=0, max_epochs=1, tol=0)
        expected = pcttip.copy()
        np.random.default_rng(0).shuffle(expected)
        assert all(type(point) is np.float64 for point in seen)
        assert seen == expected.tolist()
        seen.clear()
        with pytest.warns(ConvergenceWarning):
            minimize_mini_batch(None, gradient, pcttip, 100, rng=0, max_epochs=1, tol=0)
        assert [len(points) for points in seen] == [100, 100, 44]
        assert np.array_equal(np.concatenate(seen), expected)


@pytest.mark.parametrize("size", [None, 10])
def test_the_full_gradient_is_taken_once(size, pcttip):
    wholes = []

    def gradient(theta, points):
        wholes.extend([theta] if np.size(points) == len(pcttip) else [])
        return reference.grad_mse(theta, points)

    run = minimize_sgd if size is None else lambda *args, **options: minimize_mini_batch(*args, size, **options)
    with pytest.warns(ConvergenceWarning, match="lie near theta"):
        result = run(None, gradient, pcttip, rng=0, full_output=True)
    assert wholes == [result.x]


class TestArguments:
    @pytest.mark.parametrize(("size", "error", "words"), [
        (0, ValueError, "minibatch_size"), (-1, ValueError, "minibatch_size"), (2.0, TypeError, "minibatch_size"),
        ("2", TypeError, "minibatch_size"), (True, TypeError, "minibatch_size"), (None, TypeError, "minibatch_size"),
        (5, ValueError, "minibatch_size=5 and 5 points"), (9, ValueError, "minibatch_size=9 and 5 points")])
    def test_minibatch_size(self, size, error, words, five_points):
        with pytest.raises(error, match=words):
            minimize_mini_batch(fastgd.mse, fastgd.grad_mse, five_points, size)

    @pytest.mark.parametrize(("name", "value"), [
        ("alpha", 0), ("tol", np.nan), ("theta0", np.inf), ("max_epochs", 0), ("max_epochs", 1.5), ("stop", "steps"),
        ("progress", "yes"), ("callback", 1), ("grad_loss_fn", fastgd.mse), ("grad_loss_fn", 3)])
    def test_refused_by_name(self, name, value, five_points):
        arguments = {"loss_fn": fastgd.mse, "grad_loss_fn": fastgd.grad_mse, "dataset": five_points, name: value}
        with pytest.raises((TypeError, ValueError), match=f"'{name}' parameter"):
            minimize_sgd(**arguments)
        with pytest.raises((TypeError, ValueError), match=f"'{name}' parameter"):
            minimize_mini_batch(minibatch_size=2, **arguments)


@pytest.mark.parametrize("size", [None, 10])
@pytest.mark.parametrize("source", [fastgd, reference])
def test_ctrl_c(source, size, interrupted):
    y = np.random.default_rng(0).normal(0, 1, 100_000)
    rng = np.random.default_rng(0)

    with interrupted():
        descend("mse", y, size, 1e-9, rng=rng, tol=0, max_epochs=10**6, source=source)
    assert rng.bit_generator.lock.acquire(timeout=1)
    rng.bit_generator.lock.release()
    y = y[:300]
    assert descend("mse", y, size, rng=1) == course("mse", y, size, rng=1)


@pytest.mark.parametrize("name", REGISTRY)
def test_every_loss(name):
    y = np.random.default_rng(0).random(100)
    for size in (None, 10):
        theta = descend(name, y, size, 0.01, rng=0)
        assert theta == pytest.approx(course(name, y, size, 0.01, rng=0), rel=1e-12)


@pytest.mark.parametrize("size", [None, 3])
def test_a_start_beyond_float32_diverges_at_once(size, five_points):
    y = five_points.astype(np.float32)
    with np.errstate(over="ignore"), pytest.raises(DivergenceError, match="update 1 with alpha"):
        descend("huber_loss", y, size, 0.01, rng=0, theta0=3.8e86)
    with np.errstate(over="ignore"), pytest.raises(DivergenceError, match="update 1 with alpha"):
        fastgd.minimize(fastgd.huber_loss, None, y, 0.01, False, theta0=3.8e86)
