"""Imported schedules at work: every step of every type, from and to a server that speaks S3."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
import yaml
from imported_schedules import MONITORS, descriptions, import_schedule
from run_jobs import environment
from s3_server import ACCESS, SECRET
from schedule_world import options, reports, start, write_world

from containers.bias.main import main as monitor_bias
from containers.commands.merge_ground_truth import main as merge_ground_truth
from containers.data_quality.main import main as monitor_data_quality
from containers.feature_attribution.main import main as monitor_feature_attribution
from containers.model_quality.main import main as monitor_model_quality
from file_storage import s3

pytest.importorskip("xgboost")
COMMANDS = {
    "monitor-data-quality": monitor_data_quality,
    "monitor-model-quality": monitor_model_quality,
    "monitor-bias": monitor_bias,
    "monitor-feature-attribution": monitor_feature_attribution,
    "merge-ground-truth": merge_ground_truth,
}


@pytest.fixture(scope="module")
def world(s3_server: tuple[Path, str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder whose folders are buckets, filled."""
    buckets, _ = s3_server
    write_world(buckets, tmp_path_factory.mktemp("scratch"))
    return buckets


@pytest.fixture
def clean(s3_server: tuple[Path, str], monkeypatch: pytest.MonkeyPatch) -> None:
    """An environment that names the server, and no keys."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_ENDPOINT_URL", s3_server[1])
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_REQUEST_CHECKSUM_CALCULATION", "when_required")
    s3.file_system.cache_clear()


def give_keys(chain: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Put the keys where the standard chain finds them: in variables, or in a profile."""
    if chain == "variables":
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", ACCESS)
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
        return
    file = folder / "credentials"
    file.write_text(f"[monitor]\naws_access_key_id = {ACCESS}\naws_secret_access_key = {SECRET}\n")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(file))
    monkeypatch.setenv("AWS_PROFILE", "monitor")


@pytest.mark.parametrize("monitor", MONITORS)
@pytest.mark.parametrize(("target", "chain"), [("kubernetes", "variables"), ("sagemaker", "profile")])
@pytest.mark.usefixtures("clean")
def test_an_imported_schedule_does_its_work(
    monitor: str,
    target: str,
    chain: str,
    world: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    give_keys(chain, tmp_path, monkeypatch)
    reported = reports(world, monitor)
    for command, variables in processing_job(monitor) if target == "sagemaker" else containers(monitor):
        message = tmp_path / "message"
        settings = {**variables, "start_time": start(monitor), "output_message_file": str(message)}
        with environment(settings):
            exit_code = COMMANDS[command]([])
        log = capfd.readouterr().err
        assert exit_code == 0, log
        assert SECRET not in log + message.read_text()
        assert ACCESS not in log + message.read_text()
    found = json.loads((reported / "constraint_violations.json").read_text(encoding="utf-8"))
    assert found["violations"]
    assert message.read_text().startswith("CompletedWithViolations")
    (reported / "constraint_violations.json").unlink()


def containers(monitor: str) -> list[tuple[str, dict[str, str]]]:
    text = import_schedule("--to", "kubernetes", *options(monitor), *descriptions(monitor))
    pod = yaml.safe_load(text)["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    return [
        (container["command"][0], {entry["name"]: entry["value"] for entry in container["env"]})
        for container in [*pod.get("initContainers", []), *pod["containers"]]
    ]


def processing_job(monitor: str) -> list[tuple[str, dict[str, str]]]:
    text = import_schedule("--to", "sagemaker", *options(monitor), *descriptions(monitor))
    target = yaml.safe_load(text)["Resources"]["Schedule"]["Properties"]["Target"]
    request = json.loads(target["Input"]["Fn::Sub"])
    (command,) = request["AppSpecification"]["ContainerEntrypoint"]
    return [(command, request["Environment"])]
