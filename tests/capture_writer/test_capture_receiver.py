"""The receiver: what model servers log becomes captures."""

from __future__ import annotations

import asyncio
import base64
import json
import sys
from pathlib import Path
from typing import Any

import pytest
from fixtures import ROOT
from model_monitor_capture.receiver import Receiver, main
from model_monitor_capture.writer import CaptureWriter

LOGS = ROOT.parent / "shared" / "cases" / "inference_logs"


def post(
    receiver: Receiver,
    body: bytes,
    headers: dict[str, str] | None = None,
    method: str = "POST",
    path: str = "/",
) -> tuple[int, str]:
    got: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body}

    async def send(message: dict[str, Any]) -> None:
        got.append(message)

    raw = [(name.lower().encode(), value.encode()) for name, value in (headers or {}).items()]
    asyncio.run(receiver({"type": "http", "method": method, "path": path, "headers": raw}, receive, send))
    return got[0]["status"], got[1]["body"].decode()


def records_of(folder: Path) -> list[dict[str, Any]]:
    files = sorted(folder.rglob("*.jsonl"))
    return [json.loads(line) for file in files for line in file.read_text().splitlines()]


def event(side: str, call: str = "1", **members: Any) -> bytes:
    known = {
        "specversion": "1.0",
        "id": call,
        "type": f"org.kubeflow.serving.inference.{side}",
        "data": {"side": side},
    }
    return json.dumps({**known, **members}).encode()


def logged(name: str) -> list[tuple[dict[str, str], bytes]]:
    """Return the requests a server sends, from its logged form."""
    lines = [
        line for file in sorted((LOGS / name).rglob("*.jsonl")) for line in file.read_text().splitlines()
    ]
    if name == "kserve/http-binary":
        return [(entry["headers"], entry["body"].encode()) for entry in map(json.loads, lines)]
    return [({"Content-Type": "application/cloudevents+json"}, line.encode()) for line in lines]


@pytest.mark.parametrize(
    "name",
    ["kserve/cloudevents-v1", "kserve/cloudevents-v1-named", "kserve/cloudevents-v2", "kserve/http-binary"],
)
def test_every_call_that_kserve_logs_becomes_one_record_with_both_sides(tmp_path, name):
    receiver = Receiver(str(tmp_path))
    sent = logged(name)
    assert sent
    for headers, body in sent:
        assert post(receiver, body, headers) == (202, "")
    receiver.close()
    records = records_of(tmp_path)
    assert len(records) == len({record["eventMetadata"]["inferenceId"] for record in records}) == 80
    assert all(list(record["captureData"]) == ["endpointInput", "endpointOutput"] for record in records)
    assert {record["eventMetadata"]["inferenceTime"][:10] for record in records} == {"2026-11-27"}
    assert (tmp_path / "churn" / "predictor").is_dir()


@pytest.mark.parametrize("order", [("request", "response"), ("response", "request")])
def test_halves_find_each_other_in_either_order(tmp_path, order):
    receiver = Receiver(str(tmp_path))
    for side in order:
        assert post(receiver, event(side))[0] == 202
    receiver.close()
    (record,) = records_of(tmp_path)
    sides = record["captureData"]
    assert [json.loads(sides[name]["data"])["side"] for name in sides] == ["request", "response"]


def test_a_half_that_waits_too_long_or_takes_too_much_room_is_written_alone(tmp_path):
    receiver = Receiver(str(tmp_path), most_waiting=2500)
    for call in "123":
        post(receiver, event("request", call))
    assert receiver.counts["alone"] == 1
    receiver.close()
    assert [list(record["captureData"]) for record in records_of(tmp_path)] == [["endpointInput"]] * 3


def test_a_plain_call_is_captured(tmp_path):
    receiver = Receiver(str(tmp_path))
    call = {
        "request": {"age": 3},
        "response": "0.5",
        "id": "a",
        "time": 1_772_413_205_000,
        "service": "churn",
    }
    assert post(receiver, json.dumps(call).encode())[0] == 202
    receiver.close()
    (record,) = records_of(tmp_path)
    assert record["eventMetadata"]["inferenceTime"] == "2026-03-02T01:00:05Z"
    assert record["captureData"]["endpointInput"]["data"] == '{"age": 3}'
    assert record["captureData"]["endpointOutput"]["encoding"] == "CSV"


@pytest.mark.parametrize(
    ("text", "encoding"), [("1,2", "CSV"), ('{"a": 1}', "JSON"), (" [1, 2]", "JSON"), ("0.5", "CSV")]
)
def test_a_text_is_read_by_how_it_begins_and_an_id_may_be_zero(tmp_path, text, encoding):
    receiver = Receiver(str(tmp_path))
    assert post(receiver, json.dumps({"request": text, "id": 0}).encode())[0] == 202
    receiver.close()
    (record,) = records_of(tmp_path)
    assert record["captureData"]["endpointInput"]["encoding"] == encoding
    assert record["eventMetadata"]["inferenceId"] == "0"


def test_half_of_a_letter_and_a_type_of_null_do_no_harm(tmp_path):
    receiver = Receiver(str(tmp_path))
    call = {"request": '{"a": "\ud800"}', "response": "\ud800", "request_type": None, "response_type": None}
    assert post(receiver, json.dumps(call).encode())[0] == 202
    assert post(receiver, event("request", data="\ud800", datacontenttype=None))[0] == 202
    receiver.close()
    sides = [record["captureData"]["endpointInput"] for record in records_of(tmp_path)]
    assert [(side["data"], side["encoding"]) for side in sides] == [('{"a": "?"}', "JSON"), ("?", "JSON")]


def test_a_half_that_is_refused_may_come_again(tmp_path, monkeypatch):
    receiver = Receiver(str(tmp_path))
    post(receiver, event("request"))
    with monkeypatch.context() as full:
        full.setattr(CaptureWriter, "_put", lambda *_: False)
        assert post(receiver, event("response"))[0] == 503
    assert post(receiver, event("response"))[0] == 202
    receiver.close()
    assert [list(record["captureData"]) for record in records_of(tmp_path)] == [
        ["endpointInput", "endpointOutput"]
    ]


def test_a_packed_body_is_refused(tmp_path):
    status, text = post(Receiver(str(tmp_path)), b"{}", {"ce-type": "x.request", "Content-Encoding": "gzip"})
    assert (status, text) == (415, "the body is packed with gzip; send it as it is\n")


def test_base64_data_is_decoded(tmp_path):
    receiver = Receiver(str(tmp_path))
    data = base64.b64encode(b"1,2").decode()
    post(receiver, event("request", data_base64=data, datacontenttype="text/csv"))
    receiver.close()
    assert records_of(tmp_path)[0]["captureData"]["endpointInput"]["data"] == "1,2"


@pytest.mark.parametrize(
    ("body", "status", "said"),
    [
        (b"{", 400, "no JSON"),
        (b"[" * 100_000, 400, "no JSON"),
        (b"[]", 400, "no JSON object"),
        (b"{}", 400, "no member request"),
        (event("explained"), 400, "ends with .request or .response"),
        (event("request", id=""), 400, "no id"),
        (event("request", time="yesterday"), 400, "ISO 8601"),
        (event("request", data_base64="%"), 400, "no BASE64"),
        (event("request", data=""), 400, "no data"),
        (event("request", datacontenttype=5), 400, "datacontenttype is 5"),
        (b'{"request": 1, "time": Infinity}', 400, "ISO 8601"),
        (b'{"request": 1, "time": 20260302}', 400, "ISO 8601"),
        (b'{"request": 1, "timestamp": 1772413205}', 400, "a member 'timestamp'; known are request,"),
        (b'{"request": 1, "id": {"a": 1}}', 400, 'id is {"a": 1}; it is a text'),
        (b'{"request": 1, "request_type": 5}', 400, "request_type is 5"),
        (b" " * 2001, 413, "2000 bytes"),
    ],
)
def test_what_cannot_be_taken_is_refused_with_the_reason(tmp_path, body, status, said):
    receiver = Receiver(str(tmp_path), most_bytes=2000 if status == 413 else 1 << 20)
    answer = post(receiver, body)
    assert answer[0] == status
    assert said in answer[1]
    assert receiver.counts["refused"] == 1


def test_names_in_events_stay_below_the_folder(tmp_path):
    receiver = Receiver(str(tmp_path / "captures"))
    post(receiver, event("request", inferenceservicename="../../etc", component="/x"))
    receiver.close()
    assert [file.relative_to(tmp_path).parts[:3] for file in tmp_path.rglob("*.jsonl")] == [
        ("captures", "______etc", "_x")
    ]


def test_a_token_is_asked_for_as_bearer_or_password(tmp_path):
    receiver = Receiver(str(tmp_path), "secret")
    basic = base64.b64encode(b"kserve:secret").decode()
    for given, status in ((None, 401), ("Bearer wrong", 401), ("Basic %", 401), ("Bearer secret", 202)):
        headers = {} if given is None else {"Authorization": given}
        assert post(receiver, event("request"), headers)[0] == status
    assert post(receiver, event("request", "2"), {"Authorization": f"Basic {basic}"})[0] == 202
    assert post(receiver, b"", method="GET", path="/metrics")[0] == 401
    assert post(receiver, b"", method="GET", path="/healthz")[0] == 200
    receiver.close()


def test_metrics_count_what_came(tmp_path):
    receiver = Receiver(str(tmp_path))
    post(receiver, event("request"))
    post(receiver, b"{")
    text = post(receiver, b"", method="GET", path="/metrics")[1]
    assert "capture_events_received_total 1" in text
    assert "capture_events_refused_total 1" in text
    assert "capture_halves_waiting 1" in text


def test_a_size_of_nothing_is_refused_at_the_start(tmp_path, capsys):
    with pytest.raises(SystemExit, match="2"):
        main(["--folder", str(tmp_path), "--most-bytes", "0"])
    assert "most_bytes is 0; it is a number of bytes" in capsys.readouterr().err


def test_a_server_that_is_not_installed_is_named(tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    with pytest.raises(SystemExit, match="2"):
        main(["--folder", str(tmp_path)])
    assert "pip install 'model-monitor-capture[receiver]'" in capsys.readouterr().err


def test_it_listens_to_others_only_with_a_token(tmp_path, capsys, monkeypatch):
    monkeypatch.delenv("CAPTURE_TOKEN", raising=False)
    with pytest.raises(SystemExit, match="2"):
        main(["--folder", str(tmp_path), "--host", "0.0.0.0"])
    assert "CAPTURE_TOKEN" in capsys.readouterr().err
