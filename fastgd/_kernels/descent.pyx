"""The update loops. Each runs at most as many updates as it is handed learning rates, and can be resumed."""
from libc.math cimport isfinite

from fastgd._kernels.losses cimport Loss, absolute, real
from fastgd._kernels.mean cimport mean_slope


def batch(Loss loss, const real[::1] targets not None, const double[::1] alphas not None,
          double theta0, double tol, double[::1] thetas not None):
    """theta <- theta - alpha * mean slope over all points, for each alpha.

    Writes each new theta to `thetas`; stops after an update that is shorter than `tol` or not finite.

    Returns
    -------
    (updates, converged)
    """
    cdef Py_ssize_t n = targets.shape[0], k = 0, limit = alphas.shape[0]
    cdef real theta = <real> theta0, new = theta
    cdef bint converged = False
    if n == 0 or thetas.shape[0] < limit:
        raise ValueError("batch: a buffer is too short")
    with nogil:
        while k < limit and not converged and isfinite(new):
            new = theta - <real> alphas[k] * mean_slope(loss, &targets[0], n, theta)
            converged = absolute(new - theta) < <real> tol
            theta = new
            thetas[k] = new
            k += 1
    return k, converged
