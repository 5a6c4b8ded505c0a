"""A loss on points, its curve, dots on it, and the range of theta that shows both."""
from __future__ import annotations

import contextlib
import math
from typing import TYPE_CHECKING, Any

import numpy as np

from fastgd._objective.objective import curve_of
from fastgd._thread_pool import thread_pool
from fastgd.plot._axes import BLUE, GREEN, axes

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from matplotlib.axes import Axes
    from matplotlib.lines import Line2D
    from numpy.typing import ArrayLike

    from fastgd._types import ConstantFunction, Count, DoubleArray
    from fastgd.penalties import Penalty

    _Range = tuple[float, float]

#: The textbook's distance of two thetas on a curve, and the fewest and most thetas with it.
_STEP, _FEWEST, _MOST = 0.05, 20, 2000
#: Margins at either side of the points and the minima, and of a dot, as parts of the range.
_MARGIN, _ROOM = 0.35, 0.04
#: Doublings of the range in which minima are searched, and intervals of its grid.
_DOUBLINGS, _PARTS = 6, 32
#: Identifier of the line of a curve, which later calls find by it.
_CURVE = "fastgd loss curve"
#: Points in the sample that determines the range of theta.
_SAMPLE = 10_000


class LossOnPoints:
    """Loss on checked points, with an optional penalty of theta."""

    def __init__(self, loss_fn: ConstantFunction, y_vals: ArrayLike, name: str = "y_vals",
                 penalty: Penalty | None = None, n_threads: Count | None = None) -> None:
        curve = curve_of(loss_fn, penalty, thread_pool(n_threads))
        self._objective = curve(y_vals, name)
        self.name = self._objective.name
        self.points = self._objective.in_memory.targets
        self.dataset = self._objective.data.everything
        self.sample = self.points
        if self.points.size > _SAMPLE:
            self.sample = self.points[np.random.default_rng(0).integers(0, self.points.size, _SAMPLE)]
        # A Python loss gets all points, because it may depend on more than their values.
        self._of_sample = self._objective if not self._objective.is_compiled else curve(self.sample)

    def at(self, thetas: ArrayLike) -> DoubleArray:
        """Loss at each theta, as an array."""
        return self._objective.curve(np.asarray(thetas, dtype=np.float64))

    def approximate(self, thetas: DoubleArray) -> DoubleArray | None:
        """Loss of the sample at each theta; None if a Python loss raises, as math.exp does far from the points."""
        try:
            with np.errstate(all="ignore"):
                return self._of_sample.curve(thetas)
        except (ArithmeticError, ValueError):
            return None

    def slope_at(self, theta: float, eps: float | None) -> float:
        """Slope at theta: the gradient, or a central difference of half-width `eps`."""
        if eps is None:
            return float(self._objective.gradient(theta))
        # In float32 the two losses would be equal, or differ by rounding.
        above, below = self._objective.in_double().curve(np.array([theta + eps, theta - eps])).tolist()
        slope: float = (above - below) / (2 * eps)
        return slope


def curve(loss: LossOnPoints, xlim: _Range) -> tuple[DoubleArray, DoubleArray]:
    """Thetas of a curve over a range, and their losses."""
    low, high = xlim
    if not high - low < np.inf:
        raise ValueError(f"The range of theta from {low:g} to {high:g} is too wide to be drawn.")
    thetas = _thetas(low, high)
    with np.errstate(over="ignore", invalid="ignore"):
        losses = loss.at(thetas)
    if not np.isfinite(losses).any():
        raise ValueError(f"{loss.name} is NaN or infinite at every theta from {low:g} to {high:g}. Check the loss and "
                         "the points, or choose another range of theta.")
    return thetas, losses


def _thetas(low: float, high: float) -> DoubleArray:
    steps = (high - low) / _STEP
    if steps < _FEWEST:
        return np.linspace(low, high, 201)
    if steps > _MOST:
        return np.linspace(low, high, _MOST + 1)
    thetas = np.arange(low, high + 0.01, _STEP)
    return thetas if thetas[-1] > high - 1e-9 * (high - low) else np.append(thetas, high)


def draw_curve(ax: Axes, loss: LossOnPoints, thetas: DoubleArray, losses: DoubleArray, xlim: _Range,
               **kwargs: Any) -> None:
    """Draw the curve, as a line that `on_curve` finds again."""
    ax.plot(thetas, losses, **{"color": BLUE, "linewidth": 2, "zorder": 1, "gid": _CURVE, **kwargs})
    ax.set(title=loss.name, xlabel=r"$\theta$", ylabel="Loss", xlim=xlim)


def draw_dot(ax: Axes, loss: LossOnPoints, theta: float, **kwargs: Any) -> None:
    """Draw a large green dot; outside the range of theta it does not change the range of the losses."""
    style = {"s": 150, "zorder": 3, "label": r"$\theta$", **kwargs}
    if not {"c", "color", "facecolor", "facecolors"} & set(kwargs):
        style["c"] = GREEN
    low, high = ax.get_xlim()
    limits = ax.dataLim.frozen()
    ax.scatter([theta], loss.at([theta]), **style)
    if not low <= theta <= high:
        ax.dataLim.set(limits)


@contextlib.contextmanager
def on_curve(ax: Axes | None, loss: LossOnPoints, thetas: Sequence[float], xlim: _Range | None = None,
             room: float = _ROOM) -> Iterator[Axes]:
    """Yield axes with the curve of `loss`, drawn or extended to show `xlim`, or all `thetas` with a margin."""
    ax = _current_axes_showing(loss) if ax is None else ax
    line = None if ax is None else _curve_on(ax, loss)
    if ax is None or line is None:
        xlim = xlim or _extend(usual_range(loss), thetas, room)
        drawn = curve(loss, xlim)
        with axes(ax) as ax:
            draw_curve(ax, loss, *drawn, xlim)
            yield ax
        return
    low, high = ax.get_xlim()
    if xlim is None and not low <= min(thetas) <= max(thetas) <= high:
        margin = 0.05 * (max(high, *thetas) - min(low, *thetas))
        xlim = min(low, min(thetas) - margin), max(high, max(thetas) + margin)
    if xlim is not None:
        _show(ax, line, loss, xlim)
    yield ax


def _show(ax: Axes, line: Line2D, loss: LossOnPoints, xlim: _Range) -> None:
    """Set the range of the axes, and extend the curve to its ends."""
    first, last = np.asarray(line.get_xdata())[[0, -1]]
    if not first <= xlim[0] < xlim[1] <= last:
        drawn = curve(loss, xlim)
        line.set_data(*drawn)
        ax.update_datalim(np.column_stack(drawn))
        ax.autoscale_view(scalex=False)
    ax.set_xlim(xlim)


def _current_axes_showing(loss: LossOnPoints) -> Axes | None:
    import matplotlib.pyplot as plt

    if plt.get_fignums() and plt.gcf().axes:
        ax = plt.gca()
        return ax if _curve_on(ax, loss) is not None else None
    return None


def _curve_on(ax: Axes, loss: LossOnPoints) -> Line2D | None:
    """The line on `ax` whose ends have the values of this loss on these points, or None."""
    for line in ax.lines:
        if line.get_gid() == _CURVE:
            thetas, losses = (np.asarray(values)[[0, -1]] for values in line.get_data())
            if np.array_equal(loss.at(thetas), losses, equal_nan=True):
                return line
    return None


def usual_range(loss: LossOnPoints) -> _Range:
    """Range of the middle 80 % of the points and the minima of the loss, with a margin, whatever theta is shown."""
    with np.errstate(over="ignore"):    # `curve` refuses an infinite range
        low, high = np.quantile(loss.sample, [0.1, 0.9]).tolist()
    # A single point gets a range that floats of this size resolve.
    width = high - low or max(1.0, 1e-9 * abs(low))
    places = [low, high, *_minima(loss, low, high, width)]
    low, high = min(places), max(places)
    margin = _MARGIN * (high - low) or width
    return low - margin, high + margin


def _minima(loss: LossOnPoints, low: float, high: float, width: float) -> list[float]:
    """Approximate minima in a range beyond whose ends the loss rises; none if there is no such range."""
    for _ in range(_DOUBLINGS + 1):
        if not 0 <= high - low + 2 * width < np.inf:
            break
        thetas = np.linspace(low - width, high + width, _PARTS + 1)
        losses = loss.approximate(thetas)
        if losses is None:
            break
        left, middle, right = losses[:-2], losses[1:-1], losses[2:]
        if not (losses[0] < losses[1] or losses[-1] < losses[-2]):    # it falls towards neither end
            # Both edges of a floor are minima, unless the floor reaches an end, like that of a loss that tends to 0.
            before, after = np.maximum.accumulate(left), np.maximum.accumulate(right[::-1])[::-1]
            is_least = (middle <= left) & (middle <= right) & ((middle < left) | (middle < right))
            least: list[float] = thetas[1:-1][is_least & (middle < before) & (middle < after)].tolist()
            return least
        width *= 2
    return []


def _extend(xlim: _Range, thetas: Sequence[float], room: float) -> _Range:
    """Extend `xlim` to the thetas by 1/2, 1, 2, 4, ... times its width, so that it changes seldom as theta moves."""
    low, high = xlim
    width, room = high - low, room * (max(high, *thetas) - min(low, *thetas))
    missing = low - min(thetas) + room, max(thetas) - high + room
    with np.errstate(over="ignore", invalid="ignore"):
        widths = np.array(missing) / width
    if not (width + room < np.inf and np.isfinite(widths).all()):
        return min(low, *thetas), max(high, *thetas)
    below, above = (2.0 ** max(-1, math.ceil(math.log2(part))) if part > 0 else 0.0 for part in widths.tolist())
    return low - width * below, high + width * above
