"""Constraints: the metrics of the baseline, each the largest size that a later window may have."""

from __future__ import annotations

from dataclasses import replace

from analyzers.bias.pairing import paired_constraints
from contract.documents.bias import (
    BiasBaseline,
    BiasConstraints,
    BiasStatistics,
    FacetMetrics,
    FacetStatistics,
    MetricValue,
    Stage,
    StageMetrics,
)


def suggest(
    statistics: BiasStatistics, baseline: BiasBaseline | None = None, *, sound: bool = True
) -> BiasConstraints:
    """Return constraints with every metric of every facet.

    Under sound rules what somebody added to the baseline's constraints is kept: what is allowed of a metric,
    and members that are not known here.

    Parameters
    ----------
    statistics
        Of the baseline, or of a window.
    baseline
        What the window was compared with, None in a baseline job.
    sound
        Whether sound rules apply.
    """
    known = baseline.constraints if baseline is not None and sound else None
    return BiasConstraints(pre=_stage(statistics, "pre", known), post=_stage(statistics, "post", known))


def metrics_of(facet: FacetStatistics, stage: Stage) -> list[MetricValue] | None:
    """Return a facet's metrics of one stage, None when it was not asked for or failed."""
    return facet.post if stage == "post" else facet.pre


def _stage(statistics: BiasStatistics, stage: Stage, known: BiasConstraints | None) -> StageMetrics | None:
    facets: dict[str, list[FacetMetrics]] = {}
    for facet in statistics.facets:
        metrics = metrics_of(facet, stage)
        if metrics is None:
            continue
        before = None
        if known is not None:
            before = paired_constraints(known, stage, facet.facet, facet.value_or_threshold)
        facets.setdefault(facet.facet, []).append(
            FacetMetrics(facet.value_or_threshold, [_kept(metric, before) for metric in metrics])
        )
    if not facets:
        return None
    return StageMetrics(statistics.label, statistics.label_value_or_threshold, facets)


def _kept(metric: MetricValue, before: FacetMetrics | None) -> MetricValue:
    known = before.metric(metric.name) if before is not None else None
    if known is None:
        return metric
    return replace(
        metric,
        allowed=known.allowed,
        threshold=known.threshold,
        extra={**known.extra, **metric.extra},
    )
