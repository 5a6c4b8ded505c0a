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
    """A loss of the user's own, from the addresses of two C functions ``double f(double prediction, double target)``.

    `kept_alive` holds what the addresses need.
    """
    max_curvature = float("inf")

    def __init__(self, size_t value, size_t slope, kept_alive):
        self.value_function = <double (*)(double, double) noexcept nogil> <void*> value
        self.slope_function = <double (*)(double, double) noexcept nogil> <void*> slope
        self.kept_alive = kept_alive


cdef class CFunctionsWithData:
    """As `CFunctions`, of ``double f(double prediction, double target, void *data)``; data by address too."""
    max_curvature = float("inf")

    def __init__(self, size_t value, size_t slope, size_t value_data, size_t slope_data, kept_alive):
        self.value_function = <double (*)(double, double, void*) noexcept nogil> <void*> value
        self.slope_function = <double (*)(double, double, void*) noexcept nogil> <void*> slope
        self.value_data = <void*> value_data
        self.slope_data = <void*> slope_data
        self.kept_alive = kept_alive
