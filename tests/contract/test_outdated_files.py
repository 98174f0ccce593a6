"""An output folder that is used again holds nothing of an earlier run that contradicts the newer files."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest
from attributed_people import csv_endpoint, people, table_config, write_csv
from jobs.attribution_runs import run
from models.model_server import serving
from run_jobs import Result, baseline_of, run_job

from file_storage import s3, storage
from reporting.report import page


@pytest.fixture
def source(tmp_path: Path) -> Path:
    file = tmp_path / "data.csv"
    file.write_text("age\n" + "\n".join(map(str, range(18, 90))) + "\n", encoding="utf-8")
    return file


def known(folder: Path) -> dict[str, Any]:
    return baseline_of(Result(0, "", folder / "baseline" / "output"))


@pytest.fixture
def monitored(tmp_path: Path, source: Path) -> Result:
    run_job(tmp_path / "baseline", source)
    result = run_job(tmp_path, source, **known(tmp_path))
    assert result.files == [
        "comparisons.json",
        "constraint_violations.json",
        "constraints.json",
        "report.html",
        "statistics.json",
    ]
    return result


def test_a_page_of_an_earlier_run_goes_where_none_is_written(
    tmp_path: Path, source: Path, monitored: Result
) -> None:
    result = run_job(tmp_path, source, report="Disabled", **known(tmp_path))
    assert result.files == [
        "comparisons.json",
        "constraint_violations.json",
        "constraints.json",
        "statistics.json",
    ]


def test_a_page_of_an_earlier_run_goes_where_none_can_be_made(
    tmp_path: Path, source: Path, monitored: Result, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> bytes:
        raise ValueError("no page today")

    monkeypatch.setattr(page, "render", broken)
    result = run_job(tmp_path, source, **known(tmp_path))
    assert result.files == [
        "comparisons.json",
        "constraint_violations.json",
        "constraints.json",
        "statistics.json",
    ]


def test_violations_of_an_earlier_run_go_where_nothing_is_compared(
    tmp_path: Path, source: Path, monitored: Result
) -> None:
    (monitored.output / "mine.txt").touch()
    result = run_job(tmp_path, source)
    assert result.files == ["constraints.json", "mine.txt", "report.html", "statistics.json"]


def test_values_of_single_rows_go_where_none_are_asked_for(tmp_path: Path) -> None:
    data = write_csv(tmp_path / "data.csv", people(50).rows)
    config = table_config()
    with serving(csv_endpoint) as server:
        first = run(tmp_path, data, config, server.url)
        kept = first.output / "explanations_shap" / "out.csv"
        assert kept.exists()
        config["methods"]["shap"]["save_local_shap_values"] = False
        assert run(tmp_path, data, config, server.url).exit_code == 0
    assert not kept.exists()


def test_a_job_that_cannot_complete_leaves_all_as_it_was(tmp_path: Path, monitored: Result) -> None:
    before = {name: (monitored.output / name).read_bytes() for name in monitored.files}
    empty = tmp_path / "empty.csv"
    empty.write_text("age\n", encoding="utf-8")
    result = run_job(tmp_path, empty, report="Disabled")
    assert result.exit_code == 2
    assert {name: (result.output / name).read_bytes() for name in result.files} == before


def test_on_s3(bucket: Path) -> None:
    storage.write_files_atomically("s3://bucket/out", {"report.html": b"", "mine.txt": b""})
    outdated = ["report.html", "constraint_violations.json"]
    storage.write_files_atomically("s3://bucket/out", {"statistics.json": b"{}"}, outdated)
    assert sorted(file.name for file in (bucket / "out").iterdir()) == ["mine.txt", "statistics.json"]


def test_what_may_not_be_removed_is_told_and_the_new_is_written(
    monkeypatch: pytest.MonkeyPatch, bucket: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def denied(path: str) -> None:
        raise PermissionError(13, "Access denied")

    monkeypatch.setattr(s3, "remove", denied)
    with caplog.at_level(logging.WARNING):
        storage.write_files_atomically("s3://bucket/out", {"statistics.json": b"{}"}, ["report.html"])
    assert (bucket / "out" / "statistics.json").read_bytes() == b"{}"
    assert "A file of an earlier run stays beside newer ones: s3://bucket/out/report.html" in caplog.text
