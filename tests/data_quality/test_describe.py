import json
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pytest
from fixtures import fixture

from analyzers.data_quality.describe import describe
from analyzers.data_quality.documents import FeatureStatistics, read_statistics, statistics_to_json
from analyzers.data_quality.summary import DatasetSummary, SummaryOptions, merge, summarize
from analyzers.shared.rules import category_order, java_hash
from contract import json_layout

MOST = {"sound": 1000, "sagemaker": 120}


def described(array, rules="sound", arrival_order=True) -> FeatureStatistics:
    options = SummaryOptions(rules == "sagemaker", arrival_order, MOST[rules])
    batch = pa.record_batch({"x": array})
    return describe(summarize([batch], options), rules=rules).features[0]


@pytest.mark.parametrize(
    ("array", "expected"),
    [
        (pa.array([1, 2]), "Integral"),
        (pa.array([1.0, 2.0]), "Fractional"),
        (pa.array([1.0, None]), "Fractional"),
        (pa.array([None, None], pa.float64()), "Unknown"),
        (pa.array([float("nan")]), "Unknown"),
        (pa.array([None], pa.null()), "Unknown"),
        (pa.array(["", None], pa.string()), "Unknown"),
        (pa.array([True, None]), "String"),
        (pa.array(["true", "false"]), "String"),
        (pa.array(["true", "1"]), "String"),
        (pa.array(["1", "+2", "- 3", " 4"]), "Integral"),
        (pa.array(["1", "2.0"]), "Fractional"),
        (pa.array(["1", "2e5"]), "Fractional"),
        (pa.array(["1", "2.5E-5", ""]), "Fractional"),
        (pa.array(["1", ".5"]), "String"),
        (pa.array(["1", "5."]), "String"),
        (pa.array(["1", "1,000"]), "String"),
        (pa.array(["1", "NaN"]), "String"),
        (pa.array(["1", "-  1"]), "String"),
        (pa.array(["1", "1\n"]), "String"),
        (pa.array(["1", "٣"]), "String"),
    ],
)
@pytest.mark.parametrize("rules", ["sound", "sagemaker"])
def test_inferred_types(array, expected, rules):
    feature = described(array, rules)
    assert feature.inferred_type == expected
    assert (feature.numerical is not None) == (expected in ("Integral", "Fractional"))
    assert (feature.string is not None) == (expected in ("String", "Unknown"))


def test_a_column_may_be_numbers_in_one_split_and_text_in_another():
    options = SummaryOptions(max_categories=1000)
    parts = [{"x": pa.array([3, 4])}, {"x": ["3", "n/a"]}, {"x": [0.5, 3.0]}, {"x": [True]}]
    summary = DatasetSummary()
    for part in parts:
        summary = merge(summary, summarize([pa.record_batch(part)], options))
    (feature,) = describe(summary, rules="sound").features
    counts = {bucket.value: bucket.count for bucket in feature.string.categories}
    assert counts == {"3": 2, "4": 1, "n/a": 1, "0.5": 1, "3.0": 1, "true": 1}
    assert feature.data_types == {
        "Integral": 3,
        "IntegralValued": 1,
        "Fractional": 1,
        "Boolean": 1,
        "String": 1,
        "NonFinite": 0,
        "NegativeInfinite": 0,
    }


@pytest.mark.parametrize("arrival_order", [True, False])
def test_numerical_members(arrival_order):
    values = np.random.default_rng(2).normal(5, 2, size=1500)
    numbers = described(pa.array(values), arrival_order=arrival_order).numerical
    assert numbers.std_dev == pytest.approx(np.std(values), rel=1e-12)
    assert numbers.mean == pytest.approx(values.mean(), rel=1e-12)
    assert numbers.completeness == 1.0
    low, high = values.min(), values.max()
    bounds = [low + (high - low) * i / 10.0 for i in range(11)]
    assert [bucket.lower_bound for bucket in numbers.buckets] == bounds[:-1]
    assert [bucket.upper_bound for bucket in numbers.buckets] == bounds[1:]
    inside = [((values >= a) & (values < b)).sum() for a, b in pairwise(bounds)]
    inside[-1] += 1  # the maximum
    assert [bucket.count for bucket in numbers.buckets] == inside
    assert numbers.sketch.k == 2048.0
    assert numbers.sketch.c == 0.64


def test_sums_are_taken_in_order_of_arrival_as_the_originals_do():
    values = np.random.default_rng(4).normal(size=3000) * 0.1
    expected = 0.0
    for value in values.tolist():
        expected += value
    assert described(pa.array(values)).numerical.sum == expected


@pytest.mark.parametrize("arrival_order", [True, False])
@pytest.mark.parametrize("rows", [3, 3000])
def test_infinities_are_present_but_no_numbers(arrival_order, rows):
    values = np.arange(rows) * 0.5
    array = pa.array(np.concatenate((values, [np.inf, -np.inf, np.nan])))
    feature = described(array, arrival_order=arrival_order)
    assert feature.inferred_type == "Fractional"
    assert (feature.num_present, feature.num_missing) == (rows + 2, 1)
    assert [feature.data_types[kind] for kind in ("NonFinite", "NegativeInfinite")] == [1, 1]
    assert feature.numerical.max == values.max()
    assert feature.numerical.approximate_num_distinct_values == pytest.approx(rows + 2, rel=0.2)


def test_what_float64_cannot_hold_is_left_out():
    numbers = described(pa.array([1.7e308, 1.7e308, -1.7e308])).numerical
    assert numbers.sum is None
    assert numbers.std_dev is None
    assert numbers.buckets[0].lower_bound == -1.7e308
    assert numbers.buckets[-1].upper_bound == 1.7e308
    assert sum(bucket.count for bucket in numbers.buckets) == 3


def test_only_infinities_leave_a_column_without_numbers():
    feature = described(pa.array([float("inf")]))
    assert feature.numerical.mean is None
    assert feature.numerical.sketch is None


def test_a_rounded_standard_deviation_is_never_negative():
    assert described(pa.array([0.1] * 1000)).numerical.std_dev == pytest.approx(0, abs=1e-12)


def test_bucket_bounds_of_large_numbers_follow_the_rules():
    array = pa.array([5_000_000_000, 6_000_000_000])
    assert described(array).numerical.buckets[0].lower_bound == 5e9
    assert described(array, "sagemaker").numerical.buckets[0].lower_bound == 2.0**31 - 1


def test_distinct_counts_are_exact_where_values_are_counted():
    states = pa.array([f"state-{n}" for n in range(300)])
    sound = described(states).string
    assert sound.distinct_count == 300.0
    assert len(sound.categories) == 300
    sagemaker = described(states, "sagemaker").string
    assert sagemaker.distinct_count == pytest.approx(300, rel=0.2)
    assert sagemaker.categories is None
    assert described(pa.array(["1", "1.0"])).numerical.approximate_num_distinct_values == 1


def test_text_of_many_values_is_not_listed():
    text = described(pa.array([f"id-{n}" for n in range(5000)])).string
    assert text.categories is None
    assert text.distinct_count == pytest.approx(5000, rel=0.25)


def test_a_dataset_without_rows():
    statistics = describe(
        summarize([pa.record_batch({"x": pa.array([], pa.int64())})], SummaryOptions()), rules="sound"
    )
    assert statistics.item_count == 0
    assert statistics.features[0].inferred_type == "Unknown"
    assert describe(DatasetSummary(), rules="sound").features == []


def test_category_order_is_that_of_recorded_files():
    document = json.loads(fixture("model_monitor/dq_service_output/ox2025/statistics.json").read_bytes())
    sizes = []
    for feature in document["features"]:
        if "string_statistics" in feature:
            buckets = feature["string_statistics"]["distribution"]["categorical"]["buckets"]
            values = [bucket["value"] for bucket in buckets]
            assert category_order(feature["name"], sorted(values)) == values
            sizes.append(len(values))
    assert sorted(sizes) == [3, 4, 4, 5]


@pytest.mark.parametrize(("text", "expected"), [("", 0), ("a", 97), ("hello", 99162322), ("😀", 1772899)])
def test_java_hashes(text, expected):
    assert java_hash(text) == expected


@pytest.mark.parametrize("rules", ["sound", "sagemaker"])
def test_a_real_table_described_written_and_read_again(rules):
    path = fixture("model_monitor/churn/training-dataset-with-header.csv")
    table = pyarrow.csv.read_csv(path)
    if rules == "sagemaker":
        types = dict.fromkeys(table.schema.names, pa.string())
        table = pyarrow.csv.read_csv(path, convert_options=pyarrow.csv.ConvertOptions(column_types=types))
    options = SummaryOptions(rules == "sagemaker", max_categories=MOST[rules])
    statistics = describe(summarize(table.to_batches(), options), rules=rules)
    frame = table.to_pandas()
    assert statistics.item_count == len(frame) == 2333
    for feature in statistics.features:
        column = frame[feature.name].astype(float)
        assert feature.numerical.mean == pytest.approx(column.mean(), rel=1e-9)
        assert feature.numerical.std_dev == pytest.approx(column.std(ddof=0), rel=1e-9)
        # 2,333 values overfill level 0 once.
        assert [level.size for level in feature.numerical.sketch.levels] == [283, 1025]
        integral = all("." not in str(text) for text in frame[feature.name])
        assert feature.inferred_type == ("Integral" if integral else "Fractional")
    written = json_layout.dumps(statistics_to_json(statistics))
    again = read_statistics(json_layout.loads(written, "statistics.json"), "statistics.json")
    assert json_layout.dumps(statistics_to_json(again)) == written
