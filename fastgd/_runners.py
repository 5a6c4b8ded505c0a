"""Runners: each makes updates of one method, as many at a time as it is handed learning rates.

A runner has

    theta                       the current theta
    previous                    the theta before it, after an update
    is_deterministic            whether the next theta depends on nothing but the last one and the learning rate
    buffer(limit, every)        how many updates it should be asked for at once, `limit` at most, and an array for their
                                thetas; unless `every` one is asked for, perhaps for the last of them only
    advance(alphas, thetas)     update, write each new theta to `thetas`, or if that is short the last; stop after an
                                update shorter than tol or not finite; return how many were made, and whether the last
                                was shorter than tol

and can be resumed after any call. A theta is a float, or for a linear model an array that is not changed any more.
"""
from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from fastgd._checks import SLICE, check_one_number
from fastgd._design import MOST_FOR_GRAM
from fastgd._driver import Outcome, drive, is_finite, largest
from fastgd._kernels import descent, linear, mean, shuffle
from fastgd.losses import MANY_POINTS, SquaredError
from fastgd.results import CYCLE, LIMIT_REACHED

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from fastgd._design import Design
    from fastgd._problem import Problem
    from fastgd._threads import Threads
    from fastgd._types import DoubleArray, FloatArray, IndexArray, Rates, Runner, Theta
    from fastgd.losses import Gradient

#: Evaluations of a slope at a point that take well under 50 ms, so that Ctrl-C is answered between two calls.
_EVALUATIONS = 2**24
_MOST_BATCH = 4096
#: 96 KiB of rates and as much of thetas: below the size for which malloc maps fresh pages at every call.
_MOST_STOCHASTIC = 12_288
#: Numbers of the thetas of a linear model that are kept at once: 512 KiB.
_MOST_KEPT = 2**16
#: The names of the types that are shuffled: points, and indices of rows.
_SHUFFLED = {"f": "float", "d": "double", np.dtype(np.intp).char: "Py_ssize_t"}


def batch_runner(problem: Problem, theta0: Any, tol: float, limit: int, *, most: int = _MOST_BATCH) -> Runner:
    """The runner of batch descent on this problem, for `limit` updates in all and `most` at once."""
    gradient, targets = problem.compiled, problem.targets
    if gradient is None:
        return CallableBatch(problem.gradient, problem.dataset, theta0, tol, most)
    if problem.design is not None:
        return _linear_batch_runner(problem, gradient, problem.design, theta0, tol, limit, most)
    if targets.size > (SLICE if problem.threads.count == 1 else MANY_POINTS):
        return CallableBatch(_typed_gradient(gradient, problem.threads), targets, theta0, tol, 1)
    return CompiledBatch(gradient, targets, theta0, tol, most)


def _linear_batch_runner(problem: Problem, gradient: Gradient, design: Design, theta0: DoubleArray, tol: float,
                         limit: int, most: int) -> Runner:
    q = design.n_parameters
    # The Gram matrix costs about a pass for every 20 parameters and is worth it unless the run is short.
    if isinstance(gradient.loss, SquaredError) and q <= min(MOST_FOR_GRAM, len(design.X)) and limit > q // 20:
        return SquaredBatch(design, theta0, tol, most)
    if design.X.size > MANY_POINTS:
        return CallableBatch(
            lambda theta, rows: gradient.over_rows(theta, design, problem.threads), None, theta0, tol, 1)
    return LinearBatch(gradient, design, theta0, tol, most)


def stochastic_runner(problem: Problem, points: NDArray[Any], batch_size: int | None,
                      bit_generator: np.random.BitGenerator, theta0: Any, tol: float) -> Runner:
    """The runner of stochastic descent (`batch_size` None) or mini-batch descent; it shuffles `points` in place.

    The points of a linear problem are indices of rows.
    """
    gradient, design = problem.compiled, problem.design
    if gradient is None:
        # A Python function of a linear model gets a matrix of one row for a point.
        size = 1 if design is not None and batch_size is None else batch_size
        return CallableStochastic(problem.gradient, points, size, bit_generator, theta0, tol)
    if design is not None:
        return LinearStochastic(gradient, design, points, batch_size or 1, bit_generator, theta0, tol)
    if batch_size is None or batch_size <= SLICE:
        return CompiledStochastic(gradient, points, batch_size or 1, bit_generator, theta0, tol)
    typed = _typed_gradient(gradient, problem.threads)
    return CallableStochastic(typed, points, batch_size, bit_generator, theta0, tol)


def _typed_gradient(gradient: Gradient, threads: Threads) -> Callable[[float, FloatArray], Any]:
    """The compiled gradient as a function whose scalar has the type of the data, as that of numpy's mean has."""
    return lambda theta, targets: gradient.means(np.array([theta], targets.dtype), targets, threads)[0]


class _ConstantRunner:
    """Updates of one number."""

    theta: float
    previous: float
    _most: int

    def buffer(self, limit: int, every: bool) -> tuple[int, DoubleArray]:
        most = min(self._most, limit)
        return most, np.empty(most)

    def _moved(self, count: int, thetas: DoubleArray) -> None:
        self.previous = thetas.item(count - 2) if count > 1 else float(self.theta)
        self.theta = thetas.item(count - 1)


class CompiledBatch(_ConstantRunner):
    """Batch descent in a kernel."""

    is_deterministic = True

    def __init__(self, gradient: Gradient, targets: FloatArray, theta0: float, tol: float, most: int) -> None:
        self.theta = theta0
        self._most = min(most, _EVALUATIONS // targets.size)
        self._kernel = gradient.kernel
        self._batch = gradient.compiled(descent.batch, targets.dtype)
        self._targets = targets
        self._tol = tol

    def advance(self, alphas: DoubleArray, thetas: DoubleArray) -> tuple[int, bool]:
        count, converged = self._batch(self._kernel, self._targets, alphas, self.theta, self._tol, thetas)
        self._moved(count, thetas)
        return count, converged


class CompiledStochastic(_ConstantRunner):
    """Stochastic and mini-batch descent in a kernel."""

    is_deterministic = False

    def __init__(self, gradient: Gradient, points: FloatArray, batch_size: int, bit_generator: np.random.BitGenerator,
                 theta0: float, tol: float) -> None:
        self.theta = theta0
        self._most = max(1, min(_MOST_STOCHASTIC, _EVALUATIONS // batch_size))
        self._kernel = gradient.kernel
        self._stochastic = gradient.compiled(descent.stochastic, points.dtype)
        self._points = points
        self._batch_size = batch_size
        self._generator = bit_generator
        self._place = np.array([points.size, 0], dtype=np.intp)
        self._tol = tol

    def advance(self, alphas: DoubleArray, thetas: DoubleArray) -> tuple[int, bool]:
        count = 0
        while count == 0:    # a call may end in the middle of a long shuffle, to let Python answer Ctrl-C
            with self._generator.lock:
                count, converged = self._stochastic(
                    self._kernel, self._points, self._batch_size, self._generator.capsule, self._place, alphas,
                    self.theta, self._tol, thetas)
        self._moved(count, thetas)
        return count, converged


class _LinearRunner:
    """Updates of an array, in a kernel that changes it in place."""

    theta: DoubleArray
    previous: DoubleArray
    is_deterministic: bool

    def __init__(self, theta0: DoubleArray, tol: float, most: int, numbers: int) -> None:
        self.theta = theta0
        self._most = max(1, min(most, _EVALUATIONS // numbers))    # an update reads so many
        self._tol = tol
        self._now, self._before = theta0.copy(), theta0.copy()

    def buffer(self, limit: int, every: bool) -> tuple[int, DoubleArray]:
        q, most = len(self.theta), min(self._most, limit)
        if every or self.is_deterministic:
            most = min(most, max(1, _MOST_KEPT // q))
            return most, np.empty((most, q))
        return most, np.empty((1, q))

    def _moved(self, alphas: DoubleArray, thetas: DoubleArray) -> None:
        self.theta, self.previous = self._now.copy(), self._before.copy()
        if len(thetas) < len(alphas):
            thetas[-1] = self._now


class LinearBatch(_LinearRunner):
    """Batch descent of a linear model."""

    is_deterministic = True

    def __init__(self, gradient: Gradient, design: Design, theta0: DoubleArray, tol: float, most: int) -> None:
        super().__init__(theta0, tol, most, design.X.size)
        self._batch = gradient.compiled(linear.batch, design.X.dtype)
        self._arguments = gradient.kernel, design.X, design.targets, design.intercept
        self._scratch = np.empty((2, design.n_parameters))

    def advance(self, alphas: DoubleArray, thetas: DoubleArray) -> tuple[int, bool]:
        count, converged = self._batch(*self._arguments, alphas, self._now, self._before, self._tol, thetas,
                                       self._scratch)
        self._moved(alphas, thetas)
        return count, converged


class SquaredBatch(_LinearRunner):
    """Batch descent of a linear model on the squared error, by its Gram matrix: X is read once."""

    is_deterministic = True

    def __init__(self, design: Design, theta0: DoubleArray, tol: float, most: int) -> None:
        super().__init__(theta0, tol, most, design.n_parameters**2)
        self._gram, self._moment = design.gram()
        self._scratch = np.empty(design.n_parameters)

    def advance(self, alphas: DoubleArray, thetas: DoubleArray) -> tuple[int, bool]:
        count, converged = linear.batch_squared(self._gram, self._moment, alphas, self._now, self._before, self._tol,
                                                thetas, self._scratch)
        self._moved(alphas, thetas)
        return count, converged


class LinearStochastic(_LinearRunner):
    """Stochastic and mini-batch descent of a linear model; the order of the rows is shuffled."""

    is_deterministic = False

    def __init__(self, gradient: Gradient, design: Design, order: IndexArray, batch_size: int,
                 bit_generator: np.random.BitGenerator, theta0: DoubleArray, tol: float) -> None:
        super().__init__(theta0, tol, _MOST_STOCHASTIC, batch_size * design.n_parameters)
        self._stochastic = gradient.compiled(linear.stochastic, design.X.dtype)
        self._arguments = gradient.kernel, design.X, design.targets, design.intercept, order, batch_size
        self._generator = bit_generator
        self._place = np.array([order.size, 0], dtype=np.intp)
        self._scratch = np.empty(design.n_parameters)

    def advance(self, alphas: DoubleArray, thetas: DoubleArray) -> tuple[int, bool]:
        count = 0
        while count == 0:    # as in CompiledStochastic
            with self._generator.lock:
                count, converged = self._stochastic(
                    *self._arguments, self._generator.capsule, self._place, alphas, self._now, self._before, self._tol,
                    thetas, self._scratch)
        self._moved(alphas, thetas)
        return count, converged


class _CallableRunner:
    """Updates with a Python gradient, called as the textbook calls it."""

    theta: Theta
    previous: Theta

    def __init__(self, gradient: Callable[..., Any], theta0: Theta, tol: float, most: int) -> None:
        self.theta = theta0
        self._most = most
        self._gradient = gradient
        self._tol = tol

    def _next_points(self) -> Any:
        """What the gradient is called with, beside theta."""
        raise NotImplementedError

    def buffer(self, limit: int, every: bool) -> tuple[int, DoubleArray]:
        most = min(self._most, limit)
        return most, np.empty((most, *np.shape(self.theta)))

    def advance(self, alphas: DoubleArray, thetas: DoubleArray) -> tuple[int, bool]:
        is_number = np.ndim(self.theta) == 0
        for k, alpha in enumerate(alphas.tolist()):
            slope = self._gradient(self.theta, self._next_points())
            if is_number:
                check_one_number(slope, "grad_loss_fn", "slope")
            new = self.theta - alpha * slope
            converged = bool(largest(new - self.theta) < self._tol)
            self.previous, self.theta = self.theta, new
            thetas[k] = new
            if converged or not is_finite(new):
                return k + 1, converged
        return len(alphas), False


class CallableBatch(_CallableRunner):
    """Batch descent on a Python gradient."""

    is_deterministic = True

    def __init__(self, gradient: Callable[..., Any], dataset: Any, theta0: Theta, tol: float, most: int) -> None:
        super().__init__(gradient, theta0, tol, most)
        self._dataset = dataset

    def _next_points(self) -> Any:
        return self._dataset


class CallableStochastic(_CallableRunner):
    """Stochastic descent (`batch_size` None: the gradient gets a scalar) and mini-batch descent (it gets a slice)."""

    is_deterministic = False

    def __init__(self, gradient: Callable[..., Any], points: NDArray[Any], batch_size: int | None,
                 bit_generator: np.random.BitGenerator, theta0: Theta, tol: float) -> None:
        super().__init__(gradient, theta0, tol, _MOST_BATCH)
        self._points = points
        self._batch_size = batch_size
        self._generator = bit_generator
        self._shuffle = shuffle.shuffle[_SHUFFLED[points.dtype.char]]
        self._position = points.size

    def _next_points(self) -> Any:
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


def run_many(problem: Problem, starts: DoubleArray, rates: Rates, tol: float, limit: int) -> list[Outcome]:
    """The Outcome of batch descent from each of `starts`, a float64 array."""
    def alone(start: float) -> Outcome:
        return drive(batch_runner(problem, start, tol, limit), rates, limit)

    if problem.compiled is None or problem.targets.size > SLICE:
        return [alone(start) for start in starts.tolist()]
    thetas, previous, updates, endings = _advance_many(problem.compiled, problem.targets, starts, rates, tol, limit)
    last_rates = {count: rates(count - 1, 1).item() for count in set(updates.tolist())}
    rows = zip(*(array.tolist() for array in (starts, thetas, previous, updates, endings)), strict=True)
    # The driver knows what to say of a cycle, and finds it at the same update.
    return [alone(start) if status == CYCLE else
            Outcome(theta, before, count, LIMIT_REACHED if status < 0 else status, last_rates[count])
            for start, theta, before, count, status in rows]


def _advance_many(
    gradient: Gradient, targets: FloatArray, starts: DoubleArray, rates: Rates, tol: float, limit: int,
) -> tuple[DoubleArray, DoubleArray, IndexArray, IndexArray]:
    """Where `starts` got to, in one compiled call for each chunk of updates."""
    m = len(starts)
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
