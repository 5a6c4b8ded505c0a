"""THE one place where an update is written: once for a number, once for an array.

    theta <- theta - rate * gradient

and the rule that ends a run: the step was short, or theta is not finite any more. What a step must remember from one
update to the next stands in the classes here, and its twins are `fastgd._run.python` and `fastgd.reference`.
"""
cimport cython
from libc.math cimport fabs, isfinite
from libc.string cimport memcpy

from fastgd._kernels.losses cimport absolute, real

cdef enum:    # what a step did
    WENT_ON = 0
    WAS_SHORT = 1
    NOT_FINITE = 2

cdef struct rule:
    double tol              # a step is short if no component of theta moved by so much
    bint ends_when_short    # whether such a step ends the run


cdef class Steps:
    cdef rule rule


@cython.final
cdef class NumberSteps(Steps):
    cdef readonly double theta, previous


@cython.final
cdef class ArraySteps(Steps):
    cdef double[::1] theta
    cdef double[::1] previous
    cdef double[:, ::1] scratch


# For a number in two parts, both by value: a theta whose address is taken waits for memory in each update.

cdef inline real step(real theta, real rate, real gradient) noexcept nogil:
    return theta - rate * gradient


cdef inline int judged(const rule* how, real before, real after) noexcept nogil:
    """What the step from the one theta to the other did."""
    if absolute(after - before) < <real> how.tol and how.ends_when_short:
        return WAS_SHORT
    return WENT_ON if isfinite(after) else NOT_FINITE


cdef inline void subtract_scaled(double* weights, double rate, const real* along, Py_ssize_t p) noexcept nogil:
    """weights -= rate * along; four loads before four stores, so that no compiler asks whether they overlap."""
    cdef double r[4]
    cdef Py_ssize_t i = 0, j
    while i + 4 <= p:
        for j in range(4):
            r[j] = weights[i + j] - rate * along[i + j]
        for j in range(4):
            weights[i + j] = r[j]
        i += 4
    while i < p:
        weights[i] -= rate * along[i]
        i += 1


cdef inline int step_along(
    const rule* how, double* theta, double* previous, double rate, const real* along, Py_ssize_t p, bint intercept,
    bint may_overflow, bint last,
) noexcept nogil:
    """theta -= rate * along, with a 1 before `along` for the intercept.

    The theta before is written to `previous` if the run ends or pauses here. Unless it `may_overflow` theta is finite.
    """
    cdef double* weights = theta + 1 if intercept else theta
    cdef bint short_so_far = how.ends_when_short and (
        not intercept or fabs((theta[0] - rate) - theta[0]) < how.tol)
    cdef int what = WENT_ON
    cdef Py_ssize_t j = 0
    while short_so_far and j < p:
        short_so_far = fabs((weights[j] - rate * along[j]) - weights[j]) < how.tol
        j += 1
    if short_so_far:
        what = WAS_SHORT
    elif may_overflow:
        if intercept and not isfinite(theta[0] - rate):
            what = NOT_FINITE
        for j in range(p):
            if not isfinite(weights[j] - rate * along[j]):
                what = NOT_FINITE
    if last or what != WENT_ON:
        memcpy(previous, theta, (p + intercept) * sizeof(double))
    if intercept:
        theta[0] -= rate
    subtract_scaled(weights, rate, along, p)
    return what
