"""What windows of a baseline do by themselves: learned, kept, and no alarm; what goes beyond it still is."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from run_jobs import CSV, Result, baseline_of, environment, run_job
from sentences import said, says

from containers.commands.main import monitor_backtest as replay
from containers.data_quality.main import main as monitor_data_quality
from contract.api import Baseline, Checker, Comparison, Decision, State, Violation, Violations
from contract.window import Window
from job_runner.earlier_windows import check, variation_of

FIRST = datetime(2026, 3, 2, tzinfo=UTC)
DAYS = 7
COMMON = {"time_attribute": "time", "exclude_features_attribute": "time"}


def write(path: Path, days: range, rows: int = 120, *, hours: range = range(24), shift: float = 0.0) -> Path:
    """Write rows of hours: the load follows the hour of the day, the age does not."""
    rng = np.random.default_rng(days.start)
    lines = ["time,load,age"]
    for day in days:
        for hour in hours:
            start = FIRST + timedelta(days=day, hours=hour)
            for _ in range(rows):
                at = start + timedelta(seconds=int(rng.integers(3600)))
                load = rng.normal(100 + 30 * np.sin(hour / 24 * 2 * np.pi) + shift, 10)
                lines.append(f"{at.isoformat()},{load:.3f},{rng.normal(40, 10):.2f}")
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def instant(day: int, hour: int = 0) -> str:
    return (FIRST + timedelta(days=day, hours=hour)).isoformat().replace("+00:00", "Z")


def learned(folder: Path, source: Path, **variables: Any) -> Result:
    given = {"start_time": instant(0), "end_time": instant(DAYS), "baseline_window": "PT1H", **COMMON}
    return run_job(folder, source, **{**given, **variables})


@pytest.fixture(scope="module")
def baseline(tmp_path_factory: pytest.TempPathFactory) -> Result:
    folder = tmp_path_factory.mktemp("baseline")
    return learned(folder, write(folder / "then.csv", range(DAYS)))


def checked(folder: Path, source: Path, baseline: Result, hour: int, **variables: Any) -> Result:
    folder.mkdir()
    times = {"start_time": instant(DAYS, hour), "end_time": instant(DAYS, hour + 1)}
    return run_job(folder, source, **{**COMMON, **times, **baseline_of(baseline), **variables})


def test_constraints_carry_what_windows_do(baseline: Result) -> None:
    found = baseline.document("constraints.json")["natural_variation"]
    assert (found["window"], found["time_zone"], found["windows"]) == ("PT1H", "UTC", 24 * DAYS)
    assert found["violating"] > 100
    page = (baseline.output / "report.html").read_text(encoding="utf-8")
    assert says(page, "variation.learned", window="PT1H", windows=24 * DAYS, violating=found["violating"])
    distances = {one["subject"]: one["most"] for one in found["usual"] if one.get("part") == "distance"}
    assert len(distances["load"]) == 24  # by the hour of the day
    assert distances["load"][6] > 1.5 * distances["load"][0]
    # Of age no window alarms; where it lies is known all the same, for changes that last.
    assert {one["part"] for one in found["usual"] if one["subject"] == "age"} <= {"shift"}


def test_hours_of_a_season_do_not_alarm_where_they_are_known(tmp_path: Path, baseline: Result) -> None:
    source = write(tmp_path / "now.csv", range(DAYS, DAYS + 1))
    result = checked(tmp_path / "known", source, baseline, 6)
    assert result.violations == []
    comparisons = json.loads((result.output / "comparisons.json").read_text())["comparisons"]
    drift = next(
        one for one in comparisons if (one["subject"], one["check"][:14]) == ("load", "baseline_drift")
    )
    assert drift["state"] == "changed_within_limit"
    assert says(drift["text"], "variation.usual", window="PT1H")


def test_without_it_hours_alarm_or_are_not_decided(tmp_path: Path) -> None:
    source = write(tmp_path / "now.csv", range(DAYS, DAYS + 1))
    then = write(tmp_path / "then.csv", range(DAYS))
    (tmp_path / "sorted").mkdir()
    sorted_rows = run_job(tmp_path / "sorted", then, **COMMON)
    head, *lines = then.read_text().splitlines()
    lines = np.random.default_rng(1).permutation(lines).tolist()
    then.write_text("\n".join([head, *lines]))
    (tmp_path / "shuffled").mkdir()
    shuffled = run_job(tmp_path / "shuffled", then, **COMMON)
    alarming = checked(tmp_path / "alarming", source, shuffled, 6)
    assert [one["feature_name"] for one in alarming.violations] == ["load"]
    # In their order, hours look like rows that depend on each other, and hide any change.
    moved = write(tmp_path / "moved.csv", range(DAYS, DAYS + 1), hours=range(6, 7), shift=40.0)
    assert checked(tmp_path / "hidden", moved, sorted_rows, 6).violations == []


@pytest.mark.parametrize(("hour", "shift"), [(0, 20.0), (6, 40.0), (12, -20.0)])
def test_more_than_windows_do_by_themselves_is_an_alarm(
    tmp_path: Path, baseline: Result, hour: int, shift: float
) -> None:
    source = write(tmp_path / "now.csv", range(DAYS, DAYS + 1), hours=range(hour, hour + 1), shift=shift)
    result = checked(tmp_path / "now", source, baseline, hour)
    assert [one["feature_name"] for one in result.violations] == ["load"]


def test_windows_of_another_length_are_not_explained(tmp_path: Path, baseline: Result) -> None:
    source = write(tmp_path / "now.csv", range(DAYS, DAYS + 1), shift=50.0)
    result = checked(tmp_path / "now", source, baseline, 0, end_time=instant(DAYS + 1))
    assert "natural_variation is that of windows of PT1H" in (result.output / "report.html").read_text()


def test_a_backtest_knows_it(tmp_path: Path, baseline: Result, capsys: pytest.CaptureFixture[str]) -> None:
    source = write(tmp_path / "now.csv", range(DAYS, DAYS + 1), hours=range(6, 8), shift=0.0)
    history = tmp_path / "history"
    result = checked(tmp_path / "now", source, baseline, 6, history_path=history)
    assert result.violations == []
    assert replay(["--history-path", str(history), "--format", "json"]) == 0
    window = json.loads(capsys.readouterr().out)["windows"][0]
    assert (window["before"]["violations"], window["after"]["violations"], window["notes"]) == ([], [], [])
    # A folder does not tell of which hour it is.
    of = [f"--{name.replace('_', '-')}={path}" for name, path in baseline_of(baseline).items()]
    assert replay([str(result.output), *of]) == 2
    assert said(capsys.readouterr().out, "replay.no_time", file=result.output)


def test_a_new_baseline_keeps_it(tmp_path: Path, baseline: Result) -> None:
    source = write(tmp_path / "now.csv", range(DAYS, DAYS + 1))
    checked(tmp_path / "now", source, baseline, 6, register_new_baseline=tmp_path / "new")
    known = baseline.document("constraints.json")["natural_variation"]
    assert json.loads((tmp_path / "new" / "constraints.json").read_text())["natural_variation"] == known


def test_each_window_knows_it(tmp_path: Path, baseline: Result) -> None:
    source = write(tmp_path / "now.csv", range(DAYS, DAYS + 1))
    times = {"start_time": instant(DAYS), "end_time": instant(DAYS + 1), "window": "PT1H"}
    result = run_job(
        tmp_path, source, each_window="Enabled", report="Disabled", **COMMON, **times, **baseline_of(baseline)
    )
    assert "24 windows: 0 with violations, 0 without a decision, 24 without violations" in result.message


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        ({"baseline_window": "P1D"}, "baseline_window is P1D, which makes 7 windows; take shorter ones"),
        ({"baseline_window": "1 hour"}, "baseline_window is '1 hour', which is no ISO 8601 duration"),
        ({"end_time": None}, "end_time is not set, which many windows need"),
        ({"window": "PT1H"}, "and window is set"),
        ({"rules": "sagemaker"}, "and rules=sagemaker is set"),
        ({"baseline_constraints": "c.json"}, "and baseline_constraints is set"),
    ],
)
def test_settings_that_cannot_be(tmp_path: Path, variables: dict[str, str | None], said: str) -> None:
    result = learned(tmp_path, tmp_path / "absent.csv", **variables)
    assert result.exit_code == 2
    assert said in result.message


@pytest.mark.parametrize(
    ("member", "value", "said"),
    [
        ("window", "an hour", "natural_variation"),
        ("time_zone", "Mars/Olympus", "Mars/Olympus"),
        (
            "usual",
            [{"subject": "load", "check": "baseline_drift_check", "most": [1.0, 2.0]}],
            "1, 7, 24 or 168",
        ),
        ("usual", [{"subject": "load", "check": "baseline_drift_check"}], "most"),
    ],
)
def test_what_an_expert_breaks_is_named(
    tmp_path: Path, baseline: Result, member: str, value: Any, said: str
) -> None:
    document = baseline.document("constraints.json")
    document["natural_variation"][member] = value
    (tmp_path / "constraints.json").write_text(json.dumps(document))
    source = write(tmp_path / "now.csv", range(DAYS, DAYS + 1), hours=range(1))
    given = {"baseline_constraints": tmp_path / "constraints.json"}
    result = checked(tmp_path / "now", source, baseline, 0, **given)
    assert result.exit_code == 2
    assert said in result.message
    assert "constraints.json" in result.message


def test_validate_takes_the_settings_of_the_job(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = write(tmp_path / "then.csv", range(1), rows=10)
    times = {"start_time": instant(0), "end_time": instant(1), "baseline_window": "PT1H"}
    settings = {
        "dataset_source": source,
        "dataset_format": CSV,
        "output_path": tmp_path / "out",
        **COMMON,
        **times,
    }
    settings["output_message_file"] = tmp_path / "message"
    with environment({name: str(value) for name, value in settings.items()}):
        assert monitor_data_quality(["--validate"]) == 0
    assert "FAIL" not in capsys.readouterr().out


class Told(Checker[dict[str, Any], None]):
    """A checker that finds what its statistics say."""

    def suggest(self, statistics: dict[str, Any], baseline: Baseline[dict[str, Any], None] | None) -> None:
        return None

    def check(self, statistics: dict[str, Any], baseline: Baseline[dict[str, Any], None]) -> Decision:
        found = [
            Comparison(name, "check", State.VIOLATED if far > 1 else State.HOLDS, effect=far, limit=1.0)
            for name, far in statistics.items()
        ]
        violations = [Violation("check", "", one.subject) for one in found if one.state is State.VIOLATED]
        return Decision(Violations(violations), comparisons=tuple(found))


def test_days_of_the_week_are_told_apart_in_the_time_zone_where_they_differ() -> None:
    rng, zone = np.random.default_rng(1), ZoneInfo("America/New_York")
    first = datetime(2026, 3, 2, tzinfo=zone)  # a Monday, before clocks are put forward

    def day(number: int) -> Window:
        return Window(*((first + timedelta(days=number + more)).astimezone(UTC) for more in (0, 1)))

    each = [
        (Told(), day(number), {"sales": 5.0 * (number % 7 > 4) + rng.normal(1.0, 0.1), "other": rng.normal()})
        for number in range(28)
    ]
    found = variation_of(each, Baseline({}, None), "P1D", zone)
    usual = {one.subject: one.most for one in found.usual}
    assert [len(usual["sales"]), len(usual["other"])] == [7, 1]
    known = Baseline({}, None, found)
    sunday, monday = day(34), day(35)
    for window, alarms in ((sunday, []), (monday, ["sales"])):
        decision = check(Told(), {"sales": 5.5, "other": 0.5}, known, window)
        assert [one.feature_name for one in decision.violations.violations] == alarms
    assert check(Told(), {"sales": 8.0}, known, sunday).violations.violations
