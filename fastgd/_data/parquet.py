"""Read Parquet files in batches of rows of bounded size, for row groups of any size."""
from __future__ import annotations

import errno
import glob
import os
import zlib
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from fastgd._data.lazy_columns import ColumnRoles, RawBlock, Table, check_cache
from fastgd._frames import described, typed_value
from fastgd.results import SourceError

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator, Sequence

    from fastgd._types import FloatArray

__all__ = ["open_parquet"]

#: Rows of a Parquet file that are decoded at once, and bytes of it that are read at once: 2**18 rows of one column take
#: 1.2 times as long as `iter_batches` alone, 2**17 1.4 times, and 40 MB of memory, with row groups of any size.
ROWS_OF_A_BATCH, BYTES_OF_A_READ = 2**18, 2**20
#: Numbers in a batch of many columns, which has fewer rows.
NUMBERS_OF_A_BATCH = 2**20

_Path = str | os.PathLike[str]


def open_parquet(path: _Path | Sequence[_Path], columns: Sequence[str] | None = None, *,
                 cache: _Path | None = None) -> ParquetTable:
    """Open Parquet files as a lazy table, whose columns are passed in place of arrays.

    ``table["tip"]`` is a column and ``table[["bill", "size"]]`` are several. Each pass reads them anew, a few megabytes
    at a time; results have the bits of those on arrays. A table of one column may be passed itself.

    Parameters
    ----------
    path : str, PathLike or sequence of them
        A file, a pattern like ``"tips-*.parquet"``, a folder of ``.parquet`` files, or several of these. The files of a
        pattern or a folder are sorted by name.
    columns : sequence of str, optional
        Columns of the table, by default all. Other columns are never read and may differ between the files.
    cache : str or PathLike, optional
        Separate folder for uncompressed copies of the columns in use, which take more disk and less time. The first
        pass writes them, later passes and later runs read them. They are rewritten if a file has changed. By default
        there is none.

    Returns
    -------
    table
        A table with ``columns``, a list of names, ``len(table)``, the number of rows, and columns by name.

    Raises
    ------
    ImportError
        If pyarrow is not installed.
    OSError
        If a file does not exist or cannot be read.
    TypeError, ValueError
        If an argument is not as described, a file is not Parquet, or its columns or their types differ from those of
        the first file.

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
    files = [_File.read_metadata(file) for file in paths]
    return ParquetTable(path, files, None if columns is None else list(columns), check_cache(cache))


def _parquet() -> Any:
    try:
        import pyarrow.parquet
    except ImportError:
        raise ImportError("Parquet files need pyarrow: pip install fastgd[parquet]") from None
    return pyarrow.parquet


def _paths(path: Any) -> list[str]:
    """List the files of `path` in order."""
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
    """State of a file when the table was opened."""

    path: str
    rows: int
    size: int
    changed: int
    footer: int
    types: dict[str, Any]

    @classmethod
    def read_metadata(cls, path: str) -> _File:
        """Read the metadata of a file."""
        import pyarrow as pa

        try:
            state = cls.state(path)
            with _open(path) as file:
                schema, rows = file.schema_arrow, file.metadata.num_rows
        except (pa.ArrowException, ValueError) as error:
            raise ValueError(f"cannot read {path} as Parquet: {error}") from None
        repeated = {name for name in schema.names if schema.names.count(name) > 1}
        return cls(path, rows, *state, {name: None if name in repeated else kind
                                        for name, kind in zip(schema.names, schema.types, strict=True)})

    @staticmethod
    def state(path: str) -> tuple[int, int, int]:
        """Return size, time of the last change in ns and CRC of the metadata, to detect a changed file."""
        with open(path, "rb") as file:
            about = os.fstat(file.fileno())
            file.seek(-min(8, about.st_size), os.SEEK_END)
            tail = file.read()
            length = int.from_bytes(tail[:4], "little")
            file.seek(-min(8 + length, about.st_size), os.SEEK_END)
            return about.st_size, about.st_mtime_ns, zlib.crc32(file.read())

    @property
    def is_touched(self) -> bool:
        """True if size or time have changed; cheap enough for each batch."""
        about = os.stat(self.path)
        return (about.st_size, about.st_mtime_ns) != (self.size, self.changed)


def _open(path: str) -> Any:
    """Open a file with reads of `BYTES_OF_A_READ`; by default pyarrow buffers whole row groups."""
    return _parquet().ParquetFile(path, buffer_size=BYTES_OF_A_READ, pre_buffer=False)


class ParquetTable(Table):
    """Columns of Parquet files, one file after another; made by `open_parquet`."""

    def __init__(self, path: Any, files: list[_File], columns: list[str] | None, cache: str | None) -> None:
        self._path, self._files, self.cache = path, files, cache
        first = files[0]
        self.columns = list(first.types) if columns is None else columns
        for file in files:
            self._check_file(file, first, columns is None)

    def _check_file(self, file: _File, first: _File, has_all: bool) -> None:
        missing = [name for name in self.columns if name not in file.types]
        if missing:
            raise ValueError(f"{file.path} has no column {missing[0]!r}; it has {_quote(file.types)}.")
        more = [name for name in file.types if name not in first.types] if has_all else []
        if more:
            raise ValueError(f"{file.path} has a column {more[0]!r}, and {first.path} has none. Name the columns to "
                             "read: columns=[...].")
        for name in self.columns:
            if file.types[name] is not None and _kind(file.types[name]) != _kind(first.types[name]):
                raise ValueError(f"The column {name!r} is {file.types[name]} in {file.path}, and {first.types[name]} "
                                 f"in {first.path}.")

    def __repr__(self) -> str:
        return f"open_parquet({self._path!r})"

    def __len__(self) -> int:
        return sum(file.rows for file in self._files)

    def _check_columns(self, names: tuple[str, ...]) -> None:
        """Raise ValueError for a name of no column or of several columns."""
        for name in names:
            if name not in self.columns:
                raise ValueError(f"{self!r} has no column {name!r}; it has {_quote(self.columns)}.")
            for file in self._files:
                if file.types[name] is None:
                    raise ValueError(f"{file.path} has several columns {name!r}. Write the file anew with a name for "
                                     "each, or leave it out: columns=[...].")

    def _check_numbers(self, names: Sequence[str]) -> None:
        """Raise TypeError for a column that is not numeric."""
        first = self._files[0]
        for name in names:
            if _kind(first.types[name]) is None:
                raise TypeError(f"The column {name!r} of {first.path} should be real numbers, and is "
                                f"{first.types[name]}. Convert it to numeric values explicitly instead.")

    def _whole(self) -> ColumnRoles:
        """Select the only column; ValueError if there are several."""
        if len(self.columns) != 1:
            raise ValueError(f"{self!r} has the columns {_quote(self.columns)}: name the one that is to be dataset, "
                             f"table[{self.columns[-1]!r}], and those of X, table[[...]].")
        self._check_columns((self.columns[0],))
        return ColumnRoles(self.columns[0])

    def _identity(self) -> Any:
        """Return the paths and states of the files."""
        return [[os.path.abspath(file.path), file.size, file.changed, file.footer] for file in self._files]

    def _read(self, roles: ColumnRoles) -> Generator[RawBlock]:
        """Yield the batches of each file; SourceError where a file cannot be read or has changed."""
        names = roles.names
        rows = max(1, min(ROWS_OF_A_BATCH, NUMBERS_OF_A_BATCH // len(names)))
        types = self._files[0].types
        dtype = np.dtype(np.float32 if roles.X and all(_kind(types[name]) == "float32" for name in roles.X)
                         else np.float64)
        place = 0
        for file in self._files:
            start = 0
            with _as_source_errors(file.path):
                if file.state(file.path) != (file.size, file.changed, file.footer):
                    raise _change_error(file.path)
                with _open(file.path) as opened:
                    for batch in opened.iter_batches(rows, columns=names, use_threads=False):
                        if file.is_touched:
                            raise _change_error(file.path)
                        where = f"Block {place} ({file.path}, from row {start} on)"
                        parts = dict(zip(batch.schema.names, batch.columns, strict=True))
                        _check_missing(file.path, start, parts)
                        place, start = place + 1, start + len(batch)
                        del batch
                        yield _raw_block(where, parts, roles, dtype)
                        parts.clear()


def _change_error(path: str) -> SourceError:
    return SourceError(f"{path} was written to since it was opened. The data must not change during a descent.")


@contextmanager
def _as_source_errors(path: str) -> Iterator[None]:
    """Convert errors of the system and of pyarrow to SourceError."""
    import pyarrow as pa

    try:
        yield
    except (OSError, pa.ArrowException) as error:
        raise SourceError(f"{path} could not be read: {error}") from error


def _check_missing(path: str, start: int, batch: dict[str, Any]) -> None:
    """Raise ValueError for the first missing value of a batch that begins at row `start`."""
    for name, column in batch.items():
        if column.null_count:
            row = start + int(column.is_null().to_numpy(zero_copy_only=False).argmax())
            raise ValueError(f"The column {name!r} of {path} has a missing value in row {row}. Drop such rows, or fill "
                             "the gaps.")


class _Columns:
    """Columns of a batch that become one array in the thread that works on them, not in the reader."""

    def __init__(self, columns: list[FloatArray], dtype: np.dtype[Any]) -> None:
        self._columns, self._dtype = columns, dtype

    def __len__(self) -> int:
        return len(self._columns[0])

    def __array__(self, dtype: Any = None, copy: Any = None) -> FloatArray:
        X = np.empty((len(self), len(self._columns)), self._dtype)
        for place, column in enumerate(self._columns):
            X[:, place] = column
        return X


def _raw_block(where: str, batch: dict[str, Any], roles: ColumnRoles, dtype: np.dtype[Any]) -> RawBlock:
    """Return the arrays of a batch, which own its memory."""
    X = None if roles.X is None else _Columns([_numbers(batch[name]) for name in roles.X], dtype)
    targets, weights = (None if name is None else _numbers(batch[name]) for name in (roles.targets, roles.weights))
    return RawBlock(where, X, targets, weights, roles.X, is_owned=True)


def _numbers(column: Any) -> Any:
    return column.to_numpy(zero_copy_only=False)


def _kind(kind: Any) -> str | None:
    """Return "float32", "float64" for all other numeric types, None for the rest."""
    import pyarrow.types as types

    if kind is None or not (types.is_floating(kind) or types.is_integer(kind) or types.is_boolean(kind)):
        return None
    return "float32" if types.is_float32(kind) else "float64"


def _quote(names: Any) -> str:
    return ", ".join(repr(name) for name in names)
