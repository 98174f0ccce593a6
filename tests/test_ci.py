"""What `.ci/run` does before and around the tests: it installs what is missing, and no skip passes unseen."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from fixtures import ROOT

# Which package of Debian owns a command, where the client of Docker is apart from the engine, and where not.
OWNERS = {
    "make": "make",
    "git": "git",
    "docker": "docker-cli",
    "dockerd": "docker.io",
    "docker-compose": "docker-compose",
    "mmdebstrap": "mmdebstrap",
    "podman": "podman",
    "iptables": "iptables",
    "kubectl": "kubernetes-client",
    "chromium": "chromium",
    "chromedriver": "chromium-driver",
    "npm": "npm",
    "openssl": "openssl",
    "catatonit": "catatonit",
    "python3": "python3",
}
OLDER_OWNERS = OWNERS | {"docker": "docker.io"}
# Files and not commands say whether these are here.
UNSEEN = {"ca-certificates", "debian-archive-keyring", "catatonit"}


def requested(folder: Path, present: set[str], owners: dict[str, str]) -> set[str]:
    """Return what `.ci/run` asks of a recording apt-get where only these commands are present."""
    checkout, programs, record = folder / "checkout", folder / "bin", folder / "requests"
    for each in (checkout, programs):
        each.mkdir()
    shutil.copytree(ROOT / ".ci", checkout / ".ci")
    shutil.copytree(ROOT / "requirements", checkout / "requirements")
    for tool in ("bash", "sh", "cat", "dirname", "ls", "mkdir", "tail"):
        (programs / tool).symlink_to(str(shutil.which(tool)))
    scripts = dict.fromkeys(present, "exit 0") | {
        # No engine answers, and the client has no plugin.
        **({"docker": "exit 1"} if "docker" in present else {}),
        "id": "echo 0",
        "apt-cache": f'case "$2" in {"|".join(set(owners.values()))}) ;; *) exit 100 ;; esac',
        "apt-get": f'[ "$1" = install ] || exit 0; for word; do echo "$word" >>{record}; done',
    }
    for name, script in scripts.items():
        program = programs / name
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(0o755)
    command = [programs / "bash", checkout / ".ci" / "run", "install_tools"]
    result = subprocess.run(command, env={"PATH": str(programs)}, capture_output=True, text=True)
    assert result.returncode == 0, result.stdout + result.stderr
    words = record.read_text().split() if record.exists() else []
    return {word for word in words if word != "install" and not word.startswith("-")}


@pytest.mark.parametrize("owners", [OLDER_OWNERS, OWNERS], ids=["one package", "client apart"])
@pytest.mark.parametrize("foreign", [None, *OWNERS])
def test_only_packages_of_missing_commands_are_asked_for(
    tmp_path: Path, foreign: str | None, owners: dict[str, str]
) -> None:
    asked = requested(tmp_path, {foreign} if foreign else set(), owners)
    expected = {owner for command, owner in owners.items() if command != foreign}
    if foreign != "python3":
        expected |= {"python3-venv"}
    assert asked - UNSEEN == expected - UNSEEN


def test_nothing_is_asked_for_where_everything_is_present(tmp_path: Path) -> None:
    assert requested(tmp_path, set(OWNERS), OWNERS) <= UNSEEN


SKIPPING = {
    "test_package.py": 'import pytest\npytest.importorskip("no_such_package_anywhere")\n',
    "test_file.py": 'from fixtures import fixture\ndef test_it():\n    fixture("no/such/file")\n',
    "test_root.py": 'import pytest\ndef test_it():\n    pytest.skip("root may write anything")\n',
}


@pytest.mark.parametrize(("ci", "outcome"), [("", "3 skipped"), ("true", "1 failed, 1 skipped, 1 error")])
def test_a_skip_is_a_failure_on_ci_alone(tmp_path: Path, ci: str, outcome: str) -> None:
    for name, text in SKIPPING.items():
        (tmp_path / name).write_text(text)
    result = inner_pytest(tmp_path, "--continue-on-collection-errors", CI=ci)
    assert outcome in result.stdout, result.stdout
    assert ("nothing may be missing" in result.stdout) == bool(ci)


PROPERTIES = """
from pathlib import Path
from hypothesis import given, settings, strategies as st
drawn = []
@given(st.floats())
def test_plain(x):
    drawn.append("plain")
class TestOwn:
    @settings(max_examples=300)
    @given(st.floats())
    def test_own(self, x):
        drawn.append("own")
    @settings(max_examples=5)
    @given(st.floats())
    def test_few(self, x):
        drawn.append("few")
def test_count():
    print(*(drawn.count(name) for name in ("plain", "own", "few")))
"""


@pytest.mark.parametrize(
    ("profile", "drawn"),
    [
        ("short", "100 300 100"),
        pytest.param("long", "2000 2000 2000", marks=pytest.mark.long),
    ],
)
def test_no_test_draws_fewer_examples_than_the_profile(tmp_path: Path, profile: str, drawn: str) -> None:
    (tmp_path / "test_properties.py").write_text(PROPERTIES)
    result = inner_pytest(tmp_path, "-s", f"--hypothesis-profile={profile}")
    assert f"\n{drawn}\n" in result.stdout.replace(".", "\n"), result.stdout


def inner_pytest(folder: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a folder's tests as those of this project: with its conftest.py and settings."""
    shutil.copy(ROOT / "tests" / "conftest.py", folder)
    shutil.copy(ROOT / "pyproject.toml", folder)
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *arguments]
    path = os.pathsep.join([str(ROOT), str(ROOT / "tests")])
    return subprocess.run(
        [*command, folder],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": path} | environment,
        capture_output=True,
        text=True,
    )
