"""numpy's tree of sums over parts of the data, in one thread or several, with the same bits.

The tree of n numbers is cut at fixed places (`fastgd._kernels.mean`). Its top is walked here and not in a kernel:
Ctrl-C is answered between the branches, and they can be summed in several threads. That of n rows is cut likewise.
"""
from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from fastgd._kernels import gram, linear
from fastgd._kernels.mean import cut
from fastgd._limits import LEAF

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import NDArray

    from fastgd._types import DoubleArray


def branches(n: int, most: int) -> list[slice]:
    """Slices of at most `most` of n points, in order: branches of their tree."""
    return [slice(start, stop) for start, stop in _branches(0, n, most)]


def _branches(start: int, n: int, most: int) -> Iterator[tuple[int, int]]:
    if n <= most:
        yield start, start + n
    else:
        half = cut(n)
        yield from _branches(start, half, most)
        yield from _branches(start + half, n - half, most)


def added(n: int, most: int, sums: Sequence[NDArray[Any]]) -> NDArray[Any]:
    """The sum of the sums over the `branches`, in the order of the tree."""
    if len(sums) == 1:
        return sums[0]
    with np.errstate(all="ignore"):
        return _added(n, most, iter(sums))


def summed(n: int, most: int, sums: Callable[[slice], NDArray[Any]]) -> NDArray[Any]:
    """`added` for sums too large to be kept for all branches at once: each is made when the tree comes to it."""
    with np.errstate(all="ignore"):
        return _added(n, most, map(sums, branches(n, most)))


def _added(n: int, most: int, sums: Iterator[NDArray[Any]]) -> NDArray[Any]:
    if n <= most:
        return next(sums)
    half = cut(n)
    left = _added(half, most, sums)
    total: NDArray[Any] = left + _added(n - half, most, sums)
    return total


def covered(n: int, start: int, stop: int) -> Iterator[tuple[int, int, int, int]]:
    """What of the tree of n points lies from `start` to `stop`, in order.

    (start, stop, start, stop) of the largest branches in there, and of a leaf that is cut (start, stop) of what is in
    there and that of the leaf.
    """
    return _covered(0, n, start, stop)


def _covered(first: int, n: int, start: int, stop: int) -> Iterator[tuple[int, int, int, int]]:
    end = first + n
    if start <= first and end <= stop:
        yield first, end, first, end
    elif n <= LEAF:
        yield max(first, start), min(end, stop), first, end
    else:
        middle = first + cut(n)
        if start < middle:
            yield from _covered(first, middle - first, start, stop)
        if stop > middle:
            yield from _covered(middle, end - middle, start, stop)


def assembled(n: int, sums: Iterator[tuple[int, NDArray[Any]]]) -> NDArray[Any]:
    """The sum over n points from those over branches of their tree, each with where it stops, in order."""
    with np.errstate(all="ignore"):
        return _assembled(0, n, _Next(sums))


class _Next:
    """An iterator whose next item can be looked at."""

    def __init__(self, items: Iterator[tuple[int, NDArray[Any]]]) -> None:
        self._items = items
        self._item: tuple[int, NDArray[Any]] | None = None

    def ends_at(self) -> int:
        if self._item is None:
            self._item = next(self._items)
        return self._item[0]

    def take(self) -> NDArray[Any]:
        assert self._item is not None
        found, self._item = self._item[1], None
        return found


def _assembled(first: int, n: int, sums: _Next) -> NDArray[Any]:
    # The branches of a node stop before it does, but for the node itself.
    if sums.ends_at() == first + n:
        return sums.take()
    half = cut(n)
    left = _assembled(first, half, sums)
    total: NDArray[Any] = left + _assembled(first + half, n - half, sums)
    return total


def column_sums(values: DoubleArray, weights: DoubleArray | None = None) -> DoubleArray:
    """The sum of each column of C-contiguous rows that are a branch of the tree, of rows times their weights if any."""
    out = np.empty(values.shape[1])
    gram.column_sums(values, weights, out, np.empty((linear.levels(len(values)), values.shape[1])))
    return out
