"""How CSV is written: what separates its cells, how quotes are escaped, and whether a first line is a header.

Everything after this module reads cells separated by commas, quotes written twice (RFC 4180). Other text is
brought into that form byte by byte, so that places in a file stay what they are.
"""

import csv
import io
import itertools
import re
from collections.abc import Sequence
from typing import Literal

import pyarrow as pa
import pyarrow.compute as pc

from contract.dataset import MARKERS, Dialect
from contract.errors import DatasetError
from readers.csv_records import last_record_end, require_closed
from readers.splitting import UTF8_MARK

SEPARATORS = (",", ";", "\t", "|")
NAMES = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "vertical bars"}

_RECORDS_LOOKED_AT = 50
_BYTES_LOOKED_AT = 1 << 16
_MOSTLY = 0.9
_FEW, _SOME = 3, 20
_REPEATING = 0.2
_NUMBER = re.compile(r"\s*[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?\s*")
_DECIMAL_COMMA = re.compile(r"\s*[+-]?\d+(\.\d{3})*,\d+\s*")
_EXCEL_LINE = re.compile(rb'"?sep=[,;|\t]"?\r?\n', re.IGNORECASE)
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
    even = {
        dialect: records
        for dialect, records in readings.items()
        if len({len(row) for row in records}) == 1 and (len(records[0]) > 1 or separator is not None)
    }
    if not even:
        for other in SEPARATORS[1:] if separator is None and complete else ():
            if ord(other) in beginning:
                require_closed(path, plain(Dialect(other), beginning), written=beginning)
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
        text = data[: len(data) if complete else last_record_end(data)].decode()
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
