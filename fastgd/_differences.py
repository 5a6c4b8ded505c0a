"""Central differences of a loss: its slope where no gradient is given."""
from __future__ import annotations

import itertools
import math
import sys
from typing import TYPE_CHECKING, Any

import numpy as np

from fastgd._checks import one_number, slices_of_rows
from fastgd._curvature import RowsCurvature
from fastgd._limits import SPREAD_SAMPLE
from fastgd._source import Rows

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from fastgd._source import Points
    from fastgd._types import DoubleArray, FloatArray, LossFunction


#: Values from which the noise of a loss is estimated; the authors of the method take 7 to 9.
NEIGHBOURS = 8
#: Noise, as a part of the loss and in units of the machine precision, that is more than rounding: sums of a million
#: numbers in a loop have less.
COARSE = 5000.0
#: The noise is measured anew where the loss has changed by this factor, as noise grows with what it is in.
CHANGED = 100.0


def differences_of(loss: LossFunction, source: Points | Rows) -> DifferenceGradient | RowsDifferenceGradient:
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


class Resolution:
    """How finely a Python loss is computed: the noise in its values near the last theta where that was measured.

    A loss in float32, or one that rounds, is a staircase: a step that is fine enough for float64 sees a plateau, or
    the noise alone. The noise is estimated from differences of neighbouring values (J. J. More and S. M. Wild,
    "Estimating computational noise", SIAM Journal on Scientific Computing 33, 2011).
    """

    def __init__(self, eps: float) -> None:
        self.noise = 0.0
        self._eps = eps
        self._measured_at: float | None = None

    def is_due(self, above: float, below: float) -> bool:
        """True if the noise should be measured: at first, where the loss has changed much, or where it looks coarse."""
        before, now = self._measured_at, max(abs(above), abs(below))
        if not math.isfinite(now):
            return False
        return (before is None or not before / CHANGED <= now <= before * CHANGED or above == below
                or (_is_short(above) and _is_short(below) and not before / 2 <= now <= before * 2))

    def measure(self, value_at: Callable[[float], float], size: float, magnitude: float, is_flat: bool) -> None:
        """Measure it from values at multiples of a step, which grows up to `size` while half of them are equal.

        Rounding is that of the loss, or that of a residual of numbers of this magnitude. Where the loss `is_flat` more
        values are looked at.
        """
        step, self.noise = 1.0, 0.0
        with np.errstate(all="ignore"):
            while step <= size:
                values = np.array([value_at(step * k) for k in range(NEIGHBOURS)])
                moves, largest = np.abs(np.diff(values)), float(np.abs(values).max())
                self._measured_at = largest
                if not math.isfinite(largest):
                    return
                if np.count_nonzero(moves) >= NEIGHBOURS // 2:
                    rounding = COARSE * self._eps * max(largest, float(moves.max()) / step * magnitude)
                    noise = _deviation(values)
                    if is_flat or noise > rounding or not moves.all():
                        noise = _confirmed(noise, values, (
                            np.array([value_at(step / part * k) for k in range(NEIGHBOURS)]) for part in (2, 4, 8, 16)))
                    self.noise = noise if noise > rounding else 0.0
                    return
                step *= 16.0

    def widened(self, h: float, value: float) -> float:
        """Return a step that is as good for this noise as `h` is for rounding alone."""
        if not self.noise:
            return h
        relative = self.noise / (abs(value) or self.noise)
        return float(h * max(1.0, (relative / self._eps) ** (1 / 3)))


def _confirmed(noise: float, values: DoubleArray, closer: Iterable[DoubleArray]) -> float:
    """The noise in values at equal distances, if values at smaller distances have it too; else 0.

    Kinks, whose part in the differences shrinks with the distance, are no noise. A staircase stands still again after
    it has moved; the flat bottom of a valley does not.
    """
    moves = np.abs(np.diff(values))
    stair = float(moves[moves > 0].min()) / 4
    some = values
    for some in itertools.chain([values], closer):
        if _stands_still_again(some):
            return max(noise, stair)
    if np.count_nonzero(np.diff(some)) < NEIGHBOURS // 3 and all(map(_is_short, values.tolist())):
        return max(noise, stair)
    return noise if noise and _deviation(some) > noise / 4 else 0.0


def _stands_still_again(values: DoubleArray) -> bool:
    moves = np.diff(values) != 0
    return bool(moves.any() and not moves[int(moves.argmax()):].all())


def _deviation(values: DoubleArray) -> float:
    """The standard deviation of noise in values at equal distances; 0 where their differences are smooth."""
    levels, signs, factor, differences = [], [], 1.0, values
    for k in range(1, len(values) - 1):
        differences = np.diff(differences)
        factor *= k / (2 * (2 * k - 1))
        levels.append(math.sqrt(factor * float(np.mean(differences**2))))
        signs.append(bool((differences > 0).any() and (differences < 0).any()))
    for k in range(len(levels) - 2):
        if signs[k] and max(levels[k:k + 3]) <= 4 * min(levels[k:k + 3]):
            return levels[k]
    return 0.0


def _is_short(value: float) -> bool:
    """True for a number with the digits of float32, or with few decimals: what a coarse loss returns."""
    with np.errstate(all="ignore"):
        return float(np.float32(value)) == value or float(f"{value:.8g}") == value


class DifferenceGradient:
    """(loss(theta + h) - loss(theta - h)) / (2 h), called like a gradient.

    h is the cube root of the machine precision times the size of a residual, the larger of the spread of the data (the
    median distance from their median) and the distance of theta from them. There the error of the formula, h**2, and
    that of rounding, eps / h, are of one size (Nocedal and Wright, "Numerical Optimization", section 8.1). For a loss
    that is computed less finely the noise of its values takes the place of the machine precision.
    """

    def __init__(self, loss_fn: LossFunction, targets: FloatArray) -> None:
        self._loss = loss_fn
        self._eps = float(np.finfo(targets.dtype).eps)
        self._center, spread = _center_and_spread(targets)
        # `step` knows an infinite one
        self._spread = spread or _largest_distance(targets, self._center) or abs(self._center) or 1.0
        self.resolution = Resolution(self._eps)

    def _size(self, theta: float) -> float:
        return min(max(self._spread, abs(theta - self._center)), sys.float_info.max)

    def step(self, theta: float) -> float:
        """The h at theta: a power of two, and far above the distance of two floats there."""
        h = self._eps ** (1 / 3) * self._size(theta)
        h = min(max(h, 64 * self._eps * abs(theta), sys.float_info.min), sys.float_info.max / 4)
        return 2.0 ** math.ceil(math.log2(h))

    def __call__(self, theta: float, dataset: Any) -> float:
        theta = float(theta)
        h = self.step(theta)
        above, below = self._around(theta, h, dataset)
        self._take_noise(theta, h, above, below, dataset)
        if self.resolution.noise:
            h = self._widened(theta, h, above)
            above, below = self._around(theta, h, dataset)
            while above == below and h < self._size(theta):    # a stair of it
                h *= 4
                above, below = self._around(theta, h, dataset)
        return (above - below) / (2 * h)

    def _take_noise(self, theta: float, h: float, above: float, below: float, dataset: Any) -> None:
        """Measure the noise of the loss if that is due."""
        if self.resolution.is_due(above, below):
            step = h / 64
            self.resolution.measure(
                lambda way: _loss_at(self._loss, theta + way * step, dataset), self._size(theta) / step,
                (abs(theta) + abs(self._center) + self._spread) / step, above == below)

    def _widened(self, theta: float, h: float, value: float) -> float:
        return float(2.0 ** math.ceil(math.log2(min(self.resolution.widened(h, value), self._size(theta)))))

    def _around(self, theta: float, h: float, dataset: Any) -> tuple[float, float]:
        return _loss_at(self._loss, theta + h, dataset), _loss_at(self._loss, theta - h, dataset)

    def with_noise(self, theta: float, dataset: Any, halvings: int = 0) -> tuple[float, float]:
        """The difference, and the error that rounding and the noise of the loss can make in it."""
        h = self.step(theta) / 2**halvings
        above, below = self._around(theta, h, dataset)
        self._take_noise(theta, h, above, below, dataset)
        noise = self.resolution.noise
        if noise:
            h = self._widened(theta, h, above) / 2**halvings
            above, below = self._around(theta, h, dataset)
        return (above - below) / (2 * h), max(16 * self._eps * max(abs(above), abs(below)), 8 * noise) / h


class RowsDifferenceGradient:
    """The same for a linear model, one component of theta after another; theta, and the rows that it goes by.

    The size of a component is its own, or that of the targets divided by that of its column.
    """

    def __init__(self, loss: LossFunction, rows: Rows) -> None:
        self._loss = loss
        spread = _center_and_spread(rows.targets)[1] or 1.0
        sizes = RowsCurvature(rows).column_sizes()
        sizes = np.concatenate([np.ones(int(rows.intercept)), np.where(sizes > 0, sizes, 1.0)])
        self._sizes = spread / sizes
        self._least = np.finfo(np.float64).eps ** (1 / 3) * self._sizes
        self.resolution = Resolution(float(np.finfo(np.float64).eps))

    def __call__(self, theta: DoubleArray, rows: Any) -> DoubleArray:
        steps = np.maximum(self._least, np.finfo(np.float64).eps ** (1 / 3) * np.abs(theta))
        steps = 2.0 ** np.ceil(np.log2(np.clip(steps, sys.float_info.min, sys.float_info.max / 4)))
        slopes, resolution = np.empty(len(theta)), self.resolution
        for k, h in enumerate(steps.tolist()):
            above, below = self._around(theta, k, h, rows)
            if k == 0 and resolution.is_due(above, below):
                most = float(np.min(np.maximum(self._sizes, np.abs(theta)) / steps))
                resolution.measure(lambda way: _loss_at(self._loss, theta + way * steps / 64, rows), 64 * most,
                                   64 * float(np.max((self._sizes + np.abs(theta)) / steps)), above == below)
            if resolution.noise:
                most = max(float(self._sizes[k]), abs(float(theta[k])))
                h = 2.0 ** math.ceil(math.log2(min(resolution.widened(h, above), most)))
                above, below = self._around(theta, k, h, rows)
                while above == below and h < most:
                    h *= 4
                    above, below = self._around(theta, k, h, rows)
            slopes[k] = (above - below) / (2 * h)
        return slopes

    def _around(self, theta: DoubleArray, k: int, h: float, rows: Any) -> tuple[float, float]:
        moved = np.zeros(len(theta))
        moved[k] = h
        return _loss_at(self._loss, theta + moved, rows), _loss_at(self._loss, theta - moved, rows)
