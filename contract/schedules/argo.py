"""A schedule as a CronWorkflow of Argo, or as a Workflow where it runs once."""

from __future__ import annotations

from typing import Any

from contract.schedules.jobs import Jobs
from contract.schedules.kubernetes import container, labels, pod_settings
from contract.schedules.yaml_text import dump

HOW = (
    "argo cron create FILE (a Workflow: argo submit FILE)",
    (
        "Credentials for S3: the service account's role, or a secret named model-monitor-s3 with "
        "AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, and AWS_REGION and AWS_ENDPOINT_URL where needed."
    ),
)


def manifest(jobs: Jobs) -> str:
    """Return the manifest's text."""
    metadata = {"name": jobs.name, "labels": labels(jobs)}
    document: dict[str, Any]
    if jobs.cron is None:
        document = {"kind": "Workflow", "metadata": metadata, "spec": _workflow(jobs)}
    else:
        document = {
            "kind": "CronWorkflow",
            "metadata": metadata,
            "spec": {
                "schedules": [str(jobs.cron)],
                "timezone": "Etc/UTC",
                "concurrencyPolicy": "Forbid",
                "startingDeadlineSeconds": 600,
                "successfulJobsHistoryLimit": 3,
                "failedJobsHistoryLimit": 3,
                "workflowMetadata": {"labels": labels(jobs)},
                "workflowSpec": _workflow(jobs),
            },
        }
    return dump({"apiVersion": "argoproj.io/v1alpha1", **document}, (*jobs.notes, *HOW))


def _workflow(jobs: Jobs) -> dict[str, Any]:
    # One list of one step each: a step starts when the one before it has succeeded.
    order = [[{"name": step.name, "template": step.name}] for step in jobs.steps]
    return {
        "entrypoint": "in-order",
        "activeDeadlineSeconds": jobs.seconds,
        **pod_settings(),
        "volumes": [{"name": "scratch", "emptyDir": {}}],
        "templates": [
            {"name": "in-order", "steps": order},
            *(_template(jobs, at) for at in range(len(order))),
        ],
    }


def _template(jobs: Jobs, at: int) -> dict[str, Any]:
    step = jobs.steps[at]
    written = container(jobs, step)
    del written["name"]
    return {
        "name": step.name,
        # Input at fault (2) and violations found (3) stay what they are, however often one tries.
        "retryStrategy": {"limit": 2, "expression": "!(lastRetry.exitCode in ['2', '3', '5'])"},
        "container": written,
    }
