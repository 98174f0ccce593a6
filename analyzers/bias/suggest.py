"""Constraints: the metrics of the baseline, each the largest size that a later window may have."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace

from analyzers.bias.documents import (
    BiasBaseline,
    BiasConstraints,
    BiasStatistics,
    FacetMetrics,
    FacetStatistics,
    MetricValue,
    Stage,
    StageMetrics,
)

# Which group of a baseline is the same as a group of the window.
#
# Groups are named by their values, ``0`` or ``a,c``, or by an interval such as ``(40, 75]``. One end of an
# interval is the threshold, the other the maximum of the data, which differs from window to window; so
# intervals of the same facet pair by their threshold.


_INTERVAL = re.compile(r"\(([^,\s]+), ([^,\s]+)\]")
Interval = tuple[float, float]


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


def _interval(text: str) -> Interval | None:
    match = _INTERVAL.fullmatch(text)
    if match is None:
        return None
    try:
        return float(match[1]), float(match[2])
    except ValueError:
        return None


def paired_constraints(
    constraints: BiasConstraints, stage: Stage, facet: str, group: str
) -> FacetMetrics | None:
    """Return what the constraints say of a group in a stage, None when they say nothing."""
    metrics = constraints.post if stage == "post" else constraints.pre
    members = [] if metrics is None else metrics.facets.get(facet, [])
    return _paired(members, group)


def paired_statistics(statistics: BiasStatistics | None, facet: str, group: str) -> FacetStatistics | None:
    """Return a baseline's statistics of a group, None when it has none."""
    members = [] if statistics is None else [member for member in statistics.facets if member.facet == facet]
    return _paired(members, group)


def _paired[Member: (FacetMetrics, FacetStatistics)](members: Iterable[Member], group: str) -> Member | None:
    members = list(members)
    exact = [member for member in members if member.value_or_threshold == group]
    alike = exact or [member for member in members if same_group(member.value_or_threshold, group)]
    return alike[0] if alike else None


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
