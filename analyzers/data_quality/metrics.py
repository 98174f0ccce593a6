"""Values to publish per feature, by the names of the originals (spec section 5)."""

from __future__ import annotations

from contract.analyzer import Decision, Metric
from contract.documents.constraints import Constraints, FeatureConstraints
from contract.documents.data_quality import DataQualityBaseline
from contract.documents.statistics import FeatureStatistics, NumericalStatistics, Statistics


def metrics(
    statistics: Statistics, baseline: DataQualityBaseline | None, decision: Decision | None
) -> list[Metric]:
    """Return ``feature_data_*``, ``feature_non_null_*`` and ``feature_baseline_drift_*`` of every feature.

    Parameters
    ----------
    statistics
        The window, or the baseline's data in a baseline job.
    baseline
        Its constraints say which features are published (``emit_metrics``).
    decision
        Its findings hold the drift distances.
    """
    constraints = baseline.constraints if baseline else None
    expected = {feature.name: feature for feature in constraints.features} if constraints else {}
    distances = {
        finding.subject: finding.distance
        for finding in (decision.findings if decision else ())
        if finding.distance is not None
    }
    published: list[Metric] = []
    for position, feature in enumerate(statistics.features):
        known = _constraints_of(feature, position, statistics, constraints, expected)
        name = known.name if known else feature.name
        if constraints is not None and not constraints.config(known).emit_metrics:
            continue
        if feature.numerical is not None:
            published += _data_metric(name, feature.numerical)
        published.append(Metric(f"feature_non_null_{name}", feature.completeness))
        if name in distances:
            published.append(Metric(f"feature_baseline_drift_{name}", distances[name]))
    return published


def _constraints_of(
    feature: FeatureStatistics,
    position: int,
    statistics: Statistics,
    constraints: Constraints | None,
    expected: dict[str, FeatureConstraints],
) -> FeatureConstraints | None:
    if constraints is not None and statistics.positional:
        same_number = len(constraints.features) == len(statistics.features)
        return constraints.features[position] if same_number else None
    return expected.get(feature.name)


def _data_metric(name: str, numbers: NumericalStatistics) -> list[Metric]:
    if not numbers.num_present or numbers.sum is None or numbers.min is None or numbers.max is None:
        return []
    values = {
        "SampleCount": float(numbers.num_present),
        "Sum": numbers.sum,
        "Minimum": numbers.min,
        "Maximum": numbers.max,
    }
    return [Metric(f"feature_data_{name}", statistic_values=values)]
