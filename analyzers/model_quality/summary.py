"""What a split of data leaves behind: counts and sums that add up, from which every metric follows."""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from analyzers.model_quality import metrics
from analyzers.model_quality.documents import ProblemType
from analyzers.shared import cells
from analyzers.shared.cells import Coded, Codes, Flags, Floats, Value, label_of
from analyzers.shared.row_sample import RowSample, cluster_hashes, seed_of
from contract.dataset import GROUND_TRUTH, notice
from contract.errors import DatasetError
from contract.schema import hint
from contract.wording import listing

_INDEX = re.compile(r"\d+")


@dataclass(frozen=True, kw_only=True)
class Task:
    """What is predicted, and which columns hold it.

    Parameters
    ----------
    problem_type
        ``Regression``, ``BinaryClassification`` or ``MulticlassClassification``.
    inference_attribute, probability_attribute, ground_truth_attribute
        Columns of prediction, score and label: names, zero-based indices or paths in JSON. Several columns of
        probabilities, one per class, are separated by commas or named by what their names have in common.
        Without `ground_truth_attribute` the label is ``groundTruthData``.
    probability_threshold
        Score from which, inclusive, a row counts as predicted positive where there is no prediction; 0.5.
    positive_label
        The label that counts as positive; ``1``.
    cluster_by
        Columns that tell which rows belong together, under sound rules.
    no_labels
        Texts that are no label, in small letters; the positive label is one all the same.
    """

    problem_type: ProblemType | None = None
    inference_attribute: str | None = None
    probability_attribute: str | None = None
    probability_threshold: float | None = None
    ground_truth_attribute: str | None = None
    positive_label: str | None = None
    cluster_by: tuple[str, ...] = ()
    no_labels: frozenset[str] = cells.NO_LABEL

    @property
    def problem(self) -> ProblemType:
        """Return the problem type, which the analyzer demands."""
        assert self.problem_type is not None  # noqa: S101 - for mypy: refused when made
        return self.problem_type

    @property
    def threshold(self) -> float:
        """Return the score from which a row is predicted positive."""
        return 0.5 if self.probability_threshold is None else self.probability_threshold

    @cached_property
    def positive(self) -> str:
        """Return the positive label, normalised."""
        return label_of(self.positive_label or "1", binary=self.problem_type == "BinaryClassification")


class Columns(NamedTuple):
    """Places of the columns in a record batch; None for those that are not asked for or not there yet.

    `classes` holds the class of each column of `probabilities` when there are several.
    """

    label: int | None
    inference: int | None
    probabilities: tuple[int, ...] = ()
    classes: tuple[str, ...] = ()


def find_columns(schema: pa.Schema, task: Task) -> Columns:
    """Return where the columns are.

    Parameters
    ----------
    schema
        Of the record batch; its metadata say whether the names came with the data.
    task
        With the settings.

    Raises
    ------
    DatasetError
        Naming the setting, the value and the columns there are.
    """
    inference = task.inference_attribute
    place = None if inference is None else find_column(schema, inference, "inference_attribute")
    probabilities = _find_probabilities(schema, task.probability_attribute)
    label = _find_label(schema, task.ground_truth_attribute)
    if label is not None and label in (place, *probabilities[0]):
        field = "inference_attribute" if label == place else "probability_attribute"
        raise DatasetError.of("quality_columns.label_twice", field=field, name=schema.names[label])
    return Columns(label, place, *probabilities)


def _find_label(schema: pa.Schema, attribute: str | None) -> int | None:
    named = None if attribute == GROUND_TRUTH else attribute
    found = None if named is None else _look_up(schema, named)
    joined = [name for name in schema.names if name.startswith(GROUND_TRUTH)]
    if found is not None and joined and schema.names[found] not in joined:
        said = {"field": "ground_truth_attribute", "name": schema.names[found], "joined": joined[0]}
        raise DatasetError.of("quality_columns.two_labels", **said)
    for name in (f"{GROUND_TRUTH}.{named}", GROUND_TRUTH, f"{GROUND_TRUTH}.0", f"{GROUND_TRUTH}_0"):
        found = _exact(schema, name) if found is None else found
    if found is None and named is not None:
        return find_column(schema, named, "ground_truth_attribute")
    if found is not None and named is None and schema.names[found] == f"{GROUND_TRUTH}.0" and len(joined) > 1:
        field, names = "ground_truth_attribute", listing(joined, 20)
        raise DatasetError.of("quality_columns.label_cells", field=field, names=names, first=joined[0])
    if found is None and (parts := [name for name in schema.names if name.startswith(f"{GROUND_TRUTH}.")]):
        field, names = "ground_truth_attribute", listing(parts, 20)
        first = parts[0] if f"{GROUND_TRUTH}.label" not in parts else f"{GROUND_TRUTH}.label"
        raise DatasetError.of("quality_columns.label_object", field=field, names=names, first=first)
    return found


def _find_probabilities(schema: pa.Schema, attribute: str | None) -> tuple[tuple[int, ...], tuple[str, ...]]:
    if attribute is None:
        return (), ()
    place = _look_up(schema, attribute)
    if place is not None:
        return (place,), ()
    prefix = f"{_path(attribute)}."
    names = [name for name in schema.names if name.startswith(prefix)]
    if len(names) > 1:
        places = tuple(schema.names.index(name) for name in names)
        return places, tuple(name.removeprefix(prefix) for name in names)
    parts = attribute.split(",")
    places = tuple(find_column(schema, part.strip(), "probability_attribute") for part in parts)
    return places, _classes([schema.names[place] for place in places]) if len(places) > 1 else ()


def _classes(names: list[str]) -> tuple[str, ...]:
    """Return the class in each name: what follows the part up to a separator that all names share."""
    beginnings = [names[0][: separator.end()] for separator in re.finditer(r"[._\- ]", names[0])]
    shared = [one for one in beginnings if all(name.startswith(one) and name != one for name in names)]
    return tuple(name.removeprefix(shared[-1] if shared else "") for name in names)


def find_column(schema: pa.Schema, attribute: str, setting: str) -> int:
    """Return the place of one column.

    Raises
    ------
    DatasetError
        Naming the setting, the value and the columns there are.
    """
    place = _look_up(schema, attribute)
    if place is not None:
        return place
    names = list(schema.names)
    said: dict[str, Any] = {"field": setting, "name": attribute, "names": listing(names, 20)}
    said["count"] = len(names)
    if _INDEX.fullmatch(attribute):
        raise DatasetError.of("quality_columns.index", last=len(names) - 1, **said)
    if _is_positional(schema):
        raise DatasetError.of("quality_columns.unnamed", **said)
    raise DatasetError.of("quality_columns.unknown", hint=hint(attribute, names), **said)


def _look_up(schema: pa.Schema, attribute: str) -> int | None:
    # What scripts written for the originals call answers, requests and labels.
    written = [f"{part}_{attribute}" for part in ("endpointOutput", "endpointInput", GROUND_TRUTH)]
    for name in written if _is_positional(schema) else (attribute, *written):
        if (place := _exact(schema, name)) is not None:
            return place
    if _INDEX.fullmatch(attribute) and int(attribute) < len(schema.names):
        return int(attribute)
    return _exact(schema, _path(attribute))


def _exact(schema: pa.Schema, name: str) -> int | None:
    place: int = schema.get_field_index(name)
    return place if place >= 0 else None


def _path(attribute: str) -> str:
    """Return a path such as ``$.predictions[0].score`` the way readers name columns."""
    dotted = re.sub(r"\[\s*['\"]?([^'\"\]]+)['\"]?\s*\]", r".\1", attribute)
    return dotted.removeprefix("$").strip(".")


def _is_positional(schema: pa.Schema) -> bool:
    return (schema.metadata or {}).get(b"positional") == b"true"


# Stands for the negative label in predictions made from scores, until all labels are known.
NEGATIVE = "\0negative"


@dataclass
class QualitySummary:
    """Counts and sums over rows; grows with the number of classes and distinct scores only, both bounded.

    Parameters
    ----------
    rows
        All rows.
    unlabelled
        Those without a label.
    not_predicted
        Those with a label, but neither prediction nor score.
    not_scored
        Those with label and prediction, but no score where one is expected.
    unusable, unusable_examples
        Cells without a number, and one of them, by setting.
    infinite
        Cells that hold an infinity, by setting.
    confusion
        Classification: rows with label and prediction.
    scores
        Rows with label and score, positives told by the label (multiclass: those predicted right).
    unlabelled_scores
        Rows without label, "positives" told by the prediction.
    probabilities
        Rows with label and score.
    residuals
        Regression: rows with label and prediction.
    column_names
        Of the first batch, for messages.
    sample
        How rows that count fared, in order of arrival: what is wrong, what they are, and their scores.
    """

    rows: int = 0
    unlabelled: int = 0
    not_predicted: int = 0
    not_scored: int = 0
    unusable: Counter[str] = field(default_factory=Counter)
    unusable_examples: dict[str, str] = field(default_factory=dict)
    infinite: Counter[str] = field(default_factory=Counter)
    confusion: metrics.Confusion = field(default_factory=Counter)
    scores: metrics.ScoreHistogram = field(default_factory=metrics.ScoreHistogram)
    unlabelled_scores: metrics.ScoreHistogram = field(default_factory=metrics.ScoreHistogram)
    probabilities: metrics.ProbabilitySums = field(default_factory=metrics.ProbabilitySums)
    residuals: metrics.Residuals = field(default_factory=metrics.Residuals)
    column_names: tuple[str, ...] = ()
    sample: RowSample = field(default_factory=RowSample)
    sample_seed: int | None = None


def merge(left: QualitySummary, right: QualitySummary) -> QualitySummary:
    """Return the summary of the rows of both; may reuse the memory of `left`."""
    counts = ("rows", "unlabelled", "not_predicted", "not_scored", "unusable", "infinite")
    metrics.add_up(left, right, *counts)
    left.unusable_examples = right.unusable_examples | left.unusable_examples
    left.confusion.update(right.confusion)
    metrics.check_classes(left.confusion)
    left.scores.merge(right.scores)
    left.unlabelled_scores.merge(right.unlabelled_scores)
    left.probabilities.merge(right.probabilities)
    left.residuals.merge(right.residuals)
    left.sample.merge(right.sample)
    left.column_names = left.column_names or right.column_names
    return left


def summarize(batches: Iterable[pa.RecordBatch], task: Task) -> QualitySummary:
    """Return the summary of record batches.

    Raises
    ------
    DatasetError
        When a column is missing, or labels have more than 1000 classes.
    """
    summary = QualitySummary()
    add = {
        "Regression": _add_regression,
        "BinaryClassification": _add_binary,
        "MulticlassClassification": _add_multiclass,
    }[task.problem]
    for batch in batches:
        if not batch.num_rows:
            continue
        summary.rows += batch.num_rows
        summary.column_names = summary.column_names or tuple(batch.schema.names)
        if all(name.startswith(GROUND_TRUTH) for name in batch.schema.names):  # the model answered nothing
            summary.unlabelled += batch.column(0).null_count
            summary.not_predicted += batch.num_rows - batch.column(0).null_count
            continue
        add(summary, batch, find_columns(batch.schema, task), task)
    summary.scores.settle()
    summary.unlabelled_scores.settle()
    return summary


def _keep(
    summary: QualitySummary, batch: pa.RecordBatch, task: Task, used: Flags, **columns: npt.NDArray[Any]
) -> None:
    """Keep how the rows `used` fared."""
    rows = pa.RecordBatch.from_pydict({name: column[used] for name, column in columns.items()})
    if rows.num_rows:
        if summary.sample_seed is None:
            summary.sample_seed = seed_of(rows)
        clusters = cluster_hashes(batch, task.cluster_by)
        clusters = None if clusters is None else clusters[used]
        summary.sample.add(rows, summary.sample_seed, summary.sample.rows_seen, clusters=clusters)


def _numbers(summary: QualitySummary, batch: pa.RecordBatch, place: int, setting: str) -> Floats:
    numbers = cells.read_numbers(batch.column(place))
    if numbers.unusable:
        summary.unusable[setting] += numbers.unusable
        summary.unusable_examples.setdefault(setting, numbers.example)
    infinite = np.isinf(numbers.values)
    if infinite.any():
        summary.infinite[setting] += int(infinite.sum())
    return np.where(infinite, np.nan, numbers.values)


def _pair(summary: QualitySummary, actual: Coded, predicted: Coded) -> tuple[Flags, Flags, Flags]:
    """Count labels against predictions; return which rows have a label, a prediction, and both."""
    labelled, has_prediction = actual.codes > 0, predicted.codes > 0
    summary.unlabelled += int((~labelled).sum())
    summary.not_predicted += int((labelled & ~has_prediction).sum())
    used = labelled & has_prediction
    metrics.count_pairs(summary.confusion, actual, predicted, np.flatnonzero(used))
    return labelled, has_prediction, used


def _add_regression(summary: QualitySummary, batch: pa.RecordBatch, columns: Columns, task: Task) -> None:
    assert columns.inference is not None  # noqa: S101 - for mypy: the analyzer demands the setting
    predictions = _numbers(summary, batch, columns.inference, "inference_attribute")
    if columns.label is None:
        summary.unlabelled += batch.num_rows
        return
    labels = _numbers(summary, batch, columns.label, "ground_truth_attribute")
    labelled, predicted = ~np.isnan(labels), ~np.isnan(predictions)
    summary.unlabelled += int((~labelled).sum())
    summary.not_predicted += int((labelled & ~predicted).sum())
    used = labelled & predicted
    summary.residuals.add(labels[used], predictions[used])
    _keep(summary, batch, task, used, wrong=np.abs(labels - predictions), label=labels)


def _labels(
    summary: QualitySummary, batch: pa.RecordBatch, place: int | None, setting: str, task: Task
) -> Coded:
    if place is None:
        return Coded(np.zeros(batch.num_rows, dtype=np.int64), [])
    array = batch.column(place)
    if pa.types.is_floating(array.type):
        array = pa.array(_numbers(summary, batch, place, setting))
    none = task.no_labels - {task.positive.lower()}
    found, missing = cells.read_labels(array, binary=task.problem == "BinaryClassification", none=none)
    for text, count in missing.items():
        notice("reading.marker", count, field=batch.schema.names[place], marker=text)
    return found


def _is(labels: Coded, text: str) -> Flags:
    """Return which cells hold that label."""
    return np.array([False, *(known == text for known in labels.values)])[labels.codes]


def _add_binary(summary: QualitySummary, batch: pa.RecordBatch, columns: Columns, task: Task) -> None:
    actual = _labels(summary, batch, columns.label, "ground_truth_attribute", task)
    scores = None
    if columns.probabilities:
        # The column of the positive class, the last one when no name tells.
        classes = [label_of(name) for name in columns.classes]
        at = classes.index(task.positive) if task.positive in classes else -1
        scores = _numbers(summary, batch, columns.probabilities[at], "probability_attribute")
    if columns.inference is not None:
        predicted = _labels(summary, batch, columns.inference, "inference_attribute", task)
    else:
        assert scores is not None  # noqa: S101 - for mypy: the analyzer demands one of the two settings
        codes = np.where(np.isnan(scores), 0, 1 + (scores >= task.threshold))
        predicted = Coded(codes.astype(np.int64), [NEGATIVE, task.positive])
    labelled, has_prediction, used = _pair(summary, actual, predicted)
    positive = _is(actual, task.positive)
    wrong = positive != _is(predicted, task.positive)
    loss = {} if scores is None else {"loss": np.abs(positive - scores)}
    kept = {"wrong": wrong.astype(np.float64), "label": positive.astype(np.float64), **loss}
    _keep(summary, batch, task, used, **kept)
    if scores is not None:
        scored = labelled & ~np.isnan(scores)
        summary.not_scored += int((used & ~scored).sum())
        summary.scores.add(scores[scored], positive[scored])
        summary.probabilities.add_binary(scores[scored], positive[scored])
        blank = ~labelled & has_prediction & ~np.isnan(scores)
        summary.unlabelled_scores.add(scores[blank], _is(predicted, task.positive)[blank])


def _add_multiclass(summary: QualitySummary, batch: pa.RecordBatch, columns: Columns, task: Task) -> None:
    assert columns.inference is not None  # noqa: S101 - for mypy: the analyzer demands the setting
    actual = _labels(summary, batch, columns.label, "ground_truth_attribute", task)
    predicted = _labels(summary, batch, columns.inference, "inference_attribute", task)
    labelled, has_prediction, used = _pair(summary, actual, predicted)
    right = _places(predicted, actual.values) == actual.codes - 1
    _keep(summary, batch, task, used, wrong=(~right).astype(np.float64))
    if not columns.probabilities:
        return
    scores = [_numbers(summary, batch, place, "probability_attribute") for place in columns.probabilities]
    table = np.stack(scores, axis=1)
    confidence = table.max(axis=1)  # NaN when any is
    summary.not_scored += int((used & np.isnan(confidence)).sum())
    scored = used & ~np.isnan(confidence)
    summary.scores.add(confidence[scored], right[scored])
    summary.probabilities.add_scores(confidence[scored], right[scored])
    blank = ~labelled & has_prediction & ~np.isnan(confidence)
    summary.unlabelled_scores.add(confidence[blank], np.ones(int(blank.sum()), dtype=np.bool_))
    if columns.classes:
        names = [label_of(name, binary=False) for name in columns.classes]
        places = _places(actual, names)[scored], _places(predicted, names)[scored]
        summary.probabilities.add_classes(table[scored], *places)
        sums = summary.probabilities
        for side, unknown in ((actual, sums.unknown_class), (predicted, sums.unknown_prediction)):
            codes, counts = np.unique(side.codes[scored & (_places(side, names) < 0)], return_counts=True)
            lacking = (str(side.values[code - 1]) for code in codes)
            unknown.update(dict(zip(lacking, counts.tolist(), strict=True)))


def _places(coded: Coded, labels: Sequence[Value]) -> Codes:
    """Return where in a list the label of each cell stands, -1 where it does not; each is in it once."""
    known = {label: place for place, label in enumerate(labels)}
    return np.array([-1, *(known.get(label, -1) for label in coded.values)])[coded.codes]
