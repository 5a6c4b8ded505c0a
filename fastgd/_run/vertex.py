"""The exact minimum of a mean of pieces of straight lines over rows: as many of them as parameters lie on kinks there.

From the rows that are nearest to kinks it is reached along edges, as by the simplex method, in a few steps if the place
to begin with is near (I. Barrodale and F. D. K. Roberts, "An improved algorithm for discrete l1 linear approximation",
SIAM Journal on Numerical Analysis 10, 1973; R. Koenker and V. d'Orey, "Computing regression quantiles", Applied
Statistics 36, 1987).
"""
from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from fastgd._limits import (
    EDGES,
    FEW_KINKS,
    NUMBERS_FOR_VERTEX,
    PART_OF_A_TIE,
    ROUNDING,
    ROUNDING_OF_SLOPES,
    TIE_BREAKER,
)
from fastgd._run.dual import Pieces

if TYPE_CHECKING:
    from fastgd._data.arrays import LinearModelData
    from fastgd._objective import Objective
    from fastgd._types import DoubleArray, IndexArray
    from fastgd.losses import Loss


def least_vertex(objective: Objective, theta: DoubleArray) -> tuple[DoubleArray, float] | None:
    """The theta of the least loss, from one that is near it, and how far its loss can be above the least, by rounding.

    None if it is not reached, or the rows are many.
    """
    rows, loss = objective.source, objective.descended
    if (not rows.is_rows or loss is None or objective.penalty is not None
            or rows.n * rows.n_parameters > NUMBERS_FOR_VERTEX or rows.n <= rows.n_parameters):
        return None
    try:
        vertex = _Vertex(rows.sample(rows.n), loss, theta)    # all of them, in memory
        for _ in range(EDGES):
            found = vertex.moved()
            if found is not None:
                return found if np.isfinite(found[0]).all() else None
    except np.linalg.LinAlgError:    # where columns determine each other
        pass
    return None


class _Vertex:
    """Rows on kinks, and the theta at which they are, as a step from the one to begin with.

    The columns are mixed so that they are as long as each other and at right angles, whatever their means are.
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
        self._pieces = Pieces(loss)
        self._offsets, self._jumps = self._pieces.offsets, self._pieces.jumps
        distances = np.abs(self._residuals[:, None] - self._offsets)
        self._basis = self._nearest(distances.min(axis=1))
        self._kinks = distances[self._basis].argmin(axis=1)

    def _nearest(self, distances: DoubleArray) -> IndexArray:
        """The rows that are nearest to kinks, without those that nearer ones determine."""
        q = self._A.shape[1]
        across = np.zeros((q, q))
        basis: list[int] = []
        for row in np.argsort(distances, kind="stable").tolist():
            part = self._A[row]
            for _ in range(2):    # as once leaves some of what is along
                part = part - across.T @ (across @ part)
            length = float(np.linalg.norm(part))
            if length > PART_OF_A_TIE * float(np.linalg.norm(self._A[row])):
                across[len(basis)] = part / length
                basis.append(row)
                if len(basis) == q:
                    return np.array(basis)
        raise np.linalg.LinAlgError

    def moved(self) -> tuple[DoubleArray, float] | None:
        """The theta if it is the least, which its slopes prove; if not, go along the edge that is steepest.

        It is the least if slopes of the rows on kinks, each between those beside its kink, make the sum of all 0.
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
        if not excess[leaving] > ROUNDING_OF_SLOPES:
            slopes[basis] = np.clip(needed, below, above)
            return self._end(basis, offsets, slopes, max(0.0, excess[leaving]))
        direction = np.zeros(len(basis))
        direction[leaving] = 1.0 if needed[leaving] < below[leaving] else -1.0
        speeds = self._A @ np.linalg.solve(A, direction)
        fall = self._weights[basis[leaving]] * excess[leaving] * self._jumps[self._kinks[leaving]]
        self._pivot(leaving, residuals, speeds, fall)
        return None

    def _pivot(self, leaving: int, residuals: DoubleArray, speeds: DoubleArray, fall: float) -> None:
        """Go on while the loss falls: the row whose kink is met then takes the place of the one that leaves."""
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
        times, first = times.ravel()[places], FEW_KINKS
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
        """The theta with these rows on kinks, and what it can cost by slopes, of which some are beyond by `excess`."""
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
