"""One job in several containers: they form a cluster, decide as one does, and survive the loss of one."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from image_runner import (
    DATA_QUALITY,
    DOCKER,
    LOCKED_DOWN,
    REPORTING,
    SOMEBODY,
    call,
    run_image,
    shared_folder,
)
from sdk_local_mode import drive, listed
from several_splits import write_rows

DOCUMENTS = ("constraints.json", "statistics.json")
SECONDS = 120.0
# Slow enough to be interrupted, and tells when.
SCRIPT = """\
import sys
import time


def preprocess_dataframe(df):
    print("in the middle of a split", file=sys.stderr, flush=True)
    time.sleep(0.7)
    return df
"""


@pytest.fixture(scope="module")
def several_splits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_rows(tmp_path_factory.mktemp("rows") / "data", files=6, rows=100_000)


def test_two_instances_form_one_cluster_and_decide_as_one(
    s3_endpoint: str, tidy_docker: None, several_splits: Path, tmp_path: Path
) -> None:
    before = listed("ps", "--all")
    (tmp_path / "data").symlink_to(several_splits)
    assert drive("sdk_cluster_driver.py", tmp_path, s3_endpoint, DATA_QUALITY) == {"completed": True}
    for name in DOCUMENTS:
        alone = (tmp_path / "documents-1" / name).read_bytes()
        assert (tmp_path / "documents-2" / name).read_bytes() == alone
    # Local mode gives containers a terminal, so that everything is one stream.
    logs = [call(DOCKER, "logs", container).stdout for container in listed("ps", "--all") - before]
    assert sum("2 hosts took part: algo-1-" in log for log in logs) == 1
    assert sum("works for the leader at algo-1-" in log for log in logs) == 1


@pytest.fixture
def network() -> Iterator[str]:
    name = f"scale-out-{uuid.uuid4().hex[:8]}"
    assert call(DOCKER, "network", "create", "--internal", name).returncode == 0
    yield name
    for container in ("algo-1", "algo-2"):
        call(DOCKER, "rm", "--force", f"{name}-{container}")
    call(DOCKER, "network", "rm", name)


def start(host: str, network: str, folder: Path, data: Path, script: Path) -> None:
    """Start a container as SageMaker starts an instance's, but locked down."""
    config = shared_folder(folder / host / "config") / "resourceconfig.json"
    config.write_text(json.dumps({"current_host": host, "hosts": ["algo-1", "algo-2"]}), encoding="utf-8")
    output = shared_folder(folder / host / "output")
    network_at = LOCKED_DOWN.index("--network")
    variables = {
        "dataset_source": "/data",
        "dataset_format": '{"parquet":{}}',
        "record_preprocessor_script": "/scripts/slow.py",
        **REPORTING,
        "workers": "1",
    }
    command: list[str | Path] = [DOCKER, "run", "--detach", "--name", f"{network}-{host}"]
    command += ["--network", network, "--network-alias", host, "--user", SOMEBODY]
    command += [*LOCKED_DOWN[:network_at], *LOCKED_DOWN[network_at + 2 :]]
    for source, target in ((data, "/data"), (config.parent, "/opt/ml/config"), (script.parent, "/scripts")):
        command += ["--volume", f"{source}:{target}:ro"]
    command += ["--volume", f"{output}:/output"]
    for name, value in variables.items():
        command += ["--env", f"{name}={value}"]
    started = call(*command, DATA_QUALITY)
    assert started.returncode == 0, started.stderr


def test_a_container_killed_in_the_middle_is_survived(
    network: str, several_splits: Path, tmp_path: Path
) -> None:
    script = shared_folder(tmp_path / "scripts") / "slow.py"
    script.write_text(SCRIPT, encoding="utf-8")
    for host in ("algo-2", "algo-1"):
        start(host, network, tmp_path, several_splits, script)
    log = wait_for_log(f"{network}-algo-1", "algo-2 reads 1 split at once")
    assert "Read 600000 rows" not in log
    wait_for_log(f"{network}-algo-2", "in the middle of a split")
    assert call(DOCKER, "kill", f"{network}-algo-2").returncode == 0
    waited = call(DOCKER, "wait", f"{network}-algo-1")
    log = call(DOCKER, "logs", f"{network}-algo-1").stderr
    assert waited.stdout.strip() == "0", log
    assert "Lost algo-2; others read its splits again" in log
    alone = run_image(
        tmp_path / "alone",
        mounts={"/data": several_splits},
        dataset_source="/data",
        dataset_format='{"parquet":{}}',
        **REPORTING,
    )
    for name in DOCUMENTS:
        assert (tmp_path / "algo-1" / "output" / name).read_bytes() == (alone.output / name).read_bytes()


def wait_for_log(container: str, text: str) -> str:
    deadline = time.monotonic() + SECONDS
    while text not in (log := call(DOCKER, "logs", container).stderr):
        running = call(DOCKER, "inspect", "--format", "{{.State.Running}}", container).stdout.strip()
        assert running == "true", log
        assert time.monotonic() < deadline, log
        time.sleep(0.1)
    return log
