"""Pages over a whole history: all models at a glance, and for each a page with the trends of its monitors."""

from __future__ import annotations

import itertools
import os
import re
import statistics
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import quote

from contract.page import Body, Cell, Row, Section, Table, count, number, sentence, several, short
from reporting.history.record import Run
from reporting.history.tables import result_text, window_text
from reporting.report.page import NAME, excess, fill_in, left_out, trends

MOST_WINDOWS = 90
MADE = ("monitor-history", "the records of the history alone")
MOST_TRENDS = 12
FIRST_PAGE = "index.html"
_FEW = 10
# How much a monitor needs a look.
UNDECIDED, SILENT, VIOLATED = 1, 2, 3
# How a step of time went, the one that needs a look first.
STATES = ("violated", "undecided", "fine", "none")
_IN_WORDS = dict(zip(STATES, ("violated", "not decided", "without violations", "without a run"), strict=True))
_STEPS = {timedelta(hours=1): "hours", timedelta(days=1): "days", timedelta(weeks=1): "weeks"}
_MONDAY = datetime(1970, 1, 5, tzinfo=UTC)

# The path of a run's own page as seen from a page of the report; empty where there is none to link to.
Link = Callable[[Run, str], str]


@dataclass(frozen=True)
class Track:
    """The runs of one monitor of a model by one schedule, the earliest first; `steps` says how time went."""

    monitor: str
    schedule: str
    runs: list[Run]
    steps: list[str]

    @property
    def title(self) -> str:
        """Return which monitor it is, and by which schedule."""
        return f"{self.monitor} ({short(self.schedule, 60)})" if self.schedule else self.monitor

    @property
    def last(self) -> Run:
        """Return the latest run."""
        return self.runs[-1]

    @property
    def is_silent(self) -> bool:
        """Return whether runs stopped: nothing for longer than three of its own usual steps."""
        ran = [place for place, step in enumerate(self.steps) if step != "none"]
        usual = (ran[-1] - ran[0] + 1) / len(ran)
        return len(self.steps) - 1 - ran[-1] > 3 * usual

    @property
    def need(self) -> tuple[int, float]:
        """Return what is larger the sooner it needs a look: violations first, by how far beyond the limit."""
        if state_of(self.last) == "violated":
            return VIOLATED, max((excess(one) for one in self.last.findings if one.violated), default=1.0)
        return (SILENT if self.is_silent else UNDECIDED if state_of(self.last) == "undecided" else 0), 0.0

    @property
    def since(self) -> datetime:
        """Return when the verdict it has now began."""
        now = state_of(self.last)
        return list(itertools.takewhile(lambda run: state_of(run) == now, reversed(self.runs)))[-1].at

    @property
    def in_words(self) -> str:
        """Return what it found last, and since when."""
        return f"{self.monitor}: {_how_much(self.last)}, since {_time(self.since)}"


def state_of(run: Run) -> str:
    """Return how a run went; that one failed decides nothing either."""
    if run.violations:
        return "violated"
    return "undecided" if run.has_failed or run.decided == 0 else "fine"


def make_pages(runs: Iterable[Run], link: Link, windows: int = MOST_WINDOWS) -> dict[str, bytes]:
    """Return the pages by name, ``index.html`` first.

    Parameters
    ----------
    runs
        In the order of the time they are about.
    link
        Where a run's own page is.
    windows
        How many steps of time are shown, the latest: hours, days or weeks, as most windows follow each other.
    """
    found: dict[tuple[str, str, str], dict[object, Run]] = defaultdict(dict)
    for run in runs:
        if run.violations is not None or run.has_failed:
            # Of a window that ran again, what was found last.
            found[run.about, run.monitor, run.schedule or ""][run.window or run.run] = run
    step = _step([list(again.values()) for again in found.values()])
    places = {run.run: (run.at - _MONDAY) // step for again in found.values() for run in again.values()}
    last = max(places.values(), default=0)
    first = max(min(places.values(), default=0), last - windows + 1)
    models: dict[str, list[Track]] = defaultdict(list)
    for (model, monitor, schedule), again in found.items():
        if shown := [run for run in again.values() if places[run.run] >= first]:
            steps = ["none"] * (last - first + 1)
            for run in shown:
                place = places[run.run] - first
                steps[place] = min(steps[place], state_of(run), key=STATES.index)
            models[model].append(Track(monitor, schedule, shown, steps))
    for tracks in models.values():
        tracks.sort(key=lambda track: track.need, reverse=True)
    models = dict(sorted(models.items(), key=lambda item: _need(item[1]), reverse=True))
    files = _file_names(models)
    facts = [("From", _time(_MONDAY + first * step)), ("To (UTC)", _time(_MONDAY + (last + 1) * step))]
    pages = {FIRST_PAGE: _first_page(models, files, link, facts, _STEPS[step])}
    return pages | {files[name]: _page_of(name, tracks, link, facts) for name, tracks in models.items()}


def _need(tracks: Sequence[Track]) -> tuple[int, tuple[int, float]]:
    """Return what is larger the sooner a model needs a look: how many monitors violate, then the worst."""
    return sum(track.need[0] == VIOLATED for track in tracks), tracks[0].need


def _step(found: Iterable[list[Run]]) -> timedelta:
    """Return the step of time that most runs follow each other in."""
    gaps = [after.at - before.at for one in found for before, after in itertools.pairwise(one)]
    usual = statistics.median_high([gap for gap in gaps if gap] or [timedelta(days=1)])
    return max((step for step in _STEPS if step <= usual), default=timedelta(hours=1))


def _file_names(names: Iterable[str]) -> dict[str, str]:
    files: dict[str, str] = {}
    for name in names:
        plain = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:60] or "model"
        taken = sum(1 for file in files.values() if re.fullmatch(rf"models/{plain}(-\d+)?\.html", file))
        files[name] = f"models/{plain}{f'-{taken + 1}' if taken else ''}.html"
    return files


def _first_page(
    models: dict[str, list[Track]],
    files: dict[str, str],
    link: Link,
    facts: list[tuple[str, str]],
    steps: str,
) -> bytes:
    rows = []
    for name, tracks in models.items():
        for place, track in enumerate(tracks, start=1):
            cells = _now_cells(track, link)
            strip = _strip_cell(track.steps, f"{files[name]}#part-{place}")
            about = Cell(short(name, 60), link=files[name])
            cells = [about, cells[0], Cell(track.title), *cells[1:], strip]
            rows.append(Row(cells, violated=track.need[0] == VIOLATED))
    bad = {name: tracks[0] for name, tracks in models.items() if tracks[0].need[0] == VIOLATED}
    unsure = sum(any(track.need[0] in (SILENT, UNDECIDED) for track in tracks) for tracks in models.values())
    every = several(len(models), "model")
    text = (
        f"{count(len(bad))} of {every} violate what they are held to" if bad else f"No violations in {every}"
    )
    text += f"; in {count(unsure)}, something was not decided or did not run" if unsure else ""
    text = text if models else "No run has compared anything"
    lead = next((f"Look first at {short(name)}, {worst.in_words}." for name, worst in bad.items()), "")
    level = "violated" if bad else "plain" if unsure or not models else "fine"
    how = "what, how much, how sure"
    columns = ["model", "now", "monitor", "since", how, "not looked at", f"last {steps}"]
    legend = (
        f"What needs a look first is on top. The latest of the {steps} is at the right: red and high is a "
        "violation, blue nothing decided, green no violation, a thin line no run."
    )
    table = Table("One row per monitor.", columns, rows, searchable=len(rows) > _FEW)
    section = Section("Models", legend, tables=[table] if rows else [])
    body = Body([], [section], [*facts, ("Models", count(len(models)))])
    return fill_in(body, "All models", (level, text), lead, MADE)


def _now_cells(track: Track, link: Link) -> list[Cell]:
    last, state = track.last, state_of(track.last)
    text = result_text(last)
    if track.is_silent:
        text, state = f"no run since {_time(last.at)}, then {text}", "none"
    counts = Counter(track.steps)
    unseen = [f"{several(last.undecided, 'comparison')} of the last run"] if last.undecided else []
    unseen += [f"{several(counts['undecided'], 'step')} without a decision"] if counts["undecided"] else []
    unseen += [f"{several(counts['none'], 'step')} without a run"] if counts["none"] else []
    return [
        Cell(text, state=state, link=link(last, FIRST_PAGE)),
        Cell(_time(track.since)),
        Cell(_how_much(last)),
        Cell("; ".join(unseen) or "–"),
    ]


def _how_much(run: Run) -> str:
    """Return the worst of what a run found: what it was and is, and what chance explains of that."""
    if not run.violations:
        return short(run.message if run.has_failed else (run.why_undecided or "–"), 160)
    worst = max((one for one in run.findings if one.violated), key=excess, default=None)
    if worst is None or (worst.value is None and worst.distance is None):
        return short(sentence(run.violations[0].description), 160).rstrip(".")
    name = short(worst.subject, 60)
    if worst.value is not None:
        sure = f" (95 % interval {' to '.join(map(number, worst.interval))})" if worst.interval else ""
        expected = "" if worst.expected is None else f", expected {number(worst.expected)}"
        return f"{name} is {number(worst.value)}{sure}{expected}"
    limit = "" if worst.limit is None else f", limit {number(worst.limit)}"
    noise = "" if worst.noise is None else f"; chance explains {number(worst.noise)}"
    return f"{name} moved by {number(worst.distance)}{limit}{noise}"


def _strip_cell(steps: list[str], link: str) -> Cell:
    strip, place = {"length": str(len(steps))}, 0
    for state, group in itertools.groupby(steps):
        length = len(list(group))
        strip[state] = strip.get(state, "") + f"M{place} 5h{length}"
        place += length
    counts = Counter(steps)
    words = [f"{counts[state]} {text}" for state, text in _IN_WORDS.items() if counts[state]]
    return Cell(", ".join(words), counts["violated"], link=link, strip=strip)


def _page_of(name: str, tracks: list[Track], link: Link, facts: list[tuple[str, str]]) -> bytes:
    page = "models/page.html"
    sections = [_section(track, link, page) for track in tracks]
    bad = [track for track in tracks if track.need[0] == VIOLATED]
    every = several(len(tracks), "monitor")
    text = f"{len(bad)} of {every} found violations last" if bad else "No violations now"
    lead = "; ".join(track.in_words for track in bad)
    level = "violated" if bad else "plain" if any(track.need[0] for track in tracks) else "fine"
    body = Body([], sections, facts)
    return fill_in(body, short(name), (level, text), lead, MADE, home=f"../{FIRST_PAGE}")


def _section(track: Track, link: Link, page: str) -> Section:
    runs = track.runs
    charts, left = trends(runs, MOST_TRENDS)
    rows = [
        Row(
            [
                Cell(window_text(run), link=link(run, page)),
                Cell(result_text(run), state=state_of(run)),
                Cell(_how_much(run)),
                Cell("–" if run.rows is None else count(run.rows), run.rows),
                Cell("–" if run.label_coverage is None else f"{run.label_coverage:.0%}", run.label_coverage),
            ],
            violated=state_of(run) == "violated",
        )
        for run in reversed(runs)
    ]
    columns = ["window (UTC)", "verdict", "what, how much, how sure", "rows", "labels"]
    caption = f"{track.title}: one row per window, the latest first."
    table = Table(caption, columns, rows, frozenset({3, 4}), searchable=True)
    text = f"{several(len(runs), 'run')}; red dots are violations.{left_out(left)}"
    return Section(track.title, text, charts, [table])


def _time(instant: datetime) -> str:
    """Return a time in UTC, the day alone at midnight."""
    instant = instant.astimezone(UTC)
    return f"{instant:%Y-%m-%d}" if (instant.hour, instant.minute) == (0, 0) else f"{instant:%Y-%m-%d %H:%M}"


def links_to(folder: str, runs: Sequence[Run], moved: Sequence[tuple[str, str]]) -> Link:
    """Return what links to the pages of runs.

    Parameters
    ----------
    folder
        Where the report is written.
    runs
        All of them: of several that wrote to one folder, the page of the last is there.
    moved
        Beginnings of ``output_path``, and what stands for them in a link, such as an address.
    """
    latest = {run.output_path: run.run for run in sorted(runs, key=lambda run: run.finished)}

    def link(run: Run, page: str) -> str:
        if latest.get(run.output_path) != run.run or run.has_failed:
            return ""
        target = f"{run.output_path.rstrip('/')}/{NAME}"
        for beginning, address in moved:
            if target.startswith(beginning):
                return address + quote(target.removeprefix(beginning))
        if "://" in target or "://" in folder or not Path(target).is_file():
            return ""
        return quote(os.path.relpath(target, Path(folder, page).parent))

    return link
