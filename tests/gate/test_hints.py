"""Hints that are true where they stand: each of them provoked, in every monitor that gives it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from captured_predictions import predict, write_captures, write_labels
from reading.reading_inputs import HEADER, captured, csv_table
from run_jobs import Result, baseline_of, run_job

from containers.bias.main import main as monitor_bias
from containers.data_quality.main import main as monitor_data_quality
from containers.model_quality.main import main as monitor_model_quality

ANSWERS = '{"sagemakerCaptureJson":{"captureIndexNames":["endpointOutput"]}}'
CALLS = '{"sagemakerCaptureJson":{"captureIndexNames":["endpointInput","endpointOutput"]}}'
BIAS = {
    "label_values_or_threshold": [1],
    "facet": [{"name_or_index": "group", "value_or_threshold": ["a"]}],
    "methods": {"pre_training_bias": {"methods": "all"}, "post_training_bias": {"methods": "all"}},
}


def judge(folder: Path, monitor: str, source: Path, *, is_table: bool, **settings: Any) -> Result:
    """Run model quality or bias over a table of label, prediction and group, or over captures."""
    names = {"inference_attribute": "prediction" if is_table else "0"}
    if monitor == "model-quality":
        kind = settings.pop("problem_type", "BinaryClassification")
        names |= {"problem_type": kind} | ({"ground_truth_attribute": "label"} if is_table else {})
        form = HEADER if is_table else ANSWERS
        return run_job(folder, source, command=monitor_model_quality, dataset_format=form, **names | settings)
    headers = ["label", "prediction", "group"] if is_table else ["group"]
    config = BIAS | {"headers": headers, "label": "label" if is_table else "groundTruthData"}
    path = folder / "analysis_config.json"
    path.write_text(json.dumps(config), encoding="utf-8")
    form = HEADER if is_table else CALLS
    return run_job(
        folder, source, command=monitor_bias, analysis_config=path, dataset_format=form, **names | settings
    )


def rows(labels: Sequence[Any], predictions: Sequence[Any], count: int = 120) -> list[list[Any]]:
    return [
        [labels[at % len(labels)], predictions[at % len(predictions)], "ab"[at // 2 % 2]]
        for at in range(count)
    ]


@pytest.mark.parametrize("field", ["inference_attribute", "probability_attribute"])
@pytest.mark.parametrize("monitor", ["model-quality", "bias"])
def test_the_label_is_no_answer_of_the_model(tmp_path: Path, monitor: str, field: str) -> None:
    source = csv_table(tmp_path / "d.csv", "label,prediction,group", rows([0, 1, 1], [0, 1]))
    result = judge(tmp_path, monitor, source, is_table=True, **{field: "label"})
    assert result.exit_code == 2
    assert f"{field} is 'label', which is the label; name the column of what the model" in result.message


FRACTIONS = [step / 8 for step in range(1, 8)]


@pytest.mark.parametrize(
    ("monitor", "labels", "predictions", "told", "untold"),
    [
        ("model-quality", [0, 1], FRACTIONS, "inference_attribute holds scores", "ground_truth_attribute"),
        ("model-quality", FRACTIONS, [0, 1], "ground_truth_attribute holds scores", "inference_attribute"),
        ("model-quality", ["yes", "no"], [1, 0], "none is of both", "header"),
        ("model-quality", ["cat", "dog"], ["Cat", "Dog"], "differ only in letter case", "header"),
        ("model-quality", [""], [0, 1], "to the column of labels", "ground_truth_source"),
        ("model-quality", [0, 1], [""], "to the column of predictions", "label has no"),
        ("bias", [0, 1], FRACTIONS, "predicted_label 'prediction' holds scores", "header"),
        ("bias", [1, 0], ["yes", "no"], "none is of both", "header"),
        ("bias", [""], [0, 1], "label 'label' holds no value", "ground_truth_source"),
        ("bias", [0, 1], [""], "predicted_label 'prediction' holds no value", "label 'label'"),
    ],
)
def test_columns_that_are_not_what_they_are_called(
    tmp_path: Path, monitor: str, labels: list[Any], predictions: list[Any], told: str, untold: str
) -> None:
    source = csv_table(tmp_path / "a.csv", "label,prediction,group", rows(labels, predictions))
    result = judge(tmp_path, monitor, source, is_table=True)
    assert result.exit_code == 2
    assert told in result.message
    assert untold not in result.message
    assert result.files == []


@pytest.mark.parametrize("problem_type", ["BinaryClassification", "MulticlassClassification"])
def test_amounts_are_no_labels(tmp_path: Path, problem_type: str) -> None:
    source = csv_table(tmp_path / "a.csv", "label,prediction,group", rows(FRACTIONS, [0, 1]))
    result = judge(tmp_path, "model-quality", source, is_table=True, problem_type=problem_type)
    assert "ground_truth_attribute holds scores or amounts, such as '0.125'" in result.message


@pytest.mark.parametrize("monitor", ["model-quality", "bias"])
@pytest.mark.parametrize("ids", ["event", "nobody", None])
def test_labels_that_are_joined_are_no_column_to_name(tmp_path: Path, monitor: str, ids: str | None) -> None:
    window = predict(300, seed=1)
    settings: dict[str, Any] = {}
    if ids is not None:
        settings["ground_truth_source"] = write_labels(tmp_path / "labels", window.labels, prefix=ids)
    captures = write_captures(tmp_path / "captures", window)
    result = judge(tmp_path, monitor, captures, is_table=False, **settings)
    assert result.exit_code == (0 if ids == "event" else 2), result.message
    if ids != "event":
        assert "set ground_truth_source to labels whose ids are those of the data" in result.message
        assert not any(word in result.message for word in ("set ground_truth_attribute", "header", "column"))


@pytest.mark.parametrize("monitor", ["model-quality", "bias"])
@pytest.mark.parametrize(
    "part",
    [
        {"groundTruthData": {"data": "", "encoding": "CSV"}},
        {"groundTruthData": {"data": None, "encoding": "CSV"}},
        {"groundTruthData": {"encoding": "CSV"}},
        {"groundTruthData": {}},
        {"groundTruthData": None},
        {"groundTruthData": {"data": "null", "encoding": "JSON"}},
    ],
)
def test_one_label_without_a_value_is_unlabelled(tmp_path: Path, monitor: str, part: dict[str, Any]) -> None:
    window = predict(300, seed=1)
    labels = write_labels(tmp_path / "labels", window.labels)
    [file] = labels.rglob("*.jsonl")
    lines = file.read_text().splitlines()
    lines[7] = json.dumps(part | {"eventMetadata": {"eventId": "event-7"}})
    file.write_text("\n".join(lines))
    captures = write_captures(tmp_path / "captures", window)
    result = judge(tmp_path, monitor, captures, is_table=False, ground_truth_source=labels)
    assert result.exit_code == 0, result.message
    statistics = result.document("statistics.json")["dataset"]
    if monitor == "model-quality":
        assert statistics["item_count"] == 299


def test_lines_that_are_no_labels_at_all_are_refused(tmp_path: Path) -> None:
    labels = tmp_path / "labels"
    labels.mkdir()
    (labels / "a.jsonl").write_text(captured("1,2"))
    captures = write_captures(tmp_path / "captures", predict(30, seed=1))
    result = judge(tmp_path, "model-quality", captures, is_table=False, ground_truth_source=labels)
    assert (result.exit_code, "a.jsonl line 1 is not a label" in result.message) == (2, True)


@pytest.mark.parametrize(
    ("before", "now", "reason"),
    [
        ([1, 2, 3], ["x", "y"], "numbers on one side only"),
        ([1, 2, 3], ["inf"], "hold no finite number"),
        ([1, 2, 3], [""], "hold no value in the window"),
    ],
)
def test_why_drift_is_not_decided(tmp_path: Path, before: list[Any], now: list[Any], reason: str) -> None:
    results = []
    for name, cells in (("before", before), ("now", now)):
        table = csv_table(
            tmp_path / f"{name}.csv", "x,n", [[cells[at % len(cells)], at] for at in range(300)]
        )
        known = baseline_of(results[0]) if results else {}
        results.append(
            run_job(tmp_path, table, command=monitor_data_quality, output_path=tmp_path / name, **known)
        )
    assert reason in results[1].message
    assert "too many distinct values" not in results[1].message


def test_captures_have_no_header_line_to_mend(tmp_path: Path) -> None:
    captures = write_captures(tmp_path / "captures", predict(60, seed=1))
    baseline = run_job(tmp_path, captures, dataset_format=ANSWERS, output_path=tmp_path / "b")
    window = run_job(tmp_path, captures, dataset_format=CALLS, **baseline_of(baseline))
    [violation] = window.violations
    assert "no column names, so they cannot be matched" in violation["description"]
    named = judge(tmp_path, "model-quality", captures, is_table=False, inference_attribute="prediction")
    assert named.exit_code == 2
    for text in (violation["description"], window.message, named.message):
        assert "header" not in text
