"""Limits of metrics: the baseline's value, and what a user allows instead."""

from __future__ import annotations

import math
from typing import Any

import pytest
from bias_tables import FAIR, HALVED, baseline_of, check, facet, names, notes, statistics

from analyzers.bias.analyzer import suggest
from analyzers.bias.check import limit_of
from analyzers.bias.documents import BiasStatistics, MetricValue
from contract.api import State
from contract.errors import DocumentError

METRIC_NAMES = ("DPPL", "RD", "SD", "DCA", "DCR", "DAR", "DRR", "AD", "TE", "GE", "CI", "DPL", "KL")


def test_sagemaker_rules_do_not_use_what_a_user_allows() -> None:
    baseline = baseline_of(statistics(facet(FAIR)), DI={"allowed": [0.0, 9.0]})
    decision = check(statistics(facet(FAIR)), baseline, rules="sagemaker")
    assert not names(decision)
    assert "allowed and threshold are not used: DI" in notes(decision)


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
    wide: dict[str, Any] = {name: {"threshold": 9.0 if name == "TE" else 1.0} for name in METRIC_NAMES}
    assert not set(names(check(window, baseline_of(before_halved, **wide), rules="sound"))) - {"DI"}


@pytest.mark.parametrize(
    ("name", "limit", "is_refused"),
    [
        ("DPL", {"threshold": 5.0}, True),
        ("DPL", {"allowed": [-10.0, 10.0]}, True),
        ("DPL", {"allowed": [-math.inf, 0.1]}, False),
        ("DI", {"threshold": 5.0}, False),
        ("KL", {"threshold": 5.0}, False),
    ],
)
def test_limits_beyond_what_a_metric_can_be_are_refused(
    name: str, limit: dict[str, Any], is_refused: bool
) -> None:
    before = statistics(facet(FAIR))
    if not is_refused:
        assert not names(check(before, baseline_of(before, **{name: limit}), rules="sound"))
        return
    with pytest.raises(DocumentError) as refused:
        baseline_of(before, **{name: limit})
    assert [one.code for one in refused.value.mistakes] == ["members.wrong"]
    assert refused.value.field.endswith(next(iter(limit)))


@pytest.mark.parametrize(
    ("rejected", "limit", "state"),
    [
        (6, None, State.HOLDS),
        (18, None, State.UNDECIDED),
        (24, None, State.VIOLATED),
        (6, {"allowed": [0.9, 1.1]}, State.UNDECIDED),
        (6, {"allowed": [0.6, 1.4]}, State.HOLDS),
    ],
)
def test_what_is_beyond_a_limit_and_seldom_by_chance_does_not_hold(
    rejected: int, limit: dict[str, Any] | None, state: State
) -> None:
    counts = [[[60, 15], [18, 42]], [[40, 10], [12, 28]]]
    counts[1][1] = [counts[1][1][0] + rejected, counts[1][1][1] - rejected]
    baseline = baseline_of(statistics(facet(FAIR)), **({"DI": limit} if limit else {}))
    decision = check(statistics(facet(counts)), baseline, rules="sound")
    (found,) = [one for one in decision.comparisons if one.subject.startswith("DI of")]
    assert (found.state, bool(found.reason)) == (state, state is State.UNDECIDED)


def test_constraints_of_another_label_are_named() -> None:
    baseline = baseline_of(statistics(facet(FAIR)))
    assert baseline.constraints is not None
    assert baseline.constraints.pre is not None
    for label, is_named in (("", False), (baseline.constraints.pre.label, False), ("is_late", True)):
        baseline.constraints.pre.label = label
        said = notes(check(statistics(facet(FAIR)), baseline, rules="sound"))
        assert is_named is ("'is_late'" in said)


def test_the_flip_test_is_held_to_a_limit_of_ones_own_only() -> None:
    def with_flips(value: float) -> BiasStatistics:
        one = facet(FAIR)
        assert one.post is not None
        one.post.append(MetricValue("FT", "Flip Test (FT)", value))
        return statistics(one)

    before, window = with_flips(0.01), with_flips(-0.2)
    unlimited = check(window, baseline_of(before), rules="sound")
    assert not names(unlimited)
    assert "FT has no interval" in unlimited.why_undecided
    limited = check(window, baseline_of(before, FT={"threshold": 0.1}), rules="sound")
    assert names(limited) == ["FT"]
    assert "80 with" not in limited.violations.violations[0].description
    assert "180 more are predicted negative" in limited.violations.violations[0].description


@pytest.mark.parametrize(
    ("allowed", "violated"),
    [([0.0, 1.25], False), ([0.0, 0.5], True), ([0.8, "Infinity"], True), ([0.3, "Infinity"], False)],
)
def test_ranges_may_be_open(allowed: list[Any], violated: bool) -> None:
    window = statistics(facet(HALVED)) if allowed[1] != 0.5 else statistics(facet(FAIR))
    baseline = baseline_of(statistics(facet(HALVED)), DI={"allowed": allowed})
    assert ("DI" in names(check(window, baseline, rules="sound"))) == violated


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
