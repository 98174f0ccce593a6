"""Middleware that captures the calls of a service: ASGI (FastAPI, Starlette) and WSGI (Flask, Django)."""

import functools
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, MutableMapping
from typing import Any

from model_monitor_capture.writer import ID_HEADER, NO_CAPTURE_HEADER, CaptureWriter, new_id

# As ASGI has them.
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
PLAIN = ("", "identity")


class _Call:
    """A call under way that is to be captured: what is known of it so far."""

    def __init__(self, writer: CaptureWriter, headers: Mapping[str, str], id_header: str) -> None:
        self._writer = writer
        self._headers = headers
        self._answer: Mapping[str, str] = {}
        self._status = 0
        self._began = time.time()
        self._event_id = new_id()
        self._given = headers.get(id_header.lower()) or None
        self.known_as = self._given or self._event_id
        self.request, self.response = bytearray(), bytearray()

    def keep(self, side: bytearray, data: bytes) -> bytes:
        """Keep what passes of one side, until one byte more than the writer takes; return it."""
        side += data[: self._writer.selection.max_payload + 1 - len(side)]
        return data

    def answered(self, status: int, headers: Mapping[str, str]) -> None:
        """Note the beginning of the answer."""
        self._status, self._answer = status, headers

    def is_whole(self) -> bool:
        """Return whether the answer is as long as its header says."""
        return self._answer.get("content-length") == str(len(self.response))

    def _announced(self) -> int:
        """Return how many bytes of the request there should be, up to where `keep` ends."""
        text = self._headers.get("content-length", "")
        return min(int(text) if text.isdecimal() else 0, self._writer.selection.max_payload + 1)

    def write(self) -> None:
        """Capture the call once, unless it failed or an encoding hides the answer."""
        status, self._status = self._status, 0
        if not 200 <= status < 300:
            return
        if {side.get("content-encoding", "").lower() for side in (self._headers, self._answer)} - set(PLAIN):
            self._writer.counts["encoded"] += 1
        elif len(self.request) < self._announced():
            self._writer.counts["unread"] += 1
        else:
            self._writer.capture(
                bytes(self.request),
                bytes(self.response),
                request_type=self._headers.get("content-type"),
                response_type=self._answer.get("content-type"),
                inference_id=self._given,
                event_id=self._event_id,
                seconds=self._began,
            )


def _is_wanted(writer: CaptureWriter, method: str, path: str, headers: Mapping[str, str]) -> bool:
    return method == "POST" and writer.selection.takes_path(path) and NO_CAPTURE_HEADER.lower() not in headers


def header_texts(headers: Iterable[tuple[bytes, bytes]]) -> dict[str, str]:
    """Return ASGI headers as text, names in lower case."""
    return {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in headers}


class _Capture:
    """What both have: a service, a writer, and the header with the caller's id."""

    def __init__(self, app: Callable[..., Any], writer: CaptureWriter, id_header: str = ID_HEADER) -> None:
        self._app = app
        self._writer = writer
        self._id_header = id_header


class AsgiCapture(_Capture):
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
    as requests that explain a model do, an encoding such as gzip hides the payload, or the service did not
    read the request to its end.
    """

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        """Serve one request, or the life of the service."""
        if scope["type"] == "lifespan":

            async def living() -> Message:
                message = await receive()
                if message["type"] == "lifespan.shutdown":
                    self._writer.close()
                return message

            await self._app(scope, living, send)  # services without a lifespan raise here, and are served
            return
        headers = header_texts(scope.get("headers", ()))
        if scope["type"] != "http" or not _is_wanted(self._writer, scope["method"], scope["path"], headers):
            await self._app(scope, receive, send)
            return
        call = _Call(self._writer, headers, self._id_header)

        async def receiving() -> Message:
            message = await receive()
            if message["type"] == "http.request":
                call.keep(call.request, message.get("body", b""))
            return message

        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start":
                given = list(message.get("headers", ()))
                call.answered(message["status"], header_texts(given))
                own = (self._id_header.lower().encode(), call.known_as.encode("latin-1"))
                message = {**message, "headers": [*given, own]}
            elif message["type"] == "http.response.body":
                call.keep(call.response, message.get("body", b""))
                if not message.get("more_body", False):
                    call.write()  # first: what was answered is kept, even when the process ends now
            await send(message)

        await self._app(scope, receiving, sending)


class WsgiCapture(_Capture):
    """WSGI middleware: ``app.wsgi_app = WsgiCapture(app.wsgi_app, CaptureWriter("/captures", "my-model"))``.

    It captures what `AsgiCapture` captures.
    """

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        """Serve one request."""
        headers = {
            name.removeprefix("HTTP_").replace("_", "-").lower(): value
            for name, value in environ.items()
            if name.startswith("HTTP_") or (name in ("CONTENT_TYPE", "CONTENT_LENGTH") and value)
        }
        method, path = environ["REQUEST_METHOD"], environ.get("PATH_INFO", "")
        if not _is_wanted(self._writer, method, path, headers):
            parts: Iterable[bytes] = self._app(environ, start_response)
            return parts
        return self._captured(_Call(self._writer, headers, self._id_header), environ, start_response)

    def _captured(
        self, call: _Call, environ: dict[str, Any], start_response: Callable[..., Any]
    ) -> Iterator[bytes]:
        environ["wsgi.input"] = _Tee(environ["wsgi.input"], functools.partial(call.keep, call.request))

        def starting(text: str, headers: list[tuple[str, str]], *rest: Any) -> Any:
            call.answered(int(text.split()[0]), {name.lower(): value for name, value in headers})
            return start_response(text, [*headers, (self._id_header, call.known_as)], *rest)

        parts = self._app(environ, starting)
        try:
            for part in parts:
                call.keep(call.response, part)
                if call.is_whole():
                    call.write()
                yield part
        finally:
            getattr(parts, "close", lambda: None)()
        call.write()


class _Tee:
    """A request's stream that keeps what is read of it."""

    def __init__(self, stream: Any, keep: Callable[[bytes], bytes]) -> None:
        self._stream = stream
        self._kept = keep

    def read(self, *size: int) -> bytes:
        return self._kept(self._stream.read(*size))

    def readline(self, *size: int) -> bytes:
        return self._kept(self._stream.readline(*size))

    def readlines(self, *hint: int) -> list[bytes]:
        return [self._kept(line) for line in self._stream.readlines(*hint)]

    def __iter__(self) -> Iterator[bytes]:
        return map(self._kept, self._stream)
