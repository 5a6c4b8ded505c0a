"""What descent can and cannot promise: chords that cut below the curve, and descents from several starts."""
from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from fastgd._checks import check_count, check_dataset, check_interval, check_number
from fastgd._ending import conclude_many
from fastgd._objective import Objective, curve_of, objective_of
from fastgd._random import bit_generator_of
from fastgd._run import run_many
from fastgd.results import CONVERGED, DescentResult
from fastgd.schedules import as_rates

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from fastgd._types import (
        ConstantFunction,
        Count,
        DoubleArray,
        FloatArray,
        IndexArray,
        Interval,
        Number,
        Random,
        Rate,
    )

__all__ = ["Convexity", "MultistartResult", "is_convex", "minimize_multistart"]

#: Places where the loss is evaluated for chords.
_GRID = 2048


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
              rng: Random = None) -> Convexity:
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
    evaluate = curve_of(loss_fn)
    low, high = check_interval(interval, "interval")
    n_chords = check_count(n_chords, "n_chords")
    random = np.random.Generator(bit_generator_of(rng))
    points = check_dataset(dataset).astype(np.float64, copy=False)
    thetas = _exact_grid(low, high)
    curve = evaluate(points)
    heights, eps = _heights(curve, thetas)
    left, middle, right = _triples(len(thetas), n_chords, random)
    t = (right - middle) / (right - left)
    with np.errstate(invalid="ignore", over="ignore"):
        chords = t * heights[left] + (1 - t) * heights[right]
        excess = np.where(np.isfinite(chords), heights[middle] - chords, np.nan)
    usable = ~np.isnan(excess)
    name = getattr(loss_fn, "__name__", repr(loss_fn))
    if not usable.any():
        raise ValueError(f"{name} is NaN or infinite nearly everywhere on [{low:g}, {high:g}]: no chord can be drawn.")
    k = int(np.nanargmax(excess))
    if not excess[k] > _rounding(not curve.is_called, eps, thetas, points, heights):
        return Convexity(None, None, None, None, None, int(usable.sum()), (
            f"No counter-example found: of {usable.sum()} chords of {name} on [{low:g}, {high:g}] "
            "none cuts below the curve."))
    a, b, at = (thetas.item(places[k]) for places in (left, right, middle))
    return Convexity(a, b, t.item(k), chords.item(k), heights.item(middle[k]), int(usable.sum()), (
        f"{name} is not convex: the chord from {a:g} to {b:g} has the height {chords[k]:.6g} at {at:g} "
        f"(t = {t[k]:.4g}), and the curve {heights[middle[k]]:.6g}."))


def _heights(curve: Objective, thetas: FloatArray) -> tuple[DoubleArray, np.floating[Any]]:
    """The loss at each theta, and the precision in which it was computed."""
    values = curve.values(thetas.tolist())
    single = any(isinstance(value, np.float32) for value in values)
    return np.array(values, dtype=np.float64), np.finfo(np.float32 if single else np.float64).eps


def _rounding(is_ours: bool, eps: np.floating[Any], thetas: FloatArray, points: FloatArray,
              heights: DoubleArray) -> np.floating[Any]:
    """What rounding can do to a mean of n terms, in numpy's order or, for a Python loss, in any.

    The terms may be far larger than the mean: log(1 + exp(theta)) - y theta is the small difference of numbers as large
    as theta, log(cosh(r)) the logarithm of a number near 1.
    """
    largest_theta = np.abs(thetas).max()
    with np.errstate(over="ignore"):    # beyond the largest float nothing is a witness
        terms = np.abs(heights[np.isfinite(heights)]).max() + 1 + largest_theta * (1 + np.abs(points).max())
    rounding: np.floating[Any] = (100 + (10 * math.log2(len(points) + 1) if is_ours else len(points))) * eps * terms
    return rounding


def _exact_grid(low: float, high: float) -> FloatArray:
    """Multiples of a power of two between low and high; sums of halves, quarters ... of them are exact."""
    step = 2.0 ** math.ceil(math.log2(max(high / _GRID - low / _GRID, 5e-324)))
    step = max(step, 2.0 * math.ulp(max(abs(low), abs(high))))
    first, last = math.ceil(low / step), math.floor(high / step)
    if last - first < 2:
        raise ValueError(f"The 'interval' parameter is too narrow: [{low!r}, {high!r}] holds no three floats "
                         "to compare.")
    return (np.arange(last - first + 1) + first) * step    # whole numbers below 2**53: their sum cannot overflow


def _triples(n: int, n_chords: int, random: np.random.Generator) -> IndexArray:
    """Indices left < middle < right: neighbours at the distances 1, 2, 4 ..., the ends, and random ones."""
    parts = [np.array([[0], [(n - 1) // 2], [n - 1]])]
    distance = 1
    while 2 * distance < n:
        left = np.arange(n - 2 * distance)
        parts.append(np.stack([left, left + distance, left + 2 * distance]))
        distance *= 2
    drawn = np.sort(random.integers(0, n, (3, n_chords)), axis=0)
    parts.append(drawn[:, (drawn[0] < drawn[1]) & (drawn[1] < drawn[2])])
    return np.concatenate(parts, axis=1)


@dataclass(frozen=True, repr=False)
class MultistartResult:
    """What `minimize_multistart` found; ``float(result)`` is the best theta.

    Attributes
    ----------
    x, fun : float
        The best minimum found and its loss.
    minima, losses : ndarray of shape (k,)
        The distinct minima and their losses, best first.
    starts : ndarray of shape (m,)
        The starts, as given.
    labels : ndarray of shape (m,), int
        Which of the minima each start led to; -1 where the descent did not converge.
    runs : list of DescentResult
        The descent from each start.
    success : bool
        Whether every start converged.
    message : str
        The finding in words.

    Examples
    --------
    >>> from fastgd import minimize_multistart, quartic_loss
    >>> minimize_multistart(quartic_loss, None, [0.0], [-21, 30], tol=1e-9)
    2 starts, 2 distinct minima found; the best found is theta 18.3954 with loss 0.628237, from 1 of the starts.
      theta 18.3954, loss 0.628237, from 30
      theta -14.508, loss 6.9503, from -21
    """

    x: float
    fun: float
    minima: DoubleArray
    losses: DoubleArray
    starts: DoubleArray
    labels: IndexArray
    runs: list[DescentResult[float]] = field(compare=False)
    success: bool
    message: str

    def __float__(self) -> float:
        return self.x

    def __repr__(self) -> str:
        rows = [f"  theta {x:.6g}, loss {fun:.6g}, from {', '.join(f'{s:g}' for s in self.starts[self.labels == k])}"
                for k, (x, fun) in enumerate(zip(self.minima, self.losses, strict=True))]
        return "\n".join([self.message, *rows])


def minimize_multistart(loss_fn: ConstantFunction, grad_loss_fn: ConstantFunction | None, dataset: ArrayLike,
                        starts: ArrayLike, alpha: Rate = 0.2, *, tol: Number = 1e-3,
                        max_iter: Count = 100_000) -> MultistartResult:
    """Batch descent from each of several starts, and the distinct minima that they lead to.

    A loss that is not convex has local minima, and descent finds the one in whose basin it starts. Compiled, all starts
    go through the data together. Two ends are one minimum if the loss between them never rises above both, or if they
    are nearer than `tol`. A start on a maximum stays there: it is counted to a minimum beside it if another start found
    that one, and is taken for a minimum itself if not.

    Parameters
    ----------
    loss_fn : Loss or callable
        ``loss_fn(theta, dataset) -> float``; ranks the minima.
    grad_loss_fn : Gradient, callable or None
        Its derivative, as for `minimize`.
    dataset : array-like of shape (n,)
        The points, as for `minimize`.
    starts : array-like of shape (m,)
        Where to start, in the units of the data; finite.
    alpha, tol, max_iter
        As for `minimize`, for each start.

    Returns
    -------
    MultistartResult
        The best minimum, all distinct minima with their losses, and which start led where.

    Raises
    ------
    TypeError, ValueError
        If an argument is not as described.
    DivergenceError
        If every start diverged.

    Warns
    -----
    ConvergenceWarning
        If a start did not converge; it is counted to no minimum.

    Notes
    -----
    The best minimum found need not be the best there is.

    Examples
    --------
    >>> from fastgd import grad_quartic_loss, minimize_multistart, quartic_loss
    >>> result = minimize_multistart(quartic_loss, grad_quartic_loss, [0.0], [-21, 5, 30], tol=1e-9)
    >>> result.minima.round(4), result.labels
    (array([ 18.3954, -14.508 ]), array([1, 0, 0]))
    """
    rates = as_rates(alpha)
    tol = check_number(tol, "tol", low=0)
    max_iter = check_count(max_iter, "max_iter")
    begins = check_dataset(starts, "starts").astype(np.float64)
    objective = objective_of(loss_fn, grad_loss_fn, dataset)
    runs = conclude_many(objective, rates, begins, run_many(objective, begins, rates, tol, max_iter), tol)
    ended = [k for k, run in enumerate(runs) if run.status == CONVERGED and math.isfinite(run.fun)]
    labels = np.full(len(begins), -1)
    groups = _basins(objective, {k: runs[k] for k in ended}, tol)
    groups.sort(key=lambda group: runs[group[0]].fun)
    for label, group in enumerate(groups):
        labels[group] = label
    # Where nothing converged the best theta so far is all that can be said.
    best = runs[groups[0][0]] if groups else min(runs, key=lambda run: run.fun if math.isfinite(run.fun) else math.inf)
    minima, losses = (np.array([getattr(runs[group[0]], name) for group in groups]) for name in ("x", "fun"))
    led = int((labels == 0).sum())
    message = (f"{len(begins)} starts, {len(groups)} distinct minima found; the best found is theta {best.x:.6g} "
               f"with loss {best.fun:.6g}, from {led} of the starts.")
    return MultistartResult(best.x, best.fun, minima, losses, begins, labels, runs, len(ended) == len(begins), message)


def _basins(objective: Objective, runs: dict[int, DescentResult[float]], tol: float) -> list[list[int]]:
    """Groups of the keys of `runs` that ended in one basin, the lowest end first in each."""
    groups: list[list[int]] = []
    for k in sorted(runs, key=lambda k: runs[k].x):
        # Against the lowest of the group: an end on a maximum or a plateau must not join the valleys on its two sides.
        if groups and (runs[k].x - runs[groups[-1][-1]].x <= tol or not _barrier_between(
                objective, runs[min(groups[-1], key=lambda k: runs[k].fun)], runs[k], tol)):
            groups[-1].append(k)
        else:
            groups.append([k])
    return [sorted(group, key=lambda k: runs[k].fun) for group in groups]


def _barrier_between(objective: Objective, left: DescentResult[float], right: DescentResult[float], tol: float) -> bool:
    """Whether the loss rises, on the way from one end to the other, above both; at most 64 places are looked at."""
    distance = abs(right.x - left.x)
    places = int(min(64, 2 + distance / (4 * tol))) if tol > 0 else 64
    losses = objective.values(np.linspace(left.x, right.x, places + 2)[1:-1].tolist())
    highest, higher = max(losses), max(left.fun, right.fun)
    return bool(highest > higher + 1e-12 * max(abs(higher), highest))
