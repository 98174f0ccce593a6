"""What a user can get wrong first: exit code 2 and one sentence that names the fix."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from run_jobs import run_job
from sentences import says


@pytest.fixture
def table(tmp_path: Path) -> Path:
    source = tmp_path / "data.csv"
    source.write_text("a,b\n" + "".join(f"{i},x{i % 3}\n" for i in range(100)))
    return source


def assert_sentence(message: str, code: str, **members: Any) -> None:
    assert says(message, code, **members)
    assert len(message.encode()) <= 1024
    assert "Traceback" not in message


def test_a_missing_variable(tmp_path: Path) -> None:
    result = run_job(tmp_path, None)
    assert result.exit_code == 2
    assert_sentence(result.message, "setting.missing", field="dataset_source", flag="--dataset-source")
    assert result.files == []


def test_a_misspelt_variable(tmp_path: Path, table: Path) -> None:
    result = run_job(tmp_path, table, baseline_constraint="/x")
    assert result.exit_code == 2
    names = {"field": "baseline_constraint", "meant": "baseline_constraints"}
    assert_sentence(result.message, "setting.near_miss", **names)


def test_a_source_that_is_not_there(tmp_path: Path) -> None:
    result = run_job(tmp_path, tmp_path / "nowhere")
    assert result.exit_code == 2
    place = {"field": "dataset_source", "file": tmp_path / "nowhere"}
    assert_sentence(result.message, "stored_file.missing", **place)


def test_an_empty_file(tmp_path: Path) -> None:
    source = tmp_path / "data.csv"
    source.touch()
    result = run_job(tmp_path, source)
    assert result.exit_code == 2
    assert_sentence(result.message, "rows.none_for_baseline", file=source)


def test_a_truncated_parquet_file(tmp_path: Path) -> None:
    source = tmp_path / "data.parquet"
    pq.write_table(pa.table({"a": list(range(10_000))}), source)
    source.write_bytes(source.read_bytes()[:-200])
    result = run_job(tmp_path, source, dataset_format="parquet")
    assert result.exit_code == 2
    assert_sentence(result.message, "parquet.damaged", file=source)


def test_a_script_that_raises(tmp_path: Path, table: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text("def preprocess_handler(record):\n    return {}['missing']\n")
    result = run_job(tmp_path, table, record_preprocessor_script=script)
    assert result.exit_code == 2
    assert_sentence(result.message, "script_file.failed", file=script, line=" line 2")
    assert "KeyError" in result.message
    assert str(table) in result.message
    assert result.files == []


def test_a_baseline_of_another_kind(tmp_path: Path, table: Path) -> None:
    other = tmp_path / "constraints.json"
    other.write_text('{"version": 0.0, "binary_classification_constraints": {}}')
    result = run_job(tmp_path, table, baseline_constraints=other)
    assert result.exit_code == 2
    assert_sentence(result.message, "data_quality_documents.no_constraints", file=other)


def test_an_output_that_cannot_be_written(tmp_path: Path, table: Path) -> None:
    (tmp_path / "file").write_text("")
    result = run_job(tmp_path, table, output_path=tmp_path / "file" / "out")
    assert result.exit_code == 2
    place = {"role": "output_path ", "file": tmp_path / "file" / "out"}
    assert_sentence(result.message, "stored_file.unwritable", **place)
