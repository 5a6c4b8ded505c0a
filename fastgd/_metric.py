"""The metric of the data: in which units a step of descent is made and measured.

With z = (x - shift) / size for each column, the weights of z and the intercept b of z, a step is

    (b, w) <- (b, w) - rate * P (gradient in b and w)

and theta is in the units of x again: theta_j = w_j / size_j, and the intercept absorbs the shifts. With c the largest
curvature of the loss P is 1 / (c * the largest eigenvalue of Z'Z / n) for "scale" and the pseudo-inverse of c Z'Z / n
for "gram": neither can overshoot at a rate of 1 (D. Boehning and B. G. Lindsay, "Monotonicity of
quadratic-approximation algorithms", Annals of the Institute of Statistical Mathematics 40, 1988).
"""
from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from fastgd._limits import LOST_FOR_EVER, LOST_IN_ROUNDING, PART_OF_A_TIE

if TYPE_CHECKING:
    from collections.abc import Callable

    from fastgd._types import DoubleArray


class Metric:
    """Of the columns of X, as far as they are scaled: "scale".

    Attributes
    ----------
    shift, sizes : ndarray of shape (p,)
        The centre and the unit of each column.
    unit : float
        What P is.
    ties : tuple of int
        Columns that others determine, and those that do; none where that was not looked at.
    """

    ties: tuple[int, ...] = ()

    def __init__(self, shift: DoubleArray, sizes: DoubleArray, unit: float) -> None:
        self.shift, self.sizes, self.unit = shift, sizes, unit
        self._p = len(sizes)

    def over(self, curvature: float) -> Metric:
        """That of a loss so many times as curved."""
        return Metric(self.shift, self.sizes, self.unit / curvature)

    def scaled(self, step: DoubleArray) -> DoubleArray:
        """A step of theta as one of b and w."""
        first = len(step) - self._p
        moved: DoubleArray = step.copy()
        moved[first:] *= self.sizes
        if first:
            moved[0] += self.shift @ step[1:]
        return moved

    def size(self, step: DoubleArray) -> float:
        """The largest component of a step of theta, scaled."""
        return float(np.abs(self.scaled(step)).max())

    def _slopes(self, gradient: DoubleArray) -> DoubleArray:
        """A gradient in theta as one in b and w."""
        first = len(gradient) - self._p
        slopes: DoubleArray = gradient.copy()
        if first:
            slopes[1:] -= self.shift * gradient[0]
        slopes[first:] /= self.sizes
        return slopes

    def _times(self, slopes: DoubleArray) -> DoubleArray:
        """P @ slopes."""
        return slopes * self.unit

    def direction(self, gradient: DoubleArray) -> DoubleArray:
        """P @ gradient, in the units of theta."""
        step = self._times(self._slopes(gradient))
        first = len(step) - self._p
        step[first:] /= self.sizes
        if first:
            step[0] -= self.shift @ step[1:]
        return step

    def squared(self, step: DoubleArray) -> float:
        """The squared length of a step in this metric, step @ pinv(P) @ step."""
        moved = self.scaled(step)
        return float(moved @ moved) / self.unit

    def moved(self, theta: DoubleArray, rate: float, gradient: DoubleArray, shrinkage: float) -> DoubleArray:
        """Where a step leads, the weights shrunk by the proximal step of `shrinkage` * sum(abs(weight)) after it."""
        first = len(theta) - self._p
        step = self._times(self._slopes(gradient)) * -rate
        new: DoubleArray = theta.copy()
        new[first:] += step[first:] / self.sizes
        if shrinkage:
            new[first:] = shrunk(new[first:], rate * self.unit * shrinkage / self.sizes**2)
        if first:
            new[0] += step[0] - self.shift @ (new[1:] - theta[1:])
        return new


class NumberMetric:
    """Of one number, whose prediction is itself: P is one over the largest curvature."""

    ties: tuple[int, ...] = ()

    def __init__(self, unit: float) -> None:
        self.unit = unit

    def size(self, step: float) -> float:
        """That of a step."""
        return abs(step)

    def direction(self, gradient: float) -> float:
        """P * gradient."""
        return self.unit * gradient

    def squared(self, step: float) -> float:
        """The squared length of a step in this metric."""
        return step * step / self.unit

    def moved(self, theta: float, rate: float, gradient: float, shrinkage: float) -> float:
        """Where a step leads."""
        new = theta - rate * self.unit * gradient
        return float(shrunk(new, rate * self.unit * shrinkage)) if shrinkage else new


class GramMetric(Metric):
    """Of the Gram matrix of the columns: "gram".

    Parameters
    ----------
    shift, sizes
        As for `Metric`.
    curved : ndarray of shape (p, p)
        c Z'Z / n, a penalty's curvature included.
    of_intercept : float
        The same of the intercept: c.
    along : callable, optional
        From directions, the columns of an array W, to c (Z W)'(Z W) / n. The Gram matrix has the squares of what
        columns differ by, of which doubles hold half the digits; this has the rest.
    """

    def __init__(self, shift: DoubleArray, sizes: DoubleArray, curved: DoubleArray, of_intercept: float,
                 along: Callable[[DoubleArray], DoubleArray] | None = None) -> None:
        super().__init__(shift, sizes, 1.0)
        self._times_curved, self._of_intercept = 1.0, of_intercept
        values, vectors = np.linalg.eigh(curved)
        kept = values > LOST_IN_ROUNDING * len(values) * max(float(values[-1]), 0.0)
        lost = vectors[:, ~kept]
        values, vectors = values[kept], vectors[:, kept]
        if along is not None and lost.shape[1] and len(values):
            found, mixed = np.linalg.eigh(along(lost))
            kept = found > LOST_FOR_EVER * len(lost) * float(values[-1])
            values, vectors = np.r_[found[kept], values], np.c_[lost @ mixed[:, kept], vectors]
            lost = lost @ mixed[:, ~kept]
        self._inverse = (vectors / values) @ vectors.T
        self._root = vectors * np.sqrt(values)
        self.ties = tuple(int(k) for k in np.flatnonzero(np.abs(lost).max(axis=1, initial=0.0) > PART_OF_A_TIE))

    def over(self, curvature: float) -> GramMetric:
        other = object.__new__(GramMetric)
        other.__dict__.update(self.__dict__)
        other._times_curved = self._times_curved * curvature
        return other

    def _times(self, slopes: DoubleArray) -> DoubleArray:
        first = len(slopes) - self._p
        product: DoubleArray = np.empty_like(slopes)
        product[:first] = slopes[:first] / self._of_intercept
        product[first:] = self._inverse @ slopes[first:]
        product /= self._times_curved
        return product

    def size(self, step: DoubleArray) -> float:
        """As of any metric, or the root mean square of what it does to the predictions if that is less.

        Where columns nearly determine each other rounding moves their weights, and not what they predict.
        """
        moved = self.scaled(step)
        with np.errstate(all="ignore"):
            return min(float(np.abs(moved).max()), math.sqrt(self._squared(moved) / self._of_intercept))

    def squared(self, step: DoubleArray) -> float:
        return self._times_curved * self._squared(self.scaled(step))

    def _squared(self, moved: DoubleArray) -> float:
        first = len(moved) - self._p
        along = moved[first:] @ self._root    # no step goes in a direction that was not kept
        return float((moved[:first] ** 2).sum() * self._of_intercept + along @ along)


def shrunk(weights: Any, by: Any) -> Any:
    """Weights moved towards 0 by so much, and left there."""
    return np.sign(weights) * np.maximum(np.abs(weights) - by, 0)
