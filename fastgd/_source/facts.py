"""What is asked of the targets and of the weights of points or rows."""
from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from fastgd._sums import column_sums

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from fastgd._types import DoubleArray, FloatArray


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
    return np.divide(relative, column_sums(relative[:, None])[0] / relative.size), arrays


class InMemory:
    """What is asked of the numbers of a source that is in memory.

    Attributes
    ----------
    start : int
        Where it begins in what it is a piece of.
    """

    is_parted: Literal[False] = False
    reads: tuple[int, int] | None = None
    start = 0
    targets: FloatArray
    weights: FloatArray | None

    @property
    def is_weighted(self) -> bool:
        """Whether not all weights are equal."""
        return self.weights is not None

    @property
    def largest_weight(self) -> float:
        """Of all, whose mean weight is 1."""
        return 1.0 if self.weights is None else float(self.weights.max())

    @property
    def extremes(self) -> tuple[float, float]:
        """The least and the largest target."""
        return float(self.targets.min()), float(self.targets.max())

    @property
    def has_signs(self) -> bool:
        """Whether all targets are -1 or 1, and some -1."""
        targets = self.targets
        return abs(targets.item(0)) == 1 and bool(targets.min() == -1) and bool((np.abs(targets) == 1).all())
