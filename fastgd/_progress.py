"""How a descent shows that it goes on: the textbook's lines, or a bar."""
from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import numpy as np

from fastgd._theta import shown

if TYPE_CHECKING:
    from fastgd._types import Progress, Theta


def progress_display(progress: Progress, limit: int) -> Lines | Bar | None:
    """The display for the `progress` option: True, False or "bar"."""
    if progress is False:
        return None
    if isinstance(progress, (bool, np.bool_)) or (isinstance(progress, (int, np.integer)) and progress in (0, 1)):
        return Lines() if progress else None
    if isinstance(progress, str) and progress == "bar":
        return Bar(limit)
    raise ValueError(f"The 'progress' parameter must be True, False or 'bar'. Got {progress!r} instead.")


class Lines:
    """One printed line before each update."""

    def show(self, theta: Theta, loss: float) -> None:
        print(f"theta: {shown(theta, '.2f')} | loss: {loss:.2f}")

    def close(self) -> None:
        pass


class Bar:
    """A tqdm bar over the updates, drawn when there is something to show."""

    def __init__(self, limit: int) -> None:
        try:
            from tqdm.auto import tqdm
        except ImportError:
            raise ImportError("progress='bar' needs the optional package tqdm: pip install tqdm") from None
        self._new_bar = functools.partial(tqdm, total=limit, unit=" updates")
        self._bar: Any = None

    def show(self, theta: Theta, loss: float) -> None:
        if self._bar is None:
            self._bar = self._new_bar()
        self._bar.set_postfix_str(f"theta: {shown(theta)} | loss: {loss:.6g}", refresh=False)
        self._bar.update()

    def close(self) -> None:
        if self._bar is not None:
            self._bar.close()
