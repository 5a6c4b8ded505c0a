"""The adaptive descent of one number, and what it knows of the data before it begins."""
from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from fastgd._limits import SAMPLE
from fastgd._run.adaptive import Bracket
from fastgd._run.kinks import OrderStatistic
from fastgd._run.update import Update

if TYPE_CHECKING:
    from fastgd._objective import Objective
    from fastgd._source.parted import PartedPoints
    from fastgd._source.points import Points


def bracket_of(objective: Objective, theta0: float, tol: float, by_step: bool) -> Bracket:
    """The runner. Of our own losses a sample of the points says where to look, and how curved the mean is there."""
    loss, source = objective.descended, objective.source
    update = Update(objective)
    if loss is None or source.is_rows:
        return Bracket(objective.called_gradient, source.everything, theta0, tol, by_step, update, 1.0)
    guesses, rate = _guesses(objective, source, theta0)
    settle = OrderStatistic(objective) if loss.kinks else None
    return Bracket(objective.called_gradient, None, theta0, tol, by_step, update, rate, guesses, settle)


def _guesses(objective: Objective, points: Points | PartedPoints, theta0: float) -> tuple[list[float], float]:
    """Where the minimum may be, and one over the curvature there."""
    loss = objective.descended
    assert loss is not None
    rate = 1.0 if loss.max_stable_alpha is None else objective.safe_rate(False)
    if loss.is_quadratic:
        return [], rate
    few = objective.on(points.drawn(SAMPLE))
    targets = few.in_memory.targets
    spread = float(np.subtract(*np.quantile(targets, [0.75, 0.25]))) or float(np.ptp(targets))
    if few.source.n == points.n:
        if not loss.is_convex or loss.link != "identity":
            return [], rate
        guess = float(np.median(targets))
    else:
        runner = Bracket(few.called_gradient, None, theta0, spread * 1e-6, True, Update(few), rate)
        is_short = False
        for _ in range(SAMPLE):
            if is_short:
                break
            rates = np.array([runner.next_rate()])
            _, is_short = runner.advance(rates, np.empty(1))
        guess = runner.theta
    below, above = (float(few.slopes([guess + side * spread / 8])[0]) for side in (-1, 1))
    return [guess], spread / 4 / (above - below) if above > below else rate
