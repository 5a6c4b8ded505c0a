"""Learning rates for chunks of updates, each much cheaper than an update."""
from libc.math cimport pow

cdef enum:
    EXACT_BELOW = 2048
    LARGEST_POWER = 4  # up to which the series has its accuracy
    NARROW = 1024      # least ratio of the first t of a block to its width
    WIDEST = 1 << 30   # t within a block is an int


cdef inline void power_block(double eta0, double power, Py_ssize_t start, Py_ssize_t width, Py_ssize_t first,
                             Py_ssize_t last, double* out) noexcept nogil:
    # (1 + t)**-power = (1 + m)**-power * (1 + u)**-power with m the middle of a block, u = (t - m) / (1 + m),
    # abs(u) <= 1 / 2048, and the binomial series to u**4. The relative error is below 5e-16 for powers up to 2,
    # and 2e-15 up to 4.
    cdef double middle = <double> (start + width // 2), unit = 1 / (1 + middle), u
    cdef double base = eta0 / pow(1 + middle, power)
    cdef double c1 = -power
    cdef double c2 = c1 * (-power - 1) / 2
    cdef double c3 = c2 * (-power - 2) / 3
    cdef double c4 = c3 * (-power - 3) / 4
    cdef int j, from_middle = <int> (first - width // 2)
    for j in range(<int> (last - first)):
        u = (from_middle + j) * unit
        out[j] = base * (1 + u * (c1 + u * (c2 + u * (c3 + u * c4))))


def inverse_scaling(double eta0, double power, Py_ssize_t start, double[::1] out not None):
    """out[k] = eta0 / (1 + t)**power for t = start + k; the bits depend on t alone."""
    cdef Py_ssize_t k = 0, n = out.shape[0], width = 1, first, last
    with nogil:
        while k < n and (start + k < EXACT_BELOW or power > LARGEST_POWER):
            out[k] = eta0 / pow(1.0 + <double> (start + k), power)
            k += 1
        while k < n:
            while 2 * width * NARROW <= start + k and width < WIDEST:
                width *= 2
            first = (start + k) % width
            last = min(width, first + n - k)
            power_block(eta0, power, start + k - first, width, first, last, &out[k])
            k += last - first


def all_valid(const double[::1] rates not None):
    """Return True if every rate is finite and at least 0."""
    cdef double lowest[8]
    cdef double zeros[8]
    cdef Py_ssize_t j, k, n = rates.shape[0], whole = n - n % 8
    cdef bint valid = True
    with nogil:
        for j in range(8):
            lowest[j] = zeros[j] = 0
        # 0 * x is 0 for a finite x and NaN for any other, and a sum keeps a NaN.
        for k in range(0, whole, 8):
            for j in range(8):
                lowest[j] = rates[k + j] if rates[k + j] < lowest[j] else lowest[j]
            for j in range(8):
                zeros[j] += 0 * rates[k + j]
        for j in range(8):
            valid &= lowest[j] == 0 and zeros[j] == 0
        for k in range(whole, n):
            valid &= rates[k] >= 0 and rates[k] * 0 == 0
    return valid
