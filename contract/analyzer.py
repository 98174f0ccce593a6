"""What a job knows of an analyzer: an algebra over mergeable summaries, and the documents it fills.

``summarize`` turns the record batches of one split into a summary; ``merge`` combines two summaries
and is associative, with ``empty()`` as identity. So a dataset can be split over threads, processes or
machines and the results combined in order.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Protocol

from contract.documents.violations import Violations

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True)
class Baseline[Statistics, Constraints]:
    """The documents a window is compared with; either may be absent."""

    statistics: Statistics | None = None
    constraints: Constraints | None = None


def _no_further_files(statistics: Any, constraints: Any) -> Mapping[str, Any]:
    return {}


@dataclass(frozen=True)
class DocumentSet[Statistics, Constraints]:
    """How one kind of monitor reads and writes its documents.

    Parameters
    ----------
    read_statistics, read_constraints
        From parsed JSON and the path for messages; raise DocumentError.
    write_statistics
        To JSON values; the flag says whether to write members that the originals do not have.
    write_constraints
        To JSON values.
    column_names
        The names that data without names takes from the baseline; None when it takes none.
    further_files
        Files beyond the three that every job writes: JSON values, or text and bytes written as they are, by
        path below the output folder.
    occasional_files
        Paths of those that not every job writes: what an earlier job left there is removed.
    constraints_names
        File names that a folder given as ``baseline_constraints`` may hold, the first found is read.
    """

    read_statistics: Callable[[dict[str, Any], str], Statistics]
    write_statistics: Callable[[Statistics, bool], dict[str, Any]]
    read_constraints: Callable[[dict[str, Any], str], Constraints]
    write_constraints: Callable[[Constraints], dict[str, Any]]
    column_names: Callable[[Baseline[Statistics, Constraints]], tuple[str, ...] | None]
    further_files: Callable[[Statistics, Constraints], Mapping[str, Any]] = _no_further_files
    occasional_files: tuple[str, ...] = ()
    constraints_names: tuple[str, ...] = ("constraints.json",)


@dataclass(frozen=True)
class Metric:
    """One value to publish, in CloudWatch's terms.

    Exactly one of `value` and `statistic_values` (``SampleCount, Sum, Minimum, Maximum``) is set.
    `dimensions` tell values of one name apart, beside the endpoint's and the schedule's names.
    """

    name: str
    value: float | None = None
    statistic_values: dict[str, float] | None = None
    unit: str | None = None
    dimensions: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Finding:
    """One line of the summary a person reads: how far a feature moved, whether or not it violates.

    `limit` is what is allowed and `noise` what chance alone explains, both in the unit of `distance`; None
    where there is no such number. `value` is what was measured, where that is another figure than `distance`,
    and `expected` what it is held to.
    """

    subject: str
    text: str
    distance: float | None = None
    violated: bool = False
    limit: float | None = None
    noise: float | None = None
    value: float | None = None
    expected: float | None = None


class State(StrEnum):
    """How a comparison ends."""

    VIOLATED = "violated"
    HOLDS = "holds"
    CHANGED = "changed_within_limit"
    UNDECIDED = "not_decided"


@dataclass(frozen=True)
class Comparison:
    """One comparison that was asked for, and how it ended.

    Parameters
    ----------
    subject
        The feature or metric, in the words of the violation's `subject`.
    check
        The ``constraint_check_type`` that its violation has.
    state
        Violated; holds; changed beyond chance but within the limit; not decided.
    text
        A sentence for people. Of an undecided comparison `reason` says it.
    reason
        Why it was not decided, as it goes on behind "because": ``no row has a label``.
    lost
        Whether the baseline has what an undecided comparison needs, and the window does not. This fails a
        gate, and such a window never becomes the baseline.
    value, expected
        What was measured, and what it is held to; None where `effect` and `limit` say the same.
    effect, limit, noise
        How far it moved (more is worse), what is allowed, and what chance alone explains, in one unit.
    p_value
        Probability of an effect as large when nothing has changed, before any correction for many tests.
    rows, baseline_rows
        How many values of the window and of the baseline were compared.
    segment
        The values of a segment, empty for all rows.
    """

    subject: str
    check: str
    state: State
    text: str = ""
    reason: str = ""
    lost: bool = False
    value: float | None = None
    expected: float | None = None
    effect: float | None = None
    limit: float | None = None
    noise: float | None = None
    p_value: float | None = None
    rows: int | None = None
    baseline_rows: int | None = None
    segment: Mapping[str, str | None] = field(default_factory=dict)

    @property
    def is_decided(self) -> bool:
        """Return whether it has an answer."""
        return self.state is not State.UNDECIDED


@dataclass(frozen=True)
class Decision:
    """What `check` concludes: the violations, every comparison, and what was seen on the way.

    `reason` says why there are no comparisons at all, where there are none.
    """

    violations: Violations
    findings: tuple[Finding, ...] = ()
    notes: tuple[str, ...] = field(default=())
    comparisons: tuple[Comparison, ...] = ()
    reason: str = ""

    @property
    def undecided(self) -> tuple[Comparison, ...]:
        """Return the comparisons without an answer."""
        return tuple(comparison for comparison in self.comparisons if not comparison.is_decided)

    @property
    def is_empty(self) -> bool:
        """Return whether nothing at all was decided. A violation outside of any comparison decides too."""
        decided = any(comparison.is_decided for comparison in self.comparisons)
        return not decided and not self.violations.violations

    @property
    def fails_gate(self) -> bool:
        """Return whether what was asked for was not decided: nothing at all, or what the baseline has."""
        return self.is_empty or any(comparison.lost for comparison in self.undecided)

    @property
    def why_undecided(self) -> str:
        """Return the reasons for what was not decided, the most frequent first; empty without any."""
        reasons = Counter(comparison.reason for comparison in self.undecided if comparison.reason)
        most = [reason for reason, _ in reasons.most_common(_MOST_REASONS)]
        more = [f"{len(reasons) - len(most)} more reasons"] if len(reasons) > len(most) else []
        return "; ".join([*most, *more]) or (self.reason if self.is_empty else "")


_MOST_REASONS = 3


class Analyzer[Summary, Statistics, Constraints](Protocol):
    """One kind of monitoring. Implementations are picklable: they travel to the workers."""

    def empty(self) -> Summary:
        """Return the identity of `merge`."""

    def summarize(self, batches: Iterable[pa.RecordBatch]) -> Summary:
        """Summarize the record batches of one split, in order, in bounded memory."""

    def merge(self, left: Summary, right: Summary) -> Summary:
        """Combine two summaries; associative. May reuse the memory of `left`."""

    def row_count(self, summary: Summary) -> int:
        """Return how many rows were summarized."""

    def describe(self, summary: Summary) -> Statistics:
        """Turn a summary into the statistics document."""

    def suggest(
        self, statistics: Statistics, baseline: Baseline[Statistics, Constraints] | None
    ) -> Constraints:
        """Suggest constraints. With a baseline, an expert's additions to it are carried over."""

    def check(self, statistics: Statistics, baseline: Baseline[Statistics, Constraints]) -> Decision:
        """Compare a window's statistics with the baseline."""

    def metrics(
        self,
        statistics: Statistics,
        baseline: Baseline[Statistics, Constraints] | None,
        decision: Decision | None,
    ) -> list[Metric]:
        """Return the values to publish."""


AnyAnalyzer = Analyzer[Any, Any, Any]


class Pass(Protocol):
    """A pass over rows that the caller hands on, instead of `Analyzer.summarize` asking for them."""

    def add(self, batch: pa.RecordBatch) -> None:
        """Take in the next rows."""

    def finish(self) -> Any:
        """Return the summary of all rows; the pass ends with it."""


class _MergingPass:
    """A pass of an analyzer that knows `summarize` and `merge` only."""

    def __init__(self, analyzer: AnyAnalyzer) -> None:
        self._analyzer = analyzer
        self._summary: Any = None

    def add(self, batch: pa.RecordBatch) -> None:
        rows = self._analyzer.summarize([batch])
        self._summary = rows if self._summary is None else self._analyzer.merge(self._summary, rows)

    def finish(self) -> Any:
        return self._analyzer.empty() if self._summary is None else self._summary


def begin_passes(analyzer: AnyAnalyzer) -> Callable[[], Pass]:
    """Return what begins a pass; several passes may take turns.

    An analyzer that goes on with a summary at less cost than by merging has a method ``begin_passes()``.
    """
    begin = getattr(analyzer, "begin_passes", None)
    if begin is None:
        return lambda: _MergingPass(analyzer)
    passes: Callable[[], Pass] = begin()
    return passes


def with_estimates(analyzer: AnyAnalyzer, statistics: Any, baseline: Baseline[Any, Any]) -> Any:
    """Return the statistics with what the analyzer can estimate from the baseline.

    An analyzer that can has a method ``estimate(statistics, baseline)``; others leave them as they are.
    """
    estimate = getattr(analyzer, "estimate", None)
    return statistics if estimate is None else estimate(statistics, baseline)
