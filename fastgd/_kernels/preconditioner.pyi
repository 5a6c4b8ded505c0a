from typing import final

from fastgd._types import DoubleArray

@final
class PreconditionerKernel:
    def __init__(
        self, shift: DoubleArray, sizes: DoubleArray, unit: float, vectors: DoubleArray | None = None,
        factors: DoubleArray | None = None, intercept_curvature: float = 1.0,
    ) -> None: ...
    @property
    def unit(self) -> float: ...
    def for_curvature(self, curvature: float) -> PreconditionerKernel: ...
    def direction(self, gradient: DoubleArray, out: DoubleArray, workspace: DoubleArray) -> None: ...
    def measure_step(
        self, step: DoubleArray, out: DoubleArray, workspace: DoubleArray,
    ) -> tuple[float, float]: ...
    def proximal_step(
        self, theta: DoubleArray, rate: float, gradient: DoubleArray, l1: float, out: DoubleArray,
        workspace: DoubleArray,
    ) -> None: ...
