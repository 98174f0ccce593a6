"""JSON files as record batches: JSON Lines in byte ranges, or one document that holds all rows."""

import functools
import itertools
import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from contract.dataset import Dataset, notice
from contract.errors import DatasetError
from file_storage.storage import SourceFile, open_input, read_bytes, reading
from readers import splitting
from readers.arrow_json import JsonFields, parse_json
from readers.captures.shapes import (
    BATCH_MEMBERS,
    JSON,
    Payload,
    Row,
    column_rows,
    is_columns,
    is_series,
    table_rows,
    titled_rows,
)
from readers.dataset import excluded_positions
from readers.flatten import flatten_batch, loads, rows_to_batch
from readers.lanes import Counts, NotBulkError, Table, of_kinds, require_alike
from readers.paths import RECORD, Finder, Record
from readers.splitting import FileSplit, Pieces, Segment, Splits

_SAMPLE = 1 << 20
_BLANK = b" \t\r\n"
# A literal at the beginning lets the search skip from line to line.
_NULL_LINES = {b"\n": re.compile(rb"\n[ \t\r]*+null"), b"\r": re.compile(rb"\r[ \t\n]*+null")}
# From so many objects on, a list by itself is rows, and files are compared by their members.
_MANY = 20
_MEMBERS_WITH_ROWS = ("rows", "data", "records")
# A column of the second element in a list of lists or objects, or in a batch.
_BATCH = "|".join(BATCH_MEMBERS)
_SECOND_ROW = re.compile(rf"^(.+?)\.1(?=\.)|^((?:.+\.)?(?:{_BATCH}))\.1$")
# What Arrow says of a column of text, numbers or booleans, unless that is a list.
_MIXED_COLUMN = re.compile(r"\(/[^\[\]]*\) changed from (number|string|boolean) to (number|string|boolean) ")
# Of so many lines the types of features are learnt.
_LEARNT_LINES = 100


def read_json_files(pieces: Pieces, request: Dataset) -> Iterator[pa.RecordBatch]:
    """Yield the rows of some files, or of a byte range of one file of lines, nested fields flattened.

    Raises
    ------
    DatasetError
        Naming file and line of what is not a JSON object, or where a path finds nothing.
    """
    reader, located = _LineReader(request), request.locations
    for piece in pieces:
        if located is not None and located.document:
            found = reader.document(piece.path)
        elif located is None and piece.is_whole_file and is_document(piece.path):
            found = _document_batches(piece.path, request)
        else:
            found = (reader.read(block) for block in splitting.line_blocks(piece))
        rows, filled = 0, Counter[str]()
        try:
            for batch in found:
                arranged = batch if located is not None else _arranged(batch, request)
                rows += arranged.num_rows
                for name, column in zip(arranged.schema.names, arranged.columns, strict=True):
                    filled[name] += len(column) - column.null_count
                yield from splitting.balanced(arranged)
        except DatasetError as error:
            if error.message.startswith(piece.path):
                raise
            raise DatasetError.of("data_files.in_file", file=piece.path, error=error) from error
        for name in filled if located is None else ():
            second = _SECOND_ROW.match(name)
            if second and name.replace(second[0], f"{second[1] or second[2]}.0", 1) in filled:
                notice("reading.listed", field=second[1] or second[2])
        if located is None and piece.is_whole_file and rows >= _MANY:
            notice("file")
            for name, count in filled.items():
                notice("file", min(1, count), field=name)
                notice("partly", int(count < rows), field=name)


class _LineReader:
    """Reads blocks of lines, one record in each, and remembers what earlier ones taught."""

    def __init__(self, request: Dataset) -> None:
        self._finder = None if request.locations is None else Finder(request.locations)
        self._fields = JsonFields()

    def read(self, block: Segment) -> pa.RecordBatch:
        """Return the rows of a block."""
        data = splitting.without_marks(block.data)
        is_bulk = self._finder is None or self._finder.is_bulk
        if is_bulk and not splitting.is_blank(data, _BLANK):
            try:
                return self._together(data).batch
            except (NotBulkError, DatasetError) as error:
                # The text of a column's numbers is needed beside other text, and lanes would lose it.
                is_bulk = self._finder is not None or not _MIXED_COLUMN.search(str(error))
        place = splitting.LineBlock((block,), data).place
        numbered = enumerate(data.split(b"\n"))
        lines = [(line, functools.partial(place, at)) for at, line in numbered if line.strip(_BLANK)]

        def bulk(some: Counts) -> Table:
            return self._together(b"".join(lines[at][0] + b"\n" for at in some.tolist()))

        def one_by_one(some: Counts) -> Table:
            return self._one_by_one(lines[at] for at in some.tolist())

        return of_kinds([np.zeros(len(lines))], bulk if is_bulk else None, one_by_one).batch

    def document(self, path: str) -> Iterator[pa.RecordBatch]:
        """Yield the rows of a document whose paths lead to lists."""
        found = _document(path)
        if found and self._finder is not None:
            yield self._finder.one_by_one([({RECORD: Payload(JSON, found)}, lambda: path)]).batch

    def _together(self, data: bytes) -> Table:
        finder = self._finder
        try:
            if finder is not None and finder.kinds is None:
                first = data.split(b"\n", _LEARNT_LINES)[:_LEARNT_LINES]
                finder.learn(_parts(line, str) for line in first if line.strip(_BLANK))
            is_null = b"null" in data and any(e in data and _NULL_LINES[e].search(data) for e in _NULL_LINES)
            require_alike(not is_null, "a line is null")
            if not data.isascii():
                data.decode()  # Arrow lets other text than UTF-8 pass
            batch = parse_json(data, self._fields)
            require_alike(batch.num_columns, "records without members")
            if finder is not None:
                records = pa.StructArray.from_arrays(batch.columns, batch.schema.names)
                return finder.together({RECORD: records})
            ones = np.ones(batch.num_rows, np.int64)
            lines = self._fields.line_ends + (not data.endswith(b"\n"))
            notice("reading.glued", count=max(0, batch.num_rows - lines))
            return Table(flatten_batch(batch), ones, ones[:0])
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError, ValueError) as error:
            # Reading line by line names the place of what is wrong.
            raise NotBulkError(str(error)) from error

    def _one_by_one(self, lines: Iterable[tuple[bytes, Callable[[], str]]]) -> Table:
        finder = self._finder
        if finder is not None:
            return finder.one_by_one(itertools.starmap(_parts, lines))
        rows = []
        for line, place in lines:
            try:
                found = [_record(line, place)]
            except DatasetError:
                if not (found := _glued(line)):
                    raise
            if not all(isinstance(row, dict) for row in found):
                raise _bad_line(place, line, "is not a JSON object")
            notice("reading.glued", count=len(found) - 1)
            rows += found
        ones = np.ones(len(rows), np.int64)
        return Table(rows_to_batch(rows), ones, ones[:0])


def json_splits(files: Sequence[SourceFile], request: Dataset, *, whole_files: bool = False) -> Splits:
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
    located = request.locations
    if located is not None:
        Finder(located)  # its mistakes show before the work

    def may_cut(file: SourceFile) -> bool:
        document = located.document if located is not None else is_document(file.path)
        return not (whole_files or document) and splitting.has_lines(file)

    read = functools.partial(read_json_files, request=request)
    divided = splitting.divide(files, may_cut=may_cut)
    return tuple(FileSplit(pieces, read, (splitting.joined,)) for pieces in divided)


def is_document(path: str) -> bool:
    """Return whether a JSON file is one document rather than one object per line.

    It is when it begins an array, when its first line is no whole value, or when its only line is an
    object that has its rows in one member, or a table as pandas writes it.
    """
    with reading(path), open_input(path) as stream:
        data = chunk = stream.read(_SAMPLE)
        while chunk and b"\n" not in chunk:
            chunk = stream.read(len(data))
            data += chunk
        data = data.removeprefix(splitting.UTF8_MARK).lstrip(_BLANK)
        is_one_line = not data.partition(b"\n")[2].strip(_BLANK) and not stream.read(1)
    if not data.startswith(b"{"):
        return bool(data.startswith(b"["))
    try:
        value = loads(data.partition(b"\n")[0])
    except ValueError:
        # Objects one after the other are as good as lines; a mere mistake shows when the document is read.
        return not _glued(data.partition(b"\n")[0])
    rows = column_rows(value)
    if not is_one_line:
        if titled_rows(value) or (rows and len(value) > 1 and not is_columns(value)):
            raise DatasetError.of("json_files.tables", file=path)
        return False
    # One list by itself may as well be part of a row.
    is_by_column = rows is not None and (not is_columns(value) or min(len(value), len(rows)) > 1)
    is_table = is_by_column or _table(path, value) is not None or _member_with_rows(value) is not None
    return is_table or _is_ragged(value) or _is_keyed(value) or bool(_long_lists(value))


def _table(path: str, value: Any) -> list[Row] | None:
    with DatasetError.instead_of("json_files.tensors", ValueError, file=path):
        return table_rows(value)


def _is_keyed(value: dict[str, Any]) -> bool:
    """Return whether an object has many members, or members that have many, which may all be rows."""
    first, *others = value.values() or [None]
    if not isinstance(first, dict):
        return is_series(value) and len(value) >= _MANY
    alike = all(isinstance(each, dict) and each.keys() == first.keys() for each in others)
    cells = [cell for each in value.values() for cell in each.values()] if alike else []
    is_flat = alike and not any(isinstance(cell, dict | list) for cell in cells)
    return bool(others) and is_flat and max(len(value), len(first)) >= _MANY


def _long_lists(value: dict[str, Any]) -> dict[str, int]:
    """Return the members that hold so many objects that they are hardly part of a row, and how many.

    Members of members count too.
    """
    members = dict(value)
    for name, of in value.items():
        members |= {f"{name}.{key}": rows for key, rows in of.items()} if isinstance(of, dict) else {}
    return {name: len(rows) for name, rows in members.items() if _is_rows(rows) and len(rows) >= _MANY}


def _member_with_rows(value: dict[str, Any]) -> str | None:
    """Return the member that holds the rows: the only one, or one of a usual name beside a description."""
    names = [name for name, member in value.items() if _is_rows(member)]
    return names[0] if len(names) == 1 and (len(value) == 1 or names[0] in _MEMBERS_WITH_ROWS) else None


def _is_ragged(value: dict[str, Any]) -> bool:
    """Return whether an object may be a table written column by column, whose columns differ in length."""
    lists = [member for member in value.values() if isinstance(member, list) and len(member) > 1]
    scalars = not any(isinstance(item, dict | list) for member in lists for item in member)
    return scalars and len(lists) == len(value) and len(set(map(len, lists))) > 1


def _parts(line: bytes, place: Callable[[], str]) -> Record:
    return {RECORD: Payload(JSON, [_record(line, place)])}, place


def _record(line: bytes, place: Callable[[], str]) -> Any:
    try:
        return loads(line)
    except ValueError as error:
        raise _bad_line(place, line, f"is not JSON ({error})") from None


def _glued(text: bytes) -> list[Any]:
    """Return the objects of text that holds one after the other, none when it is something else."""
    found, decoder = [], json.JSONDecoder()
    try:
        rest = text.decode().strip()
        while rest.startswith("{"):
            value, end = decoder.raw_decode(rest)
            found.append(value)
            rest = rest[end:].lstrip()
    except (ValueError, RecursionError):
        return []
    return [] if rest else found


def _bad_line(place: Callable[[], str], line: bytes, what: str) -> DatasetError:
    excerpt = line[:80].decode(errors="replace")
    with DatasetError.instead_of("json_files.utf8", UnicodeDecodeError, place=place(), excerpt=excerpt):
        line.decode()
    return DatasetError.of("json_files.line", place=place(), what=what, excerpt=excerpt)


def _document(path: str, *, may_be_lines: bool = False) -> list[Any]:
    """Return the JSON value of a file, none of a blank one; of possible lines, the first bad one is named."""
    data = read_bytes(path).removeprefix(splitting.UTF8_MARK)
    if not data.strip(_BLANK):
        return []
    try:
        return [loads(data)]
    except ValueError as error:
        numbered = [(number, line) for number, line in enumerate(data.split(b"\n")) if line.strip(_BLANK)]
        (_, first), *others = numbered
        fix = "check that the file is complete"
        if others and first.lstrip(_BLANK).startswith(b"[") and first.rstrip(_BLANK).endswith(b"]"):
            fix = "if each line is a row, write it as an object that names its values"
        if others and first.lstrip(_BLANK).startswith(b"{") and first.strip(_BLANK) != b"{":
            if others[0][1].lstrip(_BLANK).startswith(b"{"):
                fix = "if it holds one record per line, set dataset_type to application/jsonlines"
            block = splitting.LineBlock((Segment(path, 0, data),), data)
            for number, line in numbered if may_be_lines else ():
                _record(line, functools.partial(block.place, number))
        raise DatasetError.of("json_files.no_document", file=path, error=error, fix=fix) from None


def _document_batches(path: str, request: Dataset) -> Iterator[pa.RecordBatch]:
    """Read a file that is an array of objects, an object with one such array, or a single object."""
    [document] = _document(path, may_be_lines=True)
    if isinstance(document, dict):
        lists = [member for member in document.values() if _is_rows(member)]
        known = request.column_names or ()
        long = _long_lists(document)
        is_row = any(each.startswith(f"{name}.0") for name in (*document, *long) for each in known)
        is_keyed = _is_keyed(document)
        is_row |= is_keyed and not set(known).isdisjoint(rows_to_batch([document]).schema.names)
        table = None if is_row else _table(path, document) or column_rows(document)
        member = None if is_row else _member_with_rows(document)
        file = path.rpartition("/")[2]
        if table is not None:
            notice("reading.table", file=file, count=len(table))
        elif member is not None and len(document) > 1:
            notice("reading.member", file=file, field=member, count=len(document[member]))
        elif _is_ragged(document) and not is_row:
            lengths = ", ".join(f"{name} {len(values)}" for name, values in document.items())
            raise DatasetError.of("json_files.ragged", file=path, lengths=lengths)
        elif is_keyed and not is_row:
            keys = ", ".join(document)
            raise DatasetError.of("json_files.keyed", file=path, field=keys, count=len(document))
        elif long and not is_row and (len(lists) > 1 or not long.keys() <= document.keys()):
            several = ", ".join({name: 0 for name, found in document.items() if _is_rows(found)} | long)
            count = max(long.values())
            raise DatasetError.of("json_files.several_lists", file=path, field=several, count=count)
        elif len(lists) == 1 and long and len(document) > 1 and not is_row:
            notice("reading.member", file=file, field=next(iter(long)), count=len(lists[0]))
        document = table or (lists[0] if len(lists) == 1 and not is_row else [document])
    if not _is_rows(document) and document != []:
        raise DatasetError.of("json_files.no_rows", file=path)
    size = splitting.balanced_rows(len(document))
    for start in range(0, len(document), size):
        yield rows_to_batch(document[start : start + size])


def _is_rows(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(row, dict) for row in value)


def _arranged(batch: pa.RecordBatch, request: Dataset) -> pa.RecordBatch:
    names = batch.schema.names
    excluded = excluded_positions(names, request.exclude)
    kept = [name for position, name in enumerate(names) if position not in excluded]
    if request.text_only:
        kept.sort()  # as the originals' engine orders the fields of JSON
    return batch if kept == names else batch.select(kept)
