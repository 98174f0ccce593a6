"""The model-quality analyzer: summaries, statistics, constraints and checks tied to one protocol."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa

from analyzers.model_quality import documents
from analyzers.model_quality.check import check_sagemaker, check_sound, suggest, undefined
from analyzers.model_quality.describe import Evidence, describe
from analyzers.model_quality.documents import QualityBaseline, QualityConstraints, QualityStatistics
from analyzers.model_quality.metrics import Cumulative, ScoreHistogram, binary_metrics, probabilities
from analyzers.model_quality.summary import QualitySummary, Task, merge, summarize
from analyzers.shared import rules as both_rules
from analyzers.shared.cells import Floats, changed_labels, label_of
from analyzers.shared.significance import sum_of_products
from contract.api import PRESENCE_CHECK, Analyzer, Comparison, Decision, Facts, Metric, State, Violation
from contract.dataset import GROUND_TRUTH
from contract.errors import ConfigurationError, DatasetError, DocumentError, wording
from contract.wording import counted, listing, number, percent

# Metrics of rows without labels, expected from what their scores meant at the baseline.
#
# Confidence-based estimation: the probability of each row being positive, by the baseline's calibration,
# gives the expected confusion matrix and the expected ranking of positives over negatives. It sees what a
# change of the inputs does to the scores; it cannot see labels that come to mean something else for the same
# inputs.


# Scores beyond those that calibration has seen, from which share on the estimate says so.
_MOST_BEYOND = 0.05


def estimate(
    statistics: QualityStatistics, unlabelled: ScoreHistogram, calibration: documents.ScoreCalibration
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
    # Of the rows that calibration has seen, half an entry lies beyond the mean of the first and of the last.
    every, seen = unlabelled.positives + unlabelled.negatives, calibration.scores
    beyond = float(every[(unlabelled.scores < seen[0]) | (unlabelled.scores > seen[-1])].sum()) / rows
    assumption = wording("quality_notes.estimated")
    if beyond > _MOST_BEYOND + 2.0 / len(seen):
        assumption += " " + wording("quality_notes.beyond", share=percent(beyond), low=seen[0], high=seen[-1])
    metrics = {name: {"value": value} for name, value in values.items() if math.isfinite(value)}
    said = {"method": "confidence-based", "assumption": assumption}
    return {**said, "item_count": rows, "metrics": metrics}


def _binary(unlabelled: ScoreHistogram, chances: Floats) -> dict[str, float]:
    predicted, rejected = unlabelled.positives * 1.0, unlabelled.negatives * 1.0
    found, missed = sum_of_products(chances, predicted), sum_of_products(chances, rejected)
    wrong, right = float(predicted.sum()) - found, float(rejected.sum()) - missed
    metrics = binary_metrics(np.array([[found, missed, wrong, right]]))
    values = {name: float(metrics[name][0]) for name in ("accuracy", "precision", "recall", "f1")}
    rows = (predicted + rejected)[::-1]
    points = Cumulative(np.cumsum(chances[::-1] * rows), np.cumsum((1.0 - chances[::-1]) * rows))
    if points.true_positives[-1] > 0.0 and points.false_positives[-1] > 0.0:
        values["auc"] = points.area
    return values


# What rows without a probability of their own class leave open, from which share of them on.
_MOST_UNKNOWN = 0.01


def _why_other_classes(now: QualityStatistics, before: QualityStatistics | None) -> str:
    """Return why metrics of probabilities are of other classes than at the baseline; empty where not."""
    then, count = before.unknown_class_count if before else 0, now.unknown_class_count
    usual = then / max(1, before.item_count) if before else 0.0
    if count / max(1, now.item_count) - usual <= _MOST_UNKNOWN:
        return ""
    return wording("quality_notes.other_classes", count=count, rows=now.item_count, then=then)


# Of a class of which a window should have so many rows, and the baseline has, none at all is no chance.
_FEWEST_OF_CLASS = 15.0


def _classes_gone(now: QualityStatistics, before: QualityStatistics) -> dict[str, int]:
    """Return the classes of which no label is any more, though there should be, and how many there were."""
    found = {label_of(label) for label, row in (now.confusion_matrix or {}).items() if any(row.values())}
    counts = {label_of(label): sum(row.values()) for label, row in (before.confusion_matrix or {}).items()}
    part = min(1.0, now.item_count / max(1, before.item_count)) / before.design_effect
    lost = counts.keys() - found
    return {label: counts[label] for label in lost if counts[label] * part >= _FEWEST_OF_CLASS}


_LACKS = {
    "predictions": "labelled rows lack a usable label or prediction",
    "scores": "labelled rows with a prediction lack a usable score",
}


def _lacking(one: QualityStatistics) -> dict[str, tuple[int, int]]:
    """Return how many rows lack a prediction or a score, and of how many."""
    unusable = one.unpredicted_count + one.unusable_label_count
    pairs = (unusable, unusable + one.item_count), (one.unscored_count, one.item_count)
    return dict(zip(_LACKS, pairs, strict=True))


# Labels that vary so many times more, or less, than at the baseline, may be in another unit.
_OTHER_UNIT = 10.0
_OF_A_UNIT = ("mae", "mse", "rmse", "pinball_loss")


def _why_other_unit(*sides: QualityStatistics | None) -> str:
    """Return that labels vary otherwise than at the baseline, by what r2 and mse say; empty where not."""
    known = [(one.value("mse") or 0.0, one.value("r2")) for one in sides if one is not None]
    spreads = [math.sqrt(mse / (1.0 - r2)) for mse, r2 in known if mse and r2 is not None and r2 < 1.0]
    if len(spreads) < 2 or 1.0 / _OTHER_UNIT < spreads[0] / spreads[1] < _OTHER_UNIT:
        return ""
    return wording("quality_notes.other_unit", now=number(spreads[0]), then=number(spreads[1]))


@dataclass(frozen=True, kw_only=True)
class ModelQualityAnalyzer(
    Task, both_rules.SharesErrors, Analyzer[QualitySummary, QualityStatistics, QualityConstraints]
):
    """Model quality by either set of rules.

    Parameters
    ----------
    rules
        ``sound`` or ``sagemaker``.
    seed
        Of the resampling.

    Raises
    ------
    ConfigurationError
        When the attributes do not suffice for the problem type.
    """

    rules: both_rules.Rules = "sound"
    seed: int = 0

    def __post_init__(self) -> None:
        if self.problem_type is None:
            raise ConfigurationError.of("quality_settings.problem_type", field="problem_type")
        if self.inference_attribute is not None:
            return
        if self.problem_type != "BinaryClassification":
            field = "inference_attribute"
            raise ConfigurationError.of("quality_settings.inference", field=field, problem=self.problem_type)
        if self.probability_attribute is None:
            raise ConfigurationError.of("quality_settings.probability", field="probability_attribute")

    def design_effects(self, statistics: QualityStatistics) -> dict[str, float]:
        """Return the design effect of the rows."""
        return {"rows": statistics.design_effect}

    def with_design_effects(
        self, statistics: QualityStatistics, effects: Mapping[str, float]
    ) -> QualityStatistics:
        """Return the statistics with another design effect of the rows."""
        return replace(statistics, design_effect=effects.get("rows", statistics.design_effect))

    def summarize(self, batches: Iterable[pa.RecordBatch]) -> QualitySummary:
        """Summarize the record batches of one split, in order, in bounded memory."""
        return summarize(batches, self)

    def merge(self, left: QualitySummary, right: QualitySummary) -> QualitySummary:
        """Combine two summaries; associative."""
        return merge(left, right)

    def row_count(self, summary: QualitySummary) -> int:
        """Return how many rows were summarized."""
        return summary.rows

    def describe(self, summary: QualitySummary) -> QualityStatistics:
        """Turn a summary into the statistics document."""
        return describe(summary, self, rules=self.rules, seed=self.seed)

    def estimate(self, statistics: QualityStatistics, baseline: QualityBaseline) -> QualityStatistics:
        """Return the statistics with what is estimated for rows without a label, under sound rules."""
        before, evidence = baseline.statistics, statistics.evidence
        known = before.calibration if before is not None and self.rules == "sound" else None
        if known is None or not isinstance(evidence, Evidence):
            return statistics
        return replace(statistics, estimated=estimate(statistics, evidence.unlabelled_scores, known))

    def suggest(self, statistics: QualityStatistics, baseline: QualityBaseline | None) -> QualityConstraints:
        """Suggest constraints; under sound rules an expert's changes to the baseline's are carried over.

        Raises
        ------
        DatasetError
            When the data cannot be what the settings say, or a baseline has no row with label and
            prediction.
        """
        self._refuse(statistics, is_baseline=baseline is None)
        return suggest(statistics, baseline, sound=self.rules == "sound")

    def _changed_labels(self, before: QualityStatistics | None, now: QualityStatistics) -> list[str]:
        """Return that labels are gone while others are new; of two that is another coding, and refused."""
        found = changed_labels(before.confusion_matrix, now.confusion_matrix) if before is not None else None
        if before is None or found is None or self.rules != "sound":
            return []
        if now.problem_type == "BinaryClassification":
            raise DocumentError.of("quality_documents.recoded", file=before.where, **found)
        return [wording("quality_notes.recoded", **found)]

    def check(self, statistics: QualityStatistics, baseline: QualityBaseline) -> Decision:
        """Compare a window's statistics with the baseline.

        Raises
        ------
        DocumentError
            When the baseline is of another problem type, or constrains what is no metric.
        """
        expected = statistics.problem_type
        for document in (baseline.constraints, baseline.statistics):
            if document is not None and (found := document.problem_type) != expected:
                types = {"found": found, "expected": expected}
                raise DocumentError.of("quality_documents.problem_type", file=document.where, **types)
        known, now = baseline.statistics, statistics.positive_label
        if known is not None and now and known.positive_label not in (None, now):
            said = {"file": known.where, "field": "positive_label", "then": known.positive_label, "now": now}
            raise DocumentError.of("quality_documents.positive_label", **said)
        if known is not None:
            thresholds = known.probability_threshold, statistics.probability_threshold
            both_rules.require_same_threshold(*thresholds, known.where)
        unit = _why_other_unit(statistics, known)
        notes = [*statistics.notes, *self._changed_labels(known, statistics), *filter(None, [unit])]
        if estimated := statistics.estimated:
            found = estimated["metrics"].items()
            values = ", ".join(f"{name} {number(round(metric['value'], 4))}" for name, metric in found)
            rows, assumption = estimated["item_count"], estimated["assumption"]
            notes.append(f"Of {rows} rows without label: {values}. {assumption}")
        constraints = both_rules.constraints_to_check(baseline, self.rules, suggest)
        notes += both_rules.unused_notes(constraints)
        why = both_rules.why_unchecked(constraints, bool(constraints and constraints.metrics))
        if constraints is None or why:
            return both_rules.nothing_checked(why, notes)
        if not statistics.item_count:
            why = "no row with a label has a usable prediction"
            if not statistics.unpredicted_count:
                why = f"no row has a label{'' if statistics.unlabelled_count else ' and a prediction'}"
            return both_rules.nothing_checked(why, notes, comparisons=self.unanswered(baseline, why))
        if self.rules == "sagemaker":
            decision = check_sagemaker(statistics, constraints)
        else:
            before, share = baseline.statistics, self.error_share
            decision = check_sound(
                statistics, constraints, before, positive=self.positive, error_share=share, seed=self.seed
            )
            why, of = _why_other_classes(statistics, before), documents.FACTS["of_probabilities"]

            def reason_of(one: Comparison) -> str:
                return why if one.subject in of else unit if one.subject.startswith(_OF_A_UNIT) else ""

            decision = both_rules.left_open(decision, reason_of)
            is_multiclass = self.problem_type == "MulticlassClassification"
            if before and is_multiclass and (gone := _classes_gone(statistics, before)):
                reason = wording("quality_notes.gone", rows=before.item_count, counts=counted(gone.items()))
                left = Comparison("classes", PRESENCE_CHECK, State.UNDECIDED, reason=reason, lost=True)
                decision = replace(decision, comparisons=(*decision.comparisons, left))
            usual, asked = _lacking(before) if before else {}, _lacking(statistics)
            for name in list(asked)[: 1 + (statistics.unscored_count > 0)]:
                of = Violation(PRESENCE_CHECK, _LACKS[name], metric_name=name)
                rows, rows_before = asked[name], usual.get(name, (0, 0))
                decision = both_rules.with_presence(decision, of, rows, rows_before, share / len(asked))
        return replace(decision, notes=(*notes, *decision.notes))

    def unanswered(self, baseline: QualityBaseline, reason: str) -> tuple[Comparison, ...]:
        """Return what the constraints ask for, not decided for a reason."""
        constraints = both_rules.constraints_to_check(baseline, self.rules, suggest)
        if constraints is None or both_rules.why_unchecked(constraints, asks_for_any=True):
            return ()
        return tuple(undefined(name, one, reason) for name, one in constraints.metrics.items())

    def facts(self, statistics: QualityStatistics) -> Facts:
        """Return the notes, and how many rows have a label."""
        labelled = statistics.item_count + statistics.unpredicted_count
        return Facts(tuple(statistics.notes), labelled, statistics.unlabelled_count)

    def metrics(
        self, statistics: QualityStatistics, baseline: QualityBaseline | None, decision: Decision | None
    ) -> list[Metric]:
        """Return the values to publish: every metric by its name, estimated ones as ``estimated_<name>``."""
        gauge = "model_monitor_quality"
        measured = [
            Metric(name, metric.value, interval=metric.interval, gauge=gauge, labels={"metric": name})
            for name, metric in statistics.metrics.items()
            if metric.value is not None
        ]
        gauge, estimated = f"{gauge}_estimated", (statistics.estimated or {}).get("metrics", {})
        return measured + [
            Metric(f"estimated_{name}", metric["value"], gauge=gauge, labels={"metric": name})
            for name, metric in estimated.items()
        ]

    def _refuse(self, statistics: QualityStatistics, *, is_baseline: bool) -> None:
        evidence = statistics.evidence
        if not isinstance(evidence, Evidence):
            return
        if evidence.problem is not None:
            raise evidence.problem
        if is_baseline and evidence.doubt is not None and self.rules == "sound":
            raise evidence.doubt
        if is_baseline and evidence.column_names and not statistics.item_count:
            names = listing(list(evidence.column_names), 20)
            if statistics.unpredicted_count:
                raise DatasetError.of("quality_rows.unpredicted", field="inference_attribute", names=names)
            if self.ground_truth_attribute in (None, GROUND_TRUTH):
                raise DatasetError.of("quality_rows.unjoined", field="ground_truth_source")
            raise DatasetError.of("quality_rows.unlabelled", field="ground_truth_attribute", names=names)
