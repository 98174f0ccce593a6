"""The documents of bias jobs.

``analysis.json`` has exactly Clarify's members. ``constraints.json`` has the same shape, and with each
metric may hold a ``confidence_interval``, a ``standard_error`` and what a user allows: ``allowed``, a range
``[low, high]``, or ``threshold``, the largest size. Both are read as constraints. ``statistics.json`` has,
for every facet value, the counts that all metrics follow from.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

from analyzers.shared import analysis_json
from analyzers.shared.analysis_json import VERSION, number_to_json, read_number
from analyzers.shared.rules import SWITCH
from contract.api import Baseline, DocumentSet
from contract.errors import DocumentError
from contract.schema import Fields, in_order

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

    name: str
    description: str
    value: float | None
    error: str | None = None
    confidence_interval: tuple[float, float] | None = None
    standard_error: float | None = None
    allowed: tuple[float, float] | None = None
    threshold: float | None = None
    extra: dict[str, Any] = field(default_factory=dict)
    order: tuple[str, ...] = ()


def read_metric(fields: Fields) -> MetricValue:
    """Build one metric from JSON."""
    return MetricValue(
        name=fields.get("name", str),
        description=fields.get("description", str, ""),
        value=read_number(fields, "value"),
        error=fields.get("error", str, None),
        confidence_interval=_read_range(fields, "confidence_interval"),
        standard_error=read_number(fields, "standard_error"),
        allowed=_read_range(fields, "allowed"),
        threshold=read_number(fields, "threshold"),
        extra=fields.extra(),
        order=fields.order(),
    )


def _read_range(fields: Fields, key: str) -> tuple[float, float] | None:
    member = fields.get(key, list, None)
    if member is None:
        return None
    where = f"{fields.where}.{key}"
    ends = [read_number(Fields({"end": end}, where), "end") for end in member]
    if len(ends) != 2 or ends[0] is None or ends[1] is None or ends[0] > ends[1]:
        raise DocumentError(f"{where} must be two numbers, the lower end first, but is {member}.")
    return ends[0], ends[1]


def metric_to_json(metric: MetricValue, with_extensions: bool = True) -> dict[str, Any]:
    """Return one metric as JSON values; without extensions only the members that Clarify writes."""
    members: dict[str, Any] = {
        "name": metric.name,
        "description": metric.description,
        "value": number_to_json(metric.value),
    }
    if metric.error is not None:
        members["error"] = metric.error
    if not with_extensions:
        return in_order(members, {}, metric.order)
    for key, ends in (("confidence_interval", metric.confidence_interval), ("allowed", metric.allowed)):
        if ends is not None:
            members[key] = [number_to_json(end) for end in ends]
    for key, number in (("standard_error", metric.standard_error), ("threshold", metric.threshold)):
        if number is not None:
            members[key] = number_to_json(number)
    return in_order(members, metric.extra, metric.order)


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
    best
        The group with the highest share of positives, to compare with; None where that is this one or there
        are fewer than two.
    against_best
        Metrics against the group `best`.
    missing
        Rows without a value of the facet: left out under sound rules, among the rest under the originals'.
    basic_statistics
        Size, labels and outcomes of the group, as JSON values.
    """

    facet: str
    value_or_threshold: str
    counts: list[list[list[int]]]
    strata_observed: list[list[list[int]]] | None = None
    strata_predicted: list[list[list[int]]] | None = None
    threshold: float | None = None
    pre: list[MetricValue] | None = None
    post: list[MetricValue] | None = None
    best: str | None = None
    against_best: list[MetricValue] | None = None
    missing: int = 0
    basic_statistics: list[dict[str, Any]] = field(default_factory=list)
    extra: dict[str, Any] = field(default_factory=dict)
    order: tuple[str, ...] = ()

    def metric(self, name: str) -> MetricValue | None:
        """Return the metric called `name`, None when it is not there."""
        return next((m for m in [*(self.pre or []), *(self.post or [])] if m.name == name), None)


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

    item_count: int
    label: str
    label_value_or_threshold: str
    facets: list[FacetStatistics]
    has_labels: bool = True
    has_predictions: bool = False
    predicted_label_value_or_threshold: str | None = None
    model_metrics: list[MetricValue] = field(default_factory=list)
    confusion_matrix: dict[str, dict[str, int]] | None = None
    problems: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    evidence: Any = None
    extra: dict[str, Any] = field(default_factory=dict)
    order: tuple[str, ...] = ()
    where: str = "statistics.json"


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
        raise DocumentError(
            f"{where} has no 'dataset' with 'facets' beside it, so it is not a file of a bias job; give "
            "baseline_statistics the statistics.json of a bias baseline job."
        )
    return BiasStatistics(
        item_count=dataset.count("item_count"),
        label=dataset.get("label", str),
        label_value_or_threshold=dataset.get("label_value_or_threshold", str, ""),
        facets=[_read_facet_bias_statistics(member) for member in fields.children("facets")],
        has_labels=dataset.get("has_labels", bool, True),
        has_predictions=dataset.get("has_predictions", bool, False),
        predicted_label_value_or_threshold=dataset.get("predicted_label_value_or_threshold", str, None),
        model_metrics=[read_metric(member) for member in fields.children("model_metrics", [])],
        confusion_matrix=fields.get("confusion_matrix", dict, None),
        problems=fields.get("problems", dict, {}),
        notes=[str(note) for note in fields.get("notes", list, [])],
        extra=fields.extra(),
        order=fields.order(),
        where=where,
    )


def _read_facet_bias_statistics(fields: Fields) -> FacetStatistics:
    best = fields.child("against_best")
    return FacetStatistics(
        facet=fields.get("facet", str),
        value_or_threshold=fields.get("value_or_threshold", str),
        counts=_read_table(fields, "counts"),
        strata_observed=_read_strata(fields, "strata_observed"),
        strata_predicted=_read_strata(fields, "strata_predicted"),
        threshold=read_number(fields, "threshold"),
        missing=fields.count("missing", 0),
        basic_statistics=fields.get("basic_statistics", list, []),
        pre=_read_metrics(fields, "pre_training"),
        post=_read_metrics(fields, "post_training"),
        best=None if best is None else best.get("value_or_threshold", str),
        against_best=None if best is None else _read_metrics(best, "metrics"),
        extra=fields.extra(),
        order=fields.order(),
    )


def _read_metrics(fields: Fields, key: str) -> list[MetricValue] | None:
    if fields.get(key, list, None) is None:
        return None
    return [read_metric(member) for member in fields.children(key)]


def _read_table(fields: Fields, key: str) -> list[list[list[int]]]:
    """Return ``counts[facet][observed][predicted]``, every count a whole number of 0 or more."""
    table: list[list[list[int]]] = fields.get(key, list)
    if not _is_table(table, (2, 2, 2)):
        raise DocumentError(
            f"{fields.where}.{key} must be counts by facet, observed and predicted outcome, two of each; "
            "give the file as a bias job wrote it."
        )
    return table


def _read_strata(fields: Fields, key: str) -> list[list[list[int]]] | None:
    strata: list[list[list[int]]] | None = fields.get(key, list, None)
    if strata is not None and not _is_table(strata, (len(strata), 2, 2)):
        raise DocumentError(
            f"{fields.where}.{key} must be counts by stratum, facet and outcome, two of each of the latter; "
            "give the file as a bias job wrote it."
        )
    return strata


def _is_table(value: Any, shape: tuple[int, ...]) -> bool:
    if not shape:
        return isinstance(value, int) and not isinstance(value, bool) and value >= 0
    return (
        isinstance(value, list)
        and len(value) == shape[0]
        and all(_is_table(member, shape[1:]) for member in value)
    )


def statistics_to_json(document: BiasStatistics, with_extensions: bool = True) -> dict[str, Any]:
    """Return the statistics as JSON values; Clarify has no such file, so there is nothing to leave out."""
    dataset: dict[str, Any] = {
        "item_count": document.item_count,
        "label": document.label,
        "label_value_or_threshold": document.label_value_or_threshold,
        "has_labels": document.has_labels,
        "has_predictions": document.has_predictions,
    }
    if document.predicted_label_value_or_threshold is not None:
        dataset["predicted_label_value_or_threshold"] = document.predicted_label_value_or_threshold
    members: dict[str, Any] = {"version": VERSION, "dataset": dataset}
    members["facets"] = [_facet_to_json_bias_statistics(facet) for facet in document.facets]
    if document.model_metrics:
        members["model_metrics"] = [metric_to_json(metric) for metric in document.model_metrics]
    optional: dict[str, Any] = {
        "confusion_matrix": document.confusion_matrix,
        "problems": document.problems,
        "notes": document.notes,
    }
    members |= {key: member for key, member in optional.items() if member}
    return in_order(members, document.extra, document.order)


def _facet_to_json_bias_statistics(facet: FacetStatistics) -> dict[str, Any]:
    members: dict[str, Any] = {
        "facet": facet.facet,
        "value_or_threshold": facet.value_or_threshold,
        "counts": facet.counts,
    }
    strata = {"strata_observed": facet.strata_observed, "strata_predicted": facet.strata_predicted}
    members |= {key: counts for key, counts in strata.items() if counts is not None}
    if facet.threshold is not None:
        members["threshold"] = number_to_json(facet.threshold)
    if facet.missing:
        members["missing"] = facet.missing
    if facet.basic_statistics:
        members["basic_statistics"] = facet.basic_statistics
    for key, metrics in (("pre_training", facet.pre), ("post_training", facet.post)):
        if metrics is not None:
            members[key] = [metric_to_json(metric) for metric in metrics]
    if facet.best is not None and facet.against_best is not None:
        members["against_best"] = {
            "value_or_threshold": facet.best,
            "metrics": [metric_to_json(metric) for metric in facet.against_best],
        }
    return in_order(members, facet.extra, facet.order)


Stage = Literal["pre", "post"]


ANALYSIS = "analysis.json"
POST = "post_training_bias_metrics"
PRE = "pre_training_bias_metrics"
_MEMBERS: dict[Stage, str] = {"post": POST, "pre": PRE}


@dataclass
class FacetMetrics:
    """The metrics of one facet value against all other rows."""

    value_or_threshold: str
    metrics: list[MetricValue]
    extra: dict[str, Any] = field(default_factory=dict)
    order: tuple[str, ...] = ()

    def metric(self, name: str) -> MetricValue | None:
        """Return the metric called `name`, None when it is not there."""
        return next((metric for metric in self.metrics if metric.name == name), None)


@dataclass
class StageMetrics:
    """Pre-training or post-training metrics, by facet."""

    label: str
    label_value_or_threshold: str
    facets: dict[str, list[FacetMetrics]]
    extra: dict[str, Any] = field(default_factory=dict)
    order: tuple[str, ...] = ()


@dataclass
class BiasConstraints:
    """``constraints.json`` or ``analysis.json``; other analyses in the file are kept in `extra`."""

    pre: StageMetrics | None = None
    post: StageMetrics | None = None
    extra: dict[str, Any] = field(default_factory=dict)
    order: tuple[str, ...] = ()
    where: str = "constraints.json"

    def stages(self) -> Iterator[tuple[Stage, StageMetrics]]:
        """Yield the stages there are, post-training first as Clarify writes them."""
        if self.post is not None:
            yield "post", self.post
        if self.pre is not None:
            yield "pre", self.pre


BiasBaseline = Baseline[BiasStatistics, BiasConstraints]


# --- analysis.json and constraints.json -------------------------------------------------------------------


def read_constraints(value: dict[str, Any], where: str) -> BiasConstraints:
    """Build the constraints from ``constraints.json`` or a Clarify ``analysis.json``.

    Raises
    ------
    DocumentError
        Naming file and path, when a member is missing or of the wrong type, or there are no metrics of bias.
    """
    fields = Fields(value, where)
    fields.get("version", (str, int, float), None)
    pre, post = fields.child(PRE), fields.child(POST)
    if pre is None and post is None:
        raise DocumentError(
            f"{where} has neither {PRE!r} nor {POST!r}, so it is not a file of a bias job; give "
            "baseline_constraints the constraints.json or the analysis.json of a bias baseline job."
        )
    return BiasConstraints(
        pre=None if pre is None else _read_stage(pre),
        post=None if post is None else _read_stage(post),
        extra=fields.extra(),
        order=fields.order(),
        where=where,
    )


def _read_stage(fields: Fields) -> StageMetrics:
    facets = Fields(fields.get("facets", dict), f"{fields.where}.facets")
    return StageMetrics(
        label=fields.get("label", str, ""),
        label_value_or_threshold=fields.get("label_value_or_threshold", str, ""),
        facets={name: [_read_facet(member) for member in facets.children(name)] for name in facets.value},
        extra=fields.extra(),
        order=fields.order(),
    )


def _read_facet(fields: Fields) -> FacetMetrics:
    return FacetMetrics(
        value_or_threshold=str(fields.get("value_or_threshold", (str, int, float), "")),
        metrics=[read_metric(member) for member in fields.children("metrics")],
        extra=fields.extra(),
        order=fields.order(),
    )


def constraints_to_json(document: BiasConstraints) -> dict[str, Any]:
    """Return the constraints as JSON values."""
    return _stages_to_json(document, with_extensions=True)


def analysis_to_json(document: BiasConstraints) -> dict[str, Any]:
    """Return what ``analysis.json`` holds of bias: the constraints without members that Clarify lacks."""
    return _stages_to_json(document, with_extensions=False)


def _stages_to_json(document: BiasConstraints, *, with_extensions: bool) -> dict[str, Any]:
    members: dict[str, Any] = {"version": VERSION}
    for name, stage in document.stages():
        members[_MEMBERS[name]] = _stage_to_json(stage, with_extensions)
    extra = SWITCH | document.extra if with_extensions and not document.order else document.extra
    return in_order(members, extra, document.order)


def _stage_to_json(stage: StageMetrics, with_extensions: bool) -> dict[str, Any]:
    members = {
        "label": stage.label,
        "facets": {
            name: [_facet_to_json(value, with_extensions) for value in values]
            for name, values in stage.facets.items()
        },
        "label_value_or_threshold": stage.label_value_or_threshold,
    }
    return in_order(members, stage.extra, stage.order)


def _facet_to_json(facet: FacetMetrics, with_extensions: bool) -> dict[str, Any]:
    members = {
        "value_or_threshold": facet.value_or_threshold,
        "metrics": [metric_to_json(metric, with_extensions) for metric in facet.metrics],
    }
    return in_order(members, facet.extra, facet.order)


def _further_files(statistics: BiasStatistics, constraints: BiasConstraints) -> dict[str, Any]:
    return {ANALYSIS: analysis_json.dumps(analysis_to_json(constraints))}


def _no_names(baseline: BiasBaseline) -> tuple[str, ...] | None:
    return None  # columns are named by the configuration, not by the baseline


BIAS: DocumentSet[BiasStatistics, BiasConstraints] = DocumentSet(
    read_statistics=read_statistics,
    write_statistics=statistics_to_json,
    read_constraints=read_constraints,
    write_constraints=constraints_to_json,
    column_names=_no_names,
    further_files=_further_files,
    constraints_names=("constraints.json", ANALYSIS),
)
