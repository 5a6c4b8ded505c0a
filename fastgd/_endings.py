"""What is said at the end of a run: the result, and the warning or error where it did not go well."""
import warnings

from fastgd.results import (
    CONVERGED,
    CYCLE,
    LIMIT_REACHED,
    NOT_FINITE,
    STOPPED_BY_CALLBACK,
    ConvergenceWarning,
    DescentResult,
    DivergenceError,
)

# The caller of the public function, seen from `conclude`.
_CALLER = 3


def conclude(method, problem, outcome, *, tol, history=None, full_output=False):
    """Return theta or the DescentResult of this outcome; warn or raise as it deserves."""
    if outcome.status == CONVERGED and not full_output and history is None:
        return outcome.theta
    message = _MESSAGES[outcome.status](method, problem, outcome, tol)
    if outcome.status == NOT_FINITE:
        raise DivergenceError(message, _result(problem, outcome, message, history))
    if outcome.status in (LIMIT_REACHED, CYCLE):
        warnings.warn(message, ConvergenceWarning, stacklevel=_CALLER)
    return _result(problem, outcome, message, history) if full_output or history is not None else outcome.theta


def _result(problem, outcome, message, history):
    x = outcome.previous if outcome.status == NOT_FINITE else outcome.theta
    return DescentResult(
        x=x, fun=float(problem.losses_at([x])[0]), jac=problem.slope_at(x), nit=outcome.updates,
        success=outcome.status == CONVERGED, status=outcome.status, message=message, history=history)


def _converged(method, problem, outcome, tol):
    return f"{method} converged: update {outcome.updates} moved theta by {_step(outcome):.3g}, and tol is {tol:g}."


def _limit_reached(method, problem, outcome, tol):
    return (f"{method} did not converge in {outcome.updates} updates: the last one moved theta by "
            f"{_step(outcome):.3g} to {outcome.theta:.6g}, and tol is {tol:g}. "
            f"Allow more updates or change the learning rate.{_rate_hint(problem, outcome)}")


def _cycle(method, problem, outcome, tol):
    cycle = outcome.cycle
    values = (" and ".join(f"{theta:.6g}" for theta in cycle) if len(cycle) == 2
              else f"{len(cycle)} values from {cycle.min():.6g} to {cycle.max():.6g}")
    return (f"{method} did not converge and never would: by update {outcome.updates} theta repeats {values} for ever, "
            f"in steps of {_step(outcome):.3g} that tol={tol:g} never ends. A minimum may lie between them: "
            f"use a smaller or a decreasing learning rate than {outcome.alpha:g}.{_rate_hint(problem, outcome)}")


def _not_finite(method, problem, outcome, tol):
    return (f"{method} diverged: update {outcome.updates} with alpha={outcome.alpha:g} made theta {outcome.theta}; "
            f"the last finite theta is {outcome.previous:.6g}. Use a smaller learning rate."
            f"{_rate_hint(problem, outcome)}")


def _stopped(method, problem, outcome, tol):
    return f"{method} was stopped by the callback (StopIteration) after update {outcome.updates}."


_MESSAGES = {CONVERGED: _converged, LIMIT_REACHED: _limit_reached, CYCLE: _cycle, NOT_FINITE: _not_finite,
             STOPPED_BY_CALLBACK: _stopped}


def _step(outcome):
    return abs(outcome.theta - outcome.previous)


def _rate_hint(problem, outcome):
    """Names the largest stable learning rate where there is one and the run used more, or diverged."""
    stable = problem.stable_alpha
    if stable is None or (outcome.alpha < stable and outcome.status != NOT_FINITE):
        return ""
    return f" The largest stable alpha for {problem.gradient.loss.__name__} is {stable:g}."
