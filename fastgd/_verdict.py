"""Facts about how a run ended, beyond the rule that ended it."""
from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from fastgd._format import max_abs
from fastgd._limits import FEW, GROWN
from fastgd._shortfall import shortfall_of
from fastgd.results import CONVERGED, LIMIT_REACHED, NOT_FINITE, STALLED

if TYPE_CHECKING:
    from fastgd._objective import Objective
    from fastgd._run import Outcome
    from fastgd._shortfall import Shortfall


#: A theta beyond which a loss of our own may overflow: the square of its residuals does from 1e154 on.
HUGE = 1e100


class Growth(NamedTuple):
    """The objective at the start and at the end of a run that went up, and whether it grew a millionfold."""

    began: float
    ended: float
    is_huge: bool


class Verdict(NamedTuple):
    """How a run ended.

    Attributes
    ----------
    status : int
        That of the outcome, or STALLED if the last step was short where a step on the whole data is not (a stochastic
        step may be short because its point happens to lie near theta), if the rate fell to 0 too soon, if the loss of a
        linear model is higher than at the start or materially lower elsewhere, or if it may be farther above its least
        than was asked for; or NOT_FINITE if it grew without bound.
    growth : Growth or None
        If the loss of a linear model is known to be higher than at the start.
    shortfall : Shortfall or None
        If the loss is known to be materially lower elsewhere.
    is_separable : bool
        Whether there is no minimum, because the rows of the two classes lie on two sides of a plane, or all points are
        of one class.
    edge : float, ndarray or None
        If the loss is no number where the run ended: the last place on the way from the start where it is one.
    has_labels : bool
        Whether it converged to an answer that means nothing, because the targets are labels and no probabilities.
    """

    status: int
    growth: Growth | None = None
    shortfall: Shortfall | None = None
    has_labels: bool = False
    is_separable: bool = False
    edge: Any = None


_CONVERGED = Verdict(CONVERGED)


def judge(objective: Objective, outcome: Outcome, tol: float, stop: str = "step",
          is_stochastic: bool = False) -> Verdict:
    """The verdict on an outcome."""
    is_rows, x, status, growth = objective.source.is_rows, outcome.x, outcome.status, None
    if is_rows and status != NOT_FINITE:
        growth = _growth(objective, outcome.start, x, is_stochastic)
        if growth is not None and status in (CONVERGED, LIMIT_REACHED):
            return Verdict(NOT_FINITE if growth.is_huge else STALLED if status == CONVERGED else status, growth)
    if status in (CONVERGED, LIMIT_REACHED) and objective.separates(x):
        return Verdict(STALLED if status == CONVERGED else status, growth, is_separable=True)
    if status != CONVERGED:
        return Verdict(status, growth)
    if objective.calls_loss and not math.isfinite(objective.value(x)):
        return Verdict(STALLED, edge=_edge(objective, outcome.start, x))
    bound = outcome.bound
    if bound is not None and bound.is_proved and bound.is_enough:
        return _CONVERGED
    if outcome.alpha == 0:
        return _judged_at_rest(objective, outcome, tol)
    if is_stochastic and stop != "loss" and not outcome.full_step < tol:
        return Verdict(STALLED)
    if is_rows and objective.gradient is not None and not math.isfinite(objective.descended_value(x)):
        return Verdict(NOT_FINITE)    # where theta is so large that a step is lost in its rounding
    if (objective.gradient is not None and not is_rows and max_abs(x) > HUGE
            and not math.isfinite(objective.descended_value(x))):
        return Verdict(STALLED, edge=_edge(objective, outcome.start, x))
    shortfall = shortfall_of(objective, x, outcome.start, tol, stop == "loss")
    if shortfall is not None:
        return Verdict(STALLED, None, shortfall, is_separable=objective.separates(shortfall.theta))
    if bound is not None and not bound.is_enough:
        return Verdict(STALLED)
    return Verdict(CONVERGED, has_labels=True) if objective.has_labels() else _CONVERGED


def _edge(objective: Objective, start: Any, x: Any) -> Any:
    """The last place on the line from the start to x where the loss is a number, found by bisection; NaN if none is."""
    values = objective.values if objective.calls_loss else objective.descended_values
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


def _judged_at_rest(objective: Objective, outcome: Outcome, tol: float) -> Verdict:
    """The verdict where the rate fell to 0: whether a step at the largest rate of the run would be short too.

    Of a loss of our own it is the loss that says whether it leads to a place worth while.
    """
    slope = max_abs(objective.slope(outcome.x))
    knows_loss = objective.gradient is not None and math.isfinite(objective.descended_value(outcome.x))
    if slope == 0 or (slope * outcome.fastest < tol and not knows_loss):
        return _CONVERGED
    return (_CONVERGED if knows_loss and shortfall_of(objective, outcome.x, outcome.start, 0.0) is None
            else Verdict(STALLED))


def _growth(objective: Objective, start: Any, end: Any, is_stochastic: bool) -> Growth | None:
    """Whether the objective rose from the one theta to the other.

    Measured by the objective at theta 0 where that is larger; stochastic descent may rise by a tenth. A sample of the
    rows is asked first: it tells a descent that went well from one that did not for less than a pass over all.
    """
    if objective.gradient is not None and objective.source.n > 2 * FEW:
        began, ended = objective.descended_values([start, end], FEW)
        if ended < began:
            return None
    began, ended = objective.descended_value(start), objective.descended_value(end)
    if ended <= began:
        return None
    size = max(abs(began), abs(objective.descended_value(np.zeros(len(end)))))
    noise = 0.1 if is_stochastic else 1e-9
    return Growth(began, ended, ended > GROWN * size > 0) if ended - began > noise * size else None
