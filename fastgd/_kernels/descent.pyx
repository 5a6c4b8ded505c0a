"""Gradient descent of the constant model: one update for each learning rate; a later call continues the run."""
cimport cython

from fastgd._kernels.losses cimport Loss, real
from fastgd._kernels.mean cimport levels, mean_of_sum, mean_slope, sums_over
from fastgd._kernels.shuffle cimport SWAPS_AT_ONCE, Visits, begin_epoch, visits_left
from fastgd._kernels.step cimport WAS_SHORT, WENT_ON, NumberSteps, step, step_status, stopping_rule

cdef enum:
    FIRST_ANCHOR = 64
    # Status of a start, in the numbers of fastgd.results.
    RUNNING = -1
    CONVERGED = 0
    CYCLE = 2
    NOT_FINITE = 3


def batch(Loss loss, const real[::1] targets not None, NumberSteps steps not None, const double[::1] alphas not None,
          double[::1] thetas not None):
    """theta <- theta - alpha * mean slope over all points, for each alpha.

    Writes each new theta to `thetas`; stops after an update that ends the run.

    Returns
    -------
    (updates, True if the last was short)
    """
    cdef Py_ssize_t n = targets.shape[0], k = 0, limit = alphas.shape[0]
    cdef real theta = <real> steps.theta, before = theta
    cdef stopping_rule how = steps.rule
    cdef int what = WENT_ON
    if n == 0 or thetas.shape[0] < limit:
        raise ValueError("batch: a buffer is too short")
    with nogil:
        while k < limit and what == WENT_ON:
            before = theta
            theta = step(theta, <real> alphas[k], mean_slope(loss, &targets[0], n, theta))
            what = step_status(&how, before, theta)
            thetas[k] = theta
            k += 1
    # A start beyond float32 is returned unrounded.
    steps.previous = before if k > 1 else steps.theta
    steps.theta = theta
    return k, what == WAS_SHORT


@cython.final
cdef class Starts:
    """Runs from several starts: theta, the theta before, number of updates and status (-1 while running) of each.

    `anchors` has the theta at the last power of two of updates, to which a run in a cycle returns.
    """
    cdef double[::1] thetas
    cdef double[::1] previous
    cdef double[::1] anchors
    cdef Py_ssize_t[::1] updates
    cdef Py_ssize_t[::1] endings
    cdef stopping_rule rule

    def __init__(self, double[::1] thetas not None, double[::1] previous not None, double[::1] anchors not None,
                 Py_ssize_t[::1] updates not None, Py_ssize_t[::1] endings not None, double tol):
        if not 0 < thetas.shape[0] == previous.shape[0] == anchors.shape[0] == updates.shape[0] == endings.shape[0]:
            raise ValueError("Starts: arrays of different lengths")
        self.thetas, self.previous, self.anchors = thetas, previous, anchors
        self.updates, self.endings = updates, endings
        self.rule.tol = tol
        self.rule.ends_when_short = True


def batch_many(Loss loss, const real[::1] targets not None, Starts starts not None, const double[::1] alphas not None,
               Py_ssize_t done, bint may_repeat, real[::1] scratch not None):
    """Make the updates of `batch` from all starts in one pass over the data each; `done` were made before.

    With `may_repeat` a theta that equals its anchor is in a cycle. `scratch` has at least
    ``len(thetas) * (levels(n) + 2)`` places.

    Returns
    -------
    Number of starts that are still running.
    """
    cdef Py_ssize_t n = targets.shape[0], m = starts.thetas.shape[0], k, r, i, count, running = 0
    cdef real theta
    cdef real* at
    cdef real* sums
    cdef int what
    if n == 0 or scratch.shape[0] < m * (levels(n) + 2):
        raise ValueError("batch_many: a buffer is too short")
    at, sums = &scratch[0], &scratch[m]
    with nogil:
        for k in range(alphas.shape[0]):
            running = 0
            for i in range(m):
                if starts.endings[i] == RUNNING:
                    at[running] = <real> starts.thetas[i]
                    running += 1
            if running == 0:
                break
            sums_over(loss, 0, &targets[0], NULL, n, at, running, False, sums, &scratch[2 * m])
            r = 0
            for i in range(m):
                if starts.endings[i] != RUNNING:
                    continue
                theta = step(at[r], <real> alphas[k], loss.slope_factor(at[r]) * mean_of_sum(sums[r], n))
                what = step_status(&starts.rule, at[r], theta)
                count = done + k + 1
                # The double: a start beyond float32 stays as it was given.
                starts.previous[i], starts.thetas[i], starts.updates[i] = starts.thetas[i], theta, count
                r += 1
                if what != WENT_ON:
                    starts.endings[i] = CONVERGED if what == WAS_SHORT else NOT_FINITE
                elif may_repeat and count > FIRST_ANCHOR and theta == starts.anchors[i]:
                    starts.endings[i] = CYCLE
                elif count >= FIRST_ANCHOR and count & (count - 1) == 0:
                    starts.anchors[i] = theta
        running = 0
        for i in range(m):
            running += starts.endings[i] == RUNNING
    return running


cdef inline Py_ssize_t visit_points(
    Loss loss, const real* points, Py_ssize_t count, const double* alphas, const stopping_rule* how, real* theta_at,
    real* before, double* thetas, int* what,
) noexcept nogil:
    """Make one update a point, `count` at most; return their number. Without calls theta stays in a register."""
    cdef Py_ssize_t k
    cdef real theta = theta_at[0], last = theta
    cdef stopping_rule local = how[0]    # a copy, which no store to `thetas` can change
    cdef int result = WENT_ON
    for k in range(count):
        last = theta
        # The factor is a power of two, so that either product has the same bits; this one does not wait for theta.
        theta = step(theta, <real> alphas[k] * loss.slope_factor(theta), loss.slope(theta, points[k]))
        thetas[k] = theta
        result = step_status(&local, last, theta)
        if result != WENT_ON:
            count = k + 1
            break
    theta_at[0], before[0], what[0] = theta, last, result
    return count


cdef inline Py_ssize_t visit_batches(
    Loss loss, const real* points, Py_ssize_t n, Py_ssize_t batch_size, Py_ssize_t count, const double* alphas,
    const stopping_rule* how, real* theta_at, real* before, double* thetas, int* what,
) noexcept nogil:
    """Make one update for each slice of `batch_size` of the n points, the last of which may be shorter."""
    cdef Py_ssize_t k, start
    cdef real theta = theta_at[0], last = theta
    cdef int result = WENT_ON
    for k in range(count):
        last, start = theta, k * batch_size
        theta = step(theta, <real> alphas[k],
                     mean_slope(loss, points + start, min(batch_size, n - start), theta))
        thetas[k] = theta
        result = step_status(how, last, theta)
        if result != WENT_ON:
            count = k + 1
            break
    theta_at[0], before[0], what[0] = theta, last, result
    return count


def stochastic(Loss loss, real[::1] points not None, Visits visits not None, NumberSteps steps not None,
               const double[::1] alphas not None, double[::1] thetas not None):
    """Make updates on one point or one batch at a time, the points shuffled in place before each epoch.

    The caller holds the generator's lock. Stops as `batch` does, and also after a bounded amount of shuffling, perhaps
    before the first update.

    Returns
    -------
    (updates, True if the last was short)
    """
    cdef Py_ssize_t limit = alphas.shape[0], done = 0, made, budget = SWAPS_AT_ONCE
    cdef real theta = <real> steps.theta, before = theta
    cdef stopping_rule how = steps.rule
    cdef int what = WENT_ON
    if points.shape[0] != visits.n or thetas.shape[0] < limit:
        raise ValueError("stochastic: a buffer is too short")
    with nogil:
        while done < limit and what == WENT_ON:
            if not begin_epoch(visits, &points[0], &budget):
                break
            made = min(limit - done, visits_left(visits))
            if visits.batch_size == 1:
                made = visit_points(loss, &points[visits.position], made, &alphas[done], &how, &theta, &before,
                                    &thetas[done], &what)
            else:
                made = visit_batches(loss, &points[visits.position], visits.n - visits.position, visits.batch_size,
                                     made, &alphas[done], &how, &theta, &before, &thetas[done], &what)
            visits.position += made * visits.batch_size
            done += made
    if done > 0:
        steps.previous = before if done > 1 else steps.theta    # as in `batch`
        steps.theta = theta
    return done, what == WAS_SHORT
