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
