"""Prometheus: read back by the reference parser, written whole, pushed by group."""

import base64
import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from reports import report
from sink_server import serving

from contract.api import Metric
from contract.sink_addresses import SinkAddress, parse_sinks
from reporting.sinks import messages as prometheus
from reporting.sinks.delivery import NotDeliveredError
from reporting.sinks.messages import Value, values_of

parser = pytest.importorskip("prometheus_client.parser", reason="prometheus-client is not installed")

Sample = tuple[str, frozenset[tuple[str, str]], float]


def read(text: bytes) -> list[Sample]:
    return [
        (sample.name, frozenset(sample.labels.items()), sample.value)
        for family in parser.text_string_to_metric_families(text.decode())
        for sample in family.samples
    ]


def written(values: list[Value]) -> list[Sample]:
    return [(value.name, frozenset(value.labels.items()), value.value) for value in values]


def test_a_run_reads_back_as_it_is() -> None:
    values = values_of(report())
    read_back = read(prometheus.exposition(values))
    assert sorted(read_back, key=str) == sorted(written(values), key=str)
    common = {("monitor", "data-quality"), ("endpoint", "flights"), ("schedule", "hourly")}
    assert all(common <= labels for _, labels, _ in read_back)
    found = {
        (name, dict(labels).get("feature"), dict(labels).get("check")): value
        for name, labels, value in read_back
    }
    assert found["model_monitor_violations", None, None] == 1
    assert found["model_monitor_violations_by_check", None, "baseline_drift_check"] == 1
    assert found["model_monitor_rows", None, None] == 100
    assert found["model_monitor_duration_seconds", None, None] == 1.5
    assert found["model_monitor_last_success_timestamp_seconds", None, None] == report().finished.timestamp()
    assert found["model_monitor_window_start_timestamp_seconds", None, None] == 1778101200
    assert found["model_monitor_feature_drift", "age", None] == 0.25
    assert found["model_monitor_feature_completeness", "age", None] == 0.75
    assert found["model_monitor_feature_sum", "age", None] == 3000


def test_nothing_compared_is_not_zero_violations() -> None:
    names = {value.name for value in values_of(report(violations=None))}
    assert "model_monitor_violations" not in names
    assert "model_monitor_violations" in {value.name for value in values_of(report(violations=()))}


def test_nothing_decided_is_not_zero_violations_either() -> None:
    values = {value.name: value.value for value in values_of(report(violations=(), decided=0))}
    assert "model_monitor_violations" not in values
    assert values["model_monitor_comparisons_decided"] == 0


def test_models_have_series_of_their_own() -> None:
    run = report(endpoint=None, schedule=None, model="churn")
    assert {value.labels["model"] for value in values_of(run)} == {"churn"}
    assert prometheus.textfile_path("/metrics/", run.labels).name == "model_monitor_data-quality_churn.prom"


@given(
    st.lists(
        st.tuples(st.text(st.characters(codec="utf-8", exclude_characters="\r")), st.floats()), max_size=5
    )
)
def test_any_label_and_any_number_reads_back(members: list[tuple[str, float]]) -> None:
    values = [Value("model_monitor_feature_drift", {"feature": name}, number) for name, number in members]
    read_back = read(prometheus.exposition(values))
    assert [labels for _, labels, _ in read_back] == [frozenset(value.labels.items()) for value in values]
    for (_, _, number), value in zip(read_back, values, strict=True):
        assert number == value.value or (math.isnan(number) and math.isnan(value.value))


@pytest.mark.parametrize(
    ("metric", "name", "labels"),
    [
        (
            Metric("DI", 0.9, gauge="g", labels={"metric": "DI"}, dimensions={"BiasStage": "Pre-training"}),
            "g",
            {"metric": "DI", "bias_stage": "Pre-training"},
        ),
        # CloudWatch's kind of value is in the name of the gauge.
        (
            Metric("e", 0.9, gauge="g", labels={}, dimensions={"Label": "l", "ValueType": "v"}),
            "g",
            {"label": "l"},
        ),
        (Metric("churn", 0.9), "model_monitor_value", {"metric": "churn"}),
    ],
)
def test_a_metric_says_its_gauge_and_what_it_is_of(metric: Metric, name: str, labels: dict[str, str]) -> None:
    values = values_of(report(monitor="own", metrics=(metric,), endpoint=None, schedule=None))
    assert values[-1] == Value(name, {"monitor": "own", **labels}, 0.9)
    text = prometheus.exposition(values).decode()
    assert f"# HELP {name} " in text
    assert {family.type for family in parser.text_string_to_metric_families(text)} == {"gauge"}


def test_a_textfile_is_written_whole_and_replaced(tmp_path: Path) -> None:
    address = SinkAddress("prometheus-textfile", f"{tmp_path}/", "shown")
    for told in (report(endpoint="flights/eu"), report(endpoint="flights/eu", rows=7)):
        prometheus.write_textfile(address, told, {}, 5.0)
    (file,) = tmp_path.iterdir()
    assert file.name == "model_monitor_data-quality_flights-eu_hourly.prom"
    assert ("model_monitor_rows", 7.0) in {(name, value) for name, _, value in read(file.read_bytes())}


def test_a_folder_that_is_not_there() -> None:
    address = SinkAddress("prometheus-textfile", "/nowhere/here/m.prom", "shown")
    with pytest.raises(NotDeliveredError, match="there is no folder /nowhere/here") as caught:
        prometheus.write_textfile(address, report(), {}, 5.0)
    assert not caught.value.again


def test_the_pushgateway_gets_one_group_replaced() -> None:
    with serving() as server:
        (address,) = parse_sinks("metrics_sinks", f"pushgateway+http://{server.host}/prefix/")
        told = report(endpoint="flights/eu")
        prometheus.push(address, told, {}, 5.0)
    (request,) = server.requests
    endpoint = base64.urlsafe_b64encode(b"flights/eu").decode()
    assert request.method == "PUT"
    assert request.path == (
        f"/prefix/metrics/job/model_monitor/monitor/data-quality/endpoint@base64/{endpoint}/schedule/hourly"
    )
    assert request.headers["Content-Type"].startswith("text/plain; version=0.0.4")
    assert read(request.body)
