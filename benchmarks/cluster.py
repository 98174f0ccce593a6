"""Hosts side by side: four workers against one on a large table, and what a cluster costs a small job.

Every host is a fresh process on this machine, with one split at a time; they find each other as pods of a
Kubernetes Indexed Job do. Times are those of the leader, from start to end, forming the cluster included.

    python -m benchmarks.cluster [--rows N] [--hosts N] [--small-rows N] [--repeat N]
"""

from __future__ import annotations

import argparse
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.__main__ import ROOT, make_dataset
from benchmarks.contenders import Dataset
from benchmarks.report import markdown_table

ROWS = 30_000_000
SMALL_ROWS = 1_000
DOCUMENTS = ("constraints.json", "statistics.json")


@dataclass(frozen=True)
class Run:
    """How a job went: seconds until the leader was done, and until the last host was."""

    leader: float
    all_hosts: float
    documents: tuple[bytes, ...]


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.cluster", description=__doc__)
    parser.add_argument("--rows", type=int, default=ROWS, help="rows of the large table (%(default)s)")
    parser.add_argument("--hosts", type=int, default=4, help="hosts of the large job (%(default)s)")
    parser.add_argument("--small-rows", type=int, default=SMALL_ROWS, help="of the small job (%(default)s)")
    parser.add_argument("--repeat", type=int, default=3, help="rounds; medians are shown (%(default)s)")
    parser.add_argument(
        "--data", type=Path, default=ROOT / "bench-data", help="generated files (%(default)s)"
    )
    return parser.parse_args(arguments)


def main(arguments: Sequence[str]) -> int:
    options = parse(arguments)
    large, small = Dataset("parquet", options.rows), Dataset("parquet", options.small_rows)
    for dataset in (large, small):
        make_dataset(dataset, options.data)
    compare_sizes(large.path(options.data), options)
    measure_overhead(small.path(options.data), options)
    return 0


def compare_sizes(table: Path, options: argparse.Namespace) -> None:
    """Print one host against several, on a table that is large."""
    alone, together = _rounds(table, options, options.hosts)
    speedup = alone / together
    cores = len(os.sched_getaffinity(0))
    usable = min(options.hosts, cores)
    rows = [
        ("1 host, no cluster", f"{alone:.2f} s", ""),
        (f"{options.hosts} hosts, one cluster", f"{together:.2f} s", f"{speedup:.2f} times as fast"),
    ]
    print(f"### {options.rows:,} rows, Parquet, one split per host at a time\n")
    print(markdown_table(("what", "time", "speed"), rows))
    print(
        f"\nParallel efficiency: {speedup / usable:.0%} of the {usable} processors that the hosts can use "
        f"here ({cores} in all), {speedup / options.hosts:.0%} of {options.hosts}.\n"
    )


def measure_overhead(table: Path, options: argparse.Namespace) -> None:
    """Print what two hosts cost a job that one would do at once."""
    alone, together = _rounds(table, options, 2)
    rows = [
        ("1 host, no cluster", f"{alone:.2f} s"),
        ("2 hosts, one cluster", f"{together:.2f} s"),
        ("overhead", f"{together - alone:.2f} s (goal: under 3 s)"),
    ]
    print(f"### {options.small_rows:,} rows: what a cluster costs a small job\n")
    print(markdown_table(("what", "time"), rows) + "\n")


def _rounds(table: Path, options: argparse.Namespace, hosts: int) -> tuple[float, float]:
    """Return the median seconds of one host and of several, which must agree byte by byte."""
    alone: list[float] = []
    together: list[float] = []
    for number in range(options.repeat):
        with tempfile.TemporaryDirectory() as scratch:
            one = run(table, 1, Path(scratch) / "one")
            several = run(table, hosts, Path(scratch) / "several")
        if one.documents != several.documents:
            raise SystemExit(f"{hosts} hosts decided otherwise than one on {table}")
        alone.append(one.leader)
        together.append(several.leader)
        print(
            f"round {number + 1}: 1 host {one.leader:.2f} s, {hosts} hosts {several.leader:.2f} s "
            f"(all gone after {several.all_hosts:.2f} s)",
            file=sys.stderr,
            flush=True,
        )
    return statistics.median(alone), statistics.median(together)


def run(table: Path, hosts: int, folder: Path) -> Run:
    """Run a baseline job on one host or several; return what it took and gave."""
    folder.mkdir(parents=True)
    port = _free_port()
    started = time.perf_counter()
    processes = [_start(table, index, hosts, port, folder) for index in range(hosts)]
    try:
        codes = [processes[0].wait()]
        leader = time.perf_counter() - started
        codes += [process.wait() for process in processes[1:]]
        all_hosts = time.perf_counter() - started
    finally:
        for process in processes:
            process.kill()
            process.wait()
    if any(codes):
        raise SystemExit("\n".join((folder / f"log-{index}").read_text() for index in range(hosts)))
    documents = tuple((folder / "output-0" / name).read_bytes() for name in DOCUMENTS)
    return Run(leader, all_hosts, documents)


def _start(table: Path, index: int, hosts: int, port: int, folder: Path) -> subprocess.Popen[bytes]:
    variables = {
        "dataset_source": str(table),
        "dataset_format": '{"parquet":{}}',
        "output_path": str(folder / f"output-{index}"),
        "output_message_file": str(folder / f"message-{index}"),
        "workers": "1",
    }
    if hosts > 1:
        variables |= {
            "JOB_COMPLETION_INDEX": str(index),
            "cluster_leader_address": f"127.0.0.1:{port}",
            "cluster_size": str(hosts),
        }
    command = [str(Path(sys.executable).with_name("monitor-data-quality"))]
    with (folder / f"log-{index}").open("wb") as log:
        return subprocess.Popen(
            command, env={**os.environ, "PYTHONPATH": str(ROOT), **variables}, stderr=log, cwd=ROOT
        )


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
