"""A schedule as a DAG of Airflow: containers of Docker, or pods of Kubernetes."""

from __future__ import annotations

import json
from typing import Literal

from contract.schedules.jobs import Jobs
from contract.schedules.yaml_text import comment

HOW = ("Copy this file into Airflow's folder of DAGs. Airflow 3; the provider is named in the imports.",)

_DOCKER = '''\
"""Runs {monitor} as the monitoring schedule did: its steps one after another."""

import os
from datetime import UTC, datetime, timedelta

from airflow.providers.docker.operators.docker import DockerOperator
from airflow.sdk import DAG

STEPS = {steps}

# From where the workers of Airflow run; a service account's role needs none of them.
CREDENTIALS = {{name: text for name, text in os.environ.items() if name.startswith("AWS_")}}


class Container(DockerOperator):
    """A container whose variables are taken as they are written: percent signs, braces and all."""

    template_fields = ()


with DAG(
    {name},
    schedule={schedule},
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    catchup=False,
    max_active_runs=1,
    dagrun_timeout=timedelta(seconds={seconds}),
    tags=["model-monitor"],
):
    before = None
    for name, step in STEPS.items():
        task = Container(
            task_id=name,
            image=step["image"],
            entrypoint=step["command"] or None,
            environment=step["variables"],
            private_environment=CREDENTIALS,
            docker_url=os.environ.get("DOCKER_HOST", "unix://var/run/docker.sock"),
            network_mode=os.environ.get("MODEL_MONITOR_NETWORK", "bridge"),
            user="10001:10001",
            mount_tmp_dir=False,
            auto_remove="force",
            mem_limit="{memory}m",
            retries=0,
        )
        if before is not None:
            before >> task
        before = task
'''

_KUBERNETES = '''\
"""Runs {monitor} as the monitoring schedule did: its steps one after another."""

from datetime import UTC, datetime, timedelta

from airflow.providers.cncf.kubernetes.operators.pod import KubernetesPodOperator
from airflow.sdk import DAG
from kubernetes.client import models

STEPS = {steps}

# AWS_ACCESS_KEY_ID and the like, where the service account has no role.
CREDENTIALS = models.V1EnvFromSource(
    secret_ref=models.V1SecretEnvSource(name="model-monitor-s3", optional=True)
)


class Pod(KubernetesPodOperator):
    """A pod whose variables are taken as they are written: names that end in .json are no templates."""

    template_fields = ()
    template_ext = ()


with DAG(
    {name},
    schedule={schedule},
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    catchup=False,
    max_active_runs=1,
    dagrun_timeout=timedelta(seconds={seconds}),
    tags=["model-monitor"],
):
    before = None
    for name, step in STEPS.items():
        task = Pod(
            task_id=name,
            name=name,
            image=step["image"],
            cmds=step["command"] or None,
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
            volumes=[models.V1Volume(name="scratch", empty_dir=models.V1EmptyDirVolumeSource())],
            volume_mounts=[models.V1VolumeMount(name="scratch", mount_path="/tmp")],
            on_finish_action="delete_succeeded_pod",
            retries=0,
        )
        if before is not None:
            before >> task
        before = task
'''

_TEMPLATES = {"docker": _DOCKER, "kubernetes": _KUBERNETES}


def manifest(jobs: Jobs, operator: Literal["docker", "kubernetes"] = "docker") -> str:
    """Return the DAG's text, with DockerOperator or KubernetesPodOperator."""
    steps = {
        step.name: {"image": step.image, "command": list(step.command), "variables": dict(step.variables)}
        for step in jobs.steps
    }
    text = _TEMPLATES[operator].format(
        monitor=jobs.monitor,
        name=json.dumps(jobs.name),
        schedule=None if jobs.cron is None else json.dumps(str(jobs.cron)),
        steps=json.dumps(steps, indent=4, ensure_ascii=False),
        seconds=jobs.seconds,
        processors=jobs.resources.processors,
        memory=jobs.resources.memory,
    )
    return comment((*jobs.notes, *HOW)) + text
