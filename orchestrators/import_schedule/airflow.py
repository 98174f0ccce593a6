"""A schedule as a DAG of Airflow: containers of Docker, or pods of Kubernetes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Literal

import jinja2

from orchestrators.import_schedule.jobs import Jobs

HOW = ("Copy this file into Airflow's folder of DAGs. Airflow 3; the provider is named in the imports.",)


def manifest(jobs: Jobs, operator: Literal["docker", "kubernetes"] = "docker") -> str:
    """Return the DAG's text, with DockerOperator or KubernetesPodOperator."""
    parts = ("image", "command", "arguments", "variables")
    steps = {step.name: {part: getattr(step, part) for part in parts} for step in jobs.steps}
    environment = jinja2.Environment(  # noqa: S701 - it writes Python, not HTML
        loader=jinja2.FileSystemLoader(Path(__file__).parent / "templates"),
        keep_trailing_newline=True,
        trim_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    text = environment.get_template("airflow.py.jinja").render(
        operator=operator,
        monitor=jobs.monitor,
        resources=jobs.resources,
        steps=json.dumps(steps, indent=4, ensure_ascii=False),
        name=json.dumps(jobs.name),
        schedule=None if jobs.cron is None else json.dumps(str(jobs.cron)),
        seconds=jobs.description.seconds,
        stopped=jobs.description.stopped,
    )
    return jobs.header("airflow" if operator == "docker" else "airflow-kubernetes", HOW) + text
