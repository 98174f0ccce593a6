"""Decisions by statistics: a violation is a change beyond what sampling explains.

Three things are compared for each label. The order of features: NDCG below the threshold even when rank
changes that chance explains are not counted. The total size of all attributions, and the size of every
feature that matters: grown or shrunk by more than a factor even when chance is granted what it explains;
NDCG sees neither. All of them together raise a violation in less than 1 % of windows without any change.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

import numpy as np

from analyzers.feature_attribution.drift import (
    Attributions,
    Pair,
    Size,
    SizeChange,
    half_widths,
    in_common,
    ndcg,
    ndcg_beyond_noise,
    ndcg_error,
    size_change,
)
from contract.api import Comparison, Decision, Finding, State, Violation, Violations
from contract.wording import number, percent

# Decisions as the originals took them: an order of features with an NDCG below 0.9 is a violation.


THRESHOLD = 0.9
CHECK_TYPE = "feature_attribution_drift_check"
METRIC = "shap"


def check_sagemaker(pairs: Sequence[Pair]) -> Decision:
    """Compare the order of features with the baseline's, without regard to chance."""
    violations, findings, notes, comparisons = [], [], [], []
    for pair in pairs:
        score = ndcg(pair.baseline.values, pair.live.values)
        if math.isnan(score):
            notes.append(
                f"The baseline attributes nothing to any feature for {pair.label}, so nothing is checked."
            )
            comparisons.append(no_order(pair))
            continue
        violated = score < THRESHOLD
        findings.append(Finding(pair.label, f"NDCG {score:.4f}", distance=1.0 - score, violated=violated))
        state = State.VIOLATED if violated else State.HOLDS
        comparisons.append(
            Comparison(pair.label, CHECK_TYPE, state, value=score, expected=THRESHOLD, effect=1.0 - score)
        )
        if violated:
            violations.append(order_violation(pair.label, score, THRESHOLD))
    return Decision(document(violations), tuple(findings), tuple(notes), tuple(comparisons))


def no_order(pair: Pair) -> Comparison:
    """Return the comparison of a label whose features have no order, on one side or the other."""
    lost = bool(pair.baseline.values.any())
    reason = f"{'the window' if lost else 'the baseline'} attributes nothing to any feature"
    return Comparison(pair.label, CHECK_TYPE, State.UNDECIDED, reason=reason, lost=lost)


def order_violation(label: str, score: float, threshold: float, because: str = "") -> Violation:
    """Return the violation in the originals' words, followed by ours."""
    text = f"Feature attribution drift {score} exceeds threshold {threshold}"
    return Violation(
        CHECK_TYPE, text + (f": {because}" if because else ""), metric_name=METRIC, extra={"label": label}
    )


def document(violations: list[Violation]) -> Violations:
    """Return the document, with the version that the originals write."""
    extra: dict[str, Any] = {"version": "1.0"}
    return Violations(violations, extra)


# Probability that a window without any change raises a violation.
FALSE_ALARM_RATE = 0.005
DRIFT_THRESHOLD = 0.9
MAGNITUDE_THRESHOLD = 2.0
MAGNITUDE_CHECK = "feature_attribution_magnitude_check"

# A feature matters when it has this share of all attribution, at the baseline or in the window.
MATTERS = 0.1
_NAMED = 3
# Rounding apart, an NDCG of 1: the order is the same.
_ALIKE = 1.0 - 1e-9


@dataclass(frozen=True)
class Limits:
    """What somebody allows beside the baseline's constraints; None leaves it to those."""

    drift: float | None = None
    magnitude: float | None = None


def check_sound(pairs: Sequence[Pair], limits: Limits, *, seed: int) -> Decision:
    """Compare a window with the baseline.

    Parameters
    ----------
    pairs
        The labels that both have.
    limits
        From the settings; they beat those in the baseline's constraints.
    seed
        Of the draws that give the standard error of NDCG.
    """
    # Half for the order, half for the sizes.
    alpha = FALSE_ALARM_RATE / 2.0 / max(1, len(pairs))
    violations: list[Violation] = []
    findings: list[Finding] = []
    notes: list[str] = []
    comparisons: list[Comparison] = []
    for place, pair in enumerate(pairs):
        if not pair.baseline.errors.any():
            notes.append(
                f"The baseline has no standard errors for {pair.label}, so its values are taken as exact."
            )
        generator = np.random.default_rng([seed, place])
        for outcome in (
            *_order(pair, limits, alpha, generator),
            *_sizes(pair, limits, alpha),
        ):
            match outcome:
                case Violation():
                    violations.append(outcome)
                case Finding():
                    findings.append(outcome)
                case Comparison():
                    comparisons.append(outcome)
                case str():
                    notes.append(outcome)
    findings.sort(key=lambda finding: (not finding.violated, -(finding.distance or 0.0)))
    notes = list(dict.fromkeys(notes))
    return Decision(document(violations), tuple(findings), tuple(notes), tuple(comparisons))


def _order(
    pair: Pair, limits: Limits, alpha: float, generator: np.random.Generator
) -> Iterator[Violation | Finding | Comparison | str]:
    threshold = _first(limits.drift, pair.before.drift_threshold, DRIFT_THRESHOLD)
    score = ndcg(pair.baseline.values, pair.live.values)
    if math.isnan(score):
        yield f"The baseline attributes nothing to any feature for {pair.label}, so nothing is checked."
        yield no_order(pair)
        return
    widths = half_widths(pair.baseline, pair.live, alpha)
    granted = ndcg_beyond_noise(pair.baseline.values, pair.live.values, widths)
    error = ndcg_error(pair.baseline, pair.live, generator)
    violated = granted < threshold
    known = number(error) if math.isfinite(error) else "unknown"
    text = f"NDCG {score:.4f} (standard error {known}, {granted:.4f} with chance granted)"
    yield Finding(pair.label, text, distance=1.0 - granted, violated=violated)
    yield Comparison(
        pair.label,
        CHECK_TYPE,
        State.VIOLATED if violated else State.CHANGED if granted < _ALIKE else State.HOLDS,
        text,
        value=score,
        expected=threshold,
        effect=1.0 - granted,
        limit=1.0 - threshold,
        rows=pair.live.rows,
        baseline_rows=pair.baseline.rows,
    )
    if violated:
        because = (
            f"{_moved(pair)}; the standard error is {known}, and without rank changes that chance "
            f"explains the score is {granted:.4f}."
        )
        yield order_violation(pair.label, score, threshold, because)
    elif score < threshold:
        yield (
            f"NDCG of {pair.label} is {score:.4f}, below the threshold {threshold}, but without rank changes "
            f"that chance explains it is {granted:.4f}; explain more rows, or give more num_samples, to tell."
        )


def _moved(pair: Pair) -> str:
    """Say which features changed their rank the most, weighed by what they were worth."""
    before = _ranks(pair.baseline.values)
    after = _ranks(pair.live.values)
    worth = np.abs(1.0 / np.log2(before + 1.0) - 1.0 / np.log2(after + 1.0)) * pair.baseline.values
    places = [place for place in np.argsort(-worth, kind="stable")[:_NAMED] if worth[place] > 0.0]
    return ", ".join(
        f"{pair.features[place]} went from rank {before[place]} to {after[place]}" for place in places
    )


def _ranks(values: np.ndarray) -> np.ndarray:
    ranks = np.empty(values.size, dtype=np.int64)
    ranks[np.argsort(-values, kind="stable")] = np.arange(1, values.size + 1)
    return ranks


def _sizes(pair: Pair, limits: Limits, alpha: float) -> Iterator[Violation | Finding | Comparison | str]:
    factor = _first(limits.magnitude, pair.before.magnitude_threshold, MAGNITUDE_THRESHOLD)
    if factor == 0.0:
        return
    watched = _watched(pair)
    quantile = NormalDist().inv_cdf(1.0 - alpha / (2.0 * (1 + len(watched))))
    baseline, live = in_common(pair.baseline, pair.live, 1.0)
    total = size_change(_total(baseline), _total(live), quantile)
    if total is None:
        reason = "there is no attribution whose size could be compared"
        yield Comparison(f"{pair.label} total", MAGNITUDE_CHECK, State.UNDECIDED, reason=reason)
        return
    violated = _is_beyond(total, factor)
    yield Finding(
        f"{pair.label} total", _ratio_text(total), abs(math.log(max(total.nearest, 1e-9))), violated
    )
    yield _size_comparison(f"{pair.label} total", total, factor, violated, pair)
    if violated:
        text = f"The attribution of all features together {_ratio_text(total)}{_allowed(total, factor)}."
        yield Violation(MAGNITUDE_CHECK, text, metric_name=METRIC, extra={"label": pair.label})
    for place in watched:
        change = size_change(_size(baseline, place), _size(live, place), quantile)
        if change is None:
            continue
        name = pair.features[place]
        # What moved as all features did has been said of them together.
        is_new = _is_beyond(change, factor) and not (
            violated and not _is_beyond(_relative(change, total), factor)
        )
        yield _size_comparison(name, change, factor, is_new, pair)
        if not is_new:
            continue
        shares = (
            pair.baseline.values[place] / pair.baseline.total if pair.baseline.total else 0.0,
            pair.live.values[place] / pair.live.total if pair.live.total else 0.0,
        )
        text = (
            f"The attribution of {name} {_ratio_text(change)}{_allowed(change, factor)}; its share went from "
            f"{percent(round(shares[0], 4))} to {percent(round(shares[1], 4))}."
        )
        yield Finding(name, _ratio_text(change), abs(math.log(max(change.nearest, 1e-9))), violated=True)
        yield Violation(
            MAGNITUDE_CHECK, text, feature_name=name, metric_name=METRIC, extra={"label": pair.label}
        )


def _size_comparison(
    subject: str, change: SizeChange, factor: float, violated: bool, pair: Pair
) -> Comparison:
    return Comparison(
        subject,
        MAGNITUDE_CHECK,
        State.VIOLATED if violated else State.CHANGED if change.nearest != 1.0 else State.HOLDS,
        f"The attribution {_ratio_text(change)}.",
        effect=abs(math.log(max(change.nearest, 1e-9))),
        limit=math.log(factor) if factor > 0.0 else None,
        rows=pair.live.rows,
        baseline_rows=pair.baseline.rows,
    )


def _total(side: Attributions) -> Size:
    return Size(side.total, side.total_error)


def _size(side: Attributions, place: int) -> Size:
    return Size(float(side.values[place]), float(side.errors[place]))


def _watched(pair: Pair) -> list[int]:
    shares = [
        side.values / side.total if side.total > 0.0 else np.zeros(side.values.size)
        for side in (pair.baseline, pair.live)
    ]
    return [int(place) for place in np.flatnonzero(np.maximum(*shares) >= MATTERS)]


def _relative(change: SizeChange, total: SizeChange) -> SizeChange:
    """Return what a feature's change is beside that of all."""
    if total.ratio == 0.0 or math.isinf(total.ratio):
        return SizeChange(1.0, 1.0)
    return SizeChange(change.ratio / total.ratio, change.nearest / total.ratio)


def _is_beyond(change: SizeChange, factor: float) -> bool:
    return change.nearest > factor or change.nearest * factor < 1.0


def _ratio_text(change: SizeChange) -> str:
    if math.isinf(change.ratio):
        return "appeared where there was none"
    return f"is {number(change.ratio)} times the baseline's"


def _allowed(change: SizeChange, factor: float) -> str:
    bound, limit = ("at least", factor) if change.nearest > 1.0 else ("at most", 1.0 / factor)
    return (
        f", and {bound} {number(change.nearest)} times with chance granted, beyond threshold {number(limit)}"
    )


def _first(*limits: float | None) -> float:
    return next(limit for limit in limits if limit is not None)
