"""Capture records one at a time: every rule, at Python's speed.

`capture_bulk` gives the same columns for blocks without surprises.
"""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from contract.errors import DatasetError
from readers.captures.payload import (
    Payload,
    Row,
    UndecodableError,
    common_count,
    csv_payload,
    loads,
    parse_payload,
    settle,
)
from readers.csv_records import ParseCells
from readers.dataset import POSITIONAL, Dataset, excluded_positions, positional_names
from readers.python_rows import rows_to_batch

# What the columns of captures are called, decided once per job from the first records.
#
# Every split then names its columns alike, whatever single records it holds.


CELL = "_c"


@dataclass(frozen=True)
class Layout:
    """Where the columns of each payload stand, and what they are called.

    Parameters
    ----------
    widths
        Columns of each wanted payload, in column order; what a record without it is padded with.
    shared
        Names that several payloads have in common; see `merge_named`.
    names
        Final name by raw name, None for columns to leave out. Other columns keep their raw name.
    exclude
        Raw names to leave out beyond those of `names`.
    positional
        Whether columns have to be matched with the baseline's by their position.
    """

    widths: tuple[int, ...]
    shared: frozenset[str] = frozenset()
    names: Mapping[str, str | None] = field(default_factory=dict)
    exclude: frozenset[str] = frozenset()
    positional: bool = False

    def finish(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """Return the batch with final names, without the columns to leave out."""
        columns: dict[str, pa.Array] = {}
        for raw, column in zip(batch.schema.names, batch.columns, strict=True):
            name = self.names.get(raw, None if raw in self.exclude else raw)
            if name is not None:
                columns[raw if name in columns else name] = column
        metadata = POSITIONAL if self.positional else None
        if not columns:
            return rows_to_batch([{}] * batch.num_rows, metadata=metadata)
        return pa.RecordBatch.from_arrays(list(columns.values()), names=list(columns), metadata=metadata)


def cell_name(position: int) -> str:
    """Return the raw name of a column without a name."""
    return f"{CELL}{position}"


def find_layout(
    sides: Sequence[str], records: Sequence[Sequence[Sequence[Row] | None]], request: Dataset
) -> Layout:
    """Decide the layout from the first records.

    Parameters
    ----------
    sides
        The wanted payloads in column order, such as ``("endpointOutput", "endpointInput")``.
    records
        For each record the rows of each of them, None where there is none.
    request
        With the baseline's names and the columns to leave out.
    """
    widths: list[int] = []
    columns: list[str] = []
    names_of_sides: list[list[str]] = []
    for number in range(len(sides)):
        rows = [row for record in records for row in record[number] or ()]
        cells = Counter(len(row) for row in rows if isinstance(row, list))
        named = rows_to_batch([row for row in rows if isinstance(row, dict)]).schema.names
        width = len(named) if named else common_count(cells)
        if not named:
            columns += [cell_name(sum(widths) + position) for position in range(width)]
        widths.append(width)
        names_of_sides.append(named)
    shared = shared_names(names_of_sides)
    for number, named in enumerate(names_of_sides):
        own = [side_name(sides[number], name) if name in shared[number] else name for name in named]
        columns[sum(widths[:number]) : sum(widths[:number])] = own
    everything = frozenset().union(*shared)
    return name_columns(Layout(tuple(widths), everything), columns, request)


def name_columns(layout: Layout, columns: list[str], request: Dataset) -> Layout:
    """Return the layout with the names of the columns that are expected.

    Columns without names get the baseline's by position. Where some columns have names: when none of
    them is in the baseline and the numbers agree, likewise; when one is, columns without names get the
    names left over, in order, if their numbers agree.
    """
    unnamed = [column for column in columns if is_cell(column)]
    positional = len(unnamed) == len(columns)
    if positional:
        final, excluded = positional_names(len(columns), request)
        # By the baseline's names a single record with more cells disturbs no other column. The originals
        # know positions only.
        positional = request.text_only or final == columns
    else:
        final = _mixed_names(columns, unnamed, request) if unnamed else columns
        excluded = excluded_positions(final, request.exclude) | excluded_positions(columns, request.exclude)
    names = {
        raw: None if position in excluded else name
        for position, (raw, name) in enumerate(zip(columns, final, strict=True))
    }
    beyond = {cell_name(int(entry)) for entry in request.exclude if entry.isdecimal()}
    return Layout(layout.widths, layout.shared, names, frozenset(request.exclude) | beyond, positional)


def is_cell(name: str) -> bool:
    """Return whether this is the raw name of a column without a name."""
    return name.startswith(CELL) and name[len(CELL) :].isdecimal()


def side_name(side: str, name: str) -> str:
    """Return the name of a column whose name a later payload has too."""
    return f"{side}.{name}"


def shared_names(names_of_sides: Sequence[Sequence[str]]) -> list[frozenset[str]]:
    """Return for each payload those of its names that a later payload has too."""
    later: set[str] = set()
    shared: list[frozenset[str]] = []
    for names in reversed(names_of_sides):
        shared.append(frozenset(later.intersection(names)))
        later.update(names)
    return shared[::-1]


def merge_named(
    sides: Sequence[str], named: Sequence[pa.RecordBatch | None], layout: Layout
) -> list[dict[str, pa.Array]]:
    """Return the columns of each payload under distinct names.

    A name that request and response have in common belongs to the request, whose names are the
    baseline's; the response's column is called ``endpointOutput.<name>``.
    """
    names = [[] if batch is None else batch.schema.names for batch in named]
    shared = shared_names(names)
    merged: list[dict[str, pa.Array]] = []
    for number, batch in enumerate(named):
        # The last payload keeps its names.
        apart = shared[number] | (layout.shared if number < len(named) - 1 else frozenset())
        columns = {} if batch is None else dict(zip(batch.schema.names, batch.columns, strict=True))
        merged.append(
            {side_name(sides[number], name) if name in apart else name: a for name, a in columns.items()}
        )
    return merged


def _mixed_names(columns: list[str], unnamed: list[str], request: Dataset) -> list[str]:
    baseline = request.column_names or ()
    if not set(columns).intersection(baseline):
        excluded = excluded_positions(columns, request.exclude)
        kept = [column for position, column in enumerate(columns) if position not in excluded]
        for candidates in (columns, kept):
            if len(candidates) == len(baseline):
                by_position = dict(zip(candidates, baseline, strict=True))
                return [by_position.get(column, column) for column in columns]
        return columns
    left = [name for name in baseline if name not in columns]
    if len(left) != len(unnamed):
        return columns
    by_position = dict(zip(unnamed, left, strict=True))
    return [by_position.get(column, column) for column in columns]


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
