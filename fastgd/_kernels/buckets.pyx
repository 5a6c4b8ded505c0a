"""Counts and sums of points by bucket, in integers, which come out the same in whatever order they are added.

The buckets lie in rows, one after another. Each row has an origin and a width that is a power of two, so that only
`y - origin` is rounded: its whole part in units of the width is the bucket's place in the row, and the rest, in units
of 2**-42 of a width, the offset of the point in it. `fastgd._source.buckets` does the same in numpy.
"""
from libc.stdint cimport int32_t, int64_t, uint16_t

from fastgd._kernels.losses cimport real

cdef enum:
    HALF_BITS = 21         # of an offset: products of two halves can be added 2**20 times
    MOST = 1 << 20
    MOST_ROWS = 32
    BLOCK = 256            # points whose buckets are found, in vectors, before they are added up

cdef double HALF = <double> (1 << HALF_BITS)


cdef struct Row:
    double cut          # where it begins
    double origin
    double scale
    double size
    double first


cdef struct Rows:
    Py_ssize_t count
    Row rows[MOST_ROWS]


cdef bint set_up(Rows* rows, const double[:, ::1] layout, Py_ssize_t n, Py_ssize_t buckets) noexcept:
    """Take in what is known of each row; whether it fits."""
    cdef Py_ssize_t k
    rows.count = layout.shape[0]
    if layout.shape[1] != 5 or not 0 < rows.count <= MOST_ROWS or not 0 < n <= MOST:
        return False
    for k in range(rows.count):
        if not (0 <= layout[k, 3] and 0 <= layout[k, 4] and layout[k, 3] + layout[k, 4] <= buckets):
            return False
        rows.rows[k].cut, rows.rows[k].origin, rows.rows[k].scale = layout[k, 0], layout[k, 1], layout[k, 2]
        rows.rows[k].size, rows.rows[k].first = layout[k, 3], layout[k, 4]
    return True


cdef inline void take_row(
    const Row* row, bint is_first, const real* points, Py_ssize_t n, double* places, double* firsts,
) noexcept nogil:
    """Find the places in a row of those of n points that are in it, or beyond; -1 for those before and behind it."""
    cdef double cut = row.cut, origin = row.origin, scale = row.scale, size = row.size, first = row.first
    cdef double y, place
    cdef Py_ssize_t i
    for i in range(n):
        y = <double> points[i]
        place = (y - origin) * scale
        place = place if place < size else -1.0
        place = place if place >= 0 else -1.0
        places[i] = place if y >= cut else (-1.0 if is_first else places[i])
        firsts[i] = first if y >= cut else (0.0 if is_first else firsts[i])


cdef inline bint places_of(
    const Rows* rows, const real* points, Py_ssize_t n, int32_t* buckets, int32_t* highs, int32_t* lows,
) noexcept nogil:
    """Find the buckets of n points, -1 for none, as of NaN, and the halves of their offsets; whether each has one."""
    cdef double places[BLOCK]
    cdef double firsts[BLOCK]
    cdef double rest
    cdef int32_t bucket, half, all_of_them = 0
    cdef Py_ssize_t i, k
    take_row(&rows.rows[0], True, points, n, places, firsts)
    for k in range(1, rows.count):
        take_row(&rows.rows[k], False, points, n, places, firsts)
    for i in range(n):
        bucket = <int32_t> places[i]
        rest = (places[i] - <double> bucket) * HALF
        half = <int32_t> rest
        highs[i] = half
        lows[i] = <int32_t> ((rest - <double> half) * HALF)
        buckets[i] = bucket + <int32_t> firsts[i] if bucket >= 0 else -1
        all_of_them |= bucket
    return all_of_them >= 0


cdef bint add_up(
    const Rows* rows, const real* points, Py_ssize_t n, bint squares, int64_t* totals,
) noexcept nogil:
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
    """Write the points whose bucket has a number to `out`; how many."""
    cdef Py_ssize_t start, size, i, found = 0
    cdef int32_t buckets[BLOCK]
    cdef int32_t highs[BLOCK]
    cdef int32_t lows[BLOCK]
    cdef int32_t number, missing
    for start in range(0, n, 256):
        size = min(n - start, <Py_ssize_t> BLOCK)
        places_of(rows, points + start, size, buckets, highs, lows)
        for i in range(size):
            missing = buckets[i] >> 31    # -1 or 0: a branch would be foretold badly
            number = numbers[buckets[i] & ~missing] | missing
            out[found] = <double> points[start + i]
            number_of[found] = <uint16_t> number
            found += number >= 0
    return found


def count(const real[::1] points not None, const double[:, ::1] layout not None,
          bint squares, int64_t[:, ::1] totals not None):
    """Add at most 2**20 points to the totals of their buckets; False if one is in none.

    `layout` has for each row where it begins, its origin, one over the width of its buckets, how many there are, and
    the number of the first.
    Totals are the number of points, the sum of their offsets, and with `squares` the sums of the products of the upper
    halves of the offsets with themselves, of upper and lower halves, and of the lower ones.
    """
    cdef Rows rows
    cdef bint added
    cdef Py_ssize_t n = points.shape[0]
    if not set_up(&rows, layout, n, totals.shape[0]) or totals.shape[1] != (5 if squares else 2):
        raise ValueError("count: a buffer is too short")
    with nogil:
        added = add_up(&rows, &points[0], n, squares, &totals[0, 0])
    return added


def select(const real[::1] points not None, const double[:, ::1] layout not None,
           const int32_t[::1] numbers not None, double[::1] out not None, uint16_t[::1] number_of not None):
    """Write the points of the buckets with a number to `out`, in order, and these numbers to `number_of`; how many.

    `numbers` has one for each bucket, below 0 for those that are left out, as are points that are in none.
    """
    cdef Rows rows
    cdef Py_ssize_t found, n = points.shape[0]
    if not set_up(&rows, layout, n, numbers.shape[0]) or out.shape[0] < n or number_of.shape[0] < n:
        raise ValueError("select: a buffer is too short")
    with nogil:
        found = selected(&rows, &points[0], n, &numbers[0], &out[0], &number_of[0])
    return found
