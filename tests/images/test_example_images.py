"""The monitors of docs/examples/ as images built from ours: a planted change is found, a control quiet."""

from __future__ import annotations

import base64
import json
import os
import struct
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from extending.test_own_monitors import orders, requests
from fixtures import ROOT
from image_runner import COMPARED, CSV_WITH_HEADER, DOCKER, IMAGES, ImageRun, call, capture_format, run_image

REPORTING = {"output_path": "/output", "output_message_file": "/output/message"}


@pytest.fixture(scope="module")
def built() -> Iterator[Callable[[str], str]]:
    """Return what builds an example's image from those under test."""
    names = []
    prefix, _, tag = IMAGES["base"].rpartition(":")
    given = {"IMAGES": prefix.rpartition("/")[0], "TAG": tag}
    index = ("PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "PIP_TRUSTED_HOST")
    given |= {name: os.environ[name] for name in index if name in os.environ}
    arguments = [word for name, text in given.items() for word in ("--build-arg", f"{name}={text}")]

    def build(name: str) -> str:
        names.append(f"example-{name}")
        command = (DOCKER, "build", "--quiet", "--network=host", *arguments, "--target", name)
        made = call(*command, "--tag", names[-1], "--file", ROOT / "docs" / "examples" / "Dockerfile", ROOT)
        assert made.returncode == 0, made.stderr
        return names[-1]

    yield build
    for name in names:
        call(DOCKER, "image", "rm", name)


def compare(
    folder: Path, name: str, baseline: Path, windows: dict[str, Path], variables: dict[str, str]
) -> dict[str, ImageRun]:
    """Make a baseline, compare windows with it; return their runs."""
    first = run_image(
        folder / "baseline", image=name, mounts={"/data": baseline.parent}, **variables, **REPORTING
    )
    assert first.exit_code == 0, first.log
    runs = {}
    for key, rows in windows.items():
        mounts = {"/data": rows.parent, "/baseline": first.output}
        given = {**variables, **REPORTING, **COMPARED}
        runs[key] = run_image(folder / f"{key}-run", image=name, mounts=mounts, **given)
        assert runs[key].exit_code == 0, runs[key].log
    return runs


def place(folder: Path, name: str) -> Path:
    (folder / name).mkdir(parents=True)
    return folder / name / "data.csv"


def test_custom_metrics(tmp_path: Path, built: Callable[[str], str]) -> None:
    then = orders(place(tmp_path, "then"), 1)
    windows = {
        "same": orders(place(tmp_path, "same"), 2),
        "worse": orders(place(tmp_path, "worse"), 3, returned=0.15),
    }
    variables = {"dataset_source": "/data", "dataset_format": CSV_WITH_HEADER}
    runs = compare(tmp_path, built("custom-metrics"), then, windows, variables)
    assert runs["same"].document("constraint_violations.json")["violations"] == []
    (found,) = runs["worse"].document("constraint_violations.json")["violations"]
    assert found["metric_name"] == "return_rate"


def test_text_drift(tmp_path: Path, built: Callable[[str], str]) -> None:
    then = requests(place(tmp_path, "then"), 1)
    windows = {
        "same": requests(place(tmp_path, "same"), 2),
        "new": requests(place(tmp_path, "new"), 3, topic="refund", share=0.1),
    }
    variables = {"dataset_source": "/data", "dataset_format": CSV_WITH_HEADER}
    runs = compare(tmp_path, built("text-drift"), then, windows, variables)
    assert runs["same"].document("constraint_violations.json")["violations"] == []
    (found,) = runs["new"].document("constraint_violations.json")["violations"]
    assert "refund" in found["description"]


def png(grey: np.ndarray) -> bytes:
    """Return a grey picture as a file."""
    height, width = grey.shape
    lines = b"".join(b"\0" + line.tobytes() for line in grey.astype(np.uint8))
    parts = {b"IHDR": struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0), b"IDAT": zlib.compress(lines)}
    written = b"\x89PNG\r\n\x1a\n"
    for kind, content in (*parts.items(), (b"IEND", b"")):
        written += struct.pack(">I", len(content)) + kind + content
        written += struct.pack(">I", zlib.crc32(kind + content))
    return written


def pictures(folder: Path, seed: int, *, blurred: bool = False) -> Path:
    """Write captures of 400 images; the answer is a list of scores."""
    rng = np.random.default_rng(seed)
    hour = folder / "cameras" / "AllTraffic" / "2026" / "05" / "06" / "22"
    hour.mkdir(parents=True)
    lines = []
    for at in range(400):
        grey = rng.integers(0, 256, (34, 34)).astype(float)
        # Sharp pictures differ in how sharp they are, too.
        weight = 1.0 if blurred else rng.uniform(0, 0.3)
        mean = sum(grey[y : y + 32, x : x + 32] for y in range(3) for x in range(3)) / 9
        picture = png((1 - weight) * grey[1:33, 1:33] + weight * mean)
        first = float(rng.random())
        sides = {
            "endpointInput": ("image/png", "BASE64", base64.b64encode(picture).decode()),
            "endpointOutput": ("application/json", "JSON", json.dumps([first, 1 - first])),
        }
        captured = {
            side: {"observedContentType": kind, "mode": side[8:].upper(), "data": data, "encoding": encoding}
            for side, (kind, encoding, data) in sides.items()
        }
        when = {"eventId": f"{seed}-{at}", "inferenceTime": "2026-05-06T22:15:00Z"}
        lines.append(json.dumps({"captureData": captured, "eventMetadata": when, "eventVersion": "0"}))
    file = hour / "15-00-000-captures.jsonl"
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    for path in (folder, *folder.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)
    # A child of what is mounted.
    return folder / "cameras"


def test_images(tmp_path: Path, built: Callable[[str], str]) -> None:
    then = pictures(tmp_path / "then", 1)
    windows = {
        "same": pictures(tmp_path / "same", 2),
        "blurred": pictures(tmp_path / "blurred", 3, blurred=True),
    }
    variables = {
        "dataset_source": "/data",
        "dataset_format": capture_format("endpointInput", "endpointOutput"),
    }
    runs = compare(tmp_path, built("image-statistics"), then, windows, variables)
    assert runs["same"].document("constraint_violations.json")["violations"] == []
    found = runs["blurred"].document("constraint_violations.json")["violations"]
    assert "sharpness" in {one["feature_name"] for one in found}
