"""Results are equal if their contents are."""
from __future__ import annotations

from dataclasses import fields
from typing import Any

import numpy as np


def same_fields(left: Any, right: Any) -> bool:
    """Whether two dataclass objects of one class agree in every field that is compared."""
    return all(same(getattr(left, field.name), getattr(right, field.name)) for field in fields(left) if field.compare)


def same(left: Any, right: Any) -> bool:
    """Whether two numbers, arrays of numbers or values of any type are equal; a NaN equals a NaN."""
    if isinstance(left, np.ndarray) and isinstance(right, np.ndarray):
        return np.array_equal(left, right, equal_nan=True)
    if isinstance(left, np.ndarray) or isinstance(right, np.ndarray):
        return False
    return bool(left == right or (left != left and right != right))
