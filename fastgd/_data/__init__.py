"""Data of a fit: points or rows with targets and weights, in memory, in chunks of files or on dask workers.

The prediction of the constant model is theta itself, that of the linear model X @ theta. Both kinds of data have

    n, n_parameters, dtype      number of points or rows, number of components of theta, type of the points or of X
    is_rows, is_chunked         True for the linear model; True for data that are not in memory together
    parameter_names, names      names of the components of theta, and of the columns if they have any
    intercept                   True if theta[0] is an intercept
    reads                       passes and bytes read so far, None for data in memory
    extremes, has_signs         the least and the largest target; True if all targets are -1 or 1, and some -1
    is_weighted, largest_weight facts of the weights, whose mean is 1
    theta(value, name)          check `value` and convert it to a theta
    mean(mean, theta, threads)  a compiled loss or gradient at one theta
    means(mean, thetas, threads)  a compiled loss or gradient at several thetas
    value_and_gradient(loss, theta, threads)  a compiled loss and its gradient at one theta, in one pass
    total(sums, most, threads)  the pairwise sum of a function of data in memory and of a subtree
    map_slices(function, threads)  a function of data in memory and of a slice, for one slice after another
    sample(size), draw(size)    data in memory of about `size` random rows or points

and those in memory

    targets, weights            the points, or the targets of the rows; weights of mean 1, None if all are equal
    everything                  the part that is all of the data
    call(function, role)        a Python function as a function of theta and of a part
    shuffle_buffer(dataset, in_place)  the array that stochastic descent shuffles, and whose slices are parts

Kernels update theta on data in memory; descent on chunked data uses their means. Functions for `total` and `map_slices`
must be picklable, because the data may be on another machine. Points and rows of weight 0 are left out.
"""
from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

from fastgd._data.arrays import ConstantModelData, LinearModelData, as_data, check_no_intercept
from fastgd._validation import is_dask

if TYPE_CHECKING:
    from fastgd._data.chunked import ChunkedConstantModelData, ChunkedLinearModelData, Chunks
    from fastgd._data.labels import Labels

    #: Data of a descent.
    ModelData: TypeAlias = (
        ConstantModelData | LinearModelData | ChunkedConstantModelData | ChunkedLinearModelData)

__all__ = ["ConstantModelData", "LinearModelData", "as_chunks", "as_data", "check_no_intercept"]


def as_chunks(dataset: Any, X: Any, sample_weight: Any, labels: Labels | None = None) -> Chunks:
    """Return the chunks of arguments of which at least one is lazy; `labels` reads targets that are class labels."""
    arguments = dataset, X, sample_weight
    if any(map(is_dask, arguments)) and not any(getattr(value, "is_lazy", False) for value in arguments):
        from fastgd._data.dask_source import dask_chunks

        return dask_chunks(dataset, X, sample_weight, labels)
    from fastgd._data.blocks import block_chunks

    return block_chunks(dataset, X, sample_weight, labels)
