"""Constraints of a feature-attribution job: its values, and what a user allows."""

from __future__ import annotations

from dataclasses import replace

from analyzers.feature_attribution.check_sound import DRIFT_THRESHOLD, MAGNITUDE_THRESHOLD
from contract.documents.attribution import (
    AttributionBaseline,
    AttributionConstraints,
    AttributionStatistics,
    LabelAttributions,
)


def suggest(
    statistics: AttributionStatistics, baseline: AttributionBaseline | None, drift_threshold: float | None
) -> AttributionConstraints:
    """Return the window's values as constraints, with the thresholds of the baseline.

    Parameters
    ----------
    statistics
        The window.
    baseline
        Whose thresholds are carried over; the defaults are written where there is none.
    drift_threshold
        From the settings; beats the baseline's.
    """
    before = None if baseline is None else baseline.constraints
    labels = {}
    for name, label in statistics.labels.items():
        former = _former(before, name, alone=len(statistics.labels) == 1)
        drift = former.drift_threshold if former else None
        magnitude = former.magnitude_threshold if former else None
        if drift_threshold is not None:
            drift = drift_threshold
        labels[name] = replace(
            label,
            drift_threshold=DRIFT_THRESHOLD if drift is None else drift,
            magnitude_threshold=MAGNITUDE_THRESHOLD if magnitude is None else magnitude,
            sampling_errors={},
            extra=dict(former.extra) if former else {},
        )
    return AttributionConstraints(labels=labels, design=statistics.design)


def _former(before: AttributionConstraints | None, name: str, *, alone: bool) -> LabelAttributions | None:
    if before is None:
        return None
    if alone and len(before.labels) == 1:
        return next(iter(before.labels.values()))
    return before.labels.get(name)
