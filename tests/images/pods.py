"""Podman for pods as they are written in manifests, with a configuration and a storage of its own."""

from __future__ import annotations

import copy
import os
import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import yaml
from image_runner import DOCKER, IMAGES, call

# Containers get the limits of a plain machine; asking for more than this one has would fail.
CONTAINERS_CONF = """\
[containers]
default_ulimits = ["nofile=1024:1024", "nproc=4096:4096"]
[engine]
cgroup_manager = "cgroupfs"
events_logger = "file"
"""


class Podman:
    """Podman with a configuration and a storage of its own, so that nothing of the machine changes.

    Parameters
    ----------
    folder
        Of both.
    running
        The folder for what runs; Podman wants a path of at most 50 characters.
    """

    def __init__(self, folder: Path, running: Path) -> None:
        (folder / "containers.conf").write_text(CONTAINERS_CONF)
        self._environment = {**os.environ, "CONTAINERS_CONF": str(folder / "containers.conf")}
        self._command = ["podman", "--root", str(folder / "storage"), "--runroot", str(running)]
        self._archive = folder / "image.tar"
        self._images: dict[str, str] = {}

    def image(self, name: str) -> str:
        """Return what an image is called here, loaded from Docker when first asked for."""
        if name not in self._images:
            call(DOCKER, "save", "--output", self._archive, IMAGES[name], check=True)
            loaded = self("load", "--input", self._archive)
            assert loaded.returncode == 0, loaded.stderr
            self._archive.unlink()
            self._images[name] = loaded.stdout.strip().rpartition(" ")[2]
        return self._images[name]

    def __call__(self, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
        return call(*self._command, *arguments, env=self._environment)


def containers_of(specification: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the containers of a pod's specification, the first ones first."""
    return [*specification.get("initContainers", []), *specification["containers"]]


def on_this_machine(podman: Podman, specification: dict[str, Any], **variables: str) -> dict[str, Any]:
    """Return a pod's specification with this machine's images and network, and more variables."""
    specification = copy.deepcopy(specification)
    specification["hostNetwork"] = True
    for container in containers_of(specification):
        name = container["image"].rpartition("/")[2].partition(":")[0]
        container["image"] = podman.image(name)
        container["imagePullPolicy"] = "Never"
        entries = [entry for entry in container.get("env", []) if entry["name"] not in variables]
        container["env"] = entries + [{"name": key, "value": text} for key, text in variables.items()]
        # Podman 4 has no optional secrets; the variables bring what they would.
        container["envFrom"] = [entry for entry in container.get("envFrom", []) if "secretRef" not in entry]
    return specification


def run_pod(
    podman: Podman, folder: Path, specification: dict[str, Any], *, with_documents: Iterable[Any] = ()
) -> list[tuple[str, int, str]]:
    """Run a pod to its end; return name, exit code and log of its containers.

    Podman removes init containers once they have succeeded, and starts no other before.
    """
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "run"}, "spec": specification}
    manifest = folder / "pod.yaml"
    manifest.write_text(yaml.safe_dump_all([*with_documents, pod]), encoding="utf-8")
    played = podman("play", "kube", manifest)
    results = []
    try:
        for container in specification["containers"]:
            name = f"run-{container['name']}"
            exit_code = podman("wait", name).stdout.strip()
            logged = podman("logs", name)
            assert exit_code, played.stdout + played.stderr
            results.append((container["name"], int(exit_code), logged.stdout + logged.stderr))
    finally:
        podman("play", "kube", "--down", manifest)
        podman("volume", "prune", "--force")
    return results
