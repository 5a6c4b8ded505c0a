"""Pictures of descents: over one parameter on the curve of the loss, over two on its contours."""
from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from fastgd._checks import check_number
from fastgd._frames import described, typed_value
from fastgd.plot._axes import (
    BLUE,
    GREEN,
    ORANGE,
    PURPLE,
    SKY,
    VERMILLION,
    axes,
    checked_axes,
    ink,
    legend,
    legend_beside,
)
from fastgd.plot._losses import LossOnPoints, Surface
from fastgd.plot._on_curve import on_curve
from fastgd.results import DescentResult

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pandas as pd
    from matplotlib.axes import Axes
    from numpy.typing import ArrayLike, NDArray

    from fastgd._types import ConstantFunction, Count, DoubleArray, LossFunction, Number
    from fastgd.penalties import Penalty

    _Path = tuple[NDArray[Any], DoubleArray, list[str]]    # updates, thetas, names of the parameters

_RUN_COLORS = (VERMILLION, GREEN, PURPLE, ORANGE, SKY, "black")
_RUN_MARKERS = ("o", "s", "^", "D", "v", "P")

#: Updates of a run that are drawn at most, and that get a marker each.
_MOST_UPDATES, _FEW_UPDATES = 1000, 60

#: A path that goes so many times beyond the points, or its start, has diverged: what follows is not drawn.
FAR = 1e3
#: What marks the lines that a later call looks for.
_RUN = "fastgd run"


def plot_descent(result: DescentResult | pd.DataFrame, loss_fn: ConstantFunction, dataset: ArrayLike, *,
                 theta0: Number | None = None, label: str | None = None, penalty: Penalty | None = None,
                 n_threads: Count | None = None, ax: Sequence[Axes] | NDArray[Any] | None = None) -> NDArray[Any]:
    """Two panels: the path of a descent on the curve of its loss, and the loss against the update.

    Several runs can share the panels: give the pair that the first call returned to the next, and each a label. The
    loss axis is logarithmic where all losses are above 0 and the largest is more than 10 times the least. Of a run with
    more than 1000 updates, 1000 at equal distances are drawn; of one that diverged the part before it went a thousand
    times beyond the points and its start.

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
    penalty : Penalty, optional
        One of `fastgd.penalties`, added to the loss, as in the descent.
    n_threads : int or None, default None
        Threads that share the curve of a loss of fastgd's own, as for `fastgd.simple_minimize`.
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
    ax = checked_axes(ax, 2)
    updates, thetas = _path(result, "result", 1, theta0)[:2]
    loss = LossOnPoints(loss_fn, dataset, "dataset", penalty, n_threads)
    thetas = thetas[:, 0]
    losses = loss.at(thetas)
    drawn = _drawable(thetas[:, None], np.abs(loss.points).max(), losses)
    updates, thetas, losses = updates[:drawn], thetas[:drawn], losses[:drawn]
    pair: NDArray[Any]
    with axes(ax, (10, 4), 2) as pair:
        with on_curve(pair[0], loss, [thetas.min(), thetas.max()]):
            pass
        style = _run_style(pair[1], len(thetas))
        pair[0].plot(thetas, losses, **{**style, "linewidth": 1, "marker": style["marker"] or "."}, label=label)
        pair[0].plot(thetas[-1:], losses[-1:], "o", color=style["color"], markersize=9, zorder=4)
        pair[1].plot(updates, losses, **style, label=label)
        pair[1].set(title="Loss after each update", xlabel="Update", ylabel="Loss")
        pair[1].xaxis.get_major_locator().set_params(integer=True)
        _log_if_it_helps(pair[1])
        if label is not None:
            legend(pair[1])
    return pair


def _drawable(thetas: DoubleArray, size: float, losses: DoubleArray | None = None) -> int:
    """How many thetas of a path can be drawn together: all, or those before it went a thousand times out of scale."""
    reach = FAR * max(size, float(np.abs(thetas[0]).max()))
    is_near = (np.abs(thetas) <= reach).all(axis=1)
    if losses is not None:
        is_near &= np.isfinite(losses)
    return len(thetas) if is_near.all() else max(2, int(np.argmin(is_near)))


def _run_style(ax: Axes, n_updates: int) -> dict[str, Any]:
    """Colour and hollow marker of the next run on these axes; no marker where they would touch each other."""
    k = sum(line.get_gid() == _RUN for line in ax.lines)
    marker = _RUN_MARKERS[k % len(_RUN_MARKERS)] if n_updates <= _FEW_UPDATES else ""
    return {"color": _color(ax, k), "marker": marker, "markerfacecolor": "none", "markersize": 5,
            "gid": _RUN, "zorder": 3}


def _color(ax: Axes, k: int) -> str:
    """The colour of the run of this number."""
    color = _RUN_COLORS[k % len(_RUN_COLORS)]
    return ink(ax) if color == "black" else color


def _log_if_it_helps(ax: Axes) -> None:
    drawn = np.concatenate([np.asarray(line.get_ydata(), float) for line in ax.lines])
    drawn = drawn[np.isfinite(drawn)]
    helps = drawn.size > 0 and drawn.min() > 0 and drawn.max() > 10 * drawn.min()
    ax.set_yscale("log" if helps else "linear")


def plot_paths(X: ArrayLike, y: ArrayLike, loss_fn: LossFunction,
               results: Mapping[str, DescentResult | pd.DataFrame] | Sequence[DescentResult | pd.DataFrame], *,
               theta0: Number | tuple[Number, Number] | None = None, penalty: Penalty | None = None,
               n_threads: Count | None = None, ax: Axes | None = None) -> Axes:
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
    penalty : Penalty, optional
        One of `fastgd.penalties`, added to the loss; an intercept is free.
    n_threads : int or None, default None
        Threads that share a loss of fastgd's own over more than 1e6 numbers of X; None is 1, -1 as many as there are
        cores.
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
    ax = checked_axes(ax)
    surface = Surface(loss_fn, X, y, penalty, n_threads)
    if not isinstance(results, (dict, list, tuple)) or not results:
        raise TypeError("The 'results' parameter must be a dict or a list of descents with a history. "
                        f"Got {typed_value(results)}.")
    named = results if isinstance(results, dict) else {f"run {k}": run for k, run in enumerate(results, 1)}
    paths = {name: _near(_path(run, f"results[{name!r}]", 2, theta0)) for name, run in named.items()}
    places = np.concatenate([thetas for _, thetas, _ in paths.values()])
    for name, run in named.items():
        surface.check_model(run, f"results[{name!r}]")
    best = surface.minimum(places)
    low, high = (extreme([*places, best], axis=0) for extreme in (np.min, np.max))
    size = np.maximum(np.abs(low), np.abs(high))
    size[size == 0] = 1.0
    margin = 0.15 * np.where(high - low > 1e-6 * size, high - low, size)    # a path may stay at one place
    grid = surface.over(low - margin, high + margin)
    own_figure = ax is None
    with axes(ax, (7.5, 4.5)) as ax:
        _draw_contours(ax, *grid)
        _draw_paths(ax, paths)
        ax.plot(*best[:, None], "*", color="black", markeredgecolor="white", markersize=16, zorder=9, label="minimum")
        xlabel, ylabel = next(iter(paths.values()))[2]
        ax.set_title(surface.name)
        ax.set_xlabel(xlabel, parse_math=False)    # a column may be named "$"
        ax.set_ylabel(ylabel, parse_math=False)
        legend_beside(ax, own_figure)
    return ax


def _near(path: _Path) -> _Path:
    """The part of a path before it diverged."""
    updates, thetas, names = path
    drawn = _drawable(thetas, 1.0)
    return updates[:drawn], thetas[:drawn], names


def _draw_contours(ax: Axes, first: DoubleArray, second: DoubleArray, losses: DoubleArray) -> None:
    """Filled contours whose steps grow from the minimum outwards: on a quadratic loss they lie at equal distances."""
    from matplotlib.colors import to_hex, to_rgb

    finite = losses[np.isfinite(losses)]
    if finite.size == 0 or finite.min() == finite.max():
        return
    levels = np.unique(finite.min() + (finite.max() - finite.min()) * np.linspace(0, 1, 13) ** 2)
    if len(levels) < 4:    # which differ by rounding
        return
    shades = [to_hex(1 - (1 - np.array(to_rgb(BLUE))) * share) for share in np.linspace(0, 0.5, len(levels) - 1)]
    ax.contourf(first, second, losses, levels=levels, colors=shades, zorder=0)
    ax.contour(first, second, losses, levels=levels[1:-1], colors="#7A9CC0", linewidths=0.7, zorder=1)


def _draw_paths(ax: Axes, paths: dict[str, _Path]) -> None:
    lengths = {name: float(np.abs(np.diff(thetas, axis=0)).sum()) for name, (_, thetas, _) in paths.items()}
    below = sorted(paths, key=lambda name: lengths[name], reverse=True)
    for k, (name, (updates, thetas, _)) in enumerate(paths.items()):
        style: dict[str, Any] = {"color": _color(ax, k),
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
                        f"Got {typed_value(result)}.")
    parameters = [column for column in history.columns if column not in ("update", "alpha")]
    if "update" not in history.columns or len(parameters) != n_parameters or len(history) == 0:
        wanted = "one column theta" if n_parameters == 1 else "a column for each of two parameters"
        raise ValueError(f"The '{name}' parameter must be a history with a column update, {wanted} and at least one "
                         f"row. Got {len(history)} rows of {', '.join(map(str, history.columns))}.")
    shown = np.unique(np.linspace(0, len(history) - 1, min(len(history), _MOST_UPDATES)).astype(int))
    updates = history["update"].to_numpy()[shown]
    thetas = history[parameters].to_numpy(dtype=np.float64)[shown]
    if not np.isfinite(thetas[0]).all():
        raise ValueError(f"The '{name}' parameter has NaN or infinity in its first theta.")
    finite = np.isfinite(thetas).all(axis=1)
    end = len(thetas) if finite.all() else int(np.argmin(finite))
    updates, thetas = updates[:end], thetas[:end]
    if theta0 is not None:
        updates, thetas = np.insert(updates, 0, 0), np.vstack([_start(theta0, n_parameters), thetas])
    return updates, thetas, parameters


def _start(theta0: Any, n_parameters: int) -> DoubleArray:
    start = [check_number(value, "theta0", low=-np.inf, inclusive=False) for value in np.ravel(theta0)]
    if np.ndim(theta0) > 1 or len(start) not in (1, n_parameters):
        raise ValueError(f"The 'theta0' parameter must be a number{' or a pair of them' * (n_parameters == 2)}. "
                         f"Got {described(theta0)}.")
    return np.broadcast_to(start, n_parameters)
