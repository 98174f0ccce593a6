"""The fifth part of the story: how did the year go, week by week, in one command a monitor?"""

from __future__ import annotations

import json
import textwrap
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import groupby
from pathlib import Path

from demo.commands import run_job, run_jobs, shell_text, year_command, year_pages_command
from demo.story import TRAINING, Data, Layout, write_year
from demo.summary import WIDTH

Say = Callable[[str], None]

_SHOWN = 4
_LESSON = (
    "Seasons alone take the input out of what three months of winter were: from April on nearly every",
    "week alarms for its temperature, which asks for a baseline of a year. The model itself failed less",
    "often: in that week of April, in autumn, when it finds too few of the late flights, in December.",
)


@dataclass(frozen=True)
class Week:
    """One week: its Monday, and the names of what violated its constraint."""

    start: date
    subjects: list[str]


def tell_year(data: Data, layout: Layout, say: Say) -> None:
    """Look back at 52 weeks with the baselines of the first two parts, and make one page of them.

    Parameters
    ----------
    data
        The flights of the story.
    layout
        Where the baselines are.
    say
        Takes one line of text.

    Raises
    ------
    contract.errors.MonitorError
        When a job fails.
    """
    rows = write_year(data, layout)
    say("")
    say(f"13. How did the year go? {rows:,} flights in one table, with their times, answers and labels")
    commands = {name: year_command(layout, name) for name in layout.years}
    shown, *others = layout.years
    say("   $ " + shell_text(commands[shown]))
    say(f"   and the same for {', '.join(others)}: each one pass over the table, 52 windows")
    run_jobs([(command, layout.log(f"year-{name}")) for name, command in commands.items()])
    say("")
    say("14. One page over all of them")
    say("   $ " + shell_text(year_pages_command(layout)))
    run_job(year_pages_command(layout), layout.log("overview"))
    say("")
    say(f"What the monitors say of 52 weeks, compared with {TRAINING}")
    say("")
    for name in layout.years:
        for line in _told(name, read_weeks(layout.year_of(name))):
            say(line)
    for line in _LESSON:
        say(line)


def read_weeks(folder: Path) -> list[Week]:
    """Return the weeks of one monitor, the first first: read from the files alone, as any tool could."""
    return [_read(place) for place in sorted(folder.iterdir()) if place.is_dir()]


def _read(folder: Path) -> Week:
    found = json.loads((folder / "constraint_violations.json").read_text(encoding="utf-8"))["violations"]
    subjects = dict.fromkeys(one.get("feature_name") or one["metric_name"] for one in found)
    return Week(date.fromisoformat(folder.name), list(subjects))


def _told(name: str, weeks: list[Week]) -> Iterator[str]:
    """Yield which weeks had violations, those that follow each other together, and of what."""
    alarms = sum(bool(week.subjects) for week in weeks)
    yield f"{name}: {alarms} of {len(weeks)} weeks with violations"
    for is_violated, spell in groupby(weeks, key=lambda week: bool(week.subjects)):
        if not is_violated:
            continue
        spelled = list(spell)
        counts = Counter(subject for week in spelled for subject in week.subjects)
        listed = ", ".join(f"{subject} ({count})" for subject, count in counts.most_common(_SHOWN))
        more = ", ..." if len(counts) > _SHOWN else ""
        text = f"{_days(spelled)}: {listed}{more}"
        yield textwrap.fill(text, WIDTH, initial_indent="  ", subsequent_indent="    ")
    yield ""


def _days(weeks: list[Week]) -> str:
    first, last = weeks[0].start, weeks[-1].start + timedelta(days=6)
    start = f"{first.day}" if first.month == last.month else f"{first.day} {first:%B}"
    return f"{start} to {last.day} {last:%B}"
