"""A real HTTP server for tests, whose answers each test writes as a function."""

from __future__ import annotations

import csv
import io
import json
import math
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from model_clients.model import Policy

QUICK = Policy(timeout=5.0, attempts=3, first_pause=0.001, longest_pause=0.002, concurrency=4, patience=20.0)


@dataclass(frozen=True)
class Request:
    path: str
    headers: dict[str, str]
    body: bytes
    number: int

    def rows(self) -> list[list[str]]:
        return list(csv.reader(io.StringIO(self.body.decode())))


@dataclass(frozen=True)
class Answer:
    body: bytes | str = b""
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    # Bytes announced; more than there are when the connection is to break.
    length: int | None = None
    hang_up: bool = False


Behaviour = Callable[[Request], Answer]


class Server:
    """A running server: its address, and the requests it got."""

    def __init__(self, post: Behaviour, get: Behaviour) -> None:
        self.requests: list[Request] = []
        self.released = threading.Event()
        self._connections: list[socket.socket] = []
        outer = self
        lock = threading.Lock()

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            wbufsize = -1  # an answer in one packet: small ones wait for each other otherwise

            def setup(self) -> None:
                super().setup()
                outer._connections.append(self.connection)

            def do_GET(self) -> None:
                self.reply(get(Request(self.path, dict(self.headers), b"", 0)))

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                with lock:
                    request = Request(self.path, dict(self.headers), body, len(outer.requests))
                    outer.requests.append(request)
                self.reply(post(request))

            def reply(self, answer: Answer) -> None:
                body = answer.body.encode() if isinstance(answer.body, str) else answer.body
                if answer.hang_up:
                    self.close_connection = True
                    return
                self.send_response(answer.status)
                for name, value in answer.headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(body) if answer.length is None else answer.length))
                self.end_headers()
                self.wfile.write(body)
                self.close_connection = self.close_connection or answer.length is not None

            def log_message(self, *arguments: object) -> None:
                pass

        class Quiet(ThreadingHTTPServer):
            def handle_error(self, *arguments: object) -> None:
                pass  # clients of these tests hang up on purpose

        self._server = Quiet(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})
        self._thread.start()
        self.address = f"http://127.0.0.1:{self._server.server_port}"
        self.url = f"{self.address}/invocations"

    def stop(self) -> None:
        """Stop answering, kept connections included; once is enough."""
        if self.released.is_set():
            return
        self.released.set()
        self._server.shutdown()
        self._thread.join()
        for connection in self._connections:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        self._server.server_close()


def healthy(request: Request) -> Answer:
    return Answer()


@contextmanager
def serving(post: Behaviour, get: Behaviour = healthy) -> Iterator[Server]:
    server = Server(post, get)
    try:
        yield server
    finally:
        server.stop()


def csv_sums(request: Request) -> Answer:
    """Answer the sum of each row's numbers, missing ones as 0."""
    return Answer("\n".join(repr(math.fsum(float(cell or 0) for cell in row)) for row in request.rows()))


def json_answer(value: object) -> Answer:
    return Answer(json.dumps(value))
