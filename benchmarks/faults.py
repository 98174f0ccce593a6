"""Every kind of job under limits that it runs into: files, room, memory, the log.

A job must end with a result, or with exit code 2 (1 where memory is short) and a sentence: never with a
traceback, a crash, a hang or half a file. `python -m benchmarks.fuzz --faults 20` runs all kinds.
"""

from __future__ import annotations

import json
import os
import random
import resource
import signal
import subprocess
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.kills import LEFTOVER
from benchmarks.side_by_side import COMMANDS, ROOT, make_inputs, write_model

_SECONDS = 120
# A job without memory ends with 1; the loader and the C library may give up before it can say so.
_OUT_OF_MEMORY = (1, 127, -signal.SIGABRT)


def _limited(kind: int, low: int, high: int) -> Callable[[random.Random], Callable[[], None]]:
    def draw(generator: random.Random) -> Callable[[], None]:
        limit = generator.randint(low, high)
        return lambda: resource.setrlimit(kind, (limit, limit))

    return draw


# What is done in the process of a job before it begins.
FAULTS: dict[str, Callable[[random.Random], Callable[[], None]]] = {
    "few open files": _limited(resource.RLIMIT_NOFILE, 12, 40),
    "little room": _limited(resource.RLIMIT_FSIZE, 0, 60_000),
    "little memory": _limited(resource.RLIMIT_AS, 250 << 20, 900 << 20),
    "no place for the log": lambda generator: lambda: os.close(2),
}


@dataclass
class Faults:
    """How the jobs of a kind ended, and what was wrong."""

    ended: Counter[str] = field(default_factory=Counter)
    problems: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        ended = ", ".join(f"{count} {how}" for how, count in sorted(self.ended.items()))
        text = f"{self.ended.total()} jobs ({ended}): {len(self.problems)} problems"
        return text + "".join(f"\n  {problem[:600]}" for problem in self.problems[:5])


def run_faults(folder: Path, kind: str, fault: str, number: int) -> Faults:
    """Run `number` jobs of a kind, a fault in each."""
    make_inputs(folder)
    if kind == "attribution":
        write_model(folder)
    generator = random.Random(f"{kind} {fault}")
    result = Faults()
    for position in range(number):
        output = folder / f"output{position}"
        run = COMMANDS[kind](folder, "a", output)
        (folder / "a-message").unlink(missing_ok=True)
        prepare = FAULTS[fault](generator)
        try:
            done = subprocess.run(
                run, cwd=ROOT, capture_output=True, timeout=_SECONDS, preexec_fn=prepare, check=False
            )
        except subprocess.TimeoutExpired:
            result.problems.append(f"{position}: no end")
            continue
        result.ended[f"exit code {done.returncode}"] += 1
        message = folder / "a-message"
        said = message.read_text() if message.exists() else ""
        problem = _judge(done.returncode, said, done.stderr.decode(errors="replace"), output)
        if problem:
            result.problems.append(f"{position}: {problem} | {said} | {done.stderr[-300:]!r}")
    return result


def _judge(code: int, message: str, log: str, output: Path) -> str:
    if code not in (0, 2) and not (code in _OUT_OF_MEMORY and "memory" in (message + log).lower()):
        return f"exit code {code}"
    # Before the settings are read there is no one to say it: Python itself lacks files or memory.
    if "Traceback" in log and "contract/settings.py" in log:
        return "a traceback"
    if "please report" in message:
        return "an internal error"
    for file in output.rglob("*"):
        if not file.is_file():
            continue
        content = file.read_bytes()
        if LEFTOVER.fullmatch(file.name):
            if code == 0:
                return f"{file.name} was left"
        elif not _is_whole(file.suffix, content):
            return f"{file.name} is half written"
    return ""


def _is_whole(suffix: str, content: bytes) -> bool:
    if suffix == ".html":
        return content.rstrip().endswith(b"</html>")
    try:
        return suffix != ".json" or bool(json.loads(content))
    except ValueError:
        return False
