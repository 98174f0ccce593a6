"""The group of a facet that fares best, for others to be compared with."""

from __future__ import annotations

import numpy as np

from analyzers.bias.selection import Problem, Selection
from analyzers.bias.summary import BiasSummary, SummaryPlan
from analyzers.bias.tables import Cells, Group, Reading
from analyzers.bias.typing_sound import every_value

# Smaller groups may have the highest share by chance.
FEWEST_ROWS = 30


def best_of(
    summary: BiasSummary,
    plan: SummaryPlan,
    facet: int,
    groups: list[Group],
    cells: Cells,
    reading: Reading,
) -> Group | None:
    """Return the group with the highest share of positive predictions, of labels where there are none.

    None for facets with a threshold, which have but two groups, and where fewer than three groups have
    `FEWEST_ROWS`: with two, the best is the rest that metrics compare with anyway.
    """
    request = plan.request.facets[facet]
    selection = reading.predictions or reading.labels
    column = plan.prediction if reading.predictions is not None else plan.request.label
    if selection is None or column is None or any(group.threshold is not None for group in groups):
        return None
    candidates = groups
    if len(request.columns) == 1 and request.values:
        try:
            values = every_value(request.columns[0], summary.columns[request.columns[0]])
        except Problem:
            return None
        candidates = [Group(groups[0].name, each.text, request.columns, ((each,),)) for each in values]
    known = cells.where(cells.places[column] > 0)
    shares = [_share(group, known, column, selection) for group in candidates]
    if sum(share is not None for share in shares) < 3:
        return None
    best = int(np.argmax([-1.0 if share is None else share for share in shares]))
    return candidates[best]


def _share(group: Group, cells: Cells, column: str, selection: Selection) -> float | None:
    inside = group.contains(cells.places)
    rows = cells.rows[inside]
    if rows.sum() < FEWEST_ROWS:
        return None
    return float(rows[selection.chosen[cells.places[column][inside]]].sum() / rows.sum())
