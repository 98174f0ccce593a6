"""Appending a run to the history: what a job knows at its end becomes a record."""

from __future__ import annotations

import hashlib
import logging
import math
import secrets
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import orjson

import contract
from contract.api import Metric
from contract.errors import DatasetError, OutputError
from contract.masking import mask
from contract.outcome import shorten
from file_storage import storage
from reporting.history import folder
from reporting.history.record import MOST_DESCRIPTION, Compared, Run, found_in, run_to_json, told
from reporting.sinks.delivery import Delivery, NotDeliveredError, Undelivered, deliver

if TYPE_CHECKING:
    from contract.api import Baseline, Decision, DocumentSet, Facts
    from contract.settings import Settings
    from reporting.sinks.run_summary import RunSummary


_DIGEST_DIGITS = 32
_OF_SUMMARY = ("dataset_source", "output_path", "rows", "decided", "undecided")

_log = logging.getLogger(__name__)


def keep_run(
    settings: Settings,
    report: RunSummary,
    *,
    exit_code: int,
    message: str,
    notes: int,
    decision: Decision | None,
    facts: Facts,
    statistics: Any,
    baseline: Baseline[Any, Any] | None,
    files: DocumentSet[Any, Any],
    statistics_file: bytes,
) -> tuple[Undelivered, ...]:
    """Append a run to the history the settings name, with what is needed to check it again.

    Parameters
    ----------
    notes
        How many there were.
    decision, baseline
        None when nothing was compared.
    facts
        What the statistics are.
    files
        How statistics and baseline are written.
    statistics_file
        ``statistics.json`` as written.

    Returns
    -------
    What could not be written and why; the job's result stands.
    """
    run = _run(
        settings,
        report.monitor,
        report.finished,
        report.seconds,
        **{name: getattr(report, name) for name in _OF_SUMMARY},
        exit_code=exit_code,
        message=shorten(message),
        labelled=facts.item_count,
        unlabelled=facts.unlabelled_count,
        notes=notes,
        violations=None
        if report.violations is None
        else tuple(
            replace(one, description=shorten(one.description, MOST_DESCRIPTION)) for one in report.violations
        ),
        why_undecided=(shorten(decision.why_undecided, MOST_DESCRIPTION) or None) if decision else None,
        metrics=tuple(map(_measured, report.metrics)),
        findings=tuple(map(found_in, decision.findings if decision else ())),
        compared=Compared(None, None, settings.baseline_constraints, settings.baseline_statistics),
        checking=told(
            {
                "positional": facts.positional or None,
                "segment_by": list(settings.segment_by) or None,
                "positive_label": settings.positive_label,
                "attribution_drift_threshold": settings.attribution_drift_threshold,
            }
        ),
        statistics_digest=digest(statistics_file),
    )
    material: dict[str, bytes] = {}
    if settings.history_statistics:
        if baseline is not None:
            documents = _documents_of(baseline, files)
            digests = {role: digest(content) for role, content in documents.items()}
            material = {baseline_file(digests[role]): content for role, content in documents.items()}
            run = replace(run, compared=replace(run.compared, **digests))
        run = replace(run, statistics=f"{folder.STATISTICS}/{run.run}.json.zst")
        # The originals' files lack members that another check of the same statistics can use.
        is_whole = settings.rules == "sound"
        content = statistics_file if is_whole else _json(files.write_statistics(statistics, True))
        material[str(run.statistics)] = content
    return _append(settings, run, material)


def keep_failure(settings: Settings, monitor: str, started: datetime, code: int, message: str) -> None:
    """Append a run that ended without a result; where that fails too, the log says so.

    Parameters
    ----------
    monitor
        Its name in records.
    """
    finished = datetime.now(UTC)
    run = _run(
        settings,
        monitor,
        finished,
        (finished - started).total_seconds(),
        dataset_source=mask(settings.dataset_source),
        output_path=mask(settings.output_path),
        exit_code=code,
        message=shorten(message),
    )
    for missed in _append(settings, run, {}):
        _log.warning("The history at %s does not have this run: %s", missed.address, missed.reason)


def _run(settings: Settings, monitor: str, finished: datetime, seconds: float, **members: Any) -> Run:
    """Return a run of this program with these settings, under a name that sorts by time and is its own."""
    return Run(
        run=f"{finished.astimezone(UTC):%Y%m%dT%H%M%S.%fZ}-{monitor}-{secrets.token_hex(6)}",
        monitor=monitor,
        version=contract.__version__,
        rules=settings.rules,
        model=settings.model_name,
        endpoint=settings.sagemaker_endpoint_name,
        schedule=settings.sagemaker_monitoring_schedule_name,
        window=(settings.window.start, settings.window.end) if settings.window else None,
        started=finished - timedelta(seconds=seconds),
        finished=finished,
        seconds=seconds,
        **members,
    )


def _append(settings: Settings, run: Run, material: Mapping[str, bytes]) -> tuple[Undelivered, ...]:
    history = settings.history_path
    assert history is not None  # noqa: S101 - for mypy: asked for only where there is one
    record = folder.compress(orjson.dumps(run_to_json(run)) + b"\n")

    def send(seconds: float) -> None:
        try:
            for name, content in material.items():
                path = folder.join(history, name)
                if not folder.is_there(path):
                    storage.write_file(path, folder.pack(content))
            # Last, so that whoever reads a record finds what it names.
            storage.write_file(folder.join(history, folder.RUNS, f"{run.run}.jsonl.gz"), record)
        except (OutputError, DatasetError) as error:
            raise NotDeliveredError(error.message.rstrip("."), again=history.startswith("s3://")) from error

    return deliver([Delivery(history, f"the record {run.run}", send)], settings.sink_timeout)


def _measured(metric: Metric) -> Metric:
    # JSON cannot hold an interval without end.
    has_ends = metric.interval is None or all(map(math.isfinite, metric.interval))
    return metric if has_ends else replace(metric, interval=None)


def _documents_of(baseline: Baseline[Any, Any], files: DocumentSet[Any, Any]) -> dict[str, bytes]:
    documents = {}
    if baseline.constraints is not None:
        documents["constraints"] = _json(files.write_constraints(baseline.constraints))
    if baseline.statistics is not None:
        documents["statistics"] = _json(files.write_statistics(baseline.statistics, True))
    return documents


def digest(content: bytes) -> str:
    """Return 32 hexadecimal digits that stand for a document."""
    return hashlib.sha256(content).hexdigest()[:_DIGEST_DIGITS]


def baseline_file(name: str) -> str:
    """Return the path below the history of a document of a baseline, given its digest."""
    return f"{folder.BASELINES}/{name}.json.zst"


def _json(document: Any) -> bytes:
    # The default is for arrays that are views into others, which orjson has no form for.
    return orjson.dumps(document, option=orjson.OPT_SERIALIZE_NUMPY, default=lambda view: view.tolist())
