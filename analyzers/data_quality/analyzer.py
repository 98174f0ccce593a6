"""The data-quality analyzer: summaries, statistics, constraints and checks tied to one protocol."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Literal

import pyarrow as pa

from analyzers.data_quality.check import check
from analyzers.data_quality.describe import MOST_CATEGORIES, describe
from analyzers.data_quality.metrics import metrics
from analyzers.data_quality.suggest import suggest
from analyzers.data_quality.summary import (
    DatasetSummary,
    Summarizer,
    SummaryOptions,
    begin_passes,
    empty_summary,
    merge,
    summarize,
)
from analyzers.rules import Rules
from contract.analyzer import Decision, Metric
from contract.documents.constraints import Constraints
from contract.documents.data_quality import DataQualityBaseline
from contract.documents.statistics import Statistics


@dataclass(frozen=True)
class DataQualityAnalyzer:
    """Data quality by either set of rules.

    Parameters
    ----------
    rules
        ``sound`` or ``sagemaker``.
    categorical_drift_method
        Written into the suggested constraints; None for the default.
    arrival_order
        Whether sketches take values one by one in order of arrival, as the originals do for small inputs;
        otherwise in sorted chunks, which is faster.
    error_share
        How much of the false alarms a job may raise are this comparison's, under sound rules.
    """

    rules: Rules = "sound"
    categorical_drift_method: Literal["LInfinity", "ChiSquared"] | None = None
    arrival_order: bool = True
    error_share: float = 1.0

    def with_error_share(self, share: float) -> DataQualityAnalyzer:
        """Return a copy that spends `share` of the false alarms a job may raise."""
        return replace(self, error_share=self.error_share * share)

    def empty(self) -> DatasetSummary:
        """Return the identity of `merge`."""
        return empty_summary()

    def summarize(self, batches: Iterable[pa.RecordBatch]) -> DatasetSummary:
        """Summarize the record batches of one split, in order, in bounded memory."""
        return summarize(batches, self._options())

    def begin_passes(self) -> Callable[[], Summarizer]:
        """Return what begins a pass of the caller's own, one of several that take turns."""
        return begin_passes(self._options())

    def merge(self, left: DatasetSummary, right: DatasetSummary) -> DatasetSummary:
        """Combine two summaries; associative."""
        return merge(left, right)

    def row_count(self, summary: DatasetSummary) -> int:
        """Return how many rows were summarized."""
        return summary.row_count

    def describe(self, summary: DatasetSummary) -> Statistics:
        """Turn a summary into the statistics document."""
        return describe(summary, rules=self.rules)

    def suggest(self, statistics: Statistics, baseline: DataQualityBaseline | None) -> Constraints:
        """Suggest constraints; under sound rules an expert's additions to the baseline are carried over."""
        return suggest(
            statistics,
            baseline,
            rules=self.rules,
            categorical_drift_method=self.categorical_drift_method,
        )

    def check(self, statistics: Statistics, baseline: DataQualityBaseline) -> Decision:
        """Compare a window's statistics with the baseline."""
        return check(statistics, baseline, rules=self.rules, error_share=self.error_share)

    def metrics(
        self, statistics: Statistics, baseline: DataQualityBaseline | None, decision: Decision | None
    ) -> list[Metric]:
        """Return the values to publish."""
        return metrics(statistics, baseline, decision)

    def _options(self) -> SummaryOptions:
        return SummaryOptions(
            text_hash=self.rules == "sagemaker",
            arrival_order=self.arrival_order,
            max_categories=MOST_CATEGORIES[self.rules],
        )
