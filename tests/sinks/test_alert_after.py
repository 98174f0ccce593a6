"""An alert after several windows: events and exit codes wait, files and history do not."""

from __future__ import annotations

import json
from collections.abc import Collection
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from histories import run_of
from run_jobs import NO_VIOLATIONS, Result, baseline_of, environment, run_job
from sentences import says
from sink_server import serving

from containers.commands.main import monitor_history
from contract.errors import wording
from job_runner.earlier_windows import alert_of
from reporting.history.folder import read_runs
from reporting.history.record import Alert, Earlier, Run

pytest_plugins = ["s3_server"]
FIRST = datetime(2026, 3, 2, tzinfo=UTC)


def write_table(path: Path, days: int, moved: Collection[int] = (), empty: Collection[int] = ()) -> Path:
    rng = np.random.default_rng(5)
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = ["time,income"]
    for day in range(days):
        for minute in range(0 if day in empty else 200):
            at = FIRST + timedelta(days=day, minutes=minute)
            lines.append(f"{at.isoformat()},{rng.normal(80 if day in moved else 50, 10):.3f}")
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def baseline(tmp_path_factory: pytest.TempPathFactory) -> Result:
    folder = tmp_path_factory.mktemp("baseline")
    return run_job(folder, write_table(folder / "then.csv", 8), exclude_features_attribute="time")


def day(number: int) -> str:
    return (FIRST + timedelta(days=number)).isoformat()


def one(folder: Path, number: int, source: Path, baseline: Result, **variables: Any) -> Result:
    """Run the job about one day."""
    folder.mkdir(parents=True, exist_ok=True)
    given = {
        "start_time": day(number),
        "end_time": day(number + 1),
        "time_attribute": "time",
        "history_path": folder / "history",
        "alert_after": "2/3",
        "fail_on_violations": "Enabled",
        "output_path": folder / str(number),
        "report": "Disabled",
    }
    return run_job(folder, source, **{**given, **baseline_of(baseline), **variables})


def so_far(violated: int, windows: str) -> str:
    return wording("alert_after.of_first", violated=violated, windows=windows)


def of_last(violated: int) -> str:
    return wording("alert_after.of_last", violated=violated, windows="3 windows")


def test_the_second_of_three_windows_alerts(tmp_path: Path, baseline: Result) -> None:
    source = write_table(tmp_path / "now.csv", 7, moved=(1, 3, 6))
    with serving() as server:
        sinks = {"event_sinks": f"events+http://{server.host}/"}
        ended = [one(tmp_path, number, source, baseline, **sinks) for number in range(7)]
    assert [result.exit_code for result in ended] == [0, 0, 0, 3, 0, 0, 0]
    assert says(ended[1].message, "alert_after.waits", of=so_far(1, "2 windows"), next="2nd", passed_over="")
    assert says(ended[3].message, "alert_after.due", of=of_last(2), passed_over="")
    assert says(ended[6].message, "alert_after.waits", of=of_last(1), next="2nd", passed_over="")
    assert ended[0].message == NO_VIOLATIONS
    assert [len(result.violations) for result in ended] == [0, 1, 0, 1, 0, 0, 1]
    (event,) = (json.loads(request.body) for request in server.requests)
    assert event["data"]["alert"] == {"after": "2/3", "violated": 2, "windows": 3, "due": True}
    assert event["data"]["window"]["start"] == "2026-03-05T00:00:00Z"
    runs = read_runs(str(tmp_path / "history"))
    assert runs[1].alert == Alert("2/3", 1, 2, due=False)
    assert [len(run.violations or ()) for run in runs] == [0, 1, 0, 1, 0, 0, 1]


def test_the_same_window_run_again_counts_once(tmp_path: Path, baseline: Result) -> None:
    source = write_table(tmp_path / "now.csv", 2, moved=(0,))
    for _ in range(3):
        assert one(tmp_path, 0, source, baseline).exit_code == 0
    assert one(tmp_path, 1, source, baseline).exit_code == 0


@pytest.mark.parametrize(
    "other",
    [
        {"sagemaker_endpoint_name": "other"},
        {"sagemaker_monitoring_schedule_name": "other"},
        {"model_name": "other"},
        {"segment_by": "kind"},
        {"start_time": day(-1)},
    ],
)
def test_runs_about_something_else_do_not_count(
    tmp_path: Path, baseline: Result, other: dict[str, str]
) -> None:
    source = write_table(tmp_path / "now.csv", 2, moved=(0, 1))
    if "segment_by" in other:
        text = source.read_text(encoding="utf-8").replace("\n", ",a\n").replace("income,a", "income,kind")
        source.write_text(text, encoding="utf-8")
    first = one(tmp_path, 0, source, baseline, **other)
    assert (first.exit_code, first.violations != []) == (0, True)
    assert one(tmp_path, 1, source, baseline).exit_code == 0


def test_another_baseline_begins_anew(tmp_path: Path, baseline: Result) -> None:
    source = write_table(tmp_path / "now.csv", 3, moved=(0, 1, 2))
    renewed = run_job(
        tmp_path / "renewed",
        write_table(tmp_path / "renewed" / "then.csv", 7),
        exclude_features_attribute="time",
    )
    assert one(tmp_path, 0, source, renewed).exit_code == 0
    assert one(tmp_path, 1, source, baseline).exit_code == 0
    without = one(tmp_path, 2, source, baseline, history_statistics="Disabled")
    assert without.exit_code == 3


def test_windows_without_rows_are_passed_over_and_named(tmp_path: Path, baseline: Result) -> None:
    source = write_table(tmp_path / "now.csv", 4, moved=(0, 3), empty=(1, 2))
    open_ = {"fail_on_undecided": "Disabled"}
    ended = [one(tmp_path, number, source, baseline, **open_) for number in range(4)]
    assert [result.exit_code for result in ended] == [0, 0, 0, 3]
    passed = wording("alert_after.passed_over", windows="2 windows")
    assert says(ended[3].message, "alert_after.due", of=so_far(2, "2 windows"), passed_over=passed)


def test_each_window_counts_those_before_it(tmp_path: Path, baseline: Result) -> None:
    source = write_table(tmp_path / "now.csv", 6, moved=(1, 4, 5))
    given: dict[str, Any] = {"end_time": day(6), "window": "P1D", "each_window": "Enabled"}
    given |= {"output_path": tmp_path / "out"}
    result = one(tmp_path, 0, source, baseline, **given)
    assert result.exit_code == 3
    assert says(result.message, "windows.waiting", windows=2, after="2/3")
    runs = read_runs(str(tmp_path / "history"))
    assert [run.exit_code for run in runs] == [0, 0, 0, 0, 0, 3]
    again = one(tmp_path, 0, source, baseline, **given)
    there = wording("windows.there", windows="6 windows", of=6)
    assert (again.exit_code, again.message) == (3, f"{result.message} {there}")
    assert one(tmp_path, 0, source, baseline, **{**given, "end_time": day(5)}).exit_code == 0


def test_a_gate_does_not_wait(tmp_path: Path, baseline: Result) -> None:
    source = write_table(tmp_path / "now.csv", 1, moved=(0,))
    result = one(tmp_path, 0, source, baseline, register_new_baseline=tmp_path / "kept")
    assert result.exit_code == 3
    assert "alert" not in result.message


def test_a_history_that_cannot_be_read_does_not_hold_an_alert_back(tmp_path: Path, baseline: Result) -> None:
    source = write_table(tmp_path / "now.csv", 2, moved=(0, 1))
    (tmp_path / "history" / "runs").mkdir(parents=True)
    (tmp_path / "history" / "runs" / "20260301T000000.000000Z-x.jsonl.gz").write_bytes(b"no record")
    result = one(tmp_path, 0, source, baseline)
    assert result.exit_code == 3
    assert "The alert does not wait, because earlier windows are not known:" in result.message


def test_a_history_on_s3_that_begins_holds_an_alert_back(
    tmp_path: Path, baseline: Result, bucket: Path
) -> None:
    source = write_table(tmp_path / "now.csv", 2, moved=(0, 1))
    kept = {"history_path": f"s3://{bucket.name}/history"}
    ended = [one(tmp_path, number, source, baseline, **kept) for number in range(2)]
    assert [result.exit_code for result in ended] == [0, 3]
    assert says(ended[0].message, "alert_after.waits", of=so_far(1, "1 window"), next="2nd")


def test_the_page_and_the_list_say_that_it_waits(
    tmp_path: Path, baseline: Result, capsys: pytest.CaptureFixture[str]
) -> None:
    source = write_table(tmp_path / "now.csv", 1, moved=(0,))
    result = one(tmp_path, 0, source, baseline, report="Enabled")
    page = (result.output / "report.html").read_text(encoding="utf-8")
    assert "1 violation of the baseline&#39;s constraints, no alert yet" in page
    assert says(page, "alert_after.waits", of=so_far(1, "1 window"), next="2nd")
    with environment({"history_path": str(tmp_path / "history")}):
        assert monitor_history(["list"]) == 0
    assert "1 violation, no alert yet" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("variables", "part"),
    [
        ({"alert_after": "4/3"}, "alert_after is '4/3'; write for example 2/3"),
        ({"alert_after": "0/3"}, "the first from 1 to the second"),
        ({"alert_after": "2"}, "alert_after is '2'"),
        ({"alert_after": "2/101"}, "the second up to 100"),
        ({"alert_after": "two/three"}, "alert_after is 'two/three'"),
        ({"history_path": None}, "alert_after counts earlier windows, and history_path is not set"),
        ({"start_time": None, "end_time": None}, "alert_after counts windows, and this job is about all"),
        ({"alert_afer": "2/3"}, "did you mean alert_after?"),
    ],
)
def test_what_cannot_be_done_is_said(
    tmp_path: Path, baseline: Result, variables: dict[str, Any], part: str
) -> None:
    result = one(tmp_path, 0, write_table(tmp_path / "now.csv", 1), baseline, **variables)
    assert result.exit_code == 2
    assert part in result.message


@pytest.mark.parametrize(
    ("after", "went", "due"),
    [
        ((1, 1), "v", True),
        ((2, 2), "vv", True),
        ((2, 2), "vfv", False),
        ((2, 3), "vfv", True),
        ((2, 3), "vffv", False),
        ((2, 3), "vvf", False),
        ((3, 5), "vfvfv", True),
        ((2, 2), "vuuv", True),
        ((3, 3), "vv", False),
    ],
)
def test_k_of_n(after: tuple[int, int], went: str, due: bool) -> None:
    """Letters are windows: violated, fine, undecided."""
    found = {"v": 0.5, "f": 0.8, "u": None}
    runs: list[Run] = [run_of(number, accuracy=found[letter]) for number, letter in enumerate(went)]
    assert alert_of(after, Earlier(alike=runs[:-1]), runs[-1]).due is due
