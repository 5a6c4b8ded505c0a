"""Rows whose columns are divided by powers of two, for squares that would overflow or underflow."""
from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import numpy as np

from fastgd._limits import POINTS_AT_ONCE
from fastgd._source.rows import AnyRows, rows_in_memory
from fastgd._sums import ALONE, Threads

if TYPE_CHECKING:
    from collections.abc import Callable

    from fastgd._source.rows import Rows
    from fastgd._types import DoubleArray, R


class ScaledRows(AnyRows):
    """Rows with X divided by the `units` of its columns, part by part and without a copy of the whole.

    Division by a power of two is exact: what is computed of such rows has the digits of the original ones.
    """

    def __init__(self, rows: AnyRows, units: DoubleArray) -> None:
        self._rows, self._units = rows, units
        self.n, self.p, self.intercept, self.names = rows.n, rows.p, rows.intercept, rows.names
        self.dtype = np.dtype(np.float64)

    def total(self, sums: Callable[[Rows, slice], DoubleArray], most: int, threads: Threads = ALONE) -> DoubleArray:
        return self._rows.total(functools.partial(_scaled, self._units, sums), most, threads)

    def each(self, function: Callable[[Rows, slice], R], threads: Threads = ALONE,
             size: int = POINTS_AT_ONCE) -> list[R]:
        return self._rows.each(functools.partial(_scaled, self._units, function), threads, size)

    def sample(self, size: int) -> Rows:
        some = self._rows.sample(size)
        return rows_in_memory(some, some.X / self._units, some.targets, some.weights)


def _scaled(units: DoubleArray, function: Callable[[Rows, slice], R], rows: Rows, part: slice) -> R:
    """Apply a function of rows and of a part of them to scaled ones."""
    some = rows_in_memory(rows, rows.X[part] / units, rows.targets[part],
                          None if rows.weights is None else rows.weights[part])
    return function(some, slice(0, some.n))


def units_of(rows: AnyRows, shift: DoubleArray, is_lost: Any) -> DoubleArray:
    """Return a power of two near the largest abs(x - shift) of each column `is_lost`; 1 for the others."""
    largest = np.max(rows.each(functools.partial(_largest_in, shift)), axis=0)
    exponents = np.frexp(largest)[1] - 1
    return np.where(is_lost & (largest > 0) & np.isfinite(largest), np.ldexp(1.0, exponents), 1.0)


def _largest_in(shift: DoubleArray, rows: Rows, part: slice) -> DoubleArray:
    with np.errstate(all="ignore"):
        found: Any = np.abs(rows.X[part] - shift).max(axis=0)
    return np.asarray(found, dtype=np.float64)
