"""What a job knows of an analyzer: an algebra over mergeable summaries, and the documents it fills.

``summarize`` turns the record batches of one split into a summary; ``merge`` combines two summaries
and is associative, with ``empty()`` as identity. So a dataset can be split over threads, processes or
machines and the results combined in order.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
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
    where there is no such number.
    """

    subject: str
    text: str
    distance: float | None = None
    violated: bool = False
    limit: float | None = None
    noise: float | None = None


@dataclass(frozen=True)
class Decision:
    """What `check` concludes: the violations, and what was seen on the way."""

    violations: Violations
    findings: tuple[Finding, ...] = ()
    notes: tuple[str, ...] = field(default=())


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
