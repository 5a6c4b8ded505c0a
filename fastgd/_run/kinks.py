"""Losses with kinks: the order statistic at which one of points is least, and descent of rows on smoothed versions."""
from __future__ import annotations

import functools
import math
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from fastgd._limits import (
    CACHED_NUMBERS,
    COST_OF_SMOOTHING,
    FEW_TO_SORT,
    FITS,
    LOOKS_BEFORE_SORTING,
    NARROWER,
    NEAR_A_VERTEX,
    NEAR_ENOUGH,
    PATIENCE,
    POINTS_AT_ONCE,
    ROUNDING,
    ROUNDING_OF_RESIDUALS,
    SHORT_FOR_STAGE,
    STUCK,
    WORTH_A_PROOF,
)
from fastgd._pairwise import column_sums
from fastgd._run.adaptive import BarzilaiBorwein
from fastgd._run.driver import Bound
from fastgd._run.dual import Dual
from fastgd._run.vertex import least_vertex
from fastgd._theta import is_finite
from fastgd.results import CONVERGED, LIMIT_REACHED

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from fastgd._data import ConstantModelData, LinearModelData
    from fastgd._objective import Objective
    from fastgd._run.adaptive import Place
    from fastgd._run.driver import Outcome
    from fastgd._run.python import PythonBatch
    from fastgd._types import DoubleArray, Theta

    #: Offsets of kinks, and how far the slope jumps at each.
    Kinks: TypeAlias = tuple[tuple[float, float], ...]


class OrderStatistic:
    """Where the mean loss of points is least, from the points in a bracket: the slope jumps at each, by its weight.

    It is a point, less the offset of a kink, unless a penalty bends the loss between them.
    """

    def __init__(self, objective: Objective) -> None:
        loss, source = objective.descended, objective.source
        assert loss is not None
        assert not source.is_rows
        self._kinks, self._points = loss.kinks, source
        self._l1, self._l2 = (0.0, 0.0) if objective.penalty is None else (objective.penalty.l1, objective.penalty.l2)
        self._slope_of_all = loss.gradient(0.0, [1e300]) - self._l1    # where all kinks are above theta
        self._looks = 0

    def __call__(self, low: Place, high: Place) -> float | None:
        """The minimum between places of unlike slopes if there are few points or there were many looks, else None."""
        self._looks += 1
        n = self._points.n
        least_jump = min(jump for _, jump in self._kinks)
        if (high[1] - low[1]) * n / least_jump > FEW_TO_SORT and self._looks < LOOKS_BEFORE_SORTING:
            return None
        below, places, jumps = self._gathered(low[0], high[0])
        order = np.lexsort((jumps, places))
        places, jumps = places[order], jumps[order]
        # Less what l2 adds, the slope left of each place and right of the last.
        slopes = self._slope_of_all + (below + np.cumsum(np.concatenate([[0.0], jumps]))) / n
        rises = slopes[1:] + self._l2 * places >= -ROUNDING
        k = int(np.argmax(np.append(rises, True)))
        if self._l2 and (k == len(places) or slopes[k] + self._l2 * places[k] > 0):
            return float(-slopes[k] / self._l2)
        return float(places[k]) if k < len(places) else None

    def is_flat(self, slope: float) -> bool:
        """Whether a slope is rounding, of kinks whose jumps cancel, and less than the jump of one point."""
        least_jump = min(jump for _, jump in self._kinks) / self._points.n
        rounding = max(ROUNDING, 4 * float(np.finfo(self._points.dtype).eps))
        return not self._l2 and abs(slope) <= min(rounding, least_jump / 4)

    def lowest_from(self, theta: float) -> float:
        """The least of the minima if theta, where the slope is 0, is one: the loss may be flat from the place below."""
        if self._l2:
            return theta
        offsets = [offset for offset, _ in self._kinks]
        places = [*np.max(self._points.map_slices(functools.partial(_places_up_to, theta, offsets)), axis=0).tolist()]
        place = max([*places, 0.0] if self._l1 and theta >= 0 else places)
        return place if math.isfinite(place) else theta

    def _gathered(self, low: float, high: float) -> tuple[float, DoubleArray, DoubleArray]:
        """The jumps below the bracket in all, and the places and jumps in it."""
        low, high = min(low, high), max(low, high)
        found = self._points.map_slices(functools.partial(_jumps_between, low, high, self._kinks))
        below = float(np.sum([part[0] for part in found]))
        if self._points.is_weighted:
            below = self._points.total(functools.partial(_weights_below, low, self._kinks), POINTS_AT_ONCE).item()
        places, jumps = [part[1] for part in found], [part[2] for part in found]
        if self._l1:
            places.append(np.zeros(1) if low <= 0 <= high else np.empty(0))
            jumps.append(np.full(len(places[-1]), 2 * self._l1 * self._points.n))
            below += 2 * self._l1 * self._points.n if low > 0 else 0.0
        return below, np.concatenate(places), np.concatenate(jumps)


def _places_up_to(theta: float, offsets: Sequence[float], points: ConstantModelData, part: slice) -> list[float]:
    """The largest place of each kink that is not above theta."""
    targets = points.targets[part]
    here, real = targets.dtype.type(theta), targets.dtype.type
    return [float(np.max(at, where=at <= here, initial=-np.inf)) for at in (targets - real(k) for k in offsets)]


def _jumps_between(low: float, high: float, kinks: Kinks, points: ConstantModelData,
                   part: slice) -> tuple[float, DoubleArray, DoubleArray]:
    """The jumps below a bracket of points of equal weights, and the places in it with their jumps."""
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
    """The jumps below a place, each times its weight."""
    assert points.weights is not None
    targets, weights = points.targets[part], points.weights[part].astype(np.float64)
    jumps = sum(jump * weights * ((targets - targets.dtype.type(offset) if offset else targets) < low)
                for offset, jump in kinks)
    return column_sums(np.asarray(jumps)[:, None])


def most_to_gain(objective: Objective, slope: Any, distance: float, loss: float) -> float:
    """What a loss of rows can fall by within a distance in units of the prediction, about: the slope times the way.

    A penalty has a slope where the rows have none, as where columns outnumber them, and counts as a part of the way:
    at both ends of it l1 * sum(abs(w)) and l2 / 2 * sum(w**2) are below the loss.
    """
    penalty, curvature, way = objective.penalty, objective.curvature, distance * distance
    if penalty is None or not loss:
        return distance * math.sqrt(max(0.0, float(slope @ curvature.over_gram(slope))))
    part = distance * penalty.l1 / (2 * loss)
    decay = penalty.l2 + part * part
    way += (way if penalty.l1 else 0.0) + (8 * loss if penalty.l2 else 0.0)
    steepness = float(slope @ curvature.metric("gram", 1.0, decay, is_rough=True).direction(slope))
    return math.sqrt(max(0.0, steepness) * way)


class SmoothedKinks:
    """Descent of rows on smoothed versions of a loss with kinks, of half-widths that fall, each from the last.

    It ends where smoothing can have cost so little as was asked: with a the slopes of the smoothed loss, of which
    mean(a x) is 0 at its minimum, the loss is at most the mean of jump / 2 * t (1 - t / h) above its least, over the
    residuals whose distance t from a kink is below h. As mean(a x) is never quite 0, what it is worth, about, is added;
    where the sum is small the dual is asked, which proves it. Of few rows the exact minimum is found once it is near.

    Parameters
    ----------
    objective : Objective
        The mean of the exact loss.
    runner_of : callable
        From an objective, theta, a tolerance in units of the targets, and whether no step may be too long, to a runner
        and what says its next rate.
    by_loss : float or None
        What smoothing may cost; None for a part of the loss.
    proves : bool
        Whether what it ends by must be proved; else about will do.
    """

    is_deterministic = False
    evaluations = at_once = 0
    ends_when_short = True
    _end: DoubleArray | None = None

    def __init__(self, objective: Objective, theta0: DoubleArray,
                 runner_of: Callable[..., tuple[PythonBatch, Callable[[], float]]], by_loss: float | None,
                 proves: bool) -> None:
        self._objective, self._runner_of, self._by_loss = objective, runner_of, by_loss
        self._dual = Dual(objective) if proves else None
        self._least, self._best = math.inf, theta0    # the lowest loss so far, and where
        self._floor = 0.0    # what the loss is proved to be nowhere below
        self._tried = math.inf    # the width at which the exact minimum was last looked for
        self._bound = Bound(math.inf, False, False)
        spread, _, size = self._looked_at(theta0, 1.0)
        self._start, self._width = self._least, spread if 0 < spread < math.inf else 1.0
        self._size = size or self._start
        self._finished = theta0, self._width, self._start    # the last stage that arrived
        self._begin_stage(theta0)

    def _begin_stage(self, theta: Theta, *, is_safe: bool = False) -> None:
        loss = self._objective.descended
        assert loss is not None
        self._smoothed = self._objective.descending_on(loss.smoothed(self._width))
        self._tol, self._updates, self._began_at = SHORT_FOR_STAGE * self._width, 0, theta
        self._not_there = math.inf
        self._runner, self.next_rate = self._runner_of(self._smoothed, theta, self._tol, is_safe=is_safe)

    @property
    def theta(self) -> Theta:
        return self._runner.theta if self._end is None else self._end

    @property
    def previous(self) -> Theta:
        return self._runner.previous if self._end is None else self._runner.theta

    def buffer(self, limit: int, every: bool) -> tuple[int, DoubleArray]:
        return self._runner.buffer(limit, every)

    def advance(self, alphas: DoubleArray, thetas: DoubleArray) -> tuple[int, bool]:
        count, is_short = self._runner.advance(alphas, thetas)
        self._updates += count
        if is_short and self._is_over(self._runner.theta):
            self._end = thetas[count - 1] = self._best
            return count, self.ends_when_short
        if not is_short and self._updates == PATIENCE and isinstance(self._runner, BarzilaiBorwein):
            self._begin_stage(self._began_at, is_safe=True)
            self._updates = PATIENCE
        return count, False

    def _is_over(self, theta: Any) -> bool:
        """Whether the run may end, where a stage has; if not, the next one begins, or this one goes on."""
        spread, cost, _ = self._looked_at(theta, self._width)
        slope: Any = self._smoothed.slopes([theta])[0]
        loss = self._loss
        not_there = most_to_gain(self._objective, slope, spread, abs(loss))
        enough, rounding = self._enough(cost + not_there)
        if (cost + not_there <= NEAR_A_VERTEX * loss or rounding) and self._width < self._tried:
            self._tried, vertex = self._width, least_vertex(self._objective, theta)
            if vertex is not None:
                self._floor = max(self._floor, self._noted(vertex[0]) - vertex[1])
        is_known = self._is_within(enough)
        if not is_known and cost <= enough and not_there <= WORTH_A_PROOF * enough:
            gap, of_slopes = self._prove(theta, self._width, loss, enough)
            is_known = self._is_within(enough)
            if gap == gap:
                not_there = gap - of_slopes
            elif cost + not_there <= enough:
                self._bound = Bound(cost + not_there - (loss - self._least), False, True)
                return True
        if is_known or self._width <= rounding:
            self._bound = self._proved(True) if is_known else self._proved_at_last()
            return True
        if not_there > max(cost, enough) / 2 and self._tol > ROUNDING * self._width:
            self._go_on(theta, not_there)
        else:
            if not_there <= max(cost, enough) / 2:
                self._finished = theta, self._width, loss
            self._width = min(NARROWER * self._width, 2 * spread if spread else self._width)
            self._begin_stage(theta)
        return False

    def _go_on(self, theta: Any, not_there: float) -> None:
        """With shorter steps, or with momentum where they lead nowhere, as on a straight piece between kinks."""
        is_stuck, self._not_there = not_there > STUCK * self._not_there, not_there
        if is_stuck and isinstance(self._runner, BarzilaiBorwein):
            self._begin_stage(theta, is_safe=True)
        else:
            self._tol /= 4
            self._runner.tol = self._tol

    def _is_within(self, enough: float) -> bool:
        """Whether the lowest loss so far is proved to be no more than this above the least."""
        return self._least < math.inf and self._least - self._floor <= enough

    def _enough(self, bound: float) -> tuple[float, float]:
        """What the loss may be above the least, no less than rounding; and that of a residual, 0 far from it."""
        enough = COST_OF_SMOOTHING * self._least if self._by_loss is None else self._by_loss
        if min(bound, self._width) > FITS * max(self._size, self._start):    # far from it
            return enough, 0.0
        rounding = self._rounding(self._best)
        part = ROUNDING / ROUNDING_OF_RESIDUALS if self._by_loss is None else 1.0
        return max(enough, part * rounding), rounding

    def _rounding(self, theta: Any) -> float:
        """That of a residual, from the sizes of its terms."""
        first = int(self._objective.source.intercept)
        terms = self._size + self._column_sizes @ np.abs(theta[first:]) + np.abs(theta[:first]).sum()
        return ROUNDING_OF_RESIDUALS * float(terms)

    @functools.cached_property
    def _column_sizes(self) -> DoubleArray:
        return self._objective.curvature.column_sizes()

    def _noted(self, theta: Any) -> float:
        """The exact loss, which may be the lowest so far."""
        loss = self._objective.descended_value(theta)
        if loss < self._least:
            self._least, self._best = loss, theta
        return loss

    def concluded(self, outcome: Outcome) -> Outcome:
        """With what is known of the loss at the end; of a run that was cut short that is the lowest loss so far."""
        theta: Any = outcome.x
        if outcome.status == LIMIT_REACHED and is_finite(theta):
            self._prove(theta, self._width, self._noted(theta))
            self._bound = self._proved_at_last()
            outcome = outcome._replace(theta=self._best,
                                       status=CONVERGED if self._bound.is_enough else LIMIT_REACHED)
        return outcome._replace(bound=self._bound)

    def _prove(self, theta: Any, width: float, loss: float, enough: float = 0.0) -> tuple[float, float]:
        """What `Dual.gap` says, from which the least loss is known."""
        if self._dual is None:
            return math.nan, math.nan
        gap, cost = self._dual.gap(theta, width, loss, enough)
        self._floor = max(self._floor, loss - gap)
        return gap, cost

    def _proved_at_last(self) -> Bound:
        """The same where no more can be had: a thousandth of the loss is enough then, unless `tol` was asked for."""
        self._prove(*self._finished)
        enough = self._enough(self._least - self._floor)[0]
        return self._proved(self._is_within(max(enough, NEAR_ENOUGH * self._least if self._by_loss is None else 0.0)))

    def _proved(self, is_enough: bool) -> Bound:
        """On the lowest loss so far, with the rounding of itself and of the residuals, where that counts."""
        most = self._least - self._floor + ROUNDING * self._least
        is_small = most <= FITS * max(self._size, self._start)
        return Bound(most + (self._rounding(self._best) if is_small else 0.0), True, is_enough)

    def _looked_at(self, theta: Any, width: float) -> tuple[float, float, float]:
        """The mean distance of a residual from the nearest kink, what this width can have cost, and the mean target.

        The exact loss is noted.
        """
        loss, rows = self._objective.descended, self._objective.source
        assert loss is not None
        assert rows.is_rows
        self._loss = self._noted(theta)
        spread, cost, size = rows.total(functools.partial(_distance_and_cost, theta, width, loss.kinks),
                                        rows.rows_of(CACHED_NUMBERS)) / rows.n
        return float(spread), float(cost), float(size)


def _distance_and_cost(theta: DoubleArray, width: float, kinks: Kinks, rows: LinearModelData,
                       part: slice) -> DoubleArray:
    """The sums of the distances of residuals from the nearest kink, of what smoothing them can have cost, and of y."""
    with np.errstate(over="ignore", invalid="ignore"):    # the loss there says so, and the run ends
        residuals = rows.targets[part] - rows.predictions(theta, part)
        distances = [np.abs(residuals - offset) for offset, _ in kinks]
        sums = np.empty((len(residuals), 3))
        sums[:, 0], sums[:, 1], sums[:, 2] = np.min(distances, axis=0), 0.0, np.abs(rows.targets[part])
        for t, (_, jump) in zip(distances, kinks, strict=True):
            t = np.minimum(t, width)    # at which the cost is 0, as beyond it
            sums[:, 1] += jump / 2 * (t * (1 - t / width))
        return column_sums(sums, None if rows.weights is None else rows.weights[part])
