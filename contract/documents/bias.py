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

from contract.analyzer import Baseline, DocumentSet
from contract.documents import analysis
from contract.documents.analysis import VERSION
from contract.documents.bias_metric import MetricValue, metric_to_json, read_metric
from contract.documents.bias_statistics import (
    BiasStatistics,
    FacetStatistics,
    read_statistics,
    statistics_to_json,
)
from contract.documents.fields import Fields, in_order
from contract.errors import DocumentError

Stage = Literal["pre", "post"]

__all__ = [
    "BIAS",
    "BiasBaseline",
    "BiasConstraints",
    "BiasStatistics",
    "FacetMetrics",
    "FacetStatistics",
    "MetricValue",
    "StageMetrics",
    "analysis_to_json",
    "constraints_to_json",
    "metric_to_json",
    "read_constraints",
    "read_metric",
    "read_statistics",
    "statistics_to_json",
]

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
    return in_order(members, document.extra, document.order)


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
    return {ANALYSIS: analysis.dumps(analysis_to_json(constraints))}


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
