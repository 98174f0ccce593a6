"""How good the whole model is, and how labels are distributed: what Clarify's report says besides."""

from __future__ import annotations

from typing import Any

import numpy as np

from analyzers.bias.cells import Floats, normalise
from analyzers.bias.column_summary import Beyond, ColumnSummary
from analyzers.bias.formulas import quotient
from analyzers.bias.tables import Cells
from contract.documents.bias import MetricValue

_ASSIGNED = "Proportion of inputs with {} observed label correctly assigned the {} predicted label."
_HOLDS = "Proportion of inputs with {} predicted label that actually have a {} observed label."
_BETWEEN = "Ratio between the {} observed labels and {} predicted labels."


def model_metrics(counts: Floats) -> list[MetricValue]:
    """Return ten metrics of the whole model from ``counts[observed, predicted]``."""
    (tn, fp), (fn, tp) = counts.tolist()
    total = tn + fp + fn + tp
    positive, negative = ("positive", "positive"), ("negative", "negative")
    precision, recall = _ratio(tp, tp + fp), _ratio(tp, tp + fn)
    described = (
        (
            "Accuracy",
            "Proportion of inputs assigned the correct predicted label by the model.",
            _ratio(tp + tn, total),
        ),
        (
            "Proportion of Positive Predictions in Labels",
            "Proportion of input assigned in positive predicted label.",
            _ratio(tp + fp, total),
        ),
        (
            "Proportion of Negative Predictions in Labels",
            "Proportion of input assigned the negative predicted label.",
            _ratio(tn + fn, total),
        ),
        ("True Positive Rate / Recall", _ASSIGNED.format(*positive), recall),
        ("True Negative Rate / Specificity", _ASSIGNED.format(*negative), _ratio(tn, tn + fp)),
        ("Acceptance Rate / Precision", _HOLDS.format(*positive), precision),
        ("Rejection Rate", _HOLDS.format(*negative), _ratio(tn, tn + fn)),
        ("Conditional Acceptance", _BETWEEN.format(*positive), _ratio(tp + fn, tp + fp)),
        ("Conditional Rejection", _BETWEEN.format(*negative), _ratio(tn + fp, tn + fn)),
        (
            "F1 Score",
            "Harmonic mean of precision and recall.",
            _ratio(2.0 * precision * recall, precision + recall),
        ),
    )
    return [MetricValue(name, description, value) for name, description, value in described]


def _ratio(numerator: float, denominator: float) -> float:
    return float(quotient(np.float64(numerator), np.float64(denominator)))


def basic_statistics(confusion: Floats, *, with_predictions: bool) -> list[dict[str, Any]]:
    """Return the size of a group, its labels, and how right its predictions are, as JSON values.

    Parameters
    ----------
    confusion
        ``counts[facet, observed, predicted]``.
    with_predictions
        Whether rows have predictions.
    """
    group = confusion[1]
    size = float(group.sum())
    positive = _ratio(group[1].sum(), size)
    statistics: list[dict[str, Any]] = [
        {
            "name": "proportion",
            "description": "Proportion of examples in sensitive facet.",
            "value": _ratio(size, confusion.sum()),
        },
        {
            "name": "observed_label_distribution",
            "description": "Distribution of observed label outcomes for sensitive facet",
            "value": [positive, 1.0 - positive],
        },
    ]
    if with_predictions:
        outcomes = (group[1, 1], group[0, 1], group[1, 0], group[0, 0])
        statistics.append(
            {
                "name": "confusion_matrix",
                "description": "Fractions of TP, FP, FN, TN.",
                "value": [_ratio(count, size) for count in outcomes],
            }
        )
    return statistics


def label_confusion(
    cells: Cells, label: tuple[str, ColumnSummary], prediction: tuple[str, ColumnSummary]
) -> dict[str, dict[str, int]] | None:
    """Return rows by observed and predicted label, over the labels observed; None when they are too many.

    Parameters
    ----------
    cells
        Of any facet's table.
    label, prediction
        Name and summary of the columns.
    """
    if label[1].collapsed:
        return None
    observed = _texts(label[1])
    predicted = _texts(prediction[1])
    names = {text: str(label[1].values[observed.index(text) - 1]) for text in sorted(filter(None, observed))}
    table = {name: dict.fromkeys(names.values(), 0) for name in names.values()}
    places = np.stack((cells.places[label[0]], cells.places[prediction[0]]), axis=1)
    for (row, column), rows in zip(places.tolist(), cells.rows.tolist(), strict=True):
        if observed[row] in names and predicted[column] in names:
            table[names[observed[row] or ""]][names[predicted[column] or ""]] += int(rows)
    return table


def _texts(column: ColumnSummary) -> list[str | None]:
    return [None, *(None if isinstance(value, Beyond) else normalise(value) for value in column.values)]
