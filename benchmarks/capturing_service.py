"""A service that captures in several workers until it is ended: `capturing_service.py KIND FOLDER WORKERS`.

The workers are forked, as servers do it, from a process that has captured a call already.

=======  ==========================================================================================
by hand  threads that call the writer, and write to standard output which calls it promised to keep
WSGI     the standard library's server, a thread for each request, with the middleware
ASGI     uvicorn with the middleware
=======  ==========================================================================================

Each worker writes the service's port to standard output when it begins. Servers answer `0.5` to everything.
"""

import contextlib
import os
import socket
import socketserver
import sys
import threading
import time
from collections.abc import Callable, Iterable
from typing import Any
from wsgiref import simple_server

from model_monitor_capture import AsgiCapture, CaptureWriter, WsgiCapture

THREADS = 3


def capture_by_hand(writer: CaptureWriter, listening: socket.socket) -> None:
    def calls(number: int) -> None:
        count = 0
        while True:
            text = f"{os.getpid()},{number},{count}"
            known = writer.capture(text, "0.5", request_type="text/csv", response_type="text/csv")
            if known:
                os.write(1, f"{time.time()} {known}\n".encode())
            count += 1
            time.sleep(0.001)

    threads = [threading.Thread(target=calls, args=(number,), daemon=True) for number in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def answer_wsgi(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"]))
    start_response("200 OK", [("Content-Type", "text/csv"), ("Content-Length", "4")])
    return [b"0.5\n"]


class _Handler(simple_server.WSGIRequestHandler):
    def log_message(self, *arguments: object) -> None:
        pass


class _Server(socketserver.ThreadingMixIn, simple_server.WSGIServer):
    daemon_threads = True

    def handle_error(self, *arguments: object) -> None:
        pass  # a client that has gone


def serve_wsgi(writer: CaptureWriter, listening: socket.socket) -> None:
    server = _Server(("127.0.0.1", 0), _Handler, bind_and_activate=False)
    server.socket.close()
    server.socket = listening
    server.server_name, server.server_port = "127.0.0.1", listening.getsockname()[1]
    server.setup_environ()
    server.set_app(WsgiCapture(answer_wsgi, writer))
    server.serve_forever(poll_interval=0.05)


def serve_asgi(writer: CaptureWriter, listening: socket.socket) -> None:
    import uvicorn

    async def answer(scope: Any, receive: Any, send: Any) -> None:
        while (await receive()).get("more_body", False):
            pass
        headers = [(b"content-type", b"text/csv"), (b"content-length", b"4")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"0.5\n"})

    config = uvicorn.Config(
        AsgiCapture(answer, writer),
        log_level="critical",
        lifespan="off",
        # A client that never closes its connection would keep the worker for ever.
        timeout_graceful_shutdown=2,
    )
    uvicorn.Server(config).run(sockets=[listening])


KINDS = {"by hand": capture_by_hand, "WSGI": serve_wsgi, "ASGI": serve_asgi}


def main(kind: str, folder: str, workers: int) -> None:
    writer = CaptureWriter(folder, "churn", file_bytes=20_000, disk_share=1.0)
    writer.capture("0", "0")
    listening = socket.create_server(("127.0.0.1", 0), backlog=128)
    children = []
    for _ in range(workers):
        child = os.fork()
        if not child:
            os.write(1, f"port {listening.getsockname()[1]}\n".encode())
            KINDS[kind](writer, listening)
            return
        children.append(child)
    listening.close()
    with contextlib.suppress(ChildProcessError):
        for child in children:
            os.waitpid(child, 0)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
