"""Outputs that cannot be written, and jobs that are stopped: no half file is ever left."""

import ctypes
import errno
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pytest
from ground_truth.label_data import capture, label, run_merge, write
from run_jobs import baseline_of, run_job
from sentences import says

from benchmarks import faults, kills
from file_storage import storage

ROOT = Path(__file__).resolve().parents[2]
_READ_ONLY = 1


@pytest.fixture
def table(tmp_path: Path) -> Path:
    source = tmp_path / "data.csv"
    rows = "".join(f"{i},x{i % 3},{i / 7}\n" for i in range(3000))
    source.write_text("a,b,c\n" + rows)
    return source


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """Mount a file system of 32 KB; skip where that is not permitted."""
    folder = tmp_path / "disk"
    folder.mkdir()
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.mount(b"tmpfs", bytes(folder), b"tmpfs", 0, b"size=32k"):
        pytest.skip(f"mounting a file system needs rights: {os.strerror(ctypes.get_errno())}")
    try:
        yield folder
    finally:
        libc.umount2(bytes(folder), 2)


def test_a_full_disk(tmp_path: Path, table: Path, small_disk: Path) -> None:
    result = run_job(tmp_path, table, output_path=small_disk / "out")
    assert result.exit_code == 2
    cause = "No space left on device"
    assert says(result.message, "stored_file.unwritable", role="", file=small_disk / "out", cause=cause)
    assert result.files == []


def test_a_disk_that_fills_up_keeps_the_results_of_before(
    tmp_path: Path, table: Path, small_disk: Path
) -> None:
    small = tmp_path / "small.csv"
    small.write_text("a\n1\n2\n")
    output = small_disk / "out"
    before = run_job(tmp_path, small, output_path=output)
    documents = {name: (output / name).read_bytes() for name in before.files}
    result = run_job(tmp_path, table, output_path=output)
    assert result.exit_code == 2
    assert {name: (output / name).read_bytes() for name in result.files} == documents


def test_a_read_only_disk(tmp_path: Path, table: Path, small_disk: Path) -> None:
    remount = 32
    libc = ctypes.CDLL(None, use_errno=True)
    assert libc.mount(None, bytes(small_disk), None, remount | _READ_ONLY, None) == 0
    result = run_job(tmp_path, table, output_path=small_disk)
    assert result.exit_code == 2
    cause = "Read-only file system"
    assert says(result.message, "stored_file.unwritable", role="output_path ", file=small_disk, cause=cause)


def test_a_file_where_the_output_belongs(tmp_path: Path, table: Path) -> None:
    output = tmp_path / "file"
    output.write_text("precious")
    result = run_job(tmp_path, table, output_path=output)
    assert result.exit_code == 2
    cause = "File exists"
    assert says(result.message, "stored_file.unwritable", role="output_path ", file=output, cause=cause)
    assert output.read_text() == "precious"


def test_a_folder_where_a_document_belongs(tmp_path: Path, table: Path) -> None:
    output = tmp_path / "output"
    (output / "constraints.json").mkdir(parents=True)
    result = run_job(tmp_path, table)
    assert result.exit_code == 2
    cause = "Is a directory"
    assert says(result.message, "stored_file.unwritable", role="", file=output, cause=cause)
    assert not [name for name in result.files if name.startswith(".")]


def test_metrics_that_cannot_be_written_where_the_user_wants_them(tmp_path: Path, table: Path) -> None:
    baseline = run_job(tmp_path / "b", table, output_path=tmp_path / "baseline")
    (tmp_path / "file").write_text("")
    result = run_job(
        tmp_path,
        table,
        publish_cloudwatch_metrics="Enabled",
        cloudwatch_metrics_directory=tmp_path / "file",
        **baseline_of(baseline),
    )
    assert result.exit_code == 2
    cause = "File exists"
    assert says(result.message, "stored_file.unwritable", role="", file=tmp_path / "file", cause=cause)


@pytest.mark.parametrize(("stop", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_in_the_middle(tmp_path: Path, stop: signal.Signals, code: int) -> None:
    source = tmp_path / "data.csv"
    source.write_text("a,b\n" + "1,x\n2,y\n" * 3_000_000)
    output, message = tmp_path / "output", tmp_path / "message"
    process = subprocess.Popen(kills.command(source, output, message), cwd=ROOT)
    while not output.exists():
        assert process.poll() is None
        time.sleep(0.005)
    process.send_signal(stop)
    assert process.wait() == code
    assert message.read_text().startswith(f"Stopped by {stop.name} before the job was complete")
    assert list(output.iterdir()) == []


def test_kills_at_random_points(tmp_path: Path) -> None:
    result = kills.kill_at_random_points(tmp_path, 6, columns=100)
    assert result.problems == []
    assert result.points.total() == 6


def test_what_dead_jobs_left_is_cleared_up(tmp_path: Path, table: Path) -> None:
    output = tmp_path / "output"
    output.mkdir()
    machine = Path("/proc/sys/kernel/random/boot_id").read_text()[:8]
    dead = output / f".statistics.json.{machine}-{'0' * 16}.partial"
    elsewhere = output / f".statistics.json.{'0' * 8}-{'1' * 16}.partial"
    long_ago = output / f".statistics.json.{'0' * 8}-{'2' * 16}.partial"
    other = output / ".notes.partial"
    for file in (dead, elsewhere, long_ago, other):
        file.write_text('{"version"')
    os.utime(long_ago, (0, 0))
    staging = output / f".staging.{machine}-{'3' * 16}.partial" / "0"
    staging.mkdir(parents=True)
    (staging / "part").write_text("half")
    with storage.unfinished(str(output), "constraints.json") as alive:
        result = run_job(tmp_path, table)
        assert alive.exists()
    assert not alive.exists()
    assert result.exit_code == 0
    assert set(result.files) == {
        *("report.html", "statistics.json", "constraints.json"),
        *(elsewhere.name, other.name),
    }


def test_where_locks_do_not_count_only_age_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with storage.unfinished(str(tmp_path), "a") as file:
        left = tmp_path / file.name.replace(".a.", ".b.")
        left.mkdir()
        (left / "part").touch()
        monkeypatch.setattr(storage, "_LOCKS_COUNT", frozenset())  # as a network file system
        storage.remove_abandoned(str(tmp_path))
        assert left.exists()
        os.utime(left, (0, 0))
        storage.remove_abandoned(str(tmp_path))
        assert left.exists()  # something in it is younger
        os.utime(left / "part", (0, 0))
        os.utime(file, (0, 0))
        storage.remove_abandoned(str(tmp_path))
        assert [path.name for path in tmp_path.iterdir()] == [file.name]  # held, however old


def test_what_cannot_be_renamed_is_removed(tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    with pytest.raises(storage.OutputError):
        storage.write_files_atomically(str(tmp_path), {"a": b"1", "b": b"2"})
    assert sorted(file.name for file in tmp_path.iterdir()) == ["a", "b"]


def test_a_disk_that_fills_up_while_labels_are_joined(tmp_path: Path, small_disk: Path) -> None:
    write(tmp_path / "in" / "2026/05/06/22" / "a.jsonl", [capture(f"id{i}") for i in range(300)])
    write(tmp_path / "labels" / "b.jsonl", [label(f"id{i}") for i in range(300)])
    result = run_merge(tmp_path, tmp_path / "in", tmp_path / "labels", output_path=small_disk / "out")
    assert result.exit_code == 2
    assert "No space left on device" in result.message
    assert [path for path in (small_disk / "out").rglob("*") if path.is_file()] == []


@pytest.mark.parametrize(
    ("error", "code", "begin"),
    [
        (
            OSError(errno.ENOSPC, "x", "/data/y"),
            2,
            "No space left on device at /data/y: the job needs more room",
        ),
        (OSError(errno.EMFILE, "x"), 2, "Too many open files: the job needs to open more files at once"),
        (RuntimeError("can't start new thread"), 2, "No further thread can be started"),
        (
            pa.ArrowException("Failed to launch worker thread: Resource"),
            2,
            "No further thread can be started",
        ),
        (MemoryError(), 1, "Out of memory"),
        (ImportError("x.so: failed to map segment from shared object"), 1, "Out of memory"),
    ],
)
def test_what_lacks_is_said(
    tmp_path: Path, table: Path, monkeypatch: pytest.MonkeyPatch, error: Exception, code: int, begin: str
) -> None:
    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr("job_runner.engine.summarize_split", fail)
    result = run_job(tmp_path, table)
    assert result.exit_code == code
    assert result.message.startswith(begin)


def test_out_of_memory_is_said_where_files_are_read(
    tmp_path: Path, table: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise OSError(errno.ENOMEM, "Cannot allocate memory")

    monkeypatch.setattr("file_storage.storage._walk", fail)
    result = run_job(tmp_path, table.parent)
    assert result.message.startswith("Out of memory")


def test_names_with_line_breaks_make_no_lines_of_the_log(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = tmp_path / "data\n2026-01-01 00:00:00,000 - monitor - INFO - all is well\x1b[2J"
    source.write_text("a\n1\n")
    result = run_job(tmp_path, source, log_level="DEBUG")
    log = capsys.readouterr().err
    assert "all is well" in log
    assert "\x1b" not in log + result.message
    assert not any(line.startswith("2026-01-01") for line in log.splitlines())


@pytest.mark.parametrize("fault", faults.FAULTS)
def test_limits_that_jobs_run_into(tmp_path: Path, fault: str) -> None:
    assert faults.run_faults(tmp_path, "data-quality", fault, 2).problems == []
