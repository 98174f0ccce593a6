"""Changes that last in windows too small to show them: what is pooled, what decides, where it is told."""

from __future__ import annotations

import itertools
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from history_runs import make_run
from run_jobs import Result, baseline_of, environment, run_job
from sentences import SENTENCES

from analyzers.data_quality.distance import Distribution, numeric_distance
from analyzers.data_quality.drift import Dependence, _shift
from benchmarks.simulate_history import SETTINGS, History, independent, least_p_value, months, power
from containers.commands.main import monitor_history
from contract.api import Baseline, Comparison, Decision, Finding, Shift, State, Violations
from contract.window import Window
from job_runner.earlier_windows import Usual, Variation, with_lasting
from reporting.history.record import Earlier, Run, RunFinding

FIRST = datetime(2026, 5, 6, 22, tzinfo=UTC)
HOUR = timedelta(hours=1)
LIMIT = 0.1


def decided(shift: Shift, *, violated: bool = False) -> Decision:
    """Return what one window decides, of which one feature moved so far."""
    finding = Finding("income", "", 0.1, violated, shift=shift)
    holds = Comparison("income", "baseline_drift_check", State.HOLDS)
    return Decision(Violations(), (finding,), comparisons=(holds,))


def hours(number: int, by: float, error: float = 0.09, **members: Any) -> list[Run]:
    found = RunFinding("income", 0.1, shift=(by, error), **members)
    return [make_run(hour, findings=(found,)) for hour in range(number)]


def lasting(
    runs: list[Run],
    by: float,
    error: float = 0.09,
    *,
    baseline_error: float = 0.002,
    limit: float = LIMIT,
    violated: bool = False,
    variation: Variation | None = None,
) -> Comparison | None:
    """Return what is found of the window after some runs."""
    start = FIRST + len(runs) * HOUR
    settings = replace(SETTINGS, window=Window(start, start + HOUR))
    decision = decided(Shift(by, error, baseline_error, limit), violated=violated)
    found = with_lasting(settings, Earlier(alike=runs), Baseline(variation=variation), decision)
    assert len(found.violations.violations) == sum(one.state is State.VIOLATED for one in found.comparisons)
    return next((one for one in found.comparisons if one.check == "lasting_change_check"), None)


def test_a_day_of_small_moves_to_one_side_is_a_violation() -> None:
    found = lasting(hours(23, 0.138), 0.138)
    assert found is not None
    assert found.state is State.VIOLATED
    assert found.text.startswith(
        "In 63.8 % of pairs a value of the last 24 windows, from 2026-05-06 22:00 on, is larger than one of "
        "the baseline, where 50 % are to be expected and 60 % are allowed"
    )
    assert found.effect == pytest.approx(0.138)
    down = lasting(hours(23, -0.138), -0.138)
    assert down is not None
    assert "In 36.2 % of pairs" in down.text
    assert "40 % are allowed" in down.text


def test_moves_to_both_sides_even_out() -> None:
    runs = [one for pair in zip(hours(24, 0.3)[::2], hours(24, -0.3)[1::2], strict=True) for one in pair]
    found = lasting(runs, 0.1)
    assert found is not None
    assert found.state is State.HOLDS


def test_what_is_sure_and_small_is_no_violation() -> None:
    found = lasting(hours(600, 0.05, 0.001), 0.05, 0.001)
    assert found is not None
    assert found.state is State.CHANGED


def test_the_chance_of_the_baseline_counts_however_many_windows_there_are() -> None:
    """A baseline of 300 rows misses the mean rank by 0.017, which a month of windows then shows."""
    runs = hours(670, 0.03, 0.002)
    sure = lasting(runs, 0.03, 0.002, baseline_error=0.0, limit=0.01)
    unsure = lasting(runs, 0.03, 0.002, baseline_error=0.017, limit=0.01)
    assert sure is not None
    assert unsure is not None
    assert (sure.state, unsure.state) == (State.VIOLATED, State.HOLDS)


def test_what_was_mended_ends_with_the_day() -> None:
    moved, mended = hours(120, 0.2), hours(168, 0.0)
    for healthy, state in ((6, State.VIOLATED), (20, State.HOLDS), (48, State.HOLDS)):
        found = lasting([*moved, *mended[120 : 120 + healthy]], 0.0)
        assert found is not None
        assert found.state is state, healthy


def test_a_change_too_small_for_a_day_is_found_in_a_week() -> None:
    day, week = (lasting(hours(count, 0.11, 0.2), 0.11, 0.2) for count in (23, 167))
    assert day is not None
    assert week is not None
    assert (day.state, week.state) == (State.HOLDS, State.VIOLATED)
    assert "the last 168 windows" in week.text


def test_a_history_that_cannot_be_read_leaves_it_undecided() -> None:
    settings = replace(SETTINGS, window=Window(FIRST, FIRST + HOUR))
    decision = decided(Shift(0.138, 0.09, 0.002, LIMIT))
    found = with_lasting(settings, Earlier(problem="runs.jsonl, line 1: no JSON."), Baseline(), decision)
    (unknown,) = found.undecided
    assert unknown.check == "lasting_change_check"
    assert "runs.jsonl, line 1" in unknown.reason
    assert not found.fails_gate


def test_windows_that_were_told_of_are_left_out() -> None:
    assert lasting(hours(23, 0.4, violated=True), 0.01) is None
    assert lasting(hours(23, 0.4), 0.4, violated=True) is None


def test_four_windows_are_the_least_and_weeks_take_days() -> None:
    assert lasting(hours(2, 0.4), 0.4) is None
    assert lasting(hours(3, 0.4), 0.4) is not None
    start = FIRST + timedelta(days=40)
    settings = replace(SETTINGS, window=Window(start, start + timedelta(days=8)))
    decision = decided(Shift(0.4, 0.01, 0.0, LIMIT))
    assert with_lasting(settings, Earlier(alike=hours(9, 0.4)), Baseline(), decision) == decision


def test_what_hours_do_by_themselves_is_no_change() -> None:
    """Windows lie 2 limits higher by themselves, give or take 0.1."""
    usual = Usual(subject="income", check="baseline_drift_check", part="shift", most=[2.4], least=[1.6])
    variation = Variation(window="PT1H", windows=100, usual=[usual])
    for by, state in ((2.0 * LIMIT, State.HOLDS), (4.0 * LIMIT, State.VIOLATED), (0.0, State.VIOLATED)):
        found = lasting(hours(23, by, 0.01), by, 0.01, variation=variation)
        assert found is not None
        assert found.state is state, by


def shift_of(before: Distribution, now: Distribution, found: Dependence) -> Shift:
    *_, rank = numeric_distance(before, now)
    return _shift(rank, (now, before), found, 0.1)


def test_a_rank_is_by_definition_the_share_of_pairs() -> None:
    rng = np.random.default_rng(4)
    before, now = rng.integers(0, 30, 500).astype(float), rng.integers(4, 40, 40).astype(float)
    pairs = (now[:, None] > before[None, :]).mean() + 0.5 * (now[:, None] == before[None, :]).mean()

    def distribution(values: Any) -> Distribution:
        distinct, counts = np.unique(values, return_counts=True)
        return Distribution(distinct, np.cumsum(counts) / values.size, values.size)

    found = shift_of(distribution(before), distribution(now), Dependence(2.0, 3.0))
    assert found.by + 0.5 == pytest.approx(pairs)
    assert found.error == pytest.approx((3.0 / 12.0 / 40.0) ** 0.5)
    assert found.baseline_error == pytest.approx((2.0 / 12.0 / 500.0) ** 0.5)
    assert found.limit == pytest.approx(LIMIT)


@pytest.mark.parametrize("draw", ["normal", "lognormal", "cauchy", "rare flag", "two values"])
def test_ranks_deviate_no_more_than_is_said(draw: str) -> None:
    rng = np.random.default_rng(9)
    drawn = {
        "normal": rng.normal(size=(2000, 10)),
        "lognormal": rng.lognormal(0.0, 2.0, (2000, 10)),
        "cauchy": rng.standard_cauchy((2000, 10)),
        "rare flag": (rng.random((2000, 10)) < 0.02).astype(float),
        "two values": (rng.random((2000, 10)) < 0.5).astype(float),
    }[draw]
    distinct, counts = np.unique(drawn, return_counts=True)
    before = Distribution(distinct, np.cumsum(counts) / drawn.size, drawn.size)
    found = []
    for rows in drawn:
        values, of = np.unique(rows, return_counts=True)
        found.append(shift_of(before, Distribution(values, np.cumsum(of) / 10, 10), Dependence()))
    assert float(np.std([one.by for one in found])) <= 1.05 * found[0].error


def test_half_a_deviation_at_ten_rows_an_hour_is_found_within_a_day() -> None:
    """The reduced run of `benchmarks.simulate_history`; docs/soundness.md has the whole."""
    found = power("normal: mean + 0.5 sd", 5, 10, 20261129)
    assert sum(one is not None for one in found) >= 4, found


def test_hours_without_a_change_do_not_alarm() -> None:
    (found,) = months(independent, 1, 80, 10, 20261129, seasons=False)
    assert not found["any"], found


def test_the_arithmetic_alone_is_that_of_the_job() -> None:
    rng = np.random.default_rng(3)
    before, now = rng.normal(size=500), rng.normal(0.45, 1.0, size=300)
    ranks = np.searchsorted(np.sort(before), now) / 500.0 - 0.5
    moved = [float(by) for by in ranks.reshape(-1, 10).mean(axis=1)]
    errors = {"error": (1.0 / 120.0) ** 0.5, "baseline_error": (1.0 / 6000.0) ** 0.5}
    runs = [
        replace(run, findings=(RunFinding("income", shift=(by, errors["error"])),))
        for run, by in zip(hours(30, 0.0), moved, strict=True)
    ]
    found = [lasting(runs[:count], moved[count], **errors) for count in range(3, 30)]
    told = [one.p_value for one in found if one and (one.effect or 0.0) > LIMIT]
    assert min(told) == pytest.approx(least_p_value(before, now, 10), rel=0.02)


def test_a_baseline_of_few_rows_is_quiet_as_well(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchmarks.simulate_history.BASELINE_ROWS", 300)
    for seed in range(4):
        history = History(independent, np.random.default_rng(seed), 100)
        assert not set().union(*(history.next()[0] for _ in range(30)))


def write_hours(path: Path, count: int, moved_from: int) -> Path:
    rng = np.random.default_rng(6)
    lines = ["time,income,age"]
    for hour in range(count):
        for minute in range(10):
            income = rng.normal(50 + (7 if hour >= moved_from else 0), 10)
            at = FIRST + timedelta(hours=hour, minutes=minute)
            lines.append(f"{at.isoformat()},{income:.3f},{rng.integers(18, 90)}")
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def baseline(tmp_path_factory: pytest.TempPathFactory) -> Result:
    folder = tmp_path_factory.mktemp("baseline")
    source = write_hours(folder / "then.csv", 500, 10_000)
    return run_job(folder, source, exclude_features_attribute="time")


@pytest.mark.parametrize("rules", ["sound", "sagemaker"])
def test_jobs_tell_of_it_in_files_on_pages_and_to_others(
    tmp_path: Path, baseline: Result, rules: str
) -> None:
    result = run_job(
        tmp_path,
        write_hours(tmp_path / "now.csv", 40, 10),
        each_window="Enabled",
        window="PT1H",
        start_time=FIRST.isoformat(),
        end_time=(FIRST + 40 * HOUR).isoformat(),
        time_attribute="time",
        history_path=tmp_path / "history",
        rules=rules,
        **baseline_of(baseline),
    )
    last = result.output / "2026-05-08T1300Z"
    found = json.loads((last / "constraint_violations.json").read_text())["violations"]
    if rules == "sagemaker":
        assert "lasting_change_check" not in {one["constraint_check_type"] for one in found}
        return
    assert [(one["feature_name"], one["constraint_check_type"]) for one in found] == [
        ("income", "lasting_change_check")
    ]
    told = json.loads((last / "comparisons.json").read_text())["comparisons"]
    states = {one["subject"]: one["state"] for one in told if one["check"] == "lasting_change_check"}
    assert states == {"income": "violated", "age": "holds"}
    page = (last / "report.html").read_text()
    assert "% of pairs a value of the last 24 windows" in page
    assert SENTENCES["page_advice.lasting_change_check"].rstrip(".") in page
    first = result.output / "2026-05-06T2200Z"
    assert not json.loads((first / "constraint_violations.json").read_text())["violations"]
    with environment({"history_path": str(tmp_path / "history")}):
        assert monitor_history(["report", "--output", str(tmp_path / "pages")]) == 0
    assert "income: In " in (tmp_path / "pages" / "index.html").read_text()


def test_windows_that_overlap_count_no_row_twice() -> None:
    """Days that are looked at every hour: 200 of them are nine days."""
    start = FIRST + timedelta(days=9)
    found = RunFinding("income", 0.1, shift=(0.11, 0.12))
    runs = [
        make_run(window=(at, at + timedelta(days=1)), findings=(found,))
        for at in (start - hour * HOUR for hour in range(200, 0, -1))
    ]
    settings = replace(SETTINGS, window=Window(start, start + timedelta(days=1)))
    decision = decided(Shift(0.11, 0.12, 0.002, LIMIT))
    (*_, told) = with_lasting(settings, Earlier(alike=runs), Baseline(), decision).comparisons
    assert "the last 9 windows" in told.text
    assert told.state is State.HOLDS


def test_weeks_in_which_clocks_change_count() -> None:
    zone = ZoneInfo("Europe/Berlin")
    starts = [datetime(2026, 3, 9, tzinfo=zone) + week * timedelta(days=7) for week in range(5)]
    weeks = [(one, after) for one, after in itertools.pairwise(start.astimezone(UTC) for start in starts)]
    assert {(after - one) / HOUR for one, after in weeks} == {167.0, 168.0}
    found = RunFinding("income", 0.1, shift=(0.2, 0.01))
    runs = [make_run(window=window, findings=(found,)) for window in weeks[:3]]
    settings = replace(SETTINGS, window=Window(*weeks[3]), time_zone=zone)
    decision = decided(Shift(0.2, 0.01, 0.002, LIMIT))
    (*_, told) = with_lasting(settings, Earlier(alike=runs), Baseline(), decision).comparisons
    assert "the last 4 windows, from 2026-03-09 00:00 on" in told.text
