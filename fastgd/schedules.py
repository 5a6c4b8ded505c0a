"""Learning rates."""
import numpy as np


class Rates:
    """The learning rates of a run, as arrays for the kernels."""

    def __init__(self, alpha):
        self.alpha = alpha
        self._filled = np.empty(0)

    def __call__(self, start, count):
        """The rates of the updates `start` to `start + count - 1`, counted from 0."""
        if len(self._filled) < count:
            self._filled = np.empty(count)
            self._filled.fill(self.alpha)
        return self._filled[:count]
