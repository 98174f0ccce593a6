"""What regression metrics need of the rows: sums over 2000 buckets, which tell how much means vary.

Rows go to buckets in turn, from a place that depends on the data, so up to 2000 rows of one split have a
bucket each; beyond, a bucket is a random group of rows, and how much groups differ tells how much rows do.
"""

import zlib
from dataclasses import dataclass, field
from functools import partial

import numpy as np

from analyzers.model_quality.intervals import Spread, spread_of_total
from analyzers.model_quality.scores import add_up
from analyzers.shared.cells import Floats

BUCKETS = 2000


_zeros = partial(np.zeros, BUCKETS)


@dataclass
class Residuals:
    """Sums per bucket; a residual is label minus prediction.

    Parameters
    ----------
    count
        Rows.
    over, under
        Sums of the positive residuals, and of the negative ones with their sign turned.
    squares
        Sum of the squared residuals.
    label_mean, label_squares
        Mean of the labels, and the sum of their squared deviations from it.
    relative
        Sum of ``|residual / label|`` over rows whose label is not zero.
    relative_count
        Number of those rows.
    """

    count: Floats = field(default_factory=_zeros)
    over: Floats = field(default_factory=_zeros)
    under: Floats = field(default_factory=_zeros)
    squares: Floats = field(default_factory=_zeros)
    label_mean: Floats = field(default_factory=_zeros)
    label_squares: Floats = field(default_factory=_zeros)
    relative: Floats = field(default_factory=_zeros)
    relative_count: Floats = field(default_factory=_zeros)
    next_bucket: int | None = None

    def add(self, labels: Floats, predictions: Floats) -> None:
        """Add rows, none of them NaN."""
        if not labels.size:
            return
        if self.next_bucket is None:
            self.next_bucket = zlib.crc32(labels[:100].tobytes()) % BUCKETS
        buckets = (np.arange(labels.size) + self.next_bucket) % BUCKETS
        self.next_bucket = int((self.next_bucket + labels.size) % BUCKETS)

        def summed(values: Floats) -> Floats:
            return np.bincount(buckets, weights=values, minlength=BUCKETS)

        residuals = labels - predictions
        magnitudes = np.abs(residuals)
        nonzero = labels != 0.0
        relative = np.divide(magnitudes, np.abs(labels), out=np.zeros_like(labels), where=nonzero)
        count = np.bincount(buckets, minlength=BUCKETS).astype(np.float64)
        mean = summed(labels) / np.maximum(count, 1.0)
        self.merge(
            Residuals(
                count=count,
                over=summed(np.maximum(residuals, 0.0)),
                under=summed(np.maximum(-residuals, 0.0)),
                squares=summed(residuals * residuals),
                label_mean=mean,
                label_squares=summed((labels - mean[buckets]) ** 2),
                relative=summed(relative),
                relative_count=summed(nonzero.astype(np.float64)),
            )
        )

    def merge(self, other: "Residuals") -> None:
        """Add the sums over other rows."""
        total = self.count + other.count
        share = np.divide(other.count, total, out=np.zeros(BUCKETS), where=total > 0.0)
        apart = other.label_mean - self.label_mean
        self.label_squares = self.label_squares + other.label_squares + apart**2 * self.count * share
        self.label_mean = self.label_mean + apart * share
        self.count = total
        add_up(self, other, "over", "under", "squares", "relative", "relative_count")
        if self.next_bucket is None:
            self.next_bucket = other.next_bucket

    @property
    def rows(self) -> int:
        """Return the number of rows."""
        return int(self.count.sum())


# Quantiles that the pinball losses are written for.
PINBALL_QUANTILES = (0.1, 0.5, 0.9)


def regression_metrics(residuals: Residuals, weights: Floats) -> dict[str, Floats]:
    """Return the metrics under each weighting of the buckets, NaN where undefined.

    ``mae``, ``mse`` and ``rmse`` as usual; ``r2 = 1 - sum of squares of residuals / sum of squared deviations
    of the labels``; ``mape`` over rows whose label is not zero, as a share; ``pinball_loss_q`` is the mean of
    ``q`` times a positive residual or ``q - 1`` times a negative one.

    Parameters
    ----------
    residuals
        At least one row.
    weights
        Shape ``(resamples, BUCKETS)``; ones for the metrics of the rows as they are.
    """
    rows = weights @ residuals.count
    with np.errstate(invalid="ignore", divide="ignore"):
        over, under = weights @ residuals.over / rows, weights @ residuals.under / rows
        mse = weights @ residuals.squares / rows
        centred = residuals.label_mean - np.average(residuals.label_mean, weights=residuals.count)
        moment = weights @ (residuals.count * centred)
        between = weights @ (residuals.count * centred**2) - moment**2 / rows
        spread = weights @ residuals.label_squares + between
        r2 = np.where(spread > 0.0, 1.0 - mse * rows / spread, np.nan)
        mape = weights @ residuals.relative / (weights @ residuals.relative_count)
    metrics = {"mae": over + under, "mse": mse, "rmse": np.sqrt(mse), "r2": r2, "mape": mape}
    for quantile in PINBALL_QUANTILES:
        metrics[_pinball_name(quantile)] = quantile * over + (1.0 - quantile) * under
    return metrics


def _pinball_name(quantile: float) -> str:
    return f"pinball_loss_{quantile}".replace(".", "_")


def regression_spreads(residuals: Residuals) -> dict[str, Spread]:
    """Return how much each mean varies by chance, by name; without those that cannot be told.

    That of ``r2`` is the spread of ``log(1 - r2)``: to first order, the mean over rows of the squared
    residual by its mean, less the squared deviation of the label by its mean.
    """
    over, under, count = residuals.over, residuals.under, residuals.count
    sums = {
        "mae": (over + under, count),
        "mse": (residuals.squares, count),
        "rmse": (residuals.squares, count),  # of its square
        "mape": (residuals.relative, residuals.relative_count),
    }
    for quantile in PINBALL_QUANTILES:
        sums[_pinball_name(quantile)] = quantile * over + (1.0 - quantile) * under, count
    spreads = {name: _spread_of_mean(total, rows) for name, (total, rows) in sums.items()}
    spreads["r2"] = _spread_of_unexplained(residuals)
    return {name: spread for name, spread in spreads.items() if spread is not None}


def _spread_of_mean(sums: Floats, counts: Floats) -> Spread | None:
    used = counts > 0.0
    if not used.any():
        return None
    sums, counts = sums[used], counts[used]
    return spread_of_total(sums - counts * (sums.sum() / counts.sum()), counts.sum())


def _spread_of_unexplained(residuals: Residuals) -> Spread | None:
    used = residuals.count > 0.0
    count, squares = residuals.count[used], residuals.squares[used]
    centred = residuals.label_mean[used] - np.average(residuals.label_mean[used], weights=count)
    label_squares = residuals.label_squares[used] + count * centred**2
    if not squares.sum() > 0.0 or not label_squares.sum() > 0.0:
        return None
    rows = count.sum()
    apart = squares * (rows / squares.sum()) - label_squares * (rows / label_squares.sum())
    return spread_of_total(apart, rows)
