"""One more epoch of a stochastic descent, on rows that came later: `partial_fit`."""
from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from fastgd._curvature import RowsCurvature
from fastgd._ending import result_of
from fastgd._run import descend_in_batches
from fastgd._theta import is_finite
from fastgd._verdict import Verdict
from fastgd.estimators._runs import Fit, State, in_slices, scale_of_sample
from fastgd.losses import Huber
from fastgd.results import LIMIT_REACHED, NOT_FINITE, DivergenceError
from fastgd.schedules import as_rates

if TYPE_CHECKING:
    from fastgd._objective import Objective
    from fastgd._source.rows import AnyRows
    from fastgd._types import DoubleArray, Rates
    from fastgd.estimators._options import Options


class Moments(NamedTuple):
    """Of the columns of all rows so far: how many, means, variances, and the largest squared length of a scaled row."""

    n: int
    means: DoubleArray
    variances: DoubleArray
    largest: float


class RunningCurvature(RowsCurvature):
    """That of rows that follow others, of which the moments are known.

    Without an intercept the means are 0.
    """

    def __init__(self, rows: AnyRows, before: Moments | None) -> None:
        super().__init__(rows)
        self._before = before

    def _columns(self) -> tuple[DoubleArray, DoubleArray]:
        means, variances = super()._columns()
        if self._before is None:
            return means, variances
        n, m = self._before.n, self._rows.n
        part = m / (n + m)
        apart = means - self._before.means
        return (self._before.means + part * apart,
                (1 - part) * self._before.variances + part * variances + part * (1 - part) * apart**2)

    def _largest_scaled_row(self, shift: DoubleArray, sizes: DoubleArray) -> float:
        largest = super()._largest_scaled_row(shift, sizes)
        return largest if self._before is None else max(largest, self._before.largest)

    def moments(self, unit: float) -> Moments:
        """Those of all rows; `unit` is that of the metric of a loss of curvature 1."""
        n = self._rows.n + (0 if self._before is None else self._before.n)
        return Moments(n, *self._columns(), 1 / unit)


class _From:
    """Rates that go on after so many updates."""

    def __init__(self, rates: Rates, updates: int) -> None:
        self._rates, self._updates, self.is_constant = rates, updates, rates.is_constant

    def __call__(self, start: int, count: int) -> DoubleArray:
        return self._rates(self._updates + start, count)


def resumed(objective: Objective, options: Options, state: State | None, theta0: DoubleArray,
            generator: np.random.BitGenerator | None = None) -> Fit:
    """An epoch from where the last one ended; its loss is that on the new rows."""
    rows: Any = objective.source
    state = state or State(theta0, None, 0, 0, None, options.scale, generator or options.settings.bit_generator)
    if isinstance(options.loss, Huber) and state.scale is not None:
        state = _with_scale(objective, options, state)
    settings = in_slices(options.settings_for(rows.p), rows.n)._replace(
        limit=1, tol=0.0, stop="epoch", bit_generator=state.generator)
    curvature = RunningCurvature(rows, state.moments)
    objective.__dict__["curvature"] = curvature
    if settings.rates is None:
        if state.rate is None:
            rate = 1.0 if settings.precondition is not None else objective.safe_rate(True)
            state = state._replace(rate=rate)
        assert state.rate is not None
        settings = settings._replace(rates=as_rates(state.rate))
    assert settings.rates is not None
    settings = settings._replace(rates=_From(settings.rates, state.updates))
    outcome, history = descend_in_batches(objective, settings, np.empty(0), state.theta)
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
    """The state with a scale, which the first rows say if nobody does; the objective has its loss."""
    assert isinstance(options.loss, Huber)
    scale: Any = state.scale
    if isinstance(scale, str):
        scale = scale_of_sample(objective, options, state.theta)
    else:
        objective.take_loss(Huber(options.loss.delta * scale))
    return state._replace(scale=scale)


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
