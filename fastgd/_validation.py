"""Validate the arguments of the public functions: numbers, counts and arrays, with scikit-learn's error messages."""
from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, NoReturn, TypeGuard

import numpy as np

from fastgd._frames import SLICE, as_numbers, described, is_pandas_series, refuse_mask, typed_value
from fastgd._kernels import mean
from fastgd._pairwise import MIN_THREADED_POINTS, PART_NUMBERS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from numpy.typing import NDArray

    from fastgd._thread_pool import ThreadPool
    from fastgd._types import DoubleArray, FloatArray

_FLOAT32 = np.dtype(np.float32)
_FLOAT64 = np.dtype(np.float64)
#: C names of the types for which the kernels are compiled.
C_NAMES = {_FLOAT32: "float", _FLOAT64: "double"}
_IS_FINITE = {dtype: mean.is_finite[name] for dtype, name in C_NAMES.items()}

#: Usual types of what a Python function returns.
_PLAIN_NUMBERS = frozenset((float, int, np.float64, np.float32))
_OF_NUMPY = np.generic, np.ndarray
#: Types whose values are in memory.
_IN_MEMORY = frozenset((type(None), np.ndarray, list, tuple))


def check_number(value: object, name: str, *, low: float, inclusive: bool = True, high: float = np.inf,
                 high_inclusive: bool = False) -> float:
    """Return `value` as a float if it is a finite real number from `low` (itself allowed if `inclusive`) to `high`."""
    number = value if type(value) is float else _real_number(value, name)
    if (number >= low if inclusive else number > low) and (number <= high if high_inclusive else number < high):
        return number
    interval = (f"{'[' if inclusive and low > -np.inf else '('}{low}, "
                f"{high}{']' if high_inclusive and high < np.inf else ')'}")
    finite = "finite " if high == np.inf else ""
    raise ValueError(f"The '{name}' parameter must be a {finite}float in the range {interval}. "
                     f"Got {described(value)} instead.")


def _real_number(value: Any, name: str) -> float:
    number = _as_float(value, "iuf")
    if number is None:
        raise TypeError(f"The '{name}' parameter must be a real number. Got {typed_value(value)}.")
    return number


def _as_float(value: Any, kinds: str) -> float | None:
    """Convert a real number of one of numpy's `kinds` to a float; infinity if too large; None for anything else."""
    try:
        if type(value) in _PLAIN_NUMBERS:
            return float(value)
        if isinstance(value, np.ma.MaskedArray):
            return None
        kind = "b" if isinstance(value, bool) else value.dtype.kind if isinstance(value, _OF_NUMPY) else "O"
        is_number = kind in kinds or (kind == "O" and hasattr(value, "__float__") and not isinstance(value, type))
        return float(value) if is_number and np.ndim(value) == 0 else None
    except OverflowError:
        return np.inf if value > 0 else -np.inf
    except (TypeError, ValueError):    # an object whose __float__ fails
        return None


def check_count(value: object, name: str) -> int:
    """Return `value` as an int if it is an integer of at least 1."""
    if type(value) is not int and not is_integer_of_numpy(value):
        raise TypeError(f"The '{name}' parameter must be an int. Got {typed_value(value)}.")
    if value < 1:
        raise ValueError(f"The '{name}' parameter must be an int in the range [1, inf). "
                         f"Got {described(value)} instead.")
    if value > sys.maxsize:
        raise ValueError(f"The '{name}' parameter must be an int of at most {sys.maxsize}.")
    return int(value)


def is_integer_of_numpy(value: object) -> TypeGuard[np.integer[Any]]:
    """Return True for numpy's integers, without durations, which numpy counts among them."""
    return isinstance(value, np.integer) and not isinstance(value, np.timedelta64)


def check_interval(value: Any, name: str) -> tuple[float, float]:
    """Return the pair `value` as two floats if they are finite and the first is below the second."""
    try:
        low, high = value
    except (TypeError, ValueError):
        raise ValueError(f"The '{name}' parameter must be a pair (low, high). "
                         f"Got {described(value)} instead.") from None
    low, high = (check_number(end, name, low=-np.inf, inclusive=False) for end in (low, high))
    if not low < high:
        raise ValueError(f"The '{name}' parameter must be a pair (low, high) with low < high. "
                         f"Got {described(value)} instead.")
    return low, high


def check_callable(value: Any, name: str) -> None:
    """Raise TypeError unless `value` can be called."""
    if not callable(value):
        raise TypeError(f"The '{name}' parameter must be callable. Got {typed_value(value)}.")


def real_number(value: Any, function: str, what: str) -> Any:
    """Return what the user's `function` returned, as a float unless it is numpy's; TypeError as in `one_number`."""
    if type(value) is float or type(value) is np.float64:
        return value
    number = one_number(value, function, what)
    return value if isinstance(value, _OF_NUMPY) else number


def one_number(value: Any, function: str, what: str) -> float:
    """Convert what the user's `function` returned to a float; TypeError unless it is one real number."""
    number = value if type(value) is float else _as_float(value, "biuf")
    if number is None:
        raise TypeError(f"{function} must return one number, the mean {what} over the points. "
                        f"Got {typed_value(value)}.")
    return number


def real_numbers(values: Any, name: str) -> NDArray[Any]:
    """Convert `values` to an array of real numbers of any shape, NaN and infinity included; else TypeError."""
    try:
        array = np.asarray(values)
    except ValueError:
        array = np.empty(0, dtype=object)
    if array.dtype.kind not in "iuf" or isinstance(values, np.ma.MaskedArray):
        raise TypeError(f"The '{name}' parameter must be real numbers. Got {typed_value(values)}.")
    return array


def check_shape(value: Any, shape: tuple[int, ...], function: str, what: str) -> DoubleArray:
    """Return what the user's `function` returned as a float64 array of this shape; TypeError if it is none."""
    try:
        array = np.asarray(value)
    except ValueError:    # a ragged list
        array = np.array(None)
    if array.shape != shape or array.dtype.kind not in "biuf":
        got = described(value) if array.ndim == 0 else f"an array of shape {array.shape} and dtype {array.dtype}"
        raise TypeError(f"{function} must return an array of shape {shape}, the mean {what} for each parameter. "
                        f"Got {got}.")
    return array.astype(np.float64, copy=False)


def is_dask(value: object) -> bool:
    """Return True for dask's collections, which `numpy.asarray` would compute."""
    return hasattr(type(value), "__dask_graph__")


def as_given(dataset: Any, targets: FloatArray) -> Any:
    """Return the points that a Python callable gets: the caller's own array or Series, else the checked array."""
    return dataset if type(dataset) is np.ndarray or is_pandas_series(dataset) else targets


def guarded(function: Callable[..., Any], role: str, dtype: Any) -> Callable[..., Any]:
    """Wrap a user's Python function so that theta is one of numpy's floats, as in the textbook's loop.

    An overflow makes the loss infinite, and the run diverges, although Python's floats raise OverflowError. A
    StopIteration becomes a RuntimeError, because it ends a run in a callback only.
    """
    is_double = np.dtype(dtype) == _FLOAT64    # with float32 data a Python float keeps their type

    def called(theta: Any, *args: Any, **kwargs: Any) -> Any:
        if is_double and type(theta) is float:
            theta = np.float64(theta)
        try:
            with np.errstate(all="ignore"):
                return function(theta, *args, **kwargs)
        except OverflowError:
            return np.inf if role == "loss_fn" else np.full(np.shape(theta), np.nan)[()]
        except StopIteration as error:
            place = described(theta) if np.ndim(theta) else f"{theta:g}"
            raise RuntimeError(f"{role} raised StopIteration at theta {place}. Only a callback ends a run "
                               "by it.") from error

    return called


def called_at(loss_fn: Callable[..., Any], thetas: Iterable[Any], points: Any) -> list[Any]:
    """Evaluate a Python loss at each theta; check that each value is one number."""
    return [real_number(loss_fn(theta, points), "loss_fn", "loss") for theta in thetas]


def check_dataset(values: Any, name: str = "dataset", threads: ThreadPool | None = None) -> FloatArray:
    """Return 1-D data as a contiguous float32 or float64 array of finite numbers; not a copy if it is one."""
    array = as_float_array(values, name)
    if not _IS_FINITE[array.dtype](array) if array.size <= SLICE else not _all_finite(array, threads):
        raise_not_finite(array, name)
    return array


def _all_finite(array: FloatArray, threads: ThreadPool | None = None) -> bool:
    """Return True if all numbers of a contiguous array are finite; the threads share its parts."""
    is_finite = _IS_FINITE[array.dtype]
    if array.size <= PART_NUMBERS:
        return is_finite(array.reshape(-1))
    share = map if threads is None or array.size <= MIN_THREADED_POINTS else threads.map
    return all(share(lambda part: is_finite(array[part].reshape(-1)), slices_of_rows(array, PART_NUMBERS)))


def as_double(array: FloatArray) -> DoubleArray:
    """Convert a checked array to float64, without a copy if it is one."""
    double: DoubleArray = array if array.dtype == _FLOAT64 else copied(array, _FLOAT64)    # type: ignore[assignment]
    return double


def raise_not_finite(array: FloatArray, name: str, advice: str | None = None) -> NoReturn:
    """Raise the ValueError for NaN or infinities in `array`: their number, the place of the first, and a remedy."""
    for is_bad, contains, kept, more in (
        (np.isnan, "NaN", f"{name}[~numpy.isnan({name})]", ", Series.dropna()"),
        (np.isinf, _infinity(array.dtype), f"{name}[numpy.isfinite({name})]", ""),
    ):
        count, first = 0, 0
        for start in range(0, array.size, SLICE):
            bad = is_bad(array[start:start + SLICE])
            if count == 0:
                first = start + int(bad.argmax())
            count += int(np.count_nonzero(bad))
        if count and array.size == 1:
            raise ValueError(f"Input {name} contains {contains}.")
        if count:
            drop = advice or f"Drop such values ({kept}{more}) or fill them."
            raise ValueError(f"Input {name} contains {contains}: {_count_text(count, array.size)}at position {first}. "
                             f"{drop}")
    raise ValueError(f"Input {name} was changed while it was read.")


def _infinity(dtype: np.dtype[Any]) -> str:
    return f"infinity or a value too large for dtype('{dtype}')"


def _count_text(count: int, size: int) -> str:
    return f"{count} of {size} values, {'the first ' if count > 1 else ''}"


def as_points(values: Any, name: str) -> FloatArray:
    """Convert as `as_float_array` does; a number is one point, as for textbook functions in stochastic descent."""
    if isinstance(values, (float, int, np.number, np.bool_)) and not isinstance(values, (complex, np.complexfloating)):
        values = np.atleast_1d(values)
    return as_float_array(values, name)


def as_float_array(values: Any, name: str) -> FloatArray:
    """Return 1-D data as a contiguous, aligned float32 or float64 array; NaN and infinity are not refused."""
    is_ready = (type(values) is np.ndarray and values.ndim == 1
                and (values.dtype is _FLOAT64 or values.dtype is _FLOAT32))
    array: FloatArray | None = values if is_ready else _floats_of_list(values)
    if array is None:
        array = _real_array(values, name)
    if array.size == 0:
        raise ValueError(f"Found array {name} with 0 sample(s) (shape=(0,)) while a minimum of 1 is required.")
    flags = array.flags
    if flags.c_contiguous and flags.aligned:
        return array
    return copied(array, array.dtype)


def _floats_of_list(values: Any) -> FloatArray | None:
    """Convert a list of floats, the small call, to an array; None for anything else."""
    if type(values) is not list or not values or type(values[0]) is not float:
        return None
    try:
        array = np.asarray(values)
    except ValueError:    # a ragged list
        return None
    return array if array.dtype is _FLOAT64 and array.ndim == 1 else None


def is_lazy(*values: Any) -> bool:
    """Return True if any of the values stands for data that are not in memory."""
    for value in values:
        kind = type(value)
        if kind not in _IN_MEMORY and (getattr(kind, "is_lazy", False) or is_dask(value)):
            return True
    return False


def refuse_lazy(values: Any, name: str) -> None:
    """Raise TypeError for data that are not in memory."""
    if is_lazy(values):
        compute = f"pass {name}.compute()" if is_dask(values) else "read it into an array"
        raise TypeError(f"Input {name} is a {type(values).__name__}, whose data are not in memory, and this needs them "
                        f"there. If they fit, {compute}; minimize, minimize_sgd, minimize_mini_batch, simple_minimize "
                        "and the losses take it as it is.")


def _real_array(values: Any, name: str, ndim: int = 1) -> FloatArray:
    """Return any array of real numbers with `ndim` axes as a float32 or float64 array in native byte order."""
    refuse_lazy(values, name)
    return _real(as_numbers(values, name, ndim)[0], name, ndim)


def _real(values: Any, name: str, ndim: int) -> FloatArray:
    """Convert values that are no frame to a float32 or float64 array of `ndim` axes."""
    try:
        array = np.asarray(values)
    except ValueError as error:
        raise ValueError(f"Input {name} should be a {ndim}d array of real numbers: {error}") from None
    kind = array.dtype.kind
    if kind == "c":
        raise ValueError(f"Complex data not supported: input {name} has dtype {array.dtype}.")
    if kind not in "biuf":
        raise TypeError(f"Input {name} should be a {ndim}d array of real numbers, got {_type_text(values, array)}. "
                        "Convert your data to numeric values explicitly instead.")
    if array.ndim != ndim:
        raise wrong_dimensions(array, name, ndim)
    dtype = _FLOAT32 if array.dtype.newbyteorder("=") == _FLOAT32 else _FLOAT64
    return array.view(np.ndarray) if array.dtype == dtype else copied(array, dtype)


def wrong_dimensions(array: NDArray[Any], name: str, ndim: int) -> ValueError:
    """Make the error for an array whose number of axes is not `ndim`."""
    if ndim == 1:
        return ValueError(f"Input {name} should be a 1d array, got an array of shape {array.shape} instead.")
    if array.ndim > 2:
        return ValueError(f"Found array with dim {array.ndim}. {name} expected <= 2.")
    return ValueError(
        f"Expected 2D array, got {array.ndim}D array instead: {name} has the shape {array.shape}. Reshape your data "
        "either using array.reshape(-1, 1) if your data has a single feature (a column of a frame as frame[[name]]) or "
        "array.reshape(1, -1) if it contains a single sample.")


def _type_text(values: object, array: NDArray[Any]) -> str:
    if array.ndim == 0:
        return f"an object of type {type(values).__name__}"
    if array.dtype.kind == "O":
        for place, value in enumerate(array.ravel().tolist()):
            if not isinstance(value, (int, float, np.number)):
                return f"an array of dtype object with {value!r} of type {type(value).__name__} at position {place}"
    return f"text of dtype {array.dtype}" if array.dtype.kind in "UST" else f"an array of dtype {array.dtype}"


def copied(array: NDArray[Any], dtype: np.dtype[Any]) -> FloatArray:
    """Copy to a new C-contiguous array, a slice at a time so that Ctrl-C is answered."""
    copy = np.empty(array.shape, dtype)
    with np.errstate(over="ignore"):  # a number too large for float64 becomes inf, which is refused by name
        for rows in slices_of_rows(array):
            copy[rows] = array[rows]
    return copy


def slices_of_rows(array: NDArray[Any], size: int = SLICE) -> list[slice]:
    """Split the first axis into slices of about `size` numbers."""
    rows = max(1, size // max(1, array[:1].size))
    return [slice(start, min(start + rows, len(array))) for start in range(0, len(array), rows)]


def check_design(X: Any, name: str = "X", threads: ThreadPool | None = None) -> tuple[FloatArray, list[str] | None]:
    """Return 2-D data as a C-contiguous float32 or float64 array of finite numbers, and the names of its columns.

    Such an array is not copied. The names are None unless X is a DataFrame.
    """
    refuse_lazy(X, name)
    if hasattr(X, "toarray") and hasattr(X, "nnz"):
        raise TypeError(f"Sparse data was passed for {name}, but dense data is required. "
                        "Use '.toarray()' to convert to a dense numpy array.")
    values, names = as_numbers(X, name, 2)
    array = _real(values, name, ndim=2)
    for count, what in zip(array.shape, ("sample", "feature"), strict=True):
        if count == 0:
            raise ValueError(f"Found array {name} with 0 {what}(s) (shape={array.shape}) while a minimum of 1 is "
                             "required.")
    if not (array.flags.c_contiguous and array.flags.aligned):
        array = copied(array, array.dtype)
    if not _all_finite(array, threads):
        _refuse_rows(array, names, name)
    return array, names


def _refuse_rows(array: FloatArray, names: list[str] | None, name: str) -> NoReturn:
    """Raise the ValueError for NaN or infinities in X: their column, their number, the first row and a remedy."""
    for is_bad, contains, keep in (
        (np.isnan, "NaN", f"{name}.notna().all(axis=1)" if names else f"~numpy.isnan({name}).any(axis=1)"),
        (np.isinf, _infinity(array.dtype), f"numpy.isfinite({name}).all(axis=1)"),
    ):
        counts = np.zeros(array.shape[1], dtype=np.intp)
        firsts = np.zeros(array.shape[1], dtype=np.intp)
        for rows in slices_of_rows(array):
            bad = is_bad(array[rows])
            here = bad.sum(axis=0)
            firsts = np.where((counts == 0) & (here > 0), rows.start + bad.argmax(axis=0), firsts)
            counts += here
        if counts.any():
            column, others = int(np.argmax(counts > 0)), int(np.count_nonzero(counts)) - 1
            also = f"; {others} more column{'s have' if others > 1 else ' has'} some too" if others else ""
            raise ValueError(
                f"Input {name} contains {contains} in column {(names[column] if names else column)!r}: "
                f"{_count_text(int(counts[column]), len(array))}in row {firsts[column]}{also}. "
                f"Keep the rows{' and their targets' if name == 'X' else ''} where {keep}, or fill the gaps.")
    raise ValueError(f"Input {name} was changed while it was read.")


def check_same_length(X: FloatArray, targets: FloatArray) -> None:
    """Raise ValueError unless there is one target a row."""
    if len(X) != len(targets):
        raise ValueError("Found input variables with inconsistent numbers of samples: "
                         f"[{len(X)}, {len(targets)}] (rows of X, points of dataset)")


def check_flag(value: object, name: str) -> bool:
    """Return `value` if it is True or False."""
    if value is False or value is True:
        return value
    if not isinstance(value, (bool, np.bool_)):
        raise TypeError(f"The '{name}' parameter must be True or False. Got {typed_value(value)}.")
    return bool(value)


def check_option(value: Any, name: str, allowed: tuple[str, ...], *more: str) -> str:
    """Return `value` if it is one of the `allowed` words; `more` lists for the message what else is allowed."""
    if not isinstance(value, str) or value not in allowed:
        *others, last = (*more, *(repr(word) for word in allowed))
        raise ValueError(f"The '{name}' parameter must be {', '.join(others)} or {last}. "
                         f"Got {described(value)} instead.")
    return str(value)


def check_weights(weights: Any, n: int) -> DoubleArray | None:
    """Check n sample weights: finite, at least 0, not all 0; return them in float64, or None if all are equal.

    ValueError for other weights.
    """
    if weights is None:
        return None
    array = as_weights(weights, n)
    most = array.max()
    if most == 0:
        raise ValueError(f"The 'sample_weight' parameter must have a number above 0. Got {n} zeros.")
    return None if array.min() == most else as_double(array)


def as_weights(weights: Any, n: int | None = None) -> FloatArray:
    """Check sample weights: finite, at least 0 and, if n is given, n of them; return them as a contiguous array."""
    name, advice = "sample_weight", "Drop these rows of dataset, X and sample_weight, or give them a weight of 0."
    refuse_mask(weights, name, advice)
    array = as_float_array(weights, name)
    if n is not None and array.size != n:
        raise ValueError(f"Found input variables with inconsistent numbers of samples: [{n}, {array.size}] (points of "
                         f"dataset, {name})")
    if not _all_finite(array):
        raise_not_finite(array, name, advice)
    least = array.min()
    if least < 0:
        raise ValueError(f"The '{name}' parameter must be numbers in the range [0, inf). Got {least:g} at position "
                         f"{int(array.argmin())}.")
    return array
