"""What a check concludes, and the values that are published: the vocabulary of all monitors."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any, ClassVar, NamedTuple

import orjson

from contract.schema import REQUIRED, gathered, member, number, objects_of, of_kind, pair, read_document

# ``constraint_violations.json``: what is no longer as it was.


# Of what is there at all: predictions, labels.
PRESENCE_CHECK = "presence_check"
# Of what moved the same way in many windows, each too small to show it.
LASTING_CHECK = "lasting_change_check"


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


@dataclass
class Violation:
    """One violation. Data quality names a feature; model quality names a metric."""

    # As the original files have them; the facet is one of `extra`.
    order: ClassVar = ("feature_name", "constraint_check_type", "description", "facet", "facet_value")
    constraint_check_type: str = member(of_kind(str), REQUIRED)
    description: str = member(of_kind(str), REQUIRED)
    feature_name: str | None = member(of_kind(str))
    metric_name: str | None = member(of_kind(str))
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

    order: ClassVar = ("version", "violations")
    violations: list[Violation] = member(objects_of(Violation), [], written="always")
    extra: dict[str, Any] = field(default_factory=dict)


def read_violations(value: dict[str, Any], where: str) -> Violations:
    """Build the document from parsed JSON."""
    with gathered(value, where) as members:
        violations = [read_document(Violation, each) for each in members.children("violations")]
        return Violations(violations, members.extra())


@dataclass(frozen=True)
class Metric:
    """One value to publish, in CloudWatch's terms.

    Exactly one of `value` and `statistic_values` (``SampleCount, Sum, Minimum, Maximum``) is set.

    Parameters
    ----------
    dimensions
        Tell values of one name apart, beside the endpoint's and the schedule's names.
    interval
        The 95 % interval of `value`; None where there is none.
    gauge
        The name in Prometheus and OpenTelemetry, where a label and not the name says what it is of.
        `statistic_values` are gauges of this name with ``_count``, ``_sum``, ``_min`` and ``_max``.
    labels
        Of the gauge, besides `dimensions`; None for ``metric``, which is `name`.
    """

    name: str = member(of_kind(str), REQUIRED)
    value: float | None = member(number)
    statistic_values: dict[str, float] | None = member(of_kind(dict))
    unit: str | None = None
    dimensions: Mapping[str, str] = member(of_kind(dict), {}, written="if any")
    interval: tuple[float, float] | None = member(pair)
    gauge: str = "model_monitor_value"
    labels: Mapping[str, str] | None = None


@dataclass(frozen=True)
class Facts:
    """What log and history say of a run's statistics.

    Parameters
    ----------
    notes
        Sentences on what was seen on the way.
    item_count, unlabelled_count
        Rows with a label, and rows without; both None where labels play no part.
    positional
        Whether the columns came without names.
    rows
        Rows read, where ``dataset.item_count`` of the statistics does not say so.
    """

    notes: tuple[str, ...] = ()
    item_count: int | None = None
    unlabelled_count: int | None = None
    positional: bool = False
    rows: int | None = None


# The part of a comparison that says where numbers moved to, which is no violation in a single window.
SHIFT = "shift"


class Shift(NamedTuple):
    """How a window moved to one side, in figures that add up over windows.

    `by` is in what share of pairs a value of the window is larger than one of the baseline, less one half;
    `error` its standard error by chance in this window, `baseline_error` that by chance in the baseline, and
    `limit` what is allowed.
    """

    by: float
    error: float
    baseline_error: float
    limit: float


@dataclass(frozen=True)
class Finding:
    """One line of the summary a person reads: how far a feature moved, whether or not it violates.

    `limit` is what is allowed and `noise` what chance alone explains, both in the unit of `distance`; None
    where there is no such number. `value` is what was measured, where that is another figure than `distance`,
    `interval` its 95 % interval, and `expected` what it is held to. `shift` says where numbers moved to.
    """

    subject: str
    text: str
    distance: float | None = None
    violated: bool = False
    limit: float | None = None
    noise: float | None = None
    value: float | None = None
    expected: float | None = None
    interval: tuple[float, float] | None = None
    shift: Shift | None = None


class State(StrEnum):
    """How a comparison ends."""

    VIOLATED = "violated"
    HOLDS = "holds"
    CHANGED = "changed_within_limit"
    UNDECIDED = "not_decided"


class Part(NamedTuple):
    """How far one aspect of a comparison moved, in limits, and whether that is beyond chance and limit.

    The sign says which way, where there are two.
    """

    excess: float
    violated: bool


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
    parts
        What it is made of where that is several things, such as a distance and shares of rows.
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
    parts: Mapping[str, Part] = field(default_factory=dict)

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
    notes: tuple[str, ...] = ()
    comparisons: tuple[Comparison, ...] = ()
    reason: str = ""

    def with_tested(self, comparison: Comparison, of: Violation, rate: float) -> "Decision":
        """Return the decision with one more comparison, whose state follows from its figures.

        It is violated, as `of` says, where its effect is beyond its limit and chance would do that less often
        than `rate`.
        """
        violations, state = self.violations, State.HOLDS
        effect, limit, p_value = comparison.effect or 0.0, comparison.limit or 0.0, comparison.p_value
        if p_value is not None and p_value < rate:
            state = State.VIOLATED if effect > limit else State.CHANGED
        if state is State.VIOLATED:
            found = replace(of, description=comparison.text)
            violations = replace(violations, violations=[*violations.violations, found])
        comparisons = (*self.comparisons, replace(comparison, state=state))
        return replace(self, violations=violations, comparisons=comparisons)

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


# ``comparisons.json``: every comparison that was asked for, and how it ended; beside the violations.


def dump_comparisons(decision: Decision) -> bytes:
    """Return the document, without members that have nothing to say.

    What holds in a segment is counted only: fifty segments of hundreds of features would fill megabytes.
    """
    document = {
        "version": 1,
        "decided": len(decision.comparisons) - len(decision.undecided),
        "not_decided": len(decision.undecided),
        "because": decision.why_undecided or None,
        "comparisons": [
            # A figure of 0 says something, unlike False.
            {
                key: one
                for key, one in vars(comparison).items()
                if one not in ("", None, {}) and one is not False and key != "parts"
            }
            for comparison in decision.comparisons
            if not (comparison.segment and comparison.state is State.HOLDS)
        ],
    }
    # Which writes null for infinity.
    return orjson.dumps(document, option=orjson.OPT_INDENT_2 | orjson.OPT_SERIALIZE_NUMPY) + b"\n"
