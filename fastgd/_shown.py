"""How a result is shown: lines of text, or a table for notebooks. Each parameter is there with its name."""
from __future__ import annotations

import math
import textwrap
from typing import TYPE_CHECKING, Any

from fastgd._limits import ONE_A_LINE, WIDTH
from fastgd._theta import is_array

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from fastgd._types import DoubleArray
    from fastgd.results import DescentResult

#: Characters of the labels of rows, between two columns, and that are left for what stands beside a label.
_LABEL, _GAP = 8, 3
_ROOM = WIDTH - _LABEL - len(": ")
#: Parameters above which the first and the last of them are shown, and how many of each.
MOST_SHOWN, _END = 500, 30


def names_of(result: DescentResult[Any]) -> list[str]:
    """A name for each component of the theta of a linear model."""
    count = len(result.x) - result.fit_intercept
    names = [f"x{k}" for k in range(count)] if result.feature_names is None else result.feature_names
    return ["intercept", *names] if result.fit_intercept else [*names]


def as_text(result: DescentResult[Any]) -> str:
    """A line for each field, and of a linear model one for each parameter, or several of many."""
    x, jac = [str(result.x)], [str(result.jac)]
    if is_array(result.x):
        x = _long_columns(names_of(result), result.x)
    if is_array(result.jac):
        values = [f"{value:.3g}" for value in (*_ends(result.jac)[0], *_ends(result.jac)[1])]
        if len(values) < len(result.jac):
            values[len(values) // 2:len(values) // 2] = ["..."]
        jac = textwrap.wrap(f"[{' '.join(values)}]", _ROOM)
    below = "\n" + " " * (WIDTH - _ROOM)
    rows: list[tuple[str, object]] = [
        ("x", below.join(x)), ("fun", result.fun), ("jac", below.join(jac)), ("nit", result.nit),
        ("success", result.success), ("status", result.status), ("message", result.message), *_history(result),
        *_passes(result)]
    return "\n".join(f"{label:>{_LABEL}}: {value}" for label, value in rows)


def as_html(result: DescentResult[Any]) -> str:
    """A table of the fields, and of a linear model another one of its parameters."""
    facts: list[tuple[str, object]] = [
        ("status", f"{result.status}, {'success' if result.success else 'no success'}"), ("message", result.message),
        ("fun", result.fun), ("nit", result.nit), *_history(result), *_passes(result)]
    if not is_array(result.x):
        return _table([(label, [value]) for label, value in (*facts, ("x", result.x), ("jac", result.jac))])
    columns = {"x": result.x} if result.jac is None else {"x": result.x, "jac": result.jac}
    names = names_of(result)
    parts: list[list[tuple[str, Sequence[object]]]] = [
        [(name, [f"{value:.6g}" for value in row]) for name, *row in zip(*ends, strict=True)]
        for ends in zip(_ends(names), *(_ends(column) for column in columns.values()), strict=True)]
    between = [(f"... {len(names) - 2 * _END} more", ["..."] * len(columns))] if len(names) > MOST_SHOWN else []
    return (_table([(label, [value]) for label, value in facts])
            + _table([*parts[0], *between, *parts[1]], ["", *columns]))


def _ends(values: Any) -> tuple[Any, Any]:
    """The first and the last of many values, as pandas shows them; all and none of few."""
    return (values, values[:0]) if len(values) <= MOST_SHOWN else (values[:_END], values[-_END:])


def _long_columns(names: Sequence[str], values: DoubleArray) -> list[str]:
    """Lines of names and values, without those in the middle of many."""
    if len(names) <= MOST_SHOWN:
        return _in_columns(names, values)
    (first, last), (low, high) = _ends(names), _ends(values)
    return [*_in_columns(first, low), f"... {len(names) - 2 * _END} more", *_in_columns(last, high)]


def _history(result: DescentResult[Any]) -> list[tuple[str, object]]:
    """The row of a history, if there is one: how long it is."""
    return [] if result.history is None else [("history", f"DataFrame of {len(result.history)} updates")]


def _passes(result: DescentResult[Any]) -> list[tuple[str, object]]:
    """The row of data that are not in memory: how often they were read, and how much that was."""
    if result.passes is None or result.bytes_read is None:
        return []
    return [("passes", f"{result.passes} over the data, {result.bytes_read / 1e6:,.1f} MB in all")]


def _in_columns(names: Sequence[str], values: DoubleArray) -> list[str]:
    """Lines of names and values: one a line, or many in columns that are read downwards; a long name is wrapped."""
    numbers = [format(value, " .6g") for value in values]
    longest = max(map(len, numbers))
    wrapped = [textwrap.wrap(name, _ROOM - 1 - longest) or [""] for name in names]
    width = max(len(line) for lines in wrapped for line in lines)
    cells = [line for lines, number in zip(wrapped, numbers, strict=True)
             for line in (*lines[:-1], f"{lines[-1]:{width}} {number:{longest}}")]
    n_lines = len(cells)
    if len(names) > ONE_A_LINE and len(cells) == len(names):
        n_lines = math.ceil(len(cells) / ((_ROOM + _GAP) // (width + 1 + longest + _GAP)))
    return [(" " * _GAP).join(cells[k::n_lines]).rstrip() for k in range(n_lines)]


def _table(rows: Iterable[tuple[str, Sequence[object]]], headings: Sequence[str] = ()) -> str:
    """An HTML table with the label of each row at its left."""
    from html import escape  # here, because few look at a table

    head = f"<thead><tr>{''.join(f'<th>{heading}</th>' for heading in headings)}</tr></thead>" if headings else ""
    body = "\n".join(f"<tr><th>{escape(label)}</th>{''.join(map(_cell, cells))}</tr>" for label, cells in rows)
    return f"<table>{head}<tbody>\n{body}\n</tbody></table>\n"


def _cell(value: object) -> str:
    from html import escape

    return f'<td style="text-align: left">{escape(str(value))}</td>'
