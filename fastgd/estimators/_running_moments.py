"""Means and scales of the columns of a stream of rows, from those that have come so far."""
from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from fastgd._objective.second_moments import RowMoments

if TYPE_CHECKING:
    from fastgd._data.arrays import AnyLinearModelData
    from fastgd._types import DoubleArray

#: Rows that scale the columns well: the deviation of 10 normal numbers is hardly ever below a tenth of its value.
ROWS_FOR_MOMENTS = 10


class Moments(NamedTuple):
    """Of the columns of all rows so far.

    Attributes
    ----------
    n : int
        Rows.
    means, deviations : ndarray of shape (p,)
    largest : float
        The largest squared length of a scaled row.
    """

    n: int
    means: DoubleArray
    deviations: DoubleArray
    largest: float


class RunningCurvature(RowMoments):
    """That of rows that follow others, of which the moments are known.

    Without an intercept the means are 0.
    """

    def __init__(self, rows: AnyLinearModelData, before: Moments | None) -> None:
        super().__init__(rows)
        self._before = before

    def _columns(self) -> tuple[DoubleArray, DoubleArray]:
        means, deviations = super()._columns()
        before = self._before
        if before is None:
            return means, deviations
        n, m = before.n, self._rows.n
        part = m / (n + m)
        apart = means - before.means
        # In units in which no square overflows; powers of two change no digit.
        unit = np.ldexp(1.0, np.frexp(np.maximum(np.maximum(before.deviations, deviations), np.abs(apart)))[1] - 1)
        variances = ((1 - part) * (before.deviations / unit) ** 2 + part * (deviations / unit) ** 2
                     + part * (1 - part) * (apart / unit) ** 2)
        return before.means + part * apart, np.sqrt(variances) * unit

    def _largest_scaled_row(self, shift: DoubleArray, sizes: DoubleArray) -> float:
        largest = super()._largest_scaled_row(shift, sizes)
        return largest if self._before is None else max(largest, self._before.largest)

    def moments(self, unit: float) -> Moments:
        """Those of all rows; `unit` is that of the metric of a loss of curvature 1."""
        n = self._rows.n + (0 if self._before is None else self._before.n)
        return Moments(n, *self._columns(), 1 / unit)
