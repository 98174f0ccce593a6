"""A history as a folder of files: appending runs, reading them, and putting many files into few.

Each file is written once and whole, so that any number of writers go on side by side.
"""

import contextlib
import functools
import gzip
import logging
import os
import re
import secrets
import time
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import orjson
import pyarrow as pa

from contract.api import Baseline, DocumentSet, Settings
from contract.errors import ConfigurationError, DatasetError, DocumentError, OutputError
from contract.outcome import shorten
from contract.schema import nearest
from file_storage import storage
from reporting.history.record import MOST_DESCRIPTION, Run, digest, new_run, read_run, run_to_json
from reporting.sinks.delivery import Delivery, NotDeliveredError, Undelivered, deliver

_log = logging.getLogger(__name__)

RUNS = "runs"
STATISTICS = "statistics"
BASELINES = "baselines"
# In the names of files that many runs share.
COMPACTED = "-runs-"

# What is decompressed lies in memory.
_MOST_BYTES = 1 << 30


def compress(content: bytes) -> bytes:
    """Return gzip's form of `content`; the same content gives the same bytes."""
    return gzip.compress(content, compresslevel=6, mtime=0)


def join(folder: str, *names: str) -> str:
    """Return the path of something below a folder, local or on S3."""
    return "/".join([folder.rstrip("/"), *names])


def list_runs(history: str) -> list[str]:
    """Return the paths of all files of records, the oldest first; none where nothing was ever appended.

    Raises
    ------
    DatasetError
        When there is nothing at `history`, or it cannot be listed.
    """
    runs = join(history, RUNS)
    if storage.is_s3(history):
        with contextlib.suppress(DatasetError):
            return [file.path for file in storage.list_files(runs)]
    elif Path(runs).is_dir():
        with storage.reading(history, "history_path "):
            # Names only: a file may go any moment, when its records are put elsewhere.
            names = sorted(os.listdir(runs))  # noqa: PTH208 - several times faster, and many windows list it each
        return [join(runs, name) for name in names if not name.startswith(".")]
    storage.list_files(history, "history_path")  # says what is wrong, if anything is
    return []


def read_if_there(path: str) -> bytes | None:
    """Return the content of a file, decompressed; None when it is not, or no longer, there.

    Raises
    ------
    DatasetError
        When it is there and cannot be read.
    DocumentError
        When it is not whole.
    """
    content = storage.read_if_there(path)
    codec = storage.compression(path, content) if content else None
    if not content or codec is None:
        return content
    with DocumentError.instead_of("history_file.damaged", OSError, file=path):
        unpacked: bytes = pa.CompressedInputStream(pa.BufferReader(content), codec).read(_MOST_BYTES + 1)
    if len(unpacked) > _MOST_BYTES:
        raise DocumentError.of("history_file.too_large", file=path, gigabytes=_MOST_BYTES >> 30)
    return unpacked


# Appending a run, with what is needed to check it again.


def keep_run(
    settings: Settings, run: Run, compared: Mapping[str, bytes], statistics: bytes
) -> tuple[Undelivered, ...]:
    """Append a run to the history the settings name, with what is needed to check it again.

    Parameters
    ----------
    compared
        The baseline's documents, whose digests the run has.
    statistics
        The run's, with all members.

    Returns
    -------
    What could not be written and why; the job's result stands.
    """
    if not settings.history_statistics:
        return _append(settings, run, {})
    material = {baseline_file(digest(content)): content for content in compared.values()}
    # A job that was killed before its record was there finds them when it is started again.
    path = f"{STATISTICS}/{digest(statistics)}.json.zst"
    return _append(settings, replace(run, statistics=path), material | {path: statistics})


def baseline_documents(baseline: Baseline[Any, Any] | None, files: DocumentSet[Any, Any]) -> dict[str, bytes]:
    """Return what was compared with, by its member of a record; nothing where nothing was."""
    found = {}
    if baseline is not None and baseline.constraints is not None:
        constraints = files.write_constraints(baseline.constraints)
        found["constraints"] = to_json(constraints | baseline.natural_variation)
    if baseline is not None and baseline.statistics is not None:
        found["statistics"] = to_json(files.write_statistics(baseline.statistics, True))
    return found


def keep_failure(settings: Settings, monitor: str, started: datetime, code: int, message: str) -> None:
    """Append a run that ended without a result; where that fails too, the log says so.

    Parameters
    ----------
    monitor
        Its name in records.
    """
    seconds = (datetime.now(UTC) - started).total_seconds()
    run = new_run(settings, monitor, seconds, exit_code=code, message=message)
    for missed in _append(settings, run, {}):
        _log.warning("The history at %s does not have this run: %s", missed.address, missed.reason)


def _append(settings: Settings, run: Run, material: Mapping[str, bytes]) -> tuple[Undelivered, ...]:
    history = settings.history_path
    assert history is not None  # noqa: S101 - for mypy: asked for only where there is one
    short = functools.partial(shorten, limit=MOST_DESCRIPTION)
    found = run.violations and tuple(
        replace(one, description=short(one.description)) for one in run.violations
    )
    why = run.why_undecided and short(run.why_undecided)
    run = replace(run, message=shorten(run.message), why_undecided=why, violations=found)
    record = compress(orjson.dumps(run_to_json(run)) + b"\n")

    def send(seconds: float) -> None:
        try:
            for name, content in material.items():
                path = join(history, name)
                if not storage.is_there(path):
                    storage.write_file(path, pa.compress(content, codec="zstd", asbytes=True))
            # Last, so that whoever reads a record finds what it names.
            storage.write_file(join(history, RUNS, f"{run.run}.jsonl.gz"), record)
        except (OutputError, DatasetError) as error:
            raise NotDeliveredError(error.message.rstrip("."), again=history.startswith("s3://")) from error

    return deliver([Delivery(history, f"the record {run.run}", send)], settings.sink_timeout)


def baseline_file(name: str) -> str:
    """Return the path below the history of a document of a baseline, given its digest."""
    return f"{BASELINES}/{name}.json.zst"


def to_json(document: Any) -> bytes:
    """Return a document of a baseline or of statistics as it is kept."""
    # The default is for arrays that are views into others, which orjson has no form for.
    return orjson.dumps(document, option=orjson.OPT_SERIALIZE_NUMPY, default=lambda view: view.tolist())


# Reading: which runs there were, in the order of the time they are about.


_NAME = re.compile(r".*/(\d{8}T\d{6}\.\d{6})Z-[^/]*")
_NAME_TIME = "%Y%m%dT%H%M%S.%f"
_TRIES = 50
_PAUSE_SECONDS = 0.05


class Selection(NamedTuple):
    """Which runs are wanted; None does not ask.

    Parameters
    ----------
    monitor, model, endpoint, schedule
        Exactly so.
    since, until
        Runs about a time from `since`, inclusive, to `until`, exclusive.
    last
        The latest so many.
    """

    monitor: str | None = None
    model: str | None = None
    endpoint: str | None = None
    schedule: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    last: int | None = None

    def takes(self, run: Run) -> bool:
        """Return whether a run is wanted, `last` apart."""
        names = zip(self[:4], (run.monitor, *run.names), strict=True)
        return (
            all(asked in (None, found) for asked, found in names)
            and (self.since is None or run.at >= self.since)
            and (self.until is None or run.at < self.until)
        )


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
        found = None if paths is None else [*map(_records_in, paths)]
        # Records of a file that is no longer there are in another.
        if found is not None and None not in found:
            return {run.run: run for records in found for run in records or ()}
    raise DatasetError.of("history_file.changing", file=history)


def _list_steadily(history: str) -> list[str] | None:
    """Return the files of records, None when records were put elsewhere meanwhile.

    A listing may miss a file that goes, and also the one that comes in its place; a second one has it.
    """
    first = set(list_runs(history))
    second = list_runs(history)
    come = [path for path in second if path not in first]
    if first <= set(second) and not any(COMPACTED in path.rpartition("/")[2] for path in come):
        return second
    return None


# A file is written once: a job about many windows reads each of them once.
@functools.lru_cache(maxsize=10_000)
def _records_in(path: str) -> list[Run] | None:
    content = read_if_there(path)
    return None if content is None else parse_records(content, path)


def name_time(path: str) -> datetime | None:
    """Return when the last run in a file of records ended, by the file's name; None where it does not say."""
    match = _NAME.fullmatch(path)
    return None if match is None else datetime.strptime(match[1], _NAME_TIME).replace(tzinfo=UTC)


# Putting many small files of records into few, while others go on appending and reading.


# One file of so many runs is read in a fraction of a second.
_MOST_RUNS = 5_000


class Compacted(NamedTuple):
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
    old = [path for path in list_runs(history) if (ended := name_time(path)) is not None and ended < limit]
    done = Compacted(0, 0, 0)
    lines: dict[str, bytes] = {}
    sources: list[str] = []
    for path in old:
        if (content := read_if_there(path)) is None:
            continue  # somebody else has just put it elsewhere
        records = parse_records(content, path)
        kept = [line for line in content.splitlines() if line.strip()]
        lines.update(zip((run.run for run in records), kept, strict=True))
        sources.append(path)
        if len(lines) >= _MOST_RUNS:
            done = _replace(history, lines, sources, done)
            lines, sources = {}, []
    done = _replace(history, lines, sources, done)
    # What writers that were killed left half-written; S3 never shows such.
    for name in () if storage.is_s3(history) else (RUNS, STATISTICS, BASELINES):
        if Path(history, name).is_dir():
            storage.remove_abandoned(join(history, name))
    return done


def _replace(history: str, lines: dict[str, bytes], sources: list[str], done: Compacted) -> Compacted:
    if len(sources) < 2:
        return done
    # Named after its last run, so that whoever looks for later ones need not open it.
    ended = max(lines).partition("-")[0]
    path = join(history, RUNS, f"{ended}-{len(lines)}{COMPACTED}{secrets.token_hex(6)}.jsonl.gz")
    content = b"".join(lines[run] + b"\n" for run in sorted(lines))
    storage.write_file(path, compress(content))
    for source in sources:
        storage.remove_file(source)
    return Compacted(done.runs + len(lines), done.files_before + len(sources), done.files_after + 1)
