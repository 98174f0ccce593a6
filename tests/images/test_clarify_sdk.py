"""The SDK's Clarify classes in local mode, with nothing but the image exchanged."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from attribution_data import FEATURES, Predict, draw, exact, served, train, write_requests, write_rows
from bias_data import BASELINE, GROUP, accuracy_difference, metric, write_bias_baseline, write_bias_window
from image_runner import BIAS, DOCKER, FEATURE_ATTRIBUTION, call
from sdk_local_mode import SDK, SDK_3, drive


@pytest.fixture(scope="module", params=[SDK, SDK_3], ids=["version-2", "version-3"])
def sdk(request: pytest.FixtureRequest) -> Path:
    return request.param


@pytest.fixture(scope="module")
def clarify_answers(
    sdk: Path, s3_endpoint: str, tidy_docker: None, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Any]:
    """Run bias jobs through the SDK's Clarify classes; return what they read from the outputs."""
    folder = tmp_path_factory.mktemp("sdk-clarify")
    write_bias_baseline(folder / "baseline")
    write_bias_window(folder)
    return drive("sdk_clarify_driver.py", folder, s3_endpoint, BIAS, sdk=sdk)


@pytest.fixture(scope="module")
def explained_model(
    sdk: Path, s3_endpoint: str, tidy_docker: None, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Predict, dict[str, Any]]:
    """Explain a model that is served on this machine; return the model and what the SDK read."""
    folder = tmp_path_factory.mktemp("sdk-explain")
    _, predict = train(folder / "model")
    write_rows(folder / "data", draw(2))
    # Which feature the model relies on has changed: two of three are steady now.
    values = np.abs(exact(predict, draw(2))).mean(axis=0)
    steady = tuple(FEATURES[at] for at in np.argsort(values)[1:])
    rows = draw(3, steady=steady)
    write_requests(folder / "captures", rows, predict(rows))
    # A container knows the way to this machine; an engine started for the first time may not tell it.
    command = (DOCKER, "run", "--rm", "--entrypoint", "cat", FEATURE_ATTRIBUTION, "/proc/net/route")
    routes = [line.split() for line in call(*command, check=True).stdout.splitlines()[1:]]
    (gateway,) = (route[2] for route in routes if route[1] == "00000000")
    host = socket.inet_ntoa(bytes.fromhex(gateway)[::-1])
    with served(predict, host) as address:
        answers = drive("sdk_explain_driver.py", folder, s3_endpoint, FEATURE_ATTRIBUTION, address, sdk=sdk)
    return predict, answers


def test_clarify_processor_measures_before_training(clarify_answers: dict[str, Any]) -> None:
    analysis = clarify_answers["pre"]
    assert "post_training_bias_metrics" not in analysis
    (group,) = analysis["pre_training_bias_metrics"]["facets"]["group"]
    names = [entry["name"] for entry in group["metrics"]]
    assert names == ["CDDL", "CI", "DPL", "JS", "KL", "KS", "LP", "TVD"]
    share = BASELINE.groups.count(GROUP) / len(BASELINE.groups)
    assert group["metrics"][1]["value"] == pytest.approx(1 - 2 * share, abs=1e-12)


def test_clarify_processor_measures_ready_predictions(clarify_answers: dict[str, Any]) -> None:
    analysis = clarify_answers["post"]
    assert "pre_training_bias_metrics" not in analysis
    (group,) = analysis["post_training_bias_metrics"]["facets"]["group"]
    assert [entry["name"] for entry in group["metrics"]] == ["AD", "DI", "RD"]
    assert metric(analysis, "AD")["value"] == pytest.approx(accuracy_difference(BASELINE), abs=1e-12)


def test_clarify_processor_measures_both_and_its_monitor_the_same(clarify_answers: dict[str, Any]) -> None:
    analysis = clarify_answers["both"]
    post, pre = (
        analysis[f"{stage}_training_bias_metrics"]["facets"]["group"][0]["metrics"]
        for stage in ("post", "pre")
    )
    assert (len(post), len(pre)) == (13, 8)
    assert clarify_answers["suggested"] == analysis


def test_monitoring_bias_completes_and_its_violations_load(clarify_answers: dict[str, Any]) -> None:
    assert [GROUP, "AD"] in clarify_answers["violations"]


def test_constraints_of_bias_that_the_sdk_switches_off_find_nothing(clarify_answers: dict[str, Any]) -> None:
    assert clarify_answers["switched_off"] == []


def test_clarify_processor_explains_a_model_that_is_served_here(
    explained_model: tuple[Predict, dict[str, Any]],
) -> None:
    predict, answers = explained_model
    local = exact(predict, draw(2))
    values = answers["analysis"]["explanations"]["kernel_shap"]["label0"]["global_shap_values"]
    assert list(values) == list(FEATURES)
    assert list(values.values()) == pytest.approx(np.abs(local).mean(axis=0).tolist(), abs=1e-6)
    header, *rows = answers["local"].splitlines()
    assert header == ",".join(f"{name}_label0" for name in FEATURES)
    found = np.array([row.split(",") for row in rows], dtype=float)
    np.testing.assert_allclose(found, local, atol=1e-6)


def test_monitoring_attributions_completes_until_the_sdk_switches_it_off(
    explained_model: tuple[Predict, dict[str, Any]],
) -> None:
    answers = explained_model[1]
    assert "feature_attribution_drift_check" in answers["violations"]
    assert answers["switched_off"] == []
