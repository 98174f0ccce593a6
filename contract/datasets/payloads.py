"""The payloads of one captured request or response as rows, exactly and one at a time.

A row is either a list of cells without names (CSV, JSON arrays of scalars), each a text or None, or a
mapping from names to JSON values (JSON objects).
"""

from __future__ import annotations

import base64
import csv
import io
import json
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from contract.datasets.rows import scalar_text, without_surrogates

Row = list[str | None] | dict[str, Any]


class UndecodableError(ValueError):
    """A payload is neither text in its encoding nor anything that can be recognised."""


@dataclass(slots=True)
class Payload:
    """The rows of one payload.

    Parameters
    ----------
    rows
        At least one.
    whole
        Set for an object whose only member is a list, such as ``{"instances": [...]}``: the object as one
        row. `rows` then holds the elements of the list. `settle` decides which of the two it is.
    row_like
        For such an object, whether all elements are objects or all are lists, not scalars.
    """

    rows: list[Row]
    whole: dict[str, Any] | None = None
    row_like: bool = False


def loads(text: str | bytes) -> Any:
    """Parse JSON as found in the wild: also ``NaN``, ``Infinity`` and lone surrogates, as Python writes them.

    Raises
    ------
    ValueError
        When it is no JSON at all, or no UTF-8.
    """
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        try:
            return _repaired(json.loads(text))
        except RecursionError:
            raise ValueError("nested too deeply") from None


def parse_payload(part: Any) -> Payload | None:
    """Return the rows of one part of a capture record, such as its ``endpointInput``.

    Parameters
    ----------
    part
        The mapping with ``data``, ``encoding`` and ``observedContentType``.

    Returns
    -------
    None when nothing was captured.

    Raises
    ------
    UndecodableError
        When ``data`` cannot be made sense of.
    """
    data = part.get("data") if isinstance(part, dict) else None
    if data is None:
        return None
    encoding = str(part.get("encoding") or "").upper()
    content_type = str(part.get("observedContentType") or "").lower()
    if not isinstance(data, str):
        return _json_payload(data)
    if encoding == "CSV":
        return csv_payload(data)
    if encoding == "JSON":
        return _json_text(data)
    return _sniffed(_decoded(data) if encoding == "BASE64" else data, content_type)


def csv_payload(text: str) -> Payload:
    """Return the rows of CSV text; empty cells are None."""
    # A payload is one cell at worst, however long; Python's limit guards against something else.
    csv.field_size_limit(sys.maxsize)
    rows = csv.reader(io.StringIO(without_surrogates(text).rstrip("\r\n"), newline=""))
    return Payload([[cell or None for cell in row] or [None] for row in rows] or [[None]])


def settle(payloads: Sequence[Payload | None]) -> list[list[Row] | None]:
    """Return the rows of the request and of its response, deciding what lists in them mean.

    An object whose only member is a list stands for several rows when every other payload of the record
    has as many rows: ``{"instances": [a, b]}`` and ``{"predictions": [0.1, 0.9]}`` are two rows. Alone, it
    does when the elements are objects or lists. Otherwise it is one row, a list being a nested value.

    Parameters
    ----------
    payloads
        Everything captured of one record, whether or not it is wanted: the decision must not depend on
        what is looked at.

    Returns
    -------
    The rows of each payload, None where it is None.
    """
    return [
        None
        if payload is None
        else payload.rows
        if payload.whole is None or _stands_for_rows(payload, payloads)
        else [payload.whole]
        for payload in payloads
    ]


def json_cells(values: list[Any]) -> Row:
    """Return a JSON array as a row: cells when all are scalars, else names by position."""
    if any(isinstance(value, dict | list) for value in values):
        return {f"_c{position}": value for position, value in enumerate(values)}
    return [scalar_text("", value) for value in values]


def common_count(counts: Counter[int]) -> int:
    """Return the most common count, the first seen among equals, 0 for none."""
    return max(counts, key=counts.__getitem__, default=0)


def _stands_for_rows(payload: Payload, payloads: Sequence[Payload | None]) -> bool:
    others = [other for other in payloads if other is not None and other is not payload]
    count = len(payload.rows)
    if not others:
        return payload.row_like
    if any(len(other.rows) != count for other in others):
        return False
    return count > 1 or payload.row_like or all(other.whole is not None for other in others)


def _json_text(text: str) -> Payload | None:
    try:
        return _json_payload(loads(text))
    except ValueError:
        pass
    lines = [line for line in text.split("\n") if line.strip()]
    try:
        rows = [_json_row(loads(line)) for line in lines]
    except ValueError:
        raise UndecodableError("is no JSON") from None
    if not rows:
        return None
    return Payload(rows)


def _json_payload(value: Any) -> Payload | None:
    if value is None:
        return None
    if isinstance(value, dict) and len(value) == 1:
        [(name, member)] = value.items()
        if isinstance(member, list) and member:
            rows: list[Row] = [item if isinstance(item, dict) else {name: item} for item in member]
            return Payload(rows, value, _same_shape(member))
    if isinstance(value, list) and _same_shape(value):
        return Payload([_json_row(item) for item in value])
    return Payload([_json_row(value)])


def _same_shape(items: list[Any]) -> bool:
    return bool(items) and (
        all(isinstance(item, dict) for item in items) or all(isinstance(item, list) for item in items)
    )


def _json_row(value: Any) -> Row:
    if isinstance(value, dict):
        return value
    return json_cells(value if isinstance(value, list) else [value])


def _decoded(data: str) -> str:
    try:
        return base64.b64decode(data, validate=False).decode()
    except ValueError:
        raise UndecodableError("is BASE64 of something that is no text") from None


def _sniffed(text: str, content_type: str) -> Payload | None:
    if "json" in content_type:
        return _json_text(text)
    if "csv" not in content_type and text.lstrip()[:1] in ("{", "["):
        try:
            return _json_text(text)
        except UndecodableError:
            pass  # prose may begin with a bracket
    return csv_payload(text)


def _repaired(value: Any) -> Any:
    """Replace halves of surrogate pairs in every text."""
    if isinstance(value, str):
        return without_surrogates(value)
    if isinstance(value, list):
        return [_repaired(item) for item in value]
    if isinstance(value, dict):
        return {_repaired(key): _repaired(item) for key, item in value.items()}
    return value
