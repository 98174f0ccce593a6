"""The SageMaker SDK's local mode: a server that speaks S3, and drivers run with the SDK's own environment."""

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
from fixtures import ROOT
from image_runner import DOCKER, call

SDK = ROOT / ".cache" / "sdk-venv" / "bin"
# Version 3, whose modules are others.
SDK_3 = ROOT / ".cache" / "sdk3-venv" / "bin"
SECONDS_TO_START = 60
# A test tells nobody that it ran.
SDK_CONFIGURATION = """\
SchemaVersion: "1.0"
SageMaker: {PythonSDK: {Modules: {TelemetryOptOut: true}}}
"""


@contextlib.contextmanager
def s3_server(folder: Path) -> Iterator[str]:
    """Run a server that speaks S3, on a free port of this machine; give its address."""
    if not (SDK / "moto_server").exists():
        pytest.skip(f"the SageMaker SDK is not installed in {SDK.parent}; run: make test-images")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    log = folder / "log"
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


@contextlib.contextmanager
def tidied() -> Iterator[None]:
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
            DOCKER, *command, "--quiet", "--filter", "name=algo-", "--filter", "name=sagemaker-local"
        ).stdout.split()
    )


def drive(driver: str, folder: Path, s3_endpoint: str, *arguments: str, sdk: Path = SDK) -> dict[str, Any]:
    """Run a driver with the SDK's environment; return what it wrote to `folder`/answers.json."""
    if not (sdk / "python").exists():
        pytest.skip(f"the SageMaker SDK is not installed in {sdk.parent}; run: make test-images")
    if not shutil.which("docker-compose") and call("docker", "compose", "version").returncode:
        pytest.skip("local mode needs docker-compose or the compose plugin of docker")
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
    result = call(sdk / "python", program, *arguments, folder, env=environment, cwd=folder)
    assert result.returncode == 0, result.stdout + result.stderr
    return json.loads((folder / "answers.json").read_text(encoding="utf-8"))
