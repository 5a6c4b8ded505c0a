"""numpy's tree of sums over parts of the data, in one thread or several, with the same bits.

The tree of n numbers is cut at fixed places (`fastgd._kernels.mean`). Its top is walked here and not in a kernel:
Ctrl-C is answered between the branches, and they can be summed in several threads. That of n rows is cut likewise.
"""
from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import numpy as np

from fastgd._kernels import gram, linear
from fastgd._kernels.mean import cut
from fastgd._limits import LEAF
from fastgd._validation import check_count

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import NDArray

    from fastgd._types import Count, DoubleArray, Part, R


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


def thread_count(n_threads: Count | None) -> int:
    """How many threads `n_threads` means: 1 for None, all that this process may use for -1."""
    if n_threads is None:
        return 1
    if isinstance(n_threads, (int, np.integer)) and not isinstance(n_threads, bool) and n_threads < 1:
        if n_threads == -1:
            return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        raise ValueError("The 'n_threads' parameter must be None, -1 or an int in the range [1, inf). "
                         f"Got {n_threads} instead.")
    return check_count(n_threads, "n_threads")


class Threads:
    """The caller's thread and up to `n_threads` - 1 more, of those that the process keeps."""

    def __init__(self, n_threads: Count | None) -> None:
        self.count = thread_count(n_threads)

    def map(self, function: Callable[[Part], R], parts: Sequence[Part]) -> list[R]:
        """[function(part) for part in parts], each thread taking the next part.

        Where the caller's thread is interrupted the others leave after the part that they are at.
        """
        count = min(self.count, len(parts))
        if count <= 1:
            return [function(part) for part in parts]
        from fastgd._threads import shared  # here, because few need threads

        return shared(function, parts, count)


#: The caller's thread.
ALONE = Threads(None)


def threads_of(n_threads: Count | None) -> Threads:
    """The threads that the option `n_threads` asks for."""
    return ALONE if n_threads is None else Threads(n_threads)
