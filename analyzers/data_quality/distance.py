"""How far apart two distributions are, and what part of that chance explains.

Definitions
-----------
numeric, sound
    Kolmogorov-Smirnov distance: the largest difference between the two cumulative shares, taken after each
    distinct value, each value with its full weight.
numeric, as the originals do
    The same over *distinct* sketch values (spec section 3.6): values that occur more than once keep one
    weight, that of the highest level they occur in.
categorical, ``LInfinity``
    The largest difference of one category's share.
categorical, ``ChiSquared``
    Sound: total variation, the share of rows that would have to change category; tested with Pearson's
    chi-squared test of homogeneity. As the originals do: p-value (or statistic) of a goodness-of-fit test.
"""

import functools
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np

from analyzers.data_quality.documents import NumericalStatistics, QuantileSketch
from analyzers.shared.cells import Floats, as_float32
from analyzers.shared.significance import chi_squared_tail

# Expected rows per cell from which the chi-squared distribution fits the far tail (Cochran 1952 asks for 5
# at the 5 % level; decisions here are made near 0.01 %).
_SMALLEST_EXPECTED = 10.0

_RANK_ERROR_TIMES_K = 0.005 * 2048.0


@dataclass(frozen=True, eq=False)
class Distribution:
    """A cumulative distribution: `shares[i]` of the rows are at or below `values[i]`, ascending.

    `rank_error` is the error a sketch may add to any share.
    """

    values: Floats
    shares: Floats
    count: float
    rank_error: float = 0.0


def sketch_distribution(sketch: QuantileSketch, *, collapsed: bool = False) -> Distribution | None:
    """Return the distribution a sketch stands for, None when it is empty.

    As the originals have it, `collapsed`, values that occur more than once keep the weight of one.
    """
    values, weights = sketch.weighted
    if not len(values):
        return None
    values = values if collapsed else as_float32(values)
    last_of_ties = np.append(values[1:] != values[:-1], True)
    firsts = np.append(0, np.flatnonzero(last_of_ties)[:-1] + 1)
    cumulative = np.cumsum((np.maximum if collapsed else np.add).reduceat(weights, firsts))
    count, error = float(cumulative[-1]), 0.0 if collapsed else sketch_rank_error(sketch)
    return Distribution(values[last_of_ties], cumulative / count, count, error)


# Of a baseline, which many windows are compared with.
baseline_distribution = functools.lru_cache(256)(sketch_distribution)


def sketch_rank_error(sketch: QuantileSketch) -> float:
    """Return a bound, as a share of the rows, on how far a sketch misplaces a value; 0 for exact sketches.

    A sketch of k = 2048 errs by up to 0.3 % at sizes from 20,000 to some million rows, whether filled value
    by value or in sorted chunks (measured; the error falls as ``1 / k``, Karnin, Lang & Liberty 2016). Half a
    percent is allowed for. Compaction leaves at least half of the capacity of one level in the next; where no
    level holds that much, items were stored with their weight at once and are exact.
    """
    above = enumerate(sketch.levels[1:])
    if not any(len(level) > sketch.k * sketch.c**height / 2.0 for height, level in above):
        return 0.0
    # Compacting a level misplaces a value by one item of it at most, so that few rows leave little error.
    weights = np.array([len(level) << height for height, level in enumerate(sketch.levels)], dtype=np.float64)
    promoted = weights.sum() - np.cumsum(weights)
    capacities = sketch.k * sketch.c ** np.arange(weights.size)
    return min(1.0, _RANK_ERROR_TIMES_K / sketch.k, float((promoted / capacities).sum() / weights.sum()))


def numeric_distance(
    first: Distribution, second: Distribution
) -> tuple[float, float, tuple[float, float], float]:
    """Return how far two distributions are apart, from one merge of their values.

    Returns
    -------
    The Kolmogorov-Smirnov distance; the value up to which the shares differ most; the shares of both sides up
    to that value; and the mean rank of the second's values in the first, ties in the middle: 0.5 where both
    are alike.
    """
    size, both = first.values.size, np.concatenate([first.values, second.values])
    order = np.argsort(both, kind="stable")  # fast, as it is two runs
    up_to = np.flatnonzero(order >= size) - np.arange(second.values.size)
    below = up_to - (np.append(np.nan, first.values)[up_to] == second.values)
    places = np.cumsum(np.bincount(below, minlength=size + 1))[:size]
    padded = [np.append(0.0, side.shares) for side in (first, second)]
    pairs = (first.shares, padded[0][up_to]), (padded[1][places], second.shares)
    sides = [np.concatenate(pair) for pair in pairs]
    difference = np.abs(sides[0] - sides[1])
    widest = int(np.argmax(difference))
    middles = (padded[0][up_to] + padded[0][below]) / 2.0
    rank = float(np.dot(middles, np.diff(padded[1])))
    shares = float(sides[0][widest]), float(sides[1][widest])
    return float(difference[widest]), float(both[widest]), shares, rank


def shares_at(distribution: Distribution, points: Floats, side: Literal["left", "right"] = "right") -> Floats:
    """Return the share of rows at or below each point; strictly below it with ``left``."""
    padded = np.concatenate([[0.0], distribution.shares])
    return padded[np.searchsorted(distribution.values, points, side=side)]


def bucket_distance(baseline: NumericalStatistics, current: Distribution) -> tuple[float, float] | None:
    """Return the distance at the inner bounds of the baseline's buckets, a lower bound of the true one.

    For baselines that kept no sketch. None without buckets or without a spread.
    """
    buckets = baseline.buckets
    if not buckets or buckets[0].lower_bound == buckets[-1].upper_bound:
        return None
    counts = np.array([bucket.count for bucket in buckets])
    if not counts.sum():
        return None
    bounds = as_float32([bucket.upper_bound for bucket in buckets[:-1]])
    shares = np.cumsum(counts)[:-1] / counts.sum()
    # Buckets are open above, so a value on the bound counts as above it.
    below = shares_at(current, bounds, side="left")
    difference = np.abs(shares - below)
    widest = int(np.argmax(difference))
    return float(difference[widest]), buckets[widest].upper_bound


def collapsed_distance(first: QuantileSketch, second: QuantileSketch, *, robust: bool) -> float | None:
    """Return the numeric distance as the originals compute it, duplicates collapsed; None when one is empty.

    Parameters
    ----------
    first, second
        Sketches; the distance is symmetric.
    robust
        Whether to subtract ``1.8 * sqrt((n + m) / (n m))`` (not below zero), with n and m the summed
        weights of distinct values.
    """
    left, right = (sketch_distribution(sketch, collapsed=True) for sketch in (first, second))
    if left is None or right is None:
        return None
    distance, *_ = numeric_distance(left, right)
    return corrected(distance, left.count, right.count) if robust else distance


def corrected(distance: float, first_count: float, second_count: float) -> float:
    """Return a distance less the originals' allowance for small samples, not below zero."""
    allowance = 1.8 * math.sqrt((first_count + second_count) / (first_count * second_count))
    return max(0.0, distance - allowance)


def category_shift(baseline: Mapping[str, int], current: Mapping[str, int]) -> dict[str, float]:
    """Return by how much each category's share changed, over the union of categories."""
    before, now = (max(1, sum(side.values())) for side in (baseline, current))
    every = {**baseline, **current}
    return {one: current.get(one, 0) / now - baseline.get(one, 0) / before for one in every}


def homogeneity_p_value(baseline: Mapping[str, float], current: Mapping[str, float]) -> float:
    """Return the p-value of Pearson's chi-squared test that both samples come from one distribution.

    Categories rarer than ten expected rows in the smaller sample are pooled; 1.0 when fewer than two cells
    are left.
    """
    pairs = [[baseline.get(key, 0), current.get(key, 0)] for key in {**baseline, **current}]
    counts = np.array(pairs, dtype=np.float64)
    totals = counts.sum(axis=0)
    if not totals.all():
        return 1.0
    expected_in_smaller = counts.sum(axis=1) * totals.min() / totals.sum()
    rare = expected_in_smaller < _SMALLEST_EXPECTED
    cells = counts[~rare]
    if rare.any():
        pooled = counts[rare].sum(axis=0)
        if expected_in_smaller[rare].sum() >= _SMALLEST_EXPECTED or not len(cells):
            cells = np.vstack([cells, pooled])
        else:
            cells[np.argmin(cells.sum(axis=1))] += pooled
    if len(cells) < 2:
        return 1.0
    expected = cells.sum(axis=1, keepdims=True) * totals / totals.sum()
    statistic = float(((cells - expected) ** 2 / expected).sum())
    return chi_squared_tail(statistic, len(cells) - 1)


def goodness_of_fit(
    baseline: Mapping[str, int], current: Mapping[str, int]
) -> tuple[float, float] | tuple[None, None]:
    """Return statistic and p-value of the originals' chi-squared test (spec section 3.6); None if undefined.

    Categories unseen in the baseline are left out. While too many expected counts are small, the smallest
    category joins the next smallest: with two categories each must reach 10, with more at most a fifth may be
    below 5. Ties are broken by the order of the baseline.
    """
    known_rows = sum(count for category, count in current.items() if category in baseline)
    baseline_rows = sum(baseline.values())
    if not baseline_rows:
        return None, None
    cells = [
        (count / baseline_rows * known_rows, float(current.get(category, 0)))
        for category, count in baseline.items()
    ]
    while len(cells) >= 2 and _too_many_small(cells):
        cells.sort(key=lambda cell: cell[0])
        (expected, observed), (next_expected, next_observed) = cells[:2]
        cells[:2] = [(expected + next_expected, observed + next_observed)]
    if len(cells) < 2:
        return None, None
    statistic = sum((observed - expected) ** 2 / expected for expected, observed in cells if expected > 0.0)
    return statistic, chi_squared_tail(statistic, len(cells) - 1)


def _too_many_small(cells: list[tuple[float, float]]) -> bool:
    if len(cells) == 2:
        return any(expected < 10.0 for expected, _ in cells)
    return sum(expected < 5.0 for expected, _ in cells) > len(cells) // 5
