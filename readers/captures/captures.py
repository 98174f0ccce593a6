"""Endpoint and batch captures, one JSON record per line, as record batches.

Columns of the response come first, then those of the request, and the label last when it is asked for.
Payloads of several rows give several rows.
A record belongs to the window when its ``inferenceTime`` does; without a readable one, when the hour
folder of its file does.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from contract.errors import DatasetError
from contract.window import Window, in_window_by_folder
from file_storage.storage import SourceFile, compression, open_random, reading
from readers.captures import bulk, one_by_one
from readers.captures.one_by_one import UNEVEN, Layout, find_layout
from readers.captures.payload import Counts, NotBulkError, Row
from readers.csv_records import CellParser, CellsError
from readers.dataset import Dataset
from readers.labels.index import (
    UNLIKE_ROWS,
    LabelIndex,
    RecordLabels,
    ids_of_records,
    labels_of_records,
    with_label_columns,
)
from readers.splitting import FileRange, Line, LineBlock, OfFileRanges, blocks_of_lines, divide, not_a_record

_LAYOUT_RECORDS = 500
_LAYOUT_FILES = 8

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class CaptureSplit(OfFileRanges):
    """Some capture files, or a byte range of one."""

    sides: tuple[str, ...]
    layout: Layout
    types: dict[str, pa.DataType] = field(default_factory=dict, hash=False)
    text_only: bool = False
    window: Window | None = None
    labels: bool = False
    index: LabelIndex | None = field(default=None, compare=False, repr=False)

    def batches(self) -> Iterator[pa.RecordBatch]:
        """Yield the rows in order.

        Raises
        ------
        DatasetError
            Naming file and line of what is no capture record.
        """
        notes = Notes(self.label)
        dropped = [raw for raw, name in self.layout.names.items() if name is None]
        parser = CellParser(self.text_only, dropped, dict(self.types))
        for block in blocks_of_lines(self.pieces):
            try:
                batch = self._bulk(block, parser, notes)
            except NotBulkError as reason:
                _log.debug("Reading %s record by record: %s", self.label, reason)
                batch = self._exact(block, parser, notes)
            if batch is not None and batch.num_rows:
                yield batch
        notes.report()

    def _bulk(self, block: LineBlock, parser: CellParser, notes: Notes) -> pa.RecordBatch | None:
        extracted = bulk.extract(
            block.data,
            self.sides,
            with_times=self.window is not None,
            with_labels=self.labels,
            with_ids=self.index is not None,
        )
        labels, ids = extracted.labels, extracted.ids
        numbers: npt.NDArray[np.int64] | None = None
        if self.window is not None:
            mask = times_in_window(extracted.times, self.window, block)
            if not mask.any():
                return None
            if not mask.all():
                numbers = np.flatnonzero(mask)
                extracted = extracted.filter(pa.array(mask))
                labels, ids = extracted.labels, extracted.ids
        try:
            combined = self._combine(extracted, parser)
        except bulk.NeedsPeersError:
            everything = one_by_one.with_peers(self.sides)
            extracted = bulk.extract(block.data, everything)
            if numbers is not None:
                extracted = extracted.filter(pa.array(mask))
            combined = self._combine(extracted, parser)
        if combined.first_uneven is not None:
            first = combined.first_uneven if numbers is None else int(numbers[combined.first_uneven])
            notes.add(UNEVEN, block, first, combined.uneven)
        batch = self.layout.finish(combined.batch)
        if labels is None:
            return batch
        if self.index is not None and ids is not None:
            labels = labels.updated(ids, self.index)
        return _labelled(batch, labels, combined.counts, block, numbers, notes)

    def _combine(self, extracted: bulk.Extracted, parser: CellParser) -> bulk.Combined:
        return bulk.combine(extracted, self.sides, self.layout, parser, text_only=self.text_only)

    def _exact(self, block: LineBlock, parser: CellParser, notes: Notes) -> pa.RecordBatch | None:
        read = list(
            rows_of_lines(block, self.sides, self.layout.widths, self.window, notes, text_only=self.text_only)
        )
        if not read:
            return None
        rows = [rows for _, _, rows in read]
        try:
            raw = one_by_one.exact_batch(rows, self.sides, self.layout, parser, text_only=self.text_only)
        except (CellsError, DatasetError) as error:
            raise DatasetError(
                f"{self.label} holds payloads that do not fit into columns: {error}"
            ) from error
        batch = self.layout.finish(raw)
        if not self.labels:
            return batch
        records = [record for _, record, _ in read]
        labels = labels_of_records(records)
        if self.index is not None:
            labels = labels.updated(ids_of_records(records), self.index)
        counts = np.array([one_by_one.row_count(found) for found in rows], np.int64)
        numbers = np.array([line.number for line, _, _ in read], np.int64)
        return _labelled(batch, labels, counts, block, numbers, notes)


@dataclass
class Notes:
    """What is odd about the records of a split: reported once each, with the first place."""

    label: str
    counts: dict[str, int] = field(default_factory=dict)
    places: dict[str, tuple[LineBlock, int]] = field(default_factory=dict)

    def add(self, text: str, block: LineBlock, number: int, count: int = 1) -> None:
        """Count records; `number` is that of the first in the block."""
        self.counts[text] = self.counts.get(text, 0) + count
        self.places.setdefault(text, (block, number))

    def report(self) -> None:
        """Log each kind once."""
        for text, count in self.counts.items():
            block, number = self.places[text]
            _log.warning("%s: %s: %d, the first at %s", self.label, text, count, block.place(number))


def capture_splits(
    files: Sequence[SourceFile], request: Dataset, index: LabelIndex | None = None
) -> tuple[CaptureSplit, ...]:
    """Divide capture files into splits.

    Parameters
    ----------
    files
        In path order.
    request
        With the format's `capture_indices`, the window, and the baseline's names.
    index
        Labels to join with the records.
    """
    sides = column_order(request.format.capture_indices)
    layout, types = capture_layout(files, sides, request)
    return tuple(
        CaptureSplit(
            pieces,
            sides,
            layout,
            types,
            request.text_only,
            request.window,
            request.labels or index is not None,
            index,
        )
        for pieces in divide(files, may_cut=may_cut)
    )


def column_order(indices: Sequence[str]) -> tuple[str, ...]:
    """Return the payloads in column order: the response, then the request."""
    return tuple(sorted(indices, key=lambda index: not index.endswith("Output")))


def may_cut(file: SourceFile) -> bool:
    """Return whether a file can be read in byte ranges."""
    with reading(file.path), open_random(file.path) as stream:
        return compression(file.path, stream.read_at(8, 0)) is None


def capture_layout(
    files: Sequence[SourceFile], sides: tuple[str, ...], request: Dataset
) -> tuple[Layout, dict[str, pa.DataType]]:
    """Decide what the columns are called, and guess types of CSV cells, from the first records."""
    records = _first_records(files, sides)
    parser = CellParser(request.text_only)
    try:
        layout = find_layout(sides, records, request)
        one_by_one.exact_batch(records, sides, layout, parser, text_only=request.text_only)
    except DatasetError as error:
        raise DatasetError(f"{request.source}: {error.message}") from error
    return layout, parser.types


def _first_records(files: Sequence[SourceFile], sides: tuple[str, ...]) -> list[list[list[Row] | None]]:
    records: list[list[list[Row] | None]] = []
    for file in files[:_LAYOUT_FILES]:
        first_block = next(iter(blocks_of_lines([FileRange(file.path)], size=1 << 18)), None)
        if first_block is None:
            continue
        for line in first_block.lines():
            try:
                record = one_by_one.parse_record(line.data)
            except ValueError:
                continue  # reading the file in earnest reports it
            records.append(_rows(record, line, sides, (0,) * len(sides), Notes(""), text_only=False))
            if len(records) >= _LAYOUT_RECORDS:
                break
        seen = [any(record[side] is not None for record in records) for side in range(len(sides))]
        if all(seen):
            break
    return records


def rows_of_lines(
    block: LineBlock,
    sides: Sequence[str],
    widths: Sequence[int],
    window: Window | None,
    notes: Notes,
    *,
    text_only: bool,
) -> Iterator[tuple[Line, dict[str, Any], list[list[Row] | None]]]:
    """Yield line, record and its rows, for each record of a block that lies in the window.

    Raises
    ------
    DatasetError
        Naming file and line of what is no capture record.
    """
    for line in block.lines():
        record = record_of_line(line)
        if not in_window(record, line.path, window):
            continue
        rows = _rows(record, line, sides, widths, notes, text_only=text_only)
        if one_by_one.is_uneven(rows):
            notes.add(UNEVEN, block, line.number)
        yield line, record, rows


def record_of_line(line: Line) -> dict[str, Any]:
    """Return the capture record of a line.

    Raises
    ------
    DatasetError
        Naming file and line when it is none.
    """
    try:
        return one_by_one.parse_record(line.data)
    except ValueError as reason:
        raise not_a_record(line, str(reason)) from None


def in_window(record: dict[str, Any], path: str, window: Window | None) -> bool:
    """Return whether a record belongs to the window."""
    if window is None:
        return True
    metadata = record.get("eventMetadata")
    instant = parse_instant(metadata.get("inferenceTime") if isinstance(metadata, dict) else None)
    return in_window_by_folder(path, window, "records") if instant is None else window.contains(instant)


def parse_instant(text: Any) -> datetime | None:
    """Return an ISO 8601 time, UTC when it says nothing else; None when it is none."""
    try:
        instant = datetime.fromisoformat(text)
    except (TypeError, ValueError):
        return None
    return instant if instant.tzinfo else instant.replace(tzinfo=UTC)


def times_in_window(times: pa.StringArray, window: Window, block: LineBlock) -> npt.NDArray[np.bool_]:
    """Return which records of a block belong to the window.

    Parameters
    ----------
    times
        ``inferenceTime`` by record, one per line of the block.
    """
    encoded = times.dictionary_encode()
    try:
        instants = [parse_instant(text) for text in encoded.dictionary.to_pylist()]
    except UnicodeDecodeError as error:
        raise NotBulkError(str(error)) from error
    # -1 for no, 1 for yes, 0 for no readable time.
    verdicts = np.array(
        [0 if instant is None else 1 if window.contains(instant) else -1 for instant in instants] + [0],
        np.int8,
    )
    codes = encoded.indices.fill_null(len(instants)).to_numpy(zero_copy_only=False)
    verdict: npt.NDArray[np.int8] = verdicts[codes]
    if (verdict == 0).any():
        lines = [segment.data.count(b"\n") for segment in block.segments]
        origins = np.repeat(np.arange(len(lines)), lines)
        for place in np.unique(origins[verdict == 0]):
            inside = in_window_by_folder(block.segments[place].path, window, "records")
            verdict[(verdict == 0) & (origins == place)] = 1 if inside else -1
    return np.asarray(verdict > 0)


def _labelled(
    batch: pa.RecordBatch,
    labels: RecordLabels,
    counts: Counts,
    block: LineBlock,
    numbers: Counts | None,
    notes: Notes,
) -> pa.RecordBatch:
    """Append the labels of records; `numbers` are those of their lines in the block, None for all lines."""
    try:
        batch, unlike = with_label_columns(batch, labels, counts)
    except DatasetError as error:
        raise DatasetError(f"labels of {block.segments[0].path}: {error.message}") from error
    if len(unlike):
        first = int(unlike[0]) if numbers is None else int(numbers[unlike[0]])
        notes.add(UNLIKE_ROWS, block, first, len(unlike))
    return batch


def _rows(
    record: dict[str, Any],
    line: Line,
    sides: Sequence[str],
    widths: Sequence[int],
    notes: Notes,
    *,
    text_only: bool,
) -> list[list[Row] | None]:
    def note(text: str) -> None:
        notes.add(text, line.block, line.number)

    try:
        return one_by_one.rows_of_record(record, sides, widths, note, text_only=text_only)
    except DatasetError as error:
        raise DatasetError(f"{error.message}: {line.path} line {line.line_number()}.") from None
