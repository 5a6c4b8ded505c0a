"""The one driver of every method: it hands a runner learning rates and looks at the thetas that come back.

The ends of a run, Ctrl-C and the length of a chunk exist here and nowhere else.
"""
from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from fastgd._format import copy_theta, is_finite
from fastgd._limits import EVALUATIONS_IN_VAIN, FIRST_CHUNK, LONGEST_CHUNK
from fastgd.results import (
    CONVERGED,
    CYCLE,
    LIMIT_REACHED,
    NOT_FINITE,
    STOPPED_BY_CALLBACK,
    SourceError,
    lost,
)

if TYPE_CHECKING:
    from fastgd._run.epochs import Epochs
    from fastgd._run.watch import Watch
    from fastgd._types import DoubleArray, Rates, Runner, Theta


class Bound(NamedTuple):
    """On how far a loss with kinks is above its least."""

    most: float
    is_proved: bool
    is_enough: bool      # whether it is as low as was asked for


class Outcome(NamedTuple):
    """How a run ended; thetas are floats, or arrays for a linear model."""

    start: Theta       # where the run began
    theta: Theta       # the last one, which may not be finite
    previous: Theta    # the one before it
    updates: int
    status: int
    alpha: float       # the last learning rate
    fastest: float = 0.0               # the largest learning rate, if it changed
    period: int = 0                    # after how many updates theta repeats, if it does
    average: Theta | None = None       # of the thetas of the last epoch, if it was asked for
    bound: Bound | None = None         # where kinks were smoothed
    moved: float | None = None         # what the rule compared with tol, if that is not the length of the last step
    epochs: float = 0.0                # passes over the data, of a stochastic descent
    unevenness: float | None = None    # how far, more than by chance, the means of blocks differ that are not in memory
    full_step: float = 0.0             # how long a step on all of the data would be where one ended
    ties: tuple[int, ...] = ()         # columns that determine each other, as the metric of the run found

    @property
    def x(self) -> Theta:
        """The answer: the last finite theta, or the average."""
        if self.status == NOT_FINITE and not is_finite(self.theta):
            return self.previous
        return self.theta if self.average is None else self.average


def drive(runner: Runner, rates: Rates, limit: int, *, watch: Watch | None = None,
          epochs: Epochs | None = None) -> Outcome:
    """Let the runner go on, a chunk of updates at a time, until one of the ends; return the Outcome.

    With `epochs` a chunk never crosses the end of an epoch. Where the first rates are 0, as in a warm-up, nothing has
    moved yet and no rule ends the run.
    """
    cycles = _CycleFinder(runner) if rates.is_constant and runner.is_deterministic else None
    every = (cycles is not None or (watch is not None and watch.wants_every)
             or (epochs is not None and epochs.wants_every))
    most, thetas = runner.buffer(limit, every)
    pace = _Pace(runner) if runner.evaluations * most > min(FIRST_CHUNK, runner.at_once) else None
    warm_up = None if rates.is_constant else _WarmUp(runner)
    fastest = 0.0
    theta: Theta = runner.theta
    start, done = theta, 0
    try:
        while True:
            before = theta
            size = min(most, limit - done)
            if cycles is not None:
                size = min(size, cycles.room(done))
            if epochs is not None:
                size = min(size, epochs.room(done))
            if pace is not None:
                size = min(size, pace.updates)
            alphas = rates(done, size)    # perhaps fewer than asked for
            if warm_up is not None:
                alphas = warm_up.cut(alphas)
                fastest = max(fastest, alphas.item(alphas.argmax()))
            if watch is not None:
                watch.before_chunk(done, before)
            if pace is None:
                count, converged = runner.advance(alphas, thetas)
            else:
                count, converged = pace.timed(alphas, thetas)
            theta, period = runner.theta, 0
            if cycles is not None and not converged:
                period = cycles.find(done, thetas, count)
                if period:
                    count = cycles.found_at
                    theta = thetas[count - 1]
            done += count
            if epochs is not None and epochs.look_at(done, count, thetas[:count], theta):
                converged |= warm_up is None or warm_up.is_over
            stopped = watch is not None and watch.after_chunk(done, alphas[:count], thetas[:count])
            if converged or done == limit or stopped or period or not is_finite(theta):
                previous = runner.previous if not period else thetas[count - 2] if count > 1 else before
                if type(theta) is not float:    # but a scalar of numpy's, or a row of a buffer
                    theta, previous = copy_theta(theta), copy_theta(previous)
                return Outcome(start, theta, previous, done, _status(stopped, converged, period, theta),
                               alphas.item(count - 1), fastest, period, None if epochs is None else epochs.average)
    except SourceError as error:
        error.result = lost(copy_theta(runner.theta), done)
        raise


def _status(stopped: bool, converged: bool, period: int, theta: Theta) -> int:
    """Why the run ends."""
    if stopped:
        return STOPPED_BY_CALLBACK
    if converged or period == 1:
        return CONVERGED
    if period:
        return CYCLE
    return LIMIT_REACHED if is_finite(theta) else NOT_FINITE


class _Pace:
    """How many updates go into a chunk, by the time that the last one took: Ctrl-C is answered between two."""

    def __init__(self, runner: Runner) -> None:
        self._runner = runner
        self.updates = max(1, min(FIRST_CHUNK, runner.at_once) // runner.evaluations)

    def timed(self, alphas: DoubleArray, thetas: DoubleArray) -> tuple[int, bool]:
        """Let the runner advance, and note the time."""
        began = time.perf_counter()
        count, converged = self._runner.advance(alphas, thetas)
        seconds = time.perf_counter() - began
        if seconds > LONGEST_CHUNK:
            self.updates = max(1, count // 2)
        elif seconds < LONGEST_CHUNK / 4 and count == self.updates:
            self.updates *= 2
        return count, converged


class _WarmUp:
    """The updates before the first whose rate is not 0: they move nothing, which is not to end the run."""

    def __init__(self, runner: Runner) -> None:
        self._runner = runner
        self._ends_when_short = runner.ends_when_short
        self.is_over = False

    def cut(self, alphas: DoubleArray) -> DoubleArray:
        """The rates that are 0, as long as the first is; then all."""
        if self.is_over:
            return alphas
        if alphas.item(0) != 0:
            self.is_over = True
            self._runner.ends_when_short = self._ends_when_short
            return alphas
        self._runner.ends_when_short = False
        moving = np.flatnonzero(alphas)
        return alphas[:moving[0]] if len(moving) else alphas


class _CycleFinder:
    """Finds a run that repeats for ever, as any does whose next theta depends on the last one alone.

    One theta is remembered at each power of two and looked for among those that follow (R. P. Brent, "An improved
    Monte Carlo factorization algorithm", BIT 20, 1980).
    """

    found_at = 0
    _anchor: Theta | None = None
    _anchor_update, _next_anchor = 0, 64

    def __init__(self, runner: Runner) -> None:
        self._in_vain = EVALUATIONS_IN_VAIN // runner.evaluations if runner.evaluations else 0

    def room(self, done: int) -> int:
        """Updates that may be made before it looks."""
        return max(self._next_anchor - done, self._in_vain)

    def find(self, done: int, thetas: DoubleArray, count: int) -> int:
        """The period if a theta comes back among the first `count`, which follow update `done`; else 0."""
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
