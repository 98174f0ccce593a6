"""Earlier runs on the page: since when something violates, and how it moved."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from contract.documents.violations import Violation
from contract.errors import MonitorError
from contract.history.read import read_runs
from contract.history.selection import Selection
from contract.report.view import Body, Card, Chart, Section, Source
from contract.report.words import several, short

if TYPE_CHECKING:
    from contract.history.record import Run
    from contract.settings import Settings

MOST_RUNS = 60
MOST_SUBJECTS = 6

_log = logging.getLogger(__name__)

Key = tuple[str | None, str | None, str, str, str]


def add_trends(said: Body, settings: Settings, program: str, rows: int, source: Source) -> None:
    """Add what earlier runs of the same monitor say: a sentence to each card, and a section of trends.

    A history that is not there yet, or cannot be read, is logged: the page does without.
    """
    if source.decision is None or settings.history_path is None:
        return
    at = settings.window.start if settings.window else datetime.now(UTC)
    selection = Selection(
        monitor=program.removeprefix("monitor-"),
        endpoint=settings.sagemaker_endpoint_name,
        schedule=settings.sagemaker_monitoring_schedule_name,
        until=at,
    )
    try:
        runs = _latest_of_each_window(read_runs(settings.history_path, selection))
    except MonitorError as error:
        _log.info("The report has no trends: %s", error.message)
        return
    if not runs:
        return
    for card in said.cards:
        card.sentences.append(since(card, runs))
    said.sections.append(_section(runs[-MOST_RUNS:], at, rows, source))


def _latest_of_each_window(runs: Sequence[Run]) -> list[Run]:
    """Return the runs that decided something; of a window that ran again, the last."""
    compared = [run for run in runs if run.violations is not None and run.decided != 0]
    return list({run.at: run for run in compared}.values())


def _key(violation: Violation) -> Key:
    members = violation.extra
    parts = (str(members.get(name, "")) for name in ("segment", "facet", "facet_value"))
    segment, facet, value = parts
    return violation.feature_name, violation.metric_name, segment, facet, value


def since(card: Card, runs: Sequence[Run]) -> str:
    """Say since when a card's violations are there, by the runs before, the earliest first."""
    keys = {_key(violation) for violation in card.violations}
    streak = 0
    for run in reversed(runs):
        if not any(_key(violation) in keys for violation in run.violations or ()):
            break
        streak += 1
    if not streak:
        return f"New: the run before, {_name(runs[-1].at)}, did not find it."
    return f"Since {_name(runs[-streak].at)}: this is the {_ordinal(streak + 1)} run in a row that finds it."


def _ordinal(place: int) -> str:
    endings = {1: "st", 2: "nd", 3: "rd"}
    return f"{place}{endings.get(place % 10, 'th') if place % 100 not in (11, 12, 13) else 'th'}"


def _name(instant: datetime) -> str:
    return instant.astimezone(UTC).strftime("%Y-%m-%d %H:%M")


def _section(runs: Sequence[Run], at: datetime, rows: int, source: Source) -> Section:
    points = [(_name(run.at), len(run.violations or ()), run.rows) for run in runs]
    points.append((_name(at), len(source.violations), rows))
    charts = [
        _trend("Violations", [(name, count, count > 0) for name, count, _ in points], zero=True),
        _trend("Rows", [(name, amount, False) for name, _, amount in points], zero=True),
    ]
    found = source.findings()
    subjects = sorted(
        (finding for finding in found.values() if finding.distance is not None),
        key=lambda finding: (not finding.violated, -(finding.distance or 0.0)),
    )
    for subject in subjects[:MOST_SUBJECTS]:
        shows_value = subject.value is not None
        past = [_past(run, subject.subject, shows_value) for run in runs]
        now = (_name(at), subject.value if shows_value else subject.distance, subject.violated)
        name = short(subject.subject, 80)
        chart = _trend(name if shows_value else f"How far {name} moved", [*past, now])
        chart["limit"] = subject.expected if shows_value else subject.limit
        charts.append(chart)
    text = f"This run, and {several(len(runs), 'run')} before it; red dots are violations."
    return Section("Trends", text, charts=charts)


def _past(run: Run, subject: str, shows_value: bool) -> tuple[str, float | None, bool]:
    finding = next((finding for finding in run.findings if finding.subject == subject), None)
    shown = finding.distance if finding else None
    if shows_value:
        shown = next((metric.value for metric in run.metrics if metric.name == subject), None)
    return _name(run.at), shown, bool(finding and finding.violated)


def _trend(title: str, points: Sequence[tuple[str, Any, bool]], *, zero: bool = False) -> Chart:
    return {
        "kind": "trend",
        "title": title,
        "points": [
            {"name": name, "value": None if value is None else float(f"{value:.6g}"), "violated": violated}
            for name, value, violated in points
        ],
        "zero": zero,
        "limit": None,
    }
