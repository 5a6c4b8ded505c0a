"""Pool of threads that outlives a call, the only global state of the package.

The caller works on the parts too and waits only for threads that have begun, so a thread that wakes late or works for
another call costs no time.
"""
from __future__ import annotations

import atexit
import os
import threading
from collections import deque
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any

import numpy as np

from fastgd._validation import check_count

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from fastgd._types import Count, Part, R


def thread_count(n_threads: Count | None) -> int:
    """Return the number of threads: 1 for None, all CPUs that this process may use for -1."""
    if n_threads is None:
        return 1
    if isinstance(n_threads, (int, np.integer)) and not isinstance(n_threads, bool) and n_threads < 1:
        if n_threads == -1:
            return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        raise ValueError("The 'n_threads' parameter must be None, -1 or an int in the range [1, inf). "
                         f"Got {n_threads} instead.")
    return check_count(n_threads, "n_threads")


class ThreadPool:
    """Caller's thread and up to `n_threads` - 1 threads of the process's pool."""

    def __init__(self, n_threads: Count | None) -> None:
        self.count = thread_count(n_threads)

    def map(self, function: Callable[[Part], R], parts: Sequence[Part]) -> list[R]:
        """Compute [function(part) for part in parts], each thread taking the next part."""
        count = min(self.count, len(parts))
        if count <= 1:
            return [function(part) for part in parts]
        return map_parts(function, parts, count)


#: Pool without threads: all parts are computed in the caller's thread.
SERIAL = ThreadPool(None)


def thread_pool(n_threads: Count | None) -> ThreadPool:
    """Return the threads of the option `n_threads`."""
    return SERIAL if n_threads is None else ThreadPool(n_threads)


def map_parts(function: Callable[[Part], R], parts: Sequence[Part], count: int) -> list[R]:
    """Compute [function(part) for part in parts] in the caller's thread and up to `count` - 1 others.

    Each thread takes the next part. If a part raises, or the caller is interrupted, all stop after their current part.
    """
    work, pool = _Work(function, parts), _pool
    try:
        pool.lend(work, count - 1)
        work.take_parts()
        work.wait()
    except BaseException:
        work.call_off()
        work.wait()
        raise
    finally:
        pool.take_back(work)
    return work.results()


class _Work:
    """Parts that several threads take one after another; each operation on a deque or a list is atomic."""

    def __init__(self, function: Callable[[Any], Any], parts: Sequence[Any]) -> None:
        self._function = function
        self._todo = deque(enumerate(parts))
        self._results: list[Any] = [None] * len(parts)
        self._errors: list[BaseException] = []
        self._arrivals: list[None] = []
        self._departed: list[None] = []
        self._departures: SimpleQueue[None] = SimpleQueue()    # an item for each thread that left

    def take_parts(self) -> None:
        """Compute parts until none is left."""
        while True:
            try:
                place, part = self._todo.popleft()
            except IndexError:
                return
            self._results[place] = self._function(part)

    def help(self) -> None:
        """Take parts in a thread of the pool, which survives an error."""
        self._arrivals.append(None)
        try:
            self.take_parts()
        except BaseException as error:
            self._errors.append(error)
            self.call_off()
        finally:
            self._departed.append(None)
            self._departures.put(None)

    def call_off(self) -> None:
        """Drop the parts that no thread has taken."""
        self._todo.clear()

    def wait(self) -> None:
        """Wait until all threads that began have left; safe to call again after an interrupt."""
        while len(self._departed) < len(self._arrivals):
            self._departures.get()

    def results(self) -> list[Any]:
        """Return the results of all parts in order; raise the first error of a thread."""
        if not self._errors:
            return self._results
        error = self._errors[0]
        self._errors.clear()    # their tracebacks refer to this frame, and so to the data
        try:
            raise error
        finally:
            del error


class _Workers:
    """Threads that wait for work: as many as were ever needed at once."""

    def __init__(self) -> None:
        self._lock = threading.RLock()    # re-entered by a garbage collection or a signal under it
        self._offers: SimpleQueue[_Work | None] = SimpleQueue()
        self._threads: list[threading.Thread] = []
        self._lent: dict[_Work, int] = {}
        self._is_closed = False

    def lend(self, work: _Work, count: int) -> None:
        """Offer the work to `count` threads, or to as many as can be started; to none once the pool is closed."""
        with self._lock:
            if self._is_closed:
                return
            taken = sum(self._lent.values())
            self._start(taken + count - len(self._threads))
            self._lent[work] = min(count, len(self._threads) - taken)
            for _ in range(self._lent[work]):
                self._offers.put(work)

    def _start(self, count: int) -> None:
        for _ in range(count):
            # A daemon: the interpreter joins all other threads before it runs atexit functions.
            thread = threading.Thread(target=_serve, args=(self._offers,), name="fastgd", daemon=True)
            self._threads.append(thread)
            try:
                thread.start()
            except RuntimeError:    # a limit of the system, or the interpreter ends
                self._threads.remove(thread)
                return

    def take_back(self, work: _Work) -> None:
        """Mark the threads of this work as free."""
        with self._lock:
            self._lent.pop(work, None)

    def close(self) -> None:
        """End the threads, and join them unless a call uses them."""
        with self._lock:
            self._is_closed = True
            for _ in self._threads:
                self._offers.put(None)
            if self._lent:
                return
        for thread in self._threads:
            if thread.is_alive():    # False if its start was interrupted
                thread.join()


def _serve(offers: SimpleQueue[_Work | None]) -> None:
    while True:
        work = offers.get()
        if work is None:
            return
        work.help()
        del work    # frees the data while the thread waits


_pool = _Workers()


def _close() -> None:
    _pool.close()


def _reset_after_fork() -> None:
    """Replace the pool by an empty one: a fork copies no threads, but locks in the state in which they are."""
    global _pool
    _pool = _Workers()


def _stop_before_fork() -> None:
    """End the threads before a fork, as locks that they hold would stay locked in the child."""
    pool = _pool
    _reset_after_fork()
    pool.close()


atexit.register(_close)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_stop_before_fork, after_in_child=_reset_after_fork)
