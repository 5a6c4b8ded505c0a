"""Small functions of numbers and arrays: equality, copies, the largest component, and text or HTML of a result.

A theta is a float in the constant model and an array of float64 in a linear one.
"""
from __future__ import annotations

import math
import textwrap
from dataclasses import fields
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import TypeGuard

    from fastgd._types import DoubleArray, Theta
    from fastgd.results import DescentResult

#: Characters of a line, of the label of a row, and between two columns.
LINE_WIDTH, _LABEL, _GAP = 120, 8, 3
_ROOM = LINE_WIDTH - _LABEL - len(": ")
#: Parameters up to which each has a line of its own; more of them go in columns.
ONE_A_LINE = 20
#: Parameters up to which all are listed, and of how many the first and the last ones are listed where there are more.
MOST_LISTED, _END = 500, 30
#: Components of a theta in a sentence.
_IN_A_SENTENCE = 8


def is_array(theta: object) -> TypeGuard[DoubleArray]:
    """Return True if theta belongs to a linear model."""
    return isinstance(theta, np.ndarray) and theta.ndim > 0


def is_finite(theta: Theta) -> bool:
    """Return True if every component of theta is finite."""
    return math.isfinite(theta) if isinstance(theta, float) else bool(np.isfinite(theta).all())


def max_abs(step: Theta) -> float:
    """Compute the largest absolute component."""
    return abs(step) if isinstance(step, float) else np.abs(step).max()


def copy_theta(theta: Any) -> Theta:
    """Copy theta to a float or a new array."""
    return np.array(theta) if is_array(theta) else float(theta)


def equal(left: Any, right: Any) -> bool:
    """Compare two numbers, arrays of numbers or values of any type; a NaN equals a NaN."""
    if (type(left) is np.ndarray or isinstance(left, np.ndarray)) and (
            type(right) is np.ndarray or isinstance(right, np.ndarray)):
        return np.array_equal(left, right, equal_nan=True)
    if isinstance(left, np.ndarray) or isinstance(right, np.ndarray):
        return False
    return bool(left == right or (left != left and right != right))


def equal_fields(left: Any, right: Any) -> bool:
    """Return True if two dataclass objects of one class are equal in every field that is compared."""
    return all(equal(getattr(left, field.name), getattr(right, field.name)) for field in fields(left) if field.compare)


def format_theta(theta: Theta, form: str = ".6g") -> str:
    """Format a number, or the first components of an array, for a sentence."""
    if not is_array(theta):
        return format(theta, form)
    parts = [format(value, form) for value in theta[:_IN_A_SENTENCE]]
    more = len(theta) - len(parts)
    return f"[{' '.join(parts)}{f' ... and {more} more' if more else ''}]"


def parameter_names(result: DescentResult[Any]) -> list[str]:
    """Name each component of the theta of a linear model."""
    count = len(result.x) - result.fit_intercept
    names = [f"x{k}" for k in range(count)] if result.feature_names is None else result.feature_names
    return ["intercept", *names] if result.fit_intercept else [*names]


def result_text(result: DescentResult[Any]) -> str:
    """Format a line for each field; for a linear model a line for each parameter, or columns of many."""
    x, jac = [str(result.x)], [str(result.jac)]
    if is_array(result.x):
        names = parameter_names(result)
        (first, last), (low, high) = _ends(names), _ends(result.x)
        x = _in_columns(first, low)
        if len(last):
            x += [f"... {len(names) - 2 * _END} more", *_in_columns(last, high)]
    if is_array(result.jac):
        first, last = ([f"{value:.3g}" for value in part] for part in _ends(result.jac))
        jac = textwrap.wrap(f"[{' '.join([*first, '...', *last] if last else first)}]", _ROOM)
    below = "\n" + " " * (LINE_WIDTH - _ROOM)
    rows: list[tuple[str, object]] = [
        ("x", below.join(x)), ("fun", result.fun), ("jac", below.join(jac)), ("nit", result.nit),
        ("success", result.success), ("status", result.status), ("message", result.message), *_optional_rows(result)]
    return "\n".join(f"{label:>{_LABEL}}: {value}" for label, value in rows)


def result_html(result: DescentResult[Any]) -> str:
    """Format a table of the fields; for a linear model another one of its parameters."""
    facts: list[tuple[str, object]] = [
        ("status", f"{result.status}, {'success' if result.success else 'no success'}"), ("message", result.message),
        ("fun", result.fun), ("nit", result.nit), *_optional_rows(result)]
    if not is_array(result.x):
        return _table([(label, [value]) for label, value in (*facts, ("x", result.x), ("jac", result.jac))])
    columns = {"x": result.x} if result.jac is None else {"x": result.x, "jac": result.jac}
    names = parameter_names(result)
    parts: list[list[tuple[str, Sequence[object]]]] = [
        [(name, [f"{value:.6g}" for value in row]) for name, *row in zip(*ends, strict=True)]
        for ends in zip(_ends(names), *(_ends(column) for column in columns.values()), strict=True)]
    between = [(f"... {len(names) - 2 * _END} more", ["..."] * len(columns))] if len(names) > MOST_LISTED else []
    return (_table([(label, [value]) for label, value in facts])
            + _table([*parts[0], *between, *parts[1]], ["", *columns]))


def _ends(values: Any) -> tuple[Any, Any]:
    """Return the first and the last of many values, as in pandas; all and none of few."""
    return (values, values[:0]) if len(values) <= MOST_LISTED else (values[:_END], values[-_END:])


def _optional_rows(result: DescentResult[Any]) -> list[tuple[str, object]]:
    """Format the rows for a history, and for passes over data that are not in memory."""
    rows: list[tuple[str, object]] = []
    if result.history is not None:
        rows.append(("history", f"DataFrame of {len(result.history)} updates"))
    if result.passes is not None and result.bytes_read is not None:
        rows.append(("passes", f"{result.passes} over the data, {result.bytes_read / 1e6:,.1f} MB in all"))
    return rows


def _in_columns(names: Sequence[str], values: DoubleArray) -> list[str]:
    """Format names and values: one a line, or many in columns that are read downwards; a long name is wrapped."""
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
    """Format an HTML table with the label of each row at its left."""
    from html import escape  # imported here, because only notebooks display tables

    def cell(value: object) -> str:
        return f'<td style="text-align: left">{escape(str(value))}</td>'

    head = f"<thead><tr>{''.join(f'<th>{heading}</th>' for heading in headings)}</tr></thead>" if headings else ""
    body = "\n".join(f"<tr><th>{escape(label)}</th>{''.join(map(cell, cells))}</tr>" for label, cells in rows)
    return f"<table>{head}<tbody>\n{body}\n</tbody></table>\n"
