"""Selection of the solver of a run, by its objective and options."""
from __future__ import annotations

import functools
import math
from typing import TYPE_CHECKING, Any

import numpy as np

from fastgd._data import ConstantModelData, LinearModelData
from fastgd._data.arrays import mean_over, sample_size
from fastgd._format import is_finite
from fastgd._objective.second_moments import RowMoments
from fastgd._options import DescentOptions
from fastgd._pairwise import CACHED_POINTS, MIN_THREADED_POINTS
from fastgd._solvers.base import BATCH_UPDATES, ROUNDING, Solver
from fastgd._solvers.block_sgd import BlockSGD
from fastgd._solvers.callable_solvers import CallableBatch, CallableStochastic, NesterovBatch
from fastgd._solvers.concomitant_scale import ConcomitantScale
from fastgd._solvers.kernel_solvers import (
    ArrayBatch,
    ArrayStochastic,
    GramBatch,
    NumberBatch,
    NumberStochastic,
    OneWeight,
)
from fastgd._solvers.proximal_step import ProximalStep
from fastgd._solvers.quasi_newton import BarzilaiBorwein
from fastgd._solvers.scalar_root import bracket_of
from fastgd._solvers.smoothing import STAGE_TOL, STAGE_UPDATES, SmoothingSolver
from fastgd.schedules import as_rates

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from fastgd._data.arrays import AnyLinearModelData
    from fastgd._objective.objective import Objective
    from fastgd._types import DoubleArray, Rates
    from fastgd.losses import Gradient

#: Points above which threads share a batch update; up to them one kernel call makes many updates in one thread.
THREADED_UPDATE_POINTS = 2_000_000
#: Parameters up to which descent on the squared error uses the Gram matrix, which costs a pass over X for every 8.
MAX_GRAM_PARAMETERS = 101
#: Ratio of the rows to those of a sample from which on a descent on the sample gives a warm start.
WARM_START_ROWS = 8
#: Updates in one call of a solver that chooses its step sizes, if no option monitors them.
ADAPTIVE_UPDATES = 64


def batch_solver(objective: Objective, options: DescentOptions, theta0: Any, capacity: int) -> Solver:
    """Make the solver of a batch descent, with at most `capacity` updates in one call."""
    loss, rates, by_step = objective.loss, options.rates, options.stop == "step"
    if options.precondition == "gram" and objective.penalty is not None and objective.penalty.l1:
        raise ValueError("precondition='gram' cannot be used with a penalty of L1, whose proximal step needs a "
                         f"diagonal preconditioner. Got penalty={objective.penalty!r}; use precondition='scale'.")
    adaptive = min(capacity, 1 if objective.data.is_chunked else ADAPTIVE_UPDATES)
    if rates is None and objective.data.is_rows and loss is not None and loss.kinks:
        sizes = None if options.precondition is not None else _column_sizes(objective)
        stage = functools.partial(_stage, options, sizes, adaptive)
        return SmoothingSolver(objective, theta0, stage, None if by_step else options.tol, not options.is_subsampled,
                               adaptive)
    if options.has_concomitant_scale:
        return ConcomitantScale(objective, theta0, functools.partial(_scale_stage, options, adaptive), options.tol,
                                adaptive)
    if options.is_adaptive or options.momentum is not None or options.precondition is not None:
        return _advanced_batch(options, objective, theta0, options.tol, by_step=by_step, capacity=adaptive)
    rates = rates or as_rates(objective.safe_rate(False))
    return plain_batch(objective, theta0, rates, options.tol, by_step, options.limit, capacity)


def _stage(options: DescentOptions, sizes: DoubleArray | None, capacity: int, objective: Objective, theta: Any,
           tol: float, *, is_safe: bool = False) -> Solver:
    return _advanced_batch(options, objective, theta, tol, sizes=sizes, is_safe=is_safe, capacity=capacity)


def _scale_stage(options: DescentOptions, capacity: int, objective: Objective, theta: Any, tol: float,
                 first_update: int) -> Solver:
    return _advanced_batch(options, objective, theta, tol, is_warm=True, first_update=first_update, capacity=capacity)


def reference_solver(objective: Objective, theta0: Any, size: float, cost: float, short: float = 0.0, *,
                     is_safe: bool = False) -> Solver:
    """Make the solver that is fastest near the minimum, or one that cannot overshoot, with a subsampled preconditioner.

    The solver converges if the loss can decrease by at most `cost` within four times `size`, in units of the
    prediction, or if a step of rows is below `short`.
    """
    has_l1 = objective.penalty is not None and objective.penalty.l1 > 0
    loss, is_rows = objective.loss, objective.data.is_rows
    is_kinked = is_rows and loss is not None and bool(loss.kinks)
    tol = cost if is_kinked else short if is_rows else ROUNDING * size
    options = DescentOptions(tol=tol, stop="loss" if is_kinked else "step", is_adaptive=True, is_subsampled=True,
                             precondition="scale" if has_l1 else "gram")
    capacity = 1 if objective.data.is_chunked else ADAPTIVE_UPDATES
    if is_safe:
        return _advanced_batch(options, objective, theta0, tol, is_safe=True, capacity=capacity)
    # With a diagonal preconditioner the gradient does not bound the decrease of the loss.
    if not is_rows or is_kinked or not size > 0 or has_l1:
        return batch_solver(objective, options, theta0, ADAPTIVE_UPDATES)
    curvature = math.inf if loss is None else loss.max_curvature
    slope = cost / (4 * size)
    return _advanced_batch(options, objective, theta0, tol, capacity=capacity,
                           enough=slope * slope / (curvature if math.isfinite(curvature) else 1.0))


def _column_sizes(objective: Objective) -> DoubleArray:
    return np.concatenate([np.ones(int(objective.data.intercept)), objective.second_moments.column_sizes()])


def _advanced_batch(options: DescentOptions, objective: Objective, theta0: Any, tol: float, *, by_step: bool = True,
                    sizes: DoubleArray | None = None, is_safe: bool = False, is_warm: bool = False,
                    first_update: int = 0, capacity: int = 1, enough: float = 0.0) -> Solver:
    """Make a batch solver with momentum, a preconditioner or adaptive step sizes.

    With `is_safe` momentum replaces adaptive step sizes; with `is_warm` theta0 is the warm start.
    """
    is_adaptive, momentum = options.is_adaptive and not is_safe, options.momentum
    if is_safe and options.is_adaptive:
        momentum = "nesterov"
    if is_adaptive and not objective.data.is_rows:
        return bracket_of(objective, theta0, tol, by_step, capacity)
    preconditioner = None
    if options.precondition is not None:
        preconditioner = objective.preconditioner(options.precondition, is_subsampled=options.is_subsampled)
    update = ProximalStep(objective, preconditioner, sizes)
    if is_adaptive:
        is_known = objective.loss is not None and objective.loss.max_stable_alpha is not None
        first = 1.0 if preconditioner is not None else objective.safe_rate(False) if is_known else None
        needs_start = preconditioner is not None and not options.is_subsampled and not is_warm
        return BarzilaiBorwein(
            _gradient_of(objective, capacity), theta0, tol, by_step, update, first,
            warm_start=_warm_start(options, objective, theta0) if needs_start else None,
            value=objective.value_with_gradient if update.has_l1 else None, capacity=capacity, enough=enough)
    rates = options.rates
    if rates is None:
        if preconditioner is None:
            rates = as_rates(objective.safe_rate(False))
        else:
            objective.check_curvature()
            rates = as_rates(1.0)
    if momentum is None:
        return CallableBatch(objective.loss_gradient, theta0, rates, tol, by_step, update=update,
                             first_update=first_update)
    return NesterovBatch(objective.loss_gradient, theta0, rates, tol, by_step, update=update,
                         is_safe=options.rates is None, first_update=first_update)


def _gradient_of(objective: Objective, capacity: int) -> Any:
    """Return the gradient of the loss as a function of theta; with few rows and no monitor the kernel is bound once."""
    data, gradient = objective.data, objective.compiled_gradient
    if (gradient is None or not isinstance(data, LinearModelData) or capacity == 1
            or data.X.size > min(MIN_THREADED_POINTS, gradient.at_once)
            or (objective.penalty is not None and objective.penalty.l1)):
        return objective.loss_gradient
    return data.bound_gradient(gradient)


def plain_batch(objective: Objective, theta0: Any, rates: Rates, tol: float, by_step: bool, limit: int,
                capacity: int = BATCH_UPDATES) -> Solver:
    """Make the solver of theta <- theta - rate * gradient for `limit` updates."""
    gradient, data, penalty = objective.compiled_gradient, objective.data, objective.penalty
    if gradient is None:
        return CallableBatch(objective.loss_gradient, theta0, rates, tol, by_step, update=ProximalStep(objective),
                             capacity=capacity)
    if penalty is not None and not (penalty.l1 == 0 and gradient.loss.is_quadratic and data.is_rows):
        return CallableBatch(objective.loss_gradient, theta0, rates, tol, by_step, update=ProximalStep(objective))
    if data.is_rows:
        return _plain_rows_batch(objective, gradient, data, theta0, rates, tol, by_step, limit, capacity)
    # A loss that is evaluated after each update is computed in one pass with the next slope.
    is_monitored = data.n > CACHED_POINTS and (capacity == 1 or not by_step)
    if (isinstance(data, ConstantModelData) and data.weights is None and not is_monitored
            and data.n <= gradient.at_once
            and (data.n <= THREADED_UPDATE_POINTS or objective.threads.count == 1)):
        solver = NumberBatch(gradient, data.targets, theta0, rates, tol, by_step)
        solver.capacity = capacity
        return solver
    # For all other data, and for more points than one call should read, each gradient is a mean over the data.
    return CallableBatch(objective.loss_gradient, theta0, rates, tol, by_step)


def _plain_rows_batch(objective: Objective, gradient: Gradient, rows: AnyLinearModelData, theta0: DoubleArray,
                      rates: Rates, tol: float, by_step: bool, limit: int, capacity: int) -> Solver:
    q, moments = rows.n_parameters, objective.second_moments
    # The Gram matrix costs about a pass for every 8 parameters, and a run of more updates saves that.
    if (gradient.loss.is_quadratic and isinstance(moments, RowMoments) and q <= min(MAX_GRAM_PARAMETERS, rows.n)
            and limit > q // 8):
        gram, moment = moments.gram()
        if objective.penalty is not None:
            gram = gram + np.diag(np.repeat([0.0, objective.penalty.l2 / 2], [rows.intercept, q - rows.intercept]))
        solver: Any = GramBatch(gram, moment, theta0, rates, tol, by_step)
    elif objective.penalty is not None:
        return CallableBatch(objective.loss_gradient, theta0, rates, tol, by_step, update=ProximalStep(objective))
    elif not isinstance(rows, LinearModelData) or rows.X.size > MIN_THREADED_POINTS or rows.n > gradient.at_once:
        return CallableBatch(objective.loss_gradient, theta0, rates, tol, by_step)
    else:
        solver = ArrayBatch(gradient, rows, theta0, rates, tol, by_step)
    solver.max_capacity = capacity
    return solver    # type: ignore[no-any-return]


def _warm_start(options: DescentOptions, objective: Objective, theta0: DoubleArray) -> DoubleArray | None:
    """Descend on a sample of the rows, if they are many; return the theta at its end."""
    rows, loss = objective.data, objective.loss
    size = sample_size(rows.n_parameters)
    if loss is None or loss.kinks or not loss.is_convex or rows.n < WARM_START_ROWS * size:
        return None
    sample = objective.on(rows.sample(size))
    tol = math.sqrt(rows.n_parameters / size) * STAGE_TOL * (sample.in_memory.targets.std() or 1.0)
    solver = _advanced_batch(options._replace(is_subsampled=True), sample, theta0, float(tol), capacity=STAGE_UPDATES)
    updates = 0
    while updates < STAGE_UPDATES:
        steps = solver.advance(STAGE_UPDATES - updates)
        updates += len(steps.step_sizes)
        if steps.is_converged or not is_finite(solver.theta):
            break
    theta: Any = solver.theta
    # Classes that are linearly separable in a sample need not be so in all rows.
    return theta if is_finite(theta) and not sample.is_separated_by(theta) else None


def stochastic_solver(objective: Objective, options: DescentOptions, rates: Rates, dataset: ArrayLike,
                      theta0: Any) -> Solver:
    """Make the solver of stochastic or mini-batch descent."""
    preconditioner = None
    if options.precondition is not None:
        preconditioner = objective.preconditioner(options.precondition, is_stochastic=True)
    if objective.data.is_chunked:
        return BlockSGD(objective, options, theta0, rates.is_constant,
                        functools.partial(_group_solver, objective, options, rates, preconditioner))
    return _stochastic_in_memory(objective, options, rates, preconditioner, dataset, theta0)


def _group_solver(objective: Objective, options: DescentOptions, rates: Rates, preconditioner: Any,
                  rows: ConstantModelData | LinearModelData, theta: Any, first_update: int) -> Solver:
    """Make the solver of a group of blocks, with the preconditioner of all data."""
    return _stochastic_in_memory(objective.on(rows), options, rates, preconditioner, [], theta, first_update)


def _stochastic_in_memory(objective: Objective, options: DescentOptions, rates: Rates, preconditioner: Any,
                          dataset: ArrayLike, theta0: Any, first_update: int = 0) -> Solver:
    """Make the solver that shuffles the points, or an order of the rows, in place."""
    gradient, data, size = objective.compiled_gradient, objective.in_memory, options.batch_size
    tol, by_step, generator = options.tol, options.stop == "step", options.bit_generator
    assert generator is not None
    if gradient is None:
        # A Python function of a linear model gets a matrix of one row for a point.
        points = data.shuffle_buffer(dataset, options.in_place)
        batch_size = 1 if data.is_rows and size is None else size
        return CallableStochastic(objective.partial_gradient, points, batch_size, generator, theta0, rates, tol,
                                  by_step, ProximalStep(objective, preconditioner))
    is_plain = preconditioner is None and objective.penalty is None
    if isinstance(data, ConstantModelData) and (data.weights is not None or not is_plain):
        rows = data.as_rows()
        order = rows.shuffle_buffer(dataset, options.in_place, "a sample_weight, a penalty or a preconditioner")
        of_one = ArrayStochastic(gradient, rows, order, size or 1, generator, np.array([theta0]), rates, tol, by_step,
                                 first_update)
        of_one.set_proximal(preconditioner, objective.penalty)
        return OneWeight(of_one)
    points = data.shuffle_buffer(dataset, options.in_place)
    if isinstance(data, LinearModelData):
        solver = ArrayStochastic(gradient, data, points, size or 1, generator, theta0, rates, tol, by_step,
                                 first_update)
        if not is_plain:
            solver.set_proximal(preconditioner, objective.penalty)
        return solver
    if size is None or size <= gradient.at_once:
        return NumberStochastic(gradient, points, size or 1, generator, theta0, rates, tol, by_step, first_update)

    def partial_gradient(theta: Any, part: Any) -> Any:
        return part.dtype.type(mean_over(gradient, theta, part, objective.threads, check=False))

    return CallableStochastic(partial_gradient, points, size, generator, theta0, rates, tol, by_step,
                              first_update=first_update)
