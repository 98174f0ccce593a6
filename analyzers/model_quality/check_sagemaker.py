"""Decisions as the original containers made them: any value worse than its threshold (spec section 4.4)."""

from __future__ import annotations

from analyzers.scala_order import SMALL_MAP, category_order
from contract.analyzer import Comparison, Decision, Finding, State
from contract.documents.json_layout import java_double
from contract.documents.model_quality import (
    LESS,
    MetricConstraint,
    MetricValue,
    ModelQualityConstraints,
    ModelQualityStatistics,
)
from contract.documents.violations import Violation, Violations

# The originals report these four in camel case.
_REPORTED = {
    "true_positive_rate": "truePositiveRate",
    "true_negative_rate": "trueNegativeRate",
    "false_positive_rate": "falsePositiveRate",
    "false_negative_rate": "falseNegativeRate",
}
# Not among the ten first violations recorded, although it was one; so it comes last.
_LAST = "f0_5"


def check_sagemaker(statistics: ModelQualityStatistics, constraints: ModelQualityConstraints) -> Decision:
    """Compare a window with the constraints as the originals did.

    A metric that is undefined in the window raises no violation.
    """
    violations, findings, comparisons = [], [], []
    for name, reported in _in_order(constraints):
        metric, constraint = statistics.metrics.get(name), constraints.metrics[name]
        if metric is None or metric.value is None:
            comparisons.append(undefined(name, constraint))
            continue
        text = describe_comparison(reported, metric, constraint)
        violated = is_beyond(metric.value, constraint)
        if violated:
            violations.append(Violation(constraint.operator, text, metric_name=reported))
        worse = shortfall(metric.value, constraint)
        findings.append(
            Finding(name, text, worse, violated, value=metric.value, expected=constraint.threshold)
        )
        comparisons.append(
            Comparison(
                name,
                constraint.operator,
                State.VIOLATED if violated else State.HOLDS,
                text,
                value=metric.value,
                expected=constraint.threshold,
                effect=worse,
                limit=0.0,
                rows=statistics.item_count,
            )
        )
    return Decision(Violations(violations), tuple(findings), comparisons=tuple(comparisons))


def undefined(name: str, constraint: MetricConstraint) -> Comparison:
    """Return the comparison of a metric that the window does not define: no positives, say."""
    reason = "the window does not define some metrics"
    return Comparison(name, constraint.operator, State.UNDECIDED, reason=reason, lost=True)


def _in_order(constraints: ModelQualityConstraints) -> list[tuple[str, str]]:
    names = {_REPORTED.get(name, name): name for name in constraints.metrics}
    if len(names) > SMALL_MAP:
        ordered = category_order("", names)
        ordered.sort(key=lambda name: name == _LAST)
    else:
        ordered = list(names)
    return [(names[reported], reported) for reported in ordered]


def is_beyond(value: float, constraint: MetricConstraint) -> bool:
    """Return whether a value is worse than the threshold."""
    return value < constraint.threshold if constraint.operator == LESS else value > constraint.threshold


def shortfall(value: float, constraint: MetricConstraint) -> float:
    """Return by how much a value is worse than the threshold; negative when it is better."""
    gap = constraint.threshold - value
    return gap if constraint.operator == LESS else -gap


def describe_comparison(name: str, metric: MetricValue, constraint: MetricConstraint) -> str:
    """Return the originals' sentence on a metric that is beyond its threshold."""
    value = java_double(metric.value) if metric.value is not None else "NaN"
    deviation = "NaN" if metric.standard_deviation is None else java_double(metric.standard_deviation)
    verb = "was" if metric.value is not None and is_beyond(metric.value, constraint) else "was not"
    threshold = java_double(constraint.threshold)
    return f"Metric {name} with {value} +/- {deviation} {verb} {constraint.operator} '{threshold}'"
