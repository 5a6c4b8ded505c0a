from typing import final

from fastgd._kernels.shuffle import Visits
from fastgd._kernels.step import NumberSteps
from fastgd._types import DoubleArray, FloatArray, Fused, IndexArray, KernelLoss

@final
class Starts:
    def __init__(
        self, thetas: DoubleArray, previous: DoubleArray, anchors: DoubleArray, updates: IndexArray,
        endings: IndexArray, tol: float,
    ) -> None: ...

# loss, targets, steps, alphas, thetas -> updates, True if the last was short
batch: Fused[[KernelLoss, FloatArray, NumberSteps, DoubleArray, DoubleArray], tuple[int, bool]]

# loss, targets, starts, alphas, done, may_repeat, scratch -> still running
batch_many: Fused[[KernelLoss, FloatArray, Starts, DoubleArray, int, bool, FloatArray], int]

# loss, points, visits, steps, alphas, thetas -> updates, True if the last was short
stochastic: Fused[[KernelLoss, FloatArray, Visits, NumberSteps, DoubleArray, DoubleArray], tuple[int, bool]]
