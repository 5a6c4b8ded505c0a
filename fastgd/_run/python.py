"""Runners in Python: of functions of the user's own, and of passes over more data than a kernel should take at once.

They are as those of `fastgd._run.compiled`.
"""
from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from fastgd._checks import real_number
from fastgd._kernels import shuffle
from fastgd._limits import BATCH_UPDATES, SLICE
from fastgd._theta import is_finite, largest

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from fastgd._types import DoubleArray, Theta

#: The names of the types that are shuffled: points, and indices of rows.
_SHUFFLED = {"f": "float", "d": "double", np.dtype(np.intp).char: "Py_ssize_t"}


class _PythonRunner:
    """THE Python twin of ``fastgd/_kernels/step.pxd``; its gradient is a function of theta and of a part."""

    evaluations = at_once = 0
    _most = BATCH_UPDATES

    def __init__(self, gradient: Callable[[Any, Any], Any], theta0: Theta, tol: float, by_step: bool) -> None:
        self.theta = self.previous = theta0
        self.ends_when_short = by_step
        self._gradient = gradient
        self._tol = tol
        self._is_number = np.ndim(theta0) == 0

    def _next_part(self) -> Any:
        """What the gradient is called with, beside theta."""
        raise NotImplementedError

    def buffer(self, limit: int, every: bool) -> tuple[int, DoubleArray]:
        most = min(self._most, limit)
        return most, np.empty((most, *np.shape(self.theta)))

    def step(self, rate: float, gradient: Any) -> bool:
        """theta <- theta - rate * gradient; whether the step ends the run because it is short."""
        self.previous, self.theta = self.theta, self.theta - rate * gradient
        return bool(self.ends_when_short and largest(self.theta - self.previous) < self._tol)

    def advance(self, alphas: DoubleArray, thetas: DoubleArray) -> tuple[int, bool]:
        for k, alpha in enumerate(alphas.tolist()):
            gradient = self._gradient(self.theta, self._next_part())
            if self._is_number:
                gradient = real_number(gradient, "grad_loss_fn", "slope")
            is_short = self.step(alpha, gradient)
            thetas[k] = self.theta
            if is_short or not is_finite(self.theta):
                return k + 1, is_short
        return len(alphas), False


class PythonBatch(_PythonRunner):
    """Batch descent: the part is all of the source."""

    is_deterministic = True

    def __init__(self, gradient: Callable[[Any, Any], Any], part: Any, theta0: Theta, tol: float, by_step: bool,
                 most: int = BATCH_UPDATES) -> None:
        super().__init__(gradient, theta0, tol, by_step)
        self._part = part
        self._most = most

    def _next_part(self) -> Any:
        return self._part


class PythonStochastic(_PythonRunner):
    """Stochastic descent (`batch_size` None: a part is one point) and mini-batch descent (a slice of the points).

    For rows the points are their indices.
    """

    is_deterministic = False

    def __init__(self, gradient: Callable[[Any, Any], Any], points: NDArray[Any], batch_size: int | None,
                 bit_generator: np.random.BitGenerator, theta0: Theta, tol: float, by_step: bool) -> None:
        super().__init__(gradient, theta0, tol, by_step)
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
