"""The demo's live part: a real service is asked, what it answered is captured, and the verdict is right."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from contract.errors import MonitorError
from demo.captures import request_lines
from demo.story import CONTROL, JULY, SEED, Layout
from demo.summary import read_report
from demo.tell_live import FLIGHTS, FLIGHTS_OF_A_CALL, tell_live

if TYPE_CHECKING:
    from pathlib import Path

    from demo.story import Data


@pytest.fixture(scope="module")
def records(told: tuple[Layout, str]) -> list[dict[str, Any]]:
    files = sorted(told[0].live_captures.rglob("*"))
    assert not [file for file in files if file.name.endswith(".open")]
    return [json.loads(line) for file in files if file.is_file() for line in file.read_text().splitlines()]


def test_every_call_is_captured_with_the_answer_of_the_model(
    data: Data, records: list[dict[str, Any]]
) -> None:
    sides = [record["captureData"] for record in records]
    kept = [
        (asked, *map(float, answer.split(",")))
        for side in sides
        for asked, answer in zip(
            *(side[name]["data"].splitlines() for name in ("endpointInput", "endpointOutput")), strict=True
        )
    ]
    expected = [
        asked
        for window in (CONTROL, JULY)
        for flights in [data.of(window).sample(FLIGHTS, random_state=SEED)]
        for asked in zip(
            request_lines(flights), flights["predicted_late"], flights["probability"], strict=True
        )
    ]
    assert len(records) == 2 * FLIGHTS / FLIGHTS_OF_A_CALL
    assert sorted(kept) == sorted(expected)


def test_the_control_is_quiet_and_july_is_not(told: tuple[Layout, str]) -> None:
    layout, text = told
    control, july = (
        read_report(layout.directory / "reports" / name) for name in ("live-control", "live-july")
    )
    assert (control.rows, july.rows) == (FLIGHTS, FLIGHTS)
    assert not control.violations
    assert "temperature" in july.violated("baseline_drift_check")
    told_live = text.partition("\n15. ")[2]
    assert f"Asked now, control: 0 violations in {FLIGHTS:,} flights" in told_live
    assert "temperature" in told_live.partition("Asked now, 8 to 14 July:")[2]


def test_a_service_that_does_not_start_is_told_with_its_log(data: Data, tmp_path: Path) -> None:
    with pytest.raises(MonitorError, match=r"did not start; its log is .*service\.log"):
        tell_live(data, Layout(tmp_path), lambda line: None)
