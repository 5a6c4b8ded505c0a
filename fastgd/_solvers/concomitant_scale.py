"""Descent on the Huber loss with a concomitant scale: delta is in robust standard deviations of the residuals."""
from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import numpy as np

from fastgd._data.arrays import SAMPLE_ROWS, LinearModelData
from fastgd._solvers.base import ROUNDING
from fastgd.losses.builtin import Huber

if TYPE_CHECKING:
    from collections.abc import Callable

    from fastgd._data.arrays import AnyLinearModelData
    from fastgd._objective.objective import Objective
    from fastgd._solvers.base import Solver, Steps
    from fastgd._types import DoubleArray, Theta

#: Median of abs(z) for a standard normal z, the quantile of z at 3/4.
NORMAL_MAD = 0.6744897501960817
#: Updates with one scale: more updates take longer, and fewer lose the last digits.
UPDATES_OF_A_SCALE = 3


class ConcomitantScale:
    """Alternate a few updates of theta and an update of the scale until neither changes.

    The scale is the median of abs(residual) over `NORMAL_MAD` (P. J. Huber, "Robust Statistics", Wiley, 1981, section
    7.8).

    Parameters
    ----------
    objective : Objective
        Objective of a Huber loss whose delta is in units of the scale.
    solver_of : callable
        Function of an objective, theta, a tolerance in units of the targets, and the number of the next update, that
        makes a solver.
    tol : float
        Tolerance of the change of theta, in units of the scale, and of the relative change of the scale.

    Attributes
    ----------
    objective : Objective
        Objective with the present scale.
    scale : float
    """

    is_deterministic = False
    evaluations = at_once = 0
    records_all = has_moved = True

    def __init__(self, objective: Objective, theta0: DoubleArray,
                 solver_of: Callable[[Objective, Any, float, int], Solver], tol: float, capacity: int = 1) -> None:
        assert isinstance(objective.loss, Huber)
        self._unscaled, self._solver_of, self._tol = objective, solver_of, tol
        self._delta = objective.loss.delta
        self.stops_when_short, self.capacity, self._done = True, capacity, 0
        least, most = objective.data.extremes
        self._floor = ROUNDING * max(abs(least), abs(most))
        self.scale = self._scale_at(theta0) or max(abs(least), abs(most)) or 1.0
        self._begin_stage(theta0, 1)    # one update: the first step is long, and changes the scale most

    def _scale_at(self, theta: Any) -> float:
        """Compute the scale of the residuals; 0 if half of them are rounding."""
        rows = self._unscaled.data
        assert rows.is_rows
        scale = residual_mad(rows, theta)
        return scale if scale > self._floor else 0.0

    def _begin_stage(self, theta: Theta, updates: int) -> None:
        self.objective = self._unscaled.with_loss(Huber(self._delta * self.scale))
        self._left = updates
        self._solver = self._solver_of(self.objective, theta, self._tol * self.scale, self._done)

    @property
    def theta(self) -> Theta:
        return self._solver.theta

    @property
    def previous(self) -> Theta:
        return self._solver.previous

    def advance(self, most: int) -> Steps:
        steps = self._solver.advance(min(most, self.capacity, self._left))
        self._left -= len(steps.step_sizes)
        self._done += len(steps.step_sizes)
        if self._left > 0 and not steps.is_converged:
            return steps
        scale = self._scale_at(self._solver.theta)
        if not 0 < scale < np.inf:    # more than half of the rows are fitted exactly, or theta is not finite
            return steps._replace(is_converged=scale == 0 and self.stops_when_short)
        has_changed = abs(scale - self.scale) > self._tol * scale
        if steps.is_converged and not has_changed:
            return steps._replace(is_converged=self.stops_when_short)
        self.scale = scale
        self._begin_stage(self._solver.theta, UPDATES_OF_A_SCALE)
        return steps._replace(is_converged=False)


def residual_mad(rows: AnyLinearModelData, theta: Any) -> float:
    """Compute the weighted median of abs(residual) over `NORMAL_MAD`.

    With many rows a sample brackets the median, and only the residuals in the bracket are gathered.
    """
    low, high = 0.0, np.inf
    if rows.n <= 2 * SAMPLE_ROWS and isinstance(rows, LinearModelData) and rows.weights is None:    # the small call
        middle = rows.n // 2
        sizes = np.partition(sizes_of_residuals(theta, rows), (max(middle - 1, 0), middle))
        median = sizes[middle] if rows.n % 2 else sizes[middle - 1] / 2 + sizes[middle] / 2
        return float(median) / NORMAL_MAD
    if rows.n > 2 * SAMPLE_ROWS:
        some = rows.sample(SAMPLE_ROWS)
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
    """Compute the weighted median of numbers; the mean of two if half of the weight ends between them."""
    median = _median_above(0.0, float(weights.sum()), sizes, weights)
    return float(sizes.max()) if median is None else median


def sizes_of_residuals(theta: DoubleArray, rows: LinearModelData) -> DoubleArray:
    """Compute abs(residual) of each row."""
    return _sizes_in(theta, rows, slice(0, rows.n))


def _median_above(below: float, total: float, sizes: DoubleArray, weights: DoubleArray) -> float | None:
    """Return the weighted median if it is among these numbers, below which lies a weight of `below`; else None.

    The median is the mean of two numbers if half of the weight ends between them.
    """
    order = np.argsort(sizes)
    sizes, weights = sizes[order], weights[order]
    kept = weights > 0
    sizes, sums = sizes[kept], below + np.cumsum(weights[kept])
    rounding = 1e-9 * total    # rounding of the sums of weights
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
    """Sum the weights of residuals below `low` and of all; return the residuals in the bracket and their weights."""
    sizes = _sizes_in(theta, rows, part)
    weights = np.ones(len(sizes)) if rows.weights is None else rows.weights[part]
    inside = (sizes >= low) & (sizes <= high)
    return float(weights[sizes < low].sum()), float(weights.sum()), sizes[inside], weights[inside]
