"""The weights of points or rows."""
from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from fastgd._types import DoubleArray


def with_weight(weights: DoubleArray | None, *arrays: NDArray[Any]) -> tuple[DoubleArray | None, tuple[Any, ...]]:
    """Checked `weights` divided by their mean, and the arrays, all without what has no weight; None for equal ones.

    A term of a mean is multiplied by such a weight, and the sum divided by how many there are.
    """
    if weights is None:
        return None, arrays
    kept = weights > 0
    if not kept.all():
        weights, arrays = weights[kept], tuple(array[kept] for array in arrays)
    most = weights.max()
    if weights.min() == most:
        return None, arrays
    relative = weights / most    # of which no sum overflows
    return np.divide(relative, relative.mean()), arrays
