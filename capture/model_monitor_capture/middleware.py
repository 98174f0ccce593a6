"""Middleware that captures the calls of a service: ASGI (FastAPI, Starlette) and WSGI (Flask, Django)."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Iterable, Iterator, MutableMapping
from typing import Any

from model_monitor_capture.record import ID_HEADER, NO_CAPTURE_HEADER, new_id
from model_monitor_capture.writer import CaptureWriter

_Message = MutableMapping[str, Any]
_Receive = Callable[[], Awaitable[_Message]]
_Send = Callable[[_Message], Awaitable[None]]
_AsgiApp = Callable[[MutableMapping[str, Any], _Receive, _Send], Awaitable[None]]
_PLAIN = ("", "identity")


class _Body:
    """The bytes of one side, until they are too many."""

    def __init__(self, most: int) -> None:
        self._parts: list[bytes] = []
        self._most = most
        self.size = 0

    def add(self, data: bytes) -> None:
        self.size += len(data)
        if self.size <= self._most + 1:
            self._parts.append(data)

    def content(self) -> bytes:
        # One byte more than allowed is enough for the writer to count it as too large.
        return b"".join(self._parts) if self.size <= self._most else bytes(self._most + 1)


class AsgiCapture:
    """ASGI middleware: ``app.add_middleware(AsgiCapture, writer=CaptureWriter("/captures", "my-model"))``.

    Parameters
    ----------
    app
        The service.
    writer
        Where captures go. It is closed when the server shuts the service down.
    id_header
        The request header with the caller's id; the answer names the id in it.

    Notes
    -----
    POST requests with an answer of 2xx are captured, unless the header ``X-Model-Monitor-No-Capture`` is set,
    as requests that explain a model do, or an encoding such as gzip hides the payload.
    """

    def __init__(self, app: _AsgiApp, writer: CaptureWriter, id_header: str = ID_HEADER) -> None:
        self._app = app
        self._writer = writer
        self._id_header = id_header.lower().encode()

    async def __call__(self, scope: MutableMapping[str, Any], receive: _Receive, send: _Send) -> None:
        """Serve one request, or the life of the service."""
        if scope["type"] == "lifespan":
            try:
                await self._app(scope, receive, send)
            finally:
                self._writer.close()
            return
        headers = {name.lower(): value for name, value in scope.get("headers", ())}
        wanted = (
            scope["type"] == "http"
            and scope["method"] == "POST"
            and self._writer.selection.takes_path(scope["path"])
            and NO_CAPTURE_HEADER.lower().encode() not in headers
            and headers.get(b"content-encoding", b"").decode("latin-1") in _PLAIN
        )
        if not wanted:
            await self._app(scope, receive, send)
            return
        began = time.time()
        given = headers.get(self._id_header, b"").decode("latin-1") or None
        event_id = new_id()
        most = self._writer.selection.max_payload
        request, response = _Body(most), _Body(most)
        status, answer_headers = 0, {}

        async def receiving() -> _Message:
            message = await receive()
            if message["type"] == "http.request":
                request.add(message.get("body", b""))
            return message

        async def sending(message: _Message) -> None:
            nonlocal status, answer_headers
            if message["type"] == "http.response.start":
                status = message["status"]
                answer_headers = {name.lower(): value for name, value in message.get("headers", ())}
                own = (self._id_header, (given or event_id).encode("latin-1"))
                message = {**message, "headers": [*message.get("headers", ()), own]}
            elif message["type"] == "http.response.body":
                response.add(message.get("body", b""))
            await send(message)

        await self._app(scope, receiving, sending)
        if 200 <= status < 300 and answer_headers.get(b"content-encoding", b"").decode("latin-1") in _PLAIN:
            self._writer.capture(
                request.content(),
                response.content(),
                request_type=_text(headers.get(b"content-type")),
                response_type=_text(answer_headers.get(b"content-type")),
                inference_id=given,
                event_id=event_id,
                seconds=began,
            )


def _text(value: bytes | None) -> str | None:
    return None if value is None else value.decode("latin-1")


class WsgiCapture:
    """WSGI middleware: ``app.wsgi_app = WsgiCapture(app.wsgi_app, CaptureWriter("/captures", "my-model"))``.

    It captures what `AsgiCapture` captures.
    """

    def __init__(
        self, app: Callable[..., Iterable[bytes]], writer: CaptureWriter, id_header: str = ID_HEADER
    ) -> None:
        self._app = app
        self._writer = writer
        self._id_header = id_header

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        """Serve one request."""
        wanted = (
            environ["REQUEST_METHOD"] == "POST"
            and self._writer.selection.takes_path(environ.get("PATH_INFO", ""))
            and _variable(NO_CAPTURE_HEADER) not in environ
            and environ.get("HTTP_CONTENT_ENCODING", "") in _PLAIN
        )
        if not wanted:
            return self._app(environ, start_response)
        return self._captured(environ, start_response)

    def _captured(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterator[bytes]:
        began = time.time()
        given = environ.get(_variable(self._id_header)) or None
        event_id = new_id()
        most = self._writer.selection.max_payload
        request, response = _Body(most), _Body(most)
        environ["wsgi.input"] = _Tee(environ["wsgi.input"], request)
        answer: dict[str, str] = {}
        status = 0

        def starting(text: str, headers: list[tuple[str, str]], *rest: Any) -> Any:
            nonlocal status
            status = int(text.split()[0])
            answer.update((name.lower(), value) for name, value in headers)
            return start_response(text, [*headers, (self._id_header, given or event_id)], *rest)

        parts = self._app(environ, starting)
        try:
            for part in parts:
                response.add(part)
                yield part
        finally:
            close = getattr(parts, "close", None)
            if close is not None:
                close()
        if 200 <= status < 300 and answer.get("content-encoding", "") in _PLAIN:
            self._writer.capture(
                request.content(),
                response.content(),
                request_type=environ.get("CONTENT_TYPE") or None,
                response_type=answer.get("content-type"),
                inference_id=given,
                event_id=event_id,
                seconds=began,
            )


class _Tee:
    """A request's stream that keeps what is read of it."""

    def __init__(self, stream: Any, body: _Body) -> None:
        self._stream = stream
        self._body = body

    def read(self, *size: int) -> bytes:
        return self._kept(self._stream.read(*size))

    def readline(self, *size: int) -> bytes:
        return self._kept(self._stream.readline(*size))

    def readlines(self, *hint: int) -> list[bytes]:
        return [self._kept(line) for line in self._stream.readlines(*hint)]

    def __iter__(self) -> Iterator[bytes]:
        for line in self._stream:
            yield self._kept(line)

    def _kept(self, data: bytes) -> bytes:
        self._body.add(data)
        return data


def _variable(header: str) -> str:
    return "HTTP_" + header.upper().replace("-", "_")
