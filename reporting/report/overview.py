"""Pages over a whole history: all models at a glance, and for each a page with the trends of its monitors."""

import itertools
import os
import re
import statistics
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime, timedelta, tzinfo
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

from contract.page import Body, Section, count, number, several, short
from contract.window import read_zone
from reporting.history.record import Run
from reporting.history.tables import minute, result_text, window_text
from reporting.report.page import NAME, excess, fill_in, left_out, trends

MOST_WINDOWS = 90
MOST_TRENDS = 12
FIRST_PAGE = "index.html"
# How much a monitor needs a look.
UNDECIDED, SILENT, VIOLATED = 1, 2, 3
# How a step of time went, the one that needs a look first.
STATES = ("violated", "undecided", "fine", "none")
_IN_WORDS = dict(zip(STATES, ("violated", "not decided", "without violations", "without a run"), strict=True))
_STEPS = {timedelta(hours=1): "hours", timedelta(days=1): "days", timedelta(weeks=1): "weeks"}
_MONDAY = datetime(1970, 1, 5)

# The path of a run's own page as seen from a page of the report; empty where there is none to link to.
Link = Callable[[Run, str], str]


class Track(NamedTuple):
    """The runs of one monitor of a model by one schedule, the earliest first.

    `runs` are those that are shown, of `every` one, and `last` is the latest; `steps` says how time went,
    `usual` how far its runs are apart as a rule, and `due` what time the last one should be about by now.
    """

    monitor: str
    schedule: str
    every: list[Run]
    last: Run
    runs: list[Run]
    steps: list[str]
    usual: timedelta
    due: datetime
    zone: tzinfo

    @property
    def title(self) -> str:
        """Return which monitor it is, and by which schedule."""
        return f"{self.monitor} ({short(self.schedule, 60)})" if self.schedule else self.monitor

    @property
    def is_silent(self) -> bool:
        """Return whether runs stopped: nothing for longer than three of its own usual steps."""
        return self.due - self.last.at > 3 * self.usual

    @property
    def idle(self) -> int:
        """Return how many of its usual steps had no run, from the first that is shown until now."""
        due = int((self.due - self.runs[0].at) / self.usual + 0.1) + 1  # a day may have 23 hours
        return max(0, due - len({run.at for run in self.runs}))

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
        return list(itertools.takewhile(lambda run: state_of(run) == now, reversed(self.every)))[-1].at

    @property
    def is_violated(self) -> bool:
        """Return whether what it found last is a violation."""
        return self.need[0] == VIOLATED

    @property
    def is_unsure(self) -> bool:
        """Return whether it decided nothing last, or is silent."""
        return self.need[0] in (SILENT, UNDECIDED)

    @property
    def stretches(self) -> list[tuple[str, int]]:
        """Return how time went: states, and for how many steps each lasted."""
        return [(state, len(list(group))) for state, group in itertools.groupby(self.steps)]

    @property
    def in_words(self) -> str:
        """Return what it found last, since when, and how often before."""
        since = self.since
        before = sum(bool(run.violations) for run in self.every if run.at < since)
        often = f", and {several(before, 'time')} before" if before else ""
        return f"{self.monitor}: {_how_much(self.last)}; violations since {_time(since, self.zone)}{often}"


def state_of(run: Run) -> str:
    """Return how a run went; that one failed decides nothing either."""
    if run.violations:
        return "violated"
    return "undecided" if run.has_failed or run.decided == 0 else "fine"


def make_pages(
    runs: Sequence[Run],
    link: Link,
    windows: int = MOST_WINDOWS,
    zone: tzinfo | None = None,
    now: datetime | None = None,
) -> dict[str, bytes]:
    """Return the pages by name, ``index.html`` first.

    Parameters
    ----------
    runs
        In the order of the time they are about.
    link
        Where a run's own page is.
    windows
        How many steps of time are shown, the latest: hours, days or weeks, as most windows follow each other.
    zone
        Whose clock times are shown by; None for that of the jobs, where all have one.
    now
        What time it is, to tell which schedules have stopped; None where it is not about now.
    """
    names = {run.time_zone for run in runs}
    zone = zone or read_zone("time_zone", names.pop() if len(names) == 1 else "UTC")
    found: dict[tuple[str, str, str], dict[object, Run]] = defaultdict(dict)
    for run in runs:
        if run.violations is not None or run.has_failed:
            # Of a window that ran again, what was found last.
            found[run.about, run.monitor, run.schedule or ""][run.window or run.run] = run
    ran = {about: list(again.values()) for about, again in found.items()}
    step = _step(ran.values())
    # Hours are counted, as a clock that is put back has one twice.
    clock = UTC if step < timedelta(days=1) else zone

    def place_of(at: datetime) -> int:
        return (at.astimezone(clock).replace(tzinfo=None) - _MONDAY) // step

    latest = max((every[-1].at for every in ran.values()), default=datetime.now(UTC))
    due = {about: _due(every, latest, now) for about, every in ran.items()}
    last = max(place_of(at) for at in (latest, *due.values()))
    first = max(min((place_of(every[0].at) for every in ran.values()), default=last), last - windows + 1)
    models: dict[str, list[Track]] = defaultdict(list)
    for about, every in ran.items():
        steps = ["none"] * (last - first + 1)
        shown = [run for run in every if place_of(run.at) >= first]
        for run in shown:
            place = place_of(run.at) - first
            steps[place] = min(steps[place], state_of(run), key=STATES.index)
        # What stopped long ago, or runs seldom, is shown by its last run.
        usual = statistics.median_high(_gaps(every[-50:]) or [step])
        track = Track(*about[1:], every, every[-1], shown or every[-1:], steps, usual, due[about], zone)
        models[about[0]].append(track)
    for tracks in models.values():
        tracks.sort(key=lambda track: track.need, reverse=True)
    # How many monitors violate, then the worst.
    order = {name: (sum(track.is_violated for track in of), of[0].need) for name, of in models.items()}
    models = {name: models[name] for name in sorted(order, key=lambda name: order[name], reverse=True)}
    files = _file_names(models)
    ends = [(_MONDAY + place * step).replace(tzinfo=clock) for place in (first, last + 1)]
    facts = [("From", _time(ends[0], zone)), (f"To ({zone})", _time(ends[1], zone))]
    said = {**_SAID, "models": models, "files": files, "link": link, "steps": _STEPS[step], "zone": zone}
    first_page = Body([], [Section("Models")], [*facts, ("Models", count(len(models)))])
    pages = {FIRST_PAGE: fill_in(first_page, "overview", **said)}
    for name, tracks in models.items():
        page = Body([], [_section(track) for track in tracks], facts)
        pages[files[name]] = fill_in(page, "model", **said, name=name, tracks=tracks)
    return pages


def _section(track: Track) -> Section:
    charts, left = trends(track.runs, MOST_TRENDS, track.zone)
    text = f"{several(len(track.runs), 'run')}; red dots are violations.{left_out(left)}"
    return Section(track.title, text, charts)


def _gaps(runs: Sequence[Run]) -> list[timedelta]:
    """Return how far what runs are about is apart, one from the next."""
    return [after.at - before.at for before, after in itertools.pairwise(runs) if after.at != before.at]


def _due(runs: Sequence[Run], latest: datetime, now: datetime | None) -> datetime:
    """Return the time that the last run of a schedule should be about.

    A schedule's runs end as far apart as their windows begin, and as late after these as ever, such as
    three days for labels. Other runs, such as those of one job about months, are held to the `latest`.
    """
    lately = runs[-10:]
    about, ended = lately[-1].at - lately[0].at, [run.finished for run in lately]
    if now is None or not timedelta() < about <= 2 * (max(ended) - min(ended)):
        return latest
    return now - statistics.median_high([run.finished - run.at for run in lately])


def _step(tracks: Iterable[list[Run]]) -> timedelta:
    """Return the step of time that most runs follow each other in."""
    gaps = [gap for runs in tracks for gap in _gaps(runs)]
    usual = statistics.median_high(gaps or [timedelta(days=1)])
    return max((step for step in _STEPS if step <= usual), default=timedelta(hours=1))


def _file_names(names: Iterable[str]) -> dict[str, str]:
    files: dict[str, str] = {}
    for name in names:
        plain = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:60] or "model"
        taken = sum(1 for file in files.values() if re.fullmatch(rf"models/{plain}(-\d+)?\.html", file))
        files[name] = f"models/{plain}{f'-{taken + 1}' if taken else ''}.html"
    return files


def _how_much(run: Run) -> str:
    """Return the worst of what a run found: what it was and is, and what chance explains of that."""
    if not run.violations:
        return short(run.message if run.has_failed else (run.why_undecided or "–"), 160)
    worst = max((one for one in run.findings if one.violated), key=excess, default=None)
    within_limit = worst is not None and (worst.distance or 0.0) <= (worst.limit or 0.0)
    if worst is None or (worst.value is None and within_limit):  # what violates is no distance
        about = [one for one in run.violations if worst is not None and one.subject == worst.subject]
        first = (about or run.violations)[0]
        # The first clause says how much, and the last how sure that is.
        clauses = first.description.replace(" -> ", " → ").split("; ")
        text = "; ".join(clauses[:1] + clauses[1:][-1:])
        return short(f"{first.subject}: {text}", 300).rstrip(".")
    name = short(worst.subject, 60)
    if worst.value is not None:
        sure = f" (95 % interval {' to '.join(map(number, worst.interval))})" if worst.interval else ""
        expected = "" if worst.expected is None else f", expected {number(worst.expected)}"
        return f"{name} is {number(worst.value)}{sure}{expected}"
    limit = "" if worst.limit is None else f", limit {number(worst.limit)}"
    noise = "" if worst.noise is None else f"; chance explains {number(worst.noise)}"
    return f"{name} moved by {number(worst.distance)}{limit}{noise}"


def _time(instant: datetime, zone: tzinfo) -> str:
    """Return a time, the day alone at midnight."""
    return minute(instant, zone).removesuffix(" 00:00")


# What templates say of runs and of the page.
_SAID = {
    "states": _IN_WORDS,
    "state": state_of,
    "how_much": _how_much,
    "result": result_text,
    "window": window_text,
    "time": _time,
    "several": several,
    "undecided": (),
    "program": "monitor-history",
    "source": "the records of the history alone",
}


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
