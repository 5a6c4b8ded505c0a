"""C functions from other tools: where they are, and whether they have the signature of a loss."""
from __future__ import annotations

import ctypes
import re
from _ctypes import CFuncPtr
from typing import Any, NamedTuple

PLAIN = "double (double, double)"
WITH_DATA = "double (double, double, void *)"
_HOLDS_THE_GIL = 4    # ctypes' flag of a function that needs the interpreter's lock, which our loops do not hold

_api = ctypes.pythonapi
_capsule_name = ctypes.PYFUNCTYPE(ctypes.c_char_p, ctypes.py_object)(("PyCapsule_GetName", _api))
_capsule_pointer = ctypes.PYFUNCTYPE(ctypes.c_void_p, ctypes.py_object, ctypes.c_char_p)(("PyCapsule_GetPointer", _api))
_capsule_context = ctypes.PYFUNCTYPE(ctypes.c_void_p, ctypes.py_object)(("PyCapsule_GetContext", _api))


class CFunction(NamedTuple):
    """A C function of a loss, and the object that must live as long as it is called."""

    address: int
    takes_data: bool
    data: int | None    # an address that the function brought along
    name: str | None
    owner: Any


def c_function(function: Any, role: str, has_parameters: bool) -> CFunction:
    """The CFunction for what the user gave as `value` or `slope`."""
    found = (_from_numba(function, role) or _from_ctypes(function, role) or _from_low_level_callable(function, role)
             or _from_capsule(function, role))
    if found is None:
        raise TypeError(f"The '{role}' parameter must be a numba cfunc, a ctypes function, a scipy.LowLevelCallable or "
                        f"a capsule of a C function {_wanted(has_parameters)}. Got {function!r} of type "
                        f"{type(function).__name__}.")
    if found.takes_data != has_parameters and not (found.takes_data and found.data is not None):
        raise _wrong(role, WITH_DATA if found.takes_data else PLAIN, has_parameters)
    if has_parameters and found.data is not None:
        raise TypeError(f"The '{role}' function brings its own user_data; give no parameters with it.")
    return found


def _wanted(has_parameters: bool) -> str:
    return f"'{WITH_DATA}'" if has_parameters else f"'{PLAIN}'"


def _wrong(role: str, got: str, has_parameters: bool) -> TypeError:
    why = ("its parameters come through the last argument" if has_parameters
           else "the arguments are prediction and target; a third, void *, goes with parameters")
    return TypeError(f"The '{role}' function must have the signature {_wanted(has_parameters)}: {why}. Got '{got}'.")


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
        raise TypeError(f"The '{role}' function has no argtypes: say what it takes and returns, "
                        "f.argtypes = [ctypes.c_double] * 2; f.restype = ctypes.c_double.")
    if type(function)._flags_ & _HOLDS_THE_GIL:
        raise TypeError(f"The '{role}' function needs the interpreter's lock; make it by ctypes.CFUNCTYPE or CDLL.")
    got = _signature([function.restype, *function.argtypes])
    if got not in (PLAIN, WITH_DATA):
        raise _wrong(role, got, len(function.argtypes) > 2)
    address = ctypes.cast(function, ctypes.c_void_p).value
    if address is None:
        raise TypeError(f"The '{role}' function is a null pointer.")
    return CFunction(address, got == WITH_DATA, None, getattr(function, "__name__", None), function)


def _refuse_callback(function: Any, role: str) -> None:
    """Raise TypeError for a Python function in a ctypes callback: what it raises, Ctrl-C included, would be lost."""
    # What it was made from is kept alive by it, or by the array or structure that it is part of.
    holder, kept = function, []
    while holder is not None:
        kept.append(holder._objects)
        holder = holder._b_base_
    while kept:
        value = kept.pop()
        if isinstance(value, dict):
            kept += value.values()
        elif type(value).__name__ == "CThunkObject":
            raise TypeError(f"The '{role}' function is a Python function in a ctypes callback: pass the Python "
                            "function itself as loss_fn, or a function of a shared library.")


def _signature(types: list[Any]) -> str:
    names = [_c_name(kind) for kind in types]
    return f"{names[0]} ({', '.join(names[1:])})"


def _c_name(kind: Any) -> str:
    if kind is ctypes.c_double:
        return "double"
    if kind is ctypes.c_void_p or getattr(kind, "_type_", None) is ctypes.c_double:
        return "void *"
    return "void" if kind is None else getattr(kind, "__name__", str(kind)).removeprefix("c_")


def _from_low_level_callable(function: Any, role: str) -> CFunction | None:
    # A tuple whose first item is a capsule named by the signature, with the user's data as its context.
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
        raise _wrong(role, got or "a capsule without a name", got.count(",") > 1)
    return CFunction(_capsule_pointer(capsule, name), takes_data, _capsule_context(capsule), None, capsule)
