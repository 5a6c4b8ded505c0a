"""Pictures of a loss curve; the limit is `loss.curve` and an empty figure."""
import matplotlib
import numpy as np
from harness import measure, points

import fastgd
from fastgd import plot

matplotlib.use("Agg")

import matplotlib.pyplot as plt

N = 1_000_000
XLIM = (11, 18)


def drawn(ax):
    ax.figure.canvas.draw()
    plt.close(ax.figure)


def test_plot_loss(benchmark):
    y, loss = points(N), fastgd.huber_loss

    def curve_and_empty_figure():
        loss.curve(np.arange(XLIM[0], XLIM[1] + 0.01, 0.05), y)
        drawn(plt.subplots(figsize=(6, 4))[1])

    measure(benchmark, f"plot_loss huber_loss, {N:,} points", {
        "fastgd": lambda: drawn(plot.plot_loss(y, XLIM, loss))}, ("curve and empty figure", curve_and_empty_figure))


def test_points_and_loss(benchmark):
    y = points(10 * N)
    measure(benchmark, f"points_and_loss mse, {10 * N:,} points", {
        "fastgd": lambda: drawn(plot.points_and_loss(y, XLIM, fastgd.mse)[0])},
        ("plot_loss", lambda: drawn(plot.plot_loss(y, XLIM, fastgd.mse))))
