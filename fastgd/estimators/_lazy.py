"""Data that are not in memory: classes of the targets, scores, and predictions that are as lazy as X."""
from __future__ import annotations

import contextlib
import functools
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.exceptions import UndefinedMetricWarning

from fastgd._data.blocks import Blocks
from fastgd._data.chunked import unplaced_chunk
from fastgd._data.lazy_columns import Selection, ColumnRoles
from fastgd._validation import check_design, is_dask
from fastgd.estimators._classes import chosen

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from fastgd._data.chunked import Chunk, Chunks
    from fastgd._types import DoubleArray, R


class Relabelled:
    """Pieces whose targets are 0 and 1, or other two numbers, by whether they are of one class.

    Parameters
    ----------
    pieces : Chunks
        Of targets that are classes.
    positive : float
        The class.
    labels : tuple of float
        The targets of the others, and of the class.
    class_weights : dict or None
        By class what the weight of a row is multiplied by.
    """

    def __init__(self, pieces: Any, positive: float, labels: tuple[float, float],
                 class_weights: Mapping[float, float] | None) -> None:
        self._pieces = pieces
        self.what, self.is_remote = pieces.what, pieces.is_remote
        self._relabelled = functools.partial(_relabelled, positive, labels, class_weights)

    @property
    def names(self) -> list[str] | None:
        """As of the pieces, which may know them after the first pass."""
        found: list[str] | None = self._pieces.names
        return found

    @property
    def passes(self) -> int:
        """As of the pieces, which count them."""
        return int(self._pieces.passes)

    @passes.setter
    def passes(self, passes: int) -> None:
        self._pieces.passes = passes

    @property
    def bytes_read(self) -> int:
        """As of the pieces, which count them."""
        return int(self._pieces.bytes_read)

    @bytes_read.setter
    def bytes_read(self, count: int) -> None:
        self._pieces.bytes_read = count

    def map(self, function: Callable[[Chunk], R], *places: Sequence[int] | None) -> Iterator[R]:
        """`function` of each piece, as of any pieces."""
        found: Iterator[R] = self._pieces.map(functools.partial(_of_relabelled, self._relabelled, function), *places)
        return found

    @contextlib.contextmanager
    def on_disk(self) -> Iterator[Any]:
        """All rows, as of pieces that are read in blocks; labels become targets when they are asked for."""
        with self._pieces.on_disk() as (X, labels, weights):
            parts = [_Part(self._relabelled, labels, weights, role) for role in ("targets", "weights")]
            yield X, parts[0], None if parts[1][:1] is None else parts[1]

    def close(self) -> None:
        """As of the pieces."""
        self._pieces.close()


class _Part:
    """The targets of rows on disk, or their weights."""

    def __init__(self, relabelled: Callable[[Chunk], Chunk], labels: Any, weights: Any, role: str) -> None:
        self._relabelled, self._labels, self._weights, self._role = relabelled, labels, weights, role

    def __len__(self) -> int:
        return len(self._labels)

    def __getitem__(self, part: Any) -> Any:
        some = unplaced_chunk(None, self._labels[part], None if self._weights is None else self._weights[part])
        return getattr(self._relabelled(some), self._role)


def _relabelled(positive: float, labels: tuple[float, float], class_weights: Mapping[float, float] | None,
                piece: Chunk) -> Chunk:
    weights = piece.weights
    if class_weights is not None:
        of_rows = np.zeros(len(piece.targets))
        for label, weight in class_weights.items():
            of_rows[piece.targets == label] = weight
        weights = of_rows if weights is None else weights * of_rows
    return piece._replace(targets=np.where(piece.targets == positive, labels[1], labels[0]), weights=weights)


def _of_relabelled(relabelled: Callable[[Chunk], Chunk], function: Callable[[Chunk], R], piece: Chunk) -> R:
    return function(relabelled(piece))


def classes_of(pieces: Chunks) -> tuple[NDArray[Any], DoubleArray]:
    """The distinct labels, and the sum of the weights of each.

    Raises
    ------
    ValueError
        If they are no labels but numbers with fractions, as scikit-learn has it.
    """
    found = list(pieces.map(_classes_in))
    classes, at = np.unique(np.concatenate([each for each, _, _ in found]), return_inverse=True)
    n = sum(count for _, _, count in found)
    if len(classes) > max(n / 2, 20):
        warnings.warn(f"The number of unique classes ({len(classes)}) is greater than 50% of the number of samples "
                      f"({n}). `y` could represent a regression problem, not a classification problem.", stacklevel=2)
    return classes, np.bincount(at, np.concatenate([sums for _, sums, _ in found])).astype(np.float64)


def _classes_in(piece: Chunk) -> tuple[NDArray[Any], DoubleArray, int]:
    labels: Any = piece.targets
    if labels.dtype.kind == "f" and (labels != np.trunc(labels)).any():
        raise ValueError("Unknown label type: continuous. Maybe you are trying to fit a classifier, which expects "
                         "discrete classes on a regression target with continuous values.")
    classes, at = np.unique(labels, return_inverse=True)
    return classes, np.bincount(at, piece.weights).astype(np.float64), len(labels)


def check_columns(names: Any, found: Any) -> None:
    """Raise ValueError for columns of other names, or in another order, than those that were fitted."""
    if names is not None and found is not None and [*map(str, found)] != [*names]:
        raise ValueError("The feature names should match those that were passed during fit: "
                         f"{', '.join(names)}. Got {', '.join(map(str, found))}.")


def check_features(found: int, wanted: int) -> None:
    """Raise ValueError for another number of columns than was fitted."""
    if found != wanted:
        raise ValueError(f"X has {found} features, but is expecting {wanted} features as input.")


def of_blocks(function: Callable[[Any], Any], X: Any, columns: int, names: Any, outputs: int, dtype: Any) -> Any:
    """Apply `function` to rows, lazily: a dask array of so many outputs a row, 0 for one number, or Blocks."""
    if not is_dask(X):
        table = X.table if isinstance(X, Selection) else X
        if isinstance(X, Selection):
            if isinstance(X.names, str):
                raise ValueError(f"Expected 2D array, got the column {X!r}. Give a list of columns: [[{X.names!r}]].")
            check_columns(names, X.names)
        wanted = X.names if isinstance(X, Selection) else getattr(table, "columns", None)
        return Blocks(functools.partial(_predicted_blocks, function, table, wanted, columns, names))
    check_columns(names, getattr(X, "columns", None))
    array = X.to_dask_array() if hasattr(X, "to_dask_array") else X
    if array.ndim != 2:
        raise ValueError(f"Expected 2D array, got {array.ndim}D array instead.")
    check_features(array.shape[1], columns)
    array = array.rechunk({1: -1})
    chunks = (array.chunks[0], (outputs,)) if outputs else (array.chunks[0],)
    return array.map_blocks(function, dtype=dtype, chunks=chunks, drop_axis=None if outputs else 1,
                            meta=np.empty((0,) * (2 if outputs else 1), dtype))


def _predicted_blocks(function: Callable[[Any], Any], table: Any, wanted: Any, columns: int,
                      names: Any) -> Iterator[Any]:
    """What `function` gives for the rows of one block after another; of (X, y) those of X."""
    if wanted is not None:
        blocks = (raw.X for raw in table._read(ColumnRoles(None, tuple(wanted), None)))
    else:
        blocks = (block[0] if isinstance(block, tuple) and len(block) > 1 else block for block in table)
    for X in blocks:
        array, found = check_design(X)
        check_columns(names, wanted or found)
        check_features(array.shape[1], columns)
        yield function(array)


def scored(pieces: Any, function: Callable[[Chunk], DoubleArray], names: Any) -> DoubleArray:
    """What `function` answers for each piece, in one pass; ValueError for columns of other names."""
    try:
        if pieces.is_remote:
            check_columns(names, pieces.names)
        found = np.array(list(pieces.map(function)))
        check_columns(names, pieces.names)
        return found
    finally:
        pieces.close()


def _predictions_in(coef: DoubleArray, intercept: Any, piece: Chunk) -> DoubleArray:
    if piece.X is None:
        raise ValueError("Expected 2D array, got points without X: blocks should be (X, y), or give columns as X.")
    check_features(piece.X.shape[1], coef.shape[-1])
    predictions: DoubleArray = piece.X @ coef.T + intercept
    return predictions


def unexplained_in(coef: DoubleArray, intercept: Any, piece: Chunk) -> DoubleArray:
    """The weight of the rows, the mean of their targets, and the sums of squares about it and of the residuals."""
    predictions = _predictions_in(coef, intercept, piece)
    weights = np.ones(len(predictions)) if piece.weights is None else piece.weights
    y, weight = piece.targets.astype(np.float64), weights.sum()
    mean = weights @ y / weight if weight else 0.0
    return np.array([weight, mean, weights @ (y - mean) ** 2, weights @ (y - predictions) ** 2, len(y)])


def right_in(classes: NDArray[Any], coef: DoubleArray, intercept: Any, piece: Chunk) -> DoubleArray:
    """The weight of the rows, and of those whose class is predicted."""
    is_right = chosen(classes, _predictions_in(coef, intercept, piece)) == piece.targets
    return np.array([len(is_right), is_right.sum()] if piece.weights is None
                    else [piece.weights.sum(), piece.weights @ is_right], dtype=np.float64)


def r_squared(sums: DoubleArray) -> float:
    """Put together what `unexplained_in` says of each piece (T. F. Chan, G. H. Golub and R. J. LeVeque, 1983)."""
    weights, means, about, left, counts = sums.T
    if counts.sum() < 2:
        warnings.warn("R^2 score is not well-defined with less than two samples.", UndefinedMetricWarning, stacklevel=3)
        return float("nan")
    mean = float(weights @ means / weights.sum())
    total = float(about.sum() + weights @ (means - mean) ** 2)
    if total == 0:
        return 1.0 if left.sum() == 0 else 0.0
    return 1.0 - float(left.sum()) / total
