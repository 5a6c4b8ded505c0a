"""Points: the source whose prediction is theta itself. In memory here, in pieces in `fastgd._source.parted`."""
from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from fastgd._kernels import mean as kernels
from fastgd._limits import (
    CACHED_POINTS,
    MANY_POINTS,
    PARTS_OF_A_THREAD,
    POINTS_AT_ONCE,
    POINTS_OF_A_PART,
    SLICE_OF_EACH,
    THETAS_AT_ONCE,
)
from fastgd._source.facts import InMemory, with_weight
from fastgd._source.rows import Rows
from fastgd._sums import ALONE, Threads, added, branches, column_sums
from fastgd._validation import as_double, as_given, check_number, copied, guarded, raise_not_finite, slices_of_rows

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import ArrayLike, NDArray

    from fastgd._types import DoubleArray, FloatArray, Integers, OwnMean, R
    from fastgd.losses.base import Loss


class AnyPoints:
    """What points are, wherever they are."""

    is_rows: Literal[False] = False
    intercept = False
    n_parameters = 1
    names: tuple[str, ...] | None = None
    columns: Any = None
    parameter_names: tuple[str, ...] = ("theta",)

    def theta(self, value: Any, name: str) -> float:
        """`value` as a float."""
        return check_number(value, name, low=-np.inf, inclusive=False)


class Points(InMemory, AnyPoints):
    """Points as a contiguous array; `dataset` is what the caller gave.

    Unless it is said that they are checked, each pass looks whether they are finite, and raises ValueError if not.
    """

    def __init__(self, dataset: Any, targets: FloatArray, weights: DoubleArray | None = None, *,
                 is_checked: bool = True) -> None:
        self._check = not is_checked
        self.weights = None
        if weights is not None:
            weights, (targets,) = with_weight(weights, targets)
            self.weights = None if weights is None else weights.astype(targets.dtype, copy=False)
        self.targets, self.dtype = targets, targets.dtype
        self.n = targets.size
        self.everything: Any = as_given(dataset, targets)

    def each(self, function: Callable[[Points, slice], R], threads: Threads = ALONE,
             size: int = POINTS_AT_ONCE) -> list[R]:
        """`function` of the points and of one slice of about so many of them after another."""
        return threads.map(functools.partial(function, self), slices_of_rows(self.targets, size))

    def added(self, function: Callable[[Points, slice], Integers], threads: Threads = ALONE) -> Integers:
        """The sum of the integers that `function` of the points and of one slice after another answers."""
        return functools.reduce(np.add, self.each(function, threads, SLICE_OF_EACH))

    def total(self, sums: Callable[[Points, slice], FloatArray], most: int, threads: Threads = ALONE) -> FloatArray:
        """The sum over all points of what `sums` of the points and of a branch of at most `most` answers."""
        return added(self.n, most, threads.map(functools.partial(sums, self), branches(self.n, most)))

    def mean(self, mean: OwnMean, theta: Any, threads: Threads = ALONE) -> float:
        """A compiled loss or gradient at one theta."""
        return mean_over(mean, theta, self.targets, threads, self.weights, self._check)

    def value_and_slope(self, loss: Loss, theta: float, threads: Threads = ALONE) -> tuple[float, float]:
        """The mean of a compiled loss and its slope, at one theta, in one pass."""
        targets = self.targets
        if targets.size > loss.at_once or (targets.size > MANY_POINTS and threads.count > 1):
            value, slope = means_over(loss, typed([theta, theta], targets.dtype), targets, threads, self.weights,
                                      check=False, values=1)
            return value.item(), slope.item()
        return loss.version(kernels.both_at, targets.dtype)(loss.kernel, targets, self.weights, theta)

    def value_and_slopes(self, loss: Loss, thetas: Sequence[float], threads: Threads = ALONE) -> list[float]:
        """The mean of a compiled loss at the first theta, and its slope at each, in one pass."""
        points = typed([thetas[0], *thetas], self.targets.dtype)
        means = means_over(loss, points, self.targets, threads, self.weights, check=False, values=1)
        found: list[float] = means.tolist()
        return found

    def means(self, mean: OwnMean, thetas: Sequence[Any] | FloatArray, threads: Threads = ALONE) -> DoubleArray:
        """A compiled loss or gradient at each theta, in double."""
        points = typed(thetas, self.targets.dtype)
        if points.size <= THETAS_AT_ONCE:
            return self._means(mean, points, threads).astype(np.float64, copy=False)
        groups = [points[start:start + THETAS_AT_ONCE] for start in range(0, points.size, THETAS_AT_ONCE)]
        if threads.count > 1 and self.n * THETAS_AT_ONCE <= MANY_POINTS < self.n * points.size:
            # Few points: the groups are shared, and not the points of each.
            parts = threads.map(lambda group: self._means(mean, group, ALONE), groups)
        else:
            parts = [self._means(mean, group, threads) for group in groups]
        return np.concatenate(parts).astype(np.float64, copy=False)

    def _means(self, mean: OwnMean, thetas: FloatArray, threads: Threads) -> FloatArray:
        return means_over(mean, thetas, self.targets, threads, self.weights, check=self._check)

    def call(self, function: Callable[..., Any], role: str) -> Callable[[float, Any], Any]:
        """The function, called as the textbook calls it."""
        return guarded(function, role, self.dtype)

    def to_shuffle(self, dataset: ArrayLike, in_place: bool) -> NDArray[Any]:
        """The points in an array that may be shuffled: the caller's own if `in_place`, else a copy."""
        targets = self.targets
        if in_place:
            if targets is not dataset and not (
                    isinstance(dataset, np.ndarray) and np.shares_memory(targets, dataset)):
                got = (f"an array of dtype {dataset.dtype}" + ("" if dataset.flags.c_contiguous else ", not contiguous")
                       if isinstance(dataset, np.ndarray) else f"an object of type {type(dataset).__name__}")
                raise ValueError("in_place=True needs a writable contiguous float32 or float64 array. "
                                 f"Got {got}; convert it, or leave in_place=False.")
            if not targets.flags.writeable:
                raise ValueError("in_place=True needs a writable contiguous float32 or float64 array. "
                                 "Got a read-only array; pass a copy, or leave in_place=False.")
            return targets
        return copied(targets, targets.dtype)    # the verdict and the result read them in their order

    def sample(self, size: int) -> Points:
        """Itself: a pass over the points costs little."""
        return self

    def drawn(self, size: int) -> Points:
        """So many of the points, drawn at random from a fixed seed; itself if it has hardly more."""
        if self.n <= 2 * size:
            return self
        places = np.random.default_rng(0).integers(0, self.n, size)
        weights = None if self.weights is None else as_double(self.weights[places])
        return Points(None, self.targets[places], weights)

    def as_rows(self) -> Rows:
        """The same as rows of the one number 1, for what only rows can be visited with: weights, a penalty."""
        rows = object.__new__(Rows)
        rows.intercept, rows.X = False, np.ones((self.n, 1))
        rows.set_up(None, self.targets, None if self.weights is None else as_double(self.weights))
        return rows


def typed(thetas: Any, dtype: np.dtype[Any]) -> FloatArray:
    """Thetas in the type of the data, in which one may be infinite."""
    if dtype == np.float64:
        return np.asarray(thetas, dtype)
    with np.errstate(over="ignore", under="ignore"):
        return np.asarray(thetas, dtype)


def mean_over(mean: OwnMean, theta: float, targets: FloatArray, threads: Threads = ALONE,
              weights: FloatArray | None = None, check: bool = True) -> float:
    """`means_over` at one theta, which may be a number that the dtype of `targets` has not."""
    n = targets.size
    if n > mean.at_once or (n > MANY_POINTS and threads.count > 1):
        return means_over(mean, typed([theta], targets.dtype), targets, threads, weights, check=check).item()
    found = mean.version(kernels.mean_at, targets.dtype)(mean.kernel, mean.is_slope, targets, weights, theta, check)
    if found is None:
        raise_not_finite(targets, "dataset")
    return found


def means_over(mean: OwnMean, thetas: FloatArray, targets: FloatArray, threads: Threads = ALONE,
               weights: FloatArray | None = None, *, check: bool, values: int | None = None) -> FloatArray:
    """Means over `targets` at a few `thetas` of their dtype; ValueError if `targets` is not finite and `check`.

    The weights, if there are any, have the mean 1. The loss is asked for at the first `values` thetas and its slope at
    the others; None for what `mean` is, at all of them.
    """
    n = targets.size
    if values is None:
        values = 0 if mean.is_slope else thetas.size
    most = max(CACHED_POINTS, mean.at_once // thetas.size)
    if threads.count > 1 and n * thetas.size > MANY_POINTS:
        parts_of_many = PARTS_OF_A_THREAD * threads.count
        most = min(most, max(CACHED_POINTS, POINTS_OF_A_PART // thetas.size, n // parts_of_many))
    if n <= most:
        means, finite = _sums(mean, values, thetas, targets, weights, check)
    else:
        def sums(part: slice) -> tuple[FloatArray, bool]:
            return _sums(mean, values, thetas, targets[part], None if weights is None else weights[part], check)

        parts = threads.map(sums, branches(n, most))
        finite = all(is_finite for _, is_finite in parts)
        means = added(n, most, [each for each, _ in parts])
    if not finite:
        raise_not_finite(targets, "dataset")
    mean.version(kernels.divide, targets.dtype)(mean.kernel, values, means, n)
    return means


def sums_at(mean: OwnMean, values: int, thetas: FloatArray, points: Points, part: slice) -> FloatArray:
    """The sums of a loss at the first `values` thetas and of its slope at the others, over a part of checked points."""
    targets, weights = points.targets[part], None if points.weights is None else points.weights[part]
    sums = np.empty(thetas.size, thetas.dtype)
    for start in range(0, thetas.size, THETAS_AT_ONCE):
        group = thetas[start:start + THETAS_AT_ONCE]
        sums[start:start + group.size] = _sums(mean, min(max(values - start, 0), group.size), group, targets, weights,
                                               check=False)[0]
    return sums


def sum_of_points(points: Points, part: slice) -> DoubleArray:
    """The sum of a part of the points themselves, in double."""
    return column_sums(as_double(points.targets[part])[:, None])


def _sums(mean: OwnMean, values: int, thetas: FloatArray, targets: FloatArray, weights: FloatArray | None,
          check: bool) -> tuple[FloatArray, bool]:
    """Sums in numpy's order, and whether the targets are finite, if that is checked."""
    m, dtype = thetas.size, targets.dtype
    out, scratch = np.empty(m, dtype), np.empty(m * kernels.levels(targets.size), dtype)
    is_finite = mean.version(kernels.sums, dtype)(mean.kernel, values, targets, weights, thetas, check, out, scratch)
    return out, is_finite
