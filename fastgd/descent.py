"""Batch gradient descent and grid search for one number theta, or with X for the array of a linear model."""
from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, overload

import numpy as np

from fastgd._convergence.finalize import finalize
from fastgd._objective.objective import curve_of, objective_of
from fastgd._options import batch_options
from fastgd._solvers import run_batch
from fastgd._thread_pool import SERIAL, thread_pool
from fastgd._validation import check_dataset

if TYPE_CHECKING:
    from typing import TypedDict, Unpack

    from numpy.typing import ArrayLike

    from fastgd._data.lazy_columns import Table
    from fastgd._types import (
        BatchAlpha,
        Callback,
        ConstantFunction,
        Count,
        DoubleArray,
        GradientFunction,
        LossFunction,
        Number,
        PointsOptions,
        Progress,
        RowsOptions,
        Theta,
    )
    from fastgd.penalties import Penalty
    from fastgd.results import DescentResult

    class _Options(TypedDict, total=False):
        tol: Number
        max_iter: Count
        stop: Literal["step", "loss"]
        n_threads: Count | None
        precondition: Literal["scale", "gram"] | None
        momentum: Literal["nesterov"] | None
        penalty: Penalty | None
        sample_weight: ArrayLike | None

    class OptionsOfPoints(_Options, PointsOptions): ...

    class OptionsOfRows(_Options, RowsOptions): ...

__all__ = ["minimize", "simple_minimize"]


def simple_minimize(loss_fn: ConstantFunction, dataset: ArrayLike, thetas: ArrayLike, *,
                    n_threads: Count | None = None) -> float:
    """Search a grid: return the first of `thetas` at which the loss is least.

    The error is up to the spacing of the grid, whose range must contain the minimum; `minimize` needs no grid.

    Parameters
    ----------
    loss_fn : Loss or callable
        ``loss_fn(theta, dataset) -> float``. One of fastgd's own is evaluated at all thetas in one compiled call.
    dataset : array-like of shape (n,)
        Points; finite real numbers, which are not changed.
    thetas : array-like of shape (m,)
        Finite candidates, in the units of the data.
    n_threads : int or None, default None
        Threads that share the work where thetas times points are more than 1e6, for a loss of fastgd's own; None is 1,
        -1 as many as there are cores. The bits do not depend on it.

    Returns
    -------
    float
        The first theta with the smallest loss.

    Raises
    ------
    TypeError, ValueError
        If an argument is not as described.
    ArithmeticError
        If the loss is NaN or infinite at every theta.

    Examples
    --------
    >>> import numpy as np
    >>> from fastgd import mse, simple_minimize
    >>> simple_minimize(mse, [12, 13, 15, 16, 17], np.arange(12, 18, 0.1))
    14.59999999999999
    """
    evaluate = curve_of(loss_fn, threads=thread_pool(n_threads))
    candidates = check_dataset(thetas, "thetas")
    losses = evaluate(dataset).curve(candidates)
    if not np.isfinite(losses).any():
        raise ArithmeticError(f"{loss_fn!r} is NaN or infinite at every one of the {len(candidates)} thetas.")
    return candidates.item(np.nanargmin(losses))


# Theta is a float, with X an array; with `history` or `full_output` a result holds it. Blocks may bring X with them.

@overload
def minimize(
    loss_fn: LossFunction | None, grad_loss_fn: GradientFunction | None, dataset: Table, alpha: BatchAlpha = 0.2,
    progress: Progress = True, *,
    X: ArrayLike | None = None, history: bool = False, full_output: bool = False, **options: Unpack[OptionsOfRows],
) -> Any: ...
@overload
def minimize(
    loss_fn: ConstantFunction | None, grad_loss_fn: ConstantFunction | None, dataset: ArrayLike,
    alpha: BatchAlpha = 0.2, progress: Progress = True, *,
    X: None = None, history: Literal[False] = False, full_output: Literal[False] = False,
    **options: Unpack[OptionsOfPoints],
) -> float: ...
@overload
def minimize(
    loss_fn: LossFunction | None, grad_loss_fn: GradientFunction | None, dataset: ArrayLike, alpha: BatchAlpha = 0.2,
    progress: Progress = True, *,
    X: ArrayLike, history: Literal[False] = False, full_output: Literal[False] = False,
    **options: Unpack[OptionsOfRows],
) -> DoubleArray: ...
@overload
def minimize(
    loss_fn: ConstantFunction | None, grad_loss_fn: ConstantFunction | None, dataset: ArrayLike,
    alpha: BatchAlpha = 0.2, progress: Progress = True, *,
    X: None = None, history: Literal[True], full_output: bool = False,
    **options: Unpack[OptionsOfPoints],
) -> DescentResult[float]: ...
@overload
def minimize(
    loss_fn: LossFunction | None, grad_loss_fn: GradientFunction | None, dataset: ArrayLike, alpha: BatchAlpha = 0.2,
    progress: Progress = True, *,
    X: ArrayLike, history: Literal[True], full_output: bool = False,
    **options: Unpack[OptionsOfRows],
) -> DescentResult[DoubleArray]: ...
@overload
def minimize(
    loss_fn: ConstantFunction | None, grad_loss_fn: ConstantFunction | None, dataset: ArrayLike,
    alpha: BatchAlpha = 0.2, progress: Progress = True, *,
    X: None = None, history: bool = False, full_output: Literal[True],
    **options: Unpack[OptionsOfPoints],
) -> DescentResult[float]: ...
@overload
def minimize(
    loss_fn: LossFunction | None, grad_loss_fn: GradientFunction | None, dataset: ArrayLike, alpha: BatchAlpha = 0.2,
    progress: Progress = True, *,
    X: ArrayLike, history: bool = False, full_output: Literal[True],
    **options: Unpack[OptionsOfRows],
) -> DescentResult[DoubleArray]: ...
@overload
def minimize(
    loss_fn: LossFunction | None, grad_loss_fn: GradientFunction | None, dataset: ArrayLike, alpha: BatchAlpha = 0.2,
    progress: Progress = True, *,
    X: ArrayLike | None = None, history: bool = False, full_output: bool = False, **options: Unpack[OptionsOfRows],
) -> Theta | DescentResult: ...
def minimize(
    loss_fn: LossFunction | None, grad_loss_fn: GradientFunction | None, dataset: ArrayLike, alpha: BatchAlpha = 0.2,
    progress: Progress = True, *, X: ArrayLike | None = None, fit_intercept: bool = False, theta0: ArrayLike = 0.0,
    tol: Number = 1e-3, max_iter: Count = 100_000, stop: Literal["step", "loss"] = "step",
    callback: Callback[Any] | None = None, history: bool = False, full_output: bool = False,
    n_threads: Count | None = None, precondition: Literal["scale", "gram"] | None = None,
    momentum: Literal["nesterov"] | None = None, penalty: Penalty | None = None,
    sample_weight: ArrayLike | None = None,
) -> Theta | DescentResult:
    """Batch gradient descent: theta <- theta - alpha * gradient(theta, dataset), until a step is below tol.

    For raw data: ``minimize(loss, None, y, "adaptive")`` for one number, and for rows ``minimize(loss, None, y,
    "adaptive", X=X, fit_intercept=True, precondition="gram")``; both converge in tens of passes in any units.

    The loop is compiled if the gradient is one of fastgd's own; with any other callables it runs in Python and
    calls them as ``f(theta, dataset)``. On float64 and float32 data the result has the bits of the plain numpy
    loop (`fastgd.reference.minimize`); `cross_entropy` agrees to about 1e-12.

    Parameters
    ----------
    loss_fn : Loss, callable or None
        Loss that is shown and reported, ``loss_fn(theta, dataset) -> float``. It need not belong to the
        gradient, and may be None if no option shows it.
    grad_loss_fn : Gradient, callable or None
        Derivative of the loss in theta, ``grad_loss_fn(theta, dataset) -> float``, the mean over the points. None is
        the gradient of `loss_fn` if that is one of fastgd's own, else a central difference: two evaluations of the
        loss for each update, about a third of the digits lost, and wrong slopes within a step of a breakpoint.
    dataset : array-like of shape (n,)
        Points: list, array of any real dtype and layout, Series, memmap. float32 is computed in float32, all
        else in float64. A contiguous float array is not copied; no array is changed. Data that are not in memory:
        `fastgd.Blocks`, which may contain X too, a column of `fastgd.open_parquet`, a dask array or Series; see Notes.
    alpha : float, callable, "auto" or "adaptive", default 0.2
        Learning rate, above 0, or a schedule: one of `fastgd.schedules` or a function of the update t = 0, 1, ...
        "auto" takes 1 / the largest curvature of the mean loss, for losses that have one: half of the rate from which
        on descent may diverge. "adaptive" chooses each step size from the last two gradients (Barzilai and Borwein);
        with many rows it starts from the minimum of a sample. Without X it brackets the minimum between slopes of
        opposite sign, and returns the exact order statistic for a loss with kinks. With X and a loss with kinks
        (`abs_loss`, `pinball_loss`, `epsilon_insensitive`) both descend on smoothed versions of the loss, see Notes.
    progress : {True, False, "bar"}, default True
        True prints one line ``theta: ... | loss: ...`` before each update, "bar" shows a tqdm bar with the
        updates, the loss and the last step, False shows nothing and computes no loss.
    X : array-like of shape (n, p), optional
        Rows of a linear model: the prediction for row i is ``X[i] @ theta``, and `dataset` has its target. float32 or
        float64 in C order, read-only and memmapped too, is not copied; other layouts and types are copied once. A
        DataFrame names the parameters. Data that are not in memory: columns of the same table as `dataset`, a dask
        array or DataFrame.
    fit_intercept : bool, default False
        If True, theta[0] is added to each prediction, without a column of ones.
    theta0 : float or array-like of shape (p,) or (p + 1,), default 0.0
        Start, in the units of the data; with X a number is the start of every component.
    tol : float, default 1e-3
        Tolerance: the descent ends when an update moves theta (with X, each component of theta) by less than `tol`. At
        0 it ends when theta does not change any more. With `precondition` the step of a weight is multiplied by the
        standard deviation of its column, which makes it a change of predictions; with "gram" the root mean square
        change of the predictions counts if that is less.
    max_iter : int, default 100_000
        Maximum number of updates.
    stop : {"step", "loss"}, default "step"
        "step" compares the length of an update with `tol`, "loss" the change of the loss, in the units of the loss.
    callback : callable, optional
        ``callback(intermediate_result)`` is called after each update with a `DescentResult` (x, fun, nit), by
        keyword if its parameter has that name, as in `scipy.optimize.minimize`. Raising StopIteration ends the run.
    history : bool, default False
        Record every update; the return value is then a DescentResult with a `history` DataFrame.
    full_output : bool, default False
        Return a DescentResult.
    n_threads : int or None, default None
        Threads that share the passes over more than 2e6 points (of a loss that needs exp, and with X numbers in it:
        1e6) where loss and gradient are fastgd's own; None is 1, -1 as many as there are cores. The bits of the result
        do not depend on it.
    precondition : {None, "scale", "gram"}, default None
        Preconditioner of the steps; theta stays in the units of X. "scale" descends as if the columns had mean 0 and
        standard deviation 1 (without an intercept, root mean square 1). "gram" descends in the whitened coordinates of
        their Gram matrix, invariant to scaling, shifting and linear mixing of the columns, for up to 2,000 columns.
        `alpha` is then in units of half the stable limit: "auto" is 1, and never overshoots.
    momentum : {None, "nesterov"}, default None
        Nesterov's momentum: each gradient is taken at a point beyond theta along the last move, and momentum restarts
        where the last step went uphill. An update is one pass over the data, as without momentum. A learning rate that
        is stable without momentum is stable with it. Not with ``alpha="adaptive"``.
    penalty : Penalty, optional
        One of `fastgd.penalties`, added to the mean loss and to `fun`: L2, L1 or ElasticNet of the weights; the
        intercept is not penalised. Without X theta is the weight. L1 needs `precondition` None or "scale".
    sample_weight : array-like of shape (n,), optional
        Weight w >= 0 of each point: the mean loss is sum(w * loss) / sum(w). A point of weight 0 counts as absent.
        Needs fastgd's own loss and gradient. May be a column of a table, or of dask.

    Returns
    -------
    float, ndarray of shape (p,) or (p + 1,), or DescentResult
        The last theta; a DescentResult, which can predict, with `history` or `full_output`.

    Raises
    ------
    TypeError, ValueError
        If an argument is not as described; before anything is computed.
    DivergenceError
        If theta becomes NaN or infinite, or with X the loss grows a millionfold. Its `result` is the run up to the last
        finite theta; the message names a stable rate and unscaled columns.
    SourceError
        If data that are not in memory cannot be read, or changed between two passes. Its `result` is the run so far.

    Warns
    -----
    ConvergenceWarning
        If `max_iter` updates were not enough, or if theta repeats exactly and the loop could never end. If the rule
        was met too soon: a second, adaptive run from theta lowers the loss by more than 1 %. If the classes of
        `cross_entropy` are linearly separable, so that no minimum exists.

    Notes
    -----
    The stopping rule compares the length of a step, not the distance to the minimum: a small alpha stops early. The
    result of ``full_output=True`` has the remaining gradient in `jac`.

    With X a Python function gets X in the parameter of that name and the targets in y, `dataset`, `y_vals` or
    `targets`, in any order; without such names it is called ``f(theta, X, y)``. Both are C-ordered float arrays. The
    function predicts ``X @ theta``: for an intercept it gets a copy of X with a column of ones, or
    ``fit_intercept=True`` if it has that parameter. Descent on the squared error with up to 100 features reads X once,
    for its Gram matrix. Sums are in double.

    Plain descent on raw columns takes thousands of updates or more; with a preconditioner, momentum or adaptive steps
    it takes tens. ``alpha="adaptive"`` with ``precondition="gram"`` is the fastest; `momentum` with "auto" is nearly as
    fast, and no step of it can overshoot. "gram" chooses the shortest step where columns are collinear, and the message
    names them. At the end of a run a few more passes over the data bound the remaining decrease of the loss; a Python
    loss and gradient are called for them too.

    For a loss with kinks, smoothed over decreasing half-widths, the descent ends when the loss is at most 0.01 % above
    its minimum, or with ``stop="loss"`` at most `tol` above it; otherwise `tol` is not used. The bound is proved by
    duality, and the message states it; for more than 512 columns it is approximate. It is never below the rounding of
    the targets. `fun` is the exact loss. Up to 1e5 numbers of X the result is the exact minimum, where as many rows as
    parameters have a residual at a kink.

    Data that are not in memory are read in passes: a first pass that checks them, one for each update, and a few for
    the Gram matrix, samples and the convergence report; `passes` and `bytes_read` of the result count them. The loss
    and the gradient must be fastgd's own. The result is bit-identical for any partition of the data into blocks or
    chunks and any number of threads or workers. With a `distributed.Client` the chunks of a dask collection stay in the
    memory of its workers; without one dask's scheduler computes them anew in each pass.

    References
    ----------
    A. Cauchy, "Methode generale pour la resolution des systemes d'equations simultanees", 1847.
    Y. Nesterov, "A method of solving a convex programming problem with convergence rate O(1/k^2)", Soviet Mathematics
    Doklady 27 (1983).
    J. Barzilai and J. M. Borwein, "Two-point step size gradient methods", IMA Journal of Numerical Analysis 8 (1988).
    D. Boehning and B. G. Lindsay, "Monotonicity of quadratic-approximation algorithms", Annals of the Institute of
    Statistical Mathematics 40 (1988).
    X. He, X. Pan, K. M. Tan and W.-X. Zhou, "Smoothed quantile regression with large-scale inference", Journal of
    Econometrics 232 (2023).

    Examples
    --------
    >>> from fastgd import grad_mse, minimize, mse
    >>> minimize(mse, grad_mse, [12.1, 12.8, 14.9, 16.3, 17.2], progress=False)
    14.658511131035242
    >>> X, y = [[0.0], [1.0], [2.0]], [1.0, 3.0, 5.0]
    >>> minimize(mse, grad_mse, y, "auto", X=X, fit_intercept=True, tol=1e-9, progress=False).round(6)
    array([1., 2.])
    >>> import numpy as np
    >>> from fastgd import Pinball
    >>> X, y = 10.0 ** np.arange(-2, 3)[:, None], [1.0, 2.0, 3.0, 4.0, 50.0]
    >>> minimize(Pinball(0.5), None, y, "adaptive", progress=False)
    3.0
    >>> minimize(mse, None, y, "auto", X=X, fit_intercept=True, precondition="gram", progress=False).round(4)
    array([1.1979, 0.4861])
    """
    options = batch_options("minimize", alpha, tol, max_iter, stop, progress, callback, history, full_output,
                            precondition, momentum)
    needs_loss = options.display is not None or options.stop == "loss"
    threads = SERIAL if n_threads is None else thread_pool(n_threads)
    objective = objective_of(loss_fn, grad_loss_fn, dataset, X, fit_intercept, needs_loss=needs_loss, penalty=penalty,
                             sample_weight=sample_weight, threads=threads)
    try:
        return finalize(objective, options, *run_batch(objective, options, theta0))
    finally:
        if objective.data.is_chunked:
            objective.close()
