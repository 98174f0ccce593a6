"""From a summary to the counts of one group against the rest."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from analyzers.bias.cells import Floats, as_number
from analyzers.bias.column_summary import Beyond, Kept
from analyzers.bias.resampling import Tables
from analyzers.bias.selection import Flags, Selection
from analyzers.bias.summary import BiasSummary, SummaryPlan

Places = dict[str, npt.NDArray[np.int64]]


@dataclass(frozen=True)
class Group:
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
            every = np.ones_like(inside)
            for column, selection in zip(self.columns, selections, strict=True):
                every &= selection.chosen[places[column]]
            inside |= every
        return inside


@dataclass(frozen=True)
class Cells:
    """The occupied cells of a facet's table: places by column, rows in each, and each cell's stratum.

    Strata are numbered in the order of their values, in which Clarify adds them up; none is -1.
    """

    places: Places
    rows: Floats
    strata: npt.NDArray[np.int64]

    def where(self, kept: Flags) -> Cells:
        """Return only some of the cells."""
        places = {name: places[kept] for name, places in self.places.items()}
        return Cells(places, self.rows[kept], self.strata[kept])


@dataclass(frozen=True)
class Reading:
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


def _ranks(values: Sequence[Kept]) -> npt.NDArray[np.int64]:
    """Return for each place the rank of its value, numbers before text; -1 for missing cells."""
    ordered = sorted(range(len(values)), key=lambda index: _sort_key(values[index]))
    return np.array([-1, *np.argsort(ordered)], dtype=np.int64)


def _sort_key(value: Kept) -> tuple[int, float, str]:
    if isinstance(value, (str, Beyond)):
        return (1, 0.0, value if isinstance(value, str) else "")
    number = as_number(value)
    return (0, math.inf if number is None else number, "")


def counts_of(cells: Cells, group: Group, reading: Reading, plan: SummaryPlan) -> Tables:
    """Return the counts of a group against all other rows."""
    outcomes = ((plan.request.label, reading.labels), (plan.prediction, reading.predictions))
    missing = _any_missing(cells, group.columns)
    missing_rows = int(cells.rows[missing].sum())
    incomplete = 0
    if reading.leave_out:
        cells = cells.where(~missing)
        lacking = _any_missing(
            cells, [name for name, selection in outcomes if name and selection is not None]
        )
        incomplete = int(cells.rows[lacking].sum())
        cells = cells.where(~lacking)
    inside = group.contains(cells.places)
    observed, predicted = (
        np.zeros(len(cells.rows), dtype=np.int64)
        if name is None or selection is None
        else selection.chosen[cells.places[name]].astype(np.int64)
        for name, selection in outcomes
    )
    key = (inside * 2 + observed) * 2 + predicted
    confusion = np.bincount(key, weights=cells.rows, minlength=8).reshape(2, 2, 2)
    strata = {}
    if plan.request.group_variable is not None:
        if reading.labels is not None:
            strata["CDDL"] = _strata(cells, inside, observed)
        if reading.predictions is not None:
            strata["CDDPL"] = _strata(cells, inside, predicted)
    return Tables(confusion, strata, missing_rows, incomplete)


def _any_missing(cells: Cells, columns: Iterable[str]) -> Flags:
    missing = np.zeros(len(cells.rows), dtype=np.bool_)
    for column in columns:
        missing |= cells.places[column] == 0
    return missing


def _strata(cells: Cells, inside: Flags, outcome: npt.NDArray[np.int64]) -> Floats:
    """Return ``counts[stratum, facet, outcome]`` of strata that have rows, without rows of no stratum."""
    known = cells.strata >= 0
    key = (cells.strata[known] * 2 + inside[known]) * 2 + outcome[known]
    counts = np.bincount(key, weights=cells.rows[known], minlength=4)
    strata = np.append(counts, np.zeros(-len(counts) % 4)).reshape(-1, 2, 2)
    return np.asarray(strata[strata.sum(axis=(1, 2)) > 0])
