"""Workers as processes of their own, on this machine."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from fixtures import ROOT

SECONDS = 60.0


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


@contextlib.contextmanager
def worker(folder: Path, port: int, index: int = 1, **variables: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run the command as an orchestrator starts a pod that works; its message goes to `folder`/message."""
    folder.mkdir(parents=True, exist_ok=True)
    environment = {
        **{name: value for name, value in os.environ.items() if name != name.lower()},
        "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "tests" / "cluster")]),
        "OMP_NUM_THREADS": "1",
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
    command = [sys.executable, "-m", "containers.data_quality.main"]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, env=environment, stderr=log, cwd=folder)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def wait_until(folder: Path, text: str) -> None:
    """Wait for a worker's log to hold `text`."""
    deadline = time.monotonic() + SECONDS
    while text not in (log := (folder / "log").read_text(encoding="utf-8")):
        assert time.monotonic() < deadline, log
        time.sleep(0.02)
