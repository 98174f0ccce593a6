"""The summary of bias analyses: tables of counts over the values of facet, label, prediction and stratum.

One pass, bounded memory. What the values mean (which label is positive, which rows form the group) is decided
when all rows are known, since Clarify's rules look at the whole column.
"""

import copy
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Literal, NamedTuple, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import xxhash

from analyzers.shared import cells, row_sample
from analyzers.shared.cells import Coded, Codes, Flags, Floats, Hashes, Value, as_number
from analyzers.shared.row_sample import cluster_hashes
from analyzers.shared.rules import Rules

# What is kept of a column: its distinct values while they are few, else only what the rules tell apart.


Kind = Literal["bool", "integer", "float", "text", "category"]


class Placed(Coded):
    """A collapsed column: its codes are the places of its cells."""


# Which kind of cell a value is.
_KINDS: dict[type, Kind] = {bool: "bool", int: "integer", float: "float", str: "text"}


@dataclass
class Extent:
    """What all values of a column have in common.

    Parameters
    ----------
    least, greatest
        Of those that are numbers, text included; infinite when there are none.
    is_integral
        Whether all numbers are whole.
    has_words
        Whether there is text that is no number.
    is_castable
        Whether all values are whole numbers as Python reads them, text included.
    """

    least: float = math.inf
    greatest: float = -math.inf
    is_integral: bool = True
    has_words: bool = False
    is_castable: bool = True

    def add(self, values: Iterable[Value]) -> None:
        """Take values in."""
        for value in values:
            number = as_number(value)
            if number is None or math.isnan(number):
                self.has_words, self.is_castable = True, False
                continue
            self.add_numbers(number, number, number.is_integer())
            self.is_castable = self.is_castable and _is_whole(value)

    def add_numbers(self, least: float, greatest: float, is_integral: bool) -> None:
        """Take a range of numbers in."""
        self.least, self.greatest = min(self.least, least), max(self.greatest, greatest)
        self.is_integral = self.is_integral and is_integral

    def join(self, other: "Extent") -> None:
        """Take the values of another in."""
        self.add_numbers(other.least, other.greatest, other.is_integral)
        self.has_words |= other.has_words
        self.is_castable &= other.is_castable


def _is_whole(value: Value) -> bool:
    try:
        int(value)
    except (ValueError, OverflowError):
        return False
    return True


# Distinct values counted exactly when a column has too many to keep.
MOST_COUNTED = 1_000_000


class Distinct:
    """Distinct values counted by their hashes, exactly up to `MOST_COUNTED`."""

    def __init__(self) -> None:
        self._chunks: list[Hashes] = []
        self.is_more = False

    def add(self, hashes: Hashes) -> None:
        """Add values by their hashes."""
        if not self.is_more:
            self._chunks.append(np.unique(hashes))
            if sum(chunk.size for chunk in self._chunks[1:]) > MOST_COUNTED // 2:
                self.count()

    def add_all(self, other: "Distinct") -> None:
        """Add the values of another."""
        self.is_more = self.is_more or other.is_more
        for chunk in other._chunks:
            self.add(chunk)

    def count(self) -> int:
        """Return the number of distinct values, `MOST_COUNTED` + 1 for any number beyond it."""
        self._chunks = [np.unique(np.concatenate(self._chunks))] if self._chunks else []
        known = sum(chunk.size for chunk in self._chunks)
        if known > MOST_COUNTED:
            self.is_more, self._chunks = True, []
        return MOST_COUNTED + 1 if self.is_more else known


def hash_numbers(numbers: Floats) -> Hashes:
    """Return the bits of numbers, so that equal numbers are one value whatever type they had."""
    return np.unique(numbers + 0.0).view(np.uint64)  # adding zero makes -0.0 and 0.0 the same


class Beyond(NamedTuple):
    """Stands for all values that no rule tells apart: neither listed, nor on different sides of a threshold.

    `above` says for each threshold whether the values lie above it, `truncated_above` whether they do once
    cut to whole numbers, as Clarify compares fractional predictions with integer labels.
    """

    is_text: bool
    above: tuple[bool, ...]
    truncated_above: tuple[bool, ...]


Kept = Value | Beyond

_ROUNDING = 1e-6  # by how much a probability may lie outside of 0 to 1


class ColumnPlan(NamedTuple):
    """How a column is to be kept.

    Parameters
    ----------
    name
        Of the column.
    most_values
        Distinct values kept; with more, values are told apart only by `listed` and `thresholds`.
    listed
        Values that the request may mean, normalised.
    thresholds
        That the request may compare with.
    count_distinct
        Whether to go on counting distinct values when they are too many to keep.
    cut
        For scores: cells become 1 above this, 0 at or below.
    finite
        Whether infinite numbers count as missing.
    """

    name: str
    most_values: int
    listed: frozenset[str] = frozenset()
    thresholds: tuple[float, ...] = ()
    count_distinct: bool = False
    cut: float | None = None
    finite: bool = False


@dataclass
class ColumnSummary:
    """What is kept of one column; place i + 1 stands for ``values[i]``, place 0 for missing cells.

    Values are in the order of their first cell. `first` is the first cell of all, None when it is missing;
    `missing_after` says how many values come before the first missing cell. `unusable` counts cells that
    should be finite numbers and are not. Of scores, `outside` counts those that are no probabilities.
    """

    values: list[Kept] = field(default_factory=list)
    places: dict[tuple[bool, Kept], int] = field(default_factory=dict)
    collapsed: bool = False
    rows: int = 0
    missing: int = 0
    unusable: int = 0
    outside: int = 0
    kinds: set[Kind] = field(default_factory=set)
    first: Value | None = None
    missing_after: int | None = None
    collapsed_extent: Extent | None = None
    distinct: Distinct | None = None
    seen: bool = False

    def distinct_count(self) -> int:
        """Return how many distinct values there are; beyond what is counted, a number that is too large."""
        return len(self.values) if self.distinct is None else self.distinct.count()

    def extent(self) -> Extent:
        """Return what all values have in common."""
        if self.collapsed_extent is not None:
            return self.collapsed_extent
        extent = Extent()
        extent.add(value for value in self.values if not isinstance(value, Beyond))
        return extent

    def place(self, value: Kept) -> int:
        """Return the place of a value, a new one when it has none."""
        key = (isinstance(value, str), value)
        place = self.places.get(key)
        if place is None:
            self.values.append(value)
            place = self.places[key] = len(self.values)
        return place


def _read_column(summary: ColumnSummary, array: pa.Array | None, out: Codes, plan: ColumnPlan) -> Coded:
    """Return a column of a batch as codes; a collapsed column takes its cells in.

    Parameters
    ----------
    summary
        Of the rows before.
    array
        The column, None when the batch lacks it.
    out
        Where codes may be written; as long as the batch.
    plan
        How to keep the column.
    """
    if array is None:
        out.fill(0)
        return Coded(out, ())
    summary.seen = True
    if plan.finite and pa.types.is_floating(array.type):
        infinite = pc.is_inf(array)
        summary.unusable += pc.sum(infinite).as_py() or 0
        array = pc.if_else(infinite, None, array)
    if plan.cut is not None:
        numbers = cells.read_numbers(array)
        summary.unusable += numbers.unusable
        beyond = (numbers.values < -_ROUNDING) | (numbers.values > 1.0 + _ROUNDING)
        summary.outside += int(np.count_nonzero(beyond))
        return Coded(np.where(np.isnan(numbers.values), 0, 1 + (numbers.values > plan.cut)), (0, 1))
    if not summary.collapsed:
        return cells.encode(array, out)
    textual = cells.is_textual(array.type)
    places = _add_texts(summary, cells.encode(array), plan) if textual else _add_numbers(summary, array, plan)
    return Placed(places, range(int(places.max(initial=0))))


def _register(summary: ColumnSummary, coded: Coded, rows: Codes, plan: ColumnPlan) -> Codes | None:
    """Give the codes that occur their places.

    Parameters
    ----------
    summary
        Changed in place.
    coded
        The column.
    rows
        How many rows of the batch have each code.
    plan
        How to keep the column.

    Returns
    -------
    The place of every code; None when there are too many values, so that the column has to collapse.
    """
    if isinstance(coded, Placed):
        return np.arange(coded.size)
    values = {code: coded.values[code - 1] for code in (np.flatnonzero(rows[1:]) + 1).tolist()}
    new = [code for code, value in values.items() if (isinstance(value, str), value) not in summary.places]
    before = len(summary.values)
    if before + len(new) > plan.most_values:
        return None
    lookup = np.zeros(coded.size, dtype=np.int64)
    if len(new) > 1:
        rank = {code: place for place, code in enumerate(pa.array(coded.codes).unique().to_pylist())}
        new.sort(key=rank.__getitem__)
    for code in new:
        summary.place(values[code])
    for code, value in values.items():
        summary.kinds.add(_KINDS[type(value)])
        lookup[code] = summary.place(value)
    if summary.rows == 0 and coded.codes.size and coded.codes[0]:
        summary.first = coded.values[int(coded.codes[0]) - 1]
    if rows[0] and summary.missing_after is None:
        earlier = lookup[coded.codes[: int(np.argmax(coded.codes == 0))]]
        summary.missing_after = max(before, int(earlier.max(initial=0)))
    return lookup


def _add_texts(summary: ColumnSummary, coded: Coded, plan: ColumnPlan) -> Codes:
    """Add cells of text to a collapsed column."""
    known = coded.values
    lookup = np.zeros(coded.size, dtype=np.int64)
    occurring = (np.flatnonzero(np.bincount(coded.codes, minlength=coded.size)[1:]) + 1).tolist()
    values = [known[code - 1] for code in occurring]
    for code, value in zip(occurring, values, strict=True):
        summary.kinds.add(_KINDS[type(value)])
        lookup[code] = summary.place(_reduced(value, plan))
    _measure(summary, values)
    if summary.rows == 0 and coded.codes[0]:
        summary.first = known[int(coded.codes[0]) - 1]
    return np.asarray(lookup[coded.codes])


def _add_numbers(summary: ColumnSummary, array: pa.Array, plan: ColumnPlan) -> Codes:
    """Add numbers to a collapsed column, without looking at distinct values."""
    numbers = cells.floats(array)
    present = ~np.isnan(numbers)
    known = numbers[present]
    integer = pa.types.is_integer(array.type)
    if not known.size:
        return np.zeros(numbers.size, dtype=np.int64)
    summary.kinds.add("integer" if integer else "float")
    extent = summary.collapsed_extent = summary.collapsed_extent or Extent()
    extent.add_numbers(float(known.min()), float(known.max()), bool((known == np.floor(known)).all()))
    extent.is_castable = extent.is_castable and bool(np.isfinite(known).all())
    if summary.distinct is not None:
        summary.distinct.add(hash_numbers(known))
    if summary.rows == 0 and present[0]:
        summary.first = int(numbers[0]) if integer else float(numbers[0])
    classes = np.zeros(known.size, dtype=np.int64)
    for threshold in plan.thresholds:
        classes = 4 * classes + 2 * (known > threshold) + (np.trunc(known) > threshold)
    lookup = np.zeros(4 ** len(plan.thresholds), dtype=np.int64)
    for code in np.unique(classes):
        lookup[code] = summary.place(_reduced(float(known[np.argmax(classes == code)]), plan, listed=False))
    places = np.zeros(numbers.size, dtype=np.int64)
    places[present] = lookup[classes]
    for text in sorted(plan.listed):
        value = as_number(text)
        if value is None:
            continue
        equal = numbers == value
        if equal.any():
            places[equal] = summary.place(int(value) if integer else value)
    return places


def _reduced(value: Kept, plan: ColumnPlan, *, listed: bool = True) -> Kept:
    """Return what stands for a value in a collapsed column."""
    if isinstance(value, Beyond) or (listed and cells.label_of(value) in plan.listed):
        return value
    known = as_number(value)
    number = math.nan if known is None else known  # above no threshold
    either = (number, truncated(number))
    sides = (tuple(each > threshold for threshold in plan.thresholds) for each in either)
    return Beyond(isinstance(value, str), *sides)


def truncated(number: float) -> float:
    """Return a number cut to a whole one, where it is finite."""
    return math.trunc(number) if math.isfinite(number) else number


def _measure(summary: ColumnSummary, values: Sequence[Value]) -> None:
    """Take values into the extent of a collapsed column and the count of its distinct values."""
    extent = summary.collapsed_extent = summary.collapsed_extent or Extent()
    extent.add(values)
    if summary.distinct is not None:
        texts = [xxhash.xxh3_64_intdigest(value.encode()) for value in values if isinstance(value, str)]
        summary.distinct.add(np.array(texts, dtype=np.uint64))
        numbers = [float(value) for value in values if not isinstance(value, str)]
        summary.distinct.add(hash_numbers(np.array(numbers, dtype=np.float64)))


def _collapse(summary: ColumnSummary, plan: ColumnPlan) -> Codes:
    """Keep only what the rules tell apart; return the new place of every earlier place."""
    before = summary.values
    if summary.collapsed:
        return np.arange(len(before) + 1)
    summary.collapsed, summary.values, summary.places = True, [], {}
    summary.distinct = Distinct() if plan.count_distinct else None
    _measure(summary, [value for value in before if not isinstance(value, Beyond)])
    return np.array([0, *(summary.place(_reduced(value, plan)) for value in before)], dtype=np.int64)


def _join(left: ColumnSummary, right: ColumnSummary, plan: ColumnPlan) -> tuple[ColumnSummary, Codes, Codes]:
    """Combine the summaries of a column over earlier and over later rows.

    Returns
    -------
    The combined summary, and the new place of every place of the left and of the right one.
    """
    merged, later = copy.deepcopy(left), copy.deepcopy(right)
    of_left, of_right = np.arange(len(left.values) + 1), np.arange(len(right.values) + 1)
    together = len(merged.places.keys() | later.places.keys())
    if merged.collapsed or later.collapsed or together > plan.most_values:
        of_left, of_right = _collapse(merged, plan), _collapse(later, plan)
    if left.rows == 0:
        merged.first = right.first
    later_places = np.array([0, *(merged.place(value) for value in later.values)], dtype=np.int64)
    merged.rows += later.rows
    merged.missing += later.missing
    merged.unusable += later.unusable
    merged.outside += later.outside
    merged.kinds |= later.kinds
    if merged.collapsed_extent is not None and later.collapsed_extent is not None:
        merged.collapsed_extent.join(later.collapsed_extent)
    if merged.missing_after is None and later.missing_after is not None:
        known = int(later_places[: later.missing_after + 1].max())
        merged.missing_after = max(len(left.values), known)
    merged.seen = merged.seen or later.seen
    if merged.distinct is not None and later.distinct is not None:
        merged.distinct.add_all(later.distinct)
    return merged, of_left, later_places[of_right]


# Tables of counts over the values of columns.


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
    values: tuple[Value, ...] | tuple[tuple[Value, ...], ...] = ()


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
    joined
        Whether labels come from elsewhere, and so later.
    """

    label: str
    label_values: tuple[Value, ...]
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
    joined: bool = False


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

    def take_in(self, batch: pa.RecordBatch, places: Mapping[str, Codes], plan: "SummaryPlan") -> None:
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

    def _feature(self, batch: pa.RecordBatch, name: str, plan: "SummaryPlan") -> Floats:
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

    def moved(self, moves: Mapping[str, Codes]) -> Self:
        """Return the same rows with new numbers for the places of some columns."""

        def renumbered(rows: pa.RecordBatch) -> pa.RecordBatch:
            for name, moved in moves.items():
                if (place := rows.schema.get_field_index(f"{_PLACE}{name}")) >= 0:
                    codes = moved[rows.column(place).to_numpy()].astype(np.int32)
                    rows = rows.set_column(place, f"{_PLACE}{name}", pa.array(codes))
            return rows

        return replace(self, chunks=[replace(chunk, rows=renumbered(chunk.rows)) for chunk in self.chunks])

    def matrix(self, kept: Flags | slice = slice(None)) -> Floats:
        """Return the features, or those `kept`, shape (rows, features)."""
        columns, names = self.columns(), np.array(self.names or (), dtype=object)[kept]
        found = [np.concatenate([cells.floats(part) for part in columns[name]]) for name in names]
        return np.column_stack(found) if found else np.empty((self.rows, 0))

    def places_of(self, column: str) -> Codes:
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
        listed: dict[str, list[Value]] = {request.label: list(request.label_values)}
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

    def _column(self, name: str, listed: list[Value], most_values: int) -> ColumnPlan:
        is_score = name == self.request.probability and self.request.predicted_label is None
        numbers = [number for value in listed if (number := as_number(value)) is not None]
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
    tables: list[Floats] = field(default_factory=list)
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
_Buffers = dict[tuple[str, ...], Codes]


def _buffer(buffers: _Buffers, use: tuple[str, ...], size: int) -> Codes:
    """Return the array for a use, `size` long, with whatever it held before."""
    if use not in buffers or buffers[use].size < size:
        buffers[use] = np.empty(size, dtype=np.int64)
    return buffers[use][:size]


def _add(summary: BiasSummary, batch: pa.RecordBatch, plan: SummaryPlan, buffers: _Buffers) -> None:
    summary.names = tuple(dict.fromkeys((*summary.names, *batch.schema.names)))

    def read(name: str) -> Coded:
        array = batch.column(name) if name in batch.schema.names else None
        out = _buffer(buffers, (name,), batch.num_rows)
        return _read_column(summary.columns[name], array, out, plan.columns[name])

    coded = {name: read(name) for name in plan.columns}
    for each in batch.schema:
        # Clarify's rules never take pandas categories for continuous.
        if each.name in summary.columns and (each.metadata or {}).get(CATEGORICAL) == b"true":
            summary.columns[each.name].kinds.add("category")
    tables = _count(coded, plan, buffers)
    lookups: dict[str, Codes] = {}
    for name, column in plan.columns.items():
        rows = _rows_by_code(name, coded[name], tables, plan)
        lookup = _register(summary.columns[name], coded[name], rows, column)
        if lookup is None:
            _move(summary, name, _collapse(summary.columns[name], column), plan)
            coded[name] = read(name)
            lookup = np.arange(coded[name].size)
            tables = _count(coded, plan, buffers)
        lookups[name] = lookup
        summary.columns[name].rows += batch.num_rows
        summary.columns[name].missing += int(rows[0])
    for index, (axes, (codes, rows)) in enumerate(zip(plan.axes, tables, strict=True)):
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
        at = tuple(lookups[name][each] for name, each in zip(axes, codes, strict=True))
        if has_shrunk:
            np.add.at(table, at, rows)
        else:
            table[at] += rows  # quicker, and right since no two codes have the same place
    summary.rows += batch.num_rows
    if summary.sample is not None:
        places = {name: lookups[name][coded[name].codes] for name in plan.sampled}
        summary.sample.take_in(batch, places, plan)


# Occupied cells of a batch: for each axis its codes, and the rows.
type _Counted = tuple[tuple[Codes, ...], Codes]


def _count(coded: dict[str, Coded], plan: SummaryPlan, buffers: _Buffers) -> list[_Counted]:
    """Return the occupied cells of every table; keys over the same columns are computed once."""
    known: dict[tuple[str, ...], Codes] = {}
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


def _rows_by_code(name: str, coded: Coded, tables: list[_Counted], plan: SummaryPlan) -> Codes:
    """Return how many rows have each code of a column."""
    for axes, (codes, rows) in zip(plan.axes, tables, strict=True):
        if name in axes:
            return np.bincount(codes[axes.index(name)], weights=rows).astype(np.int64)
    return np.bincount(coded.codes)


def _shrink(
    columns: dict[str, ColumnSummary], axes: tuple[str, ...], plan: SummaryPlan
) -> Iterator[tuple[str, Codes]]:
    """Collapse the column with most values until a table is no larger than tables may be.

    Yields the columns with their new places.
    """
    while np.prod([len(columns[name].values) + 1.0 for name in axes]) > MOST_TABLE_CELLS:
        can_collapse = [name for name in axes if not columns[name].collapsed]
        if not can_collapse:
            return
        name = max(can_collapse, key=lambda name: len(columns[name].values))
        yield name, _collapse(columns[name], plan.columns[name])


def _move(summary: BiasSummary, name: str, moved: Codes, plan: SummaryPlan) -> None:
    """Give the places of a column new numbers in all tables."""
    for index, axes in enumerate(plan.axes):
        if name in axes:
            # A table may not have grown to the newest places yet; what it has not counted needs no new place.
            size = int(moved.max()) + 1
            summary.tables[index] = _moved(summary.tables[index], axes.index(name), moved, size)
    if summary.sample is not None:
        summary.sample = summary.sample.moved({name: moved})


def _moved(table: Floats, axis: int, moved: Codes, size: int) -> Floats:
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
    moves: dict[str, list[Codes]] = {}
    for name, column in plan.columns.items():
        columns[name], *moves[name] = _join(left.columns[name], right.columns[name], column)
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
