"""A schedule as a CloudFormation stack: EventBridge Scheduler creates a Processing job again and again."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import yaml  # type: ignore[import-untyped] # it has no types of its own

from orchestrators.import_schedule.jobs import MERGE, PLATFORM, Jobs, unique_name
from orchestrators.import_schedule.yaml_text import dump

HOW = (
    (
        "Push the image to a repository of your account, then: aws cloudformation deploy --template-file "
        "FILE --stack-name NAME --capabilities CAPABILITY_IAM --parameter-overrides Image=... (and "
        "AlarmTopic=..., RetrainingPipeline=... if you have them)"
    ),
)


def manifest(jobs: Jobs) -> str:
    """Return the template's text."""
    text = (Path(__file__).parent / "templates" / "sagemaker.yaml").read_text(encoding="utf-8")
    document = yaml.safe_load(text.replace("<monitor>", jobs.monitor).replace("<prefix>", _prefix(jobs)))
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
    return dump(document, jobs.header("sagemaker", HOW))


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
    for step in before:
        if step.name == MERGE:
            variables["dataset_source"] = step.variables["dataset_source"]
            variables["ground_truth_source"] = step.variables["ground_truth_source"]
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
