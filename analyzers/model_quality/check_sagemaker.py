"""Decisions as the original containers made them: any value worse than its threshold (spec section 4.4)."""

import math
from dataclasses import replace

from analyzers.model_quality import documents
from analyzers.model_quality.documents import LESS, MetricConstraint, QualityConstraints, QualityStatistics
from analyzers.shared.rules import SMALL_MAP, category_order
from contract.api import Comparison, Decision, Finding, State, Violation, Violations
from contract.json_layout import java_double

# Constraints: the metrics of the baseline as thresholds.


# Which direction is worse, for every metric that is constrained by itself, in the originals' order.
CONSTRAINED: dict[str, dict[str, documents.Operator]] = documents.FACTS["constrained"]


def suggest(
    statistics: QualityStatistics, baseline: documents.QualityBaseline | None = None, *, sound: bool = True
) -> QualityConstraints:
    """Return constraints with the value of each metric as its threshold.

    Under sound rules what an expert changed in the baseline's constraints is kept: metrics left out stay out,
    metrics added stay, and a threshold that is not the baseline's value is a decision, so it stays.

    Parameters
    ----------
    statistics
        Of the baseline, or of a window.
    baseline
        What the window was compared with, None in a baseline job.
    sound
        Whether sound rules apply.
    """
    operators = {**CONSTRAINED[statistics.problem_type], **(documents.FACTS["losses"] if sound else {})}
    known = baseline.constraints if baseline is not None and sound else None
    if known is None:
        metrics = {
            name: MetricConstraint(value, operator)
            for name, operator in operators.items()
            if (value := statistics.value(name)) is not None
        }
        return QualityConstraints(statistics.problem_type, metrics)
    metrics = {}
    before = baseline.statistics if baseline is not None else None
    for name, constraint in known.metrics.items():
        value = statistics.value(name)
        decided = before is not None and not is_own_value(constraint, before.value(name))
        threshold = constraint.threshold if decided or value is None else value
        metrics[name] = MetricConstraint(threshold, constraint.operator, constraint.extra)
    return QualityConstraints(statistics.problem_type, metrics, extra=known.extra, order=known.order)


def is_own_value(constraint: MetricConstraint, value: float | None) -> bool:
    """Return whether the threshold is the baseline's own value rather than somebody's decision."""
    # Thresholds that people copy are rounded now and then.
    return value is not None and math.isclose(constraint.threshold, value, rel_tol=1e-5, abs_tol=1e-5)


def check_sagemaker(statistics: QualityStatistics, constraints: QualityConstraints) -> Decision:
    """Compare a window with the constraints as the originals did.

    A metric that is undefined in the window raises no violation.
    """
    violations, findings, comparisons = [], [], []
    names = {documents.FACTS["reported"].get(name, name): name for name in constraints.metrics}
    ordered = list(names)
    if len(names) > SMALL_MAP:
        # f0_5 was not among the ten first violations recorded, although it was one; so it comes last.
        ordered = sorted(category_order("", names), key=lambda name: name == "f0_5")
    for name, reported in ((names[reported], reported) for reported in ordered):
        metric, constraint = statistics.metrics.get(name), constraints.metrics[name]
        if metric is None or metric.value is None:
            comparisons.append(undefined(name, constraint, why_undefined(statistics)))
            continue
        text = describe_comparison(reported, metric, constraint)
        violated = is_beyond(metric.value, constraint)
        if violated:
            violations.append(Violation(constraint.operator, text, metric_name=reported))
        worse = shortfall(metric.value, constraint)
        finding = Finding(name, text, worse, violated, value=metric.value, expected=constraint.threshold)
        findings.append(finding)
        comparisons.append(compared(finding, constraint, statistics))
    return Decision(Violations(violations), tuple(findings), comparisons=tuple(comparisons))


def compared(finding: Finding, constraint: MetricConstraint, statistics: QualityStatistics) -> Comparison:
    """Return a finding as a comparison."""
    state = State.VIOLATED if finding.violated else State.HOLDS
    found = Comparison(finding.subject, constraint.operator, state, finding.text, rows=statistics.item_count)
    return replace(found, value=finding.value, expected=finding.expected, effect=finding.distance, limit=0.0)


def why_undefined(statistics: QualityStatistics) -> str:
    """Return why the window does not define some metrics."""
    matrix, positive = statistics.confusion_matrix or {}, statistics.positive_label or ""
    found = {label for label, row in matrix.items() if any(row.values())}
    if positive and len(found) == 1:
        return f"{'every' if positive in found else 'no'} label in the window is {positive!r}"
    if positive and not any(row.get(positive) for row in matrix.values()):
        return f"no prediction in the window is {positive!r}"
    return "the window does not define some metrics"


def undefined(name: str, constraint: MetricConstraint, reason: str) -> Comparison:
    """Return the comparison of a metric that the window does not define: no positives, say."""
    return Comparison(name, constraint.operator, State.UNDECIDED, reason=reason, lost=True)


def is_beyond(value: float, constraint: MetricConstraint) -> bool:
    """Return whether a value is worse than the threshold."""
    return value < constraint.threshold if constraint.operator == LESS else value > constraint.threshold


def shortfall(value: float, constraint: MetricConstraint) -> float:
    """Return by how much a value is worse than the threshold; negative when it is better."""
    gap = constraint.threshold - value
    return gap if constraint.operator == LESS else -gap


def describe_comparison(name: str, metric: documents.MetricValue, constraint: MetricConstraint) -> str:
    """Return the originals' sentence on a metric that is beyond its threshold."""
    value = java_double(metric.value) if metric.value is not None else "NaN"
    deviation = "NaN" if metric.standard_deviation is None else java_double(metric.standard_deviation)
    verb = "was" if metric.value is not None and is_beyond(metric.value, constraint) else "was not"
    threshold = java_double(constraint.threshold)
    return f"Metric {name} with {value} +/- {deviation} {verb} {constraint.operator} '{threshold}'"
