"""Gradient descent on the constant model, one number theta for all points, and on linear models, an array theta."""
from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Literal, overload

import numpy as np

from fastgd._checks import as_given, called_at, check_callable, check_count, check_dataset, check_number
from fastgd._driver import Epochs, Watch, drive
from fastgd._endings import conclude
from fastgd._problem import as_problem
from fastgd._progress import progress_display
from fastgd._random import bit_generator_of
from fastgd._runners import batch_runner, stochastic_runner
from fastgd._threads import Threads
from fastgd.losses import compiled_form
from fastgd.schedules import as_rates

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from fastgd._driver import Outcome
    from fastgd._types import (
        Alpha,
        Callback,
        ConstantFunction,
        Count,
        DoubleArray,
        GradientFunction,
        LossFunction,
        Number,
        Progress,
        Random,
        Rates,
        Runner,
        Theta,
    )
    from fastgd.results import DescentResult

__all__ = ["minimize", "minimize_mini_batch", "minimize_sgd", "simple_minimize"]


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
    loss = compiled_form(loss_fn)
    if loss is None:
        check_callable(loss_fn, "loss_fn")
    candidates = check_dataset(thetas, "thetas")
    targets = check_dataset(dataset)
    if loss is not None:
        losses = loss.curve_over(candidates, targets)
    else:
        losses = np.array(called_at(loss_fn, candidates, as_given(dataset, targets)), dtype=np.float64)
    if not np.isfinite(losses).any():
        raise ArithmeticError(f"{loss_fn!r} is NaN or infinite at every one of the {len(candidates)} thetas.")
    return candidates.item(np.nanargmin(losses))


# The overloads of the descents: theta is a float, with X an array; with `history` or `full_output` a result holds it.

@overload
def minimize(
    loss_fn: ConstantFunction | None, grad_loss_fn: ConstantFunction | None, dataset: ArrayLike, alpha: Alpha = 0.2,
    progress: Progress = True, *, X: None = None, fit_intercept: Literal[False] = False, theta0: Number = 0.0,
    tol: Number = 1e-3, max_iter: Count = 100_000, stop: Literal["step", "loss"] = "step",
    callback: Callback[float] | None = None, history: Literal[False] = False, full_output: Literal[False] = False,
    n_threads: Count | None = None,
) -> float: ...
@overload
def minimize(
    loss_fn: LossFunction | None, grad_loss_fn: GradientFunction | None, dataset: ArrayLike, alpha: Alpha = 0.2,
    progress: Progress = True, *, X: ArrayLike, fit_intercept: bool = False, theta0: ArrayLike = 0.0,
    tol: Number = 1e-3, max_iter: Count = 100_000, stop: Literal["step", "loss"] = "step",
    callback: Callback[DoubleArray] | None = None, history: Literal[False] = False, full_output: Literal[False] = False,
    n_threads: Count | None = None,
) -> DoubleArray: ...
@overload
def minimize(
    loss_fn: ConstantFunction | None, grad_loss_fn: ConstantFunction | None, dataset: ArrayLike, alpha: Alpha = 0.2,
    progress: Progress = True, *, X: None = None, fit_intercept: Literal[False] = False, theta0: Number = 0.0,
    tol: Number = 1e-3, max_iter: Count = 100_000, stop: Literal["step", "loss"] = "step",
    callback: Callback[float] | None = None, history: Literal[True], full_output: bool = False,
    n_threads: Count | None = None,
) -> DescentResult[float]: ...
@overload
def minimize(
    loss_fn: LossFunction | None, grad_loss_fn: GradientFunction | None, dataset: ArrayLike, alpha: Alpha = 0.2,
    progress: Progress = True, *, X: ArrayLike, fit_intercept: bool = False, theta0: ArrayLike = 0.0,
    tol: Number = 1e-3, max_iter: Count = 100_000, stop: Literal["step", "loss"] = "step",
    callback: Callback[DoubleArray] | None = None, history: Literal[True], full_output: bool = False,
    n_threads: Count | None = None,
) -> DescentResult[DoubleArray]: ...
@overload
def minimize(
    loss_fn: ConstantFunction | None, grad_loss_fn: ConstantFunction | None, dataset: ArrayLike, alpha: Alpha = 0.2,
    progress: Progress = True, *, X: None = None, fit_intercept: Literal[False] = False, theta0: Number = 0.0,
    tol: Number = 1e-3, max_iter: Count = 100_000, stop: Literal["step", "loss"] = "step",
    callback: Callback[float] | None = None, history: bool = False, full_output: Literal[True],
    n_threads: Count | None = None,
) -> DescentResult[float]: ...
@overload
def minimize(
    loss_fn: LossFunction | None, grad_loss_fn: GradientFunction | None, dataset: ArrayLike, alpha: Alpha = 0.2,
    progress: Progress = True, *, X: ArrayLike, fit_intercept: bool = False, theta0: ArrayLike = 0.0,
    tol: Number = 1e-3, max_iter: Count = 100_000, stop: Literal["step", "loss"] = "step",
    callback: Callback[DoubleArray] | None = None, history: bool = False, full_output: Literal[True],
    n_threads: Count | None = None,
) -> DescentResult[DoubleArray]: ...
@overload
def minimize(
    loss_fn: LossFunction | None, grad_loss_fn: GradientFunction | None, dataset: ArrayLike, alpha: Alpha = 0.2,
    progress: Progress = True, *, X: ArrayLike | None = None, fit_intercept: bool = False, theta0: ArrayLike = 0.0,
    tol: Number = 1e-3, max_iter: Count = 100_000, stop: Literal["step", "loss"] = "step",
    callback: Callback[Any] | None = None, history: bool = False, full_output: bool = False,
    n_threads: Count | None = None,
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

    With X a function in Python is called ``f(theta, X, y)`` with C-ordered float arrays, and predicts ``X @ theta``:
    for an intercept it gets a copy of X with a column of ones. One whose X is a keyword-only argument, as in fastgd's
    own, is called ``f(theta, y, X=X)``. The squared error with up to 100 features is descended on by its Gram matrix,
    which reads X once. Sums are in double.

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
    rates = _rates_unless_auto(alpha)
    tol = check_number(tol, "tol", low=0)
    max_iter = check_count(max_iter, "max_iter")
    by_loss = _one_of(stop, ("step", "loss")) == "loss"
    if callback is not None:
        check_callable(callback, "callback")
    display = progress_display(progress, max_iter)
    with Threads(n_threads) as threads:
        problem = as_problem(loss_fn, grad_loss_fn, dataset, needs_loss=display is not None or by_loss, X=X,
                             fit_intercept=fit_intercept, threads=threads)
        theta0 = problem.theta(theta0, "theta0")
        if rates is None:
            rates = as_rates(problem.safe_alpha(False))
        # A callback may change what comes next, and so may a Python gradient's own printing; else updates run ahead.
        one_by_one = callback is not None or (display is not None and problem.compiled is None)
        # No step is shorter than -1: the rule is then the one on the loss.
        step = -1.0 if by_loss else tol
        runner = batch_runner(problem, theta0, step, max_iter, **({"most": 1} if one_by_one else {}))
        epochs = Epochs(1, theta0, tol, averages=False, loss_at=problem.loss_at) if by_loss else None
        watch = None
        if display is not None or callback is not None or history:
            watch = Watch(problem, display, callback, history)
        outcome = _driven(runner, rates, max_iter, watch, epochs)
        return conclude("minimize", problem, outcome, tol, history=None if watch is None else watch.history(),
                        full_output=full_output, caller=3, stop=stop)


@overload
def minimize_sgd(
    loss_fn: ConstantFunction | None, grad_loss_fn: ConstantFunction | None, dataset: ArrayLike, alpha: Alpha = 0.2, *,
    X: None = None, fit_intercept: Literal[False] = False, rng: Random = None, theta0: Number = 0.0, tol: Number = 1e-3,
    max_epochs: Count = 1000, stop: Literal["step", "epoch", "loss"] = "step", average: bool = False,
    in_place: bool = False, progress: Progress = False, callback: Callback[float] | None = None,
    history: Literal[False] = False, full_output: Literal[False] = False,
) -> float: ...
@overload
def minimize_sgd(
    loss_fn: LossFunction | None, grad_loss_fn: GradientFunction | None, dataset: ArrayLike, alpha: Alpha = 0.2, *,
    X: ArrayLike, fit_intercept: bool = False, rng: Random = None, theta0: ArrayLike = 0.0, tol: Number = 1e-3,
    max_epochs: Count = 1000, stop: Literal["step", "epoch", "loss"] = "step", average: bool = False,
    in_place: bool = False, progress: Progress = False, callback: Callback[DoubleArray] | None = None,
    history: Literal[False] = False, full_output: Literal[False] = False,
) -> DoubleArray: ...
@overload
def minimize_sgd(
    loss_fn: ConstantFunction | None, grad_loss_fn: ConstantFunction | None, dataset: ArrayLike, alpha: Alpha = 0.2, *,
    X: None = None, fit_intercept: Literal[False] = False, rng: Random = None, theta0: Number = 0.0, tol: Number = 1e-3,
    max_epochs: Count = 1000, stop: Literal["step", "epoch", "loss"] = "step", average: bool = False,
    in_place: bool = False, progress: Progress = False, callback: Callback[float] | None = None, history: Literal[True],
    full_output: bool = False,
) -> DescentResult[float]: ...
@overload
def minimize_sgd(
    loss_fn: LossFunction | None, grad_loss_fn: GradientFunction | None, dataset: ArrayLike, alpha: Alpha = 0.2, *,
    X: ArrayLike, fit_intercept: bool = False, rng: Random = None, theta0: ArrayLike = 0.0, tol: Number = 1e-3,
    max_epochs: Count = 1000, stop: Literal["step", "epoch", "loss"] = "step", average: bool = False,
    in_place: bool = False, progress: Progress = False, callback: Callback[DoubleArray] | None = None,
    history: Literal[True], full_output: bool = False,
) -> DescentResult[DoubleArray]: ...
@overload
def minimize_sgd(
    loss_fn: ConstantFunction | None, grad_loss_fn: ConstantFunction | None, dataset: ArrayLike, alpha: Alpha = 0.2, *,
    X: None = None, fit_intercept: Literal[False] = False, rng: Random = None, theta0: Number = 0.0, tol: Number = 1e-3,
    max_epochs: Count = 1000, stop: Literal["step", "epoch", "loss"] = "step", average: bool = False,
    in_place: bool = False, progress: Progress = False, callback: Callback[float] | None = None, history: bool = False,
    full_output: Literal[True],
) -> DescentResult[float]: ...
@overload
def minimize_sgd(
    loss_fn: LossFunction | None, grad_loss_fn: GradientFunction | None, dataset: ArrayLike, alpha: Alpha = 0.2, *,
    X: ArrayLike, fit_intercept: bool = False, rng: Random = None, theta0: ArrayLike = 0.0, tol: Number = 1e-3,
    max_epochs: Count = 1000, stop: Literal["step", "epoch", "loss"] = "step", average: bool = False,
    in_place: bool = False, progress: Progress = False, callback: Callback[DoubleArray] | None = None,
    history: bool = False, full_output: Literal[True],
) -> DescentResult[DoubleArray]: ...
@overload
def minimize_sgd(
    loss_fn: LossFunction | None, grad_loss_fn: GradientFunction | None, dataset: ArrayLike, alpha: Alpha = 0.2, *,
    X: ArrayLike | None = None, fit_intercept: bool = False, rng: Random = None, theta0: ArrayLike = 0.0,
    tol: Number = 1e-3, max_epochs: Count = 1000, stop: Literal["step", "epoch", "loss"] = "step",
    average: bool = False, in_place: bool = False, progress: Progress = False, callback: Callback[Any] | None = None,
    history: bool = False, full_output: bool = False,
) -> Theta | DescentResult: ...
def minimize_sgd(
    loss_fn: LossFunction | None, grad_loss_fn: GradientFunction | None, dataset: ArrayLike, alpha: Alpha = 0.2, *,
    X: ArrayLike | None = None, fit_intercept: bool = False, rng: Random = None, theta0: ArrayLike = 0.0,
    tol: Number = 1e-3, max_epochs: Count = 1000, stop: Literal["step", "epoch", "loss"] = "step",
    average: bool = False, in_place: bool = False, progress: Progress = False, callback: Callback[Any] | None = None,
    history: bool = False, full_output: bool = False,
) -> Theta | DescentResult:
    """Stochastic gradient descent: theta <- theta - alpha * gradient(theta, point), for one point after another.

    Before each pass over the points (an epoch) they are shuffled as numpy shuffles: with the same generator the draws,
    the thetas and the state in which the generator is left are those of the plain numpy loop.

    Parameters
    ----------
    loss_fn : Loss, callable or None
        The loss that is shown and reported, ``loss_fn(theta, dataset) -> float``; not used otherwise.
    grad_loss_fn : Gradient, callable or None
        Its derivative in theta. One of fastgd's own runs compiled; any other is called with theta and one point, a
        numpy scalar, and once at the end with all points. None as in `minimize`.
    dataset : array-like of shape (n,)
        The points, as for `minimize`. A copy of them is shuffled, unless `in_place`.
    alpha : float, callable or "auto", default 0.2
        Learning rate, above 0, or a schedule: one of `fastgd.schedules` or a function of the update t = 0, 1, ...
        "auto" takes 1 / the largest curvature of the loss at any one point, for losses that have one.
    X, fit_intercept
        As for `minimize`. The rows and their targets are never moved: the order in which they are visited is shuffled,
        as ``order = numpy.arange(n); shuffle(order)`` would before each epoch.
    rng : None, int, SeedSequence, BitGenerator, Generator or RandomState, default None
        Where the shuffles come from. None is numpy's global state, which `np.random.seed` sets; an int or a
        SeedSequence seeds a new PCG64.
    theta0 : float or array-like of shape (p,) or (p + 1,), default 0.0
        Where to start, in the units of the data.
    tol : float, default 1e-3
        The descent ends when theta moves by less than this; by what measure is for `stop` to say.
    max_epochs : int, default 1000
        Passes over the points at most.
    stop : {"step", "epoch", "loss"}, default "step"
        "step", the textbook's rule: after an update shorter than `tol`. It fires at the first point that happens to
        lie near theta. "epoch": when theta after an epoch is nearer than `tol` to theta after the one before. "loss":
        when the loss on all points is.
    average : bool, default False
        Return the mean of the thetas of the last epoch (Polyak-Ruppert). ``stop="epoch"`` then also asks that theta
        is nearer than `tol` to that mean.
    in_place : bool, default False
        Shuffle `dataset` itself, as the textbook does, and copy nothing. It must then be a writable contiguous
        float32 or float64 array; not with X.
    progress : {True, False, "bar"}, default False
        True prints one line ``theta: ... | loss: ...`` before each epoch, "bar" shows a tqdm bar.
    callback : callable, optional
        Called after each complete epoch, as in `minimize`.
    history : bool, default False
        Record every update; the return value is then a DescentResult with a `history` DataFrame.
    full_output : bool, default False
        Return a DescentResult.

    Returns
    -------
    float, ndarray of shape (p,) or (p + 1,), or DescentResult
        The last theta, or the average; a DescentResult with `history` or `full_output`.

    Raises
    ------
    TypeError, ValueError
        If an argument is not as described; before anything is drawn or computed.
    DivergenceError
        If theta becomes NaN or infinite, or with X the loss grows a millionfold.

    Warns
    -----
    ConvergenceWarning
        If the rule fired where a step on all points, alpha * abs(mean slope), is not below `tol`: the result is then
        no minimum and its `success` is False. Also if `max_epochs` were not enough, and with X as in `minimize`.

    References
    ----------
    H. Robbins and S. Monro, "A stochastic approximation method", Annals of Mathematical Statistics 22 (1951).
    B. T. Polyak and A. B. Juditsky, "Acceleration of stochastic approximation by averaging", SIAM Journal on Control
    and Optimization 30 (1992).

    Examples
    --------
    >>> from fastgd import grad_mse, minimize_sgd, mse
    >>> from fastgd.schedules import inverse_scaling
    >>> y = [12.1, 12.8, 14.9, 16.3, 17.2]
    >>> theta = minimize_sgd(mse, grad_mse, y, inverse_scaling(0.5, 1.0), rng=0, stop="epoch", average=True, tol=1e-6)
    >>> round(theta, 2)
    14.66
    """
    return _minimize_stochastic(
        "minimize_sgd", loss_fn, grad_loss_fn, dataset, None, alpha, X=X, fit_intercept=fit_intercept, rng=rng,
        theta0=theta0, tol=tol, max_epochs=max_epochs, stop=stop, average=average, in_place=in_place, progress=progress,
        callback=callback, history=history, full_output=full_output)


@overload
def minimize_mini_batch(
    loss_fn: ConstantFunction | None, grad_loss_fn: ConstantFunction | None, dataset: ArrayLike, minibatch_size: Count,
    alpha: Alpha = 0.2, *, X: None = None, fit_intercept: Literal[False] = False, rng: Random = None,
    theta0: Number = 0.0, tol: Number = 1e-3, max_epochs: Count = 1000, stop: Literal["step", "epoch", "loss"] = "step",
    average: bool = False, in_place: bool = False, progress: Progress = False, callback: Callback[float] | None = None,
    history: Literal[False] = False, full_output: Literal[False] = False,
) -> float: ...
@overload
def minimize_mini_batch(
    loss_fn: LossFunction | None, grad_loss_fn: GradientFunction | None, dataset: ArrayLike, minibatch_size: Count,
    alpha: Alpha = 0.2, *, X: ArrayLike, fit_intercept: bool = False, rng: Random = None, theta0: ArrayLike = 0.0,
    tol: Number = 1e-3, max_epochs: Count = 1000, stop: Literal["step", "epoch", "loss"] = "step",
    average: bool = False, in_place: bool = False, progress: Progress = False,
    callback: Callback[DoubleArray] | None = None, history: Literal[False] = False, full_output: Literal[False] = False,
) -> DoubleArray: ...
@overload
def minimize_mini_batch(
    loss_fn: ConstantFunction | None, grad_loss_fn: ConstantFunction | None, dataset: ArrayLike, minibatch_size: Count,
    alpha: Alpha = 0.2, *, X: None = None, fit_intercept: Literal[False] = False, rng: Random = None,
    theta0: Number = 0.0, tol: Number = 1e-3, max_epochs: Count = 1000, stop: Literal["step", "epoch", "loss"] = "step",
    average: bool = False, in_place: bool = False, progress: Progress = False, callback: Callback[float] | None = None,
    history: Literal[True], full_output: bool = False,
) -> DescentResult[float]: ...
@overload
def minimize_mini_batch(
    loss_fn: LossFunction | None, grad_loss_fn: GradientFunction | None, dataset: ArrayLike, minibatch_size: Count,
    alpha: Alpha = 0.2, *, X: ArrayLike, fit_intercept: bool = False, rng: Random = None, theta0: ArrayLike = 0.0,
    tol: Number = 1e-3, max_epochs: Count = 1000, stop: Literal["step", "epoch", "loss"] = "step",
    average: bool = False, in_place: bool = False, progress: Progress = False,
    callback: Callback[DoubleArray] | None = None, history: Literal[True], full_output: bool = False,
) -> DescentResult[DoubleArray]: ...
@overload
def minimize_mini_batch(
    loss_fn: ConstantFunction | None, grad_loss_fn: ConstantFunction | None, dataset: ArrayLike, minibatch_size: Count,
    alpha: Alpha = 0.2, *, X: None = None, fit_intercept: Literal[False] = False, rng: Random = None,
    theta0: Number = 0.0, tol: Number = 1e-3, max_epochs: Count = 1000, stop: Literal["step", "epoch", "loss"] = "step",
    average: bool = False, in_place: bool = False, progress: Progress = False, callback: Callback[float] | None = None,
    history: bool = False, full_output: Literal[True],
) -> DescentResult[float]: ...
@overload
def minimize_mini_batch(
    loss_fn: LossFunction | None, grad_loss_fn: GradientFunction | None, dataset: ArrayLike, minibatch_size: Count,
    alpha: Alpha = 0.2, *, X: ArrayLike, fit_intercept: bool = False, rng: Random = None, theta0: ArrayLike = 0.0,
    tol: Number = 1e-3, max_epochs: Count = 1000, stop: Literal["step", "epoch", "loss"] = "step",
    average: bool = False, in_place: bool = False, progress: Progress = False,
    callback: Callback[DoubleArray] | None = None, history: bool = False, full_output: Literal[True],
) -> DescentResult[DoubleArray]: ...
@overload
def minimize_mini_batch(
    loss_fn: LossFunction | None, grad_loss_fn: GradientFunction | None, dataset: ArrayLike, minibatch_size: Count,
    alpha: Alpha = 0.2, *, X: ArrayLike | None = None, fit_intercept: bool = False, rng: Random = None,
    theta0: ArrayLike = 0.0, tol: Number = 1e-3, max_epochs: Count = 1000,
    stop: Literal["step", "epoch", "loss"] = "step", average: bool = False, in_place: bool = False,
    progress: Progress = False, callback: Callback[Any] | None = None, history: bool = False, full_output: bool = False,
) -> Theta | DescentResult: ...
def minimize_mini_batch(
    loss_fn: LossFunction | None, grad_loss_fn: GradientFunction | None, dataset: ArrayLike, minibatch_size: Count,
    alpha: Alpha = 0.2, *, X: ArrayLike | None = None, fit_intercept: bool = False, rng: Random = None,
    theta0: ArrayLike = 0.0, tol: Number = 1e-3, max_epochs: Count = 1000,
    stop: Literal["step", "epoch", "loss"] = "step", average: bool = False, in_place: bool = False,
    progress: Progress = False, callback: Callback[Any] | None = None, history: bool = False, full_output: bool = False,
) -> Theta | DescentResult:
    """Mini-batch gradient descent: theta <- theta - alpha * gradient(theta, slice), for one slice after another.

    As `minimize_sgd`, with consecutive slices of the shuffled points in place of single points.

    Parameters
    ----------
    loss_fn, grad_loss_fn, dataset
        As for `minimize_sgd`; a gradient in Python is called with theta and a slice, an array.
    minibatch_size : int
        Points in a slice, from 1 to n - 1; the last slice of an epoch may be shorter. 10 to 100 is usual.
    alpha, X, fit_intercept, rng, theta0, tol, max_epochs, stop, average, in_place, progress, callback, history,
    full_output
        As for `minimize_sgd`.

    Returns
    -------
    float, ndarray or DescentResult
        As for `minimize_sgd`.

    Raises
    ------
    TypeError, ValueError, DivergenceError
        As for `minimize_sgd`.

    Warns
    -----
    ConvergenceWarning
        As for `minimize_sgd`.

    References
    ----------
    L. Bottou, F. E. Curtis and J. Nocedal, "Optimization methods for large-scale machine learning", SIAM Review 60
    (2018).

    Examples
    --------
    >>> from fastgd import grad_mse, minimize_mini_batch, mse
    >>> from fastgd.schedules import inverse_scaling
    >>> y = [12.1, 12.8, 14.9, 16.3, 17.2]
    >>> theta = minimize_mini_batch(mse, grad_mse, y, 2, inverse_scaling(0.5, 1.0), rng=0, stop="epoch", average=True)
    >>> abs(theta - 14.66) < 0.2
    True
    """
    return _minimize_stochastic(
        "minimize_mini_batch", loss_fn, grad_loss_fn, dataset, check_count(minibatch_size, "minibatch_size"), alpha,
        X=X, fit_intercept=fit_intercept, rng=rng, theta0=theta0, tol=tol, max_epochs=max_epochs, stop=stop,
        average=average, in_place=in_place, progress=progress, callback=callback, history=history,
        full_output=full_output)


def _minimize_stochastic(
    method: str, loss_fn: LossFunction | None, grad_loss_fn: GradientFunction | None, dataset: ArrayLike,
    batch_size: int | None, alpha: Alpha, *, X: ArrayLike | None, fit_intercept: bool, rng: Random, theta0: ArrayLike,
    tol: Number, max_epochs: Count, stop: str, average: bool, in_place: bool, progress: Progress,
    callback: Callback[Any] | None, history: bool, full_output: bool,
) -> Theta | DescentResult:
    """What `minimize_sgd` (`batch_size` None) and `minimize_mini_batch` have in common, which is all."""
    rates = _rates_unless_auto(alpha)
    bit_generator = bit_generator_of(rng)
    tol = check_number(tol, "tol", low=0)
    max_epochs = check_count(max_epochs, "max_epochs")
    by_step, by_loss = _one_of(stop, ("step", "epoch", "loss")) == "step", stop == "loss"
    if callback is not None:
        check_callable(callback, "callback")
    problem = as_problem(loss_fn, grad_loss_fn, dataset, needs_loss=bool(progress) or by_loss, X=X,
                         fit_intercept=fit_intercept)
    theta0 = problem.theta(theta0, "theta0")
    if rates is None:
        rates = as_rates(problem.safe_alpha(True))
    n = problem.targets.size
    if batch_size is not None and batch_size >= n:
        raise ValueError("The 'minibatch_size' parameter must be below the number of points. "
                         f"Got minibatch_size={batch_size} and {n} points.")
    points = problem.points_to_shuffle(dataset, in_place)
    display = progress_display(progress, max_epochs)
    period = math.ceil(n / (batch_size or 1))
    watch = epochs = None
    if average or not by_step or display is not None or callback is not None:
        epochs = Epochs(period, theta0, None if by_step else tol, average, problem.loss_at if by_loss else None)
    if display is not None or callback is not None or history:
        watch = Watch(problem, display, callback, history, epochs)
    # No step is shorter than -1: the rule is then one of the epochs.
    runner = stochastic_runner(problem, points, batch_size, bit_generator, theta0, tol if by_step else -1.0)
    outcome = _driven(runner, rates, max_epochs * period, watch, epochs)
    return conclude(method, problem, outcome, tol, history=None if watch is None else watch.history(),
                    full_output=full_output, caller=4, stop=stop, is_stochastic=True)


def _rates_unless_auto(alpha: Alpha) -> Rates | None:
    if not isinstance(alpha, str):
        return as_rates(alpha)
    if alpha == "auto":
        return None    # until the data are known
    raise TypeError("The 'alpha' parameter must be a real number above 0, a function of the update, one of "
                    f"fastgd.schedules or 'auto'. Got {alpha!r} instead.")


def _one_of(stop: str, allowed: tuple[str, ...]) -> str:
    if not isinstance(stop, str) or stop not in allowed:
        *others, last = (repr(name) for name in allowed)
        raise ValueError(f"The 'stop' parameter must be {', '.join(others)} or {last}. Got {stop!r} instead.")
    return stop


def _driven(runner: Runner, rates: Rates, limit: int, watch: Watch | None, epochs: Epochs | None) -> Outcome:
    try:
        return drive(runner, rates, limit, watch=watch, epochs=epochs)
    finally:
        if watch is not None:
            watch.close()
