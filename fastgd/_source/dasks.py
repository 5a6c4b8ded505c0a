"""Data in chunks of dask: from the ambient client's workers, or computed anew in each pass by dask's own schedulers."""
from __future__ import annotations

from functools import partial
from itertools import accumulate
from typing import TYPE_CHECKING, Any

import numpy as np

from fastgd._source.chunks import chunks_of
from fastgd._source.cluster import Answer, Cluster, Raised, answer, dumped
from fastgd.results import SourceError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from fastgd._source.chunks import Chunks
    from fastgd._source.pieces import Piece
    from fastgd._types import DoubleArray, FloatArray, R


def pieces_of(dataset: Any, X: Any, sample_weight: Any) -> DaskPieces:
    """The pieces of arguments of which at least one is a dask collection.

    Parameters
    ----------
    dataset : dask array or Series of n numbers, or array-like
    X : dask array or DataFrame of n rows, array-like or None
    sample_weight : dask array or Series of n numbers, array-like or None

    Returns
    -------
    DaskPieces
        With the client that dask itself would use, its chunks stay in the workers' memory.

    Raises
    ------
    TypeError, ValueError
        If an argument is not as described, or if what is known before anything is read does not agree.
    """
    from dask.base import get_scheduler

    get = get_scheduler(collections=[value for value in (dataset, X, sample_weight)
                                     if hasattr(value, "__dask_scheduler__")][:1])
    client = getattr(get, "__self__", None)    # of a client's own method
    is_kept = hasattr(client, "who_has")
    chunks = chunks_of(dataset, X, sample_weight, is_kept)
    return DaskPieces(chunks, Cluster(client, chunks) if is_kept else _Scheduler(get, chunks))


class DaskPieces:
    """The chunks of dask collections, as `fastgd._source.pieces.Pieces` are described."""

    what = "chunk"
    is_remote = True

    def __init__(self, chunks: Chunks, where: Cluster | _Scheduler) -> None:
        self.names = chunks.names
        self.passes = chunks.passes
        self.bytes_read = 0
        self._where = where

    def check(self, function: object) -> None:
        """Raise TypeError if it cannot be sent where the pieces are."""
        self._where.check(function)

    def map(self, function: Callable[[Piece], R]) -> Iterator[R]:
        """`function` of each piece, in order, all computed at the call: one pass."""
        answers = self._where.answers(function)
        self._count(answers)
        self.passes += 1
        return iter([found.value for found in answers])

    def rows_at(self, starts: Sequence[tuple[int, int]]) -> tuple[FloatArray | None, FloatArray, DoubleArray | None]:
        """X, targets and weights of the rows [start, stop) of all data, one such range after another.

        The pieces that have none of them are not read.
        """
        if self._where.lengths is None:
            self._where.answers(_length)
            self.passes += 1
        assert self._where.lengths is not None
        wanted = _by_piece(starts, self._where.lengths)
        answers = self._where.answers(partial(_rows, wanted), sorted(wanted))
        self._count(answers)
        slices = sorted((order, *arrays) for found in answers for order, arrays in found.value)
        X, targets, weights = ([piece[k] for piece in slices] for k in (1, 2, 3))
        return (None if X[0] is None else np.concatenate(X), np.concatenate(targets),
                None if weights[0] is None else np.concatenate(weights))

    def _count(self, answers: list[Answer]) -> None:
        self.bytes_read += sum(found.nbytes for found in answers)


class _Scheduler:
    """The pieces by one of dask's schedulers without a client: each pass computes the graph anew and keeps nothing."""

    def __init__(self, get: Any, chunks: Chunks) -> None:
        from dask import local, threaded

        self._get, self._tasks, self._numbers = get, chunks.tasks, chunks.numbers
        self._is_here = get in (threaded.get, local.get_sync)
        self.lengths = chunks.lengths

    def check(self, function: object) -> None:
        """Raise TypeError if it cannot be sent to the processes that the scheduler has, if it has some."""
        if not self._is_here:
            dumped(function)

    def answers(self, function: Callable[[Piece], Any], places: Sequence[int] | None = None) -> list[Answer]:
        """The function's answers for the pieces at these places, or for all, in order."""
        self.check(function)
        found = self._computed(function, range(len(self._tasks)) if places is None else places)
        if self.lengths is not None:
            return found
        kept = [place for place, each in enumerate(found) if each is not None]
        if not kept:
            raise ValueError("Found array dataset with 0 sample(s) while a minimum of 1 is required.")
        self.lengths = [found[place].n_rows for place in kept]
        if len(kept) == len(found):
            return found
        # The function was told of places that count the empty chunks too.
        self._tasks, self._numbers = [self._tasks[k] for k in kept], [self._numbers[k] for k in kept]
        return self._computed(function, range(len(kept)))

    def _computed(self, function: Callable[[Piece], Any], places: Sequence[int]) -> list[Answer]:
        import dask

        asked = dask.delayed(partial(answer, function), name="fastgd-pass", pure=False, traverse=False)
        tasks = [asked(self._numbers[place], place, None if self.lengths is None else self.lengths[place],
                       self._tasks[place]) for place in places]
        try:
            return list(dask.compute(*tasks, scheduler=self._get, traverse=False, optimize_graph=False))
        except Raised as raised:
            raise raised.error from None
        except Exception as error:
            raise SourceError(f"A chunk cannot be read: {type(error).__name__}: {error}") from error


def _length(piece: Piece) -> int:
    return len(piece.targets)


def _by_piece(starts: Sequence[tuple[int, int]], lengths: list[int]) -> dict[int, list[tuple[int, slice]]]:
    """Of each piece the slices that are asked of it, each with its place in the order of all slices."""
    ends = np.array(list(accumulate(lengths)))
    wanted: dict[int, list[tuple[int, slice]]] = {}
    order = 0
    for start, stop in starts:
        place = int(np.searchsorted(ends, start, side="right"))
        while start < stop:
            first, end = int(ends[place]) - lengths[place], min(stop, int(ends[place]))
            wanted.setdefault(place, []).append((order, slice(start - first, end - first)))
            start, place, order = end, place + 1, order + 1
    return wanted


def _rows(wanted: dict[int, list[tuple[int, slice]]], piece: Piece) -> list[tuple[int, tuple[Any, ...]]]:
    """The rows of a piece that are wanted, in memory of their own."""
    arrays = piece[1:]
    return [(order, tuple(None if array is None else array[part].copy() for array in arrays))
            for order, part in wanted[piece.place]]
