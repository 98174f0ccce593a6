"""A bias job beside merely reading its columns, and beside smclarify, which Clarify computes with.

Every run is a fresh process that reads the same Parquet file. smclarify measures without intervals; it gets
an environment of its own, as it needs Python 3.11 and pandas 1.

    python -m benchmarks.bias [--rows N] [--peer-rows N] [--flip-rows N]
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from analyzers.bias.summary import ALL_POST, ALL_PRE
from benchmarks import measure
from benchmarks.measure import Cost

ROOT = Path(__file__).resolve().parents[1]
HERE = Path(__file__).parent
REQUIREMENTS = HERE / "requirements-smclarify.txt"
PEER_PYTHONS = ("python3.11", "python3.10", "python3.9")

ROWS = 10_000_000
PEER_ROWS = 3_000_000
FLIP_ROWS = 300_000
CHUNK_ROWS = 1_000_000
LONGEST_SECONDS = 3_600.0

# At most this many times merely reading; at least this many times faster than smclarify.
READ_GOAL = 3.0
PEER_GOAL = 20.0
FLIP_GOAL = 10.0

METRICS = tuple(name for name in (*ALL_PRE, *ALL_POST) if name != "FT")
FACETS = ("sex", "race")


@dataclass(frozen=True)
class Work:
    """What is computed: of which file, which metrics, of which facets."""

    path: Path
    metrics: tuple[str, ...]
    facets: tuple[str, ...]


# --- data --------------------------------------------------------------------------------------------------


def write_table(path: Path, rows: int, *, features: bool) -> Path:
    """Write labels, predictions, two facets and a group variable, unless the file is there already.

    With `features`, the columns are those of the census data behind most of Clarify's examples, as integers:
    fourteen features, two of which are the facets, and no group variable.
    """
    if path.exists():
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_suffix(".unfinished")
    generator = np.random.default_rng(rows)
    writer = None
    for start in range(0, rows, CHUNK_ROWS):
        table = _rows(generator, min(CHUNK_ROWS, rows - start), features)
        writer = writer or pq.ParquetWriter(unfinished, table.schema)
        writer.write_table(table)
    if writer is not None:
        writer.close()
    unfinished.rename(path)
    return path


def _rows(generator: np.random.Generator, rows: int, features: bool) -> pa.Table:
    label = generator.random(rows) < 0.25
    right = generator.random(rows) < 0.85
    columns = {
        "sex": generator.random(rows) < 0.33,
        "race": generator.random(rows) < 0.1,
        "label": label,
        "prediction": np.where(right, label, ~label),
    }
    if not features:
        columns["occupation"] = generator.integers(0, 15, rows)
        return pa.table({name: column.astype(np.int64) for name, column in columns.items()})
    columns |= {
        "age": generator.integers(17, 91, rows),
        "weight": generator.integers(12_000, 1_500_000, rows),
        "hours": np.clip(generator.normal(40, 12, rows), 1, 99),
        "capital_gain": np.where(generator.random(rows) < 0.08, generator.integers(1, 99_999, rows), 0),
        "capital_loss": np.where(generator.random(rows) < 0.05, generator.integers(1, 4_356, rows), 0),
    }
    sizes = {
        "class": 9,
        "education": 16,
        "years": 16,
        "status": 7,
        "occupation": 15,
        "relation": 6,
        "land": 42,
    }
    columns |= {name: generator.integers(0, size, rows) for name, size in sizes.items()}
    return pa.table({name: column.astype(np.int64) for name, column in columns.items()})


# --- who runs ----------------------------------------------------------------------------------------------


def peer_python(folder: Path) -> Path | None:
    """Install smclarify into `folder` unless it is there; return its Python, None without a fitting one."""
    python, stamp = folder / "bin" / "python", folder / ".installed"
    wanted = hashlib.sha256(REQUIREMENTS.read_bytes()).hexdigest()
    if python.exists() and stamp.exists() and stamp.read_text(encoding="ascii") == wanted:
        return python
    base = next((found for name in PEER_PYTHONS if (found := shutil.which(name)) is not None), None)
    if base is None:
        return None
    print(f"Installing smclarify into {folder} (about a minute)", file=sys.stderr)
    subprocess.run([base, "-m", "venv", "--clear", str(folder)], check=True)
    subprocess.run([str(python), "-m", "pip", "install", "-q", "-r", str(REQUIREMENTS)], check=True)
    stamp.write_text(wanted, encoding="ascii")
    return python


def our_command(work: Work, scratch: Path) -> list[str]:
    """Return the command of a baseline job."""
    stages = {"pre_training_bias": ALL_PRE, "post_training_bias": ALL_POST}
    asked = {stage: [name for name in work.metrics if name in known] for stage, known in stages.items()}
    config = {
        "dataset_type": "application/x-parquet",
        "label": "label",
        "label_values_or_threshold": [1],
        "predicted_label": "prediction",
        "facet": [{"name_or_index": name, "value_or_threshold": [1]} for name in work.facets],
        "methods": {stage: {"methods": names} for stage, names in asked.items() if names},
        **({"group_variable": "occupation"} if "CDDL" in work.metrics else {}),
    }
    path = scratch / "analysis_config.json"
    path.write_text(json.dumps(config), encoding="utf-8")
    return [
        str(Path(sys.executable).with_name("monitor-bias")),
        *("--analysis-config", str(path)),
        *("--dataset-source", str(work.path)),
        *("--output-path", str(scratch / "output")),
        *("--output-message-file", str(scratch / "message")),
        # Nobody else draws pages here.
        *("--report", "Disabled"),
    ]


def floor_command(work: Work) -> list[str]:
    """Return the command that merely iterates over the file."""
    return [sys.executable, str(HERE / "floors.py"), "parquet", str(work.path)]


def peer_command(python: Path, work: Work) -> list[str]:
    """Return the command that has smclarify compute the same metrics."""
    script = HERE / "peers" / "smclarify_bias.py"
    return [str(python), str(script), str(work.path), ",".join(work.metrics), ",".join(work.facets)]


def timed(command: Sequence[str], scratch: Path, repeat: int) -> Cost:
    """Return the median cost of a command, in fresh processes that find our modules but peers' libraries."""
    environment = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    if command[0] == sys.executable:
        environment["PYTHONPATH"] = str(ROOT)
    return measure.median(
        [measure.run(command, environment, scratch / "log", LONGEST_SECONDS) for _ in range(repeat)]
    )


# --- what agrees -------------------------------------------------------------------------------------------


def our_values(scratch: Path) -> dict[tuple[str, str], float]:
    """Return the values that the job wrote, by facet and metric."""
    analysis = json.loads((scratch / "output" / "analysis.json").read_text(encoding="utf-8"))
    return {
        (facet, metric["name"]): float(metric["value"])
        for stage in ("pre_training_bias_metrics", "post_training_bias_metrics")
        for facet, groups in analysis.get(stage, {}).get("facets", {}).items()
        for metric in groups[0]["metrics"]
    }


def peer_values(scratch: Path) -> dict[tuple[str, str], float]:
    """Return the values that smclarify printed, by facet and metric."""
    lines = (scratch / "log").read_text(encoding="utf-8").splitlines()
    fields = [line.split() for line in lines if len(line.split()) == 3]
    return {(facet, name): float(value) for facet, name, value in fields}


def largest_difference(scratch: Path) -> float:
    """Return the largest difference between our values and smclarify's, as left in `scratch`."""
    ours, theirs = our_values(scratch), peer_values(scratch)
    if ours.keys() != theirs.keys():
        raise RuntimeError(f"different metrics: {sorted(ours.keys() ^ theirs.keys())}")
    return max(abs(ours[key] - theirs[key]) for key in ours)


def compare(title: str, work: Work, python: Path | None, repeat: int, goal: float) -> None:
    """Print one line: our job beside smclarify."""
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        ours = timed(our_command(work, scratch), scratch, repeat)
        if python is None:
            print(f"| {title} | {ours.wall:.2f} s | smclarify needs Python 3.11 | | |", flush=True)
            return
        theirs = timed(peer_command(python, work), scratch, 1)
        differs = largest_difference(scratch)
    ratio = theirs.wall / ours.wall
    print(
        f"| {title} | {ours.wall:.2f} s | {theirs.wall:.2f} s | {ratio:.1f} times faster (goal {goal:.0f}) | "
        f"values differ by {differs:.1e} |",
        flush=True,
    )


def compare_flip_tests(title: str, work: Work, python: Path, repeat: int) -> None:
    """Print one line: the flip test by itself, data and libraries loaded, in turns."""
    ours_alone = [sys.executable, str(HERE / "flip_alone.py"), str(work.path), work.facets[0]]
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)

        def seconds(command: Sequence[str]) -> float:
            timed(command, scratch, 1)
            lines = (scratch / "log").read_text(encoding="utf-8").splitlines()
            return next(float(line.split()[1]) for line in lines if line.startswith("seconds "))

        rounds = [(seconds(ours_alone), seconds(peer_command(python, work))) for _ in range(repeat)]
    ours, theirs = (statistics.median(times) for times in zip(*rounds, strict=True))
    print(
        f"| {title} | {ours:.2f} s | {theirs:.2f} s | {theirs / ours:.1f} times faster "
        f"(goal {FLIP_GOAL:.0f}) | |",
        flush=True,
    )


def compare_with_reading(work: Work, rows: int, repeat: int) -> None:
    """Print one line: our job beside merely reading the file."""
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        # In turns, so that both meet the machine in the same mood.
        rounds = [
            (timed(our_command(work, scratch), scratch, 1), timed(floor_command(work), scratch, 1))
            for _ in range(repeat)
        ]
    ours, floor = (measure.median(list(costs)) for costs in zip(*rounds, strict=True))
    print(
        f"| {rows:,} rows, {len(work.metrics)} metrics of {len(work.facets)} facets with intervals, beside "
        f"merely reading | {ours.wall:.2f} s | {floor.wall:.2f} s | {ours.wall / floor.wall:.2f} times "
        f"(goal {READ_GOAL:.0f}) | |",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.bias", description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=ROWS, help="rows beside merely reading (%(default)s)")
    parser.add_argument("--peer-rows", type=int, default=PEER_ROWS, help="beside smclarify (%(default)s)")
    parser.add_argument("--flip-rows", type=int, default=FLIP_ROWS, help="of the flip test (%(default)s)")
    parser.add_argument("--repeat", type=int, default=3, help="rounds; medians are shown (%(default)s)")
    parser.add_argument("--data", type=Path, default=ROOT / "bench-data", help="files (%(default)s)")
    options = parser.parse_args()
    python = peer_python(ROOT / ".cache" / "smclarify-venv")
    print("| work | this | other | ratio | |")
    print("|---|---:|---:|---|---|")
    if options.rows:
        path = write_table(options.data / f"bias-{options.rows}.parquet", options.rows, features=False)
        compare_with_reading(Work(path, METRICS, FACETS), options.rows, options.repeat)
    if options.peer_rows:
        rows = options.peer_rows
        path = write_table(options.data / f"bias-{rows}.parquet", rows, features=False)
        title = f"the same, {rows:,} rows, beside smclarify"
        compare(title, Work(path, METRICS, FACETS), python, options.repeat, PEER_GOAL)
    if options.flip_rows:
        rows = options.flip_rows
        path = write_table(options.data / f"flip-{rows}.parquet", rows, features=True)
        flip = Work(path, ("FT",), FACETS[:1])
        title = f"flip test, {rows:,} rows x 14 features, beside smclarify"
        if python is not None:
            compare_flip_tests(f"{title}, data in memory", flip, python, options.repeat)
        compare(f"{title}, whole job", flip, python, options.repeat, FLIP_GOAL)


if __name__ == "__main__":
    main()
