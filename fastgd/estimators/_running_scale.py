"""Scale of the residuals of a stream of rows, estimated from those that have come so far."""
from __future__ import annotations

import math
import sys
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from fastgd._limits import NORMAL_MAD
from fastgd._solvers.concomitant_scale import weighted_median

if TYPE_CHECKING:
    from fastgd._types import DoubleArray

#: Rows of a block. The logarithm of the median of so few normal residuals is about 0.01 too low.
ROWS_OF_A_BLOCK = 65
#: Rows, beyond the number of parameters, before there is an estimate: fewer residuals are too near to 0.
ROWS_BEYOND_PARAMETERS = 10
#: delta while there is no estimate: the loss is half the squared residual.
WITHOUT_BOUND = sys.float_info.max / 4


class RunningScale(NamedTuple):
    """Running estimate of the median absolute residual, over that of the standard normal distribution.

    The logarithms of the medians of blocks of rows are averaged, the rows up to the t-th with a total weight of t**2:
    what came while the weights were far away is forgotten as they approach. The estimate follows any unit, and half of
    the rows of a block may be outliers.

    Attributes
    ----------
    n : int
        Rows of the blocks that are counted.
    log_median : float
        Average of the logarithms.
    sizes, weights : ndarray
        Absolute residuals of the rows that fill no block yet, and their weights.
    """

    n: int
    log_median: float
    sizes: DoubleArray = np.empty(0)
    weights: DoubleArray = np.empty(0)

    @classmethod
    def of(cls, scale: float, n: int) -> RunningScale:
        """Begin with the scale above 0 of `n` rows."""
        return cls(n, math.log(scale * NORMAL_MAD))

    def updated(self, sizes: DoubleArray, weights: DoubleArray | None, least: float) -> RunningScale:
        """Take in the absolute residuals of more rows; medians below `least` are rounding and count as that."""
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


def delta_of(delta: float, scale: float) -> float:
    """Return a delta in units of the scale in those of the residuals."""
    return delta * scale if scale < math.inf else WITHOUT_BOUND


def are_enough(n: int, n_parameters: int) -> bool:
    """True if so many rows have a scale of their own."""
    return n >= n_parameters + ROWS_BEYOND_PARAMETERS
