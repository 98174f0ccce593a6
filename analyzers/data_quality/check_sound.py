"""Decisions by statistics: a violation is an effect beyond the limit that chance does not explain.

All checks of a window without any change together raise a violation in less than 1 % of windows: that budget
is shared by three families of comparisons, and equally (Bonferroni) by the comparisons within a family.
`docs/soundness.md` holds the definitions and the measured rates.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from analyzers.data_quality.columns import FeaturePair, compare_columns, comparisons, pair_features
from analyzers.data_quality.correlation import CorrelationChange, changed_correlations
from analyzers.data_quality.documents import Constraints, Statistics
from analyzers.data_quality.drift import Drift, compares_drift, measure_drift
from analyzers.data_quality.limits import (
    CLASSES,
    check_categories,
    check_completeness,
    check_range,
    check_type,
    smallest_completeness_p_value,
)
from analyzers.shared.rules import nothing_checked
from analyzers.shared.significance import rows_to_tell
from contract.api import CheckType, Comparison, Decision, Finding, State, Violation, Violations
from contract.wording import listing, number

# What a comparison under sound rules could not decide, and why.


def notes(
    statistics: Statistics,
    constraints: Constraints,
    baseline: Statistics | None,
    pairs: list[FeaturePair],
    alpha: float,
) -> tuple[str, ...]:
    """Return what a reader should know of the comparison beyond its violations.

    Parameters
    ----------
    statistics, constraints, baseline
        The documents compared.
    pairs
        The features compared.
    alpha
        Probability of a false alarm of one drift comparison.
    """
    found: list[str] = []
    if not constraints.config().evaluate_constraints and not pairs:
        found.append("evaluate_constraints is Disabled, so nothing was checked.")
    elif not pairs:
        found.append(
            "No column could be matched with the baseline, so no feature was checked: the data has "
            f"{listing([one.name for one in statistics.features])}, the baseline "
            f"{listing([one.name for one in constraints.features])}."
        )
    if baseline is None:
        found.append("There is no baseline_statistics, so drift was not measured.")
    else:
        found += _note_small_window(statistics, constraints, baseline, pairs, alpha)
        found += _note_not_compared(pairs)
    return tuple(found)


def _note_small_window(
    statistics: Statistics,
    constraints: Constraints,
    baseline: Statistics,
    pairs: list[FeaturePair],
    alpha: float,
) -> list[str]:
    config = constraints.config()
    if not config.perform_comparison or config.comparison_method == "Simple" or not baseline.item_count:
        return []
    threshold = config.comparison_threshold
    if threshold <= 0.0 or not any(pair.baseline and pair.baseline.numerical for pair in pairs):
        return []
    needed = rows_to_tell(threshold, baseline.item_count, alpha)
    if needed is None:
        note = (
            f"The baseline has {baseline.item_count} rows, too few to tell a drift of {number(threshold)} "
            "from chance in a window of any size; only larger ones are reported."
        )
        return [note]
    if statistics.item_count >= needed:
        return []
    note = (
        f"The window has {statistics.item_count} rows; a drift of {number(threshold)} can be told from "
        f"chance from {needed} rows on, so only larger ones are reported."
    )
    return [note]


def _note_not_compared(pairs: list[FeaturePair]) -> list[str]:
    names = [
        pair.name
        for pair in pairs
        if pair.config.perform_comparison
        and pair.baseline is not None
        and pair.current.num_present
        and pair.baseline.num_present
        and not _type_changed(pair)
        and not compares_drift(pair)
    ]
    if not names:
        return []
    return [f"No distribution is kept on both sides, so drift was not measured of: {listing(names, 10)}."]


def _type_changed(pair: FeaturePair) -> bool:
    # Text where numbers were expected is a violation of its own.
    return pair.expected.inferred_type in CLASSES and pair.current.numerical is None


# Probability that a window without any change raises a violation, by family of comparisons.
FALSE_ALARM_RATES = {
    "drift": 0.0045,
    "completeness": 0.0015,
    "values": 0.0015,
    "ranges": 0.0005,
    "correlations": 0.001,
}
_MOST_CORRELATIONS = 10
_PAIR = 2
ALL_FEATURES = "rows side by side"


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
        return nothing_checked("the window has no rows")
    columns = compare_columns(statistics, constraints) if constraints.config().evaluate_constraints else []
    pairs = [
        pair for pair in pair_features(statistics, constraints, baseline) if pair.config.evaluate_constraints
    ]
    budget = _share_budget(pairs, error_share)
    violations = [
        *columns,
        *_present(check_type, pairs, budget.values),
        *_present(check_completeness, pairs, budget.completeness),
        *_present(check_categories, pairs, budget.values),
        *_present(check_range, pairs, budget.ranges),
    ]
    drifts = [drift for pair in pairs if (drift := measure_drift(pair, budget.drift)) is not None]
    drifts.sort(key=lambda drift: (not drift.violated, -drift.excess))
    correlations = changed_correlations(pairs, baseline, statistics, budget.correlations)
    findings = _findings(violations, drifts, [change for change in correlations or () if change.violated])
    violations += [
        Violation(CheckType.BASELINE_DRIFT, drift.text, drift.name) for drift in drifts if drift.violated
    ]
    violations += [
        Violation(CheckType.BASELINE_DRIFT, change.text, change.first)
        for change in correlations or ()
        if change.violated
    ][:_MOST_CORRELATIONS]
    measured = {drift.name for drift in drifts}
    return Decision(
        Violations(violations),
        findings,
        notes(statistics, constraints, baseline, pairs, budget.drift),
        (
            *comparisons(
                statistics,
                constraints,
                baseline,
                violations,
                [finding for finding in findings if finding.subject in measured],
                changed={drift.name for drift in drifts if drift.is_beyond_chance},
                with_ranges=True,
            ),
            *_comparisons_of_rows(statistics, baseline, pairs, correlations),
        ),
    )


def _comparisons_of_rows(
    statistics: Statistics,
    baseline: Statistics | None,
    pairs: list[FeaturePair],
    correlations: list[CorrelationChange] | None,
) -> tuple[Comparison, ...]:
    """Return what needs rows side by side: the pairs of features that moved most, or why there are none."""
    compared = [pair for pair in pairs if pair.config.perform_comparison and pair.baseline is not None]
    if baseline is None or not compared:
        return ()
    if correlations is not None:
        return tuple(
            Comparison(
                f"{change.first}, {change.second}",
                CheckType.BASELINE_DRIFT,
                State.VIOLATED if change.violated else State.HOLDS,
                change.text,
                value=change.now,
                effect=change.effect,
                limit=change.limit,
                rows=statistics.item_count,
                baseline_rows=baseline.item_count,
            )
            for change in correlations
        )
    if all(pair.baseline and pair.baseline.sample is None for pair in compared):
        reason = (
            "the baseline was made before tails, single values, dependence of rows and correlations were "
            "kept; make it anew to have them compared"
        )
    elif sum(pair.baseline is not None and pair.baseline.numerical is not None for pair in compared) < _PAIR:
        return ()
    else:
        reason = "there are too few rows or features for correlations"
    return (Comparison(ALL_FEATURES, CheckType.BASELINE_DRIFT, State.UNDECIDED, reason=reason),)


@dataclass(frozen=True)
class _Budget:
    """Probability of a false alarm that one comparison of each family may have."""

    drift: float
    completeness: float
    values: float
    ranges: float
    correlations: float


def _share_budget(pairs: list[FeaturePair], part: float) -> _Budget:
    rates = {family: rate * part for family, rate in FALSE_ALARM_RATES.items()}
    drifts = sum(compares_drift(pair) for pair in pairs)
    values = sum(
        (pair.expected.domains is not None) + (pair.config.datatype_check_threshold < 1.0) for pair in pairs
    )
    return _Budget(
        drift=rates["drift"] / max(1, drifts),
        completeness=_tarone([smallest_completeness_p_value(pair) for pair in pairs], rates["completeness"]),
        values=rates["values"] / max(1, values),
        ranges=rates["ranges"] / max(1, len(pairs)),
        correlations=rates["correlations"],
    )


def _tarone(smallest_p_values: list[float], rate: float) -> float:
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


def _findings(
    violations: list[Violation], drifts: list[Drift], correlations: list[CorrelationChange]
) -> tuple[Finding, ...]:
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
    correlated = [
        Finding(
            f"{change.first}, {change.second}", change.text, change.effect, violated=True, limit=change.limit
        )
        for change in correlations
    ]
    return (*reversed(unique.values()), *correlated[:_MOST_CORRELATIONS], *drifted)
