"""The fit of one linear model: a descent by the driver that all have, and how it ended."""
from __future__ import annotations

import dataclasses
import math
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from sklearn import exceptions

from fastgd import results
from fastgd._convergence.finalize import finalize
from fastgd._limits import SAMPLE, UPDATES_ON_SAMPLE
from fastgd._objective.objective import Objective
from fastgd._options import batch_options
from fastgd._solvers import run_batch, run_stochastic
from fastgd.estimators._looks import Looks
from fastgd.estimators._running_moments import RunningCurvature
from fastgd.estimators._running_scale import RunningScale, are_enough, delta_of
from fastgd.losses import Huber
from fastgd.results import LIMIT_REACHED, NOT_FINITE, DescentResult

if TYPE_CHECKING:
    from collections.abc import Callable

    from fastgd._options import DescentOptions
    from fastgd._solvers import Outcome
    from fastgd._thread_pool import ThreadPool
    from fastgd._types import DoubleArray, FloatArray
    from fastgd.estimators._options import Options


class ConvergenceWarning(results.ConvergenceWarning, exceptions.ConvergenceWarning):    # type: ignore[misc]
    """The fit ended at weights that need not be near a minimum; the message says why and what to do.

    It is fastgd's ConvergenceWarning and scikit-learn's, so that a filter for either meets it.

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
    """Where a stochastic descent is, for `partial_fit` to go on.

    Attributes
    ----------
    start : ndarray
        Where the weights began.
    theta : ndarray
        The last one, which is no mean.
    average : ndarray or None
        The mean of the last `averaged` thetas.
    updates : int
    rate : float or None
        What alpha="auto" was found to be.
    scale : float or None
        Of a Huber loss.
    generator : BitGenerator or None
        Of the shuffles; None for numpy's global state.
    moments : Moments or None
        Of the columns so far.
    running : RunningScale or None
        Of the residuals so far, if the scale is found with the weights.
    held : tuple of tuple of ndarray
        X, targets and weights of each call so far, as long as their rows are too few for a scale.
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
    """One model that was fitted."""

    result: DescentResult[DoubleArray]
    iterations: int
    curve: DoubleArray
    scale: float | None
    state: State | None


class Run(NamedTuple):
    """A run that has ended and is not judged yet."""

    objective: Objective
    settings: DescentOptions
    outcome: Outcome
    history: Any
    looks: Looks
    scale: float | None


def objective_on(source: Any, options: Options, threads: ThreadPool) -> Objective:
    """The Objective of a loss over a source that was checked."""
    objective = Objective(options.start_loss, None, True, True, threads)
    objective.penalty, objective.data = options.penalty, source
    return objective


def run(objective: Objective, options: Options, theta0: Any, *, generator: np.random.BitGenerator | None = None,
        score: Callable[[DoubleArray], float] | None = None) -> Run:
    """Descend as the options say."""
    rows: Any = objective.data
    scale = None if options.by_mad else options.scale
    settings = options.settings_for(rows.p)
    if settings.is_stochastic:
        settings = in_slices(settings, rows.n)._replace(bit_generator=generator or settings.bit_generator)
        if options.by_mad:
            scale = _scale_of_stochastic(objective, options, theta0)
    if not settings.has_concomitant_scale:
        settings = settings._replace(tol=settings.tol * _unit(objective, settings.stop))
    looks = Looks(objective, score, options.patience)
    settings = settings._replace(monitor=looks)
    if settings.is_stochastic:
        outcome, history = run_stochastic(objective, settings, np.empty(0), theta0)
    else:
        outcome, history = run_batch(objective, settings, theta0)
    if settings.has_concomitant_scale:
        assert isinstance(objective.loss, Huber)
        assert isinstance(options.loss, Huber)
        scale = objective.loss.delta / options.loss.delta
        settings = settings._replace(tol=settings.tol * scale)
    return Run(objective, settings, outcome, history, looks, scale)


def ended(done: Run) -> Fit:
    """Judge a run, and warn or raise as it deserves."""
    objective, settings, outcome, looks = done.objective, done.settings, done.outcome, done.looks
    state = _state_of(done) if settings.is_stochastic else None
    if looks.is_separated:
        outcome = outcome._replace(status=LIMIT_REACHED)
    if looks.best is not None and outcome.status != NOT_FINITE:
        outcome = outcome._replace(theta=looks.best, average=None)
    found: Any = finalize(objective, settings, outcome, done.history, ConvergenceWarning)
    if looks.is_stopped:
        found = dataclasses.replace(found, message=(
            f"{settings.method} was stopped after {outcome.updates} updates, the last of which did not improve the "
            "score on the rows that were kept apart."))
    iterations = outcome.updates if not settings.is_stochastic else math.ceil(outcome.epochs)
    return Fit(found, iterations, looks.curve(), done.scale, state)


def _state_of(done: Run) -> State:
    """Where a stochastic fit ended, with what its rows say of the columns and the residuals."""
    objective, settings, outcome = done.objective, done.settings, done.outcome
    theta, moments = np.array(outcome.theta), None
    if settings.precondition is not None and not objective.data.is_chunked:
        curvature = RunningCurvature(objective.in_memory, None)    # type: ignore[arg-type]
        moments = curvature.moments(curvature.metric(settings.precondition, 1.0, 0.0, is_stochastic=True).unit)
    return State(theta, theta, None if outcome.average is None else np.array(outcome.average),
                 max(1, round(outcome.updates / max(1.0, outcome.epochs))), outcome.updates, None, done.scale,
                 settings.bit_generator, moments, _running(done.scale, objective.data))


def _running(scale: float | None, rows: Any) -> RunningScale | None:
    """A running estimate from a scale that was found; None where there is none."""
    return None if scale is None or scale == math.inf else RunningScale.of(scale, rows.n)


def in_slices(settings: DescentOptions, n: int) -> DescentOptions:
    """The DescentOptions of a stochastic descent on so many rows, of which no slice has more."""
    size = settings.batch_size
    return settings if size is None else settings._replace(batch_size=min(size, n))


def _unit(objective: Objective, stop: str) -> float:
    """What `tol` is in units of: the standard deviation of the targets, or the loss of their mean."""
    loss, source = objective.loss, objective.data
    assert loss is not None
    if loss.link != "identity" or stop == "epoch":
        return 1.0
    targets = (source.sample(SAMPLE) if source.is_chunked else objective.in_memory).targets
    centre = float(targets.mean())
    apart = targets - centre
    with np.errstate(over="ignore"):    # of squares of huge targets
        unit = loss(centre, targets) if stop == "loss" else math.sqrt(float(apart @ apart) / len(apart))
    return unit if 0 < unit < math.inf else abs(centre) or 1.0


def _scale_of_stochastic(objective: Objective, options: Options, theta0: Any) -> float:
    """The scale with which a stochastic descent goes on; infinity where the rows are too few for one."""
    rows: Any = objective.data
    assert isinstance(options.loss, Huber)
    scale = math.inf
    if are_enough(rows.n, rows.n_parameters):
        scale = fit_of_sample(objective, options, theta0)[0]
    objective = objective.with_loss(Huber(delta_of(options.loss.delta, scale)))
    return scale


def fit_of_sample(objective: Objective, options: Options, theta0: Any) -> tuple[float, Any]:
    """The scale of the residuals and the weights of the batch descent on a sample."""
    rows: Any = objective.data
    assert isinstance(options.loss, Huber)
    some = objective.on(rows.sample(SAMPLE))
    settings = batch_options("", "adaptive", options.settings.tol, UPDATES_ON_SAMPLE, "step", False, None, False,
                              False, options.metric_for(rows.p), None)
    outcome, _ = run_batch(some, settings._replace(has_concomitant_scale=True), theta0)
    assert isinstance(some.loss, Huber)
    return some.loss.delta / options.loss.delta, np.array(outcome.x)
