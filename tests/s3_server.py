"""A real server of the S3 protocol on this machine: the fixture `bucket` is the folder behind ``s3://bucket``."""

import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from file_storage import s3

ACCESS, SECRET = "monitor-access-key", "monitor-secret-key"


@pytest.fixture(scope="module")
def s3_server(tmp_path_factory):
    program = shutil.which("rclone", path=str(Path(sys.executable).parent)) or shutil.which("rclone")
    if program is None:
        pytest.skip("rclone is not installed (it is among the development dependencies)")
    folder = tmp_path_factory.mktemp("buckets")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [program, "serve", "s3", "--addr", f"127.0.0.1:{port}", "--auth-key", f"{ACCESS},{SECRET}"]
    # Files change behind the server's back, so it must not remember them; with no time at all, though, it
    # forgets folders while it makes them, and starts over for ever.
    command += ["--config", "/dev/null", "--vfs-cache-mode", "off", "--dir-cache-time", "100us", str(folder)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        _wait_for(port, process)
        yield folder, f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait()


def _wait_for(port, process):
    for _ in range(200):
        if process.poll() is not None:
            pytest.skip("rclone cannot serve on this machine")
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    pytest.skip("rclone did not start to serve")


@pytest.fixture
def bucket(s3_server, monkeypatch):
    folder, address = s3_server
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", address)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", ACCESS)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_REQUEST_CHECKSUM_CALCULATION", "restored after the test")
    monkeypatch.delenv("AWS_REQUEST_CHECKSUM_CALCULATION")
    s3.file_system.cache_clear()
    here = folder / "bucket"
    shutil.rmtree(here, ignore_errors=True)
    here.mkdir()
    yield here
    s3.file_system.cache_clear()
