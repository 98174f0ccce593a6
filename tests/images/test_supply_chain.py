"""Every image comes with a bill of materials and its licences, and is built the same again."""

from __future__ import annotations

import json
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from image_runner import DOCKER, IMAGES, call

ROOT = Path(__file__).parents[2]
PYTHON = ROOT / ".cache" / "supply-chain-venv" / "bin" / "python"
VALIDATE = """
import sys
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
print(JsonStrictValidator(SchemaVersion.V1_6).validate_str(open(sys.argv[1]).read()))
"""
REQUIREMENTS = {
    "data-quality": "requirements.txt",
    "model-quality": "requirements.txt",
    "bias": "requirements-bias.txt",
    "feature-attribution": "requirements-feature-attribution.txt",
    "capture": "requirements-capture.txt",
}
# What receives captures is a distribution of its own, which needs nothing but, for S3, boto3.
OURS = dict.fromkeys(REQUIREMENTS, "model-monitor-containers") | {"capture": "model-monitor-capture"}
# What may be shipped in a closed product without asking anybody; MPL-2.0 asks for its own files only.
PERMISSIVE = re.compile(
    r"0BSD|Apache-2\.0|BSD( License|-\dClause|-\d-Clause)?|CC0-1\.0|MIT|MPL-2\.0|PSF-2\.0|Zlib"
)


@dataclass(frozen=True)
class Described:
    """What was written of an image."""

    name: str
    folder: Path
    bill: dict[str, Any]

    @property
    def python_packages(self) -> dict[str, dict[str, Any]]:
        ours = (one for one in self.bill["components"] if one["purl"].startswith("pkg:pypi/"))
        return {one["bom-ref"].removeprefix("pypi:"): one for one in ours}


def describe(name: str, folder: Path) -> Described:
    if not PYTHON.exists():
        pytest.skip(f"{PYTHON} was not found; make test-images sets it up")
    environment = os.environ | {"SOURCE_DATE_EPOCH": "1700000000", "PYTHONPATH": str(ROOT)}
    command = (PYTHON, "-m", "supply_chain.describe", "--docker", DOCKER, IMAGES[name], folder)
    ended = call(*command, env=environment)
    assert ended.returncode == 0, ended.stderr
    return Described(name, folder, json.loads((folder / "sbom.cdx.json").read_text(encoding="utf-8")))


@pytest.fixture(scope="module", params=REQUIREMENTS)
def described(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Described:
    """Return an image's description."""
    return describe(request.param, tmp_path_factory.mktemp(request.param))


def test_bill_is_valid_by_the_schema_of_cyclonedx(described: Described) -> None:
    assert call(PYTHON, "-c", VALIDATE, described.folder / "sbom.cdx.json").stdout == "None\n"


def test_bill_names_every_locked_package_in_its_version(described: Described) -> None:
    text = (ROOT / "containers" / REQUIREMENTS[described.name]).read_text(encoding="utf-8")
    locked = dict(re.findall(r"^([A-Za-z0-9._-]+)==([^ ;\\]+) \\$", text, re.MULTILINE))
    # Packages with a marker are for other systems, or other versions of Python.
    elsewhere = dict(re.findall(r"^([A-Za-z0-9._-]+)==([^ ;]+) ;", text, re.MULTILINE))
    found = {name: one["version"] for name, one in described.python_packages.items()}
    del found[OURS[described.name]]
    assert locked.items() <= found.items()
    assert found.items() <= {**elsewhere, **locked}.items()


def test_bill_knows_what_needs_what(described: Described) -> None:
    needs = {one["ref"]: one.get("dependsOn", []) for one in described.bill["dependencies"]}
    ours = set(needs[f"pypi:{OURS[described.name]}"])
    if described.name == "capture":
        assert "pypi:botocore" in needs["pypi:boto3"]
        assert not {"pypi:numpy", "pypi:pyarrow"} & ours
        return
    assert "pypi:numpy" in needs["pypi:pandas"]
    assert {"pypi:numpy", "pypi:pyarrow", "pypi:jinja2"} <= ours


def test_bill_has_the_base_and_what_wheels_bundle(described: Described) -> None:
    names = {one["name"] for one in described.bill["components"]}
    # The interpreter is the base's package, or a component of its own.
    assert {"libc6"} < names
    assert any(name.startswith("python3") or name == "python" for name in names)
    if described.name == "capture":
        return  # none of its wheels bundles anything
    parts = described.python_packages["orjson"]["components"]
    assert all(part["purl"].startswith("pkg:cargo/") and part["version"] for part in parts)


def test_licences_are_known_and_permissive(described: Described) -> None:
    for name, one in described.python_packages.items():
        choices = one["licenses"]
        texts = [
            choice.get("expression") or choice["license"].get("id") or choice["license"]["name"]
            for choice in choices
        ]
        words = [word.strip(" ()") for text in texts for word in re.split(r" (?:AND|OR) ", text)]
        assert words, name
        assert all(PERMISSIVE.fullmatch(word) for word in words), (name, texts)


def test_the_page_lists_what_the_bill_lists(described: Described) -> None:
    page = (described.folder / "licences.md").read_text(encoding="utf-8")
    for one in described.bill["components"]:
        assert f"| {one['name']} | {one['version']} | " in page


def test_describing_again_changes_nothing(described: Described, tmp_path: Path) -> None:
    describe(described.name, tmp_path)
    for name in ("sbom.cdx.json", "licences.md"):
        assert (tmp_path / name).read_bytes() == (described.folder / name).read_bytes()


def test_an_image_that_is_not_there_is_named(tmp_path: Path) -> None:
    ended = call(
        PYTHON, "-m", "supply_chain.describe", "--docker", DOCKER, "nobody/has-this:1", tmp_path, cwd=ROOT
    )
    assert ended.returncode == 1
    assert ended.stderr.startswith("nobody/has-this:1 cannot be described: ")
    assert "Traceback" not in ended.stderr
