"""Progress display of a run: the textbook's printed lines, or a tqdm bar."""
from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import numpy as np

from fastgd._format import format_theta
from fastgd._frames import described

if TYPE_CHECKING:
    from fastgd._types import Progress, Theta


def progress_display(progress: Progress, limit: int, tol: float, stop: str, unit: str) -> Lines | Bar | None:
    """Return the display of the `progress` option for a run of at most `limit` updates or epochs (`unit`)."""
    if progress is False:
        return None
    if isinstance(progress, (bool, np.bool_)) or (isinstance(progress, (int, np.integer)) and progress in (0, 1)):
        return Lines() if progress else None
    if isinstance(progress, str) and progress == "bar":
        return Bar(limit, tol, stop, unit)
    raise ValueError(f"The 'progress' parameter must be True, False or 'bar'. Got {described(progress)} instead.")


class Lines:
    """Prints one line before each update."""

    def show(self, theta: Theta, loss: float) -> None:
        print(f"theta: {format_theta(theta, '.2f')} | loss: {loss:.2f}")


class Bar:
    """A tqdm bar over the updates or epochs, with a total only where `tol` is 0, so that the limit ends the run."""

    def __init__(self, limit: int, tol: float, stop: str, unit: str) -> None:
        try:
            from tqdm.auto import tqdm
        except ImportError:
            raise ImportError("progress='bar' needs the optional package tqdm: pip install tqdm") from None
        # miniters=1: chunks differ in length, and tqdm's own estimate from a long one would hide the next short ones.
        self._new_bar = functools.partial(tqdm, total=None if tol else limit, unit=f" {unit}", miniters=1)
        self._bar: Any = None
        self._tol = tol
        self._change = _CHANGES[stop]

    def show(self, done: int, loss: float, moved: float | None = None) -> None:
        """Show the state after `done` updates or epochs; the stopping rule compares `moved` with tol, None at first."""
        change = "" if moved is None else f" | {self._change}: {moved:.2g}"
        text = f"loss: {loss:.6g}{change} | tol: {self._tol:g}"
        if self._bar is None:
            self._bar = self._new_bar(postfix=text)
        self._bar.set_postfix_str(text, refresh=False)
        self._bar.update(done - self._bar.n)

    def close(self) -> None:
        if self._bar is not None:
            self._bar.close()


#: Name of the quantity that each `stop` compares with tol.
_CHANGES = {"step": "step", "epoch": "moved", "loss": "change"}
