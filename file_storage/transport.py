"""One request and its answer, over HTTP with connections kept alive.

Retrying and the size of requests are decided in `model_clients.batching`; a channel only sends.
"""

from __future__ import annotations

import base64
import contextlib
import email.utils
import functools
import http.client
import io
import os
import queue
import socket
import ssl
import threading
import time
import weakref
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol
from urllib.parse import SplitResult, unquote, urlsplit

from contract.errors import ConfigurationError
from contract.masking import mask

USER_AGENT = "model-monitor"
# Eight requests are under way at once, and what is answered lies in memory.
MOST_ANSWER_BYTES = 16 << 20
_CHUNK = 1 << 16
_BROKEN = (ConnectionResetError, BrokenPipeError, ConnectionAbortedError, http.client.HTTPException)


class ChannelError(Exception):
    """A request that got no answer.

    `kind` is ``unreachable`` (not connected), ``broken`` (closed before the answer was complete) or ``slow``
    (no whole answer within the time allowed) or ``large`` (an answer of more bytes than are read).
    """

    def __init__(self, kind: Literal["unreachable", "broken", "slow", "large"], text: str) -> None:
        super().__init__(text)
        self.kind = kind


@dataclass(frozen=True)
class Reply:
    """An answer: its status, its bytes, and the seconds it asks to wait, if it does."""

    status: int
    body: bytes
    retry_after: float | None = None


class Channel(Protocol):
    """A way to an endpoint; used by several threads at once."""

    @property
    def where(self) -> str:
        """Return the address, for messages."""

    def send(self, body: bytes) -> Reply:
        """Send one request.

        Raises
        ------
        ChannelError
            When no answer comes.
        """

    def close(self) -> None:
        """Close all connections."""


@dataclass
class HttpChannel:
    """POST requests to one URL.

    Parameters
    ----------
    url
        ``http://`` or ``https://``; ``user:password@`` is sent as the header it means.
    headers
        Of every request.
    timeout
        Seconds until connected, and from then until the answer is whole.
    """

    url: str
    headers: Mapping[str, str]
    timeout: float
    _idle: queue.LifoQueue[http.client.HTTPConnection] = field(
        default_factory=queue.LifoQueue, repr=False, compare=False
    )
    _closed: threading.Event = field(default_factory=threading.Event, repr=False, compare=False)

    def __post_init__(self) -> None:
        # A host of a cluster lets go of jobs without closing what they opened.
        weakref.finalize(self, _close_all, self._idle)

    @property
    def where(self) -> str:
        """Return the URL without its secrets."""
        return mask(self.url)

    def send(self, body: bytes) -> Reply:
        """Send one request, see `Channel.send`."""
        return self.request("POST", urlsplit(self.url), body)

    def get(self, path: str) -> Reply:
        """Ask for another path of the same server."""
        return self.request("GET", urlsplit(self.url)._replace(path=path, query=""), None)

    def request(self, method: str, parts: SplitResult, body: bytes | None) -> Reply:
        """Send any request; a kept connection that the server has closed is replaced once."""
        path = parts.path or "/"
        target = f"{path}?{parts.query}" if parts.query else path
        with contextlib.suppress(queue.Empty):
            connection = self._idle.get_nowait()
            try:
                return self._exchange(connection, method, target, body)
            except ChannelError as error:
                if error.kind != "broken":
                    raise
        return self._exchange(self._connect(), method, target, body)

    def close(self) -> None:
        """Close the connections that are kept, and those under way as soon as they have their answers."""
        self._closed.set()
        _close_all(self._idle)

    @functools.cached_property
    def _credentials(self) -> dict[str, str]:
        parts = urlsplit(self.url)
        if parts.username is None:
            return {}
        pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}".encode()
        return {"Authorization": f"Basic {base64.b64encode(pair).decode()}"}

    def _connect(self) -> http.client.HTTPConnection:
        parts = urlsplit(self.url)
        host = parts.hostname or ""
        connection = (
            http.client.HTTPSConnection(
                host, parts.port, timeout=self.timeout, context=ssl.create_default_context()
            )
            if parts.scheme == "https"
            else http.client.HTTPConnection(host, parts.port, timeout=self.timeout)
        )
        try:
            connection.connect()
        except OSError as error:
            raise _unanswered(error, self.timeout) from error
        return connection

    def _exchange(
        self, connection: http.client.HTTPConnection, method: str, target: str, body: bytes | None
    ) -> Reply:
        response: http.client.HTTPResponse | None = None
        deadline = time.monotonic() + self.timeout
        connection.response_class = functools.partial(_TimedResponse, deadline)  # type: ignore[assignment] # makes one
        connection.sock.settimeout(self.timeout)  # a kept one still has what was left of the last answer
        try:
            # A server that refuses the body may have answered, and stopped reading.
            with contextlib.suppress(BrokenPipeError):
                connection.request(method, target, body, {**self._credentials, **self.headers})
            response = connection.getresponse()
            content = read_bounded(response.read, deadline)
            if response.length:  # bytes announced that never came
                raise http.client.IncompleteRead(content, response.length)
        except BaseException as error:
            if response is not None:
                response.close()
            connection.close()
            if not isinstance(error, OSError | http.client.HTTPException):
                raise
            if isinstance(error, _BROKEN):
                text = "it closed the connection before its answer was complete"
                raise ChannelError("broken", text) from error
            raise _unanswered(error, self.timeout) from error
        if response.will_close:
            connection.close()
        else:
            self._idle.put(connection)
            if self._closed.is_set():
                _close_all(self._idle)
        return Reply(response.status, content, _retry_after(response.headers.get("Retry-After")))


def _close_all(connections: queue.LifoQueue[http.client.HTTPConnection]) -> None:
    with contextlib.suppress(queue.Empty):
        while True:
            connections.get_nowait().close()


class _TimedResponse(http.client.HTTPResponse):
    """A response that must be whole at a deadline, however many small parts it comes in."""

    def __init__(self, deadline: float, connection: socket.socket, method: str | None = None) -> None:
        super().__init__(connection, method=method)
        raw = _TimedReader(connection, self.fp.detach(), deadline)
        self.fp = io.BufferedReader(raw)


class _TimedReader(io.RawIOBase):
    def __init__(self, connection: socket.socket, raw: io.RawIOBase, deadline: float) -> None:
        self._connection, self._raw, self._deadline = connection, raw, deadline

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> Any:
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError
        self._connection.settimeout(left)
        return self._raw.readinto(buffer)

    def close(self) -> None:
        self._raw.close()
        super().close()


def read_bounded(read: Callable[[int], bytes], deadline: float) -> bytes:
    """Return all that `read` gives.

    Raises
    ------
    ChannelError
        When it is more than is read of any answer, or comes too slowly.
    """
    parts, size = [], 0
    while part := read(_CHUNK):
        parts.append(part)
        size += len(part)
        if size > MOST_ANSWER_BYTES:
            raise ChannelError("large", f"its answer is larger than {MOST_ANSWER_BYTES >> 20} MB")
        if time.monotonic() > deadline:
            raise TimeoutError
    return b"".join(parts)


# boto3 makes clients one at a time.
_making = threading.Lock()


def aws_client(service: str, whole: float, **config: Any) -> Any:
    """Return boto3's client of a service, by its standard chain of credentials.

    Its answers are read no further than `read_bounded` does; streams, which are read by whoever asked, are as
    they were.

    Parameters
    ----------
    service
        As boto3 names it; the region is ``AWS_REGION``'s, which boto3 leaves to other libraries.
    whole
        Seconds until an answer must be whole.
    config
        Of ``botocore.config.Config``.
    """
    import boto3
    from botocore.config import Config

    with _making:
        session = boto3.session.Session(region_name=os.environ.get("AWS_REGION"))
        client = session.client(service, config=Config(**config))

    def send(request: Any, **_: Any) -> Any:
        request.stream_output = True
        response = client._endpoint.http_session.send(request)
        response.raw = _BoundedBody(response.raw, time.monotonic() + whole)
        return response

    client.meta.events.register("before-send", send)
    return client


class _BoundedBody:
    def __init__(self, raw: Any, deadline: float) -> None:
        self._raw, self._deadline = raw, deadline

    def __getattr__(self, name: str) -> Any:
        return getattr(self._raw, name)

    def read(self, size: int) -> bytes:
        part: bytes = self._raw.read1(size)  # what is there, while `read` waits for all of it
        return part

    def stream(self) -> Iterator[bytes]:
        from botocore.exceptions import HTTPClientError

        try:
            yield read_bounded(self.read, self._deadline)
        except (ChannelError, TimeoutError) as error:
            self._raw.close()
            raise HTTPClientError(error=str(error) or "no whole answer in time") from error


def require_url(url: str) -> SplitResult:
    """Return the parts of a URL.

    Raises
    ------
    ConfigurationError
        When it is none that can be asked.
    """
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        usable = False
    if not usable or any(character.isspace() or ord(character) < 33 for character in url):
        raise ConfigurationError(
            f"model {url!r} is not a usable address; write it as http://host:port/invocations, and what is "
            "special in a user or password with %: / as %2F, @ as %40."
        )
    return parts


def _unanswered(error: OSError, timeout: float) -> ChannelError:
    if isinstance(error, TimeoutError):
        return ChannelError("slow", f"no answer within {round(timeout, 2):g} s")
    reason = " ".join((error.strerror or str(error) or type(error).__name__).split())
    return ChannelError("unreachable", reason.lower()[:200])


def _retry_after(value: str | None) -> float | None:
    """Return the seconds of a ``Retry-After`` header, which holds seconds or a date."""
    if not value:
        return None
    try:
        return max(0.0, float(value))
    except ValueError:
        pass
    try:
        return max(0.0, email.utils.parsedate_to_datetime(value).timestamp() - time.time())
    except (TypeError, ValueError, OverflowError):
        return None
