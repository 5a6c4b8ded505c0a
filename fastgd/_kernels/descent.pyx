"""The update loops. Each runs at most as many updates as it is handed learning rates, and can be resumed."""
from cpython.pycapsule cimport PyCapsule_GetPointer
from libc.math cimport isfinite

from fastgd._kernels.losses cimport Loss, absolute, real
from fastgd._kernels.mean cimport levels, mean_of_sum, mean_slope, sums_over
from fastgd._kernels.shuffle cimport SWAPS_AT_ONCE, begin_epoch, bitgen_t

cdef enum:
    FIRST_ANCHOR = 64
    # How a start ended, in the numbers of fastgd.results.
    RUNNING = -1
    CONVERGED = 0
    CYCLE = 2
    NOT_FINITE = 3


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
        # A start beyond float32 makes one update too, which says that it is not finite.
        while k < limit and not converged and (k == 0 or isfinite(new)):
            new = theta - <real> alphas[k] * mean_slope(loss, &targets[0], n, theta)
            converged = absolute(new - theta) < <real> tol
            theta = new
            thetas[k] = new
            k += 1
    return k, converged


def batch_many(Loss loss, const real[::1] targets not None, const double[::1] alphas not None, double tol,
               bint may_repeat, Py_ssize_t done, double[::1] thetas not None, double[::1] previous not None,
               double[::1] anchors not None, Py_ssize_t[::1] updates not None, Py_ssize_t[::1] endings not None,
               real[::1] scratch not None):
    """The updates of `batch` from many thetas at once, all in one pass over the data.

    `previous`, `updates` and `endings` are kept for each theta, the last -1 while it goes on; `done` updates were made
    before. With `may_repeat` a theta that equals its anchor, which is taken at each power of two, is in a cycle.
    `scratch` has at least ``len(thetas) * (levels(n) + 2)`` places.

    Returns
    -------
    How many thetas have not ended.
    """
    cdef Py_ssize_t n = targets.shape[0], m = thetas.shape[0], k, r, i, running = 0
    cdef real slope, new, step
    cdef real* at
    cdef real* sums
    if n == 0 or m == 0 or scratch.shape[0] < m * (levels(n) + 2):
        raise ValueError("batch_many: a buffer is too short")
    if not m <= min(previous.shape[0], anchors.shape[0], updates.shape[0], endings.shape[0]):
        raise ValueError("batch_many: a buffer is too short")
    at, sums = &scratch[0], &scratch[m]
    with nogil:
        for k in range(alphas.shape[0]):
            running = 0
            for i in range(m):
                if endings[i] == RUNNING:
                    at[running] = <real> thetas[i]
                    running += 1
            if running == 0:
                break
            sums_over(loss, True, &targets[0], n, at, running, sums, &scratch[2 * m])
            r = 0
            for i in range(m):
                if endings[i] != RUNNING:
                    continue
                slope = loss.slope_factor(at[r]) * mean_of_sum(sums[r], n)
                new = at[r] - <real> alphas[k] * slope
                step = absolute(new - at[r])
                previous[i], thetas[i], updates[i] = at[r], new, done + k + 1
                r += 1
                if step < <real> tol:
                    endings[i] = CONVERGED
                elif not isfinite(new):
                    endings[i] = NOT_FINITE
                elif may_repeat and updates[i] > FIRST_ANCHOR and new == anchors[i]:
                    endings[i] = CYCLE
                elif updates[i] >= FIRST_ANCHOR and updates[i] & (updates[i] - 1) == 0:
                    anchors[i] = new
        running = 0
        for i in range(m):
            running += endings[i] == RUNNING
    return running


cdef inline Py_ssize_t visit(
    Loss loss, const real* points, Py_ssize_t n, Py_ssize_t batch_size, Py_ssize_t count, const double* alphas,
    real* theta_at, real tol, double* thetas,
) noexcept nogil:
    """One update a slice of `batch_size` points, the last of which may be shorter; returns how many were made."""
    cdef Py_ssize_t k, start
    cdef real theta = theta_at[0], new, step
    for k in range(count):
        if batch_size == 1:
            # The factor is a power of two, so that it makes no difference to the bits which product it joins; in this
            # one it does not wait for theta, on which each update waits for the one before.
            new = theta - <real> alphas[k] * loss.slope_factor(theta) * loss.slope(theta, points[k])
        else:
            start = k * batch_size
            new = theta - <real> alphas[k] * mean_slope(loss, points + start, min(batch_size, n - start), theta)
        step = absolute(new - theta)
        theta = new
        thetas[k] = new
        if step < tol or not isfinite(new):
            count = k + 1
            break
    theta_at[0] = theta
    return count


def stochastic(Loss loss, real[::1] points not None, Py_ssize_t batch_size, object capsule,
               Py_ssize_t[::1] place not None, const double[::1] alphas not None, double theta0, double tol,
               double[::1] thetas not None):
    """Updates on one point or one batch at a time, the points shuffled in place before each epoch.

    `place` says where the run is and is kept up to date: the first point that was not visited in this epoch, and
    the swaps that are left of its shuffle; it starts as ``[n, 0]``. The caller holds the generator's lock.
    Stops as `batch` does, and also after a bounded amount of shuffling, perhaps before the first update.

    Returns
    -------
    (updates, converged)
    """
    cdef bitgen_t* generator = <bitgen_t*> PyCapsule_GetPointer(capsule, "BitGenerator")
    cdef Py_ssize_t n = points.shape[0], position = place[0], swaps = place[1]
    cdef Py_ssize_t limit = alphas.shape[0], done = 0, made, budget = SWAPS_AT_ONCE
    cdef real theta = <real> theta0
    cdef double last = theta0
    cdef bint converged = False
    if n == 0 or batch_size < 1 or thetas.shape[0] < limit or position < 0 or not 0 <= swaps < n:
        raise ValueError("stochastic: a buffer is too short or an index out of range")
    with nogil:
        while done < limit and not converged and (done == 0 or isfinite(theta)):    # as in `batch`
            if not begin_epoch(generator, &points[0], n, &position, &swaps, &budget):
                break
            made = min(limit - done, (n - position + batch_size - 1) // batch_size)
            last = thetas[done - 1] if done > 0 else theta0
            made = visit(loss, &points[position], n - position, batch_size, made, &alphas[done], &theta, <real> tol,
                         &thetas[done])
            if made > 1:
                last = thetas[done + made - 2]
            converged = absolute(theta - <real> last) < <real> tol
            position += made * batch_size
            done += made
    place[0], place[1] = position, swaps
    return done, converged
