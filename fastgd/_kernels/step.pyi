from typing import final

from typing_extensions import disjoint_base

from fastgd._types import DoubleArray

@disjoint_base
class StepState:
    ends_when_short: bool

@final
class NumberSteps(StepState):
    def __init__(self, theta: float, tol: float, ends_when_short: bool) -> None: ...
    @property
    def theta(self) -> float: ...
    @property
    def previous(self) -> float: ...

@final
class ArraySteps(StepState):
    def __init__(
        self, theta: DoubleArray, previous: DoubleArray, scratch: DoubleArray, tol: float, ends_when_short: bool,
    ) -> None: ...
    def set_proximal(
        self, unit: float, l2: float, l1: float, shift: DoubleArray, sizes: DoubleArray,
    ) -> None: ...
