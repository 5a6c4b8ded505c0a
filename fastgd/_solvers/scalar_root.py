"""Batch descent of one number to a root of its slope, between points where the slope has opposite signs."""
from __future__ import annotations

import bisect
import math
from typing import TYPE_CHECKING, Any

import numpy as np

from fastgd._data.arrays import SAMPLE_ROWS, ConstantModelData
from fastgd._format import is_finite
from fastgd._solvers.base import ROUNDING, Steps
from fastgd._solvers.order_statistic import OrderStatistic
from fastgd._solvers.proximal_step import ProximalStep
from fastgd._validation import as_double, real_number

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from fastgd._objective.objective import Objective
    from fastgd._solvers.order_statistic import Place
    from fastgd._types import DoubleArray

#: Quantiles on which the minimum is first searched, and number of them on each side that measure the curvature.
QUANTILES, QUANTILES_NEAR = 64, 4
#: Factor by which a step exceeds the secant step, to bracket the minimum; and growth of steps if the slope is constant.
BEYOND, FARTHER = 1.5, 10.0
#: A theta that is far from all points.
FAR_AWAY = 1e300
#: Rounding of a sum of weights, relative to it.
WEIGHT_ROUNDING = 1e-9
#: Most updates on a sample.
SAMPLE_UPDATES = 300


class Bracket:
    """Root finder on the slope of one number, by the last three points.

    While all slopes have one sign the steps grow, and are probes, which never end the run. After that the parameter is
    bracketed between slopes of opposite sign: the next point comes from inverse quadratic interpolation if the three
    points admit it, else from bisection (T. R. Chandrupatla, "A new hybrid quadratic/bisection algorithm for finding
    the zero of a nonlinear function without using derivatives", Advances in Engineering Software 28, 1997).

    Parameters
    ----------
    gradient : callable
        Slope of the loss at theta.
    first_rate : float
        Step size at the start and near the warm start.
    places : sequence of float
        Quantiles of the points, in order; the median of those in the bracket replaces bisection.
    warm_start : float or None
        First point, if it is downhill from theta0.
    order_statistic : OrderStatistic or None
        Minimum of a loss with kinks among the points in the bracket.
    is_known : bool
        True if `first_rate` is one over the curvature everywhere, so that steps by it are no probes.
    capacity : int
        Most updates in one call.
    """

    is_deterministic = False
    evaluations = at_once = 0
    records_all = has_moved = True

    def __init__(self, gradient: Callable[[Any], Any], theta0: float, tol: float, by_step: bool, update: ProximalStep,
                 first_rate: float, places: Sequence[float] = (), warm_start: float | None = None,
                 order_statistic: OrderStatistic | None = None, *, is_known: bool = False, capacity: int = 1) -> None:
        self.theta = self.previous = theta0
        self.tol, self.stops_when_short, self.capacity = tol, by_step, capacity
        self._gradient, self._update = gradient, update
        self._first_rate, self._places, self._warm_start = first_rate, places, warm_start
        self._order_statistic, self._is_known = order_statistic, is_known
        self._slope = self._target = 0.0
        self._seen: list[Place] = []    # the latest first
        self._ends: dict[bool, Place] = {}    # the last theta of a slope below 0, and of one above 0
        self._is_settled = self._is_probe = False
        self._is_at_start = warm_start is not None and warm_start == theta0
        self._far_end: Place | None = None    # the end of a bracket as wide as the distance to the warm start

    def advance(self, most: int) -> Steps:
        thetas, rates = [], []
        for _ in range(min(most, self.capacity)):
            rates.append(self._choose())
            self.previous, self.theta = self.theta, self._target
            thetas.append(self.theta)
            size = abs(self.theta - self.previous)
            is_short = (size == 0 or (size < self.tol and not self._is_probe)) and self.stops_when_short
            if is_short or not math.isfinite(self.theta):
                return Steps(np.array(thetas), np.array(rates), is_short)
        return Steps(np.array(thetas), np.array(rates), False)

    def _choose(self) -> float:
        """Choose the next point by the slope at theta; return the step size that leads to it."""
        if not self._is_settled:
            slope = real_number(self._gradient(self.theta), "grad_loss_fn", "slope")
            slope = self._update.with_l1(self.theta, float(self._update.with_l2(self.theta, slope)))
            self._slope = slope
            self._seen = [(self.theta, slope), *self._seen[:2]]
            if slope != 0:
                self._ends[slope > 0] = self.theta, slope
            self._target = self._next_place(slope)
        moved = self.theta - self._target
        return moved / self._slope if moved and self._slope and is_finite(self._slope) else 1.0

    def _next_place(self, slope: float) -> float:
        if slope != slope:
            return math.nan
        self._is_probe, settle = False, self._order_statistic
        if slope == 0 or (settle is not None and settle.is_flat(slope)):
            self._is_settled = True
            return self.theta if settle is None else settle.lowest_from(self.theta)
        if self._is_at_start:    # the other end is searched near the warm start, not at theta0
            self._far_end = self._ends.pop(slope < 0, None)
        if len(self._ends) == 2 and settle is not None:
            least = settle(self._ends[False], self._ends[True])
            if least is not None:
                self._is_settled = True
                return least
        if len(self._ends) < 2:
            target = self._outward(slope)
            if self._far_end is None or (target - self._far_end[0]) * slope > 0:
                self._is_probe = not self._is_known
                return target
            self._ends[slope < 0] = self._far_end
        return self._inward()

    def _inward(self) -> float:
        """Return the next point in the bracket; its less steep end if no float lies between the ends."""
        low, high = self._ends[False], self._ends[True]
        left, right = min(low[0], high[0]), max(low[0], high[0])
        target = 0.0 if self._update.has_l1 and left < 0 < right else self._interpolate()
        if left < target < right:
            return target
        self._is_settled = True
        return min(low, high, key=lambda place: abs(place[1]))[0]

    def _outward(self, slope: float) -> float:
        """Return the next point downhill, outside all points so far."""
        warm_start, self._warm_start = self._warm_start, None
        if warm_start is not None and (self.theta - warm_start) * slope > 0:
            self._is_at_start = True
            return warm_start
        step = self._first_rate * abs(slope)
        if self._is_at_start:
            step *= BEYOND
            self._is_at_start = False
        elif len(self._seen) > 1:
            place, before = self._seen[1]
            last = abs(self.theta - place)
            flatter = abs(before) - abs(slope)
            secant = BEYOND * last * abs(slope) / flatter if flatter > 0 else math.inf
            if secant > FARTHER * last:
                ahead = self._middle_place(*((-math.inf, self.theta) if slope > 0 else (self.theta, math.inf)))
                if ahead is not None:
                    return ahead
            step = min(max(secant, step), FARTHER * last)
        return self.theta - math.copysign(max(step, abs(math.ulp(self.theta))), slope)

    def _interpolate(self) -> float:
        """Interpolate the next point in the bracket, one end of which is the latest point, by the last three points."""
        a, at_a = self._seen[0]
        b, at_b = self._ends[not at_a > 0]
        if math.isinf(at_a) or math.isinf(at_b):
            return self._middle(a, b)
        if len(self._seen) > 2 or self._seen[1][0] != b:
            c, at_c = next((each for each in self._seen[1:] if each[0] != b), self._seen[-1])
            if (c - b) * (a - b) < 0:    # make a the end between the two other points
                a, at_a, b, at_b = b, at_b, a, at_a
            xi, phi = (a - b) / (c - b) if c != b else 2.0, (at_a - at_b) / (at_c - at_b) if at_c != at_b else 2.0
            if not (phi * phi < xi and (1 - phi) ** 2 < 1 - xi):
                return self._middle(a, b)
            part = (at_a / (at_b - at_a) * at_c / (at_b - at_c)
                    + (c - a) / (b - a) * at_a / (at_c - at_a) * at_b / (at_c - at_b))
            return a + min(max(part, 0.0), 1.0) * (b - a)
        return a + at_a / (at_a - at_b) * (b - a)

    def _middle(self, a: float, b: float) -> float:
        """Return the median of the quantiles between two points, or the point half way."""
        place = self._middle_place(min(a, b), max(a, b))
        self._is_probe = place is not None
        return a + (b - a) / 2 if place is None else place

    def _middle_place(self, left: float, right: float) -> float | None:
        first, last = bisect.bisect_right(self._places, left), bisect.bisect_left(self._places, right)
        return self._places[(first + last) // 2] if first < last else None


def bracket_of(objective: Objective, theta0: float, tol: float, by_step: bool, capacity: int = 1) -> Bracket:
    """Make the solver of one number, from quantiles of the points and, for a compiled loss, from a sample of them."""
    loss, data = objective.loss, objective.data
    update = ProximalStep(objective)
    if loss is None:
        places = () if data.is_rows else quantiles(data.draw(SAMPLE_ROWS)).tolist()
        return Bracket(objective.loss_gradient, theta0, tol, by_step, update, 1.0, places, capacity=capacity)
    places, rate, warm_start = _expect(objective, theta0)
    return Bracket(objective.loss_gradient, theta0, tol, by_step, update, rate, places, warm_start,
                   OrderStatistic(objective) if loss.kinks else None, is_known=loss.is_quadratic, capacity=capacity)


def _expect(objective: Objective, theta0: float) -> tuple[list[float], float, float | None]:
    """Estimate quantiles of the points, one over the curvature near the minimum, and the minimum."""
    loss, points = objective.loss, objective.data
    assert loss is not None
    assert not points.is_rows
    places: list[float] = []
    rate, warm_start = 1.0 if loss.max_stable_alpha is None else objective.safe_rate(False), None
    if loss.is_quadratic:
        return places, rate, warm_start
    sample = points.draw(SAMPLE_ROWS)
    if loss.is_convex and loss.link == "identity":
        found = quantiles(sample)
        places = found.tolist()
        few = ConstantModelData(None, found.astype(sample.dtype))
        rate, warm_start = _root_of_quantiles(objective.on(few), places, rate)
    if sample.n < points.n:
        rate, warm_start = _minimum_of_sample(objective.on(sample), theta0, places, rate, warm_start)
    return places, rate, warm_start


def quantiles(points: ConstantModelData) -> DoubleArray:
    """Return weighted quantiles of the points, in order; a weight of 2 counts as two points."""
    levels = (np.arange(QUANTILES) + 0.5) / QUANTILES - WEIGHT_ROUNDING
    if points.weights is None:
        places = np.ceil(levels * points.n).astype(np.intp) - 1
        return as_double(np.sort(points.targets)[places])
    order = np.argsort(points.targets)
    sums = np.cumsum(points.weights[order], dtype=np.float64)
    places = order[np.searchsorted(sums, levels * sums[-1])]
    return as_double(points.targets[places])


def _root_of_quantiles(few: Objective, places: list[float], rate: float) -> tuple[float, float]:
    """Find the root of the mean slope over `places`; return one over the curvature near it, and the root."""
    reach = _reach(few)
    thetas = [places[0] - reach, *places, places[-1] + reach]
    if few.penalty is not None:
        thetas = sorted([*thetas, 0.0])
    above, slopes = _first_rising(few, thetas)
    if above in (0, len(thetas)):
        return rate, thetas[min(above, len(thetas) - 1)]
    left, right = thetas[above - 1:above + 1]
    low, high = thetas[max(above - QUANTILES_NEAR, 0)], thetas[min(above + QUANTILES_NEAR, len(thetas)) - 1]
    # The slope of a few points changes only near them.
    steps = reach / 4 * 4.0 ** np.arange(QUANTILES_NEAR**2)
    steps = steps[steps < (right - left) / 2]
    thetas = [left, *(left + steps).tolist(), *(right - steps[::-1]).tolist(), right]
    above, slopes = _first_rising(few, thetas)
    left, right = thetas[above - 1:above + 1]
    falls, rises = slopes[above - 1:above + 1]
    root = left + (right - left) * (falls / (falls - rises))
    width = min(high - root, root - low) or reach or right - left
    return _inverse_curvature(few, root - width, root + width) or rate, root


def _inverse_curvature(few: Objective, low: float, high: float) -> float:
    """Compute one over the mean curvature between two points; 0 if the slope does not rise."""
    below, above = (float(slope) for slope in few.gradients([low, high]))
    return (high - low) / (above - below) if above > below else 0.0


def _first_rising(few: Objective, thetas: list[float]) -> tuple[int, list[float]]:
    """Return the index of the first theta whose slope is not below 0, and all slopes."""
    slopes = [float(slope) for slope in few.gradients(thetas)]
    return next((k for k, slope in enumerate(slopes) if slope >= 0), len(thetas)), slopes


def _reach(few: Objective) -> float:
    """Compute the distance from a point up to which the slope of its loss changes: half its range / max curvature."""
    loss = few.loss
    assert loss is not None
    curvature = loss.max_curvature
    rise = (loss.gradient(FAR_AWAY, [0.0]) - loss.gradient(-FAR_AWAY, [0.0])) / 2
    return float(rise / curvature) if np.isfinite(rise) and 0 < curvature < np.inf else 0.0


def _minimum_of_sample(sample: Objective, theta0: float, places: list[float], rate: float,
                       warm_start: float | None) -> tuple[float, float | None]:
    """Descend on a sample; return one over the curvature near the end, and the end."""
    assert sample.loss is not None
    tol = ROUNDING * float(np.ptp(sample.in_memory.targets))
    solver = Bracket(sample.loss_gradient, theta0 if warm_start is None else warm_start, tol, True,
                     ProximalStep(sample), rate, places, None,
                     OrderStatistic(sample) if sample.loss.kinks else None, capacity=SAMPLE_UPDATES)
    solver.advance(SAMPLE_UPDATES)
    theta = solver.theta
    if not math.isfinite(theta):
        return rate, warm_start
    if places:
        k = int(np.searchsorted(places, theta))
        low, high = places[max(k - QUANTILES_NEAR, 0)], places[min(k + QUANTILES_NEAR, QUANTILES) - 1]
        rate = _inverse_curvature(sample, low, high) or rate
    return rate, theta
