"""Services that capture are ended, and their disks fail: is what was promised there? See `--help`.

`python -m benchmarks.capture_losses --stops 100` ends services by SIGTERM, and as many by SIGKILL, each with
three workers under load, then lets the next writer in the folder complete what they left. SIGTERM may lose
nothing that was answered, SIGKILL what was answered in its last second. A full disk, one that cannot be
written, a clock that is set back by an hour and a store that is down for a minute come after that.
"""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import http.client
import itertools
import json
import os
import random
import select
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest import mock

from benchmarks import uploads

ROOT = Path(__file__).resolve().parents[1]
if str(ROOT / "capture") not in sys.path:
    sys.path.insert(0, str(ROOT / "capture"))
SERVICE = Path(__file__).with_name("capturing_service.py")
WORKERS, CLIENTS = 3, 4
ID_HEADER = "X-Amzn-SageMaker-Inference-Id"
_HEADERS = {"Content-Type": "text/csv"}
_REMOUNT_READ_ONLY, _REMOUNT = 32 | 1, 32


@dataclass
class Losses:
    """What was promised, and what is missing or torn."""

    rounds: int = 0
    promised: int = 0
    files: int = 0
    completed: int = 0
    last_second: int = 0
    longest: float = 0.0
    problems: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        text = (
            f"{self.rounds} services of {WORKERS} workers, {self.promised:,} calls answered, {self.files:,} "
            f"files, {self.completed} of them completed by the next writer"
        )
        if self.last_second:
            text += f"; {self.last_second} calls lost, the oldest {self.longest:.2f} s before the kill"
        return f"{text}: {len(self.problems)} problems" + "".join(f"\n  {one}" for one in self.problems[:20])


def stop_services(
    folder: Path, stops: int, number: signal.Signals, kinds: Sequence[str], packages: str = "", seed: int = 1
) -> Losses:
    """Start services, end each at a random moment, and look at what is in its folder."""
    generator = random.Random(seed)
    losses = Losses()
    for one, kind in zip(range(stops), itertools.cycle(kinds), strict=False):
        place = folder / f"{number.name}-{one}"
        place.mkdir()
        ended_at, promised = stop_service(place, kind, number, generator.uniform(0.05, 1.2), packages)
        losses.completed += len(list(place.rglob("*.open")))
        complete(place)
        # What holds no line yet might be just begun: it is left alone until it is a minute old.
        if empty := [file for file in place.rglob("*.open") if not file.stat().st_size]:
            for file in empty:
                os.utime(file, (0, 0))
            complete(place)
        losses.rounds += 1
        for problem in look(place, promised, losses, number, ended_at):
            losses.problems.append(f"{number.name} {one}, {kind}: {problem}")
    return losses


def stop_service(
    folder: Path, kind: str, number: signal.Signals, after: float, packages: str = ""
) -> tuple[float, list[tuple[float, str]]]:
    """Run one service for a while under load, end all of its processes; return when, and what it answered."""
    output = folder / "output"
    ended, held = os.pipe()  # at its end once the last worker is gone
    paths = filter(None, (str(ROOT / "capture"), packages))
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}
    with output.open("wb") as sink:
        process = subprocess.Popen(
            [sys.executable, str(SERVICE), kind, str(folder), str(WORKERS)],
            stdout=sink,
            stderr=subprocess.DEVNULL,
            env=environment,
            pass_fds=[held],
            start_new_session=True,
        )
    os.close(held)
    answered: list[tuple[float, str]] = []
    is_over = threading.Event()
    clients: list[threading.Thread] = []
    try:
        _wait_until(lambda: output.read_bytes().count(b"port") == WORKERS or process.poll() is not None)
        port = int(output.read_bytes().partition(b"port ")[2].split()[0])
        if kind != "by hand":
            clients = [
                threading.Thread(target=_ask, args=(port, is_over, answered), daemon=True)
                for _ in range(CLIENTS)
            ]
        for client in clients:
            client.start()
        _wait_until(
            lambda: answered or output.read_bytes().count(b"\n") > WORKERS or process.poll() is not None
        )
        time.sleep(after)
        ended_at = time.time()
        os.killpg(process.pid, number)
        if not select.select([ended], (), (), 60)[0]:
            raise TimeoutError(f"workers of {kind} did not end within a minute after {number.name}")
        process.wait()
    finally:
        os.close(ended)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        is_over.set()
        for client in clients:
            client.join()
    lines = [line.split() for line in output.read_text().splitlines(keepends=True) if line[-1] == "\n"]
    output.unlink()
    return ended_at, answered + [(float(at), known) for at, known in lines if at != "port"]


def _wait_until(happened: Callable[[], object]) -> None:
    end = time.monotonic() + 60
    while not happened():
        if time.monotonic() > end:
            raise TimeoutError("the service did not answer within a minute")
        time.sleep(0.005)


def _ask(port: int, is_over: threading.Event, answered: list[tuple[float, str]]) -> None:
    while not is_over.is_set():
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        with contextlib.suppress(OSError, http.client.HTTPException), contextlib.closing(connection):
            while not is_over.is_set():
                connection.request("POST", "/invocations", b"1,2,3\n", _HEADERS)
                answer = connection.getresponse()
                if answer.read() == b"0.5\n":
                    answered.append((time.time(), str(answer.headers[ID_HEADER])))
        time.sleep(0.005)


def complete(folder: Path) -> None:
    """Let a new writer in the folder complete what others left."""
    from model_monitor_capture import CaptureWriter

    writer = CaptureWriter(folder, "churn", disk_share=1.0)
    writer.capture("last", "1")
    writer.close()


def look(
    folder: Path,
    promised: Sequence[tuple[float, str]],
    losses: Losses,
    number: int = signal.SIGTERM,
    ended_at: float = 0.0,
) -> Iterator[str]:
    """Yield what is wrong in a folder."""
    for file in folder.rglob("*.open"):
        yield f"{file.name} was never completed"
    kept: Counter[str] = Counter()
    for file in sorted(folder.rglob("*.jsonl")):
        if file.name.startswith("."):
            continue
        losses.files += 1
        content = file.read_bytes()
        if not content.endswith(b"\n"):
            yield f"{file.name} has half a line at its end, or nothing"
        for line in content.splitlines():
            try:
                record = json.loads(line)
            except ValueError:
                yield f"{file.name} has half a line: {line[:80]!r}"
                continue
            metadata = record["eventMetadata"]
            kept[metadata.get("inferenceId") or metadata["eventId"]] += 1
            day, hour = file.relative_to(folder).parts[2:5], file.parent.name
            if metadata["inferenceTime"][:13] != "-".join(day) + "T" + hour:
                yield f"{file.relative_to(folder)} has a call of {metadata['inferenceTime']}"
    if twice := [known for known, count in kept.items() if count > 1]:
        yield f"{len(twice)} calls are there twice"
    losses.promised += len(promised)
    missing = [at for at, known in promised if known not in kept]
    if number == signal.SIGKILL:
        losses.last_second += sum(at > ended_at - 1.0 for at in missing)
        losses.longest = max([losses.longest, *(ended_at - at for at in missing)])
        missing = [at for at in missing if at <= ended_at - 1.0]
    if not promised:
        yield "nothing was answered"
    if missing:
        yield f"{len(missing)} of {len(promised)} calls are lost"


@contextlib.contextmanager
def small_disk(folder: Path, size: str) -> Iterator[Callable[[int], None]]:
    """Mount a file system of a given size on a folder; yields what mounts it again with other flags."""
    libc = ctypes.CDLL(None, use_errno=True)

    def mount(flags: int) -> None:
        if libc.mount(b"tmpfs", os.fsencode(folder), b"tmpfs", flags, f"size={size}".encode()):
            error = ctypes.get_errno()
            raise OSError(error, os.strerror(error))

    mount(0)
    try:
        yield mount
    finally:
        libc.umount2(os.fsencode(folder), 2)


@dataclass
class Fault:
    """How a disk, a clock or a store failed, and what was seen of it."""

    counts: Mapping[str, int]
    slowest: float
    problems: list[str]

    def __str__(self) -> str:
        counts = ", ".join(f"{count:,} {name}" for name, count in self.counts.items() if count)
        text = f"{counts}; no call took longer than {1000 * self.slowest:.0f} ms"
        return f"{text}: {len(self.problems)} problems" + "".join(
            f"\n  {problem}" for problem in self.problems[:20]
        )


class Capturing:
    """A writer that captures call after call, as quickly as it is told, and remembers what it took."""

    def __init__(self, folder: Path, **options: Any) -> None:
        from model_monitor_capture import CaptureWriter

        self.writer = CaptureWriter(folder, "churn", **options)
        self.taken: list[tuple[float, str]] = []
        self.slowest = 0.0

    def until(self, happened: Callable[[], object], seconds: float = 30.0) -> bool:
        """Capture until something has happened; return whether it has."""
        end = time.monotonic() + seconds
        while not happened():
            if time.monotonic() > end:
                return False
            began = time.perf_counter()
            known = self.writer.capture("1,2,3" * 40, "0.5", request_type="text/csv")
            self.slowest = max(self.slowest, time.perf_counter() - began)
            if known:
                self.taken.append((time.time(), known))
            time.sleep(0.0005)
        return True

    def count(self, name: str) -> int:
        return self.writer.counts[name]

    def verdict(self, folder: Path, problems: list[str], promised: Sequence[tuple[float, str]] = ()) -> Fault:
        """Close, and look; `promised` must be there, and as many calls as are counted."""
        self.writer.close()
        losses = Losses()
        problems += look(folder, promised or [(0.0, known) for _, known in self.taken][:0], losses)
        problems = [one for one in problems if promised or one != "nothing was answered"]
        lines = sum(file.read_bytes().count(b"\n") for file in folder.rglob("*.jsonl"))
        if lines != self.count("captured"):
            problems.append(f"{lines} lines, {self.count('captured')} counted")
        return Fault(self.writer.counts, self.slowest, problems)


def fill_disk(folder: Path, share: float) -> Fault:
    """Capture on a disk until it is full or capture pauses, and on when something else frees room."""
    problems: list[str] = []
    with small_disk(folder, "16m"):
        ballast = folder / "ballast"
        # The writer looks at the disk once a second: there is room for what comes until then.
        ballast.write_bytes(bytes((11 if share < 1.0 else 15) << 20))
        capturing = Capturing(folder, disk_share=share, file_bytes=1 << 18)
        name = "failed" if share == 1.0 else "paused"
        if not capturing.until(lambda: capturing.count(name) > 50):
            problems.append("the disk never was full")
        before = capturing.count("captured")
        ballast.unlink()
        if not capturing.until(lambda: capturing.count("captured") > before + 50):
            problems.append("capture did not go on when there was room again")
        if share < 1.0 and capturing.count("failed"):
            problems.append("the disk was filled, though capture pauses before")
        return capturing.verdict(folder, problems, capturing.taken if share < 1.0 else ())


def forbid_writing(folder: Path) -> Fault:
    """Capture on a disk that cannot be written at first."""
    problems: list[str] = []
    with small_disk(folder, "4m") as mount:
        mount(_REMOUNT_READ_ONLY)
        capturing = Capturing(folder, disk_share=1.0)
        if not capturing.until(lambda: capturing.count("failed") > 50):
            problems.append("the disk was written")
        mount(_REMOUNT)
        if not capturing.until(lambda: capturing.count("captured") > 50):
            problems.append("capture did not go on when the disk could be written again")
        return capturing.verdict(folder, problems)


def set_clock_back(folder: Path) -> Fault:
    """Capture while the clock is set back by an hour, and forward by two."""
    capturing = Capturing(folder, disk_share=1.0, file_bytes=1 << 16)
    right = time.time
    for offset in (0.0, -3600.0, 7200.0, -3600.0):
        with mock.patch.object(time, "time", lambda offset=offset: right() + offset):
            before = capturing.count("captured")
            capturing.until(lambda before=before: capturing.count("captured") > before + 300)
    return capturing.verdict(folder, [], capturing.taken)


def stop_store(folder: Path, seconds: float) -> Fault:
    """Capture with upload to an S3 that is down for a while; everything must be there in the end, once."""
    captures, buckets = folder / "captures", folder / "buckets"
    (buckets / "bucket").mkdir(parents=True)
    problems: list[str] = []
    options = {"disk_share": 1.0, "file_bytes": 1 << 17, "upload": "s3://bucket/live"}
    with contextlib.ExitStack() as stack:
        first = stack.enter_context(contextlib.ExitStack())
        variables = first.enter_context(uploads.serve_s3(buckets))
        stack.enter_context(mock.patch.dict(os.environ, variables))
        capturing = Capturing(captures, **options)
        capturing.until(lambda: len(list(buckets.rglob("*.jsonl"))) >= 2)
        first.close()
        down_at = time.monotonic()
        capturing.until(lambda: time.monotonic() > down_at + seconds, seconds + 30)
        waiting = len([file for file in captures.rglob("*.jsonl") if not file.name.startswith(".")])
        if not waiting:
            problems.append("nothing waited for the store")
        port = int(variables["AWS_ENDPOINT_URL_S3"].rpartition(":")[2])
        stack.enter_context(uploads.serve_s3(buckets, port))
        if not capturing.until(lambda: not _left(captures, down_at), 150):
            problems.append("what waited was not uploaded")
        capturing.writer.close()
        if left := list(captures.rglob("*.jsonl")):
            problems.append(f"{len(left)} files stayed on the disk")
        return capturing.verdict(buckets / "bucket" / "live", problems, capturing.taken)


def _left(captures: Path, down_at: float) -> bool:
    """Return whether a file is left that is older than a few seconds."""
    for file in captures.rglob("*.jsonl"):
        with contextlib.suppress(FileNotFoundError):
            if not file.name.startswith(".") and time.time() - file.stat().st_mtime > 15:
                return True
    return False


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.capture_losses", description=__doc__)
    parser.add_argument("--stops", type=int, default=100, help="services to end by each signal (%(default)s)")
    parser.add_argument("--down", type=float, default=60.0, help="seconds without the store (%(default)s)")
    options = parser.parse_args(arguments)
    from benchmarks.capture import installed_packages

    bad = 0
    kinds = ("by hand", "WSGI", "ASGI")
    for number in (signal.SIGTERM, signal.SIGKILL):
        with tempfile.TemporaryDirectory() as place:
            losses = stop_services(Path(place), options.stops, number, kinds, installed_packages())
        print(f"{number.name}: {losses}", flush=True)
        bad += len(losses.problems)
    faults: dict[str, Callable[[Path], Fault]] = {
        "full disk, pausing at 75 %": lambda folder: fill_disk(folder, 0.75),
        "full disk, never pausing": lambda folder: fill_disk(folder, 1.0),
        "read-only disk": forbid_writing,
        "clock set back": set_clock_back,
        f"store down for {options.down:.0f} s": lambda folder: stop_store(folder, options.down),
    }
    for name, run in faults.items():
        with tempfile.TemporaryDirectory() as place:
            try:
                fault = run(Path(place))
            except PermissionError as error:
                print(f"{name}: not tried, mounting a file system needs rights: {error.strerror}", flush=True)
                continue
        print(f"{name}: {fault}", flush=True)
        bad += len(fault.problems)
    return int(bool(bad))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
