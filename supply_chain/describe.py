"""Write what an image holds: ``python -m supply_chain.describe IMAGE FOLDER``.

The folder gets ``sbom.cdx.json`` (CycloneDX) and ``licences.md``. The time they bear is
``SOURCE_DATE_EPOCH``, so that describing an image again changes nothing.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path

from supply_chain.bill import bill_of_materials, licence_page, moment


def main() -> int:
    """Describe the image that the command line names; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m supply_chain.describe", description=__doc__)
    parser.add_argument("image", help="name and tag, as the engine knows it")
    parser.add_argument("folder", type=Path, help="where to write; made when it is not there")
    parser.add_argument("--docker", default="docker", help="command of the engine: docker or podman")
    options = parser.parse_args()
    try:
        identifier = _ask(options.docker, "image", "inspect", "--format", "{{.Id}}", options.image).strip()
        script = Path(__file__).with_name("inventory.py").read_text(encoding="utf-8")
        inside = (
            "run",
            "--rm",
            "--interactive",
            "--network",
            "none",
            "--entrypoint",
            "python3",
            options.image,
        )
        inventory = json.loads(_ask(options.docker, *inside, "-", given=script))
    except subprocess.CalledProcessError as error:
        print(f"{options.image} cannot be described: {error.stderr.strip()}", file=sys.stderr)
        return 1
    created = moment(int(os.environ.get("SOURCE_DATE_EPOCH", "0")))
    options.folder.mkdir(parents=True, exist_ok=True)
    bill = bill_of_materials(options.image, identifier, inventory, created)
    (options.folder / "sbom.cdx.json").write_text(bill, encoding="utf-8")
    (options.folder / "licences.md").write_text(licence_page(options.image, inventory), encoding="utf-8")
    python, debian = len(inventory["distributions"]), len(inventory["debian_packages"])
    print(f"{options.folder}/sbom.cdx.json, licences.md: {python} Python and {debian} Debian packages")
    return 0


def _ask(docker: str, *arguments: str, given: str = "") -> str:
    answer = subprocess.run([docker, *arguments], input=given, capture_output=True, text=True, check=True)
    return answer.stdout


if __name__ == "__main__":
    sys.exit(main())
