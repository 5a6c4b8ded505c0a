import functools
import inspect
import pickle

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

import fastgd
from fastgd import Huber, reference
from fastgd._kernels import losses as kernels
from fastgd.losses import REGISTRY, Gradient, Loss
from fastgd.losses.base import ours as compiled_form

# exp and its kin differ in the last bit from one library to the next.
INEXACT = ["cross_entropy", "log_cosh"]
EXACT = [name for name in REGISTRY if name not in INEXACT]
DTYPES = [np.float64, np.float32]
SIZES = [*range(1, 40), 63, 64, 65, 127, 128, 129, 135, 136, 137, 255, 256, 257, 1000, 4095, 4096, 4097, 4999, 5000]
# Up to 2.2 numpy sums in chunks of 8192, so that its bits differ above that size.
NUMPY_SUMS_IN_ONE_TREE = np.lib.NumpyVersion(np.__version__) >= "2.3.0"


def twins(name):
    """Each of a loss and its gradient with its numpy twin."""
    return [(REGISTRY[name], getattr(reference, name)),
            (REGISTRY[name].gradient, getattr(reference, f"grad_{name}"))]


def targets_for(name, rng, n, dtype=np.float64):
    if name == "cross_entropy":
        return rng.random(n).astype(dtype)
    return rng.normal(15, 3, n).astype(dtype)


def test_a_new_loss_is_complete():
    in_kernels = {name for name, kind in vars(kernels).items() if isinstance(kind, type)}
    registered = {type(loss.kernel).__name__ for loss in REGISTRY.values()} | {"CFunctions", "CFunctionsWithData"}
    assert in_kernels == registered, "list the new loss in fastgd.losses.REGISTRY"
    for name, loss in REGISTRY.items():
        assert loss.__name__ == name
        for function in (name, f"grad_{name}"):
            assert hasattr(reference, function), f"write fastgd.reference.{function}"
            assert function in fastgd.__all__, f"export fastgd.{function}"
        assert getattr(fastgd, name) == loss
        assert getattr(fastgd, f"grad_{name}") == loss.gradient
        assert name in type(loss).__doc__, f"name {name} in the docstring of {type(loss).__name__}"


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


@pytest.mark.skipif(not NUMPY_SUMS_IN_ONE_TREE, reason="numpy < 2.3 sums above 8192 points in another order")
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", EXACT)
@pytest.mark.parametrize("n", [8193, 100_003, 1_000_000, 2**22 + 9])
def test_same_bits_as_numpy_on_many_points(name, dtype, n):
    y = targets_for(name, np.random.default_rng(1), n, dtype)
    for ours, numpys in twins(name):
        assert ours(14.3, y) == float(numpys(14.3, y)), ours


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


def test_log_cosh_keeps_its_digits_and_its_range():
    assert fastgd.log_cosh(0.0, [1e-9]) == pytest.approx(5e-19, rel=1e-12)
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


def read_only(y):
    y = y.copy()
    y.flags.writeable = False
    return y


def unaligned(y):
    raw = np.empty(y.nbytes + 1, np.uint8)
    shifted = raw[1:].view(y.dtype)
    shifted[:] = y
    return shifted


LAYOUTS = {
    "Series": pd.Series,
    "column": lambda y: pd.DataFrame({"a": y, "b": y})["a"],
    "nullable Series": lambda y: pd.Series(y, dtype="Float32" if y.dtype == np.float32 else "Float64"),
    "strided": lambda y: np.repeat(y, 2)[::2],
    "reversed": lambda y: y[::-1].copy()[::-1],
    "read-only": read_only,
    "byte-swapped": lambda y: y.astype(y.dtype.newbyteorder()),
    "unaligned": unaligned,
    "Fortran row": lambda y: np.asfortranarray(np.stack([y, y]))[0],
}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("name", EXACT)
def test_same_bits_in_every_layout(name, layout, dtype):
    y = targets_for(name, np.random.default_rng(2), 999, dtype)
    laid_out = LAYOUTS[layout](y)
    for ours, numpys in twins(name):
        assert ours(14.2, laid_out) == float(numpys(14.2, y))
    assert np.array_equal(np.asarray(laid_out, dtype=dtype), y)


@pytest.mark.parametrize("kind", [
    np.int8, np.uint8, np.int16, np.int32, np.int64, np.uint64, bool, np.float16, np.longdouble])
@pytest.mark.parametrize("name", EXACT)
def test_other_numbers_become_float64(name, kind):
    y = np.random.default_rng(3).integers(0, 100, 500).astype(kind)
    for ours, numpys in twins(name):
        assert ours(14.2, y) == numpys(14.2, y.astype(np.float64))
        assert ours(14.2, y.astype(float).tolist()) == numpys(14.2, y.astype(np.float64))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", REGISTRY)
def test_curve_has_the_bits_of_single_calls(name, dtype):
    rng = np.random.default_rng(4)
    for n in (1, 7, 100, 10_000):
        y = targets_for(name, rng, n, dtype)
        thetas = rng.normal(0, 3, 150)
        for function in (REGISTRY[name], REGISTRY[name].gradient):
            assert function.curve(thetas, y).tolist() == [function(theta, y) for theta in thetas]


def test_curve_above_one_slice():
    y = np.random.default_rng(5).normal(15, 3, 2**22 + 1000)
    assert fastgd.mse.curve([1, 2], y).tolist() == [fastgd.mse(1, y), fastgd.mse(2, y)]


@pytest.mark.parametrize("name", REGISTRY)
def test_gradient_is_the_derivative(name):
    y = targets_for(name, np.random.default_rng(6), 50)
    loss, h = REGISTRY[name], 1e-6
    for theta in (-3.2, 0.1, 14.37):
        slope = (loss(theta + h, y) - loss(theta - h, y)) / (2 * h)
        assert loss.gradient(theta, y) == pytest.approx(slope, rel=1e-5, abs=1e-7)


@pytest.mark.parametrize("name", REGISTRY)
def test_max_stable_alpha_is_two_over_the_curvature(name):
    loss, h = REGISTRY[name], 1e-4
    thetas = np.linspace(-1000, 1000, 20_001)
    rise = loss.gradient.curve(thetas + h, [0]) - loss.gradient.curve(thetas - h, [0])
    curvature = np.max(np.abs(rise)) / (2 * h)
    if loss.max_stable_alpha is None:
        assert curvature > 1000
    else:
        assert 2 / curvature == pytest.approx(loss.max_stable_alpha, rel=1e-3)


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
        f"(theta, dataset, delta={float(delta)}, *, X=None, fit_intercept=False, n_threads=None)")
    assert inspect.signature(fastgd.grad_huber_loss).parameters["delta"].default == 1
    assert list(inspect.signature(Huber).parameters) == ["delta"]
    assert Huber(delta).delta == delta


@pytest.mark.parametrize("delta", [0, -1, np.nan, np.inf, "1", None, True, 1j])
def test_huber_refuses_a_bad_delta(delta):
    with pytest.raises((TypeError, ValueError), match="'delta' parameter"):
        Huber(delta)
    with pytest.raises((TypeError, ValueError), match="'delta' parameter"):
        fastgd.huber_loss(0, [1.0], delta=delta)


def test_unknown_parameters_are_refused():
    for call in (lambda: fastgd.mse(0, [1.0], 3), lambda: fastgd.huber_loss(0, [1.0], width=3),
                 lambda: fastgd.huber_loss(0, [1.0], 1, delta=1)):
        with pytest.raises(TypeError):
            call()


def test_compiled_form():
    assert compiled_form(functools.partial(fastgd.huber_loss, delta=2)) == Huber(2)
    assert compiled_form(functools.partial(fastgd.grad_huber_loss, delta=2)) == Huber(2).gradient
    assert compiled_form(functools.partial(functools.partial(fastgd.huber_loss, delta=3), delta=2)) == Huber(2)
    assert compiled_form(fastgd.mse) is fastgd.mse
    for python in (reference.mse, functools.partial(fastgd.huber_loss, 3.0), functools.partial(fastgd.mse, delta=1),
                   functools.partial(reference.huber_loss, delta=1), None, 3):
        assert compiled_form(python) is None


@pytest.mark.parametrize("loss", [*REGISTRY.values(), Huber(2.5)], ids=repr)
def test_losses_are_values(loss):
    for function in (loss, loss.gradient):
        for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
            copy = pickle.loads(pickle.dumps(function, protocol))
            assert copy == function
            assert hash(copy) == hash(function)
            assert copy(1.5, [1.0, 4.0]) == function(1.5, [1.0, 4.0])
        assert eval(repr(function), vars(fastgd)) == function
        assert isinstance(function, Loss if function is loss else Gradient)
    assert loss.gradient.loss is loss
    assert loss.gradient.__name__ == f"grad_{loss.__name__}"
    assert loss != loss.gradient
    assert sum(loss == other for other in [*REGISTRY.values(), Huber(2.5)]) == 1
    assert Huber() == fastgd.huber_loss == Huber(1.0)
    for function in (loss, loss.gradient):
        with pytest.raises(AttributeError, match="is a value"):
            function.delta = 5
        with pytest.raises(AttributeError):
            del function.kernel
    with pytest.raises(AttributeError, match="no attribute 'width'"):
        loss.width  # noqa: B018


def test_a_subclass_with_another_call_is_python():
    class Shifted(Huber):
        def __call__(self, theta, dataset):
            return -1.0

    result = fastgd.minimize(Shifted(), fastgd.grad_mse, [1.0, 2.0], progress=False, full_output=True)
    assert result.fun == -1.0


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


@pytest.mark.parametrize("name", REGISTRY)
def test_what_numpy_says_of_a_theta_that_is_not_finite(name):
    y = np.array([0.25, 0.5])
    for theta in (np.nan, np.inf, -np.inf):
        for ours, numpys in twins(name):
            with np.errstate(all="ignore"):
                expected = float(numpys(theta, y))
            if name == "cross_entropy" and np.isinf(theta):
                continue  # inf - y * inf: numpy's formula has no value there
            np.testing.assert_equal(ours(theta, y), expected)


@pytest.mark.parametrize("name", REGISTRY)
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("n", [1, 9, 200, 10_000])
def test_data_that_is_not_finite_is_refused(name, bad, n):
    y = np.full(n, 0.5)
    y[n // 2] = bad
    word = "contains NaN" if np.isnan(bad) else "contains infinity"
    for function in (REGISTRY[name], REGISTRY[name].gradient):
        with pytest.raises(ValueError, match=f"Input dataset {word}"):
            function(0.1, y)
        with pytest.raises(ValueError, match=f"Input dataset {word}"):
            function.curve([0.1, 0.2], y)


def test_overflow_is_numpys_and_not_an_error():
    y = np.array([1e200, -1e200])
    assert fastgd.mse(0, y) == np.inf
    y = np.array([1e308, -1e308, 1e308])
    assert fastgd.grad_mse(0, y) == reference.grad_mse(0, y)
    assert fastgd.huber_loss(0, np.array([1.7e308])) == 1.7e308
