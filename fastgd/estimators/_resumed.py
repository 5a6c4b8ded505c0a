"""One more epoch of a stochastic descent, on rows that came later: `partial_fit`."""
from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from fastgd._convergence.finalize import result_of
from fastgd._convergence.report import Verdict
from fastgd._format import is_finite
from fastgd._limits import ROUNDING
from fastgd._solvers import run_stochastic
from fastgd._solvers.concomitant_scale import sizes_of_residuals
from fastgd._data.arrays import linear_data_like
from fastgd.estimators._running_moments import ROWS_FOR_MOMENTS, RunningCurvature
from fastgd.estimators._running_scale import RunningScale, are_enough, delta_of
from fastgd.estimators._runs import Fit, State, fit_of_sample, in_slices
from fastgd.losses import Huber
from fastgd.results import LIMIT_REACHED, NOT_FINITE, DivergenceError
from fastgd.schedules import as_rates

if TYPE_CHECKING:
    from fastgd._objective.objective import Objective
    from fastgd._types import DoubleArray, Rates
    from fastgd.estimators._options import Options


class _From:
    """Rates that go on after so many updates."""

    def __init__(self, rates: Rates, updates: int) -> None:
        self._rates, self._updates, self.is_constant = rates, updates, rates.is_constant

    def __call__(self, start: int, count: int) -> DoubleArray:
        return self._rates(self._updates + start, count)


def resumed(objective: Objective, options: Options, state: State | None, theta0: DoubleArray,
            generator: np.random.BitGenerator | None = None) -> Fit:
    """An epoch from where the last one ended; its loss is that on the new rows."""
    rows: Any = objective.data
    state = state or State(theta0, theta0, None, 0, 0, None, None,
                           generator or options.settings.bit_generator)
    settings = in_slices(options.settings_for(rows.p), rows.n)._replace(
        limit=1, tol=0.0, stop="epoch", bit_generator=state.generator)
    before = 0 if state.moments is None else state.moments.n
    if settings.precondition is not None and 0 < before < ROWS_FOR_MOMENTS <= before + rows.n:
        # The scales of columns were those of too few rows, and the first steps may have led anywhere.
        state = state._replace(theta=state.start, average=None, averaged=0)
    if isinstance(options.loss, Huber) and options.scale is not None:
        state = _with_scale(objective, options, state)
    curvature = RunningCurvature(rows, state.moments)
    objective.second_moments = curvature
    if settings.rates is None:
        if state.rate is None:
            rate = 1.0 if settings.precondition is not None else objective.safe_rate(True)
            state = state._replace(rate=rate)
        assert state.rate is not None
        settings = settings._replace(rates=as_rates(state.rate))
    assert settings.rates is not None
    settings = settings._replace(rates=_From(settings.rates, state.updates))
    outcome, history = run_stochastic(objective, settings, np.empty(0), state.theta)
    average, averaged = _with_epoch(state, outcome)
    moments = state.moments
    if settings.precondition is not None:
        moments = curvature.moments(curvature.metric(settings.precondition, 1.0, 0.0, is_stochastic=True).unit)
    state = state._replace(theta=np.array(outcome.theta), average=average, averaged=averaged, moments=moments,
                           updates=state.updates + outcome.updates)
    outcome = outcome._replace(average=average)
    if not is_finite(outcome.theta):
        message = f"{settings.method} diverged: theta is not finite. Use a smaller alpha, or alpha=None."
        raise DivergenceError(message, result_of(objective, outcome, history, Verdict(NOT_FINITE), message))
    result: Any = result_of(objective, outcome, history, Verdict(LIMIT_REACHED),
                            f"{settings.method} made {state.updates} updates so far.")
    return Fit(result, 1, np.array([result.fun]), state.scale, state)


def _with_scale(objective: Objective, options: Options, state: State) -> State:
    """The state with a scale; the objective gets its loss.

    One that was given stays. One that is found begins with the batch fit of the first rows, as soon as they are
    enough, from which the weights go on too; until then the loss has no bound. Then it follows the residuals that the
    rows of each call have before their epoch.
    """
    assert isinstance(options.loss, Huber)
    rows: Any = objective.data
    scale: Any = options.scale
    if options.by_mad and state.running is None:
        state, scale = _begun(objective, options, state)
    elif options.by_mad:
        assert state.running is not None
        theta = state.theta if state.average is None else state.average
        least, most = rows.extremes
        running = state.running.updated(
            sizes_of_residuals(theta, rows), rows.weights, ROUNDING * max(abs(least), abs(most)))
        state, scale = state._replace(running=running), running.value
    objective = objective.with_loss(Huber(delta_of(options.loss.delta, scale)))
    return state._replace(scale=scale)


def _begun(objective: Objective, options: Options, state: State) -> tuple[State, float]:
    """The state with the scale of all rows so far, or with these rows and infinity while they are too few."""
    rows: Any = objective.data
    weights = np.ones(rows.n) if rows.weights is None else rows.weights
    # Copies: the caller may fill its arrays anew.
    held = (*state.held, (rows.X.copy(), rows.targets.copy(), weights))
    if not are_enough(sum(len(targets) for _, targets, _ in held), rows.n_parameters):
        return state._replace(held=held), math.inf
    so_far = linear_data_like(rows, *(np.concatenate(parts) for parts in zip(*held, strict=True)))
    scale, theta = fit_of_sample(objective.on(so_far), options, state.theta)
    return state._replace(theta=theta, average=None, averaged=0, held=(),
                          running=RunningScale.of(scale, so_far.n)), scale


def _with_epoch(state: State, outcome: Any) -> tuple[DoubleArray | None, int]:
    """The mean of all thetas so far, and of how many: that of update t counts t times, as the first are far away.

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
