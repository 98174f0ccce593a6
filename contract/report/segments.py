"""Segments on the page: who is affected most."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from contract.documents.violations import Violation
from contract.report.view import Cell, Row, Section, Source, Table
from contract.report.words import count, short


def segment_text(violation: Violation) -> str:
    """Return the segment a violation is about as people read it, empty for all rows."""
    values = violation.extra.get("segment")
    return values_text(values) if isinstance(values, Mapping) else ""


def values_text(values: Mapping[str, Any]) -> str:
    """Return a segment as people read it."""
    return ", ".join(
        f"{short(name, 60)} missing" if value is None else f"{short(name, 60)} = {short(str(value), 60)}"
        for name, value in values.items()
    )


def violation_counts(source: Source) -> dict[str, int]:
    """Return how many violations each segment has."""
    found: dict[str, int] = {}
    for violation in source.violations:
        if text := segment_text(violation):
            found[text] = found.get(text, 0) + 1
    return found


def decided_segments(source: Source) -> set[str]:
    """Return the segments of which anything was decided."""
    comparisons = source.decision.comparisons if source.decision else ()
    return {values_text(one.segment) for one in comparisons if one.segment and one.is_decided}


def violations_cell(violations: int, is_decided: bool) -> Cell:
    """Return how many violations a segment has; that nothing was decided of it is not none."""
    if violations or is_decided:
        return Cell(count(violations), violations)
    return Cell("not decided")


def segment_section(source: Source) -> list[Section]:
    """Return the section that lists the segments with their rows and violations; none without segments."""
    segments = source.statistics.get("segments") or ()
    if not segments:
        return []
    found = violation_counts(source)
    before = {
        values_text(entry["segment"]): entry["item_count"]
        for entry in source.baseline_statistics.get("segments") or ()
    }
    decided = decided_segments(source)
    rows = []
    for entry in segments:
        text = values_text(entry["segment"])
        violations = found.get(text, 0)
        cells = [
            Cell(text),
            Cell(count(before[text]) if text in before else "–", before.get(text)),
            Cell(count(entry["item_count"]), entry["item_count"]),
            violations_cell(violations, text in decided),
        ]
        rows.append(Row(cells, violated=violations > 0))
    table = Table(
        "One row per segment.",
        ["segment", "rows, baseline", "rows, now", "violations"],
        rows,
        frozenset({1, 2, 3}),
        searchable=len(rows) > 10,
    )
    return [Section("Segments", "The same analysis for each part of the rows.", tables=[table])]
