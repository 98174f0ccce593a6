"""Decisions by statistics: a violation is an effect beyond the limit that chance does not explain.

All checks of a window without any change together raise a violation in less than 1 % of windows: that budget
is shared by three families of comparisons, and equally (Bonferroni) by the comparisons within a family.
`docs/soundness.md` holds the definitions and the measured rates.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from analyzers.data_quality.columns import FeaturePair, compare_columns, comparisons, pair_features
from analyzers.data_quality.drift import Drift, compares_drift, measure_drift
from analyzers.data_quality.limits import (
    check_categories,
    check_completeness,
    check_type,
    smallest_completeness_p_value,
)
from analyzers.data_quality.notes import notes
from contract.analyzer import Decision, Finding
from contract.documents.constraints import Constraints
from contract.documents.statistics import Statistics
from contract.documents.violations import CheckType, Violation, Violations

# Probability that a window without any change raises a violation of one family: drift, completeness, values.
FALSE_ALARM_RATE = 0.003


def check_sound(
    statistics: Statistics,
    constraints: Constraints,
    baseline: Statistics | None,
    error_share: float = 1.0,
) -> Decision:
    """Compare a window with the baseline.

    Parameters
    ----------
    statistics
        The window.
    constraints
        What is expected.
    baseline
        Statistics of the baseline; without them drift is not measured, and the limits of the constraints are
        taken as exact.
    error_share
        How much of the false alarms a job may raise are this comparison's; less than all of them when the
        job makes other comparisons too.

    Raises
    ------
    DocumentError
        When the constraints' configuration is unusable.
    """
    if not statistics.item_count:
        reason = "the window has no rows"
        return Decision(Violations(), notes=(f"Nothing was checked, as {reason}.",), reason=reason)
    columns = compare_columns(statistics, constraints) if constraints.config().evaluate_constraints else []
    pairs = [
        pair for pair in pair_features(statistics, constraints, baseline) if pair.config.evaluate_constraints
    ]
    budget = _share_budget(pairs, FALSE_ALARM_RATE * error_share)
    violations = [
        *columns,
        *_present(check_type, pairs, budget.values),
        *_present(check_completeness, pairs, budget.completeness),
        *_present(check_categories, pairs, budget.values),
    ]
    drifts = [drift for pair in pairs if (drift := measure_drift(pair, budget.drift)) is not None]
    drifts.sort(key=lambda drift: (not drift.violated, -drift.excess))
    findings = _findings(violations, drifts)
    violations += [
        Violation(CheckType.BASELINE_DRIFT, drift.text, drift.name) for drift in drifts if drift.violated
    ]
    measured = {drift.name for drift in drifts}
    return Decision(
        Violations(violations),
        findings,
        notes(statistics, constraints, baseline, pairs, budget.drift),
        comparisons(
            statistics,
            constraints,
            baseline,
            violations,
            [finding for finding in findings if finding.subject in measured],
        ),
    )


@dataclass(frozen=True)
class _Budget:
    """Probability of a false alarm that one comparison of each family may have."""

    drift: float
    completeness: float
    values: float


def _share_budget(pairs: list[FeaturePair], rate: float) -> _Budget:
    drifts = sum(compares_drift(pair) for pair in pairs)
    values = sum(
        (pair.expected.domains is not None) + (pair.config.datatype_check_threshold < 1.0) for pair in pairs
    )
    return _Budget(
        drift=rate / max(1, drifts),
        completeness=_tarone([smallest_completeness_p_value(pair) for pair in pairs], rate),
        values=rate / max(1, values),
    )


def _tarone(smallest_p_values: list[float], rate: float = FALSE_ALARM_RATE) -> float:
    """Return the level of each of several discrete tests, not counting those that cannot reach it.

    A feature without a missing cell on either side cannot raise a false alarm, so it takes no share of the
    budget (Tarone 1990: the smallest K of which at most K tests can reach the budget divided by K).
    """
    able = sorted(smallest_p_values)
    for count in range(1, len(able)):
        # In ascending order, the next test is the one that decides whether more than `count` are able.
        if able[count] > rate / count:
            return rate / count
    return rate / max(1, len(able))


def _present(
    check: Callable[[FeaturePair, float], Violation | None], pairs: list[FeaturePair], alpha: float
) -> list[Violation]:
    return [violation for pair in pairs if (violation := check(pair, alpha)) is not None]


def _findings(violations: list[Violation], drifts: list[Drift]) -> tuple[Finding, ...]:
    """Return one line per feature: violated ones first, then by drift."""
    violated = {violation.feature_name for violation in violations}
    measured = {drift.name for drift in drifts}
    others = [
        Finding(violation.feature_name or "", violation.description, violated=True)
        for violation in violations
        if violation.feature_name not in measured
    ]
    unique = {finding.subject: finding for finding in reversed(others)}
    drifted = [
        Finding(
            drift.name,
            drift.text,
            drift.distance,
            drift.violated or drift.name in violated,
            limit=drift.threshold,
            noise=drift.band,
        )
        for drift in drifts
    ]
    return (*reversed(unique.values()), *drifted)
