"""Channels: connections are kept and closed, proxies are not used, and what goes wrong has a kind."""

from __future__ import annotations

import gc
import socket
import threading
import warnings
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress

import pytest
from model_server import Answer, serving

from file_storage import transport
from file_storage.transport import ChannelError, HttpChannel
from model_clients.endpoints import SageMakerChannel
from model_clients.model import Policy

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n0.5"


@contextmanager
def speaking(*answers: bytes) -> Iterator[tuple[str, list[socket.socket]]]:
    """Answer requests of one packet; give the URL and the connections."""
    server, connections = socket.create_server(("127.0.0.1", 0)), list[socket.socket]()

    def serve() -> None:
        with suppress(OSError):
            waiting = list(answers)
            while waiting:
                connections.append(server.accept()[0])
                while waiting and connections[-1].recv(65_536):
                    answer = waiting.pop(0)
                    connections[-1].sendall(answer)
                    if b"Connection: close" in answer:
                        connections[-1].shutdown(socket.SHUT_RDWR)
                if waiting:
                    connections[-1].close()

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.getsockname()[1]}/score", connections
    finally:
        server.close()
        for connection in connections:
            connection.close()


def test_a_connection_is_kept_until_the_channel_is_closed() -> None:
    with speaking(ANSWER, ANSWER) as (url, connections):
        channel = HttpChannel(url, {}, 5.0)
        assert [channel.get("/a").body, channel.get("/b").body] == [b"0.5", b"0.5"]
        assert len(connections) == 1
        channel.close()
        assert connections[0].recv(1) == b""


def test_a_connection_that_the_server_closed_meanwhile_is_replaced() -> None:
    with speaking(ANSWER, ANSWER) as (url, connections), closing(HttpChannel(url, {}, 5.0)) as channel:
        assert channel.get("/a").body == b"0.5"
        connections[0].shutdown(socket.SHUT_RDWR)
        assert channel.get("/b").body == b"0.5"
        assert len(connections) == 2


def test_a_channel_that_is_let_go_closes_its_connections() -> None:
    with warnings.catch_warnings(), speaking(ANSWER) as (url, connections):
        warnings.simplefilter("error", ResourceWarning)
        channel = HttpChannel(url, {}, 5.0)
        channel.get("/")
        del channel
        gc.collect()
        assert connections[0].recv(1) == b""


def test_an_answer_that_ends_with_its_connection() -> None:
    answer = b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n0.25"
    with speaking(answer) as (url, _), closing(HttpChannel(url, {}, 5.0)) as channel:
        assert channel.get("/").body == b"0.25"


def test_proxies_of_the_environment_are_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    with (
        serving(lambda request: Answer("0.5")) as server,
        closing(HttpChannel(server.url, {}, 5.0)) as channel,
    ):
        assert channel.send(b"a").body == b"0.5"


KINDS = {
    "slow": b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n0.5",
    "broken": b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\n0.5",
    "large": b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n" + b"0.5 " * 125,
}


@pytest.mark.parametrize("service", ["http", "sagemaker"])
@pytest.mark.parametrize("kind", KINDS)
def test_kinds_of_failures(service: str, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport, "MOST_ANSWER_BYTES", 100)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "x")
    monkeypatch.setenv("AWS_REGION", "eu-west-1")
    with speaking(KINDS[kind]) as (url, _):
        monkeypatch.setenv("AWS_ENDPOINT_URL", url.removesuffix("/score"))
        channel = (
            HttpChannel(url, {}, 0.3) if service == "http" else SageMakerChannel("e", {}, Policy(timeout=0.3))
        )
        with closing(channel), pytest.raises(ChannelError) as caught:
            channel.send(b"a")
    assert caught.value.kind == kind


def test_a_server_that_is_not_there() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    channel = HttpChannel(f"http://127.0.0.1:{port}/", {}, 5.0)
    with closing(channel), pytest.raises(ChannelError, match=r"^connection refused$") as caught:
        channel.get("/ping")
    assert caught.value.kind == "unreachable"


@pytest.mark.parametrize(
    ("value", "seconds"),
    [("7", 7.0), ("soon", None), ("Wed, 21 Oct 1999 07:28:00 GMT", 0.0), ("9" * 5_000, None)],
)
def test_retry_after(value: str, seconds: float | None) -> None:
    answer = Answer("busy", 429, {"Retry-After": value})
    with serving(lambda request: answer) as server, closing(HttpChannel(server.url, {}, 5.0)) as channel:
        assert channel.send(b"a").retry_after == seconds
