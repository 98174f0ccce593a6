"""The images in the SageMaker SDK's local mode: same classes, same variables, same documents."""

from __future__ import annotations

from typing import Any

import pytest
from captured_predictions import predict, write_captures, write_labels, write_table
from image_data import FEATURES, ROWS, write_baseline, write_window
from image_runner import DATA_QUALITY, MODEL_QUALITY
from sdk_local_mode import SDK, SDK_3, drive

WORSE = predict(1_500, seed=2, wrong=0.5)


@pytest.fixture(scope="module", params=[SDK, SDK_3], ids=["version-2", "version-3"])
def answers(
    request: pytest.FixtureRequest,
    s3_endpoint: str,
    tidy_docker: None,
    tmp_path_factory: pytest.TempPathFactory,
) -> dict[str, Any]:
    """Run baseline and monitoring jobs through the SDK; return what it read from their outputs."""
    folder = tmp_path_factory.mktemp("sdk")
    write_baseline(folder / "baseline")
    write_window(folder / "window" / "2026" / "05" / "06" / "22")
    write_table(folder / "model" / "baseline" / "data.csv", predict(2_000, seed=1))
    write_captures(folder / "model" / "captures", WORSE)
    write_labels(folder / "model" / "labels", WORSE.labels)
    return drive("sdk_driver.py", folder, s3_endpoint, DATA_QUALITY, MODEL_QUALITY, sdk=request.param)


def test_suggest_baseline_completes_and_its_documents_load(answers: dict[str, Any]) -> None:
    assert answers["item_count"] == ROWS
    assert answers["statistics"] == list(FEATURES)
    assert answers["constraints"] == list(FEATURES)


def test_monitoring_completes_and_its_violations_load(answers: dict[str, Any]) -> None:
    assert ["income", "baseline_drift_check"] in answers["violations"]


def test_suggest_baseline_of_a_model_completes_and_its_documents_load(answers: dict[str, Any]) -> None:
    assert answers["model_accuracy"] == pytest.approx(predict(2_000, seed=1).accuracy, abs=1e-12)
    assert {"accuracy", "auc", "precision", "recall"} <= set(answers["model_constraints"])


def test_monitoring_a_model_completes_and_its_violations_load(answers: dict[str, Any]) -> None:
    assert ["accuracy", "LessThanThreshold"] in answers["model_violations"]


def test_constraints_that_the_sdk_switches_off_find_nothing(answers: dict[str, Any]) -> None:
    assert answers["switched_off"] == []
