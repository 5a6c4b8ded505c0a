"""Batch descents from several starts, and the distinct minima that they lead to."""
from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from fastgd._convergence.finalize import finalize_many
from fastgd._format import equal_fields
from fastgd._objective.objective import Objective, objective_of
from fastgd._solvers import run_many
from fastgd._thread_pool import thread_pool
from fastgd._validation import check_count, check_dataset, check_number, refuse_lazy
from fastgd.results import CONVERGED, DescentResult
from fastgd.schedules import as_rates, as_rates_or_auto

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from fastgd._types import Alpha, ConstantFunction, Count, DoubleArray, IndexArray, Number

__all__ = ["MultistartResult", "minimize_multistart"]


@dataclass(frozen=True, repr=False, eq=False)
class MultistartResult:
    """Result of `minimize_multistart`; ``float(result)`` is the best theta.

    Attributes
    ----------
    x, fun : float
        The best minimum found and its loss.
    minima, losses : ndarray of shape (k,)
        The distinct minima and their losses, best first.
    starts : ndarray of shape (m,)
        The starts, as given.
    labels : ndarray of shape (m,), int
        Index of the minimum that each start led to; -1 if the descent did not converge.
    runs : list of DescentResult
        The descent from each start.
    success : bool
        True if every start converged.
    message : str
        The result as a sentence.

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

    def __eq__(self, other: object) -> bool:
        return equal_fields(self, other) if isinstance(other, MultistartResult) else NotImplemented

    def __repr__(self) -> str:
        rows = [f"  theta {x:.6g}, loss {fun:.6g}, from {', '.join(f'{s:g}' for s in self.starts[self.labels == k])}"
                for k, (x, fun) in enumerate(zip(self.minima, self.losses, strict=True))]
        return "\n".join([self.message, *rows])


def minimize_multistart(loss_fn: ConstantFunction, grad_loss_fn: ConstantFunction | None, dataset: ArrayLike,
                        starts: ArrayLike, alpha: Alpha = 0.2, *, tol: Number = 1e-3,
                        max_iter: Count = 100_000, n_threads: Count | None = None) -> MultistartResult:
    """Run batch descent from each of several starts; return the distinct minima.

    A loss that is not convex has local minima, and descent finds the minimum in whose basin it starts. With a loss of
    fastgd's own all starts share each pass over the data. Two ends are one minimum if the loss between them never rises
    above both, or if their distance is below `tol`. A start on a maximum stays there: it is counted to a minimum beside
    it if another start found that minimum, and as a minimum of its own if not.

    Parameters
    ----------
    loss_fn : Loss or callable
        ``loss_fn(theta, dataset) -> float``; ranks the minima.
    grad_loss_fn : Gradient, callable or None
        Derivative of the loss in theta, as for `minimize`.
    dataset : array-like of shape (n,)
        The points, as for `minimize`.
    starts : array-like of shape (m,)
        Finite starts, in the units of the data.
    alpha, tol, max_iter
        See `minimize`, for each start.
    n_threads : int or None, default None
        Threads that share the starts, or the points where these are more than 2e6 and the starts fewer than the
        threads; None is 1, -1 as many as there are cores. The bits do not depend on it.

    Returns
    -------
    MultistartResult
        The best minimum, all distinct minima with their losses, and the minimum that each start led to.

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
    The best minimum found need not be the global minimum.

    Examples
    --------
    >>> from fastgd import grad_quartic_loss, minimize_multistart, quartic_loss
    >>> result = minimize_multistart(quartic_loss, grad_quartic_loss, [0.0], [-21, 5, 30], tol=1e-9)
    >>> result.minima.round(4), result.labels
    (array([ 18.3954, -14.508 ]), array([1, 0, 0]))
    """
    rates = as_rates_or_auto(alpha)
    tol = check_number(tol, "tol", low=0)
    max_iter = check_count(max_iter, "max_iter")
    begins = check_dataset(starts, "starts").astype(np.float64)
    refuse_lazy(dataset, "dataset")
    objective = objective_of(loss_fn, grad_loss_fn, dataset, threads=thread_pool(n_threads))
    if rates is None:
        rates = as_rates(objective.safe_rate(False))
    runs = finalize_many(objective, begins, run_many(objective, begins, rates, tol, max_iter), tol)
    ended = [k for k, run in enumerate(runs) if run.status == CONVERGED and math.isfinite(run.fun)]
    labels = np.full(len(begins), -1)
    groups = _basins(objective, {k: runs[k] for k in ended}, tol)
    groups.sort(key=lambda group: runs[group[0]].fun)
    for label, group in enumerate(groups):
        labels[group] = label
    # If no start converged, the lowest finite theta stands in for the minimum.
    best = runs[groups[0][0]] if groups else min(runs, key=lambda run: run.fun if math.isfinite(run.fun) else math.inf)
    minima, losses = (np.array([getattr(runs[group[0]], name) for group in groups]) for name in ("x", "fun"))
    led = int((labels == 0).sum())
    message = (f"{len(begins)} starts, {len(groups)} distinct minima found; the best found is theta {best.x:.6g} "
               f"with loss {best.fun:.6g}, from {led} of the starts.")
    return MultistartResult(best.x, best.fun, minima, losses, begins, labels, runs, len(ended) == len(begins), message)


def _basins(objective: Objective, runs: dict[int, DescentResult[float]], tol: float) -> list[list[int]]:
    """Group the keys of `runs` by the basin in which they ended, the lowest end first in each group."""
    groups: list[list[int]] = []
    for k in sorted(runs, key=lambda k: runs[k].x):
        # Compare with the lowest end: one on a maximum or a plateau must not join the valleys on its two sides.
        if groups and (runs[k].x - runs[groups[-1][-1]].x <= tol or not _barrier_between(
                objective, runs[min(groups[-1], key=lambda k: runs[k].fun)], runs[k], tol)):
            groups[-1].append(k)
        else:
            groups.append([k])
    return [sorted(group, key=lambda k: runs[k].fun) for group in groups]


def _barrier_between(objective: Objective, left: DescentResult[float], right: DescentResult[float], tol: float) -> bool:
    """Return True if the loss rises above both ends between them; it is evaluated at most at 64 thetas."""
    distance = abs(right.x - left.x)
    places = int(min(64, 2 + distance / (4 * tol))) if tol > 0 else 64
    losses = objective.reported_values(np.linspace(left.x, right.x, places + 2)[1:-1].tolist())
    highest, higher = max(losses), max(left.fun, right.fun)
    return bool(highest > higher + 1e-12 * max(abs(higher), highest))
