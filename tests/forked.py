"""Processes that start at once: forked from one that has loaded what a job needs."""

from __future__ import annotations

import multiprocessing
import os
import sys
from collections.abc import Callable, Mapping
from multiprocessing.process import BaseProcess
from pathlib import Path

_LOADED = (
    "analyzers.data_quality.analyzer",
    "containers.data_quality.main",
    "job_runner.cluster.hosts",
    "readers.csv",
    "reporting.history.folder",
    "job_runner.job",
    "distributed",
    "job_runner",
    "numpy.random",
)

_context = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload(list(_LOADED))


def start(
    run: Callable[[], int], log: Path, environment: Mapping[str, str], folder: Path | None = None
) -> BaseProcess:
    """Start a process that exits with what `run` returns; whoever starts it ends it.

    Parameters
    ----------
    run
        Picklable.
    log
        File that gets what it writes to stderr.
    environment
        All its variables.
    folder
        Where it works.
    """
    log.touch()  # who waits for words in it may look before the process writes
    process = _context.Process(target=_work, args=(run, log, dict(environment), folder))
    process.start()
    return process


def _work(run: Callable[[], int], log: Path, environment: Mapping[str, str], folder: Path | None) -> None:
    with log.open("wb") as stream:
        os.dup2(stream.fileno(), 2)
    os.environ.clear()
    os.environ.update(environment)
    if folder is not None:
        os.chdir(folder)
    sys.argv = sys.argv[:1]
    sys.exit(run())
