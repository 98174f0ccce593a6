"""Dividing rows by the values of some columns: codes, one stable sort, one gather, then slices."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

# The values of the columns as text, None for missing ones.
Key = tuple[str | None, ...]

_Codes = npt.NDArray[np.int64]

# Combinations are counted in a table up to this size, sorted above it.
_LARGEST_TABLE = 1 << 22


@dataclass(frozen=True)
class DividedRows:
    """Rows and the segment of each.

    Attributes
    ----------
    batch
        The rows.
    codes
        Segment of each row, an index into `counts`; shape ``(rows,)``.
    counts
        Rows of each segment, in the order of the codes.
    """

    batch: pa.RecordBatch
    codes: _Codes
    counts: dict[Key, int]

    def select(self, keys: Sequence[Key]) -> Iterator[tuple[Key, pa.RecordBatch]]:
        """Yield the rows of each of these segments, in their order."""
        places = {key: place for place, key in enumerate(self.counts)}
        rank = np.full(len(places), len(keys), np.uint32)
        rank[[places[key] for key in keys]] = np.arange(len(keys), dtype=np.uint32)
        ranks = rank[self.codes]
        # A stable sort of 16-bit numbers takes time proportional to the rows.
        order = np.argsort(ranks.astype(np.uint16) if len(keys) < 1 << 16 else ranks, kind="stable")
        wanted = sum(self.counts[key] for key in keys)
        sorted_rows = self.batch.take(pa.array(order[:wanted]))
        start = 0
        for key in keys:
            yield key, _compact(sorted_rows.slice(start, self.counts[key]))
            start += self.counts[key]


def divide_rows(batches: Sequence[pa.RecordBatch], positions: Sequence[int | None]) -> DividedRows:
    """Find the segment of every row.

    Parameters
    ----------
    batches
        At least one, all of the same schema.
    positions
        Of the columns whose values make the segments; None for a column that is absent, where every row
        counts as missing.
    """
    table = pa.Table.from_batches(batches).unify_dictionaries().combine_chunks()
    batch = _only_batch(table)
    codes = np.zeros(batch.num_rows, np.int64)
    keys: list[Key] = [()]
    for position in positions:
        values, column_codes = _encode(None if position is None else batch.column(position), batch.num_rows)
        codes, keys = _combine(codes, keys, column_codes, values)
    counts = np.bincount(codes, minlength=len(keys)).tolist()
    return DividedRows(batch, codes, dict(zip(keys, counts, strict=True)))


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


def _only_batch(table: pa.Table) -> pa.RecordBatch:
    columns = [
        column.chunk(0) if column.num_chunks else pa.array([], column.type) for column in table.columns
    ]
    return pa.RecordBatch.from_arrays(columns, schema=table.schema)


def _encode(array: pa.Array | None, rows: int) -> tuple[list[str | None], _Codes]:
    """Return the distinct values as text, and the index of each row's value among them."""
    if array is None or pa.types.is_null(array.type):
        return [None], np.zeros(rows, np.int64)
    encoded = array if pa.types.is_dictionary(array.type) else array.dictionary_encode()
    texts = [_text(value) for value in encoded.dictionary.to_pylist()]
    # Different values may read the same (1 and 1.0), and a dictionary may hold what no row uses.
    places = {text: place for place, text in enumerate(dict.fromkeys([*texts, None]))}
    table = np.array([places[text] for text in texts] + [places[None]], np.int64)
    indices = encoded.indices.cast(pa.int64()).fill_null(len(texts)).to_numpy(zero_copy_only=False)
    return list(places), table[indices]


def _text(value: Any) -> str | None:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        if math.isnan(value):
            return None
        return str(int(value)) if value.is_integer() else repr(value)
    return None if value is None else str(value)


def _combine(
    codes: _Codes, keys: list[Key], column_codes: _Codes, values: list[str | None]
) -> tuple[_Codes, list[Key]]:
    """Return codes and keys of the combinations that occur."""
    combined = codes * len(values) + column_codes
    size = len(keys) * len(values)
    if size <= _LARGEST_TABLE:
        found = np.flatnonzero(np.bincount(combined, minlength=size))
        places = np.zeros(size, np.int64)
        places[found] = np.arange(found.size)
        combined = places[combined]
    else:
        found, combined = np.unique(combined, return_inverse=True)
    return combined, [(*keys[code // len(values)], values[code % len(values)]) for code in found.tolist()]


def _compact(batch: pa.RecordBatch) -> pa.RecordBatch:
    """Return the batch without dictionaries larger than itself: each segment would walk all of them."""
    arrays = [
        array.dictionary_decode()
        if pa.types.is_dictionary(array.type) and len(array.dictionary) > len(array)
        else array
        for array in batch.columns
    ]
    fields = [pa.field(name, array.type) for name, array in zip(batch.schema.names, arrays, strict=True)]
    return pa.RecordBatch.from_arrays(arrays, schema=pa.schema(fields, metadata=batch.schema.metadata))
