"""What is said at the end of a run: the result, and the warning or error where it did not go well."""
import warnings

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


def conclude(method, problem, outcome, tol, *, history, full_output, caller, is_stochastic=False, by_step=True):
    """Return theta or the DescentResult of this outcome; warn or raise as it deserves.

    `caller` counts the frames from here to the user's call. A stochastic step may be short because its point happens
    to lie near theta (or two epochs, if not `by_step`, end near each other); what the whole data says is asked once.
    """
    outcome = _judged(problem, outcome, tol, is_stochastic)
    if outcome.status == CONVERGED and not full_output and history is None:
        return outcome.x
    if is_stochastic and (outcome.status == LIMIT_REACHED or (outcome.status == STALLED and outcome.alpha > 0)):
        message = _stochastic_message(method, problem, outcome, tol, by_step)
    else:
        message = _MESSAGES[outcome.status](method, problem, outcome, tol)
    if outcome.status == NOT_FINITE:
        raise DivergenceError(message, _result(problem, outcome, message, history))
    if outcome.status in (LIMIT_REACHED, CYCLE, STALLED):
        warnings.warn(message, ConvergenceWarning, stacklevel=caller)
    return _result(problem, outcome, message, history) if full_output or history is not None else outcome.x


def conclude_many(problem, starts, outcomes, tol, *, caller):
    """The DescentResult of each start; one warning for all that did not converge, an error if all diverged."""
    outcomes = [_judged(problem, outcome, tol) for outcome in outcomes]
    xs = [outcome.x for outcome in outcomes]
    losses, slopes = problem.losses_at(xs), problem.slopes_at(xs)
    runs, said = [], []
    for start, outcome, loss, slope in zip(starts.tolist(), outcomes, losses, slopes, strict=True):
        message = _MESSAGES[outcome.status]("the descent", problem, outcome, tol)
        if outcome.status != CONVERGED:
            said.append(f"from {start:g} {message}")
        runs.append(DescentResult(
            x=outcome.x, fun=float(loss), jac=slope, nit=outcome.updates, success=outcome.status == CONVERGED,
            status=outcome.status, message=message))
    if all(outcome.status == NOT_FINITE for outcome in outcomes):
        raise DivergenceError(f"minimize_multistart diverged from every start; {said[0]}", runs[0])
    if said:
        more = f" So it is, or otherwise bad, from {len(said) - 1} more of the starts." if len(said) > 1 else ""
        warnings.warn(f"minimize_multistart: {said[0]}{more}", ConvergenceWarning, stacklevel=caller)
    return runs


def _judged(problem, outcome, tol, is_stochastic=False):
    """The outcome, STALLED if its last step was short where a step on the whole data is not, or the rate is 0."""
    if outcome.status != CONVERGED or not (is_stochastic or outcome.alpha == 0):
        return outcome
    slope = abs(problem.slope_at(outcome.x))
    is_short = slope * outcome.alpha < tol if outcome.alpha > 0 else slope == 0
    return outcome if is_short else outcome._replace(status=STALLED)


def _result(problem, outcome, message, history):
    return DescentResult(
        x=outcome.x, fun=float(problem.losses_at([outcome.x])[0]), jac=problem.slope_at(outcome.x),
        nit=outcome.updates, success=outcome.status == CONVERGED, status=outcome.status, message=message,
        history=history)


def _converged(method, problem, outcome, tol):
    if _step(outcome) >= tol > 0:
        return (f"{method} converged: update {outcome.updates} ended an epoch that moved theta by less than "
                f"tol={tol:g}, to {outcome.x:.6g}.")
    return f"{method} converged: update {outcome.updates} moved theta by {_step(outcome):.3g}, and tol is {tol:g}."


def _limit_reached(method, problem, outcome, tol):
    return (f"{method} did not converge in {outcome.updates} updates: the last one moved theta by "
            f"{_step(outcome):.3g} to {outcome.theta:.6g}, and tol is {tol:g}. "
            f"Raise max_iter or change the learning rate.{_rate_hint(problem, outcome)}{problem.no_minimum()}")


def _cycle(method, problem, outcome, tol):
    values = (f"{outcome.previous:.6g} and {outcome.theta:.6g}" if outcome.period == 2
              else f"a round of {outcome.period} values with {outcome.theta:.6g} among them")
    return (f"{method} did not converge and never would: by update {outcome.updates} theta repeats {values} for ever, "
            f"in steps of {_step(outcome):.3g} that tol={tol:g} never ends. A minimum may lie between them: "
            f"use a smaller or a decreasing learning rate than {outcome.alpha:g}.{_rate_hint(problem, outcome)}")


def _not_finite(method, problem, outcome, tol):
    return (f"{method} diverged: update {outcome.updates} with alpha={outcome.alpha:g} made theta {outcome.theta}; "
            f"the last finite theta is {outcome.previous:.6g}. Use a smaller learning rate"
            f"{_or_scale(problem, outcome)}.{_rate_hint(problem, outcome)}")


def _or_scale(problem, outcome):
    stable = problem.stable_alpha
    return ", or smaller numbers: this rate is stable" if stable is not None and outcome.alpha < stable else ""


def _stalled(method, problem, outcome, tol):
    return (f"{method} stands still at theta {outcome.x:.6g} because the learning rate fell to 0 by update "
            f"{outcome.updates}; the mean slope is still {problem.slope_at(outcome.x):.3g}. "
            "Use a rate that falls more slowly.")


def _stochastic_message(method, problem, outcome, tol, by_step):
    """Of a run that reached its last epoch, or that the rule ended too soon."""
    advice = _ADVICE_BY_STEP if by_step else _ADVICE_BY_EPOCH
    if outcome.status == LIMIT_REACHED:
        rule = "step" if by_step else "epoch"
        return (f"{method} did not converge in {outcome.updates} updates: stop='{rule}' with tol={tol:g} was not met; "
                f"the last update moved theta by {_step(outcome):.3g}. It returns theta {outcome.x:.6g}. "
                f"Raise max_epochs. {advice}{_rate_hint(problem, outcome)}"
                f"{problem.no_minimum()}")
    where = "on a point that happens to lie near" if by_step else "when two epochs happened to end near each other, at"
    step = outcome.alpha * abs(problem.slope_at(outcome.x))
    return (f"{method} stopped after {outcome.updates} updates {where} theta {outcome.x:.6g}: on all points together a "
            f"step would still move it by {step:.3g} (alpha * abs(mean slope)), and tol is {tol:g}. "
            f"{advice}")


_ADVICE_BY_STEP = ("Use stop='epoch' and average=True with a decreasing learning rate, such as "
                   "alpha=fastgd.schedules.inverse_scaling(0.5, 0.75), or minimize.")
_ADVICE_BY_EPOCH = "Use a smaller or a decreasing learning rate, average=True if you do not, or minimize."


def _stopped(method, problem, outcome, tol):
    return f"{method} was stopped by the callback (StopIteration) after update {outcome.updates}."


_MESSAGES = {CONVERGED: _converged, LIMIT_REACHED: _limit_reached, CYCLE: _cycle, NOT_FINITE: _not_finite,
             STALLED: _stalled, STOPPED_BY_CALLBACK: _stopped}


def _step(outcome):
    return abs(outcome.theta - outcome.previous)


def _rate_hint(problem, outcome):
    """Names the largest stable learning rate where there is one and the run used more, or diverged."""
    stable = problem.stable_alpha
    if stable is None or (outcome.alpha < stable and outcome.status != NOT_FINITE):
        return ""
    return f" The largest stable alpha for {problem.gradient.loss.__name__} is {stable:g}; stay below it."
