"""The 95 % intervals of what a monitor publishes, by the names and dimensions under which it does."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Interval = tuple[float, float]
Key = tuple[str, ...]

_Z_95 = 1.959964


def metric_key(name: str, dimensions: Mapping[str, str]) -> Key:
    """Return what tells a published value from all others of its run."""
    return (name, *(dimensions.get(member, "") for member in ("BiasStage", "Facet", "FacetValue", "Label")))


def intervals_of(statistics: Any) -> dict[Key, Interval]:
    """Return the intervals that the statistics of any monitor have; none for data quality.

    Parameters
    ----------
    statistics
        Of the whole, where there are segments.
    """
    if hasattr(statistics, "problem_type"):
        return {
            metric_key(name, {}): metric.interval
            for name, metric in statistics.metrics.items()
            if metric.interval is not None
        }
    if hasattr(statistics, "facets"):
        return _of_bias(statistics)
    if hasattr(statistics, "labels"):
        return _of_attribution(statistics)
    return {}


def _of_bias(statistics: Any) -> dict[Key, Interval]:
    found = {}
    for facet in statistics.facets:
        for stage, values in (("Pre-training", facet.pre), ("Post-Training", facet.post)):
            for metric in values or ():
                if metric.confidence_interval is None:
                    continue
                dimensions = {
                    "BiasStage": stage,
                    "Facet": facet.facet,
                    "FacetValue": facet.value_or_threshold,
                    "Label": statistics.label,
                }
                found[metric_key(f"bias_metric_{metric.name}", dimensions)] = metric.confidence_interval
    return found


def _of_attribution(statistics: Any) -> dict[Key, Interval]:
    found = {}
    for label, attributions in statistics.labels.items():
        for feature, error in attributions.standard_errors.items():
            value = attributions.values.get(feature)
            if value is not None:
                key = metric_key(f"feature_{feature}", {"Label": label})
                found[key] = (value - _Z_95 * error, value + _Z_95 * error)
    return found
