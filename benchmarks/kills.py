"""Killing jobs at random points: none leaves a half-written file, and a job about many windows goes on."""

from __future__ import annotations

import json
import random
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.same_bytes import content_of, difference
from reporting.history.folder import read_runs

ROOT = Path(__file__).resolve().parents[1]
DOCUMENTS = ("statistics.json", "constraints.json", "report.html")
LEFTOVER = re.compile(r"\.[\w.-]+\.[0-9a-f]{8}-[0-9a-f]{16}\.partial|\.writing\.lock")


@dataclass
class Kills:
    """What was seen after the kills: when they hit, and what was wrong."""

    points: Counter[str] = field(default_factory=Counter)
    leftovers: int = 0
    compared: int = 0
    problems: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        hits = ", ".join(f"{count} {point}" for point, count in sorted(self.points.items()))
        of = f", {self.compared:,} files compared" if self.compared else ""
        text = f"{self.points.total()} kills ({hits}), {self.leftovers} hidden partial files left{of}"
        return f"{text}: {len(self.problems)} problems" + "".join(
            f"\n  {problem}" for problem in self.problems
        )


def write_wide_table(path: Path, columns: int, rows: int = 40) -> Path:
    """Write a CSV file whose documents take a while to write."""
    names = ",".join(f"column_{number}" for number in range(columns))
    lines = [",".join(str(row * number % 97 / 7) for number in range(columns)) for row in range(rows)]
    path.write_text("\n".join([names, *lines]) + "\n")
    return path


def command(source: Path, output: Path, message: Path) -> list[str]:
    """Return the command line of a baseline job."""
    return [
        *(str(Path(sys.executable).with_name("monitor-data-quality")), "--log-level", "ERROR"),
        *("--dataset-source", str(source), "--dataset-format", '{"csv":{"header":true}}'),
        *("--output-path", str(output), "--output-message-file", str(message)),
    ]


def kill_at_random_points(
    folder: Path, kills: int, columns: int, *, stop: signal.Signals = signal.SIGKILL, seed: int = 1
) -> Kills:
    """Start `kills` jobs with one output folder, kill each, and look at what it left.

    Half of the kills fall anywhere in the time a job takes, half into the moments in which it writes.
    A last job runs undisturbed: it must complete and clear up what the others left. After SIGTERM there is
    nothing to clear up.
    """
    generator = random.Random(seed)
    output = folder / "output"
    run = command(write_wide_table(folder / "wide.csv", columns), output, folder / "message")
    started = time.monotonic()
    subprocess.run(run, cwd=ROOT, check=True)
    duration = time.monotonic() - started
    result = Kills()
    for number in range(kills):
        while_writing = number % 2 == 1
        before = _state(output)
        process = subprocess.Popen(run, cwd=ROOT, stderr=subprocess.DEVNULL)
        if while_writing:
            _wait_for_partial(process, output, before[1])
            time.sleep(generator.uniform(0, 0.02 * duration))
        else:
            time.sleep(generator.uniform(0, 1.05 * duration))
        ended = process.poll() is not None
        process.send_signal(stop)
        process.wait()
        after = _state(output)
        point = "after the end" if ended else "while writing" if while_writing or after[1] else "before"
        result.points[point] += 1
        result.leftovers += len(after[1] - before[1])
        if stop == signal.SIGTERM and after[1]:
            result.problems.append(f"kill {number}: {min(after[1])} was left behind")
        result.problems += [f"kill {number}: {problem}" for problem in inspect(output)]
    subprocess.run(run, cwd=ROOT, check=True)
    if left := sorted(_state(output)[1]):
        result.problems.append(f"the next job left {', '.join(left)}")
    return result


def kill_and_go_on(run: Sequence[str], folder: Path, kills: int, *, seed: int = 1) -> Kills:
    """Kill a job about many windows again and again, and compare what it left with one that never was.

    Parameters
    ----------
    run
        Its command line; it writes to ``folder/job/output`` and ``folder/job/history``.
    kills
        Each falls at a random time after a random window is done, or before. One more run ends the job.
    """
    generator, work, result = random.Random(seed), folder / "job", Kills()
    started = time.monotonic()
    _run_to_its_end(run, work)
    duration = time.monotonic() - started
    work.rename(folder / "whole")
    windows = _windows_in(folder / "whole")
    # By windows and not by the clock, so that kills fall everywhere, whatever else the machine does.
    places = sorted(generator.randrange(windows) for _ in range(kills))
    for number, place in enumerate(places):
        work.mkdir(exist_ok=True)
        process = subprocess.Popen(run, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        while process.poll() is None and _windows_in(work) < place:
            time.sleep(0.02)
        time.sleep(generator.uniform(0, 2.0 * duration / windows))
        ended = process.poll() is not None
        process.kill()
        process.wait()
        done = _windows_in(work)
        result.points["after the end" if ended else "while it ran"] += 1
        half = [path for path in work.rglob(".*") if LEFTOVER.fullmatch(path.name)]
        result.leftovers += len(half)
        print(f"kill {number + 1}: {done:,} of {windows:,} windows, {len(half)} hidden files", flush=True)
    _run_to_its_end(run, work)
    sides = [_files_of_windows(folder / name) for name in ("whole", "job")]
    result.problems += difference(*sides)
    result.compared = len(sides[0])
    return result


def _run_to_its_end(run: Sequence[str], work: Path) -> None:
    work.mkdir(exist_ok=True)
    with (work / "log").open("wb") as log:
        subprocess.run(run, cwd=ROOT, stdout=log, stderr=log, check=True)


def _windows_in(work: Path) -> int:
    return sum(1 for _ in (work / "output").glob("*/report.html"))


def _files_of_windows(work: Path) -> dict[str, bytes]:
    """Return what is left of a job by path, as `same_bytes` compares it.

    Names of runs are random, so records and statistics in the history are named by the window they are about.
    """
    history, named = work / "history", {}
    times: Counter[str] = Counter()
    for run in read_runs(str(history)):
        window = run.window[0].isoformat() if run.window else ""
        times[window] += 1
        again = f", {times[window]}" if times[window] > 1 else ""
        named[f"runs/{run.run}.jsonl.gz"] = f"record of {window}{again}"
        named[run.statistics or ""] = f"statistics of {window}{again}"
    found = {}
    for path in sorted(work.rglob("*")):
        if path.is_file() and not LEFTOVER.fullmatch(path.name) and path.name not in ("log", "message"):
            name = str(path.relative_to(work))
            found[named.get(name.removeprefix("history/"), name)] = content_of(path)
    return found


def inspect(output: Path) -> list[str]:
    """Return what is wrong with an output folder after a kill."""
    problems = []
    for file in sorted(output.iterdir()):
        if LEFTOVER.fullmatch(file.name):
            continue
        if file.name not in DOCUMENTS:
            problems.append(f"{file.name} should not be there")
            continue
        if file.suffix == ".html":
            if not file.read_bytes().rstrip().endswith(b"</html>"):
                problems.append(f"{file.name} is half written")
            continue
        try:
            json.loads(file.read_bytes())
        except ValueError as error:
            problems.append(f"{file.name} is half written: {error}")
    return problems


def _state(output: Path) -> tuple[set[str], set[str]]:
    names = {file.name for file in output.iterdir()}
    return {name for name in names if name in DOCUMENTS}, {name for name in names if LEFTOVER.fullmatch(name)}


def _wait_for_partial(process: subprocess.Popen[bytes], output: Path, earlier: set[str]) -> None:
    while process.poll() is None and _state(output)[1] <= earlier:
        time.sleep(0.0005)
