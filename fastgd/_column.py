"""A column of numbers out of a csv or parquet file, or one line that says what is wrong with it, where, and what helps.

pandas reads the file. Only when there is an error to report is a csv file read again, record by record, to find the
line of it that a person sees in an editor: a row of pandas counts no blank lines and no line breaks in quotes.
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
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import pandas as pd

    from fastgd._types import DoubleArray

#: A number as text; Python's float() also takes 1_000 and Arabic digits.
_NUMBER = re.compile(r"[-+]?((\d+\.?\d*|\.\d+)(e[-+]?\d+)?|inf(inity)?|nan)", re.ASCII | re.IGNORECASE)
#: Separators in the order of preference, and their names.
_SEPARATORS = {",": "a comma", ";": "a semicolon", "\t": "a tab", "|": "a bar"}
#: Bytes in which the separator is found; fields that are read at once, of which one column is kept.
_SAMPLE, _FIELDS = 2**14, 2**21


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
    """A file in chunks of rows, at least one, all with the same columns."""

    file: str
    chunks: Iterator[pd.DataFrame]
    #: From a row and a column, both from 0 on.
    place: Callable[[int, int], _Place]
    #: The csv file, whose names are its first line; a text may have none.
    csv_file: _CsvFile | None = None
    decimal: str = "."


def read_column(file: str | None, name: str | None, dropna: bool = False, decimal: str = ".") -> Column:
    """Read the column `name` of a csv or parquet file, or of the tips data if `file` is None.

    The only column of a file needs no name. A missing value is an error unless `dropna`, which leaves its row out.
    ValueError, OSError or ImportError if that is no column of numbers.
    """
    if file is None:
        from fastgd.datasets import load_tips

        table, name = _Table("tips", iter([load_tips()]), _row_place), name or "pcttip"
    elif file.lower().endswith(".parquet"):
        table = _Table(file, iter([_read_parquet(file, name)]), _row_place, decimal=decimal)
    else:
        csv_file = _CsvFile(file, decimal)
        table = _Table(file, csv_file.chunks(), csv_file.place, csv_file, decimal)
    first = next(table.chunks)
    position = _position(table, first, name)
    name = str(first.columns[position])
    parts: list[DoubleArray] = []
    for chunk in itertools.chain([first], table.chunks):
        parts.append(_numbers(table, chunk.iloc[:, position], sum(map(len, parts)), position))
    values = np.concatenate(parts)
    if table.csv_file is not None:
        values = values[:table.csv_file.n_rows(values)]
    return _checked(table, name, position, values, dropna)


def _checked(table: _Table, name: str, position: int, values: DoubleArray, dropna: bool) -> Column:
    """The column without missing values; ValueError for those that nobody allowed, and for infinite ones."""
    if len(values) == 0:
        raise ValueError(f"{table.file} has a header and no rows")
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


def _position(table: _Table, frame: pd.DataFrame, name: str | None) -> int:
    """Which column it is."""
    names = [str(column) for column in frame.columns]
    if name in names:
        return names.index(name)
    is_numbers = table.csv_file is not None and all(_is_number(text, table.decimal) for text in names)
    if name is None and len(names) == 1:
        if is_numbers:
            raise ValueError(f"the first line of {table.file} must be the column's name, and it is {names[0]}; add a "
                             f"line above it, or say --column {names[0]} if that is the name")
        return 0
    wanted = "name a column with --column" if name is None else f"no column {name!r} in {table.file}"
    shown = [text if text.isprintable() and text.strip() == text != "" else repr(text) for text in names[:20]]
    more = f", ... ({len(names)} in all)" if len(names) > 20 else ""
    hint = "; these are numbers, and the first line must be names: add a line above it" if is_numbers else ""
    raise ValueError(f"{wanted}; there are: {', '.join(shown) or 'none'}{more}{hint}")


def _numbers(table: _Table, values: pd.Series[Any], start: int, position: int) -> DoubleArray:
    """The values, the first of which is row `start`, as floats; NaN where they are missing."""
    if values.dtype.kind in "biuf":
        if isinstance(values.dtype, np.dtype):
            return values.to_numpy(dtype=np.float64)
        return values.to_numpy(dtype=np.float64, na_value=np.nan)
    whole = f"column {str(values.name)!r} of {table.file}"
    if values.dtype.kind in "mMc":
        raise ValueError(f"{whole} holds {values.dtype}, not numbers; name a column of numbers with --column")
    numbers = np.empty(len(values))
    for row, value in enumerate(values.astype(object)):
        number = _number(value, table.decimal)
        if number is None:
            where = table.place(start + row, position).words
            kind = "text" if isinstance(value, str) else type(value).__name__
            raise ValueError(f"{whole} holds {kind}, not numbers: {_short(value)} in {where}; "
                             f"{_advice(value, table.decimal)}")
        numbers[row] = number
    return numbers


def _number(value: Any, decimal: str) -> float | None:
    """As a float; NaN for a missing value, infinity for one too large, None if it is no number."""
    import pandas as pd

    if isinstance(value, str):
        text = value.strip()
        return np.nan if not text else float(text.replace(decimal, ".")) if _is_number(text, decimal) else None
    if value is None or value is pd.NA or value is pd.NaT:
        return np.nan
    if isinstance(value, (int, float, np.bool_, np.integer, np.floating, Decimal)):
        try:
            return float(value)
        except OverflowError:
            return np.inf
    return None


def _is_number(text: str, decimal: str) -> bool:
    swapped = text if decimal == "." else text.translate({ord("."): ",", ord(","): "."})
    return _NUMBER.fullmatch(swapped) is not None


def _advice(value: object, decimal: str) -> str:
    if not re.fullmatch(r"[-+]?\d[\d .,'_\u00a0\u202f\u2019]*", str(value).strip()):
        return "correct it, leave it empty and use --dropna, or name another column with --column"
    if decimal == ",":
        return "write numbers with a comma for the decimals, as --decimal says, and nothing between the thousands"
    return ("write numbers with a point for the decimals and nothing between the thousands, or say --decimal , if the "
            "comma is the decimal mark")


def _row_place(row: int, position: int) -> _Place:
    return _Place(f"row {row + 1}")


def _read_parquet(file: str, name: str | None) -> pd.DataFrame:
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
    return frame


class _CsvFile:
    """A csv file that pandas reads, and that is read again record by record to find the line of a value."""

    def __init__(self, file: str, decimal: str) -> None:
        path = Path(file)
        self._file, self._decimal, self._separator = file, decimal, ","
        #: A pipe can be read once only.
        self._content = path.read_bytes() if path.exists() and not path.is_file() and not path.is_dir() else None
        #: A blank line is no row, except between those of a file with one column: there it is a missing value.
        self._keeps_blank_lines = False

    def chunks(self) -> Iterator[pd.DataFrame]:
        """The rows, as many at once as have a few million fields."""
        import pandas as pd

        try:
            yield from self._chunks()
        except pd.errors.EmptyDataError:
            raise ValueError(f"cannot read {self._file} as csv: it is empty; its first line must name the "
                             "columns") from None
        except (pd.errors.ParserError, pd.errors.ParserWarning, UnicodeError) as error:
            raise ValueError(f"cannot read {self._file} as csv: {self._complaint(error)}") from None
        except ImportError:
            raise ImportError(f"cannot read {self._file}: zst files need zstandard: pip install zstandard") from None
        except OSError as error:
            raise OSError(f"cannot read {self._file}: {error.strerror or error}") from None
        except Exception as error:    # what a decompressor meets in a broken file is of many types
            raise ValueError(f"cannot read {self._file} as csv: {error or type(error).__name__}") from None

    def _chunks(self) -> Iterator[pd.DataFrame]:
        import pandas as pd

        start = self._start()
        if b"\0" in start:    # pandas would go on
            raise UnicodeError
        self._separator = _separator(start, self._decimal)
        first_line, header = next(self._records(), (1, []))
        self._keeps_blank_lines = len(header) == 1
        where: dict[str, Any] = {"skip_blank_lines": False, "header": first_line - 1} if self._keeps_blank_lines else {}
        if tuple(map(int, pd.__version__.split(".")[:2])) < (3, 1):    # from 3.1 on numbers are rounded correctly, and
            where["float_precision"] = "round_trip"    # the argument is deprecated
        with self._text() as text:
            reader: Any = pd.read_csv(
                text, sep=self._separator, decimal=self._decimal, index_col=False, low_memory=False,
                chunksize=max(1, _FIELDS // max(1, len(header))), **where)
            while (chunk := self._next(reader)) is not None:
                yield chunk

    @staticmethod
    def _next(reader: Iterator[pd.DataFrame]) -> pd.DataFrame | None:
        import pandas as pd

        with warnings.catch_warnings():
            # Without it a row with more fields than the header would lose them.
            warnings.simplefilter("error", pd.errors.ParserWarning)
            return next(reader, None)

    @contextlib.contextmanager
    def _open(self) -> Iterator[Any]:
        """The bytes, unpacked as pandas does it by the ending of the name."""
        if self._content is not None:
            yield io.BytesIO(self._content)
        elif self._file.lower().endswith(".zst"):
            decompressor: Any = importlib.import_module("zstandard").ZstdDecompressor()
            # pandas would read the first frame alone.
            with Path(self._file).open("rb") as packed, decompressor.stream_reader(
                    packed, read_across_frames=True) as binary:
                yield binary
        else:
            get_handle: Any = importlib.import_module("pandas.io.common").get_handle
            with get_handle(self._file, "rb", compression="infer", is_text=False) as handles:
                yield handles.handle

    @contextlib.contextmanager
    def _text(self, encoding: str = "utf-8-sig") -> Iterator[io.TextIOWrapper]:
        with self._open() as binary:
            yield io.TextIOWrapper(binary, encoding=encoding, newline="")

    def _start(self) -> bytes:
        with self._open() as binary:
            start: bytes = binary.read(_SAMPLE)
            return start

    def _records(self) -> Iterator[tuple[int, list[str]]]:
        """The header and all rows, each with the line in which it starts."""
        with self._text() as text, contextlib.suppress(UnicodeError):
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

    def n_rows(self, values: DoubleArray) -> int:
        """How many of the rows are no blank lines at the end."""
        if not (self._keeps_blank_lines and len(values) and np.isnan(values[-1])):
            return len(values)
        return max(row for row, (_, fields) in enumerate(self._records()) if not _is_blank(fields))

    def place(self, row: int, position: int) -> _Place:
        """The line of the file, or else the row below the header."""
        line, fields = next(itertools.islice(self._records(), row + 1, None), (None, []))
        if line is None:
            return _Place(f"row {row + 1} below the header")
        return _Place(f"line {line}", fields[position] if position < len(fields) else None)

    def _complaint(self, error: Exception) -> str:
        """What is wrong with a file that pandas cannot read."""
        start = self._start()
        if start.startswith((b"\xff\xfe", b"\xfe\xff")):
            return "it is text in UTF-16; save it as UTF-8"
        if b"\0" in start:
            return "it is not text; save it as csv in UTF-8, or as .parquet"
        if isinstance(error, UnicodeError):
            with self._text("latin-1") as lines:
                line = next((line for line, text in enumerate(lines, 1) if not _is_utf8(text.encode("latin-1"))), None)
            return f"line {line} is not text in UTF-8; save the file as UTF-8"
        return self._wrong_record(str(error))

    def _wrong_record(self, error: str) -> str:
        """Which record is wrong: one with more fields than the header, the last if a quote in it is never closed."""
        header: list[str] = []
        mark = _SEPARATORS[self._separator]
        line, longer, hint = 0, None, f"it ends with {mark} too many"
        for line, fields in self._records():
            header = header or fields
            if len(fields) > len(header):
                longer = longer or (line, len(fields))
                if any(fields[len(header):]):    # pandas may take empty fields at the end for none
                    longer, hint = (line, len(fields)), f"a text with {mark} needs quotes"
                    if self._separator == ",":
                        hint += ", and a number no comma, or say --decimal , if the comma is the decimal mark"
                    break
        if "EOF inside string" in error and line:
            return f"the quote that opens in line {line} is never closed"
        if longer is None:
            return error
        return f"line {longer[0]} has {_counted(longer[1], 'field')} and the header {len(header)}; {hint}"


def _separator(start: bytes, decimal: str) -> str:
    """The separator with which most rows have as many fields as the header, and most fields are numbers."""
    lines = io.StringIO(start.decode("utf-8-sig", errors="replace"), newline="").readlines()
    if len(start) == _SAMPLE and len(lines) > 1:
        del lines[-1]    # it is cut

    def fit(separator: str) -> tuple[bool, float, int]:
        try:
            header, *rows = (fields for fields in csv.reader(lines, delimiter=separator) if not _is_blank(fields))
        except (csv.Error, ValueError):    # a field too long, no line at all
            return False, 0.0, 0
        regular = sum(len(header) in (len(fields), len(fields) - (fields[-1] == "")) for fields in rows)
        numbers = sum(_is_number(text.strip(), mark) for fields in rows for text in fields for mark in ".,")
        return len(header) > 1, regular / max(1, len(rows)), numbers

    # A decimal comma may stand in a file separated by commas, in quotes, and does so more seldom.
    fits = {separator: fit(separator) for separator in sorted(_SEPARATORS, key=lambda mark: mark == decimal)}
    return max(fits, key=lambda separator: fits[separator])


def _is_blank(fields: list[str]) -> bool:
    """Whether that is what the csv module makes of a blank line; of "" in quotes it makes [""]."""
    return not fields or (len(fields) == 1 and fields[0] != "" and not fields[0].strip(" \t"))


def _is_utf8(text: bytes) -> bool:
    try:
        text.decode()
    except UnicodeDecodeError:
        return False
    return True
