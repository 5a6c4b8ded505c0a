"""The choice of a runner."""
from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from fastgd._curvature import RowsCurvature
from fastgd._limits import BATCH_UPDATES, MANY_POINTS, MOST_FOR_GRAM
from fastgd._run.compiled import ArrayBatch, ArrayStochastic, GramBatch, NumberBatch, NumberStochastic
from fastgd._run.python import PythonBatch, PythonStochastic
from fastgd._source import Points, Rows
from fastgd._source.points import means_over, typed

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from fastgd._objective import Objective
    from fastgd._types import DoubleArray, Runner
    from fastgd.losses import Gradient


def batch_runner(objective: Objective, theta0: Any, tol: float, by_step: bool, limit: int,
                 most: int = BATCH_UPDATES) -> Runner:
    """The runner of batch descent for `limit` updates in all and `most` at once."""
    gradient, source = objective.gradient, objective.source
    if gradient is None:
        return PythonBatch(objective.called_gradient, source.everything, theta0, tol, by_step, most)
    if isinstance(source, Rows):
        return _rows_batch_runner(objective, gradient, source, theta0, tol, by_step, limit, most)
    if isinstance(source, Points) and source.n <= (
            gradient.at_once if objective.threads.count == 1 else MANY_POINTS):
        return NumberBatch(gradient, source.targets, theta0, tol, by_step, most)
    # Any other source, and more points than one call should take, by its means.
    return PythonBatch(objective.called_gradient, None, theta0, tol, by_step, 1)


def _rows_batch_runner(objective: Objective, gradient: Gradient, rows: Rows, theta0: DoubleArray, tol: float,
                       by_step: bool, limit: int, most: int) -> Runner:
    q, curvature = rows.n_parameters, objective.curvature
    # The Gram matrix costs about a pass for every 20 parameters and is worth it unless the run is short.
    if (gradient.loss.is_quadratic and isinstance(curvature, RowsCurvature) and q <= min(MOST_FOR_GRAM, rows.n)
            and limit > q // 20):
        return GramBatch(*curvature.gram(), theta0, tol, by_step, most)
    if rows.X.size > MANY_POINTS or rows.n > gradient.at_once:
        return PythonBatch(objective.called_gradient, None, theta0, tol, by_step, 1)
    return ArrayBatch(gradient, rows, theta0, tol, by_step, most)


def stochastic_runner(objective: Objective, points: NDArray[Any], batch_size: int | None,
                      bit_generator: np.random.BitGenerator, theta0: Any, tol: float, by_step: bool) -> Runner:
    """The runner of stochastic descent (`batch_size` None) or mini-batch descent; it shuffles `points` in place."""
    gradient, source = objective.gradient, objective.source
    if gradient is None:
        # A Python function of a linear model gets a matrix of one row for a point.
        size = 1 if source.is_rows and batch_size is None else batch_size
        return PythonStochastic(objective.called_gradient, points, size, bit_generator, theta0, tol, by_step)
    if isinstance(source, Rows):
        return ArrayStochastic(gradient, source, points, batch_size or 1, bit_generator, theta0, tol, by_step)
    if batch_size is None or batch_size <= gradient.at_once:
        return NumberStochastic(gradient, points, batch_size or 1, bit_generator, theta0, tol, by_step)

    def slope(theta: Any, part: Any) -> Any:
        return means_over(gradient, typed([theta], part.dtype), part, objective.threads)[0]

    return PythonStochastic(slope, points, batch_size, bit_generator, theta0, tol, by_step)
