"""Parsing a block of CSV text into columns, with types that are guessed once and widened when they fail.

A column is int64, float64 or text. Text that repeats is dictionary-encoded. Arrow would also see dates,
times and booleans; they stay text, since that is what they are in a CSV file.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv

# Arrow parses blocks that fit the processor's cache about twice as fast as large ones.
_CACHE_FRIENDLY = 1 << 20
_SAMPLE = 1 << 20
_DICTIONARY = pa.dictionary(pa.int32(), pa.string())
# From narrow to wide: a column moves right when a cell does not fit.
_LADDER = (pa.null(), pa.int64(), pa.float64())
# Above this share of distinct values a dictionary costs more than it saves.
_MOSTLY_DISTINCT = 0.5
_TOO_FEW = 4
_BEFORE_NUMBERS = np.frombuffer(b',"\r\n\t +-', dtype=np.uint8)


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
    """

    names: list[str]
    excluded: set[int] = field(default_factory=set)
    text_only: bool = False
    types: dict[str, pa.DataType] = field(default_factory=dict)

    @property
    def kept(self) -> list[str]:
        """Return the names of the columns that are read."""
        return [name for position, name in enumerate(self.names) if position not in self.excluded]


def parse_csv_block(data: bytes, columns: CsvColumns) -> pa.Table:
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
    _make_hexadecimals_text(data, columns)
    try:
        table = _read(data, columns.names, columns.types)
    except pa.ArrowInvalid as error:
        if columns.text_only or "conversion error" not in str(error) or "UTF8" in str(error):
            raise
        found = _infer(data, columns)
        columns.types = {name: _wider(kind, found[name]) for name, kind in columns.types.items()}
        _make_hexadecimals_text(data, columns)
        table = _read(data, columns.names, columns.types)
    return table.combine_chunks()


def learn_types(data: bytes, columns: CsvColumns) -> None:
    """Guess the types of the columns from the first records of `data`, about one megabyte of them."""
    sample = data
    if len(data) > _SAMPLE:
        from contract.datasets.quotes import last_record_end

        sample = data[: last_record_end(data[:_SAMPLE])] or data
    columns.types = _infer(sample, columns)


def _infer(data: bytes, columns: CsvColumns) -> dict[str, pa.DataType]:
    everything_text = {name: pa.string() for name in columns.kept} if columns.text_only else None
    table = _read(data, columns.names, everything_text or dict.fromkeys(columns.kept), one_block=True)
    types = {name: table.schema.field(name).type for name in columns.kept}
    return {
        name: kind if kind in _LADDER and not columns.text_only else _text_type(table.column(name))
        for name, kind in types.items()
    }


def _text_type(column: pa.ChunkedArray) -> pa.DataType:
    present = len(column) - column.null_count
    distinct = pc.count_distinct(column).as_py() if present > _TOO_FEW else 0
    return pa.string() if distinct > _MOSTLY_DISTINCT * present else _DICTIONARY


def _wider(known: pa.DataType, found: pa.DataType) -> pa.DataType:
    if known not in _LADDER:
        return known
    if found not in _LADDER:
        return found
    return max(known, found, key=_LADDER.index)


def _read(
    data: bytes, names: list[str], types: dict[str, pa.DataType | None], *, one_block: bool = False
) -> pa.Table:
    block_size = len(data) + 1 if one_block else max(_CACHE_FRIENDLY, 1024 * len(names))
    has_quotes = b'"' in data
    arguments = (
        csv.ParseOptions(newlines_in_values=has_quotes),
        csv.ConvertOptions(
            column_types={name: kind for name, kind in types.items() if kind is not None},
            include_columns=list(types),
            null_values=[""],
            strings_can_be_null=True,
            quoted_strings_can_be_null=True,
            true_values=[],
            false_values=[],
        ),
    )
    options = csv.ReadOptions(use_threads=False, block_size=block_size, column_names=names)
    try:
        return csv.read_csv(pa.BufferReader(data), options, *arguments)
    except pa.ArrowInvalid as error:
        if one_block or "straddling" not in str(error):
            raise
    options.block_size = len(data) + 1
    return csv.read_csv(pa.BufferReader(data), options, *arguments)


def _make_hexadecimals_text(data: bytes, columns: CsvColumns) -> None:
    """Make columns with cells such as ``0x1F`` text; Arrow would take them for integers."""
    integers = {name: pa.string() for name, kind in columns.types.items() if kind == pa.int64()}
    if not integers or not _may_hold_hexadecimals(data):
        return
    table = _read(data, columns.names, integers)
    for name in integers:
        column = table.column(name)
        if pc.any(pc.match_substring(column, "0x", ignore_case=True)).as_py():
            columns.types[name] = _text_type(column)


def _may_hold_hexadecimals(data: bytes) -> bool:
    for letter in (b"x", b"X"):
        # Looking for one byte is many times faster than looking for two, and often settles it.
        if letter not in data:
            continue
        text = np.frombuffer(data, dtype=np.uint8)
        letters = np.flatnonzero(text == ord(letter))
        zeros = letters[text[letters - 1] == ord("0")] - 1
        if np.isin(text[zeros - 1], _BEFORE_NUMBERS).any() or not zeros.all():
            return True
    return False


def ragged_row(error: pa.ArrowInvalid) -> tuple[int, int] | None:
    """Return the expected and the found number of cells when that is what `error` says."""
    match = re.search(r"Expected (\d+) columns, got (\d+)", str(error))
    return (int(match[1]), int(match[2])) if match else None
