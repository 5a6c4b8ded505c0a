import numpy as np
from numpy.typing import NDArray

from fastgd._types import DoubleArray, FloatArray

def count(points: FloatArray, layout: DoubleArray, squares: bool, totals: NDArray[np.int64]) -> bool: ...

def select(points: FloatArray, layout: DoubleArray, numbers: NDArray[np.int32],
           out: DoubleArray, number_of: NDArray[np.uint16]) -> int: ...
