"""What a user's ``preprocess_handler`` returned, gathered and made columns."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pyarrow as pa

from contract.datasets import capture_exact
from contract.datasets.capture_layout import Layout
from contract.datasets.csv_cells import CellParser
from contract.datasets.ground_truth_columns import labels_of_records, with_label_columns
from contract.datasets.inference_record import InferenceRecord
from contract.datasets.payloads import Row, csv_payload, loads
from contract.datasets.request import POSITIONAL, DatasetRequest, excluded_positions, positional_names
from contract.datasets.rows import rows_to_batch


class UnusableResultError(ValueError):
    """The handler returned something that is no row; the message says what, and what to return."""


class Gathered:
    """Rows of one block: mappings, lines of CSV, and records to be parsed as without a script.

    Parameters
    ----------
    request
        What is read, for names, columns to leave out, and whether cells stay text.
    sides, layout
        For records that are returned as they are; captures only.
    parser
        For cells without a type.
    """

    def __init__(
        self, request: DatasetRequest, sides: tuple[str, ...], layout: Layout, parser: CellParser
    ) -> None:
        self._request = request
        self._sides = sides
        self._layout = layout
        self._parser = parser
        self._mappings: list[dict[str, Any]] = []
        self._records: list[list[list[Row] | None]] = []
        self._labelled: list[dict[str, Any]] = []
        self._lines: list[list[str | None]] = []
        self._header: list[str] | None = None

    def add_header(self, text: str) -> None:
        """Set the names of the cells in the lines that follow."""
        [names] = csv_payload(text).rows[:1]
        self._header = [str(name or f"_c{position}") for position, name in enumerate(names)]

    def add(self, result: Any) -> None:
        """Add what the handler returned.

        Raises
        ------
        UnusableResultError
            When it is none of the documented kinds.
        """
        if isinstance(result, InferenceRecord):
            self._add_record(result.as_dict())
        elif isinstance(result, Mapping):
            if isinstance(result.get("captureData"), dict):
                self._add_record(dict(result))
            else:
                self._mappings.append({str(key): result[key] for key in sorted(result, key=str)})
        elif isinstance(result, list | tuple):
            for row in result:
                if not isinstance(row, Mapping | InferenceRecord):
                    raise UnusableResultError(
                        f"returned a list of {_type_name(row)}; return a list of dicts, a dict, "
                        "or [] to drop the record"
                    )
                self.add(row)
        elif isinstance(result, str) and self._request.format.kind in ("csv", "json"):
            self._add_text(result)
        elif result is None:
            raise UnusableResultError(
                "returned None; return a dict, a list of dicts, [] to drop the record, or the record itself"
            )
        else:
            raise UnusableResultError(
                f"returned a value of type {_type_name(result)}; return a dict, a list of dicts, "
                "[] to drop the record, or the record itself"
            )

    def batches(self) -> Iterator[pa.RecordBatch]:
        """Yield the rows gathered so far, and forget them."""
        if self._mappings:
            yield self._named_batch()
        if self._lines:
            yield self._cell_batch()
        if self._records:
            raw = capture_exact.exact_batch(
                self._records, self._sides, self._layout, self._parser, text_only=self._request.text_only
            )
            batch = self._layout.finish(raw)
            if self._request.labels:
                counts = np.array([capture_exact.row_count(rows) for rows in self._records], np.int64)
                batch, _ = with_label_columns(batch, labels_of_records(self._labelled), counts)
            yield batch
        self._mappings, self._lines, self._records, self._labelled = [], [], [], []

    def _add_record(self, record: dict[str, Any]) -> None:
        if not isinstance(record.get("captureData"), dict):
            raise UnusableResultError("returned a record without captureData; return it whole, or a dict")
        self._records.append(
            capture_exact.rows_of_record(
                record,
                self._sides,
                self._layout.widths,
                lambda _: None,
                text_only=self._request.text_only,
            )
        )
        self._labelled.append(record)

    def _add_text(self, text: str) -> None:
        if self._request.format.kind == "csv":
            rows = csv_payload(text).rows
            self._lines += [row for row in rows if isinstance(row, list)]
            return
        try:
            value = loads(text)
        except ValueError:
            raise UnusableResultError("returned text that is no JSON; return a dict, or the line") from None
        if not isinstance(value, Mapping):
            raise UnusableResultError("returned JSON that is no object; return a dict, or the line")
        self._mappings.append(dict(value))

    def _named_batch(self) -> pa.RecordBatch:
        batch = rows_to_batch(self._mappings, text_only=self._request.text_only)
        # Keys are sorted as text: that is the order scripts were written for.
        names = sorted(batch.schema.names)
        final = list(names)
        baseline = self._request.column_names
        if baseline and len(baseline) == len(names) and not set(baseline).intersection(names):
            final = list(baseline)
        excluded = excluded_positions(final, self._request.exclude)
        kept = [position for position in range(len(names)) if position not in excluded]
        batch = batch.select([names[position] for position in kept])
        return batch.rename_columns([final[position] for position in kept])

    def _cell_batch(self) -> pa.RecordBatch:
        width = max(len(line) for line in self._lines)
        if self._header is None:
            names, excluded = positional_names(width, self._request)
        else:
            names = self._header + [f"_c{position}" for position in range(len(self._header), width)]
            excluded = excluded_positions(names, self._request.exclude)
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerows(line + [None] * (len(names) - len(line)) for line in self._lines)
        self._parser.excluded = [names[position] for position in excluded]
        columns = self._parser(text.getvalue().encode(), names, len(self._lines))
        metadata = POSITIONAL if self._header is None else None
        return pa.RecordBatch.from_arrays(list(columns.values()), names=list(columns), metadata=metadata)


def _type_name(value: Any) -> str:
    return "None" if value is None else type(value).__name__
