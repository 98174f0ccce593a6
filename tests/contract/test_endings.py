"""What a job has started elsewhere is ended with it."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest
from fixtures import ROOT

from file_storage import cleanup


def test_signals_wait_for_the_end_of_what_they_may_not_interrupt() -> None:
    done: list[str] = []
    settle = []

    def undo(is_urged: cleanup.IsUrged) -> None:
        assert not is_urged()
        signal.raise_signal(signal.SIGINT)
        assert is_urged()
        done.append("undone")

    def run_job() -> None:
        with cleanup.all_undone():
            settle.append(cleanup.at_end(undo))
            cleanup.at_end(lambda is_urged: done.append("the latest first"))

    with pytest.raises(KeyboardInterrupt):
        run_job()
    assert done == ["the latest first", "undone"]
    settle[0]()
    assert len(done) == 2


def test_a_copied_process_undoes_nothing_of_its_parent() -> None:
    program = (
        "import os, sys; from file_storage import cleanup as endings;"
        "endings.at_end(lambda is_urged: print('undone by', os.getpid(), flush=True));"
        "child = os.fork(); child or sys.exit(); os.waitpid(child, 0);"
        "print('parent', os.getpid(), flush=True)"
    )
    run = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    )
    parent, undone = run.stdout.splitlines()
    assert undone.split()[-1] == parent.split()[-1]
