"""What both sets of rules decide alike: which groups are compared, and that nothing new raises nothing."""

from __future__ import annotations

from typing import Any

import pytest
from bias_tables import COUNTS, FAIR, HALVED, baseline_of, check, facet, names, notes, statistics
from hypothesis import given

from analyzers.bias.documents import same_group
from contract.api import Baseline


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


@pytest.mark.parametrize("rules", ["sound", "sagemaker"])
def test_metrics_that_are_asked_for_no_more_are_not_decided(rules: Any) -> None:
    window = statistics(facet(FAIR))
    baseline, one = baseline_of(window), window.facets[0]
    one.pre = [metric for metric in one.pre or [] if metric.name == "CI"]
    decision = check(window, baseline, rules=rules)
    reasons = {one.reason for one in decision.comparisons if "DPL" in one.subject or "KL" in one.subject}
    assert reasons == {"the configuration asks for fewer metrics than at the baseline"}
    one.post, window.has_predictions = None, False
    decision = check(window, baseline, rules=rules)
    reasons = {one.reason for one in decision.comparisons if "DPPL" in one.subject}
    assert reasons == {"no row has a usable prediction, or no metric of predictions is asked for"}


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


@given(COUNTS)
def test_a_window_that_is_its_own_baseline_holds(counts: Any) -> None:
    window = statistics(facet(counts))
    for with_statistics in (True, False):
        for rules in ("sound", "sagemaker"):
            baseline = baseline_of(window, with_statistics=with_statistics)
            assert not names(check(window, baseline, rules=rules))
