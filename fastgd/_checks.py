"""What the public functions accept: numbers, counts and 1-D data, refused in the words that scikit-learn uses."""
from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np

from fastgd._kernels import mean
from fastgd._limits import SLICE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    import pandas as pd
    from numpy.typing import NDArray

    from fastgd._types import DoubleArray, FloatArray

_FLOAT32 = np.dtype(np.float32)
_FLOAT64 = np.dtype(np.float64)
_IS_FINITE = {dtype: mean.is_finite[name] for dtype, name in ((_FLOAT32, "float"), (_FLOAT64, "double"))}



def check_number(value: object, name: str, *, low: float, inclusive: bool = True) -> float:
    """Return `value` as a float if it is a finite real number from `low` on (above it if not `inclusive`)."""
    number = value if type(value) is float else _real_number(value, name)
    if (number >= low if inclusive else number > low) and number < np.inf:
        return number
    interval = f"{'[' if inclusive and low > -np.inf else '('}{low}, inf)"
    raise ValueError(f"The '{name}' parameter must be a finite float in the range {interval}. Got {value!r} instead.")


def _real_number(value: Any, name: str) -> float:
    if type(value) is int:
        kind = "i"
    elif np.ndim(value) == 0 and not isinstance(value, np.ma.MaskedArray):
        kind = np.asarray(value).dtype.kind
    else:
        kind = "V"
    if kind in "iuf" or (kind == "O" and hasattr(value, "__float__")):
        try:
            return float(value)
        except OverflowError:
            return np.inf
    raise TypeError(f"The '{name}' parameter must be a real number. Got {value!r} of type {type(value).__name__}.")


def check_count(value: object, name: str) -> int:
    """Return `value` as an int if it is an integer of at least 1."""
    if type(value) is not int and not isinstance(value, np.integer):
        raise TypeError(f"The '{name}' parameter must be an int. Got {value!r} of type {type(value).__name__}.")
    if value < 1:
        raise ValueError(f"The '{name}' parameter must be an int in the range [1, inf). Got {value!r} instead.")
    if value > sys.maxsize:
        raise ValueError(f"The '{name}' parameter must be an int of at most {sys.maxsize}.")
    return int(value)


def check_interval(value: Any, name: str) -> tuple[float, float]:
    """Return the pair `value` as two floats if they are finite and the first is below the second."""
    try:
        low, high = value
    except (TypeError, ValueError):
        raise ValueError(f"The '{name}' parameter must be a pair (low, high). Got {value!r} instead.") from None
    low, high = (check_number(end, name, low=-np.inf, inclusive=False) for end in (low, high))
    if not low < high:
        raise ValueError(f"The '{name}' parameter must be a pair (low, high) with low < high. Got {value!r} instead.")
    return low, high


def check_callable(value: Any, name: str) -> None:
    """Raise TypeError unless `value` can be called."""
    if not callable(value):
        raise TypeError(f"The '{name}' parameter must be callable. Got {value!r} of type {type(value).__name__}.")


def check_one_number(value: Any, function: str, what: str) -> None:
    """Raise TypeError unless what the user's `function` returned is one number."""
    if np.ndim(value) != 0 or value is None:
        got = f"an array of shape {np.shape(value)}" if np.ndim(value) else repr(value)
        raise TypeError(f"{function} must return one number, the mean {what} over the points. Got {got}.")


def real_numbers(values: Any, name: str) -> NDArray[Any]:
    """`values` as an array of real numbers of any shape, whatever numbers are in it; TypeError if they are not."""
    try:
        array = np.asarray(values)
    except ValueError:
        array = np.empty(0, dtype=object)
    if array.dtype.kind not in "iuf" or isinstance(values, np.ma.MaskedArray):
        raise TypeError(f"The '{name}' parameter must be real numbers. Got {values!r} of type {type(values).__name__}.")
    return array


def check_shape(value: Any, shape: tuple[int, ...], function: str, what: str) -> DoubleArray:
    """Return what the user's `function` returned as a float64 array of this shape; TypeError if it is none."""
    array = np.asarray(value)
    if array.shape != shape or array.dtype.kind not in "biuf":
        got = repr(value) if array.ndim == 0 else f"an array of shape {array.shape} and dtype {array.dtype}"
        raise TypeError(f"{function} must return an array of shape {shape}, the mean {what} for each parameter. "
                        f"Got {got}.")
    return array.astype(np.float64, copy=False)


def as_given(dataset: Any, targets: FloatArray) -> Any:
    """The points as a Python callable gets them: the caller's own array or Series, else the checked array."""
    return dataset if type(dataset) is np.ndarray or hasattr(dataset, "iloc") else targets


def called_at(loss_fn: Callable[..., Any], thetas: Iterable[Any], points: Any) -> list[Any]:
    """A Python loss at each theta, each checked to be one number; in a list, as they came."""
    losses = [loss_fn(theta, points) for theta in thetas]
    for loss in losses:
        check_one_number(loss, "loss_fn", "loss")
    return losses


def check_dataset(values: Any, name: str = "dataset") -> FloatArray:
    """Return 1-D data as a contiguous float32 or float64 array of finite numbers; not a copy if it is one."""
    array = as_float_array(values, name)
    if not _IS_FINITE[array.dtype](array) if array.size <= SLICE else not _all_slices_finite(array):
        raise_not_finite(array, name)
    return array


def _all_slices_finite(array: FloatArray) -> bool:
    is_finite = _IS_FINITE[array.dtype]
    return all(is_finite(array[start:start + SLICE]) for start in range(0, array.size, SLICE))


def raise_not_finite(array: FloatArray, name: str) -> NoReturn:
    """Raise the ValueError that says whether `array` holds a NaN or an infinity."""
    if any(np.isnan(array[start:start + SLICE]).any() for start in range(0, array.size, SLICE)):
        raise ValueError(f"Input {name} contains NaN.")
    raise ValueError(f"Input {name} contains infinity or a value too large for dtype('{array.dtype}').")


def as_points(values: Any, name: str) -> FloatArray:
    """`as_float_array` that takes one number for one point, as textbook functions do in stochastic descent."""
    if isinstance(values, (float, int, np.number)) and not isinstance(values, (complex, np.complexfloating)):
        values = np.atleast_1d(values)
    return as_float_array(values, name)


def as_float_array(values: Any, name: str) -> FloatArray:
    """Return 1-D data as a contiguous, aligned float32 or float64 array, whatever numbers are in it."""
    is_ready = (type(values) is np.ndarray and values.ndim == 1
                and (values.dtype is _FLOAT64 or values.dtype is _FLOAT32))
    array: FloatArray = values if is_ready else _real_array(values, name)
    if array.size == 0:
        raise ValueError(f"Found array {name} with 0 sample(s) (shape=(0,)) while a minimum of 1 is required.")
    flags = array.flags
    if flags.c_contiguous and flags.aligned:
        return array
    return copied(array, array.dtype)


def _real_array(values: Any, name: str, ndim: int = 1) -> FloatArray:
    """Return any array of real numbers with `ndim` axes as a float32 or float64 array in native byte order."""
    if isinstance(values, np.ma.MaskedArray):
        raise TypeError(f"Input {name} is a masked array, whose mask would be lost; "
                        f"pass {f'{name}.compressed() or ' if ndim == 1 else ''}{name}.filled(value).")
    try:
        array = np.asarray(_without_missing(values))
    except ValueError as error:
        raise ValueError(f"Input {name} should be a {ndim}d array of real numbers: {error}") from None
    kind = array.dtype.kind
    if kind == "c":
        raise ValueError(f"Complex data not supported: input {name} has dtype {array.dtype}.")
    if kind not in "biuf":
        raise TypeError(f"Input {name} should be a {ndim}d array of real numbers, got {_described(values, array)}. "
                        "Convert your data to numeric values explicitly instead.")
    if array.ndim != ndim:
        raise _wrong_dimensions(array, name, ndim)
    dtype = _FLOAT32 if array.dtype.newbyteorder("=") == _FLOAT32 else _FLOAT64
    return array.view(np.ndarray) if array.dtype == dtype else copied(array, dtype)


def _wrong_dimensions(array: NDArray[Any], name: str, ndim: int) -> ValueError:
    if ndim == 1:
        return ValueError(f"Input {name} should be a 1d array, got an array of shape {array.shape} instead.")
    if array.ndim > 2:
        return ValueError(f"Found array with dim {array.ndim}. {name} expected <= 2.")
    return ValueError(
        f"Expected 2D array, got {array.ndim}D array instead:\n{name}={array}.\nReshape your data either using "
        "array.reshape(-1, 1) if your data has a single feature or array.reshape(1, -1) if it contains a single "
        "sample.")


def _without_missing(values: Any) -> Any:
    """A pandas column of a nullable or Arrow type as floats, its missing values as NaN; all else as it is."""
    dtype = getattr(values, "dtype", None)
    if dtype is None or isinstance(dtype, np.dtype) or getattr(dtype, "kind", "O") not in "biuf":
        return values
    return values.to_numpy(dtype=np.float32 if str(dtype).lower() == "float32" else np.float64, na_value=np.nan)


def _described(values: object, array: NDArray[Any]) -> str:
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
    """Slices of the first axis, each of about `size` numbers."""
    rows = max(1, size // max(1, array[:1].size))
    return [slice(start, start + rows) for start in range(0, len(array), rows)]


def check_design(X: Any, name: str = "X") -> tuple[FloatArray, list[str] | None]:
    """Return 2-D data as a C-contiguous float32 or float64 array of finite numbers, and the names of its columns.

    Not a copy if it is one; the names are None unless it is a DataFrame.
    """
    names = None
    if hasattr(X, "columns") and hasattr(X, "iloc"):
        names = [str(column) for column in X.columns]
        values = _frame_values(X, names, name)
    elif hasattr(X, "toarray") and hasattr(X, "nnz"):
        raise TypeError(f"Sparse data was passed for {name}, but dense data is required. "
                        "Use '.toarray()' to convert to a dense numpy array.")
    else:
        values = X
    array = _real_array(values, name, ndim=2)
    for count, what in zip(array.shape, ("sample", "feature"), strict=True):
        if count == 0:
            raise ValueError(f"Found array {name} with 0 {what}(s) (shape={array.shape}) while a minimum of 1 is "
                             "required.")
    if not (array.flags.c_contiguous and array.flags.aligned):
        array = copied(array, array.dtype)
    for rows in slices_of_rows(array):
        part = array[rows].reshape(-1)
        if not _IS_FINITE[array.dtype](part):
            _refuse_rows(array[rows], names, name)
    return array, names


def _frame_values(frame: pd.DataFrame, names: list[str], name: str) -> NDArray[Any]:
    """The numbers of a DataFrame in one array, missing ones as NaN."""
    for column, dtype in zip(names, frame.dtypes, strict=True):
        if getattr(dtype, "kind", "O") not in "biuf":
            raise TypeError(f"Input {name} should be a 2d array of real numbers, but its column {column!r} has the "
                            f"dtype {dtype}. Convert your data to numeric values explicitly instead.")
    single = len(names) > 0 and all(str(dtype).lower() == "float32" for dtype in frame.dtypes)
    dtype = _FLOAT32 if single else _FLOAT64
    if all(isinstance(dtype, np.dtype) for dtype in frame.dtypes):
        return frame.to_numpy(dtype=dtype)
    return frame.to_numpy(dtype=dtype, na_value=np.nan)


def _refuse_rows(rows: FloatArray, names: list[str] | None, name: str) -> NoReturn:
    """Raise the ValueError for rows that hold a NaN or an infinity."""
    is_nan = bool(np.isnan(rows).any())
    column = int(np.argmax((np.isnan(rows) if is_nan else np.isinf(rows)).any(axis=0)))
    where = f" in column {names[column]!r}" if names else ""
    raise ValueError(f"Input {name} contains NaN{where}." if is_nan else
                     f"Input {name} contains infinity or a value too large for dtype('{rows.dtype}'){where}.")


def check_same_length(X: FloatArray, targets: FloatArray) -> None:
    """Raise ValueError unless there is one target a row."""
    if len(X) != len(targets):
        raise ValueError("Found input variables with inconsistent numbers of samples: "
                         f"[{len(X)}, {len(targets)}] (rows of X, points of dataset)")


def check_flag(value: object, name: str) -> bool:
    """Return `value` if it is True or False."""
    if not isinstance(value, (bool, np.bool_)):
        raise TypeError(f"The '{name}' parameter must be True or False. Got {value!r} of type {type(value).__name__}.")
    return bool(value)
