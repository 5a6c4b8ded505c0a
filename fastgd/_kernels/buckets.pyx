"""Counts and sums of points by bucket, in integers, which come out the same in whatever order they are added.

The buckets lie in three rows, of points below the first of two cuts, between them, and from the second on. Each row has
an origin and a width that is a power of two, so that only `y - origin` is rounded: its whole part in units of the width
is the bucket's place in the row, and the rest, in units of 2**-42 of a width, the offset of the point in it.
`fastgd._source.buckets` does the same in numpy.
"""
from libc.stdint cimport int32_t, int64_t, uint16_t

from fastgd._kernels.losses cimport real

cdef enum:
    ROWS = 3
    OFFSET_BITS = 42
    HALF_BITS = 21         # of an offset: products of two halves can be added 2**20 times
    MOST = 1 << 20
    BLOCK = 256            # points whose buckets are found before they are added up

cdef double OFFSETS = <double> (<int64_t> 1 << OFFSET_BITS)
cdef int64_t LOW = (<int64_t> 1 << HALF_BITS) - 1


cdef struct Row:
    double origin
    double scale
    double size
    Py_ssize_t first


cdef struct Rows:
    double low
    double high
    Row rows[ROWS]


cdef bint set_up(
    Rows* rows, const double[::1] cuts, const double[:, ::1] layout, Py_ssize_t n, Py_ssize_t buckets,
) noexcept:
    """Take in the origin, scale, size and first bucket of each row; whether they fit."""
    cdef Py_ssize_t k
    if cuts.shape[0] != 2 or layout.shape[0] != ROWS or layout.shape[1] != 4 or n > MOST:
        return False
    rows.low, rows.high = cuts[0], cuts[1]
    for k in range(ROWS):
        rows.rows[k].origin, rows.rows[k].scale, rows.rows[k].size = layout[k, 0], layout[k, 1], layout[k, 2]
        if not (0 <= layout[k, 2] and 0 <= layout[k, 3] and layout[k, 2] + layout[k, 3] <= buckets):
            return False
        rows.rows[k].first = <Py_ssize_t> layout[k, 3]
    return True


cdef inline Py_ssize_t bucket_of(const Rows* rows, double y, int64_t* offset) noexcept nogil:
    """The bucket of a point, and its offset there; below 0 if it is in none, or NaN."""
    cdef const Row* row = &rows.rows[(y >= rows.low) + (y >= rows.high)]    # a branch here would be foretold badly
    cdef double place = (y - row.origin) * row.scale
    cdef bint is_there = 0 <= place < row.size
    place = place if is_there else 0
    cdef int64_t bucket = <int64_t> place
    offset[0] = <int64_t> ((place - <double> bucket) * OFFSETS)
    return row.first + bucket if is_there else -1


cdef Py_ssize_t add_up(
    const Rows* rows, const real* points, Py_ssize_t n, bint squares, int64_t* totals,
) noexcept nogil:
    """Add n points to the totals of their buckets, 2 each, or with `squares` 5; the number of those that were added."""
    cdef Rows mine = rows[0]    # which no total can be a part of
    cdef Py_ssize_t start, size, i, bucket
    cdef Py_ssize_t buckets[BLOCK]
    cdef int64_t offsets[BLOCK]
    cdef int64_t high, low
    cdef int64_t* total
    for start in range(0, n, 256):
        size = min(n - start, <Py_ssize_t> BLOCK)
        bucket = 0
        for i in range(size):
            buckets[i] = bucket_of(&mine, <double> points[start + i], &offsets[i])
            bucket |= buckets[i]
        if bucket < 0:
            return start
        if squares:
            for i in range(size):
                total = totals + buckets[i] * 5
                high, low = offsets[i] >> HALF_BITS, offsets[i] & LOW
                total[0] += 1
                total[1] += offsets[i]
                total[2] += high * high
                total[3] += high * low
                total[4] += low * low
        else:
            for i in range(size):
                total = totals + buckets[i] * 2
                total[0] += 1
                total[1] += offsets[i]
    return n


def count(const real[::1] points not None, const double[::1] cuts not None, const double[:, ::1] layout not None,
          bint squares, int64_t[:, ::1] totals not None):
    """Add at most 2**20 points to the totals of their buckets; False if one is in none.

    `layout` has for each row its origin, one over the width, the number of buckets, and that of its first one.
    Totals are the number of points, the sum of their offsets, and with `squares` the sums of the products of the upper
    halves of the offsets with themselves, of upper and lower halves, and of the lower ones.
    """
    cdef Rows rows
    cdef Py_ssize_t added, n = points.shape[0]
    if not set_up(&rows, cuts, layout, n, totals.shape[0]) or totals.shape[1] != (5 if squares else 2):
        raise ValueError("count: a buffer is too short")
    if n == 0:
        return True
    with nogil:
        added = add_up(&rows, &points[0], n, squares, &totals[0, 0])
    return added == n


def select(const real[::1] points not None, const double[::1] cuts not None, const double[:, ::1] layout not None,
           const int32_t[::1] numbers not None, double[::1] out not None, uint16_t[::1] number_of not None):
    """Write the points of the buckets with a number to `out`, in order, and these numbers to `number_of`; how many.

    `numbers` has one for each bucket, below 0 for those that are left out.
    """
    cdef Rows rows
    cdef Py_ssize_t i, bucket, n = points.shape[0], found = 0
    cdef int64_t offset = 0
    cdef int32_t number
    if not set_up(&rows, cuts, layout, n, numbers.shape[0]) or out.shape[0] < n or number_of.shape[0] < n:
        raise ValueError("select: a buffer is too short")
    with nogil:
        for i in range(n):
            bucket = bucket_of(&rows, <double> points[i], &offset)
            number = numbers[bucket] if bucket >= 0 else -1
            out[found] = <double> points[i]
            number_of[found] = <uint16_t> number
            found += number >= 0
    return found
