"""Violations in words: the counts are the table's, and the known words stand at the end."""

from __future__ import annotations

from dataclasses import replace

import pytest
from bias_tables import FAIR, baseline_of, check, facet, statistics
from fixtures import ROOT
from hypothesis import given
from hypothesis import strategies as st
from sentences import says

from analyzers.bias.describe import explain, group_text, impact_findings, requirement_text
from analyzers.bias.documents import MetricValue
from analyzers.bias.metrics import METRICS

COUNTS = st.lists(st.integers(0, 5_000), min_size=8, max_size=8)


def said(counts: object, name: str, strata: object = None) -> str:
    one = facet(counts, strata=strata)
    metric = one.metric(name)
    assert metric is not None
    return explain(one, metric)


@pytest.mark.parametrize(
    ("name", "code", "members"),
    [
        (
            "DPPL",
            "share",
            {"hits": [183, 23], "of": "1,000", "outcome": "are predicted positive", "own": "2.3 %"}
            | {"others": 3_000, "share": "6.1 %", "expected": "38 more"},
        ),
        (
            "DPL",
            "share",
            {"hits": [300, 100], "of": "1,000", "outcome": "have a positive label", "own": "10 %"}
            | {"others": 3_000, "share": "10 %", "expected": "as many"},
        ),
        (
            "RD",
            "share",
            {"hits": [150, 20], "of": "100 positive labels", "outcome": "are predicted positive"}
            | {"own": "20 %", "others": 300, "share": "50 %", "expected": "30 more"},
        ),
        (
            "SD",
            "share",
            {"hits": [2_667, 897], "of": "900 negative labels", "outcome": "are predicted negative"}
            | {"own": "99.7 %", "others": 2_700, "share": "98.8 %", "expected": "8 fewer"},
        ),
        (
            "TE",
            "ratio",
            {"first": [150, 80], "these": "wrong negative predictions", "second": [33, 3]}
            | {"those": "wrong positive ones", "per": ["4.545 to 1", "26.67 to 1"]},
        ),
        (
            "DCA",
            "ratio",
            {"first": [300, 100], "these": "positive labels", "second": [183, 23]}
            | {"those": "positive predictions", "per": ["1.639 to 1", "4.348 to 1"]},
        ),
        ("GE", "entropy", {"rows": 4_000, "positive": 36, "negative": 230}),
    ],
)
def test_sentences(name: str, code: str, members: dict[str, object]) -> None:
    group = {} if code == "entropy" else {"group": "Sex = 0"}
    text = said([[[2667, 33], [150, 150]], [[897, 3], [80, 20]]], name)
    assert says(text, f"bias_meaning.{code}", **group, **members)


def test_how_large_the_group_is() -> None:
    text = said([[[2667, 33], [150, 150]], [[897, 3], [80, 20]]], "CI")
    assert "1,000 of 4,000 (25 %)" in text
    assert "Sex = 0" in text


def test_forms_of_one_table_share_a_sentence() -> None:
    for names in (("DPL", "KL", "JS", "KS", "LP", "TVD"), ("DPPL", "DI")):
        assert len({said(FAIR, name) for name in names}) == 1


def test_strata() -> None:
    strata = [[[[30, 0], [0, 60]], [[30, 0], [0, 20]]], [[[15, 0], [0, 30]], [[45, 0], [0, 30]]]]
    # Of the rejected of the first stratum half, of the second three quarters; accepted a quarter and a half.
    text = said([[[45, 0], [0, 90]], [[75, 0], [0, 50]]], "CDDPL", strata)
    shares = {"rejected": "61.5 %", "accepted": "36.5 %"}
    assert says(text, "bias_meaning.strata", what="predictions", group="Sex = 0", **shares)


def test_intervals_and_lists_of_values() -> None:
    assert group_text(facet(FAIR, "Age", "(40, 75]")) == "Age in (40, 75]"
    assert group_text(facet(FAIR, "Origin", "JFK,LGA")) == "Origin = JFK,LGA"


@given(COUNTS)
def test_every_table_has_a_sentence(cells: list[int]) -> None:
    counts = [[cells[:2], cells[2:4]], [cells[4:6], cells[6:]]]
    one = facet(counts)
    for metric in [*(one.pre or []), *(one.post or []), MetricValue("FT", "", 0.25)]:
        text = explain(one, metric)
        assert "nan" not in text
        assert "inf" not in text
        if METRICS[metric.name].table == "confusion" and sum(cells):
            assert text.endswith(".")


@pytest.mark.parametrize(
    ("value", "requirement", "sentence"),
    [
        (0.1, 0.05, "Metric value 0.1 doesn't meet the baseline constraint requirement 0.05"),
        (
            float("inf"),
            2.916666666666667,
            "Metric value Infinity doesn't meet the baseline constraint requirement 2.916666666666667",
        ),
        (
            float("-inf"),
            (0.8, 1.25),
            "Metric value -Infinity doesn't meet the baseline constraint requirement [0.8, 1.25]",
        ),
    ],
)
def test_the_known_words(value: float, requirement: float | tuple[float, float], sentence: str) -> None:
    assert requirement_text(value, requirement) == sentence


def test_four_fifths_needs_the_whole_interval() -> None:
    def findings(value: float, interval: tuple[float, float] | None) -> str:
        impact = MetricValue("DI", "", value, confidence_interval=interval)
        return " ".join(impact_findings([replace(facet(FAIR), post=[impact])]).values())

    assert not findings(0.7, (0.6, 0.85))
    assert "below 0.8, the four-fifths line" in findings(0.7, (0.6, 0.79))
    assert "above 1.25, the four-fifths line" in findings(1.4, (1.3, float("inf")))
    assert not findings(0.7, None)


def test_the_page_quotes_what_is_said() -> None:
    baseline = baseline_of(statistics(facet([[[2000, 500], [600, 1400]], [[200, 50], [60, 140]]])))
    window = statistics(facet([[[2000, 500], [600, 1400]], [[230, 20], [90, 110]]]))
    violations = check(window, baseline, rules="sound").violations.violations
    page = (ROOT / "docs" / "bias_decisions.md").read_text(encoding="utf-8")
    quote = " ".join(line.removeprefix("> ") for line in page.splitlines() if line.startswith("> "))
    assert quote in [violation.description for violation in violations]
