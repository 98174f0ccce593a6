"""Scores of positives and negatives: curves, areas and their variance; how good they are as probabilities.

A histogram of distinct scores with the number of positives and negatives at each holds all of it. Up to a
million distinct scores it is exact; beyond, neighbouring scores share an entry of at most two millionths of
the rows, which moves the area under the curve by less than a millionth.
"""

import math
from collections import Counter
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from analyzers.model_quality.documents import ScoreCalibration
from analyzers.model_quality.intervals import Spread, spread_of_moments
from analyzers.shared.cells import Codes, Flags, Floats
from analyzers.shared.significance import sum_of_products

MOST_DISTINCT = 1 << 20
_KEPT_DISTINCT = 1 << 19
_PENDING = 1 << 21

# The originals draw curves of about this many points.
_CURVE_POINTS = 1000


@dataclass
class ScoreHistogram:
    """Distinct `scores` ascending, with `positives` and `negatives` at each.

    Rows wait in `pending` until there are enough of them to be sorted in.
    """

    scores: Floats = field(default_factory=lambda: np.empty(0))
    positives: Codes = field(default_factory=lambda: np.empty(0, dtype=np.int64))
    negatives: Codes = field(default_factory=lambda: np.empty(0, dtype=np.int64))
    pending: tuple[list[Floats], list[Floats]] = field(default_factory=lambda: ([], []))
    pending_rows: int = 0

    def add(self, scores: Floats, is_positive: Flags) -> None:
        """Add rows: their scores, none of them NaN, and whether each is a positive."""
        self.pending[0].append(scores[is_positive])
        self.pending[1].append(scores[~is_positive])
        self.pending_rows += scores.size
        if self.pending_rows >= _PENDING:
            self.settle()

    def settle(self) -> "ScoreHistogram":
        """Sort pending rows in; return self."""
        if self.pending_rows:
            waiting = map(np.concatenate, self.pending)
            positives, negatives = (np.unique(part, return_counts=True) for part in waiting)
            self.pending, self.pending_rows = ([], []), 0
            self._combine(
                ScoreHistogram(positives[0], positives[1], np.zeros_like(positives[1])),
                ScoreHistogram(negatives[0], np.zeros_like(negatives[1]), negatives[1]),
            )
        return self

    def _combine(self, *others: "ScoreHistogram") -> None:
        parts = (self, *others)
        scores = np.concatenate([part.scores for part in parts])
        order = np.argsort(scores, kind="stable")
        starts = _starts(scores[order])
        self.scores = scores[order][starts]
        self.positives = np.add.reduceat(np.concatenate([part.positives for part in parts])[order], starts)
        self.negatives = np.add.reduceat(np.concatenate([part.negatives for part in parts])[order], starts)
        if self.scores.size > MOST_DISTINCT:
            kept = self.compressed(_KEPT_DISTINCT)
            self.scores, self.positives, self.negatives = kept.scores, kept.positives, kept.negatives

    def merge(self, other: "ScoreHistogram") -> None:
        """Add the rows of another, sorted in."""
        self.settle()
        if other.settle().scores.size:
            self._combine(other)

    @property
    def total_positives(self) -> int:
        """Return the number of positives."""
        return int(self.settle().positives.sum())

    @property
    def total_negatives(self) -> int:
        """Return the number of negatives."""
        return int(self.settle().negatives.sum())

    def compressed(self, entries: int) -> "ScoreHistogram":
        """Return a histogram of at most `entries` entries of about equal numbers of rows."""
        self.settle()
        rows = (self.positives + self.negatives).astype(np.float64)
        middle = np.cumsum(rows) - rows / 2.0
        starts = _starts(np.floor(middle * (entries / max(1.0, rows.sum()))))
        return ScoreHistogram(
            np.add.reduceat(self.scores * rows, starts) / np.add.reduceat(rows, starts),
            np.add.reduceat(self.positives, starts),
            np.add.reduceat(self.negatives, starts),
        )


def _starts(ordered: Floats) -> npt.NDArray[np.intp]:
    """Return where a new value starts in an ascending array."""
    if not ordered.size:
        return np.empty(0, dtype=np.intp)
    return np.flatnonzero(np.concatenate(([True], ordered[1:] != ordered[:-1])))


def area_deviation(histogram: ScoreHistogram) -> float | None:
    """Return the standard error of the area under the ROC curve (DeLong, DeLong & Clarke-Pearson 1988).

    None when a class has fewer than two rows.
    """
    histogram.settle()
    positives, negatives = histogram.positives, histogram.negatives
    total = histogram.total_positives, histogram.total_negatives
    if min(total) < 2:
        return None
    below = (np.cumsum(negatives) - negatives + negatives / 2.0) / total[1]
    above = (total[0] - np.cumsum(positives) + positives / 2.0) / total[0]
    variance = _variance(below, positives) / total[0] + _variance(above, negatives) / total[1]
    return math.sqrt(variance)


def _variance(values: Floats, counts: Codes) -> float:
    total = counts.sum()
    mean = sum_of_products(values, counts) / total
    return sum_of_products((values - mean) ** 2, counts) / (total - 1)


class Cumulative(NamedTuple):
    """True and false positives when the rows of the highest scores are taken as positive, point by point."""

    true_positives: Codes | Floats
    false_positives: Codes | Floats

    @property
    def area(self) -> float:
        """Return the trapezoidal area under the ROC curve, both classes present.

        With one point per distinct score it is the share of pairs of a positive and a negative in which the
        positive has the higher score, ties counted one half. Summed point by point, as the originals do, so
        that the last digits agree.
        """
        true_rates = np.concatenate(([0.0], self.true_positives / self.true_positives[-1], [1.0]))
        false_rates = np.concatenate(([0.0], self.false_positives / self.false_positives[-1], [1.0]))
        return float(np.cumsum(np.diff(false_rates) * (true_rates[1:] + true_rates[:-1]) / 2.0)[-1])


def cumulative(histogram: ScoreHistogram, *, thinned: bool) -> Cumulative:
    """Return the points of the curves, highest score first.

    Parameters
    ----------
    histogram
        At least one row.
    thinned
        Whether groups of neighbouring scores share a point, as many as leave about 1000, as in the originals;
        below 2000 distinct scores every one has its point.
    """
    histogram.settle()
    true_positives = np.cumsum(histogram.positives[::-1])
    false_positives = np.cumsum(histogram.negatives[::-1])
    group = true_positives.size // _CURVE_POINTS
    if thinned and group >= 2:
        last = np.append(np.arange(group - 1, true_positives.size - 1, group), true_positives.size - 1)
        return Cumulative(true_positives[last], false_positives[last])
    return Cumulative(true_positives, false_positives)


def roc_curve(points: Cumulative) -> dict[str, list[float]]:
    """Return the ROC curve from (0, 0) to (1, 1), both added to the points."""
    false_rates = points.false_positives / points.false_positives[-1]
    true_rates = points.true_positives / points.true_positives[-1]
    return {
        "false_positive_rates": [0.0, *false_rates.tolist(), 1.0],
        "true_positive_rates": [0.0, *true_rates.tolist(), 1.0],
    }


def precision_recall_curve(points: Cumulative) -> dict[str, list[float]]:
    """Return the precision-recall curve, starting at recall 0 with the precision of the highest score."""
    precisions = points.true_positives / (points.true_positives + points.false_positives)
    recalls = points.true_positives / points.true_positives[-1]
    return {"precisions": [float(precisions[0]), *precisions.tolist()], "recalls": [0.0, *recalls.tolist()]}


def average_precision(positives: Codes | Floats, negatives: Codes | Floats) -> Floats:
    """Return the average precision: precision at each score, weighted by the recall it adds.

    Parameters
    ----------
    positives, negatives
        Numbers at each score, ascending by score, along the last axis; they may be weights.
    """
    true_positives = np.cumsum(positives[..., ::-1], axis=-1)
    taken = np.cumsum((positives + negatives)[..., ::-1], axis=-1)
    with np.errstate(invalid="ignore", divide="ignore"):
        precision = np.where(taken > 0.0, true_positives / taken, 0.0)
        area: Floats = (precision * positives[..., ::-1]).sum(axis=-1) / true_positives[..., -1]
    return area


def average_precision_spread(histogram: ScoreHistogram) -> Spread | None:
    """Return how much the average precision varies by chance, None with a single row.

    From its derivative by the weight of each row (infinitesimal jackknife, Jaeckel 1972): a positive moves
    the average by its own precision and lifts that of the positives below it, a negative lowers theirs.

    Parameters
    ----------
    histogram
        At least one positive.
    """
    histogram.settle()
    classes = histogram.positives, histogram.negatives
    positives, negatives = (counts[::-1].astype(np.float64) for counts in classes)
    true_positives, taken = np.cumsum(positives), np.cumsum(positives + negatives)
    precision, total = true_positives / taken, true_positives[-1]
    area = sum_of_products(precision, positives) / total
    # Sums over the positives at and below each score.
    lifted = np.cumsum((positives * (taken - true_positives) / taken**2)[::-1])[::-1]
    lowered = np.cumsum((positives * true_positives / taken**2)[::-1])[::-1]
    rows = int(taken[-1])
    moments = np.zeros(3)
    for counts, derivative in ((positives, precision - area + lifted), (negatives, -lowered)):
        by_row = derivative * (rows / total)
        squares = by_row * by_row
        powers = (squares, squares * by_row, squares**2)
        moments += [sum_of_products(counts, power) for power in powers]
    return spread_of_moments(rows, 1.0, (moments / rows).tolist())


# How good scores are as probabilities: log loss, Brier score, calibration error, top-k accuracy.


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
    unknown_class, unknown_prediction
        Rows with a label, or a prediction, that no column of probabilities is of, by that.
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
    top_k: Counter[int] = field(default_factory=Counter)
    unknown_class: Counter[str] = field(default_factory=Counter)
    unknown_prediction: Counter[str] = field(default_factory=Counter)
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
        inside = ((probabilities >= 0.0) & (probabilities <= 1.0)).all(axis=1)
        self.outside += int(actual.size - inside.sum())
        probabilities, actual, predicted = probabilities[known], actual[known], predicted[known]
        own = probabilities[np.arange(predicted.size), predicted]
        self.other_class += int(((predicted >= 0) & (own < probabilities.max(axis=1, initial=-np.inf))).sum())
        given = probabilities[np.arange(actual.size), actual]
        rank = (probabilities > given[:, None]).sum(axis=1)
        for k in TOP_K:
            if k < probabilities.shape[1]:
                self.top_k[k] += int((rank < k).sum())
        brier = (probabilities**2).sum(axis=1) - 2.0 * given + 1.0
        self._add_losses(given, brier)

    def _add_losses(self, given: Floats, brier: Floats) -> None:
        log_loss = -np.log(np.clip(given, _SMALLEST, 1.0 - _SMALLEST))
        self.count += given.size
        self.log_loss += _sums_of_powers(log_loss)
        self.brier += _sums_of_powers(brier)

    def merge(self, other: "ProbabilitySums") -> None:
        """Add the sums over other rows."""
        sums = ("log_loss", "brier", "bin_count", "bin_scores", "bin_hits")
        add_up(self, other, "count", "outside", "other_class", *sums)
        add_up(self, other, "unknown_class", "unknown_prediction")
        self.top_k.update(other.top_k)


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
