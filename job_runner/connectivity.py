"""Whether sinks and model can be reached, without sending them anything."""

from __future__ import annotations

import functools
import os
import socket
from collections.abc import Generator, Iterator
from pathlib import Path
from urllib.parse import urlsplit

from contract.checklist import Line, attempt, obtain
from contract.errors import ConfigurationError, InputError, ModelError, OutputError
from contract.settings import DEFAULT_MESSAGE_FILE, Settings
from contract.sink_addresses import SinkAddress
from file_storage import storage
from file_storage.storage import nearby
from file_storage.transport import require_url
from reporting.sinks import cloudwatch_file

# Whether the places a job writes to can be written, without writing to them.


def check_places(settings: Settings) -> Iterator[Line]:
    """Yield a line for each folder or file that the job writes."""
    folders = {
        "output_path": settings.output_path,
        "register_new_baseline": settings.register_new_baseline,
        "history_path": settings.history_path,
    }
    if settings.publish_cloudwatch_metrics and "cloudwatch_metrics_directory" in settings.given:
        folders["cloudwatch_metrics_directory"] = settings.cloudwatch_metrics_directory
    # Outside of SageMaker the default place seldom exists, which fails no job.
    if settings.output_message_file != DEFAULT_MESSAGE_FILE:
        folders["output_message_file"] = settings.output_message_file
    for variable, path in folders.items():
        if path is not None:
            yield from attempt(functools.partial(_writable, variable, path))


def require_writable(path: str, role: str, *, is_file: bool = False) -> None:
    """Make sure that files can be written to a folder that may not exist yet, and create nothing.

    Parameters
    ----------
    path
        Local folder or ``s3://bucket/prefix``; a local file when `is_file`.
    role
        What it is, for the message.

    Raises
    ------
    OutputError
        Naming the path, what stands in the way, and the fix.
    """
    if storage.is_s3(path):
        storage.prepare_output(path, role)  # looks for the bucket, and writes nothing
        return
    target = Path(path)
    if is_file and target.is_dir():
        raise OutputError(f"{role} {path} is a folder, but the job writes a file there; name a file in it.")
    if is_file and target.exists():
        if not os.access(target, os.W_OK):
            raise OutputError(
                f"{role} {path} may not be overwritten; let this user write it, or name another file."
            )
        return
    above = target.parent if is_file else target
    while not above.exists() and above != above.parent:
        above = above.parent
    if not above.is_dir():
        raise OutputError(
            f"{role} {path} cannot be written: {above} is a file; name a folder, or remove that file."
        )
    if not os.access(above, os.W_OK | os.X_OK):
        raise OutputError(
            f"{role} {path} cannot be written: this user may not write to {above}; change that, or name "
            "another folder."
        )


def _writable(variable: str, path: str) -> Iterator[str]:
    require_writable(path, variable, is_file=variable == "output_message_file")
    yield f"{variable} {path} can be written"


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
    sinks = cloudwatch_file.open_sinks(settings)
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
