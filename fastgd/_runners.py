"""Runners: each makes updates of one method, as many at a time as it is handed learning rates.

A runner has

    theta                       the current theta
    most                        how many updates it should be asked for at once
    advance(alphas, thetas)     update, write each new theta to `thetas`, stop after one shorter than tol or not
                                finite; return how many were made and whether the last was shorter than tol

and can be resumed after any call.
"""
import math

import numpy as np

from fastgd._checks import SLICE
from fastgd._kernels import descent

#: Evaluations of a slope at a point that take well under 50 ms, so that Ctrl-C is answered between two calls.
_EVALUATIONS = 2**24
_MOST = 4096


def batch_runner(problem, theta0, tol, *, observed):
    """The runner of batch descent for this problem; `observed`: something looks on between two updates."""
    if not problem.is_compiled:
        return CallableBatch(problem.gradient, problem.dataset, theta0, tol, most=1 if observed else _MOST)
    if problem.targets.size > SLICE:
        return CallableBatch(_typed_gradient(problem), problem.targets, theta0, tol, most=1)
    return CompiledBatch(problem, theta0, tol)


def _typed_gradient(problem):
    """The compiled gradient as a function whose scalar has the type of the data, as that of numpy's mean has."""
    return lambda theta, targets: problem.gradient.means(np.array([theta], targets.dtype), targets)[0]


class CompiledBatch:
    """Batch descent in a kernel."""

    def __init__(self, problem, theta0, tol):
        self.theta = theta0
        self.most = min(_MOST, _EVALUATIONS // problem.targets.size)
        self._kernel = problem.gradient.kernel
        self._batch = problem.gradient.compiled(descent.batch, problem.targets.dtype)
        self._targets = problem.targets
        self._tol = tol

    def advance(self, alphas, thetas):
        count, converged = self._batch(self._kernel, self._targets, alphas, self.theta, self._tol, thetas)
        self.theta = thetas.item(count - 1)
        return count, converged


class CallableBatch:
    """Batch descent on a Python gradient, called as the textbook calls it."""

    def __init__(self, gradient, dataset, theta0, tol, *, most):
        self.theta = theta0
        self.most = most
        self._gradient = gradient
        self._dataset = dataset
        self._tol = tol

    def advance(self, alphas, thetas):
        for k, alpha in enumerate(alphas.tolist()):
            slope = self._gradient(self.theta, self._dataset)
            if np.ndim(slope) != 0:
                raise TypeError("grad_loss_fn must return one number, the mean slope over the points. "
                                f"Got an array of shape {np.shape(slope)}.")
            new = self.theta - alpha * slope
            converged = bool(abs(new - self.theta) < self._tol)
            thetas[k] = self.theta = new
            if converged or not math.isfinite(new):
                return k + 1, converged
        return len(alphas), False
