"""The page itself: gathers what there is to say, and fills in the template."""

import base64
import functools
import hashlib
import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, tzinfo
from pathlib import Path
from typing import Any

import jinja2
import markupsafe
import orjson

import contract
from contract import page as words
from contract.api import PRESENCE_CHECK, Comparison, Monitor, Settings, State, Violation
from contract.errors import wording
from contract.masking import mask
from contract.page import Body, Card, Cell, Chart, Row, Section, Source, Table, count, several, short
from contract.wording import ordinal
from reporting.history.record import Earlier, Run, RunFinding
from reporting.history.tables import minute
from reporting.report.charts import segment_text, values_text

# Earlier runs on the page: since when something violates, and how it moved.


MOST_RUNS = 60
MOST_SUBJECTS = 6


Key = tuple[str | None, str | None, str, str, str]


def add_trends(said: Body, zone: tzinfo, now: Run, earlier: Earlier) -> None:
    """Add what earlier runs of the same monitor say: a sentence to each card, and a section of trends."""
    if earlier.problem:
        said.sections.append(Section("Trends", f"There are none: {earlier.problem}"))
    # Of a window that ran again, the last.
    runs = list({run.at: run for run in earlier.runs if run.is_decided}.values())
    if not runs:
        return
    for card in said.cards:
        card.sentences.append(since(card, runs, zone))
    charts, left = trends([*runs[-MOST_RUNS:], now], MOST_SUBJECTS, zone)
    text = f"This run, and {several(len(runs[-MOST_RUNS:]), 'run')} before it; red dots are violations."
    said.sections.append(Section("Trends", text + left_out(left), charts))


def _key(violation: Violation) -> Key:
    members = violation.extra
    segment, facet, value = (str(members.get(name, "")) for name in ("segment", "facet", "facet_value"))
    return violation.feature_name, violation.metric_name, segment, facet, value


def since(card: Card, runs: Sequence[Run], zone: tzinfo = UTC) -> str:
    """Say since when a card's violations are there, by the runs before, the earliest first."""
    keys = {_key(violation) for violation in card.violations}
    finds = [any(_key(violation) in keys for violation in run.violations or ()) for run in reversed(runs)]
    streak = [*finds, False].index(False)
    if not streak:
        return f"New: the run before, {minute(runs[-1].at, zone)}, did not find it."
    times = f"this is the {ordinal(streak + 1)} run in a row that finds it"
    return f"Since {minute(runs[-streak].at, zone)}: {times}."


def trends(runs: Sequence[Run], most: int, zone: tzinfo = UTC) -> tuple[list[Chart], int]:
    """Return how the figures of runs went, the earliest run first, and of how many subjects nothing is shown.

    What violates now comes first, then what did most often, then what moved most.
    """
    found = [(run, one) for run in runs for one in run.findings]
    told = {
        one.subject: (run, one) for run, one in found if one.distance is not None or one.value is not None
    }
    violated = Counter(one.subject for _, one in found if one.violated)

    def need(latest: tuple[Run, RunFinding]) -> tuple[bool, int, float]:
        run, one = latest
        return run is runs[-1] and one.violated, violated[one.subject], excess(one)

    subjects = [one for _, one in sorted(told.values(), key=need, reverse=True)]
    charts = [_trend_of(one, runs) for one in subjects[:most]]
    labels = [{"value": run.label_coverage} for run in runs]
    if any(run.label_coverage is not None for run in runs):
        charts.append(_trend("Share of rows with a label", labels))
    found_in_each = [{"value": len(run.violations or ()), "violated": bool(run.violations)} for run in runs]
    charts.append(_trend("Violations", found_in_each))
    charts.append(_trend("Rows", [{"value": run.rows} for run in runs]))
    for chart in charts:
        for run, point in zip(runs, chart["points"], strict=True):
            point["name"] = minute(run.at, zone)
    return charts, max(0, len(subjects) - most)


def left_out(subjects: int) -> str:
    """Return how many subjects have no trend on the page; empty for none."""
    return f" Those of {several(subjects, 'subject')} that moved less are left out." if subjects else ""


def excess(finding: RunFinding) -> float:
    """Return how many times its limit something moved, at least 1; by its distance where none is known."""
    moved = abs(finding.distance or 0.0)
    return max(1.0, moved / finding.limit) if finding.limit else 1.0 + moved


def _trend_of(subject: RunFinding, runs: Sequence[Run]) -> Chart:
    """Return how a subject went: what was measured where that is known, else how far it moved."""
    name = subject.subject
    points: list[Chart] = []
    for run in runs:
        finding = next((one for one in run.findings if one.subject == name), RunFinding(name))
        kept = {metric.name: metric for metric in run.metrics if not metric.dimensions}
        if finding.value is None and (known := kept.get(name)) is not None:  # a record of an older version
            finding = replace(finding, value=known.value, interval=known.interval)
        if subject.value is None:
            points.append({"value": _six_digits(finding.distance), "violated": finding.violated})
            continue
        ends = finding.interval and [*map(_six_digits, finding.interval)]
        point = {"value": _six_digits(finding.value), "violated": finding.violated, "interval": ends}
        early = kept.get(f"estimated_{name}")  # for rows that waited for labels
        points.append(point | ({"estimate": early.value} if early else {}))
    if subject.value is None:
        return _trend(f"How far {short(name, 80)} moved", points) | {"limit": subject.limit}
    limits = {"limit": subject.expected, "limitName": "expected", "zero": False}
    return _trend(short(name, 80), points) | limits


def _six_digits(value: float | None) -> float | None:
    return None if value is None else float(f"{value:.6g}")


def _trend(title: str, points: list[Chart]) -> Chart:
    return {"kind": "trend", "title": title, "points": points, "zero": True, "limitName": "limit"}


NAME = "report.html"
MOST_CARDS = 40
MOST_NAMED = 3
MOST_UNDECIDED = 500

_TEMPLATES = Path(__file__).parent / "templates"
_log = logging.getLogger(__name__)


def make_report(
    settings: Settings, monitor: Monitor, run: Run, source: Source, notes: tuple[str, ...], earlier: Earlier
) -> bytes | None:
    """Return ``report.html``, UTF-8; None for a page that fails, which is logged, and the run stands.

    Parameters
    ----------
    monitor
        What kind of job it was.
    run
        As it will be told of.
    source
        The documents.
    notes
        What the run noted.
    earlier
        Runs of earlier windows.
    """
    try:
        return render(settings, monitor, run, source, notes, earlier)
    except Exception as error:  # the analysis stands on its own; documents of others may have any content
        _log.warning("The report could not be made (%s: %s); please report it.", type(error).__name__, error)
        _log.debug("Where it failed", exc_info=True)
        return None


def render(
    settings: Settings, monitor: Monitor, run: Run, source: Source, notes: tuple[str, ...], earlier: Earlier
) -> bytes:
    """Return the page, UTF-8."""
    said = (monitor.load_body() if monitor.load_body else plain_body)(source)
    if fewer := [one for one in source.violations if one.constraint_check_type == PRESENCE_CHECK]:
        names = dict.fromkeys(short((one.metric_name or "").replace("_", " ")) for one in fewer)
        texts = [(segment_text(one), short(one.description, 600)) for one in fewer]
        sentences = [f"In {where}: {text}" if where else words.sentence(text) for where, text in texts]
        advice = wording("page_advice.presence_check")
        said.cards.insert(0, Card(f"Fewer usable: {', '.join(names)}", sentences, advice, 100.0, fewer))
    add_trends(said, settings.time_zone or UTC, run, earlier)
    level, verdict = _verdict(run, source)
    lead = monitor.lead
    if titles := [card.title for card in said.cards[:MOST_NAMED]]:
        rest = len(said.cards) - len(titles)
        more = f" and {count(rest)} more" if rest > 0 else ""
        lead = f"{lead} Most of all: {'; '.join(titles)}{more}."
    lead += f" {run.alert.text}" if run.alert else ""
    said.notes = [short(note, 1000) for note in dict.fromkeys((*said.notes, *notes))]
    said.facts = _facts(run, source, settings.time_zone or UTC) + said.facts
    where = short(mask(settings.dataset_source), 300)
    return fill_in(
        said,
        title=monitor.title,
        level=level,
        verdict=verdict,
        lead=lead if level == "violated" else "",
        undecided=source.decision.undecided if source.decision else (),
        program=monitor.program,
        source=f"{where}. The files beside this page hold every number in full",
    )


def fill_in(said: Body, template: str = "report", **shown: Any) -> bytes:
    """Return a page, UTF-8.

    Parameters
    ----------
    shown
        What the template shows besides: `title`, `level` (``violated``, ``fine`` or ``plain``), `verdict`, a
        sentence, `lead`, which stands below it and may be empty, and the `program` and `source` of it all.
    """
    drawn = [card.chart for card in said.cards[:MOST_CARDS]]
    for section in said.sections:
        drawn += section.charts
        drawn += [row.chart for table in section.tables for row in table.rows]
    # A card's chart may stand in a table as well.
    charts = {id(chart): chart for chart in drawn if chart}
    places = {identity: place for place, identity in enumerate(charts)}
    page = _templates().get_template(f"{template}.html.jinja")
    text = page.render(
        said=said,
        most_cards=MOST_CARDS,
        most_undecided=MOST_UNDECIDED,
        place=lambda chart: places[id(chart)],
        data=_embedded(list(charts.values())),
        style=_read("report.css")[0],
        script=_read("report.js")[0],
        script_digest=_read("report.js")[1],
        version=contract.__version__,
        made=minute(datetime.now(UTC)),
        **shown,
    )
    return text.encode("utf-8", errors="replace")


_ADVICE = "look at what changed between the baseline and this window."


def plain_body(source: Source) -> Body:
    """Return the body for a monitor without one of its own: a card per violation, a row per comparison."""
    cards = [
        Card(short(violation.subject), [words.sentence(violation.description)], _ADVICE, 1.0, [violation])
        for (violation,) in source.grouped(id).values()
    ]
    rows = [
        Row(
            [
                Cell(_about(one)),
                Cell(one.check),
                Cell(one.state.replace("_", " "), state="violated" if one.state is State.VIOLATED else ""),
                Cell(words.number(one.value), one.value),
                Cell(words.number(one.expected), one.expected),
                Cell(short(words.sentence(one.text or one.reason), 300)),
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
def _templates() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_TEMPLATES),
        autoescape=True,
        auto_reload=False,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.filters |= {"short": short, "sentence": words.sentence, "count": count, "about": _about}
    return environment


@functools.cache
def _read(name: str) -> tuple[markupsafe.Markup, str]:
    """Return a file of ours as it goes into a page, and its digest."""
    content = (_TEMPLATES / name).read_bytes()
    digest = base64.b64encode(hashlib.sha256(content).digest()).decode()
    return markupsafe.Markup(content.decode()), digest  # noqa: S704 - our own file


def _embedded(charts: list[Chart]) -> markupsafe.Markup:
    """Return JSON that cannot end the script element it stands in."""
    text = orjson.dumps(charts).decode()
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return markupsafe.Markup(text)  # noqa: S704 - every character that means something in HTML is escaped


def _verdict(run: Run, source: Source) -> tuple[str, str]:
    decision = source.decision
    if decision is None:
        return "plain", "Nothing was compared: this run describes the data"
    asked, undecided = len(decision.comparisons), len(decision.undecided)
    counts = f"{count(asked - undecided)} of {several(asked, 'comparison')} decided, {count(undecided)} not"
    found = len(decision.violations.violations)
    if found:
        text = f"{several(found, 'violation')} of the baseline's constraints"
        text += ", no alert yet" if run.waits else ""
        return "violated", f"{text}; {counts}" if undecided else text
    if not run.rows:
        return "plain", "No rows in the window, so nothing was decided"
    if decision.is_empty:
        return "plain", f"Nothing could be decided: {decision.why_undecided or 'nothing was asked for'}"
    return "fine", f"No violations: {counts if undecided else 'as expected from the baseline'}"


def _facts(run: Run, source: Source, zone: tzinfo) -> list[tuple[str, str]]:
    before = (source.baseline_statistics.get("dataset") or {}).get("item_count")
    names = {"Model": run.model, "Endpoint": run.endpoint, "Schedule": run.schedule}
    facts = {
        f"Window ({zone})": " to ".join(minute(one, zone) for one in run.window) if run.window else None,
        "Rows": count(run.rows or 0),
        "Rows of the baseline": count(before) if isinstance(before, int) else None,
        **{title: short(name) if name else None for title, name in names.items()},
        "Rules": run.rules,
    }
    return [(name, text) for name, text in facts.items() if text is not None]
