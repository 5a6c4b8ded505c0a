"""FitMonitor of a fit: loss curve, early stopping, and linear separability of the classes."""
from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from fastgd._objective.objective import Objective
    from fastgd._types import DoubleArray

#: Rows of a sample for the loss curve, which takes a tenth of the fit then; and its points, of which it has up to twice
#: as many.
CURVE_ROWS, CURVE_POINTS = 1024, 1000
#: Increase of a score that counts as an improvement.
IMPROVEMENT = 1e-4


class FitMonitor:
    """Record the thetas of a run, and stop it early; a callable for `DescentOptions.monitor`.

    Parameters
    ----------
    objective : Objective
    score : callable or None
        Score of a theta on the validation rows.
    patience : int
        Consecutive thetas without improvement of the score after which the run is stopped.

    Attributes
    ----------
    best : ndarray or None
        Theta with the highest score.
    is_separated : bool
        True if the run was stopped because theta separates the classes: the loss has no minimum.
    """

    def __init__(self, objective: Objective, score: Callable[[DoubleArray], float] | None, patience: int) -> None:
        self._objective, self._score, self._patience = objective, score, patience
        loss = objective.loss
        self._checks_separation = loss is not None and loss.link == "logit" and objective.penalty is None
        self._thetas: list[DoubleArray] = []
        self._every, self._seen = 1, 0
        self._next_separation_check = 1
        self.best: DoubleArray | None = None
        self._highest, self._n_without_improvement = -math.inf, 0
        self.is_separated = self.is_stopped = False

    def __call__(self, thetas: DoubleArray, done: int) -> bool:
        self._record(thetas)
        if self._score is not None:
            for theta in thetas:
                self._update_best(theta.copy(), self._score)
            self.is_stopped = self._n_without_improvement >= self._patience
        # Each check is a pass over the data, so the interval doubles.
        if self._checks_separation and done >= self._next_separation_check:
            self._next_separation_check = 2 * done
            self.is_separated = self._objective.is_separated_by(thetas[-1])
        return self.is_stopped or self.is_separated

    def _record(self, thetas: DoubleArray) -> None:
        """Keep every theta, every 2nd, 4th and so on as their number grows."""
        first = -self._seen % self._every
        self._thetas += list(thetas[first::self._every].copy())
        self._seen += len(thetas)
        while len(self._thetas) > 2 * CURVE_POINTS:
            self._thetas, self._every = self._thetas[::2], 2 * self._every

    def _update_best(self, theta: DoubleArray, score: Callable[[DoubleArray], float]) -> None:
        found = score(theta)
        self._n_without_improvement = 0 if found > self._highest + IMPROVEMENT else self._n_without_improvement + 1
        if found > self._highest or self.best is None:
            self._highest, self.best = found, theta

    @property
    def may_stop(self) -> bool:
        """True if it must be called after each update, as it may stop the run."""
        return self._score is not None or self._checks_separation

    def curve(self, objective: Objective) -> DoubleArray:
        """Compute loss plus penalty at the thetas, on a sample if the rows are many."""
        if not self._thetas:
            return np.empty(0)
        thetas: Any = np.array(self._thetas)
        return np.array(objective.values(thetas, CURVE_ROWS))
