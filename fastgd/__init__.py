"""Gradient descent on losses: the textbook's functions and answers, compiled."""
from typing import TYPE_CHECKING, Any

from fastgd import datasets, losses, reference, schedules
from fastgd.convexity import is_convex
from fastgd.descent import minimize, simple_minimize
from fastgd.differences import check_gradient
from fastgd.losses import builtin
from fastgd.losses.builtin import *  # noqa: F403
from fastgd.multistart import minimize_multistart
from fastgd.results import ConvergenceWarning, DescentResult, DivergenceError
from fastgd.stochastic import minimize_mini_batch, minimize_sgd

if TYPE_CHECKING:
    from fastgd import plot as plot

__version__ = "0.1.0"

__all__ = [
    "ConvergenceWarning",
    "DescentResult",
    "DivergenceError",
    "check_gradient",
    "datasets",
    "is_convex",
    "losses",
    "minimize",
    "minimize_mini_batch",
    "minimize_multistart",
    "minimize_sgd",
    "reference",
    "schedules",
    "simple_minimize",
]
__all__ += builtin.__all__
__all__.sort()


def __getattr__(name: str) -> Any:
    if name == "plot":    # imported when it is wanted, as scipy does it
        import importlib

        return importlib.import_module("fastgd.plot")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__, "plot"})
