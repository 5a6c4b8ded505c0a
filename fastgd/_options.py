"""The options of a run, checked once, in one object that does not change."""
from __future__ import annotations

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


class Settings(NamedTuple):
    """What the verbs take beside the functions and the data; their docstrings say what each option means."""

    method: str                   # the name of the public function
    rates: Rates | None           # None for "auto", until the data are known
    tol: float
    limit: int                    # updates, or epochs of a stochastic descent
    stop: str
    display: Lines | Bar | None
    callback: Callable[..., object] | None
    history: bool
    full_output: bool
    is_adaptive: bool = False
    precondition: str | None = None
    momentum: str | None = None
    average: bool = False
    in_place: bool = False
    batch_size: int | None = None
    is_rough: bool = False        # whether a metric of a sample will do
    bit_generator: np.random.BitGenerator | None = None
    by_spread: bool = False       # whether delta and tol are in robust standard deviations of the residuals
    trail: Callable[[DoubleArray, int], bool] | None = None    # looks at thetas up to an update; whether to stop

    @property
    def is_stochastic(self) -> bool:
        """Whether an update sees a part of the data."""
        return self.bit_generator is not None

    @property
    def is_watched(self) -> bool:
        """Whether anything looks at the thetas of a run."""
        return self.display is not None or self.callback is not None or self.history or self.trail is not None

    @property
    def needs_loss(self) -> bool:
        """Whether the loss is shown or compared on the way."""
        return self.display is not None or self.stop == "loss"


def batch_settings(method: str, alpha: Any, tol: Any, max_iter: Any, stop: Any, progress: Any, callback: Any,
                   history: Any, full_output: Any, precondition: Any, momentum: Any) -> Settings:
    """The Settings of a batch descent; TypeError or ValueError for an option that is not as it should be."""
    is_adaptive = isinstance(alpha, str) and alpha == "adaptive"
    rates = None if is_adaptive else as_rates_or_auto(alpha, ", 'auto' or 'adaptive'")
    if precondition is not None:
        check_option(precondition, "precondition", ("scale", "gram"), "None")
    if momentum is not None:
        check_option(momentum, "momentum", ("nesterov",), "None")
        if is_adaptive:
            raise ValueError("alpha='adaptive' chooses the length of each step from the last one and has no momentum. "
                             f"Got momentum={momentum!r}; leave it None, or use alpha='auto'.")
    tol = check_number(tol, "tol", low=0)
    max_iter = check_count(max_iter, "max_iter")
    check_option(stop, "stop", ("step", "loss"))
    if callback is not None:
        check_callable(callback, "callback")
    display = progress_display(progress, max_iter, tol, stop, "updates")
    return Settings(method, rates, tol, max_iter, stop, display, callback, check_flag(history, "history"),
                    check_flag(full_output, "full_output"), is_adaptive, precondition, momentum)


def stochastic_settings(method: str, batch_size: int | None, alpha: Any, rng: Any, tol: Any, max_epochs: Any, stop: Any,
                        average: Any, in_place: Any, progress: Any, callback: Any, history: Any, full_output: Any,
                        precondition: Any) -> Settings:
    """The Settings of a stochastic descent (`batch_size` None) or a mini-batch descent."""
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
    display = progress_display(progress, max_epochs, tol, stop, "epochs")
    return Settings(method, rates, tol, max_epochs, stop, display, callback,
                    check_flag(history, "history"), check_flag(full_output, "full_output"), False, precondition, None,
                    check_flag(average, "average"), check_flag(in_place, "in_place"), batch_size,
                    bit_generator=bit_generator)
