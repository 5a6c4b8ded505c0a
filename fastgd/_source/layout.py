"""Buckets, and where each point is in them: widths are powers of two, so that hardly anything is rounded.

A point has an address, of its bucket and of its offset there in units of 2**-42 of the bucket's width, which rises with
it. `fastgd._kernels.buckets` finds the same buckets and offsets.
"""
from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from fastgd._limits import BUCKETS, FAR_BUCKETS, FEW_SLICES, FEWER_BUCKETS, POINTS_OF_A_BUCKET, SLICE_OF_EACH

if TYPE_CHECKING:

    from fastgd._types import DoubleArray, Integers

#: Bits of an offset: the kernel's own.
OFFSET_BITS = 42
OFFSETS = 2**OFFSET_BITS
#: The widths of buckets are from this power of two on, whose inverse is finite, and so many below the numbers there at
#: most, so that each edge is a double.
_NARROWEST, _BITS_OF_EDGES = -1000, 50
#: Each row reaches so many powers of two as far as the one before it, and farther if more rows would be needed.
_GROWTH, _MOST_FAR_ROWS = 6, 8


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

    def times(self, number: int) -> Moments:
        """The moments of so many of each point."""
        return Moments(*(number * each for each in self))

    def part(self, n: int) -> Moments:
        """The moments of n points of the same mean and mean square."""
        return Moments(n, self.first * n // self.n, self.second * n // self.n)

    def about(self, center: int) -> Moments:
        """The moments of the distances from a center."""
        return Moments(self.n, self.first - self.n * center,
                       self.second - center * (2 * self.first - self.n * center))


NONE = Moments(0, 0, 0)


class Row(NamedTuple):
    """Buckets of one width.

    Attributes
    ----------
    cut, origin, scale : float
        Where it begins, where its buckets are counted from, and one over their width.
    size, first : int
        How many buckets it has, and the number of the first.
    start, shift : int
        The origin in units of the layout, and the binary logarithm of an offset.
    """

    cut: float
    origin: float
    scale: float
    size: int
    first: int
    start: int
    shift: int


class Layout(NamedTuple):
    """Rows of buckets, one after another: a window, and on both sides of it rows that grow wider.

    A point at a distance from the window is so rounded to a small part of that.

    Attributes
    ----------
    rows : tuple of Row
        In order.
    unit : int
        The binary logarithm of the unit of positions, which is that of the offsets in the window.
    """

    rows: tuple[Row, ...]
    unit: int

    @property
    def n_buckets(self) -> int:
        """In all rows."""
        return self.rows[-1].first + self.rows[-1].size

    @property
    def table(self) -> DoubleArray:
        """The rows as kernels take them."""
        return np.array([row[:5] for row in self.rows], np.float64)

    def addresses(self, points: DoubleArray) -> Integers:
        """The address of each point; those beyond the first or last bucket are in it."""
        cuts, *rows = self.table.T
        row = np.maximum(np.searchsorted(cuts, points, side="right") - 1, 0)
        origins, scales, sizes, firsts = (numbers[row] for numbers in rows)
        places = np.clip((points - origins) * scales, 0, sizes - 2.0**-10)
        buckets = places.astype(np.int64)
        offsets = ((places - buckets) * OFFSETS).astype(np.int64)
        found: Integers = ((buckets + firsts.astype(np.int64)) << OFFSET_BITS) + offsets
        return found

    def row_of(self, bucket: int) -> Row:
        """The row of a bucket."""
        for row in reversed(self.rows):
            if bucket >= row.first:
                return row
        return self.rows[0]

    def offsets(self, points: DoubleArray, bucket: int) -> Integers:
        """The offsets of points of one bucket."""
        row = self.row_of(bucket)
        places = (points - row.origin) * row.scale - (bucket - row.first)
        found: Integers = (places * OFFSETS).astype(np.int64)
        return found

    def address(self, point: float) -> int:
        """That of one point."""
        row = self.rows[0]
        for each in self.rows[1:]:
            if point >= each.cut:
                row = each
        place = min(max((point - row.origin) * row.scale, 0.0), row.size - 2.0**-10)
        bucket = int(place)
        return ((bucket + row.first) << OFFSET_BITS) + int((place - bucket) * OFFSETS)

    def moments(self, bucket: int, n: int, offsets: int, squares: int) -> Moments:
        """The moments of points of one bucket, from how many they are and the sums of their offsets and the squares."""
        row = self.row_of(bucket)
        shift = row.shift
        start = row.start + ((bucket - row.first) << (OFFSET_BITS + shift))
        offsets <<= shift
        return Moments(n, n * start + offsets, start * (n * start + 2 * offsets) + (squares << (2 * shift)))

    def of_cells(self, starts: Integers, limbs: Integers) -> tuple[list[int], list[int], list[int]]:
        """The moments of cells by their starts and the limbs of their totals: counts, sums and sums of squares."""
        buckets = starts >> OFFSET_BITS
        found: list[list[int]] = [[], [], []]
        for row in self.rows:
            here, shift = (buckets >= row.first) & (buckets < row.first + row.size), row.shift
            n, low, high, *squares = (each.astype(object) for each in limbs[:, here])
            start = ((buckets[here] - row.first).astype(object) << (OFFSET_BITS + shift)) + row.start
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
    most = min(most, max(n // POINTS_OF_A_BUCKET, FAR_BUCKETS))
    fine = _width(*window, most, _NARROWEST)
    inner = _ends(*window, fine)
    size = math.ldexp(inner[1] - inner[0], fine)
    growth = 2.0**max(_GROWTH, -((math.frexp(size)[1] - math.frexp(high - low)[1]) // _MOST_FAR_ROWS))
    rows = [(math.ldexp(inner[0], fine), inner, fine)]
    end, width, reach = math.ldexp(inner[1], fine), fine, size
    while end <= high:
        reach = min(reach * growth, high - low)
        stop = min(end + reach, high)
        width = _width(end, stop, FAR_BUCKETS, width)
        rows.append((end, _ends(end, stop, width), width))
        end = math.ldexp(rows[-1][1][1], width)
    start, width, reach = rows[0][0], fine, size
    while start > low:
        reach = min(reach * growth, high - low)
        stop = max(start - reach, low)
        width = _width(stop, start, FAR_BUCKETS, width)
        ends = _ends(stop, start, width)
        start = math.ldexp(ends[0], width)
        rows.insert(0, (start, ends, width))
    found: list[Row] = []
    for cut, (first, last), width in rows:
        begin, shift = found[-1].first + found[-1].size if found else 0, width - fine
        # One bucket more than needed, as what is just below the end may be rounded to it.
        found.append(Row(cut if found else -math.inf, math.ldexp(first, width), 2.0**-width, last - first + 1, begin,
                         first << (OFFSET_BITS + shift), shift))
    return Layout(tuple(found), fine - OFFSET_BITS)


def _width(begin: float, end: float, most: int, narrowest: int) -> int:
    """The binary logarithm of the width of so many buckets, each end of which is a double."""
    least, edges = abs(end - begin) / (most - 2), math.frexp(max(abs(begin), abs(end)))[1] - _BITS_OF_EDGES
    return max(math.frexp(least)[1] if least else narrowest, edges, narrowest)


def _ends(low: float, high: float, width: int) -> tuple[int, int]:
    """The buckets from that of `low` to that of `high`, in widths: the first and the one behind the last."""
    return math.floor(math.ldexp(low, -width)), math.floor(math.ldexp(high, -width)) + 1
