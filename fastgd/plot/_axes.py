"""What every picture shares: its axes, their margins, a legend and the colours. Here alone matplotlib is looked for."""
from __future__ import annotations

import contextlib
from collections.abc import Sized
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import ModuleType

    from matplotlib.axes import Axes
    from matplotlib.legend import Legend

# Colours that all readers can tell apart: M. Okabe and K. Ito, "Color Universal Design", 2008.
BLUE, GREEN, VERMILLION, ORANGE, SKY, PURPLE = "#0072B2", "#009E73", "#D55E00", "#E69F00", "#56B4E9", "#CC79A7"
#: As far from black as from white.
GREY = "#777777"


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
    pair = np.empty(1, dtype=object) if count == 1 else np.asarray(ax, dtype=object)
    if count == 1:
        pair[0] = ax
    if pair.shape != (count,) or not all(isinstance(one, Axes) for one in pair):
        wanted = "a matplotlib Axes" if count == 1 else "a pair of matplotlib Axes"
        raise TypeError(f"The 'ax' parameter must be {wanted}. Got {described(ax)}.")
    for one in pair:
        if one.name != "rectilinear":
            raise TypeError(f"The 'ax' parameter must have Cartesian coordinates, as those of a matplotlib Axes. Got "
                            f"{type(one).__name__} with the projection {one.name!r}. Make it with plt.subplots().")
    return ax if count == 1 else pair


def described(value: object) -> str:
    """The type of a refused value and its shape or length, never its contents."""
    kind, shape = type(value).__name__, getattr(value, "shape", None)
    if shape is None and isinstance(value, Sized):
        return f"{kind} of length {len(value)}"
    return f"{kind} of shape {shape}" if shape else f"{value!r} of type {kind}"


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
    from matplotlib import rcParams

    handles = dict(zip(*reversed(ax.get_legend_handles_labels()), strict=True))
    style = {"loc": "best", "framealpha": 0.9, **_colors_on(background(ax), rcParams["axes.facecolor"]), **kwargs}
    return ax.legend(list(handles.values()), list(handles), **style)


def background(ax: Axes) -> Any:
    """The colour behind the lines: of the axes, of the figure where these are transparent, else of the settings."""
    from matplotlib import rcParams
    from matplotlib.colors import to_rgba

    figure: Any = ax.figure
    faces = [ax.get_facecolor(), figure.get_facecolor(), rcParams["axes.facecolor"]]
    return next((face for face in faces if to_rgba(face)[3] > 0), "white")


def ink(face: Any) -> str:
    """Black, or white on a dark background."""
    from matplotlib.colors import to_rgb

    return "black" if np.dot(to_rgb(face), (0.299, 0.587, 0.114)) > 0.45 else "white"


def _colors_on(face: Any, usual: Any) -> dict[str, Any]:
    """The colours of a legend on this background, unless it is that of the settings, which have their own."""
    from matplotlib.colors import to_rgba

    return {} if to_rgba(face) in (to_rgba(usual), (0, 0, 0, 0)) else {"facecolor": face, "labelcolor": ink(face)}


def legend_beside(ax: Axes, own_figure: bool) -> None:
    """A legend at the right of the axes, for pictures that are full; room is made for it in a figure of our own."""
    from matplotlib import rcParams

    figure: Any = ax.figure
    beside = ax.legend(loc="upper left", bbox_to_anchor=(1.02, 1), borderaxespad=0, frameon=False, labelspacing=0.8,
                       **_colors_on(figure.get_facecolor(), rcParams["figure.facecolor"]))
    if own_figure and figure.get_layout_engine() is None:
        excess = (beside.get_window_extent().x1 - figure.bbox.x1) / figure.bbox.width + 0.015
        right, left = figure.subplotpars.right, figure.subplotpars.left
        # The distance of the legend shrinks with the axes by a little, to the good. A long name does not take all.
        figure.subplots_adjust(right=max(right - excess, left + 0.4 * (right - left)))


def name_of_points(y_vals: object, otherwise: str) -> str:
    """The name of a Series, whatever it is, or what to say of points without one."""
    name = getattr(y_vals, "name", None)
    return otherwise if name is None else str(name)
