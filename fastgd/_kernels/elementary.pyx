"""The elementary functions for arrays, to be compared with others'."""


def exponential(const double[::1] x not None, double[::1] out not None):
    """Write exp(x) to `out`."""
    cdef Py_ssize_t i, n = x.shape[0]
    if out.shape[0] != n:
        raise ValueError("exponential: arrays of different lengths")
    with nogil:
        for i in range(n):
            out[i] = exp_of(x[i])


def hyperbolic_tangent(const double[::1] x not None, double[::1] out not None):
    """Write tanh(x) to `out`."""
    cdef Py_ssize_t i, n = x.shape[0]
    if out.shape[0] != n:
        raise ValueError("hyperbolic_tangent: arrays of different lengths")
    with nogil:
        for i in range(n):
            out[i] = tanh_of(x[i])


def log_of_1_plus(const double[::1] x not None, double[::1] out not None):
    """Write log(1 + x) to `out`."""
    cdef Py_ssize_t i, n = x.shape[0]
    if out.shape[0] != n:
        raise ValueError("log_of_1_plus: arrays of different lengths")
    with nogil:
        for i in range(n):
            out[i] = log1p_of(x[i])
