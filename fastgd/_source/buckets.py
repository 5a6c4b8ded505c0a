"""Points by bucket: how they are counted, added up and gathered, in integers, so that no order of points changes a bit.

A point has an address, of its bucket and of its offset there in units of 2**-42 of the bucket's width, which rises with
it. A cell is a range of addresses within one bucket. Offsets add up exactly, and so do their squares.
"""
from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from itertools import accumulate
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from fastgd._kernels import buckets as kernels
from fastgd._limits import BUCKETS, FAR_BUCKETS, FEW_SLICES, FEWER_BUCKETS, SLICE_OF_EACH

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from fastgd._source.points import Points
    from fastgd._types import DoubleArray

    Integers = NDArray[np.int64]

#: Bits of an offset, and of its halves; points that the kernel adds up at once. They are the kernel's own.
OFFSET_BITS, HALF_BITS, AT_ONCE = 42, 21, 2**20
OFFSETS = 2**OFFSET_BITS
#: Bits of a share of a cell.
SHARE_BITS = 40
#: The widths of buckets are from this power of two on, whose inverse is finite, and at least so many below the largest
#: number, so that each edge is a double.
_NARROWEST, _BITS_OF_EDGES = -1000, 50


class Moments(NamedTuple):
    """Of points in units of the layout: how many, their sum and that of their squares."""

    n: int
    first: int
    second: int

    def less(self, other: Moments) -> Moments:
        """The moments of those that are not in the other."""
        return Moments(self.n - other.n, self.first - other.first, self.second - other.second)

    def plus(self, other: Moments) -> Moments:
        """The moments of both."""
        return Moments(self.n + other.n, self.first + other.first, self.second + other.second)

    def part(self, share: int) -> Moments:
        """The moments of so many 2**-40 of the points, if those were spread evenly."""
        return Moments(*(each * share >> SHARE_BITS for each in self))

    def about(self, center: int) -> Moments:
        """The moments of the distances from a center."""
        return Moments(self.n, self.first - self.n * center,
                       self.second - center * (2 * self.first - self.n * center))


NONE = Moments(0, 0, 0)


class Layout(NamedTuple):
    """Three rows of buckets of equal widths: a window, and what is below and above it.

    Attributes
    ----------
    cuts : tuple of float
        Where the window begins and ends.
    rows : tuple of tuples
        Of each row the origin, one over the width, the number of buckets, and the number of its first one.
    origins, shifts : tuple of int
        The origins in units, and the binary logarithms of an offset of each row in units.
    unit : int
        The binary logarithm of the unit of positions, which is that of the offsets in the window.
    """

    cuts: tuple[float, float]
    rows: tuple[tuple[float, float, int, int], ...]
    origins: tuple[int, int, int]
    shifts: tuple[int, int, int]
    unit: int

    @property
    def n_buckets(self) -> int:
        """In all rows."""
        return self.rows[2][2] + self.rows[2][3]

    @property
    def arrays(self) -> tuple[DoubleArray, DoubleArray]:
        """The cuts and the rows as kernels take them."""
        return np.array(self.cuts), np.array(self.rows, np.float64)

    def addresses(self, points: DoubleArray) -> Integers:
        """The address of each point; those beyond the first or last bucket are in it."""
        row = (points >= self.cuts[0]).astype(np.intp) + (points >= self.cuts[1])
        origins, scales, sizes, firsts = (numbers[row] for numbers in self.arrays[1].T)
        places = np.clip((points - origins) * scales, 0, sizes - 2.0**-10)
        buckets = places.astype(np.int64)
        offsets = ((places - buckets) * OFFSETS).astype(np.int64)
        return ((buckets + firsts.astype(np.int64)) << OFFSET_BITS) + offsets

    def address(self, point: float) -> int:
        """That of one point."""
        origin, scale, size, first = self.rows[(point >= self.cuts[0]) + (point >= self.cuts[1])]
        place = min(max((point - origin) * scale, 0.0), size - 2.0**-10)
        bucket = int(place)
        return ((bucket + first) << OFFSET_BITS) + int((place - bucket) * OFFSETS)

    def moments(self, bucket: int, n: int, offsets: int, squares: int) -> Moments:
        """The moments of points of one bucket, from how many they are and the sums of their offsets and the squares."""
        row = (bucket >= self.rows[1][3]) + (bucket >= self.rows[2][3])
        shift = self.shifts[row]
        start = self.origins[row] + ((bucket - self.rows[row][3]) << (OFFSET_BITS + shift))
        offsets <<= shift
        return Moments(n, n * start + offsets, start * (n * start + 2 * offsets) + (squares << (2 * shift)))

    def of_cells(self, starts: Integers, limbs: Integers) -> tuple[list[int], list[int], list[int]]:
        """The moments of cells by their starts and the limbs of their totals: counts, sums and sums of squares."""
        buckets = starts >> OFFSET_BITS
        rows = (buckets >= self.rows[1][3]).astype(np.intp) + (buckets >= self.rows[2][3])
        found: list[list[int]] = [[], [], []]
        for row in range(3):
            here, shift = rows == row, self.shifts[row]
            n, low, high, *squares = (each.astype(object) for each in limbs[:, here])
            start = ((buckets[here] - self.rows[row][3]).astype(object) << (OFFSET_BITS + shift)) + self.origins[row]
            offsets = (low + (high << OFFSET_BITS)) << shift
            first = n * start + offsets
            second = start * (first + offsets)
            second += (squares[0] + (squares[1] << OFFSET_BITS) + (squares[2] << 2 * OFFSET_BITS)) << 2 * shift
            for to, each in zip(found, (n, first, second), strict=True):
                to += each.tolist()
        return found[0], found[1], found[2]

    def position(self, number: float, finer: int) -> int:
        """Any number in 2**-`finer` of a unit, rounded down."""
        mantissa, exponent = math.frexp(number)
        whole, shift = int(mantissa * 2**53), exponent - 53 - self.unit + finer
        return whole << shift if shift >= 0 else whole >> -shift


def layout_of(low: float, high: float, window: tuple[float, float], n: int) -> Layout:
    """A layout for n points from `low` to `high`; most of its buckets are in the window, which is within them."""
    most = BUCKETS if n <= FEW_SLICES * SLICE_OF_EACH else FEWER_BUCKETS
    size = max(abs(low), abs(high))
    narrowest = max(math.frexp(size)[1] - _BITS_OF_EDGES, _NARROWEST)
    fine = _width((window[1] - window[0]) / (most - 2), narrowest)
    coarse = _width((high - low) / (FAR_BUCKETS - 2), fine)
    first, last = (math.floor(math.ldexp(end, -fine)) for end in window)
    far = math.floor(math.ldexp(low, -coarse))
    # One more than needed, as what is just below an end may be rounded to it.
    n_near, n_far = last - first + 2, math.floor(math.ldexp(high, -coarse)) - far + 2
    inner, outer = (math.ldexp(float(first), fine), 2.0**-fine), (math.ldexp(float(far), coarse), 2.0**-coarse)
    rows = (*outer, n_far, 0), (*inner, n_near, n_far), (*outer, n_far, n_far + n_near)
    cuts = inner[0], math.ldexp(float(last + 1), fine)
    shift = coarse - fine
    origins = far << (OFFSET_BITS + shift), first << OFFSET_BITS, far << (OFFSET_BITS + shift)
    return Layout(cuts, rows, origins, (shift, 0, shift), fine - OFFSET_BITS)


def _width(least: float, narrowest: int) -> int:
    """The binary logarithm of the width of a bucket."""
    return max(math.frexp(least)[1], narrowest) if least else narrowest


# Of a part of the points.

def bounds(points: Points, part: slice) -> tuple[float, float]:
    """The least and the greatest."""
    targets = points.targets[part]
    return float(targets.min()), float(targets.max())


def counted(layout: Layout, with_squares: bool, points: Points, part: slice) -> Integers:
    """The limbs of the totals of each bucket."""
    found = 0
    for targets in _at_once(points.targets[part]):
        totals = np.zeros((layout.n_buckets, 5 if with_squares else 2), np.int64)
        if not kernels.count(targets, *layout.arrays, with_squares, totals):
            raise ValueError("the data changed between two passes")
        found = found + _limbs(totals.T)
    return found


def split(layout: Layout, spans: Spans, starts: Integers, points: Points, part: slice) -> Integers:
    """The limbs of the totals of the cells with these starts, of points in the spans, of which the cells are parts."""
    found = np.zeros((6, len(starts)), np.int64)
    for targets in _at_once(points.targets[part]):
        addresses = np.sort(layout.addresses(spans.chosen(layout, targets)))
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


def gathered(layout: Layout, spans: Spans, points: Points, part: slice) -> list[tuple[DoubleArray, Integers | None]]:
    """The points in the spans: the values that there are, in order, and how often there is each; None for once."""
    found = []
    for targets in _at_once(points.targets[part]):
        chosen = spans.chosen(layout, targets)
        found.append(multiplicities([(chosen[spans.have(layout.addresses(chosen))], None)]))
    return found


def multiplicities(parts: Sequence[tuple[DoubleArray, Integers | None]]) -> tuple[DoubleArray, Integers | None]:
    """The distinct values of all parts, in order, and how often there is each; None for once."""
    values = np.concatenate([each for each, _ in parts]) + 0.0    # one zero
    counts = None
    if all(count is None for _, count in parts):
        values.sort()
    else:
        order = np.argsort(values, kind="stable")
        values = values[order]
        counts = np.concatenate([np.ones(len(each), np.int64) if count is None else count for each, count in parts])
        counts = counts[order]
    is_new = np.ones(len(values), np.bool_)
    np.not_equal(values[1:], values[:-1], out=is_new[1:])
    if is_new.all():
        return values, counts
    firsts = np.flatnonzero(is_new)
    if counts is None:
        return values[firsts], np.diff(firsts, append=len(values))
    return values[firsts], np.add.reduceat(counts, firsts)


class Spans(NamedTuple):
    """Ranges of addresses that do not overlap, in order, and which buckets they are in."""

    starts: Integers
    stops: Integers
    wanted: NDArray[np.uint8]

    def chosen(self, layout: Layout, targets: Any) -> DoubleArray:
        """The points in those buckets."""
        out = np.empty(len(targets))
        return out[:kernels.select(targets, *layout.arrays, self.wanted, out)]

    def have(self, addresses: Integers) -> NDArray[np.bool_]:
        """Which of the addresses are in a span."""
        place = np.searchsorted(self.starts, addresses, side="right") - 1
        return (place >= 0) & (addresses < self.stops[place])


def spans_of(layout: Layout, ranges: Sequence[tuple[int, int]]) -> Spans:
    """The Spans of ranges of addresses, each within a bucket, in order."""
    starts, stops = np.array(ranges, np.int64).T
    wanted = np.zeros(layout.n_buckets, np.uint8)
    wanted[starts >> OFFSET_BITS] = 1
    return Spans(np.ascontiguousarray(starts), np.ascontiguousarray(stops), wanted)


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
        self.layout, self.limbs, self.starts = layout, limbs, starts.tolist()
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
    """The points of a cell, sorted: the moments of those below any place among them.

    Prefix sums of the offsets are made when they are first asked for, in limbs of 14 bits, whose products can be added
    2**33 times.
    """

    def __init__(self, layout: Layout, start: int, values: DoubleArray, counts: Integers | None) -> None:
        self._layout, self._bucket = layout, start >> OFFSET_BITS
        self.values, self._counts = values, counts
        self._sums: Integers | None = None

    def around(self, theta: float, offset: float) -> tuple[Moments, Moments]:
        """The moments of those whose distance from theta, as a double, is below the offset, and not above it."""
        values = self.values
        place = end = bisect_left(values, offset, key=lambda y: float(y) - theta)
        while end < len(values) and float(values[end]) - theta == offset:
            end += 1
        under = self.below(place)
        return under, under if end == place else self.below(end)

    def below(self, place: int) -> Moments:
        """The moments of the first `place` values."""
        if place == 0:
            return NONE
        if self._sums is None:
            self._sums = self._prefix_sums()
        n, a, b, c, *squares = self._sums[:, place - 1].tolist()
        return self._layout.moments(self._bucket, n, a + (b << 14) + (c << 28),
                                    sum(each << 14 * k for k, each in enumerate(squares)))

    def _prefix_sums(self) -> Integers:
        offsets = self._layout.addresses(self.values) & OFFSETS - 1
        a, b, c = offsets & 2**14 - 1, offsets >> 14 & 2**14 - 1, offsets >> 28
        one = np.ones_like(offsets)
        terms = np.array([one, a, b, c, a * a, 2 * a * b, 2 * a * c + b * b, 2 * b * c, c * c])
        sums: Integers = np.cumsum(terms if self._counts is None else terms * self._counts, axis=1)
        return sums
