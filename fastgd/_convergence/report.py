"""Convergence report of a run: the facts of its end, as numbers, computed before any text is made.

`assess` determines the status; `report_of` adds the facts that a message needs.
"""
from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np

from fastgd._convergence.certificate import find_better_point, passes_to_minimum
from fastgd._data.arrays import SMALL_SAMPLE_ROWS, sum_targets
from fastgd._format import is_finite, max_abs
from fastgd._objective.second_moments import MAX_GRAM_COLUMNS
from fastgd._pairwise import NUMPY_POINTS
from fastgd.results import CONVERGED, LIMIT_REACHED, NOT_FINITE, STALLED

if TYPE_CHECKING:
    from fastgd._convergence.certificate import BetterPoint
    from fastgd._objective.objective import Objective
    from fastgd._options import DescentOptions
    from fastgd._solvers import Outcome
    from fastgd._solvers.base import Bound

#: Ratio of the loss at the end to the loss at the start above which a run has diverged, even with a finite theta.
DIVERGENCE_RATIO = 1e6
#: A theta beyond which a compiled loss may overflow; only a divergent run reaches it.
HUGE = 1e100
#: Relative increase of the objective that counts as growth: in a batch descent, and in a stochastic one.
RISE, STOCHASTIC_RISE = 1e-9, 0.1
#: Largest stable learning rate with a preconditioner, whose scale makes half of it 1.
MAX_PRECONDITIONED_RATE = 2.0
#: Root mean square above which a column is unscaled.
UNSCALED = 3.0


class Growth(NamedTuple):
    """Objective at the start and at the end of a run that increased it; `is_huge` if it grew a millionfold."""

    began: float
    ended: float
    is_huge: bool


class Cause(NamedTuple):
    """Reason why a run cannot go on, with the thetas and values that show it.

    The kind is "start" if the loss is not finite at the start, "gradient" if a Python gradient is not finite at theta,
    "beside" if the loss is finite at theta and not beside it, "loss" if the loss is not finite at theta, "endless" if
    the loss decreased from the start to a huge theta, "no root" if a gradient without a loss has the same sign at a
    huge theta, "uphill" if the loss rises along the negative gradient.
    """

    kind: Literal["start", "gradient", "beside", "loss", "endless", "no root", "uphill"]
    theta: Any
    value: Any = math.nan
    began: float = math.nan


class Assessment(NamedTuple):
    """Status of a run, and the facts that decided it.

    Attributes
    ----------
    status : int
        Status of the outcome; STALLED if the last stochastic step was short where a step on all data is not, if the
        learning rate fell to 0 too soon, if the loss of a linear model is higher than at the start or materially lower
        at another point, or if the bound on its suboptimality is above the tolerance; NOT_FINITE if the loss grew
        without bound.
    growth : Growth or None
        Growth of the loss of a linear model from the start to the end, if it grew.
    better : BetterPoint or None
        Point where the loss is materially lower, if one was found.
    has_sign_labels : bool
        True if the result has no meaning, because the targets are labels -1 and 1 and the loss takes probabilities.
    is_separable : bool
        True if no minimum exists, because the two classes are linearly separable, or all points are of one class.
    edge : float, ndarray or None
        Last theta on the line from the start to the end at which the loss is finite, if it is not finite at the end.
    """

    status: int
    growth: Growth | None = None
    better: BetterPoint | None = None
    has_sign_labels: bool = False
    is_separable: bool = False
    edge: Any = None


_CONVERGED = Assessment(CONVERGED)


def assess(objective: Objective, outcome: Outcome, tol: float, stop: str = "step",
           is_stochastic: bool = False) -> Assessment:
    """Determine the status of a run, and the facts that decide it."""
    is_rows, status, growth = objective.data.is_rows, outcome.status, None
    x = outcome.theta if status == CONVERGED and outcome.average is None else outcome.x
    if is_rows and status != NOT_FINITE:
        growth = _growth(objective, outcome.start, x, is_stochastic)
        if growth is not None and status in (CONVERGED, LIMIT_REACHED):
            return Assessment(NOT_FINITE if growth.is_huge else STALLED if status == CONVERGED else status, growth)
    is_compiled = objective.functions.reported is not None
    is_logit = objective.loss is not None and objective.loss.link == "logit"
    if is_logit and status in (CONVERGED, LIMIT_REACHED) and objective.is_separated_by(x):
        return Assessment(STALLED if status == CONVERGED else status, growth, is_separable=True)
    if status != CONVERGED:
        return Assessment(status, growth)
    if not is_compiled and objective.has_python_loss and not math.isfinite(objective.reported_value(x)):
        return Assessment(STALLED, edge=_edge(objective, outcome.start, x))
    bound = outcome.bound
    if bound is not None and bound.is_proved and bound.is_enough:
        return _CONVERGED
    if outcome.alpha == 0:
        return _assess_at_rest(objective, outcome, tol)
    if is_stochastic and stop != "loss" and not outcome.full_step < tol:
        return Assessment(STALLED)
    if is_rows and objective.loss is not None and not math.isfinite(objective.value(x)):
        return Assessment(NOT_FINITE)    # theta is so large that its rounding absorbs each step
    if not is_rows and objective.loss is not None and not -HUGE < x < HUGE and not math.isfinite(objective.value(x)):
        return Assessment(STALLED, edge=_edge(objective, outcome.start, x))
    better = find_better_point(objective, x, outcome.start, tol, stop == "loss")
    if better is not None:
        return Assessment(STALLED, None, better, is_separable=objective.is_separated_by(better.theta))
    if bound is not None and not bound.is_enough:
        return Assessment(STALLED)
    return Assessment(CONVERGED, has_sign_labels=True) if is_logit and objective.has_sign_labels() else _CONVERGED


def _edge(objective: Objective, start: Any, x: Any) -> Any:
    """Find the last theta on the line from the start to x where the loss is finite, by bisection; NaN if none is."""
    values = objective.reported_values if objective.has_python_loss else objective.values
    if not math.isfinite(values([start])[0]):
        return math.nan
    inside, outside = 0.0, 1.0
    for _ in range(60):
        middle = (inside + outside) / 2
        if math.isfinite(values([start + middle * (x - start)])[0]):
            inside = middle
        else:
            outside = middle
    return start + inside * (x - start)


def _assess_at_rest(objective: Objective, outcome: Outcome, tol: float) -> Assessment:
    """Assess a run whose rate fell to 0 as converged if no better point exists, or if any step would be short."""
    gradient = max_abs(objective.gradient(outcome.x))
    has_loss = objective.loss is not None and math.isfinite(objective.value(outcome.x))
    if gradient == 0 or (gradient * outcome.fastest < tol and not has_loss):
        return _CONVERGED
    return (_CONVERGED if has_loss and find_better_point(objective, outcome.x, outcome.start, 0.0) is None
            else Assessment(STALLED))


def _growth(objective: Objective, start: Any, end: Any, is_stochastic: bool) -> Growth | None:
    """Measure the growth of the objective from one theta to the other; None if it did not rise.

    The growth is relative to the larger of the objectives at `start` and at theta 0. A decrease on a sample of the rows
    saves the passes over all rows.
    """
    if objective.loss is not None and objective.data.n > 2 * SMALL_SAMPLE_ROWS:
        began, ended = objective.values([start, end], SMALL_SAMPLE_ROWS)
        if ended < began:
            return None
    began, ended = objective.value(start), objective.value(end)
    if ended <= began:
        return None
    size = max(abs(began), abs(objective.value(np.zeros(len(end)))))
    rise = STOCHASTIC_RISE if is_stochastic else RISE
    return Growth(began, ended, ended > DIVERGENCE_RATIO * size > 0) if ended - began > rise * size else None


@dataclass(frozen=True, eq=False)
class Report:
    """Facts of the end of a run, from which its message is made.

    Attributes
    ----------
    options, outcome, assessment
        Options, Outcome and Assessment of the run.
    step : float
        Length of the last step, in the units of the stopping rule.
    loss_name : str
        Name of the loss that was minimised.
    is_rows, is_compiled, has_python_loss : bool
        Facts of the objective; `is_compiled` refers to the loss that was minimised.
    value, gradient_size : float
        Minimised loss and largest component of the gradient at the result; NaN if no message needs them.
    overflows : bool
        True if the loss overflows at the start and at the result.
    cause : Cause or None
    columns : tuple of str
        Names of the columns that are constant or collinear.
    largest_target : float
    target_range : tuple of float, or None
        Range of the targets for which the loss is defined, and range of the targets or of their mean, if outside.
    stable_rate : float or None
        Largest stable learning rate, if the run used a larger one or increased the loss.
    unscaled : tuple of (str, float)
        Columns of a large root mean square, with it, if the run increased the loss.
    better_preconditioner : str
        Best preconditioner for the objective.
    batch_passes : int or None
        Passes over the data that batch descent would take, if a stochastic run made more.
    rounding, rounding_of_theta : float
        Rounding of a coarse Python loss without a gradient, and the error of theta from it; 0 for other losses.
    """

    options: DescentOptions
    outcome: Outcome
    assessment: Assessment
    step: float
    loss_name: str
    is_rows: bool
    is_compiled: bool
    has_python_loss: bool
    value: float = math.nan
    gradient_size: float = math.nan
    overflows: bool = False
    cause: Cause | None = None
    columns: tuple[str, ...] = ()
    largest_target: float = 0.0
    target_range: tuple[float, float, float, float] | None = None
    stable_rate: float | None = None
    unscaled: tuple[tuple[str, float], ...] = ()
    better_preconditioner: str = "gram"
    batch_passes: int | None = None
    rounding: float = 0.0
    rounding_of_theta: float = 0.0

    @property
    def status(self) -> int:
        """Status code of `fastgd.results`."""
        return self.assessment.status

    @property
    def bound(self) -> Bound | None:
        """Bound on the suboptimality of a run on smoothed versions of a loss with kinks."""
        return self.outcome.bound

    @property
    def is_scaled(self) -> bool:
        """True if steps are measured in units of the prediction."""
        return self.outcome.moved is not None and self.options.stop == "step"


def report_of(objective: Objective, options: DescentOptions, outcome: Outcome, assessment: Assessment) -> Report:
    """Compute the facts that the message of a run needs."""
    with np.errstate(all="ignore"):
        return _Facts(objective, options, outcome, assessment).report()


class _Facts:
    """Computation of a Report; a fact that costs a pass is computed only if its message needs it."""

    def __init__(self, objective: Objective, options: DescentOptions, outcome: Outcome,
                 assessment: Assessment) -> None:
        self.objective, self.options, self.outcome, self.assessment = objective, options, outcome, assessment
        self.status = assessment.status
        self.went_up = assessment.status == NOT_FINITE or assessment.growth is not None

    def report(self) -> Report:
        objective, outcome, status = self.objective, self.outcome, self.status
        is_scaled = outcome.moved is not None and self.options.stop == "step"
        step = float(outcome.moved) if is_scaled else max_abs(outcome.theta - outcome.previous)    # type: ignore[arg-type]
        overflows, rounding = self._overflows(), self._rounding()
        cause = None if overflows else self._cause()
        needs_value = not overflows and (self.assessment.better is not None
                                       or (status == NOT_FINITE and cause is None and is_finite(outcome.theta)))
        value = math.nan
        if needs_value:
            value = objective.value(outcome.x)
        elif overflows or self.assessment.edge is not None:
            value = objective.reported_value(outcome.x) if objective.has_python_loss else objective.value(outcome.x)
        return Report(
            self.options, outcome, self.assessment, step, self._loss_name(), objective.data.is_rows,
            objective.loss is not None, objective.has_python_loss, value=value, gradient_size=self._gradient_size(),
            overflows=overflows, cause=cause, columns=self._columns(),
            largest_target=self._largest_target(overflows, cause),
            target_range=self._target_range(), stable_rate=self._stable_rate(), unscaled=self._unscaled(),
            better_preconditioner=self._better_preconditioner(), batch_passes=self._batch_passes(),
            rounding=rounding[0], rounding_of_theta=rounding[1])

    def _loss_name(self) -> str:
        return "loss" if self.objective.loss is None else self.objective.loss.__name__

    def _overflows(self) -> bool:
        """Return True if huge targets make the loss overflow at the start and at the end."""
        objective = self.objective
        if self.status not in (LIMIT_REACHED, STALLED) or objective.loss is None:
            return False
        values = [self.outcome.start, self.outcome.x]
        return _largest(objective) > HUGE and not any(map(math.isfinite, objective.values(values)))

    def _cause(self) -> Cause | None:
        if self.status == NOT_FINITE:
            return self._cause_of_divergence()
        x = self.outcome.x
        if (self.status == STALLED and self.options.is_adaptive and self.objective.has_python_loss
                and self.assessment.edge is None and max_abs(x) > HUGE):
            return self._endless(x)
        return None

    def _cause_of_divergence(self) -> Cause | None:
        """Find the cause of an infinite or NaN theta; None if it was the learning rate."""
        objective, start, last = self.objective, self.outcome.start, self.outcome.previous
        if objective.loss is not None and max_abs(start) <= _largest(objective) and not math.isfinite(
                objective.value(start)):
            return Cause("start", start)
        if objective.loss is not None and not objective.has_python_loss:
            return None
        gradient: Any = objective.gradient(last)
        if not is_finite(gradient) and max_abs(last) < HUGE:
            if not objective.has_differences:
                return Cause("gradient", last, gradient)
            value = objective.reported_value(last)
            return Cause("beside" if math.isfinite(value) else "loss", last, value)
        if objective.has_gradient_alone:
            return Cause("no root", last, gradient) if self.options.is_adaptive else None
        return self._endless(last) or self._uphill()

    def _endless(self, last: Any) -> Cause | None:
        began, ended = self.objective.reported_values([self.outcome.start, last])
        return Cause("endless", last, ended, began) if ended < began else None

    def _uphill(self) -> Cause | None:
        """Return the cause "uphill" if short steps along the negative gradient from the start increase the loss."""
        objective, start = self.objective, self.outcome.start
        gradient: Any = objective.gradient(start)
        if objective.has_differences or not is_finite(gradient) or not max_abs(gradient):
            return None
        way = gradient / max_abs(gradient) * (max(max_abs(start), _largest(objective)) or 1.0)
        here, *beyond = objective.reported_values([start, *(start - way * part for part in (1e-3, 1e-4, 1e-5))])
        return Cause("uphill", start) if all(value > here + 1e-9 * abs(here) for value in beyond) else None

    def _largest_target(self, overflows: bool, cause: Cause | None) -> float:
        is_start = cause is not None and cause.kind in ("start", "loss")
        needed = overflows or self.assessment.edge is not None or is_start
        return _largest(self.objective) if needed else 0.0

    def _gradient_size(self) -> float:
        assessment = self.assessment
        needed = self.status == STALLED and assessment.edge is None and (
            assessment.better is None or math.isnan(assessment.better.value))
        return float(max_abs(self.objective.gradient(self.outcome.x))) if needed else math.nan

    def _columns(self) -> tuple[str, ...]:
        data = self.objective.data
        if not self.outcome.collinear:
            return ()
        names = data.parameter_names[int(data.intercept):]
        return tuple(names[k] for k in self.outcome.collinear)

    def _target_range(self) -> tuple[float, float, float, float] | None:
        """Return the allowed and the found range of targets, or of their mean, if the loss is not defined for them."""
        loss, data = self.objective.loss, self.objective.data
        if self.status != LIMIT_REACHED or loss is None or loss.target_range == (-math.inf, math.inf):
            return None
        least, most = loss.target_range
        if data.is_rows:
            low, high = data.extremes
            return None if least <= low <= high <= most else (least, most, low, high)
        mean = data.total(sum_targets, NUMPY_POINTS).item() / data.n
        return None if least < mean < most else (least, most, mean, mean)

    def _stable_rate(self) -> float | None:
        """Compute the largest stable learning rate, in units of the run; None unless the run exceeded it or went up."""
        objective, precondition = self.objective, self.options.precondition
        if (objective.data.is_rows and not self.went_up) or self.status == CONVERGED:
            return None    # because its computation takes passes over X
        loss = objective.loss
        stable = (objective.stable_rate(self.options.is_stochastic)
                  if precondition is None or loss is None or loss.max_stable_alpha is None
                  else MAX_PRECONDITIONED_RATE)
        is_used = self.went_up or (stable is not None and self.outcome.alpha >= stable)
        return stable if is_used else None

    def _unscaled(self) -> tuple[tuple[str, float], ...]:
        data = self.objective.data
        if not data.is_rows or not self.went_up or self.options.precondition is not None or self.status == CONVERGED:
            return ()
        sizes = self.objective.second_moments.column_sizes()
        names = data.parameter_names[int(data.intercept):]
        return tuple((names[k], float(sizes[k])) for k in np.argsort(-sizes)[:3] if sizes[k] > UNSCALED)

    def _better_preconditioner(self) -> str:
        penalty, data = self.objective.penalty, self.objective.data
        has_l1 = penalty is not None and penalty.l1 > 0
        return "scale" if has_l1 or data.n_parameters - data.intercept > MAX_GRAM_COLUMNS else "gram"

    def _batch_passes(self) -> int | None:
        """Estimate the passes that batch descent would take; None unless a stochastic run made more."""
        options, assessment = self.options, self.assessment
        is_plain = self.status == CONVERGED and self.outcome.moved is not None and options.stop == "epoch"
        is_short = self.status in (LIMIT_REACHED, STALLED) and assessment.growth is None and assessment.edge is None
        if not options.is_stochastic or not (is_plain or is_short) or (
                self.status == STALLED and (assessment.is_separable or self.outcome.alpha == 0)):
            return None
        passes = passes_to_minimum(self.objective, self.outcome.start)
        return passes if passes is not None and passes < self.outcome.epochs else None

    def _rounding(self) -> tuple[float, float]:
        if not self.objective.has_differences:
            return 0.0, 0.0
        components: list[Any] = self.objective.partial_gradient.components    # type: ignore[attr-defined]
        rounding, reach = (max(getattr(each, name) for each in components) for name in ("rounding", "reach"))
        return rounding, 0.0 if self.objective.data.is_rows else reach


def _largest(objective: Objective) -> float:
    """Return the largest target in absolute value."""
    return max(map(abs, objective.data.extremes))
