"""Histogram of the points with their mean, median and Huber minimiser."""
from __future__ import annotations

import itertools
import math
from typing import TYPE_CHECKING, Any

import numpy as np

from fastgd._validation import as_double, check_dataset
from fastgd.losses import huber_loss
from fastgd.plot._axes import ORANGE, SKY, VERMILLION, axes, background, check_axes, ink, legend, name_of_points

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes
    from matplotlib.legend import Legend
    from numpy.typing import ArrayLike, NDArray

    from fastgd._types import FloatArray

    _Mark = tuple[str, float, dict[str, Any]]    # name, place and style

#: Limits of matplotlib: numbers below the first are drawn as 0, ticks beyond the second overflow, and a relative range
#: narrower than the third is widened.
_LEAST, _MOST, _NARROWEST = 1e-280, 1e300, 1e-12
#: Significant digits of a float without its rounding, digits that distinguish any two floats, and the distance of equal
#: places, relative to half the range of the points.
_EXACT, _MOST_DIGITS, _EQUAL = 15, 17, 1e-9
#: Relative to the width of the axes: distance of two lines that are seen apart, and largest width of the three lines in
#: an inset.
_APART, _ENOUGH = 0.015, 0.1
#: Relative to the axes: width and height of the inset, heights of its title and of its ticks, half the width of a
#: number, and the margin around inset and legend.
_WIDTH, _HEIGHT, _TITLE, _TICKS, _TICK, _GAP = 0.34, 0.28, 0.08, 0.09, 0.03, 0.025
#: Largest factor by which the axes grow upwards for the inset.
_HIGHEST = 4


def plot_histogram(y_vals: ArrayLike, *, ax: Axes | None = None, **kwargs: Any) -> Axes:
    """Draw a histogram of the points in 50 bins, and the minimisers of `mse`, `abs_loss` and `huber_loss`.

    The minimisers are the mean, the median and the Huber minimiser for delta 1. If their lines touch, an inset shows
    them enlarged. Points that differ by little more than rounding share a bin.

    Parameters
    ----------
    y_vals : array-like of shape (n,)
        The points; finite real numbers. A Series gives its name to the x axis.
    ax : matplotlib.axes.Axes, optional
        Axes to draw on; default: a new figure. Axes that show data already get no inset.
    **kwargs
        For `matplotlib.axes.Axes.hist`: bins, range, ...

    Returns
    -------
    matplotlib.axes.Axes
        Axes with the histogram and three lines; the inset is the only one of its ``child_axes``.

    Raises
    ------
    TypeError, ValueError
        If an argument is not as described, or the points are too large to be drawn.
    ImportError
        If there is no matplotlib.

    Examples
    --------
    >>> from fastgd import plot
    >>> ax = plot.plot_histogram([12, 13, 15, 15.5, 40])
    >>> [text.get_text() for text in ax.get_legend().get_texts()]
    ['mean 19.1', 'median 15', 'Huber 14.75']
    """
    ax = check_axes(ax)
    points = as_double(check_dataset(y_vals, "y_vals"))
    places = _minimisers(points)
    digits = _digits(points, list(places.values()))
    style = {"bins": 50, "color": SKY, **kwargs}
    if style.get("range") is None:
        style["range"] = _range_of_bins(points, style["bins"])
    is_lying = style.get("orientation") == "horizontal"
    with axes(ax) as ax:
        is_empty = not ax.has_data()
        marks = _marks(places, ink(background(ax)))
        heights, edges, _ = ax.hist(points, **style)
        for name, place, line in marks:
            (ax.axhline if is_lying else ax.axvline)(place, label=f"{name} {place:.{digits}g}", **line)
        labels = [name_of_points(y_vals, otherwise=""), "Number of points"]
        ax.set_xlabel(labels[is_lying], parse_math=False)
        ax.set_ylabel(labels[not is_lying], parse_math=False)
        key = legend(ax)
        close = _close_places(ax, [*places.values()])
        if close and is_empty and not is_lying:
            _draw_inset(ax, key, marks, close, np.asarray(heights), edges)
    return ax


def _minimisers(points: FloatArray) -> dict[str, float]:
    """Return the three minimisers by name; raise ValueError for points that cannot be drawn."""
    with np.errstate(over="ignore"):
        mean, median = float(points.mean()), float(np.median(points))
    low, high = float(points.min()), float(points.max())
    if not (np.isfinite([mean, median]).all() and max(-low, high) < _MOST):
        raise ValueError(f"The points from {low:g} to {high:g} are too large to be drawn: the limit is {_MOST:g}.")
    return {"mean": mean, "median": median, "Huber": _huber_minimiser(points, median)}


def _marks(places: dict[str, float], color: str) -> list[_Mark]:
    """Styles of the lines in the order of drawing; if all lie on one pixel, each is seen under the next."""
    styles: list[dict[str, Any]] = [{"color": VERMILLION, "linewidth": 1.5}, {"color": ORANGE, "linewidth": 3.5},
                                    {"color": color, "linewidth": 1.2, "linestyle": (0, (4, 3))}]
    return [(name, place, style) for (name, place), style in zip(places.items(), styles, strict=True)]


def _digits(points: FloatArray, places: list[float]) -> int:
    """Significant digits, at least 4, that resolve the range of the points and distinguish the places."""
    half_range = float(points.max()) / 2 - float(points.min()) / 2    # half of the range, which may overflow
    if half_range == 0:
        return _EXACT
    largest = max(abs(float(points.min())), abs(float(points.max())))
    digits = max(4, 3 + math.ceil(math.log10(largest / half_range / 2)))

    def differ(count: int) -> bool:
        return all(f"{one:.{count}g}" != f"{other:.{count}g}" for one, other in itertools.combinations(places, 2)
                   if abs(one - other) > _EQUAL * half_range)

    return next((count for count in range(digits, _MOST_DIGITS) if differ(count)), _MOST_DIGITS)


def _huber_minimiser(points: FloatArray, median: float) -> float:
    """Minimise the Huber loss by bisection of its slope, within delta of the median."""
    slope = huber_loss.gradient
    low, high = max(median - 1.0, float(points.min())), min(median + 1.0, float(points.max()))
    for _ in range(40):
        middle = (low + high) / 2
        low, high = (middle, high) if slope(middle, points) < 0 else (low, middle)
    return (low + high) / 2


def _range_of_bins(points: FloatArray, bins: Any) -> tuple[float, float] | None:
    """Range whose bins are distinct floats that matplotlib resolves; None if the range of the points is such."""
    low, high = float(points.min()), float(points.max())
    largest = max(-low, high)
    if largest < _LEAST:
        return -0.5, 0.5
    count = bins if isinstance(bins, (int, np.integer)) else 50
    width = max(4 * max(int(count), 50) * float(np.finfo(points.dtype).eps), _NARROWEST) * largest
    if high - low >= width or (low == high and width < 1):    # equal points get a range of 1
        return None
    middle = low + (high - low) / 2
    return middle - width / 2, middle + width / 2


def _close_places(ax: Axes, places: Sequence[float]) -> list[float]:
    """Places whose lines touch in the axes and not in an inset; empty if there are none."""
    low, high = ax.get_xlim()
    ordered = sorted(places)
    least = 1e-6 * max(map(abs, ordered))    # ticks do not resolve a smaller distance
    touching = [pair for pair in itertools.pairwise(ordered)
                if least < pair[1] - pair[0] < _APART * (high - low)]
    if touching and ordered[-1] - ordered[0] <= _ENOUGH * (high - low):
        return ordered
    return list(touching[0]) if touching else []


def _draw_inset(ax: Axes, key: Legend, marks: Sequence[_Mark], close: Sequence[float], heights: NDArray[Any],
                edges: NDArray[Any]) -> None:
    """Draw an inset of the places where it and the legend hide no bar; the axes grow upwards for it."""
    top, left, bottom, legend_is_left = _free_place(ax, key, close, heights, edges)
    if top > _HIGHEST:    # the axes are too small
        return
    if top > 1:
        scale = ax.yaxis.get_transform()
        low, high = scale.transform(np.array(ax.get_ylim()))
        ax.set_ylim(top=float(scale.inverted().transform(np.array([low + (high - low) * top]))[0]))
    legend(ax, loc="upper left" if legend_is_left else "upper right")
    inset = ax.inset_axes((left + _TICK, bottom + _TICKS, _WIDTH, _HEIGHT))
    inset.stairs(heights, edges, fill=True, color=SKY)
    color = ink(background(ax))
    inset.set_facecolor(background(ax))
    inset.spines[:].set_color(color)
    for _, place, line in marks:
        inset.axvline(place, **line)
    margin = 0.35 * (max(close) - min(close))
    inset.set(xlim=(min(close) - margin, max(close) + margin), yscale=ax.get_yscale(), ylim=ax.get_ylim())
    inset.yaxis.set_visible(False)
    inset.set_title("enlarged", fontsize="small", pad=3, color=color)
    inset.tick_params(labelsize="small", colors=color)
    inset.locator_params(axis="x", nbins=4)


def _free_place(ax: Axes, key: Legend, close: Sequence[float], heights: NDArray[Any],
                edges: NDArray[Any]) -> tuple[float, float, float, bool]:
    """Relative height of the axes, left and bottom of the inset, and True if the legend is at the left.

    The best of the four ways to put both into the upper corners hides no line and needs least height above the bars.
    """
    to_axes = ax.transData + ax.transAxes.inverted()
    lefts, tops = to_axes.transform(np.column_stack([edges[:-1], heights])).T
    rights = to_axes.transform(np.column_stack([edges[1:], heights]))[:, 0]
    line = to_axes.transform((sum(close) / len(close), 1.0))[0]
    box = key.get_window_extent().transformed(ax.transAxes.inverted())
    ways, outer = [], _WIDTH + 2 * _TICK
    for legend_is_left, inset_is_left in itertools.product([False, True], repeat=2):
        hidden, top, ceiling = 0, 1.0, 1.0
        if legend_is_left != inset_is_left and box.width + outer + 3 * _GAP > 1:
            continue
        for is_left, width, height in ((legend_is_left, box.width, box.height),
                                       (inset_is_left, outer, _TITLE + _HEIGHT + _TICKS)):
            bottom = (ceiling if legend_is_left == inset_is_left else 1.0) - _GAP - height
            start = _GAP if is_left else 1 - _GAP - width
            highest = tops[(rights > start) & (lefts < start + width)].max(initial=0.0) + _GAP
            top = max(top, highest / bottom if bottom > 0 else np.inf)
            hidden += start < line < start + width
            ceiling = bottom
        ways.append((hidden, top, start, bottom, legend_is_left))
    return min(ways)[1:]
