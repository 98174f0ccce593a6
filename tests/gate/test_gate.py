"""The gate: a check that passes renews the baseline, one that fails leaves it, nothing is lost."""

import json
import os
import stat
from contextlib import nullcontext
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pytest
from reading.reading_inputs import CAPTURES, captured
from run_jobs import NO_VIOLATIONS, VIOLATIONS, Result, run_job
from sentences import says

from containers.data_quality.main import MONITOR
from contract.errors import ConfigurationError, OutputError
from contract.settings import read_settings
from file_storage import storage
from job_runner import job

NOW = datetime(2026, 5, 6, 22, 40, tzinfo=UTC)


def write_csv(path: Path, seed: int, shift: float = 0.0) -> Path:
    rng = np.random.default_rng(seed)
    rows = (f"{rng.integers(18, 90)},{rng.normal(50 + shift, 10):.3f}" for _ in range(3000))
    path.write_text("age,income\n" + "\n".join(rows) + "\n", encoding="utf-8")
    return path


def content_of(folder: Path) -> dict[str, bytes]:
    """Return the documents; the page is about a run, and nothing is compared with it."""
    return {
        str(file.relative_to(folder)): file.read_bytes()
        for file in sorted(folder.rglob("*"))
        if file.is_file() and file.name != "report.html"
    }


@pytest.fixture
def registered(tmp_path: Path) -> Path:
    """Return the folder of a baseline that a first, unchecked run has registered."""
    folder = tmp_path / "baseline"
    result = gate_run(tmp_path, 1, folder, skip_check="Enabled")
    assert result.exit_code == 0
    assert result.files == ["constraints.json", "report.html", "statistics.json"]
    assert content_of(folder) == content_of(result.output)
    return folder


def gate_run(tmp_path: Path, seed: int, folder: Path | str, shift: float = 0.0, **variables: Any) -> Result:
    """Run one step of a pipeline: check against the registered baseline, and renew it."""
    step = tmp_path / f"step-{seed}"
    step.mkdir(exist_ok=True)
    return run_job(
        step,
        write_csv(step / "data.csv", seed, shift),
        **{
            "baseline_constraints": folder,
            "baseline_statistics": folder,
            "register_new_baseline": folder,
            "fail_on_violations": "Enabled",
            **variables,
        },
    )


def test_a_check_that_passes_renews_the_baseline_and_keeps_the_one_before(
    tmp_path: Path, registered: Path
) -> None:
    before = content_of(registered)
    result = gate_run(tmp_path, 2, registered)
    assert (result.exit_code, result.violations) == (0, [])
    assert result.message == NO_VIOLATIONS
    documents = {
        name: (result.output / name).read_bytes() for name in ("constraints.json", "statistics.json")
    }
    assert {name: content for name, content in content_of(registered).items() if "/" not in name} == documents
    (kept,) = (registered / "previous").iterdir()
    assert content_of(kept) == before
    assert datetime.fromisoformat(kept.name).tzinfo is not None


def test_a_check_that_fails_leaves_the_baseline_untouched(tmp_path: Path, registered: Path) -> None:
    before = content_of(registered)
    result = gate_run(tmp_path, 3, registered, shift=20.0)
    assert result.exit_code == 3
    assert result.message.startswith(VIOLATIONS.format(1))
    assert says(result.message, "baseline_kept.violated", file=registered)
    assert content_of(registered) == before


def test_a_check_that_fails_without_failing_the_job_leaves_the_baseline_too(
    tmp_path: Path, registered: Path
) -> None:
    before = content_of(registered)
    result = gate_run(tmp_path, 3, registered, shift=20.0, fail_on_violations="Disabled")
    assert result.exit_code == 0
    assert content_of(registered) == before


def test_a_skipped_check_renews_the_baseline_whatever_the_data(tmp_path: Path, registered: Path) -> None:
    before = content_of(registered)
    result = gate_run(tmp_path, 3, registered, shift=20.0, skip_check="Enabled")
    assert result.exit_code == 0
    assert result.files == ["constraints.json", "report.html", "statistics.json"]
    (kept,) = (registered / "previous").iterdir()
    assert content_of(kept) == before


def test_a_check_without_the_baselines_statistics_leaves_the_baseline(
    tmp_path: Path, registered: Path
) -> None:
    before = content_of(registered)
    result = gate_run(tmp_path, 3, registered, shift=20.0, baseline_statistics=None)
    assert (result.exit_code, result.violations) == (0, [])
    assert says(result.message, "baseline_kept.no_statistics", file=registered)
    assert content_of(registered) == before


@pytest.mark.parametrize("register", ["no", "skip", "register"])
@pytest.mark.parametrize("kind", ["cells", "payloads"])
def test_a_baseline_without_any_value_is_refused(
    tmp_path: Path, registered: Path, kind: str, register: str
) -> None:
    before = content_of(registered)
    source = tmp_path / "now.txt"
    settings: dict[str, Any] = {"dataset_format": '{"csv":{"header":true}}'}
    if kind == "cells":
        source.write_text("x,kind\n" + ",NA\n,\n" * 20)
    else:
        source.write_text("".join(captured("1,2", number=at).replace('"CSV"', '"BASE64"') for at in range(9)))
        settings = {"dataset_format": CAPTURES}
    if register != "no":
        settings |= {"baseline_constraints": registered, "baseline_statistics": registered}
        settings |= {"skip_check": "Enabled"}
    if register == "register":
        settings |= {"register_new_baseline": registered}
    result = run_job(tmp_path, source, **settings)
    assert result.exit_code == 2
    assert "has a value in any column, but a baseline needs some; point dataset_source at" in result.message
    assert (result.files, content_of(registered)) == ([], before)


@pytest.mark.parametrize("rows", [3, 20])
def test_too_few_rows_to_tell_a_change_renew_nothing(tmp_path: Path, registered: Path, rows: int) -> None:
    before = content_of(registered)
    head, *lines = write_csv(tmp_path / "all.csv", 5).read_text().splitlines()
    (tmp_path / "few.csv").write_text("\n".join([head, *lines[:rows]]) + "\n")
    found = {"baseline_constraints": registered, "baseline_statistics": registered}
    result = run_job(tmp_path, tmp_path / "few.csv", register_new_baseline=registered, **found)
    assert result.exit_code == 0, result.message
    assert "stays as it was, because too few rows tell whether age changed beyond its limit" in result.message
    assert content_of(registered) == before


def test_a_skipped_check_carries_an_experts_limits_over(tmp_path: Path, registered: Path) -> None:
    file = registered / "constraints.json"
    constraints = json.loads(file.read_text())
    constraints["monitoring_config"]["distribution_constraints"]["comparison_threshold"] = 0.42
    file.write_text(json.dumps(constraints))
    gate_run(tmp_path, 3, registered, shift=20.0, skip_check="Enabled")
    renewed = json.loads(file.read_text())
    assert renewed["monitoring_config"]["distribution_constraints"]["comparison_threshold"] == 0.42


def test_skip_check_alone_computes_and_compares_nothing(tmp_path: Path, registered: Path) -> None:
    before = content_of(registered)
    result = gate_run(tmp_path, 3, registered, shift=20.0, skip_check="Enabled", register_new_baseline=None)
    assert (result.exit_code, result.files) == (0, ["constraints.json", "report.html", "statistics.json"])
    assert content_of(registered) == before


def test_without_a_baseline_only_a_skipped_check_can_run(tmp_path: Path) -> None:
    result = gate_run(tmp_path, 1, tmp_path / "none")
    assert result.exit_code == 2
    assert "does not exist" in result.message
    assert "skip_check=Enabled makes the first baseline" in result.message
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize("skip_check", ["Enabled", "Disabled"])
def test_a_baseline_that_cannot_be_read_now_is_not_made_anew(
    tmp_path: Path, registered: Path, skip_check: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = content_of(registered)

    def denied(path: str) -> bool:
        raise PermissionError(13, "access denied", path)

    monkeypatch.setattr(storage, "_is_file", denied)
    result = gate_run(tmp_path, 2, registered, skip_check=skip_check)
    assert result.exit_code == 2
    assert says(result.message, "stored_file.unreadable", cause="access denied")
    assert "skip_check" not in result.message
    assert content_of(registered) == before


def test_a_window_without_data_renews_nothing(tmp_path: Path, registered: Path) -> None:
    before = content_of(registered)
    (tmp_path / "empty.csv").write_text("age,income\n")
    result = run_job(
        tmp_path,
        tmp_path / "empty.csv",
        baseline_constraints=registered,
        baseline_statistics=registered,
        register_new_baseline=registered,
    )
    assert result.exit_code == 5
    assert "stays as it was, because nothing could be decided" in result.message
    assert content_of(registered) == before


def test_the_folder_is_tried_before_the_work(tmp_path: Path, registered: Path) -> None:
    (tmp_path / "file").touch()
    result = gate_run(tmp_path, 2, registered, register_new_baseline=tmp_path / "file" / "baseline")
    assert result.exit_code == 2
    assert "register_new_baseline" in result.message
    assert result.files == []


@pytest.mark.parametrize(
    ("variables", "says"),
    [
        ({"register_new_baseline": "/out/"}, "register_new_baseline and output_path are one folder"),
        ({"register_new_baseline": "/b/../out"}, "register_new_baseline and output_path are one folder"),
        ({"register_new_baseline": "/b/constraints.json"}, "a file; name the folder"),
        ({"register_new_baseline": "/b", "baseline_constraints": ""}, "set skip_check=Enabled for the first"),
        ({"register_new_baselin": "/b"}, "did you mean register_new_baseline?"),
    ],
)
def test_mistakes(variables: dict[str, str], says: str) -> None:
    given = {
        "dataset_source": "/in",
        "dataset_format": '{"csv":{}}',
        "output_path": "/out",
        "baseline_constraints": "/baseline",
        **variables,
    }
    with pytest.raises(Exception, match="register_new_baseline") as caught:
        read_settings([], given, MONITOR, now=NOW)
    assert says in caught.value.message


@pytest.mark.parametrize(
    ("variables", "is_refused"),
    [
        ({"baseline_constraints": "/out"}, True),
        ({"baseline_statistics": "/in/../out/statistics.json"}, True),
        ({"baseline_constraints": "s3://b/out/", "output_path": "s3://b/out"}, True),
        ({"baseline_constraints": "/out/edited.json"}, False),
        ({"baseline_constraints": "/out", "output_path": "/out/window"}, False),
        ({"baseline_constraints": "/out", "skip_check": "Enabled"}, False),
    ],
)
def test_a_window_does_not_take_the_place_of_its_baseline(
    variables: dict[str, str], *, is_refused: bool
) -> None:
    given = {"dataset_source": "/in", "dataset_format": '{"csv":{}}', "output_path": "/out", **variables}
    expected = pytest.raises(ConfigurationError, match="lies in output_path") if is_refused else nullcontext()
    with expected:
        read_settings([], given, MONITOR, now=NOW)


@pytest.mark.parametrize(
    ("history", "is_refused"), [("/in/history", True), ("/in/", True), ("/in-history", False)]
)
def test_a_history_is_no_data(history: str, *, is_refused: bool) -> None:
    given = {"dataset_source": "/in", "dataset_format": '{"csv":{}}', "output_path": "/out"}
    expected = (
        pytest.raises(ConfigurationError, match="history_path lies in") if is_refused else nullcontext()
    )
    with expected:
        read_settings([], {**given, "history_path": history}, MONITOR, now=NOW)


def test_a_baseline_that_cannot_be_written_whole_is_put_back(tmp_path: Path) -> None:
    before = {"statistics.json": b"old", "constraints.json": b"old"}
    job.register_baseline(str(tmp_path), before, NOW)
    real = storage.write_files_atomically
    calls = []

    def half(directory: str, files: Any) -> None:
        calls.append(directory)
        if len(calls) == 2:  # the kept copy comes first
            real(directory, dict(list(files.items())[:1]))
            raise OutputError("disk full")
        real(directory, files)

    with (
        mock.patch.object(storage, "write_files_atomically", half),
        pytest.raises(OutputError, match="disk full"),
    ):
        job.register_baseline(str(tmp_path), {"statistics.json": b"new", "constraints.json": b"new"}, NOW)
    assert {name: (tmp_path / name).read_bytes() for name in before} == before
    (kept,) = (tmp_path / "previous").iterdir()
    assert content_of(kept) == before


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anything")
def test_a_folder_that_may_not_be_written(tmp_path: Path) -> None:
    tmp_path.chmod(stat.S_IRUSR | stat.S_IXUSR)
    with pytest.raises(OutputError):
        job.register_baseline(str(tmp_path), {"statistics.json": b"new"}, NOW)
    tmp_path.chmod(stat.S_IRWXU)
