"""Merge captures with as many labels, and say what it cost: `python -m benchmarks.merge --help`."""

from __future__ import annotations

import argparse
import json
import math
import os
import sys
import tempfile
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from benchmarks import measure

ROOT = Path(__file__).resolve().parents[1]
START = datetime(2026, 3, 2, tzinfo=UTC)
CAPTURES_PER_FILE, LABELS_PER_FILE = 50_000, 200_000
LABEL_DELAY = timedelta(days=1)
_SCATTER = 0x9E3779B97F4A7C15F39CC0605CEDC835
_MOST_BYTES = 1_000_000_000

_CAPTURE = (
    '{"captureData":{"endpointInput":{"observedContentType":"text/csv","mode":"INPUT","data":"%s",'
    '"encoding":"CSV"},"endpointOutput":{"observedContentType":"text/csv; charset=utf-8","mode":"OUTPUT",'
    '"data":"%s\\n","encoding":"CSV"}},"eventMetadata":{"eventId":"%s","inferenceTime":"%s"},'
    '"eventVersion":"0"}\n'
)
_LABEL = (
    '{"groundTruthData":{"data":"%d","encoding":"CSV"},"eventMetadata":{"eventId":"%s"},"eventVersion":"0"}\n'
)
_FEATURES = "186,0.1,137.8,97,187.7,118,146.4,85,8.7,6,1,0,1,0,0,0,0,0,1,0,0,0"


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.merge", description=__doc__)
    parser.add_argument("--records", type=int, default=1_000_000, help="captures, and labels (%(default)s)")
    parser.add_argument(
        "--data", type=Path, default=ROOT / "bench-data", help="where to make them (%(default)s)"
    )
    options = parser.parse_args(arguments)
    options.data.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="merge-", dir=options.data) as name:
        folder = Path(name)
        make_captures(folder / "captures", options.records)
        make_labels(folder / "labels", options.records)
        sizes = [_size(folder / part) for part in ("captures", "labels")]
        print(f"{options.records:,} captures ({sizes[0]}), as many labels ({sizes[1]})", flush=True)
        cost = run_merge(folder)
        found = json.loads((folder / "merged" / "_merge_report.json").read_text())
        print(f"merged in {cost.wall:.1f} s, {options.records / cost.wall:,.0f} records per second")
        print(f"processor {cost.processor:.1f} s, memory at most {cost.peak / 1e6:,.0f} MB")
        if found["joined"] != options.records or found["orphan_labels"]:
            print(f"WRONG: {found['joined']:,} joined, {found['orphan_labels']:,} orphans")
            return 1
        print(f"memory below 1 GB: {'yes' if cost.peak < _MOST_BYTES else 'NO'}")
        return int(cost.peak >= _MOST_BYTES)


def identifier(number: int) -> str:
    """Return the id of a record: looks random, differs for every number."""
    text = f"{number * _SCATTER % (1 << 128):032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def make_captures(folder: Path, records: int) -> None:
    for start in range(0, records, CAPTURES_PER_FILE):
        hour = START + timedelta(hours=start // CAPTURES_PER_FILE)
        path = folder / "churn" / "AllTraffic" / f"{hour:%Y/%m/%d/%H}" / "00-00-000-capture.jsonl"
        path.parent.mkdir(parents=True)
        with path.open("w", encoding="ascii") as file:
            file.writelines(
                _CAPTURE
                % (
                    f"{number % 243},{_FEATURES}",
                    f"0.{number % 10_007}",
                    identifier(number),
                    f"{hour:%Y-%m-%dT%H}:{number // 60 % 60:02}:{number % 60:02}Z",
                )
                for number in range(start, min(start + CAPTURES_PER_FILE, records))
            )


def make_labels(folder: Path, records: int) -> None:
    """Write a label for every capture, in an order that has nothing to do with theirs."""
    step = next(step for step in range(records // 3 + 1, 2 * records + 2) if math.gcd(step, records) == 1)
    for start in range(0, records, LABELS_PER_FILE):
        hour = START + LABEL_DELAY + timedelta(hours=start // LABELS_PER_FILE)
        path = folder / f"{hour:%Y/%m/%d/%H}" / "labels.jsonl"
        path.parent.mkdir(parents=True)
        with path.open("w", encoding="ascii") as file:
            file.writelines(
                _LABEL % (number & 1, identifier(number))
                for number in (
                    place * step % records for place in range(start, min(start + LABELS_PER_FILE, records))
                )
            )


def run_merge(folder: Path) -> measure.Cost:
    command = [str(Path(sys.executable).with_name("merge-ground-truth"))]
    command += ["--dataset-source", str(folder / "captures"), "--ground-truth-source", str(folder / "labels")]
    command += ["--output-path", str(folder / "merged"), "--output-message-file", str(folder / "message")]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "TMPDIR": str(folder)}
    return measure.run(command, environment, folder / "log", timeout=3600)


def _size(folder: Path) -> str:
    return f"{sum(path.stat().st_size for path in folder.rglob('*.jsonl')) / 1e9:.2f} GB"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
