from fastgd._types import FloatArray, Fused, KernelLoss

# loss, slope, targets, weights, thetas, out, scratch -> whether the targets are finite
sums: Fused[[KernelLoss, bool, FloatArray, FloatArray | None, FloatArray, FloatArray, FloatArray], bool]

def cut(n: int) -> int: ...

def levels(n: int) -> int: ...

# loss, slope, totals, n
divide: Fused[[KernelLoss, bool, FloatArray, int], None]

# values
is_finite: Fused[[FloatArray], bool]
