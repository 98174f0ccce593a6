"""CloudWatch and EventBridge, on a server that speaks their protocols."""

import json
import logging
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest import mock

import pytest
from reports import END, START, report, violation

from contract.api import Metric
from contract.errors import ConfigurationError
from contract.sink_addresses import parse_sinks
from reporting.sinks import delivery, messages
from reporting.sinks.publishing import Sinks, open_sinks

boto3 = pytest.importorskip("boto3")
moto_server = pytest.importorskip("moto.server")


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    threaded = moto_server.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    threaded.start()
    host, port = threaded.get_host_and_port()
    # A service is loaded when it is first asked, which may take longer than a sink waits.
    with mock.patch.dict(os.environ, {"AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret"}):
        options = {"endpoint_url": f"http://{host}:{port}", "region_name": "eu-central-1"}
        boto3.client("cloudwatch", **options).list_metrics()
        boto3.client("events", **options).list_event_buses()
        boto3.client("sqs", **options).list_queues()
    yield f"http://{host}:{port}"
    threaded.stop()


@pytest.fixture
def account(server: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    for name, value in {
        "AWS_ENDPOINT_URL": server,
        "AWS_ACCESS_KEY_ID": "key",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_REGION": "eu-central-1",
        "AWS_EC2_METADATA_DISABLED": "true",
    }.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("AWS_DEFAULT_REGION", raising=False)
    return lambda service: boto3.client(service, region_name="eu-central-1")


def sinks(metrics: str = "", events: str = "", timeout: float = 20.0) -> Sinks:
    return Sinks(parse_sinks("metrics_sinks", metrics), parse_sinks("event_sinks", events), {}, timeout)


def test_cloudwatch_gets_the_names_of_the_files(account: Any) -> None:
    assert sinks(metrics="cloudwatch:Flights/Monitor").deliver(report()) == ()
    client = account("cloudwatch")
    stored = client.list_metrics(Namespace="Flights/Monitor")["Metrics"]
    names = {metric["MetricName"]: {d["Name"]: d["Value"] for d in metric["Dimensions"]} for metric in stored}
    about = {"Endpoint": "flights", "MonitoringSchedule": "hourly"}
    assert names["feature_baseline_drift_age"] == about
    assert names["violations"] == {**about, "Monitor": "data-quality"}
    assert set(names) == {
        "violations",
        "rows",
        "duration",
        "feature_non_null_age",
        "feature_baseline_drift_age",
        "feature_data_age",
    }
    (point,) = client.get_metric_statistics(
        Namespace="Flights/Monitor",
        MetricName="feature_baseline_drift_age",
        Dimensions=[{"Name": name, "Value": value} for name, value in about.items()],
        StartTime=START,
        EndTime=END,
        Period=60,
        Statistics=["Average"],
    )["Datapoints"]
    assert (point["Average"], point["Timestamp"]) == (0.25, START)


def test_many_metrics_go_in_several_requests_and_none_twice(account: Any) -> None:
    many = tuple(Metric(f"feature_non_null_f{i}", 1.0) for i in range(2500))
    attempt = messages.put_metrics(parse_sinks("metrics_sinks", "cloudwatch:Many")[0], report(metrics=many))
    calls: list[int] = []
    real = delivery.call

    def failing(service: str, operation: str, arguments: Any, timeout: float) -> Any:
        calls.append(len(arguments["MetricData"]))
        if len(calls) == 2:
            raise delivery.NotDeliveredError("throttled", again=True)
        return real(service, operation, arguments, timeout)

    with mock.patch.object(delivery, "call", failing):
        with pytest.raises(delivery.NotDeliveredError):
            attempt(10.0)
        attempt(10.0)
    assert calls == [1000, 1000, 1000, 503]


def test_what_cloudwatch_cannot_hold() -> None:
    odd = (
        Metric("recall", float("nan")),
        Metric("bias_metric_DI", float("inf")),
        Metric("feature_non_null_größe", 1.0, dimensions={"Facet": "日", "Empty": " "}),
    )
    entries = {entry["MetricName"]: entry for entry in messages.metric_data(report(metrics=odd))}
    assert set(entries) == {"violations", "rows", "duration", r"feature_non_null_gr\xf6\xdfe"}
    dimensions = entries[r"feature_non_null_gr\xf6\xdfe"]["Dimensions"]
    assert dimensions[2:] == [{"Name": "Facet", "Value": r"\u65e5"}]


def test_eventbridge_gets_the_event_and_its_rule_finds_it(account: Any) -> None:
    bus, queue = account("events"), account("sqs")
    bus.create_event_bus(Name="ml-events")
    url = queue.create_queue(QueueName="retraining")["QueueUrl"]
    arn = queue.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    pattern = {
        "source": ["model-monitor"],
        "detail-type": [messages.EVENT_TYPE],
        "detail": {"endpoint": ["flights"]},
    }
    bus.put_rule(Name="drift", EventBusName="ml-events", EventPattern=json.dumps(pattern))
    bus.put_targets(Rule="drift", EventBusName="ml-events", Targets=[{"Id": "queue", "Arn": arn}])
    assert sinks(events="eventbridge:ml-events").deliver(report()) == ()
    assert sinks(events="eventbridge:ml-events").deliver(report(endpoint="other")) == ()
    (message,) = queue.receive_message(QueueUrl=url, MaxNumberOfMessages=10)["Messages"]
    told = json.loads(message["Body"])
    assert told["detail-type"] == "modelmonitor.violations.found"
    assert told["detail"]["id"] == report().digest
    assert told["detail"]["violations"][0]["feature_name"] == "income"


def test_an_entry_is_within_the_limit_of_eventbridge() -> None:
    sent: list[dict[str, Any]] = []

    def call(service: str, operation: str, arguments: dict[str, Any], timeout: float) -> dict[str, Any]:
        sent.extend(arguments["Entries"])
        return {"FailedEntryCount": 0, "Entries": [{"EventId": "1"}]}

    with mock.patch.object(delivery, "call", call):
        sinks(events="eventbridge:b").deliver(report(violations=(violation(description="ü" * 400),) * 5000))
    (entry,) = sent
    size = 14 + sum(len(entry[name].encode()) for name in ("Source", "DetailType", "Detail"))
    assert size <= 256 * 1024


def test_a_bus_that_refuses_an_entry(account: Any) -> None:
    answer = {"FailedEntryCount": 1, "Entries": [{"ErrorCode": "NotAuthorized", "ErrorMessage": "no"}]}
    with mock.patch.object(delivery, "call", return_value=answer):
        (undelivered,) = sinks(events="eventbridge:b").deliver(report())
    assert undelivered.reason == "NotAuthorized: no"


def test_services_that_are_down_or_refuse(account: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    undelivered = sinks("cloudwatch:", "eventbridge:b").deliver(report())
    assert [parcel.address for parcel in undelivered] == ["cloudwatch:ModelMonitor", "eventbridge:b"]
    assert all("Could not connect" in parcel.reason for parcel in undelivered)


def test_no_credentials_is_told_at_once(
    account: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    (undelivered,) = sinks("cloudwatch:").deliver(report())
    assert undelivered.reason == "Unable to locate credentials"


def test_without_boto3_the_job_does_not_start() -> None:
    told = {"event_sinks": (), "sink_headers_file": None}
    settings: Any = SimpleNamespace(metrics_sinks=parse_sinks("metrics_sinks", "cloudwatch:"), **told)
    with (
        mock.patch.dict(sys.modules, {"boto3": None}),
        pytest.raises(ConfigurationError, match="needs boto3"),
    ):
        open_sinks(settings)
