"""Which values of a column a request selects, as both sets of rules need it."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from analyzers.bias.cells import as_number, normalise
from analyzers.bias.column_summary import MOST_COUNTED, Beyond, ColumnPlan, ColumnSummary, Kept
from analyzers.bias.request import Value
from contract.wording import shorten

Flags = npt.NDArray[np.bool_]


class Problem(Exception):  # noqa: N818 - a reason why a stage has no metrics, not an error a user sees
    """Raised when a column cannot be read as the request asks; the message says why."""


@dataclass(frozen=True)
class Selection:
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
        if number is None or math.isnan(number):
            return False
        return (math.trunc(number) if cut and math.isfinite(number) else number) > threshold

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
MOST_GROUPS = 100


def is_threshold(column: ColumnSummary, values: tuple[Value, ...]) -> bool:
    """Return whether the listed values are a threshold for the column."""
    if len(values) != 1 or isinstance(values[0], bool) or "bool" in column.kinds:
        return False
    number = as_number(normalise(values[0]))
    extent = column.extent()
    if number is None or extent.has_words or not math.isfinite(extent.least):
        return False
    if not extent.is_integral or not number.is_integer():
        return True
    if column.collapsed or len(column.values) > MOST_CODES:
        return True
    occurs = normalise(values[0]) in _texts(column)
    return not occurs and extent.least < number < extent.greatest


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
    wanted = {normalise(value) for value in values}
    chosen = np.array([False, *(text in wanted for text in _texts(column))])
    return Selection(values_text(values), chosen)


def every_value_sound(name: str, column: ColumnSummary) -> list[Selection]:
    """Return a selection for each distinct value in order of appearance.

    Raises
    ------
    Problem
        When there are more than `MOST_GROUPS`.
    """
    texts = _texts(column)
    groups = dict.fromkeys(text for text in texts if text is not None)
    if column.collapsed or len(groups) > MOST_GROUPS:
        count = max(column.distinct_count(), len(groups))
        raise Problem(
            f"facet {shorten(name)!r} has {count:,} distinct values, more than the {MOST_GROUPS} that are "
            "compared in turn; list the values or give the threshold to compare in value_or_threshold"
        )
    first = {group: str(column.values[texts.index(group)]) for group in groups}
    return [
        Selection(first[group], np.array([False, *(text == group for text in texts)])) for group in groups
    ]


def _texts(column: ColumnSummary) -> list[str | None]:
    return [None if isinstance(value, Beyond) else normalise(value) for value in column.values]


# Which rows a request selects by Clarify's rules.
#
# Clarify types columns by what pandas makes of them, and takes whole numbers and numeric text for
# continuous
# when at least 5 % of their values are distinct, so that the same column is read differently in a small
# data set and in a large one. Values that match nothing are cast to the type of the first cell.


DataType = Literal["int64", "float64", "bool", "object", "category"]
Kind = Literal["categorical", "continuous"]

_DISTINCT_SHARE = 0.05
NO_THRESHOLD = "Threshold values must be provided for continuous features"
_NOT_ONE_NUMBER = "Facet/label value provided must be a single numeric threshold for continuous data"
NO_LABEL_VALUES = "Positive label values or thresholds are empty for Label column"
NO_POSITIVE_PREDICTION = (
    "No Label values are present in the predicted Label Column,"
    "Positive Predicted Index Series contains all False values"
)
TYPES_DIFFER = "Predicted Label Column series datatype is not the same as Label Column series"


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
    is_many = distinct > MOST_COUNTED or distinct / max(present, 1) >= _DISTINCT_SHARE
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
    Problem
        When the values do not fit the column.
    """
    if kind_of_column(column, len(values)) == "categorical":
        return Selection(values_text(values), _equal(column, values))
    threshold = as_number(values[0])
    if threshold is None:
        raise Problem(_NOT_ONE_NUMBER)
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
    Problem
        For continuous columns, and for those with more values than are kept.
    """
    if kind_of_column(column, 0) == "continuous":
        raise Problem(NO_THRESHOLD)
    if column.collapsed:
        raise Problem(
            f"{name!r} has {column.distinct_count():,} distinct values, too many to compare in turn; list "
            "those to compare in value_or_threshold"
        )
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
    return matching(_cast(values, str if is_text and column.first is not None else _first_type(column)))


def _first_type(column: ColumnSummary) -> Callable[[Value], Value] | None:
    dtype = data_type(column)
    if dtype in ("object", "category"):
        return None if column.first is None else type(column.first)
    types: dict[DataType, Callable[[Value], Value]] = {"int64": int, "float64": float, "bool": bool}
    return types[dtype]


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
    raise Problem(f"The values {values_text(values)} cannot be compared with those of the column")
