"""Blocks of twelve rows, and a disk that is full, for the tests of blocks, files and caches."""
import errno
import itertools
import os

import numpy as np
import pandas as pd

Y = np.arange(12.0)
X = np.arange(24.0).reshape(12, 2)
W = np.arange(12) % 3.0
FRAME = pd.DataFrame({"tip": Y, "bill": X[:, 0], "size": X[:, 1], "weight": W})
CUTS = [0, 5, 5, 6, 12]


def itself(piece):
    return piece


def cut(*arrays, cuts=CUTS):
    """The arrays in blocks: of one array, or tuples of several."""
    for start, stop in itertools.pairwise(cuts):
        parts = tuple(None if array is None else array[start:stop] for array in arrays)
        yield parts if len(parts) > 1 else parts[0]


def joined(pieces):
    """X, targets and weights of all pieces."""
    return [None if part[0] is None else np.concatenate(part)
            for part in zip(*(piece[1:] for piece in pieces), strict=True)]


class FullDisk:
    """A file on a disk that is full after so many bytes."""

    def __init__(self, file, left=100):
        self.file, self.left = file, left

    def write(self, data):
        self.left -= data.nbytes
        if self.left < 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return self.file.write(data)

    def __getattr__(self, name):
        return getattr(self.file, name)
