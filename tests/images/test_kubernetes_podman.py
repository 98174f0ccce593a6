"""The example Job's pod, run by Podman as it is written, volumes and image apart."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from fixtures import ROOT
from image_data import write_window
from image_runner import CSV_WITH_HEADER, DOCKER, ImageRun, call, shared_folder, unavailable

JOB = ROOT / "orchestrators" / "kubernetes" / "data-quality-job.yaml"
# Containers get the limits of a plain machine; asking for more than this one has would fail.
CONTAINERS_CONF = """\
[containers]
default_ulimits = ["nofile=1024:1024", "nproc=4096:4096"]
[engine]
cgroup_manager = "cgroupfs"
events_logger = "file"
"""


class Podman:
    """Podman with a configuration and a storage of its own, so that nothing of the machine changes."""

    def __init__(self, folder: Path) -> None:
        (folder / "containers.conf").write_text(CONTAINERS_CONF)
        self._environment = {**os.environ, "CONTAINERS_CONF": str(folder / "containers.conf")}
        self._command = ["podman", "--root", str(folder / "storage"), "--runroot", str(folder / "run")]

        self.image = ""

    def load(self, archive: Path) -> None:
        """Load an image and remember the name it gets here."""
        loaded = self("load", "--input", archive)
        assert loaded.returncode == 0, loaded.stderr
        self.image = loaded.stdout.strip().rpartition(" ")[2]

    def __call__(self, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
        return call(*self._command, *arguments, env=self._environment)


@pytest.fixture(scope="module")
def podman(tmp_path_factory: pytest.TempPathFactory, image: str) -> Iterator[Podman]:
    """Return Podman with the image loaded from Docker."""
    if not shutil.which("podman"):
        unavailable("podman is not installed")
    folder = tmp_path_factory.mktemp("podman")
    podman = Podman(folder)
    archive = folder / "image.tar"
    try:
        call(DOCKER, "save", "--output", archive, image, check=True)
        podman.load(archive)
        archive.unlink()
        yield podman
    finally:
        podman("rmi", "--all", "--force")


def pod(image: str, volumes: dict[str, Path], variables: dict[str, str]) -> dict[str, Any]:
    """Return the Job's pod with directories for its volumes and these variables besides its own."""
    template = yaml.safe_load(JOB.read_text(encoding="utf-8"))["spec"]["template"]
    specification = template["spec"]
    assert {volume["name"] for volume in specification["volumes"]} == set(volumes)
    specification["volumes"] = [
        {"name": name, "hostPath": {"path": str(path), "type": "Directory"}} for name, path in volumes.items()
    ]
    (container,) = specification["containers"]
    container["image"] = image
    container["imagePullPolicy"] = "Never"
    merged = {entry["name"]: entry["value"] for entry in container["env"]} | variables
    container["env"] = [{"name": name, "value": value} for name, value in merged.items()]
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {**template["metadata"], "name": "data-quality"},
        "spec": specification,
    }


def test_pod_of_the_job_runs_as_written(tmp_path: Path, podman: Podman, baseline: ImageRun) -> None:
    volumes = {
        "captures": write_window(tmp_path / "captures"),
        "baseline": baseline.output,
        "reports": shared_folder(tmp_path / "reports"),
    }
    manifest = tmp_path / "pod.yaml"
    variables = {"dataset_format": CSV_WITH_HEADER}
    manifest.write_text(yaml.safe_dump(pod(podman.image, volumes, variables)), encoding="utf-8")
    played = podman("play", "kube", manifest)
    assert played.returncode == 0, played.stdout + played.stderr
    name = "data-quality-data-quality"
    try:
        exit_code = podman("wait", name).stdout.strip()
        log = podman("logs", name)
        assert exit_code == "0", log.stdout + log.stderr
        inspected = podman("inspect", "--format", "{{.Config.User}} {{.HostConfig.ReadonlyRootfs}}", name)
    finally:
        podman("play", "kube", "--down", manifest)
    assert inspected.stdout.strip() == "10001:10001 true"
    files = sorted(file.name for file in (tmp_path / "reports").iterdir())
    assert files == ["constraint_violations.json", "constraints.json", "statistics.json"]
