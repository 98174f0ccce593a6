"""Which column an attribute means: a name, a zero-based index, or a path in JSON."""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from analyzers.model_quality.documents import ProblemType
from contract.errors import DatasetError
from contract.wording import listing

# The column of labels in captures joined with ground truth.
GROUND_TRUTH = "groundTruthData"

_POSITIONAL = b"positional"
_INDEX = re.compile(r"\d+")


@dataclass(frozen=True)
class Task:
    """What is predicted, and which columns hold it.

    Parameters
    ----------
    problem_type
        Regression, binary or multiclass classification.
    inference, probability, ground_truth
        What the settings say of the columns; `probability` may list several, separated by commas.
    threshold
        Score from which, inclusive, a row without predicted label counts as predicted positive.
    positive
        The positive label, normalised.
    cluster_by
        Columns that tell which rows belong together.
    """

    problem_type: ProblemType
    inference: str | None
    probability: str | None
    ground_truth: str | None
    threshold: float
    positive: str
    cluster_by: tuple[str, ...] = ()


@dataclass(frozen=True)
class Columns:
    """Places of the columns in a record batch; None for those that are not asked for or not there yet.

    `classes` holds the class of each column of `probabilities` when there are several.
    """

    label: int | None
    inference: int | None
    probabilities: tuple[int, ...] = ()
    classes: tuple[str, ...] = ()


def find_columns(schema: pa.Schema, task: Task) -> Columns:
    """Return where the columns are.

    Parameters
    ----------
    schema
        Of the record batch; its metadata say whether the names came with the data.
    task
        With the settings.

    Raises
    ------
    DatasetError
        Naming the setting, the value and the columns there are.
    """
    place = None if task.inference is None else find_column(schema, task.inference, "inference_attribute")
    probabilities, classes = _find_probabilities(schema, task.probability)
    return Columns(_find_label(schema, task.ground_truth), place, probabilities, classes)


def _find_label(schema: pa.Schema, attribute: str | None) -> int | None:
    named = None if attribute == GROUND_TRUTH else attribute
    found = None if named is None else _look_up(schema, named)
    for name in (GROUND_TRUTH, f"{GROUND_TRUTH}.0", f"{GROUND_TRUTH}_0"):
        found = _exact(schema, name) if found is None else found
    if found is None and named is not None:
        return find_column(schema, named, "ground_truth_attribute")
    return found


def _find_probabilities(schema: pa.Schema, attribute: str | None) -> tuple[tuple[int, ...], tuple[str, ...]]:
    if attribute is None:
        return (), ()
    place = _look_up(schema, attribute)
    if place is not None:
        return (place,), ()
    prefix = f"{_path(attribute)}."
    names = [name for name in schema.names if name.startswith(prefix)]
    if len(names) > 1:
        places = tuple(schema.names.index(name) for name in names)
        return places, tuple(name.removeprefix(prefix) for name in names)
    parts = attribute.split(",")
    places = tuple(find_column(schema, part.strip(), "probability_attribute") for part in parts)
    return places, _classes([schema.names[place] for place in places]) if len(places) > 1 else ()


def _classes(names: list[str]) -> tuple[str, ...]:
    """Return the class in each name: what follows the part up to a separator that all names share."""
    shared = re.match(r".*[._\- ]", names[0])
    prefix = shared.group() if shared else ""
    if prefix and all(name.startswith(prefix) and name != prefix for name in names):
        return tuple(name.removeprefix(prefix) for name in names)
    return tuple(names)


def find_column(schema: pa.Schema, attribute: str, setting: str) -> int:
    """Return the place of one column.

    Raises
    ------
    DatasetError
        Naming the setting, the value and the columns there are.
    """
    place = _look_up(schema, attribute)
    if place is not None:
        return place
    names = list(schema.names)
    said: dict[str, Any] = {
        "field": setting,
        "name": attribute,
        "count": len(names),
        "names": listing(names, 20),
    }
    if _INDEX.fullmatch(attribute):
        raise DatasetError.of("quality_columns.index", last=len(names) - 1, **said)
    if _is_positional(schema):
        raise DatasetError.of("quality_columns.unnamed", **said)
    close = difflib.get_close_matches(attribute, names, n=1)
    hint = f"; did you mean {close[0]!r}?" if close else "."
    raise DatasetError.of("quality_columns.unknown", hint=hint, **said)


def _look_up(schema: pa.Schema, attribute: str) -> int | None:
    # What scripts written for the originals call answers, requests and labels.
    written = [f"{part}_{attribute}" for part in ("endpointOutput", "endpointInput", GROUND_TRUTH)]
    for name in written if _is_positional(schema) else (attribute, *written):
        if (place := _exact(schema, name)) is not None:
            return place
    if _INDEX.fullmatch(attribute) and int(attribute) < len(schema.names):
        return int(attribute)
    return _exact(schema, _path(attribute))


def _exact(schema: pa.Schema, name: str) -> int | None:
    place: int = schema.get_field_index(name)
    return place if place >= 0 else None


def _path(attribute: str) -> str:
    """Return a path such as ``$.predictions[0].score`` the way readers name columns."""
    dotted = re.sub(r"\[\s*['\"]?([^'\"\]]+)['\"]?\s*\]", r".\1", attribute)
    return dotted.removeprefix("$").strip(".")


def _is_positional(schema: pa.Schema) -> bool:
    return (schema.metadata or {}).get(_POSITIONAL) == b"true"
