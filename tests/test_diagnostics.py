import decimal
import fractions
import math
import re
import tracemalloc

import numpy as np
import pytest
from helpers import KINKED, coarse_losses, data_for
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

import fastgd
from fastgd import check_gradient, is_convex, reference
from fastgd.diagnostics import Convexity
from fastgd.losses import REGISTRY

CONVEX = [name for name in REGISTRY if name != "quartic_loss"]


class TestIsConvex:
    @pytest.mark.parametrize("source", [fastgd, reference])
    @pytest.mark.parametrize("name", REGISTRY)
    def test_on_the_tips(self, name, source, pcttip):
        found = is_convex(getattr(source, name), pcttip, (-30, 60), rng=0)
        assert bool(found) == (name in CONVEX)
        if found:
            assert "No counter-example found" in str(found)

    def test_the_course_chord(self):
        found = is_convex(fastgd.quartic_loss, [0.0], (-12, 12), rng=0)
        assert not found
        assert (found.a, found.b) == (-12, 12)
        at = found.t * found.a + (1 - found.t) * found.b
        assert found.curve == fastgd.quartic_loss(at, [0.0])
        assert found.chord == pytest.approx(
            found.t * fastgd.quartic_loss(found.a, [0.0]) + (1 - found.t) * fastgd.quartic_loss(found.b, [0.0]))
        assert found.chord < found.curve
        assert "not convex" in found.message
        assert is_convex(fastgd.mse, [0.0], (-12, 12))
        assert is_convex(fastgd.quartic_loss, [0.0], (17, 20))

    def test_a_flat_loss_is_convex(self):
        assert is_convex(fastgd.abs_loss, [-1.0, 1.0], (-1, 1))
        assert is_convex(fastgd.abs_loss, [-1.0, 1.0], (-3, 3))
        assert is_convex(lambda theta, y: 7.0, [0.0], (-1e9, 1e9))

    def test_a_narrow_dent_is_found(self):
        assert not is_convex(lambda theta, y: theta**2 + 0.01 * (abs(theta - 0.3) < 0.01), [0.0], (-1, 1), rng=0)
        assert not is_convex(lambda theta, y: -(theta**2), [0.0], (-1, 1), rng=0)
        assert not is_convex(lambda theta, y: min(abs(theta - 1), abs(theta + 1)), [0.0], (-3, 3), rng=0)

    @settings(max_examples=60, deadline=None)
    @given(data=st.data(), name=st.sampled_from(CONVEX))
    def test_rounding_is_no_witness(self, data, name):
        low = 0 if name == "cross_entropy" else -1e6
        y = data.draw(npst.arrays(
            data.draw(st.sampled_from([np.float64, np.float32])), st.integers(1, 30), elements=st.floats(
                low, 1 if name == "cross_entropy" else 1e6, width=32)))
        a = data.draw(st.floats(-1e7, 1e7))
        width = data.draw(st.sampled_from([1e-6, 1e-3, 1.0, 1e3, 1e8]))
        for source in (fastgd, reference):
            with np.errstate(all="ignore"):
                found = is_convex(getattr(source, name), y, (a, a + width), n_chords=50, rng=0)
            assert found, found

    @pytest.mark.parametrize("interval", [(1, 1), (2, 1), (0, np.inf), (np.nan, 1), 3, None, (1, 2, 3), ("a", 1)])
    def test_bad_intervals(self, interval):
        with pytest.raises((TypeError, ValueError), match="'interval' parameter"):
            is_convex(fastgd.mse, [0.0], interval)

    def test_too_narrow(self):
        with pytest.raises(ValueError, match="too narrow"):
            is_convex(fastgd.mse, [0.0], (1.0, np.nextafter(1, 2)))

    def test_arguments(self):
        for arguments, words in (((None, [0.0], (0, 1)), "loss_fn"), ((fastgd.mse, [], (0, 1)), "dataset")):
            with pytest.raises((TypeError, ValueError), match=words):
                is_convex(*arguments)
        with pytest.raises(ValueError, match="n_chords"):
            is_convex(fastgd.mse, [0.0], (0, 1), n_chords=0)

    def test_an_interval_where_the_loss_overflows(self):
        with pytest.raises(ValueError, match="no chord"):
            is_convex(fastgd.mse, [0.0], (-1e300, 1e300))
        assert is_convex(fastgd.abs_loss, [0.0], (-1e300, 1e300))

    def test_an_infinite_bump_is_a_witness(self):
        assert not is_convex(lambda theta, y: np.inf if abs(theta) < 1 else 0.0, [0.0], (-2, 2))
        with pytest.raises(ValueError, match="no chord"):
            is_convex(lambda theta, y: np.nan, [0.0], (-2, 2))
        with pytest.raises(TypeError, match=r"loss_fn.*one number"):
            is_convex(lambda theta, y: None, [0.0], (-2, 2))

    @pytest.mark.parametrize(("loss", "y", "interval"), [
        (fastgd.cross_entropy, [1.0], (30, 36)), (fastgd.cross_entropy, np.ones(100), (20, 60)),
        (lambda t, y: np.mean(np.log(np.cosh(y - t))), [0.0], (-1e-7, 1e-7)),
        (lambda t, y: np.mean(np.sqrt(1 + (y - t) ** 2) - 1), [0.0], (-1e-7, 1e-7)),
        (lambda t, y: np.exp(t) - t - 1, [0.0], (-1e-7, 1e-7)),
        (lambda t, y: np.mean(np.log1p(np.exp(t)) - y * t), [1.0], (20, 36)),
        (lambda t, y: np.float32((t - 1) ** 2), [0.0], (100, 101))])
    def test_cancelled_digits_are_no_witness(self, loss, y, interval):
        assert is_convex(loss, np.asarray(y), interval, rng=0)


def test_an_interval_longer_than_the_largest_float():
    found = is_convex(fastgd.abs_loss, [0.0], (-1e308, 1e308), rng=0)
    assert found
    assert found.n_chords > 1000    # the places where it was evaluated are all finite


def sine(theta, y):
    return np.sin(5 * theta)


BLOCK = 2**20    # up to so many random chords are drawn at once


class TestManyChords:
    # As found when all chords were drawn at once, at n_chords = 1000 and 50,000.
    @pytest.mark.parametrize(("loss", "interval", "n_chords", "found", "drawn_next"), [
        (fastgd.quartic_loss, (-30, 60), 1000, (-14.5, 17.5, 0.5, 3.8783125, 18.5471125, 13362), 936651291),
        (fastgd.quartic_loss, (-30, 60), 50_000, (-14.5, 17.5, 0.5, 3.8783125, 18.5471125, 62258), 2798086706),
        (sine, (0, 7), 1, (0.828125, 4.828125, 0.5, -0.8390665122010464, 0.9999940209204673, 15886), 1158725112),
        (sine, (0, 7), 1000, (
            2.33203125, 5.8828125, 0.1573157315731573, -0.8894305843545601, 0.9966034339864885, 16883), 936651291),
        (sine, (0, 7), 50_000, (
            3.45703125, 5.96875, 0.24261275272161742, -0.9999943150972554, 0.9956472221779679, 65791), 2798086706),
        (fastgd.mse, (-12, 12), 50_000, (None, None, None, None, None, 63220), 2798086706)])
    def test_the_stream_and_the_witness_stay(self, loss, interval, n_chords, found, drawn_next):
        rng = np.random.default_rng(0)
        answer = is_convex(loss, [0.0], interval, n_chords=n_chords, rng=rng)
        numbers = answer.a, answer.b, answer.t, answer.chord, answer.curve, answer.n_chords
        assert all(number == (value and pytest.approx(value, rel=1e-12))    # a sine has other last bits elsewhere
                   for number, value in zip(numbers, found, strict=True))
        assert rng.integers(2**32) == drawn_next

    def test_the_best_of_all_blocks_is_kept(self):
        """In plain numpy: the chords of one block after another, and the first of those with the largest excess."""
        grid = np.arange(2049) / 256
        heights, n = np.array([sine(theta, None) for theta in grid.tolist()]), len(grid)
        parts_with_the_best = set()
        for seed in range(4):
            starts = [(np.arange(n - 2 * 2**k), 2**k) for k in range(11)]
            parts = [np.array([[0], [(n - 1) // 2], [n - 1]])]
            parts += [np.stack([start, start + distance, start + 2 * distance]) for start, distance in starts]
            rng = np.random.default_rng(seed)
            for size in (BLOCK, BLOCK // 2):
                drawn = np.sort(rng.integers(0, n, (3, size)), axis=0)
                parts.append(drawn[:, (drawn[0] < drawn[1]) & (drawn[1] < drawn[2])])
            left, middle, right = np.concatenate(parts, axis=1)
            t = (right - middle) / (right - left)
            chords = t * heights[left] + (1 - t) * heights[right]
            k = int(np.argmax(heights[middle] - chords))
            parts_with_the_best.add(int(np.searchsorted(np.cumsum([part.shape[1] for part in parts]), k, "right")))
            found = is_convex(sine, [0.0], (0, 8), n_chords=BLOCK + BLOCK // 2, rng=np.random.default_rng(seed))
            assert (found.a, found.b, found.t) == (grid[left[k]], grid[right[k]], t[k])
            assert (found.chord, found.curve) == (chords[k], heights[middle[k]])
            assert found.n_chords == len(left)
        assert {len(parts) - 2, len(parts) - 1} <= parts_with_the_best    # each of the blocks

    def test_memory_does_not_grow_with_their_number(self):
        tracemalloc.start()
        try:
            is_convex(fastgd.mse, [0.0], (-12, 12), n_chords=6 * BLOCK, rng=0)
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        assert peak < 20 * 8 * BLOCK    # and 6 * BLOCK indices of three places alone are 18 * 8 * BLOCK

    def test_ctrl_c(self, interrupted):
        with interrupted():
            is_convex(fastgd.mse, [0.0], (-12, 12), n_chords=10**7 * BLOCK, rng=0)


def test_a_finding_is_a_value():
    found, again, other = (is_convex(fastgd.quartic_loss, [0.0], (-12, high), rng=0) for high in (12, 12, 13))
    assert found == again
    assert hash(found) == hash(again)
    assert found != other
    assert found != "no finding"
    assert isinstance(found, Convexity)
    assert {found: 1}[again] == 1


@pytest.mark.parametrize("value", [1j, "1", b"1", None, np.ones(2), [1.0], object()])
def test_a_loss_that_is_no_number_is_named(value):
    with pytest.raises(TypeError, match=r"^loss_fn.*one number"):
        is_convex(lambda theta, y: value, [0.0], (0, 1))


def test_losses_of_every_type_of_number():
    for convert in (float, np.float32, np.float64, np.array, fractions.Fraction, decimal.Decimal):
        assert is_convex(lambda theta, y, convert=convert: convert(theta * theta), [0.0], (-1, 1), rng=0)
        assert not is_convex(lambda theta, y, convert=convert: convert(-theta * theta), [0.0], (-1, 1), rng=0)


def test_how_small_a_witness_may_be_depends_on_who_adds_the_points():
    """A Python function may add them in any order; what that leaves of n digits says nothing."""
    y, interval = np.zeros(20_000), (0, 2e-5)
    assert not is_convex(fastgd.quartic_loss, y, interval)
    assert is_convex(reference.quartic_loss, y, interval)
    assert not is_convex(reference.quartic_loss, y[:10], interval)


def test_an_interval_of_two_floats_is_too_narrow():
    with pytest.raises(ValueError, match=r"'interval'.*too narrow"):
        is_convex(fastgd.mse, [0.0], (1.0, math.nextafter(1.0, 2.0)))
    with pytest.raises(ValueError, match=r"'interval'.*too narrow"):
        is_convex(fastgd.mse, [0.0], (1.0, 1 + 3 * math.ulp(1.0)))


@pytest.mark.parametrize("coarse", [int, lambda v: round(float(v), 1), np.float32, lambda v: float(np.float32(v)) * 1.7,
                                    lambda v: float(f"{v:.4g}")])
@pytest.mark.parametrize("interval", [(900, 1100), (990, 1010), (999, 1002)])
def test_rounding_inside_a_python_loss_is_no_counter_example(coarse, interval):
    y = 1000 + np.random.default_rng(0).normal(0, 3, 50)
    for loss in (reference.mse, reference.log_cosh):
        assert is_convex(lambda t, d, loss=loss: coarse(loss(t, d)), y, interval, rng=0)
    if interval != (999, 1002):    # where it bends by less than some of these show
        assert not is_convex(lambda t, d: coarse(100 * np.cos(t)), y, interval, rng=0)


class TestCheckGradient:
    @pytest.mark.parametrize("dtype", [np.float64, np.float32, int])
    @pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
    @pytest.mark.parametrize("name", REGISTRY)
    def test_ours_are_right(self, name, scale, dtype):
        y = data_for(name, 1.0 if name in ("quartic_loss", "cross_entropy") or dtype is int else scale).astype(dtype)
        for source in (fastgd, reference):
            check = check_gradient(getattr(source, name), getattr(source, f"grad_{name}"), y)
            assert check.error < 1e-4, check
            assert "agree" in check.message

    @pytest.mark.parametrize("offset", [0, 100, 1e4, 1e6])
    @pytest.mark.parametrize("name", [name for name in REGISTRY if name not in ("cross_entropy", "quartic_loss")])
    def test_data_far_from_0(self, name, offset):
        for seed in range(10):
            for n in (1, 2, 50, 1000):
                y = np.random.default_rng(seed).normal(offset, 1, n)
                check = check_gradient(REGISTRY[name], REGISTRY[name].gradient, y)
                assert "agree" in check.message, check
                assert check.skipped < 30

    @pytest.mark.parametrize("n", [1, 2])
    def test_few_points(self, n):
        y = np.arange(1.0, n + 1)
        for factor, words in ((-1, "Its sign is wrong."), (2, "a factor 2 too many")):
            check = check_gradient(fastgd.mse, lambda t, y, f=factor: f * fastgd.grad_mse(t, y), y)
            assert words in check.message

    @pytest.mark.parametrize(("factor", "words"), [
        (-1, "Its sign is wrong."), (2, "a factor 2 too many"), (0.5, "a factor 2 was forgotten"),
        (100, "mean"), (-2, "sign.*factor 2"), (3.5, "3.5 times"),
        (0, "0 everywhere")])
    @pytest.mark.parametrize("name", REGISTRY)
    def test_mistakes_are_named(self, name, factor, words):
        gradient = REGISTRY[name].gradient
        check = check_gradient(REGISTRY[name], lambda theta, y: factor * gradient(theta, y), data_for(name))
        assert check.error > 0.3
        assert re.search(words, check.message)

    def test_what_it_returns(self, five_points):
        check = check_gradient(fastgd.mse, fastgd.grad_huber_loss, five_points, thetas=[14.0, 20.0])
        error, theta = check
        assert float(check) == error == check.error
        assert theta == check.theta == 20.0
        assert check.gradient == fastgd.grad_huber_loss(20.0, five_points)
        assert check.difference == pytest.approx(fastgd.grad_mse(20.0, five_points), rel=1e-8)

    def test_kinks_are_skipped(self):
        check = check_gradient(fastgd.pinball_loss, lambda theta, y: fastgd.grad_pinball_loss(theta + 1e-3, y), [0.0],
                               thetas=[-1.0, 1e-9, 1.0])
        assert check.skipped == 1
        assert check.error < 1e-8
        with pytest.raises(ValueError, match="1 theta"):
            check_gradient(fastgd.pinball_loss, fastgd.grad_pinball_loss, [0.0], thetas=[1e-9])

    def test_a_gradient_that_is_nan(self, five_points):
        assert check_gradient(fastgd.mse, lambda theta, y: np.nan, five_points).error == np.inf

    @pytest.mark.parametrize(("arguments", "words"), [
        ((None, fastgd.grad_mse, [1.0]), "loss_fn"), ((fastgd.mse, None, [1.0]), "grad_loss_fn"),
        ((fastgd.mse, fastgd.grad_mse, []), "dataset"), ((fastgd.mse, fastgd.grad_mse, [1.0], []), "thetas")])
    def test_arguments(self, arguments, words):
        with pytest.raises((TypeError, ValueError), match=words):
            check_gradient(*arguments)

    def test_data_farther_apart_than_the_largest_float(self):
        with pytest.raises(ValueError, match="41 thetas"):
            check_gradient(fastgd.abs_loss, fastgd.grad_abs_loss, [-1.7e308, 1.7e308])

    @pytest.mark.parametrize("value", [1 + 2j, np.complex128(1), "1", b"1", None, np.ones(2), [1.0], np.str_("1")])
    def test_what_is_no_number_is_named(self, value, five_points):
        got = r"shape \(2,\)" if isinstance(value, np.ndarray) else re.escape(f"Got {value!r} of type ")
        with pytest.raises(TypeError, match=f"^loss_fn.*one number.*{got}"):
            check_gradient(lambda theta, y: value, fastgd.grad_mse, five_points)
        with pytest.raises(TypeError, match=f"^grad_loss_fn.*one number.*{got}"):
            check_gradient(fastgd.mse, lambda theta, y: value, five_points)

    @pytest.mark.parametrize("convert", [np.longdouble, np.array, fractions.Fraction, decimal.Decimal, float])
    def test_numbers_of_every_type(self, convert, five_points):
        check = check_gradient(
            lambda theta, y: convert(reference.mse(theta, y)), lambda theta, y: convert(reference.grad_mse(theta, y)),
            five_points)
        assert "agree" in check.message

    def test_is_a_value(self, five_points):
        check, again, other = (check_gradient(fastgd.mse, fastgd.grad_mse, y) for y in (
            five_points, five_points, five_points + 1))
        assert check == again
        assert hash(check) == hash(again)
        assert check not in (other, tuple(check), 3)
        not_a_number, again = (check_gradient(fastgd.mse, lambda theta, y: math.nan * theta, five_points)
                               for _ in range(2))
        assert np.isnan(not_a_number.gradient)
        assert not_a_number == again
        assert hash(not_a_number) == hash(again)
        assert not_a_number != check


def test_a_gradient_that_is_nearly_right_is_not_said_to_agree(five_points):
    check = check_gradient(fastgd.mse, lambda theta, y: 1.01 * fastgd.grad_mse(theta, y), five_points)
    assert check.error == pytest.approx(0.0099, rel=0.01)
    assert "They agree" not in check.message
    assert "They agree" in check_gradient(fastgd.mse, fastgd.grad_mse, five_points).message


def test_a_mistake_that_is_no_factor_is_not_named_as_one(five_points):
    check = check_gradient(fastgd.mse, lambda theta, y: fastgd.grad_mse(theta, y) + theta, five_points)
    assert "It is" not in check.message
    assert "sign" not in check.message


@pytest.mark.parametrize(("factor", "words"), [
    (5, "the sum over"), (-5, "sign.*the sum over"),
    (-1, "Its sign is wrong\\."), (2, "twice"), (0.5, "It is half of"),
    (-2, "sign.*factor 2.*too many"), (-0.5, "sign.*factor 2.*forgotten"),
    (3, "3 times"), (0, "It is 0 everywhere")])
def test_each_known_mistake_is_named(factor, words, five_points):
    check = check_gradient(fastgd.mse, lambda theta, y: factor * fastgd.grad_mse(theta, y), five_points)
    assert re.search(words, check.message)


@pytest.mark.parametrize("name", [name for name in REGISTRY if name not in KINKED and name != "huber_loss"])
def test_no_theta_of_a_smooth_loss_is_skipped(name):
    assert check_gradient(REGISTRY[name], REGISTRY[name].gradient, data_for(name)).skipped == 0


@pytest.mark.parametrize(("loss", "gradient"), [
    (lambda t, d: 1e16 + np.mean((d - t) ** 2), lambda t, d: 2 * np.mean(d - t)),
    (lambda t, d: 1e16 + np.mean((d - t) ** 2), lambda t, d: -2 * np.mean(d - t)),
    (lambda t, d: 5e10, lambda t, d: 1e-6), (lambda t, d: np.float32(1e9), lambda t, d: 1.0)])
def test_differences_below_the_rounding_of_the_loss_tell_nothing(loss, gradient):
    check = check_gradient(loss, gradient, [12.1, 12.8, 14.9])
    assert np.isnan(check.error)
    assert "inconclusive" in check.message
    assert "agree" not in check.message


@pytest.mark.parametrize("offset", [1e9, 1e11, 1e12])
def test_a_loss_with_a_large_constant_is_compared_at_a_wider_half_width(offset):
    def loss(theta, dataset):
        return offset + np.mean((dataset - theta) ** 2)

    right, wrong = (check_gradient(loss, lambda t, d, sign=sign: 2 * sign * np.mean(t - d), [12.1, 12.8, 14.9])
                    for sign in (1, -1))
    assert right.error < 1e-4
    assert "They agree" in right.message
    assert wrong.error == pytest.approx(2, rel=1e-2)
    assert "agree" not in wrong.message


def test_a_slope_that_a_constant_loss_does_not_have_is_an_error():
    assert check_gradient(lambda t, d: 5e10, lambda t, d: 1e-3, [12.1, 12.8, 14.9]).error > 0.1


@pytest.mark.parametrize("sign", [1, -1])
def test_a_gradient_is_checked_by_a_coarse_loss(sign):
    y = 1000 + np.random.default_rng(0).normal(0, 3, 50)
    for loss in coarse_losses(y).values():
        check = check_gradient(loss, lambda t, d: -2 * sign * np.mean(d - t), y)
        assert (check.error < 0.1) == (sign == 1)
