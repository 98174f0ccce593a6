"""Dividing rows by the values of some columns: codes, one stable sort, one gather per batch, then slices."""

from __future__ import annotations

import itertools
import math
from collections.abc import Container, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

# The values of the columns as text, None for missing ones.
Key = tuple[str | None, ...]

# Combinations are found in a table up to this size, by sorting above it.
_LARGEST_TABLE = 1 << 17


@dataclass(frozen=True)
class SortedRows:
    """Rows of one batch, those of a segment next to each other, in their order.

    Attributes
    ----------
    batch
        The rows.
    places
        Where each segment's rows begin, and how many they are.
    """

    batch: pa.RecordBatch
    places: dict[Key, tuple[int, int]]


@dataclass(frozen=True)
class DividedRows:
    """Rows of successive batches by segment.

    Attributes
    ----------
    pieces
        The batches, sorted.
    counts
        Rows of each segment.
    """

    pieces: Sequence[SortedRows]
    counts: dict[Key, int]

    def select(self, keys: Sequence[Key]) -> Iterator[tuple[Key, pa.RecordBatch]]:
        """Yield the rows of each of these segments, in their order."""
        if not keys:
            return
        pieces = [piece for piece in self.pieces if piece.places]
        table = pa.Table.from_batches([piece.batch for piece in pieces]).unify_dictionaries()
        batches = table.to_batches()
        for key in keys:
            parts = [
                batch.slice(*piece.places[key])
                for piece, batch in zip(pieces, batches, strict=True)
                if key in piece.places
            ]
            yield key, _compact(pa.concat_batches(parts) if len(parts) > 1 else parts[0])


def sort_rows(
    batch: pa.RecordBatch, positions: Sequence[int | None], without: Container[Key] = ()
) -> SortedRows:
    """Find the segment of every row, and sort the rows by it.

    A batch at a time: what is sorted and gathered fits the processor's caches, and several batches together
    do not.

    Parameters
    ----------
    batch
        The rows.
    positions
        Of the columns whose values make the segments; None for a column that is absent, where every row
        counts as missing.
    without
        Segments whose rows are not wanted.
    """
    keys: list[Key] = [()]
    codes = pa.nulls(batch.num_rows, pa.uint8()).fill_null(0)
    for position in positions:
        values, column_codes = _encode(None if position is None else batch.column(position), batch.num_rows)
        keys, codes = _combine(keys, codes, values, column_codes)
    wanted = [place for place, key in enumerate(keys) if key not in without]
    if len(wanted) < len(keys):
        ranks = np.full(len(keys), len(wanted))
        ranks[wanted] = np.arange(len(wanted))
        codes = _code_table(ranks, len(keys)).take(codes)
    counts = np.bincount(codes.to_numpy(), minlength=len(keys))[: len(wanted)].tolist()
    starts = itertools.accumulate(counts, initial=0)
    places = {
        keys[place]: (start, count)
        for place, start, count in zip(wanted, starts, counts, strict=False)
        if count
    }
    # Stable, and in time proportional to the rows as long as the codes are small numbers.
    order = pc.array_sort_indices(codes)[: sum(counts)]
    return SortedRows(pc.take(batch, order, boundscheck=False), places)


def divide_rows(batches: Sequence[pa.RecordBatch], positions: Sequence[int | None]) -> DividedRows:
    """Find the segment of every row of at least one batch, all of the same schema; see `sort_rows`."""
    return divided([sort_rows(batch, positions) for batch in batches])


def divided(pieces: Sequence[SortedRows]) -> DividedRows:
    """Return sorted batches, all of the same schema, as one."""
    counts: dict[Key, int] = {}
    for piece in pieces:
        for key, (_, count) in piece.places.items():
            counts[key] = counts.get(key, 0) + count
    return DividedRows(pieces, counts)


def positions_of(names: Sequence[str], columns: Sequence[str]) -> list[int | None]:
    """Return where the columns are; a name that exists wins over a zero-based position."""
    places = {name: place for place, name in enumerate(names)}
    return [
        places[column]
        if column in places
        else int(column)
        if column.isdecimal() and int(column) < len(names)
        else None
        for column in columns
    ]


def _encode(array: pa.Array | None, rows: int) -> tuple[list[str | None], pa.Array]:
    """Return distinct values as text, and the index of each row's value among them.

    The codes are as narrow as can be, and Arrow's: fresh memory for each batch costs more than the work.
    """
    if array is None or pa.types.is_null(array.type):
        array = pa.nulls(rows, pa.string())
    encoded = _compacted(array) if pa.types.is_dictionary(array.type) else array
    if not pa.types.is_dictionary(encoded.type):
        encoded = encoded.dictionary_encode()
    texts = [_text(value) for value in encoded.dictionary.to_pylist()]
    # Different values may read the same (1 and 1.0), and a dictionary may hold what no row uses.
    places = {text: place for place, text in enumerate(dict.fromkeys([*texts, None]))}
    table = _code_table([places[text] for text in texts], len(places))
    return list(places), table.take(encoded.indices).fill_null(places[None])


def _code_table(codes: npt.ArrayLike, limit: int) -> pa.Array:
    return pa.array(np.asarray(codes, np.min_scalar_type(limit)))


def _text(value: Any) -> str | None:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        if math.isnan(value):
            return None
        return str(int(value)) if value.is_integer() else repr(value)
    return None if value is None else str(value)


def _combine(
    keys: list[Key], codes: pa.Array, values: list[str | None], column_codes: pa.Array
) -> tuple[list[Key], pa.Array]:
    """Return combinations, all that occur among them, and the index of each row's."""
    if len(keys) == 1:
        return [(*keys[0], value) for value in values], column_codes
    combined = codes.to_numpy().astype(np.int64) * len(values) + column_codes.to_numpy()
    size = len(keys) * len(values)
    if size <= _LARGEST_TABLE:
        found = np.flatnonzero(np.bincount(combined, minlength=size))
        table = np.zeros(size, np.int64)
        table[found] = np.arange(found.size)
        combined = table[combined]
    else:
        found, combined = np.unique(combined, return_inverse=True)
    keys = [(*keys[code // len(values)], values[code % len(values)]) for code in found.tolist()]
    return keys, _code_table(combined, len(keys))


def _compact(batch: pa.RecordBatch) -> pa.RecordBatch:
    """Return the batch without dictionaries larger than itself: each segment would walk all of them."""
    arrays = [_compacted(array) for array in batch.columns]
    fields = [pa.field(name, array.type) for name, array in zip(batch.schema.names, arrays, strict=True)]
    return pa.RecordBatch.from_arrays(arrays, schema=pa.schema(fields, metadata=batch.schema.metadata))


def _compacted(array: pa.Array) -> pa.Array:
    if pa.types.is_dictionary(array.type) and len(array.dictionary) > len(array):
        return array.dictionary_decode()
    return array
