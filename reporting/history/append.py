"""Appending a run to the history, with what is needed to check it again."""

from __future__ import annotations

import functools
import logging
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import orjson
import pyarrow as pa

from contract.api import Baseline, DocumentSet, Settings
from contract.errors import DatasetError, OutputError
from contract.outcome import shorten
from file_storage import storage
from reporting.history import folder
from reporting.history.record import MOST_DESCRIPTION, Run, digest, new_run, run_to_json
from reporting.sinks.delivery import Delivery, NotDeliveredError, Undelivered, deliver

_log = logging.getLogger(__name__)


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
    path = f"{folder.STATISTICS}/{run.run}.json.zst"
    return _append(settings, replace(run, statistics=path), material | {path: statistics})


def baseline_documents(baseline: Baseline[Any, Any] | None, files: DocumentSet[Any, Any]) -> dict[str, bytes]:
    """Return what was compared with, by its member of a record; nothing where nothing was."""
    found = {}
    if baseline is not None and baseline.constraints is not None:
        found["constraints"] = to_json(
            files.write_constraints(baseline.constraints) | baseline.natural_variation
        )
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
    record = folder.compress(orjson.dumps(run_to_json(run)) + b"\n")

    def send(seconds: float) -> None:
        try:
            for name, content in material.items():
                path = folder.join(history, name)
                if not storage.is_there(path):
                    storage.write_file(path, pa.compress(content, codec="zstd", asbytes=True))
            # Last, so that whoever reads a record finds what it names.
            storage.write_file(folder.join(history, folder.RUNS, f"{run.run}.jsonl.gz"), record)
        except (OutputError, DatasetError) as error:
            raise NotDeliveredError(error.message.rstrip("."), again=history.startswith("s3://")) from error

    return deliver([Delivery(history, f"the record {run.run}", send)], settings.sink_timeout)


def baseline_file(name: str) -> str:
    """Return the path below the history of a document of a baseline, given its digest."""
    return f"{folder.BASELINES}/{name}.json.zst"


def to_json(document: Any) -> bytes:
    """Return a document of a baseline or of statistics as it is kept."""
    # The default is for arrays that are views into others, which orjson has no form for.
    return orjson.dumps(document, option=orjson.OPT_SERIALIZE_NUMPY, default=lambda view: view.tolist())
