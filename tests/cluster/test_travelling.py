"""Every monitor's analyzer and splits travel to other hosts, and their summaries back, without a change."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from attributed_people import csv_endpoint, people, table_config, write_csv
from captured_predictions import predict, write_captures, write_labels
from models.model_server import serving
from run_jobs import Result, run_job

from containers.bias.main import main as monitor_bias
from containers.feature_attribution.main import main as monitor_feature_attribution
from containers.model_quality.main import main as monitor_model_quality
from contract.api import AnyAnalyzer
from contract.dataset import Prediction, Split, Tally
from job_runner import engine
from job_runner.cluster.hosts import Evidence, Parcel, pack, summarize_piece, unpack

ROWS = 400
SCRIPT = """\
def preprocess_dataframe(df):
    df["double"] = df["age"] * 2
    return df
"""


def summarize_elsewhere(
    analyzer: AnyAnalyzer,
    splits: tuple[Split, ...],
    workers: int | None = None,
    noticed: Tally | None = None,
) -> Any:
    """Do what a worker and the leader do, in one process."""
    parcel = pack(Parcel(analyzer, splits, Evidence()))
    token = uuid.uuid4().hex

    class Piece:
        def __init__(self, number: int) -> None:
            self.number = number

        def result(self) -> Any:
            return unpack(summarize_piece(token, parcel, self.number))

        def cancel(self) -> None:
            pass

    summaries = engine.in_order(splits, lambda split: Piece(splits.index(split)), lambda: 2)
    return engine.merged(analyzer, summaries, noticed or Tally())


def scripted(folder: Path) -> Result:
    script = folder / "script.py"
    script.write_text(SCRIPT, encoding="utf-8")
    source = write_csv(folder / "data.csv", people(ROWS).rows)
    return run_job(folder, source, record_preprocessor_script=script)


def segmented(folder: Path) -> Result:
    return run_job(folder, write_csv(folder / "data.csv", people(ROWS).rows), segment_by="colour")


def model_quality(folder: Path) -> Result:
    predictions = predict(ROWS, seed=2)
    return run_job(
        folder,
        write_captures(folder / "captures", predictions),
        command=monitor_model_quality,
        ground_truth_source=write_labels(folder / "labels", predictions.labels),
        dataset_format='{"sagemakerCaptureJson":{"captureIndexNames":["endpointOutput"]}}',
        problem_type="BinaryClassification",
        inference_attribute="0",
        probability_attribute="1",
    )


def configured(folder: Path, command: Any, config: dict[str, Any], source: Path) -> Result:
    (folder / "analysis_config.json").write_text(json.dumps(config), encoding="utf-8")
    with serving(csv_endpoint) as server:
        return run_job(
            folder, source, command=command, dataset_format=None, analysis_config=folder, model=server.url
        )


def bias(folder: Path) -> Result:
    rows = [[*row, number % 2] for number, row in enumerate(people(ROWS).rows)]
    source = write_csv(folder / "data" / "data.csv", rows, ["age", "colour", "income", "label"])
    config = {
        "dataset_type": "text/csv",
        "label": "label",
        "label_values_or_threshold": [1],
        "facet": [{"name_or_index": "colour", "value_or_threshold": ["red"]}],
        "predictor": {"content_type": "text/csv"},
        "probability_threshold": 0.6,
        "methods": {"pre_training_bias": {"methods": "all"}, "post_training_bias": {"methods": ["DPPL"]}},
    }
    return configured(folder, monitor_bias, config, source)


def attribution(folder: Path) -> Result:
    source = write_csv(folder / "data" / "data.csv", people(ROWS).rows)
    return configured(folder, monitor_feature_attribution, table_config(), source)


@pytest.mark.parametrize("job", [scripted, segmented, model_quality, bias, attribution])
def test_documents_are_those_of_one_host(
    job: Callable[[Path], Result], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folders = tmp_path / "here", tmp_path / "elsewhere"
    for folder in folders:
        folder.mkdir()
    here = job(folders[0])
    assert here.exit_code == 0, here.message
    monkeypatch.setattr(engine, "summarize_splits", summarize_elsewhere)
    elsewhere = job(folders[1])
    assert elsewhere.exit_code == 0, elsewhere.message
    assert elsewhere.files == here.files
    for path in sorted(here.output.rglob("*.[jc]s*")):  # JSON and CSV
        other = elsewhere.output / path.relative_to(here.output)
        assert without_time(other) == without_time(path)


def without_time(path: Path) -> str:
    """Return a file's text without what tells the time and the address of the model."""
    lines = path.read_text(encoding="utf-8").splitlines()
    return "\n".join(
        line for line in lines if not any(word in line for word in ("second", "time", "127.0.0.1"))
    )


closed: list[str] = []


def answer(batch: pa.RecordBatch) -> pa.Array:
    return pa.nulls(batch.num_rows)


def close() -> None:
    closed.append("closed")


def test_a_host_that_drops_a_job_closes_its_model() -> None:
    here = Prediction("score", ("age",), answer, "the model", close)
    elsewhere = unpack(pack(here))
    assert (elsewhere, elsewhere.ask) == (here, answer)
    del elsewhere
    assert closed == ["closed"]
