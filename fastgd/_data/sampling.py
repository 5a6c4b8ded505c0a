"""Importance sampling of rows by leverage, and sums over all rows: mean squares and the variance of the targets."""
from __future__ import annotations

import functools
from typing import TYPE_CHECKING

import numpy as np

from fastgd._data.arrays import linear_data_like
from fastgd._pairwise import CACHED_NUMBERS, column_sums

if TYPE_CHECKING:
    from fastgd._data.arrays import AnyLinearModelData, LinearModelData
    from fastgd._data.chunked import ChunkedLinearModelData
    from fastgd._types import DoubleArray, FloatArray, IndexArray


def sample_by_leverage(data: AnyLinearModelData, shift: DoubleArray, sizes: DoubleArray,
                       size: int) -> LinearModelData | None:
    """Sample about `size` rows by leverage, weighted so that means are unbiased; None if no row is drawn.

    With z = (x - shift) / sizes a row of weight w is drawn with a probability proportional to w (1 + mean(z**2)) / 2,
    whose mean is 1: all rows with a rare dummy are drawn. The draw depends on the index of the row and on no partition
    of the data.
    """
    found = data.map_slices(functools.partial(_draw_rows, shift, sizes, size / data.n))
    X, targets, weights = (np.concatenate(each) for each in zip(*found, strict=True))
    if not len(targets):
        return None
    return linear_data_like(data, X, targets, weights * (len(targets) / data.n))


def mean_square(data: AnyLinearModelData, theta: DoubleArray, *, of_residuals: bool) -> float:
    """Compute the mean square of the residuals, or of the predictions."""
    sums = data.total(functools.partial(_sum_squares, theta, of_residuals), data.rows_of(CACHED_NUMBERS))
    return float(sums[0]) / data.n


def target_variance(data: LinearModelData | ChunkedLinearModelData) -> float:
    """Compute the weighted variance of the targets."""
    least, most = data.extremes
    sums = data.total(functools.partial(_sum_deviations, least / 2 + most / 2), data.rows_of(CACHED_NUMBERS)) / data.n
    return max(0.0, float(sums[1] - sums[0] * sums[0]))


def _sum_deviations(centre: float, data: LinearModelData, part: slice) -> DoubleArray:
    with np.errstate(all="ignore"):
        sums = np.empty((part.stop - part.start, 2))
        sums[:, 0] = data.targets[part] - centre
        sums[:, 1] = sums[:, 0] * sums[:, 0]
        return column_sums(sums, None if data.weights is None else data.weights[part])


def _draw_rows(shift: DoubleArray, sizes: DoubleArray, share: float, data: LinearModelData,
               part: slice) -> tuple[FloatArray, DoubleArray, DoubleArray]:
    """Draw rows of a part; return their X, targets and weights over the probabilities."""
    weights = np.ones(part.stop - part.start) if data.weights is None else data.weights[part]
    with np.errstate(all="ignore"):
        z2 = data.X[part] - shift
        z2 /= sizes
        z2 *= z2
        probabilities = np.minimum(share * weights * (1 + z2.sum(axis=1) / data.p) / 2, 1)
    at = np.flatnonzero(_uniform(data.start + np.arange(part.start, part.stop)) < probabilities)
    return data.X[part][at], data.targets[part][at], weights[at] / probabilities[at]


def _uniform(numbers: IndexArray) -> DoubleArray:
    """Hash whole numbers to pseudo-random numbers in [0, 1].

    The hash is the mixing function of SplitMix64 (G. L. Steele, D. Lea and C. H. Flood, "Fast splittable pseudorandom
    number generators", OOPSLA 2014).
    """
    bits = (numbers.astype(np.uint64) + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        bits = (bits ^ (bits >> np.uint64(shift))) * np.uint64(factor)
    return (bits ^ (bits >> np.uint64(31))) / 2.0**64


def _sum_squares(theta: DoubleArray, of_residuals: bool, data: LinearModelData, part: slice) -> DoubleArray:
    with np.errstate(all="ignore"):
        numbers = data.predictions(theta, part)
        if of_residuals:
            numbers = data.targets[part] - numbers
        return column_sums((numbers * numbers)[:, None], None if data.weights is None else data.weights[part])
