"""The image that receives captures: locked down, as any user, alone and beside a service in one pod."""

from __future__ import annotations

import json
import socket
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import yaml
from fixtures import ROOT
from image_runner import (
    CAPTURE,
    DATA_QUALITY,
    DOCKER,
    LOCKED_DOWN,
    REPORTING,
    SOMEBODY,
    call,
    capture_format,
    run_image,
    shared_folder,
)
from pods import Podman

TOKEN = "of-the-test"
SECONDS = 60
# KServe's request and response, joined by their id.
EVENTS = [
    (
        {"Ce-Type": f"org.kubeflow.serving.inference.{side}", "Ce-Id": f"call-{at}", "Ce-Specversion": "1.0"},
        body,
    )
    for at in range(40)
    for side, body in (
        ("request", {"instances": [[float(at), 2.5]]}),
        ("response", {"predictions": [at / 40]}),
    )
]
SIDECAR = ROOT / "orchestrators" / "kubernetes" / "capture" / "sidecar.yaml"
# What the service of the pod does: one call to the receiver beside it, when that listens.
SERVICE = """\
import json, time, urllib.request
call = json.dumps({"request": {"age": 3}, "response": 0.5, "id": "a"}).encode()
for _ in range(120):
    try:
        urllib.request.urlopen(urllib.request.Request("http://127.0.0.1:8080/", call)).read()
        break
    except OSError:
        time.sleep(0.5)
"""


def post(address: str, headers: dict[str, str], body: object) -> int:
    request = urllib.request.Request(address, json.dumps(body).encode(), headers)
    try:
        with urllib.request.urlopen(request) as answer:
            return answer.status
    except urllib.error.HTTPError as error:
        return error.code


@contextmanager
def receiver(folder: Path) -> Iterator[str]:
    """Run the image until the block ends, as a careful operator does; give its address."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    locked_down = [word for word in LOCKED_DOWN if word not in ("--network", "none")]
    command = (DOCKER, "run", "--detach", *locked_down, "--user", SOMEBODY)
    command += ("--env", f"CAPTURE_TOKEN={TOKEN}", "--publish", f"127.0.0.1:{port}:8080")
    container = call(*command, "--volume", f"{folder}:/captures", CAPTURE, check=True).stdout.strip()
    address = f"http://127.0.0.1:{port}/"
    try:
        deadline = time.monotonic() + SECONDS
        while True:
            try:
                urllib.request.urlopen(f"{address}healthz").read()
                break
            except OSError:
                if time.monotonic() > deadline:
                    pytest.fail(call(DOCKER, "logs", container).stderr)
                time.sleep(0.2)
        yield address
        assert call(DOCKER, "stop", "--time", str(SECONDS), container).returncode == 0
        ended = call(DOCKER, "inspect", "--format", "{{.State.ExitCode}}", container)
        assert ended.stdout.strip() == "0", call(DOCKER, "logs", container).stderr
    finally:
        call(DOCKER, "rm", "--force", container)


def test_events_become_captures_that_a_monitor_reads(tmp_path: Path) -> None:
    captures = shared_folder(tmp_path / "captures")
    known = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json"}
    with receiver(captures) as address:
        assert {post(address, known | headers, body) for headers, body in EVENTS} == {202}
        assert post(address, {"Content-Type": "application/json"}, {"request": {}}) == 401
    run = run_image(
        tmp_path,
        image=DATA_QUALITY,
        user="0:0",
        mounts={"/captures": captures},
        dataset_source="/captures",
        dataset_format=capture_format("endpointInput", "endpointOutput"),
        **REPORTING,
    )
    assert run.exit_code == 0, run.log
    statistics = run.document("statistics.json")
    assert statistics["dataset"]["item_count"] == 40
    assert len(statistics["features"]) == 3


def test_without_a_token_it_does_not_listen_to_others() -> None:
    ended = call(DOCKER, "run", "--rm", *LOCKED_DOWN, "--user", SOMEBODY, CAPTURE)
    assert ended.returncode == 2
    assert "CAPTURE_TOKEN" in ended.stderr


def test_a_sidecar_captures_its_service(tmp_path: Path, podman: Podman) -> None:
    pod = yaml.safe_load(SIDECAR.read_text(encoding="utf-8"))["spec"]["template"]["spec"]
    captures = shared_folder(tmp_path / "captures")
    pod["volumes"] = [{"name": "captures", "hostPath": {"path": str(captures), "type": "Directory"}}]
    pod["restartPolicy"] = "Never"
    service, receiving = pod["containers"]
    service |= {"command": ["python3", "-c", SERVICE]}
    # Podman has no names of pods to put into paths.
    del receiving["volumeMounts"][0]["subPathExpr"], receiving["env"]
    for container in pod["containers"]:
        container |= {"image": podman.image("capture"), "imagePullPolicy": "Never"}
    manifest = tmp_path / "pod.yaml"
    document = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "captured"}, "spec": pod}
    manifest.write_text(json.dumps(document), encoding="utf-8")
    played = podman("play", "kube", manifest)
    try:
        assert podman("wait", "captured-service").stdout.strip() == "0", played.stdout + played.stderr
    finally:
        podman("pod", "stop", "--time", str(SECONDS), "captured")
        podman("play", "kube", "--down", manifest)
    (file,) = captures.rglob("*.jsonl")
    (record,) = map(json.loads, file.read_text(encoding="utf-8").splitlines())
    assert json.loads(record["captureData"]["endpointInput"]["data"]) == {"age": 3}
    assert record["eventMetadata"]["inferenceId"] == "a"
