"""Stochastic and mini-batch gradient descent: an update for each point, or for each slice of the points.

The shuffles are numpy's own, draw for draw, so that ``np.random.seed`` gives the textbook's numbers. The textbook's
rule stops at the first short step, on a point that happens to lie near theta and may be far from the minimum:

>>> import warnings
>>> import numpy as np
>>> from fastgd import grad_mse, minimize_mini_batch, minimize_sgd, mse, schedules
>>> from fastgd.datasets import load_tips
>>> pcttip = load_tips()["pcttip"]
>>> with warnings.catch_warnings(record=True) as caught:
...     warnings.simplefilter("always")
...     np.random.seed(0)
...     lucky = minimize_mini_batch(mse, grad_mse, pcttip, 10, alpha=0.2, full_output=True)
>>> lucky.x, lucky.nit, lucky.success
(14.936901937941343, 2834, False)
>>> "happens to lie near theta" in str(caught[0].message)
True

The minimum is at 16.08. For an accurate result compare epochs, average the thetas of the last one, and use a learning
rate that falls with a power between 1/2 and 1:

>>> rate = schedules.inverse_scaling(eta0=0.5, power_t=0.75)
>>> round(minimize_sgd(mse, grad_mse, pcttip, rate, rng=0, stop="epoch", average=True, tol=1e-4), 1)
16.1

For a linear model also scale the columns, with ``precondition="scale"``.
"""
from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, overload

from fastgd._convergence.finalize import finalize
from fastgd._objective.objective import objective_of
from fastgd._options import stochastic_options
from fastgd._solvers import run_stochastic
from fastgd._validation import check_count

if TYPE_CHECKING:
    from typing import TypedDict, Unpack

    from numpy.typing import ArrayLike

    from fastgd._data.lazy_columns import Table
    from fastgd._types import (
        Alpha,
        Callback,
        ConstantFunction,
        Count,
        DoubleArray,
        GradientFunction,
        LossFunction,
        Number,
        PointsOptions,
        Progress,
        Random,
        RowsOptions,
        Theta,
    )
    from fastgd.penalties import Penalty
    from fastgd.results import DescentResult

    class _StochasticOptions(TypedDict, total=False):
        rng: Random
        tol: Number
        max_epochs: Count
        stop: Literal["step", "epoch", "loss"]
        average: bool
        in_place: bool
        progress: Progress
        precondition: Literal["scale"] | None
        penalty: Penalty | None
        sample_weight: ArrayLike | None

    class StochasticOptionsOfPoints(_StochasticOptions, PointsOptions): ...

    class StochasticOptionsOfRows(_StochasticOptions, RowsOptions): ...

__all__ = ["minimize_mini_batch", "minimize_sgd"]


# Theta is a float, with X an array; with `history` or `full_output` a result holds it. Blocks may bring X with them.

@overload
def minimize_sgd(
    loss_fn: LossFunction | None, grad_loss_fn: GradientFunction | None, dataset: Table, alpha: Alpha = 0.2, *,
    X: ArrayLike | None = None, history: bool = False, full_output: bool = False,
    **options: Unpack[StochasticOptionsOfRows],
) -> Any: ...
@overload
def minimize_sgd(
    loss_fn: ConstantFunction | None, grad_loss_fn: ConstantFunction | None, dataset: ArrayLike, alpha: Alpha = 0.2, *,
    X: None = None, history: Literal[False] = False, full_output: Literal[False] = False,
    **options: Unpack[StochasticOptionsOfPoints],
) -> float: ...
@overload
def minimize_sgd(
    loss_fn: LossFunction | None, grad_loss_fn: GradientFunction | None, dataset: ArrayLike, alpha: Alpha = 0.2, *,
    X: ArrayLike, history: Literal[False] = False, full_output: Literal[False] = False,
    **options: Unpack[StochasticOptionsOfRows],
) -> DoubleArray: ...
@overload
def minimize_sgd(
    loss_fn: ConstantFunction | None, grad_loss_fn: ConstantFunction | None, dataset: ArrayLike, alpha: Alpha = 0.2, *,
    X: None = None, history: Literal[True], full_output: bool = False,
    **options: Unpack[StochasticOptionsOfPoints],
) -> DescentResult[float]: ...
@overload
def minimize_sgd(
    loss_fn: LossFunction | None, grad_loss_fn: GradientFunction | None, dataset: ArrayLike, alpha: Alpha = 0.2, *,
    X: ArrayLike, history: Literal[True], full_output: bool = False,
    **options: Unpack[StochasticOptionsOfRows],
) -> DescentResult[DoubleArray]: ...
@overload
def minimize_sgd(
    loss_fn: ConstantFunction | None, grad_loss_fn: ConstantFunction | None, dataset: ArrayLike, alpha: Alpha = 0.2, *,
    X: None = None, history: bool = False, full_output: Literal[True],
    **options: Unpack[StochasticOptionsOfPoints],
) -> DescentResult[float]: ...
@overload
def minimize_sgd(
    loss_fn: LossFunction | None, grad_loss_fn: GradientFunction | None, dataset: ArrayLike, alpha: Alpha = 0.2, *,
    X: ArrayLike, history: bool = False, full_output: Literal[True],
    **options: Unpack[StochasticOptionsOfRows],
) -> DescentResult[DoubleArray]: ...
@overload
def minimize_sgd(
    loss_fn: LossFunction | None, grad_loss_fn: GradientFunction | None, dataset: ArrayLike, alpha: Alpha = 0.2, *,
    X: ArrayLike | None = None, history: bool = False, full_output: bool = False,
    **options: Unpack[StochasticOptionsOfRows],
) -> Theta | DescentResult: ...
def minimize_sgd(
    loss_fn: LossFunction | None, grad_loss_fn: GradientFunction | None, dataset: ArrayLike, alpha: Alpha = 0.2, *,
    X: ArrayLike | None = None, fit_intercept: bool = False, rng: Random = None, theta0: ArrayLike = 0.0,
    tol: Number = 1e-3, max_epochs: Count = 1000, stop: Literal["step", "epoch", "loss"] = "step",
    average: bool = False, in_place: bool = False, progress: Progress = False, callback: Callback[Any] | None = None,
    history: bool = False, full_output: bool = False, precondition: Literal["scale"] | None = None,
    penalty: Penalty | None = None, sample_weight: ArrayLike | None = None,
) -> Theta | DescentResult:
    """Stochastic gradient descent: theta <- theta - alpha * gradient(theta, point), for one point after another.

    The points are shuffled by numpy's algorithm before each pass over them (an epoch). The draws, the thetas and the
    final state of the generator are those of the plain numpy loop.

    Parameters
    ----------
    loss_fn : Loss, callable or None
        Loss that is shown and reported, ``loss_fn(theta, dataset) -> float``; not used otherwise.
    grad_loss_fn : Gradient, callable or None
        Derivative of the loss in theta. A gradient of fastgd's own runs compiled; any other is called with theta and
        one point, a numpy scalar, and once at the end with all points. None: see `minimize`.
    dataset : array-like of shape (n,)
        Points, as for `minimize`. A copy of them is shuffled, unless `in_place`. For data that are not in memory see
        Notes.
    alpha : float, callable or "auto", default 0.2
        Learning rate, above 0, or a schedule: one of `fastgd.schedules` or a function of the update t = 0, 1, ...
        "auto" takes 1 / the largest curvature of the loss at any one point, for losses that have one.
    X, fit_intercept
        See `minimize`. The rows and their targets stay in place: the order in which they are visited, at first
        ``numpy.arange(n)``, is shuffled before each epoch.
    rng : None, int, SeedSequence, BitGenerator, Generator or RandomState, default None
        Source of the shuffles. None is numpy's global state, which `np.random.seed` sets; an int or a SeedSequence
        seeds a new PCG64.
    theta0 : float or array-like of shape (p,) or (p + 1,), default 0.0
        Start, in the units of the data.
    tol : float, default 1e-3
        Tolerance of the stopping rule `stop`.
    max_epochs : int, default 1000
        Maximum number of passes over the points.
    stop : {"step", "epoch", "loss"}, default "step"
        "step", the textbook's rule, ends the run after an update shorter than `tol`, which happens at the first point
        near theta. "epoch" ends it when theta moves by less than `tol` from the end of an epoch to the end of the next.
        "loss" ends it when the loss on all points, at the theta that would be returned, changes by less than `tol` from
        one epoch to the next.
    average : bool, default False
        Return the mean of the thetas of the last epoch (Polyak-Ruppert). ``stop="epoch"`` then also requires theta to
        be nearer than `tol` to the mean.
    in_place : bool, default False
        Shuffle `dataset` itself, as the textbook does, and copy nothing. It must then be a writable contiguous
        float32 or float64 array; not with X.
    progress : {True, False, "bar"}, default False
        True prints one line ``theta: ... | loss: ...`` before each epoch, "bar" shows a tqdm bar with
        the epochs, the loss and the quantity that is compared with `tol`.
    callback : callable, optional
        Called after each complete epoch, as in `minimize`.
    history : bool, default False
        Record every update; the return value is then a DescentResult with a `history` DataFrame.
    full_output : bool, default False
        Return a DescentResult.
    precondition : {None, "scale"}, default None
        "scale" descends as if the columns of X had mean 0 and standard deviation 1; theta stays in the units of X.
        `alpha` is then in units of half the stable limit, 1 / the largest curvature of the loss at any one row so
        scaled, and a step is measured, for `stop="step"`, in the units of the prediction.
    penalty : Penalty, optional
        See `minimize`. After each update weights decay by alpha times L2's strength and shrink by alpha times L1's,
        which makes zeros exact.
    sample_weight : array-like of shape (n,), optional
        See `minimize`. The slope at a point is multiplied by its weight over the mean weight.

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
    SourceError
        See `minimize`.

    Warns
    -----
    ConvergenceWarning
        If the rule was met where a step on all points, alpha * abs(mean slope), is not below `tol`: the result is then
        no minimum and its `success` is False. If `max_epochs` epochs were not enough. If a second, adaptive run from
        theta lowers the loss by more than 1 %. If data that are not in memory seem to be sorted.

    Notes
    -----
    Data that are not in memory are split into blocks of fixed lengths, independent of the chunks of the source. The
    order of the blocks is shuffled before each epoch; then the rows of 64 blocks at a time (about a million numbers of
    X) are held in memory, shuffled together and visited. The draws differ from those on an array, and are the same for
    any chunks, threads and workers. The rows of `Blocks` and of files are copied to a temporary file first, unless
    there is a cache.

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
    options = stochastic_options("minimize_sgd", None, alpha, rng, tol, max_epochs, stop, average,
                                   in_place, progress, callback, history, full_output, precondition)
    objective = objective_of(loss_fn, grad_loss_fn, dataset, X, fit_intercept, needs_loss=options.needs_loss,
                             penalty=penalty, sample_weight=sample_weight)
    try:
        return finalize(objective, options, *run_stochastic(objective, options, dataset, theta0))
    finally:
        objective.close()


@overload
def minimize_mini_batch(
    loss_fn: LossFunction | None, grad_loss_fn: GradientFunction | None, dataset: Table, minibatch_size: Count,
    alpha: Alpha = 0.2, *,
    X: ArrayLike | None = None, history: bool = False, full_output: bool = False,
    **options: Unpack[StochasticOptionsOfRows],
) -> Any: ...
@overload
def minimize_mini_batch(
    loss_fn: ConstantFunction | None, grad_loss_fn: ConstantFunction | None, dataset: ArrayLike, minibatch_size: Count,
    alpha: Alpha = 0.2, *,
    X: None = None, history: Literal[False] = False, full_output: Literal[False] = False,
    **options: Unpack[StochasticOptionsOfPoints],
) -> float: ...
@overload
def minimize_mini_batch(
    loss_fn: LossFunction | None, grad_loss_fn: GradientFunction | None, dataset: ArrayLike, minibatch_size: Count,
    alpha: Alpha = 0.2, *,
    X: ArrayLike, history: Literal[False] = False, full_output: Literal[False] = False,
    **options: Unpack[StochasticOptionsOfRows],
) -> DoubleArray: ...
@overload
def minimize_mini_batch(
    loss_fn: ConstantFunction | None, grad_loss_fn: ConstantFunction | None, dataset: ArrayLike, minibatch_size: Count,
    alpha: Alpha = 0.2, *,
    X: None = None, history: Literal[True], full_output: bool = False,
    **options: Unpack[StochasticOptionsOfPoints],
) -> DescentResult[float]: ...
@overload
def minimize_mini_batch(
    loss_fn: LossFunction | None, grad_loss_fn: GradientFunction | None, dataset: ArrayLike, minibatch_size: Count,
    alpha: Alpha = 0.2, *,
    X: ArrayLike, history: Literal[True], full_output: bool = False,
    **options: Unpack[StochasticOptionsOfRows],
) -> DescentResult[DoubleArray]: ...
@overload
def minimize_mini_batch(
    loss_fn: ConstantFunction | None, grad_loss_fn: ConstantFunction | None, dataset: ArrayLike, minibatch_size: Count,
    alpha: Alpha = 0.2, *,
    X: None = None, history: bool = False, full_output: Literal[True],
    **options: Unpack[StochasticOptionsOfPoints],
) -> DescentResult[float]: ...
@overload
def minimize_mini_batch(
    loss_fn: LossFunction | None, grad_loss_fn: GradientFunction | None, dataset: ArrayLike, minibatch_size: Count,
    alpha: Alpha = 0.2, *,
    X: ArrayLike, history: bool = False, full_output: Literal[True],
    **options: Unpack[StochasticOptionsOfRows],
) -> DescentResult[DoubleArray]: ...
@overload
def minimize_mini_batch(
    loss_fn: LossFunction | None, grad_loss_fn: GradientFunction | None, dataset: ArrayLike, minibatch_size: Count,
    alpha: Alpha = 0.2, *,
    X: ArrayLike | None = None, history: bool = False, full_output: bool = False,
    **options: Unpack[StochasticOptionsOfRows],
) -> Theta | DescentResult: ...
def minimize_mini_batch(
    loss_fn: LossFunction | None, grad_loss_fn: GradientFunction | None, dataset: ArrayLike, minibatch_size: Count,
    alpha: Alpha = 0.2, *,
    X: ArrayLike | None = None, fit_intercept: bool = False, rng: Random = None, theta0: ArrayLike = 0.0,
    tol: Number = 1e-3, max_epochs: Count = 1000, stop: Literal["step", "epoch", "loss"] = "step",
    average: bool = False, in_place: bool = False, progress: Progress = False, callback: Callback[Any] | None = None,
    history: bool = False, full_output: bool = False, precondition: Literal["scale"] | None = None,
    penalty: Penalty | None = None, sample_weight: ArrayLike | None = None,
) -> Theta | DescentResult:
    """Mini-batch gradient descent: theta <- theta - alpha * gradient(theta, slice), for one slice after another.

    The algorithm is that of `minimize_sgd`, with consecutive slices of the shuffled points in place of single points.

    Parameters
    ----------
    loss_fn, grad_loss_fn, dataset
        See `minimize_sgd`; a gradient in Python is called with theta and a slice, an array.
    minibatch_size : int
        Points in a slice, from 1 to n - 1; the last slice of an epoch may be shorter. 10 to 100 is usual.
    alpha, X, fit_intercept, rng, theta0, tol, max_epochs, stop, average, in_place, progress, callback, history,
    full_output, precondition, penalty, sample_weight
        See `minimize_sgd`.

    Returns
    -------
    float, ndarray or DescentResult
        See `minimize_sgd`.

    Raises
    ------
    TypeError, ValueError, DivergenceError
        See `minimize_sgd`.

    Warns
    -----
    ConvergenceWarning
        See `minimize_sgd`.

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
    options = stochastic_options(
        "minimize_mini_batch", check_count(minibatch_size, "minibatch_size"), alpha, rng, tol, max_epochs, stop,
        average, in_place, progress, callback, history, full_output, precondition)
    objective = objective_of(loss_fn, grad_loss_fn, dataset, X, fit_intercept, needs_loss=options.needs_loss,
                             penalty=penalty, sample_weight=sample_weight)
    if minibatch_size >= objective.data.n:
        raise ValueError("The 'minibatch_size' parameter must be below the number of points. "
                         f"Got minibatch_size={minibatch_size} and {objective.data.n} points.")
    try:
        return finalize(objective, options, *run_stochastic(objective, options, dataset, theta0))
    finally:
        objective.close()
