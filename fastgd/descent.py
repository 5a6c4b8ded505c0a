"""Gradient descent on the constant model: one number theta for all points."""
import numpy as np

from fastgd._checks import check_callable, check_count, check_dataset, check_number
from fastgd._driver import Watch, drive
from fastgd._endings import conclude
from fastgd._problem import Problem
from fastgd._progress import progress_display
from fastgd._runners import batch_runner
from fastgd.losses import compiled_form
from fastgd.schedules import Rates


def simple_minimize(loss_fn, dataset, thetas):
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
        points = dataset if isinstance(dataset, np.ndarray) or hasattr(dataset, "iloc") else targets
        losses = np.array([float(loss_fn(theta, points)) for theta in candidates])
    if not np.isfinite(losses).any():
        raise ArithmeticError(f"{loss_fn!r} is NaN or infinite at every one of the {len(candidates)} thetas.")
    return candidates.item(np.nanargmin(losses))


def minimize(loss_fn, grad_loss_fn, dataset, alpha=0.2, progress=True, *, theta0=0.0, tol=1e-3, max_iter=100_000,
             callback=None, history=False, full_output=False):
    """Batch gradient descent: theta <- theta - alpha * gradient(theta, dataset), until a step is below tol.

    Compiled if the gradient is one of fastgd's own; with any other callables the same loop runs in Python and
    calls them as ``f(theta, dataset)``. On float64 and float32 data the result has the bits of the plain numpy
    loop (`fastgd.reference.minimize`); `cross_entropy` agrees to about 1e-12.

    Parameters
    ----------
    loss_fn : Loss, callable or None
        The loss that is shown and reported, ``loss_fn(theta, dataset) -> float``. It need not belong to the
        gradient, and may be None where nothing shows it.
    grad_loss_fn : Gradient or callable
        Its derivative in theta, ``grad_loss_fn(theta, dataset) -> float``, the mean over the points.
    dataset : array-like of shape (n,)
        The points: list, array of any real dtype and layout, Series, memmap. float32 is computed in float32, all
        else in float64. Not copied if it is a contiguous float array; never changed.
    alpha : float, default 0.2
        Learning rate, above 0.
    progress : {True, False, "bar"}, default True
        True prints one line ``theta: ... | loss: ...`` before each update, "bar" shows a tqdm bar, False shows
        nothing and computes no loss.
    theta0 : float, default 0.0
        Where to start, in the units of the data.
    tol : float, default 1e-3
        The descent ends when an update moves theta by less than this. At 0 it goes on until theta stands still.
    max_iter : int, default 100_000
        Updates at most.
    callback : callable, optional
        ``callback(intermediate_result)`` is called after each update with a `DescentResult` (x, fun, nit), by
        keyword if its parameter has that name, as in `scipy.optimize.minimize`. Raising StopIteration ends the run.
    history : bool, default False
        Record every update; the return value is then a DescentResult with a `history` DataFrame.
    full_output : bool, default False
        Return a DescentResult.

    Returns
    -------
    float or DescentResult
        The last theta; a DescentResult with `history` or `full_output`.

    Raises
    ------
    TypeError, ValueError
        If an argument is not as described; before anything is computed.
    DivergenceError
        If theta becomes NaN or infinite. Its `result` is the run up to the last finite theta.

    Warns
    -----
    ConvergenceWarning
        If `max_iter` updates were not enough, or if theta repeats exactly and the loop could never end.

    Notes
    -----
    The rule looks at the length of a step and not at the distance to the minimum: with a small alpha it stops early.
    ``full_output=True`` tells the slope that is left (`jac`).

    References
    ----------
    A. Cauchy, "Methode generale pour la resolution des systemes d'equations simultanees", 1847.

    Examples
    --------
    >>> from fastgd import grad_mse, minimize, mse
    >>> minimize(mse, grad_mse, [12.1, 12.8, 14.9, 16.3, 17.2], progress=False)
    14.658511131035242
    """
    alpha = check_number(alpha, "alpha", low=0, inclusive=False)
    theta0 = check_number(theta0, "theta0", low=-np.inf, inclusive=False)
    tol = check_number(tol, "tol", low=0)
    max_iter = check_count(max_iter, "max_iter")
    if callback is not None:
        check_callable(callback, "callback")
    display = progress_display(progress, max_iter)
    problem = Problem(loss_fn, grad_loss_fn, dataset, needs_loss=display is not None)
    watch = None
    if display is not None or callback is not None or history:
        watch = Watch(problem, display, callback, history)
    runner = batch_runner(problem, theta0, tol, observed=display is not None or callback is not None)
    try:
        outcome = drive(runner, Rates(alpha), max_iter, watch)
    finally:
        if watch is not None:
            watch.close()
    return conclude("minimize", problem, outcome, tol=tol, history=watch and watch.history(), full_output=full_output)
