"""numpy's pairwise sum over parts of the data, in one thread or several, with the same bits.

The tree of n numbers is split at fixed places (`fastgd._kernels.mean.cut`) down to leaves of `LEAF` numbers. The top of
the tree is walked in Python, not in a kernel, so that Ctrl-C is answered between subtrees and several threads can sum
them. The tree of n rows is split likewise.
"""
from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from fastgd._kernels import gram, linear
from fastgd._kernels.mean import cut

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import NDArray

    from fastgd._types import DoubleArray

#: Evaluations of a loss at a point, or numbers of X, above which several threads are used: starting a thread and
#: waiting for it takes a quarter of the time of that pass.
MIN_THREADED_POINTS = 1_000_000
#: Points or rows in a leaf of the tree of sums, as in the kernels.
LEAF = 128
#: Points that stay in the first-level cache while each theta passes over them, as in the kernels.
CACHED_POINTS = 4096
#: Points or numbers of X in one numpy operation, whose temporaries stay in the second-level cache.
NUMPY_POINTS = 2**16
#: Numbers of X of a part: a millisecond or less, and few enough that threads end together.
PART_NUMBERS = 2**19
#: Numbers of X that stay in the second-level cache for several passes, or for a copy in float64.
CACHED_NUMBERS = 2**15


def subtrees(n: int, most: int) -> list[slice]:
    """Split n points into the largest subtrees of at most `most` points; return them as slices in order."""
    return [slice(start, stop) for start, stop in _subtrees(0, n, most)]


def _subtrees(start: int, n: int, most: int) -> Iterator[tuple[int, int]]:
    if n <= most:
        yield start, start + n
    else:
        half = cut(n)
        yield from _subtrees(start, half, most)
        yield from _subtrees(start + half, n - half, most)


def reduce_tree(n: int, most: int, sums: Sequence[NDArray[Any]]) -> NDArray[Any]:
    """Add the sums over the `subtrees` in the order of the tree."""
    if len(sums) == 1:
        return sums[0]
    with np.errstate(all="ignore"):
        return _reduce_tree(n, most, iter(sums))


def reduce_stream(n: int, most: int, sums: Callable[[slice], NDArray[Any]]) -> NDArray[Any]:
    """Compute and add `sums` of the `subtrees` one after another, for sums that are too large to store all."""
    with np.errstate(all="ignore"):
        return _reduce_tree(n, most, map(sums, subtrees(n, most)))


def _reduce_tree(n: int, most: int, sums: Iterator[NDArray[Any]]) -> NDArray[Any]:
    if n <= most:
        return next(sums)
    half = cut(n)
    left = _reduce_tree(half, most, sums)
    total: NDArray[Any] = left + _reduce_tree(n - half, most, sums)
    return total


def tree_cover(n: int, start: int, stop: int) -> Iterator[tuple[int, int, int, int]]:
    """Cover [start, stop) by the largest subtrees inside it and the parts of leaves that its ends cut, in order.

    Yields (start, stop, start, stop): the part, then the subtree or leaf that it belongs to.
    """
    return _tree_cover(0, n, start, stop)


def _tree_cover(first: int, n: int, start: int, stop: int) -> Iterator[tuple[int, int, int, int]]:
    end = first + n
    if start <= first and end <= stop:
        yield first, end, first, end
    elif n <= LEAF:
        yield max(first, start), min(end, stop), first, end
    else:
        middle = first + cut(n)
        if start < middle:
            yield from _tree_cover(first, middle - first, start, stop)
        if stop > middle:
            yield from _tree_cover(middle, end - middle, start, stop)


def reduce_cover(n: int, sums: Iterator[tuple[int, NDArray[Any]]]) -> NDArray[Any]:
    """Add the sums over subtrees of any size that cover n points, each with the place where it stops, in order."""
    with np.errstate(all="ignore"):
        return _reduce_cover(0, n, [], sums)


def _reduce_cover(first: int, n: int, ahead: list[tuple[int, NDArray[Any]]],
                  sums: Iterator[tuple[int, NDArray[Any]]]) -> NDArray[Any]:
    """Reduce the subtree of n points from `first`; `ahead` holds the next sum, read for the place where it stops."""
    # The subtrees of a node stop before the node does, except the node itself.
    if not ahead:
        ahead.append(next(sums))
    if ahead[0][0] == first + n:
        return ahead.pop()[1]
    half = cut(n)
    left = _reduce_cover(first, half, ahead, sums)
    total: NDArray[Any] = left + _reduce_cover(first + half, n - half, ahead, sums)
    return total


def column_sums(values: DoubleArray, weights: DoubleArray | None = None) -> DoubleArray:
    """Sum each column of C-contiguous rows that form a subtree, times the weights of the rows if there are any."""
    out = np.empty(values.shape[1])
    gram.column_sums(values, weights, out, np.empty((linear.levels(len(values)), values.shape[1])))
    return out
