"""Data that are not in memory: classes of the targets, and predictions that are as lazy as X."""
from __future__ import annotations

import contextlib
import functools
from typing import TYPE_CHECKING, Any

import numpy as np

from fastgd._checks import is_dask, refuse_lazy
from fastgd._source.pieces import taken

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from fastgd._source.pieces import Piece, Pieces
    from fastgd._types import DoubleArray, R


class Relabelled:
    """Pieces whose targets are 0 and 1, or other two numbers, by whether they are of one class.

    Parameters
    ----------
    pieces : Pieces
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
        self.what, self.names, self.is_remote = pieces.what, pieces.names, pieces.is_remote
        self._relabelled = functools.partial(_relabelled, positive, labels, class_weights)

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

    def map(self, function: Callable[[Piece], R], *places: Sequence[int] | None) -> Iterator[R]:
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

    def __init__(self, relabelled: Callable[[Piece], Piece], labels: Any, weights: Any, role: str) -> None:
        self._relabelled, self._labels, self._weights, self._role = relabelled, labels, weights, role

    def __len__(self) -> int:
        return len(self._labels)

    def __getitem__(self, part: Any) -> Any:
        some = taken(None, self._labels[part], None if self._weights is None else self._weights[part])
        return getattr(self._relabelled(some), self._role)


def _relabelled(positive: float, labels: tuple[float, float], class_weights: Mapping[float, float] | None,
                piece: Piece) -> Piece:
    weights = piece.weights
    if class_weights is not None:
        of_rows = np.zeros(len(piece.targets))
        for label, weight in class_weights.items():
            of_rows[piece.targets == label] = weight
        weights = of_rows if weights is None else weights * of_rows
    return piece._replace(targets=np.where(piece.targets == positive, labels[1], labels[0]), weights=weights)


def _of_relabelled(relabelled: Callable[[Piece], Piece], function: Callable[[Piece], R], piece: Piece) -> R:
    return function(relabelled(piece))


def classes_of(pieces: Pieces) -> tuple[DoubleArray, DoubleArray]:
    """The distinct targets, and the sum of the weights of each."""
    found = list(pieces.map(_classes_in))
    classes, at = np.unique(np.concatenate([each for each, _ in found]), return_inverse=True)
    return classes, np.bincount(at, np.concatenate([sums for _, sums in found])).astype(np.float64)


def _classes_in(piece: Piece) -> tuple[DoubleArray, DoubleArray]:
    classes, at = np.unique(piece.targets.astype(np.float64), return_inverse=True)
    return classes, np.bincount(at, piece.weights).astype(np.float64)


def of_blocks(function: Callable[[Any], Any], X: Any, columns: int, names: Any, outputs: int, dtype: Any) -> Any:
    """`function` of the rows of a dask array or DataFrame, as a lazy dask array of so many outputs a row; 0 for one."""
    if not is_dask(X):
        refuse_lazy(X, "X")
    if names is not None and hasattr(X, "columns") and [*map(str, X.columns)] != [*names]:
        raise ValueError("The feature names should match those that were passed during fit: "
                         f"{', '.join(names)}. Got {', '.join(map(str, X.columns))}.")
    array = X.to_dask_array() if hasattr(X, "to_dask_array") else X
    if array.ndim != 2:
        raise ValueError(f"Expected 2D array, got {array.ndim}D array instead.")
    if array.shape[1] != columns:
        raise ValueError(f"X has {array.shape[1]} features, but is expecting {columns} features as input.")
    array = array.rechunk({1: -1})
    chunks = (array.chunks[0], (outputs,)) if outputs else (array.chunks[0],)
    return array.map_blocks(function, dtype=dtype, chunks=chunks, drop_axis=None if outputs else 1,
                            meta=np.empty((0,) * (2 if outputs else 1), dtype))
