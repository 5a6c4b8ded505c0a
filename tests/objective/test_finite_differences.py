import math

import numpy as np
import pytest
from helpers import KINKED, coarse_losses, data_for

import fastgd
from fastgd import ConvergenceWarning, minimize, minimize_mini_batch, minimize_sgd, reference
from fastgd._objective.finite_differences import DifferenceGradient
from fastgd.losses import REGISTRY


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
    with pytest.raises(TypeError, match="'loss_fn' parameter"):
        minimize(None, None, five_points, progress=False)


@pytest.mark.parametrize("value", [1 + 2j, "1", b"1", None, np.ones(2), [1.0]])
def test_a_loss_that_is_no_number_is_named(value, five_points):
    for options in ({}, {"X": np.ones((5, 1))}):
        with pytest.raises(TypeError, match=r"^loss_fn.*one number"):
            minimize(lambda *arguments: value, None, five_points, progress=False, **options)


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
