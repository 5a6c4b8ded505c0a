"""Whether descent may find a local minimum only: chords that cut below the curve of a loss."""
from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from fastgd._checks import as_double, check_count, check_dataset, check_interval, one_number
from fastgd._differences import rounding_along
from fastgd._limits import CHORDS, GRID, PLACES_OF_ROUNDING
from fastgd._objective import Objective, curve_of
from fastgd._random import bit_generator_of
from fastgd._thread_pool import thread_pool

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import ArrayLike

    from fastgd._types import (
        ConstantFunction,
        Count,
        DoubleArray,
        FloatArray,
        IndexArray,
        Interval,
        Random,
    )
    from fastgd.penalties import Penalty

__all__ = ["Convexity", "is_convex"]



@dataclass(frozen=True)
class Convexity:
    """What `is_convex` found; it is true if no chord cuts below the curve, which is no proof.

    Attributes
    ----------
    a, b, t : float or None
        The witness: a chord from a to b, and the place t a + (1 - t) b where the curve lies above it.
    chord, curve : float or None
        Their heights there: t f(a) + (1 - t) f(b) and f(t a + (1 - t) b).
    n_chords : int
        How many chords were looked at.
    message : str
        The finding in words.

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
    """Look for a chord that cuts below the curve of a loss.

    A function is convex when t f(a) + (1 - t) f(b) >= f(t a + (1 - t) b) for all a, b and t in [0, 1]. The loss is
    evaluated at up to 2048 places that are exact binary fractions, so that the points on a chord are too, and three of
    them make a chord: all neighbours at all distances that are powers of two, and `n_chords` at random. A chord counts
    only if it lies below the curve by more than rounding could explain.

    Parameters
    ----------
    loss_fn : Loss or callable
        ``loss_fn(theta, dataset) -> float``.
    dataset : array-like of shape (n,)
        The points, as for `minimize`; computed in float64.
    interval : (float, float)
        Where a and b are taken from.
    n_chords : int, default 1000
        Random chords.
    rng : None, int, SeedSequence, BitGenerator, Generator or RandomState, default None
        Where they come from; None is numpy's global state.
    penalty : Penalty, optional
        One of `fastgd.penalties`, added to the loss: L2 of enough strength makes the quartic convex.
    n_threads : int or None, default None
        Threads that share the curve of a loss of fastgd's own, as for `simple_minimize`.

    Returns
    -------
    Convexity
        False with the witness that is clearest, or true: no counter-example found.

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
    rounding = float(_rounding(not objective.is_called, eps, thetas, points, heights))
    if witness.excess > rounding and objective.is_called:
        rounding = max(rounding, _measured_rounding(objective, thetas, heights))
    if not witness.excess > rounding:
        return Convexity(None, None, None, None, None, count, (
            f"No counter-example found: of {count} chords of {name} on [{low:g}, {high:g}] none cuts below the curve."))
    a, at, b = (thetas.item(place) for place in witness.places)
    curve = heights.item(witness.places[1])
    return Convexity(a, b, witness.t, witness.chord, curve, count, (
        f"{name} is not convex: the chord from {a:g} to {b:g} has the height {witness.chord:.6g} at {at:g} "
        f"(t = {witness.t:.4g}), and the curve {curve:.6g}."))


class _Witness(NamedTuple):
    """A chord, and by how much the curve lies above it in the middle."""

    excess: float
    places: tuple[int, int, int]
    t: float
    chord: float


def _clearest(heights: DoubleArray, triples: IndexArray) -> tuple[int, _Witness | None]:
    """How many of the chords have finite ends, and the first of those with the largest excess."""
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
    """The loss at each theta, and the precision in which it was computed."""
    if not objective.is_called:
        return objective.curve(thetas), np.finfo(np.float64).eps
    values = objective.values(thetas.tolist())
    single = any(isinstance(value, np.float32) for value in values)
    heights = np.array([one_number(value, "loss_fn", "loss") for value in values])
    return heights, np.finfo(np.float32 if single else np.float64).eps


def _rounding(is_ours: bool, eps: np.floating[Any], thetas: FloatArray, points: FloatArray,
              heights: DoubleArray) -> np.floating[Any]:
    """What rounding can do to a mean of n terms, in numpy's order or, for a Python loss, in any.

    The terms may be far larger than the mean: log(1 + exp(theta)) - y theta is the small difference of numbers as large
    as theta, log(cosh(r)) the logarithm of a number near 1.
    """
    largest_theta = np.abs(thetas).max()
    with np.errstate(all="ignore"):    # beyond the largest float nothing is a witness
        terms = np.abs(heights[np.isfinite(heights)]).max() + 1 + largest_theta * (1 + np.abs(points).max())
    rounding: np.floating[Any] = (100 + (10 * math.log2(len(points) + 1) if is_ours else len(points))) * eps * terms
    return rounding


def _measured_rounding(objective: Objective, thetas: FloatArray, heights: DoubleArray) -> float:
    """What rounding inside a Python loss, as to single precision or to decimals, can do to the height of a chord.

    It is measured at places over all of the interval, as rounding in single precision grows with the loss.
    """
    places = np.flatnonzero(np.isfinite(heights))
    size = float(thetas[-1] - thetas[0])
    found = []
    with np.errstate(all="ignore"):
        for k in places[np.linspace(0, len(places) - 1, PLACES_OF_ROUNDING).astype(int)].tolist():
            def line(distance: float, at: float = thetas.item(k)) -> float:
                return float(objective.values([at + distance])[0])

            found.append(rounding_along(line, 1e-6 * size, size / 4)[0])
    return 4 * max(found)


def _exact_grid(low: float, high: float) -> FloatArray:
    """Multiples of a power of two between low and high; sums of halves, quarters ... of them are exact."""
    step = 2.0 ** math.ceil(math.log2(max(high / GRID - low / GRID, 5e-324)))
    step = max(step, 2.0 * math.ulp(max(abs(low), abs(high))))
    first, last = math.ceil(low / step), math.floor(high / step)
    if last - first < 2:
        raise ValueError(f"The 'interval' parameter is too narrow: [{low!r}, {high!r}] holds no three floats "
                         "to compare.")
    return (np.arange(last - first + 1) + first) * step    # whole numbers below 2**53: their sum cannot overflow


def _triples(n: int, n_chords: int, random: np.random.Generator) -> Iterator[IndexArray]:
    """Indices left < middle < right: neighbours at distances 1, 2, 4 ... and the ends, then blocks of random ones."""
    parts = [np.array([[0], [(n - 1) // 2], [n - 1]])]
    distance = 1
    while 2 * distance < n:
        left = np.arange(n - 2 * distance)
        parts.append(np.stack([left, left + distance, left + 2 * distance]))
        distance *= 2
    yield np.concatenate(parts, axis=1)
    for start in range(0, n_chords, CHORDS):
        drawn = random.integers(0, n, (3, min(CHORDS, n_chords - start)))
        left, right = drawn.min(axis=0), drawn.max(axis=0)
        middle = drawn.sum(axis=0) - left - right
        distinct = (left < middle) & (middle < right)
        yield np.stack([left[distinct], middle[distinct], right[distinct]])
