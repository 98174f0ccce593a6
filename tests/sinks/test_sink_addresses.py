"""Addresses: what is accepted, what a mistake says, and that nothing secret is shown."""

import pytest

from contract.errors import ConfigurationError
from contract.masking import mask
from contract.sink_addresses import host_of, parse_sinks


def test_every_kind_of_sink() -> None:
    metrics = parse_sinks(
        "metrics_sinks",
        "prometheus-textfile:/metrics/, pushgateway+http://push:9091,OTLP+https://collector:4318/,cloudwatch:",
    )
    assert [(sink.kind, sink.target) for sink in metrics] == [
        ("prometheus-textfile", "/metrics/"),
        ("pushgateway", "http://push:9091"),
        ("otlp", "https://collector:4318/"),
        ("cloudwatch", "ModelMonitor"),
    ]
    events = parse_sinks("event_sinks", "events+https://hooks/a%2Cb,eventbridge:ml-events")
    assert [(sink.kind, sink.target) for sink in events] == [
        ("events", "https://hooks/a%2Cb"),
        ("eventbridge", "ml-events"),
    ]
    assert parse_sinks("event_sinks", None) == ()
    assert len(parse_sinks("metrics_sinks", "cloudwatch:,cloudwatch:")) == 1


def test_what_is_shown_of_an_address_has_no_credentials() -> None:
    (sink,) = parse_sinks(
        "event_sinks", "events+https://me:p%40ss@hooks.example.com:8443/T0/secret?token=abc"
    )
    assert sink.target == "https://me:p%40ss@hooks.example.com:8443/T0/secret?token=abc"
    assert host_of(sink.target) == "hooks.example.com:8443"
    assert sink.shown == "events+https://***@hooks.example.com:8443/***"
    assert not any(secret in repr(sink) for secret in ("p@ss", "p%40ss", "T0"))


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("otlp+http://u:p@h:1/x?key=k", "otlp+http://***@h:1/***"),
        (
            "pushgateway+http://a@h,events+http://h/hook/SECRET",
            "pushgateway+http://***@h,events+http://h/***",
        ),
        ("s3://bucket/key", "s3://bucket/key"),
        ("instances[?a].b@c", "instances[?a].b@c"),
    ],
)
def test_what_is_shown(text: str, shown: str) -> None:
    assert mask(text) == shown


@pytest.mark.parametrize(
    ("variable", "text", "says"),
    [
        ("metrics_sinks", "pushgatway+http://h:1", "did you mean pushgateway+http://host:9091"),
        ("metrics_sinks", "events+http://h", "it belongs in event_sinks"),
        ("event_sinks", "cloudwatch:", "it belongs in metrics_sinks"),
        ("metrics_sinks", "statsd:8125", "write one of prometheus-textfile:/folder/"),
        ("metrics_sinks", "otlp+ftp://h", "write it as otlp+http://host:4318"),
        ("metrics_sinks", "otlp:4318", "write it as otlp+http://host:4318"),
        ("metrics_sinks", "otlp+http://h:99999", "which is no address"),
        ("metrics_sinks", "otlp+http://h/a b", "which is no address"),
        ("metrics_sinks", "prometheus-textfile:/m/file.txt", "files that end in .prom"),
        ("metrics_sinks", "prometheus-textfile:s3://b/m.prom", "local files"),
        ("metrics_sinks", "prometheus-textfile:", "write it as prometheus-textfile:/folder/"),
        ("metrics_sinks", "cloudwatch:AWS/Mine", "does not start with AWS/"),
        ("event_sinks", "eventbridge:", "write it as eventbridge:bus-name"),
        ("event_sinks", "events+http://u:geheim@ho st/x?t=geheim", "which is no address"),
    ],
)
def test_mistakes(variable: str, text: str, says: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        parse_sinks(variable, text)
    assert says in caught.value.message
    assert variable in caught.value.message
    assert "geheim" not in caught.value.message
