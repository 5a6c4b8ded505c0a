"""What lazy data are: tables that are read in blocks, and columns of them that go where arrays go."""
from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn

from fastgd._frames import described

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence


class Wanted(NamedTuple):
    """The columns that are read: names, or None for what is not read; of all None each block says what it holds."""

    targets: str | None = None
    X: tuple[str, ...] | None = None
    weights: str | None = None

    @property
    def is_whole(self) -> bool:
        """Whether the blocks come as they are, with all that is in them."""
        return self == Wanted()

    @property
    def names(self) -> list[str]:
        """Each of the columns, once."""
        single = [name for name in (self.targets, self.weights) if name is not None]
        return list(dict.fromkeys([*single, *(self.X or ())]))


class Raw(NamedTuple):
    """What was read for a block, not yet checked. What `where` says names it in a message.

    Nobody overwrites the arrays if they are ours.
    """

    where: str
    X: Any
    targets: Any
    weights: Any
    names: tuple[str, ...] | None = None
    is_ours: bool = False


def check_cache(cache: str | os.PathLike[str] | None) -> str | None:
    """The option `cache` as a path; TypeError if it is none."""
    if cache is not None and not isinstance(cache, (str, os.PathLike)):
        raise TypeError(f"The 'cache' parameter must be None or the path of a folder. Got {described(cache)} of type "
                        f"{type(cache).__name__}.")
    return None if cache is None else os.fsdecode(cache)


class Lazy:
    """Data that are not in memory, which numpy must not take for a sequence or an object."""

    is_lazy = True

    def __array__(self, *args: Any, **kwargs: Any) -> NoReturn:
        raise TypeError(f"{self!r} is not in memory, and is not loaded unasked. fastgd.minimize reads it in blocks; "
                        "for an array, read the data by the library that made them.")


class Table(Lazy):
    """What is read in blocks, the same ones each time."""

    cache: str | None = None

    def __getitem__(self, names: str | Sequence[str]) -> Selection:
        """A column, ``table["tip"]``, or several, ``table[["bill", "size"]]``, to be given in place of an array.

        Nothing is read.
        """
        if isinstance(names, str):
            self._check_columns((names,))
            return Selection(self, names)
        if not isinstance(names, (list, tuple)) or not all(isinstance(name, str) for name in names) or not names:
            raise TypeError(f"Columns are chosen by a name, or by a list of names. Got {described(names)}.")
        self._check_columns(tuple(names))
        return Selection(self, tuple(names))

    __iter__: Any = None    # else Python would try table[0], table[1], ...

    def _check_columns(self, names: tuple[str, ...]) -> None:
        """Raise ValueError for a name that is known to be of no column, or of several."""

    def _check_numbers(self, names: Sequence[str]) -> None:
        """Raise TypeError for a column that is known to be of other than numbers."""

    def _whole(self) -> Wanted:
        """What is read if the table is given as `dataset` alone."""
        return Wanted()

    def _read(self, wanted: Wanted) -> Generator[Raw]:
        """All blocks; SourceError where one cannot be read."""
        raise NotImplementedError

    def _identity(self) -> Any:
        """What can go in JSON and changes if the data do; None if only the data themselves tell."""
        return None


class Selection(Lazy):
    """A column of a table, or several."""

    def __init__(self, table: Table, names: str | tuple[str, ...]) -> None:
        self.table, self.names = table, names

    def __repr__(self) -> str:
        names = self.names if isinstance(self.names, str) else [*self.names]
        return f"{self.table!r}[{names!r}]"
