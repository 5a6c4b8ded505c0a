"""Descent of a linear model on smoothed versions of a loss with kinks."""
from __future__ import annotations

import functools
import math
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from fastgd._format import is_finite
from fastgd._pairwise import CACHED_NUMBERS, column_sums
from fastgd._solvers.base import ROUNDING, Bound, Outcome, Solver, Steps
from fastgd._solvers.duality_gap import DualityGap, gradient_bound
from fastgd._solvers.quasi_newton import BarzilaiBorwein
from fastgd._solvers.simplex_basis import minimum_at_vertex
from fastgd.results import CONVERGED, LIMIT_REACHED

if TYPE_CHECKING:
    from collections.abc import Callable

    from fastgd._data import LinearModelData
    from fastgd._objective.objective import Objective
    from fastgd._types import DoubleArray, Theta

    #: Offsets of kinks, and the jump of the slope at each.
    Kinks: TypeAlias = tuple[tuple[float, float], ...]

#: Factor of the half-width from one stage to the next, and step that ends a stage, relative to the half-width.
NARROWER, STAGE_TOL = 0.3, 0.02
#: Updates of a stage with adaptive step sizes, after which it continues with momentum, which cannot overshoot.
STAGE_UPDATES = 150
#: Cost of smoothing that ends a run, relative to the loss: in general, and at the limit of rounding or of updates.
SMOOTHING_COST, ENOUGH_AT_LIMIT = 1e-4, 1e-3
#: Rounding of a residual relative to its terms, the smallest useful half-width.
RESIDUAL_ROUNDING = 2.0**-48
#: A stage does not converge if shorter steps leave the bound by the gradient above this part of its last value.
STUCK = 0.99
#: Bound by the gradient below which the duality gap is computed, relative to the tolerance.
PROOF_RATIO = 4.0
#: A model fits if its loss is below this part of the loss at the start.
FITS = 1e-6
#: Bound relative to the loss below which the exact minimum is searched along edges.
NEAR_VERTEX = 1e-3


class SmoothingSolver:
    """Descent of a linear model on smoothed versions of a loss with kinks, each from the end of the last.

    Let a be the slopes of the loss smoothed over a half-width of h. At its minimum mean(a x) is 0, and the exact loss
    has a suboptimality of at most the mean of jump / 2 * t (1 - t / h) over the residuals whose distance t from a kink
    is below h, the cost of smoothing. A bound by the gradient is added, because mean(a x) is never exactly 0; if the
    sum is small, the duality gap proves it. The run ends when the bound is at most the tolerance. With few rows the
    simplex method finds the exact minimum from a theta near it.

    Parameters
    ----------
    objective : Objective
        Mean of the exact loss.
    solver_of : callable
        Function of an objective, theta, a tolerance in units of the targets, and `is_safe` if no step may overshoot,
        that makes the solver of a stage.
    by_loss : float or None
        Tolerance of the suboptimality; None for `SMOOTHING_COST` times the loss.
    proves : bool
        True if the bound must be proved; else an estimate ends the run.
    """

    is_deterministic = False
    evaluations = at_once = 0
    records_all = has_moved = True
    _end: DoubleArray | None = None

    def __init__(self, objective: Objective, theta0: DoubleArray, solver_of: Callable[..., Solver],
                 by_loss: float | None, proves: bool, capacity: int = 1) -> None:
        self._objective, self._solver_of, self._by_loss = objective, solver_of, by_loss
        self.stops_when_short, self.capacity = True, capacity
        self._duality = DualityGap(objective) if proves else None
        self._least, self._best = math.inf, theta0    # the lowest loss so far, and its theta
        self._floor = 0.0    # a proved lower bound of the loss
        self._searched = math.inf    # the width at which the exact minimum was last searched
        self._bound = Bound(math.inf, False, False)
        distance, _, size = self._measure(theta0, 1.0)
        self._start, self._width = self._least, distance if 0 < distance < math.inf else 1.0
        self._size = size or self._start
        self._last_stage = theta0, self._width, self._start    # the last stage that converged
        self._begin_stage(theta0)

    def _begin_stage(self, theta: Theta, *, is_safe: bool = False) -> None:
        loss = self._objective.loss
        assert loss is not None
        self._smoothed = self._objective.with_loss(loss.smoothed(self._width))
        self._tol, self._updates, self._began_at = STAGE_TOL * self._width, 0, theta
        self._gradient_bound = math.inf
        self._solver = self._solver_of(self._smoothed, theta, self._tol, is_safe=is_safe)

    @property
    def theta(self) -> Theta:
        return self._solver.theta if self._end is None else self._end

    @property
    def previous(self) -> Theta:
        return self._solver.previous if self._end is None else self._solver.theta

    def advance(self, most: int) -> Steps:
        most = min(most, self.capacity)
        if self._updates < STAGE_UPDATES:
            most = min(most, STAGE_UPDATES - self._updates)
        steps = self._solver.advance(most)
        self._updates += len(steps.step_sizes)
        if steps.is_converged and self._ends_stage(self._solver.theta):
            self._end = steps.thetas[-1] = self._best
            return steps._replace(is_converged=self.stops_when_short)
        if not steps.is_converged and self._updates == STAGE_UPDATES and isinstance(self._solver, BarzilaiBorwein):
            self._begin_stage(self._began_at, is_safe=True)
            self._updates = STAGE_UPDATES
        return steps._replace(is_converged=False)

    def _ends_stage(self, theta: Any) -> bool:
        """Return True if the run may end with this stage; if not, begin the next stage or refine this one."""
        distance, cost, _ = self._measure(theta, self._width)
        slope: Any = self._smoothed.gradients([theta])[0]
        loss = self._loss
        by_gradient = gradient_bound(self._objective, slope, distance, abs(loss))
        enough, rounding = self._tolerance(cost + by_gradient)
        if (cost + by_gradient <= NEAR_VERTEX * loss or rounding) and self._width < self._searched:
            self._searched, vertex = self._width, minimum_at_vertex(self._objective, theta)
            if vertex is not None:
                self._floor = max(self._floor, self._value(vertex[0]) - vertex[1])
        is_known = self._is_proved_within(enough)
        if not is_known and cost <= enough and by_gradient <= PROOF_RATIO * enough:
            gap, of_slopes = self._prove(theta, self._width, loss, enough)
            is_known = self._is_proved_within(enough)
            if gap == gap:
                by_gradient = gap - of_slopes
            elif cost + by_gradient <= enough:
                self._bound = Bound(cost + by_gradient - (loss - self._least), False, True)
                return True
        if is_known or self._width <= rounding:
            self._bound = self._bound_of(True) if is_known else self._bound_at_limit()
            return True
        if by_gradient > max(cost, enough) / 2 and self._tol > ROUNDING * self._width:
            self._refine_stage(theta, by_gradient)
        else:
            if by_gradient <= max(cost, enough) / 2:
                self._last_stage = theta, self._width, loss
            self._width = min(NARROWER * self._width, 2 * distance if distance else self._width)
            self._begin_stage(theta)
        return False

    def _refine_stage(self, theta: Any, by_gradient: float) -> None:
        """Continue with shorter steps, or with momentum if they do not converge, as on a linear part of the loss."""
        is_stuck, self._gradient_bound = by_gradient > STUCK * self._gradient_bound, by_gradient
        if is_stuck and isinstance(self._solver, BarzilaiBorwein):
            self._begin_stage(theta, is_safe=True)
        else:
            self._tol /= 4
            self._solver.tol = self._tol    # type: ignore[attr-defined]

    def _is_proved_within(self, enough: float) -> bool:
        """Return True if the lowest loss so far is proved to be at most `enough` above the minimum."""
        return self._least < math.inf and self._least - self._floor <= enough

    def _tolerance(self, bound: float) -> tuple[float, float]:
        """Compute the tolerance of the bound, and the rounding of a residual, 0 far from the minimum."""
        enough = SMOOTHING_COST * self._least if self._by_loss is None else self._by_loss
        if min(bound, self._width) > FITS * max(self._size, self._start):    # far from it
            return enough, 0.0
        rounding = self._rounding(self._best)
        part = ROUNDING / RESIDUAL_ROUNDING if self._by_loss is None else 1.0
        return max(enough, part * rounding), rounding

    def _rounding(self, theta: Any) -> float:
        """Compute the rounding of a residual from the sizes of its terms."""
        first = int(self._objective.data.intercept)
        terms = self._size + self._column_sizes @ np.abs(theta[first:]) + np.abs(theta[:first]).sum()
        return RESIDUAL_ROUNDING * float(terms)

    @functools.cached_property
    def _column_sizes(self) -> DoubleArray:
        return self._objective.second_moments.column_sizes()

    def _value(self, theta: Any) -> float:
        """Evaluate the exact loss, and store it if it is the lowest so far."""
        loss = self._objective.value(theta)
        if loss < self._least:
            self._least, self._best = loss, theta
        return loss

    def finalize(self, outcome: Outcome) -> Outcome:
        """Add the bound to the outcome; a run that reached its limit returns the theta of the lowest loss."""
        theta: Any = outcome.x
        if outcome.status == LIMIT_REACHED and is_finite(theta):
            self._prove(theta, self._width, self._value(theta))
            self._bound = self._bound_at_limit()
            outcome = outcome._replace(theta=self._best,
                                       status=CONVERGED if self._bound.is_enough else LIMIT_REACHED)
        return outcome._replace(bound=self._bound)

    def _prove(self, theta: Any, width: float, loss: float, enough: float = 0.0) -> tuple[float, float]:
        """Compute the duality gap, and raise the lower bound of the loss by it."""
        if self._duality is None:
            return math.nan, math.nan
        gap, cost = self._duality.gap(theta, width, loss, enough)
        self._floor = max(self._floor, loss - gap)
        return gap, cost

    def _bound_at_limit(self) -> Bound:
        """Bound the suboptimality of a run that cannot continue; without `by_loss` 0.1 % of the loss is enough."""
        self._prove(*self._last_stage)
        enough = self._tolerance(self._least - self._floor)[0]
        at_limit = ENOUGH_AT_LIMIT * self._least if self._by_loss is None else 0.0
        return self._bound_of(self._is_proved_within(max(enough, at_limit)))

    def _bound_of(self, is_enough: bool) -> Bound:
        """Bound the lowest loss so far, with the rounding of the loss and of the residuals."""
        most = self._least - self._floor + ROUNDING * self._least
        is_small = most <= FITS * max(self._size, self._start)
        return Bound(most + (self._rounding(self._best) if is_small else 0.0), True, is_enough)

    def _measure(self, theta: Any, width: float) -> tuple[float, float, float]:
        """Compute the mean distance of a residual from its nearest kink, the cost of smoothing, and the mean abs(y)."""
        loss, rows = self._objective.loss, self._objective.data
        assert loss is not None
        assert rows.is_rows
        self._loss = self._value(theta)
        distance, cost, size = rows.total(functools.partial(_distance_and_cost, theta, width, loss.kinks),
                                          rows.rows_of(CACHED_NUMBERS)) / rows.n
        return float(distance), float(cost), float(size)


def _distance_and_cost(theta: DoubleArray, width: float, kinks: Kinks, rows: LinearModelData,
                       part: slice) -> DoubleArray:
    """Sum the distances of residuals from their nearest kink, the costs of smoothing, and abs(y)."""
    with np.errstate(over="ignore", invalid="ignore"):    # the run ends if the loss is not finite
        residuals = rows.targets[part] - rows.predictions(theta, part)
        distances = [np.abs(residuals - offset) for offset, _ in kinks]
        sums = np.empty((len(residuals), 3))
        sums[:, 0], sums[:, 1], sums[:, 2] = np.min(distances, axis=0), 0.0, np.abs(rows.targets[part])
        for t, (_, jump) in zip(distances, kinks, strict=True):
            t = np.minimum(t, width)    # the cost is 0 at and beyond the width
            sums[:, 1] += jump / 2 * (t * (1 - t / width))
        return column_sums(sums, None if rows.weights is None else rows.weights[part])
