"""Spectral step sizes for a linear model: J. Barzilai and J. M. Borwein, IMA Journal of Numerical Analysis 8, 1988."""
cimport cython
from libc.math cimport INFINITY, fabs, fmax, fmin, isfinite, sqrt
from libc.string cimport memcpy

from fastgd._kernels.preconditioner cimport PreconditionerKernel, difference, dot, max_abs
from fastgd._kernels.step cimport soft_threshold

cdef enum:
    MEMORY = 10    # places whose squared gradient norm and loss are remembered
    # Rows of the workspace, in whitened coordinates but for the last two: the gradient here and at the next place, the
    # latter with the subgradient of an l1 penalty, the last step; a vector in scaled coordinates, and a place.
    GRADIENT = 0
    NEXT = 1
    WHOLE = 2
    STEP = 3
    SCALED = 4
    PLACE = 5
    WORKSPACE = 6

# Ratios, of the squared gradient norm ("steepness") and of step lengths, both in whitened coordinates.
cdef double FIRST_STEP = 1e-3          # first step without known curvature: this part of 1 + max(abs(theta))
cdef double STEEPEST_GROWTH = 1e4      # a step to a place steeper than the last places by this factor is taken back
cdef double SHORT_RATIO = 0.5          # the shorter step size is taken if it is below this part of the longer one
cdef double BOUND_GROWTH = 1.5         # growth of the bound on lengths with each step that meets it
cdef double LENGTH_GROWTH = 100.0      # largest growth of the length from one step to the next
cdef double OVERSHOT_COSINE = 0.5      # a step overshot if its cosine with the new gradient is above this
cdef double EQUAL_STEEPNESS = 0.5      # both sides are equally steep if their ratio is between this and its inverse
cdef double LINEAR = 1e-13             # relative change of the slope along the step up to which the loss is linear
cdef double LOSS_ROUNDING = 1e-12      # relative rounding of the loss
cdef double LENGTH_ROUNDING = 1 - 1e-9  # two lengths whose ratio is above this are equal
cdef double RELEASE = 0.1              # the bound on lengths ends where the steepness falls to this part


cpdef Py_ssize_t workspace_rows() noexcept nogil:
    """Rows of the workspace that a run needs."""
    return WORKSPACE


@cython.final
cdef class SpectralStep:
    """Step size from the last step s and the change d of the gradient over it: s.s / s.d, or s.d / d.d.

    `theta` and `previous` change in place.

    Parameters
    ----------
    preconditioner
        Preconditioner in whose whitened coordinates all lengths and products are computed.
    first_rate
        First step size, or 0 if no curvature is known.
    l1
        Strength of the penalty l1 * sum(abs(weight)), whose proximal step follows each step.
    measure
        Units of the parameters in which the length of a step is reported, in place of those of the preconditioner.
    """
    cdef PreconditionerKernel preconditioner
    cdef double[::1] theta
    cdef double[::1] previous
    cdef double[:, ::1] workspace
    cdef const double[::1] measure
    cdef double first_rate, l1, rate
    cdef double steepness[MEMORY]
    cdef double values[MEMORY]
    cdef Py_ssize_t places
    # The bound on lengths, the length of the last step that overshot, and its steepness.
    cdef double longest, overshot_length, overshot_steepness

    def __init__(self, PreconditionerKernel preconditioner not None, double[::1] theta not None,
                 double[::1] previous not None, double[:, ::1] workspace not None, double first_rate, double l1,
                 const double[::1] measure=None):
        cdef Py_ssize_t q = theta.shape[0]
        if (not 0 <= q - preconditioner.p <= 1 or not q == previous.shape[0] == workspace.shape[1]
                or workspace.shape[0] < WORKSPACE or (measure is not None and measure.shape[0] != q)):
            raise ValueError("SpectralStep: arrays of different lengths")
        self.preconditioner, self.theta, self.previous, self.workspace = preconditioner, theta, previous, workspace
        self.measure, self.first_rate, self.l1, self.rate, self.places = measure, first_rate, l1, 1.0, 0
        self.longest, self.overshot_length, self.overshot_steepness = INFINITY, 0.0, 0.0
        self.workspace[:] = 0    # so that a step before a gradient is 0

    def next_step_size(self, const double[::1] gradient not None, double value):
        """Return the next step size for the gradient at theta, and True if the last step was taken back.

        `value` is the objective at theta, which is compared only if l1 is not 0.
        """
        cdef Py_ssize_t q = self.theta.shape[0], j
        cdef double steepness
        cdef bint is_back
        if gradient.shape[0] != q:
            raise ValueError("next_step_size: arrays of different lengths")
        with nogil:
            self.whiten_gradient(&gradient[0], q)
            steepness = dot(&self.workspace[WHOLE, 0], &self.workspace[WHOLE, 0], q)
            for j in range(q):
                if not isfinite(gradient[j]):
                    steepness = INFINITY
            is_back = self.places > 0 and self.went_up(steepness, value)
            if is_back:
                memcpy(&self.theta[0], &self.previous[0], q * sizeof(double))
                self.rate /= 10
            else:
                if self.places == 0:
                    self.choose_first(&gradient[0], q)
                else:
                    self.choose(steepness, q)
                memcpy(&self.workspace[GRADIENT, 0], &self.workspace[NEXT, 0], q * sizeof(double))
                self.steepness[self.places % MEMORY], self.values[self.places % MEMORY] = steepness, value
                self.places += 1
        return self.rate, is_back

    cdef void whiten_gradient(self, const double* gradient, Py_ssize_t q) noexcept nogil:
        """Whiten the gradient, and its sum with the subgradient of l1 that makes the sum least."""
        cdef Py_ssize_t first = q - self.preconditioner.p, j
        cdef double* scaled = &self.workspace[SCALED, 0]
        cdef double jump
        self.preconditioner.scale_gradient(gradient, q, scaled)
        self.preconditioner.whiten(scaled, False, q, &self.workspace[NEXT, 0])
        if self.l1 == 0:
            memcpy(&self.workspace[WHOLE, 0], &self.workspace[NEXT, 0], q * sizeof(double))
            return
        for j in range(first, q):
            jump = self.l1 / self.preconditioner.sizes[j - first]
            scaled[j] = (soft_threshold(scaled[j], jump) if self.theta[j] == 0
                         else scaled[j] + jump if self.theta[j] > 0 else scaled[j] - jump)
        self.preconditioner.whiten(scaled, False, q, &self.workspace[WHOLE, 0])

    cdef bint went_up(self, double steepness, double value) noexcept nogil:
        """Return True if theta is far steeper than the remembered places or, with l1, has a higher objective.

        With l1 the gradient does not show an increase by weights set to 0. The first step size is safe.
        """
        cdef double steepest = 0, highest = -INFINITY
        cdef Py_ssize_t j
        for j in range(min(self.places, <Py_ssize_t> MEMORY)):
            steepest, highest = fmax(steepest, self.steepness[j]), fmax(highest, self.values[j])
        if self.l1 != 0 and value > highest + LOSS_ROUNDING * fabs(highest) and self.rate > self.first_rate:
            self.rate = fmax(self.rate, 10 * self.first_rate)
            return True
        return not steepness <= STEEPEST_GROWTH * steepest

    cdef void choose_first(self, const double* gradient, Py_ssize_t q) noexcept nogil:
        cdef double steepest = max_abs(gradient, q)
        self.rate = self.first_rate
        if self.rate == 0:
            self.rate = FIRST_STEP * (1 + max_abs(&self.theta[0], q)) / (steepest if steepest != 0 else 1.0)

    cdef void choose(self, double steepness, Py_ssize_t q) noexcept nogil:
        """Set the step size by the last step and the change of the gradient, within the bounds on its length."""
        cdef double length, next_length, most
        difference(&self.theta[0], &self.previous[0], q, &self.workspace[PLACE, 0])
        length = self.whitened_length(q, &self.workspace[STEP, 0])
        most = LENGTH_GROWTH * length
        self.bound_length(steepness, length, q)
        self.rate = self.spectral_rate(length, q)
        next_length = self.rate * sqrt(steepness)
        if self.l1 != 0:    # a proximal step may be far shorter than rate * gradient
            self.move(&self.workspace[NEXT, 0], self.rate, &self.theta[0], q, &self.workspace[PLACE, 0])
            difference(&self.workspace[PLACE, 0], &self.theta[0], q, &self.workspace[PLACE, 0])
            next_length = self.whitened_length(q, &self.workspace[WHOLE, 0])
        if next_length > 0 and next_length >= LENGTH_ROUNDING * fmin(self.longest, most):
            self.rate *= fmin(self.longest, most) / next_length
            self.longest *= BOUND_GROWTH

    cdef double whitened_length(self, Py_ssize_t q, double* white) noexcept nogil:
        """Write the whitened step in PLACE to the second argument; return its length."""
        self.preconditioner.scale_step(&self.workspace[PLACE, 0], q, &self.workspace[SCALED, 0])
        self.preconditioner.whiten(&self.workspace[SCALED, 0], True, q, white)
        return sqrt(dot(white, white, q))

    cdef void bound_length(self, double steepness, double length, Py_ssize_t q) noexcept nogil:
        """Bound lengths after a step that overshot to an equal steepness, or a step no shorter; release them later."""
        cdef double before = self.last_steepness(), both = length * sqrt(steepness)
        cdef double cosine = dot(&self.workspace[STEP, 0], &self.workspace[WHOLE, 0], q) / (both if both != 0 else 1.0)
        cdef bint is_as_steep = EQUAL_STEEPNESS * before < steepness < before / EQUAL_STEEPNESS
        if cosine > OVERSHOT_COSINE and (is_as_steep or length >= LENGTH_ROUNDING * self.overshot_length):
            self.longest, self.overshot_steepness = length / 2, fmin(steepness, before)    # one side may be flatter
        elif steepness < RELEASE * self.overshot_steepness:
            self.longest = INFINITY
        elif cosine > OVERSHOT_COSINE and self.longest < INFINITY:
            self.longest = fmin(self.longest, length)
        if cosine > OVERSHOT_COSINE:
            self.overshot_length = length

    cdef double spectral_rate(self, double length, Py_ssize_t q) noexcept nogil:
        """Return s.s / s.d, or s.d / d.d if that is much shorter; 10 times the last step size if the loss is linear."""
        cdef double along, of_change, longer, shorter
        cdef double* change = &self.workspace[SCALED, 0]
        cdef double* step = &self.workspace[STEP, 0]
        difference(&self.workspace[NEXT, 0], &self.workspace[GRADIENT, 0], q, change)
        along, of_change = dot(step, change, q), dot(change, change, q)
        if not (along > LINEAR * fabs(dot(step, &self.workspace[GRADIENT, 0], q)) and of_change > 0):
            return 10 * self.rate
        longer, shorter = length * length / along, along / of_change
        return shorter if shorter < SHORT_RATIO * longer else longer

    cdef void move(self, const double* white, double rate, const double* theta, Py_ssize_t q,
                   double* out) noexcept nogil:
        """Write theta after a step of size `rate` along a whitened gradient."""
        self.preconditioner.unwhiten(white, q, &self.workspace[SCALED, 0])
        self.preconditioner.move(theta, rate, &self.workspace[SCALED, 0], self.l1, q, out)

    def step(self, double rate):
        """Make a step of size `rate`; return its length, and the steepness at its start."""
        with nogil:
            memcpy(&self.previous[0], &self.theta[0], self.theta.shape[0] * sizeof(double))
            self.move(&self.workspace[GRADIENT, 0], rate, &self.previous[0], self.theta.shape[0], &self.theta[0])
        return self.size(), self.last_steepness()

    def step_to(self, const double[::1] place not None):
        """Move to a place; return the length of the move, and the steepness at its start."""
        if place.shape[0] != self.theta.shape[0]:
            raise ValueError("step_to: arrays of different lengths")
        with nogil:
            memcpy(&self.previous[0], &self.theta[0], self.theta.shape[0] * sizeof(double))
            memcpy(&self.theta[0], &place[0], self.theta.shape[0] * sizeof(double))
        return self.size(), self.last_steepness()

    cdef double last_steepness(self) noexcept nogil:
        return 0 if self.places == 0 else self.steepness[(self.places - 1) % MEMORY]

    cdef double size(self) noexcept nogil:
        """Length of the last step, in the units of the stopping rule."""
        cdef Py_ssize_t q = self.theta.shape[0], j
        difference(&self.theta[0], &self.previous[0], q, &self.workspace[PLACE, 0])
        if self.measure is None:
            self.whitened_length(q, &self.workspace[STEP, 0])
            return self.preconditioner.size(&self.workspace[SCALED, 0], &self.workspace[STEP, 0], q)
        for j in range(q):
            self.workspace[PLACE, j] *= self.measure[j]
        return max_abs(&self.workspace[PLACE, 0], q)
