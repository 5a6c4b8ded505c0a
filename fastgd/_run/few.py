"""The descent of one number in few passes over the points: what is refused, and what is read before it begins."""
from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from fastgd._limits import BATCH_UPDATES, FAR, FEW_TO_GATHER
from fastgd._run.choice import runner_and_rates
from fastgd._run.driver import drive
from fastgd._run.epochs import Epochs
from fastgd._source.summary import Summary, bulk_of
from fastgd.losses.builtin import REGISTRY

if TYPE_CHECKING:
    from collections.abc import Collection

    from fastgd._objective import Objective
    from fastgd._run.watch import Watch
    from fastgd._settings import Settings
    from fastgd._types import DoubleArray
    from fastgd.losses.base import Loss

#: Passes of a run for which the first plan was good: the ends, the buckets, the points of those with a break.
_USUAL_PASSES = 3
#: Of where most of the points are, what the window has beyond where the descent on a sample passes.
_BEYOND = 1 / 128


def in_few_passes(objective: Objective, settings: Settings, theta0: Any) -> Objective:
    """The objective on a Summary of its points, in which all is gathered that the descent needs.

    It is itself where the descent needs more points than may be gathered, or the differences of points overflow: the
    loop goes over them then. ValueError for what cannot be done in few passes.
    """
    losses = _check(objective, settings)
    source: Any = objective.source
    start, window = source.theta(theta0, "theta0"), None
    try:
        if source.n > FEW_TO_GATHER and any(loss.breaks for loss in losses):
            window = _window(objective, losses, settings, start)
        summary: Any = Summary(source, losses, window, objective.threads)
    except ArithmeticError:
        return objective
    if source.n <= FEW_TO_GATHER:
        summary.gather_all()
    elif not summary.plan(lambda: _descend(objective.on(summary), settings, start)):
        return objective
    return objective.on(summary)


def passes_instead(objective: Objective, settings: Settings) -> int | None:
    """About how many passes `few_passes` would make of a descent; None where it is not allowed."""
    try:
        losses = _check(objective, settings)
    except ValueError:
        return None
    return _USUAL_PASSES if any(loss.breaks for loss in losses) else _USUAL_PASSES - 1


def _check(objective: Objective, settings: Settings) -> list[Loss]:
    """The losses that are shown and descended on; ValueError if they, or the rest, cannot be had in few passes."""
    refused = None
    if objective.source.is_rows:
        refused = "rows X, whose descent in few passes is alpha='adaptive' with precondition='gram'"
    elif objective.source.is_weighted:
        refused = "weights: leave sample_weight=None"
    elif objective.penalty is not None:
        refused = f"a penalty. Got penalty={objective.penalty!r}; leave it None"
    elif settings.is_adaptive:
        refused = "alpha='adaptive', which takes few passes as it is"
    if refused is not None:
        raise ValueError(f"few_passes=True is for one number, and cannot be used with {refused}.")
    known = ", ".join(name for name, loss in REGISTRY.items() if loss.breaks is not None)
    if objective.losses is None:
        raise ValueError(f"few_passes=True needs a loss of fastgd's own and its gradient ({known}). Got a function in "
                         "Python; leave few_passes=False.")
    for loss in objective.losses:
        if loss.breaks is None:
            raise ValueError(f"few_passes=True needs a loss whose slope is made of straight pieces ({known}). Got "
                             f"{loss!r}; leave few_passes=False.")
    return objective.losses


def _window(objective: Objective, losses: Collection[Loss], settings: Settings, start: float) -> tuple[float, float]:
    """Where the breaks are in a descent on a sample of the points, and somewhat beyond."""
    source: Any = objective.source
    few = source.drawn(FEW_TO_GATHER)
    reach: Any = _Reach()
    reach.after_chunk(0, np.empty(0), np.array(_descend(objective.on(few), settings, start, reach)))
    start, stop = bulk_of(few)
    beyond = _BEYOND * (stop - start)
    offsets = [offset for loss in losses for offset in loss.breaks or ()]
    return reach.least + min(offsets) - beyond, reach.most + max(offsets) + beyond


class _Reach:
    """Sees all thetas of a run, as a Watch does."""

    wants_every = True
    least, most = math.inf, -math.inf

    def before_chunk(self, done: int, theta: float) -> None:
        """Nothing is shown."""

    def after_chunk(self, done: int, alphas: DoubleArray, new: DoubleArray) -> bool:
        """Take in the thetas, and let the run go on."""
        finite = new[np.isfinite(new)]
        self.least = min(self.least, finite.min(initial=math.inf))
        self.most = max(self.most, finite.max(initial=-math.inf))
        return False


def _descend(objective: Objective, settings: Settings, start: float, watch: Watch | None = None) -> list[float]:
    """Descend as the run will, and look where the verdict will."""
    runner, rates = runner_and_rates(objective, settings, start, BATCH_UPDATES)
    epochs = None
    if settings.stop == "loss":
        epochs = Epochs(1, start, settings.tol, averages=False, loss_at=objective.value)
    theta: Any = drive(runner, rates, settings.limit, watch=watch, epochs=epochs).x
    places = [start, *(theta + step * settings.tol for step in (-FAR * FAR, -FAR, 0.0, FAR, FAR * FAR))]
    objective.slopes(places)
    return places
