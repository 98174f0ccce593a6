"""Backtests: equal to jobs run again, sure of what they replay, and clear about what they cannot."""

from __future__ import annotations

import gzip
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from run_jobs import CSV, Result, run_job
from sentences import says

from containers.commands.main import monitor_backtest
from containers.model_quality.main import main as monitor_model_quality

Json = dict[str, Any]
PLAIN = '{"csv":{"header":false}}'


def write_csv(path: Path, seed: int, shift: float = 0.0, *, header: bool = True) -> Path:
    rng = np.random.default_rng(seed)
    towns = np.array(["Bath", "Cork", "Hull", "York"])
    rows = (
        f"{rng.integers(18, 90)},{rng.normal(50 + shift, 10):.3f},{towns[rng.integers(4 if shift else 3)]}"
        for _ in range(2_000)
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    head = ["age,income,town"] if header else []
    path.write_text("\n".join([*head, *rows]) + "\n", encoding="utf-8")
    return path


class World:
    """A baseline and a job over it, run as often as wanted, with its history."""

    def __init__(self, folder: Path, **always: Any) -> None:
        self.folder = folder
        self.always = always
        self.history = folder / "history"
        self.header = always.get("dataset_format", CSV) == CSV
        source = write_csv(folder / "baseline.csv", 1, header=self.header)
        self.baseline = run_job(folder, source, output_path=folder / "baseline", **always).output

    def edit(self, change: Callable[[Json], None]) -> Path:
        constraints = json.loads((self.baseline / "constraints.json").read_text())
        change(constraints)
        edited = self.folder / "edited.json"
        edited.write_text(json.dumps(constraints))
        return edited

    def monitor(self, number: int, constraints: Path | None = None, **variables: Any) -> Result:
        source = self.folder / f"{number}.csv"
        if not source.exists():
            write_csv(source, 10 + number, shift=8.0 * (number % 2), header=self.header)
        settings = {
            "baseline_constraints": constraints or self.baseline / "constraints.json",
            "baseline_statistics": self.baseline / "statistics.json",
            "output_path": self.folder / f"output-{number}-{bool(constraints)}",
            "history_path": None if constraints else self.history,
            **self.always,
            **variables,
        }
        return run_job(self.folder, source, **settings)

    def backtest(self, *arguments: object, code: int = 0) -> Json:
        output = self.folder / "backtest.json"
        output.unlink(missing_ok=True)
        given = [*map(str, arguments)]
        if not any(argument.startswith(("/", "--history-path")) for argument in given):
            given.append(f"--history-path={self.history}")
        assert monitor_backtest([*given, "--format=json", f"--output={output}"]) == code
        result: Json = json.loads(output.read_text()) if output.exists() else {}
        return result


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def tolerate(constraints: Json) -> None:
    constraints["monitoring_config"]["distribution_constraints"]["comparison_threshold"] = 0.9


def know_less(constraints: Json) -> None:
    constraints["features"][2]["string_constraints"]["domains"] = ["Bath"]
    del constraints["features"][2]["monitoringConfigOverrides"]


def expect_another_column(constraints: Json) -> None:
    constraints["features"].append({"name": "height", "inferred_type": "Fractional", "completeness": 1.0})


@pytest.mark.parametrize("change", [tolerate, know_less, expect_another_column])
@pytest.mark.parametrize("rules", ["sound", "sagemaker"])
@pytest.mark.parametrize("format_", [CSV, PLAIN])
def test_it_finds_what_a_job_finds(
    tmp_path: Path, change: Callable[[Json], None], rules: str, format_: str
) -> None:
    world = World(tmp_path, rules=rules, dataset_format=format_)
    if rules == "sagemaker":
        change_ = change

        def change(constraints: Json) -> None:
            constraints["features"][2].setdefault("monitoringConfigOverrides", {})
            change_(constraints)

    edited = world.edit(change)
    before = [world.monitor(number) for number in (0, 1)]
    after = [world.monitor(number, edited) for number in (0, 1)]
    windows = world.backtest(f"--baseline-constraints={edited}")["windows"]
    assert [window["before"]["violations"] for window in windows] == [job.violations for job in before]
    assert [window["after"]["violations"] for window in windows] == [job.violations for job in after]
    assert [window["notes"] for window in windows] == [[], []]
    assert any(window["gone"] or window["new"] for window in windows)


def test_nothing_tried_is_nothing_changed(world: World) -> None:
    jobs = [world.monitor(number) for number in (0, 1)]
    windows = world.backtest()["windows"]
    assert [window["after"]["violations"] for window in windows] == [job.violations for job in jobs]
    assert not any(window["gone"] or window["new"] or window["notes"] for window in windows)


def test_other_rules_are_those_of_a_job(world: World) -> None:
    world.monitor(1)
    job = world.monitor(1, world.edit(lambda constraints: None), rules="sagemaker")
    (window,) = world.backtest("--rules=sagemaker")["windows"]
    kinds = [violation["constraint_check_type"] for violation in window["after"]["violations"]]
    assert kinds == [violation["constraint_check_type"] for violation in job.violations]
    (note,) = window["notes"]
    assert note.startswith("The data was read by rules=sound; a run by rules=sagemaker may read types ")


def test_a_window_run_again_counts_once(world: World) -> None:
    during = {"start_time": "2026-05-06T22:00:00Z", "end_time": "2026-05-06T23:00:00Z"}
    hour = world.folder / "2026" / "05" / "06" / "22"
    hour.mkdir(parents=True)
    write_csv(hour / "1.csv", 1)
    for _ in range(2):
        world.monitor(1, dataset_source=hour / "1.csv", **during)
    assert [window["name"] for window in world.backtest()["windows"]] == ["2026-05-06 22:00 to 23:00"]


def test_the_baseline_may_be_gone(world: World) -> None:
    edited = world.edit(tolerate)
    job = world.monitor(1)
    shutil.rmtree(world.baseline)
    shutil.rmtree(job.output)
    (window,) = world.backtest(f"--baseline-constraints={edited}")["windows"]
    kinds = [violation["constraint_check_type"] for violation in window["gone"]]
    assert kinds == ["baseline_drift_check"]


def test_without_kept_statistics_the_output_folder_will_do_while_it_is_the_runs(world: World) -> None:
    first = world.monitor(1, history_statistics="Disabled")
    (window,) = world.backtest()["windows"]
    assert window["after"]["violations"] == first.violations
    assert len(window["notes"]) == 2
    assert window["notes"][0].startswith("The history has not kept the baseline; ")

    write_csv(world.folder / "1.csv", 99)
    second = world.monitor(1, history_statistics="Disabled")
    assert second.output == first.output
    result = world.backtest()
    (missing,) = result["not_replayed"]
    assert "statistics.json is of another run by now; give each window its output_path" in missing["reason"]
    assert len(result["windows"]) == 1


def test_output_folders_are_windows(world: World) -> None:
    edited = world.edit(tolerate)
    jobs = [world.monitor(number) for number in (0, 1)]
    statistics = f"--baseline-statistics={world.baseline}"
    constraints = f"--baseline-constraints={edited}"
    # The folder above holds the baseline job's files too, which are no window.
    for folders in ([world.folder], [job.output for job in jobs]):
        windows = world.backtest(*folders, statistics, constraints)["windows"]
        assert [window["name"] for window in windows] == [str(job.output) for job in jobs]
        assert [window["before"]["violations"] for window in windows] == [job.violations for job in jobs]
        assert [len(window["after"]["violations"]) for window in windows] == [0, 2]


@pytest.mark.parametrize("flags", [[], ["--positive-label=no"]])
def test_folders_tell_which_label_is_positive(tmp_path: Path, flags: list[str]) -> None:
    settings = {
        "command": monitor_model_quality,
        "problem_type": "BinaryClassification",
        "inference_attribute": "p",
        "ground_truth_attribute": "y",
        "positive_label": "yes",
    }
    (tmp_path / "a.csv").write_text("y,p\n" + "yes,yes\nno,no\nyes,yes\nno,yes\n" * 200)
    (tmp_path / "b.csv").write_text("y,p\n" + "yes,no\nno,no\nyes,yes\nno,yes\n" * 200)
    known = run_job(tmp_path, tmp_path / "a.csv", output_path=tmp_path / "a", **settings).output
    names = ("baseline_constraints", "baseline_statistics")
    job = run_job(tmp_path, tmp_path / "b.csv", **settings, **dict.fromkeys(names, known))
    assert job.violations
    output = tmp_path / "backtest.json"
    given = [f"--{name.replace('_', '-')}={known}" for name in names]
    assert monitor_backtest([str(job.output), *given, *flags, "--format=json", f"--output={output}"]) == 0
    (window,) = json.loads(output.read_text())["windows"]
    assert (window["gone"], window["new"]) == ([], [])


@pytest.mark.parametrize(("fail_on", "code"), [("alarms", 3), ("changes", 0), ("silenced", 0), (None, 0)])
def test_exit_codes(world: World, fail_on: str | None, code: int) -> None:
    world.monitor(1)
    flags = [f"--fail-on={fail_on}"] if fail_on else []
    world.backtest(*flags, code=code)
    lenient = world.edit(lambda constraints: (tolerate(constraints), constraints["features"].pop(2)))
    strict = {"silenced": 0, "changes": 0, None: 0, "alarms": 3}[fail_on]
    world.backtest(*flags, f"--baseline-constraints={lenient}", code=strict)


def test_a_question_with_a_window_missing_stays_open(world: World) -> None:
    world.monitor(0)
    job = world.monitor(1, history_statistics="Disabled")
    shutil.rmtree(job.output)
    assert len(world.backtest(code=0)["not_replayed"]) == 1
    world.backtest("--fail-on=silenced", code=2)


def test_the_table(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    edited = world.edit(tolerate)
    for number in (0, 1):
        world.monitor(number, sagemaker_endpoint_name="flights")
    flags = [f"--history-path={world.history}", f"--baseline-constraints={edited}"]
    assert monitor_backtest(flags) == 0
    said = capsys.readouterr().out.splitlines()
    assert said[0].split() == ["WINDOW", "MONITOR", "OF", "BEFORE", "AFTER"]
    assert said[1].split()[-4:] == ["data-quality", "flights", "ok", "ok"]
    assert said[2].split()[-3:] == ["flights", "3", "2"]
    assert said[3].startswith("    - baseline_drift_check income: Mean ")
    counted = {"alarms_before": 1, "alarms_after": 1, "silenced": 0, "alarming": 0}
    assert says(said[-1], "replay.sum", windows="2 windows", **counted)


def test_one_baseline_is_not_tried_on_several_schedules(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    edited = world.edit(tolerate)
    for name in ("flights", "hotels"):
        world.monitor(1, sagemaker_endpoint_name=name)
    world.backtest(f"--baseline-constraints={edited}", code=2)
    assert "of several jobs (monitor data-quality endpoint flights, monitor data-quality endpoint hotels" in (
        capsys.readouterr().err
    )
    assert len(world.backtest(f"--baseline-constraints={edited}", "--endpoint=hotels")["windows"]) == 1
    assert len(world.backtest("--rules=sagemaker")["windows"]) == 2


def test_nor_on_jobs_that_differ_by_their_segments(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    for segments in ({}, {"segment_by": "town"}):
        world.monitor(1, **segments)
    world.backtest(f"--baseline-constraints={world.edit(tolerate)}", code=2)
    assert "(monitor data-quality, monitor data-quality segments ['town'])" in capsys.readouterr().err


def test_nor_on_several_models(world: World) -> None:
    edited = world.edit(tolerate)
    for name in ("churn", "fraud"):
        world.monitor(1, model_name=name)
    world.backtest(f"--baseline-constraints={edited}", code=2)
    assert len(world.backtest(f"--baseline-constraints={edited}", "--model=fraud")["windows"]) == 1
    assert len(world.backtest("--rules=sagemaker")["windows"]) == 2


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--history-path={w}/nothing"], "history_path {w}/nothing does not exist"),
        (["--baseline-constraints={w}/baseline/statistics.jso"], "did you mean {w}/baseline/statistics.json"),
        (["--baseline-constraints={w}/other.json"], "other.json is a constraints file of no monitor"),
        (
            ["--monitor=bias", "--baseline-constraints={w}/baseline"],
            "--monitor is bias, but what is tried is",
        ),
        (["--monitor=bias"], "No window of bias that was checked is as asked for"),
        (["{w}", "--last=3"], "--last selects from a history, but output folders are given"),
        (["{w}/empty"], "{w}/empty holds no statistics.json with a constraint_violations.json beside it"),
        (["--attribution-drift-threshold=2"], "attribution_drift_threshold is '2'; use a number from 0 to 1"),
    ],
)
def test_mistakes(world: World, arguments: list[str], says: str, capsys: pytest.CaptureFixture[str]) -> None:
    world.monitor(0)
    (world.folder / "other.json").write_text("{}")
    (world.folder / "empty").mkdir()
    world.backtest(*(argument.format(w=world.folder) for argument in arguments), code=2)
    assert says.format(w=world.folder) in capsys.readouterr().err


def test_a_window_without_rows_stays_silent(world: World) -> None:
    (world.folder / "4.csv").write_text("age,income,town\n")
    world.monitor(4)
    (window,) = world.backtest(f"--baseline-constraints={world.edit(know_less)}")["windows"]
    assert window["after"]["violations"] == []


def test_a_window_of_which_nothing_is_decided_is_not_ok(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    def switch_off(constraints: Json) -> None:
        constraints["monitoring_config"]["evaluate_constraints"] = "Disabled"

    edited = world.edit(switch_off)
    for number, variables in enumerate(({}, {}, {"baseline_constraints": edited})):
        world.monitor(2 * number - number % 2, **variables)
    found = world.backtest(f"--baseline-constraints={edited}", "--fail-on=changes", code=3)
    assert found["summary"]["decides_nothing"] == 2
    world.backtest(f"--baseline-constraints={edited}", "--fail-on=alarms", code=2)
    decided = [(one["before"]["decided"], one["after"]["decided"]) for one in found["windows"]]
    assert decided == [(True, False), (True, False), (False, False)]
    assert monitor_backtest([f"--history-path={world.history}", f"--baseline-constraints={edited}"]) == 0
    lines = capsys.readouterr().out.partition("\n\n")[0].splitlines()
    first, second, third = (line for line in lines[1:] if not line.startswith(" "))
    assert first.split("  ")[-1] == "decides nothing"
    assert second.endswith("not decided  falls silent")
    assert third.split()[-4:] == ["not", "decided", "not", "decided"]


def test_changes_that_last_are_said_and_in_neither_column(world: World) -> None:
    """A history says that a window violates; without a word, a backtest called it fine at the time."""
    world.monitor(0)
    (record,) = (world.history / "runs").iterdir()
    run = json.loads(gzip.decompress(record.read_bytes()))
    lasting = {
        "feature_name": "income",
        "constraint_check_type": "lasting_change_check",
        "description": "...",
    }
    run["violations"].append(lasting)
    record.write_bytes(gzip.compress(json.dumps(run).encode()))
    (window,) = world.backtest()["windows"]
    assert window["before"]["violations"] == window["after"]["violations"] == []
    assert says(window["notes"][0], "replay.lasting", subjects="income")
