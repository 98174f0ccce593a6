"""One call of an AWS service through boto3: region, credentials and endpoint by its standard chain."""

import math
from collections.abc import Callable, Iterator
from datetime import UTC
from typing import Any

from contract.api import Metric
from contract.sink_addresses import SinkAddress
from contract.wording import one_line
from file_storage.transport import aws_client, refused
from reporting.history.record import Run
from reporting.sinks.delivery import NotDeliveredError


def call(service: str, operation: str, arguments: dict[str, Any], timeout: float) -> dict[str, Any]:
    """Call one operation once.

    Parameters
    ----------
    service, operation
        As boto3 names them, such as ``cloudwatch`` and ``put_metric_data``.

    Raises
    ------
    NotDeliveredError
        When there is no answer, or a refusal.
    """
    from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError

    try:
        # Attempts are counted by whoever calls.
        once = {"total_max_attempts": 1}
        client = aws_client(service, timeout, retries=once, connect_timeout=timeout, read_timeout=timeout)
        try:
            answer: dict[str, Any] = getattr(client, operation)(**arguments)
        finally:
            client.close()
    except ClientError as error:
        code, text, status = refused(error)
        raise NotDeliveredError(f"{code}: {text}", again=status >= 500 or status == 429) from error
    except HTTPClientError as error:
        raise NotDeliveredError(one_line(error), again=True) from error
    except BotoCoreError as error:  # no region, no credentials, or arguments that the service does not know
        raise NotDeliveredError(one_line(error), again=False) from error
    return answer


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
    violations = None if run.violations is None else len(run.violations)
    metrics = [
        Metric("violations", violations, unit="Count", dimensions=of_run),
        Metric("rows", run.rows, unit="Count", dimensions=of_run),
        Metric("duration", run.seconds, unit="Seconds", dimensions=of_run),
        *run.metrics,
    ]
    entries = [metric_entry(metric, run, instant) for metric in metrics if _is_number(metric)]
    for entry in entries:
        entry["MetricName"] = _ascii(entry["MetricName"], _LONGEST_NAME)
        entry["Dimensions"] = [
            {"Name": one["Name"], "Value": _ascii(one["Value"], _LONGEST_DIMENSION)}
            for one in entry["Dimensions"]
            if one["Value"].strip()
        ]
    return entries


def metric_entry(metric: Metric, run: Run, timestamp: Any) -> dict[str, Any]:
    """Return a metric as CloudWatch names its parts, its own dimensions after those of the run."""
    about = {"Endpoint": run.endpoint, "MonitoringSchedule": run.schedule}
    dimensions = {**about, **metric.dimensions}
    has_several = metric.statistic_values is not None
    return {
        "MetricName": metric.name,
        "Timestamp": timestamp,
        "Dimensions": [{"Name": name, "Value": value} for name, value in dimensions.items() if value],
        **({"StatisticValues": metric.statistic_values} if has_several else {"Value": metric.value}),
        **({"Unit": metric.unit} if metric.unit is not None else {}),
    }


def put(address: SinkAddress, run: Run) -> Callable[[float], None]:
    """Return an attempt to put all values, which goes on where the one before it failed."""
    waiting = list(_requests(metric_data(run)))

    def attempt(timeout: float) -> None:
        while waiting:
            arguments = {"Namespace": address.target, "MetricData": waiting[0]}
            call("cloudwatch", "put_metric_data", arguments, timeout)
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
