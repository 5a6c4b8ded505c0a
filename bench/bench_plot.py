"""A picture of a loss curve, beside what it is made of: `loss.curve` and an empty figure."""
import functools

import matplotlib
import numpy as np
import pytest
from harness import measure, points

from fastgd import plot
from fastgd.losses import REGISTRY

matplotlib.use("Agg")

import matplotlib.pyplot as plt

XLIM = (11, 18)
THETAS = np.arange(XLIM[0], XLIM[1] + 0.01, 0.05)


def drawn(ax):
    ax.figure.canvas.draw()
    plt.close(ax.figure)


def picture(loss, y):
    drawn(plot.plot_loss(y, XLIM, loss))


def curve_and_empty_figure(loss, y):
    loss.curve(THETAS, y)
    drawn(plt.subplots(figsize=(6, 4))[1])


@pytest.mark.parametrize("contender", ["fastgd", "curve and empty figure"])
@pytest.mark.parametrize("name", ["mse", "huber_loss"])
def test_plot_loss(benchmark, name, contender):
    function = picture if contender == "fastgd" else curve_and_empty_figure
    measure(benchmark, f"plot_loss {name}, 1e6 points", contender,
            functools.partial(function, REGISTRY[name], points(1_000_000)))


@pytest.mark.parametrize("contender", ["fastgd"])
@pytest.mark.parametrize("n", [1_000_000, 10_000_000])
def test_points_and_loss(benchmark, n, contender):
    def both():
        drawn(plot.points_and_loss(points(n), XLIM, REGISTRY["mse"])[0])

    measure(benchmark, f"points_and_loss mse, {n:.0e} points", contender, both)
