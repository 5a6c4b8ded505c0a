"""The choice of a runner."""
from __future__ import annotations

import functools
import math
from typing import TYPE_CHECKING, Any

import numpy as np

from fastgd._curvature import RowsCurvature
from fastgd._data import ConstantModelData, LinearModelData
from fastgd._data.arrays import mean_over, sample_size
from fastgd._limits import (
    BATCH_UPDATES,
    CACHED_POINTS,
    FEW_ENOUGH,
    MANY_FOR_UPDATES,
    MANY_POINTS,
    MOST_FOR_GRAM,
    PATIENCE,
    ROUNDING,
    SHORT_FOR_STAGE,
)
from fastgd._run.adaptive import BarzilaiBorwein, OwnRates
from fastgd._run.bracket import bracket_of
from fastgd._run.compiled import ArrayBatch, ArrayStochastic, GramBatch, NumberBatch, NumberStochastic, OfOneWeight
from fastgd._run.kinks import SmoothedKinks
from fastgd._run.python import NesterovBatch, PythonBatch, PythonStochastic
from fastgd._run.rescaled import Rescaled
from fastgd._run.shuffled import ShuffledBlocks
from fastgd._run.update import Update
from fastgd._settings import batch_settings
from fastgd.schedules import as_rates

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import ArrayLike

    from fastgd._data.arrays import AnyLinearModelData
    from fastgd._objective import Objective
    from fastgd._settings import Settings
    from fastgd._types import DoubleArray, Rates, Runner
    from fastgd.losses import Gradient


def runner_and_rates(objective: Objective, settings: Settings, theta0: Any, most: int) -> tuple[Runner, Rates]:
    """What makes the updates of a batch descent, `most` at once, and their learning rates."""
    loss, rates, by_step = objective.descended, settings.rates, settings.stop == "step"
    if settings.precondition == "gram" and objective.penalty is not None and objective.penalty.l1:
        raise ValueError("precondition='gram' cannot be used with a penalty of L1, whose proximal step needs a metric "
                         f"of single weights. Got penalty={objective.penalty!r}; use precondition='scale'.")
    if rates is None and objective.source.is_rows and loss is not None and loss.kinks:
        sizes = None if settings.precondition is not None else _sizes(objective)
        enough = None if by_step else settings.tol
        kinks = SmoothedKinks(objective, theta0, functools.partial(_beyond_plain, settings, sizes=sizes), enough,
                              not settings.is_rough)
        return kinks, OwnRates(lambda: kinks.next_rate())
    if settings.by_spread:
        rescaled = Rescaled(objective, theta0, functools.partial(_beyond_plain, settings, objective, is_warm=True),
                            settings.tol)
        return rescaled, rates or OwnRates(lambda: rescaled.next_rate())
    if settings.is_adaptive or settings.momentum is not None or settings.precondition is not None:
        runner, next_rate = _beyond_plain(settings, objective, theta0, settings.tol, by_step=by_step)
        return runner, rates or (OwnRates(next_rate) if settings.is_adaptive else as_rates(next_rate()))
    rates = rates or as_rates(objective.safe_rate(False))
    return batch_runner(objective, theta0, settings.tol, by_step, settings.limit, most), rates


def arriving_runner(objective: Objective, theta0: Any, size: float, cost: float,
                    short: float = 0.0, *, is_safe: bool = False) -> tuple[Runner, Rates]:
    """The descent that gets near the minimum soonest, or surely, and its rates, in a rough metric.

    It is short where the loss can fall by no more than `cost` within four times `size`, in units of the prediction, or
    where a step of rows is below `short`.
    """
    shrinks = objective.penalty is not None and objective.penalty.l1 > 0
    is_kinked = objective.source.is_rows and objective.descended is not None and bool(objective.descended.kinks)
    tol = cost if is_kinked else short if objective.source.is_rows else ROUNDING * size
    settings = batch_settings("minimize", "adaptive", tol, 1, "loss" if is_kinked else "step", False, None, False,
                              False, "scale" if shrinks else "gram", None)._replace(is_rough=True)
    if is_safe:
        safe, next_rate = _beyond_plain(settings, objective, theta0, tol, is_safe=True)
        return safe, OwnRates(next_rate)
    runner, rates = runner_and_rates(objective, settings, theta0, 1)
    # In a metric of single weights the gradient does not tell how far the loss may fall.
    if isinstance(runner, BarzilaiBorwein) and size > 0 and not shrinks:
        curvature = math.inf if objective.descended is None else objective.descended.max_curvature
        slope = cost / (4 * size)
        runner.enough = slope * slope / (curvature if math.isfinite(curvature) else 1.0)
    return runner, rates


def _sizes(objective: Objective) -> DoubleArray:
    return np.concatenate([np.ones(int(objective.source.intercept)), objective.curvature.column_sizes()])


def _beyond_plain(settings: Settings, objective: Objective, theta0: Any, tol: float, *, by_step: bool = True,
                  sizes: DoubleArray | None = None, is_safe: bool = False,
                  is_warm: bool = False) -> tuple[PythonBatch, Callable[[], float]]:
    """A batch descent with momentum, a metric or lengths of its own, and what says its next rate if nobody does.

    One that is safe has momentum in place of adaptive lengths; one that is warm begins where it is.
    """
    if is_safe and settings.is_adaptive:
        settings = settings._replace(is_adaptive=False, momentum="nesterov")
    gradient, part = objective.called_gradient, objective.source.everything
    if settings.is_adaptive and not objective.source.is_rows:
        bracket = bracket_of(objective, theta0, tol, by_step)
        return bracket, bracket.next_rate
    metric = None
    if settings.precondition is not None:
        metric = objective.metric(settings.precondition, is_rough=settings.is_rough)
    update = Update(objective, metric, sizes)
    if settings.is_adaptive:
        is_known = objective.descended is not None and objective.descended.max_stable_alpha is not None
        first = 1.0 if metric is not None else objective.safe_rate(False) if is_known else None
        guess = None if metric is None or settings.is_rough or is_warm else _guess(settings, objective, theta0)
        value = objective.value_before_slope if update.has_kink else None
        lengths = BarzilaiBorwein(gradient, part, theta0, tol, by_step, update, first, guess, value)
        return lengths, lengths.next_rate

    def safe_rate() -> float:
        if metric is None:
            return objective.safe_rate(False)
        objective.check_curvature()
        return 1.0

    if settings.momentum is None:
        return PythonBatch(gradient, part, theta0, tol, by_step, 1, update), safe_rate
    runner = NesterovBatch(gradient, part, theta0, tol, by_step, 1, update)
    runner.is_safe = settings.rates is None
    return runner, safe_rate


def batch_runner(objective: Objective, theta0: Any, tol: float, by_step: bool, limit: int,
                 most: int = BATCH_UPDATES) -> Runner:
    """The runner of batch descent for `limit` updates in all and `most` at once."""
    gradient, source, penalty = objective.gradient, objective.source, objective.penalty
    if gradient is None:
        return PythonBatch(objective.called_gradient, source.everything, theta0, tol, by_step, most, Update(objective))
    if penalty is not None and not (penalty.l1 == 0 and gradient.loss.is_quadratic and source.is_rows):
        return PythonBatch(objective.called_gradient, None, theta0, tol, by_step, 1, Update(objective))
    if source.is_rows:
        return _rows_batch_runner(objective, gradient, source, theta0, tol, by_step, limit, most)
    # Where the loss is asked for after each update, one pass gives it with the next slope.
    is_looked_at = source.n > CACHED_POINTS and (most == 1 or not by_step)
    if isinstance(source, ConstantModelData) and source.weights is None and not is_looked_at and source.n <= min(
            gradient.at_once, MANY_FOR_UPDATES if objective.threads.count > 1 else math.inf):
        return NumberBatch(gradient, source.targets, theta0, tol, by_step, most)
    # Any other source, and more points than one call should take, by its means.
    return PythonBatch(objective.called_gradient, None, theta0, tol, by_step, 1)


def _rows_batch_runner(objective: Objective, gradient: Gradient, rows: AnyLinearModelData, theta0: DoubleArray,
                       tol: float, by_step: bool, limit: int, most: int) -> Runner:
    q, curvature = rows.n_parameters, objective.curvature
    # The Gram matrix costs about a pass for every 8 parameters and is worth it unless the run is short.
    if (gradient.loss.is_quadratic and isinstance(curvature, RowsCurvature) and q <= min(MOST_FOR_GRAM, rows.n)
            and limit > q // 8):
        gram, moment = curvature.gram()
        if objective.penalty is not None:
            gram = gram + np.diag(np.repeat([0.0, objective.penalty.l2 / 2], [rows.intercept, q - rows.intercept]))
        return GramBatch(gram, moment, theta0, tol, by_step, most)
    if objective.penalty is not None:
        return PythonBatch(objective.called_gradient, None, theta0, tol, by_step, 1, Update(objective))
    if not isinstance(rows, LinearModelData) or rows.X.size > MANY_POINTS or rows.n > gradient.at_once:
        return PythonBatch(objective.called_gradient, None, theta0, tol, by_step, 1)
    return ArrayBatch(gradient, rows, theta0, tol, by_step, most)


def _guess(settings: Settings, objective: Objective, theta0: DoubleArray) -> DoubleArray | None:
    """Where the descent ends on a sample of the rows, if that is a small part of them; the first step leads there."""
    rows = objective.source
    size = sample_size(rows.n_parameters)
    loss = objective.descended
    if loss is None or loss.kinks or not loss.is_convex or rows.n < FEW_ENOUGH * size:
        return None
    some = objective.on(rows.sample(size))
    tol = math.sqrt(rows.n_parameters / size) * SHORT_FOR_STAGE * (some.in_memory.targets.std() or 1.0)
    runner, next_rate = _beyond_plain(settings._replace(is_rough=True), some, theta0, float(tol))
    theta = np.empty((1, len(theta0)))
    for _ in range(PATIENCE):
        _, is_short = runner.advance(np.array([next_rate()]), theta)
        if is_short or not np.isfinite(theta).all():
            break
    # A plane that separates the few classes of a sample need not separate all of them.
    return theta[0] if np.isfinite(theta).all() and not some.separates(theta[0]) else None


def stochastic_runner(objective: Objective, settings: Settings, dataset: ArrayLike, theta0: Any) -> Runner:
    """The runner of stochastic or mini-batch descent."""
    metric = None if settings.precondition is None else objective.metric(settings.precondition, is_stochastic=True)
    if objective.source.is_chunked:
        return ShuffledBlocks(objective, settings, theta0, functools.partial(_of_group, objective, settings, metric))
    return _runner_in_memory(objective, settings, metric, dataset, theta0)


def _of_group(objective: Objective, settings: Settings, metric: Any, rows: ConstantModelData | LinearModelData,
              theta: Any) -> Runner:
    """The runner of a group of blocks that are held, in the metric of all."""
    return _runner_in_memory(objective.on(rows), settings, metric, [], theta)


def _runner_in_memory(objective: Objective, settings: Settings, metric: Any, dataset: ArrayLike, theta0: Any) -> Runner:
    """The runner, which shuffles the points, or an order of the rows, in place."""
    gradient, source, size = objective.gradient, objective.in_memory, settings.batch_size
    tol, by_step, generator = settings.tol, settings.stop == "step", settings.bit_generator
    assert generator is not None
    if gradient is None:
        # A Python function of a linear model gets a matrix of one row for a point.
        points = source.shuffle_buffer(dataset, settings.in_place)
        batch_size = 1 if source.is_rows and size is None else size
        return PythonStochastic(objective.called_gradient, points, batch_size, generator, theta0, tol, by_step,
                                Update(objective, metric))
    is_plain = metric is None and objective.penalty is None
    if isinstance(source, ConstantModelData) and (source.weights is not None or not is_plain):
        rows = source.as_rows()
        order = rows.shuffle_buffer(dataset, settings.in_place, "a sample_weight, a penalty or a preconditioner")
        of_one = ArrayStochastic(gradient, rows, order, size or 1, generator, np.array([theta0]), tol, by_step)
        of_one.take_manner(metric, objective.penalty)
        return OfOneWeight(of_one)
    points = source.shuffle_buffer(dataset, settings.in_place)
    if isinstance(source, LinearModelData):
        runner = ArrayStochastic(gradient, source, points, size or 1, generator, theta0, tol, by_step)
        if not is_plain:
            runner.take_manner(metric, objective.penalty)
        return runner
    if size is None or size <= gradient.at_once:
        return NumberStochastic(gradient, points, size or 1, generator, theta0, tol, by_step)

    def slope(theta: Any, part: Any) -> Any:
        return part.dtype.type(mean_over(gradient, theta, part, objective.threads, check=False))

    return PythonStochastic(slope, points, size, generator, theta0, tol, by_step)
