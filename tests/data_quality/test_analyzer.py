"""The analyzer as the job uses it: record batches in, documents and decisions out."""

import functools
import pickle

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pytest
from fixtures import fixture
from hypothesis import given
from hypothesis import strategies as st

from analyzers.data_quality.analyzer import DataQualityAnalyzer
from analyzers.data_quality.documents import (
    constraints_to_json,
    read_constraints,
    read_statistics,
    statistics_to_json,
)
from contract import json_layout
from contract.api import Baseline, State


def summarized(analyzer, batches):
    return analyzer.describe(analyzer.summarize(batches))


def baseline_of(analyzer, batches):
    """Return the documents as a later job reads them from their files."""
    statistics = summarized(analyzer, batches)
    constraints = constraints_to_json(analyzer.suggest(statistics, None))
    written = json_layout.dumps(statistics_to_json(statistics, with_extensions=analyzer.rules == "sound"))
    return Baseline(
        read_statistics(json_layout.loads(written, "s"), "s"),
        read_constraints(json_layout.loads(json_layout.dumps(constraints), "c"), "c"),
    )


def mixed_batch(rows, seed, shift=0.0):
    generator = np.random.default_rng(seed)
    return pa.RecordBatch.from_pydict(
        {
            "number": generator.normal(shift, 1.0, rows),
            "flag": generator.integers(0, 2, rows),
            "town": pa.array(generator.choice(["a", "b", "c"], rows).tolist()).dictionary_encode(),
            "open": pa.array((generator.random(rows) < 0.5).tolist()),
        }
    )


def listed(decision):
    return sorted(
        (violation.feature_name, violation.constraint_check_type)
        for violation in decision.violations.violations
    )


@pytest.mark.parametrize("rules", ["sound", "sagemaker"])
def test_analyzer_travels_and_knows_its_identity(rules):
    analyzer = pickle.loads(pickle.dumps(DataQualityAnalyzer(rules, "ChiSquared", arrival_order=False)))
    batch = mixed_batch(1000, 1)
    summary = analyzer.merge(analyzer.empty(), analyzer.summarize([batch]))
    assert analyzer.row_count(summary) == 1000
    assert analyzer.row_count(analyzer.empty()) == 0
    constraints = analyzer.suggest(analyzer.describe(summary), None)
    assert constraints.config().categorical_drift_method == "ChiSquared"
    assert [feature.name for feature in constraints.features] == ["number", "flag", "town", "open"]


@pytest.mark.parametrize("rules", ["sound", "sagemaker"])
@pytest.mark.parametrize("arrival_order", [True, False])
def test_a_window_is_compared_with_documents_read_back(rules, arrival_order):
    analyzer = DataQualityAnalyzer(rules, arrival_order=arrival_order)
    baseline = baseline_of(analyzer, [mixed_batch(20_000, 1)])
    clean = analyzer.check(summarized(analyzer, [mixed_batch(4_000, 2)]), baseline)
    assert listed(clean) == []
    window = summarized(analyzer, [mixed_batch(4_000, 3, shift=0.8)])
    decision = analyzer.check(window, baseline)
    assert listed(decision) == [("number", "baseline_drift_check")]
    published = {metric.name: metric.value for metric in analyzer.metrics(window, baseline, decision)}
    assert published["feature_baseline_drift_number"] > 0.1
    assert published["feature_non_null_open"] == 1.0


@functools.cache
def six_batches(arrival_order):
    """Return an analyzer, its baseline, six batches, and the decision on all six in one pass."""
    analyzer = DataQualityAnalyzer(arrival_order=arrival_order)
    baseline = baseline_of(analyzer, [mixed_batch(5_000, 1)])
    batches = [mixed_batch(700, seed, shift=0.5) for seed in range(6)]
    return analyzer, baseline, batches, analyzer.check(summarized(analyzer, batches), baseline)


@given(order=st.permutations(range(6)), arrival_order=st.booleans())
def test_decisions_do_not_depend_on_the_order_of_batches(order, arrival_order):
    analyzer, baseline, batches, expected = six_batches(arrival_order)
    summary = analyzer.empty()
    for place in order:
        summary = analyzer.merge(summary, analyzer.summarize([batches[place]]))
    actual = analyzer.check(analyzer.describe(summary), baseline)
    assert listed(actual) == listed(expected) == [("number", "baseline_drift_check")]
    for one, other in zip(actual.findings, expected.findings, strict=True):
        assert one.subject == other.subject
        assert one.distance == pytest.approx(other.distance, abs=0.005)


def read_text(path, *, without=(), named):
    """Read a CSV file with every cell as text, as the sagemaker rules do."""
    read = pa.csv.ReadOptions(autogenerate_column_names=not named)
    names = pa.csv.read_csv(path, read_options=read).column_names
    convert = pa.csv.ConvertOptions(
        column_types=dict.fromkeys(names, pa.string()),
        include_columns=[name for name in names if name not in without],
        null_values=[""],
        strings_can_be_null=True,
    )
    table = pa.csv.read_csv(path, read_options=read, convert_options=convert)
    if not named:
        table = table.replace_schema_metadata({b"positional": b"true"})
    return table.combine_chunks().to_batches()


@pytest.mark.parametrize("rules", ["sound", "sagemaker"])
def test_a_real_drifted_window(rules):
    """A public sample whose window was altered: text and fractions among integers, values missing."""
    folder = "model_monitor/monitoring_data_quality"
    analyzer = DataQualityAnalyzer(rules)
    baseline = baseline_of(
        analyzer, read_text(fixture(f"{folder}/baseline.csv"), without=["target"], named=True)
    )
    window = summarized(analyzer, read_text(fixture(f"{folder}/data_quality_drift.csv"), named=False))
    assert window.positional
    decision = analyzer.check(window, baseline)
    found = listed(decision)
    shared = [("age_range", "completeness_check"), ("zip_feature_0", "data_type_check")]
    if rules == "sagemaker":
        # `1.0` in an integer column violates; drift of integers with few values goes unnoticed.
        assert found == sorted([*shared, ("zip_feature_1", "data_type_check")])
        return
    # The altered rows come together, so that 10 missing of 320 tell no more than 5 would; and 10 fractions,
    # where 300 rows had none, are too few to tell with so many features.
    drifted = [(name, "baseline_drift_check") for name in ("age_range", "gender", "household_income_range")]
    assert found == sorted(drifted)
    open_types = [
        one for one in decision.comparisons if one.state is State.UNDECIDED and one.check == shared[1][1]
    ]
    assert [one.subject for one in open_types] == [shared[1][0]]


@pytest.mark.parametrize("rules", ["sound", "sagemaker"])
def test_whole_numbers_that_floating_point_merges_are_noted(rules):
    analyzer = DataQualityAnalyzer(rules)

    def statistics(largest):
        columns = {"id": [largest, largest - 1], "n": [1, 2], "amount": [1e300, 0.5]}
        return analyzer.describe(analyzer.summarize([pa.RecordBatch.from_pydict(columns)]))

    # Beyond 64 bits they come as floats.
    large = statistics(-(2**53)), statistics(2**53 + 1), statistics(12345678901234567890e0)
    for one in large:
        (note,) = analyzer.facts(one).notes
        assert note.startswith("'id': whole numbers from 2^53 on")
        assert note in analyzer.check(one, Baseline(one, analyzer.suggest(one, None))).notes
    assert analyzer.facts(statistics(2**53 - 1)).notes == ()
