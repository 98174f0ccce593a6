"""Writing captures: what is promised holds through kills, full disks and several workers."""

from __future__ import annotations

import base64
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from unittest import mock

import pytest
from fixtures import ROOT
from model_monitor_capture import CaptureWriter, Masking, Selection
from model_monitor_capture import writer as writing


def wait_until(happened: Callable[[], object]) -> None:
    """Wait for what another thread does; a test that waits for ever says nothing."""
    end = time.monotonic() + 60
    while not happened():
        assert time.monotonic() < end, "it did not happen within a minute"
        time.sleep(0.001)


def lines_of(folder: Path) -> list[bytes]:
    return [
        line
        for file in sorted(folder.rglob("*.jsonl"))
        for line in file.read_bytes().splitlines(keepends=True)
    ]


def records_of(folder: Path) -> list[dict]:
    return [json.loads(line) for line in lines_of(folder)]


def one_record(folder: Path, *call: object, **options: object) -> dict:
    writer = CaptureWriter(
        folder, "churn", **{k: options.pop(k) for k in ("masking", "selection") if k in options}
    )
    writer.capture(*call, **options)
    writer.close()
    (record,) = records_of(folder)
    return record


def test_a_record_has_sagemakers_members_in_their_order_and_lies_in_the_folder_of_its_hour(tmp_path):
    record = one_record(tmp_path, '{"a":1}', '{"p":0.5}', inference_id="call-1", seconds=1_772_413_205.25)
    side = {"observedContentType": "application/json"}
    assert list(record) == ["captureData", "eventMetadata", "eventVersion"]
    assert record["captureData"] == {
        "endpointInput": {**side, "mode": "INPUT", "data": '{"a":1}', "encoding": "JSON"},
        "endpointOutput": {**side, "mode": "OUTPUT", "data": '{"p":0.5}', "encoding": "JSON"},
    }
    assert record["eventMetadata"]["inferenceId"] == "call-1"
    assert record["eventMetadata"]["inferenceTime"] == "2026-03-02T01:00:05Z"
    (file,) = tmp_path.rglob("*.jsonl")
    assert file.parent == tmp_path / "churn/AllTraffic/2026/03/02/01"
    assert file.name.startswith("00-05-250-")


@pytest.mark.parametrize(
    ("data", "kind", "encoding"),
    [
        (b"1,2\n", "text/csv; charset=utf-8", "CSV"),
        (b'{"a":1}\n{"a":2}', "application/jsonlines", "JSON"),
        (b"\xff\xfe", "application/json", "BASE64"),
        (b"\x89PNG", "image/png", "BASE64"),
        (b"plain", None, "BASE64"),
    ],
)
def test_payloads_are_text_where_their_type_says_json_or_csv_and_base64_otherwise(
    tmp_path, data, kind, encoding
):
    side = one_record(tmp_path, data, None, request_type=kind)["captureData"]["endpointInput"]
    assert side["encoding"] == encoding
    assert (base64.b64decode(side["data"]) if encoding == "BASE64" else side["data"].encode()) == data


def test_masked_members_and_cells_reach_no_file(tmp_path):
    masking = Masking(members={"ssn"}, cells={1})
    record = one_record(
        tmp_path,
        '{"rows":[{"ssn":"123-45","age":3}]}\n{"ssn":"123-45"}',
        '1,"123-45",2\n',
        request_type="application/jsonlines",
        response_type="text/csv",
        masking=masking,
    )
    assert "123-45" not in json.dumps(record)
    assert record["captureData"]["endpointOutput"]["data"] == "1,,2\n"


def test_a_payload_that_cannot_be_masked_is_not_kept(tmp_path):
    writer = CaptureWriter(tmp_path, "churn", masking=Masking(members={"ssn"}))
    assert writer.capture('{"ssn": "123-45"', "1") is None
    assert writer.capture(b"123-45", "1", request_type="text/plain") is None
    assert writer.capture("123-45,1", "1", request_type="text/csv") is None
    writer.close()
    assert writer.counts["masked"] == 3
    assert records_of(tmp_path) == []


@pytest.mark.parametrize("row", ["1;123-45;2", "1\t123-45", "0,9\n1|123-45|2"])
def test_cells_that_commas_do_not_separate_are_not_kept(tmp_path, row):
    writer = CaptureWriter(tmp_path, "churn", masking=Masking(cells={1}))
    assert writer.capture(row, "1", request_type="text/csv") is None
    assert writer.capture("1", "1", request_type="text/csv") is not None
    writer.close()
    assert writer.counts["masked"] == 1


def test_a_member_is_masked_by_its_path_too(tmp_path):
    masking = Masking(members={"user.ssn", "a.b"})
    user = {"ssn": "123", "age": 3}
    request = {"user": user, "x": [{"user": user}], "ssn": "456", "a.b": "123", "xuser": {"ssn": "789"}}
    record = one_record(tmp_path, json.dumps(request), "1", masking=masking)
    told = record["captureData"]["endpointInput"]["data"]
    assert "123" not in told
    assert "456" in told
    assert "789" in told


def test_predictions_that_masking_takes_are_told(tmp_path, caplog):
    writing._warn_once.cache_clear()
    kinds = {"request_type": "text/csv", "response_type": "text/csv"}
    one_record(tmp_path / "1", "a,b", "0.5", masking=Masking(cells={1}), **kinds)
    assert "predictions among them" not in caplog.text
    one_record(tmp_path / "2", "a,b", "0.5", masking=Masking(cells={0}), **kinds)
    assert "predictions among them" in caplog.text


def test_calls_that_cannot_be_masked_are_told_once(tmp_path, caplog):
    writing._warn_once.cache_clear()
    writer = CaptureWriter(tmp_path, masking=Masking(members={"ssn"}))
    assert writer.capture(b'{"ssn": 1}', b"1", request_type="application/json")
    assert "left out" not in caplog.text
    for _ in range(2):
        assert writer.capture(b'{"ssn": 1}', b"1", request_type="text/plain") is None
    writer.close()
    assert writer.counts["masked"] == 2
    assert caplog.text.count("left out") == 1


def test_ids_may_be_numbers_and_times_are_seconds(tmp_path):
    writer = CaptureWriter(tmp_path, "churn", selection=Selection(share=0.999))
    assert writer.capture("1", "1", inference_id=7) == "7"
    with pytest.raises(ValueError, match="it is seconds since 1970"):
        writer.capture("1", "1", seconds=1_772_413_205_000)
    writer.close()
    assert [record["eventMetadata"]["inferenceId"] for record in records_of(tmp_path)] == ["7"]


def test_an_answer_of_the_kind_that_has_nothing_to_mask_is_kept(tmp_path):
    record = one_record(tmp_path, "a,b", "0.5", request_type="text/csv", masking=Masking(cells={1}))
    assert record["captureData"]["endpointInput"]["data"] == "a,\n"
    assert record["captureData"]["endpointOutput"]["data"] == "0.5"


@pytest.mark.parametrize(
    ("make", "complaint"),
    [
        (
            lambda folder: CaptureWriter(folder, upload="/local"),
            "upload is '/local'; it is s3://bucket/prefix",
        ),
        (lambda folder: CaptureWriter(folder, upload="s3:///x"), "upload is 's3:///x'"),
        (lambda folder: CaptureWriter(folder, disk_share=75), "disk_share is 75; it is a share of the disk"),
        (lambda folder: CaptureWriter(folder, file_seconds=-1), "file_seconds is -1; it must be more than 0"),
        (lambda folder: CaptureWriter(folder, queue_bytes=0), "queue_bytes is 0"),
        (lambda folder: Masking(cells={-1}), "cells is {-1}; it holds positions"),
        (lambda folder: Masking(members="ssn"), "members is 'ssn', one text; write"),
        (lambda folder: Selection(paths=("predict",)), "paths has 'predict'; a path begins with /"),
        (lambda folder: Selection(skip_content_types=("image/*",)), "skip_content_types has 'image/*'"),
        (lambda folder: Selection(paths="/predict"), "paths is '/predict', one text; write"),
    ],
    ids=list(map(str, range(10))),
)
def test_what_would_lose_or_leak_calls_is_refused_at_once(tmp_path, make, complaint):
    with pytest.raises(ValueError, match=re.escape(complaint)):
        make(tmp_path)


def test_the_sample_is_decided_by_the_id(tmp_path):
    selection = Selection(share=0.25)
    ids = [f"call-{number}" for number in range(4000)]
    taken = {name for name in ids if selection.takes_id(name)}
    assert taken == {name for name in ids if Selection(share=0.25).takes_id(name)}
    assert 880 < len(taken) < 1120
    assert taken < {name for name in ids if Selection(share=0.5).takes_id(name)}


@pytest.mark.parametrize("call", [("x" * 101, "1"), ("1", "x" * 101)])
def test_a_payload_over_the_limit_leaves_the_call_out_and_counts_it(tmp_path, call):
    writer = CaptureWriter(tmp_path, "churn", selection=Selection(max_payload=100))
    assert writer.capture(*call) is None
    writer.close()
    assert writer.counts["too_large"] == 1


@pytest.mark.parametrize("name", ["", "a/b", "..", ".hidden"])
def test_names_that_are_no_folder_are_refused(tmp_path, name):
    with pytest.raises(ValueError, match="endpoint is"):
        CaptureWriter(tmp_path, name)


def test_the_queue_is_bounded_and_what_finds_no_place_is_counted(tmp_path):
    writer = CaptureWriter(tmp_path, "churn", queue_bytes=2000)
    release = threading.Event()
    with mock.patch.object(writing._OpenFile, "append", side_effect=lambda data: release.wait()):
        writer.capture("1", "1")
        wait_until(lambda: not writer._waiting)
        results = [writer.capture("1", "1") for _ in range(50)]
        release.set()
        writer.close()
    assert None in results
    assert writer.counts["dropped"] == results.count(None)


def test_capture_pauses_on_a_full_disk_and_goes_on(tmp_path):
    writer = CaptureWriter(tmp_path, "churn")
    full = os.statvfs_result((4096, 4096, 100, 10, 10, 0, 0, 0, 0, 255))
    with mock.patch.object(os, "statvfs", return_value=full):
        writer._look_at_disk()
        assert writer.capture("1", "1") is None
    # What is reserved for root is neither used nor free: `df` says 50 %, though 80 % are not to be had.
    reserved = os.statvfs_result((4096, 4096, 100, 80, 20, 0, 0, 0, 0, 255))
    with mock.patch.object(os, "statvfs", return_value=reserved):
        writer._look_at_disk()
    assert writer.capture("1", "1") is not None
    writer.close()
    assert writer.counts["paused"] == 1


def test_a_disk_that_refuses_leaves_no_half_line(tmp_path):
    written = os.write

    def half(descriptor: int, data: memoryview) -> int:
        written(descriptor, bytes(data[: len(data) // 2]))
        raise OSError(28, "No space left on device")

    writer = CaptureWriter(tmp_path, "churn")
    writer.capture("1", "1")
    wait_until(lambda: writer.counts["captured"])
    with mock.patch.object(writing.os, "write", side_effect=half):
        writer.capture("2", "2")
        wait_until(lambda: writer.counts["failed"])
    writer.capture("3", "3")
    writer.close()
    assert [record["captureData"]["endpointInput"]["data"] for record in records_of(tmp_path)] == ["1", "3"]


def test_a_folder_that_cannot_be_written_fails_no_call(tmp_path):
    (tmp_path / "file").write_text("")
    writer = CaptureWriter(tmp_path / "file", "churn")
    assert writer.capture("1", "1") is not None
    writer.close()
    assert writer.counts["failed"] == 1


def test_a_clock_set_back_mixes_no_hours(tmp_path):
    writer = CaptureWriter(tmp_path, "churn")
    for seconds in (7300, 3700, 7301, 100):
        writer.capture("1", "1", seconds=seconds)
    writer.close()
    for file in tmp_path.rglob("*.jsonl"):
        times = [json.loads(line)["eventMetadata"]["inferenceTime"] for line in file.read_text().splitlines()]
        assert {time[11:13] for time in times} == {file.parent.name}
    assert len(records_of(tmp_path)) == 4


def test_calls_of_hours_that_come_by_turns_share_the_file_of_their_hour(tmp_path):
    """Calls that end as an hour does, and logs of the past; each file cost a search of the folder, too."""
    writer = CaptureWriter(tmp_path, "churn", disk_share=1)
    for number in range(40):
        writer.capture(str(number), "1", seconds=3590 + 20 * (number % 2))
        if number % 10 == 0:
            wait_until(lambda: not writer._waiting)
    writer.close()
    assert [path.parent.name for path in sorted(tmp_path.rglob("*.jsonl"))] == ["00", "01"]
    assert len(records_of(tmp_path)) == 40


def test_more_hours_than_files_may_be_open_lose_nothing(tmp_path):
    writer = CaptureWriter(tmp_path, "churn", disk_share=1)
    with mock.patch.object(writing, "_MOST_OPEN", 3):
        for hour in range(10):
            writer.capture(str(hour), "1", seconds=hour * 3600)
        wait_until(lambda: writer.counts["captured"] == 10)
        assert len(writer._files) == 3
        writer.close()
    assert len(records_of(tmp_path)) == 10


def test_the_file_of_an_hour_that_is_over_waits_for_calls_that_began_in_it(tmp_path):
    writer = CaptureWriter(tmp_path, "churn", disk_share=1)
    writer.capture("1", "1", seconds=3590)
    wait_until(lambda: writer.counts["captured"])
    (file,) = writer._files.values()
    assert not file.is_over(7300, 3600.0)
    with mock.patch.object(writing, "_LATE_SECONDS", 0.0):
        assert file.is_over(7300, 3600.0)
        assert not file.is_over(3599, 3600.0)
    writer.close()


def test_a_file_that_is_old_enough_appears_while_the_service_runs(tmp_path):
    writer = CaptureWriter(tmp_path, "churn", disk_share=1, file_seconds=0.01)
    writer.capture("1", "1")
    wait_until(lambda: list(tmp_path.rglob("*.jsonl")))
    writer.close()
    assert len(records_of(tmp_path)) == 1


def test_each_time_the_disk_begins_to_refuse_is_told(tmp_path, caplog):
    writer = CaptureWriter(tmp_path, "churn", disk_share=1)
    for number in range(2):
        with mock.patch.object(
            writing._OpenFile, "append", side_effect=OSError(28, "No space left on device")
        ):
            for failed in (1, 2):
                writer.capture("1", "1")
                wait_until(lambda count=2 * number + failed: writer.counts["failed"] == count)
        writer.capture("1", "1")
        wait_until(lambda count=number + 1: writer.counts["captured"] == count)
    writer.close()
    assert caplog.text.count("cannot be written") == 2


def test_unfinished_files_are_cut_at_their_last_line_and_completed_by_the_next_writer(tmp_path):
    folder = tmp_path / "churn/AllTraffic/2026/03/02/01"
    folder.mkdir(parents=True)
    (folder / ".left.jsonl.open").write_bytes(b'{"a":1}\n{"a":2}\n{"a"' + b"x" * 100_000)
    (folder / ".torn.jsonl.open").write_bytes(b'{"a"')
    writer = CaptureWriter(tmp_path, "churn")
    writer.capture("1", "1")
    writer.close()
    assert (folder / "left.jsonl").read_bytes() == b'{"a":1}\n{"a":2}\n'
    assert not list(tmp_path.rglob("*.open"))
    assert not (folder / "torn.jsonl").exists()


def test_a_file_in_use_is_left_alone(tmp_path):
    first, second = CaptureWriter(tmp_path, "churn"), CaptureWriter(tmp_path, "churn")
    first.capture("1", "1")
    while not first.counts["captured"]:
        time.sleep(0.001)
    second.capture("2", "2")
    second.close()
    assert len(list(tmp_path.rglob("*.open"))) == 1
    first.close()
    assert len(records_of(tmp_path)) == 2


def test_workers_forked_from_one_service_write_files_of_their_own(tmp_path):
    script = (
        "import os, sys\nfrom model_monitor_capture import CaptureWriter\n"
        f"writer = CaptureWriter({str(tmp_path)!r}, 'churn', disk_share=1)\n"
        "writer.capture('parent', '1')\nimport time\n"
        "while not writer.counts['captured']: time.sleep(0.001)\n"
        "children = []\n"
        "for number in range(3):\n"
        "    child = os.fork()\n"
        "    if not child:\n"
        "        for n in range(100): writer.capture(f'{number}-{n}', '1')\n"
        "        writer.close()\n        os._exit(0)\n"
        "    children.append(child)\n"
        "for child in children: os.waitpid(child, 0)\n"
        "writer.close()\n"
    )
    subprocess.run([sys.executable, "-W", "ignore", "-c", script], check=True, env=_environment())
    data = [record["captureData"]["endpointInput"]["data"] for record in records_of(tmp_path)]
    assert sorted(data) == sorted(["parent", *(f"{number}-{n}" for number in range(3) for n in range(100))])
    assert not list(tmp_path.rglob("*.open"))


def test_what_comes_while_the_process_is_ended_is_kept(tmp_path):
    script = (
        "import os, signal, time\nfrom model_monitor_capture import CaptureWriter, writer as writing\n"
        f"writer = CaptureWriter({str(tmp_path)!r}, 'churn', disk_share=1)\n"
        "finish = writing._OpenFile.finish\n"
        "def finish_and_capture(file):\n"
        "    finish(file)\n"
        "    writing._OpenFile.finish = finish\n"
        "    writer.capture('late', '1')\n"
        "writing._OpenFile.finish = finish_and_capture\n"
        "writer.capture('early', '1')\n"
        "os.kill(os.getpid(), signal.SIGTERM)\n"
        "time.sleep(60)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], check=False, env=_environment())
    assert done.returncode == -signal.SIGTERM
    data = [record["captureData"]["endpointInput"]["data"] for record in records_of(tmp_path)]
    assert sorted(data) == ["early", "late"]


def test_importing_it_brings_nothing_heavy():
    names = "numpy", "pyarrow", "pandas", "boto3", "uvicorn", "asyncio", "hashlib", "csv"
    script = f"import sys, model_monitor_capture; print([n for n in {names!r} if n in sys.modules])"
    done = subprocess.run([sys.executable, "-c", script], check=True, env=_environment(), capture_output=True)
    assert done.stdout == b"[]\n"


def _environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT / "capture")}


def test_a_payload_that_is_neither_bytes_nor_text_is_refused(tmp_path):
    writer = CaptureWriter(tmp_path, "churn")
    with pytest.raises(TypeError, match=r"a payload is dict; give its bytes or text"):
        writer.capture({"age": 3}, b"0.5")
    writer.close()
