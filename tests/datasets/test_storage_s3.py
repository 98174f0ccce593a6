"""Against a real server of the S3 protocol, on this machine."""

import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from dataset_reading import plan, read, rows

from contract.datasets import storage
from contract.errors import DatasetError, DocumentError, OutputError

ACCESS, SECRET = "monitor-access-key", "monitor-secret-key"


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    program = shutil.which("rclone", path=str(Path(sys.executable).parent)) or shutil.which("rclone")
    if program is None:
        pytest.skip("rclone is not installed (it is among the development dependencies)")
    folder = tmp_path_factory.mktemp("buckets")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [program, "serve", "s3", "--addr", f"127.0.0.1:{port}", "--auth-key", f"{ACCESS},{SECRET}"]
    command += ["--config", "/dev/null", "--vfs-cache-mode", "off", "--dir-cache-time", "0", str(folder)]
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
def bucket(server, monkeypatch):
    folder, address = server
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", address)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", ACCESS)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_REQUEST_CHECKSUM_CALCULATION", "restored after the test")
    monkeypatch.delenv("AWS_REQUEST_CHECKSUM_CALCULATION")
    storage._s3.cache_clear()
    here = folder / "bucket"
    shutil.rmtree(here, ignore_errors=True)
    here.mkdir()
    yield here
    storage._s3.cache_clear()


def test_every_format_is_read(bucket):
    (bucket / "in" / "deep").mkdir(parents=True)
    (bucket / "in" / "deep" / "a.csv").write_text("a,b\n1,x\n2,y\n")
    (bucket / "in" / "b.csv").write_text("a,b\n3,z\n")
    (bucket / "in" / "_SUCCESS").write_text("")
    expected = [{"a": 3, "b": "z"}, {"a": 1, "b": "x"}, {"a": 2, "b": "y"}]
    assert read("s3://bucket/in") == expected
    assert read("s3://bucket/in/") == expected
    assert read("s3://bucket/in/b.csv") == expected[:1]
    (bucket / "a.jsonl").write_text('{"a":1}\n{"a":2}\n')
    assert read("s3://bucket/a.jsonl", "json") == [{"a": 1}, {"a": 2}]
    pq.write_table(pa.table({"a": [1, 2]}), bucket / "a.parquet")
    assert read("s3://bucket/a.parquet", "parquet") == [{"a": 1}, {"a": 2}]


def test_a_large_file_is_read_in_ranges(bucket):
    (bucket / "a.csv").write_bytes(b"a,b\n" + b"".join(b"%d,%s\n" % (i, b"x" * 50) for i in range(90_000)))
    found = plan("s3://bucket/a.csv")
    assert len(found.splits) > 3
    assert [row["a"] for row in rows(found.splits)] == list(range(90_000))


def test_results_are_written_and_found(bucket):
    storage.prepare_output("s3://bucket/out/now")
    storage.write_files_atomically("s3://bucket/out/now", {"statistics.json": b"{}"})
    assert (bucket / "out" / "now" / "statistics.json").read_bytes() == b"{}"
    for path in ("s3://bucket/out/now", "s3://bucket/out/now/statistics.json"):
        found = storage.resolve_document(path, "statistics.json", "baseline_statistics")
        assert storage.read_bytes(found) == b"{}"
    with pytest.raises(DocumentError, match="baseline_constraints s3://bucket/out"):
        storage.resolve_document("s3://bucket/out", "constraints.json", "baseline_constraints")


def test_a_window_without_objects_is_empty_but_a_wrong_path_is_not(bucket):
    (bucket / "a.csv").write_text("a\n1\n")
    assert plan("s3://bucket/endpoint/2026/05/06/22").splits == ()
    for source in ("s3://bucket/endpint", "s3://bukket/endpoint/2026/05/06/22", "s3://bukket"):
        with pytest.raises(DatasetError, match=f"dataset_source {source} does not exist"):
            plan(source)


def test_what_s3_refuses_is_named(bucket, monkeypatch):
    with pytest.raises(OutputError, match="there is no bucket bukket"):
        storage.prepare_output("s3://bukket/out")
    with pytest.raises(OutputError, match="s3://bukket/out cannot be written"):
        storage.write_files_atomically("s3://bukket/out", {"a": b""})
    with pytest.raises(DatasetError, match=r"s3://bucket/absent.csv cannot be read"):
        storage.read_bytes("s3://bucket/absent.csv")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
    storage._s3.cache_clear()
    with pytest.raises(DatasetError, match=r"dataset_source s3://bucket cannot be read: access denied"):
        plan("s3://bucket")
