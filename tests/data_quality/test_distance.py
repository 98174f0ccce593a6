"""Distances against SciPy and against the published numbers of the originals."""

import math
from collections import Counter

import numpy as np
import pytest
from hand_made import numeric
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import stats

from analyzers.data_quality import distance
from analyzers.data_quality.documents import NumericBucket, QuantileSketch
from analyzers.data_quality.sketches import KllSketch

samples = hnp.arrays(np.float64, st.integers(1, 60), elements=st.integers(-5, 5).map(float))


def sketch(*levels):
    return QuantileSketch(0.64, 2048.0, [np.asarray(level, dtype=np.float64) for level in levels])


@given(samples, samples)
def test_numeric_distance_is_the_kolmogorov_smirnov_statistic_with_ties(first, second):
    actual, at, *_ = distance.numeric_distance(
        distance.sketch_distribution(sketch(first)), distance.sketch_distribution(sketch(second))
    )
    with np.errstate(all="ignore"):  # SciPy's p-value, not used here, is undefined for tiny samples
        expected = stats.ks_2samp(first, second, method="asymp").statistic
    assert actual == pytest.approx(expected, abs=1e-12)
    assert abs(np.mean(first <= at) - np.mean(second <= at)) == pytest.approx(actual, abs=1e-12)


@given(samples, samples)
def test_item_weight_doubles_with_each_level(low, high):
    expected = np.sort(np.concatenate([low, high, high]))
    built = distance.sketch_distribution(sketch(low, high))
    assert built.count == len(expected)
    for value, share in zip(built.values, built.shares, strict=True):
        assert share == pytest.approx(np.mean(expected <= value))


def test_an_uncompacted_sketch_has_no_rank_error():
    assert distance.sketch_rank_error(sketch(np.arange(2000.0))) == 0.0
    assert 0.0 < distance.sketch_rank_error(sketch(np.arange(2000.0), np.arange(1100.0))) < 0.01
    assert distance.sketch_distribution(sketch([])) is None


# The four distances that the service reported for a baseline of 120 rows and a window of 321 rows, and the
# numbers of distinct values that each was found to come from.
PUBLISHED_COUNTS = [(64, 233), (57, 215), (119, 303), (72, 233)]


@pytest.mark.parametrize(("before", "now"), PUBLISHED_COUNTS)
def test_robust_correction_uses_numbers_of_distinct_values(before, now):
    first = np.repeat(np.arange(before, dtype=float), 2)
    second = np.repeat(np.arange(now, dtype=float) + before, 3)
    robust = distance.collapsed_distance(sketch(first), sketch(second), robust=True)
    simple = distance.collapsed_distance(sketch(first), sketch(second), robust=False)
    assert simple == 1.0
    assert robust == pytest.approx(1.0 - 1.8 * math.sqrt((before + now) / (before * now)), rel=1e-12)


def test_duplicates_collapse_so_frequencies_do_not_matter():
    first, second = np.array([0.0] * 990 + [1.0] * 10), np.array([0.0] * 10 + [1.0] * 990)
    assert distance.collapsed_distance(sketch(first), sketch(second), robust=False) == 0.0


def test_a_duplicate_keeps_the_weight_of_its_highest_level():
    # Value 1 is stored at levels 0 and 2: it counts 4, not 5 and not 1.
    first = sketch([1.0, 2.0, 3.0], [], [1.0])
    second = sketch([9.0])
    reference = {1.0: 4, 2.0: 1, 3.0: 1}
    shares = np.cumsum(list(reference.values())) / 6
    assert distance.collapsed_distance(first, sketch([1.0]), robust=False) == pytest.approx(1 - shares[0])
    assert distance.collapsed_distance(first, second, robust=True) == pytest.approx(
        max(0.0, 1 - 1.8 * math.sqrt(7 / 6))
    )
    assert distance.collapsed_distance(first, sketch([]), robust=True) is None


def test_bucket_distance_is_a_lower_bound_of_the_sketch_distance():
    generator = np.random.default_rng(1)
    first, second = generator.normal(size=4000), generator.normal(0.5, size=1000)
    edges = np.linspace(first.min(), first.max(), 11)
    counts, _ = np.histogram(first, edges)
    baseline = numeric("x", first).numerical
    baseline.buckets = [
        NumericBucket(low, high, float(count))
        for low, high, count in zip(edges[:-1], edges[1:], counts, strict=True)
    ]
    coarse, at = distance.bucket_distance(baseline, distance.sketch_distribution(sketch(second)))
    exact = stats.ks_2samp(first, second).statistic
    assert exact * 0.8 < coarse <= exact + 1e-12
    assert at in edges
    baseline.buckets = [NumericBucket(1.0, 1.0, 10.0)]
    assert distance.bucket_distance(baseline, distance.sketch_distribution(sketch(second))) is None


def test_category_shift_is_the_change_of_shares():
    shifts = distance.category_shift({"a": 50, "b": 50}, {"a": 3, "c": 1})
    assert shifts == {"a": 0.25, "b": -0.5, "c": 0.25}


@given(
    st.lists(st.integers(60, 400), min_size=2, max_size=8),
    st.lists(st.integers(60, 400), min_size=8, max_size=8),
)
def test_homogeneity_is_scipys_contingency_test(before, now):
    baseline = {str(i): count for i, count in enumerate(before)}
    window = {str(i): count for i, count in enumerate(now[: len(before)])}
    expected = stats.chi2_contingency([list(baseline.values()), list(window.values())], correction=False)
    assert distance.homogeneity_p_value(baseline, window) == pytest.approx(
        expected.pvalue, rel=1e-8, abs=1e-13
    )


def test_homogeneity_pools_rare_categories():
    generator = np.random.default_rng(2)
    shares = 1.0 / np.arange(1, 301)
    shares /= shares.sum()

    def draw(rows):
        return Counter(generator.choice(300, rows, p=shares).astype(str).tolist())

    p_values = [distance.homogeneity_p_value(draw(20_000), draw(300)) for _ in range(200)]
    assert stats.kstest(p_values, "uniform").pvalue > 0.001
    assert distance.homogeneity_p_value({"a": 5}, {"a": 3}) == 1.0
    assert distance.homogeneity_p_value({"a": 5}, {}) == 1.0


def test_goodness_of_fit_is_pearsons_test_on_scaled_counts():
    baseline, window = {"a": 500, "b": 300, "c": 200}, {"a": 40, "b": 40, "c": 20, "new": 7}
    expected = stats.chisquare([40, 40, 20], [50.0, 30.0, 20.0])
    statistic, p_value = distance.goodness_of_fit(baseline, window)
    assert statistic == pytest.approx(expected.statistic)
    assert p_value == pytest.approx(expected.pvalue)


def test_goodness_of_fit_merges_small_categories():
    # Expected 60, 36, 2, 2: two of four are below 5, at most floor(0.8) = 0 may be; the two merge, and again
    # with the next until none is below 5 of three or 10 of two.
    baseline, window = {"a": 600, "b": 360, "c": 20, "d": 20}, {"a": 50, "b": 40, "c": 6, "d": 4}
    expected = stats.chisquare([50, 50], [60.0, 40.0])
    statistic, p_value = distance.goodness_of_fit(baseline, window)
    assert statistic == pytest.approx(expected.statistic)
    assert p_value == pytest.approx(expected.pvalue)
    assert distance.goodness_of_fit({"a": 600, "b": 1}, {"a": 100}) == (None, None)
    assert distance.goodness_of_fit({}, {"a": 100}) == (None, None)


@pytest.mark.parametrize("rows", [3_000, 20_000, 300_000])
@pytest.mark.parametrize("update", ["update", "update_unordered"])
def test_rank_error_bounds_what_a_sketch_misplaces(rows, update):
    generator = np.random.default_rng(rows)
    values = generator.normal(size=rows)
    built = KllSketch()
    getattr(built, update)(values.copy())
    stored = sketch(*built.levels)
    error, *_ = distance.numeric_distance(
        distance.sketch_distribution(stored), distance.sketch_distribution(sketch(values))
    )
    assert 0.0 < error <= distance.sketch_rank_error(stored) <= 0.01


def test_values_stored_with_their_counts_are_exact():
    built = KllSketch()
    built.update_weighted(np.array([0.0, 1.0, 2.0]), np.array([40_000, 20_001, 5_535]))
    assert distance.sketch_rank_error(sketch(*built.levels)) == 0.0
