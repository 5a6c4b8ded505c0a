"""Several threads for one sum: the parts are the same whatever their number, and so are the bits."""
from __future__ import annotations

import itertools
import os
from typing import TYPE_CHECKING, Self

from fastgd._checks import check_count

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from concurrent.futures import ThreadPoolExecutor

    from fastgd._types import Count, Part, R


def thread_count(n_threads: Count | None) -> int:
    """How many threads `n_threads` means: 1 for None, all that this process may use for -1."""
    if n_threads is None:
        return 1
    if type(n_threads) is int and n_threads == -1:
        return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if type(n_threads) is int and n_threads < 1:
        raise ValueError("The 'n_threads' parameter must be None, -1 or an int in the range [1, inf). "
                         f"Got {n_threads} instead.")
    return check_count(n_threads, "n_threads")


class Threads:
    """The caller's thread and `n_threads` - 1 more, which are started when there is work and end with the context."""

    def __init__(self, n_threads: Count | None) -> None:
        self.count = thread_count(n_threads)
        self._pool: ThreadPoolExecutor | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._pool is not None:
            self._pool.shutdown()
            self._pool = None

    def map(self, function: Callable[[Part], R], parts: Sequence[Part]) -> list[R]:
        """[function(part) for part in parts], each thread taking a run of neighbours."""
        if self.count == 1 or len(parts) == 1:
            return [function(part) for part in parts]
        if self._pool is None:
            from concurrent.futures import ThreadPoolExecutor  # here, because few need threads

            self._pool = ThreadPoolExecutor(self.count - 1, thread_name_prefix="fastgd")
        ends = [len(parts) * k // self.count for k in range(self.count + 1)]
        runs = [parts[start:end] for start, end in itertools.pairwise(ends)]
        others = [self._pool.submit(lambda run: [function(part) for part in run], run) for run in runs[1:]]
        results = [function(part) for part in runs[0]]
        for other in others:
            results += other.result()
        return results
