"""Capture records one at a time: every rule, at Python's speed.

`capture_bulk` gives the same columns for blocks without surprises.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Sequence
from typing import Any

import pyarrow as pa

from contract.datasets.capture_layout import Layout, cell_name, merge_named
from contract.datasets.csv_cells import ParseCells
from contract.datasets.payloads import (
    Payload,
    Row,
    UndecodableError,
    csv_payload,
    loads,
    parse_payload,
    settle,
)
from contract.datasets.rows import rows_to_batch
from contract.errors import DatasetError

_PEERS = {
    "endpointInput": "endpointOutput",
    "endpointOutput": "endpointInput",
    "batchTransformInput": "batchTransformOutput",
    "batchTransformOutput": "batchTransformInput",
}

# Called with what is odd about the record at hand.
Note = Callable[[str], None]

UNDECODABLE = "payloads that could not be decoded count as missing"
UNEVEN = "records whose payloads differ in their number of rows were padded with missing values"


def parse_record(line: bytes) -> dict[str, Any]:
    """Return one capture record.

    Raises
    ------
    ValueError
        Saying why the line is none.
    """
    try:
        record = loads(line)
    except UnicodeDecodeError:
        raise ValueError("it is not UTF-8 text") from None
    except ValueError:
        raise ValueError("it is not one whole JSON object") from None
    if not isinstance(record, dict):
        raise ValueError("it is no JSON object")
    if not isinstance(record.get("captureData"), dict):
        raise ValueError("it has no captureData")
    return record


def with_peers(sides: Sequence[str]) -> tuple[str, ...]:
    """Return the payloads and those of the same calls that help to tell rows from lists."""
    return tuple(dict.fromkeys([*sides, *(_PEERS[side] for side in sides if side in _PEERS)]))


def rows_of_record(
    record: dict[str, Any], sides: Sequence[str], widths: Sequence[int], note: Note, *, text_only: bool
) -> list[list[Row] | None]:
    """Return the rows of each wanted payload of a record, None where it is missing.

    Parameters
    ----------
    record
        As `parse_record` returns it.
    sides
        The wanted payloads in column order.
    widths
        Columns of each, for `text_only`.
    note
        Told of payloads that cannot be decoded.
    text_only
        By the originals' rules: encodings must agree, and the texts of CSV payloads are joined before
        lines are told apart; all rows are then those of the first payload.

    Raises
    ------
    DatasetError
        By the originals' rules only, when encodings differ or cannot be read.
    """
    if text_only and _common_encoding(record, sides) == "CSV":
        return _joined_texts(record, sides, widths)
    captured = {side: _payload(record, side, note) for side in with_peers(sides)}
    rows = dict(zip(captured, settle(list(captured.values())), strict=True))
    return [rows[side] for side in sides]


def exact_batch(
    records: Sequence[Sequence[list[Row] | None]],
    sides: Sequence[str],
    layout: Layout,
    parse_cells: ParseCells,
    *,
    text_only: bool,
) -> pa.RecordBatch:
    """Return the rows of many records as columns under their raw names.

    Parameters
    ----------
    records
        As `rows_of_record` returns them.
    sides, layout, parse_cells, text_only
        As for `capture_bulk.combine`.
    """
    cells: list[list[str | None]] = []
    spans: set[tuple[int, int]] = set()
    named: list[list[dict[str, Any]]] = [[] for _ in sides]
    first_cells = len(sides)
    for record in records:
        for rows in zip_rows(record):
            line: list[str | None] = []
            position = 0
            for side, row in enumerate(rows):
                named[side].append(row if isinstance(row, dict) else {})
                if not isinstance(row, list):
                    position += layout.widths[side]
                    continue
                line += [None] * (position - len(line)) + row
                spans.add((position, position + len(row)))
                position += len(row)
                first_cells = min(first_cells, side)
            cells.append(line)
    batches = [_named(rows, text_only=text_only) if any(rows) else None for rows in named]
    merged = merge_named(sides, batches, layout)
    if spans:
        merged[first_cells] |= _parsed(cells, spans, parse_cells)
    together = {name: column for columns in merged for name, column in columns.items()}
    if not together:
        return rows_to_batch([{}] * len(cells))
    return pa.RecordBatch.from_arrays(list(together.values()), names=list(together))


def zip_rows(record: Sequence[list[Row] | None]) -> list[list[Row | None]]:
    """Align the rows of several payloads: one row is repeated, missing rows are None."""
    return [
        [
            None
            if rows is None
            else rows[0]
            if len(rows) == 1
            else rows[number]
            if number < len(rows)
            else None
            for rows in record
        ]
        for number in range(row_count(record))
    ]


def row_count(record: Sequence[list[Row] | None]) -> int:
    """Return how many rows the payloads of a record give, at least one."""
    return max(1, *(len(rows) for rows in record if rows is not None), 1)


def is_uneven(record: Sequence[list[Row] | None]) -> bool:
    """Return whether payloads of several rows differ in their number."""
    return len({len(rows) for rows in record if rows is not None and len(rows) > 1}) > 1


def _part(record: dict[str, Any], side: str) -> Any:
    return record["captureData"].get(side)


def _payload(record: dict[str, Any], side: str, note: Note) -> Payload | None:
    try:
        return parse_payload(_part(record, side))
    except UndecodableError:
        note(UNDECODABLE)
        return None


def _common_encoding(record: dict[str, Any], sides: Sequence[str]) -> str | None:
    encodings = {
        side: part.get("encoding")
        for side in sides
        if isinstance(part := _part(record, side), dict) and isinstance(part.get("data"), str)
    }
    for side, encoding in encodings.items():
        if encoding == "BASE64":
            raise DatasetError(
                f"{side} has the encoding BASE64, which the rules of sagemaker do not read; "
                "set rules=sound to have it decoded"
            )
    # The originals name the request first.
    [first, *others] = sorted(encodings) or [""]
    for other in others:
        if encodings[other] != encodings[first]:
            raise DatasetError(
                f"Encoding mismatch: Encoding is {str(encodings[first])[:40]} for {first}, but Encoding is "
                f"{str(encodings[other])[:40]} for {other}; set rules=sound to read both"
            )
    return encodings.get(first)


def _joined_texts(
    record: dict[str, Any], sides: Sequence[str], widths: Sequence[int]
) -> list[list[Row] | None]:
    texts: list[str] = []
    for side, width in zip(sides, widths, strict=True):
        part = _part(record, side)
        if isinstance(part, dict) and isinstance(part.get("data"), str):
            texts.append(part["data"].rstrip("\r\n"))
        elif width:
            texts.append("," * (width - 1))
    return [csv_payload(",".join(texts)).rows, *([None] * (len(sides) - 1))]


def _named(rows: list[dict[str, Any]], *, text_only: bool) -> pa.RecordBatch:
    batch = rows_to_batch(rows, text_only=text_only)
    # The originals' JSON reader sorts the keys.
    return batch.select(sorted(batch.schema.names)) if text_only else batch


def _parsed(
    cells: list[list[str | None]], spans: set[tuple[int, int]], parse_cells: ParseCells
) -> dict[str, pa.Array]:
    used = sorted({position for start, end in spans for position in range(start, end)})
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    width = used[-1] + 1 if used else 0
    for line in cells:
        full = line + [None] * (width - len(line))
        writer.writerow([full[position] for position in used])
    names = [cell_name(position) for position in used]
    return parse_cells(text.getvalue().encode(), names, len(cells))
