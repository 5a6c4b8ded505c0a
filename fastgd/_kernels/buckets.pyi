from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastgd._types import DoubleArray, FloatArray

def count(points: FloatArray, cuts: DoubleArray, layout: DoubleArray, squares: bool,
          totals: NDArray[np.int64]) -> bool: ...

def select(points: FloatArray, cuts: DoubleArray, layout: DoubleArray, wanted: NDArray[Any],
           out: DoubleArray) -> int: ...
