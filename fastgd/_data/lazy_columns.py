"""Lazy tables, which are read in blocks, and selections of their columns, which are passed in place of arrays."""
from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn

from fastgd._frames import described

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence


class ColumnRoles(NamedTuple):
    """Names of the columns to read, None for a role without one; all None if blocks have roles of their own."""

    targets: str | None = None
    X: tuple[str, ...] | None = None
    weights: str | None = None

    @property
    def is_whole(self) -> bool:
        """True if blocks are read as they are, with all roles that they have."""
        return self == ColumnRoles()

    @property
    def names(self) -> list[str]:
        """Distinct names of all columns."""
        single = [name for name in (self.targets, self.weights) if name is not None]
        return list(dict.fromkeys([*single, *(self.X or ())]))


class RawBlock(NamedTuple):
    """Unchecked content of a block, which messages call `where`; with is_owned no one overwrites the arrays."""

    where: str
    X: Any
    targets: Any
    weights: Any
    names: tuple[str, ...] | None = None
    is_owned: bool = False


def check_cache(cache: str | os.PathLike[str] | None) -> str | None:
    """Return the option `cache` as a str or None; TypeError for anything else."""
    if cache is not None and not isinstance(cache, (str, os.PathLike)):
        raise TypeError(f"The 'cache' parameter must be None or the path of a folder. Got {described(cache)} of type "
                        f"{type(cache).__name__}.")
    return None if cache is None else os.fsdecode(cache)


class Lazy:
    """Data that are not in memory, and that numpy must not convert to a sequence or an object."""

    is_lazy = True

    def __array__(self, *args: Any, **kwargs: Any) -> NoReturn:
        raise TypeError(f"{self!r} is not in memory and is not converted to an array. fastgd.minimize reads it in "
                        "blocks; to get an array, read the data with the library that wrote them.")


class Table(Lazy):
    """Table that is read in blocks, the same ones in each pass."""

    cache: str | None = None

    def __getitem__(self, names: str | Sequence[str]) -> Selection:
        """Select a column, ``table["tip"]``, or several, ``table[["bill", "size"]]``; nothing is read."""
        if isinstance(names, str):
            self._check_columns((names,))
            return Selection(self, names)
        if not isinstance(names, (list, tuple)) or not all(isinstance(name, str) for name in names) or not names:
            raise TypeError(f"Columns are chosen by a name, or by a list of names. Got {described(names)}.")
        self._check_columns(tuple(names))
        return Selection(self, tuple(names))

    __iter__: Any = None    # without it Python would try table[0], table[1], ...

    def _check_columns(self, names: tuple[str, ...]) -> None:
        """Raise ValueError for a name of no column or of several, if the names are known before a read."""

    def _check_numbers(self, names: Sequence[str]) -> None:
        """Raise TypeError for a column that is not numeric, if its type is known before a read."""

    def _whole(self) -> ColumnRoles:
        """Return the columns to read for a table that is passed as `dataset` without X."""
        return ColumnRoles()

    def _read(self, roles: ColumnRoles) -> Generator[RawBlock]:
        """Yield all blocks; SourceError where one cannot be read."""
        raise NotImplementedError

    def _identity(self) -> Any:
        """Return a JSON value that changes with the data; None if there is none."""
        return None


class Selection(Lazy):
    """Selection of one or several columns of a table."""

    def __init__(self, table: Table, names: str | tuple[str, ...]) -> None:
        self.table, self.names = table, names

    def __repr__(self) -> str:
        names = self.names if isinstance(self.names, str) else [*self.names]
        return f"{self.table!r}[{names!r}]"
