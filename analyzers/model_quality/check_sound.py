"""Decisions by statistics: a violation is a metric beyond its threshold by more than chance explains.

All metrics of a window without any change together raise a violation in less than 1 % of windows. Metrics
that are the same number in another form (recall, its complement; mse, rmse) share one part of that budget.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping

import numpy as np

from analyzers.model_quality.cells import Floats
from analyzers.model_quality.check_sagemaker import describe_comparison, is_beyond, shortfall, undefined
from analyzers.model_quality.comparison import MetricTest, Side, compare, is_loss
from analyzers.model_quality.confusion import binary_cells, binary_metrics
from analyzers.model_quality.resampling import TABLE_RESAMPLES, table_draws
from analyzers.model_quality.suggest import CONSTRAINED
from analyzers.wording import number
from contract.analyzer import Comparison, Decision, Finding, State
from contract.documents.model_quality import (
    LESS,
    MetricConstraint,
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
    tests = _tests(statistics, constraints, baseline, positive, seed)
    questions = {_SAME_TEST.get(test.name, test.name) for test in tests}
    alpha = FALSE_ALARM_RATE * error_share / max(1, len(questions))
    violations = [
        Violation(test.constraint.operator, _violation_text(test), metric_name=test.name)
        for test in tests
        if is_violated(test, alpha)
    ]
    findings = sorted(
        (_finding(test, alpha) for test in tests),
        key=lambda finding: (not finding.violated, -(finding.distance or 0.0)),
    )
    notes = [*_unmeasured(constraints, tests), *_small_window(statistics, tests, alpha)]
    if baseline is None:
        notes.append("There is no baseline_statistics, so thresholds are taken as exact.")
    tested = {test.name: test for test in tests}
    comparisons = tuple(
        _comparison(tested[name], alpha, statistics, baseline)
        if name in tested
        else _unanswered(name, constraint, statistics)
        for name, constraint in constraints.metrics.items()
    )
    return Decision(Violations(violations), tuple(findings), tuple(notes), comparisons)


def _comparison(
    test: MetricTest,
    alpha: float,
    statistics: ModelQualityStatistics,
    baseline: ModelQualityStatistics | None,
) -> Comparison:
    finding = _finding(test, alpha)
    return Comparison(
        test.name,
        test.constraint.operator,
        State.VIOLATED if finding.violated else State.HOLDS,
        finding.text,
        value=finding.value,
        expected=finding.expected,
        effect=finding.distance,
        limit=0.0,
        p_value=test.p_value,
        rows=statistics.item_count,
        baseline_rows=None if baseline is None else baseline.item_count,
    )


def _unanswered(name: str, constraint: MetricConstraint, statistics: ModelQualityStatistics) -> Comparison:
    if statistics.value(name) is None:
        return undefined(name, constraint)
    reason = "the window has too few rows to say how far its metrics would move by chance"
    return Comparison(name, constraint.operator, State.UNDECIDED, reason=reason)


def is_violated(test: MetricTest, alpha: float) -> bool:
    """Return whether a metric is beyond its threshold, and by more than chance explains."""
    value = test.metric.value
    return value is not None and is_beyond(value, test.constraint) and test.p_value < alpha


def _tests(
    statistics: ModelQualityStatistics,
    constraints: ModelQualityConstraints,
    baseline: ModelQualityStatistics | None,
    positive: str,
    seed: int,
) -> list[MetricTest]:
    """Return the tests of all metrics, with many resamples only where a few do not settle them."""
    tests: list[MetricTest] = []
    for resamples in (_FIRST_RESAMPLES, TABLE_RESAMPLES):
        generators = np.random.default_rng([seed, 1]).spawn(2)
        window = Side(statistics, _draws(statistics, positive, generators[0], resamples))
        before = None
        if baseline is not None:
            before = Side(baseline, _draws(baseline, positive, generators[1], resamples))
        tests = [
            test
            for name, constraint in constraints.metrics.items()
            if (test := compare(name, constraint, window, before)) is not None
        ]
        if all(test.p_value > _SETTLED for test in tests if test.name in window.draws):
            break
    return tests


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


def _violation_text(test: MetricTest) -> str:
    sentence = describe_comparison(test.name, test.metric, test.constraint)
    return f"{sentence}, which chance explains with a probability of at most {test.p_value:.1g}"


def _finding(test: MetricTest, alpha: float) -> Finding:
    metric, constraint = test.metric, test.constraint
    value = metric.value or 0.0
    limit = "at least" if constraint.operator == LESS else "at most"
    interval = ""
    if metric.interval is not None:
        low, high = metric.interval
        interval = f" (95 % interval {number(low)} to {number(high)})"
    violated = is_violated(test, alpha)
    verdict = "holds"
    if violated:
        verdict = "is worse than chance explains"
    elif is_beyond(value, constraint):
        verdict = "is worse, but no more than chance explains"
    expected = f"expected {limit} {number(constraint.threshold)}"
    text = f"{test.name} {number(value)}{interval}, {expected}: {verdict}"
    worse = shortfall(value, constraint)
    if is_loss(test.name) and constraint.threshold > 0.0:
        worse /= constraint.threshold  # what has a unit of its own compares by its relative increase
    return Finding(test.name, text, worse, violated, value=metric.value, expected=constraint.threshold)


def _unmeasured(constraints: ModelQualityConstraints, tests: list[MetricTest]) -> list[str]:
    compared = {test.name for test in tests}
    absent = [name for name in constraints.metrics if name not in compared]
    if not absent:
        return []
    return [f"Not checked, as the window does not define them or has too few rows: {', '.join(absent)}."]


def _small_window(statistics: ModelQualityStatistics, tests: list[MetricTest], alpha: float) -> list[str]:
    rows = statistics.item_count
    undecided, hopeless = [], []
    for test in tests:
        if test.name in _SAME_TEST or is_violated(test, alpha):
            continue
        needed = test.rows_needed(rows, alpha)
        if needed is None:
            hopeless.append(test.name)
        elif needed > rows:
            undecided.append(f"{test.name} ({needed:,} rows)")
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
