"""Violations in words: the counts are the table's, and the known words stand at the end."""

from __future__ import annotations

from dataclasses import replace

import pytest
from bias_tables import FAIR, baseline_of, check, facet, statistics
from fixtures import ROOT
from hypothesis import given
from hypothesis import strategies as st

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
    ("name", "sentence"),
    [
        (
            "DPPL",
            (
                "23 of 1,000 with Sex = 0 are predicted positive (2.3 %), against 183 of 3,000 "
                "others (6.1 %); at the others' rate it would be 38 more."
            ),
        ),
        (
            "DPL",
            (
                "100 of 1,000 with Sex = 0 have a positive label (10 %), against 300 of 3,000 "
                "others (10 %); at the others' rate it would be as many."
            ),
        ),
        (
            "RD",
            (
                "20 of 100 positive labels with Sex = 0 are predicted positive (20 %), against 150 of "
                "300 others (50 %); at the others' rate it would be 30 more."
            ),
        ),
        (
            "SD",
            (
                "897 of 900 negative labels with Sex = 0 are predicted negative (99.7 %), against "
                "2,667 of 2,700 others (98.8 %); at the others' rate it would be 8 fewer."
            ),
        ),
        ("CI", "1,000 of 4,000 (25 %) have Sex = 0."),
        (
            "TE",
            (
                "With Sex = 0 there are 80 wrong negative predictions to 3 wrong positive "
                "ones (26.67 to 1), among all others 150 to 33 (4.545 to 1)."
            ),
        ),
        (
            "DCA",
            (
                "With Sex = 0 there are 100 positive labels to 23 positive predictions "
                "(4.348 to 1), among all others 300 to 183 (1.639 to 1)."
            ),
        ),
        (
            "GE",
            (
                "Of 4,000 predictions 36 are wrongly positive and 230 wrongly negative; "
                "groups play no part in this metric."
            ),
        ),
    ],
)
def test_sentences(name: str, sentence: str) -> None:
    assert said([[[2667, 33], [150, 150]], [[897, 3], [80, 20]]], name) == sentence


def test_forms_of_one_table_share_a_sentence() -> None:
    for names in (("DPL", "KL", "JS", "KS", "LP", "TVD"), ("DPPL", "DI")):
        assert len({said(FAIR, name) for name in names}) == 1


def test_strata() -> None:
    strata = [[[[30, 0], [0, 60]], [[30, 0], [0, 20]]], [[[15, 0], [0, 30]], [[45, 0], [0, 30]]]]
    # Of the rejected of the first stratum half, of the second three quarters; accepted a quarter and a half.
    assert said([[[45, 0], [0, 90]], [[75, 0], [0, 50]]], "CDDPL", strata) == (
        "Of negative predictions 61.5 % concern Sex = 0, of positive predictions "
        "36.5 %, averaged over the groups compared."
    )


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
