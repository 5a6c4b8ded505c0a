"""Points by what a few passes over them tell: the counts and sums of cells, and the points of those with a break."""
from __future__ import annotations

import functools
import math
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np

from fastgd._checks import check_number
from fastgd._limits import FEW_TO_GATHER, MOST_PASSES, MOST_TO_GATHER, NEAR_EDGE, SLICE_OF_EACH, SPLIT
from fastgd._source.buckets import Cells, Gathered, bounds, counted, gathered, spans_of, split
from fastgd._source.layout import NONE, OFFSET_BITS, Moments, layout_of
from fastgd._source.points import Points, mean_over
from fastgd._sums import ALONE, Threads

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from fastgd._source.buckets import Spans
    from fastgd._source.parted import PartedPoints
    from fastgd._types import DoubleArray, FloatArray, OwnMean
    from fastgd.losses.base import Gradient, Loss

#: Binary digits of a break beyond those of the units of points.
_FINER = 32
#: Parts of a point, where a plan has parts of the points of a cell.
_SHARES = 2**20
#: How far a difference of two doubles can be from the true one, in parts of the larger of them.
_ROUNDED = 2.0**-50


class Summary:
    """Points as a source whose losses and slopes need no pass, for losses that are made of parts of degree 2 at most.

    The mean of such a loss at theta is known from how many points there are between its breaks, and the sums of them
    and of their squares. A cell that holds a break has to be gathered: its points tell on which side they are just as
    the kernel would. All sums are exact and in integers; what is rounded is the offset of a point in its bucket, to
    2**-42 of the width, and the mean at the end. So no answer depends on where the points were cut, nor on which cells
    were gathered when.

    Attributes
    ----------
    passes : int
        How often the points were read.
    reach : tuple of float
        The least and the greatest theta that it was asked about.
    """

    is_rows: Literal[False] = False
    intercept = False
    n_parameters = 1
    names: tuple[str, ...] | None = None
    columns: Any = None
    parameter_names: tuple[str, ...] = ("theta",)
    everything: Any = None
    #: Means are in double, of float32 points too.
    dtype = np.dtype(np.float64)
    is_parted = is_weighted = False
    largest_weight = 1.0

    def __init__(self, source: Points | PartedPoints, losses: Collection[Loss],
                 window: tuple[float, float] | None = None, threads: Threads = ALONE) -> None:
        """Most cells are in the window, where the breaks are expected; None for where most of the points are.

        ArithmeticError if the points are so far apart that a difference of them overflows.
        """
        self._source, self._threads = source, threads
        self.n, self.passes, self.reach = source.n, 0, (math.inf, -math.inf)
        self._formulas = {loss: formula_of(loss) for loss in losses}
        self._with_squares = any(part.bend for formula in self._formulas.values() for part in formula.parts)
        self.low, self.high = source.extremes if source.is_parted else self._ends()
        if not math.isfinite(4 * (abs(self.low) + abs(self.high))):
            raise ArithmeticError("the differences of the points overflow")
        start, stop = (min(max(end, self.low), self.high) for end in window or bulk_of(source))
        self._layout = layout_of(self.low, self.high, (start, stop), self.n)
        limbs = self._added(functools.partial(counted, self._layout, self._with_squares))
        self._cells = Cells(self._layout, np.arange(self._layout.n_buckets) << OFFSET_BITS, limbs)
        self._gathered: dict[int, Gathered] = {}
        self._n_gathered = 0
        self._wanted: set[int] | None = None
        self._descent: Callable[[], object] | None = None
        self._last: tuple[float, Formula, bool, list[Moments]] | None = None

    @property
    def reads(self) -> tuple[int, int] | None:
        """Passes so far and bytes read, where the points are not in memory."""
        return self._source.reads

    @property
    def extremes(self) -> tuple[float, float]:
        """The least and the largest of the points."""
        return self.low, self.high

    @property
    def has_signs(self) -> bool:
        """Whether all points are -1 or 1, and some -1."""
        return self._source.has_signs

    def each(self, function: Any, threads: Threads = ALONE) -> list[Any]:
        """As that of the points, in a pass."""
        return self._source.each(function, threads)

    def total(self, sums: Any, most: int, threads: Threads = ALONE) -> Any:
        """As that of the points, in a pass."""
        return self._source.total(sums, most, threads)

    @functools.cached_property
    def _sample(self) -> tuple[Any, Any]:
        """The addresses of the different values of a sample, and how often there is each."""
        values, counts = np.unique(self._source.drawn(FEW_TO_GATHER).targets.astype(np.float64), return_counts=True)
        return self._layout.addresses(values), np.concatenate([[0], np.cumsum(counts)])

    def _ends(self) -> tuple[float, float]:
        ends = self._each(bounds)
        return min(low for low, _ in ends), max(high for _, high in ends)

    def _each(self, function: Any) -> list[Any]:
        self.passes += 1
        return self._source.each(function, self._threads, SLICE_OF_EACH)

    def _added(self, function: Any) -> Any:
        self.passes += 1
        return self._source.added(function, self._threads)

    # What a source has.

    def theta(self, value: Any, name: str) -> float:
        """`value` as a float."""
        return check_number(value, name, low=-np.inf, inclusive=False)

    def mean(self, mean: Loss | Gradient, theta: Any, threads: Threads = ALONE) -> float:
        """A loss or gradient of ours at one theta."""
        theta = float(theta)
        if not math.isfinite(theta):
            return mean_over(mean, theta, np.array([self.low]))
        self.reach = min(self.reach[0], theta), max(self.reach[1], theta)
        formula = self._formulas[mean.loss]
        below = self._below_breaks(formula, theta, self._with_squares and not mean.is_slope)
        total = (formula.slope if mean.is_slope else formula.value)(theta, below, self._layout)
        return total / below[-1].n

    def means(self, mean: Loss | Gradient, thetas: Sequence[Any] | FloatArray, threads: Threads = ALONE) -> DoubleArray:
        """The same at several thetas."""
        return np.array([self.mean(mean, theta) for theta in thetas])

    def value_and_slope(self, loss: Loss, theta: float, threads: Threads = ALONE) -> tuple[float, float]:
        """A loss and its slope at one theta."""
        return self.mean(loss, theta), self.mean(loss.gradient, theta)

    def value_and_slopes(self, loss: Loss, thetas: Sequence[float], threads: Threads = ALONE) -> list[float]:
        """A loss at the first theta, and its slope at each."""
        return [self.mean(loss, thetas[0]), *(self.mean(loss.gradient, theta) for theta in thetas)]

    def drawn(self, size: int) -> Points:
        """So many of the points, drawn at random from a fixed seed."""
        return self._source.drawn(size)

    def sample(self, size: int) -> Summary:
        """Itself: it costs nothing."""
        return self

    # Cells.

    def _below_breaks(self, formula: Formula, theta: float, with_second: bool) -> list[Moments]:
        """The moments of the points below each break, and of those not above it, in turn; at last those of all."""
        last = self._last
        if last is not None and last[0] == theta and last[1] is formula and (last[2] or not with_second):
            return last[3]
        found = [moments for offset in formula.breaks for moments in self._below(theta, offset, with_second)]
        found.append(self._all)
        if self._wanted is None:
            self._last = theta, formula, with_second, found
        else:    # what is shown is another loss than what is descended on, if there are two
            for offset in {offset for each in self._formulas.values() for offset in each.breaks}.difference(
                    formula.breaks):
                self._below(theta, offset, with_second)
        return found

    @property
    def _all(self) -> Moments:
        """The moments of all points; for a plan each counts `_SHARES` times, so that there are parts of it."""
        moments = self._cells.before(len(self._cells))
        return moments if self._wanted is None else moments.times(_SHARES)

    def _below(self, theta: float, offset: float, with_second: bool) -> tuple[Moments, Moments]:
        """The moments of the points whose distance from theta, as a double, is below the offset, and not above it."""
        cells = self._cells
        at, slack = theta + offset, sum(_ROUNDED * abs(each) for each in (theta, offset, self.low, self.high))
        if at + slack < self.low:
            return NONE, NONE
        if at - slack > self.high:
            return self._all, self._all
        low, middle, high = (self._layout.address(each) for each in (at - slack, at, at + slack))
        first, last = cells.at(low), cells.at(high)
        if self._wanted is not None:
            self._wanted |= self._missing(cells.at(low - cells.width(first) // NEAR_EDGE),
                                          cells.at(high + cells.width(last) // NEAR_EDGE))
        elif missing := self._missing(first, last):
            self._learn(missing)
            return self._below(theta, offset, with_second)
        below = up_to = cells.before(first)
        rest = NONE
        for cell in range(first, last + 1):
            points = self._gathered.get(cells.starts[cell])
            if points is not None:
                under, over = points.around(theta, offset, with_second)
                below, up_to = below.plus(under), up_to.plus(over)
            elif cells.counts[cell]:    # for a plan, as if they were spread evenly
                start, width = cells.starts[cell], cells.width(cell)
                n = cells.counts[cell] * _SHARES * min(max(middle - start, 0), width) // width
                rest = rest.plus(cells.of(cell).part(n))
        if self._wanted is None:
            return below, up_to
        return below.times(_SHARES).plus(rest), up_to.times(_SHARES).plus(rest)

    def _missing(self, first: int, last: int) -> set[int]:
        """The starts of those of the cells from the first to the last whose points have to be gathered."""
        starts, counts = self._cells.starts, self._cells.counts
        return {starts[cell] for cell in range(first, last + 1) if counts[cell] and starts[cell] not in self._gathered}

    # Passes.

    def plan(self, descent: Callable[[], object]) -> bool:
        """Gather what a descent needs, as far as it is known before; whether it does not need too many points.

        It is asked again where the run needs what the plan did not see.
        """
        self._descent = descent
        while wanted := self._wanted_by(descent):
            if self.passes >= MOST_PASSES:
                return False
            before = len(self._cells)
            if not self.refine(wanted):
                return False
            if len(self._cells) == before:
                break
        return True

    def _learn(self, missing: set[int]) -> None:
        """Gather what is missing, and what the rest of the descent will miss by a plan that knows more by now."""
        more = set() if self._descent is None else self._wanted_by(self._descent)
        if not more:
            self._descent = None    # which is over: who asks now asks about other places
        if not self.refine(missing | more):
            self._gather(missing)

    def _wanted_by(self, descent: Callable[[], object]) -> set[int]:
        """The cells that a descent on what is known so far needs, and that are not gathered."""
        self._wanted, self._last = set(), None
        try:
            descent()
            return self._wanted
        finally:
            self._wanted = self._last = None

    def gather_all(self) -> None:
        """Gather the points of all cells: these are few."""
        self._gather(self._missing(0, len(self._cells) - 1))

    def refine(self, wanted: set[int]) -> bool:
        """Gather the cells with these starts, or split them if they hold too many points; whether that could be done.

        What a sample says of ties counts: points of one value are kept as one.
        """
        cells = [self._cells.at(start) for start in sorted(wanted)]
        different = [self._different_in(cell) for cell in cells]
        left = MOST_TO_GATHER - self._n_gathered
        if sum(different) <= left:
            self._gather(wanted)
            return True
        fair = left // (2 * len(cells))
        return fair > 0 and self._split([cell for cell, n in zip(cells, different, strict=True) if n > fair])

    def _different_in(self, cell: int) -> int:
        """About how many different values a cell holds: as many as points if a sample does not tell."""
        addresses, counts = self._sample
        start, stop = np.searchsorted(addresses, [self._cells.starts[cell], self._cells.stop(cell)]).tolist()
        n = self._cells.counts[cell]
        # Values that were drawn twice on average are ties.
        return min(n, stop - start) if counts[stop] - counts[start] >= 2 * (stop - start) > 0 else n

    def _spans(self, cells: Sequence[int]) -> Spans:
        return spans_of(self._layout, [self._cells.starts[cell] for cell in cells],
                        [self._cells.stop(cell) for cell in cells])

    def _gather(self, wanted: set[int]) -> None:
        cells = [self._cells.at(start) for start in sorted(wanted)]
        has_ties = any(self._different_in(cell) < self._cells.counts[cell] for cell in cells)
        found = [Gathered(self._layout, self._cells.starts[cell]) for cell in cells]
        function = functools.partial(gathered, self._layout, self._spans(cells), has_ties)
        for group in (group for groups in self._each(function) for group in groups):
            stop = 0
            for number in np.flatnonzero(group.sizes).tolist():
                start, stop = stop, stop + int(group.sizes[number])
                found[number].add(group.values[start:stop], None if group.counts is None else group.counts[start:stop])
            self._n_gathered += len(group.values)
        self._gathered.update(zip((self._cells.starts[cell] for cell in cells), found, strict=True))

    def _split(self, cells: Sequence[int]) -> bool:
        """Cut cells into parts, whose points are counted; whether that could be done."""
        parts = 1 << (SPLIT // len(cells)).bit_length() - 1 if cells and len(cells) <= SPLIT else 1
        cells = [cell for cell in cells if self._cells.width(cell) >= parts]
        if parts < 2 or not cells:
            return False
        widths = np.array([self._cells.width(cell) // parts for cell in cells], np.int64)
        spans = self._spans(cells)
        starts = (spans.starts[:, None] + widths[:, None] * np.arange(parts)).ravel()
        self._cells = self._cells.with_parts(
            starts, self._added(functools.partial(split, self._layout, spans, starts)))
        return True


def bulk_of(source: Points | PartedPoints) -> tuple[float, float]:
    """Where most of the points are, as a sample says."""
    targets = np.sort(source.drawn(FEW_TO_GATHER).targets.astype(np.float64))
    low, high = float(targets[targets.size // 4]), float(targets[3 * targets.size // 4])
    return (low - 3 * (high - low), high + 3 * (high - low)) if low < high else (float(targets[0]), float(targets[-1]))


class Part(NamedTuple):
    """Of a loss between two breaks: ``value - slope * r - bend / 2 * r**2`` of the residual r less `center`.

    Its slope in theta is ``slope + bend * r``.
    """

    center: float
    value: float
    slope: float
    bend: float


class Formula(NamedTuple):
    """The parts of a loss, in order of the residual, and its values and slopes at the breaks between them."""

    breaks: tuple[float, ...]
    parts: tuple[Part, ...]
    at_breaks: tuple[tuple[float, float], ...]

    def value(self, theta: float, below: Sequence[Moments], layout: Any) -> float:
        """The sum of the loss over points, from the moments of those below each break and up to it, and of all."""
        total = sum(value * (up_to.n - under.n) for (value, _), under, up_to in zip(
            self.at_breaks, below[::2], below[1::2], strict=False))
        for part, moments in self._moments(theta, below, layout):
            first, second = _in_double(moments, layout)
            total += part.value * moments.n - part.slope * first - part.bend / 2 * second
        return total

    def slope(self, theta: float, below: Sequence[Moments], layout: Any) -> float:
        """The sum of the slope in theta, from the same."""
        total = sum(slope * (up_to.n - under.n) for (_, slope), under, up_to in zip(
            self.at_breaks, below[::2], below[1::2], strict=False))
        for part, moments in self._moments(theta, below, layout):
            total += part.slope * moments.n
            if part.bend:
                total += part.bend * _in_double(moments, layout)[0]
        return total

    def _moments(self, theta: float, below: Sequence[Moments], layout: Any) -> list[tuple[Part, Moments]]:
        """The moments of the points of each part about its center."""
        found, at, before = [], layout.position(theta, _FINER), NONE
        for k, part in enumerate(self.parts):
            n, first, second = below[2 * k].less(before)
            before = below[min(2 * k + 1, len(below) - 1)]
            finer = Moments(n, first << _FINER, second << 2 * _FINER)
            found.append((part, finer.about(at + layout.position(part.center, _FINER))))
        return found


def _in_double(moments: Moments, layout: Any) -> tuple[float, float]:
    unit = layout.unit - _FINER
    return _double(moments.first, unit), _double(moments.second, 2 * unit)


def _double(number: int, exponent: int) -> float:
    """``number * 2**exponent``, infinite if that overflows."""
    beyond = max(number.bit_length() - 64, 0)
    try:
        return math.ldexp(float(number >> beyond), exponent + beyond)
    except OverflowError:
        return math.copysign(math.inf, number)


def formula_of(loss: Loss) -> Formula:
    """The parts of a loss, as its kernel has them at two residuals in each."""
    breaks = loss.breaks
    assert breaks is not None

    def at(mean: OwnMean, residual: float) -> float:
        return mean_over(mean, 0.0, np.array([residual]))

    parts = []
    for low, high in zip((-math.inf, *breaks), (*breaks, math.inf), strict=True):
        center = low if math.isfinite(low) else high if math.isfinite(high) else 0.0
        reach = high - low if math.isfinite(high - low) else 4 * max(1.0, abs(center))
        near, far = (center + side * reach / 4 for side in ((1, 3) if center == low else (-1, -3)))
        slopes = at(loss.gradient, near), at(loss.gradient, far)
        bend = (slopes[1] - slopes[0]) / (far - near)
        parts.append(Part(center, at(loss, center), slopes[0] - bend * (near - center), bend))
    return Formula(breaks, tuple(parts), tuple((at(loss, each), at(loss.gradient, each)) for each in breaks))
