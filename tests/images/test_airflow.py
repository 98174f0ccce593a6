"""Airflow's own `dags test` with the Docker engine; pods of the other operator by Podman."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
from bucket_of_all import BUCKET, DATA_QUALITY, DAY, MONITORS, arrange
from fixtures import ROOT
from image_runner import IMAGES
from imported_schedules import LABELLED, descriptions, import_schedule
from pods import Podman, on_this_machine, run_pod
from s3_server import ACCESS, SECRET
from schedule_world import START, START_A_DAY_LATER, options, reports, start
from test_compose import listening

AIRFLOW = ROOT / ".cache" / "airflow-venv" / "bin"
DAGS = ROOT / "orchestrators" / "airflow"
# Appended to a DAG: the windows of files that are not of yesterday.
REPLACED = """

import json as _json
for _name, _variables in _json.loads({text!r}).items():
    _task = {dag}.get_task(_name)
    _task.environment = {{**_task.environment, **_variables}}
"""
# The operator wants to know which cluster it would ask; none is.
CLUSTER = """
apiVersion: v1
kind: Config
current-context: nowhere
clusters: [{name: nowhere, cluster: {server: "http://127.0.0.1:9"}}]
contexts: [{name: nowhere, context: {cluster: nowhere, user: nobody}}]
users: [{name: nobody, user: {}}]
"""
PODS = """
import json, sys
import {module} as module
from kubernetes.client import ApiClient
from airflow.sdk import BaseOperator
dag = next(value.dag for value in vars(module).values() if isinstance(value, BaseOperator))
pods = {{
    task.task_id: ApiClient().sanitize_for_serialization(task.build_pod_request_obj({{}}))
    for task in dag.tasks if hasattr(task, "build_pod_request_obj")
}}
json.dump(pods, open(sys.argv[1], "w"))
"""


@pytest.fixture(scope="module")
def buckets(s3_server: tuple[Path, str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder whose folders are buckets, filled."""
    arrange(s3_server[0], tmp_path_factory.mktemp("scratch"))
    return s3_server[0]


@pytest.fixture(scope="module")
def airflow(s3_server: tuple[Path, str], tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Return the environment of an Airflow that has a database, and no DAGs yet."""
    if not (AIRFLOW / "airflow").exists():
        pytest.skip(f"Airflow is not installed in {AIRFLOW.parent}; run: make test-images")
    home = tmp_path_factory.mktemp("airflow")
    (home / "dags").mkdir()
    kept = {name: text for name, text in os.environ.items() if not name.startswith(("AWS_", "AIRFLOW"))}
    environment = {
        **kept,
        "HOME": str(home),
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__DAGS_FOLDER": str(home / "dags"),
        "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "False",
        "AWS_ENDPOINT_URL": s3_server[1],
        "AWS_ACCESS_KEY_ID": ACCESS,
        "AWS_SECRET_ACCESS_KEY": SECRET,
        "AWS_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
        "MODEL_MONITOR_NETWORK": "host",
        "MODEL_MONITOR_IMAGES": IMAGES["bias"].rpartition("/")[0],
        "MODEL_MONITOR_TAG": IMAGES["bias"].rpartition(":")[2],
        "MODEL_MONITOR_DATA": f"s3://{BUCKET}",
        "NO_PROXY": "127.0.0.1,localhost",
        "PYTHONPATH": str(home / "dags"),
    }
    run(environment, "airflow", "db", "migrate")
    return environment


def run(environment: dict[str, str], program: str, *arguments: str, **more: str) -> str:
    result = subprocess.run(
        [AIRFLOW / program, *arguments], env={**environment, **more}, capture_output=True, text=True
    )
    assert result.returncode == 0, (result.stdout + result.stderr)[-6000:]
    return result.stdout + result.stderr


def dags_test(environment: dict[str, str], dag: str, text: str, **more: str) -> str:
    """Run a DAG to its end, which must be a good one; return the log."""
    folder = Path(environment["AIRFLOW_HOME"]) / "dags"
    for old in folder.glob("*.py"):
        old.unlink()
    (folder / "tested.py").write_text(text, encoding="utf-8")
    log = run(environment, "airflow", "dags", "test", dag, **more)
    assert "state=success" in log or "DagRunState.SUCCESS" in log or "state:success" in log, log[-6000:]
    assert SECRET not in log
    return log


def replaced(variable: str, changes: dict[str, dict[str, str]]) -> str:
    return REPLACED.format(dag=variable, text=json.dumps(changes))


def violations(folder: Path) -> list[Any]:
    return json.loads((folder / "constraint_violations.json").read_text(encoding="utf-8"))["violations"]


def test_the_dag_of_all_monitors(airflow: dict[str, str], buckets: Path) -> None:
    script = f"s3://{BUCKET}/{DATA_QUALITY['record_preprocessor_script']}"
    changes: dict[str, dict[str, str]] = {
        "merge-ground-truth": {"start_time": START_A_DAY_LATER},
        "data-quality": {"start_time": START, **DATA_QUALITY, "record_preprocessor_script": script},
        "model-quality": {"start_time": START_A_DAY_LATER},
        "bias": {"start_time": START_A_DAY_LATER},
        "feature-attribution": {"start_time": START, "dataset_source": f"s3://{BUCKET}/loans"},
    }
    text = (DAGS / "monitors.py").read_text(encoding="utf-8") + replaced("merge.dag", changes)
    with listening() as (address, told):
        dags_test(airflow, "model-monitor", text, MODEL_MONITOR_ACTION_URL=address)
    assert [entry["monitors"] for entry in told] == [list(MONITORS)]
    for monitor in MONITORS:
        assert violations(buckets / BUCKET / "reports" / monitor / DAY)


@pytest.mark.parametrize("monitor", MONITORS)
def test_dags_of_imported_schedules(monitor: str, airflow: dict[str, str], buckets: Path) -> None:
    prefix, _, tag = IMAGES[monitor].rpartition(":")
    arguments = ("--image-prefix", prefix.rpartition("/")[0], "--image-tag", tag, *options(monitor))
    text = import_schedule("--to", "airflow", *arguments, *descriptions(monitor))
    steps = ["merge-ground-truth", monitor] if monitor in LABELLED else [monitor]
    changes = {step: {"start_time": start(monitor)} for step in steps}
    dags_test(airflow, f"churn-{monitor}-schedule", text + replaced("task.dag", changes))
    assert violations(reports(buckets, monitor))


def test_pods_of_the_kubernetes_operator(
    airflow: dict[str, str], buckets: Path, podman: Podman, tmp_path: Path
) -> None:
    from kubernetes_validate import validate

    folder = Path(airflow["AIRFLOW_HOME"]) / "dags"
    (folder / "on_kubernetes.py").write_text(
        (DAGS / "monitors_on_kubernetes.py").read_text(encoding="utf-8"), encoding="utf-8"
    )
    imported = import_schedule("--to", "airflow-kubernetes", *descriptions("model-quality"))
    (folder / "imported.py").write_text(imported, encoding="utf-8")
    (tmp_path / "cluster.yaml").write_text(CLUSTER, encoding="utf-8")
    airflow = {**airflow, "KUBECONFIG": str(tmp_path / "cluster.yaml")}
    found = {}
    for module in ("on_kubernetes", "imported"):
        run(airflow, "python", "-c", PODS.format(module=module), str(tmp_path / f"{module}.json"))
        found[module] = json.loads((tmp_path / f"{module}.json").read_text())
        for pod in found[module].values():
            validate(pod, "1.31", strict=True)
    assert set(found["on_kubernetes"]) == {"merge-ground-truth", *MONITORS}
    assert set(found["imported"]) == {"merge-ground-truth", "model-quality"}
    credentials = {name: text for name, text in airflow.items() if name.startswith("AWS_")}
    for name in ("merge-ground-truth", "model-quality"):
        specification = found["on_kubernetes"][name]["spec"]
        specification.pop("affinity", None)
        local = on_this_machine(podman, specification, start_time=START_A_DAY_LATER, **credentials)
        ((_, exit_code, log),) = run_pod(podman, tmp_path, local)
        assert exit_code == (0 if name == "merge-ground-truth" else 3), log
    assert violations(buckets / BUCKET / "reports" / "model-quality" / DAY)
