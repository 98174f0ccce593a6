"""Starts a pipeline when a monitor finds violations: an HTTP server for the events of `event_sinks`.

    RETRAINING_TOKEN=... python receiver.py --listen 0.0.0.0:8080 --state /var/lib/retraining \
        --data s3://flights/captures -- python pipeline.py

Every event is kept as a file before it is answered, and its pipeline started once, however often the event
comes; after a crash the receiver takes up what it had not started. The pipeline gets the file of its event as
its last argument. While a pipeline for an endpoint is running, further events about that endpoint are only
kept: what they tell is what the pipeline is mending.

A pipeline trains a model and makes its data the baseline, so not everybody may start one: requests must carry
``Authorization: Bearer <token>`` with RETRAINING_TOKEN of the environment, which may be unset only where this
machine alone can ask; and data lies below one of the places named by ``--data``.

Standard library only. Answers: 202 taken, 200 known already, 4xx not an event of a monitor.
"""

from __future__ import annotations

import argparse
import hmac
import ipaddress
import json
import logging
import os
import re
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

EVENT_TYPE = "modelmonitor.violations.found"
CONTENT_TYPE = "application/cloudevents+json"
MOST_BYTES = 1 << 20
PATIENCE = 10.0
MONITORS = ("data-quality", "model-quality", "bias", "feature-attribution")

log = logging.getLogger("retraining")


class Refused(Exception):  # noqa: N818 - it is an answer, not a fault
    """A request that is answered with a status and a sentence."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status
        self.text = text


class Pipelines:
    """Events in a folder, and the pipelines they start.

    ``<id>.json`` is an event that was taken; ``<id>.started`` stands beside it when its pipeline runs or ran,
    and ``<id>.log`` holds what the pipeline said.
    """

    def __init__(self, folder: Path, command: list[str]) -> None:
        self.folder = folder
        self.command = command
        self._running: dict[str, str] = {}
        self._lock = threading.Lock()
        self._threads: list[threading.Thread] = []
        folder.mkdir(parents=True, exist_ok=True)

    def resume(self) -> None:
        """Start what was taken but not started before the receiver stopped."""
        for file in sorted(self.folder.glob("*.json")):
            if file.with_suffix(".started").exists():
                continue
            try:
                event = json.loads(file.read_text(encoding="utf-8"))
                self._start({"id": event["id"], "source": event["source"], **event}, file)
            except (OSError, ValueError, TypeError, KeyError, RecursionError) as error:
                log.error("%s is no event (%s); remove it", file, error)

    def take(self, event: dict[str, Any]) -> bool:
        """Keep an event and start its pipeline; return whether it is new."""
        file = self.folder / f"{event['id']}.json"
        with self._lock:
            if file.exists():
                return False
            partial = file.with_suffix(".partial")
            with partial.open("w", encoding="utf-8") as stream:
                json.dump(event, stream, indent=2)
                stream.flush()
                os.fsync(stream.fileno())
            partial.replace(file)
        self._start(event, file)
        return True

    def _start(self, event: dict[str, Any], file: Path) -> None:
        subject = str(event.get("subject") or event["source"])
        with self._lock:
            file.with_suffix(".started").touch()
            if subject in self._running:
                log.info("Event %s: the pipeline of event %s is at it", event["id"], self._running[subject])
                return
            self._running[subject] = event["id"]
            thread = threading.Thread(target=self._run, args=(event["id"], subject, file))
            self._threads.append(thread)
        thread.start()

    def _run(self, event_id: str, subject: str, file: Path) -> None:
        log.info("Event %s about %r: starting %s", event_id, subject, " ".join(self.command))
        try:
            with file.with_suffix(".log").open("wb") as output:
                done = subprocess.run(  # noqa: S603 - the command is the operator's, the event only names a file
                    [*self.command, str(file)], stdout=output, stderr=subprocess.STDOUT, check=False
                )
            log.info("Event %s: the pipeline ended with exit code %d", event_id, done.returncode)
        except OSError as error:
            log.error("Event %s: the pipeline could not be started: %s", event_id, error)
        finally:
            with self._lock:
                del self._running[subject]

    def wait(self) -> None:
        """Wait for the pipelines that are running."""
        for thread in list(self._threads):
            thread.join()


def read_event(content_type: str, body: bytes, places: list[str]) -> dict[str, Any]:
    """Return a CloudEvent of a monitor about data below one of the places, sent in structured mode.

    Raises
    ------
    Refused
        When it is none.
    """
    if content_type.partition(";")[0].strip().lower() != CONTENT_TYPE:
        raise Refused(415, f"Send a CloudEvent in structured mode, as {CONTENT_TYPE}.")
    try:
        event = json.loads(body)
    except (ValueError, RecursionError):
        raise Refused(400, "The body is no JSON.") from None
    if not isinstance(event, dict) or event.get("specversion") != "1.0":
        raise Refused(400, "The body is no CloudEvent 1.0.")
    if event.get("type") != EVENT_TYPE:
        raise Refused(422, f"Only events of type {EVENT_TYPE} start a pipeline.")
    # The id becomes a file name.
    if not re.fullmatch(r"[0-9a-f]{32}", str(event.get("id"))) or "source" not in event:
        raise Refused(400, "The event has no id and source as monitors give them.")
    data = event.get("data")
    if not isinstance(data, dict) or data.get("monitor") not in MONITORS:
        raise Refused(422, "The event tells of no monitor's run.")
    source = str(data.get("dataset_source"))
    if ".." in source.split("/") or not any(
        f"{source}/".startswith(f"{place.rstrip('/')}/") for place in places
    ):
        raise Refused(403, "The data lies below none of the places of --data.")
    return event


def make_server(
    host: str, port: int, pipelines: Pipelines, token: str | None, places: list[str]
) -> ThreadingHTTPServer:
    """Return the server; its ``server_port`` is the port it listens on."""

    class Handler(BaseHTTPRequestHandler):
        timeout = PATIENCE

        def do_POST(self) -> None:
            try:
                event = read_event(self.headers.get("Content-Type", ""), self._body(), places)
                new = pipelines.take(event)
                self._answer(202 if new else 200, "Taken." if new else "Known already.")
            except Refused as refusal:
                log.warning("Refused a request with %d: %s", refusal.status, refusal.text)
                self._answer(refusal.status, refusal.text)
            except OSError as error:
                log.error("An event could not be kept: %s", error)
                self._answer(503, "The event could not be kept.")

        def _body(self) -> bytes:
            given = self.headers.get("Authorization", "").encode()
            if token is not None and not hmac.compare_digest(given, f"Bearer {token}".encode()):
                raise Refused(401, "The token is missing or wrong.")
            length = self.headers.get("Content-Length", "")
            if not length.isdecimal():
                raise Refused(411, "Say how long the body is.")
            if int(length) > MOST_BYTES:
                raise Refused(413, f"Send at most {MOST_BYTES} bytes.")
            return self.rfile.read(int(length))

        def _answer(self, status: int, text: str) -> None:
            body = text.encode()
            self.send_response(status)
            self.send_header("Content-Type", "text/plain; charset=utf-8")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002 - the base class's name
            log.debug(format, *arguments)

    return ThreadingHTTPServer((host, port), Handler)


def main() -> int:
    """Listen until interrupted."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--listen", default="127.0.0.1:8080", metavar="HOST:PORT")
    parser.add_argument("--state", type=Path, required=True, help="folder for events and logs of pipelines")
    parser.add_argument(
        "--data", action="append", required=True, metavar="PLACE", help="data may lie below it; any number"
    )
    parser.add_argument(
        "command", nargs="+", help="the pipeline; gets the file of the event as last argument"
    )
    given = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", stream=sys.stderr)
    host, _, port = given.listen.rpartition(":")
    token = os.environ.pop("RETRAINING_TOKEN", None)  # no pipeline gets to know it
    if not token and not _is_loopback(host):
        parser.error(f"set RETRAINING_TOKEN: at {host}, others than this machine can start the pipeline")
    pipelines = Pipelines(given.state, given.command)
    with make_server(host, int(port), pipelines, token or None, given.data) as server:
        log.info("Listening on %s:%d", host, server.server_port)
        pipelines.resume()
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            pipelines.wait()
    return 0


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False  # a name, or all addresses


if __name__ == "__main__":
    sys.exit(main())
