"""The rows that tell where a mean loss is least: one that few others are like is drawn more often, and weighs less."""
from __future__ import annotations

import functools
from typing import TYPE_CHECKING

import numpy as np

from fastgd._data.arrays import rows_in_memory
from fastgd._limits import CACHED_NUMBERS
from fastgd._pairwise import column_sums

if TYPE_CHECKING:
    from fastgd._data.arrays import AnyRows, Rows
    from fastgd._data.chunked import PartedRows
    from fastgd._types import DoubleArray, FloatArray, IndexArray


def telling_rows(rows: AnyRows, shift: DoubleArray, sizes: DoubleArray, size: int) -> Rows | None:
    """About so many rows at most, whose mean of anything is that of all in expectation; None if none is drawn.

    With z the columns scaled a row counts by w (1 + mean(z**2)) / 2, of which the mean is 1: of a dummy that few rows
    carry all of these are drawn. Whether a row is depends on its number alone, not on where the data are cut.
    """
    found = rows.each(functools.partial(_drawn_in, shift, sizes, size / rows.n))
    X, targets, weights = (np.concatenate(each) for each in zip(*found, strict=True))
    if not len(targets):
        return None
    return rows_in_memory(rows, X, targets, weights * (len(targets) / rows.n))


def mean_square(rows: AnyRows, theta: DoubleArray, *, of_residuals: bool) -> float:
    """That of the residuals, or of the predictions."""
    sums = rows.total(functools.partial(_squares_in, theta, of_residuals), rows.rows_of(CACHED_NUMBERS))
    return float(sums[0]) / rows.n


def variance_of_targets(rows: Rows | PartedRows) -> float:
    """That of all, with their weights."""
    least, most = rows.extremes
    sums = rows.total(functools.partial(_deviations_in, least / 2 + most / 2), rows.rows_of(CACHED_NUMBERS)) / rows.n
    return max(0.0, float(sums[1] - sums[0] * sums[0]))


def _deviations_in(centre: float, rows: Rows, part: slice) -> DoubleArray:
    with np.errstate(all="ignore"):
        sums = np.empty((part.stop - part.start, 2))
        sums[:, 0] = rows.targets[part] - centre
        sums[:, 1] = sums[:, 0] * sums[:, 0]
        return column_sums(sums, None if rows.weights is None else rows.weights[part])


def _drawn_in(shift: DoubleArray, sizes: DoubleArray, share: float, rows: Rows,
              part: slice) -> tuple[FloatArray, DoubleArray, DoubleArray]:
    """X, the targets and the weights of those of a part."""
    weights = np.ones(part.stop - part.start) if rows.weights is None else rows.weights[part]
    with np.errstate(all="ignore"):
        scaled = rows.X[part] - shift
        scaled /= sizes
        scaled *= scaled
        chances = np.minimum(share * weights * (1 + scaled.sum(axis=1) / rows.p) / 2, 1)
    at = np.flatnonzero(_uniform(rows.start + np.arange(part.start, part.stop)) < chances)
    return rows.X[part][at], rows.targets[part][at], weights[at] / chances[at]


def _uniform(numbers: IndexArray) -> DoubleArray:
    """A number from 0 to 1 for each whole one, as if at random.

    The mixing of SplitMix64 (G. L. Steele, D. Lea and C. H. Flood, "Fast splittable pseudorandom number generators",
    OOPSLA 2014).
    """
    bits = (numbers.astype(np.uint64) + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        bits = (bits ^ (bits >> np.uint64(shift))) * np.uint64(factor)
    return (bits ^ (bits >> np.uint64(31))) / 2.0**64


def _squares_in(theta: DoubleArray, of_residuals: bool, rows: Rows, part: slice) -> DoubleArray:
    with np.errstate(all="ignore"):
        numbers = rows.predictions(theta, part)
        if of_residuals:
            numbers = rows.targets[part] - numbers
        return column_sums((numbers * numbers)[:, None], None if rows.weights is None else rows.weights[part])
