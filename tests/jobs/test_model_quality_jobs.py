"""Whole model-quality jobs: tables and captures, labels that come later, segments, and hostile input."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from captured_predictions import predict, write_captures, write_labels, write_table
from fixtures import fixture
from run_jobs import Result, baseline_of, run_job
from sentences import says

from containers.model_quality.main import main

CAPTURES = '{"sagemakerCaptureJson":{"captureIndexNames":["endpointOutput"]}}'
WITH_INPUT = '{"sagemakerCaptureJson":{"captureIndexNames":["endpointInput","endpointOutput"]}}'
TABLE = {
    "problem_type": "BinaryClassification",
    "inference_attribute": "prediction",
    "probability_attribute": "probability",
    "ground_truth_attribute": "label",
}
OUTPUT = {
    "problem_type": "BinaryClassification",
    "inference_attribute": "0",
    "probability_attribute": "1",
}


def run(folder: Path, source: Path | None, **variables: Any) -> Result:
    return run_job(folder, source, command=main, **variables)


def run_captures(folder: Path, captures: Path, labels: Path | None, **variables: Any) -> Result:
    settings = {"dataset_format": CAPTURES, **OUTPUT, **variables}
    return run(folder, captures, ground_truth_source=labels, **settings)


@pytest.fixture(scope="module")
def baseline(tmp_path_factory: pytest.TempPathFactory) -> Result:
    folder = tmp_path_factory.mktemp("baseline")
    result = run(folder, write_table(folder / "data.csv", predict(3_000, seed=1)), **TABLE)
    assert result.exit_code == 0, result.message
    return result


def metric(result: Result, name: str) -> float:
    return result.document("statistics.json")["binary_classification_metrics"][name]["value"]


def test_a_baseline_from_a_table(baseline: Result) -> None:
    assert baseline.files == ["constraints.json", "report.html", "statistics.json"]
    assert metric(baseline, "accuracy") == pytest.approx(predict(3_000, seed=1).accuracy, abs=1e-12)
    constraints = baseline.document("constraints.json")["binary_classification_constraints"]
    assert constraints["accuracy"]["comparison_operator"] == "LessThanThreshold"


def test_captures_and_labels_are_joined_in_the_analysis(tmp_path: Path, baseline: Result) -> None:
    predictions = predict(2_000, seed=2)
    captures = write_captures(tmp_path / "captures", predictions)
    labels = write_labels(tmp_path / "labels", predictions.labels)
    result = run_captures(tmp_path, captures, labels, **baseline_of(baseline))
    assert result.exit_code == 0, result.message
    assert result.violations == []
    assert metric(result, "accuracy") == pytest.approx(predictions.accuracy, abs=1e-12)


@pytest.mark.parametrize("rules", ["sound", "sagemaker"])
def test_a_worse_model_is_found_and_can_fail_the_job(tmp_path: Path, baseline: Result, rules: str) -> None:
    predictions = predict(3_000, seed=3, wrong=0.4)
    captures = write_captures(tmp_path / "captures", predictions)
    labels = write_labels(tmp_path / "labels", predictions.labels)
    result = run_captures(
        tmp_path, captures, labels, rules=rules, fail_on_violations="Enabled", **baseline_of(baseline)
    )
    assert result.exit_code == 3, result.message
    assert "accuracy" in {violation["metric_name"] for violation in result.violations}
    assert {violation["constraint_check_type"] for violation in result.violations} <= {
        "LessThanThreshold",
        "GreaterThanThreshold",
    }


def test_merged_records_give_what_the_join_in_the_analysis_gives(tmp_path: Path) -> None:
    from containers.commands.merge_ground_truth import main as merge_ground_truth

    predictions = predict(400, seed=4)
    captures = write_captures(tmp_path / "captures", predictions)
    labels = write_labels(tmp_path / "labels", predictions.labels)
    merged = run_job(
        tmp_path / "merge",
        captures,
        command=merge_ground_truth,
        dataset_format=None,
        ground_truth_source=labels,
    )
    assert (merged.exit_code, merged.message) == (0, "")
    first = run(
        tmp_path / "a",
        merged.output,
        dataset_format=CAPTURES.replace("Capture", "Merge", 1),
        **OUTPUT,
    )
    second = run_captures(tmp_path / "b", captures, labels)
    assert (first.exit_code, second.exit_code) == (0, 0), first.message + second.message
    assert metric(first, "auc") == metric(second, "auc")
    assert metric(first, "accuracy") == pytest.approx(predictions.accuracy, abs=1e-12)


@pytest.mark.parametrize(
    ("variables", "labels", "says"),
    [
        ({}, ["high", "low"], ["15 of 45 cells of prediction hold 'none' and count as missing"]),
        ({"missing_values": "-"}, ["high", "low", "none"], []),
    ],
)
def test_none_may_be_a_class(
    tmp_path: Path, variables: dict[str, str], labels: list[str], says: list[str]
) -> None:
    source = tmp_path / "data.csv"
    source.write_text("label,prediction\n" + "none,none\nhigh,high\nlow,low\n" * 15)
    names = {name: TABLE[name] for name in ("inference_attribute", "ground_truth_attribute")}
    result = run(tmp_path, source, problem_type="MulticlassClassification", **names, **variables)
    found = result.document("statistics.json")
    assert list(found["multiclass_classification_metrics"]["confusion_matrix"]) == labels
    assert [one for one in found.get("reading", {}).get("missing", []) if "of prediction" in one] == says


@pytest.mark.parametrize("text", ["none", "None"])
def test_a_class_that_the_baseline_lists_is_one_in_the_window(tmp_path: Path, text: str) -> None:
    source = tmp_path / "data.csv"
    source.write_text("label,prediction\n" + f"{text},{text}\nhigh,high\nlow,low\n" * 15)
    names = {name: TABLE[name] for name in ("inference_attribute", "ground_truth_attribute")}
    names["problem_type"] = "MulticlassClassification"
    known = run(tmp_path / "1", source, missing_values="-", **names)
    result = run(tmp_path / "2", source, **names, **baseline_of(known))
    assert result.document("statistics.json")["dataset"]["item_count"] == 45
    assert result.violations == []


def test_a_positive_label_is_a_label_whatever_it_is_called(tmp_path: Path) -> None:
    source = tmp_path / "data.csv"
    source.write_text("label,prediction\n" + "none,none\nsome,some\nnone,some\n" * 15)
    names = {name: TABLE[name] for name in ("problem_type", "inference_attribute", "ground_truth_attribute")}
    result = run(tmp_path, source, positive_label="none", **names)
    assert metric(result, "recall") == pytest.approx(0.5)


def test_a_segment_in_which_the_model_is_worse(tmp_path: Path) -> None:
    settings = {"segment_by": "group", **TABLE}
    before = write_table(tmp_path / "before.csv", predict(6_000, seed=5))
    baseline = run(tmp_path / "a", before, output_path=tmp_path / "baseline", **settings)
    assert baseline.exit_code == 0, baseline.message
    segments = baseline.document("statistics.json")["segments"]
    assert sorted(segment["segment"]["group"] for segment in segments) == list("abcd")
    after = predict(6_000, seed=6, wrong=0.8, wrong_in=("c",))
    result = run(tmp_path, write_table(tmp_path / "after.csv", after), **settings, **baseline_of(baseline))
    assert result.exit_code == 0, result.message
    found = [violation for violation in result.violations if "segment" in violation]
    assert {violation["segment"]["group"] for violation in found} == {"c"}
    assert "accuracy" in {violation["metric_name"] for violation in found}
    assert found[0]["description"].startswith("In the segment group=c: ")


def test_a_captured_input_can_divide_the_captures(tmp_path: Path) -> None:
    predictions = predict(1_000, seed=7)
    captures = write_captures(tmp_path / "captures", predictions)
    labels = write_labels(tmp_path / "labels", predictions.labels)
    # Output columns come first: 0 and 1 are the prediction, 2 is the input.
    result = run_captures(tmp_path, captures, labels, dataset_format=WITH_INPUT, segment_by="2")
    assert result.exit_code == 0, result.message
    segments = result.document("statistics.json")["segments"]
    assert {segment["segment"]["2"] for segment in segments} == set("abcd")


def test_the_recorded_example_is_evaluated(tmp_path: Path) -> None:
    source = fixture("model_monitor/mq_binary/validation_with_predictions.csv")
    result = run(tmp_path, source, **TABLE)
    assert result.exit_code == 0, result.message
    assert metric(result, "auc") == 0.9395127993393898


# Hostile input: every job completes and says what was there, or fails with one sentence.


def write_few(tmp_path: Path) -> tuple[Path, list[int]]:
    predictions = predict(300, seed=8)
    return write_captures(tmp_path / "captures", predictions), predictions.labels


def test_labels_for_unknown_ids(tmp_path: Path, baseline: Result) -> None:
    captures, labels = write_few(tmp_path)
    source = write_labels(tmp_path / "labels", labels, prefix="nobody")
    result = run_captures(tmp_path, captures, source, **baseline_of(baseline))
    assert result.exit_code == 0, result.message
    assert result.violations == []
    assert "because no row has a label. None of the 300 ids of rows or calls belongs to" in result.message


def test_no_labels_at_all(tmp_path: Path, baseline: Result) -> None:
    captures, _ = write_few(tmp_path)
    (tmp_path / "labels").mkdir()
    result = run_captures(tmp_path, captures, tmp_path / "labels", **baseline_of(baseline))
    assert result.exit_code == 0, result.message
    assert result.violations == []
    assert "nothing could be decided, because no row has a label" in result.message


def test_labels_of_another_hour_count(tmp_path: Path) -> None:
    captures, labels = write_few(tmp_path)
    source = write_labels(tmp_path / "labels", labels, hour="2026/06/30/00")
    result = run_captures(
        tmp_path, captures, source, start_time="2026-05-06T22:00:00Z", end_time="2026-05-06T23:00:00Z"
    )
    assert result.exit_code == 0, result.message
    assert result.document("statistics.json")["dataset"]["item_count"] == 300


def test_both_sides_empty(tmp_path: Path, baseline: Result) -> None:
    for name in ("captures", "labels"):
        (tmp_path / name).mkdir()
    result = run_captures(tmp_path, tmp_path / "captures", tmp_path / "labels", **baseline_of(baseline))
    assert result.exit_code == 0, result.message
    assert "nothing could be decided, because there are no rows" in result.message


def rewrite(source: Path, *, probability: Any = None, label: Any = None, prediction: Any = None) -> Path:
    """Write a table whose columns are those values, by row number."""
    lines = ["label,prediction,probability"]
    for row in range(300):
        default = (row % 2, row % 2, 0.9 if row % 2 else 0.1)
        chosen = (label, prediction, probability)
        cells = [value if make is None else make(row) for make, value in zip(chosen, default, strict=True)]
        lines.append(",".join(str(cell) for cell in cells))
    source.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return source


def assert_sentence(result: Result, *parts: str) -> None:
    assert result.exit_code == 2, result.message
    for part in parts:
        assert part in result.message
    assert "Traceback" not in result.message
    assert len(result.message.encode()) <= 1024
    assert result.files == []


@pytest.mark.parametrize("probability", [1.5, -0.1])
def test_probabilities_outside_0_to_1(tmp_path: Path, probability: float) -> None:
    source = rewrite(tmp_path / "data.csv", probability=lambda row: probability if row == 7 else 0.5)
    result = run(tmp_path, source, **TABLE)
    # A score that is no probability still ranks.
    assert result.exit_code == 0, result.message
    assert "scores lie outside 0 to 1" in json.dumps(result.document("statistics.json"))
    assert 0.0 <= metric(result, "auc") <= 1.0


def test_scores_in_percent_are_no_constant_classifier(tmp_path: Path) -> None:
    source = rewrite(tmp_path / "data.csv", probability=lambda row: 3.0 + row % 95)
    settings = {**TABLE, "inference_attribute": None}
    result = run(tmp_path, source, **settings)
    assert_sentence(result, "from 3 to 97", "divide percent by 100", "inference_attribute")
    mended = run(tmp_path / "mended", source, **TABLE)
    assert mended.exit_code == 0, mended.message


def test_strings_where_numbers_are_expected(tmp_path: Path) -> None:
    source = rewrite(tmp_path / "data.csv", probability=lambda row: "high" if row == 7 else 0.5)
    result = run(tmp_path, source, **TABLE)
    assert result.exit_code == 0, result.message
    notes = result.document("statistics.json")["notes"]
    assert says(notes, "quality_notes.unusable", count=1, kind="scores", example="high")


def test_labels_as_numbers_and_text_are_the_same(tmp_path: Path) -> None:
    source = rewrite(
        tmp_path / "data.csv",
        label=lambda row: ["0", "1.0", " 0", "1 "][row % 4],
        prediction=lambda row: ["0.0", "1"][row % 2],
    )
    result = run(tmp_path, source, **TABLE)
    assert result.exit_code == 0, result.message
    assert metric(result, "accuracy") == 1.0


def test_a_missing_attribute_lists_the_columns(tmp_path: Path) -> None:
    source = write_table(tmp_path / "data.csv", predict(300, seed=9))
    result = run(tmp_path, source, **{**TABLE, "inference_attribute": "predicton"})
    assert_sentence(result, "inference_attribute", "predicton", "prediction", "probability", "label")


def test_an_index_beyond_the_columns(tmp_path: Path) -> None:
    captures, labels = write_few(tmp_path)
    source = write_labels(tmp_path / "labels", labels)
    result = run_captures(tmp_path, captures, source, probability_attribute="7")
    assert_sentence(result, "probability_attribute", "7")


def test_an_unset_problem_type(tmp_path: Path) -> None:
    source = write_table(tmp_path / "data.csv", predict(300, seed=9))
    result = run(tmp_path, source, **{**TABLE, "problem_type": None})
    assert_sentence(result, "problem_type is not set", "BinaryClassification")


def test_a_data_quality_baseline_is_refused(tmp_path: Path) -> None:
    source = write_table(tmp_path / "data.csv", predict(300, seed=9))
    other = run_job(tmp_path / "a", source, output_path=tmp_path / "other")
    result = run(tmp_path, source, **TABLE, **baseline_of(other))
    assert_sentence(result, "constraints.json")
    assert "did not" not in result.message


def test_a_job_of_another_analysis_is_refused(tmp_path: Path) -> None:
    source = write_table(tmp_path / "data.csv", predict(300, seed=9))
    result = run(tmp_path, source, **TABLE, analysis_type="DATA_QUALITY")
    assert_sentence(result, "analysis_type is 'DATA_QUALITY'")
