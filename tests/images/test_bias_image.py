"""The bias image under Docker, as an unprivileged user who can write nowhere but to the output."""

from __future__ import annotations

from pathlib import Path

import pytest
from bias_data import (
    BASELINE,
    CONFIG,
    GROUP,
    MONITOR_CONFIG,
    WORSE,
    accuracy_difference,
    metric,
    write_bias_baseline,
    write_bias_window,
    write_config,
)
from captured_predictions import write_captures
from image_runner import (
    BIAS,
    COMPARED,
    INPUT,
    REPORTING,
    ImageRun,
    assert_refused,
    capture_format,
    run_image,
    shared_folder,
)

DOCUMENTS = ["analysis.json", "constraints.json", "report.html", "statistics.json"]
CAPTURES = capture_format("endpointOutput", "endpointInput")


def monitor(folder: Path, bias_baseline: ImageRun, **variables: str) -> ImageRun:
    window = write_bias_window(folder)
    return run_image(
        folder,
        image=BIAS,
        mounts={
            "/captures": window["captures"],
            "/labels": window["labels"],
            "/config": write_config(folder / "config", MONITOR_CONFIG),
            "/baseline": bias_baseline.output,
        },
        analysis_config="/config",
        dataset_source="/captures",
        dataset_format=CAPTURES,
        ground_truth_source="/labels",
        inference_attribute="0",
        probability_attribute="1",
        **COMPARED,
        **REPORTING,
        **variables,
    )


def test_clarifys_own_paths_with_no_environment_at_all(bias_baseline: ImageRun) -> None:
    assert bias_baseline.exit_code == 0, bias_baseline.log
    assert bias_baseline.files == DOCUMENTS
    for document in ("analysis.json", "constraints.json"):
        found = metric(bias_baseline.document(document), "AD")
        assert found["value"] == pytest.approx(accuracy_difference(BASELINE), abs=1e-12)
    assert (bias_baseline.output / "analysis.json").read_text().startswith('{\n    "version": "1.0",\n')


def test_root_with_clarifys_own_paths(tmp_path: Path) -> None:
    # As SageMaker starts it.
    run = run_image(
        tmp_path,
        image=BIAS,
        mounts={
            f"{INPUT}/config": write_config(tmp_path / "config"),
            f"{INPUT}/data": write_bias_baseline(tmp_path / "data"),
        },
        output_at="/opt/ml/processing/output",
        user=None,
    )
    assert run.exit_code == 0, run.log
    assert run.files == DOCUMENTS


@pytest.mark.parametrize("rules", ["sound", "sagemaker"])
def test_captures_joined_with_labels_show_the_group_treated_worse(
    tmp_path: Path, bias_baseline: ImageRun, rules: str
) -> None:
    run = monitor(tmp_path, bias_baseline, rules=rules, fail_on_violations="Enabled")
    assert run.exit_code == 3, run.log
    assert run.message.startswith("CompletedWithViolations: ")
    value = metric(run.document("analysis.json"), "AD")["value"]
    assert value == pytest.approx(accuracy_difference(WORSE), abs=1e-12)
    violations = run.document("constraint_violations.json")["violations"]
    (violation,) = [entry for entry in violations if entry["metric_name"] == "AD"]
    assert (violation["facet"], violation["facet_value"]) == ("group", GROUP)
    assert violation["constraint_check_type"] == "bias_drift_check"
    required = metric(bias_baseline.document("analysis.json"), "AD")["value"]
    words = f"Metric value {value} doesn't meet the baseline constraint requirement {required}"
    assert violation["description"].endswith(words)


def test_analysis_json_of_clarify_is_a_baseline(tmp_path: Path, bias_baseline: ImageRun) -> None:
    baseline = shared_folder(tmp_path / "baseline")
    analysis = (bias_baseline.output / "analysis.json").read_bytes()
    (baseline / "analysis.json").write_bytes(analysis)
    window = write_bias_window(tmp_path)
    run = run_image(
        tmp_path,
        image=BIAS,
        mounts={
            f"{INPUT}/config": write_config(tmp_path / "config", MONITOR_CONFIG),
            "/captures": window["captures"],
            "/labels": window["labels"],
            "/baseline": baseline,
        },
        dataset_source="/captures",
        dataset_format=CAPTURES,
        ground_truth_source="/labels",
        inference_attribute="0",
        baseline_constraints="/baseline",
        output_path="/output",
    )
    assert run.exit_code == 0, run.log
    violations = run.document("constraint_violations.json")["violations"]
    assert "AD" in [violation["metric_name"] for violation in violations]


def test_validate_checks_and_writes_nothing(tmp_path: Path) -> None:
    run = run_image(
        tmp_path,
        "--validate",
        image=BIAS,
        mounts={
            f"{INPUT}/config": write_config(tmp_path / "config"),
            f"{INPUT}/data": write_bias_baseline(tmp_path / "data"),
        },
        output_at="/opt/ml/processing/output",
    )
    assert run.exit_code == 0, run.log
    assert "FAIL" not in run.stdout
    assert run.files == []


def test_a_facet_that_is_not_in_the_data_exits_2_and_says_so(tmp_path: Path) -> None:
    config = {**CONFIG, "facet": [{"name_or_index": "gruop", "value_or_threshold": [GROUP]}]}
    run = run_image(
        tmp_path,
        image=BIAS,
        mounts={
            f"{INPUT}/config": write_config(tmp_path / "config", config),
            f"{INPUT}/data": write_bias_baseline(tmp_path / "data"),
        },
        **REPORTING,
    )
    assert_refused(run, "'gruop'", "did you mean group?")


def test_a_missing_configuration_exits_2_and_says_where_it_belongs(tmp_path: Path) -> None:
    run = run_image(
        tmp_path,
        image=BIAS,
        mounts={f"{INPUT}/data": write_bias_baseline(tmp_path / "data")},
        **REPORTING,
    )
    assert_refused(run, f"{INPUT}/config")


def test_a_job_for_another_image_is_refused(tmp_path: Path) -> None:
    run = run_image(
        tmp_path,
        image=BIAS,
        mounts={f"{INPUT}/data": write_captures(tmp_path / "data", BASELINE)},
        **REPORTING,
        analysis_type="MODEL_QUALITY",
    )
    assert_refused(run, "analysis_type is 'MODEL_QUALITY'")
