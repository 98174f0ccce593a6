"""What a request means for the data at hand: positive labels and predictions, and the groups of facets."""

import itertools
import math
import re
from collections.abc import Callable, Iterable, Sequence
from typing import Literal, NamedTuple

import numpy as np

from analyzers.bias import summary as summaries
from analyzers.bias.documents import interval_of
from analyzers.bias.resampling import Tables
from analyzers.bias.summary import (
    Beyond,
    BiasRequest,
    BiasSummary,
    ColumnPlan,
    ColumnSummary,
    Kept,
    SummaryPlan,
)
from analyzers.shared.cells import Codes, Flags, Floats, Value, as_number, label_of
from contract.errors import DatasetError, wording
from contract.schema import hint, nearest
from contract.wording import listing, number, shorten


class ColumnError(DatasetError):
    """A column cannot be read as the request asks, so that a stage has no metrics."""


class Selection(NamedTuple):
    """The places of a column that are selected.

    Parameters
    ----------
    text
        As Clarify prints it: ``a,c`` or ``(40, 75]``.
    chosen
        For each place, place 0 (missing) first.
    threshold
        Above which values are selected; None when they are compared for equality.
    """

    text: str
    chosen: Flags
    threshold: float | None = None


def above(column: ColumnSummary, thresholds: tuple[float, ...], threshold: float, *, cut: bool) -> Flags:
    """Return which places hold numbers above a threshold.

    Parameters
    ----------
    column
        The column.
    thresholds
        Those of the column's plan, by which a collapsed column tells its values apart.
    threshold
        One of them.
    cut
        Whether numbers are cut to whole ones first.
    """
    index = thresholds.index(threshold) if threshold in thresholds else -1

    def is_above(value: Kept) -> bool:
        if isinstance(value, Beyond):
            return index >= 0 and (value.truncated_above if cut else value.above)[index]
        number = as_number(value)
        return number is not None and (summaries.truncated(number) if cut else number) > threshold

    return np.array([False, *map(is_above, column.values)])


def interval_text(threshold: float, greatest: float, *, whole: bool) -> str:
    """Return ``(threshold, greatest]``, the smaller first, as pandas prints an interval."""
    ends = sorted((threshold, greatest))
    if whole and all(math.isfinite(end) for end in ends):
        return f"({int(ends[0])}, {int(ends[1])}]"
    return f"({float(ends[0])}, {float(ends[1])}]"


def values_text(values: tuple[Value, ...]) -> str:
    """Return listed values as Clarify prints them."""
    return ",".join(str(value) for value in values)


# Which rows a request selects by the sound rules: by what the user listed, never by the number of rows.
#
# Values are the same when they mean the same: ``1``, ``1.0``, ``"1"`` and ``true``. One number listed is a
# threshold when the column cannot be a list of codes:
#
# * the listed number, or any number of the column, is not whole; or
# * the column has more than 20 distinct numbers; or
# * the listed number is not among the values, but between two of them.
#
# Anything else is compared for equality. Rows without a value are in neither group.


MOST_CODES = 20
_DATE = re.compile(r"\d{4}-\d\d-\d\d")
MOST_GROUPS = 100


def is_threshold(column: ColumnSummary, values: tuple[Value, ...]) -> bool:
    """Return whether the listed values are a threshold for the column."""
    if len(values) != 1 or isinstance(values[0], bool) or "bool" in column.kinds:
        return False
    number = as_number(label_of(values[0]))
    extent = column.extent()
    if number is None or extent.has_words or not math.isfinite(extent.least):
        return False
    if not extent.is_integral or not number.is_integer():
        return True
    if column.collapsed or len(column.values) > MOST_CODES:
        return True
    return label_of(values[0]) not in _texts(column) and extent.least < number < extent.greatest


def select_sound(
    column: ColumnSummary, plan: ColumnPlan, values: tuple[Value, ...], *, threshold: bool | None = None
) -> Selection:
    """Return what the listed values select.

    Parameters
    ----------
    column, plan
        The column and how it was kept.
    values
        At least one.
    threshold
        Whether the value is a threshold; None decides by the column.
    """
    number = as_number(values[0]) if len(values) == 1 else None
    if number is not None and (is_threshold(column, values) if threshold is None else threshold):
        extent = column.extent()
        whole = extent.is_integral and number.is_integer() and not isinstance(values[0], float)
        text = interval_text(number, extent.greatest, whole=whole)
        return Selection(text, above(column, plan.thresholds, number, cut=False), number)
    texts = _texts(column)
    words = _words(column) if number is not None and threshold is None else []
    if words and len(texts) - len(words) > MOST_CODES:
        field, some = plan.name, listing(words, 3)
        raise ColumnError.of("bias_groups.mixed", field=field, some=some, value=values_text(values))
    wanted = {label_of(value) for value in values}
    return Selection(values_text(values), np.array([False, *(text in wanted for text in texts)]))


def every_value_sound(name: str, column: ColumnSummary) -> list[Selection]:
    """Return a selection for each distinct value in order of appearance.

    Raises
    ------
    ColumnError
        When there are more than `MOST_GROUPS`.
    """
    texts = _texts(column)
    groups = dict.fromkeys(text for text in texts if text is not None)
    if column.collapsed or len(groups) > MOST_GROUPS:
        count = max(column.distinct_count(), len(groups))
        raise ColumnError.of("bias_groups.values", field=shorten(name), count=count, most=MOST_GROUPS)
    first = {group: str(column.values[texts.index(group)]) for group in groups}
    return [Selection(first[one], np.array([False, *(text == one for text in texts)])) for one in groups]


def _texts(column: ColumnSummary) -> list[str | None]:
    return [None if isinstance(value, Beyond) else label_of(value) for value in column.values]


def _words(column: ColumnSummary) -> list[str]:
    return [text for text in _texts(column) if text is not None and as_number(text) is None]


# Which rows a request selects by Clarify's rules.
#
# Clarify types columns by what pandas makes of them, and takes whole numbers and numeric text for continuous
# when at least 5 % of their values are distinct, so that the same column is read differently in a small data
# set and in a large one. Values that match nothing are cast to the type of the first cell.


DataType = Literal["int64", "float64", "bool", "object", "category"]
Kind = Literal["categorical", "continuous"]

_DISTINCT_SHARE = 0.05


def data_type(column: ColumnSummary) -> DataType:
    """Return the type that pandas gives the column."""
    kinds = column.kinds
    if "category" in kinds:
        return "category"
    if "text" in kinds or ("bool" in kinds and (len(kinds) > 1 or column.missing)):
        return "object"
    if "bool" in kinds:
        return "bool"
    return "int64" if kinds == {"integer"} and not column.missing else "float64"


def kind_of_column(column: ColumnSummary, listed: int) -> Kind:
    """Return whether Clarify takes a column for categorical or continuous.

    Parameters
    ----------
    column
        The column.
    listed
        How many values the request lists.
    """
    dtype = data_type(column)
    if listed > 1 or dtype in ("bool", "category"):
        return "categorical"
    if dtype == "float64":
        return "continuous"
    if dtype == "object" and (column.missing or not column.extent().is_castable):
        return "categorical"
    present = column.rows - column.missing
    distinct = column.distinct_count()
    is_many = distinct > summaries.MOST_COUNTED or distinct / max(present, 1) >= _DISTINCT_SHARE
    return "continuous" if is_many else "categorical"


def select_sagemaker(
    column: ColumnSummary,
    plan: ColumnPlan,
    values: tuple[Value, ...],
    *,
    with_labels: ColumnSummary | None = None,
) -> Selection:
    """Return what the listed values select.

    Parameters
    ----------
    column, plan
        The column and how it was kept.
    values
        At least one.
    with_labels
        For predictions: the labels, to whose type predictions are cast and whose maximum counts.

    Raises
    ------
    ColumnError
        When the values do not fit the column.
    """
    if kind_of_column(column, len(values)) == "categorical":
        return Selection(values_text(values), _equal(column, values))
    threshold = as_number(values[0])
    if threshold is None:
        raise ColumnError.of("bias_groups.not_one_number")
    whole = not isinstance(values[0], (float, str)) and _is_whole(column)
    greatest = column.extent().greatest
    cut = False
    if with_labels is not None:
        greatest = max(greatest, with_labels.extent().greatest)
        cut = _is_whole(with_labels)
    if abs(greatest) == threshold:
        return Selection("", np.zeros(len(column.values) + 1, dtype=np.bool_), threshold)
    chosen = above(column, plan.thresholds, threshold, cut=cut)
    return Selection(interval_text(threshold, greatest, whole=whole), chosen, threshold)


def _is_whole(column: ColumnSummary) -> bool:
    return data_type(column) in ("int64", "object")


def every_value_sagemaker(name: str, column: ColumnSummary) -> list[Selection]:
    """Return a selection for each distinct value in order of appearance; missing cells are one that is empty.

    Raises
    ------
    ColumnError
        For continuous columns, and for those with more values than are kept.
    """
    if kind_of_column(column, 0) == "continuous":
        raise ColumnError.of("bias_groups.no_threshold")
    if column.collapsed:
        raise ColumnError.of("bias_groups.too_many", field=name, count=column.distinct_count())
    places = np.arange(len(column.values) + 1)
    selections = [Selection(str(value), places == n) for n, value in enumerate(column.values, start=1)]
    if column.missing_after is not None:
        selections.insert(column.missing_after, Selection("nan", places < 0))
    return selections


def _equal(column: ColumnSummary, values: tuple[Value, ...]) -> Flags:
    # Where some part of a file holds text, pandas takes the numbers of other parts for text too.
    is_text = "text" in column.kinds and len(column.kinds) > 1
    kept = [str(value) if is_text else value for value in column.values]

    def matching(wanted: tuple[Kept, ...]) -> Flags:
        # In Python, as in pandas, 1 equals 1.0 and True, and no text equals a number.
        known = set(wanted)
        return np.array([False, *(value in known for value in kept)])

    chosen = matching(values)
    if chosen.any():
        return chosen
    types: dict[DataType, Callable[[Value], Value]] = {"int64": int, "float64": float, "bool": bool}
    first = types.get(data_type(column), None if column.first is None else type(column.first))
    return matching(_cast(values, str if is_text and column.first is not None else first))


def _cast(values: tuple[Value, ...], to: Callable[[Value], Value] | None) -> tuple[Value, ...]:
    if to is None:
        return values
    try:
        return tuple(to(value) for value in values)
    except (ValueError, OverflowError):
        pass
    numbers = [as_number(value) for value in values]
    if to is int and None not in numbers:
        return tuple(number for number in numbers if number is not None)
    raise ColumnError.of("bias_groups.types", values=values_text(values))


Places = dict[str, Codes]


class Group(NamedTuple):
    """A group of a facet: rows of which, for each column, the place is chosen in one of the alternatives.

    Parameters
    ----------
    name
        Of the facet.
    text
        The group, such as ``0`` or ``(40, 75]``.
    alternatives
        Each a selection per column; one selection that holds suffices, of which every column must hold.
    threshold
        Of a continuous facet of one column.
    """

    name: str
    text: str
    columns: tuple[str, ...]
    alternatives: tuple[tuple[Selection, ...], ...]
    threshold: float | None = None

    def contains(self, places: Places) -> Flags:
        """Return which rows or cells are in the group."""
        inside = np.zeros(len(places[self.columns[0]]), dtype=np.bool_)
        for selections in self.alternatives:
            pairs = zip(self.columns, selections, strict=True)
            inside |= np.all([selection.chosen[places[column]] for column, selection in pairs], axis=0)
        return inside


class Cells(NamedTuple):
    """The occupied cells of a facet's table: places by column, rows in each, and each cell's stratum.

    Strata are numbered in the order of their values, in which Clarify adds them up; none is -1.
    """

    places: Places
    rows: Floats
    strata: Codes

    def where(self, kept: Flags) -> "Cells":
        """Return only some of the cells."""
        places = {name: places[kept] for name, places in self.places.items()}
        return Cells(places, self.rows[kept], self.strata[kept])


class Reading(NamedTuple):
    """What labels and predictions mean.

    Parameters
    ----------
    labels, predictions
        The positive ones; None when no row has any, or they are not asked for.
    leave_out
        Whether rows without a label, prediction or facet are left out; else they are negative, and not in
        the group.
    """

    labels: Selection | None
    predictions: Selection | None
    leave_out: bool


def count_in_words(count: int) -> str:
    """Return a number of rows in words."""
    return "1 row" if count == 1 else f"{count:,} rows"


def rows_lacking(count: int, what: str) -> str:
    """Return the beginning of a sentence about rows that are left out."""
    lack, are = ("lacks", "is") if count == 1 else ("lack", "are")
    return f"{count_in_words(count)} {lack} {what} and {are} left out"


def cells_of(summary: BiasSummary, plan: SummaryPlan, facet: int) -> Cells:
    """Return the occupied cells of a facet's table."""
    table = summary.tables[facet]
    occupied = np.nonzero(table)
    places = dict(zip(plan.axes[facet], occupied, strict=True))
    column = plan.request.group_variable
    strata = np.full(len(occupied[0]), -1)
    if column is not None:
        strata = _ranks(summary.columns[column].values)[places[column]]
    return Cells(places, table[occupied], strata)


def _ranks(values: Sequence[Kept]) -> Codes:
    """Return for each place the rank of its value, numbers before text; -1 for missing cells."""

    def key(place: int) -> tuple[int, float, str]:
        value = values[place]
        if isinstance(value, (str, Beyond)):
            return (1, 0.0, value if isinstance(value, str) else "")
        number = as_number(value)
        return (0, math.inf if number is None else number, "")

    return np.array([-1, *np.argsort(sorted(range(len(values)), key=key))], dtype=np.int64)


def counts_of(cells: Cells, group: Group, reading: Reading, plan: SummaryPlan) -> Tables:
    """Return the counts of a group against all other rows."""
    outcomes = ((plan.request.label, reading.labels), (plan.prediction, reading.predictions))
    label, prediction = ([name] if name and selection is not None else [] for name, selection in outcomes)
    missing = _any_missing(cells, group.columns)
    lacking = _any_missing(cells, label) & ~missing
    missing_rows, unlabelled = (int(cells.rows[rows].sum()) for rows in (missing, lacking))
    if reading.leave_out:
        cells = cells.where(~missing & ~lacking)
    is_whole = ~_any_missing(cells, prediction) | (not reading.leave_out)
    inside = group.contains(cells.places)
    nothing = np.zeros(len(cells.rows), dtype=np.int64)
    observed, predicted = (
        selection.chosen[cells.places[name]].astype(np.int64) if name and selection else nothing
        for name, selection in outcomes
    )
    key = (inside * 2 + observed) * 2 + predicted
    sides = (is_whole, ~is_whole)
    counts = (np.bincount(key[rows], weights=cells.rows[rows], minlength=8) for rows in sides)
    confusion, unpredicted = (one.reshape(2, 2, 2) for one in counts)
    strata = {}
    if plan.request.group_variable is not None:
        if reading.labels is not None:
            strata["CDDL"] = _strata(cells, inside, observed)
        if reading.predictions is not None:
            strata["CDDPL"] = _strata(cells.where(is_whole), inside[is_whole], predicted[is_whole])
    return Tables(confusion, strata, unpredicted, missing_rows, unlabelled)


def _any_missing(cells: Cells, columns: Iterable[str]) -> Flags:
    missing = np.zeros(len(cells.rows), dtype=np.bool_)
    for column in columns:
        missing |= cells.places[column] == 0
    return missing


def _strata(cells: Cells, inside: Flags, outcome: Codes) -> Floats:
    """Return ``counts[stratum, facet, outcome]`` of strata that have rows, without rows of no stratum."""
    known = cells.strata >= 0
    key = (cells.strata[known] * 2 + inside[known]) * 2 + outcome[known]
    counts = np.bincount(key, weights=cells.rows[known], minlength=4)
    strata = np.append(counts, np.zeros(-len(counts) % 4)).reshape(-1, 2, 2)
    return np.asarray(strata[strata.sum(axis=(1, 2)) > 0])


# What to say when the values that a request lists select no row, or every row.


_MOST_NAMED = 10
# Of so many rows some are predicted one of the labels that others have.
_ROWS_TO_TELL = 30


def unselected_outcomes(
    role: str, plan: ColumnPlan, column: ColumnSummary, selection: Selection
) -> ColumnError | None:
    """Return that no label, or no prediction, is positive and which values occur; None when some is.

    Parameters
    ----------
    role
        ``label`` or ``prediction``.
    plan, column
        The column and how it was kept.
    selection
        The positive ones.
    """
    if selection.chosen[1:].any():
        return None
    if plan.cut is not None:
        return ColumnError.of("bias_groups.no_score", field=plan.name, cut=plan.cut)
    asked = f"greater than {selection.threshold:g}" if selection.threshold is not None else selection.text
    found = _occurring(column, selection)
    said = {"role": role, "asked": shorten(asked), "found": found}
    return ColumnError.of("bias_groups.no_outcome", field=plan.name, **said)


def other_scale(plan: ColumnPlan, column: ColumnSummary) -> ColumnError | None:
    """Return that scores are no probabilities, but are cut as if they were; None when neither is so."""
    if plan.cut is None or not 0.0 < plan.cut < 1.0 or not column.outside:
        return None
    return ColumnError.of("bias_groups.scale", field=plan.name, count=column.outside, cut=plan.cut)


def absent_values(name: str, column: ColumnSummary, values: Sequence[Value]) -> str | None:
    """Return which of several values that are listed no row has, where some row has another of them."""
    texts = _texts(column)
    nowhere = [value for value in values if label_of(value) not in texts]
    if column.collapsed or not nowhere or len(nowhere) == len(values):
        return None
    selection = Selection(values_text(tuple(nowhere)), np.zeros(0, dtype=np.bool_))
    found = _occurring(column, selection)
    absent = listing(list(map(str, nowhere)))
    return wording("bias_groups.absent_values", name=name, values=absent, found=found)


def several_numbers(name: str, column: ColumnSummary, values: Sequence[Value]) -> str | None:
    """Return that numbers are values, where each by itself would be a threshold, or that a date is one."""
    many = column.collapsed or len(column.values) > MOST_CODES
    if len(values) == 1 and many and _DATE.match(str(values[0])):
        return wording("bias_groups.date", name=name, value=values[0])
    if len(values) < 2 or not all(is_threshold(column, (value,)) for value in values):
        return None
    return wording("bias_groups.several", name=name, values=values_text(tuple(values)))


def words_beside(name: str, column: ColumnSummary, threshold: float) -> str | None:
    """Return which values a threshold passes over, as they are text."""
    words = _words(column)
    said = {"name": name, "some": listing(words, 3), "threshold": threshold}
    return wording("bias_groups.words", **said) if words else None


def spelt_alike(name: str, column: ColumnSummary) -> str | None:
    """Return which values of a column differ in letter case only, though they count as several."""
    spellings: dict[str, dict[str, str]] = {}
    for text, value in zip(_texts(column), column.values, strict=True):
        if text is not None and len(column.values) <= MOST_CODES:
            spellings.setdefault(" ".join(text.casefold().split()), {})[text] = str(value)
    alike = next((list(each.values()) for each in spellings.values() if len(each) > 1), None)
    return wording("bias_groups.alike", name=name, values=listing(alike)) if alike else None


def unlabelled_predictions(
    prediction: tuple[str, ColumnSummary], label: ColumnSummary, selection: Selection | None
) -> str | None:
    """Return which predictions are values that no label has; None where these are numbers on a scale."""
    name, column = prediction
    if selection is None or selection.threshold is not None or column.collapsed or label.collapsed:
        return None
    known = set(_texts(label))
    other = [str(v) for t, v in zip(_texts(column), column.values, strict=True) if t and t not in known]
    return wording("bias_groups.no_label", name=name, values=listing(other, _MOST_NAMED)) if other else None


def other_vocabulary(
    name: str, column: ColumnSummary, label: ColumnSummary, values: Sequence[Value]
) -> ColumnError | None:
    """Return that no prediction can be meant as a label: numbers beside words, or other words altogether."""
    labels = {text for text in (*_texts(label), *map(label_of, values)) if text}
    predictions = {text for text in _texts(column) if text}
    if column.collapsed or label.collapsed or not predictions or labels & predictions:
        return None
    kinds = [{as_number(text) is None for text in texts} for texts in (labels, predictions)]
    is_small = min(each.rows - each.missing for each in (column, label)) < _ROWS_TO_TELL
    has_few = is_small and (False in kinds[1] or len(predictions) == 1)
    if kinds[0] & kinds[1] and (has_few or len(labels) == 1):
        return None  # a small window may have few of many labels
    said = {"labels": listing(sorted(labels), _MOST_NAMED), "name": name}
    said["predictions"] = listing(sorted(predictions), _MOST_NAMED)
    return ColumnError.of("bias_groups.vocabulary", field="predicted_label", **said)


def unselected_group(group: Group, cells: Cells, columns: dict[str, ColumnSummary]) -> str | None:
    """Return that no row, or every row, is in a group, and which values occur; None when neither is so.

    Parameters
    ----------
    group, cells
        The group, and the occupied cells of its facet.
    columns
        By name, those of the facet.
    """
    inside = group.contains(cells.places)
    known = [cells.places[name] > 0 for name in group.columns]
    if inside.any():
        if (inside | ~known[0]).all() and len(known) == 1:
            return f"Every row is of the group {group.name} = {group.text}: there are no others to compare."
        return None
    nobody = f"No row is of the group {group.name} = {group.text}"
    parts = zip(group.columns, group.alternatives[0], strict=True)
    empty = [(name, selection) for name, selection in parts if not selection.chosen[1:].any()]
    absent = [f"{name!r} {_occurring(columns[name], selection)}" for name, selection in empty]
    name = group.columns[0]
    listed = group.text.split(",") if len(known) == 1 else []
    absent += filter(None, [several_numbers(name, columns[name], listed)])
    return f"{nobody}: {' '.join(absent) or 'these values never occur together.'}"


def _is_measured(column: ColumnSummary, selection: Selection) -> bool:
    return column.collapsed or (selection.threshold is not None and not column.extent().has_words)


def _occurring(column: ColumnSummary, selection: Selection) -> str:
    if _is_measured(column, selection):
        extent = column.extent()
        return f"goes from {number(extent.least)} to {number(extent.greatest)}."
    values = [str(value) for value in column.values if not isinstance(value, Beyond)]
    ends, meant = interval_of(selection.text), respelt(column, selection)
    hint = f"; did you mean {meant!r}?" if meant else "."
    if ends is not None:
        hint = wording("bias_groups.range", least=number(ends[0]))
    return f"holds {listing(values, _MOST_NAMED)}{hint}"


def respelt(column: ColumnSummary, selection: Selection) -> str | None:
    """Return the value of a column that is nearly one of those listed; None where none is."""
    if _is_measured(column, selection):
        return None
    values = [str(value) for value in column.values if not isinstance(value, Beyond)]
    close = {label_of(value).lower(): value for value in values}
    meant = (nearest(label_of(asked), close) for asked in selection.text.split(","))
    return next((close[one] for one in meant if one), None)


# Facet names and groups of intersections; a comma separates the values of one group.
INTERSECTION = " & "


def select_labels(summary: BiasSummary, plan: SummaryPlan) -> Selection | None:
    """Return the positive labels; None when no row has a label.

    Raises
    ------
    ColumnError
        When the label values do not fit the column.
    """
    request = plan.request
    if not request.label_values:
        raise ColumnError.of("bias_groups.no_label_values")
    column = summary.columns[request.label]
    if plan.rules == "sagemaker" and not column.seen:
        raise ColumnError.of("bias_groups.absent", role="Label", field=request.label)
    if plan.rules == "sound" and column.rows == column.missing:
        return None
    return _select(summary, plan, request.label, request.label_values)


def select_predictions(summary: BiasSummary, plan: SummaryPlan, labels: Selection | None) -> Selection | None:
    """Return the positive predictions; None when there are none to read.

    Raises
    ------
    ColumnError
        When predictions cannot be compared with labels.
    """
    request, name = plan.request, plan.prediction
    if name is None:
        return None
    column, observed, values = summary.columns[name], summary.columns[request.label], request.label_values
    if plan.rules == "sagemaker":
        if not column.seen:
            raise ColumnError.of("bias_groups.absent", role="Predicted label", field=name)
        if len({kind_of_column(each, len(values)) for each in (observed, column)}) > 1:
            raise ColumnError.of("bias_groups.types_differ")
        selection = select_sagemaker(column, plan.columns[name], values, with_labels=observed)
        if not selection.chosen[1:].any():
            raise ColumnError.of("bias_groups.no_positive_prediction")
        return selection
    if column.rows == column.missing:
        return None
    if plan.columns[name].cut is not None:
        problem, cut = other_scale(plan.columns[name], column), plan.columns[name].cut
        is_most = 2 * column.outside > column.rows - column.missing
        # A threshold other than the default was chosen, for such scores perhaps.
        is_misread = is_most and cut == BiasRequest.probability_threshold
        if problem and (is_misread or list(column.values) == [1]):
            raise problem
        return Selection("1", np.array([False, *(value == 1 for value in column.values)]))
    known = plan.known_thresholds.get(request.label)
    threshold = known if labels is None else labels.threshold is not None
    selection = select_sound(column, plan.columns[name], values, threshold=threshold)
    if selection.threshold is not None:
        return selection
    extent, common = column.extent(), {*_texts(column)} & {*_texts(observed)} - {None}
    is_many = column.collapsed or len(column.values) > MOST_CODES
    is_scores = is_many or (observed.extent().is_integral and not common)
    if is_scores and not extent.has_words and not extent.is_integral:
        low, high = number(extent.least), number(extent.greatest)
        raise ColumnError.of("bias_groups.scores", field="predicted_label", name=name, low=low, high=high)
    if problem := other_vocabulary(name, column, observed, values):
        raise problem
    return selection


def select_groups(summary: BiasSummary, plan: SummaryPlan, facet: int) -> list[Group]:
    """Return the groups of a facet.

    Raises
    ------
    ColumnError
        When a column is not there, or its values do not fit.
    """
    request = plan.request.facets[facet]
    columns, name = request.columns, INTERSECTION.join(request.columns)
    for column in columns:
        if not summary.columns[column].seen and plan.rules == "sagemaker":
            raise ColumnError.of("bias_groups.absent", role="Facet", field=column)
        if not summary.columns[column].seen:
            raise absent("facet", column, summary.names)
    if len(columns) == 1:
        listed = tuple(value for value in request.values if not isinstance(value, tuple))
        selections = _chosen(summary, plan, columns[0], listed)
        return [Group(name, one.text, columns, ((one,),), one.threshold) for one in selections]
    if not request.values:
        return _combinations(summary, plan, facet, name)
    rows = (zip(columns, values, strict=True) for values in request.values if isinstance(values, tuple))
    alternatives = tuple(tuple(_select(summary, plan, name, (one,)) for name, one in row) for row in rows)
    # The maximum of an interval differs between windows, so that of an intersection leaves it out.
    texts = ([o.text if o.threshold is None else f">{o.threshold:g}" for o in one] for one in alternatives)
    return [Group(name, ",".join(map(INTERSECTION.join, texts)), columns, alternatives)]


def _chosen(summary: BiasSummary, plan: SummaryPlan, name: str, values: tuple[Value, ...]) -> list[Selection]:
    if values:
        return [_select(summary, plan, name, values)]
    every_value = every_value_sagemaker if plan.rules == "sagemaker" else every_value_sound
    return every_value(name, summary.columns[name])


def _select(summary: BiasSummary, plan: SummaryPlan, name: str, values: tuple[Value, ...]) -> Selection:
    column, own = summary.columns[name], plan.columns[name]
    if plan.rules == "sagemaker":
        return select_sagemaker(column, own, values)
    return select_sound(column, own, values, threshold=plan.known_thresholds.get(name))


def _combinations(summary: BiasSummary, plan: SummaryPlan, facet: int, name: str) -> list[Group]:
    """Return a group for each combination of values that occurs."""
    columns = plan.request.facets[facet].columns
    cells = cells_of(summary, plan, facet)
    choices = [_chosen(summary, plan, column, ()) for column in columns]
    named = [(INTERSECTION.join(one.text for one in parts), parts) for parts in itertools.product(*choices)]
    groups = [Group(name, text, columns, (parts,)) for text, parts in named]
    occurring = [group for group in groups if group.contains(cells.places).any()]
    if (count := len(occurring)) > MOST_GROUPS:
        raise ColumnError.of("bias_groups.combinations", field=shorten(name), count=count, most=MOST_GROUPS)
    return occurring


def absent(role: str, column: str, names: tuple[str, ...]) -> ColumnError:
    """Return the error of a column that is missed, with the name that may be meant."""
    said = {"names": listing(list(names), 20), "hint": hint(column, names)}
    return ColumnError.of("bias_groups.unknown", role=role, field=column, **said)


def read_thresholds(plan: SummaryPlan, label: str, facets: list[tuple[str, str]]) -> dict[str, bool]:
    """Return for label and facets of one column whether a baseline read its single number as a threshold.

    Parameters
    ----------
    plan
        With the request.
    label
        The label's values as the baseline prints them, such as ``1`` or ``(5, 10]``.
    facets
        Names of facets and their groups as the baseline prints them.
    """
    groups, request = dict(facets), plan.request
    asked = [(request.label, len(request.label_values), label)]
    single = [(facet.columns[0], len(facet.values)) for facet in request.facets if len(facet.columns) == 1]
    asked += [(name, listed, groups.get(name, "")) for name, listed in single]
    told = {name: text for name, listed, text in asked if text and listed == 1}
    return {name: text.startswith("(") and text.endswith("]") for name, text in told.items()}
