"""What a theta is: a float for the constant model, an array of float64 for a linear one."""
from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from typing import TypeGuard

    from fastgd._types import DoubleArray, Theta

_MOST_SHOWN = 8


def is_array(theta: object) -> TypeGuard[DoubleArray]:
    """Whether theta is that of a linear model."""
    return isinstance(theta, np.ndarray) and theta.ndim > 0


def largest(step: Theta) -> float:
    """The size of a step: that of its largest component."""
    return abs(step) if isinstance(step, float) else np.abs(step).max()


def is_finite(theta: Theta) -> bool:
    """Whether all of theta is."""
    return math.isfinite(theta) if isinstance(theta, float) else bool(np.isfinite(theta).all())


def own(theta: Any) -> Theta:
    """A float, or an array that nobody else holds."""
    return np.array(theta) if is_array(theta) else float(theta)


def shown(theta: Theta, form: str = ".6g") -> str:
    """A number, or the first components of an array, for a line of text."""
    if not is_array(theta):
        return format(theta, form)
    parts = [format(value, form) for value in theta[:_MOST_SHOWN]]
    more = len(theta) - len(parts)
    return f"[{' '.join(parts)}{f' ... and {more} more' if more else ''}]"
