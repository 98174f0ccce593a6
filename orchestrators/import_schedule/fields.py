"""Every field that the service describes, what it must hold, and what becomes of it on each orchestrator.

The one declaration, templates/fields.yaml, checks what is read and writes the table above each manifest.
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import yaml  # type: ignore[import-untyped] # it has no types of its own

from contract.schema import Mistakes, nearest

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
