"""What looks at a run: lines or a bar, a callback, a history, a trail."""
from __future__ import annotations

import inspect
import math
from typing import TYPE_CHECKING, Any

import numpy as np

from fastgd._format import copy_theta, is_finite, max_abs
from fastgd._progress import Bar, Lines
from fastgd.results import LIMIT_REACHED, DescentResult

if TYPE_CHECKING:
    from collections.abc import Callable

    import pandas as pd

    from fastgd._objective import Objective
    from fastgd._run.driver import Outcome
    from fastgd._run.epochs import Epochs
    from fastgd._settings import Settings
    from fastgd._types import DoubleArray, Theta


class Watch:
    """What looks at a run: lines before, a bar and a callback after every `period` updates, a history of all."""

    def __init__(self, objective: Objective, settings: Settings, epochs: Epochs | None = None) -> None:
        self._objective = objective
        self._lines = settings.display if isinstance(settings.display, Lines) else None
        self._bar = settings.display if isinstance(settings.display, Bar) else None
        self._by_step = settings.stop == "step"
        self._callback = None if settings.callback is None else _called_as_in_scipy(settings.callback)
        self._history: list[tuple[DoubleArray, DoubleArray]] | None = [] if settings.history else None
        self._trail = settings.trail
        self._epochs = epochs
        self._period = epochs.period if epochs is not None else 1
        self._before: Theta = 0.0    # the last chunk
        self._size: Callable[[Any], float] = max_abs    # of a step, as the rule measures it
        if self._bar is not None and settings.precondition is not None and objective.source.is_rows:
            self._size = objective.metric(settings.precondition, is_stochastic=settings.is_stochastic).size

    @property
    def wants_every(self) -> bool:
        """Whether it looks at each theta, or the last two, and not only at the last of an epoch."""
        return self._history is not None or self._period == 1 or (self._bar is not None and self._by_step)

    def before_chunk(self, done: int, theta: Theta) -> None:
        """Show the current theta."""
        self._before = theta
        if self._lines is not None and done % self._period == 0:
            self._lines.show(theta, self._objective.value(theta))
        if self._bar is not None and done == 0:
            self._bar.show(0, self._objective.value(theta))

    def after_chunk(self, done: int, alphas: DoubleArray, new: DoubleArray) -> bool:
        """Look at the thetas up to update `done`, of which `new` has at least the last; True if the callback stops."""
        if self._history is not None:
            self._history.append((alphas.copy(), new.copy()))
        if self._bar is not None and done % self._period == 0:
            self._move(self._bar, done, copy_theta(new[-1]), copy_theta(new[-2]) if len(new) > 1 else self._before)
        if self._trail is not None and done % self._period == 0 and self._trail(
                new if self._period == 1 else np.array([self._answer(new[-1])]), done):
            return True
        if self._callback is not None and done % self._period == 0 and is_finite(new[-1]):
            theta = self._answer(new[-1])
            try:
                self._callback(self._so_far(theta, done))
            except StopIteration:
                return True
        if self._lines is not None and self._period == 1:
            self._show(self._lines, new)
        return False

    def _answer(self, theta: Theta) -> Theta:
        """What the run would return if it ended at this theta."""
        average = None if self._epochs is None else self._epochs.average
        return copy_theta(theta if average is None else average)

    def _so_far(self, theta: Theta, updates: int) -> DescentResult:
        source = self._objective.source
        return DescentResult(
            x=theta, fun=self._objective.value(theta), jac=None, nit=updates, success=False, status=LIMIT_REACHED,
            message="The descent is going on.", feature_names=source.names, fit_intercept=source.intercept,
            _columns=source.columns)

    def _show(self, lines: Lines, new: DoubleArray) -> None:
        # The last theta is shown before the update that follows it, if one does.
        thetas = [copy_theta(theta) for theta in new[:-1]]
        if not thetas:
            return
        for theta, loss in zip(thetas, self._objective.values(thetas), strict=True):
            lines.show(theta, loss)

    def _move(self, bar: Bar, done: int, theta: Theta, previous: Theta) -> None:
        """Show the loss of what would be returned now, and what the rule compares with tol."""
        loss, moved = math.nan, math.inf
        if is_finite(theta):
            loss = self._objective.value(self._answer(theta))
            if self._by_step or self._epochs is None:
                with np.errstate(over="ignore"):
                    moved = self._size(theta - previous)
            else:
                moved = self._epochs.moved
        bar.show(math.ceil(done / self._period), loss, moved)

    def at_end(self, outcome: Outcome) -> None:
        """Show the end of a run that ended within an epoch."""
        if self._bar is not None and outcome.updates % self._period:
            self._move(self._bar, outcome.updates, outcome.theta, outcome.previous)

    def history(self) -> pd.DataFrame | None:
        """The DataFrame of all updates so far, or None."""
        if self._history is None:
            return None
        import pandas as pd

        alphas, thetas = (np.concatenate(parts) for parts in zip(*self._history, strict=True))
        left = pd.DataFrame({"update": np.arange(1, len(thetas) + 1), "alpha": alphas})
        names = _distinct(self._objective.source.parameter_names)
        return pd.concat([left, pd.DataFrame(thetas.reshape(-1, len(names)), columns=names)], axis=1)

    def close(self) -> None:
        """Take the display down."""
        if self._bar is not None:
            self._bar.close()


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
