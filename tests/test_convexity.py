import decimal
import fractions
import math
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

import fastgd
from fastgd import is_convex, reference
from fastgd.convexity import Convexity
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
