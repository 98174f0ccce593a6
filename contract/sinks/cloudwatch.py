"""CloudWatch by PutMetricData: the names and dimensions of the metric files, in a namespace of one's own."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from datetime import UTC
from typing import Any

from contract.analyzer import Metric
from contract.sinks import aws
from contract.sinks.addresses import SinkAddress
from contract.sinks.report import RunReport

# Of PutMetricData: values in one request, and its size.
_MOST_VALUES = 1000
_MOST_BYTES = 900_000
_LONGEST_NAME, _LONGEST_DIMENSION = 255, 1024


def metric_data(report: RunReport) -> list[dict[str, Any]]:
    r"""Return the entries of PutMetricData; values that CloudWatch has no number for are left out.

    Names of features beyond ASCII are escaped (``\u00e9``), since CloudWatch takes no others.
    """
    instant = report.metric_time or (report.window.start if report.window else report.finished)
    about = {"Endpoint": report.endpoint, "MonitoringSchedule": report.schedule}
    return [
        {
            "MetricName": _ascii(metric.name, _LONGEST_NAME),
            "Timestamp": instant.astimezone(UTC),
            "Dimensions": [
                {"Name": name, "Value": _ascii(text, _LONGEST_DIMENSION)}
                for name, text in {**about, **dimensions}.items()
                if text and text.strip()
            ],
            **_value(metric),
        }
        for metric, dimensions in _all(report)
        if _is_number(metric)
    ]


def put(address: SinkAddress, report: RunReport) -> Callable[[float], None]:
    """Return an attempt to put all values, which goes on where the one before it failed."""
    waiting = list(_requests(metric_data(report)))

    def attempt(timeout: float) -> None:
        while waiting:
            arguments = {"Namespace": address.target, "MetricData": waiting[0]}
            aws.call("cloudwatch", "put_metric_data", arguments, timeout)
            del waiting[0]

    return attempt


def _all(report: RunReport) -> Iterator[tuple[Metric, dict[str, str]]]:
    run = {"Monitor": report.monitor}
    if report.violations is not None:
        yield Metric("violations", float(len(report.violations)), unit="Count"), run
    yield Metric("rows", float(report.rows), unit="Count"), run
    yield Metric("duration", report.seconds, unit="Seconds"), run
    for metric in report.metrics:
        yield metric, dict(metric.dimensions)


def _requests(entries: list[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    request: list[dict[str, Any]] = []
    size = 0
    for entry in entries:
        more = len(str(entry))
        if request and (len(request) == _MOST_VALUES or size + more > _MOST_BYTES):
            yield request
            request, size = [], 0
        request.append(entry)
        size += more
    if request:
        yield request


def _value(metric: Metric) -> dict[str, Any]:
    value: dict[str, Any] = {"Unit": metric.unit} if metric.unit else {}
    if metric.statistic_values is not None:
        return {"StatisticValues": metric.statistic_values, **value}
    return {"Value": float(metric.value or 0.0), **value}


def _is_number(metric: Metric) -> bool:
    numbers = metric.statistic_values.values() if metric.statistic_values is not None else (metric.value,)
    return all(number is not None and math.isfinite(float(number)) for number in numbers)


def _ascii(text: str, longest: int) -> str:
    return text.encode("ascii", errors="backslashreplace").decode()[:longest]
