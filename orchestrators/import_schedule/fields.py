"""Every field that the service describes, what it must hold, and what becomes of it on each orchestrator.

The one declaration, templates/fields.yaml, checks what is read and writes the table above each manifest.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import yaml  # type: ignore[import-untyped] # it has no types of its own

from contract.errors import ConfigurationError

Scalar = str | int | float | bool

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
    """A member: its path's end, what it holds, what becomes of it; `others` names exceptions by target."""

    path: str
    shape: str
    becomes: str
    others: Mapping[str, str] = {}


_TABLE = Path(__file__).parent / "templates" / "fields.yaml"
FIELDS = tuple(Field(*row) for row in yaml.safe_load(_TABLE.read_text(encoding="utf-8")))
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
        raise ConfigurationError.of(
            "schedule_description.value", field=_plain(path), value=json.dumps(value)[:80], expected=words
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
