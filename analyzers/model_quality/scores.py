"""Scores of positives and negatives: ROC and precision-recall curves, areas, and their variance.

A histogram of distinct scores with the number of positives and negatives at each holds all of it. Up to a
million distinct scores it is exact; beyond, neighbouring scores share an entry of at most two millionths of
the rows, which moves the area under the curve by less than a millionth.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

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

    def settle(self) -> ScoreHistogram:
        """Sort pending rows in; return self."""
        if self.pending_rows:
            positives, negatives = (
                np.unique(np.concatenate(part), return_counts=True) for part in self.pending
            )
            self.pending, self.pending_rows = ([], []), 0
            self._combine(
                ScoreHistogram(positives[0], positives[1], np.zeros_like(positives[1])),
                ScoreHistogram(negatives[0], np.zeros_like(negatives[1]), negatives[1]),
            )
        return self

    def _combine(self, *others: ScoreHistogram) -> None:
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

    def merge(self, other: ScoreHistogram) -> None:
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

    def compressed(self, entries: int) -> ScoreHistogram:
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


@dataclass(frozen=True)
class Cumulative:
    """True and false positives when the rows of the highest scores are taken as positive, point by point."""

    true_positives: Codes
    false_positives: Codes

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
    positives, negatives = (
        counts[::-1].astype(np.float64) for counts in (histogram.positives, histogram.negatives)
    )
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
