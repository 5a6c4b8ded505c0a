"""Steps of a theta of rows whose lengths come from the slopes at the last two places."""
cimport cython
from libc.math cimport INFINITY, fabs, fmax, fmin, isfinite, sqrt
from libc.string cimport memcpy

from fastgd._kernels.metric cimport Metric, difference, largest, product
from fastgd._kernels.step cimport shrunk

cdef enum:
    FURTHER = 10    # places whose steepness is remembered
    # Rows of the room, white but for the last two: the slope at this place and at the next, that with the slopes of a
    # penalty of l1, the last step; a vector in units, and a place.
    SLOPE = 0
    NEXT = 1
    WHOLE = 2
    STEP = 3
    SPARE = 4
    PLACE = 5
    ROOM = 6

cdef double FIRST_STEP = 1e-3      # the first step where no curvature is known: this part of theta, and of 1
cdef double STEEPER = 1e4          # a step to where it is so many times as steep as at the last places is taken back
cdef double LONG_STEPS = 0.5       # the shorter of the two lengths is taken where it is below this part of the longer
cdef double LONGER = 1.5           # a bound on lengths grows by this factor with each step that meets it
cdef double MUCH_LONGER = 100.0    # no step is so many times as long as the last one
cdef double AGAINST = 0.5          # a step led beyond the least along it if its cosine with the new slope is above this
cdef double HARDLY_LESS = 0.5      # the other side is as steep if it is above this part, and below one over it
cdef double STRAIGHT = 1e-13       # a slope along the step that changes by no more than this part of it does not
cdef double ROUNDING = 1e-12       # a loss is higher if it is by more than this part of it
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
    cdef double values[FURTHER]
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

    def next_rate(self, const double[::1] gradient not None, double value):
        """The length of the step from here, where this is the gradient; and whether here is the place before again.

        `value` is the loss here, the penalty's included; it counts where weights shrink.
        """
        cdef Py_ssize_t q = self.theta.shape[0], j
        cdef double steepness
        cdef bint is_back
        if gradient.shape[0] != q:
            raise ValueError("next_rate: arrays of different lengths")
        with nogil:
            self.whiten(&gradient[0], q)
            steepness = product(&self.room[WHOLE, 0], &self.room[WHOLE, 0], q)
            for j in range(q):
                if not isfinite(gradient[j]):
                    steepness = INFINITY
            is_back = self.places > 0 and self.went_up(steepness, value)
            if is_back:
                memcpy(&self.theta[0], &self.previous[0], q * sizeof(double))
                self.rate /= 10
            else:
                if self.places == 0:
                    self.begin(&gradient[0], q)
                else:
                    self.choose(steepness, q)
                memcpy(&self.room[SLOPE, 0], &self.room[NEXT, 0], q * sizeof(double))
                self.steepness[self.places % FURTHER], self.values[self.places % FURTHER] = steepness, value
                self.places += 1
        return self.rate, is_back

    cdef void whiten(self, const double* gradient, Py_ssize_t q) noexcept nogil:
        """The white slope of a gradient; and with that of the penalty, the least there is where a weight is 0."""
        cdef Py_ssize_t first = q - self.metric.p, j
        cdef double* slopes = &self.room[SPARE, 0]
        cdef double kink
        self.metric.slopes(gradient, q, slopes)
        self.metric.white(slopes, False, q, &self.room[NEXT, 0])
        if self.shrinkage == 0:
            memcpy(&self.room[WHOLE, 0], &self.room[NEXT, 0], q * sizeof(double))
            return
        for j in range(first, q):
            kink = self.shrinkage / self.metric.sizes[j - first]
            slopes[j] = (shrunk(slopes[j], kink) if self.theta[j] == 0
                         else slopes[j] + kink if self.theta[j] > 0 else slopes[j] - kink)
        self.metric.white(slopes, False, q, &self.room[WHOLE, 0])

    cdef bint went_up(self, double steepness, double value) noexcept nogil:
        """Whether it is far steeper than at all of the last places; where weights shrink, whether the loss is higher.

        For the slope does not tell whether it was well to set weights to 0. The first length is safe.
        """
        cdef double steepest = 0, highest = -INFINITY
        cdef Py_ssize_t j
        for j in range(min(self.places, <Py_ssize_t> FURTHER)):
            steepest, highest = fmax(steepest, self.steepness[j]), fmax(highest, self.values[j])
        if self.shrinkage != 0 and value > highest + ROUNDING * fabs(highest) and self.rate > self.first_rate:
            self.rate = fmax(self.rate, 10 * self.first_rate)
            return True
        return not steepness <= STEEPER * steepest

    cdef void begin(self, const double* gradient, Py_ssize_t q) noexcept nogil:
        """The first rate."""
        cdef double steepest = largest(gradient, q)
        self.rate = self.first_rate
        if self.rate == 0:
            self.rate = FIRST_STEP * (1 + largest(&self.theta[0], q)) / (steepest if steepest != 0 else 1.0)

    cdef void choose(self, double steepness, Py_ssize_t q) noexcept nogil:
        """The next rate, from the last step and the change of the slope over it, and the bounds on its length."""
        cdef double length, next_length, most
        difference(&self.theta[0], &self.previous[0], q, &self.room[PLACE, 0])
        length = self.length(q, &self.room[STEP, 0])
        most = MUCH_LONGER * length
        self.bound(steepness, length, q)
        self.rate = self.by_the_secant(length, q)
        next_length = self.rate * sqrt(steepness)
        if self.shrinkage != 0:    # a proximal step may be far shorter than the slope says
            self.move(&self.room[NEXT, 0], self.rate, &self.theta[0], q, &self.room[PLACE, 0])
            difference(&self.room[PLACE, 0], &self.theta[0], q, &self.room[PLACE, 0])
            next_length = self.length(q, &self.room[WHOLE, 0])
        if next_length > 0 and next_length >= AS_LONG * fmin(self.longest, most):
            self.rate *= fmin(self.longest, most) / next_length
            self.longest *= LONGER

    cdef double length(self, Py_ssize_t q, double* white) noexcept nogil:
        """That of the step in PLACE, which is made white."""
        self.metric.scaled(&self.room[PLACE, 0], q, &self.room[SPARE, 0])
        self.metric.white(&self.room[SPARE, 0], True, q, white)
        return sqrt(product(white, white, q))

    cdef void bound(self, double steepness, double length, Py_ssize_t q) noexcept nogil:
        """If the slope is against the last, and as steep or the last step that was so shorter; until it is far less."""
        cdef double before = self.steepness_here(), both = length * sqrt(steepness)
        cdef double against = product(&self.room[STEP, 0], &self.room[WHOLE, 0], q) / (both if both != 0 else 1.0)
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
        cdef double* change = &self.room[SPARE, 0]
        difference(&self.room[NEXT, 0], &self.room[SLOPE, 0], q, change)
        along, of_change = product(&self.room[STEP, 0], change, q), product(change, change, q)
        if not (along > STRAIGHT * fabs(product(&self.room[STEP, 0], &self.room[SLOPE, 0], q)) and of_change > 0):
            return 10 * self.rate
        longer, shorter = length * length / along, along / of_change
        return shorter if shorter < LONG_STEPS * longer else longer

    cdef void move(self, const double* white, double rate, const double* theta, Py_ssize_t q,
                   double* out) noexcept nogil:
        """Where a step along a white slope leads."""
        self.metric.steps(white, q, &self.room[SPARE, 0])
        self.metric.move(theta, rate, &self.room[SPARE, 0], self.shrinkage, q, out)

    def step(self, double rate):
        """Make the step for which `next_rate` was asked; return its size, and how steep it was where it began."""
        with nogil:
            memcpy(&self.previous[0], &self.theta[0], self.theta.shape[0] * sizeof(double))
            self.move(&self.room[SLOPE, 0], rate, &self.previous[0], self.theta.shape[0], &self.theta[0])
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
            self.length(q, &self.room[STEP, 0])
            return self.metric.size(&self.room[SPARE, 0], &self.room[STEP, 0], q)
        for j in range(q):
            self.room[PLACE, j] *= self.measure[j]
        return largest(&self.room[PLACE, 0], q)
