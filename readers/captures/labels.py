"""Labels of captured calls as columns: one row per row of the call.

A label of one cell is the column ``groundTruthData``. One of several cells gives ``groundTruthData.0``,
``groundTruthData.1`` and so on, a JSON object ``groundTruthData.<member>``. Cells are text. A call of several
rows needs as many labels: lines of CSV, or a JSON list; other numbers say nothing about single rows, which
then count as unlabelled.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from contract.dataset_format import Shape
from readers.arrow_json import text_buffer
from readers.captures.envelope import LABEL, Part
from readers.captures.shapes import Row, UndecodableError, decode, parsed
from readers.lanes import Counts, merged
from readers.paths import typed_text
from readers.python_rows import rows_to_batch

UNLIKE_ROWS = "records with another number of labels than rows count as unlabelled"


def with_label_columns(batch: pa.RecordBatch, labels: Part, counts: Counts) -> tuple[pa.RecordBatch, Counts]:
    """Return the batch with its labels as last columns.

    Parameters
    ----------
    batch
        The rows of some records.
    labels
        One per record.
    counts
        Rows by record.

    Returns
    -------
    The batch, and which records have another number of labels than rows.
    """
    columns, unlike = label_columns(labels, counts)
    found = dict(zip(batch.schema.names, batch.columns, strict=True))
    together = {name: column for name, column in found.items() if name not in columns} | columns
    metadata = batch.schema.metadata
    return pa.RecordBatch.from_arrays(list(together.values()), list(together), metadata=metadata), unlike


def with_typed_labels(batch: pa.RecordBatch) -> pa.RecordBatch:
    """Return rows whose labels, text so far, are numbers where they can be."""
    columns = [
        typed_text(column) if name.partition(".")[0] == LABEL else column
        for name, column in zip(batch.schema.names, batch.columns, strict=True)
    ]
    return pa.RecordBatch.from_arrays(columns, batch.schema.names, metadata=batch.schema.metadata)


def label_columns(labels: Part, counts: Counts) -> tuple[dict[str, pa.Array], Counts]:
    """Return the labels of all rows by column name, and which records have the wrong number of them."""
    text = pc.ascii_rtrim(labels.data, "\r\n")
    simple = pc.fill_null(pc.equal(labels.encodings, "CSV"), True)
    if any(mark in bytes(text_buffer(text)) for mark in (b'"', b",", b"\r")):
        simple = pc.and_(simple, pc.fill_null(pc.invert(pc.match_substring_regex(text, '[",\r]')), True))
    simple = pc.or_(simple, labels.data.is_null()).to_numpy(zero_copy_only=False)
    if simple.all():
        return _single_cells(text, counts)
    record = np.repeat(np.arange(len(counts)), counts)
    plain, others = np.flatnonzero(simple), np.flatnonzero(~simple)
    odd = Part(labels.data.take(pa.array(others)), labels.encodings.take(pa.array(others)))
    lanes, unlike = [], []
    for numbers, (columns, few) in (
        (plain, _single_cells(text.take(pa.array(plain)), counts[plain])),
        (others, _any_cells(odd, counts[others])),
    ):
        if any(column.null_count < len(column) for column in columns.values()):
            batch = pa.RecordBatch.from_arrays(list(columns.values()), list(columns))
            lanes.append((np.flatnonzero(np.isin(record, numbers)), batch))
        unlike.append(numbers[few])
    # Rows in no lane are missing, in a column that the others have.
    missing = np.setdiff1d(np.arange(len(record)), np.concatenate([[], *(places for places, _ in lanes)]))
    name = lanes[0][1].schema.names[0] if lanes else LABEL
    empty = pa.RecordBatch.from_arrays([pa.nulls(len(missing), pa.string())], [name])
    together = merged([*lanes, (missing, empty)])
    found = dict(zip(together.schema.names, together.columns, strict=True))
    return found, np.sort(np.concatenate(unlike))


def _single_cells(text: pa.StringArray, counts: Counts) -> tuple[dict[str, pa.Array], Counts]:
    """Place lines of one cell each."""
    present = text.is_valid().to_numpy(zero_copy_only=False)
    breaks = pc.fill_null(pc.count_substring(text, "\n"), 0).to_numpy(zero_copy_only=False)
    lines = np.where(present, breaks + 1, 0).astype(np.int64)
    fits = present & (lines == counts)
    unlike = np.flatnonzero(present & ~fits)
    cells = text
    if (lines > 1).any():
        cells = pc.list_flatten(pc.split_pattern(text, "\n"))
    elif (counts == 1).all():
        return {LABEL: _missing_if_empty(cells)}, unlike
    else:
        cells = text.drop_null()
    record = np.repeat(np.arange(len(counts)), counts)
    within = np.arange(len(record)) - np.repeat(np.cumsum(counts) - counts, counts)
    position = (np.cumsum(lines) - lines)[record] + within
    labelled = fits[record]
    column = cells.take(pa.array(np.where(labelled, position, 0), mask=~labelled))
    return {LABEL: _missing_if_empty(column)}, unlike


def _missing_if_empty(cells: pa.StringArray) -> pa.StringArray:
    return pc.if_else(pc.equal(cells, ""), pa.scalar(None, pa.string()), cells)


def _any_cells(labels: Part, counts: Counts) -> tuple[dict[str, pa.Array], Counts]:
    rows: list[dict[str, Any]] = []
    unlike: list[int] = []
    texts, encodings = labels.data.to_pylist(), labels.encodings.to_pylist()
    for number, (text, encoding, count) in enumerate(zip(texts, encodings, counts.tolist(), strict=True)):
        found = _rows_of_label(text, encoding, count)
        if found is None:
            unlike.append(number)
        rows += [{}] * count if found is None else map(_named, found)
    batch = rows_to_batch(rows, text_only=True)
    columns = {
        name: column.cast(pa.string()) for name, column in zip(batch.schema.names, batch.columns, strict=True)
    }
    return columns, np.array(unlike, np.int64)


def _rows_of_label(text: str, encoding: str | None, count: int) -> list[Row] | None:
    """Return one label per row of the call, None when there is another number of them."""
    try:
        payload = parsed(*decode(text, encoding or "CSV", None))
    except UndecodableError:
        return None
    if not payload.values:
        return [{}] * count
    shapes: tuple[Shape, ...] = ("list", "row", "columns")
    return next((rows for shape in shapes if len(rows := payload.rows(shape)) == count), None)


def _named(row: list[str | None] | dict[str, Any]) -> dict[str, Any]:
    if isinstance(row, dict):
        return {f"{LABEL}.{name}": value for name, value in row.items()}
    if len(row) == 1:
        return {LABEL: row[0]}
    return {f"{LABEL}.{position}": cell for position, cell in enumerate(row)}
