"""Whether a metric is worse than its threshold by more than chance explains."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from analyzers.model_quality.cells import Floats
from analyzers.model_quality.intervals import Z_95
from analyzers.model_quality.suggest import is_own_value
from contract.documents.model_quality import LESS, MetricConstraint, MetricValue, ModelQualityStatistics

_LOSSES = frozenset(("mae", "mse", "rmse", "mape", "log_loss", "brier_score", "expected_calibration_error"))
_SMALLEST_P = 1e-12

# The originals' spread comes from subsamples of 80 % without replacement, half as wide as a standard error.
_SUBSAMPLE_FACTOR = 2.0

# A change that a window should be able to tell: 5 points of a share, a tenth of an error.
RELEVANT_POINTS = 0.05
RELEVANT_RATIO = 0.1


@dataclass(frozen=True)
class Side:
    """A window or a baseline: its statistics, and the metrics of its resampled confusion matrix."""

    statistics: ModelQualityStatistics
    draws: Mapping[str, Floats]


@dataclass(frozen=True)
class MetricTest:
    """One metric against its threshold.

    Parameters
    ----------
    name
        Of the metric.
    metric
        In the window.
    constraint
        The threshold.
    p_value
        Probability of a value as bad when nothing has changed.
    window_error, baseline_error
        Standard errors of both sides on the scale of the comparison; the latter 0 for a threshold that
        somebody decided.
    relevant
        A change worth telling, on the same scale.
    """

    name: str
    metric: MetricValue
    constraint: MetricConstraint
    p_value: float
    window_error: float
    baseline_error: float
    relevant: float

    def rows_needed(self, rows: int, alpha: float) -> int | None:
        """Return from how many rows the relevant change is told, None when the baseline is too small."""
        critical = -NormalDist().inv_cdf(alpha)
        remainder = (self.relevant / critical) ** 2 - self.baseline_error**2
        if remainder <= 0.0:
            return None
        return math.ceil(rows * self.window_error**2 / remainder)


def compare(
    name: str, constraint: MetricConstraint, window: Side, baseline: Side | None
) -> MetricTest | None:
    """Return the comparison of a metric, None when the window does not define it or its spread.

    Parameters
    ----------
    name, constraint
        What is compared with what.
    window
        The rows at hand.
    baseline
        Where the threshold comes from, None when that is not known; its own error then counts as none.
    """
    metric = window.statistics.metrics.get(name)
    if metric is None or metric.value is None:
        return None
    if metric.interval is None and metric.standard_deviation is None:
        return None  # one row: nothing tells how far it would move by chance
    own = baseline is not None and is_own_value(constraint, baseline.statistics.value(name))
    known = baseline if own else None
    error = _error(name, metric)
    before = known.statistics.metrics.get(name) if known else None
    baseline_error = _error(name, before) if before else 0.0
    if name in window.draws:
        threshold = known.draws.get(name) if known else None
        p_value = _drawn_p_value(window.draws[name], constraint, threshold)
    else:
        p_value = _normal_p_value(name, metric.value, constraint, error, baseline_error)
    relevant = RELEVANT_RATIO if is_loss(name) or name == "r2" else RELEVANT_POINTS
    if is_loss(name) or name in ("auc", "r2"):
        return MetricTest(name, metric, constraint, p_value, error, baseline_error, relevant)
    # Shares are compared on the scale of log odds, but the change worth telling is one of points.
    slope = _slope(metric.value)
    return MetricTest(name, metric, constraint, p_value, error, baseline_error, relevant * slope)


def is_loss(name: str) -> bool:
    """Return whether a metric is an error from 0 up, whose changes are told by their ratio."""
    return name in _LOSSES or name.startswith("pinball_loss")


def _drawn_p_value(drawn: Floats, constraint: MetricConstraint, threshold: Floats | None) -> float:
    limit = constraint.threshold if threshold is None else threshold
    beyond = drawn >= limit if constraint.operator == LESS else drawn <= limit
    p_value = (1.0 + float(np.count_nonzero(beyond))) / (drawn.size + 1.0)
    if beyond.any():
        return p_value
    # No draw is beyond, and a small share of the budget may ask for less than one in so many.
    apart = _log_odds(drawn) - _log_odds(np.asarray(limit))
    ratio = abs(float(apart.mean())) / max(1e-12, float(apart.std()))
    return max(_SMALLEST_P, min(p_value, NormalDist().cdf(-ratio)))


def _normal_p_value(
    name: str, value: float, constraint: MetricConstraint, error: float, baseline_error: float
) -> float:
    gap = _scaled(name, value) - _scaled(name, constraint.threshold)
    worse = -gap if constraint.operator == LESS else gap
    if name == "r2":
        worse = -worse  # the scale runs the other way
    total = math.hypot(error, baseline_error)
    if total == 0.0:
        return _SMALLEST_P if worse > 0.0 else 1.0
    return max(_SMALLEST_P, NormalDist().cdf(-worse / total))


def _scaled(name: str, value: float) -> float:
    """Return a value on the scale on which its error is about normal."""
    if name == "auc":
        return value
    if name == "r2":
        return math.log(max(1e-300, 1.0 - value))
    if is_loss(name):
        return math.log(max(1e-300, value))
    inside = min(1.0 - 1e-9, max(1e-9, value))
    return math.log(inside / (1.0 - inside))


def _log_odds(shares: Floats) -> Floats:
    inside = np.clip(shares, 1e-9, 1.0 - 1e-9)
    logits: Floats = np.log(inside / (1.0 - inside))
    return logits


def _slope(value: float) -> float:
    inside = min(0.999, max(0.001, value))
    return 1.0 / (inside * (1.0 - inside))


def _error(name: str, metric: MetricValue) -> float:
    """Return the standard error of a metric on its scale."""
    if metric.value is None:
        return 0.0
    if metric.interval is not None and name != "auc":
        low, high = (_scaled(name, bound) for bound in metric.interval)
        return abs(high - low) / (2.0 * Z_95)
    if metric.interval is not None:
        low, high = metric.interval
        return max(metric.standard_deviation or 0.0, (high - low) / (2.0 * Z_95))
    if metric.standard_deviation is None:
        return 0.0
    spread = metric.standard_deviation * _SUBSAMPLE_FACTOR
    if name == "auc":
        return spread
    if name == "r2":
        return spread / max(1e-12, 1.0 - metric.value)
    if is_loss(name):
        return spread / max(1e-12, metric.value)
    return spread * _slope(metric.value)
