"""A loss as the pictures ask for it: its values at many thetas, its slope, its name. Here alone the core is known."""
from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from fastgd._checks import as_given, called_at, check_callable, check_dataset
from fastgd._problem import LinearProblem
from fastgd.differences import DifferenceGradient
from fastgd.losses import compiled_form
from fastgd.results import DescentResult

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import ArrayLike

    from fastgd._types import ConstantFunction, DoubleArray, LossFunction
    from fastgd.losses import Gradient, Loss

#: Points of which a range of theta is chosen.
_SAMPLE = 10_000


class LossOnPoints:
    """A loss and its points, checked."""

    def __init__(self, loss_fn: ConstantFunction, y_vals: ArrayLike, name: str = "y_vals") -> None:
        self._compiled = compiled_form(loss_fn)
        if self._compiled is None:
            check_callable(loss_fn, "loss_fn")
        self._loss_fn, self.name = loss_fn, _name_of(loss_fn, self._compiled)
        self.points = check_dataset(y_vals, name)
        self.sample = np.ascontiguousarray(self.points[::self.points.size // _SAMPLE + 1])
        self.dataset = as_given(y_vals, self.points)

    def at(self, thetas: ArrayLike) -> DoubleArray:
        """The loss at each theta, as an array."""
        if self._compiled is not None:
            return self._compiled.curve_over(np.asarray(thetas, dtype=np.float64), self.points)
        return np.array(called_at(self._loss_fn, np.asarray(thetas).tolist(), self.dataset), dtype=np.float64)

    def glance(self, thetas: DoubleArray) -> DoubleArray | None:
        """About the loss at each theta, which may be far from the points; None where a Python loss has no value.

        That of a sample of the points; but a Python loss gets all, of which it may know more than their values.
        """
        if self._compiled is not None:
            return self._compiled.curve_over(thetas, self.sample)
        try:
            with np.errstate(all="ignore"):
                return self.at(thetas)
        except (ArithmeticError, ValueError):    # of math.exp and math.log
            return None

    def slope_at(self, theta: float, eps: float | None) -> float:
        """The slope at theta: a central difference of this half-width, or as exact as it can be had."""
        if eps is None:
            gradient: Callable[..., float] = getattr(
                self._compiled, "gradient", None) or DifferenceGradient(self._loss_fn, self.points)
            return gradient(theta, self.dataset)
        # In float32 the two losses would be the same, or different by rounding.
        dataset = self.dataset.astype(np.float64) if self.dataset.dtype == np.float32 else self.dataset
        above, below = map(float, called_at(self._loss_fn, (theta + eps, theta - eps), dataset))
        return (above - below) / (2 * eps)


class Surface:
    """A loss of a linear model with two parameters, checked."""

    def __init__(self, loss_fn: LossFunction, X: ArrayLike, y: ArrayLike) -> None:
        X = np.asarray(X)[:, None] if np.ndim(X) == 1 else X
        self._compiled = compiled_form(loss_fn)
        y = check_dataset(y, "y")
        self._problem = LinearProblem(loss_fn, None, y, X, np.shape(X)[1:] == (1,), needs_loss=True)
        self._design = self._problem.design
        if self._design.n_parameters != 2:
            raise ValueError("Input X should have one or two features for two parameters, "
                             f"got an array of shape {self._design.X.shape}.")
        self.name = _name_of(loss_fn, self._compiled)

    def check_model(self, run: object, name: str) -> None:
        """Raise ValueError for a descent on other features, or with an intercept where there is none."""
        design = self._design
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
        if self._compiled is not None:
            return self._compiled.curve_over_rows(thetas, self._design)
        return np.array(self._problem.losses_at(thetas), dtype=np.float64)

    def over(self, low: DoubleArray, high: DoubleArray) -> tuple[DoubleArray, DoubleArray, DoubleArray]:
        """The places along both axes, and the losses there, rows along the second."""
        places = 81 if len(self._design.X) <= 10_000 else 41
        axes = np.linspace(low, high, places).T
        thetas = np.stack(np.meshgrid(*axes), axis=-1)
        return *axes, self.at(thetas.reshape(-1, 2)).reshape(thetas.shape[:2])

    def minimum(self, places: DoubleArray) -> DoubleArray:
        """Where the loss is least: from the lowest of `places` on, on an 11 x 11 grid that follows it and shrinks.

        The grid is laid out in R @ theta, where X = Q @ R: there the narrow valley of correlated features is round. Of
        places with the same loss it takes the nearest, else it would drift along a floor.
        """
        X = self._design.with_ones()
        R = np.zeros((2, 2))    # of a single row there is but half
        R[:len(X)] = np.linalg.qr(X, mode="r") / np.sqrt(len(X))
        back = np.linalg.inv(R).T if np.linalg.cond(R) < 1e12 else np.eye(2)
        losses = self.at(places)
        if not np.isfinite(losses).any():
            raise ArithmeticError(f"{self.name} is NaN or infinite at every theta of the results.")
        best: DoubleArray = places[np.nanargmin(losses)]
        offsets = np.stack(np.meshgrid(*[np.linspace(-1, 1, 11)] * 2), axis=-1).reshape(-1, 2)
        offsets = offsets[np.argsort((offsets**2).sum(axis=1), kind="stable")]
        width = first_width = np.ptp(places @ np.linalg.inv(back), axis=0).max() or 1.0
        for _ in range(100):
            k = np.nanargmin(self.at(best + width * offsets @ back))
            best = best + width * offsets[k] @ back
            width *= 0.4 if np.abs(offsets[k]).max() < 1 else 2
            if not 1e-7 * first_width < width < 1e7 * first_width:
                break
        return best


def _name_of(loss_fn: object, loss: Loss | Gradient | None) -> str:
    """What to call a loss in a title: huber_loss, Huber(delta=2.0), or the name of the Python function."""
    if loss is not None:
        return loss.__name__ if repr(loss).startswith("<") else repr(loss)
    return str(getattr(getattr(loss_fn, "func", loss_fn), "__name__", type(loss_fn).__name__))
