"""Solvers whose updates are made in Python: for Python functions, and for more data than one kernel call reads."""
from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from fastgd._format import is_finite
from fastgd._frames import SLICE
from fastgd._kernels import shuffle
from fastgd._solvers.base import BATCH_UPDATES, ROUNDING, Scheduled, Steps
from fastgd._solvers.proximal_step import ProximalStep
from fastgd._validation import real_number

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from fastgd._types import Rates, Theta

#: Names of the C types that are shuffled: points, and indices of rows.
_SHUFFLED = {"f": "float", "d": "double", np.dtype(np.intp).char: "Py_ssize_t"}


class _CallableSolver(Scheduled):
    """Solver in Python that follows a schedule."""

    evaluations = at_once = 0
    records_all = True
    is_deterministic = False

    def __init__(self, theta0: Theta, rates: Rates, tol: float, by_step: bool, update: ProximalStep | None,
                 capacity: int, first_update: int) -> None:
        super().__init__(rates, first_update, by_step)
        self.theta = self.previous = theta0
        self.tol, self.capacity = tol, capacity
        self._is_number = np.ndim(theta0) == 0
        self._update = update or ProximalStep()

    def _gradient(self, theta: Any) -> Any:
        """Evaluate the gradient of the next update, without the penalty."""
        raise NotImplementedError

    def gradient_at(self, theta: Any) -> Any:
        """Evaluate the gradient of the next update, with the gradient of l2."""
        gradient = self._gradient(theta)
        if self._is_number:
            gradient = real_number(gradient, "grad_loss_fn", "slope")
        return self._update.with_l2(theta, gradient)

    def step(self, rate: float) -> bool:
        """Make one update; return True if its step was short."""
        gradient = self.gradient_at(self.theta)
        with np.errstate(all="ignore"):
            self.previous, self.theta = self.theta, self._update.apply(self.theta, rate, gradient)
            return self._update.size(self.theta - self.previous) < self.tol

    def advance(self, most: int) -> Steps:
        rates = self.next_rates(min(most, self.capacity))
        thetas, stops = np.empty((len(rates), *np.shape(self.theta))), self.stops
        for k, rate in enumerate(rates.tolist()):
            is_short = bool(self.step(rate) and stops)
            thetas[k] = self.theta
            self._done += 1
            if is_short or not is_finite(self.theta):
                return Steps(thetas[:k + 1], rates[:k + 1], is_short)
        return Steps(thetas, rates, False)


class CallableBatch(_CallableSolver):
    """Batch descent with the gradient as a function of theta."""

    def __init__(self, gradient: Callable[[Any], Any], theta0: Theta, rates: Rates, tol: float, by_step: bool, *,
                 update: ProximalStep | None = None, capacity: int = 1, first_update: int = 0) -> None:
        super().__init__(theta0, rates, tol, by_step, update, capacity, first_update)
        self._function = gradient
        self.is_deterministic = rates.is_constant

    def _gradient(self, theta: Any) -> Any:
        return self._function(theta)


class NesterovBatch(CallableBatch):
    """Batch descent with Nesterov's momentum: each step is made from a point beyond theta, along the last move.

    The momentum restarts if the step opposes the move from theta. A step is short if its length and the length of the
    move are below `tol` (Y. Nesterov, "A method of solving a convex programming problem with convergence rate
    O(1/k^2)", Soviet Mathematics Doklady 27, 1983; B. O'Donoghue and E. Candes, "Adaptive restart for accelerated
    gradient schemes", Foundations of Computational Mathematics 15, 2015).

    With q the rate times the curvature, plain steps are stable for q < 2. Steps with momentum, a part b of the last
    move, are stable for b < (2 - q) / (2 q - 2); b is at most half of that, with the largest curvature measured so far.

    Parameters
    ----------
    is_safe : bool
        True if no rate is above one over the curvature.
    """

    def __init__(self, gradient: Callable[[Any], Any], theta0: Theta, rates: Rates, tol: float, by_step: bool, *,
                 update: ProximalStep, is_safe: bool, first_update: int = 0) -> None:
        super().__init__(gradient, theta0, rates, tol, by_step, update=update, first_update=first_update)
        self.is_deterministic, self._is_safe = False, is_safe
        self._beyond: Any = None
        self._count = 1.0
        self._last: tuple[Any, Any] | None = None    # the point of the last step, and the gradient there
        self._steepest = self._curvature = 0.0

    def step(self, rate: float) -> bool:
        beyond = self.theta if self._beyond is None else self._beyond
        gradient = self.gradient_at(beyond)
        with np.errstate(all="ignore"):
            return self._step_from(beyond, rate, gradient)

    def _step_from(self, beyond: Any, rate: float, gradient: Any) -> bool:
        new = self._update.apply(beyond, rate, gradient)
        step, move = new - beyond, new - self.theta
        if not self._is_safe:
            self._measure_curvature(beyond, gradient, abs(float(np.dot(gradient, step))))
        if self._update.agreement(step, gradient, move) < 0:
            self._beyond, self._count = new, 1.0
        else:
            following = (1 + math.sqrt(1 + 4 * self._count**2)) / 2
            momentum = min((self._count - 1) / following, _max_momentum(rate * self._curvature))
            self._beyond, self._count = new + momentum * move, following
        self.previous, self.theta = self.theta, new
        return self._update.size(step) < self.tol and self._update.size(move) < self.tol

    def _measure_curvature(self, beyond: Any, gradient: Any, steepness: float) -> None:
        """Update the largest curvature by the curvature between the last two points, unless the step is rounding."""
        if self._last is not None and steepness > ROUNDING * self._steepest:
            way = beyond - self._last[0]
            curvature = float(np.dot(gradient - self._last[1], way)) / (self._update.squared(way) or math.inf)
            self._curvature = max(self._curvature, curvature)
        self._last = beyond, gradient
        self._steepest = max(self._steepest, steepness)


def _max_momentum(q: float) -> float:
    """Compute the largest stable part of the last move, halved, for q = rate * curvature."""
    return max(0.0, (2 - q) / (4 * q - 4)) if q > 1 else math.inf


class CallableStochastic(_CallableSolver):
    """Stochastic descent (`batch_size` None: a part is one point) and mini-batch descent (a part is a slice).

    For rows the points are their indices.
    """

    def __init__(self, gradient: Callable[[Any, Any], Any], points: NDArray[Any], batch_size: int | None,
                 bit_generator: np.random.BitGenerator, theta0: Theta, rates: Rates, tol: float, by_step: bool,
                 update: ProximalStep | None = None, first_update: int = 0) -> None:
        super().__init__(theta0, rates, tol, by_step, update, BATCH_UPDATES, first_update)
        self._partial_gradient, self._points, self._batch_size = gradient, points, batch_size
        self._generator = bit_generator
        self._shuffle = shuffle.shuffle[_SHUFFLED[points.dtype.char]]
        self._position = points.size

    def _gradient(self, theta: Any) -> Any:
        if self._position >= self._points.size:
            self._shuffle_all()
            self._position = 0
        start = self._position
        self._position += self._batch_size or 1
        part = self._points[start] if self._batch_size is None else self._points[start:self._position]
        return self._partial_gradient(theta, part)

    def _shuffle_all(self) -> None:
        for top in range(self._points.size - 1, 0, -SLICE):
            with self._generator.lock:
                self._shuffle(self._generator.capsule, self._points, top, max(0, top - SLICE))
