"""Sinks of whole processes: what never ends keeps none, a signal loses no report, certificates count."""

import os
import shutil
import signal
import ssl
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from fixtures import ROOT
from sink_server import HANG, TRICKLE, Server, accepting, always, serving

FILES = ["constraints.json", "report.html", "statistics.json"]


def start(folder: Path, **variables: str) -> subprocess.Popen[str]:
    (folder / "data.csv").write_text("age\n" + "\n".join(map(str, range(100))) + "\n", encoding="utf-8")
    settings = {
        "dataset_source": str(folder / "data.csv"),
        "dataset_format": '{"csv":{"header":true}}',
        "output_path": str(folder / "output"),
        "output_message_file": str(folder / "message"),
        **variables,
    }
    return subprocess.Popen(
        [str(Path(sys.executable).with_name("monitor-data-quality"))],
        cwd=ROOT,
        env={**os.environ, **settings},
        stderr=subprocess.PIPE,
        text=True,
    )


def files(folder: Path) -> list[str]:
    return sorted(file.name for file in (folder / "output").iterdir())


def test_a_sink_that_trickles_for_ever_keeps_no_process(tmp_path: Path) -> None:
    with serving(always(TRICKLE)) as server:
        process = start(tmp_path, metrics_sinks=f"otlp+http://{server.host}", sink_timeout="1")
        _, log = process.communicate(timeout=120)
    assert process.returncode == 0, log
    assert "no answer within 0." in log
    assert files(tmp_path) == FILES


def test_a_signal_while_sinks_are_told_loses_no_report(tmp_path: Path) -> None:
    with serving(always(HANG)) as server:
        process = start(tmp_path, metrics_sinks=f"otlp+http://{server.host}", sink_timeout="600")
        wait_for_request(server)
        process.send_signal(signal.SIGTERM)
        _, log = process.communicate(timeout=120)
    assert process.returncode == 143, log
    assert files(tmp_path) == FILES


def wait_for_request(server: Server) -> None:
    for _ in range(1200):
        if server.requests:
            return
        time.sleep(0.05)
    raise AssertionError("the sink was never asked")


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    program = shutil.which("openssl")
    if program is None:
        pytest.skip("openssl is not installed")
    file = tmp_path / "certificate.pem"
    command = [program, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    command += ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1", "-days", "2"]
    made = subprocess.run([*command, "-keyout", file, "-out", tmp_path / "public.pem"], capture_output=True)
    assert made.returncode == 0, made.stderr
    file.write_bytes(file.read_bytes() + (tmp_path / "public.pem").read_bytes())
    return file


@pytest.mark.parametrize("trusted", [True, False])
def test_certificates_are_checked(tmp_path: Path, certificate: Path, trusted: bool) -> None:
    def secured(server: Any) -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        server.socket = context.wrap_socket(server.socket, server_side=True)

    with serving(accepting, secured) as server:
        authorities = {"SSL_CERT_FILE": str(certificate)} if trusted else {}
        sinks = f"otlp+https://{server.host}"
        process = start(tmp_path, metrics_sinks=sinks, sink_timeout="5", **authorities)
        _, log = process.communicate(timeout=120)
    assert process.returncode == 0, log
    if trusted:
        assert len(server.requests) == 1, log
    else:
        assert server.requests == []
        assert "certificate" in log
    assert files(tmp_path) == FILES
