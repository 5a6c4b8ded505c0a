import decimal
import fractions
import math
import re

import numpy as np
import pytest

import fastgd
from fastgd import ConvergenceWarning, check_gradient, minimize, minimize_mini_batch, minimize_sgd, reference
from fastgd._objective.finite_differences import DifferenceGradient
from fastgd.losses import REGISTRY

KINKED = ["abs_loss", "pinball_loss", "epsilon_insensitive"]


def data_for(name, scale=1.0):
    rng = np.random.default_rng(0)
    return rng.random(100) if name == "cross_entropy" else scale * rng.normal(15, 3, 100)


@pytest.mark.parametrize("name", REGISTRY)
class TestNoGradient:
    def test_is_the_loss_own(self, name):
        y, loss = data_for(name), REGISTRY[name]
        options = {"progress": False, "max_iter": 500, "full_output": True}
        with_it, without = (quietly(minimize, loss, gradient, y, 0.01, **options) for gradient in (loss.gradient, None))
        assert (with_it.x, with_it.nit) == (without.x, without.nit)

    def test_is_a_difference_for_python(self, name):
        y, loss = data_for(name), getattr(reference, name)
        for method, options in ((minimize, {"progress": False, "max_iter": 200}),
                                (minimize_sgd, {"rng": 0, "max_epochs": 2}),
                                (minimize_mini_batch, {"rng": 0, "max_epochs": 5, "minibatch_size": 10})):
            options = {"alpha": 0.001, "tol": 0, "full_output": True, **options}
            by_difference = quietly(method, loss, None, y, **options)
            exact = quietly(method, loss, getattr(reference, f"grad_{name}"), y, **options)
            assert by_difference.x == pytest.approx(exact.x, rel=1e-3 if name in KINKED else 1e-8)
            assert by_difference.nit == exact.nit


def quietly(method, *args, **options):
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return method(*args, **options)


@pytest.mark.parametrize("scale", [1e-9, 1.0, 1e9])
def test_the_step_follows_the_scale(scale):
    y = scale * data_for("mse")
    theta = minimize(reference.mse, None, y, progress=False, tol=1e-9 * scale)
    assert theta == pytest.approx(y.mean(), rel=1e-7)
    assert minimize(reference.mse, None, y.astype(np.float32), progress=False, tol=1e-3 * scale) == pytest.approx(
        y.mean(), rel=1e-2)


@pytest.mark.parametrize("y", [
    np.random.default_rng(0).normal(1e6, 1, 200), np.r_[np.random.default_rng(0).normal(0, 1, 99), 1e9],
    np.random.default_rng(0).normal(1e-8, 1e-9, 200)])
def test_the_step_follows_the_spread(y):
    scale = np.median(np.abs(y - np.median(y)))

    def log_cosh(theta, dataset):
        return reference.log_cosh(theta / scale, dataset / scale)

    theta = minimize(log_cosh, None, y, scale**2, progress=False, theta0=np.median(y) - scale, tol=1e-7 * scale)
    exact = minimize(fastgd.log_cosh, None, y / scale, progress=False, theta0=np.median(y) / scale, tol=1e-10)
    # One outlier of 1e9 makes a loss of 1e7, whose rounding alone leaves 2e-4 in a difference.
    assert theta / scale == pytest.approx(exact, abs=1e-3)


def step_by_all_points(y, theta):
    """The h of a difference, from the median and the median distance of all points."""
    eps = float(np.finfo(y.dtype).eps)
    center = float(np.median(y))
    distances = np.abs(y - y.dtype.type(center))
    spread = float(np.median(distances)) or float(distances.max()) or abs(center) or 1.0
    h = eps ** (1 / 3) * max(spread, abs(theta - center))
    return 2.0 ** math.ceil(math.log2(max(h, 64 * eps * abs(theta))))


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("n", [1, 2, 1000, 100_000, 2**17])
def test_the_step_is_that_of_all_points_up_to_a_hundred_thousand(n, dtype):
    for seed in range(20):
        rng = np.random.default_rng(seed)
        y = (2.0 ** rng.uniform(-20, 20) * rng.normal(rng.uniform(-5, 5), 1, n)).astype(dtype)
        difference = DifferenceGradient(reference.mse, y)
        for theta in (0.0, float(y[0]), -3e5):
            assert difference.step(theta) == step_by_all_points(y, theta)


@pytest.mark.parametrize("make", [
    lambda t: np.sin(t), lambda t: np.where(t % 2 == 0, 1e6, 1.0), lambda t: 1e9 * (t % 1000 == 0), lambda t: 0 * t + 3,
    lambda t: (t == t[-1]) * 5.0, lambda t: t])
def test_the_step_of_very_many_points_is_that_of_a_sample(make):
    y = np.asarray(make(np.arange(1_000_003)), dtype=np.float64)
    difference = DifferenceGradient(reference.mse, y)
    for theta in (0.0, 1e4):
        assert difference.step(theta) == step_by_all_points(y, theta)


def test_no_pass_over_very_many_points_is_long(monkeypatch):
    """Ctrl-C is answered between two calls of numpy: each looks at some of the points."""
    sizes = []

    def recorded(name):
        function = getattr(np, name)
        monkeypatch.setattr(np, name, lambda values, *args, **kwargs: sizes.append(np.size(values)) or function(
            values, *args, **kwargs))

    for name in ("median", "abs", "subtract"):
        recorded(name)
    DifferenceGradient(reference.mse, np.zeros(2**23))
    assert len(sizes) > 3
    assert max(sizes) <= 2**22


def test_each_update_costs_two_evaluations(five_points):
    calls = []

    def loss(theta, dataset):
        calls.append(theta)
        return reference.mse(theta, dataset)

    quietly(minimize, loss, None, five_points, progress=False, max_iter=7, tol=0)
    assert len(calls) == 14


@pytest.mark.parametrize("theta", [np.inf, -np.inf, 1.7e308, -1.7e308, np.nan])
def test_the_step_at_the_ends_of_the_doubles_is_a_number(theta):
    assert 0 < DifferenceGradient(reference.mse, np.array([0.0, 1.0, 5.0])).step(theta) < np.inf


def test_data_smaller_than_any_step():
    assert quietly(minimize, reference.mse, None, [0.0, 1e-320], progress=False, max_iter=3) == 0


def test_nothing_to_go_by(five_points):
    with pytest.raises(TypeError, match=r"'loss_fn'.*callable"):
        minimize(None, None, five_points, progress=False)


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
        for factor, word in ((-1, "sign"), (2, "too many")):
            check = check_gradient(fastgd.mse, lambda t, y, f=factor: f * fastgd.grad_mse(t, y), y)
            assert word in check.message

    @pytest.mark.parametrize(("factor", "words"), [
        (-1, "sign"), (2, "2 too many"), (0.5, "2 was forgotten"), (100, "mean was forgotten"),
        (-2, "sign.* 2 .*too many"), (3.5, r"3\.5 times"), (0, "0 everywhere")])
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
        with pytest.raises(ValueError, match="1 thetas"):
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
        got = r"array of shape \(2,\)" if isinstance(value, np.ndarray) else re.escape(f"{value!r} of type ")
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


@pytest.mark.parametrize("value", [1 + 2j, "1", b"1", None, np.ones(2), [1.0]])
def test_a_loss_that_is_no_number_is_named(value, five_points):
    for options in ({}, {"X": np.ones((5, 1))}):
        with pytest.raises(TypeError, match=r"^loss_fn.*one number"):
            minimize(lambda *arguments: value, None, five_points, progress=False, **options)


def test_a_gradient_that_is_nearly_right_is_not_said_to_agree(five_points):
    check = check_gradient(fastgd.mse, lambda theta, y: 1.01 * fastgd.grad_mse(theta, y), five_points)
    assert check.error == pytest.approx(0.0099, rel=0.01)
    assert "They agree" not in check.message
    assert "They agree" in check_gradient(fastgd.mse, fastgd.grad_mse, five_points).message


def test_a_mistake_that_is_no_factor_is_not_named_as_one(five_points):
    check = check_gradient(fastgd.mse, lambda theta, y: fastgd.grad_mse(theta, y) + theta, five_points)
    assert not re.search("times|twice|half|everywhere|mean", check.message)
    assert "sign" not in check.message


@pytest.mark.parametrize(("factor", "words"), [
    (5, "^((?!sign).)*mean was forgotten"), (-5, "sign.*mean was forgotten"), (-1, r"sign is wrong\.$"),
    (2, "twice"), (0.5, "half"), (-2, "sign.* 2 .*too many"), (-0.5, "sign.* 2 .*forgotten"), (3, " 3 times"),
    (0, " 0 everywhere")])
def test_each_known_mistake_is_named(factor, words, five_points):
    check = check_gradient(fastgd.mse, lambda theta, y: factor * fastgd.grad_mse(theta, y), five_points)
    assert re.search(words, check.message)


@pytest.mark.parametrize("name", [name for name in REGISTRY if name not in KINKED and name != "huber_loss"])
def test_no_theta_of_a_smooth_loss_is_skipped(name):
    assert check_gradient(REGISTRY[name], REGISTRY[name].gradient, data_for(name)).skipped == 0


def coarse_losses(y):
    """Losses of squares that are computed less finely than in float64, each by another way."""
    unit = 10.0 ** np.floor(np.log10(np.var(y))) * 1e-2
    return {
        "float32": lambda t, d: np.mean((d.astype("f4") - np.float32(t)) ** 2),
        "float32 inside": lambda t, d: float(np.mean((d.astype("f4") - np.float32(t)) ** 2)),
        "theta in float32": lambda t, d: np.mean((d - float(np.float32(t))) ** 2),
        "rounded": lambda t, d: np.round(np.mean((d - t) ** 2) / unit) * unit,
        "four digits": lambda t, d: float(f"{np.mean((d - t) ** 2):.4g}"),
    }


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("alpha", ["adaptive", 0.2])
@pytest.mark.filterwarnings("ignore::fastgd.ConvergenceWarning")
def test_a_loss_that_is_computed_coarsely_has_its_minimum_found(seed, alpha):
    rng = np.random.default_rng(seed)
    center, spread = 10 ** rng.uniform(-2, 5), 10 ** rng.uniform(-2, 3)
    y = center + spread * rng.normal(size=int(rng.integers(5, 200)))
    for loss in coarse_losses(y).values():
        found = minimize(loss, None, y, alpha, False, full_output=True, tol=1e-3 * spread, max_iter=2000)
        excess = reference.mse(found.x, y) / np.var(y)
        assert excess < 1.02 or not found.success


@pytest.mark.filterwarnings("ignore::fastgd.ConvergenceWarning")
@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_rows_of_a_coarse_loss(dtype):
    rng = np.random.default_rng(0)
    X = np.column_stack([np.ones(50), np.arange(50)])
    y = X @ [1000, 2.0] + rng.normal(0, 3, 50)

    def loss(theta, X, y):
        return np.mean((y.astype(dtype) - X.astype(dtype) @ theta.astype(dtype)) ** 2)

    found = minimize(loss, None, y, "adaptive", False, X=X, precondition="gram", full_output=True)
    assert found.x == pytest.approx(np.linalg.lstsq(X, y)[0], abs=0.05)


@pytest.mark.parametrize("loss", [lambda t, d: float(np.sum(d > t)), lambda t, d: 5.0, lambda t, d: int(abs(t))])
@pytest.mark.filterwarnings("ignore::fastgd.ConvergenceWarning")
def test_a_staircase_ends(loss):
    assert np.isfinite(float(minimize(loss, None, [1.0, 2.0, 3.0], "adaptive", False, full_output=True, max_iter=50)))


def test_kinks_are_no_noise():
    y = np.random.default_rng(0).normal(size=200)
    for name in ("abs_loss", "pinball_loss", "epsilon_insensitive"):
        loss = getattr(reference, name)
        gradient = DifferenceGradient(loss, y)
        for theta in np.linspace(-3, 3, 50).tolist():
            gradient(theta, y)
            assert gradient.components[0].rounding == 0


@pytest.mark.parametrize(("loss", "gradient"), [
    (lambda t, d: 1e16 + np.mean((d - t) ** 2), lambda t, d: 2 * np.mean(d - t)),
    (lambda t, d: 1e16 + np.mean((d - t) ** 2), lambda t, d: -2 * np.mean(d - t)),
    (lambda t, d: 5e10, lambda t, d: 1e-6), (lambda t, d: np.float32(1e9), lambda t, d: 1.0)])
def test_differences_below_the_rounding_of_the_loss_tell_nothing(loss, gradient):
    check = check_gradient(loss, gradient, [12.1, 12.8, 14.9])
    assert np.isnan(check.error)
    assert "cannot tell" in check.message
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


@pytest.mark.parametrize("offset", [1e8, 1e10])
@pytest.mark.parametrize("alpha", ["adaptive", 0.2])
def test_a_loss_with_a_large_constant_has_its_minimum_found(offset, alpha):
    y = 1000 + np.random.default_rng(0).normal(0, 3, 50)
    found = minimize(lambda t, d: offset + np.mean((d - t) ** 2), None, y, alpha, False, full_output=True)
    assert found.success
    assert found.x == pytest.approx(y.mean(), abs=0.02)


@pytest.mark.parametrize("alpha", ["adaptive", 0.2])
def test_a_plateau_is_no_minimum(alpha):
    y = 1000 + np.random.default_rng(0).normal(0, 3, 50)
    found = minimize(lambda t, d: int(np.mean((d - t) ** 2)), None, y, alpha, False, full_output=True)
    assert found.fun == 7    # the least


def test_a_loss_beyond_its_type_has_no_slope():
    y = 1000 + np.random.default_rng(0).normal(0, 3, 50)
    with np.errstate(over="ignore"):
        assert np.isnan(DifferenceGradient(lambda t, d: np.float16(np.mean((d - t) ** 2)), y)(0.0, y))


@pytest.mark.parametrize("digits", [0, 2])
def test_stochastic_descent_on_a_rounded_loss(digits):
    y = 100 + np.random.default_rng(0).normal(0, 3, 200)
    found = minimize_sgd(lambda t, d: round(float(np.mean((d - t) ** 2)), digits), None, y,
                         fastgd.schedules.inverse_scaling(0.5, 0.75), rng=0, stop="epoch", average=True, tol=0.05)
    assert found == pytest.approx(y.mean(), abs=0.5)


def test_a_coarse_loss_is_measured_a_few_times():
    """A loss that never changes near its minimum must not cost hundreds of evaluations an update."""
    y = -1e5 + np.random.default_rng(1).normal(15, 1, 50)
    for loss in coarse_losses(y).values():
        calls = []
        quietly(minimize, lambda t, d, loss=loss, calls=calls: calls.append(t) or loss(t, d), None, y, 0.2,
                progress=False, theta0=y.min(), tol=0, max_iter=200)
        assert len(calls) < 20 * 200


def test_components_of_unlike_columns_are_measured_each():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(60, 3)) * [1.0, 1e-4, 1e4]
    y = X @ [1.0, 2e4, 3e-4] + rng.normal(0, 0.1, 60)
    found = minimize(lambda theta, X, y: round(float(np.mean((y - X @ theta) ** 2)), 4), None, y, "adaptive", False,
                     X=X, precondition="gram", full_output=True)
    assert found.fun <= np.mean((y - X @ np.linalg.lstsq(X, y)[0]) ** 2) + 3e-4
    assert isinstance(found.x, np.ndarray)


@pytest.mark.parametrize("sign", [1, -1])
def test_a_gradient_is_checked_by_a_coarse_loss(sign):
    y = 1000 + np.random.default_rng(0).normal(0, 3, 50)
    for loss in coarse_losses(y).values():
        check = check_gradient(loss, lambda t, d: -2 * sign * np.mean(d - t), y)
        assert (check.error < 0.1) == (sign == 1)
