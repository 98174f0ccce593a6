"""Labels of captured calls as columns: one row per row of the call.

A label of one cell is the column ``groundTruthData``. One of several cells gives ``groundTruthData.0``,
``groundTruthData.1`` and so on, a JSON object ``groundTruthData.<member>``. Cells are text. A call of
several rows needs as many labels: lines of CSV, or a JSON list; other numbers say nothing about single
rows, which then count as unlabelled.
"""

import contextlib
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from contract.dataset import GROUND_TRUTH
from contract.dataset_format import Shape
from readers.captures.shapes import Row, decode, parsed
from readers.cell_types import typed_text
from readers.flatten import batch_of, columns_of, rows_to_batch
from readers.lanes import Counts, Table, found_in, of_kinds, rows_of, text_buffer

# The first of these that gives as many labels as the call has rows.
_SHAPES: tuple[Shape, ...] = ("list", "row", "columns")


def with_label_columns(
    batch: pa.RecordBatch, labels: pa.StructArray, counts: Counts
) -> tuple[pa.RecordBatch, Counts]:
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
    kept = {name: column for name, column in columns_of(batch).items() if name not in columns}
    return batch_of(kept | columns, batch.num_rows, batch.schema.metadata), unlike


def with_typed_labels(batch: pa.RecordBatch) -> pa.RecordBatch:
    """Return rows whose labels, text so far, are numbers where they can be."""
    columns = columns_of(batch)
    columns |= {name: typed_text(columns[name]) for name in columns if name.partition(".")[0] == GROUND_TRUTH}
    return batch_of(columns, batch.num_rows, batch.schema.metadata)


def label_columns(labels: pa.StructArray, counts: Counts) -> tuple[dict[str, pa.Array], Counts]:
    """Return the labels of all rows by column name, and which records have the wrong number of them."""
    data, encodings = labels.flatten()
    text = pc.ascii_rtrim(data, "\r\n")
    simple = pc.fill_null(pc.equal(encodings, "CSV"), True)
    if found_in(text_buffer(text), b'",\r'):
        simple = pc.and_(simple, pc.fill_null(pc.invert(pc.match_substring_regex(text, '[",\r]')), True))
    simple = pc.or_(simple, text.is_null()).to_numpy(zero_copy_only=False)

    def read(records: Counts) -> Table:
        some = text if len(records) == len(text) else text.take(pa.array(records))
        if simple[records].all():
            columns, unlike = _single_cells(some, counts[records])
        else:
            columns, unlike = _any_cells(some, encodings.take(pa.array(records)), counts[records])
        is_held = any(column.null_count < len(column) for column in columns.values())
        batch = batch_of(columns if is_held else {}, int(counts[records].sum()))
        return Table(batch, counts[records], unlike)

    table = of_kinds([simple], None, read)
    columns = columns_of(table.batch)
    return columns or {GROUND_TRUTH: pa.nulls(table.batch.num_rows, pa.string())}, table.uneven


def _single_cells(text: pa.StringArray, counts: Counts) -> tuple[dict[str, pa.Array], Counts]:
    """Place lines of one cell each."""
    present = text.is_valid().to_numpy(zero_copy_only=False)
    breaks = pc.fill_null(pc.count_substring(text, "\n"), 0).to_numpy(zero_copy_only=False)
    lines = np.where(present, breaks + 1, 0).astype(np.int64)
    fits = present & (lines == counts)
    unlike = np.flatnonzero(present & ~fits)
    if (counts != 1).any() or breaks.any():
        cells = pc.list_flatten(pc.split_pattern(text, "\n"))
        record, within = rows_of(counts)
        position = (np.cumsum(lines) - lines)[record] + within
        text = cells.take(pa.array(np.where(fits[record], position, 0), mask=~fits[record]))
    return {GROUND_TRUTH: pc.if_else(pc.equal(text, ""), None, text)}, unlike


def _any_cells(
    texts: pa.StringArray, encodings: pa.StringArray, counts: Counts
) -> tuple[dict[str, pa.Array], Counts]:
    rows: list[dict[str, Any]] = []
    unlike: list[int] = []
    labels = zip(texts.to_pylist(), encodings.to_pylist(), counts.tolist(), strict=True)
    for number, (text, encoding, count) in enumerate(labels):
        found: list[Row] | None = None
        with contextlib.suppress(ValueError):
            payload = parsed(*decode(text, encoding or "CSV", None))
            readings = map(payload.rows, _SHAPES if payload.values else ())
            found = next((read for read in readings if len(read) == count), None)
            found = found if payload.values else []
        if found is None:
            unlike.append(number)
        rows += map(_named_label, found or [{}] * count)
    batch = rows_to_batch(rows, text_only=True)
    columns = columns_of(batch).items()
    return {name: column.cast(pa.string()) for name, column in columns}, np.array(unlike, np.int64)


def _named_label(row: Row) -> dict[str, Any]:
    if isinstance(row, list) and len(row) == 1:
        return {GROUND_TRUTH: row[0]}
    cells = row if isinstance(row, dict) else dict(enumerate(row))
    return {f"{GROUND_TRUTH}.{name}": value for name, value in cells.items()}
