"""Settings that are missing, misspelt or malformed: what a user reads, by its code and members."""

from pathlib import Path
from typing import Any

import pytest
from run_jobs import run_job
from sentences import says


@pytest.fixture
def table(tmp_path: Path) -> Path:
    source = tmp_path / "data.csv"
    source.write_text("a,b\n1,x\n2,y\n")
    return source


SOURCE = {"field": "dataset_source", "flag": "--dataset-source"}
SOURCE |= {"example": "/opt/ml/processing/input/endpoint"}


def test_a_missing_variable(tmp_path: Path) -> None:
    result = run_job(tmp_path, None)
    assert result.exit_code == 2
    assert says(result.message, "setting.missing", **SOURCE)


def test_a_variable_in_capitals(tmp_path: Path, table: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OUTPUT_PATH", str(tmp_path))
    monkeypatch.setenv("DATASET_SOURCE", str(table))
    result = run_job(tmp_path, None)
    assert result.exit_code == 2
    assert says(result.message, "setting.upper_case", field="dataset_source", upper="DATASET_SOURCE")


def test_unknown_variables_spelled_almost_right(tmp_path: Path, table: Path) -> None:
    result = run_job(tmp_path, table, baseline_constraint="/x")
    assert result.exit_code == 2
    names = {"field": "baseline_constraint", "meant": "baseline_constraints"}
    assert says(result.message, "setting.near_miss", **names)


def test_all_mistakes_at_once(tmp_path: Path) -> None:
    result = run_job(tmp_path, None, rules="strict", start_times="x", workers="0")
    assert result.exit_code == 2
    assert result.message.startswith("4 settings are wrong")
    assert says(result.message, "setting.near_miss", field="start_times", meant="start_time")
    assert says(result.message, "setting.choice", field="rules", text="strict", known="sound or sagemaker")
    assert says(result.message, "setting.count", field="workers", text="0")
    assert says(result.message, "setting.missing", **SOURCE)


@pytest.mark.parametrize(
    ("text", "code", "members"),
    [
        (
            '{"csv":{"header":true}',
            "dataset_format.not_json",
            {"hint": " (its braces are unbalanced)", "text": '{"csv":{"header":true}'}
            | {"cause": "Expecting ',' delimiter: line 1 column 23 (char 22)"},
        ),
        ("[]", "dataset_format.not_one_key", {"text": "[]"}),
        ("cvs", "dataset_format.kind", {"kind": "cvs", "hint": ": did you mean csv?"}),
        (
            '{"csv":{"headers":true}}',
            "members.unknown",
            {"field": "csv.headers", "hint": ": did you mean header?"},
        ),
        (
            '{"csv":{"header":1}}',
            "members.wrong",
            {"field": "csv.header", "expected": "true or false", "value": 1},
        ),
        ("tsv", "dataset_format.kind", {"kind": "tsv", "hint": ": did you mean csv?"}),
        ("\udcff", "setting.not_utf8", {"text": "\udcff"}),
    ],
)
def test_a_malformed_dataset_format(
    tmp_path: Path, table: Path, text: str, code: str, members: dict[str, Any]
) -> None:
    result = run_job(tmp_path, table, dataset_format=text)
    assert result.exit_code == 2
    assert result.message.startswith("dataset_format")
    assert says(result.message, code, **members)


def test_an_unknown_capture_index(tmp_path: Path, table: Path) -> None:
    text = '{"sagemakerCaptureJson":{"captureIndexNames":["endpointInputs"]}}'
    result = run_job(tmp_path, table, dataset_format=text)
    assert result.exit_code == 2
    assert result.message.startswith("dataset_format: ")
    names = {"name": "endpointInputs", "hint": ": did you mean endpointInput?"}
    field = "sagemakerCaptureJson.captureIndexNames"
    assert says(result.message, "dataset_format.index", field=field, **names)


def test_a_source_that_is_not_there(tmp_path: Path, table: Path) -> None:
    result = run_job(tmp_path, tmp_path / "date.csv")
    assert result.exit_code == 2
    file, nearby = tmp_path / "date.csv", f" (did you mean {table}?)"
    assert says(result.message, "stored_file.missing", field="dataset_source", file=file, nearby=nearby)


def test_messages_have_at_most_one_kilobyte(tmp_path: Path) -> None:
    result = run_job(tmp_path, tmp_path / ("東" * 80) / ("x" * 200) / ("y" * 200) / ("東" * 80))
    assert result.exit_code == 2
    assert len(result.message.encode()) <= 1024
    assert result.message.startswith("dataset_source ")
