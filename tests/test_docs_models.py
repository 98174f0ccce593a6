"""docs/models.md: its list of packages is the image's, its Dockerfile is complete."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]


def test_the_packages_of_the_image_are_listed() -> None:
    text = (ROOT / "docs/models.md").read_text(encoding="utf-8")
    listed = text.partition("The image has, and no other packages:")[2].partition("\n\n")[0]
    locked = (ROOT / "containers/requirements-feature-attribution.txt").read_text(encoding="utf-8")
    found = [line for line in locked.splitlines() if re.match(r"[a-z0-9-]+==", line) and "win32" not in line]
    expected = [re.split(r"==| ", line)[:2] for line in found]
    assert [one.split(" ") for one in listed.strip().rstrip(".").replace("\n", " ").split(", ")] == expected
