"""The one driver of every method: it hands a runner learning rates and looks at the thetas that come back.

Printing, history, callbacks, Ctrl-C and the ends of a run exist here and nowhere else.
"""
from __future__ import annotations

import inspect
import math
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from fastgd.results import CONVERGED, CYCLE, LIMIT_REACHED, NOT_FINITE, STOPPED_BY_CALLBACK, DescentResult

if TYPE_CHECKING:
    from collections.abc import Callable

    import pandas as pd
    from numpy.typing import NDArray

    from fastgd._problem import Problem
    from fastgd._progress import Bar, Lines
    from fastgd._types import DoubleArray, Rates, Runner, Theta


class Outcome(NamedTuple):
    """How a run ended; thetas are floats, or arrays for a linear model."""

    theta: Theta       # the last one, which may not be finite
    previous: Theta    # the one before it
    updates: int
    status: int
    alpha: float       # the last learning rate
    period: int = 0                    # after how many updates theta repeats, if it does
    average: Theta | None = None       # of the thetas of the last epoch, if it was asked for
    start: Theta | None = None         # where the run began

    @property
    def x(self) -> Theta:
        """The answer: the last finite theta, or the average."""
        if self.status == NOT_FINITE and not is_finite(self.theta):
            return self.previous
        return self.theta if self.average is None else self.average


def largest(step: Theta) -> float:
    """The size of a step: that of its largest component."""
    return abs(step) if isinstance(step, float) else np.abs(step).max()


def is_finite(theta: Theta) -> bool:
    """Whether all of theta is."""
    return math.isfinite(theta) if isinstance(theta, float) else bool(np.isfinite(theta).all())


def drive(runner: Runner, rates: Rates, limit: int, *, watch: Watch | None = None,
          epochs: Epochs | None = None) -> Outcome:
    """Let the runner go on, a chunk of updates at a time, until one of the ends; return the Outcome.

    With `epochs` a chunk never crosses the end of an epoch.
    """
    cycles = _CycleFinder() if rates.is_constant and runner.is_deterministic else None
    every = (cycles is not None or (watch is not None and watch.wants_every)
             or (epochs is not None and epochs.wants_every))
    most, thetas = runner.buffer(limit, every)
    start, done = runner.theta, 0
    while True:
        before = runner.theta
        size = min(most, limit - done)
        if cycles is not None:
            size = min(size, cycles.next_anchor - done)
        if epochs is not None:
            size = min(size, epochs.room(done))
        alphas = rates(done, size)
        if watch is not None:
            watch.before_chunk(done, before)
        count, converged = runner.advance(alphas, thetas)    # alphas may be fewer than asked for
        theta, previous = runner.theta, runner.previous
        period = cycles.find(done, thetas[:count]) if cycles is not None and not converged else 0
        if cycles is not None and period:
            count = cycles.found_at
            theta, previous = thetas[count - 1], thetas[count - 2] if count > 1 else before
        done += count
        if epochs is not None:
            converged |= epochs.look_at(done, count, thetas[:count])
        stopped = watch is not None and watch.after_chunk(done, alphas[:count], thetas[:count])
        status = _status(stopped, converged, period, theta, done == limit)
        if status is not None:
            average = epochs.average if epochs is not None else None
            return Outcome(_own(theta), _own(previous), done, status, alphas.item(count - 1), period, average, start)
        if cycles is not None:
            cycles.remember(done, theta)


def _own(theta: Any) -> Theta:
    """A float, or an array that no buffer holds."""
    return np.array(theta) if isinstance(theta, np.ndarray) and theta.ndim else float(theta)


def _status(stopped: bool, converged: bool, period: int, theta: Theta, at_limit: bool) -> int | None:
    """Why the run ends, or None if it goes on."""
    if stopped:
        return STOPPED_BY_CALLBACK
    if converged or period == 1:
        return CONVERGED
    if period:
        return CYCLE
    if not is_finite(theta):
        return NOT_FINITE
    return LIMIT_REACHED if at_limit else None


class Epochs:
    """What goes by the epoch: its end, the rule that compares it with the one before, the mean of its thetas.

    Parameters
    ----------
    period : int
        Updates in an epoch; 1 for a rule that looks at every update.
    theta0 : float or ndarray
        Where the run starts, which stands for the epoch before the first.
    tol : float or None
        The run has converged when theta after an epoch is nearer than this to theta after the one before and, if the
        mean is asked for, to the mean (where each epoch ends at the same place, as with 0.5 / (1 + t) on the squared
        error, the first says nothing about the thetas between); None: not looked at.
    averages : bool
        Whether the mean is asked for.
    loss_at : callable, optional
        Compare its values in place of thetas.
    """

    def __init__(self, period: int, theta0: Theta, tol: float | None, averages: bool,
                 loss_at: Callable[[Theta], float] | None = None) -> None:
        self.period = period
        self.average: Theta | None = None
        self.wants_every = averages
        self._tol = tol
        self._loss_at = loss_at
        self._last: Any = theta0 if loss_at is None else loss_at(theta0)
        self._sum: Any = 0.0

    def room(self, done: int) -> int:
        """Updates until the end of the epoch."""
        return self.period - done % self.period

    def look_at(self, done: int, count: int, new: DoubleArray) -> bool:
        """Take in `count` thetas up to update `done`, of which `new` has at least the last; True if it converged."""
        if self.wants_every:
            so_far = (done - count) % self.period
            self._sum = new.sum(axis=0) + (self._sum if so_far else 0.0)
            self.average = _own(self._sum / (so_far + count))
        if done % self.period or self._tol is None:
            return False
        theta = _own(new[-1])
        if self._loss_at is not None:
            loss = self._loss_at(theta if self.average is None else self.average)
            moved, self._last = abs(loss - self._last), loss
            return bool(moved < self._tol)
        moved, self._last = largest(theta - self._last), theta
        return bool(moved < self._tol and (self.average is None or largest(theta - self.average) < self._tol))


class _CycleFinder:
    """Finds a run that repeats for ever, as any does whose next theta depends on the last one alone.

    One theta is remembered at each power of two and looked for among those that follow (R. P. Brent, "An improved
    Monte Carlo factorization algorithm", BIT 20, 1980).
    """

    next_anchor = 64
    found_at = 0
    _anchor: Theta | None = None
    _anchor_update = 0

    def find(self, done: int, new: DoubleArray) -> int:
        """The period if the remembered theta is among the `new` ones, which follow update `done`; else 0."""
        if self._anchor is None:
            return 0
        same: NDArray[np.bool_] = new == self._anchor
        returns = np.flatnonzero(same if same.ndim == 1 else same.all(axis=1))
        if len(returns) == 0:
            return 0
        self.found_at = int(returns[0]) + 1
        return done + self.found_at - self._anchor_update

    def remember(self, done: int, theta: Theta) -> None:
        """Take note of `theta`, reached by `done` updates, if it is its turn."""
        if done == self.next_anchor:
            self._anchor, self._anchor_update, self.next_anchor = theta, done, 2 * done


class Watch:
    """What looks at a run: a display before and a callback after every `period` updates, a history of all."""

    def __init__(self, problem: Problem, display: Lines | Bar | None, callback: Callable[..., object] | None,
                 history: bool, epochs: Epochs | None = None) -> None:
        self._problem = problem
        self._display = display
        self._callback = None if callback is None else _called_as_in_scipy(callback)
        self._history: list[tuple[DoubleArray, DoubleArray]] | None = [] if history else None
        self._epochs = epochs
        self._period = epochs.period if epochs is not None else 1

    @property
    def wants_every(self) -> bool:
        """Whether it looks at each theta and not only at the last of an epoch."""
        return self._history is not None or self._period == 1

    def before_chunk(self, done: int, theta: Theta) -> None:
        """Show the current theta."""
        if self._display is not None and done % self._period == 0:
            self._display.show(theta, self._problem.loss_at(theta))

    def after_chunk(self, done: int, alphas: DoubleArray, new: DoubleArray) -> bool:
        """Look at the thetas up to update `done`, of which `new` has at least the last; True if the callback stops."""
        if self._history is not None:
            self._history.append((alphas.copy(), new.copy()))
        if self._callback is not None and done % self._period == 0 and is_finite(new[-1]):
            theta = self._answer(new[-1])
            try:
                self._callback(self._so_far(theta, done))
            except StopIteration:
                return True
        if self._display is not None and self._period == 1:
            self._show(self._display, new)
        return False

    def _answer(self, theta: DoubleArray) -> Theta:
        """What the run would return if it ended at this theta."""
        average = None if self._epochs is None else self._epochs.average
        return _own(theta if average is None else average)

    def _so_far(self, theta: Theta, updates: int) -> DescentResult:
        return DescentResult(
            x=theta, fun=float(self._problem.loss_at(theta)), jac=None, nit=updates, success=False,
            status=LIMIT_REACHED, message="The descent is going on.", **self._problem.of_result())

    def _show(self, display: Lines | Bar, new: DoubleArray) -> None:
        # The last theta is shown before the update that follows it, if one does.
        thetas = [_own(theta) for theta in new[:-1]]
        for theta, loss in zip(thetas, self._problem.losses_at(thetas), strict=True):
            display.show(theta, loss)

    def history(self) -> pd.DataFrame | None:
        """The DataFrame of all updates so far, or None."""
        if self._history is None:
            return None
        import pandas as pd

        alphas, thetas = (np.concatenate(parts) for parts in zip(*self._history, strict=True))
        left = pd.DataFrame({"update": np.arange(1, len(thetas) + 1), "alpha": alphas})
        names = _distinct(self._problem.parameter_names)
        return pd.concat([left, pd.DataFrame(thetas.reshape(-1, len(names)), columns=names)], axis=1)

    def close(self) -> None:
        """Take the display down."""
        if self._display is not None:
            self._display.close()


def _distinct(names: tuple[str, ...]) -> list[str]:
    """Names of columns beside update and alpha: a second one of a name is numbered."""
    taken = ["update", "alpha"]
    for name in names:
        count = 2
        new = name
        while new in taken:
            new, count = f"{name}_{count}", count + 1
        taken.append(new)
    return taken[2:]


def _called_as_in_scipy(callback: Callable[..., object]) -> Callable[..., object]:
    """scipy passes the result by keyword to a callback whose parameter is named intermediate_result."""
    try:
        names = inspect.signature(callback).parameters
    except (TypeError, ValueError):
        return callback
    if "intermediate_result" in names:
        return lambda result: callback(intermediate_result=result)
    return callback
