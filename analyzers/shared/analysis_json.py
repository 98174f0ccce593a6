"""Layout and numbers of the JSON documents of bias and explanations.

The originals write them by Python's ``json`` with an indent of four spaces and no newline at the end.
Infinities are the texts ``"Infinity"`` and ``"-Infinity"``, which strict JSON can hold.
"""

import json
import math
from functools import partial
from typing import Any

from contract.api import Violation, Violations
from contract.schema import JsonObject, member

VERSION = "1.0"

_SPECIAL = {"Infinity": math.inf, "-Infinity": -math.inf, "NaN": math.nan}


def with_version(violations: list[Violation]) -> Violations:
    """Return the document, with the version that the originals write."""
    return Violations(violations, {"version": VERSION})


def dumps(value: Any) -> str:
    """Return JSON values as text in the layout of the original files."""
    return json.dumps(value, indent=4, allow_nan=False)


def number_to_json(value: float | None) -> float | str | None:
    """Return a number as JSON holds it: infinities as text, what is undefined as null."""
    if value is None or math.isnan(value):
        return None
    if math.isinf(value):
        return "Infinity" if value > 0 else "-Infinity"
    return value


def read_number(members: JsonObject, key: str) -> float | None:
    """Read a number, an infinity given as text, or None for null and NaN."""

    def is_number(value: Any) -> bool:
        return type(value) in (int, float) or (isinstance(value, str) and value in _SPECIAL)

    value: float | str | None = members.checked(key, is_number, 'a number, "Infinity" or "-Infinity"')
    # Integers stay integers, so that they are written as they were read.
    number = _SPECIAL[value] if isinstance(value, str) else value
    return None if number is None or math.isnan(number) else number


def read_range(members: JsonObject, key: str) -> tuple[float, float] | None:
    """Read two numbers, the lower end first."""
    if (found := members.get(key, list, None)) is None:
        return None
    places = {f"{key}[{place}]": end for place, end in enumerate(found)}
    ends = [read_number(JsonObject(places, members.path, members.mistakes), place) for place in places]
    if len(ends) != 2 or ends[0] is None or ends[1] is None or ends[0] > ends[1]:
        members.wrong(key, "two numbers, the lower end first")
        return None
    return ends[0], ends[1]


def range_to_json(ends: tuple[float, float]) -> list[float | str | None]:
    """Return two numbers as JSON holds them."""
    return [number_to_json(end) for end in ends]


# A field of a dataclass that is such a number.
figure = partial(member, read_number, write=number_to_json)
