"""Exact minimum of a piecewise linear loss over rows: a basis of as many rows as parameters, which lie on kinks.

From the rows that are nearest to kinks it is reached along edges, as by the simplex method, in a few steps if the start
is near (I. Barrodale and F. D. K. Roberts, "An improved algorithm for discrete l1 linear approximation",
SIAM Journal on Numerical Analysis 10, 1973; R. Koenker and V. d'Orey, "Computing regression quantiles", Applied
Statistics 36, 1987).
"""
from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from fastgd._objective.preconditioner import COLLINEAR_SHARE
from fastgd._solvers.base import ROUNDING
from fastgd._solvers.duality_gap import PiecewiseLinear

if TYPE_CHECKING:
    from fastgd._data.arrays import LinearModelData
    from fastgd._objective.objective import Objective
    from fastgd._types import DoubleArray, IndexArray
    from fastgd.losses import Loss

#: Edges that are followed at most, and numbers of the rows at which that takes as long as one more stage.
MAX_EDGES, MAX_NUMBERS = 500, 2**17
#: Kinks along an edge that are sorted first: the one at its end is most often among them.
SORTED_KINKS = 64
#: Part of the mean residual by which the targets are moved apart.
TIE_BREAKER = 1e-11
#: Part of a jump by which a slope at a kink may be beyond it, by rounding.
SLOPE_ROUNDING = 1e-9


def minimum_at_vertex(objective: Objective, theta: DoubleArray) -> tuple[DoubleArray, float] | None:
    """Find the theta of the least loss from one that is near it, and bound its suboptimality, by rounding.

    Return None if it is not reached, or the rows are many.
    """
    rows, loss = objective.data, objective.loss
    if (not rows.is_rows or loss is None or objective.penalty is not None
            or rows.n * rows.n_parameters > MAX_NUMBERS or rows.n <= rows.n_parameters):
        return None
    try:
        vertex = _Vertex(rows.sample(rows.n), loss, theta)    # all of them, in memory
        for _ in range(MAX_EDGES):
            found = vertex.advance()
            if found is not None:
                return found if np.isfinite(found[0]).all() else None
    except np.linalg.LinAlgError:    # where columns determine each other
        pass
    return None


class _Vertex:
    """Basis of rows on kinks, and its theta as a step from the start, in an orthonormal basis of the columns.

    The columns are centred and scaled first.
    """

    def __init__(self, rows: LinearModelData, loss: Loss, theta: DoubleArray) -> None:
        first = int(rows.intercept)
        A = np.ones((rows.n, rows.n_parameters))
        A[:, first:] = rows.X
        self._centre = A[:, first:].mean(axis=0) * first
        A[:, first:] -= self._centre
        # Powers of two change no digit of a norm, and no square of what they divide leaves the range.
        scales = np.ldexp(1.0, np.frexp(np.abs(A).max(axis=0))[1] - 1)
        self._units = np.linalg.norm(A / scales, axis=0) / math.sqrt(rows.n) * scales
        self._units[self._units == 0] = 1.0
        self._A, self._mixed = np.linalg.qr(A / self._units)
        self._A, self._mixed = self._A * math.sqrt(rows.n), self._mixed / math.sqrt(rows.n)
        if not np.abs(np.diag(self._mixed)).min() > ROUNDING:
            raise np.linalg.LinAlgError
        self._rows, self._theta, self._first = rows, theta, first
        self._weights = np.ones(rows.n) if rows.weights is None else rows.weights
        self._residuals = rows.targets - rows.predictions(theta, slice(0, rows.n))
        # Moved by less than counts, so that not more rows than parameters lie on kinks: by ties it could go in circles.
        size = TIE_BREAKER * float(self._weights @ np.abs(self._residuals)) / rows.n
        self._apart = self._residuals + size * np.random.default_rng(0).random(rows.n)
        self._pieces = PiecewiseLinear(loss)
        self._offsets, self._jumps = self._pieces.offsets, self._pieces.jumps
        distances = np.abs(self._residuals[:, None] - self._offsets)
        self._basis = self._nearest(distances.min(axis=1))
        self._kinks = distances[self._basis].argmin(axis=1)

    def _nearest(self, distances: DoubleArray) -> IndexArray:
        """Choose the rows that are nearest to kinks, without those that nearer ones determine."""
        q = self._A.shape[1]
        across = np.zeros((q, q))
        basis: list[int] = []
        for row in np.argsort(distances, kind="stable").tolist():
            part = self._A[row]
            for _ in range(2):    # as once leaves some of what is along
                part = part - across.T @ (across @ part)
            length = float(np.linalg.norm(part))
            if length > COLLINEAR_SHARE * float(np.linalg.norm(self._A[row])):
                across[len(basis)] = part / length
                basis.append(row)
                if len(basis) == q:
                    return np.array(basis)
        raise np.linalg.LinAlgError

    def advance(self) -> tuple[DoubleArray, float] | None:
        """Return theta if it is the minimum, which its slopes prove; if not, follow the steepest edge.

        It is the minimum if slopes of the rows on kinks, each between those beside its kink, make the sum of all 0.
        """
        basis, A = self._basis, self._A[self._basis]
        offsets = self._offsets[self._kinks]
        residuals = self._apart - self._A @ np.linalg.solve(A, self._apart[basis] - offsets)
        slopes = self._pieces.slopes(residuals)
        slopes[basis] = 0.0
        needed = np.linalg.solve(A.T, -(self._weights * slopes) @ self._A) / self._weights[basis]
        below = self._pieces.slopes(offsets)
        above = below + self._jumps[self._kinks]
        excess = np.maximum(needed - above, below - needed) / self._jumps[self._kinks]
        leaving = int(excess.argmax())
        if not excess[leaving] > SLOPE_ROUNDING:
            slopes[basis] = np.clip(needed, below, above)
            return self._end(basis, offsets, slopes, max(0.0, excess[leaving]))
        direction = np.zeros(len(basis))
        direction[leaving] = 1.0 if needed[leaving] < below[leaving] else -1.0
        speeds = self._A @ np.linalg.solve(A, direction)
        fall = self._weights[basis[leaving]] * excess[leaving] * self._jumps[self._kinks[leaving]]
        self._pivot(leaving, residuals, speeds, fall)
        return None

    def _pivot(self, leaving: int, residuals: DoubleArray, speeds: DoubleArray, fall: float) -> None:
        """Follow an edge while the loss falls; the row whose kink is met there enters the basis."""
        at_kink = np.full(len(residuals), -1)
        at_kink[self._basis] = self._kinks
        stays = np.zeros(len(residuals), dtype=bool)
        stays[self._basis] = True
        stays[self._basis[leaving]] = False
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            times = (residuals[:, None] - self._offsets) / speeds[:, None]
        is_met = (times > 0) & np.isfinite(times) & ~stays[:, None]
        is_met[at_kink >= 0, at_kink[at_kink >= 0]] = False
        places = np.flatnonzero(is_met)
        times, first = times.ravel()[places], SORTED_KINKS
        while True:
            # It is one of the first ones, as a rule.
            some = np.argpartition(times, first)[:first] if first < len(places) else np.arange(len(places))
            some = some[np.argsort(times[some])]
            rows, kinks = np.divmod(places[some], len(self._offsets))
            rises = np.cumsum(self._weights[rows] * self._jumps[kinks] * np.abs(speeds[rows]))
            met = int(np.searchsorted(rises, fall))
            if met < len(rows):
                self._basis[leaving], self._kinks[leaving] = rows[met], kinks[met]
                return
            if first >= len(places):
                raise np.linalg.LinAlgError    # by rounding, as a mean that has a least never falls for ever
            first *= 16

    def _end(self, basis: IndexArray, offsets: DoubleArray, slopes: DoubleArray,
             excess: float) -> tuple[DoubleArray, float]:
        """Compute the theta with these rows on kinks, and bound its suboptimality by slopes off by `excess`."""
        rows, pieces, theta, residuals = self._rows, self._pieces, self._theta, self._residuals
        for _ in range(2):    # as once leaves the rounding of a long way
            step = np.linalg.solve(self._mixed, np.linalg.solve(self._A[basis], residuals[basis] - offsets))
            step /= self._units
            step[:self._first] -= self._centre @ step[self._first:]
            theta = theta + step
            residuals = rows.targets - rows.predictions(theta, slice(0, rows.n))
        gap, loss = (float(self._weights @ each) / rows.n
                     for each in (pieces.gaps(residuals, slopes), pieces.losses(residuals)))
        return theta, gap + excess * (pieces.high - pieces.low) * pieces.way(loss, loss)
