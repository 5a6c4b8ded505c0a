"""Write the pictures of `python -m fastgd --pictures DIR`, one for each function of `fastgd.plot`."""
from __future__ import annotations

import contextlib
import functools
import io
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fastgd import (
    ConvergenceWarning,
    grad_mse,
    grad_quartic_loss,
    huber_loss,
    minimize,
    minimize_mini_batch,
    minimize_sgd,
    mse,
    plot,
    quartic_loss,
)
from fastgd._cli.report import FIVE_POINTS
from fastgd.datasets import load_tips

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    import pandas as pd
    from matplotlib.figure import Figure

    from fastgd import DescentResult



def write_pictures(directory: str | Path) -> Iterator[Path]:
    """Write all pictures as PNG to `directory`, which is created if needed; yield the path of each."""
    figures = plot.require_matplotlib().figure
    directory = Path(directory)
    try:
        directory.mkdir(parents=True, exist_ok=True)
        for name, (draw_functions, size, n_panels) in PICTURES.items():
            figure = figures.Figure(size, dpi=100, layout="constrained")
            with contextlib.redirect_stdout(io.StringIO()):    # plot_one_gd_iter prints
                axes = figure.subplots(1, n_panels)
                for draw in draw_functions:
                    draw(axes)
            path = directory / f"{name}.png"
            _save(figure, path)
            yield path
    except OSError as error:
        raise OSError(f"cannot write pictures to {directory}: {error.strerror or error}") from None


def _save(figure: Figure, path: Path) -> None:
    """Save a figure as PNG in 128 colours, which makes the file about a third as large."""
    from PIL import Image  # a requirement of matplotlib

    png = io.BytesIO()
    figure.savefig(png, format="png")
    Image.open(png).convert("RGB").quantize(128, dither=Image.Dither.NONE).save(path, optimize=True)


def _five_points(ax: Any) -> None:
    """Draw the mean squared error on five points."""
    plot.plot_loss(FIVE_POINTS, (11, 18), mse, ax=ax)


def _quartic(ax: Any) -> None:
    """Draw the quartic loss."""
    plot.plot_loss([0], (-23, 25), quartic_loss, ax=ax)


def _histogram(ax: Any) -> None:
    """Draw the tips in percent."""
    plot.plot_histogram(load_tips()["pcttip"], ax=ax)
    ax.set_xlabel("Tip Percent")


def _descent(ax: Any) -> None:
    """Draw batch descents of three learning rates."""
    for alpha in (0.9, 0.2, 0.05):
        run = minimize(mse, grad_mse, FIVE_POINTS, alpha, history=True, progress=False)
        plot.plot_descent(run, mse, FIVE_POINTS, theta0=0, label=f"alpha {alpha}", ax=ax)


def _tip_on_bill() -> tuple[pd.DataFrame, pd.Series[float]]:
    """Return the standardised bills, as a frame of one column, and the tips."""
    tips = load_tips()
    bill = tips["total_bill"]
    return ((bill - bill.mean()) / bill.std(ddof=0)).rename("total_bill, standardised").to_frame(), tips["tip"]


@functools.cache
def _runs() -> dict[str, DescentResult]:
    """Run batch descent to its end, and the stochastic methods for a few passes; return the results by label."""
    X, y = _tip_on_bill()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)    # a few passes do not converge
        batch = minimize(mse, grad_mse, y, 0.05, X=X, fit_intercept=True, history=True, progress=False)
        return {
            f"batch, {batch.nit} passes": batch,
            "mini-batch 10, 4 passes": minimize_mini_batch(
                mse, grad_mse, y, 10, 0.05, X=X, fit_intercept=True, rng=0, tol=0, max_epochs=4, history=True),
            "stochastic, 1 pass": minimize_sgd(
                mse, grad_mse, y, 0.01, X=X, fit_intercept=True, rng=0, tol=0, max_epochs=1, history=True),
        }


def _paths(ax: Any, n_runs: int) -> None:
    """Draw the paths of the first `n_runs` descents of `_runs` on the contours of the loss."""
    plot.plot_paths(*_tip_on_bill(), mse, dict(list(_runs().items())[:n_runs]), theta0=0, ax=ax)


#: Pictures by file name: the functions that draw it one after another, its size in inches, its number of panels.
PICTURES: dict[str, tuple[Sequence[Callable[[Any], object]], tuple[float, float], int]] = {
    "points_and_loss": (
        [lambda ax: plot.points_and_loss(load_tips()["pcttip"], (0, 40), huber_loss, ax=ax)], (9, 3), 2),
    "plot_loss": ([_quartic], (6, 4), 1),
    "plot_theta_on_loss": (
        [_five_points, lambda ax: plot.plot_theta_on_loss(FIVE_POINTS, 12, mse, ax=ax)], (6, 4), 1),
    "plot_tangent_on_loss": (
        [_five_points, lambda ax: plot.plot_tangent_on_loss(FIVE_POINTS, 12, mse, ax=ax)], (6, 4), 1),
    "plot_one_gd_iter": (
        [lambda ax: plot.plot_one_gd_iter([0], -21, quartic_loss, grad_quartic_loss, alpha=2.5, ax=ax)], (6, 4), 1),
    "plot_connected_thetas": (
        [_quartic, lambda ax: plot.plot_connected_thetas([0], -12, 12, quartic_loss, ax=ax)], (6, 4), 1),
    "plot_histogram": ([_histogram], (6, 4), 1),
    "plot_descent": ([_descent], (9, 3.6), 2),
    "plot_paths_batch": ([lambda ax: _paths(ax, 1)], (7, 4), 1),
    "plot_paths": ([lambda ax: _paths(ax, 3)], (7, 4), 1),
}
