"""What Python sees of a loss: its formula and its largest curvature.

`max_curvature` is the supremum of the second derivative in the prediction; it bounds the learning rate
that is stable (2 / max_curvature), and is inf where there is none.
"""


cdef class SquaredError:
    """r**2 with r = target - prediction."""
    max_curvature = 2.0


cdef class AbsoluteError:
    """abs(r) with r = target - prediction; its slope at r = 0 is 0."""
    max_curvature = float("inf")


cdef class Huber:
    """r**2 / 2 where abs(r) <= delta, else delta * (abs(r) - delta / 2), with r = target - prediction."""
    max_curvature = 1.0

    def __init__(self, double delta):
        self.delta = delta


cdef class Quartic:
    """(r + 12) (r + 23) (r - 14) (r - 15) / 5000 + 7 with r = target - prediction."""
    max_curvature = float("inf")


cdef class CrossEntropy:
    """log(1 + exp(prediction)) - target * prediction; the prediction is a log-odds, the target in [0, 1]."""
    max_curvature = 0.25


cdef class Pinball:
    """q * r where r > 0, else (q - 1) * r, with r = target - prediction; its slope at r = 0 is 0."""
    max_curvature = float("inf")

    def __init__(self, double q):
        self.q = q


cdef class LogCosh:
    """log(cosh(r)) with r = target - prediction."""
    max_curvature = 1.0


cdef class EpsilonInsensitive:
    """max(abs(r) - epsilon, 0) with r = target - prediction; its slope at abs(r) = epsilon is 0."""
    max_curvature = float("inf")

    def __init__(self, double epsilon):
        self.epsilon = epsilon


cdef class CFunctions:
    """A loss of the user's own, from the addresses of C functions.

    `value` and `slope` are pairs (address, data): data None for ``double f(double prediction, double target)``, else
    the address that ``double f(double prediction, double target, void *data)`` gets. `kept_alive` holds what the
    addresses need.
    """
    max_curvature = float("inf")

    def __init__(self, value, slope, kept_alive):
        cdef size_t address
        address = value[0]
        if value[1] is None:
            self.value_function = <double (*)(double, double) noexcept nogil> <void*> address
        else:
            self.value_with_data = <double (*)(double, double, void*) noexcept nogil> <void*> address
            address = value[1]
            self.value_data = <void*> address
        address = slope[0]
        if slope[1] is None:
            self.slope_function = <double (*)(double, double) noexcept nogil> <void*> address
        else:
            self.slope_with_data = <double (*)(double, double, void*) noexcept nogil> <void*> address
            address = slope[1]
            self.slope_data = <void*> address
        self.kept_alive = kept_alive
