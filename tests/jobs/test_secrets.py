"""Secrets planted in addresses: found in no text that a job makes, whatever the job, however it ends."""

from __future__ import annotations

import base64
import gzip
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from run_jobs import CSV, baseline_of, environment, run_job
from sinks.sink_server import Answer, Request, serving
from validate.set_up import attribution, people_table

from containers.data_quality.main import main as monitor_data_quality
from containers.feature_attribution.main import main as monitor_feature_attribution
from contract import masking


@pytest.fixture(autouse=True)
def _nothing_learnt() -> Iterator[None]:
    masking.learn(())
    yield
    masking.learn(())


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("http://me:pw@h:8080/invocations", "http://***@h:8080/invocations"),
        ("http://me:p/w@h/invocations", "http://***@h/invocations"),
        ("'http://h:1/v2/models/fraud/infer' is", "'http://h:1/v2/models/fraud/infer' is"),
        ("http://h/invocations?token=pw, but", "http://h/invocations?***, but"),
        ("https://hooks/services/T0/pw", "https://hooks/***"),
        ("events+https://h:pw/x", "events+https://***/***"),
        ("https://b.s3/key?X-Amz-Signature=pw&X=2", "https://b.s3/***"),
        ("s3://AKIA:p/w@bucket/a", "s3://***@bucket/a"),
        ("s3://bucket/models@v2/a", "s3://bucket/models@v2/a"),
        ("s3://arn:aws:s3:r:1:accesspoint/x/a@b", "s3://arn:aws:s3:r:1:accesspoint/x/a@b"),
        ("tls://me:pw@h:8786 or me:pw@h:8786", "tls://***@h:8786 or ***@h:8786"),
        ('"GET /a?X-Amz-Signature=pw&sig=pw HTTP/1.1"', '"GET /a?X-Amz-Signature=***&sig=*** HTTP/1.1"'),
        ("at http://[::1]:80/ping: no", "at http://[::1]:80/ping: no"),
        ("[?a=='x'].b@c, a:b", "[?a=='x'].b@c, a:b"),
    ],
)
def test_what_is_shown_of_an_address(text: str, shown: str) -> None:
    assert masking.mask(text) == shown


def test_a_secret_is_known_without_its_address() -> None:
    masking.learn(["http://me:long%20pass@h/T0/webhook-1?k=query-1", "x"], ["Bearer token-1"])
    pair = base64.b64encode(b"me:long pass").decode()
    text = f"long pass, long%20pass, Basic {pair}, webhook-1, query-1 and token-1 of x"
    assert masking.mask(text) == "***, ***, Basic ***, ***, *** and *** of x"


def settings_of(folder: Path, variables: dict[str, Any]) -> dict[str, str]:
    given = {
        "output_path": folder / "output",
        "history_path": folder / "history",
        "output_message_file": folder / "message",
        "log_level": "DEBUG",
        "sink_timeout": "PT2S",
        "AWS_ACCESS_KEY_ID": "id",
        "AWS_SECRET_ACCESS_KEY": "geheim/secret-key",
        "AWS_SESSION_TOKEN": "geheim-session",
        "AWS_REGION": "eu-west-1",
        **variables,
    }
    return {name: str(value) for name, value in given.items()}


class Planted:
    """Runs commands, and looks for ``geheim`` in everything they say or write."""

    def __init__(self, folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
        self.folder = folder
        self.capfd = capfd

    def run(self, command: Any, *arguments: str, **variables: Any) -> tuple[int, str]:
        with environment(settings_of(self.folder, variables)):
            code = command(list(arguments))
        text = "".join(self.capfd.readouterr())
        for file in sorted(path for path in self.folder.rglob("*") if path.is_file()):
            content = file.read_bytes()
            content = gzip.decompress(content) if file.suffix == ".gz" else content
            assert b"geheim" not in content, f"{file}: {content!r}"
            assert b"Z2VoZWlt" not in content, file  # the same in base64
        assert "geheim" not in text, text
        return code, text


@pytest.fixture(scope="module")
def baseline(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("baseline")
    source = folder / "data.csv"
    source.write_text(people_table())
    moved = folder / "moved.csv"
    moved.write_text(people_table().replace("a\n", "zz\n"))
    result = run_job(folder, source)
    assert result.exit_code == 0, result.message
    return {"dataset_source": moved, "dataset_format": CSV, **baseline_of(result)}


@pytest.fixture
def planted(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> Planted:
    (tmp_path / "job").mkdir()
    return Planted(tmp_path / "job", capfd)


def echo(request: Request) -> Answer:
    """Refuse a request by repeating all of it."""
    said = f"{request.path} {request.headers}".encode()
    return Answer(403, said)


def test_sinks(planted: Planted, baseline: dict[str, Any], tmp_path: Path) -> None:
    headers = tmp_path / "headers.json"
    with serving(echo) as server:
        headers.write_text(f'{{"{server.host}": {{"X-Token": "Bearer geheim-01"}}}}')
        sinks = {
            "event_sinks": f"events+http://me:geheim-02@{server.host}/T0/geheim-03?key=geheim-04,"
            f"events+http://geheim-05@{server.host}/a",
            "metrics_sinks": f"pushgateway+http://me:geheim%2F06@{server.host}/geheim-07,"
            f"otlp+http://{server.host}/geheim-08?sig=geheim-09,cloudwatch:",
            "sink_headers_file": headers,
            "AWS_ENDPOINT_URL_CLOUDWATCH": f"http://{server.host}/geheim-10",
            **baseline,
        }
        assert planted.run(monitor_data_quality, "--validate", **sinks)[0] == 0
        code, text = planted.run(monitor_data_quality, **sinks)
    assert code == 0
    assert text.count("it answered 403") >= 4
    assert any("geheim-03" in request.path for request in server.requests)
    assert f"http://***@{server.host}/***" in (planted.folder / "message").read_text()


@pytest.mark.parametrize(
    "variables",
    [
        {"event_sinks": "https://hooks.example/services/T0/geheim"},
        {"event_sinks": "hooks.example/services/T0/geheim"},
        {"event_sinks": "events+https://me:geheim/11@hooks.example/x"},
        {"event_sinks": "events+https://me:geheim,geheim12@hooks.example/x"},
        {"event_sinks": "events+https://me:geheim 13@hooks.example/x"},
        {"metrics_sinks": "pushgatway+http://me:geheim@h:1"},
        {"metrics_sinks": "me:geheim@h:1"},
        {"dataset_source": "s3://AKIA:geheim14@bucket/data"},
        {"dataset_source": "s3://AKIA:geheim/15@bucket/data"},
        {"dataset_source": "https://b.s3.example/data.csv?X-Amz-Signature=geheim&X-Amz-Expires=1"},
        {"dataset_source": "https://acct.blob.example/c/data.csv?sv=1&sig=geheim%2B16"},
        {"baseline_constraints": "s3://AKIA:geheim@bucket/constraints.json"},
        {"baseline_statistics": "https://h/statistics.json?token=geheim"},
        {"output_path": "s3://AKIA:geheim17@bucket/out"},
        {"history_path": "s3://AKIA:geheim18@bucket/history"},
        {"register_new_baseline": "s3://AKIA:geheim19@bucket/baseline", "skip_check": "Enabled"},
        {"record_preprocessor_script": "https://h/script.py?token=geheim"},
        {"sink_headers_file": "s3://AKIA:geheim20@bucket/headers.json"},
        {"dask_scheduler_address": "tcp://me:geheim21@127.0.0.1:1", "cluster_wait": "PT1S"},
        {"dask_scheduler_address": "me:geheim/22@127.0.0.1:port"},
        {"cluster_leader_address": "me:geheim23@127.0.0.1:port", "JOB_COMPLETION_INDEX": "1"},
        {"AWS_ENDPOINT_URL": "http://me:geheim24@127.0.0.1:9", "dataset_source": "s3://bucket/x"},
    ],
    ids=lambda variables: " ".join(f"{name}={text}" for name, text in variables.items()),
)
def test_addresses_that_cannot_be_used(
    planted: Planted, baseline: dict[str, Any], variables: dict[str, str]
) -> None:
    for arguments in ([], ["--validate"]):
        code, text = planted.run(monitor_data_quality, *arguments, **{**baseline, **variables})
        assert code == (0 if "history_path" in variables and not arguments else 2), text
    # The same as a flag that nobody knows, and as a flag that is known.
    name, address = next(iter(variables.items()))
    planted.run(monitor_data_quality, f"--{name}s={address}", address, **baseline)


def score(request: Request) -> Answer:
    return Answer(200, b"0.5\n" * len(request.body.splitlines()))


@pytest.mark.parametrize("behaviour", [score, echo])
def test_models(planted: Planted, tmp_path: Path, behaviour: Any) -> None:
    def answer(request: Request) -> Answer:
        return behaviour(request)

    with serving(answer) as server:
        set_up = attribution(
            tmp_path, f"http://me:geheim%2F30@{server.host}/geheim-31/v1?sig=geheim-32&token=geheim-33"
        )
        variables = {
            **set_up.variables,
            "output_path": None,
            "output_message_file": None,
            "max_runtime": "PT3S",
        }
        variables = {name: value for name, value in variables.items() if value is not None}
        runs = [
            planted.run(monitor_feature_attribution, *flags, **variables) for flags in ([], ["--validate"])
        ]
    assert runs[0][0] == (0 if behaviour is score else 2), runs[0][1]
    sent = {request.headers.get("Authorization") for request in server.requests}
    assert sent == {"Basic " + base64.b64encode(b"me:geheim/30").decode()}


@pytest.mark.parametrize("model", ["http://me:geheim/34@h/invocations", "ftp://me:geheim@h/x", "me:geheim@h"])
def test_models_that_cannot_be_used(planted: Planted, tmp_path: Path, model: str) -> None:
    variables = attribution(tmp_path, model).variables
    del variables["output_path"], variables["output_message_file"]
    for arguments in ([], ["--validate"]):
        assert planted.run(monitor_feature_attribution, *arguments, **variables)[0] == 2


def test_flags_leave_the_process_list(baseline: dict[str, Any], tmp_path: Path) -> None:
    seen: list[str] = []

    def look(request: Request) -> Answer:
        for file in Path("/proc").glob("[0-9]*/cmdline"):
            try:
                command = file.read_bytes().decode(errors="replace")
            except OSError:
                continue
            seen.append(command)
        return Answer()

    with serving(look) as server:
        flags = [f"--event-sinks=events+http://me:geheim-40@{server.host}/geheim-41", "--log-level", "INFO"]
        command = Path(sys.executable).with_name("monitor-data-quality")
        variables = {**os.environ, **settings_of(tmp_path, baseline)}
        subprocess.run([command, *flags], env=variables, check=True, capture_output=True)
    assert any("monitor-data-quality" in command for command in seen)
    assert not any("geheim" in command for command in seen)


@pytest.mark.parametrize(
    "place", ["def preprocess_handler(record):\n    ", "", "def postprocess_handler():\n    "]
)
@pytest.mark.parametrize("name", ["DB_PASSWORD", "HOOK_TOKEN", "Service_Api_Key", "AWS_SECRET_ACCESS_KEY"])
def test_secrets_of_the_environment_in_errors_of_scripts(
    planted: Planted, baseline: dict[str, Any], tmp_path: Path, place: str, name: str
) -> None:
    script = tmp_path / "script.py"
    script.write_text(f"import os\n{place}raise ValueError('no login with ' + os.environ['{name}'])\n")
    kind = "post_analytics_processor_script" if "post" in place else "record_preprocessor_script"
    code, text = planted.run(monitor_data_quality, **baseline | {kind: script, name: "geheim-50"})
    assert code == 2
    assert "no login with ***" in text


@pytest.mark.parametrize(
    "name", ["model_name", "sagemaker_endpoint_name", "sagemaker_monitoring_schedule_name"]
)
def test_addresses_as_names(planted: Planted, baseline: dict[str, Any], name: str) -> None:
    code, _ = planted.run(monitor_data_quality, **baseline | {name: "http://me:geheim-51@h/invocations"})
    assert code == 0
    assert "http://***@h/invocations" in (planted.folder / "output" / "report.html").read_text()
