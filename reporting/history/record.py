"""The record of one run: what it was about, how it ended, and what it measured."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass, field, fields, replace
from datetime import UTC, datetime
from typing import Any

from contract.api import Metric, Violation, Violations, read_violations, violations_to_json
from contract.errors import DocumentError
from contract.schema import JsonObject

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
class Compared:
    """What a run was compared with: digests of both documents, and where they were read."""

    constraints: str | None = None
    statistics: str | None = None
    constraints_path: str | None = None
    statistics_path: str | None = None


@dataclass(frozen=True, kw_only=True)
class Run:
    """One run; members are in the order in which a record has them.

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
    endpoint: str | None = None
    schedule: str | None = None
    window: tuple[datetime, datetime] | None = None
    started: datetime
    finished: datetime
    seconds: float
    dataset_source: str = ""
    output_path: str = ""
    exit_code: int
    message: str = ""
    rows: int | None = None
    labelled: int | None = None
    unlabelled: int | None = None
    notes: int = 0
    violations: tuple[Violation, ...] | None = None
    decided: int | None = None
    undecided: int | None = None
    why_undecided: str | None = None
    metrics: tuple[Metric, ...] = ()
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


_WRITTEN_AS = {"compared": "baseline", "checking": "check"}
_WINDOW = ("start", "end")
_OF_METRIC = ("name", "value", "statistic_values", "dimensions", "interval")


def run_to_json(run: Run) -> dict[str, Any]:
    """Return the record as JSON values, without members that have nothing to say."""
    members = {_WRITTEN_AS.get(name, name): member for name, member in vars(run).items() if name != "extra"}
    if run.window is not None:
        members["window"] = dict(zip(_WINDOW, map(_text, run.window), strict=True))
    if run.violations is not None:
        members["violations"] = violations_to_json(Violations(list(run.violations)))["violations"]
    members |= {
        "started": _text(run.started),
        "finished": _text(run.finished),
        "seconds": round(run.seconds, 3),
        "metrics": [
            told({name: vars(one)[name] for name in _OF_METRIC} | {"dimensions": dict(one.dimensions)})
            for one in run.metrics
        ],
        "findings": [told({**vars(one), "violated": one.violated or None}) for one in run.findings],
        "baseline": told(vars(run.compared)),
        "check": dict(run.checking),
    }
    return {"schema": SCHEMA, **told(members), **run.extra}


def told(members: Mapping[str, Any]) -> dict[str, Any]:
    """Return the members that have something to say."""
    return {name: member for name, member in members.items() if member not in (None, {})}


def read_run(value: dict[str, Any], where: str) -> Run:
    """Build a record from parsed JSON, of this schema or an older one.

    A record of a newer schema is read as far as this version knows it; the rest is kept in `extra`.

    Raises
    ------
    DocumentError
        Naming file and member, when one is missing or of the wrong type.
    """
    members = JsonObject.of_file(_upgraded(value, where), where)
    members.count("schema")
    window = members.child("window")
    violations = None
    if members.get("violations", list, None) is not None:
        document = {"violations": members.get("violations", list)}
        violations = tuple(read_violations(document, where).violations)
    baseline = members.child("baseline")
    plain: dict[str, Any] = {}
    for one in fields(Run):
        if kind := _PLAIN.get(str(one.type)):
            default = () if one.default is MISSING else (one.default,)
            plain[one.name] = members.get(one.name, kind, *default)
    run = Run(
        **plain,
        window=None if window is None else (_instant(window, "start"), _instant(window, "end")),
        started=_instant(members, "started"),
        finished=_instant(members, "finished"),
        seconds=members.number("seconds", 0.0),
        violations=violations,
        metrics=tuple(_read_metric(member) for member in members.children("metrics", [])),
        findings=tuple(
            RunFinding(
                one.get("subject", str), one.number("distance", None), one.get("violated", bool, False)
            )
            for one in members.children("findings", [])
        ),
        compared=Compared(*(baseline.get(one.name, str, None) for one in fields(Compared) if baseline)),
        checking=members.get("check", dict, {}),
    )
    return replace(run, extra=members.extra())


# Members that are read as they stand, by what says their type.
_PLAIN = {"str": str, "str | None": str, "int": int, "int | None": int}


def _upgraded(value: dict[str, Any], where: str) -> dict[str, Any]:
    """Return a record of an older schema as one of this schema."""
    schema = JsonObject.of_file(value, where).count("schema")
    if schema < min(_UPGRADES):
        raise DocumentError.of("history_record.schema", place=where, schema=schema)
    for older in range(schema, SCHEMA):
        value = _UPGRADES[older](value)
    return value


def _read_metric(fields: JsonObject) -> Metric:
    interval = fields.get("interval", list, None)
    return Metric(
        name=fields.get("name", str),
        value=fields.number("value", None),
        statistic_values=fields.get("statistic_values", dict, None),
        dimensions=fields.get("dimensions", dict, {}),
        interval=None if interval is None or len(interval) != 2 else (float(interval[0]), float(interval[1])),
    )


def _instant(fields: JsonObject, key: str) -> datetime:
    instant = datetime.min
    try:
        instant = datetime.fromisoformat(fields.get(key, str))
    except ValueError:
        fields.wrong(key, "an ISO 8601 time")
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
