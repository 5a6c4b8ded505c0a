"""What the benches share: the data, the limits, and how long the contenders of a case take."""
import functools
import time
import timeit

import numpy as np

SMALL = 500

#: Of each contender there are so many rounds, in turn with those of the others, while they take this many seconds.
ROUNDS = 12
BUDGET = 0.8
#: Short calls are repeated for as many seconds in each round.
ROUND = 0.01


class Settings:
    """Set by ``--small``: a small part of the data, once, to see whether every bench still runs."""

    is_small = False


def size(n):
    """`n`, or with ``--small`` a 500th of it, and no fewer than 5."""
    return max(5, n // SMALL) if Settings.is_small else n


@functools.cache
def normals():
    """The random numbers that all of the data are views of or made from: 160 MB."""
    return np.random.default_rng(0).normal(size=20_000_000)


@functools.cache
def points(n):
    return 15 + 3 * normals()[:size(n)]


@functools.cache
def rows(n, p):
    """Independent columns of one scale, targets that follow them, and two classes of these."""
    n = max(size(n), 2 * p, 100)    # more than there are in a mini-batch
    X = normals()[:n * p].reshape(n, p)
    y = X @ normals()[-p:] + normals()[-n - p:-p]
    return X, y, (y > 0).astype(float)


def np_sum(data, times=1):
    """The limit of what reads the data so many times."""
    def read():
        for _ in range(times):
            np.sum(data)

    return f"np.sum{' of X' * (data.ndim == 2)}{f', {times} times' * (times > 1)}", read


class Clock:
    """The best of the rounds of one contender.

    Its first call, in which modules are imported and pages mapped, counts only where it is so long that it is the last.
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
    """Time the contenders of a case, "fastgd" among them; what each of them answered, by name.

    They take turns, so that what else the machine does meets all of them. `limit` is a name and a function: what no
    contender can beat on this machine.
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
