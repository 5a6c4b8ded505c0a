"""Updates of descent, each written once for a number and once for an array.

    theta <- theta - rate * gradient

and the stopping rule: the step was short, or theta is not finite any more. The update of an array may be preconditioned
by the scale of the columns and end with a proximal step. The classes here hold the state between two updates. The
Python twins are `fastgd._solvers.proximal_step` and `fastgd.reference`.
"""
cimport cython
from libc.math cimport fabs, isfinite
from libc.string cimport memcpy

from fastgd._kernels.losses cimport absolute, real

cdef enum:    # status of a step
    WENT_ON = 0
    WAS_SHORT = 1
    OVERFLOWED = 2

cdef struct stopping_rule:
    double tol              # a step is short if every component of theta moved by less
    bint ends_when_short    # True if a short step ends the run

cdef struct proximal_parameters:
    bint is_plain           # True for theta - rate * gradient; the other parameters are then unset
    double unit             # step size at a learning rate of 1
    double l2               # times the weight is added to the gradient
    double l1               # times the rate is the soft threshold of each weight
    const double* shift     # centre of each column, which the intercept absorbs
    const double* sizes     # unit of each column, in which a step is made and measured


cdef class StepState:
    cdef stopping_rule rule


@cython.final
cdef class NumberSteps(StepState):
    cdef readonly double theta, previous


@cython.final
cdef class ArraySteps(StepState):
    cdef double[::1] theta
    cdef double[::1] previous
    cdef double[:, ::1] scratch
    cdef proximal_parameters proximal
    cdef const double[::1] shift
    cdef const double[::1] sizes


# For a number the update and its status are two functions, both by value: a theta whose address is taken waits for
# memory in each update.

cdef inline real step(real theta, real rate, real gradient) noexcept nogil:
    return theta - rate * gradient


cdef inline int step_status(const stopping_rule* how, real before, real after) noexcept nogil:
    """Status of the step from one theta to the next."""
    if absolute(after - before) < <real> how.tol and how.ends_when_short:
        return WAS_SHORT
    return WENT_ON if isfinite(after) else OVERFLOWED


cdef inline void subtract_scaled(double* weights, double rate, const real* along, Py_ssize_t p) noexcept nogil:
    """weights -= rate * along; four loads before four stores, so that no compiler checks whether they overlap."""
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


cdef inline int status_along(
    const stopping_rule* how, const double* theta, double* previous, double rate, const real* along, Py_ssize_t p,
    bint intercept, bint may_overflow, bint last,
) noexcept nogil:
    """Status of the step theta -= rate * along before it is made, with a 1 before `along` for the intercept.

    Theta is written to `previous` if the run ends or pauses here. Without `may_overflow` theta stays finite.
    """
    cdef const double* weights = theta + 1 if intercept else theta
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
            what = OVERFLOWED
        for j in range(p):
            if not isfinite(weights[j] - rate * along[j]):
                what = OVERFLOWED
    if last or what != WENT_ON:
        memcpy(previous, theta, (p + intercept) * sizeof(double))
    return what


cdef inline void move_along(double* theta, double rate, const real* along, Py_ssize_t p, bint intercept) noexcept nogil:
    if intercept:
        theta[0] -= rate
    subtract_scaled(theta + 1 if intercept else theta, rate, along, p)


cdef inline int step_along(
    const stopping_rule* how, double* theta, double* previous, double rate, const real* along, Py_ssize_t p,
    bint intercept, bint may_overflow, bint last,
) noexcept nogil:
    """theta -= rate * along; return the status of the step."""
    cdef int what = status_along(how, theta, previous, rate, along, p, intercept, may_overflow, last)
    move_along(theta, rate, along, p, intercept)
    return what


cdef inline double soft_threshold(double weight, double threshold) noexcept nogil:
    """argmin over w of (w - weight)**2 / 2 + threshold * abs(w)."""
    if weight > threshold:
        return weight - threshold
    return weight + threshold if weight < -threshold else (weight if weight != weight else 0)


cdef inline int preconditioned_proximal_step(
    const stopping_rule* how, const proximal_parameters* by, double* theta, double* previous, double alpha,
    double slope, const real* along, double along_intercept, Py_ssize_t p, bint intercept,
) noexcept nogil:
    """One step for the gradient slope * along, of the intercept slope * along_intercept; return its status.

    With z = (x - shift) / size for the columns, the weights of z and their intercept make a plain step, the weights are
    soft-thresholded, and theta is in the units of x again: the intercept absorbs the shifts.
    """
    cdef double* weights = theta + 1 if intercept else theta
    cdef double rate = alpha * by.unit, absorbed = 0, moved, new, per_square, size, along_weight
    cdef bint is_short = how.ends_when_short, finite = True
    cdef Py_ssize_t j
    memcpy(previous, theta, (p + intercept) * sizeof(double))
    for j in range(p):
        size = by.sizes[j]
        along_weight = slope * (along[j] - by.shift[j] * along_intercept) + by.l2 * weights[j]
        if 1e-140 < size < 1e140:    # whose square keeps all digits
            per_square = rate / (size * size)
            new = soft_threshold(weights[j] - per_square * along_weight, per_square * by.l1)
        else:
            new = soft_threshold(weights[j] - rate / size * (along_weight / size), rate / size * (by.l1 / size))
        moved = new - weights[j]
        absorbed += by.shift[j] * moved
        is_short = is_short and fabs(moved * size) < how.tol
        finite = finite and isfinite(new)
        weights[j] = new
    if intercept:
        moved = (theta[0] - rate * (slope * along_intercept)) - theta[0]
        is_short = is_short and fabs(moved) < how.tol
        theta[0] += moved - absorbed
        finite = finite and isfinite(theta[0])
    return WAS_SHORT if is_short else WENT_ON if finite else OVERFLOWED
