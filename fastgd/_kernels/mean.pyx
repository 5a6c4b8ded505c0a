from libc.math cimport isfinite

from fastgd._kernels.losses cimport Loss, prediction_term, real

cdef enum:
    BLOCK = 4096  # points that stay in the first cache while every theta passes over them
    MOST_LEVELS = 64    # levels of the tree of any n


cdef bint block_is_finite(const real* values, Py_ssize_t n) noexcept nogil:
    # A finite sum has finite terms; only if the sum is not finite (it may overflow) is each term tested.
    cdef real r[16]
    cdef real total = 0
    cdef Py_ssize_t i, j, whole = n - n % 16
    for j in range(16):
        r[j] = 0
    for i in range(0, whole, 16):
        for j in range(16):
            r[j] += values[i + j]
    for i in range(whole, n):
        total += values[i]
    for j in range(16):
        total += r[j]
    if isfinite(total):
        return True
    for i in range(n):
        if not isfinite(values[i]):
            return False
    return True


cdef inline real sum_over_block(
    Loss loss, bint slope, const real* targets, const real* weights, Py_ssize_t n, real theta,
) noexcept nogil:
    cdef real term = prediction_term(loss, slope, theta)
    return (pairwise_sum(loss, slope, targets, n, theta, term) if weights == NULL
            else weighted_sum(loss, slope, targets, weights, n, theta, term))


cdef bint sums_over(
    Loss loss, Py_ssize_t values, const real* targets, const real* weights, Py_ssize_t n,
    const real* thetas, Py_ssize_t m, bint check, real* sums, real* scratch,
) noexcept nogil:
    """Pairwise sums at m thetas in one pass over the data; return False if `check` finds a target that is not finite.

    The first `values` sums are of the loss, the others of its slope. Each sum has numpy's tree. `weights` has one for
    each point, or is NULL. `scratch` holds m sums for each level of the tree above a block.
    """
    cdef Py_ssize_t k, half
    cdef bint finite
    if n <= BLOCK:
        for k in range(m):
            sums[k] = sum_over_block(loss, k >= values, targets, weights, n, thetas[k])
        return not check or block_is_finite(targets, n)
    half = half_of(n)
    finite = sums_over(loss, values, targets, weights, half, thetas, m, check, sums, scratch + m)
    finite &= sums_over(loss, values, targets + half, NULL if weights == NULL else weights + half, n - half, thetas, m,
                        check, scratch, scratch + m)
    for k in range(m):
        sums[k] += scratch[k]
    return finite


def sums(Loss loss, Py_ssize_t values, const real[::1] targets not None, const real[::1] weights,
         const real[::1] thetas not None, bint check, real[::1] out not None, real[::1] scratch not None):
    """Write the sum of the loss over `targets` at the first `values` thetas, and of its slope at the others, to `out`.

    Return False if `check` finds a target that is not finite. `weights`, unless None, multiply the terms. A slope comes
    without its `slope_factor`. `scratch` has at least ``len(thetas) * levels(n)`` places.
    """
    cdef bint finite
    cdef Py_ssize_t n = targets.shape[0], m = thetas.shape[0]
    if (out.shape[0] < m or scratch.shape[0] < m * levels(n) or n == 0 or m == 0
            or (weights is not None and weights.shape[0] != n)):
        raise ValueError("sums: a buffer is too short")
    cdef const real* weight_of = NULL if weights is None else &weights[0]
    with nogil:
        finite = sums_over(loss, values, &targets[0], weight_of, n, &thetas[0], m, check, &out[0],
                           &scratch[0])
    return finite


def mean_at(Loss loss, bint slope, const real[::1] targets not None, const real[::1] weights, double theta,
            bint check):
    """The mean of the loss (or slope) over `targets` at one theta; None if `check` finds a target that is not finite.

    `sums` and `divide` compute the same for many thetas, at the cost of arrays: as much as a hundred points a call.
    """
    cdef real scratch[MOST_LEVELS]
    cdef real at = <real> theta, mean = 0
    cdef bint finite
    cdef Py_ssize_t n = targets.shape[0]
    if n == 0 or (weights is not None and weights.shape[0] != n):
        raise ValueError("mean_at: a buffer is too short")
    cdef const real* weight_of = NULL if weights is None else &weights[0]
    with nogil:
        finite = sums_over(loss, 0 if slope else 1, &targets[0], weight_of, n, &at, 1, check, &mean, scratch)
        mean = mean_of_sum(mean, n)
        if slope:
            mean *= loss.slope_factor(mean)
    return <double> mean if finite else None


def both_at(Loss loss, const real[::1] targets not None, const real[::1] weights, double theta):
    """The means of the loss and of its slope, to the bits of `mean_at`, in one pass over checked targets."""
    cdef real scratch[2 * MOST_LEVELS]
    cdef real means[2]
    cdef real at[2]
    cdef Py_ssize_t n = targets.shape[0]
    if n == 0 or (weights is not None and weights.shape[0] != n):
        raise ValueError("both_at: a buffer is too short")
    cdef const real* weight_of = NULL if weights is None else &weights[0]
    at[0] = at[1] = <real> theta
    with nogil:
        sums_over(loss, 1, &targets[0], weight_of, n, at, 2, False, means, scratch)
    return <double> mean_of_sum(means[0], n), <double> (loss.slope_factor(means[1]) * mean_of_sum(means[1], n))


def cut(Py_ssize_t n):
    """Numbers in the first half of numpy's tree of n; a tree of n rows is cut there too."""
    return half_of(n)


cpdef Py_ssize_t levels(Py_ssize_t n) noexcept nogil:
    """Levels of the tree of n points above a block, and at least 1."""
    cdef Py_ssize_t depth = 1
    while n > BLOCK:
        n = n - n // 2 + 8
        depth += 1
    return depth


def divide(Loss loss, Py_ssize_t values, real[::1] totals not None, Py_ssize_t n):
    """Divide sums over n points by n, in place; all but the first `values` get their `slope_factor`."""
    cdef Py_ssize_t k
    for k in range(totals.shape[0]):
        totals[k] = mean_of_sum(totals[k], n)
        if k >= values:
            totals[k] *= loss.slope_factor(totals[k])


def is_finite(const real[::1] values not None):
    """Return True if no value is NaN or infinite."""
    cdef Py_ssize_t start, n = values.shape[0]
    cdef bint finite = True
    with nogil:
        for start in range(0, n, 4096):
            if not block_is_finite(&values[start], min(n - start, <Py_ssize_t> BLOCK)):
                finite = False
                break
    return finite
