"""A schedule as a DAG of Airflow: containers of Docker, or pods of Kubernetes."""

from __future__ import annotations

import json
import textwrap
from dataclasses import dataclass
from typing import Literal

from orchestrators.import_schedule.jobs import Jobs

HOW = ("Copy this file into Airflow's folder of DAGs. Airflow 3; the provider is named in the imports.",)

_DAG = '''\
"""Runs {monitor} as the monitoring schedule did: its steps one after another."""

{imports}

STEPS = {steps}

{definitions}


with DAG(
    {name},
    schedule={schedule},
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    catchup=False,{paused}
    max_active_runs=1,
    dagrun_timeout=timedelta(seconds={seconds}),
    tags=["model-monitor"],
):
    before = None
    for name, step in STEPS.items():
        task = {task}
        if before is not None:
            before >> task
        before = task
'''


@dataclass(frozen=True)
class _Operator:
    """What one operator of Airflow needs in the file; `task` has fields of its own to fill in."""

    imports: str
    definitions: str
    task: str


_DOCKER = _Operator(
    imports="""\
import os
from datetime import UTC, datetime, timedelta

from airflow.providers.docker.operators.docker import DockerOperator
from airflow.sdk import DAG""",
    definitions='''\
# From where the workers of Airflow run; a service account's role needs none of them.
CREDENTIALS = {name: text for name, text in os.environ.items() if name.startswith("AWS_")}


class Container(DockerOperator):
    """A container whose variables are taken as they are written: percent signs, braces and all."""

    template_fields = ()''',
    task="""\
Container(
    task_id=name,
    image=step["image"],
    entrypoint=step["command"] or None,
    command=step["arguments"] or None,
    environment=step["variables"],
    private_environment=CREDENTIALS,
    docker_url=os.environ.get("DOCKER_HOST", "unix://var/run/docker.sock"),
    network_mode=os.environ.get("MODEL_MONITOR_NETWORK", "bridge"),
    user="10001:10001",
    mount_tmp_dir=False,
    auto_remove="force",
    mem_limit="{memory}m",
    retries=0,
)""",
)

_KUBERNETES = _Operator(
    imports="""\
from datetime import UTC, datetime, timedelta

from airflow.providers.cncf.kubernetes.operators.pod import KubernetesPodOperator
from airflow.sdk import DAG
from kubernetes.client import models""",
    definitions='''\
# AWS_ACCESS_KEY_ID and the like, where the service account has no role.
CREDENTIALS = models.V1EnvFromSource(
    secret_ref=models.V1SecretEnvSource(name="model-monitor-s3", optional=True)
)


class Pod(KubernetesPodOperator):
    """A pod whose variables are taken as they are written: names that end in .json are no templates."""

    template_fields = ()
    template_ext = ()''',
    task="""\
Pod(
    task_id=name,
    name=name,
    image=step["image"],
    cmds=step["command"] or None,
    arguments=step["arguments"] or None,
    env_vars=step["variables"],
    env_from=[CREDENTIALS],
    labels={{"app.kubernetes.io/name": "{monitor}", "app.kubernetes.io/part-of": "model-monitor"}},
    automount_service_account_token=False,
    security_context={{
        "runAsNonRoot": True,
        "runAsUser": 10001,
        "runAsGroup": 10001,
        "fsGroup": 10001,
        "seccompProfile": {{"type": "RuntimeDefault"}},
    }},
    container_security_context={{
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {{"drop": ["ALL"]}},
    }},
    container_resources=models.V1ResourceRequirements(
        requests={{"cpu": "1", "memory": "1Gi"}},
        limits={{"cpu": "{processors}", "memory": "{memory}Mi"}},
    ),
    volumes=[
        models.V1Volume(
            name="scratch", empty_dir=models.V1EmptyDirVolumeSource(size_limit="{volume}Gi")
        )
    ],
    volume_mounts=[models.V1VolumeMount(name="scratch", mount_path="/tmp")],
    on_finish_action="delete_succeeded_pod",
    retries=0,
)""",
)

_OPERATORS = {"docker": _DOCKER, "kubernetes": _KUBERNETES}


def manifest(jobs: Jobs, operator: Literal["docker", "kubernetes"] = "docker") -> str:
    """Return the DAG's text, with DockerOperator or KubernetesPodOperator."""
    chosen = _OPERATORS[operator]
    steps = {
        step.name: {
            "image": step.image,
            "command": list(step.command),
            "arguments": list(step.arguments),
            "variables": dict(step.variables),
        }
        for step in jobs.steps
    }
    task = chosen.task.format(
        monitor=jobs.monitor,
        processors=jobs.resources.processors,
        memory=jobs.resources.memory,
        volume=jobs.resources.volume,
    )
    text = _DAG.format(
        monitor=jobs.monitor,
        imports=chosen.imports,
        steps=json.dumps(steps, indent=4, ensure_ascii=False),
        definitions=chosen.definitions,
        name=json.dumps(jobs.name),
        schedule=None if jobs.cron is None else json.dumps(str(jobs.cron)),
        seconds=jobs.description.seconds,
        paused="\n    is_paused_upon_creation=True," if jobs.description.stopped else "",
        task=textwrap.indent(task, " " * 8).lstrip(),
    )
    return jobs.header("airflow" if operator == "docker" else "airflow-kubernetes", HOW) + text
