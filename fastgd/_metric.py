"""The metric of the data: in which units a step of descent is made and measured.

With z = (x - shift) / size for each column, the weights of z and the intercept b of z, a step is

    (b, w) <- (b, w) - rate * P (gradient in b and w)

and theta is in the units of x again: theta_j = w_j / size_j, and the intercept absorbs the shifts. With c the largest
curvature of the loss P is 1 / (c * the largest eigenvalue of Z'Z / n) for "scale" and the pseudo-inverse of c Z'Z / n
for "gram": neither can overshoot at a rate of 1 (D. Boehning and B. G. Lindsay, "Monotonicity of
quadratic-approximation algorithms", Annals of the Institute of Statistical Mathematics 40, 1988).
"""
from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

import numpy as np

from fastgd._kernels import preconditioner as kernels
from fastgd._limits import LOST_IN_ROUNDING, PART_OF_A_TIE, ROUNDINGS

if TYPE_CHECKING:
    from collections.abc import Callable

    from fastgd._types import DoubleArray


class Metric:
    """Of the columns of X, as far as they are scaled: "scale".

    Attributes
    ----------
    shift, sizes : ndarray of shape (p,)
        The centre and the unit of each column.
    kernel : fastgd._kernels.preconditioner.PreconditionerKernel
        What computes in it.
    ties : tuple of int
        Columns that others determine, and those that do; none where that was not looked at.
    """

    ties: tuple[int, ...] = ()

    def __init__(self, shift: DoubleArray, sizes: DoubleArray, unit: float) -> None:
        self.shift, self.sizes = shift, sizes
        self.kernel = kernels.PreconditionerKernel(shift, sizes, unit)

    @property
    def unit(self) -> float:
        """What P is."""
        return self.kernel.unit

    def over(self, curvature: float) -> Metric:
        """That of a loss so many times as curved."""
        other = copy.copy(self)
        other.kernel = self.kernel.for_curvature(curvature)
        return other

    def scaled(self, step: DoubleArray) -> DoubleArray:
        """A step of theta as one of b and w."""
        return self._in_units(step)[0]

    def size(self, step: DoubleArray) -> float:
        """The largest component of a step of theta, scaled."""
        return self._in_units(step)[1]

    def squared(self, step: DoubleArray) -> float:
        """The squared length of a step in this metric, step @ pinv(P) @ step."""
        return self._in_units(step)[2]

    def _in_units(self, step: DoubleArray) -> tuple[DoubleArray, float, float]:
        out = np.empty(len(step))
        return out, *self.kernel.measure_step(step, out, np.empty((2, len(step))))

    def direction(self, gradient: DoubleArray) -> DoubleArray:
        """P @ gradient, in the units of theta."""
        out = np.empty(len(gradient))
        self.kernel.direction(gradient, out, np.empty((2, len(gradient))))
        return out

    def moved(self, theta: DoubleArray, rate: float, gradient: DoubleArray, shrinkage: float) -> DoubleArray:
        """Where a step leads, the weights shrunk by the proximal step of `shrinkage` * sum(abs(weight)) after it."""
        out = np.empty(len(theta))
        self.kernel.proximal_step(theta, rate, gradient, shrinkage, out, np.empty((2, len(theta))))
        return out


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

    The size of a step is the root mean square of what it does to the predictions if that is less than its largest
    component: where columns nearly determine each other rounding moves their weights, and not what they predict. Along
    a direction in which the columns differ by less than some roundings of their own numbers no step is made.

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
        self.shift, self.sizes = shift, sizes
        values, vectors = np.linalg.eigh(curved)
        is_rounding = values <= LOST_IN_ROUNDING * len(values) * max(float(values[-1]), 0.0)
        values[is_rounding] = 0.0
        if along is not None and is_rounding.any() and not is_rounding.all():
            values[is_rounding], mixed = np.linalg.eigh(along(vectors[:, is_rounding]))
            vectors[:, is_rounding] = vectors[:, is_rounding] @ mixed
        roundings = ROUNDINGS * np.finfo(float).eps * (1 + np.abs(shift) / sizes)
        with np.errstate(over="ignore"):    # of a constant column of huge numbers, along which nothing is kept
            kept = values > of_intercept * ((vectors * roundings[:, None])**2).sum(axis=0)
        lost = vectors[:, ~kept]
        self.kernel = kernels.PreconditionerKernel(shift, sizes, 1.0, np.ascontiguousarray(vectors[:, kept].T),
                                     1 / np.sqrt(values[kept]), of_intercept)
        self.ties = tuple(int(k) for k in np.flatnonzero(np.abs(lost).max(axis=1, initial=0.0) > PART_OF_A_TIE))


def shrunk(weights: Any, by: Any) -> Any:
    """Weights moved towards 0 by so much, and left there."""
    return np.sign(weights) * np.maximum(np.abs(weights) - by, 0)
