"""Identical rows are sent once: finding them without comparing every pair."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

_MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)
# Rows that the processor's cache holds.
_BLOCK_ROWS = 8_192
# In 40,000 rows of which a hundredth are twins, so many show about six.
_SAMPLED_ROWS = 8_192
_MISSING = np.uint64(0x7FF8DEADBEEF0001)


def identical_rows(table: pa.RecordBatch) -> tuple[NDArray[np.int64], NDArray[np.int64]] | None:
    """Return which rows to keep, and for each row the position among those of its equal.

    Rows are equal when all values are the same text or have the same bits (so 0.0 and -0.0 differ), or
    both are missing.

    Returns
    -------
    Indices of the first row of each kind, ascending, and the kinds, shape (rows,); None when all rows
    differ, or so few are the same that a sample of `_SAMPLED_ROWS` holds no two.
    """
    if table.num_rows < 2 or table.num_columns == 0:
        return None
    if table.num_rows > 2 * _SAMPLED_ROWS and not _any_in_sample(table):
        return None
    codes = [_codes(column) for column in table.columns]
    mixed = _mixed(codes, table.num_rows)
    ordered = np.sort(mixed)
    if (ordered[1:] != ordered[:-1]).all():
        return None
    encoded = pa.array(mixed).dictionary_encode()
    kinds = encoded.indices.to_numpy(zero_copy_only=False).astype(np.int64)
    first = np.full(len(encoded.dictionary), table.num_rows, dtype=np.int64)
    np.minimum.at(first, kinds, np.arange(table.num_rows))
    same = first[kinds]
    if any((code[same] != code).any() for code in codes):
        return None  # two different rows with the same hash: send all
    return first, kinds


def _any_in_sample(table: pa.RecordBatch) -> bool:
    """Return whether some of a sample of rows are the same: an endpoint waits while all are compared."""
    chosen = np.sort(np.random.default_rng(0).integers(table.num_rows, size=_SAMPLED_ROWS))
    sample = table.take(pa.array(chosen[np.diff(chosen, prepend=-1) > 0]))
    mixed = np.sort(_mixed([_codes(column) for column in sample.columns], sample.num_rows))
    return bool((mixed[1:] == mixed[:-1]).any())


def _mixed(codes: list[NDArray[np.uint64]], rows: int) -> NDArray[np.uint64]:
    """Return one number per row, the same for the same values."""
    mixed = np.zeros(rows, dtype=np.uint64)
    for start in range(0, rows, _BLOCK_ROWS):
        block = mixed[start : start + _BLOCK_ROWS]
        for code in codes:
            block ^= code[start : start + _BLOCK_ROWS]
            block *= _MULTIPLIER
            # Whole numbers differ in the upper bits of their floats only, which products do not bring down.
            block ^= block >> np.uint64(29)
    return mixed


def _codes(column: pa.Array) -> NDArray[np.uint64]:
    """Return one number per value, the same for the same values only."""
    missing = column.is_null().to_numpy(zero_copy_only=False) if column.null_count else None
    if pa.types.is_floating(column.type):
        values = column.to_numpy(zero_copy_only=False).astype(np.float64).view(np.uint64)
    elif pa.types.is_integer(column.type) and not column.null_count:
        values = column.to_numpy().astype(np.uint64)
    else:
        # Text, booleans, and integers that a detour by floats could round.
        if not pa.types.is_dictionary(column.type):
            column = column.dictionary_encode()
        values = column.indices.fill_null(0).to_numpy(zero_copy_only=False).astype(np.uint64)
    return values if missing is None else np.where(missing, _MISSING, values)
