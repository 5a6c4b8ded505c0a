"""A run of descent: what makes its updates, what drives them, and what looks on."""
from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, TypeAlias

from fastgd._limits import BATCH_UPDATES
from fastgd._run.choice import arriving_runner, runner_and_rates, stochastic_runner
from fastgd._run.driver import Outcome, drive
from fastgd._run.epochs import Epochs
from fastgd._run.kinks import SmoothedKinks
from fastgd._run.many import run_many
from fastgd._run.python import NesterovBatch, PythonBatch
from fastgd._run.shuffled import Cut, ShuffledBlocks, unevenness
from fastgd._run.watch import Watch
from fastgd._theta import largest
from fastgd.results import CONVERGED, SourceError, lost
from fastgd.schedules import as_rates

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import ArrayLike

    from fastgd._objective import Objective
    from fastgd._settings import Settings
    from fastgd._types import Rates, Runner

    #: How a run ended, and its history if there is one.
    Run: TypeAlias = tuple[Outcome, pd.DataFrame | None]

__all__ = ["Outcome", "arriving_runner", "descend", "descend_in_batches", "run_many"]


def descend(objective: Objective, settings: Settings, theta0: Any) -> Run:
    """Batch descent."""
    start = objective.source.theta(theta0, "theta0")
    # A callback may change what comes next, and so may a Python gradient's own printing; else updates run ahead.
    one_by_one = settings.callback is not None or (settings.display is not None and objective.gradient is None)
    runner, rates = runner_and_rates(objective, settings, start, 1 if one_by_one else BATCH_UPDATES)
    # With momentum the next slope is that of another place.
    objective.reads_both = isinstance(runner, PythonBatch) and not isinstance(runner, NesterovBatch)
    epochs = None
    if settings.stop == "loss" and not isinstance(runner, SmoothedKinks):
        epochs = Epochs(1, start, settings.tol, averages=False, loss_at=objective.value)
    watch = None
    if settings.is_watched:
        watch = Watch(objective, settings, epochs)
    outcome, history = _driven(rates, runner, settings.limit, watch, epochs)
    objective.reads_both = True    # by the verdict and the result
    if isinstance(runner, SmoothedKinks):
        outcome = runner.concluded(outcome)
    elif settings.precondition is not None and epochs is None and objective.source.is_rows:
        step: Any = outcome.theta - outcome.previous
        outcome = outcome._replace(moved=objective.metric(settings.precondition).size(step))
    if settings.precondition == "gram":
        outcome = outcome._replace(ties=objective.metric("gram").ties)
    return outcome, history


def descend_in_batches(objective: Objective, settings: Settings, dataset: ArrayLike, theta0: Any) -> Run:
    """Stochastic or mini-batch descent."""
    source, size, by_step = objective.source, settings.batch_size, settings.stop == "step"
    start = source.theta(theta0, "theta0")
    rates = settings.rates
    if rates is None and settings.precondition is None:
        rates = as_rates(objective.safe_rate(True))
    elif rates is None:
        objective.check_curvature(is_stochastic=True)
        rates = as_rates(1.0)
    period = Cut(source).updates(size or 1) if source.is_chunked else math.ceil(source.n / (size or 1))
    watch = epochs = None
    if settings.average or not by_step or settings.is_watched:
        epochs = Epochs(period, start, None if by_step else settings.tol, settings.average,
                        objective.value if settings.stop == "loss" else None)
    if settings.is_watched:
        watch = Watch(objective, settings, epochs)
    runner = stochastic_runner(objective, settings, dataset, start)
    try:
        outcome, history = _driven(rates, runner, settings.limit * period, watch, epochs)
    finally:
        if isinstance(runner, ShuffledBlocks):
            runner.close()
    try:
        outcome = outcome._replace(epochs=outcome.updates / period, unevenness=unevenness(source))
        if settings.precondition is not None and by_step and source.is_rows:
            last: Any = outcome.theta - outcome.previous
            outcome = outcome._replace(moved=objective.metric(settings.precondition, is_stochastic=True).size(last))
        if outcome.status == CONVERGED:
            outcome = outcome._replace(full_step=_full_step(objective, settings, outcome))
    except SourceError as error:
        error.result = lost(outcome.x, outcome.updates)
        raise
    return outcome, history


def _full_step(objective: Objective, settings: Settings, outcome: Outcome) -> float:
    """How long a step on all of the data would be where a stochastic run ended."""
    step: Any = objective.slope(outcome.x)
    if settings.precondition is None:
        return outcome.alpha * largest(step)
    metric = objective.metric(settings.precondition, is_stochastic=True)
    length: float = metric.size(metric.direction(step))
    return length * outcome.alpha


def _driven(rates: Rates, runner: Runner, limit: int, watch: Watch | None, epochs: Epochs | None) -> Run:
    try:
        outcome = drive(runner, rates, limit, watch=watch, epochs=epochs)
        if epochs is not None and math.isfinite(epochs.moved):
            outcome = outcome._replace(moved=epochs.moved)
        if watch is not None:
            watch.at_end(outcome)
    finally:
        if watch is not None:
            watch.close()
    return outcome, None if watch is None else watch.history()
