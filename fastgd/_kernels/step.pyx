cdef class NumberSteps:
    """The updates of one number: where theta is, where it was before the last of them, and the rule."""

    def __init__(self, double theta, double tol, bint ends_when_short):
        self.theta = self.previous = theta
        self.rule.tol = tol
        self.rule.ends_when_short = ends_when_short

    @property
    def ends_when_short(self):
        return self.rule.ends_when_short

    @ends_when_short.setter
    def ends_when_short(self, bint value):
        self.rule.ends_when_short = value


cdef class ArraySteps:
    """The updates of an array, `theta`, which is changed in place; `previous` is the one before the last of them.

    The rows of `scratch` are as long as theta: one for the gradient, and one for each level of the tree of its sum.
    """

    def __init__(self, double[::1] theta not None, double[::1] previous not None, double[:, ::1] scratch not None,
                 double tol, bint ends_when_short):
        if not 0 < theta.shape[0] == previous.shape[0] == scratch.shape[1]:
            raise ValueError("ArraySteps: arrays of different lengths")
        self.theta, self.previous, self.scratch = theta, previous, scratch
        self.rule.tol = tol
        self.rule.ends_when_short = ends_when_short

    @property
    def ends_when_short(self):
        return self.rule.ends_when_short

    @ends_when_short.setter
    def ends_when_short(self, bint value):
        self.rule.ends_when_short = value
