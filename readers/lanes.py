"""Lanes: records of one kind are read together, an odd record by itself.

A reader tries to read many records at once. Those that do not fit are found by dividing, and are read one
by one. What comes out is put together again in the order of the records.
"""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import types

from contract.dataset import aligned_columns
from contract.errors import DatasetError
from readers.flatten import batch_of

Counts = npt.NDArray[np.int64]

# Records are divided into so many parts to find the odd ones, down to groups of so many.
_PARTS = _LEAST = 16
# Where looking for odd records has read each record so many times, the rest counts as odd.
_MOST_READ = 4
# Bytes that fit the processor's cache.
PIECE = 1 << 17
_NEWLINE = ord("\n")


class NotBulkError(Exception):
    """These records cannot be read together."""


def require_alike(fits: object, otherwise: str) -> None:
    """Raise NotBulkError with what is `otherwise` unless records fit to be read together."""
    if not fits:
        raise NotBulkError(otherwise)


def require_exact(cells: pa.Array) -> None:
    """Raise NotBulkError where floats, as Arrow reads integers beside them, are too large to be exact."""
    sizes = np.abs(cells.to_numpy(zero_copy_only=False)) if types.is_floating(cells.type) else np.empty(0)
    require_alike(not ((sizes >= 2.0**53) & (sizes <= 2.0**64)).any(), "integers may lack digits")


def pieces_of(data: bytes | pa.Buffer) -> Iterator[npt.NDArray[np.uint8]]:
    """Yield bytes in pieces that fit the processor's cache."""
    text = np.frombuffer(data, dtype=np.uint8)
    return (text[at : at + PIECE] for at in range(0, len(text), PIECE))


def line_ends(data: bytes) -> int:
    """Return how many line ends there are, several times as fast as ``bytes.count``."""
    return sum(int(np.count_nonzero(piece == _NEWLINE)) for piece in pieces_of(data))


def found_in(text: bytes | pa.Buffer, marks: bytes) -> set[bytes]:
    """Return which of some single bytes are in a text; a copy of all of it would take new memory."""
    pieces = [text] if isinstance(text, bytes) else map(bytes, pieces_of(text))
    return {mark for piece in pieces for mark in (b"%c" % each for each in marks) if mark in piece}


def text_buffer(array: pa.StringArray) -> pa.Buffer:
    """Return the texts of an array, one after the other."""
    _, offsets, data = array.buffers()
    if len(array) == 0 or data is None:
        return pa.py_buffer(b"")
    edges = np.frombuffer(offsets, np.int32)[array.offset : array.offset + len(array) + 1]
    return data.slice(int(edges[0]), int(edges[-1] - edges[0]))


class MixedTypesError(NotBulkError):
    """Lanes have text and numbers in one column, whose original text is needed."""


class Table(NamedTuple):
    """Rows of some records under raw names, how many each record has, and which contradict themselves."""

    batch: pa.RecordBatch
    counts: Counts
    uneven: Counts


# From numbers of records to their rows.
Read = Callable[[Counts], Table]


def in_lanes[T](
    records: Counts, together: Callable[[Counts], T], one_by_one: Callable[[Counts], T]
) -> list[tuple[Counts, T]]:
    """Read records together where they fit, and the others one by one.

    Parameters
    ----------
    records
        Their numbers.
    together
        Reads some of them in bulk, or raises an error; reading one by one then says what is wrong.
    one_by_one
        Reads any of them.

    Returns
    -------
    Numbers and what was read, for each lane; the first lane holds the first record.
    """
    lanes: list[tuple[Counts, T]] = []
    odd: list[Counts] = []
    left = _MOST_READ * len(records)

    # A function that called itself would keep what was read until the next collection of garbage.
    waiting = [records]
    while waiting:
        some = waiting.pop()
        if left < 0:
            odd.append(some)
            continue
        try:
            lanes.append((some, together(some)))
        except (NotBulkError, DatasetError):
            left -= len(some)
            if len(some) <= _LEAST:
                odd.append(some)
            else:
                waiting += np.array_split(some, min(_PARTS, -(-len(some) // _LEAST)))[::-1]
    if odd:
        numbers = np.concatenate(odd)
        lanes.append((numbers, one_by_one(numbers)))
    return sorted(lanes, key=lambda lane: int(lane[0][0]) if len(lane[0]) else 0)


def of_kinds(kinds: Sequence[npt.NDArray[Any]], bulk: Read | None, one_by_one: Read) -> Table:
    """Return the rows of records: those of one kind are read together, or all one by one without `bulk`.

    Records are of one kind that are alike in each of `kinds`, small numbers.
    """
    codes = np.zeros(len(kinds[0]), np.int64)
    for kind in kinds:
        codes = 3 * codes + kind.astype(np.int64)
    groups = [np.flatnonzero(codes == code) for code in np.flatnonzero(np.bincount(codes))]
    if bulk is not None:
        # The text of numbers is lost in lanes that have no text.
        with contextlib.suppress(MixedTypesError):
            lanes = [lane for records in groups for lane in in_lanes(records, bulk, one_by_one)]
            return together(lanes, len(codes))
    return together([(records, one_by_one(records)) for records in groups], len(codes), as_text=True)


def rows_of(counts: Counts) -> tuple[Counts, Counts]:
    """Return for each row, given how many each record has, its record and its place within that."""
    record = np.repeat(np.arange(len(counts)), counts)
    return record, np.arange(len(record)) - (np.cumsum(counts) - counts)[record]


def together(lanes: Sequence[tuple[Counts, Table]], records: int, *, as_text: bool = False) -> Table:
    """Return the rows of lanes in the order of their records."""
    if len(lanes) == 1 and len(lanes[0][0]) == records:
        return lanes[0][1]
    lanes = sorted(lanes, key=lambda lane: int(lane[0][0]))
    counts = np.zeros(records, np.int64)
    for numbers, table in lanes:
        counts[numbers] = table.counts
    starts = np.cumsum(counts) - counts
    placed = []
    for numbers, table in lanes:
        record, within = rows_of(table.counts)
        placed.append((starts[numbers][record] + within, table.batch))
    uneven = np.sort(np.concatenate([numbers[table.uneven] for numbers, table in lanes])) if lanes else counts
    return Table(merged(placed, as_text=as_text) if placed else batch_of({}, 0), counts, uneven)


def merged(lanes: Sequence[tuple[Counts, pa.RecordBatch]], *, as_text: bool = False) -> pa.RecordBatch:
    """Return the rows of lanes as one batch.

    Parameters
    ----------
    lanes
        For each, where its rows belong, and the rows. A column that a lane lacks is missing there.
    as_text
        Whether a column of text and numbers becomes text.

    Raises
    ------
    MixedTypesError
        When a column is text in one lane, and numbers in another.
    """
    if len(lanes) == 1 and (np.diff(lanes[0][0]) > 0).all():
        return lanes[0][1]
    found = aligned_columns([batch for _, batch in lanes])
    places = np.concatenate([places for places, _ in lanes])
    order = None if (np.diff(places) > 0).all() else pa.array(np.argsort(places, kind="stable"))
    columns: dict[str, pa.Array] = {}
    for name, parts in found.items():
        kind = common_type({part.type for part in parts}, as_text=as_text)
        column = pa.chunked_array([_cast(part, kind) for part in parts], kind)
        whole = column.combine_chunks()
        columns[name] = whole if order is None else whole.take(order)
    return batch_of(columns, len(places))


def like_first(column: pa.Array, kind: pa.DataType | None) -> pa.Array:
    """Return floats as the integers that they are by `kind`, where none has a fraction."""
    if types.is_floating(column.type) and kind is not None and types.is_integer(kind):
        with contextlib.suppress(pa.ArrowInvalid):
            return column.cast(kind)
    return column


def common_type(kinds: set[pa.DataType], *, as_text: bool = False) -> pa.DataType:
    """Return the type that holds values of all these types.

    Raises
    ------
    MixedTypesError
        When some are text and others are not, unless `as_text`.
    """
    kinds = {kind for kind in kinds if not types.is_null(kind)}
    if len(kinds) <= 1:
        return kinds.pop() if kinds else pa.null()
    if all(types.is_integer(kind) or types.is_floating(kind) for kind in kinds):
        return pa.float64()
    if as_text or all(types.is_string(kind) or types.is_dictionary(kind) for kind in kinds):
        return pa.string()
    raise MixedTypesError(f"{', '.join(map(str, kinds))} in one column")


def _cast(array: pa.Array, kind: pa.DataType) -> pa.Array:
    if types.is_null(array.type) and types.is_dictionary(kind):
        return pa.nulls(len(array), kind)
    # Beyond 2**53 Arrow refuses to make integers floats unless told that digits may go.
    return array.cast(kind, safe=False) if types.is_integer(array.type) else pc.cast(array, kind)
