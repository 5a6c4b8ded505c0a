"""Whether a loss can still fall materially from where a descent ended: another descent, that arrives, looks.

It looks first at those of the rows that tell most, and what it finds counts by the loss on all of them. Where the slope
is so small that nothing can be gained it does not begin.
"""
from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from fastgd._data.arrays import sample_size
from fastgd._data.sampling import target_variance
from fastgd._limits import (
    ENOUGH_LOOKS,
    FAR,
    FITS,
    LEAST,
    LOOKS,
    MOST_FOR_GRAM,
    NEGLIGIBLE,
    ROUNDED,
    SAMPLE,
    SURELY_NOT,
    WELL_FITTED,
    WORTH_WHILE,
)
from fastgd._look import arrived, arrived_from_afar, lower_of, most_to_fall, sampled, size_at
from fastgd._theta import is_finite, largest

if TYPE_CHECKING:
    from fastgd._objective import Objective
    from fastgd._types import Theta


class Shortfall(NamedTuple):
    """A place with a materially lower loss than that where a descent ended.

    Attributes
    ----------
    loss : float
        There; NaN of a gradient in Python, of which the slope tells that the minimum is beyond.
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

    That is by more than a hundredth of itself, and by more than rounding makes of it. Where both losses are a small
    part of that at `start` it does not count if the place is within a few `tol`, by the measure of the rule, which is
    the loss if `by_loss`: more was not asked for. Where a model fits, not if there is such a place within them.
    """
    is_rows = objective.source.is_rows
    if not is_rows and not objective.is_unknown and _is_surely_least(objective, x, tol):
        return None
    with np.errstate(all="ignore"):
        here = objective.descended_value(x)
        if not math.isfinite(here):
            return _beyond(objective, x, tol) if objective.is_unknown else None
        found = _of_rows(objective, x, here) if is_rows else _of_number(objective, x)
        if found is None or not here - found.loss > WORTH_WHILE * abs(found.loss):
            return None
        there, theta, _ = found
        began, gain = abs(objective.descended_value(start)), here - there
        spread = _spread_loss(objective, began)
        negligible = _negligible(objective, theta, there, spread)
        least_that_counts = max(WORTH_WHILE * abs(there), negligible)
        if not gain > least_that_counts:
            return None
        if by_loss and gain <= tol < abs(here) / FAR and largest(theta - x) <= FAR * tol:
            return None
        if there <= FITS * began and gain <= WELL_FITTED * began and (not by_loss or gain <= tol):
            length = _length(objective, theta - x)
            if length <= FAR * tol:
                return None
            near = x + (theta - x) * (FAR * tol / length)
            if (there <= max(FITS * spread, negligible)
                    and not objective.descended_value(near) - there > least_that_counts):
                return None
    return found


def _negligible(objective: Objective, theta: Any, value: float, spread: float) -> float:
    """What the loss rises by from its least where theta moves by its rounding, or is 0 as far as a fit is exact.

    It does not grow with how far the targets are from 0, or the start from them.
    """
    source = objective.source
    eps = ROUNDED * float(np.finfo(np.float64 if source.is_rows else source.dtype).eps)
    signs = 1 - 2 * (np.arange(len(theta)) % 2) if source.is_rows else 1
    return max(NEGLIGIBLE * spread, objective.descended_value(theta * (1 + eps * signs)) - value)


def _spread_loss(objective: Objective, began: float) -> float:
    """The loss of a residual as large as the standard deviation of the targets, or of even odds; else at the start."""
    loss, source = objective.descended, objective.source
    if loss is not None and loss.link != "identity":
        return loss(0.0, [0.5])
    if not source.is_rows:
        return 0.0    # as one number fits no targets that differ
    return began if loss is None else loss(0.0, [math.sqrt(target_variance(source))]) - loss(0.0, [0.0])


def _beyond(objective: Objective, x: Any, tol: float) -> Shortfall | None:
    """A place with a slope as at x, so far from it that between them a loss of squares would fall materially.

    Of a gradient in Python nothing else is known. A convex loss is least beyond it, along that line.
    """
    source: Any = objective.source
    slope: Any = objective.slope(x)
    if not is_finite(slope):
        return None
    residuals = source.targets - (source.predictions(x, slice(0, source.n)) if source.is_rows else x)
    far = max(FAR * tol, math.sqrt(WORTH_WHILE) * float(residuals.std()))
    step = objective.curvature.over_gram(slope) if source.is_rows else slope
    length = math.sqrt(max(0.0, float(np.dot(slope, step))))    # that of the step, in units of the prediction
    if not 0 < length < math.inf:
        return None
    place = x - step * (far / length)
    return Shortfall(math.nan, place, False) if float(np.dot(objective.slope(place), step)) > 0 else None


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


def _of_number(objective: Objective, x: float) -> Shortfall | None:
    """The lowest loss of one number that is found, and where."""
    theta: Any = arrived(objective, x, ENOUGH_LOOKS, _spread_of(objective.source), 0.0)[0]
    there = objective.descended_value(theta)
    return Shortfall(there, theta, _is_exact(objective)) if math.isfinite(there) else None


def _of_rows(objective: Objective, x: Any, here: float) -> Shortfall | None:
    """The same of rows; None where that at x is surely as good."""
    source: Any = objective.source
    slope: Any = objective.slope(x)
    if not is_finite(slope):
        return None
    # A function in Python gets all rows, of which it may know more than their values.
    is_called, enough, least = objective.descended is None, sample_size(source.n_parameters), abs(here) * SURELY_NOT
    some = source if is_called else source.sample(enough)
    if some.n < source.n and not most_to_fall(
            objective, x, slope, 4 * FAR * FAR * size_at(objective.on(some), x), here) > least:
        return None    # whatever of the size of residuals the sample misses
    size = size_at(objective, x)
    if not most_to_fall(objective, x, slope, 4 * size, here) > least:
        return None
    few = objective if is_called else sampled(objective, enough)
    begun = lower_of(few, x, np.zeros(len(x)))
    best = (arrived(few, begun, LOOKS, size, least / 2)[0] if is_called
            else arrived_from_afar(few, begun, size, least / 2))
    there = objective.descended_value(best)
    if few.source.n < objective.source.n:
        if not there < here:
            best, there = x, here
        theta = arrived(objective, best, LOOKS, size, least / 2)[0]
        lower = objective.descended_value(theta)
        if lower < there:
            best, there = theta, lower
    if not there < here:
        return None
    return Shortfall(there, best, _is_exact(objective) and _is_least(objective, best, there))


def _is_least(objective: Objective, x: Any, here: float) -> bool:
    """Whether the loss of rows can fall no more, along any direction of which the metric of the data knows."""
    if objective.metric("gram", is_rough=True).ties:
        return False
    return most_to_fall(objective, x, objective.slope(x), 4 * size_at(objective, x), here) <= LEAST * here


def _is_exact(objective: Objective) -> bool:
    """Whether the descent that looks ends at the minimum itself, if it arrives."""
    loss, source = objective.descended, objective.source
    return (loss is not None and loss.is_quadratic and objective.penalty is None
            and source.n <= 2 * sample_size(source.n_parameters))


def _spread_of(points: Any) -> float:
    few = points.draw(SAMPLE).targets
    return float(np.ptp(few))


def passes_to_arrive(objective: Objective, start: Any) -> int | None:
    """About how many passes over the data the descent that looks takes from here; None if that is not known."""
    loss, source = objective.descended, objective.source
    if loss is None or not loss.is_convex:
        return None
    if source.n_parameters > MOST_FOR_GRAM:
        return None    # for what it would take to tell
    few = source.sample(sample_size(source.n_parameters)) if source.is_rows else source.draw(SAMPLE)
    some = objective.on(few)
    with np.errstate(all="ignore"):
        here = some.descended_value(start)
        size = size_at(some, start) if source.is_rows else _spread_of(few)
        return arrived(some, start, ENOUGH_LOOKS, size, abs(here) * SURELY_NOT / 2)[1]
