"""Prometheus: the text format, the folder node exporter reads, and the Pushgateway.

Format: text exposition format 0.0.4. No sample has a timestamp: node exporter and Pushgateway refuse them.
"""

from __future__ import annotations

import base64
import math
import re
from collections.abc import Iterable
from pathlib import Path
from urllib.parse import quote, urlsplit

from contract.datasets.storage import write_files_atomically
from contract.errors import OutputError
from contract.sinks import http
from contract.sinks.addresses import SinkAddress
from contract.sinks.delivery import NotDeliveredError
from contract.sinks.values import HELP, Value

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_GROUPING = ("monitor", "endpoint", "schedule")


def exposition(values: Iterable[Value]) -> bytes:
    """Return values in the text format: one group of lines per name, after its HELP and TYPE."""
    groups: dict[str, list[str]] = {name: [] for name in HELP}
    for value in values:
        labels = ",".join(f'{name}="{_escape(text)}"' for name, text in value.labels.items())
        groups[value.name].append(f"{value.name}{{{labels}}} {_number(value.value)}")
    lines: list[str] = []
    for name, samples in groups.items():
        if samples:
            lines += [f"# HELP {name} {HELP[name]}", f"# TYPE {name} gauge", *samples]
    return "".join(line + "\n" for line in lines).encode(errors="replace")


def textfile_path(target: str, labels: dict[str, str]) -> Path:
    """Return the file to write; in a folder each monitor, endpoint and schedule has one of its own."""
    if not target.endswith("/"):
        return Path(target)
    parts = [labels[name] for name in _GROUPING if name in labels]
    return Path(target) / (
        "_".join(["model_monitor", *(re.sub(r"[^\w.-]", "-", part) for part in parts)]) + ".prom"
    )


def write_textfile(address: SinkAddress, values: list[Value], labels: dict[str, str]) -> None:
    """Write the file; it appears whole.

    Raises
    ------
    NotDeliveredError
        When its folder is not there or cannot be written.
    """
    file = textfile_path(address.target, labels)
    if not file.parent.is_dir():
        text = f"there is no folder {file.parent}; name the one node exporter reads"
        raise NotDeliveredError(text, again=False)
    try:
        write_files_atomically(str(file.parent), {file.name: exposition(values)})
    except OutputError as error:
        raise NotDeliveredError(error.message.rstrip("."), again=False) from error


def push(
    address: SinkAddress, values: list[Value], labels: dict[str, str], headers: http.Headers, timeout: float
) -> None:
    """Replace what the Pushgateway holds of this monitor, endpoint and schedule.

    Raises
    ------
    NotDeliveredError
        When it does not take it.
    """
    group = "".join(_group_member(name, labels[name]) for name in _GROUPING if name in labels)
    parts = urlsplit(address.target)
    url = parts._replace(path=f"{parts.path.rstrip('/')}/metrics/job/model_monitor{group}").geturl()
    http.send("PUT", url, exposition(values), http.headers_for(address, headers, CONTENT_TYPE), timeout)


def _group_member(name: str, text: str) -> str:
    if re.fullmatch(r"[\w.-]+", text, re.ASCII):
        return f"/{name}/{quote(text)}"
    # A slash cannot be escaped in a path, so anything unusual goes as base64.
    return f"/{name}@base64/{base64.urlsafe_b64encode(text.encode(errors='replace')).decode()}"


def _escape(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _number(value: float) -> str:
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    return repr(value)
