"""Threads that are kept from one call to the next: the one thing in the package that outlives a call.

Whoever has work does it too, part by part, and waits for nobody who has not begun: a thread that wakes late, or one
that another call keeps, costs no more than its help would have saved.
"""
from __future__ import annotations

import atexit
import os
import threading
from collections import deque
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any

import numpy as np

from fastgd._checks import check_count

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from fastgd._types import Count, Part, R


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
        return shared(function, parts, count)


#: The caller's thread.
ALONE = Threads(None)


def threads_of(n_threads: Count | None) -> Threads:
    """The threads that the option `n_threads` asks for."""
    return ALONE if n_threads is None else Threads(n_threads)


def shared(function: Callable[[Part], R], parts: Sequence[Part], count: int) -> list[R]:
    """[function(part) for part in parts], by the caller and up to `count` - 1 threads, each taking the next part.

    Where a part raises, or the caller is interrupted, the others leave after the part that they are at.
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
    """Parts that several threads take one after another. Each operation on a deque or a list is atomic."""

    def __init__(self, function: Callable[[Any], Any], parts: Sequence[Any]) -> None:
        self._function = function
        self._todo = deque(enumerate(parts))
        self._results: list[Any] = [None] * len(parts)
        self._errors: list[BaseException] = []
        self._came: list[None] = []
        self._left: list[None] = []
        self._news: SimpleQueue[None] = SimpleQueue()    # something for each who left

    def take_parts(self) -> None:
        """Take the next part as long as there is one."""
        while True:
            try:
                place, part = self._todo.popleft()
            except IndexError:
                return
            self._results[place] = self._function(part)

    def help(self) -> None:
        """The same in a thread of the pool, which lives on after an error."""
        self._came.append(None)
        try:
            self.take_parts()
        except BaseException as error:
            self._errors.append(error)
            self.call_off()
        finally:
            self._left.append(None)
            self._news.put(None)

    def call_off(self) -> None:
        """Leave the parts that nobody took."""
        self._todo.clear()

    def wait(self) -> None:
        """Wait until all who came have left; for those who come now nothing is left to take.

        It looks who left before each wait, so that it can begin anew wherever it was interrupted.
        """
        while len(self._left) < len(self._came):
            self._news.get()

    def results(self) -> list[Any]:
        """Those of all parts, in order; raises the first error of a thread."""
        if not self._errors:
            return self._results
        error = self._errors[0]
        self._errors.clear()    # whose tracebacks lead back here, and to the data
        try:
            raise error
        finally:
            del error


class _Pool:
    """Threads that wait for work: as many as were ever wanted at once."""

    def __init__(self) -> None:
        self._lock = threading.RLock()    # the garbage of another call may be collected under it, or a signal come
        self._offers: SimpleQueue[_Work | None] = SimpleQueue()
        self._threads: list[threading.Thread] = []
        self._lent: dict[_Work, int] = {}
        self._is_closed = False

    def lend(self, work: _Work, count: int) -> None:
        """Offer the work to so many threads, or to as many as there can be; to none once the pool is closed."""
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
            # A daemon, as the interpreter waits for all others before it tells anybody that it ends.
            thread = threading.Thread(target=_serve, args=(self._offers,), name="fastgd", daemon=True)
            self._threads.append(thread)
            try:
                thread.start()
            except RuntimeError:    # at a limit of the system, or where the interpreter ends
                self._threads.remove(thread)
                return

    def take_back(self, work: _Work) -> None:
        """The threads that have this work are free again."""
        with self._lock:
            self._lent.pop(work, None)

    def close(self) -> None:
        """Let the threads end, and see them end unless a call has them."""
        with self._lock:
            self._is_closed = True
            for _ in self._threads:
                self._offers.put(None)
            if self._lent:
                return
        for thread in self._threads:
            if thread.is_alive():    # and not one whose start was interrupted
                thread.join()


def _serve(offers: SimpleQueue[_Work | None]) -> None:
    while True:
        work = offers.get()
        if work is None:
            return
        work.help()
        del work    # and the data with it, while the thread waits


_pool = _Pool()


def _close() -> None:
    _pool.close()


def _begin_anew() -> None:
    """A pool without threads: a fork copies none of them, and locks of another thread as they are."""
    global _pool
    _pool = _Pool()


def _end_before_fork() -> None:
    """A process with threads should not fork: what they hold stays held in the child."""
    pool = _pool
    _begin_anew()
    pool.close()


atexit.register(_close)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_end_before_fork, after_in_child=_begin_anew)
