"""The descent that looks whether a loss can still fall, and by how much it can at most.

It is the adaptive descent in the metric of the data. It begins at 0 where the loss is lower there, as beyond
probabilities that are saturated; and on a loss that is straight where the residuals are, on versions that are squares
there, of widths that fall.
"""
from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from fastgd._data.sampling import mean_square, sample_by_leverage
from fastgd._limits import (
    ENOUGH_LOOKS,
    LOG_ODDS,
    LOOKS,
    MOST_LOOKS,
    NARROWER,
    NUMBERS_LOOKED_AT,
    SHORT_FOR_STAGE,
    STRAIGHT,
)
from fastgd._run import arriving_runner
from fastgd._run.kinks import most_to_gain
from fastgd._theta import is_finite
from fastgd.losses.builtin import Huber
from fastgd.penalties import ElasticNet

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fastgd._objective import Objective
    from fastgd._types import DoubleArray
    from fastgd.losses import Loss


def arrived(objective: Objective, theta: Any, most: int, size: float, cost: float) -> tuple[Any, int]:
    """Where the descent that looks ends from theta, and how many updates it made, of so many at most.

    It ends where the loss can fall by no more than `cost` within four times `size`, in units of the prediction.
    """
    looking = _Looking(objective, theta, size, cost)
    looking.advance(most)
    return looking.theta, looking.updates


def arrived_from_afar(objective: Objective, theta: Any, size: float, cost: float) -> Any:
    """The same where the residuals may be as large as `size`; of few numbers it goes on until it has arrived."""
    loss, rows, begun = objective.descended, objective.source, theta
    for some, short in _versions(objective, size):
        looking = _Looking(some, theta, size, cost, short)
        looking.advance(LOOKS)
        theta = looking.theta
    begun = lower_of(objective, begun, theta)
    looking = _Looking(objective, begun, size, cost)
    looking.advance(ENOUGH_LOOKS)
    most = min(MOST_LOOKS, NUMBERS_LOOKED_AT // (rows.n * rows.n_parameters))
    while (looking.updates < most and not looking.is_over and not (loss is not None and loss.kinks)
           and _may_fall(objective, looking.theta, size, cost)):
        looking.advance(ENOUGH_LOOKS)
    found = lower_of(objective, begun, looking.theta)
    if found is begun and loss is not None and loss.max_stable_alpha is not None:
        looking = _Looking(objective, begun, size, cost, is_safe=True)
        looking.advance(ENOUGH_LOOKS)
        found = lower_of(objective, begun, looking.theta)
    return found


def _may_fall(objective: Objective, x: Any, size: float, cost: float) -> bool:
    return most_to_fall(objective, x, objective.slope(x), 4 * size, objective.descended_value(x)) > cost


class _Looking:
    """A descent that goes on from where it is."""

    def __init__(self, objective: Objective, theta: Any, size: float, cost: float, short: float = 0.0, *,
                 is_safe: bool = False) -> None:
        self._runner, self._rates = arriving_runner(objective, theta, size, cost, short, is_safe=is_safe)
        self.updates, self.is_over = 0, False

    @property
    def theta(self) -> Any:
        return self._runner.theta if is_finite(self._runner.theta) else self._runner.previous

    def advance(self, most: int) -> None:
        """So many updates at most."""
        for _ in range(most):
            if self.is_over:
                break
            self.updates += 1
            thetas = np.empty((1, *np.shape(self._runner.theta)))
            _, is_short = self._runner.advance(self._rates(self.updates, 1), thetas)
            self.is_over = is_short or not is_finite(self._runner.theta)


def _versions(objective: Objective, width: float) -> Iterator[tuple[Objective, float]]:
    """Losses that are squares up to widths that fall, and what is short there, as long as the loss is straight."""
    loss, penalty = objective.descended, objective.penalty
    if loss is not None and loss.is_convex and loss.link == "identity" and math.isfinite(width * width):
        while width > 0 and not loss.kinks and _is_straight(loss, width):
            version = objective.descending_on(Huber(width))
            if penalty is not None:
                steeper = width / abs(loss.gradient(0.0, [width]))
                version.penalty = ElasticNet(steeper * penalty.l1, steeper * penalty.l2)
            yield version, SHORT_FOR_STAGE * width
            width *= NARROWER


def _is_straight(loss: Loss, width: float) -> bool:
    near, far = (abs(loss.gradient(0.0, [times * width])) for times in (1, 2))
    return far < STRAIGHT * near


def lower_of(objective: Objective, x: Any, other: Any) -> Any:
    """The second place if the loss is lower there, else the first."""
    return other if objective.descended_value(other) < objective.descended_value(x) else x


def size_at(objective: Objective, x: Any) -> float:
    """How far from x, in units of the prediction, the least loss of rows may be, but for a small factor.

    It is the root mean square of the residuals; of log-odds that of the predictions, and what is of any use.
    """
    loss, rows = objective.descended, objective.source
    if loss is not None and loss.is_quadratic:
        return math.sqrt(2 * objective.descended_value(x) / loss.max_curvature)
    is_identity = loss is None or loss.link == "identity"
    assert rows.is_rows
    root = math.sqrt(mean_square(rows, x, of_residuals=is_identity))
    return root if is_identity else root + LOG_ODDS


def sampled(objective: Objective, size: int) -> Objective:
    """The objective of about so many rows that tell, or of all if there are hardly more."""
    rows: Any = objective.source
    if rows.n <= 2 * size:
        return objective.on(rows.sample(size)) if rows.is_chunked else objective
    metric = objective.curvature.metric("gram", 1.0, 0.0, is_rough=True)
    return objective.on(sample_by_leverage(rows, metric.shift, metric.sizes, size) or rows.sample(size))


def most_to_fall(objective: Objective, x: Any, slope: Any, distance: float, here: float) -> float:
    """What a loss of rows can fall by from x: by convexity no more than the slope times the way, of this length."""
    if objective.penalty is None or not objective.penalty.l1:
        return most_to_gain(objective, slope, distance, here)
    gap = _duality_gap(objective, x, distance, here)
    rows: Any = objective.source
    if rows.n <= rows.n_parameters or objective.metric("gram", is_rough=True).ties:
        return gap
    return min(gap, most_to_gain(objective, slope, distance, here))


def _duality_gap(objective: Objective, x: DoubleArray, distance: float, here: float) -> float:
    """The same with a penalty of l1, which has a slope where the rows have none, as where columns outnumber them.

    With g the slope of the mean over the rows, and v any weights, the fall from w to v is at most

        g @ w + l1 sum(abs(w)) + l2 / 2 sum(w**2) - (g @ v + l1 sum(abs(v)) + l2 / 2 sum(v**2))

    of which the last part is least where abs(g) exceeds l1; and l1 sum(abs(v)) is no more than the loss here.
    """
    penalty, first = objective.penalty, int(objective.source.intercept)
    assert penalty is not None
    g, w = objective.called_gradient(x, objective.source.everything), x[first:]
    excess = np.maximum(np.abs(g[first:]) - penalty.l1, 0)
    here_part = float(np.sum(g[first:] * w + penalty.l1 * np.abs(w) + penalty.l2 / 2 * w * w))
    there_part = here / penalty.l1 * float(excess.max())
    if penalty.l2:
        there_part = min(there_part, float(np.sum(excess * excess)) / 2 / penalty.l2)
    return here_part + there_part + (abs(float(g[0])) * distance if first else 0.0)
