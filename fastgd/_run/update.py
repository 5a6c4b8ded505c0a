"""THE Python twin of ``fastgd/_kernels/step.pxd``: one update, in the metric of the data, with a penalty."""
from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from fastgd._format import max_abs
from fastgd._kernels.step_size import SpectralStep, workspace_rows
from fastgd._metric import Metric, NumberMetric, shrunk

if TYPE_CHECKING:
    from fastgd._objective import Objective
    from fastgd._types import DoubleArray


class Update:
    """theta <- theta - rate * gradient.

    With a penalty l2 is in the gradient, and the proximal step of l1 follows; with a metric the step is made, and its
    size measured, there. Without one `sizes` are the columns' by which it is measured, if they are given.
    """

    def __init__(self, objective: Objective | None = None, metric: Metric | NumberMetric | None = None,
                 sizes: DoubleArray | None = None) -> None:
        penalty = None if objective is None else objective.penalty
        self.metric, self._sizes = metric, sizes
        self._first = 0 if objective is None else int(objective.source.intercept)
        self._decay, self._shrinkage = (0.0, 0.0) if penalty is None else (penalty.l2, penalty.l1)

    def lengths(self, now: DoubleArray, before: DoubleArray, first_rate: float) -> SpectralStep:
        """What chooses the lengths of steps of a theta of rows, and makes them in these two arrays."""
        q = len(now)
        if self.metric is None:
            p = q - self._first
            metric, measure = Metric(np.zeros(p), np.ones(p), 1.0), self._sizes
        else:
            assert not isinstance(self.metric, NumberMetric)
            metric, measure = self.metric, None
        return SpectralStep(metric.kernel, now, before, np.empty((workspace_rows(), q)), first_rate, self._shrinkage,
                               measure)

    def with_decay(self, theta: Any, gradient: Any) -> Any:
        """The gradient of the loss, with that of l2."""
        if not self._decay:
            return gradient
        if not self._first:
            return gradient + self._decay * theta
        total = np.array(gradient)
        total[1:] += self._decay * theta[1:]
        return total

    @property
    def has_kink(self) -> bool:
        """Whether l1 bends the loss where a weight is 0."""
        return self._shrinkage > 0

    def with_kink(self, theta: float, slope: float) -> float:
        """The slope of one number `with_decay`, with that of l1; at 0 that which is nearest to 0."""
        if not self._shrinkage:
            return slope
        return slope + math.copysign(self._shrinkage, theta) if theta else float(shrunk(slope, self._shrinkage))

    def moved(self, theta: Any, rate: float, gradient: Any) -> Any:
        """The next theta, from the gradient `with_decay`."""
        if self.metric is not None:
            return self.metric.moved(theta, rate, gradient, self._shrinkage)
        new = theta - rate * gradient
        if not self._shrinkage:
            return new
        if np.ndim(new) == 0:
            return float(shrunk(new, rate * self._shrinkage))
        new[self._first:] = shrunk(new[self._first:], rate * self._shrinkage)
        return new

    def size(self, step: Any) -> float:
        """How far a step goes, by the measure of the rule."""
        if self.metric is not None:
            return self.metric.size(step)
        return max_abs(step if self._sizes is None else step * self._sizes)

    def squared(self, step: Any) -> float:
        """The squared length of a step, in the metric in which it is made."""
        return float(np.dot(step, step)) if self.metric is None else self.metric.squared(step)

    def agreement(self, step: Any, gradient: Any, move: Any) -> float:
        """Below 0 if a step along the gradient goes against a move; of a proximal step the step itself tells."""
        if not self._shrinkage:
            return -float(np.dot(gradient, move))
        if self.metric is None:
            return float(np.dot(step, move))
        whole, one, other = (self.squared(each) for each in (step + move, step, move))
        return (whole - one - other) / 2
