"""Many windows in one job: the same files as from single jobs, whatever the order, and after a kill."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Callable
from contextlib import nullcontext
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from run_jobs import Result, baseline_of, run_job
from sentences import said, says

from containers.model_quality.main import main as monitor_model_quality
from contract.errors import ConfigurationError, DatasetError, OutputError, wording
from contract.window import Window, fill_in_start, folders_of, read_instant, resolve_window
from file_storage import storage
from job_runner import job, windows

FIRST = datetime(2026, 3, 2, tzinfo=UTC)
DAYS = 6


def write_table(path: Path, days: int = DAYS, rows: int = 300, *, moved: int | None = None) -> Path:
    """Write rows in no order, with their time; in one day the income has moved."""
    rng = np.random.default_rng(5)
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = []
    for day in range(days):
        for _ in range(rows):
            at = FIRST + timedelta(days=day, seconds=int(rng.integers(86_400)))
            income = rng.normal(50 + (30 if day == moved else 0), 10)
            lines.append(f"{at.isoformat()},{rng.integers(18, 90)},{income:.3f},{rng.choice(['a', 'b'])}")
    rng.shuffle(lines)
    path.write_text("time,age,income,kind\n" + "\n".join(lines) + "\n", encoding="utf-8")
    return path


def day(number: int) -> str:
    return (FIRST + timedelta(days=number)).isoformat().replace("+00:00", "Z")


@pytest.fixture(scope="module")
def baseline(tmp_path_factory: pytest.TempPathFactory) -> Result:
    folder = tmp_path_factory.mktemp("baseline")
    source = write_table(folder / "then.csv", days=10)
    return run_job(folder, source, exclude_features_attribute="time")


def each(folder: Path, source: Path, baseline: Result, **variables: Any) -> Result:
    folder.mkdir(parents=True, exist_ok=True)
    given = {"start_time": day(0), "end_time": day(DAYS), "window": "P1D", "time_attribute": "time"}
    return run_job(folder, source, each_window="Enabled", **{**given, **baseline_of(baseline), **variables})


def alone(folder: Path, source: Path, number: int, **variables: Any) -> Result:
    folder.mkdir(parents=True)
    return run_job(folder, source, start_time=day(number), end_time=day(number + 1), **variables)


def contents(folder: Path) -> dict[str, str]:
    """Return the files of one folder, without what tells when they were made."""
    found = {file.name: file.read_text(encoding="utf-8") for file in folder.iterdir()}
    page = found.pop("report.html", "")
    found["statistics.json"] = re.sub(r'"evaluation_time" : "[^"]*"', "", found["statistics.json"])
    return {**found, "report.html": page.partition("<footer>")[0]}


def test_the_same_files_as_from_single_jobs(tmp_path: Path, baseline: Result) -> None:
    source = write_table(tmp_path / "now.csv", moved=3)
    result = each(tmp_path / "each", source, baseline)
    assert result.exit_code == 0
    assert result.files == [f"2026-03-0{number}" for number in range(2, 2 + DAYS)]
    assert "6 windows: 1 with violations, 0 without a decision, 5 without violations" in result.message
    assert says(result.message, "windows.alarms", alarms="2026-03-05 00:00 (income)")
    for number in range(DAYS):
        single = alone(tmp_path / str(number), source, number, time_attribute="time", **baseline_of(baseline))
        assert contents(single.output) == contents(result.output / f"2026-03-0{number + 2}")


def test_files_dated_by_their_paths(tmp_path: Path, baseline: Result) -> None:
    for number in range(3):
        source = write_table(tmp_path / f"in/dt=2026-03-0{number + 2}/a.csv", days=1, moved=number - 1)
    result = each(
        tmp_path / "each",
        tmp_path / "in",
        baseline,
        time_attribute=None,
        end_time=day(3),
        exclude_features_attribute="time",
        output_path=tmp_path / "out" / "%Y/%m/%d",
    )
    assert says(result.message, "windows.alarms", alarms="2026-03-03 00:00 (income)")
    single = alone(
        tmp_path / "1", tmp_path / "in", 1, exclude_features_attribute="time", **baseline_of(baseline)
    )
    assert contents(single.output) == contents(tmp_path / "out/2026/03/03")
    assert source.exists()


def capture(number: int, rng: np.random.Generator, day_of: int) -> tuple[str, str]:
    at = FIRST + timedelta(days=day_of, minutes=int(rng.integers(1440)))
    label = int(rng.random() < 0.4)
    score = float(np.clip(0.3 + 0.4 * label + rng.normal(0, 0.15), 0, 1)) if day_of != 2 else rng.random()
    record = {
        "captureData": {
            "endpointOutput": {
                "observedContentType": "text/csv",
                "mode": "OUTPUT",
                "data": f"{int(score > 0.5)},{score:.4f}",
                "encoding": "CSV",
            }
        },
        "eventMetadata": {"eventId": f"e{number}", "inferenceTime": at.isoformat()},
        "eventVersion": "0",
    }
    truth = {
        "groundTruthData": {"data": str(label), "encoding": "CSV"},
        "eventMetadata": {"eventId": f"e{number}"},
        "eventVersion": "0",
    }
    return json.dumps(record), json.dumps(truth)


def test_model_quality_with_labels_by_id(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    pairs = [capture(number, rng, number % 4) for number in range(1600)]
    for name, place in (("captures", 0), ("labels", 1)):
        (tmp_path / name).mkdir()
        text = "\n".join(pair[place] for pair in pairs) + "\n"
        (tmp_path / name / "all.jsonl").write_text(text, encoding="utf-8")
    columns = {
        "command": monitor_model_quality,
        "problem_type": "BinaryClassification",
        "inference_attribute": "0",
        "probability_attribute": "1",
        "ground_truth_source": tmp_path / "labels",
        "dataset_format": '{"sagemakerCaptureJson":{"captureIndexNames":["endpointOutput"]}}',
    }
    (tmp_path / "baseline").mkdir()
    times = {"start_time": day(0), "end_time": day(2)}
    first = run_job(tmp_path / "baseline", tmp_path / "captures", **columns, **times)
    both = {**columns, **baseline_of(first)}
    history = tmp_path / "history"
    result = run_job(
        tmp_path,
        tmp_path / "captures",
        each_window="Enabled",
        start_time=day(0),
        end_time=day(4),
        window="P1D",
        history_path=history,
        report="Disabled",
        **both,
    )
    assert "Violations in 2026-03-04 00:00 (" in result.message
    assert len(list((history / "runs").iterdir())) == 4
    for number in range(4):
        kept = {"report": "Disabled", "history_path": tmp_path / "other"}
        single = alone(tmp_path / str(number), tmp_path / "captures", number, **kept, **both)
        assert contents(single.output) == contents(result.output / f"2026-03-0{number + 2}")


def test_payloads_that_cannot_be_decoded_are_compared_for_each_window(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    records = [json.loads(capture(number, rng, number % 3)[0]) for number in range(900)]
    for number in range(1, 300, 3):
        records[number]["captureData"]["endpointOutput"] |= {"data": "{not", "encoding": "JSON"}
    (tmp_path / "captures").mkdir()
    text = "".join(f"{json.dumps(record)}\n" for record in records)
    (tmp_path / "captures" / "all.jsonl").write_text(text, encoding="utf-8")
    form = {"dataset_format": '{"sagemakerCaptureJson":{"captureIndexNames":["endpointOutput"]}}'}
    (tmp_path / "baseline").mkdir()
    times = {"start_time": day(0), "end_time": day(1)}
    first = run_job(tmp_path / "baseline", tmp_path / "captures", **form, **times)
    both = {**form, **baseline_of(first), "report": "Disabled"}
    times = {"start_time": day(0), "end_time": day(3), "window": "P1D"}
    result = run_job(tmp_path, tmp_path / "captures", each_window="Enabled", **times, **both)
    for number in range(3):
        folder = result.output / f"2026-03-0{number + 2}"
        single = alone(tmp_path / str(number), tmp_path / "captures", number, **both)
        assert (folder / "comparisons.json").read_text() == (single.output / "comparisons.json").read_text()
        violations = (folder / "constraint_violations.json").read_text()
        assert ("100 of 300 payloads could not be decoded" in violations) == (number == 1)
        read = [json.loads((where / "statistics.json").read_text()) for where in (folder, single.output)]
        counts = [one["reading"].get("undecodable_payloads") for one in read]
        assert counts == [100 if number == 1 else None] * 2


def test_a_window_without_rows_after_a_baseline_with_payloads_that_cannot_be_decoded(tmp_path: Path) -> None:
    lines = [capture(number, np.random.default_rng(3), 0)[0] for number in range(50)]
    records = [json.loads(line) for line in lines]
    records[7]["captureData"]["endpointOutput"] |= {"data": "{not", "encoding": "JSON"}
    (tmp_path / "captures").mkdir()
    text = "".join(f"{json.dumps(record)}\n" for record in records)
    (tmp_path / "captures" / "all.jsonl").write_text(text, encoding="utf-8")
    form = {"dataset_format": '{"sagemakerCaptureJson":{"captureIndexNames":["endpointOutput"]}}'}
    (tmp_path / "baseline").mkdir()
    first = run_job(tmp_path / "baseline", tmp_path / "captures", **form)
    times = {"start_time": day(20), "end_time": day(21)}
    result = run_job(tmp_path, tmp_path / "captures", **form, **times, **baseline_of(first))
    assert result.exit_code == 0
    assert "there are no rows in" in result.message
    # What the job itself has written there is no number any more.
    edited = json.loads((first.output / "statistics.json").read_text())
    edited["reading"]["undecodable_payloads"] = "many"
    (first.output / "statistics.json").write_text(json.dumps(edited))
    result = run_job(tmp_path, tmp_path / "captures", **form, **times, **baseline_of(first))
    assert result.exit_code == 2
    assert "reading.undecodable_payloads" in result.message


def test_windows_that_were_compared_otherwise_are_made_again(tmp_path: Path, baseline: Result) -> None:
    source, kept = write_table(tmp_path / "now.csv", moved=3), {"history_path": tmp_path / "history"}
    assert each(tmp_path / "job", source, baseline, fail_on_violations="Enabled", **kept).exit_code == 3
    edited = tmp_path / "edited.json"
    document = json.loads((baseline.output / "constraints.json").read_text(encoding="utf-8"))
    document["monitoring_config"]["distribution_constraints"]["perform_comparison"] = "Disabled"
    edited.write_text(json.dumps(document), encoding="utf-8")
    kept |= {"baseline_constraints": edited, "fail_on_violations": "Enabled"}
    result = each(tmp_path / "job", source, baseline, **kept)
    assert result.exit_code == 0
    assert not said(result.message, "windows.there")
    again = each(tmp_path / "job", source, baseline, **kept)
    assert says(again.message, "windows.there", windows=f"{DAYS} windows", of=DAYS)


def test_each_window_has_its_file_of_metrics(tmp_path: Path, baseline: Result) -> None:
    folder = tmp_path / "metrics"
    given = {"publish_cloudwatch_metrics": "Enabled", "cloudwatch_metrics_directory": folder}
    each(tmp_path / "job", write_table(tmp_path / "now.csv"), baseline, **given)
    lines = [json.loads(line) for file in folder.iterdir() for line in file.read_text().splitlines()]
    assert {one["Timestamp"] for one in lines} == {day(number) for number in range(DAYS)}


class Killed(BaseException):
    """A kill: nothing of ours catches it."""


def killing(after: int) -> Callable[..., Any]:
    real, done = job.finish, []

    def finish(*arguments: Any) -> Any:
        if len(done) == after:
            raise Killed
        done.append(1)
        return real(*arguments)

    return finish


@pytest.mark.parametrize("together", [1, 2, 100])
@pytest.mark.parametrize("history", [False, True])
def test_a_killed_job_goes_on_where_it_stopped(
    tmp_path: Path, baseline: Result, together: int, history: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = write_table(tmp_path / "now.csv", moved=3)
    kept = {"history_path": tmp_path / "history"} if history else {}
    # With a history of its own, which what is decided depends on.
    whole = each(tmp_path / "whole", source, baseline, **dict.fromkeys(kept, tmp_path / "other"))
    monkeypatch.setattr(windows, "MOST_TOGETHER", together)
    for after in (2, 1, 0):
        with monkeypatch.context() as patch:
            patch.setattr(job, "finish", killing(after))
            with pytest.raises(Killed):
                each(tmp_path / "killed", source, baseline, **kept)
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "killed/output").rglob("*.json")}
    assert len(before) == 3 * 4
    result = each(tmp_path / "killed", source, baseline, fail_on_violations="Enabled", **kept)
    assert all(path.stat().st_mtime_ns == written for path, written in before.items())
    there = wording("windows.there", windows="3 windows", of=DAYS)
    assert result.message == f"{whole.message} {there}"
    assert result.exit_code == 3
    for number in range(2, 2 + DAYS):
        name = f"2026-03-0{number}"
        ours, theirs = contents(result.output / name), contents(whole.output / name)
        assert {**ours, "report.html": ""} == {**theirs, "report.html": ""}
    if history:
        assert len(list((tmp_path / "history/runs").iterdir())) == DAYS


def test_a_job_that_ended_before_its_records_leaves_no_statistics_twice(
    tmp_path: Path, baseline: Result, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, real = write_table(tmp_path / "now.csv"), storage.write_file

    def write_file(path: str, content: bytes) -> None:
        if "/runs/" in path:
            raise OutputError("full", file=path)
        real(path, content)

    history = tmp_path / "history"
    with monkeypatch.context() as patch:
        patch.setattr(storage, "write_file", write_file)
        each(tmp_path / "each", source, baseline, history_path=history)
    assert not (history / "runs").exists()
    assert each(tmp_path / "each", source, baseline, history_path=history).exit_code == 0
    counts = [len(list((history / name).iterdir())) for name in ("runs", "statistics")]
    assert counts == [DAYS, DAYS]


def test_windows_before_one_that_cannot_be_read_are_finished(
    tmp_path: Path, baseline: Result, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = windows._read

    def reading(of: job.Job, together: Window) -> Any:
        if together.start.day >= 6:
            raise DatasetError("the file is damaged", file="now.csv")
        return real(of, together)

    monkeypatch.setattr(windows, "MOST_TOGETHER", 2)
    monkeypatch.setattr(windows, "_read", reading)
    result = each(tmp_path / "each", write_table(tmp_path / "now.csv"), baseline)
    assert (result.exit_code, "the file is damaged" in result.message) == (2, True)
    assert len(list(result.output.rglob("constraint_violations.json"))) == 4


def test_after_a_kill_the_same_windows_are_read_together(
    tmp_path: Path, baseline: Result, monkeypatch: pytest.MonkeyPatch
) -> None:
    read, real = [], windows._read

    def reading(of: job.Job, together: Window) -> Any:
        read.append(together.start.day)
        return real(of, together)

    monkeypatch.setattr(windows, "MOST_TOGETHER", 3)
    monkeypatch.setattr(windows, "_read", reading)
    source = write_table(tmp_path / "now.csv")
    with monkeypatch.context() as patch:
        patch.setattr(job, "finish", killing(4))
        with pytest.raises(Killed):
            each(tmp_path / "each", source, baseline)
    assert read == [2, 5]
    assert each(tmp_path / "each", source, baseline).exit_code == 0
    # The last two of the second three are lacking: the digits of their sums depend on what is read with them.
    assert read == [2, 5, 5]


def test_a_window_of_which_nothing_was_decided_is_made_again(tmp_path: Path, baseline: Result) -> None:
    source = write_table(tmp_path / "now.csv", days=DAYS - 1)
    first = each(tmp_path / "each", source, baseline, fail_on_undecided="Enabled")
    assert first.exit_code == 5
    assert "1 without a decision" in first.message
    again = each(tmp_path / "each", write_table(tmp_path / "now.csv"), baseline, fail_on_undecided="Enabled")
    assert (again.exit_code, "0 without a decision" in again.message) == (0, True)


@pytest.mark.parametrize(("gate", "exit_code"), [("all", 3), ("last", 0)])
def test_the_gate(tmp_path: Path, baseline: Result, gate: str, exit_code: int) -> None:
    source = write_table(tmp_path / "now.csv", moved=3)
    result = each(tmp_path / "each", source, baseline, gate_on=gate, fail_on_violations="Enabled")
    assert result.exit_code == exit_code


def test_without_a_baseline_windows_are_described(tmp_path: Path, baseline: Result) -> None:
    source = write_table(tmp_path / "now.csv", days=2)
    result = each(tmp_path / "each", source, baseline, baseline_constraints=None, baseline_statistics=None)
    assert result.exit_code == 0
    assert result.files == ["2026-03-02", "2026-03-03"]
    assert "2 windows: 0 with violations, 0 without a decision, 0 without violations, 2 not" in result.message
    assert says(result.message, "outcome.empty")
    assert "because nothing was" in result.message


def test_segments_of_each_window(tmp_path: Path, baseline: Result) -> None:
    source = write_table(tmp_path / "now.csv")
    result = each(tmp_path / "each", source, baseline, segment_by="kind")
    found = json.loads((result.output / "2026-03-04" / "statistics.json").read_text(encoding="utf-8"))
    assert sum(segment["item_count"] for segment in found["segments"]) == 300


@pytest.mark.parametrize(
    ("variables", "says"),
    [
        ({"end_time": None}, "end_time is not set, which many windows need"),
        ({"window": None}, "window is not set, which many windows need"),
        (
            {"window": "PT7H"},
            "end_time lies within a window of PT7H: the last of 21 would begin at 2026-03-07T20",
        ),
        ({"window": "P1W", "start_time": "2026-03-04", "end_time": "2026-03-18"}, "begin at 2026-03-02"),
        ({"time_zone": "Mars/Olympus"}, "time_zone is 'Mars/Olympus', which is no time zone"),
        ({"output_path": "/tmp/out/%Y"}, "which gives several windows one folder"),
        ({"register_new_baseline": "/tmp/new"}, "register_new_baseline takes one window"),
        ({"window": "PT1S"}, "makes 518400 windows"),
        ({"exclude_features_attribute": "incom"}, "did you mean income?"),
    ],
)
def test_what_cannot_be_done_is_said(
    tmp_path: Path, baseline: Result, variables: dict[str, Any], says: str
) -> None:
    result = each(tmp_path / "each", write_table(tmp_path / "now.csv"), baseline, **variables)
    assert result.exit_code == 2
    assert says in result.message


def test_days_of_a_time_zone_change_their_length(tmp_path: Path, baseline: Result) -> None:
    result = each(
        tmp_path / "each",
        write_table(tmp_path / "now.csv", days=9),
        baseline,
        start_time="2026-03-07",
        end_time="2026-03-10",
        time_zone="America/New_York",
        report="Disabled",
    )
    assert result.files == ["2026-03-07", "2026-03-08", "2026-03-09"]


@pytest.mark.parametrize(("day", "hours"), [("2026-03-29", 23), ("2026-10-25", 25), ("2026-06-01", 24)])
@pytest.mark.parametrize("days", [1, 2])
def test_a_day_ends_when_the_next_begins(day: str, hours: int, days: int) -> None:
    zone = ZoneInfo("Europe/Berlin")
    start = datetime.fromisoformat(day)
    times = (day, (start + timedelta(days=days)).isoformat(), "P1D", None, None)
    found = resolve_window(*times, now=datetime.now(UTC), each="window", zone=zone)
    assert found is not None
    assert [(one.end - one.start) // timedelta(hours=1) for one in found.each()] == [hours, 24][:days]


def test_the_last_full_day_is_one_of_the_zone() -> None:
    now = datetime(2026, 5, 7, 2, 30, tzinfo=UTC)  # still the 6th in New York
    zone = ZoneInfo("America/New_York")
    found = resolve_window(None, None, "P1D", None, None, now=now, zone=zone)
    assert found is not None
    assert (found.start, found.end) == (
        datetime(2026, 5, 5, 4, tzinfo=UTC),
        datetime(2026, 5, 6, 4, tzinfo=UTC),
    )


@pytest.mark.parametrize(("day", "hours"), [("2026-03-29", 23), ("2026-10-25", 25), ("2026-06-01", 24)])
def test_one_day_is_as_long_as_the_clock_says(day: str, hours: int) -> None:
    zone = ZoneInfo("Europe/Berlin")
    start = datetime.fromisoformat(day).replace(tzinfo=zone)
    end = start + timedelta(days=1)
    now = end.astimezone(UTC) + timedelta(minutes=20)
    before = (start - timedelta(days=1)).isoformat()
    for times in (
        (None, None, "P1D", None, None),
        (day, None, "P1D", None, None),
        (None, end.isoformat(), "P1D", None, None),
        (day, end.isoformat(), "P1D", None, None),
        (before, start.isoformat(), None, "P1D", "P1D"),
    ):
        found = resolve_window(*times, now=now, zone=zone)
        assert found is not None
        assert (found.start, found.end) == (start, end)
        assert found.end - found.start == timedelta(hours=hours)


def test_no_hour_is_left_out_or_written_over_where_a_clock_shows_it_twice() -> None:
    zone, first = ZoneInfo("Europe/Berlin"), datetime(2026, 10, 24, 22, 20, tzinfo=UTC)
    found = []
    for hour in range(6):
        now = first + timedelta(hours=hour)
        window = resolve_window(None, None, "PT1H", None, None, now=now, zone=zone)
        assert window == (now - timedelta(minutes=80), now - timedelta(minutes=20), ())
        found.append(fill_in_start("%d/%H", window, zone))
    assert found == ["24/23", "25/00", "25/01", "25/02", "25/02+0100", "25/03"]


@pytest.mark.parametrize("path", ["out/%y/%m/%d", "out/%j", "out/%d%b", "%F"])
def test_fields_that_no_path_has_are_refused(path: str) -> None:
    window = Window(datetime(2026, 3, 2, tzinfo=UTC), datetime(2026, 3, 3, tzinfo=UTC))
    with pytest.raises(ConfigurationError) as refused:
        fill_in_start(path, window)
    assert (refused.value.code, refused.value.field) == ("window.other_field", "output_path")
    assert fill_in_start("100%/a%20b%E4/%d", window) == "100%/a%20b%E4/02"


@pytest.mark.parametrize(
    ("text", "fix"),
    [
        ("2026-03-29T02:30", "leave out; write 2026-03-29T01:30:00Z"),
        ("2026-10-25T02:30", "2026-10-25T00:30:00Z or 2026-10-25T01:30:00Z"),
        ("2026-10-25T02:30+01:00", None),
        ("2026-10-25T03:00", None),
    ],
)
def test_a_time_that_clocks_leave_out_or_show_twice_is_refused(text: str, fix: str | None) -> None:
    with nullcontext() if fix is None else pytest.raises(ConfigurationError) as refused:
        read_instant("start_time", text, ZoneInfo("Europe/Berlin"))
    assert fix is None or fix in str(refused.value)


@pytest.mark.parametrize(("day", "hour"), [("2026-03-08", 5), ("2026-11-01T00:00", 4)])
def test_midnight_is_where_the_day_begins_whatever_clocks_do(day: str, hour: int) -> None:
    found = read_instant("start_time", day, ZoneInfo("America/Havana"))
    assert found == datetime.fromisoformat(day[:10]).replace(hour=hour, tzinfo=UTC)


@pytest.mark.parametrize("clock", ["America/Havana", "Africa/Cairo"])
def test_days_that_begin_without_a_midnight_are_days(clock: str) -> None:
    zone, first = ZoneInfo(clock), date(2026, 1, 1)
    days = [(first + timedelta(days=number)).isoformat() for number in range(130)]
    each = resolve_window(days[0], days[-1], "P1D", None, None, datetime.now(UTC), each="window", zone=zone)
    assert each is not None
    assert folders_of("out", each.each(), zone) == [f"out/{day}" for day in days[:-1]]
    for (day, following), window in zip(itertools.pairwise(days), each.each(), strict=True):
        now = window.end + timedelta(minutes=20)
        for times in ((None, None), (day, None), (None, following), (day, following)):
            assert resolve_window(*times, "P1D", None, None, now=now, zone=zone) == window
