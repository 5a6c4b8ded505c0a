"""The sentences that say how a run ended, from the facts of its verdict; nothing else writes prose on a run."""
from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from fastgd._data.arrays import sum_targets
from fastgd._limits import LARGEST_IN_METRIC, MOST_FOR_METRIC, MOST_NAMED, POINTS_AT_ONCE, UNSCALED
from fastgd._shortfall import passes_to_arrive
from fastgd._theta import is_finite, largest, shown
from fastgd.results import CONVERGED, CYCLE, LIMIT_REACHED, NOT_FINITE, STALLED, STOPPED_BY_CALLBACK

if TYPE_CHECKING:
    from fastgd._objective import Objective
    from fastgd._run import Outcome
    from fastgd._settings import Settings
    from fastgd._shortfall import Shortfall
    from fastgd._verdict import Verdict

#: A theta beyond this was made by steps that were too long, whatever the gradient is there.
FAR_OUT = 1e100
_ADVICE_BY_STEP = ("Use stop='epoch' and average=True with a decreasing learning rate, such as "
                   "alpha=fastgd.schedules.inverse_scaling(0.5, 0.75), or minimize.")
_ADVICE_BY_EPOCH = "Use a smaller or a decreasing learning rate, average=True if you do not, or minimize."


class Words:
    """What is said of a run, after the name of the method."""

    def __init__(self, objective: Objective, outcome: Outcome, verdict: Verdict, tol: float,
                 settings: Settings | None = None) -> None:
        self.objective, self.outcome, self.verdict, self.tol = objective, outcome, verdict, tol
        self.stop, self.is_stochastic, self.precondition, self.momentum, self.is_adaptive = (
            ("step", False, None, None, False) if settings is None else
            (settings.stop, settings.is_stochastic, settings.precondition, settings.momentum, settings.is_adaptive))

    def __str__(self) -> str:
        labels = _on_labels(self.objective) if self.verdict.has_labels else ""
        return self._on_end() + labels + _on_rounding(self.objective)

    def _on_end(self) -> str:
        status, objective = self.verdict.status, self.objective
        if (status in (LIMIT_REACHED, STALLED) and objective.gradient is not None
                and max(map(abs, objective.source.extremes)) > FAR_OUT
                and not any(map(math.isfinite, objective.descended_values([self.outcome.start, self.outcome.x])))):
            return self._lost()
        return {CONVERGED: self._converged, LIMIT_REACHED: self._limit_reached, CYCLE: self._cycle,
                NOT_FINITE: self._diverged, STALLED: self._stalled,
                STOPPED_BY_CALLBACK: self._stopped}[self.verdict.status]()

    def _converged(self) -> str:
        updates, tol, moved, bound = self.outcome.updates, self.tol, self.outcome.moved, self.outcome.bound
        if bound is not None:
            most = "at most" if bound.is_proved else "by its slopes about"
            return (f"converged: after {updates} updates on smoothed versions of the {self._loss_name()} it is {most} "
                    f"{bound.most:.3g} above its least.{self._ties()}")
        if self.stop == "loss":
            by = f"less than tol={tol:g}" if moved is None else f"{moved:.3g}, and tol is {tol:g}"
            return f"converged: update {updates} changed the loss by {by}.{self._ties()}"
        if moved is not None and self.stop != "step":
            return (f"converged: update {updates} ended an epoch that moved theta by {moved:.3g}, and tol is {tol:g}, "
                    f"to {shown(self.outcome.x)}.{self._passes()}")
        in_units = f"{self._units()}," if self._units() else ""
        return (f"converged: update {updates} moved theta by {self._step():.3g},{in_units} and tol is {tol:g}."
                f"{self._ties()}")

    def _loss_name(self) -> str:
        assert self.objective.descended is not None
        return _said(self.objective.descended.__name__)

    def _ties(self) -> str:
        """Names the columns that determine each other, where the metric met some."""
        ties = self.outcome.ties
        if not ties:
            return ""
        names = self.objective.source.parameter_names[int(self.objective.source.intercept):]
        said = ", ".join(repr(names[k]) for k in ties[:MOST_NAMED])
        if len(ties) == 1:
            return f" The column {said} is constant, and its weight stayed where it was."
        more = f" and {len(ties) - MOST_NAMED} more" if len(ties) > MOST_NAMED else ""
        return (f" The columns {said}{more} are constant or determine each other: of all weights that predict the "
                "same, these moved least.")

    def _no_minimum(self) -> str:
        outcome = self.outcome
        why = ("a plane separates the rows of target 0 from those of target 1" if self.objective.source.is_rows
               else "all targets are the same")
        return (f"stopped after {outcome.updates} updates at theta {shown(outcome.x)}, but there is no minimum: {why}, "
                f"and the {self._loss_name()} falls to 0 as theta grows without end. Use a penalty, such as "
                f"penalty=fastgd.penalties.L2(0.01).{self._ties()}")

    def _limit_reached(self) -> str:
        outcome, tol = self.outcome, self.tol
        moved = f"moved theta by {self._step():.3g}{self._units()}"
        if self.verdict.is_separable:
            return self._no_minimum()
        end = f"{self._growth()}{self._rate_hint()}{_on_targets(self.objective)}"
        if self.is_stochastic:
            more = "Raise max_epochs. " if outcome.alpha else (
                f"The learning rate is 0 at update {outcome.updates}: give one that is above 0. ")
            return (f"did not converge in {outcome.updates} updates: stop='{self.stop}' with tol={tol:g} was not met; "
                    f"the last update {moved}. It returns theta {shown(outcome.x)}. {more}"
                    f"{self._advice()}{self._passes()}{end}")
        if outcome.bound is not None:
            return (f"did not converge in {outcome.updates} updates on smoothed versions of the {self._loss_name()}: "
                    f"the loss may be {outcome.bound.most:.3g} above its least. {self._or_more_updates()}{end}")
        rule = f"stop='loss' with tol={tol:g} was not met" if self.stop == "loss" else f"tol is {tol:g}"
        return (f"did not converge in {outcome.updates} updates: the last one {moved} to {shown(outcome.theta)}, and "
                f"{rule}. {self._or_more_updates()}{end}")

    def _cycle(self) -> str:
        outcome = self.outcome
        values = (f"{shown(outcome.previous)} and {shown(outcome.theta)}" if outcome.period == 2
                  else f"a round of {outcome.period} values with {shown(outcome.theta)} among them")
        return (f"did not converge and never would: by update {outcome.updates} theta repeats {values} for ever, in "
                f"steps of {self._step():.3g}{self._units()} that tol={self.tol:g} never ends. A minimum may lie "
                f"between them: use a smaller or a decreasing learning rate than {outcome.alpha:g}.{self._growth()}"
                f"{self._rate_hint()}")

    def _diverged(self) -> str:
        outcome, cause = self.outcome, self._cause()
        if cause:
            return f"stopped at update {outcome.updates}: {cause}"
        if is_finite(outcome.theta):
            advice = self._on_length() if self.is_adaptive else "Use a smaller learning rate, or start nearer."
            return (f"diverged by update {outcome.updates}{self._with_alpha()}: at theta "
                    f"{shown(outcome.theta)} the loss is {self.objective.descended_value(outcome.x):.6g}. "
                    f"{advice}{self._growth()}{self._rate_hint()}")
        return (f"diverged: update {outcome.updates}{self._with_alpha()} made theta {shown(outcome.theta)}; "
                f"the last finite theta is {shown(outcome.previous)}. {self._on_length()}{self._rate_hint()}")

    def _with_alpha(self) -> str:
        return "" if self.is_adaptive else f" with alpha={self.outcome.alpha:g}"

    def _on_length(self) -> str:
        """What to do about steps that were too long; adaptive ones are not the user's."""
        if not self.is_adaptive:
            return "Use a smaller learning rate."
        if self.objective.gradient is not None:
            return "Start nearer, or scale the data."
        return "Compare the gradient with the loss by fastgd.check_gradient, or start nearer."

    def _cause(self) -> str:
        """What made theta infinite or NaN where it was no learning rate."""
        objective, start, last = self.objective, self.outcome.start, self.outcome.previous
        with np.errstate(all="ignore"):
            if objective.gradient is not None and (largest(start) <= max(map(abs, objective.source.extremes))
                                                   and not math.isfinite(objective.descended_value(start))):
                return (f"the {self._loss_name()} is not finite at the start, theta {shown(start)}. "
                        f"{_on_overflow(objective)}")
            if objective.gradient is not None and not objective.calls_loss:
                return ""
            slope: Any = objective.slope(last)
            if not is_finite(slope) and largest(last) < FAR_OUT:
                return self._no_slope(slope, last)
            if objective.is_unknown:
                return "" if not self.is_adaptive else (
                    f"steps of its own length led to theta {shown(last)}, where the slope is still {shown(slope)}. "
                    "There is no minimum on this side; look at the sign of the gradient.")
            return self._endless(last) or self._uphill()

    def _no_slope(self, slope: Any, last: Any) -> str:
        """Names the function that is no number where the gradient is not."""
        objective = self.objective
        if not objective.has_differences:
            return (f"the gradient is {shown(slope)} at theta {shown(last)}, which no learning rate can help. Look "
                    "at the gradient there, or start elsewhere.")
        value = objective.value(last)
        if math.isfinite(value):
            return (f"the loss is no number beside theta {shown(last)}, where it is {value:.6g}, and has no slope. "
                    "Start where the loss is a number.")
        return f"the loss is {value:g} at theta {shown(last)}, and has no slope. {_on_overflow(objective)}"

    def _endless(self, last: Any) -> str:
        """Says that the loss has no minimum, where it fell all the way to a theta that is huge."""
        start = self.outcome.start
        began, ended = self.objective.values([start, last])
        return "" if not ended < began else (
            f"the loss falls without end, from {began:.6g} at theta {shown(start)} to {ended:.6g} at theta "
            f"{shown(last)}. It has no minimum on this side; look at the sign of the loss.")

    def _uphill(self) -> str:
        """Says that the gradient is not that of the loss, where short steps along it from the start go up."""
        objective, start = self.objective, self.outcome.start
        slope: Any = objective.slope(start)
        if objective.has_differences or not is_finite(slope) or not largest(slope):
            return ""
        way = slope / largest(slope) * (max(largest(start), max(map(abs, objective.source.extremes))) or 1.0)
        here, *beyond = objective.values([start, *(start - way * part for part in (1e-3, 1e-4, 1e-5))])
        return "" if not all(value > here + 1e-9 * abs(here) for value in beyond) else (
            f"the loss rises where the gradient says that it falls, at the start, theta {shown(start)}. Look at the "
            "sign of the gradient; fastgd.check_gradient compares it with the loss.")

    def _lost(self) -> str:
        """Where the loss ceased to be a number."""
        objective, outcome, edge = self.objective, self.outcome, self.verdict.edge
        value = objective.value(outcome.x) if objective.calls_loss else objective.descended_value(outcome.x)
        here = f"but the loss is {value} at theta {shown(outcome.x)}"
        if edge is None or not is_finite(edge):
            return f"stopped after {outcome.updates} updates, {here}, as it is at the start. {_on_overflow(objective)}"
        return (f"stopped after {outcome.updates} updates, {here}. On the way there it is a number up to theta "
                f"{shown(edge)}. Use a smaller learning rate, a start on the other side, or a loss that is a number "
                "everywhere.")

    def _stalled(self) -> str:
        outcome = self.outcome
        if self.verdict.edge is not None:
            return self._lost()
        if self.is_adaptive and self.objective.calls_loss and largest(outcome.x) > FAR_OUT:
            endless = self._endless(outcome.x)
            if endless:
                return f"stopped at update {outcome.updates}: {endless}"
        if self.verdict.growth is not None:
            return (f"met its rule after {outcome.updates} updates{self._with_alpha()}, at theta "
                    f"{shown(outcome.x)}, but went up and not down. {self._on_length()}{self._growth()}"
                    f"{self._rate_hint()}")
        if self.verdict.is_separable:
            return self._no_minimum()
        if self.verdict.shortfall is not None:
            return self._not_reached(self.verdict.shortfall)
        if outcome.bound is not None:
            return (f"stopped after {outcome.updates} updates on smoothed versions of the {self._loss_name()}, as "
                    f"narrower ones would be rounding: the loss may be {outcome.bound.most:.3g} above its least. Use "
                    "a larger tol, or scale the data.")
        slope = largest(self.objective.slope(outcome.x))
        if outcome.alpha == 0:
            return (f"stands still at theta {shown(outcome.x)} because the learning rate fell to 0 by update "
                    f"{outcome.updates}; the mean slope is still {slope:.3g}. Use a rate that falls more slowly.")
        where = ("on a point that happens to lie near" if self.stop == "step"
                 else "when two epochs happened to end near each other, at")
        return (f"stopped after {outcome.updates} updates {where} theta {shown(outcome.x)}: on all points together a "
                f"step would still move it by {outcome.full_step:.3g} (alpha * abs(mean slope)), and tol is "
                f"{self.tol:g}. {self._advice()}{self._passes()}")

    def _not_reached(self, shortfall: Shortfall) -> str:
        outcome = self.outcome
        changed = "changed the loss" if self.stop == "loss" else f"moved theta, {self._step():.3g}{self._units()},"
        if self.stop == "epoch":
            changed = f"ended an epoch that moved theta, {outcome.moved:.3g},"
        updates = (f"updates, the last of which {changed} by less than tol={self.tol:g}" if outcome.bound is None
                   else f"updates on smoothed versions of the {self._loss_name()}")
        lower = "the least is" if shortfall.is_least else "it is still lower,"
        found = (f"the loss is {self.objective.descended_value(outcome.x):.7g} at theta {shown(outcome.x)}, and "
                 f"{lower} {shortfall.loss:.7g}, at theta {shown(shortfall.theta)}")
        if math.isnan(shortfall.loss):    # of a gradient without a loss
            found = (f"at theta {shown(outcome.x)} the slope is {largest(self.objective.slope(outcome.x)):.3g}, and it "
                     f"still has that sign at theta {shown(shortfall.theta)}")
        return (f"stopped after {outcome.updates} {updates}, but the optimum was not reached: {found}. "
                f"{self._to_arrive()}{self._passes()}")

    def _to_arrive(self) -> str:
        """What leads to the optimum."""
        if self.is_stochastic:
            scale = ", precondition='scale'" if self.objective.source.is_rows and self.precondition is None else ""
            return f"Use a smaller tol, a learning rate that falls more slowly{scale}, or minimize."
        if self.objective.descended is None and not self.is_adaptive:
            return "Use a smaller tol or a larger learning rate."
        way = self._way() and f"{self._way()}, "
        if self.is_adaptive:
            return f"Use {way and way[:-2] + ' or '}a smaller tol."
        return f"Use {way}a smaller tol, or a larger learning rate if it is stable."

    def _or_more_updates(self) -> str:
        if self.outcome.alpha == 0 and not self.is_adaptive:
            return f"The learning rate is 0 at update {self.outcome.updates}: give one that is above 0."
        ways = ["Raise max_iter"] if self.is_adaptive else ["Raise max_iter", "change the learning rate"]
        if self.objective.descended is not None and self.objective.source.is_rows:
            metric = [] if self.precondition == self._metric() else [f"precondition={self._metric()!r}"]
            momentum = [] if self.is_adaptive or self.momentum is not None else ["momentum='nesterov'"]
            ways += [f"use {' and '.join(metric + momentum)}"] if metric or momentum else []
        *others, last = ways
        comma = "," if len(others) > 1 else ""
        return f"{', '.join(others)}{comma} or {last}." if others else f"{last}."

    def _passes(self) -> str:
        """Where batch descent would be at the optimum in fewer passes over the data than a stochastic run made."""
        if not self.is_stochastic:
            return ""
        passes, made = passes_to_arrive(self.objective, self.outcome.start), self.outcome.epochs
        if passes is None or not passes < made:
            return ""
        return (f" Batch descent, minimize with {self._way()}, is at the optimum in about {passes} passes over the "
                f"data; this run made {made:,.0f}.")

    def _way(self) -> str:
        """The options of the batch descent that arrives soonest, as far as they are not in use."""
        ways = []
        if self.is_stochastic or not self.is_adaptive:
            ways.append(f"alpha='adaptive'{' without momentum' if self.momentum is not None else ''}")
        if self.objective.source.is_rows and (self.is_stochastic or self.precondition != self._metric()):
            ways.append(f"precondition={self._metric()!r}")
        return " and ".join(ways)

    def _metric(self) -> str:
        """The better of the preconditioners that can be used."""
        penalty, source = self.objective.penalty, self.objective.source
        has_kink = penalty is not None and penalty.l1 > 0
        return "scale" if has_kink or source.n_parameters - source.intercept > MOST_FOR_METRIC else "gram"

    def _stopped(self) -> str:
        return (f"was stopped by the callback (StopIteration) after update {self.outcome.updates}."
                f"{self._growth()}{self._rate_hint()}")

    def _advice(self) -> str:
        return _ADVICE_BY_STEP if self.stop == "step" else _ADVICE_BY_EPOCH

    def _growth(self) -> str:
        growth = self.verdict.growth
        return "" if growth is None else (
            f" On the way the loss grew from {growth.began:.6g} to {growth.ended:.6g}.")

    def _step(self) -> float:
        """The length of the last step, as the rule of steps measures it."""
        if self._is_scaled:
            return float(self.outcome.moved)    # type: ignore[arg-type]
        return largest(self.outcome.theta - self.outcome.previous)

    def _units(self) -> str:
        return " in units of the prediction" if self._is_scaled else ""

    @property
    def _is_scaled(self) -> bool:
        return self.outcome.moved is not None and self.stop == "step"

    def _rate_hint(self) -> str:
        """Names a stable learning rate where one is known and the run used more, or went up and not down."""
        objective = self.objective
        went_up = self.verdict.status == NOT_FINITE or self.verdict.growth is not None
        if objective.source.is_rows and not went_up:
            return ""    # it would take passes over X
        stable = self._stable_rate()
        if self.precondition is not None:
            return "" if stable is None or not (went_up or self.outcome.alpha >= stable) else (
                f" With precondition={self.precondition!r} the largest stable alpha for {self._called()} is "
                f"{stable:g}; stay below it. alpha='auto' is {stable / 2:g}.")
        if objective.source.is_rows:
            return f"{self._on_rates(stable)}{_on_columns(objective)}"
        if stable is None or objective.descended is None or not (went_up or self.outcome.alpha >= stable):
            return ""
        return f" The largest stable alpha for {objective.descended.__name__} is {stable:g}; stay below it."

    def _stable_rate(self) -> float | None:
        """The largest stable learning rate, in the units of the run; None if it is not known."""
        loss = self.objective.descended
        if self.precondition is None or loss is None or loss.max_stable_alpha is None:
            return self.objective.stable_rate(self.is_stochastic)
        return LARGEST_IN_METRIC

    def _called(self) -> str:
        return self.objective.descended.__name__ if self.objective.descended is not None else "the loss"

    def _on_rates(self, stable: float | None) -> str:
        loss = self.objective.descended
        if loss is None or stable is None or not 0 < stable < math.inf:
            return ""
        source = "the longest row of X" if self.is_stochastic else "the largest eigenvalue of X'X / n"
        return (f" alpha={stable / 2:.3g} is stable for {loss.__name__} (half of the limit that {source} sets); "
                "alpha='auto' takes it.")


def _on_rounding(objective: Objective) -> str:
    """A sentence for a Python loss that is computed coarsely, whose differences were descended on."""
    if not objective.has_differences:
        return ""
    components: list[Any] = objective.called_gradient.components    # type: ignore[attr-defined]
    rounding, reach = (max(getattr(each, name) for each in components) for name in ("rounding", "reach"))
    if not rounding:
        return ""
    to = "" if objective.source.is_rows else f", which leaves theta to about {reach:.1g}"
    return f" Rounding changes the loss by about {rounding:.1g}{to}."


def _on_overflow(objective: Objective) -> str:
    """What to do about a loss that is not finite."""
    most = max(map(abs, objective.source.extremes))
    if most > 1e100:
        unit = 10.0 ** math.floor(math.log10(most))
        return f"Targets up to {most:.3g} overflow in it: divide them by {unit:g}."
    return "Start where the loss is a number."


def _on_columns(objective: Objective) -> str:
    sizes = objective.curvature.column_sizes()
    names = objective.source.parameter_names[int(objective.source.intercept):]
    large = [f"{names[k]!r} ({sizes[k]:.3g})" for k in np.argsort(-sizes)[:3] if sizes[k] > UNSCALED]
    if not large:
        return ""
    return (f" X has unscaled columns, of root mean square: {', '.join(large)}. precondition='scale' descends as if "
            "the mean of each were subtracted and the rest divided by its standard deviation.")


def _on_targets(objective: Objective) -> str:
    """A sentence for targets for which the loss has no meaning, and perhaps no minimum."""
    loss, source = objective.descended, objective.source
    if loss is None or loss.target_range == (-math.inf, math.inf):
        return ""
    least, most = loss.target_range
    where = f"between {least:g} and {most:g}"
    if source.is_rows:
        low, high = source.extremes
        if least <= low <= high <= most:
            return ""
        return (f" The targets are from {low:.6g} to {high:.6g}; unless they are {where} the {_said(loss.__name__)} "
                "need have no minimum.")
    mean = source.total(sum_targets, POINTS_AT_ONCE).item() / source.n
    if least < mean < most:
        return ""
    return (f" The mean of the targets is {mean:.6g}; unless it is {where} the {_said(loss.__name__)} has no minimum.")


def on_order(unevenness: float) -> str:
    """A sentence for rows in an order, of which stochastic descent sees some blocks at a time."""
    return (f"the rows seem to be in an order: the means of blocks of targets differ {unevenness:.3g} times as much as "
            "by chance, and only some blocks are shuffled together. Write the data once in a random order, take "
            "average=True, or use minimize, which no order changes.")


def _on_labels(objective: Objective) -> str:
    assert objective.descended is not None
    least, most = objective.descended.target_range
    return (f" But the targets are labels -1 and 1, and the {_said(objective.descended.__name__)} is about targets "
            f"between {least:g} and {most:g}: pass (dataset + 1) / 2.")


def _said(name: str) -> str:
    return name.replace("_", "-")
