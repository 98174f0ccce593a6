"""Running a built image the way a careful operator does: no privileges, no network, nothing writable."""

from __future__ import annotations

import json
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

DOCKER = os.environ.get("DOCKER", "docker")
NAMES = ("data-quality", "model-quality", "bias", "feature-attribution")
# What one's own monitor is built from, and what receives captures.
IMAGES = {
    name: "{}/{}:{}".format(
        os.environ.get("IMAGE_PREFIX", "model-monitor"), name, os.environ.get("IMAGE_TAG", "latest")
    )
    for name in (*NAMES, "base", "capture")
}
DATA_QUALITY, MODEL_QUALITY, BIAS, FEATURE_ATTRIBUTION, BASE, CAPTURE = IMAGES.values()
CSV_WITH_HEADER = '{"csv":{"header":true}}'
# Where Clarify's images find their configuration and data, told nothing.
INPUT = "/opt/ml/processing/input"
# Where a job leaves its results, and where a monitoring job finds its baseline.
REPORTING = {"output_path": "/output", "output_message_file": "/output/message"}
COMPARED = {
    "baseline_constraints": "/baseline/constraints.json",
    "baseline_statistics": "/baseline/statistics.json",
}
SOMEBODY = "12345:0"

LOCKED_DOWN = ("--read-only", "--network", "none", "--cap-drop", "ALL", "--security-opt", "no-new-privileges")


def call(*command: str | Path, **options: Any) -> subprocess.CompletedProcess[str]:
    """Run a command and capture what it says."""
    return subprocess.run([str(part) for part in command], capture_output=True, text=True, **options)


@dataclass(frozen=True)
class ImageRun:
    """What a container left behind."""

    exit_code: int
    stdout: str
    log: str
    output: Path

    def document(self, name: str) -> dict[str, Any]:
        return json.loads((self.output / name).read_text(encoding="utf-8"))

    @property
    def files(self) -> list[str]:
        return sorted(file.name for file in self.output.iterdir())

    @property
    def message(self) -> str:
        return (self.output / "message").read_text(encoding="utf-8")


def run_image(
    folder: Path,
    *arguments: str,
    mounts: dict[str, Path] | None = None,
    user: str | None = SOMEBODY,
    image: str = DATA_QUALITY,
    entrypoint: str | None = None,
    output_at: str = "/output",
    **variables: str,
) -> ImageRun:
    """Run an image with `variables` as environment, `mounts` read-only and `folder`/output at `output_at`."""
    output = shared_folder(folder / "output")
    command: list[str | Path] = [DOCKER, "run", "--rm", *LOCKED_DOWN]
    if user:
        command += ["--user", user]
    if entrypoint:
        command += ["--entrypoint", entrypoint]
    for target, source in (mounts or {}).items():
        command += ["--volume", f"{source}:{target}:ro"]
    command += ["--volume", f"{output}:{output_at}"]
    for name, value in variables.items():
        command += ["--env", f"{name}={value}"]
    result = call(*command, image, *arguments)
    return ImageRun(result.returncode, result.stdout, result.stderr, output)


def assert_refused(run: ImageRun, *parts: str) -> None:
    """Assert that a job ended as a user's mistake must: nothing but a message, which says `parts`."""
    assert run.exit_code == 2, run.log
    assert run.files == ["message"]
    for part in parts:
        assert part in run.message
    assert len(run.message.encode()) <= 1024
    assert "Traceback" not in run.log


def capture_format(*sides: str) -> str:
    """Return the dataset_format of captures of which these sides are read."""
    return json.dumps({"sagemakerCaptureJson": {"captureIndexNames": sides}})


def shared_folder(folder: Path) -> Path:
    """Make a folder that any user may write to, as a volume's owner would."""
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o777)
    return folder
