"""Decisions as Clarify's bias-drift monitor made them: |current| > |baseline|, to the precision of floats.

Spec section 4.3: found from the service's own decisions. Sizes are compared, so signs do not count, and DI is
compared by size too, although a smaller DI is the worse one.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

from analyzers.bias.documents import BiasConstraints, BiasStatistics, FacetStatistics, MetricValue, Stage
from analyzers.bias.explain import group_text, requirement_text
from analyzers.bias.suggest import metrics_of, paired_constraints
from contract.api import Comparison, Decision, Finding, State, Violation, Violations

CHECK_TYPE = "bias_drift_check"
# Metrics are sums over rows or strata; other orders of addition change the last digits by less than this.
_SAME_RELATIVE, _SAME_ABSOLUTE = 1e-12, 1e-15
STAGES: tuple[Stage, ...] = ("post", "pre")
Pair = tuple[Stage, FacetStatistics, MetricValue, MetricValue]


def check_sagemaker(statistics: BiasStatistics, constraints: BiasConstraints) -> Decision:
    """Compare a window with the constraints as the original did.

    A metric without a value on either side raises no violation; notes name those, and groups that
    the constraints do not have.
    """
    violations, findings, comparisons = [], [], []
    without: dict[str, list[str]] = {}
    for _, facet, metric, before in pairs(statistics, constraints):
        if metric.value is None or before.value is None:
            without.setdefault(group_text(facet), []).append(metric.name)
            if metric.value is None and before.value is None:
                continue  # as at the baseline
            lost = metric.value is None
            reason = why_no_value(facet, metric) if lost else f"the baseline has no value of {metric.name}"
            comparisons.append(undecided_comparison(facet, metric.name, reason, lost))
            continue
        size, limit = abs(metric.value), abs(before.value)
        is_violated = _is_larger(size, limit)
        finite = math.isfinite(metric.value) and math.isfinite(before.value)
        comparisons.append(
            Comparison(
                violation(facet, metric.name, "").subject,
                CHECK_TYPE,
                State.VIOLATED if is_violated else State.HOLDS,
                value=metric.value if finite else None,
                expected=before.value if finite else None,
                effect=size - limit if finite else None,
                limit=0.0,
            )
        )
        if is_violated:
            text = requirement_text(metric.value, before.value)
            violations.append(violation(facet, metric.name, text))
            growth = size - limit if math.isfinite(size) else None
            findings.append(Finding(f"{metric.name} of {group_text(facet)}", text, growth, violated=True))
    notes = [
        *unmatched(statistics, constraints),
        *(
            f"{group}: without a value in the window or the baseline, so not checked: {', '.join(names)}."
            for group, names in without.items()
        ),
        *_ignored(constraints),
    ]
    return Decision(
        Violations(violations, {"version": "1.0"}),
        tuple(findings),
        tuple(notes),
        (*comparisons, *absent_groups(statistics, constraints)),
    )


def why_no_value(facet: FacetStatistics, metric: MetricValue) -> str:
    """Return why the window does not define a metric of a group."""
    sizes = [sum(sum(row) for row in side) for side in facet.counts or ()]
    if sizes and not all(sizes):
        return f"the window has no rows {'of' if not sizes[-1] else 'outside'} the group {group_text(facet)}"
    return (metric.error or f"the window does not define {metric.name}").rstrip(".")


def undecided_comparison(facet: FacetStatistics, name: str, reason: str, lost: bool = False) -> Comparison:
    """Return the comparison of a metric of a group that has no answer."""
    subject = violation(facet, name, "").subject
    return Comparison(subject, CHECK_TYPE, State.UNDECIDED, reason=reason, lost=lost)


def absent_groups(statistics: BiasStatistics, constraints: BiasConstraints) -> list[Comparison]:
    """Return the comparisons of groups and metrics that the baseline has and the window has not."""
    there = {
        (stage, id(before), metric.name)
        for stage in STAGES
        for facet in statistics.facets
        for metric in metrics_of(facet, stage) or ()
        if (before := paired_constraints(constraints, stage, facet.facet, facet.value_or_threshold))
    }
    why = next(iter(statistics.problems.values()), "")
    return [
        Comparison(
            f"{metric.name} of {name} {member.value_or_threshold}",
            CHECK_TYPE,
            State.UNDECIDED,
            reason=why.rstrip(".")
            or f"the window has no metrics of the group {name} = {member.value_or_threshold}",
            lost=True,
        )
        for stage, known in constraints.stages()
        for name, members in known.facets.items()
        for member in members
        for metric in member.metrics
        if metric.value is not None and (stage, id(member), metric.name) not in there
    ]


def _is_larger(size: float, limit: float) -> bool:
    """Return whether a size is larger; in their last digits the same rows may differ (GE, by their order)."""
    return size > limit and not math.isclose(size, limit, rel_tol=_SAME_RELATIVE, abs_tol=_SAME_ABSOLUTE)


def pairs(statistics: BiasStatistics, constraints: BiasConstraints) -> Iterator[Pair]:
    """Yield every metric of the window with its constraint, in the original's order."""
    for stage in STAGES:
        for facet in statistics.facets:
            before = paired_constraints(constraints, stage, facet.facet, facet.value_or_threshold)
            if before is None:
                continue
            for metric in metrics_of(facet, stage) or ():
                constraint = before.metric(metric.name)
                if constraint is not None:
                    yield stage, facet, metric, constraint


def unmatched(statistics: BiasStatistics, constraints: BiasConstraints) -> list[str]:
    """Return notes on groups that only one side has."""
    notes = []
    seen: list[str] = []
    for facet in statistics.facets:
        stages = [stage for stage in STAGES if metrics_of(facet, stage) is not None]
        paired = [
            before
            for stage in stages
            if (before := paired_constraints(constraints, stage, facet.facet, facet.value_or_threshold))
        ]
        seen += [f"{facet.facet} {before.value_or_threshold}" for before in paired]
        if stages and not paired:
            notes.append(f"The baseline does not know the group {group_text(facet)}, so it was not checked.")
    absent = [
        f"{name} = {member.value_or_threshold}"
        for _, stage in constraints.stages()
        for name, members in stage.facets.items()
        for member in members
        if f"{name} {member.value_or_threshold}" not in seen
    ]
    if absent:
        groups = ", ".join(dict.fromkeys(absent))
        notes.append(
            f"The window does not have these groups of the baseline, or no metrics of them: {groups}."
        )
    return notes


def violation(facet: FacetStatistics, name: str, description: str) -> Violation:
    """Return a violation with the members of the original file."""
    group = {"facet": facet.facet, "facet_value": facet.value_or_threshold}
    return Violation(CHECK_TYPE, description, metric_name=name, extra=group)


def _ignored(constraints: BiasConstraints) -> list[str]:
    given = [
        metric.name
        for _, stage in constraints.stages()
        for members in stage.facets.values()
        for member in members
        for metric in member.metrics
        if metric.allowed is not None or metric.threshold is not None
    ]
    if not given:
        return []
    names = ", ".join(dict.fromkeys(given))
    return [
        f"rules=sagemaker compares with the baseline's values; allowed and threshold are not used: {names}."
    ]
