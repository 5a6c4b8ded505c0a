"""What a public function does at the end of a run: it returns theta or a result, warns, or raises."""
from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastgd._format import is_finite
from fastgd._verdict import Verdict, judge
from fastgd._words import Words, on_order
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

    from fastgd._objective import Objective
    from fastgd._run import Outcome
    from fastgd._settings import Settings
    from fastgd._types import DoubleArray, Theta

def conclude(objective: Objective, settings: Settings, outcome: Outcome, history: pd.DataFrame | None,
             category: type[ConvergenceWarning] = ConvergenceWarning) -> Theta | DescentResult:
    """Return theta or the DescentResult of a run; warn or raise as it deserves."""
    try:
        return _concluded(objective, settings, outcome, history, category)
    except SourceError as error:
        error.result = lost(outcome.x, outcome.updates)
        raise


def _concluded(objective: Objective, settings: Settings, outcome: Outcome, history: pd.DataFrame | None,
               category: type[ConvergenceWarning]) -> Theta | DescentResult:
    verdict = judge(objective, outcome, settings.tol, settings.stop, settings.is_stochastic)
    wants_result = settings.full_output or settings.history
    if outcome.unevenness is not None:
        warn(f"{settings.method}: {on_order(outcome.unevenness)}", category)
    if verdict.status == CONVERGED and not wants_result and not verdict.has_labels:
        return outcome.x
    words = Words(objective, outcome, verdict, settings.tol, settings)
    message = f"{settings.method} {words}"
    if verdict.status == NOT_FINITE:
        raise DivergenceError(message, result_of(objective, outcome, history, verdict, message))
    if verdict.status in (LIMIT_REACHED, CYCLE, STALLED) or verdict.growth is not None or verdict.has_labels:
        warn(message, category)
    return result_of(objective, outcome, history, verdict, message) if wants_result else outcome.x


def result_of(objective: Objective, outcome: Outcome, history: pd.DataFrame | None, verdict: Verdict,
              message: str) -> DescentResult:
    """The DescentResult of a run that was judged."""
    if history is not None and not is_finite(outcome.theta):
        history = history.iloc[:-1]    # up to the last finite theta
    source = objective.source
    found: dict[str, Any] = {"x": outcome.x, "fun": objective.value(outcome.x), "jac": objective.slope(outcome.x)}
    read = {} if source.reads is None else dict(zip(("passes", "bytes_read"), source.reads, strict=True))
    return DescentResult(
        **found, nit=outcome.updates, success=verdict.status == CONVERGED, status=verdict.status, message=message,
        history=history, feature_names=source.names, fit_intercept=source.intercept, **read,
        _columns=source.columns)


def conclude_many(objective: Objective, starts: DoubleArray, outcomes: Sequence[Outcome],
                  tol: float) -> list[DescentResult[float]]:
    """The DescentResult of each start; one warning for all that did not converge, an error if all diverged."""
    xs = [float(outcome.x) for outcome in outcomes]
    losses, slopes = objective.values(xs), objective.slopes(xs)
    runs: list[DescentResult[float]] = []
    said: list[str] = []
    for start, x, outcome, loss, slope in zip(starts.tolist(), xs, outcomes, losses, slopes, strict=True):
        verdict = judge(objective, outcome, tol)
        message = f"the descent {Words(objective, outcome, verdict, tol)}"
        if verdict.status != CONVERGED:
            said.append(f"from {start:g} {message}")
        runs.append(DescentResult(
            x=x, fun=float(loss), jac=float(slope), nit=outcome.updates, success=verdict.status == CONVERGED,
            status=verdict.status, message=message))
    if all(run.status == NOT_FINITE for run in runs):
        raise DivergenceError(f"minimize_multistart diverged from every start; {said[0]}", runs[0])
    if said:
        more = f" So it is, or otherwise bad, from {len(said) - 1} more of the starts." if len(said) > 1 else ""
        warn(f"minimize_multistart: {said[0]}{more}")
    return runs
