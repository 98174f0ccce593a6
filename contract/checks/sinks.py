"""Whether sinks can be reached, without sending them anything."""

from __future__ import annotations

import functools
import socket
from collections.abc import Iterator
from urllib.parse import urlsplit

from contract import metrics
from contract.checklist import Line, attempt
from contract.checks.places import require_writable
from contract.errors import ConfigurationError
from contract.settings import Settings
from contract.sinks.addresses import SinkAddress

_LONGEST_WAIT = 5.0
_PORTS = {"http": 80, "https": 443}


def check_sinks(settings: Settings) -> Iterator[Line]:
    """Yield a line for the sinks' settings and for each sink."""
    addresses = (*settings.metrics_sinks, *settings.event_sinks)
    if addresses or settings.sink_headers_file:
        yield from attempt(lambda: _set_up(settings))
    for address in addresses:
        if address.kind in ("cloudwatch", "eventbridge"):
            yield Line("skip", f"{address.shown} can only be tried by sending something")
        else:
            yield from attempt(functools.partial(_reach, settings, address))


def _set_up(settings: Settings) -> Iterator[str]:
    sinks = metrics.open_sinks(settings)
    if sinks is not None:
        yield f"sinks are set up, and will be asked when the job is done: {sinks.describe()}"


def _reach(settings: Settings, address: SinkAddress) -> Iterator[str]:
    if address.kind == "prometheus-textfile":
        require_writable(address.target, "prometheus-textfile", is_file=address.target.endswith(".prom"))
        yield f"{address.shown} can be written"
        return
    parts = urlsplit(address.target)
    host, port = parts.hostname or "", parts.port or _PORTS.get(parts.scheme, 80)
    try:
        socket.create_connection((host, port), min(settings.sink_timeout, _LONGEST_WAIT)).close()
    except OSError as error:
        variable = "metrics_sinks" if address in settings.metrics_sinks else "event_sinks"
        raise ConfigurationError(
            f"{variable} holds {address.shown}, but nothing answers at {host} port {port} "
            f"({error.strerror or error}); check host and port, and that this network reaches them."
        ) from None
    yield f"{address.shown} can be reached"
