"""How good scores are as probabilities: log loss, Brier score, calibration error, top-k accuracy."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from analyzers.model_quality.confusion import add_counts
from analyzers.model_quality.documents import ScoreCalibration
from analyzers.model_quality.scores import ScoreHistogram
from analyzers.shared.cells import Codes, Flags, Floats
from analyzers.shared.significance import sum_of_products

# Bins of equal width on 0..1, the last closed, for the expected calibration error.
CALIBRATION_BINS = 10
TOP_K = (2, 3, 5)

# Probabilities of exactly 0 and 1 are moved by the precision of a float, so that log loss stays finite.
_SMALLEST = float(np.finfo(np.float64).eps)


@dataclass
class ProbabilitySums:
    """Sums over rows with a probability.

    Parameters
    ----------
    count
        Rows in `log_loss` and `brier`.
    outside
        Rows with a score outside 0 to 1; when there are any, the scores are no probabilities.
    log_loss, brier
        Sums of the losses of the rows and of their second to fourth powers.
    bin_count, bin_scores, bin_hits
        Per calibration bin: rows, sum of scores, positives (or right predictions).
    top_k
        Rows whose class has one of the k highest probabilities.
    unknown_class
        Rows with a label that no column of probabilities is of.
    other_class
        Rows whose predicted class has a column, but not one of the highest probability.
    """

    count: int = 0
    outside: int = 0
    log_loss: Floats = field(default_factory=lambda: np.zeros(4))
    brier: Floats = field(default_factory=lambda: np.zeros(4))
    bin_count: Floats = field(default_factory=lambda: np.zeros(CALIBRATION_BINS))
    bin_scores: Floats = field(default_factory=lambda: np.zeros(CALIBRATION_BINS))
    bin_hits: Floats = field(default_factory=lambda: np.zeros(CALIBRATION_BINS))
    top_k: dict[int, int] = field(default_factory=dict)
    unknown_class: int = 0
    other_class: int = 0

    def add_scores(self, scores: Floats, hits: Flags) -> None:
        """Add scores and whether each came true, for the calibration error."""
        inside = (scores >= 0.0) & (scores <= 1.0)
        self.outside += int(scores.size - inside.sum())
        scores, hits = scores[inside], hits[inside]
        bins = np.minimum((scores * CALIBRATION_BINS).astype(np.int64), CALIBRATION_BINS - 1)
        self.bin_count += np.bincount(bins, minlength=CALIBRATION_BINS)
        self.bin_scores += np.bincount(bins, weights=scores, minlength=CALIBRATION_BINS)
        self.bin_hits += np.bincount(bins, weights=hits.astype(np.float64), minlength=CALIBRATION_BINS)

    def add_binary(self, scores: Floats, is_positive: Flags) -> None:
        """Add probabilities of the positive class."""
        self.add_scores(scores, is_positive)
        inside = (scores >= 0.0) & (scores <= 1.0)
        scores, is_positive = scores[inside], is_positive[inside]
        given = np.where(is_positive, scores, 1.0 - scores)
        self._add_losses(given, (1.0 - given) ** 2)

    def add_classes(self, probabilities: Floats, actual: Codes, predicted: Codes) -> None:
        """Add rows with a probability of each class.

        Parameters
        ----------
        probabilities
            Shape ``(rows, classes)``, none of them NaN.
        actual
            Column of the class that came true, -1 for a class without a column.
        predicted
            Column of the predicted class, likewise.
        """
        known = actual >= 0
        self.unknown_class += int(actual.size - known.sum())
        inside = ((probabilities >= 0.0) & (probabilities <= 1.0)).all(axis=1)
        self.outside += int(actual.size - inside.sum())
        probabilities, actual, predicted = probabilities[known], actual[known], predicted[known]
        own = probabilities[np.arange(predicted.size), predicted]
        self.other_class += int(((predicted >= 0) & (own < probabilities.max(axis=1, initial=-np.inf))).sum())
        given = probabilities[np.arange(actual.size), actual]
        rank = (probabilities > given[:, None]).sum(axis=1)
        for k in TOP_K:
            if k < probabilities.shape[1]:
                self.top_k[k] = self.top_k.get(k, 0) + int((rank < k).sum())
        brier = (probabilities**2).sum(axis=1) - 2.0 * given + 1.0
        self._add_losses(given, brier)

    def _add_losses(self, given: Floats, brier: Floats) -> None:
        log_loss = -np.log(np.clip(given, _SMALLEST, 1.0 - _SMALLEST))
        self.count += given.size
        self.log_loss += _sums_of_powers(log_loss)
        self.brier += _sums_of_powers(brier)

    def merge(self, other: ProbabilitySums) -> None:
        """Add the sums over other rows."""
        sums = ("log_loss", "brier", "bin_count", "bin_scores", "bin_hits")
        add_up(self, other, "count", "outside", "unknown_class", "other_class", *sums)
        add_counts(self.top_k, other.top_k)


def add_up(left: Any, right: Any, *attributes: str) -> None:
    """Add to attributes of one object those of another."""
    for name in attributes:
        setattr(left, name, getattr(left, name) + getattr(right, name))


def expected_calibration_error(counts: Floats, scores: Floats, hits: Floats) -> Floats:
    """Return the mean over rows of ``|share of hits - mean score|`` of the row's bin (Naeini et al. 2015).

    Parameters
    ----------
    counts, scores, hits
        Rows, sum of scores and hits per bin along the last axis.
    """
    error: Floats = np.abs(hits - scores).sum(axis=-1) / counts.sum(axis=-1)
    return error


def _sums_of_powers(values: Floats) -> Floats:
    squares = values * values
    cubes, fourths = sum_of_products(squares, values), sum_of_products(squares, squares)
    return np.array([values.sum(), squares.sum(), cubes, fourths])


# How scores translate into probabilities, learnt from labelled rows.


# Isotonic regression pools entries that chance has put out of order, so they may be small.
_ROWS_PER_ENTRY = 10
_MOST_ENTRIES = 100


def calibrate(histogram: ScoreHistogram, kind: str) -> ScoreCalibration | None:
    """Return how often rows of a score are positive, None without both classes.

    Isotonic regression (pool adjacent violators) over up to 100 entries of about equal numbers of rows.

    Parameters
    ----------
    histogram
        Labelled rows.
    kind
        What a positive is.
    """
    rows = histogram.total_positives + histogram.total_negatives
    if not histogram.total_positives or not histogram.total_negatives:
        return None
    entries = min(_MOST_ENTRIES, max(2, rows // _ROWS_PER_ENTRY))
    coarse = histogram.compressed(entries)
    weights = (coarse.positives + coarse.negatives).astype(np.float64)
    rates = isotonic(coarse.positives / weights, weights)
    return ScoreCalibration(kind, rows, coarse.scores.tolist(), rates.tolist())


def isotonic(rates: Floats, weights: Floats) -> Floats:
    """Return the non-decreasing sequence nearest to `rates` in weighted squares."""
    blocks: list[tuple[float, float, int]] = []
    for rate, weight in zip(rates.tolist(), weights.tolist(), strict=True):
        block = (rate, weight, 1)
        while blocks and blocks[-1][0] >= block[0]:
            before = blocks.pop()
            total = before[1] + block[1]
            mean = (before[0] * before[1] + block[0] * block[1]) / total
            block = (mean, total, before[2] + block[2])
        blocks.append(block)
    return np.repeat([mean for mean, _, _ in blocks], [size for _, _, size in blocks])


def probabilities(calibration: ScoreCalibration, scores: Floats) -> Floats:
    """Return the probability that a row of each score is positive."""
    return np.interp(scores, calibration.scores, calibration.positive_rates)
