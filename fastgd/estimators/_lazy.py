"""Data outside memory: classes of the targets, scores, and lazy predictions."""
from __future__ import annotations

import contextlib
import functools
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.exceptions import UndefinedMetricWarning

from fastgd._data.blocks import Blocks
from fastgd._data.chunked import unplaced_chunk
from fastgd._data.lazy_columns import ColumnRoles, Selection
from fastgd._validation import check_design, is_dask
from fastgd.estimators._labels import predict_classes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from fastgd._data.chunked import Chunk, Chunks
    from fastgd._types import DoubleArray, R


class RelabelledChunks:
    """Chunks whose targets are `labels[1]` for the class `positive`, and `labels[0]` for the rest.

    `class_weights` has the factor of each class for the weights of its rows.
    """

    def __init__(self, chunks: Any, positive: float, labels: tuple[float, float],
                 class_weights: Mapping[float, float] | None) -> None:
        self._chunks = chunks
        self.what, self.is_remote = chunks.what, chunks.is_remote
        self._relabel = functools.partial(_relabel, positive, labels, class_weights)

    @property
    def names(self) -> list[str] | None:
        """Names of the columns; None before the first pass of some data."""
        found: list[str] | None = self._chunks.names
        return found

    @property
    def passes(self) -> int:
        """Number of passes over the data."""
        return int(self._chunks.passes)

    @passes.setter
    def passes(self, passes: int) -> None:
        self._chunks.passes = passes

    @property
    def bytes_read(self) -> int:
        """Number of bytes read."""
        return int(self._chunks.bytes_read)

    @bytes_read.setter
    def bytes_read(self, count: int) -> None:
        self._chunks.bytes_read = count

    def map(self, function: Callable[[Chunk], R], *places: Sequence[int] | None) -> Iterator[R]:
        """Apply `function` to each chunk."""
        found: Iterator[R] = self._chunks.map(functools.partial(_relabel_and_apply, self._relabel, function), *places)
        return found

    @contextlib.contextmanager
    def on_disk(self) -> Iterator[Any]:
        """Memory-map all rows; slices of labels are converted to targets when they are read."""
        with self._chunks.on_disk() as (X, labels, weights):
            parts = [_Part(self._relabel, labels, weights, role) for role in ("targets", "weights")]
            yield X, parts[0], None if parts[1][:1] is None else parts[1]

    def close(self) -> None:
        """Close the chunks."""
        self._chunks.close()


class _Part:
    """Targets or weights of memory-mapped rows."""

    def __init__(self, relabel: Callable[[Chunk], Chunk], labels: Any, weights: Any, role: str) -> None:
        self._relabel, self._labels, self._weights, self._role = relabel, labels, weights, role

    def __len__(self) -> int:
        return len(self._labels)

    def __getitem__(self, part: Any) -> Any:
        some = unplaced_chunk(None, self._labels[part], None if self._weights is None else self._weights[part])
        return getattr(self._relabel(some), self._role)


def _relabel(positive: float, labels: tuple[float, float], class_weights: Mapping[float, float] | None,
             chunk: Chunk) -> Chunk:
    weights = chunk.weights
    if class_weights is not None:
        of_rows = np.zeros(len(chunk.targets))
        for label, weight in class_weights.items():
            of_rows[chunk.targets == label] = weight
        weights = of_rows if weights is None else weights * of_rows
    return chunk._replace(targets=np.where(chunk.targets == positive, labels[1], labels[0]), weights=weights)


def _relabel_and_apply(relabel: Callable[[Chunk], Chunk], function: Callable[[Chunk], R], chunk: Chunk) -> R:
    return function(relabel(chunk))


def find_classes(chunks: Chunks) -> tuple[NDArray[Any], DoubleArray]:
    """Return the distinct labels and the sum of weights of each; raise ValueError for fractional labels."""
    found = list(chunks.map(_chunk_classes))
    classes, at = np.unique(np.concatenate([each for each, _, _ in found]), return_inverse=True)
    n = sum(count for _, _, count in found)
    if len(classes) > max(n / 2, 20):
        warnings.warn(f"The number of unique classes ({len(classes)}) is greater than 50% of the number of samples "
                      f"({n}). `y` could represent a regression problem, not a classification problem.", stacklevel=2)
    return classes, np.bincount(at, np.concatenate([sums for _, sums, _ in found])).astype(np.float64)


def _chunk_classes(chunk: Chunk) -> tuple[NDArray[Any], DoubleArray, int]:
    labels: Any = chunk.targets
    if labels.dtype.kind == "f" and (labels != np.trunc(labels)).any():
        raise ValueError("Unknown label type: continuous. Maybe you are trying to fit a classifier, which expects "
                         "discrete classes on a regression target with continuous values.")
    classes, at = np.unique(labels, return_inverse=True)
    return classes, np.bincount(at, chunk.weights).astype(np.float64), len(labels)


def check_columns(names: Any, found: Any) -> None:
    """Raise ValueError if the column names differ from the fitted ones, or their order."""
    if names is not None and found is not None and [*map(str, found)] != [*names]:
        raise ValueError("The feature names should match those that were passed during fit: "
                         f"{', '.join(names)}. Got {', '.join(map(str, found))}.")


def check_features(found: int, wanted: int) -> None:
    """Raise ValueError if the number of columns differs from the fitted one."""
    if found != wanted:
        raise ValueError(f"X has {found} features, but is expecting {wanted} features as input.")


def predict_lazily(function: Callable[[Any], Any], X: Any, columns: int, names: Any, outputs: int, dtype: Any) -> Any:
    """Apply `function` to rows lazily: a dask array with `outputs` columns (0 for a vector), or Blocks."""
    if not is_dask(X):
        table = X.table if isinstance(X, Selection) else X
        if isinstance(X, Selection):
            if isinstance(X.names, str):
                raise ValueError(f"Expected 2D array, got the column {X!r}. Give a list of columns: [[{X.names!r}]].")
            check_columns(names, X.names)
        wanted = X.names if isinstance(X, Selection) else getattr(table, "columns", None)
        return Blocks(functools.partial(_predict_blocks, function, table, wanted, columns, names))
    check_columns(names, getattr(X, "columns", None))
    array = X.to_dask_array() if hasattr(X, "to_dask_array") else X
    if array.ndim != 2:
        raise ValueError(f"Expected 2D array, got {array.ndim}D array instead.")
    check_features(array.shape[1], columns)
    array = array.rechunk({1: -1})
    chunks = (array.chunks[0], (outputs,)) if outputs else (array.chunks[0],)
    return array.map_blocks(function, dtype=dtype, chunks=chunks, drop_axis=None if outputs else 1,
                            meta=np.empty((0,) * (2 if outputs else 1), dtype))


def _predict_blocks(function: Callable[[Any], Any], table: Any, wanted: Any, columns: int,
                    names: Any) -> Iterator[Any]:
    """Yield `function` of the rows of each block; of X in a block (X, y)."""
    if wanted is not None:
        blocks = (raw.X for raw in table._read(ColumnRoles(None, tuple(wanted), None)))
    else:
        blocks = (block[0] if isinstance(block, tuple) and len(block) > 1 else block for block in table)
    for X in blocks:
        array, found = check_design(X)
        check_columns(names, wanted or found)
        check_features(array.shape[1], columns)
        yield function(array)


def score_chunks(chunks: Any, function: Callable[[Chunk], DoubleArray], names: Any) -> DoubleArray:
    """Compute `function` of each chunk in one pass; raise ValueError if the column names differ."""
    try:
        if chunks.is_remote:
            check_columns(names, chunks.names)
        found = np.array(list(chunks.map(function)))
        check_columns(names, chunks.names)
        return found
    finally:
        chunks.close()


def _chunk_predictions(coef: DoubleArray, intercept: Any, chunk: Chunk) -> DoubleArray:
    if chunk.X is None:
        raise ValueError("Expected 2D array, got a dataset without X. Pass blocks of (X, y), or columns as X.")
    check_features(chunk.X.shape[1], coef.shape[-1])
    predictions: DoubleArray = chunk.X @ coef.T + intercept
    return predictions


def r_squared_sums(coef: DoubleArray, intercept: Any, chunk: Chunk) -> DoubleArray:
    """Compute the total weight, the mean target, the sums of squares about it and of the residuals, and the rows."""
    predictions = _chunk_predictions(coef, intercept, chunk)
    weights = np.ones(len(predictions)) if chunk.weights is None else chunk.weights
    y, weight = chunk.targets.astype(np.float64), weights.sum()
    mean = weights @ y / weight if weight else 0.0
    return np.array([weight, mean, weights @ (y - mean) ** 2, weights @ (y - predictions) ** 2, len(y)])


def accuracy_sums(classes: NDArray[Any], coef: DoubleArray, intercept: Any, chunk: Chunk) -> DoubleArray:
    """Compute the total weight of the rows, and of those whose class is predicted."""
    is_right = predict_classes(classes, _chunk_predictions(coef, intercept, chunk)) == chunk.targets
    return np.array([len(is_right), is_right.sum()] if chunk.weights is None
                    else [chunk.weights.sum(), chunk.weights @ is_right], dtype=np.float64)


def r_squared(sums: DoubleArray) -> float:
    """Combine the `r_squared_sums` of chunks (T. F. Chan, G. H. Golub and R. J. LeVeque, 1983) into R^2."""
    weights, means, about, left, counts = sums.T
    if counts.sum() < 2:
        warnings.warn("R^2 score is not well-defined with less than two samples.", UndefinedMetricWarning, stacklevel=3)
        return float("nan")
    mean = float(weights @ means / weights.sum())
    total = float(about.sum() + weights @ (means - mean) ** 2)
    if total == 0:
        return 1.0 if left.sum() == 0 else 0.0
    return 1.0 - float(left.sum()) / total
