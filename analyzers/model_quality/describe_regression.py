"""Statistics of predicted numbers."""

from __future__ import annotations

import math

import numpy as np

from analyzers.model_quality.intervals import Spread, loss_interval, unexplained_interval
from analyzers.model_quality.metric_values import first_values, put
from analyzers.model_quality.resampling import SUBSAMPLED_SHARE, SUBSAMPLES
from analyzers.model_quality.residuals import BUCKETS, regression_metrics, regression_spreads
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
        weights = np.zeros((SUBSAMPLES, BUCKETS))
        for sample in weights:
            sample[generator.permutation(used)[: math.ceil(SUBSAMPLED_SHARE * used.size)]] = 1.0
        draws = regression_metrics(residuals, weights)
        put(statistics, {name: values[name] for name in _ORIGINAL}, draws, sound=False)
        return
    put(statistics, values, {}, sound=True)
    spreads = regression_spreads(residuals)
    for name, metric in statistics.metrics.items():
        _add_spread(name, metric, spreads.get("mse" if name == "rmse" else name))
    zeros = residuals.rows - int(residuals.relative_count.sum())
    if zeros and "mape" in statistics.metrics:
        statistics.notes.append(f"mape leaves out {zeros} rows whose label is zero.")


def _add_spread(name: str, metric: MetricValue, spread: Spread | None) -> None:
    """Add standard error and interval; those of rmse are those of its square."""
    if metric.value is None or spread is None:
        return
    if name == "r2":
        metric.standard_deviation = spread.error * (1.0 - metric.value)
        metric.interval = unexplained_interval(metric.value, spread)
    elif name == "rmse":
        metric.standard_deviation = spread.error / (2.0 * metric.value) if metric.value else 0.0
        low, high = loss_interval(metric.value**2, spread)
        metric.interval = min(metric.value, math.sqrt(low)), max(metric.value, math.sqrt(high))
    else:
        metric.standard_deviation = spread.error
        metric.interval = loss_interval(metric.value, spread)
