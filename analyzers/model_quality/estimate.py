"""Metrics of rows without labels, expected from what their scores meant at the baseline.

Confidence-based estimation: the probability of each row being positive, by the baseline's calibration, gives
the expected confusion matrix and the expected ranking of positives over negatives. It sees what a change of
the inputs does to the scores; it cannot see labels that come to mean something else for the same inputs.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from analyzers.model_quality.calibration import probabilities
from analyzers.model_quality.cells import Floats
from analyzers.model_quality.scores import ScoreHistogram
from analyzers.sums import sum_of_products
from contract.documents.model_quality import ModelQualityStatistics, ScoreCalibration

METHOD = "confidence-based"
ASSUMPTION = (
    "Estimated, not measured: assumes that a score means the same as at the baseline (no concept drift)."
)


def estimate(
    statistics: ModelQualityStatistics, unlabelled: ScoreHistogram, calibration: ScoreCalibration
) -> dict[str, Any] | None:
    """Return the ``estimated`` member of the statistics, None without unlabelled scores.

    Parameters
    ----------
    statistics
        Of the window.
    unlabelled
        Scores of the rows without label, "positives" being those predicted positive.
    calibration
        Of the baseline.
    """
    unlabelled.settle()
    rows = unlabelled.total_positives + unlabelled.total_negatives
    if not rows:
        return None
    chances = probabilities(calibration, unlabelled.scores)
    if statistics.problem_type == "BinaryClassification":
        values = _binary(unlabelled, chances)
    else:
        right = sum_of_products(chances, unlabelled.positives + unlabelled.negatives)
        values = {"accuracy": right / rows}
    return {
        "method": METHOD,
        "assumption": ASSUMPTION,
        "item_count": rows,
        "metrics": {name: {"value": value} for name, value in values.items() if value is not None},
    }


def _binary(unlabelled: ScoreHistogram, chances: Floats) -> dict[str, float | None]:
    predicted, rejected = unlabelled.positives * 1.0, unlabelled.negatives * 1.0
    found, missed = sum_of_products(chances, predicted), sum_of_products(chances, rejected)
    wrong, right = float(predicted.sum()) - found, float(rejected.sum()) - missed
    return {
        "accuracy": (found + right) / (found + missed + wrong + right),
        "precision": _share(found, wrong),
        "recall": _share(found, missed),
        "f1": _share(2.0 * found, missed + wrong),
        "auc": _area(chances, predicted + rejected),
    }


def _share(part: float, rest: float) -> float | None:
    return part / (part + rest) if part + rest > 0.0 else None


def _area(chances: Floats, rows: Floats) -> float | None:
    positives, negatives = chances * rows, (1.0 - chances) * rows
    pairs = positives.sum() * negatives.sum()
    if pairs <= 0.0:
        return None
    below = np.cumsum(negatives) - negatives / 2.0
    return sum_of_products(positives, below) / float(pairs)
