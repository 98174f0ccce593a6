"""From a summary to the statistics document: every metric of every group, by either set of rules."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from analyzers.bias.cells import Floats as Floats_model_metrics
from analyzers.bias.cells import normalise
from analyzers.bias.column_summary import Beyond, ColumnSummary
from analyzers.bias.documents import BiasStatistics, FacetStatistics, MetricValue
from analyzers.bias.explain import impact_findings
from analyzers.bias.flip_test import Flip, flip_of
from analyzers.bias.groups import (
    Meaning,
    absent_text,
    select_groups,
    select_labels,
    select_predictions,
    unselected_group,
    unselected_outcomes,
)
from analyzers.bias.metrics import METRICS, NO_GROUP_VARIABLE, WITHOUT_LABELS, Floats, quotient
from analyzers.bias.request import BiasRequest
from analyzers.bias.resampling import Tables, spreads
from analyzers.bias.selection import Problem, Selection, every_value_sound, values_text
from analyzers.bias.summary import MOST_STRATA, BiasSummary, SummaryPlan
from analyzers.bias.tables import (
    Cells,
    Counts,
    Group,
    Reading,
    against,
    cells_of,
    count_in_words,
    counts_of,
    rows_lacking,
)
from contract.wording import shorten

# The group of a facet that fares best, for others to be compared with.


# Smaller groups may have the highest share by chance.
FEWEST_ROWS = 30


def best_of(
    summary: BiasSummary,
    plan: SummaryPlan,
    facet: int,
    groups: list[Group],
    cells: Cells,
    reading: Reading,
) -> Group | None:
    """Return the group with the highest share of positive predictions, of labels where there are none.

    None for facets with a threshold, which have but two groups, and where fewer than three groups have
    `FEWEST_ROWS`: with two, the best is the rest that metrics compare with anyway.
    """
    request = plan.request.facets[facet]
    selection = reading.predictions or reading.labels
    column = plan.prediction if reading.predictions is not None else plan.request.label
    if selection is None or column is None or any(group.threshold is not None for group in groups):
        return None
    candidates = groups
    if len(request.columns) == 1 and request.values:
        try:
            values = every_value_sound(request.columns[0], summary.columns[request.columns[0]])
        except Problem:
            return None
        candidates = [Group(groups[0].name, each.text, request.columns, ((each,),)) for each in values]
    known = cells.where(cells.places[column] > 0)
    shares = [_share(group, known, column, selection) for group in candidates]
    if sum(share is not None for share in shares) < 3:
        return None
    best = int(np.argmax([-1.0 if share is None else share for share in shares]))
    return candidates[best]


def _share(group: Group, cells: Cells, column: str, selection: Selection) -> float | None:
    inside = group.contains(cells.places)
    rows = cells.rows[inside]
    if rows.sum() < FEWEST_ROWS:
        return None
    return float(rows[selection.chosen[cells.places[column][inside]]].sum() / rows.sum())


# How good the whole model is, and how labels are distributed: what Clarify's report says besides.


_ASSIGNED = "Proportion of inputs with {} observed label correctly assigned the {} predicted label."
_HOLDS = "Proportion of inputs with {} predicted label that actually have a {} observed label."
_BETWEEN = "Ratio between the {} observed labels and {} predicted labels."


def model_metrics(counts: Floats_model_metrics) -> list[MetricValue]:
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


def basic_statistics(confusion: Floats_model_metrics, *, with_predictions: bool) -> list[dict[str, Any]]:
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


NO_LABELS = "No row has a label"


@dataclass
class _Analysis:
    """What is known while statistics are made."""

    summary: BiasSummary
    plan: SummaryPlan
    meaning: Meaning
    seed: int
    problems: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    @property
    def request(self) -> BiasRequest:
        return self.plan.request

    @property
    def sound(self) -> bool:
        return self.meaning.rules == "sound"


def describe(summary: BiasSummary, plan: SummaryPlan, meaning: Meaning, seed: int) -> BiasStatistics:
    """Return the statistics of all rows.

    Parameters
    ----------
    summary, plan
        What was kept, and why.
    meaning
        How columns are read.
    seed
        Of the intervals, and of samples of the flip test.
    """
    request = plan.request
    statistics = BiasStatistics(
        item_count=summary.rows,
        label=request.label_name or request.label,
        label_value_or_threshold=values_text(request.label_values),
        facets=[],
        has_labels=False,
        evidence=summary,
    )
    if not summary.rows:
        return statistics
    analysis = _Analysis(summary, plan, meaning, seed)
    reading = _read_outcomes(analysis)
    statistics.has_labels = reading.labels is not None
    statistics.has_predictions = reading.predictions is not None
    if reading.labels is not None:
        statistics.label_value_or_threshold = reading.labels.text
    if analysis.sound:
        _note_nothing_positive(analysis, reading)
    if reading.predictions is not None and plan.columns[plan.prediction or ""].cut is None:
        statistics.predicted_label_value_or_threshold = reading.predictions.text
    for index in range(len(request.facets)):
        statistics.facets += _describe_facet(analysis, index, reading)
    if request.facets and reading.labels is not None and reading.predictions is not None:
        _describe_model(statistics, analysis, reading)
    if analysis.sound:
        analysis.notes += impact_findings(statistics.facets).values()
    statistics.problems, statistics.notes = analysis.problems, analysis.notes
    return statistics


def _read_outcomes(analysis: _Analysis) -> Reading:
    summary, plan, meaning = analysis.summary, analysis.plan, analysis.meaning
    labels = predictions = None
    try:
        labels = select_labels(summary, plan, meaning)
    except Problem as problem:
        analysis.problems["label"] = str(problem)
        return Reading(None, None, leave_out=analysis.sound)
    if plan.prediction is not None and analysis.request.post_training is not None:
        try:
            predictions = select_predictions(summary, plan, meaning, labels)
        except Problem as problem:
            analysis.problems["post_training_bias"] = str(problem)
        unusable = summary.columns[plan.prediction].unusable
        if unusable:
            analysis.notes.append(f"Not a number in {plan.prediction!r}: {count_in_words(unusable)}.")
    return Reading(labels, predictions, leave_out=analysis.sound)


def _note_nothing_positive(analysis: _Analysis, reading: Reading) -> None:
    outcomes = (
        ("label", analysis.request.label, reading.labels),
        ("prediction", analysis.plan.prediction, reading.predictions),
    )
    for role, column, selection in outcomes:
        if column is None or selection is None:
            continue
        kept = analysis.summary.columns[column]
        note = unselected_outcomes(role, analysis.plan.columns[column], kept, selection)
        if note is not None:
            analysis.notes.append(note)


def _describe_facet(analysis: _Analysis, index: int, reading: Reading) -> list[FacetStatistics]:
    name = " & ".join(analysis.request.facets[index].columns)
    try:
        groups = select_groups(analysis.summary, analysis.plan, analysis.meaning, index)
    except Problem as problem:
        analysis.problems[f"facet {name}"] = str(problem)
        return []
    cells = cells_of(analysis.summary, analysis.plan, index)
    described = [
        _describe_group(analysis, group, cells, reading, [index, number])
        for number, group in enumerate(groups)
    ]
    if described and analysis.sound:
        found = (unselected_group(group, cells, analysis.summary.columns) for group in groups)
        analysis.notes += [note for note in found if note is not None]
        _note_rows_left_out(analysis, name, cells, groups[0], reading)
        _compare_with_best(analysis, index, groups, described, cells, reading)
    return described


def _describe_group(
    analysis: _Analysis, group: Group, cells: Cells, reading: Reading, number: list[int]
) -> FacetStatistics:
    counts = counts_of(cells, group, reading, analysis.plan)
    facet = FacetStatistics(
        facet=group.name,
        value_or_threshold=group.text,
        counts=_whole(counts.confusion),
        strata_observed=None if counts.label_strata is None else _whole(counts.label_strata),
        strata_predicted=None if counts.prediction_strata is None else _whole(counts.prediction_strata),
        threshold=group.threshold,
        missing=counts.missing,
        basic_statistics=basic_statistics(counts.confusion, with_predictions=reading.predictions is not None),
    )
    request = analysis.request
    if request.pre_training is not None and "label" not in analysis.problems:
        facet.pre = [_measure(analysis, name, counts, reading, None) for name in sorted(request.pre_training)]
    if request.post_training is not None and reading.predictions is not None:
        flip = _flip(analysis, group, counts, reading)
        facet.post = [
            _measure(analysis, name, counts, reading, flip) for name in sorted(request.post_training)
        ]
    if analysis.sound:
        _add_intervals(facet, counts, np.random.default_rng([analysis.seed, *number]))
    return facet


def _whole(counts: Floats) -> list[list[list[int]]]:
    whole: list[list[list[int]]] = counts.astype(np.int64).tolist()
    return whole


def _measure(
    analysis: _Analysis, name: str, counts: Counts, reading: Reading, flip: Flip | None
) -> MetricValue:
    metric = METRICS[name]
    if reading.labels is None and name not in WITHOUT_LABELS:
        return MetricValue(name, metric.description, None, NO_LABELS)
    if metric.table == "neighbours":
        problem = metric.problem(counts.confusion) or (None if flip is None else flip.problem)
        value = flip.value if flip is not None and problem is None else None
        return MetricValue(name, metric.description, value, problem)
    table = counts.confusion
    if metric.table == "strata":
        strata = counts.label_strata if metric.stage == "pre" else counts.prediction_strata
        problem = _strata_problem(analysis)
        if strata is None or problem is not None:
            return MetricValue(name, metric.description, None, problem or NO_GROUP_VARIABLE)
        table = strata
    problem = metric.problem(table)
    value = None if problem is not None else float(metric.function(table))
    return MetricValue(name, metric.description, value, problem)


def _strata_problem(analysis: _Analysis) -> str | None:
    column = analysis.request.group_variable
    if column is None:
        return NO_GROUP_VARIABLE
    summary = analysis.summary.columns[column]
    if not summary.seen and analysis.sound:
        return absent_text("group_variable", column, analysis.summary.names)
    if summary.collapsed:
        return f"Group variable {shorten(column)!r} has more than {MOST_STRATA:,} distinct values"
    return None


def _flip(analysis: _Analysis, group: Group, counts: Counts, reading: Reading) -> Flip | None:
    sample, prediction = analysis.summary.sample, analysis.plan.prediction
    if sample is None or prediction is None or reading.predictions is None:
        return None
    if METRICS["FT"].problem(counts.confusion) is not None:
        return None
    flip = flip_of(sample, group, prediction, reading, analysis.seed)
    analysis.notes += [note for note in flip.notes if note not in analysis.notes]
    return flip


def _add_intervals(facet: FacetStatistics, counts: Counts, generator: np.random.Generator) -> None:
    metrics = [*(facet.pre or []), *(facet.post or [])]
    values = {metric.name: float(metric.value) for metric in metrics if metric.value is not None}
    tables = Tables(counts.confusion, counts.label_strata, counts.prediction_strata)
    found = spreads(tables, values, generator)
    for metric in metrics:
        if metric.name in found:
            metric.standard_error = found[metric.name].standard_error
            metric.confidence_interval = found[metric.name].interval


def _note_rows_left_out(analysis: _Analysis, name: str, cells: Cells, group: Group, reading: Reading) -> None:
    counts = counts_of(cells, group, reading, analysis.plan)
    if counts.missing:
        analysis.notes.append(f"{rows_lacking(counts.missing, f'facet {name!r}')}.")
    if counts.incomplete:
        note = f"{rows_lacking(counts.incomplete, 'a label or a prediction')}."
        if note not in analysis.notes:
            analysis.notes.append(note)


def _compare_with_best(
    analysis: _Analysis,
    index: int,
    groups: list[Group],
    described: list[FacetStatistics],
    cells: Cells,
    reading: Reading,
) -> None:
    """Add the metrics of each group against the one with the highest share of positives."""
    best = best_of(analysis.summary, analysis.plan, index, groups, cells, reading)
    if best is None:
        return
    for group, facet in zip(groups, described, strict=True):
        inside = group.contains(cells.places)
        if (inside & best.contains(cells.places)).any():
            continue
        confusion = against(cells, group, best, reading, analysis.plan)
        counts = Counts(confusion, None, None, 0, 0)
        names = [metric.name for metric in [*(facet.pre or []), *(facet.post or [])]]
        against_it = [
            _measure(analysis, name, counts, reading, None)
            for name in names
            if METRICS[name].table == "confusion" and name != "GE"
        ]
        facet.against_best = best.text, against_it


def _describe_model(statistics: BiasStatistics, analysis: _Analysis, reading: Reading) -> None:
    plan, summary = analysis.plan, analysis.summary
    cells = cells_of(summary, plan, 0)
    everyone = Group("", "", (plan.request.label,), ())
    counts = counts_of(cells, everyone, reading, plan)
    statistics.model_metrics = model_metrics(counts.confusion.sum(axis=0))
    if plan.request.predicted_label is not None and _are_categories(reading.labels):
        columns = (plan.request.label, plan.request.predicted_label)
        label, prediction = ((name, summary.columns[name]) for name in columns)
        statistics.confusion_matrix = label_confusion(cells, label, prediction)


def _are_categories(labels: Selection | None) -> bool:
    return labels is not None and labels.threshold is None
