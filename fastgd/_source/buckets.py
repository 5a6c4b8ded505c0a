"""Points by bucket: how they are counted, added up and gathered, in integers, so that no order of points changes a bit.

A cell is a range of addresses within one bucket. Offsets add up exactly, and so do their squares.
"""
from __future__ import annotations

from bisect import bisect_left, bisect_right
from itertools import accumulate
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from fastgd._kernels import buckets as kernels
from fastgd._source.layout import NONE, OFFSET_BITS, OFFSETS, Layout, Moments

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from fastgd._source.points import Points
    from fastgd._types import DoubleArray, IndexArray, Integers

#: Bits of half an offset, and points that the kernel adds up at once: its own.
HALF_BITS, AT_ONCE = 21, 2**20


# Of a part of the points.

def bounds(points: Points, part: slice) -> tuple[float, float]:
    """The least and the greatest."""
    targets = points.targets[part]
    return float(targets.min()), float(targets.max())


def counted(layout: Layout, with_squares: bool, points: Points, part: slice) -> Integers:
    """The limbs of the totals of each bucket."""
    found = np.zeros((6, layout.n_buckets), np.int64)
    for targets in _at_once(points.targets[part]):
        totals = np.zeros((layout.n_buckets, 5 if with_squares else 2), np.int64)
        if not kernels.count(targets, layout.table, with_squares, totals):
            raise ValueError("the data changed between two passes")
        found += _limbs(totals.T)
    return found


def split(layout: Layout, spans: Spans, starts: Integers, points: Points, part: slice) -> Integers:
    """The limbs of the totals of the cells with these starts, of points in the spans, of which the cells are parts."""
    found = np.zeros((6, len(starts)), np.int64)
    for targets in _at_once(points.targets[part]):
        addresses = np.sort(layout.addresses(spans.chosen(layout, targets)[0]))
        addresses = addresses[spans.have(addresses)]
        edges = np.searchsorted(addresses, starts)
        held = np.flatnonzero(np.diff(edges, append=len(addresses)))
        if len(held):
            offsets = addresses & OFFSETS - 1
            high, low = offsets >> HALF_BITS, offsets & 2**HALF_BITS - 1
            sums = [np.add.reduceat(each, edges[held])
                    for each in (np.ones_like(offsets), offsets, high * high, high * low, low * low)]
            found[:, held] += _limbs(np.array(sums))
    return found


class Group(NamedTuple):
    """Points by span: those of one follow each other, `sizes` of them; `counts` how often there is each, if not once.

    Where there may be ties, those of one value are one.
    """

    values: DoubleArray
    counts: Integers | None
    sizes: Integers


def gathered(layout: Layout, spans: Spans, has_ties: bool, points: Points, part: slice) -> list[Group]:
    """The points in the spans."""
    found = []
    for targets in _at_once(points.targets[part]):
        values, numbers = spans.chosen(layout, targets)
        if not spans.are_whole:
            addresses = layout.addresses(values)
            inside = spans.have(addresses)
            values, numbers = values[inside], spans.number(addresses[inside]).astype(np.uint16)
        counts = None
        if has_ties:
            values, firsts, counts = np.unique(values, return_index=True, return_counts=True)
            numbers = numbers[firsts]
        else:
            values = values[np.argsort(numbers, kind="stable")]
        found.append(Group(values, counts, np.bincount(numbers, minlength=len(spans.starts))))
    return found


class Spans(NamedTuple):
    """Ranges of addresses that do not overlap, in order, each within a bucket.

    Attributes
    ----------
    starts, stops : ndarray
        Where they begin and end.
    numbers : ndarray
        For each bucket the number of its span, or of one of them, and -1 where it has none.
    are_whole : bool
        Whether each is a bucket.
    """

    starts: Integers
    stops: Integers
    numbers: NDArray[np.int32]
    are_whole: bool

    def chosen(self, layout: Layout, targets: Any) -> tuple[DoubleArray, NDArray[np.uint16]]:
        """The points in buckets with a span, and the numbers."""
        out, number_of = np.empty(len(targets)), np.empty(len(targets), np.uint16)
        rows = np.array([(self.numbers[row.first:row.first + row.size] >= 0).any() for row in layout.rows])
        found = kernels.select(targets, layout.table[rows], self.numbers, out, number_of)
        return out[:found], number_of[:found]

    def number(self, addresses: Integers) -> IndexArray:
        """The number of the last span that begins before each address."""
        return np.searchsorted(self.starts, addresses, side="right") - 1

    def have(self, addresses: Integers) -> NDArray[np.bool_]:
        """Which of the addresses are in a span."""
        number = self.number(addresses)
        return (number >= 0) & (addresses < self.stops[number])


def spans_of(layout: Layout, starts: Sequence[int], stops: Sequence[int]) -> Spans:
    """The Spans of ranges of addresses, each within a bucket, in order."""
    first, stop = np.array(starts, np.int64), np.array(stops, np.int64)
    numbers = np.full(layout.n_buckets, -1, np.int32)
    numbers[first >> OFFSET_BITS] = np.arange(len(first))
    return Spans(first, stop, numbers, bool((stop - first == OFFSETS).all()))


def _at_once(targets: Any) -> list[Any]:
    return [targets[start:start + AT_ONCE] for start in range(0, len(targets), AT_ONCE)]


def _limbs(totals: Integers) -> Integers:
    """Counts, and the limbs of 42 bits of sums of offsets and of squares, which can be added a million times."""
    count, total = totals[:2]
    mask = OFFSETS - 1
    out = np.zeros((6, len(count)), np.int64)
    out[:3] = count, total & mask, total >> OFFSET_BITS
    if len(totals) == 5:
        high, cross, low = totals[2:]
        # (high 2**21 + low)**2 has the cross product twice.
        low = low + ((cross & 2**(HALF_BITS - 1) - 1) << HALF_BITS + 1)
        high = high + (cross >> HALF_BITS - 1) + (low >> OFFSET_BITS)
        out[3:] = low & mask, high & mask, high >> OFFSET_BITS
    return out


class Cells:
    """Ranges of addresses, each within a bucket, one after another, and the moments of the points in them."""

    def __init__(self, layout: Layout, starts: Integers, limbs: Integers) -> None:
        self.layout, self.limbs = layout, limbs
        self.starts: list[int] = starts.tolist()
        self.counts: list[int] = limbs[0].tolist()
        self._moments = layout.of_cells(starts, limbs)
        self._before = [list(accumulate(each, initial=0)) for each in self._moments]

    def __len__(self) -> int:
        return len(self.starts)

    def at(self, address: int) -> int:
        """The cell of an address, the first one of what is below all."""
        return max(bisect_right(self.starts, address) - 1, 0)

    def stop(self, cell: int) -> int:
        """Where a cell ends."""
        return self.starts[cell + 1] if cell + 1 < len(self) else self.layout.n_buckets << OFFSET_BITS

    def width(self, cell: int) -> int:
        """How many addresses there are in a cell."""
        return self.stop(cell) - self.starts[cell]

    def of(self, cell: int) -> Moments:
        """The moments of a cell."""
        n, first, second = self._moments
        return Moments(n[cell], first[cell], second[cell])

    def before(self, cell: int) -> Moments:
        """The moments of all cells before one."""
        n, first, second = self._before
        return Moments(n[cell], first[cell], second[cell])

    def with_parts(self, starts: Integers, limbs: Integers) -> Cells:
        """The cells with some of them cut into parts, whose starts and totals these are."""
        every, where = np.unique(np.concatenate([starts, self.starts]), return_index=True)    # the parts' where equal
        return Cells(self.layout, every, np.concatenate([limbs, self.limbs], axis=1)[:, where])


class Gathered:
    """The points of a cell: the moments of those below any place among them, once they are sorted.

    Sums of products of halves of offsets are below 2**63 for 2**21 points, each once, those of thirds for 2**33.
    """

    _bits = HALF_BITS
    _multiplicities: Integers | None = None

    def __init__(self, layout: Layout, start: int) -> None:
        self._layout, self._bucket = layout, start >> OFFSET_BITS
        self._parts: list[tuple[DoubleArray, Integers | None]] = []
        self._values: DoubleArray = np.empty(0)
        #: Prefix sums: of how many points, and which power of two to multiply those of offsets and of squares with.
        self._counts: Integers | None = None
        self._firsts: list[tuple[Integers, int]] = []
        self._seconds: list[tuple[Integers, int]] = []

    def add(self, values: DoubleArray, counts: Integers | None) -> None:
        """Take points in."""
        self._parts.append((values, counts))

    def around(self, theta: float, offset: float, with_second: bool) -> tuple[Moments, Moments]:
        """The moments of those whose distance from theta, as a double, is below the offset, and not above it.

        Those of second order are 0 unless they are asked for.
        """
        if self._parts:
            self._sort()
        values = self._values
        place = end = bisect_left(values, offset, key=lambda y: float(y) - theta)
        while end < len(values) and float(values[end]) - theta == offset:
            end += 1
        if with_second and not self._seconds:
            self._seconds = self._products()
        under = self._below(place)
        return under, under if end == place else self._below(end)

    def _below(self, place: int) -> Moments:
        """The moments of the first `place` values."""
        if place == 0:
            return NONE
        n = place if self._counts is None else int(self._counts[place - 1])
        first, second = (sum(int(sums[place - 1]) << shift for sums, shift in each)
                         for each in (self._firsts, self._seconds))
        return self._layout.moments(self._bucket, n, first, second)

    def _sort(self) -> None:
        values = np.concatenate([each for each, _ in self._parts])
        if any(counts is not None for _, counts in self._parts) or len(values) >= 2**HALF_BITS:
            counts = np.concatenate([np.ones(len(each), np.int64) if counts is None else counts
                                     for each, counts in self._parts])
            self._values, place = np.unique(values, return_inverse=True)
            together = np.zeros(len(self._values), np.int64)
            np.add.at(together, place.ravel(), counts)
            self._sum_up(14, together)
        else:
            values.sort()
            self._values = values
            self._sum_up(HALF_BITS, None)
        self._parts = []

    def _sum_up(self, bits: int, counts: Integers | None) -> None:
        """Make the prefix sums, of limbs of so many bits."""
        self._bits, self._multiplicities = bits, counts
        self._counts = None if counts is None else np.cumsum(counts)
        self._firsts = [(self._summed(limb), k * bits) for k, limb in enumerate(self._limbs())]

    def _products(self) -> list[tuple[Integers, int]]:
        """The prefix sums of the products of limbs, each of which is twice in a square unless it is of one."""
        limbs = list(enumerate(self._limbs()))
        return [(self._summed(one * other), (k + m) * self._bits + (k != m))
                for k, one in limbs for m, other in limbs[:k + 1]]

    def _limbs(self) -> list[Integers]:
        offsets = self._layout.offsets(self._values, self._bucket)
        return [offsets >> shift & 2**self._bits - 1 for shift in range(0, OFFSET_BITS, self._bits)]

    def _summed(self, terms: Integers) -> Integers:
        sums: Integers = np.cumsum(terms if self._multiplicities is None else terms * self._multiplicities)
        return sums
