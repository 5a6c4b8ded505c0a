"""Facts about how a run ended, beyond the rule that ended it."""
from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from fastgd._limits import FAR, FEW, GROWN, LOOKS, NEGLIGIBLE, SAMPLE, WORTH_A_LOOK, WORTH_WHILE
from fastgd._theta import is_finite, largest
from fastgd.results import CONVERGED, LIMIT_REACHED, NOT_FINITE, STALLED

if TYPE_CHECKING:
    from fastgd._objective import Objective
    from fastgd._run import Outcome
    from fastgd._types import Theta

#: How far along a step of Newton's the loss is looked at.
_FRACTIONS = 4.0 ** np.arange(-8, 9)


class Growth(NamedTuple):
    """The objective at the start and at the end of a run that went up, and whether it grew a millionfold."""

    began: float
    ended: float
    is_huge: bool


class Shortfall(NamedTuple):
    """A place with a materially lower loss than that where a descent ended."""

    loss: float
    theta: Theta
    is_least: bool


class Verdict(NamedTuple):
    """How a run ended.

    Attributes
    ----------
    status : int
        That of the outcome, or STALLED if the last step was short where a step on the whole data is not (a stochastic
        step may be short because its point happens to lie near theta), if the rate fell to 0 too soon, or if the loss
        of a linear model is higher than at the start or materially lower elsewhere; or NOT_FINITE if it grew without
        bound.
    growth : Growth or None
        If the loss of a linear model is known to be higher than at the start.
    shortfall : Shortfall or None
        If the loss is known to be materially lower elsewhere.
    has_labels : bool
        Whether it converged to an answer that means nothing, because the targets are labels and no probabilities.
    """

    status: int
    growth: Growth | None = None
    shortfall: Shortfall | None = None
    has_labels: bool = False


_CONVERGED = Verdict(CONVERGED)


def judge(objective: Objective, outcome: Outcome, tol: float, stop: str = "step",
          is_stochastic: bool = False) -> Verdict:
    """The verdict on an outcome."""
    is_rows, status, growth = objective.source.is_rows, outcome.status, None
    if is_rows and status != NOT_FINITE:
        growth = _growth(objective, outcome.start, outcome.x, is_stochastic)
        if growth is not None and status in (CONVERGED, LIMIT_REACHED):
            return Verdict(NOT_FINITE if growth.is_huge else STALLED if status == CONVERGED else status, growth)
    if status != CONVERGED:
        return Verdict(status, growth)
    if outcome.alpha == 0:
        return _judged_at_rest(objective, outcome, tol)
    if (is_stochastic and stop != "loss"
            and not largest(objective.slope(outcome.x)) * outcome.alpha < tol):
        return Verdict(STALLED)
    if is_rows and objective.gradient is not None and not math.isfinite(objective.descended_value(outcome.x)):
        return Verdict(NOT_FINITE)    # where theta is so large that a step is lost in its rounding
    shortfall = _shortfall(objective, outcome, tol, stop == "loss") if is_rows or stop == "loss" else None
    if shortfall is not None:
        return Verdict(STALLED, None, shortfall)
    return Verdict(CONVERGED, has_labels=True) if objective.has_labels() else _CONVERGED


def _judged_at_rest(objective: Objective, outcome: Outcome, tol: float) -> Verdict:
    """The verdict where the rate fell to 0: whether a step at the largest rate of the run would be short too.

    A longer one is forgiven if the loss, which is our own, does not say that it leads to a place worth while.
    """
    slope = largest(objective.slope(outcome.x))
    if slope == 0 or slope * outcome.fastest < tol:
        return _CONVERGED
    knows_loss = objective.gradient is not None and math.isfinite(objective.descended_value(outcome.x))
    return _CONVERGED if knows_loss and _shortfall(objective, outcome, 0.0, True) is None else Verdict(STALLED)


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


def _shortfall(objective: Objective, outcome: Outcome, tol: float, by_loss: bool) -> Shortfall | None:
    """Where the loss is materially lower than at the end, if it is along steps of Newton's, else None.

    With the largest curvature c of the loss and G = X'X / n (1 without X) a step is pinv(c G) @ gradient: on the
    squared error one leads to the least loss; on others it leads down if it is not too long, so that some lengths are
    tried, and others follow as long as they lead farther down.
    """
    loss = objective.descended
    if loss is None:
        return None
    first = _lowest_along(objective, outcome.x)
    if first is None:
        return None
    best: Theta = first
    here, there = objective.descended_value(outcome.x), objective.descended_value(best)
    if (not here - there > WORTH_A_LOOK * abs(here)
            or here - there <= NEGLIGIBLE * abs(objective.descended_value(outcome.start))):
        return None

    def is_enough() -> bool:
        far = here - there > FAR * tol if by_loss else largest(best - outcome.x) > FAR * tol
        return bool(far and here - there > WORTH_WHILE * abs(here))

    # Where as many steps as the first would not lead so far, more of them are not worth a look.
    is_hopeless = not by_loss and LOOKS * largest(best - outcome.x) <= FAR * tol
    looks = 0 if loss.is_quadratic or is_hopeless else LOOKS
    while looks > 0 and not is_enough():
        farther = _lowest_along(objective, best)
        lower = there if farther is None else objective.descended_value(farther)
        if farther is None or not there - lower > WORTH_A_LOOK * abs(here):
            break
        best, there, looks = farther, lower, looks - 1
    if not is_enough():
        return None
    return Shortfall(there, best, loss.is_quadratic and objective.curvature.has_gram)


def _lowest_along(objective: Objective, theta: Any) -> Theta | None:
    """Where the loss of a sample is least along the step of Newton's from theta; None if there is no such place."""
    loss = objective.descended
    assert loss is not None
    with np.errstate(all="ignore"):
        step = objective.curvature.over_gram(objective.slope(theta)) * (loss.max_stable_alpha or 2.0) / 2
        places = [theta - fraction * step for fraction in _FRACTIONS]
        losses = np.array(objective.descended_values(places, SAMPLE))
    if not is_finite(step) or np.isnan(losses).all():
        return None
    best: Theta = places[int(np.nanargmin(losses))]
    return best
