"""Which rows a request selects by the sound rules: by what the user listed, never by the number of rows.

Values are the same when they mean the same: ``1``, ``1.0``, ``"1"`` and ``true``. One number listed is a
threshold when the column cannot be a list of codes:

* the listed number, or any number of the column, is not whole; or
* the column has more than 20 distinct numbers; or
* the listed number is not among the values, but between two of them.

Anything else is compared for equality. Rows without a value are in neither group.
"""

from __future__ import annotations

import math

import numpy as np

from analyzers.bias.cells import as_number, normalise
from analyzers.bias.column_summary import Beyond, ColumnPlan, ColumnSummary
from analyzers.bias.request import Value
from analyzers.bias.selection import Problem, Selection, above, interval_text, values_text
from analyzers.wording import shorten

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


def select(
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
    return Selection(
        values_text(values),
        np.array([False, *(text is not None and text in wanted for text in _texts(column))]),
    )


def every_value(name: str, column: ColumnSummary) -> list[Selection]:
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
    return [
        Selection(
            str(column.values[texts.index(group)]), np.array([False, *(text == group for text in texts)])
        )
        for group in groups
    ]


def _texts(column: ColumnSummary) -> list[str | None]:
    return [None if isinstance(value, Beyond) else normalise(value) for value in column.values]
