"""What is kept of a column: its distinct values while they are few, else only what the rules tell apart."""

import copy
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import xxhash

from analyzers.shared import cells
from analyzers.shared.cells import Coded, Codes, Floats, Hashes, Value, as_number, encode, floats, is_textual

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


def read(summary: ColumnSummary, array: pa.Array | None, out: Codes, plan: ColumnPlan) -> Coded:
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
        return encode(array, out)
    textual = is_textual(array.type)
    places = _add_texts(summary, encode(array), plan) if textual else _add_numbers(summary, array, plan)
    return Placed(places, range(int(places.max(initial=0))))


def register(summary: ColumnSummary, coded: Coded, rows: Codes, plan: ColumnPlan) -> Codes | None:
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
    numbers = floats(array)
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


def collapse(summary: ColumnSummary, plan: ColumnPlan) -> Codes:
    """Keep only what the rules tell apart; return the new place of every earlier place."""
    before = summary.values
    if summary.collapsed:
        return np.arange(len(before) + 1)
    summary.collapsed, summary.values, summary.places = True, [], {}
    summary.distinct = Distinct() if plan.count_distinct else None
    _measure(summary, [value for value in before if not isinstance(value, Beyond)])
    return np.array([0, *(summary.place(_reduced(value, plan)) for value in before)], dtype=np.int64)


def merge(left: ColumnSummary, right: ColumnSummary, plan: ColumnPlan) -> tuple[ColumnSummary, Codes, Codes]:
    """Combine the summaries of a column over earlier and over later rows.

    Returns
    -------
    The combined summary, and the new place of every place of the left and of the right one.
    """
    merged, later = copy.deepcopy(left), copy.deepcopy(right)
    of_left, of_right = np.arange(len(left.values) + 1), np.arange(len(right.values) + 1)
    together = len(merged.places.keys() | later.places.keys())
    if merged.collapsed or later.collapsed or together > plan.most_values:
        of_left, of_right = collapse(merged, plan), collapse(later, plan)
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
