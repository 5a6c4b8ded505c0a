"""Steps of a theta of rows whose lengths come from the slopes at the last two places."""
cimport cython
from libc.math cimport INFINITY, fabs, fmax, fmin, isfinite, sqrt
from libc.string cimport memcpy

from fastgd._kernels.metric cimport Metric, difference, largest, product

cdef enum:
    FURTHER = 10    # places whose steepness is remembered
    # Rows of the room: the slope and P @ slope at this place and at the next, the last step, their changes, all in
    # units, and a place.
    SLOPE = 0
    ALONG = 1
    NEXT_SLOPE = 2
    NEXT_ALONG = 3
    STEP = 4
    SPARE = 5
    PLACE = 6
    ROOM = 7

cdef double FIRST_STEP = 1e-3      # the first step where no curvature is known: this part of theta, and of 1
cdef double STEEPER = 1e4          # a step to where it is so many times as steep as at the last places is taken back
cdef double LONG_STEPS = 0.5       # the shorter of the two lengths is taken where it is below this part of the longer
cdef double LONGER = 1.5           # a bound on lengths grows by this factor with each step that meets it
cdef double MUCH_LONGER = 100.0    # no step is so many times as long as the last one
cdef double AGAINST = 0.5          # a step led beyond the least along it if its cosine with the new slope is above this
cdef double HARDLY_LESS = 0.5      # the other side is as steep if it is above this part, and below one over it
cdef double STRAIGHT = 1e-13       # a slope along the step that changes by no more than this part of it does not
cdef double AS_LONG = 1 - 1e-9     # rounding does not decide which of two steps of one length is the longer
cdef double FAR_LESS = 0.1         # where it is less than this part as steep a bound is over


cpdef Py_ssize_t rows_of_room() noexcept nogil:
    """Rows of the room that a run needs."""
    return ROOM


@cython.final
cdef class BarzilaiBorwein:
    """What a descent knows of the last two places, and how long its next step is to be.

    `theta` and `previous` change in place.

    Parameters
    ----------
    metric
        That of the steps, in which all is measured.
    first_rate
        The length of the first step, or 0 if nothing is known of it.
    shrinkage
        The proximal step of so many times sum(abs(weight)) follows each step.
    measure
        Sizes of the parameters by which steps are short, in place of those of the metric.
    """
    cdef Metric metric
    cdef double[::1] theta
    cdef double[::1] previous
    cdef double[:, ::1] room
    cdef const double[::1] measure
    cdef double first_rate, shrinkage, rate
    cdef double steepness[FURTHER]
    cdef Py_ssize_t places
    cdef double longest, across, steep    # the bound on lengths, the last step across, and how steep it was there

    def __init__(self, Metric metric not None, double[::1] theta not None, double[::1] previous not None,
                 double[:, ::1] room not None, double first_rate, double shrinkage, const double[::1] measure=None):
        cdef Py_ssize_t q = theta.shape[0]
        if not 0 <= q - metric.p <= 1 or not q == previous.shape[0] == room.shape[1] or room.shape[0] < ROOM or (
                measure is not None and measure.shape[0] != q):
            raise ValueError("BarzilaiBorwein: arrays of different lengths")
        self.metric, self.theta, self.previous, self.room, self.measure = metric, theta, previous, room, measure
        self.first_rate, self.shrinkage, self.rate, self.places = first_rate, shrinkage, 1.0, 0
        self.longest, self.across, self.steep = INFINITY, 0.0, 0.0
        self.room[:] = 0    # so that a step before a slope is none

    def next_rate(self, const double[::1] gradient not None):
        """The length of the step from here, where this is the gradient; and whether here is the place before again."""
        cdef Py_ssize_t q = self.theta.shape[0], j
        cdef double steepness, steepest = 0
        cdef bint is_back
        if gradient.shape[0] != q:
            raise ValueError("next_rate: arrays of different lengths")
        with nogil:
            self.metric.slopes(&gradient[0], q, &self.room[NEXT_SLOPE, 0])
            self.metric.times(&self.room[NEXT_SLOPE, 0], q, &self.room[NEXT_ALONG, 0])
            # Where columns nearly determine each other rounding may bring it below 0.
            steepness = fmax(0.0, product(&self.room[NEXT_SLOPE, 0], &self.room[NEXT_ALONG, 0], q))
            for j in range(q):
                if not isfinite(gradient[j]):
                    steepness = INFINITY
            for j in range(min(self.places, <Py_ssize_t> FURTHER)):
                steepest = fmax(steepest, self.steepness[j])
            is_back = self.places > 0 and not steepness <= STEEPER * steepest
            if is_back:
                memcpy(&self.theta[0], &self.previous[0], q * sizeof(double))
                self.rate /= 10
            else:
                if self.places == 0:
                    self.begin(&gradient[0], q)
                else:
                    self.choose(steepness, q)
                memcpy(&self.room[SLOPE, 0], &self.room[NEXT_SLOPE, 0], 2 * q * sizeof(double))
                self.steepness[self.places % FURTHER] = steepness
                self.places += 1
        return self.rate, is_back

    cdef void begin(self, const double* gradient, Py_ssize_t q) noexcept nogil:
        """The first rate."""
        cdef double steepest = largest(gradient, q)
        self.rate = self.first_rate
        if self.rate == 0:
            self.rate = FIRST_STEP * (1 + largest(&self.theta[0], q)) / (steepest if steepest != 0 else 1.0)

    cdef void choose(self, double steepness, Py_ssize_t q) noexcept nogil:
        """The next rate, from the last step and the change of the slope over it, and the bounds on its length."""
        cdef double length = self.last_step(q), next_length, most = MUCH_LONGER * length
        self.bound(steepness, length, q)
        self.rate = self.by_the_secant(length, q)
        next_length = self.rate * sqrt(steepness)
        if self.shrinkage != 0:    # a proximal step may be far shorter than the slope says
            self.metric.move(&self.theta[0], self.rate, &self.room[NEXT_ALONG, 0], self.shrinkage, q,
                             &self.room[PLACE, 0])
            difference(&self.room[PLACE, 0], &self.theta[0], q, &self.room[PLACE, 0])
            self.metric.scaled(&self.room[PLACE, 0], q, &self.room[SPARE, 0])
            next_length = sqrt(self.metric.squared(&self.room[SPARE, 0], q))
        if next_length >= AS_LONG * fmin(self.longest, most):
            self.rate *= fmin(self.longest, most) / next_length
            self.longest *= LONGER

    cdef double last_step(self, Py_ssize_t q) noexcept nogil:
        """How long it was; it is left in STEP."""
        difference(&self.theta[0], &self.previous[0], q, &self.room[PLACE, 0])
        self.metric.scaled(&self.room[PLACE, 0], q, &self.room[STEP, 0])
        return sqrt(self.metric.squared(&self.room[STEP, 0], q))

    cdef void bound(self, double steepness, double length, Py_ssize_t q) noexcept nogil:
        """If the slope is against the last, and as steep or the last step that was so shorter; until it is far less."""
        cdef double before = self.steepness_here()
        cdef double both = self.rate * sqrt(steepness * before)
        cdef double against = product(&self.room[STEP, 0], &self.room[NEXT_SLOPE, 0], q) / (both if both != 0 else 1.0)
        cdef bint is_as_steep = HARDLY_LESS * before < steepness < before / HARDLY_LESS
        if against > AGAINST and (is_as_steep or length >= AS_LONG * self.across):
            self.longest, self.steep = length / 2, fmin(steepness, before)    # one side may be far less steep
        elif steepness < FAR_LESS * self.steep:
            self.longest = INFINITY
        elif against > AGAINST and self.longest < INFINITY:
            self.longest = fmin(self.longest, length)
        if against > AGAINST:
            self.across = length

    cdef double by_the_secant(self, double length, Py_ssize_t q) noexcept nogil:
        """The length that the curvature along the last step asks for."""
        cdef double along, of_change, longer, shorter
        difference(&self.room[NEXT_SLOPE, 0], &self.room[SLOPE, 0], q, &self.room[SPARE, 0])
        difference(&self.room[NEXT_ALONG, 0], &self.room[ALONG, 0], q, &self.room[PLACE, 0])
        along = product(&self.room[STEP, 0], &self.room[SPARE, 0], q)
        of_change = product(&self.room[SPARE, 0], &self.room[PLACE, 0], q)
        if not (along > STRAIGHT * fabs(product(&self.room[STEP, 0], &self.room[SLOPE, 0], q)) and of_change > 0):
            return 10 * self.rate
        longer, shorter = length * length / along, along / of_change
        return shorter if shorter < LONG_STEPS * longer else longer

    def step(self, double rate):
        """Make the step for which `next_rate` was asked; return its size, and how steep it was where it began."""
        with nogil:
            memcpy(&self.previous[0], &self.theta[0], self.theta.shape[0] * sizeof(double))
            self.metric.move(&self.previous[0], rate, &self.room[ALONG, 0], self.shrinkage, self.theta.shape[0],
                             &self.theta[0])
        return self.size(), self.steepness_here()

    def step_to(self, const double[::1] place not None):
        """The same to a place."""
        if place.shape[0] != self.theta.shape[0]:
            raise ValueError("step_to: arrays of different lengths")
        with nogil:
            memcpy(&self.previous[0], &self.theta[0], self.theta.shape[0] * sizeof(double))
            memcpy(&self.theta[0], &place[0], self.theta.shape[0] * sizeof(double))
        return self.size(), self.steepness_here()

    cdef double steepness_here(self) noexcept nogil:
        """As the last slope that was given has it."""
        return 0 if self.places == 0 else self.steepness[(self.places - 1) % FURTHER]

    cdef double size(self) noexcept nogil:
        """That of the last step, by the measure of the rule."""
        cdef Py_ssize_t q = self.theta.shape[0], j
        difference(&self.theta[0], &self.previous[0], q, &self.room[PLACE, 0])
        if self.measure is None:
            self.metric.scaled(&self.room[PLACE, 0], q, &self.room[SPARE, 0])
            return self.metric.size(&self.room[SPARE, 0], q)
        for j in range(q):
            self.room[PLACE, j] *= self.measure[j]
        return largest(&self.room[PLACE, 0], q)
