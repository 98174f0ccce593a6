"""What is remembered of a dataset: small, mergeable, the same for every split however it was read."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import pyarrow as pa

from analyzers.data_quality.column_summary import ColumnSummary, ValueCounts
from analyzers.data_quality.numeric import Workspace, add_floats, add_integers
from analyzers.data_quality.text import CellKind, read_texts
from analyzers.data_quality.textual import LastRead, TextRun


@dataclass(frozen=True, slots=True)
class SummaryOptions:
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
    """

    text_hash: bool = False
    arrival_order: bool = True
    max_categories: int = 120

    @property
    def counted_values(self) -> int:
        """Return how many values are counted: twice what is listed, as estimates decide what is."""
        return 2 * self.max_categories


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
    """

    row_count: int = 0
    columns: dict[str, ColumnSummary] = field(default_factory=dict)
    positional: bool = False


def empty_summary() -> DatasetSummary:
    """Return the identity of `merge`."""
    return DatasetSummary()


def summarize(batches: Iterable[pa.RecordBatch], options: SummaryOptions) -> DatasetSummary:
    """Summarize record batches in order, in memory that does not grow with the rows.

    Raises
    ------
    TypeError
        When a column has a type no reader hands on.
    """
    summarizer = Summarizer(options, Shared())
    for batch in batches:
        summarizer.add(batch)
    return summarizer.finish()


def begin_passes(options: SummaryOptions) -> Callable[[], Summarizer]:
    """Return what begins a pass; the passes over parts of the same rows do together what they can."""
    shared = Shared()
    return lambda: Summarizer(options, shared)


def merge(left: DatasetSummary, right: DatasetSummary) -> DatasetSummary:
    """Combine two summaries; associative but for the choice of sketch items. Reuses the memory of `left`."""
    for name, column in right.columns.items():
        if name not in left.columns:
            left.columns[name] = _absent_column(column, left.row_count)
        left.columns[name].merge(column)
    for name, column in left.columns.items():
        if name not in right.columns:
            column.cells[CellKind.MISSING] += right.row_count
    left.row_count += right.row_count
    left.positional = left.positional or right.positional
    return left


def _absent_column(like: ColumnSummary, rows: int) -> ColumnSummary:
    column = ColumnSummary(like.in_order, ValueCounts(like.values.limit))
    column.cells[CellKind.MISSING] = rows
    return column


@dataclass(slots=True)
class Shared:
    """What passes that take turns may share: memory to work in, and texts by column."""

    workspace: Workspace = field(default_factory=Workspace)
    texts: dict[str, LastRead] = field(default_factory=dict)


class Summarizer:
    """What one pass over a split needs beyond its summary."""

    def __init__(self, options: SummaryOptions, shared: Shared) -> None:
        self._options = options
        self._summary = DatasetSummary()
        self._rows_with: dict[str, int] = {}
        self._runs: dict[str, TextRun] = {}
        self._shared = shared

    def add(self, batch: pa.RecordBatch) -> None:
        """Take in the next rows."""
        for name, array in zip(batch.schema.names, batch.columns, strict=True):
            if name not in self._summary.columns:
                self._summary.columns[name] = ColumnSummary(
                    self._options.arrival_order, ValueCounts(self._options.counted_values)
                )
                self._rows_with[name] = 0
            self._add_cells(name, array)
            self._rows_with[name] += batch.num_rows
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
        if pa.types.is_floating(kind):
            add_floats(column, array, self._shared.workspace, hash_as_text=self._options.text_hash)
        elif pa.types.is_integer(kind):
            add_integers(column, array, self._shared.workspace, hash_as_text=self._options.text_hash)
        elif _is_text(kind) or (pa.types.is_dictionary(kind) and _is_text(kind.value_type)):
            if name not in self._runs:
                last_read = self._shared.texts.setdefault(name, LastRead())
                self._runs[name] = TextRun(column, last_read, hash_as_text=self._options.text_hash)
            self._runs[name].add(array)
        elif pa.types.is_boolean(kind):
            _add_booleans(column, array)
        elif pa.types.is_null(kind):
            column.cells[CellKind.MISSING] += len(array)
        else:
            raise TypeError(f"column {name!r} has the Arrow type {kind}, which no reader should hand on")


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def _add_booleans(column: ColumnSummary, array: pa.Array) -> None:
    column.cells[CellKind.MISSING] += array.null_count
    counts = {"false": array.false_count, "true": array.true_count}
    counts = {text: count for text, count in counts.items() if count}
    column.cells[CellKind.BOOLEAN] += sum(counts.values())
    column.distinct.add_hashes(read_texts(pa.array(list(counts), pa.string()), hash_as_text=True).hashes)
    column.count_values(column.values.texts, counts, counts.values())
