from fastgd._types import FloatArray, Fused, KernelLoss

# loss, values, targets, weights, thetas, check, out, scratch -> False if `check` finds a target that is not finite
sums: Fused[[KernelLoss, int, FloatArray, FloatArray | None, FloatArray, bool, FloatArray, FloatArray], bool]

# loss, slope, targets, weights, theta, check -> the mean, None if the targets are found not to be finite
mean_at: Fused[[KernelLoss, bool, FloatArray, FloatArray | None, float, bool], float | None]

# loss, targets, weights, theta -> the mean loss and slope
both_at: Fused[[KernelLoss, FloatArray, FloatArray | None, float], tuple[float, float]]

def cut(n: int) -> int: ...

def levels(n: int) -> int: ...

# loss, values, totals, n
divide: Fused[[KernelLoss, int, FloatArray, int], None]

# values
is_finite: Fused[[FloatArray], bool]
