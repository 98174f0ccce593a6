"""OTLP over HTTP in JSON."""

import math

import pytest
from reports import END, report
from sink_server import Answer, always, serving

from contract.sink_addresses import parse_sinks
from reporting.sinks import messages as otlp
from reporting.sinks.delivery import NotDeliveredError
from reporting.sinks.messages import Value, values_of


def send(server_path: str = "", answer: Answer | None = None) -> list:
    with serving(always(answer or Answer(body=b"{}"))) as server:
        (address,) = parse_sinks("metrics_sinks", f"otlp+http://{server.host}{server_path}")
        otlp.export(address, report(), {}, 5.0)
    return server.requests


@pytest.mark.parametrize(
    ("given", "asked"),
    [("", "/v1/metrics"), ("/", "/v1/metrics"), ("/a/v1/metrics", "/a/v1/metrics"), ("/a", "/a/v1/metrics")],
)
def test_the_path(given: str, asked: str) -> None:
    (request,) = send(given)
    assert (request.method, request.path) == ("POST", asked)
    assert request.headers["Content-Type"] == "application/json"


def test_every_value_is_a_point_of_a_gauge() -> None:
    (request,) = send()
    (resource,) = request.json()["resourceMetrics"]
    assert resource["resource"]["attributes"] == [
        {"key": "service.name", "value": {"stringValue": "model-monitor"}}
    ]
    (scope,) = resource["scopeMetrics"]
    points = [
        Value(
            metric["name"],
            {attribute["key"]: attribute["value"]["stringValue"] for attribute in point["attributes"]},
            point["asDouble"],
        )
        for metric in scope["metrics"]
        for point in metric["gauge"]["dataPoints"]
    ]
    assert sorted(points, key=str) == sorted(values_of(report()), key=str)
    # 64-bit integers are text in the JSON mapping of Protocol Buffers.
    times = {point["timeUnixNano"] for m in scope["metrics"] for point in m["gauge"]["dataPoints"]}
    assert times == {str(int(END.timestamp()) * 10**9)}


def test_numbers_that_json_has_not() -> None:
    values = [Value("model_monitor_bias", {}, number) for number in (math.nan, math.inf, -math.inf)]
    body = otlp.request_body(values, END)
    assert body.count(b'"asDouble":"NaN"') == body.count(b'"asDouble":"Infinity"') == 1
    assert body.count(b'"asDouble":"-Infinity"') == 1


def test_points_that_a_collector_rejects_are_told() -> None:
    partial = b'{"partialSuccess":{"rejectedDataPoints":"3","errorMessage":"too old"}}'
    with pytest.raises(NotDeliveredError, match=r"it rejected 3 of \d+ points: too old"):
        send(answer=Answer(body=partial))


@pytest.mark.parametrize("body", [b"", b"ok", b"[]", b'{"partialSuccess":{}}', b'{"partialSuccess":null}'])
def test_whatever_a_healthy_collector_says(body: bytes) -> None:
    send(answer=Answer(body=body))
