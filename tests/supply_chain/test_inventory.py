"""What images hold is told from their own records."""

import importlib.metadata
from pathlib import Path

import pytest

from supply_chain.inventory import debian_packages, distribution
from supply_chain.licences import licence_of

STATUS = """\
Package: zlib1g
Status: install ok installed
Architecture: amd64
Version: 1:1.3.1-1
Description: compression library
 Package: not a field, but a line of the description

Package: gone
Status: deinstall ok config-files
Architecture: all
Version: 2

Package: adduser
Status: install ok installed
Architecture: all
Version: 3.152
"""


def metadata(expression=None, licence=None, classifiers=()):
    return {
        "licence_expression": expression,
        "licence": licence,
        "classifiers": [f"License :: OSI Approved :: {name}" for name in classifiers],
    }


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (metadata("MIT OR Apache-2.0", "MIT License"), "MIT OR Apache-2.0"),
        (metadata(None, "MIT License"), "MIT"),
        (metadata(None, "Apache-2.0"), "Apache-2.0"),
        (metadata(None, None, ["Apache Software License"]), "Apache-2.0"),
        (
            metadata(None, "Dual License", ["BSD License", "Apache Software License"]),
            "Apache-2.0 OR BSD License",
        ),
        (metadata(None, "Copyright (c) 2001\nRedistribution and use ...", ["MIT License"]), "MIT"),
        (metadata(None, "BSD"), "BSD"),
        (metadata(None, "Licence of the Moon"), "Licence of the Moon"),
        (metadata(), "unknown"),
    ],
)
def test_licence_is_the_most_exact_name_in_the_metadata(given, expected):
    assert licence_of(given) == expected


def test_debian_packages_are_those_that_are_installed(tmp_path: Path):
    (tmp_path / "var/lib/dpkg").mkdir(parents=True)
    (tmp_path / "var/lib/dpkg/status").write_text(STATUS, encoding="utf-8")
    documents = tmp_path / "usr/share/doc/zlib1g"
    documents.mkdir(parents=True)
    (documents / "copyright").write_text(
        "License: Zlib\n text\n\nLicense: Zlib\nLicense:\n", encoding="utf-8"
    )
    assert debian_packages(tmp_path) == [
        {"name": "adduser", "version": "3.152", "architecture": "all", "licences": []},
        {"name": "zlib1g", "version": "1:1.3.1-1", "architecture": "amd64", "licences": ["Zlib"]},
    ]


def test_a_base_without_debian_has_no_such_packages(tmp_path: Path):
    assert debian_packages(tmp_path) == []


def test_a_distribution_names_its_licence_files_and_what_it_bundles():
    found = distribution(importlib.metadata.distribution("orjson"))
    assert found["name"] == "orjson"
    assert any(name.endswith("LICENSE-MIT") for name in found["licence_files"])
    assert all(bill["bomFormat"] == "CycloneDX" for bill in found["bundled"])
