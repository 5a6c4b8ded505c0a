"""Learning rates that change with the update t = 0, 1, 2, ...

An `alpha` argument may be a number, one of the schedules here, or a function t -> alpha of your own. Such a function
must depend on t only, because it is called ahead of the updates: first with single ints, then with arrays of t if an
array of the first ones gives the same values.

>>> from fastgd.schedules import inverse_scaling
>>> alpha = inverse_scaling(eta0=0.5, power_t=0.5)
>>> alpha(0), alpha(3)
(0.5, 0.25)
"""
from __future__ import annotations

import functools
import sys
from typing import TYPE_CHECKING, Any, overload

import numpy as np

from fastgd._frames import described, typed_value
from fastgd._immutable import Immutable
from fastgd._kernels import schedules as kernels
from fastgd._validation import check_count, check_number

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import ArrayLike, NDArray

    from fastgd._types import Alpha, Count, DoubleArray, Number, Rate, Rates

__all__ = ["constant", "cosine", "exponential_decay", "inverse_scaling", "step_decay"]

#: Rates that share one evaluation of exp or cos, by the addition theorems.
SHARED_RATES = 16_384
#: Rates of a Python function that are computed one at a time before arrays are tried.
SINGLE_RATES = 64
#: Largest number of an update that is exact as a float and fits an index, of 32 bits on some machines.
_LAST = min(2**53, sys.maxsize // 2) - 1


class _Schedule(Immutable):
    """Base class of schedules: alpha(t) for an int t of at least 0 or an array; its bits depend on t only."""

    _parameters: dict[str, float]

    def __init__(self, **parameters: float) -> None:
        self._set(**parameters, _parameters=parameters)

    @property
    def parameters(self) -> dict[str, float]:
        return dict(self._parameters)

    @overload
    def __call__(self, t: Count) -> float: ...
    @overload
    def __call__(self, t: NDArray[Any]) -> DoubleArray: ...
    def __call__(self, t: ArrayLike) -> float | DoubleArray:
        """Learning rate of update t."""
        ts = np.atleast_1d(np.asarray(t))
        if ts.dtype.kind not in "iuf" or not ((ts >= 0) & (ts < 2.0**53) & (ts == np.floor(ts))).all():
            raise ValueError(f"t must be a whole number from 0 to 2**53, or an array of them. Got {described(t)}.")
        rates = np.empty(ts.shape)
        flat = rates.reshape(-1)
        for k, start in enumerate(ts.ravel().astype(int).tolist()):
            self._fill(flat[k:k + 1], start)
        return rates if np.ndim(t) else rates.item()

    def _fill(self, rates: DoubleArray, start: int) -> None:
        """Write the rates of the updates start, start + 1, ...; one below the smallest float is 0."""
        with np.errstate(under="ignore"):
            self._write(rates, start)

    def _write(self, rates: DoubleArray, start: int) -> None:
        raise NotImplementedError


class constant(_Schedule):
    """Constant learning rate alpha = eta0.

    Parameters
    ----------
    eta0 : float
        Learning rate, above 0.

    Raises
    ------
    TypeError, ValueError
        If eta0 is not a finite number above 0.

    Examples
    --------
    >>> from fastgd.schedules import constant
    >>> constant(0.2)(100)
    0.2
    """

    eta0: float

    def __init__(self, eta0: Number) -> None:
        super().__init__(eta0=_check_eta0(eta0))

    def _fill(self, rates: DoubleArray, start: int) -> None:
        rates.fill(self.eta0)


class inverse_scaling(_Schedule):
    """Inverse scaling alpha = eta0 / (1 + t)**power_t.

    The relative error is below 5e-16 for powers up to 2, and 2e-15 above. With 0.5 < power_t <= 1 the sum of the rates
    is infinite and the sum of their squares is finite, so that stochastic descent converges.

    Parameters
    ----------
    eta0 : float
        The first learning rate, above 0.
    power_t : float, default 0.5
        At least 0.

    Raises
    ------
    TypeError, ValueError
        If an argument is not as described.

    References
    ----------
    H. Robbins and S. Monro, "A stochastic approximation method", Annals of Mathematical Statistics 22 (1951).

    Examples
    --------
    >>> import numpy as np
    >>> from fastgd.schedules import inverse_scaling
    >>> inverse_scaling(0.5, 1.0)(np.array([0, 1, 4]))
    array([0.5 , 0.25, 0.1 ])
    """

    eta0: float
    power_t: float

    def __init__(self, eta0: Number, power_t: Number = 0.5) -> None:
        super().__init__(eta0=_check_eta0(eta0), power_t=check_number(power_t, "power_t", low=0))

    def _fill(self, rates: DoubleArray, start: int) -> None:
        kernels.inverse_scaling(self.eta0, self.power_t, start, rates)


class exponential_decay(_Schedule):
    """Exponential decay alpha = eta0 * gamma**t.

    Parameters
    ----------
    eta0 : float
        The first learning rate, above 0.
    gamma : float
        Factor from one update to the next, in (0, 1]. A run whose rate has decayed to 0 ends with a warning.

    Raises
    ------
    TypeError, ValueError
        If an argument is not as described.

    Examples
    --------
    >>> from fastgd.schedules import exponential_decay
    >>> exponential_decay(0.5, 0.5)(2)
    0.125
    """

    eta0: float
    gamma: float
    _powers: DoubleArray

    def __init__(self, eta0: Number, gamma: Number) -> None:
        super().__init__(eta0=_check_eta0(eta0), gamma=_check_gamma(gamma))
        with np.errstate(under="ignore"):
            self._set(_powers=np.power(self.gamma, np.arange(SHARED_RATES, dtype=float)))

    def _write(self, rates: DoubleArray, start: int) -> None:
        for part, block, within in _by_blocks(rates, start):
            head = self.eta0 * np.power(self.gamma, np.array([block], dtype=float))
            np.multiply(self._powers[within], head, out=part)


class step_decay(_Schedule):
    """Step decay alpha = eta0 * gamma**(t // step_size).

    Parameters
    ----------
    eta0 : float
        The first learning rate, above 0.
    gamma : float, default 0.1
        Factor from one step to the next, in (0, 1].
    step_size : int, default 1000
        Updates with the same learning rate.

    Raises
    ------
    TypeError, ValueError
        If an argument is not as described.

    Examples
    --------
    >>> from fastgd.schedules import step_decay
    >>> alpha = step_decay(0.5, 0.5, 10)
    >>> alpha(9), alpha(10), alpha(20)
    (0.5, 0.25, 0.125)
    """

    eta0: float
    gamma: float
    step_size: int

    def __init__(self, eta0: Number, gamma: Number = 0.1, step_size: Count = 1000) -> None:
        super().__init__(eta0=_check_eta0(eta0), gamma=_check_gamma(gamma),
                         step_size=check_count(step_size, "step_size"))

    def _write(self, rates: DoubleArray, start: int) -> None:
        end = start + len(rates)
        steps = np.arange(start // self.step_size, (end - 1) // self.step_size + 1)
        values = self.eta0 * np.power(self.gamma, steps.astype(float))
        if len(steps) > 100:
            rates[:] = values[np.arange(start, end) // self.step_size - steps[0]]
            return
        for step, value in zip(steps.tolist(), values.tolist(), strict=True):
            rates[max(0, step * self.step_size - start):(step + 1) * self.step_size - start] = value


class cosine(_Schedule):
    """Cosine decay alpha = eta_min + (eta0 - eta_min) * (1 + cos(pi * t / T_max)) / 2 up to T_max, then eta_min.

    Parameters
    ----------
    eta0 : float
        The first learning rate, above 0.
    T_max : int
        Updates until the rate is `eta_min`.
    eta_min : float, default 0
        The last learning rate, from 0 to `eta0`. A run that continues with a rate of 0 ends with a warning.

    Raises
    ------
    TypeError, ValueError
        If an argument is not as described.

    References
    ----------
    I. Loshchilov and F. Hutter, "SGDR: Stochastic gradient descent with warm restarts", ICLR 2017.

    Examples
    --------
    >>> from fastgd.schedules import cosine
    >>> alpha = cosine(0.5, 100)
    >>> alpha(0), round(alpha(50), 12), alpha(100)
    (0.5, 0.25, 0.0)
    """

    eta0: float
    T_max: int
    eta_min: float
    _cosines: DoubleArray
    _sines: DoubleArray

    def __init__(self, eta0: Number, T_max: Count, eta_min: Number = 0.0) -> None:
        super().__init__(eta0=_check_eta0(eta0), T_max=check_count(T_max, "T_max"),
                         eta_min=check_number(eta_min, "eta_min", low=0, high=_check_eta0(eta0), high_inclusive=True))
        angles = np.pi / self.T_max * np.arange(SHARED_RATES, dtype=float)
        self._set(_cosines=np.cos(angles), _sines=np.sin(angles))

    def _write(self, rates: DoubleArray, start: int) -> None:
        falling = max(0, min(len(rates), self.T_max - start))
        rates[falling:] = self.eta_min
        height = (self.eta0 - self.eta_min) / 2
        for part, block, within in _by_blocks(rates[:falling], start):
            # cos(a + b) = cos a cos b - sin a sin b
            angle = np.array([np.pi / self.T_max * block])
            np.multiply(self._cosines[within], height * np.cos(angle), out=part)
            part -= self._sines[within] * (height * np.sin(angle))
            part += self.eta_min + height


def _check_eta0(eta0: Number) -> float:
    return check_number(eta0, "eta0", low=0, inclusive=False)


def _check_gamma(gamma: Number) -> float:
    return check_number(gamma, "gamma", low=0, inclusive=False, high=1, high_inclusive=True)


def _by_blocks(rates: DoubleArray, start: int) -> Iterator[tuple[DoubleArray, int, slice]]:
    """Split the rates of start, start + 1, ... at the ends of blocks: (part, start of the block, slice of it)."""
    done = 0
    while done < len(rates):
        first = (start + done) % SHARED_RATES
        count = min(SHARED_RATES - first, len(rates) - done)
        yield rates[done:done + count], start + done - first, slice(first, first + count)
        done += count


def as_rates(alpha: Rate) -> Rates:
    """Return the learning rates of a run for the `alpha` argument."""
    if isinstance(alpha, type):
        raise TypeError(f"The 'alpha' parameter must be a learning rate or a schedule. Got the class {alpha.__name__}. "
                        f"Call it, such as alpha={alpha.__name__}(0.2, ...).")
    given: Any = alpha
    if hasattr(given, "__len__") and np.shape(given) != ():
        raise TypeError(f"The 'alpha' parameter must be a real number. Got {typed_value(given)}. The targets are the "
                        "third argument and other columns go to X=, as in minimize(loss, None, y, X=X).")
    if not callable(alpha):
        return _constant_of(check_number(alpha, "alpha", low=0, inclusive=False))
    if not isinstance(alpha, _Schedule):
        return _PythonSchedule(alpha)
    rates = _Scheduled(alpha)
    first, last = (rates(t, 1).item() for t in (0, _LAST))
    # No schedule increases: one whose first and last rates are equal is constant.
    return _constant_of(first) if first == last else rates


def _call_at(function: Callable[[Any], Any], t: int) -> Any:
    """Return the rate of a Python function at t; raise TypeError for a function that returns a schedule."""
    try:
        rate = function(t)
    except StopIteration as error:
        raise RuntimeError(f"alpha({t}) raised StopIteration. It must return a learning rate.") from error
    if isinstance(rate, _Schedule):
        raise TypeError("The 'alpha' parameter must be a learning rate or a schedule. Got a function that makes one: "
                        f"alpha({t}) is {rate!r}. Call it with its own arguments, and pass its result.")
    return rate


def as_rates_or_auto(alpha: Alpha, words: str = " or 'auto'") -> Rates | None:
    """Return `as_rates`, or None for "auto", where the data determine the rate; `words` names the allowed strings."""
    if type(alpha) is float and 0 < alpha < np.inf:    # the small call
        return _constant_of(alpha)
    if not isinstance(alpha, str):
        return as_rates(alpha)
    if alpha == "auto":
        return None
    raise TypeError("The 'alpha' parameter must be a real number above 0, a function of the update, one of "
                    f"fastgd.schedules{words}. Got {described(alpha)} instead.")


class _Constant:
    """Constant learning rate of all updates."""

    is_constant = True
    _filled: DoubleArray = np.empty(0)

    def __init__(self, alpha: float) -> None:
        self._alpha = alpha

    def __call__(self, start: int, count: int) -> DoubleArray:
        """Rates of the updates `start` to `start + count - 1`, counted from 0; valid until the next call."""
        filled = self._filled
        if filled.size < count:
            filled = np.empty(count)
            filled.fill(self._alpha)
            filled.flags.writeable = False
            self._filled = filled    # set when full: runs in several threads may share it
        return filled if filled.size == count else filled[:count]


#: Cached constructor, because filling the arrays takes longer than a descent on a few points.
_constant_of = functools.lru_cache(maxsize=8)(_Constant)


class _Scheduled:
    """Rates of a schedule of this module."""

    is_constant = False
    _buffer: DoubleArray = np.empty(0)

    def __init__(self, schedule: _Schedule) -> None:
        self._schedule = schedule

    def __call__(self, start: int, count: int) -> DoubleArray:
        """Rates of `count` updates from `start` on; valid until the next call."""
        if len(self._buffer) < count:
            self._buffer = np.empty(count)
        rates = self._buffer[:count]
        self._schedule._fill(rates, start)
        return rates


class _PythonSchedule:
    """Rates of a Python function of t.

    The function is called with one t at a time at first, and with arrays if one call with all of these t gives the same
    rates. If it raises at a t ahead of the run, it is called again when the run reaches that t.
    """

    is_constant = False

    def __init__(self, function: Callable[[Any], Any]) -> None:
        self._function = function
        self._first: list[float] = []
        self._takes_arrays: bool | None = None    # None before it is tried
        self._from_0 = self._ts = np.empty(0)

    def __call__(self, start: int, count: int) -> DoubleArray:
        """Rates of at most `count` updates from `start` on; ValueError if the first is negative, NaN or infinite."""
        if start < SINGLE_RATES or count == 1 or not self._may_take_arrays():
            return self._one_by_one(start, min(count, SINGLE_RATES - start % SINGLE_RATES))
        rates = self._from_array(start, count)
        return self._one_by_one(start, min(count, SINGLE_RATES)) if rates is None else rates

    def _one_by_one(self, start: int, count: int) -> DoubleArray:
        rates = []
        for t in range(start, start + count):
            try:
                rates.append(check_number(_call_at(self._function, t), f"alpha({t})", low=0))
            except Exception:
                if t == start:
                    raise
                break    # the run may end before this update
        if start == len(self._first) < SINGLE_RATES:
            self._first += rates
        return np.array(rates)

    def _may_take_arrays(self) -> bool:
        if self._takes_arrays is None:
            rates = self._from_array(0, SINGLE_RATES) if len(self._first) == SINGLE_RATES else None
            with np.errstate(under="ignore"):
                self._takes_arrays = rates is not None and np.allclose(rates, self._first, rtol=1e-12, atol=0)
        return self._takes_arrays

    def _from_array(self, start: int, count: int) -> DoubleArray | None:
        """Compute rates by one call; None if the function does not take arrays or a rate is invalid."""
        if len(self._ts) < count:
            self._from_0, self._ts = np.arange(count, dtype=float), np.empty(count)
        ts = np.add(self._from_0[:count], start, out=self._ts[:count])
        try:
            with np.errstate(all="ignore"):
                rates = self._function(ts)
        except Exception:
            return None    # the call with one int raises again unless arrays are the reason
        if not isinstance(rates, np.ndarray) or rates.shape != (count,) or rates.dtype.kind not in "iuf":
            return None
        rates = np.ascontiguousarray(rates, dtype=np.float64)
        return rates if kernels.all_valid(rates) else None
