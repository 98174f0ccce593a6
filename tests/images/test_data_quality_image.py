"""The data-quality image under Docker, as an unprivileged user who can write nowhere but to the output."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from image_data import FEATURES, ROWS, write_baseline, write_window
from image_runner import CSV_WITH_HEADER, DOCKER, LOCKED_DOWN, SOMEBODY, ImageRun, call, run_image

import contract

BYTES_AT_MOST = 550_000_000
DOCUMENTS = ["constraints.json", "statistics.json"]


def configuration(image: str) -> dict:
    return json.loads(call(DOCKER, "image", "inspect", image).stdout)[0]["Config"]


def test_version_is_the_packages(tmp_path: Path) -> None:
    run = run_image(tmp_path, "--version")
    assert (run.exit_code, run.stdout) == (0, f"monitor-data-quality {contract.__version__}\n")


def test_help_names_the_variables(tmp_path: Path) -> None:
    run = run_image(tmp_path, "--help")
    assert run.exit_code == 0
    assert "--dataset-source" in run.stdout


def test_image_is_small(image: str) -> None:
    container = call(DOCKER, "create", image, check=True).stdout.strip()
    try:
        size = call(
            "sh", "-c", f"{DOCKER} export {container} | wc --bytes", check=True
        ).stdout  # everything a node must unpack, the base included
    finally:
        call(DOCKER, "rm", container)
    assert int(size) <= BYTES_AT_MOST


def test_labels_say_what_it_is(image: str) -> None:
    labels = configuration(image)["Labels"]
    assert labels["org.opencontainers.image.title"] == "model-monitor/data-quality"
    assert labels["org.opencontainers.image.licenses"] == "Apache-2.0"
    assert labels["org.opencontainers.image.version"] == contract.__version__
    assert labels["org.opencontainers.image.description"]
    assert labels["org.opencontainers.image.revision"]


def test_default_user_can_read_sagemaker_mounts(image: str) -> None:
    assert configuration(image)["User"] in ("", "root", "0")


def test_no_pip_no_headers_no_tests(image: str) -> None:
    script = (
        "import importlib.util as u, pathlib as p, sysconfig as s; site = p.Path(s.get_path('purelib'));"
        "print(u.find_spec('pytest'), [p for n in ('pip', '*/include', '*/tests') for p in site.glob(n)])"
    )
    result = call(DOCKER, "run", "--rm", *LOCKED_DOWN, "--entrypoint", "python3", image, "-c", script)
    assert result.stdout.strip() == "None []", result.stderr


def test_what_is_left_of_the_libraries_still_loads(image: str) -> None:
    script = (
        "import numpy, numpy.testing, orjson, pandas, xxhash, pyarrow as pa, pyarrow.fs;"
        "from pyarrow import compute, csv, dataset, json, orc, parquet;"
        "print(pandas.Series(['a', 'b', 'a']).value_counts()['a'], compute.sum(pa.array([1, 2])))"
    )
    result = call(
        DOCKER,
        "run",
        "--rm",
        *LOCKED_DOWN,
        "--user",
        SOMEBODY,
        "--entrypoint",
        "python3",
        image,
        "-c",
        script,
    )
    assert result.stdout.strip() == "2 3", result.stderr


def test_standard_library_and_packages_are_compiled(image: str) -> None:
    # A read-only root would make every start compile them anew.
    script = (
        "import json, importlib.util as u, os, orjson, pyarrow, contract.settings, contract.job;"
        "print([m.__file__ for m in (json, pyarrow, contract.settings, contract.job)"
        " if not os.path.exists(u.cache_from_source(m.__file__))])"
    )
    result = call(DOCKER, "run", "--rm", *LOCKED_DOWN, "--entrypoint", "python3", image, "-c", script)
    assert result.stdout.strip() == "[]", result.stderr


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
        baseline_constraints="/baseline/constraints.json",
        baseline_statistics="/baseline/statistics.json",
        output_path="/output",
        output_message_file="/output/message",
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
        output_path="/output",
        output_message_file="/output/message",
    )
    assert run.exit_code == 2, run.log
    assert run.files == ["message"]
    assert "dataset_format" in run.message
    assert "header" in run.message
    assert len(run.message.encode()) <= 1024
    assert "Traceback" not in run.log


def test_missing_source_exits_2_and_names_it(tmp_path: Path) -> None:
    run = run_image(
        tmp_path,
        dataset_source="/nowhere",
        dataset_format=CSV_WITH_HEADER,
        output_path="/output",
        output_message_file="/output/message",
    )
    assert run.exit_code == 2, run.log
    assert "/nowhere" in run.message


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
        mounts={"/opt/ml/processing/input/baseline_dataset_input": write_baseline(tmp_path / "data")},
        user=None,
        dataset_source="/opt/ml/processing/input/baseline_dataset_input",
        dataset_format=CSV_WITH_HEADER,
        output_path="/output",
        publish_cloudwatch_metrics="Disabled",
    )
    assert run.exit_code == 0, run.log
    assert run.files == DOCUMENTS
