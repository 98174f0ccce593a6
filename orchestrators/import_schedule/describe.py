"""What the service says of a schedule: every field, what it must hold, and one shape for all four types.

The one declaration of the fields, templates/fields.yaml, checks what is read and writes the table above each
manifest.
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from functools import cache, partial
from operator import attrgetter
from pathlib import Path
from typing import Any, NamedTuple

import yaml  # type: ignore[import-untyped] # it has no types of its own

from contract.errors import ConfigurationError
from contract.schema import Mistakes, nearest, require_once, shown

# Every field that the service describes, and what becomes of it on each orchestrator.


Scalar = str | int | float | bool

# Monitors as the service names them, and as this project does.
TYPES = {
    "DataQuality": "data-quality",
    "ModelQuality": "model-quality",
    "ModelBias": "bias",
    "ModelExplainability": "feature-attribution",
}
_UNTEXTUAL = re.compile("[\x00\ud800-\udfff]")
_VARIABLE = re.compile(r"[A-Za-z_]\w*", re.ASCII)


class Field(NamedTuple):
    """A member: its path's end, what it holds, what becomes of it; `others` names exceptions by target."""

    path: str
    shape: str
    becomes: str
    others: Mapping[str, str] = {}


_TABLE = yaml.safe_load((Path(__file__).parent / "templates" / "fields.yaml").read_text(encoding="utf-8"))
FIELDS = tuple(Field(*row) for row in _TABLE["fields"])
OWN_IMAGE: Mapping[str, str] = _TABLE["own image"]
_SHAPES, _LISTS = _TABLE["shapes"], _TABLE["lists"]
_OBJECTS = (*_TABLE["objects"], *(f"{kind}{part}" for kind in TYPES for part in _TABLE["objects of a type"]))
# Names of members, of which others may be misspellings.
_NAMES = (*_OBJECTS, *_LISTS, *(row.path.rpartition(".")[2].lstrip("*") for row in FIELDS))
_UNKNOWN = Field("*", "any", "left out: unknown to import-schedule; see whether it matters")


@cache
def field_of(path: str) -> Field:
    """Return the field that a member's path belongs to."""
    plain = "." + re.sub(r"\[\d+\]", "", path)
    return next((field for field in FIELDS if fnmatchcase(plain, f"*.{field.path}")), _UNKNOWN)


def checked(value: Any, path: str, mistakes: Mistakes) -> Any:
    """Return a member without what is null in it, and note what in it is not as the service sends it."""
    name = path.rpartition(".")[2]
    inner = path.rpartition(".")[0].endswith("Environment")
    field = field_of(path)
    pattern, words = _SHAPES[field.shape]
    kind, expected = (dict, "an object") if name in _OBJECTS else (list, "a list")
    if (kind is dict or name in _LISTS) and not inner:
        if not isinstance(value, kind):
            return _note(path, value, expected, mistakes)
    elif isinstance(value, dict | list) and (inner or not field.path.endswith("*")):
        return _note(path, value, words, mistakes)
    if isinstance(value, dict):
        for key in value:
            if key in _NAMES or field_of(f"{path}.{key}") is not _UNKNOWN:
                continue
            if meant := nearest(key, _NAMES, 0.8):
                mistakes.add("members.near_miss", field=_plain(f"{path}.{key}"), meant=meant, place="")
        parts = {key: part for key, part in value.items() if part is not None}
        return {key: checked(part, f"{path}.{key}", mistakes) for key, part in parts.items()}
    if isinstance(value, list):
        for at, member in enumerate(value if name in _LISTS else ()):
            if not isinstance(member, dict if _LISTS[name] == "objects" else str):
                _note(f"{path}[{at}]", member, f"one of {_LISTS[name]}", mistakes)
        return [checked(part, f"{path}[{at}]", mistakes) for at, part in enumerate(value)]
    text = json.dumps(value) if not isinstance(value, str) else value
    is_text = field.shape not in ("any", "count", "number", "switch") or inner
    if (is_text and not isinstance(value, str)) or not re.fullmatch(pattern, text):
        _note(path, value, words, mistakes)
    elif _UNTEXTUAL.search(text):
        _note(path, value, "text without the characters NUL and lone surrogates", mistakes)
    elif inner and not _VARIABLE.fullmatch(name):
        _note(path, name, "a name of letters, digits and underscores", mistakes)
    return value


def _note(path: str, value: Any, expected: str, mistakes: Mistakes) -> None:
    told = {"value": json.dumps(value)[:80], "expected": expected}
    mistakes.add("schedule_description.value", field=_plain(path), **told)


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


# Descriptions, from files or asked for.


# What runs where nothing is said: once a day, at midnight.
DAILY = "cron(0 0 ? * * *)"
# Which document is which: a member that no other has.
_MARKS = {
    "schedule": ("MonitoringScheduleConfig",),
    "definition": tuple(f"{kind}AppSpecification" for kind in TYPES),
    "endpoint": ("DataCaptureConfig", "EndpointConfigName"),
    "baseline-job": ("ProcessingOutputConfig",),
}


class Description(NamedTuple):
    """A schedule and its job definition, as the service names their parts.

    Parameters
    ----------
    name
        Of the schedule.
    monitor
        A key of this project's images.
    timing
        When it runs, and durations from the run to the window's start and end.
    stopped
        Whether it does not run at present.
    baseline, application, source, output, cluster, network
        Members of the job definition; `source` is the endpoint's or the transform's input.
    ground_truth
        Where labels are.
    environment
        Variables of the job.
    role, seconds
        The role's ARN, and the most a job may take.
    tags
        Of the schedule.
    destination
        Where the endpoint's captures go, when the endpoint was described too.
    made
        Folder that the baselining job wrote, when that was described too.
    members
        Path and value of every scalar that was described.
    """

    name: str
    monitor: str
    timing: Mapping[str, str]
    stopped: bool
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
    tags: Sequence[Mapping[str, str]]
    destination: str | None
    made: str | None
    members: tuple[tuple[str, Scalar], ...]


def parse_documents(text: str, name: str) -> list[dict[str, Any]]:
    """Return the JSON objects in a text, one after another as a shell puts them.

    Raises
    ------
    ConfigurationError
        Naming the file and the line.
    """
    decoder = json.JSONDecoder(object_pairs_hook=partial(require_once, name))
    documents = []
    at = 0
    while rest := text[at:].lstrip():
        at = len(text) - len(rest)
        told = {"file": name, "problem": attrgetter("msg"), "line": attrgetter("lineno")}
        with (
            ConfigurationError.instead_of("schedule_description.nested", RecursionError, file=name),
            ConfigurationError.instead_of("schedule_description.no_json", json.JSONDecodeError, **told),
        ):
            document, at = decoder.raw_decode(text, at)
        if not isinstance(document, dict):
            kind = type(document).__name__
            raise ConfigurationError.of("schedule_description.no_object", file=name, kind=kind)
        documents.append(document)
    return documents


def combine(documents: Sequence[dict[str, Any]]) -> Description:
    """Return the schedule that these descriptions tell of: schedule, job definition and, if given, endpoint.

    Raises
    ------
    ConfigurationError
        Naming what is missing and the command that prints it.
    """
    given: dict[str, dict[str, Any]] = {}
    mistakes = Mistakes("")
    for document in documents:
        document = json.loads(json.dumps(document, default=str))  # boto3 has read times
        present = {name for name, value in document.items() if value is not None}
        kinds = [kind for kind, marks in _MARKS.items() if not present.isdisjoint(marks)]
        if len(kinds) != 1:
            names = ", ".join(list(document)[:5]) or "(none)"
            raise ConfigurationError.of("schedule_description.unknown", members=names)
        if kinds[0] in given:
            raise ConfigurationError.of("schedule_description.twice", mark=_MARKS[kinds[0]][0])
        given[kinds[0]] = checked(document, kinds[0], mistakes)
    mistakes.stop_if_any()
    if (schedule := given.get("schedule")) is None:
        raise ConfigurationError.of("schedule_description.no_schedule")
    configuration = schedule["MonitoringScheduleConfig"]
    named = configuration.get("MonitoringJobDefinitionName")
    kind = configuration.get("MonitoringType") or schedule.get("MonitoringType") or "DataQuality"
    if kind not in TYPES:
        told = {"kind": kind, "types": ", ".join(TYPES), "field": "MonitoringType"}
        raise ConfigurationError.of("schedule_description.monitoring_type", **told)
    if inline := configuration.get("MonitoringJobDefinition"):
        analysis = (inline.get("Environment") or {}).get("analysis_type", "").replace("_", "").casefold()
        kind = next((name for name in TYPES if name.casefold() == analysis), kind)
        definition = _inline_definition(inline, kind)
    else:
        definition = given.get("definition", {})
        if not definition.get(f"{kind}AppSpecification"):
            told = {"name": named, "kind": kind, "call": _call(kind)}
            raise ConfigurationError.of("schedule_description.no_job_definition", **told)
    inputs = _member(definition, f"{kind}JobInput")
    source = inputs.get("EndpointInput") or inputs.get("BatchTransformInput") or {}
    baseline = definition.get(f"{kind}BaselineConfig") or {}
    application = definition[f"{kind}AppSpecification"]
    # A description of another part would fit as well, and give another baseline, other captures.
    for path, by, meant in (
        (
            "schedule.MonitoringType",
            "MonitoringScheduleConfig.MonitoringType",
            configuration.get("MonitoringType"),
        ),
        ("definition.JobDefinitionName", "MonitoringJobDefinitionName", named),
        ("endpoint.EndpointName", "EndpointInput.EndpointName", source.get("EndpointName")),
        ("baseline-job.ProcessingJobName", "BaseliningJobName", baseline.get("BaseliningJobName")),
    ):
        part, _, member = path.partition(".")
        found = given.get(part, {}).get(member)
        if found and meant and found != meant:
            told = {"found": shown(found), "by": by, "meant": shown(meant)}
            raise ConfigurationError.of("schedule_description.another", field=path, **told)
    timing = configuration.get("ScheduleConfig") or {"ScheduleExpression": DAILY}
    outputs = given.get("baseline-job", {}).get("ProcessingOutputConfig", {}).get("Outputs") or [{}]
    return Description(
        name=_member(schedule, "MonitoringScheduleName"),
        monitor=TYPES[kind],
        timing={**timing, "ScheduleExpression": _member(timing, "ScheduleExpression")},
        stopped=schedule.get("MonitoringScheduleStatus", "Scheduled") not in ("Scheduled", "Pending"),
        baseline=baseline,
        application=application,
        source=source,
        ground_truth=(inputs.get("GroundTruthS3Input") or {}).get("S3Uri"),
        output=_member(definition, f"{kind}JobOutputConfig"),
        cluster=_member(definition, "JobResources").get("ClusterConfig", {}),
        network=definition.get("NetworkConfig") or {},
        environment=application.get("Environment") or {},
        role=_member(definition, "RoleArn"),
        seconds=int((definition.get("StoppingCondition") or {}).get("MaxRuntimeInSeconds", 3600)),
        tags=schedule.get("Tags") or (),
        destination=given.get("endpoint", {}).get("DataCaptureConfig", {}).get("DestinationS3Uri"),
        made=outputs[0].get("S3Output", {}).get("S3Uri"),
        members=tuple(pair for name, document in given.items() for pair in scalars(document, name)),
    )


def ask_service(name: str) -> Iterator[dict[str, Any]]:
    """Yield the descriptions of a schedule, of its job definition and of its endpoint, asked for with boto3.

    Raises
    ------
    ConfigurationError
        When boto3 is not installed or the service refuses.
    """
    with ConfigurationError.instead_of("schedule_description.no_boto3", ImportError):
        import boto3
        from botocore.exceptions import BotoCoreError, ClientError
    refused = (BotoCoreError, ClientError)
    with ConfigurationError.instead_of("schedule_description.refused", *refused, name=name):
        client = boto3.client("sagemaker")
        schedule = client.describe_monitoring_schedule(MonitoringScheduleName=name)
        yield schedule
        configuration = schedule["MonitoringScheduleConfig"]
        definition = configuration.get("MonitoringJobDefinitionName")
        if definition:
            call = _call(configuration["MonitoringType"]).replace("-", "_")
            described = getattr(client, call)(JobDefinitionName=definition)
            yield described
            baseline = described.get(f"{configuration['MonitoringType']}BaselineConfig") or {}
            if baseline.get("BaseliningJobName") and not baseline.get("ConstraintsResource"):
                yield client.describe_processing_job(ProcessingJobName=baseline["BaseliningJobName"])
        if endpoint := schedule.get("EndpointName"):
            yield client.describe_endpoint(EndpointName=endpoint)


def _call(kind: str) -> str:
    return f"describe{re.sub('([A-Z])', '-\\1', kind).lower()}-job-definition"


def _inline_definition(inline: dict[str, Any], kind: str) -> dict[str, Any]:
    """Return a definition that is written into its schedule, as the first were, in the shape of all."""
    inputs = _member(inline, "MonitoringInputs")
    if len(inputs) != 1:
        field = "MonitoringInputs"
        raise ConfigurationError.of("schedule_description.inputs", count=len(inputs), field=field)
    application = {**_member(inline, "MonitoringAppSpecification"), "Environment": inline.get("Environment")}
    return {
        **inline,
        f"{kind}BaselineConfig": inline.get("BaselineConfig"),
        f"{kind}AppSpecification": application,
        f"{kind}JobInput": inputs[0],
        f"{kind}JobOutputConfig": _member(inline, "MonitoringOutputConfig"),
        "JobResources": _member(inline, "MonitoringResources"),
    }


def _member(described: Mapping[str, Any], name: str) -> Any:
    if not described.get(name):
        raise ConfigurationError.of("schedule_description.lacks", field=name)
    return described[name]
