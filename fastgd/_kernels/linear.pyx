"""Linear models: the prediction of row i is X[i] @ theta, or theta[0] + X[i] @ theta[1:] with an intercept.

X is float32 or float64 in C order and is read where it lies; theta, the targets and all sums are in double. The
gradient of the mean loss is slope_factor * mean(slope[i] * X[i]), with a 1 before each X[i] for the intercept.
"""
from cpython.pycapsule cimport PyCapsule_GetPointer
from libc.math cimport fabs, isfinite
from libc.string cimport memcpy, memset

from fastgd._kernels.losses cimport Loss, real
from fastgd._kernels.mean cimport LINE, at_point, prefetch_far
from fastgd._kernels.shuffle cimport SWAPS_AT_ONCE, begin_epoch, bitgen_t

cdef enum:
    BLOCK = 1024          # rows that are summed before they join the total, so that the error grows with n / BLOCK
    ROWS_AHEAD = 2048     # bytes of rows to come that are on their way; of 256 to 8192 the best from 5 to 500 columns
    # What an update did.
    WENT_ON = 0
    WAS_SHORT = 1
    OVERFLOWED = 2


cdef inline double dot(const real* row, const double* weights, Py_ssize_t p, double start) noexcept nogil:
    """start + row @ weights, in sums that do not wait for each other."""
    cdef double r[8]
    cdef double whole = 0, rest = start
    cdef Py_ssize_t i = 0, j
    if p >= 8:
        for j in range(8):
            r[j] = row[j] * weights[j]
        i = 8
        while i + 8 <= p:
            for j in range(8):
                r[j] += row[i + j] * weights[i + j]
            i += 8
        if i + 4 <= p:
            for j in range(4):
                r[j] += row[i + j] * weights[i + j]
            i += 4
        whole = ((r[0] + r[1]) + (r[2] + r[3])) + ((r[4] + r[5]) + (r[6] + r[7]))
    elif p >= 4:
        whole = ((row[0] * weights[0] + row[1] * weights[1])
                 + (row[2] * weights[2] + row[3] * weights[3]))
        i = 4
    while i < p:
        rest += row[i] * weights[i]
        i += 1
    return whole + rest


cdef inline double predicted(const real* row, Py_ssize_t p, const double* theta, bint intercept) noexcept nogil:
    return dot(row, theta + 1, p, theta[0]) if intercept else dot(row, theta, p, 0)


cdef inline void add_scaled(
    double* total, Py_ssize_t p, double a, const real* row_a, double b, const real* row_b, double c, const real* row_c,
    double d, const real* row_d,
) noexcept nogil:
    cdef Py_ssize_t j
    for j in range(p):
        total[j] += (a * row_a[j] + b * row_b[j]) + (c * row_c[j] + d * row_d[j])


cdef inline double add_block(
    Loss loss, bint slope, const real* X, Py_ssize_t p, const double* targets, const Py_ssize_t* order, Py_ssize_t n,
    Py_ssize_t left, const double* theta, bint intercept, double* gradient,
) noexcept nogil:
    """The sum of the loss over n rows; of slopes, after each slope times its row was added to `gradient`.

    `order` lists the rows, of which `left` will be visited, or is NULL for rows as they lie. Four at a time.
    """
    cdef const real* rows[4]
    cdef double s[4]
    cdef double total = 0
    cdef Py_ssize_t i = 0, k, row, ahead = 4 + ROWS_AHEAD // (p * <Py_ssize_t> sizeof(real))
    cdef double* weights = gradient + 1 if intercept else gradient
    while i < n:
        for k in range(4):
            s[k] = 0
            if i + k < n:
                row = i + k if order == NULL else order[i + k]
                rows[k] = X + row * p
                s[k] = at_point(loss, slope, predicted(rows[k], p, theta, intercept), targets[row])
                if order == NULL:
                    prefetch_row(rows[k] + ahead * p, p, targets + row + ahead)
                elif i + k + ahead < left:
                    prefetch_row(X + order[i + k + ahead] * p, p, targets + order[i + k + ahead])
            else:
                rows[k] = rows[0]
        total += (s[0] + s[1]) + (s[2] + s[3])
        if slope:
            add_scaled(weights, p, s[0], rows[0], s[1], rows[1], s[2], rows[2], s[3], rows[3])
        i += 4
    if slope and intercept:
        gradient[0] += total
    return total


cdef inline void prefetch_row(const real* row, Py_ssize_t p, const double* target) noexcept nogil:
    cdef Py_ssize_t i
    for i in range((p * <Py_ssize_t> sizeof(real) + LINE - 1) // LINE):
        prefetch_far(<const char*> row + i * LINE)
    prefetch_far(target)


cdef inline double add_rows(
    Loss loss, bint slope, const real* X, Py_ssize_t p, const double* targets, Py_ssize_t n, const double* theta,
    bint intercept, double* gradient, double* scratch,
) noexcept nogil:
    """The sum of the loss over n rows as they lie; for slopes their gradient's sum is written to `gradient`."""
    cdef Py_ssize_t start, j, q = p + intercept, blocks = (n + BLOCK - 1) // BLOCK, block
    cdef double total = 0
    if slope:
        memset(gradient, 0, q * sizeof(double))
    for block in range(blocks):
        start = block * BLOCK
        if slope:
            memset(scratch, 0, q * sizeof(double))
        total += add_block(loss, slope, X + start * p, p, targets + start, NULL, min(n - start, <Py_ssize_t> BLOCK), 0,
                           theta, intercept, scratch)
        if slope:
            for j in range(q):
                gradient[j] += scratch[j]
    return total


cdef inline void subtract_scaled(double* weights, double g, const real* along, Py_ssize_t p) noexcept nogil:
    """weights -= g * along; four loads before four stores, so that no compiler asks whether they overlap."""
    cdef double r[4]
    cdef Py_ssize_t i = 0, j
    while i + 4 <= p:
        for j in range(4):
            r[j] = weights[i + j] - g * along[i + j]
        for j in range(4):
            weights[i + j] = r[j]
        i += 4
    while i < p:
        weights[i] -= g * along[i]
        i += 1


cdef inline int update(
    double* theta, double* previous, double g, const real* along, Py_ssize_t p, bint intercept, double tol,
    bint may_overflow, bint last,
) noexcept nogil:
    """theta -= g * along, with a 1 before `along` for the intercept.

    The theta before is written to `previous` if the run ends or pauses here.
    """
    cdef double* weights = theta + 1 if intercept else theta
    cdef bint short_so_far = not intercept or fabs((theta[0] - g) - theta[0]) < tol
    cdef int what = WENT_ON
    cdef Py_ssize_t j = 0
    while short_so_far and j < p:
        short_so_far = fabs((weights[j] - g * along[j]) - weights[j]) < tol
        j += 1
    if short_so_far:
        what = WAS_SHORT
    elif may_overflow:
        if intercept and not isfinite(theta[0] - g):
            what = OVERFLOWED
        for j in range(p):
            if not isfinite(weights[j] - g * along[j]):
                what = OVERFLOWED
    if last or what != WENT_ON:
        memcpy(previous, theta, (p + intercept) * sizeof(double))
    if intercept:
        theta[0] -= g
    subtract_scaled(weights, g, along, p)
    return what


def sums(Loss loss, bint slope, const real[:, ::1] X not None, const double[::1] targets not None, bint intercept,
         const double[::1] theta not None, double[::1] gradient not None, double[::1] scratch not None):
    """The sum of the loss over all rows; or, for the slope, the gradient's, with its factor, in `gradient`."""
    cdef Py_ssize_t n = X.shape[0], p = X.shape[1], q = p + intercept, j
    cdef double total
    if n == 0 or p == 0 or targets.shape[0] != n or min(theta.shape[0], gradient.shape[0], scratch.shape[0]) < q:
        raise ValueError("sums: a buffer is too short")
    with nogil:
        total = add_rows(loss, slope, &X[0, 0], p, &targets[0], n, &theta[0], intercept, &gradient[0], &scratch[0])
        if slope:
            for j in range(q):
                gradient[j] *= loss.slope_factor(total)
    return total


def batch(Loss loss, const real[:, ::1] X not None, const double[::1] targets not None, bint intercept,
          const double[::1] alphas not None, double[::1] theta not None, double[::1] previous not None, double tol,
          double[:, ::1] thetas not None, double[:, ::1] scratch not None):
    """theta <- theta - alpha * gradient over all rows, for each alpha.

    `theta` is changed in place and each new one written to `thetas`; stops after an update that is shorter than `tol`
    in every component or not finite. `scratch` has two rows.

    Returns
    -------
    (updates, converged)
    """
    cdef Py_ssize_t n = X.shape[0], p = X.shape[1], q = p + intercept, k = 0, limit = alphas.shape[0]
    cdef int what = WENT_ON
    cdef double factor
    if n == 0 or p == 0 or targets.shape[0] != n or min(theta.shape[0], previous.shape[0], scratch.shape[1]) < q:
        raise ValueError("batch: a buffer is too short")
    if thetas.shape[0] < limit or thetas.shape[1] != q or scratch.shape[0] < 2:
        raise ValueError("batch: a buffer is too short")
    with nogil:
        while k < limit and what == WENT_ON:
            add_rows(loss, True, &X[0, 0], p, &targets[0], n, &theta[0], intercept, &scratch[0, 0], &scratch[1, 0])
            factor = alphas[k] * loss.slope_factor(<double> 0) / n
            what = update(&theta[0], &previous[0], factor, &scratch[0, 0], q, False, tol, True, k == limit - 1)
            memcpy(&thetas[k, 0], &theta[0], q * sizeof(double))
            k += 1
    return k, what == WAS_SHORT


def batch_squared(const double[:, ::1] gram not None, const double[::1] moment not None,
                  const double[::1] alphas not None, double[::1] theta not None, double[::1] previous not None,
                  double tol, double[:, ::1] thetas not None, double[::1] scratch not None):
    """`batch` for the squared error, whose gradient is 2 (gram @ theta - moment): no pass over the rows.

    `gram` is X'X / n and `moment` X'y / n, with the column of ones in X if there is an intercept.
    """
    cdef Py_ssize_t q = gram.shape[0], k = 0, j, limit = alphas.shape[0]
    cdef int what = WENT_ON
    if q == 0 or gram.shape[1] != q or thetas.shape[0] < limit or thetas.shape[1] != q:
        raise ValueError("batch_squared: a buffer is too short")
    if min(moment.shape[0], theta.shape[0], previous.shape[0], scratch.shape[0]) < q:
        raise ValueError("batch_squared: a buffer is too short")
    with nogil:
        while k < limit and what == WENT_ON:
            for j in range(q):
                scratch[j] = dot(&gram[j, 0], &theta[0], q, -moment[j])
            what = update(&theta[0], &previous[0], 2 * alphas[k], &scratch[0], q, False, tol, True, k == limit - 1)
            memcpy(&thetas[k, 0], &theta[0], q * sizeof(double))
            k += 1
    return k, what == WAS_SHORT


cdef inline Py_ssize_t visit(
    Loss loss, const real* X, Py_ssize_t p, const double* targets, bint intercept, const Py_ssize_t* order,
    Py_ssize_t left, Py_ssize_t batch_size, Py_ssize_t count, const double* alphas, double* theta, double* previous,
    double tol, double* thetas, double* scratch, int* what,
) noexcept nogil:
    """One update a row, or a slice of `batch_size` of the `left` rows in `order`; returns how many were made.

    Each new theta is written to `thetas` unless that is NULL.
    """
    cdef Py_ssize_t k, m, q = p + intercept, ahead = 1 + ROWS_AHEAD // (p * <Py_ssize_t> sizeof(real))
    cdef const real* row
    cdef double rate
    for k in range(count):
        rate = alphas[k] * loss.slope_factor(<double> 0)
        if batch_size == 1:
            if k + ahead < left:
                prefetch_row(X + order[k + ahead] * p, p, targets + order[k + ahead])
            row = X + order[k] * p
            rate *= loss.slope(predicted(row, p, theta, intercept), targets[order[k]])
            # Fewer than 1e200 steps below 1e100 overflow no theta, unless X is as large.
            what[0] = update(theta, previous, rate, row, p, intercept, tol, not fabs(rate) < 1e100, k == count - 1)
        else:
            m = min(batch_size, left - k * batch_size)
            memset(scratch, 0, q * sizeof(double))
            add_block(loss, True, X, p, targets, order + k * batch_size, m, left - k * batch_size, theta, intercept,
                      scratch)
            what[0] = update(theta, previous, rate / m, scratch, q, False, tol, True, k == count - 1)
        if thetas != NULL:
            memcpy(thetas + k * q, theta, q * sizeof(double))
        if what[0] != WENT_ON:
            return k + 1
    return count


def stochastic(Loss loss, const real[:, ::1] X not None, const double[::1] targets not None, bint intercept,
               Py_ssize_t[::1] order not None, Py_ssize_t batch_size, object capsule, Py_ssize_t[::1] place not None,
               const double[::1] alphas not None, double[::1] theta not None, double[::1] previous not None, double tol,
               double[:, ::1] thetas not None, double[::1] scratch not None):
    """Updates on one row or one batch at a time; `order`, the list of the rows, is shuffled before each epoch.

    `place` is as in `descent.stochastic`; `theta` is changed in place, and each new one written to `thetas` if that has
    a row for each of the alphas. The caller holds the generator's lock.

    Returns
    -------
    (updates, converged)
    """
    cdef bitgen_t* generator = <bitgen_t*> PyCapsule_GetPointer(capsule, "BitGenerator")
    cdef Py_ssize_t n = X.shape[0], p = X.shape[1], q = p + intercept, position = place[0], swaps = place[1]
    cdef Py_ssize_t limit = alphas.shape[0], done = 0, made, budget = SWAPS_AT_ONCE
    cdef bint every = thetas.shape[0] >= limit
    cdef int what = WENT_ON
    if n == 0 or p == 0 or targets.shape[0] != n or order.shape[0] != n or thetas.shape[1] != q:
        raise ValueError("stochastic: a buffer is too short")
    if min(theta.shape[0], previous.shape[0], scratch.shape[0]) < q or not 0 <= swaps < n:
        raise ValueError("stochastic: a buffer is too short or an index out of range")
    if batch_size < 1 or position < 0 or limit == 0:
        raise ValueError("stochastic: an index is out of range")
    with nogil:
        while done < limit and what == WENT_ON:
            if not begin_epoch(generator, &order[0], n, &position, &swaps, &budget):
                break
            made = min(limit - done, (n - position + batch_size - 1) // batch_size)
            made = visit(loss, &X[0, 0], p, &targets[0], intercept, &order[position], n - position, batch_size, made,
                         &alphas[done], &theta[0], &previous[0], tol, &thetas[done, 0] if every else NULL, &scratch[0],
                         &what)
            position += made * batch_size
            done += made
    place[0], place[1] = position, swaps
    return done, what == WAS_SHORT
