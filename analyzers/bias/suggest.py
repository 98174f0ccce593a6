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
    StageMetrics,
)

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
    known = (baseline.constraints if baseline is not None and sound else None) or BiasConstraints()
    pre = _stage(statistics, [facet.pre for facet in statistics.facets], known.pre)
    post = _stage(
        statistics, [facet.post for facet in statistics.facets], None if known is None else known.post
    )
    return BiasConstraints(pre=pre, post=post)


def _stage(
    statistics: BiasStatistics, metrics: list[list[MetricValue] | None], known: StageMetrics | None
) -> StageMetrics | None:
    facets: dict[str, list[FacetMetrics]] = {}
    for facet, values in zip(statistics.facets, metrics, strict=True):
        if values is None:
            continue
        members = [] if known is None else known.facets.get(facet.facet, [])
        before = paired(members, facet.value_or_threshold)
        kept = [
            _with_additions(value, None if before is None else before.metric(value.name)) for value in values
        ]
        facets.setdefault(facet.facet, []).append(FacetMetrics(facet.value_or_threshold, kept))
    if not facets:
        return None
    return StageMetrics(statistics.label, statistics.label_value_or_threshold, facets)


def _with_additions(metric: MetricValue, known: MetricValue | None) -> MetricValue:
    if known is None:
        return metric
    extra = {**known.extra, **metric.extra}
    return replace(metric, allowed=known.allowed, threshold=known.threshold, extra=extra)
