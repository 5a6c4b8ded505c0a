"""Loop of all descents: advance a solver in chunks of updates until the run ends."""
from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from fastgd._format import copy_theta, is_finite
from fastgd._solvers.base import Outcome, Solver, Steps
from fastgd.results import CONVERGED, CYCLE, LIMIT_REACHED, NOT_FINITE, STOPPED_BY_CALLBACK, SourceError, lost

if TYPE_CHECKING:
    from fastgd._solvers.epoch_stopping import EpochRule
    from fastgd._solvers.monitor import Monitor
    from fastgd._types import DoubleArray, Theta

#: Evaluations in the first chunk of updates, which measures their time.
FIRST_CHUNK = 2**20
#: Seconds that a chunk of updates should take at most; the next one is made half or twice as long. A fifth of the 0.1 s
#: in which Ctrl-C is answered, because a machine may be busy.
LONGEST_CHUNK = 0.02
#: Evaluations of a batch descent that has begun to repeat before the cycle is detected: 65 us of the slowest loss.
CYCLE_EVALUATIONS = 4096


def run_loop(solver: Solver, limit: int, *, monitor: Monitor | None = None, epochs: EpochRule | None = None) -> Outcome:
    """Advance the solver, a chunk of updates at a time, until the run ends; return the Outcome.

    With `epochs` a chunk never crosses the end of an epoch.
    """
    cycles = _CycleFinder(solver) if solver.is_deterministic else None
    solver.records_all = (cycles is not None or (monitor is not None and monitor.needs_all)
                          or (epochs is not None and epochs.needs_all))
    capacity = solver.capacity
    pace = _Pace(solver) if solver.evaluations * capacity > FIRST_CHUNK or (
        solver.evaluations * capacity > solver.at_once) else None
    start = theta = solver.theta
    done, fastest = 0, 0.0
    try:
        while True:
            before = theta
            most = limit - done
            if cycles is not None and most > (room := cycles.room(done)):
                most = room
            if epochs is not None:
                most = min(most, epochs.room(done))
            if monitor is not None:
                monitor.before_chunk(done, before)
            steps = solver.advance(most) if pace is None else pace.advance(most)
            theta, count, period, is_converged = solver.theta, steps.step_sizes.size, 0, steps.is_converged
            if cycles is not None and not is_converged:
                period = cycles.find(done, steps.thetas, count)
                if period:
                    count = cycles.found_at
                    theta = steps.thetas[count - 1]
            elif cycles is None:
                fastest = max(fastest, steps.step_sizes.max())
            done += count
            if epochs is not None and epochs.update(done, count, steps.thetas[:count], theta):
                is_converged |= solver.has_moved
            is_stopped = monitor is not None and monitor.after_chunk(done, steps.step_sizes[:count],
                                                                     steps.thetas[:count])
            if is_converged or done == limit or is_stopped or period or not is_finite(theta):
                previous = solver.previous if not period else steps.thetas[count - 2] if count > 1 else before
                if type(theta) is not float:    # a numpy scalar, or a row of a buffer
                    theta, previous = copy_theta(theta), copy_theta(previous)
                status = CONVERGED if is_converged and not is_stopped else _status(is_stopped, period, theta)
                return Outcome(start, theta, previous, done, status,
                               steps.step_sizes.item(count - 1), fastest, period,
                               None if epochs is None else epochs.average)
    except SourceError as error:
        error.result = lost(copy_theta(solver.theta), done)
        raise


def _status(is_stopped: bool, period: int, theta: Theta) -> int:
    """Return the status of a run that ends without meeting its stopping rule."""
    if is_stopped:
        return STOPPED_BY_CALLBACK
    if period:
        return CONVERGED if period == 1 else CYCLE
    return LIMIT_REACHED if is_finite(theta) else NOT_FINITE


class _Pace:
    """Number of updates in a chunk, by the time of the last chunk: Ctrl-C is answered between two chunks."""

    def __init__(self, solver: Solver) -> None:
        self._solver = solver
        self._updates = max(1, min(FIRST_CHUNK, solver.at_once) // solver.evaluations)

    def advance(self, most: int) -> Steps:
        """Advance the solver, and measure the time."""
        began = time.perf_counter()
        steps = self._solver.advance(min(most, self._updates))
        seconds, count = time.perf_counter() - began, steps.step_sizes.size
        if seconds > LONGEST_CHUNK:
            self._updates = max(1, count // 2)
        elif seconds < LONGEST_CHUNK / 4 and count == self._updates:
            self._updates *= 2
        return steps


class _CycleFinder:
    """Search for a cycle of a run whose next theta depends on the last theta only.

    One theta is kept at each power of two and compared with those that follow (R. P. Brent, "An improved Monte Carlo
    factorization algorithm", BIT 20, 1980).
    """

    found_at = 0
    _anchor: Theta | None = None
    _anchor_update, _next_anchor = 0, 64

    def __init__(self, solver: Solver) -> None:
        self._updates = CYCLE_EVALUATIONS // solver.evaluations if solver.evaluations else 0

    def room(self, done: int) -> int:
        """Return the number of updates that may be made before `find`."""
        ahead = self._next_anchor - done
        return ahead if ahead > self._updates else self._updates

    def find(self, done: int, thetas: DoubleArray, count: int) -> int:
        """Return the period if a theta comes back among the first `count`, which follow update `done`; else 0."""
        start = 0
        while start < count:
            stop = min(count, self._next_anchor - done)
            if self._anchor is not None:
                same: Any = thetas[start:stop] == self._anchor
                same = same if same.ndim == 1 else same.all(axis=1)
                first = int(same.argmax())
                if same[first]:
                    self.found_at = start + first + 1
                    return done + self.found_at - self._anchor_update
            if done + stop == self._next_anchor:
                self._anchor, self._anchor_update = copy_theta(thetas[stop - 1]), self._next_anchor
                self._next_anchor *= 2
            start = stop
        return 0
