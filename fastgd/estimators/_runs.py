"""The fit of one linear model: a descent by the driver that all have, and how it ended."""
from __future__ import annotations

import dataclasses
import math
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from sklearn import exceptions

from fastgd import results
from fastgd._ending import conclude
from fastgd._limits import SAMPLE, UPDATES_ON_SAMPLE
from fastgd._objective import Objective
from fastgd._run import descend, descend_in_batches
from fastgd._settings import batch_settings
from fastgd.estimators._looks import Looks
from fastgd.losses import Huber
from fastgd.results import LIMIT_REACHED, NOT_FINITE, DescentResult

if TYPE_CHECKING:
    from collections.abc import Callable

    from fastgd._run import Outcome
    from fastgd._settings import Settings
    from fastgd._sums import Threads
    from fastgd._types import DoubleArray
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
    """

    theta: DoubleArray
    average: DoubleArray | None
    averaged: int
    updates: int
    rate: float | None
    scale: float | None
    generator: np.random.BitGenerator | None
    moments: Any = None


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
    settings: Settings
    outcome: Outcome
    history: Any
    looks: Looks
    scale: float | None


def objective_on(source: Any, options: Options, threads: Threads) -> Objective:
    """The Objective of a loss over a source that was checked."""
    objective = Objective(options.start_loss, None, True, True, threads)
    objective.penalty, objective.source = options.penalty, source
    return objective


def run(objective: Objective, options: Options, theta0: Any, *, generator: np.random.BitGenerator | None = None,
        score: Callable[[DoubleArray], float] | None = None) -> Run:
    """Descend as the options say."""
    rows: Any = objective.source
    scale = None if options.by_mad else options.scale
    settings = options.settings_for(rows.p)
    if settings.is_stochastic:
        settings = in_slices(settings, rows.n)._replace(bit_generator=generator or settings.bit_generator)
        if options.by_mad:
            scale = scale_of_sample(objective, options, theta0)
    if not settings.by_spread:
        settings = settings._replace(tol=settings.tol * _unit(objective, settings.stop))
    looks = Looks(objective, score, options.patience)
    settings = settings._replace(trail=looks)
    if settings.is_stochastic:
        outcome, history = descend_in_batches(objective, settings, np.empty(0), theta0)
    else:
        outcome, history = descend(objective, settings, theta0)
    if settings.by_spread:
        assert isinstance(objective.descended, Huber)
        assert isinstance(options.loss, Huber)
        scale = objective.descended.delta / options.loss.delta
        settings = settings._replace(tol=settings.tol * scale)
    return Run(objective, settings, outcome, history, looks, scale)


def ended(done: Run) -> Fit:
    """Judge a run, and warn or raise as it deserves."""
    objective, settings, outcome, looks = done.objective, done.settings, done.outcome, done.looks
    state = None if not settings.is_stochastic else State(
        np.array(outcome.theta), None if outcome.average is None else np.array(outcome.average),
        max(1, round(outcome.updates / max(1.0, outcome.epochs))), outcome.updates, None, done.scale,
        settings.bit_generator)
    if looks.is_separated:
        outcome = outcome._replace(status=LIMIT_REACHED)
    if looks.best is not None and outcome.status != NOT_FINITE:
        outcome = outcome._replace(theta=looks.best, average=None)
    found: Any = conclude(objective, settings, outcome, done.history, ConvergenceWarning)
    if looks.is_stopped:
        found = dataclasses.replace(found, message=(
            f"{settings.method} was stopped after {outcome.updates} updates, the last of which did not improve the "
            "score on the rows that were kept apart."))
    iterations = outcome.updates if not settings.is_stochastic else math.ceil(outcome.epochs)
    return Fit(found, iterations, looks.curve(), done.scale, state)


def in_slices(settings: Settings, n: int) -> Settings:
    """The Settings of a stochastic descent on so many rows, of which no slice has more."""
    size = settings.batch_size
    return settings if size is None else settings._replace(batch_size=min(size, n))


def _unit(objective: Objective, stop: str) -> float:
    """What `tol` is in units of: the standard deviation of the targets, or the loss of their mean."""
    loss, source = objective.descended, objective.source
    assert loss is not None
    if loss.link != "identity" or stop == "epoch":
        return 1.0
    targets = (source.sample(SAMPLE) if source.is_parted else objective.in_memory).targets
    centre = float(targets.mean())
    apart = targets - centre
    unit = loss(centre, targets) if stop == "loss" else math.sqrt(float(apart @ apart) / len(apart))
    return unit if 0 < unit < math.inf else abs(centre) or 1.0


def scale_of_sample(objective: Objective, options: Options, theta0: Any) -> float:
    """The scale of the residuals of the descent on a sample, with which the objective then goes on."""
    rows: Any = objective.source
    assert isinstance(options.loss, Huber)
    some = objective.on(rows.sample(SAMPLE))
    settings = batch_settings("", "adaptive", options.settings.tol, UPDATES_ON_SAMPLE, "step", False, None, False,
                              False, options.metric_for(rows.p), None)
    descend(some, settings._replace(by_spread=True), theta0)
    assert isinstance(some.descended, Huber)
    objective.take_loss(some.descended)
    return some.descended.delta / options.loss.delta
