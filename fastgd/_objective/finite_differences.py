"""Gradients of Python losses by central differences, where no gradient is given."""
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

#: Points of a sample whose median absolute deviation is within 1 % of that of all points; it takes 2 ms.
MAD_SAMPLE = 2**17
#: A loss is coarse if its rounding is above this part of its change over the size of a residual: about 1e-15 for losses
#: in double precision, 1e-8 in single precision.
COARSE = 2.0**-28
#: Most measurements of the resolution of a loss that are made because it does not change; each takes 11 evaluations.
MAX_MEASUREMENTS = 8
#: A slope below this part of the steepest one is near a minimum, where rounding matters most.
NEAR_MINIMUM = 1e-2


def differences_of(loss: LossFunction,
                   source: ConstantModelData | LinearModelData) -> DifferenceGradient | RowsDifferenceGradient:
    """Make the gradient of a Python loss by differences, as a function of theta and of a part of the data."""
    return RowsDifferenceGradient(loss, source) if source.is_rows else DifferenceGradient(loss, source.targets)


def _median_and_mad(targets: FloatArray) -> tuple[float, float]:
    """Compute the median and the median absolute deviation (0 if most points are equal), on a sample of many points."""
    if len(targets) > MAD_SAMPLE:
        # Random indices, because points at equal distances may be all alike, as in a column of days and nights.
        targets = targets[np.random.default_rng(0).integers(0, len(targets), MAD_SAMPLE)]
    center = float(np.median(targets))
    with np.errstate(all="ignore"):
        return center, float(np.median(np.abs(targets - targets.dtype.type(center))))


def _largest_distance(targets: FloatArray, center: float) -> float:
    with np.errstate(all="ignore"):
        return max(float(np.abs(targets[part] - targets.dtype.type(center)).max()) for part in slices_of_rows(targets))


def _loss_at(loss_fn: LossFunction, theta: Any, points: Any) -> float:
    return one_number(loss_fn(theta, points), "loss_fn", "loss")


def rounding_along(line: Callable[[float], float], width: float, size: float) -> tuple[float, float]:
    """Measure the rounding of a loss along a line, and the change of the loss over a distance of `size`.

    Second differences of a loss that is smooth or convex have one sign within a short window, second differences of
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
        # A single jump of the values may be a step of a coarse loss or its slope: the next, wider window decides.
        width *= 8 if is_flat else 4
        is_wide = is_flat
    changes = np.abs(np.array([*values, line(-size), line(size)]) - values[4])
    return rounding, float(changes[np.isfinite(changes)].max())


def _is_coarse(value: float) -> bool:
    """Return True if a loss may be rounded: to single precision, or to six decimals."""
    with np.errstate(over="ignore", under="ignore"):
        return math.isfinite(value) and (float(np.float32(value)) == value or round(value, 6) == value)


class Component:
    """Central difference of a loss along one component of theta.

    A coarse loss is one in single precision, or one that is rounded to decimals. Its resolution is measured where the
    values have few digits, where they do not differ, and near the minimum. The half-width of the difference follows
    from the resolution, as it follows from the machine precision for other losses.

    Attributes
    ----------
    rounding : float
        Rounding of the loss where the loss is coarse; else 0.
    reach : float
        Distance from the minimum that the differences of a coarse loss can reach, by its resolution; else 0.
    """

    rounding = reach = 0.0
    _part = 0.0    # rounding relative to the change of the loss over the size of a residual
    _level = 0.0    # the loss where the rounding was measured
    _steepest = 0.0
    _measured = 0

    def __init__(self, eps: float) -> None:
        self._coarse = max(COARSE, 64 * eps)
        self._causes = {"digits", "near"}

    def slope(self, line: Callable[[float], float], h: float, size: float, is_whole: bool) -> float:
        """Compute the slope of the loss along `line`; `is_whole` is True for the loss on all data."""
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
        """Compute the half-width of a difference, a power of two."""
        if not self._part:
            return h
        return max(h, min(2.0 ** math.ceil(math.log2(self._part ** (1 / 3) * size)), _power_below(size / 2)))

    def measure(self, line: Callable[[float], float], h: float, size: float) -> None:
        """Measure the resolution of the loss along `line`."""
        self._measured += 1
        with np.errstate(all="ignore"):
            try:
                rounding, change = rounding_along(line, h / 4, min(size, sys.float_info.max / 4))
                self._level = abs(line(0.0))
            except (ArithmeticError, ValueError):    # raised by math.log and the like where the loss has no value
                return
        part = min(rounding / change, 1.0) if 0 < change < math.inf else 0.0
        self._part, self.rounding = (part, rounding) if part > self._coarse else (0.0, 0.0)
        self.reach = size * math.sqrt(self._part)

    def _is_suspect(self, above: float, below: float, slope: float, is_whole: bool) -> bool:
        """Return True if the resolution must be measured: once for each cause; again where a coarse loss changed."""
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
    """Compute the slope of a loss that is equal on both sides by a wider difference; 0 unless that descends."""
    here = above = below = line(0.0)
    while h < size and min(above, below) == here:
        h *= 4
        above, below = line(h), line(-h)
    slope = (above - below) / (2 * h)
    return 0.0 if here <= min(above, below) or not math.isfinite(slope) else slope


def _power_below(number: float) -> float:
    return 2.0 ** math.floor(math.log2(number)) if number > 0 else 0.0


class DifferenceGradient:
    """Central difference (loss(theta + h) - loss(theta - h)) / (2 h), called like a gradient.

    h is the cube root of the machine precision eps times the size of a residual: the larger of the median absolute
    deviation of the data and the distance of theta from their median. For this h the truncation error, h**2, and the
    rounding error, eps / h, are of one size (Nocedal and Wright, "Numerical Optimization", section 8.1). A loss that
    is computed more coarsely has a larger eps.
    """

    def __init__(self, loss_fn: LossFunction, targets: FloatArray) -> None:
        self._loss, self._n = loss_fn, targets.size
        self._eps = float(np.finfo(targets.dtype).eps)
        self._center, mad = _median_and_mad(targets)
        # An infinite deviation is cut off by `size`.
        self._deviation = mad or _largest_distance(targets, self._center) or abs(self._center) or 1.0
        self.components = [Component(self._eps)]

    def size(self, theta: float) -> float:
        """Compute the size of a residual at theta."""
        return min(max(self._deviation, abs(theta - self._center)), sys.float_info.max)

    def step(self, theta: float) -> float:
        """Compute the half-width h at theta: a power of two, far above the distance of two floats there."""
        h = self._eps ** (1 / 3) * self.size(theta)
        h = min(max(h, 64 * self._eps * abs(theta), sys.float_info.min), sys.float_info.max / 4)
        return 2.0 ** math.ceil(math.log2(h))

    def along(self, theta: float, dataset: Any) -> Callable[[float], float]:
        """Return the loss as a function of the distance from theta."""
        return lambda distance: _loss_at(self._loss, theta + distance, dataset)

    def precision(self, theta: float, dataset: Any) -> float:
        """Return the machine precision of the type that the loss has."""
        dtype = np.asarray(self._loss(theta, dataset)).dtype
        return float(np.finfo(dtype if dtype.kind == "f" else np.float64).eps)

    def __call__(self, theta: float, dataset: Any) -> float:
        theta = float(theta)
        return self.components[0].slope(self.along(theta, dataset), self.step(theta), self.size(theta),
                                        np.size(dataset) == self._n)


class RowsDifferenceGradient:
    """Central differences of the loss of a linear model along each component of theta.

    The size of component k is the larger of abs(theta[k]) and the median absolute deviation of the targets, divided by
    the root mean square of column k.
    """

    def __init__(self, loss: LossFunction, rows: LinearModelData) -> None:
        self._loss, self._everything = loss, rows.everything
        mad = _median_and_mad(rows.targets)[1] or 1.0
        sizes = RowMoments(rows).column_sizes()
        sizes = np.concatenate([np.ones(int(rows.intercept)), np.where(sizes > 0, sizes, 1.0)])
        self._scales = mad / sizes
        self._least = np.finfo(np.float64).eps ** (1 / 3) * mad / sizes
        self.components = [Component(float(np.finfo(np.float64).eps)) for _ in sizes]

    def __call__(self, theta: DoubleArray, rows: Any) -> DoubleArray:
        steps = np.maximum(self._least, np.finfo(np.float64).eps ** (1 / 3) * np.abs(theta))
        steps = 2.0 ** np.ceil(np.log2(np.clip(steps, sys.float_info.min, sys.float_info.max / 4)))
        sizes = np.maximum(self._scales, np.abs(theta))
        is_whole = isinstance(rows, slice) and rows == self._everything
        return np.array([component.slope(self._along(theta, k, rows), h, size, is_whole) for k, (component, h, size)
                         in enumerate(zip(self.components, steps.tolist(), sizes.tolist(), strict=True))])

    def _along(self, theta: DoubleArray, k: int, rows: Any) -> Callable[[float], float]:
        def line(distance: float) -> float:
            moved = np.zeros(len(theta))
            moved[k] = distance
            return _loss_at(self._loss, theta + moved, rows)

        return line
