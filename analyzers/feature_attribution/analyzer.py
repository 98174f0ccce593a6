"""The feature-attribution analyzer: summaries, statistics, constraints and checks tied to one protocol."""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import Any

import pyarrow as pa

from analyzers.feature_attribution import check_sound as checks
from analyzers.feature_attribution import documents
from analyzers.feature_attribution import summary as summaries
from analyzers.feature_attribution.documents import AttributionConstraints, AttributionStatistics
from analyzers.feature_attribution.summary import AttributionSummary, Dependence, partial_dependence
from analyzers.shared.analysis_json import with_version
from analyzers.shared.rules import Rules, nothing_checked, unused_notes, why_unchecked
from contract.api import Analyzer, Checker, Comparison, Decision, Facts, Metric
from contract.errors import DocumentError, wording
from contract.wording import listing, number, several

_Z_95 = 1.959964
_SAME = 1e-4


def _require_comparable(before: documents.Former, statistics: AttributionStatistics) -> None:
    for member in ("agg_method", "use_logit"):
        then, now = getattr(before.design, member), getattr(statistics.design, member)
        if then is not None and now is not None and then != now:
            then, now = (str(one).lower() if isinstance(one, bool) else one for one in (then, now))
            said = {"field": member, "then": then, "now": now}
            raise DocumentError.of("attributions.other_design", file=before.where, **said)


def _other_reference(before: documents.Former, statistics: AttributionStatistics) -> list[str]:
    """Note when the model's mean answer on the baseline rows is not what it was."""
    if len(before.labels) != len(statistics.labels):
        return []
    notes = []
    for name, former in checks.counterparts(before.labels, statistics.labels).items():
        then, now = former.expected_value, statistics.labels[name].expected_value
        if then is not None and now is not None and not math.isclose(then, now, rel_tol=_SAME, abs_tol=1e-9):
            told = {"label": name, "then": number(then), "now": number(now)}
            notes.append(wording("attributions.other_reference", **told))
    return notes


@dataclass(frozen=True)
class AttributionChecker(Checker[AttributionStatistics, AttributionConstraints]):
    """The check of feature attributions, without the model that they explain.

    Parameters
    ----------
    rules
        ``sound`` or ``sagemaker``.
    drift_limit
        The NDCG that the settings allow, under sound rules.
    seed
        Of the draws that give the standard error of NDCG.
    """

    rules: Rules
    drift_limit: float | None = None
    seed: int = 0

    def suggest(
        self, statistics: AttributionStatistics, baseline: documents.AttributionBaseline | None
    ) -> AttributionConstraints:
        """Return the window's values as constraints.

        Thresholds are those of the settings, else those of the baseline, else the defaults.
        """
        before = None if baseline is None else baseline.constraints
        formers = {} if before is None else checks.counterparts(before.labels, statistics.labels)
        labels = {}
        for name, label in statistics.labels.items():
            former = formers.get(name) or documents.LabelAttributions({}, None)
            drift = checks.first(self.drift_limit, former.drift_threshold, checks.DRIFT_THRESHOLD)
            limits: dict[str, Any] = {
                "magnitude_threshold": checks.first(former.magnitude_threshold, checks.MAGNITUDE_THRESHOLD),
                "direction_threshold": checks.first(former.direction_threshold, checks.DIRECTION_THRESHOLD),
                "drift_threshold": drift,
            }
            labels[name] = replace(label, sampling_errors={}, extra=dict(former.extra), **limits)
        further = {documents.PARTIAL_DEPENDENCE: statistics.dependence} if statistics.dependence else {}
        return AttributionConstraints(labels, statistics.design, further)

    def check(self, statistics: AttributionStatistics, baseline: documents.AttributionBaseline) -> Decision:
        """Compare a window's attributions with the baseline's, its statistics where it has no constraints.

        Raises
        ------
        DocumentError
            When the baseline's values cannot be compared with the window's.
        """
        before = baseline.constraints or baseline.statistics
        reason = why_unchecked(baseline.constraints, asks_for_any=True)
        if before is None or not statistics.labels:
            reason = reason or ("there is no baseline" if before is None else "no row was explained")
        if before is None or reason:
            asked = self.unanswered(baseline, reason)
            return nothing_checked(reason, statistics.notes, with_version([]), asked)
        _require_comparable(before, statistics)
        is_sound = self.rules == "sound"
        pairs = list(checks.pair_labels(before, statistics))
        if is_sound:
            decision = checks.check_sound(pairs, self.drift_limit, seed=self.seed)
            decision = checks.without_values(decision, before, statistics)
        else:
            decision = checks.check_sagemaker(pairs)
        others = checks.decision_of(checks.unpaired(before.labels, statistics.labels, with_sizes=is_sound))
        notes = [*statistics.notes, *unused_notes(baseline.constraints), *others.notes]
        notes += [note for pair in pairs for note in pair.notes]
        notes += [*_other_reference(before, statistics), *decision.notes]
        comparisons = (*decision.comparisons, *others.comparisons)
        return replace(decision, notes=tuple(notes), comparisons=comparisons)

    def unanswered(self, baseline: documents.AttributionBaseline, reason: str) -> tuple[Comparison, ...]:
        """Return what the baseline asks for, not decided for a reason."""
        before = baseline.constraints or baseline.statistics
        if before is None or why_unchecked(baseline.constraints, asks_for_any=True):
            return ()
        return tuple(checks.unanswered(before.labels, reason, with_sizes=self.rules == "sound"))


@dataclass(frozen=True, kw_only=True)
class FeatureAttributionAnalyzer(
    AttributionChecker, Analyzer[AttributionSummary, AttributionStatistics, AttributionConstraints]
):
    """Feature attribution by either set of rules, which differ in what is checked, not in what is computed.

    Parameters
    ----------
    request
        What to explain.
    ask
        The model: a record batch of the request's features in, scores of shape (rows, outputs) out. It is
        asked from several threads at once.
    budget
        The time there is.
    shortcut
        Gives exact values without coalitions, where it can.
    finish
        Called when the model will not be asked again.
    dependence
        The partial dependence that is wanted, None for none.
    """

    request: summaries.AttributionRequest
    ask: summaries.Ask
    budget: summaries.Budget = field(default_factory=summaries.Budget, compare=False)
    shortcut: summaries.Shortcut | None = None
    finish: Callable[[], None] | None = None
    dependence: Dependence | None = None

    def summarize(self, batches: Iterable[pa.RecordBatch]) -> AttributionSummary:
        """Explain the rows of one split, in order, in bounded memory."""
        return summaries.summarize(batches, self.request, self.ask, self.budget, self.shortcut)

    def merge(self, left: AttributionSummary, right: AttributionSummary) -> AttributionSummary:
        """Combine two summaries; associative."""
        return summaries.merge(left, right)

    def row_count(self, summary: AttributionSummary) -> int:
        """Return how many rows were read."""
        return summary.rows_read

    def describe(self, summary: AttributionSummary) -> AttributionStatistics:
        """Turn a summary into the statistics document; the model is asked for partial dependence alone."""
        statistics = summaries.describe(summary, self.request, self.budget.spent)
        if self.dependence is not None and self.dependence.rows.num_rows:
            arguments = (self.dependence, self.request, statistics.labels, self.ask, self.budget)
            statistics.dependence = partial_dependence(*arguments)
            failed = [(one["feature_name"], one["error"]) for one in statistics.dependence if "error" in one]
            said = [wording("attributions.no_dependence", feature=name, why=why) for name, why in failed]
            statistics.notes += tuple(said)
        if self.finish is not None:
            self.finish()
        return statistics

    def facts(self, statistics: AttributionStatistics) -> Facts:
        """Return the notes."""
        return Facts(statistics.notes, rows=statistics.explained.rows_read)

    def metrics(
        self,
        statistics: AttributionStatistics,
        baseline: documents.AttributionBaseline | None,
        decision: Decision | None,
    ) -> list[Metric]:
        """Return ``feature_<name>`` and ``ExpectedValue`` of every label, those that are defined."""
        published = []
        for label, found in statistics.labels.items():
            about = {"ExplainabilityMethod": "KernelShap", "Label": label}
            for name, value in found.values.items():
                if value is None:
                    continue
                error = found.standard_errors.get(name)
                interval = None if error is None else (value - _Z_95 * error, value + _Z_95 * error)
                kind, labels = about | {"ValueType": "GlobalShapValues"}, {"feature": name}
                metric = Metric(f"feature_{name}", value, dimensions=kind, interval=interval, labels=labels)
                published.append(replace(metric, gauge="model_monitor_attribution"))
            if (expected := found.expected_value) is not None:
                about |= {"ValueType": "ExpectedValue"}
                gauge = "model_monitor_expected_value"
                published.append(Metric("ExpectedValue", expected, dimensions=about, gauge=gauge, labels={}))
        return published

    def tried(self, statistics: AttributionStatistics) -> tuple[str, ...]:
        """Return a line on what the model did with the rows of a trial; none where no row was explained."""
        if not statistics.labels:
            return ()
        name, first = next(iter(statistics.labels.items()))
        feature, value = max(first.values.items(), key=lambda item: abs(item[1] or 0.0))
        known = (first.expected_value, value)
        expected, largest = ("unknown" if one is None else f"{one:.4g}" for one in known)
        rows, scores = statistics.explained.model_rows, several(len(statistics.labels), "score")
        asked = {"rows": several(rows, "row"), "seconds": statistics.explained.seconds}
        told = {"model": self.request.model, "scores": scores, "labels": listing(list(statistics.labels))}
        one = {"label": name, "expected": expected, "feature": feature, "value": largest}
        return (wording("attributions.tried", **told, **asked, **one),)
