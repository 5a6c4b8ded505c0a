from cpython.pycapsule cimport PyCapsule_GetPointer


def shuffle(object capsule, item[::1] values not None, Py_ssize_t top, Py_ssize_t bottom):
    """Make the swaps of i = `top` down to `bottom` + 1 of a shuffle; the caller holds the generator's lock.

    ``shuffle(capsule, values, len(values) - 1, 0)`` is the whole of it.
    """
    cdef bitgen_t* generator = <bitgen_t*> PyCapsule_GetPointer(capsule, "BitGenerator")
    if not 0 <= bottom <= top < values.shape[0]:
        raise ValueError("shuffle: indices out of range")
    with nogil:
        shuffle_between(generator, &values[0], top, bottom)
