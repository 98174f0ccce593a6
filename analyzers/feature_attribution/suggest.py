"""Constraints of a feature-attribution job: its values, and what a user allows."""

from __future__ import annotations

from dataclasses import replace

from analyzers.feature_attribution.check_sound import DRIFT_THRESHOLD, MAGNITUDE_THRESHOLD
from analyzers.feature_attribution.pairing import counterparts
from contract.documents.attribution import (
    AttributionBaseline,
    AttributionConstraints,
    AttributionStatistics,
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
    formers = {} if before is None else counterparts(before.labels, statistics.labels)
    labels = {}
    for name, label in statistics.labels.items():
        former = formers.get(name)
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
