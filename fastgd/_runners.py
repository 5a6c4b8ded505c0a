"""Runners: each makes updates of one method, as many at a time as it is handed learning rates.

A runner has

    theta                       the current theta
    most                        how many updates it should be asked for at once
    is_deterministic            whether the next theta depends on nothing but the last one and the learning rate
    advance(alphas, thetas)     update, write each new theta to `thetas`, stop after one shorter than tol or not
                                finite; return how many were made and whether the last was shorter than tol

and can be resumed after any call.
"""
import math

import numpy as np

from fastgd._checks import SLICE, check_one_number
from fastgd._driver import Outcome, drive
from fastgd._kernels import descent, mean, shuffle
from fastgd.results import CYCLE, LIMIT_REACHED

#: Evaluations of a slope at a point that take well under 50 ms, so that Ctrl-C is answered between two calls.
_EVALUATIONS = 2**24
_MOST_BATCH = 4096
#: 96 KiB of rates and as much of thetas: below the size for which malloc maps fresh pages at every call.
_MOST_STOCHASTIC = 12_288


def batch_runner(problem, theta0, tol, *, most=_MOST_BATCH):
    """The runner of batch descent for this problem, to be asked for at most so many updates at once."""
    if not problem.is_compiled:
        return CallableBatch(problem.gradient, problem.dataset, theta0, tol, most)
    if problem.targets.size > SLICE:
        return CallableBatch(_typed_gradient(problem.gradient), problem.targets, theta0, tol, 1)
    return CompiledBatch(problem, theta0, tol, most)


def stochastic_runner(problem, points, batch_size, bit_generator, theta0, tol):
    """The runner of stochastic descent (`batch_size` None) or mini-batch descent; it shuffles `points` in place."""
    gradient = problem.gradient
    if problem.is_compiled and (batch_size is None or batch_size <= SLICE):
        return CompiledStochastic(gradient, points, batch_size or 1, bit_generator, theta0, tol)
    if problem.is_compiled:
        gradient = _typed_gradient(gradient)
    return CallableStochastic(gradient, points, batch_size, bit_generator, theta0, tol)


def _typed_gradient(gradient):
    """The compiled gradient as a function whose scalar has the type of the data, as that of numpy's mean has."""
    return lambda theta, targets: gradient.means(np.array([theta], targets.dtype), targets)[0]


class CompiledBatch:
    """Batch descent in a kernel."""

    is_deterministic = True

    def __init__(self, problem, theta0, tol, most):
        self.theta = theta0
        self.most = min(most, _EVALUATIONS // problem.targets.size)
        self._kernel = problem.gradient.kernel
        self._batch = problem.gradient.compiled(descent.batch, problem.targets.dtype)
        self._targets = problem.targets
        self._tol = tol

    def advance(self, alphas, thetas):
        count, converged = self._batch(self._kernel, self._targets, alphas, self.theta, self._tol, thetas)
        self.theta = thetas.item(count - 1)
        return count, converged


class CompiledStochastic:
    """Stochastic and mini-batch descent in a kernel."""

    is_deterministic = False

    def __init__(self, gradient, points, batch_size, bit_generator, theta0, tol):
        self.theta = theta0
        self.most = max(1, min(_MOST_STOCHASTIC, _EVALUATIONS // batch_size))
        self._kernel = gradient.kernel
        self._stochastic = gradient.compiled(descent.stochastic, points.dtype)
        self._points = points
        self._batch_size = batch_size
        self._generator = bit_generator
        self._place = np.array([points.size, 0], dtype=np.intp)
        self._tol = tol

    def advance(self, alphas, thetas):
        count = 0
        while count == 0:    # a call may end in the middle of a long shuffle, to let Python answer Ctrl-C
            with self._generator.lock:
                count, converged = self._stochastic(
                    self._kernel, self._points, self._batch_size, self._generator.capsule, self._place, alphas,
                    self.theta, self._tol, thetas)
        self.theta = thetas.item(count - 1)
        return count, converged


class _CallableRunner:
    """Updates with a Python gradient, called as the textbook calls it."""

    def __init__(self, gradient, theta0, tol, most):
        self.theta = theta0
        self.most = most
        self._gradient = gradient
        self._tol = tol

    def advance(self, alphas, thetas):
        for k, alpha in enumerate(alphas.tolist()):
            slope = self._gradient(self.theta, self._next_points())
            check_one_number(slope, "grad_loss_fn", "slope")
            new = self.theta - alpha * slope
            converged = bool(abs(new - self.theta) < self._tol)
            thetas[k] = self.theta = new
            if converged or not math.isfinite(new):
                return k + 1, converged
        return len(alphas), False


class CallableBatch(_CallableRunner):
    """Batch descent on a Python gradient."""

    is_deterministic = True

    def __init__(self, gradient, dataset, theta0, tol, most):
        super().__init__(gradient, theta0, tol, most)
        self._dataset = dataset

    def _next_points(self):
        return self._dataset


class CallableStochastic(_CallableRunner):
    """Stochastic descent (`batch_size` None: the gradient gets a scalar) and mini-batch descent (it gets a slice)."""

    is_deterministic = False

    def __init__(self, gradient, points, batch_size, bit_generator, theta0, tol):
        super().__init__(gradient, theta0, tol, _MOST_BATCH)
        self._points = points
        self._batch_size = batch_size
        self._generator = bit_generator
        self._shuffle = shuffle.shuffle["float" if points.dtype == np.float32 else "double"]
        self._position = points.size

    def _next_points(self):
        if self._position >= self._points.size:
            self._shuffle_all()
            self._position = 0
        start = self._position
        self._position += self._batch_size or 1
        return self._points[start] if self._batch_size is None else self._points[start:self._position]

    def _shuffle_all(self):
        for top in range(self._points.size - 1, 0, -SLICE):
            with self._generator.lock:
                self._shuffle(self._generator.capsule, self._points, top, max(0, top - SLICE))


def run_many(problem, starts, rates, tol, limit):
    """The Outcome of batch descent from each of `starts`, a float64 array."""
    def alone(start):
        return drive(batch_runner(problem, start, tol), rates, limit)

    if not problem.is_compiled or problem.targets.size > SLICE:
        return [alone(start) for start in starts.tolist()]
    thetas, previous, updates, endings = _advance_many(problem, starts, rates, tol, limit)
    last_rates = {count: rates(count - 1, 1).item() for count in set(updates.tolist())}
    rows = zip(*(array.tolist() for array in (starts, thetas, previous, updates, endings)), strict=True)
    # The driver knows what to say of a cycle, and finds it at the same update.
    return [alone(start) if status == CYCLE else
            Outcome(theta, before, count, LIMIT_REACHED if status < 0 else status, last_rates[count])
            for start, theta, before, count, status in rows]


def _advance_many(problem, starts, rates, tol, limit):
    """Where `starts` got to, in one compiled call for each chunk of updates."""
    gradient, targets, m = problem.gradient, problem.targets, len(starts)
    advance = gradient.compiled(descent.batch_many, targets.dtype)
    thetas, previous, anchors = starts.copy(), starts.copy(), np.empty(m)
    updates, endings = np.zeros(m, dtype=np.intp), np.full(m, -1, dtype=np.intp)
    scratch = np.empty(m * (mean.levels(targets.size) + 2), targets.dtype)
    most = max(1, min(_MOST_BATCH, _EVALUATIONS // (targets.size * m)))
    done, running = 0, m
    while running and done < limit:
        alphas = rates(done, min(most, limit - done))
        running = advance(gradient.kernel, targets, alphas, tol, rates.is_constant, done, thetas, previous, anchors,
                          updates, endings, scratch)
        done += len(alphas)
    return thetas, previous, updates, endings
