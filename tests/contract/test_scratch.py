"""Folders for temporary files, and what is said where there is none."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from refusals import refused
from sentences import says

from contract.errors import ConfigurationError
from file_storage.storage import find_scratch_folder, scratch_folder


def test_it_is_gone_afterwards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with scratch_folder("sorting-", "sorting") as folder:
        (folder / "file").write_bytes(b"1")
        assert folder.parent == tmp_path
    assert not list(tmp_path.iterdir())


def test_where_there_is_none_the_fix_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "absent"))
    with (
        refused(ConfigurationError, "temporary_folder.none") as caught,
        scratch_folder("sorting-", "sorting"),
    ):
        pass
    cause = "No such file or directory"
    assert says(caught.value.message, "temporary_folder.none", purpose="sorting", cause=cause)


def test_a_folder_to_look_at_is_found_where_the_root_is_read_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TMPDIR", raising=False)
    monkeypatch.setattr(os, "access", lambda path, mode: path == "/dev/shm")
    assert find_scratch_folder("a cluster") == "/dev/shm"


def test_none_to_look_at_names_the_same_fix(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def nowhere() -> str:
        raise FileNotFoundError(2, "No usable temporary directory found")

    monkeypatch.setattr(os, "access", lambda path, mode: False)
    monkeypatch.setattr(tempfile, "gettempdir", nowhere)
    with refused(ConfigurationError, "temporary_folder.none"):
        find_scratch_folder("a cluster")


def test_what_killed_jobs_have_left_is_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    code = f"""if 1:
        import os, pathlib, signal, tempfile
        from file_storage.storage import scratch_folder
        tempfile.tempdir = {str(tmp_path)!r}
        held = scratch_folder("model-", "unpacking")
        (held.__enter__() / "file").touch()
        os.kill(os.getpid(), signal.SIGKILL)
    """
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == -signal.SIGKILL
    (left,) = tmp_path.iterdir()
    with scratch_folder("sorting-", "sorting") as mine:
        assert not left.exists()
        with scratch_folder("sorting-", "sorting"):
            assert mine.exists()


def test_a_full_folder_is_called_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "absent"))
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("file_storage.storage._LEAST_BYTES", 1 << 62)
    with (
        refused(ConfigurationError, "temporary_folder.full"),
        scratch_folder("sorting-", "sorting"),
    ):
        pass
