import json

import numpy as np
import pytest
from fixtures import fixture
from hypothesis import given
from hypothesis import strategies as st

from analyzers.data_quality.sketches import KllSketch, bucket_counts, level_capacity, weighted_values


def rank_error(sketch: KllSketch, values: np.ndarray) -> float:
    """The largest difference between the sketch's and the exact share of values up to x, over all x."""
    items, weights = weighted_values(sketch.levels)
    exact = np.sort(values)
    places = np.unique(np.concatenate((items, exact[:: max(1, exact.size // 1000)])))
    cumulative = np.concatenate(([0], np.cumsum(weights)))
    estimated = cumulative[np.searchsorted(items, places, side="right")]
    return np.abs(estimated - np.searchsorted(exact, places, side="right")).max() / exact.size


def test_capacities_shrink_upwards():
    assert [level_capacity(height) for height in range(4)] == [2050, 1314, 842, 540]


@pytest.mark.parametrize(
    ("rows", "sizes"),
    [
        (2050, [2050]),
        (2333, [283, 1025]),
        (23_432, [266, 1093, 2127, 1, 779]),
        (68_385, [177, 1134, 1127, 1, 1, 1919]),
    ],
)
def test_level_sizes_are_those_of_recorded_files(rows, sizes):
    sketch = KllSketch()
    sketch.update(np.random.default_rng(0).normal(size=rows))
    assert [level.size for level in sketch.levels] == sizes
    assert sketch.weight == rows


def test_how_values_are_batched_changes_nothing_in_order_of_arrival():
    values = np.random.default_rng(1).normal(size=50_000)
    whole, parts = KllSketch(), KllSketch()
    whole.update(values)
    for part in np.split(values, [1, 7, 2049, 2050, 2051, 30_000]):
        parts.update(part)
    assert all(np.array_equal(*pair) for pair in zip(whole.levels, parts.levels, strict=True))


def test_recorded_buckets_recompute_from_recorded_sketches():
    document = json.loads(fixture("model_monitor/dq_service_output/ox2025/statistics.json").read_bytes())
    checked = 0
    for feature in document["features"]:
        if "numerical_statistics" not in feature:
            continue
        stored = feature["numerical_statistics"]["distribution"]["kll"]
        bounds = [bucket["lower_bound"] for bucket in stored["buckets"]]
        bounds.append(stored["buckets"][-1]["upper_bound"])
        counts = bucket_counts(*weighted_values(stored["sketch"]["data"]), np.array(bounds))
        assert counts.tolist() == [bucket["count"] for bucket in stored["buckets"]]
        checked += 1
    assert checked == 20


@given(
    st.lists(st.integers(0, 9000), max_size=8),
    st.sampled_from(["update", "update_unordered"]),
    st.integers(0, 2**32 - 1),
)
def test_weight_is_the_number_of_values_and_memory_is_bounded(sizes, method, seed):
    generator = np.random.default_rng(seed)
    sketch = KllSketch()
    for size in sizes:
        getattr(sketch, method)(generator.normal(size=size))
        assert sketch.stored == sum(level.size for level in sketch.levels) <= sketch.capacity
    assert sketch.weight == sum(sizes)


@pytest.mark.parametrize("distribution", ["normal", "lognormal", "sorted", "cyclic", "integers"])
@pytest.mark.parametrize("rows", [5_000, 100_000, 1_500_000])
def test_unordered_updates_keep_ranks(distribution, rows):
    generator = np.random.default_rng(rows)
    values = {
        "normal": lambda: generator.normal(size=rows),
        "lognormal": lambda: generator.lognormal(sigma=3, size=rows),
        "sorted": lambda: np.arange(rows, dtype=np.float64),
        "cyclic": lambda: np.resize(generator.normal(size=256), rows),
        "integers": lambda: generator.poisson(40, size=rows).astype(np.float64),
    }[distribution]()
    sketch = KllSketch()
    for start in range(0, rows, 32_768):
        sketch.update_unordered(values[start : start + 32_768].copy())
    assert rank_error(sketch, values) <= 0.004


def test_merged_sketches_keep_ranks():
    values = np.random.default_rng(3).gamma(2.0, size=1_000_000)
    merged = KllSketch()
    for part in np.split(values, 40):
        sketch = KllSketch()
        sketch.update_unordered(part.copy())
        merged.merge(sketch)
    assert merged.weight == values.size
    assert rank_error(merged, values) <= 0.005


def test_weighted_updates_are_exact_while_few():
    values = np.array([1.0, 2.0, 5.5])
    counts = np.array([1_000_003, 7, 123_456])
    sketch = KllSketch()
    sketch.update_weighted(values, counts)
    items, weights = weighted_values(sketch.levels)
    assert [int(weights[items == value].sum()) for value in values] == counts.tolist()


@given(st.integers(1, 4000), st.integers(0, 2**32 - 1))
def test_weighted_updates_keep_weight_and_ranks(distinct, seed):
    generator = np.random.default_rng(seed)
    values = np.unique(generator.normal(size=distinct))
    counts = generator.integers(1, 1000, size=values.size)
    sketch = KllSketch()
    sketch.update_weighted(values, counts)
    assert sketch.weight == counts.sum()
    assert rank_error(sketch, np.repeat(values, counts)) <= 0.01


def test_weighted_values_of_nothing():
    values, weights = weighted_values([])
    assert values.size == weights.size == 0


def test_a_constant_fills_the_last_bucket():
    assert bucket_counts(*weighted_values([[3.0, 3.0], [3.0]]), np.full(11, 3.0)).tolist() == [0] * 9 + [4]


@pytest.mark.parametrize("period", [24, 1_024, 2_048, 4_100, 8_200])
def test_the_rank_error_holds_for_periodic_data(period):
    values = np.sin(2.0 * np.pi * np.arange(300_000) / period) + 1e-12 * np.arange(300_000)
    sketch = KllSketch()
    sketch.update_unordered(values.copy())
    items, weights = weighted_values(sketch.levels)
    ordered = np.sort(values)
    shares = np.cumsum(weights) / weights.sum() - np.searchsorted(ordered, items, side="right") / values.size
    assert np.abs(shares).max() < 0.005
