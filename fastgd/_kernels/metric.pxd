"""Steps of a theta of rows in the metric of the data: the maths of `fastgd._objective.preconditioner`.

All vectors are as long as theta, q numbers, of which the last are the weights. A vector "in units" is that of the
columns z = (x - shift) / size: the intercept of z, if there is one, and its weights. A "white" one is in coordinates in
which P is the identity, so that lengths and products there are those of the metric: with P = R R' a slope s in units is
R's there, and a white step w is R w in units. They have `dimensions` numbers, and zeros after these.
"""
cimport cython


@cython.final
cdef class Metric:
    cdef readonly double unit
    cdef Py_ssize_t p
    cdef const double[::1] shift
    cdef const double[::1] sizes
    cdef const double[:, ::1] vectors
    cdef const double[::1] factors
    cdef double of_intercept

    cdef void slopes(self, const double* gradient, Py_ssize_t q, double* out) noexcept nogil
    cdef void white(self, const double* vector, bint is_step, Py_ssize_t q, double* out) noexcept nogil
    cdef void steps(self, const double* white, Py_ssize_t q, double* out) noexcept nogil
    cdef void scaled(self, const double* step, Py_ssize_t q, double* out) noexcept nogil
    cdef double size(self, const double* scaled, const double* white, Py_ssize_t q) noexcept nogil
    cdef void move(self, const double* theta, double rate, const double* steps, double shrinkage, Py_ssize_t q,
                   double* out) noexcept nogil


cdef inline double product(const double* a, const double* b, Py_ssize_t n) noexcept nogil:
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


cdef inline double largest(const double* a, Py_ssize_t n) noexcept nogil:
    """The largest absolute value, or NaN if one is."""
    cdef double most = 0, here
    cdef Py_ssize_t j
    for j in range(n):
        here = a[j] if a[j] >= 0 else -a[j]
        if not here <= most:
            most = here
            if here != here:
                break
    return most
