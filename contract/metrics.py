"""CloudWatch metric files: JSON Lines in a directory that the platform picks up (spec section 5)."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

import orjson

from contract.analyzer import Metric
from contract.datasets.storage import write_files_atomically
from contract.errors import OutputError
from contract.settings import Settings

FILE_NAME = "cloudwatch_metrics.jsonl"

_log = logging.getLogger(__name__)


def publish(metrics: Iterable[Metric], settings: Settings) -> None:
    """Write the metric file, if the settings ask for it.

    Raises
    ------
    OutputError
        When the directory was chosen by the user and cannot be written. Where only the default
        directory is not writable, a warning is logged.
    """
    if not settings.publish_cloudwatch_metrics:
        return
    lines = [orjson.dumps(_line(metric, settings)) for metric in metrics]
    directory = settings.cloudwatch_metrics_directory
    try:
        write_files_atomically(directory, {FILE_NAME: b"".join(line + b"\n" for line in lines)})
    except OutputError as error:
        if "cloudwatch_metrics_directory" in settings.given:
            raise
        _log.warning("Metrics were not published: %s", error.message)
        return
    _log.info("Published %d metrics in %s/%s", len(lines), directory, FILE_NAME)


def _line(metric: Metric, settings: Settings) -> dict[str, Any]:
    line: dict[str, Any] = {"MetricName": metric.name, "Timestamp": _timestamp(settings)}
    dimensions = {
        "Endpoint": settings.sagemaker_endpoint_name,
        "MonitoringSchedule": settings.sagemaker_monitoring_schedule_name,
        **metric.dimensions,
    }
    line["Dimensions"] = [{"Name": name, "Value": value} for name, value in dimensions.items() if value]
    if metric.statistic_values is not None:
        line["StatisticValues"] = metric.statistic_values
    else:
        line["Value"] = metric.value
    if metric.unit is not None:
        line["Unit"] = metric.unit
    return line


def _timestamp(settings: Settings) -> str:
    window_start = settings.window.start if settings.window else None
    instant = settings.metric_time or window_start or datetime.now(UTC)
    return instant.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
