"""The bias analyzer: summaries, statistics, constraints and checks tied to one protocol."""

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import pyarrow as pa

from analyzers.bias import documents, groups
from analyzers.bias import summary as summaries
from analyzers.bias.check import absent_groups, check_sagemaker, check_sound
from analyzers.bias.describe import Evidence, describe, group_text, impact_findings
from analyzers.bias.documents import BiasBaseline, BiasConstraints, BiasStatistics
from analyzers.bias.summary import BiasRequest, BiasSummary, SummaryPlan
from analyzers.shared import rules as both_rules
from analyzers.shared.analysis_json import with_version
from analyzers.shared.cells import as_number, changed_labels, label_of
from analyzers.shared.rules import Rules, SharesErrors, constraints_to_check, why_unchecked
from contract.api import PRESENCE_CHECK, Analyzer, Comparison, Decision, Facts, Metric, Violation
from contract.dataset import GROUND_TRUTH
from contract.errors import DatasetError, DocumentError, wording
from contract.wording import percent, several, some_of

# CloudWatch holds no infinity; Clarify publishes this in its place.
_INFINITY = 2.348543e108


# Constraints: the metrics of the baseline, each the largest size that a later window may have.


def suggest(
    statistics: BiasStatistics, baseline: BiasBaseline | None = None, *, sound: bool = True
) -> BiasConstraints:
    """Return constraints with every metric of every facet.

    Under sound rules what somebody added to the baseline's constraints is kept: what is allowed of a metric,
    and members that are not known here.

    Parameters
    ----------
    statistics
        Of the baseline, or of a window.
    baseline
        What the window was compared with, None in a baseline job.
    sound
        Whether sound rules apply.
    """
    known = (baseline.constraints if baseline is not None and sound else None) or BiasConstraints()
    stages: dict[documents.Stage, documents.StageMetrics] = {}
    for facet in statistics.facets:
        for name, metrics in facet.stages():
            label, value = statistics.label, statistics.label_value_or_threshold
            stage = stages.setdefault(name, documents.StageMetrics(label, {}, value))
            before = known.group(name, facet.facet, facet.value_or_threshold)
            former = [None if before is None else before.metric(one.name) for one in metrics]
            kept = list(map(_with_additions, metrics, former))
            group = documents.FacetMetrics(facet.value_or_threshold, kept)
            stage.facets.setdefault(facet.facet, []).append(group)
    return BiasConstraints(stages.get("post"), stages.get("pre"))


def _with_additions(
    metric: documents.MetricValue, known: documents.MetricValue | None
) -> documents.MetricValue:
    if known is None:
        return metric
    extra = {**known.extra, **metric.extra}
    return replace(metric, allowed=known.allowed, threshold=known.threshold, extra=extra)


# So much further than at the baseline outcomes cut between 0 and 1 go when they have become percent.
_UNITS = 10.0
# Standard errors that chance does not explain.
_UNLIKELY = 5.0


def _require_same_label(
    statistics: BiasStatistics, constraints: BiasConstraints, before: BiasStatistics | None
) -> None:
    """Refuse a baseline whose positive outcomes are others, or whose labels are in another unit or coding."""
    if before is not None:
        thresholds = before.probability_threshold, statistics.probability_threshold
        both_rules.require_same_threshold(*thresholds, before.where)
        sides = before, statistics
        labels = [one.label_values or list(one.confusion_matrix or ()) for one in sides]
        for what, values in (("label", labels), ("prediction", [one.predicted_values for one in sides])):
            if len(values[1]) == 2 and (found := changed_labels(*values)):
                raise DocumentError.of("bias_documents.recoded", file=before.where, what=what, **found)
    now, file = statistics.label_value_or_threshold, constraints.where
    for then in {stage.label_value_or_threshold for _, stage in constraints.stages()}:
        if not then or not now:
            continue
        if "(" in then + now:
            near, far = documents.interval_of(then), documents.interval_of(now)
            if near and far and 0.0 < near[0] < near[1] <= 1.0 < far[1] / _UNITS:
                raise DocumentError.of("bias_documents.other_scale", file=file, then=then, now=now)
            continue
        known, wanted = ({label_of(one) for one in text.split(",")} for text in (then, now))
        if known != wanted:
            raise DocumentError.of("bias_documents.other_label", file=file, then=then, now=now)


def _turned(before: BiasStatistics | None, statistics: BiasStatistics) -> list[str]:
    """Note that as many labels are positive as were negative: they may have been turned round."""
    shares, errors = [], []
    for one in (before, statistics):
        counts = np.sum(one.facets[0].counts, axis=(0, 2)) + 1.0 if one and one.facets else np.ones(2)
        shares.append(float(counts[1] / counts.sum()))
        errors.append(shares[-1] * (1.0 - shares[-1]) / counts.sum())
    then, now, error = *shares, math.sqrt(sum(errors))
    if abs(now - then) <= _UNLIKELY * error or abs(now - (1.0 - then)) > _UNLIKELY * error:
        return []
    return [wording("bias_notes.turned", then=percent(then), now=percent(now))]


def _with_presence(
    decision: Decision, statistics: BiasStatistics, before: BiasStatistics | None, error_share: float
) -> Decision:
    """Add, for every facet, whether more rows lack a group, a label or a prediction than at the baseline."""
    # With labels or predictions on one side only, complete rows mean two things.
    sides = [(one.has_labels, one.has_predictions) for one in (before, statistics) if one]
    if sides[0] != sides[-1]:
        return decision
    known = {facet.facet: int(np.sum(facet.counts)) for facet in before.facets} if before else {}
    # Labels that come from elsewhere come later.
    every, every_before = (
        one.item_count - one.unlabelled_count * one.has_labels if one else 0 for one in (statistics, before)
    )
    used = {facet.facet: int(np.sum(facet.counts)) for facet in statistics.facets}
    for name, rows in used.items():
        # That nothing at all is decided says more.
        if (not rows and decision.is_empty) or (before and not known.get(name)):
            continue
        text = f"rows lack a group of {name}, a label or a prediction"
        extra = {"facet": name, "facet_value": "*"}
        of = Violation(PRESENCE_CHECK, text, metric_name="complete_rows", extra=extra)
        usual = (every_before - known[name], every_before) if before else (0, 0)
        decision = both_rules.with_presence(
            decision, of, (every - rows, every), usual, error_share / len(used)
        )
    return decision if before is None else _with_gone(decision, before, statistics, error_share)


def _with_gone(
    decision: Decision, before: BiasStatistics, statistics: BiasStatistics, error_share: float
) -> Decision:
    """Add which groups of the baseline have no row any more, or every one, where that is no chance."""
    sizes = [_sizes(side) for side in (before, statistics)]
    rows_of = {facet: sum(groups[0]) for facet, groups in sizes[-1].items()}
    # Where groups are not all of the rows, another one is only not asked for.
    of_every_value = {
        facet
        for facet in rows_of
        if all(facet in side and sum(own for _, own in side[facet]) == sum(side[facet][0]) for side in sizes)
    }
    for known in before.facets:
        group = statistics.group(known.facet, known.value_or_threshold)
        rows = rows_of.get(known.facet, 0)
        others, of_group = _size(known)
        is_gone = not _size(group)[1] if group else known.facet in of_every_value
        is_all = group is not None and not _size(group)[0]
        if not rows or is_gone is is_all or not (of_group if is_gone else others):
            continue
        extra = {"facet": known.facet, "facet_value": known.value_or_threshold}
        text = f"rows are {'not ' if is_gone else ''}of the group {group_text(known)}"
        of = Violation(PRESENCE_CHECK, text, metric_name="rows_of_group", extra=extra)
        effect, usual = known.design_effect or 1.0, (others if is_gone else of_group, others + of_group)
        share = error_share / len(before.facets)
        told = both_rules.with_presence(decision, of, (rows, rows), usual, share, effect)
        if len(told.violations.violations) > len(decision.violations.violations):
            decision = told
    return decision


def _size(group: documents.FacetStatistics) -> tuple[int, int]:
    """Return how many rows are not of a group, and how many are."""
    others, own = np.sum(group.counts, axis=(1, 2))
    return int(others), int(own)


def _sizes(statistics: BiasStatistics) -> dict[str, list[tuple[int, int]]]:
    """Return by facet the sizes of its groups."""
    sizes: dict[str, list[tuple[int, int]]] = {}
    for group in statistics.facets:
        sizes.setdefault(group.facet, []).append(_size(group))
    return sizes


@dataclass(frozen=True)
class BiasAnalyzer(SharesErrors, Analyzer[BiasSummary, BiasStatistics, BiasConstraints]):
    """Bias by either set of rules.

    Parameters
    ----------
    rules
        ``sound`` or ``sagemaker``.
    request
        What to measure.
    seed
        Of the resampling, and of samples taken for the flip test.
    """

    rules: Rules
    request: BiasRequest
    seed: int = 0

    def summarize(self, batches: Iterable[pa.RecordBatch]) -> BiasSummary:
        """Summarize the record batches of one split, in order, in bounded memory."""
        return summaries.summarize(batches, self._plan)

    def merge(self, left: BiasSummary, right: BiasSummary) -> BiasSummary:
        """Combine two summaries; associative."""
        return summaries.merge(left, right, self._plan)

    def row_count(self, summary: BiasSummary) -> int:
        """Return how many rows were summarized."""
        return summary.rows

    def describe(self, summary: BiasSummary) -> BiasStatistics:
        """Turn a summary into the statistics document.

        Raises
        ------
        DatasetError
            When labels are words and the positive ones are named by numbers, or the other way round.
        """
        named = {as_number(label_of(value)) is not None for value in self.request.label_values}
        column = summary.columns[self.request.label]
        extent = column.extent()
        # The labels of a window may all be negative, but not of another kind than those that are named.
        kinds = {extent.least <= extent.greatest, not extent.has_words}
        if self.rules == "sound" and column.rows > column.missing and named and named.isdisjoint(kinds):
            self._refuse_without_positives(summary)
        return describe(summary, self._plan)

    def estimate(self, statistics: BiasStatistics, baseline: BiasBaseline) -> BiasStatistics:
        """Return a window's statistics with values and thresholds read as the baseline read them.

        Under sound rules only: one number in the configuration then means in every window what it meant in
        the baseline, however few values a window has.
        """
        evidence = statistics.evidence
        if self.rules != "sound" or not isinstance(evidence, Evidence) or not evidence.summary.rows:
            return statistics
        known = groups.read_thresholds(self._plan, *_printed(baseline))
        if known.items() <= groups.read_thresholds(self._plan, *_groups_of(statistics)).items():
            return statistics  # read alike; describing anew would repeat the flip test for nothing
        return describe(evidence.summary, replace(self._plan, known_thresholds=known))

    def suggest(self, statistics: BiasStatistics, baseline: BiasBaseline | None) -> BiasConstraints:
        """Suggest constraints; under sound rules a user's additions to the baseline's are carried over.

        Raises
        ------
        DatasetError
            When the data do not allow what the request asks.
        """
        self._refuse(statistics, is_baseline=baseline is None)
        return suggest(statistics, baseline, sound=self.rules == "sound")

    def check(self, statistics: BiasStatistics, baseline: BiasBaseline) -> Decision:
        """Compare a window's statistics with the baseline.

        Raises
        ------
        DocumentError
            When the baseline's positive labels are others.
        """
        notes = [*statistics.notes, *(f"{what}: {why}" for what, why in statistics.problems.items())]
        constraints = constraints_to_check(baseline, self.rules, suggest)
        notes += [*both_rules.unused_notes(constraints), *_turned(baseline.statistics, statistics)]
        reason = why_unchecked(constraints, constraints is not None and bool(list(constraints.stages())))
        if constraints is None or reason:
            return both_rules.nothing_checked(reason, notes, with_version([]))
        labels, file = {stage.label for _, stage in constraints.stages()}, constraints.where
        others = [label for label in labels if label not in ("", statistics.label)]
        notes += [wording("bias_notes.label", file=file, then=one, now=statistics.label) for one in others]
        if self.rules == "sagemaker":
            decision = check_sagemaker(statistics, constraints)
        else:
            before, share = baseline.statistics, self.error_share
            _require_same_label(statistics, constraints, before)
            decision = check_sound(statistics, constraints, before, error_share=share, seed=self.seed)
            decision = _with_presence(decision, statistics, before, share)
        # A violation of DI says as much of a group as the finding on four fifths.
        about = [one.extra for one in decision.violations.violations if one.metric_name == "DI"]
        violated = [(extra.get("facet"), extra.get("facet_value")) for extra in about]
        facets = [facet for facet in statistics.facets if (facet.facet, facet.value_or_threshold) in violated]
        told = impact_findings(facets).values()
        said = [note for note in notes if note not in told]
        return replace(decision, notes=(*said, *decision.notes))

    def unanswered(self, baseline: BiasBaseline, reason: str) -> tuple[Comparison, ...]:
        """Return what the constraints ask for, not decided for a reason."""
        constraints = constraints_to_check(baseline, self.rules, suggest)
        if constraints is None or why_unchecked(constraints, asks_for_any=True):
            return ()
        empty = BiasStatistics(0, "")
        asked = absent_groups(empty, constraints, is_sound=self.rules == "sound")
        return tuple(replace(one, reason=reason) for one in asked)

    def facts(self, statistics: BiasStatistics) -> Facts:
        """Return the notes, and how many rows have a label, where labels come from elsewhere."""
        unlabelled = statistics.unlabelled_count
        labels = (statistics.item_count - unlabelled, unlabelled) if self.request.joined else ()
        return Facts(tuple(statistics.notes), *labels)

    def tried(self, statistics: BiasStatistics) -> tuple[str, ...]:
        """Return a line on which labels of the first rows are positive, and how many rows the groups have."""
        sizes = ((group_text(one), _size(one)[1]) for one in statistics.facets)
        groups = [f"{group} ({several(rows, 'row')})" for group, rows in sizes]
        told = {"label": statistics.label, "positive": statistics.label_value_or_threshold}
        return (wording("bias_notes.tried", groups=some_of(groups), **told),) if groups else ()

    def metrics(
        self, statistics: BiasStatistics, baseline: BiasBaseline | None, decision: Decision | None
    ) -> list[Metric]:
        """Return every metric that has a value, ``bias_metric_<NAME>``, by Clarify's names and dimensions."""
        label = {"Label": statistics.label, "LabelValue": statistics.label_value_or_threshold}
        return [
            Metric(
                f"bias_metric_{metric.name}",
                max(-_INFINITY, min(_INFINITY, metric.value)),
                dimensions={"BiasStage": stage, **label, **group},
                interval=metric.confidence_interval,
                gauge="model_monitor_bias",
                labels={"metric": metric.name},
            )
            for facet in statistics.facets
            for group in [{"Facet": facet.facet, "FacetValue": facet.value_or_threshold}]
            for stage, values in (("Pre-training", facet.pre), ("Post-Training", facet.post))
            for metric in values or ()
            if metric.value is not None
        ]

    @cached_property
    def _plan(self) -> SummaryPlan:
        return SummaryPlan(self.request, self.rules, self.seed)

    def _refuse(self, statistics: BiasStatistics, *, is_baseline: bool) -> None:
        evidence, label = statistics.evidence, self.request.label
        if not isinstance(evidence, Evidence):
            return
        for what, why in statistics.problems.items():
            if self.rules == "sound":
                raise evidence.errors[what]
            raise DatasetError.of("bias_request.stopped", field=what, why=why)
        if not statistics.item_count:
            return
        if not is_baseline:
            if evidence.respelt:
                raise evidence.respelt[0]
            return
        summary = evidence.summary
        columns = [("label", label, statistics.has_labels)]
        if self._plan.prediction is not None and self.request.post_training is not None:
            prediction = self._plan.prediction
            role = (
                "predicted_label" if self._plan.columns[prediction].cut is None else "probability_attribute"
            )
            columns.append((role, prediction, statistics.has_predictions))
        for role, column, has_any in columns:
            if not summary.columns[column].seen:
                raise groups.absent(role, column, summary.names)
            if not has_any:
                if column == GROUND_TRUTH:
                    raise DatasetError.of("quality_rows.unjoined", field="ground_truth_source")
                kind = "number" if role == "probability_attribute" else "value"
                raise DatasetError.of("bias_request.empty", field=role, column=column, kind=kind)
        if self.rules == "sound":
            self._refuse_without_positives(summary)
            self._refuse_without_groups(summary)
        if all(one.value is None for facet in statistics.facets for _, of in facet.stages() for one in of):
            raise DatasetError.of("no_baseline.no_bias")

    def _refuse_without_positives(self, summary: BiasSummary) -> None:
        """Stop where no label is positive, or all are listed: metrics of labels would be 0 or undefined."""
        labels, name = groups.select_labels(summary, self._plan), self.request.label
        if labels is not None:
            plan, column = self._plan.columns[name], summary.columns[name]
            if (error := groups.unselected_outcomes("label", plan, column, labels)) is not None:
                raise error
            if labels.threshold is None and len(labels.chosen) > 2 and labels.chosen[1:].all():
                raise DatasetError.of("bias_groups.all_positive", field=name, asked=labels.text)

    def _refuse_without_groups(self, summary: BiasSummary) -> None:
        """Stop where each group has no row, or every row: there would be nothing to compare."""
        texts = []
        for place in range(len(self.request.facets)):
            cells = groups.cells_of(summary, self._plan, place)
            for group in groups.select_groups(summary, self._plan, place):
                text = groups.unselected_group(group, cells, summary.columns)
                if text is None:
                    return
                texts.append(text)
        if texts:
            raise DatasetError.of("bias_groups.nobody", field="facet", texts=" ".join(texts))


def _printed(baseline: BiasBaseline) -> tuple[str, list[tuple[str, str]]]:
    """Return how a baseline prints its label's values and its groups."""
    for _, stage in baseline.constraints.stages() if baseline.constraints is not None else ():
        groups = [(name, one.value_or_threshold) for name, members in stage.facets.items() for one in members]
        return stage.label_value_or_threshold, groups
    return ("", []) if baseline.statistics is None else _groups_of(baseline.statistics)


def _groups_of(statistics: BiasStatistics) -> tuple[str, list[tuple[str, str]]]:
    groups = [(facet.facet, facet.value_or_threshold) for facet in statistics.facets]
    return statistics.label_value_or_threshold, groups
