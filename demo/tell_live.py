"""The sixth part of the story: the model behind a service of one's own, asked now, captured and monitored."""

from __future__ import annotations

import http.client
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit

import pandas as pd

from contract.errors import MonitorError
from demo.captures import request_lines
from demo.commands import monitoring_command, run_jobs, shell_text
from demo.story import CONTROL, JULY, SEED, TRAINING, Data, Layout, Window
from demo.summary import describe_changes, describe_quiet, read_features, read_report

Say = Callable[[str], None]

FLIGHTS, FLIGHTS_OF_A_CALL = 2_000, 4
_CLIENTS = 3
_ROOT = Path(__file__).parents[1]


def tell_live(data: Data, layout: Layout, say: Say) -> None:
    """Start the service, ask it about flights of the control and of July, and monitor what it captured.

    Parameters
    ----------
    data
        The flights of the story.
    layout
        Where the model and the baseline are.
    say
        Takes one line of text.

    Raises
    ------
    contract.errors.MonitorError
        When the service does not start, or a job fails.
    """
    say("")
    say("15. And a service of your own? The same model in a WSGI service, captured by the middleware")
    say(f"   $ PYTHONPATH=capture python -m demo.service {layout.model} {layout.live_captures}")
    windows: list[Window] = []
    with _service(layout) as address:
        for window in (CONTROL, JULY):
            flights = data.of(window)
            asked = flights.sample(min(FLIGHTS, len(flights)), random_state=SEED).sort_index()
            start = _next_second()
            seconds = ask(address, asked)
            title = f"asked now, {window.title}"
            windows.append(Window(f"live-{window.name}", title, start, _next_second()))
            calls = len(asked) / FLIGHTS_OF_A_CALL
            say(f"   {len(asked):>6,} flights of {window.title}, {calls / seconds:,.0f} calls a second")
    files = sum(1 for _ in layout.live_captures.rglob("*.jsonl"))
    say(f"   stopped by SIGTERM; all that was answered is in {files} file below {layout.live_captures}")
    say("")
    say("16. Monitor what was captured, each window from its first second to its last")
    commands = {window: monitoring_command(layout, window, layout.live_captures) for window in windows}
    say("   $ " + shell_text(commands[windows[1]]))
    say("   and the same for the control")
    run_jobs([(command, layout.log(window.name)) for window, command in commands.items()])
    baseline = read_features(layout.baseline)
    for window, name in zip(windows, (CONTROL.title, JULY.title), strict=True):
        report = read_report(layout.report(window))
        say("")
        found = len(report.violations)
        say(f"Asked now, {name}: {found} violation{'s' * (found != 1)} in {report.rows:,} flights")
        for line in (*describe_changes(baseline, report, TRAINING, name), *describe_quiet(report)):
            say(line)


def ask(address: str, flights: pd.DataFrame) -> float:
    """Ask a service about flights, some in each call, by a few clients; return the seconds it took."""
    host = urlsplit(address).netloc
    lines = request_lines(flights)

    def call(first: int) -> None:
        body = "".join(f"{line}\n" for line in lines[first : first + FLIGHTS_OF_A_CALL])
        connection = http.client.HTTPConnection(host, timeout=60)
        connection.request("POST", "/invocations", body.encode(), {"Content-Type": "text/csv"})
        answer = connection.getresponse()
        text = answer.read().decode()
        connection.close()
        if answer.status != http.HTTPStatus.OK:
            raise MonitorError(f"The service answered {answer.status} ({text.strip()}).")

    started = time.monotonic()
    with ThreadPoolExecutor(_CLIENTS) as pool:
        for _ in pool.map(call, range(0, len(lines), FLIGHTS_OF_A_CALL)):
            pass
    return time.monotonic() - started


@contextmanager
def _service(layout: Layout) -> Iterator[str]:
    """Run the service in a process of its own, and end it by SIGTERM; its address is given."""
    command = [sys.executable, "-m", "demo.service", str(layout.model), str(layout.live_captures)]
    paths = (str(_ROOT), str(_ROOT / "capture"), os.environ.get("PYTHONPATH", ""))
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))}
    environment["OMP_NUM_THREADS"] = "1"  # one row has nothing to share
    with layout.log("service").open("wb") as sink:
        process = subprocess.Popen(  # noqa: S603 - our own command with our own arguments, no shell
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=sink, env=environment
        )
    with process:
        try:
            address = process.stdout.readline().decode().strip() if process.stdout else ""
            if not address:
                raise MonitorError(f"The service did not start; its log is {layout.log('service')}.")
            yield address
        finally:
            process.terminate()


def _next_second() -> datetime:
    """Wait for the next second: times in captures have no fractions, and a window's end is out of it."""
    time.sleep(1 - time.time() % 1)
    return datetime.now(UTC).replace(microsecond=0, tzinfo=None)
