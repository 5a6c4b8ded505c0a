from fastgd._types import DoubleArray, FloatArray, Fused

def scratch_size(n: int, p: int, is_weighted: bool) -> int: ...

# X, shift, weights, targets, start, stop, out, scratch
sums: Fused[
    [FloatArray, DoubleArray, DoubleArray | None, DoubleArray | None, int, int, DoubleArray, DoubleArray], None]

def column_sums(X: DoubleArray, weights: DoubleArray | None, out: DoubleArray, scratch: DoubleArray) -> None: ...
