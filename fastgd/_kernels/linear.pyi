from typing import final

from fastgd._kernels.shuffle import Visits
from fastgd._kernels.step import ArraySteps
from fastgd._types import DoubleArray, FloatArray, Fused, IndexArray, KernelLoss

@final
class RowTargets:
    def __init__(self, targets: DoubleArray, intercept: bool, weights: DoubleArray | None = None) -> None: ...
    @property
    def intercept(self) -> bool: ...

def levels(n: int) -> int: ...

# loss, value, slope, X, rows, start, stop, theta, gradient, scratch -> sum
sums: Fused[[KernelLoss, bool, bool, FloatArray, RowTargets, int, int, DoubleArray, DoubleArray, DoubleArray], float]

# X, theta, intercept, start, stop, out
predictions: Fused[[FloatArray, DoubleArray, bool, int, int, DoubleArray], None]

# loss, X, rows, steps, alphas, thetas -> updates, True if the last was short
batch: Fused[[KernelLoss, FloatArray, RowTargets, ArraySteps, DoubleArray, DoubleArray], tuple[int, bool]]

def batch_squared(
    gram: DoubleArray, moment: DoubleArray, steps: ArraySteps, alphas: DoubleArray, thetas: DoubleArray,
) -> tuple[int, bool]: ...

# loss, X, rows, order, visits, steps, alphas, thetas -> updates, True if the last was short
stochastic: Fused[
    [KernelLoss, FloatArray, RowTargets, IndexArray, Visits, ArraySteps, DoubleArray, DoubleArray], tuple[int, bool]]
