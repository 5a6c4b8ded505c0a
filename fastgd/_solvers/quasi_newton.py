"""Batch descent of a linear model whose step sizes come from the curvature along the last step."""
from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from fastgd._format import is_finite
from fastgd._solvers.base import BUFFER_NUMBERS, Steps

if TYPE_CHECKING:
    from collections.abc import Callable

    from fastgd._solvers.proximal_step import ProximalStep
    from fastgd._types import DoubleArray


class BarzilaiBorwein:
    """Spectral gradient method: step sizes from the curvature along the last step.

    With s the last step and d the change of the gradient over it, in the whitened coordinates of the preconditioner, a
    step size is s.s / s.d, or s.d / d.d if that is much shorter (J. Barzilai and J. M. Borwein, "Two-point step size
    gradient methods", IMA Journal of Numerical Analysis 8, 1988; B. Zhou, L. Gao and Y.-H. Dai, "Gradient methods with
    adaptive step-sizes", Computational Optimization and Applications 35, 2006). A step that overshoots to a gradient
    hardly smaller, as on a loss that is linear far from its minimum, bounds the lengths of the next steps. A step to a
    far larger gradient than at the last points is taken back and shortened. The first step leads to the warm start, if
    there is one.

    With a penalty of l1 the gradient at a weight of 0 is the smallest subgradient, the step size depends on the smooth
    part only, and a step is taken back if the objective, `value`, is higher than at all of the last points (S. J.
    Wright, R. D. Nowak and M. A. T. Figueiredo, "Sparse reconstruction by separable approximation", IEEE Transactions
    on Signal Processing 57, 2009).

    Parameters
    ----------
    gradient : callable
        Gradient of the loss at theta.
    first_rate : float or None
        First step size; None if the first two steps are probes of unknown scale, whose shortness does not end the run.
    warm_start : ndarray or None
        Theta that the first step leads to.
    value : callable or None
        Objective at theta, evaluated before the gradient; needed with l1.
    capacity : int
        Most updates in one call.
    enough : float
        Squared length of the whitened gradient at which the run may end.
    """

    is_deterministic = False
    evaluations = at_once = 0
    records_all = has_moved = True

    def __init__(self, gradient: Callable[[Any], Any], theta0: DoubleArray, tol: float, by_step: bool,
                 update: ProximalStep, first_rate: float | None, *, warm_start: DoubleArray | None = None,
                 value: Callable[[Any], float] | None = None, capacity: int = 1, enough: float = 0.0) -> None:
        self.theta = self.previous = theta0
        self.tol, self.stops_when_short = tol, by_step
        self.capacity = min(capacity, max(1, BUFFER_NUMBERS // len(theta0)))
        self._gradient, self._update, self._enough = gradient, update, enough
        self._warm_start, self._value = warm_start, value
        self._probes_left = 2 if first_rate is None else 0
        self._now = theta0.copy()    # the rule changes it in place; `theta` is a copy
        self._rule = update.spectral_step(self._now, theta0.copy(), first_rate or 0.0)

    def advance(self, most: int) -> Steps:
        most = most if most < self.capacity else self.capacity
        thetas, rates = np.empty((most, len(self.theta))), np.empty(most)
        for k in range(most):
            rates[k], size, is_short = self._step()
            thetas[k] = self.theta
            is_converged = is_short and self.stops_when_short
            if is_converged or not (size < math.inf or is_finite(self.theta)):    # a finite step has finite ends
                return Steps(thetas[:k + 1], rates[:k + 1], is_converged)
        return Steps(thetas, rates, False)

    def _step(self) -> tuple[float, float, bool]:
        """Make one update; return its step size, its length, and True if it may end the run."""
        value = math.nan if self._value is None else self._value(self.theta)
        gradient = self._gradient(self.theta)
        if self._update.has_l2:
            gradient = self._update.with_l2(self.theta, gradient)
        if not gradient.flags.c_contiguous:    # of a Python function; the kernel needs a contiguous one
            gradient = gradient.copy()
        rate, is_back = self._rule.next_step_size(gradient, value)
        if is_back:
            self.theta = self.previous
        if self._warm_start is None:
            size, steepness = self._rule.step(rate)
        else:
            size, steepness = self._rule.step_to(self._warm_start)
            self._warm_start = None
        self.previous, self.theta = self.theta, self._now.copy()
        self._probes_left -= 1
        # A squared gradient that underflows to 0 ends the run, because no further step size can be computed.
        return rate, size, size == 0 or (self._probes_left < 0 and size < self.tol) or steepness <= self._enough
