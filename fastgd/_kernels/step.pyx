cdef class Steps:
    """The updates of a run, and the rule that ends it."""

    @property
    def ends_when_short(self):
        return self.rule.ends_when_short

    @ends_when_short.setter
    def ends_when_short(self, bint value):
        self.rule.ends_when_short = value


cdef class NumberSteps(Steps):
    """Of one number: where theta is, and where it was before the last of them."""

    def __init__(self, double theta, double tol, bint ends_when_short):
        self.theta = self.previous = theta
        self.rule.tol, self.rule.ends_when_short = tol, ends_when_short


cdef class ArraySteps(Steps):
    """Of an array, `theta`, which is changed in place; `previous` is the one before the last of them.

    The rows of `scratch` are as long as theta: one for the gradient, and one for each level of the tree of its sum.
    """

    def __cinit__(self):
        self.manner.is_plain = True

    def __init__(self, double[::1] theta not None, double[::1] previous not None, double[:, ::1] scratch not None,
                 double tol, bint ends_when_short):
        if not 0 < theta.shape[0] == previous.shape[0] == scratch.shape[1]:
            raise ValueError("ArraySteps: arrays of different lengths")
        self.theta, self.previous, self.scratch = theta, previous, scratch
        self.rule.tol, self.rule.ends_when_short = tol, ends_when_short

    def take_manner(self, double unit, double decay, double shrinkage, const double[::1] shift not None,
                    const double[::1] sizes not None):
        """From now on a rate of 1 stands for `unit`, weights decay and shrink; `shift` and `sizes` are the columns'.

        There is one of these for each weight; an intercept has none.
        """
        if not 0 <= self.theta.shape[0] - shift.shape[0] <= 1 or not 0 < shift.shape[0] == sizes.shape[0]:
            raise ValueError("take_manner: arrays of different lengths")
        self.shift, self.sizes = shift, sizes
        self.manner.is_plain, self.manner.unit = False, unit
        self.manner.decay, self.manner.shrinkage = decay, shrinkage
        self.manner.shift, self.manner.sizes = &self.shift[0], &self.sizes[0]
