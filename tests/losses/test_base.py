"""Losses and gradients at one theta and along curves: numpy's bits, and losses as values."""
import copy as copy_of
import functools
import inspect
import pickle
import pydoc

import numpy as np
import pytest
from helpers import DTYPES, EXACT, INEXACT, LOSSES, rows, targets_for, twins
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

import fastgd
from fastgd import Huber, Pinball, minimize, reference
from fastgd.losses import REGISTRY, Gradient, Loss

SIZES = [*range(1, 40), 63, 64, 65, 127, 128, 129, 135, 136, 137, 255, 256, 257, 1000, 4095, 4096, 4097, 4999, 5000]


class TestTheTextbooksNames:
    def test_alpha_is_the_delta_of_the_huber_loss(self, five_points):
        for function in (fastgd.huber_loss, fastgd.grad_huber_loss):
            assert function(12, five_points, alpha=2) == function(12, five_points, delta=2)
        assert minimize(functools.partial(fastgd.huber_loss, alpha=2), None, five_points, progress=False) == minimize(
            Huber(2), None, five_points, progress=False)
        with pytest.raises(TypeError, match=r"huber_loss\(\).*delta=2, alpha=3"):
            fastgd.huber_loss(12, five_points, delta=2, alpha=3)

    @pytest.mark.parametrize("name", LOSSES)
    def test_y_vals_are_the_points(self, name, five_points):
        for function in (LOSSES[name], LOSSES[name].gradient):
            assert function(theta=0.5, y_vals=five_points) == function(0.5, five_points)
            assert function(0.5, y_vals=five_points) == function(0.5, dataset=five_points)
            with pytest.raises(TypeError, match=f"{function.__name__}.. got both 'dataset' and 'y_vals'"):
                function(0.5, five_points, y_vals=five_points)

    def test_the_words_of_a_wrong_call_name_the_loss(self, five_points):
        for call, words in (
                (lambda: fastgd.mse(), r"mse\(\) missing 2 required positional arguments: 'theta' and 'dataset'"),
                (lambda: fastgd.mse(1.0), r"mse\(\) missing 1 .*: 'dataset'"),
                (lambda: fastgd.grad_mse(dataset=five_points), r"grad_mse\(\) missing 1 .*: 'theta'"),
                (lambda: fastgd.mse(1.0, five_points, delta=2), r"mse\(\).* got delta=2"),
                (lambda: fastgd.mse(1.0, five_points, 2), r"mse\(\) .* got 2 beside"),
                (lambda: fastgd.pinball_loss(1.0, five_points, 0.2, q=0.3), r"pinball_loss\(\).* got 0.2, q=")):
            with pytest.raises(TypeError, match=words):
                call()

    def test_help_opens_with_the_call(self):
        text = pydoc.plain(pydoc.render_doc(fastgd.huber_loss))
        assert ("huber_loss(theta, dataset, delta=1.0, *, X=None, fit_intercept=False, sample_weight=None, "
                "n_threads=None)") in text
        assert text.index("huber_loss(theta") < text.index("Huber loss ``r**2")
        assert "-> 'None'" not in text

    def test_dir_shows_what_is_public(self):
        assert [name for name in dir(fastgd.huber_loss) if not name.startswith("__")] == [
            "curve", "delta", "gradient", "is_convex", "is_exact", "is_quadratic", "kinks", "link", "loss",
            "max_curvature", "max_stable_alpha", "parameters", "smoothed", "target_range"]
        assert [name for name in dir(fastgd.grad_mse) if not name.startswith("__")] == ["curve", "loss", "parameters"]

    def test_the_quartic_is_computed_in_the_textbooks_order(self):
        y = np.random.default_rng(0).normal(0, 15, 1000)
        for theta in (0.0, -9.9, 18.4):
            r = y - theta
            textbook = np.mean(1 / 5000 * (r + 12) * (r + 23) * (r - 14) * (r - 15) + 7)
            assert fastgd.quartic_loss(theta, y) == textbook


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", EXACT)
def test_same_bits_as_numpy(name, dtype):
    rng = np.random.default_rng(0)
    for n in SIZES:
        y = targets_for(name, rng, n, dtype)
        # A point itself is a theta too: the residual is 0, and the kinks are met.
        for theta in (0.0, float(rng.normal(15, 3)), float(y[0]), float(y[0]) + 1):
            for ours, numpys in twins(name):
                assert ours(theta, y) == float(numpys(theta, y)), (ours, n, theta)


@pytest.mark.parametrize("name", EXACT)
@pytest.mark.parametrize("dtype", DTYPES)
@settings(max_examples=200)
@given(data=st.data())
def test_same_bits_on_hostile_numbers(name, dtype, data):
    width = 32 if dtype is np.float32 else 64
    finite = st.floats(-2.0**100, 2.0**100, width=width)
    y = data.draw(npst.arrays(dtype, st.integers(1, 300), elements=finite))
    theta = data.draw(finite)
    smallest = 2.0**-60 if dtype is np.float32 else 2.0**-500
    r = np.abs(y - theta)
    with np.errstate(all="ignore"):
        for ours, numpys in twins(name):
            if ours == fastgd.huber_loss and ((r > 0) & (r < smallest)).any():
                continue  # r**2 underflows, and is not rounded as numpy rounds it
            np.testing.assert_equal(ours(theta, y), float(numpys(theta, y)))


@given(y=npst.arrays(np.float64, st.integers(1, 200), elements=st.floats(0, 1)), theta=st.floats(-800, 800))
def test_cross_entropy_agrees_with_numpy(y, theta):
    # Each of the terms is that accurate; where they cancel, their size is what counts.
    scale = abs(theta) + 1
    for ours, numpys in twins("cross_entropy"):
        assert ours(theta, y) == pytest.approx(numpys(theta, y), rel=1e-12, abs=1e-14 * scale)


@given(y=npst.arrays(np.float64, st.integers(1, 200), elements=st.floats(-1e3, 1e3)), theta=st.floats(-1e3, 1e3))
def test_log_cosh_agrees_with_numpy(y, theta):
    for ours, numpys in twins("log_cosh"):
        assert ours(theta, y) == pytest.approx(numpys(theta, y), rel=1e-12, abs=1e-14)


@pytest.mark.parametrize("name", INEXACT)
@pytest.mark.parametrize("theta", [-200.0, -30.0, -1.5, -0.25, 0.0, 0.25, 0.75, 1.5, 30.0, 200.0])
def test_in_float32_as_in_float64(name, theta):
    # exp overflows beyond 88 in float32.
    y = np.random.default_rng(0).random(1000).astype(np.float32)
    for ours, numpys in twins(name):
        expected = numpys(theta, y.astype(float))
        assert ours(theta, y) == pytest.approx(expected, rel=1e-5, abs=1e-6)
        assert ours(theta, y[:1]) == pytest.approx(numpys(theta, y[:1].astype(float)), rel=1e-5, abs=1e-6)


def test_log_cosh_keeps_its_digits_and_its_range():
    small = np.float32(1e-9)
    assert fastgd.log_cosh(0.0, np.array([small])) == pytest.approx(float(small) ** 2 / 2, rel=1e-5, abs=0)
    assert fastgd.log_cosh(0.0, np.array([1e38], np.float32)) == float(np.float32(1e38))
    assert fastgd.log_cosh(0.0, [1e-9]) == pytest.approx(5e-19, rel=1e-12, abs=0)
    assert fastgd.log_cosh(0.0, [1e300]) == 1e300
    assert fastgd.grad_log_cosh(0.0, [1e300]) == -1


@pytest.mark.parametrize(("theta", "loss", "slope"), [
    (800.0, 400.0, 0.5), (-800.0, 400.0, -0.5), (0.0, np.log(2), 0.0),
])
def test_cross_entropy_is_stable(theta, loss, slope):
    y = np.array([0.0, 1.0])
    assert fastgd.cross_entropy(theta, y) == pytest.approx(loss, rel=1e-12)
    assert fastgd.grad_cross_entropy(theta, y) == pytest.approx(slope, rel=1e-12, abs=1e-15)
    for ours, numpys in twins("cross_entropy"):
        assert ours(theta, y) == pytest.approx(numpys(theta, y), rel=1e-12, abs=1e-15)
    assert fastgd.cross_entropy(800.0, [1.0]) == 0.0


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", LOSSES)
def test_curve_has_the_bits_of_single_calls(name, dtype):
    rng = np.random.default_rng(4)
    for n in (1, 7, 100, 10_000):
        y = targets_for(name, rng, n, dtype)
        thetas = rng.normal(0, 3, 150)
        for function in (LOSSES[name], LOSSES[name].gradient):
            assert function.curve(thetas, y).tolist() == [function(theta, y) for theta in thetas]


@pytest.mark.parametrize("name", LOSSES)
def test_gradient_is_the_derivative(name):
    y = targets_for(name, np.random.default_rng(6), 50)
    loss, h = LOSSES[name], 1e-6
    for theta in (-3.2, 0.1, 14.37):
        slope = (loss(theta + h, y) - loss(theta - h, y)) / (2 * h)
        assert loss.gradient(theta, y) == pytest.approx(slope, rel=1e-5, abs=1e-7)


@pytest.mark.parametrize("dtype", DTYPES)
def test_slopes_at_the_kinks(dtype):
    points = np.array([1.0, 0.5, 1.5], dtype)
    for gradient, slopes in ((fastgd.grad_abs_loss, [0, 1, -1]), (fastgd.Pinball(0.25).gradient, [0, 0.75, -0.25]),
                             (fastgd.EpsilonInsensitive(0.5).gradient, [0, 0, 0]),
                             (fastgd.EpsilonInsensitive(0.25).gradient, [0, 1, -1]),
                             (Huber(0.5).gradient, [0, 0.5, -0.5])):
        assert [gradient(1.0, points[k:k + 1]) for k in range(3)] == slopes, gradient


@pytest.mark.parametrize("name", LOSSES)
def test_a_nan_among_the_predictions_stays_one(name):
    X, y = np.array([[1.0, 2.0], [3.0, 4.0]]), np.array([0.0, 1.0])
    assert np.isnan(LOSSES[name]([np.nan, 1.0], y, X=X))
    assert np.isnan(LOSSES[name].gradient([np.nan, 1.0], y, X=X)).all()


def test_a_subclass_shows_its_own_name():
    class Mine(Huber):
        pass

    assert repr(Mine()) == "Mine(delta=1.0)"
    assert Mine() != Huber()


def test_parameters_and_rows_go_together():
    X, y, theta = np.arange(8.0).reshape(4, 2), np.array([0.0, 5.0, 1.0, -3.0]), [1.0, -0.5]
    assert fastgd.huber_loss(theta, y, 2, X=X) == Huber(2)(theta, y, X=X) != fastgd.huber_loss(theta, y, X=X)
    assert np.array_equal(fastgd.grad_huber_loss(theta, y, delta=2, X=X), Huber(2).gradient(theta, y, X=X))


@pytest.mark.parametrize("delta", [0.3, 1, 2, 50])
@pytest.mark.parametrize("dtype", DTYPES)
def test_huber_takes_delta(delta, dtype):
    y = targets_for("huber_loss", np.random.default_rng(7), 1000, dtype)
    expected = float(reference.huber_loss(14.2, y, delta))
    slope = float(reference.grad_huber_loss(14.2, y, delta))
    assert fastgd.huber_loss(14.2, y, delta) == fastgd.huber_loss(14.2, y, delta=delta) == expected
    assert Huber(delta)(14.2, y) == Huber(delta=delta)(14.2, y) == expected
    assert functools.partial(fastgd.huber_loss, delta=delta)(14.2, y) == expected
    assert fastgd.grad_huber_loss(14.2, y, delta) == fastgd.grad_huber_loss(14.2, y, delta=delta) == slope
    assert Huber(delta).gradient(14.2, y) == slope
    assert str(inspect.signature(Huber(delta))) == (
        f"(theta, dataset, delta={float(delta)}, *, X=None, fit_intercept=False, sample_weight=None, n_threads=None)")
    assert inspect.signature(fastgd.grad_huber_loss).parameters["delta"].default == 1
    assert list(inspect.signature(Huber).parameters) == ["delta"]
    assert Huber(delta).delta == delta


@pytest.mark.parametrize("delta", [0, -1, np.nan, np.inf, "1", None, True, 1j])
def test_huber_refuses_a_bad_delta(delta):
    with pytest.raises((TypeError, ValueError), match="'delta' parameter"):
        Huber(delta)
    with pytest.raises((TypeError, ValueError), match="'delta' parameter"):
        fastgd.huber_loss(0, [1.0], delta=delta)


@pytest.mark.parametrize("value", [-0.5, np.nan, np.inf, "1", None])
def test_an_epsilon_or_q_out_of_range_is_refused(value):
    with pytest.raises((TypeError, ValueError), match="'epsilon' parameter"):
        fastgd.EpsilonInsensitive(value)
    with pytest.raises((TypeError, ValueError), match="'q' parameter"):
        fastgd.Pinball(value)
    assert fastgd.EpsilonInsensitive(0)(1.0, [3.0]) == 2
    for q in (0, 1, 1.5):
        with pytest.raises(ValueError, match="'q' parameter"):
            fastgd.Pinball(q)


class TestSmoothing:
    RESIDUALS = np.linspace(-9, 9, 3601)

    def along(self, loss):
        """The loss and its derivative in the residual."""
        return loss.curve(-self.RESIDUALS, [0.0]), -loss.gradient.curve(-self.RESIDUALS, [0.0])

    def test_each_kink_becomes_a_parabola(self):
        def s(t, h):
            return np.where(np.abs(t) <= h, t**2 / (2 * h) + h / 2, np.abs(t))

        r = self.RESIDUALS
        for h in (0.01, 0.5, 3.0, 8.0):
            assert self.along(fastgd.AbsoluteError(h))[0] == pytest.approx(s(r, h), abs=1e-14)
            for q in (0.1, 0.75):
                expected = (q - 0.5) * r + s(r, h) / 2
                assert self.along(Pinball(q, h))[0] == pytest.approx(expected, abs=1e-14)
            for epsilon in (0.0, 0.4, 3.0):
                expected = (s(r - epsilon, h) + s(r + epsilon, h)) / 2 - epsilon
                assert self.along(fastgd.EpsilonInsensitive(epsilon, h))[0] == pytest.approx(expected, abs=1e-14)

    @pytest.mark.parametrize(("loss", "h", "bound"), [
        (fastgd.abs_loss, 2.0, 1.0), (Pinball(0.1), 2.0, 0.5), (fastgd.EpsilonInsensitive(0), 2.0, 1.0),
        (fastgd.EpsilonInsensitive(0.125), 2.0, 1.0), (fastgd.EpsilonInsensitive(1), 2.0, 0.5),
        (fastgd.EpsilonInsensitive(5), 2.0, 0.5)], ids=repr)
    def test_lies_above_the_loss_by_the_bound_at_most(self, loss, h, bound):
        above = self.along(loss.smoothed(h))[0] - self.along(loss)[0]
        assert above.min() >= 0
        # Two kinks that are nearer than h share what is added.
        assert bound * (0.88 if loss.parameters.get("epsilon") == 0.125 else 1 - 1e-9) <= above.max()
        assert above.max() <= bound * (1 + 1e-15)

    @pytest.mark.parametrize("loss", [fastgd.abs_loss, Pinball(0.1), fastgd.EpsilonInsensitive(2)], ids=repr)
    def test_keeps_the_bits_where_no_kink_is_near(self, loss):
        for h in (1e-300, 1e-6, 0.5):
            far = np.all([np.abs(self.RESIDUALS - kink) >= h for kink, _ in loss.kinks], axis=0)
            assert far.sum() > 3000
            for smooth, sharp in zip(self.along(loss.smoothed(h)), self.along(loss), strict=True):
                assert np.array_equal(smooth[far], sharp[far])

    @pytest.mark.parametrize("dtype", DTYPES)
    @pytest.mark.parametrize("h", [5e-324, 1e-40, 1e-30])
    def test_becomes_the_loss_in_the_limit(self, h, dtype):
        y = np.array([1.0, 2.0, 4.0], dtype)
        for loss in (fastgd.abs_loss, Pinball(0.25), fastgd.EpsilonInsensitive(0.5), fastgd.EpsilonInsensitive(0)):
            smooth = loss.smoothed(h)
            for theta in (0.0, 1.75, 2.0, 3.0):
                assert smooth(theta, y) == pytest.approx(loss(theta, y))
                if theta != 2:
                    assert smooth.gradient(theta, y) == loss.gradient(theta, y)
        # At the kink itself the slope is the mean of both sides.
        assert Pinball(0.25, h).gradient(2.0, y[1:2]) == 0.25

    def test_smoothed_keeps_the_other_parameters(self):
        assert Pinball(0.9).smoothed(2) == Pinball(q=0.9, smoothing=2)
        assert fastgd.EpsilonInsensitive(3).smoothed(2) == fastgd.EpsilonInsensitive(3, smoothing=2)
        for loss in LOSSES.values():
            assert loss.smoothed(0) == loss
            assert (loss.smoothed(0.5) is loss) == (loss.kinks == ())
            assert loss.smoothed(0.5).kinks == ()

    def test_shows_itself_in_short(self):
        assert [repr(loss) for loss in (fastgd.AbsoluteError(), Pinball(0.5, 0), Pinball(0.9), Pinball(0.9, 1),
                                        Pinball(smoothing=1), fastgd.AbsoluteError(2))] == [
            "abs_loss", "pinball_loss", "Pinball(q=0.9)", "Pinball(q=0.9, smoothing=1.0)",
            "Pinball(q=0.5, smoothing=1.0)", "AbsoluteError(smoothing=2.0)"]
        assert str(inspect.signature(fastgd.abs_loss)) == (
            "(theta, dataset, smoothing=0.0, *, X=None, fit_intercept=False, sample_weight=None, n_threads=None)")

    def test_is_a_parameter_of_the_call(self, five_points):
        assert fastgd.abs_loss(14, five_points, smoothing=2) == fastgd.AbsoluteError(2)(14, five_points)
        assert fastgd.pinball_loss(14, five_points, smoothing=2) == Pinball(0.5, 2)(14, five_points)
        assert Pinball(0.9)(14, five_points, smoothing=2) == Pinball(0.9, 2)(14, five_points)
        assert fastgd.grad_pinball_loss(14, five_points, 0.9, 2) == Pinball(0.9, 2).gradient(14, five_points)

    def test_the_kernels_of_the_sharp_losses_stay(self):
        for loss in REGISTRY.values():
            assert type(loss.kernel) is loss._kernel_type

    @pytest.mark.parametrize("bad", [-1, -1e-9, np.nan, np.inf, "1", None, True])
    def test_a_bad_half_width_is_refused(self, bad):
        for make in (fastgd.AbsoluteError, Pinball, fastgd.EpsilonInsensitive):
            with pytest.raises((TypeError, ValueError), match="'smoothing' parameter"):
                make(smoothing=bad)
        with pytest.raises((TypeError, ValueError), match="'h' parameter"):
            fastgd.mse.smoothed(bad)

    @pytest.mark.parametrize("loss", [fastgd.abs_loss, Pinball(0.9), fastgd.EpsilonInsensitive(0.5)], ids=repr)
    def test_descent_takes_the_stable_rate(self, loss):
        X, y = rows(500)
        smooth = loss.smoothed(0.05)
        for options in ({}, {"X": X, "fit_intercept": True}):
            result = minimize(smooth, None, y, "auto", False, tol=1e-10, max_iter=10**6, full_output=True, **options)
            assert result.success
            assert smooth.gradient(result.x, y, **options) == pytest.approx(0, abs=1e-7)
        assert minimize(Pinball(0.9, 0.001), None, y, "auto", False, tol=1e-9,
                        max_iter=10**6) == pytest.approx(np.quantile(y, 0.9), abs=0.005)


def test_unknown_parameters_are_refused():
    for call in (lambda: fastgd.mse(0, [1.0], 3), lambda: fastgd.huber_loss(0, [1.0], width=3),
                 lambda: fastgd.huber_loss(0, [1.0], 1, delta=1)):
        with pytest.raises(TypeError):
            call()


@pytest.mark.parametrize("loss", [*LOSSES.values(), Huber(2.5)], ids=repr)
def test_losses_are_values(loss):
    for function in (loss, loss.gradient):
        for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
            copy = pickle.loads(pickle.dumps(function, protocol))
            assert copy == function
            assert hash(copy) == hash(function)
            assert copy(1.5, [1.0, 4.0]) == function(1.5, [1.0, 4.0])
        assert eval(repr(function), vars(fastgd)) == function
        assert copy_of.copy(function) is copy_of.deepcopy(function) is function
        assert isinstance(function, Loss if function is loss else Gradient)
    assert loss.gradient.loss is loss
    assert loss.gradient.__name__ == f"grad_{loss.__name__}"
    assert loss != loss.gradient
    assert repr(loss.gradient) in (f"grad_{loss!r}", f"{loss!r}.gradient")
    assert (repr(loss) == loss.__name__) == (loss in REGISTRY.values())
    assert sum(loss == other for other in [*LOSSES.values(), Huber(2.5)]) == 1
    assert Huber() == fastgd.huber_loss == Huber(1.0)
    for function in (loss, loss.gradient):
        with pytest.raises(AttributeError, match="'delta'"):
            function.delta = 5
        with pytest.raises(AttributeError):
            del function.kernel
    with pytest.raises(AttributeError, match="no attribute 'width'"):
        loss.width  # noqa: B018


@pytest.mark.parametrize("theta", [14, np.float32(14), np.int64(14), np.array(14.0), np.array([14.0])])
def test_theta_is_any_one_number(theta):
    y = np.array([12.0, 13, 17])
    result = fastgd.mse(theta, y)
    assert type(result) is float
    assert result == fastgd.mse(14.0, y)


@pytest.mark.parametrize("theta", ["14", None, [1.0, 2.0], 1j, True, {}, np.ma.masked])
def test_theta_is_not_something_else(theta):
    with pytest.raises(TypeError, match="theta"):
        fastgd.mse(theta, [1.0])


@pytest.mark.parametrize("name", LOSSES)
def test_what_numpy_says_of_a_theta_that_is_not_finite(name):
    y = np.array([0.25, 0.5])
    for theta in (np.nan, np.inf, -np.inf):
        for ours, numpys in twins(name):
            with np.errstate(all="ignore"):
                expected = float(numpys(theta, y))
            if name == "cross_entropy" and np.isinf(theta):
                continue  # inf - y * inf: numpy's formula has no value there
            np.testing.assert_equal(ours(theta, y), expected)


def test_overflow_is_numpys_and_not_an_error():
    y = np.array([1e200, -1e200])
    assert fastgd.mse(0, y) == np.inf
    y = np.array([1e308, -1e308, 1e308])
    assert fastgd.grad_mse(0, y) == reference.grad_mse(0, y)
    assert fastgd.huber_loss(0, np.array([1.7e308])) == 1.7e308
