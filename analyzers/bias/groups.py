"""What a request means for the data at hand: positive labels and predictions, and the groups of facets."""

from __future__ import annotations

import difflib
import itertools
from dataclasses import dataclass, field

import numpy as np

from analyzers.bias.cells import normalise
from analyzers.bias.column_summary import Beyond, ColumnPlan, ColumnSummary
from analyzers.bias.request import Value
from analyzers.bias.selection import (
    MOST_CODES,
    MOST_GROUPS,
    NO_LABEL_VALUES,
    NO_POSITIVE_PREDICTION,
    TYPES_DIFFER,
    Problem,
    Selection,
    every_value_sagemaker,
    every_value_sound,
    kind_of_column,
    select_sagemaker,
    select_sound,
)
from analyzers.bias.summary import BiasSummary, SummaryPlan
from analyzers.bias.tables import Cells, Group, cells_of
from analyzers.shared.rules import Rules
from contract.wording import listing, number, shorten

# What to say when the values that a request lists select no row, or every row.


_MOST_NAMED = 10
_MEMBER = "label_values_or_threshold"


def unselected_outcomes(
    role: str, plan: ColumnPlan, column: ColumnSummary, selection: Selection
) -> str | None:
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
        return f"No prediction is positive: no {plan.name!r} is above probability_threshold {plan.cut:g}."
    asked = f"greater than {selection.threshold:g}" if selection.threshold is not None else selection.text
    return (
        f"No {role} is positive: {_MEMBER} asks for {role}s that are {shorten(asked)}, but "
        f"{plan.name!r} {_occurring(column, selection)}"
    )


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
    absent = [
        f"{name!r} {_occurring(columns[name], selection)}"
        for name, selection in parts
        if not selection.chosen[1:].any()
    ]
    return f"{nobody}: {' '.join(absent) or 'these values never occur together.'}"


def _occurring(column: ColumnSummary, selection: Selection) -> str:
    extent = column.extent()
    if column.collapsed or (selection.threshold is not None and not extent.has_words):
        return f"goes from {number(extent.least)} to {number(extent.greatest)}."
    values = [str(value) for value in column.values if not isinstance(value, Beyond)]
    close = {normalise(value).lower(): value for value in values}
    hints = [
        close[hint]
        for asked in selection.text.split(",")
        for hint in difflib.get_close_matches(normalise(asked).lower(), list(close), n=1)
    ]
    suggested = f"; did you mean {hints[0]!r}?" if hints else "."
    return f"holds {listing(values, _MOST_NAMED)}{suggested}"


# Facet names and groups of intersections; a comma separates the values of one group.
INTERSECTION = " & "


@dataclass(frozen=True)
class Meaning:
    """How columns are read.

    Parameters
    ----------
    rules
        ``sound`` or ``sagemaker``.
    thresholds
        For facets and the label, by name, whether a single number is a threshold, where that is known from
        elsewhere: a window is read as its baseline was.
    """

    rules: Rules
    thresholds: dict[str, bool] = field(default_factory=dict)


def select_labels(summary: BiasSummary, plan: SummaryPlan, meaning: Meaning) -> Selection | None:
    """Return the positive labels; None when no row has a label.

    Raises
    ------
    Problem
        When the label values do not fit the column.
    """
    request = plan.request
    if not request.label_values:
        raise Problem(NO_LABEL_VALUES)
    column = summary.columns[request.label]
    if meaning.rules == "sagemaker":
        if not column.seen:
            raise Problem(f"Label column {request.label} is not present in the dataset")
        return select_sagemaker(column, plan.columns[request.label], request.label_values)
    if column.rows == column.missing:
        return None
    threshold = meaning.thresholds.get(request.label)
    return select_sound(column, plan.columns[request.label], request.label_values, threshold=threshold)


def select_predictions(
    summary: BiasSummary, plan: SummaryPlan, meaning: Meaning, labels: Selection | None
) -> Selection | None:
    """Return the positive predictions; None when there are none to read.

    Raises
    ------
    Problem
        When predictions cannot be compared with labels.
    """
    request, name = plan.request, plan.prediction
    if name is None:
        return None
    column, observed, values = summary.columns[name], summary.columns[request.label], request.label_values
    if meaning.rules == "sagemaker":
        if not column.seen:
            raise Problem(f"Predicted label column {name} is not present in the dataset")
        if len({kind_of_column(each, len(values)) for each in (observed, column)}) > 1:
            raise Problem(TYPES_DIFFER)
        selection = select_sagemaker(column, plan.columns[name], values, with_labels=observed)
        if not selection.chosen[1:].any():
            raise Problem(NO_POSITIVE_PREDICTION)
        return selection
    if column.rows == column.missing:
        return None
    if plan.columns[name].cut is not None:
        return Selection("1", np.array([False, *(value == 1 for value in column.values)]))
    threshold = labels.threshold is not None if labels is not None else meaning.thresholds.get(request.label)
    selection = select_sound(column, plan.columns[name], values, threshold=threshold)
    extent, is_many = column.extent(), column.collapsed or len(column.values) > MOST_CODES
    if selection.threshold is None and is_many and not extent.has_words and not extent.is_integral:
        raise Problem(
            f"predicted_label {name!r} holds scores from {number(extent.least)} to {number(extent.greatest)}, "
            f"but {_MEMBER} names values; give the column as probability with probability_threshold"
        )
    return selection


def select_groups(summary: BiasSummary, plan: SummaryPlan, meaning: Meaning, facet: int) -> list[Group]:
    """Return the groups of a facet.

    Raises
    ------
    Problem
        When a column is not there, or its values do not fit.
    """
    request = plan.request.facets[facet]
    columns, name = request.columns, INTERSECTION.join(request.columns)
    for column in columns:
        if not summary.columns[column].seen and meaning.rules == "sagemaker":
            raise Problem(f"Facet column {column} is not present in the dataset")
        if not summary.columns[column].seen:
            raise Problem(absent_text("facet", column, summary.names))
    if len(columns) == 1:
        listed = tuple(value for value in request.values if not isinstance(value, tuple))
        return [
            Group(name, selection.text, columns, ((selection,),), selection.threshold)
            for selection in _of_column(summary, plan, meaning, columns[0], listed)
        ]
    if not request.values:
        return _combinations(summary, plan, meaning, facet, name)
    alternatives = tuple(
        tuple(
            _of_column(summary, plan, meaning, column, (value,))[0]
            for column, value in zip(columns, values, strict=True)
        )
        for values in request.values
        if isinstance(values, tuple)
    )
    text = ",".join(INTERSECTION.join(_part(part) for part in parts) for parts in alternatives)
    return [Group(name, text, columns, alternatives)]


def _part(selection: Selection) -> str:
    # The maximum of an interval differs between windows, so that of an intersection leaves it out.
    return selection.text if selection.threshold is None else f">{selection.threshold:g}"


def _of_column(
    summary: BiasSummary, plan: SummaryPlan, meaning: Meaning, name: str, values: tuple[Value, ...]
) -> list[Selection]:
    column = summary.columns[name]
    if meaning.rules == "sagemaker":
        if not values:
            return every_value_sagemaker(name, column)
        return [select_sagemaker(column, plan.columns[name], values)]
    if not values:
        return every_value_sound(name, column)
    return [select_sound(column, plan.columns[name], values, threshold=meaning.thresholds.get(name))]


def _combinations(
    summary: BiasSummary, plan: SummaryPlan, meaning: Meaning, facet: int, name: str
) -> list[Group]:
    """Return a group for each combination of values that occurs."""
    columns = plan.request.facets[facet].columns
    cells = cells_of(summary, plan, facet)
    choices = [_of_column(summary, plan, meaning, column, ()) for column in columns]
    groups = [
        Group(name, INTERSECTION.join(part.text for part in parts), columns, (parts,))
        for parts in itertools.product(*choices)
    ]
    occurring = [group for group in groups if group.contains(cells.places).any()]
    if len(occurring) > MOST_GROUPS:
        raise Problem(
            f"facet {shorten(name)!r} has {len(occurring):,} combinations of values, more than the "
            f"{MOST_GROUPS} that are compared in turn; list the combinations to compare in "
            "value_or_threshold"
        )
    return occurring


def absent_text(role: str, column: str, names: tuple[str, ...]) -> str:
    """Return why a column is missed, with the name that may be meant."""
    close = difflib.get_close_matches(column, names, n=1)
    hint = f"; did you mean {close[0]!r}?" if close else ""
    return f"{role} {column!r} is not in the data, whose columns are {listing(list(names), 20)}{hint}"


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
    groups = dict(facets)
    single = [(facet.columns[0], facet) for facet in plan.request.facets if len(facet.columns) == 1]
    asked = [(name, len(facet.values), groups.get(name, "")) for name, facet in single]
    return {
        name: text.startswith("(") and text.endswith("]")
        for name, listed, text in [(plan.request.label, len(plan.request.label_values), label), *asked]
        if text and listed == 1
    }
