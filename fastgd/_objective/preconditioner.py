"""Preconditioner of a descent: the whitened coordinates in which a step is made and measured.

With z = (x - shift) / size for each column, the weights of z and the intercept b of z, a step is

    (b, w) <- (b, w) - rate * P (gradient in b and w)

and theta is in the units of x again: theta_j = w_j / size_j, and the intercept absorbs the shifts. With c the largest
curvature of the loss P is 1 / (c * the largest eigenvalue of Z'Z / n) for "scale" and the pseudo-inverse of c Z'Z / n
for "gram": neither can overshoot at a rate of 1 (D. Boehning and B. G. Lindsay, "Monotonicity of
quadratic-approximation algorithms", Annals of the Institute of Statistical Mathematics 40, 1988).
"""
from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from fastgd._kernels import preconditioner as kernels

if TYPE_CHECKING:
    from collections.abc import Callable

    from fastgd._types import DoubleArray

#: Rounding of the eigenvalues of a Gram matrix of columns of size 1, relative to the largest, for each column.
EIGENVALUE_ROUNDING = 1e-14
#: Least difference of columns along a direction, in roundings of their numbers; the rounding of numpy's least squares.
COLUMN_ROUNDINGS = 1000
#: Share of a column in a direction without curvature above which the column is collinear.
COLLINEAR_SHARE = 1e-4


class Preconditioner:
    """Preconditioner of scaled columns: "scale".

    Attributes
    ----------
    shift, sizes : ndarray of shape (p,)
        Centre and unit of each column.
    kernel : fastgd._kernels.preconditioner.PreconditionerKernel
        Compiled preconditioner.
    collinear : tuple of int
        Columns that are constant or collinear; empty for "scale", which does not compute them.
    """

    collinear: tuple[int, ...] = ()
    kernel: kernels.PreconditionerKernel

    def __init__(self, shift: DoubleArray, sizes: DoubleArray, unit: float) -> None:
        self.shift, self.sizes = shift, sizes
        self.kernel = kernels.PreconditionerKernel(shift, sizes, unit)

    @property
    def unit(self) -> float:
        """Factor of P."""
        return self.kernel.unit

    def over(self, curvature: float) -> Preconditioner:
        """Return the preconditioner for a loss with `curvature` times the curvature."""
        other = object.__new__(type(self))
        other.shift, other.sizes, other.collinear = self.shift, self.sizes, self.collinear
        other.kernel = self.kernel.for_curvature(curvature)
        return other

    def scaled(self, step: DoubleArray) -> DoubleArray:
        """Convert a step of theta to a step of b and w."""
        return self._in_units(step)[0]

    def size(self, step: DoubleArray) -> float:
        """Compute the largest component of a step of theta, scaled."""
        return self._in_units(step)[1]

    def squared(self, step: DoubleArray) -> float:
        """Compute the squared length of a step in whitened coordinates, step @ pinv(P) @ step."""
        return self._in_units(step)[2]

    def _in_units(self, step: DoubleArray) -> tuple[DoubleArray, float, float]:
        out = np.empty(len(step))
        return out, *self.kernel.measure_step(step, out, np.empty((2, len(step))))

    def direction(self, gradient: DoubleArray) -> DoubleArray:
        """Compute P @ gradient, in the units of theta."""
        out = np.empty(len(gradient))
        self.kernel.direction(gradient, out, np.empty((2, len(gradient))))
        return out

    def proximal_step(self, theta: DoubleArray, rate: float, gradient: DoubleArray, l1: float) -> DoubleArray:
        """Make a step from theta, and the proximal step of `l1` * sum(abs(weight)) after it."""
        out = np.empty(len(theta))
        self.kernel.proximal_step(theta, rate, gradient, l1, out, np.empty((2, len(theta))))
        return out


class ScalarPreconditioner:
    """Preconditioner of one number: P is one over the largest curvature."""

    collinear: tuple[int, ...] = ()

    def __init__(self, unit: float) -> None:
        self.unit = unit

    def size(self, step: float) -> float:
        """Compute the length of a step."""
        return abs(step)

    def direction(self, gradient: float) -> float:
        """Compute P * gradient."""
        return self.unit * gradient

    def squared(self, step: float) -> float:
        """Compute the squared length of a step in whitened coordinates."""
        return step * step / self.unit

    def proximal_step(self, theta: float, rate: float, gradient: float, l1: float) -> float:
        """Make a step from theta, and the proximal step of `l1` * abs(theta) after it."""
        new = theta - rate * self.unit * gradient
        return float(soft_threshold(new, rate * self.unit * l1)) if l1 else new


class GramPreconditioner(Preconditioner):
    """Preconditioner by the Gram matrix of the columns: "gram".

    The size of a step is the smaller of its largest component and the root mean square change of the predictions,
    because rounding moves the weights of nearly collinear columns and not the predictions. No step is made along a
    direction in which the columns differ by less than `COLUMN_ROUNDINGS` roundings of their numbers.

    Parameters
    ----------
    shift, sizes
        See `Preconditioner`.
    curved : ndarray of shape (p, p)
        Curvature c Z'Z / n, with the curvature of a penalty.
    of_intercept : float
        Curvature c along the intercept.
    along : callable, optional
        Function of directions, the columns of an array W, that returns c (Z W)'(Z W) / n. A Gram matrix squares the
        differences of columns, which loses half of their digits; these products keep them.
    """

    def __init__(self, shift: DoubleArray, sizes: DoubleArray, curved: DoubleArray, of_intercept: float,
                 along: Callable[[DoubleArray], DoubleArray] | None = None) -> None:
        self.shift, self.sizes = shift, sizes
        values, vectors = np.linalg.eigh(curved)
        is_rounding = values <= EIGENVALUE_ROUNDING * len(values) * max(float(values[-1]), 0.0)
        values[is_rounding] = 0.0
        if along is not None and is_rounding.any() and not is_rounding.all():
            values[is_rounding], mixed = np.linalg.eigh(along(vectors[:, is_rounding]))
            vectors[:, is_rounding] = vectors[:, is_rounding] @ mixed
        roundings = COLUMN_ROUNDINGS * np.finfo(float).eps * (1 + np.abs(shift) / sizes)
        with np.errstate(over="ignore"):    # a constant column of huge numbers has no direction
            kept = values > of_intercept * ((vectors * roundings[:, None])**2).sum(axis=0)
        self.kernel = kernels.PreconditionerKernel(shift, sizes, 1.0, np.ascontiguousarray(vectors[:, kept].T),
                                     1 / np.sqrt(values[kept]), of_intercept)
        if not kept.all():
            shares = np.abs(vectors[:, ~kept]).max(axis=1)
            self.collinear = tuple(int(k) for k in np.flatnonzero(shares > COLLINEAR_SHARE))


def soft_threshold(weights: Any, threshold: Any) -> Any:
    """Move weights towards 0 by `threshold`, and set to 0 those below it."""
    return np.sign(weights) * np.maximum(np.abs(weights) - threshold, 0)
