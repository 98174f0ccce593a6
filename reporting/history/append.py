"""Appending a run to the history: what a job knows at its end becomes a record."""

from __future__ import annotations

import hashlib
import logging
import math
import secrets
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import orjson

import contract
from contract.api import Violation
from contract.errors import DatasetError, OutputError
from contract.masking import mask
from contract.outcome import shorten
from file_storage import storage
from reporting.history import folder
from reporting.history.record import MOST_DESCRIPTION, Compared, Run, RunFinding, RunMetric, run_to_json
from reporting.sinks.delivery import Delivery, NotDeliveredError, Undelivered, deliver

if TYPE_CHECKING:
    from contract.api import Baseline, Decision, DocumentSet, Facts
    from contract.settings import Settings
    from reporting.sinks.run_summary import RunSummary


_DIGEST_DIGITS = 32

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class FinishedRun:
    """How a job ended, beside what sinks are told.

    Parameters
    ----------
    exit_code, message, notes
        As the job reports them.
    decision
        None when nothing was compared.
    facts
        What the statistics are.
    statistics
        Of the window.
    baseline
        What it was compared with, None when it was not.
    files
        How both are written.
    statistics_file
        ``statistics.json`` as written.
    """

    exit_code: int
    message: str
    notes: tuple[str, ...]
    decision: Decision | None
    facts: Facts
    statistics: Any
    baseline: Baseline[Any, Any] | None
    files: DocumentSet[Any, Any]
    statistics_file: bytes


def keep_run(settings: Settings, report: RunSummary, ended: FinishedRun) -> tuple[Undelivered, ...]:
    """Append a run to the history the settings name, with what is needed to check it again.

    Returns
    -------
    What could not be written and why; the job's result stands.
    """
    run = _run_of(settings, report, ended)
    material: list[tuple[str, Callable[[], bytes]]] = []
    if settings.history_statistics:
        if ended.baseline is not None:
            compared, material = _baseline_material(ended.baseline, ended.files)
            run = replace(run, compared=replace(run.compared, **compared))
        run = replace(run, statistics=f"{folder.STATISTICS}/{run.run}.json.zst")
        material.append((str(run.statistics), lambda: _statistics_content(settings, ended)))
    return _append(settings, run, material)


def keep_failure(settings: Settings, monitor: str, started: datetime, code: int, message: str) -> None:
    """Append a run that ended without a result; where that fails too, the log says so.

    Parameters
    ----------
    monitor
        Its name in records.
    """
    finished = datetime.now(UTC)
    run = Run(
        run=_name(finished, monitor),
        monitor=monitor,
        version=contract.__version__,
        rules=settings.rules,
        endpoint=settings.sagemaker_endpoint_name,
        schedule=settings.sagemaker_monitoring_schedule_name,
        window=(settings.window.start, settings.window.end) if settings.window else None,
        started=started,
        finished=finished,
        seconds=(finished - started).total_seconds(),
        dataset_source=mask(settings.dataset_source),
        output_path=mask(settings.output_path),
        exit_code=code,
        message=shorten(message),
    )
    for missed in _append(settings, run, []):
        _log.warning("The history at %s does not have this run: %s", missed.address, missed.reason)


def _append(
    settings: Settings, run: Run, material: list[tuple[str, Callable[[], bytes]]]
) -> tuple[Undelivered, ...]:
    history = settings.history_path
    assert history is not None  # noqa: S101 - for mypy: asked for only where there is one
    record = folder.compress(orjson.dumps(run_to_json(run)) + b"\n")

    def send(seconds: float) -> None:
        try:
            for name, content in material:
                path = folder.join(history, name)
                if not folder.is_there(path):
                    storage.write_file(path, content())
            # Last, so that whoever reads a record finds what it names.
            storage.write_file(folder.join(history, folder.RUNS, f"{run.run}.jsonl.gz"), record)
        except (OutputError, DatasetError) as error:
            raise NotDeliveredError(error.message.rstrip("."), again=history.startswith("s3://")) from error

    return deliver([Delivery(history, f"the record {run.run}", send)], settings.sink_timeout)


def _run_of(settings: Settings, report: RunSummary, ended: FinishedRun) -> Run:
    violations = None
    if report.violations is not None:
        violations = tuple(_shortened(violation) for violation in report.violations)
    why = shorten(ended.decision.why_undecided, MOST_DESCRIPTION) if ended.decision else ""
    return Run(
        run=_name(report.finished, report.monitor),
        monitor=report.monitor,
        version=contract.__version__,
        rules=settings.rules,
        endpoint=report.endpoint,
        schedule=report.schedule,
        window=(report.window.start, report.window.end) if report.window else None,
        started=report.finished - timedelta(seconds=report.seconds),
        finished=report.finished,
        seconds=report.seconds,
        dataset_source=report.dataset_source,
        output_path=report.output_path,
        exit_code=ended.exit_code,
        message=shorten(ended.message),
        rows=report.rows,
        labelled=ended.facts.item_count,
        unlabelled=ended.facts.unlabelled_count,
        notes=len(ended.notes),
        violations=violations,
        decided=report.decided,
        undecided=report.undecided,
        why_undecided=why or None,
        metrics=_metrics(report),
        findings=tuple(
            RunFinding(finding.subject, finding.distance, finding.violated)
            for finding in (ended.decision.findings if ended.decision else ())
        ),
        compared=Compared(
            constraints_path=settings.baseline_constraints,
            statistics_path=settings.baseline_statistics,
        ),
        checking=_checking(settings, ended.facts),
        statistics_digest=digest(ended.statistics_file),
    )


def _metrics(report: RunSummary) -> tuple[RunMetric, ...]:
    return tuple(
        RunMetric(
            name=metric.name,
            value=metric.value,
            statistic_values=metric.statistic_values,
            dimensions=metric.dimensions,
            interval=_finite(metric.interval),
        )
        for metric in report.metrics
    )


def _finite(interval: tuple[float, float] | None) -> tuple[float, float] | None:
    """Return an interval that JSON can hold, None for one without end."""
    return interval if interval is not None and all(map(math.isfinite, interval)) else None


def _name(finished: datetime, monitor: str) -> str:
    """Return a name that sorts by time and that nobody else has."""
    return f"{finished.astimezone(UTC):%Y%m%dT%H%M%S.%fZ}-{monitor}-{secrets.token_hex(6)}"


def _shortened(violation: Violation) -> Violation:
    text = violation.description
    if len(text) <= MOST_DESCRIPTION:
        return violation
    return replace(violation, description=text[: MOST_DESCRIPTION - 3] + "...")


def _checking(settings: Settings, facts: Facts) -> dict[str, Any]:
    """Return what a check depends on beyond the documents."""
    members = {
        "positional": facts.positional or None,
        "segment_by": list(settings.segment_by) or None,
        "positive_label": settings.positive_label,
        "attribution_drift_threshold": settings.attribution_drift_threshold,
    }
    return {name: member for name, member in members.items() if member is not None}


def _statistics_content(settings: Settings, ended: FinishedRun) -> bytes:
    if settings.rules == "sound":
        return folder.pack(ended.statistics_file)
    # The originals' files lack members that another check of the same statistics can use.
    return folder.pack(_json(ended.files.write_statistics(ended.statistics, True)))


def _baseline_material(
    baseline: Baseline[Any, Any], files: DocumentSet[Any, Any]
) -> tuple[dict[str, str], list[tuple[str, Callable[[], bytes]]]]:
    """Return digests of the baseline's documents, and the files that hold them."""
    documents: dict[str, Any] = {}
    if baseline.constraints is not None:
        documents["constraints"] = files.write_constraints(baseline.constraints)
    if baseline.statistics is not None:
        documents["statistics"] = files.write_statistics(baseline.statistics, True)
    digests: dict[str, str] = {}
    material: list[tuple[str, Callable[[], bytes]]] = []
    for role, document in documents.items():
        content = _json(document)
        digests[role] = digest(content)
        material.append((baseline_file(digests[role]), _packing(content)))
    return digests, material


def digest(content: bytes) -> str:
    """Return 32 hexadecimal digits that stand for a document."""
    return hashlib.sha256(content).hexdigest()[:_DIGEST_DIGITS]


def baseline_file(name: str) -> str:
    """Return the path below the history of a document of a baseline, given its digest."""
    return f"{folder.BASELINES}/{name}.json.zst"


def _packing(content: bytes) -> Callable[[], bytes]:
    return lambda: folder.pack(content)


def _json(document: Any) -> bytes:
    return orjson.dumps(document, option=orjson.OPT_SERIALIZE_NUMPY, default=_plain)


def _plain(value: Any) -> Any:
    """Return what orjson has no form for as JSON values: arrays that are views into others."""
    return value.tolist()
