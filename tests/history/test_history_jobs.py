"""Jobs with a history: what a record says, that a history that fails fails no job, and the command."""

from __future__ import annotations

import csv
import io
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from history_runs import append, make_baseline, make_run, monitor
from run_jobs import Result, run_job
from sentences import says

import contract
from containers.commands.main import monitor_history
from containers.model_quality.main import main as monitor_model_quality
from contract.api import Metric, Violation
from contract.errors import ConfigurationError, wording
from reporting.history.folder import Selection, read_runs, run_named
from reporting.history.record import RunFinding

pytest_plugins = ["s3_server"]


@pytest.fixture(scope="module")
def baseline(tmp_path_factory: pytest.TempPathFactory) -> Result:
    return make_baseline(tmp_path_factory.mktemp("baseline"))


def test_what_a_record_says(tmp_path: Path, baseline: Result) -> None:
    began = datetime.now(UTC)
    result = monitor(
        tmp_path,
        baseline,
        shift=20.0,
        history_path=tmp_path / "history",
        sagemaker_endpoint_name="flights",
        sagemaker_monitoring_schedule_name="hourly",
        fail_on_violations="Enabled",
    )
    (run,) = read_runs(str(tmp_path / "history"))
    assert (run.monitor, run.version, run.rules) == ("data-quality", contract.__version__, "sound")
    assert (run.endpoint, run.schedule, run.window) == ("flights", "hourly", None)
    assert began - timedelta(seconds=1) <= run.started <= run.finished <= datetime.now(UTC)
    assert (run.rows, run.exit_code, run.message) == (500, 3, result.message)
    assert [violation.description for violation in run.violations or ()] == [
        violation["description"] for violation in result.violations
    ]
    assert {finding.subject: finding.violated for finding in run.findings} == {"income": True, "age": False}
    names = {metric.name for metric in run.metrics}
    assert {"feature_baseline_drift_income", "feature_non_null_age", "feature_data_age"} <= names
    assert run.compared.constraints_path == str(baseline.output / "constraints.json")
    assert run.output_path == str(result.output)


def test_a_baseline_job_and_a_failed_one_are_runs_too(tmp_path: Path, baseline: Result) -> None:
    history = tmp_path / "history"
    make_baseline(tmp_path / "first", history_path=history)
    failed = run_job(tmp_path, tmp_path / "nothing.csv", history_path=history)
    assert failed.exit_code == 2
    first, second = read_runs(str(history))
    assert (first.violations, first.has_failed, first.exit_code) == (None, False, 0)
    assert (second.has_failed, second.exit_code, second.message) == (True, 2, failed.message)


def test_a_history_that_cannot_be_written_fails_no_job_unless_asked(tmp_path: Path, baseline: Result) -> None:
    (tmp_path / "file").write_text("")
    history = tmp_path / "file" / "history"
    lenient = monitor(tmp_path / "lenient", baseline, history_path=history)
    assert lenient.exit_code == 0
    assert {"constraint_violations.json", "constraints.json", "statistics.json"} <= set(lenient.files)
    assert f"Not delivered to {history}: {history}" in lenient.message
    assert "cannot be written" in lenient.message
    strict = monitor(tmp_path / "strict", baseline, history_path=history, fail_on_sink_error="Enabled")
    assert strict.exit_code == 4
    nothing = tmp_path / "nothing.csv"
    assert run_job(tmp_path, nothing, history_path=history).exit_code == 2


def test_statistics_are_kept_unless_told_otherwise(tmp_path: Path, baseline: Result) -> None:
    history = tmp_path / "history"
    monitor(tmp_path / "job", baseline, history_path=history, history_statistics="Disabled")
    assert [folder.name for folder in history.iterdir()] == ["runs"]
    (run,) = read_runs(str(history))
    assert run.statistics is None
    assert run.compared.constraints  # which baseline it was is known all the same


def test_five_hundred_features_make_a_small_record(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    header = ",".join(f"a_feature_with_a_long_name_{number}" for number in range(500))
    for name, shift in (("before", 0.0), ("after", 5.0)):
        rows = rng.normal(shift, 1.0, (200, 500))
        lines = (",".join(f"{value:.4f}" for value in row) for row in rows)
        (tmp_path / f"{name}.csv").write_text("\n".join([header, *lines]) + "\n")
    before = run_job(tmp_path, tmp_path / "before.csv", output_path=tmp_path / "baseline")
    history = tmp_path / "history"
    constraints = {"baseline_constraints": before.output, "baseline_statistics": before.output}
    after = run_job(tmp_path, tmp_path / "after.csv", history_path=history, **constraints)
    assert len(after.violations) == 500
    (record,) = (history / "runs").iterdir()
    assert record.stat().st_size < 50_000
    (run,) = read_runs(str(history))
    assert len(run.violations or ()) == len(run.findings) == 500


@pytest.mark.parametrize("command", ["list", "export", "compact"])
def test_a_history_on_s3(
    bucket: Path, tmp_path: Path, baseline: Result, command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    address = f"s3://{bucket.name}/history-{command}"
    monitor(tmp_path / "one", baseline, history_path=address, sagemaker_endpoint_name="flights")
    monitor(tmp_path / "two", baseline, shift=20.0, history_path=address)
    assert [len(run.violations or ()) for run in read_runs(address)] == [0, 1]
    flags = ["--older-than=PT0S"] if command == "compact" else []
    assert monitor_history([command, f"--history-path={address}", *flags]) == 0
    said = capsys.readouterr().out
    assert ("2 runs from 2 files into 1" if command == "compact" else "flights") in said
    assert [len(run.violations or ()) for run in read_runs(address)] == [0, 1]


@pytest.mark.parametrize(
    ("share", "state"), [(0.9, "holds"), (0.82, "changed_within_limit"), (0.5, "violated")]
)
def test_labels_that_came_are_compared_with_those_of_earlier_windows(
    tmp_path: Path, share: float, state: str
) -> None:
    def job(day: int, labelled: float, **variables: Any) -> Result:
        rng = np.random.default_rng(day)
        labels = rng.integers(0, 2, 1_000)
        rows = (f"{label if rng.random() < labelled else ''},{label}" for label in labels)
        file = tmp_path / f"2026/05/0{day}/22/data.csv"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("label,prediction\n" + "\n".join(rows) + "\n")
        return run_job(
            tmp_path,
            file,
            command=monitor_model_quality,
            problem_type="BinaryClassification",
            inference_attribute="prediction",
            ground_truth_attribute="label",
            **variables,
        )

    baseline = job(1, 1.0, output_path=tmp_path / "baseline")
    for day in (2, 3, 4, 5):
        result = job(
            day,
            share if day == 5 else 0.9,
            start_time=f"2026-05-0{day}T00:00:00Z",
            window="P1D",
            history_path=tmp_path / "history",
            baseline_constraints=baseline.output,
            baseline_statistics=baseline.output,
        )
        found = [
            one for one in result.document("comparisons.json")["comparisons"] if one["subject"] == "labels"
        ]
        assert len(found) == (1 if day == 5 else 0)
    assert found[0]["state"] == state
    assert ("labels" in {one["metric_name"] for one in result.violations}) == (state == "violated")
    run = read_runs(str(tmp_path / "history"))[-1]
    assert run.label_coverage == pytest.approx(found[0]["value"])


# --- Reading ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("selection", "hours"),
    [
        (Selection(), [0, 1, 2, 3, 4]),
        (Selection(endpoint="flights"), [0, 2, 4]),
        (Selection(endpoint="flights", last=1), [4]),
        (Selection(monitor="bias"), [3]),
        (Selection(since=make_run(2).at), [2, 3, 4]),
        (Selection(since=make_run(1).at, until=make_run(3).at), [1, 2]),
        (Selection(schedule="hourly"), []),
    ],
)
@pytest.mark.parametrize("compacted", [False, True])
def test_runs_are_selected(tmp_path: Path, selection: Selection, hours: list[int], compacted: bool) -> None:
    for hour in (3, 0, 4, 1, 2):
        monitor_name = "bias" if hour == 3 else "data-quality"
        append(tmp_path, make_run(hour, endpoint=None if hour % 2 else "flights", monitor=monitor_name))
    if compacted:
        assert monitor_history(["compact", f"--history-path={tmp_path}"]) == 0
        assert len(list((tmp_path / "runs").iterdir())) == 1
    assert [run.at for run in read_runs(str(tmp_path), selection)] == [make_run(hour).at for hour in hours]


def test_young_records_are_not_compacted(tmp_path: Path) -> None:
    now = datetime.now(UTC)
    append(tmp_path, make_run(0), make_run(1), make_run(2, run=f"{now:%Y%m%dT%H%M%S.%fZ}-bias-0"))
    assert monitor_history(["compact", f"--history-path={tmp_path}", "--older-than=PT1H"]) == 0
    assert len(list((tmp_path / "runs").iterdir())) == 2
    assert len(read_runs(str(tmp_path))) == 3


def test_a_run_is_found_by_the_beginning_of_its_name(tmp_path: Path) -> None:
    append(tmp_path, make_run(0), make_run(1))
    assert run_named(str(tmp_path), "20260507") == make_run(1)
    assert run_named(str(tmp_path), "last") == make_run(1)
    with pytest.raises(ConfigurationError, match=r"2 runs in .* begin with '2026'"):
        run_named(str(tmp_path), "2026")
    with pytest.raises(ConfigurationError, match=r"has no run '20260506T230500.000000Z-data-quality-1'; did"):
        run_named(str(tmp_path), "20260506T230500.000000Z-data-quality-1")


# --- The command ------------------------------------------------------------------------------------------

MISSING = wording("stored_file.missing", field="dataset_source", file="/data", nearby="")


@pytest.fixture
def told(tmp_path: Path) -> Path:
    violations = tuple(Violation("baseline_drift_check", "far", f"f{number}") for number in range(5))
    append(
        tmp_path,
        make_run(0, endpoint="flights", schedule="hourly", labelled=30, unlabelled=90),
        make_run(1, violations=violations, metrics=(Metric("recall", 0.5, interval=(0.4, 0.6)),)),
        make_run(2, exit_code=2, violations=None, rows=None, message=MISSING),
    )
    return tmp_path


def test_no_run_says_what_there_is_instead(told: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert monitor_history(["list", f"--history-path={told}", "--endpoint=flight"]) == 0
    names = "--endpoint flights, --schedule hourly"
    assert says(capsys.readouterr().err, "command.no_run", runs="3 runs", file=told, names=names)
    (told / "other").mkdir()
    assert monitor_history(["export", f"--history-path={told / 'other'}"]) == 0
    assert says(capsys.readouterr().err, "command.empty_history", file=told / "other")


def test_the_list(told: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert monitor_history(["list", f"--history-path={told}"]) == 0
    lines = capsys.readouterr().out.splitlines()
    head, quiet, drifted, failed = (line.split("  ") for line in lines)
    assert head[0] == "WINDOW"
    assert lines[1].startswith("2026-05-06 22:00 to 23:00")
    assert lines[2].startswith("2026-05-06 23:00 to 2026-05-07 00:00")
    assert {"flights hourly", "25%", "ok"} <= {cell.strip() for cell in quiet}
    assert {"5 violations", "f0, f1, f2 and 2 more"} <= {cell.strip() for cell in drifted}
    assert {"failed (2)", MISSING} <= {cell.strip() for cell in failed}


def test_cells_of_several_values_are_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    append(tmp_path, make_run(0, findings=(RunFinding("x", 0.5, violated=True, shift=(0.25, 0.01)),)))
    assert monitor_history(["export", f"--history-path={tmp_path}", "--table=findings"]) == 0
    [row] = csv.DictReader(io.StringIO(capsys.readouterr().out))
    assert row["shift"] == "[0.25,0.01]"


@pytest.mark.parametrize("table", ["runs", "violations", "findings", "metrics"])
def test_exports_agree(told: Path, table: str, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    path = f"--history-path={told}"
    assert monitor_history(["export", path, f"--table={table}"]) == 0
    rows = list(csv.DictReader(io.StringIO(capfdbinary.readouterr().out.decode())))
    output = told / "table.parquet"
    assert (
        monitor_history(["export", path, f"--table={table}", "--format=parquet", f"--output={output}"]) == 0
    )
    assert len(rows) == {"runs": 3, "violations": 5, "findings": 0, "metrics": 1}[table]
    found = pq.read_table(output)
    assert found.num_rows == len(rows)
    if rows:
        assert list(rows[0]) == found.column_names
    if table == "metrics":
        assert (rows[0]["low"], rows[0]["value"], rows[0]["high"]) == ("0.4", "0.5", "0.6")


def test_an_export_as_json_lines_is_a_history(told: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy" / "runs"
    copy.mkdir(parents=True)
    flags = ["--format=jsonl", f"--output={copy / 'all.jsonl'}"]
    assert monitor_history(["export", f"--history-path={told}", *flags]) == 0
    assert read_runs(str(copy.parent)) == read_runs(str(told))


def test_the_whole_of_a_run(told: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert monitor_history(["show", make_run(2).run[:20], f"--history-path={told}"]) == 0
    assert json.loads(capsys.readouterr().out)["run"] == make_run(2).run


@pytest.mark.parametrize(
    ("arguments", "code", "members"),
    [
        (["list"], "command.no_history", {"field": "history_path"}),
        (
            ["list", "--history-path=/nowhere/at/all"],
            "stored_file.missing",
            {"field": "history_path", "file": "/nowhere/at/all"},
        ),
        (
            ["list", "--history-path=.", "--since=yesterday"],
            "setting.instant",
            {"field": "--since", "text": "yesterday"},
        ),
        (["list", "--history-path=.", "--last=0"], "setting.count", {"field": "--last", "text": 0}),
        (
            ["compact", "--history-path=.", "--older-than=1d"],
            "setting.duration",
            {"field": "--older-than", "text": "1d"},
        ),
    ],
)
def test_mistakes(
    arguments: list[str],
    code: str,
    members: dict[str, Any],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("history_path", raising=False)
    assert monitor_history(arguments) == 2
    said = capsys.readouterr().err
    assert says(said, code, **members)
    assert said.count("\n") == 1


def test_a_file_that_is_cut_off_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    append(tmp_path, make_run(0))
    (record,) = (tmp_path / "runs").iterdir()
    record.write_bytes(record.read_bytes()[:-20])
    assert monitor_history(["list", f"--history-path={tmp_path}"]) == 2
    assert f"{record} is not whole" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["=1+1", "+1", "-1", "@SUM(1)", "\t=1"])
def test_an_export_holds_no_formulas(tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    violation = Violation("data_type_check", "it differs", feature_name=name)
    append(tmp_path, make_run(0, violations=(violation,), seconds=-3.0))
    assert monitor_history(["export", f"--history-path={tmp_path}", "--table=violations"]) == 0
    (row,) = csv.DictReader(io.StringIO(capsys.readouterr().out))
    assert row["feature_name"] == f"'{name}"
    assert monitor_history(["export", f"--history-path={tmp_path}"]) == 0
    (row,) = csv.DictReader(io.StringIO(capsys.readouterr().out))
    assert row["seconds"] == "-3.0"
