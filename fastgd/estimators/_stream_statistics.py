"""Statistics of a stream of rows: means and scales of the columns, and the scale of the residuals."""
from __future__ import annotations

import math
import sys
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from fastgd._objective.second_moments import RowMoments
from fastgd._solvers.concomitant_scale import NORMAL_MAD, weighted_median

if TYPE_CHECKING:
    from fastgd._data.arrays import AnyLinearModelData
    from fastgd._types import DoubleArray

#: Rows that suffice to scale the columns: the standard deviation of 10 normal values is hardly ever below 0.1 sigma.
ROWS_FOR_MOMENTS = 10
#: Rows of a block. The log-median of 65 absolute normal residuals has a bias of about -0.01.
ROWS_OF_A_BLOCK = 65
#: Rows beyond the number of parameters that an estimate needs: with fewer, residuals are too close to 0.
ROWS_BEYOND_PARAMETERS = 10
#: delta without an estimate: the loss is half the squared residual.
WITHOUT_BOUND = sys.float_info.max / 4


class Moments(NamedTuple):
    """Means and standard deviations of the columns of all rows so far.

    Attributes
    ----------
    n : int
        Number of rows.
    means, deviations : ndarray of shape (p,)
    largest : float
        Largest squared norm of a scaled row.
    """

    n: int
    means: DoubleArray
    deviations: DoubleArray
    largest: float


class RunningCurvature(RowMoments):
    """Curvature of rows, scaled by the moments of these and all earlier rows; without an intercept the means are 0."""

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
        """Return the moments of all rows; `unit` is the preconditioner's for a loss of curvature 1."""
        n = self._rows.n + (0 if self._before is None else self._before.n)
        return Moments(n, *self._columns(), 1 / unit)


class RunningScale(NamedTuple):
    """Running estimate of the median absolute residual, over that of the standard normal distribution.

    The logarithms of the medians of blocks of rows are averaged, the rows up to the t-th with a total weight of t**2:
    early rows, whose residuals are those of poor weights, lose their influence. The estimate is equivariant to the
    unit, and its breakdown point within a block is one half.

    Attributes
    ----------
    n : int
        Number of rows of the complete blocks.
    log_median : float
        Average of the log-medians.
    sizes, weights : ndarray
        Absolute residuals and weights of the rows of the incomplete block.
    """

    n: int
    log_median: float
    sizes: DoubleArray = np.empty(0)
    weights: DoubleArray = np.empty(0)

    @classmethod
    def of(cls, scale: float, n: int) -> RunningScale:
        """Start with a positive scale of `n` rows."""
        return cls(n, math.log(scale * NORMAL_MAD))

    def update(self, sizes: DoubleArray, weights: DoubleArray | None, least: float) -> RunningScale:
        """Update with the absolute residuals of more rows; medians below `least` are rounding and raised to it."""
        weights = np.ones(len(sizes)) if weights is None else weights
        sizes, weights = np.append(self.sizes, sizes), np.append(self.weights, weights)
        finite = np.isfinite(sizes)
        sizes, weights = sizes[finite], weights[finite]
        if len(sizes) < ROWS_OF_A_BLOCK:
            return self._replace(sizes=sizes, weights=weights)
        median = max(weighted_median(sizes, weights), least)
        if median == 0:
            return self._replace(sizes=np.empty(0), weights=np.empty(0))
        n = self.n + len(sizes)
        part = 1 - (self.n / n) ** 2
        return RunningScale(n, self.log_median + part * (math.log(median) - self.log_median))

    @property
    def value(self) -> float:
        """The scale."""
        return math.exp(self.log_median) / NORMAL_MAD


def scaled_delta(delta: float, scale: float) -> float:
    """Convert delta from units of the scale to units of the residuals."""
    return delta * scale if scale < math.inf else WITHOUT_BOUND


def has_enough_rows(n: int, n_parameters: int) -> bool:
    """Return True if n rows suffice to estimate a scale."""
    return n >= n_parameters + ROWS_BEYOND_PARAMETERS
