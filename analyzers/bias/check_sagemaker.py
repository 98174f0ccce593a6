"""Decisions as Clarify's bias-drift monitor made them: |current| > |baseline|, to the precision of floats.

Spec section 4.3: found from the service's own decisions. Sizes are compared, so signs do not count, and DI is
compared by size too, although a smaller DI is the worse one.
"""

import math
from collections.abc import Iterator
from dataclasses import replace

from analyzers.bias import documents
from analyzers.bias.describe import group_text, requirement_text
from analyzers.shared.analysis_json import with_version
from contract.api import Comparison, Decision, Finding, State, Violation
from contract.errors import wording

CHECK_TYPE = "bias_drift_check"
# Metrics are sums over rows or strata; other orders of addition change the last digits by less than this.
_SAME_RELATIVE, _SAME_ABSOLUTE = 1e-12, 1e-15


def check_sagemaker(statistics: documents.BiasStatistics, constraints: documents.BiasConstraints) -> Decision:
    """Compare a window with the constraints as the original did.

    A metric without a value on either side raises no violation; notes name those, and groups that
    the constraints do not have.
    """
    violations, findings, comparisons = [], [], []
    without: dict[str, list[str]] = {}
    for facet, metric, before in pairs(statistics, constraints):
        if metric.value is None or before.value is None:
            without.setdefault(group_text(facet), []).append(metric.name)
            if metric.value is None and before.value is None:
                continue  # as at the baseline
            lost = metric.value is None
            reason = why_no_value(facet, metric) if lost else f"the baseline has no value of {metric.name}"
            comparisons.append(undecided(facet, metric.name, reason, lost))
            continue
        size, limit = abs(metric.value), abs(before.value)
        # In their last digits the same rows may differ (GE, by their order).
        is_same = math.isclose(size, limit, rel_tol=_SAME_RELATIVE, abs_tol=_SAME_ABSOLUTE)
        is_violated = size > limit and not is_same
        state, subject = State.VIOLATED if is_violated else State.HOLDS, subject_of(facet, metric.name)
        found = Comparison(subject, CHECK_TYPE, state, limit=0.0)
        if math.isfinite(size) and math.isfinite(limit):
            found = replace(found, value=metric.value, expected=before.value, effect=size - limit)
        comparisons.append(found)
        if is_violated:
            text = requirement_text(metric.value, before.value)
            violations.append(violation(facet, metric.name, text))
            growth = size - limit if math.isfinite(size) else None
            findings.append(Finding(f"{metric.name} of {group_text(facet)}", text, growth, violated=True))
    notes = unmatched(statistics, constraints)
    for group, names in without.items():
        notes.append(wording("bias_notes.without", group=group, names=", ".join(names)))
    given = (metric for _, member in constraints.groups() for metric in member.metrics)
    if ignored := [one.name for one in given if one.allowed is not None or one.threshold is not None]:
        notes.append(wording("bias_notes.ignored", names=", ".join(dict.fromkeys(ignored))))
    comparisons += absent_groups(statistics, constraints, is_sound=False)
    return Decision(with_version(violations), tuple(findings), tuple(notes), tuple(comparisons))


def why_no_value(facet: documents.FacetStatistics, metric: documents.MetricValue) -> str:
    """Return why the window does not define a metric of a group."""
    sizes = [sum(sum(row) for row in side) for side in facet.counts or ()]
    if sizes and not all(sizes):
        return f"the window has no rows {'of' if not sizes[-1] else 'outside'} the group {group_text(facet)}"
    return (metric.error or f"the window does not define {metric.name}").rstrip(".")


def undecided(facet: documents.FacetStatistics, name: str, reason: str, lost: bool = False) -> Comparison:
    """Return the comparison of a metric of a group that has no answer."""
    return Comparison(subject_of(facet, name), CHECK_TYPE, State.UNDECIDED, reason=reason, lost=lost)


def absent_groups(
    statistics: documents.BiasStatistics, constraints: documents.BiasConstraints, *, is_sound: bool
) -> list[Comparison]:
    """Return the comparisons of groups and metrics that the baseline has and the window has not."""
    known_groups = [one[1:] for one in _groups(statistics, constraints) if one[2] is not None]
    there = {(id(before), metric.name) for metrics, before in known_groups for metric in metrics}
    why = next(iter(statistics.problems.values()), "").rstrip(".")
    known = {facet.facet for facet in statistics.facets}
    found = []
    for name, member in constraints.groups():
        reason = why or f"the window has no metrics of the group {name} = {member.value_or_threshold}"
        if name in known and not statistics.has_predictions:
            reason = "no row has a usable prediction"
        group = documents.FacetStatistics(name, member.value_or_threshold, [])
        for metric in member.metrics:
            is_asked = metric.asks_for_something if is_sound else metric.value is not None
            if is_asked and (id(member), metric.name) not in there:
                found.append(undecided(group, metric.name, reason, lost=True))
    return found


def _groups(
    statistics: documents.BiasStatistics, constraints: documents.BiasConstraints
) -> Iterator[tuple[documents.FacetStatistics, list[documents.MetricValue], documents.FacetMetrics | None]]:
    """Yield the groups of each stage, their metrics, and what the constraints say of them."""
    every = [(stage, facet, metrics) for facet in statistics.facets for stage, metrics in facet.stages()]
    for stage, facet, metrics in sorted(every, key=lambda one: one[0] != "post"):
        yield facet, metrics, constraints.group(stage, facet.facet, facet.value_or_threshold)


def pairs(
    statistics: documents.BiasStatistics, constraints: documents.BiasConstraints
) -> Iterator[tuple[documents.FacetStatistics, documents.MetricValue, documents.MetricValue]]:
    """Yield every metric of the window with its constraint, in the original's order."""
    for facet, metrics, before in _groups(statistics, constraints):
        for metric in metrics:
            constraint = None if before is None else before.metric(metric.name)
            if constraint is not None:
                yield facet, metric, constraint


def unmatched(statistics: documents.BiasStatistics, constraints: documents.BiasConstraints) -> list[str]:
    """Return notes on groups that only one side has."""
    every = list(_groups(statistics, constraints))
    known = {group_text(facet) for facet, _, before in every if before is not None}
    unknown = dict.fromkeys(text for facet, _, _ in every if (text := group_text(facet)) not in known)
    notes = [f"The baseline does not know the group {text}, so it was not checked." for text in unknown]
    seen = {(facet.facet, before.value_or_threshold) for facet, _, before in every if before is not None}
    asked = [(name, member.value_or_threshold) for name, member in constraints.groups()]
    if absent := dict.fromkeys(f"{name} = {value}" for name, value in asked if (name, value) not in seen):
        notes.append(wording("bias_notes.absent", groups=", ".join(absent)))
    return notes


def subject_of(facet: documents.FacetStatistics, name: str) -> str:
    """Return what a comparison of a metric of a group is about."""
    return violation(facet, name, "").subject


def violation(facet: documents.FacetStatistics, name: str, description: str) -> Violation:
    """Return a violation with the members of the original file."""
    group = {"facet": facet.facet, "facet_value": facet.value_or_threshold}
    return Violation(CHECK_TYPE, description, metric_name=name, extra=group)
