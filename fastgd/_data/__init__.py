"""Where the numbers are. A source alone knows points, rows, and how they are cut into parts and handed to a function.

A source has

    n, n_parameters, dtype      how many points or rows, how many numbers theta has, the type of the points or of X
    is_rows, is_parted          whether theta is an array; whether the data are not in memory together
    parameter_names, names      of the components of theta, and of the columns if they have any
    intercept                   whether theta[0] is one
    reads                       passes and bytes read so far of what is not in memory, else None
    extremes, has_signs         the least and the largest target; whether all are -1 or 1, and some -1
    is_weighted, largest_weight of the points or rows, whose mean weight is 1
    theta(value, name)          `value` as a theta, checked
    mean(mean, theta, threads)  a loss or gradient of our own at one theta
    means(mean, thetas, threads)   the same at several thetas
    value_and_slope(loss, theta, threads)  a loss of our own and its gradient at one theta, in one pass
    total(sums, most, threads)  the sum over all of what a function of a source in memory and of a branch answers
    each(function, threads)     what a function of a source in memory and of a slice answers, for one after another
    sample(size), drawn(size)   a source in memory of about so many of the rows or points, drawn at random

and in memory

    targets, weights            the points, or the targets of the rows; of mean 1, or None where they are equal
    everything                  the part that is all of it
    call(function, role)        a Python function as one of theta and of a part
    to_shuffle(dataset, in_place)  what stochastic descent may shuffle, of which slices, or with points items, are parts

The kernels of `fastgd._run.compiled` take points and rows in memory; any other source is descended on by its means.
Functions for `total` and `each` can be pickled, as the data may be elsewhere. What has no weight is not in a source.
"""
from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastgd._checks import check_dataset, check_flag, check_weights, is_dask, is_lazy
from fastgd._data.arrays import Points, Rows

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from fastgd._data.chunked import PartedPoints, PartedRows, Pieces
    from fastgd._data.labels import Labels
    from fastgd._thread_pool import Threads
    from fastgd._types import Source

__all__ = ["Points", "Rows", "as_source", "no_intercept_without_rows"]


def as_source(dataset: ArrayLike, X: ArrayLike | None, fit_intercept: bool, name: str = "dataset",
              sample_weight: ArrayLike | None = None, threads: Threads | None = None) -> Source:
    """The source of the constant model, or of the linear model if there are rows X; checked."""
    if is_lazy(dataset, X, sample_weight):
        return _parted(dataset, X, check_flag(fit_intercept, "fit_intercept"), sample_weight)
    targets = check_dataset(dataset, name, threads)
    weights = None if sample_weight is None else check_weights(sample_weight, targets.size)
    if X is not None:
        return Rows(X, targets, fit_intercept, weights, threads)
    if fit_intercept is not False:
        no_intercept_without_rows(fit_intercept)
    return Points(dataset, targets, weights)


def pieces_of(dataset: Any, X: Any, sample_weight: Any, labels: Labels | None = None) -> Pieces:
    """What brings the pieces of arguments of which at least one is lazy; the targets may be labels."""
    if any(is_dask(value) for value in (dataset, X, sample_weight)) and not any(
            getattr(value, "is_lazy", False) for value in (dataset, X, sample_weight)):
        # Each is imported where it is used.
        from fastgd._data import dask_source

        return dask_source.pieces_of(dataset, X, sample_weight, labels)
    from fastgd._data import blocks

    return blocks.pieces_of(dataset, X, sample_weight, labels)


def _parted(dataset: Any, X: Any, fit_intercept: bool, sample_weight: Any) -> PartedPoints | PartedRows:
    from fastgd._data.chunked import parted

    source = parted(pieces_of(dataset, X, sample_weight), fit_intercept)
    if not source.is_rows:
        no_intercept_without_rows(fit_intercept)
    return source


def no_intercept_without_rows(fit_intercept: bool) -> None:
    """Raise ValueError if an intercept is asked for where theta is one."""
    if check_flag(fit_intercept, "fit_intercept"):
        raise ValueError("fit_intercept=True needs X: without it theta is the intercept itself. "
                         f"Got fit_intercept={fit_intercept!r} and X=None.")
