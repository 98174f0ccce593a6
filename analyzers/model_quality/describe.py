"""From a summary to the statistics document: every metric, how far it would move by chance, and notes."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np

from analyzers.model_quality.cells import Codes, Floats
from analyzers.model_quality.check_sound import widened
from analyzers.model_quality.confusion import (
    Cells,
    Confusion,
    binary_cells,
    binary_metrics,
    binary_proportions,
    cells_of,
    constant_cells,
    constant_matrix,
    label_order,
    multiclass_metrics,
)
from analyzers.model_quality.documents import (
    CONFUSION_MATRIX,
    PR_CURVE,
    ROC_CURVE,
    MetricValue,
    ModelQualityStatistics,
)
from analyzers.model_quality.intervals import (
    INTERVAL_RESAMPLES,
    RESAMPLES,
    SUBSAMPLED_SHARE,
    SUBSAMPLES,
    Z_95,
    Spread,
    area_interval,
    cell_blocks,
    deviation,
    logarithmic_interval,
    loss_interval,
    precision_interval,
    proportion_interval,
    quantile_interval,
    share_interval,
    spread_of_powers,
    subsamples,
    table_draws,
    unexplained_interval,
)
from analyzers.model_quality.probabilities import ProbabilitySums, calibrate, expected_calibration_error
from analyzers.model_quality.residuals import BUCKETS, regression_metrics, regression_spreads
from analyzers.model_quality.scores import (
    ScoreHistogram,
    area_deviation,
    average_precision,
    average_precision_spread,
    cumulative,
    precision_recall_curve,
    roc_curve,
)
from analyzers.model_quality.summary import NEGATIVE, ModelQualitySummary, Task
from analyzers.shared.dependence import design_effect, is_dependent, quantile_groups, student_ratio
from analyzers.shared.row_sample import RowSample
from analyzers.shared.rules import Rules
from contract.wording import listing

# Putting metrics with their spread into the statistics, undefined ones by the rules chosen.


CONSTANT = "_best_constant_classifier"

# Below, the originals write "NaN" for the standard deviation.
FEWEST_ROWS_OF_SPREAD = 200


def first_values(metrics: Mapping[str, Floats]) -> dict[str, float]:
    """Return the metrics of the first table or weighting."""
    return {name: float(values[0]) for name, values in metrics.items()}


def put(
    statistics: ModelQualityStatistics,
    values: Mapping[str, float],
    draws: Mapping[str, Floats],
    *,
    sound: bool,
) -> None:
    """Add metrics to the statistics.

    Parameters
    ----------
    statistics
        The document; undefined metrics have no value in it, and a note names them.
    values
        By name; NaN for undefined.
    draws
        The metrics under resampling.
    sound
        Whether to add intervals.
    """
    undefined = []
    for name, value in values.items():
        if not math.isfinite(value):
            statistics.metrics[name] = MetricValue(None)
            undefined.append(name)
            continue
        spread = deviation(draws[name]) if name in draws else None
        if not sound and statistics.item_count < FEWEST_ROWS_OF_SPREAD:
            spread = None
        interval = None
        if sound and name in draws and not name.endswith(CONSTANT):
            interval = _around(value, quantile_interval(draws[name]))
        statistics.metrics[name] = MetricValue(value, spread, interval)
    if undefined:
        statistics.notes.append(f"Undefined for these rows: {', '.join(undefined)}.")


def _around(value: float, interval: tuple[float, float] | None) -> tuple[float, float] | None:
    """Return the interval, widened to hold the value itself: 1.0 when no row was wrong."""
    return None if interval is None else (min(value, interval[0]), max(value, interval[1]))


def put_share(statistics: ModelQualityStatistics, name: str, value: float, spread: float | None) -> None:
    """Add a metric in 0..1 with an interval from its standard error."""
    interval = None if spread is None else share_interval(value, spread)
    statistics.metrics[name] = MetricValue(value, spread, interval)


def put_proportion(statistics: ModelQualityStatistics, name: str, hits: float, total: float) -> None:
    """Add the share of rows that are hits, `total` positive."""
    share = hits / total
    spread = math.sqrt(max(share * (1.0 - share), 0.25 / total) / total)
    statistics.metrics[name] = MetricValue(share, spread, proportion_interval(hits, total))


def put_loss(statistics: ModelQualityStatistics, name: str, count: int, powers: Floats) -> None:
    """Add the mean loss of `count` probabilities from its sums of powers."""
    mean, spread = float(powers[0]) / count, spread_of_powers(count, powers)
    if spread is None:
        statistics.metrics[name] = MetricValue(mean)
    else:
        statistics.metrics[name] = MetricValue(mean, spread.error, logarithmic_interval(mean, spread))


# Statistics of predicted numbers.


_ORIGINAL = ("mae", "mse", "rmse", "r2")


def describe_regression(
    statistics: ModelQualityStatistics,
    summary: ModelQualitySummary,
    task: Task,
    sound: bool,
    generator: np.random.Generator,
) -> None:
    """Add the metrics of predicted numbers to the statistics."""
    residuals = summary.residuals
    statistics.item_count = residuals.rows
    if not residuals.rows:
        return
    values = first_values(regression_metrics(residuals, np.ones((1, BUCKETS))))
    if not sound:
        used = np.flatnonzero(residuals.count)
        weights = np.zeros((SUBSAMPLES, BUCKETS))
        for sample in weights:
            sample[generator.permutation(used)[: math.ceil(SUBSAMPLED_SHARE * used.size)]] = 1.0
        draws = regression_metrics(residuals, weights)
        put(statistics, {name: values[name] for name in _ORIGINAL}, draws, sound=False)
        return
    put(statistics, values, {}, sound=True)
    spreads = regression_spreads(residuals)
    for name, metric in statistics.metrics.items():
        _add_spread(name, metric, spreads.get("mse" if name == "rmse" else name))
    zeros = residuals.rows - int(residuals.relative_count.sum())
    if zeros and "mape" in statistics.metrics:
        statistics.notes.append(f"mape leaves out {zeros} rows whose label is zero.")


def _add_spread(name: str, metric: MetricValue, spread: Spread | None) -> None:
    """Add standard error and interval; those of rmse are those of its square."""
    if metric.value is None or spread is None:
        return
    if name == "r2":
        metric.standard_deviation = spread.error * (1.0 - metric.value)
        metric.interval = unexplained_interval(metric.value, spread)
    elif name == "rmse":
        metric.standard_deviation = spread.error / (2.0 * metric.value) if metric.value else 0.0
        low, high = loss_interval(metric.value**2, spread)
        metric.interval = min(metric.value, math.sqrt(low)), max(metric.value, math.sqrt(high))
    else:
        metric.standard_deviation = spread.error
        metric.interval = loss_interval(metric.value, spread)


# Statistics of predicted classes.


_CONSTANT_BINARY = ("recall", "precision", "accuracy", "f0_5", "f1", "f2")
_BINARY_ORDER = (
    CONFUSION_MATRIX,
    "recall",
    "precision",
    "accuracy",
    f"recall{CONSTANT}",
    f"precision{CONSTANT}",
    f"accuracy{CONSTANT}",
    "true_positive_rate",
    "true_negative_rate",
    "false_positive_rate",
    "false_negative_rate",
    ROC_CURVE,
    PR_CURVE,
    "auc",
    "f0_5",
    "f1",
    "f2",
    f"f0_5{CONSTANT}",
    f"f1{CONSTANT}",
    f"f2{CONSTANT}",
)

_MOST_SUBSAMPLED_ROWS = 1_000_000_000  # what numpy's hypergeometric generator takes


def describe_binary(
    statistics: ModelQualityStatistics,
    summary: ModelQualitySummary,
    task: Task,
    sound: bool,
    generator: np.random.Generator,
) -> None:
    """Add the metrics of two classes to the statistics."""
    statistics.item_count = sum(summary.confusion.values())
    statistics.metric_order = _BINARY_ORDER
    if statistics.item_count:
        matrix = _binary_matrix(statistics, summary.confusion, task.positive)
        statistics.confusion_matrix = matrix
        _put_binary(statistics, binary_cells(matrix, task.positive), sound, generator)
    if summary.scores.settle().scores.size:
        _put_scores(statistics, summary.scores, sound, generator)
        if sound:
            _put_probabilities(statistics, summary.probabilities, generator)
    elif statistics.item_count:
        statistics.notes.append(
            "There are no scores (probability_attribute), so there are no curves and no auc."
        )


def _binary_matrix(
    statistics: ModelQualityStatistics, confusion: Confusion, positive: str
) -> dict[str, dict[str, int]]:
    labels = {label for pair in confusion for label in pair if label != NEGATIVE}
    others = label_order(labels - {positive})
    default = positive == "1"
    if len(others) > 1:
        statistics.notes.append(f"These labels all count as negative: {listing(others, 10)}.")
    elif not positive_seen(confusion, positive) or not others:
        only = positive if not others else "the negative label"
        statistics.notes.append(f"All labels are {only!r}, so metrics that need both classes are undefined.")
    negative = others[0] if len(others) == 1 else ("0" if default else f"not {positive}")
    return _matrix(
        {
            (negative if actual == NEGATIVE else actual, negative if predicted == NEGATIVE else predicted): n
            for (actual, predicted), n in confusion.items()
        },
        labels | {positive} | ({negative} if len(others) < 2 or _has_scored_negative(confusion) else set()),
    )


def label_problem(confusion: Confusion, task: Task) -> str | None:
    """Return why the positive label cannot be told, None when it can."""
    labels = {label for pair in confusion for label in pair if label != NEGATIVE}
    actual, predicted = ({pair[side] for pair in confusion} - {NEGATIVE} for side in (0, 1))
    if problem := vocabulary_problem(actual, predicted, most=2):
        return problem
    others = label_order(labels - {task.positive})
    default = task.positive == "1"
    # A prediction made from a score is always one of two, so it tells only when the labels agree with it.
    seen = not others or positive_seen(confusion, task.positive)
    seen = seen or (len(others) == 1 and any(predicted == task.positive for _, predicted in confusion))
    if not seen and (len(others) > 1 or (default and others != ["0"])):
        return (
            f"The labels are {listing(others)}, and none of them is the positive label {task.positive!r}; "
            "set positive_label to the one that counts as positive."
        )
    if len(others) > 1 and default:
        return (
            f"problem_type is BinaryClassification, but there are {len(labels)} labels: "
            f"{listing(label_order(labels))}; use MulticlassClassification, or set positive_label to "
            "count all others as negative."
        )
    return None


def vocabulary_problem(actual: set[str], predicted: set[str], most: int | None = None) -> str | None:
    """Return why labels and predictions cannot be of one vocabulary, None when they can.

    `most` is how many labels there can be; None where nobody knows.
    """
    scores = [text for text in predicted if _is_fraction(text)]
    if len(scores) > (most or 2) and not any(map(_is_fraction, actual)):
        return (
            f"inference_attribute holds scores, such as {listing(label_order(set(scores)), 3)}, not labels; "
            "give their column as probability_attribute."
        )
    if not actual or not predicted or actual & predicted:
        return None
    kinds = [{_is_number(text) for text in labels} for labels in (actual, predicted)]
    if kinds[0] & kinds[1] and (most is None or len(actual | predicted) <= most):
        return None
    return (
        f"The labels are {listing(label_order(actual))}, but the predictions "
        f"{listing(label_order(predicted))}; none is of both; choose other columns as "
        "ground_truth_attribute and inference_attribute, or write both in the same words, in a "
        "preprocessing script for example."
    )


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _is_fraction(text: str) -> bool:
    return _is_number(text) and 0.0 < float(text) < 1.0


def positive_seen(confusion: Confusion, positive: str) -> bool:
    """Return whether any actual label is the positive one."""
    return any(actual == positive for actual, _ in confusion)


def _has_scored_negative(confusion: Confusion) -> bool:
    return any(predicted == NEGATIVE for _, predicted in confusion)


def _matrix(confusion: Confusion, labels: set[str]) -> dict[str, dict[str, int]]:
    ordered = label_order(labels)
    return {
        actual: {predicted: confusion.get((actual, predicted), 0) for predicted in ordered}
        for actual in ordered
    }


def _put_binary(
    statistics: ModelQualityStatistics, cells: Codes, sound: bool, generator: np.random.Generator
) -> None:
    def tables(counts: Codes, resamples: int) -> Floats:
        return table_draws(counts, generator, resamples) if sound else _subsampled(counts, generator)

    values = first_values(binary_metrics(cells[None, :].astype(np.float64)))
    if not sound and math.isnan(values["precision"]):
        # With nothing predicted positive the originals' library has a precision of zero.
        values["precision"] = 0.0
    put(statistics, values, binary_metrics(tables(cells, INTERVAL_RESAMPLES)), sound=sound)
    if sound:
        _put_proportion_intervals(statistics, cells)
    constant = constant_cells(cells)
    constants = first_values(binary_metrics(constant[None, :].astype(np.float64)))
    spread = binary_metrics(_constant_draws(constant, tables(constant, RESAMPLES)))
    named = {f"{name}{CONSTANT}": constants[name] for name in _CONSTANT_BINARY}
    if math.isnan(named[f"precision{CONSTANT}"]):
        # By convention: a classifier that never says positive is not precise.
        named[f"precision{CONSTANT}"] = 0.0
    put(statistics, named, {f"{name}{CONSTANT}": spread[name] for name in _CONSTANT_BINARY}, sound=sound)


def _put_proportion_intervals(statistics: ModelQualityStatistics, cells: Codes) -> None:
    for name, (hits, total) in binary_proportions(cells).items():
        if total:
            statistics.metrics[name].interval = proportion_interval(hits, total)


def _constant_draws(constant: Codes, draws: Floats) -> Floats:
    """Return the draws with the cells that a constant prediction leaves empty kept empty."""
    kept = (1, 3) if not constant[0] else (0, 2)
    mask = np.zeros(4)
    mask[list(kept)] = 1.0
    return draws * mask


def _subsampled(counts: Codes, generator: np.random.Generator) -> Floats:
    if counts.sum() >= _MOST_SUBSAMPLED_ROWS:
        return generator.standard_gamma(counts.astype(np.float64), size=(SUBSAMPLES, counts.size))
    return subsamples(counts, generator)


def _put_scores(
    statistics: ModelQualityStatistics, histogram: ScoreHistogram, sound: bool, generator: np.random.Generator
) -> None:
    positives, negatives = histogram.total_positives, histogram.total_negatives
    if not positives or not negatives:
        absent = "positive" if not positives else "negative"
        statistics.notes.append(
            f"No row with a score has a {absent} label, so there are no curves and no auc."
        )
        statistics.metrics["auc"] = MetricValue(None)
        return
    points = cumulative(histogram, thinned=True)
    statistics.curves[ROC_CURVE] = roc_curve(points)
    statistics.curves[PR_CURVE] = precision_recall_curve(points)
    if not sound:
        enough = statistics.item_count >= FEWEST_ROWS_OF_SPREAD
        spread = _subsampled_area(histogram, generator) if enough else None
        statistics.metrics["auc"] = MetricValue(points.area, spread)
        return
    area, spread = cumulative(histogram, thinned=False).area, area_deviation(histogram)
    interval = area_interval(area, spread, positives, negatives)
    statistics.metrics["auc"] = MetricValue(area, spread, interval)
    counts = histogram.positives.astype(np.float64), histogram.negatives.astype(np.float64)
    precision = float(average_precision(*counts))
    _put_average_precision(statistics, precision, average_precision_spread(histogram), positives)


def _put_average_precision(
    statistics: ModelQualityStatistics, precision: float, spread: Spread | None, positives: int
) -> None:
    metric = MetricValue(precision)
    if spread is not None:
        metric.standard_deviation = spread.error
        metric.interval = precision_interval(precision, spread, positives)
    statistics.metrics["average_precision"] = metric


def _subsampled_area(histogram: ScoreHistogram, generator: np.random.Generator) -> float | None:
    histogram = histogram.compressed(100_000)
    drawn = _subsampled(np.concatenate([histogram.positives, histogram.negatives]), generator)
    areas = []
    for sample in drawn.astype(np.int64):
        positives, negatives = np.split(sample, 2)
        part = ScoreHistogram(histogram.scores, positives, negatives)
        if positives.any() and negatives.any():
            areas.append(cumulative(part, thinned=False).area)
    return deviation(np.array(areas))


def _put_probabilities(
    statistics: ModelQualityStatistics, sums: ProbabilitySums, generator: np.random.Generator
) -> None:
    if sums.outside:
        statistics.notes.append(
            f"{sums.outside} scores lie outside 0 to 1, so they are no probabilities: log loss, Brier score "
            "and calibration error are left out."
        )
        return
    if sums.count:
        put_loss(statistics, "log_loss", sums.count, sums.log_loss)
        put_loss(statistics, "brier_score", sums.count, sums.brier)
    if sums.bin_count.any():
        used = sums.bin_count > 0.0
        counts, scores, hits = sums.bin_count[used], sums.bin_scores[used], sums.bin_hits[used]
        error = float(expected_calibration_error(counts, scores, hits))
        right = generator.standard_gamma(hits, size=(RESAMPLES, hits.size))
        wrong = generator.standard_gamma(counts - hits, size=(RESAMPLES, hits.size))
        drawn = right + wrong
        errors = expected_calibration_error(drawn, drawn * (scores / counts), right)
        statistics.metrics["expected_calibration_error"] = MetricValue(error, deviation(errors))


_CONSTANT_MULTICLASS = (
    "accuracy",
    "weighted_recall",
    "weighted_precision",
    "weighted_f0_5",
    "weighted_f1",
    "weighted_f2",
)
_MULTICLASS_ORDER = (
    CONFUSION_MATRIX,
    *_CONSTANT_MULTICLASS,
    *(f"{name}{CONSTANT}" for name in _CONSTANT_MULTICLASS),
)


def describe_multiclass(
    statistics: ModelQualityStatistics,
    summary: ModelQualitySummary,
    task: Task,
    sound: bool,
    generator: np.random.Generator,
) -> None:
    """Add the metrics of several classes to the statistics."""
    statistics.item_count = sum(summary.confusion.values())
    statistics.metric_order = _MULTICLASS_ORDER
    if not statistics.item_count:
        return
    labels = {label for pair in summary.confusion for label in pair}
    statistics.confusion_matrix = _matrix(summary.confusion, labels)
    cells = cells_of(statistics.confusion_matrix)
    _note_classes(statistics, summary.confusion)
    _put_classes(statistics, cells, "", sound, generator)
    _put_classes(statistics, constant_matrix(cells), CONSTANT, sound, generator)
    if sound:
        _put_probabilities(statistics, summary.probabilities, generator)
        _put_top_k(statistics, summary.probabilities)


def _put_classes(
    statistics: ModelQualityStatistics, cells: Cells, suffix: str, sound: bool, generator: np.random.Generator
) -> None:
    values = first_values(multiclass_metrics(cells, cells.counts[None, :].astype(np.float64)))
    draws = multiclass_draws(cells, generator) if sound else _multiclass_subsamples(cells, generator)
    put(
        statistics,
        {f"{name}{suffix}": value for name, value in values.items()},
        {f"{name}{suffix}": drawn for name, drawn in draws.items()},
        sound=sound,
    )
    if sound and not suffix:
        for name in values:
            metric = statistics.metrics.get(name)
            if metric and metric.value is not None and metric.standard_deviation is not None:
                put_share(statistics, name, metric.value, _never_zero(metric, statistics.item_count))


def _never_zero(metric: MetricValue, rows: int) -> float:
    """Return the standard error, for a metric of exactly 0 or 1 that of one row that is different."""
    assert metric.standard_deviation is not None  # noqa: S101 - for mypy: the caller looked
    return (
        max(metric.standard_deviation, 1.0 / rows)
        if metric.value in (0.0, 1.0)
        else metric.standard_deviation
    )


def multiclass_draws(cells: Cells, generator: np.random.Generator) -> dict[str, Floats]:
    """Return the metrics of several classes under resampling."""
    blocks = [multiclass_metrics(cells, block) for block in cell_blocks(cells.counts, generator)]
    return {name: np.concatenate([block[name] for block in blocks]) for name in blocks[0]}


def _multiclass_subsamples(cells: Cells, generator: np.random.Generator) -> dict[str, Floats]:
    return multiclass_metrics(cells, _subsampled(cells.counts, generator))


def _note_classes(statistics: ModelQualityStatistics, confusion: Confusion) -> None:
    actual, predicted = ({pair[side] for pair in confusion} for side in (0, 1))
    if never := label_order(actual - predicted):
        statistics.notes.append(f"Never predicted, so their precision counts as zero: {listing(never, 10)}.")
    if unseen := label_order(predicted - actual):
        statistics.notes.append(f"Predicted, but the label of no row: {listing(unseen, 10)}.")


def _put_top_k(statistics: ModelQualityStatistics, sums: ProbabilitySums) -> None:
    if sums.unknown_class:
        statistics.notes.append(
            f"{sums.unknown_class} rows have a label without a column of probabilities and are not in "
            "log_loss, brier_score and top_k_accuracy."
        )
    for k, hits in sorted(sums.top_k.items()):
        if sums.count:
            put_proportion(statistics, f"top_{k}_accuracy", hits, sums.count)


_SETTING_OF_COLUMN = {
    "inference_attribute": "predictions",
    "probability_attribute": "scores",
    "ground_truth_attribute": "labels",
}


@dataclass(frozen=True)
class Evidence:
    """What the later steps need of a window beyond its file.

    `problem` is what is wrong with the data as a whole; a segment may be as it is.
    """

    unlabelled_scores: ScoreHistogram
    column_names: tuple[str, ...]
    problem: str | None


def describe(summary: ModelQualitySummary, task: Task, *, rules: Rules, seed: int) -> ModelQualityStatistics:
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
    generator = np.random.default_rng(seed)
    describe_type = {
        "Regression": describe_regression,
        "BinaryClassification": describe_binary,
        "MulticlassClassification": describe_multiclass,
    }[task.problem_type]
    statistics = ModelQualityStatistics(problem_type=task.problem_type, item_count=0, metrics={})
    describe_type(statistics, summary, task, rules == "sound", generator)
    statistics.unlabelled_count = summary.unlabelled
    statistics.unpredicted_count = summary.not_predicted
    statistics.evaluation_time = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"
    statistics.notes = [*_row_notes(summary), *statistics.notes]
    statistics.evidence = Evidence(summary.unlabelled_scores, summary.column_names, _problem(summary, task))
    if rules == "sound":
        _widen(statistics, summary.sample)
    if rules == "sound" and task.problem_type != "Regression":
        kind = "positive label" if task.problem_type == "BinaryClassification" else "right prediction"
        statistics.calibration = calibrate(summary.scores, kind)
    return statistics


def _widen(statistics: ModelQualityStatistics, sample: RowSample) -> None:
    """Widen intervals where rows clearly depend on those before them, and say so."""
    found = []
    for arrays in sample.columns().values():
        values = np.concatenate([array.to_numpy(zero_copy_only=False) for array in arrays])
        finite = values[np.isfinite(values)]
        if finite.size:
            found.append(design_effect(*quantile_groups(finite), cumulative=True))
    effect, blocks = max(found, default=(1.0, 0))
    if not is_dependent(effect, blocks):
        return
    statistics.design_effect, statistics.blocks = effect, blocks
    statistics.notes.append(
        f"Rows depend on those before them: {statistics.item_count} rows tell as much as "
        f"{max(1, round(statistics.item_count / effect))} independent ones, and intervals are as wide."
    )
    factor = math.sqrt(effect) * student_ratio(Z_95, blocks)
    for name, metric in statistics.metrics.items():
        if metric.standard_deviation is not None:
            metric.standard_deviation *= math.sqrt(effect)
        if metric.interval is not None and metric.value is not None:
            low, high = (widened(name, metric.value, bound, factor) for bound in metric.interval)
            metric.interval = (low, high)


def _problem(summary: ModelQualitySummary, task: Task) -> str | None:
    """Return what is wrong with the data, if anything: cells that cannot be what the settings say."""
    for setting, cells in summary.unusable.items():
        if cells.count + summary.unlabelled >= summary.rows:
            return (
                f"The {_SETTING_OF_COLUMN[setting]} ({setting}) hold no number, but for example "
                f"{cells.example!r}; choose another column or another problem_type. "
                f"The columns are {listing(list(summary.column_names), 20)}."
            )
    if task.problem_type == "BinaryClassification":
        return label_problem(summary.confusion, task)
    actual, predicted = ({pair[side] for pair in summary.confusion} for side in (0, 1))
    return vocabulary_problem(actual, predicted)


def _row_notes(summary: ModelQualitySummary) -> list[str]:
    notes = []
    if summary.unlabelled:
        notes.append(f"{summary.unlabelled} of {summary.rows} rows have no label and are not in the metrics.")
    if summary.not_predicted:
        notes.append(f"{summary.not_predicted} labelled rows have no prediction and are not in the metrics.")
    if summary.not_scored:
        notes.append(f"{summary.not_scored} rows have no score and are not in the metrics of scores.")
    for setting, cells in summary.unusable.items():
        notes.append(
            f"{cells.count} {_SETTING_OF_COLUMN[setting]} are no numbers, such as {cells.example!r}, and "
            "count as missing."
        )
    for setting, count in summary.infinite.items():
        notes.append(f"{count} {_SETTING_OF_COLUMN[setting]} are infinite, and count as missing.")
    return notes
