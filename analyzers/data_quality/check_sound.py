"""Decisions by statistics: a violation is an effect beyond the limit that chance does not explain.

All checks of a window without any change together raise a violation in less than 1 % of windows: that budget
is shared by three families of comparisons, and equally (Bonferroni) by the comparisons within a family.
`docs/soundness.md` holds the definitions and the measured rates.
"""

from collections.abc import Iterator
from dataclasses import replace

from analyzers.data_quality import columns, limits
from analyzers.data_quality.columns import FeaturePair, compare_columns, comparisons, pair_features
from analyzers.data_quality.documents import Constraints, Statistics
from analyzers.data_quality.drift import Change, changed_correlations, compares_drift, measure_drifts
from analyzers.shared.rules import nothing_checked
from analyzers.shared.significance import rows_to_tell
from contract.api import CheckType, Comparison, Decision, Finding, State, Violation, Violations
from contract.errors import wording
from contract.wording import number

# Probability that a window without any change raises a violation, by family of comparisons.
FALSE_ALARM_RATES = {
    "drift": 0.0045,
    "completeness": 0.0015,
    "values": 0.0015,
    "ranges": 0.0005,
    "correlations": 0.001,
}
_MOST_CORRELATIONS = 10
_ALL_FEATURES = "rows side by side"


def check_sound(
    statistics: Statistics, constraints: Constraints, baseline: Statistics | None, error_share: float = 1.0
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
        return nothing_checked(reason, comparisons=columns.unanswered(constraints, reason, with_ranges=True))
    pairs = pair_features(statistics, constraints, baseline)
    alphas = _share_budget(pairs, error_share)
    violations = compare_columns(statistics, constraints) if constraints.config().evaluate_constraints else []
    every = ((pair, *limit) for limit in limits.LIMITS for pair in pairs)
    told = {(pair.name, code): check(pair, alphas[family]) for pair, code, check, family in every}
    found = {about: one for about, one in told.items() if one is not None}
    below = [about for about, one in found.items() if one.state is State.VIOLATED]
    violations += [Violation(code, found[name, code].text, name) for name, code in below]
    drifts = measure_drifts(pairs, alphas["drift"])
    drifts.sort(key=lambda drift: (not drift.violated, -drift.excess))
    correlations = changed_correlations(pairs, baseline, statistics, alphas["correlations"])
    moved = [pair for pair in correlations or () if pair[1].state is State.VIOLATED][:_MOST_CORRELATIONS]
    violated = {violation.feature_name for violation in violations}
    measured = {}
    for drift in drifts:
        found_in_it = drift.violated or drift.name in violated
        told_of = (drift.name, drift.text, drift.distance, found_in_it, drift.threshold, drift.band)
        measured[drift.name] = Finding(*told_of, shift=drift.shift)
    apart = [violation for violation in reversed(violations) if violation.feature_name not in measured]
    others = {violation.feature_name or "": violation.description for violation in apart}
    findings = [Finding(name, text, violated=True) for name, text in reversed(others.items())]
    findings += [Finding(one.subject, one.text, one.effect, True, one.limit) for _, one in moved]
    drifted = [(drift.text, drift.name) for drift in drifts if drift.violated]
    drifted += [(change.text, first) for first, change in moved]
    violations += [Violation(CheckType.BASELINE_DRIFT, *drift) for drift in drifted]
    changed = {drift.name for drift in drifts if drift.is_beyond_chance}
    findings += measured.values()
    notes = tuple(_notes(statistics, constraints, baseline, pairs, alphas["drift"]))
    parts = {(drift.name, str(CheckType.BASELINE_DRIFT)): drift.parts for drift in drifts}
    compared = comparisons(constraints, pairs, violations, measured, found, changed=changed, with_ranges=True)
    told_parts = ((one, parts.get((one.subject, str(one.check)))) for one in compared)
    answers = [replace(one, parts=known) if known else one for one, known in told_parts]
    untold = {drift.name: change for drift in drifts for change in drift.changes if change.is_open}
    answers = [_left_open(one, untold.get(one.subject)) for one in answers]
    answers += _comparisons_of_rows(baseline, pairs, correlations)
    return Decision(Violations(violations), tuple(findings), notes, tuple(answers))


def _left_open(one: Comparison, change: Change | None) -> Comparison:
    """Return a comparison of drift undecided where a share of rows moved almost beyond chance."""
    if change is None or one.check != CheckType.BASELINE_DRIFT or one.state is State.VIOLATED:
        return one
    left = replace(one, state=State.UNDECIDED, reason=columns.FEW_ROWS)
    return replace(left, effect=abs(change.effect), limit=change.limit, noise=None)


def _notes(
    statistics: Statistics,
    constraints: Constraints,
    baseline: Statistics | None,
    pairs: list[FeaturePair],
    alpha: float,
) -> Iterator[str]:
    """Yield what a reader should know of the comparison beyond its violations."""
    config, rows = constraints.config(), statistics.item_count
    if not config.evaluate_constraints and not pairs:
        yield "evaluate_constraints is Disabled, so nothing was checked."
    if baseline is None:
        yield "There is no baseline_statistics, so drift was not measured."
        return
    sampled = [pair for pair in pairs if pair.baseline and pair.baseline.completeness < 1.0]
    if len(sampled) > 1 and not any(limits.sampled_completeness(pair) for pair in sampled):
        yield wording("baseline_files.other_job")
    threshold = config.comparison_threshold
    is_tested = config.perform_comparison and config.comparison_method != "Simple" and threshold > 0.0
    if is_tested and baseline.item_count and any(pair.baseline and pair.baseline.numerical for pair in pairs):
        needed = rows_to_tell(threshold, baseline.item_count, alpha)
        if needed is None:
            yield wording("drift.small_baseline", rows=baseline.item_count, threshold=number(threshold))
        elif rows < needed:
            yield wording("drift.small_window", rows=rows, threshold=number(threshold), needed=needed)


def _comparisons_of_rows(
    baseline: Statistics | None, pairs: list[FeaturePair], correlations: list[tuple[str, Comparison]] | None
) -> tuple[Comparison, ...]:
    """Return what needs rows side by side: the pairs of features that moved most, or why there are none."""
    compared = [pair for pair in pairs if pair.config.perform_comparison and pair.baseline is not None]
    if baseline is None or not compared:
        return ()
    if correlations is not None:
        return tuple(comparison for _, comparison in correlations)
    if all(pair.baseline and pair.baseline.sample is None for pair in compared):
        reason = wording("drift.old_baseline")
    elif sum(pair.baseline is not None and pair.baseline.numerical is not None for pair in compared) < 2:
        return ()
    else:
        reason = "there are too few rows or features for correlations"
    return (Comparison(_ALL_FEATURES, CheckType.BASELINE_DRIFT, State.UNDECIDED, reason=reason),)


def _share_budget(pairs: list[FeaturePair], part: float) -> dict[str, float]:
    """Return the probability of a false alarm that one comparison of each family may have."""
    rates = {family: rate * part for family, rate in FALSE_ALARM_RATES.items()}
    values = [one.expected.domains is not None for one in pairs]
    values += [one.config.datatype_check_threshold < 1.0 or limits.has_other_types(one) for one in pairs]
    counts = {"drift": sum(map(compares_drift, pairs)), "values": sum(values), "ranges": len(pairs)}
    alphas = {family: rate / max(1, counts.get(family, 1)) for family, rate in rates.items()}
    smallest = [limits.smallest_completeness_p_value(pair) for pair in pairs]
    return alphas | {"completeness": _tarone(smallest, rates["completeness"])}


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
