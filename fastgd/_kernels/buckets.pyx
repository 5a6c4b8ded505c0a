"""Counts and sums of points by bucket, in integers, which come out the same in whatever order they are added.

The buckets lie in three rows, of points below the first of two cuts, between them, and from the second on. Each row has
an origin and a width that is a power of two, so that only `y - origin` is rounded: its whole part in units of the width
is the bucket's place in the row, and the rest, in units of 2**-42 of a width, the offset of the point in it.
`fastgd._source.buckets` does the same in numpy.
"""
from libc.stdint cimport int32_t, int64_t, uint16_t

from fastgd._kernels.losses cimport real

cdef enum:
    HALF_BITS = 21         # of an offset: products of two halves can be added 2**20 times
    MOST = 1 << 20
    BLOCK = 256            # points whose buckets are found, in vectors, before they are added up

cdef double HALF = <double> (1 << HALF_BITS)


cdef struct Rows:
    double low, high                  # the cuts
    double near, near_scale           # the window, and what is outside of it
    double far, far_scale
    double near_size, far_size
    double first, last                # buckets of the second and the third row


cdef bint set_up(
    Rows* rows, const double[::1] cuts, const double[:, ::1] layout, Py_ssize_t n, Py_ssize_t buckets,
) noexcept:
    """Take in the origin, scale, size and first bucket of each row; whether they fit. The outer two are of one grid."""
    cdef Py_ssize_t k
    if cuts.shape[0] != 2 or layout.shape[0] != 3 or layout.shape[1] != 4 or not 0 < n <= MOST:
        return False
    for k in range(3):
        if not (0 <= layout[k, 2] and 0 <= layout[k, 3] and layout[k, 2] + layout[k, 3] <= buckets):
            return False
    rows.low, rows.high = cuts[0], cuts[1]
    rows.far, rows.far_scale, rows.far_size = layout[0, 0], layout[0, 1], layout[0, 2]
    rows.near, rows.near_scale, rows.near_size = layout[1, 0], layout[1, 1], layout[1, 2]
    rows.first, rows.last = layout[1, 3], layout[2, 3]
    return (layout[0, 3] == 0 and layout[0, 0] == layout[2, 0] and layout[0, 1] == layout[2, 1]
            and layout[0, 2] == layout[2, 2])


cdef inline bint places_of(
    const Rows* rows, const real* points, Py_ssize_t n, int32_t* buckets, int32_t* highs, int32_t* lows,
) noexcept nogil:
    """Find the buckets of n points and the halves of their offsets; whether each is in one, as no NaN is."""
    cdef double low = rows.low, high = rows.high
    cdef double near = rows.near, near_scale = rows.near_scale, near_size = rows.near_size
    cdef double far = rows.far, far_scale = rows.far_scale, far_size = rows.far_size
    cdef double middle = rows.first, last = rows.last
    cdef double places[BLOCK]
    cdef double firsts[BLOCK]
    cdef double y, origin, scale, size, first, place, rest
    cdef int32_t bucket, half, all_of_them = 0
    cdef Py_ssize_t i
    for i in range(n):
        y = <double> points[i]
        origin, scale = near if y < high else far, near_scale if y < high else far_scale
        size, first = near_size if y < high else far_size, middle if y < high else last
        origin, scale = far if y < low else origin, far_scale if y < low else scale
        size, first = far_size if y < low else size, 0.0 if y < low else first
        place = (y - origin) * scale
        place = place if place < size else -1.0
        places[i], firsts[i] = place if place >= 0 else -1.0, first
    for i in range(n):
        bucket = <int32_t> places[i]
        rest = (places[i] - <double> bucket) * HALF
        half = <int32_t> rest
        highs[i] = half
        lows[i] = <int32_t> ((rest - <double> half) * HALF)
        buckets[i] = bucket + <int32_t> firsts[i]
        all_of_them |= bucket
    return all_of_them >= 0


cdef bint add_up(const Rows* rows, const real* points, Py_ssize_t n, bint squares, int64_t* totals) noexcept nogil:
    """Add n points to the totals of their buckets, 2 each, or with `squares` 5; whether all are in one."""
    cdef Py_ssize_t start, size, i
    cdef int32_t buckets[BLOCK]
    cdef int32_t highs[BLOCK]
    cdef int32_t lows[BLOCK]
    cdef int64_t high, low
    cdef int64_t* total
    for start in range(0, n, 256):
        size = min(n - start, <Py_ssize_t> BLOCK)
        if not places_of(rows, points + start, size, buckets, highs, lows):
            return False
        if squares:
            for i in range(size):
                total = totals + 5 * buckets[i]
                high, low = highs[i], lows[i]
                total[0] += 1
                total[1] += (high << HALF_BITS) + low
                total[2] += high * high
                total[3] += high * low
                total[4] += low * low
        else:
            for i in range(size):
                total = totals + 2 * buckets[i]
                total[0] += 1
                total[1] += (<int64_t> highs[i] << HALF_BITS) + lows[i]
    return True


cdef Py_ssize_t selected(
    const Rows* rows, const real* points, Py_ssize_t n, const int32_t* numbers, double* out, uint16_t* number_of,
) noexcept nogil:
    """Write the points whose bucket has a number to `out`; how many, or -1 if one is in no bucket."""
    cdef Py_ssize_t start, size, i, found = 0
    cdef int32_t buckets[BLOCK]
    cdef int32_t highs[BLOCK]
    cdef int32_t lows[BLOCK]
    cdef int32_t number
    for start in range(0, n, 256):
        size = min(n - start, <Py_ssize_t> BLOCK)
        if not places_of(rows, points + start, size, buckets, highs, lows):
            return -1
        for i in range(size):
            number = numbers[buckets[i]]
            out[found] = <double> points[start + i]
            number_of[found] = <uint16_t> number
            found += number >= 0
    return found


def count(const real[::1] points not None, const double[::1] cuts not None, const double[:, ::1] layout not None,
          bint squares, int64_t[:, ::1] totals not None):
    """Add at most 2**20 points to the totals of their buckets; False if one is in none.

    `layout` has for each row its origin, one over the width, the number of buckets, and that of its first one.
    Totals are the number of points, the sum of their offsets, and with `squares` the sums of the products of the upper
    halves of the offsets with themselves, of upper and lower halves, and of the lower ones.
    """
    cdef Rows rows
    cdef bint added
    cdef Py_ssize_t n = points.shape[0]
    if not set_up(&rows, cuts, layout, n, totals.shape[0]) or totals.shape[1] != (5 if squares else 2):
        raise ValueError("count: a buffer is too short")
    with nogil:
        added = add_up(&rows, &points[0], n, squares, &totals[0, 0])
    return added


def select(const real[::1] points not None, const double[::1] cuts not None, const double[:, ::1] layout not None,
           const int32_t[::1] numbers not None, double[::1] out not None, uint16_t[::1] number_of not None):
    """Write the points of the buckets with a number to `out`, in order, and these numbers to `number_of`; how many.

    `numbers` has one for each bucket, below 0 for those that are left out. -1 if a point is in none.
    """
    cdef Rows rows
    cdef Py_ssize_t found, n = points.shape[0]
    if not set_up(&rows, cuts, layout, n, numbers.shape[0]) or out.shape[0] < n or number_of.shape[0] < n:
        raise ValueError("select: a buffer is too short")
    with nogil:
        found = selected(&rows, &points[0], n, &numbers[0], &out[0], &number_of[0])
    return found
