"""Formulas of the losses, each written once.

A loss is a final class with two inline methods of one prediction and one target:

    value(prediction, target)   the loss at one point
    slope(prediction, target)   its derivative with respect to the prediction, up to `slope_factor`

The mean slope over points is ``slope_factor * mean(slope)``. The factor exists because a textbook
multiplies the mean by it and not each point (-2 for the squared error), which differs in the last bits.
The arithmetic is done in the type of the data, in the order in which `fastgd.reference` writes it, so that
the bits agree; a literal is cast, because C computes `float + 12.0` in double. exp, tanh and log are always computed in
double. The bodies have selections in place of branches, so that loops over them run in vectors.
"""
cimport cython
from libc.math cimport copysign, copysignf, fabs, fabsf

from fastgd._kernels.libm cimport log_cosh_of, sigmoid_of, softplus_of, tanh_of

ctypedef fused real:
    float
    double


cdef inline real absolute(real x) noexcept nogil:
    if real is float:
        return fabsf(x)
    else:
        return fabs(x)


cdef inline real with_sign_of(real magnitude, real x) noexcept nogil:
    if real is float:
        return copysignf(magnitude, x)
    else:
        return copysign(magnitude, x)


cdef inline real excess_below(real half_width, real steepness, real distance) noexcept nogil:
    # Increase by smoothing at this distance from a breakpoint, max(half_width - distance, 0)**2 / (2 half_width).
    cdef real inside = half_width - distance
    inside = <real> 0 if inside < 0 else inside
    return inside * (inside * steepness) / <real> 2


cdef inline real clamped(real x, real most) noexcept nogil:
    # Clip to [-most, most]; a NaN stays a NaN, and compilers find a minimum and a maximum.
    x = most if most < x else x
    return -most if -most > x else x


@cython.final
cdef class SquaredError:
    cdef inline real value(self, real prediction, real target) noexcept nogil:
        cdef real r = target - prediction
        return r * r

    cdef inline real slope(self, real prediction, real target) noexcept nogil:
        return target - prediction

    cdef inline real slope_factor(self, real like) noexcept nogil:
        return -2


@cython.final
cdef class AbsoluteError:
    cdef inline real value(self, real prediction, real target) noexcept nogil:
        return absolute(target - prediction)

    cdef inline real slope(self, real prediction, real target) noexcept nogil:
        cdef real difference = prediction - target
        return with_sign_of(<real> 1, difference) if difference != 0 else 0

    cdef inline real slope_factor(self, real like) noexcept nogil:
        return 1


@cython.final
cdef class Huber:
    cdef readonly double delta

    cdef inline real value(self, real prediction, real target) noexcept nogil:
        # With c = min(a, delta) both cases are c * (a - c / 2), to the last bit unless r**2 underflows.
        cdef real delta = <real> self.delta
        cdef real a = absolute(target - prediction)
        cdef real c = delta if delta < a else a
        return c * (a - c / <real> 2)

    cdef inline real slope(self, real prediction, real target) noexcept nogil:
        return clamped(prediction - target, <real> self.delta)

    cdef inline real slope_factor(self, real like) noexcept nogil:
        return 1


@cython.final
cdef class Quartic:
    cdef inline real value(self, real prediction, real target) noexcept nogil:
        cdef real r = target - prediction
        return (<real> (1 / 5000.0) * (r + <real> 12) * (r + <real> 23) * (r - <real> 14) * (r - <real> 15)
                + <real> 7)

    cdef inline real slope(self, real prediction, real target) noexcept nogil:
        cdef real r = target - prediction
        return <real> (-1 / 2500.0) * (
            <real> 2 * (r * r * r) + <real> 9 * (r * r) - <real> 529 * r - <real> 327)

    cdef inline real slope_factor(self, real like) noexcept nogil:
        return 1


@cython.final
cdef class CrossEntropy:
    cdef inline real value(self, real prediction, real target) noexcept nogil:
        return self.value_from(<real> softplus_of(prediction), prediction, target)

    cdef inline real slope(self, real prediction, real target) noexcept nogil:
        return self.slope_from(<real> sigmoid_of(prediction), target)

    cdef inline real value_from(self, real softplus, real prediction, real target) noexcept nogil:
        return softplus - target * prediction

    cdef inline real slope_from(self, real sigmoid, real target) noexcept nogil:
        return sigmoid - target

    cdef inline real slope_factor(self, real like) noexcept nogil:
        return 1


@cython.final
cdef class Pinball:
    cdef readonly double q

    cdef inline real value(self, real prediction, real target) noexcept nogil:
        cdef real r = target - prediction
        cdef real above = <real> self.q * r, below = <real> (self.q - 1) * r
        return above if r > 0 else below

    cdef inline real slope(self, real prediction, real target) noexcept nogil:
        cdef real side = <real> -self.q if target > prediction else <real> (1 - self.q)
        return side if target != prediction else 0

    cdef inline real slope_factor(self, real like) noexcept nogil:
        return 1


@cython.final
cdef class LogCosh:
    cdef inline real value(self, real prediction, real target) noexcept nogil:
        return <real> log_cosh_of(absolute(target - prediction))

    cdef inline real slope(self, real prediction, real target) noexcept nogil:
        return <real> tanh_of(prediction - target)

    cdef inline real slope_factor(self, real like) noexcept nogil:
        return 1


@cython.final
cdef class EpsilonInsensitive:
    cdef readonly double epsilon

    cdef inline real value(self, real prediction, real target) noexcept nogil:
        cdef real beyond = absolute(target - prediction) - <real> self.epsilon
        return 0 if beyond < 0 else beyond

    cdef inline real slope(self, real prediction, real target) noexcept nogil:
        cdef real difference = prediction - target
        return with_sign_of(<real> 1, difference) if absolute(difference) > <real> self.epsilon else 0

    cdef inline real slope_factor(self, real like) noexcept nogil:
        return 1


@cython.final
cdef class SmoothedPiecewiseLinear:
    cdef readonly double above
    cdef readonly double below
    cdef readonly double epsilon
    cdef readonly double half_width
    cdef double steepness
    cdef double weight

    cdef inline real value(self, real prediction, real target) noexcept nogil:
        # The nonsmooth loss, with its bits far from the breakpoints, plus the increase by smoothing two breakpoints.
        cdef real r = target - prediction, a = absolute(r)
        cdef real epsilon = <real> self.epsilon, h = <real> self.half_width, steepness = <real> self.steepness
        cdef real beyond = a - epsilon
        beyond = <real> 0 if beyond < 0 else beyond
        cdef real above = <real> self.above * beyond, below = <real> self.below * beyond
        return (above if r > 0 else below) + <real> self.weight * (
            excess_below(h, steepness, absolute(a - epsilon)) + excess_below(h, steepness, a + epsilon))

    cdef inline real slope(self, real prediction, real target) noexcept nogil:
        # From `below` to -`above` while w goes from -2 to 2, half of the way at each breakpoint.
        cdef real r = target - prediction
        cdef real epsilon = <real> self.epsilon, h = <real> self.half_width
        cdef real w = (clamped(r - epsilon, h) + clamped(r + epsilon, h)) / h
        return (<real> self.below * (<real> 2 - w) - <real> self.above * (<real> 2 + w)) / <real> 4

    cdef inline real slope_factor(self, real like) noexcept nogil:
        return 1


@cython.final
cdef class CFunctions:
    cdef double (*value_function)(double, double) noexcept nogil
    cdef double (*slope_function)(double, double) noexcept nogil
    cdef readonly object kept_alive

    cdef inline real value(self, real prediction, real target) noexcept nogil:
        return <real> self.value_function(prediction, target)

    cdef inline real slope(self, real prediction, real target) noexcept nogil:
        return <real> self.slope_function(prediction, target)

    cdef inline real slope_factor(self, real like) noexcept nogil:
        return 1


@cython.final
cdef class CFunctionsWithData:
    cdef double (*value_function)(double, double, void*) noexcept nogil
    cdef double (*slope_function)(double, double, void*) noexcept nogil
    cdef void* value_data
    cdef void* slope_data
    cdef readonly object kept_alive

    cdef inline real value(self, real prediction, real target) noexcept nogil:
        return <real> self.value_function(prediction, target, self.value_data)

    cdef inline real slope(self, real prediction, real target) noexcept nogil:
        return <real> self.slope_function(prediction, target, self.slope_data)

    cdef inline real slope_factor(self, real like) noexcept nogil:
        return 1


ctypedef fused Loss:
    SquaredError
    AbsoluteError
    Huber
    Quartic
    CrossEntropy
    Pinball
    LogCosh
    EpsilonInsensitive
    SmoothedPiecewiseLinear
    CFunctions
    CFunctionsWithData


cdef inline real at_point(Loss loss, bint slope, real prediction, real target) noexcept nogil:
    return loss.slope(prediction, target) if slope else loss.value(prediction, target)


# In the constant model all points have one prediction: a costly term of it alone is computed once.

cdef inline real prediction_term(Loss loss, bint slope, real prediction) noexcept nogil:
    if Loss is CrossEntropy:
        return <real> sigmoid_of(prediction) if slope else <real> softplus_of(prediction)
    else:
        return 0


cdef inline real at_target(Loss loss, bint slope, real prediction, real term, real target) noexcept nogil:
    """`at_point`, given the `prediction_term` of the prediction."""
    if Loss is CrossEntropy:
        return loss.slope_from(term, target) if slope else loss.value_from(term, prediction, target)
    else:
        return at_point(loss, slope, prediction, target)
