"""Captures, merged ones too, whose columns are found by JMESPath in their payloads, as record batches.

A call may carry many rows: its features, scores and labels are then lists of one length. Payloads of CSV
have no paths; there, a location is the position of a column.
"""

from __future__ import annotations

import itertools
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from contract.datasets.capture import in_window, may_cut, record_of_line
from contract.datasets.capture_lines import Line, LineBlock, line_blocks
from contract.datasets.ground_truth_columns import ids_of_records
from contract.datasets.ground_truth_index import LabelIndex
from contract.datasets.ground_truth_lines import label_part
from contract.datasets.located_bulk import bulk_paths
from contract.datasets.located_capture_bulk import BulkCaptures, Kinds
from contract.datasets.located_capture_records import CaptureFinder, json_values_of
from contract.datasets.locations import GROUND_TRUTH, Locations, RecordRows, typed_text
from contract.datasets.payload_columns import NotBulkError
from contract.datasets.pieces import BATCH_ROWS, OfPieces, Piece, balanced_rows, divide
from contract.datasets.request import DatasetRequest, Split
from contract.datasets.storage import SourceFile
from contract.datasets.window import Window

_TOGETHER = 1024
# Of so many records the types of features are learnt.
_LEARNT_RECORDS = 100
_FILES_LOOKED_AT = 8
_RECORDS_LOOKED_AT = 100

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class LocatedCaptureSplit(OfPieces):
    """Some capture files, or a byte range of one."""

    locations: Locations
    window: Window | None = None
    index: LabelIndex | None = field(default=None, compare=False, repr=False)

    def batches(self) -> Iterator[pa.RecordBatch]:
        """Yield the rows in order.

        Raises
        ------
        DatasetError
            Naming file and line of what is no capture record, or holds another number of labels or
            predictions than rows.
        """
        finder = CaptureFinder(self.locations)
        bulk = self._bulk()
        kinds: Kinds | None = None
        for block in line_blocks(self.pieces):

            def learn(block: LineBlock = block) -> Kinds:
                nonlocal kinds
                kinds = self._learn(block) if kinds is None else kinds
                return kinds

            if bulk is not None:
                try:
                    batch, labelled, found = bulk.read(block, learn)
                except NotBulkError as reason:
                    _log.debug("Reading %s record by record: %s", self.label, reason)
                else:
                    finder.count_labels(labelled, found)
                    yield from _sized(batch)
                    continue
            yield from self._exact(block, finder)
        finder.require_labels(self.label)
        if finder.undecodable:
            _log.warning(
                "%s: payloads that could not be decoded count as missing: %d", self.label, finder.undecodable
            )

    def _bulk(self) -> BulkCaptures | None:
        paths = bulk_paths(self.locations)
        return None if paths is None else BulkCaptures(self.locations, paths, self.window, self.index)

    def _exact(
        self, block: LineBlock, finder: CaptureFinder, most: int | None = None
    ) -> Iterator[pa.RecordBatch]:
        """Read the records of a block one by one, at most as many as asked for."""
        rows = RecordRows(self.locations)
        for records in self._records(block, most):
            for line, record, truth in self._with_labels(records):
                finder.add(rows, line, record, truth)
                if len(rows) >= BATCH_ROWS:
                    yield finder.finish(rows)
                    rows = RecordRows(self.locations)
        if len(rows):
            yield finder.finish(rows)

    def _learn(self, block: LineBlock) -> Kinds:
        """Return the types of features as the first records of a block have them."""
        kinds: dict[str, pa.DataType] = {}
        for batch in self._exact(block, CaptureFinder(self.locations), _LEARNT_RECORDS):
            kinds |= dict(zip(batch.schema.names, batch.schema.types, strict=True))
        return kinds

    def _records(self, block: LineBlock, most: int | None) -> Iterator[list[tuple[Line, dict[str, Any]]]]:
        together: list[tuple[Line, dict[str, Any]]] = []
        for line in itertools.islice(block.lines(), most):
            record = record_of_line(line)
            if in_window(record, line.path, self.window):
                together.append((line, record))
            if len(together) >= _TOGETHER:
                yield together
                together = []
        if together:
            yield together

    def _with_labels(
        self, records: list[tuple[Line, dict[str, Any]]]
    ) -> Iterator[tuple[Line, dict[str, Any], tuple[str, str] | None]]:
        """Add data and encoding of each record's label: the index's, else its own."""
        parts = [label_part(record.get(GROUND_TRUTH)) for _, record in records]
        if self.index is not None:
            ids = ids_of_records([record for _, record in records])
            data, encodings = (column.to_pylist() for column in self.index.take(self.index.find(ids)))
            later = zip(parts, data, encodings, strict=True)
            parts = [part if text is None else (text, encoding) for part, text, encoding in later]
        for (line, record), part in zip(records, parts, strict=True):
            yield line, record, part


def located_capture_splits(
    files: Sequence[SourceFile],
    request: DatasetRequest,
    locations: Locations,
    index: LabelIndex | None = None,
) -> tuple[LocatedCaptureSplit, ...]:
    """Divide capture files into splits.

    Parameters
    ----------
    files
        In path order.
    request
        With the window.
    locations
        Where the columns are.
    index
        Labels to join with the records.
    """
    CaptureFinder(locations)  # its mistakes show before the work
    return tuple(
        LocatedCaptureSplit(pieces, locations, request.window, index)
        for pieces in divide(files, may_cut=may_cut)
    )


@dataclass(frozen=True)
class TypedLabelSplit:
    """A split of captures whose labels, text so far, become numbers where they are."""

    split: Split

    @property
    def label(self) -> str:
        """Return the file and the range in it."""
        return self.split.label

    def batches(self) -> Iterator[pa.RecordBatch]:
        """Yield the rows in order."""
        for batch in self.split.batches():
            columns = [
                typed_text(column) if name.partition(".")[0] == GROUND_TRUTH else column
                for name, column in zip(batch.schema.names, batch.columns, strict=True)
            ]
            yield pa.RecordBatch.from_arrays(columns, batch.schema.names, metadata=batch.schema.metadata)


def first_sides(files: Sequence[SourceFile]) -> dict[str, bool]:
    """Return the parts that the first records have, and whether each is CSV, labels of one cell.

    Parameters
    ----------
    files
        Captures, in path order; a few records of the first ones are read.
    """
    sides: dict[str, bool] = {}
    seen = 0
    for file in files[:_FILES_LOOKED_AT]:
        block = next(iter(line_blocks([Piece(file.path)], size=1 << 18)), None)
        for line in () if block is None else block.lines():
            record = record_of_line(line)
            for side, part in {**record["captureData"], GROUND_TRUTH: record.get(GROUND_TRUTH)}.items():
                if isinstance(part, dict) and part.get("data") is not None:
                    single = side != GROUND_TRUTH or "," not in str(part["data"])
                    sides[side] = sides.get(side, True) and single and json_values_of(part) is None
            seen += 1
            if seen >= _RECORDS_LOOKED_AT:
                return sides
    return sides


def _sized(batch: pa.RecordBatch | None) -> Iterator[pa.RecordBatch]:
    """Yield the rows in batches of the usual size."""
    rows = 0 if batch is None else batch.num_rows
    size = balanced_rows(max(1, rows))
    yield from (batch.slice(at, size) for at in range(0, rows, size))  # type: ignore[union-attr]  # rows is 0 for None
