"""Fit of one linear model: settings, solver run, convergence report."""
from __future__ import annotations

import dataclasses
import math
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from sklearn import exceptions

from fastgd import results
from fastgd._convergence import finalize as convergence
from fastgd._data.arrays import SAMPLE_ROWS
from fastgd._objective.objective import LossFunctions, Objective
from fastgd._options import DescentOptions
from fastgd._solvers import run_batch, run_stochastic
from fastgd.estimators._monitor import FitMonitor
from fastgd.estimators._stream_statistics import RunningCurvature, RunningScale, has_enough_rows, scaled_delta
from fastgd.losses import Huber
from fastgd.results import LIMIT_REACHED, NOT_FINITE, DescentResult

if TYPE_CHECKING:
    from collections.abc import Callable

    from fastgd._objective.second_moments import SecondMoments
    from fastgd._solvers import Outcome
    from fastgd._thread_pool import ThreadPool
    from fastgd._types import DoubleArray, FloatArray
    from fastgd.estimators._options import Options


#: Updates at most on the sample that estimates the scale of the residuals for a stochastic descent.
SAMPLE_UPDATES = 300


class ConvergenceWarning(results.ConvergenceWarning, exceptions.ConvergenceWarning):    # type: ignore[misc]
    """Warning that a fit may not have converged; the message has the reason and the remedy.

    It subclasses the ConvergenceWarning of fastgd and of scikit-learn, so that a filter for either matches.

    Examples
    --------
    >>> import sklearn.exceptions
    >>> import fastgd
    >>> from fastgd.estimators import ConvergenceWarning
    >>> issubclass(ConvergenceWarning, fastgd.ConvergenceWarning)
    True
    >>> issubclass(ConvergenceWarning, sklearn.exceptions.ConvergenceWarning)
    True
    """


class State(NamedTuple):
    """State of a stochastic solver between calls of `partial_fit`.

    Attributes
    ----------
    start : ndarray
        Initial weights.
    theta : ndarray
        Last iterate.
    average : ndarray or None
        Mean of `averaged` thetas.
    updates : int
    rate : float or None
        Learning rate of alpha="auto".
    scale : float or None
        Scale of a Huber loss.
    generator : BitGenerator or None
        Generator of the shuffles; None is numpy's global state.
    moments : Moments or None
        Moments of the columns so far.
    running : RunningScale or None
        Running scale of the residuals, with scale="mad".
    held : tuple of tuple of ndarray
        X, targets and weights of each call so far, while the rows are too few for a scale.
    """

    start: DoubleArray
    theta: DoubleArray
    average: DoubleArray | None
    averaged: int
    updates: int
    rate: float | None
    scale: float | None
    generator: np.random.BitGenerator | None
    moments: Any = None
    running: RunningScale | None = None
    held: tuple[tuple[FloatArray, DoubleArray, DoubleArray], ...] = ()


class Fit(NamedTuple):
    """Result of fitting one model."""

    result: DescentResult[DoubleArray]
    iterations: int
    curve: DoubleArray
    scale: float | None
    state: State | None


class SolverRun(NamedTuple):
    """Outcome of a solver run before the convergence report."""

    objective: Objective
    settings: DescentOptions
    outcome: Outcome
    history: Any
    monitor: FitMonitor
    scale: float | None


def objective_on(data: Any, options: Options, threads: ThreadPool,
                 second_moments: SecondMoments | None = None) -> Objective:
    """Return the Objective of the loss of `options` over validated data."""
    return Objective(LossFunctions.of(options.start_loss), data, options.penalty, threads, second_moments)


def run(objective: Objective, options: Options, theta0: Any, *, generator: np.random.BitGenerator | None = None,
        score: Callable[[DoubleArray], float] | None = None) -> SolverRun:
    """Run the solver of `options` from theta0."""
    rows: Any = objective.data
    scale = None if options.estimates_scale else options.scale
    settings = options.settings_for(rows.p)
    if settings.is_stochastic:
        settings = limit_batch_size(settings, rows.n)._replace(bit_generator=generator or settings.bit_generator)
        if options.estimates_scale:
            scale = _sample_scale(objective, options, theta0)
            objective = _scaled(objective, options, scale)
    if not settings.has_concomitant_scale:
        settings = settings._replace(tol=settings.tol * _tolerance_unit(objective, settings.stop))
    monitor = FitMonitor(objective, score, options.patience)
    settings = settings._replace(monitor=monitor)
    if settings.is_stochastic:
        outcome, history = run_stochastic(objective, settings, np.empty(0), theta0)
    else:
        outcome, history = run_batch(objective, settings, theta0)
    if settings.has_concomitant_scale:
        objective, scale = _with_scale_of(objective, options, outcome)
        settings = settings._replace(tol=settings.tol * scale)
    return SolverRun(objective, settings, outcome, history, monitor, scale)


def _scaled(objective: Objective, options: Options, scale: float) -> Objective:
    """Return the objective of the Huber loss with its delta in units of a scale."""
    assert isinstance(options.loss, Huber)
    return objective.with_loss(Huber(scaled_delta(options.loss.delta, scale)))


def _with_scale_of(objective: Objective, options: Options, outcome: Outcome) -> tuple[Objective, float]:
    """Return the objective of the scale that a run found, and the scale."""
    assert isinstance(options.loss, Huber)
    assert outcome.scale is not None
    loss = Huber(options.loss.delta * outcome.scale)
    return objective.with_loss(loss), loss.delta / options.loss.delta


def finalize(done: SolverRun) -> Fit:
    """Compute the convergence report of a run; warn or raise if it did not converge."""
    objective, settings, outcome, monitor = done.objective, done.settings, done.outcome, done.monitor
    state = _state_of(done) if settings.is_stochastic else None
    if monitor.is_separated:
        outcome = outcome._replace(status=LIMIT_REACHED)
    if monitor.best is not None and outcome.status != NOT_FINITE:
        outcome = outcome._replace(theta=monitor.best, average=None)
    found: Any = convergence.finalize(objective, settings, outcome, done.history, ConvergenceWarning)
    if monitor.is_stopped:
        found = dataclasses.replace(found, message=(
            f"{settings.method} stopped early after {outcome.updates} updates: the score on the validation "
            "rows no longer improved."))
    iterations = outcome.updates if not settings.is_stochastic else math.ceil(outcome.epochs)
    return Fit(found, iterations, monitor.curve(objective), done.scale, state)


def _state_of(done: SolverRun) -> State:
    """Return the state of a stochastic solver after a fit, with the moments of its rows."""
    objective, settings, outcome = done.objective, done.settings, done.outcome
    theta, moments = np.array(outcome.theta), None
    if settings.precondition is not None and not objective.data.is_chunked:
        curvature = RunningCurvature(objective.in_memory, None)    # type: ignore[arg-type]
        moments = curvature.moments(curvature.preconditioner(settings.precondition, 1.0, 0.0, is_stochastic=True).unit)
    return State(theta, theta, None if outcome.average is None else np.array(outcome.average),
                 max(1, round(outcome.updates / max(1.0, outcome.epochs))), outcome.updates, None, done.scale,
                 settings.bit_generator, moments, _running(done.scale, objective.data))


def _running(scale: float | None, rows: Any) -> RunningScale | None:
    """Start a running scale at an estimate; None without one."""
    return None if scale is None or scale == math.inf else RunningScale.of(scale, rows.n)


def limit_batch_size(settings: DescentOptions, n: int) -> DescentOptions:
    """Limit the batch size of a stochastic solver to n rows."""
    size = settings.batch_size
    return settings if size is None else settings._replace(batch_size=min(size, n))


def _tolerance_unit(objective: Objective, stop: str) -> float:
    """Return the unit of `tol`: the standard deviation of the targets, or the loss at their mean."""
    loss, data = objective.loss, objective.data
    assert loss is not None
    if loss.link != "identity" or stop == "epoch":
        return 1.0
    targets = (data.sample(SAMPLE_ROWS) if data.is_chunked else objective.in_memory).targets
    centre = float(targets.mean())
    apart = targets - centre
    with np.errstate(over="ignore"):    # squares of huge targets
        unit = loss(centre, targets) if stop == "loss" else math.sqrt(float(apart @ apart) / len(apart))
    return unit if 0 < unit < math.inf else abs(centre) or 1.0


def _sample_scale(objective: Objective, options: Options, theta0: Any) -> float:
    """Estimate the scale for a stochastic solver on a sample; infinity if the rows are too few."""
    rows: Any = objective.data
    assert isinstance(options.loss, Huber)
    scale = math.inf
    if has_enough_rows(rows.n, rows.n_parameters):
        scale = fit_sample(objective, options, theta0)[0]
    return scale


def fit_sample(objective: Objective, options: Options, theta0: Any) -> tuple[float, Any]:
    """Return the scale of the residuals and the weights of a batch fit on a sample."""
    rows: Any = objective.data
    assert isinstance(options.loss, Huber)
    some = objective.on(rows.sample(SAMPLE_ROWS))
    settings = DescentOptions(tol=options.settings.tol, limit=SAMPLE_UPDATES, is_adaptive=True,
                              has_concomitant_scale=True, precondition=options.preconditioner_for(rows.p))
    outcome, _ = run_batch(some, settings, theta0)
    return _with_scale_of(some, options, outcome)[1], np.array(outcome.x)
