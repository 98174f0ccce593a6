"""The pages over all models: what they say first, what they do not hide, what they weigh."""

from __future__ import annotations

import html
import json
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from histories import FIRST, append, fleet, run_of
from run_jobs import environment

from containers.commands.main import monitor_history
from contract.api import Violation
from reporting.history.record import Alert, Run
from reporting.report.overview import FIRST_PAGE, links_to, make_pages


def pages_of(*runs: Run, windows: int = 90) -> dict[str, str]:
    made = make_pages(sorted(runs, key=lambda run: run.at), lambda *_: "", windows)
    return {name: html.unescape(page.decode()) for name, page in made.items()}


def page_at(now: datetime, *runs: Run) -> str:
    made = make_pages(sorted(runs, key=lambda run: run.at), lambda *_: "", now=now)
    return html.unescape(made[FIRST_PAGE].decode())


def rows_of(page: str) -> list[str]:
    body = re.search(r"<tbody>(.*?)</tbody>", page, re.DOTALL)
    assert body is not None
    return [re.sub(r"<[^>]+>", "|", row) for row in body[1].split("<tr")[1:]]


def test_which_model_needs_me_first_since_when_how_much_and_how_sure() -> None:
    quiet = [run_of(day, model="calm") for day in range(10)]
    worse = [run_of(day, accuracy=0.8 if day < 7 else 0.63, model="flights") for day in range(10)]
    page = pages_of(*quiet, *worse)[FIRST_PAGE]
    assert "1 of 2 models violates what it is held to" in page
    said = "accuracy is 0.63 (95 % interval 0.61 to 0.65), expected 0.79"
    assert f"flights, model-quality: {said}; violations since 2026-01-12" in page
    first, second = rows_of(page)
    assert "flights" in first
    assert "calm" in second
    assert "3 violated, 7 without violations" in page


def test_a_long_sentence_keeps_how_much_and_how_sure() -> None:
    clauses = [
        "Share of the value 0: 0.1 % -> 4.9 %",
        *["values moved " * 9] * 3,
        "chance does this never. End",
    ]
    found = Violation("baseline_drift_check", "; ".join(clauses), feature_name="age")
    page = pages_of(run_of(0, accuracy=0.6, violations=(found,), findings=()))[FIRST_PAGE]
    assert "age: Share of the value 0: 0.1 % → 4.9 %; chance does this never. End; violations since" in page


def test_times_are_those_of_the_jobs_zone() -> None:
    there = {"time_zone": "America/New_York"}
    start = FIRST + timedelta(hours=5)  # midnight in New York
    days = [(start + day * timedelta(days=1), start + (day + 1) * timedelta(days=1)) for day in range(4)]
    runs = [
        run_of(day, accuracy=0.8 if day < 2 else 0.6, window=window, **there)
        for day, window in enumerate(days)
    ]
    pages = pages_of(*runs)
    assert "since 2026-01-07." in pages[FIRST_PAGE]
    assert "<dt>To (America/New_York)</dt><dd>2026-01-09</dd>" in pages[FIRST_PAGE]
    assert "2 violated, 2 without violations" in pages[FIRST_PAGE]
    assert "window (America/New_York)" in pages["models/flights.html"]
    assert "2026-01-07 00:00 to 2026-01-08 00:00" in pages["models/flights.html"]
    assert '"name":"2026-01-07 00:00"' in pages["models/flights.html"]
    other = run_of(9, time_zone="Europe/Berlin")
    assert "<dt>To (UTC)</dt>" in pages_of(*runs, other)[FIRST_PAGE]
    asked = make_pages(runs, lambda *_: "", zone=ZoneInfo("Asia/Tokyo"))
    assert b"2026-01-07 14:00 to 2026-01-08 14:00" in asked["models/flights.html"]


def test_hours_of_a_clock_that_is_put_back_are_hours() -> None:
    first = datetime(2026, 10, 24, 20, tzinfo=UTC)
    hours = [first + timedelta(hours=hour) for hour in range(12)]
    runs = [
        run_of(place, window=(at, at + timedelta(hours=1)), time_zone="Europe/Berlin")
        for place, at in enumerate(hours)
    ]
    assert "12 without violations" in pages_of(*runs)[FIRST_PAGE]


def test_that_an_alert_waits_is_said() -> None:
    waiting = run_of(0, accuracy=0.6, alert=Alert("2/3", 1, 1, due=False))
    assert "1 violation, no alert yet" in pages_of(waiting)[FIRST_PAGE]


def test_what_comes_and_goes_is_said() -> None:
    runs = [run_of(day, accuracy=0.63 if day in (2, 5, 8, 9) else 0.8) for day in range(10)]
    assert "since 2026-01-13, and 2 times" in pages_of(*runs)[FIRST_PAGE]


def test_what_was_not_looked_at_is_said() -> None:
    waiting = [run_of(day, accuracy=None if day == 9 else 0.8, model="waiting") for day in range(10)]
    stopped = [run_of(day, model="stopped") for day in range(4)]
    failed = [run_of(9, model="failed", exit_code=2, violations=None, message="The key is wrong.")]
    page = pages_of(*waiting, *stopped, *failed)[FIRST_PAGE]
    assert "No violations in 3 models; in 3, something was not decided or did not run" in page
    assert '<header class="plain">' in page
    rows = {row.split("|")[2].strip("|"): row for row in rows_of(page)}
    assert "no row has a label" in next(row for row in rows.values() if "waiting" in row)
    assert "no run since 2026-01-08" in next(row for row in rows.values() if "stopped" in row)
    assert "6 steps without a run" in next(row for row in rows.values() if "stopped" in row)
    assert "The key is wrong." in next(row for row in rows.values() if "failed" in row)


def test_schedules_that_have_stopped_are_told_though_no_other_model_ran_since() -> None:
    runs = [run_of(day, monitor) for day in range(10) for monitor in ("data-quality", "bias")]
    noon = runs[-1].finished + timedelta(hours=12)
    assert "No violations in 1 model<" in page_at(noon, *runs)
    late = page_at(noon + timedelta(days=10), *runs)
    assert "No violations in 1 model; in 1, something was not decided or did not run" in late
    assert [
        "no run since 2026-01-14" in row and "10 steps without a run" in row for row in rows_of(late)
    ] == [True] * 2
    # Nobody waits for a run where one job was about all of it.
    at_once = [run_of(day, finished=FIRST + timedelta(days=30, seconds=day)) for day in range(10)]
    assert "No violations in 1 model<" in page_at(noon + timedelta(days=100), *at_once)


def test_a_schedule_that_waits_for_labels_is_not_silent() -> None:
    soon = [run_of(day, "data-quality") for day in range(20)]
    late = [run_of(day, finished=FIRST + timedelta(days=day + 8, minutes=5)) for day in range(13)]
    page = page_at(FIRST + timedelta(days=20, hours=9), *soon, *late)
    assert "No violations in 1 model<" in page
    assert "without a run<" not in page


def test_what_runs_seldom_or_stopped_long_ago_is_shown_beside_what_runs_often() -> None:
    hours = [FIRST + timedelta(hours=hour) for hour in range(400)]
    hourly = [
        run_of(place, "data-quality", window=(at, at + timedelta(hours=1)), finished=at + timedelta(hours=2))
        for place, at in enumerate(hours)
    ]
    weekly = [
        run_of(7 * week, "bias", finished=FIRST + timedelta(weeks=week + 1, hours=1)) for week in range(2)
    ]
    page = page_at(hours[-1] + timedelta(hours=2), *hourly, *hourly[:100], *weekly)
    assert "No violations in 1 model<" in page
    assert len(rows_of(page)) == 2
    stopped = [Run(**{**vars(run), "run": f"{run.run}x", "model": "stopped"}) for run in hourly[:100]]
    page = page_at(hours[-1] + timedelta(hours=2), *hourly, *weekly, *stopped)
    assert "No violations in 2 models; in 1, something was not decided or did not run" in page
    assert "no run since 2026-01-09 03:00" in page


def test_violations_are_older_than_what_is_shown() -> None:
    runs = [run_of(day, accuracy=0.6 if day > 4 or day == 2 else 0.8) for day in range(200)]
    assert "violations since 2026-01-10, and 1 time before" in pages_of(*runs)[FIRST_PAGE]


def test_a_monitor_that_is_new_did_not_run_before() -> None:
    old, new = (
        [run_of(day, model="old") for day in range(50)],
        [run_of(day, model="new") for day in (47, 48, 49)],
    )
    assert "without a run<" not in pages_of(*old, *new)[FIRST_PAGE]


def test_a_window_that_ran_again_counts_once_and_a_baseline_never() -> None:
    again = [run_of(0, accuracy=0.6), run_of(0, accuracy=0.8, finished=FIRST.replace(month=3), run="later")]
    baseline = run_of(3, violations=None, decided=None, run="baseline")
    page = pages_of(*again, baseline)[FIRST_PAGE]
    assert "No violations in 1 model" in page
    assert "1 without violations" in page


def test_models_of_names_that_look_alike_have_pages_of_their_own() -> None:
    pages = pages_of(run_of(0, model="a b"), run_of(0, model="A/B"), run_of(0, model="../..", accuracy=0.5))
    assert sorted(pages) == [FIRST_PAGE, "models/a-b-2.html", "models/a-b.html", "models/model.html"]


def test_a_models_page_has_trends_with_interval_limit_and_estimate() -> None:
    page = make_pages([run_of(0), run_of(1, accuracy=None), run_of(2, accuracy=0.6)], lambda *_: "")
    data = re.search(r'id="data">(.*?)</script>', page["models/flights.html"].decode(), re.DOTALL)
    assert data is not None
    charts = {chart["title"]: chart for chart in json.loads(data[1])}
    accuracy = charts["accuracy"]
    assert (accuracy["limit"], accuracy["limitName"]) == (0.79, "expected")
    assert [point["value"] for point in accuracy["points"]] == [0.8, None, 0.6]
    assert accuracy["points"][0]["interval"] == [0.78, 0.82]
    assert [point["estimate"] for point in accuracy["points"]] == [0.78] * 3
    assert charts["Share of rows with a label"]["points"][0]["value"] == 0.9
    assert "All models" in page["models/flights.html"].decode()


def test_pages_of_runs_are_linked_where_they_are(tmp_path: Path) -> None:
    there = tmp_path / "out a" / "0"
    there.mkdir(parents=True)
    (there / "report.html").write_text("", encoding="utf-8")
    local, shared = run_of(0, output_path=str(there)), run_of(1, output_path="s3://bucket/out/1")
    replaced = run_of(2, output_path="s3://bucket/out/1")
    runs = [local, shared, replaced]
    link = links_to(str(tmp_path / "pages"), runs, [("s3://bucket/", "https://host/b/")])
    assert link(local, "models/page.html") == "../../out%20a/0/report.html"
    assert link(replaced, FIRST_PAGE) == "https://host/b/out/1/report.html"
    assert link(shared, FIRST_PAGE) == ""  # the later run's page stands there
    assert links_to(str(tmp_path), runs, [])(replaced, FIRST_PAGE) == ""


def test_fifty_models_fit_into_a_page(tmp_path: Path) -> None:
    pages = make_pages(sorted(fleet(50, 90), key=lambda run: run.at), lambda *_: "../out/report.html")
    assert len(pages) == 51
    assert len(pages[FIRST_PAGE]) < 1_000_000
    assert pages[FIRST_PAGE].count(b'<a class="strip"') == 200
    assert pages[FIRST_PAGE].count(b"<li><a") == 1


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    append(tmp_path / "history", run_of(0), run_of(1, accuracy=0.5))
    with environment({"history_path": str(tmp_path / "history")}):
        assert monitor_history(["report", "--output", str(tmp_path / "pages")]) == 0
        assert "Wrote 2 pages about 2 runs" in capsys.readouterr().out
        assert (tmp_path / "pages" / "models" / "flights.html").is_file()
        assert monitor_history(["report", "--output", str(tmp_path / "pages"), "--link", "nowhere"]) == 2
        assert "--link is nowhere; write PATH=ADDRESS" in capsys.readouterr().err
        assert monitor_history(["report", "--output", str(tmp_path / "pages"), "--windows", "0"]) == 2
        assert monitor_history(["report", "--output", str(tmp_path / "pages"), "--time-zone", "Mars"]) == 2
        assert "--time-zone is 'Mars', which is no time zone" in capsys.readouterr().err
        assert (
            monitor_history(["report", "--output", str(tmp_path / "pages"), "--time-zone", "Asia/Tokyo"]) == 0
        )
        assert "To (Asia/Tokyo)" in (tmp_path / "pages" / FIRST_PAGE).read_text(encoding="utf-8")
        assert monitor_history(["report", "--output", str(tmp_path / "pages"), "--endpoint", "other"]) == 0
    assert "No run has compared anything" in (tmp_path / "pages" / FIRST_PAGE).read_text(encoding="utf-8")


@pytest.mark.parametrize("name", ["<b>bold</b>", "x" * 500, "Ω ☃", '"quoted"'])
def test_names_are_text(name: str) -> None:
    pages = make_pages([run_of(0, model=name)], lambda *_: "")
    assert b"<b>bold" not in b"".join(pages.values())
    assert len(pages) == 2
