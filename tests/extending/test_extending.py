"""The monitor of docs/extending.md, under its own name, with every shared setting."""

from __future__ import annotations

import importlib
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from cluster.hosts import free_port
from fixtures import ROOT
from run_jobs import Result, baseline_of, environment, run_job

from containers.commands.main import monitor_history, monitor_validate
from contract.settings import VARIABLES

PAGE = (ROOT / "docs" / "extending.md").read_text(encoding="utf-8")
WINDOW = {"start_time": "2026-05-06T22:00:00Z", "end_time": "2026-05-06T23:00:00Z"}


@pytest.fixture(scope="module")
def module(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ModuleType]:
    folder = tmp_path_factory.mktemp("monitors")
    (code,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    (folder / "watch_missing.py").write_text(code, encoding="utf-8")
    sys.path.insert(0, str(folder))
    yield importlib.import_module("watch_missing")
    sys.path.remove(str(folder))
    del sys.modules["watch_missing"]


Run = Callable[..., Result]


@pytest.fixture
def run(module: ModuleType, tmp_path: Path) -> Run:
    def job(name: str, rows: Path, **variables: Any) -> Result:
        (tmp_path / name).mkdir(exist_ok=True)
        return run_job(tmp_path / name, rows, command=module.main, **variables)

    return job


def rows_of(folder: Path, missing: int) -> Path:
    """Write 2,000 rows of two carriers; `missing` per cent of the delays of carrier A are missing."""
    hour = folder / "2026" / "05" / "06" / "22"
    hour.mkdir(parents=True)
    lines = [f"{'AB'[i % 2]},{'' if i % 2 == 0 and i // 2 % 100 < missing else i}" for i in range(2000)]
    (hour / "rows.csv").write_text("carrier,delay\n" + "\n".join(lines) + "\n", encoding="utf-8")
    return folder


def test_it_has_every_shared_setting(module: ModuleType) -> None:
    own = {"most_points", *(one.name for one in VARIABLES if one.needs in (None, "analysis", "table"))}
    own |= {"segment_by", "record_preprocessor_script"}
    assert own <= {one.name for one in module.MONITOR.variables}


def test_baseline_and_window(run: Run, tmp_path: Path) -> None:
    baseline = run("baseline", rows_of(tmp_path / "then", 2))
    assert (baseline.exit_code, baseline.files) == (
        0,
        ["constraints.json", "report.html", "statistics.json"],
    ), baseline.message
    window = run(
        "window", rows_of(tmp_path / "now", 30), fail_on_violations="Enabled", **baseline_of(baseline)
    )
    assert window.exit_code == 3, window.message
    assert [one["feature_name"] for one in window.violations] == ["delay"]
    page = (window.output / "report.html").read_text(encoding="utf-8")
    assert "<h1>Missing values" in page or "Missing values" in page
    assert "15.0% of delay is missing, 1.0% at" in page
    more = run("more", tmp_path / "now", most_points="20", **baseline_of(baseline))
    assert more.violations == []


def test_formats_scripts_and_its_own_mistakes(run: Run, tmp_path: Path) -> None:
    lines = [json.dumps({"a": i, "b": None if i % 10 else i}) for i in range(100)]
    (tmp_path / "rows.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    script = tmp_path / "script.py"
    script.write_text("def preprocess_handler(record):\n    return {'c': None}\n", encoding="utf-8")
    read = run("json", tmp_path / "rows.jsonl", dataset_format="json")
    assert read.document("statistics.json") == {"rows": 100, "missing": {"a": 0, "b": 90}}
    changed = run("script", tmp_path / "rows.jsonl", dataset_format="json", record_preprocessor_script=script)
    assert changed.document("statistics.json")["missing"] == {"c": 100}
    other = run("other", tmp_path / "rows.jsonl", dataset_format="json", most_pointz="3")
    assert (other.exit_code, "did you mean most_points" in other.message) == (2, True), other.message


def test_segments_gate_sinks_history_validate_and_replay(
    module: ModuleType, run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "metrics").mkdir()
    shared = {
        "segment_by": "carrier",
        "history_path": tmp_path / "history",
        "metrics_sinks": f"prometheus-textfile:{tmp_path}/metrics/",
        "sagemaker_endpoint_name": "flights",
        "register_new_baseline": tmp_path / "kept",
        **WINDOW,
    }
    baseline = run("baseline", rows_of(tmp_path / "then", 2), skip_check="Enabled", **shared)
    assert baseline.exit_code == 0, baseline.message
    compared = {"baseline_constraints": tmp_path / "kept" / "constraints.json"}
    compared["baseline_statistics"] = tmp_path / "kept" / "statistics.json"
    window = run("window", rows_of(tmp_path / "now", 30), fail_on_violations="Enabled", **shared, **compared)
    assert (window.exit_code, "stays as it was" in window.message) == (3, True), window.message
    assert {str(one.get("segment")) for one in window.violations} == {"None", "{'carrier': 'A'}"}
    (text,) = [file.read_text() for file in (tmp_path / "metrics").iterdir()]
    labels = 'monitor="watch-missing",endpoint="flights"'
    assert f'model_monitor_value{{{labels},metric="missing_delay"}} 0.15' in text
    with environment({"history_path": str(tmp_path / "history")}):
        assert monitor_history(["list", "--monitor", "watch_missing:MONITOR"]) == 0
        assert "watch-missing" in capsys.readouterr().out
        (tmp_path / "edited.json").write_text('{"shares":{"delay":0.4}}', encoding="utf-8")
        edited = ["--baseline-constraints", str(tmp_path / "edited.json")]
        assert monitor_history(["replay", "--monitor", "watch_missing:MONITOR", *edited]) == 0
        said = capsys.readouterr().out
        assert "- missing_check delay: 15.0% of delay" in said, said
    variables = {
        "dataset_source": tmp_path / "now",
        "dataset_format": "csv",
        "output_path": tmp_path / "validated",
        "output_message_file": tmp_path / "message",
        **compared,
        "segment_by": "carier",
    }
    with environment({name: str(value) for name, value in variables.items()}):
        assert monitor_validate(["--monitor", "watch_missing:MONITOR"]) == 2
        said = capsys.readouterr().out
        assert "did you mean carrier" in said, said
        assert monitor_validate(["--monitor", "watch_missing:MONITOR", "--segment-by", "carrier"]) == 0
        assert "the first rows can be analysed" in capsys.readouterr().out


def test_two_hosts_find_what_one_finds(module: ModuleType, run: Run, tmp_path: Path) -> None:
    pytest.importorskip("distributed", reason="the extra `cluster` is not installed")
    for number in range(4):
        rows_of(tmp_path / "then" / str(number), number)
    alone = run("alone", tmp_path / "then")
    variables = {
        "dataset_source": str(tmp_path / "then"),
        "dataset_format": "csv",
        "output_path": str(tmp_path / "together"),
        "cluster_leader_address": f"127.0.0.1:{free_port()}",
        "cluster_size": "2",
        "PYTHONPATH": os.pathsep.join([str(ROOT), str(Path(str(module.__file__)).parent)]),
    }
    hosts = [
        subprocess.Popen(
            [sys.executable, "-m", "watch_missing"],
            cwd=tmp_path,
            env={**os.environ, **variables, "JOB_COMPLETION_INDEX": str(index)}
            | {"output_message_file": str(tmp_path / f"message{index}")},
            stderr=subprocess.PIPE,
            text=True,
        )
        for index in (1, 0)
    ]
    logs = [host.communicate(timeout=120)[1] for host in hosts]
    assert [host.returncode for host in hosts] == [0, 0], logs
    for name in ("statistics.json", "constraints.json"):
        assert (tmp_path / "together" / name).read_bytes() == (alone.output / name).read_bytes()
