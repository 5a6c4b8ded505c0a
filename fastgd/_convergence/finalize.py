"""Finalize a run: return theta or a result, warn, or raise."""
from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastgd._convergence.messages import message_of, on_order
from fastgd._convergence.report import Assessment, assess, report_of
from fastgd._data.arrays import SAMPLE_ROWS
from fastgd._format import is_finite
from fastgd._options import DescentOptions
from fastgd.results import (
    CONVERGED,
    CYCLE,
    LIMIT_REACHED,
    NOT_FINITE,
    STALLED,
    ConvergenceWarning,
    DescentResult,
    DivergenceError,
    SourceError,
    lost,
    warn,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd

    from fastgd._objective.objective import Objective
    from fastgd._solvers import Outcome
    from fastgd._types import DoubleArray, Theta


def finalize(objective: Objective, options: DescentOptions, outcome: Outcome, history: pd.DataFrame | None,
             category: type[ConvergenceWarning] = ConvergenceWarning) -> Theta | DescentResult:
    """Return theta or the DescentResult of a run; warn or raise if it did not converge."""
    if objective.data.n > SAMPLE_ROWS:    # on fewer rows a pass costs less than this call
        objective = objective.reading_both()
    try:
        assessment = assess(objective, outcome, options.tol, options.stop, options.bit_generator is not None)
        if outcome.unevenness is not None:
            warn(f"{options.method}: {on_order(outcome.unevenness)}", category)
        if (assessment.status == CONVERGED and not (options.full_output or options.history)
                and not assessment.has_sign_labels):
            return outcome.theta if outcome.average is None else outcome.average
        return _report(objective, options, outcome, history, category, assessment)
    except SourceError as error:
        error.result = lost(outcome.x, outcome.updates)
        raise


def _report(objective: Objective, options: DescentOptions, outcome: Outcome, history: pd.DataFrame | None,
            category: type[ConvergenceWarning], assessment: Assessment) -> Theta | DescentResult:
    """Warn or raise with the message of the report; return theta or the result."""
    needs_result, status = options.full_output or options.history, assessment.status
    message = f"{options.method} {message_of(report_of(objective, options, outcome, assessment))}"
    if status == NOT_FINITE:
        raise DivergenceError(message, result_of(objective, outcome, history, status, message))
    if status in (LIMIT_REACHED, CYCLE, STALLED) or assessment.growth is not None or assessment.has_sign_labels:
        warn(message, category)
    return result_of(objective, outcome, history, status, message) if needs_result else outcome.x


def result_of(objective: Objective, outcome: Outcome, history: pd.DataFrame | None, status: int,
              message: str) -> DescentResult:
    """Make the DescentResult of a run."""
    if history is not None and not is_finite(outcome.theta):
        history = history.iloc[:-1]    # up to the last finite theta
    data, x = objective.data, outcome.x
    fields: dict[str, Any] = {"x": x, "fun": objective.reported_value(x), "jac": objective.gradient(x)}
    reads = {} if data.reads is None else dict(zip(("passes", "bytes_read"), data.reads, strict=True))
    return DescentResult(
        **fields, nit=outcome.updates, success=status == CONVERGED, status=status, message=message, history=history,
        feature_names=data.names, fit_intercept=data.intercept, **reads, _columns=data.columns)


def finalize_many(objective: Objective, starts: DoubleArray, outcomes: Sequence[Outcome],
                  tol: float) -> list[DescentResult[float]]:
    """Make the DescentResult of each start; warn once of all that did not converge, raise if all diverged."""
    xs, options = [float(outcome.x) for outcome in outcomes], DescentOptions(tol=tol)
    losses, slopes = objective.reported_values(xs), objective.gradients(xs)
    runs: list[DescentResult[float]] = []
    failed: list[str] = []
    for start, x, outcome, loss, slope in zip(starts.tolist(), xs, outcomes, losses, slopes, strict=True):
        assessment = assess(objective, outcome, tol)
        status = assessment.status
        message = f"the descent {message_of(report_of(objective, options, outcome, assessment))}"
        if status != CONVERGED:
            failed.append(f"from {start:g} {message}")
        runs.append(DescentResult(
            x=x, fun=float(loss), jac=float(slope), nit=outcome.updates, success=status == CONVERGED,
            status=status, message=message))
    if all(run.status == NOT_FINITE for run in runs):
        raise DivergenceError(f"minimize_multistart diverged from every start; {failed[0]}", runs[0])
    if failed:
        more = f" Of {len(starts) - 1} further starts, {len(failed) - 1} did not converge." if len(failed) > 1 else ""
        warn(f"minimize_multistart: {failed[0]}{more}")
    return runs
