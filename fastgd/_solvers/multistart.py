"""Batch descents from many starts at once."""
from __future__ import annotations

import functools
import math
import time
from typing import TYPE_CHECKING

import numpy as np

from fastgd._kernels import descent, mean
from fastgd._pairwise import MIN_THREADED_POINTS
from fastgd._solvers.base import BATCH_UPDATES, Outcome
from fastgd._solvers.loop import FIRST_CHUNK, LONGEST_CHUNK, run_loop
from fastgd._solvers.select import THREADED_UPDATE_POINTS, plain_batch
from fastgd._thread_pool import SERIAL
from fastgd.results import CYCLE, LIMIT_REACHED

if TYPE_CHECKING:
    from fastgd._objective.objective import Objective
    from fastgd._thread_pool import ThreadPool
    from fastgd._types import DoubleArray, FloatArray, IndexArray, Rates
    from fastgd.losses import Gradient


def run_many(objective: Objective, starts: DoubleArray, rates: Rates, tol: float, limit: int) -> list[Outcome]:
    """Run batch descent from each of `starts`, a float64 array; return the Outcomes."""
    gradient, targets, threads = objective.compiled_gradient, objective.in_memory.targets, objective.threads

    def run_one(start: float) -> Outcome:
        return run_loop(plain_batch(objective, start, rates, tol, True, limit), limit)

    shares_points = targets.size > (THREADED_UPDATE_POINTS if len(starts) < threads.count else math.inf)
    if (gradient is None or shares_points or targets.size > gradient.at_once
            or not (rates.is_constant or rates(0, 1).item())):
        return [run_one(start) for start in starts.tolist()]
    group = max(1, 2 * gradient.at_once // targets.size)
    parts = [_advance_many(gradient, targets, starts[first:first + group], rates, tol, limit, threads)
             for first in range(0, len(starts), group)]
    thetas, previous, updates, endings = parts[0] if len(parts) == 1 else map(np.concatenate, zip(*parts, strict=True))
    last_rates = {count: rates(count - 1, 1).item() for count in set(updates.tolist())}
    rows = zip(*(array.tolist() for array in (starts, thetas, previous, updates, endings)), strict=True)
    # The single loop repeats these runs to report a cycle or a rate that fell to 0.
    return [run_one(start) if status == CYCLE or last_rates[count] == 0 else
            Outcome(start, theta, before, count, LIMIT_REACHED if status < 0 else status, last_rates[count])
            for start, theta, before, count, status in rows]


def _advance_many(
    gradient: Gradient, targets: FloatArray, starts: DoubleArray, rates: Rates, tol: float, limit: int,
    threads: ThreadPool,
) -> tuple[DoubleArray, DoubleArray, IndexArray, IndexArray]:
    """Advance all starts, in one call of a kernel for each chunk of updates and each share of them."""
    m, n = len(starts), targets.size
    advance = gradient.version(descent.batch_many, targets.dtype)
    thetas, previous = starts.copy(), starts.copy()
    updates, endings = np.zeros(m, dtype=np.intp), np.full(m, -1, dtype=np.intp)
    shares = []
    for part in np.array_split(np.arange(m), min(m, threads.count)):
        its = slice(part[0], part[-1] + 1)
        state = descent.Starts(thetas[its], previous[its], np.empty(part.size), updates[its], endings[its], tol)
        shares.append((state, np.empty(part.size * (mean.levels(n) + 2), targets.dtype)))
    most = max(1, min(BATCH_UPDATES, min(FIRST_CHUNK, gradient.at_once) // (n * m)))

    def go_on(share: tuple[descent.Starts, FloatArray], alphas: DoubleArray, done: int) -> int:
        state, scratch = share
        return advance(gradient.kernel, targets, state, alphas, done, rates.is_constant, scratch)

    done, running = 0, m
    while running and done < limit:
        alphas = rates(done, min(most, limit - done))
        began = time.perf_counter()
        who = threads if n * m * len(alphas) > MIN_THREADED_POINTS else SERIAL
        running = sum(who.map(functools.partial(go_on, alphas=alphas, done=done), shares))
        done += len(alphas)
        if time.perf_counter() - began < LONGEST_CHUNK / 4:
            most = min(2 * most, BATCH_UPDATES)
    return thetas, previous, updates, endings
