"""The model-quality image under Docker, as an unprivileged user who can write nowhere but to the output."""

from __future__ import annotations

from pathlib import Path

import pytest
from captured_predictions import Predictions, predict, write_captures, write_labels
from image_runner import (
    COMPARED,
    MODEL_QUALITY,
    REPORTING,
    ImageRun,
    assert_refused,
    capture_format,
    run_image,
)

CAPTURES = capture_format("endpointOutput")
WORSE = predict(1_500, seed=2, wrong=0.5)
COLUMNS = {"problem_type": "BinaryClassification", "inference_attribute": "0", "probability_attribute": "1"}


def write(folder: Path, predictions: Predictions = WORSE) -> dict[str, Path]:
    return {
        "/captures": write_captures(folder / "captures", predictions),
        "/labels": write_labels(folder / "labels", predictions.labels),
    }


def test_baseline_with_variables_alone(model_baseline: ImageRun) -> None:
    assert model_baseline.exit_code == 0, model_baseline.log
    assert model_baseline.files == ["constraints.json", "message", "report.html", "statistics.json"]
    assert model_baseline.message.startswith("Completed: ")
    metrics = model_baseline.document("statistics.json")["binary_classification_metrics"]
    assert metrics["accuracy"]["value"] == pytest.approx(predict(2_000, seed=1).accuracy, abs=1e-12)


@pytest.mark.parametrize("rules", ["sound", "sagemaker"])
def test_captures_joined_with_labels_show_the_worse_model(
    tmp_path: Path, model_baseline: ImageRun, rules: str
) -> None:
    run = run_image(
        tmp_path,
        image=MODEL_QUALITY,
        mounts={**write(tmp_path), "/baseline": model_baseline.output},
        dataset_source="/captures",
        dataset_format=CAPTURES,
        ground_truth_source="/labels",
        **REPORTING,
        fail_on_violations="Enabled",
        rules=rules,
        **COLUMNS,
        **COMPARED,
    )
    assert run.exit_code == 3, run.log
    assert run.message.startswith("CompletedWithViolations: ")
    violations = run.document("constraint_violations.json")["violations"]
    assert "accuracy" in [violation["metric_name"] for violation in violations]


def test_merge_then_analysis(tmp_path: Path) -> None:
    merged = run_image(
        tmp_path / "merge",
        image=MODEL_QUALITY,
        entrypoint="merge-ground-truth",
        mounts=write(tmp_path),
        dataset_source="/captures",
        ground_truth_source="/labels",
        **REPORTING,
    )
    assert (merged.exit_code, merged.message) == (0, ""), merged.log
    run = run_image(
        tmp_path,
        image=MODEL_QUALITY,
        mounts={"/merged": merged.output / "endpoint"},
        dataset_source="/merged",
        dataset_format=CAPTURES.replace("Capture", "Merge", 1),
        output_path="/output",
        **COLUMNS,
    )
    assert run.exit_code == 0, run.log
    metrics = run.document("statistics.json")["binary_classification_metrics"]
    assert metrics["accuracy"]["value"] == pytest.approx(WORSE.accuracy, abs=1e-12)


def test_a_job_for_another_image_is_refused(tmp_path: Path) -> None:
    run = run_image(
        tmp_path,
        image=MODEL_QUALITY,
        mounts=write(tmp_path),
        dataset_source="/captures",
        dataset_format=CAPTURES,
        **REPORTING,
        analysis_type="DATA_QUALITY",
        **COLUMNS,
    )
    assert_refused(run, "analysis_type is 'DATA_QUALITY'")
