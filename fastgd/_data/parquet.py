"""Parquet files as a table that is read in batches of rows, however large their row groups are."""
from __future__ import annotations

import errno
import glob
import os
import zlib
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from fastgd._data.lazy_columns import Raw, Table, Wanted, check_cache
from fastgd._frames import described, typed_value
from fastgd._limits import BYTES_OF_A_READ, NUMBERS_OF_A_BATCH, ROWS_OF_A_BATCH
from fastgd.results import SourceError

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator, Sequence

    from fastgd._types import FloatArray

__all__ = ["open_parquet"]

_Path = str | os.PathLike[str]


def open_parquet(path: _Path | Sequence[_Path], columns: Sequence[str] | None = None, *,
                 cache: _Path | None = None) -> ParquetTable:
    """A lazy table of Parquet files, whose columns go where arrays go.

    ``table["tip"]`` is a column and ``table[["bill", "size"]]`` are several; both are read in each pass, a few
    megabytes at a time, and the answers have the bits of those on arrays. A table of one column may be given itself.

    Parameters
    ----------
    path : str, PathLike or sequence of them
        A file, a pattern like ``"tips-*.parquet"``, whose files are taken in the order of their names, a folder of
        ``.parquet`` files, likewise, or several of these.
    columns : sequence of str, optional
        The columns of the table, by default all of them. The others are never read, and may differ between the files.
    cache : str or PathLike, optional
        A folder of its own for raw copies of the columns in use. The first pass writes them, later ones and later
        runs read them, which takes more of the disk and less time. A run on files that have changed makes them anew.

    Returns
    -------
    table
        With ``columns``, a list of names, ``len(table)``, its rows, and columns by their names.

    Raises
    ------
    ImportError
        If pyarrow is not installed.
    OSError
        If there is no such file, or it cannot be read.
    TypeError, ValueError
        If an argument is not as described, a file is not Parquet, has not the columns or has them in other types than
        the first.

    Examples
    --------
    >>> import tempfile
    >>> from fastgd import datasets, grad_mse, minimize, mse, open_parquet
    >>> tips = datasets.load_tips()
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     tips.to_parquet(f"{folder}/tips.parquet")
    ...     table = open_parquet(f"{folder}/*.parquet")
    ...     theta = minimize(mse, grad_mse, table["pcttip"], progress=False)
    >>> theta == minimize(mse, grad_mse, tips["pcttip"], progress=False)
    True
    """
    _parquet()
    if columns is not None and (isinstance(columns, str) or not columns or not all(
            isinstance(name, str) for name in columns)):
        raise TypeError(f"The 'columns' parameter must be None or a list of names. Got {described(columns)}.")
    paths = _paths(path)
    files = [_File.opened(file) for file in paths]
    return ParquetTable(path, files, None if columns is None else list(columns), check_cache(cache))


def _parquet() -> Any:
    try:
        import pyarrow.parquet
    except ImportError:
        raise ImportError("Parquet files need pyarrow: pip install fastgd[parquet]") from None
    return pyarrow.parquet


def _paths(path: Any) -> list[str]:
    """The files that `path` means, in order."""
    if isinstance(path, (list, tuple)):
        if not path:
            raise ValueError("The 'path' parameter must name at least one file. Got an empty list.")
        return [file for each in path for file in _paths(each)]
    if not isinstance(path, (str, os.PathLike)):
        raise TypeError("The 'path' parameter must be a path, a pattern or a list of them. "
                        f"Got {typed_value(path)}.")
    name = os.fsdecode(path)
    if os.path.isdir(name):
        found = [each.path for each in os.scandir(name)
                 if each.name.endswith(".parquet") and not each.name.startswith((".", "_"))]
        missing = "there is no .parquet file in the folder"
    elif os.path.exists(name):
        return [name]
    else:
        found = glob.glob(name, recursive=True)
        missing = "no file matches the pattern" if glob.has_magic(name) else os.strerror(errno.ENOENT)
    if not found:
        raise FileNotFoundError(errno.ENOENT, missing, name)
    return sorted(found)


class _File(NamedTuple):
    """A file as it was when the table was opened."""

    path: str
    rows: int
    size: int
    changed: int
    footer: int
    types: dict[str, Any]

    @classmethod
    def opened(cls, path: str) -> _File:
        """The file, of which nothing but the metadata is read."""
        import pyarrow as pa

        try:
            state = cls.state(path)
            with _opened(path) as file:
                schema, rows = file.schema_arrow, file.metadata.num_rows
        except (pa.ArrowException, ValueError) as error:
            raise ValueError(f"cannot read {path} as Parquet: {error}") from None
        repeated = {name for name in schema.names if schema.names.count(name) > 1}
        return cls(path, rows, *state, {name: None if name in repeated else kind
                                        for name, kind in zip(schema.names, schema.types, strict=True)})

    @staticmethod
    def state(path: str) -> tuple[int, int, int]:
        """What changes if the file does: its size, the time of the last change, and a digest of its metadata."""
        with open(path, "rb") as file:
            about = os.fstat(file.fileno())
            file.seek(-min(8, about.st_size), os.SEEK_END)
            tail = file.read()
            length = int.from_bytes(tail[:4], "little")
            file.seek(-min(8 + length, about.st_size), os.SEEK_END)
            return about.st_size, about.st_mtime_ns, zlib.crc32(file.read())

    @property
    def is_touched(self) -> bool:
        """Whether it was written to since: what can be asked for each batch."""
        about = os.stat(self.path)
        return (about.st_size, about.st_mtime_ns) != (self.size, self.changed)


def _opened(path: str) -> Any:
    """The file, read in pieces of `BYTES_OF_A_READ`: with buffers of its own, pyarrow would hold whole row groups."""
    return _parquet().ParquetFile(path, buffer_size=BYTES_OF_A_READ, pre_buffer=False)


class ParquetTable(Table):
    """The columns of Parquet files one after another; `open_parquet` makes it."""

    def __init__(self, path: Any, files: list[_File], columns: list[str] | None, cache: str | None) -> None:
        self._path, self._files, self.cache = path, files, cache
        first = files[0]
        self.columns = list(first.types) if columns is None else columns
        for file in files:
            self._check_file(file, first, columns is None)

    def _check_file(self, file: _File, first: _File, has_all: bool) -> None:
        missing = [name for name in self.columns if name not in file.types]
        if missing:
            raise ValueError(f"{file.path} has no column {missing[0]!r}; it has {_listed(file.types)}.")
        more = [name for name in file.types if name not in first.types] if has_all else []
        if more:
            raise ValueError(f"{file.path} has a column {more[0]!r}, and {first.path} has none. Name the columns that "
                             "are wanted: columns=[...].")
        for name in self.columns:
            if file.types[name] is not None and _kind(file.types[name]) != _kind(first.types[name]):
                raise ValueError(f"The column {name!r} is {file.types[name]} in {file.path}, and {first.types[name]} "
                                 f"in {first.path}.")

    def __repr__(self) -> str:
        return f"open_parquet({self._path!r})"

    def __len__(self) -> int:
        return sum(file.rows for file in self._files)

    def _check_columns(self, names: tuple[str, ...]) -> None:
        """Raise ValueError for a name that is of no column, or of several."""
        for name in names:
            if name not in self.columns:
                raise ValueError(f"{self!r} has no column {name!r}; it has {_listed(self.columns)}.")
            for file in self._files:
                if file.types[name] is None:
                    raise ValueError(f"{file.path} has several columns {name!r}. Write the file anew with a name for "
                                     "each, or leave it out: columns=[...].")

    def _check_numbers(self, names: Sequence[str]) -> None:
        """Raise TypeError for a column of other than numbers."""
        first = self._files[0]
        for name in names:
            if _kind(first.types[name]) is None:
                raise TypeError(f"The column {name!r} of {first.path} should be real numbers, and is "
                                f"{first.types[name]}. Convert it to numeric values explicitly instead.")

    def _whole(self) -> Wanted:
        """Its one column; ValueError if it has several."""
        if len(self.columns) != 1:
            raise ValueError(f"{self!r} has the columns {_listed(self.columns)}: name the one that is to be dataset, "
                             f"table[{self.columns[-1]!r}], and those of X, table[[...]].")
        self._check_columns((self.columns[0],))
        return Wanted(self.columns[0])

    def _identity(self) -> Any:
        """The files, and what changes if they do."""
        return [[os.path.abspath(file.path), file.size, file.changed, file.footer] for file in self._files]

    def _read(self, wanted: Wanted) -> Generator[Raw]:
        """The batches of each file; SourceError where it cannot be read, or is not as it was."""
        names = wanted.names
        rows = max(1, min(ROWS_OF_A_BATCH, NUMBERS_OF_A_BATCH // len(names)))
        types = self._files[0].types
        dtype = np.dtype(np.float32 if wanted.X and all(_kind(types[name]) == "float32" for name in wanted.X)
                         else np.float64)
        place = 0
        for file in self._files:
            start = 0
            with _as_source_errors(file.path):
                if file.state(file.path) != (file.size, file.changed, file.footer):
                    raise _changed(file.path)
                with _opened(file.path) as opened:
                    for batch in opened.iter_batches(rows, columns=names, use_threads=False):
                        if file.is_touched:
                            raise _changed(file.path)
                        where = f"Block {place} ({file.path}, from row {start} on)"
                        parts = dict(zip(batch.schema.names, batch.columns, strict=True))
                        _check_missing(file.path, start, parts)
                        place, start = place + 1, start + len(batch)
                        del batch
                        yield _raw(where, parts, wanted, dtype)
                        parts.clear()


def _changed(path: str) -> SourceError:
    return SourceError(f"{path} was written to since it was opened. The data must not change during a descent.")


@contextmanager
def _as_source_errors(path: str) -> Iterator[None]:
    """Errors of the system and of pyarrow as such of a source."""
    import pyarrow as pa

    try:
        yield
    except (OSError, pa.ArrowException) as error:
        raise SourceError(f"{path} could not be read: {error}") from error


def _check_missing(path: str, start: int, batch: dict[str, Any]) -> None:
    """Raise ValueError for the first missing value of rows from `start` on."""
    for name, column in batch.items():
        if column.null_count:
            row = start + int(column.is_null().to_numpy(zero_copy_only=False).argmax())
            raise ValueError(f"The column {name!r} of {path} has a missing value in row {row}. Drop such rows, or fill "
                             "the gaps.")


class _Columns:
    """Columns of a batch, which are put side by side when the array is asked for: in the thread that works on it."""

    def __init__(self, columns: list[FloatArray], dtype: np.dtype[Any]) -> None:
        self._columns, self._dtype = columns, dtype

    def __len__(self) -> int:
        return len(self._columns[0])

    def __array__(self, dtype: Any = None, copy: Any = None) -> FloatArray:
        X = np.empty((len(self), len(self._columns)), self._dtype)
        for place, column in enumerate(self._columns):
            X[:, place] = column
        return X


def _raw(where: str, batch: dict[str, Any], wanted: Wanted, dtype: np.dtype[Any]) -> Raw:
    """The arrays of a batch, to which its memory belongs."""
    X = None if wanted.X is None else _Columns([_numbers(batch[name]) for name in wanted.X], dtype)
    targets, weights = (None if name is None else _numbers(batch[name]) for name in (wanted.targets, wanted.weights))
    return Raw(where, X, targets, weights, wanted.X, is_ours=True)


def _numbers(column: Any) -> Any:
    return column.to_numpy(zero_copy_only=False)


def _kind(kind: Any) -> str | None:
    """float32, or float64 for all other numbers; None for what is no number."""
    import pyarrow.types as types

    if kind is None or not (types.is_floating(kind) or types.is_integer(kind) or types.is_boolean(kind)):
        return None
    return "float32" if types.is_float32(kind) else "float64"


def _listed(names: Any) -> str:
    return ", ".join(repr(name) for name in names)
