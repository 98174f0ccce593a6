"""What sinks are told of a run: its values as Prometheus, OpenTelemetry and CloudWatch take them, its event.

The first two have the same names: the name says what is measured and a label says of what, as in
``model_monitor_feature_sum{feature="age"}``. All are gauges. CloudWatch's names carry the feature within the
name (``feature_data_age``).
"""

import base64
import math
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote, urlsplit

import orjson

from contract import __version__
from contract.api import Metric
from contract.errors import OutputError, topic, wording
from contract.schema import write_document
from contract.sink_addresses import SinkAddress
from file_storage.storage import write_files_atomically
from reporting.history.record import Run
from reporting.sinks import delivery

# What a metric is called that does not say how.
OTHER = "model_monitor_value"
HELP = topic("gauges")

_STATISTICS = {"SampleCount": "count", "Sum": "sum", "Minimum": "min", "Maximum": "max"}


# Of a gauge the name, the labels besides those of all, and the value, if there is one.
_Found = tuple[str, dict[str, str], float | None]


class Value(NamedTuple):
    """One gauge: its name, its labels, and its value."""

    name: str
    labels: dict[str, str]
    value: float


def values_of(run: Run) -> list[Value]:
    """Return everything there is to say about a run, run-level values first.

    Labels of all: ``monitor``, and ``endpoint``, ``schedule`` and ``model`` where the settings name them.
    """
    start, end = run.window or (None, None)
    numbers: dict[str, float | None] = {
        "violations": len(run.violations or ()) if run.is_decided else None,
        "comparisons_decided": run.decided,
        "comparisons_undecided": run.undecided,
        "rows": run.rows,
        "duration_seconds": run.seconds,
        "last_success_timestamp_seconds": run.finished.timestamp(),
        "window_start_timestamp_seconds": start.timestamp() if start else None,
        "window_end_timestamp_seconds": end.timestamp() if end else None,
    }
    found: list[_Found] = [(f"model_monitor_{name}", {}, number) for name, number in numbers.items()]
    checks = Counter(violation.constraint_check_type for violation in run.violations or ())
    by_check = "model_monitor_violations_by_check"
    found += [(by_check, {"check": check}, times) for check, times in sorted(checks.items())]
    for metric in run.metrics:
        found += _translated(metric)
    return [Value(name, run.labels | labels, float(one)) for name, labels, one in found if one is not None]


def _translated(metric: Metric) -> Iterator[_Found]:
    dimensions = {
        re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower(): text for name, text in metric.dimensions.items()
    }
    dimensions.pop("value_type", None)  # the name of the gauge tells
    labels = {**({"metric": metric.name} if metric.labels is None else metric.labels), **dimensions}
    if metric.statistic_values is None:
        yield metric.gauge, labels, metric.value
    for statistic, number in (metric.statistic_values or {}).items():
        yield f"{metric.gauge}_{_STATISTICS[statistic]}", labels, number


# OpenTelemetry: metrics as OTLP over HTTP in JSON (opentelemetry-proto, collector/metrics/v1).


_PATH = "/v1/metrics"


def request_body(values: Sequence[Value], instant: datetime) -> bytes:
    """Return an ``ExportMetricsServiceRequest``: every name a gauge, labels as attributes of its points."""
    nanoseconds = str(int(instant.timestamp() * 1_000_000) * 1000)
    metrics = []
    for name, description, of_name in _by_name(values):
        points = [
            {
                "attributes": [_attribute(label, text) for label, text in value.labels.items()],
                "timeUnixNano": nanoseconds,
                # JSON has no such numbers; the JSON mapping of Protocol Buffers writes them as text.
                "asDouble": _number(value.value, "Infinity"),
            }
            for value in of_name
        ]
        metrics.append({"name": name, "description": description, "gauge": {"dataPoints": points}})
    scope = {"name": "model-monitor", "version": __version__}
    resource = {"attributes": [_attribute("service.name", "model-monitor")]}
    of_scope = [{"scope": scope, "metrics": metrics}]
    return orjson.dumps({"resourceMetrics": [{"resource": resource, "scopeMetrics": of_scope}]})


def export(address: SinkAddress, run: Run, headers: delivery.Headers, timeout: float) -> None:
    """Send the values to a collector.

    Raises
    ------
    NotDeliveredError
        When the collector does not take them, or not all of them.
    """
    parts = urlsplit(address.target)
    path = parts.path if parts.path.endswith(_PATH) else parts.path.rstrip("/") + _PATH
    url, values = parts._replace(path=path).geturl(), values_of(run)
    body = request_body(values, run.metric_time or run.finished)
    answer = delivery.send("POST", url, body, "application/json", headers, timeout)
    try:
        partial = orjson.loads(answer).get("partialSuccess") or {}
        rejected, said = int(partial.get("rejectedDataPoints") or 0), str(partial.get("errorMessage") or "")
    except (orjson.JSONDecodeError, AttributeError, TypeError, ValueError):
        return  # many answer nothing at all
    if rejected:
        text = f"it rejected {rejected} of {len(values)} points{f': {said[:200]}' if said else ''}"
        raise delivery.NotDeliveredError(text, again=False)


def _attribute(name: str, text: str) -> dict[str, Any]:
    return {"key": name, "value": {"stringValue": text.encode(errors="replace").decode()}}


def _by_name(values: Sequence[Value]) -> list[tuple[str, str, list[Value]]]:
    """Return each name that has values, what it means, and its values; names in the order of `HELP`."""
    groups: dict[str, list[Value]] = {name: [] for name in HELP}
    for value in values:
        groups.setdefault(value.name, []).append(value)
    return [(name, HELP.get(name, HELP[OTHER]), of_name) for name, of_name in groups.items() if of_name]


def _number(value: float, infinity: str) -> float | str:
    if math.isfinite(value):
        return value
    return "NaN" if math.isnan(value) else infinity if value > 0 else f"-{infinity.lstrip('+')}"


# Prometheus: the text format, the folder node exporter reads, and the Pushgateway.
#
# Format: text exposition format 0.0.4. No sample has a timestamp: node exporter and Pushgateway refuse
# them.


CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


def exposition(values: Sequence[Value]) -> bytes:
    """Return values in the text format: one group of lines per name, after its HELP and TYPE."""
    lines: list[str] = []
    for name, description, of_name in _by_name(values):
        lines += [f"# HELP {name} {description}", f"# TYPE {name} gauge"]
        for value in of_name:
            labels = ",".join(f'{label}="{_escape(text)}"' for label, text in value.labels.items())
            lines.append(f"{name}{{{labels}}} {_number(value.value, '+Inf')}")
    return "".join(line + "\n" for line in lines).encode(errors="replace")


def textfile_path(target: str, labels: dict[str, str]) -> Path:
    """Return the file to write; in a folder each monitor, endpoint, schedule and model has one of its own."""
    if not target.endswith("/"):
        return Path(target)
    parts = (re.sub(r"[^\w.-]", "-", part) for part in labels.values())
    return Path(target) / f"{'_'.join(['model_monitor', *parts])}.prom"


def write_textfile(address: SinkAddress, run: Run, headers: delivery.Headers, timeout: float) -> None:
    """Write the file; it appears whole.

    Raises
    ------
    NotDeliveredError
        When its folder is not there or cannot be written.
    """
    file = textfile_path(address.target, run.labels)
    if not file.parent.is_dir():
        text = wording("place.no_textfile_folder", file=file.parent).rstrip(".")
        raise delivery.NotDeliveredError(text, again=False)
    try:
        write_files_atomically(str(file.parent), {file.name: exposition(values_of(run))})
    except OutputError as error:
        raise delivery.NotDeliveredError(error.message.rstrip("."), again=False) from error


def push(address: SinkAddress, run: Run, headers: delivery.Headers, timeout: float) -> None:
    """Replace what the Pushgateway holds of this monitor, endpoint, schedule and model.

    Raises
    ------
    NotDeliveredError
        When it does not take it.
    """
    group = "".join(_group_member(name, text) for name, text in run.labels.items())
    parts = urlsplit(address.target)
    url = parts._replace(path=f"{parts.path.rstrip('/')}/metrics/job/model_monitor{group}").geturl()
    delivery.send("PUT", url, exposition(values_of(run)), CONTENT_TYPE, headers, timeout)


def _group_member(name: str, text: str) -> str:
    if re.fullmatch(r"[\w.-]+", text, re.ASCII):
        return f"/{name}/{quote(text)}"
    # A slash cannot be escaped in a path, so anything unusual goes as base64.
    return f"/{name}@base64/{base64.urlsafe_b64encode(text.encode(errors='replace')).decode()}"


def _escape(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


# How the values reach a sink, by its kind.
SENDERS: dict[str, Callable[[SinkAddress, Run, delivery.Headers, float], None]] = {
    "prometheus-textfile": write_textfile,
    "pushgateway": push,
    "otlp": export,
}


# CloudWatch by PutMetricData: the names and dimensions of the metric files, in a namespace of one's own.


# Of PutMetricData: values in one request, and its size.
_MOST_VALUES = 1000
_MOST_BYTES = 900_000
_LONGEST_NAME, _LONGEST_DIMENSION = 255, 1024


def metric_data(run: Run) -> list[dict[str, Any]]:
    r"""Return the entries of PutMetricData; values that CloudWatch has no number for are left out.

    Names of features beyond ASCII are escaped (``\u00e9``), since CloudWatch takes no others.
    """
    instant = run.instant.astimezone(UTC)
    of_run = {"Monitor": run.monitor}
    violations = len(run.violations or ()) if run.is_decided else None
    metrics = [
        Metric("violations", violations, unit="Count", dimensions=of_run),
        Metric("rows", run.rows, unit="Count", dimensions=of_run),
        Metric("duration", run.seconds, unit="Seconds", dimensions=of_run),
        *run.metrics,
    ]
    entries = [metric_entry(metric, run, instant) for metric in metrics if _is_number(metric)]
    for entry in entries:
        entry["MetricName"] = _ascii(entry["MetricName"], _LONGEST_NAME)
        said = [one for one in entry["Dimensions"] if one["Value"].strip()]
        entry["Dimensions"] = [one | {"Value": _ascii(one["Value"], _LONGEST_DIMENSION)} for one in said]
    return entries


def metric_entry(metric: Metric, run: Run, timestamp: Any) -> dict[str, Any]:
    """Return a metric as CloudWatch names its parts, its own dimensions after those of the run."""
    about = {"Endpoint": run.endpoint, "MonitoringSchedule": run.schedule, "Model": run.model}
    dimensions = {**about, **metric.dimensions}
    has_several = metric.statistic_values is not None
    return {
        "MetricName": metric.name,
        "Timestamp": timestamp,
        "Dimensions": [{"Name": name, "Value": value} for name, value in dimensions.items() if value],
        **({"StatisticValues": metric.statistic_values} if has_several else {"Value": metric.value}),
        **({"Unit": metric.unit} if metric.unit is not None else {}),
    }


def put_metrics(address: SinkAddress, run: Run) -> Callable[[float], None]:
    """Return an attempt to put all values, which goes on where the one before it failed."""
    waiting = list(_requests(metric_data(run)))

    def attempt(timeout: float) -> None:
        while waiting:
            arguments = {"Namespace": address.target, "MetricData": waiting[0]}
            delivery.call("cloudwatch", "put_metric_data", arguments, timeout)
            del waiting[0]

    return attempt


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


def _is_number(metric: Metric) -> bool:
    numbers = metric.statistic_values.values() if metric.statistic_values is not None else (metric.value,)
    return all(number is not None and math.isfinite(float(number)) for number in numbers)


def _ascii(text: str, longest: int) -> str:
    return text.encode("ascii", errors="backslashreplace").decode()[:longest]


# Violations as an event: CloudEvents 1.0 in structured JSON, or an entry of an EventBridge bus.
#
# Both carry the same ``data``. Its size is limited, so that every bus takes it: violations that do not fit
# are left out from the end, ``violations_left_out`` counts them, and ``report`` names the file with all of
# them.


EVENT_TYPE = "modelmonitor.violations.found"
EVENT_CONTENT_TYPE = "application/cloudevents+json; charset=utf-8"
# EventBridge counts an entry's source, type, time and detail; the rest of the event needs room too.
EVENT_BYTES = 256 * 1024
_ROOM_FOR_THE_REST = 4 * 1024


def cloud_event(run: Run, most_bytes: int = EVENT_BYTES) -> dict[str, Any]:
    """Return the event for a run that found violations.

    Its ``id`` is the same whenever the same was found in the same data, so that a receiver can tell an event
    that comes twice.
    """
    subject = run.endpoint or run.schedule or run.model
    return {
        "specversion": "1.0",
        "id": run.digest,
        "source": "/".join(["/model-monitor", *(quote(part, safe="") for part in run.labels.values())]),
        "type": EVENT_TYPE,
        "time": utc_text(run.finished),
        "datacontenttype": "application/json",
        **({"subject": subject} if subject else {}),
        "data": event_data(run, most_bytes - _ROOM_FOR_THE_REST),
    }


def event_data(run: Run, most_bytes: int) -> dict[str, Any]:
    """Return what happened, with as many violations as fit into `most_bytes` of JSON."""
    violations = list(map(write_document, run.violations or ()))
    data: dict[str, Any] = {
        "monitor": run.monitor,
        "endpoint": run.endpoint,
        "schedule": run.schedule,
        **({"model": run.model} if run.model else {}),
        "window": dict(zip(("start", "end"), map(utc_text, run.window), strict=True)) if run.window else None,
        "dataset_source": run.dataset_source,
        "output_path": run.output_path,
        "report": f"{run.output_path.rstrip('/')}/constraint_violations.json",
        "rows": run.rows,
        "comparisons_decided": run.decided,
        "comparisons_undecided": run.undecided,
        **({"alert": write_document(run.alert)} if run.alert else {}),
        "violation_count": len(violations),
        "violations_left_out": len(violations),
        "violations": [],
    }
    size = len(_json(data))
    for violation in violations:
        size += len(_json(violation)) + 1
        if size > most_bytes:
            break
        data["violations"].append(violation)
    data["violations_left_out"] -= len(data["violations"])
    return data


def send_event(
    address: SinkAddress, event: dict[str, Any], headers: delivery.Headers, timeout: float
) -> None:
    """Send the event to an HTTP sink, or put it on an EventBridge bus.

    On a bus type and data become detail type and detail.

    Raises
    ------
    NotDeliveredError
        When it does not take it.
    """
    if address.kind != "eventbridge":
        delivery.send("POST", address.target, _json(event), EVENT_CONTENT_TYPE, headers, timeout)
        return
    entry = {
        "Source": "model-monitor",
        "DetailType": event["type"],
        "Detail": _json({"id": event["id"], **event["data"]}).decode(),
        "EventBusName": address.target,
        "Time": datetime.fromisoformat(event["time"]),
    }
    answer = delivery.call("events", "put_events", {"Entries": [entry]}, timeout)
    if answer.get("FailedEntryCount"):
        failed = answer["Entries"][0]
        code = str(failed.get("ErrorCode", ""))
        again = code in ("InternalFailure", "InternalException", "ThrottlingException")
        raise delivery.NotDeliveredError(f"{code}: {failed.get('ErrorMessage', '')}", again=again)


def utc_text(instant: datetime) -> str:
    """Return an instant in UTC, as events and metric files have it."""
    return instant.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _json(value: Any) -> bytes:
    return orjson.dumps(value, option=orjson.OPT_NON_STR_KEYS)
