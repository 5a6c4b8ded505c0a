"""Runs of a descent: the solver is selected, the loop advances it, a monitor shows and records it."""
from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, TypeAlias

from fastgd._format import max_abs
from fastgd._solvers.base import BATCH_UPDATES, Outcome
from fastgd._solvers.block_sgd import BlockPartition, BlockSGD, unevenness
from fastgd._solvers.callable_solvers import CallableBatch
from fastgd._solvers.concomitant_scale import ConcomitantScale
from fastgd._solvers.epoch_stopping import EpochRule
from fastgd._solvers.loop import run_loop
from fastgd._solvers.monitor import Monitor
from fastgd._solvers.multistart import run_many
from fastgd._solvers.quasi_newton import BarzilaiBorwein
from fastgd._solvers.scalar_root import Bracket
from fastgd._solvers.select import batch_solver, stochastic_solver
from fastgd._solvers.smoothing import SmoothingSolver
from fastgd.results import CONVERGED, SourceError, lost
from fastgd.schedules import as_rates

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import ArrayLike

    from fastgd._objective.objective import Objective
    from fastgd._options import DescentOptions
    from fastgd._solvers.base import Solver

    #: Outcome of a run, and its history or None.
    Run: TypeAlias = tuple[Outcome, pd.DataFrame | None]

__all__ = ["Outcome", "run_batch", "run_many", "run_stochastic"]


def run_batch(objective: Objective, options: DescentOptions, theta0: Any) -> Run:
    """Run batch descent."""
    start = objective.data.theta(theta0, "theta0")
    is_monitored = options.is_monitored
    # A callback may stop the run, and lines alternate with the output of a Python gradient: no update is made ahead.
    one_by_one = options.callback is not None or (options.display is not None and objective.loss is None)
    if options.is_adaptive and is_monitored:
        one_by_one |= options.display is not None or getattr(options.monitor, "may_stop", options.monitor is not None)
    solver = batch_solver(objective, options, start, 1 if one_by_one else BATCH_UPDATES)
    if not is_monitored and options.stop != "loss":
        outcome, history = run_loop(solver, options.limit), None
    else:
        # One pass computes the reported loss and the next gradient, which momentum would evaluate at another theta.
        reads_both = isinstance(solver, (Bracket, BarzilaiBorwein, CallableBatch)) and options.momentum is None
        shown = objective.reading_both() if reads_both else objective
        epochs = None
        if options.stop == "loss" and not isinstance(solver, SmoothingSolver):
            epochs = EpochRule(1, start, options.tol, averages=False, value=shown.reported_value)
        monitor = None
        if is_monitored:
            monitor = Monitor(shown, options, epochs)
            if isinstance(solver, ConcomitantScale):
                monitor.follow(solver)
        outcome, history = _monitored(solver, options.limit, monitor, epochs)
    if solver.evaluations == 0 and isinstance(solver, SmoothingSolver):
        outcome = solver.finalize(outcome)
    if solver.evaluations == 0 and isinstance(solver, ConcomitantScale):
        outcome = outcome._replace(scale=solver.scale)
    if options.precondition is not None:
        preconditioner, moved = objective.preconditioner(options.precondition), outcome.moved
        if options.stop == "step" and objective.data.is_rows and not isinstance(solver, SmoothingSolver):
            moved = preconditioner.size(outcome.theta - outcome.previous)
        outcome = outcome._replace(moved=moved, collinear=preconditioner.collinear)
    return outcome, history


def run_stochastic(objective: Objective, options: DescentOptions, dataset: ArrayLike, theta0: Any) -> Run:
    """Run stochastic or mini-batch descent."""
    data, size, by_step = objective.data, options.batch_size, options.stop == "step"
    start = data.theta(theta0, "theta0")
    rates = options.rates
    if rates is None and options.precondition is None:
        rates = as_rates(objective.safe_rate(True))
    elif rates is None:
        objective.check_curvature(is_stochastic=True)
        rates = as_rates(1.0)
    period = BlockPartition(data).updates(size or 1) if data.is_chunked else math.ceil(data.n / (size or 1))
    monitor = epochs = None
    is_monitored = options.is_monitored
    if options.average or not by_step or is_monitored:
        epochs = EpochRule(period, start, None if by_step else options.tol, options.average,
                           objective.reported_value if options.stop == "loss" else None)
    if is_monitored:
        monitor = Monitor(objective, options, epochs)
    solver = stochastic_solver(objective, options, rates, dataset, start)
    try:
        outcome, history = _monitored(solver, options.limit * period, monitor, epochs)
    finally:
        if isinstance(solver, BlockSGD):
            solver.close()
    try:
        outcome = outcome._replace(epochs=outcome.updates / period, unevenness=unevenness(data))
        if options.precondition is not None and by_step and data.is_rows:
            last: Any = outcome.theta - outcome.previous
            preconditioner = objective.preconditioner(options.precondition, is_stochastic=True)
            outcome = outcome._replace(moved=preconditioner.size(last))
        if outcome.status == CONVERGED:
            outcome = outcome._replace(full_step=_full_step(objective, options, outcome))
    except SourceError as error:
        error.result = lost(outcome.x, outcome.updates)
        raise
    return outcome, history


def _full_step(objective: Objective, options: DescentOptions, outcome: Outcome) -> float:
    """Compute the length of a step on all of the data at the end of a stochastic run."""
    step: Any = objective.gradient(outcome.x)
    if options.precondition is None:
        return outcome.alpha * max_abs(step)
    preconditioner = objective.preconditioner(options.precondition, is_stochastic=True)
    length: float = preconditioner.size(preconditioner.direction(step))
    return length * outcome.alpha


def _monitored(solver: Solver, limit: int, monitor: Monitor | None, epochs: EpochRule | None) -> Run:
    try:
        outcome = run_loop(solver, limit, monitor=monitor, epochs=epochs)
        if epochs is not None and math.isfinite(epochs.moved):
            outcome = outcome._replace(moved=epochs.moved)
        if monitor is not None:
            monitor.at_end(outcome)
    finally:
        if monitor is not None:
            monitor.close()
    return outcome, None if monitor is None else monitor.history()
