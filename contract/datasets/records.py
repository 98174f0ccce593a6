"""Datasets that pass through a user's script: record by record, or batch by batch as data frames."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson
import pyarrow as pa

from contract.datasets.capture import (
    capture_layout,
    column_order,
    in_window,
    may_cut,
    record_of_line,
)
from contract.datasets.capture_layout import Layout
from contract.datasets.capture_lines import Line, line_blocks
from contract.datasets.csv_cells import CellParser, CellsError
from contract.datasets.ground_truth_columns import LABEL, ids_of_records
from contract.datasets.ground_truth_index import LabelIndex
from contract.datasets.inference_record import InferenceRecord
from contract.datasets.pieces import OfPieces, Piece, divide, label
from contract.datasets.request import DatasetRequest, Split
from contract.datasets.script_results import Gathered, UnusableResultError
from contract.datasets.storage import SourceFile, is_s3, open_random, reading
from contract.errors import DatasetError
from contract.scripts import Preprocessor, reject_result, script_failure, script_lock

# Python objects take ten times the room of the text they are read from.
_BLOCK_SIZE = 8 << 20
_PARQUET_ROWS = 16_384
_CAPTURES = ("sagemakerCaptureJson", "sagemakerMergeJson")


@dataclass(frozen=True)
class Place:
    """Where a record comes from, for messages."""

    path: str
    row: int
    record: Any

    def where(self) -> str:
        """Return the place and the beginning of the record."""
        return f"{self.path} row {self.row}: {str(self.record)[:80]!r}"


@dataclass(frozen=True)
class RecordSplit(OfPieces):
    """Some files, or a byte range of one, whose records pass through ``preprocess_handler``."""

    request: DatasetRequest
    preprocessor: Preprocessor
    sides: tuple[str, ...] = ()
    layout: Layout = field(default_factory=lambda: Layout(()))
    index: LabelIndex | None = field(default=None, compare=False, repr=False)

    def batches(self) -> Iterator[pa.RecordBatch]:
        """Yield the rows that the script returns.

        Raises
        ------
        ScriptError
            Naming the line in the script, and file and line of the record.
        DatasetError
            When a record cannot be read.
        """
        captures = self.request.format.kind in _CAPTURES
        # Header rows and arrays belong to one file; capture files are many and small.
        for pieces in (self.pieces,) if captures else ((piece,) for piece in self.pieces):
            gathered = Gathered(self.request, self.sides, self.layout, CellParser(self.request.text_only))
            for chunk in self._chunks(pieces):
                # A script keeps its own state; only one thread at a time may be in it.
                with script_lock:
                    for record, place in chunk:
                        self._handle(record, place, gathered)
                yield from self._columns(gathered, pieces)

    def _chunks(self, pieces: tuple[Piece, ...]) -> Iterator[Iterator[tuple[Any, Line | Place]]]:
        kind = self.request.format.kind
        if kind == "parquet":
            yield from _parquet_chunks(pieces[0].path)
            return
        for block in line_blocks(pieces, size=_BLOCK_SIZE):
            if kind == "json" and block.segments[0].offset == 0 and _is_array(block.data):
                yield _array_records(pieces[0].path)
                return
            if kind in ("csv", "json"):
                yield ((_text(line), line) for line in block.lines())
            else:
                yield self._captures(block.lines())

    def _captures(self, lines: Iterator[Line]) -> Iterator[tuple[Any, Line | Place]]:
        window = self.request.window
        found = ((record_of_line(line), line) for line in lines)
        within = ((record, line) for record, line in found if in_window(record, line.path, window))
        labelled = within if self.index is None else _with_labels(list(within), self.index)
        for record, line in labelled:
            yield InferenceRecord(record), line

    def _handle(self, record: Any, place: Line | Place, gathered: Gathered) -> None:
        function = self.preprocessor.function
        try:
            result = self.preprocessor.handle(record)
        except (Exception, SystemExit) as error:
            raise script_failure(self.preprocessor.path, function, error, place.where()) from error
        try:
            if self._is_header(place):
                gathered.add_header(record)
                if isinstance(result, str):
                    gathered.add_header(result)
                    return
            gathered.add(result)
        except UnusableResultError as problem:
            raise reject_result(self.preprocessor.path, function, str(problem), place.where()) from None
        except DatasetError as problem:
            raise DatasetError(f"{problem.message}: {place.where()}.") from None

    def _is_header(self, place: Line | Place) -> bool:
        return (
            self.request.format.kind == "csv"
            and self.request.format.header
            and isinstance(place, Line)
            and place.is_first_of_file()
        )

    def _columns(self, gathered: Gathered, pieces: tuple[Piece, ...]) -> Iterator[pa.RecordBatch]:
        path, function = self.preprocessor.path, self.preprocessor.function
        try:
            yield from gathered.batches()
        except DatasetError as problem:
            text = f"returned rows that do not fit: {problem.message.rstrip('.')}"
            raise reject_result(path, function, text, f"records of {label(pieces)}") from problem
        except CellsError as problem:
            text = f"returned text that is no CSV: {problem}"
            raise reject_result(path, function, text, f"records of {label(pieces)}") from problem


@dataclass(frozen=True)
class PreprocessedSplit:
    """A split whose batches pass through ``preprocess_dataframe``."""

    inner: Split
    preprocessor: Preprocessor

    @property
    def label(self) -> str:
        """Return the label of the split within."""
        return self.inner.label

    def batches(self) -> Iterator[pa.RecordBatch]:
        """Yield the batches as the script changes them.

        Raises
        ------
        ScriptError
            When the script fails or returns something unusable.
        """
        for batch in self.inner.batches():
            if batch.num_rows:
                yield self.preprocessor.apply_dataframe(batch)


def record_splits(
    files: Sequence[SourceFile], request: DatasetRequest, index: LabelIndex | None = None
) -> tuple[RecordSplit, ...]:
    """Divide files whose records pass through a script into splits.

    Parameters
    ----------
    files
        In path order.
    request
        With a preprocessor of the kind ``"record"``.
    index
        Labels to join with captures, before the script sees them.
    """
    preprocessor = request.preprocessor
    if preprocessor is None:
        raise ValueError("the request has no preprocessor")
    kind = request.format.kind
    if kind not in _CAPTURES:
        # Header rows, arrays and Parquet's footer belong to the whole file.
        return tuple(RecordSplit(pieces, request, preprocessor) for pieces in divide(files))
    sides = column_order(request.format.capture_indices)
    layout, _ = capture_layout(files, sides, request)
    return tuple(
        RecordSplit(pieces, request, preprocessor, sides, layout, index)
        for pieces in divide(files, may_cut=may_cut)
    )


def _with_labels(
    records: list[tuple[dict[str, Any], Line]], index: LabelIndex
) -> Iterator[tuple[dict[str, Any], Line]]:
    """Yield the records with the labels that the index has for them."""
    data, encodings = index.take(index.find(ids_of_records([record for record, _ in records])))
    for (record, line), text, encoding in zip(records, data.to_pylist(), encodings.to_pylist(), strict=True):
        if text is not None:
            record[LABEL] = {"data": text, "encoding": encoding}
        yield record, line


def _text(line: Line) -> str:
    try:
        return line.data.decode().rstrip("\r\n")
    except UnicodeDecodeError:
        raise DatasetError(
            f"{line.path} line {line.line_number()} is not UTF-8 text: {line.excerpt()!r}; "
            "save the file as UTF-8."
        ) from None


def _is_array(data: bytes) -> bool:
    return data.lstrip()[:1] == b"["


def _array_records(path: str) -> Iterator[tuple[Any, Line | Place]]:
    from contract.datasets.storage import read_bytes

    try:
        items = orjson.loads(read_bytes(path))
    except orjson.JSONDecodeError as error:
        raise DatasetError(
            f"{path} begins like a JSON array, but is not one: {error}; mend the file."
        ) from None
    for number, item in enumerate(items, 1):
        text = orjson.dumps(item).decode()
        yield text, Place(path, number, text)


def _parquet_chunks(path: str) -> Iterator[Iterator[tuple[Any, Line | Place]]]:
    from pyarrow import parquet

    with reading(path):
        file = open_random(path) if is_s3(path) else path
        try:
            table = parquet.ParquetFile(file)
        except pa.ArrowInvalid as error:
            raise DatasetError(f"{path} is truncated or not Parquet: {error}.") from None
        number = 0
        for batch in table.iter_batches(batch_size=_PARQUET_ROWS, use_threads=False):
            yield _numbered(path, number, batch.to_pylist())
            number += batch.num_rows


def _numbered(path: str, before: int, rows: list[dict[str, Any]]) -> Iterator[tuple[Any, Line | Place]]:
    for number, row in enumerate(rows, before + 1):
        yield row, Place(path, number, row)
