"""The feature-attribution analyzer: summaries, statistics, constraints and checks tied to one protocol."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import pyarrow as pa

from analyzers.feature_attribution.check import check
from analyzers.feature_attribution.check_sound import Limits
from analyzers.feature_attribution.describe import describe, tried
from analyzers.feature_attribution.metrics import attribution_metrics
from analyzers.feature_attribution.request import Ask, AttributionRequest, Budget, Shortcut
from analyzers.feature_attribution.suggest import suggest
from analyzers.feature_attribution.summary import AttributionSummary, merge, summarize
from analyzers.rules import Rules
from contract.analyzer import Decision, Metric
from contract.documents.attribution import (
    AttributionBaseline,
    AttributionConstraints,
    AttributionStatistics,
)


@dataclass(frozen=True)
class FeatureAttributionAnalyzer:
    """Feature attribution by either set of rules.

    Parameters
    ----------
    rules
        ``sound`` or ``sagemaker``; they differ in what is checked, not in what is computed.
    request
        What to explain.
    ask
        The model: a record batch of the request's features in, scores of shape (rows, outputs) out. It is
        asked from several threads at once.
    limits
        What the settings allow, under sound rules.
    budget
        The time there is.
    shortcut
        Gives exact values without coalitions, where it can.
    finish
        Called when the model will not be asked again.
    """

    rules: Rules
    request: AttributionRequest
    ask: Ask
    limits: Limits = field(default_factory=Limits)
    budget: Budget = field(default_factory=Budget, compare=False)
    shortcut: Shortcut | None = None
    finish: Callable[[], None] | None = None

    def empty(self) -> AttributionSummary:
        """Return the identity of `merge`."""
        return AttributionSummary()

    def summarize(self, batches: Iterable[pa.RecordBatch]) -> AttributionSummary:
        """Explain the rows of one split, in order, in bounded memory."""
        return summarize(batches, self.request, self.ask, self.budget, self.shortcut)

    def merge(self, left: AttributionSummary, right: AttributionSummary) -> AttributionSummary:
        """Combine two summaries; associative."""
        return merge(left, right)

    def row_count(self, summary: AttributionSummary) -> int:
        """Return how many rows were read."""
        return summary.rows_read

    def describe(self, summary: AttributionSummary) -> AttributionStatistics:
        """Turn a summary into the statistics document; the model is not asked again."""
        if self.finish is not None:
            self.finish()
        return describe(summary, self.request, self.budget.spent)

    def suggest(
        self, statistics: AttributionStatistics, baseline: AttributionBaseline | None
    ) -> AttributionConstraints:
        """Return the values as constraints; thresholds of a baseline are carried over."""
        return suggest(statistics, baseline, self.limits.drift)

    def check(self, statistics: AttributionStatistics, baseline: AttributionBaseline) -> Decision:
        """Compare a window's attributions with the baseline's."""
        return check(
            statistics,
            baseline,
            rules=self.rules,
            limits=self.limits,
            seed=self.request.sampling.seed,
        )

    def metrics(
        self,
        statistics: AttributionStatistics,
        baseline: AttributionBaseline | None,
        decision: Decision | None,
    ) -> list[Metric]:
        """Return every global value and the expected value of every label."""
        return attribution_metrics(statistics)

    def tried(self, statistics: AttributionStatistics) -> tuple[str, ...]:
        """Return what the model did with the row explained in a trial."""
        return tried(statistics, self.request.model)
