"""Certificate that an objective cannot decrease materially from theta, or a better point.

The suboptimality is bounded by convexity. If the bound is too large, a reference problem is solved from theta by the
adaptive descent with a preconditioner, on a sample of the rows first. The objective on all rows decides whether the
solution is a better point.
"""
from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from fastgd._data.arrays import SAMPLE_ROWS, sample_size
from fastgd._data.sampling import mean_square, sample_by_leverage, target_variance
from fastgd._format import is_finite, max_abs
from fastgd._solvers.duality_gap import gradient_bound
from fastgd._solvers.select import MAX_GRAM_PARAMETERS, reference_solver
from fastgd._solvers.smoothing import FITS, NARROWER, STAGE_TOL
from fastgd.losses.builtin import Huber
from fastgd.penalties import ElasticNet

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fastgd._objective.objective import Objective
    from fastgd._types import DoubleArray, Theta
    from fastgd.losses import Loss

#: Decrease of the objective, relative to itself, that is material; a bound below the other one certifies theta.
MATERIAL, CERTIFIED = 0.01, 2e-3
#: Distance in which the minimum is searched first, in units of tol.
FAR = 10
#: Rounding of theta in a descent, in units in the last place.
THETA_ROUNDING = 64
#: Bound relative to the objective below which a value is reported as the least.
LEAST = 1e-6
#: Log-odds beyond which a probability is within 5e-5 of 0 or 1.
MAX_LOG_ODDS = 10.0
#: A loss is linear at a residual if its slope at twice the residual is below this times the slope at the residual.
LINEAR_RATIO = 1.1
#: Decrease relative to the loss at the start that is not material within `FAR` tol if the model fits.
WELL_FITTED = 1e-4
#: Decrease relative to the loss of the targets' standard deviation that is never material, because the model fits.
NEGLIGIBLE = 1e-9
#: Updates of a reference solve: on all rows after a solve on a sample, and without one.
SHORT_SOLVE, SOLVE = 12, 300
#: Most updates of a solve that is continued until it converges, and most numbers of X read by them: 0.1 s.
MAX_SOLVE, MAX_SOLVE_NUMBERS = 4000, 2**26


class BetterPoint(NamedTuple):
    """Theta of a materially lower objective.

    Attributes
    ----------
    value : float
        The objective at `theta`; NaN for a Python gradient without a loss, whose minimum lies beyond `theta`.
    theta : float or ndarray
    is_least : bool
        True if it is the minimum to double precision.
    """

    value: float
    theta: Theta
    is_least: bool


def find_better_point(objective: Objective, x: Any, start: Any, tol: float,
                      by_loss: bool = False) -> BetterPoint | None:
    """Find a point where the objective is materially lower than at x; None if there is none.

    A material decrease is more than 1 % of the lower value, and more than rounding. If both values are a small part of
    the value at `start`, a point within `FAR` tol of x is not materially better, in units of theta or, if `by_loss`, of
    the loss. If the model fits, nor is a point whose decrease is reached within `FAR` tol.
    """
    is_rows = objective.data.is_rows
    has_loss = objective.loss is not None or not objective.has_gradient_alone
    if not is_rows and has_loss and _is_certified(objective, x, tol):
        return None
    with np.errstate(all="ignore"):
        here = objective.value(x)
        if not math.isfinite(here):
            return _point_beyond(objective, x, tol) if objective.has_gradient_alone else None
        found = _better_of_rows(objective, x, here) if is_rows else _better_of_number(objective, x)
        if found is None or not here - found.value > MATERIAL * abs(found.value):
            return None
        return found if _is_material(objective, found, x, here, start, tol, by_loss) else None


def _is_material(objective: Objective, found: BetterPoint, x: Any, here: float, start: Any, tol: float,
                 by_loss: bool) -> bool:
    """Return True if a point is better by more than rounding, and farther from x than the tolerance."""
    there, theta, _ = found
    began, gain = abs(objective.value(start)), here - there
    deviation_loss = _loss_of_deviation(objective, began)
    negligible = _negligible(objective, theta, there, deviation_loss)
    material = max(MATERIAL * abs(there), negligible)
    if not gain > material:
        return False
    if by_loss and gain <= tol < abs(here) / FAR and max_abs(theta - x) <= FAR * tol:
        return False
    if there <= FITS * began and gain <= WELL_FITTED * began and (not by_loss or gain <= tol):
        length = _length(objective, theta - x)
        if length <= FAR * tol:
            return False
        near = x + (theta - x) * (FAR * tol / length)
        if there <= max(FITS * deviation_loss, negligible) and not objective.value(near) - there > material:
            return False
    return True


def _negligible(objective: Objective, theta: Any, value: float, deviation_loss: float) -> float:
    """Compute the increase of the objective if theta moves by its rounding, or the residual objective of an exact fit.

    The increase does not grow with the distance of the targets from 0 or from the start.
    """
    data = objective.data
    eps = THETA_ROUNDING * float(np.finfo(np.float64 if data.is_rows else data.dtype).eps)
    signs = 1 - 2 * (np.arange(len(theta)) % 2) if data.is_rows else 1
    return max(NEGLIGIBLE * deviation_loss, objective.value(theta * (1 + eps * signs)) - value)


def _loss_of_deviation(objective: Objective, began: float) -> float:
    """Evaluate the loss at the standard deviation of the targets, or at even odds; without a loss return `began`."""
    loss, data = objective.loss, objective.data
    if loss is not None and loss.link != "identity":
        return loss(0.0, [0.5])
    if not data.is_rows:
        return 0.0    # because one number cannot fit targets that differ
    return began if loss is None else loss(0.0, [math.sqrt(target_variance(data))]) - loss(0.0, [0.0])


def _point_beyond(objective: Objective, x: Any, tol: float) -> BetterPoint | None:
    """Find a point with a slope of the sign at x, so far away that a squared error would decrease materially.

    Only for a Python gradient without a loss: a convex loss has its minimum along the line beyond the point.
    """
    data: Any = objective.data
    gradient: Any = objective.gradient(x)
    if not is_finite(gradient):
        return None
    residuals = data.targets - (data.predictions(x, slice(0, data.n)) if data.is_rows else x)
    far = max(FAR * tol, math.sqrt(MATERIAL) * float(residuals.std()))
    step = objective.second_moments.over_gram(gradient) if data.is_rows else gradient
    length = math.sqrt(max(0.0, float(np.dot(gradient, step))))    # length of the step in units of the prediction
    if not 0 < length < math.inf:
        return None
    point = x - step * (far / length)
    is_downhill = float(np.dot(objective.gradient(point), step)) > 0
    return BetterPoint(math.nan, point, False) if is_downhill else None


def _length(objective: Objective, step: Any) -> float:
    """Compute the largest component of a step, in units of theta or of the prediction, whichever is larger."""
    if not objective.data.is_rows:
        return max_abs(step)
    first = int(objective.data.intercept)
    return max(max_abs(step), max_abs(step[first:] * objective.second_moments.column_sizes()))


def _is_certified(objective: Objective, x: float, tol: float) -> bool:
    """Return True if the slopes at and near a number x prove that the loss cannot decrease materially."""
    loss = objective.loss
    if loss is not None and loss.is_quadratic and objective.penalty is None:
        here, slope = objective.value_and_gradient(x)
        return bool(slope * slope / (2 * loss.max_curvature) <= CERTIFIED * here)
    near, far = FAR * tol, FAR * FAR * tol
    here, slopes = objective.value_and_gradients([x, x - near, x + near, x - far, x + far])
    least = CERTIFIED * abs(here)
    # Between two slopes of opposite signs a convex loss decreases by at most the slope times the distance.
    return bool((slopes[1] <= 0 <= slopes[2] and near * abs(slopes[0]) <= least)
                or (slopes[3] <= 0 <= slopes[4] and far * abs(slopes[0]) <= least))


def _better_of_number(objective: Objective, x: float) -> BetterPoint | None:
    """Solve the reference problem of one number."""
    theta: Any = reference_solve(objective, x, SOLVE, _range_of(objective.data), 0.0)[0]
    there = objective.value(theta)
    return BetterPoint(there, theta, _solves_exactly(objective)) if math.isfinite(there) else None


def _better_of_rows(objective: Objective, x: Any, here: float) -> BetterPoint | None:
    """Solve the reference problem of rows; None if x is certified, or if no lower point is found."""
    data: Any = objective.data
    gradient: Any = objective.gradient(x)
    if not is_finite(gradient):
        return None
    is_python, enough, least = objective.loss is None, sample_size(data.n_parameters), abs(here) * CERTIFIED
    sample = data if is_python else data.sample(enough)
    if sample.n < data.n and not suboptimality_bound(
            objective, x, gradient, 4 * FAR * FAR * prediction_radius(objective.on(sample), x), here) > least:
        return None    # a factor of 100 for large residuals that the sample misses
    radius = prediction_radius(objective, x)
    if not suboptimality_bound(objective, x, gradient, 4 * radius, here) > least:
        return None
    few = objective if is_python else importance_sample(objective, enough)
    begun = better_point(few, x, np.zeros(len(x)))
    best = (reference_solve(few, begun, SHORT_SOLVE, radius, least / 2)[0] if is_python
            else _staged_solve(few, begun, radius, least / 2))
    there = objective.value(best)
    if few.data.n < objective.data.n:
        if not there < here:
            best, there = x, here
        theta = reference_solve(objective, best, SHORT_SOLVE, radius, least / 2)[0]
        lower = objective.value(theta)
        if lower < there:
            best, there = theta, lower
    if not there < here:
        return None
    return BetterPoint(there, best, _solves_exactly(objective) and _is_least(objective, best, there))


def _is_least(objective: Objective, x: Any, here: float) -> bool:
    """Return True if the loss of rows is at its minimum, along every direction of the preconditioner."""
    if objective.preconditioner("gram", is_subsampled=True).collinear:
        return False
    radius = prediction_radius(objective, x)
    return suboptimality_bound(objective, x, objective.gradient(x), 4 * radius, here) <= LEAST * here


def _solves_exactly(objective: Objective) -> bool:
    """Return True if a reference solve that converges ends at the minimum itself."""
    loss, data = objective.loss, objective.data
    return (loss is not None and loss.is_quadratic and objective.penalty is None
            and data.n <= 2 * sample_size(data.n_parameters))


def _range_of(points: Any) -> float:
    return float(np.ptp(points.draw(SAMPLE_ROWS).targets))


def passes_to_minimum(objective: Objective, start: Any) -> int | None:
    """Estimate the passes over the data that the adaptive descent takes; None if it has no estimate."""
    loss, data = objective.loss, objective.data
    if loss is None or not loss.is_convex or data.n_parameters > MAX_GRAM_PARAMETERS:
        return None
    few = data.sample(sample_size(data.n_parameters)) if data.is_rows else data.draw(SAMPLE_ROWS)
    sample = objective.on(few)
    with np.errstate(all="ignore"):
        here = sample.value(start)
        radius = prediction_radius(sample, start) if data.is_rows else _range_of(few)
        return reference_solve(sample, start, SOLVE, radius, abs(here) * CERTIFIED / 2)[1]


def reference_solve(objective: Objective, theta: Any, most: int, radius: float, cost: float) -> tuple[Any, int]:
    """Solve a reference problem from theta in at most `most` updates; return the end and the number of updates.

    The solve ends where the objective can decrease by at most `cost` within four times `radius`, in units of the
    prediction.
    """
    solve = _ReferenceSolve(objective, theta, radius, cost)
    solve.advance(most)
    return solve.theta, solve.updates


def _staged_solve(objective: Objective, theta: Any, radius: float, cost: float) -> Any:
    """Solve a reference problem of residuals up to `radius` in stages; a small one until it converges."""
    loss, rows, begun = objective.loss, objective.data, theta
    for version, short in _quadratic_versions(objective, radius):
        solve = _ReferenceSolve(version, theta, radius, cost, short)
        solve.advance(SHORT_SOLVE)
        theta = solve.theta
    begun = better_point(objective, begun, theta)
    solve = _ReferenceSolve(objective, begun, radius, cost)
    solve.advance(SOLVE)
    most = min(MAX_SOLVE, MAX_SOLVE_NUMBERS // (rows.n * rows.n_parameters))
    while (solve.updates < most and not solve.is_over and not (loss is not None and loss.kinks)
           and _may_decrease(objective, solve.theta, radius, cost)):
        solve.advance(SOLVE)
    found = better_point(objective, begun, solve.theta)
    if found is begun and loss is not None and loss.max_stable_alpha is not None:
        solve = _ReferenceSolve(objective, begun, radius, cost, is_safe=True)
        solve.advance(SOLVE)
        found = better_point(objective, begun, solve.theta)
    return found


def _may_decrease(objective: Objective, x: Any, radius: float, cost: float) -> bool:
    return suboptimality_bound(objective, x, objective.gradient(x), 4 * radius, objective.value(x)) > cost


class _ReferenceSolve:
    """Reference solve that can be resumed."""

    def __init__(self, objective: Objective, theta: Any, radius: float, cost: float, short: float = 0.0, *,
                 is_safe: bool = False) -> None:
        self._solver = reference_solver(objective, theta, radius, cost, short, is_safe=is_safe)
        self.updates, self.is_over = 0, False

    @property
    def theta(self) -> Any:
        """The last theta that is finite."""
        return self._solver.theta if is_finite(self._solver.theta) else self._solver.previous

    def advance(self, most: int) -> None:
        """Make at most `most` updates."""
        stop = self.updates + most
        while self.updates < stop and not self.is_over:
            steps = self._solver.advance(stop - self.updates)
            self.updates += len(steps.step_sizes)
            self.is_over = steps.is_converged or not is_finite(self._solver.theta)


def _quadratic_versions(objective: Objective, width: float) -> Iterator[tuple[Objective, float]]:
    """Make objectives that are quadratic up to decreasing widths, as long as the loss is linear there.

    Each comes with the length of a short step.
    """
    loss, penalty = objective.loss, objective.penalty
    if loss is not None and loss.is_convex and loss.link == "identity" and math.isfinite(width * width):
        while width > 0 and not loss.kinks and _is_linear(loss, width):
            scaled = None
            if penalty is not None:
                steeper = width / abs(loss.gradient(0.0, [width]))
                scaled = ElasticNet(steeper * penalty.l1, steeper * penalty.l2)
            yield objective.with_loss(Huber(width), scaled), STAGE_TOL * width
            width *= NARROWER


def _is_linear(loss: Loss, width: float) -> bool:
    near, far = (abs(loss.gradient(0.0, [times * width])) for times in (1, 2))
    return far < LINEAR_RATIO * near


def better_point(objective: Objective, x: Any, other: Any) -> Any:
    """Return the second theta if the objective is lower there, else the first."""
    return other if objective.value(other) < objective.value(x) else x


def prediction_radius(objective: Objective, x: Any) -> float:
    """Estimate the distance from x to the minimum of a loss of rows, in units of the prediction.

    The estimate is the root mean square of the residuals; for log-odds the root mean square of the predictions plus
    `MAX_LOG_ODDS`.
    """
    loss, rows = objective.loss, objective.data
    if loss is not None and loss.is_quadratic:
        return math.sqrt(2 * objective.value(x) / loss.max_curvature)
    is_identity = loss is None or loss.link == "identity"
    assert rows.is_rows
    root = math.sqrt(mean_square(rows, x, of_residuals=is_identity))
    return root if is_identity else root + MAX_LOG_ODDS


def importance_sample(objective: Objective, size: int) -> Objective:
    """Return the objective of about `size` rows drawn by leverage, or of all rows if n is at most 2 `size`."""
    rows: Any = objective.data
    if rows.n <= 2 * size:
        return objective.on(rows.sample(size)) if rows.is_chunked else objective
    preconditioner = objective.second_moments.preconditioner("gram", 1.0, 0.0, is_subsampled=True)
    drawn = sample_by_leverage(rows, preconditioner.shift, preconditioner.sizes, size)
    return objective.on(drawn or rows.sample(size))


def suboptimality_bound(objective: Objective, x: Any, gradient: Any, distance: float, here: float) -> float:
    """Bound the decrease of a loss of rows within a distance: by convexity the gradient times the distance."""
    if objective.penalty is None or not objective.penalty.l1:
        return gradient_bound(objective, gradient, distance, here)
    gap = _l1_gap(objective, x, distance, here)
    rows: Any = objective.data
    if rows.n <= rows.n_parameters or objective.preconditioner("gram", is_subsampled=True).collinear:
        return gap
    return min(gap, gradient_bound(objective, gradient, distance, here))


def _l1_gap(objective: Objective, x: DoubleArray, distance: float, here: float) -> float:
    """Bound the decrease with a penalty of l1 by the excess of the gradient over l1.

    With g the gradient of the mean over the rows, and v any weights, the decrease from w to v is at most

        g @ w + l1 sum(abs(w)) + l2 / 2 sum(w**2) - (g @ v + l1 sum(abs(v)) + l2 / 2 sum(v**2))

    where only components with abs(g) > l1 make the subtracted term negative, and l1 sum(abs(v)) is at most the
    objective at w.
    """
    penalty, first = objective.penalty, int(objective.data.intercept)
    assert penalty is not None
    g, w = objective.loss_gradient(x), x[first:]
    excess = np.maximum(np.abs(g[first:]) - penalty.l1, 0)
    here_part = float(np.sum(g[first:] * w + penalty.l1 * np.abs(w) + penalty.l2 / 2 * w * w))
    there_part = here / penalty.l1 * float(excess.max())
    if penalty.l2:
        there_part = min(there_part, float(np.sum(excess * excess)) / 2 / penalty.l2)
    return here_part + there_part + (abs(float(g[0])) * distance if first else 0.0)
