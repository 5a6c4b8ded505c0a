"""Diagnostics of a loss: its gradient against differences, and chords that refute its convexity."""
from __future__ import annotations

import math
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from fastgd._format import equal_fields
from fastgd._objective.finite_differences import Component, DifferenceGradient, rounding_along
from fastgd._objective.objective import Objective, curve_of
from fastgd._random import bit_generator_of
from fastgd._thread_pool import thread_pool
from fastgd._validation import (
    as_double,
    check_callable,
    check_count,
    check_dataset,
    check_interval,
    guarded,
    one_number,
)
from fastgd.losses.base import as_compiled

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import ArrayLike

    from fastgd._types import ConstantFunction, Count, DoubleArray, FloatArray, IndexArray, Interval, Random
    from fastgd.penalties import Penalty

__all__ = ["Convexity", "GradientCheck", "check_gradient", "is_convex"]

#: Relative error up to which a gradient agrees with a difference of the loss, which is itself good to about 1e-8.
AGREEMENT = 1e-4
#: Relative rounding error above which a difference is repeated with wider half-widths, and above which it is
#: inconclusive: it could hide a wrong factor.
NOISY, INCONCLUSIVE = 1e-3, 1e-2
#: Thetas on the grid of `is_convex`, and random chords compared in one batch, which takes about 0.1 s.
GRID_SIZE, CHORDS_PER_BATCH = 2048, 2**20
#: Thetas at which the rounding inside a Python loss is measured before a chord counts against it.
ROUNDING_SAMPLES = 16


@dataclass(frozen=True, eq=False)
class GradientCheck:
    """Result of `check_gradient`; ``float(check)`` is the error, and ``error, theta = check`` unpacks.

    Attributes
    ----------
    error : float
        The largest relative error of the gradient, abs(gradient - difference) / max(abs(gradient), abs(difference)).
        About 1e-8 for a correct gradient, 1 and more for a wrong one; NaN where rounding of the loss hides its slope.
    theta : float
        Theta of the largest error.
    gradient, difference : float
        The gradient and the central difference of the loss at `theta`.
    skipped : int
        Number of thetas left out because the loss has a breakpoint there.
    message : str
        The result as a sentence; it names a wrong sign or a wrong factor.

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
        return equal_fields(self, other) if isinstance(other, GradientCheck) else NotImplemented

    def __hash__(self) -> int:
        return hash((self.theta, self.skipped, self.message))    # without NaN, whose hashes differ

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
        Derivative of the loss in theta, called in the same way.
    dataset : array-like of shape (n,)
        The points, as for `minimize`.
    thetas : array-like of shape (m,), optional
        Thetas of the comparison; default: 41 values over the range of the data, widened by half of it on each side.

    Returns
    -------
    GradientCheck
        The largest relative error and its theta. Thetas at a breakpoint of the loss, where it has no derivative, are
        skipped. The error of a slope is relative to at least 0.001 times the steepest slope.

    Raises
    ------
    TypeError, ValueError
        If an argument is not as described, or the loss has a breakpoint or no finite value at every theta.

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
        as_compiled(function)    # refuses a class in place of its instance
    points = as_double(check_dataset(dataset))    # float32 has too few digits for differences
    places = _default_thetas(points) if thetas is None else check_dataset(thetas, "thetas").astype(np.float64)
    difference = DifferenceGradient(as_compiled(loss_fn) or guarded(loss_fn, "loss_fn", np.float64), points)
    gradient = as_compiled(grad_loss_fn) or guarded(grad_loss_fn, "grad_loss_fn", np.float64)
    rows, skipped = [], 0
    for theta in places.tolist():
        found = _difference_and_error(difference, theta, points)
        if found is None:
            skipped += 1
        else:
            rows.append((theta, one_number(gradient(theta, points), "grad_loss_fn", "slope"), *found))
    if not rows:
        raise ValueError(f"{loss_fn!r} has a breakpoint or no finite value at every one of the {skipped} thetas.")
    at, gradients, differences, noises = np.array(rows).T
    return _largest_error(at, gradients, differences, noises, skipped, len(points))


def _difference_and_error(gradient: DifferenceGradient, theta: float,
                          points: DoubleArray) -> tuple[float, float] | None:
    """Return the difference of the loss with the least error, and a bound on its rounding; None at a breakpoint."""
    line, h, size = gradient.along(theta, points), gradient.step(theta), gradient.size(theta)
    eps = float(np.finfo(np.float64).eps)
    coarse, fine, noise = _two_differences(line, h, eps, 0.0)
    is_smooth = abs(coarse - fine) <= noise + 1e-7 * max(abs(coarse), abs(fine))
    if is_smooth and noise <= NOISY * abs(fine):
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
    """Return the differences over h and over h / 2, and a bound on the rounding of the second."""
    (far, last), (above, below) = ((line(width), line(-width)) for width in (h, h / 2))
    most = max(8 * eps * max(abs(above), abs(below)), 2 * rounding)
    return (far - last) / (2 * h), (above - below) / h, 4 * most / h


def _default_thetas(points: DoubleArray) -> DoubleArray:
    low, high = points.min(), points.max()
    margin = high / 2 - low / 2 or max(1.0, abs(low))
    most = sys.float_info.max / 4    # beyond it the distance of two thetas overflows
    # The factor is no round number, so that the grid does not meet the points themselves.
    return np.linspace(max(float(low) - float(margin), -most), min(float(high) + float(margin) * 1.0137, most), 41)


def _largest_error(thetas: DoubleArray, gradients: DoubleArray, differences: DoubleArray, noises: DoubleArray,
                   skipped: int, n: int) -> GradientCheck:
    """Return the largest relative error of the gradients that rounding does not explain."""
    steepest = np.abs(differences).max()
    size = np.maximum(np.maximum(np.abs(gradients), np.abs(differences)), 1e-3 * steepest)
    with np.errstate(all="ignore"):
        beyond = np.maximum(np.abs(gradients - differences) - noises, 0.0)    # NaN stays NaN
        errors = np.where(size > 0, beyond / np.where(size > 0, size, 1), 0.0)
    errors = np.where(np.isfinite(gradients), errors, np.inf)
    is_conclusive = ~((noises > INCONCLUSIVE * size) & (errors < AGREEMENT)) | (size == 0) | ~np.isfinite(gradients)
    if is_conclusive.any():
        errors = np.where(is_conclusive, errors, -1.0)
        k = int(np.argmax(errors))
        error = errors.item(k)
        message = (f"The largest relative error is {error:.2g}, at theta {thetas[k]:.6g}: the gradient is "
                   f"{gradients[k]:.6g}, the difference of the loss {differences[k]:.6g}."
                   f"{_known_mistake(gradients, differences, n)}")
        if error < AGREEMENT and is_conclusive.all():
            message += " They agree."
        elif error < AGREEMENT:
            message += (f" They agree at {is_conclusive.sum()} of {len(thetas)} thetas; at the others rounding of the "
                        f"loss makes an error of up to {noises[~is_conclusive].max():.2g} in its differences.")
    else:
        k, error = int(np.argmin(noises / np.maximum(np.abs(gradients), np.finfo(float).tiny))), math.nan
        message = (f"The check is inconclusive: rounding of the loss makes an error of {noises[k]:.2g} in its "
                   f"difference at theta {thetas[k]:.6g}, where the gradient is {gradients[k]:.6g}. Subtract what is "
                   "constant in the loss, or compute it in float64.")
    return GradientCheck(error, thetas.item(k), gradients.item(k), differences.item(k), skipped, message)


def _known_mistake(gradients: DoubleArray, differences: DoubleArray, n: int) -> str:
    """Name the mistake if one factor explains the gradient everywhere."""
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
    otherwise = f"It is {factor:.4g} times what it should be, everywhere." if factor else "It is 0 everywhere."
    return " " + next((known[value] for value in known if abs(factor - value) < 1e-3 * abs(value)), otherwise)


@dataclass(frozen=True)
class Convexity:
    """Result of `is_convex`; it is true if no chord cuts below the curve, which is no proof.

    Attributes
    ----------
    a, b, t : float or None
        The counter-example: a chord from a to b, and the place t a + (1 - t) b where the curve lies above it.
    chord, curve : float or None
        Heights of the chord and of the curve: t f(a) + (1 - t) f(b) and f(t a + (1 - t) b).
    n_chords : int
        Number of chords compared.
    message : str
        The result as a sentence.

    Examples
    --------
    >>> from fastgd import is_convex, quartic_loss
    >>> found = is_convex(quartic_loss, [0.0], (-12, 12))
    >>> bool(found), found.a, found.b, found.chord < found.curve
    (False, -12.0, 12.0, True)
    """

    a: float | None
    b: float | None
    t: float | None
    chord: float | None
    curve: float | None
    n_chords: int
    message: str

    def __bool__(self) -> bool:
        return self.a is None

    def __str__(self) -> str:
        return self.message


def is_convex(loss_fn: ConstantFunction, dataset: ArrayLike, interval: Interval, *, n_chords: Count = 1000,
              rng: Random = None, penalty: Penalty | None = None, n_threads: Count | None = None) -> Convexity:
    """Search for a chord that cuts below the curve of a loss.

    A function is convex when t f(a) + (1 - t) f(b) >= f(t a + (1 - t) b) for all a, b and t in [0, 1]. The loss is
    evaluated at up to 2048 thetas that are exact binary fractions, so that the places on a chord are exact too. Three
    of them make a chord: all neighbours at all distances that are powers of two, and `n_chords` at random. A chord
    counts only if it lies below the curve by more than rounding can explain.

    Parameters
    ----------
    loss_fn : Loss or callable
        ``loss_fn(theta, dataset) -> float``.
    dataset : array-like of shape (n,)
        The points, as for `minimize`; computed in float64.
    interval : (float, float)
        The range of a and b.
    n_chords : int, default 1000
        Number of random chords.
    rng : None, int, SeedSequence, BitGenerator, Generator or RandomState, default None
        Source of the random chords; None is numpy's global state.
    penalty : Penalty, optional
        One of `fastgd.penalties`, added to the loss: L2 of enough strength makes the quartic convex.
    n_threads : int or None, default None
        Threads that share the curve of a compiled loss, as for `simple_minimize`.

    Returns
    -------
    Convexity
        False with the clearest counter-example, or true if none was found.

    Raises
    ------
    TypeError, ValueError
        If an argument is not as described, or the interval holds fewer than three floats.

    References
    ----------
    S. Boyd and L. Vandenberghe, "Convex Optimization", Cambridge University Press, 2004, section 3.1.

    Examples
    --------
    >>> from fastgd import is_convex, mse, quartic_loss
    >>> bool(is_convex(mse, [0.0], (-12, 12))), bool(is_convex(quartic_loss, [0.0], (-12, 12)))
    (True, False)
    """
    evaluate = curve_of(loss_fn, penalty, thread_pool(n_threads))
    low, high = check_interval(interval, "interval")
    n_chords = check_count(n_chords, "n_chords")
    random = np.random.Generator(bit_generator_of(rng))
    points = as_double(check_dataset(dataset))
    thetas = _exact_grid(low, high)
    objective = evaluate(points)
    heights, eps = _heights(objective, thetas)
    count, witness = 0, None
    for triples in _triples(len(thetas), n_chords, random):
        usable, clearest = _clearest(heights, triples)
        count += usable
        if clearest is not None and (witness is None or clearest.excess > witness.excess):
            witness = clearest
    name = getattr(loss_fn, "__name__", repr(loss_fn)) if penalty is None else objective.name
    if witness is None:
        raise ValueError(f"{name} is NaN or infinite nearly everywhere on [{low:g}, {high:g}]: no chord can be drawn.")
    rounding = float(_rounding(objective.is_compiled, eps, thetas, points, heights))
    if witness.excess > rounding and not objective.is_compiled:
        rounding = max(rounding, _measure_rounding(objective, thetas, heights))
    if not witness.excess > rounding:
        return Convexity(None, None, None, None, None, count, (
            f"No counter-example found: of {count} chords of {name} on [{low:g}, {high:g}] none cuts below the curve."))
    a, at, b = (thetas.item(place) for place in witness.places)
    curve = heights.item(witness.places[1])
    return Convexity(a, b, witness.t, witness.chord, curve, count, (
        f"{name} is not convex: the chord from {a:g} to {b:g} has the height {witness.chord:.6g} at {at:g} "
        f"(t = {witness.t:.4g}), and the curve {curve:.6g}."))


class _Witness(NamedTuple):
    """A chord, and the excess of the curve over it in the middle."""

    excess: float
    places: tuple[int, int, int]
    t: float
    chord: float


def _clearest(heights: DoubleArray, triples: IndexArray) -> tuple[int, _Witness | None]:
    """Return the number of chords with finite ends, and the first of those with the largest excess."""
    left, middle, right = triples
    t = (right - middle) / (right - left)
    with np.errstate(all="ignore"):
        chords = t * heights[left] + (1 - t) * heights[right]
        excess = np.where(np.isfinite(chords), heights[middle] - chords, np.nan)
    usable = int(np.count_nonzero(~np.isnan(excess)))
    if not usable:
        return 0, None
    k = int(np.nanargmax(excess))
    return usable, _Witness(excess.item(k), (left.item(k), middle.item(k), right.item(k)), t.item(k), chords.item(k))


def _heights(objective: Objective, thetas: FloatArray) -> tuple[DoubleArray, np.floating[Any]]:
    """Return the loss at each theta, and the machine epsilon of the type in which it was computed."""
    if objective.is_compiled:
        return objective.curve(thetas), np.finfo(np.float64).eps
    values = objective.reported_values(thetas.tolist())
    single = any(isinstance(value, np.float32) for value in values)
    heights = np.array([one_number(value, "loss_fn", "loss") for value in values])
    return heights, np.finfo(np.float32 if single else np.float64).eps


def _rounding(is_compiled: bool, eps: np.floating[Any], thetas: FloatArray, points: FloatArray,
              heights: DoubleArray) -> np.floating[Any]:
    """Bound the rounding of a mean of n terms, summed in numpy's order or, in a Python loss, in any.

    The terms may be far larger than the mean: log(1 + exp(theta)) - y theta is the small difference of numbers as large
    as theta, log(cosh(r)) the logarithm of a number near 1.
    """
    largest_theta = np.abs(thetas).max()
    with np.errstate(all="ignore"):    # an infinite bound admits no counter-example
        terms = np.abs(heights[np.isfinite(heights)]).max() + 1 + largest_theta * (1 + np.abs(points).max())
    rounding: np.floating[Any] = (100 + (10 * math.log2(len(points) + 1) if is_compiled else len(points))) * eps * terms
    return rounding


def _measure_rounding(objective: Objective, thetas: FloatArray, heights: DoubleArray) -> float:
    """Bound the rounding inside a Python loss, to single precision or to decimals, in the height of a chord.

    It is measured over the whole interval, because rounding in single precision grows with the loss.
    """
    places = np.flatnonzero(np.isfinite(heights))
    size = float(thetas[-1] - thetas[0])
    found = []
    with np.errstate(all="ignore"):
        for k in places[np.linspace(0, len(places) - 1, ROUNDING_SAMPLES).astype(int)].tolist():
            def line(distance: float, at: float = thetas.item(k)) -> float:
                return float(objective.reported_values([at + distance])[0])

            found.append(rounding_along(line, 1e-6 * size, size / 4)[0])
    return 4 * max(found)


def _exact_grid(low: float, high: float) -> FloatArray:
    """Make a grid of multiples of a power of two from low to high; sums of halves, quarters ... of them are exact."""
    step = 2.0 ** math.ceil(math.log2(max(high / GRID_SIZE - low / GRID_SIZE, 5e-324)))
    step = max(step, 2.0 * math.ulp(max(abs(low), abs(high))))
    first, last = math.ceil(low / step), math.floor(high / step)
    if last - first < 2:
        raise ValueError(f"The 'interval' parameter is too narrow: [{low!r}, {high!r}] holds no three floats "
                         "to compare.")
    return (np.arange(last - first + 1) + first) * step    # whole numbers below 2**53: their sum cannot overflow


def _triples(n: int, n_chords: int, random: np.random.Generator) -> Iterator[IndexArray]:
    """Yield indices left < middle < right: the ends, neighbours at distances 1, 2, 4 ..., then random batches."""
    parts = [np.array([[0], [(n - 1) // 2], [n - 1]])]
    distance = 1
    while 2 * distance < n:
        left = np.arange(n - 2 * distance)
        parts.append(np.stack([left, left + distance, left + 2 * distance]))
        distance *= 2
    yield np.concatenate(parts, axis=1)
    for start in range(0, n_chords, CHORDS_PER_BATCH):
        drawn = random.integers(0, n, (3, min(CHORDS_PER_BATCH, n_chords - start)))
        left, right = drawn.min(axis=0), drawn.max(axis=0)
        middle = drawn.sum(axis=0) - left - right
        distinct = (left < middle) & (middle < right)
        yield np.stack([left[distinct], middle[distinct], right[distinct]])
