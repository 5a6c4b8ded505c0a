"""Minimum of a loss with kinks over points: an order statistic, less the offset of a kink."""
from __future__ import annotations

import functools
import math
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from fastgd._pairwise import NUMPY_POINTS, column_sums
from fastgd._solvers.base import ROUNDING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fastgd._data import ConstantModelData
    from fastgd._objective.objective import Objective
    from fastgd._types import DoubleArray

    #: A theta and its slope.
    Place: TypeAlias = tuple[float, float]
    #: Offsets of kinks, and the jump of the slope at each.
    Kinks: TypeAlias = tuple[tuple[float, float], ...]

#: Points in a bracket up to which they are gathered and sorted; and calls after which any number is.
SORTED_POINTS, CALLS_BEFORE_SORTING = 4096, 12


class OrderStatistic:
    """Minimum of the mean loss of points between two thetas; the slope jumps at each point, by its weight.

    The minimum is a point less the offset of a kink, unless a penalty has a minimum between two of them.
    """

    def __init__(self, objective: Objective) -> None:
        loss, points = objective.loss, objective.data
        assert loss is not None
        assert not points.is_rows
        self._kinks, self._points = loss.kinks, points
        self._l1, self._l2 = (0.0, 0.0) if objective.penalty is None else (objective.penalty.l1, objective.penalty.l2)
        self._slope_of_all = loss.gradient(0.0, [1e300]) - self._l1    # the slope below all kinks
        self._calls = 0

    def __call__(self, low: Place, high: Place) -> float | None:
        """Return the minimum between thetas of opposite slopes; None if, at first, many points lie between them."""
        self._calls += 1
        n = self._points.n
        least_jump = min(jump for _, jump in self._kinks)
        if (high[1] - low[1]) * n / least_jump > SORTED_POINTS and self._calls < CALLS_BEFORE_SORTING:
            return None
        below, places, jumps = self._jumps_in(low[0], high[0])
        order = np.lexsort((jumps, places))
        places, jumps = places[order], jumps[order]
        # The slope left of each place and right of the last, without the slope of l2.
        slopes = self._slope_of_all + (below + np.cumsum(np.concatenate([[0.0], jumps]))) / n
        rises = slopes[1:] + self._l2 * places >= -ROUNDING
        k = int(np.argmax(np.append(rises, True)))
        if self._l2 and (k == len(places) or slopes[k] + self._l2 * places[k] > 0):
            return float(-slopes[k] / self._l2)
        return float(places[k]) if k < len(places) else None

    def is_flat(self, slope: float) -> bool:
        """Return True if a slope is less than the jump of one point, the rounding of jumps that cancel."""
        least_jump = min(jump for _, jump in self._kinks) / self._points.n
        rounding = max(ROUNDING, 4 * float(np.finfo(self._points.dtype).eps))
        return not self._l2 and abs(slope) <= min(rounding, least_jump / 4)

    def lowest_from(self, theta: float) -> float:
        """Return the lowest minimiser, given one at theta: the loss may be flat from the kink below."""
        if self._l2:
            return theta
        offsets = [offset for offset, _ in self._kinks]
        places = [*np.max(self._points.map_slices(functools.partial(_places_up_to, theta, offsets)), axis=0).tolist()]
        place = max([*places, 0.0] if self._l1 and theta >= 0 else places)
        return place if math.isfinite(place) else theta

    def _jumps_in(self, low: float, high: float) -> tuple[float, DoubleArray, DoubleArray]:
        """Sum the jumps below the bracket, and return the places and jumps in it."""
        low, high = min(low, high), max(low, high)
        found = self._points.map_slices(functools.partial(_jumps_between, low, high, self._kinks))
        below = float(np.sum([part[0] for part in found]))
        if self._points.is_weighted:
            below = self._points.total(functools.partial(_weights_below, low, self._kinks), NUMPY_POINTS).item()
        places, jumps = [part[1] for part in found], [part[2] for part in found]
        if self._l1:
            places.append(np.zeros(1) if low <= 0 <= high else np.empty(0))
            jumps.append(np.full(len(places[-1]), 2 * self._l1 * self._points.n))
            below += 2 * self._l1 * self._points.n if low > 0 else 0.0
        return below, np.concatenate(places), np.concatenate(jumps)


def _places_up_to(theta: float, offsets: Sequence[float], points: ConstantModelData, part: slice) -> list[float]:
    """Find the largest place of each kink that is not above theta."""
    targets = points.targets[part]
    here, real = targets.dtype.type(theta), targets.dtype.type
    return [float(np.max(at, where=at <= here, initial=-np.inf)) for at in (targets - real(k) for k in offsets)]


def _jumps_between(low: float, high: float, kinks: Kinks, points: ConstantModelData,
                   part: slice) -> tuple[float, DoubleArray, DoubleArray]:
    """Sum the jumps below a bracket for points of equal weights, and return the places in it with their jumps."""
    targets = points.targets[part]
    weights = None if points.weights is None else points.weights[part]
    below = 0.0
    places: list[DoubleArray] = []
    jumps: list[DoubleArray] = []
    for offset, jump in kinks:
        at = targets - targets.dtype.type(offset) if offset else targets
        inside = (at >= low) & (at <= high)
        below += jump * float(np.count_nonzero(at < low))
        places.append(at[inside].astype(np.float64))
        jumps.append(np.full(len(places[-1]), jump) if weights is None else jump * weights[inside].astype(np.float64))
    return below, np.concatenate(places), np.concatenate(jumps)


def _weights_below(low: float, kinks: Kinks, points: ConstantModelData, part: slice) -> DoubleArray:
    """Sum the jumps below a place, each times its weight."""
    assert points.weights is not None
    targets, weights = points.targets[part], points.weights[part].astype(np.float64)
    jumps = sum(jump * weights * ((targets - targets.dtype.type(offset) if offset else targets) < low)
                for offset, jump in kinks)
    return column_sums(np.asarray(jumps)[:, None])
