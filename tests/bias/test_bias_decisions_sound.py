"""Decisions by sound rules: what a change must raise, and what chance must not."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
from bias_tables import COUNTS, FAIR, HALVED, baseline_of, check, facet, names, notes, statistics
from hypothesis import given
from sentences import says

from analyzers.bias.documents import BiasStatistics, MetricValue
from analyzers.bias.resampling import to_scale
from contract.api import Baseline, Decision
from contract.schema import write_document


def reason(decision: Decision, metric: str) -> str:
    """Return why a metric of the only group was not decided."""
    [found] = [one for one in decision.undecided if one.subject.split()[0] == metric]
    return found.reason


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


def test_bias_that_turned_round_is_a_violation_from_half_its_size_on() -> None:
    rest, group = [[600, 400], [0, 0]], [[400, 600], [0, 0]]
    baseline = baseline_of(statistics(facet([rest, group])))
    flipped = check(statistics(facet([group, rest])), baseline, rules="sound")
    assert {"DI", "DPPL"} <= set(names(flipped))
    fair = check(statistics(facet([[[480, 520], [0, 0]], [[520, 480], [0, 0]]])), baseline, rules="sound")
    assert not names(fair)


def test_a_group_that_is_gone_is_a_violation() -> None:
    baseline = baseline_of(statistics(facet(FAIR)))
    gone = check(statistics(facet([FAIR[0], [[0, 0], [0, 0]]])), baseline, rules="sound")
    assert names(gone) == ["rows_of_group"]
    assert gone.fails_gate
    every = check(statistics(facet([[[0, 0], [0, 0]], FAIR[1]])), baseline, rules="sound")
    assert names(every) == ["rows_of_group"]
    # Of so few rows all may be others by chance.
    few = check(statistics(facet([[[12, 3], [4, 8]], [[0, 0], [0, 0]]])), baseline, rules="sound")
    assert not names(few)
    # Without listed values each is a group: of one there is no row, of the other every one.
    each = baseline_of(statistics(facet(FAIR, "Sex", "0"), facet(FAIR[::-1], "Sex", "1")))
    rest = [[[0, 0], [0, 0]], FAIR[0]]
    found = check(statistics(facet(rest, "Sex", "1")), each, rules="sound").violations.violations
    assert {one.extra["facet_value"] for one in found} == {"0", "1"}
    # Another value of the same facet is asked for, and says nothing of this one.
    other = check(
        statistics(facet(FAIR, "Sex", "2")), baseline_of(statistics(facet(FAIR, "Sex", "0"))), rules="sound"
    )
    assert not names(other)


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
    other = statistics(facet([[[95, 21], [13, 84]], [[24, 11], [17, 59]]]))
    other_job = Baseline(other, baseline_of(small).constraints)
    assert says(check(window, other_job, rules="sound").notes, "baseline_files.other_job")
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


def test_small_groups_are_not_decided_and_say_what_they_need() -> None:
    window = statistics(facet([[[300, 80], [100, 200]], [[12, 1], [1, 6]]]))
    decision = check(window, baseline_of(statistics(facet(FAIR))), rules="sound")
    assert "DPPL" not in names(decision)
    # 700 * 30 / 20
    assert says(reason(decision, "DPPL"), "bias_notes.small", group="Sex = 0", rows=700, needed=1_050)
    few_before = check(
        statistics(facet(HALVED)),
        baseline_of(statistics(facet([[[30, 8], [10, 20]], [[12, 1], [1, 6]]]))),
        rules="sound",
    )
    assert says(reason(few_before, "DPPL"), "bias_notes.small_before", group="Sex = 0")


def test_a_rate_of_few_rows_is_not_decided() -> None:
    # Plenty of rows, but six positive labels in the group.
    window = statistics(facet([[[3000, 750], [900, 2100]], [[700, 194], [6, 0]]]))
    decision = check(window, baseline_of(statistics(facet(FAIR))), rules="sound")
    assert "RD" not in names(decision)
    assert "too few are of the group" in reason(decision, "RD")
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


def test_undefined_values_are_not_decided_and_infinite_ones_are() -> None:
    no_false_positives = [FAIR[0], [[500, 0], [120, 280]]]
    baseline = baseline_of(statistics(facet(no_false_positives)))
    decision = check(statistics(facet(FAIR)), baseline, rules="sound")
    assert reason(decision, "TE") == "the baseline has no finite value of TE"
    infinite = check(
        statistics(facet(no_false_positives)), baseline_of(statistics(facet(FAIR))), rules="sound"
    )
    assert "TE" in names(infinite)
    text = next(v.description for v in infinite.violations.violations if v.metric_name == "TE")
    assert "Metric value Infinity doesn't" in text


def test_what_was_never_defined_is_not_asked_for() -> None:
    def without_strata(value: float | None) -> BiasStatistics:
        one = facet(FAIR)
        assert one.pre is not None
        one.pre.append(MetricValue("CDDL", "", value))
        return statistics(one)

    never = check(without_strata(None), baseline_of(without_strata(None)), rules="sound")
    assert not never.notes
    assert not [one for one in never.comparisons if one.subject.startswith("CDDL ")]
    no_more = check(without_strata(None), baseline_of(without_strata(0.1)), rules="sound")
    assert reason(no_more, "CDDL")


def test_many_small_groups_have_no_notes() -> None:
    small = [facet([[[300, 80], [100, 200]], [[12, 1], [1, 6]]], "City", str(city)) for city in range(40)]
    decision = check(statistics(*small), baseline_of(statistics(*small)), rules="sound")
    assert not decision.notes
    assert {one.subject.split()[0] for one in decision.undecided} > {"DPPL", "RD"}


def test_small_strata_do_not_move_the_disparity() -> None:
    generator = np.random.default_rng(3)
    shares = np.array([[[0.5, 0.15], [0.05, 0.2]], [[0.05, 0.02], [0.005, 0.025]]]).ravel()
    before = generator.multinomial(20_000, np.repeat(shares[None] / 8, 8, axis=0).ravel() / shares.sum())
    few = generator.multinomial(400, np.repeat(shares[None] / 80, 80, axis=0).ravel() / shares.sum())
    many, window = before.reshape(8, 2, 2, 2), few.reshape(80, 2, 2, 2)
    baseline = baseline_of(statistics(facet(many.sum(axis=0), strata=many)))
    decision = check(statistics(facet(window.sum(axis=0), strata=window)), baseline, rules="sound")
    assert not {"CDDL", "CDDPL"} & set(names(decision))
    assert "too many groups of the group variable have only one outcome" in reason(decision, "CDDL")


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


@given(COUNTS, COUNTS)
def test_sound_violations_are_larger_than_their_limit(before: Any, after: Any) -> None:
    known, window = statistics(facet(before)), statistics(facet(after))
    decision = check(window, baseline_of(known), rules="sound")
    for name in names(decision):
        if name == "rows_of_group":
            continue  # the group is gone
        metric, limit = window.facets[0].metric(name), known.facets[0].metric(name)
        assert metric is not None
        assert limit is not None
        now, then = (to_scale(name, float(one.value)) for one in (metric, limit))
        assert abs(now) > abs(then) * (0.5 if now * then < 0.0 else 1.0)
    json.dumps(write_document(decision.violations), allow_nan=False)


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
