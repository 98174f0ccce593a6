"""Decisions per segment, all of a job's checks together within one budget of false alarms."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from contract.api import (
    Baseline,
    Checker,
    Comparison,
    Decision,
    DocumentSet,
    Finding,
    State,
    Violation,
    Violations,
)
from contract.errors import wording
from contract.schema import JsonObject
from contract.wording import several, some_of

# Segments in ``statistics.json``: the member ``segments``, beside any monitor's statistics.
#
# Each entry is a statistics document of its own with two more members: ``segment``, an object of column and
# value (null where it is missing), and ``item_count``.


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


SegmentedBaseline = Baseline[SegmentedStatistics[Any], Any]


def whole_baseline(baseline: SegmentedBaseline | None) -> Baseline[Any, Any] | None:
    """Return the baseline without its segments, as the inner analyzer knows it."""
    if baseline is None or baseline.statistics is None:
        return baseline
    return replace(baseline, statistics=baseline.statistics.whole)


def expected_segments(baseline: SegmentedBaseline) -> Sequence[Segment[Any]]:
    """Return the baseline's segments."""
    return baseline.statistics.segments if baseline.statistics else ()


def segmented_documents(documents: DocumentSet[Any, Any]) -> DocumentSet[SegmentedStatistics[Any], Any]:
    """Return how a monitor's documents are read and written when there are segments.

    Parameters
    ----------
    documents
        The monitor's own. Constraints stay as they are: those of a segment follow from its statistics.
    """

    def read(value: dict[str, Any], where: str) -> SegmentedStatistics[Any]:
        whole = {key: member for key, member in value.items() if key not in (_SEGMENTS, _LEFT_OUT)}
        members = JsonObject.of_file(value, where).children(_SEGMENTS, [])
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

    return replace(
        documents,
        read_statistics=read,
        write_statistics=write,
        declared=lambda baseline: documents.declared(whole_baseline(baseline) or Baseline()),
        column_names=lambda baseline: documents.column_names(whole_baseline(baseline) or Baseline()),
        further_files=lambda statistics, constraints: documents.further_files(statistics.whole, constraints),
    )


def _read_segment(members: JsonObject, documents: DocumentSet[Any, Any]) -> Segment[Any]:
    values = members.get("segment", dict)
    if not all(value is None or isinstance(value, str) for value in values.values()):
        members.wrong("segment", "an object of texts, or null for missing values")
    count = members.get("item_count", int)
    own = documents.read_statistics(members.extra(), f"{members.mistakes.where}: {members.path}")
    return Segment(values, count, own)


# Half of the false alarms a job may raise are the whole's, as the whole is what a job is about.
WHOLE_SHARE = 0.5
# Below this, on either side, a segment's checks could find nothing but a collapse.
FEWEST_ROWS = 30
SEGMENT_CHECK = "segment_check"
_MOST_LISTED = 8
_NUMBER = re.compile(r"\d[\d.,]*")


@dataclass(frozen=True)
class _Checked:
    """A segment and what its check concluded."""

    segment: Segment[Any]
    decision: Decision

    @property
    def violations(self) -> list[Violation]:
        """Return what the check found."""
        return self.decision.violations.violations

    @property
    def finding(self) -> Finding:
        """Return how many violations there are, as a finding of the whole."""
        count = len(self.violations)
        text = f"{several(count, 'violation')} in {several(self.segment.item_count, 'row')}"
        return Finding(f"segment {self.segment.text}", text, violated=count > 0)

    @property
    def severity(self) -> tuple[bool, float, int, float]:
        """Return a value that is larger the worse the segment is.

        Any violation, then the largest move that is one, then how many there are, then the largest move.
        """
        moves = [(one.distance, one.violated) for one in self.decision.findings if one.distance is not None]
        significant = max((distance for distance, violated in moves if violated), default=0.0)
        largest = max((distance for distance, _ in moves), default=0.0)
        return bool(self.violations), significant, len(self.violations), largest


def named_alike(segments: Sequence[Segment[Any]], expected: Sequence[Segment[Any]]) -> list[Segment[Any]]:
    """Return the segments with positions replaced by the names that the baseline's segments have for them."""
    if not segments or not expected:
        return list(segments)
    columns, names = list(segments[0].values), list(expected[0].values)
    titles = [name if column.isdecimal() else column for column, name in zip(columns, names, strict=False)]
    known = {segment.key(names) for segment in expected}
    if len(names) != len(columns) or len(set(titles)) != len(titles):
        return list(segments)
    if not any(tuple(segment.values.values()) in known for segment in segments):
        return list(segments)
    return [
        replace(segment, values=dict(zip(titles, segment.values.values(), strict=True)))
        for segment in segments
    ]


def check_segments(
    analyzer: Checker[Any, Any], statistics: SegmentedStatistics[Any], segmented: SegmentedBaseline
) -> Decision:
    """Compare the whole with its baseline and each segment with the same segment of the baseline.

    A segment's constraints are those its baseline statistics suggest, with what an expert changed in the
    constraints of the whole.

    Parameters
    ----------
    analyzer
        Of the whole and of a segment alike.
    statistics
        The window's.
    segmented
        The baseline.

    Returns
    -------
    Decision
        Violations of the whole first, then those of the segments, the worst segment first. Findings stay
        the whole's, with one per segment behind them.
    """
    expected, baseline = expected_segments(segmented), whole_baseline(segmented) or Baseline()
    columns = list(statistics.segments[0].values) if statistics.segments else []
    known = {segment.key(columns): segment for segment in expected}
    new = [segment for segment in statistics.segments if segment.key(columns) not in known]
    pairs = [
        (segment, before, min(segment.item_count, before.item_count))
        for segment in statistics.segments
        if (before := known.get(segment.key(columns)))
    ]
    comparable = [(segment, before) for segment, before, rows in pairs if rows >= FEWEST_ROWS]
    small = [(segment, rows) for segment, _, rows in pairs if rows < FEWEST_ROWS]
    matched = {id(before) for _, before, _ in pairs}
    gone = [before for before in expected if id(before) not in matched]
    whole = (analyzer.with_error_share(WHOLE_SHARE) if comparable else analyzer).check(
        statistics.whole, baseline
    )
    inner = analyzer.with_error_share((1.0 - WHOLE_SHARE) / max(1, len(comparable)))
    checked = []
    for segment, before in comparable:
        of_segment = Baseline(before.statistics, inner.suggest(before.statistics, baseline))
        checked.append(_Checked(segment, inner.check(segment.statistics, of_segment)))
    checked.sort(key=lambda one: one.severity, reverse=True)
    said = {violation.description for violation in whole.violations.violations}
    violations = [violation for one in checked for violation in _violations(one, said)]
    comparisons = [
        replace(comparison, segment=one.segment.values)
        for one in checked
        for comparison in one.decision.comparisons
    ]
    # A segment of which nothing could be compared is a comparison itself.
    too_small = f"segments have fewer than {FEWEST_ROWS} rows"
    comparisons += [_undecided(segment, too_small) for segment, _ in small]
    for before in gone:
        # Where this window has too many segments to keep, it may be among those left out.
        lost = before.item_count >= FEWEST_ROWS and not statistics.rows_left_out
        comparisons.append(_undecided(before, f"the window has no rows of the segment {before.text}", lost))
    if statistics.segments and not expected:
        notes = [wording("segments.no_baseline")]
    elif statistics.segments and not pairs:
        notes = [wording("segments.other_baseline", by=", ".join(expected[0].values))]
    else:
        notes = _notes(statistics, checked, new, gone, small)
    return Decision(
        Violations([*whole.violations.violations, *violations], whole.violations.extra),
        (*whole.findings, *(one.finding for one in checked)),
        (*whole.notes, *notes),
        (*whole.comparisons, *comparisons),
        whole.reason,
    )


def _undecided(segment: Segment[Any], reason: str, lost: bool = False) -> Comparison:
    about = Comparison(f"segment {segment.text}", SEGMENT_CHECK, State.UNDECIDED, segment=segment.values)
    return replace(about, reason=reason, lost=lost)


def _violations(one: _Checked, said: set[str]) -> list[Violation]:
    """Return a segment's violations, without those that the whole has in the same words: a missing column."""
    return [
        replace(
            violation,
            description=f"In the segment {one.segment.text}: {violation.description}",
            extra={**violation.extra, "segment": one.segment.values},
        )
        for violation in one.violations
        if violation.description not in said
    ]


def _notes(
    statistics: SegmentedStatistics[Any],
    checked: list[_Checked],
    new: list[Segment[Any]],
    gone: list[Segment[Any]],
    small: list[tuple[Segment[Any], int]],
) -> list[str]:
    listed = {
        "Worst segments, with the number of their violations": [
            f"{one.segment.text} ({len(one.violations)})" for one in checked if one.violations
        ],
        "Segments the baseline does not have, measured and not checked": [one.text for one in new],
        "Segments of the baseline that are not among this window's": [one.text for one in gone],
        f"Segments too small to decide (fewer than {FEWEST_ROWS} rows)": [
            f"{segment.text} ({several(rows, 'row')})" for segment, rows in small
        ],
    }
    notes = [f"{title}: {some_of(texts, _MOST_LISTED)}." for title, texts in listed.items() if texts]
    notes += _notes_of_segments(checked)
    if statistics.rows_left_out:
        rows, kept = several(statistics.rows_left_out, "row"), len(statistics.segments)
        notes.append(wording("segments.left_out", rows=rows, kept=kept))
    return notes


def _notes_of_segments(checked: list[_Checked]) -> list[str]:
    """Return the segments' own notes, those that differ in their numbers only told once."""
    alike: dict[str, list[tuple[_Checked, str]]] = {}
    for one in checked:
        for note in one.decision.notes:
            alike.setdefault(_NUMBER.sub("#", note), []).append((one, note))
    notes = []
    for group in alike.values():
        first, note = group[0]
        where = f"the segment {first.segment.text}"
        if len(group) > 1:
            where = f"{len(group)} segments, such as {first.segment.text}"
        notes.append(f"In {where}: {note}")
    return notes[:_MOST_LISTED]
