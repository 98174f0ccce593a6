"""The data-quality image under Docker, as an unprivileged user who can write nowhere but to the output."""

from __future__ import annotations

from pathlib import Path

import pytest
from image_data import FEATURES, ROWS, write_baseline, write_window
from image_runner import COMPARED, CSV_WITH_HEADER, INPUT, REPORTING, ImageRun, assert_refused, run_image

DOCUMENTS = ["constraints.json", "report.html", "statistics.json"]


def test_baseline_with_variables_alone(baseline: ImageRun) -> None:
    assert baseline.exit_code == 0, baseline.log
    assert baseline.files == sorted([*DOCUMENTS, "message"])
    assert baseline.message.startswith("Completed: ")
    statistics = baseline.document("statistics.json")
    assert statistics["dataset"]["item_count"] == ROWS
    assert tuple(feature["name"] for feature in statistics["features"]) == FEATURES


def monitor(folder: Path, baseline: ImageRun, **variables: str) -> ImageRun:
    return run_image(
        folder,
        mounts={"/data": write_window(folder / "data"), "/baseline": baseline.output},
        dataset_source="/data",
        dataset_format=CSV_WITH_HEADER,
        **COMPARED,
        **REPORTING,
        **variables,
    )


def test_monitoring_reports_the_feature_that_moved(tmp_path: Path, baseline: ImageRun) -> None:
    run = monitor(tmp_path, baseline)
    assert run.exit_code == 0, run.log
    assert run.message.startswith("CompletedWithViolations: ")
    violations = run.document("constraint_violations.json")["violations"]
    assert ("income", "baseline_drift_check") in [
        (violation["feature_name"], violation["constraint_check_type"]) for violation in violations
    ]


@pytest.mark.parametrize("rules", ["sound", "sagemaker"])
def test_violations_can_fail_the_job(tmp_path: Path, baseline: ImageRun, rules: str) -> None:
    run = monitor(tmp_path, baseline, fail_on_violations="Enabled", rules=rules)
    assert run.exit_code == 3, run.log
    assert "constraint_violations.json" in run.files


def test_validate_checks_and_writes_nothing(tmp_path: Path) -> None:
    run = run_image(
        tmp_path,
        "--validate",
        mounts={"/data": write_baseline(tmp_path / "data")},
        dataset_source="/data",
        dataset_format=CSV_WITH_HEADER,
        output_path="/output",
    )
    assert run.exit_code == 0, run.log
    assert "FAIL" not in run.stdout
    assert run.files == []


def test_wrong_variable_exits_2_and_says_so(tmp_path: Path) -> None:
    run = run_image(
        tmp_path,
        mounts={"/data": write_baseline(tmp_path / "data")},
        dataset_source="/data",
        dataset_format='{"csv":{"haeder":true}}',
        **REPORTING,
    )
    assert_refused(run, "dataset_format", "header")


def test_missing_source_exits_2_and_names_it(tmp_path: Path) -> None:
    run = run_image(
        tmp_path,
        dataset_source="/nowhere",
        dataset_format=CSV_WITH_HEADER,
        **REPORTING,
    )
    assert_refused(run, "/nowhere")


def test_many_splits_without_a_temporary_directory(tmp_path: Path) -> None:
    # Above 4 MB the data is read in several pieces, side by side.
    rows = 300_000
    run = run_image(
        tmp_path,
        mounts={"/data": write_baseline(tmp_path / "data", rows)},
        dataset_source="/data",
        dataset_format=CSV_WITH_HEADER,
        output_path="/output",
    )
    assert run.exit_code == 0, run.log
    assert run.files == DOCUMENTS
    assert run.document("statistics.json")["dataset"]["item_count"] == rows


def test_data_frame_preprocessor_finds_pandas(tmp_path: Path) -> None:
    scripts = tmp_path / "scripts"
    scripts.mkdir(mode=0o755)
    (scripts / "preprocess.py").write_text(
        "def preprocess_dataframe(df):\n    return df.assign(income_per_year=df['income'] / df['age'])\n",
        encoding="utf-8",
    )
    run = run_image(
        tmp_path,
        mounts={"/data": write_baseline(tmp_path / "data"), "/scripts": scripts},
        dataset_source="/data",
        dataset_format=CSV_WITH_HEADER,
        record_preprocessor_script="/scripts/preprocess.py",
        output_path="/output",
    )
    assert run.exit_code == 0, run.log
    names = [feature["name"] for feature in run.document("statistics.json")["features"]]
    assert names == [*FEATURES, "income_per_year"]


def test_root_with_the_default_paths(tmp_path: Path) -> None:
    # As SageMaker starts it: root, and nothing but the environment says where things are.
    run = run_image(
        tmp_path,
        mounts={f"{INPUT}/baseline_dataset_input": write_baseline(tmp_path / "data")},
        user=None,
        dataset_source=f"{INPUT}/baseline_dataset_input",
        dataset_format=CSV_WITH_HEADER,
        output_path="/output",
        publish_cloudwatch_metrics="Disabled",
    )
    assert run.exit_code == 0, run.log
    assert run.files == DOCUMENTS
