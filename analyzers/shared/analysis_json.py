"""``analysis.json``, the file in which Clarify reports bias and explanations: layout and numbers.

The originals are written by Python's ``json`` with an indent of four spaces and no newline at the end.
Infinities are the texts ``"Infinity"`` and ``"-Infinity"``, which strict JSON can hold.
"""

from __future__ import annotations

import json
import math
from typing import Any

from contract.errors import DocumentError
from contract.schema import Fields

VERSION = "1.0"

_SPECIAL = {"Infinity": math.inf, "-Infinity": -math.inf, "NaN": math.nan}


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


def read_number(fields: Fields, key: str) -> float | None:
    """Return a number, an infinity given as text, or None for null and NaN.

    Raises
    ------
    DocumentError
        Naming file and path, for any other text.
    """
    member: float | str | None = fields.get(key, (int, float, str), None)
    if not isinstance(member, str):
        return member  # integers stay integers, so that they are written as they were read
    if member not in _SPECIAL:
        raise DocumentError(
            f'{fields.where}.{key} must be a number, "Infinity" or "-Infinity", but is {member!r}.'
        )
    value = _SPECIAL[member]
    return None if math.isnan(value) else value
