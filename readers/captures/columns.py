"""Captures, merged ones too, whose columns are found by JMESPath in their payloads, as record batches.

A call may carry many rows: its features, scores and labels are then lists of one length. Payloads of CSV
have no paths; there, a location is the position of a column.
"""

from __future__ import annotations

import itertools
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from contract.errors import DatasetError
from contract.window import Window
from file_storage.storage import SourceFile
from readers.captures.bulk import Extracted, extract
from readers.captures.captures import in_window, may_cut, record_of_line, times_in_window
from readers.captures.payload import (
    Counts,
    NotBulkError,
    Payload,
    UndecodableError,
    json_values,
    loads,
    parse_payload,
)
from readers.column_paths import (
    GROUND_TRUTH,
    PARTS,
    REQUEST,
    RESPONSE,
    BulkPaths,
    ColumnPaths,
    FeatureRow,
    Find,
    Location,
    PlainPath,
    RecordRows,
    bulk_batch,
    bulk_paths,
    compile_path,
    feature_rows,
    typed_text,
    values_at,
)
from readers.dataset import Dataset, Split
from readers.labels.index import LABEL, LabelIndex, RecordLabels, ids_of_records, label_columns
from readers.labels.lines import label_part
from readers.splitting import (
    BATCH_ROWS,
    FileRange,
    Line,
    LineBlock,
    OfFileRanges,
    balanced_rows,
    blocks_of_lines,
    divide,
)

# Columns found by JMESPath in the parts of capture records, one record at a time: every rule.
#
# `located_capture_bulk` gives the same columns for blocks without surprises.


# Of a few labels, all may well be null.
_ENOUGH_LABELS = 10


@dataclass
class _Part:
    """One part of a record, decoded: JSON values, or rows of CSV."""

    values: list[Any] = field(default_factory=list)
    payload: Payload | None = None
    is_csv: bool = False


class CaptureFinder:
    """The compiled paths of `ColumnPaths`, applied to the parts of capture records."""

    def __init__(self, locations: ColumnPaths) -> None:
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
        values = json_values_of(part)
        return _Part(values or [], payload, is_csv=values is None)


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


def json_values_of(part: Any) -> list[Any] | None:
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


# Blocks of captures whose columns are found by plain paths, without a step per record.


_SIDES = tuple(dict.fromkeys(side for sides in PARTS.values() for side in sides))

Kinds = Mapping[str, pa.DataType]


@dataclass(frozen=True)
class BulkCaptures:
    """How blocks of captures are read at once."""

    locations: ColumnPaths
    paths: BulkPaths
    window: Window | None
    index: LabelIndex | None

    def read(self, block: LineBlock, learn: Callable[[], Kinds]) -> tuple[pa.RecordBatch | None, int, int]:
        """Return the rows of a block, how many records have labels, and in how many one was found.

        Parameters
        ----------
        block
            Whole lines.
        learn
            Returns the types of features as the first records have them.

        Raises
        ------
        NotBulkError
            When the records have to be read one by one.
        """
        extracted = extract(
            block.data,
            _SIDES,
            with_times=self.window is not None,
            with_labels=True,
            with_ids=self.index is not None,
        )
        if self.window is not None:
            mask = times_in_window(extracted.times, self.window, block)
            extracted = extracted.filter(pa.array(mask))
        labels = extracted.labels or RecordLabels(pa.array([], pa.string()), pa.array([], pa.string()))
        if self.index is not None and extracted.ids is not None:
            labels = labels.updated(extracted.ids, self.index)
        if not len(labels.data):
            return None, 0, 0
        features, counts = values_at(_part(extracted, REQUEST), self.paths.features)
        others = self._others(extracted, labels, counts)
        batch = bulk_batch(features, counts, others, self.locations, learn())
        labelled = len(labels.data) - labels.data.null_count
        found = sum(
            len(others[other.name][0]) - others[other.name][0].null_count
            for other in self.locations.others
            if other.side == GROUND_TRUTH
        )
        return batch, labelled, found

    def _others(
        self, extracted: Extracted, labels: RecordLabels, counts: Counts
    ) -> dict[str, tuple[pa.Array, Counts]]:
        parts: dict[str, pa.Array] = {}
        columns = {}
        for other, path in zip(self.locations.others, self.paths.others, strict=True):
            if other.side == GROUND_TRUTH:
                columns[other.name] = _labels(labels, path, counts)
                continue
            if path is None:
                raise NotBulkError("a response without a path")
            if other.side not in parts:
                parts[other.side] = _part(extracted, other.side)
            columns[other.name] = values_at(parts[other.side], path)
        return columns


def _part(extracted: Extracted, part: str) -> pa.Array:
    """Return the parsed payloads of the request or the response, which every record must have as JSON."""
    for side in PARTS[part]:
        data = extracted.data[side]
        if data.null_count == len(data):
            continue
        if data.null_count or pc.unique(extracted.encodings[side]).to_pylist() != ["JSON"]:
            break
        return json_values(data)
    raise NotBulkError(f"a {part} that is no JSON")


def _labels(labels: RecordLabels, path: PlainPath | None, counts: Counts) -> tuple[pa.Array, Counts]:
    """Return one label for each row; missing where a record has none."""
    present = labels.data.is_valid()
    if labels.data.null_count == len(labels.data):
        return pa.nulls(int(counts.sum())), counts
    encodings = set(pc.unique(labels.encodings.filter(present)).to_pylist())
    if encodings <= {"CSV", None}:
        columns, unlike = label_columns(labels, counts)
        if len(unlike) or list(columns) != [LABEL]:
            raise NotBulkError("labels of several cells, or of another number than rows")
        return typed_text(columns[LABEL]), counts
    if encodings != {"JSON"} or path is None:
        raise NotBulkError("labels of several encodings, or without a path")
    values, found = values_at(json_values(labels.data.drop_null()), path)
    valid = present.to_numpy(zero_copy_only=False)
    if not np.array_equal(found, counts[valid]):
        raise NotBulkError("another number of labels than rows")
    if valid.all():
        return values, counts
    rows = np.repeat(valid, counts)
    where = np.cumsum(rows) - 1
    return values.take(pa.array(where, mask=~rows)), counts


_TOGETHER = 1024
# Of so many records the types of features are learnt.
_LEARNT_RECORDS = 100
_FILES_LOOKED_AT = 8
_RECORDS_LOOKED_AT = 100

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class LocatedCaptureSplit(OfFileRanges):
    """Some capture files, or a byte range of one."""

    locations: ColumnPaths
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
        for block in blocks_of_lines(self.pieces):

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
    request: Dataset,
    locations: ColumnPaths,
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
        block = next(iter(blocks_of_lines([FileRange(file.path)], size=1 << 18)), None)
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
