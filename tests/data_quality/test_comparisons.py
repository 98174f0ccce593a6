"""Every comparison that a constraints file asks for has an answer or a reason, whatever the tables."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hand_made import check, numeric, text
from hypothesis import given
from hypothesis import strategies as st
from run_jobs import baseline_of, run_job

from analyzers.data_quality.documents import (
    FeatureStatistics,
    Statistics,
    constraints_to_json,
    read_constraints,
)
from analyzers.data_quality.limits import suggest
from contract.api import Baseline, Comparison, State

ROW_CHECKS = ("data_type_check", "completeness_check", "categorical_values_check", "baseline_drift_check")


@st.composite
def features(draw: st.DrawFn, name: str) -> FeatureStatistics:
    rows, missing = draw(st.sampled_from([0, 1, 40, 400])), draw(st.integers(0, 50))
    rng = np.random.default_rng(draw(st.integers(0, 99)))
    if draw(st.booleans()):
        return numeric(name, rng.normal(draw(st.sampled_from([0.0, 5.0])), 1.0, rows), missing=missing)
    counts = {f"v{value}": 1 + value for value in range(draw(st.integers(1, 5)))} if rows else {}
    return text(name, counts, missing=missing, listed=draw(st.booleans()))


@st.composite
def tables(draw: st.DrawFn) -> Statistics:
    names = draw(st.lists(st.sampled_from("abcde"), unique=True, max_size=5))
    return Statistics(450, [draw(features(name)) for name in names])


def asked_of(document: dict[str, Any], rules: str) -> set[tuple[str, str]]:
    """Return what a file asks for, read off its JSON by somebody else than the program."""
    asked = set()
    for feature in document["features"]:
        overrides = feature.get("monitoringConfigOverrides", {})
        if overrides.get("evaluate_constraints") == "Disabled":
            continue
        name, kind = feature["name"], feature["inferred_type"]
        numbers = feature.get("num_constraints", {})
        wanted = {
            "data_type_check": kind in ("Integral", "Fractional", "String"),
            "completeness_check": "completeness" in feature,
            "categorical_values_check": "domains" in feature.get("string_constraints", {}),
            "baseline_drift_check": overrides.get("perform_comparison") != "Disabled",
            "value_range_check": rules == "sound"
            and (numbers.get("is_non_negative") or "minimum" in numbers),
        }
        asked |= {(name, check) for check, is_wanted in wanted.items() if is_wanted}
    return asked


@pytest.mark.parametrize("rules", ["sound", "sagemaker"])
@given(
    before=tables(),
    now=tables(),
    edits=st.lists(
        st.sampled_from(
            [
                {"monitoringConfigOverrides": {"evaluate_constraints": "Disabled"}},
                {"monitoringConfigOverrides": {"perform_comparison": "Disabled"}},
                {"num_constraints": {"minimum": -100}},
                {},
            ]
        ),
        min_size=5,
        max_size=5,
    ),
    with_statistics=st.booleans(),
)
def test_decided_and_undecided_are_what_the_file_asks_for(
    rules: Any, before: Statistics, now: Statistics, edits: list[dict[str, Any]], with_statistics: bool
) -> None:
    document = constraints_to_json(suggest(before, rules=rules))
    for feature, edit in zip(document["features"], edits, strict=False):
        is_text = feature["inferred_type"] == "String"
        feature.update({} if is_text and "num_constraints" in edit else edit)
    constraints = read_constraints(document, "constraints.json")
    decision = check(now, Baseline(before if with_statistics else None, constraints), rules=rules)
    counts_differ = len(before.features) != len(now.features)
    if rules == "sagemaker" and counts_differ:
        return  # the originals look at no feature then, and the violation says so
    found = [(one.subject, str(one.check)) for one in decision.comparisons if "," not in one.subject]
    of_columns = [one for one in found if one[1] in (*ROW_CHECKS, "value_range_check")]
    expected = asked_of(document, rules)
    assert set(of_columns) >= expected
    assert {one for one in of_columns if one[0] in {name for name, _ in expected}} == expected
    assert len(of_columns) == len(set(of_columns))
    for comparison in decision.comparisons:
        assert bool(comparison.reason) == (comparison.state is State.UNDECIDED), comparison
        assert comparison.state is State.UNDECIDED or not comparison.lost
    violated = {(one.feature_name, str(one.constraint_check_type)) for one in decision.violations.violations}
    by_state = {(one.subject, str(one.check)) for one in decision.comparisons if is_violated(one)}
    columns = {"missing_column_check", "extra_column_check"}
    assert {one for one in violated if one[1] not in columns} <= by_state | {
        (one[0].partition(",")[0], one[1]) for one in by_state
    }


def is_violated(comparison: Comparison) -> bool:
    return comparison.state is State.VIOLATED


@pytest.mark.parametrize(("missing", "state"), [(0, State.HOLDS), (30, State.CHANGED), (400, State.VIOLATED)])
def test_a_change_within_the_limit_is_no_violation_and_said(missing: int, state: State) -> None:
    rows = np.random.default_rng(1).normal(0.0, 1.0, 20_000)
    before, now = (
        Statistics(20_000, [numeric("x", rows[: 20_000 - lost], missing=lost)]) for lost in (0, missing)
    )
    constraints = read_constraints(constraints_to_json(suggest(before, rules="sound")), "constraints.json")
    decision = check(now, Baseline(before, constraints), rules="sound")
    (found,) = (one for one in decision.comparisons if one.check == "completeness_check")
    assert (found.state, found.value, found.expected) == (state, 1.0 - missing / 20_000, 1.0)
    assert (found.rows, found.baseline_rows) == (20_000, 20_000)
    assert bool(found.text) == (missing > 0)
    assert found.p_value is not None
    assert (found.p_value < 1e-6) == (missing > 0)
    assert bool(decision.violations.violations) == (state is State.VIOLATED)


def test_what_holds_says_how_sure_that_is() -> None:
    rng = np.random.default_rng(1)
    before, now = (
        Statistics(
            2_000,
            [
                numeric("x", rng.exponential(1.0, 2_000 - missing), missing=missing),
                text("t", {"a": 1_000, "b": 1_000}),
            ],
        )
        for missing in (20, 25)
    )
    constraints = read_constraints(constraints_to_json(suggest(before, rules="sound")), "constraints.json")
    decision = check(now, Baseline(before, constraints), rules="sound")
    sure = {(one.subject, one.check): one.p_value for one in decision.comparisons}
    assert {one.state for one in decision.comparisons if one.is_decided} == {State.HOLDS}
    assert 0.2 < sure["x", "completeness_check"] < 1.0
    assert [sure["x", check] for check in ("data_type_check", "value_range_check")] == [1.0, 1.0]
    assert [sure["t", check] for check in ("completeness_check", "categorical_values_check")] == [1.0, 1.0]


@pytest.mark.parametrize("share", [0.02, 0.5, 0.99, 1.0])
def test_infinite_numbers_are_one_violation_and_called_infinite(tmp_path: Path, share: float) -> None:
    rng = np.random.default_rng(1)
    results = []
    for part in (0.0, share):
        x = rng.integers(0, 9, 2_000)
        cells = np.where(rng.random(2_000) < part, np.inf, x)
        rows = "".join(
            f"{cell:g},{value}\n" for cell, value in zip(cells, x + rng.integers(0, 3, 2_000), strict=True)
        )
        (tmp_path / f"{part}.csv").write_text(f"x,y\n{rows}")
        known = baseline_of(results[0]) if results else {}
        results.append(run_job(tmp_path, tmp_path / f"{part}.csv", output_path=tmp_path / f"{part}", **known))
    [violation] = results[1].violations
    assert (violation["feature_name"], violation["constraint_check_type"]) == ("x", "data_type_check")
    assert " infinite" in violation["description"]
    assert ("hold no finite number" in results[1].message) == (share == 1.0)
