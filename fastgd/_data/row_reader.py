"""The rows of a source in pieces in any order, for stochastic descent."""
from __future__ import annotations

import contextlib
import functools
import itertools
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from fastgd._data.chunked import Piece, View, joined, rows_in, taken
from fastgd._limits import POINTS_AT_ONCE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fastgd._data.arrays import Points, Rows
    from fastgd._data.chunked import PartedPoints, PartedRows


def shelf_of(source: PartedPoints | PartedRows) -> RemoteShelf | Shelf:
    """What brings the rows of a source; it is to be closed."""
    return RemoteShelf(source) if source.pieces.is_remote else Shelf(source)


class Shelf:
    """Rows in arrays that are mapped from files. Where rows weigh 0 it is known how many do not, up to each so many."""

    def __init__(self, source: PartedPoints | PartedRows) -> None:
        self._view: Any = source.view
        self._stack = contextlib.ExitStack()
        self._pieces = cast("Any", source.pieces)
        stored = self._stack.enter_context(self._pieces.on_disk())
        self._X, self._targets, self._weights = stored
        self._before = None
        if self._weights is not None and source.n < len(self._weights):
            counts = [np.count_nonzero(self._weights[start:start + POINTS_AT_ONCE] > 0)
                      for start in range(0, len(self._weights), POINTS_AT_ONCE)]
            self._before = np.cumsum([0, *counts])

    def rows(self, slices: Sequence[slice]) -> Points | Rows:
        """A copy of those in the slices, one after another."""
        places = [self._places(part) for part in slices]
        arrays = (self._X, self._targets, self._weights)
        piece = taken(*(None if array is None else np.concatenate([array[part] for part in places])
                        for array in arrays))
        self._pieces.bytes_read += piece.nbytes
        source: Points | Rows = self._view.source(piece)
        return source

    def begin_epoch(self) -> None:
        """Count a pass."""
        self._pieces.passes += 1

    def _places(self, part: slice) -> Any:
        """Where in the files some of the rows are that weigh more than 0."""
        if self._before is None:
            return part
        first = int(np.searchsorted(self._before, part.start, "right")) - 1
        last = int(np.searchsorted(self._before, part.stop))
        start, before = first * POINTS_AT_ONCE, self._before[first]
        kept = np.flatnonzero(self._weights[start:last * POINTS_AT_ONCE] > 0)
        return start + kept[part.start - before:part.stop - before]

    def close(self) -> None:
        """Let go of the files."""
        self._X = self._targets = self._weights = None
        self._stack.close()


class RemoteShelf:
    """Rows that are cut out of pieces where these are."""

    def __init__(self, source: PartedPoints | PartedRows) -> None:
        self._source = source

    def rows(self, slices: Sequence[slice]) -> Points | Rows:
        """Those in the slices, one after another."""
        view = self._source.view
        found: list[tuple[int, Piece]] = []
        assert isinstance(view, View)
        pieces = cast("Any", self._source.pieces)
        ends = [(part.start, part.stop) for part in slices]
        places = [place for place, (first, end) in enumerate(itertools.pairwise(view.starts))
                  if any(start < end and first < stop for start, stop in ends)]
        for some in pieces.map(functools.partial(_slices_in, view, slices), places):
            found.extend(some)
        found.sort(key=lambda item: item[0])    # those of a slice are in order, as pieces are
        return view.taken(joined([piece for _, piece in found]))

    def begin_epoch(self) -> None:
        """Count a pass."""
        self._source.pieces.passes += 1

    def close(self) -> None:
        """There is nothing to let go of."""


def _slices_in(view: View, slices: Sequence[slice], piece: Piece) -> list[tuple[int, Piece]]:
    """What a piece has of some slices of all rows, with the number of the slice."""
    source = view.source(piece)
    if source is None:
        return []
    first, end = source.start, source.start + source.n
    return [(k, rows_in(source, slice(max(part.start, first) - first, min(part.stop, end) - first)))
            for k, part in enumerate(slices) if part.start < end and first < part.stop]
