from cpython.pycapsule cimport PyCapsule_GetPointer


cdef class Visits:
    """Epochs of a stochastic run over n points or rows, `batch_size` at a time, shuffled before each epoch.

    `position` is the first that was not visited in this epoch, `swaps` the number of swaps left in its shuffle.
    """

    def __init__(self, object capsule, Py_ssize_t n, Py_ssize_t batch_size):
        if n < 1 or batch_size < 1:
            raise ValueError("Visits: a number out of range")
        self.generator = <bitgen_t*> PyCapsule_GetPointer(capsule, "BitGenerator")
        self.capsule = capsule
        self.n = self.position = n
        self.batch_size = batch_size


def shuffle(object capsule, item[::1] values not None, Py_ssize_t top, Py_ssize_t bottom):
    """Make the swaps of i = `top` down to `bottom` + 1 of a shuffle; the caller holds the generator's lock.

    ``shuffle(capsule, values, len(values) - 1, 0)`` makes all of them.
    """
    cdef bitgen_t* generator = <bitgen_t*> PyCapsule_GetPointer(capsule, "BitGenerator")
    if not 0 <= bottom <= top < values.shape[0]:
        raise ValueError("shuffle: indices out of range")
    with nogil:
        shuffle_between(generator, &values[0], top, bottom)
