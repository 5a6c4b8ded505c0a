"""What the benches share: the data, and how long a function takes."""
import functools
import timeit

import numpy as np

SMALL = 500


class Settings:
    """Set by ``--small``: a small part of the data, once, to see whether every bench still runs."""

    is_small = False


def size(n):
    """`n`, or with ``--small`` a 500th of it, and no fewer than 5."""
    return max(5, n // SMALL) if Settings.is_small else n


@functools.cache
def points(n):
    return np.random.default_rng(0).normal(15, 3, size(n))


def measure(benchmark, case, contender, function):
    """Time `function` as one of the contenders of a case, which is a row of the table."""
    benchmark.group = case
    benchmark.extra_info["contender"] = contender
    function()
    once = timeit.timeit(function, number=1)
    rounds, iterations = (1, 1) if Settings.is_small else (15 if once < 0.5 else 2, max(1, int(0.01 / once)))
    benchmark.pedantic(function, rounds=rounds, iterations=iterations)
