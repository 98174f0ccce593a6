"""Every field that the service describes, what it must hold, and what becomes of it on each orchestrator.

The one declaration `FIELDS` checks what is read and writes the table above each manifest.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from fnmatch import fnmatchcase
from functools import cache
from typing import Any, NamedTuple

from contract.errors import ConfigurationError

Scalar = str | int | float | bool

TARGETS = ("kubernetes", "sagemaker", "airflow", "airflow-kubernetes", "argo", "compose")
_OBJECTS = re.compile(
    r"(Monitoring)?ScheduleConfig|MonitoringJobDefinition|\w*BaselineConfig|(Constraints|Statistics)Resource|"
    r"EndpointInput|BatchTransformInput|DatasetFormat|Csv|Json|Parquet|GroundTruthS3Input|\w*JobInput|"
    r"\w*OutputConfig|S3Output|(Monitoring|Job)Resources|ClusterConfig|StoppingCondition|\w*AppSpecification|"
    r"NetworkConfig|VpcConfig|Environment|DataCaptureConfig|LastMonitoringExecutionSummary"
)
_LISTS = {
    **dict.fromkeys(("MonitoringInputs", "MonitoringOutputs", "Outputs", "Tags"), "objects"),
    **dict.fromkeys(("ContainerEntrypoint", "ContainerArguments", "SecurityGroupIds", "Subnets"), "texts"),
}
# What a value must be: its pattern, and the words for it.
_SHAPES = {
    "any": (r"(?s:.*)", "a text or a number"),
    "text": (r"(?s:.+)", "a text"),
    "name": (r"[A-Za-z0-9](?:-*[A-Za-z0-9]){0,62}", "a name of at most 63 letters, digits and dashes"),
    "image": (r"[\w./:@-]+", "the address of an image"),
    "address": (r"s3://[^/\s]+(?:/[^\x00-\x1f]*)?", "an address such as s3://BUCKET/PREFIX"),
    "duration": (r"[+-]?P(?:\d{1,4}[DW])?(?:T(?:\d{1,5}[HMS])+)?", "a duration of ISO 8601 such as -PT1H"),
    "arn": (r"arn:[\w:/+=,.@-]+", "an ARN"),
    "count": (r"[1-9]\d{0,8}", "a number of 1 or more"),
    "number": (r"-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?", "a number"),
    "switch": (r"(?i:true|false)", "true or false"),
}
_UNTEXTUAL = re.compile("[\x00\ud800-\udfff]")
_VARIABLE = re.compile(r"[A-Za-z_]\w*", re.ASCII)


class Field(NamedTuple):
    """A member: its path's end, what it holds, what becomes of it; `others` names exceptions by target.

    What becomes of it starts with `kept` (the value is in the manifest), `changed` or `left out`.
    """

    path: str
    shape: str
    becomes: str
    others: Mapping[str, str] = {}


def _sagemaker(path: str, shape: str, kept: str, elsewhere: str) -> Field:
    return Field(path, shape, elsewhere, {"sagemaker": kept})


_PAST = "left out: of the past"
_ITSELF = "left out: the job reads and writes S3 itself"
_OTHER_SERVICE = "left out: a name of what stays behind"
FIELDS = (
    Field("LastMonitoringExecutionSummary.*", "any", _PAST),
    Field("ResponseMetadata.*", "any", _PAST),
    Field("FailureReason", "any", _PAST),
    Field("CreationTime", "any", _PAST),
    Field("LastModifiedTime", "any", _PAST),
    Field("MonitoringScheduleArn", "any", _OTHER_SERVICE),
    Field("JobDefinitionArn", "any", _OTHER_SERVICE),
    Field("JobDefinitionName", "any", _OTHER_SERVICE),
    Field("MonitoringJobDefinitionName", "any", _OTHER_SERVICE),
    Field("MonitoringScheduleName", "name", "kept: sagemaker_monitoring_schedule_name, and a part of names"),
    Field("MonitoringScheduleStatus", "any", "changed: the manifest runs as soon as it is applied"),
    Field("MonitoringType", "any", "changed: which image, which command"),
    Field("ScheduleExpression", "text", "changed: five fields, UTC"),
    Field("DataAnalysisStartTime", "duration", "changed: window, start_time_offset"),
    Field("DataAnalysisEndTime", "duration", "changed: window, end_time_offset"),
    Field("ImageUri", "image", "changed: this project's image"),
    Field("ContainerEntrypoint", "text", "left out: this project's image has its own"),
    Field("ContainerArguments", "text", "left out: this project's image takes none"),
    Field("BaseliningJobName", "any", "left out: the baseline is named by its files"),
    Field("ConstraintsResource.S3Uri", "address", "kept: baseline_constraints"),
    Field("StatisticsResource.S3Uri", "address", "kept: baseline_statistics"),
    Field("RecordPreprocessorSourceUri", "text", "kept: record_preprocessor_script"),
    Field("PostAnalyticsProcessorSourceUri", "text", "kept: post_analytics_processor_script"),
    Field("ConfigUri", "text", "kept: analysis_config"),
    Field("ProblemType", "text", "kept: problem_type"),
    _sagemaker(
        "Environment.publish_cloudwatch_metrics",
        "any",
        "kept: variable of that name",
        "left out: nobody collects its files here; metrics_sinks=cloudwatch sends them",
    ),
    _sagemaker(
        "Environment.cloudwatch_metrics_directory", "any", "kept: variable of that name", "left out: no agent"
    ),
    Field("Environment.analysis_type", "any", "left out: each image has one analysis"),
    Field("Environment.output_message_file", "any", "left out: the orchestrator's own is written"),
    Field("Environment.*", "any", "kept: variable of that name"),
    Field("EndpointInput.EndpointName", "name", "kept: sagemaker_endpoint_name"),
    Field("schedule.EndpointName", "any", "left out: the job definition names the endpoint"),
    Field("DataCapturedDestinationS3Uri", "address", "left out: holds lists of files; --captures says where"),
    Field("Csv.Header", "switch", "changed: dataset_format"),
    Field("Json.Line", "switch", "changed: dataset_format"),
    Field("*Input.LocalPath", "text", "left out: nothing is mounted, dataset_source is read from S3"),
    Field("S3InputMode", "any", _ITSELF),
    Field("S3DataDistributionType", "any", "left out: a job shares its files out by itself"),
    Field("S3UploadMode", "any", "left out: reports appear whole or not at all, when the job ends"),
    Field("S3Output.LocalPath", "text", "left out: output_path is written to S3 itself"),
    Field("S3Output.S3Uri", "address", "kept: start of output_path"),
    Field("FeaturesAttribute", "text", "kept: features_attribute"),
    Field("InferenceAttribute", "text", "kept: inference_attribute"),
    Field("ProbabilityAttribute", "text", "kept: probability_attribute"),
    Field("ProbabilityThresholdAttribute", "number", "kept: probability_threshold_attribute"),
    Field("ExcludeFeaturesAttribute", "text", "kept: exclude_features_attribute"),
    Field("StartTimeOffset", "duration", "kept: start_time_offset"),
    Field("EndTimeOffset", "duration", "kept: end_time_offset"),
    Field("GroundTruthS3Input.S3Uri", "address", "kept: ground_truth_source"),
    Field("DataCaptureConfig.DestinationS3Uri", "address", "kept: start of dataset_source"),
    Field("DataCaptureConfig.KmsKeyId", "any", "left out: who reads captures needs kms:Decrypt for it"),
    Field("*OutputConfig.KmsKeyId", "any", "kept: output_kms_key"),
    _sagemaker("InstanceCount", "count", "kept: InstanceCount", "left out: one container works on all cores"),
    _sagemaker("InstanceType", "text", "kept: InstanceType", "changed: limits of processors and memory"),
    Field(
        "VolumeSizeInGB",
        "count",
        "kept: size of the scratch volume",
        {
            "sagemaker": "kept: VolumeSizeInGB",
            **dict.fromkeys(("airflow", "compose"), "left out: the disk is the host's"),
        },
    ),
    _sagemaker("VolumeKmsKeyId", "any", "kept: VolumeKmsKeyId", "left out: encrypt the node's disk"),
    _sagemaker(
        "EnableInterContainerTrafficEncryption",
        "switch",
        "kept: NetworkConfig",
        "left out: containers of a job do not talk to each other",
    ),
    Field("EnableNetworkIsolation", "switch", f"{_ITSELF}: allow it that and nothing else"),
    _sagemaker("SecurityGroupIds", "text", "kept: NetworkConfig", "left out: see that this place reaches S3"),
    _sagemaker("Subnets", "text", "kept: NetworkConfig", "left out: see that this place reaches S3"),
    _sagemaker(
        "RoleArn", "arn", "kept: parameter JobRole", "left out: give what runs here the same rights on S3"
    ),
    Field("MaxRuntimeInSeconds", "count", "kept: the deadline"),
    _sagemaker("Tags.Key", "text", "kept: tags of each job", "left out: of the bill of the service"),
    _sagemaker("Tags.Value", "any", "kept: tags of each job", "left out: of the bill of the service"),
    Field("endpoint.*", "any", "left out: of the endpoint, which stays as it is"),
    Field("baseline-job.ProcessingOutputConfig.*.S3Uri", "address", "kept: the baseline's folder"),
    Field("baseline-job.*", "any", "left out: of the job that made the baseline"),
)
_UNKNOWN = Field("*", "any", "left out: unknown to import-schedule; see whether it matters")


@cache
def field_of(path: str) -> Field:
    """Return the field that a member's path belongs to."""
    plain = "." + re.sub(r"\[\d+\]", "", path)
    return next((field for field in FIELDS if fnmatchcase(plain, f"*.{field.path}")), _UNKNOWN)


def checked(value: Any, path: str) -> Any:
    """Return a member without what is null in it.

    Raises
    ------
    ConfigurationError
        Naming the first member that is not what the service sends.
    """
    name = path.rpartition(".")[2]
    inner = path.rpartition(".")[0].endswith("Environment")
    if _OBJECTS.fullmatch(name) and not inner:
        _expect(isinstance(value, dict), path, value, "an object")
    if name in _LISTS and not inner:
        _expect(isinstance(value, list), path, value, "a list")
        kind = dict if _LISTS[name] == "objects" else str
        for at, member in enumerate(value):
            _expect(isinstance(member, kind), f"{path}[{at}]", member, f"one of {_LISTS[name]}")
    field = field_of(path)
    if not (_OBJECTS.fullmatch(name) or name in _LISTS or field.path.endswith("*")) or inner:
        _expect(not isinstance(value, dict | list), path, value, _SHAPES[field.shape][1])
    if isinstance(value, dict):
        return {key: checked(part, f"{path}.{key}") for key, part in value.items() if part is not None}
    if isinstance(value, list):
        return [checked(part, f"{path}[{at}]") for at, part in enumerate(value)]
    pattern, words = _SHAPES[field.shape]
    if field.shape not in ("any", "count", "number", "switch") or inner:
        _expect(isinstance(value, str), path, value, words)
    text = json.dumps(value) if not isinstance(value, str) else value
    _expect(re.fullmatch(pattern, text) is not None, path, value, words)
    _expect(not _UNTEXTUAL.search(text), path, value, "text without the characters NUL and lone surrogates")
    _expect(not inner or _VARIABLE.fullmatch(name), path, name, "a name of letters, digits and underscores")
    return value


def _expect(holds: object, path: str, value: Any, words: str) -> None:
    if not holds:
        raise ConfigurationError(
            f"{_plain(path)} is {json.dumps(value)[:80]}; it should be {words}, as described."
        )


def scalars(value: Any, path: str) -> Iterator[tuple[str, Scalar]]:
    """Yield path and value of every scalar below a member."""
    if isinstance(value, dict):
        for key, part in value.items():
            yield from scalars(part, f"{path}.{key}")
    elif isinstance(value, list):
        for at, part in enumerate(value):
            yield from scalars(part, f"{path}[{at}]")
    else:
        yield path, value


def table(found: Iterable[tuple[str, Scalar]], target: str, said: Mapping[str, str]) -> list[str]:
    """Return a line for each scalar: its path, its value, what became of it.

    Parameters
    ----------
    said
        What this schedule makes of members, by their own path or `Field.path`, where the table says else.
    """
    lines = ["What became of each member:"]
    for path, value in found:
        field = field_of(path)
        text = said.get(path) or said.get(field.path) or field.others.get(target, field.becomes)
        lines.append(f"  {_plain(path)} = {json.dumps(value)}: {_plain(text)}")
    return lines


def _plain(text: str) -> str:
    """Return a text on one line of ASCII, as JSON escapes it."""
    return json.dumps(text)[1:-1].replace('\\"', '"')
