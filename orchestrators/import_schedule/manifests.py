"""Jobs written for one orchestrator each: Kubernetes, Argo, Docker Compose, SageMaker, Airflow."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path
from typing import Any, Literal

import jinja2
import yaml  # type: ignore[import-untyped] # it has no types of its own

from contract.errors import ConfigurationError
from orchestrators.import_schedule.jobs import PLATFORM, Jobs, Step, unique_name

# What every version of YAML reads as itself: no number, no date, nothing with a colon and a space.
_PLAIN = re.compile(r"[A-Za-z_/][A-Za-z0-9_./-]*")
_WORDS = {"true", "false", "null", "yes", "no", "on", "off", "y", "n"}
# Characters that some readers take for the end of a line.
_LINES = re.compile("[\r\x85\u2028\u2029\ufeff]")


class _Dumper(yaml.SafeDumper):  # type: ignore[misc] # PyYAML has no types
    """Writes plain words as they are, several lines as such, and any other text in quotes."""

    def ignore_aliases(self, _: Any) -> bool:
        """Write everything out, however often it occurs."""
        return True

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> Any:
        """Indent lists below their names."""
        return super().increase_indent(flow, False)


def _text(dumper: _Dumper, text: str) -> yaml.Node:
    style: str | None = '"'
    if _PLAIN.fullmatch(text) and text.casefold() not in _WORDS:
        style = None
    elif not _LINES.search(text) and (text.count("\n") > 1 or ('"' in text and "\n" not in text)):
        style = "|" if "\n" in text else "'"
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style)


_Dumper.add_representer(str, _text)


def dump(value: Any, header: str = "") -> str:
    """Return a document below its comment; texts that could be mistaken are quoted."""
    text: str = yaml.dump(
        value, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=10**9, default_flow_style=False
    )
    return header + text


def _template(name: str, **marks: str) -> Any:
    """Return a template, with a text in place of each mark, such as ``<monitor>``."""
    text = (Path(__file__).parent / "templates" / name).read_text(encoding="utf-8")
    return yaml.safe_load(re.sub("<(\\w+)>", lambda mark: marks.get(mark[1], mark[0]), text))


_COMMON = _template("kubernetes.yaml")

# A schedule for Kubernetes or Argo: a CronJob or CronWorkflow, a Job or Workflow where it runs once.


def for_kubernetes(jobs: Jobs) -> str:
    """Return the manifest's text for Kubernetes."""
    spec = _job(jobs)
    template = {"metadata": {"labels": _labels(jobs)}, "spec": spec}
    times = {"schedule": str(jobs.cron), "timeZone": "Etc/UTC"}
    document = _document(jobs, "batch/v1", "Job", spec, times, {"jobTemplate": template})
    return dump(document, jobs.header("kubernetes"))


def for_argo(jobs: Jobs) -> str:
    """Return the manifest's text for Argo."""
    spec = _workflow(jobs)
    flow = {"workflowMetadata": {"labels": _labels(jobs)}, "workflowSpec": spec}
    times = {"schedules": [str(jobs.cron)], "timezone": "Etc/UTC"}
    document = _document(jobs, "argoproj.io/v1alpha1", "Workflow", spec, times, flow)
    return dump(document, jobs.header("argo"))


def _document(
    jobs: Jobs, api: str, kind: str, spec: dict[str, Any], times: dict[str, Any], template: dict[str, Any]
) -> dict[str, Any]:
    """Return what runs once, or at all `times` from a template."""
    suspended = {"suspend": True} if jobs.description.stopped else {}
    if jobs.cron is None:
        spec = {**spec, **suspended}
    else:
        kind, spec = f"Cron{kind}", {**times, **suspended, **_COMMON["schedule"], **template}
    metadata = {"name": jobs.name, "labels": _labels(jobs)}
    return {"apiVersion": api, "kind": kind, "metadata": metadata, "spec": spec}


def _labels(jobs: Jobs) -> dict[str, str]:
    return {"app.kubernetes.io/name": jobs.description.monitor, "app.kubernetes.io/part-of": "model-monitor"}


def _container(jobs: Jobs, step: Step) -> dict[str, Any]:
    # Kubernetes shows this file's content as the container's termination message.
    variables = {**step.variables, "output_message_file": "/dev/termination-log"}
    limits = {"cpu": str(jobs.resources.processors), "memory": f"{jobs.resources.memory}Mi"}
    return {
        "image": step.image,
        "imagePullPolicy": "IfNotPresent",
        **({"command": [*map(_literal, step.command)]} if step.command else {}),
        **({"args": [*map(_literal, step.arguments)]} if step.arguments else {}),
        "env": [{"name": name, "value": _literal(text)} for name, text in variables.items()],
        **_COMMON["container"],
        "resources": {**_COMMON["container"]["resources"], "limits": limits},
    }


def _scratch(jobs: Jobs) -> list[dict[str, Any]]:
    """Return the volumes of a pod: one to write on, as large as the instance's was."""
    return [{"name": "scratch", "emptyDir": {"sizeLimit": f"{jobs.resources.volume}Gi"}}]


def _literal(text: str) -> str:
    # Kubernetes puts a variable in place of $(NAME), and one dollar sign in place of two.
    return text.replace("$", "$$")


def _job(jobs: Jobs) -> dict[str, Any]:
    *before, last = [{"name": step.name, **_container(jobs, step)} for step in jobs.steps]
    pod = {
        "restartPolicy": "Never",
        **_COMMON["pod"],
        **({"initContainers": before} if before else {}),
        "containers": [last],
        "volumes": _scratch(jobs),
    }
    return {
        **_COMMON["job"],
        "activeDeadlineSeconds": jobs.description.seconds,
        "template": {"metadata": {"labels": _labels(jobs)}, "spec": pod},
    }


def _workflow(jobs: Jobs) -> dict[str, Any]:
    for name, text in ((name, text) for step in jobs.steps for name, text in step.variables.items()):
        if "{{" in text:
            raise ConfigurationError.of("argo.braces", field=name, text=json.dumps(text))
    # One list of one step each: a step starts when the one before it has succeeded.
    order = [[{"name": step.name, "template": step.name}] for step in jobs.steps]
    templates = [
        {"name": step.name, "retryStrategy": _COMMON["retries"], "container": _container(jobs, step)}
        for step in jobs.steps
    ]
    return {
        "entrypoint": "in-order",
        "activeDeadlineSeconds": jobs.description.seconds,
        **_COMMON["pod"],
        "volumes": _scratch(jobs),
        "templates": [{"name": "in-order", "steps": order}, *templates],
    }


# A schedule as a service of Docker Compose that waits for its hour, works, and waits again.


# Dollar signs are Compose's own; two of them are one of the shell's. Every hour it looks whether it is due.
_LOOP = """\
trap 'exit 143' TERM
while :; do
  sleep $$((3600 - ($$(date +%s) - {offset}) % 3600)) & wait $$!
  {conditions}
{work}
done"""


def for_compose(jobs: Jobs) -> str:
    """Return the file's text.

    Raises
    ------
    ConfigurationError
        When an image of one's own says no entry point, which the loop has to call.
    """
    service = _template("compose.yaml")
    service |= {"image": jobs.steps[-1].image, "command": [_script(jobs) + "\n"]}
    service["mem_limit"] = f"{jobs.resources.memory}m"
    if jobs.cron is None:
        service["restart"] = "no"
    if not jobs.description.stopped:
        del service["profiles"]
    return dump({"version": "2.4", "services": {jobs.name: service}}, jobs.header("compose"))


def _script(jobs: Jobs) -> str:
    order = " &&\n".join(_call(step, jobs.description.seconds) for step in jobs.steps)
    if jobs.cron is None:
        return order
    cron, conditions = jobs.cron, []
    due = (("%H", cron.hours), ("%d", cron.days), ("%m", cron.months), ("%w", cron.weekdays))
    for (field, values), text in zip(due, cron.fields()[1:], strict=True):
        if text != "*":
            listed = "|".join(str(value) if field == "%w" else f"{value:02}" for value in values)
            conditions.append(f"case $$(date -u +{field}) in {listed}) ;; *) continue ;; esac")
    return _LOOP.format(offset=cron.minute * 60, conditions="\n  ".join(conditions) or ":", work=order)


def _call(step: Step, seconds: int) -> str:
    if not step.command:
        raise ConfigurationError.of("job_definition.no_entrypoint", image=step.image)
    words: list[Any] = ["env", *(f"{name}={text}" for name, text in step.variables.items())]
    words += ["timeout", str(seconds), *step.command, *step.arguments]
    text = "  " + " \\\n    ".join(shlex.quote(str(word)) for word in words)
    return text.replace("$", "$$")


# A schedule as a CloudFormation stack: EventBridge Scheduler creates a Processing job again and again.


def for_sagemaker(jobs: Jobs) -> str:
    """Return the template's text."""
    document = _template("sagemaker.yaml", monitor=jobs.description.monitor, prefix=_prefix(jobs))
    parameters = document["Parameters"]
    parameters["JobRole"]["Default"] = jobs.description.role
    if jobs.is_own:
        parameters["Image"]["Default"] = jobs.steps[-1].image
    if jobs.description.tags:
        policy = document["Resources"]["SchedulerRole"]["Properties"]["Policies"][0]["PolicyDocument"]
        policy["Statement"][0]["Action"].append("sagemaker:AddTags")
    # Markers that no text of the schedule has: whatever looks like a parameter in one stays as it is.
    job = processing_job(jobs, "\0Image", "\0JobRole")
    request = json.dumps(job, indent=1, separators=(",", ": "), ensure_ascii=False).replace("${", "${!")
    schedule = document["Resources"]["Schedule"]["Properties"]
    schedule["Description"] = f"Creates the Processing jobs of {jobs.name}."
    schedule["ScheduleExpression"] = _expression(jobs)
    schedule["Target"]["Input"] = {"Fn::Sub": re.sub(r"\\u0000(\w+)", r"${\1}", request)}
    if jobs.description.stopped:
        schedule["State"] = "DISABLED"
    else:
        del schedule["State"]
    return dump(document, jobs.header("sagemaker"))


def processing_job(jobs: Jobs, image: str, role: str) -> dict[str, Any]:
    """Return the request that creates one run's job, as EventBridge Scheduler sends it.

    The job joins labels while it reads, so that one job is enough; the marks in angle brackets are replaced
    by the scheduler, and a run's name so is its own.
    """
    description, last = jobs.description, jobs.steps[-1]
    network = {name: part for name, part in description.network.items() if name != "EnableNetworkIsolation"}
    cluster = {
        "InstanceCount": jobs.resources.instances,
        "InstanceType": jobs.resources.instance_type,
        "VolumeSizeInGB": jobs.resources.volume,
    }
    if key := description.cluster.get("VolumeKmsKeyId"):
        cluster["VolumeKmsKeyId"] = key
    return {
        "ProcessingJobName": f"{_prefix(jobs)}<aws.scheduler.execution-id>",
        "RoleArn": role,
        "AppSpecification": {
            "ImageUri": image,
            **({"ContainerEntrypoint": list(last.command)} if last.command else {}),
            **({"ContainerArguments": list(last.arguments)} if last.arguments else {}),
        },
        "Environment": _joined_variables(jobs),
        "ProcessingResources": {"ClusterConfig": cluster},
        "StoppingCondition": {"MaxRuntimeInSeconds": description.seconds},
        **({"NetworkConfig": network} if network else {}),
        **({"Tags": list(description.tags)} if description.tags else {}),
    }


def _prefix(jobs: Jobs) -> str:
    # The scheduler's identifier has 36 characters, a job's name at most 63. With a digest always, so that no
    # schedule's jobs begin as those of another do, whose alarms they would raise.
    return unique_name(jobs.description.name, 26, always=True) + "-"


def _joined_variables(jobs: Jobs) -> dict[str, str]:
    *before, last = jobs.steps
    variables = dict(last.variables)
    for merging in before:
        variables |= {name: merging.variables[name] for name in ("dataset_source", "ground_truth_source")}
        variables["dataset_format"] = variables["dataset_format"].replace("MergeJson", "CaptureJson")
    kept = {name: text for name, text in jobs.description.environment.items() if name in PLATFORM}
    return {**variables, **kept}


def _expression(jobs: Jobs) -> str:
    if jobs.cron is None:
        # The past is refused; whoever deploys says when.
        return "at(2030-01-01T00:00:00)"
    minute, hour, day, month, weekday = jobs.cron.fields(first_weekday=1)
    day, weekday = ("?", weekday) if weekday != "*" else (day, "?")
    return f"cron({minute} {hour} {day} {month} {weekday} *)"


# A schedule as a DAG of Airflow: containers of Docker, or pods of Kubernetes.


def for_airflow(jobs: Jobs, operator: Literal["docker", "kubernetes"] = "docker") -> str:
    """Return the DAG's text, with DockerOperator or KubernetesPodOperator."""
    parts = ("image", "command", "arguments", "variables")
    steps = {step.name: {part: getattr(step, part) for part in parts} for step in jobs.steps}
    written = json.dumps(steps, indent=4, ensure_ascii=False)
    environment = jinja2.Environment(  # noqa: S701 - it writes Python, not HTML
        loader=jinja2.FileSystemLoader(Path(__file__).parent / "templates"),
        keep_trailing_newline=True,
        trim_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    text = environment.get_template("airflow.py.jinja").render(
        operator=operator,
        monitor=jobs.description.monitor,
        resources=jobs.resources,
        steps=_literal(written) if operator == "kubernetes" else written,
        name=json.dumps(jobs.name),
        schedule=None if jobs.cron is None else json.dumps(str(jobs.cron)),
        seconds=jobs.description.seconds,
        stopped=jobs.description.stopped,
    )
    return jobs.header("airflow" if operator == "docker" else "airflow-kubernetes") + text
