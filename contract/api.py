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
from typing import TYPE_CHECKING, Any, Literal, Protocol

from contract.schema import Fields

if TYPE_CHECKING:
    import pyarrow as pa

    from contract.settings import Settings
    from readers.dataset import Dataset, Plan


# ``constraint_violations.json``: what is no longer as it was.


class CheckType(StrEnum):
    """The stable reason codes of data-quality violations."""

    DATA_TYPE = "data_type_check"
    COMPLETENESS = "completeness_check"
    CATEGORICAL_VALUES = "categorical_values_check"
    BASELINE_DRIFT = "baseline_drift_check"
    MISSING_COLUMN = "missing_column_check"
    EXTRA_COLUMN = "extra_column_check"
    # Not among the originals', which suggest is_non_negative and never look at it.
    RANGE = "value_range_check"


# Members of bias violations that the original file has before others.
_LEADING = ("version",)
_BEFORE_METRIC = ("facet", "facet_value")


@dataclass
class Violation:
    """One violation. Data quality names a feature; model quality names a metric."""

    constraint_check_type: str
    description: str
    feature_name: str | None = None
    metric_name: str | None = None
    extra: dict[str, Any] = field(default_factory=dict)

    @property
    def subject(self) -> str:
        """Return what it is about: a feature, or a metric, and whose."""
        subject = self.feature_name or self.metric_name or ""
        if "facet" not in self.extra:
            return subject
        return f"{subject} of {self.extra['facet']} {self.extra.get('facet_value', '')}"


@dataclass
class Violations:
    """The whole document."""

    violations: list[Violation] = field(default_factory=list)
    extra: dict[str, Any] = field(default_factory=dict)


def read_violations(value: dict[str, Any], where: str) -> Violations:
    """Build the document from parsed JSON."""
    fields = Fields(value, where)
    members = fields.children("violations")
    return Violations([_read_violation(member) for member in members], fields.extra())


def _read_violation(fields: Fields) -> Violation:
    return Violation(
        constraint_check_type=fields.get("constraint_check_type", str),
        description=fields.get("description", str),
        feature_name=fields.get("feature_name", str, None),
        metric_name=fields.get("metric_name", str, None),
        extra=fields.extra(),
    )


def violations_to_json(document: Violations) -> dict[str, Any]:
    """Return the document as JSON values."""
    first = {key: document.extra[key] for key in _LEADING if key in document.extra}
    return {
        **first,
        "violations": [_to_json(violation) for violation in document.violations],
        **document.extra,
    }


def _to_json(violation: Violation) -> dict[str, Any]:
    members: dict[str, Any] = {}
    if violation.feature_name is not None:
        members["feature_name"] = violation.feature_name
    members["constraint_check_type"] = violation.constraint_check_type
    members["description"] = violation.description
    members |= {key: violation.extra[key] for key in _BEFORE_METRIC if key in violation.extra}
    if violation.metric_name is not None:
        members["metric_name"] = violation.metric_name
    return {**members, **violation.extra}


@dataclass(frozen=True)
class Baseline[Statistics, Constraints]:
    """The documents a window is compared with; either may be absent."""

    statistics: Statistics | None = None
    constraints: Constraints | None = None


@dataclass(frozen=True)
class Declared:
    """What a baseline says a column is; `spelling` is how it writes false and true, `span` its range."""

    kind: Literal["number", "boolean", "date", "text"]
    spelling: tuple[str, str] | None = None
    span: tuple[float, float] | None = None


def _nothing_declared(baseline: Any) -> Mapping[str, Declared]:
    return {}


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
    declared
        What the baseline says of the cells of columns, by name: a window is read accordingly.
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
    declared: Callable[[Baseline[Statistics, Constraints]], Mapping[str, Declared]] = _nothing_declared
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


# One kind of monitoring, as an image offers it: what the job needs to know and nothing more.


MakeAnalyzer = Callable[["Settings", "Plan"], "AnyAnalyzer"]


@dataclass(frozen=True)
class Monitor:
    """One kind of monitoring, as an image offers it.

    Parameters
    ----------
    program
        Name of the console command.
    description
        One line for ``--help``.
    analysis_types
        Values of ``analysis_type`` it serves.
    load_documents
        Returns how its files are read and written.
    make_analyzer
        Makes the analyzer from settings and plan; None where `arrange` says how.
    arrange
        For monitors with a configuration file that says how the data is read: returns what to read, and
        how to make the analyzer, from the settings and what they say alone.
    adjust
        For monitors with a configuration file that adds to the settings: returns them with that.

    Notes
    -----
    The functions are called when the settings are good, so their imports belong inside them: mistakes
    are then reported at once.
    """

    program: str
    description: str
    analysis_types: tuple[str, ...]
    load_documents: Callable[[], DocumentSet[Any, Any]]
    make_analyzer: MakeAnalyzer | None = None
    arrange: Callable[[Settings, Dataset], tuple[Dataset, MakeAnalyzer]] | None = None
    adjust: Callable[[Settings], Settings] | None = None

    def adjusted(self, settings: Settings) -> Settings:
        """Return the settings with what the monitor's configuration adds to them.

        Raises
        ------
        InputError
            When the configuration is at fault.
        """
        return settings if self.adjust is None else self.adjust(settings)

    def arranged(self, settings: Settings, request: Dataset) -> tuple[Dataset, MakeAnalyzer]:
        """Return what to read, and how to make the analyzer.

        Raises
        ------
        InputError
            When the monitor's configuration is at fault.
        TypeError
            When the monitor has neither `arrange` nor `make_analyzer`.
        """
        if self.arrange is not None:
            return self.arrange(settings, request)
        if self.make_analyzer is None:
            raise TypeError(f"{self.program} needs make_analyzer or arrange")
        return request, self.make_analyzer
