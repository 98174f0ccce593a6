"""Events: CloudEvents 1.0, limited in size, with the same id for the same finding."""

import re
from datetime import datetime

import orjson
from hypothesis import given
from hypothesis import strategies as st
from reports import report, violation
from sink_server import serving

from contract.sink_addresses import parse_sinks
from reporting.history.record import digest_of
from reporting.sinks import messages
from reporting.sinks.publishing import Sinks


def test_a_cloud_event() -> None:
    event = messages.cloud_event(report(endpoint="flights eu"))
    required = {"specversion", "id", "source", "type"}
    assert required <= set(event)
    # Attribute names: lower-case letters and digits only (CloudEvents 1.0, section 3.1).
    assert all(re.fullmatch("[a-z0-9]+", name) for name in event)
    assert event["source"] == "/model-monitor/data-quality/flights%20eu/hourly"
    assert event["subject"] == "flights eu"
    assert datetime.fromisoformat(event["time"]) == report().finished
    data = event["data"]
    assert data["window"] == {"start": "2026-05-06T21:00:00Z", "end": "2026-05-06T22:00:00Z"}
    assert data["report"] == "s3://bucket/reports/constraint_violations.json"
    assert data["violations"] == [
        {"feature_name": "income", "constraint_check_type": "baseline_drift_check", "description": "moved"}
    ]
    assert (data["violation_count"], data["violations_left_out"]) == (1, 0)


@given(
    st.lists(st.text(st.characters(codec="utf-8"), max_size=300), min_size=1, max_size=60),
    st.integers(6000, 30000),
)
def test_events_fit_and_count_what_they_leave_out(descriptions: list[str], most_bytes: int) -> None:
    violations = tuple(violation(description=text) for text in descriptions)
    event = messages.cloud_event(report(violations=violations), most_bytes)
    assert len(orjson.dumps(event)) <= most_bytes
    data = event["data"]
    assert data["violation_count"] == len(violations)
    assert len(data["violations"]) + data["violations_left_out"] == len(violations)
    assert [member["description"] for member in data["violations"]] == descriptions[: len(data["violations"])]


def test_ten_thousand_violations_fit_into_what_eventbridge_takes() -> None:
    event = messages.cloud_event(report(violations=(violation(description="x" * 200),) * 10_000))
    assert len(orjson.dumps(event)) <= 256 * 1024
    assert event["data"]["violations_left_out"] > 8_000
    assert len(event["data"]["violations"]) > 500


def test_an_http_sink_gets_the_event_in_structured_mode() -> None:
    with serving() as server:
        sinks = Sinks((), parse_sinks("event_sinks", f"events+http://{server.host}/hook?k=v"), {}, 5.0)
        assert sinks.deliver(report()) == ()
        assert sinks.deliver(report(violations=())) == ()
        assert sinks.deliver(report(violations=None)) == ()
    (request,) = server.requests
    assert (request.method, request.path) == ("POST", "/hook?k=v")
    assert request.headers["Content-Type"] == "application/cloudevents+json; charset=utf-8"
    assert request.json() == messages.cloud_event(report())


def test_an_event_is_known_by_what_was_found() -> None:
    class Given:
        window = None
        sagemaker_endpoint_name = "a"
        sagemaker_monitoring_schedule_name = None

    files = {"b.json": b"1", "a.json": b"2"}
    same = digest_of(Given, "monitor-bias", files)
    assert same == digest_of(Given, "monitor-bias", dict(reversed(files.items())))
    assert same != digest_of(Given, "monitor-bias", {**files, "b.json": b"3"})
    assert same != digest_of(Given, "monitor-data-quality", files)
