"""Resolve the `rng` argument of a call."""
from __future__ import annotations

import numpy as np

from fastgd._frames import described, typed_value
from fastgd._validation import is_integer_of_numpy


def bit_generator_of(rng: object, name: str = "rng") -> np.random.BitGenerator:
    """Return the bit generator of `rng`, shared and not copied; None is numpy's global state, for np.random.seed."""
    if rng is None or rng is np.random:
        return np.random.get_bit_generator()    # type: ignore[attr-defined]    # numpy's stub lacks it
    if isinstance(rng, np.random.BitGenerator):
        return rng
    if isinstance(rng, np.random.Generator):
        return rng.bit_generator
    if isinstance(rng, np.random.RandomState):
        return rng._bit_generator    # RandomState has no public attribute for it
    if isinstance(rng, np.random.SeedSequence):
        return np.random.PCG64(rng)
    if (isinstance(rng, int) and not isinstance(rng, bool)) or is_integer_of_numpy(rng):
        if rng < 0:
            raise ValueError(f"The '{name}' parameter must be a seed of at least 0. Got {described(rng)} instead.")
        return np.random.PCG64(int(rng))
    raise TypeError(f"The '{name}' parameter must be None, an int, a numpy.random.SeedSequence, BitGenerator, "
                    f"Generator or RandomState. Got {typed_value(rng)}.")
