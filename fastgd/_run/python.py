"""Runners in Python: of functions of the user's own, and of passes over more data than a kernel should take at once.

They are as those of `fastgd._run.compiled`.
"""
from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from fastgd._checks import real_number
from fastgd._format import is_finite
from fastgd._kernels import shuffle
from fastgd._limits import BATCH_UPDATES, ROUNDING, SLICE
from fastgd._run.update import Update

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from fastgd._types import DoubleArray, Theta

#: The names of the types that are shuffled: points, and indices of rows.
_SHUFFLED = {"f": "float", "d": "double", np.dtype(np.intp).char: "Py_ssize_t"}


class _PythonRunner:
    """Updates in Python; the gradient is a function of theta and of a part."""

    evaluations = at_once = 0
    _most = BATCH_UPDATES

    def __init__(self, gradient: Callable[[Any, Any], Any], theta0: Theta, tol: float, by_step: bool,
                 update: Update | None = None) -> None:
        self.theta = self.previous = theta0
        self.ends_when_short = by_step
        self._gradient = gradient
        self.tol = tol
        self._is_number = np.ndim(theta0) == 0
        self._update = update or Update()

    def _next_part(self) -> Any:
        """What the gradient is called with, beside theta."""
        raise NotImplementedError

    def buffer(self, limit: int, every: bool) -> tuple[int, DoubleArray]:
        most = min(self._most, limit)
        return most, np.empty((most, *np.shape(self.theta)))

    def slope_at(self, theta: Any) -> Any:
        """The gradient on the next part, that of l2 included."""
        gradient = self._gradient(theta, self._next_part())
        if self._is_number:
            gradient = real_number(gradient, "grad_loss_fn", "slope")
        with np.errstate(all="ignore"):
            return self._update.with_decay(theta, gradient)

    def step(self, rate: float) -> bool:
        """One update; whether its step was short."""
        gradient = self.slope_at(self.theta)
        with np.errstate(all="ignore"):
            self.previous, self.theta = self.theta, self._update.moved(self.theta, rate, gradient)
            return self._update.size(self.theta - self.previous) < self.tol

    def advance(self, alphas: DoubleArray, thetas: DoubleArray) -> tuple[int, bool]:
        for k, alpha in enumerate(alphas.tolist()):
            is_short = bool(self.step(alpha) and self.ends_when_short)
            thetas[k] = self.theta
            if is_short or not is_finite(self.theta):
                return k + 1, is_short
        return len(alphas), False


class PythonBatch(_PythonRunner):
    """Batch descent: the part is all of the source."""

    is_deterministic = True

    def __init__(self, gradient: Callable[[Any, Any], Any], part: Any, theta0: Theta, tol: float, by_step: bool,
                 most: int = BATCH_UPDATES, update: Update | None = None) -> None:
        super().__init__(gradient, theta0, tol, by_step, update)
        self._part = part
        self._most = most

    def _next_part(self) -> Any:
        return self._part


class NesterovBatch(PythonBatch):
    """Batch descent with Nesterov's momentum: each step is made from a place beyond theta, along the last move.

    The momentum begins anew where the step goes against the move that it led to. A step is short if it is so from that
    place and from theta (Y. Nesterov, "A method of solving a convex programming problem with convergence rate
    O(1/k^2)", Soviet Mathematics Doklady 27, 1983; B. O'Donoghue and E. Candes, "Adaptive restart for accelerated
    gradient schemes", Foundations of Computational Mathematics 15, 2015).

    With q the rate times the curvature, plain steps are stable for q < 2, and with a part b of the last move for
    b < (2 - q) / (2 q - 2): it is half of that at most, with the largest curvature that was met from step to step.
    """

    is_deterministic = False
    is_safe = False    # whether rates are known to be at most one over the curvature
    _ahead: Any = None
    _count = 1.0
    _last: tuple[Any, Any] | None = None    # the place of the last step, and the gradient there
    _steepest = _curvature = 0.0

    def step(self, rate: float) -> bool:
        ahead = self.theta if self._ahead is None else self._ahead
        gradient = self.slope_at(ahead)
        with np.errstate(all="ignore"):
            return self._step_from(ahead, rate, gradient)

    def _step_from(self, ahead: Any, rate: float, gradient: Any) -> bool:
        new = self._update.moved(ahead, rate, gradient)
        step, move = new - ahead, new - self.theta
        if not self.is_safe:
            self._take_in(ahead, gradient, abs(float(np.dot(gradient, step))))
        if self._update.agreement(step, gradient, move) < 0:
            self._ahead, self._count = new, 1.0
        else:
            following = (1 + math.sqrt(1 + 4 * self._count**2)) / 2
            part = min((self._count - 1) / following, _most_of_move(rate * self._curvature))
            self._ahead, self._count = new + part * move, following
        self.previous, self.theta = self.theta, new
        return self._update.size(step) < self.tol and self._update.size(move) < self.tol

    def _take_in(self, ahead: Any, gradient: Any, steepness: float) -> None:
        """Note the curvature from the place of the last step to that of this one, unless the steps are rounding."""
        if self._last is not None and steepness > ROUNDING * self._steepest:
            way = ahead - self._last[0]
            curvature = float(np.dot(gradient - self._last[1], way)) / (self._update.squared(way) or math.inf)
            self._curvature = max(self._curvature, curvature)
        self._last = ahead, gradient
        self._steepest = max(self._steepest, steepness)


def _most_of_move(q: float) -> float:
    """The part of the last move that momentum may add at this rate times curvature."""
    return max(0.0, (2 - q) / (4 * q - 4)) if q > 1 else math.inf


class PythonStochastic(_PythonRunner):
    """Stochastic descent (`batch_size` None: a part is one point) and mini-batch descent (a slice of the points).

    For rows the points are their indices.
    """

    is_deterministic = False

    def __init__(self, gradient: Callable[[Any, Any], Any], points: NDArray[Any], batch_size: int | None,
                 bit_generator: np.random.BitGenerator, theta0: Theta, tol: float, by_step: bool,
                 update: Update | None = None) -> None:
        super().__init__(gradient, theta0, tol, by_step, update)
        self._points = points
        self._batch_size = batch_size
        self._generator = bit_generator
        self._shuffle = shuffle.shuffle[_SHUFFLED[points.dtype.char]]
        self._position = points.size

    def _next_part(self) -> Any:
        if self._position >= self._points.size:
            self._shuffle_all()
            self._position = 0
        start = self._position
        self._position += self._batch_size or 1
        return self._points[start] if self._batch_size is None else self._points[start:self._position]

    def _shuffle_all(self) -> None:
        for top in range(self._points.size - 1, 0, -SLICE):
            with self._generator.lock:
                self._shuffle(self._generator.capsule, self._points, top, max(0, top - SLICE))
