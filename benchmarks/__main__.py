"""Measure our command beside the read floor and peers: `python -m benchmarks --help`."""

from __future__ import annotations

import argparse
import os
import shlex
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from benchmarks import measure, peers_environment, report
from benchmarks.contenders import PEERS, SECTIONS, Contender, Dataset, Section, Setup, make_sections

ROOT = Path(__file__).resolve().parents[1]
FULL_ROWS = 10_000_000
SLOW_SECONDS = 60
READ_BYTES = 1 << 20


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--rows", type=int, default=FULL_ROWS, help="rows of the table (%(default)s)")
    parser.add_argument("--capture-rows", type=int, help="capture records (a tenth of the rows)")
    parser.add_argument("--repeat", type=int, default=3, help="rounds; medians are shown (%(default)s)")
    parser.add_argument("--only", type=_names(SECTIONS), default=SECTIONS, help=",".join(SECTIONS))
    parser.add_argument("--peers", type=_names(PEERS), default=PEERS, help=f"{','.join(PEERS)} or none")
    parser.add_argument("--timeout", type=float, default=1800, help="seconds one run may take (%(default)s)")
    parser.add_argument(
        "--data", type=Path, default=ROOT / "bench-data", help="generated files (%(default)s)"
    )
    parser.add_argument("--write", type=Path, help="also write the figures to this Markdown file")
    options = parser.parse_args(arguments)
    options.capture_rows = options.capture_rows or max(1, options.rows // 10)
    return options


def _names(known: tuple[str, ...]) -> Callable[[str], tuple[str, ...]]:
    def read(text: str) -> tuple[str, ...]:
        names = tuple(name for name in text.split(",") if name and name != "none")
        if unknown := set(names) - set(known):
            raise argparse.ArgumentTypeError(f"{', '.join(sorted(unknown))}: choose from {', '.join(known)}")
        return names

    return read


def main(arguments: Sequence[str]) -> int:
    options = parse(arguments)
    peers = tuple(peer for peer in options.peers if peer != "pyspark" or peers_environment.has_java())
    if peers != options.peers:
        _say("pyspark is left out: it needs Java (Debian: apt-get install default-jre-headless)")
    peers_python = peers_environment.prepare(ROOT / ".cache" / "bench-venv") if peers else Path()
    if options.rows < FULL_ROWS:
        _say(f"The goals are meant for {FULL_ROWS:,} rows; starting processes weighs more in smaller runs")
    tables, complete = [], True
    with tempfile.TemporaryDirectory() as scratch:
        setup = Setup(options.data, Path(scratch), peers_python, peers)
        for section in make_sections(options.only, options.rows, options.capture_rows, setup):
            results = run_section(section, options.repeat, options.timeout, setup)
            complete = complete and bool(results[0].costs)
            tables.append(report.section_table(section, results))
            print(tables[-1], flush=True)
    versions = report.versions_table(peers)
    print(versions)
    if options.write:
        command = shlex.join(["python", "-m", "benchmarks", *arguments])
        options.write.write_text(report.document(command, versions, tables), encoding="utf-8")
    return 0 if complete else 1


def run_section(section: Section, repeat: int, timeout: float, setup: Setup) -> list[report.Result]:
    """Run the contenders in turn, `repeat` times; those that take over a minute once."""
    for dataset in {contender.dataset for contender in section.contenders}:
        make_dataset(dataset, setup.data)
    costs: dict[str, list[measure.Cost]] = {contender.name: [] for contender in section.contenders}
    failures: dict[str, str] = {}
    for number in range(repeat):
        for contender in section.contenders:
            done = costs[contender.name]
            if contender.name in failures or (done and done[0].wall > SLOW_SECONDS):
                continue
            try:
                done.append(run_contender(contender, timeout, setup))
            except measure.RunFailedError as error:
                failures[contender.name] = str(error).partition(";")[0]
                _say(f"{section.title}: {contender.name} failed: {error}")
                continue
            _say(f"{section.title}, round {number + 1}: {contender.name} {done[-1].wall:.2f} s")
    return [
        report.Result(contender, tuple(costs[contender.name]), failures.get(contender.name, ""))
        for contender in section.contenders
    ]


def run_contender(contender: Contender, timeout: float, setup: Setup) -> measure.Cost:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return measure.run(contender.command, environment, setup.scratch / "log", timeout)


def make_dataset(dataset: Dataset, folder: Path) -> None:
    """Generate a dataset that is not there yet, and have the system keep its files in memory."""
    path = dataset.path(folder)
    if not path.exists():
        _say(f"Generating {path}")
        # In a process of its own: this one must stay small, see `benchmarks.measure`.
        command = [sys.executable, "-m", "benchmarks.generate", dataset.kind, str(path), str(dataset.rows)]
        subprocess.run(command, check=True, cwd=ROOT)
    for file in path.rglob("*") if path.is_dir() else [path]:
        if file.is_file():
            with file.open("rb") as stream:
                while stream.read(READ_BYTES):
                    pass


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    # Stopped from outside, the contender that runs is stopped too: it has a session of its own.
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    sys.exit(main(sys.argv[1:]))
