"""A loss as the pictures ask for it: its values at many thetas, its slope, its name. Here alone the core is known."""
from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from fastgd._checks import check_dataset
from fastgd._data import LinearModelData
from fastgd._objective import curve_of, objective_of
from fastgd._thread_pool import thread_pool
from fastgd.results import DescentResult

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from fastgd._types import ConstantFunction, Count, DoubleArray, LossFunction
    from fastgd.penalties import Penalty

#: Points of which a range of theta is chosen.
_SAMPLE = 10_000


class LossOnPoints:
    """A loss and its points, checked; and a penalty of theta, if there is one."""

    def __init__(self, loss_fn: ConstantFunction, y_vals: ArrayLike, name: str = "y_vals",
                 penalty: Penalty | None = None, n_threads: Count | None = None) -> None:
        curve = curve_of(loss_fn, penalty, thread_pool(n_threads))
        self._objective = curve(y_vals, name)
        self.name = self._objective.name
        self.points = self._objective.in_memory.targets
        self.dataset = self._objective.source.everything
        self.sample = self.points
        if self.points.size > _SAMPLE:
            self.sample = self.points[np.random.default_rng(0).integers(0, self.points.size, _SAMPLE)]
        # A Python loss gets all points, of which it may know more than their values.
        self._of_sample = self._objective if self._objective.is_called else curve(self.sample)

    def at(self, thetas: ArrayLike) -> DoubleArray:
        """The loss at each theta, as an array."""
        return self._objective.curve(np.asarray(thetas, dtype=np.float64))

    def glance(self, thetas: DoubleArray) -> DoubleArray | None:
        """About the loss at each theta, which may be far from the points; None where a Python loss has no value."""
        try:
            with np.errstate(all="ignore"):
                return self._of_sample.curve(thetas)
        except (ArithmeticError, ValueError):    # of math.exp and math.log
            return None

    def slope_at(self, theta: float, eps: float | None) -> float:
        """The slope at theta: a central difference of this half-width, or as exact as it can be had."""
        if eps is None:
            return float(self._objective.slope(theta))
        # In float32 the two losses would be the same, or different by rounding.
        above, below = self._objective.in_double().curve(np.array([theta + eps, theta - eps])).tolist()
        slope: float = (above - below) / (2 * eps)
        return slope


class Surface:
    """A loss of a linear model with two parameters, checked."""

    def __init__(self, loss_fn: LossFunction, X: ArrayLike, y: ArrayLike, penalty: Penalty | None = None,
                 n_threads: Count | None = None) -> None:
        X = np.asarray(X)[:, None] if np.ndim(X) == 1 else X
        if X is None:
            raise TypeError("Input X should be a 2d array of real numbers, got None.")
        self._objective = objective_of(loss_fn, None, check_dataset(y, "y"), X, np.shape(X)[1:] == (1,),
                                       penalty=penalty, threads=thread_pool(n_threads))
        source = self._objective.source
        assert isinstance(source, LinearModelData)
        self._rows = source
        if source.n_parameters != 2:
            raise ValueError("Input X should have one or two features for two parameters, "
                             f"got an array of shape {source.X.shape}.")
        self.name = self._objective.name

    def check_model(self, run: object, name: str) -> None:
        """Raise ValueError for a descent on other features, or with an intercept where there is none."""
        design = self._rows
        if not isinstance(run, DescentResult):
            return
        if run.fit_intercept != design.intercept:
            has, wanted = ("an intercept and one feature" if one else "two features and no intercept"
                           for one in (run.fit_intercept, design.intercept))
            raise ValueError(f"The '{name}' parameter must be a descent on X, with {wanted}. Got one with {has}.")
        if None not in (run.feature_names, design.names) and run.feature_names != design.names:
            raise ValueError(f"The '{name}' parameter must be a descent on X, with {', '.join(design.names or ())}. "
                             f"Got one with {', '.join(run.feature_names or ())}.")

    def at(self, thetas: DoubleArray) -> DoubleArray:
        """The loss at each row of an array of thetas."""
        return self._objective.curve(thetas)

    def over(self, low: DoubleArray, high: DoubleArray) -> tuple[DoubleArray, DoubleArray, DoubleArray]:
        """The places along both axes, and the losses there, rows along the second."""
        places = 81 if self._rows.n <= 10_000 else 41
        axes = np.linspace(low, high, places).T
        thetas = np.stack(np.meshgrid(*axes), axis=-1)
        return *axes, self.at(thetas.reshape(-1, 2)).reshape(thetas.shape[:2])

    def scale(self) -> DoubleArray:
        """How large each parameter is, if it alone makes predictions as large as the targets; above 0."""
        with np.errstate(all="ignore"):
            scale = np.abs(self._rows.targets).max() / np.abs(self._rows.with_ones()).max(axis=0)
        return np.where((scale > 0) & (scale < np.inf), scale, 1.0)

    def minimum(self, places: DoubleArray) -> DoubleArray:
        """Where the loss is least: from the lowest of `places` on, on an 11 x 11 grid that follows it and shrinks.

        The grid is laid out in R @ theta, where X = Q @ R: there the narrow valley of correlated features is round. Of
        places with the same loss it takes the nearest, else it would drift along a floor.
        """
        X = self._rows.with_ones()
        R = np.zeros((2, 2))    # of a single row there is but half
        R[:len(X)] = np.linalg.qr(X, mode="r") / np.sqrt(len(X))
        back = np.linalg.inv(R).T if np.linalg.cond(R) < 1e12 else np.eye(2)
        losses = self.at(places)
        if not np.isfinite(losses).any():
            raise ArithmeticError(f"{self.name} is NaN or infinite at every theta of the results.")
        best: DoubleArray = places[np.nanargmin(losses)]
        offsets = np.stack(np.meshgrid(*[np.linspace(-1, 1, 11)] * 2), axis=-1).reshape(-1, 2)
        offsets = offsets[np.argsort((offsets**2).sum(axis=1), kind="stable")]
        first_width = np.ptp(places @ np.linalg.inv(back), axis=0).max() or np.abs(self._rows.targets).max() or 1.0
        width = first_width
        for _ in range(100):
            k = np.nanargmin(self.at(best + width * offsets @ back))
            best = best + width * offsets[k] @ back
            width *= 0.4 if np.abs(offsets[k]).max() < 1 else 2
            if not 1e-7 * first_width < width < 1e7 * first_width:
                break
        return best
