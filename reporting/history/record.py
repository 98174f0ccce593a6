"""The record of one run: what it was about, how it ended, what it measured; what sinks are told is in it."""

import functools
import hashlib
import secrets
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

import contract
from contract import schema
from contract.api import Decision, Facts, Finding, Metric, Monitor, Settings, Violation
from contract.errors import DocumentError, wording
from contract.masking import mask
from contract.schema import REQUIRED, JsonObject, count, member, number, object_of, objects_of, of_kind, pair
from contract.window import parse_instant
from contract.wording import ordinal, several

# 1: metrics were an object of values by name. 2: a list, as bias has one name for many groups. 3: with how
# many comparisons were decided.
SCHEMA = 3
# Descriptions may list hundreds of values; the run's own files have them whole.
MOST_DESCRIPTION = 800


def told(members: Mapping[str, Any]) -> dict[str, Any]:
    """Return the members that have something to say."""
    return {name: member for name, member in members.items() if member not in (None, {})}


def _read_time(members: JsonObject, key: str) -> datetime:
    instant = parse_instant(members.get(key, str))
    if instant is None and isinstance(members.raw(key), str):
        members.wrong(key, "an ISO 8601 time")
    return instant or datetime.min.replace(tzinfo=UTC)


def _write_time(instant: datetime) -> str:
    return instant.astimezone(UTC).isoformat().replace("+00:00", "Z")


def _read_window(members: JsonObject, key: str) -> tuple[datetime, datetime] | None:
    window = members.child(key)
    return None if window is None else (_read_time(window, "start"), _read_time(window, "end"))


def _write_window(window: tuple[datetime, datetime]) -> dict[str, str]:
    return dict(zip(("start", "end"), map(_write_time, window), strict=True))


def _tuple_of(kind: type) -> schema.Reader:
    read = objects_of(kind)
    return lambda members, key: None if (found := read(members, key)) is None else tuple(found)


_text = of_kind(str)


@dataclass(frozen=True)
class RunFinding:
    """How far one feature or metric moved, whether or not it violates; members as those of `Finding`.

    Of `shift` it has `by` and `error`.
    """

    subject: str = member(_text, REQUIRED)
    distance: float | None = member(number)
    violated: bool = member(of_kind(bool), False, written="if any")
    limit: float | None = member(number)
    noise: float | None = member(number)
    value: float | None = member(number)
    expected: float | None = member(number)
    interval: tuple[float, float] | None = member(pair)
    shift: tuple[float, float] | None = member(pair)


def found_in(finding: Finding) -> RunFinding:
    """Return a finding as a record keeps it: without figures that JSON cannot hold."""
    figures = {name: vars(finding)[name] for name in ("limit", "noise", "value", "expected", "interval")}
    known = {name: found for name, found in figures.items() if found is not None and np.isfinite(found).all()}
    if finding.shift is not None:  # of all windows, so in few digits
        known["shift"] = tuple(float(f"{figure:.4g}") for figure in finding.shift[:2])
    return RunFinding(finding.subject, finding.distance, finding.violated, **known)


@dataclass(frozen=True)
class Compared:
    """What a run was compared with: digests of both documents, and where they were read."""

    constraints: str | None = member(_text)
    statistics: str | None = member(_text)
    constraints_path: str | None = member(_text)
    statistics_path: str | None = member(_text)


@dataclass(frozen=True)
class Alert:
    """Whether violations are told of yet: how many of the last windows have some, this one included.

    `after` is the setting, such as ``2/3``; `windows` are those counted, without those `passed_over` of which
    nothing was decided. `problem` is why the history does not tell; the alert is due then.
    """

    after: str = member(_text, REQUIRED)
    violated: int = member(count, 0)
    windows: int = member(count, 0)
    passed_over: int = member(count, 0, written="if any")
    due: bool = member(of_kind(bool), True)
    problem: str = member(_text, "", written="if any")

    @property
    def text(self) -> str:
        """Return a sentence for people."""
        if self.problem:
            return wording("alert_after.unknown", problem=self.problem)
        least, of = map(int, self.after.split("/"))
        counted = {"violated": self.violated, "windows": several(self.windows, "window")}
        over = several(self.passed_over, "window")
        is_whole = self.windows == of > 1
        told = {
            "of": wording("alert_after.of_last" if is_whole else "alert_after.of_first", **counted),
            "passed_over": wording("alert_after.passed_over", windows=over) if self.passed_over else "",
        }
        if self.due:
            return wording("alert_after.due", **told)
        return wording("alert_after.waits", next=ordinal(least), **told)


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
    model
        What people call the model; None where nobody said.
    window
        Start and end; None where the run was about all of its data.
    time_zone
        Whose clock people read its times by.
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
    alert
        Whether its violations were told of, where `alert_after` asks for several windows.
    statistics
        Path of its statistics below ``history_path``, None where they were not kept.
    statistics_digest
        Of ``statistics.json`` as the run wrote it.
    metric_time, digest
        Told to sinks, not kept. The digest is equal for two runs that found the same in the same data, so
        that trying a job again does not tell of its violations as if they were new.
    """

    run: str = member(_text, REQUIRED)
    monitor: str = member(_text, REQUIRED)
    version: str = member(_text, REQUIRED)
    rules: str = member(_text, REQUIRED)
    model: str | None = member(_text)
    endpoint: str | None = member(_text)
    schedule: str | None = member(_text)
    window: tuple[datetime, datetime] | None = member(_read_window, write=_write_window)
    time_zone: str = member(_text, "UTC")
    started: datetime = member(_read_time, REQUIRED, write=_write_time)
    finished: datetime = member(_read_time, REQUIRED, write=_write_time)
    seconds: float = member(number, 0.0, write=functools.partial(round, ndigits=3))
    dataset_source: str = member(_text, "")
    output_path: str = member(_text, "")
    exit_code: int = member(count, REQUIRED)
    message: str = member(_text, "")
    rows: int | None = member(count)
    labelled: int | None = member(count)
    unlabelled: int | None = member(count)
    notes: int = member(count, 0)
    violations: tuple[Violation, ...] | None = member(_tuple_of(Violation))
    decided: int | None = member(count)
    undecided: int | None = member(count)
    why_undecided: str | None = member(_text)
    metrics: tuple[Metric, ...] = member(_tuple_of(Metric), ())
    findings: Sequence[RunFinding] = member(objects_of(RunFinding), [])
    compared: Compared = member(object_of(Compared), Compared(), key="baseline")
    checking: Mapping[str, Any] = member(of_kind(dict), {}, key="check", write=dict)
    alert: Alert | None = member(object_of(Alert))
    statistics: str | None = member(_text)
    statistics_digest: str | None = member(_text)
    extra: Mapping[str, Any] = field(default_factory=dict)
    metric_time: datetime | None = None
    digest: str = ""

    @property
    def instant(self) -> datetime:
        """Return the time that its metrics are about."""
        return self.metric_time or (self.window[0] if self.window else self.finished)

    @property
    def names(self) -> tuple[str | None, str | None, str | None]:
        """Return what people call what it watches: model, endpoint and schedule."""
        return self.model, self.endpoint, self.schedule

    @property
    def way(self) -> tuple[object, ...]:
        """Return how it was compared, and with what, as `way_of` does."""
        return self.rules, self.checking, self.compared.constraints, self.compared.statistics

    @property
    def labels(self) -> dict[str, str]:
        """Return the monitor, and endpoint, schedule and model as far as the settings name them."""
        about = ("monitor", "endpoint", "schedule", "model")
        return {name: vars(self)[name] for name in about if vars(self)[name]}

    @property
    def at(self) -> datetime:
        """Return the time that the run is about: the start of its window, else when it began."""
        return self.window[0] if self.window else self.started

    @property
    def about(self) -> str:
        """Return the name of the model, else of its endpoint or schedule, else of its data."""
        return self.model or self.endpoint or self.schedule or self.dataset_source

    @property
    def label_coverage(self) -> float | None:
        """Return the share of rows with a label, None where the monitor needs none or there are no rows."""
        if self.labelled is None or self.unlabelled is None:
            return None
        total = self.labelled + self.unlabelled
        return self.labelled / total if total else None

    def compared_with(self, documents: Mapping[str, bytes]) -> "Run":
        """Return the run with the digests of the baseline's documents."""
        digests = {role: digest(content) for role, content in documents.items()}
        return replace(self, compared=replace(self.compared, **digests))

    @property
    def waits(self) -> bool:
        """Return whether its violations are told of only when another window has some."""
        return bool(self.violations) and self.alert is not None and not self.alert.due

    @property
    def is_decided(self) -> bool:
        """Return whether anything was compared and decided."""
        return bool(self.violations) or (self.violations is not None and self.decided != 0)

    @property
    def has_failed(self) -> bool:
        """Return whether the run ended without a result."""
        return self.exit_code not in (0, 3, 4, 5)


class Earlier(NamedTuple):
    """Runs about a time before this one's, the earliest first; `problem` is why none are known.

    Those `alike` compared windows of one length with one baseline in one way; of a window that ran again, the
    last.
    """

    runs: Sequence[Run] = ()
    alike: Sequence[Run] = ()
    problem: str = ""


def new_run(settings: Settings, monitor: str, seconds: float, **members: Any) -> Run:
    """Return a run of this program that ends now, under a name that sorts by time and is its own."""
    finished = datetime.now(UTC)
    return Run(
        run=f"{finished:%Y%m%dT%H%M%S.%fZ}-{monitor}-{secrets.token_hex(6)}",
        monitor=monitor,
        version=contract.__version__,
        rules=settings.rules,
        model=settings.model_name,
        endpoint=settings.sagemaker_endpoint_name,
        schedule=settings.sagemaker_monitoring_schedule_name,
        window=(settings.window.start, settings.window.end) if settings.window else None,
        time_zone=str(settings.time_zone or "UTC"),
        started=finished - timedelta(seconds=seconds),
        finished=finished,
        seconds=seconds,
        dataset_source=for_others(settings.dataset_source),
        output_path=for_others(settings.output_path),
        **members,
    )


def completed_run(
    settings: Settings,
    monitor: Monitor,
    seconds: float,
    rows: int,
    facts: Facts,
    decision: Decision | None,
    metrics: Iterable[Metric],
    documents: Mapping[str, bytes],
) -> Run:
    """Return a run that has written its documents, given by name."""
    notes = facts.notes
    members: dict[str, Any] = {}
    if settings.history_path is not None:
        members["statistics_digest"] = digest(documents["statistics.json"])
    if settings.event_sinks:
        members["digest"] = digest_of(settings, monitor.program, documents)
    if decision is not None:
        notes, undecided = decision.notes, len(decision.undecided)
        members |= {
            "violations": tuple(decision.violations.violations),
            "decided": len(decision.comparisons) - undecided,
            "undecided": undecided,
            "why_undecided": decision.why_undecided or None,
            "findings": [*map(found_in, decision.findings)],
        }
    return new_run(
        settings,
        monitor.name,
        seconds,
        exit_code=0,
        rows=rows,
        labelled=facts.item_count,
        unlabelled=facts.unlabelled_count,
        notes=len(notes),
        # JSON cannot hold an interval without end.
        metrics=tuple(
            one if np.isfinite(one.interval or ()).all() else replace(one, interval=None) for one in metrics
        ),
        compared=Compared(None, None, settings.baseline_constraints, settings.baseline_statistics),
        checking=checking_of(settings, facts),
        metric_time=settings.metric_time,
        **members,
    )


def checking_of(settings: Settings, facts: Facts) -> dict[str, Any]:
    """Return what a check depends on besides the baseline, as a record has it."""
    members = {
        "positional": facts.positional or None,
        "segment_by": list(settings.segment_by) or None,
        "positive_label": settings.positive_label,
        "attribution_drift_threshold": settings.attribution_drift_threshold,
    }
    return told(members)


def way_of(settings: Settings, facts: Facts, compared: Mapping[str, bytes]) -> tuple[object, ...]:
    """Return how a run compares, given the baseline's documents by their members of a record."""
    digests = (compared.get(role) and digest(compared[role]) for role in ("constraints", "statistics"))
    return settings.rules, checking_of(settings, facts), *digests


def digest(content: bytes) -> str:
    """Return 32 hexadecimal digits that stand for a document."""
    return hashlib.sha256(content).hexdigest()[:32]


def digest_of(settings: Settings, program: str, documents: Mapping[str, bytes]) -> str:
    """Return 32 hexadecimal digits that stand for what a run found, and about what.

    Parameters
    ----------
    documents
        The files the run wrote, by name.
    """
    window = settings.window
    names = (settings.sagemaker_endpoint_name, settings.sagemaker_monitoring_schedule_name)
    span = (window.start.isoformat(), window.end.isoformat()) if window else ("", "")
    about = (program, *(name or "" for name in names), *span)
    parts = (*(text.encode() for text in about), *(documents[name] for name in sorted(documents)))
    return digest(b"".join(len(part).to_bytes(8, "big") + part for part in parts))


def for_others(location: str) -> str:
    """Return a path as records and events have it: who gets them works in another folder."""
    return mask(location) if "://" in location else str(Path(location).absolute())


def run_to_json(run: Run) -> dict[str, Any]:
    """Return the record as JSON values, without members that have nothing to say."""
    return told(schema.write_document(run, schema=SCHEMA))


def read_run(value: dict[str, Any], where: str) -> Run:
    """Build a record from parsed JSON, of this schema or an older one.

    A record of a newer schema is read as far as this version knows it; the rest is kept in `extra`.

    Raises
    ------
    DocumentError
        Naming file and member, when one is missing or of the wrong type.
    """
    with schema.gathered(_upgraded(value, where), where) as members:
        members.mistakes.names_known = members.count("schema") > SCHEMA
        return schema.read_document(Run, members)


def _upgraded(value: dict[str, Any], where: str) -> dict[str, Any]:
    """Return a record of an older schema as one of this schema."""
    with schema.gathered(value, where) as members:
        version = members.count("schema")
    if version < min(_UPGRADES):
        raise DocumentError.of("history_record.schema", place=where, schema=version)
    for older in range(version, SCHEMA):
        value = _UPGRADES[older](value)
    return value


def _metrics_as_list(value: dict[str, Any]) -> dict[str, Any]:
    metrics = value.get("metrics", {})
    if not isinstance(metrics, dict):
        return value
    return {**value, "metrics": [{"name": name, "value": number} for name, number in metrics.items()]}


# How a record of one schema becomes one of the next.
_UPGRADES: dict[int, Callable[[dict[str, Any]], dict[str, Any]]] = {1: _metrics_as_list, 2: dict}
