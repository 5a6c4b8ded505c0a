"""Data that are not in memory: classes of the targets, and predictions that are as lazy as X."""
from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import numpy as np

from fastgd._checks import is_dask, refuse_lazy

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

    def __init__(self, pieces: Pieces, positive: float, labels: tuple[float, float],
                 class_weights: Mapping[float, float] | None) -> None:
        self._pieces = pieces
        self._relabelled = functools.partial(_relabelled, positive, labels, class_weights)

    def __getattr__(self, name: str) -> Any:
        if name == "_pieces":    # asked for before it is there, as where a copy is made
            raise AttributeError(name)
        return getattr(self._pieces, name)

    def map(self, function: Callable[[Piece], R]) -> Iterator[R]:
        """`function` of each piece, as of any pieces."""
        return self._pieces.map(functools.partial(_of_relabelled, self._relabelled, function))

    def rows_at(self, starts: Sequence[tuple[int, int]]) -> Any:
        """Rows for a stochastic descent, of pieces in chunks of dask."""
        X, targets, weights = self._pieces.rows_at(starts)    # type: ignore[attr-defined]
        return self._relabelled_arrays(X, targets, weights)

    def _relabelled_arrays(self, X: Any, targets: Any, weights: Any) -> Any:
        from fastgd._source.pieces import taken

        return self._relabelled(taken(X, targets, weights))[1:]


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
