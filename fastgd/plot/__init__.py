"""The course's pictures of losses and descents, on matplotlib: ``pip install 'fastgd[plot]'``.

Every function draws on `ax` if it is given, else on a figure of its own, and returns the Axes. None of them shows or
saves a picture or changes a setting of matplotlib. What is wrong with an argument is said before a figure is made.
"""
from fastgd.plot._axes import require_matplotlib as require_matplotlib
from fastgd.plot._curves import (
    plot_connected_thetas,
    plot_loss,
    plot_one_gd_iter,
    plot_tangent_on_loss,
    plot_theta_on_loss,
    points_and_loss,
)
from fastgd.plot._descents import plot_descent, plot_paths
from fastgd.plot._histogram import plot_histogram

__all__ = [
    "plot_connected_thetas", "plot_descent", "plot_histogram", "plot_loss", "plot_one_gd_iter", "plot_paths",
    "plot_tangent_on_loss", "plot_theta_on_loss", "points_and_loss",
]
