"""Logs of other servers give the rows of the calls they hold: samples of ten calls, twelve rows, each."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from jobs.attribution_runs import attributions
from jobs.attribution_runs import run as run_attribution
from models.model_server import Answer, Request, serving
from refusals import refused
from run_jobs import Result, baseline_of, run_job
from sentences import says

from containers.bias.main import main as monitor_bias
from containers.model_quality.main import main as monitor_model_quality
from contract.dataset import Dataset, Tally, counting
from contract.dataset_format import parse_dataset_format
from contract.errors import ConfigurationError, DatasetError
from readers.plan import plan_dataset

CASES = Path(__file__).parent / "cases" / "inference_logs"
AZURE = "azureml/modelDataCollector/churn/blue"
FOLDERS = {
    "kserve/cloudevents-v1": "kserve",
    "kserve/cloudevents-v1-named": "kserve",
    "kserve/cloudevents-v2": "kserve",
    "kserve/http-binary": "kserve",
    "kserve/blob-json": "kserve",
    "kserve/blob-parquet": "kserve",
    "mlserver": "mlserver",
    "bentoml": "bentoml",
    "databricks/churn_payload": "databricks",
    "databricks/gateway_payload": "databricks",
    "azureml": "azureml",
    "triton": "triton",
}
NO_TIMES = ("kserve/blob-parquet", "mlserver", "triton")
CAPTURES = '{"sagemakerCaptureJson":{"captureIndexNames":["endpointInput","endpointOutput"]}}'
# BentoML writes plain rows, so these can be known without our reader.
ROWS = [json.loads(line) for line in (CASES / "bentoml/churn/data/data.1.log").read_text().splitlines()]
NAMES = ("age", "income", "region", "score")
# The first four calls: of two rows, and three of one.
WINDOW = {"start_time": "2026-11-27T09:00:00Z", "end_time": "2026-11-27T09:03:00Z"}
IN_WINDOW = 5


def read(source: Path, text: str = CAPTURES, **changes: Any) -> tuple[list[dict[str, Any]], str]:
    """Return rows under the usual names, and what was said."""
    request = Dataset(str(source), parse_dataset_format(text), **changes)
    tally: Tally = Tally()
    plan = plan_dataset(request)
    with counting(tally):
        batches = [batch for split in plan.splits for batch in split.batches()]
    rows = pa.Table.from_batches(batches).to_pylist()
    request.said.add(tally, len(rows))
    usual = {"predictions": "score", "instances.0": "age", "instances.1": "income", "instances.2": "region"}
    return [{usual.get(name, name): value for name, value in row.items()} for row in rows], "\n".join(
        request.said.lines()
    )


def expected(names: tuple[str, ...] = NAMES) -> list[list[Any]]:
    return sorted([row[name] for name in names] for row in ROWS)


@pytest.mark.parametrize("folder", FOLDERS)
def test_each_server_gives_the_rows_of_its_calls(folder: str) -> None:
    rows, said = read(CASES / folder)
    # Triton's trace leaves out tensors of text.
    names = tuple(name for name in NAMES if name != "region" or folder != "triton")
    assert all(row.keys() == set(names) for row in rows)
    assert sorted([row[name] for name in names] for row in rows) == expected(names)
    assert "files: read as calls from " in said
    named, _ = read(CASES / folder, json.dumps({"inferenceLog": {"server": FOLDERS[folder]}}))
    assert named == rows


@pytest.mark.parametrize("folder", FOLDERS)
@pytest.mark.parametrize("kind", ["json", "parquet"])
def test_no_envelope_is_read_as_columns(folder: str, kind: str) -> None:
    with pytest.raises(DatasetError, match=f'"server":"{FOLDERS[folder]}"'):
        read(CASES / folder, kind)


@pytest.mark.parametrize("folder", FOLDERS)
def test_data_quality_of_each_server(folder: str, tmp_path: Path) -> None:
    window = {} if folder in NO_TIMES else WINDOW
    result = run_job(tmp_path, CASES / folder, dataset_format=CAPTURES, **window)
    assert result.exit_code == 0, result.message
    statistics = result.document("statistics.json")
    assert statistics["dataset"]["item_count"] == (IN_WINDOW if window else len(ROWS))
    assert len(statistics["features"]) == (3 if folder == "triton" else 4)
    assert "calls from" in " ".join(statistics["reading"]["files"])


@pytest.mark.parametrize("folder", NO_TIMES)
def test_a_window_needs_times(folder: str, tmp_path: Path) -> None:
    result = run_job(tmp_path, CASES / folder, dataset_format=CAPTURES, **WINDOW)
    assert result.exit_code == 2
    assert "have no time" in result.message


@pytest.mark.parametrize("folder", ["kserve/cloudevents-v1", "kserve/cloudevents-v1-named"])
def test_lists_without_names_take_those_of_the_baseline(folder: str, tmp_path: Path) -> None:
    lines = [",".join(str(row[name]) for name in ("score", *NAMES[:3])) for row in ROWS]
    (tmp_path / "data.csv").write_text("\n".join(["score,age,income,region", *lines]) + "\n")
    baseline = run_job(tmp_path, tmp_path / "data.csv", output_path=tmp_path / "baseline")
    result = run_job(tmp_path, CASES / folder, dataset_format=CAPTURES, **baseline_of(baseline))
    assert (result.exit_code, result.violations) == (0, []), result.message
    assert "predictions is score" in result.document("statistics.json")["reading"]["columns"][0]


def labels_of(folder: Path, inputs: Path) -> Path:
    """Write a label for each call, one line for each of its rows: whether the income is above 40,000."""
    records = []
    for line in inputs.read_text().splitlines():
        call = json.loads(line)
        incomes = next(tensor["data"] for tensor in call["inputs"] if tensor["name"] == "income")
        data = "\n".join(str(int(income > 40_000)) for income in incomes)
        metadata = {"eventId": call["id"]}
        label = {"data": data, "encoding": "CSV"}
        records.append({"groundTruthData": label, "eventMetadata": metadata, "eventVersion": "0"})
    folder.mkdir()
    (folder / "labels.jsonl").write_text("\n".join(map(json.dumps, records)))
    return folder


@pytest.mark.parametrize(
    ("folder", "score"),
    [
        ("kserve/cloudevents-v1", "predictions"),
        ("kserve/cloudevents-v2", "score"),
        ("databricks/gateway_payload", "predictions"),
        ("azureml", "score"),
        ("mlserver", "score"),
    ],
)
def test_labels_are_found_by_the_id_of_the_call(folder: str, score: str, tmp_path: Path) -> None:
    result = run_job(
        tmp_path,
        CASES / folder,
        command=monitor_model_quality,
        dataset_format=CAPTURES,
        ground_truth_source=labels_of(tmp_path / "labels", CASES / "mlserver/kafka-input/part-0.jsonl"),
        problem_type="BinaryClassification",
        probability_attribute=score,
        probability_threshold_attribute="0.5",
    )
    assert result.exit_code == 0, result.message
    metrics = result.document("statistics.json")["binary_classification_metrics"]
    counts = metrics["confusion_matrix"]
    for truth in (0, 1):
        for guess in (0, 1):
            found = sum((row["income"] > 40_000) == truth and (row["score"] > 0.5) == guess for row in ROWS)
            assert counts[str(truth)][str(guess)] == found


def run_bias(tmp_path: Path, folder: str, config: dict[str, Any]) -> Result:
    (tmp_path / "analysis_config.json").write_text(json.dumps(config))
    return run_job(
        tmp_path,
        CASES / folder,
        command=monitor_bias,
        dataset_format=CAPTURES,
        analysis_config=tmp_path,
        ground_truth_source=labels_of(tmp_path / "labels", CASES / "mlserver/kafka-input/part-0.jsonl"),
        probability_threshold_attribute="0.5",
    )


@pytest.mark.parametrize(
    ("folder", "features", "score"),
    [
        ("kserve/cloudevents-v1-named", "instances[*]", "predictions"),
        ("azureml", "[*]", "[*].score"),
    ],
)
def test_bias_of_calls_of_another_server(folder: str, features: str, score: str, tmp_path: Path) -> None:
    config = {
        "label": "label",
        "label_values_or_threshold": [1],
        "facet": [{"name_or_index": "region", "value_or_threshold": ["south"]}],
        "features": features,
        "predictor": {"probability": score},
        "methods": {"post_training_bias": {"methods": ["DPPL"]}},
    }
    result = run_bias(tmp_path, folder, config)
    assert result.exit_code == 0, result.message
    facets = result.document("analysis.json")["post_training_bias_metrics"]["facets"]["region"]
    [value] = [metric["value"] for metric in facets[0]["metrics"] if metric["name"] == "DPPL"]
    shares = []
    for is_south in (False, True):
        scores = [row["score"] for row in ROWS if (row["region"] == "south") == is_south]
        shares.append(sum(score > 0.5 for score in scores) / len(scores))
    assert value == pytest.approx(shares[0] - shares[1])


def linear(request: Request) -> Answer:
    scores = [float(line.split(",")[0]) / 100 for line in request.body.decode().strip().splitlines()]
    return Answer("\n".join(map(str, scores)).encode())


@pytest.mark.parametrize(
    ("folder", "features"), [("kserve/cloudevents-v1-named", "instances[*]"), ("azureml", "[*]")]
)
def test_attribution_of_calls_of_another_server(folder: str, features: str, tmp_path: Path) -> None:
    config = {
        "features": features,
        "methods": {"shap": {"baseline": [[50, 40_000, "south"]], "num_samples": 100}},
        "predictor": {"content_type": "text/csv"},
    }
    with serving(linear) as server:
        result = run_attribution(tmp_path, CASES / folder, config, server.url, dataset_format=CAPTURES)
    found = attributions(result)
    mean = sum(abs(row["age"] - 50) / 100 for row in ROWS) / len(ROWS)
    assert found == pytest.approx({"age": mean, "income": 0, "region": 0}, abs=1e-9)


def test_request_and_response_of_azure_without_what_its_script_collects() -> None:
    rows, _ = read(CASES / AZURE / "request")
    assert len(rows) == len(ROWS)
    assert rows[0].keys() == {"age", "income", "region"}


def test_requests_and_responses_of_azure(tmp_path: Path) -> None:
    for side in ("request", "response"):
        shutil.copytree(CASES / AZURE / side, tmp_path / side)
    rows, _ = read(tmp_path)
    scores = [value for row in rows for name, value in row.items() if name not in NAMES[:3]]
    assert sorted(scores) == sorted(row["score"] for row in ROWS)


def test_halves_that_stay_alone_and_other_events_are_counted(tmp_path: Path) -> None:
    lines = (CASES / "kserve/cloudevents-v2/events.jsonl").read_text().splitlines()
    feedback = json.dumps({**json.loads(lines[0]), "type": "org.kubeflow.serving.inference.feedback"})
    (tmp_path / "a.jsonl").write_text("\n".join([lines[2], *lines[4:], lines[2], feedback]))
    (tmp_path / "b.jsonl").write_text("\n".join([lines[1], lines[0], lines[4]]))
    rows, said = read(tmp_path)
    assert len(rows) == len(ROWS) - 1
    assert says(said, "reading.unpaired", count=2, side="request")
    assert says(said, "reading.repeated", count=1)
    assert "feedback are no calls" in said


def test_calls_of_a_transformer_and_its_predictor_are_told_apart_and_said(tmp_path: Path) -> None:
    text = (CASES / "kserve/cloudevents-v2/events.jsonl").read_text()
    (tmp_path / "a.jsonl").write_text(text + text.replace('"predictor"', '"transformer"'))
    rows, said = read(tmp_path)
    assert len(rows) == 2 * len(ROWS)
    assert "read together: scoring/churn/predictor, scoring/churn/transformer" in said


@pytest.mark.parametrize(
    ("folder", "change"),
    [
        ("databricks/churn_payload", {"request_metadata": {"model_name": "churn", "model_version": "4"}}),
        ("databricks/gateway_payload", {"served_entity_id": "c0ffee01"}),
    ],
)
def test_calls_of_several_models_are_said_and_failed_ones_left_out(
    folder: str, change: dict[str, Any], tmp_path: Path
) -> None:
    rows = pq.read_table(CASES / folder).to_pylist()
    # As exports write them: numbers as text, or with a point beside missing ones.
    rows = [{**row, "status_code": str(row["status_code"])} for row in rows]
    rows[0]["status_code"] = 200.0
    rows[-1] |= change
    rows.append({**rows[0], "status_code": "500"})
    text = "".join(json.dumps(row, default=str) + "\n" for row in rows)
    (tmp_path / "a.jsonl").write_text(text)
    found, said = read(tmp_path)
    assert len(found) == len(ROWS)
    assert says(said, "reading.failed", count=1)
    assert "read together: c0ffee00, c0ffee01" in said or "read together: churn 3, churn 4" in said


def test_what_is_no_call_is_named_with_its_line(tmp_path: Path) -> None:
    lines = (CASES / "kserve/cloudevents-v2/events.jsonl").read_text().splitlines()
    (tmp_path / "a.jsonl").write_text("\n".join([*lines[:3], lines[3][:50], *lines[4:]]))
    with pytest.raises(DatasetError, match=r"a\.jsonl line 4 is no call"):
        read(tmp_path)


def test_the_server_that_is_named_must_have_written_the_log() -> None:
    with pytest.raises(DatasetError, match="log of MLServer"):
        read(CASES / "mlserver", '{"inferenceLog":{"server":"triton"}}')
    with refused(ConfigurationError, "members.choice", field="inferenceLog.server") as caught:
        parse_dataset_format('{"inferenceLog":{"server":"torchserve"}}')
    assert says(caught.value.message, "members.choice", value="torchserve")
