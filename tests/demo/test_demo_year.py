"""The demo's year: every week is there, those that alarm are named, and a week alone gives the same files."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from jobs.test_each_window import contents

from demo.commands import run_job, year_command
from demo.tell_year import read_weeks, tell_year

if TYPE_CHECKING:
    from demo.story import Data, Layout

MONITORS = ("data-quality", "model-quality")
WEEK = "2013-04-22"  # when air traffic controllers were on leave


@pytest.mark.parametrize("monitor", MONITORS)
def test_every_week_is_there_and_winter_is_quiet(told: tuple[Layout, str], monitor: str) -> None:
    weeks = read_weeks(told[0].year_of(monitor))
    assert len(weeks) == 52
    assert not any(week.subjects for week in weeks[:13])  # what the baseline is of, or was drawn from


def test_weeks_that_alarm_are_named_with_why(told: tuple[Layout, str]) -> None:
    layout, text = told
    warm = next(
        week for week in read_weeks(layout.year_of("data-quality")) if f"{week.start}" == "2013-07-08"
    )
    assert {"temperature", "destination"} <= set(warm.subjects)
    leave = next(week for week in read_weeks(layout.year_of("model-quality")) if f"{week.start}" == WEEK)
    assert "accuracy" in leave.subjects
    assert "of 52 weeks with violations" in text
    assert re.search(r"2 to 22 December: .*accuracy", text)


def test_the_first_page_links_to_the_pages_of_weeks(told: tuple[Layout, str]) -> None:
    layout, _ = told
    page = (layout.overview / "index.html").read_text(encoding="utf-8")
    assert "flight-delay" in page
    pages = [layout.overview / "index.html", *(layout.overview / "models").iterdir()]
    links = {
        (file.parent / link).resolve()
        for file in pages
        for link in re.findall(r'href="([^"#:]+report\.html)"', file.read_text(encoding="utf-8"))
    }
    assert len(links) >= 104
    assert all(link.exists() for link in links)


@pytest.mark.parametrize("monitor", MONITORS)
def test_a_week_alone_gives_the_same_files(told: tuple[Layout, str], tmp_path: Path, monitor: str) -> None:
    layout, _ = told
    flags = ("--each-window", "--window", "--start-time", "--end-time", "--output-path", "--history-path")
    alone = [flag for flag in year_command(layout, monitor) if not flag.startswith(flags)]
    alone += ["--start-time=2013-04-22T04:00:00Z", "--end-time=2013-04-29T04:00:00Z"]
    # How many labels earlier weeks had is known from the history.
    shutil.copytree(layout.history, tmp_path / "history")
    alone += [f"--output-path={tmp_path / 'out'}", f"--history-path={tmp_path / 'history'}"]
    alone = [flag for flag in alone if not flag.startswith("--output-message-file")]
    run_job(alone, tmp_path / "log")
    single, together = contents(tmp_path / "out"), contents(layout.year_of(monitor) / WEEK)
    assert single.keys() == together.keys()
    for name in single.keys() - {"report.html"}:  # whose trends need a history
        assert single[name] == together[name], name


def test_a_year_told_again_starts_nothing_twice(told: tuple[Layout, str], data: Data) -> None:
    layout, _ = told
    before = {
        file: file.stat().st_mtime_ns for file in layout.year_of("data-quality").glob("*/statistics.json")
    }
    tell_year(data, layout, lambda line: None)
    assert {file: file.stat().st_mtime_ns for file in before} == before
