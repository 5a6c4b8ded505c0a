"""The course's pictures of one loss over theta, and what is drawn on its curve."""
from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from fastgd._validation import check_callable, check_interval, check_number, real_number
from fastgd.plot._axes import BLUE, GREEN, VERMILLION, axes, checked_axes, legend, name_of_points
from fastgd.plot._losses import LossOnPoints
from fastgd.plot._on_curve import curve, draw_curve, draw_dot, on_curve

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes
    from numpy.typing import ArrayLike, NDArray

    from fastgd._types import ConstantFunction, Count, DoubleArray, FloatArray, Interval, Number
    from fastgd.penalties import Penalty

#: Points of a rug that are lines of their own, and bins of a rug of more points.
_MOST_LINES, _BINS = 2000, 500


def points_and_loss(y_vals: ArrayLike, xlim: Interval, loss_fn: ConstantFunction, *, n_threads: Count | None = None,
                    ax: Sequence[Axes] | NDArray[Any] | None = None) -> NDArray[Any]:
    """Two panels: the points as a rug, and the loss over theta.

    Parameters
    ----------
    y_vals : array-like of shape (n,)
        The points; finite real numbers. More than 2000 are drawn as 500 lines, the darker the more points they stand
        for. A Series gives its name to the x axis; others, and the course's ``pcttip``, are called Tip Percent.
    xlim : (float, float)
        The range of both panels, in the units of the data.
    loss_fn : Loss or callable
        ``loss_fn(theta, y_vals) -> float``. One of fastgd's own is evaluated at all thetas in one pass over the data.
    n_threads : int or None, default None
        Threads that share the curve of a loss of fastgd's own, as for `fastgd.simple_minimize`.
    ax : pair of matplotlib.axes.Axes, optional
        Where to draw the points and the loss; default: a new figure.

    Returns
    -------
    ndarray of two matplotlib.axes.Axes
        The panels; `ax` itself if it is an array.

    Raises
    ------
    TypeError, ValueError
        If an argument is not as described, or the loss is NaN or infinite wherever it is to be drawn.
    ImportError
        If there is no matplotlib.

    Examples
    --------
    >>> from fastgd import mse, plot
    >>> rug, curve = plot.points_and_loss([12, 13, 15, 16, 17], (11, 18), mse)
    >>> rug.get_title(), curve.get_title()
    ('Points', 'mse')
    """
    ax = checked_axes(ax, 2)
    xlim = check_interval(xlim, "xlim")
    loss = LossOnPoints(loss_fn, y_vals, n_threads=n_threads)
    thetas, losses = curve(loss, xlim)
    name = name_of_points(y_vals, otherwise="Tip Percent")
    pair: NDArray[Any]
    with axes(ax, (9, 3), 2) as pair:
        _draw_rug(pair[0], loss.points, xlim)
        pair[0].set(title="Points", xlim=xlim, ylim=(0, 1), yticks=[])
        pair[0].set_xlabel("Tip Percent" if name == "pcttip" else name, parse_math=False)
        draw_curve(pair[1], loss, thetas, losses, xlim)
    return pair


def plot_loss(y_vals: ArrayLike, xlim: Interval, loss_fn: ConstantFunction, *, penalty: Penalty | None = None,
              n_threads: Count | None = None, ax: Axes | None = None, **kwargs: Any) -> Axes:
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
    penalty : Penalty, optional
        One of `fastgd.penalties`, added to the loss.
    n_threads : int or None, default None
        Threads that share the curve of a loss of fastgd's own, as for `fastgd.simple_minimize`.
    ax : matplotlib.axes.Axes, optional
        Where to draw; default: a new figure.
    **kwargs
        For `matplotlib.axes.Axes.plot`: color, label, ... A label is shown in a legend.

    Returns
    -------
    matplotlib.axes.Axes
        The axes with the curve, titled with the name of the loss.

    Raises
    ------
    TypeError, ValueError
        If an argument is not as described, or the loss is NaN or infinite wherever it is to be drawn.
    ImportError
        If there is no matplotlib.

    Examples
    --------
    >>> from fastgd import mse, plot
    >>> ax = plot.plot_loss([12, 13, 15, 16, 17], (11, 18), mse)
    >>> ax.get_title(), len(ax.lines[0].get_xdata())
    ('mse', 141)
    """
    ax = checked_axes(ax)
    xlim = check_interval(xlim, "xlim")
    loss = LossOnPoints(loss_fn, y_vals, penalty=penalty, n_threads=n_threads)
    thetas, losses = curve(loss, xlim)
    with axes(ax) as ax:
        draw_curve(ax, loss, thetas, losses, xlim, **kwargs)
        if kwargs.get("label") is not None:
            legend(ax)
    return ax


def plot_theta_on_loss(y_vals: ArrayLike, theta: Number, loss_fn: ConstantFunction, *, xlim: Interval | None = None,
                       ax: Axes | None = None, **kwargs: Any) -> Axes:
    """A large green dot on the curve of the loss.

    As in the course, the dot joins the curve of a `plot_loss` before it: without `ax` it goes to the current axes if
    they show this loss of these points; a curve that ends before the theta is lengthened. Else the curve is drawn too,
    over a range that the points and the loss decide: it holds the middle 80 % of the points and the minima, and is
    stretched only for a theta that lies outside. So the pictures of several thetas show the same range.

    Parameters
    ----------
    y_vals : array-like of shape (n,)
        The points; finite real numbers.
    theta : float
        Where the dot is, in the units of the data.
    loss_fn : Loss or callable
        ``loss_fn(theta, y_vals) -> float``.
    xlim : (float, float), optional
        The range of theta that is shown, in the units of the data. What lies outside is not seen.
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
        If an argument is not as described, or the loss is NaN or infinite wherever it is to be drawn.
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
    ax = checked_axes(ax)
    theta = _checked_theta(theta)
    shown = _checked_range(xlim)
    loss = LossOnPoints(loss_fn, y_vals)
    _finite_losses(loss, [theta])
    with on_curve(ax, loss, [theta], shown) as ax:
        draw_dot(ax, loss, theta, **kwargs)
        _legend_of_dots(ax)
    return ax


def plot_tangent_on_loss(y_vals: ArrayLike, theta: Number, loss_fn: ConstantFunction, eps: Number | None = None, *,
                         xlim: Interval | None = None, ax: Axes | None = None) -> Axes:
    """A dot on the curve of the loss, and the tangent there from theta - 1 to theta + 1.

    Its slope is in the legend.

    Parameters
    ----------
    y_vals, theta, loss_fn
        As for `plot_theta_on_loss`.
    eps : float, optional
        The slope is ``(loss(theta + eps) - loss(theta - eps)) / (2 * eps)``, as the course estimates it with 1e-6. By
        default it is the gradient of a loss of fastgd's own, and for others such a difference whose eps goes by the
        scale of the data. Above 0, and not so small that theta + eps is theta.
    xlim, ax
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
    ax = checked_axes(ax)
    theta = _checked_theta(theta)
    half_width = None if eps is None else check_number(eps, "eps", low=0, inclusive=False)
    if half_width is not None and not theta - half_width < theta < theta + half_width:
        raise ValueError(f"The 'eps' parameter must be so large that theta + eps is not theta. Got {eps!r} for the "
                         f"theta {theta!r}.")
    shown = _checked_range(xlim)
    loss = LossOnPoints(loss_fn, y_vals)
    height, slope = _finite_losses(loss, [theta])[0], loss.slope_at(theta, half_width)
    if not math.isfinite(slope):
        raise ValueError(f"The slope of {loss.name} is {slope} at theta {theta:g}. Choose another theta or eps.")
    with on_curve(ax, loss, [theta - 1, theta + 1], shown, room=0) as ax:
        ax.plot(np.array([theta - 1, theta + 1]), height + slope * np.array([-1, 1]), color=VERMILLION, linestyle="--",
                linewidth=2, zorder=2, label=f"tangent, slope {slope:.4g}")
        draw_dot(ax, loss, theta)
        _legend_of_dots(ax)
    return ax


def plot_one_gd_iter(y_vals: ArrayLike, theta: Number, loss_fn: ConstantFunction, grad_loss: ConstantFunction,
                     alpha: Number = 0.3, *, xlim: Interval | None = None, ax: Axes | None = None) -> Axes:
    """One update of gradient descent: theta a hollow circle on the curve, theta - alpha * gradient a filled one.

    Prints ``old theta: ...`` and ``new theta: ...``. The pictures of one update after another show the same range of
    theta, as `plot_theta_on_loss` says.

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
    xlim : (float, float), optional
        The range of theta that is shown, in the units of the data; wanted if the updates come from far away.
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
    ax = checked_axes(ax)
    old = _checked_theta(theta)
    alpha = check_number(alpha, "alpha", low=0, inclusive=False)
    check_callable(grad_loss, "grad_loss")
    shown = _checked_range(xlim)
    loss = LossOnPoints(loss_fn, y_vals)
    slope = real_number(grad_loss(old, loss.dataset), "grad_loss", "slope")
    new = float(old - alpha * slope)
    if not math.isfinite(new):
        raise ValueError(f"The new theta is {new}: the slope at {old:g} is {slope}, alpha {alpha:g}.")
    _finite_losses(loss, [old, new])
    with on_curve(ax, loss, [old, new], shown) as ax:
        draw_dot(ax, loss, old, c="none", edgecolor=GREEN, linewidth=2, label="old theta")
        draw_dot(ax, loss, new, label="new theta")
        _legend_of_dots(ax)
    print(f"old theta: {theta}")
    print(f"new theta: {new}")
    return ax


def plot_connected_thetas(y_vals: ArrayLike, theta_1: Number, theta_2: Number, loss_fn: ConstantFunction, *,
                          xlim: Interval | None = None, ax: Axes | None = None) -> Axes:
    """Two dots on the curve of the loss and the chord between them; of a convex loss it is nowhere below the curve.

    Parameters
    ----------
    y_vals : array-like of shape (n,)
        The points; finite real numbers.
    theta_1, theta_2 : float
        Where the dots are, in the units of the data.
    loss_fn : Loss or callable
        ``loss_fn(theta, y_vals) -> float``.
    xlim, ax
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
    ax = checked_axes(ax)
    thetas = [_checked_theta(theta_1, "theta_1"), _checked_theta(theta_2, "theta_2")]
    shown = _checked_range(xlim)
    loss = LossOnPoints(loss_fn, y_vals)
    losses = _finite_losses(loss, thetas)
    with on_curve(ax, loss, thetas, shown) as ax:
        ax.plot(np.array(thetas), losses, color=VERMILLION, linewidth=2, zorder=2, label="chord")
        for theta in thetas:
            draw_dot(ax, loss, theta)
        _legend_of_dots(ax)
    return ax


def _checked_theta(theta: Number, name: str = "theta") -> float:
    return check_number(theta, name, low=-np.inf, inclusive=False)


def _finite_losses(loss: LossOnPoints, thetas: list[float]) -> DoubleArray:
    """The losses at the thetas; ValueError where there is none to draw."""
    with np.errstate(over="ignore", invalid="ignore"):
        losses = loss.at(thetas)
    for theta, value in zip(thetas, losses.tolist(), strict=True):
        if not math.isfinite(value):
            raise ValueError(f"{loss.name} is {value} at theta {theta:g}. Choose a theta where the loss is finite.")
    return losses


def _checked_range(xlim: Interval | None) -> tuple[float, float] | None:
    return None if xlim is None else check_interval(xlim, "xlim")


def _legend_of_dots(ax: Axes) -> None:
    """The dots of the legend are smaller than those on the curve."""
    legend(ax, markerscale=0.6)


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
