"""CSV files as record batches: byte ranges of large files side by side, small files together.

How a file is written is decided first: what separates its cells, how quotes are escaped, and whether a first
line is a header. Everything after that reads cells separated by commas, quotes written twice (RFC 4180).
Other text is brought into that form byte by byte, so that places in a file stay what they are.
"""

import contextlib
import csv
import functools
import io
import itertools
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, Literal, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from contract.dataset import MARKERS, Dataset, Dialect, notice
from contract.errors import DatasetError
from contract.wording import some_of
from file_storage.storage import SourceFile, lines_before, open_input, reading
from readers import csv_records, dataset, splitting
from readers.splitting import UTF8_MARK, FileRange, FileSplit, Pieces, Segment, Splits

# How CSV is written.


SEPARATORS = (",", ";", "\t", "|")
NAMES = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "vertical bars"}

# What may stand between cells that are read as one.
_ONE_CELL = {
    "blanks": None,
    **{f"'{mark}'": mark.encode() for mark in ";|:~^"},
    "control characters": b"\x01",
}

_RECORDS_LOOKED_AT = 50
_BYTES_LOOKED_AT = 1 << 16
_MOSTLY = 0.9
_FEW, _SOME = 3, 20
_REPEATING = 0.2
_NUMBER = re.compile(r"\s*[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?\s*")
_DECIMAL_COMMA = re.compile(r"\s*[+-]?\d+(\.\d{3})*,\d+\s*")
_BLANK_BEFORE_QUOTE = rb'[%(separator)b]( +"[^"\r\n]+") *(?=[%(separator)b\r\n])'
_EXCEL_LINE = re.compile(rb'"?sep=[,;|\t]"?\r?\n', re.IGNORECASE)
_BLANK_LINE = re.compile(rb"\n\r?(?=\n)")
_ESCAPE = re.compile(rb"\\(.)", re.DOTALL)


def plain(dialect: Dialect, data: bytes) -> bytes:
    """Return as many bytes with commas between cells and quotes written twice."""
    if dialect.escaped and b"\\" in data:
        data = _ESCAPE.sub(lambda found: b'""' if found[1] == b'"' else found[0], data)
    if dialect.separator == ",":
        return data
    separator = dialect.separator.encode()
    return data.translate(bytes.maketrans(b"," + separator, separator + b","))


def restore(dialect: Dialect, table: pa.Table) -> pa.Table:
    """Return a parsed table with the texts of its cells as they were written."""
    if dialect == Dialect():
        return table
    for place, column in enumerate(table.columns):
        kind = column.type
        if pa.types.is_dictionary(kind) or pa.types.is_string(kind):
            chunks = [_restored(dialect, chunk) for chunk in column.chunks]
            table = table.set_column(place, table.field(place).name, pa.chunked_array(chunks, kind))
    return table


def _restored(dialect: Dialect, texts: pa.Array) -> pa.Array:
    if pa.types.is_dictionary(texts.type):
        return pa.DictionaryArray.from_arrays(texts.indices, _restored(dialect, texts.dictionary))
    if dialect.escaped:
        texts = pc.replace_substring(texts, "\\\\", "\\")
    if dialect.separator != ",":
        for old, new in ((",", "\0"), (dialect.separator, ","), ("\0", dialect.separator)):
            texts = pc.replace_substring(texts, old, new)
    return texts


def restored_text(dialect: Dialect, text: str) -> str:
    """Return one cell as it was written."""
    return str(_restored(dialect, pa.array([text], pa.string()))[0].as_py())


def decide_dialect(path: str, beginning: bytes, separator: str | None, *, complete: bool) -> Dialect:
    """Return how a file is written, by its first records.

    Parameters
    ----------
    beginning
        The first bytes of the file; `complete` when they are all of it.
    separator
        What the settings say, None for nothing.

    Raises
    ------
    DatasetError
        When it can be read in two ways, or has commas within numbers.
    """
    beginning = beginning[:_BYTES_LOOKED_AT].removeprefix(UTF8_MARK)
    if _EXCEL_LINE.match(beginning):
        raise DatasetError.of("csv.excel_line", file=path)
    complete = complete and len(beginning) < _BYTES_LOOKED_AT
    has_others = any(ord(other) in beginning for other in SEPARATORS[1:])
    if separator is None and not has_others and b'\\"' not in beginning:
        return Dialect()
    escapes = (False, True) if b'\\"' in beginning else (False,)
    ways = itertools.product(SEPARATORS if separator is None else (separator,), escapes)
    found = {way: _records(way, beginning, complete=complete) for way in itertools.starmap(Dialect, ways)}
    readings = {dialect: records for dialect, records in found.items() if records}
    alike = {dialect: records for dialect, records in readings.items() if len({*map(len, records)}) == 1}
    even = {way: records for way, records in alike.items() if len(records[0]) > 1 or separator is not None}
    if not even:
        for other in SEPARATORS[1:] if separator is None and complete else ():
            if ord(other) in beginning:
                csv_records.require_closed(path, plain(Dialect(other), beginning), written=beginning)
        return next(iter(readings), Dialect(separator or ","))
    chosen = next(iter(even))  # commas first, and quotes written twice before escapes
    if separator is not None:
        return chosen
    others = [dialect for dialect in even if dialect.separator != ","]
    if chosen.separator == "," and any(_decimal_commas(even[other]) for other in others):
        raise DatasetError.of("csv.decimal_commas_or_cells", file=path, separator=NAMES[others[0].separator])
    if chosen.separator != "," and (cell := _decimal_commas(even[chosen])):
        raise DatasetError.of("csv.decimal_commas", file=path, separator=NAMES[chosen.separator], cell=cell)
    return chosen


def header_evidence(
    cells: Sequence[str], rows: Sequence[Sequence[str]], known: Sequence[str]
) -> Literal["names", "values"] | None:
    """Return what the cells of a first line are, None when nothing tells.

    Parameters
    ----------
    cells
        Of the first line.
    rows
        The lines that follow, as far as they are as long.
    known
        Names that columns are expected to have.
    """
    folded = [fold(cell) for cell in cells]
    if {fold(name) for name in known}.intersection(folded):
        return "names"
    columns = list(zip(*(row for row in rows if len(row) == len(cells)), strict=True))
    if not columns:
        return None
    numeric = [place for place, column in enumerate(columns) if _is_numeric(column)]
    if numeric:
        firsts = [cells[place] for place in numeric]
        if not any(_NUMBER.fullmatch(cell) or _is_missing(cell) for cell in firsts):
            return "names" if len(columns[0]) > 1 or len(numeric) == len(cells) else None
        if all(map(_NUMBER.fullmatch, firsts)):
            values = [float(cell) for cell in firsts]
            whole = all(value.is_integer() for value in values)
            if whole and len(values) >= _FEW and values == [float(at) for at in range(len(values))]:
                return "names"  # as pandas names columns that have no names
            counted = len(values) > 1 and all(left < right for left, right in itertools.pairwise(values))
            return None if whole and counted else "values"
        return None
    if len(columns[0]) < _SOME:
        return None
    again = [cell in column for cell, column in zip(cells, columns, strict=True)]
    if all(again):
        return "values"
    few = [len(set(column)) <= _REPEATING * len(column) for column in columns]
    return "names" if not any(again) and sum(few) * 2 >= len(few) else None


def fold(name: str) -> str:
    """Return a name by which names are matched: letter case and blanks around it do not count."""
    return name.strip().casefold()


def _records(dialect: Dialect, data: bytes, *, complete: bool) -> list[list[str]]:
    """Return the first records, none when they are not well written."""
    data = plain(dialect, data)
    try:
        text = data[: len(data) if complete else csv_records.last_record_end(data)].decode()
        reader = csv.reader(io.StringIO(text, newline=""), strict=True)
        found = [row for row in itertools.islice(reader, _RECORDS_LOOKED_AT) if row]
    except (csv.Error, UnicodeDecodeError, DatasetError):
        return []
    return [[restored_text(dialect, cell) for cell in row] for row in found]


def _decimal_commas(records: list[list[str]]) -> str | None:
    """Return a cell with a comma when all that have one are numbers written with a decimal comma."""
    cells = [cell for row in records for cell in row if "," in cell]
    return cells[0] if cells and all(map(_DECIMAL_COMMA.fullmatch, cells)) else None


def _is_missing(cell: str) -> bool:
    return not cell.strip() or cell.strip() in MARKERS


def _is_numeric(column: Sequence[str]) -> bool:
    present = [cell for cell in column if not _is_missing(cell)]
    return bool(present) and sum(map(bool, map(_NUMBER.fullmatch, present))) >= _MOSTLY * len(present)


# Reading files.


_SAMPLE = 1 << 20
# What follows a first line, to tell whether that is a header.
_LOOKED_AT, _ROWS_LOOKED_AT, _FEW_LINES = 1 << 15, 30, 5

_Types = dict[str, pa.DataType]


class CsvHead(NamedTuple):
    """What the beginning of a file says: its columns, with likely types, and where the rows begin.

    `named` when the columns have the names that are given; `header` is the line with the names, `rows` what
    told the types.
    """

    columns: csv_records.CsvColumns
    begin: int
    named: bool = False
    header: bytes = b""
    rows: bytes = b""


def read_csv(pieces: Pieces, request: Dataset, head: CsvHead | None = None) -> Iterator[pa.RecordBatch]:
    """Yield the rows of some files, or of a byte range of one whose `head` was read when planning.

    Raises
    ------
    DatasetError
        Naming file, line, what was expected and what was found.
    NotSplittable
        When a byte range may begin inside a quoted field.
    """
    learnt: dict[tuple[str, ...], _Types] = {}
    files: list[list[str]] = []
    for piece in pieces:
        found = head or read_head(piece.path, request, learnt)
        if found is not None:
            if piece.start == 0:
                dataset.say_unexcluded(found.columns.names, request.exclude)
                files.append(found.columns.kept)
            columns = replace(found.columns, types=dict(found.columns.types))
            yield from _piece_batches(piece, found, columns, request)
            learnt[tuple(columns.names)] = columns.types
    dataset.say_odd_columns(files, has_names=request.format.header)


def csv_splits(files: Sequence[SourceFile], request: Dataset, *, whole_files: bool = False) -> Splits:
    """Divide CSV files into splits.

    Parameters
    ----------
    files
        In path order.
    request
        With the format's `header`, and the names for data without one.
    whole_files
        Never cut a file into byte ranges.
    """
    request = _turned(files, replace(request, dialect=_dialect(files, request)))

    splits: list[FileSplit] = []
    head: CsvHead | None = None
    for pieces in splitting.divide(files, may_cut=None if whole_files else splitting.has_lines):
        if pieces[0].is_whole_file:
            head = None
        elif pieces[0].start == 0:
            head = read_head(pieces[0].path, request)
        read = functools.partial(read_csv, request=request, head=head and head._replace(rows=b""))
        splits.append(FileSplit(pieces, read, (splitting.joined,)))
    return tuple(splits)


def _turned(files: Sequence[SourceFile], request: Dataset) -> Dataset:
    """Return the request with the baseline's last name first, where the answer is and the values fit."""
    names, answers = request.column_names, request.format.answers
    if answers is None or request.format.header or not names or request.cells is None:
        return request
    from readers.cell_types import is_turned

    sample = csv_sample(files[0].path, request, _LOOKED_AT)
    is_first = answers == "START" and sample is not None and is_turned(sample, request.cells)
    order = f"begin with {names[-1]}, the last one" if is_first else "are in the order"
    request.said.say("reading.answers", answers=answers, order=order)
    if not is_first:
        return request
    dialect = (request.dialect or Dialect())._replace(answer_first=True)
    return replace(request, column_names=(names[-1], *names[:-1]), dialect=dialect)


def _dialect(files: Sequence[SourceFile], request: Dataset) -> Dialect:
    """Decide once for all files how they are written: by the first and the last that have records."""
    found: dict[str, Dialect] = {}
    for order in (files, files[::-1]):
        for file in order:
            if file.path in found:
                break
            beginning = _beginning(file.path, None, _LOOKED_AT)
            if beginning is not None:
                data, _, _, complete = beginning
                separator = request.format.separator
                found[file.path] = decide_dialect(file.path, data, separator, complete=complete)
                marks = {b"separator": found[file.path].separator.encode()}
                if blank := re.search(_BLANK_BEFORE_QUOTE % marks, data[:_BYTES_LOOKED_AT]):
                    cell = blank[1].decode(errors="replace")
                    raise DatasetError.of("csv.blank_before_quote", file=file.path, cell=cell)
                break
    chosen = next(iter(found.values()), Dialect())
    for path, dialect in found.items():
        if dialect.separator != chosen.separator:
            raise _other_separator(path, dialect, next(iter(found)), chosen)
    chosen = Dialect(chosen.separator, any(dialect.escaped for dialect in found.values()))
    if chosen.separator != ",":
        request.said.say("reading.separator", separator=NAMES[chosen.separator])
    if chosen.escaped:
        request.said.say("reading.backslash")
    return chosen


def _other_separator(path: str, dialect: Dialect, other: str, expected: Dialect) -> DatasetError:
    found, wanted = NAMES[dialect.separator], NAMES[expected.separator]
    return DatasetError.of("csv.separators", file=path, separator=found, other=other, expected=wanted)


def read_head(
    path: str, request: Dataset, learnt: dict[tuple[str, ...], _Types] | None = None, size: int = _SAMPLE
) -> CsvHead | None:
    """Read the beginning of a CSV file.

    Parameters
    ----------
    path
        The file, possibly compressed.
    request
        With the format's `header`, and the names for data without one.
    learnt
        Types of files read before, by their column names; saves guessing again.
    size
        Bytes that tell the types of columns.

    Returns
    -------
    None for a file without any record.

    Raises
    ------
    DatasetError
        When the header cannot be used.
    """
    dialect = request.dialect or Dialect()
    beginning = _beginning(path, dialect, size)
    if beginning is None:
        return None
    data, begin, end, complete = beginning
    cells = _cells(path, data[begin:end], dialect)
    if len(cells) == 1 and request.dialect is not None:
        lines = data[begin:].splitlines()[:_ROWS_LOOKED_AT]
        for between, mark in _ONE_CELL.items() if len(lines) > _FEW_LINES else ():
            counts = Counter(len(line.split(mark)) for line in lines)
            [(count, times)] = counts.most_common(1)
            if count > 1 and times >= (_MOSTLY if mark else 1) * len(lines):
                request.said.say("reading.blanks", count=count, between=between)
        written = plain(Dialect(dialect.separator), data)
        found = decide_dialect(path, written, request.format.separator, complete=complete)
        if found.separator != dialect.separator:
            raise _other_separator(path, found, "the first file", dialect)
    given = _given_names(path, cells, request) if request.repeated_names else None
    if given is None:
        _require_header_as_said(path, cells, data[end : end + _LOOKED_AT], request)
    if given is None and not request.format.header:
        names, excluded = dataset.positional_names(len(cells), request)
        if request.format.answers is None and set(names).intersection(request.column_names or ()):
            request.said.say("reading.given", names=some_of(names))
    else:
        # A data frame's unnamed index has an empty name; it is called as in data without names.
        names, begin = given or [cell or f"_c{place}" for place, cell in enumerate(cells)], end
        if repeated := [name for name, count in Counter(names).items() if count > 1]:
            raise DatasetError.of("csv.repeated_name", file=path, field=repeated[0])
        excluded = dataset.excluded_positions(names, request.exclude)
    dataset.require_kept(path, names, request.exclude, excluded)
    columns = csv_records.CsvColumns(names, excluded, request.text_only, (learnt or {}).get(tuple(names), {}))
    if request.cells is not None:
        # Ids are texts: 007 is not 7, and floats cannot hold twenty digits.
        identifier = request.keys.identifier if request.keys else None
        kinds: dict[str, str] = {identifier or "": "text", f"_c{identifier}": "text"}
        kinds |= {name: known.kind for name, known in request.cells.declared.items()}
        columns.text = frozenset(name for name, kind in kinds.items() if kind == "text")
        numbers = frozenset(name for name, kind in kinds.items() if kind == "number")
        columns.numbers = None if request.cells.like_pandas else numbers
    rows = data[begin:] if complete else data[begin : begin + csv_records.last_record_end(data[begin:])]
    if not columns.types and rows.strip(b"\r\n"):
        try:
            csv_records.learn_types(rows, columns)
        except pa.ArrowInvalid:
            # Reading the rows in earnest meets the same error, and knows the line.
            columns.types = dict.fromkeys(columns.kept, pa.string() if columns.text_only else pa.null())
    header = data[:end].lstrip(b"\r\n") if begin == end and len(cells) > 1 else b""
    return CsvHead(columns, begin, given is not None or dialect.answer_first, header, rows)


def _given_names(path: str, cells: list[str], request: Dataset) -> list[str] | None:
    """Return the names of columns in the order of a file that begins with them; None where it does not.

    Raises
    ------
    DatasetError
        When the first line has only some of the names.
    """
    known = {fold(name): name for name in request.column_names or ()}
    found = [known.get(fold(cell)) for cell in cells]
    names = [name for name in found if name is not None]
    if len(names) == len(cells) == len(known) and len(set(names)) == len(names):
        order = "" if names == list(known.values()) else ", in another order"
        request.said.say("reading.header", order=order)
        return names
    if 2 * len(names) > len(cells):
        unknown = [cell for cell, name in zip(cells, found, strict=True) if name is None]
        unknown += [name for name in known.values() if name not in names]
        shown, field = ", ".join(cells[:6]), (unknown or cells)[0]
        raise DatasetError.of("csv.some_headers", file=path, cells=shown, field=field)
    return None


def _require_header_as_said(path: str, cells: list[str], below: bytes, request: Dataset) -> None:
    """Make sure that a file has a header where the format says so, and none where it does not.

    Raises
    ------
    DatasetError
        Naming what gives it away, and the format to give.
    """
    known = request.column_names or ()
    if request.format.header and {fold(cell) for cell in cells}.intersection(fold(name) for name in known):
        return
    evidence = header_evidence(cells, _rows(below[: below.rfind(b"\n") + 1 or None]), known)
    if evidence == ("values" if request.format.header else "names"):
        shown = ", ".join(cells[:6])
        is_told = request.format.header
        raise DatasetError.of("csv.no_header" if is_told else "csv.header", file=path, cells=shown)


def csv_sample(path: str, request: Dataset, size: int) -> pa.RecordBatch | None:
    """Return the first rows of a file, about `size` bytes of them; None when it has none that can be read."""
    head = read_head(path, request, size=size)
    if head is None or not head.rows.strip(b"\r\n"):
        return None
    rows = head.rows
    if len(rows) > size:
        rows = rows[: csv_records.last_record_end(rows[:size])] or rows
    with contextlib.suppress(pa.ArrowInvalid):
        table = restore(request.dialect or Dialect(), csv_records.parse_csv_block(rows, head.columns))
        return next(iter(table.to_batches()), None)
    return None


def first_records(path: str) -> list[list[str]]:
    """Return the cells of the first records of a CSV file, none when it has no record.

    Raises
    ------
    DatasetError
        When it cannot be read.
    """
    beginning = _beginning(path, None, _LOOKED_AT)
    if beginning is None:
        return []
    data, begin, end, complete = beginning
    dialect = decide_dialect(path, data, None, complete=complete)
    data = plain(dialect, data)
    return [_cells(path, data[begin:end], dialect), *_rows(data[end : end + _LOOKED_AT])]


def _rows(data: bytes) -> list[list[str]]:
    rows: list[list[str]] = []
    with contextlib.suppress(csv.Error):  # a field beyond that reader's limit
        text = io.StringIO(data.decode(errors="replace"), newline="")
        rows += itertools.islice(csv.reader(text), _ROWS_LOOKED_AT)
    return rows


def _beginning(
    path: str, dialect: Dialect | None, size: int = _SAMPLE
) -> tuple[bytes, int, int, bool] | None:
    """Return first bytes, begin and end of the first record in them, and whether they are all there is.

    None for a file without any record.
    """
    with reading(path), open_input(path) as stream:
        data: bytes = stream.read(size)
        data = plain(dialect, data) if dialect else data
        complete = len(data) < size
        if data.startswith(splitting.UTF16_MARKS):
            raise DatasetError.of("csv.utf16", file=path)
        begin = len(data) - len(data.removeprefix(splitting.UTF8_MARK).lstrip(b"\r\n"))
        while not (end := csv_records.first_record_end(data[begin:])) and not complete:
            if len(data) > csv_records.LONGEST_FIELD:
                raise DatasetError.of("csv.endless_row", file=path)
            more = stream.read(len(data))
            complete = not more
            data += plain(dialect, more) if dialect else more
        if not end and dialect:
            csv_records.require_closed(path, data)
    end = begin + end if end else len(data)
    return None if begin == len(data) else (data, begin, end, complete)


def _cells(path: str, record: bytes, dialect: Dialect) -> list[str]:
    excerpt = record[:80].decode(errors="replace")
    with DatasetError.instead_of("data_files.utf8", UnicodeDecodeError, file=path, line=1, excerpt=excerpt):
        text = record.decode().rstrip("\r\n")
    cells = next(csv.reader(io.StringIO(text, newline="")))
    return cells if dialect == Dialect() else [restored_text(dialect, cell) for cell in cells]


def _piece_batches(
    piece: FileRange, head: CsvHead, columns: csv_records.CsvColumns, request: Dataset
) -> Iterator[pa.RecordBatch]:
    metadata = None if request.format.header or head.named else dataset.POSITIONAL
    dialect = request.dialect or Dialect()
    empty = True

    def find_cut(data: bytes) -> int:
        return csv_records.last_record_end(plain(dialect, data), piece.path)

    def parsed(block: Segment) -> list[pa.RecordBatch]:
        block = block._replace(data=plain(dialect, splitting.without_marks(block.data)))
        if splitting.is_blank(block.data, b"\r\n"):
            return []
        if not piece.is_whole_file and not csv_records.lines_are_records(block.data):
            raise dataset.NotSplittable(f"{piece.path} has line breaks inside quoted fields")
        line_at = functools.partial(csv_records.line_at, piece.path, block.data, offset=block.offset)
        if (zero := block.data.find(b"\0")) >= 0:
            raise DatasetError.of("csv.zero_byte", file=piece.path, line=line_at(zero)[0])
        if head.header and (again := block.data.find(b"\n" + head.header)) >= 0:
            raise DatasetError.of("csv.header_again", file=piece.path, line=line_at(again + 1)[0])
        csv_records.require_closed(piece.path, block.data, block.offset)
        try:
            table = restore(dialect, csv_records.parse_csv_block(block.data, columns))
        except pa.ArrowInvalid as error:
            raise _explained(error, piece, block, request) from error
        if len(columns.names) == 1:  # elsewhere separators tell a row without values
            notice("reading.blank_lines", len(_BLANK_LINE.findall(block.data.rstrip(b"\r\n"))))
        table = table.replace_schema_metadata(metadata)
        batches: list[pa.RecordBatch] = table.to_batches(splitting.balanced_rows(table.num_rows))
        return batches

    # Nothing holds a block's text or rows while the next one is read.
    for batches in map(parsed, splitting.line_blocks(piece, begin=head.begin, find_cut=find_cut)):
        empty = empty and not batches
        yield from batches
        del batches
    if empty and piece.start == 0:
        kind = pa.string() if request.text_only else pa.null()
        schema = pa.schema([(name, kind) for name in columns.kept], metadata)
        yield pa.RecordBatch.from_pylist([], schema=schema)


def _explained(error: pa.ArrowInvalid, piece: FileRange, block: Segment, request: Dataset) -> Exception:
    try:
        text = block.data.decode()
    except UnicodeDecodeError as problem:
        line, excerpt = csv_records.line_at(piece.path, block.data, problem.start, block.offset)
        return DatasetError.of("data_files.utf8", file=piece.path, line=line, excerpt=excerpt)
    cells = re.search(r"Expected (\d+) columns, got (\d+)", str(error))
    if cells is None:
        return DatasetError.of("csv.unreadable", file=piece.path, error=error)
    blocks = splitting.line_blocks(FileRange(piece.path))
    if not piece.is_whole_file and any(b'"' in one.data for one in blocks):
        return dataset.NotSplittable(f"{piece.path} may have line breaks inside quoted fields")
    expected, place, row = int(cells[1]), 1, str(error)
    reader = csv.reader(io.StringIO(text, newline=""))
    with contextlib.suppress(csv.Error):  # a field beyond that reader's limit
        for found in reader:
            if found and len(found) != expected:
                row = ",".join(found)
                break
            place = reader.line_num + 1
    line = lines_before(piece.path, block.offset) + place
    counts: dict[str, Any] = {"found": cells[2], "expected": expected}
    model = "header" if request.format.header else "first row"
    return DatasetError.of("csv.cells", file=piece.path, line=line, row=row[:80], model=model, **counts)
