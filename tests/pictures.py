"""What the tests of pictures share; importing it skips them where there is no matplotlib."""
import pytest

from fastgd import grad_mse, minimize, mse

matplotlib = pytest.importorskip("matplotlib")
matplotlib.use("Agg")

import matplotlib.pyplot as plt  # noqa: E402
from matplotlib.figure import Figure  # noqa: E402

FIVE = [12.1, 12.8, 14.9, 16.3, 17.2]

alone = pytest.mark.thread_unsafe(reason="pyplot has one list of figures for the process")


@pytest.fixture
def no_figure_is_left():
    """Each test starts without a figure and may open some."""
    plt.close("all")
    yield
    plt.close("all")


def axes_for(count):
    return Figure().subplots(1, count)


def labels(ax):
    return [text.get_text() for text in ax.get_legend().get_texts()]


def run(alpha=0.2, theta0=0.0):
    return minimize(mse, grad_mse, FIVE, alpha, theta0=theta0, history=True, progress=False)
