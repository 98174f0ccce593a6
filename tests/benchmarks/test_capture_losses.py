"""Services that capture are ended, and their disks fail: `benchmarks.capture_losses`, a few times."""

from __future__ import annotations

import errno
import os
import signal
from collections.abc import Callable
from pathlib import Path
from unittest import mock

import pytest
from model_monitor_capture import writer as writing

from benchmarks import capture_losses


@pytest.mark.parametrize("kind", ["by hand", "WSGI"])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_ended_services_lose_nothing_but_the_last_second_of_a_kill(tmp_path, number, kind):
    losses = capture_losses.stop_services(tmp_path, 1, number, [kind], seed=3)
    assert not losses.problems
    assert losses.promised > 0


def test_losses_are_seen(tmp_path):
    folder = tmp_path / "churn/AllTraffic/2026/03/02/01"
    folder.mkdir(parents=True)
    (folder / ".left.jsonl.open").write_bytes(b"")
    (folder / "torn.jsonl").write_bytes(
        b'{"eventMetadata":{"eventId":"a","inferenceTime":"2026-03-02T02:00:00Z"}}\n{"eventM'
    )
    losses = capture_losses.Losses()
    told = list(capture_losses.look(tmp_path, [(99.5, "a"), (98.5, "b")], losses, signal.SIGKILL, 100.0))
    words = ("never completed", "half a line at its end", "has a call of", "has half a line:", "1 of 2 calls")
    assert all(word in said for word, said in zip(words, told, strict=True))


@pytest.mark.parametrize(
    "fail",
    [
        lambda folder: capture_losses.fill_disk(folder, 0.75),
        lambda folder: capture_losses.fill_disk(folder, 1.0),
        capture_losses.forbid_writing,
    ],
    ids=["pausing on a full disk", "full disk", "read-only disk"],
)
def test_a_disk_that_fails_tears_no_line_and_is_written_again_when_it_can_be(
    tmp_path: Path, fail: Callable[[Path], capture_losses.Fault]
) -> None:
    try:
        fault = fail(tmp_path)
    except PermissionError:
        pytest.skip(f"mounting a file system needs rights: {os.strerror(errno.EPERM)}")
    assert not fault.problems


def test_a_clock_that_is_set_back_loses_nothing(tmp_path):
    assert not capture_losses.set_clock_back(tmp_path).problems


def test_what_waits_for_a_store_that_is_down_is_uploaded_once(tmp_path, monkeypatch):
    # Boto keeps the credentials that it found first.
    monkeypatch.setattr("boto3.DEFAULT_SESSION", None)
    try:
        with mock.patch.object(writing, "_UPLOAD_SECONDS", 0.1):
            fault = capture_losses.stop_store(tmp_path, 0.5)
    except FileNotFoundError as error:
        pytest.skip(str(error))
    assert not fault.problems
