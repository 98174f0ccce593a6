"""Whether sinks and model can be reached, without sending them anything."""

from __future__ import annotations

import functools
import socket
from collections.abc import Generator, Iterator
from pathlib import Path
from urllib.parse import urlsplit

from contract import metrics
from contract.checklist import Line, attempt, obtain
from contract.checks.places import require_writable
from contract.datasets import storage
from contract.datasets.causes import nearby
from contract.errors import ConfigurationError, InputError, ModelError
from contract.models.channel import require_url
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
    variable = "metrics_sinks" if address in settings.metrics_sinks else "event_sinks"
    wait = min(settings.sink_timeout, _LONGEST_WAIT)
    _connect(address.target, f"{variable} holds {address.shown}", wait, ConfigurationError)
    yield f"{address.shown} can be reached"


def check_model(settings: Settings) -> Generator[Line, None, bool]:
    """Yield a line for the model, if the settings name one; return whether it can be asked or loaded."""
    model = settings.model
    if model is None or storage.is_s3(model):
        return True
    found = yield from obtain(functools.partial(_find_model, model), lambda text: text)
    return found is not None


def _find_model(model: str) -> str:
    """Return a line on where the model is.

    Raises
    ------
    ModelError
        When nothing answers there, or there is no such file.
    """
    if model.startswith(tuple(f"{scheme}://" for scheme in _PORTS)):
        require_url(model)
        _connect(model, f"model is {model}", _LONGEST_WAIT, ModelError)
        return f"the model's server {urlsplit(model).netloc.rpartition('@')[2]} can be reached"
    if "://" not in model and not Path(model).is_file():
        raise ModelError(f"model {model} is no file{nearby(model)}; give the path of the model's file.")
    return f"the model is at {model}"


def _connect(url: str, what: str, wait: float, error: type[InputError]) -> None:
    parts = urlsplit(url)
    host, port = parts.hostname or "", parts.port or _PORTS[parts.scheme]
    try:
        socket.create_connection((host, port), wait).close()
    except OSError as problem:
        raise error(
            f"{what}, but nothing answers at {host} port {port} ({problem.strerror or problem}); check host "
            "and port, and that this network reaches them."
        ) from None
