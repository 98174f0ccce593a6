"""Labels that come as tables: CSV and Parquet."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from captured_predictions import predict, write_captures, write_labels
from hypothesis import given
from hypothesis import strategies as st
from label_data import capture, label, merged_files, run_merge, write
from refusals import refused
from run_jobs import run_job
from sentences import says

from containers.model_quality.main import main as monitor
from contract.dataset import LabelPlaces
from contract.errors import DatasetError
from file_storage.storage import list_files
from readers.labels import index_labels, read_table


class Joined:
    """Captures and label files below one folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.labels = folder / "labels"
        self.labels.mkdir()

    def path(self, name: str) -> Path:
        path = self.labels / name
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def csv(self, name: str, text: str) -> None:
        self.path(name).write_text(text, encoding="utf-8")

    def parquet(self, name: str, **columns: Any) -> None:
        pq.write_table(pa.table(columns), self.path(name))

    def merge(self, ids: str = "abc", **variables: str) -> dict[str, Any] | str:
        """Return the label of each capture that has one, or the message of a job that failed."""
        captures = write(self.folder / "in.jsonl", [capture(identifier) for identifier in ids])
        result = run_merge(self.folder, captures, self.labels, **variables)
        if result.exit_code:
            return result.message
        records = [record for file in merged_files(result.output).values() for record in file]
        return {one["eventMetadata"]["eventId"]: one["groundTruthData"]["data"] for one in records}


@pytest.fixture
def joined(tmp_path: Path) -> Joined:
    return Joined(tmp_path)


def test_csv_with_the_usual_names(joined: Joined) -> None:
    joined.csv("labels.csv", "inferenceId,label\na,1\nb,0\n")
    assert joined.merge() == {"a": "1", "b": "0"}


def test_what_is_about_labels_is_passed_over(joined: Joined, caplog: pytest.LogCaptureFixture) -> None:
    joined.csv("labels.csv", "inferenceId,label\na,1\nb,0\n")
    joined.csv("README.md", "Labels of May.")
    joined.csv("LICENSE", "None.")
    with caplog.at_level("INFO"):
        assert index_labels(str(joined.labels)).records == 2
    assert "README.md" in caplog.text
    joined.path("labels.csv").unlink()
    with refused(DatasetError, "label_files.no_label"):  # nothing else is there
        index_labels(str(joined.labels))


def test_parquet_with_types(joined: Joined) -> None:
    joined.parquet("labels.parquet", eventId=[7, 8, 9], late=[True, False, None])
    assert joined.merge("789") == {"7": "true", "8": "false"}


def test_settings_name_the_columns_of_a_wide_table(joined: Joined) -> None:
    joined.csv("wide.csv", "day,request_id,was_late,carrier\n1,a,1,UA\n1,b,0,DL\n")
    names = {"ground_truth_id_column": "request_id", "ground_truth_label_column": "was_late"}
    assert joined.merge(**names) == {"a": "1", "b": "0"}


def test_rows_without_a_label_are_not_labelled_yet(joined: Joined) -> None:
    joined.csv("labels.csv", "inferenceId,label\na,\nb,0\n,\n")
    joined.parquet("later.parquet", inferenceId=["c"], label=[float("nan")])
    assert joined.merge() == {"b": "0"}


def test_the_latest_wins_whatever_the_kind_of_file(joined: Joined) -> None:
    joined.csv("2026/05/07/01/z.csv", "inferenceId,label\na,1\nb,1\nb,2\nc,1\n")
    write(joined.path("2026/05/07/02/a.jsonl"), [label("a", "from lines"), label("c", "from lines")])
    joined.parquet("2026/05/07/03/0.parquet", inferenceId=["c"], label=["from parquet"])
    assert joined.merge() == {"a": "from lines", "b": "2", "c": "from parquet"}


def test_a_label_with_commas_is_one_cell(joined: Joined) -> None:
    joined.csv("labels.csv", 'inferenceId,label\na,"Paris, Texas"\nb,plain\nc,"say ""no"""\n')
    found = joined.merge()
    assert isinstance(found, dict)
    assert found["b"] == "plain"
    assert [json.loads(found[name]) for name in "ac"] == ["Paris, Texas", 'say "no"']


def test_compressed_csv(joined: Joined) -> None:
    joined.path("labels.csv.gz").write_bytes(gzip.compress(b"inferenceId,label\na,1\n"))
    assert joined.merge() == {"a": "1"}


@pytest.mark.parametrize(
    ("text", "variables", "code", "members"),
    [
        (
            "request,label\na,1\n",
            {},
            "label_files.no_id_column",
            {"usual": "inferenceId or eventId", "columns": "request, label"},
        ),
        (
            "inferenceId,day,label\na,1,1\n",
            {},
            "label_files.no_label_column",
            {"others": "2 columns", "id": "inferenceId", "columns": "inferenceId, day, label"},
        ),
        (
            "inferenceId,label\na,1\n",
            {"ground_truth_label_column": "labels"},
            "label_files.no_column",
            {"name": "labels", "field": "ground_truth_label_column", "meant": ": did you mean label?"},
        ),
        ("inferenceId,label\na,1\n,0\n", {}, "label_files.no_id", {"row": 2}),
        ("inferenceId,label\na,1,2\n", {}, "csv.cells", {"line": 2}),
    ],
)
def test_tables_that_cannot_be_read(
    joined: Joined, text: str, variables: dict[str, str], code: str, members: dict[str, Any]
) -> None:
    joined.csv("labels.csv", text)
    found = joined.merge(**variables)
    assert isinstance(found, str)
    assert "labels.csv " in found
    assert says(found, code, **members)


def test_a_job_joins_them_while_it_reads(tmp_path: Path) -> None:
    predictions = predict(300, seed=5)
    captures = write_captures(tmp_path / "captures", predictions)
    lines = write_labels(tmp_path / "lines", predictions.labels)
    records = [json.loads(line) for file in lines.rglob("*.jsonl") for line in file.read_bytes().splitlines()]
    (tmp_path / "tables").mkdir()
    pq.write_table(
        pa.table(
            {
                "request": [record["eventMetadata"]["eventId"] for record in records],
                "asked": ["2026-05-06"] * len(records),
                "late": [int(record["groundTruthData"]["data"]) for record in records],
            }
        ),
        tmp_path / "tables" / "labels.parquet",
    )
    columns = {"ground_truth_id_column": "request", "ground_truth_label_column": "late"}
    first, second = (
        run_job(
            tmp_path / name,
            captures,
            command=monitor,
            dataset_format=json.dumps({"sagemakerCaptureJson": {"captureIndexNames": ["endpointOutput"]}}),
            problem_type="BinaryClassification",
            inference_attribute="0",
            ground_truth_source=tmp_path / name,
            **(columns if name == "tables" else {}),
        )
        for name in ("lines", "tables")
    )
    assert second.exit_code == 0, second.message
    name = "binary_classification_metrics"
    assert second.document("statistics.json")[name] == first.document("statistics.json")[name]


@given(
    st.lists(
        st.tuples(
            st.text("ab0 ", min_size=1).filter(str.strip),
            st.none() | st.text(st.characters(exclude_characters="\0", codec="utf-8"), min_size=1),
        ),
        max_size=30,
    )
)
def test_csv_and_parquet_of_one_table_hold_the_same_labels(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, str | None]]
) -> None:
    folder = tmp_path_factory.mktemp("tables")
    pq.write_table(
        pa.table(
            {
                "inferenceId": pa.array([row[0] for row in rows], pa.string()),
                "label": pa.array([row[1] for row in rows], pa.string()),
            }
        ),
        folder / "a.parquet",
    )
    found = [
        (identifier, json.loads(data) if encoding == "JSON" else data)
        for part in read_table(list_files(str(folder))[0], LabelPlaces())
        for identifier, data, encoding in zip(
            *(column.to_pylist() for column in (part.ids, part.data, part.encodings)), strict=True
        )
    ]
    assert found == [row for row in rows if row[1] is not None]
