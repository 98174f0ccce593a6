"""JSON documents and JSON Lines whose columns are found by JMESPath, as record batches."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from contract.datasets import storage
from contract.datasets.json_lines import JsonFields, parse_json_block
from contract.datasets.json_path import Find, compile_path
from contract.datasets.located_bulk import BulkPaths, bulk_batch, bulk_paths, values_at
from contract.datasets.locations import FeatureRow, Locations, RecordRows, feature_rows
from contract.datasets.payload_columns import NotBulkError
from contract.datasets.payloads import loads
from contract.datasets.pieces import (
    BATCH_ROWS,
    UTF8_MARK,
    Block,
    OfPieces,
    balanced_rows,
    divide,
    line_blocks,
    lines_before,
    text_of,
)
from contract.datasets.storage import SourceFile
from contract.errors import DatasetError

_BLANK = b" \t\r\n"
_KEYS_SHOWN = 8
# Of so many lines the types of features are learnt.
_LEARNT_LINES = 100


@dataclass(frozen=True)
class LocatedJsonSplit(OfPieces):
    """Some JSON files, or a byte range of one JSON Lines file."""

    locations: Locations

    def batches(self) -> Iterator[pa.RecordBatch]:
        """Yield the rows in order.

        Raises
        ------
        DatasetError
            Naming file and line where a path finds nothing, or not as many values as rows.
        """
        finder = Finder(self.locations)
        bulk = None if self.locations.document else _BulkReader.of(self.locations, finder)
        for piece in self.pieces:
            if self.locations.document:
                yield from _exact(_document(piece.path), finder, self.locations, piece.path)
                continue
            for block in line_blocks(piece):
                data = text_of(block)
                if not data.strip(_BLANK):
                    continue
                batch = bulk.read(data) if bulk is not None else None
                if batch is None:
                    yield from _exact(_lines(piece.path, block, data), finder, self.locations, piece.path)
                    continue
                size = balanced_rows(batch.num_rows)
                yield from (batch.slice(at, size) for at in range(0, batch.num_rows, size))


class Finder:
    """The compiled paths of `Locations`, applied to JSON values."""

    def __init__(self, locations: Locations) -> None:
        self._locations = locations
        features = locations.features
        self._features: Find | None = None if features is None else compile_path(features, locations.variable)
        self._others = [compile_path(other.path or "@", other.variable) for other in locations.others]

    def add(self, rows: RecordRows, record: Any, place: Callable[[], str]) -> None:
        """Add the rows of one record.

        Raises
        ------
        DatasetError
            When there are no features, or another number of values than rows.
        """
        features: list[FeatureRow] | None = None
        if self._features is not None:
            features = feature_rows(self._features(record), document=self._locations.document)
        if features is None and self._features is not None:
            raise DatasetError(
                f"{place()} has nothing at {self._locations.features!r}{_keys(record)}; "
                f"correct {self._locations.variable}."
            )
        found = [find(record) for find in self._others]
        if self._locations.document and None in found:
            other = self._locations.others[found.index(None)]
            raise DatasetError(
                f"{place()} has nothing at {other.path!r}{_keys(record)}; correct {other.variable}."
            )
        rows.add(features, found, place)


def located_json_splits(
    files: Sequence[SourceFile], locations: Locations, *, whole_files: bool = False
) -> tuple[LocatedJsonSplit, ...]:
    """Divide JSON files into splits.

    Parameters
    ----------
    files
        In path order.
    locations
        Where the columns are.
    whole_files
        Never cut a file into byte ranges.
    """
    Finder(locations)  # its mistakes show before the work

    def may_cut(file: SourceFile) -> bool:
        return not (whole_files or locations.document or storage.is_compressed(file.path))

    return tuple(LocatedJsonSplit(pieces, locations) for pieces in divide(files, may_cut=may_cut))


class _BulkReader:
    """Reads whole blocks of lines where all paths are plain."""

    def __init__(self, locations: Locations, paths: BulkPaths, finder: Finder) -> None:
        self._locations, self._paths, self._finder = locations, paths, finder
        self._fields = JsonFields()
        self._kinds: dict[str, pa.DataType] | None = None

    @classmethod
    def of(cls, locations: Locations, finder: Finder) -> _BulkReader | None:
        """Return a reader, None where paths are not plain."""
        paths = bulk_paths(locations)
        return None if paths is None else cls(locations, paths, finder)

    def read(self, data: bytes) -> pa.RecordBatch | None:
        """Return the rows of whole lines, None when they have to be read one by one."""
        try:
            if self._kinds is None:
                self._kinds = self._learn(data)
            table = parse_json_block(data, self._fields)
            columns = [column.combine_chunks() for column in table.columns]
            if not columns:
                return None
            records = pa.StructArray.from_arrays(columns, table.schema.names)
            features, counts = values_at(records, self._paths.features)
            others = {
                other.name: values_at(records, path)
                for other, path in zip(self._locations.others, self._paths.others, strict=True)
                if path is not None
            }
            return bulk_batch(features, counts, others, self._locations, self._kinds)
        except (NotBulkError, DatasetError, pa.ArrowInvalid, pa.ArrowNotImplementedError, ValueError):
            return None  # reading line by line names the place of what is wrong

    def _learn(self, data: bytes) -> dict[str, pa.DataType]:
        rows = RecordRows(self._locations)
        for line in data.split(b"\n", _LEARNT_LINES)[:_LEARNT_LINES]:
            if line.strip(_BLANK):
                self._finder.add(rows, loads(line), str)
        batch = rows.batch()
        return dict(zip(batch.schema.names, batch.schema.types, strict=True))


def _exact(
    records: Iterator[tuple[Any, Callable[[], str]]], finder: Finder, locations: Locations, path: str
) -> Iterator[pa.RecordBatch]:
    """Read records one by one."""
    rows = RecordRows(locations)
    for record, place in records:
        finder.add(rows, record, place)
        if len(rows) >= BATCH_ROWS:
            yield _batch(rows, path)
            rows = RecordRows(locations)
    if len(rows):
        yield _batch(rows, path)


def _batch(rows: RecordRows, path: str) -> pa.RecordBatch:
    try:
        return rows.batch()
    except DatasetError as error:
        raise DatasetError(f"{path}: {error.message}") from error


def _document(path: str) -> Iterator[tuple[Any, Callable[[], str]]]:
    data = storage.read_bytes(path).removeprefix(UTF8_MARK)
    if not data.strip(_BLANK):
        return
    try:
        yield loads(data), lambda: path
    except ValueError as error:
        lines = data.strip(_BLANK).split(b"\n")
        hint = "check that the file is complete"
        if len(lines) > 1 and all(line.strip(_BLANK).startswith(b"{") for line in lines[:2]):
            hint = "if it holds one record per line, set dataset_type to application/jsonlines"
        raise DatasetError(f"{path} is not JSON ({error}); {hint}.") from None


def _lines(path: str, block: Block, data: bytes) -> Iterator[tuple[Any, Callable[[], str]]]:
    for number, line in enumerate(data.split(b"\n")):
        if not line.strip(_BLANK):
            continue
        place = _Place(path, block.offset, number)
        try:
            record = loads(line)
        except ValueError as error:
            excerpt = line[:80].decode(errors="replace")
            raise DatasetError(
                f"{place()} is not JSON ({error}): {excerpt!r}; each line must hold one JSON record, "
                "and a file that is one JSON document has the dataset_type application/json."
            ) from None
        yield record, place


@dataclass(frozen=True, slots=True)
class _Place:
    """A line's file and number, found when somebody asks."""

    path: str
    offset: int
    number: int

    def __call__(self) -> str:
        return f"{self.path} line {lines_before(self.path, self.offset) + self.number + 1}"


def _keys(record: Any) -> str:
    """Return what a record has instead, for a message."""
    if isinstance(record, dict) and record:
        names = ", ".join(list(record)[:_KEYS_SHOWN])
        return f" (its members are {names})"
    return ""
