"""Decisions as the original containers made them, quirks included (spec sections 3.4 to 3.6).

Where the wording or the rule of the originals is unknown, `docs/compatibility.md` says what was chosen.
"""

from analyzers.data_quality import columns
from analyzers.data_quality.distance import category_shift, collapsed_distance, corrected, goodness_of_fit
from analyzers.data_quality.documents import Constraints, Statistics
from analyzers.data_quality.limits import unmet_type, unseen_values
from contract.api import CheckType, Decision, Finding, Violation, Violations
from contract.errors import wording
from contract.json_layout import java_double
from contract.wording import counted, listing

# Deequ's classes of a cell that count towards each expected type. In columns that were typed before they were
# read, 3.0 is fractional, and so are the infinities.
_CLASSES = {"Integral": ("Integral",), "Fractional": columns.FRACTIONAL, "String": ("String", "Boolean")}


def check_sagemaker(statistics: Statistics, constraints: Constraints, before: Statistics | None) -> Decision:
    """Compare a window with the baseline as the originals did.

    Parameters
    ----------
    statistics
        The window.
    constraints
        What is expected.
    before
        Statistics of the baseline; without them drift is not measured.

    Raises
    ------
    DocumentError
        When the constraints' configuration is unusable.
    """
    if not constraints.config().evaluate_constraints:
        return Decision(Violations(), notes=("evaluate_constraints is Disabled, so nothing was checked.",))
    if mismatch := columns.compare_counts(statistics, constraints, explain=False):
        note = "The numbers of columns differ, so no feature was checked, as in the originals."
        answers = columns.unanswered(constraints, "the numbers of columns differ", with_ranges=False)
        return Decision(Violations(mismatch), notes=(note,), comparisons=answers)
    pairs = columns.pair_features(statistics, constraints, before)
    told = [(code, check(pair), pair.name) for code, check in _CHECKS for pair in pairs]
    violations = [Violation(code, text, name) for code, text, name in told if text is not None]
    findings = [finding for pair in pairs if (finding := _measure_drift(pair)) is not None]
    findings.sort(key=lambda finding: -(finding.distance or 0.0))
    drifted = [finding for finding in findings if finding.violated]
    violations += [Violation(CheckType.BASELINE_DRIFT, one.text, one.subject) for one in drifted]
    measured = {finding.subject: finding for finding in findings}
    names = {feature.name for feature in statistics.features}
    expected = () if statistics.positional else constraints.features
    absent = [feature.name for feature in expected if feature.name not in names]
    unmatched = "The data has no column of these names, so they were not checked"
    notes = (f"{unmatched}: {listing(absent, 20)}.",) if absent else ()
    answers = columns.comparisons(constraints, pairs, violations, measured)
    return Decision(Violations(violations), tuple(findings), notes, answers)


def _check_type(pair: columns.FeaturePair) -> str | None:
    expected = pair.expected.inferred_type
    present = pair.current.num_present
    if expected not in _CLASSES or not present:
        return None
    counts = columns.class_counts(pair.current)
    ratio = sum(counts.get(name, 0) for name in _CLASSES[expected]) / present
    threshold = pair.config.datatype_check_threshold
    return unmet_type(expected, threshold, ratio) if ratio < threshold else None


def _check_completeness(pair: columns.FeaturePair) -> str | None:
    expected, observed = pair.expected.completeness, pair.current.completeness
    if expected is None or observed >= expected:
        return None
    shares = {"expected": java_double(expected * 100), "observed": java_double(observed * 100)}
    return wording("limits.incomplete", **shares)


def _check_categories(pair: columns.FeaturePair) -> str | None:
    domains = pair.expected.domains
    if domains is None or pair.current.string is None or not pair.current.num_present:
        return None
    threshold = pair.config.domain_content_threshold
    match = java_double(threshold * 100)
    unseen = unseen_values(pair, domains)
    if unseen is None:
        # Too many distinct values to be listed: some are outside, but not how many.
        if threshold < 1.0:
            return None
        distinct = int(pair.current.string.distinct_count or 0)
        return wording("limits.unlisted", match=match, distinct=distinct, domains=len(domains))
    ratio = 1.0 - sum(unseen.values()) / pair.current.num_present
    if not unseen or ratio >= threshold:
        return None
    observed = java_double(ratio * 100)
    return wording("limits.domain", match=match, observed=observed, unseen=counted(unseen.items()))


_CHECKS = (
    (CheckType.DATA_TYPE, _check_type),
    (CheckType.COMPLETENESS, _check_completeness),
    (CheckType.CATEGORICAL_VALUES, _check_categories),
)


def _measure_drift(pair: columns.FeaturePair) -> Finding | None:
    config, known = pair.config, pair.baseline
    if not config.perform_comparison or known is None:
        return None
    robust = config.comparison_method == "Robust"
    if pair.expected.inferred_type in ("Integral", "Fractional"):
        sides = (known.numerical, pair.current.numerical)
        sketches = [side.sketch for side in sides if side is not None and side.sketch is not None]
        distance = collapsed_distance(*sketches, robust=robust) if len(sketches) == len(sides) else None
        return None if distance is None else _finding(pair.name, distance, config.comparison_threshold)
    before, now = columns.category_counts(known), columns.category_counts(pair.current)
    if not before or not now:
        return None
    threshold = config.categorical_threshold
    if config.categorical_drift_method == "ChiSquared":
        statistic, p_value = goodness_of_fit(before, now)
        if statistic is None or p_value is None:
            return None
        if not robust:
            return _finding(pair.name, statistic, threshold)
        verb = "falls below" if p_value < threshold else "is not below"
        text = f"Baseline drift p-value: {java_double(p_value)} {verb} threshold: {java_double(threshold)}"
        return Finding(pair.name, text, p_value, p_value < threshold)
    distance = max(abs(shift) for shift in category_shift(before, now).values())
    if robust:
        distance = corrected(distance, sum(before.values()), sum(now.values()))
    return _finding(pair.name, distance, threshold)


def _finding(name: str, distance: float, threshold: float) -> Finding:
    violated = distance > threshold
    verb = "exceeds" if violated else "is within"
    text = f"Baseline drift distance: {java_double(distance)} {verb} threshold: {java_double(threshold)}"
    return Finding(name, text, distance, violated, limit=threshold)
