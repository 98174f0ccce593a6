"""A real HTTP server that takes what sinks are sent, or does to the sender what servers do on bad days."""

from __future__ import annotations

import json
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass(frozen=True)
class Request:
    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    number: int

    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(frozen=True)
class Answer:
    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    # What is done instead of answering.
    instead: str | None = None


Behaviour = Callable[[Request], Answer]
Arrange = Callable[[ThreadingHTTPServer], None]
RESET, HANG, TRICKLE = Answer(instead="reset"), Answer(instead="hang"), Answer(instead="trickle")


class Server:
    def __init__(self, behaviour: Behaviour, arrange: Arrange | None = None) -> None:
        self.requests: list[Request] = []
        self.released = threading.Event()
        outer, lock = self, threading.Lock()

        class Handler(BaseHTTPRequestHandler):
            def take(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                with lock:
                    request = Request(self.command, self.path, dict(self.headers), body, len(outer.requests))
                    outer.requests.append(request)
                self.answer(behaviour(request))

            do_POST = do_PUT = take

            def answer(self, answer: Answer) -> None:
                if answer.instead == "reset":
                    self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                    # Both files hold the socket open.
                    self.rfile.close()
                    self.wfile.close()
                    self.connection.close()
                elif answer.instead == "hang":
                    outer.released.wait(60)
                elif answer.instead == "trickle":
                    with suppress(OSError):
                        self.wfile.write(b"HTTP/1.1 200 OK\r\nX-Slow: ")
                        while not outer.released.wait(0.02):
                            self.wfile.write(b"z")
                else:
                    self.send_response(answer.status)
                    for name, value in answer.headers.items():
                        self.send_header(name, value)
                    self.send_header("Content-Length", str(len(answer.body)))
                    self.end_headers()
                    self.wfile.write(answer.body)

            def log_message(self, *arguments: object) -> None:
                pass

        class Quiet(ThreadingHTTPServer):
            def handle_error(self, *arguments: object) -> None:
                pass  # clients hang up here, and so do we

        self._server = Quiet(("127.0.0.1", 0), Handler)
        if arrange is not None:
            arrange(self._server)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})
        self._thread.start()
        self.host = f"127.0.0.1:{self._server.server_port}"

    def stop(self) -> None:
        self.released.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


def accepting(request: Request) -> Answer:
    return Answer()


def failing(*answers: Answer) -> Behaviour:
    """Give these answers in turn, then accept."""
    return lambda request: answers[request.number] if request.number < len(answers) else Answer()


def always(answer: Answer) -> Behaviour:
    return lambda request: answer


@contextmanager
def serving(behaviour: Behaviour = accepting, arrange: Arrange | None = None) -> Iterator[Server]:
    server = Server(behaviour, arrange)
    try:
        yield server
    finally:
        server.stop()


def free_host() -> str:
    """Return an address where nothing listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{probe.getsockname()[1]}"
