# The types of the oracle, apart from its code, which a textbook could print.
from collections.abc import Callable, Sequence
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastgd._types import Random

def with_intercept(X: ArrayLike) -> NDArray[np.float64]: ...

class _Mean(Protocol):
    def __call__(
        self, theta: Any, dataset: NDArray[Any], *parameters: float, X: NDArray[Any] | None = None,
        fit_intercept: bool = False, sample_weight: NDArray[Any] | None = None, **named: float) -> Any: ...

mse: _Mean
grad_mse: _Mean
abs_loss: _Mean
grad_abs_loss: _Mean
huber_loss: _Mean
grad_huber_loss: _Mean
quartic_loss: _Mean
grad_quartic_loss: _Mean
cross_entropy: _Mean
grad_cross_entropy: _Mean
pinball_loss: _Mean
grad_pinball_loss: _Mean
log_cosh: _Mean
grad_log_cosh: _Mean
epsilon_insensitive: _Mean
grad_epsilon_insensitive: _Mean

def simple_minimize(
    loss_fn: Callable[..., Any], dataset: NDArray[Any], thetas: Sequence[float] | NDArray[Any]) -> Any: ...
def minimize(
    loss_fn: Callable[..., Any] | None, grad_loss_fn: Callable[..., Any], dataset: NDArray[Any],
    alpha: float | Callable[[int], float] = 0.2, progress: bool = True, *, X: NDArray[Any] | None = None,
    fit_intercept: bool = False, theta0: ArrayLike = 0.0, tol: float = 1e-3, max_iter: int = 100_000,
    stop: Literal["step", "loss"] = "step", l1: float = 0, l2: float = 0, sample_weight: ArrayLike | None = None,
    precondition: Literal["scale", "gram"] | None = None, momentum: Literal["nesterov"] | None = None,
    curvature: float | None = None) -> Any: ...
def minimize_sgd(
    loss_fn: Callable[..., Any] | None, grad_loss_fn: Callable[..., Any], dataset: ArrayLike,
    alpha: float | Callable[[int], float] = 0.2, *, X: NDArray[Any] | None = None, fit_intercept: bool = False,
    rng: Random = None, theta0: ArrayLike = 0.0, tol: float = 1e-3, max_epochs: int = 1000,
    l1: float = 0, l2: float = 0, sample_weight: ArrayLike | None = None, precondition: Literal["scale"] | None = None,
    curvature: float | None = None) -> Any: ...
def minimize_mini_batch(
    loss_fn: Callable[..., Any] | None, grad_loss_fn: Callable[..., Any], dataset: ArrayLike, minibatch_size: int,
    alpha: float | Callable[[int], float] = 0.2, *, X: NDArray[Any] | None = None, fit_intercept: bool = False,
    rng: Random = None, theta0: ArrayLike = 0.0, tol: float = 1e-3, max_epochs: int = 1000,
    l1: float = 0, l2: float = 0, sample_weight: ArrayLike | None = None, precondition: Literal["scale"] | None = None,
    curvature: float | None = None) -> Any: ...
