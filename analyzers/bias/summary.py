"""The summary of bias analyses: tables of counts over the values of facet, label, prediction and stratum.

One pass, bounded memory. What the values mean (which label is positive, which rows form the group) is decided
when all rows are known, since Clarify's rules look at the whole column.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import NamedTuple, Self

import numpy as np
import pyarrow as pa
import xxhash

from analyzers.bias import column_summary
from analyzers.bias.column_summary import ColumnPlan, ColumnSummary
from analyzers.shared import cells, row_sample
from analyzers.shared.row_sample import cluster_hashes
from analyzers.shared.rules import Rules

ALL_PRE = ("CDDL", "CI", "DPL", "JS", "KL", "KS", "LP", "TVD")
ALL_POST = ("AD", "CDDPL", "DAR", "DCA", "DCR", "DI", "DPPL", "DRR", "FT", "GE", "RD", "SD", "TE")


class FacetRequest(NamedTuple):
    """One way to tell groups apart.

    Parameters
    ----------
    columns
        Names of the columns; several form the intersection of their groups.
    values
        What selects the sensitive rows (facet d). For one column: the values, any of which selects, or a
        threshold. For several columns: tuples with one value per column, any of which selects. Empty:
        every distinct value, or every combination seen, in turn.
    """

    columns: tuple[str, ...]
    values: tuple[cells.Value, ...] | tuple[tuple[cells.Value, ...], ...] = ()


@dataclass(frozen=True)
class BiasRequest:
    """Everything a bias analysis needs to know of the data, by names of columns.

    Parameters
    ----------
    label
        Column of observed labels.
    label_values
        The positive labels, or a threshold above which a label is positive.
    facets
        The groups to compare with the rest.
    group_variable
        Column of the strata of CDDL and CDDPL.
    predicted_label
        Column of predictions, read as labels are.
    probability
        Column of scores, used when there is no `predicted_label`.
    probability_threshold
        A score above it, exclusive, is a positive prediction.
    pre_training, post_training
        Names of the metrics asked for; None when the stage is not asked for. Post-training metrics need
        `predicted_label` or `probability`.
    label_name
        The label's name in ``analysis.json``; that of its column when empty.
    features
        The columns that make rows neighbours in the flip test; None takes all but the facet, the label and
        the prediction.
    cluster_by
        Columns that tell which rows belong together.
    """

    label: str
    label_values: tuple[cells.Value, ...]
    facets: tuple[FacetRequest, ...]
    group_variable: str | None = None
    predicted_label: str | None = None
    probability: str | None = None
    probability_threshold: float = 0.5
    pre_training: tuple[str, ...] | None = ALL_PRE
    post_training: tuple[str, ...] | None = ALL_POST
    label_name: str = ""
    features: tuple[str, ...] | None = None
    cluster_by: tuple[str, ...] = ()


# Cells and rows kept at most: 64 MB, and a search for neighbours of a minute or so.
MOST_CELLS = 1 << 23
MOST_ROWS = 1_000_000

# Begins the names of columns of places, since a facet may be a feature as well.
_PLACE = "\0"


@dataclass
class RowSample(row_sample.RowSample):
    """Rows in order, for the flip test and their dependence: features, and places of facets and prediction.

    `not_numeric` names features that hold text; their values are NaN.
    """

    names: tuple[str, ...] | None = None
    not_numeric: frozenset[str] = frozenset()
    seed: int | None = None

    def take_in(self, batch: pa.RecordBatch, places: Mapping[str, cells.Codes], plan: "SummaryPlan") -> None:
        """Add the rows of a batch."""
        request = plan.request
        if self.names is None:
            known = batch.schema.names if request.features is None else request.features
            left_out = (request.label, request.predicted_label, request.probability, *request.cluster_by)
            names = dict.fromkeys(name for name in known if name not in left_out)
            self.names = tuple(names) if plan.asks_for_flips else ()
        if self.seed is None:
            # Splits differ in their first rows, so that their rows get different priorities.
            head = repr((plan.seed, batch.num_rows, batch.slice(0, 64).to_pylist())).encode()
            self.seed = xxhash.xxh3_64_intdigest(head)
        columns = {name: pa.array(self._feature(batch, name, plan).copy()) for name in self.names}
        for name in plan.sampled:
            columns[f"{_PLACE}{name}"] = pa.array(places[name].astype(np.int32))
        rows, clusters = pa.RecordBatch.from_pydict(columns), cluster_hashes(batch, request.cluster_by)
        self.add(rows, self.seed, self.rows_seen, is_new=True, clusters=clusters)

    def _feature(self, batch: pa.RecordBatch, name: str, plan: "SummaryPlan") -> cells.Floats:
        if name in batch.schema.names and name not in self.not_numeric:
            numbers = cells.read_numbers(batch.column(name))
            is_text = cells.is_textual(batch.column(name).type)
            if not numbers.unusable and (plan.rules == "sound" or not is_text):
                return numbers.values
            self.not_numeric |= {name}
        return np.full(batch.num_rows, np.nan)

    def merge(self, other: Self) -> None:
        """Append the rows of the splits that follow; their places must have the same meaning."""
        self.names = tuple(dict.fromkeys((*(self.names or ()), *(other.names or ())))) or None
        self.not_numeric |= other.not_numeric
        super().merge(other)

    def moved(self, moves: Mapping[str, cells.Codes]) -> Self:
        """Return the same rows with new numbers for the places of some columns."""

        def renumbered(rows: pa.RecordBatch) -> pa.RecordBatch:
            for name, moved in moves.items():
                if (place := rows.schema.get_field_index(f"{_PLACE}{name}")) >= 0:
                    codes = moved[rows.column(place).to_numpy()].astype(np.int32)
                    rows = rows.set_column(place, f"{_PLACE}{name}", pa.array(codes))
            return rows

        return replace(self, chunks=[replace(chunk, rows=renumbered(chunk.rows)) for chunk in self.chunks])

    def matrix(self, kept: cells.Flags | slice = slice(None)) -> cells.Floats:
        """Return the features, or those `kept`, shape (rows, features)."""
        columns, names = self.columns(), np.array(self.names or (), dtype=object)[kept]
        found = [np.concatenate([cells.floats(part) for part in columns[name]]) for name in names]
        return np.column_stack(found) if found else np.empty((self.rows, 0))

    def places_of(self, column: str) -> cells.Codes:
        """Return the places of a column, shape (rows,)."""
        parts = self.columns().get(f"{_PLACE}{column}", [])
        return np.concatenate([part.to_numpy() for part in parts] or [np.empty(0)]).astype(np.int64)

    def _most_rows(self) -> int:
        return min(MOST_ROWS, MOST_CELLS // len(self.names)) if self.names else super()._most_rows()


# Distinct values kept of a label or prediction, of a facet, of a group variable.
MOST_LABELS = 64
MOST_FACET_VALUES = 1_000
MOST_STRATA = 5_000
# Coded of one table: 32 MB.
MOST_TABLE_CELLS = 1 << 22

# Metadata of a field whose column was a category in pandas.
CATEGORICAL = b"categorical"


@dataclass(frozen=True)
class SummaryPlan:
    """What to keep for a request, and how columns are read.

    Parameters
    ----------
    request
        What is asked.
    rules
        ``sound`` or ``sagemaker``.
    seed
        Of the intervals, and of samples for the flip test.
    known_thresholds
        For facets and the label, by name, whether a single number is a threshold, where that is known from
        elsewhere: a window is read as its baseline was.
    """

    request: BiasRequest
    rules: Rules
    seed: int = 0
    known_thresholds: Mapping[str, bool] = field(default_factory=dict)

    @property
    def prediction(self) -> str | None:
        """Return the column of predictions or scores."""
        return self.request.predicted_label or self.request.probability

    @cached_property
    def columns(self) -> dict[str, ColumnPlan]:
        """Return how each column that plays a part is kept."""
        request = self.request
        listed: dict[str, list[cells.Value]] = {request.label: list(request.label_values)}
        most = {request.label: MOST_LABELS}
        for facet in request.facets:
            for place, column in enumerate(facet.columns):
                values = [value[place] if isinstance(value, tuple) else value for value in facet.values]
                listed.setdefault(column, []).extend(values)
                most[column] = max(most.get(column, 0), MOST_FACET_VALUES)
        if request.group_variable is not None:
            most[request.group_variable] = max(most.get(request.group_variable, 0), MOST_STRATA)
        if self.prediction is not None:
            listed.setdefault(self.prediction, []).extend(request.label_values)
            most[self.prediction] = max(most.get(self.prediction, 0), MOST_LABELS)
        return {name: self._column(name, listed.get(name, []), size) for name, size in most.items()}

    def _column(self, name: str, listed: list[cells.Value], most_values: int) -> ColumnPlan:
        is_score = name == self.request.probability and self.request.predicted_label is None
        numbers = [number for value in listed if (number := cells.as_number(value)) is not None]
        # Clarify casts listed values to the column's type: 1.5 may come to mean 1.
        casts = [str(int(number)) for number in numbers if np.isfinite(number)]
        unlisted = any(name in facet.columns and not facet.values for facet in self.request.facets)
        return ColumnPlan(
            name=name,
            most_values=most_values,
            listed=frozenset((*(cells.label_of(value) for value in listed), *casts)),
            thresholds=tuple(dict.fromkeys(numbers)),
            count_distinct=self.rules == "sagemaker" or unlisted,
            cut=self.request.probability_threshold if is_score else None,
            finite=self.rules == "sound" and name in (self.request.label, self.prediction),
        )

    @cached_property
    def axes(self) -> tuple[tuple[str, ...], ...]:
        """Return the columns that span the table of each facet, those that all tables share first."""
        shared = (self.request.label, self.prediction, self.request.group_variable)
        names = tuple(name for name in shared if name is not None)
        return tuple(tuple(dict.fromkeys((*names, *facet.columns))) for facet in self.request.facets)

    @property
    def asks_for_flips(self) -> bool:
        """Return whether the flip test is asked for."""
        return self.prediction is not None and "FT" in (self.request.post_training or ())

    @cached_property
    def sampled(self) -> tuple[str, ...]:
        """Return the columns whose places are kept row by row; none where counts are all that is needed."""
        if self.rules == "sagemaker" and not self.asks_for_flips:
            return ()
        facets = [column for facet in self.request.facets for column in facet.columns]
        return tuple(dict.fromkeys((*facets, self.request.label, *filter(None, [self.prediction]))))


@dataclass
class BiasSummary:
    """What is kept of the rows.

    Parameters
    ----------
    rows
        How many there were.
    names
        Columns of the data, in order of appearance.
    columns
        By name, those that play a part.
    tables
        For each facet of the request, rows by the places of its axes; empty before the first row.
    sample
        Rows in order, for the flip test and for how they depend on each other.
    """

    rows: int = 0
    names: tuple[str, ...] = ()
    columns: dict[str, ColumnSummary] = field(default_factory=dict)
    tables: list[cells.Floats] = field(default_factory=list)
    sample: RowSample | None = None


def summarize(batches: Iterable[pa.RecordBatch], plan: SummaryPlan) -> BiasSummary:
    """Summarize record batches in order."""
    tables = [np.zeros((1,) * len(axes)) for axes in plan.axes]
    summary = BiasSummary(columns={name: ColumnSummary() for name in plan.columns}, tables=tables)
    summary.sample = RowSample() if plan.sampled else None
    buffers: _Buffers = {}
    for batch in batches:
        if batch.num_rows:
            _add(summary, batch, plan, buffers)
    return summary


# Arrays of codes by use, which every batch takes again: fresh memory costs more than the work in it.
_Buffers = dict[tuple[str, ...], cells.Codes]


def _buffer(buffers: _Buffers, use: tuple[str, ...], size: int) -> cells.Codes:
    """Return the array for a use, `size` long, with whatever it held before."""
    if use not in buffers or buffers[use].size < size:
        buffers[use] = np.empty(size, dtype=np.int64)
    return buffers[use][:size]


def _add(summary: BiasSummary, batch: pa.RecordBatch, plan: SummaryPlan, buffers: _Buffers) -> None:
    summary.names = tuple(dict.fromkeys((*summary.names, *batch.schema.names)))

    def read(name: str) -> cells.Coded:
        array = batch.column(name) if name in batch.schema.names else None
        out = _buffer(buffers, (name,), batch.num_rows)
        return column_summary.read(summary.columns[name], array, out, plan.columns[name])

    coded = {name: read(name) for name in plan.columns}
    for each in batch.schema:
        # Clarify's rules never take pandas categories for continuous.
        if each.name in summary.columns and (each.metadata or {}).get(CATEGORICAL) == b"true":
            summary.columns[each.name].kinds.add("category")
    tables = _count(coded, plan, buffers)
    lookups: dict[str, cells.Codes] = {}
    for name, column in plan.columns.items():
        rows = _rows_by_code(name, coded[name], tables, plan)
        lookup = column_summary.register(summary.columns[name], coded[name], rows, column)
        if lookup is None:
            _move(summary, name, column_summary.collapse(summary.columns[name], column), plan)
            coded[name] = read(name)
            lookup = np.arange(coded[name].size)
            tables = _count(coded, plan, buffers)
        lookups[name] = lookup
        summary.columns[name].rows += batch.num_rows
        summary.columns[name].missing += int(rows[0])
    for index, table in enumerate(tables):
        _add_cells(summary, index, table, lookups, plan)
    summary.rows += batch.num_rows
    if summary.sample is not None:
        places = {name: lookups[name][coded[name].codes] for name in plan.sampled}
        summary.sample.take_in(batch, places, plan)


# Occupied cells of a batch: for each axis its codes, and the rows.
type _Counted = tuple[tuple[cells.Codes, ...], cells.Codes]


def _count(coded: dict[str, cells.Coded], plan: SummaryPlan, buffers: _Buffers) -> list[_Counted]:
    """Return the occupied cells of every table; keys over the same columns are computed once."""
    known: dict[tuple[str, ...], cells.Codes] = {}
    tables = []
    for axes in plan.axes:
        sizes = [coded[name].size for name in axes]
        key = coded[axes[0]].codes
        for depth in range(2, len(axes) + 1):
            names = axes[:depth]
            if names not in known:
                known[names] = np.multiply(key, sizes[depth - 1], out=_buffer(buffers, names, key.size))
                known[names] += coded[names[-1]].codes
            key = known[names]
        if np.prod(sizes, dtype=float) <= 4 * key.size + 1024:
            dense = np.bincount(key)
            occupied = np.flatnonzero(dense)
            rows = dense[occupied]
        else:
            occupied, rows = np.unique(key, return_counts=True)
        tables.append((tuple(np.unravel_index(occupied, sizes)), rows))
    return tables


def _rows_by_code(name: str, coded: cells.Coded, tables: list[_Counted], plan: SummaryPlan) -> cells.Codes:
    """Return how many rows have each code of a column."""
    for axes, (codes, rows) in zip(plan.axes, tables, strict=True):
        if name in axes:
            return np.bincount(codes[axes.index(name)], weights=rows).astype(np.int64)
    return np.bincount(coded.codes)


def _add_cells(
    summary: BiasSummary, index: int, counted: _Counted, lookups: dict[str, cells.Codes], plan: SummaryPlan
) -> None:
    """Add the cells of a batch to a facet's table."""
    axes = plan.axes[index]
    has_shrunk = False
    for name, moved in _shrink(summary.columns, axes, plan):
        _move(summary, name, moved, plan)
        lookups[name] = moved[lookups[name]]
        has_shrunk = True
    table = summary.tables[index]
    shape = tuple(len(summary.columns[name].values) + 1 for name in axes)
    if table.shape != shape:
        grown = np.zeros(shape)
        grown[tuple(slice(size) for size in table.shape)] = table
        table = summary.tables[index] = grown
    codes, rows = counted
    places = tuple(lookups[name][each] for name, each in zip(axes, codes, strict=True))
    if has_shrunk:
        np.add.at(table, places, rows)
    else:
        table[places] += rows  # quicker, and right since no two codes have the same place


def _shrink(
    columns: dict[str, ColumnSummary], axes: tuple[str, ...], plan: SummaryPlan
) -> Iterator[tuple[str, cells.Codes]]:
    """Collapse the column with most values until a table is no larger than tables may be.

    Yields the columns with their new places.
    """
    while np.prod([len(columns[name].values) + 1.0 for name in axes]) > MOST_TABLE_CELLS:
        can_collapse = [name for name in axes if not columns[name].collapsed]
        if not can_collapse:
            return
        name = max(can_collapse, key=lambda name: len(columns[name].values))
        yield name, column_summary.collapse(columns[name], plan.columns[name])


def _move(summary: BiasSummary, name: str, moved: cells.Codes, plan: SummaryPlan) -> None:
    """Give the places of a column new numbers in all tables."""
    for index, axes in enumerate(plan.axes):
        if name in axes:
            # A table may not have grown to the newest places yet; what it has not counted needs no new place.
            size = int(moved.max()) + 1
            summary.tables[index] = _moved(summary.tables[index], axes.index(name), moved, size)
    if summary.sample is not None:
        summary.sample = summary.sample.moved({name: moved})


def _moved(table: cells.Floats, axis: int, moved: cells.Codes, size: int) -> cells.Floats:
    before = np.moveaxis(table, axis, 0)
    after = np.zeros((size, *before.shape[1:]))
    np.add.at(after, moved[: before.shape[0]], before)
    return np.moveaxis(after, 0, axis)


def merge(left: BiasSummary, right: BiasSummary, plan: SummaryPlan) -> BiasSummary:
    """Combine the summaries of earlier and of later rows; associative."""
    if not right.rows:
        return left
    if not left.rows:
        return right
    columns: dict[str, ColumnSummary] = {}
    moves: dict[str, list[cells.Codes]] = {}
    for name, column in plan.columns.items():
        columns[name], *moves[name] = column_summary.merge(left.columns[name], right.columns[name], column)
    for axes in plan.axes:
        for name, moved in _shrink(columns, axes, plan):
            moves[name] = [moved[places] for places in moves[name]]
    names = tuple(dict.fromkeys((*left.names, *right.names)))
    merged = BiasSummary(rows=left.rows + right.rows, names=names, columns=columns)
    for index, axes in enumerate(plan.axes):
        tables = [left.tables[index], right.tables[index]]
        for side in range(2):
            for axis, name in enumerate(axes):
                size = len(columns[name].values) + 1
                tables[side] = _moved(tables[side], axis, moves[name][side], size)
        merged.tables.append(tables[0] + tables[1])
    if left.sample is not None and right.sample is not None:
        merged.sample = left.sample.moved({name: moved for name, (moved, _) in moves.items()})
        merged.sample.merge(right.sample.moved({name: moved for name, (_, moved) in moves.items()}))
    return merged
