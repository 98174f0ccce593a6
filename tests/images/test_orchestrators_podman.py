"""Pods of the Kubernetes base, of Argo's workflow and of imported schedules: run by Podman, from S3 to S3."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from bucket_of_all import BUCKET, DATA_QUALITY, DAY, MONITORS, arrange
from captured_predictions import predict, write_table
from fixtures import ROOT
from imported_schedules import descriptions, import_schedule
from pods import Podman, on_this_machine, run_pod
from s3_server import ACCESS, SECRET
from schedule_world import HOUR, START, START_A_DAY_LATER, options, reports, start

KUBERNETES = ROOT / "orchestrators" / "kubernetes"
ARGO = ROOT / "orchestrators" / "argo" / "monitors.yaml"


@pytest.fixture(scope="module")
def buckets(s3_server: tuple[Path, str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder whose folders are buckets, filled."""
    arrange(s3_server[0], tmp_path_factory.mktemp("scratch"))
    return s3_server[0]


@pytest.fixture(scope="module")
def credentials(s3_server: tuple[Path, str]) -> dict[str, str]:
    """Return what the secret of a cluster would hold."""
    return {
        "AWS_ENDPOINT_URL": s3_server[1],
        "AWS_ACCESS_KEY_ID": ACCESS,
        "AWS_SECRET_ACCESS_KEY": SECRET,
        "AWS_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
    }


def built(overlay: str) -> list[dict[str, Any]]:
    """Return the documents that Kustomize makes of an overlay."""
    program = shutil.which("kustomize") or shutil.which("kubectl")
    if program is None:
        pytest.skip("neither kustomize nor kubectl is installed")
    command = [program, "build" if program.endswith("kustomize") else "kustomize", str(KUBERNETES / overlay)]
    text = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return list(yaml.safe_load_all(text))


def check(results: list[tuple[str, int, str]], *, exit_code: int = 0) -> None:
    for name, found, log in results:
        expected = 0 if name == "merge-ground-truth" else exit_code
        assert found == expected, f"{name}: {log}"
        assert SECRET not in log
        assert ACCESS not in log


def violations(folder: Path) -> list[Any]:
    return json.loads((folder / "constraint_violations.json").read_text(encoding="utf-8"))["violations"]


@pytest.mark.parametrize("monitor", MONITORS)
def test_pods_of_imported_cron_jobs(
    monitor: str, podman: Podman, buckets: Path, credentials: dict[str, str], tmp_path: Path
) -> None:
    manifest = yaml.safe_load(
        import_schedule("--to", "kubernetes", *options(monitor), *descriptions(monitor))
    )
    template = manifest["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    specification = on_this_machine(podman, template, start_time=start(monitor), **credentials)
    check(run_pod(podman, tmp_path, specification))
    assert violations(reports(buckets, monitor))
    shutil.rmtree(reports(buckets, monitor))


@pytest.mark.parametrize("monitor", MONITORS)
def test_pods_of_the_s3_overlay(
    monitor: str, podman: Podman, buckets: Path, credentials: dict[str, str], tmp_path: Path
) -> None:
    documents = built("s3")
    maps = [document for document in documents if document["kind"] == "ConfigMap"]
    for document in maps:
        if document["metadata"]["name"].startswith("data-quality-"):
            script = f"s3://{BUCKET}/{DATA_QUALITY['record_preprocessor_script']}"
            document["data"].update({**DATA_QUALITY, "record_preprocessor_script": script})
        if document["metadata"]["name"].startswith("feature-attribution-"):
            document["data"]["dataset_source"] = f"s3://{BUCKET}/loans"
    (job,) = [
        entry for entry in documents if (entry["kind"], entry["metadata"]["name"]) == ("CronJob", monitor)
    ]
    begins = START_A_DAY_LATER if monitor in ("model-quality", "bias") else START
    template = job["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    specification = on_this_machine(podman, template, start_time=begins, **credentials)
    check(run_pod(podman, tmp_path, specification, with_documents=maps))
    assert violations(buckets / BUCKET / "reports" / monitor / (HOUR if monitor == "data-quality" else DAY))


def test_the_pod_of_the_baseline(
    podman: Podman, buckets: Path, credentials: dict[str, str], tmp_path: Path
) -> None:
    training = buckets / BUCKET / "training"
    write_table(training / "data.csv", predict(500, seed=3))
    documents = built("s3")
    (job,) = [
        entry
        for entry in documents
        if entry["kind"] == "Job" and entry["metadata"]["name"] == "baseline-data-quality"
    ]
    specification = on_this_machine(
        podman,
        job["spec"]["template"]["spec"],
        **credentials,
    )
    maps = [document for document in documents if document["kind"] == "ConfigMap"]
    for document in maps:
        if document["metadata"]["name"].startswith("baseline-"):
            document["data"]["output_path"] = f"s3://{BUCKET}/new-baseline"
    check(run_pod(podman, tmp_path, specification, with_documents=maps))
    written = {file.name for file in (buckets / BUCKET / "new-baseline").iterdir()}
    assert written == {"constraints.json", "report.html", "statistics.json"}


def test_pods_of_the_volumes_overlay_join_labels_first(podman: Podman, buckets: Path, tmp_path: Path) -> None:
    data = tmp_path / "data"
    shutil.copytree(buckets / BUCKET, data)
    for path in (data, *data.rglob("*")):
        path.chmod(0o777 if path.is_dir() else 0o644)
    documents = built("volumes")
    (job,) = [entry for entry in documents if entry["metadata"]["name"] == "model-quality"]
    template = job["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    specification = on_this_machine(podman, template, start_time=START_A_DAY_LATER)
    for volume in specification["volumes"]:
        if volume.pop("persistentVolumeClaim", None):
            volume["hostPath"] = {"path": str(data), "type": "Directory"}
    maps = [document for document in documents if document["kind"] == "ConfigMap"]
    check(run_pod(podman, tmp_path, specification, with_documents=maps))
    assert violations(data / "reports" / "model-quality" / DAY)


def test_the_steps_of_argos_workflow_in_their_order(
    podman: Podman, buckets: Path, credentials: dict[str, str], tmp_path: Path
) -> None:
    shutil.rmtree(buckets / BUCKET / "reports", ignore_errors=True)
    # The first document; baselines follow.
    workflow = next(yaml.safe_load_all(ARGO.read_text(encoding="utf-8")))["spec"]["workflowSpec"]
    templates = {template["name"]: template for template in workflow["templates"]}
    tasks = templates[workflow["entrypoint"]]["dag"]["tasks"]
    more = {
        "data-quality": {
            **DATA_QUALITY,
            "record_preprocessor_script": f"s3://{BUCKET}/{DATA_QUALITY['record_preprocessor_script']}",
        },
        "feature-attribution": {"dataset_source": f"s3://{BUCKET}/loans"},
    }
    for task in in_order(tasks):
        container = json.loads(filled_in(json.dumps(templates[task]["container"]), workflow))
        if task == "action":
            continue
        pod = {
            "containers": [{**container, "name": task}],
            "restartPolicy": "Never",
            "securityContext": workflow["securityContext"],
            "volumes": workflow["volumes"],
        }
        labelled = task in ("merge-ground-truth", "model-quality", "bias")
        begins = START_A_DAY_LATER if labelled else START
        specification = on_this_machine(podman, pod, start_time=begins, **credentials, **more.get(task, {}))
        check(run_pod(podman, tmp_path, specification), exit_code=3)
    for monitor in MONITORS:
        assert violations(buckets / BUCKET / "reports" / monitor / DAY)


def in_order(tasks: list[dict[str, Any]]) -> list[str]:
    """Return the names of tasks, each after those it depends on."""
    ordered: list[str] = []
    waiting = list(tasks)
    while waiting:
        task = next(task for task in waiting if not named(task, waiting) - {task["name"]})
        ordered.append(task["template"])
        waiting.remove(task)
    return ordered


def named(task: dict[str, Any], tasks: list[dict[str, Any]]) -> set[str]:
    return {other["name"] for other in tasks if f"{other['name']}." in task.get("depends", "")}


def filled_in(text: str, workflow: dict[str, Any]) -> str:
    for parameter in workflow["arguments"]["parameters"]:
        text = text.replace(f"{{{{workflow.parameters.{parameter['name']}}}}}", parameter["value"])
    return text
