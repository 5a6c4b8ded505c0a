"""Robust, quantile and logistic regression for raw data by gradient descent, compiled.

    mse, abs_loss, huber_loss, quartic_loss, pinball_loss, log_cosh, epsilon_insensitive, cross_entropy
                            losses, called ``f(theta, dataset)``; each has its gradient, grad_mse, grad_abs_loss, ...
    simple_minimize         grid search
    minimize                batch gradient descent, an update for each pass over the data
    minimize_sgd            stochastic gradient descent, an update for each point of the shuffled data
    minimize_mini_batch     an update for each slice of the shuffled data
    minimize_multistart     descents from several starts, and the distinct minima
    is_convex               search for a chord that cuts below the curve of a loss
    check_gradient          comparison of a gradient with differences of its loss
    Blocks, open_parquet    data larger than memory: blocks that a function yields, Parquet files
    DescentResult, ConvergenceWarning, DivergenceError, SourceError
                            result of a descent, its warning and its errors
    show_config             the CPU, the kernels in use for it, compiler, numpy, threads
    fastgd.losses           the losses as classes with parameters, Huber(delta=2); your own from C functions
    fastgd.schedules        learning rates that change with the update
    fastgd.penalties        penalties on the weights of a model: L1, L2, ElasticNet
    fastgd.estimators       models for scikit-learn's pipelines
    fastgd.plot             pictures, on matplotlib
    fastgd.reference        the same functions in plain numpy, with the same bits
    fastgd.datasets         the tips data

The public functions and classes of these modules are attributes of fastgd too, ``fastgd.plot_loss``,
``fastgd.load_tips``, except those of fastgd.reference, whose names they share.

With ``X=`` the losses and the descents are those of a linear model.

The kernels release the interpreter's lock and keep no state: many descents may run in threads at once, and share one
generator. Functions that are not stochastic can use several threads, ``n_threads=2``, with the same bits. The loops are
built for several levels of CPUs, with the same bits. Ctrl-C is answered within 0.1 s on any size of data. The package
is typed, for ``mypy --strict``.
"""
from typing import TYPE_CHECKING, Any

from fastgd import losses, penalties, schedules
from fastgd._config import __version__ as __version__
from fastgd._config import show_config
from fastgd.descent import minimize, simple_minimize
from fastgd.losses import builtin
from fastgd.losses.builtin import *  # noqa: F403
from fastgd.results import ConvergenceWarning, DescentResult, DivergenceError, SourceError
from fastgd.stochastic import minimize_mini_batch, minimize_sgd

if TYPE_CHECKING:
    from fastgd import datasets as datasets
    from fastgd import estimators as estimators
    from fastgd import plot as plot
    from fastgd import reference as reference
    from fastgd._data.blocks import Blocks as Blocks
    from fastgd._data.parquet import open_parquet as open_parquet
    from fastgd.datasets import load_tips as load_tips
    from fastgd.diagnostics import check_gradient as check_gradient
    from fastgd.diagnostics import is_convex as is_convex
    from fastgd.estimators import DescentClassifier as DescentClassifier
    from fastgd.estimators import DescentRegressor as DescentRegressor
    from fastgd.multistart import minimize_multistart as minimize_multistart
    from fastgd.penalties import L1 as L1
    from fastgd.penalties import L2 as L2
    from fastgd.penalties import ElasticNet as ElasticNet
    from fastgd.plot import plot_connected_thetas as plot_connected_thetas
    from fastgd.plot import plot_descent as plot_descent
    from fastgd.plot import plot_histogram as plot_histogram
    from fastgd.plot import plot_loss as plot_loss
    from fastgd.plot import plot_one_gd_iter as plot_one_gd_iter
    from fastgd.plot import plot_paths as plot_paths
    from fastgd.plot import plot_tangent_on_loss as plot_tangent_on_loss
    from fastgd.plot import plot_theta_on_loss as plot_theta_on_loss
    from fastgd.plot import points_and_loss as points_and_loss
    from fastgd.schedules import constant as constant
    from fastgd.schedules import cosine as cosine
    from fastgd.schedules import exponential_decay as exponential_decay
    from fastgd.schedules import inverse_scaling as inverse_scaling
    from fastgd.schedules import step_decay as step_decay

#: Public functions and classes by module, and modules, which are imported at the first access as in scipy.
_LAZY = {name: module for module, names in {
    "_data.blocks": ("Blocks",),
    "_data.parquet": ("open_parquet",),
    "datasets": ("load_tips",),
    "diagnostics": ("check_gradient", "is_convex"),
    "estimators": ("DescentClassifier", "DescentRegressor"),
    "multistart": ("minimize_multistart",),
    "penalties": ("ElasticNet", "L1", "L2"),
    "plot": ("plot_connected_thetas", "plot_descent", "plot_histogram", "plot_loss", "plot_one_gd_iter", "plot_paths",
             "plot_tangent_on_loss", "plot_theta_on_loss", "points_and_loss"),
    "schedules": ("constant", "cosine", "exponential_decay", "inverse_scaling", "step_decay"),
}.items() for name in names}
_MODULES = ("datasets", "diagnostics", "estimators", "multistart", "plot", "reference")

#: `import *` brings no names of the modules for pictures, penalties and schedules: a notebook may have its own.
__all__ = [
    "Blocks",
    "ConvergenceWarning",
    "DescentResult",
    "DivergenceError",
    "SourceError",
    "check_gradient",
    "datasets",
    "is_convex",
    "losses",
    "minimize",
    "minimize_mini_batch",
    "minimize_multistart",
    "minimize_sgd",
    "open_parquet",
    "penalties",
    "reference",
    "schedules",
    "show_config",
    "simple_minimize",
]
__all__ += builtin.__all__
__all__.sort()


def __getattr__(name: str) -> Any:
    if name not in _LAZY and name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib

    module = importlib.import_module(f"fastgd.{_LAZY.get(name, name)}")
    found = getattr(module, name) if name in _LAZY else module
    globals()[name] = found    # found without this function from now on
    return found


def __dir__() -> list[str]:
    return sorted({*__all__, *_LAZY, "__version__", "estimators", "plot"})
