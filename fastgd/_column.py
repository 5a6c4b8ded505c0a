"""A column of numbers out of a csv or parquet file, or one line that says what is wrong with it, where, and what helps.

pandas reads the file. Only when there is something to complain of is a csv file read again, record by record, to find
the line of it that a person sees in an editor: a row of pandas knows of no blank lines and no line breaks in quotes.
"""
from __future__ import annotations

import contextlib
import csv
import importlib
import io
import itertools
import re
import warnings
from decimal import Decimal
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, NamedTuple, cast

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import pandas as pd

    from fastgd._types import DoubleArray

#: What a number looks like that stands among other text; Python's float() also takes 1_000 and Arabic digits.
_NUMBER = re.compile(r"[-+]?((\d+\.?\d*|\.\d+)(e[-+]?\d+)?|inf(inity)?|nan)", re.ASCII | re.IGNORECASE)
_DECOMPRESSORS = {".gz": "gzip", ".bz2": "bz2", ".xz": "lzma"}
#: What pandas unpacks and the standard library has no stream for.
_ARCHIVE = re.compile(r"\.(zip|zst|tar|tar\.\w+)$", re.IGNORECASE)
_SEPARATORS = {";": "a semicolon", "\t": "a tab"}


class Column(NamedTuple):
    """Finite numbers, what to call them, and how many rows were left out; None if nobody asked for that."""

    values: DoubleArray
    name: str
    n_left_out: int | None = None

    @property
    def source(self) -> str:
        """In words, whose numbers these are and how many."""
        if self.n_left_out is None:
            return f"{self.name}: {_counted(len(self.values), 'point')}"
        left_out = f"{_counted(self.n_left_out, 'row')} with missing values left out"
        return f"{self.name}: {_counted(len(self.values), 'point')} ({left_out})"


class _Place(NamedTuple):
    """Where a value stands, and its text if that is known."""

    words: str
    text: str | None = None


class _Table(NamedTuple):
    file: str
    frame: pd.DataFrame
    #: From a row and a column, both from 0 on.
    place: Callable[[int, int], _Place]
    #: Whether the names are the first line of a text, which may have none.
    has_header: bool
    decimal: str = "."


def read_column(file: str | None, name: str | None, dropna: bool = False, decimal: str = ".") -> Column:
    """The column `name` of a csv or parquet file, or of the tips data if `file` is None.

    The only column of a file needs no name. A missing value is an error unless `dropna`, which leaves its row out. The
    separator of a csv file is found in its first lines; `decimal` is what stands before the decimals of its numbers.
    ValueError, OSError or ImportError if that is no column of numbers.
    """
    if file is None:
        from fastgd.datasets import load_tips

        table, name = _Table("tips", load_tips(), _row_place, has_header=False), name or "pcttip"
    else:
        table = _read_parquet(file, name) if file.lower().endswith(".parquet") else _read_csv(
            file, decimal)
    position = _position(table, name)
    name = str(table.frame.columns[position])
    if len(table.frame) == 0:
        raise ValueError(f"{table.file} has a header and no rows")
    values = _numbers(table, position)
    n, missing = len(values), np.isnan(values)
    count = int(missing.sum())
    whole = f"column {name!r} of {table.file}"
    if count == n:
        raise ValueError(f"{whole} has no numbers: {_counted(n, 'value')}, all missing")
    if count and not dropna:
        where = table.place(int(missing.argmax()), position).words
        raise ValueError(f"{whole} has {_counted(count, 'missing value')} of {n}, the first in {where}; "
                         "--dropna leaves such rows out")
    infinite = np.isinf(values)
    if infinite.any():
        row = int(infinite.argmax())
        where, text = table.place(row, position)
        raise ValueError(f"{whole} holds {_short(text or values[row])} in {where}, which is infinite or too large for "
                         "a 64-bit float; correct it, or leave it empty and use --dropna")
    return Column(values[~missing] if count else values, f"{name} of {table.file}", count if dropna else None)


def _counted(n: int, noun: str) -> str:
    return f"{n} {noun}{'' if n == 1 else 's'}"


def _short(value: object) -> str:
    text = repr(value) if isinstance(value, str) else str(value)
    return text if len(text) <= 40 else f"{text[:20]}...{text[-10:]}"


def _position(table: _Table, name: str | None) -> int:
    """Which column it is."""
    names = [str(column) for column in table.frame.columns]
    if name in names:
        return names.index(name)
    is_numbers = table.has_header and all(map(_NUMBER.fullmatch, names))
    if name is None and len(names) == 1:
        if is_numbers:
            raise ValueError(f"the first line of {table.file} must be the column's name, and it is {names[0]}; add a "
                             f"line above it, or say --column {names[0]} if that is the name")
        return 0
    wanted = "name a column with --column" if name is None else f"no column {name!r} in {table.file}"
    shown = [text if text.isprintable() and text.strip() == text != "" else repr(text) for text in names[:20]]
    more = f", ... ({len(names)} in all)" if len(names) > 20 else ""
    hint = ("these are numbers, and the first line must be names: add a line above it" if is_numbers else
            _separator_hint(names))
    raise ValueError(f"{wanted}; there are: {', '.join(shown) or 'none'}{more}{hint and f'; {hint}'}")


def _numbers(table: _Table, position: int) -> DoubleArray:
    """The values as floats, NaN where they are missing."""
    values = table.frame.iloc[:, position]
    if values.dtype.kind in "biuf":
        if isinstance(values.dtype, np.dtype):
            return values.to_numpy(dtype=np.float64)
        return values.to_numpy(dtype=np.float64, na_value=np.nan)
    whole = f"column {str(table.frame.columns[position])!r} of {table.file}"
    if values.dtype.kind in "mMc":
        raise ValueError(f"{whole} holds {values.dtype}, not numbers; name a column of numbers with --column")
    numbers = np.empty(len(values))
    for row, value in enumerate(values.astype(object)):
        number = _number(value, table.decimal)
        if number is None:
            where = table.place(row, position).words
            kind = "text" if isinstance(value, str) else type(value).__name__
            raise ValueError(f"{whole} holds {kind}, not numbers: {_short(value)} in {where}; {_advice(table, value)}")
        numbers[row] = number
    return numbers


def _number(value: Any, decimal: str = ".") -> float | None:
    """As a float; NaN for a missing value, infinity for one too large, None if it is no number."""
    import pandas as pd

    if isinstance(value, str):
        text = value.strip().replace(decimal, ".") if decimal != "." else value.strip()
        return np.nan if not text else float(text) if _NUMBER.fullmatch(text) else None
    if value is None or value is pd.NA or value is pd.NaT:
        return np.nan
    if isinstance(value, (int, float, np.bool_, np.integer, np.floating, Decimal)):
        try:
            return float(value)
        except OverflowError:
            return np.inf
    return None


def _advice(table: _Table, value: object) -> str:
    hint = _separator_hint([str(name) for name in table.frame.columns])
    if not hint and re.fullmatch(r"[-+]?\d[\d .,'_\u00a0\u202f\u2019]*", str(value).strip()):
        if table.decimal == "." and re.fullmatch(r"[-+]?\d+,(\d{1,2}|\d{4,})", str(value).strip()):
            return "if the comma stands before decimals, use --decimal ,"
        return "write numbers with a point for the decimals and nothing between the thousands"
    return hint or "correct it, leave it empty and use --dropna, or name another column with --column"


def _separator_hint(header: list[str]) -> str:
    """What to do if the header is one name that looks like several."""
    found = [called for mark, called in _SEPARATORS.items() if len(header) == 1 and mark in header[0]]
    return f"its columns seem to be separated by {found[0]}: separate them by commas" if found else ""


def _row_place(row: int, position: int) -> _Place:
    return _Place(f"row {row + 1}")


def _read_parquet(file: str, name: str | None) -> _Table:
    """The column alone, if it is there; else all, so that the others can be named."""
    import pandas as pd

    try:
        if "://" not in file:
            Path(file).stat()    # pandas looks for an engine first, and the engine says less
        frame = None
        if name is not None:
            with contextlib.suppress(ValueError):    # it is not there
                frame = pd.read_parquet(file, columns=[name])
        if frame is None or name not in frame.columns:
            frame = pd.read_parquet(file)
    except ImportError:
        raise ImportError(f"cannot read {file}: parquet files need pyarrow: pip install pyarrow") from None
    except OSError as error:
        raise OSError(f"cannot read {file}: {error.strerror or error}") from None
    except Exception as error:    # what an engine meets in a broken file is of many types
        raise ValueError(f"cannot read {file} as parquet: {error}") from None
    return _Table(file, frame, _row_place, has_header=False)


def _read_csv(file: str, decimal: str) -> _Table:
    import pandas as pd

    try:
        csv_file = _CsvFile(file, decimal)
        frame = csv_file.read()
    except pd.errors.EmptyDataError:
        raise ValueError(f"cannot read {file} as csv: it is empty; its first line must name the columns") from None
    except (pd.errors.ParserError, pd.errors.ParserWarning, UnicodeError) as error:
        raise ValueError(f"cannot read {file} as csv: {csv_file.complaint(error)}") from None
    except OSError as error:
        raise OSError(f"cannot read {file}: {error.strerror or error}") from None
    except Exception as error:    # what a decompressor meets in a broken file is of many types
        raise ValueError(f"cannot read {file} as csv: {error or type(error).__name__}") from None
    return _Table(file, frame, csv_file.place, has_header=True, decimal=decimal)


class _CsvFile:
    """A csv file that pandas reads, and that is walked through record by record to say where something stands."""

    def __init__(self, file: str, decimal: str) -> None:
        path = Path(file)
        self._file, self._decimal = file, decimal
        #: A pipe can be read once only.
        self._content = path.read_bytes() if path.exists() and not path.is_file() else None
        self._keeps_blank_lines = False
        self._separator = _separator_in(self._start(), decimal)

    def read(self) -> pd.DataFrame:
        """All of it. A blank line is no row, except between those of a file with one column: there it is missing."""
        if b"\0" in self._start():    # pandas would go on
            raise UnicodeError
        header = self._pandas(nrows=0)
        first_line = next(self._records(), (None, []))[0]
        if header.shape[1] != 1 or first_line is None:
            return self._pandas()
        self._keeps_blank_lines = True
        frame = self._pandas(skip_blank_lines=False, header=first_line - 1)
        if len(frame) and frame.iloc[-1:, 0].isna().item():
            frame = frame.iloc[:max(row for row, (_, fields) in enumerate(self._records()) if not _is_blank(fields))]
        return frame

    def _pandas(self, **options: Any) -> pd.DataFrame:
        import pandas as pd

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")    # such as that a column, perhaps another one, holds numbers and text
            # Without it a row with more fields than the header would lose them.
            warnings.simplefilter("error", pd.errors.ParserWarning)
            source = self._file if self._content is None else io.BytesIO(self._content)
            frame: pd.DataFrame = pd.read_csv(source, index_col=False, sep=self._separator, decimal=self._decimal,
                                              float_precision="round_trip", **options)
            return frame

    def _open(self) -> IO[bytes]:
        if self._content is not None:
            return io.BytesIO(self._content)
        if _ARCHIVE.search(self._file):
            from pandas.io.common import get_handle  # type: ignore[import-not-found]    # whose stubs lack it

            with contextlib.suppress(ValueError, ImportError), get_handle(
                    self._file, "rb", compression="infer", is_text=False) as handles:
                return io.BytesIO(cast("bytes", handles.handle.read()))
            raise OSError("only pandas can look into it")
        module = _DECOMPRESSORS.get(Path(self._file).suffix.lower())
        opener = importlib.import_module(module).open if module else open
        opened: IO[bytes] = opener(self._file, "rb")
        return opened

    def _start(self) -> bytes:
        """The first bytes; none if only pandas can open the file."""
        try:
            with self._open() as binary:
                return binary.read(2**12)
        except OSError:
            return b""

    def _records(self) -> Iterator[tuple[int, list[str]]]:
        """The header and all rows, each with the line in which it starts; none if only pandas can open the file."""
        try:
            with self._open() as binary:
                text = io.TextIOWrapper(binary, encoding="utf-8-sig", newline="")
                reader = csv.reader(text, delimiter=self._separator)
                started, line = False, 1
                try:
                    for fields in reader:
                        blank = _is_blank(fields)
                        started = started or not blank
                        if started and (self._keeps_blank_lines or not blank):
                            yield line, fields
                        line = reader.line_num + 1
                except csv.Error:    # a field too long for it, such as after a quote that is never closed
                    yield line, []
        except (OSError, UnicodeError):
            return

    def place(self, row: int, position: int) -> _Place:
        """The line of the file, or else the row below the header."""
        line, fields = next(itertools.islice(self._records(), row + 1, None), (None, []))
        if line is None:
            return _Place(f"row {row + 1} below the header")
        return _Place(f"line {line}", fields[position] if position < len(fields) else None)

    def complaint(self, error: Exception) -> str:
        """What is wrong with a file that pandas cannot read."""
        start = self._start()
        if start.startswith((b"\xff\xfe", b"\xfe\xff")):
            return "it is text in UTF-16; save it as UTF-8"
        if b"\0" in start:
            return "it is not text; save it as csv in UTF-8, or as .parquet"
        if not start:    # only pandas can open it
            return str(error)
        if isinstance(error, UnicodeError):
            with self._open() as binary:
                line = next((line for line, text in enumerate(binary, 1) if not _is_utf8(text)), None)
            return f"line {line} is not text in UTF-8; save the file as UTF-8"
        return self._wrong_record(str(error))

    def _wrong_record(self, error: str) -> str:
        """Which record is wrong: one with more fields than the header, the last if a quote in it is never closed."""
        header: list[str] = []
        line, longer, hint = 0, None, "it ends with a comma too many"
        for line, fields in self._records():
            header = header or fields
            if len(fields) > len(header):
                longer = longer or (line, len(fields))
                if any(fields[len(header):]):    # pandas may take empty fields at the end for none
                    longer, hint = (line, len(fields)), "a text with a comma needs quotes, and a number no comma"
                    break
        if "EOF inside string" in error and line:
            return f"the quote that opens in line {line} is never closed"
        if longer is None:
            return error
        return (f"line {longer[0]} has {_counted(longer[1], 'field')} and the header {len(header)}; "
                f"{_separator_hint(header) or hint}")


def _separator_in(start: bytes, decimal: str) -> str:
    """The separator by which all of the first lines have the same number of fields, and the most; else a comma.

    The mark before decimals is none.
    """
    text = start.decode("utf-8-sig", errors="replace")
    lines = [line for line in text.splitlines()[:20] if line.strip()]
    if len(start) == 2**12 and len(lines) > 1 and len(lines) < 20:
        lines.pop()    # which may be cut
    separators = [each for each in (",", *_SEPARATORS, "|") if each != decimal]
    best, most = separators[0], 1
    for separator in separators:
        counts = {len(fields) for fields in csv.reader(lines, delimiter=separator)}
        if len(counts) == 1 and max(counts) > most:
            best, most = separator, max(counts)
    return best


def _is_blank(fields: list[str]) -> bool:
    """Whether that is what the csv module makes of a blank line; of "" in quotes it makes [""]."""
    return not fields or (len(fields) == 1 and fields[0] != "" and not fields[0].strip(" \t"))


def _is_utf8(text: bytes) -> bool:
    try:
        text.decode()
    except UnicodeDecodeError:
        return False
    return True
