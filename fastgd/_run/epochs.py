"""What goes by the epoch: its end, the rule that compares it with the one before, the mean of its thetas."""
from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastgd._theta import largest, own

if TYPE_CHECKING:
    from collections.abc import Callable

    from fastgd._types import DoubleArray, Theta


class Epochs:
    """Counts epochs, applies their rule and takes the mean.

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
            self.average = own(self._sum / (so_far + count))
        if done % self.period or self._tol is None:
            return False
        theta = own(new[-1])
        if self._loss_at is not None:
            loss = self._loss_at(theta if self.average is None else self.average)
            moved, self._last = abs(loss - self._last), loss
            return bool(moved < self._tol)
        moved, self._last = largest(theta - self._last), theta
        return bool(moved < self._tol and (self.average is None or largest(theta - self.average) < self._tol))
