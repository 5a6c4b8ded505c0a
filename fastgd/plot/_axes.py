"""What every picture shares: its axes, their margins, a legend and the colours. Here alone matplotlib is looked for."""
from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import numpy as np

from fastgd._frames import described, typed_value

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import ModuleType

    from matplotlib.axes import Axes
    from matplotlib.legend import Legend

# Colours that all readers can tell apart: M. Okabe and K. Ito, "Color Universal Design", 2008.
BLUE, GREEN, VERMILLION, ORANGE, SKY, PURPLE = "#0072B2", "#009E73", "#D55E00", "#E69F00", "#56B4E9", "#CC79A7"


def require_matplotlib() -> ModuleType:
    """The module matplotlib, with its Axes and Figure but without pyplot, which would look for a screen."""
    try:
        import matplotlib.figure
    except ImportError as error:
        raise ImportError("The pictures need matplotlib: pip install 'fastgd[plot]'.") from error
    return matplotlib


def checked_axes(ax: Any, count: int = 1) -> Any:
    """`ax`, or `count` of them in an array, if that is what was given; None if nothing was."""
    Axes = require_matplotlib().axes.Axes
    if ax is None:
        return None
    if count == 1:
        if not isinstance(ax, Axes):
            raise TypeError(f"The 'ax' parameter must be a matplotlib Axes. Got {typed_value(ax)}.")
        _check_projection(ax)
        return ax
    pair = np.asarray(ax, dtype=object)
    if pair.shape != (count,) or not all(isinstance(one, Axes) for one in pair):
        raise TypeError(f"The 'ax' parameter must be a pair of matplotlib Axes. Got {described(ax)}.")
    for one in pair:
        _check_projection(one)
    return pair


def _check_projection(ax: Axes) -> None:
    """Raise ValueError for axes on which a curve over theta has another shape."""
    if ax.name != "rectilinear":
        raise ValueError(f"The 'ax' parameter must be axes of the projection 'rectilinear'. Got {ax.name!r}.")


def ink(ax: Axes) -> str:
    """Return black or white, whichever can be seen on the background of the axes."""
    from matplotlib.colors import to_rgba

    figure: Any = ax.figure
    red, green, blue, opacity = to_rgba(ax.get_facecolor())
    if opacity < 0.5:
        red, green, blue, _ = to_rgba(figure.get_facecolor())
    return "black" if 0.299 * red + 0.587 * green + 0.114 * blue > 0.5 else "white"


@contextlib.contextmanager
def axes(ax: Any, size: tuple[float, float] = (6, 4), columns: int = 1) -> Iterator[Any]:
    """`ax` if it is given, else those of a new figure, which is closed again if drawing fails.

    A layout engine doubles the time of drawing; margins that hold six digits and a label do without. They are the
    figure's and not the grid's, so that `tight_layout` may change them.
    """
    if ax is not None:
        yield ax
        return
    import matplotlib.pyplot as plt

    figure, ax = plt.subplots(1, columns, figsize=size)
    try:
        if figure.get_layout_engine() is None:    # the user's settings may ask for one
            figure.subplots_adjust(**_margins(*size, columns))
        yield ax
    except BaseException:
        plt.close(figure)
        raise


def _margins(width: float, height: float, columns: int) -> dict[str, float]:
    left, right, bottom, top = 0.9, 0.25, 0.55, 0.4    # inches
    panel = (width - columns * left - right) / columns
    return {"left": left / width, "right": 1 - right / width, "bottom": bottom / height, "top": 1 - top / height,
            "wspace": left / panel}


def legend(ax: Axes, **kwargs: Any) -> Legend:
    """A legend where the least is under it, with one entry for all artists of one label."""
    handles = dict(zip(*reversed(ax.get_legend_handles_labels()), strict=True))
    return ax.legend(list(handles.values()), list(handles), **{"loc": "best", "framealpha": 0.9, **kwargs})


def legend_beside(ax: Axes, own_figure: bool) -> None:
    """A legend at the right of the axes, for pictures that are full; room is made for it in a figure of our own."""
    beside = ax.legend(loc="upper left", bbox_to_anchor=(1.02, 1), borderaxespad=0, frameon=False, labelspacing=0.8)
    figure: Any = ax.figure
    if own_figure and figure.get_layout_engine() is None:
        excess = (beside.get_window_extent().x1 - figure.bbox.x1) / figure.bbox.width + 0.015
        right, left = figure.subplotpars.right, figure.subplotpars.left
        # The distance of the legend shrinks with the axes by a little, to the good. A long name does not take all.
        figure.subplots_adjust(right=max(right - excess, left + 0.4 * (right - left)))


def name_of_points(y_vals: object, otherwise: str) -> str:
    """The name of a Series, whatever it is, or what to say of points without one."""
    name = getattr(y_vals, "name", None)
    return otherwise if name is None else str(name)
