"""Types of annotations, imported by type checkers only, so that they cost nothing at run time."""
from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Literal, ParamSpec, Protocol, SupportsFloat, TypeAlias, TypedDict, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

if TYPE_CHECKING:
    from fastgd.results import DescentResult

#: Data: float32 or float64.
FloatArray: TypeAlias = NDArray[np.floating[Any]]
DoubleArray: TypeAlias = NDArray[np.float64]
IndexArray: TypeAlias = NDArray[np.intp]
Integers: TypeAlias = NDArray[np.int64]
#: One number for the constant model, an array for a linear one.
Theta: TypeAlias = float | DoubleArray

Number: TypeAlias = float | np.floating[Any] | np.integer[Any]
Count: TypeAlias = int | np.integer[Any]
Interval: TypeAlias = tuple[Number, Number] | Sequence[Number] | NDArray[Any]

#: loss(theta, dataset) -> float, or its gradient; `dataset` has the type of the caller's data.
ConstantFunction: TypeAlias = Callable[[float, Any], SupportsFloat]
#: loss(theta, X, y) or loss(theta, y, X=X) -> float.
LossFunction: TypeAlias = Callable[..., SupportsFloat]
#: gradient(theta, X, y) or gradient(theta, y, X=X): an array with X, else a float.
GradientFunction: TypeAlias = Callable[..., SupportsFloat | ArrayLike]

#: A learning rate, or a function of the update.
Rate: TypeAlias = Number | Callable[[int], SupportsFloat]
Alpha: TypeAlias = Rate | Literal["auto"]
BatchAlpha: TypeAlias = Alpha | Literal["adaptive"]
Progress: TypeAlias = bool | Literal["bar"]
Random: TypeAlias = (
    Count | np.random.SeedSequence | np.random.BitGenerator | np.random.Generator | np.random.RandomState | None)

#: Loss of a kernel: an object of one of the classes of `fastgd._kernels.losses`.
KernelLoss: TypeAlias = Any

AnyTheta = TypeVar("AnyTheta", float, DoubleArray)
#: Raising StopIteration ends the run.
Callback: TypeAlias = Callable[["DescentResult[AnyTheta]"], object]

P = ParamSpec("P")
R = TypeVar("R")
Part = TypeVar("Part")
R_co = TypeVar("R_co", covariant=True)


class Fused(Protocol[P, R_co]):
    """Kernel function compiled for several types, and indexed by their names: "Huber|double"."""

    def __getitem__(self, types: str, /) -> Callable[P, R_co]: ...

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R_co: ...


class CompiledMean(Protocol):
    """Compiled loss or gradient, whose mean a kernel computes; `fastgd.losses.base` implements it."""

    @property
    def is_gradient(self) -> bool: ...

    @property
    def kernel(self) -> KernelLoss: ...

    @property
    def at_once(self) -> int: ...

    def version(self, function: Fused[P, R], dtype: np.dtype[Any]) -> Callable[P, R]: ...


class Rates(Protocol):
    """Learning rates of a run, as a function: those of `count` updates from `start` on, or fewer."""

    @property
    def is_constant(self) -> bool: ...

    def __call__(self, start: int, count: int) -> DoubleArray: ...


class PointsOptions(TypedDict, total=False):
    """Options of any descent whose types differ without X."""

    fit_intercept: Literal[False]
    theta0: Number
    callback: Callback[float] | None


class RowsOptions(TypedDict, total=False):
    """Options of any descent whose types differ with X."""

    fit_intercept: bool
    theta0: ArrayLike
    callback: Callback[DoubleArray] | None
