"""Runs a command once per stretch of time, after the services it waits for: a scheduler for Docker Compose.

Each service of compose.yaml runs one of these. They agree through a folder: a service leaves the exit code of
its command in ``TURNS/<number of the stretch>/<name>``, and whoever comes after it waits for that file.
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

VIOLATIONS = 3
# Turns that are over for longer than this are forgotten.
TURNS_KEPT = 48


def main() -> int:
    """Take a turn per stretch, for ever; with ONCE, the turn of that name, now, and return its exit code."""
    given = _arguments()
    # As the first process of a container, this one would otherwise be deaf to `docker stop`.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    turns = Path(os.environ.get("TURNS", "/turns"))
    every = int(os.environ.get("EVERY_SECONDS", "3600"))
    late = int(os.environ.get("LATE_SECONDS", "1200"))
    if once := os.environ.get("ONCE"):
        return take_turn(given, turns / once, every)
    while True:
        time.sleep(every - (time.time() - late) % every)
        turn = int((time.time() - late) // every)
        take_turn(given, turns / str(turn), every)
        forget(turns, turn)


def take_turn(given: argparse.Namespace, folder: Path, patience: float) -> int:
    """Wait for the services before, run the command if they allow it, leave its exit code; return it."""
    folder.mkdir(parents=True, exist_ok=True)
    before = [wait_for(folder / name, patience) for name in given.after]
    failed = [
        (name, code) for name, code in zip(given.after, before, strict=True) if code not in (0, VIOLATIONS)
    ]
    if failed:
        reasons = ", ".join(f"{name} ended with {code}" for name, code in failed)
        say(given.name, f"left out, because {reasons}")
        exit_code = failed[0][1]
    elif given.on_violations and VIOLATIONS not in before:
        say(given.name, "nothing to do: no violations")
        exit_code = 0
    else:
        exit_code = subprocess.run(given.command, check=False).returncode  # noqa: S603 - the operator's own command
    # Renamed into place, so that nobody reads half of it.
    written = folder / f".{given.name}"
    written.write_text(str(exit_code), encoding="ascii")
    written.rename(folder / given.name)
    return exit_code


def wait_for(file: Path, seconds: float) -> int:
    """Return the exit code that a service left, 124 when it left none in time."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if file.exists():
            return int(file.read_text(encoding="ascii"))
        time.sleep(0.2)
    return 124


def forget(turns: Path, turn: int) -> None:
    """Remove what turns long over have left."""
    for folder in turns.iterdir():
        if folder.name.isdecimal() and int(folder.name) < turn - TURNS_KEPT:
            shutil.rmtree(folder, ignore_errors=True)


def say(name: str, text: str) -> None:
    """Log a line."""
    sys.stderr.write(f"{name}: {text}\n")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="turn.py", description=__doc__)
    parser.add_argument("name", help="of this service")
    parser.add_argument("--after", action="append", default=[], metavar="NAME", help="a service to wait for")
    parser.add_argument("--on-violations", action="store_true", help="only when one of them found violations")
    parser.add_argument("command", nargs="+", help="after --: what to run")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
