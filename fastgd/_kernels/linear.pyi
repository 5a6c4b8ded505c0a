from fastgd._types import DoubleArray, FloatArray, Fused, IndexArray, KernelLoss

# loss, slope, X, targets, intercept, theta, gradient, scratch -> sum
sums: Fused[[KernelLoss, bool, FloatArray, DoubleArray, bool, DoubleArray, DoubleArray, DoubleArray], float]

# loss, X, targets, intercept, alphas, theta, previous, tol, thetas, scratch -> updates, converged
batch: Fused[
    [KernelLoss, FloatArray, DoubleArray, bool, DoubleArray, DoubleArray, DoubleArray, float, DoubleArray, DoubleArray],
    tuple[int, bool]]

def batch_squared(
    gram: DoubleArray, moment: DoubleArray, alphas: DoubleArray, theta: DoubleArray, previous: DoubleArray, tol: float,
    thetas: DoubleArray, scratch: DoubleArray,
) -> tuple[int, bool]: ...

# loss, X, targets, intercept, order, batch_size, capsule, place, alphas, theta, previous, tol, thetas, scratch
# -> updates, converged
stochastic: Fused[
    [KernelLoss, FloatArray, DoubleArray, bool, IndexArray, int, object, IndexArray, DoubleArray, DoubleArray,
     DoubleArray, float, DoubleArray, DoubleArray], tuple[int, bool]]
