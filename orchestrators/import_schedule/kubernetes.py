"""A schedule for Kubernetes or Argo: a CronJob or CronWorkflow, a Job or Workflow where it runs once."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import yaml  # type: ignore[import-untyped] # it has no types of its own

from contract.errors import ConfigurationError
from orchestrators.import_schedule.jobs import Jobs, Step
from orchestrators.import_schedule.yaml_text import dump

HOW = (
    "kubectl apply -f FILE",
    (
        "Credentials for S3: the service account's role, or: kubectl create secret generic model-monitor-s3 "
        "--from-literal=AWS_ACCESS_KEY_ID=... --from-literal=AWS_SECRET_ACCESS_KEY=... (AWS_REGION and "
        "AWS_ENDPOINT_URL too, where needed)."
    ),
)
ARGO_HOW = (
    "argo cron create FILE (a Workflow: argo submit FILE)",
    (
        "Credentials for S3: the service account's role, or a secret named model-monitor-s3 with "
        "AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, and AWS_REGION and AWS_ENDPOINT_URL where needed."
    ),
)


def manifest(jobs: Jobs) -> str:
    """Return the manifest's text for Kubernetes."""
    spec = _job(jobs, _common())
    template = {"metadata": {"labels": _labels(jobs)}, "spec": spec}
    times = {"schedule": str(jobs.cron), "timeZone": "Etc/UTC"}
    document = _document(jobs, "batch/v1", "Job", spec, times, {"jobTemplate": template})
    return dump(document, jobs.header("kubernetes", HOW))


def argo_manifest(jobs: Jobs) -> str:
    """Return the manifest's text for Argo."""
    spec = _workflow(jobs, _common())
    flow = {"workflowMetadata": {"labels": _labels(jobs)}, "workflowSpec": spec}
    times = {"schedules": [str(jobs.cron)], "timezone": "Etc/UTC"}
    document = _document(jobs, "argoproj.io/v1alpha1", "Workflow", spec, times, flow)
    return dump(document, jobs.header("argo", ARGO_HOW))


def _common() -> Any:
    path = Path(__file__).parent / "templates" / "kubernetes.yaml"
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def _document(
    jobs: Jobs, api: str, kind: str, spec: dict[str, Any], times: dict[str, Any], template: dict[str, Any]
) -> dict[str, Any]:
    """Return what runs once, or at all `times` from a template."""
    suspended = {"suspend": True} if jobs.description.stopped else {}
    if jobs.cron is None:
        spec = {**spec, **suspended}
    else:
        kind, spec = f"Cron{kind}", {**times, **suspended, **_common()["schedule"], **template}
    metadata = {"name": jobs.name, "labels": _labels(jobs)}
    return {"apiVersion": api, "kind": kind, "metadata": metadata, "spec": spec}


def _labels(jobs: Jobs) -> dict[str, str]:
    return {"app.kubernetes.io/name": jobs.monitor, "app.kubernetes.io/part-of": "model-monitor"}


def _container(jobs: Jobs, step: Step, common: Any) -> dict[str, Any]:
    # Kubernetes shows this file's content as the container's termination message.
    variables = {**step.variables, "output_message_file": "/dev/termination-log"}
    limits = {"cpu": str(jobs.resources.processors), "memory": f"{jobs.resources.memory}Mi"}
    return {
        "image": step.image,
        "imagePullPolicy": "IfNotPresent",
        **({"command": _literal(step.command)} if step.command else {}),
        **({"args": _literal(step.arguments)} if step.arguments else {}),
        "env": [{"name": name, "value": _literal([text])[0]} for name, text in variables.items()],
        **common["container"],
        "resources": {**common["container"]["resources"], "limits": limits},
    }


def _scratch(jobs: Jobs) -> list[dict[str, Any]]:
    """Return the volumes of a pod: one to write on, as large as the instance's was."""
    return [{"name": "scratch", "emptyDir": {"sizeLimit": f"{jobs.resources.volume}Gi"}}]


def _literal(texts: Iterable[str]) -> list[str]:
    # Kubernetes puts a variable in place of $(NAME), unless there are two dollar signs.
    return [text.replace("$(", "$$(") for text in texts]


def _job(jobs: Jobs, common: Any) -> dict[str, Any]:
    *before, last = [{"name": step.name, **_container(jobs, step, common)} for step in jobs.steps]
    pod = {
        "restartPolicy": "Never",
        **common["pod"],
        **({"initContainers": before} if before else {}),
        "containers": [last],
        "volumes": _scratch(jobs),
    }
    return {
        **common["job"],
        "activeDeadlineSeconds": jobs.description.seconds,
        "template": {"metadata": {"labels": _labels(jobs)}, "spec": pod},
    }


def _workflow(jobs: Jobs, common: Any) -> dict[str, Any]:
    for name, text in ((name, text) for step in jobs.steps for name, text in step.variables.items()):
        if "{{" in text:
            raise ConfigurationError.of("argo.braces", field=name, text=json.dumps(text))
    # One list of one step each: a step starts when the one before it has succeeded.
    order = [[{"name": step.name, "template": step.name}] for step in jobs.steps]
    templates = [
        {"name": step.name, "retryStrategy": common["retries"], "container": _container(jobs, step, common)}
        for step in jobs.steps
    ]
    return {
        "entrypoint": "in-order",
        "activeDeadlineSeconds": jobs.description.seconds,
        **common["pod"],
        "volumes": _scratch(jobs),
        "templates": [{"name": "in-order", "steps": order}, *templates],
    }
