"""Runners of our own losses: the updates are made in a kernel.

A runner has

    theta                       the current theta
    previous                    the theta before it, after an update
    is_deterministic            whether the next theta depends on nothing but the last one and the learning rate
    ends_when_short             whether a step shorter than tol ends the run; may be set
    evaluations                 in one update, of the loss at a point, or of a product where that takes longer; 0 if it
                                answers Ctrl-C by itself
    at_once                     evaluations that one call of `advance` may begin with, until their time is known
    buffer(limit, every)        how many updates it should be asked for at once, `limit` at most, and an array for their
                                thetas; unless `every` one is asked for, perhaps for the last of them only
    advance(alphas, thetas)     update, write each new theta to `thetas`, or if that is short the last; stop after an
                                update that ends the run or is not finite; return how many were made, and whether the
                                last was short

and can be resumed after any call. A theta is a float, or for a linear model an array that is not changed any more.
"""
from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import numpy as np

from fastgd._kernels import descent, linear
from fastgd._kernels.shuffle import Visits
from fastgd._kernels.step import ArraySteps, NumberSteps
from fastgd._limits import BATCH_UPDATES, EVALUATIONS, NUMBERS_KEPT, STOCHASTIC_UPDATES

if TYPE_CHECKING:
    from collections.abc import Callable

    from fastgd._data import LinearModelData
    from fastgd._kernels.step import Steps
    from fastgd._types import DoubleArray, FloatArray, IndexArray
    from fastgd.losses import Gradient
    from fastgd.penalties import Penalty


def _advanced(generator: np.random.BitGenerator, stochastic: Callable[[DoubleArray, DoubleArray], tuple[int, bool]],
              alphas: DoubleArray, thetas: DoubleArray) -> tuple[int, bool]:
    """What a stochastic kernel answers once it made an update: a call may end before one, in a long shuffle.

    Between two calls the generator's lock is free, and Python answers Ctrl-C.
    """
    count, is_short = 0, False
    while count == 0:
        with generator.lock:
            count, is_short = stochastic(alphas, thetas)
    return count, is_short


class _KernelRunner:
    """Updates in a kernel."""

    _steps: Steps

    @property
    def ends_when_short(self) -> bool:
        return self._steps.ends_when_short

    @ends_when_short.setter
    def ends_when_short(self, value: bool) -> None:
        self._steps.ends_when_short = value


class _NumberRunner(_KernelRunner):
    """Updates of one number."""

    _steps: NumberSteps

    def __init__(self, theta0: float, tol: float, by_step: bool, most: int) -> None:
        self._steps = NumberSteps(theta0, tol, by_step)
        self._most = most

    @property
    def theta(self) -> float:
        return self._steps.theta

    @property
    def previous(self) -> float:
        return self._steps.previous

    def buffer(self, limit: int, every: bool) -> tuple[int, DoubleArray]:
        most = min(self._most, limit)
        return most, np.empty(most)


class NumberBatch(_NumberRunner):
    """Batch descent of one number."""

    is_deterministic = True

    def __init__(self, gradient: Gradient, targets: FloatArray, theta0: float, tol: float, by_step: bool,
                 most: int = BATCH_UPDATES) -> None:
        super().__init__(theta0, tol, by_step, most)
        self.evaluations, self.at_once = targets.size, gradient.at_once
        self._batch = gradient.version(descent.batch, targets.dtype)
        self._kernel = gradient.kernel
        self._targets = targets

    def advance(self, alphas: DoubleArray, thetas: DoubleArray) -> tuple[int, bool]:
        return self._batch(self._kernel, self._targets, self._steps, alphas, thetas)


class NumberStochastic(_NumberRunner):
    """Stochastic and mini-batch descent of one number; the points are shuffled in place."""

    is_deterministic = False

    def __init__(self, gradient: Gradient, points: FloatArray, batch_size: int, bit_generator: np.random.BitGenerator,
                 theta0: float, tol: float, by_step: bool) -> None:
        super().__init__(theta0, tol, by_step, STOCHASTIC_UPDATES)
        self.evaluations, self.at_once = batch_size, gradient.at_once
        visits = Visits(bit_generator.capsule, points.size, batch_size)
        self._generator = bit_generator
        self._stochastic = functools.partial(gradient.version(descent.stochastic, points.dtype), gradient.kernel,
                                             points, visits, self._steps)

    def advance(self, alphas: DoubleArray, thetas: DoubleArray) -> tuple[int, bool]:
        return _advanced(self._generator, self._stochastic, alphas, thetas)


class _ArrayRunner(_KernelRunner):
    """Updates of an array, which a kernel changes in place."""

    _steps: ArraySteps

    is_deterministic = True

    def __init__(self, theta0: DoubleArray, tol: float, by_step: bool, most: int, levels: int) -> None:
        self.theta = self.previous = theta0
        self._most = most
        self._now, self._before = theta0.copy(), theta0.copy()
        self._steps = ArraySteps(self._now, self._before, np.empty((levels + 1, len(theta0))), tol, by_step)

    def buffer(self, limit: int, every: bool) -> tuple[int, DoubleArray]:
        q, most = len(self.theta), min(self._most, limit)
        if every or self.is_deterministic:
            most = min(most, max(1, NUMBERS_KEPT // q))
            return most, np.empty((most, q))
        return most, np.empty((1, q))

    def _moved(self, alphas: DoubleArray, thetas: DoubleArray) -> None:
        self.theta, self.previous = self._now.copy(), self._before.copy()
        if len(thetas) < len(alphas):
            thetas[-1] = self._now


class ArrayBatch(_ArrayRunner):
    """Batch descent of a linear model."""

    def __init__(self, gradient: Gradient, rows: LinearModelData, theta0: DoubleArray, tol: float, by_step: bool,
                 most: int = BATCH_UPDATES) -> None:
        super().__init__(theta0, tol, by_step, most, linear.levels(rows.n))
        self.evaluations, self.at_once = rows.X.size, gradient.at_once
        self._batch = gradient.version(linear.batch, rows.X.dtype)
        self._arguments = gradient.kernel, rows.X, rows.kernel, self._steps

    def advance(self, alphas: DoubleArray, thetas: DoubleArray) -> tuple[int, bool]:
        count, is_short = self._batch(*self._arguments, alphas, thetas)
        self._moved(alphas, thetas)
        return count, is_short


class GramBatch(_ArrayRunner):
    """Batch descent of a linear model on a quadratic loss, by its Gram matrix: X is read once."""

    def __init__(self, gram: DoubleArray, moment: DoubleArray, theta0: DoubleArray, tol: float, by_step: bool,
                 most: int = BATCH_UPDATES) -> None:
        super().__init__(theta0, tol, by_step, most, 0)
        self.evaluations, self.at_once = gram.size, EVALUATIONS
        self._gram, self._moment = gram, moment

    def advance(self, alphas: DoubleArray, thetas: DoubleArray) -> tuple[int, bool]:
        count, is_short = linear.batch_squared(self._gram, self._moment, self._steps, alphas, thetas)
        self._moved(alphas, thetas)
        return count, is_short


class ArrayStochastic(_ArrayRunner):
    """Stochastic and mini-batch descent of a linear model; the order of the rows is shuffled."""

    is_deterministic = False

    def __init__(self, gradient: Gradient, rows: LinearModelData, order: IndexArray, batch_size: int,
                 bit_generator: np.random.BitGenerator, theta0: DoubleArray, tol: float, by_step: bool) -> None:
        super().__init__(theta0, tol, by_step, STOCHASTIC_UPDATES, linear.levels(batch_size))
        self.evaluations, self.at_once = batch_size * rows.n_parameters, gradient.at_once
        visits = Visits(bit_generator.capsule, order.size, batch_size)
        self._features = rows.X.shape[1]
        self._generator = bit_generator
        self._stochastic = functools.partial(gradient.version(linear.stochastic, rows.X.dtype), gradient.kernel, rows.X,
                                             rows.kernel, order, visits, self._steps)

    def take_manner(self, metric: Any, penalty: Penalty | None) -> None:
        """Make steps in this metric and with this penalty."""
        p = self._features
        shift, sizes = getattr(metric, "shift", np.zeros(p)), getattr(metric, "sizes", np.ones(p))
        l1, l2 = (0.0, 0.0) if penalty is None else (penalty.l1, penalty.l2)
        self._steps.take_manner(1.0 if metric is None else metric.unit, l2, l1, shift, sizes)

    def advance(self, alphas: DoubleArray, thetas: DoubleArray) -> tuple[int, bool]:
        count, is_short = _advanced(self._generator, self._stochastic, alphas, thetas)
        self._moved(alphas, thetas)
        return count, is_short


class OfOneWeight:
    """A stochastic descent of rows of the one number 1, as one of a number."""

    is_deterministic = False

    def __init__(self, rows: ArrayStochastic) -> None:
        self._rows = rows
        self.evaluations, self.at_once = rows.evaluations, rows.at_once

    @property
    def ends_when_short(self) -> bool:
        return self._rows.ends_when_short

    @ends_when_short.setter
    def ends_when_short(self, value: bool) -> None:
        self._rows.ends_when_short = value

    @property
    def theta(self) -> float:
        return float(self._rows.theta[0])

    @property
    def previous(self) -> float:
        return float(self._rows.previous[0])

    def buffer(self, limit: int, every: bool) -> tuple[int, DoubleArray]:
        most, thetas = self._rows.buffer(limit, True)
        return most, thetas.reshape(-1)

    def advance(self, alphas: DoubleArray, thetas: DoubleArray) -> tuple[int, bool]:
        return self._rows.advance(alphas, thetas.reshape(-1, 1))
