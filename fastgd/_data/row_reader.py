"""Read slices of chunked data in any order, for stochastic descent: from memory-mapped files or from dask workers."""
from __future__ import annotations

import contextlib
import functools
import itertools
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from fastgd._data.chunked import Adapter, Chunk, concatenate_chunks, copy_rows, unplaced_chunk
from fastgd._pairwise import NUMPY_POINTS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fastgd._data.arrays import ConstantModelData, LinearModelData
    from fastgd._data.chunked import ChunkedConstantModelData, ChunkedLinearModelData


def open_row_reader(data: ChunkedConstantModelData | ChunkedLinearModelData) -> RemoteRowReader | MappedRowReader:
    """Open a reader of the rows of chunked data; the caller closes it."""
    return RemoteRowReader(data) if data.chunks.is_remote else MappedRowReader(data)


class MappedRowReader:
    """Rows in memory-mapped files."""

    def __init__(self, data: ChunkedConstantModelData | ChunkedLinearModelData) -> None:
        self._adapter: Any = data.adapter
        self._stack = contextlib.ExitStack()
        self._chunks = cast("Any", data.chunks)
        self._X, self._targets, self._weights = self._stack.enter_context(self._chunks.on_disk())
        # Positive weights before each stretch of NUMPY_POINTS rows, where some weights are 0.
        self._before = None
        if self._weights is not None and data.n < len(self._weights):
            counts = [np.count_nonzero(self._weights[start:start + NUMPY_POINTS] > 0)
                      for start in range(0, len(self._weights), NUMPY_POINTS)]
            self._before = np.cumsum([0, *counts])

    def rows(self, slices: Sequence[slice]) -> ConstantModelData | LinearModelData:
        """Copy the rows of the slices, one after another."""
        places = [self._places(part) for part in slices]
        arrays = (self._X, self._targets, self._weights)
        chunk = unplaced_chunk(*(None if array is None else np.concatenate([array[part] for part in places])
                                 for array in arrays))
        self._chunks.bytes_read += chunk.nbytes
        data: ConstantModelData | LinearModelData = self._adapter.adapt(chunk)
        return data

    def begin_epoch(self) -> None:
        """Count a pass."""
        self._chunks.passes += 1

    def _places(self, part: slice) -> Any:
        """Return where in the files the rows of a slice are, counted without those of weight 0."""
        if self._before is None:
            return part
        first = int(np.searchsorted(self._before, part.start, "right")) - 1
        last = int(np.searchsorted(self._before, part.stop))
        start, before = first * NUMPY_POINTS, self._before[first]
        positive = np.flatnonzero(self._weights[start:last * NUMPY_POINTS] > 0)
        return start + positive[part.start - before:part.stop - before]

    def close(self) -> None:
        """Unmap the files."""
        self._X = self._targets = self._weights = None
        self._stack.close()


class RemoteRowReader:
    """Rows that are cut out of chunks on the machines that hold these."""

    def __init__(self, data: ChunkedConstantModelData | ChunkedLinearModelData) -> None:
        self._data = data

    def rows(self, slices: Sequence[slice]) -> ConstantModelData | LinearModelData:
        """Copy the rows of the slices, one after another."""
        adapter = self._data.adapter
        assert isinstance(adapter, Adapter)
        places = [place for place, (first, end) in enumerate(itertools.pairwise(adapter.starts))
                  if any(part.start < end and first < part.stop for part in slices)]
        answers = cast("Any", self._data.chunks).map(functools.partial(_slices_of_chunk, adapter, slices), places)
        # The sort is stable, and chunks come in order, so the rows of a slice stay in order.
        found = sorted(itertools.chain.from_iterable(answers), key=lambda item: item[0])
        return adapter.adapt_normalized(concatenate_chunks([chunk for _, chunk in found]))

    def begin_epoch(self) -> None:
        """Count a pass."""
        self._data.chunks.passes += 1

    def close(self) -> None:
        """Do nothing: no file is open."""


def _slices_of_chunk(adapter: Adapter, slices: Sequence[slice], chunk: Chunk) -> list[tuple[int, Chunk]]:
    """Copy the rows of a chunk that lie in some slices of all rows, with the index of the slice."""
    data = adapter.adapt(chunk)
    if data is None:
        return []
    first, end = data.start, data.start + data.n
    return [(k, copy_rows(data, slice(max(part.start, first) - first, min(part.stop, end) - first)))
            for k, part in enumerate(slices) if part.start < end and first < part.stop]
