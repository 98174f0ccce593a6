"""Decisions by both sets of rules: those recorded of the service, and what a change must raise."""

from __future__ import annotations

import json
import re
from typing import Any

import numpy as np
import pytest
from bias_tables import FAIR, baseline_of, facet, of_values, statistics
from fixtures import fixture
from hypothesis import given, settings
from hypothesis import strategies as st

from analyzers.bias.check import check
from analyzers.bias.comparison import limit_of
from analyzers.bias.pairing import same_group
from analyzers.bias.resampling import to_scale
from analyzers.bias.suggest import suggest
from contract.analyzer import Baseline, Decision
from contract.documents.bias import BiasBaseline, BiasStatistics, MetricValue, read_constraints
from contract.documents.violations import violations_to_json

CASES = ("endpoint_json", "clarify_check_data_bias_good", "clarify_check_data_bias_bad")
# The minority of FAIR with half of its positive predictions taken away.
HALVED = [FAIR[0], [[450, 50], [260, 140]]]


def names(decision: Decision) -> list[str]:
    return [violation.metric_name or "" for violation in decision.violations.violations]


def notes(decision: Decision) -> str:
    return "\n".join(decision.notes)


def recorded(case: str) -> dict[str, Any]:
    cases = json.loads(fixture("clarify/bias_drift_aws_cases.json").read_text())["cases"]
    return next(one for one in cases if one["name"] == case)


def constraints_json(before: BiasStatistics) -> dict[str, Any]:
    document: dict[str, Any] = {"version": "1.0"}
    for member, stage in (("post_training_bias_metrics", "post"), ("pre_training_bias_metrics", "pre")):
        facets: dict[str, Any] = {}
        for one in before.facets:
            metrics = one.post if stage == "post" else one.pre
            if metrics is not None:
                values = [{"name": m.name, "description": "", "value": m.value} for m in metrics]
                facets.setdefault(one.facet, []).append(
                    {"value_or_threshold": one.value_or_threshold, "metrics": values}
                )
        if facets:
            document[member] = {"label": "Target", "facets": facets, "label_value_or_threshold": "1"}
    return document


# --- rules=sagemaker ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", CASES)
def test_recorded_decisions_are_reproduced(name: str) -> None:
    case = recorded(name)
    group = case["facet_value"]
    before = of_values(case["baseline"], case["facet"], group)
    window = of_values(case["current_smclarify"], case["facet"], group)
    baseline: BiasBaseline = Baseline(None, read_constraints(constraints_json(before), "analysis.json"))
    decision = check(window, baseline, rules="sagemaker")
    assert names(decision) == case["violated_metrics"]
    if "aws_violations" not in case:
        return
    document = violations_to_json(decision.violations)
    assert document["version"] == case["aws_violations"]["version"]
    number = re.compile(r"-?(?:\d[\d.e-]*|Infinity)")
    for ours, theirs in zip(document["violations"], case["aws_violations"]["violations"], strict=True):
        said, recorded_text = ours.pop("description"), theirs.pop("description")
        assert ours == theirs
        # The service's own sums differ from the reference's in the last digit now and then.
        assert number.sub("#", said) == number.sub("#", recorded_text)
        values, recorded_values = ([float(v) for v in number.findall(t)] for t in (said, recorded_text))
        assert values == pytest.approx(recorded_values, rel=1e-14)


def test_recorded_decisions_of_json_lines() -> None:
    path = "clarify/aws_notebook_outputs/bias_batch_jsonl_violations.json"
    violations = json.loads(fixture(path).read_text())["violations"]
    found = re.compile(r"Metric value (\S+) doesn't meet the baseline constraint requirement (\S+)")
    pairs = {one["metric_name"]: found.fullmatch(one["description"]) for one in violations}
    current, before = ({name: float(m[i]) for name, m in pairs.items() if m} for i in (1, 2))
    baseline: BiasBaseline = Baseline(
        None, read_constraints(constraints_json(of_values({"post": before})), "analysis.json")
    )
    decision = check(of_values({"post": current}), baseline, rules="sagemaker")
    assert violations_to_json(decision.violations) == {"violations": violations, "version": "1.0"}


@pytest.mark.parametrize(
    ("current", "before", "violated"),
    [
        (0.2, 0.1, True),
        (-0.2, 0.1, True),
        (0.1, 0.1, False),
        (-0.1, 0.1, False),
        (float("inf"), 3.0, True),
        (float("-inf"), 3.0, True),
        (float("inf"), float("inf"), False),
        (5.0, float("-inf"), False),
        (None, 0.1, False),
        (0.1, None, False),
    ],
)
def test_sizes_decide_under_sagemaker_rules(current: Any, before: Any, violated: bool) -> None:
    baseline: BiasBaseline = Baseline(None, suggest(of_values({"post": {"TE": before}}), None))
    decision = check(of_values({"post": {"TE": current}}), baseline, rules="sagemaker")
    assert bool(names(decision)) == violated
    assert ("not checked: TE" in notes(decision)) == (current is None or before is None)


def test_sagemaker_rules_do_not_use_what_a_user_allows() -> None:
    baseline = baseline_of(statistics(facet(FAIR)), DI={"allowed": [0.0, 9.0]})
    decision = check(statistics(facet(FAIR)), baseline, rules="sagemaker")
    assert not names(decision)
    assert "allowed and threshold are not used: DI" in notes(decision)


@pytest.mark.parametrize("rules", ["sound", "sagemaker"])
def test_nothing_to_compare_with_is_said(rules: Any) -> None:
    window = statistics(facet(FAIR))
    other = baseline_of(statistics(facet(FAIR, "Age", "1")))
    decision = check(window, other, rules=rules)
    assert not names(decision)
    assert "does not know the group Sex = 0" in notes(decision)
    assert "groups of the baseline, or no metrics of them: Age = 1" in notes(decision)
    empty = check(window, Baseline(), rules=rules)
    assert "no constraints" in notes(empty)


# --- pairing -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("first", "second", "same"),
    [
        ("0", "0", True),
        ("0", "1", False),
        ("a,b", "b,a", True),
        ("a,b", "a", False),
        ("(100.0, 2279.0]", "(100.0, 2100.5]", True),
        ("(100, 2279]", "(100.0, 2100.5]", True),
        ("(90.0, 2279.0]", "(100.0, 2279.0]", False),
        # A threshold above the maximum is printed as the upper end.
        ("(100.0, 2279.0]", "(80.0, 100.0]", True),
        ("(1, b]", "(1, c]", False),
        ("0", "(0, 1]", False),
    ],
)
def test_groups_pair_by_value_and_by_threshold(first: str, second: str, same: bool) -> None:
    assert same_group(first, second) == same
    assert same_group(second, first) == same


@pytest.mark.parametrize("rules", ["sound", "sagemaker"])
def test_intervals_with_another_maximum_are_compared(rules: Any) -> None:
    baseline = baseline_of(statistics(facet(FAIR, "Age", "(40, 75]")))
    decision = check(statistics(facet(HALVED, "Age", "(40, 81]")), baseline, rules=rules)
    assert {"DPPL", "RD"} <= set(names(decision))
    assert decision.violations.violations[0].extra["facet_value"] == "(40, 81]"


# --- rules=sound -------------------------------------------------------------------------------------------


def test_a_window_like_the_baseline_raises_nothing() -> None:
    decision = check(statistics(facet(FAIR)), baseline_of(statistics(facet(FAIR))), rules="sound")
    assert not names(decision)
    assert not decision.notes
    assert all(not finding.violated for finding in decision.findings)


def test_half_the_selection_rate_is_found() -> None:
    decision = check(statistics(facet(HALVED)), baseline_of(statistics(facet(FAIR))), rules="sound")
    assert {"DPPL", "DI", "RD", "DCA"} <= set(names(decision))
    assert not {"DPL", "CI", "KL"} & set(names(decision))


def test_a_small_di_is_worse_by_sound_rules_only() -> None:
    before, after = (
        [[[800, 1200], [0, 0]], [[300, 100], [0, 0]]],
        [[[800, 1200], [0, 0]], [[380, 20], [0, 0]]],
    )
    baseline = baseline_of(statistics(facet(before)))
    window = statistics(facet(after))
    assert "DI" in names(check(window, baseline, rules="sound"))
    assert "DI" not in names(check(window, baseline, rules="sagemaker"))


def test_bias_of_the_same_size_the_other_way_is_no_violation() -> None:
    rest, group = [[600, 400], [0, 0]], [[400, 600], [0, 0]]
    baseline = baseline_of(statistics(facet([rest, group])))
    flipped = check(statistics(facet([group, rest])), baseline, rules="sound")
    assert not names(flipped)
    larger = [[[300, 700], [0, 0]], [[700, 300], [0, 0]]]
    assert "DPPL" in names(check(statistics(facet(larger)), baseline, rules="sound"))


def test_forms_of_the_same_number_are_decided_alike() -> None:
    worse = [FAIR[0], [[650, 50], [60, 140]]]
    found = names(check(statistics(facet(worse)), baseline_of(statistics(facet(FAIR))), rules="sound"))
    assert {"DPL", "KS", "LP", "TVD"} <= set(found)


def test_a_clarify_baseline_is_exact() -> None:
    small = statistics(facet([[[90, 20], [10, 80]], [[45, 10], [5, 40]]]))
    window = statistics(facet([[[900, 200], [100, 800]], [[480, 40], [120, 360]]]))
    with_counts = check(window, baseline_of(small), rules="sound")
    exact = check(window, baseline_of(small, with_statistics=False), rules="sound")
    assert "taken as exact" in notes(exact)
    assert "taken as exact" not in notes(with_counts)
    assert set(names(with_counts)) < set(names(exact))


def test_intervals_in_the_constraints_carry_their_error() -> None:
    small = [[[90, 20], [10, 80]], [[45, 10], [5, 40]]]
    window = statistics(facet([[[900, 200], [100, 800]], [[480, 40], [120, 360]]]))
    with_intervals = baseline_of(statistics(facet(small, intervals=True)), with_statistics=False)
    exact = baseline_of(statistics(facet(small)), with_statistics=False)
    by_intervals = check(window, with_intervals, rules="sound")
    assert "taken as exact" not in notes(by_intervals)
    assert not names(by_intervals)
    assert names(check(window, exact, rules="sound"))


@pytest.mark.parametrize("value", [0.3, -0.3, float("inf")])
def test_a_limit_that_nothing_can_be_beyond(value: float) -> None:
    metric = MetricValue("TE", "", value)
    assert (limit_of(metric, None) is None) == (value == float("inf"))
    assert limit_of(MetricValue("DI", "", 0.0), None) is None


def test_a_range_and_a_threshold_of_ones_own_are_exact_limits() -> None:
    window = statistics(facet(HALVED))
    before, before_halved = statistics(facet(HALVED)), statistics(facet(FAIR))
    four_fifths = baseline_of(before, DI={"allowed": [0.8, 1.25]})
    decision = check(window, four_fifths, rules="sound")
    assert names(decision) == ["DI"]
    assert decision.violations.violations[0].description.endswith(
        "doesn't meet the baseline constraint requirement [0.8, 1.25]"
    )
    assert names(check(window, baseline_of(before, DI={"threshold": 0.8}), rules="sound")) == ["DI"]
    wide: dict[str, Any] = {name: {"threshold": 9.0} for name in METRIC_NAMES}
    assert not set(names(check(window, baseline_of(before_halved, **wide), rules="sound"))) - {"DI"}


METRIC_NAMES = ("DPPL", "RD", "SD", "DCA", "DCR", "DAR", "DRR", "AD", "TE", "GE", "CI", "DPL", "KL")


def test_the_flip_test_is_held_to_a_limit_of_ones_own_only() -> None:
    def with_flips(value: float) -> BiasStatistics:
        one = facet(FAIR)
        assert one.post is not None
        one.post.append(MetricValue("FT", "Flip Test (FT)", value))
        return statistics(one)

    before, window = with_flips(0.01), with_flips(-0.2)
    unlimited = check(window, baseline_of(before), rules="sound")
    assert not names(unlimited)
    assert "FT has no interval" in notes(unlimited)
    limited = check(window, baseline_of(before, FT={"threshold": 0.1}), rules="sound")
    assert names(limited) == ["FT"]
    assert "80 with" not in limited.violations.violations[0].description
    assert "180 more are predicted negative" in limited.violations.violations[0].description


def test_small_groups_are_not_decided_and_say_what_they_need() -> None:
    window = statistics(facet([[[300, 80], [100, 200]], [[12, 1], [1, 6]]]))
    decision = check(window, baseline_of(statistics(facet(FAIR))), rules="sound")
    assert "DPPL" not in names(decision)
    said = notes(decision)
    assert "Sex = 0: of 700 rows too few are of the group" in said
    assert "DPPL" in said
    assert "(about 1,050)" in said  # 700 * 30 / 20
    few_before = check(
        statistics(facet(HALVED)),
        baseline_of(statistics(facet([[[30, 8], [10, 20]], [[12, 1], [1, 6]]]))),
        rules="sound",
    )
    assert "the baseline has too few rows of the group to decide" in notes(few_before)


def test_a_rate_of_few_rows_is_not_decided() -> None:
    # Plenty of rows, but six positive labels in the group.
    window = statistics(facet([[[3000, 750], [900, 2100]], [[700, 194], [6, 0]]]))
    decision = check(window, baseline_of(statistics(facet(FAIR))), rules="sound")
    assert "RD" not in names(decision)
    assert re.search(r"decide metrics that need more: .*RD", notes(decision))
    assert "DPL" in names(decision)


def test_without_labels_only_predictions_are_checked() -> None:
    window = statistics(facet([[[3900, 2850], [0, 0]], [[700, 200], [0, 0]]]))
    window.has_labels = False
    decision = check(window, baseline_of(statistics(facet(FAIR))), rules="sound")
    assert set(names(decision)) == {"DI", "DPPL"}
    assert "No row has a label" in notes(decision)


def test_generalized_entropy_is_reported_once() -> None:
    worse = [[[2400, 1350], [1500, 1500]], [[320, 180], [200, 200]]]
    mirrored = [worse[1], worse[0]]
    before = statistics(facet(FAIR), facet([FAIR[1], FAIR[0]], group="1"))
    window = statistics(facet(worse), facet(mirrored, group="1"))
    assert names(check(window, baseline_of(before), rules="sound")).count("GE") == 1
    assert names(check(window, baseline_of(before), rules="sagemaker")).count("GE") == 2


def test_undefined_and_infinite_values_are_noted() -> None:
    no_false_positives = [FAIR[0], [[500, 0], [120, 280]]]
    baseline = baseline_of(statistics(facet(no_false_positives)))
    decision = check(statistics(facet(FAIR)), baseline, rules="sound")
    assert "TE" in notes(decision)
    infinite = check(
        statistics(facet(no_false_positives)), baseline_of(statistics(facet(FAIR))), rules="sound"
    )
    assert "TE" in names(infinite)
    text = next(v.description for v in infinite.violations.violations if v.metric_name == "TE")
    assert "Metric value Infinity doesn't" in text


def test_what_was_never_defined_is_not_noted() -> None:
    def without_strata(value: float | None) -> BiasStatistics:
        one = facet(FAIR)
        assert one.pre is not None
        one.pre.append(MetricValue("CDDL", "", value))
        return statistics(one)

    never = check(without_strata(None), baseline_of(without_strata(None)), rules="sound")
    assert not never.notes
    no_more = check(without_strata(None), baseline_of(without_strata(0.1)), rules="sound")
    assert "not checked" in notes(no_more)


def test_many_small_groups_have_few_notes() -> None:
    small = [facet([[[300, 80], [100, 200]], [[12, 1], [1, 6]]], "City", str(city)) for city in range(40)]
    decision = check(statistics(*small), baseline_of(statistics(*small)), rules="sound")
    assert len(decision.notes) < 15
    assert "30 more cases" in notes(decision)


@pytest.mark.parametrize(
    ("allowed", "violated"),
    [([0.0, 1.25], False), ([0.0, 0.5], True), ([0.8, "Infinity"], True), ([0.3, "Infinity"], False)],
)
def test_ranges_may_be_open(allowed: list[Any], violated: bool) -> None:
    window = statistics(facet(HALVED)) if allowed[1] != 0.5 else statistics(facet(FAIR))
    baseline = baseline_of(statistics(facet(HALVED)), DI={"allowed": allowed})
    assert ("DI" in names(check(window, baseline, rules="sound"))) == violated


def test_small_strata_do_not_move_the_disparity() -> None:
    generator = np.random.default_rng(3)
    shares = np.array([[[0.5, 0.15], [0.05, 0.2]], [[0.05, 0.02], [0.005, 0.025]]]).ravel()
    before = generator.multinomial(20_000, np.repeat(shares[None] / 8, 8, axis=0).ravel() / shares.sum())
    few = generator.multinomial(400, np.repeat(shares[None] / 80, 80, axis=0).ravel() / shares.sum())
    many, window = before.reshape(8, 2, 2, 2), few.reshape(80, 2, 2, 2)
    baseline = baseline_of(statistics(facet(many.sum(axis=0), strata=many)))
    decision = check(statistics(facet(window.sum(axis=0), strata=window)), baseline, rules="sound")
    assert not {"CDDL", "CDDPL"} & set(names(decision))
    assert "too many groups of the group variable have only one outcome" in notes(decision)


def test_the_four_fifths_line_is_a_finding() -> None:
    window = statistics(facet(HALVED, intervals=True))
    decision = check(window, baseline_of(statistics(facet(HALVED))), rules="sound")
    assert not names(decision)
    lines = [finding.text for finding in decision.findings if "four-fifths" in finding.text]
    assert len(lines) == 1
    assert "at the others' rate" in lines[0]
    assert lines[0] in decision.notes
    violated = check(window, baseline_of(statistics(facet(FAIR))), rules="sound")
    assert "four-fifths" not in notes(violated)  # said by the violation of DI
    fair = check(statistics(facet(FAIR, intervals=True)), baseline_of(statistics(facet(FAIR))), rules="sound")
    assert not any("four-fifths" in finding.text for finding in fair.findings)


def test_a_smaller_share_of_errors_needs_a_larger_change() -> None:
    slightly = [FAIR[0], [[420, 80], [165, 235]]]
    baseline = baseline_of(statistics(facet(FAIR)))
    full = names(check(statistics(facet(slightly)), baseline, rules="sound", error_share=20.0))
    share = names(check(statistics(facet(slightly)), baseline, rules="sound", error_share=1e-6))
    assert set(share) < set(full)


CELLS = st.lists(st.integers(0, 4_000), min_size=8, max_size=8)


def table(cells: list[int]) -> list[list[list[int]]]:
    return [[cells[:2], cells[2:4]], [cells[4:6], cells[6:]]]


@given(CELLS, CELLS)
@settings(max_examples=10, deadline=None)
def test_sound_violations_are_larger_than_their_limit(before: list[int], after: list[int]) -> None:
    known, window = statistics(facet(table(before))), statistics(facet(table(after)))
    decision = check(window, baseline_of(known), rules="sound")
    for name in names(decision):
        metric, limit = window.facets[0].metric(name), known.facets[0].metric(name)
        assert metric is not None
        assert limit is not None
        assert abs(to_scale(name, float(metric.value))) > abs(to_scale(name, float(limit.value)))
    json.dumps(violations_to_json(decision.violations), allow_nan=False)


@given(CELLS)
@settings(max_examples=30, deadline=None)
def test_a_window_that_is_its_own_baseline_holds(cells: list[int]) -> None:
    window = statistics(facet(table(cells)))
    for with_statistics in (True, False):
        for rules in ("sound", "sagemaker"):
            baseline = baseline_of(window, with_statistics=with_statistics)
            assert not names(check(window, baseline, rules=rules))


def test_the_order_of_groups_plays_no_part() -> None:
    groups = [facet(HALVED, "Sex", "0"), facet([HALVED[1], HALVED[0]], "Sex", "1"), facet(FAIR, "Age", "9")]
    before = [facet(FAIR, "Sex", "0"), facet([FAIR[1], FAIR[0]], "Sex", "1"), facet(FAIR, "Age", "9")]
    found = [
        {
            (v.metric_name, v.extra["facet"], v.extra["facet_value"], v.description)
            for v in check(
                statistics(*one), baseline_of(statistics(*two)), rules="sound"
            ).violations.violations
        }
        for one, two in ((groups, before), (groups[::-1], before), (groups, before[::-1]))
    ]
    assert found[0] == found[1] == found[2]
    assert {facet_value for _, _, facet_value, _ in found[0]} == {"0", "1"}


def test_the_same_seed_gives_the_same_decision() -> None:
    baseline = baseline_of(statistics(facet(FAIR)))
    first, again = (check(statistics(facet(HALVED)), baseline, rules="sound", seed=4) for _ in range(2))
    assert first == again


# --- constraints -------------------------------------------------------------------------------------------


def test_what_a_user_added_is_carried_over() -> None:
    before = statistics(facet(FAIR), facet(FAIR, "Age", "(40, 75]"))
    baseline = baseline_of(before, DI={"allowed": [0.8, 1.25], "why": "law"}, DPL={"threshold": 0.1})
    window = statistics(facet(HALVED), facet(HALVED, "Age", "(40, 90]"))
    kept = suggest(window, baseline)
    assert kept.post is not None
    assert kept.pre is not None
    for groups in kept.post.facets.values():
        metric = groups[0].metric("DI")
        assert metric is not None
        assert (metric.allowed, metric.extra) == ((0.8, 1.25), {"why": "law"})
        assert metric.value == pytest.approx((190 / 900) / (2850 / 6750))
    disparity = kept.pre.facets["Age"][0].metric("DPL")
    assert disparity is not None
    assert disparity.threshold == 0.1
    plain = suggest(window, baseline, sound=False)
    assert plain.post is not None
    metric = plain.post.facets["Sex"][0].metric("DI")
    assert metric is not None
    assert metric.allowed is None
