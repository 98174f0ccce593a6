"""One request to an HTTP sink. Redirects are not followed: headers with secrets go to the host named."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterable, Mapping

import orjson

from contract.errors import ConfigurationError
from contract.masking import learn
from contract.schema import nearest
from contract.sink_addresses import SinkAddress
from file_storage import storage
from file_storage.transport import ChannelError, HttpChannel, basic_authorization, readable
from reporting.sinks.delivery import NotDeliveredError

# The server may do better next time: too slow, too many, or broken behind a gateway.
_AGAIN = (408, 425, 429, 500, 502, 503, 504)
_VARIABLE = re.compile(r"\$\{(\w*)\}")

Headers = Mapping[str, Mapping[str, str]]


def send(method: str, url: str, body: bytes, headers: Mapping[str, str], timeout: float) -> bytes:
    """Send one request and return the body of an answer between 200 and 299.

    Raises
    ------
    NotDeliveredError
        When no such answer comes.
    """
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


def headers_for(address: SinkAddress, given: Headers, content_type: str) -> dict[str, str]:
    """Return the headers of requests to a sink: its host's from the file, and credentials of its address."""
    headers = {"Content-Type": content_type}
    if address.user is not None:
        headers["Authorization"] = basic_authorization(address.user, address.password or "")
    return {**headers, **given.get(address.host or "", {})}


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
    try:
        value = orjson.loads(content)
    except orjson.JSONDecodeError as error:
        raise ConfigurationError.of("sink_headers.no_json", **told, line=error.lineno) from None
    if not isinstance(value, dict):
        raise ConfigurationError.of("sink_headers.no_object", **told)
    hosts = sorted({address.host for address in addresses if address.host})
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
    return {
        name: _header(name, text, f"sink_headers_file {path}, {host}, {name}")
        for name, text in members.items()
    }


def _header(name: str, text: str, where: str) -> str:
    for variable in _VARIABLE.findall(text):
        if variable not in os.environ:
            raise ConfigurationError.of("sink_headers.variable", place=where, variable=variable)
    # Files and variables with secrets often end in a line break.
    text = _VARIABLE.sub(lambda match: os.environ[match[1]].strip(), text).strip()
    if not re.fullmatch(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", name) or not re.fullmatch(r"[\t -~]*", text):
        raise ConfigurationError.of("sink_headers.characters", place=where, field="sink_headers_file")
    return text
