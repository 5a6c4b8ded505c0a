"""Protocol of the solvers, which the loop and composite solvers use.

A solver advances theta by updates until a step is short. A solver that follows a schedule of learning rates gets it
when it is made; a solver that chooses step sizes returns them. Every solver can be resumed after any call. A theta is a
float, or for a linear model an array that is not changed any more.
"""
from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

import numpy as np

from fastgd._format import is_finite
from fastgd.results import NOT_FINITE

if TYPE_CHECKING:
    from fastgd._types import DoubleArray, Rates, Theta

#: Relative tolerance below which a difference is rounding.
ROUNDING = 1e-13
#: Updates of a batch descent in one call of a solver.
BATCH_UPDATES = 4096
#: Numbers of the thetas of a linear model in one buffer: 512 KiB.
BUFFER_NUMBERS = 2**16


class Steps(NamedTuple):
    """Updates of one call of a solver.

    Attributes
    ----------
    thetas : ndarray
        Theta after each update, or after the last update only; valid until the next call.
    step_sizes : ndarray of shape (m,)
        Learning rate or step size of each update.
    is_converged : bool
        True if the last step was short enough to end the run.
    """

    thetas: DoubleArray
    step_sizes: DoubleArray
    is_converged: bool


class Bound(NamedTuple):
    """Upper bound on the suboptimality of a loss with kinks.

    Attributes
    ----------
    most : float
        The bound.
    is_proved : bool
        False if it is an estimate by the gradient.
    is_enough : bool
        True if it is at most the tolerance.
    """

    most: float
    is_proved: bool
    is_enough: bool


class Outcome(NamedTuple):
    """End of a run; thetas are floats, or arrays for a linear model.

    Attributes
    ----------
    start, theta, previous : float or ndarray
        First theta; last theta, which may not be finite; and the theta before the last update.
    updates : int
    status : int
        Status code of `fastgd.results`.
    alpha : float
        Last learning rate or step size.
    fastest : float
        Largest learning rate or step size of the run, if they differ.
    period : int
        Updates after which theta repeats; 0 if it does not.
    average : float, ndarray or None
        Mean of the thetas of the last epoch.
    bound : Bound or None
        Bound of a run on smoothed versions of a loss with kinks.
    moved : float or None
        Quantity that the stopping rule compared with `tol`, if it is not the length of the last step.
    epochs : float
        Passes over the data of a stochastic descent.
    unevenness : float or None
        Deviation of the means of blocks over its expectation for shuffled rows, if it is far above 1.
    full_step : float
        Length of a step on all of the data at the end of a stochastic descent that converged.
    collinear : tuple of int
        Columns that are constant or collinear.
    scale : float or None
        Concomitant scale of the residuals.
    """

    start: Theta
    theta: Theta
    previous: Theta
    updates: int
    status: int
    alpha: float
    fastest: float = 0.0
    period: int = 0
    average: Theta | None = None
    bound: Bound | None = None
    moved: float | None = None
    epochs: float = 0.0
    unevenness: float | None = None
    full_step: float = 0.0
    collinear: tuple[int, ...] = ()
    scale: float | None = None

    @property
    def x(self) -> Theta:
        """Result of the run: the last finite theta, or the average."""
        if self.status == NOT_FINITE and not is_finite(self.theta):
            return self.previous
        return self.theta if self.average is None else self.average


class Solver(Protocol):
    """Method of descent.

    Attributes
    ----------
    theta, previous : float or ndarray
        Current theta, and the theta before the last update.
    is_deterministic : bool
        True if the next theta is a function of the last theta only.
    evaluations : int
        Evaluations of the loss at a point, or products, in one update; 0 if a call answers Ctrl-C by itself.
    at_once : int
        Evaluations in the first call, before their time has been measured.
    capacity : int
        Most updates in one call.
    records_all : bool
        True if every theta is needed; settable.
    stops_when_short : bool
        True if a short step ends the run; settable.
    has_moved : bool
        False before the first update whose step size is not 0.
    """

    is_deterministic: bool
    evaluations: int
    at_once: int
    records_all: bool
    stops_when_short: bool
    has_moved: bool

    @property
    def theta(self) -> Theta: ...

    @property
    def previous(self) -> Theta: ...

    @property
    def capacity(self) -> int: ...

    def advance(self, most: int) -> Steps:
        """Make at most `most` updates; stop after one that converges or is not finite."""


class Scheduled:
    """Learning rates of a solver that follows a schedule.

    Rates of 0 at the start, as in a warm-up, do not move theta: no short step ends the run before the first other rate.
    """

    def __init__(self, rates: Rates, first_update: int, stops_when_short: bool) -> None:
        self._rates, self._done = rates, first_update
        self.stops_when_short = stops_when_short
        self.has_moved = rates.is_constant

    def next_rates(self, most: int) -> DoubleArray:
        """Return the rates of the next updates: all of them, or those of a warm-up."""
        rates = self._rates(self._done, most)    # at most `most` of them
        if self.has_moved:
            return rates
        if rates.item(0) != 0:
            self.has_moved = True
            return rates
        moving = np.flatnonzero(rates)
        return rates[:moving[0]] if len(moving) else rates

    @property
    def stops(self) -> bool:
        """True if a short step of the next updates ends the run."""
        return self.stops_when_short and self.has_moved
