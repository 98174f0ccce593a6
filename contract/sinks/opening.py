"""From settings to sinks, and from a run's report to what each sink gets."""

from __future__ import annotations

import functools
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from contract.sinks import aws, cloudwatch, events, http, otlp, prometheus
from contract.sinks.addresses import SinkAddress
from contract.sinks.delivery import Parcel, Undelivered, deliver
from contract.sinks.report import RunReport
from contract.sinks.values import Value, values_of
from contract.wording import several

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

    def deliver(self, report: RunReport) -> tuple[Undelivered, ...]:
        """Tell all sinks of a run; return what did not arrive, which the log says as well.

        Metrics are told of every completed run, events of runs that found violations.
        """
        parcels = [self._metrics_parcel(address, report) for address in self.metrics]
        if report.violations:
            event = events.cloud_event(report)
            parcels += [self._event_parcel(address, event) for address in self.events]
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

    def _metrics_parcel(self, address: SinkAddress, report: RunReport) -> Parcel:
        if address.kind == "cloudwatch":
            entries = cloudwatch.metric_data(report)
            content = _content([entry["MetricName"] for entry in entries])
            return Parcel(address.shown, content, cloudwatch.put(address, report))
        values = values_of(report)
        content = _content([value.name for value in values])
        labels = {"monitor": report.monitor, "endpoint": report.endpoint, "schedule": report.schedule}
        given = {name: text for name, text in labels.items() if text}
        return Parcel(address.shown, content, functools.partial(self._send, address, values, given, report))

    def _send(
        self,
        address: SinkAddress,
        values: list[Value],
        labels: dict[str, str],
        report: RunReport,
        timeout: float,
    ) -> None:
        if address.kind == "prometheus-textfile":
            prometheus.write_textfile(address, values, labels)
        elif address.kind == "pushgateway":
            prometheus.push(address, values, labels, self.headers, timeout)
        else:
            otlp.export(address, values, report.metric_time or report.finished, self.headers, timeout)

    def _event_parcel(self, address: SinkAddress, event: dict[str, Any]) -> Parcel:
        count = event["data"]["violation_count"]
        content = f"event {event['id']} with {several(count, 'violation')}"
        if address.kind == "eventbridge":
            return Parcel(address.shown, content, functools.partial(events.put, address, event))
        return Parcel(
            address.shown, content, lambda timeout: events.post(address, event, self.headers, timeout)
        )


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
