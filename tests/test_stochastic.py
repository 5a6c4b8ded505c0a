"""minimize_sgd and minimize_mini_batch on points: known answers, the oracle's bits, averages and rules."""
import re

import numpy as np
import pytest
from helpers import BIT_GENERATORS, course_sgd, quiet, rows, same_state, sgd
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

import fastgd
from fastgd import ConvergenceWarning, minimize, minimize_sgd, reference, schedules
from fastgd.losses import REGISTRY
from fastgd.schedules import inverse_scaling

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


@quiet
@pytest.mark.parametrize(("name", "size", "alpha", "theta", "updates"), KNOWN)
@pytest.mark.thread_unsafe(reason="numpy's global generator")
def test_known_answers(name, size, alpha, theta, updates, pcttip):
    for source in (fastgd, reference):
        np.random.seed(0)
        result = sgd(name, pcttip, size, alpha, source=source, full_output=True)
        assert (result.x, result.nit) == (theta, updates)
        assert (result.success, result.status) == (False, 4)
    np.random.seed(0)
    assert course_sgd(name, pcttip, size, alpha) == theta


def test_the_course_would_never_end_here(pcttip):
    np.random.seed(0)
    with pytest.warns(ConvergenceWarning, match="244000 updates"):
        minimize_sgd(fastgd.abs_loss, fastgd.grad_abs_loss, pcttip, 0.2)


class TestSameAsTheReference:
    @quiet
    @pytest.mark.parametrize("dtype", [np.float64, np.float32])
    @pytest.mark.parametrize("kind", BIT_GENERATORS)
    @pytest.mark.parametrize("size", [None, 1, 7, 10, 150])
    def test_bits_and_state_of_the_generator(self, size, kind, dtype):
        y = np.random.default_rng(0).normal(15, 3, 153).astype(dtype)
        for name, alpha in (("mse", 0.1), ("abs_loss", 0.07), ("huber_loss", 0.3), ("quartic_loss", 1e-3)):
            ours, numpys = np.random.Generator(kind(1)), np.random.Generator(kind(1))
            theta = sgd(name, y, size, alpha, rng=ours, max_epochs=3, tol=1e-9)
            assert theta == float(course_sgd(name, y, size, alpha, rng=numpys, max_epochs=3, tol=1e-9))
            assert same_state(ours.bit_generator, numpys.bit_generator)

    @quiet
    @settings(max_examples=100)
    @given(data=st.data(), name=st.sampled_from(["mse", "abs_loss", "huber_loss"]), seed=st.integers(0, 2**32))
    def test_bits_of_any_data(self, data, name, seed):
        dtype = data.draw(st.sampled_from([np.float64, np.float32]))
        y = data.draw(npst.arrays(dtype, st.integers(1, 60), elements=st.floats(
            -1e6, 1e6, width=32 if dtype is np.float32 else 64)))
        size = data.draw(st.one_of(st.none(), st.integers(1, len(y) - 1))) if len(y) > 1 else None
        tol = data.draw(st.sampled_from([0.0, 1e-3, 1.0]))
        alpha = data.draw(st.floats(1e-3, 0.9))
        a, b = np.random.default_rng(seed), np.random.default_rng(seed)
        theta = sgd(name, y, size, alpha, rng=a, max_epochs=4, tol=tol)
        assert theta == float(course_sgd(name, y, size, alpha, rng=b, max_epochs=4, tol=tol))
        assert same_state(a.bit_generator, b.bit_generator)

    @quiet
    @pytest.mark.parametrize("size", [None, 30])
    def test_bits_of_long_runs_at_every_kind_of_rate(self, size):
        y = np.random.default_rng(0).normal(15, 3, 30_000)
        for alpha in (0.01, inverse_scaling(0.5, 0.75), lambda t: 0.3 / (1 + t) ** 0.5):
            a, b = np.random.default_rng(1), np.random.default_rng(1)
            assert sgd("huber_loss", y, size, alpha, rng=a, tol=0, max_epochs=2) == course_sgd(
                "huber_loss", y, size, alpha, rng=b, tol=0, max_epochs=2)
            assert same_state(a.bit_generator, b.bit_generator)

    @quiet
    def test_a_shuffle_longer_than_one_call(self):
        y = np.random.default_rng(0).normal(15, 3, 2_500_000)
        a, b = np.random.default_rng(1), np.random.default_rng(1)
        theta = sgd("mse", y, 1_000_000, 0.1, rng=a, max_epochs=2, tol=0)
        assert theta == course_sgd("mse", y, 1_000_000, 0.1, rng=b, max_epochs=2, tol=0)
        assert same_state(a.bit_generator, b.bit_generator)

    @quiet
    def test_an_epoch_longer_than_a_call_may_shuffle(self):
        y = np.random.default_rng(0).normal(15, 3, 2**20 + 100)
        plain = sgd("mse", y, None, 0.01, rng=1, max_epochs=1, tol=0, full_output=True)
        ends = sgd("mse", y, None, 0.01, rng=1, max_epochs=1, tol=0, full_output=True, stop="epoch")
        assert (plain.x, plain.nit) == (ends.x, ends.nit)
        assert plain.nit == len(y)

    @quiet
    def test_a_function_in_python_gets_a_point_or_an_array(self, pcttip):
        seen = []

        def gradient(theta, y):
            seen.append(np.shape(y))
            return np.mean(theta - y)

        minimize_sgd(None, gradient, pcttip, rng=0, max_epochs=1, tol=0)
        assert set(seen[:244]) == {()}
        seen.clear()
        fastgd.minimize_mini_batch(None, gradient, pcttip, 100, rng=0, max_epochs=1, tol=0)
        assert seen[:3] == [(100,), (100,), (44,)]

    @quiet
    def test_a_gradient_of_points_may_give_one_for_each_at_the_end(self, pcttip):
        result = minimize_sgd(fastgd.mse, lambda theta, y: -2 * (y - theta), pcttip, 0.01, rng=0, full_output=True)
        assert result.x == sgd("mse", pcttip, None, 0.01, rng=0)
        assert result.jac == pytest.approx(fastgd.grad_mse(result.x, pcttip), rel=1e-12)

    @quiet
    def test_cross_entropy_within_rounding(self):
        y = np.random.default_rng(0).random(500)
        assert sgd("cross_entropy", y, None, 0.1, rng=1) == pytest.approx(
            course_sgd("cross_entropy", y, None, 0.1, rng=1), rel=1e-12)

    def test_one_point_is_its_own_minimiser(self):
        result = sgd("mse", [3.0], None, 0.5, rng=0, full_output=True)
        assert (result.x, result.success) == (3.0, True)

    @quiet
    @pytest.mark.parametrize("name", REGISTRY)
    def test_every_loss_within_rounding(self, name):
        y = np.random.default_rng(0).random(100)
        for size in (None, 10):
            theta = sgd(name, y, size, 0.01, rng=0)
            assert theta == pytest.approx(course_sgd(name, y, size, 0.01, rng=0), rel=1e-12)


class TestAverages:
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

    @quiet
    def test_average_is_the_mean_of_the_last_epoch(self, pcttip):
        options = {"rng": 0, "tol": 0, "max_epochs": 3, "history": True}
        result = sgd("huber_loss", pcttip, None, 0.1, average=True, **options)
        thetas = result.history["theta"].to_numpy()
        assert result.x == thetas[-244:].mean()
        assert len(thetas) == result.nit == 3 * 244
        assert sgd("huber_loss", pcttip, None, 0.1, **options).x == thetas[-1]
        batches = sgd("huber_loss", pcttip, 10, 0.1, average=True, **options)
        assert batches.x == batches.history["theta"].to_numpy()[-25:].mean()

    @quiet
    def test_average_over_a_long_epoch(self):
        y = np.random.default_rng(0).normal(15, 3, 30_001)
        result = sgd("mse", y, None, 0.01, rng=0, average=True, tol=0, max_epochs=2, history=True)
        assert result.x == pytest.approx(result.history["theta"].to_numpy()[-30_001:].mean(), rel=1e-12)


    @quiet
    def test_average_of_an_epoch_that_was_not_finished(self, pcttip):
        result = sgd("huber_loss", pcttip, None, 0.01, rng=0, average=True, history=True)
        assert result.jac == fastgd.grad_huber_loss(result.x, pcttip)
        assert result.fun == fastgd.huber_loss(result.x, pcttip)
        assert result.nit % 244
        assert result.x == pytest.approx(result.history["theta"].to_numpy()[-(result.nit % 244):].mean(), rel=1e-14)

    @quiet
    @pytest.mark.parametrize("size", [None, 2])
    def test_average_of_thetas_whose_sum_overflows(self, size):
        y = np.full(9, 1e308)
        theta = sgd("huber_loss", y, size, 0.5, rng=0, average=True, tol=0, max_epochs=3, theta0=9e307)
        assert theta == pytest.approx(9e307)

    @quiet
    def test_average_after_an_epoch_whose_sum_overflowed(self):
        y = np.zeros(9)
        theta = sgd("mse", y, None, 0.25, rng=0, average=True, tol=0, max_epochs=2, theta0=1.6e308, history=True)
        assert theta.x == pytest.approx(theta.history["theta"].to_numpy()[9:].mean(), rel=1e-14)


class TestRules:
    @quiet
    @pytest.mark.parametrize("source", [fastgd, reference])
    def test_a_move_of_just_tol_ends_no_run(self, source):
        for stop in ("step", "epoch"):
            result = sgd("abs_loss", [100.0], None, 0.25, rng=0, tol=0.25, stop=stop, max_epochs=5, full_output=True,
                         source=source)
            assert (result.nit, result.status) == (5, 1)
        result = sgd("abs_loss", [100.0], None, 0.25, rng=0, tol=0.25, stop="epoch", average=True, max_epochs=5,
                     full_output=True, source=source)
        assert (result.nit, result.status) == (5, 1)
        result = minimize(source.abs_loss, source.grad_abs_loss, [100.0], 0.25, False, tol=0.25, stop="loss",
                          max_iter=5, full_output=True)
        assert (result.nit, result.status) == (5, 1)

    def test_stop_by_epoch_compares_the_ends_of_two(self, pcttip):
        result = sgd("mse", pcttip, None, lambda t: 0.5 / (1 + t) ** 0.9, rng=1, stop="epoch", history=True)
        ends = result.history["theta"].to_numpy()[243::244]
        assert result.nit == 244 * len(ends)
        assert abs(ends[-1] - ends[-2]) < 1e-3
        assert (np.abs(np.diff(ends[:-1])) >= 1e-3).all()
        assert abs(ends[0]) >= 1e-3

    def test_stop_by_loss_looks_once_an_epoch(self):
        X, y = rows(300, 3)
        result = minimize_sgd(fastgd.mse, None, y, schedules.inverse_scaling(0.1, 0.9), X=X, rng=0, stop="loss",
                              tol=1e-5, full_output=True, average=True)
        assert result.success
        assert result.nit % 300 == 0
        best = np.linalg.lstsq(X, y, rcond=None)[0]
        assert result.fun - fastgd.mse(best, y, X=X) < 1e-3
        constant = minimize(fastgd.mse, fastgd.grad_mse, y, progress=False, stop="loss", tol=1e-9, full_output=True)
        assert re.search(r"update \d+ .* loss by \d.*1e-09", constant.message)
        assert constant.x == pytest.approx(y.mean(), abs=1e-4)


@quiet
def test_loss_and_slope_are_of_the_points_in_their_order():
    for seed in range(20):
        y = np.random.default_rng(seed).normal(3, 4, 57)
        result = minimize_sgd(fastgd.mse, None, y.tolist(), 0.1, rng=seed, max_epochs=3, full_output=True)
        assert (result.fun, result.jac) == (fastgd.mse(result.x, y), fastgd.grad_mse(result.x, y))
