"""Stopping rule of epochs, and the mean of the thetas of an epoch."""
from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from fastgd._format import copy_theta, is_finite, max_abs

if TYPE_CHECKING:
    from collections.abc import Callable

    from fastgd._types import DoubleArray, Theta


class EpochRule:
    """Stopping rule that compares an epoch with the one before, and the mean of its thetas.

    Parameters
    ----------
    period : int
        Updates in an epoch; 1 for a rule that is applied to every update.
    theta0 : float or ndarray
        Start of the run, which counts as the end of an epoch before the first.
    tol : float or None
        Tolerance of the distance between the thetas at the ends of two epochs and, if the mean is computed, of the
        distance between theta and the mean; None for no rule. The second condition is needed where each epoch ends at
        the same theta, as with a learning rate of 0.5 / (1 + t) on the squared error.
    averages : bool
        True if the mean is computed.
    value : callable, optional
        Objective, whose values are compared in place of thetas.

    Attributes
    ----------
    moved : float
        Quantity that was last compared with `tol`.
    """

    def __init__(self, period: int, theta0: Theta, tol: float | None, averages: bool,
                 value: Callable[[Theta], float] | None = None) -> None:
        self.period = period
        self.average: Theta | None = None
        self.needs_all = averages
        self._tol = tol
        self._value = value
        self._last: Any = theta0 if value is None else value(theta0)
        self._sum: Any = 0.0
        self._unit = 1.0
        self.moved = math.inf

    def room(self, done: int) -> int:
        """Return the number of updates until the end of the epoch."""
        return self.period - done % self.period

    def _add_to_mean(self, so_far: int, new: DoubleArray) -> None:
        """Add thetas to the mean of the epoch, which had `so_far` of them."""
        if so_far == 0:
            self._sum, self._unit = 0.0, 1.0
        with np.errstate(all="ignore"):
            total = self._sum + (new if self._unit == 1 else new * self._unit).sum(axis=0)
            if self._unit == 1 and not is_finite(total) and is_finite(new):
                # The sum of finite thetas overflowed: continue it in larger units.
                self._unit = 2.0**-64
                total = self._sum * self._unit + (new * self._unit).sum(axis=0)
            self._sum = total
            self.average = copy_theta(total / (so_far + len(new)) / self._unit)

    def update(self, done: int, count: int, new: DoubleArray, theta: Theta) -> bool:
        """Add `count` thetas up to `theta` after update `done`; return True if the rule is met.

        `new` has all of them if `needs_all`.
        """
        if self.needs_all:
            self._add_to_mean((done - count) % self.period, new)
        if done % self.period or self._tol is None:
            return False
        theta = theta if type(theta) is float else copy_theta(theta)
        if self._value is not None:
            loss = self._value(theta if self.average is None else self.average)
            self.moved, self._last = abs(loss - self._last), loss
        else:
            self.moved, self._last = max_abs(theta - self._last), theta
            if self.average is not None and self.moved < self._tol:
                self.moved = max(max_abs(theta - self.average), self.moved)
        return bool(self.moved < self._tol)
