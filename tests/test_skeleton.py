"""The project's own shape: commands, locks, images and examples agree with each other."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import kubernetes_validate
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from fixtures import ROOT

import contract
from contract.settings import VARIABLES

LOCKS = [
    *sorted((ROOT / "requirements").glob("*.txt")),
    *sorted((ROOT / "containers").glob("requirements*.txt")),
]
TARGETS = [
    "help",
    "demo",
    "test",
    "test-long",
    "test-report",
    "screenshots",
    "lint",
    "images",
    "test-images",
    "repeat-images",
    "audit",
    "bench",
    "simulate",
    "fuzz",
    "lock",
    "clean",
]
JOBS = sorted((ROOT / "orchestrators" / "kubernetes").glob("*.yaml"))
IMAGES = ["data-quality", "model-quality", "bias", "feature-attribution", "base", "capture"]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
# The console commands: their modules, and what these call them.
COMMANDS = {command: target.split(":") for command, target in PROJECT["scripts"].items()}


def make(*arguments: str) -> str:
    result = subprocess.run(
        ["make", "--no-print-directory", *arguments], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return result.stdout


def test_make_alone_lists_every_target() -> None:
    listed = re.findall(r"^  make (\S+) +\S", make(), re.MULTILINE)
    assert listed == TARGETS


def test_images_are_built_with_version_and_base() -> None:
    plan = make("--dry-run", "images", "BASE_IMAGE=somewhere/python:3")
    for name in IMAGES:
        assert f"--target {name} --tag model-monitor/{name}:latest" in plan
    assert "BASE_IMAGE=somewhere/python:3" in plan
    assert f"VERSION={contract.__version__}" in plan


@pytest.mark.parametrize(("engine", "sets_times"), [("docker", False), ("podman", True)])
def test_times_are_set_by_the_builder_that_can(engine: str, sets_times: bool) -> None:
    plan = make("--dry-run", "images", f"DOCKER={engine}", "SOURCE_DATE_EPOCH=1700000000")
    assert ("--timestamp 1700000000" in plan) == sets_times
    assert plan.count("SOURCE_DATE_EPOCH=1700000000") == len(IMAGES)


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: str(lock.relative_to(ROOT)))
def test_locks_pin_and_hash_everything_and_name_no_index(lock: Path) -> None:
    text = lock.read_text(encoding="utf-8")
    requirements = re.split(r"\n(?=[A-Za-z])", re.sub(r"^\s*#.*\n", "", text, flags=re.MULTILINE).strip())
    for requirement in requirements:
        assert re.match(r"[A-Za-z0-9._\[\],-]+==\S+", requirement), requirement
        assert "--hash=sha256:" in requirement, requirement
    assert "://" not in text
    assert not re.search(r"^\s*--(index-url|extra-index-url|find-links|trusted-host)", text, re.MULTILINE)


def test_image_lock_holds_the_runtime_dependencies() -> None:
    wanted = [*PROJECT["dependencies"], *PROJECT["optional-dependencies"]["dataframe"]]
    locked = (ROOT / "containers" / "requirements.txt").read_text(encoding="utf-8")
    for requirement in wanted:
        name = re.split(r"[^A-Za-z0-9._-]", requirement)[0]
        assert re.search(rf"^{name}==", locked, re.MULTILINE), f"{name}: run make lock"


def test_development_lock_agrees_with_the_image() -> None:
    def versions(path: str) -> dict[str, str]:
        text = (ROOT / path).read_text(encoding="utf-8")
        return dict(re.findall(r"^([A-Za-z0-9._-]+)==(\S+)", text, re.MULTILINE))

    image, development = versions("containers/requirements.txt"), versions("requirements/dev.txt")
    assert image.items() <= development.items()


def test_find_python_says_what_is_missing(tmp_path: Path) -> None:
    old = tmp_path / "python3"
    old.write_text('#!/bin/sh\ncase "$2" in *platform*) echo 3.9.2 ;; *) exit 1 ;; esac\n')
    old.chmod(0o755)
    result = subprocess.run(
        ["/bin/sh", ROOT / "requirements" / "find-python"],
        env={"PATH": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    assert result.returncode == 1
    assert "python3 is 3.9.2" in result.stderr
    assert "3.12" in result.stderr


def test_find_python_finds_this_one() -> None:
    folder = Path(sys.executable).parent
    result = subprocess.run(
        ["/bin/sh", ROOT / "requirements" / "find-python"],
        env={"PATH": str(folder)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert result.stdout.strip() in {"python3", "python3.12", "python3.13", "python3.14"}


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("call", ["pass", "command(['--nonsense'])"])
def test_a_command_loads_nothing_heavy_before_the_settings_are_checked(command: str, call: str) -> None:
    # A job is a cold start, and a mistake in its settings should be told at once.
    heavy = ["numpy", "pandas", "pyarrow", "scipy", "sklearn", "shap", "dask", "xxhash"]
    loaded = f"[name for name in {heavy} if name in sys.modules]"
    module, name = COMMANDS[command]
    script = (
        f"import contextlib, sys\nfrom {module} import {name} as command\n"
        f"with contextlib.suppress(SystemExit): {call}\nprint({loaded})"
    )
    result = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, env={}, capture_output=True, text=True, check=True
    )
    assert result.stdout.splitlines()[-1] == "[]"


def test_a_job_loads_nothing_heavy_that_it_can_do_without(tmp_path: Path) -> None:
    table = tmp_path / "table.parquet"
    pq.write_table(pa.table({"x": [float(row % 7) for row in range(50)], "plan": ["a", "b"] * 25}), table)
    script = (
        "import sys\nfrom containers.data_quality.main import main\nassert main() == 0\n"
        "print([name for name in ('numpy.ma', 'zipfile', 'statistics', 'pandas') if name in sys.modules])"
    )
    settings = {
        "dataset_source": str(table),
        "dataset_format": '{"parquet":{}}',
        "output_path": str(tmp_path),
    }
    given = {**settings, "output_message_file": str(tmp_path / "message")}
    result = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, env=given, capture_output=True, text=True, check=True
    )
    assert result.stdout.splitlines()[-1] == "[]"


@pytest.fixture(scope="module", params=JOBS, ids=lambda path: path.stem)
def job(request: pytest.FixtureRequest) -> dict[str, Any]:
    """Return a Kubernetes example."""
    return yaml.safe_load(request.param.read_text(encoding="utf-8"))


def containers(job: dict[str, Any]) -> list[dict[str, Any]]:
    pod = job["spec"]["template"]["spec"]
    return [*pod.get("initContainers", []), *pod["containers"]]


def test_kubernetes_job_is_valid(job: dict[str, Any]) -> None:
    kubernetes_validate.validate(job, "1.31", strict=True)


def test_kubernetes_job_sets_variables_that_exist(job: dict[str, Any]) -> None:
    known = {name for variable in VARIABLES for name in (variable.name, *variable.aliases)}
    for container in containers(job):
        assert {entry["name"] for entry in container["env"]} <= known


def test_kubernetes_job_asks_for_no_privileges(job: dict[str, Any]) -> None:
    pod = job["spec"]["template"]["spec"]
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["automountServiceAccountToken"] is False
    for container in containers(job):
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert set(container["resources"]["limits"]) == {"cpu", "memory"}
