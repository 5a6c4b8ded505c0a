from typing import final

from typing_extensions import disjoint_base

from fastgd._types import DoubleArray

@disjoint_base
class Steps:
    ends_when_short: bool

@final
class NumberSteps(Steps):
    def __init__(self, theta: float, tol: float, ends_when_short: bool) -> None: ...
    @property
    def theta(self) -> float: ...
    @property
    def previous(self) -> float: ...

@final
class ArraySteps(Steps):
    def __init__(
        self, theta: DoubleArray, previous: DoubleArray, scratch: DoubleArray, tol: float, ends_when_short: bool,
    ) -> None: ...
    def take_manner(
        self, unit: float, decay: float, shrinkage: float, shift: DoubleArray, sizes: DoubleArray,
    ) -> None: ...
