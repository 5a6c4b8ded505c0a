cimport cython
from libc.math cimport fmin, sqrt
from libc.string cimport memset

from fastgd._kernels.step cimport soft_threshold


cdef inline Py_ssize_t checked_length(
    PreconditionerKernel kernel, const double[::1] given, const double[::1] out, const double[:, ::1] workspace,
) except -1:
    """Return the length of theta if both vectors have it and the workspace holds two more."""
    if (given.shape[0] != out.shape[0] or workspace.shape[0] < 2 or workspace.shape[1] != out.shape[0]
            or not 0 <= out.shape[0] - kernel.p <= 1):
        raise ValueError("PreconditionerKernel: arrays of different lengths")
    return out.shape[0]


@cython.final
cdef class PreconditionerKernel:
    """Preconditioner P for columns of these shifts and sizes.

    P is `unit` times the identity; with `vectors`, the rows v of a matrix of orthogonal directions, it is `unit` times
    the sum of f * f * v v' with `factors` f, and `unit / intercept_curvature` for the intercept. The directions are not
    multiplied out, because the factors of nearly collinear columns are huge.
    """

    def __init__(self, const double[::1] shift not None, const double[::1] sizes not None, double unit,
                 const double[:, ::1] vectors=None, const double[::1] factors=None, double intercept_curvature=1.0):
        self.p = sizes.shape[0]
        if self.p == 0 or shift.shape[0] != self.p:
            raise ValueError("PreconditionerKernel: arrays of different lengths")
        if vectors is not None and (factors is None or vectors.shape[0] != factors.shape[0]
                                    or vectors.shape[0] > self.p or vectors.shape[1] != self.p):
            raise ValueError("PreconditionerKernel: a matrix of another size")
        self.shift, self.sizes, self.unit = shift, sizes, unit
        self.vectors, self.factors, self.intercept_curvature = vectors, factors, intercept_curvature

    def for_curvature(self, double curvature):
        """Preconditioner for a loss with `curvature` times the curvature."""
        return PreconditionerKernel(self.shift, self.sizes, self.unit / curvature, self.vectors, self.factors,
                                    self.intercept_curvature)

    cdef void scale_gradient(self, const double* gradient, Py_ssize_t q, double* out) noexcept nogil:
        """Gradient in scaled coordinates."""
        cdef Py_ssize_t first = q - self.p, j
        cdef double of_intercept = 0
        if first:
            out[0] = of_intercept = gradient[0]
        for j in range(self.p):
            out[first + j] = (gradient[first + j] - self.shift[j] * of_intercept) / self.sizes[j]

    cdef void whiten(self, const double* vector, bint is_step, Py_ssize_t q, double* out) noexcept nogil:
        """Whiten a scaled gradient (times R') or a scaled step (times the pseudo-inverse of R) into another vector."""
        cdef Py_ssize_t first = q - self.p, k
        cdef double root = sqrt(self.unit), factor, along
        memset(out, 0, q * sizeof(double))
        if self.vectors is None:
            for k in range(q):
                out[k] = vector[k] / root if is_step else vector[k] * root
            return
        if first:
            factor = root / sqrt(self.intercept_curvature)
            out[0] = vector[0] / factor if is_step else vector[0] * factor
        for k in range(self.vectors.shape[0]):
            factor, along = root * self.factors[k], dot(&self.vectors[k, 0], vector + first, self.p)
            out[first + k] = along / factor if is_step else along * factor

    cdef void unwhiten(self, const double* white, Py_ssize_t q, double* out) noexcept nogil:
        """Scaled step (times R) of a whitened one, into another vector."""
        cdef Py_ssize_t first = q - self.p, k, j
        cdef double root = sqrt(self.unit), along
        cdef const double* vector
        if self.vectors is None:
            for k in range(q):
                out[k] = white[k] * root
            return
        memset(out, 0, q * sizeof(double))
        if first:
            out[0] = white[0] * (root / sqrt(self.intercept_curvature))
        for k in range(self.vectors.shape[0]):
            vector, along = &self.vectors[k, 0], white[first + k] * (root * self.factors[k])
            for j in range(self.p):
                out[first + j] += vector[j] * along

    cdef void scale_step(self, const double* step, Py_ssize_t q, double* out) noexcept nogil:
        """Step of theta in scaled coordinates."""
        cdef Py_ssize_t first = q - self.p, j
        cdef double absorbed = 0
        for j in range(self.p):
            absorbed += self.shift[j] * step[first + j]
            out[first + j] = step[first + j] * self.sizes[j]
        if first:
            out[0] = step[0] + absorbed

    cdef double size(self, const double* scaled, const double* white, Py_ssize_t q) noexcept nogil:
        """The largest scaled component of a step, or the root mean square change of the predictions if that is less.

        Where columns are nearly collinear, rounding moves their weights and hardly their predictions.
        """
        cdef double most = max_abs(scaled, q)
        if self.vectors is None or most != most:
            return most
        return fmin(most, sqrt(dot(white, white, q) * self.unit / self.intercept_curvature))

    cdef void move(self, const double* theta, double rate, const double* steps, double l1, Py_ssize_t q,
                   double* out) noexcept nogil:
        """Write theta - rate * steps, which are scaled, and the proximal step of l1 * sum(abs(weight)) after it."""
        cdef Py_ssize_t first = q - self.p, j
        cdef double absorbed = 0, new
        for j in range(self.p):
            new = theta[first + j] - rate * steps[first + j] / self.sizes[j]
            if l1 != 0:
                new = soft_threshold(new, rate * self.unit * l1 / (self.sizes[j] * self.sizes[j]))
            absorbed += self.shift[j] * (new - theta[first + j])
            out[first + j] = new
        if first:
            out[0] = theta[0] + (-rate * steps[0] - absorbed)

    def direction(self, const double[::1] gradient not None, double[::1] out not None,
                  double[:, ::1] workspace not None):
        """Write P @ gradient, in the units of theta."""
        cdef Py_ssize_t q = checked_length(self, gradient, out, workspace), first = q - self.p, j
        cdef double absorbed = 0
        with nogil:
            self.scale_gradient(&gradient[0], q, &workspace[0, 0])
            self.whiten(&workspace[0, 0], False, q, &workspace[1, 0])
            self.unwhiten(&workspace[1, 0], q, &out[0])
            for j in range(self.p):
                out[first + j] /= self.sizes[j]
                absorbed += self.shift[j] * out[first + j]
            if first:
                out[0] -= absorbed

    def measure_step(self, const double[::1] step not None, double[::1] out not None,
                     double[:, ::1] workspace not None):
        """Write a step of theta in scaled coordinates; return its size, and its squared whitened length."""
        cdef Py_ssize_t q = checked_length(self, step, out, workspace)
        with nogil:
            self.scale_step(&step[0], q, &out[0])
            self.whiten(&out[0], True, q, &workspace[0, 0])
        return self.size(&out[0], &workspace[0, 0], q), dot(&workspace[0, 0], &workspace[0, 0], q)

    def proximal_step(self, const double[::1] theta not None, double rate, const double[::1] gradient not None,
                      double l1, double[::1] out not None, double[:, ::1] workspace not None):
        """Write theta after a step along the gradient and the proximal step of `move`."""
        cdef Py_ssize_t q = checked_length(self, theta, out, workspace)
        checked_length(self, gradient, out, workspace)
        with nogil:
            self.scale_gradient(&gradient[0], q, &workspace[0, 0])
            self.whiten(&workspace[0, 0], False, q, &workspace[1, 0])
            self.unwhiten(&workspace[1, 0], q, &workspace[0, 0])
            self.move(&theta[0], rate, &workspace[0, 0], l1, q, &out[0])
