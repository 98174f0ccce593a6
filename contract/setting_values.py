"""How the texts of single settings are read: numbers, durations, and what must go together."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from contract.datasets.window import parse_duration
from contract.errors import ConfigurationError


def share(name: str, text: str | None, example: str) -> float | None:
    """Return the setting called `name`, a number from 0 to 1; None where it is not set.

    Raises
    ------
    ConfigurationError
        When it is no such number.
    """
    if text is None:
        return None
    try:
        number = float(text)
    except ValueError:
        number = -1.0
    if not 0.0 <= number <= 1.0:
        raise ConfigurationError(f"{name} is {text!r}; use a number from 0 to 1, such as {example}")
    return number


def duration_seconds(name: str, text: str | None, example: str) -> float | None:
    """Return the setting called `name`, a length of time, in seconds; None where it is not set.

    Raises
    ------
    ConfigurationError
        When it is no positive duration.
    """
    if text is None:
        return None
    try:
        seconds = float(text)
    except ValueError:
        seconds = parse_duration(name, text, example).total_seconds()
    if not 0.0 < seconds < math.inf:
        raise ConfigurationError(
            f"{name} is {text!r}; use a positive ISO 8601 duration such as {example}, or seconds"
        )
    return seconds


def gate_mistakes(values: Mapping[str, Any]) -> list[str]:
    """Return what is wrong with the settings of a gate (see `contract.gate`)."""
    folder = values["register_new_baseline"]
    if folder is None:
        return []
    if folder.endswith(".json"):
        return [f"register_new_baseline is {folder!r}, a file; name the folder that is to hold the baseline"]
    if _path(folder) == _path(values["output_path"] or ""):
        mistake = (
            "register_new_baseline and output_path are one folder, so a failing check would already have "
            "replaced the baseline; keep them apart"
        )
        return [mistake]
    has_baseline = values["baseline_constraints"] or values["baseline_statistics"]
    if not has_baseline and not values["skip_check"]:
        mistake = (
            "register_new_baseline needs baseline_constraints or baseline_statistics to check against; set "
            "skip_check=Enabled for the first baseline"
        )
        return [mistake]
    return []


def _path(text: str) -> str:
    return text.rstrip("/")
