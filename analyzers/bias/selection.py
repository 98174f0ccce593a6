"""Which values of a column a request selects, as both sets of rules need it."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from analyzers.bias.cells import as_number
from analyzers.bias.column_summary import Beyond, ColumnSummary, Kept
from analyzers.bias.request import Value

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
    return np.array([False, *(_is_above(value, index, threshold, cut=cut) for value in column.values)])


def _is_above(value: Kept, index: int, threshold: float, *, cut: bool) -> bool:
    if isinstance(value, Beyond):
        return index >= 0 and (value.truncated_above if cut else value.above)[index]
    number = as_number(value)
    if number is None or math.isnan(number):
        return False
    return (math.trunc(number) if cut and math.isfinite(number) else number) > threshold


def interval_text(threshold: float, greatest: float, *, whole: bool) -> str:
    """Return ``(threshold, greatest]``, the smaller first, as pandas prints an interval."""
    ends = sorted((threshold, greatest))
    if whole and all(math.isfinite(end) for end in ends):
        return f"({int(ends[0])}, {int(ends[1])}]"
    return f"({float(ends[0])}, {float(ends[1])}]"


def values_text(values: tuple[Value, ...]) -> str:
    """Return listed values as Clarify prints them."""
    return ",".join(str(value) for value in values)
