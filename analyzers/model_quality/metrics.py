"""Sums over rows that metrics follow from, and these metrics: of labels, of numbers, of scores.

First counts by actual and predicted label, then residuals, then scores of positives and negatives.
"""

import math
import zlib
from collections import Counter
from dataclasses import dataclass, field
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from analyzers.model_quality.documents import FACTS, ScoreCalibration
from analyzers.model_quality.intervals import Spread, spread_of_moments, spread_of_total
from analyzers.shared.cells import Coded, Codes, Flags, Floats
from analyzers.shared.significance import sum_of_products
from contract.errors import DatasetError
from contract.wording import listing

MOST_CLASSES = 1000

Confusion = Counter[tuple[str, str]]


def count_pairs(confusion: Confusion, actual: Coded, predicted: Coded, rows: Codes) -> None:
    """Add rows to `confusion`.

    Raises
    ------
    DatasetError
        When there are more than 1000 classes.
    """
    width = predicted.size
    pairs = actual.codes[rows] * width + predicted.codes[rows]
    places, counts = np.unique(pairs, return_counts=True)
    for place, count in zip(places.tolist(), counts.tolist(), strict=True):
        confusion[str(actual.values[place // width - 1]), str(predicted.values[place % width - 1])] += count
    check_classes(confusion)


def check_classes(confusion: Confusion) -> None:
    """Raise DatasetError when there are more than 1000 classes."""
    if len(confusion) <= MOST_CLASSES:
        return
    for side, kind in ((0, "labels"), (1, "predictions")):
        texts = {pair[side] for pair in confusion}
        if len(texts) > MOST_CLASSES:
            some = listing(sorted(texts)[:3])
            raise DatasetError.of("quality_labels.classes", kind=kind, most=MOST_CLASSES, some=some)


class Cells(NamedTuple):
    """The non-zero cells of a confusion matrix: indices of the labels, and how many rows."""

    labels: list[str]
    actual: Codes
    predicted: Codes
    counts: Codes


def cells_of(matrix: dict[str, dict[str, int]]) -> Cells:
    """Return the non-zero cells of a matrix as written: actual label to predicted label to rows."""
    labels = label_order({*matrix, *(name for row in matrix.values() for name in row)})
    places = {label: place for place, label in enumerate(labels)}
    pairs = ((actual, *cell) for actual, row in matrix.items() for cell in row.items())
    found = [(places[actual], places[predicted], count) for actual, predicted, count in pairs if count]
    table = np.array(found, dtype=np.int64).reshape(-1, 3)
    return Cells(labels, table[:, 0], table[:, 1], table[:, 2])


def label_order(labels: set[str]) -> list[str]:
    """Return labels ascending, as numbers when all of them are."""
    try:
        return sorted(labels, key=lambda label: (float(label), label))
    except ValueError:
        return sorted(labels)


def binary_cells(matrix: dict[str, dict[str, int]], positive: str) -> Codes:
    """Return true positives, false negatives, false positives and true negatives."""
    table = np.zeros((2, 2), dtype=np.int64)
    for actual, row in matrix.items():
        for predicted, count in row.items():
            table[int(actual != positive), int(predicted != positive)] += count
    return table.reshape(4)


def f_beta(beta: float, precision: Floats, recall: Floats) -> Floats:
    """Return the weighted harmonic mean of precision and recall, zero when both are."""
    square = beta * beta
    total = square * precision + recall
    return np.divide((1.0 + square) * precision * recall, total, out=np.zeros_like(total), where=total > 0.0)


# Which cells of a 2 x 2 table are the hits, and which all rows, of metrics that are shares of rows.
_PROPORTIONS = {name: (cells["hits"], cells["of"]) for name, cells in FACTS["proportions"].items()}
_BETAS = {"f0_5": 0.5, "f1": 1.0, "f2": 2.0}


def binary_metrics(cells: Floats) -> dict[str, Floats]:
    """Return the metrics of 2 x 2 tables, NaN where undefined.

    F-beta is ``(1 + b²) TP / ((1 + b²) TP + b² FN + FP)``, defined as soon as one of them is not zero.

    Parameters
    ----------
    cells
        Shape ``(tables, 4)``: true positives, false negatives, false positives, true negatives.
    """
    true_positives, false_negatives, false_positives, _ = cells.T
    with np.errstate(invalid="ignore", divide="ignore"):
        metrics = {
            name: cells[:, hits].sum(axis=1) / cells[:, total].sum(axis=1)
            for name, (hits, total) in _PROPORTIONS.items()
        }
        for name, beta in _BETAS.items():
            square = beta * beta
            found = (1.0 + square) * true_positives
            metrics[name] = found / (found + square * false_negatives + false_positives)
    return metrics


def binary_proportions(cells: Codes) -> dict[str, tuple[int, int]]:
    """Return hits and total of the metrics of a 2 x 2 table that are shares of independent rows."""
    return {name: (int(cells[hits].sum()), int(cells[of].sum())) for name, (hits, of) in _PROPORTIONS.items()}


def constant_cells(cells: Codes) -> Codes:
    """Return the 2 x 2 table of always predicting the more frequent class, the negative one in a tie."""
    positives, negatives = int(cells[0] + cells[1]), int(cells[2] + cells[3])
    table = (positives, 0, negatives, 0) if positives > negatives else (0, positives, 0, negatives)
    return np.array(table, dtype=np.int64)


def multiclass_metrics(cells: Cells, counts: Floats) -> dict[str, Floats]:
    """Return accuracy and the metrics weighted by the rows of each actual class, NaN where undefined.

    The precision of a class that was never predicted counts as zero.

    Parameters
    ----------
    cells
        Which cells the columns of `counts` are.
    counts
        Shape ``(tables, cells)``; they may be weights.
    """
    classes = len(cells.labels)
    hit = cells.actual == cells.predicted
    actual = _per_class(counts, cells.actual, classes)
    predicted = _per_class(counts, cells.predicted, classes)
    right = _per_class(counts[:, hit], cells.actual[hit], classes)
    total = counts.sum(axis=1)
    recall = np.divide(right, actual, out=np.zeros_like(right), where=actual > 0.0)
    precision = np.divide(right, predicted, out=np.zeros_like(right), where=predicted > 0.0)
    with np.errstate(invalid="ignore", divide="ignore"):
        shares = actual / total[:, None]
        accuracy = right.sum(axis=1) / total
    by_class = {"recall": recall, "precision": precision}
    by_class |= {name: f_beta(beta, precision, recall) for name, beta in _BETAS.items()}
    # Shares add up to one but for the last digit.
    sums = {f"weighted_{name}": (shares * values).sum(axis=1) for name, values in by_class.items()}
    weighted = {name: np.minimum(1.0, found) for name, found in sums.items()}
    return {"accuracy": accuracy, **weighted}


def _per_class(counts: Floats, places: Codes, classes: int) -> Floats:
    sums = np.zeros((counts.shape[0], classes))
    order = np.argsort(places, kind="stable")
    ordered = places[order]
    starts = _starts(ordered)
    sums[:, ordered[starts]] = np.add.reduceat(counts[:, order], starts, axis=1)
    return sums


def constant_matrix(cells: Cells) -> Cells:
    """Return the cells of always predicting the most frequent actual label, the first in a tie."""
    actual = np.bincount(cells.actual, weights=cells.counts, minlength=len(cells.labels)).astype(np.int64)
    present = np.flatnonzero(actual)
    majority = np.full(present.size, int(np.argmax(actual)), dtype=np.int64)
    return Cells(cells.labels, present, majority, actual[present])


# What regression metrics need of the rows: sums over 2000 buckets, which tell how much means vary.
#
# Rows go to buckets in turn, from a place that depends on the data, so up to 2000 rows of one split have a
# bucket each; beyond, a bucket is a random group of rows, and how much groups differ tells how much rows do.


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
    return metrics | _pinball_losses(over, under)


def _pinball_losses(over: Floats, under: Floats) -> dict[str, Floats]:
    losses = ((quantile, quantile * over + (1.0 - quantile) * under) for quantile in PINBALL_QUANTILES)
    return {f"pinball_loss_{quantile}".replace(".", "_"): loss for quantile, loss in losses}


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
    sums |= {name: (loss, count) for name, loss in _pinball_losses(over, under).items()}
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


# Scores of positives and negatives: curves, areas and their variance; how good they are as probabilities.
#
# A histogram of distinct scores with the number of positives and negatives at each holds all of it. Up to a
# million distinct scores it is exact; beyond, neighbouring scores share an entry of at most two millionths of
# the rows, which moves the area under the curve by less than a millionth.


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


def _starts(ordered: Floats | Codes) -> npt.NDArray[np.intp]:
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
    return sum_of_products((values - sum_of_products(values, counts) / total) ** 2, counts) / (total - 1)


class Cumulative(NamedTuple):
    """True and false positives when the rows of the highest scores are taken as positive, point by point."""

    true_positives: Codes | Floats
    false_positives: Codes | Floats

    @property
    def rates(self) -> tuple[Floats, Floats]:
        """Return the false and the true positive rates, from (0, 0) to (1, 1), both added to the points."""
        pairs = self.false_positives, self.true_positives
        false_rates, true_rates = (np.concatenate(([0.0], hits / hits[-1], [1.0])) for hits in pairs)
        return false_rates, true_rates

    @property
    def area(self) -> float:
        """Return the trapezoidal area under the ROC curve, both classes present.

        With one point per distinct score it is the share of pairs of a positive and a negative in which the
        positive has the higher score, ties counted one half. Summed point by point, as the originals do, so
        that the last digits agree.
        """
        false_rates, true_rates = self.rates
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
    """Return the ROC curve."""
    false_rates, true_rates = points.rates
    return {"false_positive_rates": false_rates.tolist(), "true_positive_rates": true_rates.tolist()}


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

    def add_scores(self, scores: Floats, hits: Flags) -> tuple[Floats, Flags]:
        """Add scores and whether each came true, for the calibration error; return those from 0 to 1."""
        inside = (scores >= 0.0) & (scores <= 1.0)
        self.outside += int(scores.size - inside.sum())
        scores, hits = scores[inside], hits[inside]
        bins = np.minimum((scores * CALIBRATION_BINS).astype(np.int64), CALIBRATION_BINS - 1)
        self.bin_count += np.bincount(bins, minlength=CALIBRATION_BINS)
        self.bin_scores += np.bincount(bins, weights=scores, minlength=CALIBRATION_BINS)
        self.bin_hits += np.bincount(bins, weights=hits.astype(np.float64), minlength=CALIBRATION_BINS)
        return scores, hits

    def add_binary(self, scores: Floats, is_positive: Flags) -> None:
        """Add probabilities of the positive class."""
        scores, is_positive = self.add_scores(scores, is_positive)
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
        self.outside += int(actual.size - ((probabilities >= 0.0) & (probabilities <= 1.0)).all(axis=1).sum())
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
        counts = ("count", "outside", "other_class", "unknown_class", "unknown_prediction")
        add_up(self, other, *counts, *sums)
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
