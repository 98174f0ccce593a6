"""Sending parcels to sinks: side by side, tried again while it may help, given up when time is over."""

import contextlib
import logging
import os
import random
import re
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from operator import attrgetter
from typing import Any, NamedTuple

import orjson

from contract.errors import ConfigurationError
from contract.masking import learn
from contract.schema import nearest
from contract.sink_addresses import SinkAddress, host_of
from contract.wording import one_line
from file_storage import storage
from file_storage.transport import ChannelError, HttpChannel, aws_client, readable, refused

_FIRST_PAUSE = 0.5
_LONGEST_PAUSE = 10.0
_ATTEMPTS = 6
# A sink that hangs is asked this often within its time.
_TRIES_OF_A_HANGING_SINK = 3

_log = logging.getLogger(__name__)


class NotDeliveredError(Exception):
    """An attempt that failed.

    Parameters
    ----------
    text
        Why, without anything secret.
    again
        Whether another attempt may succeed.
    pause
        Seconds the sink asks to wait, if it does.
    """

    def __init__(self, text: str, *, again: bool, pause: float | None = None) -> None:
        super().__init__(text)
        self.again, self.pause = again, pause


class Delivery(NamedTuple):
    """Something to deliver.

    Parameters
    ----------
    address
        Where to, fit to be shown.
    content
        What it is, such as ``86 metrics``, for the log.
    send
        One attempt, within the seconds given; raises NotDeliveredError.
    """

    address: str
    content: str
    send: Callable[[float], None]


class Undelivered(NamedTuple):
    """A parcel that did not arrive: what, where to, and why, as half a sentence."""

    address: str
    content: str
    reason: str


def deliver(
    parcels: Sequence[Delivery], timeout: float, *, first_pause: float = _FIRST_PAUSE
) -> tuple[Undelivered, ...]:
    """Send all parcels side by side and return those that did not arrive, in order.

    Parameters
    ----------
    parcels
        Each has a thread of its own, so that a slow sink holds up no other.
    timeout
        Seconds for all attempts together.
    first_pause
        Seconds before the second attempt at most; doubles with each, and the real pause is drawn from the
        upper half, so that many jobs that failed together do not come back together.
    """
    deadline = time.monotonic() + timeout
    reasons: list[str | None] = [f"no answer within {timeout:g} s" for _ in parcels]

    def work(position: int) -> None:
        reasons[position] = _deliver(parcels[position], timeout, deadline, first_pause)

    # Daemons: a sink that trickles bytes for ever must not keep the process.
    threads = [threading.Thread(target=work, args=(i,), daemon=True) for i in range(len(parcels))]
    for thread in threads:
        thread.start()
    for thread in threads:
        # A little longer, for an attempt that ends with the time tells more than we know here.
        thread.join(max(0.0, deadline - time.monotonic()) + 0.25)
    ended = zip(parcels, tuple(reasons), strict=True)
    return tuple(Undelivered(one.address, one.content, reason) for one, reason in ended if reason is not None)


def _deliver(parcel: Delivery, timeout: float, deadline: float, pause: float) -> str | None:
    """Return why a parcel did not arrive, None when it did."""
    started = time.monotonic()
    for attempt in range(1, _ATTEMPTS + 1):
        left = deadline - time.monotonic()
        try:
            parcel.send(max(0.05, min(left, timeout / _TRIES_OF_A_HANGING_SINK)))
        except NotDeliveredError as error:
            failure = error
        except Exception as error:  # whatever a sink does to us, the job's result stands
            _log.debug("Sending to %s failed", parcel.address, exc_info=True)
            failure = NotDeliveredError(f"{type(error).__name__} while sending", again=False)
        else:
            seconds = time.monotonic() - started
            _log.info("Delivered %s to %s in %.1f s", parcel.content, parcel.address, seconds)
            return None
        wait = min(pause, _LONGEST_PAUSE) * random.uniform(0.5, 1.0)  # noqa: S311 - spreads load, guards nothing
        wait = max(wait, failure.pause or 0.0)
        last = attempt == _ATTEMPTS or time.monotonic() + wait >= deadline
        if last or not failure.again:
            times = "" if attempt == 1 else f" ({attempt} attempts in {time.monotonic() - started:.1f} s)"
            return f"{failure}{times}"
        _log.debug("%s: %s; trying again in %.1f s", parcel.address, failure, wait)
        time.sleep(wait)
        pause *= 2
    raise AssertionError("the last attempt returns")


# One request to an HTTP sink. Redirects are not followed: headers with secrets go to the host named.


# The server may do better next time: too slow, too many, or broken behind a gateway.
_AGAIN = (408, 425, 429, 500, 502, 503, 504)
_VARIABLE = re.compile(r"\$\{(\w*)\}")

Headers = Mapping[str, Mapping[str, str]]


def send(method: str, url: str, body: bytes, content_type: str, given: Headers, timeout: float) -> bytes:
    """Send one request, with the headers of its host, and return the body of an answer between 200 and 299.

    Raises
    ------
    NotDeliveredError
        When no such answer comes.
    """
    headers = {"Content-Type": content_type, **given.get(host_of(url), {})}
    with contextlib.closing(HttpChannel(url, headers, timeout)) as channel:
        try:
            reply = channel.request(method, body)
        except ChannelError as error:
            raise NotDeliveredError(str(error), again=error.kind != "large") from error
    if 200 <= reply.status < 300:
        return reply.body
    if 300 <= reply.status < 400:
        text = f"it answered {reply.status}, a redirect, which is not followed; name where it leads"
        raise NotDeliveredError(text, again=False)
    said = "".join(character for character in readable(reply.body, 300) if character.isprintable())
    text = f"it answered {reply.status}{f': {said}' if said else ''}"
    raise NotDeliveredError(text, again=reply.status in _AGAIN, pause=reply.retry_after)


# One call of an AWS service through boto3: region, credentials and endpoint by its standard chain.


def call(service: str, operation: str, arguments: dict[str, Any], timeout: float) -> dict[str, Any]:
    """Call one operation once.

    Parameters
    ----------
    service, operation
        As boto3 names them, such as ``cloudwatch`` and ``put_metric_data``.

    Raises
    ------
    NotDeliveredError
        When there is no answer, or a refusal.
    """
    from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError

    try:
        # Attempts are counted by whoever calls.
        once = {"total_max_attempts": 1}
        client = aws_client(service, timeout, retries=once, connect_timeout=timeout, read_timeout=timeout)
        try:
            answer: dict[str, Any] = getattr(client, operation)(**arguments)
        finally:
            client.close()
    except ClientError as error:
        code, text, status = refused(error)
        raise NotDeliveredError(f"{code}: {text}", again=status >= 500 or status == 429) from error
    except HTTPClientError as error:
        raise NotDeliveredError(one_line(error), again=True) from error
    except BotoCoreError as error:  # no region, no credentials, or arguments that the service does not know
        raise NotDeliveredError(one_line(error), again=False) from error
    return answer


# The headers of HTTP sinks.


def read_headers(path: str | None, addresses: Iterable[SinkAddress]) -> Headers:
    """Return headers by host from ``sink_headers_file``.

    Parameters
    ----------
    path
        JSON such as ``{"hooks.example.com": {"Authorization": "Bearer ${TOKEN}"}}``; ``${TOKEN}`` stands for
        an environment variable. None for no headers.
    addresses
        The sinks; a host that is none of theirs is a mistake.

    Raises
    ------
    ConfigurationError
        Naming the file and the member, never a value.
    """
    if path is None:
        return {}
    content = storage.read_bytes(path, ConfigurationError)
    told = {"file": path, "field": "sink_headers_file"}
    broken = {**told, "line": attrgetter("lineno")}
    with ConfigurationError.instead_of("sink_headers.no_json", orjson.JSONDecodeError, **broken):
        value = orjson.loads(content)
    if not isinstance(value, dict):
        raise ConfigurationError.of("sink_headers.no_object", **told)
    hosts = sorted({host_of(address.target) for address in addresses if "://" in address.target})
    headers = {host: _headers_of(host, members, path, hosts) for host, members in value.items()}
    learn((), (text for members in headers.values() for text in members.values()), anew=False)
    return headers


def _headers_of(host: str, members: object, path: str, hosts: list[str]) -> dict[str, str]:
    told = {"file": path, "host": host, "field": "sink_headers_file"}
    if host not in hosts:
        close = nearest(host, hosts, 0.5)
        hint = f": did you mean {close}" if close else f"; the sinks are at {', '.join(hosts) or 'no host'}"
        raise ConfigurationError.of("sink_headers.no_sink", **told, hint=hint)
    if not isinstance(members, dict) or not all(isinstance(text, str) for text in members.values()):
        raise ConfigurationError.of("sink_headers.other_members", **told)
    place = f"sink_headers_file {path}, {host}"
    return {name: _header(name, text, f"{place}, {name}") for name, text in members.items()}


def _header(name: str, text: str, where: str) -> str:
    for variable in _VARIABLE.findall(text):
        if variable not in os.environ:
            raise ConfigurationError.of("sink_headers.variable", place=where, variable=variable)
    # Files and variables with secrets often end in a line break.
    text = _VARIABLE.sub(lambda match: os.environ[match[1]].strip(), text).strip()
    if not re.fullmatch(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", name) or not re.fullmatch(r"[\t -~]*", text):
        raise ConfigurationError.of("sink_headers.characters", place=where, field="sink_headers_file")
    return text
