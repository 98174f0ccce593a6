"""What a run publishes: CloudWatch metric files, and whatever sinks the settings name.

The files are JSON Lines in a directory that the platform picks up (spec section 5).
"""

from __future__ import annotations

import logging
from datetime import UTC
from typing import TYPE_CHECKING

import orjson

from contract.errors import OutputError
from contract.settings import Settings
from contract.wording import several
from file_storage.storage import write_files_atomically
from reporting.sinks.run_summary import RunSummary, metric_entry

if TYPE_CHECKING:
    from reporting.sinks.delivery import Undelivered
    from reporting.sinks.opening import Sinks

FILE_NAME = "cloudwatch_metrics.jsonl"

_log = logging.getLogger(__name__)


def open_sinks(settings: Settings) -> Sinks | None:
    """Return the job's sinks, None without any.

    Raises
    ------
    ConfigurationError
        When one cannot be used as the settings have it.
    """
    if not (settings.metrics_sinks or settings.event_sinks or settings.sink_headers_file):
        return None
    # Imported late: most jobs have no sinks.
    from reporting.sinks import opening

    return opening.open_sinks(settings)


def publish(report: RunSummary, settings: Settings, sinks: Sinks | None) -> tuple[Undelivered, ...]:
    """Write the metric file, if the settings ask for it, and tell the sinks.

    Where only the default directory of the metric file is not writable, a warning is logged.

    Returns
    -------
    What did not reach its sink.

    Raises
    ------
    OutputError
        When the directory of the metric file was chosen by the user and cannot be written; the sinks have
        been told then.
    """
    undelivered: tuple[Undelivered, ...] = ()
    try:
        if settings.publish_cloudwatch_metrics:
            _write_metric_file(report, settings.cloudwatch_metrics_directory)
    except OutputError as error:
        if "cloudwatch_metrics_directory" in settings.given:
            raise
        _log.warning("Metrics were not published: %s", error.message)
    finally:
        if sinks is not None:
            undelivered = sinks.deliver(report)
    return undelivered


def _write_metric_file(report: RunSummary, directory: str) -> None:
    timestamp = report.instant.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    lines = [orjson.dumps(metric_entry(metric, report, timestamp)) + b"\n" for metric in report.metrics]
    write_files_atomically(directory, {FILE_NAME: b"".join(lines)})
    _log.info("Published %s in %s/%s", several(len(lines), "metric"), directory, FILE_NAME)
