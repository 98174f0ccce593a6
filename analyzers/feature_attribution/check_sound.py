"""Decisions by statistics: a violation is a change beyond what sampling explains.

Three things are compared for each label. The order of features: NDCG below the threshold even when rank
changes that chance explains are not counted. The total size of all attributions, and the size of every
feature that matters: grown or shrunk by more than a factor even when chance is granted what it explains;
NDCG sees neither. All of them together raise a violation in less than 1 % of windows without any change.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from statistics import NormalDist

import numpy as np

from analyzers.feature_attribution.drift import (
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


# What a check says of a label, in any order of kinds; texts are notes.
Outcomes = Iterator[Violation | Finding | Comparison | str]


def _decision(outcomes: Iterable[Violation | Finding | Comparison | str]) -> Decision:
    every = list(outcomes)
    return Decision(
        document([one for one in every if isinstance(one, Violation)]),
        tuple(one for one in every if isinstance(one, Finding)),
        tuple(dict.fromkeys(one for one in every if isinstance(one, str))),
        tuple(one for one in every if isinstance(one, Comparison)),
    )


def check_sagemaker(pairs: Sequence[Pair]) -> Decision:
    """Compare the order of features with the baseline's, without regard to chance."""
    return _decision(outcome for pair in pairs for outcome in _order_alone(pair))


def _order_alone(pair: Pair) -> Outcomes:
    score = ndcg(pair.baseline.values, pair.live.values)
    if math.isnan(score):
        yield from _no_order(pair)
        return
    violated = score < THRESHOLD
    yield Finding(pair.label, f"NDCG {score:.4f}", distance=1.0 - score, violated=violated)
    state = State.VIOLATED if violated else State.HOLDS
    yield Comparison(pair.label, CHECK_TYPE, state, value=score, expected=THRESHOLD, effect=1.0 - score)
    if violated:
        yield _order_violation(pair.label, score, THRESHOLD)


def _no_order(pair: Pair) -> Outcomes:
    """Yield what there is to say of a label whose features have no order, on one side or the other."""
    yield f"The baseline attributes nothing to any feature for {pair.label}, so nothing is checked."
    lost = bool(pair.baseline.values.any())
    reason = f"{'the window' if lost else 'the baseline'} attributes nothing to any feature"
    yield Comparison(pair.label, CHECK_TYPE, State.UNDECIDED, reason=reason, lost=lost)


def _order_violation(label: str, score: float, threshold: float, because: str = "") -> Violation:
    """Return the violation in the originals' words, followed by ours."""
    text = f"Feature attribution drift {score} exceeds threshold {threshold}{because}"
    return Violation(CHECK_TYPE, text, metric_name=METRIC, extra={"label": label})


def document(violations: list[Violation]) -> Violations:
    """Return the document, with the version that the originals write."""
    return Violations(violations, {"version": "1.0"})


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

    def outcomes() -> Outcomes:
        for place, pair in enumerate(pairs):
            if not pair.baseline.errors.any():
                yield (
                    f"The baseline has no standard errors for {pair.label}, so its values are taken as exact."
                )
            yield from _order(pair, limits, alpha, np.random.default_rng([seed, place]))
            yield from _sizes(pair, limits, alpha)

    decision = _decision(outcomes())
    ordered = sorted(decision.findings, key=lambda one: (not one.violated, -(one.distance or 0.0)))
    return replace(decision, findings=tuple(ordered))


def _order(pair: Pair, limits: Limits, alpha: float, generator: np.random.Generator) -> Outcomes:
    threshold = _first(limits.drift, pair.before.drift_threshold, DRIFT_THRESHOLD)
    score = ndcg(pair.baseline.values, pair.live.values)
    if math.isnan(score):
        yield from _no_order(pair)
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
            f": {_moved(pair)}; the standard error is {known}, and without rank changes that chance "
            f"explains the score is {granted:.4f}."
        )
        yield _order_violation(pair.label, score, threshold, because)
    elif score < threshold:
        yield (
            f"NDCG of {pair.label} is {score:.4f}, below the threshold {threshold}, but without rank changes "
            f"that chance explains it is {granted:.4f}; explain more rows, or give more num_samples, to tell."
        )


def _moved(pair: Pair) -> str:
    """Say which features changed their rank the most, weighed by what they were worth."""
    before, after = (
        np.argsort(np.argsort(-side.values, kind="stable"), kind="stable") + 1
        for side in (pair.baseline, pair.live)
    )
    worth = np.abs(1.0 / np.log2(before + 1.0) - 1.0 / np.log2(after + 1.0)) * pair.baseline.values
    places = [place for place in np.argsort(-worth, kind="stable")[:_NAMED] if worth[place] > 0.0]
    return ", ".join(
        f"{pair.features[place]} went from rank {before[place]} to {after[place]}" for place in places
    )


def _sizes(pair: Pair, limits: Limits, alpha: float) -> Outcomes:
    factor = _first(limits.magnitude, pair.before.magnitude_threshold, MAGNITUDE_THRESHOLD)
    if factor == 0.0:
        return
    baseline, live = in_common(pair.baseline, pair.live, 1.0)
    shares = [
        side.values / side.total if side.total else np.zeros(side.values.size)
        for side in (pair.baseline, pair.live)
    ]
    watched = np.flatnonzero(np.maximum(*shares) >= MATTERS).tolist()
    quantile = NormalDist().inv_cdf(1.0 - alpha / (2.0 * (1 + len(watched))))
    total = size_change(
        Size(baseline.total, baseline.total_error), Size(live.total, live.total_error), quantile
    )
    if total is None:
        reason = "there is no attribution whose size could be compared"
        yield Comparison(f"{pair.label} total", MAGNITUDE_CHECK, State.UNDECIDED, reason=reason)
        return
    violated = _is_beyond(total, factor)
    yield _size_finding(f"{pair.label} total", total, violated)
    yield _size_comparison(f"{pair.label} total", total, factor, violated, pair)
    if violated:
        text = f"The attribution of all features together {_ratio_text(total)}{_allowed(total, factor)}."
        yield Violation(MAGNITUDE_CHECK, text, metric_name=METRIC, extra={"label": pair.label})
    for place in watched:
        before, after = (
            Size(float(side.values[place]), float(side.errors[place])) for side in (baseline, live)
        )
        change = size_change(before, after, quantile)
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
        then, now = (percent(round(float(share[place]), 4)) for share in shares)
        text = (
            f"The attribution of {name} {_ratio_text(change)}{_allowed(change, factor)}; its share went from "
            f"{then} to {now}."
        )
        yield _size_finding(name, change, True)
        yield Violation(
            MAGNITUDE_CHECK, text, feature_name=name, metric_name=METRIC, extra={"label": pair.label}
        )


def _size_finding(subject: str, change: SizeChange, violated: bool) -> Finding:
    return Finding(subject, _ratio_text(change), abs(math.log(max(change.nearest, 1e-9))), violated)


def _size_comparison(
    subject: str, change: SizeChange, factor: float, violated: bool, pair: Pair
) -> Comparison:
    return Comparison(
        subject,
        MAGNITUDE_CHECK,
        State.VIOLATED if violated else State.CHANGED if change.nearest != 1.0 else State.HOLDS,
        f"The attribution {_ratio_text(change)}.",
        effect=abs(math.log(max(change.nearest, 1e-9))),
        limit=math.log(factor),
        rows=pair.live.rows,
        baseline_rows=pair.baseline.rows,
    )


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
