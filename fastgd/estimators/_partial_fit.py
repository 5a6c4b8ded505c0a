"""Incremental fit: one epoch of a stochastic solver on further rows, for `partial_fit`."""
from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from fastgd._convergence.finalize import result_of
from fastgd._data.arrays import linear_data_like
from fastgd._format import is_finite
from fastgd._objective.objective import LossFunctions, Objective
from fastgd._solvers import run_stochastic
from fastgd._solvers.base import ROUNDING
from fastgd._solvers.concomitant_scale import sizes_of_residuals
from fastgd.estimators._fitting import Fit, State, fit_sample, limit_batch_size
from fastgd.estimators._stream_statistics import (
    ROWS_FOR_MOMENTS,
    RunningCurvature,
    RunningScale,
    has_enough_rows,
    scaled_delta,
)
from fastgd.losses import Huber
from fastgd.results import LIMIT_REACHED, NOT_FINITE, DivergenceError
from fastgd.schedules import as_rates

if TYPE_CHECKING:
    from fastgd._types import DoubleArray, Rates
    from fastgd.estimators._options import Options
    from fastgd.losses import Loss


class _OffsetRates:
    """Learning rates of a schedule after `updates` updates."""

    def __init__(self, rates: Rates, updates: int) -> None:
        self._rates, self._updates, self.is_constant = rates, updates, rates.is_constant

    def __call__(self, start: int, count: int) -> DoubleArray:
        return self._rates(self._updates + start, count)


def run_epoch(objective: Objective, options: Options, state: State | None, theta0: DoubleArray,
            generator: np.random.BitGenerator | None = None) -> Fit:
    """Run one epoch from `state`, or theta0 without one; its loss is the mean over the new rows."""
    rows: Any = objective.data
    state = state or State(theta0, theta0, None, 0, 0, None, None,
                           generator or options.settings.bit_generator)
    settings = limit_batch_size(options.settings_for(rows.p), rows.n)._replace(
        limit=1, tol=0.0, stop="epoch", bit_generator=state.generator)
    before = 0 if state.moments is None else state.moments.n
    if settings.precondition is not None and 0 < before < ROWS_FOR_MOMENTS <= before + rows.n:
        # The column scales came from too few rows, and the first steps may be arbitrarily long: restart.
        state = state._replace(theta=state.start, average=None, averaged=0)
    if isinstance(options.loss, Huber) and options.scale is not None:
        state = _update_scale(objective, options, state)
        assert state.scale is not None
        loss: Loss = Huber(scaled_delta(options.loss.delta, state.scale))
    else:
        loss = options.start_loss
    curvature = RunningCurvature(rows, state.moments)
    objective = Objective(LossFunctions.of(loss), rows, objective.penalty, objective.threads, curvature)
    if settings.rates is None:
        if state.rate is None:
            rate = 1.0 if settings.precondition is not None else objective.safe_rate(True)
            state = state._replace(rate=rate)
        assert state.rate is not None
        settings = settings._replace(rates=as_rates(state.rate))
    assert settings.rates is not None
    settings = settings._replace(rates=_OffsetRates(settings.rates, state.updates))
    outcome, history = run_stochastic(objective, settings, np.empty(0), state.theta)
    average, averaged = _update_average(state, outcome)
    moments = state.moments
    if settings.precondition is not None:
        moments = curvature.moments(curvature.preconditioner(settings.precondition, 1.0, 0.0, is_stochastic=True).unit)
    state = state._replace(theta=np.array(outcome.theta), average=average, averaged=averaged, moments=moments,
                           updates=state.updates + outcome.updates)
    outcome = outcome._replace(average=average)
    if not is_finite(outcome.theta):
        message = f"{settings.method} diverged: theta is not finite. Use a smaller alpha, or alpha=None."
        raise DivergenceError(message, result_of(objective, outcome, history, NOT_FINITE, message))
    result: Any = result_of(objective, outcome, history, LIMIT_REACHED,
                            f"{settings.method} made {state.updates} updates so far.")
    return Fit(result, 1, np.array([result.fun]), state.scale, state)


def _update_scale(objective: Objective, options: Options, state: State) -> State:
    """Update the scale of the state.

    A number is kept. For "mad" the batch fit of the first rows starts scale and weights; with fewer rows delta is
    infinite. Later calls update the running scale with the residuals of their rows before the epoch.
    """
    assert isinstance(options.loss, Huber)
    rows: Any = objective.data
    scale: Any = options.scale
    if options.estimates_scale and state.running is None:
        state, scale = _start_running_scale(objective, options, state)
    elif options.estimates_scale:
        assert state.running is not None
        theta = state.theta if state.average is None else state.average
        least, most = rows.extremes
        running = state.running.update(
            sizes_of_residuals(theta, rows), rows.weights, ROUNDING * max(abs(least), abs(most)))
        state, scale = state._replace(running=running), running.value
    return state._replace(scale=scale)


def _start_running_scale(objective: Objective, options: Options, state: State) -> tuple[State, float]:
    """Start the running scale on all rows so far; while they are too few, hold them and return infinity."""
    rows: Any = objective.data
    weights = np.ones(rows.n) if rows.weights is None else rows.weights
    # Copies, as the caller may overwrite the arrays.
    held = (*state.held, (rows.X.copy(), rows.targets.copy(), weights))
    if not has_enough_rows(sum(len(targets) for _, targets, _ in held), rows.n_parameters):
        return state._replace(held=held), math.inf
    so_far = linear_data_like(rows, *(np.concatenate(parts) for parts in zip(*held, strict=True)))
    scale, theta = fit_sample(objective.on(so_far), options, state.theta)
    return state._replace(theta=theta, average=None, averaged=0, held=(),
                          running=RunningScale.of(scale, so_far.n)), scale


def _update_average(state: State, outcome: Any) -> tuple[DoubleArray | None, int]:
    """Return the weighted mean of all thetas, with weight t for update t, and their number.

    (S. Lacoste-Julien, M. Schmidt and F. Bach, "A simpler approach to obtaining an O(1/t) convergence rate for the
    projected stochastic subgradient method", arXiv:1212.2002, 2012.)
    """
    if outcome.average is None:
        return None, 0
    before = 0 if state.average is None else state.averaged
    averaged = before + outcome.updates
    mean = np.array(outcome.average)
    if state.average is not None:
        mean = state.average + (mean - state.average) * (1 - (before / averaged) ** 2)
    return mean, averaged
