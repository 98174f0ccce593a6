"""Where the rows of a payload stand: single payloads as rows, whatever shape they have.

A row is either a list of cells without names (CSV, JSON arrays of scalars), each a text or None, or a
mapping from names to JSON values.
"""

from __future__ import annotations

import base64
import csv
import io
import sys
from collections.abc import Iterator
from typing import Any

from contract.dataset_format import Shape
from readers.python_rows import loads, scalar_text, without_surrogates

Row = list[str | None] | dict[str, Any]

# What a payload is: nothing, CSV or JSON.
NONE, CSV, JSON = 0, 1, 2

# Members under which servers take and give batches.
BATCH_MEMBERS = ("instances", "predictions", "inputs", "outputs")
_FRAMES = ("dataframe_split", "dataframe_records", "input_data")
_LEAST_DIGITS = 2


class UndecodableError(ValueError):
    """A payload is neither text in its encoding nor anything that can be recognised."""


def decode(text: str, encoding: str | None, content_type: str | None) -> tuple[str, int]:
    """Return the text of a payload, and whether it is CSV or JSON.

    Raises
    ------
    UndecodableError
        When it cannot be made sense of.
    """
    encoding = (encoding or "").upper()
    if encoding in ("CSV", "JSON"):
        return text, CSV if encoding == "CSV" else JSON
    if encoding == "BASE64":
        try:
            text = base64.b64decode(text, validate=False).decode()
        except ValueError:
            raise UndecodableError("is BASE64 of something that is no text") from None
    if "json" in (content_type or "").lower():
        return text, JSON
    # Servers often name the type that they expected, not the one they got.
    if text.lstrip()[:1] in ("{", "["):
        try:
            list(json_values(text))
        except UndecodableError:
            return text, CSV  # prose may begin with a bracket
        return text, JSON
    return text, CSV


def json_values(text: str) -> Iterator[Any]:
    """Yield the JSON value of a text, or one for each line.

    Raises
    ------
    UndecodableError
        When it is no JSON.
    """
    try:
        values = [loads(text)]
    except ValueError:
        try:
            values = [loads(line) for line in text.split("\n") if line.strip()]
        except ValueError:
            raise UndecodableError("is no JSON") from None
    yield from values


def csv_rows(text: str) -> list[list[str | None]]:
    """Return the rows of CSV text; empty cells are None."""
    # A payload is one cell at worst, however long; Python's limit guards against something else.
    csv.field_size_limit(sys.maxsize)
    rows = csv.reader(io.StringIO(without_surrogates(text).rstrip("\r\n"), newline=""))
    return [[cell or None for cell in row] or [None] for row in rows] or [[None]]


def payload_rows(text: str, kind: int, shape: Shape) -> list[Row] | None:
    """Return the rows of one payload, None where it holds nothing.

    Raises
    ------
    UndecodableError
        When it is no JSON.
    """
    if kind == CSV:
        return cells_as_rows(csv_rows(text), shape)
    values = [value for value in json_values(text) if value is not None]
    return rows_of_values(values, shape) or None


def rows_of_values(values: list[Any], shape: Shape) -> list[Row]:
    """Return the rows of the JSON values in a payload."""
    rows = [row for value in values for row in value_rows(value, shape)]
    if any(isinstance(row, dict) for row in rows) and any(isinstance(row, list) for row in rows):
        return [row if isinstance(row, dict) else _by_position(row) for row in rows]
    return rows


def cells_as_rows(rows: list[list[str | None]], shape: Shape) -> list[Row]:
    """Return lines of cells as rows: where rows are elements of a list, a line alone has one in each cell."""
    if shape == "list" and len(rows) == 1:
        return [[cell] for cell in rows[0]]
    return list(rows)


def value_rows(value: Any, shape: Shape) -> list[Row]:
    """Return the rows of one JSON value."""
    table = table_rows(value)
    if table is not None:
        return list(table)
    if isinstance(value, dict):
        if shape == "columns" and (by_column := column_rows(value)) is not None:
            return list(by_column)
        member = lone_list(value)
        if shape != "row" and member is not None:
            [name] = value
            return [item if isinstance(item, dict) else {name: item} for item in member]
        return [value]
    if isinstance(value, list):
        if is_row_like(value):
            return [_json_row(item) for item in value]
        if shape != "row" and value and not any(isinstance(item, dict | list) for item in value):
            return [_json_row(item) for item in value]
    return [_json_row(value)]


def lone_list(value: Any) -> list[Any] | None:
    """Return the list of an object whose only member it is, None where there is none or it is empty."""
    if isinstance(value, dict) and len(value) == 1:
        [member] = value.values()
        if isinstance(member, list) and member:
            return member
    return None


def is_row_like(items: list[Any]) -> bool:
    """Return whether elements can only be rows: all are objects, or all are lists."""
    return bool(items) and (
        all(isinstance(item, dict) for item in items) or all(isinstance(item, list) for item in items)
    )


def is_columns(value: Any) -> bool:
    """Return whether an object can be a table written column by column: lists of scalars of one length."""
    return (
        isinstance(value, dict)
        and bool(value)
        and all(isinstance(member, list) and member for member in value.values())
        and len({len(member) for member in value.values()}) == 1
        and not any(isinstance(item, dict | list) for member in value.values() for item in member)
    )


def table_rows(value: Any) -> list[Row] | None:
    """Return the rows of a table in a form that libraries write and nothing else has, None for others.

    These are pandas' orient ``split``, MLflow's ``dataframe_split`` and ``dataframe_records``, TensorFlow's
    ``inputs`` by name, and the tensors of the open inference protocol.
    """
    if not isinstance(value, dict) or not value:
        return None
    for name in _FRAMES:
        if isinstance(value.get(name), list | dict):
            return value_rows(value[name], "row")
    names, data = value.get("columns"), value.get("data")
    if isinstance(names, list) and isinstance(data, list) and value.keys() <= {"columns", "data", "index"}:
        titles = ["_".join(map(str, name)) if isinstance(name, list) else str(name) for name in names]
        if all(isinstance(row, list) and len(row) == len(titles) for row in data):
            return [dict(zip(titles, row, strict=True)) for row in data]
    for name in ("inputs", "outputs"):
        inner = value.get(name)
        if is_columns(inner):
            return column_rows(inner)
        if isinstance(inner, list) and inner and all(_is_tensor(tensor) for tensor in inner):
            return _tensor_rows(inner)
    return None


def column_rows(value: Any) -> list[Row] | None:
    """Return the rows of an object that is written column by column, None where it cannot be one.

    Its members are lists of one length, or it is as pandas' orients ``columns`` and ``index`` are.
    """
    if is_columns(value):
        return [dict(zip(value, cells, strict=True)) for cells in zip(*value.values(), strict=True)]
    if not isinstance(value, dict) or not all(
        isinstance(member, dict) and member for member in value.values()
    ):
        return None
    first: dict[str, Any] = next(iter(value.values()), {})
    if not first or any(member.keys() != first.keys() for member in value.values()):
        return None
    if all(label.isdecimal() for label in first):
        return [{name: member[label] for name, member in value.items()} for label in first]
    if len(value) >= _LEAST_DIGITS and all(label.isdecimal() for label in value):
        return list(value.values())
    return None


def _is_tensor(tensor: Any) -> bool:
    return (
        isinstance(tensor, dict)
        and isinstance(tensor.get("name"), str)
        and isinstance(tensor.get("shape"), list)
        and isinstance(tensor.get("data"), list)
        and bool(tensor["shape"])
        and all(isinstance(size, int) and size > 0 for size in tensor["shape"])
    )


def _tensor_rows(tensors: list[dict[str, Any]]) -> list[Row]:
    rows: list[dict[str, Any]] = [{} for _ in range(max(tensor["shape"][0] for tensor in tensors))]
    for tensor in tensors:
        cells = list(_scalars(tensor["data"]))
        width = max(1, len(cells) // tensor["shape"][0])
        for number in range(tensor["shape"][0]):
            part = cells[number * width : (number + 1) * width]
            rows[number][tensor["name"]] = part[0] if width == 1 and part else part
    return list(rows)


def _scalars(value: Any) -> Iterator[Any]:
    if isinstance(value, list):
        for item in value:
            yield from _scalars(item)
    else:
        yield value


def _json_row(value: Any) -> Row:
    if isinstance(value, dict):
        return value
    values = value if isinstance(value, list) else [value]
    if any(isinstance(item, dict | list) for item in values):
        return _by_position(values)
    return [scalar_text("", item) for item in values]


def _by_position(values: list[Any]) -> dict[str, Any]:
    return {f"_c{position}": value for position, value in enumerate(values)}
