"""The data-quality analyzer: summaries, statistics, constraints and checks tied to one protocol."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from itertools import repeat
from typing import Literal, Self

import pyarrow as pa

from analyzers.data_quality import summary as summaries
from analyzers.data_quality.check_sagemaker import check_sagemaker
from analyzers.data_quality.check_sound import check_sound
from analyzers.data_quality.columns import unanswered
from analyzers.data_quality.describe import MOST_CATEGORIES, describe
from analyzers.data_quality.documents import Constraints, DataQualityBaseline, NumericalStatistics, Statistics
from analyzers.data_quality.limits import suggest
from analyzers.data_quality.summary import DatasetSummary
from analyzers.shared.row_sample import Rivals
from analyzers.shared.rules import Rules, SharesErrors, constraints_to_check, nothing_checked, unused_notes
from contract.api import Analyzer, Comparison, Decision, Facts, Metric
from contract.errors import DatasetError, DocumentError, wording
from contract.wording import listing

_GAUGE = "model_monitor_feature"


def _data_metric(name: str, numbers: NumericalStatistics) -> list[Metric]:
    figures = {"Sum": numbers.sum, "Minimum": numbers.min, "Maximum": numbers.max}
    known = {key: figure for key, figure in figures.items() if figure is not None}
    if not numbers.num_present or len(known) < len(figures):
        return []
    values = {"SampleCount": float(numbers.num_present), **known}
    return [Metric(f"feature_data_{name}", statistic_values=values, gauge=_GAUGE, labels={"feature": name})]


def _coarse(statistics: Statistics) -> tuple[str, ...]:
    """Return the note on whole numbers that float64 cannot tell apart, if there are any."""
    known = [
        (one, one.numerical.min or 0.0, one.numerical.max or 0.0)
        for one in statistics.features
        if one.numerical
    ]
    large = []
    for one, least, most in known:
        # Codes of twenty digits are read as floats; other numbers are seldom so large and alike.
        is_code = least >= 2.0**63 and most < 10.0 * least
        if is_code or (one.inferred_type == "Integral" and max(-least, most) >= 2.0**53):
            large.append(one.name)
    return (wording("drift.coarse", names=listing(large)),) if large else ()


@dataclass(frozen=True)
class DataQualityAnalyzer(SharesErrors, Analyzer[DatasetSummary, Statistics, Constraints]):
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
    as_of
        When dates are looked at, for their age.
    cluster_by
        Columns that tell which rows belong together, under sound rules.
    rivals
        Of the row samples, where all summaries will be merged.
    """

    rules: Rules = "sound"
    categorical_drift_method: Literal["LInfinity", "ChiSquared"] | None = None
    arrival_order: bool = True
    as_of: datetime | None = None
    cluster_by: tuple[str, ...] = ()
    rivals: Rivals | None = field(default=None, repr=False, compare=False)

    def of_one_dataset(self) -> Self:
        """Return an analyzer whose row samples know of each other, as all will be merged."""
        return replace(self, rivals=Rivals())

    def design_effects(self, statistics: Statistics) -> dict[str, float]:
        """Return the design effects of each feature: of its values, and of which are missing."""
        known = {one.name: one.sample for one in statistics.features if one.sample is not None}
        missing = {f"{name} (missing)": sample.missing_design_effect for name, sample in known.items()}
        return {name: sample.design_effect for name, sample in known.items()} | missing

    def with_design_effects(self, statistics: Statistics, effects: Mapping[str, float]) -> Statistics:
        """Return the statistics with other design effects, named alike."""
        features = []
        for one in statistics.features:
            if (sample := one.sample) is not None:
                missing = effects.get(f"{one.name} (missing)", sample.missing_design_effect)
                values = effects.get(one.name, sample.design_effect)
                sample = replace(sample, design_effect=values, missing_design_effect=missing)
                one = replace(one, sample=sample)
            features.append(one)
        return replace(statistics, features=features)

    def summarize(self, batches: Iterable[pa.RecordBatch]) -> DatasetSummary:
        """Summarize the record batches of one split, in order, in bounded memory."""
        return summaries.summarize(batches, self._options())

    def begin_passes(self) -> Callable[[], summaries.Summarizer]:
        """Return what begins a pass of the caller's own, one of several that take turns."""
        return summaries.begin_passes(self._options())

    def merge(self, left: DatasetSummary, right: DatasetSummary) -> DatasetSummary:
        """Combine two summaries; associative."""
        return summaries.merge(left, right)

    def row_count(self, summary: DatasetSummary) -> int:
        """Return how many rows were summarized."""
        return summary.row_count

    def describe(self, summary: DatasetSummary) -> Statistics:
        """Turn a summary into the statistics document."""
        return describe(summary, rules=self.rules, as_of=self.as_of)

    def suggest(self, statistics: Statistics, baseline: DataQualityBaseline | None) -> Constraints:
        """Suggest constraints; under sound rules an expert's additions to the baseline are carried over.

        Raises
        ------
        DatasetError
            When a baseline would know no value.
        """
        has_values = any(one.num_present for one in statistics.features) or not statistics.item_count
        if baseline is None and not has_values:
            raise DatasetError.of("no_baseline.no_value", rows=statistics.item_count)
        method = self.categorical_drift_method
        return suggest(statistics, baseline, rules=self.rules, categorical_drift_method=method)

    def check(self, statistics: Statistics, baseline: DataQualityBaseline) -> Decision:
        """Compare a window's statistics with the baseline.

        Raises
        ------
        DocumentError
            When the constraints' configuration is unusable, or the statistics are of other features.
        """
        constraints = constraints_to_check(baseline, self.rules, suggest)
        if constraints is None:
            missing = "baseline_constraints" if self.rules == "sagemaker" else "baseline"
            return nothing_checked(f"there is no {missing}")
        if not constraints.features:
            return nothing_checked(f"{constraints.where} has no feature")
        if (known := baseline.statistics) is not None and known.features:
            sides = [[one.name for one in document.features] for document in (known, constraints)]
            if not set(sides[0]).intersection(sides[1]):
                then, asked = map(listing, sides)
                told = {"file": known.where, "constraints": constraints.where, "then": then, "asked": asked}
                raise DocumentError.of("data_quality_documents.other_features", **told)
        if not any(constraints.config(feature).evaluate_constraints for feature in constraints.features):
            return nothing_checked("evaluate_constraints is Disabled")
        if self.rules == "sagemaker":
            decision = check_sagemaker(statistics, constraints, baseline.statistics)
        else:
            decision = check_sound(statistics, constraints, baseline.statistics, self.error_share)
        notes = (*decision.notes, *unused_notes(constraints), *_coarse(statistics))
        return replace(decision, notes=notes)

    def unanswered(self, baseline: DataQualityBaseline, reason: str) -> tuple[Comparison, ...]:
        """Return what the constraints ask for, not decided for a reason."""
        constraints = constraints_to_check(baseline, self.rules, suggest)
        is_sound = self.rules == "sound"
        return () if constraints is None else unanswered(constraints, reason, with_ranges=is_sound)

    def facts(self, statistics: Statistics) -> Facts:
        """Return whether the columns came without names, and what their numbers do not tell."""
        return Facts(_coarse(statistics), positional=statistics.positional)

    def metrics(
        self, statistics: Statistics, baseline: DataQualityBaseline | None, decision: Decision | None
    ) -> list[Metric]:
        """Return ``feature_data_*``, ``feature_non_null_*`` and ``feature_baseline_drift_*`` of features.

        By the names of the originals (spec section 5). The constraints say which features are published;
        of no row there is nothing to publish.
        """
        if not statistics.item_count:
            return []
        constraints = baseline.constraints if baseline else None
        expected = constraints.features if constraints else []
        by_name = {feature.name: feature for feature in expected}
        by_place = expected if len(expected) == len(statistics.features) else repeat(None)
        distances = {finding.subject: finding.distance for finding in (decision.findings if decision else ())}
        published: list[Metric] = []
        for feature, at_place in zip(statistics.features, by_place, strict=False):
            known = at_place if statistics.positional else by_name.get(feature.name)
            name = known.name if known else feature.name
            if constraints is not None and not constraints.config(known).emit_metrics:
                continue
            labels = {"feature": name}
            if feature.numerical is not None:
                published += _data_metric(name, feature.numerical)
            for kind, gauge, value in (
                ("non_null", "completeness", feature.completeness),
                ("baseline_drift", "drift", distances.get(name)),
            ):
                if value is not None:
                    metric = f"feature_{kind}_{name}"
                    published.append(Metric(metric, value, gauge=f"{_GAUGE}_{gauge}", labels=labels))
        return published

    def _options(self) -> summaries.SummaryOptions:
        return summaries.SummaryOptions(
            text_hash=self.rules == "sagemaker",
            arrival_order=self.arrival_order,
            row_sample=self.rules == "sound",
            cluster_by=self.cluster_by,
            rivals=self.rivals,
            max_categories=MOST_CATEGORIES[self.rules],
        )
