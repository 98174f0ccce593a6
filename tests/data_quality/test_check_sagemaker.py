"""Decisions and wording of the originals."""

import json
import math
import re

import numpy as np
import pytest
from fixtures import fixture
from hand_made import check, document, numeric, text, unknown
from sentences import says

from analyzers.data_quality.documents import read_constraints, read_statistics
from analyzers.data_quality.limits import suggest
from contract import json_layout
from contract.api import Baseline


def baseline_of(*features):
    statistics = document(*features)
    return Baseline(statistics, suggest(statistics, rules="sagemaker"))


def decide(window, baseline):
    return check(window, baseline, rules="sagemaker")


def listed(decision):
    return [
        (violation.feature_name, violation.constraint_check_type)
        for violation in decision.violations.violations
    ]


@pytest.fixture
def observed_messages():
    return json.loads(
        fixture("model_monitor/dq_service_output/observed_messages.json").read_text(encoding="utf-8")
    )


@pytest.mark.parametrize(("integral", "position"), [(955, 0), (0, 1)])
def test_type_violation_is_worded_as_observed(observed_messages, integral, position):
    baseline = baseline_of(numeric("x", np.arange(959), integral=True))
    types = {"Integral": integral, "Fractional": 959 - integral}
    window = document(numeric("x", np.arange(959), data_types=types))
    (violation,) = decide(window, baseline).violations.violations
    assert violation.description == observed_messages["data_type_check"][position]


def test_drift_violation_is_worded_as_observed(observed_messages):
    generator = np.random.default_rng(5)
    baseline = baseline_of(numeric("x", generator.normal(size=1000)))
    (violation,) = decide(
        document(numeric("x", generator.normal(1.0, size=1000))), baseline
    ).violations.violations
    pattern = r"Baseline drift distance: (\d\.\d+) exceeds threshold: 0\.1"
    assert re.fullmatch(pattern, observed_messages["baseline_drift_check"][0])
    assert re.fullmatch(pattern, violation.description)


def test_whole_numbers_in_decimal_form_violate_an_integer_type():
    baseline = baseline_of(numeric("x", np.arange(321), integral=True))
    types = {"Integral": 201, "IntegralValued": 120}
    decision = decide(document(numeric("x", np.arange(321), data_types=types)), baseline)
    text = decision.violations.violations[0].description
    assert says(text, "limits.type", expected="Integral", observed="62.616822429906534")


def test_completeness_has_no_tolerance():
    baseline = baseline_of(numeric("x", np.arange(980), missing=20))
    assert decide(document(numeric("x", np.arange(980), missing=20)), baseline).violations.violations == []
    decision = decide(document(numeric("x", np.arange(979), missing=21)), baseline)
    assert listed(decision) == [("x", "completeness_check")]
    assert "98.0%" in decision.violations.violations[0].description


def test_any_unseen_value_violates_unless_the_threshold_is_lowered():
    baseline = baseline_of(text("town", {"a": 600, "b": 400}))
    window = document(text("town", {"a": 600, "b": 399, "zz": 1}))
    decision = decide(window, baseline)
    assert listed(decision) == [("town", "categorical_values_check")]
    assert "'zz' (1)" in decision.violations.violations[0].description
    baseline.constraints.monitoring_config["domain_content_threshold"] = 0.99
    assert listed(decide(window, baseline)) == []


def test_more_categories_than_can_be_listed_violate():
    baseline = baseline_of(text("town", {"a": 600, "b": 400}))
    window = document(text("town", {str(i): 1 for i in range(5000)}, listed=False))
    assert listed(decide(window, baseline)) == [("town", "categorical_values_check")]
    baseline.constraints.monitoring_config["domain_content_threshold"] = 0.5
    assert listed(decide(window, baseline)) == []


def test_frequencies_of_binary_features_go_unnoticed():
    baseline = baseline_of(numeric("flag", [0] * 900 + [1] * 100, integral=True))
    window = document(numeric("flag", [0] * 100 + [1] * 900, integral=True))
    assert listed(decide(window, baseline)) == []


def test_categorical_distance_is_corrected_by_true_counts():
    baseline = baseline_of(text("town", {"a": 600, "b": 400}))
    window = document(text("town", {"a": 300, "b": 700}))
    expected = 0.3 - 1.8 * math.sqrt(2000 / 1_000_000)
    (finding,) = decide(window, baseline).findings
    assert finding.distance == pytest.approx(expected)
    assert finding.violated
    baseline.constraints.monitoring_config["distribution_constraints"]["comparison_method"] = "Simple"
    (finding,) = decide(window, baseline).findings
    assert finding.distance == pytest.approx(0.3)


def test_chi_squared_compares_a_p_value():
    baseline = baseline_of(text("town", {"a": 600, "b": 400}))
    comparison = baseline.constraints.monitoring_config["distribution_constraints"]
    comparison["categorical_drift_method"] = "ChiSquared"
    drifted, steady = document(text("town", {"a": 500, "b": 500})), document(text("town", {"a": 60, "b": 40}))
    assert listed(decide(drifted, baseline)) == [("town", "baseline_drift_check")]
    assert listed(decide(steady, baseline)) == []
    comparison["comparison_method"] = "Simple"
    assert decide(drifted, baseline).findings[0].distance == pytest.approx(41.6666, rel=1e-4)


@pytest.mark.parametrize(
    ("columns", "kind"), [(1, "missing_column_check"), (3, "extra_column_check")], ids=["missing", "extra"]
)
def test_numbers_of_columns_are_compared_and_nothing_else_then(columns, kind):
    baseline = baseline_of(numeric("x", [1.0, 2.0]), text("y", ["a", "b"]))
    features = [text("y", ["unseen"]), numeric("x", [5.0]), numeric("z", [5.0])][:columns]
    decision = decide(document(*features), baseline)
    assert [check_type for _, check_type in listed(decision)] == [kind]
    description = decision.violations.violations[0].description
    assert says(description, "expected_columns.counts", current=columns, expected=2)


def test_columns_without_names_are_matched_by_position():
    baseline = baseline_of(numeric("x", np.arange(100.0)), text("y", ["a"] * 100))
    features = numeric("_c0", np.arange(100.0)), text("_c1", ["b"] * 100)
    assert ("y", "categorical_values_check") in listed(decide(document(*features, positional=True), baseline))
    by_name = decide(document(*features), baseline)
    assert listed(by_name) == []
    assert "'x', 'y'" in by_name.notes[0]


def test_types_are_listed_before_drift():
    generator = np.random.default_rng(3)
    baseline = baseline_of(
        numeric("a", generator.normal(size=500)), numeric("b", np.arange(500), integral=True)
    )
    window = document(numeric("a", generator.normal(3, size=500)), text("b", ["x"] * 500))
    assert [kind for _, kind in listed(decide(window, baseline))] == [
        "data_type_check",
        "baseline_drift_check",
    ]


def test_switches_are_honoured():
    baseline = baseline_of(numeric("x", np.arange(1000.0)))
    window = document(numeric("x", np.arange(5000.0, 6000.0)))
    config = baseline.constraints.monitoring_config
    assert listed(decide(window, baseline)) == [("x", "baseline_drift_check")]
    config["distribution_constraints"]["perform_comparison"] = "Disabled"
    assert listed(decide(window, baseline)) == []
    config["distribution_constraints"]["perform_comparison"] = "Enabled"
    baseline.constraints.features[0].overrides = {"evaluate_constraints": "Disabled"}
    assert listed(decide(window, baseline)) == []
    baseline.constraints.features[0].overrides = {}
    config["evaluate_constraints"] = "Disabled"
    assert listed(decide(window, baseline)) == []


def test_without_constraints_nothing_is_checked():
    window = document(numeric("x", [1.0]))
    decision = decide(window, Baseline(window, None))
    assert listed(decision) == []
    assert "baseline_constraints" in decision.notes[0]


def test_an_empty_column_is_incomplete_and_nothing_more():
    baseline = baseline_of(numeric("x", np.arange(100.0)), unknown("y", 100))
    window = document(unknown("x", 100), numeric("y", np.arange(100.0)))
    assert listed(decide(window, baseline)) == [("x", "completeness_check")]


@pytest.mark.parametrize("rules", ["sound", "sagemaker"])
def test_real_files_compared_with_themselves_are_clean(rules):
    folder = "model_monitor/dq_service_output/ox2025"
    statistics_file, constraints_file = (
        fixture(f"{folder}/{name}.json") for name in ("statistics", "constraints")
    )
    statistics = read_statistics(json_layout.loads(statistics_file.read_bytes(), "s"), "s")
    constraints = read_constraints(json_layout.loads(constraints_file.read_bytes(), "c"), "c")
    decision = check(statistics, Baseline(statistics, constraints), rules=rules)
    assert listed(decision) == []
    assert all(finding.distance == 0.0 for finding in decision.findings)
    assert len(decision.findings) >= 20
