"""Python twin of the updates in ``fastgd/_kernels/step.pxd``: a step with a preconditioner and a penalty."""
from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from fastgd._format import max_abs
from fastgd._kernels.step_size import SpectralStep, workspace_rows
from fastgd._objective.preconditioner import Preconditioner, ScalarPreconditioner, soft_threshold

if TYPE_CHECKING:
    from fastgd._objective.objective import Objective
    from fastgd._types import DoubleArray


class ProximalStep:
    """Update theta <- theta - rate * gradient.

    The gradient includes that of l2, and the soft threshold of l1 follows the step. With a preconditioner the step is
    made and measured in whitened coordinates; without one `sizes` are the units of its length, if they are given.
    """

    def __init__(self, objective: Objective | None = None,
                 preconditioner: Preconditioner | ScalarPreconditioner | None = None,
                 sizes: DoubleArray | None = None) -> None:
        penalty = None if objective is None else objective.penalty
        self.preconditioner, self._sizes = preconditioner, sizes
        self._first = 0 if objective is None else int(objective.data.intercept)
        self._l1, self._l2 = (0.0, 0.0) if penalty is None else (penalty.l1, penalty.l2)
        #: True if the penalty bends the objective where a weight is 0; and if its gradient is added to the loss's.
        self.has_l1, self.has_l2 = self._l1 > 0, self._l2 > 0

    def spectral_step(self, now: DoubleArray, before: DoubleArray, first_rate: float) -> SpectralStep:
        """Make the compiled spectral step-size rule, which changes theta in these two arrays."""
        q = len(now)
        if self.preconditioner is None:
            p = q - self._first
            preconditioner, measure = Preconditioner(np.zeros(p), np.ones(p), 1.0), self._sizes
        else:
            assert not isinstance(self.preconditioner, ScalarPreconditioner)
            preconditioner, measure = self.preconditioner, None
        return SpectralStep(preconditioner.kernel, now, before, np.empty((workspace_rows(), q)), first_rate, self._l1,
                            measure)

    def with_l2(self, theta: Any, gradient: Any) -> Any:
        """Add the gradient of l2 to the gradient of the loss."""
        if not self._l2:
            return gradient
        with np.errstate(all="ignore"):
            if not self._first:
                return gradient + self._l2 * theta
            total = np.array(gradient)
            total[1:] += self._l2 * theta[1:]
            return total

    def with_l1(self, theta: float, slope: float) -> float:
        """Add the slope of l1 to the slope of one number; at 0 return the subgradient nearest to 0."""
        if not self._l1:
            return slope
        return slope + math.copysign(self._l1, theta) if theta else float(soft_threshold(slope, self._l1))

    def apply(self, theta: Any, rate: float, gradient: Any) -> Any:
        """Make a step from theta by the gradient `with_l2`."""
        if self.preconditioner is not None:
            return self.preconditioner.proximal_step(theta, rate, gradient, self._l1)
        new = theta - rate * gradient
        if not self._l1:
            return new
        if np.ndim(new) == 0:
            return float(soft_threshold(new, rate * self._l1))
        new[self._first:] = soft_threshold(new[self._first:], rate * self._l1)
        return new

    def size(self, step: Any) -> float:
        """Compute the length of a step that the stopping rule compares with `tol`."""
        if self.preconditioner is not None:
            return self.preconditioner.size(step)
        return max_abs(step if self._sizes is None else step * self._sizes)

    def squared(self, step: Any) -> float:
        """Compute the squared length of a step in whitened coordinates."""
        return float(np.dot(step, step)) if self.preconditioner is None else self.preconditioner.squared(step)

    def agreement(self, step: Any, gradient: Any, move: Any) -> float:
        """Compute a number below 0 if a step opposes a move: -gradient @ move, with l1 step @ move."""
        if not self._l1:
            return -float(np.dot(gradient, move))
        if self.preconditioner is None:
            return float(np.dot(step, move))
        whole, one, other = (self.squared(each) for each in (step + move, step, move))
        return (whole - one - other) / 2
