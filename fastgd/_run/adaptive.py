"""Batch descents that choose the length of each step themselves, from the slopes at the last two places."""
from __future__ import annotations

import bisect
import math
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from fastgd._format import is_finite
from fastgd._limits import BEYOND, FARTHER
from fastgd._run.python import PythonBatch

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from fastgd._run.kinks import OrderStatistic
    from fastgd._run.update import Update
    from fastgd._types import DoubleArray

    #: Where, and the slope there.
    Place: TypeAlias = tuple[float, float]


class OwnRates:
    """The learning rates of a run whose runner says what comes next."""

    is_constant = False

    def __init__(self, next_rate: Callable[[], float]) -> None:
        self._next_rate = next_rate

    def __call__(self, start: int, count: int) -> DoubleArray:
        return np.array([self._next_rate()])


class BarzilaiBorwein(PythonBatch):
    """Steps of theta as long as the secant's curvature asks for.

    With s the last step and d the change of the gradient over it, in the metric of the run, a length is s.s / s.d, or
    where that is much longer s.d / d.d (J. Barzilai and J. M. Borwein, "Two-point step size gradient methods", IMA
    Journal of Numerical Analysis 8, 1988; B. Zhou, L. Gao and Y.-H. Dai, "Gradient methods with adaptive step-sizes",
    Computational Optimization and Applications 35, 2006). A step beyond the least along it, to where the other side is
    hardly less steep, bounds those that follow, as on a loss that is straight far from its minimum; one that led to
    where it is far steeper than it was for some time is taken back and made shorter. The first step leads to `guess`,
    if there is one.

    With a penalty of l1 the slope is the least one where a weight is 0, a length goes by the smooth part alone, and a
    step to where the loss, `value`, is higher than at all of the last places is taken back (S. J. Wright, R. D. Nowak
    and M. A. T. Figueiredo, "Sparse reconstruction by separable approximation", IEEE Transactions on Signal Processing
    57, 2009).
    """

    is_deterministic = False
    enough = 0.0    # the squared length of the gradient in the metric at which the run may end

    def __init__(self, gradient: Callable[[Any, Any], Any], part: Any, theta0: Any, tol: float, by_step: bool,
                 update: Update, first_rate: float | None, guess: DoubleArray | None = None,
                 value: Callable[[Any], float] | None = None) -> None:
        super().__init__(gradient, part, theta0, tol, by_step, 1, update)
        self._guess, self._value = guess, value
        # The first step may be a mere probe, and says nothing.
        self._probes = 2 if first_rate is None else 0
        self._now = theta0.copy()
        self._lengths = update.lengths(self._now, theta0.copy(), first_rate or 0.0)

    def next_rate(self) -> float:
        """The length of the step from here, for which the gradient is looked at."""
        value = math.nan if self._value is None else self._value(self.theta)
        rate, is_back = self._lengths.next_step_size(np.ascontiguousarray(self.slope_at(self.theta)), value)
        if is_back:
            self.theta = self.previous
        return rate

    def step(self, rate: float) -> bool:
        size, steepness = self._lengths.step(rate) if self._guess is None else self._lengths.step_to(self._guess)
        self._guess = None
        self.previous, self.theta = self.theta, self._now.copy()
        self._probes -= 1
        # A steepness of 0 is one whose square no double holds, so that the lengths of further steps would mean nothing.
        return size == 0 or (self._probes < 0 and size < self.tol) or steepness <= self.enough


class Bracket(PythonBatch):
    """Steps of one number to where the slope seems to be 0, by the last three places, between two of unlike slopes.

    While all slopes so far have one sign the steps grow, and are mere probes, which end no run. Then the next place is
    that of inverse quadratic interpolation where the three places are on one smooth curve, else the middle (T. R.
    Chandrupatla, "A new hybrid quadratic/bisection algorithm for finding the zero of a nonlinear function without using
    derivatives", Advances in Engineering Software 28, 1997).

    Parameters
    ----------
    first_rate : float
        The length of a step where nothing better is known, and near the guess.
    places : sequence of float
        Where the points lie, in order: where the slope hardly changes the middle one of those in question is next.
    guess : float or None
        A place to go to first, if it is downhill.
    settle : OrderStatistic or None
        Of a loss with kinks, what tells the minimum from the points in the bracket.
    is_known : bool
        Whether `first_rate` is one over the curvature everywhere, so that steps by it are no probes.
    """

    theta: float
    previous: float
    is_deterministic = False
    _slope = 0.0
    _target = 0.0

    def __init__(self, gradient: Callable[[Any, Any], Any], part: Any, theta0: float, tol: float, by_step: bool,
                 update: Update, first_rate: float, places: Sequence[float] = (), guess: float | None = None,
                 settle: OrderStatistic | None = None, is_known: bool = False) -> None:
        super().__init__(gradient, part, theta0, tol, by_step, 1, update)
        self._first_rate, self._places, self._guess, self._settle = first_rate, places, guess, settle
        self._seen: list[Place] = []    # the latest first
        self._ends: dict[bool, Place] = {}    # of a slope below 0, and above it: the last
        self._is_settled = self._is_probe = False
        self._is_at_guess = guess is not None and guess == theta0
        self._is_known = is_known
        self._far_end: Place | None = None    # of a bracket as wide as the way to the guess

    def next_rate(self) -> float:
        """The length of the step from here, for which the slope is looked at."""
        if not self._is_settled:
            slope = self._update.with_kink(self.theta, float(self.slope_at(self.theta)))
            self._slope = slope
            self._seen = [(self.theta, slope), *self._seen[:2]]
            if slope != 0:
                self._ends[slope > 0] = self.theta, slope
            self._target = self._next_place(slope)
        moved = self.theta - self._target
        return moved / self._slope if moved and self._slope and is_finite(self._slope) else 1.0

    def _next_place(self, slope: float) -> float:
        if slope != slope:
            return math.nan
        self._is_probe = False
        if slope == 0 or (self._settle is not None and self._settle.is_flat(slope)):
            self._is_settled = True
            return self.theta if self._settle is None else self._settle.lowest_from(self.theta)
        if self._is_at_guess:    # near which the other side is looked for, and not where the run came from
            self._far_end = self._ends.pop(slope < 0, None)
        if len(self._ends) == 2 and self._settle is not None:
            least = self._settle(self._ends[False], self._ends[True])
            if least is not None:
                self._is_settled = True
                return least
        if len(self._ends) < 2:
            target = self._outward(slope)
            if self._far_end is None or (target - self._far_end[0]) * slope > 0:
                self._is_probe = not self._is_known
                return target
            self._ends[slope < 0] = self._far_end
        return self._inward()

    def _inward(self) -> float:
        """The next place in the bracket; of its ends the less steep where it is as small as can be."""
        low, high = self._ends[False], self._ends[True]
        left, right = min(low[0], high[0]), max(low[0], high[0])
        target = 0.0 if self._update.has_kink and left < 0 < right else self._between()
        if left < target < right:
            return target
        self._is_settled = True
        return min(low, high, key=lambda place: abs(place[1]))[0]

    def _outward(self, slope: float) -> float:
        """The next place downhill."""
        guess, self._guess = self._guess, None
        if guess is not None and (self.theta - guess) * slope > 0:
            self._is_at_guess = True
            return guess
        step = self._first_rate * abs(slope)
        if self._is_at_guess:
            step *= BEYOND
            self._is_at_guess = False
        elif len(self._seen) > 1:
            place, before = self._seen[1]
            last = abs(self.theta - place)
            flatter = abs(before) - abs(slope)
            secant = BEYOND * last * abs(slope) / flatter if flatter > 0 else math.inf
            if secant > FARTHER * last:
                ahead = self._middle_place(*((-math.inf, self.theta) if slope > 0 else (self.theta, math.inf)))
                if ahead is not None:
                    return ahead
            step = min(max(secant, step), FARTHER * last)
        return self.theta - math.copysign(max(step, abs(math.ulp(self.theta))), slope)

    def _between(self) -> float:
        """The next place in the bracket by those before: the latest place is one of its ends."""
        a, at_a = self._seen[0]
        b, at_b = self._ends[not at_a > 0]
        if math.isinf(at_a) or math.isinf(at_b):
            return self._middle(a, b)
        if len(self._seen) > 2 or self._seen[1][0] != b:
            c, at_c = next((each for each in self._seen[1:] if each[0] != b), self._seen[-1])
            if (c - b) * (a - b) < 0:    # of the ends a is the one that is between the two others
                a, at_a, b, at_b = b, at_b, a, at_a
            xi, phi = (a - b) / (c - b) if c != b else 2.0, (at_a - at_b) / (at_c - at_b) if at_c != at_b else 2.0
            if not (phi * phi < xi and (1 - phi) ** 2 < 1 - xi):
                return self._middle(a, b)
            part = (at_a / (at_b - at_a) * at_c / (at_b - at_c)
                    + (c - a) / (b - a) * at_a / (at_c - at_a) * at_b / (at_c - at_b))
            return a + min(max(part, 0.0), 1.0) * (b - a)
        return a + at_a / (at_a - at_b) * (b - a)

    def _middle(self, a: float, b: float) -> float:
        """That of the points between, as far as they are known, else half way."""
        place = self._middle_place(min(a, b), max(a, b))
        self._is_probe = place is not None
        return a + (b - a) / 2 if place is None else place

    def _middle_place(self, left: float, right: float) -> float | None:
        first, last = bisect.bisect_right(self._places, left), bisect.bisect_left(self._places, right)
        return self._places[(first + last) // 2] if first < last else None

    def step(self, rate: float) -> bool:
        self.previous, self.theta = self.theta, self._target
        size = abs(self.theta - self.previous)
        return size == 0 or (size < self.tol and not self._is_probe)
