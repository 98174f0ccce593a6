"""How much of a model server's own maximum rate our client reaches: `python -m benchmarks.endpoint --help`.

The server is a process of its own on this machine that scores a logistic regression as fast as it can,
reading CSV with Arrow. It has the last processor to itself, and clients have the others, as if on two hosts:
else what a client costs would be missing from the server. Its maximum is measured with requests that were
rendered before, sent over as many connections by threads that do nothing else and ignore the answers. Ours
renders rows of a table, sends them, and reads the scores, in the same sizes of requests. Rounds take turns.
"""

from __future__ import annotations

import argparse
import contextlib
import http.client
import io
import itertools
import multiprocessing
import os
import socketserver
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler
from multiprocessing.connection import Connection

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyarrow import csv

from file_storage.transport import HttpChannel
from model_clients.codec import render_csv
from model_clients.endpoints import RequestBatcher
from model_clients.model import Model, Policy
from model_clients.opening import open_model

GOAL = 0.9
POLICY = Policy()
SEED = 11


class Handler(BaseHTTPRequestHandler):
    """Answers the logistic of each row's sum."""

    protocol_version = "HTTP/1.1"
    wbufsize = -1

    def do_GET(self) -> None:
        self.reply(b"")

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        table = csv.read_csv(
            io.BytesIO(body), csv.ReadOptions(autogenerate_column_names=True, use_threads=False)
        )
        rows = np.stack([column.to_numpy() for column in table.columns], axis=1)
        scores = 1.0 / (1.0 + np.exp(-rows.sum(axis=1)))
        self.reply("\n".join(map(repr, scores.tolist())).encode())

    def reply(self, body: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments: object) -> None:
        pass


class Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    request_queue_size = 64


def serve(ready: Connection, processors: set[int]) -> None:
    os.sched_setaffinity(0, processors)
    with Server(("127.0.0.1", 0), Handler) as server:
        ready.send(server.server_address[1])
        server.serve_forever()


def divided_processors() -> tuple[set[int], set[int]]:
    """Return the processors of clients and of the server: apart, as on two hosts, where there are two."""
    *others, last = sorted(os.sched_getaffinity(0))
    return set(others) or {last}, {last}


@contextlib.contextmanager
def server_process() -> Iterator[str]:
    """Run the server in a process; its address is given."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    client, server = divided_processors()
    process = context.Process(target=serve, args=(theirs, server), daemon=True)
    process.start()
    os.sched_setaffinity(0, client)
    try:
        yield f"http://127.0.0.1:{ours.recv()}/invocations"
    finally:
        process.terminate()
        process.join()


def make_table(rows: int, features: int) -> pa.RecordBatch:
    values = np.random.default_rng(SEED).normal(size=(features, rows))
    return pa.RecordBatch.from_arrays([pa.array(column) for column in values], names=_names(features))


def _names(features: int) -> list[str]:
    return [f"feature_{number}" for number in range(features)]


def divided(url: str, table: pa.RecordBatch) -> list[bytes]:
    """Return the bodies of the requests that our client sends for a table."""
    asker = RequestBatcher(HttpChannel(url, {}, POLICY.timeout), render_csv, POLICY)
    return [render_csv(table.slice(piece.start, len(piece))) for piece in asker._divide(table)]


def seconds_of_server(url: str, bodies: Sequence[bytes]) -> float:
    """Return the seconds in which the server answers requests that are ready to send."""
    host, port = url.split("/")[2].split(":")
    counter, lock = itertools.count(), threading.Lock()

    def send(connection: http.client.HTTPConnection) -> None:
        while True:
            with lock:
                number = next(counter)
            if number >= len(bodies):
                return
            connection.request("POST", "/invocations", bodies[number], {"Content-Type": "text/csv"})
            connection.getresponse().read()

    connections = [http.client.HTTPConnection(host, int(port)) for _ in range(POLICY.concurrency)]
    for connection in connections:
        connection.connect()
    with ThreadPoolExecutor(POLICY.concurrency) as pool:
        started = time.perf_counter()
        list(pool.map(send, connections))
        seconds = time.perf_counter() - started
    for connection in connections:
        connection.close()
    return seconds


def seconds_of_ours(model: Model, table: pa.RecordBatch) -> tuple[float, NDArray[np.float64]]:
    started = time.perf_counter()
    scores = model.predict(table)
    return time.perf_counter() - started, scores


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.endpoint", description=__doc__)
    parser.add_argument("--rows", type=int, default=300_000, help="rows to score (%(default)s)")
    parser.add_argument("--features", type=int, default=14, help="columns (%(default)s)")
    parser.add_argument(
        "--repeat", type=int, default=12, help="rounds; the best of each are compared (%(default)s)"
    )
    options = parser.parse_args(arguments)
    table = make_table(options.rows, options.features)
    expected = 1.0 / (1.0 + np.exp(-np.stack([column.to_numpy() for column in table.columns]).sum(axis=0)))
    with server_process() as url:
        bodies = divided(url, table)
        model = open_model(url, policy=POLICY)
        servers, ours = [], []
        for _ in range(options.repeat):
            servers.append(seconds_of_server(url, bodies))
            seconds, scores = seconds_of_ours(model, table)
            ours.append(seconds)
        model.close()
    if not np.allclose(scores[:, 0], expected):
        print("WRONG: the scores are not those of the rows")
        return 1
    fastest, own = min(servers), min(ours)
    size = sum(map(len, bodies))
    print(
        f"{options.rows:,} rows x {options.features} features, {len(bodies)} requests, {size / 1e6:.0f} MB "
        "of CSV"
    )
    print(f"server's own maximum  {options.rows / fastest:>12,.0f} rows per second")
    print(f"asked by our client   {options.rows / own:>12,.0f} rows per second")
    share = fastest / own
    print(f"share of the maximum  {share:12.0%}  (goal {GOAL:.0%}): {'yes' if share >= GOAL else 'NO'}")
    return int(share < GOAL)


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    sys.exit(main(sys.argv[1:]))
