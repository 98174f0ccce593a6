"""One request and its answer, over HTTP with connections kept alive.

Retrying and the size of requests are decided in `model_clients.endpoints`; a channel only sends.
"""

import base64
import contextlib
import http.client
import io
import socket
import ssl
import time
from collections.abc import Callable, Mapping
from typing import Any, Literal, NamedTuple, Protocol
from urllib.parse import SplitResult, unquote, urlsplit

from contract.errors import ConfigurationError
from contract.masking import mask
from contract.sink_addresses import http_parts
from contract.wording import one_line
from file_storage import s3

# Eight requests are under way at once, and what is answered lies in memory.
MOST_ANSWER_BYTES = 16 << 20


class ChannelError(Exception):
    """A request that got no answer.

    `kind` is ``unreachable`` (not connected), ``broken`` (closed before the answer was complete) or ``slow``
    (no whole answer within the time allowed) or ``large`` (an answer of more bytes than are read).
    """

    def __init__(self, kind: Literal["unreachable", "broken", "slow", "large"], text: str) -> None:
        super().__init__(text)
        self.kind = kind


class Reply(NamedTuple):
    """An answer: its status, its bytes, and the seconds it asks to wait, if it does."""

    status: int
    body: bytes
    retry_after: float | None = None


class Channel(Protocol):
    """A way to an endpoint; used by several threads at once."""

    # The address, for messages.
    where: str

    def send(self, body: bytes) -> Reply:
        """Send one request.

        Raises
        ------
        ChannelError
            When no answer comes.
        """

    def close(self) -> None:
        """Close all connections."""


class HttpChannel:
    """Requests to one server. Redirects are not followed, and proxies of the environment not used.

    Parameters
    ----------
    url
        ``http://`` or ``https://``; ``user:password@`` is sent as the header it means.
    headers
        Of every request.
    timeout
        Seconds until the whole answer is there.
    """

    def __init__(self, url: str, headers: Mapping[str, str], timeout: float) -> None:
        import urllib3

        self.url, self.where, self._timeout = url, mask(url), timeout
        self._headers = {"User-Agent": "model-monitor", **headers}
        parts = urlsplit(url)
        if parts.username is not None:
            who = f"{unquote(parts.username)}:{unquote(parts.password or '')}".encode()
            self._headers.setdefault("Authorization", f"Basic {base64.b64encode(who).decode()}")
        self._target = f"{parts.path or '/'}{parts.query and '?'}{parts.query}"
        # As many connections are kept as were in use at once.
        options: dict[str, Any] = {"timeout": urllib3.Timeout(total=timeout), "retries": False, "maxsize": 0}
        kind: type[urllib3.HTTPConnectionPool] = urllib3.HTTPConnectionPool
        if parts.scheme == "https":
            kind, options["ssl_context"] = urllib3.HTTPSConnectionPool, ssl.create_default_context()
        self._pool = kind(parts.hostname or "", parts.port, **options)
        answers_in_time = {"response_class": _TimedResponse}
        self._pool.ConnectionCls = type("_Connection", (kind.ConnectionCls,), answers_in_time)

    def send(self, body: bytes) -> Reply:
        """Send one request, see `Channel.send`."""
        return self.request("POST", body)

    def get(self, path: str) -> Reply:
        """Ask for another path of the same server."""
        return self.request("GET", None, path)

    def request(self, method: str, body: bytes | None, target: str | None = None) -> Reply:
        """Send any request, see `Channel.send`."""
        from urllib3.exceptions import HTTPError, InvalidHeader
        from urllib3.util import Retry

        try:
            response = self._pool.urlopen(
                method, target or self._target, body, self._headers, redirect=False, preload_content=False
            )
            with contextlib.closing(response):  # closes the connection too, unless the answer is whole
                content = read_bounded(response.read, self._timeout)
        except HTTPError as error:
            raise unanswered(error, self._timeout) from error
        pause: float | None = None
        with contextlib.suppress(InvalidHeader, ValueError, OverflowError):
            pause = Retry().get_retry_after(response)
        return Reply(response.status, content, pause)

    def close(self) -> None:
        """Close the connections that are kept, and those under way as soon as they have their answers."""
        self._pool.close()


def unanswered(error: Exception, seconds: float) -> ChannelError:
    """Return what an error of urllib3, or of boto3's client, means, by what it was raised from."""
    from urllib3.exceptions import ProtocolError, ReadTimeoutError

    chain: list[BaseException] = [error]
    while deeper := chain[-1].__cause__ or chain[-1].__context__:
        chain.append(deeper)
    for cause in chain:
        if isinstance(cause, ChannelError):
            return cause
        if isinstance(cause, TimeoutError | ReadTimeoutError):
            return ChannelError("slow", f"no answer within {round(seconds, 2):g} s")
    if any(isinstance(cause, ProtocolError) for cause in chain):
        return ChannelError("broken", "it closed the connection before its answer was complete")
    reason = next((cause.strerror for cause in chain if isinstance(cause, OSError)), None) or str(error)
    return ChannelError("unreachable", one_line(reason).lower()[:200])


class _TimedResponse(http.client.HTTPResponse):
    """A response that must be whole within its socket's timeout, however many small parts it comes in."""

    def __init__(self, connection: socket.socket, method: str | None = None) -> None:
        super().__init__(connection, method=method)
        self.fp = io.BufferedReader(_TimedReader(connection, self.fp.detach()))


class _TimedReader(io.RawIOBase):
    def __init__(self, connection: socket.socket, raw: io.RawIOBase) -> None:
        self._connection, self._raw = connection, raw
        self._deadline = time.monotonic() + (connection.gettimeout() or 0.0)

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


def readable(body: bytes, most: int) -> str:
    """Return the beginning of an answer on one line, for messages."""
    # Masked before it is cut: it may repeat what was sent, and half a secret is not found.
    text = mask(" ".join(body[:10_000].decode(errors="replace").split()))
    return text if len(text) <= most else f"{text[:most]}…"


def read_bounded(read: Callable[[int], bytes], seconds: float) -> bytes:
    """Return all that `read` gives, part by part.

    Raises
    ------
    ChannelError
        When it is more than is read of any answer, or comes too slowly.
    """
    parts, size, deadline = [], 0, time.monotonic() + seconds
    while part := read(1 << 16):
        parts.append(part)
        size += len(part)
        if size > MOST_ANSWER_BYTES:
            raise ChannelError("large", f"its answer is larger than {MOST_ANSWER_BYTES >> 20} MB")
        if time.monotonic() > deadline:
            raise ChannelError("slow", f"no answer within {round(seconds, 2):g} s")
    return b"".join(parts)


def aws_client(service: str, whole: float, **config: Any) -> Any:
    """Return boto3's client of a service, whose answers are read as `read_bounded` does.

    That goes for those it would stream, too; what reading raises is the cause of the client's
    HTTPClientError.

    Parameters
    ----------
    service
        As boto3 names it.
    whole
        Seconds until an answer must be whole.
    config
        Of ``botocore.config.Config``.
    """
    from botocore.exceptions import HTTPClientError
    from urllib3 import HTTPResponse
    from urllib3.exceptions import HTTPError

    client = s3.boto_client(service, **config)

    def send(request: Any, **_: Any) -> Any:
        request.stream_output = True
        response = client._endpoint.http_session.send(request)
        try:
            with contextlib.closing(response.raw) as raw:
                raw.enforce_content_length = True
                content = read_bounded(raw.read1, whole)
        except (ChannelError, HTTPError) as error:
            raise HTTPClientError(error=error) from error
        response.raw = HTTPResponse(io.BytesIO(content), preload_content=False)
        return response

    client.meta.events.register("before-send", send)
    return client


_THROTTLED = ("Throttling", "TooManyRequests", "RequestLimitExceeded")


def refused(error: Exception) -> tuple[str, str, int]:
    """Return the code, the text and the status of a service's refusal; empty and 0 where no answer came.

    Of a service that is asked too often it is status 429, which not all of them give.
    """
    from botocore.exceptions import ClientError

    if not isinstance(error, ClientError):
        return "", "", 0
    told, code = error.response.get("Error", {}), str(error.response.get("Error", {}).get("Code") or "")
    status = int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 500))
    return code, one_line(told.get("Message", "")), 429 if code.startswith(_THROTTLED) else status


def require_url(url: str) -> SplitResult:
    """Return the parts of a URL.

    Raises
    ------
    ConfigurationError
        When it is none that can be asked.
    """
    parts = http_parts(url)
    if parts is None:
        raise ConfigurationError.of("model_address.unusable", url=url)
    return parts
