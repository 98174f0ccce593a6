"""The record of one run: what it was about, how it ended, and what it measured."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from contract.api import Violation, Violations, read_violations, violations_to_json
from contract.errors import DocumentError
from contract.schema import Fields

# 1: metrics were an object of values by name. 2: a list, as bias has one name for many groups. 3: with how
# many comparisons were decided.
SCHEMA = 3
# Descriptions may list hundreds of values; the run's own files have them whole.
MOST_DESCRIPTION = 800


@dataclass(frozen=True)
class RunFinding:
    """How far one feature or metric moved, whether or not it violates."""

    subject: str
    distance: float | None = None
    violated: bool = False


@dataclass(frozen=True)
class RunMetric:
    """One value that was measured.

    Parameters
    ----------
    name, dimensions
        As published.
    value
        None where `statistic_values` has several.
    statistic_values
        ``SampleCount``, ``Sum``, ``Minimum``, ``Maximum``.
    interval
        95 % confidence interval, where it is known.
    """

    name: str
    value: float | None = None
    statistic_values: Mapping[str, float] | None = None
    dimensions: Mapping[str, str] = field(default_factory=dict)
    interval: tuple[float, float] | None = None


@dataclass(frozen=True)
class Compared:
    """What a run was compared with: digests of both documents, and where they were read."""

    constraints: str | None = None
    statistics: str | None = None
    constraints_path: str | None = None
    statistics_path: str | None = None


@dataclass(frozen=True)
class Run:
    """One run.

    Parameters
    ----------
    run
        Its name in the history: the time it ended, its monitor, and what makes it unique.
    monitor
        ``data-quality``, ``model-quality``, ``bias`` or ``feature-attribution``.
    version
        Of the program.
    window
        Start and end; None where the run was about all of its data.
    seconds
        How long it took.
    rows
        Read; None where it failed before.
    labelled, unlabelled
        Rows with and without a label, where the monitor needs labels.
    exit_code, message
        How it ended.
    notes
        How many things it noted.
    violations
        None where nothing was compared.
    decided, undecided
        How many comparisons have an answer and how many have none; None in records before schema 3.
    why_undecided
        Why not, in a few words.
    metrics
        What was published, with intervals.
    findings
        How far features or metrics moved.
    compared
        The baseline.
    checking
        What else its check depends on, such as ``positive_label``, as JSON values.
    statistics
        Path of its statistics below ``history_path``, None where they were not kept.
    statistics_digest
        Of ``statistics.json`` as the run wrote it.
    """

    run: str
    monitor: str
    version: str
    rules: str
    started: datetime
    finished: datetime
    seconds: float
    dataset_source: str
    output_path: str
    exit_code: int
    message: str
    endpoint: str | None = None
    schedule: str | None = None
    window: tuple[datetime, datetime] | None = None
    rows: int | None = None
    labelled: int | None = None
    unlabelled: int | None = None
    notes: int = 0
    violations: tuple[Violation, ...] | None = None
    decided: int | None = None
    undecided: int | None = None
    why_undecided: str | None = None
    metrics: tuple[RunMetric, ...] = ()
    findings: tuple[RunFinding, ...] = ()
    compared: Compared = field(default_factory=Compared)
    checking: Mapping[str, Any] = field(default_factory=dict)
    statistics: str | None = None
    statistics_digest: str | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)

    @property
    def at(self) -> datetime:
        """Return the time that the run is about: the start of its window, else when it began."""
        return self.window[0] if self.window else self.started

    @property
    def label_coverage(self) -> float | None:
        """Return the share of rows with a label, None where the monitor needs none or there are no rows."""
        if self.labelled is None or self.unlabelled is None:
            return None
        total = self.labelled + self.unlabelled
        return self.labelled / total if total else None

    @property
    def has_failed(self) -> bool:
        """Return whether the run ended without a result."""
        return self.exit_code not in (0, 3, 4, 5)


def run_to_json(run: Run) -> dict[str, Any]:
    """Return the record as JSON values, without members that have nothing to say."""
    violations = None
    if run.violations is not None:
        violations = violations_to_json(Violations(list(run.violations)))["violations"]
    members: dict[str, Any] = {
        "schema": SCHEMA,
        "run": run.run,
        "monitor": run.monitor,
        "version": run.version,
        "rules": run.rules,
        "endpoint": run.endpoint,
        "schedule": run.schedule,
        "window": None if run.window is None else dict(zip(_WINDOW, map(_text, run.window), strict=True)),
        "started": _text(run.started),
        "finished": _text(run.finished),
        "seconds": round(run.seconds, 3),
        "dataset_source": run.dataset_source,
        "output_path": run.output_path,
        "exit_code": run.exit_code,
        "message": run.message,
        "rows": run.rows,
        "labelled": run.labelled,
        "unlabelled": run.unlabelled,
        "notes": run.notes,
        "violations": violations,
        "decided": run.decided,
        "undecided": run.undecided,
        "why_undecided": run.why_undecided,
        "metrics": [_metric_to_json(metric) for metric in run.metrics],
        "findings": [_finding_to_json(finding) for finding in run.findings],
        "baseline": {key: member for key, member in vars(run.compared).items() if member is not None},
        "check": dict(run.checking),
        "statistics": run.statistics,
        "statistics_digest": run.statistics_digest,
    }
    kept = {key: member for key, member in members.items() if member not in (None, {})}
    return {**kept, **run.extra}


_WINDOW = ("start", "end")


def _metric_to_json(metric: RunMetric) -> dict[str, Any]:
    members: dict[str, Any] = {
        "name": metric.name,
        "value": metric.value,
        "statistic_values": metric.statistic_values,
        "dimensions": dict(metric.dimensions),
        "interval": metric.interval,
    }
    return {key: member for key, member in members.items() if member not in (None, {})}


def _finding_to_json(finding: RunFinding) -> dict[str, Any]:
    members: dict[str, Any] = {"subject": finding.subject}
    if finding.distance is not None:
        members["distance"] = finding.distance
    if finding.violated:
        members["violated"] = True
    return members


def read_run(value: dict[str, Any], where: str) -> Run:
    """Build a record from parsed JSON, of this schema or an older one.

    A record of a newer schema is read as far as this version knows it; the rest is kept in `extra`.

    Raises
    ------
    DocumentError
        Naming file and member, when one is missing or of the wrong type.
    """
    fields = Fields(_upgraded(value, where), where)
    fields.count("schema")
    window = fields.child("window")
    violations = None
    if fields.get("violations", list, None) is not None:
        document = {"violations": fields.get("violations", list)}
        violations = tuple(read_violations(document, where).violations)
    baseline = fields.child("baseline")
    run = Run(
        run=fields.get("run", str),
        monitor=fields.get("monitor", str),
        version=fields.get("version", str),
        rules=fields.get("rules", str),
        endpoint=fields.get("endpoint", str, None),
        schedule=fields.get("schedule", str, None),
        window=None if window is None else (_instant(window, "start"), _instant(window, "end")),
        started=_instant(fields, "started"),
        finished=_instant(fields, "finished"),
        seconds=fields.number("seconds", 0.0),
        dataset_source=fields.get("dataset_source", str, ""),
        output_path=fields.get("output_path", str, ""),
        exit_code=fields.count("exit_code"),
        message=fields.get("message", str, ""),
        rows=fields.get("rows", int, None),
        labelled=fields.get("labelled", int, None),
        unlabelled=fields.get("unlabelled", int, None),
        notes=fields.count("notes", 0),
        violations=violations,
        decided=fields.get("decided", int, None),
        undecided=fields.get("undecided", int, None),
        why_undecided=fields.get("why_undecided", str, None),
        metrics=tuple(_read_metric(member) for member in fields.children("metrics", [])),
        findings=tuple(_read_finding(member) for member in fields.children("findings", [])),
        compared=Compared() if baseline is None else _read_compared(baseline),
        checking=fields.get("check", dict, {}),
        statistics=fields.get("statistics", str, None),
        statistics_digest=fields.get("statistics_digest", str, None),
    )
    return replace(run, extra=fields.extra())


def _upgraded(value: dict[str, Any], where: str) -> dict[str, Any]:
    """Return a record of an older schema as one of this schema."""
    schema = Fields(value, where).count("schema")
    if schema < min(_UPGRADES):
        raise DocumentError(
            f"{where}.schema is {schema}, which no version has written; is it a record of a run?"
        )
    for older in range(schema, SCHEMA):
        value = _UPGRADES[older](value)
    return value


def _read_metric(fields: Fields) -> RunMetric:
    interval = fields.get("interval", list, None)
    return RunMetric(
        name=fields.get("name", str),
        value=fields.number("value", None),
        statistic_values=fields.get("statistic_values", dict, None),
        dimensions=fields.get("dimensions", dict, {}),
        interval=None if interval is None or len(interval) != 2 else (float(interval[0]), float(interval[1])),
    )


def _read_finding(fields: Fields) -> RunFinding:
    return RunFinding(
        subject=fields.get("subject", str),
        distance=fields.number("distance", None),
        violated=fields.get("violated", bool, False),
    )


def _read_compared(fields: Fields) -> Compared:
    return Compared(
        constraints=fields.get("constraints", str, None),
        statistics=fields.get("statistics", str, None),
        constraints_path=fields.get("constraints_path", str, None),
        statistics_path=fields.get("statistics_path", str, None),
    )


def _instant(fields: Fields, key: str) -> datetime:
    text = fields.get(key, str)
    try:
        instant = datetime.fromisoformat(text)
    except ValueError:
        raise DocumentError(f"{fields.where}.{key} is {text!r}, which is no ISO 8601 time.") from None
    return instant if instant.tzinfo else instant.replace(tzinfo=UTC)


def _text(instant: datetime) -> str:
    return instant.astimezone(UTC).isoformat().replace("+00:00", "Z")


def _metrics_as_list(value: dict[str, Any]) -> dict[str, Any]:
    metrics = value.get("metrics", {})
    if not isinstance(metrics, dict):
        return value
    return {**value, "metrics": [{"name": name, "value": number} for name, number in metrics.items()]}


# How a record of one schema becomes one of the next.
_UPGRADES: dict[int, Callable[[dict[str, Any]], dict[str, Any]]] = {1: _metrics_as_list, 2: dict}
