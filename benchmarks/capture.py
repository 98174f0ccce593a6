"""What capture costs a service, and what the receiver takes: `python -m benchmarks.capture --help`.

The service is an ASGI application on uvicorn with the demo's model, once plain and once with the middleware,
in processes of their own. The load comes from this process: requests rendered before, over plain sockets.
Both services take turns within each round. A closed loop sends the next request when an answer has come, to
one worker on the last processor. An open loop sends on a schedule, whatever has come, to two workers; a
latency counts from the time on the schedule. How busy the load generator was is printed: below 100 % it was
not the limit.
The receiver gets the events of KServe's logger; beside it runs the same receiver that joins the halves of
calls and writes nothing, and a loop of the same server that only reads the events.
"""

from __future__ import annotations

import argparse
import collections
import contextlib
import json
import multiprocessing
import os
import select
import signal
import socket
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from benchmarks import peers_environment
from benchmarks.endpoint import divided_processors

ROOT = Path(__file__).resolve().parents[1]
REQUIREMENTS = ROOT / "containers" / "requirements-capture.txt"
THROUGHPUT_GOAL, LATENCY_GOAL, EVENTS_GOAL = 0.90, 1.0, 5000
RATE = 500
CLOSED_CONNECTIONS, OPEN_CONNECTIONS = 8, 100
CALLS = 5000


@dataclass(frozen=True)
class Server:
    """A server under test: its address, and its process."""

    port: int
    process: int

    def processor_seconds(self) -> float:
        fields = Path(f"/proc/{self.process}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def model_app(folder: str, model: str) -> Any:
    """Return a service with the demo's model: a line of CSV in, ``label,probability`` out."""
    from demo.inference import model_fn, transform_fn

    loaded = model_fn(model)

    async def app(scope: Mapping[str, Any], receive: Callable[..., Any], send: Callable[..., Any]) -> None:
        body = await whole_body(receive)
        answer = transform_fn(loaded, body.decode(), "text/csv", "text/csv").encode()
        headers = [(b"content-type", b"text/csv"), (b"content-length", str(len(answer)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": answer})

    return app


def captured_app(folder: str, model: str) -> Any:
    from model_monitor_capture import AsgiCapture, CaptureWriter

    return AsgiCapture(model_app(folder, model), CaptureWriter(folder, "flight-delay", disk_share=1.0))


def receiver_app(folder: str, model: str) -> Any:
    from model_monitor_capture.receiver import Receiver

    return Receiver(folder)


def joining_app(folder: str, model: str) -> Any:
    from model_monitor_capture.receiver import Receiver

    class Joining(Receiver):
        def _write(self, key: tuple[str, str, str], sides: dict[str, Any]) -> None:
            pass

    return Joining(folder)


def bare_app(folder: str, model: str) -> Any:
    async def app(scope: Mapping[str, Any], receive: Callable[..., Any], send: Callable[..., Any]) -> None:
        await whole_body(receive)
        await send({"type": "http.response.start", "status": 202, "headers": [(b"content-length", b"0")]})
        await send({"type": "http.response.body", "body": b""})

    return app


APPS = {
    "plain": model_app,
    "captured": captured_app,
    "receiver": receiver_app,
    "without writing": joining_app,
    "reading only": bare_app,
}


async def whole_body(receive: Callable[..., Any]) -> bytes:
    parts, more = [], True
    while more:
        message = await receive()
        parts.append(message.get("body", b""))
        more = message.get("more_body", False)
    return b"".join(parts)


def installed_packages() -> str:
    """Return the folder with the packages of the receiver's image, uvicorn among them."""
    python = peers_environment.prepare(ROOT / ".cache" / "capture-venv", REQUIREMENTS)
    (packages,) = python.parents[1].glob("lib/python*/site-packages")
    return str(packages)


def serve(name: str, folder: str, model: str, packages: str, processors: set[int], ready: Connection) -> None:
    os.sched_setaffinity(0, processors)
    sys.path[:0] = [str(ROOT / "capture")]
    sys.path.append(packages)
    import uvicorn

    # Where the protocol is not named, asyncio leaves small packets waiting for each other.
    listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listening.bind(("127.0.0.1", 0))
    listening.listen(256)
    config = uvicorn.Config(
        APPS[name](folder, model),
        log_level="warning",
        access_log=False,
        lifespan="on" if name in ("receiver", "without writing") else "off",
    )
    ready.send(listening.getsockname()[1])
    uvicorn.Server(config).run(sockets=[listening])


@contextlib.contextmanager
def running(name: str, folder: str, model: str, packages: str, processors: set[int]) -> Iterator[Server]:
    """Run a server in a process on some processors; end it by SIGTERM."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=serve, args=(name, folder, model, packages, processors, theirs))
    process.start()
    try:
        assert process.pid is not None
        theirs.close()
        server = Server(ours.recv(), process.pid)
        while True:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", server.port)):
                break
        yield server
    finally:
        if process.pid is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(process.pid, signal.SIGTERM)
        process.join()


@dataclass(frozen=True)
class Load:
    """What a load found: answers a second, each latency in milliseconds, and how busy both sides were."""

    rate: float
    latencies: list[float]
    generator: float
    service: float

    def percentile(self, share: float) -> float:
        ordered = sorted(self.latencies)
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def load(
    servers: Sequence[Server], requests: Sequence[bytes], seconds: float, connections: int, rate: float | None
) -> Load:
    """Send requests to workers in turn: as fast as answers come, or on a schedule of `rate` a second."""
    with contextlib.ExitStack() as stack:
        sockets: list[list[socket.socket]] = [[] for _ in servers]
        for number in range(connections):
            address = ("127.0.0.1", servers[number % len(servers)].port)
            connection = stack.enter_context(socket.create_connection(address))
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            sockets[number % len(servers)].append(connection)
        own, its = time.process_time(), sum(server.processor_seconds() for server in servers)
        began = time.perf_counter()
        latencies = _send(sockets, requests, began, began + seconds, rate)
        passed = time.perf_counter() - began
    return Load(
        len(latencies) / passed,
        latencies,
        (time.process_time() - own) / passed,
        (sum(server.processor_seconds() for server in servers) - its) / passed / len(servers),
    )


def _send(
    sockets: Sequence[Sequence[socket.socket]],
    requests: Sequence[bytes],
    began: float,
    end: float,
    rate: float | None,
) -> list[float]:
    idle = [list(connections) for connections in sockets]
    asked: dict[socket.socket, tuple[float, int]] = {}
    latencies: list[float] = []
    number = 0
    while True:
        now = time.perf_counter()
        while idle[worker := number % len(idle)] and now < end:
            due = now if rate is None else began + number / rate
            if due > now:
                break
            connection = idle[worker].pop()
            asked[connection] = due, worker
            connection.sendall(requests[number % len(requests)])
            number += 1
        if not asked and now >= end:
            return latencies
        is_waiting = rate is not None and now < end and idle[number % len(idle)]
        wait = max(0.0, began + number / rate - now) if rate is not None and is_waiting else 5.0
        readable, _, _ = select.select(list(asked), (), (), wait)
        for connection in readable:
            answer_of(connection)
            due, worker = asked.pop(connection)
            latencies.append(1000 * (time.perf_counter() - due))
            idle[worker].append(connection)


def answer_of(connection: socket.socket) -> bytes:
    """Read one answer, whole."""
    data = b""
    while True:
        more = connection.recv(65536)
        if not more:
            raise ConnectionError("the server closed the connection")
        data += more
        head, found, body = data.partition(b"\r\n\r\n")
        if found and len(body) >= int(head.lower().partition(b"content-length:")[2].split(b"\r\n")[0]):
            if head[9:10] != b"2":
                raise ConnectionError(f"the server answered {data!r}")
            return body


def request(body: bytes, headers: Mapping[str, str]) -> bytes:
    """Return a request as it goes over the wire."""
    lines = [f"{name}: {value}\r\n" for name, value in headers.items()]
    head = f"POST /invocations HTTP/1.1\r\nHost: here\r\nContent-Length: {len(body)}\r\n{''.join(lines)}\r\n"
    return head.encode() + body


def flights_of_the_demo(folder: Path) -> list[bytes]:
    """Train the demo's model into `folder`; return requests, one flight each."""
    import pickle

    from demo.flights import FEATURES
    from demo.story import make_data

    data = make_data()
    model = {"classifier": data.model.classifier, "features": list(FEATURES), "values": data.model.values}
    (folder / "model.pkl").write_bytes(pickle.dumps(model))
    lines = data.july[list(FEATURES)].head(CALLS).to_csv(index=False, header=False).splitlines()
    return [request(line.encode() + b"\n", {"Content-Type": "text/csv"}) for line in lines]


def events() -> list[bytes]:
    """Return the two events of each call, as KServe's logger sends them."""
    sides = {"request": {"instances": [[39.0, 1.5, 0.25, 7.0]]}, "response": {"predictions": [0.25]}}
    return [
        request(
            json.dumps(data).encode(),
            {
                "Ce-Specversion": "1.0",
                "Ce-Id": f"{number:08d}-0000-4000-8000-000000000000",
                "Ce-Source": "http://localhost:9081/",
                "Ce-Type": f"org.kubeflow.serving.inference.{side}",
                "Ce-Time": "2026-03-02T01:00:05.250Z",
                "Ce-Inferenceservicename": "churn",
                "Ce-Component": "predictor",
                "Content-Type": "application/json",
            },
        )
        for number in range(CALLS)
        for side, data in sides.items()
    ]


@dataclass
class Measured:
    """The loads of all rounds by the name of the service, and all answers, warming up included."""

    loads: dict[str, list[Load]]
    answered: collections.Counter[str]

    def median(self, name: str, of: Callable[[Load], float]) -> float:
        return statistics.median(of(one) for one in self.loads[name])

    def compared(self, of: Callable[[Load, Load], float]) -> float:
        """Return the median, over the rounds, of what is found of the first service and the second."""
        first, second = self.loads.values()
        return statistics.median(map(of, first, second))

    def table(self, of: Callable[[Load], float], unit: str) -> None:
        for name, loads in self.loads.items():
            values = [of(one) for one in loads]
            generator, service = (
                statistics.median(getattr(one, side) for one in loads) for side in ("generator", "service")
            )
            print(
                f"  {name:16}{statistics.median(values):>10,.2f} {unit} ({min(values):,.2f} to "
                f"{max(values):,.2f}); load generator {generator:.0%} busy, service {service:.0%}"
            )


def in_turns(
    services: Mapping[str, Sequence[Server]],
    requests: Sequence[bytes],
    options: argparse.Namespace,
    connections: int,
    rate: float | None = None,
) -> Measured:
    """Load each service in each round; who is first changes from round to round."""
    measured = Measured({name: [] for name in services}, collections.Counter())
    for number in range(-1, options.rounds):  # the first warms up, and does not count
        for name in list(services)[:: -1 if number % 2 else 1]:
            one = load(services[name], requests, options.seconds, connections, rate)
            measured.answered[name] += len(one.latencies)
            if number >= 0:
                measured.loads[name].append(one)
    return measured


def measure_service(options: argparse.Namespace, folder: Path, packages: str) -> int:
    """Compare the service with and without capture in both loops; return how many goals are missed."""
    requests = flights_of_the_demo(folder)
    others, last = divided_processors()
    os.sched_setaffinity(0, others)
    with contextlib.ExitStack() as stack:
        services = {
            name: [
                stack.enter_context(running(name, str(folder / name), str(folder), packages, processors))
                for processors in (last, others)
            ]
            for name in ("plain", "captured")
        }
        print(f"closed loop, one worker, {CLOSED_CONNECTIONS} connections")
        first = {name: workers[:1] for name, workers in services.items()}
        closed = in_turns(first, requests, options, CLOSED_CONNECTIONS)
        closed.table(lambda one: one.rate, "requests/s")
        share = closed.compared(lambda plain, captured: captured.rate / plain.rate)
        missed = say(f"throughput kept {share:.3f} (goal {THROUGHPUT_GOAL:.2f})", share >= THROUGHPUT_GOAL)
        print(f"open loop, two workers, {RATE} requests/s")
        opened = in_turns(services, requests, options, OPEN_CONNECTIONS, RATE)
        for percent in (50, 99):
            print(f" {percent} % of latencies are below")
            opened.table(lambda one, part=percent / 100: one.percentile(part), "ms")
        more = opened.compared(lambda plain, captured: captured.percentile(0.99) - plain.percentile(0.99))
        missed += say(
            f"99th percentile {more:+.2f} ms with capture (goal at most +{LATENCY_GOAL:.0f})",
            more <= LATENCY_GOAL,
        )
    kept = sum(file.read_bytes().count(b"\n") for file in (folder / "captured").rglob("*.jsonl"))
    answered = closed.answered["captured"] + opened.answered["captured"]
    return missed + say(f"{kept:,} of {answered:,} calls that were answered are captured", kept == answered)


def measure_receiver(options: argparse.Namespace, folder: Path, packages: str) -> int:
    """Compare the receiver with loops that do less; return how many goals are missed."""
    _, last = divided_processors()
    names = ("receiver", "without writing", "reading only")
    with contextlib.ExitStack() as stack:
        receivers = {
            name: [stack.enter_context(running(name, str(folder / name), str(folder), packages, last))]
            for name in names
        }
        print(f"receiver, closed loop, {CLOSED_CONNECTIONS} connections, two events a call")
        taken = in_turns(receivers, events(), options, CLOSED_CONNECTIONS)
        taken.table(lambda one: one.rate, "events/s")
    rate, alone = (taken.median(name, lambda one: one.rate) for name in (names[0], names[2]))
    return say(
        f"receiver takes {rate:,.0f} events/s (goal {EVENTS_GOAL:,}), {rate / alone:.0%} of the loop",
        rate >= EVENTS_GOAL,
    )


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.capture", description=__doc__)
    parser.add_argument("--seconds", type=float, default=2.0, help="of one load (%(default)s)")
    parser.add_argument("--rounds", type=int, default=7, help="of all services in turn (%(default)s)")
    options = parser.parse_args(arguments)
    packages = installed_packages()
    with tempfile.TemporaryDirectory() as place:
        missed = measure_service(options, Path(place), packages)
        missed += measure_receiver(options, Path(place), packages)
    return int(bool(missed))


def say(text: str, is_met: bool) -> int:
    """Print a figure with its verdict; return 1 where it is missed."""
    print(f"{text}: {'yes' if is_met else 'NO'}", flush=True)
    return int(not is_met)


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    sys.exit(main(sys.argv[1:]))
