"""Decisions by statistics: a violation is a change beyond what sampling explains.

Three things are compared for each label. The order of features: NDCG below the threshold even when rank
changes that chance explains are not counted. The total size of all attributions, and the size of every
feature that matters: grown or shrunk by more than a factor even when chance is granted what it explains;
NDCG sees neither. All of them together raise a violation in less than 1 % of windows without any change.
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from statistics import NormalDist
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from analyzers.feature_attribution import documents
from analyzers.feature_attribution.documents import AttributionStatistics, LabelAttributions
from analyzers.shared.analysis_json import with_version
from analyzers.shared.cells import Floats
from analyzers.shared.rules import left_open
from analyzers.shared.significance import border
from contract.api import Comparison, Decision, Finding, State, Violation
from contract.errors import DocumentError, wording
from contract.wording import listing, number, percent

# How far live attributions are from the baseline's: their order by NDCG, their size by ratios.
#
# NDCG (Järvelin and Kekäläinen 2002) as the AWS guide defines it for attributions: features are sorted by
# their live attribution, and each contributes its baseline attribution divided by ``log2(position + 1)``; the
# sum is divided by that of the baseline's own order. It is 1 when the order is the same.


_DRAWS = 400


@dataclass(frozen=True)
class Attributions:
    """Global attributions of one side, and how well they are known.

    Parameters
    ----------
    values
        One per feature, as sizes: not negative.
    errors
        Their standard errors; zero where they count as exact, infinite where nobody can tell.
    total
        Of all features.
    total_error
        Its standard error.
    rows
        Explained; None where nobody knows.
    """

    values: Floats
    errors: Floats
    total: float
    total_error: float
    rows: int | None = None


def ndcg(baseline: Floats, live: Floats) -> float:
    """Return the NDCG of the live order of features, NaN when the baseline attributes nothing.

    Parameters
    ----------
    baseline, live
        Attributions of the same features, as sizes. Features with equal live attributions are taken in the
        baseline's order.
    """
    return ndcg_of_order(baseline, np.lexsort((-baseline, -live)))


def ndcg_of_order(baseline: Floats, order: NDArray[np.intp]) -> float:
    """Return the NDCG of an order of features, positions from the first to the last."""
    discounts = _discounts(baseline.size)
    ideal = float(np.sort(baseline)[::-1] @ discounts)
    return float(baseline[order] @ discounts) / ideal if ideal > 0.0 else math.nan


def _discounts(features: int) -> Floats:
    """Return what each position counts."""
    return np.asarray(1.0 / np.log2(np.arange(2.0, features + 2.0)))


def ndcg_error(baseline: Attributions, live: Attributions, generator: np.random.Generator) -> float:
    """Return the standard error of the NDCG: its spread when both sides move by their standard errors.

    Where attributions are closer to each other than to their errors, the spread holds the reordering of
    equals too, so that it errs towards the larger.
    """
    if not (np.isfinite(baseline.errors).all() and np.isfinite(live.errors).all()):
        return math.inf
    draw = partial(generator.standard_normal, (_DRAWS, live.values.size))
    moved = [np.abs(side.values + side.errors * draw()) for side in (baseline, live)]
    order = np.argsort(-moved[1], axis=1, kind="stable")
    discounts = _discounts(baseline.values.size)
    gained = np.take_along_axis(moved[0], order, axis=1) @ discounts
    ideal = np.sort(moved[0], axis=1)[:, ::-1] @ discounts
    known = ideal > 0.0
    return float(np.std(gained[known] / ideal[known])) if known.any() else math.nan


def half_widths(baseline: Attributions, live: Attributions, alpha: float) -> Floats:
    """Return how far chance may move each live attribution from the baseline's, in units of the live side.

    Probability that any feature moves farther when nothing has changed: `alpha` (Bonferroni's inequality,
    normal approximation widened for few rows as Student's distribution is). The baseline's errors count in
    proportion to the totals, because NDCG does not see a common factor.
    """
    scale = live.total / baseline.total if baseline.total > 0.0 else 1.0
    baseline, live = in_common(baseline, live, scale)
    quantile = NormalDist().inv_cdf(1.0 - alpha / (2.0 * max(1, live.values.size)))
    # An infinite error times a total of zero, or no error times the scale of a total near zero.
    with np.errstate(invalid="ignore"):
        own = _widened(quantile, live.rows) * live.errors
        errors = np.hypot(own, _widened(quantile, baseline.rows) * scale * baseline.errors)
    return np.asarray(np.nan_to_num(errors, nan=np.inf, posinf=np.inf))


def in_common(baseline: Attributions, live: Attributions, scale: float) -> tuple[Attributions, Attributions]:
    """Return both sides with errors no smaller than the other side's rows imply for as many rows.

    A feature that matters in few rows may have none of them in a small window: its attribution there is zero,
    and so is the scatter that its error is told from, while the other side knows how it scatters.

    Parameters
    ----------
    scale
        The factor between values that have not changed.
    """
    if not baseline.rows or not live.rows or scale <= 0.0:
        return baseline, live
    factor = scale * math.sqrt(baseline.rows / live.rows)
    return _at_least(baseline, live, 1.0 / factor), _at_least(live, baseline, factor)


def _at_least(side: Attributions, other: Attributions, factor: float) -> Attributions:
    errors = np.maximum(side.errors, other.errors * factor)
    return replace(side, errors=errors, total_error=max(side.total_error, other.total_error * factor))


def _widened(quantile: float, rows: int | None) -> float:
    # First term of the Cornish-Fisher expansion of Student's quantile.
    return quantile if rows is None else quantile * (1.0 + (quantile**2 + 1.0) / (4.0 * max(1, rows - 1)))


def ndcg_beyond_noise(baseline: Floats, live: Floats, widths: Floats) -> float:
    """Return the NDCG without rank changes that chance explains.

    Two features keep the order the baseline gives them unless their intervals ``live ± width`` are apart.
    When nothing but chance moves attributions the result is therefore 1.

    Parameters
    ----------
    baseline, live, widths
        One value per feature.
    """
    before = (live - widths)[:, None] > (live + widths)[None, :]
    # A feature of little weight may have to come early for the sake of one that must follow it.
    released = np.where(before, baseline[None, :], 0.0).max(axis=1, initial=0.0)
    orders = [_constrained_order(before, one) for one in (baseline, np.maximum(baseline, released))]
    return max(ndcg(baseline, live), *(ndcg_of_order(baseline, order) for order in orders))


def _constrained_order(before: NDArray[np.bool_], priority: Floats) -> NDArray[np.intp]:
    """Return the features by falling priority, each after those that must come before it."""
    waiting_for = before.sum(axis=0)
    placed = np.zeros(priority.size, dtype=bool)
    order = np.empty(priority.size, dtype=np.intp)
    for position in range(priority.size):
        candidates = np.where((waiting_for == 0) & ~placed, priority, -np.inf)
        chosen = int(np.argmax(candidates))
        order[position] = chosen
        placed[chosen] = True
        waiting_for -= before[chosen]
    return order


class SizeChange(NamedTuple):
    """How a size changed: the ratio, and the ratio nearest to 1 that chance leaves possible.

    `is_known` is whether the errors of both sides are.
    """

    ratio: float
    nearest: float
    is_known: bool = True


# A size with its standard error.
type Size = tuple[float, float]

# What grows by more was nothing but rounding.
_FROM_NOTHING = 1e9


def size_change(before: Size, after: Size, quantile: float) -> SizeChange | None:
    """Compare two sizes.

    The nearest ratio is the end of the interval of the ratio (Fieller 1954) on the side of 1; a baseline
    within its own noise leaves any ratio possible.

    Returns
    -------
    None when both are zero.
    """
    (was, error_before), (value, error) = before, after
    if was <= 0.0 and value <= 0.0:
        return None
    ratio = value / was if was > 0.0 else math.inf

    def explained(candidate: float) -> bool:
        return abs(value - candidate * was) <= quantile * math.hypot(error, candidate * error_before)

    nearest = 1.0 if explained(1.0) else border(min(ratio, _FROM_NOTHING), 1.0, explained)
    return SizeChange(ratio, nearest, math.isfinite(error) and math.isfinite(error_before))


# Which labels and features of a window answer to which of the baseline.


Labels = dict[str, LabelAttributions]


class Pair(NamedTuple):
    """One label on both sides, with the same features in the same order.

    Parameters
    ----------
    label
        What the window calls it.
    features
        Those of the baseline in its order, then those that only the window has.
    baseline, live
        Sizes of the attributions; a feature that one side lacks has zero there.
    before, after
        The documents of both sides, for directions and what a user allows.
    notes
        On features that appeared, disappeared or have no value.
    """

    label: str
    features: tuple[str, ...]
    baseline: Attributions
    live: Attributions
    before: LabelAttributions
    after: LabelAttributions
    notes: tuple[str, ...] = ()

    def compared(self, subject: str, check: str, state: State, text: str, **figures: Any) -> Comparison:
        """Return a comparison of both sides; of a few rows nearly any result is one that holds."""
        rows = self.live.rows, self.baseline.rows
        if state is State.HOLDS and min(filter(None, rows), default=_FEWEST_ROWS) < _FEWEST_ROWS:
            state, figures["reason"] = State.UNDECIDED, _NOT_TOLD
        figures |= {"rows": rows[0], "baseline_rows": rows[1]}
        return Comparison(subject, check, state, text, **figures)


def counterparts(baseline: Labels, live: Labels) -> Labels:
    """Return, by the names of the window's labels, those of the baseline that answer to them.

    The only label of one side answers to the only label of the other, whatever they are called: Clarify
    named some by the first score the model gave. ``label0`` of one number of scores is not that of another.
    """
    if len(baseline) == len(live) == 1:
        return dict(zip(live, baseline.values(), strict=True))
    are_places = all(name == f"label{place}" for side in (baseline, live) for place, name in enumerate(side))
    if are_places and len(baseline) != len(live):
        return {}
    return {name: baseline[name] for name in live if name in baseline}


def pair_labels(before: documents.Former, statistics: AttributionStatistics) -> Iterator[Pair]:
    """Yield the labels that baseline and window both have.

    Raises
    ------
    DocumentError
        When no label, or no feature, is on both sides.
    """
    formers = counterparts(before.labels, statistics.labels)
    if not formers:
        then, now = listing(list(before.labels)), listing(list(statistics.labels))
        raise DocumentError.of("attributions.other_labels", file=before.where, then=then, now=now)
    rows = before.design.rows, statistics.explained.rows
    asked = before.design.features_to_explain, statistics.design.features_to_explain
    for name, baseline in formers.items():
        live = statistics.labels[name]
        if not baseline.values.keys() & live.values.keys():
            then, now = listing(list(baseline.values)), listing(list(live.values))
            raise DocumentError.of("attributions.other_features", file=before.where, then=then, now=now)
        everything = list(dict.fromkeys((*baseline.values, *live.values)))
        # Who does not ask for a feature has no value of it, which says nothing of the model.
        sides = (baseline.values, live.values)
        unasked = [
            feature
            for feature in everything
            if any(feature not in side and names for side, names in zip(sides, asked, strict=True))
        ]
        everything = [feature for feature in everything if feature not in unasked]
        values = (*baseline.values.items(), *live.values.items())
        nowhere = {feature for feature, value in values if value is None or not math.isfinite(value)}
        undefined = [feature for feature in everything if feature in nowhere]
        features = tuple(feature for feature in everything if feature not in nowhere)
        notes = []
        if undefined:
            notes.append(f"The features {listing(undefined)} have no value for {name}, so are not compared.")
        if unasked:
            notes.append(wording("attributions.unasked", features=listing(unasked)))
        if gone := [feature for feature in features if feature not in live.values]:
            notes.append(f"The features {listing(gone)} of the baseline are gone, and count as used no more.")
        if new := [feature for feature in features if feature not in baseline.values]:
            notes.append(f"The features {listing(new)} are new, and count as unused at the baseline.")
        order = [feature for feature in live.values if feature in baseline.values]
        if order != (former := [feature for feature in baseline.values if feature in live.values]):
            notes.append(wording("attributions.order", then=listing(former, 20), now=listing(order, 20)))
        both = _attributions(baseline, features, rows[0]), _attributions(live, features, rows[1])
        yield Pair(name, features, *both, baseline, live, tuple(notes))


def unanswered(labels: Labels, reason: str, *, with_sizes: bool) -> Iterator[Comparison]:
    """Yield what is asked for of labels of the baseline, not decided for a reason."""
    for name, label in labels.items():
        subjects = {name: CHECK_TYPE}
        if with_sizes and first(label.magnitude_threshold, MAGNITUDE_THRESHOLD) > 0.0:
            sizes = {feature: abs(value or 0.0) for feature, value in label.values.items()}
            least = MATTERS * sum(sizes.values())
            watched = [feature for feature, size in sizes.items() if size > 0.0 and size >= least]
            subjects |= dict.fromkeys((f"{name} total", *watched), MAGNITUDE_CHECK)
        for subject, check in subjects.items():
            yield Comparison(subject, check, State.UNDECIDED, reason=reason, lost=True)


def unpaired(baseline: Labels, live: Labels, *, with_sizes: bool) -> "Outcomes":
    """Yield what there is to say of labels that only one side has."""
    if len(baseline) == len(live) == 1:
        return
    if gone := [name for name in baseline if name not in live]:
        yield f"The labels {listing(gone)} of the baseline are not in the window, so are not checked."
    if new := [name for name in live if name not in baseline]:
        yield f"The labels {listing(new)} are not in the baseline, so are not checked."
    lacking = {name: baseline[name] for name in gone}
    yield from unanswered(lacking, "the window lacks labels", with_sizes=with_sizes)


def _attributions(label: LabelAttributions, features: tuple[str, ...], rows: int | None) -> Attributions:
    # Medians of signed values may be negative; how much a feature counts is its size.
    values = np.abs(np.array([label.values.get(feature) or 0.0 for feature in features]))
    errors = np.array([label.standard_errors.get(feature, 0.0) for feature in features])
    total = float(values.sum())
    total_error = label.total_standard_error
    if total_error is None or (label.total is not None and not math.isclose(label.total, total)):
        # At most: as if all features moved together.
        total_error = float(errors.sum())
    if rows == 1:  # which does not tell how rows scatter
        errors, total_error = np.full(errors.shape, np.inf), math.inf
    return Attributions(values, errors, total, total_error, rows)


# Decisions as the originals took them: an order of features with an NDCG below 0.9 is a violation.


THRESHOLD = 0.9
CHECK_TYPE = "feature_attribution_drift_check"
METRIC = "shap"


# What a check says of a label, in any order of kinds; texts are notes.
Outcomes = Iterator[Violation | Finding | Comparison | str]


def decision_of(outcomes: Iterable[Violation | Finding | Comparison | str]) -> Decision:
    """Return the outcomes by their kinds."""
    every = list(outcomes)
    return Decision(
        with_version([one for one in every if isinstance(one, Violation)]),
        tuple(one for one in every if isinstance(one, Finding)),
        tuple(dict.fromkeys(one for one in every if isinstance(one, str))),
        tuple(one for one in every if isinstance(one, Comparison)),
    )


def check_sagemaker(pairs: Sequence[Pair]) -> Decision:
    """Compare the order of features with the baseline's, without regard to chance."""
    return decision_of(outcome for pair in pairs for outcome in _order_alone(pair))


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


# Probability that a window without any change raises a violation.
FALSE_ALARM_RATE = 0.005
DRIFT_THRESHOLD = 0.9
MAGNITUDE_THRESHOLD = 2.0
MAGNITUDE_CHECK = "feature_attribution_magnitude_check"
DIRECTION_RATE = 0.001
DIRECTION_THRESHOLD = 0.5
DIRECTION_CHECK = "feature_attribution_direction_check"

# A feature matters when it has this share of all attribution, at the baseline or in the window.
MATTERS = 0.1
_NAMED = 3
_ROUNDING = 1e-9
# By how much the share of rows without a value of a feature may grow before nothing of it holds.
_MOST_MISSING = 0.5
# Of fewer rows on either side nothing is said to hold.
_FEWEST_ROWS = 30
_NOT_TOLD = "too few rows or coalitions were explained to tell changes from chance"
# Rounding apart, an NDCG of 1: the order is the same.
_ALIKE = 1.0 - 1e-9


def check_sound(pairs: Sequence[Pair], drift_limit: float | None, *, seed: int) -> Decision:
    """Compare a window with the baseline.

    Parameters
    ----------
    pairs
        The labels that both have.
    drift_limit
        The NDCG that the settings allow; it beats that in the baseline's constraints.
    seed
        Of the draws that give the standard error of NDCG.
    """
    # Half for the order, half for the sizes.
    alpha = FALSE_ALARM_RATE / 2.0 / max(1, len(pairs))

    def outcomes() -> Outcomes:
        for place, pair in enumerate(pairs):
            if not pair.baseline.errors.any():
                yield wording("attributions.exact", label=pair.label)
            yield from _order(pair, drift_limit, alpha, np.random.default_rng([seed, place]))
            yield from _sizes(pair, alpha)
            yield from _directions(pair, DIRECTION_RATE / max(1, len(pairs)))
            asked = unanswered({pair.label: pair.before}, "features have no value", with_sizes=True)
            known = (*pair.features, pair.label, f"{pair.label} total")
            yield from (one for one in asked if one.subject not in known)

    decision = decision_of(outcomes())
    ordered = sorted(decision.findings, key=lambda one: (not one.violated, -(one.distance or 0.0)))
    return replace(decision, findings=tuple(ordered))


def _is_of_scores(mean: float | None) -> bool:
    """Return whether a mean answer on some baseline rows is none of answers that are 0 or 1."""
    sums = [0.0] if mean is None else [mean * rows for rows in range(1, 101)]
    return all(abs(one - round(one)) > _ROUNDING for one in sums)


def without_values(
    decision: Decision, before: documents.Former, statistics: AttributionStatistics
) -> Decision:
    """Return the decision, in which nothing holds of features whose values went missing in most rows.

    A feature that nothing came from at the baseline may go; the order and the total are of all features. Nor
    does anything hold of a model that answers labels, and gave scores at the baseline.
    """
    hard, means = wording("attributions.hard"), (one.expected_value for one in before.labels.values())
    if hard in statistics.notes and all(map(_is_of_scores, means)):
        return left_open(decision, lambda _: hard)
    then, now, lacking = before.design, statistics.design, {}
    sizes = [
        {name: abs(value or 0.0) for name, value in label.values.items()} for label in before.labels.values()
    ]
    used = {name for label in sizes for name, size in label.items() if size > _ROUNDING * sum(label.values())}
    for name, count in now.missing.items():
        was = then.missing.get(name, 0.0)
        if name in used and count / (now.rows or 1) - was / (then.rows or 1) > _MOST_MISSING:
            about = {"feature": name, "count": int(count), "rows": now.rows, "was": int(was)}
            lacking[name] = wording("attributions.missing", **about)
    every = next(iter(lacking.values()), "")
    return left_open(decision, lambda one: lacking.get(one.subject, "" if one.subject in used else every))


def _order(pair: Pair, drift_limit: float | None, alpha: float, generator: np.random.Generator) -> Outcomes:
    threshold = first(drift_limit, pair.before.drift_threshold, DRIFT_THRESHOLD)
    score = ndcg(pair.baseline.values, pair.live.values)
    if math.isnan(score):
        yield from _no_order(pair)
        return
    widths = half_widths(pair.baseline, pair.live, alpha)
    granted = ndcg_beyond_noise(pair.baseline.values, pair.live.values, widths)
    error = ndcg_error(pair.baseline, pair.live, generator)
    violated = granted < threshold
    is_told = math.isfinite(error) and (violated or score >= threshold)
    known = number(error) if math.isfinite(error) else "unknown"
    text = f"NDCG {score:.4f} (standard error {known}, {granted:.4f} with chance granted)"
    yield Finding(pair.label, text, distance=1.0 - granted, violated=violated)
    figures = {"value": score, "expected": threshold, "effect": 1.0 - granted, "limit": 1.0 - threshold}
    state, reason = _state(violated, granted < _ALIKE, is_told)
    yield pair.compared(pair.label, CHECK_TYPE, state, text, reason=reason, **figures)
    if violated:
        because = wording("attributions.moved", moved=_moved(pair), error=known, granted=granted)
        yield _order_violation(pair.label, score, threshold, because)
    elif score < threshold:
        figures = {"score": score, "threshold": threshold, "granted": granted}
        yield wording("attributions.within_chance", label=pair.label, **figures)


def _state(violated: bool, changed: bool, is_told: bool) -> tuple[State, str]:
    """Return how a comparison ends, and why not: `is_told` is whether errors tell it from chance.

    What is beyond its limit and may be chance is not told.
    """
    if not is_told:
        return State.UNDECIDED, _NOT_TOLD
    return State.VIOLATED if violated else State.CHANGED if changed else State.HOLDS, ""


def _moved(pair: Pair) -> str:
    """Say which features changed their rank the most, weighed by what they were worth."""
    orders = (np.argsort(-side.values, kind="stable") for side in (pair.baseline, pair.live))
    before, after = (np.argsort(order, kind="stable") + 1 for order in orders)
    worth = np.abs(1.0 / np.log2(before + 1.0) - 1.0 / np.log2(after + 1.0)) * pair.baseline.values
    places = [place for place in np.argsort(-worth, kind="stable")[:_NAMED] if worth[place] > 0.0]
    ranks = ((pair.features[place], before[place], after[place]) for place in places)
    return ", ".join(f"{name} went from rank {then} to {now}" for name, then, now in ranks)


def _sizes(pair: Pair, alpha: float) -> Outcomes:
    factor = first(pair.before.magnitude_threshold, MAGNITUDE_THRESHOLD)
    if factor == 0.0:
        return
    baseline, live = in_common(pair.baseline, pair.live, 1.0)
    sides = (pair.baseline, pair.live)
    shares = [side.values / side.total if side.total else 0.0 * side.values for side in sides]
    watched = np.flatnonzero(np.maximum(*shares) >= MATTERS).tolist()
    quantile = NormalDist().inv_cdf(1.0 - alpha / (2.0 * (1 + len(watched))))
    total = size_change((baseline.total, baseline.total_error), (live.total, live.total_error), quantile)
    if total is None:
        reason = "there is no attribution whose size could be compared"
        yield Comparison(f"{pair.label} total", MAGNITUDE_CHECK, State.UNDECIDED, reason=reason)
        return
    all_moved = _is_beyond(total, factor)
    yield from _size(pair, total, factor, violated=all_moved)
    for place in watched:
        before, after = ((float(side.values[place]), float(side.errors[place])) for side in (baseline, live))
        change = size_change(before, after, quantile)
        if change is None:
            continue
        # What moved as all features did has been said of them together.
        is_apart = not all_moved or _is_beyond(_relative(change, total), factor)
        is_new = _is_beyond(change, factor) and is_apart
        then, now = (percent(round(float(share[place]), 4)) for share in shares)
        its_share = f"; its share went from {then} to {now}"
        yield from _size(pair, change, factor, pair.features[place], its_share, violated=is_new)


def _directions(pair: Pair, alpha: float) -> Outcomes:
    """Yield what there is to say of features that matter on both sides: whether their effect turned round."""
    limit = first(pair.before.direction_threshold, DIRECTION_THRESHOLD)
    if limit == 0.0:
        return
    sides = pair.before, pair.after
    watched = [
        feature
        for feature, then, now in zip(pair.features, pair.baseline.values, pair.live.values, strict=True)
        if min(then / (pair.baseline.total or 1.0), now / (pair.live.total or 1.0)) >= MATTERS
    ]
    if watched and not all(side.directions for side in sides):
        reason = wording("attributions.no_directions")
        yield Comparison(pair.label, DIRECTION_CHECK, State.UNDECIDED, reason=reason)
        return
    quantile = NormalDist().inv_cdf(1.0 - alpha / (2.0 * max(1, len(watched))))
    for feature in watched:
        then, now = (side.directions.get(feature, 0.0) for side in sides)
        error = math.hypot(*(side.direction_errors.get(feature, math.inf) for side in sides))
        moved = abs(now - then)
        turned = then * now < 0.0 and moved - quantile * error > limit
        text = wording("attributions.turned" if turned else "attributions.direction", then=then, now=now)
        # What errors are known, and small enough to have told that it turned round whole.
        place = pair.features.index(feature)
        is_known = all(math.isfinite(side.errors[place]) for side in (pair.baseline, pair.live))
        is_told = is_known and abs(then) + 1.0 - quantile * error > limit
        is_told &= turned or then * now >= 0.0 or moved <= limit
        state, reason = _state(turned, False, is_told)
        figures = {"value": now, "expected": then, "effect": moved, "limit": limit}
        yield pair.compared(feature, DIRECTION_CHECK, state, text, reason=reason, **figures)
        if turned:
            yield Finding(feature, text, moved, violated=True)
            text = f"The effect of {feature} on {pair.label} turned round: {text}"
            yield Violation(DIRECTION_CHECK, text, feature, METRIC, {"label": pair.label})


def _size(
    pair: Pair, change: SizeChange, factor: float, feature: str = "", more: str = "", *, violated: bool
) -> Outcomes:
    """Yield what there is to say of the size of one feature, or of all together."""
    subject, is_new = feature or f"{pair.label} total", change.ratio >= _FROM_NOTHING
    ratio = "appeared where there was none" if is_new else f"is {number(change.ratio)} times the baseline's"
    moved = abs(math.log(max(change.nearest, 1e-9)))
    is_open = _is_beyond(SizeChange(change.ratio, change.ratio), factor) and not _is_beyond(change, factor)
    state, reason = _state(violated, change.nearest != 1.0, change.is_known and not is_open)
    about = {"reason": reason, "effect": moved, "limit": math.log(factor)}
    yield pair.compared(subject, MAGNITUDE_CHECK, state, f"The attribution {ratio}.", **about)
    if violated or not feature:
        yield Finding(subject, ratio, moved, violated)
    if violated:
        whose = feature or "all features together"
        text = f"The attribution of {whose} {ratio}{_allowed(change, factor)}{more}."
        yield Violation(MAGNITUDE_CHECK, text, feature or None, METRIC, {"label": pair.label})


def _relative(change: SizeChange, total: SizeChange) -> SizeChange:
    """Return what a feature's change is beside that of all, which may be one that chance leaves possible."""
    if total.ratio == 0.0 or math.isinf(total.ratio):
        return SizeChange(1.0, 1.0)
    _, nearest, _ = sorted((change.ratio, change.nearest, total.ratio))
    return SizeChange(change.ratio / total.ratio, nearest / total.ratio)


def _is_beyond(change: SizeChange, factor: float) -> bool:
    return change.nearest > factor or change.nearest * factor < 1.0


def _allowed(change: SizeChange, factor: float) -> str:
    bound, limit = ("at least", factor) if change.nearest > 1.0 else ("at most", 1.0 / factor)
    if change.ratio >= _FROM_NOTHING and change.nearest > math.sqrt(_FROM_NOTHING):
        return wording("attributions.certain", limit=number(limit))
    figures = {"nearest": number(change.nearest), "limit": number(limit)}
    return wording("attributions.allowed", bound=bound, **figures)


def first(*limits: float | None) -> float:
    """Return the first limit that somebody set."""
    return next(limit for limit in limits if limit is not None)
