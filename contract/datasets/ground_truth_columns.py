"""Labels of captured calls as columns: one row per row of the call.

A label of one cell is the column ``groundTruthData``. One of several cells gives ``groundTruthData.0``,
``groundTruthData.1`` and so on, a JSON object ``groundTruthData.<member>``. Cells are text. A call of several
rows needs as many labels: lines of CSV, or a JSON list; other numbers say nothing about single rows, which
then count as unlabelled.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from contract.datasets.ground_truth_index import LabelIndex
from contract.datasets.ground_truth_lines import label_part
from contract.datasets.payload_columns import Counts, text_bytes
from contract.datasets.payloads import UndecodableError, parse_payload
from contract.datasets.rows import rows_to_batch

LABEL = "groundTruthData"
UNLIKE_ROWS = "records with another number of labels than rows count as unlabelled"


@dataclass(frozen=True)
class RecordLabels:
    """The label of each record as it was written, null where there is none, and how to read it."""

    data: pa.StringArray
    encodings: pa.StringArray

    def filter(self, mask: pa.BooleanArray) -> RecordLabels:
        """Return those of the records where `mask` is true."""
        return RecordLabels(self.data.filter(mask), self.encodings.filter(mask))

    def updated(self, ids: pa.StringArray, index: LabelIndex) -> RecordLabels:
        """Return the labels with those that the index has for the records' ids."""
        data, encodings = index.take(index.find(ids))
        return RecordLabels(
            pc.coalesce(data, self.data), pc.if_else(data.is_valid(), encodings, self.encodings)
        )


def labels_of_records(records: Sequence[dict[str, Any]]) -> RecordLabels:
    """Return the labels that parsed records carry themselves."""
    parts = [label_part(record.get(LABEL)) for record in records]
    data = pa.array([part and part[0] for part in parts], pa.string())
    return RecordLabels(data, pa.array([part and part[1] for part in parts], pa.string()))


def ids_of_records(records: Sequence[dict[str, Any]]) -> pa.StringArray:
    """Return the id of each parsed record by which labels are found, null for none."""
    metadata = (record.get("eventMetadata") for record in records)
    found = [
        (part.get("inferenceId") or part.get("eventId")) if isinstance(part, dict) else None
        for part in metadata
    ]
    return pa.array(
        [None if name is None or isinstance(name, dict | list) else str(name) for name in found], pa.string()
    )


def with_label_columns(
    batch: pa.RecordBatch, labels: RecordLabels, counts: Counts
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
    together = dict(zip(batch.schema.names, batch.columns, strict=True))
    for name, column in columns.items():
        together.pop(name, None)
        together[name] = column
    metadata = batch.schema.metadata
    return pa.RecordBatch.from_arrays(list(together.values()), list(together), metadata=metadata), unlike


def label_columns(labels: RecordLabels, counts: Counts) -> tuple[dict[str, pa.Array], Counts]:
    """Return the labels of all rows by column name, and which records have the wrong number of them."""
    kinds = set(pc.unique(labels.encodings.filter(labels.data.is_valid())).to_pylist())
    if kinds <= {"CSV", None}:
        text = pc.ascii_rtrim(labels.data, "\r\n")
        if not any(mark in text_bytes(pc.fill_null(text, "")) for mark in (b'"', b",", b"\r")):
            return _single_cells(text, counts)
    return _any_cells(labels, counts)


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
    taken = cells.take(pa.array(np.where(labelled, position, 0), mask=~labelled)) if len(cells) else None
    column = pa.nulls(len(record), pa.string()) if taken is None else taken
    return {LABEL: _missing_if_empty(column)}, unlike


def _missing_if_empty(cells: pa.StringArray) -> pa.StringArray:
    return pc.if_else(pc.equal(cells, ""), pa.scalar(None, pa.string()), cells)


def _any_cells(labels: RecordLabels, counts: Counts) -> tuple[dict[str, pa.Array], Counts]:
    rows: list[dict[str, Any]] = []
    unlike: list[int] = []
    texts, encodings = labels.data.to_pylist(), labels.encodings.to_pylist()
    for number, (text, encoding, count) in enumerate(zip(texts, encodings, counts.tolist(), strict=True)):
        found = None if text is None else _rows_of_label(text, encoding, count)
        if found is None:
            rows += [{}] * count
            if text is not None:
                unlike.append(number)
        else:
            rows += found
    batch = rows_to_batch(rows, text_only=True)
    columns = {
        name: column.cast(pa.string()) for name, column in zip(batch.schema.names, batch.columns, strict=True)
    }
    return columns or {LABEL: pa.nulls(len(rows), pa.string())}, np.array(unlike, np.int64)


def _rows_of_label(text: str, encoding: str | None, count: int) -> list[dict[str, Any]] | None:
    """Return one mapping per row of the call, None when the label does not have that many."""
    try:
        payload = parse_payload({"data": text, "encoding": encoding or "CSV"})
    except UndecodableError:
        return None
    if payload is None:
        return [{}] * count
    if payload.whole is not None and len(payload.rows) != count:
        return [_named(payload.whole)] if count == 1 else None
    if len(payload.rows) == count:
        return [_named(row) for row in payload.rows]
    if len(payload.rows) == 1 and isinstance(payload.rows[0], list) and encoding == "JSON":
        cells = payload.rows[0]
        return [_named([cell]) for cell in cells] if len(cells) == count else None
    return None


def _named(row: list[str | None] | dict[str, Any]) -> dict[str, Any]:
    if isinstance(row, dict):
        return {f"{LABEL}.{name}": value for name, value in row.items()}
    if len(row) == 1:
        return {LABEL: row[0]}
    return {f"{LABEL}.{position}": cell for position, cell in enumerate(row)}
