"""What to say when the values that a request lists select no row, or every row."""

from __future__ import annotations

import difflib

from analyzers.bias.cells import normalise
from analyzers.bias.column_summary import Beyond, ColumnPlan, ColumnSummary
from analyzers.bias.selection import Selection
from analyzers.bias.tables import Cells, Group
from analyzers.wording import listing, number, shorten

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
    if len(group.columns) > 1:
        return f"{nobody}."
    name = group.columns[0]
    return f"{nobody}: {name!r} {_occurring(columns[name], group.alternatives[0][0])}"


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
