"""Look for known vulnerabilities in what images install: ``python -m supply_chain.audit REQUIREMENTS...``.

`pip-audit` asks the package index about each locked version. A vulnerability ends in exit code 1; a database
that cannot be reached is only reported, since it says nothing about the images.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

# What pip-audit's libraries raise when nobody answers, or something else than the database does.
_NO_ANSWER = (
    "ConnectionError",
    "ConnectTimeout",
    "ReadTimeout",
    "SSLError",
    "JSONDecodeError",
    "ServiceError",
)


def main() -> int:
    """Audit the files that the command line names; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m supply_chain.audit", description=__doc__)
    parser.add_argument("requirements", type=Path, nargs="+", help="locked requirements, with hashes")
    options = parser.parse_args()
    return max(audit(path) for path in options.requirements)


def audit(requirements: Path) -> int:
    """Audit one file, print what was found, and return 0, or 1 with vulnerabilities or a failure."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.json"
        command = [
            sys.executable,
            "-m",
            "pip_audit",
            "--disable-pip",
            "--require-hashes",
            "--progress-spinner=off",
        ]
        ended = subprocess.run(
            [*command, f"--requirement={requirements}", "--format=json", f"--output={report}"],
            capture_output=True,
            text=True,
            check=False,
        )
        if report.exists():
            return tell(requirements, json.loads(report.read_text(encoding="utf-8"))["dependencies"])
    if any(name in ended.stderr for name in _NO_ANSWER):
        print(f"{requirements}: not audited, because no vulnerability database can be reached")
        return 0
    print(f"{requirements}: the audit failed\n{ended.stderr}", file=sys.stderr)
    return 1


def tell(requirements: Path, dependencies: Sequence[dict[str, Any]]) -> int:
    """Print what pip-audit reported of one file; return 1 when there are vulnerabilities."""
    skipped = [one["name"] for one in dependencies if "skip_reason" in one]
    audited = len(dependencies) - len(skipped)
    vulnerable = [(one, found) for one in dependencies for found in one.get("vulns", ())]
    if not audited and skipped:
        print(f"{requirements}: not audited, because the database knows none of its {len(skipped)} packages")
        return 0
    print(f"{requirements}: packages audited {audited}, known vulnerabilities {len(vulnerable)}")
    if skipped:
        print(f"  not known to the database: {', '.join(skipped)}")
    for one, found in vulnerable:
        fixed = ", ".join(found["fix_versions"]) or "no version yet"
        print(f"  {one['name']} {one['version']}: {found['id']}, fixed in {fixed}; then `make lock`")
    return 1 if vulnerable else 0


if __name__ == "__main__":
    sys.exit(main())
