"""The types that annotations share. They are imported for type checkers only, so that they cost nothing at run time."""
from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal, ParamSpec, Protocol, SupportsFloat, TypeAlias, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastgd._kernels import losses as kernels
from fastgd.results import DescentResult

#: Data: float32 or float64.
FloatArray: TypeAlias = NDArray[np.floating[Any]]
DoubleArray: TypeAlias = NDArray[np.float64]
IndexArray: TypeAlias = NDArray[np.intp]
#: One number for the constant model, an array for a linear one.
Theta: TypeAlias = float | DoubleArray

Number: TypeAlias = float | np.floating[Any] | np.integer[Any]
Count: TypeAlias = int | np.integer[Any]
Interval: TypeAlias = tuple[Number, Number] | Sequence[Number] | NDArray[Any]

#: loss(theta, dataset) -> float, the gradient too; the points come as the caller's own kind of data.
ConstantFunction: TypeAlias = Callable[[float, Any], SupportsFloat]
#: loss(theta, X, y) or loss(theta, y, X=X) -> float.
LossFunction: TypeAlias = Callable[..., SupportsFloat]
#: The same, and an array with X.
GradientFunction: TypeAlias = Callable[..., SupportsFloat | ArrayLike]

#: A learning rate, or a function of the update.
Rate: TypeAlias = Number | Callable[[int], SupportsFloat]
Alpha: TypeAlias = Rate | Literal["auto"]
Progress: TypeAlias = bool | Literal["bar"]
Random: TypeAlias = (
    Count | np.random.SeedSequence | np.random.BitGenerator | np.random.Generator | np.random.RandomState | None)

#: What a kernel knows a loss by.
KernelLoss: TypeAlias = (
    kernels.SquaredError | kernels.AbsoluteError | kernels.Huber | kernels.Quartic | kernels.CrossEntropy
    | kernels.Pinball | kernels.LogCosh | kernels.EpsilonInsensitive | kernels.CFunctions | kernels.CFunctionsWithData)

AnyTheta = TypeVar("AnyTheta", float, DoubleArray)
#: Raising StopIteration ends the run.
Callback: TypeAlias = Callable[["DescentResult[AnyTheta]"], object]

P = ParamSpec("P")
R = TypeVar("R")
Part = TypeVar("Part")
R_co = TypeVar("R_co", covariant=True)


class Fused(Protocol[P, R_co]):
    """A function of a kernel that was compiled for several types, and is indexed by their names: "Huber|double"."""

    def __getitem__(self, types: str, /) -> Callable[P, R_co]: ...

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R_co: ...


class Rates(Protocol):
    """The learning rates of a run: those of `count` updates from `start` on, or fewer of them."""

    @property
    def is_constant(self) -> bool: ...

    def __call__(self, start: int, count: int) -> DoubleArray: ...


class Runner(Protocol):
    """What makes the updates of one method; `fastgd._runners` says how."""

    @property
    def theta(self) -> Theta: ...

    @property
    def previous(self) -> Theta: ...

    @property
    def is_deterministic(self) -> bool: ...

    def buffer(self, limit: int, every: bool) -> tuple[int, DoubleArray]: ...

    def advance(self, alphas: DoubleArray, thetas: DoubleArray) -> tuple[int, bool]: ...
