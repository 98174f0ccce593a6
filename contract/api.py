"""The public types: what a monitor of one's own is made of. ``docs/extending.md`` shows one.

An analyzer is an algebra over mergeable summaries. ``summarize`` turns the record batches of one split
into a summary. ``merge`` combines two summaries and is associative, with ``empty()`` as identity. So a
dataset can be split over threads, processes or machines.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, Self

# What is imported here is part of the public types, too.
from contract.dataset import Dataset, Declared, Plan, Split
from contract.decision import LASTING_CHECK as LASTING_CHECK
from contract.decision import PRESENCE_CHECK as PRESENCE_CHECK
from contract.decision import SHIFT as SHIFT
from contract.decision import CheckType as CheckType
from contract.decision import Comparison, Decision, Facts, Metric
from contract.decision import Finding as Finding
from contract.decision import Part as Part
from contract.decision import Shift as Shift
from contract.decision import State as State
from contract.decision import Violation as Violation
from contract.decision import Violations as Violations
from contract.decision import read_violations as read_violations
from contract.errors import ConfigurationError
from contract.page import Body, Source
from contract.schema import write_document
from contract.settings import Program, Rules, Settings, Variable

if TYPE_CHECKING:
    import pyarrow as pa


VARIATION = "natural_variation"


@dataclass(frozen=True)
class Baseline[Statistics, Constraints]:
    """The documents a window is compared with; either may be absent.

    `variation` is what windows do by themselves, a dataclass of the job runner's; None where it is not known.
    `undecodable` is how many payloads behind the statistics could not be decoded. `unasked` names the columns
    of segments that the statistics have and the job does not ask for.
    """

    statistics: Statistics | None = None
    constraints: Constraints | None = None
    variation: Any = None
    undecodable: int = 0
    unasked: str = ""

    @property
    def natural_variation(self) -> dict[str, Any]:
        """Return the member of the constraints file that has the variation; none where it is not known."""
        return {} if self.variation is None else {VARIATION: write_document(self.variation)}


AnyBaseline = Baseline[Any, Any]


def _as_it_is(value: Any, *others: Any) -> Any:
    return dict(value)


class DocumentSet[Statistics, Constraints](NamedTuple):
    """How one kind of monitor reads and writes its documents; by default they are JSON values.

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
    not_in_baseline
        Paths of those that a new baseline goes without.
    column_types
        The type of each column by the constraints (``Integral``, ``Fractional``, ...), for a dry run; None
        where columns without constraints are no mistake.
    """

    read_statistics: Callable[[dict[str, Any], str], Statistics] = _as_it_is
    write_statistics: Callable[[Statistics, bool], dict[str, Any]] = _as_it_is
    read_constraints: Callable[[dict[str, Any], str], Constraints] = _as_it_is
    write_constraints: Callable[[Constraints], dict[str, Any]] = _as_it_is
    column_names: Callable[[Baseline[Statistics, Constraints]], tuple[str, ...] | None] = lambda _: None
    declared: Callable[[Baseline[Statistics, Constraints]], Mapping[str, Declared]] = lambda _: {}
    further_files: Callable[[Statistics, Constraints], Mapping[str, Any]] = lambda *_: {}
    occasional_files: tuple[str, ...] = ()
    constraints_names: tuple[str, ...] = ("constraints.json",)
    not_in_baseline: tuple[str, ...] = ()
    column_types: Callable[[Constraints], Mapping[str, str] | None] = lambda _: None


AnyDocuments = DocumentSet[Any, Any]


class Pass(Protocol):
    """A pass over rows that the caller hands on, instead of `Analyzer.summarize` asking for them."""

    def add(self, batch: pa.RecordBatch) -> None:
        """Take in the next rows."""

    def finish(self) -> Any:
        """Return the summary of all rows; the pass ends with it."""


class Checker[Statistics, Constraints](ABC):
    """What compares a window with its baseline. It needs no data."""

    @abstractmethod
    def suggest(
        self, statistics: Statistics, baseline: Baseline[Statistics, Constraints] | None
    ) -> Constraints:
        """Suggest constraints. With a baseline, an expert's additions to it are carried over."""

    @abstractmethod
    def check(self, statistics: Statistics, baseline: Baseline[Statistics, Constraints]) -> Decision:
        """Compare a window's statistics with the baseline."""

    def unanswered(self, baseline: Baseline[Statistics, Constraints], reason: str) -> tuple[Comparison, ...]:
        """Return what the baseline asks for, not decided for a reason: of a window without rows."""
        return ()

    def with_error_share(self, share: float) -> Self:
        """Return a checker that spends this share of the false alarms a job may raise."""
        return self

    def estimate(self, statistics: Statistics, baseline: Baseline[Statistics, Constraints]) -> Statistics:
        """Return the statistics with what can be estimated from the baseline."""
        return statistics

    def design_effects(self, statistics: Statistics) -> Mapping[str, float]:
        """Return the design effects in statistics: how many rows tell as much as one of its own."""
        return {}

    def with_design_effects(self, statistics: Statistics, effects: Mapping[str, float]) -> Statistics:
        """Return the statistics with other design effects, named alike."""
        return statistics


AnyChecker = Checker[Any, Any]


class Analyzer[Summary, Statistics, Constraints](Checker[Statistics, Constraints]):
    """One kind of monitoring. Implementations are picklable: they travel to the workers."""

    def of_one_dataset(self) -> Self:
        """Return an analyzer whose summaries are all merged into one: they may share something."""
        return self

    def empty(self) -> Summary:
        """Return the identity of `merge`: the summary of no rows."""
        return self.summarize(())

    @abstractmethod
    def summarize(self, batches: Iterable[pa.RecordBatch]) -> Summary:
        """Summarize the record batches of one split, in order, in bounded memory."""

    @abstractmethod
    def merge(self, left: Summary, right: Summary) -> Summary:
        """Combine two summaries; associative. May reuse the memory of `left`."""

    @abstractmethod
    def row_count(self, summary: Summary) -> int:
        """Return how many rows were summarized."""

    @abstractmethod
    def describe(self, summary: Summary) -> Statistics:
        """Turn a summary into the statistics document."""

    def metrics(
        self,
        statistics: Statistics,
        baseline: Baseline[Statistics, Constraints] | None,
        decision: Decision | None,
    ) -> list[Metric]:
        """Return the values to publish."""
        return []

    def facts(self, statistics: Statistics) -> Facts:
        """Return what log and history say of the statistics."""
        return Facts()

    def tried(self, statistics: Statistics) -> tuple[str, ...]:
        """Return a line for each thing that a dry run found in order, such as a model that answers."""
        return ()

    def begin_passes(self) -> Callable[[], Pass]:
        """Return what begins a pass; several passes may take turns.

        Override it where going on with a summary costs less than `merge`.
        """
        return lambda: _MergingPass(self)


AnyAnalyzer = Analyzer[Any, Any, Any]


class _MergingPass:
    """A pass by `summarize` and `merge`."""

    def __init__(self, analyzer: AnyAnalyzer) -> None:
        self._analyzer = analyzer
        self._summary: Any = None

    def add(self, batch: pa.RecordBatch) -> None:
        rows = self._analyzer.summarize([batch])
        self._summary = rows if self._summary is None else self._analyzer.merge(self._summary, rows)

    def finish(self) -> Any:
        return self._analyzer.empty() if self._summary is None else self._summary


MakeAnalyzer = Callable[[Settings, Plan], AnyAnalyzer]
# What to read, and how to make the analyzer.
Arranged = tuple[Dataset, MakeAnalyzer]


class Replay(NamedTuple):
    """How past windows of a monitor are checked again, from their statistics alone.

    Parameters
    ----------
    make_checker
        From rules, what the history's record says of the check (``checking``), and the statistics.
    has_written
        Whether the monitor writes such a statistics document.
    takes
        Whether it takes such a constraints document.
    recall
        Sets members of statistics that their file does not hold, from ``checking``.
    """

    make_checker: Callable[[Rules, Mapping[str, Any], Any], Checker[Any, Any]]
    has_written: Callable[[Mapping[str, Any]], bool]
    takes: Callable[[Mapping[str, Any]], bool]
    recall: Callable[[Any, Mapping[str, Any]], None] = lambda *_: None


@dataclass(frozen=True, kw_only=True)
class Monitor(Program):
    """One kind of monitoring, as an image offers it.

    Parameters
    ----------
    title
        Heading of the page.
    lead
        Sentence below it, where there are violations.
    load_documents
        Returns how its files are read and written.
    make_analyzer
        Makes the analyzer from settings and plan; None where `arrange` says how.
    arrange
        For monitors with a configuration file that says how the data is read: returns what to read, and
        how to make the analyzer, from the settings and what they say alone.
    adjust
        For monitors with a configuration file that adds to the settings: returns them with that.
    load_body
        Returns what makes the body of the page from the documents; None for a plain one.
    load_replay
        Returns how past windows are checked again; None where they cannot be.
    offers
        Which shared variables it has (see `contract.settings.Offer`).

    Notes
    -----
    The functions are called when the settings are good, so their imports belong inside them: mistakes
    are then reported at once.
    """

    title: str
    lead: str = "The window is not as the baseline was."
    load_documents: Callable[[], AnyDocuments] = DocumentSet
    make_analyzer: MakeAnalyzer | None = None
    arrange: Callable[[Settings, Dataset], Arranged] | None = None
    adjust: Callable[[Settings], Settings] | None = None
    load_body: Callable[[], Callable[[Source], Body]] | None = None
    load_replay: Callable[[], Replay] | None = None
    offers: frozenset[str] = frozenset({"analysis", "table", "script", "segments"})

    @property
    def name(self) -> str:
        """Return its name in records, such as ``data-quality`` of ``monitor-data-quality``."""
        return self.program.removeprefix("monitor-")

    def replay(self) -> Replay:
        """Return how past windows are checked again.

        Raises
        ------
        ConfigurationError
            When they cannot be.
        """
        if self.load_replay is None:
            raise ConfigurationError.of("monitor.no_replay", monitor=self.name)
        return self.load_replay()

    def adjusted(self, settings: Settings) -> Settings:
        """Return the settings with what the monitor's configuration adds to them.

        Raises
        ------
        InputError
            When the configuration is at fault.
        """
        return settings if self.adjust is None else self.adjust(settings)

    def arranged(self, settings: Settings, request: Dataset) -> Arranged:
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
