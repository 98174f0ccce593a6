"""Receives what model servers log, and writes it as captures: ``capture-receiver --folder /captures``.

It takes the CloudEvents that KServe's inference logger sends (structured and binary mode, both protocol
versions; Seldon's and MLServer's are the same), with request and response joined by their id, and plain
JSON posts of one call: ``{"request": …, "response": …, "id": …, "time": …}``.

========================  ==============================================================
``POST /`` or any path    one event, or one call
``GET /healthz``          200 while captures can be written
``GET /metrics``          counts, in Prometheus' text format
========================  ==============================================================

Answers: 202 taken, 4xx with a sentence when it cannot be, 503 when captures cannot be written now.
"""

import argparse
import base64
import contextlib
import hmac
import ipaddress
import json
import math
import os
import time
from collections import OrderedDict
from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from model_monitor_capture.middleware import PLAIN, Receive, Send, header_texts
from model_monitor_capture.writer import LAST, CaptureWriter, Selection

TOKEN_VARIABLE = "CAPTURE_TOKEN"  # noqa: S105 - its name
_MEMBERS = ("request", "response", "id", "time", "service", "request_type", "response_type")
_FIRST = 315_532_800  # 1980: earlier ones are numbers of another kind
# What a half takes besides its payload, about.
_HALF_BYTES = 1000


class Refused(Exception):  # noqa: N818 - it is an answer, not a fault
    """An answer: its arguments are a status and a sentence."""


@dataclass(eq=False)
class Receiver:
    """The ASGI application.

    Parameters
    ----------
    folder
        Where captures go, below ``folder/SERVICE/COMPONENT``.
    token
        What requests must carry: as a bearer token, or as the password of basic authentication.
    most_bytes
        Size of one event.
    patience
        Seconds for which one half of a call waits for the other; then it is written alone.
    most_waiting
        Bytes of halves that wait at most; beyond that the oldest is written alone.
    most_services
        Services that may have a folder; events of further ones are refused.
    """

    folder: str
    token: str | None = None
    most_bytes: int = 8 << 20
    patience: float = 300.0
    most_waiting: int = 128 << 20
    most_services: int = 200

    def __post_init__(self) -> None:
        """Begin with nothing that waits."""
        if self.most_bytes < 1:
            raise ValueError(f"most_bytes is {self.most_bytes}; it is a number of bytes, 1 or more")
        self._writers: dict[tuple[str, str], CaptureWriter] = {}
        self._halves: OrderedDict[tuple[str, str, str], tuple[float, dict[str, Any]]] = OrderedDict()
        self._waiting_bytes = 0
        self.counts = dict.fromkeys(("received", "refused", "alone"), 0)

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        """Serve one request, or the life of the server."""
        if scope["type"] == "lifespan":
            await receive()
            await send({"type": "lifespan.startup.complete"})
            await receive()
            self.close()
            await send({"type": "lifespan.shutdown.complete"})
            return
        try:
            status, text = await self._answer(scope, receive)
        except Refused as refused:
            self.counts["refused"] += 1
            status, text = refused.args
        body, kind = text.encode(), b"text/plain; charset=utf-8"
        headers = [(b"content-type", kind), (b"content-length", str(len(body)).encode())]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    async def _answer(self, scope: Mapping[str, Any], receive: Receive) -> tuple[int, str]:
        headers = header_texts(scope["headers"])
        if scope["method"] == "GET" and scope["path"] == "/healthz":
            writable = os.access(self.folder, os.W_OK)
            return (200, "ok\n") if writable else (503, f"{self.folder} cannot be written\n")
        self._authorise(headers)
        if scope["method"] == "GET" and scope["path"] == "/metrics":
            return 200, self._metrics()
        if scope["method"] != "POST":
            raise Refused(405, "events come by POST\n")
        self.take(headers, await self._body(receive))
        return 202, ""

    def _authorise(self, headers: Mapping[str, str]) -> None:
        if self.token is None:
            return
        scheme, _, given = headers.get("authorization", "").partition(" ")
        if scheme.lower() == "basic":
            try:
                given = base64.b64decode(given, validate=True).decode().partition(":")[2]
            except ValueError:
                given = ""
        if not hmac.compare_digest(given.strip().encode(), self.token.encode()):
            raise Refused(401, "the token is missing or wrong\n")

    async def _body(self, receive: Receive) -> bytes:
        parts, size, more = [], 0, True
        while more:
            message = await receive()
            if message["type"] != "http.request":
                raise Refused(400, "the connection ended within the event\n")
            parts.append(message.get("body", b""))
            size += len(parts[-1])
            if size > self.most_bytes:
                raise Refused(413, f"an event may have {self.most_bytes} bytes\n")
            more = message.get("more_body", False)
        return b"".join(parts)

    def take(self, headers: Mapping[str, str], body: bytes) -> None:
        """Take one event or one call.

        Raises
        ------
        Refused
            When it is neither, or captures cannot be written now.
        """
        self._expire(time.monotonic() - self.patience)
        if (packed := headers.get("content-encoding", "")) not in PLAIN:
            raise Refused(415, f"the body is packed with {packed}; send it as it is\n")
        if "ce-type" in headers:
            event: Any = {name[3:]: value for name, value in headers.items() if name.startswith("ce-")}
            self._take_event(event, body, headers.get("content-type"))
        else:
            try:
                event = json.loads(body)
            except (ValueError, RecursionError):
                raise Refused(400, "the body is no JSON\n") from None
            if not isinstance(event, dict):
                raise Refused(400, "the body is no JSON object\n")
            if "specversion" in event:
                self._take_event(event, _data(event), event.get("datacontenttype") or "application/json")
            else:
                self._take_call(event)
        self.counts["received"] += 1

    def _take_event(self, event: dict[str, Any], data: bytes, content_type: str | None) -> None:
        kind = str(event.get("type", ""))
        side = kind.rpartition(".")[2]
        if side not in ("request", "response"):
            raise Refused(400, f"type is {kind!r}; it ends with .request or .response\n")
        if not (content_type is None or isinstance(content_type, str)):
            raise Refused(400, f"datacontenttype is {json.dumps(content_type)}; it is a text\n")
        call = event.get("requestid") or event.get("id")
        if not call:
            raise Refused(400, "the event has no id\n")
        if not data:
            raise Refused(400, "the event has no data\n")
        service = _folder_name(event.get("inferenceservicename") or event.get("modelid") or "service")
        component = _folder_name(event.get("component") or "predictor")
        half = {side: data, f"{side}_type": content_type, "seconds": _seconds(event.get("time"))}
        key = (service, component, str(call))
        first = self._forget(key)
        if not first or side in first:
            # The same half again takes the place of the first.
            self._keep(key, half)
            while self._waiting_bytes > self.most_waiting:
                self._write_alone(next(iter(self._halves)))
            return
        whole = {**half, **first} if "request" in first else {**first, **half}
        try:
            self._write(key, whole)
        except Refused:
            # The half that came now may come again.
            self._keep(key, first)
            raise

    def _take_call(self, event: dict[str, Any]) -> None:
        if "request" not in event:
            raise Refused(400, "the call has no member request, and is no CloudEvent either\n")
        if unknown := sorted(event.keys() - set(_MEMBERS)):
            raise Refused(400, f"the call has a member {unknown[0]!r}; known are {', '.join(_MEMBERS)}\n")
        for name in ("id", "service", "request_type", "response_type"):
            value = event.get(name)
            is_number = name == "id" and isinstance(value, (int, float)) and not isinstance(value, bool)
            if not (value is None or isinstance(value, str) or is_number):
                raise Refused(400, f"{name} is {json.dumps(value)}; it is a text\n")
        sides: dict[str, Any] = {"seconds": _seconds(event.get("time"))}
        for side in ("request", "response"):
            if side in event:
                value = event[side]
                is_csv = isinstance(value, str) and not value.lstrip().startswith(("{", "["))
                default = "text/csv" if is_csv else "application/json"
                sides[side] = _encoded(value)
                sides[f"{side}_type"] = event.get(f"{side}_type") or default
        service, known_as = _folder_name(event.get("service") or "service"), event.get("id")
        self._write((service, "AllTraffic", "" if known_as is None else str(known_as)), sides)

    def _write(self, key: tuple[str, str, str], sides: dict[str, Any]) -> None:
        writer = self._writers.get(key[:2])
        if writer is None:
            if len(self._writers) >= self.most_services:
                raise Refused(429, f"captures are written for {self.most_services} services at most\n")
            selection = Selection(max_payload=self.most_bytes)
            writer = self._writers[key[:2]] = CaptureWriter(self.folder, *key[:2], selection=selection)
        taken = writer.capture(
            sides.get("request", b""),
            sides.get("response"),
            request_type=sides.get("request_type", "application/json"),
            response_type=sides.get("response_type", "application/json"),
            inference_id=key[2] or None,
            seconds=sides["seconds"],
        )
        if taken is None:
            raise Refused(503, "captures cannot be written now; try again later\n")

    def _keep(self, key: tuple[str, str, str], half: dict[str, Any]) -> None:
        self._halves[key] = (time.monotonic(), half)
        self._waiting_bytes += _size(half)

    def _forget(self, key: tuple[str, str, str]) -> dict[str, Any]:
        """Take a half from those that wait; empty where none does."""
        _, half = self._halves.pop(key, (0.0, {}))
        if half:
            self._waiting_bytes -= _size(half)
        return half

    def _write_alone(self, key: tuple[str, str, str]) -> None:
        half = self._forget(key)
        self.counts["alone"] += 1
        if "request" in half:
            # The event that makes room is not at fault where this one cannot be written.
            with contextlib.suppress(Refused):
                self._write(key, half)

    def _expire(self, oldest: float) -> None:
        while self._halves:
            key, (since, _) = next(iter(self._halves.items()))
            if since > oldest:
                return
            self._write_alone(key)

    def close(self) -> None:
        """Write what waits, halves too, and finish the files."""
        self._expire(time.monotonic() + 1)
        for writer in self._writers.values():
            writer.close()

    def _metrics(self) -> str:
        lines = [f"capture_events_{name}_total {count}" for name, count in self.counts.items()]
        lines.append(f"capture_halves_waiting {len(self._halves)}")
        for (service, component), writer in self._writers.items():
            labels = f'{{service="{service}",component="{component}"}}'
            lines += [f"capture_calls_{name}_total{labels} {count}" for name, count in writer.counts.items()]
        return "\n".join(lines) + "\n"


def _data(event: Mapping[str, Any]) -> bytes:
    if "data_base64" in event:
        try:
            return base64.b64decode(event["data_base64"], validate=True)
        except (TypeError, ValueError):
            raise Refused(400, "data_base64 is no BASE64\n") from None
    return _encoded(event.get("data", ""))


def _encoded(value: object) -> bytes:
    return (value if isinstance(value, str) else json.dumps(value)).encode(errors="replace")


def _size(half: Mapping[str, Any]) -> int:
    return len(half.get("request") or half.get("response") or b"") + _HALF_BYTES


def _folder_name(text: object) -> str:
    """Return a name that stays one folder, whatever an event says."""
    name = "".join(letter if letter.isalnum() or letter in "-_" else "_" for letter in str(text))[:100]
    return name or "service"


def _seconds(value: object) -> float:
    """Return a time given as ISO 8601, or as seconds to microseconds since 1970; now without one."""
    if value in (None, ""):
        return time.time()
    try:
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            number = float(value)
        else:
            moment = datetime.fromisoformat(str(value).replace("Z", "+00:00"))
            number = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
        while 1e11 < number < math.inf:
            number /= 1000
        if not _FIRST <= number < LAST:
            raise ValueError(value)
    except (ValueError, OverflowError):
        raise Refused(
            400, f"time is {value!r}; it is ISO 8601, or seconds since 1970, after 1980\n"
        ) from None
    return number


def main(arguments: list[str] | None = None) -> int:
    """Run the receiver until it is told to stop."""
    about = "Write what model servers log as captures."
    parser = argparse.ArgumentParser("capture-receiver", description=about)
    parser.add_argument("--folder", default="/captures", help="where captures go (default %(default)s)")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default %(default)s)")
    parser.add_argument("--port", type=int, default=8080, help="port to listen on (default %(default)s)")
    parser.add_argument(
        "--most-bytes", type=int, default=8 << 20, help="size of one event (default %(default)s)"
    )
    given = parser.parse_args(arguments)
    token = os.environ.get(TOKEN_VARIABLE, "").strip() or None
    if token is None and not _is_loopback(given.host):
        parser.error(
            f"--host {given.host} can be reached from elsewhere; set {TOKEN_VARIABLE}, "
            "which requests then carry as a bearer token or as the password of basic authentication."
        )
    try:
        Path(given.folder).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        parser.error(f"--folder {given.folder} cannot be made: {error.strerror}.")
    try:
        receiver = Receiver(given.folder, token, most_bytes=given.most_bytes)
        import uvicorn
    except (ValueError, ImportError) as error:
        fix = "; pip install 'model-monitor-capture[receiver]'" if isinstance(error, ImportError) else ""
        parser.error(f"{error}{fix}.")
    uvicorn.run(receiver, host=given.host, port=given.port, log_level="warning", access_log=False)
    return 0


def _is_loopback(host: str) -> bool:
    with contextlib.suppress(ValueError):
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    return False
