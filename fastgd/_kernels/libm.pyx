"""Elementwise exp, tanh and log1p of arrays, for the tests."""


def exp(const double[::1] x not None, double[::1] out not None):
    """Write exp(x) to `out`."""
    cdef Py_ssize_t i, n = x.shape[0]
    if out.shape[0] != n:
        raise ValueError("exp: arrays of different lengths")
    with nogil:
        for i in range(n):
            out[i] = exp_of(x[i])


def tanh(const double[::1] x not None, double[::1] out not None):
    """Write tanh(x) to `out`."""
    cdef Py_ssize_t i, n = x.shape[0]
    if out.shape[0] != n:
        raise ValueError("tanh: arrays of different lengths")
    with nogil:
        for i in range(n):
            out[i] = tanh_of(x[i])


def log1p(const double[::1] x not None, double[::1] out not None):
    """Write log(1 + x) to `out`."""
    cdef Py_ssize_t i, n = x.shape[0]
    if out.shape[0] != n:
        raise ValueError("log1p: arrays of different lengths")
    with nogil:
        for i in range(n):
            out[i] = log1p_of(x[i])
