"""Bounds on the suboptimality of a mean loss over rows: by duality, and by the gradient.

For a piecewise linear loss let a be dual variables, one for each row, between the least and the largest slope, r the
residuals and conj the convex conjugate of the loss. If mean(a x) is 0, or with a penalty if it is a subgradient of the
penalty, mean(a r - conj(a)) is a lower bound of the mean loss. The duality gap is the mean of
loss(r) + conj(a) - a r.
"""
from __future__ import annotations

import functools
import math
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from fastgd._data.arrays import linear_data_like
from fastgd._objective.preconditioner import EIGENVALUE_ROUNDING
from fastgd._objective.second_moments import (
    KERNEL_PRODUCTS,
    MAX_EIGENVALUE_PARAMETERS,
    NUMBERS_PER_SUM,
    products_in,
    residuals_times_rows,
)
from fastgd._pairwise import LEAF, NUMPY_POINTS, column_sums

if TYPE_CHECKING:
    from fastgd._data import LinearModelData
    from fastgd._objective.objective import Objective
    from fastgd._types import DoubleArray
    from fastgd.losses import Loss

#: Room of a slope far from kinks to change, as a part of a jump.
MIN_ROOM = 1e-6
#: Most rounds of corrections of the slopes, and part of their cost that the gradient may add to the gap.
MAX_ROUNDS, ENOUGH_LEFT = 4, 0.1


def gradient_bound(objective: Objective, slope: Any, distance: float, loss: float) -> float:
    """Estimate a bound on the decrease of a loss of rows within a distance in units of the prediction.

    The bound is the length of the gradient times the distance. A penalty adds to both, because it has a gradient in
    directions in which the rows have none: at both ends of the distance l1 * sum(abs(w)) and l2 / 2 * sum(w**2) are
    below the loss.
    """
    penalty, curvature, way = objective.penalty, objective.second_moments, distance * distance
    if penalty is None or not loss:
        return distance * math.sqrt(max(0.0, float(slope @ curvature.over_gram(slope))))
    part = distance * penalty.l1 / (2 * loss)
    decay = penalty.l2 + part * part
    way += (way if penalty.l1 else 0.0) + (8 * loss if penalty.l2 else 0.0)
    steepness = float(slope @ curvature.preconditioner("gram", 1.0, decay, is_subsampled=True).direction(slope))
    return math.sqrt(max(0.0, steepness) * way)


class PiecewiseLinear:
    """Piecewise linear loss as a function of the residual.

    Attributes
    ----------
    offsets, jumps : ndarray
        Kinks in order, and the jump of the slope at each.
    low, high : float
        Slopes below the first kink and above the last one.
    """

    def __init__(self, loss: Loss) -> None:
        self.offsets, self.jumps = (np.array(each) for each in zip(*loss.kinks, strict=True))
        self.low = -float(loss.gradient(0.0, [self.offsets[0] - 1.0]))
        self.high = self.low + float(self.jumps.sum())
        self._heights = [float(loss(0.0, [offset])) for offset in self.offsets.tolist()]

    def slopes(self, residuals: DoubleArray) -> DoubleArray:
        """Compute the slope at each residual; at a kink the slope below it."""
        slopes: DoubleArray = self.low + (residuals[:, None] > self.offsets) @ self.jumps
        return slopes

    def smoothed(self, residuals: DoubleArray, width: float) -> tuple[DoubleArray, DoubleArray]:
        """Compute the slopes of the smoothed loss, and the room of each slope to change, as a part of a jump."""
        slopes, room = np.full(len(residuals), self.low), np.full(len(residuals), MIN_ROOM)
        for offset, jump in zip(self.offsets.tolist(), self.jumps.tolist(), strict=True):
            place = (residuals - offset) / width
            np.minimum(np.maximum(place, -1.0, out=place), 1.0, out=place)
            slopes += jump / 2 * (1 + place)
            np.maximum(room, 1 - np.abs(place, out=place), out=room)
        return slopes, room

    def losses(self, residuals: DoubleArray) -> DoubleArray:
        """Evaluate the loss at each residual."""
        losses: DoubleArray = self._heights[0] + self.low * (residuals - self.offsets[0])
        for offset, jump in zip(self.offsets.tolist(), self.jumps.tolist(), strict=True):
            losses += jump * np.maximum(residuals - offset, 0.0)
        return losses

    def gaps(self, residuals: DoubleArray, slopes: DoubleArray) -> DoubleArray:
        """Compute loss(r) + conj(a) - a r >= 0, where conj(a) is the largest a * offset - loss(offset)."""
        conjugates = functools.reduce(np.maximum, (
            slopes * offset - height for offset, height in zip(self.offsets.tolist(), self._heights, strict=True)))
        gaps: DoubleArray = self.losses(residuals) + conjugates - slopes * residuals
        return gaps

    def distance_bound(self, loss: float, other: float) -> float:
        """Bound the mean distance between the predictions of two thetas by their mean losses."""
        return (loss + other) / min(-self.low, self.high) + 2 * float(np.abs(self.offsets).max())


class _Slopes(NamedTuple):
    """Slopes of a smoothed loss, corrected by steps; plain values, which can be sent to remote rows."""

    piecewise: PiecewiseLinear
    theta: DoubleArray
    width: float
    shift: DoubleArray
    steps: tuple[DoubleArray, ...] = ()

    def at(self, rows: LinearModelData, part: slice) -> tuple[DoubleArray, DoubleArray, DoubleArray]:
        """Compute the residuals, their slopes after the steps, and the remaining room of each slope."""
        piecewise = self.piecewise
        residuals = rows.targets[part] - rows.predictions(self.theta, part)
        slopes, room = piecewise.smoothed(residuals, self.width)
        for step in self.steps:
            slopes -= room * rows.predictions(step, part)
            np.minimum(np.maximum(slopes, piecewise.low, out=slopes), piecewise.high, out=slopes)
            at_edge = np.minimum(slopes - piecewise.low, piecewise.high - slopes) / (piecewise.high - piecewise.low)
            room = np.maximum(np.minimum(room, 2 * at_edge), MIN_ROOM)
        return residuals, slopes, room


def _products_in(slopes: _Slopes, most: int, rows: LinearModelData, part: slice) -> DoubleArray:
    _, numbers, room = slopes.at(rows, part)
    weights = room if rows.weights is None else room * rows.weights[part]
    some = linear_data_like(rows, rows.X[part], numbers / room, weights)
    return products_in(slopes.shift, True, most, some, slice(0, some.n))


def _gaps_in(slopes: _Slopes, rows: LinearModelData, part: slice) -> DoubleArray:
    residuals, numbers, _ = slopes.at(rows, part)
    gaps = slopes.piecewise.gaps(residuals, numbers)[:, None]
    of_rows = residuals_times_rows(np.zeros(len(slopes.theta)), numbers, rows, part)
    return np.concatenate([column_sums(gaps, None if rows.weights is None else rows.weights[part]), of_rows])


def _largest_in(slopes: _Slopes, step: DoubleArray, rows: LinearModelData, part: slice) -> float:
    room = slopes.at(rows, part)[2]
    return float(np.abs(room * rows.predictions(step, part)).max())


class DualityGap:
    """Lower bound of the mean loss by slopes near those of a smoothed loss.

    A correction room * (x @ c) makes the means of the slopes times the columns 0, where room is the possible change of
    each slope; the result is clipped to the range of the slopes. The remaining means are e = mean(z x) with
    z = room * (x @ d). They change the loss by at most max(abs(z)) times the mean distance between the predictions of
    theta and of the minimum, which the losses at both bound.
    """

    def __init__(self, objective: Objective) -> None:
        assert objective.loss is not None
        self._objective, self._piecewise = objective, PiecewiseLinear(objective.loss)
        self._l1, self._l2 = (0.0, 0.0) if objective.penalty is None else (objective.penalty.l1, objective.penalty.l2)

    def gap(self, theta: Any, width: float, loss: float, enough: float = 0.0) -> tuple[float, float]:
        """Bound the suboptimality at theta, where the loss is `loss`; the second number is the part by the slopes.

        The search for a smaller bound ends below `enough`. Both are NaN if there is no bound.
        """
        rows: Any = self._objective.data
        self._first = int(rows.intercept)
        if rows.n_parameters > MAX_EIGENVALUE_PARAMETERS:
            return math.nan, math.nan
        preconditioner = self._objective.second_moments.preconditioner("gram", 1.0, 0.0, is_subsampled=True)
        self._shift, self._sizes = preconditioner.shift, preconditioner.sizes
        with np.errstate(all="ignore"):
            try:
                return self._gap(rows, theta, width, loss, enough)
            except np.linalg.LinAlgError:    # raised for NaN
                return math.nan, math.nan

    def _gap(self, rows: Any, theta: Any, width: float, loss: float, enough: float) -> tuple[float, float]:
        self._theta, self._width, self._slopes = theta, width, _Slopes(self._piecewise, theta, width, self._shift)
        gap = before = math.inf
        for _ in range(MAX_ROUNDS):
            gram, means = self._moments(rows)
            step = self._unscale(self._step(gram, means))
            self._slopes = self._slopes._replace(steps=(*self._slopes.steps, step))
            cost, means = self._costs_and_means(rows)
            now = cost + self._gradient_part(rows, gram, means, cost, loss)
            gap = min(gap, now)
            if now <= enough or now - cost <= ENOUGH_LEFT * cost or not now - cost < before / 2:
                break
            before = now - cost
        return gap, cost

    def _step(self, gram: DoubleArray, means: DoubleArray) -> DoubleArray:
        """Solve for the step of the slopes that makes their means subgradients of the penalty."""
        weights, piecewise = self._theta[self._first:], self._piecewise
        excess, step = self._excess(means), np.zeros(len(means))
        moving = np.concatenate([np.ones(self._first, bool), (weights != 0) | (excess[self._first:] != 0)])
        decay = np.zeros(len(means))
        decay[self._first:] = 2 * self._width / (piecewise.high - piecewise.low) * self._l2 / self._sizes**2
        step[moving] = _solve((gram + np.diag(decay))[np.ix_(moving, moving)], excess[moving])[0]
        return step

    def _gradient_part(self, rows: Any, gram: DoubleArray, means: DoubleArray, cost: float, loss: float) -> float:
        """Bound the part of the gap from means that are no subgradients of the penalty."""
        way, excess = self._piecewise.distance_bound(loss, loss), self._excess(means)
        step, lost = _solve(gram, excess)
        largest = math.inf if rows.is_weighted else math.sqrt(rows.n * max(0.0, float(step @ excess)))
        if largest * way > ENOUGH_LEFT * cost:    # `largest` bounds the maximum by the sum of squares
            # The step was solved with the room before the last correction.
            slopes = self._slopes._replace(steps=self._slopes.steps[:-1])
            largest = max(rows.map_slices(functools.partial(_largest_in, slopes, self._unscale(step))))
        left = largest * way + self._unreachable_bound(lost, loss, way)
        if not self._l2:
            return left
        weights, total = self._theta[self._first:], means[self._first:] * self._sizes
        of_penalty = (self._l1 * np.abs(weights) + self._l2 / 2 * weights**2 - total * weights
                      + np.maximum(np.abs(total) - self._l1, 0)**2 / (2 * self._l2))
        return min(left, float(of_penalty.sum()) + way * float(np.abs(means[:self._first]).sum()))

    def _moments(self, rows: Any) -> tuple[DoubleArray, DoubleArray]:
        """Compute the means of room * z z' and of a z, with z the scaled columns, a 1 before them for an intercept."""
        p = rows.p
        most = max(LEAF, min(rows.rows_of(NUMPY_POINTS), KERNEL_PRODUCTS // p**2))
        products = functools.partial(_products_in, self._slopes, most)
        means = rows.total(products, max(most, NUMBERS_PER_SUM * p)) / rows.n
        units = np.concatenate([1 / self._sizes, [1.0, 1.0]])
        means *= units * units[:, None]
        order = [p] * self._first + list(range(p))
        return means[np.ix_(order, order)], means[order, p + 1]

    def _costs_and_means(self, rows: Any) -> tuple[float, DoubleArray]:
        """Compute the mean gap of the slopes, and the means of the slopes times the scaled columns."""
        sums = rows.total(functools.partial(_gaps_in, self._slopes), rows.rows_of(NUMPY_POINTS))
        means = sums[1:] / rows.n
        means[self._first:] -= self._shift * means[:self._first].sum()
        means[self._first:] /= self._sizes
        return float(sums[0]) / rows.n, means

    def _excess(self, means: DoubleArray) -> DoubleArray:
        """Compute the excess of the means over the nearest subgradients of the penalty at these weights."""
        beyond, weights = means.copy(), self._theta[self._first:]
        total = means[self._first:] * self._sizes
        slopes = np.where(weights == 0, np.clip(total, -self._l1, self._l1),
                          self._l1 * np.sign(weights) + self._l2 * weights)
        beyond[self._first:] = (total - slopes) / self._sizes
        return beyond

    def _unscale(self, step: DoubleArray) -> DoubleArray:
        """Convert a step of scaled columns to one of theta."""
        theta = step.copy()
        theta[self._first:] /= self._sizes
        theta[:self._first] -= self._shift @ theta[self._first:]
        return theta

    def _unreachable_bound(self, lost: DoubleArray, loss: float, way: float) -> float:
        """Estimate a bound on the part of the gap from means in directions that no rows have, as by rounding."""
        total = lost[self._first:] * self._sizes
        if self._l1 or self._l2:
            of_weights = (float(np.abs(total).max()) * 2 * loss / self._l1 if self._l1
                          else math.sqrt(8 * loss / self._l2 * float(total @ total)))
            return of_weights + way * float(np.abs(lost[:self._first]).sum())
        slope = np.concatenate([lost[:self._first], total + self._shift * lost[:self._first].sum()])
        return way * math.sqrt(max(0.0, float(slope @ self._objective.second_moments.over_gram(slope))))


def _solve(gram: DoubleArray, means: DoubleArray) -> tuple[DoubleArray, DoubleArray]:
    """Solve gram @ d = means by least squares; the second item is the residual."""
    values, vectors = np.linalg.eigh(gram)
    kept = values > EIGENVALUE_ROUNDING * len(values) * float(values.max(initial=0.0))
    vectors, along = vectors[:, kept], means @ vectors[:, kept]
    return vectors @ (along / values[kept]), means - vectors @ along
