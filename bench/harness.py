"""Shared data, limits and timers of the benches."""
import functools
import time
import timeit

import numpy as np

SMALL = 500

#: Rounds of each contender, in turn with the others; seconds after which a contender has no further round.
ROUNDS = 12
BUDGET = 0.8
#: Seconds for which a short call is repeated in a round.
ROUND = 0.01


class Settings:
    """Settings of a run: `is_small`, set by ``--small``, runs each bench once on a 500th of the data."""

    is_small = False


def size(n):
    """Return `n`, or with ``--small`` a 500th of it, at least 5."""
    return max(5, n // SMALL) if Settings.is_small else n


@functools.cache
def normals():
    """Return the 160 MB of random numbers from which all data are made."""
    return np.random.default_rng(0).normal(size=20_000_000)


@functools.cache
def points(n):
    return 15 + 3 * normals()[:size(n)]


@functools.cache
def rows(n, p):
    """Return independent columns of one scale, targets that are linear in them plus noise, and two classes."""
    n = max(size(n), 2 * p, 100)    # more than there are in a mini-batch
    X = normals()[:n * p].reshape(n, p)
    y = X @ normals()[-p:] + normals()[-n - p:-p]
    return X, y, (y > 0).astype(float)


def np_sum(data, times=1):
    """Return the limit of a function that reads the data `times` times: its name and np.sum of the data."""
    def read():
        for _ in range(times):
            np.sum(data)

    return f"np.sum{' of X' * (data.ndim == 2)}{f', {times} times' * (times > 1)}", read


class Clock:
    """Shortest time of one contender in seconds.

    The first call, which imports modules and maps pages, counts only if it takes so long that no other follows.
    """

    def __init__(self, function):
        self.function, self.calls = function, 1
        start = time.perf_counter()
        self.answer = function()
        self.best = self.spent = time.perf_counter() - start
        if not self.is_done and not Settings.is_small:
            self.best = self.spent = timeit.timeit(function, number=1)
            self.calls = max(1, int(ROUND / self.best))

    @property
    def is_done(self):
        return self.spent >= BUDGET

    def round(self):
        seconds = timeit.timeit(self.function, number=self.calls)
        self.best = min(self.best, seconds / self.calls)
        self.spent += seconds
        return seconds


def measure(benchmark, case, contenders, limit=None):
    """Time the contenders of a case, "fastgd" among them, and return the answer of each by name.

    The contenders take turns, so that other processes disturb all of them alike. `limit` is a name and a function: the
    least work that the case needs.
    """
    clocks = {name: Clock(function) for name, function in {**contenders, **dict([limit] if limit else [])}.items()}
    ours = clocks["fastgd"]
    benchmark.group = case
    benchmark.pedantic(ours.function, rounds=1, iterations=ours.calls)
    for _ in range(0 if Settings.is_small else ROUNDS):
        for clock in clocks.values():
            if not clock.is_done:
                seconds = clock.round()
                if clock is ours:
                    benchmark.stats.update(seconds)
    benchmark.extra_info["limit"] = limit and limit[0]
    benchmark.extra_info["seconds"] = {name: clock.best for name, clock in clocks.items()}
    return {name: clocks[name].answer for name in contenders}
