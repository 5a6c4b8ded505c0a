"""Central differences of a loss: its slope where no gradient is given."""
from __future__ import annotations

import math
import sys
from typing import TYPE_CHECKING, Any

import numpy as np

from fastgd._data import LinearModelData
from fastgd._objective.second_moments import RowMoments
from fastgd._validation import one_number, slices_of_rows

if TYPE_CHECKING:
    from collections.abc import Callable

    from fastgd._data import ConstantModelData
    from fastgd._types import DoubleArray, FloatArray, LossFunction

#: Points that tell the spread of more of them to 1 %, in two milliseconds.
SPREAD_SAMPLE = 2**17
#: A loss is coarse if rounding changes it by more than this part of what the size of a residual does: of losses in
#: double precision it is 1e-15 or so, in single precision 1e-8.
COARSE = 2.0**-28
#: Times that the resolution of a loss is measured because it does not change, at 11 evaluations or more.
MAX_MEASUREMENTS = 8
#: A slope below this part of the steepest one is near a minimum, where rounding matters most.
NEAR_MINIMUM = 1e-2


def differences_of(loss: LossFunction,
                   source: ConstantModelData | LinearModelData) -> DifferenceGradient | RowsDifferenceGradient:
    """The gradient of a Python function of theta and of a part of the source."""
    return RowsDifferenceGradient(loss, source) if source.is_rows else DifferenceGradient(
        loss, source.targets)


def _center_and_spread(targets: FloatArray) -> tuple[float, float]:
    """The median, and the median distance from it (0 if most points are one); of a sample of very many points."""
    if len(targets) > SPREAD_SAMPLE:
        # At random places: points at equal distances may be all alike, as in a column of days and nights.
        targets = targets[np.random.default_rng(0).integers(0, len(targets), SPREAD_SAMPLE)]
    center = float(np.median(targets))
    with np.errstate(all="ignore"):
        return center, float(np.median(np.abs(targets - targets.dtype.type(center))))


def _largest_distance(targets: FloatArray, center: float) -> float:
    with np.errstate(all="ignore"):
        return max(float(np.abs(targets[part] - targets.dtype.type(center)).max()) for part in slices_of_rows(targets))


def _loss_at(loss_fn: LossFunction, theta: Any, points: Any) -> float:
    return one_number(loss_fn(theta, points), "loss_fn", "loss")


def rounding_along(line: Callable[[float], float], width: float, size: float) -> tuple[float, float]:
    """Return what rounding changes in a loss along a line, and what a way of `size` changes in it.

    Second differences of a smooth loss have one sign within a short window, of a convex one with kinks too. Those of
    rounding have both (J. J. More and S. M. Wild, "Estimating computational noise", SIAM Journal on Scientific
    Computing 33, 2011). A window in which the loss does not change at all is widened.
    """
    rounding, is_wide = 0.0, False
    while True:
        values = np.array([line(k * width) for k in range(-4, 5)])
        if not np.isfinite(values).all():
            return 0.0, 0.0
        bends = np.diff(values, 2)
        rounding = max(rounding, min(float(bends.max()), -float(bends.min())))
        is_flat = values.min() == values.max()
        if 8 * width > size or (not is_flat and (rounding > 0 or not is_wide)):
            break
        # Of one step at the end of the window nothing is known; the next one shows whether there are more.
        width *= 8 if is_flat else 4
        is_wide = is_flat
    changes = np.abs(np.array([*values, line(-size), line(size)]) - values[4])
    return rounding, float(changes[np.isfinite(changes)].max())


def _is_coarse(value: float) -> bool:
    """Whether a loss may be rounded: to single precision, or to six decimals."""
    with np.errstate(over="ignore", under="ignore"):
        return math.isfinite(value) and (float(np.float32(value)) == value or round(value, 6) == value)


class Component:
    """The difference of a loss along one component of theta.

    A loss in single precision, or rounded, has a resolution of its own. It is measured where the values look so, where
    they do not differ, and near the minimum; the step then goes by it, as by the machine precision of other losses.

    Attributes
    ----------
    rounding : float
        What rounding changes in the loss, where that is coarse; else 0.
    reach : float
        How near the minimum the differences lead then, by the loss; else 0.
    """

    rounding = reach = 0.0
    _part = 0.0    # of what the loss changes over a size
    _level = 0.0    # the loss where the rounding was measured
    _steepest = 0.0
    _measured = 0

    def __init__(self, eps: float) -> None:
        self._coarse = max(COARSE, 64 * eps)
        self._causes = {"digits", "near"}

    def slope(self, line: Callable[[float], float], h: float, size: float, is_whole: bool) -> float:
        """The slope of the loss along `line`; `is_whole` if it is that on all data."""
        wide = self.widened(h, size)
        above, below = line(wide), line(-wide)
        if self._is_suspect(above, below, (above - below) / (2 * wide), is_whole):
            self.measure(line, h, size)
            if self.widened(h, size) != wide:
                wide = self.widened(h, size)
                above, below = line(wide), line(-wide)
        if above == below and is_whole and math.isfinite(above):
            return _slope_beyond(line, wide, size)
        return (above - below) / (2 * wide)

    def widened(self, h: float, size: float) -> float:
        """The half-width of a difference, a power of two."""
        if not self._part:
            return h
        return max(h, min(2.0 ** math.ceil(math.log2(self._part ** (1 / 3) * size)), _power_below(size / 2)))

    def measure(self, line: Callable[[float], float], h: float, size: float) -> None:
        """Find the resolution of the loss here."""
        self._measured += 1
        with np.errstate(all="ignore"):
            try:
                rounding, change = rounding_along(line, h / 4, min(size, sys.float_info.max / 4))
                self._level = abs(line(0.0))
            except (ArithmeticError, ValueError):    # of math.log and its kin, where the loss has no value
                return
        part = min(rounding / change, 1.0) if 0 < change < math.inf else 0.0
        self._part, self.rounding = (part, rounding) if part > self._coarse else (0.0, 0.0)
        self.reach = size * math.sqrt(self._part)

    def _is_suspect(self, above: float, below: float, slope: float, is_whole: bool) -> bool:
        """Whether the resolution is to be measured: once for each cause, and where a coarse loss is another."""
        if not math.isfinite(slope):
            return False
        if self._part and is_whole:
            level = max(abs(above), abs(below))
            return not self._level / 4 <= level <= 4 * self._level
        if above == below:
            return self._measured < MAX_MEASUREMENTS
        self._steepest = max(self._steepest, abs(slope))
        causes = set()
        if _is_coarse(above) and _is_coarse(below):
            causes.add("digits")
        if is_whole and abs(slope) < NEAR_MINIMUM * self._steepest:
            causes.add("near")
        is_new = bool(causes & self._causes)
        self._causes -= causes
        return is_new


def _slope_beyond(line: Callable[[float], float], h: float, size: float) -> float:
    """The slope of a loss that is equal on both sides: of a wider difference, where that leads down from a plateau."""
    here = above = below = line(0.0)
    while h < size and min(above, below) == here:
        h *= 4
        above, below = line(h), line(-h)
    slope = (above - below) / (2 * h)
    return 0.0 if here <= min(above, below) or not math.isfinite(slope) else slope


def _power_below(number: float) -> float:
    return 2.0 ** math.floor(math.log2(number)) if number > 0 else 0.0


class DifferenceGradient:
    """(loss(theta + h) - loss(theta - h)) / (2 h), called like a gradient.

    h is the cube root of the machine precision times the size of a residual, the larger of the spread of the data (the
    median distance from their median) and the distance of theta from them. There the error of the formula, h**2, and
    that of rounding, eps / h, are of one size (Nocedal and Wright, "Numerical Optimization", section 8.1). A loss that
    is computed more coarsely has a larger eps.
    """

    def __init__(self, loss_fn: LossFunction, targets: FloatArray) -> None:
        self._loss, self._n = loss_fn, targets.size
        self._eps = float(np.finfo(targets.dtype).eps)
        self._center, spread = _center_and_spread(targets)
        # `step` knows an infinite one
        self._spread = spread or _largest_distance(targets, self._center) or abs(self._center) or 1.0
        self.components = [Component(self._eps)]

    def size(self, theta: float) -> float:
        """The size of a residual."""
        return min(max(self._spread, abs(theta - self._center)), sys.float_info.max)

    def step(self, theta: float) -> float:
        """The h at theta: a power of two, and far above the distance of two floats there."""
        h = self._eps ** (1 / 3) * self.size(theta)
        h = min(max(h, 64 * self._eps * abs(theta), sys.float_info.min), sys.float_info.max / 4)
        return 2.0 ** math.ceil(math.log2(h))

    def along(self, theta: float, dataset: Any) -> Callable[[float], float]:
        """The loss at a distance from theta."""
        return lambda distance: _loss_at(self._loss, theta + distance, dataset)

    def precision(self, theta: float, dataset: Any) -> float:
        """The machine precision of the type in which the loss comes."""
        dtype = np.asarray(self._loss(theta, dataset)).dtype
        return float(np.finfo(dtype if dtype.kind == "f" else np.float64).eps)

    def __call__(self, theta: float, dataset: Any) -> float:
        theta = float(theta)
        return self.components[0].slope(self.along(theta, dataset), self.step(theta), self.size(theta),
                                        np.size(dataset) == self._n)


class RowsDifferenceGradient:
    """The same for a linear model, one component of theta after another; theta, and the rows that it goes by.

    The size of a component is its own, or that of the targets divided by that of its column.
    """

    def __init__(self, loss: LossFunction, rows: LinearModelData) -> None:
        self._loss, self._everything = loss, rows.everything
        spread = _center_and_spread(rows.targets)[1] or 1.0
        sizes = RowMoments(rows).column_sizes()
        sizes = np.concatenate([np.ones(int(rows.intercept)), np.where(sizes > 0, sizes, 1.0)])
        self._spreads = spread / sizes
        self._least = np.finfo(np.float64).eps ** (1 / 3) * spread / sizes
        self.components = [Component(float(np.finfo(np.float64).eps)) for _ in sizes]

    def __call__(self, theta: DoubleArray, rows: Any) -> DoubleArray:
        steps = np.maximum(self._least, np.finfo(np.float64).eps ** (1 / 3) * np.abs(theta))
        steps = 2.0 ** np.ceil(np.log2(np.clip(steps, sys.float_info.min, sys.float_info.max / 4)))
        sizes = np.maximum(self._spreads, np.abs(theta))
        is_whole = isinstance(rows, slice) and rows == self._everything
        return np.array([component.slope(self._along(theta, k, rows), h, size, is_whole) for k, (component, h, size)
                         in enumerate(zip(self.components, steps.tolist(), sizes.tolist(), strict=True))])

    def _along(self, theta: DoubleArray, k: int, rows: Any) -> Callable[[float], float]:
        def line(distance: float) -> float:
            moved = np.zeros(len(theta))
            moved[k] = distance
            return _loss_at(self._loss, theta + moved, rows)

        return line
