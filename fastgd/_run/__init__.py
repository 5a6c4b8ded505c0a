"""A run of descent: what makes its updates, what drives them, and what looks on."""
from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, TypeAlias

from fastgd._limits import BATCH_UPDATES
from fastgd._run.choice import batch_runner, stochastic_runner
from fastgd._run.driver import Outcome, drive
from fastgd._run.epochs import Epochs
from fastgd._run.many import run_many
from fastgd._run.watch import Watch
from fastgd.schedules import as_rates

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import ArrayLike

    from fastgd._objective import Objective
    from fastgd._settings import Settings
    from fastgd._types import Rates, Runner

    #: How a run ended, and its history if there is one.
    Run: TypeAlias = tuple[Outcome, pd.DataFrame | None]

__all__ = ["Outcome", "descend", "descend_in_batches", "run_many"]


def descend(objective: Objective, settings: Settings, theta0: Any) -> Run:
    """Batch descent."""
    start = objective.source.theta(theta0, "theta0")
    rates = settings.rates or as_rates(objective.safe_rate(False))
    # A callback may change what comes next, and so may a Python gradient's own printing; else updates run ahead.
    one_by_one = settings.callback is not None or (settings.display is not None and objective.gradient is None)
    by_loss = settings.stop == "loss"
    runner = batch_runner(objective, start, settings.tol, not by_loss, settings.limit,
                          1 if one_by_one else BATCH_UPDATES)
    epochs = Epochs(1, start, settings.tol, averages=False, loss_at=objective.value) if by_loss else None
    watch = None
    if settings.display is not None or settings.callback is not None or settings.history:
        watch = Watch(objective, settings, epochs)
    return _driven(rates, runner, settings.limit, watch, epochs)


def descend_in_batches(objective: Objective, settings: Settings, dataset: ArrayLike, theta0: Any) -> Run:
    """Stochastic or mini-batch descent."""
    source, size, by_step = objective.source, settings.batch_size, settings.stop == "step"
    start = source.theta(theta0, "theta0")
    rates = settings.rates or as_rates(objective.safe_rate(True))
    if size is not None and size >= source.n:
        raise ValueError("The 'minibatch_size' parameter must be below the number of points. "
                         f"Got minibatch_size={size} and {source.n} points.")
    points = source.to_shuffle(dataset, settings.in_place)
    period = math.ceil(source.n / (size or 1))
    watch = epochs = None
    if settings.average or not by_step or settings.display is not None or settings.callback is not None:
        epochs = Epochs(period, start, None if by_step else settings.tol, settings.average,
                        objective.value if settings.stop == "loss" else None)
    if settings.display is not None or settings.callback is not None or settings.history:
        watch = Watch(objective, settings, epochs)
    assert settings.bit_generator is not None
    runner = stochastic_runner(objective, points, size, settings.bit_generator, start, settings.tol, by_step)
    return _driven(rates, runner, settings.limit * period, watch, epochs)


def _driven(rates: Rates, runner: Runner, limit: int, watch: Watch | None, epochs: Epochs | None) -> Run:
    try:
        outcome = drive(runner, rates, limit, watch=watch, epochs=epochs)
        if watch is not None:
            watch.at_end(outcome)
    finally:
        if watch is not None:
            watch.close()
    return outcome, None if watch is None else watch.history()
