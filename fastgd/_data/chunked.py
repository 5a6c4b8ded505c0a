"""Sources in pieces that are not in memory together: what is computed of them has the bits of one array.

A piece answers a pass with the sums over the largest branches of the tree that lie in it, and with the rows of the
leaves that its ends cut. These are put together and summed here, and all sums added in the order of the tree. So no
bit depends on where the pieces are cut, or on who sums them. Rows that weigh 0 are not in the tree.
"""
from __future__ import annotations

import functools
import itertools
import zlib
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Protocol, TypeAlias, cast

import numpy as np

from fastgd._data.arrays import AnyPoints, AnyRows, Points, Rows, enough_rows, sum_of_points, sums_at, typed
from fastgd._kernels.mean import divide
from fastgd._limits import (
    CACHED_POINTS,
    FEW,
    MANY_POINTS,
    PARTS_OF_A_THREAD,
    POINTS_AT_ONCE,
    SLICE_OF_EACH,
    SUMS_COMPARED,
)
from fastgd._pairwise import added, assembled, branches, covered
from fastgd._thread_pool import ALONE, Threads

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from numpy.typing import NDArray

    from fastgd._types import DoubleArray, FloatArray, IndexArray, Integers, OwnMean, R
    from fastgd.losses.base import Loss


class Piece(NamedTuple):
    """Rows that follow each other, checked: finite numbers in arrays of equal lengths, of at least one row.

    Attributes
    ----------
    place : int
        Its place among the pieces.
    X : ndarray of shape (m, p), float32 or float64, C-contiguous, or None for points
    targets : ndarray of shape (m,), float32 or float64, contiguous
    weights : ndarray of shape (m,), float64, or None
        Numbers of at least 0, as they were given.
    """

    place: int
    X: FloatArray | None
    targets: FloatArray
    weights: DoubleArray | None

    @property
    def nbytes(self) -> int:
        """Bytes of its arrays."""
        return sum(array.nbytes for array in (self.X, self.targets, self.weights) if array is not None)


def taken(X: FloatArray | None, targets: FloatArray | None, weights: FloatArray | None) -> Piece:
    """Rows that were taken out of pieces, as a piece of no place among them."""
    assert targets is not None
    return Piece(-1, X, targets, cast("DoubleArray | None", weights))


def digest_of(arrays: Iterable[NDArray[Any] | None]) -> int:
    """Compute a checksum that detects any changed bit of contiguous numeric arrays, and most changes of their order.

    Every number of an array is added to one of `SUMS_COMPARED` sums, by its place. Labels as they were given, which one
    pass alone sees, are left out.
    """
    digest = 0
    for array in arrays:
        if array is not None and array.dtype.kind in "biuf":
            bits: Any = array.reshape(-1).view(f"u{array.itemsize}")
            whole = bits.size // SUMS_COMPARED * SUMS_COMPARED
            sums: Any = np.add.reduce(bits[:whole].reshape(-1, SUMS_COMPARED), axis=0, dtype=bits.dtype)
            digest = zlib.crc32(bits[whole:], zlib.crc32(sums, digest))
    return digest


class Pieces(Protocol):
    """What brings the pieces, in order and the same ones in each pass.

    Attributes
    ----------
    what : str
        What one piece is called in a message: "block", "chunk".
    names : list of str or None
        The columns of X, known after the first pass, if they have names.
    is_remote : bool
        Whether a piece is where it costs much to bring rows of it from; functions are then pickled.
    passes, bytes_read : int
        How often the data were read so far, and how much that was.
    """

    what: str
    names: list[str] | None
    is_remote: bool
    passes: int
    bytes_read: int

    def map(self, function: Callable[[Piece], R]) -> Iterator[R]:
        """`function` of each piece, in order: one pass. SourceError where a piece cannot be read, or changed.

        Of remote pieces those at some `places` can be asked alone.
        """
        ...

    def close(self) -> None:
        """Let go of what is kept of the data; a pass may bring them again."""
        ...


#: Where a branch stops and its sum, or where a cut leaf stops and those of its rows that are in a piece.
Found: TypeAlias = "tuple[int, FloatArray | Piece | None]"


class Facts(NamedTuple):
    """What the first pass sees in a piece; of what weighs more than 0."""

    n: int
    p: int
    dtype: np.dtype[Any]
    least: float
    most: float
    are_signs: bool    # all targets are -1 or 1
    weights: tuple[float, float] | None    # the least and the most


class View(NamedTuple):
    """What makes a piece a part of the whole.

    Attributes
    ----------
    starts : tuple of int
        Rows before each piece, and in all.
    intercept : bool
    names : tuple of str or None
    scale : tuple of float or None
        The largest weight and the mean of the weights over it; None where all are equal.
    """

    starts: tuple[int, ...]
    intercept: bool
    names: tuple[str, ...] | None
    scale: tuple[float, float] | None

    def source(self, piece: Piece) -> Points | Rows | None:
        """The points or rows of a piece, in memory; None if nothing in it weighs more than 0."""
        X, targets, weights = piece.X, piece.targets, piece.weights
        if weights is not None:
            kept = weights > 0
            if not kept.all():
                X, targets, weights = None if X is None else X[kept], targets[kept], weights[kept]
            weights = None if self.scale is None else np.divide(weights / self.scale[0], self.scale[1])
        if targets.size == 0:
            return None
        source: Points | Rows
        if X is None:
            source = Points(None, targets)
            source.weights = None if weights is None else weights.astype(targets.dtype, copy=False)
        else:
            source = object.__new__(Rows)
            source.intercept, source.X = self.intercept, X
            source.set_up(self.names, targets, weights)
        source.start = self.starts[piece.place] if piece.place >= 0 else 0
        return source


    def taken(self, piece: Piece) -> Points | Rows:
        """Rows that were taken out of pieces, whose weights are divided already."""
        source = self._replace(scale=None if self.scale is None else (1.0, 1.0)).source(piece)
        assert source is not None
        return source


class WeightsView(NamedTuple):
    """What makes of a piece the points that are its weights over the largest of all."""

    starts: tuple[int, ...]
    most: float

    def source(self, piece: Piece) -> Points | None:
        """The points, but for those that are 0."""
        assert piece.weights is not None
        kept = piece.weights[piece.weights > 0]
        if kept.size == 0:
            return None
        points = Points(None, kept / self.most)
        points.start = self.starts[piece.place]
        return points

    def taken(self, piece: Piece) -> Points:
        """Points that were taken out of pieces."""
        return Points(None, piece.targets)


def looked_at(piece: Piece) -> Facts:
    targets, weights = piece.targets, None
    if piece.weights is not None:
        kept = piece.weights > 0
        targets = targets[kept]
        weights = (np.inf, -np.inf)
        if targets.size:
            weights = float(piece.weights[kept].min()), float(piece.weights.max())
    p, dtype = (0, targets.dtype) if piece.X is None else (piece.X.shape[1], piece.X.dtype)
    if targets.size == 0:
        return Facts(0, p, dtype, np.inf, -np.inf, True, weights)
    are_signs = abs(targets.item(0)) == 1 and bool((np.abs(targets) == 1).all())
    return Facts(targets.size, p, dtype, float(targets.min()), float(targets.max()), are_signs, weights)


def _each_in(view: View | WeightsView, function: Callable[[Any, slice], R], threads: Threads, size: int,
             piece: Piece) -> list[R]:
    source = view.source(piece)
    return [] if source is None else source.each(function, threads, size)


def _found_in(view: View | WeightsView, sums: Callable[[Any, slice], FloatArray], most: int, threads: Threads,
              with_leaves: bool, piece: Piece) -> list[Found]:
    """The sums over the branches in a piece, and what is in there of leaves that are cut."""
    source = view.source(piece)
    if source is None:
        return []
    found: list[Found] = []
    first = source.start
    for start, stop, leaf, end in covered(view.starts[-1], first, first + source.n):
        part = slice(start - first, stop - first)
        if (start, stop) != (leaf, end):
            found.append((end, rows_in(source, part) if with_leaves else None))
        else:
            found.append((end, _branch_sums(source, sums, part, most, threads)))
    return found


def rows_in(source: Points | Rows, part: slice) -> Piece:
    """A copy of some rows, whose weights are as they are used."""
    X = source.X[part].copy() if source.is_rows else None
    weights = None if source.weights is None else source.weights[part].astype(np.float64)
    return Piece(-1, X, source.targets[part].copy(), weights)


def _branch_sums(source: Any, sums: Callable[[Any, slice], FloatArray], part: slice, most: int,
                 threads: Threads) -> FloatArray:
    n = part.stop - part.start
    parts = [slice(part.start + each.start, part.start + each.stop) for each in branches(n, most)]
    return added(n, most, threads.map(functools.partial(sums, source), parts))


def joined(pieces: Sequence[Any]) -> Piece:
    """The rows of several pieces as one."""
    return taken(*(None if part[0] is None else np.concatenate(part)
                   for part in zip(*(piece[1:] for piece in pieces), strict=True)))


def _drawn_in(places: IndexArray, source: Points | Rows, part: slice) -> Piece:
    """Those of the rows in a part that are at some of the places, which are sorted."""
    first = source.start + part.start
    low, high = np.searchsorted(places, [first, source.start + part.stop])
    at = places[low:high] - source.start
    weights = None if source.weights is None else source.weights[at].astype(np.float64)
    return Piece(-1, source.X[at] if source.is_rows else None, source.targets[at], weights)


class _Parted:
    """What both have in common: passes over pieces."""

    is_parted: Literal[True] = True
    everything: Any = None    # of which there is no one part
    n: int
    n_parameters: int

    def __init__(self, pieces: Pieces, facts: Sequence[Facts], intercept: bool) -> None:
        self.pieces = pieces
        # Of a piece that is far away the rows of leaves that are cut are brought here once.
        self._leaves: dict[int, Points | Rows] | None = None
        self._samples: dict[int, Points | Rows] = {}
        starts = tuple(itertools.accumulate((each.n for each in facts), initial=0))
        self.n = starts[-1]
        self._least, self._most = min(each.least for each in facts), max(each.most for each in facts)
        self._are_signs = all(each.are_signs for each in facts)
        self.dtype, self.p = facts[0].dtype, facts[0].p
        names = None if pieces.names is None else tuple(pieces.names)
        self.view: View | WeightsView = View(starts, intercept, names, None)
        if facts[0].weights is not None:
            self._take_weights([each.weights for each in facts if each.weights is not None])

    def _take_weights(self, ends: list[tuple[float, float]]) -> None:
        least, most = min(low for low, _ in ends), max(high for _, high in ends)
        if self.n == 0:
            raise ValueError("The 'sample_weight' parameter must have a number above 0. Got zeros only.")
        if least < most:
            view = self.view
            assert isinstance(view, View)
            self.view = WeightsView(view.starts, most)
            total = self.total(sum_of_points, POINTS_AT_ONCE).item()
            self.view, self._leaves = view._replace(scale=(most, total / self.n)), None

    @property
    def largest_weight(self) -> float:
        """Of the rows, whose mean weight is 1."""
        scale = self._scale
        return 1.0 if scale is None else float(self.dtype.type(1 / scale[1]))

    @property
    def is_weighted(self) -> bool:
        """Whether not all weights are equal."""
        return self._scale is not None

    @property
    def _scale(self) -> tuple[float, float] | None:
        return self.view.scale if isinstance(self.view, View) else None

    @property
    def extremes(self) -> tuple[float, float]:
        """The least and the largest target."""
        return self._least, self._most

    @property
    def has_signs(self) -> bool:
        """Whether all targets are -1 or 1, and some -1."""
        return self._are_signs and self._least == -1

    def each(self, function: Callable[[Any, slice], R], threads: Threads = ALONE,
             size: int = POINTS_AT_ONCE) -> list[R]:
        """`function` of points or rows in memory and of a slice of about so many numbers of them, one after another."""
        found = self.pieces.map(functools.partial(_each_in, self.view, function, threads, size))
        return list(itertools.chain.from_iterable(found))

    @property
    def reads(self) -> tuple[int, int]:
        """Passes so far, and bytes read."""
        return self.pieces.passes, self.pieces.bytes_read

    def total(self, sums: Callable[[Any, slice], Any], most: int, threads: Threads = ALONE) -> Any:
        """The sum over all of what `sums` of points or rows in memory and a branch of at most `most` answers."""
        if self.pieces.is_remote and self._leaves is None:
            self._leaves = self._cut_leaves()
        with_leaves = self._leaves is None
        found = self.pieces.map(functools.partial(_found_in, self.view, sums, most, threads, with_leaves))
        return assembled(self.n, self._summed(sums, itertools.chain.from_iterable(found)))

    def _summed(self, sums: Callable[[Any, slice], FloatArray],
                found: Iterator[Found]) -> Iterator[tuple[int, FloatArray]]:
        """What was found, the leaves that are cut summed too."""
        for end, group in itertools.groupby(found, key=lambda item: item[0]):
            parts = [part for _, part in group]
            if isinstance(parts[0], np.ndarray):
                yield end, parts[0]
            else:
                leaf = self.view.taken(joined(parts)) if self._leaves is None else self._leaves[end]
                yield end, sums(leaf, slice(0, leaf.n))

    def _cut_leaves(self) -> dict[int, Points | Rows]:
        """The leaves that the ends of pieces cut, by where they stop."""
        found = itertools.chain.from_iterable(self.pieces.map(functools.partial(_leaves_in, self.view)))
        return {end: self.view.taken(joined([part for _, part in group]))
                for end, group in itertools.groupby(found, key=lambda item: item[0])}

    def _drawn(self, places: IndexArray) -> Piece:
        """The rows at sorted places."""
        return joined(self.each(functools.partial(_drawn_in, places)))

    def sample(self, size: int) -> Any:
        """About so many of the rows, drawn at random from a fixed seed, in memory; all if there are hardly more."""
        if size not in self._samples:
            sizes = {size, FEW, enough_rows(self.n_parameters)} - set(self._samples)
            places = {each: np.sort(np.random.default_rng(0).integers(0, self.n, each))
                      if self.n > 2 * each else np.arange(self.n) for each in sizes}
            wanted = np.unique(np.concatenate(list(places.values())))
            drawn = self._drawn(wanted)
            for each, at in places.items():
                self._samples[each] = self.view.taken(_picked(drawn, np.searchsorted(wanted, at)))
        return self._samples[size]


def _leaves_in(view: View | WeightsView, piece: Piece) -> list[tuple[int, Piece]]:
    source = view.source(piece)
    if source is None:
        return []
    first = source.start
    return [(end, rows_in(source, slice(start - first, stop - first)))
            for start, stop, leaf, end in covered(view.starts[-1], first, first + source.n)
            if (start, stop) != (leaf, end)]


def _picked(piece: Piece, at: IndexArray) -> Piece:
    return taken(*(None if array is None else array[at] for array in piece[1:]))


class _Adder:
    """Adds up what a function answers; of small pieces for some together, as each answer has many numbers."""

    def __init__(self, view: Any, function: Callable[[Points, slice], Integers], threads: Threads) -> None:
        self._view, self._function, self._threads = view, function, threads
        self._held: list[FloatArray] = []
        self._total: Integers | None = None

    def __call__(self, piece: Piece) -> None:
        points = self._view.source(piece)
        if points is None:
            return
        if points.n >= SLICE_OF_EACH:
            self._add(points)
            return
        self._held.append(points.targets.copy())
        if sum(targets.size for targets in self._held) >= SLICE_OF_EACH:
            self.flush()

    def _add(self, points: Points) -> None:
        found = points.added(self._function, self._threads)
        self._total = found if self._total is None else self._total + found

    def flush(self) -> Integers:
        """What all that came answered."""
        if self._held:
            self._add(Points(None, np.concatenate(self._held)))
            self._held = []
        assert self._total is not None
        return self._total


def _added_in(view: View | WeightsView, function: Callable[[Points, slice], Integers], piece: Piece) -> Integers | None:
    points = view.source(piece)
    return points.added(function) if isinstance(points, Points) else None


class PartedPoints(_Parted, AnyPoints):
    """Points in pieces."""

    def __init__(self, pieces: Pieces, facts: Sequence[Facts]) -> None:
        super().__init__(pieces, facts, False)

    def mean(self, mean: OwnMean, theta: Any, threads: Threads = ALONE) -> float:
        """A compiled loss or gradient at one theta."""
        return self._means(mean, typed([theta], self.dtype), None, threads).item()

    def means(self, mean: OwnMean, thetas: Sequence[Any] | FloatArray, threads: Threads = ALONE) -> DoubleArray:
        """A compiled loss or gradient at each theta, in double, in one pass."""
        return self._means(mean, typed(thetas, self.dtype), None, threads).astype(np.float64, copy=False)

    def value_and_slope(self, loss: Loss, theta: float, threads: Threads = ALONE) -> tuple[float, float]:
        """The mean of a compiled loss and its slope, at one theta, in one pass."""
        value, slope = self.value_and_slopes(loss, [theta], threads)
        return value, slope

    def value_and_slopes(self, loss: Loss, thetas: Sequence[float], threads: Threads = ALONE) -> list[float]:
        """The mean of a compiled loss at the first theta, and its slope at each, in one pass."""
        found: list[float] = self._means(loss, typed([thetas[0], *thetas], self.dtype), 1, threads).tolist()
        return found

    def _means(self, mean: OwnMean, thetas: FloatArray, values: int | None, threads: Threads) -> FloatArray:
        if values is None:
            values = 0 if mean.is_slope else thetas.size
        most = max(CACHED_POINTS, min(mean.at_once // thetas.size, MANY_POINTS // (PARTS_OF_A_THREAD * threads.count)))
        means: FloatArray = self.total(functools.partial(sums_at, mean, values, thetas), most, threads)
        mean.version(divide, self.dtype)(mean.kernel, values, means, self.n)
        return means

    def added(self, function: Callable[[Points, slice], Integers], threads: Threads = ALONE) -> Integers:
        """The sum of the integers that `function` of points in memory and of a slice answers."""
        if self.pieces.is_remote:
            found = self.pieces.map(functools.partial(_added_in, self.view, function))
            return functools.reduce(np.add, (each for each in found if each is not None))
        adder = _Adder(self.view, function, threads)
        for _ in self.pieces.map(adder):
            pass
        return adder.flush()

    def drawn(self, size: int) -> Points:
        """So many of the points, drawn at random from a fixed seed, in memory; all if there are hardly more."""
        if size not in self._samples:
            if self.n <= 2 * size:
                self._samples[size] = self.view.taken(self._drawn(np.arange(self.n)))
            else:
                places = np.random.default_rng(0).integers(0, self.n, size)
                at = np.unique(places)
                some = self.view.taken(_picked(self._drawn(at), np.searchsorted(at, places)))
                # Of a sample the weights have a mean of 1 too.
                weights = None if some.weights is None else some.weights.astype(np.float64)
                self._samples[size] = Points(None, some.targets, weights)
        found = self._samples[size]
        assert isinstance(found, Points)
        return found


class PartedRows(_Parted, AnyRows):
    """Rows in pieces."""

    def __init__(self, pieces: Pieces, facts: Sequence[Facts], intercept: bool) -> None:
        self.intercept = intercept
        super().__init__(pieces, facts, intercept)
        self.names = None if pieces.names is None else tuple(pieces.names)


def parted(pieces: Pieces, fit_intercept: bool) -> PartedPoints | PartedRows:
    """The source that the pieces are, after a first pass that looks at all of them."""
    facts = list(pieces.map(looked_at))
    return PartedRows(pieces, facts, fit_intercept) if facts[0].p else PartedPoints(pieces, facts)
