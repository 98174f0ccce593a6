"""Decisions by statistics: a violation is a metric beyond its threshold by more than chance explains.

All metrics of a window without any change together raise a violation in less than 1 % of windows. Metrics
that are the same number in another form (recall, its complement; mse, rmse) share one part of that budget.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping

import numpy as np

from analyzers.model_quality.cells import Floats
from analyzers.model_quality.check_sagemaker import describe_comparison, is_beyond, shortfall
from analyzers.model_quality.comparison import Comparison, Side, compare, is_loss
from analyzers.model_quality.confusion import binary_cells, binary_metrics
from analyzers.model_quality.resampling import TABLE_RESAMPLES, table_draws
from analyzers.model_quality.suggest import CONSTRAINED
from analyzers.wording import number
from contract.analyzer import Decision, Finding
from contract.documents.model_quality import (
    LESS,
    ModelQualityConstraints,
    ModelQualityStatistics,
)
from contract.documents.violations import Violation, Violations
from contract.errors import DocumentError

# Probability that a window without any change raises a violation.
FALSE_ALARM_RATE = 0.005

# A first look with few resamples settles all that is far from any limit.
_FIRST_RESAMPLES = 2_000
_SETTLED = 0.02

_SAME_TEST = {
    "true_positive_rate": "recall",
    "false_negative_rate": "recall",
    "false_positive_rate": "true_negative_rate",
    "rmse": "mse",
    "weighted_recall": "accuracy",
}
_FURTHER_METRICS = (
    "average_precision",
    "log_loss",
    "brier_score",
    "expected_calibration_error",
    "mape",
    "top_2_accuracy",
    "top_3_accuracy",
    "top_5_accuracy",
)


def check_sound(
    statistics: ModelQualityStatistics,
    constraints: ModelQualityConstraints,
    baseline: ModelQualityStatistics | None,
    *,
    positive: str,
    error_share: float,
    seed: int,
) -> Decision:
    """Compare a window with the baseline.

    Parameters
    ----------
    statistics
        The window.
    constraints
        The thresholds.
    baseline
        Where they come from; a threshold that is the baseline's own value carries that value's error, and one
        that somebody set is taken as exact, as are all without the baseline's statistics.
    positive
        The positive label.
    error_share
        Share of the false-alarm rate that this check may spend.
    seed
        Of the resampling.

    Raises
    ------
    DocumentError
        When a constraint names no metric.
    """
    _refuse_unknown(statistics, constraints)
    comparisons = _comparisons(statistics, constraints, baseline, positive, seed)
    tests = {_SAME_TEST.get(comparison.name, comparison.name) for comparison in comparisons}
    alpha = FALSE_ALARM_RATE * error_share / max(1, len(tests))
    violations = [
        Violation(comparison.constraint.operator, _violation_text(comparison), metric_name=comparison.name)
        for comparison in comparisons
        if is_violated(comparison, alpha)
    ]
    findings = sorted(
        (_finding(comparison, alpha) for comparison in comparisons),
        key=lambda finding: (not finding.violated, -(finding.distance or 0.0)),
    )
    notes = [*_unmeasured(constraints, comparisons), *_small_window(statistics, comparisons, alpha)]
    if baseline is None:
        notes.append("There is no baseline_statistics, so thresholds are taken as exact.")
    return Decision(Violations(violations), tuple(findings), tuple(notes))


def is_violated(comparison: Comparison, alpha: float) -> bool:
    """Return whether a metric is beyond its threshold, and by more than chance explains."""
    value = comparison.metric.value
    return value is not None and is_beyond(value, comparison.constraint) and comparison.p_value < alpha


def _comparisons(
    statistics: ModelQualityStatistics,
    constraints: ModelQualityConstraints,
    baseline: ModelQualityStatistics | None,
    positive: str,
    seed: int,
) -> list[Comparison]:
    """Return the comparisons of all metrics, with many resamples only where a few do not settle them."""
    comparisons: list[Comparison] = []
    for resamples in (_FIRST_RESAMPLES, TABLE_RESAMPLES):
        generators = np.random.default_rng([seed, 1]).spawn(2)
        window = Side(statistics, _draws(statistics, positive, generators[0], resamples))
        before = None
        if baseline is not None:
            before = Side(baseline, _draws(baseline, positive, generators[1], resamples))
        comparisons = [
            comparison
            for name, constraint in constraints.metrics.items()
            if (comparison := compare(name, constraint, window, before)) is not None
        ]
        if all(
            comparison.p_value > _SETTLED for comparison in comparisons if comparison.name in window.draws
        ):
            break
    return comparisons


def _draws(
    statistics: ModelQualityStatistics, positive: str, generator: np.random.Generator, resamples: int
) -> Mapping[str, Floats]:
    if statistics.problem_type != "BinaryClassification" or not statistics.confusion_matrix:
        return {}
    cells = binary_cells(statistics.confusion_matrix, positive)
    return binary_metrics(table_draws(cells, generator, resamples))


def _refuse_unknown(statistics: ModelQualityStatistics, constraints: ModelQualityConstraints) -> None:
    known = {*CONSTRAINED[statistics.problem_type], *statistics.metrics, *_FURTHER_METRICS}
    for name in constraints.metrics:
        if name not in known:
            close = difflib.get_close_matches(name, sorted(known), n=1)
            hint = f"did you mean {close[0]!r}?" if close else f"known are {', '.join(sorted(known))}."
            raise DocumentError(f"{constraints.where} constrains {name!r}, which is no metric; {hint}")


def _violation_text(comparison: Comparison) -> str:
    sentence = describe_comparison(comparison.name, comparison.metric, comparison.constraint)
    return f"{sentence}, which chance explains with a probability of at most {comparison.p_value:.1g}"


def _finding(comparison: Comparison, alpha: float) -> Finding:
    metric, constraint = comparison.metric, comparison.constraint
    value = metric.value or 0.0
    limit = "at least" if constraint.operator == LESS else "at most"
    interval = ""
    if metric.interval is not None:
        low, high = metric.interval
        interval = f" (95 % interval {number(low)} to {number(high)})"
    violated = is_violated(comparison, alpha)
    verdict = "holds"
    if violated:
        verdict = "is worse than chance explains"
    elif is_beyond(value, constraint):
        verdict = "is worse, but no more than chance explains"
    expected = f"expected {limit} {number(constraint.threshold)}"
    text = f"{comparison.name} {number(value)}{interval}, {expected}: {verdict}"
    worse = shortfall(value, constraint)
    if is_loss(comparison.name) and constraint.threshold > 0.0:
        worse /= constraint.threshold  # what has a unit of its own compares by its relative increase
    return Finding(comparison.name, text, worse, violated)


def _unmeasured(constraints: ModelQualityConstraints, comparisons: list[Comparison]) -> list[str]:
    compared = {comparison.name for comparison in comparisons}
    absent = [name for name in constraints.metrics if name not in compared]
    if not absent:
        return []
    return [f"Not checked, as the window does not define them or has too few rows: {', '.join(absent)}."]


def _small_window(
    statistics: ModelQualityStatistics, comparisons: list[Comparison], alpha: float
) -> list[str]:
    rows = statistics.item_count
    undecided, hopeless = [], []
    for comparison in comparisons:
        if comparison.name in _SAME_TEST or is_violated(comparison, alpha):
            continue
        needed = comparison.rows_needed(rows, alpha)
        if needed is None:
            hopeless.append(comparison.name)
        elif needed > rows:
            undecided.append(f"{comparison.name} ({needed:,} rows)")
    change = "an error 10 % larger" if statistics.problem_type == "Regression" else "a change of 5 points"
    notes = []
    if undecided:
        notes.append(
            f"The window has {rows:,} labelled rows; to tell {change} from chance, these metrics need more: "
            f"{', '.join(undecided)}."
        )
    if hopeless:
        notes.append(
            f"The baseline is too small to tell {change} from chance in a window of any size for: "
            f"{', '.join(hopeless)}."
        )
    return notes
