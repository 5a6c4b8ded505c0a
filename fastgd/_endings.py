"""What is said at the end of a run: the result, and the warning or error where it did not go well."""
from __future__ import annotations

import math
import warnings
from typing import TYPE_CHECKING

from fastgd._driver import is_finite, largest
from fastgd._problem import LinearProblem
from fastgd._progress import shown
from fastgd.results import (
    CONVERGED,
    CYCLE,
    LIMIT_REACHED,
    NOT_FINITE,
    STALLED,
    STOPPED_BY_CALLBACK,
    ConvergenceWarning,
    DescentResult,
    DivergenceError,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd

    from fastgd._driver import Outcome
    from fastgd._problem import Problem, Shortfall
    from fastgd._types import DoubleArray, Theta

_ADVICE_BY_STEP = ("Use stop='epoch' and average=True with a decreasing learning rate, such as "
                   "alpha=fastgd.schedules.inverse_scaling(0.5, 0.75), or minimize.")
_ADVICE_BY_EPOCH = "Use a smaller or a decreasing learning rate, average=True if you do not, or minimize."


def conclude(method: str, problem: Problem, outcome: Outcome, tol: float, *, history: pd.DataFrame | None,
             full_output: bool, caller: int, stop: str = "step", is_stochastic: bool = False) -> Theta | DescentResult:
    """Return theta or the DescentResult of this outcome; warn or raise as it deserves.

    `caller` counts the frames from here to the user's call.
    """
    ending = _Ending(problem, outcome, tol, stop, is_stochastic)
    if ending.status == CONVERGED and not full_output and history is None:
        return ending.outcome.x
    message = f"{method} {ending.words()}"
    if ending.status == NOT_FINITE:
        raise DivergenceError(message, ending.result(message, history))
    if ending.status in (LIMIT_REACHED, CYCLE, STALLED) or ending.went_up:
        warnings.warn(message, ConvergenceWarning, stacklevel=caller)
    return ending.result(message, history) if full_output or history is not None else ending.outcome.x


def conclude_many(problem: Problem, starts: DoubleArray, outcomes: Sequence[Outcome], tol: float, *,
                  caller: int) -> list[DescentResult[float]]:
    """The DescentResult of each start; one warning for all that did not converge, an error if all diverged."""
    endings = [_Ending(problem, outcome, tol) for outcome in outcomes]
    xs = [float(outcome.x) for outcome in outcomes]
    losses, slopes = problem.losses_at(xs), problem.slopes_at(xs)
    runs: list[DescentResult[float]] = []
    said: list[str] = []
    for start, x, ending, loss, slope in zip(starts.tolist(), xs, endings, losses, slopes, strict=True):
        message = f"the descent {ending.words()}"
        if ending.status != CONVERGED:
            said.append(f"from {start:g} {message}")
        runs.append(DescentResult(
            x=x, fun=float(loss), jac=float(slope), nit=ending.outcome.updates,
            success=ending.status == CONVERGED, status=ending.status, message=message))
    if all(ending.status == NOT_FINITE for ending in endings):
        raise DivergenceError(f"minimize_multistart diverged from every start; {said[0]}", runs[0])
    if said:
        more = f" So it is, or otherwise bad, from {len(said) - 1} more of the starts." if len(said) > 1 else ""
        warnings.warn(f"minimize_multistart: {said[0]}{more}", ConvergenceWarning, stacklevel=caller)
    return runs


class _Ending:
    """An outcome, judged by what the data say beyond the rule that ended the run.

    Attributes
    ----------
    status : int
        That of the outcome, or STALLED if the last step was short where a step on the whole data is not (a stochastic
        step may be short because its point happens to lie near theta), if the rate fell to 0, or if the loss of a
        linear model is higher than at the start or materially lower elsewhere; or NOT_FINITE if it grew without bound.
    """

    def __init__(self, problem: Problem, outcome: Outcome, tol: float, stop: str = "step",
                 is_stochastic: bool = False) -> None:
        self.problem, self.outcome, self.tol, self.stop = problem, outcome, tol, stop
        self.is_stochastic = is_stochastic
        # what was found of a model that ended badly
        self._losses: tuple[float, float, bool] | None = None
        self._shortfall: Shortfall | None = None
        self.status = self._judged()

    def _judged(self) -> int:
        problem, outcome = self.problem, self.outcome
        is_linear = isinstance(problem, LinearProblem)
        if isinstance(problem, LinearProblem) and outcome.status != NOT_FINITE:
            self._losses = problem.growth(outcome.start, outcome.x, self.is_stochastic)
            if self._losses is not None and outcome.status in (CONVERGED, LIMIT_REACHED):
                return NOT_FINITE if self._losses[2] else STALLED if outcome.status == CONVERGED else LIMIT_REACHED
        if outcome.status != CONVERGED:
            return outcome.status
        if (self.is_stochastic and self.stop != "loss") or outcome.alpha == 0:
            slope = largest(problem.slope_at(outcome.x))
            if not (slope * outcome.alpha < self.tol if outcome.alpha > 0 else slope == 0):
                return STALLED
        if is_linear and problem.compiled is not None and not math.isfinite(problem.objective_at(outcome.x)):
            return NOT_FINITE    # where theta is so large that a step is lost in its rounding
        if is_linear or self.stop == "loss":
            self._shortfall = problem.shortfall(outcome.x, outcome.start, self.tol, self.stop == "loss")
        return CONVERGED if self._shortfall is None else STALLED

    @property
    def went_up(self) -> bool:
        """Whether the loss of a linear model is known to be higher than at the start."""
        return self._losses is not None

    def result(self, message: str, history: pd.DataFrame | None) -> DescentResult:
        """The DescentResult."""
        problem, outcome = self.problem, self.outcome
        if history is not None and not is_finite(outcome.theta):
            history = history.iloc[:-1]    # up to the last finite theta
        return DescentResult(
            x=outcome.x, fun=float(problem.loss_at(outcome.x)), jac=problem.slope_at(outcome.x), nit=outcome.updates,
            success=self.status == CONVERGED, status=self.status, message=message, history=history,
            **problem.of_result())

    def words(self) -> str:
        """What is said, after the name of the method."""
        return {CONVERGED: self._converged, LIMIT_REACHED: self._limit_reached, CYCLE: self._cycle,
                NOT_FINITE: self._diverged, STALLED: self._stalled, STOPPED_BY_CALLBACK: self._stopped}[self.status]()

    def _converged(self) -> str:
        updates, step, tol = self.outcome.updates, self._step(), self.tol
        if self.stop == "loss":
            return f"converged: update {updates} changed the loss by less than tol={tol:g}."
        if step >= tol > 0:
            return (f"converged: update {updates} ended an epoch that moved theta by less than tol={tol:g}, to "
                    f"{shown(self.outcome.x)}.")
        return f"converged: update {updates} moved theta by {step:.3g}, and tol is {tol:g}."

    def _limit_reached(self) -> str:
        outcome, tol = self.outcome, self.tol
        moved = f"moved theta by {self._step():.3g}"
        end = f"{self._growth()}{self._rate_hint()}{self.problem.no_minimum()}"
        if self.is_stochastic:
            return (f"did not converge in {outcome.updates} updates: stop='{self.stop}' with tol={tol:g} was not met; "
                    f"the last update {moved}. It returns theta {shown(outcome.x)}. Raise max_epochs. "
                    f"{self._advice()}{end}")
        rule = f"stop='loss' with tol={tol:g} was not met" if self.stop == "loss" else f"tol is {tol:g}"
        return (f"did not converge in {outcome.updates} updates: the last one {moved} to {shown(outcome.theta)}, and "
                f"{rule}. Raise max_iter or change the learning rate.{end}")

    def _cycle(self) -> str:
        outcome = self.outcome
        values = (f"{shown(outcome.previous)} and {shown(outcome.theta)}" if outcome.period == 2
                  else f"a round of {outcome.period} values with {shown(outcome.theta)} among them")
        return (f"did not converge and never would: by update {outcome.updates} theta repeats {values} for ever, in "
                f"steps of {self._step():.3g} that tol={self.tol:g} never ends. A minimum may lie between them: use a "
                f"smaller or a decreasing learning rate than {outcome.alpha:g}.{self._growth()}{self._rate_hint()}")

    def _diverged(self) -> str:
        outcome = self.outcome
        if is_finite(outcome.theta):
            return (f"diverged by update {outcome.updates} with alpha={outcome.alpha:g}: at theta "
                    f"{shown(outcome.theta)} the loss is {self.problem.objective_at(outcome.x):.6g}. Use a smaller "
                    f"learning rate, or start nearer.{self._growth()}{self._rate_hint()}")
        stable = self.problem.stable_alpha(self.is_stochastic)
        or_scale = ", or smaller numbers: this rate is stable" if stable is not None and outcome.alpha < stable else ""
        return (f"diverged: update {outcome.updates} with alpha={outcome.alpha:g} made theta {shown(outcome.theta)}; "
                f"the last finite theta is {shown(outcome.previous)}. Use a smaller learning rate{or_scale}."
                f"{self._rate_hint()}")

    def _stalled(self) -> str:
        outcome = self.outcome
        if self._losses is not None:
            return (f"met its rule after {outcome.updates} updates with alpha={outcome.alpha:g}, at theta "
                    f"{shown(outcome.x)}, but went up and not down. Use a smaller learning rate.{self._growth()}"
                    f"{self._rate_hint()}")
        if self._shortfall is not None:
            return self._not_reached(self._shortfall)
        if outcome.alpha == 0:
            return (f"stands still at theta {shown(outcome.x)} because the learning rate fell to 0 by update "
                    f"{outcome.updates}; the mean slope is still {largest(self.problem.slope_at(outcome.x)):.3g}. "
                    "Use a rate that falls more slowly.")
        where = ("on a point that happens to lie near" if self.stop == "step"
                 else "when two epochs happened to end near each other, at")
        step = outcome.alpha * largest(self.problem.slope_at(outcome.x))
        return (f"stopped after {outcome.updates} updates {where} theta {shown(outcome.x)}: on all points together a "
                f"step would still move it by {step:.3g} (alpha * abs(mean slope)), and tol is {self.tol:g}. "
                f"{self._advice()}")

    def _not_reached(self, shortfall: Shortfall) -> str:
        outcome = self.outcome
        moved = "changed the loss" if self.stop == "loss" else f"moved theta, {self._step():.3g},"
        lower = "the least is" if shortfall.is_least else "it is still lower,"
        return (f"stopped after {outcome.updates} updates, the last of which {moved} by less than tol={self.tol:g}, "
                f"but the optimum was not reached: the loss is {self.problem.objective_at(outcome.x):.7g} at theta "
                f"{shown(outcome.x)}, and {lower} {shortfall.loss:.7g}, at theta {shown(shortfall.theta)}. Use a "
                "smaller tol, a larger learning rate if it is stable, or columns of one scale (subtract the mean, "
                "divide by the standard deviation).")

    def _stopped(self) -> str:
        return (f"was stopped by the callback (StopIteration) after update {self.outcome.updates}."
                f"{self._growth()}{self._rate_hint()}")

    def _advice(self) -> str:
        return _ADVICE_BY_STEP if self.stop == "step" else _ADVICE_BY_EPOCH

    def _growth(self) -> str:
        if self._losses is None:
            return ""
        began, ended, _ = self._losses
        return f" On the way the loss grew from {began:.6g} to {ended:.6g}."

    def _step(self) -> float:
        return largest(self.outcome.theta - self.outcome.previous)

    def _rate_hint(self) -> str:
        """Names a stable learning rate where one is known and the run used more, or went up and not down."""
        went_up = self.status == NOT_FINITE or self.went_up
        if self.problem.design is not None and not went_up:
            return ""    # it would take passes over X
        stable = self.problem.stable_alpha(self.is_stochastic)
        if not went_up and (stable is None or self.outcome.alpha < stable):
            return ""
        return self.problem.rate_hint(stable, self.is_stochastic)
