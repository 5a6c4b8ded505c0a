"""The course's pictures of losses and descents, on matplotlib: ``pip install 'fastgd[plot]'``.

Every function draws on `ax` if it is given, else on a figure of its own, and returns the Axes. None of them shows or
saves a picture or changes a setting of matplotlib. What is wrong with an argument is said before a figure is made.
"""
from __future__ import annotations

import contextlib
import math
from typing import TYPE_CHECKING, Any

import numpy as np

from fastgd._checks import (
    check_callable,
    check_dataset,
    check_interval,
    check_number,
    check_one_number,
)
from fastgd._objective import curve_of, objective_of
from fastgd.losses import huber_loss
from fastgd.results import DescentResult

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from types import ModuleType

    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.lines import Line2D
    from numpy.typing import ArrayLike, NDArray

    from fastgd._types import ConstantFunction, DoubleArray, FloatArray, Interval, LossFunction, Number

    _Path = tuple[NDArray[Any], DoubleArray, list[str]]    # updates, thetas, names of the parameters

__all__ = [
    "plot_connected_thetas", "plot_descent", "plot_histogram", "plot_loss", "plot_one_gd_iter", "plot_paths",
    "plot_tangent_on_loss", "plot_theta_on_loss", "points_and_loss",
]

# Colours that all readers can tell apart: M. Okabe and K. Ito, "Color Universal Design", 2008.
BLUE, GREEN, VERMILLION, ORANGE, SKY, PURPLE = "#0072B2", "#009E73", "#D55E00", "#E69F00", "#56B4E9", "#CC79A7"
_RUN_COLORS = (VERMILLION, GREEN, PURPLE, ORANGE, SKY, "black")
_RUN_MARKERS = ("o", "s", "^", "D", "v", "P")

#: The course's distance of two thetas on a curve, and the fewest and most thetas that are evaluated.
_STEP, _FEWEST, _MOST = 0.05, 20, 2000

#: Points of a rug that are lines of their own, and bins of a rug of more points.
_MOST_LINES, _BINS = 2000, 500

#: Updates of a run that are drawn at most, and that get a marker each.
_MOST_UPDATES, _FEW_UPDATES = 1000, 60

#: What marks the artists that a later call looks for.
_CURVE, _RUN = "fastgd loss curve", "fastgd run"


def points_and_loss(y_vals: ArrayLike, xlim: Interval, loss_fn: ConstantFunction, *,
                    ax: Sequence[Axes] | NDArray[Any] | None = None) -> NDArray[Any]:
    """Two panels: the points as a rug, and the loss over theta.

    Parameters
    ----------
    y_vals : array-like of shape (n,)
        The points; finite real numbers. More than 2000 are drawn as 500 lines, the darker the more points they stand
        for.
    xlim : (float, float)
        The range of both panels, in the units of the data.
    loss_fn : Loss or callable
        ``loss_fn(theta, y_vals) -> float``. One of fastgd's own is evaluated at all thetas in one pass over the data.
    ax : pair of matplotlib.axes.Axes, optional
        Where to draw the points and the loss; default: a new figure.

    Returns
    -------
    ndarray of two matplotlib.axes.Axes
        The panels; `ax` itself if it is an array.

    Raises
    ------
    TypeError, ValueError
        If an argument is not as described.
    ImportError
        If there is no matplotlib.

    Examples
    --------
    >>> from fastgd import mse, plot
    >>> rug, curve = plot.points_and_loss([12, 13, 15, 16, 17], (11, 18), mse)
    >>> rug.get_title(), curve.get_title()
    ('Points', 'mse')
    """
    ax = _checked_axes(ax, 2)
    xlim = check_interval(xlim, "xlim")
    loss = _LossOnPoints(loss_fn, y_vals)
    thetas, losses = loss.curve(xlim)
    pair: NDArray[Any]
    with _axes(ax, (9, 3), 2) as pair:
        _draw_rug(pair[0], loss.points, xlim)
        pair[0].set(title="Points", xlabel="Tip Percent", xlim=xlim, ylim=(0, 1), yticks=[])
        _draw_curve(pair[1], loss, thetas, losses, xlim)
    return pair


def plot_loss(y_vals: ArrayLike, xlim: Interval, loss_fn: ConstantFunction, *, ax: Axes | None = None,
              **kwargs: Any) -> Axes:
    """The loss over theta.

    The thetas are the course's, ``arange(xlim[0], xlim[1] + 0.01, 0.05)``, and the end of the range if these miss it;
    but 201 in equal steps over a range narrower than 1, and 2001 over one wider than 100.

    Parameters
    ----------
    y_vals : array-like of shape (n,)
        The points; finite real numbers.
    xlim : (float, float)
        The range of theta, in the units of the data.
    loss_fn : Loss or callable
        ``loss_fn(theta, y_vals) -> float``. One of fastgd's own is evaluated at all thetas in one pass over the data.
    ax : matplotlib.axes.Axes, optional
        Where to draw; default: a new figure.
    **kwargs
        For `matplotlib.axes.Axes.plot`: color, label, ...

    Returns
    -------
    matplotlib.axes.Axes
        The axes with the curve, titled with the name of the loss.

    Raises
    ------
    TypeError, ValueError
        If an argument is not as described.
    ImportError
        If there is no matplotlib.

    Examples
    --------
    >>> from fastgd import mse, plot
    >>> ax = plot.plot_loss([12, 13, 15, 16, 17], (11, 18), mse)
    >>> ax.get_title(), len(ax.lines[0].get_xdata())
    ('mse', 141)
    """
    ax = _checked_axes(ax)
    xlim = check_interval(xlim, "xlim")
    loss = _LossOnPoints(loss_fn, y_vals)
    thetas, losses = loss.curve(xlim)
    with _axes(ax) as ax:
        _draw_curve(ax, loss, thetas, losses, xlim, **kwargs)
    return ax


def plot_theta_on_loss(y_vals: ArrayLike, theta: Number, loss_fn: ConstantFunction, *, ax: Axes | None = None,
                       **kwargs: Any) -> Axes:
    """A large green dot on the curve of the loss.

    As in the course, the dot joins the curve of a `plot_loss` before it: without `ax` it goes to the current axes if
    they show this loss of these points. Else the curve is drawn too, around the theta and the middle 80 % of the
    points. A curve that ends before the theta is lengthened.

    Parameters
    ----------
    y_vals : array-like of shape (n,)
        The points; finite real numbers.
    theta : float
        Where the dot is, in the units of the data.
    loss_fn : Loss or callable
        ``loss_fn(theta, y_vals) -> float``.
    ax : matplotlib.axes.Axes, optional
        Where to draw; default: the current axes if they show the curve, else a new figure.
    **kwargs
        For `matplotlib.axes.Axes.scatter`: s, c, edgecolor, label, ...

    Returns
    -------
    matplotlib.axes.Axes
        The axes with the curve and the dot.

    Raises
    ------
    TypeError, ValueError
        If an argument is not as described.
    ImportError
        If there is no matplotlib.

    Examples
    --------
    >>> from fastgd import mse, plot
    >>> y = [12, 13, 15, 16, 17]
    >>> curve = plot.plot_loss(y, (11, 18), mse)
    >>> plot.plot_theta_on_loss(y, 12, mse) is curve
    True
    """
    ax = _checked_axes(ax)
    theta = check_number(theta, "theta", low=-np.inf, inclusive=False)
    loss = _LossOnPoints(loss_fn, y_vals)
    with _on_curve(ax, loss, [theta]) as ax:
        _draw_dot(ax, loss, theta, **kwargs)
    return ax


def plot_tangent_on_loss(y_vals: ArrayLike, theta: Number, loss_fn: ConstantFunction, *,
                         ax: Axes | None = None) -> Axes:
    """A dot on the curve of the loss, and the tangent there from theta - 1 to theta + 1.

    Its slope is the gradient of a loss of fastgd's own, else a central difference of the loss.

    Parameters
    ----------
    y_vals, theta, loss_fn, ax
        As for `plot_theta_on_loss`.

    Returns
    -------
    matplotlib.axes.Axes
        The axes with the curve, the dot and the tangent.

    Raises
    ------
    TypeError, ValueError, ImportError
        As for `plot_theta_on_loss`.

    Examples
    --------
    >>> from fastgd import mse, plot
    >>> ax = plot.plot_tangent_on_loss([12.1, 12.8, 14.9, 16.3, 17.2], 12, mse)
    >>> ax.lines[-1].get_xdata()
    array([11., 13.])
    """
    ax = _checked_axes(ax)
    theta = check_number(theta, "theta", low=-np.inf, inclusive=False)
    loss = _LossOnPoints(loss_fn, y_vals)
    height, slope = loss.at([theta])[0], loss.slope_at(theta)
    with _on_curve(ax, loss, [theta - 1, theta + 1]) as ax:
        ax.plot(np.array([theta - 1, theta + 1]), height + slope * np.array([-1, 1]), color=VERMILLION, linestyle="--",
                linewidth=2, zorder=2, label=f"tangent, slope {slope:.4g}")
        _draw_dot(ax, loss, theta)
    return ax


def plot_one_gd_iter(y_vals: ArrayLike, theta: Number, loss_fn: ConstantFunction, grad_loss: ConstantFunction,
                     alpha: Number = 0.3, *, ax: Axes | None = None) -> Axes:
    """One update of gradient descent: theta a hollow circle on the curve, theta - alpha * gradient a filled one.

    Prints ``old theta: ...`` and ``new theta: ...``.

    Parameters
    ----------
    y_vals : array-like of shape (n,)
        The points; finite real numbers.
    theta : float
        The old theta, in the units of the data.
    loss_fn : Loss or callable
        ``loss_fn(theta, y_vals) -> float``.
    grad_loss : Gradient or callable
        Its derivative in theta, called in the same way.
    alpha : float, default 0.3
        Learning rate, above 0.
    ax : matplotlib.axes.Axes, optional
        As for `plot_theta_on_loss`.

    Returns
    -------
    matplotlib.axes.Axes
        The axes with the curve and both dots.

    Raises
    ------
    TypeError, ValueError
        If an argument is not as described, or the new theta is not finite.
    ImportError
        If there is no matplotlib.

    Examples
    --------
    >>> from fastgd import grad_mse, mse, plot
    >>> ax = plot.plot_one_gd_iter([12.1, 12.8, 14.9, 16.3, 17.2], 12, mse, grad_mse)
    old theta: 12
    new theta: 13.596
    """
    ax = _checked_axes(ax)
    old = check_number(theta, "theta", low=-np.inf, inclusive=False)
    alpha = check_number(alpha, "alpha", low=0, inclusive=False)
    check_callable(grad_loss, "grad_loss")
    loss = _LossOnPoints(loss_fn, y_vals)
    slope: Any = grad_loss(old, loss.dataset)
    check_one_number(slope, "grad_loss", "slope")
    new = float(old - alpha * slope)
    if not math.isfinite(new):
        raise ValueError(f"The new theta is {new}: the slope at {old:g} is {slope}, alpha {alpha:g}.")
    with _on_curve(ax, loss, [old, new]) as ax:
        _draw_dot(ax, loss, old, c="none", edgecolor=GREEN, linewidth=2, label="old theta")
        _draw_dot(ax, loss, new, label="new theta")
        _legend(ax, markerscale=0.6)
    print(f"old theta: {theta}")
    print(f"new theta: {new}")
    return ax


def plot_connected_thetas(y_vals: ArrayLike, theta_1: Number, theta_2: Number, loss_fn: ConstantFunction, *,
                          ax: Axes | None = None) -> Axes:
    """Two dots on the curve of the loss and the chord between them; of a convex loss it is nowhere below the curve.

    Parameters
    ----------
    y_vals : array-like of shape (n,)
        The points; finite real numbers.
    theta_1, theta_2 : float
        Where the dots are, in the units of the data.
    loss_fn : Loss or callable
        ``loss_fn(theta, y_vals) -> float``.
    ax : matplotlib.axes.Axes, optional
        As for `plot_theta_on_loss`.

    Returns
    -------
    matplotlib.axes.Axes
        The axes with the curve, the dots and the chord.

    Raises
    ------
    TypeError, ValueError, ImportError
        As for `plot_theta_on_loss`.

    See Also
    --------
    fastgd.is_convex : looks for a chord that cuts below the curve.

    Examples
    --------
    >>> from fastgd import plot, quartic_loss
    >>> ax = plot.plot_connected_thetas([0], -12, 12, quartic_loss)
    >>> ax.lines[-1].get_xdata()
    array([-12.,  12.])
    """
    ax = _checked_axes(ax)
    thetas = [check_number(theta, name, low=-np.inf, inclusive=False)
              for theta, name in ((theta_1, "theta_1"), (theta_2, "theta_2"))]
    loss = _LossOnPoints(loss_fn, y_vals)
    with _on_curve(ax, loss, thetas) as ax:
        ax.plot(np.array(thetas), loss.at(thetas), color=VERMILLION, linewidth=2, zorder=2, label="chord")
        for theta in thetas:
            _draw_dot(ax, loss, theta)
    return ax


def plot_histogram(y_vals: ArrayLike, *, ax: Axes | None = None, **kwargs: Any) -> Axes:
    """A histogram of the points in 50 bins, with the mean, the median and the Huber answer marked.

    They minimise the mean of `mse`, `abs_loss` and `huber_loss` (delta 1).

    Parameters
    ----------
    y_vals : array-like of shape (n,)
        The points; finite real numbers. A Series gives its name to the x axis.
    ax : matplotlib.axes.Axes, optional
        Where to draw; default: a new figure.
    **kwargs
        For `matplotlib.axes.Axes.hist`: bins, range, ...

    Returns
    -------
    matplotlib.axes.Axes
        The axes with the histogram and three lines.

    Raises
    ------
    TypeError, ValueError
        If an argument is not as described.
    ImportError
        If there is no matplotlib.

    Examples
    --------
    >>> from fastgd import plot
    >>> ax = plot.plot_histogram([12, 13, 15, 15.5, 40])
    >>> [text.get_text() for text in ax.get_legend().get_texts()]
    ['mean 19.1', 'median 15', 'Huber 14.75']
    """
    ax = _checked_axes(ax)
    points = check_dataset(y_vals, "y_vals")
    median = float(np.median(points))
    # The three may lie on one pixel: each of these can be seen under the next.
    marks: list[tuple[str, float, dict[str, Any]]] = [
        ("mean", float(points.mean()), {"color": VERMILLION, "linewidth": 1.5}),
        ("median", median, {"color": ORANGE, "linewidth": 3.5}),
        ("Huber", _huber_answer(points, median), {"color": "black", "linewidth": 1.2, "linestyle": (0, (4, 3))})]
    with _axes(ax) as ax:
        ax.hist(points, **{"bins": 50, "color": SKY, **kwargs})
        for name, place, style in marks:
            ax.axvline(place, label=f"{name} {place:.4g}", **style)
        ax.set(xlabel=getattr(y_vals, "name", None) or "", ylabel="Number of points")
        _legend(ax)
    return ax


def _huber_answer(points: FloatArray, median: float) -> float:
    """The minimiser of the Huber loss, by bisection of its slope; it is never further than delta from the median."""
    slope = huber_loss.gradient
    low, high = median - 1.0, median + 1.0
    for _ in range(40):
        middle = (low + high) / 2
        low, high = (middle, high) if slope(middle, points) < 0 else (low, middle)
    return (low + high) / 2


def plot_descent(result: DescentResult | pd.DataFrame, loss_fn: ConstantFunction, dataset: ArrayLike, *,
                 theta0: Number | None = None, label: str | None = None,
                 ax: Sequence[Axes] | NDArray[Any] | None = None) -> NDArray[Any]:
    """Two panels: the path of a descent on the curve of its loss, and the loss against the update.

    Several runs can share the panels: give the pair that the first call returned to the next, and each a label. The
    loss axis is logarithmic where all losses are above 0 and the largest is more than 10 times the least. Of a run with
    more than 1000 updates, 1000 at equal distances are drawn.

    Parameters
    ----------
    result : DescentResult or pandas.DataFrame
        What `minimize` and its kin return with ``history=True``, or the history itself: columns update and theta.
    loss_fn : Loss or callable
        ``loss_fn(theta, dataset) -> float``.
    dataset : array-like of shape (n,)
        The points; finite real numbers.
    theta0 : float, optional
        Where the run started, to be drawn as update 0; a history begins with the theta after the first update.
    label : str, optional
        The name of the run in the legend.
    ax : pair of matplotlib.axes.Axes, optional
        Where to draw the path and the losses; default: a new figure.

    Returns
    -------
    ndarray of two matplotlib.axes.Axes
        The panels; `ax` itself if it is an array.

    Raises
    ------
    TypeError, ValueError
        If an argument is not as described.
    ImportError
        If there is no matplotlib.

    Examples
    --------
    >>> from fastgd import grad_mse, minimize, mse, plot
    >>> y = [12.1, 12.8, 14.9, 16.3, 17.2]
    >>> run = minimize(mse, grad_mse, y, history=True, progress=False)
    >>> path, losses = plot.plot_descent(run, mse, y, theta0=0, label="alpha 0.2")
    >>> slow = minimize(mse, grad_mse, y, alpha=0.05, history=True, progress=False)
    >>> path, losses = plot.plot_descent(slow, mse, y, theta0=0, label="alpha 0.05", ax=[path, losses])
    >>> losses.get_yscale(), [text.get_text() for text in losses.get_legend().get_texts()]
    ('log', ['alpha 0.2', 'alpha 0.05'])
    """
    ax = _checked_axes(ax, 2)
    updates, thetas = _path(result, "result", 1, theta0)[:2]
    loss = _LossOnPoints(loss_fn, dataset, "dataset")
    thetas = thetas[:, 0]
    losses = loss.at(thetas)
    pair: NDArray[Any]
    with _axes(ax, (10, 4), 2) as pair:
        with _on_curve(pair[0], loss, [thetas.min(), thetas.max()]):
            pass
        style = _run_style(pair[1], len(thetas))
        pair[0].plot(thetas, losses, **{**style, "linewidth": 1, "marker": style["marker"] or "."}, label=label)
        pair[0].plot(thetas[-1:], losses[-1:], "o", color=style["color"], markersize=9, zorder=4)
        pair[1].plot(updates, losses, **style, label=label)
        pair[1].set(title="Loss after each update", xlabel="Update", ylabel="Loss")
        pair[1].xaxis.get_major_locator().set_params(integer=True)
        _log_if_it_helps(pair[1])
        if label is not None:
            _legend(pair[1])
    return pair


def _run_style(ax: Axes, n_updates: int) -> dict[str, Any]:
    """Colour and hollow marker of the next run on these axes; no marker where they would touch each other."""
    k = sum(line.get_gid() == _RUN for line in ax.lines)
    marker = _RUN_MARKERS[k % len(_RUN_MARKERS)] if n_updates <= _FEW_UPDATES else ""
    return {"color": _RUN_COLORS[k % len(_RUN_COLORS)], "marker": marker, "markerfacecolor": "none", "markersize": 5,
            "gid": _RUN, "zorder": 3}


def _log_if_it_helps(ax: Axes) -> None:
    drawn = np.concatenate([np.asarray(line.get_ydata(), float) for line in ax.lines])
    drawn = drawn[np.isfinite(drawn)]
    helps = drawn.size > 0 and drawn.min() > 0 and drawn.max() > 10 * drawn.min()
    ax.set_yscale("log" if helps else "linear")


def plot_paths(X: ArrayLike, y: ArrayLike, loss_fn: LossFunction,
               results: Mapping[str, DescentResult | pd.DataFrame] | Sequence[DescentResult | pd.DataFrame], *,
               theta0: Number | tuple[Number, Number] | None = None, ax: Axes | None = None) -> Axes:
    """Contours of a loss of two parameters, the paths of descents over it, and its minimum.

    The loss is evaluated at 81 x 81 places around all paths and the minimum, at 41 x 41 for more than 10,000 points.
    The minimum is searched on ever finer grids. Of a run with more than 1000 updates, 1000 at equal distances are
    drawn.

    Parameters
    ----------
    X : array-like or DataFrame of shape (n,), (n, 1) or (n, 2)
        The features. With one, theta is the intercept and its slope; with two, the slope of each, without an intercept.
    y : array-like of shape (n,)
        The targets.
    loss_fn : Loss or callable
        One of fastgd's own, or ``loss_fn(theta, X, y) -> float``; with an intercept the first column of X is ones.
    results : dict or list
        By name, or in order, what `minimize`, `minimize_mini_batch` and `minimize_sgd` return with ``history=True``, or
        the histories: columns update, alpha and one for each parameter.
    theta0 : float or (float, float), optional
        Where the runs started, to be drawn as update 0; a history begins with the theta after the first update.
    ax : matplotlib.axes.Axes, optional
        Where to draw; default: a new figure. The legend is beside it, at the right.

    Returns
    -------
    matplotlib.axes.Axes
        The axes with the contours and a line for each run, the longest path at the bottom.

    Raises
    ------
    TypeError, ValueError
        If an argument is not as described.
    ArithmeticError
        If the loss is NaN or infinite on all of the paths.
    ImportError
        If there is no matplotlib.

    Examples
    --------
    >>> import numpy as np, pandas as pd
    >>> from fastgd import plot
    >>> def squared_error(theta, X, y):
    ...     return np.mean((y - X @ theta) ** 2)
    >>> steps = pd.DataFrame({"update": [1, 2], "alpha": 0.2, "intercept": [2.4, 2.9], "x0": [0.9, 1.0]})
    >>> ax = plot.plot_paths([-1, 0, 1], [2, 3, 4], squared_error, {"batch": steps}, theta0=0)
    >>> [text.get_text() for text in ax.get_legend().get_texts()]
    ['batch\\n2 updates', 'minimum']
    >>> ax.get_xlabel(), ax.get_ylabel()
    ('intercept', 'x0')
    """
    ax = _checked_axes(ax)
    surface = _Surface(loss_fn, X, y)
    if not isinstance(results, (dict, list, tuple)) or not results:
        raise TypeError("The 'results' parameter must be a dict or a list of descents with a history. "
                        f"Got {results!r} of type {type(results).__name__}.")
    named = results if isinstance(results, dict) else {f"run {k}": run for k, run in enumerate(results, 1)}
    paths = {name: _path(run, f"results[{name!r}]", 2, theta0) for name, run in named.items()}
    places = np.concatenate([thetas for _, thetas, _ in paths.values()])
    for name, run in named.items():
        surface.check_model(run, f"results[{name!r}]")
    best = surface.minimum(places)
    low, high = (extreme([*places, best], axis=0) for extreme in (np.min, np.max))
    margin = 0.15 * np.where(high > low, high - low, 1.0)
    grid = surface.over(low - margin, high + margin)
    with _axes(ax, (7.5, 4.5), layout="constrained") as ax:
        _draw_contours(ax, *grid)
        _draw_paths(ax, paths)
        ax.plot(*best[:, None], "*", color="black", markeredgecolor="white", markersize=16, zorder=9, label="minimum")
        xlabel, ylabel = next(iter(paths.values()))[2]
        ax.set(title=surface.name, xlabel=xlabel, ylabel=ylabel)
        # Beside the axes, because the contours are everywhere on them.
        ax.legend(loc="upper left", bbox_to_anchor=(1.02, 1), borderaxespad=0, frameon=False, labelspacing=0.8)
    return ax


def _draw_contours(ax: Axes, first: DoubleArray, second: DoubleArray, losses: DoubleArray) -> None:
    """Filled contours whose steps grow from the minimum outwards: on a quadratic loss they lie at equal distances."""
    from matplotlib.colors import to_hex, to_rgb

    finite = losses[np.isfinite(losses)]
    if finite.size == 0 or finite.min() == finite.max():
        return
    levels = finite.min() + (finite.max() - finite.min()) * np.linspace(0, 1, 13) ** 2
    shades = [to_hex(1 - (1 - np.array(to_rgb(BLUE))) * share) for share in np.linspace(0, 0.5, len(levels) - 1)]
    ax.contourf(first, second, losses, levels=levels, colors=shades, zorder=0)
    ax.contour(first, second, losses, levels=levels[1:-1], colors="#7A9CC0", linewidths=0.7, zorder=1)


def _draw_paths(ax: Axes, paths: dict[str, _Path]) -> None:
    lengths = {name: float(np.abs(np.diff(thetas, axis=0)).sum()) for name, (_, thetas, _) in paths.items()}
    below = sorted(paths, key=lambda name: lengths[name], reverse=True)
    for k, (name, (updates, thetas, _)) in enumerate(paths.items()):
        style: dict[str, Any] = {"color": _RUN_COLORS[k % len(_RUN_COLORS)],
                                 "zorder": 3 + below.index(name) / len(paths)}
        ax.plot(*thetas.T, linewidth=1.5, marker="." if len(thetas) <= _FEW_UPDATES else "", gid=_RUN,
                label=f"{name}\n{updates[-1]:,} updates", **style)
        ax.plot(*thetas[-1:].T, "o", markeredgecolor="white", markersize=8, **style)


def _path(result: DescentResult | pd.DataFrame, name: str, n_parameters: int, theta0: Any) -> _Path:
    """Updates, thetas of shape (m, n_parameters) and the parameters' names of a history, the start first if known."""
    history = result.history if isinstance(result, DescentResult) else result
    if history is None:
        raise ValueError(f"The '{name}' parameter has no history; call the descent with history=True.")
    if not hasattr(history, "columns"):
        raise TypeError(f"The '{name}' parameter must be a DescentResult or its history, a DataFrame. "
                        f"Got {result!r} of type {type(result).__name__}.")
    parameters = [column for column in history.columns if column not in ("update", "alpha")]
    if "update" not in history.columns or len(parameters) != n_parameters or len(history) == 0:
        wanted = "one column theta" if n_parameters == 1 else "a column for each of two parameters"
        raise ValueError(f"The '{name}' parameter must be a history with a column update, {wanted} and at least one "
                         f"row. Got {len(history)} rows of {', '.join(map(str, history.columns))}.")
    shown = np.unique(np.linspace(0, len(history) - 1, min(len(history), _MOST_UPDATES)).astype(int))
    updates = history["update"].to_numpy()[shown]
    thetas = history[parameters].to_numpy(dtype=np.float64)[shown]
    if not np.isfinite(thetas).all():
        raise ValueError(f"The '{name}' parameter has NaN or infinity among its thetas.")
    if theta0 is not None:
        updates, thetas = np.insert(updates, 0, 0), np.vstack([_start(theta0, n_parameters), thetas])
    return updates, thetas, parameters


def _start(theta0: Any, n_parameters: int) -> DoubleArray:
    start = [check_number(value, "theta0", low=-np.inf, inclusive=False) for value in np.ravel(theta0)]
    if np.ndim(theta0) > 1 or len(start) not in (1, n_parameters):
        raise ValueError(f"The 'theta0' parameter must be a number{' or a pair of them' * (n_parameters == 2)}. "
                         f"Got {theta0!r}.")
    return np.broadcast_to(start, n_parameters)


class _Surface:
    """A loss of a linear model with two parameters, checked."""

    def __init__(self, loss_fn: LossFunction, X: ArrayLike, y: ArrayLike) -> None:
        X = np.asarray(X)[:, None] if np.ndim(X) == 1 else X
        self._objective = objective_of(loss_fn, None, check_dataset(y, "y"), X, np.shape(X)[1:] == (1,))
        self._design = self._objective.source
        if self._design.n_parameters != 2:
            raise ValueError("Input X should have one or two features for two parameters, "
                             f"got an array of shape {self._design.X.shape}.")
        self.name = self._objective.name

    def check_model(self, run: object, name: str) -> None:
        """Raise ValueError for a descent on other features, or with an intercept where there is none."""
        design = self._design
        if not isinstance(run, DescentResult):
            return
        if run.fit_intercept != design.intercept:
            has, wanted = ("an intercept and one feature" if one else "two features and no intercept"
                           for one in (run.fit_intercept, design.intercept))
            raise ValueError(f"The '{name}' parameter must be a descent on X, with {wanted}. Got one with {has}.")
        if None not in (run.feature_names, design.names) and run.feature_names != design.names:
            raise ValueError(f"The '{name}' parameter must be a descent on X, with {', '.join(design.names or ())}. "
                             f"Got one with {', '.join(run.feature_names or ())}.")

    def at(self, thetas: DoubleArray) -> DoubleArray:
        """The loss at each row of an array of thetas."""
        return np.array(self._objective.values(thetas), dtype=np.float64)

    def over(self, low: DoubleArray, high: DoubleArray) -> tuple[DoubleArray, DoubleArray, DoubleArray]:
        """The places along both axes, and the losses there, rows along the second."""
        places = 81 if len(self._design.X) <= 10_000 else 41
        axes = np.linspace(low, high, places).T
        thetas = np.stack(np.meshgrid(*axes), axis=-1)
        return *axes, self.at(thetas.reshape(-1, 2)).reshape(thetas.shape[:2])

    def minimum(self, places: DoubleArray) -> DoubleArray:
        """Where the loss is least: from the lowest of `places` on, on an 11 x 11 grid that follows it and shrinks.

        The grid is laid out in R @ theta, where X = Q @ R: there the narrow valley of correlated features is round.
        """
        X = self._design.with_ones()
        R = np.linalg.qr(X, mode="r") / np.sqrt(len(X))
        back = np.linalg.inv(R).T if np.linalg.cond(R) < 1e12 else np.eye(2)
        losses = self.at(places)
        if not np.isfinite(losses).any():
            raise ArithmeticError(f"{self.name} is NaN or infinite at every theta of the results.")
        best: DoubleArray = places[np.nanargmin(losses)]
        offsets = np.stack(np.meshgrid(*[np.linspace(-1, 1, 11)] * 2), axis=-1).reshape(-1, 2)
        width = first_width = np.ptp(places @ np.linalg.inv(back), axis=0).max() or 1.0
        for _ in range(100):
            k = np.nanargmin(self.at(best + width * offsets @ back))
            best = best + width * offsets[k] @ back
            width *= 0.4 if np.abs(offsets[k]).max() < 1 else 2
            if not 1e-7 * first_width < width < 1e7 * first_width:
                break
        return best


class _LossOnPoints:
    """A loss and its points, checked."""

    def __init__(self, loss_fn: ConstantFunction, y_vals: ArrayLike, name: str = "y_vals") -> None:
        self._curve = curve_of(loss_fn)(y_vals, name)
        self.name = self._curve.name
        self.points = self._curve.source.targets
        self.dataset = self._curve.source.everything

    def at(self, thetas: ArrayLike) -> DoubleArray:
        """The loss at each theta, as an array."""
        return np.array(self._curve.values(np.asarray(thetas, dtype=np.float64)), dtype=np.float64)

    def curve(self, xlim: tuple[float, float]) -> tuple[DoubleArray, DoubleArray]:
        """The thetas of a curve over a range, and the losses there."""
        low, high = xlim
        if not high - low < np.inf:
            raise ValueError(f"The range of theta from {low:g} to {high:g} is too wide to be drawn.")
        thetas = _thetas(low, high)
        return thetas, self.at(thetas)

    def slope_at(self, theta: float) -> float:
        return float(self._curve.slope(theta))


def _thetas(low: float, high: float) -> DoubleArray:
    steps = (high - low) / _STEP
    if steps < _FEWEST:
        return np.linspace(low, high, 201)
    if steps > _MOST:
        return np.linspace(low, high, _MOST + 1)
    thetas = np.arange(low, high + 0.01, _STEP)
    return thetas if thetas[-1] > high - 1e-9 * (high - low) else np.append(thetas, high)


def _range_around(points: FloatArray, thetas: Sequence[float]) -> tuple[float, float]:
    """A range about the median that shows the thetas and the middle 80 % of (a sample of) the points."""
    with np.errstate(over="ignore"):    # such a range is refused by name
        low, middle, high = np.quantile(points[::len(points) // 10_000 + 1], [0.1, 0.5, 0.9]).tolist()
    half = 1.15 * max(middle - low, high - middle, *(abs(theta - middle) for theta in thetas)) or 1.0
    return middle - half, middle + half


def _draw_curve(ax: Axes, loss: _LossOnPoints, thetas: DoubleArray, losses: DoubleArray, xlim: tuple[float, float],
                **kwargs: Any) -> None:
    ax.plot(thetas, losses, **{"color": BLUE, "linewidth": 2, "zorder": 1, "gid": _CURVE, **kwargs})
    ax.set(title=loss.name, xlabel=r"$\theta$", ylabel="Loss", xlim=xlim)


def _draw_dot(ax: Axes, loss: _LossOnPoints, theta: float, **kwargs: Any) -> None:
    style = {"s": 150, "zorder": 3, "label": r"$\theta$", **kwargs}
    if not {"c", "color", "facecolor", "facecolors"} & set(kwargs):
        style["c"] = GREEN
    ax.scatter([theta], loss.at([theta]), **style)


def _draw_rug(ax: Axes, points: FloatArray, xlim: tuple[float, float]) -> None:
    """One collection of lines: a line for each point or, where there are many, for each bin, opaque by its share."""
    from matplotlib.colors import to_rgb

    if points.size <= _MOST_LINES:
        ax.vlines(points, 0, 0.3, colors=BLUE, linewidth=1)
        return
    counts, edges = np.histogram(points, _BINS, xlim)
    full = counts > 0
    opacities = np.maximum(0.1, counts[full] / counts.max(initial=1)).tolist()
    colors = [(*to_rgb(BLUE), opacity) for opacity in opacities]
    ax.vlines((edges[:-1] + edges[1:])[full] / 2, 0, 0.3, colors=colors, linewidth=1)


def _legend(ax: Axes, **kwargs: Any) -> None:
    """A legend where the least is under it."""
    ax.legend(loc="best", framealpha=0.9, **kwargs)


def require_matplotlib() -> ModuleType:
    """The module matplotlib, with its Axes and Figure but without pyplot, which would look for a screen."""
    try:
        import matplotlib.figure
    except ImportError as error:
        raise ImportError("The pictures need matplotlib: pip install 'fastgd[plot]'.") from error
    return matplotlib


def _checked_axes(ax: Any, count: int = 1) -> Any:
    """`ax`, or `count` of them in an array, if that is what was given; None if nothing was."""
    Axes = require_matplotlib().axes.Axes
    if ax is None:
        return None
    if count == 1:
        if not isinstance(ax, Axes):
            raise TypeError(f"The 'ax' parameter must be a matplotlib Axes. Got {ax!r} of type {type(ax).__name__}.")
        return ax
    pair = np.asarray(ax, dtype=object)
    if pair.shape != (count,) or not all(isinstance(one, Axes) for one in pair):
        raise TypeError(f"The 'ax' parameter must be a pair of matplotlib Axes. Got {ax!r}.")
    return pair


@contextlib.contextmanager
def _axes(ax: Any, size: tuple[float, float] = (6, 4), columns: int = 1, layout: Any = None) -> Iterator[Any]:
    """`ax` if it is given, else those of a new figure, which is closed again if drawing fails.

    A layout engine doubles the time of drawing; margins that hold six digits and a label do without.
    """
    if ax is not None:
        yield ax
        return
    import matplotlib.pyplot as plt

    figure, ax = plt.subplots(1, columns, figsize=size, layout=layout,
                              gridspec_kw=None if layout else _margins(*size, columns))
    try:
        yield ax
    except BaseException:
        plt.close(figure)
        raise


def _margins(width: float, height: float, columns: int) -> dict[str, float]:
    left, right, bottom, top = 0.9, 0.25, 0.55, 0.4    # inches
    panel = (width - columns * left - right) / columns
    return {"left": left / width, "right": 1 - right / width, "bottom": bottom / height, "top": 1 - top / height,
            "wspace": left / panel}


@contextlib.contextmanager
def _on_curve(ax: Axes | None, loss: _LossOnPoints, thetas: Sequence[float]) -> Iterator[Axes]:
    """The axes that show the curve of `loss`, drawn or lengthened if need be so that it holds all `thetas`."""
    ax = _current_axes_showing(loss) if ax is None else ax
    line = None if ax is None else _curve_on(ax, loss)
    if ax is None or line is None:
        xlim = _range_around(loss.points, thetas)
        curve = loss.curve(xlim)
        with _axes(ax) as ax:
            _draw_curve(ax, loss, *curve, xlim)
            yield ax
        return
    low, high = ax.get_xlim()
    if not low <= min(thetas) <= max(thetas) <= high:
        margin = 0.05 * (max(high, *thetas) - min(low, *thetas))
        xlim = min(low, min(thetas) - margin), max(high, max(thetas) + margin)
        curve = loss.curve(xlim)
        line.set_data(*curve)
        ax.update_datalim(np.column_stack(curve))
        ax.autoscale_view(scalex=False)
        ax.set_xlim(xlim)
    yield ax


def _current_axes_showing(loss: _LossOnPoints) -> Axes | None:
    import matplotlib.pyplot as plt

    if plt.get_fignums() and plt.gcf().axes:
        ax = plt.gca()
        return ax if _curve_on(ax, loss) is not None else None
    return None


def _curve_on(ax: Axes, loss: _LossOnPoints) -> Line2D | None:
    """The line on `ax` that is the curve of this loss of these points, as its two ends show, or None."""
    for line in ax.lines:
        if line.get_gid() == _CURVE:
            thetas, losses = (np.asarray(values)[[0, -1]] for values in line.get_data())
            if np.array_equal(loss.at(thetas), losses, equal_nan=True):
                return line
    return None
