"""Counts by actual and predicted label, and the metrics that follow from them."""

from collections import Counter
from typing import NamedTuple

import numpy as np

from analyzers.model_quality.documents import FACTS
from analyzers.shared.cells import Coded, Codes, Floats
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
    weighted = {f"weighted_{name}": (shares * values).sum(axis=1) for name, values in by_class.items()}
    return {"accuracy": accuracy, **weighted}


def _per_class(counts: Floats, places: Codes, classes: int) -> Floats:
    sums = np.zeros((counts.shape[0], classes))
    order = np.argsort(places, kind="stable")
    if order.size:
        ordered = places[order]
        starts = np.flatnonzero(np.concatenate(([True], ordered[1:] != ordered[:-1])))
        sums[:, ordered[starts]] = np.add.reduceat(counts[:, order], starts, axis=1)
    return sums


def constant_matrix(cells: Cells) -> Cells:
    """Return the cells of always predicting the most frequent actual label, the first in a tie."""
    actual = np.bincount(cells.actual, weights=cells.counts, minlength=len(cells.labels)).astype(np.int64)
    present = np.flatnonzero(actual)
    majority = np.full(present.size, int(np.argmax(actual)), dtype=np.int64)
    return Cells(cells.labels, present, majority, actual[present])
