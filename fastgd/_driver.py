"""The one driver of every method: it hands a runner learning rates and looks at the thetas that come back.

Printing, history, callbacks, Ctrl-C and the ends of a run exist here and nowhere else.
"""
import inspect
import math
from typing import NamedTuple

import numpy as np

from fastgd.results import CONVERGED, CYCLE, LIMIT_REACHED, NOT_FINITE, STOPPED_BY_CALLBACK, DescentResult


class Outcome(NamedTuple):
    """How a run ended."""

    theta: float       # the last one, which may not be finite
    previous: float    # the one before it
    updates: int
    status: int
    alpha: float       # the last learning rate
    period: int = 0                    # after how many updates theta repeats, if it does
    average: float | None = None       # of the thetas of the last epoch, if it was asked for

    @property
    def x(self):
        """The answer: the last finite theta, or the average."""
        if self.status == NOT_FINITE:
            return self.previous
        return self.theta if self.average is None else self.average


def drive(runner, rates, limit, *, watch=None, epochs=None):
    """Let the runner go on, a chunk of updates at a time, until one of the ends; return the Outcome.

    With `epochs` a chunk never crosses the end of an epoch.
    """
    most = min(runner.most, limit)
    thetas = np.empty(most)
    cycles = _CycleFinder() if rates.is_constant and runner.is_deterministic else None
    done = 0
    while True:
        before = runner.theta
        size = min(most, limit - done)
        if cycles is not None:
            size = min(size, cycles.next_anchor - done)
        elif epochs is not None:
            size = min(size, epochs.room(done))
        alphas = rates(done, size)
        if watch is not None:
            watch.before_chunk(done, before)
        count, converged = runner.advance(alphas, thetas)    # alphas may be fewer than asked for
        period = cycles.find(done, thetas[:count]) if cycles is not None and not converged else 0
        if period:
            count = cycles.found_at
        if epochs is not None:
            converged |= epochs.look_at(done, thetas[:count])
        stopped_after = watch.after_chunk(done, alphas, thetas[:count]) if watch is not None else None
        if stopped_after is not None:
            count = stopped_after
        done += count
        theta = thetas.item(count - 1)
        status = _status(stopped_after is not None, converged, period, theta, done == limit)
        if status is not None:
            previous = thetas.item(count - 2) if count > 1 else float(before)
            average = epochs.average if epochs is not None else None
            return Outcome(theta, previous, done, status, alphas.item(count - 1), period, average)
        if cycles is not None:
            cycles.remember(done, theta)


def _status(stopped, converged, period, theta, at_limit):
    """Why the run ends, or None if it goes on."""
    if stopped:
        return STOPPED_BY_CALLBACK
    if converged or period == 1:
        return CONVERGED
    if period:
        return CYCLE
    if not math.isfinite(theta):
        return NOT_FINITE
    return LIMIT_REACHED if at_limit else None


class Epochs:
    """What goes by the epoch: its end, the rule that compares it with the one before, the mean of its thetas.

    Parameters
    ----------
    period : int
        Updates in an epoch.
    theta0 : float
        Where the run starts, which stands for the epoch before the first.
    tol : float or None
        The run has converged when theta after an epoch is nearer than this to theta after the one before and, if the
        mean is asked for, to the mean (where each epoch ends at the same place, as with 0.5 / (1 + t) on the squared
        error, the first says nothing about the thetas between); None: not looked at.
    averages : bool
        Whether the mean is asked for.
    """

    def __init__(self, period, theta0, tol, averages):
        self.period = period
        self.average = None
        self._tol = tol
        self._averages = averages
        self._last = theta0
        self._sum = 0.0

    def room(self, done):
        """Updates until the end of the epoch."""
        return self.period - done % self.period

    def look_at(self, done, new):
        """Take in the `new` thetas, which follow update `done`; return whether the run has converged."""
        if self._averages:
            so_far = done % self.period
            self._sum = new.sum() + (self._sum if so_far else 0.0)
            self.average = float(self._sum / (so_far + len(new)))
        if (done + len(new)) % self.period or self._tol is None:
            return False
        theta = new.item(-1)
        moved, self._last = abs(theta - self._last), theta
        return moved < self._tol and (not self._averages or abs(theta - self.average) < self._tol)


class _CycleFinder:
    """Finds a run that repeats for ever, as any does whose next theta depends on the last one alone.

    One theta is remembered at each power of two and looked for among those that follow (R. P. Brent, "An improved
    Monte Carlo factorization algorithm", BIT 20, 1980).
    """

    next_anchor = 64
    found_at = 0
    _anchor = None
    _anchor_update = 0

    def find(self, done, new):
        """The period if the remembered theta is among the `new` ones, which follow update `done`; else 0."""
        if self._anchor is None:
            return 0
        returns = np.flatnonzero(new == self._anchor)
        if len(returns) == 0:
            return 0
        self.found_at = int(returns[0]) + 1
        return done + self.found_at - self._anchor_update

    def remember(self, done, theta):
        """Take note of `theta`, reached by `done` updates, if it is its turn."""
        if done == self.next_anchor:
            self._anchor, self._anchor_update, self.next_anchor = theta, done, 2 * done


class Watch:
    """What looks at a run: a display before and a callback after every `period` updates, a history of all."""

    def __init__(self, problem, display, callback, history, epochs=None):
        self._problem = problem
        self._display = display
        self._callback = None if callback is None else _called_as_in_scipy(callback)
        self._history = [] if history else None
        self._epochs = epochs
        self._period = epochs.period if epochs is not None else 1
        self._loss = None    # the loss at the current theta, once it is known

    def before_chunk(self, done, theta):
        """Show the current theta."""
        if self._display is not None and done % self._period == 0:
            if self._loss is None:
                self._loss = self._problem.losses_at([theta])[0]
            self._display.show(theta, self._loss)

    def after_chunk(self, done, alphas, new):
        """Look at the `new` thetas in turn; return how many there were when the callback stopped the run, or None."""
        stopped_after = None
        if self._display is not None or self._callback is not None:
            stopped_after = self._show(done, new)
        if self._history is not None:
            self._history.append((alphas[:len(new)][:stopped_after].copy(), new[:stopped_after].copy()))
        return stopped_after

    def _show(self, done, new):
        # The last theta is shown before the update that follows it, if one does; a callback sees it now.
        end = len(new) if self._callback is not None and math.isfinite(new[-1]) else len(new) - 1
        due = range((-done - 1) % self._period, end, self._period)
        thetas = new[due.start:end:self._period].tolist()
        if thetas and self._epochs is not None and self._epochs.average is not None:
            thetas = [self._epochs.average]
        losses = self._problem.losses_at(thetas)
        for k, theta, loss in zip(due, thetas, losses, strict=True):
            if self._callback is not None:
                try:
                    self._callback(_so_far(theta, loss, done + k + 1))
                except StopIteration:
                    return k + 1
            if self._display is not None and k + 1 < len(new):
                self._display.show(theta, loss)
        self._loss = losses[-1] if thetas and thetas[-1] == new[-1] else None
        return None

    def history(self):
        """The DataFrame of all updates so far, or None."""
        if self._history is None:
            return None
        import pandas as pd

        alphas, thetas = (np.concatenate(parts) for parts in zip(*self._history, strict=True))
        return pd.DataFrame({"update": np.arange(1, len(thetas) + 1), "alpha": alphas, "theta": thetas})

    def close(self):
        """Take the display down."""
        if self._display is not None:
            self._display.close()


def _so_far(theta, loss, updates):
    return DescentResult(x=theta, fun=float(loss), jac=None, nit=updates, success=False, status=LIMIT_REACHED,
                         message="The descent is going on.")


def _called_as_in_scipy(callback):
    """scipy passes the result by keyword to a callback whose parameter is named intermediate_result."""
    try:
        names = inspect.signature(callback).parameters
    except (TypeError, ValueError):
        return callback
    if "intermediate_result" in names:
        return lambda result: callback(intermediate_result=result)
    return callback
