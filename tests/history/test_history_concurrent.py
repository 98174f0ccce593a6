"""Many writers at once, and readers and compactions between them: nothing is lost, nothing counts twice."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections import Counter
from datetime import timedelta
from pathlib import Path

from fixtures import ROOT
from history_runs import append, make_baseline, make_run

from contract.history import folder
from contract.history.compact import compact
from contract.history.read import read_runs

PROCESSES = 20
RUNS = 2


def start(history: Path, place: Path) -> subprocess.Popen[bytes]:
    paths = [str(ROOT), str(ROOT / "tests"), str(ROOT / "tests" / "history")]
    environment = {name: value for name, value in os.environ.items() if name != name.lower()}
    environment |= {"PYTHONPATH": os.pathsep.join(paths), "OMP_NUM_THREADS": "1"}
    script = Path(__file__).with_name("appending.py")
    command = [sys.executable, str(script), str(history), str(place), str(RUNS)]
    return subprocess.Popen(command, env=environment, stderr=subprocess.PIPE)


def test_twenty_processes_append_at_once_and_nothing_is_lost(tmp_path: Path) -> None:
    history = tmp_path / "history"
    make_baseline(tmp_path / "baseline")
    processes = [start(history, tmp_path / f"endpoint-{number}") for number in range(PROCESSES)]
    # While they write, somebody reads and compacts without pause, and nobody may notice.
    seen: set[str] = set()
    while any(process.poll() is None for process in processes):
        if history.exists():
            now = {run.run for run in read_runs(str(history))}
            assert seen <= now
            seen = now
            compact(str(history), older_than=timedelta(0))
        time.sleep(0.2)
    for process in processes:
        errors = process.communicate()[1].decode()
        assert process.returncode == 0, errors
    runs = read_runs(str(history))
    assert Counter(run.endpoint for run in runs) == {f"endpoint-{n}": RUNS for n in range(PROCESSES)}
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
