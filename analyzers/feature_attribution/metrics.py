"""The values a feature-attribution job publishes, in CloudWatch's terms."""

from __future__ import annotations

from contract.analyzer import Metric
from contract.documents.attribution import AttributionStatistics

_METHOD = "KernelShap"


def attribution_metrics(statistics: AttributionStatistics) -> list[Metric]:
    """Return ``feature_<name>`` and ``ExpectedValue`` of every label, those that are defined."""
    published = []
    for label, attributions in statistics.labels.items():
        dimensions = {"ExplainabilityMethod": _METHOD, "Label": label}
        published += [
            Metric(f"feature_{name}", value, dimensions={**dimensions, "ValueType": "GlobalShapValues"})
            for name, value in attributions.values.items()
            if value is not None
        ]
        if attributions.expected_value is not None:
            published.append(
                Metric(
                    "ExpectedValue",
                    attributions.expected_value,
                    dimensions={**dimensions, "ValueType": "ExpectedValue"},
                )
            )
    return published
