"""From a summary to the statistics document: every metric, how far it would move by chance, and notes."""

import math
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import NamedTuple
from unicodedata import normalize

import numpy as np

from analyzers.model_quality import intervals, metrics
from analyzers.model_quality.check import widened
from analyzers.model_quality.documents import FACTS, PR_CURVE, ROC_CURVE, MetricValue, QualityStatistics
from analyzers.model_quality.intervals import Interval, Spread, deviation
from analyzers.model_quality.metrics import BUCKETS, Residuals, regression_metrics, regression_spreads
from analyzers.model_quality.summary import NEGATIVE, QualitySummary, Task
from analyzers.shared.cells import Codes, Floats, as_number
from analyzers.shared.row_sample import RowSample, dependence_note, effect_of_numbers
from analyzers.shared.rules import Rules
from analyzers.shared.significance import student_ratio
from contract.errors import DatasetError, topic, wording
from contract.wording import listing, number

CONSTANT = "_best_constant_classifier"

_NO_RANKING = 0.5  # the area under the ROC curve of scores that know nothing
_CLEARLY_BACKWARDS = 0.4
_ROUNDING = 1e-6  # by how much a probability may lie outside of 0 to 1

# Below, the originals write "NaN" for the standard deviation.
FEWEST_ROWS_OF_SPREAD = 200

_FEWEST_ROWS_OF_A_SCALE = 10  # a few values may be alike by chance


def first_values(metrics: Mapping[str, Floats]) -> dict[str, float]:
    """Return the metrics of the first table or weighting."""
    return {name: float(values[0]) for name, values in metrics.items()}


@dataclass
class _Run:
    """What is described: rows of a task, the document that takes their metrics, and by which rules."""

    summary: QualitySummary
    task: Task
    sound: bool
    generator: np.random.Generator
    statistics: QualityStatistics

    def put(self, values: Mapping[str, float], draws: Mapping[str, Floats], suffix: str = "") -> None:
        """Add metrics, NaN for undefined, and how they vary under resampling."""
        undefined = [f"{name}{suffix}" for name, value in values.items() if not math.isfinite(value)]
        enough = self.sound or self.statistics.item_count >= FEWEST_ROWS_OF_SPREAD
        for name, value in values.items():
            metric = MetricValue(value if math.isfinite(value) else None)
            self.statistics.metrics[f"{name}{suffix}"] = metric
            if metric.value is None or name not in draws:
                continue
            metric.standard_deviation = deviation(draws[name]) if enough else None
            interval = intervals.quantile_interval(draws[name]) if self.sound and not suffix else None
            if interval:
                # Widened to hold the value itself: 1.0 when no row was wrong.
                metric.interval = min(value, interval[0]), max(value, interval[1])
        if undefined:
            self.statistics.notes.append(f"Undefined for these rows: {', '.join(undefined)}.")

    def put_mean(
        self, name: str, value: float, spread: Spread | None, interval: Callable[[float, Spread], Interval]
    ) -> None:
        """Add a mean with what its spread says."""
        metric = self.statistics.metrics[name] = MetricValue(value)
        if spread is not None:
            metric.standard_deviation, metric.interval = spread.error, interval(value, spread)

    def subsampled(self, counts: Codes) -> Floats:
        """Return subsamples of the rows as the originals draw them."""
        if counts.sum() >= _MOST_SUBSAMPLED_ROWS:
            size = (intervals.SUBSAMPLES, counts.size)
            return self.generator.standard_gamma(counts.astype(np.float64), size=size)
        return intervals.subsamples(counts, self.generator)


_ORIGINAL = ("mae", "mse", "rmse", "r2")
_ENOUGH_DEGREES = 30.0  # with fewer, the errors that decide a mean may not have been seen yet
_ENOUGH_OF_PROBABILITIES = 10.0  # the same of log loss and Brier score, whose losses are bounded


def _describe_regression(run: _Run) -> None:
    residuals, statistics = run.summary.residuals, run.statistics
    statistics.item_count = residuals.rows
    if not residuals.rows:
        return
    values = first_values(regression_metrics(residuals, np.ones((1, BUCKETS))))
    if not run.sound:
        used = np.flatnonzero(residuals.count)
        weights = np.zeros((intervals.SUBSAMPLES, BUCKETS))
        for sample in weights:
            drawn = math.ceil(intervals.SUBSAMPLED_SHARE * used.size)
            sample[run.generator.permutation(used)[:drawn]] = 1.0
        run.put({name: values[name] for name in _ORIGINAL}, regression_metrics(residuals, weights))
        return
    run.put(values, {})
    spreads = regression_spreads(residuals)
    for name, metric in statistics.metrics.items():
        spread, value = spreads.get(name), metric.value
        if value is None or spread is None:
            continue
        if name == "r2":
            metric.standard_deviation = spread.error * (1.0 - value)
            metric.interval = intervals.unexplained_interval(value, spread)
        elif name == "rmse":  # standard error and interval are those of its square
            metric.standard_deviation = spread.error / (2.0 * value) if value else 0.0
            low, high = intervals.loss_interval(value**2, spread)
            metric.interval = min(value, math.sqrt(low)), max(value, math.sqrt(high))
        else:
            run.put_mean(name, value, spread, intervals.loss_interval)
    enough = min(_ENOUGH_DEGREES, residuals.rows / 10.0)
    # What r2 is one less is decided by the same errors as mse.
    few = [n for n, s in spreads.items() if spreads.get("mse" if n == "r2" else n, s).degrees < enough]
    if few:
        statistics.notes.append(wording("quality_notes.few_errors", names=listing(few, len(few))))
    if note := _other_unit(residuals, values["r2"]):
        statistics.notes.append(note)
    zeros = residuals.rows - int(residuals.relative_count.sum())
    if zeros and "mape" in statistics.metrics:
        statistics.notes.append(f"mape leaves out {zeros} rows whose label is zero.")


# Squared errors as many times the variance of the labels: predictions are elsewhere, or far wider spread.
_ELSEWHERE = 10.0


def _other_unit(residuals: Residuals, r2: float) -> str | None:
    """Say that predictions and labels can hardly be in one unit; None where they can."""
    if residuals.rows < _FEWEST_ROWS_OF_A_SCALE or not r2 < 1.0 - _ELSEWHERE:
        return None
    label = float(np.average(residuals.label_mean, weights=residuals.count))
    predicted = label - float((residuals.over - residuals.under).sum()) / residuals.rows
    error = math.sqrt(float(residuals.squares.sum()) / residuals.rows)
    spread = error / math.sqrt(1.0 - r2)
    texts = {"label": number(label), "predicted": number(predicted)}
    return wording("quality_notes.unit", error=number(error), spread=number(spread), **texts)


_MOST_SUBSAMPLED_ROWS = 1_000_000_000  # what numpy's hypergeometric generator takes


# Fewer wrong predictions than this make intervals of shares hold the truth more often than they should.
_ENOUGH_WRONG = 5
# Several classes on both sides, and none in common in so many rows, are of two vocabularies.
_ENOUGH_ROWS = 20
_NEARLY_PERFECT = 0.01


def _describe_binary(run: _Run) -> None:
    statistics, counts, positive = run.statistics, run.summary.confusion, run.task.positive
    statistics.item_count = sum(counts.values())
    if statistics.item_count:
        actual, predicted = _vocabularies(counts)
        labels = actual | predicted
        others = metrics.label_order(labels - {positive})
        if len(others) > 1:
            statistics.notes.append(f"These labels all count as negative: {listing(others, 10)}.")
        elif positive not in actual or not others:
            which = f"No label is {positive!r}" if others else f"All labels are {positive!r}"
            statistics.notes.append(f"{which}, so metrics that need both classes are undefined.")
        negative = others[0] if len(others) == 1 else ("0" if positive == "1" else f"not {positive}")
        named = {NEGATIVE: negative}
        if len(others) < 2 or any(predicted == NEGATIVE for _, predicted in counts):
            labels = labels | {negative}
        pairs = {(named.get(one, one), named.get(other, other)): n for (one, other), n in counts.items()}
        statistics.confusion_matrix = _matrix(pairs, labels | {positive})
        cells = metrics.binary_cells(statistics.confusion_matrix, positive)
        _put_binary(run, cells)
        wrong = int(cells[1] + cells[2])
        if run.sound and wrong < min(_ENOUGH_WRONG, _NEARLY_PERFECT * statistics.item_count):
            about = {"wrong": wrong, "rows": statistics.item_count}
            statistics.notes.append(wording("quality_notes.few_wrong", **about))
    if run.summary.scores.settle().scores.size:
        _put_scores(run)
        if run.sound:
            _put_probabilities(run)
        rejected = sum(n for (_, label), n in counts.items() if label not in (positive, NEGATIVE))
        least = float(run.summary.scores.scores[0])
        has_both = run.task.inference_attribute is not None and rejected >= _FEWEST_ROWS_OF_A_SCALE
        if has_both and 0.5 <= least <= 1.0:
            statistics.notes.append(wording("quality_notes.confidence", count=rejected, least=number(least)))
    elif statistics.item_count:
        statistics.notes.append(wording("quality_notes.no_scores"))


def label_problem(counts: metrics.Confusion, task: Task) -> DatasetError | None:
    """Return why the positive label cannot be told, None when it can."""
    actual, predicted = _vocabularies(counts)
    problem = vocabulary_problem(actual, predicted, most=2)
    labels = actual | predicted
    others = metrics.label_order(labels - {task.positive})
    # A prediction made from a score is the positive label, whatever the labels are.
    is_made = task.inference_attribute is None and problem and problem.code == "quality_labels.vocabulary"
    if problem is not None and not is_made:
        return problem
    default = task.positive == "1"
    # A prediction made from a score is always one of two, so it tells only when the labels agree with it.
    seen = not others or task.positive in actual or (len(others) == 1 and task.positive in predicted)
    if is_made or (not seen and (len(others) > 1 or (default and others != ["0"]))):
        said = {"labels": listing(others), "positive": task.positive}
        return DatasetError.of("quality_labels.positive", field="positive_label", **said)
    if len(others) > 1 and default:
        texts = listing(metrics.label_order(labels))
        return DatasetError.of("quality_labels.binary", field="problem_type", count=len(labels), labels=texts)
    return None


def vocabulary_problem(
    actual: set[str], predicted: set[str], most: int | None = None, rows: int = 0
) -> DatasetError | None:
    """Return why labels and predictions cannot be of one vocabulary, None when they can.

    `most` is how many labels there can be; None where nobody knows, and `rows` without a right answer tell.
    """
    fractions = [metrics.label_order(set(filter(_is_fraction, texts))) for texts in (actual, predicted)]
    if not fractions[0] and len(fractions[1]) > (most or 2):
        some = listing(fractions[1], 3)
        return DatasetError.of("quality_labels.scores", field="inference_attribute", some=some)
    if not fractions[1] and len(fractions[0]) > (most or 2):
        some = listing(fractions[0], 3)
        return DatasetError.of("quality_labels.amounts", field="ground_truth_attribute", some=some)
    folded = [{normalize("NFC", text).casefold(): text for text in labels} for labels in (actual, predicted)]
    # Where two labels of one side differ in letter case only, letter case tells labels apart.
    is_told = len(folded[0]) < len(actual) or len(folded[1]) < len(predicted)
    for key in () if is_told else sorted(folded[0].keys() & folded[1].keys()):
        if folded[0][key] != folded[1][key]:
            label, prediction = folded[0][key], folded[1][key]
            return DatasetError.of("quality_labels.letter_case", label=label, prediction=prediction)
    if not actual or not predicted or actual & predicted:
        return None
    kinds = [{as_number(text) is None for text in labels} for labels in (actual, predicted)]
    few = most or (sys.maxsize if rows < _ENOUGH_ROWS or 1 in (len(actual), len(predicted)) else 0)
    if kinds[0] & kinds[1] and len(actual | predicted) <= few:
        return None
    labels, predictions = (listing(metrics.label_order(texts)) for texts in (actual, predicted))
    return DatasetError.of("quality_labels.vocabulary", labels=labels, predictions=predictions)


def _is_fraction(text: str) -> bool:
    number = as_number(text)
    return number is not None and 0.0 < number < 1.0


def _vocabularies(counts: metrics.Confusion) -> tuple[set[str], set[str]]:
    """Return the labels, and the predictions."""
    return {actual for actual, _ in counts}, {predicted for _, predicted in counts} - {NEGATIVE}


def _matrix(counts: Mapping[tuple[str, str], int], labels: set[str]) -> dict[str, dict[str, int]]:
    ordered = metrics.label_order(labels)
    return {one: {other: counts.get((one, other), 0) for other in ordered} for one in ordered}


def _put_binary(run: _Run, cells: Codes) -> None:
    def tables(counts: Codes, resamples: int) -> Floats:
        if run.sound:
            return intervals.table_draws(counts, run.generator, resamples)
        return run.subsampled(counts)

    values = first_values(metrics.binary_metrics(cells[None, :].astype(np.float64)))
    if not run.sound and math.isnan(values["precision"]):
        # With nothing predicted positive the originals' library has a precision of zero.
        values["precision"] = 0.0
    run.put(values, metrics.binary_metrics(tables(cells, intervals.INTERVAL_RESAMPLES)))
    for name, (hits, total) in metrics.binary_proportions(cells).items() if run.sound else ():
        if total:
            run.statistics.metrics[name].interval = intervals.proportion_interval(hits, total)
    constant = metrics.constant_cells(cells)
    constants = first_values(metrics.binary_metrics(constant[None, :].astype(np.float64)))
    if math.isnan(constants["precision"]):
        # By convention: a classifier that never says positive is not precise.
        constants["precision"] = 0.0
    # The cells that a constant prediction leaves empty stay empty in every draw.
    kept = np.isin(np.arange(4), (0, 2) if constant[0] else (1, 3)).astype(np.float64)
    spread = metrics.binary_metrics(tables(constant, intervals.RESAMPLES) * kept)
    run.put({name: constants[name] for name in FACTS["constant"]["BinaryClassification"]}, spread, CONSTANT)


def _put_scores(run: _Run) -> None:
    histogram, statistics = run.summary.scores, run.statistics
    positives, negatives = histogram.total_positives, histogram.total_negatives
    if not positives or not negatives:
        absent = "positive" if not positives else "negative"
        statistics.notes.append(wording("quality_notes.one_class", absent=absent))
        statistics.metrics["auc"] = MetricValue(None)
        return
    points = metrics.cumulative(histogram, thinned=True)
    statistics.curves[ROC_CURVE] = metrics.roc_curve(points)
    statistics.curves[PR_CURVE] = metrics.precision_recall_curve(points)
    if not run.sound:
        enough = statistics.item_count >= FEWEST_ROWS_OF_SPREAD
        statistics.metrics["auc"] = MetricValue(points.area, _subsampled_area(run) if enough else None)
        return
    area, spread = metrics.cumulative(histogram, thinned=False).area, metrics.area_deviation(histogram)
    interval = intervals.area_interval(area, spread, positives, negatives)
    statistics.metrics["auc"] = MetricValue(area, spread, interval)
    average = float(metrics.average_precision(histogram.positives, histogram.negatives))
    precision_interval = partial(intervals.precision_interval, positives=positives)
    run.put_mean(
        "average_precision", average, metrics.average_precision_spread(histogram), precision_interval
    )


def _subsampled_area(run: _Run) -> float | None:
    histogram = run.summary.scores.compressed(100_000)
    drawn = run.subsampled(np.concatenate([histogram.positives, histogram.negatives]))
    areas = []
    for sample in drawn.astype(np.int64):
        positives, negatives = np.split(sample, 2)
        part = metrics.ScoreHistogram(histogram.scores, positives, negatives)
        if positives.any() and negatives.any():
            areas.append(metrics.cumulative(part, thinned=False).area)
    return deviation(np.array(areas))


def _put_probabilities(run: _Run) -> None:
    sums = run.summary.probabilities
    if sums.outside:
        run.statistics.notes.append(wording("quality_notes.outside", count=sums.outside))
        threshold = run.task.threshold
        if run.task.inference_attribute is None and 0.0 < threshold < 1.0:
            run.statistics.notes.append(wording("quality_notes.threshold", threshold=number(threshold)))
        return
    few = []
    for name, powers in (("log_loss", sums.log_loss), ("brier_score", sums.brier)) if sums.count else ():
        spread = intervals.spread_of_powers(sums.count, powers)
        run.put_mean(name, float(powers[0]) / sums.count, spread, intervals.logarithmic_interval)
        few += [name] if spread is not None and spread.degrees < _ENOUGH_OF_PROBABILITIES else []
    if few:
        run.statistics.notes.append(wording("quality_notes.few_losses", names=listing(few)))
    if sums.bin_count.any():
        used = sums.bin_count > 0.0
        counts, sums_of_scores, hits = sums.bin_count[used], sums.bin_scores[used], sums.bin_hits[used]
        error = float(metrics.expected_calibration_error(counts, sums_of_scores, hits))
        size = (intervals.RESAMPLES, hits.size)
        right = run.generator.standard_gamma(hits, size=size)
        drawn = right + run.generator.standard_gamma(counts - hits, size=size)
        errors = metrics.expected_calibration_error(drawn, drawn * (sums_of_scores / counts), right)
        run.statistics.metrics["expected_calibration_error"] = MetricValue(error, deviation(errors))


def _describe_multiclass(run: _Run) -> None:
    statistics, counts = run.statistics, run.summary.confusion
    statistics.item_count = sum(counts.values())
    if not statistics.item_count:
        return
    statistics.confusion_matrix = _matrix(counts, {label for pair in counts for label in pair})
    cells = metrics.cells_of(statistics.confusion_matrix)
    actual, predicted = _vocabularies(counts)
    if never := metrics.label_order(actual - predicted):
        statistics.notes.append(f"Never predicted, so their precision counts as zero: {listing(never, 10)}.")
    if unseen := metrics.label_order(predicted - actual):
        statistics.notes.append(f"Predicted, but the label of no row: {listing(unseen, 10)}.")
    _put_classes(run, cells, "")
    _put_classes(run, metrics.constant_matrix(cells), CONSTANT)
    if not run.sound:
        return
    _put_probabilities(run)
    sums = run.summary.probabilities
    statistics.unknown_class_count = sums.unknown_class.total()
    lacking = [
        listing(metrics.label_order(set(one)), 3) for one in (sums.unknown_class, sums.unknown_prediction)
    ]
    if count := statistics.unknown_class_count:
        statistics.notes.append(wording("quality_notes.unknown_class", count=count, names=lacking[0]))
    if count := sums.unknown_prediction.total():
        statistics.notes.append(wording("quality_notes.unknown_prediction", count=count, names=lacking[1]))
    if sums.other_class * 2 > sums.count > 0:
        of = {"count": sums.other_class, "rows": sums.count}
        statistics.notes.append(wording("quality_notes.class_order", **of))
    for k, hits in sorted(sums.top_k.items()) if sums.count else ():
        share, total = hits / sums.count, float(sums.count)
        spread = math.sqrt(max(share * (1.0 - share), 0.25 / total) / total)
        interval = intervals.proportion_interval(hits, total)
        statistics.metrics[f"top_{k}_accuracy"] = MetricValue(share, spread, interval)


def _put_classes(run: _Run, cells: metrics.Cells, suffix: str) -> None:
    values = first_values(metrics.multiclass_metrics(cells, cells.counts[None, :].astype(np.float64)))
    if run.sound:
        parts = intervals.cell_blocks(cells.counts, run.generator)
    else:
        parts = [run.subsampled(cells.counts)]
    drawn = [metrics.multiclass_metrics(cells, part) for part in parts]
    run.put(values, {name: np.concatenate([part[name] for part in drawn]) for name in values}, suffix)
    for name in values if run.sound and not suffix else ():
        metric = run.statistics.metrics[name]
        if metric.value is None or metric.standard_deviation is None:
            continue
        metric.interval = intervals.share_interval(metric.value, metric.standard_deviation)
        if metric.value in (0.0, 1.0):
            # As far as one row that is different would move it.
            rows = run.statistics.item_count
            metric.standard_deviation = max(metric.standard_deviation, 1.0 / rows)
            metric.interval = intervals.proportion_interval(metric.value * rows, rows)


_SETTING_OF_COLUMN = topic("quality_cells")


class Evidence(NamedTuple):
    """What the later steps need of a window beyond its file.

    `problem` is what is wrong with the data as a whole; a segment may be as it is. `doubt` is why the
    positive label is hardly the one that nobody named.
    """

    unlabelled_scores: metrics.ScoreHistogram
    column_names: tuple[str, ...]
    problem: DatasetError | None
    doubt: DatasetError | None = None


def describe(summary: QualitySummary, task: Task, *, rules: Rules, seed: int) -> QualityStatistics:
    """Return the statistics of the rows summarized.

    Parameters
    ----------
    summary
        The rows.
    task
        What is predicted.
    rules
        ``sagemaker`` writes the originals' members only, with their spread; ``sound`` adds intervals and
        further metrics.
    seed
        Of the resampling.
    """
    order = tuple(FACTS["order"].get(task.problem, ()))
    statistics = QualityStatistics(problem_type=task.problem, metrics={}, metric_order=order)
    describe_type = {
        "Regression": _describe_regression,
        "BinaryClassification": _describe_binary,
        "MulticlassClassification": _describe_multiclass,
    }[task.problem]
    describe_type(_Run(summary, task, rules == "sound", np.random.default_rng(seed), statistics))
    if task.problem_type == "BinaryClassification":
        statistics.positive_label = task.positive
        statistics.probability_threshold = task.threshold if task.inference_attribute is None else None
    statistics.unlabelled_count = summary.unlabelled
    statistics.unpredicted_count = summary.not_predicted
    unusable = (counts["ground_truth_attribute"] for counts in (summary.unusable, summary.infinite))
    statistics.unusable_label_count, statistics.unscored_count = sum(unusable), summary.not_scored
    statistics.evaluation_time = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"
    statistics.notes = [*_row_notes(summary), *statistics.notes]
    if rules == "sound":
        _widen(statistics, summary.sample)
    doubt = None
    if (area := _area_backwards(statistics, summary.scores)) is not None:
        about = {"auc": number(area), "positive": task.positive}
        statistics.notes.append(wording("quality_notes.backwards", **about))
        if task.positive_label is None and area < _CLEARLY_BACKWARDS:
            doubt = DatasetError.of("quality_rows.backwards", field="positive_label", **about)
    known = summary.unlabelled_scores, summary.column_names
    statistics.evidence = Evidence(*known, _problem(summary, task), doubt)
    if rules == "sound" and task.problem_type != "Regression":
        kind = "positive label" if task.problem_type == "BinaryClassification" else "right prediction"
        statistics.calibration = metrics.calibrate(summary.scores, kind)
    return statistics


def _widen(statistics: QualityStatistics, sample: RowSample) -> None:
    """Widen intervals where rows clearly depend on those before them or belong together, and say so."""
    effect, blocks, _ = effect_of_numbers(sample)
    if effect <= 1.0:
        return
    statistics.design_effect, statistics.blocks = effect, blocks
    statistics.notes.append(dependence_note(statistics.item_count, effect))
    factor = math.sqrt(effect) * student_ratio(intervals.Z_95, blocks)
    for name, metric in statistics.metrics.items():
        if metric.standard_deviation is not None:
            metric.standard_deviation *= math.sqrt(effect)
        if metric.interval is not None and metric.value is not None:
            low, high = (widened(name, metric.value, bound, factor) for bound in metric.interval)
            metric.interval = low, high


def _problem(summary: QualitySummary, task: Task) -> DatasetError | None:
    """Return what is wrong with the data, if anything: cells that cannot be what the settings say."""
    for setting, count in summary.unusable.items():
        if count + summary.unlabelled >= summary.rows:
            kind, names = _SETTING_OF_COLUMN[setting], listing(list(summary.column_names), 20)
            of = {"example": summary.unusable_examples[setting], "names": names}
            return DatasetError.of("quality_rows.no_numbers", field=setting, kind=kind, **of)
    if task.problem_type == "BinaryClassification":
        return label_problem(summary.confusion, task) or _scale_problem(summary.scores, task)
    rows = sum(summary.confusion.values())
    return vocabulary_problem(*_vocabularies(summary.confusion), rows=rows)


def _scale_problem(histogram: metrics.ScoreHistogram, task: Task) -> DatasetError | None:
    """Return why scores and threshold cannot be on one scale: scores in percent, for example."""
    is_threshold_used = task.inference_attribute is None and 0.0 < task.threshold < 1.0
    if not is_threshold_used or not histogram.total_positives or not histogram.total_negatives:
        return None
    low, high = histogram.scores[[0, -1]].tolist()
    rows = histogram.positives + histogram.negatives
    outside = rows[(histogram.scores < -_ROUNDING) | (histogram.scores > 1.0 + _ROUNDING)].sum()
    why = f"every row would count as predicted {'positive' if low >= task.threshold else 'negative'}"
    if low < task.threshold <= high:
        why = "most of them are no probabilities"
        if task.probability_threshold is not None or outside * 2 <= rows.sum():
            return None
    texts = {"low": number(low), "high": number(high), "threshold": number(task.threshold)}
    of = {"field": "probability_attribute", "why": why, **texts}
    return DatasetError.of("quality_rows.scale", **of) if outside else None


def _area_backwards(statistics: QualityStatistics, histogram: metrics.ScoreHistogram) -> float | None:
    """Return an area below one half that chance does not explain: scores rank labels backwards."""
    area = statistics.metrics.get("auc")
    if area is None or area.value is None:
        return None
    sizes = histogram.total_positives, histogram.total_negatives
    spread = metrics.area_deviation(histogram)
    _, high = area.interval or intervals.area_interval(area.value, spread, *sizes)
    return area.value if high < _NO_RANKING else None


def _row_notes(summary: QualitySummary) -> list[str]:
    told = (
        (summary.unlabelled, f"of {summary.rows} rows have no label and are not in the metrics."),
        (summary.not_predicted, "labelled rows have no prediction and are not in the metrics."),
        (summary.not_scored, "rows have no score and are not in the metrics of scores."),
    )
    notes = [f"{count} {text}" for count, text in told if count]
    for setting, count in summary.unusable.items():
        kind, example = _SETTING_OF_COLUMN[setting], summary.unusable_examples[setting]
        notes.append(wording("quality_notes.unusable", count=count, kind=kind, example=example))
    for setting, count in summary.infinite.items():
        notes.append(f"{count} {_SETTING_OF_COLUMN[setting]} are infinite, and count as missing.")
    return notes
