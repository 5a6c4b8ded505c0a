"""Arguments with dask collections among them as chunks of rows, each a task that reads it, joins it and checks it."""
from __future__ import annotations

import sys
from functools import partial
from itertools import accumulate
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from fastgd._source.pieces import Piece
from fastgd._validation import check_dataset, check_design, is_dask
from fastgd.results import SourceError

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from fastgd._source.labels import Labels
    from fastgd._types import DoubleArray, FloatArray

#: What the rows of an argument are called where lengths differ.
_ROWS_OF = {"X": "rows of X", "dataset": "points of dataset", "sample_weight": "sample_weight"}


class Chunks(NamedTuple):
    """Chunks in order, without those that are known to be empty.

    Attributes
    ----------
    numbers : list of int
        The place of each among the chunks of the dask collection.
    tasks : list of dask.delayed.Delayed
        Of each the task whose answer is its piece; None of an empty one, and the error of one that was refused.
    lengths : list of int or None
        Their rows, where these are known.
    names : list of str or None
        The columns of X, if it has names.
    passes : int
        How often the data were read for it.
    """

    numbers: list[int]
    tasks: list[Any]
    lengths: list[int] | None
    names: list[str] | None
    passes: int


class _Expected(NamedTuple):
    """What each chunk has to have: the types of X and of the targets, or that these are labels, and the columns."""

    dtypes: dict[str, np.dtype[Any]]
    names: list[str] | None
    labels: Labels | None = None


def chunks_of(dataset: Any, X: Any, sample_weight: Any, is_kept: bool, labels: Labels | None = None) -> Chunks:
    """The chunks of arguments of which at least one is a dask collection; those in memory are cut by position.

    Where chunks of unknown lengths have to agree with lengths that are known, they are counted, which is a pass. Pieces
    that are kept have memory of their own.

    Raises
    ------
    TypeError, ValueError
        If an argument is another of dask's objects, has other dimensions, or if lengths differ.
    """
    given = {name: value for name, value in (("X", X), ("dataset", dataset), ("sample_weight", sample_weight))
             if value is not None}
    lazy = {name: _checked_collection(value, name, given) for name, value in given.items() if is_dask(value)}
    checked = {name: _in_memory(value, name, labels) for name, value in given.items() if name not in lazy}
    ready = {name: array for name, (array, _) in checked.items()}
    names = checked["X"][1] if "X" in checked else _names_of(X)
    expected = _Expected({**{name: _dtype_of(value) for name, value in lazy.items()},
                          **{name: array.dtype for name, array in ready.items()}}, names, labels)
    lengths, passes = _lengths(lazy, bool(ready))
    if lengths is not None:
        _check_totals(lengths, lazy, ready)
    parts: dict[str, list[Any]] = _tasks_of(lazy, lengths)
    parts.update({name: _cut(array, lengths) for name, array in ready.items()})
    count = len(next(iter(parts.values())))
    kept = [number for number in range(count) if lengths is None or lengths[number] > 0]
    if not kept:
        raise ValueError("Found array dataset with 0 sample(s) while a minimum of 1 is required.")
    return Chunks(kept, _tasks(parts, kept, partial(prepared, expected, is_kept)),
                  None if lengths is None else [lengths[number] for number in kept], names, passes)


def _tasks(parts: dict[str, list[Any]], kept: list[int], function: Callable[..., Any]) -> list[Any]:
    """Of each chunk the task that makes a piece of its parts; a token makes its name one of its own."""
    import uuid

    from dask import delayed

    token = uuid.uuid4().hex
    prepare = delayed(function, name="fastgd-chunk", pure=False, traverse=False)
    return [prepare(number, *(parts[name][number] if name in parts else None for name in _ROWS_OF),
                    dask_key_name=f"fastgd-chunk-{token}-{number}") for number in kept]


def _checked_collection(value: Any, name: str, given: dict[str, Any]) -> Any:
    """`value` if it is a dask array, Series or DataFrame of the dimensions that the argument has."""
    import dask.array

    frames = sys.modules.get("dask.dataframe")    # without which there is no DataFrame
    is_frame = frames is not None and isinstance(value, (frames.DataFrame, frames.Series))
    if not is_frame and not isinstance(value, dask.array.Array):
        raise TypeError(f"The '{name}' parameter cannot be a {type(value).__name__} of {type(value).__module__}. Pass "
                        "a dask array, Series or DataFrame: dask.array.from_delayed and dask.dataframe.from_delayed "
                        "make one of delayed objects, Bag.to_dataframe() of a bag.")
    if name == "X" and value.ndim != 2:
        raise ValueError(f"Expected 2D array, got a dask {type(value).__name__} of {value.ndim} dimension(s) instead. "
                         f"{'Select columns by a list, ' if is_frame else ''}"
                         f"{'X[[name]]' if is_frame else 'X.reshape(-1, 1) makes one column of it'}.")
    if name != "X" and value.ndim != 1:
        what = f"the columns {', '.join(map(str, value.columns[:5]))}" if is_frame else f"{value.ndim} dimensions"
        instead = f" Name the column, {name}[{str(value.columns[-1])!r}]" if is_frame and len(value.columns) else ""
        more = f", and give the others as X={name}[[...]]." if instead and "X" not in given else "." if instead else ""
        raise ValueError(f"Input {name} should be a 1d array, got a dask {type(value).__name__} with {what} instead."
                         f"{instead}{more}")
    return value


def _in_memory(value: Any, name: str, labels: Labels | None) -> tuple[NDArray[Any], list[str] | None]:
    """An argument that is no dask collection, checked whole, and its columns."""
    if name == "X":
        return check_design(value)
    return (_checked_targets(value, labels) if name == "dataset" else _checked_weights(value)), None


def _checked_targets(values: Any, labels: Labels | None) -> NDArray[Any]:
    return check_dataset(values) if labels is None else labels.check(values)


def _checked_weights(values: Any) -> DoubleArray:
    """Numbers of at least 0 in float64; all of a chunk may be 0, or equal."""
    array = check_dataset(values, "sample_weight")
    if array.min() < 0:
        raise ValueError(f"The 'sample_weight' parameter must be numbers in the range [0, inf). Got {array.min():g} at "
                         f"position {int(array.argmin())}.")
    double: DoubleArray = array.astype(np.float64, copy=False)
    return double


def _names_of(X: Any) -> list[str] | None:
    return [str(column) for column in X.columns] if hasattr(X, "columns") else None


def _dtype_of(value: Any) -> np.dtype[Any]:
    """What the chunks of a dask collection are to be once they are checked: float32 if all of it is, else float64."""
    dtypes = value.dtypes if hasattr(value, "columns") and value.ndim == 2 else [value.dtype]
    is_single = len(dtypes) > 0 and all(str(dtype).lower().lstrip("<>=") in ("float32", "f4") for dtype in dtypes)
    return np.dtype(np.float32 if is_single else np.float64)


def _lengths(lazy: dict[str, Any], is_needed: bool) -> tuple[list[int] | None, int]:
    """The lengths of the chunks and how many passes it took to know them; None where each chunk can say so itself.

    Chunks of unknown lengths cannot be cut anew: they lead, and what has known lengths follows.
    """
    unknown = {name: value for name, value in lazy.items() if _known(value) is None}
    if not unknown:
        return _known(next(iter(lazy.values()))), 0
    counts = {name: value.npartitions if hasattr(value, "divisions") else value.numblocks[0]
              for name, value in unknown.items()}
    if len(set(counts.values())) > 1:
        raise ValueError("Found chunks of unknown lengths that do not belong together: "
                         f"{', '.join(f'{count} of {name}' for name, count in counts.items())}. Take all from one dask "
                         "DataFrame, or make the lengths of arrays known: array.compute_chunk_sizes().")
    if not is_needed and len(unknown) == len(lazy):
        return None, 0
    return _counted(next(iter(unknown.values()))), 1


def _known(value: Any) -> list[int] | None:
    """The lengths of the chunks, or None if they are not known before they are read."""
    if hasattr(value, "divisions") or any(map(np.isnan, value.chunks[0])):
        return None
    return list(value.chunks[0])


def _counted(value: Any) -> list[int]:
    """The rows of each chunk, of one column of which they are read."""
    import dask

    column = value[list(value.columns[:1])] if hasattr(value, "columns") and value.ndim == 2 else value
    parts = _tasks_of({"counted": column}, None)["counted"]
    try:
        return list(dask.compute(*[dask.delayed(len)(part) for part in parts]))
    except Exception as error:
        raise SourceError(f"The rows of the chunks cannot be counted: {type(error).__name__}: {error}") from error


def _check_totals(lengths: list[int], lazy: dict[str, Any], ready: dict[str, FloatArray]) -> None:
    """Raise ValueError unless all that is known to have a length has the same."""
    totals = {name: len(ready[name]) if name in ready else _known(lazy[name]) for name in _ROWS_OF
              if name in ready or name in lazy}
    numbers = {name: sum(lengths) if known is None else known if isinstance(known, int) else sum(known)
               for name, known in totals.items()}
    if len(set(numbers.values())) > 1:
        raise ValueError(f"Found input variables with inconsistent numbers of samples: {list(numbers.values())} "
                         f"({', '.join(_ROWS_OF[name] for name in numbers)})")


def _tasks_of(lazy: dict[str, Any], lengths: list[int] | None) -> dict[str, list[Any]]:
    """Of each collection a delayed object for each chunk, all columns of X in one, arrays cut as `lengths` say.

    Frames read the columns that they have, and nothing else of dask's `optimize` is done to them: it would fuse small
    partitions of a file, more of them the fewer columns are read, so that those of X and of the targets would differ.
    """
    import dask

    frames = {name: value for name, value in lazy.items() if hasattr(value, "divisions")}
    arrays = {name: _rechunked(value, lengths) for name, value in lazy.items() if name not in frames}
    optimized = dict(zip(arrays, dask.optimize(*arrays.values()), strict=True))
    return {**{name: value.simplify().lower_completely().to_delayed(optimize_graph=False)
               for name, value in frames.items()},
            **{name: value.to_delayed(optimize_graph=False).ravel().tolist() for name, value in optimized.items()}}


def _rechunked(array: Any, lengths: list[int] | None) -> Any:
    known = _known(array)
    chunks: dict[int, Any] = {} if known is None or lengths in (None, known) else {0: tuple(lengths)}
    if array.ndim == 2 and len(array.chunks[1]) > 1:
        chunks[1] = -1
    return array.rechunk(chunks) if chunks else array


def _cut(array: NDArray[Any], lengths: list[int] | None) -> list[NDArray[Any]]:
    assert lengths is not None
    stops = list(accumulate(lengths))
    return [array[stop - length:stop] for stop, length in zip(stops, lengths, strict=True)]


def prepared(expected: _Expected, is_kept: bool, number: int, X: Any, targets: Any,
             weights: Any) -> Piece | TypeError | ValueError | None:
    """The piece of a chunk, checked; None if it is empty, and the error if it is refused.

    The error is an answer, as dask would log one that is raised, and could not tell it from one of the user's tasks.
    """
    try:
        piece = _piece(expected, number, X, targets, weights)
        return _owned(piece) if is_kept and piece is not None else piece
    except (TypeError, ValueError) as error:
        return (TypeError if isinstance(error, TypeError) else ValueError)(f"Chunk {number}: {error}")


def _piece(expected: _Expected, number: int, X: Any, targets: Any, weights: Any) -> Piece | None:
    given = {name: part for name, part in zip(_ROWS_OF, (X, targets, weights), strict=True) if part is not None}
    lengths = {name: len(part) for name, part in given.items()}
    if len(set(lengths.values())) > 1:
        raise ValueError(f"Found input variables with inconsistent numbers of samples: {list(lengths.values())} "
                         f"({', '.join(_ROWS_OF[name] for name in lengths)})")
    if lengths["dataset"] == 0:
        return None
    arrays: dict[str, Any] = {"dataset": _checked_targets(targets, expected.labels)}
    if X is not None:
        arrays["X"], names = check_design(X)
        if names != expected.names:
            raise ValueError(f"X has the columns {names}, and the whole has {expected.names}.")
    if weights is not None:
        arrays["sample_weight"] = _checked_weights(weights)
    for name in ("X", "dataset") if expected.labels is None else ("X",):
        if name in arrays and arrays[name].dtype != expected.dtypes[name]:
            raise ValueError(f"{name} is {arrays[name].dtype} here, and the whole is {expected.dtypes[name]}. All "
                             "chunks must have one dtype.")
    return Piece(number, arrays.get("X"), arrays["dataset"], arrays.get("sample_weight"))


def _owned(piece: Piece) -> Piece:
    """The piece without what its arrays are only views of, such as a frame with many columns more."""
    arrays = {name: getattr(piece, name) for name in ("X", "targets", "weights")}
    return piece._replace(**{name: array.copy() for name, array in arrays.items()
                             if array is not None and not array.flags.owndata})
