"""Gradient descent on all of the data at once: of one number theta, or with X of an array, a linear model's."""
from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, overload

import numpy as np

from fastgd._checks import check_dataset
from fastgd._ending import conclude
from fastgd._objective import curve_of, objective_of
from fastgd._run import descend
from fastgd._settings import batch_settings
from fastgd._sums import threads_of

if TYPE_CHECKING:
    from typing import Unpack

    from numpy.typing import ArrayLike

    from fastgd._types import (
        Alpha,
        Callback,
        ConstantFunction,
        Count,
        DoubleArray,
        GradientFunction,
        LossFunction,
        Number,
        OptionsOfPoints,
        OptionsOfRows,
        Progress,
        Theta,
    )
    from fastgd.results import DescentResult

__all__ = ["minimize", "simple_minimize"]


def simple_minimize(loss_fn: ConstantFunction, dataset: ArrayLike, thetas: ArrayLike) -> float:
    """Grid search: the first of `thetas` at which the loss is least.

    Its answer is only as fine as the grid, and someone must choose the range; `minimize` needs neither.

    Parameters
    ----------
    loss_fn : Loss or callable
        ``loss_fn(theta, dataset) -> float``. One of fastgd's own is evaluated at all thetas in one compiled call.
    dataset : array-like of shape (n,)
        The points; finite real numbers. Is not changed.
    thetas : array-like of shape (m,)
        The candidates, in the units of the data; finite.

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
    evaluate = curve_of(loss_fn)
    candidates = check_dataset(thetas, "thetas")
    losses = evaluate(dataset).curve(candidates)
    if not np.isfinite(losses).any():
        raise ArithmeticError(f"{loss_fn!r} is NaN or infinite at every one of the {len(candidates)} thetas.")
    return candidates.item(np.nanargmin(losses))


# Theta is a float, with X an array; with `history` or `full_output` a result holds it.

@overload
def minimize(
    loss_fn: ConstantFunction | None, grad_loss_fn: ConstantFunction | None, dataset: ArrayLike, alpha: Alpha = 0.2,
    progress: Progress = True, *,
    X: None = None, history: Literal[False] = False, full_output: Literal[False] = False,
    **options: Unpack[OptionsOfPoints],
) -> float: ...
@overload
def minimize(
    loss_fn: LossFunction | None, grad_loss_fn: GradientFunction | None, dataset: ArrayLike, alpha: Alpha = 0.2,
    progress: Progress = True, *,
    X: ArrayLike, history: Literal[False] = False, full_output: Literal[False] = False,
    **options: Unpack[OptionsOfRows],
) -> DoubleArray: ...
@overload
def minimize(
    loss_fn: ConstantFunction | None, grad_loss_fn: ConstantFunction | None, dataset: ArrayLike, alpha: Alpha = 0.2,
    progress: Progress = True, *,
    X: None = None, history: Literal[True], full_output: bool = False,
    **options: Unpack[OptionsOfPoints],
) -> DescentResult[float]: ...
@overload
def minimize(
    loss_fn: LossFunction | None, grad_loss_fn: GradientFunction | None, dataset: ArrayLike, alpha: Alpha = 0.2,
    progress: Progress = True, *,
    X: ArrayLike, history: Literal[True], full_output: bool = False,
    **options: Unpack[OptionsOfRows],
) -> DescentResult[DoubleArray]: ...
@overload
def minimize(
    loss_fn: ConstantFunction | None, grad_loss_fn: ConstantFunction | None, dataset: ArrayLike, alpha: Alpha = 0.2,
    progress: Progress = True, *,
    X: None = None, history: bool = False, full_output: Literal[True],
    **options: Unpack[OptionsOfPoints],
) -> DescentResult[float]: ...
@overload
def minimize(
    loss_fn: LossFunction | None, grad_loss_fn: GradientFunction | None, dataset: ArrayLike, alpha: Alpha = 0.2,
    progress: Progress = True, *,
    X: ArrayLike, history: bool = False, full_output: Literal[True],
    **options: Unpack[OptionsOfRows],
) -> DescentResult[DoubleArray]: ...
@overload
def minimize(
    loss_fn: LossFunction | None, grad_loss_fn: GradientFunction | None, dataset: ArrayLike, alpha: Alpha = 0.2,
    progress: Progress = True, *,
    X: ArrayLike | None = None, history: bool = False, full_output: bool = False, **options: Unpack[OptionsOfRows],
) -> Theta | DescentResult: ...
def minimize(
    loss_fn: LossFunction | None, grad_loss_fn: GradientFunction | None, dataset: ArrayLike, alpha: Alpha = 0.2,
    progress: Progress = True, *, X: ArrayLike | None = None, fit_intercept: bool = False, theta0: ArrayLike = 0.0,
    tol: Number = 1e-3, max_iter: Count = 100_000, stop: Literal["step", "loss"] = "step",
    callback: Callback[Any] | None = None, history: bool = False, full_output: bool = False,
    n_threads: Count | None = None,
) -> Theta | DescentResult:
    """Batch gradient descent: theta <- theta - alpha * gradient(theta, dataset), until a step is below tol.

    Compiled if the gradient is one of fastgd's own; with any other callables the same loop runs in Python and
    calls them as ``f(theta, dataset)``. On float64 and float32 data the result has the bits of the plain numpy
    loop (`fastgd.reference.minimize`); `cross_entropy` agrees to about 1e-12.

    Parameters
    ----------
    loss_fn : Loss, callable or None
        The loss that is shown and reported, ``loss_fn(theta, dataset) -> float``. It need not belong to the
        gradient, and may be None where nothing shows it.
    grad_loss_fn : Gradient, callable or None
        Its derivative in theta, ``grad_loss_fn(theta, dataset) -> float``, the mean over the points. None is the
        gradient of `loss_fn` if it is one of fastgd's own, else a central difference: two evaluations of the loss for
        each update, about a third of the digits lost, and steps across a kink that see neither side.
    dataset : array-like of shape (n,)
        The points: list, array of any real dtype and layout, Series, memmap. float32 is computed in float32, all
        else in float64. Not copied if it is a contiguous float array; never changed.
    alpha : float, callable or "auto", default 0.2
        Learning rate, above 0, or a schedule: one of `fastgd.schedules` or a function of the update t = 0, 1, ...
        "auto" takes 1 / the largest curvature of the mean loss, for losses that have one: half of the rate from which
        on descent may diverge.
    progress : {True, False, "bar"}, default True
        True prints one line ``theta: ... | loss: ...`` before each update, "bar" shows a tqdm bar, False shows
        nothing and computes no loss.
    X : array-like of shape (n, p), optional
        Makes the model linear: the prediction for row i is ``X[i] @ theta``, and `dataset` its targets. float32 or
        float64 in C order, read-only and memmapped too, is read where it lies; other layouts and types are copied
        once. A DataFrame gives names to the parameters.
    fit_intercept : bool, default False
        Whether theta[0] is added to each prediction, without a column of ones.
    theta0 : float or array-like of shape (p,) or (p + 1,), default 0.0
        Where to start, in the units of the data; with X a number stands for an array of it.
    tol : float, default 1e-3
        The descent ends when an update moves theta (with X, each component of it) by less than this. At 0 it goes on
        until theta stands still.
    max_iter : int, default 100_000
        Updates at most.
    stop : {"step", "loss"}, default "step"
        "loss" compares the loss after an update with that before it in place of theta: `tol` is then in its units.
    callback : callable, optional
        ``callback(intermediate_result)`` is called after each update with a `DescentResult` (x, fun, nit), by
        keyword if its parameter has that name, as in `scipy.optimize.minimize`. Raising StopIteration ends the run.
    history : bool, default False
        Record every update; the return value is then a DescentResult with a `history` DataFrame.
    full_output : bool, default False
        Return a DescentResult.
    n_threads : int or None, default None
        Threads that share the sums of a compiled gradient over more than 1e6 points (with X: numbers in it); None is 1,
        -1 as many as there are cores. The bits of the result do not depend on it.

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

    Warns
    -----
    ConvergenceWarning
        If `max_iter` updates were not enough, or if theta repeats exactly and the loop could never end. With X and a
        compiled loss also if the rule was met too soon: if a step of Newton's from there, or some part or multiple of
        it, takes a hundredth off the loss and moves theta by more than 10 `tol` (``stop="loss"``: the loss).

    Notes
    -----
    The rule looks at the length of a step and not at the distance to the minimum: with a small alpha it stops early.
    ``full_output=True`` tells the slope that is left (`jac`).

    With X a function in Python gets X in the parameter of that name and the targets in y, `dataset`, `y_vals` or
    `targets`, in any order; without such names it is called ``f(theta, X, y)``. Both are C-ordered float arrays, and it
    predicts ``X @ theta``: for an intercept it gets a copy of X with a column of ones, or ``fit_intercept=True`` if it
    has that parameter. The squared error with up to 100 features is descended on by its Gram matrix, which reads X
    once. Sums are in double.

    Columns of one scale (subtract the mean of each, divide by its standard deviation) make descent faster by far;
    columns of several scales need ``alpha="auto"`` or a small rate, and many updates.

    References
    ----------
    A. Cauchy, "Methode generale pour la resolution des systemes d'equations simultanees", 1847.

    Examples
    --------
    >>> from fastgd import grad_mse, minimize, mse
    >>> minimize(mse, grad_mse, [12.1, 12.8, 14.9, 16.3, 17.2], progress=False)
    14.658511131035242
    >>> X, y = [[0.0], [1.0], [2.0]], [1.0, 3.0, 5.0]
    >>> minimize(mse, grad_mse, y, "auto", X=X, fit_intercept=True, tol=1e-9, progress=False).round(6)
    array([1., 2.])
    """
    settings = batch_settings("minimize", alpha, tol, max_iter, stop, progress, callback, history, full_output)
    with threads_of(n_threads) as threads:
        objective = objective_of(loss_fn, grad_loss_fn, dataset, X, fit_intercept, needs_loss=settings.needs_loss,
                                 threads=threads)
        return conclude(objective, settings, *descend(objective, settings, theta0))
