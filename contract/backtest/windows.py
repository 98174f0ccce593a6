"""Past windows that can be checked again: from a history, or from the folders that jobs wrote."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from contract.datasets import storage
from contract.documents import json_layout
from contract.documents.violations import Violation, read_violations
from contract.errors import DatasetError, DocumentError
from contract.history import folder
from contract.history.keep import baseline_file, digest
from contract.history.record import Run
from contract.history.tables import window_text

STATISTICS = "statistics.json"
VIOLATIONS = "constraint_violations.json"


@dataclass(frozen=True)
class Document:
    """A parsed JSON document, and where it was read, for messages."""

    value: dict[str, Any]
    where: str


@dataclass(frozen=True)
class Material:
    """What checking one window again takes.

    Parameters
    ----------
    statistics
        Of the window.
    constraints, baseline_statistics
        What it was compared with at the time; None where that is not known.
    notes
        On what of this is not surely as it was.
    """

    statistics: Document
    constraints: Document | None = None
    baseline_statistics: Document | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class PastWindow:
    """One window.

    Parameters
    ----------
    name
        What people call it: its time, or its folder.
    monitor
        None where only its statistics tell.
    rules
        By which it was checked.
    rows
        None where that is not known.
    violations
        What was found at the time, None where that is not known.
    checking
        What else the check depends on (see `contract.history.record.Run`).
    load
        Reads the rest; raises InputError where that is not possible.
    """

    name: str
    monitor: str | None
    rules: str
    rows: int | None
    violations: tuple[Violation, ...] | None
    load: Callable[[], Material] = field(repr=False)
    checking: Mapping[str, Any] = field(default_factory=dict)
    run: Run | None = None


def windows_of_history(history: str, runs: Iterable[Run]) -> list[PastWindow]:
    """Return the windows of runs that checked something; of several runs of one window, the last that ended.

    Parameters
    ----------
    history
        Where the runs are recorded.
    runs
        In the order wanted.
    """
    latest: dict[tuple[object, ...], Run] = {}
    for run in runs:
        if run.has_failed or run.violations is None:
            continue
        key: tuple[object, ...] = (run.run,)
        if run.window is not None:
            about = (run.monitor, run.endpoint, run.schedule, run.window, run.dataset_source)
            key = (*about, str(run.checking.get("segment_by")))
        if key not in latest or latest[key].finished <= run.finished:
            latest[key] = run
    return [_window_of_run(history, run) for run in latest.values()]


def _window_of_run(history: str, run: Run) -> PastWindow:
    return PastWindow(
        name=window_text(run),
        monitor=run.monitor,
        rules=run.rules,
        rows=run.rows,
        violations=run.violations,
        load=lambda: _load(history, run),
        checking=run.checking,
        run=run,
    )


def _load(history: str, run: Run) -> Material:
    statistics = None
    if run.statistics is not None:
        path = folder.join(history, run.statistics)
        content = folder.read_if_there(path)
        statistics = None if content is None else Document(json_layout.loads(content, path), path)
    if statistics is None:
        statistics = _from_output(run)
    notes: list[str] = []
    return Material(
        statistics=statistics,
        constraints=_baseline(history, run.compared.constraints, run.compared.constraints_path, notes),
        baseline_statistics=_baseline(history, run.compared.statistics, run.compared.statistics_path, notes),
        notes=tuple(notes),
    )


def _from_output(run: Run) -> Document:
    """Return the statistics from where the run wrote them, if nobody has written over them."""
    path = folder.join(run.output_path, STATISTICS)
    why = "the history has not kept its statistics (history_statistics)"
    try:
        content = folder.read_if_there(path)
    except DatasetError as error:
        raise DatasetError(f"{why}, and {error.message}") from error
    if content is None:
        raise DatasetError(f"{why}, and {path} is no longer there.")
    if digest(content) != run.statistics_digest:
        raise DatasetError(f"{why}, and {path} is of another run by now; give each window its output_path.")
    return Document(json_layout.loads(content, path), path)


def _baseline(history: str, name: str | None, path: str | None, notes: list[str]) -> Document | None:
    """Return a document of the baseline at the time: the kept copy, else what its path holds now."""
    if name is not None:
        kept = folder.join(history, baseline_file(name))
        content = folder.read_if_there(kept)
        if content is not None:
            return Document(json_layout.loads(content, kept), kept)
    if path is None:
        return None
    if not path.endswith(".json"):
        return None  # a folder: which of its files it was is not recorded
    content = _read_softly(path)
    if content is None:
        return None
    notes.append(f"The history has not kept the baseline; {path} is taken as it is now.")
    return Document(json_layout.loads(content, path), path)


def _read_softly(path: str) -> bytes | None:
    try:
        return folder.read_if_there(path)
    except DatasetError:
        return None


def folder_above(path: str) -> str:
    """Return the folder that a file lies in."""
    return path.rpartition("/")[0]


def window_of_folder(path: str, known: set[str], rules: str, checking: Mapping[str, Any]) -> PastWindow:
    """Return the window whose files lie in a folder.

    Parameters
    ----------
    known
        The files there are.
    rules, checking
        What the files do not tell.

    Raises
    ------
    DocumentError
        When its violations cannot be read.
    """
    violations = None
    if f"{path}/{VIOLATIONS}" in known:
        document = read_document(f"{path}/{VIOLATIONS}")
        violations = tuple(read_violations(document.value, document.where).violations)
    return PastWindow(
        name=path,
        monitor=None,
        rules=rules,
        rows=None,
        violations=violations,
        load=lambda: Material(read_document(f"{path}/{STATISTICS}")),
        checking=checking,
    )


def read_document(path: str) -> Document:
    """Read a JSON document.

    Raises
    ------
    DocumentError
        Naming the path and the cause.
    """
    return Document(json_layout.loads(storage.read_bytes(path, DocumentError), path), path)
