"""Run a command as a fresh process and say what it cost: wall time, processor time, peak memory.

Everything is taken from the operating system. Processes that outlive the one that started them (the Java
machine of pyspark) are adopted and counted too. Whoever measures must be a small process: until a child has
started its own program, Linux counts its parent's memory as the child's peak. So nothing large is imported.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import resource
import signal
import statistics
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

SAMPLING_SECONDS = 0.05
KEEP_LAST_BYTES = 2_000
PR_SET_CHILD_SUBREAPER = 36
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True)
class Cost:
    """What one run cost.

    `wall` and `processor` are seconds; `peak` is bytes of resident memory: of the one process, or, when
    there were several, the largest sum seen at one moment.
    """

    wall: float
    processor: float
    peak: int


class RunFailedError(Exception):
    """A contender did not finish; the text says why."""


def run(command: Sequence[str], environment: Mapping[str, str], log: Path, timeout: float) -> Cost:
    """Run `command` to its end, output to `log`.

    Raises
    ------
    RunFailedError
        When it ends with another code than 0, or not within `timeout` seconds.
    """
    _adopt_orphans()
    # Code is compiled once, as in the images, and not at each start.
    environment = {name: value for name, value in environment.items() if name != "PYTHONDONTWRITEBYTECODE"}
    with log.open("wb") as output:
        started = time.perf_counter()
        process = subprocess.Popen(
            command,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        timer = threading.Timer(timeout, _kill_group, [process.pid])
        timer.start()
        try:
            with _memory_sampled(process.pid) as largest_sum:
                _, status, usage = os.wait4(process.pid, 0)
                wall = time.perf_counter() - started
        except BaseException:
            _kill_group(process.pid)
            raise
        finally:
            timer.cancel()
        process.returncode = os.waitstatus_to_exitcode(status)
    usages = [usage, *_reap_group(process.pid)]
    if process.returncode != 0:
        reason = f"not finished after {timeout:g} s" if wall > timeout else f"exit code {process.returncode}"
        raise RunFailedError(f"{reason}; the end of its output:\n{_tail(log)}")
    # The kernel's own peak is exact for one process; the samples add what ran beside it.
    peak = max(largest_sum[0], *(usage.ru_maxrss * 1024 for usage in usages))
    return Cost(wall, sum(usage.ru_utime + usage.ru_stime for usage in usages), peak)


def median(costs: Sequence[Cost]) -> Cost:
    """Return the medians of wall and processor time and the largest peak."""
    return Cost(
        statistics.median(cost.wall for cost in costs),
        statistics.median(cost.processor for cost in costs),
        max(cost.peak for cost in costs),
    )


def _adopt_orphans() -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_CHILD_SUBREAPER) failed")


def _reap_group(group: int) -> Iterator[resource.struct_rusage]:
    """Wait for adopted members of the process group and yield what each used."""
    while True:
        try:
            yield os.wait4(-group, 0)[2]
        except ChildProcessError:
            return


def _kill_group(group: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(group, signal.SIGKILL)


@contextlib.contextmanager
def _memory_sampled(root: int) -> Iterator[list[int]]:
    """Watch the resident memory of `root` and its descendants; the list holds the largest sum seen."""
    largest = [0]
    done = threading.Event()

    def sample() -> None:
        while not done.wait(SAMPLING_SECONDS):
            largest[0] = max(largest[0], sum(_resident_bytes(process) for process in _tree(root)))

    sampler = threading.Thread(target=sample, daemon=True)
    sampler.start()
    try:
        yield largest
    finally:
        done.set()
        sampler.join()


def _tree(root: int) -> Iterator[int]:
    yield root
    with contextlib.suppress(OSError):  # a process or thread that ended meanwhile
        for thread in os.listdir(f"/proc/{root}/task"):  # noqa: PTH208 - several times faster than pathlib
            for child in _read(f"/proc/{root}/task/{thread}/children").split():
                yield from _tree(int(child))


def _resident_bytes(process: int) -> int:
    fields = _read(f"/proc/{process}/statm").split()
    return int(fields[1]) * PAGE_BYTES if fields else 0


def _read(path: str) -> bytes:
    try:
        with open(path, "rb", buffering=0) as file:  # noqa: PTH123 - several times faster than pathlib
            return file.read()
    except OSError:
        return b""


def _tail(log: Path) -> str:
    return log.read_bytes()[-KEEP_LAST_BYTES:].decode("utf-8", errors="replace").strip()
