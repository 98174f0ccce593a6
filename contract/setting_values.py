"""How the texts of single settings are read: numbers, durations, instants, and what must go together."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from contract.datasets.window import parse_duration
from contract.errors import ConfigurationError


def probability(text: str) -> float:
    """Return ``probability_threshold_attribute``.

    Raises
    ------
    ConfigurationError
        When it is no number from 0 to 1.
    """
    return _share("probability_threshold_attribute", text, "0.5")


def drift_threshold(text: str) -> float:
    """Return ``attribution_drift_threshold``.

    Raises
    ------
    ConfigurationError
        When it is no number from 0 to 1.
    """
    return _share("attribution_drift_threshold", text, "0.9")


def max_runtime(text: str) -> float:
    """Return ``max_runtime`` in seconds.

    Raises
    ------
    ConfigurationError
        When it is no positive duration.
    """
    return _seconds("max_runtime", text, "PT30M")


def sink_timeout(text: str) -> float:
    """Return ``sink_timeout`` in seconds.

    Raises
    ------
    ConfigurationError
        When it is no positive duration.
    """
    return _seconds("sink_timeout", text, "PT30S")


def cluster_wait(text: str) -> float:
    """Return ``cluster_wait`` in seconds.

    Raises
    ------
    ConfigurationError
        When it is no positive duration.
    """
    return _seconds("cluster_wait", text, "PT1M")


def instant(text: str) -> datetime:
    """Return ``metric_time``; without an offset it is UTC.

    Raises
    ------
    ConfigurationError
        When it is no ISO 8601 time.
    """
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise ConfigurationError(
            f"metric_time is {text!r}; use an ISO 8601 time such as 2026-05-06T22:00:00Z"
        ) from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


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


def _share(name: str, text: str, example: str) -> float:
    try:
        share = float(text)
    except ValueError:
        share = -1.0
    if not 0.0 <= share <= 1.0:
        raise ConfigurationError(f"{name} is {text!r}; use a number from 0 to 1, such as {example}")
    return share


def _seconds(name: str, text: str, example: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = parse_duration(name, text, example).total_seconds()
    if not 0.0 < seconds < math.inf:
        raise ConfigurationError(
            f"{name} is {text!r}; use a positive ISO 8601 duration such as {example}, or seconds"
        )
    return seconds
