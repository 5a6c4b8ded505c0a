"""Whether a loss can still fall materially from where a descent ended: another descent, that arrives, looks.

It is the adaptive descent in the metric of the data, first on a sample of many rows, whose answer counts by its loss on
all of them. Where the slope is so small that nothing can be gained it does not begin.
"""
from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from fastgd._limits import (
    ENOUGH_LOOKS,
    FAR,
    FITS,
    LOOKS,
    MOST_FOR_GRAM,
    NEGLIGIBLE,
    SAMPLE,
    SURELY_NOT,
    WELL_FITTED,
    WORTH_WHILE,
)
from fastgd._run import arriving_runner
from fastgd._run.kinks import most_to_gain
from fastgd._source.rows import enough_rows
from fastgd._theta import is_finite, largest

if TYPE_CHECKING:
    from fastgd._objective import Objective
    from fastgd._types import Theta


class Shortfall(NamedTuple):
    """A place with a materially lower loss than that where a descent ended.

    Attributes
    ----------
    loss : float
        There.
    theta : float or ndarray
        Where.
    is_least : bool
        Whether it is the least, as far as doubles can say.
    """

    loss: float
    theta: Theta
    is_least: bool


def shortfall_of(objective: Objective, x: Any, start: Any, tol: float, by_loss: bool = False) -> Shortfall | None:
    """Where the loss that was descended on is materially lower than at x, if such a place is found.

    That is by more than a hundredth of itself, and by more than rounding of the loss at `start`. What is a small part
    of that loss, as where a model fits exactly, does not count if such a place is within a few `tol`, by the measure
    of the rule, which is the loss if `by_loss`: more was not asked for.
    """
    is_rows = objective.source.is_rows
    if not is_rows and _is_surely_least(objective, x, tol):
        return None
    here = objective.descended_value(x)
    if not math.isfinite(here):
        return None
    with np.errstate(all="ignore"):
        found = _of_rows(objective, x, here) if is_rows else _of_number(objective, x)
        if found is None:
            return None
        there, theta = found
        began = abs(objective.descended_value(start))

        def is_materially_lower(than: float) -> bool:
            return than - there > WORTH_WHILE * abs(there) and than - there > NEGLIGIBLE * began

        if not is_materially_lower(here):
            return None
        gain = here - there
        if by_loss and gain <= tol < abs(here) / FAR and largest(theta - x) <= FAR * tol:
            return None
        if there <= FITS * began and gain <= WELL_FITTED * began:
            length = _length(objective, theta - x)
            near = theta if length <= FAR * tol else x + (theta - x) * (FAR * tol / length)
            if (not by_loss or gain <= tol) and not is_materially_lower(objective.descended_value(near)):
                return None
    loss = objective.descended
    is_least = (loss is not None and loss.is_quadratic and objective.penalty is None
                and objective.source.n <= 2 * enough_rows(objective.source.n_parameters))
    return Shortfall(there, theta, is_least)


def _length(objective: Objective, step: Any) -> float:
    """The largest component of a step, in units of theta or of the prediction, whichever makes it larger."""
    if not objective.source.is_rows:
        return largest(step)
    first = int(objective.source.intercept)
    return max(largest(step), largest(step[first:] * objective.curvature.column_sizes()))


def _is_surely_least(objective: Objective, x: float, tol: float) -> bool:
    """Whether nothing that counts can be gained, by the loss at x and the slopes at x and near it."""
    loss = objective.descended
    if loss is not None and loss.is_quadratic and objective.penalty is None:
        here, slope = objective.own_value_and_slope(x)
        return bool(slope * slope / (2 * loss.max_curvature) <= SURELY_NOT * here)
    near, far = FAR * tol, FAR * FAR * tol
    here, slopes = objective.value_and_slopes([x, x - near, x + near, x - far, x + far])
    least = SURELY_NOT * abs(here)
    # Between two slopes of unlike signs a convex loss falls by no more than the slope times the distance.
    return bool((slopes[1] <= 0 <= slopes[2] and near * abs(slopes[0]) <= least)
                or (slopes[3] <= 0 <= slopes[4] and far * abs(slopes[0]) <= least))


def _of_number(objective: Objective, x: float) -> tuple[float, float] | None:
    """The lowest loss of one number that is found, and where."""
    theta: Any = _arrived(objective, x, ENOUGH_LOOKS, _spread_of(objective.source), 0.0)[0]
    there = objective.descended_value(theta)
    return (there, theta) if math.isfinite(there) else None


def _of_rows(objective: Objective, x: Any, here: float) -> tuple[float, Any] | None:
    """The same of rows; None where that at x is surely as good."""
    source = objective.source
    slope: Any = objective.slope(x)
    if not is_finite(slope):
        return None
    # A function in Python gets all rows, of which it may know more than their values.
    few: Any = source if objective.descended is None else source.sample(enough_rows(source.n_parameters))
    # By convexity nothing can be gained but the slope times the way to the least loss, which is hardly more than a few
    # times as long as the residuals, or as log-odds of any use.
    size = _size_of(objective, few, x)
    if not most_to_gain(objective, slope, 4 * size, abs(here)) > SURELY_NOT * abs(here):
        return None
    ends = size, abs(here) * SURELY_NOT / 2
    best, there = x, here
    has_all, whole = few.n == source.n, objective
    if has_all and source.is_parted:
        whole = objective.on(few)    # in memory
    if not has_all:
        theta = _arrived(objective.on(few), x, ENOUGH_LOOKS, *ends)[0]
        lower = objective.descended_value(theta) if is_finite(theta) else math.inf
        if lower < there:
            best, there = theta, lower
    theta = _arrived(whole, best, ENOUGH_LOOKS if has_all and objective.descended is not None else LOOKS, *ends)[0]
    lower = objective.descended_value(theta) if is_finite(theta) else math.inf
    return (lower, theta) if lower < there else (there, best)


def _size_of(objective: Objective, rows: Any, x: Any) -> float:
    """How far from x, in units of the prediction, the least loss may be: the root mean square of the residuals."""
    if objective.descended is not None and objective.descended.link != "identity":
        return 10.0
    first = int(rows.intercept)
    residuals = rows.targets - (rows.X @ x[first:] + (x[0] if first else 0.0))
    return math.sqrt(float(residuals @ residuals) / rows.n)


def _spread_of(points: Any) -> float:
    few = points.drawn(SAMPLE).targets
    return float(np.ptp(few))


def passes_to_arrive(objective: Objective, start: Any) -> int | None:
    """About how many passes over the data the descent that looks takes from here; None if that is not known."""
    loss, source = objective.descended, objective.source
    if loss is None or not loss.is_convex:
        return None
    if source.n_parameters > MOST_FOR_GRAM:
        return None    # for what it would take to tell
    few = source.sample(enough_rows(source.n_parameters)) if source.is_rows else source.drawn(SAMPLE)
    some = objective.on(few)
    with np.errstate(all="ignore"):
        here = some.descended_value(start)
        size = _size_of(some, few, start) if source.is_rows else _spread_of(few)
        try:
            return _arrived(some, start, ENOUGH_LOOKS, size, abs(here) * SURELY_NOT / 2)[1]
        except ValueError:    # for numbers whose squares overflow there is no metric
            return None


def _arrived(objective: Objective, theta: Any, most: int, size: float, cost: float) -> tuple[Any, int]:
    """Where the descent that looks ends from theta, after so many updates at most, and how many it made."""
    runner, rates = arriving_runner(objective, theta, size, cost)
    update = 0
    for update in range(1, most + 1):
        alphas = rates(update, 1)
        _, is_short = runner.advance(alphas, np.empty((1, *np.shape(theta))))
        if is_short or not is_finite(runner.theta):
            break
    return (runner.theta if is_finite(runner.theta) else runner.previous), update
