"""The documents of bias jobs.

``analysis.json`` has exactly Clarify's members. ``constraints.json`` has the same shape, and with each
metric may hold a ``confidence_interval``, a ``standard_error`` and what a user allows: ``allowed``, a range
``[low, high]``, or ``threshold``, the largest size. Both are read as constraints. ``statistics.json`` has,
for every facet value, the counts that all metrics follow from.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Literal

from analyzers.shared import analysis_json
from analyzers.shared.analysis_json import (
    VERSION,
    Read,
    member,
    members_of,
    number_to_json,
    range_to_json,
    read_document,
    read_list,
    read_members,
    read_number,
    read_range,
    read_texts,
    stored,
    write_document,
    write_list,
    write_members,
)
from analyzers.shared.rules import SWITCH
from contract.api import Baseline, DocumentSet
from contract.errors import DocumentError
from contract.schema import Fields, in_order

Stage = Literal["pre", "post"]
Table = list[list[list[int]]]

# One metric of bias as the documents hold it.


@dataclass
class MetricValue:
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

    name: str = stored(member(str))
    description: str = stored(member(str, ""))
    value: float | None = stored(read_number, number_to_json, written="always")
    error: str | None = stored(member(str, None), default=None)
    confidence_interval: tuple[float, float] | None = stored(read_range, range_to_json, default=None)
    allowed: tuple[float, float] | None = stored(read_range, range_to_json, default=None)
    standard_error: float | None = stored(read_number, number_to_json, default=None)
    threshold: float | None = stored(read_number, number_to_json, default=None)
    extra: dict[str, Any] = field(default_factory=dict)
    order: tuple[str, ...] = ()


_METRIC = members_of(MetricValue)
_CLARIFYS = frozenset(("name", "description", "value", "error"))
_read_metrics, _metrics_to_json = read_list(MetricValue, _METRIC), write_list(_METRIC)


def _read_any_metrics(fields: Fields, key: str) -> list[MetricValue] | None:
    return None if fields.get(key, list, None) is None else _read_metrics(fields, key)


def _is_table(value: Any, shape: tuple[int, ...]) -> bool:
    if not shape:
        return isinstance(value, int) and not isinstance(value, bool) and value >= 0
    return (
        isinstance(value, list)
        and len(value) == shape[0]
        and all(_is_table(member, shape[1:]) for member in value)
    )


def _read_counts(axes: str, *default: None) -> Read:
    """Return a reader of tables of two by two counts: two tables, or with a default any number."""

    def read(fields: Fields, key: str) -> Any:
        tables = fields.get(key, list, *default)
        if tables is not None and not _is_table(tables, (len(tables) if default else 2, 2, 2)):
            raise DocumentError.of("bias_documents.counts", file=fields.where, field=key, axes=axes)
        return tables

    return read


_read_strata = _read_counts("stratum, facet and outcome, two of each of the latter", None)


def _read_best(fields: Fields, key: str) -> tuple[str, list[MetricValue]] | None:
    best = fields.child(key)
    if best is None:
        return None
    return best.get("value_or_threshold", str), _read_any_metrics(best, "metrics") or []


def _best_to_json(best: tuple[str, list[MetricValue]]) -> dict[str, Any]:
    return {"value_or_threshold": best[0], "metrics": _metrics_to_json(best[1])}


# ``statistics.json`` of bias jobs: for every facet value, the counts that all metrics follow from.


@dataclass
class FacetStatistics:
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
    basic_statistics
        Size, labels and outcomes of the group, as JSON values.
    """

    facet: str = stored(member(str))
    value_or_threshold: str = stored(member(str))
    counts: Table = stored(_read_counts("facet, observed and predicted outcome, two of each"))
    strata_observed: Table | None = stored(_read_strata, default=None)
    strata_predicted: Table | None = stored(_read_strata, default=None)
    threshold: float | None = stored(read_number, number_to_json, default=None)
    missing: int = stored(lambda fields, key: fields.count(key, 0), written="if any", default=0)
    basic_statistics: list[dict[str, Any]] = stored(member(list, []), written="if any", default_factory=list)
    pre: list[MetricValue] | None = stored(_read_any_metrics, _metrics_to_json, "pre_training", default=None)
    post: list[MetricValue] | None = stored(
        _read_any_metrics, _metrics_to_json, "post_training", default=None
    )
    against_best: tuple[str, list[MetricValue]] | None = stored(_read_best, _best_to_json, default=None)
    extra: dict[str, Any] = field(default_factory=dict)
    order: tuple[str, ...] = ()

    def stages(self) -> Iterator[tuple[Stage, list[MetricValue]]]:
        """Yield the metrics of each stage there is, post-training first as Clarify writes them."""
        if self.post is not None:
            yield "post", self.post
        if self.pre is not None:
            yield "pre", self.pre

    def metric(self, name: str) -> MetricValue | None:
        """Return the metric called `name`, None when it is not there."""
        return next((one for _, metrics in self.stages() for one in metrics if one.name == name), None)


_FACET = members_of(FacetStatistics)


@dataclass
class BiasStatistics:
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

    item_count: int = stored(Fields.count, part="dataset")
    label: str = stored(member(str), part="dataset")
    label_value_or_threshold: str = stored(member(str, ""), part="dataset")
    facets: list[FacetStatistics] = stored(read_list(FacetStatistics, _FACET), write_list(_FACET))
    has_labels: bool = stored(member(bool, True), part="dataset", default=True)
    has_predictions: bool = stored(member(bool, False), part="dataset", default=False)
    predicted_label_value_or_threshold: str | None = stored(member(str, None), part="dataset", default=None)
    model_metrics: list[MetricValue] = stored(
        read_list(MetricValue, _METRIC, []), _metrics_to_json, written="if any", default_factory=list
    )
    confusion_matrix: dict[str, dict[str, int]] | None = stored(
        member(dict, None), written="if any", default=None
    )
    problems: dict[str, str] = stored(member(dict, {}), written="if any", default_factory=dict)
    notes: list[str] = stored(read_texts, written="if any", default_factory=list)
    evidence: Any = None
    extra: dict[str, Any] = field(default_factory=dict)
    order: tuple[str, ...] = ()
    where: str = "statistics.json"


_DATASET, _STATISTICS = members_of(BiasStatistics, "dataset"), members_of(BiasStatistics)


def read_statistics(value: dict[str, Any], where: str) -> BiasStatistics:
    """Build the statistics from parsed JSON.

    Raises
    ------
    DocumentError
        Naming file and path, when a member is missing or of the wrong type.
    """
    fields = Fields(value, where)
    fields.get("version", (str, int, float), None)
    dataset = fields.child("dataset")
    if dataset is None or "facets" not in value:
        raise DocumentError.of("bias_documents.statistics", file=where, field="baseline_statistics")
    about = read_members(_DATASET, dataset)
    return read_document(BiasStatistics, _STATISTICS, fields, where=where, **about)


def statistics_to_json(document: BiasStatistics, with_extensions: bool = True) -> dict[str, Any]:
    """Return the statistics as JSON values; Clarify has no such file, so there is nothing to leave out."""
    head = {"version": VERSION, "dataset": write_members(_DATASET, document)}
    return in_order(head | write_members(_STATISTICS, document), document.extra, document.order)


ANALYSIS = "analysis.json"
POST = "post_training_bias_metrics"
PRE = "pre_training_bias_metrics"


@dataclass
class FacetMetrics:
    """The metrics of one facet value against all other rows."""

    value_or_threshold: str = stored(
        lambda fields, key: str(fields.get(key, (str, int, float), "")), written="always"
    )
    metrics: list[MetricValue] = stored(_read_metrics, _metrics_to_json)
    extra: dict[str, Any] = field(default_factory=dict)
    order: tuple[str, ...] = ()

    def metric(self, name: str) -> MetricValue | None:
        """Return the metric called `name`, None when it is not there."""
        return next((metric for metric in self.metrics if metric.name == name), None)


_GROUP = members_of(FacetMetrics)


def _read_groups(fields: Fields, key: str) -> dict[str, list[FacetMetrics]]:
    facets = Fields(fields.get(key, dict), f"{fields.where}.{key}")
    read = read_list(FacetMetrics, _GROUP)
    return {name: read(facets, name) for name in facets.value}


def _groups_to_json(facets: dict[str, list[FacetMetrics]]) -> dict[str, Any]:
    write = write_list(_GROUP)
    return {name: write(groups) for name, groups in facets.items()}


@dataclass
class StageMetrics:
    """Pre-training or post-training metrics, by facet."""

    label: str = stored(member(str, ""))
    facets: dict[str, list[FacetMetrics]] = stored(_read_groups, _groups_to_json)
    label_value_or_threshold: str = stored(member(str, ""))
    extra: dict[str, Any] = field(default_factory=dict)
    order: tuple[str, ...] = ()


_STAGE = members_of(StageMetrics)
_stage_to_json = partial(write_document, _STAGE)


def _read_stage(fields: Fields, key: str) -> StageMetrics | None:
    stage = fields.child(key)
    return None if stage is None else read_document(StageMetrics, _STAGE, stage)


@dataclass
class BiasConstraints:
    """``constraints.json`` or ``analysis.json``; other analyses in the file are kept in `extra`."""

    post: StageMetrics | None = stored(_read_stage, _stage_to_json, POST, default=None)
    pre: StageMetrics | None = stored(_read_stage, _stage_to_json, PRE, default=None)
    extra: dict[str, Any] = field(default_factory=dict)
    order: tuple[str, ...] = ()
    where: str = "constraints.json"

    def stages(self) -> Iterator[tuple[Stage, StageMetrics]]:
        """Yield the stages there are, post-training first as Clarify writes them."""
        if self.post is not None:
            yield "post", self.post
        if self.pre is not None:
            yield "pre", self.pre

    def group(self, stage: Stage, facet: str, text: str) -> FacetMetrics | None:
        """Return what is said of a group in a stage, None when nothing is."""
        known = self.post if stage == "post" else self.pre
        return None if known is None else paired(known.facets.get(facet, []), text)

    def groups(self) -> Iterator[tuple[str, FacetMetrics]]:
        """Yield every group of every stage with the name of its facet."""
        for _, stage in self.stages():
            for name, members in stage.facets.items():
                yield from ((name, member) for member in members)


_CONSTRAINTS = members_of(BiasConstraints)
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
    one, other = _interval(first), _interval(second)
    if one is None or other is None:
        return one is other and sorted(first.split(",")) == sorted(second.split(","))
    return one[0] == other[0] or one[1] == other[0] or one[0] == other[1]


def _interval(text: str) -> tuple[float, float] | None:
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


def read_constraints(value: dict[str, Any], where: str) -> BiasConstraints:
    """Build the constraints from ``constraints.json`` or a Clarify ``analysis.json``.

    Raises
    ------
    DocumentError
        Naming file and path, when a member is missing or of the wrong type, or there are no metrics of bias.
    """
    fields = Fields(value, where)
    fields.get("version", (str, int, float), None)
    document = read_document(BiasConstraints, _CONSTRAINTS, fields, where=where)
    if not list(document.stages()):
        raise DocumentError.of("bias_documents.constraints", file=where, field="baseline_constraints")
    return document


def constraints_to_json(document: BiasConstraints) -> dict[str, Any]:
    """Return the constraints as JSON values."""
    members = {"version": VERSION} | write_members(_CONSTRAINTS, document)
    return in_order(members, document.extra if document.order else SWITCH | document.extra, document.order)


def analysis_to_json(document: BiasConstraints) -> dict[str, Any]:
    """Return what ``analysis.json`` holds of bias: the constraints without members that Clarify lacks."""
    members = {"version": VERSION} | write_members(_CONSTRAINTS, document)
    for key in (POST, PRE):
        for groups in members.get(key, {"facets": {}})["facets"].values():
            for group in groups:
                group["metrics"] = [
                    {name: metric[name] for name in metric if name in _CLARIFYS}
                    for metric in group["metrics"]
                ]
    return in_order(members, document.extra, document.order)


def _further_files(statistics: BiasStatistics, constraints: BiasConstraints) -> dict[str, Any]:
    return {ANALYSIS: analysis_json.dumps(analysis_to_json(constraints))}


BIAS: DocumentSet[BiasStatistics, BiasConstraints] = DocumentSet(
    read_statistics=read_statistics,
    write_statistics=statistics_to_json,
    read_constraints=read_constraints,
    write_constraints=constraints_to_json,
    further_files=_further_files,
    constraints_names=("constraints.json", ANALYSIS),
)
