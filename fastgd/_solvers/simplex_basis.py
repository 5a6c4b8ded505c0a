"""Exact minimum of a piecewise linear loss over rows: a basis of as many rows as parameters, which lie on kinks.

The simplex method starts from the rows that are nearest to kinks and follows edges to the minimum, in a few steps if
theta is near it (I. Barrodale and F. D. K. Roberts, "An improved algorithm for discrete l1 linear approximation",
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

#: Most edges that are followed, and most numbers of X: for more another stage of smoothing is faster.
MAX_EDGES, MAX_NUMBERS = 500, 2**17
#: Kinks along an edge that are sorted first, among which the end of the edge usually is.
SORTED_KINKS = 64
#: Perturbation of the targets against degenerate bases, relative to the mean residual.
TIE_BREAKER = 1e-11
#: Rounding of a slope at a kink, relative to the jump of the slope.
SLOPE_ROUNDING = 1e-9


def minimum_at_vertex(objective: Objective, theta: DoubleArray) -> tuple[DoubleArray, float] | None:
    """Find the theta of the least loss from a theta near it, and bound its suboptimality, which is rounding.

    Return None if the minimum is not reached, or if the rows are many.
    """
    rows, loss = objective.data, objective.loss
    if (not rows.is_rows or loss is None or objective.penalty is not None
            or rows.n * rows.n_parameters > MAX_NUMBERS or rows.n <= rows.n_parameters):
        return None
    try:
        vertex = _Vertex(rows.sample(rows.n), loss, theta)    # all rows, in memory
        for _ in range(MAX_EDGES):
            found = vertex.advance()
            if found is not None:
                return found if np.isfinite(found[0]).all() else None
    except np.linalg.LinAlgError:    # if columns are collinear
        pass
    return None


class _Vertex:
    """Basis of rows on kinks, and its theta as a step from the start, in an orthonormal basis of the columns.

    The columns are centred and scaled.
    """

    def __init__(self, rows: LinearModelData, loss: Loss, theta: DoubleArray) -> None:
        first = int(rows.intercept)
        A = np.ones((rows.n, rows.n_parameters))
        A[:, first:] = rows.X
        self._centre = A[:, first:].mean(axis=0) * first
        A[:, first:] -= self._centre
        # Scaling by powers of two is exact, and keeps all squares in range.
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
        # A negligible perturbation keeps more rows than parameters off the kinks: a degenerate basis could cycle.
        size = TIE_BREAKER * float(self._weights @ np.abs(self._residuals)) / rows.n
        self._apart = self._residuals + size * np.random.default_rng(0).random(rows.n)
        self._piecewise = PiecewiseLinear(loss)
        self._offsets, self._jumps = self._piecewise.offsets, self._piecewise.jumps
        distances = np.abs(self._residuals[:, None] - self._offsets)
        self._basis = self._nearest(distances.min(axis=1))
        self._kinks = distances[self._basis].argmin(axis=1)

    def _nearest(self, distances: DoubleArray) -> IndexArray:
        """Choose linearly independent rows, those nearest to kinks first."""
        q = self._A.shape[1]
        across = np.zeros((q, q))
        basis: list[int] = []
        for row in np.argsort(distances, kind="stable").tolist():
            part = self._A[row]
            for _ in range(2):    # twice, as in Gram-Schmidt with reorthogonalisation
                part = part - across.T @ (across @ part)
            length = float(np.linalg.norm(part))
            if length > COLLINEAR_SHARE * float(np.linalg.norm(self._A[row])):
                across[len(basis)] = part / length
                basis.append(row)
                if len(basis) == q:
                    return np.array(basis)
        raise np.linalg.LinAlgError

    def advance(self) -> tuple[DoubleArray, float] | None:
        """Return theta if its slopes prove that it is the minimum; if not, follow the steepest edge.

        A theta is the minimum if the rows on kinks have slopes, each in the subdifferential at its kink, for which the
        gradient is 0.
        """
        basis, A = self._basis, self._A[self._basis]
        offsets = self._offsets[self._kinks]
        residuals = self._apart - self._A @ np.linalg.solve(A, self._apart[basis] - offsets)
        slopes = self._piecewise.slopes(residuals)
        slopes[basis] = 0.0
        needed = np.linalg.solve(A.T, -(self._weights * slopes) @ self._A) / self._weights[basis]
        below = self._piecewise.slopes(offsets)
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
        """Follow an edge while the loss falls; the row whose kink is at its end enters the basis."""
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
            # The end of the edge is usually among the first kinks.
            some = np.argpartition(times, first)[:first] if first < len(places) else np.arange(len(places))
            some = some[np.argsort(times[some])]
            rows, kinks = np.divmod(places[some], len(self._offsets))
            rises = np.cumsum(self._weights[rows] * self._jumps[kinks] * np.abs(speeds[rows]))
            met = int(np.searchsorted(rises, fall))
            if met < len(rows):
                self._basis[leaving], self._kinks[leaving] = rows[met], kinks[met]
                return
            if first >= len(places):
                raise np.linalg.LinAlgError    # only by rounding, because the loss has a minimum along every edge
            first *= 16

    def _end(self, basis: IndexArray, offsets: DoubleArray, slopes: DoubleArray,
             excess: float) -> tuple[DoubleArray, float]:
        """Compute the theta with these rows on kinks, and bound its suboptimality for slopes in error by `excess`."""
        rows, piecewise, theta, residuals = self._rows, self._piecewise, self._theta, self._residuals
        for _ in range(2):    # the second solve removes the rounding of a long step
            step = np.linalg.solve(self._mixed, np.linalg.solve(self._A[basis], residuals[basis] - offsets))
            step /= self._units
            step[:self._first] -= self._centre @ step[self._first:]
            theta = theta + step
            residuals = rows.targets - rows.predictions(theta, slice(0, rows.n))
        gap, loss = (float(self._weights @ each) / rows.n
                     for each in (piecewise.gaps(residuals, slopes), piecewise.losses(residuals)))
        return theta, gap + excess * (piecewise.high - piecewise.low) * piecewise.distance_bound(loss, loss)
