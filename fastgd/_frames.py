"""Convert frames and series of any library to arrays of numbers, and refuse columns of other types with advice.

narwhals reads frames of pandas, polars, pyarrow, modin and others; it is imported for the first frame.
"""
from __future__ import annotations

import datetime
import sys
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    import narwhals as nw
    from numpy.typing import NDArray

_FLOAT32 = np.dtype(np.float32)
_FLOAT64 = np.dtype(np.float64)

#: Numbers that are checked, copied or reduced at once, in 4 ms.
SLICE = 2**22
#: Types that numpy reads itself, none of them a frame.
_PLAIN = np.ndarray, np.generic, list, tuple, range, float, int, str, bytes, dict, set, frozenset
#: Types that some conversions to float accept although they are no numbers; a pandas Timestamp is a datetime.
_TEXT_OR_TIME = str, bytes, datetime.date, datetime.time, datetime.timedelta, np.datetime64, np.timedelta64
#: Most characters and items of a value in a message; a longer value is described by type and size.
_LONGEST_SHOWN, _MOST_ITEMS_SHOWN = 100, 8


def described(value: object) -> str:
    """Describe a value in a message: by its repr if that is short, an array or frame by type and shape."""
    kind = type(value).__name__
    article = "an" if kind[:1].lower() in "aeiou" else "a"
    shape = getattr(value, "shape", None)
    if isinstance(shape, tuple) and shape:
        dtype = getattr(value, "dtype", None)
        kind = "an array" if isinstance(value, np.ndarray) else f"{article} {kind}"
        return f"{kind} of shape {shape}{'' if dtype is None else f' and dtype {dtype}'}"
    if isinstance(value, (list, tuple, set, frozenset, dict)) and len(value) > _MOST_ITEMS_SHOWN:
        return f"{article} {kind} of {len(value)} items"
    text = repr(value)
    return text if len(text) <= _LONGEST_SHOWN and "\n" not in text else f"{article} {kind}"


def typed_value(value: object) -> str:
    """Describe a value in a message, with its type."""
    text = described(value)
    return f"{text} of type {type(value).__name__}" if text == repr(value) else text


def frame_of(value: Any, name: str) -> nw.DataFrame[Any] | nw.Series[Any] | None:
    """Wrap an eager frame or series of any library; None for other objects, TypeError for a lazy frame."""
    if value is None or isinstance(value, _PLAIN):
        return None
    import narwhals as nw

    pandas = sys.modules.get("pandas")
    if pandas is not None and isinstance(value, pandas.DataFrame):
        names = value.columns
        if not names.is_unique or not all(type(each) is str for each in names):
            # narwhals refuses such labels or compares them as text; names are taken from the frame itself.
            value = value.copy(deep=False)
            value.columns = [str(k) for k in range(len(names))]
    elif pandas is not None and isinstance(value, (pandas.api.extensions.ExtensionArray, pandas.Index)):
        value = pandas.Series(value)
    else:
        value = of_arrow(value)
    found: Any = nw.from_native(value, allow_series=True, pass_through=True)
    if isinstance(found, nw.LazyFrame):
        raise TypeError(f"Input {name} is {described(value)} whose rows are not collected. Pass {name}.collect(), or "
                        "read files larger than memory by fastgd.open_parquet.")
    return found if isinstance(found, (nw.DataFrame, nw.Series)) else None


def of_arrow(value: Any) -> Any:
    """Wrap an Arrow array or record batch for narwhals; return other objects unchanged."""
    arrow = sys.modules.get("pyarrow")
    if arrow is not None and isinstance(value, arrow.RecordBatch):
        return arrow.Table.from_batches([value])
    return arrow.chunked_array([value]) if arrow is not None and isinstance(value, arrow.Array) else value


def column_names(value: Any, frame: nw.DataFrame[Any]) -> list[str]:
    """Return the names of the columns of a frame, as text."""
    pandas = sys.modules.get("pandas")
    names = value.columns if pandas is not None and isinstance(value, pandas.DataFrame) else frame.columns
    return [str(each) for each in names]


def column_index(value: Any) -> Any:
    """Return the columns of a pandas frame, an Index of any labels; None for other objects."""
    pandas = sys.modules.get("pandas")
    if value is None or isinstance(value, _PLAIN):
        return None
    if pandas is not None and isinstance(value, pandas.DataFrame):
        return value.columns
    import narwhals as nw

    return value.columns if nw.dependencies.is_pandas_like_dataframe(value) else None


def is_pandas_series(value: Any) -> bool:
    """True for a Series of pandas or of a library with the same methods."""
    pandas = sys.modules.get("pandas")
    if value is None or isinstance(value, _PLAIN):
        return False
    if pandas is not None and isinstance(value, pandas.Series):
        return True
    import narwhals as nw

    return nw.dependencies.is_pandas_like_series(value)


def as_numbers(value: Any, name: str, ndim: int) -> tuple[Any, list[str] | None]:
    """Convert a frame or series to an array of numbers; the second item is the names of a frame's columns.

    Lists become arrays, other objects are returned unchanged. TypeError or ValueError, with the name of the column, for
    a mask, a lazy frame, text, categories, dates or missing values.
    """
    instead = f"{name}.compressed(), with the rows of X that belong to it, or " if ndim == 1 else ""
    refuse_mask(value, name, f"Pass {instead}{name}.filled(value).")
    numbers, columns = _of_pandas(value)
    if numbers is not None and numbers.ndim == ndim:
        return numbers, columns
    frame = frame_of(value, name)
    if frame is None:
        return _plain(value, name, ndim), None
    import narwhals as nw

    if isinstance(frame, nw.Series):
        return _numbers_of_column(frame, name), None
    names = column_names(value, frame)
    return _numbers_of_frame(frame, names, name, ndim), names


def _of_pandas(value: Any) -> tuple[NDArray[Any] | None, list[str] | None]:
    """Return values and columns of a pandas object of numpy numbers, without narwhals; the fast path."""
    pandas = sys.modules.get("pandas")
    if pandas is None or not isinstance(value, (pandas.Series, pandas.DataFrame)):
        return None, None
    dtypes = [value.dtype] if value.ndim == 1 else [*value.dtypes]
    if not dtypes or not all(isinstance(dtype, np.dtype) and dtype.kind in "biuf" for dtype in dtypes):
        return None, None
    if value.ndim == 1:
        return value.to_numpy(), None
    is_single = all(dtype == _FLOAT32 for dtype in dtypes)
    return value.to_numpy(dtype=_FLOAT32 if is_single else _FLOAT64), [str(each) for each in value.columns]


def as_labels(value: Any, name: str) -> Any:
    """Convert a series of labels of any type to an array; return other objects unchanged.

    TypeError or ValueError for a mask, a lazy frame or missing values.
    """
    refuse_mask(value, name, f"Pass {name}.compressed(), and the rows of X that belong to it.")
    frame = frame_of(value, name)
    if frame is None:
        return value
    import narwhals as nw

    if not isinstance(frame, nw.Series):
        return value
    _refuse_missing(frame, name, None, 1)
    labels = frame.to_numpy()
    # A nullable column without missing values becomes an array of objects.
    return labels.astype(bool) if frame.dtype == nw.Boolean else labels


def refuse_mask(value: Any, name: str, advice: str) -> None:
    """Raise TypeError for a masked array or a list of masked arrays."""
    is_nested = isinstance(value, (list, tuple)) and len(value) > 0 and isinstance(value[0], (np.ndarray, list, tuple))
    if isinstance(value, np.ma.MaskedArray) or (is_nested and any(isinstance(row, np.ma.MaskedArray) for row in value)):
        raise TypeError(f"Input {name} is a masked array, whose mask would be lost. {advice}")


def _numbers_of_frame(frame: nw.DataFrame[Any], names: list[str], name: str, ndim: int) -> NDArray[Any]:
    """Return the numbers of a frame in one array, without a copy if its library stores one."""
    import narwhals as nw

    if ndim == 1:
        advice = f" Name the column: {name}[{names[-1]!r}]." if names else ""
        raise ValueError(f"Input {name} should be a 1d array, got an array of shape {frame.shape} instead.{advice}")
    kinds = list(frame.schema.values())
    for k, kind in enumerate(kinds):
        if not _is_number(kind):
            _check_column(frame[:, k], name, names[k], 2)
    is_single = bool(kinds) and all(kind == nw.Float32 for kind in kinds)
    dtype: np.dtype[Any] = _FLOAT32 if is_single else _FLOAT64
    native: Any = frame.to_native()
    if nw.dependencies.is_pandas_like_dataframe(native):
        # Missing values become NaN, which a later check refuses.
        has_numpy = all(isinstance(each, np.dtype) for each in native.dtypes)
        return native.to_numpy(dtype=dtype, **({} if has_numpy else {"na_value": np.nan}))    # type: ignore[no-any-return]
    columns: list[nw.Series[Any]] = [frame[:, k] for k in range(len(names))]
    for column, label in zip(columns, names, strict=True):
        _refuse_missing(column, name, label, 2)
    return _side_by_side([_as_array(column) for column in columns], dtype)


def _side_by_side(arrays: list[NDArray[Any]], dtype: np.dtype[Any]) -> NDArray[Any]:
    """Copy columns to a C-contiguous array, by slices of rows so that Ctrl-C is answered."""
    found = np.empty((len(arrays[0]) if arrays else 0, len(arrays)), dtype)
    rows = max(1, SLICE // max(1, len(arrays)))
    for start in range(0, len(found), rows):
        for k, array in enumerate(arrays):
            found[start:start + rows, k] = array[start:start + rows]
    return found


def _numbers_of_column(column: nw.Series[Any], name: str) -> NDArray[Any]:
    """Return the numbers of a series."""
    import narwhals as nw

    _check_column(column, name, None, 1)
    if not nw.dependencies.is_pandas_like_series(column.to_native()):
        _refuse_missing(column, name, None, 1)
    return _as_array(column)


def _as_array(column: nw.Series[Any]) -> NDArray[Any]:
    """Return the values of a numeric column."""
    import narwhals as nw

    native: Any = column.to_native()
    if nw.dependencies.is_pandas_like_series(native):
        if isinstance(native.dtype, np.dtype):
            return native.to_numpy()    # type: ignore[no-any-return]
        dtype = _FLOAT32 if column.dtype == nw.Float32 else _FLOAT64
        return native.to_numpy(dtype=dtype, na_value=np.nan)    # type: ignore[no-any-return]
    if isinstance(column.dtype, (nw.Decimal, nw.Int128, nw.UInt128)):
        column = column.cast(nw.Float64)
    return column.to_numpy()


def _is_number(dtype: Any) -> bool:
    import narwhals as nw

    return bool(dtype.is_numeric() or dtype == nw.Boolean)


def _check_column(column: nw.Series[Any], name: str, label: str | None, ndim: int) -> None:
    """Raise TypeError for a column that is not numeric."""
    import narwhals as nw

    if not _is_number(column.dtype) and not (column.dtype == nw.Unknown and column.to_numpy().dtype.kind in "biuf"):
        _refuse_column(column, name, label, ndim)


def _refuse_missing(column: nw.Series[Any], name: str, label: str | None, ndim: int) -> None:
    """Raise ValueError for missing values, with their count and the place of the first."""
    count = column.null_count()
    if count:
        first = int(np.argmax(column.is_null().to_numpy()))
        where = f" in column {label!r}" if label is not None else ""
        place = f"in row {first}" if ndim == 2 else f"at position {first}"
        also = "the first " if count > 1 else ""
        raise ValueError(f"Input {name} contains null{where}: {count} of {len(column)} values, {also}{place}. "
                         f"Drop such rows of all arguments, or fill the gaps.")


def _refuse_column(column: nw.Series[Any], name: str, label: str | None, ndim: int) -> NoReturn:
    native = column.to_native()
    dtype = getattr(native, "dtype", column.dtype)    # the name of its library
    if getattr(dtype, "kind", "") == "c":
        of = "" if label is None else f", column {label!r}"
        raise ValueError(f"Complex data not supported: input {name}{of} has dtype {dtype}.")
    what = f"its column {label!r} has" if label is not None else "it has"
    first = "" if len(column) == 0 else _first_text(column.to_list())
    raise TypeError(f"Input {name} should be a {ndim}d array of real numbers, but {what} the dtype {dtype}{first}. "
                    f"{_advice(column, name, label)}")


def _first_text(values: Sequence[Any]) -> str:
    """Describe the first value that is not a number, and its row."""
    for place, value in enumerate(values):
        if value is not None and not isinstance(value, (int, float, np.number)):
            return f", with {described(value)} in row {place}"
    return ""


def _advice(column: nw.Series[Any], name: str, label: str | None) -> str:
    """Return the line of code that converts a column to numbers."""
    import narwhals as nw

    native = column.to_native()
    dtype, is_time = column.dtype, column.dtype in (nw.Datetime, nw.Date)
    place = name if label is None else f"{name}[{label!r}]"
    if nw.dependencies.is_pandas_like_series(native):
        if is_time:
            return f"Convert it to seconds: {place} = ({place} - {place}.min()).dt.total_seconds()"
        if dtype == nw.Duration:
            return f"Convert it to seconds: {place} = {place}.dt.total_seconds()"
        if dtype != nw.Categorical and _is_convertible(native):
            return f"Convert it to numbers: {place} = pandas.to_numeric({place})"
        if label is not None:
            return f"Encode it: {name} = pandas.get_dummies({name}, columns=[{label!r}], drop_first=True, dtype=float)"
    if nw.dependencies.is_polars_series(native) and label is not None:
        of = f"polars.col({label!r})"
        if is_time or dtype == nw.Duration:
            of = f"({of} - {of}.min())" if is_time else of
            return f"Convert it to seconds: {name} = {name}.with_columns({of}.dt.total_seconds())"
        return f"Encode it: {name} = {name}.to_dummies([{label!r}], drop_first=True)"
    if label is not None and not is_time and dtype != nw.Duration:
        return f"Encode it: {name} = pandas.get_dummies({name}.to_pandas(), columns=[{label!r}], drop_first=True)"
    return "Convert your data to numeric values explicitly instead."


def _is_convertible(values: Any) -> bool:
    try:
        np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError):
        return False
    return True


def _plain(value: Any, name: str, ndim: int) -> Any:
    """Convert a list to an array; refuse arrays of text or dates, return other objects unchanged."""
    if not isinstance(value, (np.ndarray, list, tuple)):
        return value
    try:
        array = np.asarray(value)
    except (ValueError, OverflowError):    # a ragged list, refused later by its shape
        return value
    kind = array.dtype.kind
    if kind in "USTMmO" and array.ndim in (1, 2):
        _refuse_values(array, name, ndim)
    return array


def _refuse_values(array: NDArray[Any], name: str, ndim: int) -> None:
    """Raise TypeError for the first text or date of an array; the conversion refuses other objects."""
    kind = array.dtype.kind
    if kind in "Mm":
        whole = f"({name} - {name}.min())" if kind == "M" else name
        raise TypeError(f"Input {name} should be a {ndim}d array of real numbers, got an array of dtype {array.dtype}. "
                        f"Convert it to seconds: {whole} / numpy.timedelta64(1, 's')")
    columns = array.shape[1] if array.ndim == 2 else 0
    for place, value in enumerate(array.ravel().tolist()):
        if isinstance(value, _TEXT_OR_TIME):
            where, line = f"position {place}", "Convert your data to numeric values explicitly instead."
            if columns:
                where = f"column {place % columns}, row {place // columns}"
            if columns and isinstance(value, str):
                line = (f"Encode it: {name} = pandas.get_dummies(pandas.DataFrame({name}), "
                        f"columns=[{place % columns}], drop_first=True, dtype=float)")
            what = "text" if kind in "UST" else "an array"
            raise TypeError(f"Input {name} should be a {ndim}d array of real numbers, got {what} of dtype "
                            f"{array.dtype} with {typed_value(value)} at {where}. {line}")
