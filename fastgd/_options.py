"""Options of a descent, checked once, in one immutable object."""
from __future__ import annotations

import math
import sys
from typing import TYPE_CHECKING, Any, NamedTuple

from fastgd._progress import progress_display
from fastgd._random import bit_generator_of
from fastgd._validation import check_callable, check_count, check_flag, check_number, check_option
from fastgd.schedules import as_rates_or_auto

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np

    from fastgd._progress import Bar, Lines
    from fastgd._types import DoubleArray, Rates


class DescentOptions(NamedTuple):
    """Options of a descent without its functions and data, as the public functions document them.

    Attributes
    ----------
    rates : Rates or None
        Learning rates; None if the data or the solver determine them.
    limit : int
        Most updates, or epochs of a stochastic descent.
    is_subsampled : bool
        True if the preconditioner may come from a sample of the rows.
    has_concomitant_scale : bool
        True if `tol` and the delta of a Huber loss are in units of a scale that is estimated with theta.
    monitor : callable or None
        Function of thetas and the number of the last update; the run stops if it returns True.
    """

    method: str = "minimize"
    rates: Rates | None = None
    tol: float = 1e-3
    limit: int = 100_000
    stop: str = "step"
    display: Lines | Bar | None = None
    callback: Callable[..., object] | None = None
    history: bool = False
    full_output: bool = False
    is_adaptive: bool = False
    precondition: str | None = None
    momentum: str | None = None
    average: bool = False
    in_place: bool = False
    batch_size: int | None = None
    bit_generator: np.random.BitGenerator | None = None
    is_subsampled: bool = False
    has_concomitant_scale: bool = False
    monitor: Callable[[DoubleArray, int], bool] | None = None

    @property
    def is_stochastic(self) -> bool:
        """True if an update uses a part of the data."""
        return self.bit_generator is not None

    @property
    def needs_loss(self) -> bool:
        """True if the loss is shown or compared during the run."""
        return self.display is not None or self.stop == "loss"

    @property
    def is_monitored(self) -> bool:
        """True if the thetas of a run are shown, recorded or passed to a function."""
        return self.display is not None or self.callback is not None or self.history or self.monitor is not None


def batch_options(method: str, alpha: Any, tol: Any, max_iter: Any, stop: Any, progress: Any, callback: Any,
                  history: Any, full_output: Any, precondition: Any, momentum: Any) -> DescentOptions:
    """Check the options of a batch descent; raise TypeError or ValueError for a bad one."""
    is_adaptive = type(alpha) is not float and isinstance(alpha, str) and alpha == "adaptive"
    rates = None if is_adaptive else as_rates_or_auto(alpha, ", 'auto' or 'adaptive'")
    if precondition is not None:
        check_option(precondition, "precondition", ("scale", "gram"), "None")
    if momentum is not None:
        check_option(momentum, "momentum", ("nesterov",), "None")
        if is_adaptive:
            raise ValueError("alpha='adaptive' chooses the length of each step from the last one and has no momentum. "
                             f"Got momentum={momentum!r}; leave it None, or use alpha='auto'.")
    if type(tol) is not float or not 0 <= tol < math.inf:
        tol = check_number(tol, "tol", low=0)
    if type(max_iter) is not int or not 1 <= max_iter <= sys.maxsize:
        max_iter = check_count(max_iter, "max_iter")
    if stop != "step":
        check_option(stop, "stop", ("step", "loss"))
    if callback is not None:
        check_callable(callback, "callback")
    display = None if progress is False else progress_display(progress, max_iter, tol, stop, "updates")
    if history is not False or full_output is not False:
        history, full_output = check_flag(history, "history"), check_flag(full_output, "full_output")
    return DescentOptions(method, rates, tol, max_iter, stop, display, callback, history, full_output, is_adaptive,
                          precondition, momentum)


def stochastic_options(method: str, batch_size: int | None, alpha: Any, rng: Any, tol: Any, max_epochs: Any, stop: Any,
                       average: Any, in_place: Any, progress: Any, callback: Any, history: Any, full_output: Any,
                       precondition: Any) -> DescentOptions:
    """Check the options of a stochastic descent (`batch_size` None) or a mini-batch descent."""
    rates = as_rates_or_auto(alpha)
    if isinstance(precondition, str) and precondition == "gram":
        raise ValueError(f"precondition='gram' is for minimize: it would cost {method} more than the update of a row. "
                         "Use precondition='scale'.")
    if precondition is not None:
        check_option(precondition, "precondition", ("scale",), "None")
    bit_generator = bit_generator_of(rng)
    tol = check_number(tol, "tol", low=0)
    max_epochs = check_count(max_epochs, "max_epochs")
    check_option(stop, "stop", ("step", "epoch", "loss"))
    if callback is not None:
        check_callable(callback, "callback")
    return DescentOptions(
        method, rates, tol, max_epochs, stop, progress_display(progress, max_epochs, tol, stop, "epochs"), callback,
        check_flag(history, "history"), check_flag(full_output, "full_output"), precondition=precondition,
        average=check_flag(average, "average"), in_place=check_flag(in_place, "in_place"), batch_size=batch_size,
        bit_generator=bit_generator)
