"""A schedule as a CronJob of Kubernetes, or as a Job where it runs once."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

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
SECRET = "model-monitor-s3"  # noqa: S105 - the name of a Secret, not one
# What may be tried again changes nothing about input at fault (2) and violations found (3).
_ENDED = (2, 3, 5)


def manifest(jobs: Jobs) -> str:
    """Return the manifest's text."""
    metadata = {"name": jobs.name, "labels": labels(jobs)}
    stopped = jobs.description.stopped
    if jobs.cron is None:
        spec = {**_job(jobs), **({"suspend": True} if stopped else {})}
        document = {"apiVersion": "batch/v1", "kind": "Job", "metadata": metadata, "spec": spec}
    else:
        document = {
            "apiVersion": "batch/v1",
            "kind": "CronJob",
            "metadata": metadata,
            "spec": {
                "schedule": str(jobs.cron),
                "timeZone": "Etc/UTC",
                **({"suspend": True} if stopped else {}),
                "concurrencyPolicy": "Forbid",
                "startingDeadlineSeconds": 600,
                "successfulJobsHistoryLimit": 3,
                "failedJobsHistoryLimit": 3,
                "jobTemplate": {"metadata": {"labels": labels(jobs)}, "spec": _job(jobs)},
            },
        }
    return dump(document, jobs.header("kubernetes", HOW))


def labels(jobs: Jobs) -> dict[str, str]:
    """Return the labels of everything that belongs to a schedule."""
    return {"app.kubernetes.io/name": jobs.monitor, "app.kubernetes.io/part-of": "model-monitor"}


def container(jobs: Jobs, step: Step) -> dict[str, Any]:
    """Return a step as a container: no privileges, nothing writable but /tmp."""
    variables = {
        **step.variables,
        # Kubernetes shows this file's content as the container's termination message.
        "output_message_file": "/dev/termination-log",
    }
    return {
        "name": step.name,
        "image": step.image,
        "imagePullPolicy": "IfNotPresent",
        **({"command": _literal(step.command)} if step.command else {}),
        **({"args": _literal(step.arguments)} if step.arguments else {}),
        "env": [{"name": name, "value": _literal([text])[0]} for name, text in variables.items()],
        "envFrom": [{"secretRef": {"name": SECRET, "optional": True}}],
        "volumeMounts": [{"name": "scratch", "mountPath": "/tmp"}],  # noqa: S108 - a volume of the pod's own
        "resources": {
            "requests": {"cpu": "1", "memory": "1Gi"},
            "limits": {"cpu": str(jobs.resources.processors), "memory": f"{jobs.resources.memory}Mi"},
        },
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
    }


def scratch(jobs: Jobs) -> list[dict[str, Any]]:
    """Return the volumes of a pod: one to write on, as large as the instance's was."""
    return [{"name": "scratch", "emptyDir": {"sizeLimit": f"{jobs.resources.volume}Gi"}}]


def _literal(texts: Iterable[str]) -> list[str]:
    # Kubernetes puts a variable in place of $(NAME), unless there are two dollar signs.
    return [text.replace("$(", "$$(") for text in texts]


def pod_settings() -> dict[str, Any]:
    """Return what holds for the whole pod: nobody's user, no token of the cluster."""
    return {
        "automountServiceAccountToken": False,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": 10001,
            "runAsGroup": 10001,
            "fsGroup": 10001,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
    }


def _job(jobs: Jobs) -> dict[str, Any]:
    *before, last = [container(jobs, step) for step in jobs.steps]
    rule = {"action": "FailJob", "onExitCodes": {"operator": "In", "values": list(_ENDED)}}
    return {
        "backoffLimit": 2,
        "activeDeadlineSeconds": jobs.description.seconds,
        "ttlSecondsAfterFinished": 86400,
        "podFailurePolicy": {"rules": [rule]},
        "template": {
            "metadata": {"labels": labels(jobs)},
            "spec": {
                "restartPolicy": "Never",
                **pod_settings(),
                **({"initContainers": before} if before else {}),
                "containers": [last],
                "volumes": scratch(jobs),
            },
        },
    }


# A schedule as a CronWorkflow of Argo, or as a Workflow where it runs once.


ARGO_HOW = (
    "argo cron create FILE (a Workflow: argo submit FILE)",
    (
        "Credentials for S3: the service account's role, or a secret named model-monitor-s3 with "
        "AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, and AWS_REGION and AWS_ENDPOINT_URL where needed."
    ),
)


def argo_manifest(jobs: Jobs) -> str:
    """Return the manifest's text."""
    metadata = {"name": jobs.name, "labels": labels(jobs)}
    document: dict[str, Any]
    if jobs.cron is None:
        spec = {**_workflow(jobs), **({"suspend": True} if jobs.description.stopped else {})}
        document = {"kind": "Workflow", "metadata": metadata, "spec": spec}
    else:
        document = {
            "kind": "CronWorkflow",
            "metadata": metadata,
            "spec": {
                "schedules": [str(jobs.cron)],
                "timezone": "Etc/UTC",
                **({"suspend": True} if jobs.description.stopped else {}),
                "concurrencyPolicy": "Forbid",
                "startingDeadlineSeconds": 600,
                "successfulJobsHistoryLimit": 3,
                "failedJobsHistoryLimit": 3,
                "workflowMetadata": {"labels": labels(jobs)},
                "workflowSpec": _workflow(jobs),
            },
        }
    return dump({"apiVersion": "argoproj.io/v1alpha1", **document}, jobs.header("argo", ARGO_HOW))


def _workflow(jobs: Jobs) -> dict[str, Any]:
    # One list of one step each: a step starts when the one before it has succeeded.
    order = [[{"name": step.name, "template": step.name}] for step in jobs.steps]
    return {
        "entrypoint": "in-order",
        "activeDeadlineSeconds": jobs.description.seconds,
        **pod_settings(),
        "volumes": scratch(jobs),
        "templates": [
            {"name": "in-order", "steps": order},
            *(_template(jobs, at) for at in range(len(order))),
        ],
    }


def _template(jobs: Jobs, at: int) -> dict[str, Any]:
    step = jobs.steps[at]
    for name, text in step.variables.items():
        if "{{" in text:
            raise ConfigurationError(
                f"Argo would replace what stands in braces in {name}, {json.dumps(text)}; choose another "
                "orchestrator, for example --to kubernetes."
            )
    written = container(jobs, step)
    del written["name"]
    return {
        "name": step.name,
        # Input at fault (2) and violations found (3) stay what they are, however often one tries.
        "retryStrategy": {"limit": 2, "expression": "!(lastRetry.exitCode in ['2', '3', '5'])"},
        "container": written,
    }
