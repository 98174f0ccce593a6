"""JSON files as record batches: JSON Lines in byte ranges, or one document that holds all rows."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pyarrow as pa
from pyarrow import json as arrow_json
from pyarrow import types

from contract.errors import DatasetError
from file_storage import storage
from file_storage.storage import SourceFile
from readers.captures.payload import NotBulkError, loads
from readers.column_paths import (
    BulkPaths,
    ColumnPaths,
    FeatureRow,
    Find,
    RecordRows,
    bulk_batch,
    bulk_paths,
    compile_path,
    feature_rows,
    values_at,
)
from readers.dataset import Dataset, excluded_positions
from readers.flatten import flatten_batch, refuse_bare_null, refuse_deep_nesting
from readers.python_rows import rows_to_batch
from readers.splitting import (
    BATCH_ROWS,
    UTF8_MARK,
    Block,
    FileRange,
    OfFileRanges,
    balanced_rows,
    divide,
    joined,
    line_blocks,
    lines_before,
    text_of,
)

_SAMPLE = 1 << 20
_BLANK = b" \t\r\n"


@dataclass(frozen=True)
class JsonSplit(OfFileRanges):
    """Some JSON files, or a byte range of one JSON Lines file."""

    request: Dataset

    def batches(self) -> Iterator[pa.RecordBatch]:
        """Yield the rows in order, nested fields flattened.

        Raises
        ------
        DatasetError
            Naming file and line of what is not a JSON object.
        """
        return joined(self._piece_batches())

    def _piece_batches(self) -> Iterator[pa.RecordBatch]:
        fields = JsonFields()
        for piece in self.pieces:
            if piece.is_whole_file and is_document(piece.path):
                batches = _document_batches(piece.path)
            else:
                batches = _line_batches(piece, fields)
            for batch in batches:
                with _naming(piece.path):
                    arranged = _arranged(batch, self.request)
                yield arranged


# Members by name, in the order in which they are first seen, and those below each.
MemberOrder = dict[str, Any]


@dataclass
class JsonFields:
    """What earlier blocks taught about the fields: their order, and which ones only look like times."""

    order: MemberOrder = field(default_factory=dict)
    text: dict[str, pa.DataType] = field(default_factory=dict)


def json_splits(
    files: Sequence[SourceFile], request: Dataset, *, whole_files: bool = False
) -> tuple[JsonSplit, ...]:
    """Divide JSON files into splits.

    Parameters
    ----------
    files
        In path order.
    request
        With the columns to leave out.
    whole_files
        Never cut a file into byte ranges.
    """
    request = replace(request, preprocessor=None)

    def may_cut(file: SourceFile) -> bool:
        return not whole_files and not storage.is_compressed(file.path) and not is_document(file.path)

    return tuple(JsonSplit(pieces, request) for pieces in divide(files, may_cut=may_cut))


def parse_json_block(data: bytes, fields: JsonFields) -> pa.Table:
    """Parse JSON Lines into columns, in bulk.

    Parameters
    ----------
    data
        Whole lines, one object in each, in UTF-8.
    fields
        What is known of the fields; updated.

    Returns
    -------
    One chunk per column, columns in the order in which fields are first seen. Text that looks like a
    time stays text.

    Raises
    ------
    pyarrow.ArrowInvalid
        When a line is not an object, a field has values of several kinds, or an object names it twice.
    """
    if not data.isascii():
        try:
            data.decode()
        except UnicodeDecodeError as error:
            raise pa.ArrowInvalid(str(error)) from error
    refuse_bare_null(data)
    refuse_deep_nesting(data)
    table = _read(data, fields.text)
    _learn_order(table.schema, fields.order)
    times = {column.name: as_text for column in table.schema if (as_text := _text_for_times(column.type))}
    if times:
        fields.text |= times
        table = _read(data, fields.text)
    table = table.combine_chunks()
    # Arrow (seen in 26.0) loses nulls at the beginning of a column's first list.
    table.validate()
    names = [name for name in fields.order if name in table.schema.names]
    columns = [_ordered(table.column(name).combine_chunks(), fields.order[name]) for name in names]
    return pa.table(columns, names) if names else table


def is_document(path: str) -> bool:
    """Return whether a JSON file is one document rather than one object per line.

    It is when it begins an array, when its first line is no whole value, or when its only line is an
    object whose one member is a list of objects.
    """
    with storage.reading(path), storage.open_input(path) as stream:
        data = chunk = stream.read(_SAMPLE)
        while chunk and b"\n" not in chunk:
            chunk = stream.read(len(data))
            data += chunk
        data = data.removeprefix(UTF8_MARK).lstrip(_BLANK)
        is_one_line = not data.partition(b"\n")[2].strip(_BLANK) and not stream.read(1)
    if not data.startswith(b"{"):
        return bool(data.startswith(b"["))
    try:
        value = loads(data.partition(b"\n")[0])
    except ValueError:
        return True  # a mere mistake in line 1 is told apart when the document is read
    return is_one_line and len(value) == 1 and _is_rows(next(iter(value.values())))


def _line_batches(piece: FileRange, fields: JsonFields) -> Iterator[pa.RecordBatch]:
    for block in line_blocks(piece):
        data = text_of(block)
        if not data.strip(_BLANK):
            continue
        try:
            table = parse_json_block(data, fields)
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
            yield from _row_batches(piece.path, _rows(piece, replace(block, data=data)))
            continue
        if not table.num_columns:
            yield from _row_batches(piece.path, [{}] * table.num_rows)
            continue
        yield from table.to_batches(max_chunksize=balanced_rows(table.num_rows))


def _rows(piece: FileRange, block: Block) -> list[dict[str, Any]]:
    """Read a block line by line, exactly."""
    rows = []
    for number, line in enumerate(block.data.split(b"\n")):
        if not line.strip(_BLANK):
            continue
        try:
            row = loads(line)
        except ValueError as error:
            raise _bad_line(piece, block, number, line, f"is not JSON ({error})") from None
        if not isinstance(row, dict):
            raise _bad_line(piece, block, number, line, "is not a JSON object")
        rows.append(row)
    return rows


def _bad_line(piece: FileRange, block: Block, number: int, line: bytes, what: str) -> DatasetError:
    place = lines_before(piece.path, block.offset) + number + 1
    excerpt = line[:80].decode(errors="replace")
    return DatasetError(
        f"{piece.path} line {place} {what}: {excerpt!r}; each line must hold one JSON object."
    )


def _document_batches(path: str) -> Iterator[pa.RecordBatch]:
    """Read a file that is an array of objects, an object with one such array, or a single object."""
    data = storage.read_bytes(path).removeprefix(UTF8_MARK)
    try:
        document = loads(data)
    except ValueError as error:
        lines = data.splitlines()
        first = next((line for line in lines if line.strip(_BLANK)), b"")
        if first.lstrip(_BLANK).startswith(b"{") and len(lines) > 1 and first.strip(_BLANK) != b"{":
            # Rather JSON Lines with a mistake; the line by line reading names it.
            _rows(FileRange(path), Block(0, data))
        raise DatasetError(f"{path} is not JSON: {error}; check that the file is complete.") from None
    if isinstance(document, dict):
        lists = [member for member in document.values() if _is_rows(member)]
        document = lists[0] if len(lists) == 1 else [document]
    if not _is_rows(document) and document != []:
        raise DatasetError(f"{path} is a JSON document without rows; it must be an array of objects.")
    yield from _row_batches(path, document)


def _row_batches(path: str, rows: list[dict[str, Any]]) -> Iterator[pa.RecordBatch]:
    size = balanced_rows(len(rows))
    for start in range(0, len(rows), size):
        with _naming(path):
            batch = rows_to_batch(rows[start : start + size])
        yield batch


@contextlib.contextmanager
def _naming(path: str) -> Iterator[None]:
    """Put the file's path before errors about its columns."""
    try:
        yield
    except DatasetError as error:
        raise DatasetError(f"{path}: {error.message}") from error


def _is_rows(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(row, dict) for row in value)


def _arranged(batch: pa.RecordBatch, request: Dataset) -> pa.RecordBatch:
    batch = flatten_batch(batch)
    names = batch.schema.names
    excluded = excluded_positions(names, request.exclude)
    kept = [name for position, name in enumerate(names) if position not in excluded]
    if request.text_only:
        kept.sort()  # as the originals' engine orders the fields of JSON
    return batch if kept == names else batch.select(kept)


def _read(data: bytes, explicit: dict[str, pa.DataType]) -> pa.Table:
    parse = arrow_json.ParseOptions(
        explicit_schema=pa.schema(list(explicit.items())) if explicit else None,
        newlines_in_values=False,
        unexpected_field_behavior="infer",
    )
    read = functools.partial(arrow_json.read_json, parse_options=parse)
    try:
        return read(pa.BufferReader(data), arrow_json.ReadOptions(use_threads=False, block_size=1 << 20))
    except pa.ArrowInvalid as error:
        if "straddling" not in str(error):
            raise
    whole = arrow_json.ReadOptions(use_threads=False, block_size=len(data) + 1)
    return read(pa.BufferReader(data), whole)


def _learn_order(members: Iterable[pa.Field], order: MemberOrder) -> None:
    for member in members:
        kind = member.type
        while types.is_list(kind):
            kind = kind.value_type
        below = order.setdefault(member.name, {})
        if types.is_struct(kind):
            _learn_order(kind, below)


def _ordered(array: pa.Array, order: MemberOrder) -> pa.Array:
    """Return an array whose members, at any depth, come in the order given: a second reading may mix them."""
    kind = array.type
    if not order or not types.is_nested(kind):
        return array
    if types.is_list(kind):
        items = _ordered(array.values, order)
        if items is array.values:
            return array
        return pa.ListArray.from_arrays(
            array.offsets, items, mask=array.is_null() if array.null_count else None
        )
    names = sorted((member.name for member in kind), key=list(order).index)
    members = [_ordered(array.field(name), order[name]) for name in names]
    mask = array.is_null() if array.null_count else None
    return pa.StructArray.from_arrays(members, names, mask=mask)


def _text_for_times(kind: pa.DataType) -> pa.DataType | None:
    """Return the type with text in place of times, None when there is no time in it."""
    if types.is_temporal(kind):
        return pa.string()
    if types.is_list(kind):
        element = _text_for_times(kind.value_type)
        return None if element is None else pa.list_(element)
    if types.is_struct(kind):
        members = [(member.name, member.type, _text_for_times(member.type)) for member in kind]
        if any(as_text is not None for _, _, as_text in members):
            # A member that was always null may yet become anything, so it is not fixed.
            return pa.struct(
                [(name, text or known) for name, known, text in members if not types.is_null(known)]
            )
    return None


# JSON documents and JSON Lines whose columns are found by JMESPath, as record batches.


_KEYS_SHOWN = 8
# Of so many lines the types of features are learnt.
_LEARNT_LINES = 100


@dataclass(frozen=True)
class LocatedJsonSplit(OfFileRanges):
    """Some JSON files, or a byte range of one JSON Lines file."""

    locations: ColumnPaths

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
    """The compiled paths of `ColumnPaths`, applied to JSON values."""

    def __init__(self, locations: ColumnPaths) -> None:
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
    files: Sequence[SourceFile], locations: ColumnPaths, *, whole_files: bool = False
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

    def __init__(self, locations: ColumnPaths, paths: BulkPaths, finder: Finder) -> None:
        self._locations, self._paths, self._finder = locations, paths, finder
        self._fields = JsonFields()
        self._kinds: dict[str, pa.DataType] | None = None

    @classmethod
    def of(cls, locations: ColumnPaths, finder: Finder) -> _BulkReader | None:
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
    records: Iterator[tuple[Any, Callable[[], str]]], finder: Finder, locations: ColumnPaths, path: str
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
