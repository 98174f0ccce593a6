"""What a user can get wrong first: exit code 2 and one sentence that names the fix."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from run_jobs import run_job


@pytest.fixture
def table(tmp_path: Path) -> Path:
    source = tmp_path / "data.csv"
    source.write_text("a,b\n" + "".join(f"{i},x{i % 3}\n" for i in range(100)))
    return source


def assert_sentence(message: str, *parts: str) -> None:
    for part in parts:
        assert part in message
    assert len(message.encode()) <= 1024
    assert "Traceback" not in message


def test_a_missing_variable(tmp_path: Path) -> None:
    result = run_job(tmp_path, None)
    assert result.exit_code == 2
    assert_sentence(result.message, "dataset_source is not set", "--dataset-source", "for example")
    assert result.files == []


def test_a_misspelt_variable(tmp_path: Path, table: Path) -> None:
    result = run_job(tmp_path, table, baseline_constraint="/x")
    assert result.exit_code == 2
    assert_sentence(result.message, "baseline_constraint is unknown: did you mean baseline_constraints?")


def test_a_source_that_is_not_there(tmp_path: Path) -> None:
    result = run_job(tmp_path, tmp_path / "nowhere")
    assert result.exit_code == 2
    assert_sentence(result.message, "dataset_source", str(tmp_path / "nowhere"))


def test_an_empty_file(tmp_path: Path) -> None:
    source = tmp_path / "data.csv"
    source.touch()
    result = run_job(tmp_path, source)
    assert result.exit_code == 2
    assert_sentence(result.message, "data.csv", "a baseline needs data")


def test_a_truncated_parquet_file(tmp_path: Path) -> None:
    source = tmp_path / "data.parquet"
    pq.write_table(pa.table({"a": list(range(10_000))}), source)
    source.write_bytes(source.read_bytes()[:-200])
    result = run_job(tmp_path, source, dataset_format="parquet")
    assert result.exit_code == 2
    assert_sentence(result.message, "data.parquet", "Parquet")


def test_a_script_that_raises(tmp_path: Path, table: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text("def preprocess_handler(record):\n    return {}['missing']\n")
    result = run_job(tmp_path, table, record_preprocessor_script=script)
    assert result.exit_code == 2
    assert_sentence(result.message, "script.py", "line 2", "KeyError", "data.csv")
    assert result.files == []


def test_a_baseline_of_another_kind(tmp_path: Path, table: Path) -> None:
    other = tmp_path / "constraints.json"
    other.write_text('{"version": 0.0, "binary_classification_constraints": {}}')
    result = run_job(tmp_path, table, baseline_constraints=other)
    assert result.exit_code == 2
    assert_sentence(result.message, str(other), "not a data-quality constraints file")


def test_an_output_that_cannot_be_written(tmp_path: Path, table: Path) -> None:
    (tmp_path / "file").write_text("")
    result = run_job(tmp_path, table, output_path=tmp_path / "file" / "out")
    assert result.exit_code == 2
    assert_sentence(result.message, "output_path", str(tmp_path / "file"))
