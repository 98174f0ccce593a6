"""CloudFormation: linted, deployed against moto, and the scheduler's requests sent."""

from __future__ import annotations

import json
import re
import uuid
import warnings
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
import yaml
from fixtures import ROOT
from imported_schedules import MONITORS, descriptions, import_schedule
from run_jobs import NO_VIOLATIONS, VIOLATIONS
from schedule_world import options

STACK = ROOT / "orchestrators" / "sagemaker" / "monitors.yaml"
REGISTRY = "111122223333.dkr.ecr.us-east-1.amazonaws.com/model-monitor"
TOPIC = "arn:aws:sns:us-east-1:111122223333:alarms"
PIPELINE = "arn:aws:sagemaker:us-east-1:111122223333:pipeline/retraining"
RUN = str(uuid.UUID(int=7))


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """An account in this process, without anything in it."""
    moto = pytest.importorskip("moto")
    for name, value in {
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_DEFAULT_REGION": "us-east-1",
    }.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    with moto.mock_aws():
        yield


def stacks() -> dict[str, str]:
    imported = {
        f"imported-{monitor}": import_schedule("--to", "sagemaker", *options(monitor), *descriptions(monitor))
        for monitor in MONITORS
    }
    return {"monitors": STACK.read_text(encoding="utf-8"), **imported}


@pytest.mark.parametrize("name", ["monitors", *(f"imported-{monitor}" for monitor in MONITORS)])
def test_cfn_lint_finds_nothing(name: str) -> None:
    api = pytest.importorskip("cfnlint.api")
    found = api.lint_all(stacks()[name])
    assert [str(match) for match in found if match.rule.severity != "informational"] == []


def deploy(name: str) -> dict[str, dict[str, Any]]:
    """Create a stack, and its schedules and alarms, which moto's CloudFormation lacks; return those."""
    parameters = {
        "AlarmTopic": TOPIC,
        "RetrainingPipeline": PIPELINE,
        **(
            {
                "Registry": REGISTRY,
                "Bucket": "my-bucket",
                "Endpoint": "churn",
                "BaselinesAt": "2030-01-01T00:00:00",
            }
            if name == "monitors"
            else {"Image": f"{REGISTRY}/{name.removeprefix('imported-')}:latest"}
        ),
    }
    text = stacks()[name]
    formation = boto3.client("cloudformation")
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", r"Tried to parse AWS::(Scheduler::Schedule|CloudWatch::Alarm)")
        formation.create_stack(
            StackName=name,
            TemplateBody=text,
            Capabilities=["CAPABILITY_IAM"],
            Parameters=[{"ParameterKey": key, "ParameterValue": value} for key, value in parameters.items()],
        )
        assert formation.describe_stacks(StackName=name)["Stacks"][0]["StackStatus"] == "CREATE_COMPLETE"
        made = formation.list_stack_resources(StackName=name)["StackResourceSummaries"]
    template = yaml.load(text, Loader)
    values = known_values(template, parameters, made)
    scheduler = boto3.client("scheduler")
    found = {}
    for logical, resource in template["Resources"].items():
        if resource["Type"] == "AWS::CloudWatch::Alarm":
            alarm = resolved(resource["Properties"], values)
            boto3.client("cloudwatch").put_metric_alarm(AlarmName=logical, **alarm)
        if resource["Type"] == "AWS::Scheduler::Schedule":
            scheduler.create_schedule(Name=logical, **resolved(resource["Properties"], values))
            found[logical] = scheduler.get_schedule(Name=logical)
            assert found[logical]["Target"]["Arn"].endswith(":aws-sdk:sagemaker:createProcessingJob")
    return found


class Loader(yaml.SafeLoader):
    """YAML with CloudFormation's short names of functions."""


def _function(loader: yaml.SafeLoader, suffix: str, node: yaml.Node) -> dict[str, Any]:
    if isinstance(node, yaml.SequenceNode):
        value: Any = loader.construct_sequence(node, deep=True)
    else:
        value = loader.construct_scalar(node)
    if suffix == "GetAtt":
        value = value.split(".")
    return {suffix if suffix in ("Ref", "Condition") else f"Fn::{suffix}": value}


Loader.add_multi_constructor("!", _function)


def known_values(
    template: dict[str, Any], parameters: dict[str, str], made: list[dict[str, Any]]
) -> dict[str, str]:
    values = {"AWS::Partition": "aws", "AWS::Region": "us-east-1", "AWS::AccountId": "111122223333"}
    values |= {
        name: str(parameter["Default"])
        for name, parameter in template["Parameters"].items()
        if "Default" in parameter
    }
    values |= parameters
    iam = boto3.client("iam")
    for resource in made:
        values[resource["LogicalResourceId"]] = resource["PhysicalResourceId"]
        if resource["ResourceType"] == "AWS::IAM::Role":
            role = iam.get_role(RoleName=resource["PhysicalResourceId"])["Role"]
            values[f"{resource['LogicalResourceId']}.Arn"] = role["Arn"]
    return values


def resolved(value: Any, values: dict[str, str]) -> Any:
    if isinstance(value, list):
        return [resolved(entry, values) for entry in value]
    if not isinstance(value, dict):
        return value
    if "Ref" in value:
        return values[value["Ref"]]
    if "Fn::If" in value:
        return resolved(value["Fn::If"][1], values)  # everything optional is given
    if "Fn::GetAtt" in value:
        return values[".".join(value["Fn::GetAtt"])]
    if "Fn::Sub" in value:
        return re.sub(r"\$\{([^}]+)\}", lambda name: values[name[1]], value["Fn::Sub"])
    return {name: resolved(entry, values) for name, entry in value.items()}


@pytest.mark.usefixtures("aws")
@pytest.mark.parametrize("name", ["monitors", *(f"imported-{monitor}" for monitor in MONITORS)])
def test_the_scheduler_s_request_creates_a_job(name: str) -> None:
    schedules = deploy(name)
    assert len(schedules) == (8 if name == "monitors" else 1)
    for schedule in schedules.values():
        request = json.loads(schedule["Target"]["Input"].replace("<aws.scheduler.execution-id>", RUN))
        assert len(request["ProcessingJobName"]) <= 63
        assert "$" not in schedule["Target"]["Input"]
        client = boto3.client("sagemaker")
        # botocore checks the request against the service's own model; moto keeps it.
        client.create_processing_job(**request)
        job = client.describe_processing_job(ProcessingJobName=request["ProcessingJobName"])
        assert job["AppSpecification"]["ImageUri"].startswith(REGISTRY)
        is_baseline = "mm-baseline-" in request["ProcessingJobName"]
        path = request["Environment"]["output_path"]
        assert ("/baseline/" in path) if is_baseline else path.endswith(("%Y/%m/%d/%H", "%Y/%m/%d"))
        assert job["RoleArn"].startswith("arn:aws:iam::")


@pytest.mark.usefixtures("aws")
def test_violations_start_the_pipeline_and_raise_the_alarm() -> None:
    deploy("monitors")
    events = boto3.client("events")
    rules = {rule["Description"]: rule for rule in events.list_rules()["Rules"]}
    rule = rules["Violations were found."]
    (target,) = events.list_targets_by_rule(Rule=rule["Name"])["Targets"]
    assert target["Arn"] == PIPELINE
    drifted = {
        "ProcessingJobName": f"mm-data-quality-{RUN}",
        "ProcessingJobStatus": "Completed",
        "ExitMessage": VIOLATIONS.format(2),
    }
    failed = {**drifted, "ProcessingJobStatus": "Failed", "FailureReason": "AlgorithmError: , exit code: 3"}
    del failed["ExitMessage"]
    quiet = {**drifted, "ExitMessage": NO_VIOLATIONS}
    other = {**drifted, "ProcessingJobName": "somebody-elses-job"}
    assert [matches(rule, detail) for detail in (drifted, failed, quiet, other)] == [True, True, False, False]
    alarms = boto3.client("cloudwatch").describe_alarms()["MetricAlarms"]
    assert {alarm["Dimensions"][0]["Value"] for alarm in alarms} == {rule["Name"] for rule in rules.values()}
    assert all(alarm["AlarmActions"] == [TOPIC] for alarm in alarms)


def matches(rule: dict[str, Any], detail: dict[str, Any]) -> bool:
    """Whether an event matches a rule's pattern, as EventBridge would say."""
    pattern = json.loads(rule["EventPattern"])
    assert pattern["source"] == ["aws.sagemaker"]
    assert pattern["detail-type"] == ["SageMaker Processing Job State Change"]
    return fits(pattern["detail"], detail)


def fits(pattern: dict[str, Any], detail: dict[str, Any]) -> bool:
    if alternatives := pattern.get("$or"):
        rest = {name: conditions for name, conditions in pattern.items() if name != "$or"}
        return fits(rest, detail) and any(fits(alternative, detail) for alternative in alternatives)
    return all(
        any(holds(condition, detail.get(name, "")) for condition in conditions)
        for name, conditions in pattern.items()
    )


def holds(condition: Any, text: str) -> bool:
    if isinstance(condition, str):
        return text == condition
    ((kind, wanted),) = condition.items()
    if kind == "prefix":
        return text.startswith(wanted)
    assert kind == "wildcard"
    return wanted.strip("*") in text


@pytest.mark.parametrize("name", ["monitors", *(f"imported-{monitor}" for monitor in MONITORS)])
def test_the_roles_may_do_no_more_than_they_must(name: str) -> None:
    resources = yaml.load(stacks()[name], Loader)["Resources"].values()
    roles = [resource["Properties"] for resource in resources if resource["Type"] == "AWS::IAM::Role"]
    assert len(roles) == (3 if name == "monitors" else 2)
    for policy in (policy for role in roles for policy in role["Policies"]):
        for statement in policy["PolicyDocument"]["Statement"]:
            actions = statement["Action"]
            actions = [actions] if isinstance(actions, str) else actions
            assert not any("*" in action for action in actions)
            if statement["Resource"] == "*":
                assert set(actions) <= {"ecr:GetAuthorizationToken", "cloudwatch:PutMetricData"}
