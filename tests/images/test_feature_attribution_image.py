"""The feature-attribution image under Docker, as somebody without privileges who only writes the output."""

from __future__ import annotations

import csv
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from attribution_data import CONFIG, FEATURES, Predict, draw, exact, write_requests, write_rows
from bias_data import write_config
from image_runner import (
    COMPARED,
    DOCKER,
    FEATURE_ATTRIBUTION,
    INPUT,
    REPORTING,
    ImageRun,
    assert_refused,
    call,
    capture_format,
    run_image,
)

DOCUMENTS = ["analysis.json", "constraints.json", "explanations_shap", "report.html", "statistics.json"]


def attributions(run: ImageRun) -> dict[str, Any]:
    return run.document("analysis.json")["explanations"]["kernel_shap"]["label0"]


def test_clarifys_own_paths_give_exact_values(
    explained: ImageRun, boosted_trees: tuple[Path, Predict]
) -> None:
    assert explained.exit_code == 0, explained.log
    assert explained.files == DOCUMENTS
    expected = np.abs(exact(boosted_trees[1], draw(2))).mean(axis=0)
    found = attributions(explained)["global_shap_values"]
    assert list(found) == list(FEATURES)
    assert list(found.values()) == pytest.approx(expected.tolist(), abs=1e-6)


def test_local_values_add_up(explained: ImageRun, boosted_trees: tuple[Path, Predict]) -> None:
    with (explained.output / "explanations_shap" / "out.csv").open(encoding="utf-8") as file:
        header, *rows = csv.reader(file)
    assert header == [f"{name}_label0" for name in FEATURES]
    local = np.array(rows, dtype=float)
    np.testing.assert_allclose(local, exact(boosted_trees[1], draw(2)), atol=1e-6)
    scores = boosted_trees[1](draw(2)) - attributions(explained)["expected_value"]
    np.testing.assert_allclose(local.sum(axis=1), scores, atol=1e-6)


def monitor(
    folder: Path, explained: ImageRun, boosted_trees: tuple[Path, Predict], rows: np.ndarray
) -> ImageRun:
    return run_image(
        folder,
        image=FEATURE_ATTRIBUTION,
        mounts={
            "/config": write_config(folder / "config", CONFIG),
            "/captures": write_requests(folder / "captures", rows, boosted_trees[1](rows)),
            "/baseline": explained.output,
            "/model": boosted_trees[0],
        },
        analysis_config="/config",
        dataset_source="/captures",
        dataset_format=capture_format("endpointInput"),
        model="/model/model.json",
        **COMPARED,
        **REPORTING,
        fail_on_violations="Enabled",
    )


def test_a_window_like_the_baseline_has_no_violation(
    tmp_path: Path, explained: ImageRun, boosted_trees: tuple[Path, Predict]
) -> None:
    run = monitor(tmp_path, explained, boosted_trees, draw(3))
    assert run.exit_code == 0, run.log
    assert run.document("constraint_violations.json")["violations"] == []


def test_a_model_that_now_relies_on_another_feature_is_reported(
    tmp_path: Path, explained: ImageRun, boosted_trees: tuple[Path, Predict]
) -> None:
    values = attributions(explained)["global_shap_values"]
    strongest = sorted(values, key=values.__getitem__)[1:]
    run = monitor(tmp_path, explained, boosted_trees, draw(3, steady=tuple(strongest)))
    assert run.exit_code == 3, run.log
    violations = run.document("constraint_violations.json")["violations"]
    assert "feature_attribution_drift_check" in [entry["constraint_check_type"] for entry in violations]


def test_a_missing_model_file_exits_2_and_names_it(tmp_path: Path) -> None:
    run = run_image(
        tmp_path,
        image=FEATURE_ATTRIBUTION,
        mounts={
            f"{INPUT}/config": write_config(tmp_path / "config", CONFIG),
            f"{INPUT}/data": write_rows(tmp_path / "data", draw(2)),
        },
        **REPORTING,
        model="/model/model.json",
    )
    assert_refused(run, "/model/model.json")


def test_the_example_of_an_image_with_more_packages(tmp_path: Path) -> None:
    """Build the Dockerfile of docs/models.md as it stands there, but for the names of the images."""
    text = (Path(__file__).parents[2] / "docs/models.md").read_text(encoding="utf-8")
    dockerfile = text.partition("```Dockerfile\n")[2].partition("```")[0]
    dockerfile = dockerfile.replace("model-monitor/feature-attribution", FEATURE_ATTRIBUTION)
    base = os.environ.get("BASE_IMAGE", "python:3.13-slim-trixie")
    (tmp_path / "Dockerfile").write_text(dockerfile.replace("python:3.13-slim-trixie", base))
    index = ("--build-arg", f"PIP_INDEX_URL={os.environ.get('PIP_INDEX_URL', 'https://pypi.org/simple')}")
    built = call(DOCKER, "build", "--network", "host", *index, "--tag", "models-with-catboost", tmp_path)
    unreachable = ("name resolution", "Could not find a version", "Connection", "not a trusted")
    if built.returncode and any(text in built.stderr + built.stdout for text in unreachable):
        pytest.skip("there is no package index to be reached")
    assert built.returncode == 0, built.stderr
    command = (DOCKER, "run", "--rm", "--entrypoint", "python", "models-with-catboost", "-c")
    assert call(*command, "import catboost; print(catboost.__version__)", check=True).stdout
    call(DOCKER, "image", "rm", "models-with-catboost")
