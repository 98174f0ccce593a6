"""Numbers of a record batch into a column summary.

Numbers are counted by value while their values are few; after that a column costs one pass over blocks
that fit the processor's second-level cache.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from analyzers.data_quality.column_summary import ColumnSummary, Counts, Floats
from analyzers.data_quality.hyperloglog import Hashes, float_bits, hash_bits
from analyzers.data_quality.text import CellKind
from analyzers.data_quality.text_hash import hash_words

_BLOCK = 32_768
_PROBE = 4096  # more than the values a column counts, fewer than a batch
_PROBE_BITS = 16
_PROBE_MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)
_EXACT_INTEGERS = 1 << 53  # beyond, float64 cannot tell neighbours apart
_WORD_BYTES = 8

Integers = npt.NDArray[np.int64] | npt.NDArray[np.uint64]


@dataclass(slots=True)
class Workspace:
    """Memory that one summarizing thread reuses for every block."""

    values: Floats = field(default_factory=lambda: np.empty(_BLOCK))
    scratch: Floats = field(default_factory=lambda: np.empty((2, _BLOCK)))
    flags: npt.NDArray[np.bool_] = field(default_factory=lambda: np.empty(_BLOCK, dtype=np.bool_))


def add_integers(column: ColumnSummary, array: pa.Array, workspace: Workspace, *, hash_as_text: bool) -> None:
    """Add an Arrow array of integers of any width."""
    values = _present(array)
    column.cells[CellKind.MISSING] += len(array) - values.size
    if not values.size:
        return
    column.cells[CellKind.INTEGRAL] += values.size
    low, high = int(values.min()), int(values.max())
    if column.in_order:
        column.sketch.update(values.astype(np.float64))
        column.moments.add_in_order(values.astype(np.float64))
    if not column.values.overflowed:
        counted = _count_integers(values, low, high, column.values.limit)
        if counted is not None:
            _add_distinct_integers(column, *counted, hash_as_text=hash_as_text)
            return
        column.stop_counting()
    exact = low >= -_EXACT_INTEGERS and high <= _EXACT_INTEGERS
    for start in range(0, values.size, _BLOCK):
        part = values[start : start + _BLOCK]
        block = workspace.values[: part.size]
        np.copyto(block, part, casting="unsafe")
        if hash_as_text:
            column.distinct.add_hashes(hash_words(part.view(np.uint64)))
        else:
            bits = float_bits(block) if exact else _integer_bits(part)
            column.distinct.add_bits(bits, workspace.scratch.view(np.uint64))
        _add_block(column, block, workspace)


def add_floats(column: ColumnSummary, array: pa.Array, workspace: Workspace, *, hash_as_text: bool) -> None:
    """Add an Arrow array of floats of any width; NaN is missing, infinities count as present only."""
    values = _present(array)
    column.cells[CellKind.MISSING] += len(array) - values.size
    if column.in_order:
        ordered = values[np.isfinite(values)]
        column.sketch.update(ordered)
        column.moments.add_in_order(ordered)
    if not column.values.overflowed and values.size:
        counted = _count_distinct(values, column.values.limit)
        if counted is not None:
            _add_distinct_floats(column, *counted, hash_as_text=hash_as_text)
            return
        column.stop_counting()
    for start in range(0, values.size, _BLOCK):
        part = values[start : start + _BLOCK]
        # Adding zero turns a negative zero into zero, so that both hash alike.
        block = np.add(part, 0.0, out=workspace.values[: part.size])
        block = _without_non_finite(column, block, hash_as_text=hash_as_text)
        if hash_as_text:
            column.distinct.add_hashes(hash_words(float_bits(block)))
        else:
            column.distinct.add_bits(float_bits(block), workspace.scratch.view(np.uint64))
        whole = np.floor(block, out=workspace.scratch[0, : block.size])
        integral_valued = np.count_nonzero(np.equal(block, whole, out=workspace.flags[: block.size]))
        column.cells[CellKind.INTEGRAL_VALUED] += integral_valued
        column.cells[CellKind.FRACTIONAL] += block.size - integral_valued
        _add_block(column, block, workspace)


def _add_block(column: ColumnSummary, block: Floats, workspace: Workspace) -> None:
    if not column.in_order:
        column.moments.add(block, workspace.scratch[0])
        column.sketch.update_unordered(block)


def _add_distinct_integers(
    column: ColumnSummary, distinct: Integers, counts: Counts, *, hash_as_text: bool
) -> None:
    if hash_as_text:
        column.distinct.add_hashes(hash_words(distinct.view(np.uint64)))
    else:
        column.distinct.add_hashes(hash_bits(_integer_bits(distinct)))
    if not column.in_order:
        column.moments.add_weighted(distinct.astype(np.float64), counts)
    column.count_values(column.values.integers, distinct.tolist(), counts.tolist())


def _add_distinct_floats(
    column: ColumnSummary, distinct: Floats, counts: Counts, *, hash_as_text: bool
) -> None:
    number = ~np.isnan(distinct)
    column.cells[CellKind.MISSING] += counts[~number].sum()
    distinct, counts = distinct[number] + 0.0, counts[number]
    hash_words_or_bits = hash_words if hash_as_text else hash_bits
    column.distinct.add_hashes(hash_words_or_bits(float_bits(distinct)))
    finite = np.isfinite(distinct)
    column.cells[CellKind.NON_FINITE] += counts[~finite].sum()
    whole = finite & (np.floor(distinct) == distinct)
    column.cells[CellKind.INTEGRAL_VALUED] += counts[whole].sum()
    column.cells[CellKind.FRACTIONAL] += counts[finite & ~whole].sum()
    if not column.in_order:
        column.moments.add_weighted(distinct[finite], counts[finite])
    column.count_values(column.values.floats, distinct.tolist(), counts.tolist())


def _without_non_finite(column: ColumnSummary, block: Floats, *, hash_as_text: bool) -> Floats:
    """Return the finite values of a block, the others counted."""
    with np.errstate(over="ignore", invalid="ignore"):
        if np.isfinite(block.sum()):
            return block
    finite = np.isfinite(block)
    missing = int(np.count_nonzero(np.isnan(block)))
    column.cells[CellKind.MISSING] += missing
    column.cells[CellKind.NON_FINITE] += block.size - int(np.count_nonzero(finite)) - missing
    infinities = np.unique(block[np.isinf(block)])
    hash_words_or_bits = hash_words if hash_as_text else hash_bits
    column.distinct.add_hashes(hash_words_or_bits(float_bits(infinities)))
    return block[finite]


def _present(array: pa.Array) -> npt.NDArray[Any]:
    """Return the values of the cells that are not null, as int64, uint64 or float64."""
    validity, data = array.buffers()
    dtype = np.dtype(array.type.to_pandas_dtype())
    wide = dtype if dtype.itemsize == _WORD_BYTES else np.dtype(np.float64 if dtype.kind == "f" else np.int64)
    if data is None or array.null_count == len(array):
        return np.empty(0, dtype=wide)
    values = np.frombuffer(data, dtype=dtype)[array.offset : array.offset + len(array)]
    if array.null_count:
        # Only the bytes of this array: it may be a slice of many.
        first, last = array.offset // 8, (array.offset + len(array) + 7) // 8
        bits = np.unpackbits(np.frombuffer(validity, dtype=np.uint8)[first:last], bitorder="little")
        values = values[bits[array.offset % 8 :][: len(array)].view(np.bool_)]
    return values.astype(wide, copy=False)


def _integer_bits(values: Integers) -> Hashes:
    """Return patterns to hash: those of equal floats, or of the integers where float64 is too coarse."""
    exact = (values >= -_EXACT_INTEGERS) & (values <= _EXACT_INTEGERS)
    return np.where(exact, float_bits(values.astype(np.float64)), values.view(np.uint64))


def _count_integers(values: Integers, low: int, high: int, limit: int) -> tuple[Integers, Counts] | None:
    """Return the distinct values and how often each occurs, None when there are more than `limit`."""
    if high - low >= max(limit, values.size):
        return _count_distinct(values, limit)
    first = values.dtype.type(low)
    occurrences = np.bincount((values - first).astype(np.intp, copy=False))
    places = np.flatnonzero(occurrences)
    if places.size > limit:
        return None
    return places.astype(values.dtype) + first, occurrences[places]


def _count_distinct(values: npt.NDArray[Any], limit: int) -> tuple[npt.NDArray[Any], Counts] | None:
    if values.size > 2 * _PROBE and _at_least_distinct(values[:_PROBE]) > limit:
        return None
    table = pc.value_counts(pa.array(values))
    if len(table) > limit:
        return None
    return table.field("values").to_numpy(), table.field("counts").to_numpy()


def _at_least_distinct(values: npt.NDArray[Any]) -> int:
    """Return how many values differ for sure, close to how many do, quicker than by sorting."""
    if values.dtype.kind == "f":
        values = values[~np.isnan(values)] + 0.0  # equal values have equal bits then
    seen = np.zeros(1 << _PROBE_BITS, np.bool_)
    seen[(values.view(np.uint64) * _PROBE_MULTIPLIER) >> np.uint64(64 - _PROBE_BITS)] = True
    return int(np.count_nonzero(seen))
