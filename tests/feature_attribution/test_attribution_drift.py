"""Drift of attributions: NDCG against recorded cases and scikit-learn, and decisions with chance granted."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from fixtures import fixture
from hypothesis import given
from hypothesis import strategies as st
from refusals import refused
from sentences import says
from sklearn.metrics import ndcg_score

from analyzers.feature_attribution.analyzer import AttributionChecker
from analyzers.feature_attribution.check_sound import (
    Attributions,
    half_widths,
    ndcg,
    ndcg_beyond_noise,
    ndcg_error,
    size_change,
)
from analyzers.feature_attribution.documents import (
    AttributionConstraints,
    AttributionStatistics,
    Explained,
    LabelAttributions,
    SamplingDesign,
)
from contract.api import Baseline, Decision, State
from contract.errors import DocumentError, wording

sizes = st.lists(st.floats(0.001, 10.0), min_size=2, max_size=12)


def label(values: dict[str, float | None], error: float = 0.0, **members: Any) -> LabelAttributions:
    errors = {name: error for name, value in values.items() if value is not None} if error else {}
    return LabelAttributions(values, 0.5, standard_errors=errors, **members)


def decide(
    baseline: dict[str, LabelAttributions],
    live: dict[str, LabelAttributions],
    rules: Any = "sound",
    drift_limit: float | None = None,
    **design: Any,
) -> Decision:
    return AttributionChecker(rules, drift_limit).check(
        AttributionStatistics(live, Explained(rows=500, rows_read=500), SamplingDesign(**design)),
        Baseline(None, AttributionConstraints(baseline)),
    )


def kinds(decision: Decision) -> list[str]:
    return [violation.constraint_check_type for violation in decision.violations.violations]


def test_ndcg_is_that_of_the_recorded_cases() -> None:
    cases = json.loads(fixture("clarify/ndcg_cases.json").read_text(encoding="utf-8"))["cases"]
    assert len(cases) == 41
    for case in cases:
        score = ndcg(np.array(case["baseline"]), np.array(case["live"]))
        assert score == pytest.approx(case["ndcg"], abs=1e-12)
        assert (score < 0.9) == case["violation_at_0.9"]


def test_the_guides_example() -> None:
    assert round(ndcg(np.array([0.7, 0.5, 0.05]), np.array([0.1, 0.2, 0.7])), 5) == 0.68764


@given(sizes, st.integers(0, 2**32))
def test_ndcg_is_scikit_learns_where_no_two_are_equal(values: list[float], seed: int) -> None:
    baseline = np.array(values)
    live = np.random.default_rng(seed).permutation(baseline.size) + 1.0
    assert ndcg(baseline, live) == pytest.approx(ndcg_score([baseline], [live]), abs=1e-9)


@given(sizes, sizes)
def test_granting_chance_only_ever_raises_the_score(first: list[float], second: list[float]) -> None:
    count = min(len(first), len(second))
    baseline, live = np.array(first[:count]), np.array(second[:count])
    exact = ndcg_beyond_noise(baseline, live, np.zeros(count))
    assert exact == pytest.approx(ndcg(baseline, live), abs=1e-12)
    scores = [ndcg_beyond_noise(baseline, live, np.full(count, width)) for width in (0.0, 0.1, 100.0)]
    assert scores[0] - 1e-12 <= scores[1] <= 1.0 + 1e-12
    assert scores[2] == pytest.approx(1.0, abs=1e-12)


@given(sizes, st.integers(0, 2**32))
def test_values_within_their_widths_have_not_drifted(values: list[float], seed: int) -> None:
    baseline = np.array(values)
    widths = 0.2 * baseline
    moved = baseline + widths * np.random.default_rng(seed).uniform(-1.0, 1.0, baseline.size)
    assert ndcg_beyond_noise(baseline, 3.0 * moved, 3.0 * widths) == pytest.approx(1.0, abs=1e-12)


def test_the_error_of_ndcg_is_its_spread() -> None:
    values = np.array([1.0, 0.9, 0.1])
    exact = Attributions(values, np.zeros(3), 2.0, 0.0)
    noisy = Attributions(values, np.full(3, 0.2), 2.0, 0.3)
    assert ndcg_error(exact, exact, np.random.default_rng(0)) == 0.0
    assert 0.005 < ndcg_error(exact, noisy, np.random.default_rng(0)) < 0.1


def test_few_rows_widen_what_chance_may_do() -> None:
    side = Attributions(np.ones(2), np.full(2, 0.1), 2.0, 0.2, rows=1000)
    few = Attributions(np.ones(2), np.full(2, 0.1), 2.0, 0.2, rows=10)
    exact = Attributions(np.ones(2), np.zeros(2), 2.0, 0.0)
    assert (half_widths(exact, few, 0.01) > 1.2 * half_widths(exact, side, 0.01)).all()


@given(st.floats(0.01, 10.0), st.floats(0.01, 10.0), st.floats(0.0, 1.0), st.floats(0.0, 1.0))
def test_the_nearest_ratio_lies_between_1_and_the_ratio(
    old: float, new: float, old_error: float, new_error: float
) -> None:
    change = size_change((old, old_error), (new, new_error), 3.0)
    assert change is not None
    low, high = sorted((1.0, change.ratio))
    assert low - 1e-9 <= change.nearest <= high + 1e-9


def test_sizes_of_nothing_do_not_change() -> None:
    assert size_change((0.0, 0.0), (0.0, 0.0), 3.0) is None
    appeared = size_change((0.0, 0.0), (1.0, 0.1), 3.0)
    assert appeared is not None
    assert appeared.nearest > 1e6


# Decisions


@pytest.mark.parametrize(("mean", "left"), [(0.5557, True), (0.25, False), (1.0, False), (None, False)])
def test_answers_that_are_labels_are_not_compared_with_scores(mean: float | None, left: bool) -> None:
    before = {"label0": replace(label({"a": 2.0, "b": 1.0}, 0.01), expected_value=mean)}
    explained, notes = Explained(rows=500, rows_read=500), (wording("attributions.hard"),)
    now = AttributionStatistics(before, explained, SamplingDesign(), notes)
    decision = AttributionChecker("sound").check(now, Baseline(None, AttributionConstraints(before)))
    order, *_ = (one.state for one in decision.comparisons if one.subject == "label0")
    assert order is (State.UNDECIDED if left else State.HOLDS)
    assert not left or decision.fails_gate


def test_no_change_is_no_violation() -> None:
    values = {"a": 0.5, "b": 0.3, "c": 0.1}
    for rules in ("sound", "sagemaker"):
        assert kinds(decide({"label0": label({**values})}, {"label0": label({**values})}, rules)) == []


def test_swapped_features_are_drift_in_the_originals_words() -> None:
    baseline, live = {"a": 0.7, "b": 0.5, "c": 0.05}, {"a": 0.1, "b": 0.2, "c": 0.7}
    decision = decide({"x": label({**baseline})}, {"x": label({**live})}, "sagemaker")
    [violation] = decision.violations.violations
    assert violation.description == "Feature attribution drift 0.6876396241226223 exceeds threshold 0.9"
    assert (violation.metric_name, violation.extra["label"]) == ("shap", "x")
    sound = decide({"x": label({**baseline}, 0.001)}, {"x": label({**live}, 0.001)})
    assert kinds(sound)[0] == "feature_attribution_drift_check"
    assert sound.violations.violations[0].description.startswith(violation.description + ": ")
    assert "c went from rank 3 to 1" in sound.violations.violations[0].description


def test_rank_changes_within_the_noise_are_not_counted() -> None:
    names = [f"f{number}" for number in range(16)]
    generator = np.random.default_rng(0)
    baseline = label(dict(zip(names, generator.uniform(0.0, 0.02, 16).tolist(), strict=True)), 0.01)
    live = label(dict(zip(names, generator.uniform(0.0, 0.02, 16).tolist(), strict=True)), 0.01)
    assert kinds(decide({"x": baseline}, {"x": live}, "sagemaker")) == ["feature_attribution_drift_check"]
    decision = decide({"x": baseline}, {"x": live})
    assert kinds(decision) == []
    assert any("explain more rows" in note for note in decision.notes)


def test_a_collapse_of_all_sizes_is_seen() -> None:
    baseline = label({"a": 0.5, "b": 0.3}, 0.01)
    live = label({"a": 0.005, "b": 0.003}, 0.0001)
    assert kinds(decide({"x": baseline}, {"x": live}, "sagemaker")) == []
    decision = decide({"x": baseline}, {"x": live})
    # Said once for all, not again for every feature.
    [violation] = decision.violations.violations
    assert violation.constraint_check_type == "feature_attribution_magnitude_check"
    assert violation.feature_name is None
    assert violation.description.startswith(
        "The attribution of all features together is 0.01 times the baseline's, and at most 0.01"
    )


def test_features_that_chance_lets_move_as_all_did_are_not_named_again() -> None:
    baseline, live = label({"a": 0.5, "b": 0.0}, 0.01), label({"a": 0.005, "b": 0.0}, 0.01)
    decision = decide({"x": baseline}, {"x": live})
    assert [violation.feature_name for violation in decision.violations.violations] == [None]


@pytest.mark.parametrize(
    ("rows", "baseline_rows", "state"),
    [(2, 500, "not_decided"), (29, 500, "not_decided"), (500, 29, "not_decided"), (30, 30, "holds")],
)
def test_of_a_few_rows_nothing_holds_and_a_collapse_is_found(
    rows: int, baseline_rows: int, state: str
) -> None:
    members = {"directions": {"a": 1.0, "b": 1.0}, "direction_errors": {"a": 0.01, "b": 0.01}}
    before = label({"a": 0.5, "b": 0.3}, 0.001, **members)
    known = Baseline(None, AttributionConstraints({"x": before}, SamplingDesign(rows=baseline_rows)))

    def decided(after: LabelAttributions) -> Decision:
        window = AttributionStatistics({"x": after}, Explained(rows=rows, rows_read=rows))
        return AttributionChecker("sound").check(window, known)

    assert {str(one.state) for one in decided(before).comparisons} == {state}
    lost = label({"a": 0.0, "b": 0.3}, 0.001, **members)
    assert "feature_attribution_magnitude_check" in kinds(decided(lost))


@pytest.mark.parametrize("before", [{"a": 0.5}, {"a": 0.5, "new": 0.0}, {"a": 0.5, "new": 1e-17}])
def test_a_feature_that_was_worth_nothing_is_said_in_words(before: dict[str, float | None]) -> None:
    decision = decide({"x": label(before)}, {"x": label({"a": 0.5, "new": 0.5})})
    texts = [one.description for one in decision.violations.violations]
    (text,) = (one for one in texts if "of new" in one)
    assert "appeared where there was none" in text
    assert says(text, "attributions.certain", limit=2)
    assert not any(character in " ".join(texts) for character in ("000000", "e+"))


@pytest.mark.parametrize(("before", "after"), [(0.5, 0.0), (0.0, 0.5)])
def test_a_model_that_became_constant_or_was(before: float, after: float) -> None:
    names = ("a", "b", "c")
    decision = decide(
        {"x": label(dict.fromkeys(names, before), 0.01)}, {"x": label(dict.fromkeys(names, after), 0.01)}
    )
    assert kinds(decision) == ["feature_attribution_magnitude_check"]


def test_a_feature_that_matters_rarely_may_have_no_row_in_a_small_window() -> None:
    before = label({"a": 0.5, "rare": 0.5})
    before = replace(before, standard_errors={"a": 0.01, "rare": 0.1})
    live = replace(label({"a": 0.5, "rare": 0.0}), standard_errors={"a": 0.03, "rare": 0.0})
    window = AttributionStatistics({"x": live}, Explained(rows=100, rows_read=100))
    known = Baseline(None, AttributionConstraints({"x": before}, SamplingDesign(rows=2_000)))
    unknown = Baseline(None, AttributionConstraints({"x": before}))
    assert kinds(AttributionChecker("sound").check(window, known)) == []
    assert kinds(AttributionChecker("sound").check(window, unknown)) != []


@pytest.mark.parametrize(("before", "after"), [(["a", "b"], None), (None, ["a", "b"])])
def test_features_that_one_side_does_not_ask_for_are_not_compared(
    before: list[str] | None, after: list[str] | None
) -> None:
    values = {"a": 0.4, "b": 0.3, "c": 0.3}
    sides = [
        {"x": label({name: values[name] for name in asked or values}, 0.001)} for asked in (before, after)
    ]
    window = AttributionStatistics(
        sides[1], Explained(rows=500, rows_read=500), SamplingDesign(rows=500, features_to_explain=after)
    )
    known = AttributionConstraints(sides[0], SamplingDesign(rows=500, features_to_explain=before))
    decision = AttributionChecker("sound").check(window, Baseline(None, known))
    assert kinds(decision) == []
    assert any("features_to_explain leaves 'c' out" in note for note in decision.notes)
    lost = [one.subject for one in decision.comparisons if one.lost]
    assert lost == ([] if after is None else ["c"])


@pytest.mark.parametrize(
    ("error", "rows", "told"), [(0.01, 500, True), (math.inf, 500, False), (0.01, 1, False)]
)
def test_directions_are_decided_where_their_errors_would_tell(error: float, rows: int, told: bool) -> None:
    members = {"directions": {"a": 1.0}, "direction_errors": {"a": 0.01 if rows > 1 else 2.0}}
    before, after = (label({"a": 0.5}, value, **members) for value in (error, 0.01))
    window = AttributionStatistics({"x": after}, Explained(rows=rows, rows_read=rows))
    decision = AttributionChecker("sound").check(
        window, Baseline(None, AttributionConstraints({"x": before}, SamplingDesign(rows=500)))
    )
    states = {one.check: str(one.state) for one in decision.comparisons if one.subject == "a"}
    assert states["feature_attribution_direction_check"] == ("holds" if told else "not_decided")


def test_a_feature_that_lost_its_weight_is_seen_where_the_order_hardly_changes() -> None:
    baseline = label({"a": 0.4, "b": 0.35, "c": 0.25}, 0.001)
    live = label({"a": 0.02, "b": 0.35, "c": 0.25}, 0.001)
    decision = decide({"x": baseline}, {"x": live})
    assert kinds(decision) == ["feature_attribution_magnitude_check"]
    assert decision.violations.violations[0].feature_name == "a"


def test_thresholds_come_from_the_settings_then_the_baseline() -> None:
    baseline = {"a": 0.7, "b": 0.5, "c": 0.05}
    live = {"x": label({"a": 0.5, "b": 0.6, "c": 0.05}, 0.001)}
    assert kinds(decide({"x": label({**baseline})}, live)) == []
    strict = {"x": label({**baseline}, drift_threshold=0.99)}
    assert kinds(decide(strict, live)) == ["feature_attribution_drift_check"]
    assert kinds(decide(strict, live, drift_limit=0.5)) == []
    # The originals know one threshold.
    assert kinds(decide(strict, live, "sagemaker")) == []


def test_magnitudes_can_be_left_unchecked() -> None:
    baseline = {"x": label({"a": 0.5}, magnitude_threshold=0.0)}
    assert kinds(decide(baseline, {"x": label({"a": 50.0})})) == []


def test_the_only_labels_belong_together_whatever_they_are_called() -> None:
    decision = decide({"0.7956783771514893": label({"a": 1.0})}, {"label0": label({"a": 1.0})})
    assert (kinds(decision), decision.findings[0].subject) == ([], "label0")


def test_places_among_other_numbers_of_scores_are_not_compared() -> None:
    one, two = ({f"label{place}": label({"a": 1.0}) for place in range(count)} for count in (1, 2))
    for baseline, window in ((one, two), (two, one)):
        with refused(DocumentError, "attributions.other_labels"):
            decide(baseline, window)
    assert kinds(decide(two, two)) == []


def test_labels_of_one_side_are_told() -> None:
    baseline = {"cat": label({"a": 1.0}), "dog": label({"a": 1.0})}
    decision = decide(baseline, {"cat": label({"a": 1.0}), "cow": label({"a": 1.0})})
    assert kinds(decision) == []
    assert any(note.startswith("The labels 'dog' of the baseline are not") for note in decision.notes)
    with pytest.raises(DocumentError) as error:
        decide(baseline, {"cow": label({"a": 1.0})})
    assert error.value.code == "attributions.other_labels"


def test_features_that_come_and_go_count_as_unused_on_the_other_side() -> None:
    baseline = {"x": label({"gone": 0.8, "kept": 0.1, "third": 0.05})}
    live = {"x": label({"kept": 0.1, "third": 0.05, "new": 0.8})}
    decision = decide(baseline, live, "sagemaker")
    assert kinds(decision) == ["feature_attribution_drift_check"]
    for part in ("The features 'gone' of the baseline are gone", "The features 'new' are new"):
        assert any(note.startswith(part) for note in decision.notes)
    with pytest.raises(DocumentError) as error:
        decide(baseline, {"x": label({"other": 1.0})})
    assert error.value.code == "attributions.other_features"


def test_negative_values_count_by_their_size_and_undefined_ones_not_at_all() -> None:
    baseline = {"x": label({"a": -0.7, "b": 0.5, "c": None, "d": 0.0})}
    live = {"x": label({"a": -0.7, "b": 0.5, "c": 0.9, "d": 0.0})}
    for rules in ("sound", "sagemaker"):
        decision = decide(baseline, live, rules)
        assert kinds(decision) == []
        assert any(note.startswith("The features 'c' have no value for x") for note in decision.notes)


def test_a_baseline_that_attributes_nothing_has_no_order() -> None:
    for rules in ("sound", "sagemaker"):
        decision = decide({"x": label({"a": 0.0, "b": 0.0})}, {"x": label({"a": 0.0, "b": 0.0})}, rules)
        assert kinds(decision) == []
        assert any("attributes nothing" in note for note in decision.notes)


def test_values_in_other_units_are_refused() -> None:
    before = AttributionConstraints({"x": label({"a": 1.0})}, SamplingDesign(agg_method="median"))
    window = AttributionStatistics(
        {"x": label({"a": 1.0})}, Explained(rows=1, rows_read=1), SamplingDesign(agg_method="mean_abs")
    )
    with pytest.raises(DocumentError) as error:
        AttributionChecker("sound").check(window, Baseline(None, before))
    assert error.value.code == "attributions.other_design"


def test_another_reference_is_told() -> None:
    live = {"x": LabelAttributions({"a": 1.0}, 0.7)}
    assert any(
        "The expected value of x is 0.7, but 0.5" in note
        for note in decide({"x": label({"a": 1.0})}, live).notes
    )


def test_features_in_another_order_are_told() -> None:
    baseline = {"x": label({"age": 1.0, "gone": 0.1, "income": 0.5})}
    for features, told in (
        ({"income": 0.5, "age": 1.0}, True),
        ({"age": 1.0, "income": 0.5, "new": 0.1}, False),
    ):
        notes = decide(baseline, {"x": label(dict(features))}).notes
        assert (
            any("in the order 'age', 'income', the window has 'income', 'age'" in note for note in notes)
            is told
        )


def test_changes_beyond_their_limit_that_may_be_chance_are_not_decided() -> None:
    baseline = label({"a": 0.5, "b": 0.3, "c": 0.1}, 0.1, directions={"b": 1.0}, direction_errors={"b": 0.3})
    members = {"directions": {"b": -0.2}, "direction_errors": {"b": 0.3}}
    decision = decide({"x": baseline}, {"x": label({"a": 0.05, "b": 0.3, "c": 0.4}, 0.1, **members)})
    assert kinds(decision) == []
    states = {(one.subject, one.check.split("_")[2]): str(one.state) for one in decision.comparisons}
    left_open = [("x", "drift"), ("a", "magnitude"), ("c", "magnitude"), ("b", "direction")]
    assert {states[one] for one in left_open} == {"not_decided"}
    assert states["x total", "magnitude"] == states["b", "magnitude"] == "holds"
