"""Uploads to S3 that are stopped at random points: no object may appear that is not whole.

The server is rclone's, on this machine. `python -m benchmarks.fuzz --uploads 50` stops uploads of 300 MB.
"""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SIZE = 300 << 20
WAYS = ("SIGTERM", "SIGKILL", "read", "lack")
KEYS = ("monitor-access-key", "monitor-secret-key")
# One object larger than a part, one smaller than any; from a file, as merged captures, or from memory.
_UPLOAD = """
import os, signal, sys
from pathlib import Path
from file_storage import storage

class Stopped(BaseException): pass

def stop(number, frame): raise Stopped

signal.signal(signal.SIGTERM, stop)
source, failing = Path(sys.argv[1]), sys.argv[2]
content = source.read_bytes() if failing == "memory" else source
if failing in ("read", "lack"):
    import io
    left = [float(sys.argv[3])]

    class Failing(io.FileIO):
        def readinto(self, buffer):
            left[0] -= len(buffer)
            if left[0] < 0:
                raise OSError(5, "Input/output error") if failing == "read" else MemoryError
            return super().readinto(buffer)

    opened = Path.open
    Path.open = lambda path, mode="r", *more, **named: (
        Failing(path) if path == source else opened(path, mode, *more, **named)
    )
print("ready", flush=True)
try:
    storage.write_files_atomically("s3://bucket/out", {"large": content, "small": b"x" * 1000})
except Stopped:
    os._exit(143)
"""


@dataclass
class Stops:
    """What was seen after the uploads: how they ended, and what was wrong."""

    ends: Counter[str] = field(default_factory=Counter)
    problems: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        ends = ", ".join(f"{count} {end}" for end, count in sorted(self.ends.items()))
        text = f"{self.ends.total()} uploads ({ends}): {len(self.problems)} problems"
        return text + "".join(f"\n  {problem}" for problem in self.problems)


@contextlib.contextmanager
def serve_s3(folder: Path, port: int = 0) -> Iterator[dict[str, str]]:
    """Serve the buckets in `folder`, at a port if given; yield the variables by which jobs find them."""
    program = shutil.which("rclone", path=str(Path(sys.executable).parent)) or shutil.which("rclone")
    if program is None:
        raise FileNotFoundError("rclone is not installed (it is among the development dependencies)")
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind(("127.0.0.1", port))
        port = probe.getsockname()[1]
    command = [program, "serve", "s3", "--addr", f"127.0.0.1:{port}", "--auth-key", ",".join(KEYS)]
    # Files change behind the server's back, so it must not remember them; with no time at all, though, it
    # forgets folders while it makes them, and starts over for ever.
    command += ["--config", "/dev/null", "--vfs-cache-mode", "off", "--dir-cache-time", "100us", str(folder)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        _wait_for(port, process)
        yield {
            "AWS_ENDPOINT_URL_S3": f"http://127.0.0.1:{port}",
            "AWS_ACCESS_KEY_ID": KEYS[0],
            "AWS_SECRET_ACCESS_KEY": KEYS[1],
            "AWS_REGION": "us-east-1",
            "AWS_EC2_METADATA_DISABLED": "true",
        }
    finally:
        process.terminate()
        process.wait()


def _wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    for _ in range(200):
        if process.poll() is not None:
            raise OSError("rclone cannot serve on this machine")
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise OSError("rclone did not start to serve")


def stop_at_random_points(folder: Path, stops: int, size: int, how: str, *, seed: int = 1) -> Stops:
    """Stop `stops` uploads of `size` bytes, and look at what is there.

    Parameters
    ----------
    how
        ``SIGTERM``, ``SIGKILL``, ``read`` (a read fails), ``lack`` (of memory in the copy).
    """
    generator = random.Random(seed)
    source = folder / "source"
    source.write_bytes(generator.randbytes(1 << 20) * (size >> 20))
    bucket = folder / "buckets" / "bucket"
    bucket.mkdir(parents=True)
    result = Stops()
    with serve_s3(bucket.parent) as variables:
        longest = 0.0
        for number in range(-1, stops):  # the first is not stopped
            shutil.rmtree(bucket / "out", ignore_errors=True)
            kind = how if number >= 0 and how in ("read", "lack") else ("memory" if number % 2 else "file")
            command = [sys.executable, "-c", _UPLOAD, str(source), kind, str(generator.uniform(0, size))]
            process = subprocess.Popen(
                command, cwd=ROOT, env=os.environ | variables, stdout=subprocess.PIPE, stderr=subprocess.PIPE
            )
            assert process.stdout is not None
            process.stdout.readline()
            started = time.monotonic()
            if number >= 0 and how.startswith("SIG"):
                time.sleep(generator.uniform(0, longest))
                process.send_signal(signal.Signals[how])
            process.communicate()
            if number < 0:
                longest = 1.1 * (time.monotonic() - started)
            result.problems += [f"{how} {number}: {problem}" for problem in _inspect(bucket, source)]
            is_there = (bucket / "out" / "large").exists()
            if number < 0 and not is_there:
                result.problems.append("an upload that nobody stops fails")
            if number >= 0 and is_there and how in ("read", "lack"):
                result.problems.append(f"{how} {number}: the fault did not come")
            result.ends["whole" if is_there else "absent"] += number >= 0
            if how != "SIGKILL" and (left := _unfinished_uploads(variables)):
                result.problems.append(f"{how} {number}: {left} unfinished uploads are left on the server")
    return result


def _inspect(bucket: Path, source: Path) -> Iterator[str]:
    large, small = bucket / "out" / "large", bucket / "out" / "small"
    if large.exists() and large.read_bytes() != source.read_bytes():
        yield f"{large.stat().st_size} of {source.stat().st_size} bytes"
    if small.exists() and small.read_bytes() != b"x" * 1000:
        yield "the small object is not whole"


def _unfinished_uploads(variables: dict[str, str]) -> int:
    import boto3

    client = boto3.client(
        "s3",
        endpoint_url=variables["AWS_ENDPOINT_URL_S3"],
        aws_access_key_id=KEYS[0],
        aws_secret_access_key=KEYS[1],
        region_name="us-east-1",
    )
    try:
        return len(client.list_multipart_uploads(Bucket="bucket").get("Uploads", ()))
    except client.exceptions.NoSuchUpload:  # as rclone says where none was ever begun
        return 0
