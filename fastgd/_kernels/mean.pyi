from fastgd._types import FloatArray, Fused, KernelLoss

# loss, values, targets, weights, thetas, out, scratch -> whether the targets are finite
sums: Fused[[KernelLoss, int, FloatArray, FloatArray | None, FloatArray, FloatArray, FloatArray], bool]

# loss, slope, targets, weights, theta -> the mean, None if the targets are not finite
mean_at: Fused[[KernelLoss, bool, FloatArray, FloatArray | None, float], float | None]

# loss, targets, weights, theta -> the mean loss and slope, None if the targets are not finite
both_at: Fused[[KernelLoss, FloatArray, FloatArray | None, float], tuple[float, float] | None]

def cut(n: int) -> int: ...

def levels(n: int) -> int: ...

# loss, values, totals, n
divide: Fused[[KernelLoss, int, FloatArray, int], None]

# values
is_finite: Fused[[FloatArray], bool]
