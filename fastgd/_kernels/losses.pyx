"""Constructors of the losses of `losses.pxd`; their facts are attributes of the classes of `fastgd.losses`."""


cdef class SquaredError:
    """r**2 with r = target - prediction."""


cdef class AbsoluteError:
    """abs(r) with r = target - prediction; its slope at r = 0 is 0."""


cdef class Huber:
    """r**2 / 2 where abs(r) <= delta, else delta * (abs(r) - delta / 2), with r = target - prediction."""

    def __init__(self, double delta):
        self.delta = delta


cdef class Quartic:
    """(r + 12) (r + 23) (r - 14) (r - 15) / 5000 + 7 with r = target - prediction."""


cdef class CrossEntropy:
    """log(1 + exp(prediction)) - target * prediction; the prediction is a log-odds, the target in [0, 1]."""


cdef class Pinball:
    """q * r where r > 0, else (q - 1) * r, with r = target - prediction; its slope at r = 0 is 0."""

    def __init__(self, double q):
        self.q = q


cdef class LogCosh:
    """log(cosh(r)) with r = target - prediction."""


cdef class EpsilonInsensitive:
    """max(abs(r) - epsilon, 0) with r = target - prediction; its slope at abs(r) = epsilon is 0."""

    def __init__(self, double epsilon):
        self.epsilon = epsilon


cdef class SmoothedPiecewiseLinear:
    """above * max(r - epsilon, 0) + below * max(-r - epsilon, 0) with r = target - prediction, smoothed.

    It is convolved with a uniform density at each breakpoint: abs(t) becomes t**2 / (2 half_width) + half_width / 2
    where abs(t) is less than half_width.
    """

    def __init__(self, double above, double below, double epsilon, double half_width):
        self.above, self.below, self.epsilon, self.half_width = above, below, epsilon, half_width
        self.steepness = 1 / half_width
        self.weight = (above + below) / 4


cdef class CFunctions:
    """Loss from the addresses of two C functions ``double f(double prediction, double target)``.

    `kept_alive` holds the objects that own the addresses.
    """

    def __init__(self, size_t value, size_t slope, kept_alive):
        self.value_function = <double (*)(double, double) noexcept nogil> <void*> value
        self.slope_function = <double (*)(double, double) noexcept nogil> <void*> slope
        self.kept_alive = kept_alive


cdef class CFunctionsWithData:
    """Loss from the addresses of two ``double f(double prediction, double target, void *data)`` and of their data."""

    def __init__(self, size_t value, size_t slope, size_t value_data, size_t slope_data, kept_alive):
        self.value_function = <double (*)(double, double, void*) noexcept nogil> <void*> value
        self.slope_function = <double (*)(double, double, void*) noexcept nogil> <void*> slope
        self.value_data = <void*> value_data
        self.slope_data = <void*> slope_data
        self.kept_alive = kept_alive
