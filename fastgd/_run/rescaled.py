"""Descent on the Huber loss with a delta in robust standard deviations of the residuals, which are found with theta."""
from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import numpy as np

from fastgd._data.arrays import LinearModelData
from fastgd._limits import NORMAL_MAD, ROUNDING, SAMPLE, UPDATES_OF_A_SCALE
from fastgd.losses.builtin import Huber

if TYPE_CHECKING:
    from collections.abc import Callable

    from fastgd._data.arrays import AnyLinearModelData
    from fastgd._objective import Objective
    from fastgd._run.python import PythonBatch
    from fastgd._types import DoubleArray, Theta


class Rescaled:
    """A few updates with one scale, and so on from there with the scale of the new residuals, until both stand still.

    The scale is the median of abs(residual) over that of the standard normal distribution (P. J. Huber, "Robust
    Statistics", Wiley, 1981, section 7.8). The objective always has the loss of the present one.

    Parameters
    ----------
    objective : Objective
        Of a Huber loss whose delta is in units of the scale.
    runner_of : callable
        From theta and a tolerance in units of the targets to a runner and what says its next rate.
    tol : float
        How far theta may still move, in units of the scale, and the scale, as a part of itself.
    """

    is_deterministic = False
    evaluations = at_once = 0

    def __init__(self, objective: Objective, theta0: DoubleArray,
                 runner_of: Callable[[Any, float], tuple[PythonBatch, Callable[[], float]]], tol: float) -> None:
        assert isinstance(objective.descended, Huber)
        self._objective, self._runner_of, self._tol = objective, runner_of, tol
        self._delta = objective.descended.delta
        self.ends_when_short = True
        least, most = objective.source.extremes
        self._floor = ROUNDING * max(abs(least), abs(most))
        self.scale = self.spread_at(theta0) or max(abs(least), abs(most)) or 1.0
        self._begin_stage(theta0, 1)    # which leads far

    def spread_at(self, theta: Any) -> float:
        """The scale of the residuals; 0 where half of them are rounding."""
        spread = spread_of(self._rows, theta)
        return spread if spread > self._floor else 0.0

    @property
    def _rows(self) -> AnyLinearModelData:
        rows = self._objective.source
        assert rows.is_rows
        return rows

    def _begin_stage(self, theta: Theta, updates: int) -> None:
        self._objective.take_loss(Huber(self._delta * self.scale))
        self._left = updates
        self._runner, self.next_rate = self._runner_of(theta, self._tol * self.scale)

    @property
    def theta(self) -> Theta:
        return self._runner.theta

    @property
    def previous(self) -> Theta:
        return self._runner.previous

    def buffer(self, limit: int, every: bool) -> tuple[int, DoubleArray]:
        return self._runner.buffer(limit, every)

    def advance(self, alphas: DoubleArray, thetas: DoubleArray) -> tuple[int, bool]:
        count, is_short = self._runner.advance(alphas, thetas)
        self._left -= count
        if self._left > 0 and not is_short:
            return count, False
        spread = self.spread_at(self._runner.theta)
        if not 0 < spread < np.inf:    # more than half of the rows are fitted exactly, or theta is not finite
            return count, spread == 0 and self.ends_when_short
        has_moved = abs(spread - self.scale) > self._tol * spread
        if is_short and not has_moved:
            return count, self.ends_when_short
        self.scale = spread
        self._begin_stage(self._runner.theta, UPDATES_OF_A_SCALE)
        return count, False


def spread_of(rows: AnyLinearModelData, theta: Any) -> float:
    """The median of abs(residual) over that of the standard normal distribution, each row by its weight.

    Of many rows a sample says between which two numbers it will be, and only the residuals there are gathered.
    """
    low, high = 0.0, np.inf
    if rows.n <= 2 * SAMPLE and isinstance(rows, LinearModelData) and rows.weights is None:    # the small call
        middle = rows.n // 2
        sizes = np.partition(sizes_of_residuals(theta, rows), (max(middle - 1, 0), middle))
        median = sizes[middle] if rows.n % 2 else sizes[middle - 1] / 2 + sizes[middle] / 2
        return float(median) / NORMAL_MAD
    if rows.n > 2 * SAMPLE:
        some = rows.sample(SAMPLE)
        low, high = np.quantile(_sizes_in(theta, some, slice(0, some.n)), [0.47, 0.53]).tolist()
    while True:
        found = rows.map_slices(functools.partial(_sizes_between, theta, low, high))
        below, total = sum(part[0] for part in found), sum(part[1] for part in found)
        sizes, weights = (np.concatenate([part[k] for part in found]) for k in (2, 3))
        median = _median_above(below, total, sizes, weights)
        if median is not None or (low == 0 and high == np.inf):
            return np.nan if median is None else median / NORMAL_MAD
        low, high = 0.0, np.inf


def weighted_median(sizes: DoubleArray, weights: DoubleArray) -> float:
    """Return the median of numbers that have these weights; where half of the weight ends between two, their mean."""
    median = _median_above(0.0, float(weights.sum()), sizes, weights)
    return float(sizes.max()) if median is None else median


def sizes_of_residuals(theta: DoubleArray, rows: LinearModelData) -> DoubleArray:
    """Return abs(residual) of each row."""
    return _sizes_in(theta, rows, slice(0, rows.n))


def _median_above(below: float, total: float, sizes: DoubleArray, weights: DoubleArray) -> float | None:
    """The median of numbers of which these are some, and those of a weight of `below` less; None if it is elsewhere.

    Where half of the weight ends between two numbers it is their mean.
    """
    order = np.argsort(sizes)
    sizes, weights = sizes[order], weights[order]
    kept = weights > 0
    sizes, sums = sizes[kept], below + np.cumsum(weights[kept])
    rounding = 1e-9 * total    # of the sums of weights, which are quotients
    place = int(np.searchsorted(sums, total / 2 - rounding))
    is_between = place < len(sums) and sums[place] <= total / 2 + rounding
    if below >= total / 2 - rounding or place + is_between >= len(sums):
        return None
    return float(sizes[place] / 2 + sizes[place + 1] / 2 if is_between else sizes[place])


def _sizes_in(theta: DoubleArray, rows: LinearModelData, part: slice) -> DoubleArray:
    with np.errstate(over="ignore", invalid="ignore"):
        return np.abs(rows.targets[part] - rows.predictions(theta, part))


def _sizes_between(theta: DoubleArray, low: float, high: float, rows: LinearModelData,
                   part: slice) -> tuple[float, float, DoubleArray, DoubleArray]:
    """The weight of the residuals below `low`, that of all, and those from `low` to `high` with their weights."""
    sizes = _sizes_in(theta, rows, part)
    weights = np.ones(len(sizes)) if rows.weights is None else rows.weights[part]
    inside = (sizes >= low) & (sizes <= high)
    return float(weights[sizes < low].sum()), float(weights.sum()), sizes[inside], weights[inside]
