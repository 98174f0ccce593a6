"""Decisions by statistics: each check, its limits, and what it says."""

import numpy as np
import pyarrow as pa
import pytest
from hand_made import ROWS, baseline_of, check, document, listed, normal, numeric, only, text, unknown
from sentences import says

from analyzers.data_quality.analyzer import DataQualityAnalyzer
from analyzers.data_quality.check_sound import _tarone
from analyzers.data_quality.limits import suggest
from contract.api import Baseline, State
from contract.errors import DocumentError
from contract.wording import chance

# --- types


@pytest.mark.parametrize(
    ("expected_integral", "types", "violates"),
    [
        (True, {"Integral": 3000, "IntegralValued": 2000}, False),
        (True, {"Integral": 4950, "Fractional": 50}, True),
        (True, {"Integral": 4999, "Fractional": 1}, False),
        (False, {"Integral": 3000, "IntegralValued": 1000, "Fractional": 1000}, False),
        (False, {"Fractional": 4950, "String": 50}, True),
        (False, {"Fractional": 4950, "NonFinite": 50}, True),
        (False, {"Fractional": 4999, "NonFinite": 1}, False),
        (True, {"Boolean": 5000}, True),
    ],
)
def test_types(expected_integral, types, violates):
    baseline = baseline_of(numeric("x", np.arange(ROWS), integral=expected_integral))
    decision = check(document(numeric("x", np.arange(ROWS), data_types=types)), baseline)
    assert listed(decision) == ([("x", "data_type_check")] if violates else [])
    if violates:
        kind = "Integral" if expected_integral else "Fractional"
        assert f"Expected data type: {kind}, Expected match: 100.0%" in only(decision).description


def test_one_cell_of_another_type_is_a_violation_where_somebody_asked_for_all():
    baseline = baseline_of(numeric("x", np.arange(ROWS)))
    window = document(numeric("x", np.arange(ROWS), data_types={"Fractional": 4999, "String": 1}))
    [found] = [one for one in check(window, baseline).comparisons if one.check == "data_type_check"]
    # Of two samples of this size, the window has the only such cell by chance in half of the cases.
    assert (found.state, found.p_value) == (State.HOLDS, pytest.approx(0.5, rel=1e-3))
    baseline.constraints.features[0].overrides = {"datatype_check_threshold": 1.0}
    assert listed(check(window, baseline)) == [("x", "data_type_check")]


@pytest.mark.parametrize("length", [1, 10])
def test_cells_of_another_type_that_a_small_baseline_missed_do_not_alarm(length):
    generator, alarms = np.random.default_rng(length), 0
    analyzer = DataQualityAnalyzer()

    def drawn(rows):
        values = np.where(generator.random(rows // length) < 0.004, "err", "7").repeat(length)
        return analyzer.describe(analyzer.summarize([pa.RecordBatch.from_pydict({"x": values})]))

    for _ in range(20):
        before = drawn(300)
        decision = analyzer.check(drawn(2_000), Baseline(before, analyzer.suggest(before, None)))
        alarms += ("x", "data_type_check") in listed(decision)
    assert alarms == 0


@pytest.mark.parametrize("expected", ["Fractional", "Integral"])
@pytest.mark.parametrize("threshold", [1.0, 0.95])
def test_a_type_that_somebody_set_is_exact_whatever_the_baseline_holds(expected, threshold):
    baseline = baseline_of(text("x", ["a", "b"] * 1_000), numeric("y", np.arange(ROWS) + 0.5))
    baseline.constraints.monitoring_config["datatype_check_threshold"] = threshold
    for feature in baseline.constraints.features:
        feature.inferred_type = "Integral" if feature.name == "y" else expected
    window = document(text("x", ["a", "b"] * 20), numeric("y", np.arange(ROWS) + 0.5))
    assert listed(check(window, baseline)) == [("x", "data_type_check"), ("y", "data_type_check")]


def test_text_that_was_numbers_before_and_nothing_is_unknown():
    digits = text("x", {"1": 3000, "2": 2000}, data_types={"Integral": 5000})
    baseline = baseline_of(digits, unknown("y", ROWS))
    values = np.repeat([1.0, 2.0], [3000, 2000])
    window = document(numeric("x", values, integral=True), text("y", ["a"] * ROWS))
    assert listed(check(window, baseline)) == []


def test_a_lowered_type_threshold_allows_for_chance():
    baseline = baseline_of(numeric("x", np.arange(1000), integral=True))
    baseline.constraints.monitoring_config["datatype_check_threshold"] = 0.99
    few = document(numeric("x", np.arange(1000), data_types={"Integral": 985, "Fractional": 15}))
    many = document(numeric("x", np.arange(1000), data_types={"Integral": 950, "Fractional": 50}))
    assert listed(check(few, baseline)) == []
    assert listed(check(many, baseline)) == [("x", "data_type_check")]


def test_infinities_that_the_baseline_had_are_no_violation():
    types = {"Fractional": 4990, "NonFinite": 10}
    baseline = baseline_of(numeric("x", np.arange(ROWS), data_types=types))
    window = document(numeric("x", np.arange(ROWS), data_types={"Fractional": 4985, "NonFinite": 15}))
    assert listed(check(window, baseline)) == []
    worse = document(numeric("x", np.arange(ROWS), data_types={"Fractional": 4900, "NonFinite": 100}))
    assert listed(check(worse, baseline)) == [("x", "data_type_check")]


def test_a_kind_of_cell_that_takes_the_place_of_another_is_a_violation():
    before = {"Fractional": 4900, "String": 80, "NonFinite": 20, "NegativeInfinite": 0}
    baseline = baseline_of(numeric("x", np.arange(ROWS), data_types=before))
    for kinds, violates in (
        ({"String": 75, "NonFinite": 25, "NegativeInfinite": 0}, False),
        ({"String": 50, "NonFinite": 0, "NegativeInfinite": 50}, True),
        ({"String": 0, "NonFinite": 100, "NegativeInfinite": 0}, True),
    ):
        window = document(numeric("x", np.arange(ROWS), data_types={"Fractional": 4900} | kinds))
        decision = check(window, baseline)
        assert listed(decision) == [("x", "data_type_check")] * violates
        if kinds["NegativeInfinite"]:
            told = only(decision).description
            assert "50 minus infinite" in told
            assert "80 String, 20 infinite" in told


def test_a_baseline_that_counted_infinities_together_is_compared_by_their_sum():
    baseline = baseline_of(numeric("x", np.arange(ROWS), data_types={"Fractional": 4900, "NonFinite": 100}))
    window = {"Fractional": 4900, "NonFinite": 50, "NegativeInfinite": 50}
    assert listed(check(document(numeric("x", np.arange(ROWS), data_types=window)), baseline)) == []


# --- completeness


def test_a_share_below_the_baselines_by_chance_is_no_violation():
    baseline = baseline_of(numeric("x", normal(rows=980), missing=20))
    assert listed(check(document(numeric("x", normal(rows=970), missing=30)), baseline)) == []
    decision = check(document(numeric("x", normal(rows=920), missing=80)), baseline)
    assert listed(decision) == [("x", "completeness_check")]
    then, sure = "20 of 1,000 were at the baseline", chance(1e-9)
    figures = {"observed": "92 %", "expected": "98 %", "missing": 80, "rows": 1_000}
    assert says(only(decision).description, "limits.missing", **figures, then=then, sure=sure)


def test_a_full_baseline_is_an_estimate_but_an_edited_limit_is_exact():
    baseline = baseline_of(numeric("x", normal(rows=20_000)))
    window = document(numeric("x", normal(rows=4_999), missing=1))
    assert listed(check(window, baseline)) == []
    assert listed(check(window, Baseline(None, baseline.constraints))) == [("x", "completeness_check")]
    baseline.constraints.features[0].completeness = 0.9
    loose = document(numeric("x", normal(rows=4_490), missing=510))
    assert listed(check(loose, baseline)) == []
    assert listed(check(document(numeric("x", normal(rows=4_300), missing=700)), baseline)) == [
        ("x", "completeness_check")
    ]


# --- categories


def test_room_for_unseen_categories_and_its_end():
    baseline = baseline_of(text("town", {"a": 12_000, "b": 8_000}))
    assert listed(check(document(text("town", {"a": 3_000, "b": 1_997, "c": 3})), baseline)) == []
    decision = check(document(text("town", {"a": 3_000, "b": 1_950, "c": 30, "d": 20})), baseline)
    assert listed(decision) == [("town", "categorical_values_check")]
    assert "such as 'c' (30), 'd' (20); chance would do this less than" in only(decision).description
    baseline.constraints.features[0].overrides = {"domain_content_threshold": 1.0}
    strict_window = document(text("town", {"a": 3_000, "b": 1_999, "c": 1}))
    strict = check(strict_window, baseline)
    assert listed(strict) == [("town", "categorical_values_check")]
    baseline.constraints.features[0].overrides = {}
    baseline.constraints.features[0].string_extra = {"monitoringConfigOverrides": {"min_domain_mass": 1.0}}
    assert listed(check(strict_window, baseline)) == [("town", "categorical_values_check")]


def test_values_spelt_otherwise_are_said():
    baseline = baseline_of(text("town", {"Aa": 12_000, "b": 8_000}))
    spelt = check(document(text("town", {"aa ": 3_000, "b": 1_950, "c": 50})), baseline)
    said = "such as 'aa ' (3000), 'c' (50), and 3,000 differ from known ones in letter case or in blanks"
    assert any(said in violation.description for violation in spelt.violations.violations)


def test_an_originals_file_leaves_room_until_an_expert_edits_it():
    statistics = document(text("town", {"a": 12_000, "b": 8_000}))
    baseline = Baseline(statistics, suggest(statistics, rules="sagemaker"))
    window = document(text("town", {"a": 3_000, "b": 1_997, "c": 3}))
    assert listed(check(window, baseline)) == []
    assert listed(check(window, Baseline(None, baseline.constraints))) == [
        ("town", "categorical_values_check")
    ]
    baseline.constraints.features[0].domains.append("d")
    assert listed(check(window, baseline)) == [("town", "categorical_values_check")]


def test_numbers_in_a_text_feature_are_compared_as_numbers():
    classes = {"Integral": 900, "String": 100}
    baseline = baseline_of(text("code", {"07": 500, "12": 400, "x": 100}, data_types=classes))
    steady = document(numeric("code", [7.0] * 600 + [12.0] * 400, integral=True))
    assert listed(check(steady, baseline)) == []
    moved = document(numeric("code", [7.0] * 600 + [13.0] * 400, integral=True))
    decision = check(moved, baseline)
    assert listed(decision) == [("code", "categorical_values_check")]
    assert "'13' (400)" in only(decision).description


def test_far_more_categories_than_the_domain_violate_a_closed_domain():
    baseline = baseline_of(text("town", {"a": 12_000, "b": 8_000}))
    window = document(text("town", {str(i): 1 for i in range(ROWS)}, listed=False))
    decision = check(window, baseline)
    assert listed(decision) == [("town", "categorical_values_check")]
    assert "About 5000 distinct values" in only(decision).description
    open_domain = baseline_of(text("town", {str(i): 1 for i in range(1000)}))
    assert listed(check(window, open_domain)) == []


# --- columns


def test_columns_are_named_and_the_others_still_checked():
    baseline = baseline_of(
        numeric("age", normal(rows=20_000)), text("Town", {"a": 20_000}), numeric("x", [1.0])
    )
    window = document(numeric("age", normal(2.0)), text("town", {"a": ROWS}), numeric("score", normal()))
    decision = check(window, baseline)
    assert listed(decision) == [
        ("Town", "missing_column_check"),
        ("x", "missing_column_check"),
        ("town", "extra_column_check"),
        ("score", "extra_column_check"),
        ("age", "baseline_drift_check"),
    ]
    first, second, third, *_ = (violation.description for violation in decision.violations.violations)
    assert first.startswith("Column 'Town' of the baseline")
    assert "called 'town'?" in first
    assert second.startswith("Column 'x' of the baseline")
    assert "called" not in second
    assert third.startswith("Column 'town' is not in the baseline")
    assert "did you mean 'Town'?" in third
    for description in (first, second, third):
        assert says(description, "expected_columns.counts", current=3, expected=3)


def test_a_wide_table_is_not_listed_column_by_column():
    baseline = baseline_of(*(numeric(f"c{i}", [1.0, 2.0]) for i in range(300)))
    decision = check(document(numeric("other", [1.0, 2.0])), baseline)
    assert len(decision.violations.violations) == 22
    assert decision.violations.violations[20].feature_name == "Missing columns"
    assert decision.violations.violations[20].description.startswith("280 further columns: ")


def test_a_feature_switched_off_may_be_absent():
    baseline = baseline_of(numeric("x", [1.0, 2.0]), numeric("y", [1.0, 2.0]))
    baseline.constraints.features[1].overrides = {"evaluate_constraints": "Disabled"}
    assert listed(check(document(numeric("x", [1.0, 2.0])), baseline)) == []


def test_columns_without_names():
    baseline = baseline_of(numeric("x", normal(rows=20_000)), text("y", {"a": 20_000}))
    features = [numeric("_c0", normal(1.0)), text("_c1", {"a": ROWS}), numeric("_c2", normal())]
    decision = check(document(*features[:2], positional=True), baseline)
    assert listed(decision) == [("x", "baseline_drift_check")]
    decision = check(document(*features, positional=True), baseline)
    assert listed(decision) == [("Extra columns", "extra_column_check")]
    assert "1 more column than" in only(decision).description
    assert "exclude_features_attribute" in only(decision).description
    reasons = {one.reason for one in decision.comparisons}
    assert reasons == {"the window lacks columns, or names to match them by"}


# --- configuration


@pytest.mark.parametrize(
    "overrides",
    [
        {"comparison_threshold": 0.9},
        {"distribution_constraints": {"perform_comparison": "Disabled"}},
        {"evaluate_constraints": "Disabled"},
    ],
)
def test_overrides_hold_for_one_feature(overrides):
    baseline = baseline_of(numeric("x", normal(rows=20_000)), numeric("y", normal(rows=20_000)))
    baseline.constraints.features[0].overrides = overrides
    window = document(numeric("x", normal(1.0)), numeric("y", normal(1.0)))
    assert listed(check(window, baseline)) == [("y", "baseline_drift_check")]


@pytest.mark.parametrize("overrides", [{}, {"categorical_comparison_threshold": 1.0}])
def test_drift_that_is_allowed_allows_no_missing_cells_and_no_unknown_values(overrides):
    baseline = baseline_of(numeric("x", normal(rows=1_000)), text("town", {"a": 600, "b": 400}))
    for feature in baseline.constraints.features:
        feature.overrides = {"comparison_threshold": 1.0} | overrides
    towns = text("town", {"a": 500, "b": 350, "c": 150})
    found = listed(check(document(numeric("x", normal(rows=850), missing=150), towns), baseline))
    assert sorted(found) == [("town", "categorical_values_check"), ("x", "completeness_check")]


def test_everything_switched_off_but_one_feature():
    baseline = baseline_of(numeric("x", normal(rows=20_000)), numeric("y", normal(rows=20_000)))
    baseline.constraints.monitoring_config["evaluate_constraints"] = "Disabled"
    window = document(numeric("x", normal(1.0)), numeric("y", normal(1.0)), numeric("z", normal()))
    decision = check(window, baseline)
    assert listed(decision) == []
    assert "Disabled" in decision.notes[0]
    baseline.constraints.features[1].overrides = {"evaluate_constraints": "Enabled"}
    assert listed(check(window, baseline)) == [("y", "baseline_drift_check")]


def test_an_unusable_override_names_the_feature():
    baseline = baseline_of(numeric("x", normal(rows=200)))
    baseline.constraints.features[0].overrides = {"comparison_threshold": "high"}
    with pytest.raises(DocumentError, match=r"'x'.*comparison_threshold"):
        check(document(numeric("x", normal())), baseline)


def test_findings_are_one_per_feature_worst_first():
    baseline = baseline_of(
        numeric("steady", normal(rows=20_000)),
        numeric("moved", normal(rows=20_000)),
        text("id", {"a": 20_000}, listed=False),
        numeric("gone", normal(rows=20_000)),
    )
    window = document(
        numeric("steady", normal(seed=1)),
        numeric("moved", normal(1.0, seed=2)),
        text("id", {"a": ROWS}, listed=False),
        unknown("gone", ROWS),
    )
    decision = check(window, baseline)
    assert [finding.subject for finding in decision.findings] == ["gone", "moved", "steady"]
    assert [finding.violated for finding in decision.findings] == [True, True, False]


def test_an_empty_window_is_clean():
    baseline = baseline_of(numeric("x", normal()))
    decision = check(document(), baseline)
    assert listed(decision) == []
    assert "no rows" in decision.notes[0]


def test_features_that_are_always_complete_take_no_share_of_the_budget():
    complete = [numeric(f"c{i}", normal(rows=299)) for i in range(200)]
    baseline = baseline_of(numeric("x", normal(rows=299)), *complete)
    window = [numeric(f"c{i}", normal(rows=320)) for i in range(200)]
    decision = check(document(numeric("x", normal(rows=310), missing=10), *window), baseline)
    assert ("x", "completeness_check") in listed(decision)


@pytest.mark.parametrize(
    ("smallest", "able"),
    [([1.0, 1.0], 1), ([0.0, 1.0], 1), ([0.0, 0.0, 1.0], 2), ([0.0] * 5, 5), ([0.0, 0.002], 2), ([], 1)],
)
def test_tarones_count(smallest, able):
    assert _tarone(smallest, 0.003) == pytest.approx(0.003 / able)


@pytest.mark.parametrize("rules", ["sound", "sagemaker"])
def test_statistics_of_another_table_are_refused(rules):
    constraints = baseline_of(numeric("x", normal())).constraints
    statistics = document(numeric("y", normal()))
    with pytest.raises(DocumentError) as refused:
        check(document(numeric("x", normal())), Baseline(statistics, constraints), rules=rules)
    assert refused.value.code == "data_quality_documents.other_features"
    assert "give baseline_statistics and baseline_constraints of one baseline job" in str(refused.value)
