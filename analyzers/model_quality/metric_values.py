"""Putting metrics with their spread into the statistics, undefined ones by the rules chosen."""

from __future__ import annotations

import math
from collections.abc import Mapping

from analyzers.model_quality.cells import Floats
from analyzers.model_quality.intervals import (
    logarithmic_interval,
    proportion_interval,
    share_interval,
    spread_of_powers,
)
from analyzers.model_quality.resampling import deviation, quantile_interval
from contract.documents.model_quality import MetricValue, ModelQualityStatistics

CONSTANT = "_best_constant_classifier"

# Below, the originals write "NaN" for the standard deviation.
FEWEST_ROWS_OF_SPREAD = 200


def first_values(metrics: Mapping[str, Floats]) -> dict[str, float]:
    """Return the metrics of the first table or weighting."""
    return {name: float(values[0]) for name, values in metrics.items()}


def put(
    statistics: ModelQualityStatistics,
    values: Mapping[str, float],
    draws: Mapping[str, Floats],
    *,
    sound: bool,
) -> None:
    """Add metrics to the statistics.

    Parameters
    ----------
    statistics
        The document; undefined metrics have no value in it, and a note names them.
    values
        By name; NaN for undefined.
    draws
        The metrics under resampling.
    sound
        Whether to add intervals.
    """
    undefined = []
    for name, value in values.items():
        if not math.isfinite(value):
            statistics.metrics[name] = MetricValue(None)
            undefined.append(name)
            continue
        spread = deviation(draws[name]) if name in draws else None
        if not sound and statistics.item_count < FEWEST_ROWS_OF_SPREAD:
            spread = None
        interval = None
        if sound and name in draws and not name.endswith(CONSTANT):
            interval = _around(value, quantile_interval(draws[name]))
        statistics.metrics[name] = MetricValue(value, spread, interval)
    if undefined:
        statistics.notes.append(f"Undefined for these rows: {', '.join(undefined)}.")


def _around(value: float, interval: tuple[float, float] | None) -> tuple[float, float] | None:
    """Return the interval, widened to hold the value itself: 1.0 when no row was wrong."""
    return None if interval is None else (min(value, interval[0]), max(value, interval[1]))


def put_share(statistics: ModelQualityStatistics, name: str, value: float, spread: float | None) -> None:
    """Add a metric in 0..1 with an interval from its standard error."""
    interval = None if spread is None else share_interval(value, spread)
    statistics.metrics[name] = MetricValue(value, spread, interval)


def put_proportion(statistics: ModelQualityStatistics, name: str, hits: float, total: float) -> None:
    """Add the share of rows that are hits, `total` positive."""
    share = hits / total
    spread = math.sqrt(max(share * (1.0 - share), 0.25 / total) / total)
    statistics.metrics[name] = MetricValue(share, spread, proportion_interval(hits, total))


def put_loss(statistics: ModelQualityStatistics, name: str, count: int, powers: Floats) -> None:
    """Add the mean loss of `count` probabilities from its sums of powers."""
    mean, spread = float(powers[0]) / count, spread_of_powers(count, powers)
    if spread is None:
        statistics.metrics[name] = MetricValue(mean)
    else:
        statistics.metrics[name] = MetricValue(mean, spread.error, logarithmic_interval(mean, spread))
