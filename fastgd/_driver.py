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
    cycle: np.ndarray | None = None    # thetas that repeat, in the order in which they come


def drive(runner, rates, limit, watch=None):
    """Let the runner go on, a chunk of updates at a time, until one of the ends; return the Outcome."""
    most = min(runner.most, limit)
    thetas = np.empty(most)
    cycles = _CycleFinder()
    done = 0
    while True:
        before = runner.theta
        alphas = rates(done, min(most, limit - done, cycles.next_anchor - done))
        if watch is not None:
            watch.before_chunk(before)
        count, converged = runner.advance(alphas, thetas)
        period = 0 if converged else cycles.find(done, thetas[:count])
        if period:
            count = cycles.found_at
        stopped_after = watch.after_chunk(done, alphas, thetas[:count]) if watch is not None else None
        if stopped_after is not None:
            count = stopped_after
        done += count
        theta = thetas.item(count - 1)
        status = _status(stopped_after is not None, converged, period, theta, done == limit)
        if status is not None:
            previous = thetas.item(count - 2) if count > 1 else float(before)
            cycle = thetas[max(0, count - period):count].copy() if status == CYCLE else None
            return Outcome(theta, previous, done, status, alphas.item(count - 1), cycle)
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
    """What looks at a run update by update: a display, a callback, a history."""

    def __init__(self, problem, display, callback, history):
        self._problem = problem
        self._display = display
        self._callback = None if callback is None else _called_as_in_scipy(callback)
        self._history = [] if history else None
        self._loss = None    # the loss at the current theta, once it is known

    def before_chunk(self, theta):
        """Show the current theta."""
        if self._display is not None:
            if self._loss is None:
                self._loss = self._problem.losses_at([theta])[0]
            self._display.show(theta, self._loss)

    def after_chunk(self, done, alphas, new):
        """Look at the `new` thetas in turn; return how many there were when the callback stopped the run, or None."""
        stopped_after = None
        if self._display is not None or self._callback is not None:
            stopped_after = self._show(done, new.tolist())
        if self._history is not None:
            self._history.append((alphas[:len(new)][:stopped_after].copy(), new[:stopped_after].copy()))
        return stopped_after

    def _show(self, done, thetas):
        # The last theta is shown before the update that follows it, if one does; a callback sees it now.
        visible = len(thetas) if self._callback is not None and math.isfinite(thetas[-1]) else len(thetas) - 1
        losses = self._problem.losses_at(thetas[:visible])
        for k in range(visible):
            if self._callback is not None:
                try:
                    self._callback(_so_far(thetas[k], losses[k], done + k + 1))
                except StopIteration:
                    return k + 1
            if self._display is not None and k + 1 < len(thetas):
                self._display.show(thetas[k], losses[k])
        self._loss = losses[-1] if visible == len(thetas) else None
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
