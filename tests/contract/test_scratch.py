"""Folders for temporary files, and what is said where there is none."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest

from contract.errors import ConfigurationError
from contract.scratch import scratch_folder


def test_it_is_gone_afterwards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with scratch_folder("sorting-", "sorting") as folder:
        (folder / "file").write_bytes(b"1")
        assert folder.parent == tmp_path
    assert not list(tmp_path.iterdir())


def test_where_there_is_none_the_fix_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "absent"))
    with pytest.raises(ConfigurationError) as caught, scratch_folder("sorting-", "sorting"):
        pass
    assert caught.value.message == (
        "sorting needs a folder for temporary files, and none can be written (No such file or directory); "
        "mount one at /tmp (docker run --tmpfs /tmp; an emptyDir on Kubernetes) or name one in TMPDIR."
    )
