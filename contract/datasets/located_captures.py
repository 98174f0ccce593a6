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
from contract.datasets.json_path import Find, compile_path
from contract.datasets.located_bulk import bulk_paths
from contract.datasets.located_capture_bulk import BulkCaptures, Kinds
from contract.datasets.locations import (
    GROUND_TRUTH,
    PARTS,
    REQUEST,
    RESPONSE,
    FeatureRow,
    Location,
    Locations,
    RecordRows,
    feature_rows,
    typed_text,
)
from contract.datasets.payload_columns import NotBulkError
from contract.datasets.payloads import Payload, UndecodableError, loads, parse_payload
from contract.datasets.pieces import BATCH_ROWS, Piece, balanced_rows, divide, label
from contract.datasets.request import DatasetRequest, Split
from contract.datasets.storage import SourceFile
from contract.datasets.window import Window
from contract.errors import DatasetError

_TOGETHER = 1024
# Of so many records the types of features are learnt.
_LEARNT_RECORDS = 100
_FILES_LOOKED_AT = 8
_RECORDS_LOOKED_AT = 100
# Of a few labels, all may well be null.
_ENOUGH_LABELS = 10

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class LocatedCaptureSplit:
    """Some capture files, or a byte range of one."""

    pieces: tuple[Piece, ...]
    locations: Locations
    window: Window | None = None
    index: LabelIndex | None = field(default=None, compare=False, repr=False)

    @property
    def label(self) -> str:
        """Return the file and the range in it."""
        return label(self.pieces)

    def batches(self) -> Iterator[pa.RecordBatch]:
        """Yield the rows in order.

        Raises
        ------
        DatasetError
            Naming file and line of what is no capture record, or holds another number of labels or
            predictions than rows.
        """
        finder = _Finder(self.locations)
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
                "%s: %d payloads that could not be decoded count as missing", self.label, finder.undecodable
            )

    def _bulk(self) -> BulkCaptures | None:
        paths = bulk_paths(self.locations)
        return None if paths is None else BulkCaptures(self.locations, paths, self.window, self.index)

    def _exact(self, block: LineBlock, finder: _Finder, most: int | None = None) -> Iterator[pa.RecordBatch]:
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
        for batch in self._exact(block, _Finder(self.locations), _LEARNT_RECORDS):
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
    _Finder(locations)  # its mistakes show before the work
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
                    sides[side] = sides.get(side, True) and single and _json_values(part) is None
            seen += 1
            if seen >= _RECORDS_LOOKED_AT:
                return sides
    return sides


@dataclass
class _Part:
    """One part of a record, decoded: JSON values, or rows of CSV."""

    values: list[Any] = field(default_factory=list)
    payload: Payload | None = None
    is_csv: bool = False


class _Finder:
    """The compiled paths of `Locations`, applied to the parts of capture records."""

    def __init__(self, locations: Locations) -> None:
        self._locations = locations
        self._features = (
            None if locations.features is None else _finder(locations.features, locations.variable)
        )
        self._others = [_finder(other.path, other.variable) for other in locations.others]
        self._text: set[str] = set()
        self._labels = self._labelled = 0
        self.undecodable = 0

    def add(
        self, rows: RecordRows, line: Line, record: dict[str, Any], truth: tuple[str, str] | None
    ) -> None:
        """Add the rows of one record."""
        parts = {
            REQUEST: self._part(record, REQUEST),
            RESPONSE: self._part(record, RESPONSE),
            GROUND_TRUTH: self._decoded(truth and {"data": truth[0], "encoding": truth[1]}),
        }
        self._text |= {side for side, part in parts.items() if part.is_csv}
        features = self._feature_rows(parts[REQUEST], _positions_beside(record, self._locations.others))
        if features is None and parts[REQUEST].values:
            raise DatasetError(
                f"{line.path} line {line.line_number()} has nothing at {self._locations.features!r} in its "
                f"request; correct {self._locations.variable}."
            )
        found = [
            _found(parts[other.side], find, other)
            for other, find in zip(self._locations.others, self._others, strict=True)
        ]
        labelled = [
            value is not None
            for other, value in zip(self._locations.others, found, strict=True)
            if other.side == GROUND_TRUTH
        ]
        self.count_labels(parts[GROUND_TRUTH].payload is not None, sum(labelled))
        rows.add(features, found, lambda: f"{line.path} line {line.line_number()}")

    def count_labels(self, labels: int, found: int) -> None:
        """Count records with labels, and those where one was found."""
        self._labels += labels
        self._labelled += found

    def require_labels(self, where: str) -> None:
        """Raise DatasetError when there were labels, and the path of the label led to none of them."""
        for other in self._locations.others:
            if other.side == GROUND_TRUTH and self._labels >= _ENOUGH_LABELS and not self._labelled:
                raise DatasetError(
                    f"{where} has {self._labels} records with {GROUND_TRUTH}, but none has a label at "
                    f"{other.path!r}; set {other.variable} to where the label is, as JMESPath."
                )

    def finish(self, rows: RecordRows) -> pa.RecordBatch:
        """Return the rows as columns; what came as CSV gets the types that its text allows."""
        batch = rows.batch()
        others = {other.name: other.side for other in self._locations.others}
        columns = [
            typed_text(column) if others.get(name, REQUEST) in self._text else column
            for name, column in zip(batch.schema.names, batch.columns, strict=True)
        ]
        return pa.RecordBatch.from_arrays(columns, batch.schema.names) if columns else batch

    def _feature_rows(self, part: _Part, beside: set[int]) -> list[FeatureRow] | None:
        if part.is_csv and part.payload is not None:
            cells = [row for row in part.payload.rows if isinstance(row, list)]
            return [[cell for at, cell in enumerate(row) if at not in beside] for row in cells]
        if self._features is None:
            if part.payload is None:
                return None
            payload = part.payload
            whole = payload.whole is not None and not payload.row_like
            return [payload.whole] if whole else list(payload.rows)  # type: ignore[list-item]  # whole is set
        rows: list[FeatureRow] = []
        for value in part.values:
            found = feature_rows(self._features(value))
            if found is None:
                return None
            rows += found
        return rows if part.values else None

    def _part(self, record: dict[str, Any], side: str) -> _Part:
        captured = record["captureData"]
        return self._decoded(next((captured[name] for name in PARTS[side] if captured.get(name)), None))

    def _decoded(self, part: Any) -> _Part:
        try:
            payload = parse_payload(part)
        except UndecodableError:
            self.undecodable += 1
            return _Part()
        if payload is None:
            return _Part()
        values = _json_values(part)
        return _Part(values or [], payload, is_csv=values is None)


def _sized(batch: pa.RecordBatch | None) -> Iterator[pa.RecordBatch]:
    """Yield the rows in batches of the usual size."""
    rows = 0 if batch is None else batch.num_rows
    size = balanced_rows(max(1, rows))
    yield from (batch.slice(at, size) for at in range(0, rows, size))  # type: ignore[union-attr]  # rows is 0 for None


def _finder(path: str | None, variable: str) -> Find | None:
    return None if path is None or path.isdecimal() else compile_path(path, variable)


def _found(part: _Part, find: Find | None, location: Location) -> Any:
    """Return what a part holds at a location: None, one value, or one for each row."""
    if part.payload is None:
        return None
    if part.is_csv:
        position = int(location.path) if location.path and location.path.isdecimal() else 0
        rows = [row for row in part.payload.rows if isinstance(row, list)]
        if location.side == GROUND_TRUTH and all(len(row) == 1 for row in rows):
            position = 0  # of a label alone, the position may be that of its column in the dataset
        cells = [_at(row, position) for row in rows]
        return cells[0] if len(cells) == 1 else cells
    if find is not None:
        found = [find(value) for value in part.values]
    elif location.path is None:
        found = list(part.values)
    else:
        position = int(location.path)
        found = [_at(value, position) for value in part.values]
    return found[0] if len(found) == 1 else found


def _at(value: Any, position: int) -> Any:
    return value[position] if isinstance(value, list) and len(value) > position else None


def _positions_beside(record: dict[str, Any], others: tuple[Location, ...]) -> set[int]:
    """Return the positions of predictions that share the line with the features, as batch output does."""
    captured = record["captureData"]
    if captured.get("endpointInput") or captured.get("batchTransformInput"):
        return set()
    return {
        int(other.path)
        for other in others
        if other.side == RESPONSE and other.path and other.path.isdecimal()
    }


def _json_values(part: Any) -> list[Any] | None:
    """Return the JSON values of a part, one for each line when there are several; None when it is no JSON."""
    data = part.get("data")
    if not isinstance(data, str):
        return [data]
    encoding = str(part.get("encoding") or "").upper()
    content_type = str(part.get("observedContentType") or "").lower()
    if encoding == "CSV" or (encoding != "JSON" and "csv" in content_type):
        return None
    text = _text(data, encoding)
    try:
        return [loads(text)]
    except ValueError:
        pass
    try:
        return [loads(line) for line in text.split("\n") if line.strip()]
    except ValueError:
        return None


def _text(data: str, encoding: str) -> str:
    if encoding != "BASE64":
        return data
    import base64

    return base64.b64decode(data, validate=False).decode()
