"""Steps of a linear model preconditioned by its columns: the maths of `fastgd._objective.preconditioner`.

All vectors have the length q of theta, whose last p numbers are the weights. Scaled coordinates are those of the
columns z = (x - shift) / size: the intercept of z, if there is one, and its weights. In whitened coordinates the
preconditioner P is the identity: with P = R R' a scaled gradient g becomes R'g, and a whitened step w becomes R w. They
have as many numbers as P has directions, and zeros after these.
"""
cimport cython


@cython.final
cdef class PreconditionerKernel:
    cdef readonly double unit
    cdef Py_ssize_t p
    cdef const double[::1] shift
    cdef const double[::1] sizes
    cdef const double[:, ::1] vectors
    cdef const double[::1] factors
    cdef double intercept_curvature

    cdef void scale_gradient(self, const double* gradient, Py_ssize_t q, double* out) noexcept nogil
    cdef void whiten(self, const double* vector, bint is_step, Py_ssize_t q, double* out) noexcept nogil
    cdef void unwhiten(self, const double* white, Py_ssize_t q, double* out) noexcept nogil
    cdef void scale_step(self, const double* step, Py_ssize_t q, double* out) noexcept nogil
    cdef double size(self, const double* scaled, const double* white, Py_ssize_t q) noexcept nogil
    cdef void move(self, const double* theta, double rate, const double* steps, double l1, Py_ssize_t q,
                   double* out) noexcept nogil


cdef inline double dot(const double* a, const double* b, Py_ssize_t n) noexcept nogil:
    cdef double total = 0
    cdef Py_ssize_t j
    for j in range(n):
        total += a[j] * b[j]
    return total


cdef inline void difference(const double* a, const double* b, Py_ssize_t n, double* out) noexcept nogil:
    """a - b, which may be written to either."""
    cdef Py_ssize_t j
    for j in range(n):
        out[j] = a[j] - b[j]


cdef inline double max_abs(const double* a, Py_ssize_t n) noexcept nogil:
    """The largest absolute value, or NaN if there is one."""
    cdef double most = 0, here
    cdef Py_ssize_t j
    for j in range(n):
        here = a[j] if a[j] >= 0 else -a[j]
        if not here <= most:
            most = here
            if here != here:
                break
    return most
