"""Read a column of numbers from a csv or parquet file with pandas, or raise an error of one line."""
from __future__ import annotations

import codecs
import contextlib
import csv
import difflib
import importlib
import io
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

if TYPE_CHECKING:
    import pandas as pd

    from fastgd._types import DoubleArray

#: Separators in the order of preference, and their names in messages.
_SEPARATORS = {",": "a comma", ";": "a semicolon", "\t": "a tab", "|": "a bar"}
#: Bytes at the start of a file from which the separator is found.
_SAMPLE = 2**14


class Column(NamedTuple):
    """Finite numbers, their name, and a description with their count."""

    values: DoubleArray
    name: str
    source: str


def read_column(file: str | None, name: str | None, dropna: bool = False, decimal: str = ".") -> Column:
    """Read the column `name` of a csv or parquet file, or of the tips data if `file` is None.

    A file with one column needs no name. Rows with missing values raise an error, or are left out with `dropna`.

    Raises
    ------
    ValueError, OSError, ImportError
        If the file cannot be read, or the column is not there or does not consist of finite numbers.
    """
    if file is None:
        from fastgd.datasets import load_tips

        file, tips = "tips", load_tips()
        column = tips.iloc[:, _position(file, list(tips.columns), name or "pcttip")]
    else:
        try:
            column = (_read_parquet if file.lower().endswith(".parquet") else _read_csv)(file, name, decimal)
        except OSError as error:
            raise OSError(f"cannot read {file}: {error.strerror or error}") from None
    label = f"column {str(column.name)!r} of {file}"
    values = _numbers(column, label, decimal)
    is_missing = np.isnan(values)
    n, n_missing = len(values), int(is_missing.sum())
    if n == 0:
        raise ValueError(f"{file} has a header and no rows")
    if n_missing == n:
        raise ValueError(f"{label} has no numbers: {_count_text(n, 'value')}, all missing")
    if n_missing and not dropna:
        raise ValueError(f"{label} has {_count_text(n_missing, 'missing value')} of {n}, the first in row "
                         f"{is_missing.argmax() + 1}; leave such rows out with --dropna")
    if np.isinf(values).any():
        raise ValueError(f"{label} has an infinite number, or one too large for a 64-bit float, in row "
                         f"{np.isinf(values).argmax() + 1}; correct it, or leave it empty and use --dropna")
    left_out = f" ({_count_text(n_missing, 'row')} with missing values left out)" if dropna else ""
    name = f"{column.name} of {file}"
    return Column(values[~is_missing], name, f"{name}: {_count_text(n - n_missing, 'point')}{left_out}")


def _count_text(n: int, noun: str) -> str:
    """Format a number of things."""
    return f"{n} {noun}{'' if n == 1 else 's'}"


def _position(file: str, names: list[str], name: str | None) -> int:
    """Find a column by its name; the only column needs none."""
    import pandas as pd

    if name in names:
        return names.index(name)
    hint = ""
    if pd.to_numeric(pd.Series(names), errors="coerce").notna().all():
        hint = "; these are numbers, and the first line of a csv file must be names: add a line above it"
    if name is None and len(names) == 1 and not hint:
        return 0
    close = difflib.get_close_matches(name or "", names, 1)
    if close:
        hint = f"; did you mean {close[0]!r}?"
    missing = "name a column with --column" if name is None else f"no column {name!r} in {file}"
    shown = [text if text.isprintable() and text.strip() == text else repr(text) for text in names[:20]]
    more = f", ... ({len(names)} in all)" if len(names) > 20 else ""
    raise ValueError(f"{missing}; its columns: {', '.join(shown) or 'none'}{more}{hint}")


def _numbers(column: pd.Series[Any], label: str, decimal: str) -> DoubleArray:
    """Convert a column to floats, with NaN for missing values."""
    import pandas as pd

    if column.dtype.kind in "biuf":
        return np.asarray(column.to_numpy(np.float64, na_value=np.nan), np.float64)
    if column.dtype.kind in "mMc":
        raise ValueError(f"{label} has values of type {column.dtype}, not numbers; name another with --column")
    swap = str.maketrans({decimal: ".", ".": decimal})
    values = column.astype(object).map(lambda v: v.strip().translate(swap) or np.nan if isinstance(v, str) else v)
    values = values.where(values.notna(), np.nan)
    truth = values.astype(str).str.lower().map({"true": 1.0, "false": 0.0})
    if truth.isna().equals(values.isna()):
        return np.asarray(truth, np.float64)
    is_bad = (pd.to_numeric(values, errors="coerce").isna() & values.notna()).to_numpy()
    if not is_bad.any():
        return np.asarray(values, np.float64)    # exact, which pd.to_numeric is from pandas 3.1 on only
    row = int(is_bad.argmax())
    value = column.iloc[row]
    shown = repr(value) if isinstance(value, str) else f"{type(value).__name__} {value}"
    advice = "correct it, or leave it empty and use --dropna, or name another column with --column"
    if re.fullmatch(r"[-+]?\d+[ .,'_\u00a0\u202f\u2019][\d .,'_\u00a0\u202f\u2019]*", str(value).strip()):
        advice = f"write numbers as 1234{decimal}5, or give the decimal mark with --decimal"
    raise ValueError(f"{label} is not all finite numbers: row {row + 1} has "
                     f"{shown if len(shown) <= 40 else f'{shown[:20]}...{shown[-10:]}'}; {advice}")


def _read_parquet(file: str, name: str | None, decimal: str) -> pd.Series[Any]:
    """Read one column of a parquet file."""
    import pandas as pd

    try:
        if "://" not in file:
            Path(file).stat()    # a missing file is reported before a missing engine
        frame = None
        if name is not None:
            with contextlib.suppress(ValueError):    # the column is not there
                frame = pd.read_parquet(file, columns=[name])
        if frame is None or name not in frame.columns:
            frame = pd.read_parquet(file)
    except ImportError:
        raise ImportError(f"cannot read {file}: parquet files need pyarrow: pip install pyarrow") from None
    except OSError:
        raise
    except Exception as error:    # engines raise many types on a broken file
        raise ValueError(f"cannot read {file} as parquet: {error}") from None
    return frame.iloc[:, _position(file, list(map(str, frame.columns)), name)]


def _read_csv(file: str, name: str | None, decimal: str) -> pd.Series[Any]:
    """Read one column of a csv file: as floats, else as text, so that the first bad value can be named."""
    import pandas as pd

    content = _read_text(file)
    sample = content[:_SAMPLE].decode(errors="ignore")
    separator = _separator(sample, decimal)
    options: dict[str, Any] = {"sep": separator, "decimal": decimal, "skipinitialspace": True, "index_col": False}
    if tuple(map(int, pd.__version__.split(".")[:2])) < (3, 1):    # the default is exact from 3.1 on
        options["float_precision"] = "round_trip"
    try:
        names = list(pd.read_csv(io.BytesIO(content), nrows=0, **options).columns)
        n, position = len(names), _position(file, names, name)
        # With usecols pandas drops the fields beyond the header in silence: a header with one column more shows them.
        content = separator.join(map(str, range(n + 1))).encode() + b"\n" + content
        # A blank line of a file with one column is a missing value.
        options |= {"skiprows": [1], "usecols": [position, n], "skip_blank_lines": n > 1}
        try:
            frame = pd.read_csv(io.BytesIO(content), dtype=np.float64, **options)
        except ValueError:
            frame = pd.read_csv(io.BytesIO(content), dtype=str, **options)
    except pd.errors.EmptyDataError:
        raise ValueError(f"cannot read {file}: it is empty; its first line must name the columns") from None
    except pd.errors.ParserError as error:
        quote = re.search(r"EOF inside string starting at row (\d+)", str(error))
        reason = f"the quote that opens near line {max(1, int(quote[1]))} is never closed" if quote else error
        raise ValueError(f"cannot read {file} as csv: {reason}") from None
    is_longer = frame.iloc[:, 1].notna().to_numpy()
    if is_longer.any():
        raise ValueError(f"row {is_longer.argmax() + 1} of {file} has more fields than the header, which has {n}; "
                         f"put text with {_SEPARATORS[separator]} into quotes, or give the decimal mark with --decimal")
    column: pd.Series[Any] = frame.iloc[:, 0]
    return column.rename(names[position])


def _read_text(file: str) -> bytes:
    """Read and unpack a file as UTF-8, without a byte-order mark and without blank lines at either end."""
    get_handle: Any = importlib.import_module("pandas.io.common").get_handle
    try:
        if file.lower().endswith(".zst"):    # pandas reads the first frame only
            decompressor: Any = importlib.import_module("zstandard").ZstdDecompressor()
            with Path(file).open("rb") as packed:
                content: bytes = decompressor.stream_reader(packed, read_across_frames=True).read()
        else:
            with get_handle(file, "rb", compression="infer", is_text=False) as handles:
                content = handles.handle.read()
        if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
            content = content.decode("utf-16").encode()
        content = content.removeprefix(codecs.BOM_UTF8).strip(b" \r\n")
        if b"\0" in content:
            raise ValueError("it is not text; save it as csv in UTF-8, or as .parquet")
        content.decode()
    except ImportError:
        raise ImportError(f"cannot read {file}: zst files need zstandard: pip install zstandard") from None
    except OSError:
        raise
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise ValueError(f"cannot read {file}: line {line} is not text in UTF-8; save the file as UTF-8") from None
    except Exception as error:    # decompressors raise many types on a broken file
        raise ValueError(f"cannot read {file} as csv: {error or type(error).__name__}") from None
    return content


def _separator(sample: str, decimal: str) -> str:
    """Choose the separator that splits the header, and splits the most rows into as many fields."""
    def fit(separator: str) -> tuple[bool, int]:
        rows = list(csv.reader(io.StringIO(sample, newline=""), delimiter=separator, skipinitialspace=True)) or [[]]
        return len(rows[0]) > 1, sum(len(row) == len(rows[0]) for row in rows)

    return max(sorted(_SEPARATORS, key=lambda mark: mark == decimal), key=fit)
