"""Many writers at once, and readers and compactions between them: nothing is lost, nothing counts twice."""

from __future__ import annotations

import os
import threading
import time
from collections import Counter
from datetime import timedelta
from functools import partial
from pathlib import Path

from forked import start
from history_runs import append, make_baseline, make_run, monitor
from run_jobs import Result

from job_runner.console import leave_out_pandas
from reporting.history import folder
from reporting.history.folder import compact, read_runs

PROCESSES = 20
RUNS = 3


def append_runs(history: Path, place: Path) -> int:
    leave_out_pandas()  # as a command does in a process of its own
    baseline = Result(0, "", place.parent / "baseline" / "output")
    for number in range(RUNS):
        result = monitor(
            place / str(number),
            baseline,
            shift=20.0 * (number % 2),
            history_path=history,
            sagemaker_endpoint_name=place.name,
            fail_on_sink_error="Enabled",
            report="Disabled",
        )
        assert result.exit_code == 0, result.message
    return 0


def test_twenty_processes_append_at_once_and_nothing_is_lost(tmp_path: Path) -> None:
    history = tmp_path / "history"
    make_baseline(tmp_path / "baseline")
    environment = {name: value for name, value in os.environ.items() if name != name.lower()}
    processes = {
        name: start(partial(append_runs, history, tmp_path / name), tmp_path / f"{name}.log", environment)
        for name in (f"endpoint-{number}" for number in range(PROCESSES))
    }
    # While they write, somebody reads and compacts without pause, and nobody may notice.
    seen: set[str] = set()
    while any(process.is_alive() for process in processes.values()):
        if history.exists():
            now = {run.run for run in read_runs(str(history))}
            assert seen <= now
            seen = now
            compact(str(history), older_than=timedelta(0))
        time.sleep(0.02)
    for name, process in processes.items():
        assert process.exitcode == 0, (tmp_path / f"{name}.log").read_text(encoding="utf-8")
    runs = read_runs(str(history))
    assert Counter(run.endpoint for run in runs) == dict.fromkeys(processes, RUNS)
    assert len({run.run for run in runs}) == PROCESSES * RUNS
    for run in runs:
        assert len(run.violations or ()) == (1 if "/1/" in run.dataset_source else 0)
        assert run.statistics is not None
        assert (history / run.statistics).stat().st_size > 0
    # One baseline, however many were compared with it.
    assert len(list((history / folder.BASELINES).iterdir())) == 2
    assert not list(history.rglob("*.part"))


def test_several_compactions_and_readers_at_once(tmp_path: Path) -> None:
    runs = [make_run(hour) for hour in range(60)]
    append(tmp_path, *runs)
    names = {run.run for run in runs}
    losses: list[set[str]] = []

    def work() -> None:
        for _ in range(5):
            compact(str(tmp_path), older_than=timedelta(0))

    def look() -> None:
        for _ in range(20):
            found = {run.run for run in read_runs(str(tmp_path))}
            if found != names:
                losses.append(names - found)

    threads = [threading.Thread(target=target) for target in (work, look, work, look, work)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert losses == []
    assert [run.run for run in read_runs(str(tmp_path))] == sorted(names)
