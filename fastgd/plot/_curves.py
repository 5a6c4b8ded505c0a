"""The textbook's pictures of one loss over theta, with dots, tangents and chords."""
from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from fastgd._validation import check_callable, check_interval, check_number, real_number
from fastgd.plot._axes import BLUE, GREEN, VERMILLION, axes, check_axes, legend, name_of_points
from fastgd.plot._on_curve import LossOnPoints, curve, draw_curve, draw_dot, on_curve

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes
    from numpy.typing import ArrayLike, NDArray

    from fastgd._types import ConstantFunction, Count, DoubleArray, FloatArray, Interval, Number
    from fastgd.penalties import Penalty

#: Most points of a rug that have a line each, and bins of a rug of more points.
_MOST_LINES, _BINS = 2000, 500


def points_and_loss(y_vals: ArrayLike, xlim: Interval, loss_fn: ConstantFunction, *, n_threads: Count | None = None,
                    ax: Sequence[Axes] | NDArray[Any] | None = None) -> NDArray[Any]:
    """Draw the points as a rug, and the loss over theta, in two panels.

    Parameters
    ----------
    y_vals : array-like of shape (n,)
        The points; finite real numbers. More than 2000 are drawn as 500 lines, darker for more points. A Series gives
        its name to the x axis; others, and the textbook's ``pcttip``, are called Tip Percent.
    xlim : (float, float)
        Range of both panels, in the units of the data.
    loss_fn : Loss or callable
        ``loss_fn(theta, y_vals) -> float``. A compiled loss is evaluated at all thetas in one pass over the data.
    n_threads : int or None, default None
        Threads that share the curve of a compiled loss, as for `fastgd.simple_minimize`.
    ax : pair of matplotlib.axes.Axes, optional
        Axes of the points and of the loss; default: a new figure.

    Returns
    -------
    ndarray of two matplotlib.axes.Axes
        The panels; `ax` itself if it is an array.

    Raises
    ------
    TypeError, ValueError
        If an argument is not as described, or the loss is NaN or infinite at all thetas.
    ImportError
        If there is no matplotlib.

    Examples
    --------
    >>> from fastgd import mse, plot
    >>> rug, curve = plot.points_and_loss([12, 13, 15, 16, 17], (11, 18), mse)
    >>> rug.get_title(), curve.get_title()
    ('Points', 'mse')
    """
    ax = check_axes(ax, 2)
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
    """Draw the loss over theta.

    The thetas are the textbook's, ``arange(xlim[0], xlim[1] + 0.01, 0.05)``, and the end of the range; 201 in equal
    steps over a range narrower than 1, 2001 over a range wider than 100.

    Parameters
    ----------
    y_vals : array-like of shape (n,)
        The points; finite real numbers.
    xlim : (float, float)
        Range of theta, in the units of the data.
    loss_fn, n_threads
        See `points_and_loss`.
    penalty : Penalty, optional
        One of `fastgd.penalties`, added to the loss.
    ax : matplotlib.axes.Axes, optional
        Axes to draw on; default: a new figure.
    **kwargs
        For `matplotlib.axes.Axes.plot`: color, label, ... A label is shown in a legend.

    Returns
    -------
    matplotlib.axes.Axes
        Axes with the curve, titled with the name of the loss.

    Raises
    ------
    TypeError, ValueError, ImportError
        See `points_and_loss`.

    Examples
    --------
    >>> from fastgd import mse, plot
    >>> ax = plot.plot_loss([12, 13, 15, 16, 17], (11, 18), mse)
    >>> ax.get_title(), len(ax.lines[0].get_xdata())
    ('mse', 141)
    """
    ax = check_axes(ax)
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
    """Draw a large green dot on the curve of the loss.

    The dot is added to the curve of an earlier `plot_loss`, as in the textbook: without `ax` it is drawn on the current
    axes if they show this loss of these points, and a curve that ends before theta is extended. Otherwise the curve is
    drawn too, over a range of the middle 80 % of the points and the minima. The range is extended only for a theta
    outside it, so that the pictures of several thetas show the same range.

    Parameters
    ----------
    y_vals : array-like of shape (n,)
        The points; finite real numbers.
    theta : float
        Theta of the dot, in the units of the data.
    loss_fn : Loss or callable
        ``loss_fn(theta, y_vals) -> float``.
    xlim : (float, float), optional
        Range of theta that is shown, in the units of the data.
    ax : matplotlib.axes.Axes, optional
        Axes to draw on; default: the current axes if they show the curve, else a new figure.
    **kwargs
        For `matplotlib.axes.Axes.scatter`: s, c, edgecolor, label, ...

    Returns
    -------
    matplotlib.axes.Axes
        Axes with the curve and the dot.

    Raises
    ------
    TypeError, ValueError, ImportError
        See `points_and_loss`.

    Examples
    --------
    >>> from fastgd import mse, plot
    >>> y = [12, 13, 15, 16, 17]
    >>> curve = plot.plot_loss(y, (11, 18), mse)
    >>> plot.plot_theta_on_loss(y, 12, mse) is curve
    True
    """
    ax = check_axes(ax)
    theta = _check_theta(theta)
    shown = _check_range(xlim)
    loss = LossOnPoints(loss_fn, y_vals)
    _finite_losses(loss, [theta])
    with on_curve(ax, loss, [theta], shown) as ax:
        draw_dot(ax, loss, theta, **kwargs)
        legend(ax, markerscale=0.6)
    return ax


def plot_tangent_on_loss(y_vals: ArrayLike, theta: Number, loss_fn: ConstantFunction, eps: Number | None = None, *,
                         xlim: Interval | None = None, ax: Axes | None = None) -> Axes:
    """Draw a dot on the curve of the loss, and the tangent from theta - 1 to theta + 1 with its slope in the legend.

    Parameters
    ----------
    y_vals, theta, loss_fn, xlim, ax
        See `plot_theta_on_loss`.
    eps : float, optional
        Half-width of the slope ``(loss(theta + eps) - loss(theta - eps)) / (2 * eps)``, above 0 and so large that
        theta + eps is not theta; 1e-6 in the textbook. The default is the gradient of a compiled loss, for other losses
        a half-width by the scale of the data.

    Returns
    -------
    matplotlib.axes.Axes
        Axes with the curve, the dot and the tangent.

    Raises
    ------
    TypeError, ValueError, ImportError
        See `plot_theta_on_loss`.

    Examples
    --------
    >>> from fastgd import mse, plot
    >>> ax = plot.plot_tangent_on_loss([12.1, 12.8, 14.9, 16.3, 17.2], 12, mse)
    >>> ax.lines[-1].get_xdata()
    array([11., 13.])
    """
    ax = check_axes(ax)
    theta = _check_theta(theta)
    half_width = None if eps is None else check_number(eps, "eps", low=0, inclusive=False)
    if half_width is not None and not theta - half_width < theta < theta + half_width:
        raise ValueError(f"The 'eps' parameter must be so large that theta + eps is not theta. Got {eps!r} for the "
                         f"theta {theta!r}.")
    shown = _check_range(xlim)
    loss = LossOnPoints(loss_fn, y_vals)
    height, slope = _finite_losses(loss, [theta])[0], loss.slope_at(theta, half_width)
    if not math.isfinite(slope):
        raise ValueError(f"The slope of {loss.name} is {slope} at theta {theta:g}. Choose another theta or eps.")
    with on_curve(ax, loss, [theta - 1, theta + 1], shown, room=0) as ax:
        ax.plot(np.array([theta - 1, theta + 1]), height + slope * np.array([-1, 1]), color=VERMILLION, linestyle="--",
                linewidth=2, zorder=2, label=f"tangent, slope {slope:.4g}")
        draw_dot(ax, loss, theta)
        legend(ax, markerscale=0.6)
    return ax


def plot_one_gd_iter(y_vals: ArrayLike, theta: Number, loss_fn: ConstantFunction, grad_loss: ConstantFunction,
                     alpha: Number = 0.3, *, xlim: Interval | None = None, ax: Axes | None = None) -> Axes:
    """Draw one update of gradient descent: a hollow dot at theta and a filled one at theta - alpha * gradient.

    The function prints ``old theta: ...`` and ``new theta: ...``. Pictures of successive updates show the same range of
    theta.

    Parameters
    ----------
    y_vals, loss_fn, xlim, ax
        See `plot_theta_on_loss`.
    theta : float
        The old theta, in the units of the data.
    grad_loss : Gradient or callable
        Derivative of the loss in theta, called in the same way.
    alpha : float, default 0.3
        Learning rate, above 0.

    Returns
    -------
    matplotlib.axes.Axes
        Axes with the curve and both dots.

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
    ax = check_axes(ax)
    old = _check_theta(theta)
    alpha = check_number(alpha, "alpha", low=0, inclusive=False)
    check_callable(grad_loss, "grad_loss")
    shown = _check_range(xlim)
    loss = LossOnPoints(loss_fn, y_vals)
    slope = real_number(grad_loss(old, loss.dataset), "grad_loss", "slope")
    new = float(old - alpha * slope)
    if not math.isfinite(new):
        raise ValueError(f"The new theta is {new}: the slope at {old:g} is {slope}, alpha {alpha:g}.")
    _finite_losses(loss, [old, new])
    with on_curve(ax, loss, [old, new], shown) as ax:
        draw_dot(ax, loss, old, c="none", edgecolor=GREEN, linewidth=2, label="old theta")
        draw_dot(ax, loss, new, label="new theta")
        legend(ax, markerscale=0.6)
    print(f"old theta: {theta}")
    print(f"new theta: {new}")
    return ax


def plot_connected_thetas(y_vals: ArrayLike, theta_1: Number, theta_2: Number, loss_fn: ConstantFunction, *,
                          xlim: Interval | None = None, ax: Axes | None = None) -> Axes:
    """Draw two dots on the curve of the loss and the chord between them, which no convex loss lies above.

    Parameters
    ----------
    y_vals, loss_fn, xlim, ax
        See `plot_theta_on_loss`.
    theta_1, theta_2 : float
        Thetas of the dots, in the units of the data.

    Returns
    -------
    matplotlib.axes.Axes
        Axes with the curve, the dots and the chord.

    Raises
    ------
    TypeError, ValueError, ImportError
        See `plot_theta_on_loss`.

    See Also
    --------
    fastgd.is_convex : searches for a chord that cuts below the curve.

    Examples
    --------
    >>> from fastgd import plot, quartic_loss
    >>> ax = plot.plot_connected_thetas([0], -12, 12, quartic_loss)
    >>> ax.lines[-1].get_xdata()
    array([-12.,  12.])
    """
    ax = check_axes(ax)
    thetas = [_check_theta(theta_1, "theta_1"), _check_theta(theta_2, "theta_2")]
    shown = _check_range(xlim)
    loss = LossOnPoints(loss_fn, y_vals)
    losses = _finite_losses(loss, thetas)
    with on_curve(ax, loss, thetas, shown) as ax:
        ax.plot(np.array(thetas), losses, color=VERMILLION, linewidth=2, zorder=2, label="chord")
        for theta in thetas:
            draw_dot(ax, loss, theta)
        legend(ax, markerscale=0.6)
    return ax


def _check_theta(theta: Number, name: str = "theta") -> float:
    return check_number(theta, name, low=-np.inf, inclusive=False)


def _check_range(xlim: Interval | None) -> tuple[float, float] | None:
    return None if xlim is None else check_interval(xlim, "xlim")


def _finite_losses(loss: LossOnPoints, thetas: list[float]) -> DoubleArray:
    """Return the losses at the thetas; raise ValueError if one is not finite."""
    with np.errstate(over="ignore", invalid="ignore"):
        losses = loss.at(thetas)
    for theta, value in zip(thetas, losses.tolist(), strict=True):
        if not math.isfinite(value):
            raise ValueError(f"{loss.name} is {value} at theta {theta:g}. Choose a theta where the loss is finite.")
    return losses


def _draw_rug(ax: Axes, points: FloatArray, xlim: tuple[float, float]) -> None:
    """Draw a line for each point or, of many points, for each bin with an opacity by its count."""
    from matplotlib.colors import to_rgb

    if points.size <= _MOST_LINES:
        ax.vlines(points, 0, 0.3, colors=BLUE, linewidth=1)
        return
    counts, edges = np.histogram(points, _BINS, xlim)
    full = counts > 0
    opacities = np.maximum(0.1, counts[full] / counts.max(initial=1)).tolist()
    colors = [(*to_rgb(BLUE), opacity) for opacity in opacities]
    ax.vlines((edges[:-1] + edges[1:])[full] / 2, 0, 0.3, colors=colors, linewidth=1)
