"""Linear models: the prediction of row i is X[i] @ theta, or theta[0] + X[i] @ theta[1:] with an intercept.

X is float32 or float64 in C order and is not copied; theta, the targets and all sums are in double. The
gradient of the mean loss is slope_factor * mean(slope[i] * X[i]), with a 1 before each X[i] for the intercept. Sums
over rows follow the tree of sums over points, with leaves of as many rows, so that their bits depend on n alone.
"""
cimport cython
from libc.math cimport fabs
from libc.string cimport memcpy, memset

from fastgd._kernels.losses cimport Loss, at_point, real
from fastgd._kernels.mean cimport LEAF, LINE, half_of, mean_of_sum, prefetch, prefetch_far
from fastgd._kernels.shuffle cimport SWAPS_AT_ONCE, Visits, begin_epoch, visits_left
from fastgd._kernels.step cimport (
    WAS_SHORT,
    WENT_ON,
    ArraySteps,
    move_along,
    preconditioned_proximal_step,
    proximal_parameters,
    status_along,
    step_along,
    stopping_rule,
)

cdef enum:
    TOGETHER = 16         # rows whose losses or slopes are computed in one loop, which runs in vectors
    FUSED_FROM = 16       # columns from which an update and the next prediction gain by one loop over the weights
    ROWS_AHEAD = 2048     # bytes from a row to the one that is prefetched; best of 256 to 8192 from 5 to 500 columns

cdef struct model:
    const double* targets
    const double* weights    # of the rows; NULL if they are equal
    Py_ssize_t p
    Py_ssize_t ahead    # rows between one that is summed and one that is prefetched
    bint intercept


@cython.final
cdef class RowTargets:
    """Targets of the rows; `intercept`, True if theta[0] is one; weights of mean 1, or None for equal weights."""
    cdef const double[::1] targets
    cdef const double[::1] weights
    cdef readonly bint intercept

    def __init__(self, const double[::1] targets not None, bint intercept, const double[::1] weights=None):
        if weights is not None and weights.shape[0] != targets.shape[0]:
            raise ValueError("RowTargets: arrays of different lengths")
        self.targets, self.intercept, self.weights = targets, intercept, weights


cdef inline model model_of(RowTargets rows, const real[:, ::1] X) noexcept nogil:
    cdef model m
    m.targets, m.p, m.intercept = &rows.targets[0], X.shape[1], rows.intercept
    m.weights = NULL if rows.weights is None else &rows.weights[0]
    m.ahead = ROWS_AHEAD // (m.p * <Py_ssize_t> sizeof(real))
    return m


cpdef Py_ssize_t levels(Py_ssize_t n) noexcept nogil:
    """Levels of the tree over n rows, at least 1: the rows of scratch for a gradient."""
    cdef Py_ssize_t depth = 1
    while n > LEAF:
        n -= half_of(n)
        depth += 1
    return depth


cdef inline double dot(const real* row, const double* weights, Py_ssize_t p, double start) noexcept nogil:
    """start + row @ weights, in eight independent sums."""
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


cdef inline double prediction_of(const real* row, Py_ssize_t p, const double* theta, bint intercept) noexcept nogil:
    # One call: compilers do not inline two.
    return dot(row, theta + intercept, p, theta[0] if intercept else 0)


cdef inline double move_and_predict(
    double* theta, double rate, const real* along, const real* row, Py_ssize_t p, bint intercept,
) noexcept nogil:
    """theta -= rate * along to the bits of `step_along`, and `prediction_of` the next row; for 8 columns and more."""
    cdef double w[8]
    cdef double r[8]
    cdef double* weights = theta + intercept
    cdef double rest = 0
    cdef Py_ssize_t i = 0, j
    if intercept:
        theta[0] -= rate
        rest = theta[0]
    for j in range(8):
        r[j] = -0.0    # to which the first product is added without a change
    while i + 8 <= p:
        for j in range(8):
            w[j] = weights[i + j] - rate * along[i + j]
        for j in range(8):
            r[j] += row[i + j] * w[j]
        for j in range(8):
            weights[i + j] = w[j]
        i += 8
    if i + 4 <= p:
        for j in range(4):
            w[j] = weights[i + j] - rate * along[i + j]
        for j in range(4):
            r[j] += row[i + j] * w[j]
        for j in range(4):
            weights[i + j] = w[j]
        i += 4
    while i < p:
        weights[i] -= rate * along[i]
        rest += row[i] * weights[i]
        i += 1
    return ((r[0] + r[1]) + (r[2] + r[3])) + ((r[4] + r[5]) + (r[6] + r[7])) + rest


cdef inline void add_scaled(
    double* total, Py_ssize_t p, double a, const real* row_a, double b, const real* row_b, double c, const real* row_c,
    double d, const real* row_d,
) noexcept nogil:
    cdef Py_ssize_t j
    for j in range(p):
        total[j] += (a * row_a[j] + b * row_b[j]) + (c * row_c[j] + d * row_d[j])


cdef inline void prefetch_row(const real* row, Py_ssize_t p, const double* target) noexcept nogil:
    cdef Py_ssize_t i
    for i in range((p * <Py_ssize_t> sizeof(real) + LINE - 1) // LINE):
        prefetch_far(<const char*> row + i * LINE)
    prefetch_far(target)


cdef inline void prefetch_after(const real* row, Py_ssize_t p) noexcept nogil:
    """Prefetch as many numbers as a row has, `ROWS_AHEAD` bytes further on."""
    cdef Py_ssize_t i
    for i in range(p * <Py_ssize_t> sizeof(real) // LINE + 1):
        prefetch(<const char*> row + ROWS_AHEAD + i * LINE)


cdef inline double sum_of(const double* terms) noexcept nogil:
    """The sum of TOGETHER terms, in groups of four from the first on."""
    cdef double total = 0
    cdef Py_ssize_t k
    for k in range(0, TOGETHER, 4):
        total += (terms[k] + terms[k + 1]) + (terms[k + 2] + terms[k + 3])
    return total


cdef inline void at_rows(
    Loss loss, bint slope, const double* predictions, const double* targets, const double* weights, Py_ssize_t count,
    double* out,
) noexcept nogil:
    """The loss or slope at `count` predictions, times their weights if there are any, and 0 for the rest."""
    cdef Py_ssize_t k
    for k in range(TOGETHER):
        out[k] = at_point(loss, slope, predictions[k], targets[k])
    for k in range(TOGETHER):
        if predictions[k] != predictions[k]:    # a NaN: the sign of a difference would make a number of it
            out[k] = predictions[k]
    if weights != NULL:
        for k in range(TOGETHER):
            out[k] *= weights[k]
    for k in range(count, TOGETHER):
        out[k] = 0


cdef inline double add_leaf(
    Loss loss, bint value, bint slope, const real* X, const model* m, const Py_ssize_t* order, Py_ssize_t start,
    Py_ssize_t n, Py_ssize_t left, const double* theta, double* gradient,
) noexcept nogil:
    """The sum of the loss over n rows from `start` on, or 0; each slope times its row is added to `gradient`.

    `order` lists the rows, of which `left` will be visited, or is NULL for rows as they lie.
    """
    cdef const real* rows[TOGETHER]
    cdef double predictions[TOGETHER]
    cdef double gathered[TOGETHER]
    cdef double gathered_weights[TOGETHER]
    cdef double s[TOGETHER]
    cdef const double* targets
    cdef const double* weights
    cdef double total = 0
    cdef Py_ssize_t p = m.p, i = start, end = start + n, k, row, count, ahead = TOGETHER + m.ahead
    cdef double* of_columns = gradient + 1 if m.intercept else gradient
    for k in range(TOGETHER):
        rows[k], predictions[k], gathered[k], gathered_weights[k] = X, 0, 0, 0
    while i < end:
        count = min(<Py_ssize_t> TOGETHER, end - i)
        for k in range(count):
            row = i + k if order == NULL else order[i + k]
            rows[k] = X + row * p
            predictions[k] = prediction_of(rows[k], p, theta, m.intercept)
            if order == NULL:
                prefetch_after(rows[k], p)
            elif i + k + ahead < left:
                prefetch_row(X + order[i + k + ahead] * p, p, m.targets + order[i + k + ahead])
        targets, weights = m.targets + i, m.weights + i if m.weights != NULL else NULL
        if order != NULL or count < TOGETHER:
            for k in range(count):
                row = i + k if order == NULL else order[i + k]
                gathered[k] = m.targets[row]
                if m.weights != NULL:
                    gathered_weights[k] = m.weights[row]
            targets, weights = gathered, gathered_weights if m.weights != NULL else NULL
        if value:
            at_rows(loss, False, predictions, targets, weights, count, s)
            total += sum_of(s)
        if slope:
            at_rows(loss, True, predictions, targets, weights, count, s)
            if m.intercept:
                gradient[0] += sum_of(s)
            for k in range(0, count, 4):
                add_scaled(of_columns, p, s[k], rows[k], s[k + 1], rows[k + 1], s[k + 2], rows[k + 2], s[k + 3],
                           rows[k + 3])
        i += TOGETHER
    return total


cdef double add_tree(
    Loss loss, bint value, bint slope, const real* X, const model* m, const Py_ssize_t* order, Py_ssize_t start,
    Py_ssize_t n, Py_ssize_t left, const double* theta, double* gradient, double* scratch,
) noexcept nogil:
    """The sums of `add_leaf` over any number of rows, by the tree; `scratch` holds a gradient for each level below."""
    cdef Py_ssize_t half, j, q = m.p + m.intercept
    cdef double total
    if n <= LEAF:
        if slope:
            memset(gradient, 0, q * sizeof(double))
        # A constant each, so that no compiler leaves the choice inside the loop.
        if value and slope:
            return add_leaf(loss, True, True, X, m, order, start, n, left, theta, gradient)
        return (add_leaf(loss, False, True, X, m, order, start, n, left, theta, gradient) if slope
                else add_leaf(loss, True, False, X, m, order, start, n, left, theta, gradient))
    half = half_of(n)
    total = add_tree(loss, value, slope, X, m, order, start, half, left, theta, gradient, scratch)
    total += add_tree(loss, value, slope, X, m, order, start + half, n - half, left, theta, scratch, scratch + q)
    if slope:
        for j in range(q):
            gradient[j] += scratch[j]
    return total


def sums(Loss loss, bint value, bint slope, const real[:, ::1] X not None, RowTargets rows not None, Py_ssize_t start,
         Py_ssize_t stop, const double[::1] theta not None, double[::1] gradient not None,
         double[:, ::1] scratch not None):
    """Return the sum of the loss over rows `start` to `stop` if `value`; write that of the gradient if `slope`.

    The gradient comes without its `slope_factor`. `scratch` has ``levels(stop - start)`` rows as long as theta.
    """
    cdef Py_ssize_t p = X.shape[1], q = p + rows.intercept
    cdef model m
    cdef double total
    if p == 0 or not 0 <= start < stop <= min(X.shape[0], rows.targets.shape[0]):
        raise ValueError("sums: rows out of range")
    if min(theta.shape[0], gradient.shape[0]) < q or scratch.shape[1] != q or scratch.shape[0] < levels(stop - start):
        raise ValueError("sums: a buffer is too short")
    with nogil:
        m = model_of(rows, X)
        total = add_tree(loss, value, slope, &X[0, 0], &m, NULL, start, stop - start, 0, &theta[0], &gradient[0],
                         &scratch[0, 0])
    return total


def predictions(const real[:, ::1] X not None, const double[::1] theta not None, bint intercept, Py_ssize_t start,
                Py_ssize_t stop, double[::1] out not None):
    """Write the predictions for the rows from `start` to `stop` to `out`."""
    cdef Py_ssize_t p = X.shape[1], i
    if p == 0 or not 0 <= start <= stop <= X.shape[0]:
        raise ValueError("predictions: rows out of range")
    if theta.shape[0] != p + intercept or out.shape[0] < stop - start:
        raise ValueError("predictions: a buffer is too short")
    with nogil:
        for i in range(stop - start):
            out[i] = prediction_of(&X[start + i, 0], p, &theta[0], intercept)


def batch(Loss loss, const real[:, ::1] X not None, RowTargets rows not None, ArraySteps steps not None,
          const double[::1] alphas not None, double[:, ::1] thetas not None):
    """theta <- theta - alpha * gradient over all rows, for each alpha.

    Writes each new theta to `thetas`; stops after an update that ends the run. The scratch of `steps` has
    ``levels(n) + 1`` rows.

    Returns
    -------
    (updates, True if the last was short)
    """
    cdef Py_ssize_t n = X.shape[0], p = X.shape[1], q = p + rows.intercept, k = 0, j, limit = alphas.shape[0]
    cdef int what = WENT_ON
    cdef model m
    if n == 0 or p == 0 or rows.targets.shape[0] != n or steps.theta.shape[0] != q:
        raise ValueError("batch: arrays of different lengths")
    if thetas.shape[0] < limit or thetas.shape[1] != q or steps.scratch.shape[0] < levels(n) + 1:
        raise ValueError("batch: a buffer is too short")
    with nogil:
        m = model_of(rows, X)
        while k < limit and what == WENT_ON:
            add_tree(loss, False, True, &X[0, 0], &m, NULL, 0, n, 0, &steps.theta[0], &steps.scratch[0, 0],
                     &steps.scratch[1, 0])
            for j in range(q):    # the bits of `mean.divide`, and so those of the Python solver
                steps.scratch[0, j] = loss.slope_factor(<double> 0) * mean_of_sum(steps.scratch[0, j], n)
            what = step_along(&steps.rule, &steps.theta[0], &steps.previous[0], alphas[k], &steps.scratch[0, 0], q,
                              False, True, k == limit - 1)
            memcpy(&thetas[k, 0], &steps.theta[0], q * sizeof(double))
            k += 1
    return k, what == WAS_SHORT


def batch_squared(const double[:, ::1] gram not None, const double[::1] moment not None, ArraySteps steps not None,
                  const double[::1] alphas not None, double[:, ::1] thetas not None):
    """`batch` for the squared error, whose gradient is 2 (gram @ theta - moment): no pass over the rows.

    `gram` is X'X / n and `moment` X'y / n, with the column of ones in X if there is an intercept.
    """
    cdef Py_ssize_t q = gram.shape[0], k = 0, j, limit = alphas.shape[0]
    cdef int what = WENT_ON
    if not 0 < q == gram.shape[1] == moment.shape[0] == steps.theta.shape[0] == thetas.shape[1]:
        raise ValueError("batch_squared: arrays of different lengths")
    if thetas.shape[0] < limit or steps.scratch.shape[0] < 1:
        raise ValueError("batch_squared: a buffer is too short")
    with nogil:
        while k < limit and what == WENT_ON:
            for j in range(q):
                steps.scratch[0, j] = dot(&gram[j, 0], &steps.theta[0], q, -moment[j])
            what = step_along(&steps.rule, &steps.theta[0], &steps.previous[0], 2 * alphas[k], &steps.scratch[0, 0], q,
                              False, True, k == limit - 1)
            memcpy(&thetas[k, 0], &steps.theta[0], q * sizeof(double))
            k += 1
    return k, what == WAS_SHORT


cdef inline Py_ssize_t visit(
    Loss loss, const real* X, const model* m, const Py_ssize_t* order, Py_ssize_t left, Py_ssize_t batch_size,
    Py_ssize_t count, const double* alphas, ArraySteps steps, double* thetas, int* what,
) noexcept nogil:
    """Make one update a row, or a slice of `batch_size` of the `left` rows in `order`; return their number.

    Each new theta is written to `thetas` unless that is NULL. A row of weight w, of mean 1, counts w times.
    """
    cdef Py_ssize_t p = m.p, k, size, q = p + m.intercept, ahead = 2 + m.ahead
    cdef const real* row
    cdef double* theta = &steps.theta[0]
    cdef double* previous = &steps.previous[0]
    cdef double* gradient = &steps.scratch[0, 0]
    cdef stopping_rule how = steps.rule
    cdef proximal_parameters by = steps.proximal
    cdef double rate, slope, prediction = 0
    cdef bint is_predicted = False    # by the update before
    for k in range(count):
        rate = alphas[k] * loss.slope_factor(<double> 0)
        if batch_size == 1:
            if k + ahead < left:
                prefetch_row(X + order[k + ahead] * p, p, m.targets + order[k + ahead])
            row = X + order[k] * p
            if not is_predicted:
                prediction = prediction_of(row, p, theta, m.intercept)
            is_predicted = False
            slope = loss.slope(prediction, m.targets[order[k]])
            if m.weights != NULL:
                slope *= m.weights[order[k]]
            if not by.is_plain:
                what[0] = preconditioned_proximal_step(
                    &how, &by, theta, previous, alphas[k], slope * loss.slope_factor(<double> 0), row, 1, p,
                    m.intercept)
            else:
                # Fewer than 1e200 steps below 1e100 overflow no theta, unless X is as large.
                rate *= slope
                what[0] = status_along(&how, theta, previous, rate, row, p, m.intercept, not fabs(rate) < 1e100,
                                       k == count - 1)
                is_predicted = p >= FUSED_FROM and k + 1 < count and what[0] == WENT_ON
                if is_predicted:
                    prediction = move_and_predict(theta, rate, row, X + order[k + 1] * p, p, m.intercept)
                else:
                    move_along(theta, rate, row, p, m.intercept)
        else:
            size = min(batch_size, left - k * batch_size)
            add_tree(loss, False, True, X, m, order, k * batch_size, size, left, theta, gradient, gradient + q)
            if by.is_plain:
                what[0] = step_along(&how, theta, previous, rate / size, gradient, q, False, True, k == count - 1)
            else:
                what[0] = preconditioned_proximal_step(
                    &how, &by, theta, previous, alphas[k], loss.slope_factor(<double> 0) / size,
                    gradient + m.intercept, gradient[0] if m.intercept else 0, p, m.intercept)
        if thetas != NULL:
            memcpy(thetas + k * q, theta, q * sizeof(double))
        if what[0] != WENT_ON:
            return k + 1
    return count


def stochastic(Loss loss, const real[:, ::1] X not None, RowTargets rows not None, Py_ssize_t[::1] order not None,
               Visits visits not None, ArraySteps steps not None, const double[::1] alphas not None,
               double[:, ::1] thetas not None):
    """Make updates on one row or one batch at a time; `order`, the list of the rows, is shuffled before each epoch.

    Each new theta is written to `thetas` if that has a row for each of the alphas. The caller holds the generator's
    lock. The scratch of `steps` has ``levels(batch_size) + 1`` rows. Stops as `descent.stochastic` does.

    Returns
    -------
    (updates, True if the last was short)
    """
    cdef Py_ssize_t n = X.shape[0], p = X.shape[1], q = p + rows.intercept, limit = alphas.shape[0], done = 0, made
    cdef Py_ssize_t budget = SWAPS_AT_ONCE
    cdef bint every = thetas.shape[0] >= limit
    cdef int what = WENT_ON
    cdef model m
    if p == 0 or not 0 < n == rows.targets.shape[0] == order.shape[0] == visits.n:
        raise ValueError("stochastic: arrays of different lengths")
    if not steps.proximal.is_plain and steps.sizes.shape[0] != p:
        raise ValueError("stochastic: proximal parameters of other columns")
    if not q == steps.theta.shape[0] == thetas.shape[1] or steps.scratch.shape[0] < levels(visits.batch_size) + 1:
        raise ValueError("stochastic: a buffer is too short")
    with nogil:
        m = model_of(rows, X)
        while done < limit and what == WENT_ON:
            if not begin_epoch(visits, &order[0], &budget):
                break
            made = visit(loss, &X[0, 0], &m, &order[visits.position], n - visits.position, visits.batch_size,
                         min(limit - done, visits_left(visits)), &alphas[done], steps,
                         &thetas[done, 0] if every else NULL, &what)
            visits.position += made * visits.batch_size
            done += made
    return done, what == WAS_SHORT
