"""Messages on the end of a run: text from the facts of its report alone."""
from __future__ import annotations

import math
from typing import TYPE_CHECKING

from fastgd._convergence.report import HUGE
from fastgd._format import format_theta, is_finite
from fastgd.results import CONVERGED, CYCLE, LIMIT_REACHED, NOT_FINITE, STALLED, STOPPED_BY_CALLBACK

if TYPE_CHECKING:
    from fastgd._convergence.report import Cause, Report

#: Most columns that a message names.
MAX_NAMES = 8
_ADVICE_BY_STEP = ("Use stop='epoch' and average=True with a decreasing learning rate, such as "
                   "alpha=fastgd.schedules.inverse_scaling(0.5, 0.75), or minimize.")
_ADVICE_BY_EPOCH = "Use a smaller or a decreasing learning rate, average=True if you do not, or minimize."


def message_of(report: Report) -> str:
    """Describe the end of a run."""
    parts = [_on_end(report)]
    if report.assessment.has_sign_labels:
        parts.append(f"But the targets are labels -1 and 1, and the {_hyphenated(report)} is about targets between 0 "
                     "and 1: pass (dataset + 1) / 2.")
    if report.rounding:
        to = f", which leaves theta to about {report.rounding_of_theta:.1g}" if report.rounding_of_theta else ""
        parts.append(f"Rounding changes the loss by about {report.rounding:.1g}{to}.")
    return " ".join(parts)


def on_order(unevenness: float) -> str:
    """Warn that rows out of memory are sorted, and that stochastic descent shuffles only some blocks together."""
    return (f"the rows seem to be in an order: the means of blocks of targets differ {unevenness:.3g} times as much as "
            "by chance, and only some blocks are shuffled together. Write the data once in a random order, take "
            "average=True, or use minimize, which no order changes.")


def _on_end(report: Report) -> str:
    if report.overflows:
        return _lost(report)
    describe = {CONVERGED: _converged, LIMIT_REACHED: _limit_reached, CYCLE: _cycle, NOT_FINITE: _diverged,
                STALLED: _stalled, STOPPED_BY_CALLBACK: _stopped}
    return describe[report.status](report)


def _converged(report: Report) -> str:
    outcome, options, bound = report.outcome, report.options, report.bound
    updates, tol, moved = outcome.updates, options.tol, outcome.moved
    if bound is not None:
        most = "at most" if bound.is_proved else "by its slopes about"
        return (f"converged: after {updates} updates on smoothed versions of the {_hyphenated(report)} it is {most} "
                f"{bound.most:.3g} above its least.{_collinear(report)}")
    if options.stop == "loss":
        by = f"less than tol={tol:g}" if moved is None else f"{moved:.3g}, and tol is {tol:g}"
        return f"converged: update {updates} changed the loss by {by}.{_collinear(report)}"
    if moved is not None and options.stop != "step":
        return (f"converged: update {updates} ended an epoch that moved theta by {moved:.3g}, and tol is {tol:g}, "
                f"to {format_theta(outcome.x)}.{_batch_passes(report)}")
    units = f"{_units(report)}," if report.is_scaled else ""
    return (f"converged: update {updates} moved theta by {report.step:.3g},{units} and tol is {tol:g}."
            f"{_collinear(report)}")


def _collinear(report: Report) -> str:
    names = report.columns
    if not names:
        return ""
    listed = ", ".join(map(repr, names[:MAX_NAMES]))
    if len(names) == 1:
        return f" The column {listed} is constant, and its weight stayed where it was."
    more = f" and {len(names) - MAX_NAMES} more" if len(names) > MAX_NAMES else ""
    return (f" The columns {listed}{more} are constant or determine each other: of all weights that predict the same, "
            "these moved least.")


def _no_minimum(report: Report) -> str:
    why = ("a plane separates the rows of target 0 from those of target 1" if report.is_rows
           else "all targets are the same")
    return (f"stopped after {report.outcome.updates} updates at theta {format_theta(report.outcome.x)}, but there is "
            f"no minimum: {why}, and the {_hyphenated(report)} falls to 0 as theta grows without end. Use a penalty, "
            f"such as penalty=fastgd.penalties.L2(0.01).{_collinear(report)}")


def _limit_reached(report: Report) -> str:
    outcome, options = report.outcome, report.options
    if report.assessment.is_separable:
        return _no_minimum(report)
    tol, moved = options.tol, f"moved theta by {report.step:.3g}{_units(report)}"
    end = f"{_growth(report)}{_rate_hint(report)}{_targets(report)}"
    if options.is_stochastic:
        more = "Raise max_epochs. " if outcome.alpha else (
            f"The learning rate is 0 at update {outcome.updates}: give one that is above 0. ")
        return (f"did not converge in {outcome.updates} updates: stop='{options.stop}' with tol={tol:g} was not met; "
                f"the last update {moved}. It returns theta {format_theta(outcome.x)}. {more}"
                f"{_advice(report)}{_batch_passes(report)}{end}")
    if outcome.bound is not None:
        return (f"did not converge in {outcome.updates} updates on smoothed versions of the {_hyphenated(report)}: "
                f"the loss may be {outcome.bound.most:.3g} above its least. {_more_updates(report)}{end}")
    rule = f"stop='loss' with tol={tol:g} was not met" if options.stop == "loss" else f"tol is {tol:g}"
    return (f"did not converge in {outcome.updates} updates: the last one {moved} to {format_theta(outcome.theta)}, "
            f"and {rule}. {_more_updates(report)}{end}")


def _cycle(report: Report) -> str:
    outcome = report.outcome
    values = (f"{format_theta(outcome.previous)} and {format_theta(outcome.theta)}" if outcome.period == 2
              else f"a cycle of {outcome.period} values with {format_theta(outcome.theta)} among them")
    return (f"did not converge and never will: by update {outcome.updates} theta repeats {values}, in steps of "
            f"{report.step:.3g}{_units(report)}, and tol is {report.options.tol:g}. A minimum may lie between them: "
            f"use a smaller or a decreasing learning rate than {outcome.alpha:g}.{_growth(report)}{_rate_hint(report)}")


def _diverged(report: Report) -> str:
    outcome = report.outcome
    if report.cause is not None:
        return f"stopped at update {outcome.updates}: {_on_cause(report, report.cause)}"
    if is_finite(outcome.theta):
        advice = _shorter(report) if report.options.is_adaptive else "Use a smaller learning rate, or start nearer."
        return (f"diverged by update {outcome.updates}{_with_alpha(report)}: at theta {format_theta(outcome.theta)} "
                f"the loss is {report.value:.6g}. {advice}{_growth(report)}{_rate_hint(report)}")
    return (f"diverged: update {outcome.updates}{_with_alpha(report)} made theta {format_theta(outcome.theta)}; "
            f"the last finite theta is {format_theta(outcome.previous)}. {_shorter(report)}{_rate_hint(report)}")


def _on_cause(report: Report, cause: Cause) -> str:
    at, start = format_theta(cause.theta), format_theta(report.outcome.start)
    if cause.kind == "start":
        return f"the {_hyphenated(report)} is not finite at the start, theta {at}. {_on_overflow(report)}"
    if cause.kind == "gradient":
        return (f"the gradient is {format_theta(cause.value)} at theta {at}, which no learning rate can help. Check "
                "the gradient there, or start elsewhere.")
    if cause.kind == "beside":
        return (f"the loss is not a number beside theta {at}, where it is {cause.value:.6g}, and has no slope. Start "
                "where the loss is a number.")
    if cause.kind == "loss":
        return f"the loss is {cause.value:g} at theta {at}, and has no slope. {_on_overflow(report)}"
    if cause.kind == "endless":
        return (f"the loss falls without end, from {cause.began:.6g} at theta {start} to {cause.value:.6g} at theta "
                f"{at}. It has no minimum on this side; check the sign of the loss.")
    if cause.kind == "no root":
        return (f"adaptive steps led to theta {at}, where the slope is still {format_theta(cause.value)}. There is no "
                "minimum on this side; check the sign of the gradient.")
    return (f"the loss rises along the negative gradient from the start, theta {start}. Check the sign of the "
            "gradient; fastgd.check_gradient compares it with the loss.")


def _on_overflow(report: Report) -> str:
    most = report.largest_target
    if most > HUGE:
        unit = 10.0 ** math.floor(math.log10(most))
        return f"Targets up to {most:.3g} overflow in it: divide them by {unit:g}."
    return "Start where the loss is a number."


def _lost(report: Report) -> str:
    outcome, edge = report.outcome, report.assessment.edge
    here = f"but the loss is {report.value} at theta {format_theta(outcome.x)}"
    if edge is None or not is_finite(edge):
        return f"stopped after {outcome.updates} updates, {here}, as it is at the start. {_on_overflow(report)}"
    return (f"stopped after {outcome.updates} updates, {here}. On the way there it is a number up to theta "
            f"{format_theta(edge)}. Use a smaller learning rate, a start on the other side, or a loss that is a number "
            "everywhere.")


def _stalled(report: Report) -> str:
    outcome, options, assessment = report.outcome, report.options, report.assessment
    if assessment.edge is not None:
        return _lost(report)
    if report.cause is not None:
        return f"stopped at update {outcome.updates}: {_on_cause(report, report.cause)}"
    if assessment.growth is not None:
        return (f"met its rule after {outcome.updates} updates{_with_alpha(report)}, at theta "
                f"{format_theta(outcome.x)}, but went up and not down. {_shorter(report)}{_growth(report)}"
                f"{_rate_hint(report)}")
    if assessment.is_separable:
        return _no_minimum(report)
    if assessment.better is not None:
        return _not_reached(report)
    if outcome.bound is not None:
        return (f"stopped after {outcome.updates} updates on smoothed versions of the {_hyphenated(report)}, as "
                f"narrower ones would be rounding: the loss may be {outcome.bound.most:.3g} above its least. Use a "
                "larger tol, or scale the data.")
    if outcome.alpha == 0:
        return (f"stands still at theta {format_theta(outcome.x)} because the learning rate fell to 0 by update "
                f"{outcome.updates}; the mean slope is still {report.gradient_size:.3g}. Use a rate that falls more "
                "slowly.")
    where = ("on a point that happens to lie near" if options.stop == "step"
             else "when two epochs happened to end near each other, at")
    return (f"stopped after {outcome.updates} updates {where} theta {format_theta(outcome.x)}: on all points together "
            f"a step would still move it by {outcome.full_step:.3g} (alpha * abs(mean slope)), and tol is "
            f"{options.tol:g}. {_advice(report)}{_batch_passes(report)}")


def _not_reached(report: Report) -> str:
    outcome, options, better = report.outcome, report.options, report.assessment.better
    assert better is not None
    changed = "changed the loss" if options.stop == "loss" else f"moved theta, {report.step:.3g}{_units(report)},"
    if options.stop == "epoch":
        changed = f"ended an epoch that moved theta, {outcome.moved:.3g},"
    updates = (f"updates, the last of which {changed} by less than tol={options.tol:g}" if outcome.bound is None
               else f"updates on smoothed versions of the {_hyphenated(report)}")
    lower = "the least is" if better.is_least else "it is still lower,"
    found = (f"the loss is {report.value:.7g} at theta {format_theta(outcome.x)}, and {lower} {better.value:.7g}, at "
             f"theta {format_theta(better.theta)}")
    if math.isnan(better.value):    # of a gradient without a loss
        found = (f"at theta {format_theta(outcome.x)} the slope is {report.gradient_size:.3g}, and it still has that "
                 f"sign at theta {format_theta(better.theta)}")
    return (f"stopped after {outcome.updates} {updates}, but the optimum was not reached: {found}. "
            f"{_faster(report)}{_batch_passes(report)}")


def _stopped(report: Report) -> str:
    return (f"was stopped by the callback (StopIteration) after update {report.outcome.updates}."
            f"{_growth(report)}{_rate_hint(report)}")


# Parts of the messages.

def _hyphenated(report: Report) -> str:
    return report.loss_name.replace("_", "-")


def _units(report: Report) -> str:
    return " in units of the prediction" if report.is_scaled else ""


def _with_alpha(report: Report) -> str:
    return "" if report.options.is_adaptive else f" with alpha={report.outcome.alpha:g}"


def _shorter(report: Report) -> str:
    """Advise on steps that were too long; the user does not set adaptive ones."""
    if not report.options.is_adaptive:
        return "Use a smaller learning rate."
    if report.is_compiled:
        return "Start nearer, or scale the data."
    return "Compare the gradient with the loss by fastgd.check_gradient, or start nearer."


def _growth(report: Report) -> str:
    growth = report.assessment.growth
    return "" if growth is None else f" On the way the loss grew from {growth.began:.6g} to {growth.ended:.6g}."


def _advice(report: Report) -> str:
    return _ADVICE_BY_STEP if report.options.stop == "step" else _ADVICE_BY_EPOCH


def _faster(report: Report) -> str:
    """Advise on options that lead to the optimum."""
    options = report.options
    if options.is_stochastic:
        scale = ", precondition='scale'" if report.is_rows and options.precondition is None else ""
        return f"Use a smaller tol, a learning rate that falls more slowly{scale}, or minimize."
    if not report.is_compiled and not options.is_adaptive:
        return "Use a smaller tol or a larger learning rate."
    ways = _fastest_options(report)
    if options.is_adaptive:
        return f"Use {ways and ways + ' or '}a smaller tol."
    return f"Use {ways and ways + ', '}a smaller tol, or a larger learning rate if it is stable."


def _fastest_options(report: Report) -> str:
    """Name the options of the fastest batch descent, as far as they are not in use."""
    options, ways = report.options, []
    if options.is_stochastic or not options.is_adaptive:
        ways.append(f"alpha='adaptive'{' without momentum' if options.momentum is not None else ''}")
    if report.is_rows and (options.is_stochastic or options.precondition != report.better_preconditioner):
        ways.append(f"precondition={report.better_preconditioner!r}")
    return " and ".join(ways)


def _more_updates(report: Report) -> str:
    options, best = report.options, report.better_preconditioner
    if report.outcome.alpha == 0 and not options.is_adaptive:
        return f"The learning rate is 0 at update {report.outcome.updates}: give one that is above 0."
    ways = ["Raise max_iter"] if options.is_adaptive else ["Raise max_iter", "change the learning rate"]
    if report.is_compiled and report.is_rows:
        preconditioner = [] if options.precondition == best else [f"precondition={best!r}"]
        momentum = [] if options.is_adaptive or options.momentum is not None else ["momentum='nesterov'"]
        ways += [f"use {' and '.join(preconditioner + momentum)}"] if preconditioner or momentum else []
    *others, last = ways
    comma = "," if len(others) > 1 else ""
    return f"{', '.join(others)}{comma} or {last}." if others else f"{last}."


def _batch_passes(report: Report) -> str:
    if report.batch_passes is None:
        return ""
    return (f" Batch descent, minimize with {_fastest_options(report)}, is at the optimum in about "
            f"{report.batch_passes} passes over the data; this run made {report.outcome.epochs:,.0f}.")


def _rate_hint(report: Report) -> str:
    """Name a stable learning rate, and unscaled columns."""
    stable, precondition, name = report.stable_rate, report.options.precondition, report.loss_name
    if precondition is not None:
        called = name if report.is_compiled else "the loss"
        return "" if stable is None else (
            f" With precondition={precondition!r} the largest stable alpha for {called} is {stable:g}; stay below it. "
            f"alpha='auto' is {stable / 2:g}.")
    if not report.is_rows:
        return "" if stable is None or not report.is_compiled else (
            f" The largest stable alpha for {name} is {stable:g}; stay below it.")
    hint = ""
    if stable is not None and report.is_compiled and 0 < stable < math.inf:
        limit = "the longest row of X" if report.options.is_stochastic else "the largest eigenvalue of X'X / n"
        hint = (f" alpha={stable / 2:.3g} is stable for {name} (half of the limit that {limit} sets); alpha='auto' "
                "takes it.")
    if report.unscaled:
        columns = ", ".join(f"{column!r} ({size:.3g})" for column, size in report.unscaled)
        hint += (f" X has unscaled columns, of root mean square: {columns}. precondition='scale' descends as if the "
                 "mean of each were subtracted and the rest divided by its standard deviation.")
    return hint


def _targets(report: Report) -> str:
    if report.target_range is None:
        return ""
    least, most, low, high = report.target_range
    where = f"between {least:g} and {most:g}"
    if report.is_rows:
        return (f" The targets are from {low:.6g} to {high:.6g}; unless they are {where} the {_hyphenated(report)} "
                "need have no minimum.")
    return f" The mean of the targets is {low:.6g}; unless it is {where} the {_hyphenated(report)} has no minimum."
