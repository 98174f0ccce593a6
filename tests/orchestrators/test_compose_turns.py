"""turn.py: services of Compose wait for each other, and only for good reasons go on."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from fixtures import ROOT

COMPOSE = ROOT / "orchestrators" / "compose"


def begin(turns: Path, *arguments: str, **variables: str) -> subprocess.Popen[str]:
    environment = {**os.environ, "TURNS": str(turns), "ONCE": "now", "EVERY_SECONDS": "20", **variables}
    return subprocess.Popen(
        [sys.executable, str(COMPOSE / "turn.py"), *arguments],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def end(process: subprocess.Popen[str]) -> tuple[int, str]:
    output, _ = process.communicate(timeout=60)
    return process.returncode, output


@pytest.mark.parametrize(
    ("before", "expected"), [(0, "worked"), (3, "worked"), (2, "left out"), (1, "left out")]
)
def test_an_analysis_waits_for_the_merge_and_needs_it(tmp_path: Path, before: int, expected: str) -> None:
    analysis = begin(tmp_path, "analysis", "--after", "labels", "--", "echo", "worked")
    labels = begin(tmp_path, "labels", "--", "sh", "-c", f"sleep 0.3; exit {before}")
    assert end(labels)[0] == before
    exit_code, output = end(analysis)
    assert expected in output
    assert exit_code == (0 if expected == "worked" else before)
    assert (tmp_path / "now" / "analysis").read_text() == str(exit_code)


@pytest.mark.parametrize(("codes", "acts"), [((0, 3), True), ((0, 0), False), ((3, 2), False)])
def test_the_action_follows_violations_only(tmp_path: Path, codes: tuple[int, int], acts: bool) -> None:
    names = ("a", "b")
    running = [
        begin(tmp_path, name, "--", "sh", "-c", f"exit {code}")
        for name, code in zip(names, codes, strict=True)
    ]
    after = [part for name in names for part in ("--after", name)]
    action = begin(tmp_path, "action", *after, "--on-violations", "--", "echo", "acted")
    for process in running:
        end(process)
    assert ("acted" in end(action)[1]) == acts


def test_who_never_comes_is_waited_for_no_longer_than_a_turn(tmp_path: Path) -> None:
    exit_code, output = end(begin(tmp_path, "b", "--after", "a", "--", "true", EVERY_SECONDS="1"))
    assert exit_code == 124
    assert "left out" in output


def test_turns_come_again_and_again(tmp_path: Path) -> None:
    begun = begin(tmp_path, "a", "--", "echo", "worked", ONCE="", EVERY_SECONDS="1", LATE_SECONDS="0")
    assert begun.stdout
    assert [begun.stdout.readline() for _ in range(2)] == ["worked\n"] * 2
    begun.terminate()
    end(begun)
    assert {folder.name.isdecimal() for folder in tmp_path.iterdir()} == {True}
    assert len(list(tmp_path.iterdir())) >= 2


def test_stopping_is_quick(tmp_path: Path) -> None:
    waiting = begin(tmp_path, "a", "--", "true", ONCE="", EVERY_SECONDS="100000")
    # Its handler is in place once it sleeps.
    with pytest.raises(subprocess.TimeoutExpired):
        waiting.wait(timeout=1)
    waiting.terminate()
    assert end(waiting)[0] == 143


def test_the_action_tells_its_address() -> None:
    told: list[dict[str, str]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            told.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(202)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.handle_request)
        thread.start()
        address = f"http://127.0.0.1:{server.server_port}/?token=secret"
        environment = {**os.environ, "ACTION_URL": address, "NO_PROXY": "127.0.0.1"}
        ran = subprocess.run(
            [sys.executable, str(COMPOSE / "action.py")], env=environment, capture_output=True, text=True
        )
        thread.join()
    assert ran.returncode == 0, ran.stderr
    assert "secret" not in ran.stderr
    assert told[0]["event"] == "model-monitor.violations"
