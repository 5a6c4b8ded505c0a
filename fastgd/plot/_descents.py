"""Pictures of descents: of one parameter on the curve of the loss, of two on its contours."""
from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from fastgd._data import LinearModelData
from fastgd._objective.objective import objective_of
from fastgd._thread_pool import thread_pool
from fastgd._validation import check_dataset, check_number
from fastgd.plot._axes import BLUE, RUN_COLORS, axes, check_axes, legend, legend_beside, type_and_shape
from fastgd.plot._on_curve import LossOnPoints, on_curve, usual_range
from fastgd.results import DescentResult

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pandas as pd
    from matplotlib.axes import Axes
    from numpy.typing import ArrayLike, NDArray

    from fastgd._types import ConstantFunction, Count, DoubleArray, LossFunction, Number
    from fastgd.penalties import Penalty

_RUN_MARKERS = ("o", "s", "^", "D", "v", "P")

#: Most updates of a run that are drawn, and most that get a marker each.
_MOST_UPDATES, _FEW_UPDATES = 1000, 60
#: A path has diverged beyond the first number times the distance of its start or the range of the data; it is then
#: drawn within the second number times. For losses the squares of both.
_DIVERGED, _SHOWN = 100.0, 10.0
#: Relative size below which a path is one point and a loss flat; number of tenfold widenings of a range.
_POINT, _WIDENINGS = 1e-9, 12
#: Losses above it are not drawn, because the ticks beyond them on a logarithmic axis overflow.
_MOST_LOSS = 1e200
#: Identifier of the line of a run, by which later calls count them.
_RUN = "fastgd run"


class _Surface:
    """Loss of a linear model with two parameters, on checked rows."""

    def __init__(self, loss_fn: LossFunction, X: ArrayLike, y: ArrayLike, penalty: Penalty | None = None,
                 n_threads: Count | None = None) -> None:
        X = np.asarray(X)[:, None] if np.ndim(X) == 1 else X
        if X is None:
            raise TypeError("Input X should be a 2d array of real numbers, got None.")
        self._objective = objective_of(loss_fn, None, check_dataset(y, "y"), X, np.shape(X)[1:] == (1,),
                                       penalty=penalty, threads=thread_pool(n_threads))
        source = self._objective.data
        assert isinstance(source, LinearModelData)
        self._rows = source
        if source.n_parameters != 2:
            raise ValueError("Input X should have one or two features for two parameters, "
                             f"got an array of shape {source.X.shape}.")
        self.name = self._objective.name

    def check_model(self, run: object, name: str) -> None:
        """Raise ValueError for a result of other features, or of another intercept."""
        design = self._rows
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
        """Loss at each row of an array of thetas."""
        return self._objective.curve(thetas)

    def over(self, low: DoubleArray, high: DoubleArray) -> tuple[DoubleArray, DoubleArray, DoubleArray]:
        """Grid along both axes, and the losses on it, with rows along the second."""
        places = 81 if self._rows.n <= 10_000 else 41
        axes = np.linspace(low, high, places).T
        thetas = np.stack(np.meshgrid(*axes), axis=-1)
        return *axes, self.at(thetas.reshape(-1, 2)).reshape(thetas.shape[:2])

    def scale(self) -> DoubleArray:
        """Size of each parameter that alone makes predictions as large as the targets; above 0."""
        with np.errstate(all="ignore"):
            scale = np.abs(self._rows.targets).max() / np.abs(self._rows.with_ones()).max(axis=0)
        return np.where((scale > 0) & (scale < np.inf), scale, 1.0)

    def minimum(self, places: DoubleArray) -> DoubleArray:
        """Minimise the loss from the lowest of `places` on an 11 x 11 grid, which moves to the minimum and shrinks.

        The grid is square in R @ theta, where X = Q @ R: in these coordinates the contours of correlated features are
        nearly round. Among equal losses the nearest is taken, so that the grid does not drift along a floor.
        """
        X = self._rows.with_ones()
        R = np.zeros((2, 2))    # a single row fills one half
        R[:len(X)] = np.linalg.qr(X, mode="r") / np.sqrt(len(X))
        back = np.linalg.inv(R).T if np.linalg.cond(R) < 1e12 else np.eye(2)
        losses = self.at(places)
        if not np.isfinite(losses).any():
            raise ArithmeticError(f"{self.name} is NaN or infinite at every theta of the results.")
        best: DoubleArray = places[np.nanargmin(losses)]
        offsets = np.stack(np.meshgrid(*[np.linspace(-1, 1, 11)] * 2), axis=-1).reshape(-1, 2)
        offsets = offsets[np.argsort((offsets**2).sum(axis=1), kind="stable")]
        first_width = np.ptp(places @ np.linalg.inv(back), axis=0).max() or np.abs(self._rows.targets).max() or 1.0
        width = first_width
        for _ in range(100):
            k = np.nanargmin(self.at(best + width * offsets @ back))
            best = best + width * offsets[k] @ back
            width *= 0.4 if np.abs(offsets[k]).max() < 1 else 2
            if not 1e-7 * first_width < width < 1e7 * first_width:
                break
        return best


class _Path(NamedTuple):
    """Updates of a history with finite thetas, of shape (m, n_parameters), and the last update of the history."""

    updates: NDArray[Any]
    thetas: DoubleArray
    parameters: list[str]
    last: int


def plot_descent(result: DescentResult | pd.DataFrame, loss_fn: ConstantFunction, dataset: ArrayLike, *,
                 theta0: Number | None = None, label: str | None = None, penalty: Penalty | None = None,
                 n_threads: Count | None = None, ax: Sequence[Axes] | NDArray[Any] | None = None) -> NDArray[Any]:
    """Draw the path of a descent on the curve of its loss, and the loss against the update, in two panels.

    Several runs can share the panels: pass the pair that the first call returned to the next, and each a label. The
    loss axis is logarithmic if all losses are above 0 and the largest is more than 10 times the least. If there are
    more than 1000 updates, 1000 at equal distances are drawn. The path of a run that diverged is drawn near the data,
    its losses up to 1e200; NaN and infinity are left out.

    Parameters
    ----------
    result : DescentResult or pandas.DataFrame
        Result of a descent with ``history=True``, or the history itself: columns update and theta.
    loss_fn : Loss or callable
        ``loss_fn(theta, dataset) -> float``.
    dataset : array-like of shape (n,)
        The points; finite real numbers.
    theta0 : float, optional
        Start of the run, drawn as update 0; a history begins with the theta after the first update.
    label : str, optional
        Name of the run in the legend.
    penalty : Penalty, optional
        One of `fastgd.penalties`, added to the loss, as in the descent.
    n_threads : int or None, default None
        Threads that share the curve of a compiled loss, as for `fastgd.simple_minimize`.
    ax : pair of matplotlib.axes.Axes, optional
        Axes of the path and of the losses; default: a new figure.

    Returns
    -------
    ndarray of two matplotlib.axes.Axes
        The panels; `ax` itself if it is an array.

    Raises
    ------
    TypeError, ValueError
        If an argument is not as described, or the loss is NaN or infinite at every theta of the run.
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
    ax = check_axes(ax, 2)
    path = _path(result, "result", 1, theta0)
    loss = LossOnPoints(loss_fn, dataset, "dataset", penalty, n_threads)
    thetas = path.thetas[:, 0]
    with np.errstate(over="ignore", invalid="ignore"):
        losses = loss.at(thetas)
    is_near = _near(loss, thetas) & np.isfinite(losses)
    if not is_near.any():
        raise ValueError(f"{loss.name} is NaN or infinite at every theta of the 'result' parameter. "
                         "Check the loss and the points.")
    pair: NDArray[Any]
    with axes(ax, (10, 4), 2) as pair:
        with on_curve(pair[0], loss, [thetas[is_near].min(), thetas[is_near].max()]):
            pass
        style = _run_style(pair[1], len(thetas))
        _draw_path(pair[0], thetas, losses, is_near, {**style, "label": label})
        is_drawn = np.abs(losses) < _MOST_LOSS if np.nanmin(losses) > 0 else is_near
        pair[1].plot(path.updates, np.where(is_drawn, losses, np.nan), **style, label=label)
        pair[1].set(title="Loss after each update", xlabel="Update", ylabel="Loss")
        pair[1].xaxis.get_major_locator().set_params(integer=True)
        _set_scale(pair[1])
        if label is not None:
            legend(pair[1])
    return pair


def _near(loss: LossOnPoints, thetas: DoubleArray) -> NDArray[np.bool_]:
    """Mask of the thetas that are drawn: all, or of a run that diverged those near the data or the start."""
    if loss.sample.min() <= thetas.min() and thetas.max() <= loss.sample.max():
        return np.ones(len(thetas), dtype=bool)
    low, high = usual_range(loss)
    distances = np.abs(thetas / 2 - (low / 4 + high / 4))    # halves, as the whole may overflow
    unit = max((high - low) / 2, distances[0])
    return distances <= (np.inf if distances.max() <= _DIVERGED * unit else _SHOWN * unit)


def _draw_path(ax: Axes, thetas: DoubleArray, losses: DoubleArray, is_near: NDArray[np.bool_],
               style: dict[str, Any]) -> None:
    """Draw the path on the curve; thetas that are not near lie outside the limits of the panel, which stay."""
    limits = ax.dataLim.frozen()
    is_drawn = is_near.copy()
    is_drawn[1:] |= is_near[:-1]
    is_drawn[:-1] |= is_near[1:]
    is_drawn &= np.abs(losses) < _MOST_LOSS
    ax.plot(np.where(is_drawn, thetas, np.nan), np.where(is_drawn, losses, np.nan),
            **{**style, "linewidth": 1, "marker": style["marker"] or "."})
    if not is_near.all():
        ax.dataLim.set(limits)
        ax.autoscale_view(scalex=False)
    if is_near[-1]:
        ax.plot(thetas[-1:], losses[-1:], "o", color=style["color"], markersize=9, zorder=4)


def _run_style(ax: Axes, n_updates: int) -> dict[str, Any]:
    """Colour and hollow marker of the next run on these axes; no marker for many updates."""
    k = sum(line.get_gid() == _RUN for line in ax.lines)
    marker = _RUN_MARKERS[k % len(_RUN_MARKERS)] if n_updates <= _FEW_UPDATES else ""
    return {"color": RUN_COLORS[k % len(RUN_COLORS)], "marker": marker, "markerfacecolor": "none", "markersize": 5,
            "gid": _RUN, "zorder": 3}


def _set_scale(ax: Axes) -> None:
    drawn = np.concatenate([np.asarray(line.get_ydata(), float) for line in ax.lines])
    drawn = drawn[np.isfinite(drawn)]
    is_wide = drawn.size > 0 and drawn.min() > 0 and drawn.max() > 10 * drawn.min()
    ax.set_yscale("log" if is_wide else "linear")


def plot_paths(X: ArrayLike, y: ArrayLike, loss_fn: LossFunction,
               results: Mapping[str, DescentResult | pd.DataFrame] | Sequence[DescentResult | pd.DataFrame], *,
               theta0: Number | tuple[Number, Number] | None = None, penalty: Penalty | None = None,
               n_threads: Count | None = None, ax: Axes | None = None) -> Axes:
    """Draw contours of a loss of two parameters, the paths of descents, and the minimum.

    The loss is evaluated at 81 x 81 places around all paths and the minimum, at 41 x 41 for more than 10,000 points.
    The minimum is searched on successively finer grids. If a run has more than 1000 updates, 1000 at equal distances
    are drawn; a run that diverged is drawn until its loss grew a hundredfold. NaN and infinity are left out.

    Parameters
    ----------
    X : array-like or DataFrame of shape (n,), (n, 1) or (n, 2)
        The features. With one, theta is the intercept and its slope; with two, the slope of each, without an intercept.
    y : array-like of shape (n,)
        The targets.
    loss_fn : Loss or callable
        A compiled loss, or ``loss_fn(theta, X, y) -> float``; with an intercept the first column of X is ones.
    results : dict or list
        Results with ``history=True`` by name, or in order; or the histories: columns update, alpha and one for each
        parameter.
    theta0 : float or (float, float), optional
        Start of the runs, drawn as update 0; a history begins with the theta after the first update.
    penalty : Penalty, optional
        One of `fastgd.penalties`, added to the loss; an intercept is not penalised.
    n_threads : int or None, default None
        Threads that share a compiled loss over more than 1e6 numbers of X; None is 1, -1 is one for each core.
    ax : matplotlib.axes.Axes, optional
        Axes to draw on; default: a new figure. The legend is at the right of them.

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
    ax = check_axes(ax)
    surface = _Surface(loss_fn, X, y, penalty, n_threads)
    if not isinstance(results, (dict, list, tuple)) or not results:
        raise TypeError("The 'results' parameter must be a dict or a list of descents with a history. "
                        f"Got {type_and_shape(results)}.")
    named = results if isinstance(results, dict) else {f"run {k}": run for k, run in enumerate(results, 1)}
    paths = {name: _path(run, f"results[{name!r}]", 2, theta0) for name, run in named.items()}
    for name, run in named.items():
        surface.check_model(run, f"results[{name!r}]")
    parts = _drawable(surface, paths)
    places = np.concatenate([*parts.values()])
    best = surface.minimum(places)
    grid = surface.over(*_range(surface, np.vstack([places, best])))
    own_figure = ax is None
    with axes(ax, (7.5, 4.5)) as ax:
        _draw_contours(ax, *grid)
        _draw_paths(ax, paths, parts)
        ax.plot(*best[:, None], "*", color="black", markeredgecolor="white", markersize=16, zorder=9, label="minimum")
        xlabel, ylabel = next(iter(paths.values())).parameters
        ax.set_title(surface.name)
        ax.set_xlabel(xlabel, parse_math=False)    # a column may be named "$"
        ax.set_ylabel(ylabel, parse_math=False)
        legend_beside(ax, own_figure)
    return ax


def _drawable(surface: _Surface, paths: dict[str, _Path]) -> dict[str, DoubleArray]:
    """Thetas of each path that are drawn: those with a finite loss and, in a run that diverged, no large one."""
    with np.errstate(over="ignore", invalid="ignore"):
        losses = {name: surface.at(path.thetas) for name, path in paths.items()}
        finite = np.concatenate([*losses.values()])
        finite = finite[np.isfinite(finite)]
        if finite.size == 0:
            raise ArithmeticError(f"{surface.name} is NaN or infinite at every theta of the results.")
        least = finite.min()
        firsts = np.array([values[np.isfinite(values)][:1].sum() for values in losses.values()])
        unit = max(np.abs(firsts).max(), (firsts - least).max())
        rises = {name: np.where(np.isnan(values), np.inf, values - least) for name, values in losses.items()}
    goes_far = {name: (rise[np.isfinite(losses[name])] > _DIVERGED**2 * unit).any() for name, rise in rises.items()}
    return {name: path.thetas[rises[name] <= (_SHOWN**2 * unit if goes_far[name] else np.finfo(float).max)]
            for name, path in paths.items()}


def _range(surface: _Surface, places: DoubleArray) -> tuple[DoubleArray, DoubleArray]:
    """Range around the places with a margin, widened until the loss changes by more than rounding in it."""
    low, high = places.min(axis=0), places.max(axis=0)
    largest = np.abs(places).max(axis=0)
    margin = 0.15 * np.where(high - low > _POINT * largest, high - low, np.where(largest > 0, largest, surface.scale()))
    corners = np.array(list(itertools.product([-1, 0, 1], repeat=2)))
    for widening in 10.0 ** np.arange(_WIDENINGS):
        with np.errstate(over="ignore", invalid="ignore"):
            losses = surface.at((low + high) / 2 + corners * ((high - low) / 2 + widening * margin))
        if not np.isfinite(losses).all():
            break
        if np.ptp(losses) > _POINT * np.abs(losses).max():
            return low - widening * margin, high + widening * margin
    return low - margin, high + margin


def _draw_contours(ax: Axes, first: DoubleArray, second: DoubleArray, losses: DoubleArray) -> None:
    """Draw filled contours with steps that grow from the minimum, at equal distances for a quadratic loss."""
    from matplotlib.colors import to_hex, to_rgb

    finite = losses[np.isfinite(losses)]
    if finite.size == 0:
        return
    levels = np.unique(finite.min() + (finite.max() - finite.min()) * np.linspace(0, 1, 13) ** 2)
    if len(levels) < 3:    # up to rounding the loss is flat
        return
    shades = [to_hex(1 - (1 - np.array(to_rgb(BLUE))) * share) for share in np.linspace(0, 0.5, len(levels) - 1)]
    ax.contourf(first, second, losses, levels=levels, colors=shades, zorder=0)
    ax.contour(first, second, losses, levels=levels[1:-1], colors="#7A9CC0", linewidths=0.7, zorder=1)


def _draw_paths(ax: Axes, paths: dict[str, _Path], parts: dict[str, DoubleArray]) -> None:
    lengths = {name: float(np.abs(np.diff(thetas, axis=0)).sum()) for name, thetas in parts.items()}
    below = sorted(paths, key=lambda name: lengths[name], reverse=True)
    for k, (name, path) in enumerate(paths.items()):
        thetas = parts[name]
        is_whole = len(thetas) == len(path.thetas) and path.updates[-1] == path.last
        style: dict[str, Any] = {"color": RUN_COLORS[k % len(RUN_COLORS)],
                                 "zorder": 3 + below.index(name) / len(paths)}
        ax.plot(*thetas.T, linewidth=1.5, marker="." if len(thetas) <= _FEW_UPDATES else "", gid=_RUN,
                label=f"{name}\n{path.last:,} updates{'' if is_whole else ', not all shown'}", **style)
        if is_whole:
            ax.plot(*thetas[-1:].T, "o", markeredgecolor="white", markersize=8, **style)


def _path(result: DescentResult | pd.DataFrame, name: str, n_parameters: int, theta0: Any) -> _Path:
    """Return the path of a history, after its start if `theta0` is given."""
    history = result.history if isinstance(result, DescentResult) else result
    if history is None:
        raise ValueError(f"The '{name}' parameter has no history; call the descent with history=True.")
    if not hasattr(history, "columns"):
        raise TypeError(f"The '{name}' parameter must be a DescentResult or its history, a DataFrame. "
                        f"Got {type_and_shape(result)}.")
    parameters = [column for column in history.columns if column not in ("update", "alpha")]
    if "update" not in history.columns or len(parameters) != n_parameters or len(history) == 0:
        wanted = "one column theta" if n_parameters == 1 else "a column for each of two parameters"
        raise ValueError(f"The '{name}' parameter must be a history with a column update, {wanted} and at least one "
                         f"row. Got {len(history)} rows of {', '.join(map(str, history.columns))}.")
    shown = np.unique(np.linspace(0, len(history) - 1, min(len(history), _MOST_UPDATES)).astype(int))
    updates = history["update"].to_numpy()[shown]
    thetas = history[parameters].to_numpy(dtype=np.float64)[shown]
    is_finite = np.isfinite(thetas).all(axis=1)
    if not is_finite.any():
        raise ValueError(f"The '{name}' parameter has NaN or infinity in each of its {len(history)} thetas.")
    last, updates, thetas = updates[-1], updates[is_finite], thetas[is_finite]
    if theta0 is not None:
        updates, thetas = np.insert(updates, 0, 0), np.vstack([_start(theta0, n_parameters), thetas])
    return _Path(updates, thetas, parameters, last)


def _start(theta0: Any, n_parameters: int) -> DoubleArray:
    start = [check_number(value, "theta0", low=-np.inf, inclusive=False) for value in np.ravel(theta0)]
    if np.ndim(theta0) > 1 or len(start) not in (1, n_parameters):
        raise ValueError(f"The 'theta0' parameter must be a number{' or a pair of them' * (n_parameters == 2)}. "
                         f"Got {type_and_shape(theta0)}.")
    return np.broadcast_to(start, n_parameters)
