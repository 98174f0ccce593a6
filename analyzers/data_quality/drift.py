"""Drift of one feature under sound rules: a distance or a share beyond its limit and beyond chance."""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from analyzers.data_quality.columns import FeaturePair, category_counts, holds_dates
from analyzers.data_quality.distance import (
    Distribution,
    bucket_distance,
    category_shift,
    homogeneity_p_value,
    numeric_distance,
    share_at_or_below,
    sketch_distribution,
)
from analyzers.data_quality.documents import NumericalStatistics
from analyzers.data_quality.shares import Change, Dependence, changed_shares, dependence, evidence
from analyzers.shared.significance import kolmogorov_band
from contract.json_layout import java_double
from contract.wording import number, percent, shorten

# What part of a feature's false alarms its distance may raise; the rest is that of its shares.
_DISTANCE_PART = 0.4
_MOST_CHANGES = 2  # of one feature in its sentence, the largest


@dataclass(frozen=True)
class Drift:
    """How far a feature moved.

    `distance` is None where no distance can be measured. `band` is what chance alone explains, in the unit of
    `distance`; None where a p-value decides. `changes` holds the shares compared.
    """

    name: str
    distance: float | None
    threshold: float
    band: float | None
    is_far: bool
    moved: str
    changes: tuple[Change, ...] = ()

    @property
    def violated(self) -> bool:
        """Return whether the distance or any share is beyond its limit and beyond chance."""
        return self.is_far or any(change.violated for change in self.changes)

    @property
    def is_beyond_chance(self) -> bool:
        """Return whether anything moved further than chance explains, within the limit or not."""
        far = self.distance is not None and self.band is not None and self.distance > self.band
        return self.violated or far or any(change.evidence > change.least for change in self.changes)

    @property
    def excess(self) -> float:
        """Return the distance in thresholds, for sorting."""
        effects = [(abs(change.effect), change.limit) for change in self.changes if change.violated]
        if self.distance is not None:
            effects.append((self.distance, self.threshold))
        return max((effect / limit if limit > 0.0 else math.inf for effect, limit in effects), default=0.0)

    @property
    def text(self) -> str:
        """Return a sentence; it ends as the originals' does, because parsers read two numbers from there."""
        changed = sorted(
            (change for change in self.changes if change.violated), key=lambda change: -abs(change.effect)
        )
        parts = [change.text for change in changed if change.text not in self.moved][:_MOST_CHANGES]
        if self.moved and self.moved not in parts:
            explained = "" if self.band is None else f", where chance explains up to {percent(self.band)}"
            parts.insert(0 if self.is_far or not changed else len(parts), f"{self.moved}{explained}")
        moved = "; ".join(parts) or "nothing"
        verb = "exceeds" if self.violated else "does not violate"
        if self.is_far or not changed:
            distance, threshold = self.distance or 0.0, self.threshold
        else:
            distance, threshold = abs(changed[0].effect), changed[0].limit
        return (
            f"{moved[0].upper()}{moved[1:]}. "
            f"Baseline drift distance: {java_double(round(distance, 12))} {verb} "
            f"threshold: {java_double(threshold)}"
        )


def compares_drift(pair: FeaturePair) -> bool:
    """Return whether drift can be measured: enabled, and both sides kept figures of the same kind."""
    if not pair.config.perform_comparison or pair.baseline is None or holds_dates(pair.baseline):
        return False
    if pair.current.numerical is not None and pair.baseline.numerical is not None:
        before = pair.baseline.numerical
        return pair.current.numerical.sketch is not None and bool(before.sketch or before.buckets)
    if pair.current.numerical is not None or pair.baseline.numerical is not None:
        return False
    if category_counts(pair.baseline) and category_counts(pair.current):
        return True
    sides = (pair.baseline, pair.current)
    return all(side.sample is not None and side.num_present for side in sides)


def measure_drift(pair: FeaturePair, alpha: float) -> Drift | None:
    """Measure the drift of one feature.

    Parameters
    ----------
    pair
        The feature on both sides.
    alpha
        Probability of a false alarm that this one comparison may have.

    Returns
    -------
    Drift or None
        None where `compares_drift` is false or one side is empty.
    """
    if not compares_drift(pair) or pair.baseline is None:
        return None
    if pair.current.numerical is not None and pair.baseline.numerical is not None:
        return _numeric_drift(pair, pair.baseline.numerical, pair.current.numerical, alpha)
    changes = tuple(changed_shares(pair, None, None, (1.0 - _DISTANCE_PART) * alpha))
    before, now = category_counts(pair.baseline), category_counts(pair.current)
    if not before or not now:
        moved = max(changes, key=lambda change: abs(change.effect)).text if changes else ""
        return Drift(pair.name, None, pair.config.categorical_threshold, None, False, moved, changes)
    if pair.config.categorical_drift_method == "ChiSquared":
        return _chi_squared_drift(pair, before, now, _DISTANCE_PART * alpha, changes)
    return _largest_shift_drift(pair, before, now, _DISTANCE_PART * alpha, changes)


def _numeric_drift(
    pair: FeaturePair, before: NumericalStatistics, now: NumericalStatistics, alpha: float
) -> Drift | None:
    current = sketch_distribution(now.sketch) if now.sketch else None
    baseline = sketch_distribution(before.sketch) if before.sketch else None
    if current is None:
        return None
    changes: tuple[Change, ...] = ()
    if baseline is not None:
        distance, widest = numeric_distance(baseline, current)
        count, rank_error = baseline.count, baseline.rank_error + current.rank_error
        share_before = share_at_or_below(baseline, widest)
        changes = tuple(changed_shares(pair, baseline, current, (1.0 - _DISTANCE_PART) * alpha))
    else:
        coarse = bucket_distance(before, current)
        if coarse is None:
            return None
        distance, widest = coarse
        count, rank_error = float(before.num_present), current.rank_error
        share_before = None
    band = min(1.0, _band(count, current.count, dependence(pair), _DISTANCE_PART * alpha) + rank_error)
    threshold = pair.config.comparison_threshold
    is_far = distance > (threshold if pair.config.comparison_method == "Simple" else max(threshold, band))
    moved = _numbers_moved(before, now, widest, share_before, current)
    return Drift(pair.name, distance, threshold, band, is_far, moved, changes)


def _band(count: float, current_count: float, found: Dependence, alpha: float) -> float:
    """Return what chance explains, with the rows of each side divided by their design effect."""
    widened = math.sqrt(found.least_evidence(alpha) / math.log(2.0 / alpha))
    return widened * kolmogorov_band(count / found.before, current_count / found.now, alpha)


def _numbers_moved(
    before: NumericalStatistics,
    now: NumericalStatistics,
    widest: float,
    share_before: float | None,
    current: Distribution,
) -> str:
    parts = []
    if before.mean is not None and now.mean is not None:
        parts.append(f"mean {number(before.mean)} -> {number(now.mean)}")
        same = number(before.mean) == number(now.mean)
        if same and before.std_dev is not None and now.std_dev is not None:
            parts.append(f"standard deviation {number(before.std_dev)} -> {number(now.std_dev)}")
    if share_before is not None:
        share_now = share_at_or_below(current, widest)
        parts.append(
            f"share of values up to {number(widest)} {percent(share_before)} -> {percent(share_now)}"
        )
    else:
        parts.append(f"the shares differ most at {number(widest)}")
    return ", ".join(parts)


def _largest_shift_drift(
    pair: FeaturePair, before: dict[str, int], now: dict[str, int], alpha: float, changes: tuple[Change, ...]
) -> Drift | None:
    shifts = category_shift(before, now)
    found = dependence(pair)
    per_category = alpha / len(shifts)
    threshold = pair.config.categorical_threshold
    simple = pair.config.comparison_method == "Simple"
    rows = [np.array([side.get(value, 0) for value in shifts], dtype=np.float64) for side in (before, now)]
    totals = (float(rows[0].sum()), float(rows[1].sum()))
    certain = evidence(rows[0], rows[1], totals, (found.before, found.now)) > found.least_evidence(
        per_category
    )
    far = [
        category
        for (category, shift), is_certain in zip(shifts.items(), certain.tolist(), strict=True)
        if abs(shift) > threshold and (simple or is_certain)
    ]
    widest = max(far or shifts, key=lambda category: abs(shifts[category]))
    return Drift(
        pair.name,
        distance=abs(shifts[widest]),
        threshold=threshold,
        band=_share_band(before, now, widest, found, per_category),
        is_far=bool(far),
        moved=_share_moved(before, now, widest),
        changes=changes,
    )


def _share_band(
    before: dict[str, int], now: dict[str, int], category: str, found: Dependence, alpha: float
) -> float:
    """Return the change of a share that chance explains, for readers: a normal approximation."""
    rows = sum(before.values()) + sum(now.values())
    share = (before.get(category, 0) + now.get(category, 0)) / rows
    widened = math.sqrt(found.least_evidence(alpha) / math.log(2.0 / alpha))
    deviations = -NormalDist().inv_cdf(alpha / 2.0) * widened
    n, m = sum(before.values()) / found.before, sum(now.values()) / found.now
    return min(1.0, deviations * math.sqrt(share * (1.0 - share) * (n + m) / (n * m)))


def _share_moved(before: dict[str, int], now: dict[str, int], category: str) -> str:
    shares = [counts.get(category, 0) / sum(counts.values()) for counts in (before, now)]
    return f"share of {shorten(category)!r} {percent(shares[0])} -> {percent(shares[1])}"


def _chi_squared_drift(
    pair: FeaturePair, before: dict[str, int], now: dict[str, int], alpha: float, changes: tuple[Change, ...]
) -> Drift | None:
    shifts = category_shift(before, now)
    distance = sum(abs(shift) for shift in shifts.values()) / 2.0
    threshold = pair.config.categorical_threshold
    found = dependence(pair)
    # Rao & Scott (1981): the statistic of dependent rows, divided by their mean design effect.
    p_value = homogeneity_p_value(
        {category: count / found.before for category, count in before.items()},
        {category: count / found.now for category, count in now.items()},
    )
    significant = pair.config.comparison_method == "Simple" or p_value < alpha
    widest = max(shifts, key=lambda category: abs(shifts[category]))
    moved = (
        f"{percent(distance)} of the rows would have to change category (chi-squared p-value {p_value:.2g}), "
        f"most of all the {_share_moved(before, now, widest)}"
    )
    return Drift(pair.name, distance, threshold, None, distance > threshold and significant, moved, changes)
