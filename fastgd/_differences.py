"""Central differences of a loss: its slope where no gradient is given."""
from __future__ import annotations

import math
import sys
from typing import TYPE_CHECKING, Any

import numpy as np

from fastgd._checks import one_number, slices_of_rows
from fastgd._curvature import RowsCurvature
from fastgd._limits import SPREAD_SAMPLE
from fastgd._source import Rows

if TYPE_CHECKING:
    from fastgd._source import Points
    from fastgd._types import DoubleArray, FloatArray, LossFunction


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


class DifferenceGradient:
    """(loss(theta + h) - loss(theta - h)) / (2 h), called like a gradient.

    h is the cube root of the machine precision times the size of a residual, the larger of the spread of the data (the
    median distance from their median) and the distance of theta from them. There the error of the formula, h**2, and
    that of rounding, eps / h, are of one size (Nocedal and Wright, "Numerical Optimization", section 8.1).
    """

    def __init__(self, loss_fn: LossFunction, targets: FloatArray) -> None:
        self._loss = loss_fn
        self._eps = float(np.finfo(targets.dtype).eps)
        self._center, spread = _center_and_spread(targets)
        # `step` knows an infinite one
        self._spread = spread or _largest_distance(targets, self._center) or abs(self._center) or 1.0

    def step(self, theta: float) -> float:
        """The h at theta: a power of two, and far above the distance of two floats there."""
        h = self._eps ** (1 / 3) * min(max(self._spread, abs(theta - self._center)), sys.float_info.max)
        h = min(max(h, 64 * self._eps * abs(theta), sys.float_info.min), sys.float_info.max / 4)
        return 2.0 ** math.ceil(math.log2(h))

    def __call__(self, theta: float, dataset: Any) -> float:
        return self.with_noise(float(theta), dataset)[0]

    def with_noise(self, theta: float, dataset: Any, halvings: int = 0) -> tuple[float, float]:
        """The difference, and the error that rounding of the loss can make in it."""
        h = self.step(theta) / 2**halvings
        above, below = (_loss_at(self._loss, place, dataset) for place in (theta + h, theta - h))
        return (above - below) / (2 * h), 16 * self._eps * max(abs(above), abs(below)) / h


class RowsDifferenceGradient:
    """The same for a linear model, one component of theta after another; theta, and the rows that it goes by.

    The size of a component is its own, or that of the targets divided by that of its column.
    """

    def __init__(self, loss: LossFunction, rows: Rows) -> None:
        self._loss = loss
        spread = _center_and_spread(rows.targets)[1] or 1.0
        sizes = RowsCurvature(rows).column_sizes()
        sizes = np.concatenate([np.ones(int(rows.intercept)), np.where(sizes > 0, sizes, 1.0)])
        self._least = np.finfo(np.float64).eps ** (1 / 3) * spread / sizes

    def __call__(self, theta: DoubleArray, rows: Any) -> DoubleArray:
        steps = np.maximum(self._least, np.finfo(np.float64).eps ** (1 / 3) * np.abs(theta))
        steps = np.clip(steps, sys.float_info.min, sys.float_info.max / 4)
        slopes = np.empty(len(theta))
        for k, h in enumerate((2.0 ** np.ceil(np.log2(steps))).tolist()):
            moved = np.zeros(len(theta))
            moved[k] = h
            above, below = (_loss_at(self._loss, place, rows) for place in (theta + moved, theta - moved))
            slopes[k] = (above - below) / (2 * h)
        return slopes
