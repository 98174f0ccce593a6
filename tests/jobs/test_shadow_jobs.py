"""Whole jobs that start an endpoint for their model: it is gone afterwards, whatever their end."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from attributed_people import BASELINE, csv_endpoint, people, table_config, write_csv
from fixtures import ROOT
from models.model_server import Answer, Request
from run_jobs import environment, run_job
from shadow_account import Account, account_of, sagemaker

from containers.bias.main import main as monitor_bias
from containers.commands.main import monitor_validate
from containers.feature_attribution.main import main as monitor_feature_attribution
from model_clients import temporary_endpoint


@pytest.fixture(scope="module")
def service() -> Iterator[str]:
    with sagemaker() as address:
        yield address


@pytest.fixture
def account(service: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Account]:
    with account_of(service, monkeypatch) as opened:
        yield opened


def bias_files(folder: Path, **predictor: Any) -> dict[str, Any]:
    rows = "".join(f"{row % 7},{row % 5},{row % 2}\n" for row in range(200))
    (folder / "data.csv").write_text(f"sex,age,y\n{rows}", encoding="utf-8")
    config = {
        "dataset_type": "text/csv",
        "label": "y",
        "label_values_or_threshold": [1],
        "probability_threshold": 1,
        "facet": [{"name_or_index": "sex", "value_or_threshold": [1]}],
        "methods": {"post_training_bias": {"methods": ["DPPL"]}},
        "predictor": {"model_name": "loans", "instance_type": "ml.m5.large", **predictor},
    }
    (folder / "analysis_config.json").write_text(json.dumps(config), encoding="utf-8")
    return {"dataset_source": folder / "data.csv", "analysis_config": folder}


def attribution_files(folder: Path) -> dict[str, Any]:
    config = table_config()
    config["predictor"] |= {
        "model_name": "loans",
        "instance_type": "ml.m5.large",
        "initial_instance_count": 1,
    }
    (folder / "analysis_config.json").write_text(json.dumps(config), encoding="utf-8")
    return {"dataset_source": write_csv(folder / "data.csv", people(50).rows), "analysis_config": folder}


def test_a_bias_job(tmp_path: Path, account: Account) -> None:
    files = bias_files(tmp_path)
    result = run_job(tmp_path, files.pop("dataset_source"), command=monitor_bias, **files)
    assert result.exit_code == 0, result.message
    assert account.runtime.requests
    assert account.left == []


def test_an_attribution_job(tmp_path: Path, account: Account) -> None:
    account.behaviour["post"] = csv_endpoint
    files = attribution_files(tmp_path)
    source = files.pop("dataset_source")
    result = run_job(tmp_path, source, command=monitor_feature_attribution, max_runtime="PT1H", **files)
    assert result.exit_code == 0, result.message
    assert "analysis.json" in result.files
    assert account.left == []


@pytest.mark.parametrize("command", [monitor_bias, monitor_feature_attribution])
def test_a_job_that_fails(tmp_path: Path, account: Account, command: Any) -> None:
    account.behaviour["post"] = lambda request: Answer("broken", 400)
    files = bias_files(tmp_path) if command is monitor_bias else attribution_files(tmp_path)
    result = run_job(tmp_path, files.pop("dataset_source"), command=command, **files)
    assert result.exit_code == 2
    assert "answered status 400" in result.message
    assert account.left == []


def test_max_runtime_ends_the_wait(tmp_path: Path, account: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    account.never_ready(monkeypatch)
    files = attribution_files(tmp_path)
    source = files.pop("dataset_source")
    result = run_job(tmp_path, source, command=monitor_feature_attribution, max_runtime="0.3", **files)
    assert result.exit_code == 2
    assert "or what is left of max_runtime); raise max_runtime" in result.message
    assert account.left == []


def test_nothing_is_started_for_a_window_without_data(tmp_path: Path, account: Account) -> None:
    files = attribution_files(tmp_path)
    (tmp_path / "captures" / "2026" / "05" / "06" / "22").mkdir(parents=True)
    config = {"methods": {"shap": {"baseline": [BASELINE]}}, "headers": ["age", "colour", "income"]}
    config["predictor"] = {"model_name": "loans", "instance_type": "ml.m5.large"}
    baseline = tmp_path / "baseline"
    with mock.patch.object(temporary_endpoint, "connect", side_effect=AssertionError):
        (tmp_path / "analysis_config.json").write_text(json.dumps(config), encoding="utf-8")
        baseline.mkdir()
        made = {
            "version": "1.0",
            "explanations": {"kernel_shap": {"label0": {"global_shap_values": {"age": 1.0}}}},
        }
        (baseline / "analysis.json").write_text(json.dumps(made), encoding="utf-8")
        result = run_job(
            tmp_path,
            tmp_path / "captures",
            command=monitor_feature_attribution,
            analysis_config=files["analysis_config"],
            dataset_format='{"sagemakerCaptureJson":{"captureIndexNames":["endpointInput"]}}',
            baseline_constraints=baseline / "analysis.json",
        )
    assert result.exit_code == 0, result.message
    assert "no rows" in result.message


@pytest.mark.parametrize("monitor", ["bias", "feature-attribution"])
@pytest.mark.parametrize("is_known", [True, False])
def test_a_dry_run_looks_for_the_model_and_starts_nothing(
    tmp_path: Path, account: Account, capsys: pytest.CaptureFixture[str], monitor: str, is_known: bool
) -> None:
    if not is_known:
        account.client.delete_model(ModelName="loans")
    files = bias_files(tmp_path) if monitor == "bias" else attribution_files(tmp_path)
    files["output_path"] = tmp_path / "output"
    with (
        environment({name: str(value) for name, value in files.items()}),
        mock.patch.object(account.backend, "create_endpoint_config", side_effect=AssertionError),
    ):
        code = monitor_validate(["--monitor", monitor])
    lines = capsys.readouterr().out.splitlines()
    assert code == (0 if is_known else 2), lines
    if is_known:
        assert "ok    predictor.model_name loans is a SageMaker model of this account" in lines
        told = [
            line for line in lines if line.startswith("skip  an endpoint of the job's own for model loans")
        ]
        assert len(told) == 1
    else:
        assert any(line.startswith("FAIL  predictor.model_name 'loans' is none of") for line in lines)
    assert account.runtime.requests == []


def started(folder: Path, monitor: str, files: dict[str, Any]) -> subprocess.Popen[bytes]:
    variables = {
        **{name: str(value) for name, value in files.items()},
        "output_path": str(folder / "output"),
        "output_message_file": str(folder / "message"),
    }
    kept = {name: value for name, value in os.environ.items() if name != name.lower()}
    with (folder / "log").open("wb") as log:
        return subprocess.Popen(
            [Path(sys.executable).with_name(f"monitor-{monitor.replace('_', '-')}")],
            cwd=ROOT,
            env={**kept, **variables},
            stderr=log,
        )


@pytest.mark.parametrize("stop", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("monitor", ["bias", "feature_attribution"])
def test_a_signal_while_asking(tmp_path: Path, account: Account, monitor: str, stop: signal.Signals) -> None:
    asked = threading.Event()

    def hold(request: Request) -> Answer:
        asked.set()
        account.runtime.released.wait(60.0)
        return Answer(hang_up=True)

    account.behaviour["post"] = hold
    files = bias_files(tmp_path) if monitor == "bias" else attribution_files(tmp_path)
    process = started(tmp_path, monitor, files)
    assert asked.wait(60.0), (tmp_path / "log").read_text()
    assert len(account.left) == 2
    process.send_signal(stop)
    assert process.wait(60.0) == {signal.SIGTERM: 143, signal.SIGINT: 130}[stop]
    assert account.left == []
    assert (tmp_path / "message").read_text().startswith(f"Stopped by {stop.name}")
    assert "Deleted SageMaker endpoint sm-clarify-loans-" in (tmp_path / "log").read_text()


def test_a_signal_while_it_is_created(
    tmp_path: Path, account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    account.never_ready(monkeypatch, refused=1)
    described = threading.Event()
    describe = account.backend.describe_endpoint

    def describing(name: str) -> Any:
        described.set()
        return describe(name)

    monkeypatch.setattr(account.backend, "describe_endpoint", describing)
    process = started(tmp_path, "bias", bias_files(tmp_path))
    assert described.wait(60.0), (tmp_path / "log").read_text()
    process.send_signal(signal.SIGTERM)
    assert process.wait(60.0) == 143
    assert account.left == []
    assert "is still being created" in (tmp_path / "log").read_text()
