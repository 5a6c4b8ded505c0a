"""Gradient descent on losses: the textbook's functions and answers, compiled.

    mse, abs_loss, huber_loss, quartic_loss, pinball_loss, log_cosh, epsilon_insensitive, cross_entropy
                            losses, called ``f(theta, dataset)``; each has its gradient, grad_mse, grad_abs_loss, ...
    simple_minimize         grid search
    minimize                gradient descent on all of the data at once
    minimize_sgd            an update for each point of the shuffled data
    minimize_mini_batch     an update for each slice of them
    minimize_multistart     descents from several starts, and the distinct minima
    is_convex               a chord that cuts below the curve of a loss
    check_gradient          a gradient against differences of its loss
    DescentResult, ConvergenceWarning, DivergenceError
                            what a descent gives back, and what it says when it did not go well
    show_config             the CPU, the kernels in use for it, compiler, numpy, threads
    fastgd.losses           the losses as classes with parameters, Huber(delta=2); your own from C functions
    fastgd.schedules        learning rates that change with the update
    fastgd.penalties        what keeps the weights of a model small: L1, L2, ElasticNet
    fastgd.plot             pictures, on matplotlib
    fastgd.reference        all of this in plain numpy, whose bits it has
    fastgd.datasets         the tips data

With ``X=`` the losses and the descents are those of a linear model.

The kernels release the interpreter's lock and keep no state: many descents may run in threads at once, and one
generator may serve them all. Whatever is not stochastic can use several threads of its own, ``n_threads=2``, with the
same bits. The loops are built for several levels of CPUs, with the same bits. Ctrl-C is answered within 0.1 s on any
size of data. The package is typed, for ``mypy --strict``.
"""
from typing import TYPE_CHECKING, Any

from fastgd import datasets, losses, penalties, reference, schedules
from fastgd._config import __version__ as __version__
from fastgd._config import show_config
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
    "penalties",
    "reference",
    "schedules",
    "show_config",
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
    return sorted([*__all__, "__version__", "plot"])
