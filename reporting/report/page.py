"""The page itself: gathers what there is to say, and fills in the template."""

from __future__ import annotations

import base64
import hashlib
import logging
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jinja2
import markupsafe
import orjson

import contract
from contract.api import PRESENCE_CHECK, Comparison, State, Violation
from contract.errors import DocumentError, MonitorError, wording
from contract.masking import mask
from contract.page import (
    Body,
    Card,
    Cell,
    Chart,
    Row,
    Section,
    Source,
    Table,
    count,
    number,
    sentence,
    several,
    short,
)
from reporting.history.read import read_runs
from reporting.history.selection import Selection
from reporting.report.charts import segment_text, values_text

if TYPE_CHECKING:
    from contract.api import Monitor
    from contract.settings import Settings
    from reporting.history.record import Run


# Earlier runs on the page: since when something violates, and how it moved.


MOST_RUNS = 60
MOST_SUBJECTS = 6


Key = tuple[str | None, str | None, str, str, str]


def add_trends(said: Body, settings: Settings, monitor: Monitor, rows: int, source: Source) -> None:
    """Add what earlier runs of the same monitor say: a sentence to each card, and a section of trends.

    A history that is not there yet is logged: the page does without. One that is damaged is told there, too.
    """
    if source.decision is None or settings.history_path is None:
        return
    at = settings.window.start if settings.window else datetime.now(UTC)
    selection = Selection(
        monitor=monitor.name,
        endpoint=settings.sagemaker_endpoint_name,
        schedule=settings.sagemaker_monitoring_schedule_name,
        until=at,
    )
    try:
        found = read_runs(settings.history_path, selection)
    except DocumentError as error:
        _log.warning("The report has no trends: %s", error.message)
        said.sections.append(Section("Trends", f"There are none: {error.message}"))
        return
    except MonitorError as error:
        _log.info("The report has no trends: %s", error.message)
        return
    compared = [run for run in found if run.violations is not None and run.decided != 0]
    runs = list({run.at: run for run in compared}.values())  # of a window that ran again, the last
    if not runs:
        return
    for card in said.cards:
        card.sentences.append(since(card, runs))
    said.sections.append(_section(runs[-MOST_RUNS:], at, rows, source))


def _key(violation: Violation) -> Key:
    members = violation.extra
    segment, facet, value = (str(members.get(name, "")) for name in ("segment", "facet", "facet_value"))
    return violation.feature_name, violation.metric_name, segment, facet, value


def since(card: Card, runs: Sequence[Run]) -> str:
    """Say since when a card's violations are there, by the runs before, the earliest first."""
    keys = {_key(violation) for violation in card.violations}
    finds = [any(_key(violation) in keys for violation in run.violations or ()) for run in reversed(runs)]
    streak = [*finds, False].index(False)
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
    value = next((metric.value for metric in run.metrics if metric.name == subject), None)
    distance = finding.distance if finding else None
    return _name(run.at), value if shows_value else distance, bool(finding and finding.violated)


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


NAME = "report.html"
MOST_CARDS = 40
MOST_NAMED = 3
MOST_UNDECIDED = 500

_TEMPLATES = Path(__file__).parent / "templates"
_log = logging.getLogger(__name__)


def make_report(
    settings: Settings, monitor: Monitor, rows: int, source: Source, notes: tuple[str, ...] = ()
) -> bytes | None:
    """Return ``report.html``, UTF-8; None for a page that fails, which is logged, and the run stands.

    Parameters
    ----------
    monitor
        What kind of job it was.
    rows
        How many were read.
    source
        The documents.
    notes
        What the run noted.
    """
    try:
        return render(settings, monitor, rows, source, notes)
    except Exception as error:  # the analysis stands on its own; documents of others may have any content
        _log.warning("The report could not be made (%s: %s); please report it.", type(error).__name__, error)
        _log.debug("Where it failed", exc_info=True)
        return None


def render(
    settings: Settings, monitor: Monitor, rows: int, source: Source, notes: tuple[str, ...] = ()
) -> bytes:
    """Return the page, UTF-8."""
    said = (monitor.load_body() if monitor.load_body else plain_body)(source)
    if fewer := [one for one in source.violations if one.constraint_check_type == PRESENCE_CHECK]:
        names = dict.fromkeys(short((one.metric_name or "").replace("_", " ")) for one in fewer)
        texts = [(segment_text(one), short(one.description, 600)) for one in fewer]
        sentences = [f"In {where}: {text}" if where else sentence(text) for where, text in texts]
        advice = wording("page_advice.presence_check")
        said.cards.insert(0, Card(f"Fewer usable: {', '.join(names)}", sentences, advice, 100.0, fewer))
    if settings.history_path is not None:
        add_trends(said, settings, monitor, rows, source)
    said.sections += _undecided_section(source)
    drawn = [card.chart for card in said.cards[:MOST_CARDS]]
    for section in said.sections:
        drawn += section.charts
        drawn += [row.chart for table in section.tables for row in table.rows]
    # A card's chart may stand in a table as well.
    charts = {id(chart): chart for chart in drawn if chart}
    places = {identity: place for place, identity in enumerate(charts)}
    level, verdict = _verdict(rows, source)
    lead = monitor.lead
    if titles := [card.title for card in said.cards[:MOST_NAMED]]:
        rest = len(said.cards) - len(titles)
        more = f" and {count(rest)} more" if rest > 0 else ""
        lead = f"{lead} Most of all: {'; '.join(titles)}{more}."
    script = _read("report.js")
    text = _template().render(
        title=monitor.title,
        level=level,
        verdict=verdict,
        lead=lead if level == "violated" else "",
        facts=_facts(settings, rows, source) + said.facts,
        cards=said.cards[:MOST_CARDS],
        more_cards=said.cards[MOST_CARDS:],
        sections=said.sections,
        notes=[short(note, 1000) for note in dict.fromkeys((*said.notes, *notes))],
        place=lambda chart: places[id(chart)],
        data=_embedded(list(charts.values())),
        style=markupsafe.Markup(_read("report.css")),  # noqa: S704 - our own file
        script=markupsafe.Markup(script),  # noqa: S704 - our own file
        script_digest=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
        version=contract.__version__,
        footer=_footer(settings, monitor.program),
    )
    return text.encode("utf-8", errors="replace")


_ADVICE = "look at what changed between the baseline and this window."


def plain_body(source: Source) -> Body:
    """Return the body for a monitor without one of its own: a card per violation, a row per comparison."""
    cards = [
        Card(short(violation.subject), [sentence(violation.description)], _ADVICE, 1.0, [violation])
        for (violation,) in source.grouped(id).values()
    ]
    rows = [
        Row(
            [
                Cell(_about(one)),
                Cell(one.check),
                Cell(one.state.replace("_", " "), state="violated" if one.state is State.VIOLATED else ""),
                Cell(number(one.value), one.value),
                Cell(number(one.expected), one.expected),
                Cell(short(sentence(one.text or one.reason), 300)),
            ],
            violated=one.state is State.VIOLATED,
        )
        for one in (source.decision.comparisons if source.decision else ())
    ]
    columns = ["what", "check", "verdict", "now", "held to", "in words"]
    numeric = frozenset((3, 4))
    table = Table("One row per comparison.", columns, rows, numeric, searchable=len(rows) > 10)
    return Body(cards, [Section("Comparisons", tables=[table])] if rows else [])


def _about(one: Comparison) -> str:
    return short(f"{one.subject} in {values_text(one.segment)}" if one.segment else one.subject)


def _template() -> jinja2.Template:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_TEMPLATES),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.filters["short"] = short
    return environment.get_template("report.html.jinja")


def _read(name: str) -> str:
    return (_TEMPLATES / name).read_text(encoding="utf-8")


def _embedded(charts: list[Chart]) -> markupsafe.Markup:
    """Return JSON that cannot end the script element it stands in."""
    text = orjson.dumps(charts).decode()
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return markupsafe.Markup(text)  # noqa: S704 - every character that means something in HTML is escaped


def _verdict(rows: int, source: Source) -> tuple[str, str]:
    decision = source.decision
    if decision is None:
        return "plain", "Nothing was compared: this run describes the data"
    asked, undecided = len(decision.comparisons), len(decision.undecided)
    counts = f"{count(asked - undecided)} of {several(asked, 'comparison')} decided, {count(undecided)} not"
    found = len(decision.violations.violations)
    if found:
        text = f"{several(found, 'violation')} of the baseline's constraints"
        return "violated", f"{text}; {counts}" if undecided else text
    if not rows:
        return "plain", "No rows in the window, so nothing was decided"
    if decision.is_empty:
        return "plain", f"Nothing could be decided: {decision.why_undecided or 'nothing was asked for'}"
    return "fine", f"No violations: {counts if undecided else 'as expected from the baseline'}"


def _undecided_section(source: Source) -> list[Section]:
    """Return the section on what was asked for and has no answer; none where everything has one."""
    undecided = source.decision.undecided if source.decision else ()
    if not undecided:
        return []
    rows = [
        Row([Cell(_about(one)), Cell(one.check), Cell(short(sentence(one.reason), 300))])
        for one in undecided[:MOST_UNDECIDED]
    ]
    more = len(undecided) - len(rows)
    caption = "One row per comparison" + (f", and {count(more)} more." if more else ".")
    table = Table(caption, ["what", "check", "why"], rows, searchable=len(rows) > 10)
    return [Section("Not decided", "What was asked for and has no answer.", tables=[table])]


def _facts(settings: Settings, rows: int, source: Source) -> list[tuple[str, str]]:
    window = settings.window
    before = (source.baseline_statistics.get("dataset") or {}).get("item_count")
    endpoint, schedule = settings.sagemaker_endpoint_name, settings.sagemaker_monitoring_schedule_name
    facts = {
        "Window (UTC)": f"{_name(window.start)} to {_name(window.end)}" if window else None,
        "Rows": count(rows),
        "Rows of the baseline": count(before) if isinstance(before, int) else None,
        "Endpoint": short(endpoint) if endpoint else None,
        "Schedule": short(schedule) if schedule else None,
        "Rules": settings.rules,
    }
    return [(name, text) for name, text in facts.items() if text is not None]


def _footer(settings: Settings, program: str) -> str:
    made = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
    return (
        f"Made {made} by {program} {contract.__version__} from {short(mask(settings.dataset_source), 300)}. "
        "The files beside this page hold every number in full."
    )
