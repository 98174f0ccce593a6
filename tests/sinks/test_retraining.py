"""The worked example: drift, an event, a pipeline that trains and renews the baseline, then a good check."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fixtures import ROOT
from reports import report
from run_jobs import Result, run_job

from reporting.sinks import delivery, messages
from reporting.sinks.delivery import NotDeliveredError

EXAMPLE = ROOT / "orchestrators" / "retraining"
# Ordinary least squares on the data it is given.
TRAIN = """
import sys, numpy as np
table = np.loadtxt(sys.argv[-1], delimiter=",", skiprows=1)
slope, level = np.polyfit(table[:, 0], table[:, 1], 1)
open(sys.argv[1], "a").write(f"{slope:.3f}\\n")
"""


@dataclass(frozen=True)
class Receiver:
    host: str
    state: Path
    log: Path

    @property
    def address(self) -> str:
        return f"events+http://{self.host}/"

    def wait_for(self, text: str, times: int = 1) -> None:
        for _ in range(1200):
            if self.log.read_text().count(text) >= times:
                return
            time.sleep(0.05)
        raise AssertionError(f"the receiver never said {text!r}: {self.log.read_text()}")


@contextmanager
def receiving(folder: Path, *command: str, **variables: str) -> Iterator[Receiver]:
    state, log = folder / "state", folder / "receiver.log"
    with log.open("wb") as stream:
        process = subprocess.Popen(
            [
                sys.executable,
                EXAMPLE / "receiver.py",
                "--listen",
                "127.0.0.1:0",
                "--state",
                state,
                "--data=s3://bucket/captures",
                f"--data={folder}",
                "--",
                *command,
            ],
            stderr=stream,
            env={**os.environ, **variables, "PYTHONPATH": str(ROOT)},
        )
    try:
        receiver = Receiver("", state, log)
        receiver.wait_for("Listening on ")
        host = log.read_text().partition("Listening on ")[2].split()[0]
        yield Receiver(host, state, log)
    finally:
        process.terminate()
        process.wait()


def post(receiver: Receiver, event: Any, **headers: str) -> bytes:
    body = event if isinstance(event, bytes) else json.dumps(event).encode()
    own = {receiver.host: headers}
    return delivery.send("POST", f"http://{receiver.host}/", body, messages.EVENT_CONTENT_TYPE, own, 20.0)


def write_csv(path: Path, seed: int, slope: float, shift: float) -> Path:
    rng = np.random.default_rng(seed)
    ages = rng.normal(50 + shift, 10, 2000)
    rows = (f"{age:.3f},{slope * age + rng.normal():.3f}" for age in ages)
    path.write_text("age,income\n" + "\n".join(rows) + "\n", encoding="utf-8")
    return path


def test_drift_starts_a_pipeline_that_renews_the_baseline(tmp_path: Path) -> None:
    baseline = tmp_path / "baseline"

    def monitor(name: str, source: Path, **variables: Any) -> Result:
        (tmp_path / name).mkdir(exist_ok=True)
        given = {"baseline_constraints": baseline, "baseline_statistics": baseline, **variables}
        return run_job(tmp_path / name, source, sagemaker_endpoint_name="incomes", **given)

    winter = write_csv(tmp_path / "winter.csv", 1, slope=2.0, shift=0.0)
    monitor("first", winter, skip_check="Enabled", register_new_baseline=baseline)
    before = (baseline / "statistics.json").read_bytes()
    summer = write_csv(tmp_path / "summer.csv", 2, slope=3.0, shift=15.0)
    train, command = tmp_path / "train.py", tmp_path / "monitor"
    train.write_text(TRAIN)
    command.write_text(f'#!/bin/sh\nexec "{Path(sys.executable).with_name("monitor-data-quality")}" "$@"\n')
    command.chmod(0o755)
    variables = {
        "TRAIN_COMMAND": f"{sys.executable} {train} {tmp_path / 'models'}",
        "MONITOR_COMMAND": str(command),
        "BASELINE": str(baseline),
        "DATASET_FORMAT": '{"csv":{"header":true}}',
    }
    with receiving(tmp_path, sys.executable, str(EXAMPLE / "pipeline.py"), **variables) as receiver:
        quiet = monitor("quiet", write_csv(tmp_path / "more.csv", 3, 2.0, 0.0), event_sinks=receiver.address)
        assert quiet.violations == []
        drifted = monitor("drifted", summer, event_sinks=receiver.address)
        assert len(drifted.violations) == 2
        receiver.wait_for("the pipeline ended with exit code")
        (event,) = receiver.state.glob("*.json")
        log = event.with_suffix(".log").read_text()
        assert "ended with exit code 0" in receiver.log.read_text(), log

        monitor("again", summer, event_sinks=receiver.address)  # the same job, tried again
        after = monitor(
            "after", write_csv(tmp_path / "august.csv", 4, 3.0, 15.0), event_sinks=receiver.address
        )
    assert json.loads(event.read_text())["data"]["violations"] == drifted.violations
    assert [float(slope) for slope in (tmp_path / "models").read_text().split()] == [
        pytest.approx(3.0, abs=0.05)
    ]
    assert (baseline / "statistics.json").read_bytes() != before
    (kept,) = (baseline / "previous").iterdir()
    assert (kept / "statistics.json").read_bytes() == before
    assert after.violations == []
    assert len(list(receiver.state.glob("*.json"))) == 1


COUNT = "import sys; open(sys.argv[1], 'a').write('x')"


def test_an_event_starts_one_pipeline_however_often_it_comes(tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    with receiving(tmp_path, sys.executable, "-c", COUNT, str(runs)) as receiver:
        assert post(receiver, messages.cloud_event(report())) == b"Taken."
        assert post(receiver, messages.cloud_event(report())) == b"Known already."
        receiver.wait_for("ended with exit code 0")
        assert post(receiver, messages.cloud_event(report(digest="1" * 32))) == b"Taken."
        receiver.wait_for("ended with exit code 0", times=2)
    with receiving(tmp_path, sys.executable, "-c", COUNT, str(runs)) as receiver:
        assert post(receiver, messages.cloud_event(report())) == b"Known already."
    assert runs.read_text() == "xx"


def test_the_token_is_not_handed_to_the_pipeline(tmp_path: Path) -> None:
    command = [sys.executable, "-c", "import os; print(sorted(os.environ))"]
    with receiving(tmp_path, *command, RETRAINING_TOKEN="right", OTHER="x") as receiver:
        post(receiver, messages.cloud_event(report()), Authorization="Bearer right")
        receiver.wait_for("ended with exit code 0")
        [log] = receiver.state.glob("*.log")
        assert ("'OTHER'" in log.read_text(), "RETRAINING_TOKEN" in log.read_text()) == (True, False)


def test_what_was_taken_before_a_crash_is_started_after_it(tmp_path: Path) -> None:
    (tmp_path / "state").mkdir()
    event = tmp_path / "state" / f"{'0' * 32}.json"
    event.write_text(json.dumps(messages.cloud_event(report())))
    runs = tmp_path / "runs"
    with receiving(tmp_path, sys.executable, "-c", COUNT, str(runs)) as receiver:
        receiver.wait_for("ended with exit code 0")
    assert runs.read_text() == "x"


def test_one_pipeline_per_endpoint_at_a_time(tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    wait = f"import os, time\nwhile not os.path.exists({str(gate)!r}): time.sleep(0.02)"
    with receiving(tmp_path, sys.executable, "-c", wait) as receiver:
        post(receiver, messages.cloud_event(report()))
        post(receiver, messages.cloud_event(report(digest="1" * 32)))
        receiver.wait_for(f"Event {'1' * 32}: the pipeline of event {'0' * 32} is at it")
        post(receiver, messages.cloud_event(report(digest="2" * 32, endpoint="other")))
        receiver.wait_for(f"Event {'2' * 32} about 'other': starting")
        gate.touch()
        receiver.wait_for("ended with exit code 0", times=2)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"body": b"{"}, "it answered 400"),
        ({"body": b"[]"}, "it answered 400"),
        ({"type": "com.example.other"}, "it answered 422"),
        ({"id": "../../etc/passwd"}, "it answered 400"),
        ({"content_type": "application/json"}, "it answered 415"),
        ({"token": "wrong"}, "it answered 401"),
        ({"body": b" " * 2_000_000}, "it answered 413"),
        ({"body": b"[" * 500_000}, "it answered 400"),
        ({"data": {"monitor": "data-quality", "dataset_source": "/etc/passwd"}}, "it answered 403"),
        (
            {"data": {"monitor": "data-quality", "dataset_source": "s3://bucket/captures/../x"}},
            "it answered 403",
        ),
        (
            {"data": {"monitor": "data-quality", "dataset_source": "s3://bucket/captures-of-others/"}},
            "it answered 403",
        ),
        ({"data": {"monitor": "../x", "dataset_source": "s3://captures/"}}, "it answered 422"),
        ({"data": 5}, "it answered 422"),
    ],
)
def test_requests_that_are_no_events_start_nothing(
    tmp_path: Path, changes: dict[str, Any], says: str
) -> None:
    event = {
        **messages.cloud_event(report()),
        **{k: v for k, v in changes.items() if k in ("type", "id", "data")},
    }
    with receiving(tmp_path, sys.executable, "-c", "", RETRAINING_TOKEN="right") as receiver:
        with pytest.raises(NotDeliveredError, match=says):
            post(
                receiver,
                changes.get("body", event),
                **{
                    "Content-Type": changes.get("content_type", messages.EVENT_CONTENT_TYPE),
                    "Authorization": f"Bearer {changes.get('token', 'right')}",
                },
            )
        assert list(receiver.state.iterdir()) == []


def test_damaged_state_is_passed_over(tmp_path: Path) -> None:
    (tmp_path / "state").mkdir()
    for name, content in {"0": "{", "1": "[]", "2": "[" * 100_000}.items():
        (tmp_path / "state" / f"{name * 32}.json").write_text(content)
    runs = tmp_path / "runs"
    with receiving(tmp_path, sys.executable, "-c", COUNT, str(runs)) as receiver:
        receiver.wait_for("is no event", times=3)
        assert post(receiver, messages.cloud_event(report(digest="4" * 32))) == b"Taken."
        receiver.wait_for("ended with exit code 0")
    assert runs.read_text() == "x"


@pytest.mark.parametrize("host", ["0.0.0.0", "", "[::]", "example.com"])
def test_others_need_a_token(tmp_path: Path, host: str) -> None:
    command = [sys.executable, EXAMPLE / "receiver.py", "--listen", f"{host}:0", "--state", tmp_path]
    done = subprocess.run([*command, "--data", "/", "x"], capture_output=True, text=True, timeout=60)
    assert done.returncode == 2
    assert "set RETRAINING_TOKEN" in done.stderr
