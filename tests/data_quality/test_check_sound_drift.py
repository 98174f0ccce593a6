"""Decisions by statistics on drift: numbers and text, small windows, and what cannot be compared."""

import re

import numpy as np
import pytest
from hand_made import ROWS, baseline_of, check, document, listed, normal, numeric, only, text
from sentences import said, says

from analyzers.data_quality.documents import NumericBucket
from analyzers.data_quality.limits import suggest
from contract.api import Baseline, Decision, State
from contract.wording import chance


@pytest.mark.parametrize(
    "values",
    [
        (np.repeat([0.0, 1.0], [17_600, 2_400]), np.repeat([0.0, 1.0], [3_600, 1_400])),
        (np.random.default_rng(1).poisson(3, 20_000), np.random.default_rng(2).poisson(4, ROWS)),
        (normal(rows=20_000, seed=1), normal(0.35, seed=2)),
    ],
    ids=["binary", "counts", "continuous"],
)
def test_numeric_drift_of_any_kind_is_found(values):
    before, now = values
    baseline = baseline_of(numeric("x", before))
    decision = check(document(numeric("x", now)), baseline)
    assert listed(decision) == [("x", "baseline_drift_check")]
    assert only(decision).description.startswith("Mean ")
    (finding,) = decision.findings
    assert finding.violated
    assert finding.distance > 0.1


def test_parsers_of_the_originals_wording_read_two_numbers():
    baseline = baseline_of(numeric("x", np.repeat([0.0, 1.0], [17_600, 2_400])))
    description = only(
        check(document(numeric("x", np.repeat([0.0, 1.0], [3_600, 1_400]))), baseline)
    ).description
    assert description.startswith("Mean 0.12 -> 0.28, share of values up to 0: 88 % -> 72 %")
    assert f"up to 3 %; {chance(1e-9)}" in description
    assert says(description, "drift.moved", distance=0.16, verb="exceeds", threshold=0.1)
    match = re.search("distance: (.+) exceeds threshold: (.+)", description)
    assert (float(match[1]), float(match[2])) == (0.16, 0.1)
    assert float(description.split("exceeds threshold:")[1]) == 0.1


def test_small_windows_need_larger_changes_and_say_so():
    baseline = baseline_of(numeric("x", normal(rows=20_000)))
    decision = check(document(numeric("x", normal(0.5, rows=12, seed=3))), baseline)
    assert listed(decision) == []
    assert "The window has 12 rows; a drift of 0.1 can be told from chance from" in decision.notes[0]
    assert listed(check(document(numeric("x", normal(6.0, rows=12))), baseline)) == [
        ("x", "baseline_drift_check")
    ]
    tiny = check(document(numeric("x", normal())), baseline_of(numeric("x", normal(rows=50))))
    assert "too few" in tiny.notes[0]


def test_simple_method_compares_with_the_threshold_alone():
    baseline = baseline_of(numeric("x", normal(rows=20_000)))
    window = document(numeric("x", normal(0.4, rows=60, seed=5)))
    assert listed(check(window, baseline)) == []
    baseline.constraints.monitoring_config["distribution_constraints"]["comparison_method"] = "Simple"
    assert listed(check(window, baseline)) == [("x", "baseline_drift_check")]


def why_no_drift(decision: Decision, name: str) -> str:
    """Return why the drift of a feature is not decided."""
    about = [
        one for one in decision.comparisons if one.subject == name and one.check == "baseline_drift_check"
    ]
    assert [one.state for one in about] == [State.UNDECIDED]
    return about[0].reason


def test_a_baseline_without_sketch_is_compared_by_its_buckets():
    values = normal(rows=20_000)
    feature = numeric("x", values)
    edges = np.linspace(values.min(), values.max(), 11)
    counts, _ = np.histogram(values, edges)
    feature.numerical.sketch = None
    feature.numerical.buckets = [
        NumericBucket(low, high, float(count))
        for low, high, count in zip(edges[:-1], edges[1:], counts, strict=True)
    ]
    baseline = baseline_of(feature)
    assert listed(check(document(numeric("x", normal(seed=4))), baseline)) == []
    assert listed(check(document(numeric("x", normal(0.5, seed=4))), baseline)) == [
        ("x", "baseline_drift_check")
    ]
    feature.numerical.buckets = None
    decision = check(document(numeric("x", normal(0.5, seed=4))), baseline)
    assert listed(decision) == []
    assert why_no_drift(decision, "x")


@pytest.mark.parametrize("method", ["LInfinity", "ChiSquared"])
def test_text_drift(method):
    baseline = baseline_of(text("town", {"a": 10_000, "b": 6_000, "c": 4_000}))
    baseline.constraints.monitoring_config["distribution_constraints"]["categorical_drift_method"] = method
    steady = document(text("town", {"a": 2_550, "b": 1_460, "c": 990}))
    assert listed(check(steady, baseline)) == []
    moved = document(text("town", {"a": 1_750, "b": 2_250, "c": 1_000}))
    decision = check(moved, baseline)
    assert listed(decision) == [("town", "baseline_drift_check")]
    description = only(decision).description
    assert "hare of 'a': 50 % -> 35 %" in description or "hare of 'b': 30 % -> 45 %" in description
    assert (
        description.endswith("Baseline drift distance: 0.15 exceeds threshold: 0.1") or method == "ChiSquared"
    )


def test_chi_squared_adds_up_small_shifts_that_no_single_share_shows():
    before = {str(i): 1_000 for i in range(20)}
    now = {str(i): 320 if i % 2 else 180 for i in range(20)}
    baseline = baseline_of(text("town", before))
    assert listed(check(document(text("town", now)), baseline)) == []
    comparison = baseline.constraints.monitoring_config["distribution_constraints"]
    comparison["categorical_drift_method"] = "ChiSquared"
    (finding,) = check(document(text("town", now)), baseline).findings
    assert finding.violated
    assert finding.distance == pytest.approx(0.14)


def test_constraints_of_another_baseline_job_are_noted():
    def table(missing: int):
        return document(numeric("x", normal(), missing=missing), numeric("y", normal(), missing=2 * missing))

    before, other = table(100), table(103)
    told = [check(before, Baseline(before, suggest(one))).notes for one in (other, before)]
    assert [said(notes, "baseline_files.other_job") for notes in told] == [True, False]


def test_what_cannot_be_compared_is_noted():
    baseline = baseline_of(text("id", {str(i): 1 for i in range(ROWS)}, listed=False))
    decision = check(document(text("id", {f"z{i}": 1 for i in range(ROWS)}, listed=False)), baseline)
    assert listed(decision) == []
    assert why_no_drift(decision, "id")
    decision = check(
        document(numeric("x", normal())), Baseline(None, suggest(document(numeric("x", normal()))))
    )
    assert "no baseline_statistics" in decision.notes[0]


def test_negative_values():
    baseline = baseline_of(numeric("x", np.abs(normal(rows=20_000))))
    window = np.abs(normal(seed=1))
    window[0] = -3.0
    decision = check(document(numeric("x", window)), baseline)
    assert listed(decision) == []  # one alone may have been missed by the sample
    window[:50] = -3.0
    decision = check(document(numeric("x", window)), baseline)
    assert ("x", "value_range_check") in listed(decision)


def test_statistics_alone_are_a_baseline():
    statistics = document(numeric("x", normal(rows=20_000)))
    assert listed(check(document(numeric("x", normal(1.0))), Baseline(statistics, None))) == [
        ("x", "baseline_drift_check")
    ]
    assert check(statistics, Baseline(None, None)).violations.violations == []
