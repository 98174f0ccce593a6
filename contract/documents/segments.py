"""Segments in ``statistics.json``: the member ``segments``, beside any monitor's statistics.

Each entry is a statistics document of its own with two more members: ``segment``, an object of column and
value (null where it is missing), and ``item_count``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from contract.analyzer import Baseline, DocumentSet
from contract.documents.fields import Fields
from contract.errors import DocumentError

_SEGMENTS = "segments"
_LEFT_OUT = "segments_left_out"


@dataclass
class Segment[Statistics]:
    """Statistics of the rows that have these values; None for a missing value."""

    values: dict[str, str | None]
    item_count: int
    statistics: Statistics

    def key(self, columns: Sequence[str]) -> tuple[str | None, ...]:
        """Return the values in the order of `columns`; in their own order where the names are others.

        A column may have a name in one dataset and a position in another.
        """
        if set(columns) == set(self.values):
            return tuple(self.values[column] for column in columns)
        return tuple(self.values.values())

    @property
    def text(self) -> str:
        """Return the segment as people read it."""
        return ", ".join(
            f"{column} missing" if value is None else f"{column}={value}"
            for column, value in self.values.items()
        )


@dataclass
class SegmentedStatistics[Statistics]:
    """Statistics of all rows, of the largest segments, and the rows in neither of those."""

    whole: Statistics
    segments: list[Segment[Statistics]] = field(default_factory=list)
    rows_left_out: int = 0


def segmented_documents(documents: DocumentSet[Any, Any]) -> DocumentSet[SegmentedStatistics[Any], Any]:
    """Return how a monitor's documents are read and written when there are segments.

    Parameters
    ----------
    documents
        The monitor's own. Constraints stay as they are: those of a segment follow from its statistics.
    """

    def read(value: dict[str, Any], where: str) -> SegmentedStatistics[Any]:
        whole = {key: member for key, member in value.items() if key not in (_SEGMENTS, _LEFT_OUT)}
        members = Fields(value, where).children(_SEGMENTS, [])
        segments = [_read_segment(member, documents) for member in members]
        return SegmentedStatistics(documents.read_statistics(whole, where), segments)

    def write(statistics: SegmentedStatistics[Any], with_extensions: bool) -> dict[str, Any]:
        written = documents.write_statistics(statistics.whole, with_extensions)
        written[_SEGMENTS] = [
            {
                "segment": segment.values,
                "item_count": segment.item_count,
                **documents.write_statistics(segment.statistics, with_extensions),
            }
            for segment in statistics.segments
        ]
        if statistics.rows_left_out:
            written[_LEFT_OUT] = {"item_count": statistics.rows_left_out}
        return written

    def column_names(baseline: Baseline[SegmentedStatistics[Any], Any]) -> tuple[str, ...] | None:
        statistics = baseline.statistics
        return documents.column_names(
            baseline if statistics is None else replace(baseline, statistics=statistics.whole)
        )

    return DocumentSet(
        read_statistics=read,
        write_statistics=write,
        read_constraints=documents.read_constraints,
        write_constraints=documents.write_constraints,
        column_names=column_names,
        further_files=lambda statistics, constraints: documents.further_files(statistics.whole, constraints),
        occasional_files=documents.occasional_files,
        constraints_names=documents.constraints_names,
    )


def _read_segment(fields: Fields, documents: DocumentSet[Any, Any]) -> Segment[Any]:
    values = fields.get("segment", dict)
    if not all(value is None or isinstance(value, str) for value in values.values()):
        raise DocumentError(f"{fields.where}.segment must hold texts, or null for missing values.")
    count = fields.get("item_count", int)
    own = {key: member for key, member in fields.value.items() if key not in ("segment", "item_count")}
    return Segment(values, count, documents.read_statistics(own, fields.where))
