"""numpy's tree of sums over parts of the data, in one thread or several, with the same bits.

The tree of n numbers is cut at fixed places (`fastgd._kernels.mean`). Its top is walked here and not in a kernel:
Ctrl-C is answered between the branches, and they can be summed in several threads. That of n rows is cut likewise.
"""
from __future__ import annotations

import itertools
import os
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from fastgd._checks import check_count
from fastgd._kernels.mean import cut

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from concurrent.futures import ThreadPoolExecutor

    from numpy.typing import NDArray

    from fastgd._types import Count, Part, R


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
    """The caller's thread and up to `n_threads` - 1 more, which start when there is work and end with the context."""

    def __init__(self, n_threads: Count | None) -> None:
        self.count = thread_count(n_threads)
        self._pool: ThreadPoolExecutor | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._pool is not None:
            self._pool.shutdown()

    def map(self, function: Callable[[Part], R], parts: Sequence[Part]) -> list[R]:
        """[function(part) for part in parts], each thread taking a run of neighbours.

        Where the caller's thread is interrupted the others leave after the part that they are at.
        """
        count = min(self.count, len(parts))
        if count == 1:
            return [function(part) for part in parts]
        if self._pool is None:
            from concurrent.futures import ThreadPoolExecutor  # here, because few need threads

            self._pool = ThreadPoolExecutor(count - 1, thread_name_prefix="fastgd")
        is_interrupted = False

        def run(parts: Sequence[Part]) -> list[R]:
            return [function(part) for part in parts if not is_interrupted]

        ends = [len(parts) * k // count for k in range(count + 1)]
        runs = [parts[start:end] for start, end in itertools.pairwise(ends)]
        others = [self._pool.submit(run, each) for each in runs[1:]]
        try:
            results = run(runs[0])
            for other in others:
                results += other.result()
        except BaseException:
            is_interrupted = True
            raise
        return results


#: The caller's thread.
ALONE = Threads(None)


def threads_of(n_threads: Count | None) -> Threads:
    """The threads that the option `n_threads` asks for, to be entered as a context."""
    return ALONE if n_threads is None else Threads(n_threads)
