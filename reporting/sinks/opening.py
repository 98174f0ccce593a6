"""From settings to sinks, and from a run's report to what each sink gets."""

from __future__ import annotations

import functools
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

from contract.sink_addresses import SinkAddress
from contract.wording import several
from reporting.sinks import aws, events, http
from reporting.sinks.delivery import Delivery, Undelivered, deliver
from reporting.sinks.run_summary import RunSummary
from reporting.sinks.values import SENDERS, values_of

if TYPE_CHECKING:
    from contract.settings import Settings

_NAMES_SHOWN = 6

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Sinks:
    """The sinks of a job, checked as far as that is possible without asking them."""

    metrics: tuple[SinkAddress, ...]
    events: tuple[SinkAddress, ...]
    headers: http.Headers
    timeout: float

    def describe(self) -> str:
        """Return the addresses as text without anything secret."""
        return ", ".join(address.shown for address in (*self.metrics, *self.events))

    def deliver(self, report: RunSummary) -> tuple[Undelivered, ...]:
        """Tell all sinks of a run; return what did not arrive, which the log says as well.

        Metrics are told of every completed run, events of runs that found violations.
        """
        parcels = [self._metrics_of(address, report) for address in self.metrics]
        if report.violations:
            event = events.cloud_event(report)
            content = f"event {event['id']} with {several(event['data']['violation_count'], 'violation')}"
            for address in self.events:
                send = events.put if address.kind == "eventbridge" else events.post
                once = functools.partial(send, address, event, self.headers)
                parcels.append(Delivery(address.shown, content, once))
        undelivered = deliver(parcels, self.timeout)
        for parcel in undelivered:
            _log.warning(
                "Not delivered: %s to %s: %s. The files are in %s.",
                parcel.content,
                parcel.address,
                parcel.reason,
                report.output_path,
            )
        return undelivered

    def _metrics_of(self, address: SinkAddress, report: RunSummary) -> Delivery:
        if address.kind == "cloudwatch":
            names = [entry["MetricName"] for entry in aws.metric_data(report)]
            return Delivery(address.shown, _content(names), aws.put(address, report))
        values = values_of(report)
        send = functools.partial(SENDERS[address.kind], address, values, report, self.headers)
        return Delivery(address.shown, _content([value.name for value in values]), send)


def open_sinks(settings: Settings) -> Sinks:
    """Return the job's sinks.

    Raises
    ------
    ConfigurationError
        When ``sink_headers_file`` cannot be used, or a sink needs a library that is not there.
    """
    addresses = (*settings.metrics_sinks, *settings.event_sinks)
    for address in addresses:
        if address.kind in ("cloudwatch", "eventbridge"):
            aws.require_boto3(address.shown)
    headers = http.read_headers(settings.sink_headers_file, addresses)
    return Sinks(settings.metrics_sinks, settings.event_sinks, headers, settings.sink_timeout)


def _content(names: list[str]) -> str:
    """Return how many values there are, and their names, each once."""
    distinct = list(dict.fromkeys(names))
    more = len(distinct) - _NAMES_SHOWN
    shown = ", ".join(distinct[:_NAMES_SHOWN]) + (f" and {more} more names" if more > 0 else "")
    return f"{several(len(names), 'metric')} ({shown})"
