"""Damage inputs, kill jobs, run them side by side, stop uploads: `python -m benchmarks.fuzz --help`.

Every input goes through a whole job and must end in a result or in exit code 2 with a cause: never in
a traceback, a hang, a crash or a half-written file. Inputs are made from the reader's name and a number
alone, so a finding is repeated with ``--reader NAME --first NUMBER --inputs 1``.
"""

from __future__ import annotations

import argparse
import itertools
import json
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks import faults, fuzz_inputs, kills, side_by_side, uploads

ROOT = Path(__file__).resolve().parents[1]
# A new process now and then, so that what one input leaves behind does not hide what the next one does.
PER_PROCESS = 500
_MEMORY_DISK = Path("/dev/shm")


@dataclass
class Tally:
    """How the inputs of a reader ended."""

    outcomes: Counter[str] = field(default_factory=Counter)
    findings: list[dict[str, Any]] = field(default_factory=list)
    slowest: float = 0.0

    def add(self, verdict: dict[str, Any]) -> None:
        """Count one verdict."""
        self.slowest = max(self.slowest, verdict["seconds"])
        if verdict["problem"]:
            self.findings.append(verdict)
            self.outcomes["findings"] += 1
        else:
            self.outcomes[f"exit code {verdict['exit_code']}"] += 1


def main(arguments: Sequence[str]) -> int:
    """Run what the arguments ask for; return 1 when there is a finding."""
    options = _parse(arguments)
    others = options.kills or options.pairs or options.uploads or options.faults
    readers = options.reader or ([] if others and options.inputs is None else list(fuzz_inputs.READERS))
    inputs = 10_000 if options.inputs is None else options.inputs
    bad = 0
    for reader in readers:
        started = time.monotonic()
        tally = fuzz(reader, options.first, options.first + inputs, options.processes)
        _report(reader, inputs, tally, time.monotonic() - started, options.failures)
        bad += len(tally.findings)
    if options.kills:
        for stop in (signal.SIGKILL, signal.SIGTERM):
            with tempfile.TemporaryDirectory() as folder:
                result = kills.kill_at_random_points(Path(folder), options.kills, columns=500, stop=stop)
            print(f"{stop.name}: {result}", flush=True)
            bad += len(result.problems)
    for kind in side_by_side.COMMANDS if options.pairs else ():
        number = options.pairs * (3 if kind == "merge" else 1)
        with tempfile.TemporaryDirectory() as folder:
            pairs = side_by_side.run_pairs(Path(folder), kind, number)
        print(f"{kind} side by side: {pairs}", flush=True)
        bad += len(pairs.failures) + len(pairs.mixes)
    for fault, kind in itertools.product(faults.FAULTS, side_by_side.COMMANDS) if options.faults else ():
        with tempfile.TemporaryDirectory() as folder:
            found = faults.run_faults(Path(folder), kind, fault, options.faults)
        print(f"{kind}, {fault}: {found}", flush=True)
        bad += len(found.problems)
    for how in uploads.WAYS if options.uploads else ():
        with tempfile.TemporaryDirectory() as folder:
            stops = uploads.stop_at_random_points(Path(folder), options.uploads, uploads.SIZE, how)
        print(f"{how}: {stops}", flush=True)
        bad += len(stops.problems)
    return 1 if bad else 0


def fuzz(reader: str, first: int, stop: int, processes: int) -> Tally:
    """Run cases ``[first, stop)`` of a reader in some processes at a time."""
    tally = Tally()
    ranges = [(start, min(start + PER_PROCESS, stop)) for start in range(first, stop, PER_PROCESS)]
    with ThreadPoolExecutor(processes) as executor:
        for verdicts in executor.map(lambda span: list(_verdicts(reader, *span)), ranges):
            for verdict in verdicts:
                tally.add(verdict)
    return tally


def _verdicts(reader: str, start: int, stop: int) -> Iterator[dict[str, Any]]:
    """Yield a verdict per case; after a crash of the process, go on behind the case that caused it."""
    while start < stop:
        last: dict[str, Any] | None = None
        with tempfile.TemporaryDirectory(dir=_MEMORY_DISK if _MEMORY_DISK.is_dir() else None) as folder:
            command = [sys.executable, "-m", "benchmarks.fuzz_run", reader, str(start), str(stop), folder]
            process = subprocess.Popen(
                command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
            )
            with process:
                for line in process.stdout or ():
                    last = json.loads(line)
                    if "problem" in last:
                        yield last
                error = process.stderr.read() if process.stderr else ""
        if last is None:
            raise RuntimeError(f"the process did not start: {error[-2000:]}")
        start = last["number"] + 1
        if "problem" not in last:
            yield {
                **last,
                "exit_code": None,
                "problem": _crash(process.returncode),
                "message": "",
                "seconds": 0.0,
                "log": error[-3000:],
            }


def _crash(code: int) -> str:
    return f"the process died of signal {-code}" if code < 0 else f"the process ended with code {code}"


def _report(reader: str, inputs: int, tally: Tally, seconds: float, folder: Path) -> None:
    ended = ", ".join(f"{count} {name}" for name, count in sorted(tally.outcomes.items()))
    print(
        f"{reader:12} {inputs} inputs in {seconds:.0f} s, slowest {tally.slowest:.1f} s: {ended}", flush=True
    )
    shown: Counter[str] = Counter()
    for finding in tally.findings:
        kept = folder / f"{reader}-{finding['number']}"
        kept.mkdir(parents=True, exist_ok=True)
        (kept / "verdict.json").write_text(json.dumps(finding, indent=1), encoding="utf-8")
        kind = f"{finding['problem'][:60]} {finding['message'][:60]}"
        shown[kind] += 1
        if shown[kind] <= 3:
            print(f"  {finding['number']}: {finding['problem']} | {finding['message'][:300]}", flush=True)
    if tally.findings:
        print(f"  kept in {folder}; repeat one with --reader {reader} --first NUMBER --inputs 1")


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.fuzz", description=__doc__)
    parser.add_argument("--inputs", type=int, help="per reader (10000)")
    parser.add_argument("--reader", action="append", choices=list(fuzz_inputs.READERS), help="default: all")
    parser.add_argument("--first", type=int, default=0, help="number of the first input (%(default)s)")
    parser.add_argument(
        "--kills",
        type=int,
        default=0,
        help="jobs to kill with SIGKILL, and to stop with SIGTERM, at random points (%(default)s)",
    )
    parser.add_argument(
        "--pairs",
        type=int,
        default=0,
        help="jobs of each command to run side by side, thrice as many merges (%(default)s)",
    )
    parser.add_argument(
        "--uploads", type=int, default=0, help="uploads to S3 to stop in each way (%(default)s)"
    )
    parser.add_argument(
        "--faults", type=int, default=0, help="jobs of each command under each limit (%(default)s)"
    )
    parser.add_argument("--processes", type=int, default=2, help="at a time (%(default)s)")
    parser.add_argument(
        "--failures", type=Path, default=ROOT / ".cache" / "fuzz", help="where findings go (%(default)s)"
    )
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
