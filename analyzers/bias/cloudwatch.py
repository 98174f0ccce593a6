"""The values of bias that CloudWatch shows, by the names and dimensions that Clarify gives them."""

from __future__ import annotations

import math

from contract.analyzer import Metric
from contract.documents.bias import BiasStatistics, FacetStatistics, MetricValue

# CloudWatch holds no infinity; Clarify publishes this in its place.
_INFINITY = 2.348543e108


def published(statistics: BiasStatistics) -> list[Metric]:
    """Return every metric that has a value, ``bias_metric_<NAME>``."""
    return [
        _metric(statistics, facet, stage, value)
        for facet in statistics.facets
        for stage, values in (("Pre-training", facet.pre), ("Post-Training", facet.post))
        for value in values or ()
        if value.value is not None
    ]


def _metric(statistics: BiasStatistics, facet: FacetStatistics, stage: str, metric: MetricValue) -> Metric:
    value = float(metric.value or 0.0)
    return Metric(
        name=f"bias_metric_{metric.name}",
        value=math.copysign(_INFINITY, value) if math.isinf(value) else value,
        dimensions={
            "BiasStage": stage,
            "Label": statistics.label,
            "LabelValue": statistics.label_value_or_threshold,
            "Facet": facet.facet,
            "FacetValue": facet.value_or_threshold,
        },
    )
