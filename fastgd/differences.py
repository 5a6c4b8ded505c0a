"""A check of a gradient against differences of its loss."""
from __future__ import annotations

import math
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from fastgd._equality import same_fields
from fastgd._limits import AGREES, HIDDEN, UNSURE
from fastgd._objective.finite_differences import Component, DifferenceGradient
from fastgd._validation import as_double, check_callable, check_dataset, guarded, one_number
from fastgd.losses.base import ours

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import ArrayLike

    from fastgd._types import ConstantFunction, DoubleArray

__all__ = ["GradientCheck", "check_gradient"]

@dataclass(frozen=True, eq=False)
class GradientCheck:
    """What `check_gradient` found; ``float(check)`` is the error, and ``error, theta = check`` unpacks.

    Attributes
    ----------
    error : float
        The largest relative error of the gradient, abs(gradient - difference) / max(abs(gradient), abs(difference)).
        About 1e-8 for a right gradient, 1 and more for a wrong one; NaN where rounding of the loss hides its slope.
    theta : float
        Where it is.
    gradient, difference : float
        The two slopes there.
    skipped : int
        How many thetas were left out because the loss has a kink there.
    message : str
        The finding in words; a wrong sign or factor is named.

    Examples
    --------
    >>> from fastgd import check_gradient, grad_mse, mse
    >>> check = check_gradient(mse, grad_mse, [12.1, 12.8, 14.9])
    >>> error, theta = check
    >>> error < 1e-6, error == float(check), check.skipped
    (True, True, 0)
    """

    error: float
    theta: float
    gradient: float
    difference: float
    skipped: int
    message: str

    def __float__(self) -> float:
        return self.error

    def __iter__(self) -> Iterator[float]:
        return iter((self.error, self.theta))

    def __eq__(self, other: object) -> bool:
        return same_fields(self, other) if isinstance(other, GradientCheck) else NotImplemented

    def __hash__(self) -> int:
        return hash((self.theta, self.skipped, self.message))    # and no NaN, whose hashes differ

    def __str__(self) -> str:
        return self.message


def check_gradient(loss_fn: ConstantFunction, grad_loss_fn: ConstantFunction, dataset: ArrayLike,
                   thetas: ArrayLike | None = None) -> GradientCheck:
    """Compare a gradient with central differences of its loss.

    Parameters
    ----------
    loss_fn : Loss or callable
        ``loss_fn(theta, dataset) -> float``.
    grad_loss_fn : Gradient or callable
        What is said to be its derivative in theta.
    dataset : array-like of shape (n,)
        The points, as for `minimize`.
    thetas : array-like of shape (m,), optional
        Where to compare; default: 41 values over the range of the data and half of it beyond, on either side.

    Returns
    -------
    GradientCheck
        The largest relative error and where it is. Thetas at a kink of the loss, where it has no derivative, are
        skipped; slopes far below the steepest one count as if they were a thousandth of it.

    Raises
    ------
    TypeError, ValueError
        If an argument is not as described, or the loss has a kink or no finite value at every theta.

    Examples
    --------
    >>> from fastgd import check_gradient, grad_mse, mse
    >>> check = check_gradient(mse, lambda theta, y: -grad_mse(theta, y), [12.1, 12.8, 14.9])
    >>> round(check.error, 6)
    2.0
    >>> "sign" in check.message
    True
    """
    for name, function in (("loss_fn", loss_fn), ("grad_loss_fn", grad_loss_fn)):
        check_callable(function, name)
        ours(function)    # refuses a class in place of its object
    targets = check_dataset(dataset)
    points = as_double(targets)    # differences in float32 would say little
    places = _spread_over(points) if thetas is None else check_dataset(thetas, "thetas").astype(np.float64)
    difference = DifferenceGradient(ours(loss_fn) or guarded(loss_fn, "loss_fn", np.float64), points)
    gradient = ours(grad_loss_fn) or guarded(grad_loss_fn, "grad_loss_fn", np.float64)
    rows, skipped = [], 0
    for theta in places.tolist():
        found = _slope_and_error(difference, theta, points)
        if found is None:
            skipped += 1
            continue
        slope = one_number(gradient(theta, points), "grad_loss_fn", "slope")
        rows.append((theta, slope, *found))
    if not rows:
        raise ValueError(f"{loss_fn!r} has a kink or no finite value at every one of the {skipped} thetas.")
    at, gradients, differences, noises = np.array(rows).T
    return _verdict(at, gradients, differences, noises, skipped, len(points))


def _slope_and_error(gradient: DifferenceGradient, theta: float, points: DoubleArray) -> tuple[float, float] | None:
    """Return a difference of the loss and the error that rounding can make in it, or None at a kink.

    Where rounding hides the slope the half-width is the one with the least error.
    """
    line, h, size = gradient.along(theta, points), gradient.step(theta), gradient.size(theta)
    eps = float(np.finfo(np.float64).eps)
    coarse, fine, noise = _two_differences(line, h, eps, 0.0)
    is_smooth = abs(coarse - fine) <= noise + 1e-7 * max(abs(coarse), abs(fine))
    if is_smooth and noise <= HIDDEN * abs(fine):
        return fine, noise
    component, eps = Component(eps), gradient.precision(theta, points)
    component.measure(line, h, size)
    if not (is_smooth or component.rounding):
        return None
    found = []
    while h <= size / 2:
        coarse, fine, noise = _two_differences(line, h, eps, component.rounding)
        found.append((noise + abs(coarse - fine), fine))
        h *= 4
    least = min((pair for pair in found if math.isfinite(pair[0])), default=None)
    return None if least is None else (least[1], least[0])


def _two_differences(line: Callable[[float], float], h: float, eps: float,
                     rounding: float) -> tuple[float, float, float]:
    """Return the differences over h and over half of it, and the error that rounding can make in the second."""
    (far, last), (above, below) = ((line(width), line(-width)) for width in (h, h / 2))
    most = max(8 * eps * max(abs(above), abs(below)), 2 * rounding)
    return (far - last) / (2 * h), (above - below) / h, 4 * most / h


def _spread_over(points: DoubleArray) -> DoubleArray:
    low, high = points.min(), points.max()
    margin = high / 2 - low / 2 or max(1.0, abs(low))
    # The end is no round number, so that a grid of thetas does not meet the points themselves.
    most = sys.float_info.max / 4    # beyond it their distance is infinite
    return np.linspace(max(float(low) - float(margin), -most), min(float(high) + float(margin) * 1.0137, most), 41)


def _verdict(thetas: DoubleArray, gradients: DoubleArray, differences: DoubleArray, noises: DoubleArray, skipped: int,
             n: int) -> GradientCheck:
    steepest = np.abs(differences).max()
    size = np.maximum(np.maximum(np.abs(gradients), np.abs(differences)), 1e-3 * steepest)
    with np.errstate(all="ignore"):
        beyond = np.maximum(np.abs(gradients - differences) - noises, 0.0)    # NaN stays NaN
        errors = np.where(size > 0, beyond / np.where(size > 0, size, 1), 0.0)
    errors = np.where(np.isfinite(gradients), errors, np.inf)
    tells = ~((noises > UNSURE * size) & (errors < AGREES)) | (size == 0) | ~np.isfinite(gradients)
    if not tells.any():
        return _unknown(thetas, gradients, differences, noises, skipped)
    errors = np.where(tells, errors, -1.0)
    k = int(np.argmax(errors))
    message = (f"The largest relative error is {errors[k]:.2g}, at theta {thetas[k]:.6g}: the gradient says "
               f"{gradients[k]:.6g}, differences of the loss say {differences[k]:.6g}."
               f"{_named(gradients, differences, n)}")
    if errors[k] < AGREES:
        message += " They agree."
        if not tells.all():
            message = (f"{message[:-1]} at {tells.sum()} of {len(tells)} thetas; at the others rounding of the loss "
                       f"makes an error of up to {noises[~tells].max():.2g} in its differences.")
    return GradientCheck(errors.item(k), thetas.item(k), gradients.item(k), differences.item(k), skipped, message)


def _unknown(thetas: DoubleArray, gradients: DoubleArray, differences: DoubleArray, noises: DoubleArray,
             skipped: int) -> GradientCheck:
    """The finding where the loss has too few digits for its differences at every theta."""
    k = int(np.argmin(noises / np.maximum(np.abs(gradients), np.finfo(float).tiny)))
    message = (f"The check cannot tell: rounding of the loss makes an error of {noises[k]:.2g} in its differences at "
               f"theta {thetas[k]:.6g}, where the gradient says {gradients[k]:.6g}. Subtract what is constant in the "
               "loss, or compute it in float64.")
    return GradientCheck(np.nan, thetas.item(k), gradients.item(k), differences.item(k), skipped, message)


def _named(gradients: DoubleArray, differences: DoubleArray, n: int) -> str:
    """The mistake, if one factor explains the gradient everywhere."""
    steep = np.abs(differences) > 1e-3 * np.abs(differences).max()
    if not steep.any():
        return ""
    ratios = gradients[steep] / differences[steep]
    factor = np.median(ratios)
    if not np.isfinite(factor) or np.abs(ratios - factor).max() > 1e-3 * abs(factor) or abs(factor - 1) < 1e-3:
        return ""
    known = {float(n): "It is the sum over the points: the mean was forgotten.",
             -float(n): "Its sign is wrong, and it is the sum over the points: the mean was forgotten.",
             -1.0: "Its sign is wrong.", 2.0: "It is twice as large as it should be: a factor 2 too many.",
             0.5: "It is half of what it should be: a factor 2 was forgotten.",
             -2.0: "Its sign is wrong, and a factor 2 is too many.",
             -0.5: "Its sign is wrong, and a factor 2 was forgotten."}
    for value, words in known.items():
        if abs(factor - value) < 1e-3 * abs(value):
            return " " + words
    return f" It is {factor:.4g} times what it should be, everywhere." if factor else " It is 0 everywhere."
