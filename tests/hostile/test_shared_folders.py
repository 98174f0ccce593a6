"""Jobs that share a folder as containers do, and uploads that are stopped; `make fuzz` runs many more."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from benchmarks import side_by_side, uploads
from contract.errors import OutputError
from file_storage import s3, storage


@pytest.fixture
def namespaces() -> None:
    if shutil.which("unshare") is None or subprocess.run([*side_by_side.NAMESPACE, "true"]).returncode:
        pytest.skip("process namespaces need rights")


@pytest.mark.usefixtures("namespaces")
@pytest.mark.parametrize("kind", ["merge", "register"])
def test_the_files_of_one_of_two_jobs_stand(tmp_path: Path, kind: str) -> None:
    result = side_by_side.run_pairs(tmp_path, kind, 3)
    assert (result.failures, result.mixes) == ([], [])


@pytest.mark.parametrize("how", uploads.WAYS)
def test_an_upload_that_is_stopped_leaves_no_object(tmp_path: Path, how: str) -> None:
    result = uploads.stop_at_random_points(tmp_path, 2, 40 << 20, how)
    assert result.problems == []


def test_without_boto3_an_upload_that_fails_leaves_no_object_either(
    tmp_path: Path, bucket: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(s3.importlib.util, "find_spec", lambda name: None)
    storage.write_file("s3://bucket/whole", b"x" * (12 << 20))
    assert (bucket / "whole").stat().st_size == 12 << 20

    read, sizes = s3._Stoppable.read, []

    def failing(stream: s3._Stoppable, size: int | None = -1, /) -> bytes:
        sizes.append(size)
        if len(sizes) > 1:
            raise OSError(5, "Input/output error")
        return read(stream, size)

    monkeypatch.setattr(s3._Stoppable, "read", failing)
    with pytest.raises(OutputError, match="s3://bucket/half cannot be written: Input/output error"):
        storage.write_file("s3://bucket/half", b"x" * (24 << 20))
    assert not (bucket / "half").exists()
    # While the server is still there, and before the next test: Arrow waits for it at the end of the process.
    for stream in s3._unclosed:
        stream.close()
    s3._unclosed.clear()


def test_on_s3_a_job_that_was_disturbed_writes_its_set_again(
    bucket: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, calls = s3.upload, []

    def upload(path: str, content: bytes | Path, stop: object) -> None:
        calls.append(path)
        real(path, content, stop)
        if calls.count("s3://bucket/out/b") == 1 and path.endswith("/b"):
            # Another job begins, and gets as far as its first file.
            real("s3://bucket/out/.writing", b"another", stop)
            real("s3://bucket/out/a", b"another's", stop)

    monkeypatch.setattr(s3, "upload", upload)
    monkeypatch.setattr(storage, "_MOST_UPLOADS", 1)
    storage.write_files_atomically("s3://bucket/out", {"a": b"mine", "b": b"mine"}, ["old"])
    assert {file.name: file.read_bytes() for file in (bucket / "out").iterdir()} == {
        "a": b"mine",
        "b": b"mine",
    }
