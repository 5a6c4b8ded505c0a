"""Losses from C functions of numba, ctypes, scipy.LowLevelCallable or capsules: addresses and checked signatures."""
from __future__ import annotations

import ctypes
import re
from _ctypes import CFuncPtr
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn

import numpy as np

from fastgd._frames import typed_value
from fastgd._kernels import losses as kernels
from fastgd._validation import check_number
from fastgd.losses.base import Loss

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fastgd._types import Number

PLAIN = "double (double, double)"
WITH_DATA = "double (double, double, void *)"
_HOLDS_THE_GIL = 4    # ctypes' flag of a function that needs the interpreter's lock, which kernels do not hold

#: Evaluations of a C function at a point in one call of a kernel, after which Ctrl-C is answered: 0.1 s at 1.5 us each.
EVALUATIONS_OF_C = 2**16

_api = ctypes.pythonapi
_capsule_name = ctypes.PYFUNCTYPE(ctypes.c_char_p, ctypes.py_object)(("PyCapsule_GetName", _api))
_capsule_pointer = ctypes.PYFUNCTYPE(ctypes.c_void_p, ctypes.py_object, ctypes.c_char_p)(("PyCapsule_GetPointer", _api))
_capsule_context = ctypes.PYFUNCTYPE(ctypes.c_void_p, ctypes.py_object)(("PyCapsule_GetContext", _api))


class CFunction(NamedTuple):
    """Address of a C function, and the object that must live as long as it is called."""

    address: int
    takes_data: bool
    data: int | None    # address of user_data that the function carries
    name: str | None
    owner: Any


def c_function(function: Any, role: str, has_parameters: bool) -> CFunction:
    """Return the CFunction of the `value` or `slope` argument."""
    found = (_from_numba(function, role) or _from_ctypes(function, role) or _from_low_level_callable(function, role)
             or _from_capsule(function, role))
    if found is None:
        raise TypeError(f"The '{role}' parameter must be a numba cfunc, a ctypes function, a scipy.LowLevelCallable or "
                        f"a capsule of a C function '{WITH_DATA if has_parameters else PLAIN}'. Got {function!r} of "
                        f"type {type(function).__name__}.")
    if found.takes_data != has_parameters and not (found.takes_data and found.data is not None):
        raise _wrong_signature(role, WITH_DATA if found.takes_data else PLAIN, has_parameters)
    if has_parameters and found.data is not None:
        raise TypeError(f"The '{role}' function has user_data of its own. Give no parameters with it.")
    return found


def _wrong_signature(role: str, got: str, has_parameters: bool) -> TypeError:
    wanted, why = ((WITH_DATA, "its parameters come through the last argument") if has_parameters
                   else (PLAIN, "the arguments are prediction and target; a third, void *, goes with parameters"))
    return TypeError(f"The '{role}' function must have the signature '{wanted}': {why}. Got '{got}'.")


def _from_numba(function: Any, role: str) -> CFunction | None:
    if not (hasattr(function, "address") and hasattr(function, "ctypes") and hasattr(function, "native_name")):
        return None
    types = [str(kind) for kind in function._sig.args]
    if len(types) > 2 and types[2] not in ("float64*", "void*"):
        raise TypeError(f"The '{role}' function gets its parameters as float64: CPointer(float64). Got {types[2]}.")
    found = _from_ctypes(function.ctypes, role)
    return found and found._replace(address=function.address, name=getattr(function, "__name__", None), owner=function)


def _from_ctypes(function: Any, role: str) -> CFunction | None:
    if not isinstance(function, CFuncPtr):
        return None
    _refuse_callback(function, role)
    if function.argtypes is None:
        raise TypeError(f"The '{role}' function has no argtypes. Set them: "
                        "f.argtypes = [ctypes.c_double] * 2; f.restype = ctypes.c_double.")
    if type(function)._flags_ & _HOLDS_THE_GIL:
        raise TypeError(f"The '{role}' function needs the interpreter's lock. Make it by ctypes.CFUNCTYPE or CDLL.")
    result, *arguments = map(_c_name, [function.restype, *function.argtypes])
    got = f"{result} ({', '.join(arguments)})"
    if got not in (PLAIN, WITH_DATA):
        raise _wrong_signature(role, got, len(function.argtypes) > 2)
    address = ctypes.cast(function, ctypes.c_void_p).value
    if address is None:
        raise TypeError(f"The '{role}' function is a null pointer.")
    return CFunction(address, got == WITH_DATA, None, getattr(function, "__name__", None), function)


def _refuse_callback(function: Any, role: str) -> None:
    """Raise TypeError for a Python function in a ctypes callback: its exceptions, Ctrl-C included, would be lost."""
    # The callback keeps its function alive, or the array or structure does that the callback is part of.
    holder, kept = function, []
    while holder is not None:
        kept.append(holder._objects)
        holder = holder._b_base_
    while kept:
        value = kept.pop()
        if isinstance(value, dict):
            kept += value.values()
        elif type(value).__name__ == "CThunkObject":
            raise TypeError(f"The '{role}' function is a Python function in a ctypes callback. Pass the Python "
                            "function itself as loss_fn, or a function of a shared library.")


def _c_name(kind: Any) -> str:
    if kind is ctypes.c_double:
        return "double"
    if kind is ctypes.c_void_p or getattr(kind, "_type_", None) is ctypes.c_double:
        return "void *"
    return "void" if kind is None else getattr(kind, "__name__", str(kind)).removeprefix("c_")


def _from_low_level_callable(function: Any, role: str) -> CFunction | None:
    # It is a tuple whose first item is a capsule, named by the signature and with the user's data as its context.
    if not (isinstance(function, tuple) and hasattr(function, "user_data") and hasattr(function, "signature")):
        return None
    inner = getattr(function, "function", None)
    if isinstance(inner, CFuncPtr):
        _refuse_callback(inner, role)
    found = _from_capsule(tuple.__getitem__(function, 0), role)
    return found and found._replace(owner=function, name=getattr(inner, "__name__", None))


def _from_capsule(capsule: Any, role: str) -> CFunction | None:
    if type(capsule).__name__ != "PyCapsule":
        return None
    name = _capsule_name(capsule)
    got = (name or b"").decode(errors="replace")
    bare = re.sub(r"\s+", "", got)
    takes_data = bare in ("double(double,double,void*)", "double(double,double,double*)")
    if bare != "double(double,double)" and not takes_data:
        raise _wrong_signature(role, got or "a capsule without a name", got.count(",") > 1)
    return CFunction(_capsule_pointer(capsule, name), takes_data, _capsule_context(capsule), None, capsule)


class CompiledLoss(Loss):
    """Loss of C functions, made by `compiled`; it cannot be pickled, because addresses belong to one process.

    Examples
    --------
    See `compiled`, which makes one.

    >>> import ctypes, ctypes.util
    >>> from fastgd.losses import compiled
    >>> libm = ctypes.CDLL(ctypes.util.find_library("m"))
    >>> libm.fdim.restype, libm.fdim.argtypes = ctypes.c_double, [ctypes.c_double] * 2
    >>> compiled(libm.fdim, libm.fdim, name="excess")
    <compiled loss excess>
    """

    _functions: tuple[CFunction, CFunction]
    is_convex = False    # nothing is known of it
    at_once = EVALUATIONS_OF_C

    def __init__(self, value: CFunction, slope: CFunction, name: str, parameters: Mapping[str, float]) -> None:
        self._set(_functions=(value, slope), _name=name, _defaults=dict(parameters))
        addresses = value.address, slope.address
        kept_alive: list[object] = [value, slope]
        if not value.takes_data:
            self._set_up(name, kernels.CFunctions(*addresses, kept_alive), parameters)
            return
        data = np.array(list(parameters.values()), dtype=np.float64)
        kept_alive.append(data)
        value_data, slope_data = (data.ctypes.data if function.data is None else function.data
                                  for function in (value, slope))
        kernel = kernels.CFunctionsWithData(*addresses, value_data, slope_data, kept_alive)
        self._set_up(name, kernel, parameters)

    def _replace(self, changes: dict[str, Any]) -> CompiledLoss:
        return CompiledLoss(*self._functions, self._name, _check_parameters({**self._parameters, **changes}))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Loss):
            return NotImplemented
        return (isinstance(other, CompiledLoss) and type(self) is type(other) and self._functions == other._functions
                and self._defaults == other._defaults)

    def __hash__(self) -> int:
        return hash((*(function.address for function in self._functions), *self._defaults.items()))

    def __repr__(self) -> str:
        shown = [self._name, *(f"{name}={value!r}" for name, value in self._defaults.items())]
        return f"<compiled loss {', '.join(shown)}>"

    def __reduce__(self) -> NoReturn:
        raise TypeError(f"cannot pickle {self!r}: it holds addresses of this process")


#: Arguments of every loss, which no parameter may have the name of.
_ARGUMENTS = ("self", "theta", "dataset", "y_vals", "X", "fit_intercept", "sample_weight", "n_threads")


def compiled(value: object, slope: object, *, name: str | None = None, **parameters: Number) -> CompiledLoss:
    """Make a loss of your own from two C functions, at compiled speed.

    Parameters
    ----------
    value, slope : C function
        The loss at one point and its derivative in the prediction, ``double f(double prediction, double target)``:
        a numba ``@cfunc("float64(float64, float64)")``, a ctypes function of a shared library whose ``restype`` and
        ``argtypes`` are set, a `scipy.LowLevelCallable`, or a capsule named by its signature. It must not raise, and
        be thread-safe.
    name : str, optional
        Name of the loss; default: the name of `value`, if it has one.
    **parameters : float
        Numbers passed to the functions as a third argument ``void *``, an array of double in the order given here:
        ``double f(double prediction, double target, void *parameters)``. For numba:
        ``@cfunc("float64(float64, float64, CPointer(float64))")``. A LowLevelCallable may have its own data instead.

    Returns
    -------
    CompiledLoss
        A loss with a gradient, a curve, and compiled descents. It keeps alive the objects that it needs.

    Raises
    ------
    TypeError
        If a function is of another kind or has another signature; the message names the right one.

    Examples
    --------
    >>> import ctypes, ctypes.util
    >>> from fastgd.losses import compiled
    >>> c_double = ctypes.c_double
    >>> libm = ctypes.CDLL(ctypes.util.find_library("m"))
    >>> libm.fdim.restype, libm.fdim.argtypes = c_double, [c_double, c_double]
    >>> excess = compiled(libm.fdim, libm.fdim)    # max(prediction - target, 0), and no slope of it
    >>> excess(3.0, [1.0, 2.0, 5.0])
    1.0
    """
    of_value, of_slope = (c_function(function, role, bool(parameters)) for role, function in (
        ("value", value), ("slope", slope)))
    if not (name is None or isinstance(name, str)):
        raise TypeError(f"The 'name' parameter must be a str. Got {typed_value(name)}.")
    taken = [each for each in parameters if each in _ARGUMENTS]
    if taken:
        raise TypeError(f"The parameter {taken[0]!r} has the name of an argument of every loss "
                        f"({', '.join(_ARGUMENTS)}). Choose another name.")
    if of_value.takes_data != of_slope.takes_data:
        raise TypeError("The 'value' and 'slope' functions must have the same signature. Only one of them takes data.")
    return CompiledLoss(of_value, of_slope, name or of_value.name or "compiled", _check_parameters(parameters))


def _check_parameters(parameters: Mapping[str, Number]) -> dict[str, float]:
    return {name: check_number(number, name, low=-np.inf, inclusive=False) for name, number in parameters.items()}
