"""Drift of one feature under sound rules: a distance above the threshold that chance does not explain."""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist

from analyzers.data_quality.columns import FeaturePair, category_counts
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
from analyzers.shared.significance import hypergeometric_tail, kolmogorov_band
from contract.json_layout import java_double
from contract.wording import number, percent, shorten


@dataclass(frozen=True)
class Drift:
    """How far a feature moved.

    `band` is what chance alone explains, in the unit of `distance`; None where a p-value decides.
    """

    name: str
    distance: float
    threshold: float
    band: float | None
    violated: bool
    moved: str

    @property
    def excess(self) -> float:
        """Return the distance in thresholds, for sorting."""
        return self.distance / self.threshold if self.threshold > 0.0 else math.inf

    @property
    def text(self) -> str:
        """Return a sentence; it ends as the originals' does, because parsers read two numbers from there."""
        explained = "" if self.band is None else f", where chance explains up to {percent(self.band)}"
        verb = "exceeds" if self.violated else "does not violate"
        return (
            f"{self.moved[0].upper()}{self.moved[1:]}{explained}. "
            f"Baseline drift distance: {java_double(round(self.distance, 12))} {verb} "
            f"threshold: {java_double(self.threshold)}"
        )


def compares_drift(pair: FeaturePair) -> bool:
    """Return whether drift can be measured: enabled, and both sides kept a distribution of the same kind."""
    if not pair.config.perform_comparison or pair.baseline is None:
        return False
    if pair.current.numerical is not None and pair.baseline.numerical is not None:
        before = pair.baseline.numerical
        return pair.current.numerical.sketch is not None and bool(before.sketch or before.buckets)
    return bool(category_counts(pair.baseline)) and bool(category_counts(pair.current))


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
    before, now = category_counts(pair.baseline), category_counts(pair.current)
    if not before or not now:
        return None
    if pair.config.categorical_drift_method == "ChiSquared":
        return _chi_squared_drift(pair, before, now, alpha)
    return _largest_shift_drift(pair, before, now, alpha)


def _numeric_drift(
    pair: FeaturePair, before: NumericalStatistics, now: NumericalStatistics, alpha: float
) -> Drift | None:
    current = sketch_distribution(now.sketch) if now.sketch else None
    baseline = sketch_distribution(before.sketch) if before.sketch else None
    if current is None:
        return None
    if baseline is not None:
        distance, widest = numeric_distance(baseline, current)
        count, rank_error = baseline.count, baseline.rank_error + current.rank_error
        share_before = share_at_or_below(baseline, widest)
    else:
        coarse = bucket_distance(before, current)
        if coarse is None:
            return None
        distance, widest = coarse
        count, rank_error = float(before.num_present), current.rank_error
        share_before = None
    band = min(1.0, kolmogorov_band(count, current.count, alpha) + rank_error)
    threshold = pair.config.comparison_threshold
    violated = distance > (threshold if pair.config.comparison_method == "Simple" else max(threshold, band))
    moved = _numbers_moved(before, now, widest, share_before, current)
    return Drift(pair.name, distance, threshold, band, violated, moved)


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
    pair: FeaturePair, before: dict[str, int], now: dict[str, int], alpha: float
) -> Drift | None:
    shifts = category_shift(before, now)
    per_category = alpha / (2.0 * len(shifts))
    threshold = pair.config.categorical_threshold
    violating = [
        category
        for category, shift in shifts.items()
        if abs(shift) > threshold
        and (
            pair.config.comparison_method == "Simple"
            or _p_value_of_shift(before, now, category) < per_category
        )
    ]
    widest = max(violating or shifts, key=lambda category: abs(shifts[category]))
    return Drift(
        pair.name,
        distance=abs(shifts[widest]),
        threshold=threshold,
        band=_share_band(before, now, widest, per_category),
        violated=bool(violating),
        moved=_share_moved(before, now, widest),
    )


def _p_value_of_shift(before: dict[str, int], now: dict[str, int], category: str) -> float:
    """Return the one-sided p-value of Fisher's exact test, in the direction the share moved."""
    n, m = sum(before.values()), sum(now.values())
    in_baseline, in_window = before.get(category, 0), now.get(category, 0)
    marked = in_baseline + in_window
    if in_window / m > in_baseline / n:
        return hypergeometric_tail(in_window, m, marked, n + m)
    return hypergeometric_tail(in_baseline, n, marked, n + m)


def _share_band(before: dict[str, int], now: dict[str, int], category: str, alpha: float) -> float:
    n, m = sum(before.values()), sum(now.values())
    share = (before.get(category, 0) + now.get(category, 0)) / (n + m)
    deviations = -NormalDist().inv_cdf(alpha)
    return min(1.0, deviations * math.sqrt(share * (1.0 - share) * (n + m) / (n * m)))


def _share_moved(before: dict[str, int], now: dict[str, int], category: str) -> str:
    shares = [counts.get(category, 0) / sum(counts.values()) for counts in (before, now)]
    return f"share of {shorten(category)!r} {percent(shares[0])} -> {percent(shares[1])}"


def _chi_squared_drift(
    pair: FeaturePair, before: dict[str, int], now: dict[str, int], alpha: float
) -> Drift | None:
    shifts = category_shift(before, now)
    distance = sum(abs(shift) for shift in shifts.values()) / 2.0
    threshold = pair.config.categorical_threshold
    p_value = homogeneity_p_value(before, now)
    significant = pair.config.comparison_method == "Simple" or p_value < alpha
    widest = max(shifts, key=lambda category: abs(shifts[category]))
    moved = (
        f"{percent(distance)} of the rows would have to change category (chi-squared p-value {p_value:.2g}), "
        f"most of all the {_share_moved(before, now, widest)}"
    )
    return Drift(pair.name, distance, threshold, None, distance > threshold and significant, moved)
