"""Decisions by statistics: a violation is an effect beyond the limit that chance does not explain.

All checks of a window together raise a false alarm with a probability of at most half a percent: that budget
is shared equally (Bonferroni) by the comparisons in which chance plays a part. `docs/soundness.md` holds the
definitions and the measured rates.
"""

from __future__ import annotations

from collections.abc import Callable

from analyzers.data_quality.cells import INTEGRAL, category_counts, class_counts
from analyzers.data_quality.columns import FeaturePair, compare_columns, pair_features
from analyzers.data_quality.drift import Drift, compares_drift, measure_drift
from analyzers.data_quality.kll import weighted_values
from analyzers.data_quality.significance import binomial_tail, hypergeometric_tail, rows_to_tell
from analyzers.data_quality.suggest import DOMAIN_THRESHOLD, domain_threshold
from analyzers.data_quality.wording import counted, listing, number, percent
from contract.analyzer import Decision, Finding
from contract.documents.constraints import Constraints, FeatureConstraints
from contract.documents.json_layout import java_double
from contract.documents.statistics import NumericalStatistics, Statistics
from contract.documents.violations import CheckType, Violation, Violations

# Probability that a window without any change raises a violation.
FALSE_ALARM_RATE = 0.005

# Classes of a cell that satisfy each expected type; anything can be text, and Unknown accepts anything.
_NUMBERS = (INTEGRAL, "IntegralValued", "Fractional")
_CLASSES = {"Integral": (INTEGRAL, "IntegralValued"), "Fractional": _NUMBERS}

# HyperLogLog's count is off by more than a fifth once in 10,000 columns.
_DISTINCT_COUNT_MARGIN = 0.8
# Below this share of known values a domain is no closed list, so its length proves nothing.
_CLOSED_DOMAIN = 0.9


def check_sound(statistics: Statistics, constraints: Constraints, baseline: Statistics | None) -> Decision:
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

    Raises
    ------
    DocumentError
        When the constraints' configuration is unusable.
    """
    if not statistics.item_count:
        return Decision(Violations(), notes=("The window has no rows, so nothing was checked.",))
    columns = compare_columns(statistics, constraints) if constraints.config().evaluate_constraints else []
    pairs = [
        pair for pair in pair_features(statistics, constraints, baseline) if pair.config.evaluate_constraints
    ]
    alpha = FALSE_ALARM_RATE / max(1, sum(_count_comparisons(pair) for pair in pairs))
    violations = [*columns]
    for check in (_check_type, _check_completeness, _check_categories):
        violations += _present(check, pairs, alpha)
    drifts = [drift for pair in pairs if (drift := measure_drift(pair, alpha)) is not None]
    drifts.sort(key=lambda drift: (not drift.violated, -drift.excess))
    findings = _findings(violations, drifts)
    violations += [
        Violation(CheckType.BASELINE_DRIFT, drift.text, drift.name) for drift in drifts if drift.violated
    ]
    notes = _notes(statistics, constraints, baseline, pairs, alpha)
    return Decision(Violations(violations), findings, notes)


def _count_comparisons(pair: FeaturePair) -> int:
    return (
        (pair.expected.completeness is not None)
        + (pair.expected.domains is not None)
        + (pair.config.datatype_check_threshold < 1.0)
        + compares_drift(pair)
    )


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
        Finding(drift.name, drift.text, drift.distance, drift.violated or drift.name in violated)
        for drift in drifts
    ]
    return (*reversed(unique.values()), *drifted)


def _check_type(pair: FeaturePair, alpha: float) -> Violation | None:
    expected = pair.expected.inferred_type
    present = pair.current.num_present
    if expected not in _CLASSES or not present:
        return None
    mismatches = _mismatches(pair, current=True)
    threshold = pair.config.datatype_check_threshold
    known_mismatches = _mismatches(pair, current=False)
    ratio = 1.0 - mismatches / present
    if ratio >= threshold:
        return None
    if known_mismatches and pair.baseline is not None:
        known_present = pair.baseline.num_present
        p_value = hypergeometric_tail(
            mismatches, present, mismatches + known_mismatches, present + known_present
        )
    else:
        p_value = binomial_tail(mismatches, present, 1.0 - threshold)
    if p_value >= alpha:
        return None
    counts = class_counts(pair.current)
    wrong = [(name, count) for name, count in counts.items() if count and name not in _CLASSES[expected]]
    found = ", ".join(f"{count} {name}" for name, count in wrong)
    description = (
        f"Data type match requirement is not met. Expected data type: {expected}, "
        f"Expected match: {java_double(threshold * 100)}%. "
        f"Observed: Only {java_double(ratio * 100)}% of data is {expected}. "
        f"Of {present} values there are {found}."
    )
    return Violation(CheckType.DATA_TYPE, description, pair.name)


def _mismatches(pair: FeaturePair, *, current: bool) -> int:
    feature = pair.current if current else pair.baseline
    if feature is None:
        return 0
    accepted = _CLASSES[pair.expected.inferred_type]
    return sum(count for name, count in class_counts(feature).items() if name not in accepted)


def _check_completeness(pair: FeaturePair, alpha: float) -> Violation | None:
    expected = pair.expected.completeness
    observed = pair.current.completeness
    missing = pair.current.num_missing
    rows = pair.current.num_present + missing
    if expected is None or observed >= expected:
        return None
    if pair.baseline is not None and abs(pair.baseline.completeness - expected) <= 1e-9:
        # The limit is what a sample showed, so the sample's own noise counts as well.
        known = pair.baseline
        known_rows = known.num_present + known.num_missing
        p_value = hypergeometric_tail(missing, rows, missing + known.num_missing, rows + known_rows)
    else:
        p_value = binomial_tail(missing, rows, 1.0 - expected)
    if p_value >= alpha:
        return None
    usual = number(round(rows * (1.0 - expected), 1))
    description = (
        f"Only {percent(observed)} of values are present, {percent(expected)} are expected: "
        f"{missing} of {rows} are missing, where about {usual} were to be expected."
    )
    return Violation(CheckType.COMPLETENESS, description, pair.name)


def _check_categories(pair: FeaturePair, alpha: float) -> Violation | None:
    domains = pair.expected.domains
    if domains is None or not pair.current.num_present:
        return None
    threshold = _known_share(pair, domains)
    unseen = _unseen(pair, domains)
    if unseen is None:
        return _check_number_of_categories(pair, domains, threshold)
    present = pair.current.num_present
    outside = sum(unseen.values())
    ratio = 1.0 - outside / present
    if ratio >= threshold or binomial_tail(outside, present, 1.0 - threshold) >= alpha:
        return None
    description = (
        f"Only {percent(ratio)} of values are known, {percent(threshold)} are expected: "
        f"{outside} of {present} are not among the {len(domains)} values of the baseline, such as "
        f"{counted(unseen.items())}."
    )
    return Violation(CheckType.CATEGORICAL_VALUES, description, pair.name)


def _known_share(pair: FeaturePair, domains: list[str]) -> float:
    """Return the share of values that must be known.

    A domain that is what the baseline's sample showed, in a file without an override for the feature (as the
    originals wrote them), gets the room that `suggest` leaves. A domain that an expert edited is complete.
    """
    threshold = pair.config.domain_content_threshold
    sampled = category_counts(pair.baseline) if pair.baseline is not None else None
    overridden = any(
        DOMAIN_THRESHOLD in overrides
        for overrides in (pair.expected.overrides, pair.expected.string_overrides)
    )
    if threshold < 1.0 or overridden or not sampled or set(sampled) != set(domains):
        return threshold
    return domain_threshold(list(sampled.values()))


def _unseen(pair: FeaturePair, domains: list[str]) -> dict[str, int] | None:
    """Return the rows of each value outside the domain; None when the window lists no values."""
    if pair.current.numerical is not None:
        return _unseen_numbers(pair.current.numerical, domains)
    counts = category_counts(pair.current)
    if counts is None:
        return None
    known = set(domains)
    return {value: count for value, count in counts.items() if value not in known}


def _unseen_numbers(numbers: NumericalStatistics, domains: list[str]) -> dict[str, int] | None:
    # The baseline was text and the window holds numbers only: compare as numbers, because "07" was read as 7.
    if numbers.sketch is None:
        return None
    known = {parsed for text in domains if (parsed := _parse(text)) is not None}
    unseen: dict[str, int] = {}
    for value, weight in zip(
        *(part.tolist() for part in weighted_values(numbers.sketch.levels)), strict=True
    ):
        if value not in known:
            text = number(value)
            unseen[text] = unseen.get(text, 0) + int(weight)
    return unseen


def _parse(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _check_number_of_categories(pair: FeaturePair, domains: list[str], threshold: float) -> Violation | None:
    text = pair.current.string
    distinct = (text.distinct_count or 0.0) if text is not None else 0.0
    if threshold < _CLOSED_DOMAIN or distinct * _DISTINCT_COUNT_MARGIN <= len(domains):
        return None
    description = (
        f"About {number(round(distinct))} distinct values were seen, too many to list, where the baseline "
        f"has {len(domains)} and {percent(threshold)} of values are expected to be among those."
    )
    return Violation(CheckType.CATEGORICAL_VALUES, description, pair.name)


def _notes(
    statistics: Statistics,
    constraints: Constraints,
    baseline: Statistics | None,
    pairs: list[FeaturePair],
    alpha: float,
) -> tuple[str, ...]:
    notes: list[str] = []
    if not constraints.config().evaluate_constraints and not pairs:
        notes.append("evaluate_constraints is Disabled, so nothing was checked.")
    elif not pairs:
        notes.append("No column could be matched with the baseline, so no feature was checked.")
    if baseline is None:
        notes.append("There is no baseline_statistics, so drift was not measured.")
    else:
        notes += _note_small_window(statistics, constraints, baseline, pairs, alpha)
        notes += _note_not_compared(pairs)
    negative = [pair.name for pair in pairs if pair.expected.is_non_negative and _has_negative(pair)]
    if negative:
        notes.append(f"Never negative in the baseline, but in this window: {listing(negative)}.")
    return tuple(notes)


def _has_negative(pair: FeaturePair) -> bool:
    numbers = pair.current.numerical
    return numbers is not None and numbers.min is not None and numbers.min < 0.0


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
        and not _type_changed(pair.expected, pair)
        and not compares_drift(pair)
    ]
    if not names:
        return []
    return [f"Too many distinct values, or none kept, to measure drift of: {listing(names, 10)}."]


def _type_changed(expected: FeatureConstraints, pair: FeaturePair) -> bool:
    # Text where numbers were expected is a violation of its own.
    return expected.inferred_type in _CLASSES and pair.current.numerical is None
