"""Workers as processes of their own, on this machine."""

from __future__ import annotations

import contextlib
import os
import socket
import time
from collections.abc import Iterator
from multiprocessing.process import BaseProcess
from pathlib import Path

from forked import start

from containers.data_quality.main import main as monitor_data_quality

SECONDS = 60.0


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


@contextlib.contextmanager
def worker(folder: Path, port: int, index: int = 1, **variables: str) -> Iterator[BaseProcess]:
    """Run the command as an orchestrator starts a pod that works; its message goes to `folder`/message."""
    folder.mkdir(parents=True, exist_ok=True)
    environment = {
        **{name: value for name, value in os.environ.items() if name != name.lower()},
        "JOB_COMPLETION_INDEX": str(index),
        "cluster_leader_address": f"127.0.0.1:{port}",
        "cluster_wait": str(SECONDS),
        "dataset_source": "/nowhere",
        "dataset_format": '{"csv":{}}',
        "output_path": str(folder / "output"),
        "output_message_file": str(folder / "message"),
        "workers": "1",
        **variables,
    }
    process = start(monitor_data_quality, folder / "log", environment, folder)
    try:
        yield process
    finally:
        process.kill()
        process.join()


def exit_code(process: BaseProcess) -> int | None:
    """Wait for a worker to end; return how."""
    process.join(SECONDS)
    return process.exitcode


def wait_until(folder: Path, text: str) -> None:
    """Wait for a worker's log to hold `text`."""
    deadline = time.monotonic() + SECONDS
    while text not in (log := (folder / "log").read_text(encoding="utf-8")):
        assert time.monotonic() < deadline, log
        time.sleep(0.02)
