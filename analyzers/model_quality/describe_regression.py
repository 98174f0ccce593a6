"""Statistics of predicted numbers."""

from __future__ import annotations

import math

import numpy as np

from analyzers.model_quality.metric_values import first_values, put
from analyzers.model_quality.resampling import RESAMPLES, deviation, positive_interval
from analyzers.model_quality.residuals import BUCKETS, regression_metrics
from analyzers.model_quality.summary import ModelQualitySummary, Task
from contract.documents.model_quality import MetricValue, ModelQualityStatistics

_ORIGINAL = ("mae", "mse", "rmse", "r2")


def describe_regression(
    statistics: ModelQualityStatistics,
    summary: ModelQualitySummary,
    task: Task,
    sound: bool,
    generator: np.random.Generator,
) -> None:
    """Add the metrics of predicted numbers to the statistics."""
    residuals = summary.residuals
    statistics.item_count = residuals.rows
    if not residuals.rows:
        return
    values = first_values(regression_metrics(residuals, np.ones((1, BUCKETS))))
    if not sound:
        used = np.flatnonzero(residuals.count)
        weights = np.zeros((5, BUCKETS))
        for sample in weights:
            sample[generator.permutation(used)[: math.ceil(0.8 * used.size)]] = 1.0
        draws = regression_metrics(residuals, weights)
        put(statistics, {name: values[name] for name in _ORIGINAL}, draws, sound=False)
        return
    draws = regression_metrics(residuals, generator.standard_exponential((RESAMPLES, BUCKETS)))
    put(statistics, values, draws, sound=True)
    for name, metric in statistics.metrics.items():
        _add_interval(name, metric, draws[name])
    zeros = residuals.rows - int(residuals.relative_count.sum())
    if zeros and "mape" in statistics.metrics:
        statistics.notes.append(f"mape leaves out {zeros} rows whose label is zero.")


def _add_interval(
    name: str, metric: MetricValue, draws: np.ndarray[tuple[int], np.dtype[np.float64]]
) -> None:
    """Replace the interval by one on the scale on which errors multiply."""
    if metric.value is None:
        return
    defined = draws[np.isfinite(draws)]
    if name == "r2":
        unexplained = 1.0 - metric.value
        spread = deviation(np.log(np.maximum(1.0 - defined, 1e-300)))
        if unexplained > 0.0 and spread is not None:
            low, high = positive_interval(unexplained, spread * unexplained)
            metric.interval = (1.0 - high, 1.0 - low)
    elif metric.value > 0.0 and (spread := deviation(np.log(defined))) is not None:
        metric.interval = positive_interval(metric.value, spread * metric.value)
