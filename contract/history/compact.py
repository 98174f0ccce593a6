"""Putting many small files of records into few, while others go on appending and reading."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from contract.datasets import storage
from contract.history import folder
from contract.history.read import name_time, parse_records

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
