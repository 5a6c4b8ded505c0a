"""The textbook's pictures of losses and descents, on matplotlib: ``pip install 'fastgd[plot]'``.

Every function draws on `ax`, or on a new figure, and returns the Axes. None of them shows or saves a picture or changes
a setting of matplotlib. Arguments are checked before a figure is made.

    points_and_loss         the points as a rug, and the loss over theta
    plot_loss               the loss over theta
    plot_theta_on_loss, plot_tangent_on_loss, plot_connected_thetas, plot_one_gd_iter
                            a dot, its tangent, a chord, an update on the curve; as in the textbook they join the
                            curve that was drawn before them, or draw one
    plot_histogram          the points, with their mean, median and Huber minimiser
    plot_descent            runs on the curve, and their losses after each update
    plot_paths              the contours of a loss of two parameters, with the paths of descents over it

``python -m fastgd --pictures DIR`` writes an example of each to a folder.

>>> from fastgd import mse, plot
>>> y = [12.1, 12.8, 14.9, 16.3, 17.2]
>>> curve = plot.plot_loss(y, (11, 18), mse)
>>> plot.plot_tangent_on_loss(y, 12, mse) is curve
True
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
