"""Random tables of predictions and labels, and running the analyzer on them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa

from analyzers.model_quality.analyzer import ModelQualityAnalyzer
from analyzers.model_quality.documents import QualityStatistics

COLUMNS = {"inference_attribute": "prediction", "ground_truth_attribute": "label"}


def binary_analyzer(**settings: Any) -> ModelQualityAnalyzer:
    settings = {**COLUMNS, "probability_attribute": "score", **settings}
    return ModelQualityAnalyzer(problem_type="BinaryClassification", **settings)


def multiclass_analyzer(**settings: Any) -> ModelQualityAnalyzer:
    return ModelQualityAnalyzer(problem_type="MulticlassClassification", **{**COLUMNS, **settings})


def regression_analyzer(**settings: Any) -> ModelQualityAnalyzer:
    return ModelQualityAnalyzer(problem_type="Regression", **{**COLUMNS, **settings})


def measure(analyzer: ModelQualityAnalyzer, *batches: pa.RecordBatch) -> QualityStatistics:
    return analyzer.describe(analyzer.summarize(batches))


def batch(**columns: Any) -> pa.RecordBatch:
    return pa.RecordBatch.from_pydict(columns)


def binary_batch(
    generator: np.random.Generator, rows: int, *, share: float = 0.3, distance: float = 1.5, digits: int = 6
) -> pa.RecordBatch:
    """Return rows of a calibrated model whose classes lie `distance` standard deviations apart."""
    labels = generator.random(rows) < share
    inputs = generator.normal(size=rows) + distance * labels
    odds = share / (1.0 - share) * np.exp(distance * inputs - distance**2 / 2.0)
    scores = np.round(odds / (1.0 + odds), digits)
    return batch(
        label=labels.astype(np.int64), prediction=(scores >= 0.5).astype(np.int64), score=scores.tolist()
    )
