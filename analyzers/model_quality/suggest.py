"""Constraints: the metrics of the baseline as thresholds."""

from __future__ import annotations

import math

from contract.documents.model_quality import (
    GREATER,
    LESS,
    MetricConstraint,
    ModelQualityBaseline,
    ModelQualityConstraints,
    ModelQualityStatistics,
    Operator,
)

# Which direction is worse, for every metric that is constrained by itself, in the originals' order.
CONSTRAINED: dict[str, dict[str, Operator]] = {
    "Regression": {"mae": GREATER, "mse": GREATER, "rmse": GREATER, "r2": LESS},
    "BinaryClassification": {
        "recall": LESS,
        "precision": LESS,
        "accuracy": LESS,
        "true_positive_rate": LESS,
        "true_negative_rate": LESS,
        "false_positive_rate": GREATER,
        "false_negative_rate": GREATER,
        "auc": LESS,
        "f0_5": LESS,
        "f1": LESS,
        "f2": LESS,
    },
    "MulticlassClassification": {
        "accuracy": LESS,
        "weighted_recall": LESS,
        "weighted_precision": LESS,
        "weighted_f0_5": LESS,
        "weighted_f1": LESS,
        "weighted_f2": LESS,
    },
}

# Thresholds that people copy are rounded now and then.
_SAME_NUMBER = 1e-5


def suggest(
    statistics: ModelQualityStatistics, baseline: ModelQualityBaseline | None = None, *, sound: bool = True
) -> ModelQualityConstraints:
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
    operators = CONSTRAINED[statistics.problem_type]
    known = baseline.constraints if baseline is not None and sound else None
    if known is None:
        metrics = {
            name: MetricConstraint(value, operator)
            for name, operator in operators.items()
            if (value := statistics.value(name)) is not None
        }
        return ModelQualityConstraints(statistics.problem_type, metrics)
    metrics = {}
    before = baseline.statistics if baseline is not None else None
    for name, constraint in known.metrics.items():
        value = statistics.value(name)
        decided = before is not None and not is_own_value(constraint, before.value(name))
        threshold = constraint.threshold if decided or value is None else value
        metrics[name] = MetricConstraint(threshold, constraint.operator, constraint.extra)
    return ModelQualityConstraints(statistics.problem_type, metrics, known.extra, known.order)


def is_own_value(constraint: MetricConstraint, value: float | None) -> bool:
    """Return whether the threshold is the baseline's own value rather than somebody's decision."""
    return value is not None and math.isclose(
        constraint.threshold, value, rel_tol=_SAME_NUMBER, abs_tol=_SAME_NUMBER
    )
