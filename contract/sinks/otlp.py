"""OpenTelemetry: metrics as OTLP over HTTP in JSON (opentelemetry-proto, collector/metrics/v1)."""

from __future__ import annotations

import math
from collections.abc import Iterable
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

import orjson

from contract import __version__
from contract.sinks import http
from contract.sinks.addresses import SinkAddress
from contract.sinks.delivery import NotDeliveredError
from contract.sinks.values import HELP, Value

_PATH = "/v1/metrics"


def request_body(values: Iterable[Value], instant: datetime) -> bytes:
    """Return an ``ExportMetricsServiceRequest``: every name a gauge, labels as attributes of its points."""
    nanoseconds = str(int(instant.timestamp() * 1_000_000) * 1000)
    points: dict[str, list[dict[str, Any]]] = {name: [] for name in HELP}
    for value in values:
        point = {
            "attributes": [_attribute(name, text) for name, text in value.labels.items()],
            "timeUnixNano": nanoseconds,
            "asDouble": _number(value.value),
        }
        points[value.name].append(point)
    metrics = [
        {"name": name, "description": HELP[name], "gauge": {"dataPoints": of_name}}
        for name, of_name in points.items()
        if of_name
    ]
    scope = {"name": "model-monitor", "version": __version__}
    resource = {"attributes": [_attribute("service.name", "model-monitor")]}
    return orjson.dumps(
        {"resourceMetrics": [{"resource": resource, "scopeMetrics": [{"scope": scope, "metrics": metrics}]}]}
    )


def export(
    address: SinkAddress, values: list[Value], instant: datetime, headers: http.Headers, timeout: float
) -> None:
    """Send the values.

    Raises
    ------
    NotDeliveredError
        When the collector does not take them, or not all of them.
    """
    parts = urlsplit(address.target)
    path = parts.path if parts.path.endswith(_PATH) else parts.path.rstrip("/") + _PATH
    answer = http.send(
        "POST",
        parts._replace(path=path).geturl(),
        request_body(values, instant),
        http.headers_for(address, headers, "application/json"),
        timeout,
    )
    rejected, said = _rejected(answer)
    if rejected:
        text = f"it rejected {rejected} of {len(values)} points{f': {said}' if said else ''}"
        raise NotDeliveredError(text, again=False)


def _rejected(answer: bytes) -> tuple[int, str]:
    """Return how many points a collector took but did not keep, and why; many answer nothing at all."""
    try:
        partial = orjson.loads(answer).get("partialSuccess") or {}
        return int(partial.get("rejectedDataPoints") or 0), str(partial.get("errorMessage") or "")[:200]
    except (orjson.JSONDecodeError, AttributeError, TypeError, ValueError):
        return 0, ""


def _attribute(name: str, text: str) -> dict[str, Any]:
    return {"key": name, "value": {"stringValue": text.encode(errors="replace").decode()}}


def _number(value: float) -> float | str:
    # JSON has neither; the JSON mapping of Protocol Buffers writes them as text.
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "Infinity" if value > 0 else "-Infinity"
    return value
