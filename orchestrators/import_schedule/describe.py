"""What the service says of a schedule, from files or asked for, in one shape for all four types."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from contract.errors import ConfigurationError

TYPES = {
    "DataQuality": "data-quality",
    "ModelQuality": "model-quality",
    "ModelBias": "bias",
    "ModelExplainability": "feature-attribution",
}
_CALLS = {
    "DataQuality": "describe-data-quality-job-definition",
    "ModelQuality": "describe-model-quality-job-definition",
    "ModelBias": "describe-model-bias-job-definition",
    "ModelExplainability": "describe-model-explainability-job-definition",
}


@dataclass(frozen=True)
class Description:
    """A schedule and its job definition, as the service names their parts.

    Parameters
    ----------
    name
        Of the schedule.
    monitor
        A key of this project's images.
    expression, analysis_start, analysis_end
        When it runs; the last two, durations from the run, only with ``NOW``.
    baseline, application, source, output, cluster, network
        Members of the job definition; `source` is the endpoint's or the transform's input.
    ground_truth
        Where labels are.
    environment
        Variables of the job.
    role, seconds
        The role's ARN, and the most a job may take.
    destination
        Where the endpoint's captures go, when the endpoint was described too.
    """

    name: str
    monitor: str
    expression: str
    analysis_start: str | None
    analysis_end: str | None
    baseline: Mapping[str, Any]
    application: Mapping[str, Any]
    source: Mapping[str, Any]
    ground_truth: str | None
    output: Mapping[str, Any]
    cluster: Mapping[str, Any]
    network: Mapping[str, Any]
    environment: Mapping[str, str]
    role: str
    seconds: int
    destination: str | None


def parse_documents(text: str, name: str) -> list[dict[str, Any]]:
    """Return the JSON objects in a text, one after another as a shell puts them.

    Raises
    ------
    ConfigurationError
        Naming the file and the line.
    """
    decoder = json.JSONDecoder()
    documents = []
    at = 0
    while rest := text[at:].lstrip():
        at = len(text) - len(rest)
        try:
            document, at = decoder.raw_decode(text, at)
        except json.JSONDecodeError as error:
            raise ConfigurationError(
                f"{name} is not JSON ({error.msg} in line {error.lineno}); give what aws sagemaker "
                "describe-... prints with --output json."
            ) from None
        if not isinstance(document, dict):
            raise ConfigurationError(f"{name} holds {type(document).__name__}, not an object as described.")
        documents.append(document)
    return documents


def combine(documents: Sequence[dict[str, Any]]) -> Description:
    """Return the schedule that these descriptions tell of: schedule, job definition and, if given, endpoint.

    Raises
    ------
    ConfigurationError
        Naming what is missing and the command that prints it.
    """
    schedule = _only(documents, "MonitoringScheduleConfig")
    if schedule is None:
        raise ConfigurationError(
            "No schedule was given: add what aws sagemaker describe-monitoring-schedule prints."
        )
    configuration = schedule["MonitoringScheduleConfig"]
    named = configuration.get("MonitoringJobDefinitionName")
    kind = configuration.get("MonitoringType") or schedule.get("MonitoringType") or "DataQuality"
    if kind not in TYPES:
        raise ConfigurationError(f"MonitoringType is {kind!r}; it should be one of {', '.join(TYPES)}.")
    if inline := configuration.get("MonitoringJobDefinition"):
        job = _inline_job(inline)
        kind = _kind_of_inline(kind, job["environment"])
    else:
        definition = _only(documents, f"{kind}AppSpecification")
        if definition is None:
            raise ConfigurationError(
                f"The job definition of schedule {schedule.get('MonitoringScheduleName')} was not given: add "
                f"what aws sagemaker {_CALLS[kind]} --job-definition-name {named} prints."
            )
        job = _defined_job(definition, kind)
    timing = configuration.get("ScheduleConfig") or {"ScheduleExpression": "NOW"}
    endpoint = _only(documents, "DataCaptureConfig") or {}
    try:
        return Description(
            name=schedule["MonitoringScheduleName"],
            monitor=TYPES[kind],
            expression=timing["ScheduleExpression"],
            analysis_start=timing.get("DataAnalysisStartTime"),
            analysis_end=timing.get("DataAnalysisEndTime"),
            destination=endpoint.get("DataCaptureConfig", {}).get("DestinationS3Uri"),
            **job,
        )
    except KeyError as missing:
        raise ConfigurationError(
            f"The description of the schedule lacks {missing}; give all that "
            "describe-monitoring-schedule prints."
        ) from None


def ask_service(name: str) -> Iterator[dict[str, Any]]:
    """Yield the descriptions of a schedule, of its job definition and of its endpoint, asked for with boto3.

    Raises
    ------
    ConfigurationError
        When boto3 is not installed or the service refuses.
    """
    try:
        import boto3
        from botocore.exceptions import BotoCoreError, ClientError
    except ImportError:
        raise ConfigurationError(
            "--schedule-name needs boto3, which is not installed: pip install boto3, or give files that "
            "aws sagemaker describe-monitoring-schedule and describe-...-job-definition printed."
        ) from None
    try:
        client = boto3.client("sagemaker")
        schedule = client.describe_monitoring_schedule(MonitoringScheduleName=name)
        yield schedule
        configuration = schedule["MonitoringScheduleConfig"]
        definition = configuration.get("MonitoringJobDefinitionName")
        if definition:
            call = _CALLS[configuration["MonitoringType"]].replace("-", "_")
            yield getattr(client, call)(JobDefinitionName=definition)
        if endpoint := schedule.get("EndpointName"):
            yield client.describe_endpoint(EndpointName=endpoint)
    except (BotoCoreError, ClientError) as error:
        raise ConfigurationError(
            f"Schedule {name} could not be described ({' '.join(str(error).split())}); check the name, the "
            "region and the right to describe it."
        ) from None


def _only(documents: Sequence[dict[str, Any]], member: str) -> dict[str, Any] | None:
    found = [document for document in documents if document.get(member)]
    if len(found) > 1:
        raise ConfigurationError(
            f"{len(found)} of the descriptions have {member}; give one schedule at a time."
        )
    return found[0] if found else None


def _defined_job(definition: dict[str, Any], kind: str) -> dict[str, Any]:
    application = definition[f"{kind}AppSpecification"]
    inputs = _member(definition, f"{kind}JobInput")
    outputs = _member(definition, f"{kind}JobOutputConfig")
    return {
        "baseline": definition.get(f"{kind}BaselineConfig") or {},
        "application": application,
        "source": inputs.get("EndpointInput") or inputs.get("BatchTransformInput") or {},
        "ground_truth": (inputs.get("GroundTruthS3Input") or {}).get("S3Uri"),
        "output": outputs,
        "cluster": _member(definition, "JobResources").get("ClusterConfig", {}),
        "network": definition.get("NetworkConfig") or {},
        "environment": application.get("Environment") or {},
        "role": _member(definition, "RoleArn"),
        "seconds": _seconds(definition),
    }


def _inline_job(definition: dict[str, Any]) -> dict[str, Any]:
    """Read a job definition that is written into its schedule, as the first schedules were."""
    inputs = [
        entry.get("EndpointInput") or entry.get("BatchTransformInput") or {}
        for entry in _member(definition, "MonitoringInputs")
    ]
    return {
        "baseline": definition.get("BaselineConfig") or {},
        "application": _member(definition, "MonitoringAppSpecification"),
        "source": inputs[0] if inputs else {},
        "ground_truth": None,
        "output": _member(definition, "MonitoringOutputConfig"),
        "cluster": _member(definition, "MonitoringResources").get("ClusterConfig", {}),
        "network": definition.get("NetworkConfig") or {},
        "environment": definition.get("Environment") or {},
        "role": _member(definition, "RoleArn"),
        "seconds": _seconds(definition),
    }


def _kind_of_inline(kind: str, environment: Mapping[str, str]) -> str:
    analysis = environment.get("analysis_type", "").replace("_", "").casefold()
    return next((name for name in TYPES if name.casefold() == analysis), kind)


def _seconds(definition: Mapping[str, Any]) -> int:
    return int((definition.get("StoppingCondition") or {}).get("MaxRuntimeInSeconds", 3600))


def _member(definition: Mapping[str, Any], name: str) -> Any:
    if not definition.get(name):
        raise ConfigurationError(
            f"The job definition lacks {name}; give all that the describe command prints."
        )
    return definition[name]
