"""Middleware: captures what a service is asked and answers, and changes neither."""

from __future__ import annotations

import asyncio
import gzip
import io
import json
from typing import Any
from unittest import mock

import pytest
from model_monitor_capture import AsgiCapture, CaptureWriter, Selection, WsgiCapture

Headers = dict[str, str]


class Answer:
    """What a client got."""

    def __init__(self, status: int, headers: list[tuple[str, str]], body: bytes) -> None:
        self.status = status
        self.headers = {name.lower(): value for name, value in headers}
        self.body = body


def ask_asgi(
    writer: CaptureWriter, body: bytes, headers: Headers, answer: Answer, path: str = "/predict"
) -> Answer:
    got: dict[str, Any] = {"body": b""}

    async def service(scope: Any, receive: Any, send: Any) -> None:
        read, more = b"", True
        while more:
            message = await receive()
            read, more = read + message["body"], message.get("more_body", False)
        assert read == body
        headers = [(name.encode(), value.encode()) for name, value in answer.headers.items()]
        await send({"type": "http.response.start", "status": answer.status, "headers": headers})
        half = len(answer.body) // 2
        await send({"type": "http.response.body", "body": answer.body[:half], "more_body": True})
        await send({"type": "http.response.body", "body": answer.body[half:]})

    parts = [body[:3], body[3:]]

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": parts.pop(0), "more_body": bool(parts)}

    async def send(message: Any) -> None:
        if message["type"] == "http.response.start":
            got.update(message)
        else:
            got["body"] += message["body"]

    raw = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
    scope = {"type": "http", "method": "POST", "path": path, "headers": raw}
    asyncio.run(AsgiCapture(service, writer)(scope, receive, send))
    return Answer(got["status"], [(n.decode(), v.decode()) for n, v in got["headers"]], got["body"])


def ask_wsgi(
    writer: CaptureWriter, body: bytes, headers: Headers, answer: Answer, path: str = "/predict"
) -> Answer:
    def service(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        assert environ["wsgi.input"].read(3) + environ["wsgi.input"].read() == body
        start_response(f"{answer.status} Said", list(answer.headers.items()))
        return [answer.body[:1], answer.body[1:]]

    got: list[Any] = []
    environ = {"REQUEST_METHOD": "POST", "PATH_INFO": path, "wsgi.input": io.BytesIO(body)}
    for name, value in headers.items():
        key = name.upper().replace("-", "_")
        environ[key if key == "CONTENT_TYPE" else f"HTTP_{key}"] = value
    parts = WsgiCapture(service, writer)(environ, lambda status, head, *_: got.extend((status, head)))
    whole = b"".join(parts)
    return Answer(int(got[0].split()[0]), got[1], whole)


JSON = {"Content-Type": "application/json"}
OK = Answer(200, [("content-type", "application/json")], b'{"score":0.5}')


@pytest.fixture(params=[ask_asgi, ask_wsgi])
def ask(request):
    return request.param


def captured(writer: CaptureWriter) -> list[dict[str, Any]]:
    writer.close()
    return [
        json.loads(line)
        for file in sorted(writer.folder.rglob("*.jsonl"))
        for line in file.read_text().splitlines()
    ]


def test_a_call_is_captured_and_its_id_returned(tmp_path, ask):
    writer = CaptureWriter(tmp_path, "churn")
    answer = ask(writer, b'{"age":3}', JSON, OK)
    (record,) = captured(writer)
    assert answer.body == OK.body
    assert answer.headers["x-amzn-sagemaker-inference-id"] == record["eventMetadata"]["eventId"]
    assert "inferenceId" not in record["eventMetadata"]
    assert record["captureData"]["endpointInput"]["data"] == '{"age":3}'
    assert record["captureData"]["endpointOutput"]["data"] == '{"score":0.5}'


def test_the_callers_id_is_kept_and_returned(tmp_path, ask):
    writer = CaptureWriter(tmp_path, "churn")
    answer = ask(writer, b"{}{}", {**JSON, "X-Amzn-SageMaker-Inference-Id": "mine"}, OK)
    assert answer.headers["x-amzn-sagemaker-inference-id"] == "mine"
    assert captured(writer)[0]["eventMetadata"]["inferenceId"] == "mine"


@pytest.mark.parametrize(
    ("headers", "answer", "path"),
    [
        ({**JSON, "X-Model-Monitor-No-Capture": "1"}, OK, "/predict"),
        (JSON, Answer(500, [], b"broken"), "/predict"),
        ({"Content-Type": "image/png"}, OK, "/predict"),
        ({**JSON, "Content-Encoding": "gzip"}, OK, "/predict"),
        (JSON, Answer(200, [("content-encoding", "gzip")], gzip.compress(b"{}")), "/predict"),
        (JSON, OK, "/health"),
        (JSON, Answer(200, [], b"x" * 1001), "/predict"),
        ({**JSON, "Content-Length": "5"}, OK, "/predict"),
    ],
    ids=["explanation", "failed", "image", "packed request", "packed answer", "path", "large", "unread"],
)
def test_calls_that_are_not_to_be_captured_are_served_and_not_captured(tmp_path, ask, headers, answer, path):
    selection = Selection(skip_content_types=("image/",), paths=("/predict",), max_payload=1000)
    writer = CaptureWriter(tmp_path, "churn", selection=selection)
    assert ask(writer, b"{}  ", headers, answer, path).body == answer.body
    assert captured(writer) == []
    hides = any(name.lower() == "content-encoding" for name in (*headers, *dict(answer.headers)))
    assert writer.counts["encoded"] == hides
    assert writer.counts["unread"] == ("Content-Length" in headers)


def test_a_service_without_a_lifespan_is_captured(tmp_path):
    writer = CaptureWriter(tmp_path, "churn")

    async def service(scope: Any, receive: Any, send: Any) -> None:
        raise ValueError(scope["type"])

    async def receive() -> dict[str, str]:
        return {"type": "lifespan.startup"}

    with pytest.raises(ValueError, match="lifespan"):
        asyncio.run(AsgiCapture(service, writer)({"type": "lifespan"}, receive, None))
    ask_asgi(writer, b"{}  ", JSON, OK)
    assert len(captured(writer)) == 1


def test_the_end_of_the_service_finishes_the_files(tmp_path):
    writer = CaptureWriter(tmp_path, "churn")
    writer.capture("1", "1")

    async def service(scope: Any, receive: Any, send: Any) -> None:
        await receive()

    async def receive() -> dict[str, str]:
        return {"type": "lifespan.shutdown"}

    asyncio.run(AsgiCapture(service, writer)({"type": "lifespan"}, receive, None))
    assert len(list(tmp_path.rglob("*.jsonl"))) == 1


def test_a_call_is_captured_before_its_answer_has_gone_out(tmp_path):
    writer = CaptureWriter(tmp_path, "churn")

    def wsgi(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        start_response("200 OK", [("Content-Type", "text/csv"), ("Content-Length", "3")])
        return [b"0.", b"5"]

    environ = {"REQUEST_METHOD": "POST", "PATH_INFO": "/", "wsgi.input": io.BytesIO(b"1")}

    async def asgi(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"0.", "more_body": True})
        await send({"type": "http.response.body", "body": b"5"})

    async def send(message: Any) -> None:
        if message["type"] == "http.response.body":
            seen.append(len(writer._waiting))

    scope = {"type": "http", "method": "POST", "path": "/", "headers": []}
    with mock.patch.object(writer, "_run"):
        seen = [len(writer._waiting) for _ in WsgiCapture(wsgi, writer)(environ, lambda *_: None)]
        asyncio.run(AsgiCapture(asgi, writer)(scope, None, send))
    writer.close()
    assert seen == [0, 1, 1, 2]
