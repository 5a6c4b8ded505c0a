"""The adaptive descent of one number, and what it knows of the data before it begins."""
from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from fastgd._checks import as_double
from fastgd._data.arrays import ConstantModelData
from fastgd._limits import ENOUGH_LOOKS, FAR_AWAY, PLACES, PLACES_NEAR, ROUNDING, ROUNDING_OF_SUMS, SAMPLE
from fastgd._run.adaptive import Bracket
from fastgd._run.kinks import OrderStatistic
from fastgd._run.update import Update

if TYPE_CHECKING:
    from fastgd._objective import Objective
    from fastgd._types import DoubleArray


def bracket_of(objective: Objective, theta0: float, tol: float, by_step: bool) -> Bracket:
    """The runner. The points say where to look; of our own losses a sample says how curved the mean is there too."""
    loss, source = objective.descended, objective.source
    update = Update(objective)
    if loss is None:
        places = () if source.is_rows else quantiles(source.draw(SAMPLE)).tolist()
        return Bracket(objective.called_gradient, source.everything, theta0, tol, by_step, update, 1.0, places)
    places, rate, guess = _expected(objective, theta0)
    settle = OrderStatistic(objective) if loss.kinks else None
    return Bracket(objective.called_gradient, None, theta0, tol, by_step, update, rate, places, guess, settle,
                   is_known=loss.is_quadratic)


def _expected(objective: Objective, theta0: float) -> tuple[list[float], float, float | None]:
    """Places among the points, one over the curvature near the minimum, and where it may be."""
    loss, points = objective.descended, objective.source
    assert loss is not None
    assert not points.is_rows
    places: list[float] = []
    rate, guess = 1.0 if loss.max_stable_alpha is None else objective.safe_rate(False), None
    if loss.is_quadratic:
        return places, rate, guess
    some = points.draw(SAMPLE)
    if loss.is_convex and loss.link == "identity":
        found = quantiles(some)
        places = found.tolist()
        rate, guess = _between(objective.on(ConstantModelData(None, found.astype(some.dtype))), places, rate)
    if some.n < points.n:
        rate, guess = _arrived(objective.on(some), theta0, places, rate, guess)
    return places, rate, guess


def quantiles(points: ConstantModelData) -> DoubleArray:
    """Some of the points in order, at equal steps of their weight; a weight of 2 is the same as a second point."""
    levels = (np.arange(PLACES) + 0.5) / PLACES - ROUNDING_OF_SUMS
    if points.weights is None:
        places = np.ceil(levels * points.n).astype(np.intp) - 1
        return as_double(np.sort(points.targets)[places])
    order = np.argsort(points.targets)
    sums = np.cumsum(points.weights[order], dtype=np.float64)
    places = order[np.searchsorted(sums, levels * sums[-1])]
    return as_double(points.targets[places])


def _between(few: Objective, places: list[float], rate: float) -> tuple[float, float]:
    """One over the curvature, and the place, where the slope of the mean over `places` changes its sign."""
    reach = _reach(few)
    thetas = [places[0] - reach, *places, places[-1] + reach]
    if few.penalty is not None:
        thetas = sorted([*thetas, 0.0])
    above, slopes = _first_above(few, thetas)
    if above in (0, len(thetas)):
        return rate, thetas[min(above, len(thetas) - 1)]
    left, right = thetas[above - 1:above + 1]
    low, high = thetas[max(above - PLACES_NEAR, 0)], thetas[min(above + PLACES_NEAR, len(thetas)) - 1]
    # Where points are few the slope changes near them alone.
    steps = reach / 4 * 4.0 ** np.arange(PLACES_NEAR**2)
    steps = steps[steps < (right - left) / 2]
    thetas = [left, *(left + steps).tolist(), *(right - steps[::-1]).tolist(), right]
    above, slopes = _first_above(few, thetas)
    left, right = thetas[above - 1:above + 1]
    falls, rises = slopes[above - 1:above + 1]
    guess = left + (right - left) * (falls / (falls - rises))
    width = min(high - guess, guess - low) or reach or right - left
    return _inverse_curvature(few, guess - width, guess + width) or rate, guess


def _inverse_curvature(few: Objective, low: float, high: float) -> float:
    """One over the mean curvature between two places; 0 where there is none."""
    below, above = (float(slope) for slope in few.slopes([low, high]))
    return (high - low) / (above - below) if above > below else 0.0


def _first_above(few: Objective, thetas: list[float]) -> tuple[int, list[float]]:
    """Which of the thetas is the first where the slope is not below 0, and all slopes."""
    slopes = [float(slope) for slope in few.slopes(thetas)]
    return next((k for k, slope in enumerate(slopes) if slope >= 0), len(thetas)), slopes


def _reach(few: Objective) -> float:
    """How far from a point the slope of its loss changes at most, where it is bounded: half its range by its rise."""
    loss = few.descended
    assert loss is not None
    curvature = loss.max_curvature
    rise = (loss.gradient(FAR_AWAY, [0.0]) - loss.gradient(-FAR_AWAY, [0.0])) / 2
    return float(rise / curvature) if np.isfinite(rise) and 0 < curvature < np.inf else 0.0


def _arrived(some: Objective, theta0: float, places: list[float], rate: float,
             guess: float | None) -> tuple[float, float | None]:
    """One over the curvature, and the place, where the descent on a sample ends."""
    assert some.descended is not None
    tol = ROUNDING * float(np.ptp(some.in_memory.targets))
    runner = Bracket(some.called_gradient, None, theta0 if guess is None else guess, tol, True, Update(some), rate,
                     places, None, OrderStatistic(some) if some.descended.kinks else None)
    theta = np.empty(1)
    for _ in range(ENOUGH_LOOKS):
        _, is_short = runner.advance(np.array([runner.next_rate()]), theta)
        if is_short or not np.isfinite(theta[0]):
            break
    if not np.isfinite(theta[0]):
        return rate, guess
    if places:
        k = int(np.searchsorted(places, theta[0]))
        low, high = places[max(k - PLACES_NEAR, 0)], places[min(k + PLACES_NEAR, PLACES) - 1]
        rate = _inverse_curvature(some, low, high) or rate
    return rate, theta.item()
