"""A schedule as a CloudFormation stack: EventBridge Scheduler creates a Processing job again and again."""

from __future__ import annotations

import json
import re
from typing import Any

from orchestrators.import_schedule.jobs import MERGE, PLATFORM, Jobs, unique_name
from orchestrators.import_schedule.yaml_text import dump

HOW = (
    (
        "Push the image to a repository of your account, then: aws cloudformation deploy --template-file "
        "FILE --stack-name NAME --capabilities CAPABILITY_IAM --parameter-overrides Image=... (and "
        "AlarmTopic=..., RetrainingPipeline=... if you have them)"
    ),
)
_ROLE = "Role of the jobs: reads captures, labels and baselines on S3, writes reports."
_PARAMETERS: dict[str, Any] = {
    "Image": {"Type": "String", "Description": "Address of the image in your registry."},
    "AlarmTopic": {
        "Type": "String",
        "Default": "",
        "Description": "ARN of the SNS topic that hears of violations and failures; empty: nobody does.",
    },
    "RetrainingPipeline": {
        "Type": "String",
        "Default": "",
        "Description": "ARN of the SageMaker pipeline that violations start; empty: none.",
    },
}


def manifest(jobs: Jobs) -> str:
    """Return the template's text."""
    document = {
        "AWSTemplateFormatVersion": "2010-09-09",
        "Description": f"model-monitor {jobs.monitor}: schedule, alarm, retraining",
        "Parameters": {
            **_PARAMETERS,
            "Image": {**_PARAMETERS["Image"], **({"Default": jobs.steps[-1].image} if jobs.is_own else {})},
            "JobRole": {"Type": "String", "Default": jobs.description.role, "Description": _ROLE},
        },
        "Conditions": {
            "Alarms": {"Fn::Not": [{"Fn::Equals": [{"Ref": "AlarmTopic"}, ""]}]},
            "Retrains": {"Fn::Not": [{"Fn::Equals": [{"Ref": "RetrainingPipeline"}, ""]}]},
        },
        "Resources": _resources(jobs),
        "Outputs": {"Schedule": {"Value": {"Ref": "Schedule"}}},
    }
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


def _resources(jobs: Jobs) -> dict[str, Any]:
    # Markers that no text of the schedule has: whatever looks like a parameter in one stays as it is.
    written = processing_job(jobs, "\0Image", "\0JobRole")
    request = json.dumps(written, indent=1, separators=(",", ": "), ensure_ascii=False)
    request = request.replace("${", "${!")
    request = re.sub(r"\\u0000(\w+)", r"${\1}", request)
    schedule = {
        "Type": "AWS::Scheduler::Schedule",
        "Properties": {
            "Description": f"Creates the Processing jobs of {jobs.name}.",
            "ScheduleExpression": _expression(jobs),
            "ScheduleExpressionTimezone": "UTC",
            "FlexibleTimeWindow": {"Mode": "OFF"},
            **({"State": "DISABLED"} if jobs.description.stopped else {}),
            "Target": {
                "Arn": _sub("arn:${AWS::Partition}:scheduler:::aws-sdk:sagemaker:createProcessingJob"),
                "RoleArn": {"Fn::GetAtt": ["SchedulerRole", "Arn"]},
                "Input": _sub(request),
                "RetryPolicy": {"MaximumRetryAttempts": 3, "MaximumEventAgeInSeconds": 600},
            },
        },
    }
    prefix = _prefix(jobs)
    violations = {
        "ProcessingJobName": [{"prefix": prefix}],
        # The outcome's sentence; with fail_on_violations, the exit code in the reason of the failure.
        "$or": [
            {"ExitMessage": [{"prefix": "CompletedWithViolations"}]},
            {"FailureReason": [{"wildcard": "*exit code: 3*"}]},
        ],
    }
    failures = {
        "ProcessingJobName": [{"prefix": prefix}],
        "ProcessingJobStatus": ["Failed", "Stopped"],
    }
    return {
        "SchedulerRole": _scheduler_role(prefix, tags=bool(jobs.description.tags)),
        "Schedule": schedule,
        "ViolationsRule": _rule("Violations were found: start retraining.", violations, retrains=True),
        "FailuresRule": _rule("A job could not complete.", failures),
        "RetrainingRole": _retraining_role(),
        "ViolationsAlarm": _alarm("ViolationsRule", "The last hour brought violations."),
        "FailuresAlarm": _alarm("FailuresRule", "A job could not complete in the last hour."),
    }


def _expression(jobs: Jobs) -> str:
    if jobs.cron is None:
        # The past is refused; whoever deploys says when.
        return "at(2030-01-01T00:00:00)"
    minute, hour, day, month, weekday = jobs.cron.fields(first_weekday=1)
    day, weekday = ("?", weekday) if weekday != "*" else (day, "?")
    return f"cron({minute} {hour} {day} {month} {weekday} *)"


def _scheduler_role(prefix: str, *, tags: bool) -> dict[str, Any]:
    jobs = "arn:${AWS::Partition}:sagemaker:${AWS::Region}:${AWS::AccountId}:processing-job/" + prefix + "*"
    actions = ["sagemaker:CreateProcessingJob", *(["sagemaker:AddTags"] if tags else [])]
    passing = {"StringEquals": {"iam:PassedToService": "sagemaker.amazonaws.com"}}
    return _role(
        "scheduler.amazonaws.com",
        "create-jobs",
        [
            {"Effect": "Allow", "Action": actions, "Resource": _sub(jobs)},
            {
                "Effect": "Allow",
                "Action": ["iam:PassRole"],
                "Resource": {"Ref": "JobRole"},
                "Condition": passing,
            },
        ],
        {"StringEquals": {"aws:SourceAccount": {"Ref": "AWS::AccountId"}}},
    )


def _retraining_role() -> dict[str, Any]:
    start = {
        "Effect": "Allow",
        "Action": ["sagemaker:StartPipelineExecution"],
        "Resource": {"Ref": "RetrainingPipeline"},
    }
    return {"Condition": "Retrains", **_role("events.amazonaws.com", "start-pipeline", [start], {})}


def _role(
    service: str, name: str, statements: list[dict[str, Any]], condition: dict[str, Any]
) -> dict[str, Any]:
    trust: dict[str, Any] = {"Effect": "Allow", "Principal": {"Service": service}, "Action": "sts:AssumeRole"}
    if condition:
        trust["Condition"] = condition
    policy = {"Version": "2012-10-17", "Statement": statements}
    return {
        "Type": "AWS::IAM::Role",
        "Properties": {
            "AssumeRolePolicyDocument": {"Version": "2012-10-17", "Statement": [trust]},
            "Policies": [{"PolicyName": name, "PolicyDocument": policy}],
        },
    }


def _rule(description: str, detail: dict[str, Any], *, retrains: bool = False) -> dict[str, Any]:
    properties: dict[str, Any] = {
        "Description": description,
        "EventPattern": {
            "source": ["aws.sagemaker"],
            "detail-type": ["SageMaker Processing Job State Change"],
            "detail": detail,
        },
    }
    if retrains:
        target = {
            "Id": "retraining",
            "Arn": {"Ref": "RetrainingPipeline"},
            "RoleArn": {"Fn::GetAtt": ["RetrainingRole", "Arn"]},
        }
        properties["Targets"] = {"Fn::If": ["Retrains", [target], {"Ref": "AWS::NoValue"}]}
    return {"Type": "AWS::Events::Rule", "Properties": properties}


def _alarm(rule: str, description: str) -> dict[str, Any]:
    return {
        "Type": "AWS::CloudWatch::Alarm",
        "Properties": {
            "AlarmDescription": description,
            "Namespace": "AWS/Events",
            "MetricName": "TriggeredRules",
            "Dimensions": [{"Name": "RuleName", "Value": {"Ref": rule}}],
            "Statistic": "Sum",
            "Period": 3600,
            "EvaluationPeriods": 1,
            "Threshold": 1,
            "ComparisonOperator": "GreaterThanOrEqualToThreshold",
            "TreatMissingData": "notBreaching",
            "AlarmActions": {"Fn::If": ["Alarms", [{"Ref": "AlarmTopic"}], {"Ref": "AWS::NoValue"}]},
        },
    }


def _sub(text: str) -> dict[str, str]:
    return {"Fn::Sub": text}
