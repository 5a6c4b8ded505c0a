"""Data in chunks that are not in memory together, whose sums have the bits of one array.

In a pass each chunk returns the sums over the largest subtrees of the pairwise sum that lie in it, and the rows of the
leaves that its ends cut. This module assembles and sums the cut leaves, and adds all sums in the order of the tree.
The result is bit-identical for any partition of the data and any number of workers. Rows of weight 0 are left out of
the tree.
"""
from __future__ import annotations

import functools
import itertools
import zlib
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Protocol, TypeAlias, cast

import numpy as np

from fastgd._data.arrays import (
    PARTS_OF_A_THREAD,
    SLICE_OF_EACH,
    SMALL_SAMPLE_ROWS,
    AnyConstantModelData,
    AnyLinearModelData,
    ConstantModelData,
    LinearModelData,
    OfPart,
    cast_thetas,
    sample_size,
    sum_targets,
    sums_at,
)
from fastgd._kernels.mean import divide
from fastgd._pairwise import (
    CACHED_POINTS,
    MIN_THREADED_POINTS,
    NUMPY_POINTS,
    reduce_cover,
    reduce_tree,
    subtrees,
    tree_cover,
)
from fastgd._thread_pool import SERIAL, ThreadPool

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from numpy.typing import NDArray

    from fastgd._types import CompiledMean, DoubleArray, FloatArray, IndexArray, Integers, R

#: Sums of the numbers of a block that are compared with those of the first pass: a prime, so that columns are mixed.
#: They are computed at 11 GB/s, a checksum of all bytes at 3.4 GB/s.
SUMS_COMPARED = 509


class Chunk(NamedTuple):
    """Checked rows that follow each other: finite numbers in contiguous arrays of one length, at least 1."""

    place: int    # index among the chunks, -1 for rows that were copied out of chunks
    X: FloatArray | None    # shape (m, p), float32 or float64; None for points
    targets: FloatArray    # shape (m,), float32 or float64
    weights: DoubleArray | None    # shape (m,), at least 0, as given

    @property
    def nbytes(self) -> int:
        """Bytes of the arrays."""
        return sum(array.nbytes for array in (self.X, self.targets, self.weights) if array is not None)


def unplaced_chunk(X: FloatArray | None, targets: FloatArray | None, weights: FloatArray | None) -> Chunk:
    """Return rows that were copied out of chunks as a chunk without a place."""
    assert targets is not None
    return Chunk(-1, X, targets, cast("DoubleArray | None", weights))


def checksum(arrays: Iterable[NDArray[Any] | None]) -> int:
    """Compute a checksum that detects any changed bit of contiguous numeric arrays, and most changes of their order.

    Each number is added to one of `SUMS_COMPARED` sums by its position. Labels of other types are left out.
    """
    result = 0
    for array in arrays:
        if array is not None and array.dtype.kind in "biuf":
            bits: Any = array.reshape(-1).view(f"u{array.itemsize}")
            whole = bits.size // SUMS_COMPARED * SUMS_COMPARED
            sums: Any = np.add.reduce(bits[:whole].reshape(-1, SUMS_COMPARED), axis=0, dtype=bits.dtype)
            result = zlib.crc32(bits[whole:], zlib.crc32(sums, result))
    return result


class Chunks(Protocol):
    """Reader of chunks, which are the same in each pass."""

    what: str    # name of a chunk in a message: "block" or "chunk"
    names: list[str] | None    # columns of X, known after the first pass, if they have names
    is_remote: bool    # True if chunks are on other machines; functions are then pickled
    passes: int    # passes so far
    bytes_read: int    # bytes read so far

    def map(self, function: Callable[[Chunk], R]) -> Iterator[R]:
        """Yield `function(chunk)` for the chunks in order, in one pass.

        SourceError if a chunk cannot be read or has changed. Remote chunks take a second argument, `places`.
        """
        ...

    def close(self) -> None:
        """Release the chunks that are stored between passes; a further pass reads the data again."""
        ...


class ChunkStatistics(NamedTuple):
    """Statistics of the rows of positive weight in a chunk, from the first pass."""

    n: int
    p: int
    dtype: np.dtype[Any]
    least: float
    most: float
    are_signs: bool    # all targets are -1 or 1
    weights: tuple[float, float] | None    # the least and the largest


class Adapter(NamedTuple):
    """Conversion of a chunk to data in memory, a part of all rows."""

    starts: tuple[int, ...]    # rows before each chunk, and in all
    intercept: bool
    names: tuple[str, ...] | None
    scale: tuple[float, float] | None    # largest weight, mean weight over it; None if all weights are equal

    def adapt(self, chunk: Chunk) -> ConstantModelData | LinearModelData | None:
        """Return the data of a chunk; None if no weight in it is positive."""
        X, targets, weights = chunk.X, chunk.targets, chunk.weights
        if weights is not None:
            positive = weights > 0
            if not positive.all():
                X, targets, weights = None if X is None else X[positive], targets[positive], weights[positive]
            weights = None if self.scale is None else np.divide(weights / self.scale[0], self.scale[1])
        if targets.size == 0:
            return None
        data: ConstantModelData | LinearModelData
        if X is None:
            data = ConstantModelData(None, targets)
            data.weights = None if weights is None else weights.astype(targets.dtype, copy=False)
        else:
            data = object.__new__(LinearModelData)
            data.intercept, data.X = self.intercept, X
            data.set_up(self.names, targets, weights)
        data.start = self.starts[chunk.place] if chunk.place >= 0 else 0
        return data

    def adapt_normalized(self, chunk: Chunk) -> ConstantModelData | LinearModelData:
        """Return the data of rows that were copied out of chunks, with normalized weights."""
        data = self._replace(scale=None if self.scale is None else (1.0, 1.0)).adapt(chunk)
        assert data is not None
        return data


class WeightsAdapter(NamedTuple):
    """Conversion of a chunk to points that are its weights, divided by the largest weight of all chunks."""

    starts: tuple[int, ...]
    most: float

    def adapt(self, chunk: Chunk) -> ConstantModelData | None:
        """Return the positive weights of a chunk as points."""
        assert chunk.weights is not None
        positive = chunk.weights[chunk.weights > 0]
        if positive.size == 0:
            return None
        points = ConstantModelData(None, positive / self.most)
        points.start = self.starts[chunk.place]
        return points

    def adapt_normalized(self, chunk: Chunk) -> ConstantModelData:
        """Return points that were copied out of chunks."""
        return ConstantModelData(None, chunk.targets)


AnyAdapter: TypeAlias = Adapter | WeightsAdapter
#: End of a subtree with its sum, or end of a leaf with its rows in one chunk.
_Partial: TypeAlias = "tuple[int, FloatArray | Chunk | None]"


def scan_chunk(chunk: Chunk) -> ChunkStatistics:
    """Compute the statistics of a chunk."""
    targets, weights = chunk.targets, None
    if chunk.weights is not None:
        positive = chunk.weights > 0
        targets = targets[positive]
        weights = (np.inf, -np.inf)
        if targets.size:
            weights = float(chunk.weights[positive].min()), float(chunk.weights.max())
    p, dtype = (0, targets.dtype) if chunk.X is None else (chunk.X.shape[1], chunk.X.dtype)
    if targets.size == 0:
        return ChunkStatistics(0, p, dtype, np.inf, -np.inf, True, weights)
    are_signs = abs(targets.item(0)) == 1 and bool((np.abs(targets) == 1).all())
    return ChunkStatistics(targets.size, p, dtype, float(targets.min()), float(targets.max()), are_signs, weights)


def _map_chunk(adapter: AnyAdapter, function: OfPart[R], threads: ThreadPool, size: int, chunk: Chunk) -> list[R]:
    data: Any = adapter.adapt(chunk)
    return [] if data is None else data.map_slices(function, threads, size)


def _sum_chunk(adapter: AnyAdapter, sums: OfPart[FloatArray], most: int, threads: ThreadPool, with_leaves: bool,
               chunk: Chunk) -> list[_Partial]:
    """Sum over the subtrees in a chunk, and copy the rows of leaves that its ends cut."""
    data = adapter.adapt(chunk)
    if data is None:
        return []
    found: list[_Partial] = []
    first = data.start
    for start, stop, leaf, end in tree_cover(adapter.starts[-1], first, first + data.n):
        part = slice(start - first, stop - first)
        if (start, stop) != (leaf, end):
            found.append((end, copy_rows(data, part) if with_leaves else None))
        else:
            parts = [slice(part.start + each.start, part.start + each.stop) for each in subtrees(stop - start, most)]
            found.append((end, reduce_tree(stop - start, most, threads.map(functools.partial(sums, data), parts))))
    return found


def _cut_leaves(adapter: AnyAdapter, chunk: Chunk) -> list[tuple[int, Chunk]]:
    """Copy the rows of leaves that the ends of a chunk cut, each with the end of the leaf."""
    data = adapter.adapt(chunk)
    if data is None:
        return []
    first = data.start
    return [(end, copy_rows(data, slice(start - first, stop - first)))
            for start, stop, leaf, end in tree_cover(adapter.starts[-1], first, first + data.n)
            if (start, stop) != (leaf, end)]


def copy_rows(data: ConstantModelData | LinearModelData, part: slice) -> Chunk:
    """Copy rows with their normalized weights."""
    weights = None if data.weights is None else data.weights[part].astype(np.float64)
    return Chunk(-1, data.X[part].copy() if data.is_rows else None, data.targets[part].copy(), weights)


def concatenate_chunks(chunks: Sequence[Any]) -> Chunk:
    """Concatenate the rows of several chunks."""
    return unplaced_chunk(*(None if part[0] is None else np.concatenate(part)
                            for part in zip(*(chunk[1:] for chunk in chunks), strict=True)))


def _take_places(places: IndexArray, data: ConstantModelData | LinearModelData, part: slice) -> Chunk:
    """Copy the rows of a part whose indices in the whole are among sorted `places`."""
    first = data.start + part.start
    low, high = np.searchsorted(places, [first, data.start + part.stop])
    at = places[low:high] - data.start
    weights = None if data.weights is None else data.weights[at].astype(np.float64)
    return Chunk(-1, data.X[at] if data.is_rows else None, data.targets[at], weights)


def _take_rows(chunk: Chunk, at: IndexArray) -> Chunk:
    return unplaced_chunk(*(None if array is None else array[at] for array in chunk[1:]))


class _ChunkedData:
    """Passes over chunks, for both models."""

    is_chunked: Literal[True] = True
    everything: Any = None    # no single part is all of the data
    n: int
    n_parameters: int

    def __init__(self, chunks: Chunks, statistics: Sequence[ChunkStatistics], intercept: bool) -> None:
        self.chunks = chunks
        # Rows of the cut leaves of remote chunks, copied here once.
        self._leaves: dict[int, ConstantModelData | LinearModelData] | None = None
        self._samples: dict[int, ConstantModelData | LinearModelData] = {}
        starts = tuple(itertools.accumulate((each.n for each in statistics), initial=0))
        self.n = starts[-1]
        self._least, self._most = min(each.least for each in statistics), max(each.most for each in statistics)
        self._are_signs = all(each.are_signs for each in statistics)
        self.dtype, self.p = statistics[0].dtype, statistics[0].p
        names = None if chunks.names is None else tuple(chunks.names)
        self.adapter: AnyAdapter = Adapter(starts, intercept, names, None)
        if statistics[0].weights is not None:
            self._normalize_weights([each.weights for each in statistics if each.weights is not None])

    def _normalize_weights(self, extremes: list[tuple[float, float]]) -> None:
        least, most = min(low for low, _ in extremes), max(high for _, high in extremes)
        if self.n == 0:
            raise ValueError("The 'sample_weight' parameter must have a number above 0. Got zeros only.")
        if least < most:
            adapter = self.adapter
            assert isinstance(adapter, Adapter)
            self.adapter = WeightsAdapter(adapter.starts, most)
            total = self.total(sum_targets, NUMPY_POINTS).item()
            self.adapter, self._leaves = adapter._replace(scale=(most, total / self.n)), None

    @property
    def largest_weight(self) -> float:
        """Largest weight, in units of the mean weight."""
        scale = self._scale
        return 1.0 if scale is None else float(self.dtype.type(1 / scale[1]))

    @property
    def is_weighted(self) -> bool:
        """True unless all weights are equal."""
        return self._scale is not None

    @property
    def _scale(self) -> tuple[float, float] | None:
        return self.adapter.scale if isinstance(self.adapter, Adapter) else None

    @property
    def extremes(self) -> tuple[float, float]:
        """Least and largest target."""
        return self._least, self._most

    @property
    def has_signs(self) -> bool:
        """True if all targets are -1 or 1, and some are -1."""
        return self._are_signs and self._least == -1

    @property
    def reads(self) -> tuple[int, int]:
        """Passes, and bytes read, so far."""
        return self.chunks.passes, self.chunks.bytes_read

    def map_slices(self, function: OfPart[R], threads: ThreadPool = SERIAL, size: int = NUMPY_POINTS) -> list[R]:
        """List `function(data in memory, slice)` over slices of about `size` numbers."""
        found = self.chunks.map(functools.partial(_map_chunk, self.adapter, function, threads, size))
        return list(itertools.chain.from_iterable(found))

    def total(self, sums: OfPart[Any], most: int, threads: ThreadPool = SERIAL) -> Any:
        """Add `sums(data in memory, subtree)` over subtrees of at most `most` rows, in the order of the tree."""
        if self.chunks.is_remote and self._leaves is None:
            found = itertools.chain.from_iterable(self.chunks.map(functools.partial(_cut_leaves, self.adapter)))
            self._leaves = {end: self._leaf([chunk for _, chunk in group])
                            for end, group in itertools.groupby(found, key=lambda item: item[0])}
        with_leaves = self._leaves is None
        partials = self.chunks.map(functools.partial(_sum_chunk, self.adapter, sums, most, threads, with_leaves))
        return reduce_cover(self.n, self._sum_leaves(sums, itertools.chain.from_iterable(partials)))

    def _leaf(self, parts: list[Any]) -> ConstantModelData | LinearModelData:
        return self.adapter.adapt_normalized(concatenate_chunks(parts))

    def _sum_leaves(self, sums: OfPart[FloatArray],
                    partials: Iterator[_Partial]) -> Iterator[tuple[int, FloatArray]]:
        """Yield the sums over subtrees, and sum the leaves that are cut."""
        for end, group in itertools.groupby(partials, key=lambda item: item[0]):
            parts = [part for _, part in group]
            if isinstance(parts[0], np.ndarray):
                yield end, parts[0]
            else:
                leaf = self._leaf(parts) if self._leaves is None else self._leaves[end]
                yield end, sums(leaf, slice(0, leaf.n))

    def _take(self, places: IndexArray) -> Chunk:
        """Copy the rows at sorted places."""
        return concatenate_chunks(self.map_slices(functools.partial(_take_places, places)))

    def sample(self, size: int) -> Any:
        """Return about `size` random rows in memory, from a fixed seed; all rows if n is at most 2 `size`."""
        if size not in self._samples:
            # One pass draws the samples of all sizes that a fit needs.
            sizes = {size, SMALL_SAMPLE_ROWS, sample_size(self.n_parameters)} - set(self._samples)
            places = {each: np.sort(np.random.default_rng(0).integers(0, self.n, each))
                      if self.n > 2 * each else np.arange(self.n) for each in sizes}
            wanted = np.unique(np.concatenate(list(places.values())))
            rows = self._take(wanted)
            for each, at in places.items():
                self._samples[each] = self.adapter.adapt_normalized(_take_rows(rows, np.searchsorted(wanted, at)))
        return self._samples[size]


class _IntegerSum:
    """Sum of the integers of a function over chunks; small chunks are joined first, as each result has many numbers."""

    def __init__(self, adapter: Any, function: OfPart[Integers], threads: ThreadPool) -> None:
        self._adapter, self._function, self._threads = adapter, function, threads
        self._held: list[FloatArray] = []
        self._total: Integers | None = None

    def __call__(self, chunk: Chunk) -> None:
        points = self._adapter.adapt(chunk)
        if points is None:
            return
        if points.n >= SLICE_OF_EACH:
            self._add(points)
            return
        self._held.append(points.targets.copy())
        if sum(targets.size for targets in self._held) >= SLICE_OF_EACH:
            self.flush()

    def _add(self, points: ConstantModelData) -> None:
        found = points.sum_integers(self._function, self._threads)
        self._total = found if self._total is None else self._total + found

    def flush(self) -> Integers:
        """Return the sum so far."""
        if self._held:
            self._add(ConstantModelData(None, np.concatenate(self._held)))
            self._held = []
        assert self._total is not None
        return self._total


def _sum_integers_of_chunk(adapter: AnyAdapter, function: OfPart[Integers], chunk: Chunk) -> Integers | None:
    points = adapter.adapt(chunk)
    return points.sum_integers(function) if isinstance(points, ConstantModelData) else None


class ChunkedConstantModelData(_ChunkedData, AnyConstantModelData):
    """Points in chunks."""

    def __init__(self, chunks: Chunks, statistics: Sequence[ChunkStatistics]) -> None:
        super().__init__(chunks, statistics, False)

    def mean(self, mean: CompiledMean, theta: Any, threads: ThreadPool = SERIAL) -> float:
        """Compute a compiled loss or gradient at one theta."""
        return self._means(mean, cast_thetas([theta], self.dtype), None, threads).item()

    def means(self, mean: CompiledMean, thetas: Sequence[Any] | FloatArray,
              threads: ThreadPool = SERIAL) -> DoubleArray:
        """Compute a compiled loss or gradient at each theta, in float64, in one pass."""
        return self._means(mean, cast_thetas(thetas, self.dtype), None, threads).astype(np.float64, copy=False)

    def value_and_gradient(self, loss: CompiledMean, theta: float, threads: ThreadPool = SERIAL) -> tuple[float, float]:
        """Compute the mean of a compiled loss and its slope at one theta, in one pass."""
        value, slope = self.value_and_gradients(loss, [theta], threads)
        return value, slope

    def value_and_gradients(self, loss: CompiledMean, thetas: Sequence[float],
                         threads: ThreadPool = SERIAL) -> list[float]:
        """Compute the mean of a compiled loss at the first theta, and its slope at each, in one pass."""
        found: list[float] = self._means(loss, cast_thetas([thetas[0], *thetas], self.dtype), 1, threads).tolist()
        return found

    def _means(self, mean: CompiledMean, thetas: FloatArray, values: int | None, threads: ThreadPool) -> FloatArray:
        if values is None:
            values = 0 if mean.is_gradient else thetas.size
        threaded = MIN_THREADED_POINTS // (PARTS_OF_A_THREAD * threads.count)
        most = max(CACHED_POINTS, min(mean.at_once // thetas.size, threaded))
        means: FloatArray = self.total(functools.partial(sums_at, mean, values, thetas), most, threads)
        mean.version(divide, self.dtype)(mean.kernel, values, means, self.n)
        return means

    def sum_integers(self, function: OfPart[Integers], threads: ThreadPool = SERIAL) -> Integers:
        """Add the integers `function(points in memory, slice)` over all slices."""
        if self.chunks.is_remote:
            found = self.chunks.map(functools.partial(_sum_integers_of_chunk, self.adapter, function))
            return functools.reduce(np.add, (each for each in found if each is not None))
        result = _IntegerSum(self.adapter, function, threads)
        for _ in self.chunks.map(result):
            pass
        return result.flush()

    def draw(self, size: int) -> ConstantModelData:
        """Draw `size` points with replacement, from a fixed seed, in memory; all points if n is at most 2 `size`."""
        if size not in self._samples:
            if self.n <= 2 * size:
                self._samples[size] = self.adapter.adapt_normalized(self._take(np.arange(self.n)))
            else:
                places = np.random.default_rng(0).integers(0, self.n, size)
                at = np.unique(places)
                some = self.adapter.adapt_normalized(_take_rows(self._take(at), np.searchsorted(at, places)))
                # The weights of the sample are normalized anew.
                weights = None if some.weights is None else some.weights.astype(np.float64)
                self._samples[size] = ConstantModelData(None, some.targets, weights)
        found = self._samples[size]
        assert isinstance(found, ConstantModelData)
        return found


class ChunkedLinearModelData(_ChunkedData, AnyLinearModelData):
    """Rows in chunks."""

    def __init__(self, chunks: Chunks, statistics: Sequence[ChunkStatistics], intercept: bool) -> None:
        self.intercept = intercept
        super().__init__(chunks, statistics, intercept)
        self.names = None if chunks.names is None else tuple(chunks.names)


def scan_chunks(chunks: Chunks, fit_intercept: bool) -> ChunkedConstantModelData | ChunkedLinearModelData:
    """Compute the statistics of all chunks in a first pass; return the chunked data."""
    statistics = list(chunks.map(scan_chunk))
    if statistics[0].p:
        return ChunkedLinearModelData(chunks, statistics, fit_intercept)
    return ChunkedConstantModelData(chunks, statistics)
