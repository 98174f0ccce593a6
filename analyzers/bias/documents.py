"""The documents of bias jobs.

``analysis.json`` has exactly Clarify's members. ``constraints.json`` has the same shape, and with each
metric may hold a ``confidence_interval``, a ``standard_error`` and what a user allows: ``allowed``, a range
``[low, high]``, or ``threshold``, the largest size. Both are read as constraints. ``statistics.json`` has,
for every facet value, the counts that all metrics follow from.
"""

import math
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any, Literal

from analyzers.bias.metrics import METRICS
from analyzers.shared import analysis_json
from analyzers.shared.rules import SWITCH, Checked, read_unused
from contract import schema
from contract.api import Baseline, DocumentSet
from contract.errors import DocumentError
from contract.schema import REQUIRED, JsonObject, Kept, Level, count, level_of, member, objects_of, of_kind

Stage = Literal["pre", "post"]
Table = list[list[list[int]]]

# One metric of bias as the documents hold it.


# What other metrics never exceed: a limit beyond it is one in percent, or of another metric.
_MOST = dict.fromkeys(("DI", "GE", "KL", "TE", "DCA", "DCR"), math.inf) | {"LP": math.sqrt(2.0)}


def _is_beyond(members: JsonObject, *ends: float) -> bool:
    """Return whether a limit is a number beyond all values that the metric can have."""
    most = _MOST.get(str(members.raw("name")), 1.0)
    return any(most < abs(end) < math.inf for end in ends)


def _allowed(members: JsonObject, key: str) -> tuple[float, float] | None:
    ends = analysis_json.read_range(members, key)
    if ends is not None and _is_beyond(members, *ends):
        members.wrong(
            key, "two numbers within the values of the metric, which is no percentage", "[-0.1, 0.1]"
        )
    return ends


def _size(members: JsonObject, key: str) -> float | None:
    size = analysis_json.read_number(members, key)
    if size is not None and size <= 0.0 and members.raw("name", None) == "DI":
        members.wrong(key, "a ratio above 0, as DI is one", "0.8")
    elif size is not None and (size < 0.0 or _is_beyond(members, size)):
        members.wrong(key, "a size of 0 or more that the metric, which is no percentage, can have", "0.1")
    if size is not None and members.raw("allowed") is not None:
        members.note(key, "bias_documents.two_limits")
    return size


def _metrics(members: JsonObject, key: str) -> Any:
    metrics = objects_of(MetricValue)(members, key)
    names = [one.name for one in metrics or () if isinstance(one.name, str)]
    for name in sorted({*names} - METRICS.keys()):
        members.note(key, "bias_documents.metric", name=name, hint=schema.suggestion(name, METRICS))
    for name in sorted({name for name in names if names.count(name) > 1}):
        members.note(key, "bias_documents.metric_again", name=name)
    return metrics


@dataclass
class MetricValue(Kept):
    """One metric of one facet value.

    Parameters
    ----------
    name, description
        Such as ``DPL`` and its sentence.
    value
        May be infinite; None when undefined, for the reason in `error`.
    confidence_interval, standard_error
        Of the value; on a ratio's own scale. None where there is none.
    allowed, threshold
        What a user allows: a range that the value must not leave, the size it must not exceed.
    """

    name: str = member(of_kind(str), REQUIRED)
    description: str = member(of_kind(str), "")
    value: float | None = analysis_json.figure(written="always")
    error: str | None = member(of_kind(str))
    confidence_interval: tuple[float, float] | None = member(
        analysis_json.read_range, write=analysis_json.range_to_json
    )
    allowed: tuple[float, float] | None = member(_allowed, write=analysis_json.range_to_json)
    standard_error: float | None = analysis_json.figure()
    threshold: float | None = member(_size, write=analysis_json.number_to_json)

    @property
    def asks_for_something(self) -> bool:
        """Return whether there is anything that a later value could be held to."""
        return self.value is not None or self.allowed is not None or self.threshold is not None


# ``statistics.json`` of bias jobs: for every facet value, the counts that all metrics follow from.


def _is_table(value: Any, shape: tuple[int, ...]) -> bool:
    if not shape:
        return type(value) is int and value >= 0
    has_shape = isinstance(value, list) and len(value) == shape[0]
    return has_shape and all(_is_table(member, shape[1:]) for member in value)


def _counts(axes: str, number: int | None = None) -> schema.Reader:
    """Return what reads tables of two by two counts: so many, any number where that is None."""

    def read(members: JsonObject, key: str) -> Any:
        tables = members.get(key, list, None)
        if tables is not None and not _is_table(tables, (number or len(tables), 2, 2)):
            members.note(key, "bias_documents.counts", axes=axes)
        return tables

    return read


_strata = _counts("stratum, facet and outcome, two of each of the latter")


def _group(members: JsonObject, key: str) -> str:
    found = members.checked(key, lambda value: type(value) in (str, int, float), "text or a number")
    return "" if found is None else str(found)


@dataclass
class FacetMetrics(Kept):
    """The metrics of one facet value against all other rows, or those of another."""

    value_or_threshold: str = member(_group, REQUIRED)
    metrics: list[MetricValue] = member(_metrics, REQUIRED)

    def metric(self, name: str) -> MetricValue | None:
        """Return the metric called `name`, None when it is not there."""
        return next((metric for metric in self.metrics if metric.name == name), None)


@dataclass
class FacetStatistics(Kept):
    """One facet value: how many rows, and every metric.

    Parameters
    ----------
    facet
        Name as in ``analysis.json``; names of an intersection are joined by ``,``.
    value_or_threshold
        The group, such as ``0``, ``a,c`` or ``(40, 75]``.
    counts
        ``counts[facet][observed][predicted]``: facet 0 the rest, 1 the group; outcome 0 negative, 1
        positive. Without predictions all rows stand under predicted 0.
    strata_observed, strata_predicted
        ``counts[stratum][facet][outcome]`` for the strata of the group variable; None without one.
    threshold
        The threshold when the facet is continuous.
    pre, post
        Metrics against all other rows; None when the stage was not asked for or failed.
    against_best
        The group with the highest share of positives, and the metrics against it; None where that is this
        one or there are fewer than two.
    missing
        Rows without a value of the facet: left out under sound rules, among the rest under the originals'.
    design_effect, blocks
        By how much dependence of rows widens the spread of shares, and from how many blocks of rows or
        clusters it was estimated; 1 and 0 where rows do not clearly depend on each other.
    unpredicted
        As `counts`, for rows that lack only a prediction, which pre-training metrics count too.
    basic_statistics
        Size, labels and outcomes of the group, as JSON values.
    """

    facet: str = member(of_kind(str), REQUIRED)
    value_or_threshold: str = member(of_kind(str), REQUIRED)
    counts: Table = member(_counts("facet, observed and predicted outcome, two of each", 2), REQUIRED)
    strata_observed: Table | None = member(_strata)
    strata_predicted: Table | None = member(_strata)
    threshold: float | None = analysis_json.figure()
    missing: int = member(count, 0, written="if any")
    design_effect: float | None = analysis_json.figure()
    blocks: int = member(count, 0, written="if any")
    unpredicted: Table | None = member(_counts("facet, observed and predicted outcome, two of each", 2))
    basic_statistics: list[dict[str, Any]] = member(of_kind(list), [], written="if any")
    pre: list[MetricValue] | None = member(objects_of(MetricValue), key="pre_training")
    post: list[MetricValue] | None = member(objects_of(MetricValue), key="post_training")
    against_best: FacetMetrics | None = member(schema.object_of(FacetMetrics))

    def stages(self) -> Iterator[tuple[Stage, list[MetricValue]]]:
        """Yield the metrics of each stage there is, post-training first as Clarify writes them."""
        both: tuple[tuple[Stage, list[MetricValue] | None], ...] = ("post", self.post), ("pre", self.pre)
        return ((name, stage) for name, stage in both if stage is not None)

    def metric(self, name: str) -> MetricValue | None:
        """Return the metric called `name`, None when it is not there."""
        return next((one for _, metrics in self.stages() for one in metrics if one.name == name), None)


@dataclass
class BiasStatistics(Kept):
    """The whole of ``statistics.json``.

    Parameters
    ----------
    item_count
        Rows read.
    label, label_value_or_threshold
        As in ``analysis.json``.
    facets
        One per facet value, in the order of the request.
    has_labels, has_predictions
        Whether any row has a label, a prediction.
    predicted_label_value_or_threshold
        Of the predictions; differs from the labels' for continuous ones.
    probability_threshold
        The score above which a prediction is positive; None where predictions are no scores.
    label_values, predicted_values
        The labels and the predictions that occur, where they are categories of which all are kept.
    unlabelled_count
        Rows whose label, which comes from elsewhere, has not come yet.
    model_metrics
        Whole-model metrics: accuracy and so on.
    confusion_matrix
        Observed label to predicted label to rows, for categorical labels.
    problems
        Why a stage, or a facet in it, has no metrics.
    notes
        What a reader should know.
    evidence
        What the analyzer keeps in memory; not written.
    """

    item_count: int = member(count, REQUIRED, inside="dataset")
    label: str = member(of_kind(str), REQUIRED, inside="dataset")
    label_value_or_threshold: str = member(of_kind(str), "", inside="dataset")
    facets: list[FacetStatistics] = member(objects_of(FacetStatistics), [])
    has_labels: bool = member(of_kind(bool), True, inside="dataset")
    has_predictions: bool = member(of_kind(bool), False, inside="dataset")
    predicted_label_value_or_threshold: str | None = member(of_kind(str), inside="dataset")
    probability_threshold: float | None = member(schema.number, inside="dataset")
    label_values: list[str] = member(schema.texts, [], inside="dataset", written="if any")
    predicted_values: list[str] = member(schema.texts, [], inside="dataset", written="if any")
    unlabelled_count: int = member(count, 0, inside="dataset", written="if any")
    model_metrics: list[MetricValue] = member(objects_of(MetricValue), [], written="if any")
    confusion_matrix: dict[str, dict[str, int]] | None = member(of_kind(dict), written="if any")
    problems: dict[str, str] = member(of_kind(dict), {}, written="if any")
    notes: list[str] = member(schema.texts, [], written="if any")
    evidence: Any = None
    where: str = "statistics.json"

    def group(self, facet: str, text: str) -> FacetStatistics | None:
        """Return a group of a facet, None when it is not there."""
        return paired((one for one in self.facets if one.facet == facet), text)


def read_statistics(value: dict[str, Any], where: str) -> BiasStatistics:
    """Build the statistics from parsed JSON.

    Raises
    ------
    DocumentError
        Naming file and path, when a member is missing or of the wrong type.
    """
    with schema.gathered(value, where) as members:
        members.raw("version")
        if members.child("dataset") is None or "facets" not in value:
            raise DocumentError.of("bias_documents.statistics", file=where, field="baseline_statistics")
        return schema.read_document(BiasStatistics, members, where=where)


def statistics_to_json(document: BiasStatistics, with_extensions: bool = True) -> dict[str, Any]:
    """Return the statistics as JSON values; Clarify has no such file, so there is nothing to leave out."""
    return schema.write_document(document, version=analysis_json.VERSION)


ANALYSIS = "analysis.json"
POST = "post_training_bias_metrics"
PRE = "pre_training_bias_metrics"


def _groups(members: JsonObject, key: str) -> dict[str, list[FacetMetrics]] | None:
    facets, read = members.within(key), objects_of(FacetMetrics)
    found = {name: read(facets, name) or [] for name in facets.members}
    return None if members.raw(key) is None else found


@dataclass
class StageMetrics(Kept):
    """Pre-training or post-training metrics, by facet."""

    label: str = member(of_kind(str, ""), REQUIRED)
    facets: dict[str, list[FacetMetrics]] = member(_groups, REQUIRED)
    label_value_or_threshold: str = member(of_kind(str), "")


@dataclass
class BiasConstraints(Checked):
    """``constraints.json`` or ``analysis.json``; other analyses in the file are kept in `extra`."""

    post: StageMetrics | None = member(schema.object_of(StageMetrics), key=POST)
    pre: StageMetrics | None = member(schema.object_of(StageMetrics), key=PRE)

    def stages(self) -> Iterator[tuple[Stage, StageMetrics]]:
        """Yield the stages there are, post-training first as Clarify writes them."""
        both: tuple[tuple[Stage, StageMetrics | None], ...] = ("post", self.post), ("pre", self.pre)
        return ((name, stage) for name, stage in both if stage is not None)

    def group(self, stage: Stage, facet: str, text: str) -> FacetMetrics | None:
        """Return what is said of a group in a stage, None when nothing is."""
        known = self.post if stage == "post" else self.pre
        return None if known is None else paired(known.facets.get(facet, []), text)

    def groups(self) -> Iterator[tuple[str, FacetMetrics]]:
        """Yield every group of every stage with the name of its facet."""
        for _, stage in self.stages():
            for name, members in stage.facets.items():
                yield from ((name, member) for member in members)

    def groups_of(
        self, statistics: BiasStatistics
    ) -> Iterator[tuple[FacetStatistics, list[MetricValue], FacetMetrics | None]]:
        """Yield the groups of each stage of a window, their metrics, and what is said of them here."""
        every = [(stage, facet, metrics) for facet in statistics.facets for stage, metrics in facet.stages()]
        for stage, facet, metrics in sorted(every, key=lambda one: one[0] != "post"):
            yield facet, metrics, self.group(stage, facet.facet, facet.value_or_threshold)


_GROUP = level_of(FacetMetrics, "a group", metrics=level_of(MetricValue, "a metric"))
_STAGE = level_of(StageMetrics, "a stage", facets=Level("facets", {"*": _GROUP}))
_FILE = Level("the file", {"version": None, "explanations": None, POST: _STAGE, PRE: _STAGE})

BiasBaseline = Baseline[BiasStatistics, BiasConstraints]


# Which group of a baseline is the same as a group of the window.
#
# Groups are named by their values, ``0`` or ``a,c``, or by an interval such as ``(40, 75]``. One end of an
# interval is the threshold, the other the maximum of the data, which differs from window to window; so
# intervals of the same facet pair by their threshold.


_INTERVAL = re.compile(r"\(([^,\s]+), ([^,\s]+)\]")


def same_group(first: str, second: str) -> bool:
    """Return whether two names of groups mean the same group.

    Lists of values are the same in any order. Intervals are the same when they share the lower end, which is
    the threshold; or when the lower end of one is the upper end of the other, since a threshold above
    the maximum is printed as the upper end.
    """
    if first == second:
        return True
    one, other = interval_of(first), interval_of(second)
    if one is None or other is None:
        return one is other and sorted(first.split(",")) == sorted(second.split(","))
    return one[0] == other[0] or one[1] == other[0] or one[0] == other[1]


def interval_of(text: str) -> tuple[float, float] | None:
    """Return the ends of a group or outcome printed as an interval; None for another."""
    match = _INTERVAL.fullmatch(text)
    try:
        return None if match is None else (float(match[1]), float(match[2]))
    except ValueError:
        return None


def paired[Member: (FacetMetrics, FacetStatistics)](members: Iterable[Member], group: str) -> Member | None:
    """Return which of a facet's members is the group, None when none is."""
    members = list(members)
    exact = [member for member in members if member.value_or_threshold == group]
    alike = exact or [member for member in members if same_group(member.value_or_threshold, group)]
    return alike[0] if alike else None


# --- analysis.json and constraints.json -------------------------------------------------------------------


def read_constraints(value: dict[str, Any], where: str) -> BiasConstraints:
    """Build the constraints from ``constraints.json`` or a Clarify ``analysis.json``.

    Raises
    ------
    DocumentError
        Naming file and path, when a member is missing or of the wrong type, or there are no metrics of bias.
    """
    with schema.gathered(value, where) as members:
        unused = read_unused(members, _FILE)
        members.raw("version")
        document = schema.read_document(BiasConstraints, members, where=where, unused=unused)
    if not list(document.stages()):
        raise DocumentError.of("bias_documents.constraints", file=where, field="baseline_constraints")
    return document


def constraints_to_json(document: BiasConstraints) -> dict[str, Any]:
    """Return the constraints as JSON values."""
    shown = document if document.order else replace(document, extra=SWITCH | document.extra)
    return schema.write_document(shown, version=analysis_json.VERSION)


# The members of a metric that Clarify writes.
_CLARIFYS = ("name", "description", "value", "error")


def analysis_to_json(document: BiasConstraints) -> dict[str, Any]:
    """Return what ``analysis.json`` holds of bias: the constraints without members that Clarify lacks."""
    members = schema.write_document(document, version=analysis_json.VERSION)
    for key in (POST, PRE):
        for groups in members.get(key, {"facets": {}})["facets"].values():
            for group in groups:
                metrics = group["metrics"]
                group["metrics"] = [{name: one[name] for name in one if name in _CLARIFYS} for one in metrics]
    return members


BIAS: DocumentSet[BiasStatistics, BiasConstraints] = DocumentSet(
    read_statistics=read_statistics,
    write_statistics=statistics_to_json,
    read_constraints=read_constraints,
    write_constraints=constraints_to_json,
    further_files=lambda _, constraints: {ANALYSIS: analysis_json.dumps(analysis_to_json(constraints))},
    constraints_names=("constraints.json", ANALYSIS),
)
