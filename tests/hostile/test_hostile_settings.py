"""Settings that are missing, misspelt or malformed: the whole sentence that a user reads."""

from pathlib import Path

import pytest
from run_jobs import CSV, run_job


@pytest.fixture
def table(tmp_path: Path) -> Path:
    source = tmp_path / "data.csv"
    source.write_text("a,b\n1,x\n2,y\n")
    return source


def test_a_missing_variable(tmp_path: Path) -> None:
    result = run_job(tmp_path, None)
    assert result.exit_code == 2
    assert result.message == (
        "dataset_source is not set: set it (or --dataset-source), for example to "
        "/opt/ml/processing/input/endpoint."
    )


def test_a_variable_in_capitals(tmp_path: Path, table: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OUTPUT_PATH", str(tmp_path))
    monkeypatch.setenv("DATASET_SOURCE", str(table))
    result = run_job(tmp_path, None)
    assert result.exit_code == 2
    assert result.message == (
        "dataset_source is not set: DATASET_SOURCE is set, but the name is lower-case: "
        "rename it to dataset_source."
    )


def test_unknown_variables_spelled_almost_right(tmp_path: Path, table: Path) -> None:
    result = run_job(tmp_path, table, baseline_constraint="/x")
    assert result.exit_code == 2
    assert result.message == ("variable baseline_constraint is unknown: did you mean baseline_constraints?")


def test_all_mistakes_at_once(tmp_path: Path) -> None:
    result = run_job(tmp_path, None, rules="strict", start_times="x", workers="0")
    assert result.exit_code == 2
    assert result.message == (
        "4 settings are wrong: (1) variable start_times is unknown: did you mean start_time?; "
        "(2) rules is 'strict'; use sound or sagemaker; (3) workers is '0'; use a whole number from 1; "
        "(4) dataset_source is not set: set it (or --dataset-source), for example to "
        "/opt/ml/processing/input/endpoint."
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            '{"csv":{"header":true}',
            'dataset_format is not valid JSON (its braces are unbalanced): \'{"csv":{"header":true}\', '
            "Expecting ',' delimiter: line 1 column 23 (char 22); write for example " + CSV + ".",
        ),
        (
            "[]",
            "dataset_format must be a JSON object with exactly one key, but is '[]'; "
            "write for example " + CSV + ".",
        ),
        ("cvs", "dataset_format names the kind 'cvs', which is unknown: did you mean csv?"),
        (
            '{"csv":{"headers":true}}',
            "dataset_format: csv.headers is unknown: did you mean header?",
        ),
        ('{"csv":{"header":1}}', "dataset_format: csv.header must be true or false, but is 1."),
        ("tsv", "dataset_format names the kind 'tsv', which is unknown: did you mean csv?"),
        ("\udcff", "dataset_format is '\\udcff', which is not UTF-8 text; write it in UTF-8."),
    ],
)
def test_a_malformed_dataset_format(tmp_path: Path, table: Path, text: str, message: str) -> None:
    result = run_job(tmp_path, table, dataset_format=text)
    assert result.exit_code == 2
    assert result.message == message


def test_an_unknown_capture_index(tmp_path: Path, table: Path) -> None:
    text = '{"sagemakerCaptureJson":{"captureIndexNames":["endpointInputs"]}}'
    result = run_job(tmp_path, table, dataset_format=text)
    assert result.exit_code == 2
    assert result.message == (
        "dataset_format: sagemakerCaptureJson.captureIndexNames holds 'endpointInputs', which is no capture "
        "index: did you mean endpointInput?"
    )


def test_a_source_that_is_not_there(tmp_path: Path, table: Path) -> None:
    result = run_job(tmp_path, tmp_path / "date.csv")
    assert result.exit_code == 2
    assert result.message == f"dataset_source {tmp_path}/date.csv does not exist (did you mean {table}?)."


def test_messages_have_at_most_one_kilobyte(tmp_path: Path) -> None:
    result = run_job(tmp_path, tmp_path / ("東" * 80) / ("x" * 200) / ("y" * 200) / ("東" * 80))
    assert result.exit_code == 2
    assert len(result.message.encode()) <= 1024
    assert result.message.startswith("dataset_source ")
