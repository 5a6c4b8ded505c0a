cimport cython
from libc.math cimport fmin, sqrt
from libc.string cimport memset

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

    P is `unit`; with `vectors`, the rows v of a matrix of orthogonal directions, it is `unit` times the sum of
    f * f * v v' with `factors` f, and `unit / of_intercept` for the intercept. The directions are kept apart, and not
    multiplied out, because the factors of columns that nearly determine each other are huge.
    """

    def __init__(self, const double[::1] shift not None, const double[::1] sizes not None, double unit,
                 const double[:, ::1] vectors=None, const double[::1] factors=None, double of_intercept=1.0):
        self.p = sizes.shape[0]
        if self.p == 0 or shift.shape[0] != self.p:
            raise ValueError("Metric: arrays of different lengths")
        if vectors is not None and (factors is None or vectors.shape[0] != factors.shape[0]
                                    or vectors.shape[0] > self.p or vectors.shape[1] != self.p):
            raise ValueError("Metric: a matrix of another size")
        self.shift, self.sizes, self.unit = shift, sizes, unit
        self.vectors, self.factors, self.of_intercept = vectors, factors, of_intercept

    def over(self, double curvature):
        """That of a loss so many times as curved."""
        return Metric(self.shift, self.sizes, self.unit / curvature, self.vectors, self.factors, self.of_intercept)

    cdef void slopes(self, const double* gradient, Py_ssize_t q, double* out) noexcept nogil:
        """A gradient in units."""
        cdef Py_ssize_t first = q - self.p, j
        cdef double of_intercept = 0
        if first:
            out[0] = of_intercept = gradient[0]
        for j in range(self.p):
            out[first + j] = (gradient[first + j] - self.shift[j] * of_intercept) / self.sizes[j]

    cdef void white(self, const double* vector, bint is_step, Py_ssize_t q, double* out) noexcept nogil:
        """White slopes from those in units, or a white step, as far as it goes in a direction that was kept.

        The one is times the root of P, the other divided by it. `out` is another vector.
        """
        cdef Py_ssize_t first = q - self.p, k
        cdef double root = sqrt(self.unit), factor, along
        memset(out, 0, q * sizeof(double))
        if self.vectors is None:
            for k in range(q):
                out[k] = vector[k] / root if is_step else vector[k] * root
            return
        if first:
            factor = root / sqrt(self.of_intercept)
            out[0] = vector[0] / factor if is_step else vector[0] * factor
        for k in range(self.vectors.shape[0]):
            factor, along = root * self.factors[k], product(&self.vectors[k, 0], vector + first, self.p)
            out[first + k] = along / factor if is_step else along * factor

    cdef void steps(self, const double* white, Py_ssize_t q, double* out) noexcept nogil:
        """Steps in units from white ones; `out` is another vector."""
        cdef Py_ssize_t first = q - self.p, k, j
        cdef double root = sqrt(self.unit), along
        cdef const double* vector
        if self.vectors is None:
            for k in range(q):
                out[k] = white[k] * root
            return
        memset(out, 0, q * sizeof(double))
        if first:
            out[0] = white[0] * (root / sqrt(self.of_intercept))
        for k in range(self.vectors.shape[0]):
            vector, along = &self.vectors[k, 0], white[first + k] * (root * self.factors[k])
            for j in range(self.p):
                out[first + j] += vector[j] * along

    cdef void scaled(self, const double* step, Py_ssize_t q, double* out) noexcept nogil:
        """A step of theta in units."""
        cdef Py_ssize_t first = q - self.p, j
        cdef double absorbed = 0
        for j in range(self.p):
            absorbed += self.shift[j] * step[first + j]
            out[first + j] = step[first + j] * self.sizes[j]
        if first:
            out[0] = step[0] + absorbed

    cdef double size(self, const double* scaled, const double* white, Py_ssize_t q) noexcept nogil:
        """The largest component of a step in units, or what it does to predictions if that is less.

        Where columns nearly determine each other rounding moves their weights, and not what they predict, whose root
        mean square this is.
        """
        cdef double most = largest(scaled, q)
        if self.vectors is None or most != most:
            return most
        return fmin(most, sqrt(product(white, white, q) * self.unit / self.of_intercept))

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
            self.white(&room[0, 0], False, q, &room[1, 0])
            self.steps(&room[1, 0], q, &out[0])
            for j in range(self.p):
                out[first + j] /= self.sizes[j]
                absorbed += self.shift[j] * out[first + j]
            if first:
                out[0] -= absorbed

    def in_units(self, const double[::1] step not None, double[::1] out not None, double[:, ::1] room not None):
        """Write a step of theta in units; return its size, and its squared length in this metric."""
        cdef Py_ssize_t q = checked(self, step, out, room)
        with nogil:
            self.scaled(&step[0], q, &out[0])
            self.white(&out[0], True, q, &room[0, 0])
        return self.size(&out[0], &room[0, 0], q), product(&room[0, 0], &room[0, 0], q)

    def moved(self, const double[::1] theta not None, double rate, const double[::1] gradient not None,
              double shrinkage, double[::1] out not None, double[:, ::1] room not None):
        """Write where a step along the gradient leads, the weights shrunk after it as `move` has it."""
        cdef Py_ssize_t q = checked(self, theta, out, room)
        checked(self, gradient, out, room)
        with nogil:
            self.slopes(&gradient[0], q, &room[0, 0])
            self.white(&room[0, 0], False, q, &room[1, 0])
            self.steps(&room[1, 0], q, &room[0, 0])
            self.move(&theta[0], rate, &room[0, 0], shrinkage, q, &out[0])
