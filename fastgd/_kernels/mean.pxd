"""The mean value or mean slope of a loss over points, in the order in which numpy sums.

numpy's pairwise sum of n numbers: below 8 in order, starting from -0.0; up to 128 in eight accumulators;
above that, the sum of the sums of two halves, the first cut to a multiple of 8. The total is added to +0.0.
Error grows with log(n), not with n (Higham, "The accuracy of floating point summation", 1993).
"""
from fastgd._kernels.losses cimport Loss, at_target, prediction_term, real

cdef extern from *:
    """
    #if defined(__GNUC__) || defined(__clang__)
    #define FASTGD_PREFETCH(address, cache) __builtin_prefetch(address, 0, cache)
    #else
    #define FASTGD_PREFETCH(address, cache) ((void) 0)
    #endif
    """
    void prefetch_to "FASTGD_PREFETCH"(const void* address, int cache) noexcept nogil

cdef enum:
    LEAF = 128
    LINE = 64      # bytes of a cache line
    AHEAD = 2048   # bytes; the best of 0 to 4096 with small pages, and no worse with large ones


cdef inline Py_ssize_t half_of(Py_ssize_t n) noexcept nogil:
    """Points (or rows) in the first half of the tree of n."""
    cdef Py_ssize_t half = n // 2
    return half - half % 8


cdef inline void prefetch(const void* address) noexcept nogil:
    prefetch_to(address, 3)


cdef inline void prefetch_far(const void* address) noexcept nogil:
    # Prefetch to the second-level cache, which holds more requests than the first-level cache.
    prefetch_to(address, 2)


cdef inline real weighted_leaf(
    Loss loss, bint slope, const real* targets, const real* weights, Py_ssize_t n, real theta, real term,
) noexcept nogil:
    """Sum over at most 128 points, each times its weight, in the order of `leaf_sum`."""
    cdef real terms[LEAF]
    cdef real r[8]
    cdef real total = -0.0
    cdef Py_ssize_t i, j, whole = n - n % 8 if n >= 8 else 0
    for i in range(n):
        terms[i] = at_target(loss, slope, theta, term, targets[i]) * weights[i]
    if whole > 0:
        for j in range(8):
            r[j] = terms[j]
        for i in range(8, whole, 8):
            for j in range(8):
                r[j] += terms[i + j]
        total = ((r[0] + r[1]) + (r[2] + r[3])) + ((r[4] + r[5]) + (r[6] + r[7]))
    for i in range(whole, n):
        total += terms[i]
    return total


cdef inline real leaf_sum(
    Loss loss, bint slope, const real* targets, Py_ssize_t n, real theta, real term,
) noexcept nogil:
    """Sum over 8 to 128 points. Two loops of fixed length 8, because compilers vectorise those."""
    cdef real r[8]
    cdef real terms[8]
    cdef real total
    cdef Py_ssize_t i, j, whole = n - n % 8
    for j in range(8):
        r[j] = at_target(loss, slope, theta, term, targets[j])
    for i in range(8, whole, 8):
        for j in range(8):
            terms[j] = at_target(loss, slope, theta, term, targets[i + j])
        for j in range(8):
            r[j] += terms[j]
    total = ((r[0] + r[1]) + (r[2] + r[3])) + ((r[4] + r[5]) + (r[6] + r[7]))
    for i in range(whole, n):
        total += at_target(loss, slope, theta, term, targets[i])
    return total


cdef inline real pairwise_sum(
    Loss loss, bint slope, const real* targets, Py_ssize_t n, real theta, real term,
) noexcept nogil:
    """The sum over n points, in numpy's order; `term` is the `prediction_term` of theta."""
    cdef real total
    cdef Py_ssize_t i, half
    if n < 8:
        total = -0.0
        for i in range(n):
            total += at_target(loss, slope, theta, term, targets[i])
        return total
    if n <= LEAF:
        for i in range(n * <Py_ssize_t> sizeof(real) // LINE):
            prefetch(<const char*> targets + AHEAD + i * LINE)
        # A constant each, so that no compiler leaves the choice inside the loop.
        return (leaf_sum(loss, True, targets, n, theta, term) if slope
                else leaf_sum(loss, False, targets, n, theta, term))
    half = half_of(n)
    return (pairwise_sum(loss, slope, targets, half, theta, term)
            + pairwise_sum(loss, slope, targets + half, n - half, theta, term))


cdef inline real weighted_sum(
    Loss loss, bint slope, const real* targets, const real* weights, Py_ssize_t n, real theta, real term,
) noexcept nogil:
    """The sum over n points, each times its weight, in numpy's order."""
    cdef Py_ssize_t half
    if n <= LEAF:
        return weighted_leaf(loss, slope, targets, weights, n, theta, term)
    half = half_of(n)
    return (weighted_sum(loss, slope, targets, weights, half, theta, term)
            + weighted_sum(loss, slope, targets + half, weights + half, n - half, theta, term))


cdef inline real mean_of_sum(real total, Py_ssize_t n) noexcept nogil:
    # numpy divides in double and rounds once to the type of the data.
    return <real> (<double> (<real> 0.0 + total) / <double> n)


cdef inline real mean_slope(Loss loss, const real* targets, Py_ssize_t n, real theta) noexcept nogil:
    cdef real total = pairwise_sum(loss, True, targets, n, theta, prediction_term(loss, True, theta))
    return loss.slope_factor(theta) * mean_of_sum(total, n)


cdef bint sums_over(
    Loss loss, Py_ssize_t values, const real* targets, const real* weights, Py_ssize_t n,
    const real* thetas, Py_ssize_t m, bint check, real* sums, real* scratch,
) noexcept nogil

cpdef Py_ssize_t levels(Py_ssize_t n) noexcept nogil
