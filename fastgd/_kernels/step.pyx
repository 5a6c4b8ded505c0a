cdef class StepState:
    """State of the updates of a run, and its stopping rule."""

    @property
    def ends_when_short(self):
        return self.rule.ends_when_short

    @ends_when_short.setter
    def ends_when_short(self, bint value):
        self.rule.ends_when_short = value


cdef class NumberSteps(StepState):
    """State of the updates of one number: theta, and the theta before the last update."""

    def __init__(self, double theta, double tol, bint ends_when_short):
        self.theta = self.previous = theta
        self.rule.tol, self.rule.ends_when_short = tol, ends_when_short


cdef class ArraySteps(StepState):
    """State of the updates of an array: `theta`, changed in place, and `previous`, the theta before the last update.

    `scratch` has a row as long as theta for the gradient, and one for each level of the tree of its sum.
    """

    def __cinit__(self):
        self.proximal.is_plain = True

    def __init__(self, double[::1] theta not None, double[::1] previous not None, double[:, ::1] scratch not None,
                 double tol, bint ends_when_short):
        if not 0 < theta.shape[0] == previous.shape[0] == scratch.shape[1]:
            raise ValueError("ArraySteps: arrays of different lengths")
        self.theta, self.previous, self.scratch = theta, previous, scratch
        self.rule.tol, self.rule.ends_when_short = tol, ends_when_short

    def set_proximal(self, double unit, double l2, double l1, const double[::1] shift not None,
                     const double[::1] sizes not None):
        """Set the parameters of `preconditioned_proximal_step`; `shift` and `sizes` have one number for each weight."""
        if not 0 <= self.theta.shape[0] - shift.shape[0] <= 1 or not 0 < shift.shape[0] == sizes.shape[0]:
            raise ValueError("set_proximal: arrays of different lengths")
        self.shift, self.sizes = shift, sizes
        self.proximal.is_plain, self.proximal.unit = False, unit
        self.proximal.l2, self.proximal.l1 = l2, l1
        self.proximal.shift, self.proximal.sizes = &self.shift[0], &self.sizes[0]
