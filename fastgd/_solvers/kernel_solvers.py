"""Solvers of compiled losses whose updates are made in a kernel: batch, stochastic and mini-batch descent."""
from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from fastgd._kernels import descent, linear
from fastgd._kernels.shuffle import Visits
from fastgd._kernels.step import ArraySteps, NumberSteps
from fastgd._solvers.base import BATCH_UPDATES, BUFFER_NUMBERS, Scheduled, Steps
from fastgd.losses.base import EVALUATIONS

if TYPE_CHECKING:
    from collections.abc import Callable

    from fastgd._data import LinearModelData
    from fastgd._types import DoubleArray, FloatArray, IndexArray, Rates
    from fastgd.losses import Gradient
    from fastgd.penalties import Penalty

    #: Compiled loop: from learning rates and a buffer to the number of updates, and True if the last step was short.
    Kernel: TypeAlias = Callable[[DoubleArray, DoubleArray], tuple[int, bool]]

#: Updates of a stochastic descent in one call of a kernel: 96 KiB of rates and as much of thetas, below the size for
#: which malloc maps fresh pages at every call.
STOCHASTIC_UPDATES = 12_288


class _KernelSolver(Scheduled):
    """Solver whose updates are made by a kernel, which changes the state of its steps in place."""

    is_deterministic = True
    records_all = False

    def __init__(self, rates: Rates, first_update: int, by_step: bool, steps: Any, kernel: Kernel) -> None:
        self._rates, self._done = rates, first_update
        self.stops_when_short, self.has_moved = by_step, rates.is_constant
        self.is_deterministic = self.is_deterministic and rates.is_constant
        self._steps, self._kernel, self._stopped = steps, kernel, by_step
        self._buffer: DoubleArray | None = None

    def _prepare(self, most: int) -> DoubleArray:
        """Return the rates of the next updates; set in the kernel if a short step ends the run."""
        rates = self.next_rates(most)
        if self.stops != self._stopped:
            self._steps.ends_when_short = self._stopped = self.stops
        return rates


class _NumberSolver(_KernelSolver):
    """Updates of one number."""

    capacity = BATCH_UPDATES
    _steps: NumberSteps

    def advance(self, most: int) -> Steps:
        most, steps = most if most < self.capacity else self.capacity, self._steps
        rates = self._rates(0, most) if self.is_deterministic else self._prepare(most)
        if self._buffer is None:
            self._buffer = np.empty(self.capacity)
        count, is_short = self._kernel(rates, self._buffer[:rates.size])
        self._done += count
        self.theta, self.previous = steps.theta, steps.previous
        return Steps(self._buffer[:count], rates[:count], is_short)


class NumberBatch(_NumberSolver):
    """Batch descent of one number."""

    def __init__(self, gradient: Gradient, targets: FloatArray, theta0: float, rates: Rates, tol: float, by_step: bool,
                 first_update: int = 0) -> None:
        steps = NumberSteps(theta0, tol, by_step)
        self.theta = self.previous = steps.theta
        self.evaluations, self.at_once = targets.size, gradient.at_once
        batch = gradient.version(descent.batch, targets.dtype)
        super().__init__(rates, first_update, by_step, steps,
                         functools.partial(batch, gradient.kernel, targets, steps))


class NumberStochastic(_NumberSolver):
    """Stochastic and mini-batch descent of one number; the points are shuffled in place."""

    is_deterministic = False
    capacity = STOCHASTIC_UPDATES

    def __init__(self, gradient: Gradient, points: FloatArray, batch_size: int, bit_generator: np.random.BitGenerator,
                 theta0: float, rates: Rates, tol: float, by_step: bool, first_update: int = 0) -> None:
        steps = NumberSteps(theta0, tol, by_step)
        self.theta = self.previous = steps.theta
        self.evaluations, self.at_once = batch_size, gradient.at_once
        visits = Visits(bit_generator.capsule, points.size, batch_size)
        stochastic = functools.partial(gradient.version(descent.stochastic, points.dtype), gradient.kernel, points,
                                       visits, steps)
        super().__init__(rates, first_update, by_step, steps, functools.partial(_shuffling, bit_generator, stochastic))


def _shuffling(generator: np.random.BitGenerator, stochastic: Kernel, rates: DoubleArray,
               thetas: DoubleArray) -> tuple[int, bool]:
    """Call a stochastic kernel until it made an update: a call may end before one, in a long shuffle.

    Between two calls the generator's lock is free, and Python answers Ctrl-C.
    """
    count, is_short = 0, False
    while count == 0:
        with generator.lock:
            count, is_short = stochastic(rates, thetas)
    return count, is_short


class _ArraySolver(_KernelSolver):
    """Updates of an array."""

    _steps: ArraySteps
    _writes_all = True    # the kernel of a batch descent, and that of a stochastic one if there is room
    max_capacity = BATCH_UPDATES

    def __init__(self, theta0: DoubleArray, rates: Rates, tol: float, by_step: bool, first_update: int, levels: int,
                 kernel: Callable[..., tuple[int, bool]]) -> None:
        self.theta = self.previous = theta0
        self._now, self._before = theta0.copy(), theta0.copy()
        steps = ArraySteps(self._now, self._before, np.empty((levels + 1, len(theta0))), tol, by_step)
        super().__init__(rates, first_update, by_step, steps, functools.partial(kernel, steps))

    @property
    def capacity(self) -> int:
        if self.records_all or self._writes_all:
            return min(self.max_capacity, max(1, BUFFER_NUMBERS // len(self.theta)))
        return self.max_capacity

    def _new_buffer(self) -> DoubleArray:
        is_whole = self.records_all or self._writes_all
        return np.empty((self.capacity if is_whole else 1, len(self.theta)))

    def advance(self, most: int) -> Steps:
        rates = self._prepare(min(most, self.capacity))
        if self._buffer is None:
            self._buffer = self._new_buffer()
        thetas = self._buffer
        count, is_short = self._kernel(rates, thetas[:len(rates)])
        self._done += count
        self.theta, self.previous = self._now.copy(), self._before.copy()
        if len(thetas) < len(rates):
            thetas[-1] = self._now
        return Steps(thetas[:count], rates[:count], is_short)


class ArrayBatch(_ArraySolver):
    """Batch descent of a linear model."""

    def __init__(self, gradient: Gradient, rows: LinearModelData, theta0: DoubleArray, rates: Rates, tol: float,
                 by_step: bool, first_update: int = 0) -> None:
        self.evaluations, self.at_once = rows.X.size, gradient.at_once
        batch = gradient.version(linear.batch, rows.X.dtype)

        def kernel(steps: ArraySteps, rates: DoubleArray, thetas: DoubleArray) -> tuple[int, bool]:
            return batch(gradient.kernel, rows.X, rows.kernel, steps, rates, thetas)

        super().__init__(theta0, rates, tol, by_step, first_update, linear.levels(rows.n), kernel)


class GramBatch(_ArraySolver):
    """Batch descent of a linear model on a quadratic loss, by its Gram matrix: X is read once."""

    def __init__(self, gram: DoubleArray, moment: DoubleArray, theta0: DoubleArray, rates: Rates, tol: float,
                 by_step: bool, first_update: int = 0) -> None:
        self.evaluations, self.at_once = gram.size, EVALUATIONS
        super().__init__(theta0, rates, tol, by_step, first_update, 0,
                         functools.partial(linear.batch_squared, gram, moment))


class ArrayStochastic(_ArraySolver):
    """Stochastic and mini-batch descent of a linear model; the order of the rows is shuffled."""

    is_deterministic = _writes_all = False
    max_capacity = STOCHASTIC_UPDATES

    def __init__(self, gradient: Gradient, rows: LinearModelData, order: IndexArray, batch_size: int,
                 bit_generator: np.random.BitGenerator, theta0: DoubleArray, rates: Rates, tol: float, by_step: bool,
                 first_update: int = 0) -> None:
        self.evaluations, self.at_once = batch_size * rows.n_parameters, gradient.at_once
        visits = Visits(bit_generator.capsule, order.size, batch_size)
        stochastic = gradient.version(linear.stochastic, rows.X.dtype)

        def kernel(steps: ArraySteps, rates: DoubleArray, thetas: DoubleArray) -> tuple[int, bool]:
            call = functools.partial(stochastic, gradient.kernel, rows.X, rows.kernel, order, visits, steps)
            return _shuffling(bit_generator, call, rates, thetas)

        super().__init__(theta0, rates, tol, by_step, first_update, linear.levels(batch_size), kernel)
        self._features = rows.X.shape[1]

    def set_proximal(self, preconditioner: Any, penalty: Penalty | None) -> None:
        """Set the preconditioner and the penalty of the steps."""
        p = self._features
        shift, sizes = getattr(preconditioner, "shift", np.zeros(p)), getattr(preconditioner, "sizes", np.ones(p))
        l1, l2 = (0.0, 0.0) if penalty is None else (penalty.l1, penalty.l2)
        self._steps.set_proximal(1.0 if preconditioner is None else preconditioner.unit, l2, l1, shift, sizes)


class OneWeight:
    """Adapter from rows of the one number 1 to a number: a stochastic descent with weights or a penalty."""

    is_deterministic = False

    def __init__(self, rows: ArrayStochastic) -> None:
        self._rows = rows
        rows.records_all = True
        self.evaluations, self.at_once, self.capacity, self.records_all = (
            rows.evaluations, rows.at_once, rows.capacity, True)

    @property
    def stops_when_short(self) -> bool:
        return self._rows.stops_when_short

    @stops_when_short.setter
    def stops_when_short(self, value: bool) -> None:
        self._rows.stops_when_short = value

    @property
    def has_moved(self) -> bool:
        return self._rows.has_moved

    @has_moved.setter
    def has_moved(self, value: bool) -> None:
        self._rows.has_moved = value

    @property
    def theta(self) -> float:
        return float(self._rows.theta[0])

    @property
    def previous(self) -> float:
        return float(self._rows.previous[0])

    def advance(self, most: int) -> Steps:
        steps = self._rows.advance(most)
        return steps._replace(thetas=steps.thetas.reshape(-1))
