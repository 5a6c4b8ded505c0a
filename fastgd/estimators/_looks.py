"""What looks at the thetas of a fit: the curve of the loss, an early stop, a plane that separates the classes."""
from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from fastgd._limits import IMPROVED, POINTS_OF_A_CURVE, ROWS_OF_A_CURVE

if TYPE_CHECKING:
    from collections.abc import Callable

    from fastgd._objective.objective import Objective
    from fastgd._types import DoubleArray


class Looks:
    """Looks at the thetas of a run, as `DescentOptions.trail` is asked to.

    Parameters
    ----------
    objective : Objective
    score : callable or None
        The score of a theta on rows that are kept apart.
    patience : int
        The run is stopped when so many thetas in turn did not improve the score.

    Attributes
    ----------
    best : ndarray or None
        The theta of the highest score.
    is_separated : bool
        Whether the run was stopped because theta is a plane between the classes: the loss has no minimum.
    """

    def __init__(self, objective: Objective, score: Callable[[DoubleArray], float] | None, patience: int) -> None:
        self._objective, self._score, self._patience = objective, score, patience
        loss = objective.loss
        self._may_separate = loss is not None and loss.link == "logit" and objective.penalty is None
        self._thetas: list[DoubleArray] = []
        self._every, self._seen = 1, 0
        self._next_look = 1
        self.best: DoubleArray | None = None
        self._highest, self._in_vain = -math.inf, 0
        self.is_separated = self.is_stopped = False

    def __call__(self, thetas: DoubleArray, done: int) -> bool:
        self._keep(thetas)
        if self._score is not None:
            for theta in thetas:
                self._look_at_score(theta.copy(), self._score)
            self.is_stopped = self._in_vain >= self._patience
        # A pass over the data each: few of them tell soon enough.
        if self._may_separate and done >= self._next_look:
            self._next_look = 2 * done
            self.is_separated = self._objective.is_separated_by(thetas[-1])
        return self.is_stopped or self.is_separated

    def _keep(self, thetas: DoubleArray) -> None:
        """Keep every theta, or of many only every second, fourth and so on."""
        first = -self._seen % self._every
        self._thetas += list(thetas[first::self._every].copy())
        self._seen += len(thetas)
        while len(self._thetas) > 2 * POINTS_OF_A_CURVE:
            self._thetas, self._every = self._thetas[::2], 2 * self._every

    def _look_at_score(self, theta: DoubleArray, score: Callable[[DoubleArray], float]) -> None:
        found = score(theta)
        self._in_vain = 0 if found > self._highest + IMPROVED else self._in_vain + 1
        if found > self._highest or self.best is None:
            self._highest, self.best = found, theta

    def curve(self) -> DoubleArray:
        """The loss with the penalty at the thetas, of many rows on a sample of them."""
        if not self._thetas:
            return np.empty(0)
        thetas: Any = np.array(self._thetas)
        return np.array(self._objective.values(thetas, ROWS_OF_A_CURVE))
