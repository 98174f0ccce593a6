"""The images in the SageMaker SDK's local mode: same classes, same variables, same documents."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from bias_data import BASELINE, GROUP, accuracy_difference, metric, write_bias_baseline, write_bias_window
from captured_predictions import predict, write_captures, write_labels, write_table
from fixtures import ROOT
from image_data import FEATURES, ROWS, write_baseline, write_window
from image_runner import BIAS, DATA_QUALITY, DOCKER, MODEL_QUALITY, call, unavailable

SDK = ROOT / ".cache" / "sdk-venv" / "bin"
SECONDS_TO_START = 60
WORSE = predict(1_500, seed=2, wrong=0.5)
# A test tells nobody that it ran.
SDK_CONFIGURATION = """\
SchemaVersion: "1.0"
SageMaker: {PythonSDK: {Modules: {TelemetryOptOut: true}}}
"""


@pytest.fixture(scope="module")
def s3_endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Run a server that speaks S3, on a free port of this machine."""
    if not (SDK / "moto_server").exists():
        unavailable(f"the SageMaker SDK is not installed in {SDK.parent}; run: make test-images")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    log = tmp_path_factory.mktemp("s3") / "log"
    with log.open("w") as stream:
        server = subprocess.Popen(
            [SDK / "moto_server", "--host", "127.0.0.1", "--port", str(port)],
            stdout=stream,
            stderr=subprocess.STDOUT,
        )
    try:
        wait_for(port, server, log)
        yield f"http://127.0.0.1:{port}"
    finally:
        server.terminate()
        server.wait(timeout=SECONDS_TO_START)


def wait_for(port: int, server: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + SECONDS_TO_START
    while time.monotonic() < deadline and server.poll() is None:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(0.1)
    pytest.fail(f"the S3 server did not start: {log.read_text()}")


@pytest.fixture(scope="module")
def tidy_docker() -> Iterator[None]:
    """Remove the containers and the network that local mode leaves behind."""
    containers, networks = listed("ps", "--all"), listed("network", "ls")
    yield
    for container in listed("ps", "--all") - containers:
        call(DOCKER, "rm", container)
    for network in listed("network", "ls") - networks:
        call(DOCKER, "network", "rm", network)


def listed(*command: str) -> set[str]:
    return set(
        call(
            DOCKER, *command, "--quiet", "--filter", "name=algo-1-", "--filter", "name=sagemaker-local"
        ).stdout.split()
    )


def drive(driver: str, folder: Path, s3_endpoint: str, *images: str) -> dict[str, Any]:
    """Run a driver with the SDK's environment; return what it wrote to `folder`/answers.json."""
    if not shutil.which("docker-compose") and call("docker", "compose", "version").returncode:
        unavailable("local mode needs docker-compose or the compose plugin of docker")
    (folder / "sdk.yaml").write_text(SDK_CONFIGURATION, encoding="utf-8")
    environment = {
        **os.environ,
        "AWS_ENDPOINT_URL": s3_endpoint,
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
        "NO_PROXY": "127.0.0.1,localhost",
        "SAGEMAKER_USER_CONFIG_OVERRIDE": str(folder / "sdk.yaml"),
        "SAGEMAKER_SUPPRESS_V2_WARNING": "1",
        "HOME": str(folder),
    }
    program = Path(__file__).with_name(driver)
    result = call(SDK / "python", program, *images, folder, env=environment, cwd=folder)
    assert result.returncode == 0, result.stdout + result.stderr
    return json.loads((folder / "answers.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def answers(s3_endpoint: str, tidy_docker: None, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Run baseline and monitoring jobs through the SDK; return what it read from their outputs."""
    folder = tmp_path_factory.mktemp("sdk")
    write_baseline(folder / "baseline")
    write_window(folder / "window")
    write_table(folder / "model" / "baseline" / "data.csv", predict(2_000, seed=1))
    write_captures(folder / "model" / "captures", WORSE)
    write_labels(folder / "model" / "labels", WORSE.labels)
    return drive("sdk_driver.py", folder, s3_endpoint, DATA_QUALITY, MODEL_QUALITY)


@pytest.fixture(scope="module")
def clarify_answers(
    s3_endpoint: str, tidy_docker: None, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Any]:
    """Run bias jobs through the SDK's Clarify classes; return what they read from the outputs."""
    folder = tmp_path_factory.mktemp("sdk-clarify")
    write_bias_baseline(folder / "baseline")
    write_bias_window(folder)
    return drive("sdk_clarify_driver.py", folder, s3_endpoint, BIAS)


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
