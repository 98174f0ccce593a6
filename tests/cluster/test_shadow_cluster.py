"""Several hosts ask the one endpoint that the leader has started, and the leader deletes it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from hosts import exit_code, free_port, worker
from models.model_server import Answer, Request
from run_jobs import run_job
from several_splits import write_rows
from shadow_account import Account, account_of, sagemaker

from containers.bias.main import main as monitor_bias
from job_runner.cluster.hosts import Cluster

pytest.importorskip("distributed", reason="the extra `cluster` is not installed")


@pytest.fixture
def account(monkeypatch: pytest.MonkeyPatch) -> Iterator[Account]:
    with sagemaker() as service, account_of(service, monkeypatch) as opened:
        yield opened


def kind_scores(request: Request) -> Answer:
    return Answer("".join(f"{0.9 if row == ['a'] else 0.2}\n" for row in request.rows()))


def test_one_endpoint_serves_all_hosts(
    tmp_path: Path, account: Account, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    # Both hosts take part from the first split on.
    monkeypatch.setattr(
        Cluster, "_require_workers", lambda self: self.client.wait_for_workers(2, timeout=60.0)
    )
    account.behaviour["post"] = kind_scores
    data = write_rows(tmp_path / "data", files=6, rows=100_000)
    config = {
        "dataset_type": "application/x-parquet",
        "label": "count",
        "label_values_or_threshold": [25],
        "excluded_columns": ["amount"],
        "facet": [{"name_or_index": "kind", "value_or_threshold": ["b"]}],
        "methods": {"post_training_bias": {"methods": ["DPPL"]}},
        "predictor": {"model_name": "loans", "instance_type": "ml.m5.large", "content_type": "text/csv"},
    }
    (tmp_path / "analysis_config.json").write_text(json.dumps(config), encoding="utf-8")
    monkeypatch.setenv("JOB_COMPLETION_INDEX", "0")
    port = free_port()
    with worker(tmp_path / "worker", port) as process:
        result = run_job(
            tmp_path,
            data,
            command=monitor_bias,
            analysis_config=tmp_path,
            dataset_format=None,
            cluster_leader_address=f"127.0.0.1:{port}",
            cluster_size=2,
            workers=1,
            log_level="INFO",
        )
        assert exit_code(process) == 0
    assert result.exit_code == 0, result.message
    log = capfd.readouterr().err
    assert "pod 1 reads 1 split at once" in log
    assert log.count("Starting SageMaker endpoint") == log.count("Deleted SageMaker endpoint") == 1
    told = (tmp_path / "worker" / "log").read_text(encoding="utf-8")
    assert "sagemaker-runtime" in told  # it has asked
    assert "SageMaker endpoint" not in told
    assert len({request.path for request in account.runtime.requests}) == 1
    assert account.left == []
