"""Losses of the user's own from C functions: ctypes and capsules here, numba and scipy where they are installed."""
import copy
import ctypes
import ctypes.util
import gc
import math
import pickle
import warnings
import weakref

import numpy as np
import pytest

import fastgd
from fastgd import ConvergenceWarning, Huber, minimize, minimize_mini_batch, minimize_multistart, minimize_sgd
from fastgd.losses import CompiledLoss, compiled

PLAIN = ctypes.CFUNCTYPE(ctypes.c_double, ctypes.c_double, ctypes.c_double)
WITH_DATA = ctypes.CFUNCTYPE(ctypes.c_double, ctypes.c_double, ctypes.c_double, ctypes.c_void_p)


def huber_value(prediction, target, delta=1.0):
    a = abs(target - prediction)
    return a * a / 2 if a <= delta else delta * (a - delta / 2)


def huber_slope(prediction, target, delta=1.0):
    return min(max(prediction - target, -delta), delta)


def parameter(address):
    return ctypes.cast(address, ctypes.POINTER(ctypes.c_double))[0]


_callbacks = []    # must live as long as the process: an address keeps nothing alive


def at_address(kind, function):
    """A C function as one of a shared library is: an address. Behind it is Python, which spares us a C compiler."""
    callback = kind(function)
    _callbacks.append(callback)
    return kind(ctypes.cast(callback, ctypes.c_void_p).value)


def by_ctypes():
    return at_address(PLAIN, lambda p, t: huber_value(p, t)), at_address(PLAIN, lambda p, t: huber_slope(p, t))


def by_ctypes_with_data():
    return (at_address(WITH_DATA, lambda p, t, data: huber_value(p, t, parameter(data))),
            at_address(WITH_DATA, lambda p, t, data: huber_slope(p, t, parameter(data))))


_names = []    # a capsule holds the address of its name, and not the name


def capsule(function, signature):
    _names.append(signature)
    new = ctypes.PYFUNCTYPE(ctypes.py_object, ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p)(
        ("PyCapsule_New", ctypes.pythonapi))
    return new(ctypes.cast(function, ctypes.c_void_p), signature, None)


def by_numba():
    numba = pytest.importorskip("numba")

    @numba.cfunc("float64(float64, float64)")
    def value(prediction, target):
        a = abs(target - prediction)
        return a * a / 2 if a <= 1 else a - 0.5

    @numba.cfunc("float64(float64, float64)")
    def slope(prediction, target):
        return min(max(prediction - target, -1.0), 1.0)

    return value, slope


def by_low_level_callable():
    scipy = pytest.importorskip("scipy")
    return tuple(scipy.LowLevelCallable(function) for function in by_ctypes())


@pytest.mark.parametrize("make", [by_ctypes, by_numba, by_low_level_callable])
def test_is_a_loss_like_ours(make, pcttip):
    loss = compiled(*make(), name="my_huber")
    gc.collect()
    assert loss.__name__ == "my_huber"
    assert loss.gradient.__name__ == "grad_my_huber"
    assert isinstance(loss, fastgd.losses.Loss)
    for ours, theirs in ((fastgd.huber_loss, loss), (fastgd.grad_huber_loss, loss.gradient)):
        for theta in (0.0, 14.2, 15.5):
            assert theirs(theta, pcttip) == pytest.approx(ours(theta, pcttip), rel=1e-14)
        assert np.allclose(theirs.curve([1, 2, 3], pcttip), ours.curve([1, 2, 3], pcttip), rtol=1e-14)
    small = pcttip[:60]
    assert minimize(loss, loss.gradient, small, progress=False) == minimize(
        None, fastgd.grad_huber_loss, small, progress=False)
    assert minimize(loss, None, small.astype(np.float32), progress=False) == pytest.approx(
        minimize(None, fastgd.grad_huber_loss, small, progress=False), rel=1e-4)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        for run in (lambda f: minimize_sgd(f, f.gradient, small, rng=0),
                    lambda f: minimize_mini_batch(f, f.gradient, small, 7, rng=0)):
            assert run(loss) == run(fastgd.huber_loss)
    assert minimize_multistart(loss, loss.gradient, small, [10, 20]).x == minimize_multistart(
        fastgd.huber_loss, None, small, [10, 20]).x
    assert fastgd.simple_minimize(loss, small, [14, 15, 16]) == fastgd.simple_minimize(
        fastgd.huber_loss, small, [14, 15, 16])


@pytest.mark.parametrize("delta", [0.5, 2.0])
def test_parameters(delta):
    y = np.random.default_rng(0).normal(0, 3, 50)
    loss = compiled(*by_ctypes_with_data(), name="mine", delta=delta)
    gc.collect()
    assert loss.parameters == {"delta": delta}
    assert loss(0.3, y) == pytest.approx(Huber(delta)(0.3, y), rel=1e-14)
    assert loss(0.3, y, 3.0) == loss(0.3, y, delta=3) == pytest.approx(Huber(3)(0.3, y), rel=1e-14)
    assert loss.gradient(0.3, y, delta=3) == pytest.approx(Huber(3).gradient(0.3, y), rel=1e-14)
    assert repr(loss) == f"<compiled loss mine, delta={delta}>"
    for bad in (lambda: loss(0, y, 1, 2), lambda: loss(0, y, width=1), lambda: loss(0, y, "a")):
        with pytest.raises(TypeError):
            bad()


def test_parameters_keep_their_order():
    first_minus_second = at_address(
        WITH_DATA, lambda p, t, data: parameter(data) - ctypes.c_double.from_address(data + 8).value)
    loss = compiled(first_minus_second, first_minus_second, first=1, second=2)
    assert loss(0.0, [0.0]) == -1
    assert loss(0.0, [0.0], first=5, second=3) == loss(0.0, [0.0], second=3, first=5) == 2
    assert loss(0.0, [0.0], first=5) == 3


def test_capsules():
    value, slope = by_ctypes()
    loss = compiled(capsule(value, b"double (double, double)"), capsule(slope, b"double(double,double)"))
    assert loss(0.0, [3.0]) == 2.5
    value, slope = by_ctypes_with_data()
    for signature in (b"double (double, double, void *)", b"double (double, double, void*)",
                      b"double (double, double, double *)"):
        assert compiled(capsule(value, signature), capsule(slope, signature), delta=2)(0.0, [3.0]) == 4.0


def test_low_level_callable_with_its_own_data():
    scipy = pytest.importorskip("scipy")
    delta = ctypes.c_double(2.0)
    data = ctypes.cast(ctypes.pointer(delta), ctypes.c_void_p)
    value, slope = (scipy.LowLevelCallable(function, data) for function in by_ctypes_with_data())
    assert compiled(value, slope)(0.0, [3.0]) == 4.0
    with pytest.raises(TypeError, match=r"value.*slope.*data"):
        compiled(value, by_ctypes()[1])
    with pytest.raises(TypeError, match="user_data"):
        compiled(value, slope, delta=1.0)


def bad_ctypes(result, *arguments):
    return at_address(ctypes.CFUNCTYPE(result, *arguments), lambda *a: 0)


@pytest.mark.parametrize(("make", "parameters", "words"), [
    (lambda: bad_ctypes(ctypes.c_double, ctypes.c_double), {}, r"'double \(double, double\)'.* 'double \(double\)'"),
    (lambda: bad_ctypes(ctypes.c_int, ctypes.c_double, ctypes.c_double), {}, r"Got 'int \(double, double\)'"),
    (lambda: bad_ctypes(ctypes.c_double, ctypes.c_float, ctypes.c_double), {}, r"Got 'double \(float, double\)'"),
    (lambda: bad_ctypes(ctypes.c_double, *[ctypes.c_double] * 3), {}, r"Got 'double \(double, double, double\)'"),
    (lambda: by_ctypes_with_data()[0], {}, r"signature 'double \(double, double\)'"),
    (lambda: by_ctypes()[0], {"delta": 1}, r"signature 'double \(double, double, void \*\)'"),
    (lambda: at_address(ctypes.PYFUNCTYPE(ctypes.c_double, *[ctypes.c_double] * 2), huber_value), {},
     "interpreter's lock"),
    (lambda: ctypes.pythonapi.PyFloat_GetMax, {}, "no argtypes"),
    (lambda: capsule(by_ctypes()[0], b"int (int)"), {}, r"Got 'int \(int\)'"),
    (lambda: capsule(by_ctypes()[0], None), {}, "capsule without"),
    (lambda: huber_value, {}, "numba cfunc"), (lambda: None, {}, "numba cfunc"),
    (lambda: 3, {}, "numba cfunc"),
])
def test_wrong_signatures_are_shown_the_right_one(make, parameters, words):
    right = by_ctypes_with_data()[0] if parameters else by_ctypes()[0]
    for value, slope, role in ((make(), right, "value"), (right, make(), "slope")):
        with pytest.raises(TypeError, match=words) as caught:
            compiled(value, slope, **parameters)
        assert f"'{role}'" in str(caught.value)


def test_parameters_are_numbers():
    for bad in ("1", None, np.nan, [1.0]):
        with pytest.raises((TypeError, ValueError), match="'delta' parameter"):
            compiled(*by_ctypes_with_data(), delta=bad)


def test_names_that_are_taken_or_no_names():
    for name in ("self", "theta", "dataset", "y_vals", "X", "fit_intercept", "sample_weight", "n_threads"):
        with pytest.raises(TypeError, match=f"'{name}'"):
            compiled(*by_ctypes_with_data(), **{name: 2.0})
    with pytest.raises(TypeError, match="'name' parameter"):
        compiled(*by_ctypes(), name=5)


def test_parameters_are_an_array_of_double():
    with_floats = at_address(ctypes.CFUNCTYPE(
        ctypes.c_double, ctypes.c_double, ctypes.c_double, ctypes.POINTER(ctypes.c_float)), lambda *a: 0.0)
    with pytest.raises(TypeError, match="signature"):
        compiled(with_floats, with_floats, delta=1)
    numba = pytest.importorskip("numba")
    with_ints = numba.cfunc("float64(float64, float64, CPointer(int64))")(lambda p, t, c: p + t + c[0])
    with pytest.raises(TypeError, match=r"'value' function.*int64"):
        compiled(with_ints, with_ints, delta=1)


def test_equality_and_pickle():
    functions, others = by_ctypes_with_data(), by_ctypes_with_data()
    loss = compiled(*functions, delta=1)
    assert loss == compiled(*functions, delta=1.0)
    assert hash(loss) == hash(compiled(*functions, delta=1.0))
    assert loss not in (compiled(*functions, delta=2), compiled(*others, delta=1), fastgd.mse)
    assert isinstance(loss, CompiledLoss)
    assert copy.copy(loss) is copy.deepcopy(loss) is loss
    with pytest.raises(TypeError, match="cannot pickle"):
        pickle.dumps(loss)


def test_a_null_pointer_is_no_function():
    null = ctypes.CFUNCTYPE(ctypes.c_double, ctypes.c_double, ctypes.c_double)(0)
    with pytest.raises(TypeError, match=r"'value' function.*null pointer"):
        compiled(null, null)


class Holder(ctypes.Structure):
    _fields_ = [("function", PLAIN)]


@pytest.mark.parametrize("wrapped", [
    lambda callback: callback, lambda callback: ctypes.cast(callback, PLAIN),
    lambda callback: (PLAIN * 2)(callback, callback)[1], lambda callback: Holder(callback).function,
    lambda callback: (Holder * 2)(Holder(callback), Holder(callback))[1].function,
    lambda callback: pytest.importorskip("scipy").LowLevelCallable(callback)],
    ids=["itself", "cast", "of an array", "of a structure", "of structures in an array", "LowLevelCallable"])
def test_a_python_function_in_a_callback_is_refused(wrapped):
    """What it raises would be printed and lost, and the slope taken for 0."""
    def never_called(*_):
        raise AssertionError

    callback, right = wrapped(PLAIN(never_called)), by_ctypes()[0]
    for role, functions in (("value", (callback, right)), ("slope", (right, callback))):
        with pytest.raises(TypeError, match=f"'{role}' function.*ctypes callback.*loss_fn"):
            compiled(*functions)


def test_a_python_function_in_a_callback_of_another_signature_is_refused_for_what_it_is():
    callback = ctypes.CFUNCTYPE(ctypes.c_int)(lambda: 0)
    with pytest.raises(TypeError, match="ctypes callback"):
        compiled(callback, callback)


def test_functions_of_a_shared_library():
    name = ctypes.util.find_library("m")
    if name is None:
        pytest.skip("no libm")
    library = ctypes.CDLL(name)
    library.fdim.restype, library.fdim.argtypes = ctypes.c_double, [ctypes.c_double] * 2
    for function in (library.fdim, PLAIN(("fdim", library)), ctypes.cast(library.fdim, PLAIN)):
        assert compiled(function, function)(3.0, [1.0, 2.0, 5.0]) == 1.0


def test_the_functions_live_as_long_as_the_loss():
    class Function(PLAIN):
        _flags_, _restype_, _argtypes_ = PLAIN._flags_, PLAIN._restype_, PLAIN._argtypes_

    value, slope = (Function(ctypes.cast(function, ctypes.c_void_p).value) for function in by_ctypes())
    alive = [weakref.ref(value), weakref.ref(slope)]
    loss = compiled(value, slope)
    del value, slope
    gc.collect()
    assert all(function() is not None for function in alive)
    assert loss.gradient(3.0, [1.0]) == 1.0


def test_nothing_is_promised_of_such_a_loss():
    loss = compiled(*by_ctypes())
    assert (loss.is_convex, loss.is_quadratic, loss.max_curvature, loss.max_stable_alpha, loss.kinks) == (
        False, False, math.inf, None, ())
    assert loss.smoothed(1) is loss


def test_prediction_comes_first_and_target_second():
    loss = compiled(at_address(PLAIN, lambda p, t: 10 * p + t), at_address(PLAIN, lambda p, t: p - 3 * t))
    assert (loss(2.0, [5.0]), loss.gradient(2.0, [5.0])) == (25.0, -13.0)


def test_prediction_comes_first_and_target_second_and_the_data_last():
    functions = (at_address(WITH_DATA, lambda p, t, data: 10 * p + t + parameter(data)),
                 at_address(WITH_DATA, lambda p, t, data: p - 3 * t + parameter(data)))
    loss = compiled(*functions, offset=100.0)
    assert (loss(2.0, [5.0]), loss.gradient(2.0, [5.0])) == (125.0, 87.0)


def test_value_and_slope_may_bring_data_of_their_own():
    scipy = pytest.importorskip("scipy")
    numbers = [np.array([100.0]), np.array([200.0])]
    value, slope = (
        scipy.LowLevelCallable(at_address(WITH_DATA, function), ctypes.c_void_p(number.ctypes.data))
        for function, number in zip((lambda p, t, data: 10 * p + t + parameter(data),
                                     lambda p, t, data: p - 3 * t + parameter(data)), numbers, strict=True))
    loss = compiled(value, slope)
    assert (loss(2.0, [5.0]), loss.gradient(2.0, [5.0])) == (125.0, 187.0)


class TestBeyondPlainDescent:
    """Of a C function nothing is known but its value and slope."""

    @staticmethod
    def losses():
        return compiled(*by_ctypes()), Huber(1.0)

    def test_is_weighted(self):
        y, w = np.random.default_rng(0).normal(size=50), np.random.default_rng(1).random(50)
        X = np.random.default_rng(2).normal(size=(50, 2))
        mine, known = self.losses()
        for options in ({}, {"X": X}):
            theta = 0.3 if not options else [0.3, -1.0]
            assert mine(theta, y, sample_weight=w, **options) == pytest.approx(
                known(theta, y, sample_weight=w, **options), rel=1e-12)
            assert mine.gradient(theta, y, sample_weight=w, **options) == pytest.approx(
                known.gradient(theta, y, sample_weight=w, **options), rel=1e-12)

    @pytest.mark.parametrize("options", [
        {"alpha": 1.0, "precondition": "gram"}, {"alpha": 1.0, "precondition": "gram", "momentum": "nesterov"},
        {"alpha": "adaptive", "precondition": "gram"}, {"alpha": "adaptive", "precondition": "scale"},
        {"alpha": "adaptive"}])
    def test_arrives_where_the_known_loss_does(self, options):
        """A rate of 1 in the metric is that of a curvature of 1, which Huber's is."""
        rng = np.random.default_rng(0)
        X = rng.normal(size=(60, 2)) * [1, 50] + 3
        y, w = X @ [1, 0.1] + rng.normal(size=60), rng.random(60)
        mine, known = self.losses()
        for weights in (None, w):
            found = [minimize(loss, None, y, progress=False, X=X, fit_intercept=True, tol=1e-9, sample_weight=weights,
                              full_output=True, **options) for loss in (mine, known)]
            assert found[0].success
            # Without a metric columns of unlike units leave a short step 1e-5 from the minimum.
            assert found[0].x == pytest.approx(found[1].x, abs=1e-5 if "precondition" in options else 1e-4)

    def test_of_one_number_adapts(self):
        y, w = np.random.default_rng(0).normal(15, 3, 50), np.random.default_rng(1).random(50)
        mine, known = self.losses()
        for weights in (None, w):
            found = [minimize(loss, None, y, "adaptive", False, tol=1e-10, sample_weight=weights, full_output=True)
                     for loss in (mine, known)]
            assert found[0].success
            assert found[0].x == pytest.approx(found[1].x, abs=1e-9)
            assert found[0].nit < 40

    def test_auto_is_refused_in_a_metric_too(self):
        mine = self.losses()[0]
        for precondition in ("scale", "gram"):
            with pytest.raises(ValueError, match=r"alpha='auto'.*bounded curvature"):
                minimize(mine, None, [1.0, 2.0], "auto", X=[[1.0], [2.0]], precondition=precondition)
