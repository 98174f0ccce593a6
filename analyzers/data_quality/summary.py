"""What is remembered of a dataset: small, mergeable, the same for every split however it was read."""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from analyzers.data_quality.column_summary import ColumnSummary, ValueCounts
from analyzers.data_quality.sketches import hash_bits
from analyzers.data_quality.text import CellKind, TextCells, hash_words, read_texts
from analyzers.shared.cells import Codes as Counts
from analyzers.shared.cells import Floats, Hashes, arrow_of, is_textual
from analyzers.shared.row_sample import Rivals, RowSample, cluster_hashes, seed_of

# Numbers of a record batch into a column summary.
#
# Numbers are counted by value while their values are few; after that a column costs one pass over blocks
# that fit the processor's second-level cache.


_BLOCK = 32_768
_PROBE = 4096  # more than the values a column counts, fewer than a batch
_PROBE_BITS = 16
_PROBE_MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)
_EXACT_INTEGERS = 1 << 53  # beyond, float64 cannot tell neighbours apart
_WORD_BYTES = 8

Integers = npt.NDArray[np.int64] | npt.NDArray[np.uint64]


@dataclass(slots=True)
class Workspace:
    """What passes that take turns share: memory for every block, texts read by column, and how to hash."""

    hash_as_text: bool
    texts: "dict[str, LastRead]" = field(default_factory=dict)
    values: Floats = field(default_factory=lambda: np.empty(_BLOCK))
    scratch: Floats = field(default_factory=lambda: np.empty((2, _BLOCK)))
    flags: npt.NDArray[np.bool_] = field(default_factory=lambda: np.empty(_BLOCK, dtype=np.bool_))

    def hashes(self, numbers: npt.NDArray[Any]) -> Hashes:
        """Return the hashes of integers, or of floats without a negative zero."""
        words = numbers.view(np.uint64)
        if self.hash_as_text:
            return hash_words(words)
        return hash_bits(words if numbers.dtype.kind == "f" else _integer_bits(numbers))


def add_numbers(column: ColumnSummary, array: pa.Array, workspace: Workspace) -> None:
    """Add an Arrow array of numbers of any width; NaN is missing, infinities count as present only."""
    values = _present(array)
    is_whole = values.dtype.kind != "f"
    column.cells[CellKind.MISSING] += len(array) - values.size
    if not values.size:
        return
    if is_whole:
        column.cells[CellKind.INTEGRAL] += values.size
    if column.in_order:
        ordered = values.astype(np.float64) if is_whole else values[np.isfinite(values)]
        column.sketch.update(ordered)
        column.moments.add_in_order(ordered)
    if not column.values.overflowed:
        limit = column.values.limit
        counted = _count_integers(values, limit) if is_whole else _count_distinct(values, limit)
        if counted is not None:
            distinct, counts = counted
            _add_distinct(column, distinct, counts, workspace)
            return
        column.stop_counting()
    exact = not is_whole or (values.min() >= -_EXACT_INTEGERS and values.max() <= _EXACT_INTEGERS)
    for start in range(0, values.size, _BLOCK):
        part = values[start : start + _BLOCK]
        block = workspace.values[: part.size]
        total = None
        if is_whole:
            np.copyto(block, part, casting="unsafe")
        else:
            # Adding zero turns a negative zero into zero, so that both hash alike.
            block, total = _finite(column, np.add(part, 0.0, out=block), workspace)
            whole = np.floor(block, out=workspace.scratch[0, : block.size])
            integral_valued = np.count_nonzero(np.equal(block, whole, out=workspace.flags[: block.size]))
            column.cells[CellKind.INTEGRAL_VALUED] += integral_valued
            column.cells[CellKind.FRACTIONAL] += block.size - integral_valued
        if workspace.hash_as_text:
            column.distinct.add_hashes(hash_words((part if is_whole else block).view(np.uint64)))
        else:
            bits = block.view(np.uint64) if exact else _integer_bits(part)
            column.distinct.add_bits(bits, workspace.scratch.view(np.uint64))
        if not column.in_order:
            column.moments.add(block, workspace.scratch[0], total=total)
            column.sketch.update_unordered(block)


def _add_distinct(
    column: ColumnSummary, distinct: npt.NDArray[Any], counts: Counts, workspace: Workspace
) -> None:
    is_whole = distinct.dtype.kind != "f"
    if not is_whole:
        number = ~np.isnan(distinct)
        column.cells[CellKind.MISSING] += counts[~number].sum()
        distinct, counts = distinct[number] + 0.0, counts[number]
    column.distinct.add_hashes(workspace.hashes(distinct))
    finite = np.isfinite(distinct)
    if not is_whole:
        column.cells[CellKind.NON_FINITE] += counts[distinct == np.inf].sum()
        column.cells[CellKind.NEGATIVE_INFINITE] += counts[distinct == -np.inf].sum()
        integral_valued = finite & (np.floor(distinct) == distinct)
        column.cells[CellKind.INTEGRAL_VALUED] += counts[integral_valued].sum()
        column.cells[CellKind.FRACTIONAL] += counts[finite & ~integral_valued].sum()
    if not column.in_order:
        column.moments.add_weighted(distinct[finite].astype(np.float64), counts[finite])
    table: dict[Any, int] = column.values.integers if is_whole else column.values.floats
    column.count_values(table, distinct.tolist(), counts.tolist())


def _finite(column: ColumnSummary, block: Floats, workspace: Workspace) -> tuple[Floats, float | None]:
    """Return the finite values of a block, the others counted, and their sum where that is known."""
    with np.errstate(over="ignore", invalid="ignore"):
        total = float(block.sum())
    if math.isfinite(total):
        return block, total
    finite = np.isfinite(block)
    column.cells[CellKind.MISSING] += np.count_nonzero(np.isnan(block))
    column.cells[CellKind.NON_FINITE] += np.count_nonzero(block == np.inf)
    column.cells[CellKind.NEGATIVE_INFINITE] += np.count_nonzero(block == -np.inf)
    column.distinct.add_hashes(workspace.hashes(np.unique(block[np.isinf(block)])))
    return block[finite], None


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
    return np.where(exact, values.astype(np.float64).view(np.uint64), values.view(np.uint64))


def _count_integers(values: Integers, limit: int) -> tuple[Integers, Counts] | None:
    """Return the distinct values and how often each occurs, None when there are more than `limit`."""
    low, high = int(values.min()), int(values.max())
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
    table = pc.value_counts(arrow_of(values))
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


# Texts of record batches into a column summary, each distinct text looked at once per dictionary.


@dataclass(slots=True)
class LastRead:
    """The dictionary read last and what its texts are, for whoever meets it again."""

    hash_as_text: bool
    dictionary: pa.Array | None = None
    cells: TextCells | None = None

    def read(self, dictionary: pa.Array) -> TextCells:
        """Return what the texts of a dictionary are."""
        if self.cells is None or not _same(self.dictionary, dictionary):
            self.dictionary, self.cells = dictionary, read_texts(dictionary, hash_as_text=self.hash_as_text)
        return self.cells


class TextRun:
    """Successive batches of one text column whose cells point into the same dictionary.

    Batches only count codes; the dictionary is read when the run ends (`finish`), or at once when numbers
    are wanted in order of arrival.
    """

    def __init__(self, column: ColumnSummary, last_read: LastRead) -> None:
        self._column = column
        self._last_read = last_read
        self._mostly_different = False
        self._dictionary: pa.Array | None = None
        self._counts: Counts = np.empty(0, dtype=np.int64)

    def add(self, array: pa.Array) -> None:
        """Add an Arrow array of texts or of a dictionary of texts."""
        if not pa.types.is_dictionary(array.type):
            if self._mostly_different and self._column.values.overflowed and not self._column.in_order:
                self._add_directly(array)
                return
            array = array.dictionary_encode()
            self._mostly_different = 2 * len(array.dictionary) > len(array)
        if not _same(self._dictionary, array.dictionary):
            self.finish()
            self._dictionary = array.dictionary
            self._counts = np.zeros(len(array.dictionary), dtype=np.int64)
        indices = array.indices.drop_null() if array.indices.null_count else array.indices
        codes = indices.to_numpy()
        self._column.cells[CellKind.MISSING] += len(array) - codes.size
        self._counts += np.bincount(codes, minlength=self._counts.size)
        if self._column.in_order:
            numbers = self._last_read.read(self._dictionary).numbers[codes]
            numbers = numbers[np.isfinite(numbers)]
            self._column.sketch.update(numbers)
            self._column.moments.add_in_order(numbers)

    def finish(self) -> None:
        """Bring what was counted into the summary; the run may go on with another dictionary."""
        used = np.flatnonzero(self._counts)
        if self._dictionary is not None and used.size:
            cells = self._last_read.read(self._dictionary)
            _add_counted(self._column, self._dictionary, cells, used, self._counts[used])
        self._dictionary, self._counts = None, np.empty(0, dtype=np.int64)

    def _add_directly(self, array: pa.Array) -> None:
        """Add texts that are mostly different: a dictionary would cost more than it saves."""
        cells = read_texts(array, hash_as_text=self._last_read.hash_as_text)
        column = self._column
        column.cells += np.bincount(cells.kinds, minlength=len(CellKind))
        column.distinct.add_hashes(cells.hashes[cells.kinds != CellKind.MISSING])
        numbers = cells.numbers[np.isfinite(cells.numbers)]
        column.moments.add(numbers)
        column.sketch.update_unordered(numbers)


def _add_counted(
    column: ColumnSummary, dictionary: pa.Array, cells: TextCells, used: npt.NDArray[np.intp], counts: Counts
) -> None:
    """Add the texts at the places `used` of a dictionary, each as often as `counts` says."""
    kinds = cells.kinds[used]
    column.cells += np.bincount(kinds, weights=counts, minlength=len(CellKind)).astype(np.int64)
    present = kinds != CellKind.MISSING
    used, counts = used[present], counts[present]
    column.distinct.add_hashes(cells.hashes[used])
    numbers = cells.numbers[used]
    numeric = np.isfinite(numbers)
    if not column.in_order:
        column.moments.add_weighted(numbers[numeric], counts[numeric])
    if used.size > column.values.limit:
        column.stop_counting()
    if column.values.overflowed:
        if not column.in_order:
            column.sketch.update_weighted(numbers[numeric], counts[numeric])
        return
    texts = dictionary.take(arrow_of(used)).to_pylist()
    column.count_values(column.values.texts, texts, counts.tolist())


def _same(known: pa.Array | None, dictionary: pa.Array) -> bool:
    if known is None or len(known) != len(dictionary) or known.type != dictionary.type:
        return False
    addresses = [[buffer and buffer.address for buffer in array.buffers()] for array in (known, dictionary)]
    in_place = addresses[0] == addresses[1] and known.offset == dictionary.offset
    return in_place or bool(known.equals(dictionary))


class SummaryOptions(NamedTuple):
    """How to summarize.

    Parameters
    ----------
    text_hash
        Whether distinct counts tell texts apart, as the originals do, so that ``1`` and ``1.0`` are two
        values. Numbers that never were text (Parquet, JSON) are hashed as Spark hashes them then.
    arrival_order
        Whether sketches take numbers one by one in order of arrival, exactly as the originals do for small
        inputs. Otherwise order is given up for speed.
    max_categories
        The most distinct values a feature may have to be listed value by value.
    row_sample
        Whether a sample of rows is kept, which the sound rules need.
    cluster_by
        Columns that tell which rows belong together.
    rivals
        Of the row sample, where all summaries will be merged into one.
    """

    text_hash: bool = False
    arrival_order: bool = True
    max_categories: int = 120
    row_sample: bool = False
    cluster_by: tuple[str, ...] = ()
    rivals: Rivals | None = None


@dataclass(slots=True)
class DatasetSummary:
    """The summary of a dataset; picklable, of a size that depends on the columns only.

    Attributes
    ----------
    row_count
        How many rows were read.
    columns
        By name, in the order first seen. Rows of batches without a column count as missing there.
    positional
        Whether the columns came without names of their own.
    sample
        Rows in order of arrival.
    """

    row_count: int = 0
    columns: dict[str, ColumnSummary] = field(default_factory=dict)
    positional: bool = False
    sample: RowSample = field(default_factory=RowSample)


def summarize(batches: Iterable[pa.RecordBatch], options: SummaryOptions) -> DatasetSummary:
    """Summarize record batches in order, in memory that does not grow with the rows.

    Raises
    ------
    TypeError
        When a column has a type no reader hands on.
    """
    summarizer = begin_passes(options)()
    for batch in batches:
        summarizer.add(batch)
        del batch  # while the next one is read
    return summarizer.finish()


def begin_passes(options: SummaryOptions) -> "Callable[[], Summarizer]":
    """Return what begins a pass; the passes over parts of the same rows do together what they can."""
    workspace = Workspace(options.text_hash)
    return lambda: Summarizer(options, workspace)


def merge(left: DatasetSummary, right: DatasetSummary) -> DatasetSummary:
    """Combine two summaries; associative but for the choice of sketch items. Reuses the memory of `left`."""
    for name, column in right.columns.items():
        if name not in left.columns:
            absent = ColumnSummary(column.in_order, ValueCounts(column.values.limit))
            absent.cells[CellKind.MISSING] = left.row_count
            left.columns[name] = absent
        left.columns[name].merge(column)
    for name, column in left.columns.items():
        if name not in right.columns:
            column.cells[CellKind.MISSING] += right.row_count
    left.row_count += right.row_count
    left.sample.merge(right.sample)
    left.positional = left.positional or right.positional
    return left


class Summarizer:
    """What one pass over a split needs beyond its summary."""

    def __init__(self, options: SummaryOptions, workspace: Workspace) -> None:
        self._options = options
        self._summary = DatasetSummary()
        self._rows_with: dict[str, int] = {}
        self._runs: dict[str, TextRun] = {}
        self._workspace = workspace
        self._seed: int | None = None

    def add(self, batch: pa.RecordBatch) -> None:
        """Take in the next rows."""
        for name, array in zip(batch.schema.names, batch.columns, strict=True):
            if name not in self._summary.columns:
                # Twice what is listed is counted, as estimates decide what is.
                counts = ValueCounts(2 * self._options.max_categories)
                self._summary.columns[name] = ColumnSummary(self._options.arrival_order, counts)
                self._rows_with[name] = 0
            self._add_cells(name, array)
            self._rows_with[name] += batch.num_rows
        if self._options.row_sample and batch.num_rows:
            if self._seed is None:
                self._seed = seed_of(batch)
            clusters = cluster_hashes(batch, self._options.cluster_by)
            sample, first_row = self._summary.sample, self._summary.row_count
            sample.add(batch, self._seed, first_row, clusters=clusters, rivals=self._options.rivals)
        self._summary.row_count += batch.num_rows
        self._summary.positional |= (batch.schema.metadata or {}).get(b"positional") == b"true"

    def finish(self) -> DatasetSummary:
        """Return the summary of all rows; the pass ends with it."""
        for run in self._runs.values():
            run.finish()
        for name, column in self._summary.columns.items():
            column.cells[CellKind.MISSING] += self._summary.row_count - self._rows_with[name]
        return self._summary

    def _add_cells(self, name: str, array: pa.Array) -> None:
        column, kind = self._summary.columns[name], array.type
        if pa.types.is_floating(kind) or pa.types.is_integer(kind):
            add_numbers(column, array, self._workspace)
        elif is_textual(kind):
            if name not in self._runs:
                last_read = self._workspace.texts.setdefault(name, LastRead(self._options.text_hash))
                self._runs[name] = TextRun(column, last_read)
            self._runs[name].add(array)
        elif pa.types.is_boolean(kind):
            _add_booleans(column, array)
        elif pa.types.is_timestamp(kind):
            _add_dates(column, array)
        elif pa.types.is_null(kind):
            column.cells[CellKind.MISSING] += len(array)
        else:
            raise TypeError(f"column {name!r} has the Arrow type {kind}, which no reader should hand on")


def _add_dates(column: ColumnSummary, array: pa.Array) -> None:
    """Add instants: their extremes are kept, and how many there are; never the list of them."""
    column.cells[CellKind.MISSING] += array.null_count
    present = array.drop_null() if array.null_count else array
    if len(present):
        column.cells[CellKind.DATE] += len(present)
        instants = present.cast(pa.int64()).to_numpy().astype(np.float64)
        column.moments.add(instants)
        column.distinct.add_hashes(hash_bits(np.unique(instants).view(np.uint64)))
        column.stop_counting()


def _add_booleans(column: ColumnSummary, array: pa.Array) -> None:
    column.cells[CellKind.MISSING] += array.null_count
    counts = {"false": array.false_count, "true": array.true_count}
    counts = {text: count for text, count in counts.items() if count}
    column.cells[CellKind.BOOLEAN] += sum(counts.values())
    column.distinct.add_hashes(read_texts(pa.array(list(counts), pa.string()), hash_as_text=True).hashes)
    column.count_values(column.values.texts, counts, counts.values())
