import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

import fastgd
from fastgd import ConvergenceWarning, DivergenceError, is_convex, minimize, minimize_multistart, reference
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
        with pytest.raises(ValueError, match="no chord can be drawn"):
            is_convex(fastgd.mse, [0.0], (-1e300, 1e300))
        assert is_convex(fastgd.abs_loss, [0.0], (-1e300, 1e300))

    def test_an_infinite_bump_is_a_witness(self):
        assert not is_convex(lambda theta, y: np.inf if abs(theta) < 1 else 0.0, [0.0], (-2, 2))
        with pytest.raises(ValueError, match="no chord can be drawn"):
            is_convex(lambda theta, y: np.nan, [0.0], (-2, 2))
        with pytest.raises(TypeError, match="loss_fn must return one number"):
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


class TestMultistart:
    @pytest.mark.parametrize("source", [fastgd, reference])
    def test_quartic(self, source):
        starts = [-21, 5, -3, 30, 0.5]
        result = minimize_multistart(source.quartic_loss, source.grad_quartic_loss, np.array([0.0]), starts, tol=1e-9)
        assert result.minima == pytest.approx([18.395414689923562, -14.508046083512886], abs=1e-6)
        assert result.losses == pytest.approx([0.628237, 6.950300], abs=1e-6)
        assert result.labels.tolist() == [1, 0, 1, 0, 1]
        assert float(result) == result.x == result.minima[0]
        assert result.success
        assert "the best found is theta 18.3954 with loss 0.628237, from 2 of the starts" in repr(result)
        assert "theta -14.508, loss 6.9503, from -21, -3, 0.5" in repr(result)

    @pytest.mark.parametrize("dtype", [np.float64, np.float32])
    @pytest.mark.parametrize("name", REGISTRY)
    def test_each_run_is_the_single_run(self, name, dtype):
        rng = np.random.default_rng(0)
        y = (rng.random(5000) if name == "cross_entropy" else rng.normal(15, 3, 5000)).astype(dtype)
        loss, starts = REGISTRY[name], [-3.0, 0.0, 4.5, 16.0, 40.0]
        result = quietly(minimize_multistart, loss, loss.gradient, y, starts, 0.05, max_iter=700)
        for start, run in zip(starts, result.runs, strict=True):
            alone = quietly(minimize, loss, loss.gradient, y, 0.05, False, theta0=start, max_iter=700, full_output=True)
            assert (run.x, run.nit, run.status, run.fun, run.jac) == (
                alone.x, alone.nit, alone.status, alone.fun, alone.jac)

    def test_schedules(self, pcttip):
        rate = fastgd.schedules.inverse_scaling(2.0, 0.5)
        result = minimize_multistart(fastgd.huber_loss, None, pcttip, [0, 30], rate)
        assert [run.x for run in result.runs] == [
            minimize(fastgd.huber_loss, None, pcttip, rate, False, theta0=start) for start in (0, 30)]

    @pytest.mark.parametrize("starts", [np.linspace(-30, 30, 601), [-21, 0.62, 30], [-21, 0.612631, 30]])
    def test_a_start_on_the_maximum_joins_no_minima(self, starts):
        result = minimize_multistart(fastgd.quartic_loss, None, [0.0], starts)
        assert result.minima == pytest.approx([18.395, -14.508], abs=0.05)

    @pytest.mark.parametrize("scale", [1e-14, 1.0, 1e14])
    def test_a_double_well_of_any_depth(self, scale):
        def loss(theta, y):
            return scale * (theta**2 - 1) ** 2

        def gradient(theta, y):
            return scale * 4 * theta * (theta**2 - 1)

        for starts in ([-2, 2], [-2, 0, 2]):
            result = minimize_multistart(loss, gradient, [0.0], starts, 0.05 / scale, tol=1e-9)
            assert sorted(result.minima) == pytest.approx([-1, 1], abs=1e-6)

    def test_a_loss_that_is_nan_is_no_success(self):
        result = minimize_multistart(lambda theta, y: np.nan, fastgd.grad_mse, [0.0], [-2, 2])
        assert not result.success

    def test_a_rate_that_falls_to_zero_is_no_convergence(self, five_points):
        with pytest.warns(ConvergenceWarning, match="stands still"):
            result = minimize_multistart(fastgd.mse, None, five_points, [0, 40], fastgd.schedules.cosine(0.01, 5))
        assert [run.status for run in result.runs] == [4, 4]
        assert result.labels.tolist() == [-1, -1]

    def test_flat_minima_are_one(self):
        result = minimize_multistart(fastgd.abs_loss, None, [-1.0, 1.0], [-3, -0.5, 0.2, 7], alpha=0.01)
        assert len(result.minima) == 1
        assert result.fun == 1

    def test_ends_on_two_sides_are_one_minimum(self, pcttip):
        result = minimize_multistart(fastgd.huber_loss, None, pcttip, np.linspace(0, 40, 30), alpha=0.05)
        assert len(result.minima) == 1

    def test_starts_that_fail_are_named(self):
        with pytest.warns(ConvergenceWarning, match=r"from 1000 the descent diverged") as caught:
            result = minimize_multistart(fastgd.quartic_loss, None, [0.0], [10, 1000], alpha=1.0)
        assert caught[0].filename == __file__
        assert result.labels.tolist() == [0, -1]
        assert not result.success
        assert result.x == pytest.approx(18.395, abs=0.01)
        with pytest.warns(ConvergenceWarning, match="repeats"):
            minimize_multistart(fastgd.abs_loss, None, [0.0], [0.05, 0.1], alpha=0.2)
        with pytest.raises(DivergenceError, match="diverged from every start"):
            minimize_multistart(fastgd.mse, None, [0.0], [1, 2], alpha=1.5)

    @pytest.mark.parametrize("starts", [[], [np.nan], [[1.0]], "a", None])
    def test_bad_starts(self, starts):
        with pytest.raises((TypeError, ValueError), match="starts"):
            minimize_multistart(fastgd.mse, None, [1.0], starts)


def quietly(function, *args, **options):
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return function(*args, **options)


def test_an_interval_longer_than_the_largest_float():
    found = is_convex(fastgd.abs_loss, [0.0], (-1e308, 1e308), rng=0)
    assert found
    assert found.n_chords > 1000    # the places where it was evaluated are all finite
