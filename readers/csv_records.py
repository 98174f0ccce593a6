"""Where CSV records end: line ends that are not inside a quoted field.

A quote opens a field only as its first character (RFC 4180); inside, two quotes stand for one. Any
other quote, such as that of ``5" pipe``, is an ordinary character.
"""

import itertools
import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv

from contract.dataset import notice
from contract.errors import DatasetError
from file_storage.storage import lines_before
from readers.cell_types import CODE
from readers.lanes import NotBulkError, found_in

# A quoted field longer than this is a quote that somebody forgot to close.
LONGEST_FIELD = 64 << 20

# Written so that it begins with a plain character, which is searched for much faster.
_OPENING = re.compile(rb'"(?<![^,\r\n]")')
_REST_OF_FIELD = re.compile(rb'(?:[^"]|"")*+"')
_LINE_END = re.compile(rb"\r\n?|\n")
_QUOTE, _NEWLINE = ord('"'), ord("\n")
_MAY_ADJOIN = np.zeros(256, dtype=bool)
_MAY_ADJOIN[list(b',\r\n"')] = True


def lines_are_records(data: bytes) -> bool:
    """Return whether no line end of a block is inside a quoted field.

    Parameters
    ----------
    data
        Whole lines that begin outside quotes.
    """
    if b'"' not in data:
        return True
    text = np.frombuffer(data, dtype=np.uint8)
    quotes = np.flatnonzero(text == _QUOTE)
    quotes_before = np.searchsorted(quotes, np.flatnonzero(text == _NEWLINE))
    if not len(quotes) % 2 and not (quotes_before % 2).any():
        # In lines with an even number, even quotes ought to open a field and odd ones to close it: before
        # the former and after the latter must be a delimiter, or the other half of a doubled quote.
        # Before the first byte comes a line end, and so does the last byte, at index -1, in whole lines.
        before = text[quotes[::2] - 1]
        after = text[np.minimum(quotes[1::2] + 1, len(text) - 1)]
        if _MAY_ADJOIN[before].all() and _MAY_ADJOIN[after].all():
            return True
    # Counting does not decide: a quote may be an ordinary character.
    return not any(b"\n" in data[start:end] for start, end in _fields(data))


def last_record_end(data: bytes, path: str = "The data") -> int:
    """Return where the last whole record ends, 0 when there is none.

    Parameters
    ----------
    data
        The beginning of some records; begins outside quotes, may end anywhere.
    path
        The file, for the message.

    Raises
    ------
    DatasetError
        When a quoted field seems never to end.
    """
    end = data.rfind(b"\n") + 1
    if lines_are_records(data[:end]):
        return end
    end, unclosed = _scan(data)
    if unclosed is not None and len(data) - unclosed > LONGEST_FIELD:
        excerpt = data[unclosed : unclosed + 80].decode(errors="replace")
        raise DatasetError.of("csv.endless_quote", file=path, size=LONGEST_FIELD >> 20, excerpt=excerpt)
    return end


def require_closed(path: str, data: bytes, offset: int = 0, written: bytes = b"") -> None:
    """Make sure that every quoted field ends in records up to the end of a file.

    Parameters
    ----------
    data
        Begins outside quotes.
    offset
        Where it begins in the file.
    written
        As the file has it, where `data` is what was made of that.

    Raises
    ------
    DatasetError
        Naming the line.
    """
    # Closed fields hold an even number of quotes; this spares most files the second look.
    if b'"' in data and data.count(b'"') % 2 and (opening := _scan(data)[1]) is not None:
        line, excerpt = line_at(path, written or data, opening, offset)
        raise DatasetError.of("csv.unclosed_quote", file=path, line=line, excerpt=excerpt)


def line_at(path: str, data: bytes, at: int, offset: int = 0) -> tuple[int, str]:
    """Return number and beginning of the line that holds a byte of `data`, which begins at `offset`."""
    start = data.rfind(b"\n", 0, at) + 1
    line = lines_before(path, offset) + data.count(b"\n", 0, at) + 1
    return line, data[start : start + 80].partition(b"\n")[0].decode(errors="replace")


def first_record_end(data: bytes) -> int:
    """Return where the first record ends, after its line end; 0 when `data` does not hold all of it."""
    position = 0
    for start, stop in itertools.chain(_fields(data), [(len(data), None)]):
        if line_end := _LINE_END.search(data, position, start):
            return line_end.end()
        position = stop or len(data)
    return 0


def _fields(data: bytes) -> Iterator[tuple[int, int | None]]:
    """Yield where quoted fields begin and end, None for the end of one that is not closed."""
    position = 0
    while opening := _OPENING.search(data, position):
        closing = _REST_OF_FIELD.match(data, opening.end())
        yield opening.start(), closing and closing.end()
        if closing is None:
            return
        position = closing.end()


def _scan(data: bytes) -> tuple[int, int | None]:
    """Read field by field: return where the last record ends, and where a field opens that is not closed."""
    position = end = 0
    for start, stop in _fields(data):
        end = data.rfind(b"\n", position, start) + 1 or end
        if stop is None:
            return end, start
        position = stop
    return data.rfind(b"\n", position) + 1 or end, None


# Parsing a block of CSV text into columns, with types that are guessed once and widened when they fail.
#
# A column is int64, float64 or text. Text that repeats is dictionary-encoded. Arrow would also see dates,
# times and booleans; they stay text, since that is what they are in a CSV file.


# Arrow parses blocks that fit the processor's cache about twice as fast as large ones.
type Text = bytes | pa.Buffer
_CACHE_FRIENDLY = 1 << 20
_SAMPLE = 1 << 20
_DICTIONARY = pa.dictionary(pa.int32(), pa.string())
# From narrow to wide: a column moves right when a cell does not fit.
_LADDER = (pa.null(), pa.int64(), pa.float64())
# Empty cells are null, also where they are quoted; none is a boolean.
_CELLS = {"null_values": [""], "strings_can_be_null": True, "true_values": [], "false_values": []}
# Above this share of distinct values a dictionary costs more than it saves.
_MOSTLY_DISTINCT = 0.5
_TOO_FEW = 4
_SCANNED = 1 << 17


@dataclass
class CsvColumns:
    """The columns of a CSV file and what is known of their types; `parse_csv_block` updates it.

    Parameters
    ----------
    names
        Of all columns in the text; unique.
    excluded
        Positions of columns to leave out.
    text_only
        Every column stays text.
    types
        By name, of the columns that are kept; empty until the first block is seen.
    text
        Names of columns that stay text.
    numbers
        Names of columns that are numbers even where digits begin with a zero; None for all of them.
    """

    names: list[str]
    excluded: set[int] = field(default_factory=set)
    text_only: bool = False
    types: dict[str, pa.DataType] = field(default_factory=dict)
    text: frozenset[str] = frozenset()
    numbers: frozenset[str] | None = frozenset()

    @property
    def kept(self) -> list[str]:
        """Return the names of the columns that are read."""
        return [name for position, name in enumerate(self.names) if position not in self.excluded]


def parse_csv_block(data: Text, columns: CsvColumns) -> pa.Table:
    """Parse whole records.

    Parameters
    ----------
    data
        CSV text in UTF-8 without a header row. Fields may be quoted and hold line breaks.
    columns
        Names and types. A column whose type does not fit this block is widened (integers to floats,
        numbers to text), for this block and the ones that follow.

    Returns
    -------
    One chunk per column, in the order of the names. Empty cells, quoted or not, are null; in a column
    of floats ``nan`` in any letter case is NaN and ``inf`` an infinity.

    Raises
    ------
    pyarrow.ArrowInvalid
        When a row has too few or too many cells or is not UTF-8.
    """
    if not columns.types:
        learn_types(data, columns)
    _keep_codes_text(data, columns)
    try:
        table = _read(data, columns.names, columns.types)
    except pa.ArrowInvalid as error:
        if columns.text_only or "conversion error" not in str(error) or "UTF8" in str(error):
            raise
        found = _infer(data, columns)
        columns.types = {name: max(kind, found[name], key=_width) for name, kind in columns.types.items()}
        _keep_codes_text(data, columns)
        table = _read(data, columns.names, columns.types)
    return table.combine_chunks()


def learn_types(data: Text, columns: CsvColumns) -> None:
    """Guess the types of the columns from the first records of `data`, about one megabyte of them."""
    sample = data[: last_record_end(bytes(data[:_SAMPLE]))] if len(data) > _SAMPLE else data
    columns.types = _infer(sample or data, columns)


def _infer(data: Text, columns: CsvColumns) -> dict[str, pa.DataType]:
    text = columns.kept if columns.text_only else columns.text
    asked = {name: pa.string() if name in text else None for name in columns.kept}
    table = _read(data, columns.names, asked, one_block=True)
    narrow, found = () if columns.text_only else _LADDER, zip(asked, table.columns, strict=True)
    return {name: one.type if one.type in narrow else _text_type(one) for name, one in found}


def _text_type(column: pa.ChunkedArray) -> pa.DataType:
    present = len(column) - column.null_count
    distinct = pc.count_distinct(column).as_py() if present > _TOO_FEW else 0
    return pa.string() if distinct > _MOSTLY_DISTINCT * present else _DICTIONARY


def _width(kind: pa.DataType) -> int:
    return _LADDER.index(kind) if kind in _LADDER else len(_LADDER)


def _read(
    data: Text, names: list[str], types: dict[str, pa.DataType | None], *, one_block: bool = False
) -> pa.Table:
    block_size = len(data) + 1 if one_block else max(_CACHE_FRIENDLY, 1024 * len(names))
    known = {name: kind for name, kind in types.items() if kind is not None}
    parse = csv.ParseOptions(newlines_in_values=bool(found_in(data, b'"')))
    convert = csv.ConvertOptions(column_types=known, include_columns=list(types), **_CELLS)
    options = csv.ReadOptions(use_threads=False, block_size=block_size, column_names=names)
    try:
        return csv.read_csv(pa.BufferReader(data), options, parse, convert)
    except pa.ArrowInvalid as error:
        if one_block or "straddling" not in str(error):
            raise
    options.block_size = len(data) + 1
    return csv.read_csv(pa.BufferReader(data), options, parse, convert)


def _keep_codes_text(data: Text, columns: CsvColumns) -> None:
    """Make columns with cells such as ``0x1F`` or ``007`` text; Arrow would take them for numbers."""
    numeric = [name for name, kind in columns.types.items() if kind in (pa.int64(), pa.float64())]
    text = np.frombuffer(data, dtype=np.uint8)
    places = _leading_zeros(text) if numeric else np.empty(0, np.int64)
    if len(places) and not found_in(data, b'"'):
        begun = _columns_at(places, text)
        numeric = [name for at, name in enumerate(columns.names) if at in begun and name in numeric]
    followers = {chr(mark) for mark in np.unique(text[places + 1])}
    patterns = [r"0[xX]"] if followers & {*"xX"} else []
    patterns += [CODE] if columns.numbers is not None and followers & {*"0123456789"} else []
    if not patterns or not numeric:
        return
    table = _read(data, columns.names, dict.fromkeys(numeric, pa.string()))
    for name in numeric:
        column = table.column(name)
        for pattern in patterns:
            if not pc.any(pc.match_substring_regex(column, pattern)).as_py():
                continue
            if pattern == CODE and name in (columns.numbers or ()):
                notice("reading.padded", field=name)
            else:
                columns.types[name] = _text_type(column)


def _leading_zeros(text: npt.NDArray[np.uint8]) -> npt.NDArray[np.int64]:
    """Return where zeros are that begin a cell, and that a digit or a letter follows."""
    found = [np.flatnonzero((text[:1] == ord("0")) & (text[1:2] > ord("/")))]
    # In pieces that fit the processor's cache. Comma, quote and line end are below 45, digits 48 to 57.
    for start in range(0, len(text), _SCANNED):
        piece = text[start : start + _SCANNED + 2]
        begins = piece[1:-1] == ord("0")
        begins &= piece[:-2] < ord("-")
        begins &= piece[2:] > ord("/")
        found.append(np.flatnonzero(begins) + start + 1)
    places = np.concatenate(found)
    # The hour of a time, behind a date and a blank, begins no cell.
    is_hour = (places > 1) & (text[places - 1] == ord(" ")) & (text[places - 2] > ord("/"))
    return np.extract(~is_hour, places)


def _columns_at(places: npt.NDArray[np.int64], text: npt.NDArray[np.uint8]) -> set[int]:
    """Return the columns of some places in text without quotes."""
    commas = np.flatnonzero(text == ord(","))
    line_ends = np.flatnonzero((text == _NEWLINE) | (text == ord("\r")))
    begins = np.append(0, line_ends)[np.searchsorted(line_ends, places)]
    return set((np.searchsorted(commas, places) - np.searchsorted(commas, begins)).tolist())


# CSV payloads as columns: cells without header, types remembered from block to block.


class CellsError(NotBulkError):
    """The text does not have the expected rows or columns."""


@dataclass
class CellParser:
    """Parses blocks of cells, with the types that earlier blocks had.

    Parameters
    ----------
    text_only
        Every column stays text.
    excluded
        Names of columns that need not be parsed.
    types
        What is known of the columns so far.
    """

    text_only: bool
    excluded: Collection[str] = ()
    types: dict[str, pa.DataType] = field(default_factory=dict)

    def __call__(self, text: Text, names: list[str], rows: int) -> dict[str, pa.Array]:
        """Return the columns of CSV text without header.

        Parameters
        ----------
        text
            One line per row.
        names
            Of all columns in the text.
        rows
            How many there must be.

        Raises
        ------
        CellsError
            When a row has another number of cells, or rows are missing.
        """
        out = {at for at, name in enumerate(names) if name in self.excluded}
        if len(out) == len(names):
            return {}
        columns = CsvColumns(names, out, self.text_only)
        kept = columns.kept
        if all(name in self.types for name in kept):
            columns.types = {name: self.types[name] for name in kept}
        try:
            table = parse_csv_block(text, columns)
        except pa.ArrowInvalid as error:
            raise CellsError(str(error)) from error
        if table.num_rows != rows:
            raise CellsError(f"{table.num_rows} rows instead of {rows}")
        self.types |= columns.types
        found = zip(table.schema.names, table.columns, strict=True)
        return {name: one.chunk(0) if one.num_chunks == 1 else one.combine_chunks() for name, one in found}
