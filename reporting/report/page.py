"""The page itself: gathers what there is to say, and fills in the template."""

from __future__ import annotations

import base64
import functools
import hashlib
import logging
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import jinja2
import markupsafe
import orjson

import contract
from contract.api import Comparison, State, Violation
from contract.errors import DocumentError, MonitorError
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
from reporting.history.record import RunFinding, found_in
from reporting.history.selection import Selection
from reporting.report.charts import values_text

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
    counts = [(_name(run.at), len(run.violations or ()), run.rows) for run in runs]
    counts.append((_name(at), len(source.violations), rows))
    charts = [
        trend("Violations", [point(name, found, violated=found > 0) for name, found, _ in counts], zero=True),
        trend("Rows", [point(name, amount) for name, _, amount in counts], zero=True),
    ]
    subjects = sorted(
        (finding for finding in map(found_in, source.findings().values()) if finding.distance is not None),
        key=lambda finding: (not finding.violated, -(finding.distance or 0.0)),
    )
    for subject in subjects[:MOST_SUBJECTS]:
        past = [past_point(run, subject) for run in runs]
        now = found_point(_name(at), subject, subject.value is not None)
        charts.append(trend_of(subject, [*past, now]))
    text = f"This run, and {several(len(runs), 'run')} before it; red dots are violations."
    return Section("Trends", text, charts=charts)


def trend_of(subject: RunFinding, points: list[Chart]) -> Chart:
    """Return how the figure of a finding went: what was measured where it is known, else how far it moved."""
    name = short(subject.subject, 80)
    if subject.value is None:
        return trend(f"How far {name} moved", points, limit=subject.limit, limit_name="limit", zero=True)
    return trend(name, points, limit=subject.expected, limit_name="expected")


def past_point(run: Run, subject: RunFinding) -> Chart:
    """Return what a run found of a subject, and what it estimated for rows that waited for labels."""
    shows_value, name = subject.value is not None, subject.subject
    finding = next((one for one in run.findings if one.subject == name), RunFinding(name))
    if shows_value:
        kept = {metric.name: metric for metric in run.metrics if not metric.dimensions}
        if finding.value is None and (known := kept.get(name)) is not None:  # a record of an older version
            finding = replace(finding, value=known.value, interval=known.interval)
        if (early := kept.get(f"estimated_{name}")) is not None:
            return found_point(_name(run.at), finding, shows_value) | {"estimate": early.value}
    return found_point(_name(run.at), finding, shows_value)


def found_point(name: str, finding: RunFinding, shows_value: bool) -> Chart:
    """Return what was measured, or how far it moved."""
    value = finding.value if shows_value else finding.distance
    return point(name, value, finding.interval if shows_value else None, violated=finding.violated)


def point(
    name: str, value: float | None, interval: tuple[float, float] | None = None, *, violated: bool = False
) -> Chart:
    """Return one run of a trend."""
    bounds = [None if end is None else float(f"{end:.6g}") for end in (value, *(interval or ()))]
    return {"name": name, "value": bounds[0], "violated": violated, "interval": bounds[1:] or None}


def trend(
    title: str,
    points: Sequence[Chart],
    *,
    zero: bool = False,
    limit: float | None = None,
    limit_name: str = "limit",
) -> Chart:
    """Return how one figure went, the earliest run first."""
    about = {"kind": "trend", "title": title, "points": points, "zero": zero}
    return {**about, "limit": limit, "limitName": limit_name}


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
    if settings.history_path is not None:
        add_trends(said, settings, monitor, rows, source)
    said.sections += _undecided_section(source)
    level, verdict = _verdict(rows, source)
    lead = monitor.lead
    if titles := [card.title for card in said.cards[:MOST_NAMED]]:
        rest = len(said.cards) - len(titles)
        more = f" and {count(rest)} more" if rest > 0 else ""
        lead = f"{lead} Most of all: {'; '.join(titles)}{more}."
    said.notes = [short(note, 1000) for note in dict.fromkeys((*said.notes, *notes))]
    said.facts = _facts(settings, rows, source) + said.facts
    made = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
    footer = (
        f"Made {made} by {monitor.program} {contract.__version__} from "
        f"{short(mask(settings.dataset_source), 300)}. "
        "The files beside this page hold every number in full."
    )
    return fill_in(said, monitor.title, (level, verdict), lead if level == "violated" else "", footer)


def fill_in(
    said: Body, title: str, verdict: tuple[str, str], lead: str, footer: str, home: str = ""
) -> bytes:
    """Return a page, UTF-8.

    Parameters
    ----------
    verdict
        ``violated``, ``fine`` or ``plain``, and the sentence.
    lead
        What stands below it; may be empty.
    home
        The page over all models, where this is one of several.
    """
    drawn = [card.chart for card in said.cards[:MOST_CARDS]]
    for section in said.sections:
        drawn += section.charts
        drawn += [row.chart for table in section.tables for row in table.rows]
    # A card's chart may stand in a table as well.
    charts = {id(chart): chart for chart in drawn if chart}
    places = {identity: place for place, identity in enumerate(charts)}
    script = _read("report.js")
    text = _template().render(
        title=title,
        level=verdict[0],
        verdict=verdict[1],
        lead=lead,
        home=home,
        facts=said.facts,
        cards=said.cards[:MOST_CARDS],
        more_cards=said.cards[MOST_CARDS:],
        sections=said.sections,
        notes=said.notes,
        place=lambda chart: places[id(chart)],
        data=_embedded(list(charts.values())),
        style=markupsafe.Markup(_read("report.css")),  # noqa: S704 - our own file
        script=markupsafe.Markup(script),  # noqa: S704 - our own file
        script_digest=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
        version=contract.__version__,
        footer=footer,
    )
    return text.encode("utf-8", errors="replace")


_ADVICE = "look at what changed between the baseline and this window."


def plain_body(source: Source) -> Body:
    """Return the body for a monitor without one of its own: a card per violation, a row per comparison."""
    cards = [
        Card(short(violation.subject), [sentence(violation.description)], _ADVICE, 1.0, [violation])
        for violation in source.violations
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


@functools.cache
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
        "Model": short(settings.model_name) if settings.model_name else None,
        "Endpoint": short(endpoint) if endpoint else None,
        "Schedule": short(schedule) if schedule else None,
        "Rules": settings.rules,
    }
    return [(name, text) for name, text in facts.items() if text is not None]
