"""exp, tanh, log(1 + x) and functions of them, without branches, so that loops over them run in vectors.

The first three are within 2 units in the last place everywhere (tests/test_libm.py) and have the same bits on every
CPU: they need only + - * /, comparisons and shifts of bits, whose results IEEE 754 prescribes.
"""
from libc.math cimport INFINITY, NAN, copysign, fabs
from libc.stdint cimport uint64_t
from libc.string cimport memcpy

cdef enum:
    MANTISSA = 52    # bits
    BIAS = 1023      # of an exponent


cdef inline uint64_t bits_of(double x) noexcept nogil:
    cdef uint64_t bits
    memcpy(&bits, &x, sizeof(bits))
    return bits


cdef inline double of_bits(uint64_t bits) noexcept nogil:
    cdef double x
    memcpy(&x, &bits, sizeof(x))
    return x


# x + 1.5 * 2**52 is rounded to an integer in its lowest bits; less 1.5 * 2**52 it is that integer as a double.
cdef inline double in_low_bits(double x) noexcept nogil:
    return x + 6755399441055744.0


cdef inline double out_of_low_bits(double x) noexcept nogil:
    return x - 6755399441055744.0


cdef inline double at_most(double x, double most) noexcept nogil:
    """min(x, most) of two numbers that are not negative; the sign of their difference is the mask."""
    cdef uint64_t beyond = 0 - (bits_of(most - x) >> 63)
    return of_bits((bits_of(most) & beyond) | (bits_of(x) & ~beyond))


cdef inline double positive_part(double x) noexcept nogil:
    """max(x, 0)."""
    return of_bits(bits_of(x) & ((bits_of(x) >> 63) - 1))


cdef inline double power_of_2(double exponent) noexcept nogil:
    """2**exponent for a whole number from -1022 to 1023."""
    return of_bits((bits_of(in_low_bits(exponent)) + BIAS) << MANTISSA)


cdef inline double exp_of(double x) noexcept nogil:
    """exp(x), in error by less than 1 unit in the last place.

    x = k log(2) + r with abs(r) <= log(2) / 2, and log(2) in two parts, of which k times the first is exact. Then
    exp(r) = 1 + r + r c / (2 - c) with c = r - r**2 (P1 + P2 r**2 + ...), where the P approximate r coth(r / 2) to
    2**-59 (fdlibm, e_exp.c, Sun Microsystems 1993). 2**k is multiplied in two halves, each of which is a double.
    """
    cdef double k, half, high, low, r, t, c
    x = copysign(at_most(fabs(x), 746), x)    # beyond 746 exp(x) is infinity, or 0
    k = out_of_low_bits(in_low_bits(x * 1.4426950408889634))
    high, low = x - k * 6.93147180369123816490e-01, k * 1.90821492927058770002e-10
    r = high - low
    t = r * r
    c = r - t * (1.66666666666666019037e-01 + t * (-2.77777777770155933842e-03 + t * (
        6.61375632143793436117e-05 + t * (-1.65339022054652515390e-06 + t * 4.13813679705723846039e-08))))
    half = out_of_low_bits(in_low_bits(k * 0.5))
    return (1 - ((low - (r * c) / (2 - c)) - high)) * power_of_2(half) * power_of_2(k - half)


cdef inline double tanh_of(double x) noexcept nogil:
    """tanh(x), in error by less than 2 units in the last place.

    With a = abs(x) = j log(2) + r, s = 4**j / 2 and R = r coth(r), which is even in r,

        tanh(a) = ((s - 1/2) R + (s + 1/2) r) / ((s + 1/2) R + (s - 1/2) r)

    with one division. For j > 0 r is from -0.1 to 0.6 and the numerator is the denominator less R - r, whose rounding
    counts little; below 0.6 j is 0, and r / R is left. R is 1 plus r**2 times the polynomial
    through the eight Chebyshev nodes of (r coth(r) - 1) / r**2 (Abramowitz and Stegun, Handbook of Mathematical
    Functions, 4.5.67) for abs(r) < 0.6, and in error by less than 2**-57.
    """
    cdef double a = fabs(x), shifted, r, t, t2, R, s, less, more, denominator
    a = 22 if a > 22 else a    # beyond 22 tanh(a) is 1
    shifted = in_low_bits(a * 1.4426950408889634 - 0.36)
    r = a - out_of_low_bits(shifted) * 0.6931471805599453
    t = r * r
    t2 = t * t
    R = 1 + t * ((0.3333333333333333 + t * -0.022222222222216256) + t2 * (
        (0.0021164021160534844 + t * -0.00021164020387094663) + t2 * (
            (2.137771397021932e-05 + t * -2.1638955124547487e-06) + t2 * (
                2.1756606480318216e-07 + t * -1.923642403352005e-08))))
    s = of_bits((bits_of(shifted) << (MANTISSA + 1)) + (<uint64_t> (BIAS - 1) << MANTISSA))
    less, more = s - 0.5, s + 0.5
    denominator = more * R + less * r
    return copysign((denominator - (R - r) if less > 0 else r) / denominator, x)


cdef inline double log1p_within(double x) noexcept nogil:
    """log(1 + x) for -1 < x < inf, in error by less than 1 unit in the last place.

    1 + x = u + c, without error; u = 2**k (1 + f) with 1 + f from sqrt(1/2) to sqrt(2). Then log(1 + x) is
    k log(2) + log(1 + f) + c / u, and with s = f / (2 + f) log(1 + f) = f - (f**2 / 2 - s (f**2 / 2 + L1 s**2
    + L2 s**4 + ...)), where the L approximate it to 2**-58 (fdlibm, s_log1p.c, Sun Microsystems 1993).
    """
    cdef double u = 1 + x, above = u - 1, c = (1 - (u - above)) + (x - above)
    cdef uint64_t bits = bits_of(u) + (<uint64_t> (0x3ff00000 - 0x3fe6a09e) << 32)
    # The bits of a whole number k behind the exponent of 2**52 are the double 2**52 + k.
    cdef double k = of_bits((bits >> MANTISSA) | (<uint64_t> 0x43300000 << 32)) - (4503599627370496.0 + BIAS)
    cdef double f = of_bits((bits << 12 >> 12) + (<uint64_t> 0x3fe6a09e << 32)) - 1
    cdef double s = f / (2 + f), half = 0.5 * f * f, z = s * s, rest
    rest = z * (6.666666666666735130e-01 + z * (3.999999999940941908e-01 + z * (2.857142874366239149e-01 + z * (
        2.222219843214978396e-01 + z * (1.818357216161805012e-01 + z * (
            1.531383769920937332e-01 + z * 1.479819860511658591e-01))))))
    return copysign(k * 6.93147180369123816490e-01 - (
        (half - (s * (half + rest) + (k * 1.90821492927058770002e-10 + c / u))) - f), x)


cdef inline double log1p_of(double x) noexcept nogil:
    """log(1 + x) for any x."""
    cdef double inside = log1p_within(x)
    inside = -INFINITY if x == -1 else inside
    inside = inside if x < INFINITY else x
    return NAN if x < -1 else inside


cdef inline double softplus_of(double x) noexcept nogil:
    """log(1 + exp(x)) = max(x, 0) + log(1 + exp(-abs(x))), whose terms do not overflow."""
    return positive_part(x) + log1p_within(exp_of(-fabs(x)))


cdef inline double sigmoid_of(double x) noexcept nogil:
    """1 / (1 + exp(-x)). Where exp(-x) overflows, 1 / inf is 0, the rounded value."""
    return 1 / (1 + exp_of(-x))


cdef inline double log_cosh_of(double a) noexcept nogil:
    """log(cosh(a)) for a of at least 0.

    Below log(2) log(1 + (cosh(a) - 1)), by the series of cosh, which keeps the digits; from there on
    a - log(2) + log(1 + exp(-2 a)), which cannot overflow.
    """
    cdef double z = a * a, beyond = a - 0.6931471805599453
    cdef double near = z * (1 / 2.0 + z * (1 / 24.0 + z * (1 / 720.0 + z * (1 / 40320.0 + z * (1 / 3628800.0 + z * (
        1 / 479001600.0 + z * (1 / 87178291200.0 + z * (1 / 20922789888000.0))))))))
    cdef double far = exp_of(-2 * a)
    return (0 if beyond < 0 else beyond) + log1p_within(near if a < 0.6931471805599453 else far)
