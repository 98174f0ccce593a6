"""The model behind a service of one's own: ``python -m demo.service MODEL CAPTURES``.

A WSGI application on the standard library's server, with the capture middleware. It answers as the endpoint
does: lines of CSV without names in, ``label,probability`` out. Its address is the first line it prints.
"""

from __future__ import annotations

import socketserver
import sys
import tarfile
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any
from wsgiref import simple_server

from model_monitor_capture import CaptureWriter, WsgiCapture

from demo.inference import model_fn, transform_fn
from demo.story import ENDPOINT, VARIANT


class Service:
    """The application: it knows the model, and nothing of captures."""

    def __init__(self, model: dict[str, Any]) -> None:
        self._model = model

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        """Answer one request."""
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0)).decode()
        try:
            status, answer = "200 OK", transform_fn(self._model, body, "text/csv", "text/csv").encode()
        except ValueError as error:
            status, answer = "400 Bad Request", f"{error}\n".encode()
        start_response(status, [("Content-Type", "text/csv"), ("Content-Length", str(len(answer)))])
        return [answer]


class _Server(socketserver.ThreadingMixIn, simple_server.WSGIServer):
    daemon_threads = True
    request_queue_size = 64


class _Handler(simple_server.WSGIRequestHandler):
    def log_message(self, *arguments: object) -> None:
        """Say nothing of each request."""


def main(model: str, captures: str) -> None:
    """Serve until the process is ended."""
    with tempfile.TemporaryDirectory() as folder:
        with tarfile.open(model) as archive:
            archive.extractall(folder, filter="data")
        service = Service(model_fn(folder))
    # Capture pauses above this share of the disk; whoever tries the demo may have a full one.
    writer = CaptureWriter(Path(captures), ENDPOINT, VARIANT, disk_share=1.0)
    with _Server(("127.0.0.1", 0), _Handler) as server:
        server.set_app(WsgiCapture(service, writer))
        sys.stdout.write(f"http://127.0.0.1:{server.server_port}\n")
        sys.stdout.flush()
        server.serve_forever()


if __name__ == "__main__":
    main(*sys.argv[1:])
