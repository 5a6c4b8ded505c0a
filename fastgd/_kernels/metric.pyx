cimport cython
from libc.math cimport fmin, sqrt

from fastgd._kernels.step cimport shrunk


cdef inline Py_ssize_t checked(
    Metric metric, const double[::1] given, const double[::1] out, const double[:, ::1] room,
) except -1:
    """The length of theta, if these vectors have it, and there is room for two more."""
    if (given.shape[0] != out.shape[0] or room.shape[0] < 2 or room.shape[1] != out.shape[0]
            or not 0 <= out.shape[0] - metric.p <= 1):
        raise ValueError("Metric: arrays of different lengths")
    return out.shape[0]


@cython.final
cdef class Metric:
    """Of columns with these shifts and sizes.

    P is `unit`, or with a matrix `inverse` that and `1 / of_intercept`, times `unit`; `root` has the rows r of which
    the sum of r r' is the pseudo-inverse of `inverse`.
    """

    def __init__(self, const double[::1] shift not None, const double[::1] sizes not None, double unit,
                 const double[:, ::1] inverse=None, const double[:, ::1] root=None, double of_intercept=1.0):
        self.p = sizes.shape[0]
        if self.p == 0 or shift.shape[0] != self.p:
            raise ValueError("Metric: arrays of different lengths")
        if inverse is not None and (
                root is None or not inverse.shape[0] == inverse.shape[1] == self.p == root.shape[1]):
            raise ValueError("Metric: a matrix of another size")
        self.shift, self.sizes, self.unit = shift, sizes, unit
        self.inverse, self.root, self.of_intercept = inverse, root, of_intercept

    def over(self, double curvature):
        """That of a loss so many times as curved."""
        return Metric(self.shift, self.sizes, self.unit / curvature, self.inverse, self.root, self.of_intercept)

    cdef void slopes(self, const double* gradient, Py_ssize_t q, double* out) noexcept nogil:
        """A gradient in units."""
        cdef Py_ssize_t first = q - self.p, j
        cdef double of_intercept = 0
        if first:
            out[0] = of_intercept = gradient[0]
        for j in range(self.p):
            out[first + j] = (gradient[first + j] - self.shift[j] * of_intercept) / self.sizes[j]

    cdef void times(self, const double* slopes, Py_ssize_t q, double* out) noexcept nogil:
        """P @ slopes, in units; `out` is another vector."""
        cdef Py_ssize_t first = q - self.p, j, k
        cdef const double* row
        cdef double here
        if self.inverse is None:
            for j in range(q):
                out[j] = slopes[j] * self.unit
            return
        if first:
            out[0] = slopes[0] / self.of_intercept
        for j in range(first, q):
            out[j] = 0
        for k in range(self.p):    # the matrix is symmetric, and sums over rows stand in vectors
            row, here = &self.inverse[k, 0], slopes[first + k]
            for j in range(self.p):
                out[first + j] += row[j] * here
        for j in range(q):
            out[j] *= self.unit

    cdef void scaled(self, const double* step, Py_ssize_t q, double* out) noexcept nogil:
        """A step of theta in units."""
        cdef Py_ssize_t first = q - self.p, j
        cdef double absorbed = 0
        for j in range(self.p):
            absorbed += self.shift[j] * step[first + j]
            out[first + j] = step[first + j] * self.sizes[j]
        if first:
            out[0] = step[0] + absorbed

    cdef double squared(self, const double* scaled, Py_ssize_t q) noexcept nogil:
        """step @ pinv(P) @ step of a step in units."""
        cdef Py_ssize_t first = q - self.p, k
        cdef double total = 0, along
        if self.inverse is None:
            return product(scaled, scaled, q) / self.unit
        for k in range(self.root.shape[0]):    # no step goes in a direction that was not kept
            along = product(&self.root[k, 0], scaled + first, self.p)
            total += along * along
        if first:
            total += scaled[0] * scaled[0] * self.of_intercept
        return total / self.unit

    cdef double size(self, const double* scaled, Py_ssize_t q) noexcept nogil:
        """The largest component of a step in units, or what it does to predictions if that is less.

        Where columns nearly determine each other rounding moves their weights, and not what they predict, whose root
        mean square this is.
        """
        cdef double most = largest(scaled, q)
        if self.inverse is None or most != most:
            return most
        return fmin(most, sqrt(self.squared(scaled, q) * self.unit / self.of_intercept))

    cdef void move(self, const double* theta, double rate, const double* steps, double shrinkage, Py_ssize_t q,
                   double* out) noexcept nogil:
        """theta - rate * steps in units, and the proximal step of `shrinkage` * sum(abs(weight)) after it."""
        cdef Py_ssize_t first = q - self.p, j
        cdef double absorbed = 0, new
        for j in range(self.p):
            new = theta[first + j] - rate * steps[first + j] / self.sizes[j]
            if shrinkage != 0:
                new = shrunk(new, rate * self.unit * shrinkage / (self.sizes[j] * self.sizes[j]))
            absorbed += self.shift[j] * (new - theta[first + j])
            out[first + j] = new
        if first:
            out[0] = theta[0] + (-rate * steps[0] - absorbed)

    def direction(self, const double[::1] gradient not None, double[::1] out not None, double[:, ::1] room not None):
        """Write P @ gradient, in the units of theta."""
        cdef Py_ssize_t q = checked(self, gradient, out, room), first = q - self.p, j
        cdef double absorbed = 0
        with nogil:
            self.slopes(&gradient[0], q, &room[0, 0])
            self.times(&room[0, 0], q, &out[0])
            for j in range(first, q):
                out[j] /= self.sizes[j - first]
                absorbed += self.shift[j - first] * out[j]
            if first:
                out[0] -= absorbed

    def in_units(self, const double[::1] step not None, double[::1] out not None, double[:, ::1] room not None):
        """Write a step of theta in units; return its size, and its squared length in this metric."""
        cdef Py_ssize_t q = checked(self, step, out, room)
        cdef double size, squared
        with nogil:
            self.scaled(&step[0], q, &out[0])
            size, squared = self.size(&out[0], q), self.squared(&out[0], q)
        return size, squared

    def moved(self, const double[::1] theta not None, double rate, const double[::1] gradient not None,
              double shrinkage, double[::1] out not None, double[:, ::1] room not None):
        """Write where a step along the gradient leads, the weights shrunk after it as `move` has it."""
        cdef Py_ssize_t q = checked(self, theta, out, room)
        checked(self, gradient, out, room)
        with nogil:
            self.slopes(&gradient[0], q, &room[0, 0])
            self.times(&room[0, 0], q, &room[1, 0])
            self.move(&theta[0], rate, &room[1, 0], shrinkage, q, &out[0])
