"""Axes, margins, legends and colours of all pictures; the only module that imports matplotlib by itself."""
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

# Colours that colour-blind readers can distinguish: M. Okabe and K. Ito, "Color Universal Design", 2008.
BLUE, GREEN, VERMILLION, ORANGE, SKY, PURPLE = "#0072B2", "#009E73", "#D55E00", "#E69F00", "#56B4E9", "#CC79A7"
#: Equal contrast to black and white.
GREY = "#777777"
RUN_COLORS = (VERMILLION, GREEN, PURPLE, ORANGE, SKY, GREY)


def require_matplotlib() -> ModuleType:
    """Import matplotlib with its Axes and Figure but without pyplot, which would search for a screen."""
    try:
        import matplotlib.figure
    except ImportError as error:
        raise ImportError("fastgd.plot needs matplotlib: pip install 'fastgd[plot]'.") from error
    return matplotlib


def check_axes(ax: Any, count: int = 1) -> Any:
    """Return `ax`, or an array of `count` of them, after a check of the type; None for None."""
    Axes = require_matplotlib().axes.Axes
    if ax is None:
        return None
    pair = np.empty(1, dtype=object) if count == 1 else np.asarray(ax, dtype=object)
    if count == 1:
        pair[0] = ax
    if pair.shape != (count,) or not all(isinstance(one, Axes) for one in pair):
        wanted = "a matplotlib Axes" if count == 1 else "a pair of matplotlib Axes"
        raise TypeError(f"The 'ax' parameter must be {wanted}. Got {type_and_shape(ax)}.")
    for one in pair:
        if one.name != "rectilinear":
            raise TypeError(f"The 'ax' parameter must have Cartesian coordinates, as those of a matplotlib Axes. Got "
                            f"{type(one).__name__} with the projection {one.name!r}. Make it with plt.subplots().")
    return ax if count == 1 else pair


def type_and_shape(value: object) -> str:
    """Describe a refused value by its type and its shape or length."""
    kind, shape = type(value).__name__, getattr(value, "shape", None)
    if shape is None and isinstance(value, Sized):
        return f"{kind} of length {len(value)}"
    return f"{kind} of shape {shape}" if shape else f"{value!r} of type {kind}"


@contextlib.contextmanager
def axes(ax: Any, size: tuple[float, float] = (6, 4), columns: int = 1) -> Iterator[Any]:
    """Yield `ax`, or the axes of a new figure, which is closed if drawing fails.

    Margins for six digits and a label replace a layout engine, which doubles the time of drawing. They belong to the
    figure and not to its grid, so that `tight_layout` can change them.
    """
    if ax is not None:
        yield ax
        return
    import matplotlib.pyplot as plt

    figure, ax = plt.subplots(1, columns, figsize=size)
    try:
        if figure.get_layout_engine() is None:    # the user's settings may have one
            (width, height), left, right, bottom, top = size, 0.9, 0.25, 0.55, 0.4    # inches
            panel = (width - columns * left - right) / columns
            figure.subplots_adjust(left=left / width, right=1 - right / width, bottom=bottom / height,
                                   top=1 - top / height, wspace=left / panel)
        yield ax
    except BaseException:
        plt.close(figure)
        raise


def legend(ax: Axes, **kwargs: Any) -> Legend:
    """Draw a legend where it covers least, with one entry for all artists of one label."""
    from matplotlib import rcParams

    handles = dict(zip(*reversed(ax.get_legend_handles_labels()), strict=True))
    style = {"loc": "best", "framealpha": 0.9, **_colors_on(background(ax), rcParams["axes.facecolor"]), **kwargs}
    return ax.legend(list(handles.values()), list(handles), **style)


def background(ax: Axes) -> Any:
    """Colour behind the lines: of the axes, of the figure if the axes are transparent, or of the settings."""
    from matplotlib import rcParams
    from matplotlib.colors import to_rgba

    figure: Any = ax.figure
    faces = [ax.get_facecolor(), figure.get_facecolor(), rcParams["axes.facecolor"]]
    return next((face for face in faces if to_rgba(face)[3] > 0), "white")


def ink(face: Any) -> str:
    """Colour of text on a background: black, or white if it is dark."""
    from matplotlib.colors import to_rgb

    return "black" if np.dot(to_rgb(face), (0.299, 0.587, 0.114)) > 0.45 else "white"


def _colors_on(face: Any, usual: Any) -> dict[str, Any]:
    """Colours of a legend on this background, if it is not that of the settings."""
    from matplotlib.colors import to_rgba

    return {} if to_rgba(face) in (to_rgba(usual), (0, 0, 0, 0)) else {"facecolor": face, "labelcolor": ink(face)}


def legend_beside(ax: Axes, own_figure: bool) -> None:
    """Draw a legend at the right of the axes; a new figure gets a margin for it."""
    from matplotlib import rcParams

    figure: Any = ax.figure
    beside = ax.legend(loc="upper left", bbox_to_anchor=(1.02, 1), borderaxespad=0, frameon=False, labelspacing=0.8,
                       **_colors_on(figure.get_facecolor(), rcParams["figure.facecolor"]))
    if own_figure and figure.get_layout_engine() is None:
        excess = (beside.get_window_extent().x1 - figure.bbox.x1) / figure.bbox.width + 0.015
        right, left = figure.subplotpars.right, figure.subplotpars.left
        # The axes keep 40 % of their width, however long a name is.
        figure.subplots_adjust(right=max(right - excess, left + 0.4 * (right - left)))


def name_of_points(y_vals: object, otherwise: str) -> str:
    """Name of a Series as text, or `otherwise`."""
    name = getattr(y_vals, "name", None)
    return otherwise if name is None else str(name)
