"""Blocks of capture records to columns, without a step per record.

What does not fit raises `NotBulkError`, and `capture_exact` reads the block record by record. Both give the
same columns.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from readers.captures.one_by_one import Layout, cell_name, merge_named, with_peers
from readers.captures.payload import (
    Columns,
    Counts,
    NotBulkError,
    json_columns,
    read_json,
    settle_columns,
    text_bytes,
)
from readers.csv_records import CellsError, ParseCells
from readers.labels.index import LABEL, RecordLabels
from readers.labels.lines import require_utf8


class NeedsPeersError(Exception):
    """Whether lists are rows shows only beside the other payload of each call: extract that too."""


@dataclass(frozen=True)
class Extracted:
    """The fields of a block's records that matter.

    Parameters
    ----------
    data, encodings
        Text arrays by payload, null where there is none.
    times
        ``inferenceTime``, when asked for.
    labels
        The labels that records carry, when asked for.
    ids
        What labels are found by, when asked for.
    """

    data: Mapping[str, pa.StringArray]
    encodings: Mapping[str, pa.StringArray]
    times: pa.StringArray | None
    labels: RecordLabels | None = None
    ids: pa.StringArray | None = None

    def filter(self, mask: pa.BooleanArray) -> Extracted:
        """Return the records where `mask` is true."""
        return Extracted(
            {side: array.filter(mask) for side, array in self.data.items()},
            {side: array.filter(mask) for side, array in self.encodings.items()},
            None,
            self.labels and self.labels.filter(mask),
            None if self.ids is None else self.ids.filter(mask),
        )


@dataclass(frozen=True)
class Combined:
    """Rows of a block, how many each record has, and the first record whose payloads differ in that."""

    batch: pa.RecordBatch
    counts: Counts
    uneven: int
    first_uneven: int | None


def extract(
    block: bytes,
    sides: Sequence[str],
    *,
    with_times: bool = False,
    with_labels: bool = False,
    with_ids: bool = False,
) -> Extracted:
    """Read the payloads of every record in a block of whole lines.

    Raises
    ------
    NotBulkError
        When a line is no capture record, or there are blank lines.
    """
    payload = pa.struct([("data", pa.string()), ("encoding", pa.string())])
    fields = [pa.field("captureData", pa.struct([(side, payload) for side in sides]))]
    if with_labels:
        fields.append(pa.field(LABEL, payload))
    wanted = ("inferenceTime",) * with_times + ("eventId", "inferenceId") * with_ids
    if wanted:
        fields.append(pa.field("eventMetadata", pa.struct([(name, pa.string()) for name in wanted])))
    table = read_json(pa.py_buffer(block), pa.schema(fields), others="ignore")
    if table.num_rows != block.count(b"\n") or table.column("captureData").null_count:
        raise NotBulkError("a line is no capture record")
    data, encodings = {}, {}
    for side, part in zip(sides, table.column("captureData").flatten(), strict=True):
        data[side], encodings[side] = part.flatten()
        require_utf8(data[side])
    labels = None
    if with_labels:
        labels = RecordLabels(*table.column(LABEL).flatten())
        require_utf8(labels.data)
    metadata = dict(zip(wanted, table.column("eventMetadata").flatten(), strict=True)) if wanted else {}
    ids = label_ids(metadata["inferenceId"], metadata["eventId"]) if with_ids else None
    return Extracted(data, encodings, metadata.get("inferenceTime"), labels, ids)


def label_ids(inference_ids: pa.StringArray, event_ids: pa.StringArray) -> pa.StringArray:
    """Return what labels are found by: the inferenceId where there is one, else the eventId."""
    for ids in (inference_ids, event_ids):
        require_utf8(ids)
    none = pa.scalar(None, pa.string())
    return pc.coalesce(pc.if_else(pc.equal(inference_ids, ""), none, inference_ids), event_ids)


def combine(
    extracted: Extracted,
    sides: Sequence[str],
    layout: Layout,
    parse_cells: ParseCells,
    *,
    text_only: bool,
) -> Combined:
    """Return the rows of a block, columns under their raw names.

    Parameters
    ----------
    extracted
        At least the payloads in `sides`.
    sides
        The wanted payloads in column order.
    layout
        For the widths of payloads that are missing.
    parse_cells
        Parses CSV text without header.
    text_only
        Join the texts of a record first and take its lines afterwards, as the originals did.

    Raises
    ------
    NeedsPeersError
        When payloads beside the wanted ones must be extracted too.
    NotBulkError
        When the block must be read record by record.
    """
    payloads = {side: _columns(side, extracted, text_only=text_only) for side in extracted.data}
    if any(columns.lists is not None for columns in payloads.values()):
        if set(with_peers(sides)) - payloads.keys():
            raise NeedsPeersError
        payloads = settle_columns(payloads)
    wanted = [payloads[side] for side in sides]
    if text_only:
        wanted = _joined_per_record(wanted, layout)
    index, counts, uneven = _zip_rows([columns.counts for columns in wanted])
    rows = [columns.take(where) for columns, where in zip(wanted, index, strict=True)]
    named = [columns.batch if columns.is_named else None for columns in rows]
    merged = merge_named(sides, named, layout)
    _place_cells(rows, merged, layout, parse_cells)
    batch = _side_by_side(merged, rows=len(index[0]))
    return Combined(batch, counts, len(uneven), int(uneven[0]) if len(uneven) else None)


def _side_by_side(sides: Sequence[Mapping[str, pa.Array]], rows: int) -> pa.RecordBatch:
    together: dict[str, pa.Array] = {}
    for columns in sides:
        together.update(columns)
    if not together:
        raise NotBulkError("no columns")
    batch = pa.RecordBatch.from_arrays(list(together.values()), names=list(together))
    if batch.num_rows != rows:
        raise NotBulkError("cells hold line ends")
    return batch


def _columns(side: str, extracted: Extracted, *, text_only: bool) -> Columns:
    data, encodings = extracted.data[side], extracted.encodings[side]
    if data.null_count == len(data):
        return Columns(np.zeros(len(data), np.int64))
    kinds = pc.unique(encodings.filter(data.is_valid()) if data.null_count else encodings).to_pylist()
    if kinds == ["CSV"]:
        return _csv_lines(data, whole=text_only)
    if kinds == ["JSON"] and not text_only:
        return json_columns(data)
    raise NotBulkError("encodings differ")


def _csv_lines(data: pa.StringArray, *, whole: bool) -> Columns:
    text = pc.ascii_rtrim(data, "\r\n")
    if b"\r" in text_bytes(text):
        text = pc.replace_substring(pc.replace_substring(text, "\r\n", "\n"), "\r", "\n")
    present = data.is_valid().to_numpy(zero_copy_only=False).astype(np.int64)
    if whole or b"\n" not in text_bytes(text):
        return Columns(present, lines=text.drop_null() if text.null_count else text)
    breaks = pc.fill_null(pc.count_substring(text, "\n"), 0).to_numpy(zero_copy_only=False)
    return Columns(present + breaks, lines=pc.list_flatten(pc.split_pattern(text, "\n")))


def _joined_per_record(wanted: list[Columns], layout: Layout) -> list[Columns]:
    """Join the texts of each record with a comma and divide the result into lines."""
    index, _, _ = _zip_rows([columns.counts for columns in wanted])
    texts = [
        _padded(columns.take(where), width)
        for columns, where, width in zip(wanted, index, layout.widths, strict=True)
    ]
    joined = pc.binary_join_element_wise(*texts, ",") if len(texts) > 1 else texts[0]
    lines = _csv_lines(joined, whole=False)
    nothing = Columns(np.zeros(len(joined), np.int64))
    return [lines] + [replace(nothing) for _ in wanted[1:]]


def _zip_rows(counts: list[Counts]) -> tuple[list[Counts], Counts, Counts]:
    """Align the rows of several payloads per record.

    A payload of one row is repeated; where others have fewer than the longest, rows are missing.

    Returns
    -------
    For each payload the position of its row in each output row, -1 for none; the output rows of each
    record; and the records where the numbers of rows differ.
    """
    every = np.stack(counts)
    longest = np.maximum(every.max(axis=0), 1)
    uneven = np.flatnonzero(((every > 1) & (every != longest)).any(axis=0))
    if (longest == 1).all():
        return [np.where(count > 0, np.cumsum(count) - count, -1) for count in counts], longest, uneven
    record = np.repeat(np.arange(len(longest)), longest)
    within = np.arange(len(record)) - np.repeat(np.cumsum(longest) - longest, longest)
    index = []
    for count in counts:
        start, here = (np.cumsum(count) - count)[record], count[record]
        index.append(np.where(here == 1, start, np.where(within < here, start + within, -1)))
    return index, longest, uneven


def _place_cells(
    rows: list[Columns], merged: list[dict[str, pa.Array]], layout: Layout, parse_cells: ParseCells
) -> None:
    """Name the columns without names by their position in the row, CSV cells parsed."""
    position = 0
    number = 0
    while number < len(rows):
        columns = rows[number]
        if columns.lines is not None:
            # Neighbouring CSV payloads are one line of cells, wherever the first one ends.
            after = number
            while after < len(rows) and rows[after].lines is not None:
                after += 1
            if any(later.lines is not None or later.is_cells for later in rows[after:]):
                raise NotBulkError("cells on both sides of names")
            texts = [_padded(rows[at], layout.widths[at]) for at in range(number, after)]
            merged[number] = _parse_lines(texts, position, parse_cells)
            number = after
            continue
        if columns.is_cells and columns.batch is not None:
            cells = columns.batch
            if cells.num_columns != layout.widths[number]:
                raise NotBulkError("more cells than expected")
            merged[number] = {cell_name(position + at): cells.column(at) for at in range(cells.num_columns)}
        position += layout.widths[number]
        number += 1


def _padded(columns: Columns, width: int) -> pa.StringArray:
    """Return the lines, with empty cells where a record lacks the payload."""
    lines = columns.lines
    if lines is None:
        raise NotBulkError("not all is CSV")
    if lines.null_count == 0:
        return lines
    if width == 0:
        raise NotBulkError("the width of a missing payload is unknown")
    return pc.fill_null(lines, "," * (width - 1))


def _parse_lines(texts: list[pa.StringArray], position: int, parse_cells: ParseCells) -> dict[str, pa.Array]:
    lines = pc.binary_join_element_wise(*texts, ",") if len(texts) > 1 else texts[0]
    quoted = b'"' in text_bytes(lines)
    if quoted and (pc.count_substring(lines, '"').to_numpy() & 1).any():
        raise NotBulkError("a quoted cell holds a line end")
    width = len(next(csv.reader([lines[0].as_py()]), [])) or 1
    try:
        return _parse_width(lines, width, position, parse_cells)
    except CellsError as error:
        if quoted:
            raise NotBulkError(str(error)) from error
    try:
        return _parse_width(*_same_width(lines), position, parse_cells)
    except CellsError as error:
        raise NotBulkError(str(error)) from error


def _parse_width(
    lines: pa.StringArray, width: int, position: int, parse_cells: ParseCells
) -> dict[str, pa.Array]:
    if width == 1:
        # A blank line would be skipped, an empty cell is not.
        lines = pc.if_else(pc.equal(lines, ""), '""', lines)
    names = [cell_name(position + at) for at in range(width)]
    return parse_cells(text_bytes(pc.binary_join_element_wise(lines, "", "\n")), names, len(lines))


def _same_width(lines: pa.StringArray) -> tuple[pa.StringArray, int]:
    """Pad lines without quotes with empty cells so that all have as many as the longest."""
    commas = pc.count_substring(lines, ",").to_numpy()
    most = int(commas.max(initial=0))
    missing = pc.binary_repeat(",", pa.array(most - commas))
    return pc.binary_join_element_wise(lines, missing, ""), most + 1
