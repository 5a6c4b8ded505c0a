from fastgd._types import DoubleArray, FloatArray, Fused, IndexArray, KernelLoss

# loss, targets, alphas, theta0, tol, thetas -> updates, converged
batch: Fused[[KernelLoss, FloatArray, DoubleArray, float, float, DoubleArray], tuple[int, bool]]

# loss, targets, alphas, tol, may_repeat, done, thetas, previous, anchors, updates, endings, scratch -> still running
batch_many: Fused[
    [KernelLoss, FloatArray, DoubleArray, float, bool, int, DoubleArray, DoubleArray, DoubleArray, IndexArray,
     IndexArray, FloatArray], int]

# loss, points, batch_size, capsule, place, alphas, theta0, tol, thetas -> updates, converged
stochastic: Fused[
    [KernelLoss, FloatArray, int, object, IndexArray, DoubleArray, float, float, DoubleArray], tuple[int, bool]]
