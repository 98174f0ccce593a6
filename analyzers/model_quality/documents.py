"""The documents of model-quality jobs: how good the predictions were, and what is expected of later ones.

Spec section 4 lists every member of the original files. Beyond them, the sound rules write a 95 % interval
with each metric, further metrics, what was estimated for rows without a label (``estimated``), how scores
translate into probabilities (``score_calibration``), and ``notes``.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from typing import Any, Literal

from analyzers.shared.analysis_json import (
    member,
    members_of,
    nested,
    range_to_json,
    read_document,
    read_members,
    read_numbers,
    read_range,
    read_texts,
    stored,
    write_members,
)
from analyzers.shared.rules import SWITCH
from contract.api import Baseline, DocumentSet
from contract.errors import DocumentError
from contract.schema import Fields, in_order

ProblemType = Literal["Regression", "BinaryClassification", "MulticlassClassification"]
Operator = Literal["LessThanThreshold", "GreaterThanThreshold"]

LESS: Operator = "LessThanThreshold"
GREATER: Operator = "GreaterThanThreshold"

CONFUSION_MATRIX = "confusion_matrix"
ROC_CURVE = "receiver_operating_characteristic_curve"
PR_CURVE = "precision_recall_curve"

# Which member of the file holds the metrics, and what is expected of them.
_METRICS: dict[ProblemType, str] = {
    "Regression": "regression_metrics",
    "BinaryClassification": "binary_classification_metrics",
    "MulticlassClassification": "multiclass_classification_metrics",
}
_CONSTRAINTS = {kind: name.replace("_metrics", "_constraints") for kind, name in _METRICS.items()}


def _read_number(fields: Fields, key: str) -> float | None:
    # The originals write the text "NaN" where they have no number.
    member = fields.get(key, (int, float, str), None)
    if isinstance(member, str) and member not in ("NaN", "Infinity", "-Infinity"):
        raise DocumentError.of("quality_documents.number", file=fields.where, field=key, value=member)
    return None if member is None or isinstance(member, str) else float(member)


def _number_to_json(value: float | None) -> float | str:
    return "NaN" if value is None else value


@dataclass
class MetricValue:
    """One metric; a value of None is one that the rows leave undefined, written as ``"NaN"``.

    `interval` is the 95 % confidence interval, which the originals do not have.
    """

    value: float | None = stored(_read_number, _number_to_json, written="always")
    standard_deviation: float | None = stored(_read_number, _number_to_json, written="always", default=None)
    interval: tuple[float, float] | None = stored(
        read_range, range_to_json, "confidence_interval", default=None
    )
    extra: dict[str, Any] = field(default_factory=dict)


@dataclass
class ScoreCalibration:
    """How often rows of a given score were positive: interpolated linearly between `scores`.

    `of` says what a positive is: the positive label, or a right prediction (multiclass).
    """

    of: str = stored(member(str, ""))
    item_count: int = stored(member(int, 0))
    scores: list[float] = stored(read_numbers)
    positive_rates: list[float] = stored(read_numbers)


_CALIBRATION = members_of(ScoreCalibration)


def _read_calibration(members: Fields) -> ScoreCalibration:
    calibration = ScoreCalibration(**read_members(_CALIBRATION, members))
    if not calibration.scores or len(calibration.scores) != len(calibration.positive_rates):
        raise DocumentError.of("quality_documents.calibration", file=members.where)
    return calibration


@dataclass
class ModelQualityStatistics:
    """The whole of ``statistics.json``.

    Parameters
    ----------
    problem_type
        Which of the three objects it holds.
    item_count
        Rows evaluated: those with a label and a prediction.
    metrics
        By name, in the order of the file.
    confusion_matrix
        Actual label to predicted label to rows.
    curves
        By name of the curve, name of the list.
    evaluation_time
        UTC, ``2023-03-30T21:08:34.729Z``.
    unlabelled_count
        Rows without a label.
    unpredicted_count
        Rows with a label and without a usable prediction.
    estimated
        What was estimated for rows without a label, as JSON.
    calibration
        How scores translate into probabilities.
    design_effect, blocks
        By how much dependence of rows widens the spread of metrics, and from how many blocks of rows it was
        estimated; 1 and 0 where rows do not clearly depend on each other.
    notes
        What a reader should know: metrics left out, rows not used.
    evidence
        What the analyzer keeps in memory for the check; not written.
    """

    problem_type: ProblemType
    metrics: dict[str, MetricValue]
    item_count: int = stored(member(int, 0), part="dataset")
    confusion_matrix: dict[str, dict[str, int]] | None = None
    curves: dict[str, dict[str, list[float]]] = field(default_factory=dict)
    evaluation_time: str | None = stored(member(str, None), part="dataset", default=None)
    unlabelled_count: int = stored(member(int, 0), written="if any", part="dataset", default=0)
    unpredicted_count: int = stored(member(int, 0), written="if any", part="dataset", default=0)
    estimated: dict[str, Any] | None = stored(member(dict, None), default=None)
    calibration: ScoreCalibration | None = stored(
        nested(_read_calibration), partial(write_members, _CALIBRATION), "score_calibration", default=None
    )
    design_effect: float = stored(lambda fields, key: max(1.0, fields.number(key, 1.0)), default=1.0)
    blocks: int = stored(lambda fields, key: fields.count(key, 0), default=0)
    notes: list[str] = stored(read_texts, written="if any", default_factory=list)
    evidence: Any = None
    other_metrics: dict[str, Any] = field(default_factory=dict)
    extra: dict[str, Any] = field(default_factory=dict)
    order: tuple[str, ...] = ()
    metric_order: tuple[str, ...] = ()
    where: str = "statistics.json"

    def value(self, name: str) -> float | None:
        """Return the value of a metric, None when it is absent or undefined."""
        metric = self.metrics.get(name)
        return None if metric is None else metric.value


# Members of the objects of the file; the originals' come first.
_METRIC, _DATASET = members_of(MetricValue), members_of(ModelQualityStatistics, "dataset")
_STATISTICS = members_of(ModelQualityStatistics)


def _read_operator(fields: Fields, key: str) -> str:
    operator: str = fields.get(key, str)
    if operator not in (LESS, GREATER):
        raise DocumentError.of("quality_documents.operator", file=fields.where, field=key, value=operator)
    return operator


@dataclass
class MetricConstraint:
    """What is expected of one metric: a violation when it lies beyond `threshold`, as `operator` says."""

    threshold: float = stored(Fields.number)
    operator: Operator = stored(_read_operator, key="comparison_operator")
    extra: dict[str, Any] = field(default_factory=dict)


@dataclass
class ModelQualityConstraints:
    """The whole of ``constraints.json``."""

    problem_type: ProblemType
    metrics: dict[str, MetricConstraint]
    extra: dict[str, Any] = field(default_factory=dict)
    order: tuple[str, ...] = ()
    where: str = "constraints.json"


_CONSTRAINT = members_of(MetricConstraint)
ModelQualityBaseline = Baseline[ModelQualityStatistics, ModelQualityConstraints]


def _problem_type(
    fields: Fields, members: dict[ProblemType, str], setting: str, file: str
) -> tuple[ProblemType, Fields]:
    """Return what the file is about, and the object with its metrics, empty where that is null."""
    for problem_type, name in members.items():
        if name in fields.value:
            return problem_type, fields.child(name) or Fields({}, fields.where)
    names = ", ".join(map(repr, members.values()))
    raise DocumentError.of(
        "quality_documents.other", file=fields.where, field=setting, names=names, name=file
    )


def read_statistics(value: dict[str, Any], where: str) -> ModelQualityStatistics:
    """Build the statistics from parsed JSON.

    Raises
    ------
    DocumentError
        Naming file and path, when a member is missing or of the wrong type.
    """
    fields = Fields(value, where)
    problem_type, members = _problem_type(fields, _METRICS, "baseline_statistics", "statistics.json")
    fields.number("version", 0.0)
    further = read_members(_DATASET, fields.child("dataset") or Fields({}, where))
    document = read_document(
        ModelQualityStatistics,
        _STATISTICS,
        fields,
        problem_type=problem_type,
        metrics={},
        metric_order=members.order(),
        where=where,
        **further,
    )
    for name, found in members.value.items():
        place = f"{members.where}.{name}"
        if name == CONFUSION_MATRIX:
            rows = Fields(found, place)
            counts = {actual: rows.child(actual) or Fields({}, place) for actual in rows.value}
            document.confusion_matrix = {
                actual: {predicted: row.count(predicted) for predicted in row.value}
                for actual, row in counts.items()
            }
        elif name in (ROC_CURVE, PR_CURVE):
            lists = Fields(found, place)
            document.curves[name] = {
                points: [float(number) for number in read_numbers(lists, points)] for points in lists.value
            }
            if len({len(points) for points in document.curves[name].values()}) > 1:
                raise DocumentError.of("quality_documents.curve", file=place)
        elif isinstance(found, dict) and "value" in found:
            metric = Fields(found, place)
            document.metrics[name] = MetricValue(**read_members(_METRIC, metric), extra=metric.extra())
        else:
            document.other_metrics[name] = found
    return document


def statistics_to_json(document: ModelQualityStatistics, with_extensions: bool = True) -> dict[str, Any]:
    """Return the statistics as JSON values, in the key order of the original files.

    Parameters
    ----------
    document
        The document.
    with_extensions
        Whether to write members the originals do not have.
    """
    metrics: dict[str, Any] = {
        name: {**write_members(_METRIC if with_extensions else _METRIC[:2], metric), **metric.extra}
        for name, metric in document.metrics.items()
    }
    if document.confusion_matrix is not None:
        metrics[CONFUSION_MATRIX] = document.confusion_matrix
    members: dict[str, Any] = {
        "version": 0.0,
        "dataset": write_members(_DATASET if with_extensions else _DATASET[:2], document),
        _METRICS[document.problem_type]: in_order(
            metrics | document.curves, document.other_metrics, document.metric_order
        ),
    }
    if with_extensions:
        members |= write_members(_STATISTICS, document)
    if document.design_effect <= 1.0:
        members = {key: value for key, value in members.items() if key not in ("design_effect", "blocks")}
    return _as_in_the_file(members, document)


def _as_in_the_file(
    members: dict[str, Any], document: ModelQualityStatistics | ModelQualityConstraints
) -> dict[str, Any]:
    """Return members and those not known here; of a file that was read only what it had, in its order."""
    if document.order:
        members = {key: value for key, value in members.items() if key in document.order}
    return in_order(members, document.extra, document.order)


def read_constraints(value: dict[str, Any], where: str) -> ModelQualityConstraints:
    """Build the constraints from parsed JSON.

    Raises
    ------
    DocumentError
        Naming file, metric and key, when a member is missing or unusable.
    """
    fields = Fields(value, where)
    problem_type, members = _problem_type(fields, _CONSTRAINTS, "baseline_constraints", "constraints.json")
    fields.number("version", 0.0)
    entries = {name: entry for name in members.value if (entry := members.child(name)) is not None}
    metrics = {
        name: MetricConstraint(**read_members(_CONSTRAINT, entry), extra=entry.extra())
        for name, entry in entries.items()
    }
    return ModelQualityConstraints(problem_type, metrics, fields.extra(), fields.order(), where)


def constraints_to_json(document: ModelQualityConstraints) -> dict[str, Any]:
    """Return the constraints as JSON values, in the key order of the original files."""
    metrics = {
        name: {**write_members(_CONSTRAINT, constraint), **constraint.extra}
        for name, constraint in document.metrics.items()
    }
    members = {"version": 0.0, _CONSTRAINTS[document.problem_type]: metrics}
    return _as_in_the_file(members, document) if document.order else members | SWITCH | document.extra


MODEL_QUALITY = DocumentSet(
    read_statistics=read_statistics,
    write_statistics=statistics_to_json,
    read_constraints=read_constraints,
    write_constraints=constraints_to_json,
)
