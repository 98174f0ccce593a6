"""Print what is installed here as JSON.

Runs inside an image, read from standard input: it has the standard library only.
"""

from __future__ import annotations

import email.parser
import importlib.metadata
import json
import os
import platform
import re
import sys
from pathlib import Path
from typing import Any

_LICENCE_FILE = re.compile(r"(^|/)(licen[cs]e|copying|notice|thirdpartynotices)[^/]*$", re.IGNORECASE)
# A field of Debian's machine-readable copyright files.
_DEBIAN_LICENCE = re.compile(r"^License: *(\S.*)$", re.MULTILINE)


def distribution(found: importlib.metadata.Distribution) -> dict[str, Any]:
    """Return what a Python distribution says of itself."""
    metadata = found.metadata
    names = sorted(str(path) for path in found.files or ())
    return {
        "name": found.name,
        "version": found.version,
        "summary": metadata.get("Summary"),
        "licence_expression": metadata.get("License-Expression"),
        "licence": metadata.get("License"),
        "classifiers": [
            text for text in metadata.get_all("Classifier") or () if text.startswith("License ::")
        ],
        "licence_files": [
            name for name in names if _LICENCE_FILE.search(name) and _path(found, name).is_file()
        ],
        "requires": found.requires or [],
        # What wheels bundle, in the place that PEP 770 names.
        "bundled": [
            json.loads(_path(found, name).read_text(encoding="utf-8"))
            for name in names
            if re.search(r"\.dist-info/sboms/.*\.json$", name)
        ],
    }


def distributions() -> list[dict[str, Any]]:
    """Return the distributions on the path, each once, by name."""
    found: dict[str, importlib.metadata.Distribution] = {}
    for one in importlib.metadata.distributions():
        found.setdefault(one.name.lower(), one)
    return [distribution(found[name]) for name in sorted(found)]


def debian_packages(root: Path) -> list[dict[str, Any]]:
    """Return the Debian packages of the base, by name; none where there is no such database."""
    try:
        status = (root / "var/lib/dpkg/status").read_text(encoding="utf-8")
    except OSError:
        return []
    stanzas = (email.parser.HeaderParser().parsestr(text) for text in status.split("\n\n") if text.strip())
    packages = []
    for stanza in stanzas:
        if not (stanza["Status"] or "").endswith(" installed"):
            continue
        copyright_file = root / "usr/share/doc" / stanza["Package"] / "copyright"
        copyright_text = copyright_file.read_text(errors="replace") if copyright_file.is_file() else ""
        packages.append(
            {
                "name": stanza["Package"],
                "version": stanza["Version"],
                "architecture": stanza["Architecture"],
                "licences": sorted(set(_DEBIAN_LICENCE.findall(copyright_text))),
            }
        )
    return sorted(packages, key=lambda package: package["name"])


def _path(found: importlib.metadata.Distribution, name: str) -> Path:
    return Path(str(found.locate_file(name)))


def main() -> None:
    """Print the inventory."""
    json.dump(
        {
            "python": platform.python_version(),
            "python_is_packaged": os.path.realpath(sys.executable).startswith("/usr/bin/"),
            "system": platform.freedesktop_os_release(),
            "distributions": distributions(),
            "debian_packages": debian_packages(Path("/")),
        },
        sys.stdout,
    )


if __name__ == "__main__":
    main()
