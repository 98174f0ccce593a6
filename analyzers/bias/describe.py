"""From a summary to the statistics document: every metric of every group, by either set of rules.

What a metric says in words is here too: which group, against which others, and how many it concerns. Every
sentence is made from counts of rows, and leaves open what they are: people, loans or flights.
"""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from analyzers.bias import groups
from analyzers.bias.documents import BiasStatistics, FacetMetrics, FacetStatistics, MetricValue
from analyzers.bias.flip_test import Flip, flip_of
from analyzers.bias.groups import Cells, ColumnError, Group, Reading
from analyzers.bias.metrics import METRICS, NO_GROUP_VARIABLE, RATES, RATIOS, WITHOUT_LABELS, quotient
from analyzers.bias.resampling import Tables, disparity, spreads
from analyzers.bias.summary import MOST_STRATA, Beyond, BiasSummary, ColumnSummary, SummaryPlan
from analyzers.shared.cells import Floats, label_of
from analyzers.shared.row_sample import DesignEffect, Grouping, clear_effect, dependence_note
from contract.errors import topic, wording
from contract.wording import number, percent, shorten

# What metrics say in words.


FOUR_FIFTHS = 0.8


def group_text(facet: FacetStatistics) -> str:
    """Return the group in words: ``Sex = 0``, ``Age in (40, 75]``."""
    is_interval = facet.value_or_threshold.startswith("(")
    return f"{facet.facet} {'in' if is_interval else '='} {facet.value_or_threshold}"


def requirement_text(value: float, requirement: float | tuple[float, float]) -> str:
    """Return Clarify's sentence on a violation, numbers as Python prints them."""
    ends = requirement if isinstance(requirement, tuple) else (requirement,)
    required = f"[{', '.join(map(_exact, ends))}]" if len(ends) > 1 else _exact(ends[0])
    return f"Metric value {_exact(value)} doesn't meet the baseline constraint requirement {required}"


def _exact(value: float) -> str:
    return repr(float(value)) if math.isfinite(value) else "Infinity" if value > 0 else "-Infinity"


def explain(facet: FacetStatistics, metric: MetricValue) -> str:
    """Return one or two sentences on what a metric's value means for the group.

    Parameters
    ----------
    facet
        The group's counts.
    metric
        With a value.
    """
    counts = np.asarray(facet.counts, dtype=np.float64)
    if METRICS[metric.name].stage == "pre":
        counts = counts + np.asarray(facet.unpredicted or 0.0)
    rate = RATES.get(_SAME_RATE.get(metric.name, metric.name))
    if rate is not None:
        words = _ratio_text if metric.name in RATIOS else _share_text
        return words(group_text(facet), rate.hits(counts), rate.of(counts), *rate.words)
    match metric.name:
        case "CI":
            rest, group = counts.sum(axis=(1, 2))
            share = percent(group / (rest + group)) if rest + group else "none"
            return f"{_count(group)} of {_count(rest + group)} ({share}) have {group_text(facet)}."
        case "CDDL":
            return _strata_text(facet, facet.strata_observed, "labels")
        case "CDDPL":
            return _strata_text(facet, facet.strata_predicted, "predictions")
        case "GE":
            rows = counts.sum(axis=0)
            if not rows.any():
                return ""
            members = {"rows": rows.sum(), "positive": rows[0, 1], "negative": rows[1, 0]}
            return wording("bias_meaning.entropy", **members)
        case _:
            return _flip_text(facet, metric, counts[1].sum())


def impact_findings(facets: Iterable[FacetStatistics]) -> dict[str, str]:
    """Return a sentence on every group that crosses the four-fifths line, by the group in words.

    The line (29 CFR 1607.4 D) is drawn at 0.8, and at 1.25 for the rest. It counts as crossed
    when the whole 95 % interval of DI is beyond it: chance does not explain that.
    """
    found = {}
    for facet in facets:
        metric = facet.metric("DI")
        if metric is None or metric.value is None or metric.confidence_interval is None:
            continue
        low, high = metric.confidence_interval
        if high < FOUR_FIFTHS or low > 1.0 / FOUR_FIFTHS:
            beyond = "below 0.8" if high < FOUR_FIFTHS else "above 1.25"
            text, meaning = group_text(facet), explain(facet, metric)
            said = {"group": text, "low": low, "high": high, "beyond": beyond, "meaning": meaning}
            found[text] = wording("bias_notes.four_fifths", **said)
    return found


# Metrics that are made of the rate of another.
_SAME_RATE = {**dict.fromkeys(("KL", "JS", "KS", "LP", "TVD"), "DPL"), "DI": "DPPL"}


def _share_text(group: str, hits: Floats, of: Floats, who: str, outcome: str) -> str:
    if not of.all():
        return f"There are no {who} {'among all others' if of[1] else f'with {group}'}."
    rate = hits[0] / of[0]
    more = round(abs(of[1] * rate - hits[1]))
    direction = "more" if of[1] * rate > hits[1] else "fewer"
    own, others = (percent(round(share, 4)) for share in (hits[1] / of[1], rate))
    members = {"hits": hits, "others": of[0], "group": group, "outcome": outcome, "own": own, "share": others}
    counted = _count(of[1]) if who == "rows" else f"{_count(of[1])} {who}"
    expected = f"{_count(more)} {direction}" if more else "as many"
    return wording("bias_meaning.share", of=counted, expected=expected, **members)


def _ratio_text(group: str, first: Floats, second: Floats, these: str, those: str) -> str:
    pairs = zip(first, second, strict=True)
    per = [f"{number(round(a / b, 3))} to 1" if b else "none of the latter" for a, b in pairs]
    members = {"first": first, "second": second, "these": these, "those": those, "per": per}
    return wording("bias_meaning.ratio", group=group, **members)


def _strata_text(facet: FacetStatistics, strata: list[list[list[int]]] | None, what: str) -> str:
    estimate = disparity(np.asarray(strata, dtype=np.float64)) if strata else None
    if estimate is None:
        return ""
    rejected, accepted = (percent(round(share, 4)) for share in estimate.shares)
    shares = {"rejected": rejected, "accepted": accepted}
    return wording("bias_meaning.strata", what=what, group=group_text(facet), **shares)


def _flip_text(facet: FacetStatistics, metric: MetricValue, size: float) -> str:
    if metric.name != "FT" or metric.value is None or math.isinf(metric.value):
        return ""
    flips = round(abs(metric.value) * size)
    better = "positive" if metric.value > 0 else "negative"
    members = {"rows": size, "group": group_text(facet), "flips": flips, "better": better}
    return wording("bias_meaning.flips", **members)


def _count(value: float) -> str:
    return f"{round(value):,}"


# How good the whole model is, and how labels are distributed: what Clarify's report says besides.


def model_metrics(counts: Floats) -> list[MetricValue]:
    """Return ten metrics of the whole model from ``counts[observed, predicted]``."""
    (tn, fp), (fn, tp) = counts.tolist()
    total = tn + fp + fn + tp
    precision, recall = _ratio(tp, tp + fp), _ratio(tp, tp + fn)
    counted = (tp + tn, tp + fp, tn + fn, tp, tn, tp, tn, tp + fn, tn + fp, 2.0 * precision * recall)
    of = (total, total, total, tp + fn, tn + fp, tp + fp, tn + fn, tp + fp, tn + fn, precision + recall)
    values = quotient(np.array(counted), np.array(of)).tolist()
    texts = topic("model_metrics").items()
    return [MetricValue(*text, value) for text, value in zip(texts, values, strict=True)]


def _ratio(numerator: float, denominator: float) -> float:
    return float(quotient(np.float64(numerator), np.float64(denominator)))


def basic_statistics(confusion: Floats, *, with_predictions: bool) -> list[dict[str, Any]]:
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
    outcomes = [_ratio(count, size) for count in (group[1, 1], group[0, 1], group[1, 0], group[0, 0])]
    distribution = "Distribution of observed label outcomes for sensitive facet"
    found: list[tuple[str, str, Any]] = [
        ("proportion", "Proportion of examples in sensitive facet.", _ratio(size, confusion.sum())),
        ("observed_label_distribution", distribution, [positive, 1.0 - positive]),
        ("confusion_matrix", "Fractions of TP, FP, FN, TN.", outcomes),
    ]
    names = ("name", "description", "value")
    return [dict(zip(names, each, strict=True)) for each in (found if with_predictions else found[:2])]


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
    observed, predicted = (
        ["", *("" if isinstance(value, Beyond) else label_of(value) for value in column.values)]
        for _, column in (label, prediction)
    )
    names = {text: str(label[1].values[observed.index(text) - 1]) for text in sorted(filter(None, observed))}
    table = {name: dict.fromkeys(names.values(), 0) for name in names.values()}
    places = np.stack((cells.places[label[0]], cells.places[prediction[0]]), axis=1)
    for (row, column), rows in zip(places.tolist(), cells.rows.tolist(), strict=True):
        if observed[row] in names and predicted[column] in names:
            table[names[observed[row]]][names[predicted[column]]] += int(rows)
    return table


@dataclass(frozen=True)
class Evidence:
    """What the later steps need of a window beyond its file; `errors` are those of its problems.

    `respelt` says that no label, or no prediction, is positive, though one is nearly spelt as asked for.
    """

    summary: BiasSummary
    errors: dict[str, ColumnError] = field(default_factory=dict)
    respelt: list[ColumnError] = field(default_factory=list)


@dataclass
class _Analysis:
    """What is known while statistics are made."""

    summary: BiasSummary
    plan: SummaryPlan
    statistics: BiasStatistics
    evidence: Evidence
    reading: Reading

    def note(self, *notes: str | ColumnError | None) -> None:
        """Add notes, each once."""
        known = self.statistics.notes
        known += [note for note in dict.fromkeys(map(str, filter(None, notes))) if note not in known]

    def attempt[T](self, what: str, select: Callable[..., T], *more: object) -> T | None:
        """Return what is selected; where it cannot be, keep why the stage or facet has no metrics."""
        try:
            return select(self.summary, self.plan, *more)
        except ColumnError as error:
            self.statistics.problems[what] = error.message.rstrip(".")
            self.evidence.errors[what] = error
            return None


def describe(summary: BiasSummary, plan: SummaryPlan) -> BiasStatistics:
    """Return the statistics of all rows.

    Parameters
    ----------
    summary, plan
        What was kept, why, and how columns are read.
    """
    request, sound, evidence = plan.request, plan.rules == "sound", Evidence(summary)
    called, positive = request.label_name or request.label, groups.values_text(request.label_values)
    statistics = BiasStatistics(summary.rows, called, positive, has_labels=False, evidence=evidence)
    if not summary.rows:
        return statistics
    analysis = _Analysis(summary, plan, statistics, evidence, Reading(None, None, leave_out=sound))
    reading = analysis.reading = _read_outcomes(analysis)
    statistics.has_labels = reading.labels is not None
    statistics.unlabelled_count = summary.columns[request.label].missing if request.joined else 0
    statistics.has_predictions = reading.predictions is not None
    if reading.labels is not None:
        statistics.label_value_or_threshold = reading.labels.text
        statistics.label_values = _categories(summary.columns[request.label], reading.labels)
    if reading.predictions is not None:
        statistics.probability_threshold = plan.columns[plan.prediction or ""].cut
        if statistics.probability_threshold is None:
            statistics.predicted_label_value_or_threshold = reading.predictions.text
            kept = summary.columns[plan.prediction or ""]
            statistics.predicted_values = _categories(kept, reading.predictions)
    outcomes = [("label", request.label, reading.labels)]
    if plan.prediction is not None:
        outcomes.append(("prediction", plan.prediction, reading.predictions))
    for role, name, selection in outcomes if sound else ():
        if selection is None:
            continue
        column = summary.columns[name]
        if error := groups.unselected_outcomes(role, plan.columns[name], column, selection):
            analysis.note(error)
            if groups.respelt(column, selection):
                evidence.respelt.append(error)
    if sound:
        named = [*(name for _, name, _ in outcomes), *(n for facet in request.facets for n in facet.columns)]
        analysis.note(*(groups.spelt_alike(name, summary.columns[name]) for name in named))
        listed = [(f.columns[0], f.values) for f in request.facets if len(f.columns) == 1]
        for name, values in ((request.label, request.label_values), *listed):
            single = [value for value in values if not isinstance(value, tuple)]
            about = (name, summary.columns[name], single)
            analysis.note(groups.absent_values(*about), groups.several_numbers(*about))
        if (predicted := plan.prediction) and plan.columns[predicted].cut is None and reading.labels:
            label, prediction = summary.columns[request.label], (predicted, summary.columns[predicted])
            if reading.labels.threshold is None:
                analysis.note(groups.unlabelled_predictions(prediction, label, reading.predictions))
    for index in range(len(request.facets)):
        statistics.facets += _describe_facet(analysis, index)
    effects = [(one.design_effect, int(np.sum(one.counts))) for one in statistics.facets if one.design_effect]
    if effects:
        effect, rows = max(effects)
        analysis.note(dependence_note(rows, effect))
    if request.facets and reading.labels is not None and reading.predictions is not None:
        _describe_model(analysis)
    if sound:
        analysis.note(*impact_findings(statistics.facets).values())
    return statistics


def _categories(column: ColumnSummary, selection: groups.Selection) -> list[str]:
    """Return the values of a column, where it is categories of which all are kept."""
    if selection.threshold is not None or column.collapsed:
        return []
    return [label_of(value) for value in column.values if not isinstance(value, Beyond)]


def _read_outcomes(analysis: _Analysis) -> Reading:
    summary, plan = analysis.summary, analysis.plan
    predictions = None
    for name in filter(None, (plan.request.label, plan.prediction)):
        if unusable := summary.columns[name].unusable:
            rows = groups.count_in_words(unusable)
            analysis.note(f"No finite number in {name!r}: {rows}, which count as missing.")
    labels = analysis.attempt("label", groups.select_labels)
    if "label" in analysis.statistics.problems:
        return analysis.reading
    if plan.prediction is not None and plan.request.post_training is not None:
        predictions = analysis.attempt("post_training_bias", groups.select_predictions, labels)
        if predictions is not None and plan.rules == "sound":
            column = plan.columns[plan.prediction]
            analysis.note(groups.other_scale(column, summary.columns[plan.prediction]))
    return Reading(labels, predictions, analysis.reading.leave_out)


def _describe_facet(analysis: _Analysis, index: int) -> list[FacetStatistics]:
    summary, plan, reading = analysis.summary, analysis.plan, analysis.reading
    name = " & ".join(plan.request.facets[index].columns)
    members = analysis.attempt(f"facet {name}", groups.select_groups, index) or []
    cells = groups.cells_of(summary, plan, index)
    described = []
    for place, group in enumerate(members):
        counts = groups.counts_of(cells, group, reading, plan)
        described.append(_describe_group(analysis, group, counts, [index, place]))
    if described and reading.leave_out:
        analysis.note(*(groups.unselected_group(group, cells, summary.columns) for group in members))
        for group in members:
            if group.threshold is not None and len(group.columns) == 1:
                column = summary.columns[group.columns[0]]
                analysis.note(groups.words_beside(group.columns[0], column, group.threshold))
        counts = groups.counts_of(cells, members[0], reading, plan)
        unpredicted = (int(np.sum(counts.unpredicted)), "a prediction", " of post-training metrics")
        lacking = (counts.missing, f"facet {name!r}", ""), (counts.unlabelled, "a label", ""), unpredicted
        analysis.note(*(f"{groups.rows_lacking(rows, what)}{of}." for rows, what, of in lacking if rows))
        if (best := _best_of(analysis, index, members, cells)) is not None:
            other = best.contains(cells.places)
            for group, facet in zip(members, described, strict=True):
                if ((inside := group.contains(cells.places)) & other).any():
                    continue
                both = groups.counts_of(cells.where(inside | other), group, reading, plan)
                every = (one.name for metrics in (facet.pre, facet.post) for one in metrics or ())
                asked = [name for name in every if METRICS[name].table == "confusion" and name != "GE"]
                against = [_measured(analysis, name, both) for name in asked]
                facet.against_best = FacetMetrics(best.text, against)
    return described


def _describe_group(analysis: _Analysis, group: Group, counts: Tables, number: list[int]) -> FacetStatistics:
    request, reading = analysis.plan.request, analysis.reading
    effect, blocks, _ = _dependence(analysis, group) if reading.leave_out else DesignEffect()
    counts = replace(counts, effect=effect)
    has_predictions = reading.predictions is not None
    strata = {name: known.astype(np.int64).tolist() for name, known in counts.strata.items()}
    facet = FacetStatistics(
        facet=group.name,
        value_or_threshold=group.text,
        counts=counts.confusion.astype(np.int64).tolist(),
        unpredicted=np.asarray(counts.unpredicted, np.int64).tolist() if np.any(counts.unpredicted) else None,
        strata_observed=strata.get("CDDL"),
        strata_predicted=strata.get("CDDPL"),
        threshold=group.threshold,
        missing=counts.missing,
        design_effect=effect if effect > 1.0 else None,
        blocks=blocks,
        basic_statistics=basic_statistics(counts.confusion, with_predictions=has_predictions),
    )
    if request.pre_training is not None and "label" not in analysis.statistics.problems:
        facet.pre = [_measured(analysis, name, counts) for name in sorted(request.pre_training)]
    if request.post_training is not None and has_predictions:
        flip, sample, prediction = None, analysis.summary.sample, analysis.plan.prediction
        if sample is not None and prediction is not None and not METRICS["FT"].problem(counts.confusion):
            flip = flip_of(sample, group, prediction, reading, analysis.plan.seed)
            analysis.note(*flip.notes)
        facet.post = [_measured(analysis, name, counts, flip) for name in sorted(request.post_training)]
    if reading.leave_out:
        metrics = [metric for _, stage in facet.stages() for metric in stage]
        values = {metric.name: float(metric.value) for metric in metrics if metric.value is not None}
        found = spreads(counts, values, np.random.default_rng([analysis.plan.seed, *number]))
        for metric in metrics:
            if metric.name in found:
                metric.standard_error = found[metric.name].standard_error
                metric.confidence_interval = found[metric.name].interval
    return facet


def _dependence(analysis: _Analysis, group: Group) -> DesignEffect:
    """Return the largest design effect of outcomes within and without a group, and of who belongs to it."""
    sample, plan, reading = analysis.summary.sample, analysis.plan, analysis.reading
    if sample is None or not sample.rows:
        return DesignEffect()
    places = {name: sample.places_of(name) for name in plan.sampled}
    inside = group.contains(places)
    known = np.logical_and.reduce([places[name] > 0 for name in group.columns])
    outcomes = np.zeros(sample.rows, dtype=np.int64)
    for name, selection in ((plan.request.label, reading.labels), (plan.prediction, reading.predictions)):
        if name is not None and selection is not None:
            known &= places[name] > 0
            outcomes = 2 * outcomes + selection.chosen[places[name]]
    clusters = sample.clusters()
    alike = [(known, inside.astype(np.int64), 2)]
    alike += [(known & rows, outcomes, 4) for rows in (inside, ~inside)]
    asked = [
        Grouping(groups_of[rows], kinds, False, None if clusters is None else clusters[rows])
        for rows, groups_of, kinds in alike
    ]
    return clear_effect(asked)


def _measured(analysis: _Analysis, name: str, counts: Tables, flip: Flip | None = None) -> MetricValue:
    """Return a metric with its value, or why there is none."""
    metric, table = METRICS[name], counts.of(name)
    measured, problem = MetricValue(name, metric.description), None
    if analysis.reading.labels is None and name not in WITHOUT_LABELS:
        problem = "No row has a label"
    elif metric.table == "strata":
        problem = _strata_problem(analysis, counts.strata.get(name))
        table = counts.strata.get(name, np.empty(0))
    measured.error = problem = problem or metric.problem(table)
    if problem is None and metric.table != "neighbours":
        measured.value = float(metric.function(table))
    elif problem is None and flip is not None:
        measured.value, measured.error = flip.value, flip.problem
    return measured


def _strata_problem(analysis: _Analysis, counts: Floats | None) -> str | None:
    column = analysis.plan.request.group_variable
    if column is None:
        return NO_GROUP_VARIABLE
    summary = analysis.summary.columns[column]
    if not summary.seen and analysis.reading.leave_out:
        return groups.absent("group_variable", column, analysis.summary.names).message.rstrip(".")
    if summary.collapsed:
        return f"Group variable {shorten(column)!r} has more than {MOST_STRATA:,} distinct values"
    if analysis.reading.leave_out and counts is not None and counts.sum() < 2.0 * len(counts):
        return wording("bias_groups.strata", name=column, values=len(counts), rows=counts.sum())
    return None


_BEYOND_CHANCE = 3.0  # standard errors


def _backwards(confusion: Floats, prediction: str) -> str | None:
    """Say that positive predictions are rarer where labels are positive, where chance does not explain it."""
    of = confusion.sum(axis=1) + 2.0
    others, found = shares = (confusion[:, 1] + 1.0) / of  # one row more of each kind: never 0 or 1
    error = float(np.sqrt((shares * (1.0 - shares) / of).sum()))
    if found - others > -_BEYOND_CHANCE * error:
        return None
    rates = quotient(confusion[:, 1], confusion.sum(axis=1)).tolist()
    return wording("bias_notes.backwards", name=prediction, found=rates[1], others=rates[0])


# Smaller groups may have the highest share by chance.
FEWEST_ROWS = 30


def _best_of(analysis: _Analysis, facet: int, members: list[Group], cells: Cells) -> Group | None:
    """Return the group with the highest share of positive predictions, of labels where there are none.

    None for facets with a threshold, which have but two groups, and where fewer than three groups have
    `FEWEST_ROWS`: with two, the best is the rest that metrics compare with anyway.
    """
    summary, plan, reading = analysis.summary, analysis.plan, analysis.reading
    request = plan.request.facets[facet]
    selection = reading.predictions or reading.labels
    column = plan.prediction if reading.predictions is not None else plan.request.label
    if selection is None or column is None or any(group.threshold is not None for group in members):
        return None
    if len(request.columns) == 1 and request.values:
        try:
            values = groups.every_value_sound(request.columns[0], summary.columns[request.columns[0]])
        except ColumnError:
            return None
        members = [Group(members[0].name, each.text, request.columns, ((each,),)) for each in values]
    known = cells.where(cells.places[column] > 0)
    positive = selection.chosen[known.places[column]]
    shares = []
    for group in members:
        inside = group.contains(known.places)
        rows = known.rows[inside].sum()
        shares.append(float(known.rows[inside & positive].sum() / rows) if rows >= FEWEST_ROWS else -1.0)
    return members[int(np.argmax(shares))] if sum(share >= 0.0 for share in shares) >= 3 else None


def _describe_model(analysis: _Analysis) -> None:
    plan, summary, reading = analysis.plan, analysis.summary, analysis.reading
    cells = groups.cells_of(summary, plan, 0)
    counts = groups.counts_of(cells, Group("", "", (plan.request.label,), ()), reading, plan)
    confusion = counts.confusion.sum(axis=0)
    analysis.statistics.model_metrics = model_metrics(confusion)
    if reading.leave_out:
        analysis.note(_backwards(confusion, plan.prediction or ""))
    is_category = reading.labels is not None and reading.labels.threshold is None
    if plan.request.predicted_label is not None and is_category:
        columns = (plan.request.label, plan.request.predicted_label)
        label, prediction = ((name, summary.columns[name]) for name in columns)
        analysis.statistics.confusion_matrix = label_confusion(cells, label, prediction)
