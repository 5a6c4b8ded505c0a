"""Monitor of a run: lines or a bar, a callback, a history, a function that may stop it."""
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

    from fastgd._objective.objective import Objective
    from fastgd._options import DescentOptions
    from fastgd._solvers.base import Outcome
    from fastgd._solvers.concomitant_scale import ConcomitantScale
    from fastgd._solvers.epoch_stopping import EpochRule
    from fastgd._types import DoubleArray, Theta


class Monitor:
    """Monitor of a run: lines before, a bar and a callback after every epoch or update, a history of all updates."""

    def __init__(self, objective: Objective, options: DescentOptions, epochs: EpochRule | None = None) -> None:
        self._objective = objective
        self._lines = options.display if isinstance(options.display, Lines) else None
        self._bar = options.display if isinstance(options.display, Bar) else None
        self._by_step = options.stop == "step"
        self._callback = None if options.callback is None else _as_in_scipy(options.callback)
        self._history: list[tuple[DoubleArray, DoubleArray]] | None = [] if options.history else None
        self._observer = options.monitor
        self._epochs = epochs
        self._period = epochs.period if epochs is not None else 1
        self._before: Theta = 0.0    # the last chunk
        self._solver: ConcomitantScale | None = None
        self._size: Callable[[Any], float] = max_abs    # of a step, in the coordinates of the rule
        if self._bar is not None and options.precondition is not None and objective.data.is_rows:
            self._size = objective.preconditioner(options.precondition, is_stochastic=options.is_stochastic).size

    def follow(self, solver: ConcomitantScale) -> None:
        """Show the loss with the present scale of the solver."""
        self._solver = solver

    @property
    def _shown(self) -> Objective:
        """Objective whose loss is shown."""
        return self._objective if self._solver is None else self._solver.objective

    @property
    def needs_all(self) -> bool:
        """True if each theta is needed, or the last two, not only the last of an epoch."""
        return self._history is not None or self._period == 1 or (self._bar is not None and self._by_step)

    def before_chunk(self, done: int, theta: Theta) -> None:
        """Show the current theta."""
        self._before = theta
        if self._lines is not None and done % self._period == 0:
            self._lines.show(theta, self._shown.reported_value(theta))
        if self._bar is not None and done == 0:
            self._bar.show(0, self._shown.reported_value(theta))

    def after_chunk(self, done: int, alphas: DoubleArray, new: DoubleArray) -> bool:
        """Show and record thetas up to update `done`, the last in `new`; return True if the run is to stop."""
        if self._history is not None:
            self._history.append((alphas.copy(), new.copy()))
        if self._bar is not None and done % self._period == 0:
            self._move(self._bar, done, copy_theta(new[-1]), copy_theta(new[-2]) if len(new) > 1 else self._before)
        if self._observer is not None and done % self._period == 0 and self._observer(
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
        """Return the result of a run that ended at this theta."""
        average = None if self._epochs is None else self._epochs.average
        return copy_theta(theta if average is None else average)

    def _so_far(self, theta: Theta, updates: int) -> DescentResult:
        data = self._objective.data
        return DescentResult(
            x=theta, fun=self._shown.reported_value(theta), jac=None, nit=updates, success=False, status=LIMIT_REACHED,
            message="The descent is going on.", feature_names=data.names, fit_intercept=data.intercept,
            _columns=data.columns)

    def _show(self, lines: Lines, new: DoubleArray) -> None:
        # The last theta is shown before the update that follows it, if one does.
        thetas = [copy_theta(theta) for theta in new[:-1]]
        if not thetas:
            return
        for theta, loss in zip(thetas, self._shown.reported_values(thetas), strict=True):
            lines.show(theta, loss)

    def _move(self, bar: Bar, done: int, theta: Theta, previous: Theta) -> None:
        """Show the loss at the result so far, and the quantity that is compared with tol."""
        loss, moved = math.nan, math.inf
        if is_finite(theta):
            loss = self._shown.reported_value(self._answer(theta))
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
        """Return the DataFrame of all updates so far, or None."""
        if self._history is None:
            return None
        import pandas as pd

        alphas, thetas = (np.concatenate(parts) for parts in zip(*self._history, strict=True))
        left = pd.DataFrame({"update": np.arange(1, len(thetas) + 1), "alpha": alphas})
        names = _distinct(self._objective.data.parameter_names)
        return pd.concat([left, pd.DataFrame(thetas.reshape(-1, len(names)), columns=names)], axis=1)

    def close(self) -> None:
        """Close the display."""
        if self._bar is not None:
            self._bar.close()


def _distinct(names: tuple[str, ...]) -> list[str]:
    """Number the second column of a name, and those named as update and alpha are."""
    taken = ["update", "alpha"]
    for name in names:
        count = 2
        new = name
        while new in taken:
            new, count = f"{name}_{count}", count + 1
        taken.append(new)
    return taken[2:]


def _as_in_scipy(callback: Callable[..., object]) -> Callable[..., object]:
    """Pass the result by keyword to a callback whose parameter is named intermediate_result, as scipy does."""
    try:
        names = inspect.signature(callback).parameters
    except (TypeError, ValueError):
        return callback
    if "intermediate_result" in names:
        return lambda result: callback(intermediate_result=result)
    return callback
