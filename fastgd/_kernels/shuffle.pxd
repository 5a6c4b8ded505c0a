"""numpy's shuffle of a 1-D array, in place, on numpy's own bit generators.

For i = n - 1 down to 1: draw j uniformly from 0 .. i, swap values[i] and values[j] (R. Durstenfeld, "Algorithm 235:
random permutation", CACM 7, 1964). j is a draw masked to the smallest 2**b - 1 >= i, repeated until it is <= i.
The draws are numpy's, one for one, and so are the result and the state in which the generator is left.

A naive loop waits for the mispredicted branch of the rejection and for the cache miss of values[j]. So the indices of
up to 64 swaps that share a mask are drawn ahead without a branch, and none is drawn in vain; those of the next block
are drawn while the memory of this one is prefetched.
"""
cimport cython
from libc.stdint cimport uint32_t, uint64_t

from fastgd._kernels.mean cimport prefetch

cdef struct bitgen_t:    # numpy/random/bitgen.h
    void* state
    uint64_t (*next_uint64)(void* state) noexcept nogil
    uint32_t (*next_uint32)(void* state) noexcept nogil
    double (*next_double)(void* state) noexcept nogil
    uint64_t (*next_raw)(void* state) noexcept nogil

ctypedef fused item:    # points, or the indices of rows
    float
    double
    Py_ssize_t

cdef enum:
    DRAWN_AHEAD = 64
    SWAPS_AT_ONCE = 1 << 20


cdef inline Py_ssize_t draw_block(bitgen_t* generator, Py_ssize_t i, Py_ssize_t bottom, uint64_t* drawn) noexcept nogil:
    """Draw partners for i, i - 1, ... above `bottom`, as many as fit and share the mask of i; return their number."""
    cdef uint64_t mask = <uint64_t> i, left = <uint64_t> i, v
    cdef Py_ssize_t k = 0, count
    cdef uint32_t mask32, left32, v32
    mask |= mask >> 1
    mask |= mask >> 2
    mask |= mask >> 4
    mask |= mask >> 8
    mask |= mask >> 16
    mask |= mask >> 32
    count = i - <Py_ssize_t> (mask >> 1)    # i down to (mask >> 1) + 1 share the mask
    count = min(count, min(i - bottom, <Py_ssize_t> DRAWN_AHEAD))
    if mask >> 32 == 0:
        mask32, left32 = <uint32_t> mask, <uint32_t> left
        while k < count:
            v32 = generator.next_uint32(generator.state) & mask32
            drawn[k] = v32
            k += v32 <= left32
            left32 = <uint32_t> i - <uint32_t> k
    else:
        while k < count:
            v = generator.next_uint64(generator.state) & mask
            drawn[k] = v
            k += v <= left
            left = <uint64_t> (i - k)
    return count


cdef inline void shuffle_between(bitgen_t* generator, item* values, Py_ssize_t top, Py_ssize_t bottom) noexcept nogil:
    """Make the swaps of i = top, top - 1, ..., bottom + 1."""
    cdef uint64_t drawn[2][DRAWN_AHEAD]
    cdef Py_ssize_t i = top, k, count, following
    cdef int now = 0
    cdef item held
    count = draw_block(generator, i, bottom, drawn[now]) if i > bottom else 0
    for k in range(count):
        prefetch(&values[drawn[now][k]])
    while count > 0:
        following = 0
        if i - count > bottom:
            following = draw_block(generator, i - count, bottom, drawn[1 - now])
            for k in range(following):
                prefetch(&values[drawn[1 - now][k]])
        for k in range(count):
            held = values[i - k]
            values[i - k] = values[drawn[now][k]]
            values[drawn[now][k]] = held
        i -= count
        count = following
        now = 1 - now


@cython.final
cdef class Visits:
    cdef bitgen_t* generator
    cdef readonly object capsule
    cdef readonly Py_ssize_t n, batch_size, position, swaps


cdef inline bint begin_epoch(Visits visits, item* values, Py_ssize_t* budget) noexcept nogil:
    """Shuffle at the end of an epoch, or continue a shuffle; return False if the budget of swaps is used up first."""
    cdef Py_ssize_t bottom
    if visits.position >= visits.n:
        visits.position = 0
        visits.swaps = visits.n - 1
    if visits.swaps > 0:
        bottom = max(<Py_ssize_t> 0, visits.swaps - budget[0])
        shuffle_between(visits.generator, values, visits.swaps, bottom)
        budget[0] -= visits.swaps - bottom
        visits.swaps = bottom
    return visits.swaps == 0


cdef inline Py_ssize_t visits_left(Visits visits) noexcept nogil:
    """Updates until the end of the epoch."""
    return (visits.n - visits.position + visits.batch_size - 1) // visits.batch_size
