"""Servers that never come to an end: each is given up in time, and little of what they say is kept."""

from __future__ import annotations

import contextlib
import ipaddress
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from model_server import QUICK, Answer, Request, serving

from contract.analysis_config import PredictorConfig
from contract.errors import ConfigurationError, ModelError
from file_storage import transport
from model_clients.opening import open_model
from reporting.sinks import delivery
from reporting.sinks.delivery import NotDeliveredError

OK = b"HTTP/1.1 200 OK\r\n"
# What is said first, and then for ever, with a pause.
TRICKLES = {
    "body": (OK + b"Content-Length: 1000000000\r\n\r\n", b"1", 0.01),
    "header": (OK + b"X-Slow: ", b"z", 0.01),
    "continue": (b"", b"HTTP/1.1 100 Continue\r\n\r\n", 0.01),
    "chunks": (OK + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\n1\r\n", 0.01),
}
FLOODS = {
    "endless": (OK + b"\r\n", b"1\n" * 10_000, 0.0),
    "endless chunks": (
        OK + b"Transfer-Encoding: chunked\r\n\r\n",
        b"2710\r\n" + b"1\n" * 5_000 + b"\r\n",
        0.0,
    ),
    "one giant chunk": (OK + b"Transfer-Encoding: chunked\r\n\r\nFFFFFFFFFF\r\n", b"1\n" * 10_000, 0.0),
    "announced": (OK + b"Content-Length: 99999999999\r\n\r\n", b"1\n" * 10_000, 0.0),
    "refusal": (b"HTTP/1.1 403 No\r\n\r\n", b"1\n" * 10_000, 0.0),
}


@contextmanager
def saying(first: bytes, then: bytes, pause: float) -> Iterator[str]:
    """Serve any number of connections, each answered alike; give the host."""
    over = threading.Event()

    def answer(connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            connection.recv(65_536)
            connection.sendall(first)
            while not over.wait(pause):
                connection.sendall(then)

    def accept() -> None:
        with contextlib.suppress(OSError):
            while True:
                threading.Thread(target=answer, args=(server.accept()[0],), daemon=True).start()

    server = socket.create_server(("127.0.0.1", 0))
    threading.Thread(target=accept, daemon=True).start()
    try:
        yield f"127.0.0.1:{server.getsockname()[1]}"
    finally:
        over.set()
        server.close()


def in_time[T](attempt: Callable[[], T]) -> T:
    started = time.monotonic()
    try:
        return attempt()
    finally:
        assert time.monotonic() - started < 15.0


@pytest.mark.parametrize("trickle", TRICKLES.values(), ids=TRICKLES)
def test_a_model_server_that_trickles(trickle: tuple[bytes, bytes, float]) -> None:
    policy = replace(QUICK, timeout=0.3, attempts=2)
    with saying(*trickle) as host, pytest.raises(ModelError, match=r"no answer within 0\.3 s"):
        in_time(
            lambda: open_model(f"http://{host}/score", policy=policy).predict(pa.record_batch({"a": [1.0]}))
        )


@pytest.mark.parametrize("flood", FLOODS.values(), ids=FLOODS)
def test_a_model_server_that_never_stops(
    flood: tuple[bytes, bytes, float], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transport, "MOST_ANSWER_BYTES", 1 << 20)
    rows = pa.record_batch({"a": [float(row) for row in range(20)]})
    with saying(*flood) as host, pytest.raises(ModelError, match="larger than 1 MB; check"):
        in_time(lambda: open_model(f"http://{host}/score", policy=QUICK).predict(rows))


@pytest.mark.parametrize("answer", [*TRICKLES.values(), *FLOODS.values()], ids=[*TRICKLES, *FLOODS])
def test_sinks(answer: tuple[bytes, bytes, float], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport, "MOST_ANSWER_BYTES", 1 << 20)
    with saying(*answer) as host, pytest.raises(NotDeliveredError):
        in_time(lambda: delivery.send("POST", f"http://{host}/", b"x", "text/plain", {}, 0.5))


@pytest.mark.parametrize("answer", [TRICKLES["body"], *FLOODS.values()], ids=["body", *FLOODS])
def test_services_of_aws(answer: tuple[bytes, bytes, float], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport, "MOST_ANSWER_BYTES", 1 << 20)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "x")
    monkeypatch.setenv("AWS_REGION", "eu-west-1")
    with saying(*answer) as host:
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://{host}")
        with pytest.raises(NotDeliveredError):
            in_time(lambda: delivery.call("events", "list_event_buses", {}, 0.5))
        policy = replace(QUICK, timeout=0.5, attempts=1)
        model = open_model(None, PredictorConfig(endpoint_name="e"), policy=policy)
        with pytest.raises(ModelError):
            in_time(lambda: model.predict(pa.record_batch({"a": [1.0]})))


@pytest.mark.parametrize("member", ["custom_attributes", "target_model"])
@pytest.mark.parametrize("text", ["a\r\nX-Other: b", "a\nb", "caf\xe9", "\x00"])
def test_headers_are_one_line_of_ascii(member: str, text: str) -> None:
    with pytest.raises(ConfigurationError, match=f"^predictor.{member} .* one line of ASCII; mend it"):
        open_model("http://127.0.0.1:1/invocations", PredictorConfig(**{member: text}), policy=QUICK)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirects_are_not_followed(status: int) -> None:
    asked: list[Request] = []

    def elsewhere(request: Request) -> Answer:
        asked.append(request)
        return Answer("0.5")

    with (
        serving(elsewhere) as other,
        serving(lambda request: Answer("", status, {"Location": f"{other.address}/x"})) as server,
        contextlib.closing(open_model(server.url, policy=QUICK)) as model,
        pytest.raises(ModelError, match=f"answered status {status}"),
    ):
        model.predict(pa.record_batch({"a": [1.0]}))
    assert asked == []


def certificate(folder: Path, name: x509.GeneralName, days: int) -> Path:
    """Write a certificate that ends in so many days, and its key, into one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder(subject, subject, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=30))
        .not_valid_after(now + timedelta(days=days))
        .add_extension(x509.SubjectAlternativeName([name]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    form = serialization.PrivateFormat.PKCS8
    file = folder / "certificate.pem"
    file.write_bytes(key.private_bytes(pem, form, serialization.NoEncryption()) + made.public_bytes(pem))
    return file


HERE = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))


@pytest.mark.parametrize(
    ("name", "days", "is_trusted", "says"),
    [
        (HERE, 2, True, None),
        (HERE, 2, False, "self-signed certificate"),
        (x509.DNSName("other.example"), 2, True, "ip address mismatch"),
        (HERE, -2, True, "has expired"),
    ],
    ids=["good", "self-signed", "wrong host", "expired"],
)
def test_certificates_are_checked(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    name: x509.GeneralName,
    days: int,
    is_trusted: bool,
    says: str | None,
) -> None:
    file = certificate(tmp_path, name, days)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)
    if is_trusted:
        monkeypatch.setenv("SSL_CERT_FILE", str(file))
    body = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n0.5"
    listening = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        for _ in range(4):
            with contextlib.suppress(OSError):
                connection = context.wrap_socket(listening.accept()[0], server_side=True)
                with connection:
                    asked = connection.recv(65_536)
                    while asked.partition(b"\r\n\r\n")[2] == b"":  # a close before its body resets it
                        asked += connection.recv(65_536)
                    connection.sendall(body)

    threading.Thread(target=serve, daemon=True).start()
    policy = replace(QUICK, attempts=2)
    row = pa.record_batch({"a": [1.0]})
    with listening:
        model = open_model(f"https://127.0.0.1:{listening.getsockname()[1]}/score", policy=policy)
        if says is None:
            assert model.predict(row).tolist() == [[0.5]]
            model.close()
        else:
            with pytest.raises(ModelError, match=says):
                model.predict(row)
