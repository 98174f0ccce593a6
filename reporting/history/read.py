"""Reading a history: which runs there were, in the order of the time they are about."""

from __future__ import annotations

import functools
import logging
import re
import secrets
import time
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import orjson

from contract.errors import ConfigurationError, DatasetError, DocumentError
from contract.schema import nearest
from file_storage import storage
from reporting.history import folder
from reporting.history.record import SCHEMA, Run, read_run
from reporting.history.selection import Selection

_NAME = re.compile(r".*/(\d{8}T\d{6}\.\d{6})Z-[^/]*")
_NAME_TIME = "%Y%m%dT%H%M%S.%f"
_TRIES = 50
_PAUSE_SECONDS = 0.05

_log = logging.getLogger(__name__)

EVERYTHING = Selection()


def read_runs(history: str, selection: Selection = EVERYTHING) -> list[Run]:
    """Return the runs of a history that are wanted, the earliest first.

    Parameters
    ----------
    history
        ``history_path``: a folder, local or on S3.

    Raises
    ------
    DatasetError
        When there is nothing there, or a file cannot be read.
    DocumentError
        When a record is unusable; names file and line.
    """
    runs = [run for run in _read_all(history, selection.since).values() if selection.takes(run)]
    runs.sort(key=lambda run: (run.at, run.finished, run.run))
    return runs if selection.last is None else runs[-selection.last :]


def run_named(history: str, name: str) -> Run:
    """Return the one run of that name, or whose name begins so; ``last`` is the one that ended last.

    Raises
    ------
    ConfigurationError
        When there is none, or there are several.
    """
    runs = _read_all(history, None)
    if name == "last" and runs:
        return max(runs.values(), key=lambda run: (run.finished, run.run))
    found = [run for run in runs.values() if run.run.startswith(name)]
    if len(found) == 1:
        return found[0]
    if found:
        raise ConfigurationError.of("history_run.several", file=history, count=len(found), name=name)
    close = nearest(name, runs, 0.4)
    hint = f"did you mean {close}?" if close else "monitor-history list shows those there are."
    raise ConfigurationError.of("history_run.none", file=history, name=name, hint=hint)


def parse_records(content: bytes, where: str) -> list[Run]:
    """Return the records of one file.

    Raises
    ------
    DocumentError
        When one is unusable; names the line.
    """
    runs = []
    for number, line in enumerate(content.splitlines(), start=1):
        if not line.strip():
            continue
        place = f"{where}, line {number}"
        with DocumentError.instead_of("history_file.no_json", orjson.JSONDecodeError, place=place):
            value = orjson.loads(line)
        if isinstance(value, dict) and isinstance(value.get("schema"), int) and value["schema"] > SCHEMA:
            _log.debug(
                "%s was written by a newer version; what this one does not know is left as it is", place
            )
        runs.append(read_run(value, place))
    return runs


def _read_all(history: str, since: datetime | None) -> dict[str, Run]:
    """Return all runs by name; a run that stands in two files, as while files are compacted, counts once."""
    for attempt in range(_TRIES):
        if attempt:
            time.sleep(_PAUSE_SECONDS)
        paths = _list_steadily(history)
        if paths is not None and since is not None:
            # A run that ended before that time is about a time still earlier.
            paths = [path for path in paths if (name_time(path) or since) >= since]
        runs = None if paths is None else _read_files(paths)
        if runs is not None:
            return runs
    raise DatasetError.of("history_file.changing", file=history)


def _list_steadily(history: str) -> list[str] | None:
    """Return the files of records, None when records were put elsewhere meanwhile.

    A listing may miss a file that goes, and also the one that comes in its place; a second one has it.
    """
    first = set(folder.list_runs(history))
    second = folder.list_runs(history)
    come = [path for path in second if path not in first]
    if first <= set(second) and not any(folder.COMPACTED in path.rpartition("/")[2] for path in come):
        return second
    return None


def _read_files(paths: Iterable[str]) -> dict[str, Run] | None:
    """Return the runs in files by name, None when one is no longer there: its records are in another."""
    runs: dict[str, Run] = {}
    for path in paths:
        if (records := _records_in(path)) is None:
            return None
        runs.update((run.run, run) for run in records)
    return runs


# A file is written once: a job about many windows reads each of them once.
@functools.lru_cache(maxsize=10_000)
def _records_in(path: str) -> list[Run] | None:
    content = folder.read_if_there(path)
    return None if content is None else parse_records(content, path)


def name_time(path: str) -> datetime | None:
    """Return when the last run in a file of records ended, by the file's name; None where it does not say."""
    match = _NAME.fullmatch(path)
    return None if match is None else datetime.strptime(match[1], _NAME_TIME).replace(tzinfo=UTC)


# Putting many small files of records into few, while others go on appending and reading.


# One file of so many runs is read in a fraction of a second.
_MOST_RUNS = 5_000


@dataclass(frozen=True)
class Compacted:
    """What was done: runs put together, files before and after."""

    runs: int
    files_before: int
    files_after: int


def compact(history: str, *, older_than: timedelta, now: datetime | None = None) -> Compacted:
    """Put the records of runs that ended long enough ago into few files.

    Each new file is written whole before what it replaces is removed, and records have names, so a run that
    stands in two files for a moment, or for ever after a crash, counts once. Nothing else is removed, so
    several may do this at once.

    Parameters
    ----------
    older_than
        Records younger than this stay as they are.
    now
        Timezone-aware; default the present.

    Raises
    ------
    InputError
        When the history cannot be read or written; nothing is lost.
    """
    limit = (now or datetime.now(UTC)) - older_than
    old = [
        path for path in folder.list_runs(history) if (ended := name_time(path)) is not None and ended < limit
    ]
    done = Compacted(0, 0, 0)
    lines: dict[str, bytes] = {}
    sources: list[str] = []
    for path in old:
        content = folder.read_if_there(path)
        if content is None:
            continue  # somebody else has just put it elsewhere
        records = parse_records(content, path)
        kept = [line for line in content.splitlines() if line.strip()]
        lines.update(zip((run.run for run in records), kept, strict=True))
        sources.append(path)
        if len(lines) >= _MOST_RUNS:
            done = _replace(history, lines, sources, done)
            lines, sources = {}, []
    done = _replace(history, lines, sources, done)
    folder.remove_abandoned(history)
    return done


def _replace(history: str, lines: dict[str, bytes], sources: list[str], done: Compacted) -> Compacted:
    if len(sources) < 2:
        return done
    # Named after its last run, so that whoever looks for later ones need not open it.
    last = max(lines)
    time = last.partition("-")[0]
    name = f"{time}-{len(lines)}{folder.COMPACTED}{secrets.token_hex(6)}.jsonl.gz"
    path = folder.join(history, folder.RUNS, name)
    content = b"".join(lines[run] + b"\n" for run in sorted(lines))
    storage.write_file(path, folder.compress(content))
    for source in sources:
        storage.remove_file(source)
    return Compacted(done.runs + len(lines), done.files_before + len(sources), done.files_after + 1)
