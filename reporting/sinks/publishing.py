"""What a run publishes: CloudWatch metric files, and whatever sinks the settings name.

The files are JSON Lines in a directory that the platform picks up (spec section 5). What only sinks need is
imported late: most jobs have none.
"""

from __future__ import annotations

import functools
import importlib.util
import logging
from typing import TYPE_CHECKING, NamedTuple

import orjson

from contract.errors import ConfigurationError, OutputError
from contract.settings import Settings
from contract.sink_addresses import SinkAddress
from contract.wording import several, some_of
from file_storage.storage import write_files_atomically
from reporting.history.record import Run

if TYPE_CHECKING:
    from reporting.sinks.delivery import Headers, Undelivered

FILE_NAME = "cloudwatch_metrics.jsonl"
_NAMES_SHOWN = 6

_log = logging.getLogger(__name__)


class Sinks(NamedTuple):
    """The sinks of a job, checked as far as that is possible without asking them."""

    metrics: tuple[SinkAddress, ...]
    events: tuple[SinkAddress, ...]
    headers: Headers
    timeout: float

    def describe(self) -> str:
        """Return the addresses as text without anything secret."""
        return ", ".join(address.shown for address in (*self.metrics, *self.events))

    def deliver(self, run: Run) -> tuple[Undelivered, ...]:
        """Tell all sinks of a run; return what did not arrive, which the log says as well.

        Metrics are told of every completed run, events of runs that found violations whose alert is due.
        """
        from reporting.sinks import messages
        from reporting.sinks.delivery import Delivery, deliver

        parcels = []
        for address in self.metrics:
            if address.kind == "cloudwatch":
                names = [entry["MetricName"] for entry in messages.metric_data(run)]
                send = messages.put_metrics(address, run)
            else:
                names = [value.name for value in messages.values_of(run)]
                send = functools.partial(messages.SENDERS[address.kind], address, run, self.headers)
            # Each name once.
            content = f"{several(len(names), 'metric')} ({some_of(list(dict.fromkeys(names)), _NAMES_SHOWN)})"
            parcels.append(Delivery(address.shown, content, send))
        if run.violations and not run.waits:
            event = messages.cloud_event(run)
            content = f"event {event['id']} with {several(event['data']['violation_count'], 'violation')}"
            for address in self.events:
                send = functools.partial(messages.send_event, address, event, self.headers)
                parcels.append(Delivery(address.shown, content, send))
        elif run.waits and self.events:
            _log.info("No event is sent: %s", run.alert and run.alert.text)
        undelivered = deliver(parcels, self.timeout)
        for parcel in undelivered:
            told = (parcel.content, parcel.address, parcel.reason, run.output_path)
            _log.warning("Not delivered: %s to %s: %s. The files are in %s.", *told)
        return undelivered


def open_sinks(settings: Settings) -> Sinks | None:
    """Return the job's sinks, None without any.

    Raises
    ------
    ConfigurationError
        When ``sink_headers_file`` cannot be used, or a sink needs a library that is not there.
    """
    addresses = (*settings.metrics_sinks, *settings.event_sinks)
    if not (addresses or settings.sink_headers_file):
        return None
    from reporting.sinks import delivery

    for address in addresses:
        if address.kind in ("cloudwatch", "eventbridge") and importlib.util.find_spec("boto3") is None:
            raise ConfigurationError.of("sink_library.no_boto3", sink=address.shown)
    headers = delivery.read_headers(settings.sink_headers_file, addresses)
    return Sinks(settings.metrics_sinks, settings.event_sinks, headers, settings.sink_timeout)


def publish(run: Run, settings: Settings, sinks: Sinks | None) -> tuple[Undelivered, ...]:
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
            from reporting.sinks.messages import metric_entry, utc_text

            entries = [metric_entry(metric, run, utc_text(run.instant)) for metric in run.metrics]
            directory = settings.cloudwatch_metrics_directory
            content = b"".join(orjson.dumps(entry) + b"\n" for entry in entries)
            # Many windows write into one folder.
            name = f"cloudwatch_metrics-{run.at:%Y%m%dT%H%M%SZ}.jsonl" if settings.each_window else FILE_NAME
            write_files_atomically(directory, {name: content})
            _log.info("Published %s in %s/%s", several(len(entries), "metric"), directory, name)
    except OutputError as error:
        if "cloudwatch_metrics_directory" in settings.given:
            raise
        _log.warning("Metrics were not published: %s", error.message)
    finally:
        if sinks is not None:
            undelivered = sinks.deliver(run)
    return undelivered
