"""Whole jobs: whatever a sink does, the files stay, the log says what did not arrive, no secret shows."""

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from run_jobs import VIOLATIONS, Result, baseline_of, run_job
from sink_server import HANG, RESET, Answer, always, free_host, serving

FILES = [
    "comparisons.json",
    "constraint_violations.json",
    "constraints.json",
    "report.html",
    "statistics.json",
]
COMPLETED = VIOLATIONS.format(1)


def write_csv(path: Path, seed: int, shift: float = 0.0) -> Path:
    rng = np.random.default_rng(seed)
    rows = (f"{rng.integers(18, 90)},{rng.normal(50 + shift, 10):.3f}" for _ in range(500))
    path.write_text("age,income\n" + "\n".join(rows) + "\n", encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def before(tmp_path_factory: pytest.TempPathFactory) -> Result:
    folder = tmp_path_factory.mktemp("baseline")
    return run_job(folder, write_csv(folder / "data.csv", 1))


@pytest.fixture
def drifted(tmp_path: Path, before: Result) -> Any:
    source = write_csv(tmp_path / "data.csv", 2, shift=20.0)

    def run(**variables: Any) -> Result:
        return run_job(tmp_path, source, **{**baseline_of(before), "log_level": "DEBUG", **variables})

    return run


def test_all_sinks_at_once(drifted: Any, tmp_path: Path) -> None:
    with serving() as server:
        result = drifted(
            metrics_sinks=f"pushgateway+http://{server.host},otlp+http://{server.host},"
            f"prometheus-textfile:{tmp_path}/",
            event_sinks=f"events+http://{server.host}/events",
            sagemaker_endpoint_name="flights",
        )
    assert (result.exit_code, result.message) == (0, COMPLETED)
    paths = sorted(request.path for request in server.requests)
    assert paths == [
        "/events",
        "/metrics/job/model_monitor/monitor/data-quality/endpoint/flights",
        "/v1/metrics",
    ]
    text = (tmp_path / "model_monitor_data-quality_flights.prom").read_text()
    assert 'model_monitor_violations{monitor="data-quality",endpoint="flights"} 1.0' in text
    event = next(request for request in server.requests if request.path == "/events").json()
    assert event["data"]["violations"] == result.violations
    assert event["data"]["rows"] == 500


@pytest.mark.parametrize(
    ("behaviour", "says"),
    [
        (None, "connection refused"),
        (HANG, "no answer within"),
        (Answer(503), "it answered 503"),
        (Answer(429), "it answered 429"),
        (Answer(400, b"no such label"), "it answered 400: no such label"),
        (RESET, "closed the connection before its answer was complete"),
    ],
)
def test_a_bad_sink_loses_no_report(
    drifted: Any, capsys: pytest.CaptureFixture[str], behaviour: Answer | None, says: str
) -> None:
    with serving(always(behaviour or Answer())) as server:
        host = server.host if behaviour else free_host()
        result = drifted(
            metrics_sinks=f"pushgateway+http://{host}",
            event_sinks=f"events+http://{host}/hook",
            sink_timeout="0.6",
        )
    assert result.exit_code == 0
    assert result.files == FILES
    assert result.message.startswith(f"{COMPLETED} Not delivered to pushgateway+http://{host}: ")
    metrics, event = sorted(
        re.findall("WARNING - Not delivered: (.*)", capsys.readouterr().err), key=_is_event
    )
    assert "metrics (model_monitor_violations, " in metrics
    assert f"to pushgateway+http://{host}" in metrics
    assert "with 1 violation to events+http://" in event
    assert says in metrics
    assert says in event


def _is_event(line: str) -> bool:
    return line.startswith("event ")


def test_good_sinks_are_told_beside_bad_ones(drifted: Any, tmp_path: Path) -> None:
    with serving(always(HANG)) as bad, serving() as good:
        result = drifted(
            metrics_sinks=f"otlp+http://{bad.host},prometheus-textfile:{tmp_path}/m.prom",
            event_sinks=f"events+http://{good.host}/events",
            sink_timeout="0.5",
        )
    assert result.exit_code == 0
    assert len(good.requests) == 1
    assert (tmp_path / "m.prom").exists()
    assert "Not delivered to otlp+http://" in result.message
    assert "events+http" not in result.message


@pytest.mark.parametrize(("fail_on_violations", "exit_code"), [("Disabled", 4), ("Enabled", 3)])
def test_a_job_can_be_told_to_fail(drifted: Any, fail_on_violations: str, exit_code: int) -> None:
    result = drifted(
        metrics_sinks=f"otlp+http://{free_host()}",
        sink_timeout="0.3",
        fail_on_sink_error="Enabled",
        fail_on_violations=fail_on_violations,
    )
    assert result.exit_code == exit_code
    assert result.files == FILES


def test_trying_a_job_again_sends_the_same_event(drifted: Any) -> None:
    with serving() as server:
        for _ in range(2):
            drifted(event_sinks=f"events+http://{server.host}/events")
    first, second = (request.json() for request in server.requests)
    assert first["id"] == second["id"]


def test_secrets_reach_the_sink_and_nothing_else(
    drifted: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOOK_TOKEN", "geheim-1\n")
    with serving(always(Answer(401))) as server:
        headers = tmp_path / "headers.json"
        headers.write_text(json.dumps({server.host: {"X-Token": "Bearer ${HOOK_TOKEN}"}}))
        result = drifted(
            event_sinks=f"events+http://me:geheim-2@{server.host}/T0/geheim-3?key=geheim-4",
            metrics_sinks=f"pushgateway+http://me:geheim-5@{server.host}",
            sink_headers_file=headers,
        )
    assert {request.headers["X-Token"] for request in server.requests} == {"Bearer geheim-1"}
    assert all(request.headers["Authorization"].startswith("Basic ") for request in server.requests)
    assert any(request.path == "/T0/geheim-3?key=geheim-4" for request in server.requests)
    assert f"events+http://***@{server.host}/***: it answered 401" in result.message
    log = capsys.readouterr().err
    assert "event_sinks=events+http://***@" in log
    assert "geheim" not in log + result.message
    assert not any("geheim" in (result.output / name).read_text() for name in result.files)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("{", "is no JSON"),
        ("[]", "is no JSON object"),
        ('{"hooks.example.co": {}}', "did you mean hooks.example.com"),
        ('{"hooks.example.com": {"A": 1}}', "something else than header names"),
        ('{"hooks.example.com": {"A": "${NOT_THERE}"}}', "'NOT_THERE' is not set"),
        ('{"hooks.example.com": {"A b": "x"}}', "a header is one line of ASCII"),
        ('{"hooks.example.com": {"A": "geheim\\nX: y"}}', "a header is one line of ASCII"),
    ],
)
def test_mistakes_in_the_headers_stop_the_job_before_its_work(
    drifted: Any, tmp_path: Path, content: str, says: str
) -> None:
    headers = tmp_path / "headers.json"
    headers.write_text(content)
    result = drifted(event_sinks="events+https://hooks.example.com/x", sink_headers_file=headers)
    assert result.exit_code == 2
    assert str(headers) in result.message
    assert says in result.message
    assert "geheim" not in result.message
    assert result.files == []


def test_an_unwritable_folder_for_metric_files_keeps_no_sink_waiting(drifted: Any, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with serving() as server:
        result = drifted(
            event_sinks=f"events+http://{server.host}/events",
            publish_cloudwatch_metrics="Enabled",
            cloudwatch_metrics_directory=tmp_path / "file" / "metrics",
        )
    assert result.exit_code == 2
    assert len(server.requests) == 1


def test_an_event_names_places_that_others_find(
    drifted: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with serving() as server:
        drifted(
            event_sinks=f"events+http://{server.host}/events", dataset_source="data.csv", output_path="here"
        )
    data = server.requests[0].json()["data"]
    assert data["dataset_source"] == str(tmp_path / "data.csv")
    assert data["report"] == str(tmp_path / "here" / "constraint_violations.json")
