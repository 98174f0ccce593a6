"""The model-quality analyzer: summaries, statistics, constraints and checks tied to one protocol."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

import pyarrow as pa

from analyzers.labels import normalise_label
from analyzers.model_quality.check import check
from analyzers.model_quality.columns import Attributes
from analyzers.model_quality.describe import Evidence, describe
from analyzers.model_quality.estimate import estimate
from analyzers.model_quality.suggest import suggest
from analyzers.model_quality.summary import ModelQualitySummary, Task, merge, summarize
from analyzers.rules import Rules
from analyzers.wording import listing
from contract.analyzer import Decision, Metric
from contract.documents.model_quality import (
    ModelQualityBaseline,
    ModelQualityConstraints,
    ModelQualityStatistics,
    ProblemType,
)
from contract.errors import ConfigurationError, DatasetError

DEFAULT_THRESHOLD = 0.5
_PROBLEM_TYPES = ("Regression", "BinaryClassification", "MulticlassClassification")


@dataclass(frozen=True)
class ModelQualityAnalyzer:
    """Model quality by either set of rules.

    Parameters
    ----------
    rules
        ``sound`` or ``sagemaker``.
    problem_type
        ``Regression``, ``BinaryClassification`` or ``MulticlassClassification``.
    inference_attribute, probability_attribute, ground_truth_attribute
        Columns of prediction, score and label: names, zero-based indices or paths in JSON. Several columns of
        probabilities, one per class, are separated by commas or named by what their names have in common.
        Without `ground_truth_attribute` the label is ``groundTruthData``.
    probability_threshold
        Score from which, inclusive, a row counts as predicted positive where there is no prediction; 0.5.
    positive_label
        The label that counts as positive; ``1``.
    seed
        Of the resampling.
    error_share
        Share of the false-alarm rate that one check may spend.

    Raises
    ------
    ConfigurationError
        When the attributes do not suffice for the problem type.
    """

    rules: Rules = "sound"
    problem_type: ProblemType | None = None
    inference_attribute: str | None = None
    probability_attribute: str | None = None
    probability_threshold: float | None = None
    ground_truth_attribute: str | None = None
    positive_label: str | None = None
    seed: int = 0
    error_share: float = 1.0

    def __post_init__(self) -> None:
        if self.problem_type is None:
            raise ConfigurationError(
                "problem_type is missing, but model quality needs it; use one of "
                f"{', '.join(_PROBLEM_TYPES)}."
            )
        if self.inference_attribute is not None:
            return
        if self.problem_type != "BinaryClassification":
            raise ConfigurationError(
                f"inference_attribute is missing, but {self.problem_type} needs it; give the name or the "
                "zero-based index of the column of predictions."
            )
        if self.probability_attribute is None:
            raise ConfigurationError(
                "BinaryClassification needs inference_attribute (the column of predicted labels), "
                "probability_attribute (the column of scores), or both; give names or zero-based indices."
            )

    def with_error_share(self, share: float) -> ModelQualityAnalyzer:
        """Return a copy whose check spends only `share` of the false-alarm rate."""
        return replace(self, error_share=self.error_share * share)

    def empty(self) -> ModelQualitySummary:
        """Return the identity of `merge`."""
        return ModelQualitySummary()

    def summarize(self, batches: Iterable[pa.RecordBatch]) -> ModelQualitySummary:
        """Summarize the record batches of one split, in order, in bounded memory."""
        return summarize(batches, self._task())

    def merge(self, left: ModelQualitySummary, right: ModelQualitySummary) -> ModelQualitySummary:
        """Combine two summaries; associative."""
        return merge(left, right)

    def row_count(self, summary: ModelQualitySummary) -> int:
        """Return how many rows were summarized."""
        return summary.rows

    def describe(self, summary: ModelQualitySummary) -> ModelQualityStatistics:
        """Turn a summary into the statistics document."""
        return describe(summary, self._task(), rules=self.rules, seed=self.seed)

    def estimate(
        self, statistics: ModelQualityStatistics, baseline: ModelQualityBaseline
    ) -> ModelQualityStatistics:
        """Return the statistics with what is estimated for rows without a label, under sound rules."""
        before = baseline.statistics
        evidence = statistics.evidence
        if self.rules != "sound" or before is None or before.calibration is None:
            return statistics
        if not isinstance(evidence, Evidence):
            return statistics
        estimated = estimate(statistics, evidence.unlabelled_scores, before.calibration)
        return replace(statistics, estimated=estimated)

    def suggest(
        self, statistics: ModelQualityStatistics, baseline: ModelQualityBaseline | None
    ) -> ModelQualityConstraints:
        """Suggest constraints; under sound rules an expert's changes to the baseline's are carried over.

        Raises
        ------
        DatasetError
            When the data cannot be what the settings say, or a baseline has no row with label and
            prediction.
        """
        self._refuse(statistics, is_baseline=baseline is None)
        return suggest(statistics, baseline, sound=self.rules == "sound")

    def check(self, statistics: ModelQualityStatistics, baseline: ModelQualityBaseline) -> Decision:
        """Compare a window's statistics with the baseline."""
        return check(
            statistics,
            baseline,
            rules=self.rules,
            positive=self._task().positive,
            error_share=self.error_share,
            seed=self.seed,
        )

    def metrics(
        self,
        statistics: ModelQualityStatistics,
        baseline: ModelQualityBaseline | None,
        decision: Decision | None,
    ) -> list[Metric]:
        """Return the values to publish: every metric by its name, estimated ones as ``estimated_<name>``."""
        published = [
            Metric(name, metric.value)
            for name, metric in statistics.metrics.items()
            if metric.value is not None
        ]
        estimated = (statistics.estimated or {}).get("metrics", {})
        return [
            *published,
            *(Metric(f"estimated_{name}", metric["value"]) for name, metric in estimated.items()),
        ]

    def _task(self) -> Task:
        assert self.problem_type is not None  # noqa: S101 - for mypy: refused when made
        threshold = self.probability_threshold
        positive = normalise_label(self.positive_label or "1")
        if self.problem_type == "BinaryClassification":
            positive = {"true": "1", "false": "0"}.get(positive, positive)
        return Task(
            problem_type=self.problem_type,
            attributes=Attributes(
                self.inference_attribute, self.probability_attribute, self.ground_truth_attribute
            ),
            threshold=DEFAULT_THRESHOLD if threshold is None else threshold,
            positive=positive,
        )

    def _refuse(self, statistics: ModelQualityStatistics, *, is_baseline: bool) -> None:
        evidence = statistics.evidence
        if not isinstance(evidence, Evidence):
            return
        if evidence.problem is not None:
            raise DatasetError(evidence.problem)
        if is_baseline and evidence.column_names and not statistics.item_count:
            raise DatasetError(
                "No row has both a label and a prediction, but a baseline needs them; set "
                "ground_truth_attribute to the column of labels and inference_attribute to that of "
                f"predictions. The columns are {listing(list(evidence.column_names), 20)}."
            )
